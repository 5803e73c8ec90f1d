//! Do calibration, temperature and paired tests equal NumPy's, SciPy's and statsmodels'? `evaluation_goldens.py` wrote
//! what they say of seeded data.

#![expect(clippy::unwrap_used, reason = "a golden of another shape shall fail the test")]

use affectory_evaluate::{
    Class, Scores, adaptive_calibration_error, apply_temperature, fit_temperature, holm, mcnemar, reliability_curve,
};
use serde_json::Value;

fn goldens() -> Value {
    serde_json::from_str(include_str!("evaluation_goldens.json")).unwrap()
}

fn floats(values: &Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn near(found: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() <= tolerance, "{found} {expected}");
}

#[test]
fn calibration_and_temperature_equal_scipys() {
    for case in goldens()["calibration"].as_array().unwrap() {
        let truth: Vec<Class> = floats(&case["truth"]).into_iter().map(|class| class as Class).collect();
        let (values, n_classes) = (floats(&case["scores"]), case["n_classes"].as_u64().unwrap() as usize);
        let scores = Scores::new(&values, n_classes).unwrap();
        let fitted = fit_temperature(&truth, scores).unwrap();
        // Brent's search stops where the likelihood is flat to rounding, hence the wider tolerance.
        near(fitted.temperature, &case["temperature"], 1e-6);
        near(fitted.nll_before, &case["nll_before"], 1e-12);
        near(fitted.nll_after, &case["nll_after"], 1e-12);
        let scaled = apply_temperature(scores, fitted.temperature);
        scaled.iter().zip(case["scaled_first_row"].as_array().unwrap()).for_each(|(p, q)| near(*p, q, 1e-6));
        near(adaptive_calibration_error(&truth, scores, 15).unwrap(), &case["adaptive_ece_15"], 1e-12);
        let scaled = Scores::new(&scaled, n_classes).unwrap();
        near(adaptive_calibration_error(&truth, scaled, 15).unwrap(), &case["adaptive_ece_15_scaled"], 1e-6);
        let curve = reliability_curve(&truth, scores, 10).unwrap();
        let expected = case["curve_10"].as_array().unwrap();
        assert_eq!(curve.len(), expected.len());
        for (bin, expected) in curve.iter().zip(expected) {
            near((bin.low * 10.0).round(), &expected[0], 0.0);
            near(bin.n as f64, &expected[1], 0.0);
            near(bin.confidence, &expected[2], 1e-12);
            near(bin.accuracy, &expected[3], 1e-12);
        }
    }
}

#[test]
fn paired_tests_equal_statsmodels() {
    let goldens = goldens();
    for case in goldens["mcnemar"].as_array().unwrap() {
        let found = mcnemar(case["b"].as_u64().unwrap(), case["c"].as_u64().unwrap());
        near(found.p_exact, &case["p_exact"], 1e-9);
        assert!(found.p_mid <= found.p_exact);
    }
    for case in goldens["holm"].as_array().unwrap() {
        let found = holm(&floats(&case["p"]));
        found.iter().zip(case["adjusted"].as_array().unwrap()).for_each(|(p, q)| near(*p, q, 1e-12));
    }
}
