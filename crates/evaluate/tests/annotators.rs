//! Do agreement, consensus and annotators' figures of AffectNetC25 (25 people, 800 faces) equal those of other programs?
//!
//! `annotators_goldens.py` computes the figures with krippendorff, pingouin, statsmodels, scikit-learn and numpy. The
//! data set is not part of this repository: `AFFECTORY_DATA` names the directory it lies in.

#![expect(clippy::unwrap_used, reason = "a data set of another shape shall fail the test")]

use std::path::PathBuf;

use affectory_core::Expression;
use affectory_evaluate::{
    Agreement, Class, DawidSkeneOptions, DimensionAgreement, Rating, TimedRating, WeightedMeanOptions, against_others,
    agreement, annotator_quality, dawid_skene, icc, weighted_mean_of,
};
use serde_json::{Value, json};

#[test]
fn agreement_is_that_of_other_programs() {
    let Some(ratings) = ratings() else { return };
    let goldens = goldens();
    for (name, keep) in SELECTIONS {
        let found = agreement(&ratings.iter().copied().filter(|r| keep(r.face, r.annotator)).collect::<Vec<_>>());
        let expected = &goldens[name];
        let Agreement { expression, valence, arousal, .. } = &found;
        let of_categories = json!({
            "krippendorff_alpha": expression.krippendorff_alpha,
            "mean_cohen_kappa": expression.mean_cohen_kappa,
            "fleiss_kappa": expression.fleiss_kappa,
        });
        assert_near(&of_categories, &expected["expression"], name);
        let subset = expression.fleiss_kappa_on.unwrap();
        assert_eq!((subset.n_faces, subset.kappa), (800, expression.fleiss_kappa), "{name}");
        for (dimension, found) in [("valence", valence), ("arousal", arousal)] {
            assert_near(&of_dimension(found), &expected[dimension], &format!("{name}, {dimension}"));
        }
    }
    for (name, value) in [("icc_valence", valence as fn(&Rating) -> f64), ("icc_arousal", arousal)] {
        let people: Vec<Vec<f64>> =
            (0..25).map(|j| ratings.iter().filter(|r| r.annotator == j).map(value).collect()).collect();
        let found = icc(&people.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
        let six = json!([
            found.one_way,
            found.two_way_random,
            found.two_way_mixed,
            found.one_way_mean,
            found.two_way_random_mean,
            found.two_way_mixed_mean
        ]);
        assert_near(&six, &goldens[name], name);
    }
}

#[test]
fn consensus_is_that_of_the_formulas_written_out_in_numpy() {
    let Some(ratings) = ratings() else { return };
    let goldens = goldens();
    for (name, keep) in SELECTIONS {
        let kept = || ratings.iter().filter(|r| keep(r.face, r.annotator)).rev(); // The order must not matter.
        let classes = kept().filter_map(|r| Some((r.face, r.annotator, r.expression?.index() as Class)));
        let options = DawidSkeneOptions { smoothing: 0.01, tolerance: f64::NEG_INFINITY, max_iterations: 30 };
        let found = dawid_skene(classes.collect(), &options);
        let posteriors = || (0..found.faces.len()).map(|face| found.posterior(face));
        let last_class: f64 = posteriors().map(|posterior| posterior[found.classes.len() - 1]).sum();
        let confusion = &found.annotators[0].confusion;
        let figures = json!({
            "log_likelihood": found.log_likelihood,
            "priors": found.priors,
            "first_annotators_diagonal": (0..found.classes.len()).map(|class| confusion[class][class]).collect::<Vec<_>>(),
            "sum_of_squared_posteriors": posteriors().flatten().map(|share| share * share).sum::<f64>(),
            "mean_posterior_of_the_last_class": last_class / found.faces.len() as f64,
        });
        assert_near(&figures, &goldens[name]["dawid_skene"], &format!("{name}, Dawid-Skene"));

        let options = WeightedMeanOptions { tolerance: 0.0, max_iterations: 40, ..WeightedMeanOptions::default() };
        let found = weighted_mean_of(kept().map(|r| (r.face, r.annotator, valence(r))).collect(), &options);
        let figures = json!({
            "variances": found.annotators.iter().map(|annotator| annotator.variance).collect::<Vec<_>>(),
            "mean": found.faces.iter().map(|face| face.mean).sum::<f64>() / found.faces.len() as f64,
            "sum_of_squares": found.faces.iter().map(|face| face.mean * face.mean).sum::<f64>(),
        });
        assert_near(&figures, &goldens[name]["weighted_mean"], &format!("{name}, weighted mean"));
    }
}

#[test]
fn each_person_against_the_other_24_is_as_counted_in_numpy() {
    let Some(ratings) = ratings() else { return };
    let timed: Vec<TimedRating> = ratings.iter().map(|&rating| TimedRating { rating, annotated_ms: 0 }).collect();
    let of_person = |quality: &affectory_evaluate::AnnotatorQuality| {
        let accuracy = quality.accuracy.unwrap();
        json!([accuracy.n_hits, accuracy.n, accuracy.low, accuracy.high, quality.valence.bias, quality.valence.rmse])
    };
    let found: Vec<Value> = annotator_quality(&against_others(&timed)).iter().map(of_person).collect();
    assert_near(&Value::Array(found), &goldens()["others"], "against the others");
}

type Keep = fn(i64, i64) -> bool;

/// Which answers are kept, by (face, annotator): the same in the script.
const SELECTIONS: [(&str, Keep); 3] = [
    ("everyone", |_, _| true),
    ("thinned", |face, annotator| (7 * face + 3 * annotator) % 5 < 2),
    ("twos", |face, annotator| (annotator - face).rem_euclid(25) < 2),
];

fn of_dimension(found: &DimensionAgreement) -> Value {
    json!({
        "krippendorff_alpha": found.krippendorff_alpha,
        "krippendorff_alpha_ordinal": found.krippendorff_alpha_ordinal,
        "pooled": {
            "rmse": found.pooled.rmse,
            "corr": found.pooled.corr,
            "sagr": found.pooled.sagr,
            "ccc": found.pooled.ccc,
        },
    })
}

fn valence(rating: &Rating) -> f64 {
    rating.valence.unwrap()
}

fn arousal(rating: &Rating) -> f64 {
    rating.arousal.unwrap()
}

fn goldens() -> Value {
    serde_json::from_str(include_str!("annotators_goldens.json")).unwrap()
}

/// Every answer, face by face; none, and said so, without the data set.
fn ratings() -> Option<Vec<Rating>> {
    #[expect(clippy::disallowed_methods, reason = "a test asks where the data lies")]
    let Some(data) = std::env::var_os("AFFECTORY_DATA").map(PathBuf::from) else {
        println!("SKIPPED: AffectNetC25 is in AFFECTORY_DATA, which is not set");
        return None;
    };
    let folder = data.join("affectnetc25");
    if !folder.is_dir() {
        println!("SKIPPED: there is no {}", folder.display());
        return None;
    }
    let read = |name: &str| -> Vec<Vec<f64>> {
        let mut table = csv::Reader::from_path(folder.join(format!("{name}_set1_C25.csv"))).unwrap();
        let numbers = |row: csv::StringRecord| row.iter().skip(2).map(|cell| cell.parse().unwrap()).collect();
        table.records().map(|row| numbers(row.unwrap())).collect()
    };
    let (expression, valence, arousal) = (read("expression"), read("valence"), read("arousal"));
    let rating = |face: usize, annotator: usize| Rating {
        face: face as i64,
        annotator: annotator as i64,
        expression: Expression::from_index(expression[face][annotator] as usize),
        valence: Some(valence[face][annotator]),
        arousal: Some(arousal[face][annotator]),
    };
    Some((0..800).flat_map(|face| (0..25).map(move |annotator| (face, annotator))).map(|(f, a)| rating(f, a)).collect())
}

/// Equal to 1e-9, relative above 1.
fn assert_near(found: &Value, expected: &Value, at: &str) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            assert_eq!(found.len(), expected.len(), "{at}");
            expected.iter().for_each(|(key, expected)| assert_near(&found[key], expected, &format!("{at}.{key}")));
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{at}");
            found.iter().zip(expected).for_each(|(found, expected)| assert_near(found, expected, at));
        }
        (Value::Number(found), Value::Number(expected)) => {
            let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
            assert!((found - expected).abs() <= 1e-9f64.max(1e-9 * expected.abs()), "{at}: {found} != {expected}");
        }
        _ => assert_eq!(found, expected, "{at}"),
    }
}
