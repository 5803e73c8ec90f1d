//! How well does one annotator predict the others: the figures above which a model only follows noise?
//!
//! Of categories only: a table of votes has counts, no single valence or arousal. How far single ratings of these agree is
//! [`agreement`](crate::agreement).

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use affectory_core::{Expression, LabelSet};

use crate::bootstrap::{Bootstrap, Interval, percentile_interval};
use crate::confusion::{Averaged, Class, ConfusionMatrix};
use crate::error::EvaluateError;
use crate::metric::{ClassFigure, LabelFigure, Metric};
use crate::records::{Records, shortened};
use crate::render::{bounds, decimal};
use crate::table::Table;

/// Number of votes for each of the eleven categories, by index.
pub type Votes = [u32; 11];

/// What a single vote gets right, expected over all votes. Intervals are over resamples of images, each with all its votes.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Ceiling {
    /// Images with at least two votes.
    pub n: usize,
    /// Chance that one vote is what most of the others say; undefined without images.
    pub accuracy: Option<f64>,
    /// Its interval.
    pub accuracy_interval: Option<Interval>,
    /// Mean recall over the labels that occur as what the others say.
    pub balanced_accuracy: Option<f64>,
    /// Its interval.
    pub balanced_accuracy_interval: Option<Interval>,
    /// Mean F1 over the labels that occur as what the others say.
    pub f1_macro: Option<f64>,
    /// Its interval.
    pub f1_macro_interval: Option<Interval>,
    /// Cohen's kappa of one vote and what the others say.
    pub kappa: Option<f64>,
    /// Its interval.
    pub kappa_interval: Option<Interval>,
    /// Of each label: the chance that one vote says it where most of the others do; undefined where they never do.
    pub recall_per_class: Vec<Option<f64>>,
    /// Their intervals.
    pub recall_intervals: Vec<Option<Interval>>,
}

impl Ceiling {
    /// The figure that stands beside a model's, with its interval; `None` for one that votes have none of.
    pub fn of(&self, metric: Metric) -> Option<(Option<f64>, Option<Interval>)> {
        match metric {
            Metric::Label(LabelFigure::Accuracy) => Some((self.accuracy, self.accuracy_interval)),
            Metric::Label(LabelFigure::BalancedAccuracy) => {
                Some((self.balanced_accuracy, self.balanced_accuracy_interval))
            }
            Metric::Label(LabelFigure::F1Macro) => Some((self.f1_macro, self.f1_macro_interval)),
            Metric::Label(LabelFigure::Kappa) => Some((self.kappa, self.kappa_interval)),
            Metric::Class(ClassFigure::Recall, class) => {
                let class = usize::from(class);
                Some((*self.recall_per_class.get(class)?, *self.recall_intervals.get(class)?))
            }
            _ => None,
        }
    }

    /// All of it in two lines; `labels` are those that it was made for.
    pub fn in_words(&self, labels: &[Expression]) -> [String; 2] {
        let figure = |name: &str, (value, interval): (Option<f64>, Option<Interval>)| {
            format!("{name} {} {}", decimal(value), interval.map(bounds).unwrap_or_default()).trim_end().to_owned()
        };
        let of = |metric: Metric| self.of(metric).unwrap_or_default();
        let overall: Vec<String> = [
            ("accuracy", LabelFigure::Accuracy),
            ("balanced accuracy", LabelFigure::BalancedAccuracy),
            ("macro F1", LabelFigure::F1Macro),
            ("kappa", LabelFigure::Kappa),
        ]
        .map(|(name, label_figure)| figure(name, of(Metric::Label(label_figure))))
        .into();
        let recalls = labels
            .iter()
            .enumerate()
            .map(|(class, label)| figure(label.name(), of(Metric::Class(ClassFigure::Recall, class as Class))));
        [
            format!("one annotator against the others ({} images): {}", self.n, overall.join(", ")),
            format!("their recall: {}", recalls.collect::<Vec<_>>().join(", ")),
        ]
    }
}

