//! The pages in which people annotate, and in which a lab watches over what they do.
//!
//! In: an opened project, a listener, a clock, a source of tokens. Out: a server that runs until it is told to stop. All
//! pages, scripts and styles are inside the program. This crate knows nothing of SQL, and computes no figure itself: the
//! room `annotate` does, for the command line too.
//!
//! Where a request goes: `server` (limits) -> `security` (headers) -> `access` (who, may they, is it really them) -> one
//! handler in `pages`, `api` or `pictures`. Every route stands in `routes` with the role that it asks for.

mod server;

mod access;
mod attempts;
mod passwords;
mod security;
mod uploads;

mod app;
mod failure;
mod files;
mod messages;
mod operations;
mod post;
mod recorder;
mod watch;
mod way;
mod wire;

mod routes;

mod api;
mod assets;
mod pages;
mod pictures;

#[cfg(test)]
mod stories;

pub use app::{App, Patience, Portal, ServeOptions};
pub use operations::{Operations, QueueFigures, ShardFigures, serve_operations};
pub use passwords::{hash_password, password_problem};
pub use server::serve;
