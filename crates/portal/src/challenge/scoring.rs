//! How good is a submission on a half of the test set? By exactly the code of `affectory evaluate`.

use affectory_catalog::{ChallengeMetric, ChallengeTask};
use affectory_core::LabelSet;
use affectory_evaluate::{
    Averaged, Bootstrap, ConfusionMatrix, EvaluateError, Interval, Matched, Missing, Moments, PairedDifference, Table,
    compare_pair, match_images, mcnemar, percentile_interval,
};

use super::halves::part;

/// How intervals and tests are drawn: the same for everybody.
pub const BOOTSTRAP: Bootstrap = Bootstrap { n_resamples: 1000, confidence: 0.95, seed: 1 };

/// A submission against a half of the truth; its answers for the other half are left aside.
///
/// # Errors
/// What [`match_images`] refuses. Such an error may say which images have labels: it is for the scoring process alone.
pub fn match_half(half: &Table, predictions: &Table, labels: &LabelSet) -> Result<Matched, EvaluateError> {
    let wanted = half.index()?;
    match_images(half, &part(predictions, |image| wanted.contains_key(image)), labels, None, Missing::Refused)
}

/// The figure that submissions are ranked by. An undefined one (both sides one constant) is 0, what a guess is worth.
pub fn figure(metric: ChallengeMetric, matched: &Matched) -> f64 {
    let found = match metric {
        ChallengeMetric::Accuracy | ChallengeMetric::BalancedAccuracy | ChallengeMetric::F1Macro => {
            of_labels(metric, &matched.confusion())
        }
        ChallengeMetric::MeanCcc => {
            let ccc = |pairs: &affectory_evaluate::Pairs| Moments::of(&pairs.truth, &pairs.predicted).ccc();
            mean(ccc(&matched.valence), ccc(&matched.arousal))
        }
    };
    found.unwrap_or(0.0)
}

/// Its percentile interval over resamples of images.
pub fn interval(metric: ChallengeMetric, matched: &Matched) -> Option<Interval> {
    let drawn: Vec<Option<f64>> = match metric {
        ChallengeMetric::Accuracy | ChallengeMetric::BalancedAccuracy | ChallengeMetric::F1Macro => {
            let matrix = matched.confusion();
            BOOTSTRAP.redraw_counts(matrix.cells(), |cells| of_labels(metric, &matrix.with_cells(cells)))
        }
        // Images have both values or neither, so a resample is of the same images in both.
        ChallengeMetric::MeanCcc => {
            let of = |pairs: &affectory_evaluate::Pairs| BOOTSTRAP.redraw_moments(&pairs.truth, &pairs.predicted);
            of(&matched.valence).iter().zip(of(&matched.arousal)).map(|(v, a)| mean(v.ccc(), a.ccc())).collect()
        }
    };
    percentile_interval(&drawn.into_iter().flatten().collect::<Vec<_>>(), BOOTSTRAP.confidence)
}

/// How much `second` is above `first` on the same images.
pub fn paired(metric: ChallengeMetric, first: &Matched, second: &Matched) -> Option<PairedDifference> {
    let pair = compare_pair(first, second, BOOTSTRAP);
    match metric {
        ChallengeMetric::Accuracy => pair.accuracy,
        ChallengeMetric::BalancedAccuracy => pair.balanced_accuracy,
        ChallengeMetric::F1Macro => pair.f1_macro,
        ChallengeMetric::MeanCcc => pair.mean_ccc,
    }
}

/// The p-value of there being no difference: McNemar's mid-p for the accuracy, the paired bootstrap's for other figures.
pub fn p_of_equality(metric: ChallengeMetric, first: &Matched, second: &Matched) -> f64 {
    if metric == ChallengeMetric::Accuracy && first.rows == second.rows {
        let right = |run: &Matched, at: usize| run.truth[at] == run.predicted[at];
        let only =
            |a: &Matched, b: &Matched| (0..a.rows.len()).filter(|&at| right(a, at) && !right(b, at)).count() as u64;
        return mcnemar(only(first, second), only(second, first)).p_mid;
    }
    paired(metric, first, second).map_or(1.0, |difference| difference.p)
}

/// Whether a matched submission answers a task.
pub fn answers(task: ChallengeTask, matched: &Matched) -> bool {
    match task {
        ChallengeTask::Expression => !matched.truth.is_empty(),
        ChallengeTask::ValenceArousal => !matched.valence.truth.is_empty() && !matched.arousal.truth.is_empty(),
    }
}

fn of_labels(metric: ChallengeMetric, matrix: &ConfusionMatrix) -> Option<f64> {
    match metric {
        ChallengeMetric::Accuracy => matrix.accuracy(),
        ChallengeMetric::BalancedAccuracy => matrix.balanced_accuracy(),
        ChallengeMetric::F1Macro => matrix.f1_macro(Averaged::Union),
        ChallengeMetric::MeanCcc => None,
    }
}

fn mean(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.zip(b).map(|(a, b)| (a + b) / 2.0)
}

#[cfg(test)]
mod tests {
    use affectory_evaluate::{evaluate, read_table};

    use super::*;

    #[test]
    fn figures_are_those_of_evaluate() {
        let labels = LabelSet::parse("happy,sad,fear").unwrap();
        let names = ["happy", "sad", "fear"];
        let table = |step: usize, slope: f64| {
            let row = |n: usize| {
                let value = ((n * 7) % 20) as f64 / 10.0 - 1.0;
                format!(
                    "{n},{},{},{}\n",
                    names[(n / step + n) % 3],
                    value * slope,
                    -value * 0.5 + (n % step) as f64 / 20.0
                )
            };
            let text: String = (0..300).map(row).collect();
            read_table(format!("image,expression,valence,arousal\n{text}").as_bytes(), "t").unwrap()
        };
        let (truth, guess, other) = (table(7, 1.0), table(5, 0.7), table(3, 0.2));
        let half = part(&truth, |image| image.len() == 2);
        let of = |guess: &Table| match_half(&half, guess, &labels).unwrap();
        let (matched, worse) = (of(&guess), of(&other));
        let expected = evaluate(&half, &part(&guess, |image| image.len() == 2), &labels, Missing::Refused).unwrap();
        let ccc = (expected.valence.ccc.unwrap() + expected.arousal.ccc.unwrap()) / 2.0;
        let figures =
            [expected.accuracy.unwrap(), expected.balanced_accuracy.unwrap(), expected.f1_macro.unwrap(), ccc];
        for (metric, expected) in ChallengeMetric::ALL.into_iter().zip(figures) {
            let found = figure(metric, &matched);
            assert_eq!(found, expected, "{metric:?}");
            let bounds = interval(metric, &matched).unwrap();
            assert!(bounds.low < found && found < bounds.high, "{metric:?}");
            let difference = paired(metric, &worse, &matched).unwrap();
            assert!((difference.difference - (found - figure(metric, &worse))).abs() < 1e-12, "{metric:?}");
            assert_eq!(p_of_equality(metric, &matched, &matched), 1.0);
        }
        assert!(answers(ChallengeTask::Expression, &matched) && answers(ChallengeTask::ValenceArousal, &matched));
    }
}
