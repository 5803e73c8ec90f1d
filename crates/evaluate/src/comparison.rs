//! Which of several runs is best on the same images, which cannot be told from it, and how does the table look?

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use affectory_core::Expression;

use crate::bootstrap::Bootstrap;
use crate::ceiling::Ceiling;
use crate::confusion::Class;
use crate::error::EvaluateError;
use crate::evaluation::{Evaluation, Matched};
use crate::intervals::{Intervals, intervals};
use crate::metric::{ClassFigure, Dimension, LabelFigure, Metric, RankingFigure, ValueFigure};
use crate::paired::{PairedComparison, PairedDifference, compare_pair, holm};
use crate::render::{Cells, Format, bounds, decimal, render};
use crate::table::{Row, Table};

/// Runs whose adjusted p-value against the best is above this cannot be told from it.
const LEVEL: f64 = 0.05;

/// Which difference of a pair is about a metric.
type DifferenceOf = fn(&PairedComparison) -> Option<PairedDifference>;

/// The metrics that runs are tested on.
const TESTED: [(Metric, DifferenceOf); 4] = [
    (Metric::Label(LabelFigure::Accuracy), |pair| pair.accuracy),
    (Metric::Label(LabelFigure::F1Macro), |pair| pair.f1_macro),
    (Metric::Value(Dimension::Valence, ValueFigure::Ccc), |pair| pair.valence_ccc),
    (Metric::Value(Dimension::Arousal, ValueFigure::Ccc), |pair| pair.arousal_ccc),
];

/// What is compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its name in the table.
    pub name: String,
    /// Its answers, matched with the truth that all runs share.
    pub matched: Matched,
    /// Whether valence and arousal of the truth are a proxy.
    pub is_proxy: bool,
}

/// How a run stands to the best one in one metric.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub enum Standing {
    /// Nobody has a better figure.
    Best,
    /// Behind the best.
    Behind {
        /// Best minus this run.
        difference: PairedDifference,
        /// The difference's p-value, adjusted by Holm for all runs that were tested against the best.
        p_adjusted: f64,
    },
}

/// A run with its figures.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedRun {
    /// Its name.
    pub name: String,
    /// Whether valence and arousal of the truth are a proxy.
    pub is_proxy: bool,
    /// Labels that the model cannot give.
    pub cannot_say: Vec<Expression>,
    /// All figures.
    pub evaluation: Evaluation,
    /// Their intervals.
    pub intervals: Intervals,
    /// Where it stands in the metrics that are tested.
    pub standing: BTreeMap<Metric, Standing>,
}

/// Several runs on one truth.
#[derive(Debug, Clone, PartialEq)]
pub struct RunComparison {
    /// The runs in the order given.
    pub runs: Vec<ComparedRun>,
    /// What one annotator gets right.
    pub ceiling: Option<Ceiling>,
    /// What the images are, e.g. `valid split of release r1`.
    pub images: String,
    /// How intervals and tests were drawn.
    pub bootstrap: Bootstrap,
}

/// That two truths have the same images with the same labels and values, in whatever order.
///
/// # Errors
/// [`EvaluateError::OtherTruth`] with the first thing that differs.
pub fn check_same_truth(first: &Table, other: &Table) -> Result<(), EvaluateError> {
    let (known, theirs) = (first.index()?, other.index()?);
    let lacking = |rows: &[Row], index: &HashMap<&str, usize>| {
        let names: Vec<String> =
            rows.iter().filter(|row| !index.contains_key(row.image.as_str())).map(|row| row.image.clone()).collect();
        (names.len(), names.into_iter().next())
    };
    let differs = |difference: String| {
        Err(EvaluateError::OtherTruth { first: first.file.clone(), other: other.file.clone(), difference })
    };
    let (only_other, only_first) = (lacking(&other.rows, &known), lacking(&first.rows, &theirs));
    if let (n, Some(name)) = &only_other {
        return differs(format!("{n} images are only in the former, {} only in the latter, e.g. {name}", only_first.0));
    }
    if let (n, Some(name)) = &only_first {
        return differs(format!("{n} images are only in the latter, e.g. {name}"));
    }
    let is_other = |row: &&Row| {
        let twin = known.get(row.image.as_str()).map(|&at| &first.rows[at]);
        twin.is_none_or(|twin| {
            (twin.expression, twin.valence, twin.arousal) != (row.expression, row.valence, row.arousal)
        })
    };
    let different: Vec<&Row> = other.rows.iter().filter(is_other).collect();
    match different.first() {
        Some(row) => differs(format!("{} images have another label or value, e.g. {}", different.len(), row.image)),
        None => Ok(()),
    }
}

