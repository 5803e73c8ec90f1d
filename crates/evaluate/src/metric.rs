//! Which figures are there, what are they called, and how is each read from an evaluation?

use crate::confusion::{Averaged, Class, ConfusionMatrix};
use crate::evaluation::Evaluation;
use crate::regression::RegressionScore;

/// Figures of predicted labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LabelFigure {
    /// Share of right labels.
    Accuracy,
    /// Mean recall over the classes in truth.
    BalancedAccuracy,
    /// Mean F1 over the classes in truth or prediction.
    F1Macro,
    /// Mean F1, weighted by support.
    F1Weighted,
    /// Cohen's kappa.
    Kappa,
    /// Krippendorff's nominal alpha.
    Alpha,
}

/// Figures of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClassFigure {
    /// Share of what was predicted as the class that is right.
    Precision,
    /// Share of the class that was found.
    Recall,
    /// Harmonic mean of both.
    F1,
}

/// Figures of scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RankingFigure {
    /// Area under the ROC curve.
    Auc,
    /// Average precision.
    AucPr,
}

/// One of the two dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// From unpleasant to pleasant.
    Valence,
    /// From calm to excited.
    Arousal,
}

/// Figures of one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ValueFigure {
    /// Root mean square error.
    Rmse,
    /// Pearson's correlation.
    Corr,
    /// Sign agreement.
    Sagr,
    /// Concordance.
    Ccc,
}

/// A figure of an [`Evaluation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    /// Of labels, as they are distributed.
    Label(LabelFigure),
    /// Of labels, as if every class were equally frequent.
    SkewNormalised(LabelFigure),
    /// Of one class.
    Class(ClassFigure, Class),
    /// Mean over the classes.
    Ranking(RankingFigure),
    /// Average precision as if positives weighed as much as negatives, mean over the classes.
    SkewNormalisedAucPr,
    /// Of one class against the rest.
    ClassRanking(RankingFigure, Class),
    /// Of valence or arousal.
    Value(Dimension, ValueFigure),
}

impl LabelFigure {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Accuracy, Self::BalancedAccuracy, Self::F1Macro, Self::F1Weighted, Self::Kappa, Self::Alpha];

    /// The four that AffectNet's tables also have skew-normalised.
    pub const SKEW_NORMALISED: [Self; 4] = [Self::Accuracy, Self::F1Macro, Self::Kappa, Self::Alpha];

    /// The figure of a matrix.
    pub fn of(self, matrix: &ConfusionMatrix) -> Option<f64> {
        match self {
            Self::Accuracy => matrix.accuracy(),
            Self::BalancedAccuracy => matrix.balanced_accuracy(),
            Self::F1Macro => matrix.f1_macro(Averaged::Union),
            Self::F1Weighted => matrix.f1_weighted(),
            Self::Kappa => matrix.cohen_kappa(),
            Self::Alpha => matrix.krippendorff_alpha(),
        }
    }

    /// As the tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced accuracy",
            Self::F1Macro => "F1 (macro)",
            Self::F1Weighted => "F1 (weighted)",
            Self::Kappa => "kappa",
            Self::Alpha => "alpha",
        }
    }
}

impl ClassFigure {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Precision, Self::Recall, Self::F1];

    /// The figure of every class of a matrix.
    pub fn of(self, matrix: &ConfusionMatrix) -> Vec<Option<f64>> {
        match self {
            Self::Precision => matrix.precision_per_class(),
            Self::Recall => matrix.recall_per_class(),
            Self::F1 => matrix.f1_per_class(),
        }
    }

    /// As the tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::F1 => "F1",
        }
    }
}

impl RankingFigure {
    /// As the tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auc => "AUC",
            Self::AucPr => "AUC-PR",
        }
    }
}

impl Dimension {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Valence, Self::Arousal];

    /// As the tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Valence => "valence",
            Self::Arousal => "arousal",
        }
    }

    /// The dimension's figures.
    pub fn of(self, evaluation: &Evaluation) -> &RegressionScore {
        match self {
            Self::Valence => &evaluation.valence,
            Self::Arousal => &evaluation.arousal,
        }
    }
}

impl ValueFigure {
    /// All of them, in the order of AffectNet's table.
    pub const ALL: [Self; 4] = [Self::Rmse, Self::Corr, Self::Sagr, Self::Ccc];

    /// The figure among its fellows.
    pub fn of(self, score: &RegressionScore) -> Option<f64> {
        match self {
            Self::Rmse => score.rmse,
            Self::Corr => score.corr,
            Self::Sagr => score.sagr,
            Self::Ccc => score.ccc,
        }
    }

