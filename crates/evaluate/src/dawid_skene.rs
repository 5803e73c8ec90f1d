//! Whom of several annotators is to be believed where they disagree: what does each take for what?
//!
//! Dawid, Skene, "Maximum likelihood estimation of observer error-rates using the EM algorithm", Applied Statistics
//! 28(1), 1979. Every face has one unknown true class; annotator j, shown class k, says l with probability
//! `confusion[j][k][l]`, independently of the other annotators.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::answers::Answers;
use crate::confusion::Class;

/// When the iteration ends, and how little is believed of an annotator's few answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DawidSkeneOptions {
    /// What is added to every cell of the expected counts before they become shares, >= 0 (a symmetric Dirichlet
    /// prior of 1 + smoothing). 0 is the paper's maximum likelihood, where an annotator who never took k for l can
    /// never have done it. The default 1 did best of 0, 0.01 and 1 on AffectNetC25 (docs/consensus.md).
    pub smoothing: f64,
    /// Ends when the objective gains no more than this share of itself in an iteration. What is left to gain at 1e-6
    /// lies in the rows of classes that hardly occur, and takes ten times the iterations at 1e-8.
    pub tolerance: f64,
    /// Ends after this many iterations in any case.
    pub max_iterations: usize,
}

impl Default for DawidSkeneOptions {
    fn default() -> Self {
        Self { smoothing: 1.0, tolerance: 1e-6, max_iterations: 500 }
    }
}

/// What the answers say of the faces, and of those who gave them.
#[derive(Debug, Clone, PartialEq)]
pub struct DawidSkene {
    /// Ids of the faces, ascending.
    pub faces: Vec<i64>,
    /// The classes that occur among the answers, ascending; all lists by class are in this order.
    pub classes: Vec<Class>,
    /// Share of the faces that each class truly has; sums to 1.
    pub priors: Vec<f64>,
    /// Every annotator, by ascending id.
    pub annotators: Vec<AnnotatorConfusion>,
    /// Iterations done.
    pub n_iterations: usize,
    /// Whether the tolerance was met.
    pub has_converged: bool,
    /// Natural logarithm of the answers' probability under priors and confusions.
    pub log_likelihood: f64,
    posteriors: Vec<f64>, // [pattern, class]
    pattern_of: Vec<u32>, // [face]
}

/// What an annotator says of faces of each class.
#[derive(Debug, Clone, PartialEq)]
pub struct AnnotatorConfusion {
    /// Which annotator.
    pub annotator: i64,
    /// Number of faces answered for.
    pub n: usize,
    /// `confusion[k][l]`: the probability of the answer l for a face that truly is k; rows sum to 1.
    pub confusion: Vec<Vec<f64>>,
}

impl DawidSkene {
    /// The probability of each class for the face at this place of `faces`; sums to 1.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn posterior(&self, face_idx: usize) -> &[f64] {
        let pattern = self.pattern_of[face_idx] as usize;
        &self.posteriors[pattern * self.classes.len()..][..self.classes.len()]
    }

    /// The most probable class of the face at this place of `faces`; none where two are so to 1e-9.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn most_probable(&self, face_idx: usize) -> Option<Class> {
        let posterior = self.posterior(face_idx);
        let top = posterior.iter().copied().fold(0.0, f64::max);
        let mut holders = self.classes.iter().zip(posterior).filter(|&(_, &share)| share >= top - 1e-9);
        let (&class, _) = holders.next()?;
        holders.next().is_none().then_some(class)
    }
}

/// Patterns of answers looked at together: fixed, so that sums add up in one order on every machine.
const CHUNK: usize = 1 << 12;

