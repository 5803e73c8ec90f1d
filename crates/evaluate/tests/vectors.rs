//! Do the figures equal those of scikit-learn, krippendorff and pingouin on the shared test vectors?
//!
//! The vectors are not part of this repository: `AFFECTORY_DATA` names their directory.

#![expect(clippy::unwrap_used, reason = "a vector of another shape shall fail the test")]

use std::fmt::Write as _;
use std::path::PathBuf;

use affectory_core::{Expression, LabelSet};
use affectory_evaluate::{
    Averaged, Class, ConfusionMatrix, KappaWeights, Level, Missing, Moments, RankingScore, Scores, Units,
    are_probabilities, brier, calibration_error, category_agreement, dimension_agreement, evaluate, fleiss_kappa, icc,
    krippendorff_alpha, log_loss, macro_mean, percentile_interval, plurality, rank_classes, rank_micro, read_table,
    spearman, support_mean, top_class, top_k_accuracy,
};
use serde_json::{Value, json};

#[test]
fn the_commands_vectors_are_met() {
    let Some(cases) = vectors("metric_vectors.json") else { return };
    assert_eq!(cases.len(), 35);
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let expected = &case["expected"];
        match case["kind"].as_str().unwrap() {
            "classification" => {
                let labels = first_labels(case["classes"].as_u64().unwrap() as usize);
                let (truth, predictions) = classification_csv(case, &labels);
                assert_near(&through_csv(&truth, &predictions, &labels), expected, name);
            }
            "regression" => {
                let labels = LabelSet::eight();
                for dimension in ["valence", "arousal"] {
                    let csv = |side: &str| number_csv(dimension, &case[side]);
                    let found = through_csv(&csv("truth"), &csv("predicted"), &labels);
                    assert_near(&found[dimension], expected, name);
                }
            }
            "agreement" => {
                let answers = numbers_by_annotator(&case["ratings"]);
                let found = match case["level"].as_str().unwrap() {
                    "nominal" => {
                        let classes = answers.iter().map(|&(unit, rater, value)| (unit, rater, value as Class));
                        category_agreement(classes.collect(), 8).krippendorff_alpha
                    }
                    "interval" => dimension_agreement(answers).krippendorff_alpha,
                    "ordinal" => krippendorff_alpha(&by_unit(&case["ratings"]), Level::Ordinal),
                    other => panic!("{name}: level {other}"),
                };
                assert_near(&json!({ "krippendorff_alpha": found }), expected, name);
            }
            other => panic!("{name}: kind {other}"),
        }
    }
}

#[test]
fn the_librarys_vectors_are_met() {
    let Some(cases) = vectors("metric_vectors_extended.json") else { return };
    assert_eq!(cases.len(), 42);
    for case in &cases {
        let (inputs, params) = (&case["inputs"], &case["params"]);
        let found = match case["kind"].as_str().unwrap() {
            "classification" => classification(inputs, params),
            "scores" => scores(inputs, params),
            "regression" => regression(inputs),
            "agreement_nominal" => agreement_nominal(inputs, params),
            "agreement_interval" => agreement_interval(inputs),
            "bootstrap" => bootstrap(inputs, params),
            other => panic!("kind {other}"),
        };
        let mut expected = case["expected"].clone();
        // A constant of the definition, and a list left out for the large cases.
        expected.as_object_mut().unwrap().remove("nll_clip_eps");
        if case["kind"] == "scores" && expected["argmax_pred"].is_null() {
            expected.as_object_mut().unwrap().remove("argmax_pred");
        }
        assert_near(&found, &expected, case["id"].as_str().unwrap());
    }
}

/// What `affectory evaluate --json` prints for two CSV texts.
fn through_csv(truth: &str, predictions: &str, labels: &LabelSet) -> Value {
    let table = |text: &str, file| read_table(text.as_bytes(), file).unwrap();
    evaluate(&table(truth, "truth.csv"), &table(predictions, "predictions.csv"), labels, Missing::Refused)
        .unwrap()
        .to_json()
}

fn first_labels(n_classes: usize) -> LabelSet {
    let names: Vec<&str> = Expression::ALL[..n_classes].iter().map(|label| label.name()).collect();
    LabelSet::parse(&names.join(",")).unwrap()
}

