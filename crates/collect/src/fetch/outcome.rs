//! What follows from how a fetch ended: an image, another attempt later, or nothing any more?

use affectory_catalog::{CandidateRow, CatalogError, FetchEnd, FetchRecord};
use rand::{Rng as _, SeedableRng as _};

use super::hand::{Done, Fault, Got};
use crate::FetchFailure;

/// Attempts after which a candidate has failed.
const MAX_ATTEMPTS: u32 = 4;

/// The first wait before another attempt; it doubles each time. Longer than the client remembers that a robots.txt could
/// not be read.
const FIRST_BACKOFF_MS: u64 = 70_000;

/// Longest wait before another attempt, or until a host is asked again, whatever a server asks for.
pub(super) const MAX_BACKOFF_MS: u64 = 24 * 60 * 60 * 1000;

/// The record of an ended fetch; `seed` fixes the jitter of a wait.
///
/// # Errors
/// If the store failed, which is no outcome of the candidate's.
pub(super) fn record_of(done: Done, seed: u64, now_ms: i64) -> Result<FetchRecord, CatalogError> {
    let Done { candidate, result, times, .. } = done;
    let elapsed_ms = u64::try_from((times.ended - times.began).as_millis()).unwrap_or(u64::MAX);
    let mut record = FetchRecord {
        id: candidate.id,
        end: FetchEnd::Rejected,
        outcome: "fetched",
        detail: None,
        http_status: None,
        final_url: None,
        etag: None,
        last_modified: None,
        elapsed_ms,
    };
    match result {
        Ok(Got::Image { image, final_url, validators }) => {
            record.end = FetchEnd::Image(image);
            record.final_url = Some(final_url).filter(|url| *url != candidate.url);
            (record.etag, record.last_modified) = (validators.etag, validators.last_modified);
        }
        Ok(Got::Unchanged { final_url }) => {
            record.end = FetchEnd::Unchanged;
            record.outcome = "not-modified";
            record.final_url = Some(final_url).filter(|url| *url != candidate.url);
        }
        Err(Fault::Refused { class, reason }) => {
            record.outcome = class;
            record.detail = Some(reason);
        }
        Err(Fault::Fetch(failure)) => {
            record.outcome = failure.class();
            record.http_status = failure.status();
            record.end = if !failure.is_retryable() {
                FetchEnd::Rejected
            } else if candidate.attempts + 1 >= MAX_ATTEMPTS {
                FetchEnd::Failed
            } else {
                FetchEnd::Again { again_ms: now_ms + backoff_ms(&candidate, &failure, seed, now_ms) }
            };
            record.detail = Some(failure.to_string());
        }
        Err(Fault::Store(error)) => return Err(error),
    }
    Ok(record)
}

/// Doubles with each attempt, is at least what the server asks for, and has a quarter of jitter: what failed together
/// shall not come back together.
fn backoff_ms(candidate: &CandidateRow, failure: &FetchFailure, seed: u64, now_ms: i64) -> i64 {
    let own_ms = FIRST_BACKOFF_MS << candidate.attempts.min(10);
    let asked_ms = failure.retry_after().map_or(0, |retry_after| retry_after.wait_ms(now_ms));
    let base_ms = own_ms.max(asked_ms).min(MAX_BACKOFF_MS);
    let stream = candidate.id.0.cast_unsigned().wrapping_mul(31).wrapping_add(candidate.attempts.into());
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed ^ stream);
    i64::try_from(base_ms + random.random_range(0..=base_ms / 4)).unwrap_or(i64::MAX)
}
