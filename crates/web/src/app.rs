//! What do all handlers share?

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use affectory_catalog::{AnswerEvent, DownloadEvent, EventOutcome, Project};
use affectory_core::{AnnotatorId, BoundingBox, DownloadId, GrantId, PoolId, Sha256Hex};
use affectory_portal::{Letters, Mailer, PortalSettings};
use axum::http::HeaderMap;
use axum::http::header::HOST;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::failure::WebError;
use crate::files::Deliveries;
use crate::messages::Messages;
use crate::operations::HttpFigures;
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
    /// The portal, where the project has one.
    pub portal: Option<Arc<Portal>>,
}

/// What a portal needs beside the project.
pub struct Portal {
    /// What the lab says.
    pub settings: PortalSettings,
    /// The way to the mail server; `None`: letters are kept.
    pub mailer: Option<Mailer>,
    /// This program, which is run again with limits to read what people upload.
    pub program: PathBuf,
    /// Where the server is known, for links in letters, without a slash at its end.
    pub base: String,
}

impl Portal {
    pub(crate) fn letters(&self) -> Letters<'_> {
        Letters { settings: &self.settings, base: &self.base }
    }
}

/// How long a client may take before it is hung up on: slow ones must not hold the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a request's headers; an idle connection is kept as long.
    pub headers: Duration,
    /// For a request, its body and answer included.
    pub request: Duration,
    /// The same for a request that brings a file.
    pub upload: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            headers: Duration::from_secs(30),
            request: Duration::from_secs(30),
            upload: Duration::from_secs(600),
        }
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
    pub(crate) recorder: Recorder<AnswerEvent, EventOutcome>,
    pub(crate) downloads: Recorder<DownloadEvent, DownloadId>,
    pub(crate) watch: Watch,
    pub(crate) http: Arc<HttpFigures>,
    /// Argon2 takes 19 MiB and a core for a while.
    pub(crate) hashing: Semaphore,
    pub(crate) cutting: Semaphore,
    pub(crate) uploads: Semaphore,
    hints: Mutex<HashMap<(AnnotatorId, PoolId), (i64, i64)>>,
    pub(crate) deliveries: Deliveries,
    /// Of each release that was asked for: the items that everybody may see.
    samples: tokio::sync::Mutex<HashMap<String, Samples>>,
}

/// Items of one release by name: their image and the face in it.
type Samples = HashMap<String, (Sha256Hex, BoundingBox)>;

impl App {
    /// A server's state over an opened project. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// If the system gives no thread for the figures.
    pub fn new(project: Project, options: ServeOptions) -> std::io::Result<Arc<App>> {
        let (answers, downloads) = (project.catalog.clone(), project.catalog.clone());
        Ok(Arc::new(App {
            recorder: Recorder::start(move |events: Vec<AnswerEvent>| {
                let catalog = answers.clone();
                async move { catalog.record_events(&events).await }
            }),
            downloads: Recorder::start(move |events: Vec<DownloadEvent>| {
                let catalog = downloads.clone();
                async move { catalog.record_downloads(&events).await }
            }),
            http: Arc::default(),
            watch: Watch::new().map_err(std::io::Error::other)?,
            project,
            options,
            messages: Messages::bundled(),
            hashing: Semaphore::new(2),
            cutting: Semaphore::new(PICTURES_AT_ONCE),
            uploads: Semaphore::new(crate::uploads::UPLOADS_AT_ONCE),
            hints: Mutex::default(),
            deliveries: Deliveries::default(),
            samples: tokio::sync::Mutex::default(),
        }))
    }

    pub(crate) fn now_ms(&self) -> i64 {
        (self.options.clock)()
    }

    /// A word nobody can guess, 64 hexadecimal digits.
    pub(crate) fn token(&self) -> String {
        hex::encode((self.options.random)())
    }

    /// The portal; a page that is not there without one.
    pub(crate) fn portal(&self) -> Result<&Arc<Portal>, WebError> {
        self.options.portal.as_ref().ok_or(WebError::NotFound("that page"))
    }

    /// What a grant's downloads know of it is asked for anew.
    pub(crate) fn forget_grant(&self, grant: GrantId) {
        self.deliveries.forget(grant);
    }

    /// A release's item that its settings clear for everybody. The manifest is read once: it never changes.
    pub(crate) async fn sample(&self, release: &str, item: &str) -> Result<Option<(Sha256Hex, BoundingBox)>, WebError> {
        let offer = self.portal()?.settings.offer(release);
        let mut samples = self.samples.lock().await;
        if !samples.contains_key(release) {
            let cleared = offer.map(|offer| offer.samples.clone()).unwrap_or_default();
            let items = affectory_release::load_release(&self.project, release).await?.items;
            let items = items.into_iter().filter(|item| cleared.contains(&item.item));
            let found = items.map(|item| (item.item, (item.image_sha256, item.bounding_box))).collect();
            samples.insert(release.to_owned(), found);
        }
        Ok(samples.get(release).and_then(|items| items.get(item)).cloned())
    }

    /// Under which address the browser that sent these headers knows the server, without a slash at its end.
    pub(crate) fn base(&self, headers: &HeaderMap) -> String {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        let base = self.options.public_url.clone().unwrap_or_else(|| format!("http://{host}"));
        base.trim_end_matches('/').to_owned()
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
pub(crate) fn token_hash(token: &str) -> Sha256Hex {
    Sha256Hex::from_digest(&Sha256::digest(token).into())
}
