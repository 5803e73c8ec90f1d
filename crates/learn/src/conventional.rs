//! How far does one get without a network? Gradient histograms, and linear machines on top of them.
//!
//! AffectNet's conventional baseline (Mollahosseini et al. 2017): a support vector machine for the expression and two
//! support vector regressions for valence and arousal, on histograms of oriented gradients. The same machines learn from what a
//! network sees that was trained for something else. Reading order: `hog` (pixels to features), `descriptor`, `dual` (one machine), `linear` (a machine a class, a machine a dimension), `training` (a
//! run), `model` (what is kept of it).

mod descriptor;
mod dual;
mod hog;
mod linear;
mod model;
mod training;
mod wide;

pub use descriptor::Descriptor;
pub use dual::{Features, Fit, LinearOptions, Loss, Sided, fit_sides, fit_targets};
pub use hog::{BlockNorm, HogOptions, Pixels, hog};
pub use linear::{ClassWeights, fit_affect, fit_classes};
pub use model::{ConventionalCard, ConventionalModel, Decision, Machines};
pub(crate) use training::train;
