//! How far do annotators agree with each other, where not everyone saw everything?

use std::collections::BTreeMap;

use affectory_core::Expression;

use crate::confusion::{Class, ConfusionMatrix, mean, ratio};
use crate::regression::{Moments, RegressionScore};
use crate::reliability::{Level, Units, fleiss_kappa, krippendorff_alpha};

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
    /// Krippendorff's alpha, nominal.
    pub krippendorff_alpha: Option<f64>,
    /// Every two annotators with a face in common.
    pub pairs: Vec<CategoryPair>,
    /// `matrix[a][b]`: where one annotator said a, the share in which another said b; the diagonal is the
    /// agreement of that category. Undefined where nobody who said a had company.
    pub matrix: Vec<Vec<Option<f64>>>,
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

/// One answer of one kind: (face, annotator, value).
type Answer<T> = (i64, i64, T);

/// Agreement of all annotators on all faces, with gaps. Of an annotator's several ratings of one face the
/// last counts.
pub fn agreement(ratings: &[Rating]) -> Agreement {
    let distinct = |id: fn(&Rating) -> i64| {
        let mut ids: Vec<i64> = ratings.iter().map(id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.len()
    };
    let answers = |dimension: fn(&Rating) -> Option<f64>| -> Vec<Answer<f64>> {
        ratings.iter().filter_map(|rating| Some((rating.face, rating.annotator, dimension(rating)?))).collect()
    };
    let categories =
        ratings.iter().filter_map(|rating| Some((rating.face, rating.annotator, rating.expression?.index() as Class)));
    Agreement {
        n_annotators: distinct(|rating| rating.annotator),
        n_faces: distinct(|rating| rating.face),
        expression: category_agreement(categories.collect(), Expression::ALL.len()),
        valence: dimension_agreement(answers(|rating| rating.valence)),
        arousal: dimension_agreement(answers(|rating| rating.arousal)),
    }
}

/// Agreement on classes 0 to `n_classes - 1`, from (face, annotator, class).
///
/// # Panics
/// If a class is not below `n_classes`.
pub fn category_agreement(answers: Vec<(i64, i64, Class)>, n_classes: usize) -> CategoryAgreement {
    let answers = by_face(answers);
    let mut pairs: BTreeMap<(i64, i64), ConfusionMatrix> = BTreeMap::new();
    let mut both_ways = ConfusionMatrix::empty(n_classes);
    for_each_pair(&answers, |annotators, (a, b)| {
        pairs.entry(annotators).or_insert_with(|| ConfusionMatrix::empty(n_classes)).add(a, b);
        both_ways.add(a, b);
        both_ways.add(b, a);
    });
    let pairs: Vec<CategoryPair> = pairs
        .into_iter()
        .map(|((first, second), matrix)| CategoryPair {
            first,
            second,
            n: matrix.total() as usize,
            percent: matrix.accuracy(),
            cohen_kappa: matrix.cohen_kappa(),
        })
        .collect();
    let share_rows = both_ways.rows().zip(both_ways.support());
    CategoryAgreement {
        n_shared: n_shared(&answers),
        percent: both_ways.accuracy(),
        mean_cohen_kappa: mean(pairs.iter().map(|pair| pair.cohen_kappa)),
        fleiss_kappa: fleiss_kappa(&class_counts(&answers, n_classes)),
        krippendorff_alpha: krippendorff_alpha(&units(&answers, f64::from), Level::Nominal),
        matrix: share_rows.map(|(row, total)| row.iter().map(|&count| ratio(count, total)).collect()).collect(),
        pairs,
    }
}

/// Agreement on numbers, from (face, annotator, value).
pub fn dimension_agreement(answers: Vec<(i64, i64, f64)>) -> DimensionAgreement {
    let answers = by_face(answers);
    let mut pairs: BTreeMap<(i64, i64), (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for_each_pair(&answers, |annotators, (a, b)| {
        let (first, second) = pairs.entry(annotators).or_default();
        first.push(a);
        second.push(b);
    });
    let pairs: Vec<DimensionPair> = pairs
        .into_iter()
        .map(|((first, second), (a, b))| DimensionPair {
            first,
            second,
            n: a.len(),
            score: Moments::of(&a, &b).score(),
        })
        .collect();
    let over_pairs = |figure: fn(&RegressionScore) -> Option<f64>| mean(pairs.iter().map(|pair| figure(&pair.score)));
    DimensionAgreement {
        n_shared: n_shared(&answers),
        krippendorff_alpha: krippendorff_alpha(&units(&answers, |value| value), Level::Interval),
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

/// How often each face was given each class, faces by ascending id.
fn class_counts(answers: &[Answer<Class>], n_classes: usize) -> Vec<Vec<u32>> {
    let of_face = |face: &[Answer<Class>]| {
        let mut counts = vec![0; n_classes];
        face.iter().for_each(|&(_, _, class)| counts[usize::from(class)] += 1);
        counts
    };
    faces(answers).map(of_face).collect()
}

/// Sorted by face, then annotator; the last of an annotator's answers for a face stays.
fn by_face<T: Copy>(mut answers: Vec<Answer<T>>) -> Vec<Answer<T>> {
    answers.reverse();
    answers.sort_by_key(|&(face, annotator, _)| (face, annotator));
    answers.dedup_by_key(|&mut (face, annotator, _)| (face, annotator));
    answers
}

fn faces<T>(answers: &[Answer<T>]) -> impl Iterator<Item = &[Answer<T>]> {
    answers.chunk_by(|a, b| a.0 == b.0)
}

fn n_shared<T>(answers: &[Answer<T>]) -> usize {
    faces(answers).filter(|face| face.len() >= 2).count()
}

fn units<T: Copy>(answers: &[Answer<T>], number: impl Fn(T) -> f64 + Copy) -> Units {
    Units::new(faces(answers).map(|face| face.iter().map(move |&(_, _, value)| number(value))))
}

/// Calls once for every two answers of one face, the lower annotator's first.
fn for_each_pair<T: Copy>(answers: &[Answer<T>], mut call: impl FnMut((i64, i64), (T, T))) {
    for face in faces(answers) {
        for (place, &(_, first, a)) in face.iter().enumerate() {
            for &(_, second, b) in &face[place + 1..] {
                call((first, second), (a, b));
            }
        }
    }
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
