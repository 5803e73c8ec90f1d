//! What does each page look like, and what does it do with a form?

pub(crate) mod adjudicate;
pub(crate) mod annotate;
pub(crate) mod audit;
pub(crate) mod challenge;
pub(crate) mod collection;
pub(crate) mod flags;
pub(crate) mod home;
pub(crate) mod invitation;
mod layout;
pub(crate) mod people;
pub(crate) mod pools;
pub(crate) mod quality;
pub(crate) mod quiz;
pub(crate) mod sign_in;
pub(crate) mod training;
pub(crate) mod tutorial;
