//! What is done about categories that are much rarer than others: which faces does an epoch have, how often, at what weight?

use affectory_core::LabelSet;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::data::Sample;
use crate::recipe::{Imbalance, Recipe};

/// One of the four strategies, worked out for the faces of a training split.
#[derive(Debug, Clone, PartialEq)]
pub struct Balance {
    /// Faces that every epoch has once.
    kept: Vec<usize>,
    /// Faces of each category that are repeated, and how many places they fill beside their first.
    repeated: Vec<(Vec<usize>, usize)>,
    /// Weight of each face's expression loss.
    weights: Vec<f32>,
}

impl Balance {
    /// Counts categories by consensus; a face outside the label set is kept once with weight 1.
    pub fn new(samples: &[Sample], labels: &LabelSet, recipe: &Recipe, seed: u64) -> Self {
        let class = |sample: &Sample| sample.expression.and_then(|expression| labels.class_of(expression));
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); labels.n_classes()];
        let mut kept: Vec<usize> = Vec::new();
        for (face_idx, sample) in samples.iter().enumerate() {
            match class(sample) {
                Some(class) => members[class].push(face_idx),
                None => kept.push(face_idx),
            }
        }
        let mut counts: Vec<usize> = members.iter().map(Vec::len).filter(|&n| n > 0).collect();
        counts.sort_unstable();
        let (least, most) = (counts.first().copied().unwrap_or(0), counts.last().copied().unwrap_or(0));
        let mut repeated = Vec::new();
        let mut weights = vec![1.0; samples.len()];
        match recipe.imbalance {
            Imbalance::None => kept = (0..samples.len()).collect(),
            Imbalance::DownSampling => {
                let cap = if recipe.class_cap > 0 {
                    recipe.class_cap
                } else {
                    counts.get(counts.len() / 2).copied().unwrap_or(0)
                };
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                for mut faces in members {
                    faces.shuffle(&mut rng);
                    faces.truncate(cap);
                    kept.extend(faces);
                }
                kept.sort_unstable();
            }
            Imbalance::UpSampling => {
                kept = (0..samples.len()).collect();
                repeated = members
                    .into_iter()
                    .filter(|faces| !faces.is_empty())
                    .map(|faces| {
                        let n = most - faces.len();
                        (faces, n)
                    })
                    .collect();
            }
            Imbalance::WeightedLoss => {
                kept = (0..samples.len()).collect();
                for faces in &members {
                    for &face_idx in faces {
                        weights[face_idx] = least as f32 / faces.len() as f32;
                    }
                }
            }
        }
        Self { kept, repeated, weights }
    }

    /// The faces of one epoch, not yet shuffled. What is repeated is drawn anew in each: whole rounds of a category, and
    /// for what is left of the last round a random part of it.
    pub fn faces(&self, epoch_seed: u64) -> Vec<usize> {
        let mut order = self.kept.clone();
        let mut rng = ChaCha8Rng::seed_from_u64(epoch_seed);
        // Stream 0 shuffles the order.
        rng.set_stream(1 << 41);
        for (faces, n_places) in &self.repeated {
            for _ in 0..n_places / faces.len() {
                order.extend(faces);
            }
            let mut last_round = faces.clone();
            last_round.shuffle(&mut rng);
            order.extend(&last_round[..n_places % faces.len()]);
        }
        order
    }

    /// Weight of a face's expression loss, (0, 1].
    pub fn weight(&self, face_idx: usize) -> f32 {
        self.weights.get(face_idx).copied().unwrap_or(1.0)
    }
}

#[cfg(test)]
mod tests {
    use affectory_core::{BoundingBox, Expression, Split};

    use super::*;

    /// Two happy faces for each of the others, and one outside the label set.
    fn balance(imbalance: Imbalance) -> Balance {
        let labels = LabelSet::parse("happy,sad,fear").unwrap();
        let of = |expression| Sample {
            name: String::new(),
            image: String::new(),
            bounding_box: BoundingBox::whole(1, 1),
            five: None,
            expression: Some(expression),
            votes: [0; 11],
            valence: None,
            arousal: None,
            split: Split::Train,
            pack: 0,
        };
        let happy = vec![of(Expression::Happy); 6];
        let samples = [happy, vec![of(Expression::Sad); 4], vec![of(Expression::Fear); 1], vec![of(Expression::Anger)]];
        Balance::new(&samples.concat(), &labels, &Recipe { imbalance, ..Recipe::default() }, 1)
    }

    fn counts(faces: &[usize]) -> [usize; 4] {
        let mut counts = [0; 4];
        for &face in faces {
            counts[match face {
                0..6 => 0,
                6..10 => 1,
                10 => 2,
                _ => 3,
            }] += 1;
        }
        counts
    }

    #[test]
    fn each_strategy_gives_the_counts_and_weights_it_promises() {
        let plain = balance(Imbalance::None);
        assert_eq!((counts(&plain.faces(1)), plain.weight(0)), ([6, 4, 1, 1], 1.0));
        assert_eq!(counts(&balance(Imbalance::DownSampling).faces(1)), [4, 4, 1, 1], "capped at the median");
        let up = balance(Imbalance::UpSampling);
        assert_eq!(counts(&up.faces(1)), [6, 6, 6, 1]);
        assert!((0..20).any(|seed| up.faces(seed) != up.faces(0)), "the last round is drawn anew");
        assert_eq!(up.faces(5), up.faces(5));
        let weighted = balance(Imbalance::WeightedLoss);
        assert_eq!([0, 6, 10, 11].map(|face| weighted.weight(face)), [1.0 / 6.0, 0.25, 1.0, 1.0]);
    }
}
