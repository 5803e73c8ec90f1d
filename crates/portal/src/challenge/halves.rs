//! Which test image is public and which private?
//!
//! Images are put in the order of a keyed hash of their names; the first half is public. The key follows from the
//! challenge's, so that nobody without it can tell for any image, and both halves are the same for ever.

use std::collections::HashSet;

use affectory_evaluate::Table;

use super::key::{ChallengeKey, keyed_hash};

/// The two parts of a truth.
#[derive(Debug, Clone)]
pub struct Halves {
    /// What participants see scores of while the challenge runs, through the Ladder.
    pub public: Table,
    /// What counts in the end. Of an odd number of images it has one less.
    pub private: Table,
}

impl Halves {
    /// Cuts a truth in two.
    pub fn of(truth: &Table, challenge: &str, key: &ChallengeKey) -> Self {
        let key = key.derive("halves", challenge);
        let mut order: Vec<([u8; 32], &str)> =
            truth.rows.iter().map(|row| (keyed_hash(&key, &[row.image.as_bytes()]), row.image.as_str())).collect();
        order.sort_unstable();
        let public: HashSet<&str> = order[..order.len().div_ceil(2)].iter().map(|(_, image)| *image).collect();
        Self {
            public: part(truth, |image| public.contains(image)),
            private: part(truth, |image| !public.contains(image)),
        }
    }
}

/// The rows of a table whose image is wanted, with their scores; subgroups are of no use here.
pub(super) fn part(table: &Table, is_wanted: impl Fn(&str) -> bool) -> Table {
    let n_scores = table.score_labels.len();
    let mut part = Table {
        file: table.file.clone(),
        rows: Vec::new(),
        score_labels: table.score_labels.clone(),
        scores: Vec::new(),
        groups: Vec::new(),
    };
    for (place, row) in table.rows.iter().enumerate().filter(|(_, row)| is_wanted(&row.image)) {
        part.rows.push(row.clone());
        part.scores.extend(&table.scores[place * n_scores..(place + 1) * n_scores]);
    }
    part
}

#[cfg(test)]
mod tests {
    use affectory_evaluate::read_table;

    use super::*;

    fn truth(images: impl Iterator<Item = usize>) -> Table {
        let text: String = images.map(|n| format!("{n}.png,happy\n")).collect();
        read_table(format!("image,expression\n{text}").as_bytes(), "truth").unwrap()
    }

    #[test]
    fn halves_are_a_matter_of_key_and_names_alone() {
        let names = |table: &Table| table.rows.iter().map(|row| row.image.clone()).collect::<HashSet<_>>();
        let key = ChallengeKey::new([4; 32]);
        let halves = Halves::of(&truth(0..1001), "c", &key);
        assert_eq!((halves.public.rows.len(), halves.private.rows.len()), (501, 500));
        assert!(names(&halves.public).is_disjoint(&names(&halves.private)));
        let again = Halves::of(&truth((0..1001).rev()), "c", &key);
        assert_eq!(names(&again.public), names(&halves.public), "whatever the order of the rows");
        for (challenge, key) in [("d", &key), ("c", &ChallengeKey::new([5; 32]))] {
            let other = names(&Halves::of(&truth(0..1001), challenge, key).public);
            let n_shared = other.intersection(&names(&halves.public)).count();
            assert!((200..300).contains(&n_shared), "{n_shared}: another challenge or key has other halves");
        }
    }
}