const N: usize = 11;

/// What the votes for one image add to the confusion of what the others say (row) with one vote (column). A vote is each of
/// the image's with the same chance; where m categories tie among the others, each is what they say with 1/m.
fn shares(votes: &Votes, labels: &LabelSet) -> Vec<(usize, f64)> {
    let n_votes = f64::from(votes.iter().sum::<u32>());
    let mut cells = Vec::new();
    for (vote, &count) in votes.iter().enumerate().filter(|(_, count)| **count > 0) {
        let mut others = *votes;
        others[vote] -= 1;
        let most = others.iter().max().copied().unwrap_or(0);
        let n_tied = others.iter().filter(|&&count| count == most).count() as f64;
        let weight = f64::from(count) / n_votes / n_tied;
        let tied = (0..N).filter(|&category| others[category] == most);
        let said = tied.filter(|&category| labels.labels().iter().any(|label| label.index() == category));
        cells.extend(said.map(|said| (said * N + vote, weight)));
    }
    cells
}

/// Leaves each vote out in turn and asks whether it is the plurality of the others; where m categories tie, it counts
/// 1/m. Images with fewer than two votes say nothing. Where the others agree on a category outside `labels`, that
/// share of the image is left out, as such images are left out of a model's scores; a vote outside `labels` is an
/// error.
///
/// With `v_ic` the votes of image i for category c and `n_i` all of its votes, the expected confusion is
/// `C[t, c] = sum over i of v_ic / n_i * P(t | votes of i without one for c)`, where P is 1/m for each of the m categories with
/// most votes. Accuracy is `sum of C[t, t] / sum of C`; recall of t `C[t, t] / sum over c of C[t, c]`; F1 of t
/// `2 C[t, t] / (row t + column t)`; kappa `(p_o - p_e) / (1 - p_e)`, with `p_o` the accuracy and `p_e` the sum of the products
/// of both margins: as of any confusion matrix. So no figure is of one person: it is of a vote drawn at random. A resample draws
/// images; those with the same counts of votes are drawn as a number, which has the same distribution.
///
/// ```
/// use affectory_core::{Expression, LabelSet};
/// use affectory_evaluate::{Bootstrap, ceiling};
///
/// let of = |happy, sad| {
///     let mut votes = [0; 11];
///     (votes[Expression::Happy.index()], votes[Expression::Sad.index()]) = (happy, sad);
///     votes
/// };
/// let bootstrap = Bootstrap { n_resamples: 100, confidence: 0.95, seed: 1 };
/// // 3 : 1. A vote for happy (3/4) is right: the others are 2 : 1. The one for sad is wrong.
/// assert_eq!(ceiling(&[of(3, 1)], &LabelSet::eight(), bootstrap).accuracy, Some(0.75));
/// // 2 : 1. A vote for happy (2/3) leaves 1 : 1, so it counts 1/2; the one for sad is wrong. Mean of both: 13/24.
/// let both = ceiling(&[of(3, 1), of(2, 1)], &LabelSet::eight(), bootstrap);
/// assert!((both.accuracy.unwrap() - 13.0 / 24.0).abs() < 1e-12);
/// ```
pub fn ceiling(votes: &[Votes], labels: &LabelSet, bootstrap: Bootstrap) -> Ceiling {
    let mut alike: BTreeMap<&Votes, u64> = BTreeMap::new();
    for votes in votes.iter().filter(|votes| votes.iter().sum::<u32>() >= 2) {
        *alike.entry(votes).or_default() += 1;
    }
    let cells_of: Vec<Vec<(usize, f64)>> = alike.keys().map(|votes| shares(votes, labels)).collect();
    let counts: Vec<f64> = alike.values().map(|&count| count as f64).collect();
    let confusion = |counts: &[f64]| {
        let mut cells = [0.0; N * N];
        for (count, own) in counts.iter().zip(&cells_of) {
            own.iter().for_each(|&(cell, weight)| cells[cell] += count * weight);
        }
        ConfusionMatrix::empty(N).with_cells(&cells)
    };
    let figures = |confusion: &ConfusionMatrix| -> Vec<Option<f64>> {
        let recall = confusion.recall_per_class();
        let overall = [
            confusion.accuracy(),
            confusion.balanced_accuracy(),
            confusion.f1_macro(Averaged::Present),
            confusion.cohen_kappa(),
        ];
        overall.into_iter().chain(labels.labels().iter().map(|label| recall[label.index()])).collect()
    };
    let values = figures(&confusion(&counts));
    let drawn = match counts.is_empty() {
        true => Vec::new(),
        false => bootstrap.redraw_counts(&counts, |counts| figures(&confusion(counts))),
    };
    let interval = |figure: usize| {
        let defined: Vec<f64> = drawn.iter().filter_map(|figures| figures[figure]).collect();
        percentile_interval(&defined, bootstrap.confidence)
    };
    Ceiling {
        n: alike.values().sum::<u64>() as usize,
        accuracy: values[0],
        accuracy_interval: interval(0),
        balanced_accuracy: values[1],
        balanced_accuracy_interval: interval(1),
        f1_macro: values[2],
        f1_macro_interval: interval(2),
        kappa: values[3],
        kappa_interval: interval(3),
        recall_intervals: (4..values.len()).map(interval).collect(),
        recall_per_class: values[4..].to_vec(),
    }
}