/// Truth by name, predictions by index.
fn classification_csv(case: &Value, labels: &LabelSet) -> (String, String) {
    let mut truth = String::from("image,expression,valence,arousal\n");
    for (row, class) in list(&case["truth"]).iter().enumerate() {
        let label = labels.labels()[class.as_u64().unwrap() as usize];
        writeln!(truth, "{row}.png,{label},,").unwrap();
    }
    let scores = case.get("scores").and_then(Value::as_array);
    let mut predictions = String::from("image,expression,valence,arousal");
    if scores.is_some() {
        labels.labels().iter().for_each(|label| write!(predictions, ",p_{label}").unwrap());
    }
    predictions.push('\n');
    for (row, class) in list(&case["predicted"]).iter().enumerate() {
        write!(predictions, "{row}.png,{class},,").unwrap();
        for score in scores.map_or(&[][..], |scores| list(&scores[row])) {
            write!(predictions, ",{score}").unwrap();
        }
        predictions.push('\n');
    }
    (truth, predictions)
}

fn number_csv(dimension: &str, values: &Value) -> String {
    let mut csv = format!("image,{dimension}\n");
    list(values).iter().enumerate().for_each(|(row, value)| writeln!(csv, "{row}.png,{value}").unwrap());
    csv
}

fn classification(inputs: &Value, params: &Value) -> Value {
    let n_classes = params["n_classes"].as_u64().unwrap() as usize;
    let (truth, predicted, n_dropped) = pairs(inputs);
    let classes = |values: &[f64]| values.iter().map(|&value| value as Class).collect::<Vec<_>>();
    let matrix = ConfusionMatrix::count(&classes(&truth), &classes(&predicted), n_classes);
    let even = matrix.skew_normalised();
    let rows = |matrix: &ConfusionMatrix| matrix.rows().map(<[f64]>::to_vec).collect::<Vec<_>>();
    let skew = json!({
        "accuracy": even.accuracy(), "cohen_kappa": even.cohen_kappa(),
        "krippendorff_alpha_nominal": even.krippendorff_alpha(), "f1_macro_all": even.f1_macro(Averaged::All),
        "f1_macro_present": even.f1_macro(Averaged::Present), "f1_weighted": even.f1_weighted(),
        "mcc": even.matthews(), "per_class_f1": even.f1_per_class(), "confusion_matrix": rows(&even),
    });
    json!({
        "n_used": truth.len(), "n_dropped": n_dropped, "confusion_matrix": rows(&matrix),
        "accuracy": matrix.accuracy(), "cohen_kappa": matrix.cohen_kappa(),
        "cohen_kappa_linear": matrix.weighted_kappa(KappaWeights::Linear),
        "cohen_kappa_quadratic": matrix.weighted_kappa(KappaWeights::Quadratic),
        "krippendorff_alpha_nominal": matrix.krippendorff_alpha(),
        "per_class": {
            "support": matrix.support(), "predicted": matrix.predicted(), "precision": matrix.precision_per_class(),
            "recall": matrix.recall_per_class(), "f1": matrix.f1_per_class(),
        },
        "f1_macro_all": matrix.f1_macro(Averaged::All), "f1_macro_union": matrix.f1_macro(Averaged::Union),
        "f1_macro_present": matrix.f1_macro(Averaged::Present), "f1_weighted": matrix.f1_weighted(),
        "f1_micro": matrix.accuracy(), "balanced_accuracy": matrix.balanced_accuracy(), "mcc": matrix.matthews(),
        "skew_normalised": if truth.is_empty() { Value::Null } else { skew },
    })
}

fn scores(inputs: &Value, params: &Value) -> Value {
    let n_classes = params["n_classes"].as_u64().unwrap() as usize;
    let rows = list(&inputs["y_true"]).iter().zip(list(&inputs["scores"]));
    let complete = rows.filter(|(truth, row)| !truth.is_null() && list(row).iter().all(|score| !score.is_null()));
    let (truth, rows): (Vec<Class>, Vec<Vec<f64>>) =
        complete.map(|(truth, row)| (truth.as_u64().unwrap() as Class, floats(row))).unzip();
    let values = rows.concat();
    let scores = Scores::new(&values, n_classes).unwrap();
    assert_eq!(params["are_probabilities"], json!(are_probabilities(scores)));
    let (ranking, micro) = (rank_classes(&truth, scores), rank_micro(&truth, scores));
    let each = |metric: fn(&RankingScore) -> Option<f64>| ranking.iter().map(metric).collect::<Vec<_>>();
    let (bins_10, bins_15) = (calibration_error(&truth, scores, 10), calibration_error(&truth, scores, 15));
    json!({
        "n_used": truth.len(), "n_dropped": list(&inputs["y_true"]).len() - truth.len(),
        "auc_roc_per_class": each(|s| s.roc_auc),
        "auc_roc_macro_ovr": macro_mean(&ranking, |s| s.roc_auc),
        "auc_roc_weighted_ovr": support_mean(&ranking, |s| s.roc_auc),
        "average_precision_per_class": each(|s| s.average_precision),
        "average_precision_macro": macro_mean(&ranking, |s| s.average_precision),
        "average_precision_weighted": support_mean(&ranking, |s| s.average_precision),
        "auc_pr_trapezoid_per_class": each(|s| s.pr_auc_trapezoid),
        "auc_pr_trapezoid_macro": macro_mean(&ranking, |s| s.pr_auc_trapezoid),
        "auc_roc_micro": micro.roc_auc, "average_precision_micro": micro.average_precision,
        "skew_normalised": {
            "average_precision_per_class_1to1": each(|s| s.average_precision_1to1),
            "average_precision_macro_1to1": macro_mean(&ranking, |s| s.average_precision_1to1),
            // Every positive meets every negative: weighing the two sides changes nothing.
            "auc_roc_per_class_1to1": each(|s| s.roc_auc),
        },
        "top1_accuracy": top_k_accuracy(&truth, scores, 1), "top2_accuracy": top_k_accuracy(&truth, scores, 2),
        "argmax_pred": scores.rows().map(top_class).collect::<Vec<_>>(),
        "ece_10": bins_10.map(|e| e.expected), "mce_10": bins_10.map(|e| e.maximum),
        "ece_15": bins_15.map(|e| e.expected), "mce_15": bins_15.map(|e| e.maximum),
        "log_loss": log_loss(&truth, scores), "brier_multiclass": brier(&truth, scores),
    })
}

