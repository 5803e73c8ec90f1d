//! Who gets a release, on which promise, and how is an answer to a withheld test set scored?
//!
//! In: what a lab says of its database (`portal.toml`), requests, signed agreements, releases, submissions. Out: letters,
//! the agreement as a PDF, findings about a signed one, archives that say who got them, ranks.
//! This crate knows nothing of SQL, of HTML pages or of the clock; the pages are in `web`, the rows in `catalog`.

pub mod challenge;
