//! What does one URL bring: a picture, nothing new, or a reason?

use std::sync::Arc;
use std::time::Duration;

use affectory_imaging::ImageFormat;
use bytes::Bytes;
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use reqwest::header::{LAST_MODIFIED, LOCATION};
use tokio::time::{Instant, timeout};
use url::{Position, Url};

use super::body::{BodyLimits, Overflow, read_body};
use super::failure::{FetchFailure, NetError};
use super::gate::{Gate, Pass};
use super::memory::{BodyMemory, Reservation};
use super::resolver::{Lookup, SystemLookup};
use super::robots::{MAX_ROBOTS_BYTES, Robots};
use super::robots_cache::{RobotsAnswer, RobotsCache};
use super::settings::ClientSettings;
use super::transport::{Transport, accepting, header_text, retry_after};
use super::url::{parse, registrable_domain};
use super::x_robots_tag::forbidding_rule;
use crate::Host;

/// What `imaging` decodes; a server that converts pictures had better not choose AVIF.
const IMAGES: &str = "image/jpeg, image/png, image/webp, image/gif;q=0.8, image/bmp;q=0.8, */*;q=0.1";

/// Bytes by which every format, and what an HTML page is, can be told.
const SNIFFED_BYTES: usize = 64;

/// Redirects of a robots.txt that are followed (RFC 9309, 2.3.1.2).
const MAX_ROBOTS_REDIRECTS: usize = 5;

/// A guarded HTTP client; clones share connections and what is known of robots.txt.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Arc<ClientSettings>,
    transport: Transport,
    robots: RobotsCache,
    memory: BodyMemory,
    gate: Gate,
}

/// What a server gave to recognise a version by; sent back, it answers 304 if nothing has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`, quotes included.
    pub etag: Option<String>,
    /// `Last-Modified`, as it was written.
    pub last_modified: Option<String>,
}

/// A fetch that went well.
#[derive(Debug)]
pub enum Fetched {
    /// Bytes that begin like an image.
    Image(FetchedImage),
    /// What the validators stand for is still what the server has.
    NotModified {
        /// Where redirects led.
        final_url: Url,
    },
}

/// Bytes that begin like an image; not decoded yet, and hostile until then.
#[derive(Debug)]
pub struct FetchedImage {
    /// All of it.
    pub bytes: Bytes,
    /// The format by its first bytes.
    pub format: ImageFormat,
    /// What the server says it is, at most 100 characters; nothing depends on it.
    pub declared_type: Option<String>,
    /// Where redirects led.
    pub final_url: Url,
    /// Number of redirects.
    pub n_redirects: usize,
    /// For the next fetch.
    pub validators: Validators,
    /// Its part of the client's memory, for as long as this lives.
    _reservation: Option<Reservation>,
}

impl Client {
    /// A client that asks the system for addresses.
    ///
    /// # Errors
    /// [`NetError`] if the settings make no client.
    pub fn new(settings: ClientSettings) -> Result<Self, NetError> {
        Self::with_lookup(settings, Arc::new(SystemLookup::default()))
    }

    /// A client that asks someone else for addresses; what is forbidden stays forbidden.
    ///
    /// # Errors
    /// [`NetError`] if the settings make no client.
    pub fn with_lookup(settings: ClientSettings, lookup: Arc<dyn Lookup>) -> Result<Self, NetError> {
        settings.check()?;
        let robots = RobotsCache::new(
            settings.robots_lifetime,
            settings.robots_retry,
            settings.robots_max_origins,
            settings.robots_max_bytes,
        );
        let memory = BodyMemory::new(settings.max_bodies_bytes.max(settings.max_body_bytes));
        let gate = Gate::new(settings.redirects_per_site, settings.redirect_pause);
        let settings = Arc::new(settings);
        let transport = Transport::new(Arc::clone(&settings), lookup)?;
        Ok(Self { shared: Arc::new(Shared { settings, transport, robots, memory, gate }) })
    }

    /// Fetches what a URL points at, redirects followed, once: who asks again, and when, is the caller's affair.
    ///
    /// # Errors
    /// The [`FetchFailure`] that says how it ended; every phase has a deadline, so it ends.
    pub async fn fetch(&self, url: &Url, validators: Option<&Validators>) -> Result<Fetched, FetchFailure> {
        self.shared.fetch(url, validators).await
    }

    /// Time that the URL's site wants between two requests, if its robots.txt says so and was read already.
    pub fn crawl_delay(&self, url: &Url) -> Option<Duration> {
        self.shared.crawl_delay(url)
    }
}

