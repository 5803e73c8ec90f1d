-- Why: a challenge on a test set that nobody sees: who takes part, what they handed in, what came of it.

-- Nothing was ever written to these three: the first version only kept their places.
drop table score;
drop table submission;
drop table challenge;

-- The hidden labels are no row: they lie sealed in the project's `challenges/NAME/labels.sealed`, beside `inputs.csv`.
create table challenge (
    id {identity},
    name text not null unique,
    title text not null,
    rules text not null,
    release_name text,
    labels text not null,
    n_inputs bigint not null check (n_inputs > 0),
    inputs_sha256 text not null check (length(inputs_sha256) = 64),
    sealed_sha256 text not null check (length(sealed_sha256) = 64),
    per_day bigint not null check (per_day > 0),
    opens_ms bigint not null,
    final_opens_ms bigint not null,
    closes_ms bigint not null,
    created_ms bigint not null,
    closed_ms bigint,
    check (opens_ms < final_opens_ms and final_opens_ms < closes_ms)
);

create table challenge_task (
    challenge_id bigint not null references challenge (id),
    place bigint not null,
    metric text not null,
    primary key (challenge_id, place),
    unique (challenge_id, metric)
);

create table team (
    id {identity},
    challenge_id bigint not null references challenge (id),
    name text not null,
    created_ms bigint not null,
    unique (challenge_id, name)
);

-- An account is in one team of a challenge. Who leaves a team that has submitted stays bound to it (`left_ms`): a new
-- team would have a new quota, and a new first rung.
create table team_member (
    challenge_id bigint not null references challenge (id),
    account_id bigint not null references account (id),
    team_id bigint not null references team (id),
    joined_ms bigint not null,
    left_ms bigint,
    primary key (challenge_id, account_id)
);
create index team_member_of_team on team_member (team_id);

create table team_invitation (
    token_sha256 text primary key check (length(token_sha256) = 64),
    team_id bigint not null references team (id),
    invited_by bigint not null references account (id),
    created_ms bigint not null,
    expires_ms bigint not null,
    used_ms bigint,
    used_by bigint references account (id)
);

create table submission (
    id {identity},
    challenge_id bigint not null references challenge (id),
    team_id bigint not null references team (id),
    account_id bigint not null references account (id),
    state text not null check (state in ('queued', 'scored', 'refused', 'withdrawn')),
    sha256 text check (length(sha256) = 64),
    file_name text not null,
    size_bytes bigint not null check (size_bytes >= 0),
    problems text not null,
    submitted_ms bigint not null,
    check (sha256 is not null or state = 'refused')
);
create index submission_of_team on submission (team_id, submitted_ms);
create index submission_queued on submission (challenge_id, id) where state = 'queued';

-- Written once for each submission and task, by the scoring process. A withdrawn submission keeps its scores.
create table score (
    submission_id bigint not null references submission (id),
    task text not null check (task in ('expression', 'valence-arousal')),
    public_shown double precision,
    is_accepted bigint not null check (is_accepted in (0, 1)),
    public_true double precision not null,
    private_true double precision not null,
    detail text not null,
    primary key (submission_id, task)
);

-- The leaderboards, as the scoring process computed them: its tests need the labels.
create table challenge_board (
    challenge_id bigint not null references challenge (id),
    task text not null check (task in ('expression', 'valence-arousal')),
    half text not null check (half in ('public', 'private')),
    standings text not null,
    computed_ms bigint not null,
    primary key (challenge_id, task, half)
);
