//! How do batches reach the trainer before it asks? Threads read, crop and augment ahead, in a fixed order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use affectory_core::LabelSet;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::LearnError;
use crate::augment::{augment, blend, mixing_share, normalise};
use crate::data::{Faces, target};
use crate::imbalance::Balance;
use crate::recipe::Recipe;
use crate::team::Turn;

/// Packs whose faces are mixed with each other; a reader does well to keep twice as many open, and some a thread.
pub const OPEN_PACKS: usize = 8;

/// A step's worth of faces, flat and ready to become tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Index of each face in its split.
    pub faces: Vec<usize>,
    /// `[batch, channels, side, side]`.
    pub pixels: Vec<f32>,
    /// `[batch, classes]`: each row the face's target times its weight; a row of zeros has no expression.
    pub distributions: Vec<f32>,
    /// `[batch, 2]`; 0 where unknown.
    pub valence_arousal: Vec<f32>,
    /// `[batch, 2]`: 1 where known, else 0.
    pub valence_arousal_known: Vec<f32>,
}

/// What the loader needs besides the faces.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Batch size, sides and augmentation.
    pub recipe: Recipe,
    /// Order of the classes.
    pub labels: LabelSet,
    /// Epoch seed: order and augmentation follow from it and from the face, not from the threads. `None`: in order and unchanged.
    pub seed: Option<u64>,
    /// Which faces a shuffled pass has how often, and what each weighs; `None`: each once, all alike.
    pub balance: Option<Arc<Balance>>,
    /// Reading threads, at least 1.
    pub n_threads: usize,
    /// Whose share is read: of a shuffled pass some parts of every batch, of one in order some batches.
    pub turn: Turn,
}

/// Batches of one pass, or parts of them where a recipe deals them, in an order that only the seed decides.
pub struct Batches {
    receiver: Receiver<(usize, Result<Batch, LearnError>)>,
    early: BTreeMap<usize, Result<Batch, LearnError>>,
    next_idx: usize,
    n_reads: usize,
    n_batches: usize,
    n_faces: usize,
}

impl Batches {
    /// Starts the threads. A shuffled pass leaves out the last, smaller batch (batch statistics of a few
    /// faces are noise) unless it is the only one; a pass in order has every face.
    pub fn start(faces: &Arc<Faces>, plan: Plan) -> Self {
        let order = order(faces, &plan);
        let size = plan.recipe.batch_size;
        let whole = order.len() / size;
        let n_batches = if plan.seed.is_some() && whole > 0 { whole } else { order.len().div_ceil(size) };
        let n_faces = order.len().min(n_batches * size);
        let (size, reads) = reads(&plan, n_batches);
        let n_reads = reads.len();
        let work = Arc::new((order, plan, reads, AtomicUsize::new(0)));
        // Two batches a thread ahead: enough to ride out a slow image, little memory.
        let n_threads = work.1.n_threads.max(1);
        let (sender, receiver) = sync_channel(2 * n_threads);
        for _ in 0..n_threads {
            let (faces, work, sender) = (Arc::clone(faces), Arc::clone(&work), sender.clone());
            thread::spawn(move || {
                let (order, plan, reads, next) = &*work;
                loop {
                    let read_idx = next.fetch_add(1, Ordering::Relaxed);
                    let Some(place) = reads.get(read_idx) else { return };
                    let chunk = &order[place * size..((place + 1) * size).min(order.len())];
                    // The trainer stopped listening: nothing left to do.
                    if sender.send((read_idx, read_batch(&faces, chunk, plan))).is_err() {
                        return;
                    }
                }
            });
        }
        Self { receiver, early: BTreeMap::new(), next_idx: 0, n_reads, n_batches, n_faces }
    }

    /// Number of batches in the pass, whoever reads them.
    pub fn n_batches(&self) -> usize {
        self.n_batches
    }

    /// Faces in all of them.
    pub fn n_faces(&self) -> usize {
        self.n_faces
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, LearnError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next_idx == self.n_reads {
            return None;
        }
        loop {
            if let Some(batch) = self.early.remove(&self.next_idx) {
                self.next_idx += 1;
                return Some(batch);
            }
            match self.receiver.recv() {
                Ok((read_idx, batch)) => self.early.insert(read_idx, batch),
                // Every thread is gone and a batch is missing: a pass must not end short in silence.
                Err(_) => {
                    self.next_idx = self.n_reads;
                    return Some(Err(LearnError::LoaderDied));
                }
            };
        }
    }
}

