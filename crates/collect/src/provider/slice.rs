//! How is a query that has more results than a provider hands out cut by upload date, so that each part fits?

use std::fmt;
use std::str::FromStr;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// 2100-01-01; with it no plan has more than 65,536 parts.
const LATEST_MS: i64 = 4_102_444_800_000;

/// A span of upload dates, milliseconds UTC since 1970, the end excluded. Its text form is `FROM..TO`.
///
/// ```
/// use affectory_collect::UploadSlice;
///
/// let year: UploadSlice = "1451606400000..1483228800000".parse()?;
/// assert_eq!(year.to_string(), "1451606400000..1483228800000");
/// # Ok::<(), affectory_collect::BadSlice>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadSlice {
    from_ms: i64,
    to_ms: i64,
}

/// Text or numbers that are no span of upload dates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no span of upload dates: FROM..TO in milliseconds since 1970, FROM before TO, TO before 2100")]
pub struct BadSlice(String);

impl UploadSlice {
    /// The span from `from_ms` (included) to `to_ms` (excluded).
    ///
    /// # Errors
    /// [`BadSlice`] if it is empty, backwards or outside 1970 to 2100.
    pub fn new(from_ms: i64, to_ms: i64) -> Result<UploadSlice, BadSlice> {
        if 0 <= from_ms && from_ms < to_ms && to_ms <= LATEST_MS {
            Ok(UploadSlice { from_ms, to_ms })
        } else {
            Err(BadSlice(format!("{from_ms}..{to_ms}")))
        }
    }

    /// The first millisecond in it.
    pub const fn from_ms(self) -> i64 {
        self.from_ms
    }

    /// The first millisecond after it.
    pub const fn to_ms(self) -> i64 {
        self.to_ms
    }

    /// First and last whole second in it, for providers that count so and include both ends. Neighbours share none.
    pub(super) const fn seconds(self) -> (i64, i64) {
        ((self.from_ms + 999) / 1000, (self.to_ms - 1) / 1000)
    }
}

impl fmt::Display for UploadSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from_ms, self.to_ms)
    }
}

impl FromStr for UploadSlice {
    type Err = BadSlice;

    fn from_str(text: &str) -> Result<Self, BadSlice> {
        let bad = || BadSlice(text.chars().take(60).collect());
        let (from, to) = text.split_once("..").ok_or_else(bad)?;
        let slice = UploadSlice::new(from.parse().map_err(|_| bad())?, to.parse().map_err(|_| bad())?)?;
        // One span, one text: the catalogue compares them.
        if slice.to_string() == text { Ok(slice) } else { Err(bad()) }
    }
}

/// Cuts a span in halves until each part should have at most `cap` of its `total` results, as if uploads were spread
/// evenly. A part is never shorter than a day. The parts are in order and cover the span; the span alone comes back
/// where it fits. Uploads are not even, so a part that turns out too full is planned again with its own total.
pub fn plan_slices(span: UploadSlice, total: u64, cap: u64) -> Vec<UploadSlice> {
    let length_ms = span.to_ms - span.from_ms;
    if total <= cap || length_ms < 2 * DAY_MS {
        return vec![span];
    }
    // Whole seconds, so that no provider's clock puts one upload into both halves.
    let middle_ms = (span.from_ms + length_ms / 2) / 1000 * 1000;
    let (early, late) = (
        UploadSlice { from_ms: span.from_ms, to_ms: middle_ms },
        UploadSlice { from_ms: middle_ms, to_ms: span.to_ms },
    );
    let half = total.div_ceil(2);
    let mut parts = plan_slices(early, half, cap);
    parts.extend(plan_slices(late, half, cap));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn year() -> UploadSlice {
        UploadSlice::new(1_451_606_400_000, 1_483_228_800_000).unwrap()
    }

    #[test]
    fn a_query_that_fits_stays_whole_and_one_four_times_too_big_becomes_four() {
        assert_eq!(plan_slices(year(), 4_000, 4_000), [year()]);
        assert_eq!(plan_slices(year(), 16_000, 4_000).len(), 4);
    }

    #[test]
    fn a_plan_covers_its_span_without_gap_and_stops_at_a_day() {
        arbtest::arbtest(|u| {
            let from_ms = u.int_in_range(0..=LATEST_MS - 1)?;
            let span = UploadSlice::new(from_ms, u.int_in_range(from_ms + 1..=LATEST_MS)?).unwrap();
            let parts = plan_slices(span, u.arbitrary()?, u.arbitrary()?);
            assert_eq!((parts[0].from_ms, parts[parts.len() - 1].to_ms), (span.from_ms, span.to_ms));
            assert!(parts.windows(2).all(|pair| pair[0].to_ms == pair[1].from_ms));
            assert!(parts.len() == 1 || parts.iter().all(|part| part.to_ms - part.from_ms >= DAY_MS - 1000));
            assert!(parts.windows(2).all(|pair| pair[0].seconds().1 < pair[1].seconds().0));
            Ok(())
        })
        .budget_ms(300);
    }

    #[test]
    fn a_slice_has_one_text_and_nothing_else_parses() {
        assert_eq!(year().to_string().parse(), Ok(year()));
        for text in ["", "1..", "5..5", "9..1", "-1..5", "+1..5", "01..5", "1..9999999999999999999", "1...5", " 1..5"] {
            assert!(text.parse::<UploadSlice>().is_err(), "{text}");
        }
    }
}
