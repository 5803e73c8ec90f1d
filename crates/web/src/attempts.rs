//! How often may somebody try to sign in, or ask for something?
//!
//! The counts are in the catalogue: several servers before it count together, and a restart forgets nothing.

use affectory_catalog::AttemptLimit;

use crate::app::{App, token_hash};
use crate::failure::WebError;

const MINUTE_MS: i64 = 60_000;

/// Failures within this time count together, ms.
const WINDOW_MS: i64 = 15 * MINUTE_MS;

/// Failures for one account before it has to wait.
const FOR_ACCOUNT: u32 = 5;

/// Failures from one address: a lab may share one.
const FROM_ADDRESS: u32 = 30;

/// Requests for access and withdrawals from one address of the network within an hour: a lab may share one.
const REQUESTS_AN_HOUR: u32 = 20;

impl App {
    /// Minutes to wait before another attempt to sign in, if any; else this one counts as failed until it succeeds, so that
    /// many at the same time are not more than one after the other.
    pub(crate) async fn wait_to_sign_in(&self, email: &str, address: &str) -> Result<Option<i64>, WebError> {
        let now_ms = self.now_ms();
        let limits = [from_address(address), of_account(email)];
        let ends_ms = self.project.catalog.count_attempt(&limits, now_ms).await?;
        Ok(ends_ms.map(|ends_ms| (ends_ms - now_ms + MINUTE_MS - 1) / MINUTE_MS))
    }

    /// Forgets an account's failures: its owner is in.
    pub(crate) async fn signed_in(&self, email: &str, address: &str) -> Result<(), WebError> {
        let (address, account) = (from_address(address), of_account(email));
        Ok(self.project.catalog.forgive_attempts(&address.of, &account.of).await?)
    }

    /// Whether a network's address may ask for something once more this hour; this one counts.
    pub(crate) async fn may_ask(&self, address: &str) -> Result<bool, WebError> {
        let of = token_hash(&format!("request {address}"));
        let limit = AttemptLimit { of, n: REQUESTS_AN_HOUR, window_ms: 60 * MINUTE_MS };
        Ok(self.project.catalog.count_attempt(&[limit], self.now_ms()).await?.is_none())
    }
}

fn of_account(email: &str) -> AttemptLimit {
    AttemptLimit { of: token_hash(&format!("account {email}")), n: FOR_ACCOUNT, window_ms: WINDOW_MS }
}

fn from_address(address: &str) -> AttemptLimit {
    AttemptLimit { of: token_hash(&format!("address {address}")), n: FROM_ADDRESS, window_ms: WINDOW_MS }
}
