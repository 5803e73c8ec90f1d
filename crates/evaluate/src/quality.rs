//! How good is each annotator, against the others or against gold answers, and does it change with time?

use std::collections::{BTreeMap, HashMap};

use affectory_core::Expression;

use crate::agreement::Rating;
use crate::confusion::{Class, ConfusionMatrix};
use crate::consensus::plurality;
use crate::regression::Moments;

/// A rating with the time it was given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimedRating {
    /// What was answered.
    pub rating: Rating,
    /// When, in milliseconds since 1970 UTC.
    pub annotated_ms: i64,
}

/// The answer that is held to be right.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reference {
    /// Category.
    pub expression: Option<Expression>,
    /// Valence, -1 to 1.
    pub valence: Option<f64>,
    /// Arousal, -1 to 1.
    pub arousal: Option<f64>,
}

/// A rating beside the answer that is held to be right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// What was answered, and when.
    pub given: TimedRating,
    /// What should have been answered; what is not known is not judged.
    pub reference: Reference,
}

/// Compares each rating with what the *other* annotators of the face say: their plurality (none on a tie) and their
/// mean valence and arousal. So nobody confirms themself. Of an annotator's several ratings of a face the latest counts.
pub fn against_others(ratings: &[TimedRating]) -> Vec<Comparison> {
    let ratings = last_ratings(ratings);
    let of_face = |face: &[TimedRating]| -> Vec<Comparison> {
        let mut counts = [0u32; 11];
        face.iter().filter_map(|timed| timed.rating.expression).for_each(|e| counts[e.index()] += 1);
        let valence = SumOfOthers::of(face, |rating| rating.valence);
        let arousal = SumOfOthers::of(face, |rating| rating.arousal);
        let of_others = |given: &TimedRating| {
            let mut counts = counts;
            if let Some(own) = given.rating.expression {
                counts[own.index()] -= 1;
            }
            let expression = plurality(&counts).and_then(Expression::from_index);
            let (valence, arousal) =
                (valence.mean_without(given.rating.valence), arousal.mean_without(given.rating.arousal));
            Comparison { given: *given, reference: Reference { expression, valence, arousal } }
        };
        face.iter().map(of_others).collect()
    };
    ratings.chunk_by(|a, b| a.rating.face == b.rating.face).flat_map(of_face).collect()
}

/// Compares the ratings of the faces that have a gold answer, by face id, with it. Of an annotator's several ratings of
/// a face the last counts.
pub fn against_gold(ratings: &[TimedRating], gold: &HashMap<i64, Reference>) -> Vec<Comparison> {
    let with_gold = |given: TimedRating| Some(Comparison { given, reference: *gold.get(&given.rating.face)? });
    last_ratings(ratings).into_iter().filter_map(with_gold).collect()
}

/// How an annotator's answers compare with the reference.
#[derive(Debug, Clone, PartialEq)]
pub struct AnnotatorQuality {
    /// Which annotator.
    pub annotator: i64,
    /// Answers compared, in either emotion model.
    pub n: usize,
    /// Counts of (reference, answer), class index = AffectNet's.
    pub confusion: ConfusionMatrix,
    /// Share of answers with the reference's category, and how well that is known.
    pub accuracy: Option<Proportion>,
    /// On valence.
    pub valence: DimensionQuality,
    /// On arousal.
    pub arousal: DimensionQuality,
}

/// How an annotator's numbers compare with the reference's.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub struct DimensionQuality {
    /// Answers compared.
    pub n: usize,
    /// Mean of answer minus reference.
    pub bias: Option<f64>,
    /// Root mean square of answer minus reference.
    pub rmse: Option<f64>,
}

/// A share with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Proportion {
    /// How many are of the kind.
    pub n_hits: usize,
    /// Out of how many, > 0.
    pub n: usize,
    /// `n_hits / n`.
    pub share: f64,
    /// Lower end of the interval, [0, 1].
    pub low: f64,
    /// Upper end of the interval, [0, 1].
    pub high: f64,
}

