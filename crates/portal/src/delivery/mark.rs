//! What is different in each recipient's manifest? The order of its lines, and how numbers are spelled; never a value.

use affectory_release::ReleaseItem;
use sha2::{Digest as _, Sha256};

use super::pack::Layout;

/// Columns whose numbers are spelled with or without a zero at their end.
pub(super) const SPELLED: [&str; 4] = ["face_x", "face_y", "face_width", "face_height"];

/// A recipient's manifest: the release's columns and values, lines in the order of their archive's pictures.
pub fn marked_manifest(items: &[ReleaseItem], layout: &Layout, seed: &str) -> Vec<u8> {
    let mut order: Vec<(usize, usize, usize)> = items
        .iter()
        .enumerate()
        .map(|(n, item)| {
            let (chunk, place) = layout.place(&item.image_sha256).unwrap_or((usize::MAX, usize::MAX));
            (chunk, place, n)
        })
        .collect();
    order.sort_unstable();
    let mut table = csv::Writer::from_writer(Vec::with_capacity(items.len() * 320));
    // Writing to memory does not fail.
    let _ = table.write_record(ReleaseItem::columns());
    let places: Vec<usize> =
        SPELLED.iter().filter_map(|name| ReleaseItem::columns().iter().position(|column| column == name)).collect();
    for (_, _, n) in order {
        let mut fields = items[n].to_fields();
        for (at, is_long) in places.iter().zip(bits(seed, &items[n].item)) {
            if is_long {
                fields[*at] = longer(&fields[*at]);
            }
        }
        let _ = table.write_record(&fields);
    }
    table.into_inner().unwrap_or_default()
}

/// The same number with a zero more.
fn longer(number: &str) -> String {
    if number.contains('.') { format!("{number}0") } else { format!("{number}.0") }
}

/// How a recipient's copy spells the numbers of an item: true for the longer way.
pub(super) fn bits(seed: &str, item: &str) -> [bool; SPELLED.len()] {
    let digest = Sha256::digest(format!("spelling of {item} for {seed}"));
    std::array::from_fn(|n| digest[n] & 1 == 1)
}

/// How a number is spelled: `None` if it can be spelled in one way of ours only by chance of another program.
pub(super) fn is_long(number: &str) -> Option<bool> {
    let number = number.trim();
    let value: f32 = number.parse().ok()?;
    let short = value.to_string();
    if number == short {
        Some(false)
    } else if number == longer(&short) {
        Some(true)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_spelling_never_changes_a_value(bits: u32) {
            let value = f32::from_bits(bits);
            if value.is_finite() {
                let (short, long) = (value.to_string(), longer(&value.to_string()));
                proptest::prop_assert_eq!(long.parse::<f32>().map(f32::to_bits), Ok(value.to_bits()));
                proptest::prop_assert_eq!((is_long(&short), is_long(&long)), (Some(false), Some(true)));
            }
        }
    }
}
