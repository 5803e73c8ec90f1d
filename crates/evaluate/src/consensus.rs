//! What do several annotators together say of one face?

use affectory_core::{Arousal, Expression, Valence};

/// One annotation as the rule sees it. People, imported annotators and renderers vote; a proxy is a formula
/// that stands in for them; a model's annotations must not be given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vote {
    /// Category.
    pub expression: Option<Expression>,
    /// Valence.
    pub valence: Option<Valence>,
    /// Arousal.
    pub arousal: Option<Arousal>,
    /// Whether a formula says so and no annotator.
    pub is_proxy: bool,
}

/// What the votes come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Consensus {
    /// The category with most votes; none on a tie for the top.
    pub expression: Option<Expression>,
    /// Share of the votes that the top category has, (0, 1]; none without a vote on the category.
    pub agreement: Option<f32>,
    /// Mean valence.
    pub valence: Option<Valence>,
    /// Mean arousal.
    pub arousal: Option<Arousal>,
    /// Whether valence or arousal comes from a proxy: must be said wherever it shows.
    pub is_proxy: bool,
    /// Number of votes on the category.
    pub n: usize,
}

/// The category by plurality, valence and arousal by mean. A proxy has no vote on the category and fills
/// valence or arousal only where nobody else gave one.
///
/// ```
/// use affectory_core::{Expression, Valence};
/// use affectory_evaluate::{Vote, majority};
///
/// let vote = |expression, valence| Vote { expression: Some(expression), valence, arousal: None, is_proxy: false };
/// let consensus = majority(&[
///     vote(Expression::Happy, Some(Valence::new(0.5)?)),
///     vote(Expression::Happy, Some(Valence::new(0.7)?)),
///     vote(Expression::Surprise, None),
/// ]);
/// assert_eq!(consensus.expression, Some(Expression::Happy));
/// assert_eq!(consensus.agreement, Some(2.0 / 3.0));
/// # Ok::<(), affectory_core::CoreError>(())
/// ```
pub fn majority(votes: &[Vote]) -> Consensus {
    let mut counts = [0u32; Expression::ALL.len()];
    for expression in votes.iter().filter(|vote| !vote.is_proxy).filter_map(|vote| vote.expression) {
        counts[expression.index()] += 1;
    }
    let (n, top) = (counts.iter().sum::<u32>(), counts.iter().copied().max().unwrap_or(0));
    let (valence, is_valence_proxy) = mean_or_proxy(votes, |vote| vote.valence.map(Valence::value));
    let (arousal, is_arousal_proxy) = mean_or_proxy(votes, |vote| vote.arousal.map(Arousal::value));
    Consensus {
        expression: plurality(&counts).and_then(Expression::from_index),
        agreement: (n > 0).then(|| top as f32 / n as f32),
        // A mean of numbers in [-1, 1] lies in it.
        valence: valence.and_then(|mean| Valence::new(mean).ok()),
        arousal: arousal.and_then(|mean| Arousal::new(mean).ok()),
        is_proxy: is_valence_proxy || is_arousal_proxy,
        n: n as usize,
    }
}

/// The place of the highest count; none on a tie or without votes.
pub fn plurality(counts: &[u32]) -> Option<usize> {
    let top = counts.iter().copied().max().filter(|&top| top > 0)?;
    let mut holders = counts.iter().enumerate().filter(|&(_, &count)| count == top);
    let (place, _) = holders.next()?;
    holders.next().is_none().then_some(place)
}

/// The annotators' mean, else the proxies', and which of the two it is.
fn mean_or_proxy(votes: &[Vote], value: impl Fn(&Vote) -> Option<f32>) -> (Option<f32>, bool) {
    let mean = |is_proxy: bool| {
        let values = votes.iter().filter(|vote| vote.is_proxy == is_proxy).filter_map(&value);
        let (sum, n) = values.fold((0.0f64, 0u32), |(sum, n), value| (sum + f64::from(value), n + 1));
        (n > 0).then(|| (sum / f64::from(n)).clamp(-1.0, 1.0) as f32)
    };
    match mean(false) {
        Some(mean) => (Some(mean), false),
        None => (mean(true), mean(true).is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(expression: Option<Expression>, valence: Option<f32>, is_proxy: bool) -> Vote {
        Vote { expression, valence: valence.map(|v| Valence::new(v).unwrap()), arousal: None, is_proxy }
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
}
