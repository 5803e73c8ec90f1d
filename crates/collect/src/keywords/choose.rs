//! Which few of many queries make a pilot that still has every word and every kind of person in it?

use std::collections::HashMap;
use std::hash::Hash;

use affectory_core::Expression;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::expand::{MadeOf, Query};

/// The generator of one cell. Each cell has a stream of its own, so that leaving out a language moves nothing elsewhere.
pub(super) fn random(seed: u64, language: &str, expression: Expression) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let name = language.bytes().fold(0u64, |name, byte| name.wrapping_mul(257).wrapping_add(u64::from(byte)));
    random.set_stream(name.wrapping_mul(16).wrapping_add(expression.index() as u64));
    random
}

/// At most `limit` queries of one cell, in the order they came in.
///
/// After a shuffle, emotion words take turns; each takes the query whose person was taken least so far, then whose
/// origin, then whose template. So even a few differ in words and persons, and a larger limit only adds to a smaller.
pub(super) fn choose(cell: Vec<&Query>, limit: usize, mut random: ChaCha8Rng) -> Vec<&Query> {
    if limit >= cell.len() {
        return cell;
    }
    let mut shuffled: Vec<usize> = (0..cell.len()).collect();
    shuffled.shuffle(&mut random);
    let mut words: Vec<(usize, Vec<usize>)> = Vec::new();
    for at in shuffled {
        let emotion = cell[at].made_of.emotion;
        match words.iter_mut().find(|(word, _)| *word == emotion) {
            Some((_, queries)) => queries.push(at),
            None => words.push((emotion, vec![at])),
        }
    }
    let mut taken = Taken::default();
    let mut chosen = Vec::new();
    while chosen.len() < limit {
        for (_, queries) in &mut words {
            let best = (0..queries.len()).min_by_key(|&nth| taken.times(cell[queries[nth]].made_of));
            if let Some(nth) = best.filter(|_| chosen.len() < limit) {
                let at = queries.remove(nth);
                taken.count(cell[at].made_of);
                chosen.push(at);
            }
        }
    }
    chosen.sort_unstable();
    chosen.into_iter().map(|at| cell[at]).collect()
}

/// How often each was taken.
#[derive(Default)]
struct Taken {
    persons: HashMap<Option<usize>, usize>,
    origins: HashMap<Option<usize>, usize>,
    templates: HashMap<usize, usize>,
}

impl Taken {
    fn times(&self, MadeOf { person, origin, template, .. }: MadeOf) -> (usize, usize, usize) {
        fn of<K: Hash + Eq>(counts: &HashMap<K, usize>, key: K) -> usize {
            counts.get(&key).copied().unwrap_or(0)
        }
        (of(&self.persons, person), of(&self.origins, origin), of(&self.templates, template))
    }

    fn count(&mut self, MadeOf { person, origin, template, .. }: MadeOf) {
        *self.persons.entry(person).or_default() += 1;
        *self.origins.entry(origin).or_default() += 1;
        *self.templates.entry(template).or_default() += 1;
    }
}