/// A file of votes: `image` and a column of counts for each category, under any of its names.
#[derive(Debug, Clone, PartialEq)]
pub struct VoteTable {
    /// Its name for messages.
    pub file: String,
    /// Image by image.
    pub rows: Vec<(String, Votes)>,
}

/// Reads `image,<label>,<label>...` with counts of votes; a column that is no label is refused, so that none is lost.
///
/// # Errors
/// As [`read_table`](crate::read_table): file, line and column of what cannot be meant.
pub fn read_votes(reader: impl Read, file: &str) -> Result<VoteTable, EvaluateError> {
    let (mut records, header) = Records::open(reader, file)?;
    let header: Vec<String> =
        header.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_lowercase()).collect();
    let bad_header = |problem: String| EvaluateError::BadVotes {
        file: file.to_owned(),
        problem,
        header: shortened(&header.join(",")),
    };
    let image = header.iter().position(|name| name == "image");
    let image = image.ok_or_else(|| bad_header("column `image` is missing".into()))?;
    let mut columns: Vec<(usize, Expression)> = Vec::new();
    for (column, name) in header.iter().enumerate().filter(|&(column, _)| column != image) {
        let label: Expression =
            name.parse().map_err(|_| bad_header(format!("column `{}` is no label", shortened(name))))?;
        if columns.iter().any(|&(_, other)| other == label) {
            return Err(bad_header(format!("two columns count the votes for `{label}`")));
        }
        columns.push((column, label));
    }
    let mut rows = Vec::new();
    let mut lines: HashMap<String, u64> = HashMap::new();
    while let Some((line, record)) = records.next()? {
        let name = record[image].trim().to_owned();
        let mut votes = [0; 11];
        for &(column, label) in &columns {
            let text = record[column].trim();
            votes[label.index()] =
                text.parse().ok().filter(|&count: &u32| count <= 1_000_000).ok_or_else(|| EvaluateError::BadValue {
                    file: file.to_owned(),
                    line,
                    column: header[column].clone(),
                    value: shortened(text),
                    problem: "is no number of votes".into(),
                })?;
        }
        if let Some(first_line) = lines.insert(name.clone(), line) {
            let image = shortened(&name);
            return Err(EvaluateError::ImageTwice { file: file.to_owned(), image, first_line, line });
        }
        rows.push((name, votes));
    }
    Ok(VoteTable { file: file.to_owned(), rows })
}

