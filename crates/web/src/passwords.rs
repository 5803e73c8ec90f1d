//! How is a password kept and checked?

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};

use crate::app::App;
use crate::failure::WebError;

/// Shortest password, characters (NIST SP 800-63B asks for 8 at least).
pub(crate) const SHORTEST: usize = 10;

/// Longest, so that nobody makes the server hash a book.
const LONGEST: usize = 200;

/// Why a password is refused, if it is.
pub fn password_problem(password: &str) -> Option<&'static str> {
    let n_characters = password.chars().count();
    (!(SHORTEST..=LONGEST).contains(&n_characters)).then_some("a password has 10 to 200 characters")
}

/// The text that is stored of a password: Argon2id with OWASP's parameters (19 MiB, 2 passes), salted.
///
/// # Errors
/// The hasher's words, which say nothing of the password.
pub fn hash_password(password: &str, random: [u8; 32]) -> Result<String, String> {
    let salt = SaltString::encode_b64(&random[..16]).map_err(|error| error.to_string())?;
    Argon2::default().hash_password(password.as_bytes(), &salt).map(|hash| hash.to_string()).map_err(|e| e.to_string())
}

fn is_password(password: &str, stored: &str) -> bool {
    PasswordHash::new(stored)
        .is_ok_and(|stored| Argon2::default().verify_password(password.as_bytes(), &stored).is_ok())
}

/// What an unknown account's password is compared with, so that it takes as long as a known one's.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$pMcnSyUdDdUPDoFqJmYz1TDJdmVXSMlPjOUStKzdTks";

impl App {
    /// Whether the password is the one stored; without an account never, but not sooner.
    pub(crate) async fn is_right(self: &Arc<Self>, password: String, stored: Option<String>) -> bool {
        let Ok(_turn) = self.hashing.acquire().await else { return false };
        self.is_right_in_turn(password, stored).await
    }

    /// The same for who has a turn at hashing.
    pub(crate) async fn is_right_in_turn(self: &Arc<Self>, password: String, stored: Option<String>) -> bool {
        let is_known = stored.is_some();
        let stored = stored.unwrap_or_else(|| NOBODY.to_owned());
        let checked = tokio::task::spawn_blocking(move || is_password(&password, &stored)).await;
        is_known && checked.unwrap_or(false)
    }

    /// The text to store of a password.
    pub(crate) async fn hashed(self: &Arc<Self>, password: String) -> Result<String, WebError> {
        let _turn = self.hashing.acquire().await.map_err(|_| WebError::Busy)?;
        let random = (self.options.random)();
        let hashed = tokio::task::spawn_blocking(move || hash_password(&password, random)).await;
        let hashed = hashed.map_err(|error| WebError::Failed(Arc::new(error)))?;
        hashed.map_err(|error| WebError::Failed(Arc::new(std::io::Error::other(error))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_found_again_and_no_other() {
        let stored = hash_password("correct horse", [7; 32]).unwrap();
        assert!(is_password("correct horse", &stored) && !is_password("correct horsf", &stored));
        assert!(PasswordHash::new(NOBODY).is_ok() && !is_password("", NOBODY));
        assert!(password_problem("short").is_some() && password_problem("long enough").is_none());
    }
}