/// The faces of a pass. A shuffled one goes through the packs in a random order, and mixes the faces of [`OPEN_PACKS`] at a time,
/// which is all of them where nothing is packed.
fn order(faces: &Faces, plan: &Plan) -> Vec<usize> {
    let order: Vec<usize> = match (&plan.balance, plan.seed) {
        (Some(balance), Some(seed)) => balance.faces(seed),
        _ => (0..faces.len()).collect(),
    };
    let mut packs: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for face_idx in order {
        packs.entry(faces.samples()[face_idx].pack).or_default().push(face_idx);
    }
    let mut packs: Vec<Vec<usize>> = packs.into_values().collect();
    let Some(seed) = plan.seed else { return packs.concat() };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    packs.shuffle(&mut rng);
    // Where a batch is dealt, every part has packs of its own, so that a process fetches its own and not all.
    let n_parts = plan.recipe.batch_parts.max(1);
    let n_streams = if packs.len() < n_parts { 1 } else { n_parts };
    let streams: Vec<Vec<usize>> = (0..n_streams)
        .map(|stream| {
            let own: Vec<&Vec<usize>> = packs.iter().skip(stream).step_by(n_streams).collect();
            let mixed = own.chunks(OPEN_PACKS).flat_map(|open| {
                let mut mixed: Vec<usize> = open.iter().flat_map(|pack| pack.iter().copied()).collect();
                mixed.shuffle(&mut rng);
                mixed
            });
            mixed.collect()
        })
        .collect();
    let dealt = match &streams[..] {
        [_] => Vec::new(),
        streams => dealt(streams, plan.recipe.batch_size / n_parts),
    };
    // Too few for a part of each: then all draw from all.
    if dealt.is_empty() { streams.concat() } else { dealt }
}

/// Batches that take their parts from one stream each, for as long as all have some.
fn dealt(streams: &[Vec<usize>], part_size: usize) -> Vec<usize> {
    let n_batches = streams.iter().map(|stream| stream.len() / part_size).min().unwrap_or(0);
    let part =
        |batch_idx: usize, stream: &Vec<usize>| stream[batch_idx * part_size..(batch_idx + 1) * part_size].to_vec();
    (0..n_batches).flat_map(|batch_idx| streams.iter().flat_map(move |stream| part(batch_idx, stream))).collect()
}

/// How many faces are read at a time, and which of these places in the order, one after the other.
fn reads(plan: &Plan, n_batches: usize) -> (usize, Vec<usize>) {
    if plan.seed.is_none() {
        return (plan.recipe.batch_size, plan.turn.places(n_batches).collect());
    }
    let n_parts = plan.recipe.batch_parts.max(1);
    let parts = |batch_idx: usize| plan.turn.places(n_parts).map(move |part| batch_idx * n_parts + part);
    (plan.recipe.batch_size / n_parts, (0..n_batches).flat_map(parts).collect())
}

fn read_batch(faces: &Faces, chunk: &[usize], plan: &Plan) -> Result<Batch, LearnError> {
    let side = plan.recipe.input_side as usize;
    let n_channels = plan.recipe.colour.n_channels();
    let n_values = n_channels * side * side;
    let n_classes = plan.labels.n_classes();
    let mut batch = Batch {
        faces: chunk.to_vec(),
        pixels: vec![0.0; chunk.len() * n_values],
        distributions: vec![0.0; chunk.len() * n_classes],
        valence_arousal: vec![0.0; chunk.len() * 2],
        valence_arousal_known: vec![0.0; chunk.len() * 2],
    };
    for (row, &face_idx) in chunk.iter().enumerate() {
        let out = &mut batch.pixels[row * n_values..(row + 1) * n_values];
        faces.with_crop(face_idx, |crop| match plan.seed {
            Some(seed) => {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                rng.set_stream(face_idx as u64 + 1);
                augment(crop, side, n_channels, &plan.recipe, &mut rng, out);
            }
            None => normalise(crop, n_channels, out),
        })?;
        let target = target(&faces.samples()[face_idx], &plan.labels, &plan.recipe);
        if !target.distribution.is_empty() {
            let out = &mut batch.distributions[row * n_classes..(row + 1) * n_classes];
            let weight = plan.balance.as_ref().map_or(1.0, |balance| balance.weight(face_idx));
            out.iter_mut().zip(&target.distribution).for_each(|(out, share)| *out = share * weight);
        }
        for (place, value) in target.valence_arousal.into_iter().enumerate() {
            if let Some(value) = value {
                batch.valence_arousal[row * 2 + place] = value;
                batch.valence_arousal_known[row * 2 + place] = 1.0;
            }
        }
    }
    if let Some(seed) = plan.seed.filter(|_| plan.recipe.mixup > 0.0 && chunk.len() > 1) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Streams below belong to faces; a batch's first face is in no other batch's first place unless it is repeated.
        rng.set_stream((1 << 40) + chunk[0] as u64);
        mix(&mut batch, mixing_share(plan.recipe.mixup, &mut rng));
    }
    Ok(batch)
}

