-- Why: the line that credits an image belongs to its licence; whoever misses an address wants the reason; and a provider that
-- said "not before tomorrow" was asked again by the next run, which knew nothing of it.

alter table hit add column attribution text;

-- Results of a search that became no candidate, by reason (kebab-case).
create table left_out (
    search_id bigint not null references search (id),
    reason text not null,
    n bigint not null check (n > 0),
    primary key (search_id, reason)
);

-- A provider that refused: not asked before `until_ms`, where that is known. Its next answer deletes the row.
create table refusal (
    provider text primary key,
    until_ms bigint,
    n_refusals bigint not null check (n_refusals > 0),
    reason text not null,
    refused_ms bigint not null
);
