//! How do results become a page: ranks, licences, the cap, and where the pages end?

use std::collections::BTreeMap;

use super::cursor::Cursor;
use super::{Hit, License, Page, SkipReason};

/// Results taken in one after the other.
#[derive(Debug)]
pub(super) struct Gathering<'a> {
    licenses: &'a [License],
    /// What is known of the licence of a result that states none.
    filtered: Option<String>,
    max_results: u32,
    first: u32,
    seen: u32,
    hits: Vec<Hit>,
    skipped: BTreeMap<SkipReason, u32>,
}

impl<'a> Gathering<'a> {
    /// An empty page after `seen` results. With `licenses`, only what says to have one of them is taken.
    pub fn after(seen: u32, max_results: u32, licenses: &'a [License]) -> Self {
        Self { licenses, filtered: None, max_results, first: seen, seen, hits: Vec::new(), skipped: BTreeMap::new() }
    }

    /// The same, where this is all that is known of the licence of what states none.
    pub fn filtered_by(self, filtered: Option<String>) -> Self {
        Self { filtered, ..self }
    }

    /// Takes the next result, or counts why not.
    pub fn take(&mut self, result: Result<Hit, SkipReason>) {
        self.seen = self.seen.saturating_add(1);
        let result = if self.seen > self.max_results { Err(SkipReason::OverCap) } else { result };
        match result.and_then(|hit| self.checked(hit)) {
            Ok(hit) => self.hits.push(hit),
            Err(reason) => *self.skipped.entry(reason).or_default() += 1,
        }
    }

    /// Results met so far on this page and before.
    pub fn seen(&self) -> u32 {
        self.seen
    }

    /// The page. `next` is where the provider would go on; the end is also where a page had no results, and at the cap.
    pub fn finish(self, next: Option<Cursor>, total: Option<u64>) -> Page {
        let goes_on = self.seen > self.first && self.seen < self.max_results;
        Page {
            hits: self.hits,
            next: next.filter(|_| goes_on).map(|cursor| cursor.to_string()),
            total,
            partial: Vec::new(),
            skipped: self.skipped,
        }
    }

    fn checked(&self, mut hit: Hit) -> Result<Hit, SkipReason> {
        let stated = hit.license.as_deref().and_then(License::of_text);
        if !self.licenses.is_empty() && !stated.is_some_and(|license| self.licenses.contains(&license)) {
            return Err(SkipReason::OtherLicense);
        }
        hit.rank = self.seen;
        hit.license = hit.license.or_else(|| self.filtered.clone());
        Ok(hit)
    }
}

/// The line that credits an image for which the provider gives none.
pub(super) fn attribution(hit: &Hit, place: &str) -> Option<String> {
    let creator = hit.creator.as_deref()?;
    let title = hit.title.as_deref().map(|title| format!("\"{title}\" ")).unwrap_or_default();
    let license = hit.license.as_deref().map(|license| format!(", {license}")).unwrap_or_default();
    Some(format!("{title}by {creator}, {place}{license}"))
}