/// A share with Wilson's score interval at 95 % (1927), which keeps its word with few answers and near 0 and 1;
/// undefined without answers.
///
/// ```
/// let all_right = affectory_evaluate::wilson(10, 10).unwrap();
/// assert_eq!((all_right.share, all_right.high), (1.0, 1.0));
/// assert!((all_right.low - 10.0 / (10.0 + 1.959964f64.powi(2))).abs() < 1e-6);
/// ```
pub fn wilson(n_hits: usize, n: usize) -> Option<Proportion> {
    const Z: f64 = 1.959_963_984_540_054; // 97.5th percentile of the normal distribution
    if n == 0 {
        return None;
    }
    let (total, share) = (n as f64, n_hits as f64 / n as f64);
    let scale = 1.0 + Z * Z / total;
    let middle = (share + Z * Z / (2.0 * total)) / scale;
    let half = Z * (share * (1.0 - share) / total + Z * Z / (4.0 * total * total)).sqrt() / scale;
    // At 0 and at 1 the end is exact, and only rounding would say otherwise.
    let low = if n_hits == 0 { 0.0 } else { middle - half };
    let high = if n_hits == n { 1.0 } else { middle + half };
    Some(Proportion { n_hits, n, share, low, high })
}

/// Every annotator's figures, by ascending id.
pub fn annotator_quality(comparisons: &[Comparison]) -> Vec<AnnotatorQuality> {
    let mut by_annotator: BTreeMap<i64, Vec<&Comparison>> = BTreeMap::new();
    for comparison in comparisons {
        by_annotator.entry(comparison.given.rating.annotator).or_default().push(comparison);
    }
    by_annotator.into_iter().map(|(annotator, compared)| quality_of(annotator, &compared)).collect()
}

/// How an annotator's answers are cut into stretches of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// Calendar days in UTC.
    Days,
    /// This many answers after each other, >= 1 (0 is taken for 1); the last block may be shorter.
    Answers(usize),
}

/// An annotator's figures in one stretch of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// Time of the first answer in it, in milliseconds since 1970 UTC.
    pub first_ms: i64,
    /// Time of the last answer in it.
    pub last_ms: i64,
    /// The figures.
    pub quality: AnnotatorQuality,
}

/// Every annotator's figures over time: by ascending annotator, then time.
pub fn drift(comparisons: &[Comparison], period: Period) -> Vec<Drift> {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let mut ordered: Vec<&Comparison> = comparisons.iter().collect();
    // The face makes the order, and with it the blocks, the same for any order of the rows.
    ordered.sort_by_key(|c| (c.given.rating.annotator, c.given.annotated_ms, c.given.rating.face));
    let of_annotator = |compared: &[&Comparison]| -> Vec<Drift> {
        let stretch = |compared: &[&Comparison]| Drift {
            first_ms: compared[0].given.annotated_ms,
            last_ms: compared[compared.len() - 1].given.annotated_ms,
            quality: quality_of(compared[0].given.rating.annotator, compared),
        };
        let day = |comparison: &Comparison| comparison.given.annotated_ms.div_euclid(DAY_MS);
        match period {
            Period::Days => compared.chunk_by(|a, b| day(a) == day(b)).map(stretch).collect(),
            Period::Answers(n) => compared.chunks(n.max(1)).map(stretch).collect(),
        }
    };
    ordered.chunk_by(|a, b| a.given.rating.annotator == b.given.rating.annotator).flat_map(of_annotator).collect()
}

fn quality_of(annotator: i64, compared: &[&Comparison]) -> AnnotatorQuality {
    let mut confusion = ConfusionMatrix::empty(Expression::ALL.len());
    let mut n_hits = 0;
    for comparison in compared {
        if let (Some(right), Some(given)) = (comparison.reference.expression, comparison.given.rating.expression) {
            confusion.add(right.index() as Class, given.index() as Class);
            n_hits += usize::from(right == given);
        }
    }
    let dimension = |both: fn(&Comparison) -> Option<(f64, f64)>| {
        let (right, given): (Vec<f64>, Vec<f64>) = compared.iter().filter_map(|&comparison| both(comparison)).unzip();
        let moments = Moments::of(&right, &given);
        DimensionQuality { n: right.len(), bias: moments.bias(), rmse: moments.score().rmse }
    };
    AnnotatorQuality {
        annotator,
        n: compared.len(),
        accuracy: wilson(n_hits, confusion.total() as usize),
        confusion,
        valence: dimension(|c| c.reference.valence.zip(c.given.rating.valence)),
        arousal: dimension(|c| c.reference.arousal.zip(c.given.rating.arousal)),
    }
}

