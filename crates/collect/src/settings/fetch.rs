//! What may `[fetch]` say: how many at once, how long, how much, and from where not?

use crate::Network;

/// Stock photo sites: their previews carry watermarks, and their pictures are for sale.
const STOCK_PHOTO_HOSTS: [&str; 25] = [
    "shutterstock.com",
    "gettyimages.com",
    "istockphoto.com",
    "alamy.com",
    "alamy.de",
    "dreamstime.com",
    "123rf.com",
    "depositphotos.com",
    "stock.adobe.com",
    "ftcdn.net",
    "fotolia.com",
    "bigstockphoto.com",
    "canstockphoto.com",
    "agefotostock.com",
    "masterfile.com",
    "superstock.com",
    "colourbox.com",
    "stocksy.com",
    "vectorstock.com",
    "pond5.com",
    "featurepics.com",
    "photocase.com",
    "imago-images.de",
    "clipdealer.com",
    "thinkstockphotos.com",
];

/// How images are fetched.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FetchSettings {
    /// Requests under way at once, 1 to 4,096.
    pub concurrency: u32,
    /// Requests under way at once to one registrable domain, 1 to 64.
    pub per_host: u32,
    /// Least pause between two requests to one registrable domain, in milliseconds.
    pub pause_ms: u64,
    /// Seconds for one image, from the first redirect to the last byte, 1 to 600.
    pub timeout_s: u64,
    /// Largest file, in bytes, 1 KiB to 64 MiB (above that, nothing would decode it).
    pub max_bytes: u64,
    /// Bytes of pixels, three for each, that one byte of a file may stand for, from a megapixel on: 10 to 1,000,000. A
    /// photograph stands for a hundred at most, what was made to fill memories for a thousand.
    pub max_ratio: u32,
    /// Redirects of one image, 0 to 20.
    pub max_redirects: u32,
    /// Whether robots.txt is asked and obeyed.
    pub respect_robots: bool,
    /// Networks that are open although they are not public, such as a test server's.
    pub open_networks: Vec<Network>,
    /// Hosts, with everything below them, from which nothing is taken.
    pub excluded_hosts: Vec<Host>,
}

impl Default for FetchSettings {
    fn default() -> Self {
        Self {
            concurrency: 64,
            per_host: 2,
            pause_ms: 500,
            timeout_s: 30,
            max_bytes: 32 * 1024 * 1024,
            max_ratio: 500,
            max_redirects: 5,
            respect_robots: true,
            open_networks: Vec::new(),
            excluded_hosts: STOCK_PHOTO_HOSTS.map(|host| Host(host.to_owned())).into(),
        }
    }
}

impl FetchSettings {
    /// Whether nothing is taken from this host: it is excluded, or lies below one that is.
    pub fn excludes(&self, host: &str) -> bool {
        Host::covers(&self.excluded_hosts, host)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let ranges = [
            ("concurrency", u64::from(self.concurrency), 1, 4_096),
            ("per_host", u64::from(self.per_host), 1, 64),
            ("pause_ms", self.pause_ms, 0, 3_600_000),
            ("timeout_s", self.timeout_s, 1, 600),
            ("max_bytes", self.max_bytes, 1_024, 64 * 1024 * 1024),
            ("max_ratio", u64::from(self.max_ratio), 10, 1_000_000),
            ("max_redirects", u64::from(self.max_redirects), 0, 20),
        ];
        match ranges.into_iter().find(|(_, value, low, high)| !(low..=high).contains(&value)) {
            Some((name, value, low, high)) => Err(format!("{name} = {value} is outside {low} to {high}")),
            None => Ok(()),
        }
    }
}

/// A host's name in small letters, without port and final dot.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Host(String);

impl Host {
    /// As compared with.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a host is one of these, or lies below one.
    pub(crate) fn covers(hosts: &[Host], host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        hosts
            .iter()
            .any(|known| host.strip_suffix(&known.0).is_some_and(|below| below.is_empty() || below.ends_with('.')))
    }
}

impl TryFrom<String> for Host {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bad =
            || "an excluded host is a name such as \"example.org\", which stands for its subdomains, too".to_owned();
        // The way addresses spell them, so that a name with letters outside ASCII is found.
        match url::Host::parse(text.trim_start_matches("*.").trim_end_matches('.')) {
            Ok(url::Host::Domain(name)) if !name.is_empty() => Ok(Host(name)),
            Ok(host @ (url::Host::Ipv4(_) | url::Host::Ipv6(_))) => Ok(Host(host.to_string())),
            Ok(url::Host::Domain(_)) | Err(_) => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excluded_host_stands_for_its_subdomains_and_for_nothing_else() {
        let fetch = FetchSettings::default();
        for host in ["shutterstock.com", "image.ShutterStock.com.", "stock.adobe.com", "t3.ftcdn.net"] {
            assert!(fetch.excludes(host), "{host}");
        }
        for host in ["adobe.com", "notshutterstock.com", "shutterstock.com.example.org", "com"] {
            assert!(!fetch.excludes(host), "{host}");
        }
        assert_eq!(Host::try_from("*.Bücher.DE".to_owned()).as_ref().map(Host::as_str), Ok("xn--bcher-kva.de"));
        assert!(Host::try_from("https://x.org/".to_owned()).is_err());
    }
}
