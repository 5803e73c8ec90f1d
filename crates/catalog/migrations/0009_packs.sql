-- Why: a release's images lie together in large files of the store as well, which several machines write.

-- How a release is divided: each pack of a split has an equal share of the range of all hashes.
create table packing (
    release_id bigint primary key references release (id),
    images_per_pack bigint not null check (images_per_pack > 0)
);

-- A pack, and what is known of its file once there is one. `made_from` is a hash of the images and faces in it: where a
-- withdrawal leaves fewer, the pack is written anew, under another name.
create table pack (
    release_id bigint not null references packing (release_id),
    split bigint not null check (split between 0 and 2),
    number bigint not null check (number >= 0),
    n_images bigint,
    n_bytes bigint,
    sha256 text check (length(sha256) = 64),
    made_from text check (length(made_from) = 64),
    primary key (release_id, split, number)
);
