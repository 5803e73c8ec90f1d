//! Where do faces come from when nothing may come from outside? Drawn, with known expression, valence and arousal.
//!
//! In: a category, a seed, a size. Out: the same pixels on every machine, and what they show. Drawings are no
//! photographs: scores on them say that the way works, and nothing of faces; everything made here is called synthetic.
//!
//! ```
//! use affectory_core::Expression;
//!
//! let face = affectory_synthetic::draw(Expression::Happy, 7, 64);
//! assert_eq!((face.image.width, face.image.height), (64, 64));
//! assert!(face.place.is_some_and(|place| place.valence.value() > 0.0));
//! assert_eq!(face, affectory_synthetic::draw(Expression::Happy, 7, 64));
//! ```

mod actions;
mod arithmetic;
mod canvas;
mod dice;
mod face;
mod set;

pub use face::{Drawn, draw};
pub use set::{SampleFace, sample, write_folder};
