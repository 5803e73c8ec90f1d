-- Why: several web servers share one catalogue, and count together how often somebody tries to sign in.

-- So many attempts of one kind by one account or from one address of the network, until `ends_ms`, when they are swept.
-- Who it was stands as a hash: it is compared, and read by nobody.
create table attempt (
    of_sha256 text primary key check (length(of_sha256) = 64),
    n bigint not null check (n > 0),
    ends_ms bigint not null
);
create index attempt_end on attempt (ends_ms);