/// By face, then annotator; of an annotator's several ratings of a face the last.
fn last_ratings(ratings: &[TimedRating]) -> Vec<TimedRating> {
    let mut ratings = ratings.to_vec();
    ratings.sort_by_key(|timed| (timed.rating.face, timed.rating.annotator, timed.annotated_ms));
    ratings.dedup_by(|later, kept| {
        let is_same = (later.rating.face, later.rating.annotator) == (kept.rating.face, kept.rating.annotator);
        if is_same {
            *kept = *later;
        }
        is_same
    });
    ratings
}

/// A sum from which one's own part can be taken away.
struct SumOfOthers {
    sum: f64,
    n: u32,
}

impl SumOfOthers {
    fn of(face: &[TimedRating], value: fn(&Rating) -> Option<f64>) -> Self {
        let values = face.iter().filter_map(|timed| value(&timed.rating));
        values.fold(Self { sum: 0.0, n: 0 }, |all, value| Self { sum: all.sum + value, n: all.n + 1 })
    }

    fn mean_without(&self, own: Option<f64>) -> Option<f64> {
        let (sum, n) = (self.sum - own.unwrap_or(0.0), self.n - u32::from(own.is_some()));
        (n > 0).then(|| sum / f64::from(n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn timed(face: i64, annotator: i64, expression: Expression, valence: f64, annotated_ms: i64) -> TimedRating {
        let rating = Rating { face, annotator, expression: Some(expression), valence: Some(valence), arousal: None };
        TimedRating { rating, annotated_ms }
    }

    #[test]
    fn nobody_is_their_own_reference() {
        use Expression::{Fear, Surprise};
        let ratings = [
            timed(1, 1, Fear, 0.4, 0),
            timed(1, 2, Surprise, 0.0, 0),
            timed(1, 3, Surprise, 0.2, 0),
            timed(2, 1, Fear, 0.0, 0),
        ];
        let quality = annotator_quality(&against_others(&ratings));
        // Annotator 1 is alone against two; 2 and 3 each meet one of either, a tie; face 2 has no others.
        assert_eq!(quality[0].accuracy.map(|share| (share.n_hits, share.n)), Some((0, 1)));
        assert_eq!((quality[0].confusion.cell(Surprise.index(), Fear.index()), quality[0].n), (1.0, 2));
        assert_eq!(quality[1].accuracy, None);
        assert!((quality[0].valence.bias.unwrap() - 0.3).abs() < 1e-12 && quality[0].valence.n == 1);
        assert!((quality[1].valence.rmse.unwrap() - 0.3).abs() < 1e-12);
        assert_eq!(quality[0].arousal, DimensionQuality::default());
    }

    #[test]
    fn gold_is_compared_where_there_is_some_with_the_latest_answer() {
        use Expression::{Happy, Sad};
        let gold = HashMap::from([(1, Reference { expression: Some(Happy), ..Reference::default() })]);
        let ratings = [timed(1, 1, Happy, 0.0, 9), timed(1, 1, Sad, 0.0, 5), timed(2, 1, Sad, 0.0, 6)];
        let quality = annotator_quality(&against_gold(&ratings, &gold));
        assert_eq!(quality[0].accuracy.map(|share| (share.n_hits, share.n)), Some((1, 1)));
    }

    #[test]
    fn who_tires_is_seen() {
        let gold: HashMap<i64, Reference> = (0..20)
            .map(|face| (face, Reference { expression: Some(Expression::Sad), ..Reference::default() }))
            .collect();
        let answer = |face: i64| if face < 15 { Expression::Sad } else { Expression::Neutral };
        let ratings: Vec<TimedRating> =
            (0..20).rev().map(|face| timed(face, 1, answer(face), 0.0, DAY_MS - 10 + face)).collect();
        let compared = against_gold(&ratings, &gold);
        let shares = |period| {
            let drift = drift(&compared, period);
            drift
                .iter()
                .map(|stretch| stretch.quality.accuracy.map(|share| (share.n_hits, share.n)))
                .collect::<Vec<_>>()
        };
        assert_eq!(shares(Period::Days), [Some((10, 10)), Some((5, 10))]);
        assert_eq!(shares(Period::Answers(8)), [Some((8, 8)), Some((7, 8)), Some((0, 4))]);
    }

    #[test]
    fn wilsons_interval_meets_a_worked_example() {
        // 15 of 20 (statsmodels.stats.proportion.proportion_confint(15, 20, method="wilson")).
        let found = wilson(15, 20).unwrap();
        assert!((found.low - 0.531_299).abs() < 1e-5 && (found.high - 0.888_138).abs() < 1e-5, "{found:?}");
        assert_eq!(wilson(0, 0), None);
    }
}
