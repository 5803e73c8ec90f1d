//! What do several annotators together say of one face?

use affectory_core::{Arousal, Expression, Valence};

/// One annotation as the rule sees it. People, imported annotators and renderers vote; a proxy is a formula
/// that stands in for them; an adjudication is the last word of someone who saw the votes; a model's annotations
/// must not be given.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Vote {
    /// Category.
    pub expression: Option<Expression>,
    /// Valence.
    pub valence: Option<Valence>,
    /// Arousal.
    pub arousal: Option<Arousal>,
    /// Whether a formula says so and no annotator.
    pub is_proxy: bool,
    /// Whether it decides instead of being counted.
    pub is_adjudication: bool,
}

impl Vote {
    /// Whether it is counted: neither a proxy nor an adjudication.
    pub fn is_ordinary(&self) -> bool {
        !self.is_proxy && !self.is_adjudication
    }
}

/// What the votes come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Consensus {
    /// The category decided on; none on a tie.
    pub expression: Option<Expression>,
    /// Share of the ordinary votes that this category has, [0, 1], on a tie that of those at the top; none without an
    /// ordinary vote on the category.
    pub agreement: Option<f32>,
    /// Valence.
    pub valence: Option<Valence>,
    /// Arousal.
    pub arousal: Option<Arousal>,
    /// Standard deviation of the ordinary votes' valence, divided by n, [0, 1]; none with fewer than two.
    pub valence_spread: Option<f32>,
    /// Likewise of arousal.
    pub arousal_spread: Option<f32>,
    /// Whether valence or arousal comes from a proxy: must be said wherever it shows.
    pub is_proxy: bool,
    /// Whether an adjudication was there, and decided.
    pub is_adjudicated: bool,
    /// Number of ordinary votes on the category.
    pub n: usize,
}

/// The category by plurality, valence and arousal by mean.
///
/// A proxy has no vote on the category and fills valence or arousal only where nobody else gave one. The last
/// adjudication decides, the ones before it do not count; what it leaves open, the votes decide, except that an
/// adjudicated category outside the eight expressions leaves valence and arousal empty.
///
/// ```
/// use affectory_core::{Expression, Valence};
/// use affectory_evaluate::{Vote, majority};
///
/// let vote = |expression, valence| Vote { expression: Some(expression), valence, ..Vote::default() };
/// let votes = [
///     vote(Expression::Happy, Some(Valence::new(0.5)?)),
///     vote(Expression::Happy, Some(Valence::new(0.7)?)),
///     vote(Expression::Surprise, None),
/// ];
/// let consensus = majority(&votes);
/// assert_eq!(consensus.expression, Some(Expression::Happy));
/// assert_eq!(consensus.agreement, Some(2.0 / 3.0));
///
/// let adjudication = Vote { is_adjudication: true, ..vote(Expression::Surprise, None) };
/// let adjudicated = majority(&[&votes[..], &[adjudication]].concat());
/// assert_eq!((adjudicated.expression, adjudicated.n), (Some(Expression::Surprise), 3));
/// assert_eq!(adjudicated.agreement, Some(1.0 / 3.0));
/// # Ok::<(), affectory_core::CoreError>(())
/// ```
pub fn majority(votes: &[Vote]) -> Consensus {
    settle(votes, Opinion::of(votes))
}

/// How often the ordinary votes name each category, by its index.
pub fn vote_counts(votes: &[Vote]) -> [u32; 11] {
    let mut counts = [0; 11];
    for expression in votes.iter().filter(|vote| vote.is_ordinary()).filter_map(|vote| vote.expression) {
        counts[expression.index()] += 1;
    }
    counts
}

/// The share of each category among a face's votes, `(count + smoothing) / (n + 11 smoothing)`: what a network can be
/// trained on instead of one category (Barsoum et al. 2016). Laplace's smoothing is 1, none 0; undefined without a
/// vote or smoothing.
///
/// ```
/// let shares = affectory_evaluate::soft_label(&[0, 3, 0, 1, 0, 0, 0, 0, 0, 0, 0], 0.0).unwrap();
/// assert_eq!((shares[1], shares[3]), (0.75, 0.25));
/// ```
pub fn soft_label(counts: &[u32; 11], smoothing: f64) -> Option<[f64; 11]> {
    let total = f64::from(counts.iter().sum::<u32>()) + 11.0 * smoothing;
    (total > 0.0).then(|| counts.map(|count| (f64::from(count) + smoothing) / total))
}

/// What a method makes of a face's ordinary votes.
pub(crate) struct Opinion {
    pub expression: Option<Expression>,
    pub valence: Option<f64>,
    pub arousal: Option<f64>,
}

impl Opinion {
    /// Plurality and means.
    pub fn of(votes: &[Vote]) -> Self {
        Self {
            expression: plurality(&vote_counts(votes)).and_then(Expression::from_index),
            valence: mean(&valences(votes)),
            arousal: mean(&arousals(votes)),
        }
    }
}