impl VoteTable {
    /// The votes for the images of the truth whose label is among `labels`, in its order.
    ///
    /// # Errors
    /// Images that one of both has alone.
    pub fn of_truth(&self, truth: &Table, labels: &LabelSet) -> Result<Vec<Votes>, EvaluateError> {
        let known = truth.index()?;
        let unmatched = |what: String, names: Vec<&String>| EvaluateError::Unmatched {
            what,
            n: names.len(),
            names: names.into_iter().take(5).cloned().collect(),
            hint: "both files must name the same images the same way",
        };
        let foreign: Vec<&String> =
            self.rows.iter().map(|(image, _)| image).filter(|image| !known.contains_key(image.as_str())).collect();
        if !foreign.is_empty() {
            return Err(unmatched(format!("images of `{}` are not in `{}`", self.file, truth.file), foreign));
        }
        let votes: HashMap<&str, &Votes> = self.rows.iter().map(|(image, votes)| (image.as_str(), votes)).collect();
        let scored = truth.rows.iter().filter(|row| row.expression.is_some_and(|e| labels.class_of(e).is_some()));
        let (found, lacking): (Vec<_>, Vec<_>) =
            scored.map(|row| (&row.image, votes.get(row.image.as_str()))).partition(|(_, votes)| votes.is_some());
        if !lacking.is_empty() {
            let names = lacking.into_iter().map(|(image, _)| image).collect();
            return Err(unmatched(format!("images of `{}` have no votes in `{}`", truth.file, self.file), names));
        }
        Ok(found.into_iter().filter_map(|(_, votes)| votes.map(|votes| **votes)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_table;

    const BOOTSTRAP: Bootstrap = Bootstrap { n_resamples: 200, confidence: 0.95, seed: 1 };

    #[test]
    fn what_the_others_agree_on_outside_the_labels_is_left_out() {
        let mut votes = [0; 11];
        (votes[Expression::Happy.index()], votes[Expression::Uncertain.index()]) = (1, 3);
        // A vote for uncertain leaves 1 : 2, the one for happy 0 : 3: nothing of it is about the eight.
        assert_eq!(ceiling(&[votes], &LabelSet::eight(), BOOTSTRAP).accuracy, None);
        // Turned round, three votes for happy are right, the fourth is an error.
        votes.swap(Expression::Happy.index(), Expression::Uncertain.index());
        let found = ceiling(&[votes], &LabelSet::eight(), BOOTSTRAP);
        assert_eq!((found.n, found.accuracy), (1, Some(0.75)));
        // F1 of happy: 2 * 0.75 / (1 + 0.75).
        assert!((found.f1_macro.unwrap() - 6.0 / 7.0).abs() < 1e-12);
        assert_eq!(ceiling(&[], &LabelSet::eight(), BOOTSTRAP).accuracy, None);
    }

    #[test]
    fn every_figure_is_that_of_the_expected_confusion() {
        let of = |happy, sad| {
            let mut votes = [0; 11];
            (votes[Expression::Happy.index()], votes[Expression::Sad.index()]) = (happy, sad);
            votes
        };
        let labels = LabelSet::parse("sad,happy").unwrap();
        // 3 : 1 adds 3/4 to (happy, happy) and 1/4 to (happy, sad); 0 : 2 adds 1 to (sad, sad).
        let found = ceiling(&[of(3, 1), of(0, 2), of(3, 1), of(0, 2), of(1, 0)], &labels, BOOTSTRAP);
        let near =
            |found: Option<f64>, wanted: f64| assert!((found.unwrap() - wanted).abs() < 1e-12, "{found:?} {wanted}");
        assert_eq!(found.n, 4);
        near(found.accuracy, 7.0 / 8.0);
        near(found.recall_per_class[0], 1.0);
        near(found.recall_per_class[1], 3.0 / 4.0);
        near(found.balanced_accuracy, 7.0 / 8.0);
        // F1 of happy 2 * 1.5 / (2 + 1.5), of sad 2 * 2 / (2 + 2.5).
        near(found.f1_macro, (6.0 / 7.0 + 8.0 / 9.0) / 2.0);
        // Margins 1/2 and 1/2 against 3/8 and 5/8: chance is right with 1/2.
        near(found.kappa, (7.0 / 8.0 - 0.5) / 0.5);
        let ends = |interval: Option<Interval>| interval.map(|interval| (interval.low, interval.high));
        let (low, high) = ends(found.kappa_interval).unwrap();
        assert!(low < 0.75 && high > 0.75 && high <= 1.0);
        assert_eq!(
            (ends(found.recall_intervals[0]), ends(found.recall_intervals[1])),
            (Some((1.0, 1.0)), Some((0.75, 0.75)))
        );
        let [overall, recall] = found.in_words(labels.labels());
        assert!(overall.contains("(4 images): accuracy 0.875 [") && overall.contains("kappa 0.750 ["), "{overall}");
        assert_eq!(recall, "their recall: sad 1.000 [1.000, 1.000], happy 0.750 [0.750, 0.750]");
    }

    /// Images with the same votes are drawn together: as wide as drawing them one by one.
    #[test]
    fn intervals_are_those_of_drawing_image_by_image() {
        let votes: Vec<Votes> =
            (0..300u32).map(|i| std::array::from_fn(|c| if c < 3 { (i * (c as u32 + 3)) % 7 } else { 0 })).collect();
        let bootstrap = Bootstrap { n_resamples: 2000, confidence: 0.95, seed: 5 };
        let found = ceiling(&votes, &LabelSet::eight(), bootstrap);
        let counted: Vec<Votes> = votes.iter().copied().filter(|votes| votes.iter().sum::<u32>() >= 2).collect();
        let none = Bootstrap { n_resamples: 0, ..bootstrap };
        let one_by_one = bootstrap.interval(counted.len() as u32, |rows| {
            let drawn: Vec<Votes> = rows.iter().map(|&row| counted[row as usize]).collect();
            ceiling(&drawn, &LabelSet::eight(), none).kappa
        });
        let (a, b) = (found.kappa_interval.unwrap(), one_by_one.unwrap());
        assert!((a.low - b.low).abs() < 0.01 && (a.high - b.high).abs() < 0.01, "{a:?} {b:?}");
        assert!((a.std.unwrap() / b.std.unwrap() - 1.0).abs() < 0.1);
    }

    #[test]
    fn votes_are_matched_by_image_and_refused_by_line() {
        let truth = read_table("image,expression\nb,happy\na,sad\nc,none\n".as_bytes(), "truth.csv").unwrap();
        let votes = |text: &str| read_votes(text.as_bytes(), "votes.csv");
        let found = votes("image,happiness,sadness,nf\na,1,9,0\nb,8,1,1\n").unwrap();
        let found = found.of_truth(&truth, &LabelSet::eight()).unwrap();
        assert_eq!((found[0][1], found[0][10], found[1][2]), (8, 1, 9));
        let told = |text: &str| match votes(text) {
            Ok(table) => table.of_truth(&truth, &LabelSet::eight()).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(told("image,happy\nb,1\n").contains("1 images of `truth.csv` have no votes in `votes.csv`: a"));
        assert!(told("image,happy\nz,1\n").contains("`votes.csv` are not in `truth.csv`: z"));
        assert!(told("image,happy\na,-1\n").contains("line 2, column happy: `-1` is no number of votes"));
        assert!(told("image,happy,joy\na,1,1\n").contains("two columns"));
        assert!(told("image,age\na,1\n").contains("`age` is no label"));
        assert!(told("image,happy\na,1\na,1\n").contains("line 3: image `a` stands already on line 2"));
        assert!(told("image,happy\na,1,1\n").contains("votes.csv"));
        let endless = std::io::repeat(b'x').take(1 << 40);
        assert!(read_votes(endless, "votes.csv").is_err_and(|error| error.to_string().contains("longer than 1 MiB")));
    }
}
