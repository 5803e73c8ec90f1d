//! How can a fetch end without a picture, and what should be done then?

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use super::address::AddressKind;
use super::url::UrlRefusal;

/// Why no client could be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// The product token is not letters, `_` and `-` (RFC 9309).
    #[error("product token `{0}` may hold only letters, `-` and `_`")]
    ProductToken(String),
    /// Product token, version and contact don't make a header.
    #[error("user agent `{0}` can't be sent as a header")]
    UserAgent(String),
    /// The encryption library or the client refused its settings.
    #[error("failed to set up the HTTP client: {0}")]
    Setup(String),
}

/// When a server wants to be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// So many milliseconds after its answer.
    InMs(u64),
    /// At this time, in milliseconds UTC since 1970.
    AtMs(i64),
}

impl RetryAfter {
    /// Reads the header's two forms, seconds and an HTTP date; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            // More digits than fit mean "not in this life".
            return Some(RetryAfter::InMs(text.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1000)));
        }
        let date: SystemTime = httpdate::parse_http_date(text).ok()?;
        let since = date.duration_since(UNIX_EPOCH).ok()?;
        Some(RetryAfter::AtMs(i64::try_from(since.as_millis()).ok()?))
    }

    /// Milliseconds to wait, given the time of the answer in milliseconds UTC.
    pub fn wait_ms(self, now_ms: i64) -> u64 {
        match self {
            RetryAfter::InMs(ms) => ms,
            RetryAfter::AtMs(at_ms) => u64::try_from(at_ms.saturating_sub(now_ms)).unwrap_or(0),
        }
    }
}

