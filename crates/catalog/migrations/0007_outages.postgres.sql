-- Why: a commit whose answer was lost with the connection is asked for by its mark, and so done once. Rows are swept after
-- some minutes. SQLite needs none: there is no connection that could be lost.

create table commit_mark (
    mark uuid primary key,
    made_at timestamptz not null default now()
);
