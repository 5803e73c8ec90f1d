//! What is a team shown of the public half, so that a thousand submissions teach it no more than their answers deserve?
//!
//! The Ladder (Blum and Hardt, *The Ladder: A Reliable Leaderboard for Machine Learning Competitions*, ICML 2015): a
//! team's score changes only when a submission beats its best one by a step; else it is shown the old score again, and
//! learns that the step was not reached, nothing more. This is their parameter-free variant, whose step follows from
//! the spread of the paired difference, with two changes:
//!
//! - `step = max(0.01, 2 sqrt(ln k) * s)`, `s` being the standard error of the difference between the new submission and
//!   the best one on the same images, and `k` the number of the team's scored submissions with this one. The `k`-th try,
//!   no better in truth, takes that step by chance with a probability below `1 / k^2`, the sum of which over all tries,
//!   however many, is finite; with the step of their variant, `s`, one of six tries would.
//! - What is shown is rounded to 0.01, as in their variant with a fixed step.
//!
//! The first submission is shown as it is (rounded). Withdrawn submissions go on counting for step and best.

/// Smallest step, and what shown scores are rounded to.
pub const STEP: f64 = 0.01;

/// The submission that stands for a team.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Best {
    /// What the team was shown.
    pub shown: f64,
    /// Its score, which nobody is shown.
    pub score: f64,
}

/// What comes of a submission.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rung {
    /// What the team is shown.
    pub shown: f64,
    /// Whether it stands for the team now.
    pub is_accepted: bool,
}

/// Decides on the `k`-th scored submission of a team. The standard error of its difference to the best one is asked for
/// only where it matters; where there is none, nothing is accepted.
///
/// ```
/// use affectory_portal::challenge::ladder::{Best, climb};
///
/// let best = Some(Best { shown: 0.62, score: 0.6194 });
/// // The second submission: a step of 2 sqrt(ln 2) * 0.02 = 0.0333.
/// assert!(!climb(best, 0.6526, 2, || Some(0.02)).is_accepted);
/// assert_eq!(climb(best, 0.6528, 2, || Some(0.02)).shown, 0.65);
/// ```
pub fn climb(best: Option<Best>, score: f64, k: u64, standard_error: impl FnOnce() -> Option<f64>) -> Rung {
    let Some(best) = best else { return Rung { shown: rounded(score), is_accepted: true } };
    let kept = Rung { shown: best.shown, is_accepted: false };
    if score < best.score + STEP {
        return kept;
    }
    let Some(standard_error) = standard_error() else { return kept };
    let step = STEP.max(2.0 * (k.max(1) as f64).ln().sqrt() * standard_error);
    if score >= best.score + step { Rung { shown: rounded(score), is_accepted: true } } else { kept }
}

/// To the nearest 0.01.
pub fn rounded(score: f64) -> f64 {
    // Divided, not multiplied: 0.29 is then the same number that its text gives.
    (score * 100.0).round() / 100.0
}

/// The bounds of an interval around a shown score, each moved outward to the next 0.01, so that they say no more of the
/// score itself than is shown.
pub fn shown_interval(shown: f64, score: f64, low: f64, high: f64) -> (f64, f64) {
    let outward = |width: f64| (width.max(0.0) * 100.0).ceil() / 100.0;
    (rounded(shown - outward(score - low)), rounded(shown + outward(high - score)))
}

#[cfg(test)]
mod tests {
    use affectory_catalog::ChallengeMetric;
    use affectory_evaluate::{Matched, Pairs};
    use proptest::prelude::*;
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::challenge::scoring::{figure, paired};

