//! What do the rows of collection look like: queries, searches, hits, hosts, candidates and how they ended?

use std::collections::BTreeMap;

use affectory_core::{CandidateId, Expression, PerceptualHash, SearchId, Sha256Hex};

use crate::records::ImageRow;

/// One question to one search engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewQuery {
    /// The provider's name in the settings, e.g. `openverse`.
    pub provider: String,
    /// What is asked. Unique together with provider and language.
    pub text: String,
    /// Its language, BCP 47 (`de`).
    pub language: String,
    /// The expression whose faces are hoped for.
    pub expression: Option<Expression>,
    /// What the answers shall not be about (`cartoon`, ...), in the query's language.
    pub negatives: Vec<String>,
}

/// A query under way: where it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchRow {
    /// Its id.
    pub id: SearchId,
    /// The question.
    pub query: NewQuery,
    /// The part of the answers this search is limited to, in the provider's words; empty: all.
    pub slice: String,
    /// Where the next page begins, as the last page said; `None` is the first page.
    pub cursor: Option<String>,
    /// Pages read.
    pub n_pages: u64,
    /// Hits recorded.
    pub n_hits: u64,
    /// Hits recorded of all searches of the question, this one's among them.
    pub query_hits: u64,
    /// Failed attempts since the last page.
    pub attempts: u32,
}

/// One answer of a search engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHit {
    /// Place among the answers of its search, from 1.
    pub rank: u32,
    /// The image's address, normalised.
    pub url: String,
    /// SHA-256 of `url`: what makes a candidate unique.
    pub url_sha256: Sha256Hex,
    /// The registrable domain of `url`: what politeness is counted for.
    pub host: String,
    /// The engine that answered, where a provider asks several.
    pub engine: String,
    /// The page the image stands on.
    pub page_url: Option<String>,
    /// What the engine calls it.
    pub title: Option<String>,
    /// Its licence as the engine states it.
    pub license: Option<String>,
    /// Where that licence is written down.
    pub license_url: Option<String>,
    /// Who made it.
    pub creator: Option<String>,
    /// The line to print beside it.
    pub attribution: Option<String>,
}

/// What one page of a search brought.
#[derive(Debug, Clone, Copy)]
pub struct NewPage<'a> {
    /// Its usable results.
    pub hits: &'a [NewHit],
    /// The others: reason (kebab-case) and how many; none of them 0.
    pub left_out: &'a BTreeMap<&'static str, u64>,
    /// How the search goes on.
    pub next: &'a SearchNext,
    /// How many results the provider says there are in all.
    pub total: Option<u64>,
}

static NOTHING: BTreeMap<&'static str, u64> = BTreeMap::new();
static DONE: SearchNext = SearchNext::Done;

impl<'a> NewPage<'a> {
    /// The last page of a search, all of whose results are usable.
    pub fn last(hits: &'a [NewHit]) -> NewPage<'a> {
        NewPage { hits, left_out: &NOTHING, next: &DONE, total: None }
    }
}

/// How a search goes on after a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchNext {
    /// Another page begins at this cursor.
    Page(String),
    /// That was the last one.
    Done,
    /// Too many answers for what the provider hands out: these slices are asked instead.
    Split(Vec<String>),
}

/// What a page added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageOutcome {
    /// Hits of images this search had not answered with before.
    pub hits: u64,
    /// Addresses nobody had answered with before.
    pub candidates: u64,
}

/// How an attempt to ask failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchFailure {
    /// What was wrong.
    pub reason: String,
    /// When to ask again, ms UTC; `None`: never, the search is over.
    pub again_ms: Option<i64>,
}

/// A provider that refused to answer at all, whatever the query.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Refusal {
    /// The provider.
    pub provider: String,
    /// Until when it is left alone, ms UTC; `None`: until somebody starts another run (a refused key).
    pub until_ms: Option<i64>,
    /// How many there were in a row.
    pub refusals: u32,
    /// What was wrong the last time.
    pub reason: String,
    /// When that was, ms UTC.
    pub refused_ms: i64,
}

/// Results of a provider that became no candidate.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LeftOutCount {
    /// The provider.
    pub provider: String,
    /// Why, kebab-case.
    pub reason: String,
    /// Results.
    pub results: u64,
}

