//! From whose copy does a leaked table come?
//!
//! Two marks are read, each by itself. Spelling: by chance a table agrees with a recipient's copy in half of its n numbers,
//! and the number that agree is binomial. Order: of each two lines that follow each other in the leak, by chance half stand
//! in the order of a recipient's copy; pairs that share no line are independent, and so again binomial. A recipient is
//! named when chance would bring one among all of them that far in fewer than one of a million leaks.

use std::collections::HashMap;
use std::path::Path;

use super::mark::{SPELLED, bits, is_long};
use crate::PortalError;

/// What a leaked table says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leak {
    /// Items in its order, with the spellings of the marked numbers that are in it.
    pub items: Vec<(String, [Option<bool>; SPELLED.len()])>,
}

/// One recipient's copy held against a leak.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspicion {
    /// Numbers that could be compared.
    pub n_spelled: u64,
    /// Of those, spelled as in their copy.
    pub n_alike: u64,
    /// Pairs of lines whose order could be compared.
    pub n_pairs: u64,
    /// Of those, in the order of their copy.
    pub n_ordered: u64,
    /// Natural logarithm of the chance that another copy looks like this one by accident, already for all recipients.
    pub log_chance: f64,
}

impl Suspicion {
    /// Whether the recipient can be named: once in a million leaks by accident.
    pub fn is_certain(&self) -> bool {
        self.log_chance < -13.8
    }
}

/// Reads a leaked table: a CSV with a column `item`, and whatever others are left.
///
/// # Errors
/// [`PortalError::BadLeak`] says what is missing.
pub fn read_leak(path: &Path) -> Result<Leak, PortalError> {
    let bad = |reason: String| PortalError::BadLeak { path: path.to_owned(), reason };
    let mut table = csv::ReaderBuilder::new()
        .flexible(true)
        .from_path(path)
        .map_err(|error| bad(format!("it cannot be read: {error}")))?;
    let header = table.headers().map_err(|error| bad(format!("it is no CSV: {error}")))?.clone();
    let column = |name: &str| header.iter().position(|known| known.trim() == name);
    let Some(item) = column("item") else {
        return Err(bad("it has no column `item`: give a part of a manifest, with its header".into()));
    };
    let spelled = SPELLED.map(column);
    let mut leak = Leak::default();
    for line in table.byte_records() {
        let Ok(line) = line else { continue };
        let text = |at: usize| line.get(at).and_then(|bytes| std::str::from_utf8(bytes).ok());
        let Some(name) = text(item) else { continue };
        leak.items.push((name.trim().to_owned(), spelled.map(|at| at.and_then(text).and_then(is_long))));
    }
    if leak.items.is_empty() { Err(bad("it has no lines".into())) } else { Ok(leak) }
}

/// Holds a leak against one of `n_recipients` copies: its seed, and the place of each item in its manifest.
pub fn trace(leak: &Leak, seed: &str, places: &HashMap<&str, (usize, usize)>, n_recipients: usize) -> Suspicion {
    let known: Vec<_> =
        leak.items.iter().filter_map(|(item, found)| Some((item, found, places.get(item.as_str())?))).collect();
    let (mut n_spelled, mut n_alike) = (0, 0);
    // A table in which every number is spelled the same way was written anew by a program that knows one way only.
    let is_marked = [true, false].iter().all(|way| known.iter().any(|(_, found, _)| found.contains(&Some(*way))));
    if is_marked {
        for (item, found, _) in &known {
            for (found, expected) in found.iter().zip(bits(seed, item)) {
                n_spelled += u64::from(found.is_some());
                n_alike += u64::from(*found == Some(expected));
            }
        }
    }
    let (mut n_pairs, mut n_ordered) = (0, 0);
    for pair in known.chunks_exact(2) {
        // Within a chunk everybody's order is the same.
        if pair[0].2.0 != pair[1].2.0 {
            n_pairs += 1;
            n_ordered += u64::from(pair[0].2 < pair[1].2);
        }
    }
    let log_chance =
        (log_tail(n_alike, n_spelled) + log_tail(n_ordered, n_pairs) + (n_recipients.max(1) as f64).ln()).min(0.0);
    Suspicion { n_spelled, n_alike, n_pairs, n_ordered, log_chance }
}

/// Logarithm of an upper bound of the chance that of `n` fair coins at least `k` show heads: Chernoff's, by the
/// Kullback-Leibler divergence of k/n from 1/2; 0 where k is no more than half.
fn log_tail(k: u64, n: u64) -> f64 {
    if n == 0 || 2 * k <= n {
        return 0.0;
    }
    let share = k as f64 / n as f64;
    let part = |share: f64| if share > 0.0 { share * (2.0 * share).ln() } else { 0.0 };
    -(n as f64) * (part(share) + part(1.0 - share))
}