fn regression(inputs: &Value) -> Value {
    let (truth, predicted, n_dropped) = pairs(inputs);
    let moments = Moments::of(&truth, &predicted);
    let (score, both) = (moments.score(), icc(&[&truth, &predicted]));
    json!({
        "n_used": truth.len(), "n_dropped": n_dropped, "rmse": score.rmse, "mae": score.mae, "bias": moments.bias(),
        "pearson": score.corr, "pearson_p": moments.corr_p_value(), "spearman": spearman(&truth, &predicted),
        "sagr": score.sagr, "ccc": score.ccc, "ccc_sample_variance": moments.ccc_sample_variance(),
        "r2": moments.r2(), "icc_3_1": both.map(|icc| icc.two_way_mixed), "icc_2_1": both.map(|icc| icc.two_way_random),
    })
}

fn agreement_nominal(inputs: &Value, params: &Value) -> Value {
    let n_classes = params["n_classes"].as_u64().unwrap() as usize;
    let ratings = &inputs["ratings"];
    let answers = numbers_by_annotator(ratings);
    let found = category_agreement(answers.iter().map(|&(u, r, v)| (u, r, v as Class)).collect(), n_classes);
    let units = by_unit(ratings);
    let mut counts = vec![vec![0u32; n_classes]; list(&ratings[0]).len()];
    answers.iter().for_each(|&(unit, _, class)| counts[unit as usize][class as usize] += 1);
    assert_eq!(found.fleiss_kappa, fleiss_kappa(&counts));
    // The vectors list annotators without a face in common too.
    let n_raters = list(ratings).len() as i64;
    let every_pair = (0..n_raters).flat_map(|first| (first + 1..n_raters).map(move |second| (first, second)));
    let pairwise = every_pair.map(|(first, second)| {
        let pair = found.pairs.iter().find(|pair| (pair.first, pair.second) == (first, second));
        json!([first, second, pair.map_or(0, |pair| pair.n), pair.and_then(|pair| pair.cohen_kappa)])
    });
    json!({
        "krippendorff_alpha_nominal": found.krippendorff_alpha,
        "krippendorff_alpha_ordinal": krippendorff_alpha(&units, Level::Ordinal),
        "krippendorff_alpha_interval": krippendorff_alpha(&units, Level::Interval),
        "plurality_vote": counts.iter().map(|unit| plurality(unit)).collect::<Vec<_>>(),
        "counts_units_x_classes": counts, "fleiss_kappa": found.fleiss_kappa,
        "pairwise": pairwise.collect::<Vec<_>>(), "percent_agreement": found.percent,
        "mean_pairwise_cohen_kappa": found.mean_cohen_kappa,
    })
}