impl Shared {
    async fn fetch(&self, url: &Url, validators: Option<&Validators>) -> Result<Fetched, FetchFailure> {
        let mut trail = Trail::start(parse(url.as_str(), None)?, self.settings.max_redirects);
        let mut rest = self.settings.total_timeout;
        let mut _pass: Option<Pass> = None;
        loop {
            let began = Instant::now();
            match timeout(rest, self.hop(&mut trail, validators)).await {
                Ok(Ok(Some(fetched))) => return Ok(fetched),
                Ok(Ok(None)) => {}
                Ok(Err(failure)) => return Err(failure),
                Err(_) => return Err(FetchFailure::TotalTimeout),
            }
            // What follows may wait, which is not the site's fault and has a limit of its own.
            rest = rest.saturating_sub(began.elapsed());
            if let Some(site) = trail.foreign_site() {
                _pass = None;
                let pass = self.gate.enter(&site, self.crawl_delay(&trail.url)).await;
                _pass = Some(pass.ok_or(FetchFailure::BusySite(site))?);
            }
        }
    }

    /// Asks for the URL where the trail has come to; `None` is a redirect, and one more step of the trail.
    async fn hop(&self, trail: &mut Trail, validators: Option<&Validators>) -> Result<Option<Fetched>, FetchFailure> {
        self.check_host(&trail.url)?;
        self.check_robots(&trail.url).await?;
        let response = self.transport.ask(&trail.url, image_headers(validators)).await?;
        match redirect_target(&trail.url, &response)? {
            Some(target) => trail.step(target).map(|()| None),
            None => self.finish(response, trail, validators.is_some()).await.map(Some),
        }
    }

    fn crawl_delay(&self, url: &Url) -> Option<Duration> {
        match self.robots.known(origin(url))? {
            RobotsAnswer::Rules(robots) => robots.crawl_delay(),
            RobotsAnswer::Unreachable(_) => None,
        }
    }

    /// From the head of the last answer to its bytes, or the reason against them.
    async fn finish(&self, response: Response, trail: &Trail, is_conditional: bool) -> Result<Fetched, FetchFailure> {
        let status = response.status().as_u16();
        if status == 304 && is_conditional {
            return Ok(Fetched::NotModified { final_url: trail.url.clone() });
        }
        if let Some(failure) = FetchFailure::of_status(status, retry_after(&response)) {
            return Err(failure);
        }
        if let Some(rule) = self.forbidding_rule(&response) {
            return Err(FetchFailure::XRobotsTag(rule));
        }
        let text = |name: &HeaderName| header_text(&response, name).map(str::to_owned);
        let validators = Validators { etag: text(&ETAG), last_modified: text(&LAST_MODIFIED) };
        let declared_type = text(&CONTENT_TYPE).map(|declared| declared.chars().take(100).collect());
        let limits = BodyLimits {
            memory: Some(self.memory.clone()),
            ..self.body_limits(self.settings.max_body_bytes, Overflow::Refuse)
        };
        let (bytes, reservation) = read_body(response, &limits, begins_like_an_image).await?;
        let format = ImageFormat::sniff(&bytes).map_err(|e| FetchFailure::NotAnImage(e.to_string()))?;
        let n_redirects = trail.earlier.len();
        let final_url = trail.url.clone();
        Ok(Fetched::Image(FetchedImage {
            bytes,
            format,
            declared_type,
            final_url,
            n_redirects,
            validators,
            _reservation: reservation,
        }))
    }