/// The maximum of the answers' (penalised) likelihood by expectation and maximisation, from (face, annotator, class),
/// of an annotator's several answers for a face the last. Starts at the shares of the votes, so the same answers give
/// the same result in any order and on any number of threads.
///
/// Faces that got the same answers from the same annotators are one pattern and computed once. A face with one answer
/// is judged by what its annotator is worth elsewhere.
///
/// ```
/// use affectory_evaluate::{DawidSkeneOptions, dawid_skene};
///
/// // Annotators 1 and 2 agree on ten faces; 3 says 0 whatever there is. On face 10 two of three say 0.
/// let mut answers: Vec<(i64, i64, u8)> = (0..10).flat_map(|f| [(f, 1, (f % 2) as u8), (f, 2, (f % 2) as u8), (f, 3, 0)]).collect();
/// answers.extend([(10, 1, 1), (10, 2, 0), (10, 3, 0), (11, 1, 1), (11, 3, 0)]);
/// let found = dawid_skene(answers, &DawidSkeneOptions::default());
/// assert_eq!(found.most_probable(11), Some(1)); // The votes are a tie.
/// ```
pub fn dawid_skene(answers: Vec<(i64, i64, Class)>, options: &DawidSkeneOptions) -> DawidSkene {
    let answers = Answers::new(answers);
    let patterns = Patterns::of(&answers);
    let mut posteriors = patterns.vote_shares();
    let mut estimate = patterns.maximise(&posteriors, options.smoothing);
    let mut found = patterns.expect(&estimate, &mut posteriors);
    let (mut n_iterations, mut has_converged) = (1, false);
    while n_iterations < options.max_iterations && !has_converged {
        let next = patterns.maximise(&posteriors, options.smoothing);
        let log_likelihood = patterns.expect(&next, &mut posteriors);
        let (before, after) = (found + estimate.log_penalty, log_likelihood + next.log_penalty);
        has_converged = after - before <= options.tolerance * after.abs();
        (found, estimate) = (log_likelihood, next);
        n_iterations += 1;
    }
    let n_classes = patterns.classes.len();
    let confusion = |annotator: usize| -> Vec<Vec<f64>> {
        let said = |class: usize, answer: usize| estimate.log_confusion[annotator][answer * n_classes + class].exp();
        (0..n_classes).map(|class| (0..n_classes).map(|answer| said(class, answer)).collect()).collect()
    };
    let annotators = answers.annotators.iter().enumerate().map(|(number, &annotator)| AnnotatorConfusion {
        annotator,
        n: patterns.n_answers[number],
        confusion: confusion(number),
    });
    DawidSkene {
        annotators: annotators.collect(),
        priors: estimate.log_priors.iter().map(|log| log.exp()).collect(),
        n_iterations,
        has_converged,
        log_likelihood: found,
        posteriors,
        faces: answers.faces,
        classes: patterns.classes,
        pattern_of: patterns.pattern_of,
    }
}

/// Priors and confusions as logarithms, since a product of many small shares is no number any more.
struct Estimate {
    log_priors: Vec<f64>,
    /// Annotator by annotator [answer, class]: the classes of one answer lie together, as they are needed.
    log_confusion: Vec<Vec<f64>>,
    /// What smoothing adds to the log-likelihood; their sum is what an iteration never lowers.
    log_penalty: f64,
}

/// The different sets of answers that faces got.
struct Patterns {
    classes: Vec<Class>,
    /// (annotator's number, place in `classes`), pattern after pattern.
    answers: Vec<(u32, u8)>,
    starts: Vec<usize>,
    /// How many faces have the pattern.
    weights: Vec<f64>,
    pattern_of: Vec<u32>,
    /// (pattern, place in `classes`) by annotator.
    by_annotator: Vec<Vec<(u32, u8)>>,
    n_answers: Vec<usize>,
}

impl Patterns {
    fn of(answers: &Answers<Class>) -> Self {
        let mut place_of = [None; 256];
        answers.given().iter().for_each(|&(_, class)| place_of[usize::from(class)] = Some(0));
        let occurs = |class: &Class| place_of[usize::from(*class)].is_some();
        let classes: Vec<Class> = (0..=Class::MAX).filter(occurs).collect();
        let mut places = [0u8; 256];
        classes.iter().enumerate().for_each(|(place, &class)| places[usize::from(class)] = place as u8);

        let mut known: HashMap<&[(u32, Class)], u32> = HashMap::new();
        let mut patterns = Self {
            classes,
            answers: Vec::new(),
            starts: vec![0],
            weights: Vec::new(),
            pattern_of: Vec::with_capacity(answers.faces.len()),
            by_annotator: vec![Vec::new(); answers.annotators.len()],
            n_answers: vec![0; answers.annotators.len()],
        };
        for face in answers.by_face() {
            let next = patterns.weights.len() as u32;
            let pattern = *known.entry(face).or_insert(next);
            if pattern == next {
                patterns.weights.push(0.0);
                for &(annotator, class) in face {
                    let place = places[usize::from(class)];
                    patterns.answers.push((annotator, place));
                    patterns.by_annotator[annotator as usize].push((pattern, place));
                }
                patterns.starts.push(patterns.answers.len());
            }
            face.iter().for_each(|&(annotator, _)| patterns.n_answers[annotator as usize] += 1);
            patterns.weights[pattern as usize] += 1.0;
            patterns.pattern_of.push(pattern);
        }
        patterns
    }