    proptest! {
        #[test]
        fn what_is_shown_never_falls_and_rises_by_whole_steps(
            scores in proptest::collection::vec(0.0_f64..1.0, 1..60),
            errors in proptest::collection::vec(proptest::option::of(0.0_f64..0.05), 60),
        ) {
            let mut best: Option<Best> = None;
            for (k, score) in scores.iter().enumerate() {
                let rung = climb(best, *score, k as u64 + 1, || errors[k]);
                prop_assert_eq!(rung.shown, rounded(rung.shown));
                if let Some(before) = best {
                    prop_assert!(rung.shown >= before.shown);
                    if rung.is_accepted {
                        prop_assert!(*score - before.score >= STEP - 1e-12);
                        prop_assert!(rung.shown - before.shown >= STEP - 1e-9);
                    } else {
                        prop_assert_eq!(rung.shown, before.shown);
                    }
                }
                if rung.is_accepted {
                    best = Some(Best { shown: rung.shown, score: *score });
                }
            }
        }
    }

    #[test]
    fn an_interval_says_no_more_than_hundredths() {
        assert_eq!(shown_interval(0.62, 0.6249, 0.6031, 0.6402), (0.59, 0.64));
    }

    /// Public half of the simulation.
    const N: usize = 2000;
    /// Share that each of the climber's two models has right.
    const TRUE_ACCURACY: f64 = 0.65;

    /// What a climber knows how to do: two models that are equally good and differ on 1,200 images, of which one or the
    /// other is right. Any mix of both is right on 65 % of images it was not chosen on.
    struct Climber {
        truth: Vec<u8>,
        models: [Vec<u8>; 2],
    }

    impl Climber {
        fn new(random: &mut ChaCha8Rng) -> Self {
            let truth: Vec<u8> = (0..N).map(|_| random.random_range(0..8)).collect();
            let wrong = |label: u8| (label + 1) % 8;
            // 700 that both have right, 100 that neither has, 1,200 that one has.
            let right = [(true, true, 700), (false, false, 100), (true, false, 600), (false, true, 600)];
            let pattern: Vec<(bool, bool)> =
                right.into_iter().flat_map(|(a, b, n)| std::iter::repeat_n((a, b), n)).collect();
            let model = |of: fn(&(bool, bool)) -> bool| {
                truth.iter().zip(&pattern).map(|(&label, which)| if of(which) { label } else { wrong(label) }).collect()
            };
            let models: [Vec<u8>; 2] = [model(|which| which.0), model(|which| which.1)];
            Self { truth, models }
        }

        fn mixed(&self, choice: &[bool]) -> Vec<u8> {
            choice.iter().enumerate().map(|(at, second)| self.models[usize::from(*second)][at]).collect()
        }

        fn matched(&self, predicted: &[u8]) -> Matched {
            let rows: Vec<u32> = (0..N as u32).collect();
            Matched {
                labels: affectory_core::LabelSet::eight().labels().to_vec(),
                can_be_said: vec![true; 8],
                truth: self.truth.clone(),
                predicted: predicted.to_vec(),
                rows,
                score_truth: vec![],
                scores: vec![],
                score_rows: vec![],
                valence: Pairs::default(),
                arousal: Pairs::default(),
                n: N,
                n_left_out: 0,
                missing: vec![],
            }
        }
    }

    /// A leaderboard to be climbed: what it shows for the next submission.
    trait Board {
        fn show(&mut self, climber: &Climber, predicted: Vec<u8>) -> f64;
    }

    /// Every score as it is.
    struct Open;

    impl Board for Open {
        fn show(&mut self, climber: &Climber, predicted: Vec<u8>) -> f64 {
            figure(ChallengeMetric::Accuracy, &climber.matched(&predicted))
        }
    }

    #[derive(Default)]
    struct Laddered {
        best: Option<(Best, Vec<u8>)>,
        k: u64,
    }

    impl Board for Laddered {
        fn show(&mut self, climber: &Climber, predicted: Vec<u8>) -> f64 {
            self.k += 1;
            let matched = climber.matched(&predicted);
            let score = figure(ChallengeMetric::Accuracy, &matched);
            let error = || {
                let (_, before) = self.best.as_ref()?;
                paired(ChallengeMetric::Accuracy, &climber.matched(before), &matched)?.interval.std
            };
            let rung = climb(self.best.as_ref().map(|(best, _)| *best), score, self.k, error);
            if rung.is_accepted {
                self.best = Some((Best { shown: rung.shown, score }, predicted));
            }
            rung.shown
        }
    }

