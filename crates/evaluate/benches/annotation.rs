//! How long do the figures of 1,000,000 annotations take: agreement, Dawid-Skene, weighted mean?
//!
//! Once as a large project with a small team has them, two of 12 annotators a face, and once as a crowd gives them,
//! five of 500: `cargo bench -p affectory-evaluate --bench annotation`.

use std::time::Instant;

use affectory_core::Expression;
use affectory_evaluate::{DawidSkeneOptions, Rating, WeightedMeanOptions, agreement, dawid_skene, weighted_mean_of};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn main() {
    for (n_faces, n_annotators, n_ratings) in [(500_000, 12, 2), (200_000, 500, 5)] {
        println!("{n_faces} faces, each with {n_ratings} of {n_annotators} annotators:");
        let ratings = draw(n_faces, n_annotators, n_ratings);
        best("agreement", || agreement(&ratings).n_faces.to_string() + " faces");
        best("Dawid-Skene", || {
            let answers = ratings.iter().filter_map(|r| Some((r.face, r.annotator, r.expression?.index() as u8)));
            let found = dawid_skene(answers.collect(), &DawidSkeneOptions::default());
            format!("{} iterations, converged {}", found.n_iterations, found.has_converged)
        });
        best("weighted mean", || {
            let answers = ratings.iter().filter_map(|r| Some((r.face, r.annotator, r.valence?)));
            format!("{} iterations", weighted_mean_of(answers.collect(), &WeightedMeanOptions::default()).n_iterations)
        });
    }
}

/// Annotators who are right in 5 to 9 of 10 cases and otherwise say anything.
fn draw(n_faces: i64, n_annotators: i64, n_ratings: i64) -> Vec<Rating> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let skills: Vec<f64> = (0..n_annotators).map(|_| random.random_range(0.5..0.9)).collect();
    let mut ratings = Vec::with_capacity((n_faces * n_ratings) as usize);
    for face in 0..n_faces {
        let truth = random.random_range(0..8);
        let (valence, arousal) = (random.random_range(-1.0..1.0), random.random_range(-1.0..1.0));
        let first = random.random_range(0..n_annotators);
        let step = random.random_range(1..n_annotators / n_ratings);
        for annotator in (0..n_ratings).map(|nth| (first + nth * step) % n_annotators) {
            let is_right = random.random_bool(skills[annotator as usize]);
            let class = if is_right { truth } else { random.random_range(0..11) };
            let mut near = |value: f64| Some((value + random.random_range(-0.4..0.4)).clamp(-1.0, 1.0));
            let (valence, arousal) = (near(valence), near(arousal));
            ratings.push(Rating { face, annotator, expression: Expression::from_index(class), valence, arousal });
        }
    }
    ratings
}

/// Prints the shortest of three runs.
fn best(name: &str, run: impl Fn() -> String) {
    let (mut best, mut found) = (f64::INFINITY, String::new());
    for _ in 0..3 {
        let start = Instant::now();
        found = run();
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("  {name}: {best:.3} s ({found})");
}