/// All figures with intervals, and paired tests against the best run of each tested metric. The runs must have been
/// matched with one truth and one label set.
pub fn compare_runs(runs: &[Run], ceiling: Option<Ceiling>, images: &str, bootstrap: Bootstrap) -> RunComparison {
    let mut compared: Vec<ComparedRun> = runs
        .iter()
        .map(|run| {
            let matched = &run.matched;
            let unsaid = matched.labels.iter().zip(&matched.can_be_said).filter(|(_, can)| !**can);
            ComparedRun {
                name: run.name.clone(),
                is_proxy: run.is_proxy,
                cannot_say: unsaid.map(|(label, _)| *label).collect(),
                evaluation: matched.evaluation(),
                intervals: intervals(matched, bootstrap),
                standing: BTreeMap::new(),
            }
        })
        .collect();
    let mut pairs: HashMap<(usize, usize), PairedComparison> = HashMap::new();
    for (metric, difference_of) in TESTED {
        let values: Vec<Option<f64>> = compared.iter().map(|run| metric.of(&run.evaluation)).collect();
        let best_value = values.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
        let Some(best) = values.iter().position(|value| *value == Some(best_value)) else { continue };
        let others: Vec<usize> = (0..runs.len()).filter(|&run| run != best && values[run].is_some()).collect();
        let differences: Vec<(usize, PairedDifference)> = others
            .into_iter()
            .filter_map(|other| {
                let pair = pairs
                    .entry((other, best))
                    .or_insert_with(|| compare_pair(&runs[other].matched, &runs[best].matched, bootstrap));
                Some((other, difference_of(pair)?))
            })
            .collect();
        let adjusted = holm(&differences.iter().map(|(_, difference)| difference.p).collect::<Vec<_>>());
        compared[best].standing.insert(metric, Standing::Best);
        for ((run, difference), p_adjusted) in differences.into_iter().zip(adjusted) {
            compared[run].standing.insert(metric, Standing::Behind { difference, p_adjusted });
        }
    }
    RunComparison { runs: compared, ceiling, images: images.to_owned(), bootstrap }
}

/// A table of a comparison: what it shows, and its metrics column by column.
struct Layout {
    title: &'static str,
    columns: Vec<(String, Metric)>,
}

impl RunComparison {
    /// The labels scored.
    fn labels(&self) -> &[Expression] {
        self.runs.first().map_or(&[], |run| &run.evaluation.labels)
    }

    fn is_proxy(&self) -> bool {
        self.runs.iter().any(|run| run.is_proxy)
    }

    /// AffectNet's three tables; skew-normalised figures stand beside the others, on a terminal, which is narrower,
    /// below them.
    fn layouts(&self, format: Format) -> Vec<Layout> {
        let named = |metric: Metric| (metric.name(), metric);
        let plain = [LabelFigure::Accuracy, LabelFigure::BalancedAccuracy, LabelFigure::F1Macro];
        let chance = [LabelFigure::Kappa, LabelFigure::Alpha];
        let even = |figure: LabelFigure| {
            let has_even = LabelFigure::SKEW_NORMALISED.contains(&figure);
            has_even.then(|| named(Metric::SkewNormalised(figure)))
        };
        let mut categorical: Vec<(String, Metric)> = Vec::new();
        let mut skew_normalised: Vec<(String, Metric)> = Vec::new();
        let is_narrow = format == Format::Text;
        for figure in plain.into_iter().chain(chance) {
            categorical.push(named(Metric::Label(figure)));
            if is_narrow { &mut skew_normalised } else { &mut categorical }.extend(even(figure));
        }
        categorical.push(named(Metric::Ranking(RankingFigure::Auc)));
        categorical.push(named(Metric::Ranking(RankingFigure::AucPr)));
        let even_auc_pr = named(Metric::SkewNormalisedAucPr);
        if is_narrow { &mut skew_normalised } else { &mut categorical }.push(even_auc_pr);
        for (name, _) in &mut skew_normalised {
            *name = name.replace(", skew-normalised", "");
        }
        let values = Dimension::ALL.iter().flat_map(|&d| ValueFigure::ALL.map(|f| named(Metric::Value(d, f))));
        let classes = |figure: ClassFigure| {
            let of_label =
                |(class, label): (usize, &Expression)| (label.to_string(), Metric::Class(figure, class as Class));
            self.labels().iter().enumerate().map(of_label).collect::<Vec<_>>()
        };
        vec![
            Layout { title: "Categorical", columns: categorical },
            Layout { title: "Categorical, skew-normalised", columns: skew_normalised },
            Layout {
                title: if self.is_proxy() {
                    "Dimensional (proxy: valence and arousal of the truth come from a formula)"
                } else {
                    "Dimensional"
                },
                columns: values.collect(),
            },
            Layout { title: "Recall by class", columns: classes(ClassFigure::Recall) },
            Layout { title: "F1 by class", columns: classes(ClassFigure::F1) },
        ]
    }

