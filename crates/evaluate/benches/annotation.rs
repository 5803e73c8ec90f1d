//! How long do the figures of 1,000,000 annotations take: agreement, Dawid-Skene, weighted mean?
//!
//! 500,000 faces with two of 12 annotators each, as a large project has them: `cargo bench -p affectory-evaluate
//! --bench annotation`.

use std::time::Instant;

use affectory_core::Expression;
use affectory_evaluate::{Rating, agreement};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const N_FACES: i64 = 500_000;
const N_ANNOTATORS: i64 = 12;

fn main() {
    let ratings = draw();
    best("agreement", || agreement(&ratings).expression.krippendorff_alpha.is_some());
}

/// Two annotators a face, who are right in 6 of 10 cases and otherwise say anything.
fn draw() -> Vec<Rating> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut ratings = Vec::with_capacity(2 * N_FACES as usize);
    for face in 0..N_FACES {
        let truth = random.random_range(0..8);
        let (valence, arousal) = (random.random_range(-1.0..1.0), random.random_range(-1.0..1.0));
        let first = random.random_range(0..N_ANNOTATORS);
        for annotator in [first, (first + random.random_range(1..N_ANNOTATORS)) % N_ANNOTATORS] {
            let class = if random.random_bool(0.6) { truth } else { random.random_range(0..11) };
            let mut near = |value: f64| Some((value + random.random_range(-0.4..0.4)).clamp(-1.0, 1.0));
            let (valence, arousal) = (near(valence), near(arousal));
            ratings.push(Rating { face, annotator, expression: Expression::from_index(class), valence, arousal });
        }
    }
    ratings
}

/// Prints the shortest of three runs.
fn best(name: &str, run: impl Fn() -> bool) {
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        assert!(run(), "{name} found nothing");
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{name}, 1,000,000 annotations: {best:.3} s");
}
