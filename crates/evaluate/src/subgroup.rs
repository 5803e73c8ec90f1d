//! Do predictions serve some people worse than others: figures of each subgroup that the truth names?

use crate::bootstrap::{Bootstrap, Interval};
use crate::evaluation::{Matched, Pairs};
use crate::intervals::intervals;
use crate::metric::{Dimension, LabelFigure, Metric, ValueFigure};
use crate::table::{GroupColumn, Table};

/// The figures that each subgroup has.
pub const GROUP_METRICS: [Metric; 4] = [
    Metric::Label(LabelFigure::Accuracy),
    Metric::Label(LabelFigure::F1Macro),
    Metric::Value(Dimension::Valence, ValueFigure::Ccc),
    Metric::Value(Dimension::Arousal, ValueFigure::Ccc),
];

/// Most subgroups of one column that have figures, those with most images.
const MAX_VALUES: usize = 40;

/// Images below which a subgroup takes no part in the largest gap: its figures are mostly chance.
pub const MIN_IMAGES_FOR_GAP: usize = 30;

/// One column `group_<name>` of the truth.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Subgroups {
    /// Its name without `group_`.
    pub name: String,
    /// Its values with most images first.
    pub groups: Vec<Subgroup>,
    /// Values without figures of their own: beyond the 40 with most images.
    pub n_other_values: usize,
    /// The largest difference of each metric between subgroups of at least 30 images.
    pub gaps: Vec<Gap>,
}

/// Images with one value.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Subgroup {
    /// The value; empty where the cell is.
    pub value: String,
    /// Images with a label on both sides.
    pub n: usize,
    /// By [`GROUP_METRICS`]: figure and interval.
    pub figures: Vec<(Option<f64>, Option<Interval>)>,
}

/// Between the best and the worst subgroup.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Gap {
    /// Of which metric.
    pub metric: String,
    /// Best minus worst.
    pub difference: f64,
    /// Who is best.
    pub best: String,
    /// Who is worst.
    pub worst: String,
}

/// Figures of every subgroup of every `group_` column of the truth that `matched` was matched with.
pub fn subgroups(matched: &Matched, truth: &Table, bootstrap: Bootstrap) -> Vec<Subgroups> {
    truth.groups.iter().map(|column| of_column(matched, column, bootstrap)).collect()
}

fn of_column(matched: &Matched, column: &GroupColumn, bootstrap: Bootstrap) -> Subgroups {
    // A file may have as many values as images: only those that are shown are looked at more closely.
    let counts = [&matched.rows, &matched.valence.rows, &matched.arousal.rows].map(|rows| {
        let mut counts = vec![0usize; column.values.len()];
        rows.iter().filter_map(|&row| column.of_row.get(row as usize)).for_each(|&group| counts[group as usize] += 1);
        counts
    });
    let size = |group: usize| counts.iter().map(|counts| counts[group]).max().unwrap_or(0);
    let mut shown: Vec<usize> = (0..column.values.len()).filter(|&group| size(group) > 0).collect();
    shown.sort_by_key(|&group| (std::cmp::Reverse(size(group)), group));
    let n_other_values = shown.len().saturating_sub(MAX_VALUES);
    shown.truncate(MAX_VALUES);
    let groups: Vec<Subgroup> = shown
        .iter()
        .map(|&group| {
            let part = matched.without_scores_of(|row| column.of_row.get(row as usize) == Some(&(group as u32)));
            let (evaluation, bounds) = (part.evaluation(), intervals(&part, bootstrap));
            let figures = GROUP_METRICS.map(|metric| (metric.of(&evaluation), bounds.of(metric)));
            Subgroup { value: column.values[group].clone(), n: size(group), figures: figures.to_vec() }
        })
        .collect();
    let gap = |(place, metric): (usize, &Metric)| {
        let large = groups.iter().filter(|group| group.n >= MIN_IMAGES_FOR_GAP);
        let figures: Vec<(f64, &str)> =
            large.filter_map(|group| Some((group.figures[place].0?, group.value.as_str()))).collect();
        let best = figures.iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
        let worst = figures.iter().min_by(|a, b| a.0.total_cmp(&b.0))?;
        (figures.len() > 1).then(|| Gap {
            metric: metric.name(),
            difference: best.0 - worst.0,
            best: best.1.to_owned(),
            worst: worst.1.to_owned(),
        })
    };
    let gaps = GROUP_METRICS.iter().enumerate().filter_map(gap).collect();
    Subgroups { name: column.name.clone(), groups, n_other_values, gaps }
}

impl Matched {
    /// The images of some rows of the truth, their scores left out.
    fn without_scores_of(&self, is_in: impl Fn(u32) -> bool) -> Matched {
        let pairs = |all: &Pairs| {
            let places = || all.rows.iter().enumerate().filter(|(_, row)| is_in(**row)).map(|(place, _)| place);
            Pairs {
                truth: places().map(|place| all.truth[place]).collect(),
                predicted: places().map(|place| all.predicted[place]).collect(),
                rows: places().map(|place| all.rows[place]).collect(),
            }
        };
        let places = || self.rows.iter().enumerate().filter(|(_, row)| is_in(**row)).map(|(place, _)| place);
        let truth: Vec<_> = places().map(|place| self.truth[place]).collect();
        Matched {
            labels: self.labels.clone(),
            can_be_said: self.can_be_said.clone(),
            n: truth.len(),
            truth,
            predicted: places().map(|place| self.predicted[place]).collect(),
            rows: places().map(|place| self.rows[place]).collect(),
            score_truth: Vec::new(),
            scores: Vec::new(),
            score_rows: Vec::new(),
            valence: pairs(&self.valence),
            arousal: pairs(&self.arousal),
            n_left_out: 0,
            missing: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use affectory_core::LabelSet;

    use super::*;
    use crate::{Missing, match_images, read_table};

    #[test]
    fn each_value_has_its_figures_and_small_groups_make_no_gap() {
        let (mut truth, mut guess) =
            (String::from("image,expression,group_age,Group_x\n"), String::from("image,expression\n"));
        for row in 0..103 {
            let group = if row >= 100 { "<b>few" } else { ["young", "old"][row % 2] };
            truth += &format!("{row},happy,{group},\n");
            let is_right = row >= 100 || row % 2 == 0 || row % 4 == 1;
            guess += &format!("{row},{}\n", if is_right { "happy" } else { "sad" });
        }
        let truth = read_table(truth.as_bytes(), "t").unwrap();
        let guess = read_table(guess.as_bytes(), "p").unwrap();
        let matched = match_images(&truth, &guess, &LabelSet::eight(), None, Missing::Refused).unwrap();
        let found = subgroups(&matched, &truth, Bootstrap { n_resamples: 100, confidence: 0.95, seed: 1 });
        assert_eq!(found.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["age", "x"]);
        let shown: Vec<_> = found[0].groups.iter().map(|g| (g.value.as_str(), g.n, g.figures[0].0)).collect();
        assert_eq!(shown, [("young", 50, Some(1.0)), ("old", 50, Some(0.5)), ("<b>few", 3, Some(1.0))]);
        let gap = &found[0].gaps[0];
        assert_eq!((gap.difference, gap.best.as_str(), gap.worst.as_str()), (0.5, "young", "old"));
        assert!(found[1].gaps.is_empty() && found[1].groups.len() == 1, "one value has nobody to differ from");
    }
}
