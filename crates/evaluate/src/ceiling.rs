//! How well does one annotator predict the others: the accuracy above which a model only follows noise?

use std::collections::HashMap;
use std::io::Read;

use affectory_core::{Expression, LabelSet};

use crate::bootstrap::{Bootstrap, Interval, percentile_interval};
use crate::confusion::{Averaged, ConfusionMatrix};
use crate::error::EvaluateError;
use crate::records::{Records, shortened};
use crate::table::Table;

/// Number of votes for each of the eleven categories, by index.
pub type Votes = [u32; 11];

/// What a single vote gets right, expected over all votes.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Ceiling {
    /// Images with at least two votes.
    pub n: usize,
    /// Chance that one vote is what most of the others say; undefined without images.
    pub accuracy: Option<f64>,
    /// Its interval over resamples of images.
    pub accuracy_interval: Option<Interval>,
    /// Mean F1, from the expected confusion, over the labels that occur as what the others say.
    pub f1_macro: Option<f64>,
}

/// Leaves each vote out in turn and asks whether it is the plurality of the others; where m categories tie, it counts
/// 1/m. Images with fewer than two votes say nothing. Where the others agree on a category outside `labels`, that
/// share of the image is left out, as such images are left out of a model's scores; a vote outside `labels` is an
/// error.
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
    const N: usize = 11;
    let mut cells = [0.0; N * N];
    // Of each image the share that counts, and of it what is right.
    let mut shares: Vec<[f64; 2]> = Vec::new();
    for votes in votes.iter().filter(|votes| votes.iter().sum::<u32>() >= 2) {
        let n_votes = f64::from(votes.iter().sum::<u32>());
        let mut share = [0.0; 2];
        for (vote, &count) in votes.iter().enumerate().filter(|(_, count)| **count > 0) {
            let mut others = *votes;
            others[vote] -= 1;
            let most = others.iter().max().copied().unwrap_or(0);
            let n_tied = others.iter().filter(|&&count| count == most).count() as f64;
            let weight = f64::from(count) / n_votes / n_tied;
            let tied = (0..N).filter(|&category| others[category] == most);
            for said in tied.filter(|&category| labels.labels().iter().any(|label| label.index() == category)) {
                cells[said * N + vote] += weight;
                share[0] += weight;
                share[1] += if said == vote { weight } else { 0.0 };
            }
        }
        shares.push(share);
    }
    let confusion = ConfusionMatrix::empty(N).with_cells(&cells);
    let drawn = bootstrap.redraw_sums(shares.len(), |image| shares[image]);
    let drawn: Vec<f64> = drawn.iter().filter(|sums| sums[0] > 0.0).map(|sums| sums[1] / sums[0]).collect();
    Ceiling {
        n: shares.len(),
        accuracy: confusion.accuracy(),
        accuracy_interval: percentile_interval(&drawn, bootstrap.confidence),
        f1_macro: confusion.f1_macro(Averaged::Present),
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
