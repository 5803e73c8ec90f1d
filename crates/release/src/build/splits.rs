//! Which split does each group go to, so that every category is spread by the shares asked for?

use std::cmp::Reverse;

use affectory_core::{Expression, Split};
use sha2::{Digest as _, Sha256};

use crate::ReleaseError;

/// Shares of the three splits, together 1.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Fractions {
    /// Share of training.
    pub train: f64,
    /// Share of validation.
    pub valid: f64,
    /// Share of test.
    pub test: f64,
}

impl Fractions {
    /// Checks the shares.
    ///
    /// # Errors
    /// [`ReleaseError::BadFractions`] if one is negative or they do not add up to 1.
    pub fn new(train: f64, valid: f64, test: f64) -> Result<Self, ReleaseError> {
        let shares = [train, valid, test];
        // Written so that not-a-number is refused too.
        let good = shares.iter().all(|share| *share >= 0.0) && (shares.iter().sum::<f64>() - 1.0).abs() < 1e-6;
        if good { Ok(Self { train, valid, test }) } else { Err(ReleaseError::BadFractions { train, valid, test }) }
    }

    fn of(self, split: Split) -> f64 {
        match split {
            Split::Train => self.train,
            Split::Valid => self.valid,
            Split::Test => self.test,
        }
    }
}

/// What dealing needs to know of a face.
#[derive(Debug, Clone, Copy)]
pub struct Dealt {
    /// Its number in the lot that the seed casts: see [`draw`].
    pub draw: u64,
    /// Its group: the position of the first face that is in it.
    pub group: u32,
    /// Its category.
    pub expression: Expression,
}

/// A number that depends on nothing but the seed and a name that depends on nothing but the data.
pub fn draw(seed: u64, key: &str) -> u64 {
    let digest: [u8; 32] = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(key).finalize().into();
    u64::from_be_bytes(std::array::from_fn(|at| digest[at]))
}

/// A split for each face, groups whole, each category close to its shares.
///
/// The largest groups are dealt first, equals in the order of what was drawn for their first faces; each goes where its
/// categories lack most.
pub fn deal(faces: &[Dealt], fractions: Fractions) -> Vec<Split> {
    let mut missing = [[0.0f64; 11]; 3];
    for face in faces {
        for split in Split::ALL {
            missing[split as usize][face.expression.index()] += fractions.of(split);
        }
    }
    let mut members: Vec<u32> = (0..).take(faces.len()).collect();
    members.sort_unstable_by_key(|&at| (faces[at as usize].group, at));
    // Of each group: its size, what was drawn, where its members begin.
    let (mut order, mut begin) = (Vec::new(), 0);
    for group in members.chunk_by(|a, b| faces[*a as usize].group == faces[*b as usize].group) {
        order.push((Reverse(group.len() as u32), faces[group[0] as usize].draw, begin));
        begin += group.len() as u32;
    }
    order.sort_unstable();

    let mut splits = vec![Split::Train; faces.len()];
    for (Reverse(size), _, begin) in order {
        let group = &members[begin as usize..][..size as usize];
        let mut histogram = [0.0; 11];
        group.iter().for_each(|&at| histogram[faces[at as usize].expression.index()] += 1.0);
        let lack =
            |split: Split| -> f64 { histogram.iter().zip(missing[split as usize]).map(|(n, lack)| n * lack).sum() };
        let open = Split::ALL.into_iter().filter(|split| fractions.of(*split) > 0.0);
        // Of equals the last: the small splits must not stay empty.
        let split = open.max_by(|a, b| lack(*a).total_cmp(&lack(*b))).unwrap_or(Split::Train);
        for (lack, n) in missing[split as usize].iter_mut().zip(histogram) {
            *lack -= n;
        }
        group.iter().for_each(|&at| splits[at as usize] = split);
    }
    splits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(at: usize, group: usize, category: usize, seed: u64) -> Dealt {
        Dealt { draw: draw(seed, &format!("{at:04}")), group: group as u32, expression: Expression::ALL[category] }
    }

    #[test]
    fn groups_stay_whole_and_their_numbers_do_not_matter() {
        arbtest::arbtest(|u| {
            let n = u.int_in_range(1..=60usize)?;
            let mut faces = Vec::new();
            for at in 0..n {
                faces.push(face(at, u.int_in_range(0..=n)?, u.int_in_range(0..=10usize)?, 7));
            }
            let fractions = Fractions::new(0.6, 0.2, 0.2).expect("shares");
            let dealt = deal(&faces, fractions);
            assert_eq!(dealt.len(), n, "every face once");
            for (a, face_a) in faces.iter().enumerate() {
                for (b, face_b) in faces.iter().enumerate() {
                    assert!(face_a.group != face_b.group || dealt[a] == dealt[b]);
                }
            }
            faces.iter_mut().for_each(|face| face.group = 1_000 - face.group);
            assert_eq!(deal(&faces, fractions), dealt);
            Ok(())
        })
        .budget_ms(300);
    }

    #[test]
    fn every_category_has_its_shares_to_within_one_face() {
        let faces =
            |seed| -> Vec<Dealt> { (0..1000).map(|k| face(k, k, if k % 10 == 0 { 5 } else { 1 }, seed)).collect() };
        let fractions = Fractions::new(0.8, 0.1, 0.1).expect("shares");
        let dealt = deal(&faces(1), fractions);
        let count = |category, split| {
            let faces = faces(1);
            faces.iter().zip(&dealt).filter(|(f, s)| f.expression.index() == category && **s == split).count()
        };
        assert_eq!([count(5, Split::Train), count(5, Split::Valid), count(5, Split::Test)], [80, 10, 10]);
        assert_eq!([count(1, Split::Train), count(1, Split::Valid), count(1, Split::Test)], [720, 90, 90]);
        assert_ne!(dealt, deal(&faces(2), fractions), "the seed decides");
    }

    #[test]
    fn shares_that_do_not_add_up_are_refused() {
        assert!(Fractions::new(0.8, 0.1, 0.2).is_err());
        assert!(Fractions::new(1.2, -0.1, -0.1).is_err());
        assert!(Fractions::new(f64::NAN, 0.5, 0.5).is_err());
    }
}
