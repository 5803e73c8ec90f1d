-- Why: the whole way of one image, from a query to a score, in one schema for SQLite and PostgreSQL.
--
-- Portable on purpose: times are bigint milliseconds UTC, booleans 0/1, hashes hexadecimal text, unsigned 64-bit
-- numbers bigint of the same bits. Splits are ranks (train 0, valid 1, test 2; -1: none given), so that the stricter
-- of two splits is the larger number. `{identity}` is the only word in which the engines differ: a row number given in
-- the order of insertion. `account` and `access_grant` stand where the design says user and grant, which SQL reserves.

create table query (
    id {identity},
    provider text not null,
    text text not null,
    language text not null,
    expression bigint check (expression between 0 and 10),
    created_ms bigint not null,
    unique (provider, language, text)
);

create table candidate (
    id {identity},
    query_id bigint references query (id),
    url text not null,
    url_sha256 text not null unique,
    page_url text,
    license text,
    state text not null default 'new' check (state in ('new', 'leased', 'fetched', 'rejected', 'failed')),
    attempts bigint not null default 0 check (attempts >= 0),
    last_error text,
    next_attempt_ms bigint
);
create index candidate_due on candidate (next_attempt_ms, id) where next_attempt_ms is not null;

create table image (
    id {identity},
    sha256 text not null unique check (length(sha256) = 64),
    phash bigint not null,
    width bigint not null check (width > 0),
    height bigint not null check (height > 0),
    format text not null,
    size_bytes bigint not null check (size_bytes >= 0),
    first_seen_ms bigint not null,
    withdrawn_ms bigint,
    withdrawn_reason text
);
create index image_withdrawn on image (id) where withdrawn_ms is not null;

create table sighting (
    id {identity},
    image_id bigint not null references image (id),
    candidate_id bigint references candidate (id),
    source text not null,
    path text not null,
    page_url text,
    license text,
    given_split bigint not null default -1 check (given_split between -1 and 2),
    seen_ms bigint not null,
    unique (source, path)
);
create index sighting_of_image on sighting (image_id);

-- `given_split` is the largest of its image's sightings, kept here so that a count needs no join.
create table face (
    id {identity},
    image_id bigint not null references image (id),
    origin text not null,
    x double precision not null,
    y double precision not null,
    width double precision not null check (width > 0),
    height double precision not null check (height > 0),
    score double precision check (score between 0 and 1),
    landmarks text,
    size_px double precision,
    sharpness double precision,
    brightness double precision,
    yaw_degrees double precision,
    pitch_degrees double precision,
    roll_degrees double precision,
    crop_sha256 text check (length(crop_sha256) = 64),
    given_split bigint not null default -1 check (given_split between -1 and 2),
    created_ms bigint not null,
    unique (image_id, origin, x, y, width, height)
);
create index face_given_split on face (given_split);

-- One row for each image and detector. `lease_end_ms` is 0 while nobody works on it, the end of the lease while somebody
-- does, and null once `status` says how it ended: so one partial index holds what is left to do, and only that.
create table face_scan (
    detector text not null,
    image_id bigint not null references image (id),
    status text check (status in ('found', 'no-face', 'unreadable')),
    worker text,
    lease_end_ms bigint default 0,
    error text,
    scanned_ms bigint,
    primary key (detector, image_id),
    check ((status is null) = (lease_end_ms is not null))
);
create index face_scan_open on face_scan (detector, lease_end_ms, image_id) where lease_end_ms is not null;

create table annotator (
    id {identity},
    name text not null unique,
    kind text not null check (kind in ('person', 'imported', 'synthetic', 'proxy', 'model'))
);

create table assignment (
    id {identity},
    face_id bigint not null references face (id),
    annotator_id bigint not null references annotator (id),
    lease_end_ms bigint,
    done_ms bigint,
    unique (face_id, annotator_id)
);
create index assignment_of_annotator on assignment (annotator_id, lease_end_ms);

-- Append-only: a correction is a new row with the next revision that names the row it supersedes. `origin` is the
-- sighting (`source:path`) an imported answer came with, so that a repeated import finds it again.
create table annotation (
    id {identity},
    face_id bigint not null references face (id),
    annotator_id bigint not null references annotator (id),
    origin text not null,
    revision bigint not null default 0 check (revision >= 0),
    supersedes bigint unique references annotation (id),
    expression bigint check (expression between 0 and 10),
    valence double precision check (valence between -1 and 1),
    arousal double precision check (arousal between -1 and 1),
    created_ms bigint not null,
    unique (face_id, annotator_id, origin, revision),
    check ((revision = 0) = (supersedes is null))
);

-- `given_split` repeats the face's, so that one index answers the count table.
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
    primary key (method, face_id)
);
create index consensus_count on consensus (method, given_split, expression);
create index consensus_of_face on consensus (face_id);

create table release (
    id {identity},
    name text not null unique,
    manifest_sha256 text not null check (length(manifest_sha256) = 64),
    seed bigint not null,
    labels text not null,
    parameters text not null,
    n_items bigint not null check (n_items >= 0),
    built_ms bigint not null
);

create table release_item (
    release_id bigint not null references release (id),
    item_idx bigint not null check (item_idx >= 0),
    face_id bigint not null references face (id),
    image_id bigint not null references image (id),
    split bigint not null check (split between 0 and 2),
    expression bigint check (expression between 0 and 10),
    primary key (release_id, item_idx)
);
create index release_item_of_image on release_item (image_id);

create table account (
    id {identity},
    email text not null unique,
    name text not null,
    role text not null,
    password_hash text,
    annotator_id bigint references annotator (id),
    created_ms bigint not null
);

create table session (
    token_sha256 text primary key check (length(token_sha256) = 64),
    account_id bigint not null references account (id),
    created_ms bigint not null,
    expires_ms bigint not null
);

create table access_request (
    id {identity},
    account_id bigint not null references account (id),
    release_id bigint not null references release (id),
    purpose text not null,
    agreement_sha256 text,
    state text not null default 'open' check (state in ('open', 'granted', 'refused')),
    created_ms bigint not null,
    decided_ms bigint,
    decided_by bigint references account (id)
);

create table access_grant (
    id {identity},
    access_request_id bigint not null unique references access_request (id),
    granted_ms bigint not null,
    expires_ms bigint,
    revoked_ms bigint
);

create table download (
    id {identity},
    access_grant_id bigint not null references access_grant (id),
    file text not null,
    size_bytes bigint not null check (size_bytes >= 0),
    started_ms bigint not null
);
create index download_of_grant on download (access_grant_id);

create table challenge (
    id {identity},
    name text not null unique,
    release_id bigint not null references release (id),
    opens_ms bigint not null,
    closes_ms bigint not null,
    submissions_per_day bigint not null check (submissions_per_day > 0),
    check (closes_ms > opens_ms)
);

create table submission (
    id {identity},
    challenge_id bigint not null references challenge (id),
    account_id bigint not null references account (id),
    predictions_sha256 text not null check (length(predictions_sha256) = 64),
    submitted_ms bigint not null
);
create index submission_of_account on submission (challenge_id, account_id, submitted_ms);

create table score (
    submission_id bigint not null references submission (id),
    metric text not null,
    value double precision,
    primary key (submission_id, metric)
);

create table audit (
    id {identity},
    previous_hash text not null,
    hash text not null unique check (length(hash) = 64),
    actor text not null,
    action text not null,
    subject text not null,
    detail text not null,
    time_ms bigint not null
);