    /// A layout's cells; none where no run has any figure of it.
    fn cells(&self, layout: &Layout, format: Format) -> Option<Cells> {
        let is_shown = |(_, metric): &&(String, Metric)| {
            metric.class().is_some() || self.runs.iter().any(|run| metric.of(&run.evaluation).is_some())
        };
        let columns: Vec<&(String, Metric)> = layout.columns.iter().filter(is_shown).collect();
        let has_figures =
            columns.iter().any(|(_, metric)| self.runs.iter().any(|run| metric.of(&run.evaluation).is_some()));
        if !has_figures {
            return None;
        }
        let mut cells: Cells = vec![vec!["run".to_owned()]];
        cells[0].extend(columns.iter().map(|(name, _)| name.clone()));
        let is_narrow = format == Format::Text;
        for run in &self.runs {
            let is_about_values = columns.iter().any(|(_, metric)| matches!(metric, Metric::Value(..)));
            let proxy = if run.is_proxy && is_about_values { " (proxy)" } else { "" };
            let mut line = vec![format!("{}{proxy}", run.name)];
            let mut below = vec![String::new()];
            for (_, metric) in &columns {
                let value = run.shown(*metric, self.labels());
                let interval = run.intervals.of(*metric).map(bounds).unwrap_or_default();
                if is_narrow || interval.is_empty() {
                    line.push(value);
                    below.push(interval);
                } else {
                    line.push(format!("{value} {interval}"));
                }
            }
            cells.push(line);
            if is_narrow {
                cells.push(below);
            }
        }
        let has_ceiling = |ceiling: &&Ceiling| columns.iter().any(|(_, metric)| ceiling.of(*metric).is_some());
        if let Some(ceiling) = self.ceiling.as_ref().filter(has_ceiling) {
            let of_column = |(_, metric): &&(String, Metric)| match ceiling.of(*metric) {
                Some((value, interval)) => (decimal(value), interval),
                None => (String::new(), None),
            };
            let mut line = vec!["one annotator against the others".to_owned()];
            let mut below = vec![String::new()];
            for (value, interval) in columns.iter().map(of_column) {
                let interval = interval.map(bounds).unwrap_or_default();
                line.push(if is_narrow { value } else { format!("{value} {interval}").trim_end().to_owned() });
                below.push(interval);
            }
            cells.push(line);
            if is_narrow {
                cells.push(below);
            }
        }
        Some(cells)
    }

    /// Every table's title and cells.
    pub(crate) fn all_cells(&self, format: Format) -> Vec<(&'static str, Cells)> {
        let layouts = self.layouts(format).into_iter();
        layouts.filter_map(|layout| Some((layout.title, self.cells(&layout, format)?))).collect()
    }

    /// All tables with what must be known to read them. For LaTeX metrics are rows and runs columns, as in AffectNet's tables.
    pub fn tables(&self, format: Format) -> String {
        let mut out = String::new();
        for (title, cells) in self.all_cells(format) {
            // Writing into a String cannot fail.
            let _ = match format {
                Format::Text => writeln!(out, "{title}"),
                Format::Markdown => writeln!(out, "**{title}**\n"),
                Format::Latex => writeln!(out, "% {title}"),
            };
            let cells = if format == Format::Latex { transposed(&cells) } else { cells };
            out += &render(&cells, format);
            out.push('\n');
        }
        for note in self.notes() {
            let _ = match format {
                Format::Text => writeln!(out, "{note}"),
                Format::Markdown => writeln!(out, "- {}", crate::render::escape(&note, format)),
                Format::Latex => writeln!(out, "% {note}"),
            };
        }
        out
    }

