//! Which split does each group go to, so that every category is spread by the shares asked for?

use std::collections::HashMap;

use affectory_core::Split;
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
pub struct Dealt<'a> {
    /// A name that depends on nothing but the data.
    pub key: &'a str,
    /// Its group.
    pub group: usize,
    /// Its category's index, below 11.
    pub category: usize,
}

/// A split for each face, groups whole, each category close to its shares.
///
/// The largest groups are dealt first, equals in an order drawn from the seed; each goes where its categories lack
/// most. Depends on the faces' keys and groups, not on their order.
pub fn deal(faces: &[Dealt], fractions: Fractions, seed: u64) -> Vec<Split> {
    let mut groups: HashMap<usize, (usize, [f64; 11], &str)> = HashMap::new();
    let mut missing = [[0.0f64; 11]; 3];
    for face in faces {
        let (size, histogram, key) = groups.entry(face.group).or_insert((0, [0.0; 11], face.key));
        *size += 1;
        histogram[face.category] += 1.0;
        *key = face.key.min(key);
        for split in Split::ALL {
            missing[split as usize][face.category] += fractions.of(split);
        }
    }
    let draw =
        |key: &str| -> [u8; 32] { Sha256::new().chain_update(seed.to_le_bytes()).chain_update(key).finalize().into() };
    let mut order: Vec<_> = groups
        .into_iter()
        .map(|(group, (size, histogram, key))| (std::cmp::Reverse(size), draw(key), key, group, histogram))
        .collect();
    order.sort_unstable_by(|a, b| (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2)));

    let mut split_of: HashMap<usize, Split> = HashMap::new();
    for (_, _, _, group, histogram) in order {
        let lack =
            |split: Split| -> f64 { histogram.iter().zip(missing[split as usize]).map(|(n, lack)| n * lack).sum() };
        let open = Split::ALL.into_iter().filter(|split| fractions.of(*split) > 0.0);
        // Of equals the last: the small splits must not stay empty.
        let split = open.max_by(|a, b| lack(*a).total_cmp(&lack(*b))).unwrap_or(Split::Train);
        for (lack, n) in missing[split as usize].iter_mut().zip(histogram) {
            *lack -= n;
        }
        split_of.insert(group, split);
    }
    faces.iter().map(|face| split_of[&face.group]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_stay_whole_and_the_order_of_faces_does_not_matter() {
        arbtest::arbtest(|u| {
            let n = u.int_in_range(1..=60usize)?;
            let keys: Vec<String> = (0..n).map(|k| format!("{k:04}")).collect();
            let mut faces = Vec::new();
            for key in &keys {
                let (group, category) = (u.int_in_range(0..=n)?, u.int_in_range(0..=10usize)?);
                faces.push(Dealt { key, group, category });
            }
            let fractions = Fractions::new(0.6, 0.2, 0.2).expect("shares");
            let dealt = deal(&faces, fractions, 7);
            assert_eq!(dealt.len(), n, "every face once");
            for (a, face_a) in faces.iter().enumerate() {
                for (b, face_b) in faces.iter().enumerate() {
                    assert!(face_a.group != face_b.group || dealt[a] == dealt[b]);
                }
            }
            faces.reverse();
            let mut reversed = deal(&faces, fractions, 7);
            reversed.reverse();
            assert_eq!(reversed, dealt);
            Ok(())
        })
        .budget_ms(300);
    }

    #[test]
    fn every_category_has_its_shares_to_within_one_face() {
        let keys: Vec<String> = (0..1000).map(|k| format!("{k:04}")).collect();
        let faces: Vec<Dealt> = keys
            .iter()
            .enumerate()
            .map(|(k, key)| Dealt { key, group: k, category: if k % 10 == 0 { 5 } else { 1 } })
            .collect();
        let dealt = deal(&faces, Fractions::new(0.8, 0.1, 0.1).expect("shares"), 1);
        let count =
            |category, split| faces.iter().zip(&dealt).filter(|(f, s)| f.category == category && **s == split).count();
        assert_eq!([count(5, Split::Train), count(5, Split::Valid), count(5, Split::Test)], [80, 10, 10]);
        assert_eq!([count(1, Split::Train), count(1, Split::Valid), count(1, Split::Test)], [720, 90, 90]);
        assert_ne!(dealt, deal(&faces, Fractions::new(0.8, 0.1, 0.1).expect("shares"), 2), "the seed decides");
    }

    #[test]
    fn shares_that_do_not_add_up_are_refused() {
        assert!(Fractions::new(0.8, 0.1, 0.2).is_err());
        assert!(Fractions::new(1.2, -0.1, -0.1).is_err());
        assert!(Fractions::new(f64::NAN, 0.5, 0.5).is_err());
    }
}
