//! In which order are a pool's faces shown, to how many, and which of them look alike?

use std::collections::{BTreeMap, HashMap};

use affectory_catalog::{NewPoolFace, PoolCandidate, PoolRules, Strategy};
use affectory_core::{DisjointSets, Expression, FaceId, ImageId, PerceptualHash};
use affectory_imaging::HashIndex;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Bits in which the hashes of two pictures may differ and still be one picture, as in releases.
const ALIKE_BITS: u32 = 4;

/// Pictures of one hash that another is compared with: enough to chain them together, and no square of a thousand copies.
const COMPARED: usize = 8;

/// Two boxes on look-alike pictures are one face when they share this much (intersection over union).
const SAME_FACE_OVERLAP: f32 = 0.4;

/// Which of a project's faces go into a pool.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceFilter {
    /// Shorter side of the face's box in pixels, at least.
    pub min_px: f32,
    /// Only faces that nobody has given a category.
    pub only_unlabelled: bool,
    /// At most so many.
    pub limit: Option<usize>,
}

impl FaceFilter {
    /// Whether a face may go in.
    pub fn admits(&self, face: &PoolCandidate) -> bool {
        face.side_px >= self.min_px && !(self.only_unlabelled && face.is_labelled)
    }
}

/// For each face the lowest one that looks like it: the same place on pictures whose perceptual hashes are at most 4 of
/// 64 bits apart. Faces of one picture never look alike, and neither do two people on a group photograph met twice.
pub fn same_looks(faces: &[PoolCandidate]) -> Vec<FaceId> {
    let mut on_image: BTreeMap<ImageId, Vec<usize>> = BTreeMap::new();
    for (idx, face) in faces.iter().enumerate() {
        on_image.entry(face.image_id).or_default().push(idx);
    }
    let mut by_hash: BTreeMap<PerceptualHash, Vec<ImageId>> = BTreeMap::new();
    for (image, on_it) in &on_image {
        by_hash.entry(faces[on_it[0]].phash).or_default().push(*image);
    }
    let mut index: HashIndex<ImageId> = HashIndex::default();
    let mut groups = DisjointSets::new(faces.len());
    for (hash, images) in &by_hash {
        let near = index.within(*hash, ALIKE_BITS);
        let others: Vec<ImageId> =
            near.iter().flat_map(|near| index.values(near.hash).take(COMPARED).copied()).collect();
        for (place, image) in images.iter().enumerate() {
            for other in others.iter().chain(&images[place.saturating_sub(COMPARED)..place]) {
                join_faces(faces, &on_image[image], &on_image[other], &mut groups);
            }
        }
        for image in images {
            index.insert(*hash, *image);
        }
    }
    // The lowest member names a group, whatever order the faces come in.
    let mut lowest: HashMap<usize, FaceId> = HashMap::new();
    for (idx, face) in faces.iter().enumerate() {
        let entry = lowest.entry(groups.find(idx)).or_insert(face.face_id);
        *entry = face.face_id.min(*entry);
    }
    (0..faces.len()).map(|idx| lowest[&groups.find(idx)]).collect()
}

fn join_faces(faces: &[PoolCandidate], ours: &[usize], theirs: &[usize], groups: &mut DisjointSets) {
    for &a in ours {
        for &b in theirs {
            if overlap(faces[a].place, faces[b].place) >= SAME_FACE_OVERLAP {
                groups.join(a, b);
            }
        }
    }
}

/// Intersection over union of two boxes (x, y, width, height).
fn overlap(a: [f32; 4], b: [f32; 4]) -> f32 {
    let shared = |at: usize| ((a[at] + a[at + 2]).min(b[at] + b[at + 2]) - a[at].max(b[at])).max(0.0);
    let both = shared(0) * shared(1);
    both / (a[2] * a[3] + b[2] * b[3] - both).max(f32::MIN_POSITIVE)
}