    /// What the numbers are: a sentence each, without line ends.
    pub fn notes(&self) -> Vec<String> {
        let images = self.runs.iter().map(|run| run.evaluation.n).collect::<Vec<_>>();
        let (fewest, most) = (images.iter().min().unwrap_or(&0), images.iter().max().unwrap_or(&0));
        let n = if fewest == most { most.to_string() } else { format!("{fewest} to {most}") };
        let mut notes = vec![
            format!("scored on the {}: {n} images", self.images),
            format!(
                "in brackets: {:.0} % percentile intervals of {} bootstrap resamples of images, seed {}",
                self.bootstrap.confidence * 100.0,
                self.bootstrap.n_resamples,
                self.bootstrap.seed
            ),
        ];
        for run in &self.runs {
            let evaluation = &run.evaluation;
            if evaluation.n_left_out + evaluation.n_missing > 0 {
                notes.push(format!(
                    "{}: {} images with a label outside the set left out, {} without an answer",
                    run.name, evaluation.n_left_out, evaluation.n_missing
                ));
            }
            if !run.cannot_say.is_empty() {
                let labels: Vec<&str> = run.cannot_say.iter().map(|label| label.name()).collect();
                notes.push(format!(
                    "{} cannot say {}: n/a there; such images count as errors in accuracy, and the class as 0 in \
                     balanced accuracy and macro F1",
                    run.name,
                    labels.join(", ")
                ));
            }
        }
        if self.runs.len() > 1 {
            notes.push(format!(
                "* best; = not told from the best at {LEVEL} (paired bootstrap on the same images, two-sided, Holm over \
                 the runs); tested: accuracy, macro F1, CCC"
            ));
        }
        if let Some(ceiling) = &self.ceiling {
            notes.push(format!(
                "one annotator against the others: expected score of one vote against the plurality of the rest, {} \
                 images",
                ceiling.n
            ));
        }
        if self.is_proxy() {
            notes.push("proxy: valence and arousal of the truth come from a formula, not from annotators".into());
        }
        for note in &mut notes {
            *note = note.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        }
        notes
    }

    /// One line for each figure of each run: `run,metric,class,value,low,high,standing,p_adjusted,is_proxy`.
    pub fn to_csv(&self) -> String {
        let mut csv = String::from("run,metric,class,value,low,high,standing,p_adjusted,is_proxy\n");
        for run in &self.runs {
            for metric in Metric::all(self.labels().len()) {
                let class = metric.class().and_then(|class| self.labels().get(usize::from(class)));
                let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
                let interval = run.intervals.of(metric);
                let standing = run.standing.get(&metric);
                let is_unsaid = class.is_some_and(|label| run.cannot_say.contains(label));
                let value = if is_unsaid { "n/a".to_owned() } else { number(metric.of(&run.evaluation)) };
                let is_proxy = run.is_proxy && matches!(metric, Metric::Value(..));
                let _ = writeln!(
                    csv,
                    "{},{},{},{value},{},{},{},{},{}",
                    quoted(&run.name),
                    quoted(&metric.name()),
                    class.map_or("", |label| label.name()),
                    number(interval.map(|i| i.low)),
                    number(interval.map(|i| i.high)),
                    standing.map_or("", Standing::word),
                    number(standing.and_then(Standing::p_adjusted)),
                    u8::from(is_proxy),
                );
            }
        }
        csv
    }

    /// Everything as one document.
    pub fn to_json(&self) -> serde_json::Value {
        let of_run = |run: &ComparedRun| {
            let standing: serde_json::Map<String, serde_json::Value> = run
                .standing
                .iter()
                .map(|(metric, standing)| {
                    let difference = match standing {
                        Standing::Best => None,
                        Standing::Behind { difference, .. } => Some(difference),
                    };
                    let value = serde_json::json!({
                        "standing": standing.word(), "difference": difference, "p_adjusted": standing.p_adjusted(),
                    });
                    (metric.name(), value)
                })
                .collect();
            serde_json::json!({
                "name": run.name, "is_proxy": run.is_proxy, "cannot_say": run.cannot_say,
                "scores": run.evaluation.to_json(), "intervals": run.intervals.to_json(self.labels()),
                "standing": standing,
            })
        };
        serde_json::json!({
            "images": self.images,
            "bootstrap": {
                "resamples": self.bootstrap.n_resamples, "confidence": self.bootstrap.confidence,
                "seed": self.bootstrap.seed,
            },
            "runs": self.runs.iter().map(of_run).collect::<Vec<_>>(),
            "ceiling": self.ceiling, "notes": self.notes(),
        })
    }
}

impl ComparedRun {
    fn shown(&self, metric: Metric, labels: &[Expression]) -> String {
        let label = metric.class().and_then(|class| labels.get(usize::from(class)));
        if label.is_some_and(|label| self.cannot_say.contains(label)) {
            return "n/a".to_owned();
        }
        let mark = self.standing.get(&metric).map_or("", Standing::mark);
        format!("{}{mark}", decimal(metric.of(&self.evaluation)))
    }
}

impl Standing {
    fn is_tied(&self) -> bool {
        matches!(self, Self::Behind { p_adjusted, .. } if *p_adjusted > LEVEL)
    }