    fn forbidding_rule(&self, response: &Response) -> Option<&'static str> {
        let values = response.headers().get_all("x-robots-tag").iter();
        let texts: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        let rule = forbidding_rule(texts.iter().map(AsRef::as_ref), &self.settings.product_token);
        rule.filter(|_| self.settings.respect_x_robots_tag)
    }

    /// Refuses what leads to a host from which nothing is taken, before it is asked.
    fn check_host(&self, url: &Url) -> Result<(), FetchFailure> {
        match url.host_str() {
            Some(host) if Host::covers(&self.settings.excluded_hosts, host) => {
                Err(FetchFailure::ExcludedHost(url.as_str().into()))
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn check_robots(&self, url: &Url) -> Result<(), FetchFailure> {
        if !self.settings.respect_robots {
            return Ok(());
        }
        match self.robots.answer(origin(url), || self.ask_robots(url)).await {
            RobotsAnswer::Rules(robots) if robots.allows(url) => Ok(()),
            RobotsAnswer::Rules(_) => Err(FetchFailure::Robots(url.as_str().into())),
            RobotsAnswer::Unreachable(failure) => Err(failure),
        }
    }

    async fn ask_robots(&self, url: &Url) -> RobotsAnswer {
        let mut trail = match parse("/robots.txt", Some(url)) {
            Ok(url) => Trail::start(url, MAX_ROBOTS_REDIRECTS),
            Err(refusal) => return RobotsAnswer::Unreachable(refusal.into()),
        };
        match self.fetch_robots(&mut trail).await {
            Ok(robots) => RobotsAnswer::Rules(Arc::new(robots)),
            // Endless redirects are "no such file" (RFC 9309, 2.3.1.2).
            Err(FetchFailure::TooManyRedirects { .. } | FetchFailure::RedirectLoop(_)) => {
                RobotsAnswer::Rules(Arc::default())
            }
            Err(failure) => RobotsAnswer::Unreachable(blame(failure, trail.earlier.is_empty())),
        }
    }

    async fn fetch_robots(&self, trail: &mut Trail) -> Result<Robots, FetchFailure> {
        loop {
            let response = self.transport.ask(&trail.url, accepting("text/plain, */*;q=0.1")).await?;
            if let Some(target) = redirect_target(&trail.url, &response)? {
                trail.step(target)?;
                continue;
            }
            return match FetchFailure::of_status(response.status().as_u16(), retry_after(&response)) {
                None => {
                    let limits = self.body_limits(MAX_ROBOTS_BYTES, Overflow::Truncate);
                    let (bytes, _) = read_body(response, &limits, |_, _| Ok(true)).await?;
                    Ok(Robots::parse(&bytes, &self.settings.product_token))
                }
                Some(FetchFailure::Gone { .. } | FetchFailure::ClientStatus { .. }) => Ok(Robots::default()),
                Some(failure) => Err(failure),
            };
        }
    }

    fn body_limits(&self, max_bytes: u64, overflow: Overflow) -> BodyLimits {
        BodyLimits {
            memory: None,
            max_bytes,
            overflow,
            timeout: self.settings.body_timeout,
            progress_window: self.settings.progress_window,
            min_window_bytes: self.settings.min_window_bytes,
        }
    }
}

/// Where a fetch is and has been.
struct Trail {
    url: Url,
    earlier: Vec<Url>,
    limit: usize,
}

impl Trail {
    fn start(url: Url, limit: usize) -> Self {
        Self { url, earlier: Vec::new(), limit }
    }

    fn step(&mut self, target: Url) -> Result<(), FetchFailure> {
        if target == self.url || self.earlier.contains(&target) {
            return Err(FetchFailure::RedirectLoop(target.into()));
        }
        if self.earlier.len() >= self.limit {
            return Err(FetchFailure::TooManyRedirects { limit: self.limit });
        }
        self.earlier.push(std::mem::replace(&mut self.url, target));
        Ok(())
    }

    /// The registrable domain that a redirect has led to from another one.
    fn foreign_site(&self) -> Option<String> {
        let site = registrable_domain(&self.url);
        self.earlier.last().is_some_and(|from| registrable_domain(from) != site).then_some(site)
    }
}

/// What a failed robots.txt says of its site: where the site itself can't be reached, the same as the picture would.
fn blame(failure: FetchFailure, is_first_hop: bool) -> FetchFailure {
    let is_of_the_site = matches!(
        failure,
        FetchFailure::ForbiddenAddress { .. }
            | FetchFailure::Dns { .. }
            | FetchFailure::DnsTimeout { .. }
            | FetchFailure::Connect(_)
            | FetchFailure::ConnectTimeout
            | FetchFailure::Tls(_)
    );
    if is_first_hop && is_of_the_site {
        return failure;
    }
    FetchFailure::RobotsUnreachable { reason: failure.class(), retry_after: failure.retry_after() }
}

/// Scheme, host and port: what a robots.txt is for.
fn origin(url: &Url) -> &str {
    &url[..Position::BeforePath]
}

/// The target of a redirect, read and refused like any URL.
fn redirect_target(url: &Url, response: &Response) -> Result<Option<Url>, FetchFailure> {
    match response.status().as_u16() {
        301 | 302 | 303 | 307 | 308 => {
            let target = header_text(response, &LOCATION).ok_or(FetchFailure::RedirectWithoutTarget)?;
            Ok(Some(parse(target, Some(url))?))
        }
        _ => Ok(None),
    }
}

fn image_headers(validators: Option<&Validators>) -> HeaderMap {
    let mut headers = accepting(IMAGES);
    let Some(validators) = validators else { return headers };
    let conditions = [(IF_NONE_MATCH, &validators.etag), (IF_MODIFIED_SINCE, &validators.last_modified)];
    for (name, text) in conditions {
        // What no header can carry never came out of one; without it the answer is 200, which is right, too.
        if let Some(value) = text.as_ref().and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert(name, value);
        }
    }
    headers
}

/// Refuses a body by its first bytes; says whether it has seen enough.
fn begins_like_an_image(bytes: &[u8], is_all: bool) -> Result<bool, FetchFailure> {
    if bytes.len() < SNIFFED_BYTES && !is_all {
        return Ok(false);
    }
    ImageFormat::sniff(bytes).map(|_| true).map_err(|e| FetchFailure::NotAnImage(e.to_string()))
}