/// The faces in the order in which they are shown, each with the number of annotators it wants. All of it follows from
/// the rules' seed. What a model is least certain of comes first only once there are suggestions; until then a pool of
/// that strategy is in random order.
pub fn plan(faces: &[PoolCandidate], looks: &[FaceId], rules: &PoolRules) -> Vec<NewPoolFace> {
    let mut dice = ChaCha8Rng::seed_from_u64(rules.seed);
    let mut order: Vec<usize> = (0..faces.len()).collect();
    order.shuffle(&mut dice);
    if rules.strategy == Strategy::Query {
        order.sort_by_key(|&idx| faces[idx].query.map_or(i64::MAX, |(query, _)| query));
    }
    if rules.is_balanced {
        order = take_turns(&order, |idx| guessed(&faces[idx]));
    }
    let wanted = |dice: &mut ChaCha8Rng| {
        if dice.random_range(0..100) < rules.overlap_percent { rules.n_annotators } else { 1 }
    };
    let planned = order.iter().zip(1..).map(|(&idx, place)| NewPoolFace {
        face_id: faces[idx].face_id,
        place,
        look_id: looks[idx],
        category: guessed(&faces[idx]),
        n_wanted: wanted(&mut dice),
    });
    planned.collect()
}

fn guessed(face: &PoolCandidate) -> Option<Expression> {
    face.query.and_then(|(_, expression)| expression)
}

/// Takes one of each kind in turn, in the order given, until all are used up.
fn take_turns<K: Ord>(order: &[usize], kind: impl Fn(usize) -> K) -> Vec<usize> {
    let mut met: BTreeMap<K, usize> = BTreeMap::new();
    let mut rounds: Vec<(usize, usize)> = Vec::with_capacity(order.len());
    for &idx in order {
        let round = met.entry(kind(idx)).or_insert(0);
        rounds.push((*round, idx));
        *round += 1;
    }
    rounds.sort_by_key(|(round, _)| *round);
    rounds.into_iter().map(|(_, idx)| idx).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(id: i64, image: i64, hash: u64, x: f32, query: Option<(i64, Option<Expression>)>) -> PoolCandidate {
        PoolCandidate {
            face_id: FaceId(id),
            image_id: ImageId(image),
            phash: PerceptualHash(hash),
            place: [x, 0.2, 0.2, 0.3],
            side_px: 60.0,
            query,
            is_labelled: false,
        }
    }

    fn rules(strategy: Strategy, is_balanced: bool) -> PoolRules {
        PoolRules {
            n_annotators: 3,
            overlap_percent: 30,
            gold_percent: 0,
            strategy,
            is_balanced,
            is_assisted: false,
            needs_quiz: false,
            seed: 5,
        }
    }

    #[test]
    fn the_same_face_on_a_look_alike_picture_is_one_look_and_its_neighbour_is_not() {
        let faces = [
            face(1, 1, 0b0000, 0.1, None),
            face(2, 1, 0b0000, 0.6, None),
            face(3, 2, 0b0011, 0.62, None),
            face(4, 3, 0xffff, 0.1, None),
            face(5, 4, 0b0000, 0.12, None),
        ];
        assert_eq!(same_looks(&faces), [1, 2, 2, 4, 1].map(FaceId));
        let mut turned: Vec<PoolCandidate> = faces.to_vec();
        turned.reverse();
        assert_eq!(same_looks(&turned), [1, 4, 2, 2, 1].map(FaceId), "the order does not matter");
    }

    #[test]
    fn a_balanced_pool_shows_rare_categories_early_and_overlap_has_its_share() {
        let faces: Vec<PoolCandidate> = (0..1000)
            .map(|id| {
                let guess = if id % 100 == 0 { Expression::Contempt } else { Expression::Happy };
                face(id, id, id.cast_unsigned() << 8, 0.1, Some((id % 7, Some(guess))))
            })
            .collect();
        let looks: Vec<FaceId> = faces.iter().map(|face| face.face_id).collect();
        let planned = plan(&faces, &looks, &rules(Strategy::Random, true));
        let rare = planned.iter().take(20).filter(|face| face.category == Some(Expression::Contempt)).count();
        assert_eq!(rare, 10, "ten of ten among the first twenty");
        let n_shared = planned.iter().filter(|face| face.n_wanted == 3).count();
        assert!((240..360).contains(&n_shared) && planned.iter().all(|face| [1, 3].contains(&face.n_wanted)));
        assert_eq!(planned, plan(&faces, &looks, &rules(Strategy::Random, true)), "the same seed, the same plan");
        let by_query = plan(&faces, &looks, &rules(Strategy::Query, false));
        let queries: Vec<i64> = by_query.iter().map(|face| face.face_id.0 % 7).collect();
        assert!(queries.is_sorted());
    }
}
