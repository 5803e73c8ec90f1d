//! How is a key held so that no log line and no error can show it?

use std::fmt;

/// A key or token. Its `Debug` shows none of it, and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a key into custody; `None` if it is empty, over-long or could not travel in an HTTP header.
    pub fn new(text: &str) -> Option<Secret> {
        let text = text.trim();
        let usable = (1..=4096).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        usable.then(|| Secret(text.to_owned()))
    }

    /// The key itself, for the one place that puts it into a request.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// The text with every occurrence of the key blotted out: engines like to quote the key they refuse.
    pub(super) fn blot(&self, text: &str) -> String {
        let encoded: String = url::form_urlencoded::byte_serialize(self.0.as_bytes()).collect();
        // `id:secret` pairs are quoted in parts, too.
        let parts = self.0.split(':').filter(|part| part.len() >= 4 && *part != self.0);
        let mut out = text.replace(&self.0, "***").replace(&encoded, "***");
        for part in parts {
            out = out.replace(part, "***");
        }
        out
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}
