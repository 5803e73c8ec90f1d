-- Why: collection. The catalogue is the queue: which searches go on where, what was found, which hosts have something to
-- fetch, how each fetch ended, what quota is spent.
--
-- A worker leases a *host* (a registrable domain) and never a URL: so one process at a time is polite towards it, and a
-- candidate needs no lease of its own. `host.due_ms` is when its next candidate may be fetched, null when none waits.
-- A hit is a sighting: query, engine, rank, page, licence, time. It counts for the image once its candidate has one.

alter table query add column negatives text not null default '[]';

create table search (
    id {identity},
    query_id bigint not null references query (id),
    provider text not null,
    slice text not null default '',
    state text not null default 'open' check (state in ('open', 'done', 'split', 'failed')),
    cursor text,
    n_pages bigint not null default 0 check (n_pages >= 0),
    n_hits bigint not null default 0 check (n_hits >= 0),
    total bigint,
    attempts bigint not null default 0 check (attempts >= 0),
    last_error text,
    due_ms bigint,
    worker text,
    lease_end_ms bigint not null default 0,
    unique (query_id, slice),
    check ((state = 'open') = (due_ms is not null))
);
create index search_open on search (provider, n_pages, id) where due_ms is not null;

create table quota (
    provider text not null,
    day bigint not null,
    n_requests bigint not null check (n_requests >= 0),
    primary key (provider, day)
);

create table host (
    name text primary key,
    due_ms bigint,
    worker text,
    lease_end_ms bigint not null default 0
);
create index host_due on host (due_ms, name) where due_ms is not null;

-- `outcome` is the class of how the last attempt ended (kebab-case), `last_error` its words.
alter table candidate add column host text not null default '';
alter table candidate add column outcome text;
alter table candidate add column http_status bigint;
alter table candidate add column image_id bigint references image (id);
alter table candidate add column final_url text;
alter table candidate add column etag text;
alter table candidate add column last_modified text;
alter table candidate add column size_bytes bigint;
alter table candidate add column elapsed_ms bigint;
alter table candidate add column found_ms bigint not null default 0;
alter table candidate add column ended_ms bigint;
drop index candidate_due;
create index candidate_of_host on candidate (host, next_attempt_ms, id) where next_attempt_ms is not null;
create index candidate_of_image on candidate (image_id) where image_id is not null;

create table hit (
    search_id bigint not null references search (id),
    candidate_id bigint not null references candidate (id),
    rank bigint not null check (rank > 0),
    engine text not null,
    page_url text,
    title text,
    license text,
    license_url text,
    creator text,
    found_ms bigint not null,
    primary key (search_id, candidate_id)
);
create index hit_of_candidate on hit (candidate_id);

-- A fetched image is decoded once, when faces are looked for; until then its perceptual hash is 0 and not known.
alter table image add column phash_known bigint not null default 1 check (phash_known in (0, 1));
-- An import looks here for what it can add to a fetched image; without the index that would be the whole table.
create index image_not_decoded on image (sha256) where phash_known = 0;
