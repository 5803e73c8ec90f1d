//! Which group and split does each face get, and which may not stay?

use affectory_catalog::ReleaseItemRow;
use affectory_core::Split;

use super::spill::Sorted;
use super::splits::draw;
use super::{BuildOptions, Dealt, Kinship, Splits, deal};
use crate::ReleaseError;

/// What grouping found out.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(super) struct GroupFacts {
    pub n_groups: u64,
    pub largest_group: u64,
    pub n_shared_by_valid_and_test: u64,
}

/// For each face, in the manifest's order.
pub(super) struct Plan {
    pub splits: Vec<Split>,
    /// Its group's number, from 0 in the manifest's order; none for one that is left out.
    pub groups: Vec<Option<u32>>,
    /// Training faces that are left out: they look like one of validation or test.
    pub n_leaks: u64,
    pub facts: GroupFacts,
}

/// Reads the faces once, and keeps of each some tens of bytes. The second is what is recorded of those that stay, in the order of
/// the faces' ids: each row refers to a face and an image, and where those lie side by side they are found side by side.
pub(super) fn plan(faces: &Sorted, options: &BuildOptions) -> Result<(Plan, Vec<ReleaseItemRow>), ReleaseError> {
    let n_faces = faces.len();
    let mut kin = Kinship::new(n_faces);
    let (mut ids, mut draws) = (Vec::with_capacity(n_faces), Vec::with_capacity(n_faces));
    let (mut expressions, mut splits) = (Vec::with_capacity(n_faces), Vec::with_capacity(n_faces));
    faces.each(|draft, key| {
        let item = &draft.item;
        kin.add(&item.image_sha256, item.phash, draft.pages.iter().map(String::as_str));
        ids.push(draft.face_id);
        draws.push(draw(options.seed, key));
        expressions.push(item.expression);
        splits.push(item.split);
        Ok(())
    })?;
    let firsts = kin.group(options.duplicate_distance);
    let mut is_leak = vec![false; n_faces];
    match options.splits {
        Splits::Fractions(fractions) => {
            let faces = draws.into_iter().zip(&firsts).zip(&expressions);
            let dealt = faces.map(|((draw, &group), &expression)| Dealt { draw, group, expression });
            splits = deal(&dealt.collect::<Vec<_>>(), fractions);
        }
        // Validation and test stay exactly as given, so it is training that gives way.
        Splits::Given => {
            let mut is_held_out = vec![false; n_faces];
            for (&split, &first) in splits.iter().zip(&firsts) {
                is_held_out[first as usize] |= split != Split::Train;
            }
            for ((is_leak, &split), &first) in is_leak.iter_mut().zip(&splits).zip(&firsts) {
                *is_leak = split == Split::Train && is_held_out[first as usize];
            }
        }
    }
    let n_leaks = is_leak.iter().filter(|is_leak| **is_leak).count() as u64;
    let (groups, facts) = number(&firsts, &splits, &is_leak);
    let mut rows = Vec::with_capacity(n_faces - n_leaks as usize);
    for (at, face_id) in ids.into_iter().enumerate().filter(|(at, _)| !is_leak[*at]) {
        let (split, expression) = (splits[at], Some(expressions[at]));
        rows.push(ReleaseItemRow { item_idx: rows.len() as u64, face_id, split, expression });
    }
    rows.sort_unstable_by_key(|row| row.face_id);
    Ok((Plan { splits, groups, n_leaks, facts }, rows))
}

/// Numbers the groups that remain in the order of their first faces.
fn number(firsts: &[u32], splits: &[Split], is_leak: &[bool]) -> (Vec<Option<u32>>, GroupFacts) {
    let mut number_of: Vec<Option<u32>> = vec![None; firsts.len()];
    let mut sizes: Vec<(u32, [bool; 3])> = Vec::new();
    let mut groups = Vec::with_capacity(firsts.len());
    for ((&first, &split), &is_leak) in firsts.iter().zip(splits).zip(is_leak) {
        if is_leak {
            groups.push(None);
            continue;
        }
        let number = *number_of[first as usize].get_or_insert(sizes.len() as u32);
        if number as usize == sizes.len() {
            sizes.push((0, [false; 3]));
        }
        let (size, has) = &mut sizes[number as usize];
        *size += 1;
        has[split as usize] = true;
        groups.push(Some(number));
    }
    let facts = GroupFacts {
        n_groups: sizes.len() as u64,
        largest_group: sizes.iter().map(|(size, _)| u64::from(*size)).max().unwrap_or(0),
        n_shared_by_valid_and_test: sizes.iter().filter(|(_, [_, valid, test])| *valid && *test).count() as u64,
    };
    (groups, facts)
}
