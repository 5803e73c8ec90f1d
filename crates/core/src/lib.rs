//! The words every other room speaks: what an expression, a valence, a face box or a label set *is*.
//!
//! In: numbers and text. Out: values that cannot be wrong. This crate knows nothing of files,
//! databases, pixels or networks, and does no I/O.
//!
//! ```
//! use affectory_core::{Expression, ValenceArousal};
//!
//! let happy: Expression = "happiness".parse()?;
//! assert_eq!(happy, Expression::Happy);
//! assert_eq!(happy.index(), 1);
//!
//! let point = ValenceArousal::new(0.6, 0.3)?;
//! assert!(happy.suggested_region().is_some_and(|region| region.contains(point)));
//! # Ok::<(), affectory_core::CoreError>(())
//! ```

mod affect;
mod circumplex;
mod expression;
mod geometry;
mod hash;
mod ids;
mod label_set;
mod proxy;
mod sets;
mod stage;

pub use affect::{Arousal, Valence, ValenceArousal};
pub use circumplex::Region;
pub use expression::Expression;
pub use geometry::{BoundingBox, Landmarks, Point};
pub use hash::{PerceptualHash, Sha256Hex};
pub use ids::{
    AccountId, AnnotationId, AnnotatorId, CandidateId, ChallengeId, DownloadId, FaceId, GrantId, ImageId, LessonId,
    MemberId, PackageId, PoolId, ReleaseId, RequestId, SearchId, SubmissionId, TeamId, TokenId,
};
pub use label_set::LabelSet;
pub use sets::DisjointSets;
pub use stage::{Progress, Silent, Split, Stop, WAY, way_us};

/// What can be wrong with a value that comes from outside.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CoreError {
    /// A label that is neither a known name nor an index of the label set.
    #[error(
        "unknown expression `{0}` (known: neutral, happy, sad, surprise, fear, disgust, anger, contempt, none, uncertain, non-face, or 0 to 10)"
    )]
    UnknownExpression(String),
    /// A valence outside [-1, 1] or not a number.
    #[error("valence {0} is outside [-1, 1]")]
    ValenceOutOfRange(f32),
    /// An arousal outside [-1, 1] or not a number.
    #[error("arousal {0} is outside [-1, 1]")]
    ArousalOutOfRange(f32),
    /// A box with a side that is not positive, or a coordinate that is not finite.
    #[error("box x={x} y={y} width={width} height={height} is empty or not finite")]
    BadBox {
        /// Left edge in pixels.
        x: f32,
        /// Upper edge in pixels.
        y: f32,
        /// Width in pixels.
        width: f32,
        /// Height in pixels.
        height: f32,
    },
    /// Landmark text that is not `x;y;x;y;...`, or a number of points no scheme uses.
    #[error("landmarks: {0}")]
    BadLandmarks(String),
    /// A label set that is empty, has a label twice, or an unknown one.
    #[error("label set `{text}`: {reason}")]
    BadLabelSet {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Text that is not a split's name.
    #[error("unknown split `{0}` (known: train, valid, test)")]
    UnknownSplit(String),
    /// Text that is not 64 hexadecimal digits.
    #[error("`{0}` is not a SHA-256 in hexadecimal")]
    BadHash(String),
}