fn agreement_interval(inputs: &Value) -> Value {
    let ratings = &inputs["ratings"];
    let found = dimension_agreement(numbers_by_annotator(ratings));
    let is_complete = list(ratings).iter().all(|rater| list(rater).iter().all(|value| !value.is_null()));
    let complete: Vec<Vec<f64>> = if is_complete { list(ratings).iter().map(floats).collect() } else { Vec::new() };
    let icc = icc(&complete.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let first = found.pairs.iter().find(|pair| (pair.first, pair.second) == (0, 1)).unwrap();
    json!({
        "krippendorff_alpha_interval": found.krippendorff_alpha,
        "krippendorff_alpha_nominal": krippendorff_alpha(&by_unit(ratings), Level::Nominal),
        "icc_1_1": icc.map(|i| i.one_way), "icc_2_1": icc.map(|i| i.two_way_random),
        "icc_3_1": icc.map(|i| i.two_way_mixed), "icc_1_k": icc.map(|i| i.one_way_mean),
        "icc_2_k": icc.map(|i| i.two_way_random_mean), "icc_3_k": icc.map(|i| i.two_way_mixed_mean),
        "rater0_vs_rater1": {
            "rmse": first.score.rmse, "pearson": first.score.corr, "sagr": first.score.sagr, "ccc": first.score.ccc,
            "n": first.n,
        },
    })
}

fn bootstrap(inputs: &Value, params: &Value) -> Value {
    let n_classes = params["n_classes"].as_u64().unwrap() as usize;
    let column = |name: &str| floats(&inputs[name]);
    let (truth, predicted) = (column("y_true"), column("y_pred"));
    let (value_truth, value_predicted) = (column("v_true"), column("v_pred"));
    let mut statistics: [Vec<f64>; 4] = Default::default();
    for rows in list(&inputs["resample_indices"]) {
        let rows: Vec<usize> = list(rows).iter().map(|row| row.as_u64().unwrap() as usize).collect();
        let classes = |values: &[f64]| rows.iter().map(|&row| values[row] as Class).collect::<Vec<_>>();
        let drawn = |values: &[f64]| rows.iter().map(|&row| values[row]).collect::<Vec<_>>();
        let matrix = ConfusionMatrix::count(&classes(&truth), &classes(&predicted), n_classes);
        let score = Moments::of(&drawn(&value_truth), &drawn(&value_predicted)).score();
        let figures = [matrix.accuracy(), matrix.f1_macro(Averaged::All), score.ccc, score.rmse];
        statistics.iter_mut().zip(figures).for_each(|(all, figure)| all.extend(figure));
    }
    let summary = |statistics: &[f64]| {
        let found = percentile_interval(statistics, params["confidence"].as_f64().unwrap()).unwrap();
        json!({ "ci": [found.low, found.high], "mean": found.mean, "std_ddof1": found.std })
    };
    json!({
        "accuracy": summary(&statistics[0]), "f1_macro_all": summary(&statistics[1]),
        "ccc": summary(&statistics[2]), "rmse": summary(&statistics[3]),
    })
}

/// Every expected key must be found with its value: null for null, numbers within 1e-9, absolute or relative.
fn assert_near(found: &Value, expected: &Value, at: &str) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            for (key, value) in expected {
                assert_near(found.get(key).unwrap_or_else(|| panic!("{at}: no {key}")), value, &format!("{at}: {key}"));
            }
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

fn vectors(file: &str) -> Option<Vec<Value>> {
    #[expect(clippy::disallowed_methods, reason = "a test asks where the data lies")]
    let named = std::env::var_os("AFFECTORY_DATA").map(PathBuf::from);
    let path = named.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")));
    let Ok(text) = std::fs::read_to_string(path.join(file)) else {
        println!("SKIPPED: {file} is not in {} (no AFFECTORY_DATA)", path.display());
        return None;
    };
    let mut document: Value = serde_json::from_str(&text).unwrap();
    match document["cases"].take() {
        Value::Array(cases) => Some(cases),
        other => panic!("{file}: cases is {other}"),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn floats(values: &Value) -> Vec<f64> {
    list(values).iter().map(|value| value.as_f64().unwrap()).collect()
}

/// `y_true` and `y_pred` without the pairs that lack one, and how many those are.
fn pairs(inputs: &Value) -> (Vec<f64>, Vec<f64>, usize) {
    let all = list(&inputs["y_true"]).iter().zip(list(&inputs["y_pred"]));
    let n = all.len();
    let (truth, predicted): (Vec<f64>, Vec<f64>) = all.filter_map(|(t, p)| Some((t.as_f64()?, p.as_f64()?))).unzip();
    let n_dropped = n - truth.len();
    (truth, predicted, n_dropped)
}

/// (unit, annotator, value) of `ratings[annotator][unit]`.
fn numbers_by_annotator(ratings: &Value) -> Vec<(i64, i64, f64)> {
    let of_rater = |(rater, units)| {
        let numbered = list(units).iter().enumerate();
        numbered.filter_map(move |(unit, value)| Some((unit as i64, rater as i64, value.as_f64()?)))
    };
    list(ratings).iter().enumerate().flat_map(of_rater).collect()
}

fn by_unit(ratings: &Value) -> Units {
    let of_unit = |unit: usize| list(ratings).iter().filter_map(move |rater| rater[unit].as_f64());
    Units::new((0..list(&ratings[0]).len()).map(of_unit))
}
