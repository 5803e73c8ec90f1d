//! Between which bounds do the figures of an evaluation lie, had other images been drawn?

use std::collections::BTreeMap;

use affectory_core::Expression;
use rayon::prelude::*;

use crate::bootstrap::{Bootstrap, Interval, percentile_interval};
use crate::confusion::Class;
use crate::evaluation::Matched;
use crate::metric::{ClassFigure, Dimension, LabelFigure, Metric, RankingFigure, ValueFigure};
use crate::ranking::{Ranked, RankingScore};

/// Most images for which the ranking figures have intervals: every resample walks through all scores, and on more
/// images than these their intervals are narrower than the third decimal.
pub const MAX_RANKED_ROWS: usize = 200_000;

/// Percentile intervals of figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Intervals {
    /// How they were drawn.
    pub bootstrap: Bootstrap,
    figures: BTreeMap<Metric, Interval>,
}

impl Intervals {
    /// The interval of a figure; `None` where the figure is undefined.
    pub fn of(&self, metric: Metric) -> Option<Interval> {
        self.figures.get(&metric).copied()
    }

    /// By the metric's name, a class's figure by metric and label.
    pub fn to_json(&self, labels: &[Expression]) -> serde_json::Value {
        let named = |(metric, interval): (&Metric, &Interval)| {
            let label = metric.class().and_then(|class| labels.get(usize::from(class)));
            let name = label.map_or_else(|| metric.name(), |label| format!("{}: {label}", metric.name()));
            (name, serde_json::json!(interval))
        };
        serde_json::Value::Object(self.figures.iter().map(named).collect())
    }
}

/// Intervals of all figures: those of labels from redrawn counts, those of valence and arousal from redrawn moments,
/// those of scores from redrawn rows up to [`MAX_RANKED_ROWS`].
pub fn intervals(matched: &Matched, bootstrap: Bootstrap) -> Intervals {
    let mut drawn: Vec<(Metric, Vec<Option<f64>>)> = label_draws(matched, bootstrap);
    drawn.extend(ranking_draws(matched, bootstrap));
    for (dimension, pairs) in [(Dimension::Valence, &matched.valence), (Dimension::Arousal, &matched.arousal)] {
        let scores: Vec<_> =
            bootstrap.redraw_moments(&pairs.truth, &pairs.predicted).iter().map(|moments| moments.score()).collect();
        let of_figure = |figure: ValueFigure| {
            (Metric::Value(dimension, figure), scores.iter().map(|score| figure.of(score)).collect())
        };
        drawn.extend(ValueFigure::ALL.map(of_figure));
    }
    let interval = |(metric, statistics): (Metric, Vec<Option<f64>>)| {
        let defined: Vec<f64> = statistics.into_iter().flatten().collect();
        Some((metric, percentile_interval(&defined, bootstrap.confidence)?))
    };
    Intervals { bootstrap, figures: drawn.into_iter().filter_map(interval).collect() }
}

fn label_draws(matched: &Matched, bootstrap: Bootstrap) -> Vec<(Metric, Vec<Option<f64>>)> {
    if matched.truth.is_empty() {
        return Vec::new();
    }
    let mut metrics: Vec<Metric> = LabelFigure::ALL.map(Metric::Label).to_vec();
    metrics.extend(LabelFigure::SKEW_NORMALISED.map(Metric::SkewNormalised));
    let said = || matched.can_be_said.iter().enumerate().filter(|(_, can)| **can).map(|(class, _)| class as Class);
    metrics.extend(ClassFigure::ALL.iter().flat_map(|&f| said().map(move |class| Metric::Class(f, class))));
    let matrix = matched.confusion();
    let draws = bootstrap.redraw_counts(matrix.cells(), |cells| {
        let drawn = matrix.with_cells(cells);
        let even = drawn.skew_normalised();
        let per_class = ClassFigure::ALL.map(|figure| figure.of(&drawn));
        let of_metric = |metric: &Metric| match *metric {
            Metric::Label(figure) => figure.of(&drawn),
            Metric::SkewNormalised(figure) => figure.of(&even),
            Metric::Class(figure, class) => per_class[figure as usize][usize::from(class)],
            Metric::Ranking(_) | Metric::SkewNormalisedAucPr | Metric::ClassRanking(..) | Metric::Value(..) => None,
        };
        metrics.iter().map(of_metric).collect::<Vec<_>>()
    });
    metrics.iter().enumerate().map(|(place, &metric)| (metric, draws.iter().map(|d| d[place]).collect())).collect()
}