/// The method's opinion, with proxies where it has none and the adjudication over both.
pub(crate) fn settle(votes: &[Vote], opinion: Opinion) -> Consensus {
    let counts = vote_counts(votes);
    let (n, top) = (counts.iter().sum::<u32>(), counts.iter().copied().max().unwrap_or(0));
    let last_word = votes.iter().rfind(|vote| vote.is_adjudication);
    let decided = last_word.and_then(|vote| vote.expression);
    let is_open = decided.is_none_or(Expression::is_affective);
    let expression = decided.or(opinion.expression);
    // A mean of numbers in [-1, 1] lies in it.
    let of_votes = |value: Option<f64>| value.filter(|_| is_open).map(|value| value.clamp(-1.0, 1.0) as f32);
    let of_proxies = |value: fn(&Vote) -> Option<f32>| {
        let proxies = votes.iter().filter(|vote| vote.is_proxy && !vote.is_adjudication);
        of_votes(mean(&proxies.filter_map(value).map(f64::from).collect::<Vec<_>>()))
    };
    let valence = last_word
        .and_then(|vote| vote.valence)
        .or_else(|| of_votes(opinion.valence).and_then(|value| Valence::new(value).ok()));
    let arousal = last_word
        .and_then(|vote| vote.arousal)
        .or_else(|| of_votes(opinion.arousal).and_then(|value| Arousal::new(value).ok()));
    let proxy_valence = || of_proxies(|vote| vote.valence.map(Valence::value)).and_then(|v| Valence::new(v).ok());
    let proxy_arousal = || of_proxies(|vote| vote.arousal.map(Arousal::value)).and_then(|a| Arousal::new(a).ok());
    let (stand_in_valence, stand_in_arousal) =
        (valence.is_none().then(proxy_valence).flatten(), arousal.is_none().then(proxy_arousal).flatten());
    Consensus {
        expression,
        agreement: (n > 0).then(|| expression.map_or(top, |expression| counts[expression.index()]) as f32 / n as f32),
        valence: valence.or(stand_in_valence),
        arousal: arousal.or(stand_in_arousal),
        valence_spread: spread(&valences(votes)),
        arousal_spread: spread(&arousals(votes)),
        is_proxy: stand_in_valence.is_some() || stand_in_arousal.is_some(),
        is_adjudicated: last_word.is_some(),
        n: n as usize,
    }
}

/// The ordinary votes' valences.
fn valences(votes: &[Vote]) -> Vec<f64> {
    let ordinary = votes.iter().filter(|vote| vote.is_ordinary());
    ordinary.filter_map(|vote| vote.valence).map(|valence| valence.value().into()).collect()
}

/// The ordinary votes' arousals.
fn arousals(votes: &[Vote]) -> Vec<f64> {
    let ordinary = votes.iter().filter(|vote| vote.is_ordinary());
    ordinary.filter_map(|vote| vote.arousal).map(|arousal| arousal.value().into()).collect()
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Population standard deviation; none with fewer than two values.
fn spread(values: &[f64]) -> Option<f32> {
    let mean = mean(values).filter(|_| values.len() >= 2)?;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    Some((squares / values.len() as f64).sqrt() as f32)
}

/// The place of the highest count; none on a tie or without votes.
pub fn plurality(counts: &[u32]) -> Option<usize> {
    let top = counts.iter().copied().max().filter(|&top| top > 0)?;
    let mut holders = counts.iter().enumerate().filter(|&(_, &count)| count == top);
    let (place, _) = holders.next()?;
    holders.next().is_none().then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(expression: Option<Expression>, valence: Option<f32>, is_proxy: bool) -> Vote {
        let valence = valence.map(|v| Valence::new(v).unwrap());
        Vote { expression, valence, is_proxy, ..Vote::default() }
    }

    #[test]
    fn a_tie_for_the_top_has_no_category_but_an_agreement() {
        let found =
            majority(&[vote(Some(Expression::Fear), None, false), vote(Some(Expression::Surprise), None, false)]);
        assert_eq!((found.expression, found.agreement, found.n), (None, Some(0.5), 2));
        assert_eq!(majority(&[]).agreement, None);
    }

    #[test]
    fn a_proxy_fills_only_what_nobody_said() {
        let person = vote(Some(Expression::Happy), Some(0.4), false);
        let proxy = vote(Some(Expression::Sad), Some(-0.8), true);
        let both = majority(&[person, proxy, proxy]);
        assert_eq!(
            (both.expression, both.valence.map(Valence::value), both.is_proxy),
            (Some(Expression::Happy), Some(0.4), false)
        );
        let alone = majority(&[vote(Some(Expression::Happy), None, false), proxy]);
        assert_eq!(
            (alone.expression, alone.valence.map(Valence::value), alone.is_proxy),
            (Some(Expression::Happy), Some(-0.8), true)
        );
    }

    #[test]
    fn the_last_adjudication_decides_and_counts_nowhere() {
        let votes =
            [vote(Some(Expression::Fear), Some(-0.5), false), vote(Some(Expression::Surprise), Some(0.3), false)];
        let last_word = |expression, valence| Vote { is_adjudication: true, ..vote(Some(expression), valence, false) };
        let first = last_word(Expression::Happy, Some(0.9));
        let found = majority(&[&votes[..], &[first, last_word(Expression::Fear, Some(-0.7))]].concat());
        assert_eq!((found.expression, found.agreement, found.n), (Some(Expression::Fear), Some(0.5), 2));
        assert_eq!((found.valence.map(Valence::value), found.is_adjudicated), (Some(-0.7), true));
        assert!((found.valence_spread.unwrap() - 0.4).abs() < 1e-6 && found.arousal_spread.is_none());
        // What it leaves open comes from the votes, but a face that is none has no place in the circumplex.
        let open = majority(&[&votes[..], &[last_word(Expression::Fear, None)]].concat());
        assert!((open.valence.unwrap().value() + 0.1).abs() < 1e-6);
        assert_eq!(majority(&[&votes[..], &[last_word(Expression::NonFace, None)]].concat()).valence, None);
        assert_eq!(majority(&[first]).agreement, None);
    }

    #[test]
    fn soft_labels_are_shares() {
        let counts = [0, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(soft_label(&counts, 1.0).map(|shares| (shares[1], shares[0])), Some((4.0 / 15.0, 1.0 / 15.0)));
        assert_eq!(soft_label(&[0; 11], 0.0), None);
    }
}