/// Each face becomes `share` of itself and the rest of the one half a batch away, targets too.
fn mix(batch: &mut Batch, share: f32) {
    let n_faces = batch.faces.len();
    for values in [&mut batch.pixels, &mut batch.distributions, &mut batch.valence_arousal] {
        blend(values, n_faces, share);
    }
    // Half a value is none: known is what both know.
    let mut partner = batch.valence_arousal_known.clone();
    partner.rotate_left(n_faces / 2 * 2);
    batch.valence_arousal_known.iter_mut().zip(partner).for_each(|(known, other)| *known *= other);
}

/// The seed of one epoch of a run: neighbouring epochs and runs share nothing.
pub fn epoch_seed(run_seed: u64, epoch: u32) -> u64 {
    let mut rng = ChaCha8Rng::seed_from_u64(run_seed);
    rng.set_stream(u64::from(epoch));
    rng.random()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Sample;
    use affectory_core::{BoundingBox, Expression, Split};
    use affectory_imaging::{RgbImage, encode_png};

    fn faces(n: usize) -> Arc<Faces> {
        let samples = (0..n)
            .map(|i| Sample {
                name: i.to_string(),
                image: i.to_string(),
                bounding_box: BoundingBox::whole(16, 16),
                five: None,
                expression: Expression::from_index(i % 8),
                votes: [0; 11],
                valence: Some(0.1),
                arousal: None,
                split: Split::Train,
                pack: 0,
            })
            .collect();
        let read = Arc::new(|name: &str| {
            let shade = name.parse::<usize>().map_err(|e| e.to_string())? % 250;
            let mut picture = RgbImage::filled(16, 16, [shade as u8; 3]);
            picture.pixels[0] = 255;
            encode_png(&picture).map_err(|e| e.to_string())
        });
        Arc::new(Faces::new(samples, read, &recipe(), 4096))
    }

    fn recipe() -> Recipe {
        Recipe { input_side: 16, batch_size: 4, ..Recipe::default() }
    }

    fn pass(n_threads: usize, seed: Option<u64>) -> Vec<Batch> {
        let plan = Plan {
            recipe: recipe(),
            labels: LabelSet::eight(),
            seed,
            balance: None,
            n_threads,
            turn: Turn { number: 0, size: 1 },
        };
        Batches::start(&faces(23), plan).map(|b| b.expect("drawn faces decode")).collect()
    }

    #[test]
    fn threads_do_not_change_the_batches() {
        assert_eq!(pass(1, Some(3)), pass(4, Some(3)));
        assert_ne!(pass(1, Some(3))[0].faces, pass(1, Some(4))[0].faces);
    }

    #[test]
    fn a_pass_in_order_has_every_face_once() {
        let seen: Vec<usize> = pass(3, None).iter().flat_map(|b| b.faces.clone()).collect();
        assert_eq!(seen, (0..23).collect::<Vec<_>>());
    }

    #[test]
    fn mixed_targets_still_sum_to_one_and_half_a_value_is_none() {
        let mut batch = pass(1, Some(3)).remove(0);
        batch.valence_arousal_known[..2].fill(0.0);
        let plain = batch.clone();
        mix(&mut batch, 0.7);
        assert_ne!((&batch.pixels, &batch.distributions), (&plain.pixels, &plain.distributions));
        for (face, row) in batch.distributions.chunks_exact(8).enumerate() {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{row:?}");
            let other = (face + 2) % 4;
            let expected =
                |at: usize| 0.7 * plain.distributions[face * 8 + at] + 0.3 * plain.distributions[other * 8 + at];
            assert!(row.iter().enumerate().all(|(at, share)| (share - expected(at)).abs() < 1e-6));
        }
        // The first face's values were unknown, so those of its partner are no longer known, either.
        let known: Vec<bool> = batch.valence_arousal_known.chunks_exact(2).map(|known| known[0] == 1.0).collect();
        assert_eq!(known, [false, true, false, true]);
    }

    #[test]
    fn an_unreadable_image_is_an_error_that_names_it() {
        let broken = Sample { image: "no number".into(), ..faces(1).samples()[0].clone() };
        let faces = Arc::new(Faces::new(vec![broken], Arc::new(|_: &str| Err("gone".into())), &recipe(), 0));
        let plan = Plan {
            recipe: recipe(),
            labels: LabelSet::eight(),
            seed: None,
            balance: None,
            n_threads: 1,
            turn: Turn { number: 0, size: 1 },
        };
        let found = Batches::start(&faces, plan).next();
        assert!(matches!(found, Some(Err(LearnError::Image { image, .. })) if image == "no number"));
    }
}
