//! How does data get in and out? Imports, releases (consensus, groups, splits, manifest, counts) and exports.
//!
//! In: folders, tables and archives of other databases; labelled faces and collected images of the catalogue. Out: rows
//! and objects in the project; immutable releases under `releases/`; exports that others' programs read.
//! This crate knows nothing of networks or training, has no SQL, and never reads the clock.
//!
//! ```
//! use affectory_release::npy;
//!
//! // AffectNet's eight-label release keeps each label in a file of its own, as text.
//! let file = npy::text("-0.25");
//! assert_eq!(npy::parse(&file)?, npy::Array::Text(vec!["-0.25".into()]));
//! # Ok::<(), String>(())
//! ```

pub mod build;
mod error;
pub mod export;
mod hashing;
pub mod images;
pub mod import;
mod item;
mod load;
mod manifest;
mod names;
pub mod npy;
pub mod pack;
pub mod rows;
mod verify;

pub use error::ReleaseError;
pub use item::ReleaseItem;
pub use load::{Release, load_release};
pub use verify::{Finding, verify};
