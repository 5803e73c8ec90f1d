//! Which errors is a model surest of, and which of them are rather the label's?

use affectory_core::Expression;

use crate::calibration::top_class;
use crate::evaluation::Matched;

/// An image whose given label and prediction differ.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Disagreement {
    /// Row in the truth.
    pub row: u32,
    /// The label as given.
    pub given: Expression,
    /// Its probability.
    pub p_given: f64,
    /// What the model says.
    pub said: Expression,
    /// Its probability.
    pub p_said: f64,
}

/// The `n` wrong predictions that the model is surest of, surest first; none without probabilities.
pub fn surest_errors(matched: &Matched, n: usize) -> Vec<Disagreement> {
    let Some(probabilities) = matched.probabilities() else { return Vec::new() };
    let mut errors: Vec<Disagreement> = rows(matched, &probabilities)
        .filter_map(|(at, row)| {
            let said = usize::from(top_class(row));
            (said != usize::from(matched.score_truth[at])).then(|| disagreement(matched, at, row, said))
        })
        .collect();
    errors.sort_by(|a, b| b.p_said.total_cmp(&a.p_said));
    errors.truncate(n);
    errors
}

/// The `n` likeliest label errors by confident learning (Northcutt, Jiang, Chuang 2021), clearest first: the given
/// label is less probable than it is on average where it is given, and another one at least as probable as that is
/// where *it* is given. Only sound for probabilities from a model that has not seen these images in training.
pub fn likely_label_errors(matched: &Matched, n: usize) -> Vec<Disagreement> {
    let Some(probabilities) = matched.probabilities() else { return Vec::new() };
    let n_classes = matched.labels.len();
    let mut sums = vec![(0.0, 0.0); n_classes];
    for (at, row) in rows(matched, &probabilities) {
        let given = usize::from(matched.score_truth[at]);
        sums[given].0 += row[given];
        sums[given].1 += 1.0;
    }
    // The mean self-confidence of a class that is never given is unknown: nothing passes it.
    let threshold: Vec<f64> = sums.iter().map(|&(sum, n)| if n > 0.0 { sum / n } else { f64::INFINITY }).collect();
    let mut errors: Vec<Disagreement> = rows(matched, &probabilities)
        .filter_map(|(at, row)| {
            let given = usize::from(matched.score_truth[at]);
            let others = (0..n_classes).filter(|&class| class != given && row[class] >= threshold[class]);
            let said = others.max_by(|&a, &b| row[a].total_cmp(&row[b]))?;
            (row[given] < threshold[given] && row[said] > row[given]).then(|| disagreement(matched, at, row, said))
        })
        .collect();
    errors.sort_by(|a, b| (b.p_said - b.p_given).total_cmp(&(a.p_said - a.p_given)));
    errors.truncate(n);
    errors
}

fn rows<'a>(matched: &Matched, probabilities: &'a [f64]) -> impl Iterator<Item = (usize, &'a [f64])> {
    probabilities.chunks_exact(matched.labels.len()).enumerate()
}

fn disagreement(matched: &Matched, at: usize, row: &[f64], said: usize) -> Disagreement {
    let given = usize::from(matched.score_truth[at]);
    Disagreement {
        row: matched.score_rows[at],
        given: matched.labels[given],
        p_given: row[given],
        said: matched.labels[said],
        p_said: row[said],
    }
}

#[cfg(test)]
mod tests {
    use affectory_core::LabelSet;

    use super::*;
    use crate::{Missing, match_images, read_table};

    #[test]
    fn a_sure_error_is_a_label_error_only_where_its_own_class_is_seldom_so_sure() {
        // Mean self-confidence: happy (0.9 + 0.8 + 0.1) / 3 = 0.6, sad (0.7 + 0.45) / 2 = 0.575.
        let truth = "image,expression\na,happy\nb,happy\nc,happy\nd,sad\ne,sad\n";
        let guess = "image,p_happy,p_sad\na,0.9,0.1\nb,0.8,0.2\nc,0.1,0.9\nd,0.3,0.7\ne,0.55,0.45\n";
        let table = |text: &str| read_table(text.as_bytes(), "t").unwrap();
        let labels = LabelSet::parse("happy,sad").unwrap();
        let matched = match_images(&table(truth), &table(guess), &labels, None, Missing::Refused).unwrap();
        let places = |found: Vec<Disagreement>| found.iter().map(|error| error.row).collect::<Vec<_>>();
        assert_eq!(places(surest_errors(&matched, 9)), [2, 4]);
        assert_eq!(places(surest_errors(&matched, 1)), [2]);
        // e says happy with 0.55, below happy's 0.6.
        assert_eq!(places(likely_label_errors(&matched, 9)), [2]);
    }
}