    fn answers_of(&self, pattern: usize) -> &[(u32, u8)] {
        &self.answers[self.starts[pattern]..self.starts[pattern + 1]]
    }

    /// Where the iteration starts: each class by its share of the face's votes.
    fn vote_shares(&self) -> Vec<f64> {
        let n_classes = self.classes.len();
        let mut shares = vec![0.0; self.weights.len() * n_classes];
        for (pattern, shares) in shares.chunks_mut(n_classes.max(1)).enumerate() {
            let votes = self.answers_of(pattern);
            votes.iter().for_each(|&(_, place)| shares[usize::from(place)] += 1.0 / votes.len() as f64);
        }
        shares
    }

    /// The priors and confusions that make the posteriors' expected counts most probable.
    fn maximise(&self, posteriors: &[f64], smoothing: f64) -> Estimate {
        let n_classes = self.classes.len();
        let posterior = |pattern: u32| &posteriors[pattern as usize * n_classes..][..n_classes];
        let mut n_faces = vec![0.0; n_classes];
        for (pattern, &weight) in self.weights.iter().enumerate() {
            add_scaled(&mut n_faces, posterior(pattern as u32), weight);
        }
        let log_confusion: Vec<Vec<f64>> = self
            .by_annotator
            .par_iter()
            .map(|given| {
                let mut counts = vec![0.0; n_classes * n_classes]; // [answer, class]
                for &(pattern, place) in given {
                    let of_answer = &mut counts[usize::from(place) * n_classes..][..n_classes];
                    add_scaled(of_answer, posterior(pattern), self.weights[pattern as usize]);
                }
                log_shares(&mut counts, n_classes, smoothing);
                counts
            })
            .collect();
        log_shares(&mut n_faces, 1, smoothing);
        let logs = n_faces.iter().chain(log_confusion.iter().flatten());
        let log_penalty = if smoothing > 0.0 { smoothing * logs.sum::<f64>() } else { 0.0 };
        Estimate { log_priors: n_faces, log_confusion, log_penalty }
    }

    /// Overwrites the posteriors with those under the estimate; returns the answers' log-likelihood.
    fn expect(&self, estimate: &Estimate, posteriors: &mut [f64]) -> f64 {
        let n_classes = self.classes.len().max(1);
        let of_chunk = |(chunk, posteriors): (usize, &mut [f64])| {
            let mut log_likelihood = 0.0;
            for (nth, logs) in posteriors.chunks_mut(n_classes).enumerate() {
                let pattern = chunk * CHUNK + nth;
                logs.copy_from_slice(&estimate.log_priors);
                for &(annotator, place) in self.answers_of(pattern) {
                    let of_answer = &estimate.log_confusion[annotator as usize][usize::from(place) * n_classes..];
                    logs.iter_mut().zip(of_answer).for_each(|(log, said)| *log += said);
                }
                log_likelihood += self.weights[pattern] * normalise(logs);
            }
            log_likelihood
        };
        let sums: Vec<f64> = posteriors.par_chunks_mut(CHUNK * n_classes).enumerate().map(of_chunk).collect();
        sums.iter().sum()
    }
}

fn add_scaled(sums: &mut [f64], terms: &[f64], scale: f64) {
    sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += scale * term);
}

/// Counts [answer, class] to logarithms of shares within each class, or for one class within the whole list; even
/// shares where there are no counts.
fn log_shares(counts: &mut [f64], n_classes: usize, smoothing: f64) {
    let n_answers = counts.len() / n_classes.max(1);
    for class in 0..n_classes {
        let total = counts.iter().skip(class).step_by(n_classes).sum::<f64>() + smoothing * n_answers as f64;
        for count in counts.iter_mut().skip(class).step_by(n_classes) {
            let share = if total > 0.0 { (*count + smoothing) / total } else { 1.0 / n_answers as f64 };
            *count = share.ln();
        }
    }
}

