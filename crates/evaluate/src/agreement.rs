//! How far do annotators agree with each other, where not everyone saw everything?

use std::collections::HashMap;

use affectory_core::Expression;
use rayon::prelude::*;

use crate::answers::{Answer, Answers, distinct};
use crate::confusion::{Class, ConfusionMatrix, mean, ratio};
use crate::regression::{Moments, RegressionScore};
use crate::reliability::{FleissSums, Level, Units, krippendorff_alpha};

/// One annotator's answer for one face; what was not answered is `None`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rating {
    /// Which face.
    pub face: i64,
    /// Which annotator.
    pub annotator: i64,
    /// Category.
    pub expression: Option<Expression>,
    /// Valence, -1 to 1.
    pub valence: Option<f64>,
    /// Arousal, -1 to 1.
    pub arousal: Option<f64>,
}

/// Agreement in both emotion models.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Agreement {
    /// Number of annotators.
    pub n_annotators: usize,
    /// Number of faces with a rating.
    pub n_faces: usize,
    /// On the category, class index = AffectNet's.
    pub expression: CategoryAgreement,
    /// On valence.
    pub valence: DimensionAgreement,
    /// On arousal.
    pub arousal: DimensionAgreement,
}

/// Agreement on categories.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct CategoryAgreement {
    /// Faces that two or more annotators gave a category.
    pub n_shared: usize,
    /// Share of all pairs of ratings of one face that are equal.
    pub percent: Option<f64>,
    /// Mean of the annotator pairs' Cohen's kappa where defined.
    pub mean_cohen_kappa: Option<f64>,
    /// Fleiss' kappa; only where every face has the same number of ratings.
    pub fleiss_kappa: Option<f64>,
    /// Fleiss' kappa on the largest set of faces where it is defined; none where no face has two ratings.
    pub fleiss_kappa_on: Option<FleissSubset>,
    /// Krippendorff's alpha, nominal.
    pub krippendorff_alpha: Option<f64>,
    /// Every two annotators with a face in common.
    pub pairs: Vec<CategoryPair>,
    /// `matrix[a][b]`: where one annotator said a, the share in which another said b; the diagonal is the
    /// agreement of that category. Undefined where nobody who said a had company.
    pub matrix: Vec<Vec<Option<f64>>>,
}

/// Fleiss' kappa on the faces with one number of ratings: the most common one of at least 2, of equally common
/// ones the lowest.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct FleissSubset {
    /// Ratings each of these faces has, >= 2.
    pub n_ratings: usize,
    /// How many faces these are.
    pub n_faces: usize,
    /// Fleiss' kappa on them; undefined where only one class occurs.
    pub kappa: Option<f64>,
}

/// Two annotators' agreement on categories.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct CategoryPair {
    /// The annotator with the lower id.
    pub first: i64,
    /// The other.
    pub second: i64,
    /// Faces that both gave a category.
    pub n: usize,
    /// Share of equal answers.
    pub percent: Option<f64>,
    /// Cohen's kappa.
    pub cohen_kappa: Option<f64>,
}

/// Agreement on valence or on arousal.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct DimensionAgreement {
    /// Faces that two or more annotators placed.
    pub n_shared: usize,
    /// Krippendorff's alpha, interval.
    pub krippendorff_alpha: Option<f64>,
    /// Krippendorff's alpha, ordinal: by rank, so indifferent to how an annotator stretches the scale.
    pub krippendorff_alpha_ordinal: Option<f64>,
    /// All pairs of ratings of one face taken together, each pair both ways, since neither annotator is the truth:
    /// the figures of AffectNet's table of agreement (Mollahosseini et al. 2017).
    pub pooled: RegressionScore,
    /// Each figure's mean over the annotator pairs where it is defined.
    pub mean: RegressionScore,
    /// Every two annotators with a face in common.
    pub pairs: Vec<DimensionPair>,
}

/// Two annotators' agreement on valence or arousal.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct DimensionPair {
    /// The annotator with the lower id.
    pub first: i64,
    /// The other.
    pub second: i64,
    /// Faces that both placed.
    pub n: usize,
    /// RMSE, MAE, CORR, SAGR and CCC of the two.
    #[serde(flatten)]
    pub score: RegressionScore,
}

