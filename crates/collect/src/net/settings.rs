//! How long, how much and how politely?

use std::time::Duration;

use super::address::Network;
use super::failure::NetError;
use crate::Host;

/// Every knob of the [`Client`](super::client::Client), with its default.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientSettings {
    /// The name that robots.txt and `X-Robots-Tag` know us by: letters, `-`, `_`; default `affectory`.
    pub product_token: String,
    /// A page or mail address where a site's owner reaches the person who runs this; default none, which some sites
    /// refuse.
    pub contact: Option<String>,
    /// Whether robots.txt is asked and obeyed; default yes.
    pub respect_robots: bool,
    /// Whether `X-Robots-Tag: noai`, `noimageai`, `noindex`, `noimageindex` and `none` are obeyed; default yes.
    pub respect_x_robots_tag: bool,
    /// Networks that may be connected to although they are private or loopback; default none.
    pub open_networks: Vec<Network>,
    /// Hosts, with everything below them, that are not asked for a picture, be it after a redirect; default none.
    pub excluded_hosts: Vec<Host>,
    /// Most redirects of one fetch; default 5.
    pub max_redirects: usize,
    /// Least pause between two redirected fetches that one registrable domain gets from others; default none.
    pub redirect_pause: Duration,
    /// Most redirected fetches at a time that one registrable domain gets from others; default 64.
    pub redirects_per_site: usize,
    /// Most bytes of a picture; default 64 MiB, as `imaging` decodes.
    pub max_body_bytes: u64,
    /// Most bytes of all pictures under way together, but for one whose length nobody announced; default 256 MiB, at least
    /// `max_body_bytes`.
    pub max_bodies_bytes: u64,
    /// Most header lines of an answer; default 100.
    pub max_headers: usize,
    /// Most bytes of an answer's header section; default 32 KiB.
    pub max_header_bytes: u32,
    /// Longest look-up of a name; default 5 s.
    pub resolve_timeout: Duration,
    /// Longest way to a connection, look-up and encryption included; default 10 s.
    pub connect_timeout: Duration,
    /// Longest wait for a complete header section once connected; default 20 s.
    pub headers_timeout: Duration,
    /// Longest body; default 120 s.
    pub body_timeout: Duration,
    /// How often a body's progress is looked at; default 10 s.
    pub progress_window: Duration,
    /// Bytes that each window has to bring; default 10 KiB, so 1 KiB/s.
    pub min_window_bytes: u64,
    /// Longest fetch with all its redirects and robots.txt; default 240 s.
    pub total_timeout: Duration,
    /// How long an idle connection is kept for the next request; default 15 s.
    pub idle_timeout: Duration,
    /// Most idle connections kept for one host; default 4.
    pub max_idle_per_host: usize,
    /// Most sites (scheme, host and port) whose connections are kept; with one more, all that are idle are closed. So no
    /// more connections are open than `max_idle_sites` times `max_idle_per_host`, and those in use; default 256.
    pub max_idle_sites: usize,
    /// How long a robots.txt is believed; default 24 h, the most that RFC 9309 allows.
    pub robots_lifetime: Duration,
    /// How long an unreachable robots.txt is not asked for again, and its site's URLs all end the same way without a
    /// request; default 60 s.
    pub robots_retry: Duration,
    /// Most origins whose robots.txt is remembered; default 20,000.
    pub robots_max_origins: usize,
    /// Most bytes of rules that are remembered; default 32 MiB.
    pub robots_max_bytes: usize,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            product_token: "affectory".into(),
            contact: None,
            respect_robots: true,
            respect_x_robots_tag: true,
            open_networks: Vec::new(),
            excluded_hosts: Vec::new(),
            max_redirects: 5,
            redirect_pause: Duration::ZERO,
            redirects_per_site: 64,
            max_body_bytes: 64 << 20,
            max_bodies_bytes: 256 << 20,
            max_headers: 100,
            max_header_bytes: 32 << 10,
            resolve_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            headers_timeout: Duration::from_secs(20),
            body_timeout: Duration::from_secs(120),
            progress_window: Duration::from_secs(10),
            min_window_bytes: 10 << 10,
            total_timeout: Duration::from_secs(240),
            idle_timeout: Duration::from_secs(15),
            max_idle_per_host: 4,
            max_idle_sites: 256,
            robots_lifetime: Duration::from_secs(24 * 3600),
            robots_retry: Duration::from_secs(60),
            robots_max_origins: 20_000,
            robots_max_bytes: 32 << 20,
        }
    }
}

impl ClientSettings {
    /// Who we say we are: `affectory/0.1.0 (collects face images for research; CONTACT)`.
    pub fn user_agent(&self) -> String {
        let contact = self.contact.as_deref().map(|contact| format!("; {contact}")).unwrap_or_default();
        format!("{}/{} (collects face images for research{contact})", self.product_token, env!("CARGO_PKG_VERSION"))
    }

    /// # Errors
    /// A token that robots.txt can't name, or a contact that no header can carry.
    pub(crate) fn check(&self) -> Result<(), NetError> {
        let token = &self.product_token;
        if token.is_empty() || !token.bytes().all(is_token_byte) {
            return Err(NetError::ProductToken(token.clone()));
        }
        let agent = self.user_agent();
        if agent.bytes().all(|b| (b' '..=b'~').contains(&b)) { Ok(()) } else { Err(NetError::UserAgent(agent)) }
    }
}

/// What a product token is made of (RFC 9309, 2.2.1).
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_')
}