/// Logarithms of unnormalised probabilities to probabilities; returns the logarithm of their sum.
fn normalise(logs: &mut [f64]) -> f64 {
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logs.iter_mut().for_each(|log| *log = (*log - top).exp());
    let sum: f64 = logs.iter().sum();
    logs.iter_mut().for_each(|share| *share /= sum);
    top + sum.ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(answers: &[(i64, i64, Class)], n_iterations: usize, smoothing: f64) -> DawidSkene {
        let options = DawidSkeneOptions { smoothing, tolerance: f64::NEG_INFINITY, max_iterations: n_iterations };
        dawid_skene(answers.to_vec(), &options)
    }

    #[test]
    fn who_always_says_the_same_is_not_counted() {
        // 2 and 3 know; 1, 4 and 5 say 0 whatever they see: the majority is 0 for every face.
        let knows = |face: i64| (face % 3) as Class;
        let of_face = |face| [(face, 1, 0), (face, 2, knows(face)), (face, 3, knows(face)), (face, 4, 0), (face, 5, 0)];
        let found = dawid_skene(
            (0..60).flat_map(of_face).collect(),
            &DawidSkeneOptions { smoothing: 0.01, ..DawidSkeneOptions::default() },
        );
        assert!((0..60).all(|face| found.most_probable(face) == Some(knows(face as i64))));
        assert!(found.annotators[1].confusion[2][2] > 0.99 && found.annotators[0].confusion[2][0] > 0.99);
        assert!(found.has_converged && found.priors.iter().all(|prior| (prior - 1.0 / 3.0).abs() < 1e-3));
    }

    #[test]
    fn little_is_enough() {
        let nobody = dawid_skene(Vec::new(), &DawidSkeneOptions::default());
        assert!(nobody.faces.is_empty() && nobody.classes.is_empty() && nobody.annotators.is_empty());
        let one = dawid_skene(vec![(4, 9, 7)], &DawidSkeneOptions::default());
        assert_eq!((one.most_probable(0), one.posterior(0)), (Some(7), [1.0].as_slice()));
        let tie = dawid_skene(vec![(1, 1, 2), (1, 2, 5)], &DawidSkeneOptions { smoothing: 0.0, ..Default::default() });
        assert_eq!((tie.classes.as_slice(), tie.most_probable(0)), ([2, 5].as_slice(), None));
    }

    fn some_answers() -> impl Strategy<Value = Vec<(i64, i64, Class)>> {
        prop::collection::btree_map((0i64..15, 0i64..5), 0u8..4, 1..60)
            .prop_map(|given| given.into_iter().map(|((face, annotator), class)| (face, annotator, class)).collect())
    }

    proptest! {
        #[test]
        fn no_iteration_lowers_the_likelihood(answers in some_answers(), is_smoothed in any::<bool>()) {
            let smoothing = if is_smoothed { 0.5 } else { 0.0 };
            let objective = |n_iterations| {
                let found = after(&answers, n_iterations, smoothing);
                let shares = found.annotators.iter().flat_map(|a| a.confusion.iter().flatten()).chain(&found.priors);
                let penalty: f64 = shares.map(|share| if is_smoothed { smoothing * share.ln() } else { 0.0 }).sum();
                found.log_likelihood + penalty
            };
            let values: Vec<f64> = (1..8).map(objective).collect();
            prop_assert!(values.windows(2).all(|pair| pair[1] >= pair[0] - 1e-9), "{values:?}");
        }

        #[test]
        fn the_order_of_rows_changes_nothing(answers in some_answers(), turn in 0usize..60) {
            let mut turned = answers.clone();
            turned.rotate_left(turn % answers.len());
            turned.reverse();
            let (found, again) = (after(&answers, 20, 0.01), after(&turned, 20, 0.01));
            prop_assert_eq!(&found, &again);
            for face in 0..found.faces.len() {
                prop_assert!((found.posterior(face).iter().sum::<f64>() - 1.0).abs() < 1e-9);
            }
        }
    }
}