/// Agreement of all annotators on all faces, with gaps. Of an annotator's several ratings of one face the
/// last counts. About 0.2 s for 1,000,000 ratings of 500,000 faces by 12 annotators on two cores.
pub fn agreement(ratings: &[Rating]) -> Agreement {
    let answers = |dimension: fn(&Rating) -> Option<f64>| -> Vec<Answer<f64>> {
        ratings.iter().filter_map(|rating| Some((rating.face, rating.annotator, dimension(rating)?))).collect()
    };
    let categories = || {
        ratings.iter().filter_map(|rating| Some((rating.face, rating.annotator, rating.expression?.index() as Class)))
    };
    let ((valence, arousal), (expression, (n_annotators, n_faces))) = rayon::join(
        || {
            rayon::join(
                || dimension_agreement(answers(|rating| rating.valence)),
                || dimension_agreement(answers(|rating| rating.arousal)),
            )
        },
        || {
            rayon::join(
                || category_agreement(categories().collect(), Expression::ALL.len()),
                || {
                    let n_distinct = |id: fn(&Rating) -> i64| distinct(ratings.iter().map(id)).len();
                    (n_distinct(|rating| rating.annotator), n_distinct(|rating| rating.face))
                },
            )
        },
    );
    Agreement { n_annotators, n_faces, expression, valence, arousal }
}

/// Agreement on classes 0 to `n_classes - 1`, from (face, annotator, class).
///
/// # Panics
/// If a class is not below `n_classes`.
pub fn category_agreement(answers: Vec<(i64, i64, Class)>, n_classes: usize) -> CategoryAgreement {
    let answers = Answers::new(answers);
    assert!(answers.given().iter().all(|&(_, class)| usize::from(class) < n_classes), "class outside the matrix");
    let pairs = by_pair(&answers, || ConfusionMatrix::empty(n_classes), |matrix, a, b| matrix.add(a, b));
    let mut both_ways = ConfusionMatrix::empty(n_classes);
    pairs.iter().for_each(|(_, matrix)| both_ways.add_both_ways(matrix));
    let pairs: Vec<CategoryPair> = pairs
        .into_par_iter()
        .map(|((first, second), matrix)| CategoryPair {
            first,
            second,
            n: matrix.total() as usize,
            percent: matrix.accuracy(),
            cohen_kappa: matrix.cohen_kappa(),
        })
        .collect();
    let share_rows = both_ways.rows().zip(both_ways.support());
    let (everywhere, fleiss_kappa_on) = fleiss(&answers, n_classes);
    CategoryAgreement {
        n_shared: n_shared(&answers),
        percent: both_ways.accuracy(),
        mean_cohen_kappa: mean(pairs.iter().map(|pair| pair.cohen_kappa)),
        fleiss_kappa: everywhere,
        fleiss_kappa_on,
        krippendorff_alpha: krippendorff_alpha(&units(&answers, f64::from), Level::Nominal),
        matrix: share_rows.map(|(row, total)| row.iter().map(|&count| ratio(count, total)).collect()).collect(),
        pairs,
    }
}

/// Agreement on numbers, from (face, annotator, value).
pub fn dimension_agreement(answers: Vec<(i64, i64, f64)>) -> DimensionAgreement {
    let answers = Answers::new(answers);
    let pairs = by_pair(&answers, <(Vec<f64>, Vec<f64>)>::default, |(first, second), a, b| {
        first.push(a);
        second.push(b);
    });
    let (mut from, mut to) = (Vec::new(), Vec::new());
    for (_, (a, b)) in &pairs {
        from.extend_from_slice(a);
        from.extend_from_slice(b);
        to.extend_from_slice(b);
        to.extend_from_slice(a);
    }
    let pairs: Vec<DimensionPair> = pairs
        .into_par_iter()
        .map(|((first, second), (a, b))| DimensionPair {
            first,
            second,
            n: a.len(),
            score: Moments::of(&a, &b).score(),
        })
        .collect();
    let over_pairs = |figure: fn(&RegressionScore) -> Option<f64>| mean(pairs.iter().map(|pair| figure(&pair.score)));
    let units = units(&answers, |value| value);
    DimensionAgreement {
        n_shared: n_shared(&answers),
        krippendorff_alpha: krippendorff_alpha(&units, Level::Interval),
        krippendorff_alpha_ordinal: krippendorff_alpha(&units, Level::Ordinal),
        pooled: Moments::of(&from, &to).score(),
        mean: RegressionScore {
            rmse: over_pairs(|score| score.rmse),
            mae: over_pairs(|score| score.mae),
            corr: over_pairs(|score| score.corr),
            sagr: over_pairs(|score| score.sagr),
            ccc: over_pairs(|score| score.ccc),
        },
        pairs,
    }
}

