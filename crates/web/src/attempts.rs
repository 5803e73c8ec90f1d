//! How often may somebody try to sign in?

use std::collections::HashMap;

/// Failures within this time count together, ms.
const WINDOW_MS: i64 = 15 * 60_000;

/// Failures for one account before it has to wait.
const FOR_ACCOUNT: u32 = 5;

/// Failures from one address: a lab may share one.
const FROM_ADDRESS: u32 = 30;

/// Names kept; beyond that the oldest windows go first.
const KEPT: usize = 20_000;

/// Failed attempts by account and by address.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    failures: HashMap<String, (i64, u32)>,
}

impl Attempts {
    /// Minutes to wait before another attempt, if any.
    pub(crate) fn wait_minutes(&self, email: &str, address: &str, now_ms: i64) -> Option<i64> {
        let left_ms = |key: &str, limit: u32| {
            let (began_ms, n_failures) = self.failures.get(key)?;
            let left_ms = began_ms + WINDOW_MS - now_ms;
            (*n_failures >= limit && left_ms > 0).then_some(left_ms)
        };
        let waits = [left_ms(&of_account(email), FOR_ACCOUNT), left_ms(&from_address(address), FROM_ADDRESS)];
        waits.into_iter().flatten().max().map(|left_ms| (left_ms + 59_999) / 60_000)
    }

    /// Counts a failure.
    pub(crate) fn failed(&mut self, email: &str, address: &str, now_ms: i64) {
        for key in [of_account(email), from_address(address)] {
            let entry = self.failures.entry(key).or_insert((now_ms, 0));
            if now_ms - entry.0 >= WINDOW_MS {
                *entry = (now_ms, 0);
            }
            entry.1 += 1;
        }
        if self.failures.len() > KEPT {
            self.failures.retain(|_, (began_ms, _)| now_ms - *began_ms < WINDOW_MS);
        }
        if self.failures.len() > KEPT {
            self.failures.clear();
        }
    }

    /// Whether there were fewer than `limit` of something from one address within an hour; this one counts.
    pub(crate) fn may(&mut self, what: &str, address: &str, limit: u32, now_ms: i64) -> bool {
        const HOUR_MS: i64 = 3_600_000;
        let entry = self.failures.entry(format!("{what} {address}")).or_insert((now_ms, 0));
        if now_ms - entry.0 >= HOUR_MS {
            *entry = (now_ms, 0);
        }
        entry.1 += 1;
        entry.1 <= limit
    }

    /// Forgets an account's failures: its owner is in.
    pub(crate) fn succeeded(&mut self, email: &str) {
        self.failures.remove(&of_account(email));
    }
}

fn of_account(email: &str) -> String {
    format!("account {email}")
}

fn from_address(address: &str) -> String {
    format!("address {address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_attempt_waits_and_another_account_does_not() {
        let mut attempts = Attempts::default();
        for _ in 0..FOR_ACCOUNT {
            assert_eq!(attempts.wait_minutes("a", "1.2.3.4", 1_000), None);
            attempts.failed("a", "1.2.3.4", 1_000);
        }
        assert_eq!(attempts.wait_minutes("a", "5.6.7.8", 2_000), Some(15));
        assert_eq!(attempts.wait_minutes("b", "1.2.3.4", 2_000), None);
        assert_eq!(attempts.wait_minutes("a", "1.2.3.4", 1_000 + WINDOW_MS), None);
        attempts.succeeded("a");
        assert_eq!(attempts.wait_minutes("a", "5.6.7.8", 2_000), None);
    }
}