    /// As the tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rmse => "RMSE",
            Self::Corr => "CORR",
            Self::Sagr => "SAGR",
            Self::Ccc => "CCC",
        }
    }
}

impl Metric {
    /// Its value; `None` where undefined.
    pub fn of(self, evaluation: &Evaluation) -> Option<f64> {
        let even = &evaluation.skew_normalised;
        let of_class = |figures: &[Option<f64>], class: Class| figures.get(usize::from(class)).copied().flatten();
        match self {
            Self::Label(LabelFigure::Accuracy) => evaluation.accuracy,
            Self::Label(LabelFigure::BalancedAccuracy) => evaluation.balanced_accuracy,
            Self::Label(LabelFigure::F1Macro) => evaluation.f1_macro,
            Self::Label(LabelFigure::F1Weighted) => evaluation.f1_weighted,
            Self::Label(LabelFigure::Kappa) => evaluation.cohen_kappa,
            Self::Label(LabelFigure::Alpha) => evaluation.krippendorff_alpha,
            // With equal support the mean recall is the accuracy.
            Self::SkewNormalised(LabelFigure::Accuracy | LabelFigure::BalancedAccuracy) => even.accuracy,
            Self::SkewNormalised(LabelFigure::F1Macro) => even.f1_macro,
            Self::SkewNormalised(LabelFigure::F1Weighted) => None,
            Self::SkewNormalised(LabelFigure::Kappa) => even.cohen_kappa,
            Self::SkewNormalised(LabelFigure::Alpha) => even.krippendorff_alpha,
            Self::Class(ClassFigure::Precision, class) => of_class(&evaluation.precision_per_class, class),
            Self::Class(ClassFigure::Recall, class) => of_class(&evaluation.recall_per_class, class),
            Self::Class(ClassFigure::F1, class) => of_class(&evaluation.f1_per_class, class),
            Self::Ranking(RankingFigure::Auc) => evaluation.roc_auc_macro,
            Self::Ranking(RankingFigure::AucPr) => evaluation.average_precision_macro,
            Self::SkewNormalisedAucPr => even.average_precision_macro,
            Self::ClassRanking(RankingFigure::Auc, class) => of_class(&evaluation.roc_auc_per_class, class),
            Self::ClassRanking(RankingFigure::AucPr, class) => of_class(&evaluation.average_precision_per_class, class),
            Self::Value(dimension, figure) => figure.of(dimension.of(evaluation)),
        }
    }

    /// As the tables call it; a class's figure without the class.
    pub fn name(self) -> String {
        match self {
            Self::Label(figure) => figure.name().to_owned(),
            Self::SkewNormalised(figure) => format!("{}, skew-normalised", figure.name()),
            Self::Class(figure, _) => figure.name().to_owned(),
            Self::Ranking(figure) | Self::ClassRanking(figure, _) => figure.name().to_owned(),
            Self::SkewNormalisedAucPr => "AUC-PR, skew-normalised".to_owned(),
            Self::Value(dimension, figure) => format!("{} {}", dimension.name(), figure.name()),
        }
    }

    /// The class that it is about.
    pub fn class(self) -> Option<Class> {
        match self {
            Self::Class(_, class) | Self::ClassRanking(_, class) => Some(class),
            Self::Label(_) | Self::SkewNormalised(_) | Self::Ranking(_) | Self::SkewNormalisedAucPr => None,
            Self::Value(..) => None,
        }
    }

    /// Whether less is better: errors.
    pub fn is_error(self) -> bool {
        matches!(self, Self::Value(_, ValueFigure::Rmse))
    }

    /// Every metric of a label set of this size.
    pub fn all(n_classes: usize) -> Vec<Self> {
        let classes = || 0..n_classes as Class;
        let ranking = [RankingFigure::Auc, RankingFigure::AucPr];
        let mut all: Vec<Self> = LabelFigure::ALL.map(Self::Label).to_vec();
        all.extend(ranking.map(Self::Ranking));
        all.extend(LabelFigure::SKEW_NORMALISED.map(Self::SkewNormalised));
        all.push(Self::SkewNormalisedAucPr);
        all.extend(Dimension::ALL.iter().flat_map(|&d| ValueFigure::ALL.map(|figure| Self::Value(d, figure))));
        all.extend(ClassFigure::ALL.iter().flat_map(|&f| classes().map(move |class| Self::Class(f, class))));
        all.extend(ranking.iter().flat_map(|&f| classes().map(move |class| Self::ClassRanking(f, class))));
        all
    }
}
