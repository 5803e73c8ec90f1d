-- Why: people annotate in a browser: who may come in, what each is given to see, what they answer, what is agreed on.

-- Each account that annotates speaks through one row of `annotator`, whose name says nothing of the person.
alter table account add column language text not null default 'en';
alter table account add column disabled_ms bigint;
-- Since when the quiz is passed.
alter table account add column qualified_ms bigint;
create index session_of_account on session (account_id);

create table invitation (
    id {identity},
    token_sha256 text not null unique check (length(token_sha256) = 64),
    email text not null,
    role text not null,
    language text not null,
    invited_by bigint references account (id),
    created_ms bigint not null,
    expires_ms bigint not null,
    used_ms bigint
);

-- A set of faces with the rules by which they are given out. The three sums are kept beside the rows they count, in the
-- same transactions, so that progress costs no pass over a million rows.
create table pool (
    id {identity},
    name text not null unique,
    state text not null default 'filling' check (state in ('filling', 'open', 'paused')),
    strategy text not null check (strategy in ('random', 'query', 'uncertainty')),
    n_annotators bigint not null check (n_annotators > 0),
    overlap_percent bigint not null check (overlap_percent between 0 and 100),
    gold_percent bigint not null check (gold_percent between 0 and 50),
    is_balanced bigint not null check (is_balanced in (0, 1)),
    is_assisted bigint not null check (is_assisted in (0, 1)),
    needs_quiz bigint not null check (needs_quiz in (0, 1)),
    seed bigint not null,
    created_by bigint references account (id),
    created_ms bigint not null,
    n_faces bigint not null default 0,
    n_wanted bigint not null default 0,
    n_done bigint not null default 0
);

-- `place` is the order in which faces are given out; `look_id` is the lowest face among those that look alike, and no
-- annotator gets two with the same. `n_open`: how many more annotators may be given it now (wanted, less answers and
-- running leases). A gold face has a known answer and goes to everybody.
create table pool_face (
    pool_id bigint not null references pool (id),
    face_id bigint not null references face (id),
    place bigint not null,
    look_id bigint not null,
    category bigint check (category between 0 and 10),
    n_wanted bigint not null check (n_wanted >= 0),
    n_done bigint not null default 0 check (n_done >= 0),
    n_open bigint not null check (n_open >= 0),
    is_gold bigint not null default 0 check (is_gold in (0, 1)),
    gold_expression bigint check (gold_expression between 0 and 10),
    gold_valence double precision check (gold_valence between -1 and 1),
    gold_arousal double precision check (gold_arousal between -1 and 1),
    suggested_expression bigint check (suggested_expression between 0 and 10),
    suggested_valence double precision check (suggested_valence between -1 and 1),
    suggested_arousal double precision check (suggested_arousal between -1 and 1),
    suggested_by text,
    confidence double precision check (confidence between 0 and 1),
    uncertainty double precision,
    primary key (pool_id, face_id)
);
create index pool_face_open on pool_face (pool_id, place) where n_open > 0 and is_gold = 0;
create index pool_face_gold on pool_face (pool_id, place) where is_gold = 1;
create index pool_face_of_face on pool_face (face_id);

alter table assignment add column pool_id bigint references pool (id);
alter table assignment add column look_id bigint;
alter table assignment add column given_ms bigint;
-- Given back: neither done nor leased. The row stays, so that an answer that comes late is still known to be to a face
-- that was given.
create unique index assignment_look on assignment (annotator_id, look_id)
    where done_ms is not null or lease_end_ms is not null;
create index assignment_lease on assignment (lease_end_ms) where done_ms is null and lease_end_ms is not null;
create index assignment_done on assignment (annotator_id, pool_id, done_ms);
create index assignment_held on assignment (annotator_id, pool_id) where done_ms is null and lease_end_ms is not null;

-- `event_id` is made by the browser: an answer that arrives twice is recorded once. A row in which nothing is said takes
-- the one it supersedes back. What a model suggested is kept whether the annotator saw it or not.
alter table annotation add column pool_id bigint references pool (id);
alter table annotation add column event_id text;
alter table annotation add column elapsed_ms bigint check (elapsed_ms >= 0);
alter table annotation add column suggested_expression bigint;
alter table annotation add column suggested_valence double precision;
alter table annotation add column suggested_arousal double precision;
alter table annotation add column suggested_by text;
alter table annotation add column is_suggestion_shown bigint;
create unique index annotation_event on annotation (event_id) where event_id is not null;
create index annotation_day on annotation (annotator_id, created_ms) where pool_id is not null;

create table flag (
    id {identity},
    event_id text not null unique,
    face_id bigint not null references face (id),
    annotator_id bigint not null references annotator (id),
    pool_id bigint not null references pool (id),
    note text not null,
    created_ms bigint not null,
    resolved_ms bigint,
    resolved_by bigint references account (id),
    resolution text
);
create index flag_open on flag (id) where resolved_ms is null;

-- A worked face of the tutorial, or a question of the quiz. Its picture is a face of the project or an object of the
-- store (the drawn ones that every project begins with).
create table lesson (
    id {identity},
    kind text not null check (kind in ('tutorial', 'quiz')),
    place bigint not null,
    face_id bigint references face (id),
    picture_sha256 text check (length(picture_sha256) = 64),
    expression bigint not null check (expression between 0 and 10),
    valence double precision check (valence between -1 and 1),
    arousal double precision check (arousal between -1 and 1),
    explanation text not null,
    created_ms bigint not null,
    retired_ms bigint,
    check ((face_id is null) <> (picture_sha256 is null))
);

create table quiz_attempt (
    id {identity},
    account_id bigint not null references account (id),
    n_items bigint not null check (n_items > 0),
    n_right bigint not null check (n_right between 0 and n_items),
    is_passed bigint not null check (is_passed in (0, 1)),
    answers text not null,
    created_ms bigint not null
);
create index quiz_attempt_of_account on quiz_attempt (account_id, created_ms);

-- What a lead may change without another program or file: the quiz's pass mark, so far.
create table setting (
    name text primary key,
    value text not null
);

-- A consensus as a result that can be had again: from the annotations up to `last_annotation_id`, by that method with
-- those parameters. `is_complete` is set in the transaction after the last of its rows: a run that was killed stays 0, and
-- so says that the method's rows in `consensus` are partly its own and partly those of the run before.
create table consensus_run (
    id {identity},
    method text not null,
    parameters text not null,
    program_version text not null,
    last_annotation_id bigint not null,
    n_annotations bigint not null,
    n_faces bigint not null,
    inputs_sha256 text not null check (length(inputs_sha256) = 64),
    result_sha256 text not null check (length(result_sha256) = 64),
    details text not null,
    is_complete bigint not null default 0 check (is_complete in (0, 1)),
    computed_ms bigint not null
);
alter table consensus add column run_id bigint references consensus_run (id);
alter table consensus add column shares text;
alter table consensus add column valence_spread double precision;
alter table consensus add column arousal_spread double precision;