    /// The paper's attack (its section 4): random submissions, and the majority of those that the board says are better
    /// than what came before. Gives the points that the climber seems to have above 65 %.
    fn majority_attack(seed: u64, board: &mut dyn Board) -> f64 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let climber = Climber::new(&mut random);
        let first: Vec<bool> = (0..N).map(|_| random.random()).collect();
        let reference = board.show(&climber, climber.mixed(&first));
        let (mut highest, mut votes) = (reference, vec![0_i32; N]);
        for _ in 1..999 {
            let choice: Vec<bool> = (0..N).map(|_| random.random()).collect();
            let shown = board.show(&climber, climber.mixed(&choice));
            highest = highest.max(shown);
            if shown > reference {
                votes.iter_mut().zip(&choice).for_each(|(vote, second)| *vote += if *second { 1 } else { -1 });
            }
        }
        let boosted: Vec<bool> =
            votes.iter().zip(&first).map(|(&vote, &first)| if vote == 0 { first } else { vote > 0 }).collect();
        let shown = board.show(&climber, climber.mixed(&boosted));
        100.0 * (highest.max(shown) - TRUE_ACCURACY)
    }

    /// A climber who changes a twentieth of the best submission and keeps what the board likes better.
    fn hill_attack(seed: u64, board: &mut dyn Board) -> f64 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let climber = Climber::new(&mut random);
        let mut choice: Vec<bool> = (0..N).map(|_| random.random()).collect();
        let mut shown = board.show(&climber, climber.mixed(&choice));
        for _ in 1..1000 {
            let other: Vec<bool> = choice.iter().map(|&second| second ^ (random.random_range(0..20) == 0)).collect();
            let answer = board.show(&climber, climber.mixed(&other));
            if answer > shown {
                (choice, shown) = (other, answer);
            }
        }
        100.0 * (shown - TRUE_ACCURACY)
    }

    #[test]
    fn a_climber_with_1000_submissions_gains_less_than_2_points() {
        type Attack = fn(u64, &mut dyn Board) -> f64;
        let attacks: [(&str, Attack); 2] = [("majority vote", majority_attack), ("hill climbing", hill_attack)];
        for (name, attack) in attacks {
            for seed in 0..4 {
                let (open, laddered) = (attack(seed, &mut Open), attack(seed, &mut Laddered::default()));
                println!("{name}, seed {seed}: {open:+.2} points without the Ladder, {laddered:+.2} with it");
                assert!(laddered < 2.0, "{name}, seed {seed}: {laddered:+.2} points with the Ladder");
                assert!(open > 4.0, "{name}, seed {seed}: {open:+.2} points without it: the attack is too weak a test");
            }
        }
    }

    /// It must not be won by showing nothing: three real improvements of four points are all shown.
    #[test]
    fn a_team_that_gets_better_is_shown_so() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let climber = Climber::new(&mut random);
        let mut board = Laddered::default();
        let mut predicted = climber.models[0].clone();
        let mut shown = vec![board.show(&climber, predicted.clone())];
        for step in 0..3 {
            // Of the 700 wrong ones 80 more become right; ten submissions a step that change little come between.
            let wrong: Vec<usize> = (0..N).filter(|&at| predicted[at] != climber.truth[at]).take(80).collect();
            wrong.into_iter().for_each(|at| predicted[at] = climber.truth[at]);
            shown.push(board.show(&climber, predicted.clone()));
            for n in 0..10 {
                let mut near = predicted.clone();
                near[step * 50 + n] = (near[step * 50 + n] + 1) % 8;
                board.show(&climber, near);
            }
        }
        assert_eq!(shown, [0.65, 0.69, 0.73, 0.77]);
    }
}
