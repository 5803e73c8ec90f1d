//! Which numbers describe a face to linear machines?

use std::sync::Arc;

use affectory_nets::FaceIdentity;

use crate::LearnError;
use crate::conventional::hog::{HogOptions, Pixels, hog};
use crate::recipe::{Colour, Method, Recipe};

/// From a crop of the recipe's size and colours to features.
#[derive(Debug, Clone)]
pub enum Descriptor {
    /// Histograms of oriented gradients.
    Hog {
        /// Its knobs.
        options: HogOptions,
        /// Of the crop, pixels.
        side: usize,
        /// Of the crop.
        colour: Colour,
    },
    /// What a network sees that learnt to tell people apart; the same weights in every program.
    Identity(Arc<FaceIdentity>),
}

impl PartialEq for Descriptor {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Hog { options, side, colour }, Self::Hog { options: o, side: s, colour: c }) => {
                options == o && side == s && colour == c
            }
            (Self::Identity(_), Self::Identity(_)) => true,
            _ => false,
        }
    }
}

impl Descriptor {
    /// The descriptor of a recipe for linear machines.
    ///
    /// # Errors
    /// [`LearnError::Weights`] alone, of the network inside the program: a test sees to it that there is none.
    pub fn of(recipe: &Recipe) -> Result<Self, LearnError> {
        Ok(match recipe.method {
            Method::IdentitySvm => Self::Identity(Arc::new(FaceIdentity::bundled()?)),
            Method::Network | Method::HogSvm => {
                Self::Hog { options: recipe.hog(), side: recipe.input_side as usize, colour: recipe.colour }
            }
        })
    }

    /// Numbers of a face.
    ///
    /// # Errors
    /// [`LearnError::Hog`] if a crop is smaller than a block of cells.
    pub fn n_features(recipe: &Recipe) -> Result<usize, LearnError> {
        let side = recipe.input_side as usize;
        match recipe.method {
            Method::IdentitySvm => Ok(FaceIdentity::N_FEATURES),
            Method::Network | Method::HogSvm => recipe.hog().n_features(side, side),
        }
    }

    /// What is being done, for progress.
    pub(crate) fn title(&self) -> &'static str {
        match self {
            Self::Hog { .. } => "histograms of gradients",
            Self::Identity(_) => "a network's features",
        }
    }

    /// The features of a crop.
    ///
    /// # Errors
    /// As [`hog`].
    pub fn describe(&self, crop: &[u8]) -> Result<Vec<f32>, LearnError> {
        match self {
            Self::Hog { options, side, colour } => {
                hog(Pixels { values: crop, width: *side, height: *side, colour: *colour }, options)
            }
            Self::Identity(network) => Ok(network.features(crop)),
        }
    }
}
