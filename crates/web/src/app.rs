//! What do all handlers share?

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use affectory_catalog::Project;
use affectory_core::{AnnotatorId, PoolId};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::attempts::Attempts;
use crate::messages::Messages;
use crate::recorder::Recorder;
use crate::watch::Watch;

/// How a server is set up.
#[derive(Clone)]
pub struct ServeOptions {
    /// The time, ms UTC.
    pub clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// 256 random bits, for tokens.
    pub random: Arc<dyn Fn() -> [u8; 32] + Send + Sync>,
    /// How long clients may take.
    pub patience: Patience,
    /// Under which address browsers know it, when a proxy stands before it: `https://annotate.example.org`.
    pub public_url: Option<String>,
}

/// How long a client may take before it is hung up on: slow ones must not hold the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a request's headers; an idle connection is kept as long.
    pub headers: Duration,
    /// For a request, its body and answer included.
    pub request: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { headers: Duration::from_secs(30), request: Duration::from_secs(30) }
    }
}

impl std::fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServeOptions").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

/// How long a hint on where an annotator's next faces begin is believed: leases that end bring faces before it back.
const HINT_MS: i64 = 5 * 60_000;

/// Pictures cut at the same time: each holds one decoded image.
const PICTURES_AT_ONCE: usize = 4;

/// The server's state.
pub struct App {
    pub(crate) project: Project,
    pub(crate) options: ServeOptions,
    pub(crate) messages: Messages,
    pub(crate) recorder: Recorder,
    pub(crate) watch: Watch,
    pub(crate) attempts: Mutex<Attempts>,
    /// Argon2 takes 19 MiB and a core for a while.
    pub(crate) hashing: Semaphore,
    pub(crate) cutting: Semaphore,
    pub(crate) uploads: Semaphore,
    hints: Mutex<HashMap<(AnnotatorId, PoolId), (i64, i64)>>,
}

impl App {
    /// A server's state over an opened project. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// If the system gives no thread for the figures.
    pub fn new(project: Project, options: ServeOptions) -> std::io::Result<Arc<App>> {
        Ok(Arc::new(App {
            recorder: Recorder::start(project.catalog.clone()),
            watch: Watch::new().map_err(std::io::Error::other)?,
            project,
            options,
            messages: Messages::bundled(),
            attempts: Mutex::default(),
            hashing: Semaphore::new(2),
            cutting: Semaphore::new(PICTURES_AT_ONCE),
            uploads: Semaphore::new(crate::uploads::UPLOADS_AT_ONCE),
            hints: Mutex::default(),
        }))
    }

    pub(crate) fn now_ms(&self) -> i64 {
        (self.options.clock)()
    }

    /// A word nobody can guess, 64 hexadecimal digits.
    pub(crate) fn token(&self) -> String {
        hex::encode((self.options.random)())
    }

    pub(crate) fn is_https(&self) -> bool {
        self.options.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }

    /// Up to which place a pool has nothing more for an annotator, as far as that is known.
    pub(crate) fn hint(&self, annotator: AnnotatorId, pool: PoolId) -> i64 {
        let hints = self.hints.lock().unwrap_or_else(PoisonError::into_inner);
        let known = hints.get(&(annotator, pool)).filter(|(_, until_ms)| *until_ms > self.now_ms());
        known.map_or(0, |(place, _)| *place)
    }

    /// Remembers such a place; one that was remembered before keeps its end.
    pub(crate) fn set_hint(&self, annotator: AnnotatorId, pool: PoolId, place: i64) {
        let now_ms = self.now_ms();
        let mut hints = self.hints.lock().unwrap_or_else(PoisonError::into_inner);
        let hint = hints.entry((annotator, pool)).or_insert((0, 0));
        *hint = if hint.1 > now_ms && place > 0 { (place, hint.1) } else { (place, now_ms + HINT_MS) };
    }
}

/// SHA-256 of a token: what the catalogue keeps of it.
pub(crate) fn token_hash(token: &str) -> affectory_core::Sha256Hex {
    affectory_core::Sha256Hex::from_digest(&Sha256::digest(token).into())
}
