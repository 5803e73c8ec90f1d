-- Why: faces are looked for behind the downloader, and a picture without one that is large enough need not be kept.

-- Why no face in it is of use (`no-face`, `small-faces`, `unreadable`); null: one is, or nobody has looked.
-- `dropped_ms`: since when its bytes are no longer in the store. The row stays: what was seen is not fetched again, and
-- the report counts it.
alter table image add column unusable text;
alter table image add column dropped_ms bigint;
create index image_unusable on image (id) where unusable is not null and dropped_ms is null;
-- An import looks here for what it brings back.
create index image_dropped on image (sha256) where dropped_ms is not null;

-- Before this time the provider is not to be asked again, by whatever process, ms UTC.
alter table quota add column next_ms bigint not null default 0;

-- How fast fetching goes: what ended in each minute (minutes since 1970-01-01, UTC). One row a minute, whatever the size.
create table pace (
    minute bigint primary key,
    n_ended bigint not null check (n_ended >= 0),
    n_images bigint not null check (n_images >= 0),
    n_bytes bigint not null check (n_bytes >= 0)
);
