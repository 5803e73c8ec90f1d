-- Why: as on PostgreSQL; and the rows lie in the key itself, which comes in its own order.

alter table consensus rename to consensus_by_method;
create table consensus (
    method text not null,
    face_id bigint not null references face (id),
    expression bigint check (expression between 0 and 10),
    valence double precision check (valence between -1 and 1),
    arousal double precision check (arousal between -1 and 1),
    is_proxy bigint not null check (is_proxy in (0, 1)),
    n_annotations bigint not null check (n_annotations >= 0),
    agreement double precision check (agreement between 0 and 1),
    given_split bigint not null check (given_split between -1 and 2),
    computed_ms bigint not null,
    run_id bigint references consensus_run (id),
    shares text,
    valence_spread double precision,
    arousal_spread double precision,
    primary key (face_id, method)
) without rowid;
insert into consensus
    select method, face_id, expression, valence, arousal, is_proxy, n_annotations, agreement, given_split, computed_ms, run_id,
           shares, valence_spread, arousal_spread
    from consensus_by_method order by face_id, method;
drop table consensus_by_method;
create index consensus_count on consensus (method, given_split, expression);