/// Fleiss' kappa over all faces, and over those with the most common number of ratings.
fn fleiss(answers: &Answers<Class>, n_classes: usize) -> (Option<f64>, Option<FleissSubset>) {
    let mut n_faces_with: Vec<usize> = Vec::new();
    for face in answers.by_face() {
        n_faces_with.resize(n_faces_with.len().max(face.len() + 1), 0);
        n_faces_with[face.len()] += 1;
    }
    let numbers =
        n_faces_with.iter().copied().enumerate().filter(|&(n_ratings, n_faces)| n_ratings >= 2 && n_faces > 0);
    let Some((n_ratings, n_faces)) = numbers.rev().max_by_key(|&(_, n_faces)| n_faces) else { return (None, None) };
    let mut sums = FleissSums::new(n_ratings, n_classes);
    let mut counts = vec![0; n_classes];
    for face in answers.by_face().filter(|face| face.len() == n_ratings) {
        counts.fill(0);
        face.iter().for_each(|&(_, class)| counts[usize::from(class)] += 1);
        sums.add(&counts);
    }
    let kappa = sums.kappa();
    let is_everywhere = n_faces == answers.faces.len();
    (kappa.filter(|_| is_everywhere), Some(FleissSubset { n_ratings, n_faces, kappa }))
}

fn n_shared<T: Copy + Send>(answers: &Answers<T>) -> usize {
    answers.by_face().filter(|face| face.len() >= 2).count()
}

fn units<T: Copy + Send>(answers: &Answers<T>, number: impl Fn(T) -> f64 + Copy) -> Units {
    Units::new(answers.by_face().map(|face| face.iter().map(move |&(_, value)| number(value))))
}

/// Gathers once for every two answers of one face, the lower annotator's first; pairs by ascending ids.
fn by_pair<T: Copy + Send, G>(
    answers: &Answers<T>,
    empty: impl Fn() -> G,
    mut gather: impl FnMut(&mut G, T, T),
) -> Vec<((i64, i64), G)> {
    let mut places: HashMap<(u32, u32), usize> = HashMap::new();
    let mut gathered: Vec<((u32, u32), G)> = Vec::new();
    for face in answers.by_face() {
        for (nth, &(first, a)) in face.iter().enumerate() {
            for &(second, b) in &face[nth + 1..] {
                let place = *places.entry((first, second)).or_insert_with(|| {
                    gathered.push(((first, second), empty()));
                    gathered.len() - 1
                });
                gather(&mut gathered[place].1, a, b);
            }
        }
    }
    gathered.sort_unstable_by_key(|&(pair, _)| pair);
    let id = |number: u32| answers.annotators[number as usize];
    gathered.into_iter().map(|((first, second), of_pair)| ((id(first), id(second)), of_pair)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rating(face: i64, annotator: i64, expression: Expression, valence: f64) -> Rating {
        Rating { face, annotator, expression: Some(expression), valence: Some(valence), arousal: None }
    }

    #[test]
    fn gaps_are_left_out_pair_by_pair() {
        use Expression::{Happy, Sad};
        let found = agreement(&[
            rating(1, 7, Happy, 0.5),
            rating(1, 8, Happy, 0.7),
            rating(2, 8, Sad, -0.5),
            rating(2, 9, Happy, 0.1),
            rating(3, 9, Sad, -0.9),
        ]);
        assert_eq!((found.n_annotators, found.n_faces, found.expression.n_shared), (3, 3, 2));
        assert_eq!(found.expression.percent, Some(0.5));
        assert_eq!(
            found.expression.pairs.iter().map(|p| (p.first, p.second, p.n)).collect::<Vec<_>>(),
            [(7, 8, 1), (8, 9, 1)]
        );
        // Of three answers "happy" with company, two met another "happy".
        assert_eq!(found.expression.matrix[1][1], Some(2.0 / 3.0));
        assert_eq!(found.expression.matrix[0][0], None);
        assert!((found.valence.mean.rmse.unwrap() - 0.4).abs() < 1e-12);
        assert_eq!(found.arousal.krippendorff_alpha, None);
    }

    #[test]
    fn the_last_of_two_answers_counts() {
        use Expression::{Happy, Sad};
        let found = agreement(&[rating(1, 1, Sad, 0.0), rating(1, 2, Happy, 0.0), rating(1, 1, Happy, 0.0)]);
        assert_eq!(found.expression.percent, Some(1.0));
    }
}