fn ranking_draws(matched: &Matched, bootstrap: Bootstrap) -> Vec<(Metric, Vec<Option<f64>>)> {
    let Some(scores) = matched.scores().filter(|_| matched.score_truth.len() <= MAX_RANKED_ROWS) else {
        return Vec::new();
    };
    let ranked: Vec<Ranked> = (0..matched.labels.len())
        .map(|class| {
            let column: Vec<f64> = scores.rows().map(|row| row[class]).collect();
            Ranked::new(&column, |row| usize::from(matched.score_truth[row]) == class)
        })
        .collect();
    let n_rows = matched.score_truth.len() as u32;
    let draws: Vec<Vec<RankingScore>> = (0..bootstrap.n_resamples as u64)
        .into_par_iter()
        .map_init(Vec::new, |times, resample| {
            bootstrap.draw_times(n_rows, resample, times);
            let of_class =
                |(ranked, &can): (&Ranked, &bool)| if can { ranked.score(times) } else { Default::default() };
            ranked.iter().zip(&matched.can_be_said).map(of_class).collect()
        })
        .collect();
    type Figure = fn(&RankingScore) -> Option<f64>;
    let average_precision: Figure = |score| score.average_precision.filter(|_| score.n_negatives > 0);
    let figures: [(RankingFigure, Figure); 2] =
        [(RankingFigure::Auc, |score| score.roc_auc), (RankingFigure::AucPr, average_precision)];
    let mut drawn = Vec::new();
    let macro_draws = |of: Figure| draws.iter().map(|scores| crate::ranking::macro_mean(scores, of)).collect();
    for (figure, of) in figures {
        drawn.push((Metric::Ranking(figure), macro_draws(of)));
        for class in 0..matched.labels.len() {
            let of_class = draws.iter().map(|scores| of(&scores[class])).collect();
            drawn.push((Metric::ClassRanking(figure, class as Class), of_class));
        }
    }
    drawn.push((Metric::SkewNormalisedAucPr, macro_draws(|score| score.average_precision_1to1)));
    drawn
}

#[cfg(test)]
mod tests {
    use affectory_core::LabelSet;

    use super::*;
    use crate::{Missing, match_images, read_table};

    fn matched() -> Matched {
        let (mut truth, mut guess) = (
            String::from("image,expression,valence,arousal\n"),
            String::from("image,expression,valence,arousal,p_happy,p_sad\n"),
        );
        for row in 0..300 {
            let (label, value) = (if row % 3 == 0 { "happy" } else { "sad" }, f64::from(row % 17) / 17.0 - 0.5);
            truth += &format!("{row},{label},{value},0.1\n");
            let happy = if row % 3 == 0 { 0.4 + f64::from(row % 5) / 10.0 } else { f64::from(row % 7) / 10.0 };
            guess += &format!("{row},,{},0.1,{happy},{}\n", 0.8 * value + f64::from(row % 4) / 20.0, 1.0 - happy);
        }
        let table = |text: &str| read_table(text.as_bytes(), "t").unwrap();
        let labels = LabelSet::parse("happy,sad").unwrap();
        match_images(&table(&truth), &table(&guess), &labels, None, Missing::Refused).unwrap()
    }

    #[test]
    fn every_defined_figure_lies_in_its_interval() {
        let matched = matched();
        let evaluation = matched.evaluation();
        let found = intervals(&matched, Bootstrap { n_resamples: 500, confidence: 0.95, seed: 1 });
        for metric in Metric::all(2) {
            match (metric.of(&evaluation), found.of(metric)) {
                (Some(value), Some(interval)) => {
                    assert!(interval.low <= value && value <= interval.high, "{metric:?}: {value} {interval:?}");
                    assert!((interval.mean - value).abs() < 0.02, "{metric:?}: {value} {interval:?}");
                }
                (None, None) => {}
                other => panic!("{metric:?}: {other:?}"),
            }
        }
        assert!(found.of(Metric::Ranking(RankingFigure::Auc)).is_some());
        assert_eq!(found.of(Metric::Value(Dimension::Arousal, ValueFigure::Ccc)), None, "both sides one constant");
    }
}
