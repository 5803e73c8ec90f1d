//! How good are predictions, how far do annotators agree, what do they say together, and how is that written down?
//!
//! In: labels, scores and numbers, or two CSV files. Out: figures (`None` where undefined, never 0 or NaN),
//! tables and a picture. Pure functions throughout: this crate knows nothing of the catalogue, networks or
//! images, and writes no files.
//!
//! ```
//! use affectory_core::LabelSet;
//! use affectory_evaluate::{Missing, evaluate, read_table};
//!
//! let truth = "image,expression,valence,arousal\na.png,happy,0.6,0.2\nb.png,sad,-0.5,-0.3\n";
//! let guess = "image,expression,valence,arousal\na.png,happy,0.4,0.1\nb.png,fear,-0.3,0.4\n";
//! let evaluation = evaluate(
//!     &read_table(truth.as_bytes(), "truth.csv")?,
//!     &read_table(guess.as_bytes(), "predictions.csv")?,
//!     &LabelSet::eight(),
//!     Missing::Refused,
//! )?;
//! assert_eq!(evaluation.accuracy, Some(0.5));
//! assert_eq!(evaluation.valence.sagr, Some(1.0));
//! assert_eq!(evaluation.roc_auc_macro, None); // no p_<label> columns
//! # Ok::<(), affectory_evaluate::EvaluateError>(())
//! ```

mod error;

mod records;
mod table;

mod evaluation;

mod calibration;
mod confusion;
mod incomplete_beta;
mod ranking;
mod regression;
mod temperature;

mod answers;

mod agreement;
mod reliability;

mod binomial;
mod bootstrap;
mod intervals;
mod metric;
mod paired;
mod resample;

mod consensus;
mod dawid_skene;
mod weighted_mean;

mod method;

mod quality;
mod second_look;

mod ceiling;
mod comparison;
mod label_errors;
mod subgroup;

mod render;
mod report;

pub use agreement::{
    Agreement, CategoryAgreement, CategoryPair, DimensionAgreement, DimensionPair, FleissSubset, Rating, agreement,
    category_agreement, dimension_agreement,
};
pub use bootstrap::{Bootstrap, Interval, percentile_interval};
pub use calibration::{
    Calibration, CalibrationError, ReliabilityBin, adaptive_calibration_error, are_probabilities, brier, calibration,
    calibration_error, log_loss, reliability_curve, top_class, top_k_accuracy,
};
pub use ceiling::{Ceiling, VoteTable, Votes, ceiling, read_votes};
pub use comparison::{ComparedRun, Run, RunComparison, Standing, check_same_truth, compare_runs};
pub use confusion::{Averaged, Class, ConfusionMatrix, KappaWeights};
pub use consensus::{Consensus, Vote, majority, plurality, soft_label, vote_counts};
pub use dawid_skene::{AnnotatorConfusion, DawidSkene, DawidSkeneOptions, dawid_skene};
pub use error::EvaluateError;
pub use evaluation::{Evaluation, Matched, Missing, Pairs, SkewNormalised, evaluate, match_images};
pub use intervals::{Intervals, MAX_RANKED_ROWS, intervals};
pub use label_errors::{Disagreement, likely_label_errors, surest_errors};
pub use method::{ConsensusMethod, ConsensusResult, FaceConsensus, FaceVote, form_consensus};
pub use metric::{ClassFigure, Dimension, LabelFigure, Metric, RankingFigure, ValueFigure};
pub use paired::{McNemar, PairedComparison, PairedDifference, compare_pair, holm, mcnemar};
pub use quality::{
    AnnotatorQuality, Comparison, DimensionQuality, Drift, Period, Proportion, Reference, TimedRating, against_gold,
    against_others, annotator_quality, drift, wilson,
};
pub use ranking::{RankingScore, Scores, macro_mean, rank_classes, rank_micro, support_mean};
pub use regression::{Moments, RegressionScore, regression, spearman};
pub use reliability::{Icc, Level, Units, fleiss_kappa, icc, krippendorff_alpha};
pub use render::{
    Format, class_table, comparison_table, confusion_svg, confusion_table, escape, figure_table, subgroup_table,
};
pub use report::{EvaluationReport, comparison_html, evaluation_html};
pub use second_look::{Doubt, FaceOpinions, SecondLook, SecondLookOptions, second_look};
pub use subgroup::{Gap, Subgroup, Subgroups, subgroups};
pub use table::{GroupColumn, Row, Table, read_table};
pub use temperature::{Temperature, apply_temperature, fit_temperature};
pub use weighted_mean::{AnnotatorWeight, FaceMean, WeightedMean, WeightedMeanOptions, weighted_mean_of};
