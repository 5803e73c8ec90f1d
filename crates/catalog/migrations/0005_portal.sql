-- Why: a release is given to those who signed for it, and later it can be told who asked, who decided, who has which copy.

-- The tables of the first migration by these names were never written to by any program.
drop table download;
drop table access_grant;
drop table access_request;

-- `token_sha256` is of the word in the link that was mailed last: to the person who asked, to confirm the address, or to the
-- supervisor, to take a student's request over. The agreement as issued and as it came back are objects of the store.
create table access_request (
    id {identity},
    release_id bigint not null references release (id),
    state text not null check (state in ('unconfirmed', 'with-supervisor', 'agreement', 'submitted', 'asked-back', 'granted',
        'refused', 'withdrawn')),
    account_id bigint references account (id),
    name text not null,
    email text not null,
    position text not null,
    institution text not null,
    orcid text not null,
    web_page text not null,
    purpose text not null,
    student_name text,
    student_email text,
    token_sha256 text unique check (length(token_sha256) = 64),
    token_expires_ms bigint,
    agreement_number text unique,
    agreement_sha256 text check (length(agreement_sha256) = 64),
    signed_sha256 text check (length(signed_sha256) = 64),
    signed_report text,
    created_ms bigint not null,
    submitted_ms bigint,
    decided_ms bigint,
    decided_by bigint references account (id),
    reason text,
    reminded_ms bigint,
    check (state in ('unconfirmed', 'with-supervisor', 'withdrawn') or account_id is not null)
);
create index access_request_of_account on access_request (account_id);
create index access_request_of_email on access_request (email);
create index access_request_waiting on access_request (submitted_ms) where state = 'submitted';

-- What reviewers ask and what is answered. `account_id` is who wrote it.
create table request_note (
    id {identity},
    access_request_id bigint not null references access_request (id),
    account_id bigint not null references account (id),
    text text not null,
    created_ms bigint not null
);
create index request_note_of_request on request_note (access_request_id);

-- `seed` decides the order of files and the spelling of numbers in this recipient's copies, and nothing else.
create table access_grant (
    id {identity},
    access_request_id bigint not null references access_request (id),
    account_id bigint not null references account (id),
    release_id bigint not null references release (id),
    seed text not null unique check (length(seed) = 64),
    granted_ms bigint not null,
    granted_by bigint not null references account (id),
    expires_ms bigint not null,
    renewal_asked_ms bigint,
    revoked_ms bigint,
    revoked_by bigint references account (id),
    revoke_reason text
);
create index access_grant_of_account on access_grant (account_id);
create index access_grant_of_release on access_grant (release_id);

-- Whom a grant's owner answers for: each accepts the terms in their own name before they get anything.
create table grant_member (
    id {identity},
    access_grant_id bigint not null references access_grant (id),
    name text not null,
    email text not null,
    account_id bigint references account (id),
    token_sha256 text unique check (length(token_sha256) = 64),
    token_expires_ms bigint,
    invited_ms bigint not null,
    accepted_ms bigint,
    removed_ms bigint
);
create index grant_member_of_grant on grant_member (access_grant_id);
create index grant_member_of_account on grant_member (account_id);

-- What a program shows in place of a session; only its hash is kept.
create table access_token (
    id {identity},
    account_id bigint not null references account (id),
    name text not null,
    token_sha256 text not null unique check (length(token_sha256) = 64),
    created_ms bigint not null,
    expires_ms bigint not null,
    last_used_ms bigint,
    revoked_ms bigint
);
create index access_token_of_account on access_token (account_id);

-- A release's files as they are delivered, without what was withdrawn; a withdrawal makes the next revision.
create table package (
    id {identity},
    release_id bigint not null references release (id),
    revision bigint not null check (revision > 0),
    n_withdrawn bigint not null check (n_withdrawn >= 0),
    size_bytes bigint not null check (size_bytes >= 0),
    built_ms bigint not null,
    unique (release_id, revision)
);

-- One recipient's copy of a package, whose checksums are known once it was prepared.
create table delivery (
    access_grant_id bigint not null references access_grant (id),
    package_id bigint not null references package (id),
    archive_sha256 text not null check (length(archive_sha256) = 64),
    archive_bytes bigint not null check (archive_bytes >= 0),
    manifest_sha256 text not null check (length(manifest_sha256) = 64),
    manifest_bytes bigint not null check (manifest_bytes >= 0),
    prepared_ms bigint not null,
    primary key (access_grant_id, package_id)
);

create table download (
    id {identity},
    access_grant_id bigint not null references access_grant (id),
    account_id bigint not null references account (id),
    package_id bigint not null references package (id),
    file text not null,
    first_byte bigint not null check (first_byte >= 0),
    n_bytes bigint not null check (n_bytes >= 0),
    sent_bytes bigint,
    started_ms bigint not null,
    ended_ms bigint
);
create index download_of_grant on download (access_grant_id, started_ms);
create index download_of_package on download (package_id);

-- The queue of letters: written with what they tell of, sent later, as often as it takes. The text is taken out once a
-- letter is sent, because links stand in it.
create table letter (
    id {identity},
    recipient text not null,
    subject text not null,
    body text not null,
    created_ms bigint not null,
    next_attempt_ms bigint,
    n_attempts bigint not null default 0,
    last_error text,
    sent_ms bigint
);
create index letter_due on letter (next_attempt_ms) where next_attempt_ms is not null;

-- Somebody in a picture asks for it to be taken out.
create table withdrawal_request (
    id {identity},
    email text not null,
    picture text not null,
    reason text not null,
    created_ms bigint not null,
    decided_ms bigint,
    decided_by bigint references account (id),
    image_id bigint references image (id),
    answer text
);
create index withdrawal_request_open on withdrawal_request (id) where decided_ms is null;