    fn mark(&self) -> &'static str {
        match self {
            Self::Best => "*",
            Self::Behind { .. } if self.is_tied() => "=",
            Self::Behind { .. } => "",
        }
    }

    /// `best`, `tied` or `behind`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Behind { .. } if self.is_tied() => "tied",
            Self::Behind { .. } => "behind",
        }
    }

    /// The adjusted p-value of a run that is not the best.
    pub fn p_adjusted(&self) -> Option<f64> {
        match self {
            Self::Best => None,
            Self::Behind { p_adjusted, .. } => Some(*p_adjusted),
        }
    }
}

/// Rows as columns.
fn transposed(cells: &Cells) -> Cells {
    let n_columns = cells.first().map_or(0, Vec::len);
    (0..n_columns).map(|column| cells.iter().map(|row| row[column].clone()).collect()).collect()
}

/// A CSV field; what a spreadsheet would take for a formula becomes text.
fn quoted(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\"").replace(|c: char| c.is_control(), " "))
}

#[cfg(test)]
mod tests {
    use affectory_core::LabelSet;

    use super::*;
    use crate::{Missing, match_images, read_table};

    fn table(text: &str, file: &str) -> Table {
        read_table(text.as_bytes(), file).unwrap()
    }

    fn comparison() -> RunComparison {
        let labels = LabelSet::parse("happy,sad,fear").unwrap();
        let label = |row: usize| ["happy", "sad", "fear"][row % 3];
        let truth: String = (0..300).map(|row| format!("{row},{},{}\n", label(row), row as f64 / 300.0)).collect();
        let truth = table(&format!("image,expression,valence\n{truth}"), "truth");
        let run = |name: &str, wrong_every: usize, can_say: Option<&str>| {
            let answer = |row: usize| {
                let label = if row.is_multiple_of(wrong_every) { "happy" } else { label(row) };
                if can_say.is_some() && label == "fear" { "sad" } else { label }
            };
            let text: String =
                (0..300).map(|row| format!("{row},{},{}\n", answer(row), (row + 90) as f64 / 300.0)).collect();
            let guess = table(&format!("image,expression,valence\n{text}"), "guess");
            let can_say = can_say.map(|text| LabelSet::parse(text).unwrap());
            let matched = match_images(&truth, &guess, &labels, can_say.as_ref(), Missing::Refused).unwrap();
            Run { name: name.into(), matched, is_proxy: true }
        };
        let runs = [run("good", 11, None), run("near", 10, None), run("two\nlabels", 8, Some("happy,sad"))];
        compare_runs(&runs, None, "valid split", Bootstrap { n_resamples: 1000, confidence: 0.95, seed: 1 })
    }

    #[test]
    fn the_best_is_marked_with_those_that_cannot_be_told_from_it() {
        let found = comparison();
        let words = |metric: Metric| found.runs.iter().map(|run| run.standing[&metric].word()).collect::<Vec<_>>();
        assert_eq!(words(Metric::Label(LabelFigure::Accuracy)), ["best", "tied", "behind"]);
        let text = found.tables(Format::Text);
        assert!(text.contains("scored on the valid split: 300 images"), "{text}");
        assert!(text.contains("n/a") && text.contains("two labels cannot say fear"), "{text}");
        assert!(text.contains("Dimensional (proxy") && text.contains("good (proxy)"), "{text}");
        let latex = found.tables(Format::Latex);
        assert!(latex.contains("\\begin{tabular}{lrrr}") && latex.contains("% scored on"), "{latex}");
        assert!(latex.lines().any(|line| line.starts_with("accuracy ") && line.matches('&').count() == 3), "{latex}");
        let csv = found.to_csv();
        assert!(csv.contains("\"two labels\",\"recall\",fear,n/a,,,,,0"), "{csv}");
        assert!(found.to_json()["runs"][2]["cannot_say"][0] == "fear");
    }

    #[test]
    fn other_truths_are_refused_by_what_differs() {
        let first = table("image,expression\na,happy\nb,sad\n", "A");
        assert!(check_same_truth(&first, &table("image,expression\nb,sad\na,happy\n", "B")).is_ok());
        let told = |text: &str| check_same_truth(&first, &table(text, "B")).unwrap_err().to_string();
        assert!(told("image,expression\na,happy\nc,sad\n").contains("1 images are only in the former, 1 only in"));
        assert!(told("image,expression\na,happy\n").contains("1 images are only in the latter, e.g. b"));
        assert!(told("image,expression\na,happy\nb,fear\n").starts_with("`B` was scored on another truth than `A`: 1"));
    }
}
