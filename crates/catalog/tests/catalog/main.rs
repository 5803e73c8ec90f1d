//! Does the catalogue keep its promises on both engines? One question a module; one program, so that it is linked once.

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

mod annotating;
mod asking;
mod buckets;
mod challenging;
mod cluster;
mod collection;
mod engines;
mod exchange;
mod moving;
mod outage;
mod portal;
mod reporting;
mod store;
mod stores;
mod twofold;
mod upgrade;