/// Why searches of one provider failed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SearchFailureCount {
    /// The provider.
    pub provider: String,
    /// `open` where they are to be tried again, `failed` where not.
    pub state: String,
    /// What was wrong at the last attempt.
    pub reason: String,
    /// How many searches.
    pub searches: u64,
}

/// An address to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidateRow {
    /// Its id.
    pub id: CandidateId,
    /// The address, normalised.
    pub url: String,
    /// Its registrable domain.
    pub host: String,
    /// Attempts so far.
    pub attempts: u32,
    /// When it was to be fetched, ms UTC: with `id` the place in its host's queue.
    pub due_ms: i64,
    /// What the server said last time, for a conditional request; only where an image came of it.
    pub etag: Option<String>,
    /// As `etag`.
    pub last_modified: Option<String>,
}

/// A host that has something to fetch and that nobody works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenHost {
    /// The host.
    pub name: String,
    /// How many of its candidates are due, as far as they were counted.
    pub n_due: u64,
    /// The first of them: when it changes, there is something new to do.
    pub first: Option<i64>,
}

/// How many hosts are open for workers, and how many in their hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenHosts {
    /// Due, and nobody works on them.
    pub due: u64,
    /// Somebody works on them.
    pub leased: u64,
    /// When the next one that nobody works on is due, ms UTC.
    pub next_due_ms: Option<i64>,
}

/// Since when the oldest things have been open that nobody works on, ms UTC; `None` where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OldestOpen {
    /// A host with something to fetch.
    pub host_ms: Option<i64>,
    /// An image that waits for a detector: when it was first seen.
    pub image_ms: Option<i64>,
    /// A letter that is to be sent: when it was written.
    pub letter_ms: Option<i64>,
    /// All letters that are to be sent.
    pub n_letters: u64,
}

/// Where a host's queue was left off: the last candidate taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPlace {
    /// The host.
    pub host: String,
    /// `due_ms` of the last candidate taken; `i64::MIN` before the first.
    pub due_ms: i64,
    /// Its id.
    pub id: CandidateId,
}

/// An image as fetched and not decoded yet; its bytes are in the store under `sha256`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedImage {
    /// SHA-256 of the bytes.
    pub sha256: Sha256Hex,
    /// Width in pixels after orientation, as the file's header says.
    pub width: u32,
    /// Height in pixels after orientation, as the file's header says.
    pub height: u32,
    /// `jpeg`, `png`, `webp`, `gif` or `bmp`, by content.
    pub format: String,
    /// Length of the bytes.
    pub size_bytes: u64,
}

/// How one attempt to fetch a candidate ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchEnd {
    /// An image.
    Image(FetchedImage),
    /// The server says that what was fetched before is still what it has.
    Unchanged,
    /// Not now: again at that time, ms UTC.
    Again {
        /// When.
        again_ms: i64,
    },
    /// No image, and none to be hoped for.
    Rejected,
    /// Tried often enough.
    Failed,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRecord {
    /// The candidate.
    pub id: CandidateId,
    /// How it ended.
    pub end: FetchEnd,
    /// The class of that, kebab-case: `fetched`, `not-modified`, `gone`, `timeout-body`, ...
    pub outcome: &'static str,
    /// In words, where there is more to say than the class.
    pub detail: Option<String>,
    /// The server's status, where it came to one.
    pub http_status: Option<u16>,
    /// Where redirects led, if elsewhere.
    pub final_url: Option<String>,
    /// For a conditional request later.
    pub etag: Option<String>,
    /// For a conditional request later.
    pub last_modified: Option<String>,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// What a batch of attempts came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordedFetches {
    /// Images nobody had before.
    pub new_images: u64,
    /// Candidates that are over now.
    pub ended: u64,
}

/// A row of the table of searches.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SearchCount {
    /// The provider.
    pub provider: String,
    /// The language.
    pub language: String,
    /// The expression asked for.
    pub expression: Option<Expression>,
    /// Queries planned.
    pub queries: u64,
    /// Searches still open.
    pub open: u64,
    /// Searches that failed for good.
    pub failed: u64,
    /// Pages read.
    pub pages: u64,
    /// Hits recorded.
    pub hits: u64,
}