/// How a fetch ended without a picture: one variant for each end that can be told apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchFailure {
    /// The URL, or the target of a redirect, must not be asked for.
    #[error("refused URL: {0}")]
    RefusedUrl(#[from] UrlRefusal),
    /// A host from which nothing is taken, by the settings.
    #[error("it leads to {0}, from where nothing is taken")]
    ExcludedHost(String),
    /// The host is, or its name leads only to, an address that is not of the public internet.
    #[error("host `{host}` leads to {kind} address {address}")]
    ForbiddenAddress {
        /// Host of the URL.
        host: String,
        /// The first forbidden address.
        address: IpAddr,
        /// What speaks against it.
        kind: AddressKind,
    },
    /// No address for the name.
    #[error("failed to resolve `{host}`: {reason}")]
    Dns {
        /// Host of the URL.
        host: String,
        /// What the resolver says.
        reason: String,
    },
    /// The resolver did not answer in time.
    #[error("resolving `{host}` took too long")]
    DnsTimeout {
        /// Host of the URL.
        host: String,
    },
    /// No connection.
    #[error("failed to connect: {0}")]
    Connect(String),
    /// No connection in time, encryption included.
    #[error("connecting took too long")]
    ConnectTimeout,
    /// No trusted encrypted connection.
    #[error("failed to agree on encryption: {0}")]
    Tls(String),
    /// No complete header section in time.
    #[error("the answer's headers took too long")]
    HeadersTimeout,
    /// The body as a whole took too long.
    #[error("the body took too long, {received_bytes} bytes came")]
    BodyTimeout {
        /// Bytes until then.
        received_bytes: u64,
    },
    /// The body came more slowly than the slowest rate allowed, or stopped.
    #[error("the body came too slowly, {received_bytes} bytes came")]
    TooSlow {
        /// Bytes until then.
        received_bytes: u64,
    },
    /// All hops together took too long.
    #[error("the fetch as a whole took too long")]
    TotalTimeout,
    /// More bytes than the limit, announced or sent.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// More header lines or bytes than the limit.
    #[error("the header section is larger than the limit")]
    HeadersTooLarge,
    /// More redirects than the limit.
    #[error("more than {limit} redirects")]
    TooManyRedirects {
        /// The limit.
        limit: usize,
    },
    /// So many other fetches are led to the same site that this one would wait for too long.
    #[error("too many redirects of others lead to {0} at the moment")]
    BusySite(String),
    /// A redirect to a URL that was asked before.
    #[error("redirect loop at {0}")]
    RedirectLoop(String),
    /// A redirect without a readable target.
    #[error("redirect without a target")]
    RedirectWithoutTarget,
    /// The body ended before its announced end, or the connection broke.
    #[error("the body broke off after {received_bytes} bytes: {reason}")]
    IncompleteBody {
        /// Bytes until then.
        received_bytes: u64,
        /// What the connection says.
        reason: String,
    },
    /// Compressed although nobody asked for that.
    #[error("the body is encoded as `{0}`, which was not asked for")]
    EncodedBody(String),
    /// The first bytes are not of an image.
    #[error("{0}")]
    NotAnImage(String),
    /// Not HTTP, or broken HTTP.
    #[error("broken HTTP: {0}")]
    Protocol(String),
    /// robots.txt forbids it.
    #[error("robots.txt forbids {0}")]
    Robots(String),
    /// robots.txt exists or not, nobody knows: not now.
    #[error("robots.txt can't be read: {reason}")]
    RobotsUnreachable {
        /// Class of what happened to robots.txt.
        reason: &'static str,
        /// When to ask again, if the server says so.
        retry_after: Option<RetryAfter>,
    },
    /// The answer's `X-Robots-Tag` forbids it.
    #[error("X-Robots-Tag says `{0}`")]
    XRobotsTag(&'static str),
    /// 404 or 410.
    #[error("status {status}, gone")]
    Gone {
        /// The status.
        status: u16,
    },
    /// 429.
    #[error("status 429, too many requests")]
    RateLimited {
        /// When to ask again, if the server says so.
        retry_after: Option<RetryAfter>,
    },
    /// Another 4xx.
    #[error("status {status}")]
    ClientStatus {
        /// The status.
        status: u16,
    },
    /// 5xx.
    #[error("status {status}")]
    ServerStatus {
        /// The status.
        status: u16,
        /// When to ask again, if the server says so.
        retry_after: Option<RetryAfter>,
    },
    /// A status that answers another question than ours, such as 206 or 304 when nothing was known.
    #[error("unexpected status {status}")]
    UnexpectedStatus {
        /// The status.
        status: u16,
    },
}

impl FetchFailure {
    /// The server's status, where it came to one.
    pub const fn status(&self) -> Option<u16> {
        match self {
            FetchFailure::Gone { status }
            | FetchFailure::ClientStatus { status }
            | FetchFailure::ServerStatus { status, .. }
            | FetchFailure::UnexpectedStatus { status } => Some(*status),
            FetchFailure::RateLimited { .. } => Some(429),
            _ => None,
        }
    }

    /// The name of this end in the catalogue.
    pub const fn class(&self) -> &'static str {
        match self {
            FetchFailure::RefusedUrl(UrlRefusal::Scheme(_)) => "forbidden-scheme",
            FetchFailure::RefusedUrl(UrlRefusal::UserInfo) => "user-info",
            FetchFailure::RefusedUrl(UrlRefusal::TooLong { .. }) => "long-url",
            FetchFailure::RefusedUrl(_) => "bad-url",
            FetchFailure::ExcludedHost(_) => "excluded-host",
            FetchFailure::ForbiddenAddress { .. } => "forbidden-address",
            FetchFailure::Dns { .. } => "dns",
            FetchFailure::DnsTimeout { .. } => "timeout-dns",
            FetchFailure::Connect(_) => "connect",
            FetchFailure::ConnectTimeout => "timeout-connect",
            FetchFailure::Tls(_) => "tls",
            FetchFailure::HeadersTimeout => "timeout-headers",
            FetchFailure::BodyTimeout { .. } => "timeout-body",
            FetchFailure::TooSlow { .. } => "too-slow",
            FetchFailure::TotalTimeout => "timeout-total",
            FetchFailure::TooLarge { .. } => "too-large",
            FetchFailure::HeadersTooLarge => "headers-too-large",
            FetchFailure::TooManyRedirects { .. } => "too-many-redirects",
            FetchFailure::BusySite(_) => "busy-site",
            FetchFailure::RedirectLoop(_) => "redirect-loop",
            FetchFailure::RedirectWithoutTarget => "bad-redirect",
            FetchFailure::IncompleteBody { .. } => "incomplete-body",
            FetchFailure::EncodedBody(_) => "encoded-body",
            FetchFailure::NotAnImage(_) => "not-an-image",
            FetchFailure::Protocol(_) => "protocol",
            FetchFailure::Robots(_) => "robots",
            FetchFailure::RobotsUnreachable { .. } => "robots-unreachable",
            FetchFailure::XRobotsTag(_) => "x-robots-tag",
            FetchFailure::Gone { .. } => "gone",
            FetchFailure::RateLimited { .. } => "rate-limited",
            FetchFailure::ClientStatus { .. } => "http-4xx",
            FetchFailure::ServerStatus { .. } => "http-5xx",
            FetchFailure::UnexpectedStatus { .. } => "http-other",
        }
    }

    /// Whether the same request may end better later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            FetchFailure::Dns { .. }
            | FetchFailure::DnsTimeout { .. }
            | FetchFailure::Connect(_)
            | FetchFailure::ConnectTimeout
            | FetchFailure::HeadersTimeout
            | FetchFailure::BodyTimeout { .. }
            | FetchFailure::TooSlow { .. }
            | FetchFailure::TotalTimeout
            | FetchFailure::IncompleteBody { .. }
            | FetchFailure::BusySite(_)
            | FetchFailure::RobotsUnreachable { .. }
            | FetchFailure::RateLimited { .. } => true,
            // 408: the server waited too long; 425: it wants the request once more.
            FetchFailure::ClientStatus { status } => matches!(status, 408 | 425),
            // 501 and 505 are about what the server can do, not about its day.
            FetchFailure::ServerStatus { status, .. } => !matches!(status, 501 | 505),
            FetchFailure::RefusedUrl(_)
            | FetchFailure::ExcludedHost(_)
            | FetchFailure::ForbiddenAddress { .. }
            | FetchFailure::Tls(_)
            | FetchFailure::TooLarge { .. }
            | FetchFailure::HeadersTooLarge
            | FetchFailure::TooManyRedirects { .. }
            | FetchFailure::RedirectLoop(_)
            | FetchFailure::RedirectWithoutTarget
            | FetchFailure::EncodedBody(_)
            | FetchFailure::NotAnImage(_)
            | FetchFailure::Protocol(_)
            | FetchFailure::Robots(_)
            | FetchFailure::XRobotsTag(_)
            | FetchFailure::Gone { .. }
            | FetchFailure::UnexpectedStatus { .. } => false,
        }
    }

    /// When the server wants to be asked again, if it said so.
    pub const fn retry_after(&self) -> Option<RetryAfter> {
        if let FetchFailure::RateLimited { retry_after }
        | FetchFailure::ServerStatus { retry_after, .. }
        | FetchFailure::RobotsUnreachable { retry_after, .. } = self
        {
            *retry_after
        } else {
            None
        }
    }

    /// Milliseconds that the server wants us to wait, given the time in milliseconds UTC.
    pub fn retry_after_ms(&self, now_ms: i64) -> Option<u64> {
        self.retry_after().map(|after| after.wait_ms(now_ms))
    }

    /// The end that a status stands for; `None` for 200 and 203, which bring the picture.
    pub(crate) const fn of_status(status: u16, retry_after: Option<RetryAfter>) -> Option<Self> {
        match status {
            200 | 203 => None,
            404 | 410 => Some(FetchFailure::Gone { status }),
            429 => Some(FetchFailure::RateLimited { retry_after }),
            400..=499 => Some(FetchFailure::ClientStatus { status }),
            500..=599 => Some(FetchFailure::ServerStatus { status, retry_after }),
            _ => Some(FetchFailure::UnexpectedStatus { status }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_retry_after_are_read() {
        assert_eq!(RetryAfter::parse(" 120 "), Some(RetryAfter::InMs(120_000)));
        assert_eq!(RetryAfter::parse("99999999999999999999999"), Some(RetryAfter::InMs(u64::MAX)));
        let date = RetryAfter::parse("Wed, 21 Oct 2015 07:28:00 GMT").unwrap();
        assert_eq!(date, RetryAfter::AtMs(1_445_412_480_000));
        assert_eq!(date.wait_ms(1_445_412_470_000), 10_000);
        assert_eq!(date.wait_ms(1_500_000_000_000), 0);
        for bad in ["", "-1", "soon", "1.5", "Wed, 21 Oct 1915 07:28:00 GMT"] {
            assert_eq!(RetryAfter::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn statuses_fall_into_classes() {
        let class = |status| FetchFailure::of_status(status, None).map(|f| (f.class(), f.is_retryable()));
        assert_eq!(class(200), None);
        assert_eq!(class(404), Some(("gone", false)));
        assert_eq!(class(410), Some(("gone", false)));
        assert_eq!(class(403), Some(("http-4xx", false)));
        assert_eq!(class(408), Some(("http-4xx", true)));
        assert_eq!(class(429), Some(("rate-limited", true)));
        assert_eq!(class(503), Some(("http-5xx", true)));
        assert_eq!(class(501), Some(("http-5xx", false)));
        assert_eq!(class(206), Some(("http-other", false)));
    }
}
