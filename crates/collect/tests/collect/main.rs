//! Does collecting stand up to a hostile internet? One scripted server on loopback, one file a room.

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

mod faults;
mod net;
mod report;
mod searching;
mod stages;
mod support;