/// A query and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct QueryState {
    /// The provider asked.
    pub provider: String,
    /// What is asked.
    pub text: String,
    /// Its language.
    pub language: String,
    /// The expression asked for.
    pub expression: Option<Expression>,
    /// Its searches that are still open.
    pub open: u64,
    /// Its searches that failed for good.
    pub failed: u64,
    /// Pages read.
    pub pages: u64,
    /// Hits recorded.
    pub hits: u64,
    /// Different addresses among them.
    pub addresses: u64,
    /// Of these, fetched.
    pub fetched: u64,
}

/// A row of the table of outcomes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct OutcomeCount {
    /// `new`, `fetched`, `rejected` or `failed`.
    pub state: String,
    /// The class of the last attempt; `None` before the first.
    pub outcome: Option<String>,
    /// Candidates.
    pub candidates: u64,
}

/// A row of the table of what searches led to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct YieldCount {
    /// The engine that answered.
    pub engine: String,
    /// The query's language.
    pub language: String,
    /// The expression asked for.
    pub expression: Option<Expression>,
    /// Different addresses.
    pub candidates: u64,
    /// Of these, fetched.
    pub fetched: u64,
}

/// Requests sent to a provider on one day.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct QuotaRow {
    /// The provider.
    pub provider: String,
    /// Days since 1970-01-01, UTC.
    pub day: i64,
    /// Requests.
    pub requests: u64,
}

/// What was fetched in one minute, by all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct PaceRow {
    /// Its beginning, ms UTC.
    pub start_ms: i64,
    /// Candidates that were over in it, with an image or without.
    pub ended: u64,
    /// Of these, with an image.
    pub images: u64,
    /// Bytes of those images.
    pub size_bytes: u64,
}

/// An address and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CandidateState {
    /// The candidate.
    #[serde(skip)]
    pub id: CandidateId,
    /// The address.
    pub url: String,
    /// `new`, `fetched`, `rejected` or `failed`.
    pub state: String,
    /// The class of the last attempt; `None` before the first.
    pub outcome: Option<String>,
    /// In words, where there is more to say than the class.
    pub detail: Option<String>,
    /// The server's status, where it came to one.
    pub http_status: Option<u16>,
    /// Attempts so far.
    pub attempts: u32,
    /// SHA-256 of its image, if it has one.
    pub sha256: Option<String>,
    /// Why no face in that is of use: `no-face`, `small-faces` or `unreadable`.
    pub unusable: Option<String>,
}

/// Whether a provider may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spending {
    /// Now; the request is noted.
    Granted,
    /// Not before this time, ms UTC: somebody has just asked.
    Wait {
        /// When.
        until_ms: i64,
    },
    /// It refused, and said, or let us guess, until when.
    Refused {
        /// Until when, ms UTC.
        until_ms: i64,
        /// What it said.
        reason: String,
    },
    /// No more today (UTC).
    Spent,
}

/// An image that was fetched, and where it was met.
#[derive(Debug, Clone, PartialEq)]
pub struct CollectedImage {
    /// The image; its own `phash` counts only where the one beside it is there.
    pub image: ImageRow,
    /// What it looks like; `None` until it has been decoded.
    pub phash: Option<PerceptualHash>,
    /// The answers that led to it, the first one found first.
    pub sightings: Vec<CollectedSighting>,
}

/// One answer of a search engine that led to an image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CollectedSighting {
    /// The provider asked.
    pub provider: String,
    /// The engine that answered, where a provider asks several.
    pub engine: String,
    /// What was asked.
    pub query: String,
    /// In which language, BCP 47.
    pub language: String,
    /// The expression whose faces were hoped for.
    pub expression: Option<Expression>,
    /// Place among the answers of its search, from 1.
    pub rank: u32,
    /// The image's address.
    pub url: String,
    /// The page the image stands on.
    pub page_url: Option<String>,
    /// What the engine calls it.
    pub title: Option<String>,
    /// Its licence as the engine states it.
    pub license: Option<String>,
    /// Where that licence is written down.
    pub license_url: Option<String>,
    /// Who made it.
    pub creator: Option<String>,
    /// The line to print beside it.
    pub attribution: Option<String>,
    /// When it was found, ms UTC.
    pub found_ms: i64,
}
