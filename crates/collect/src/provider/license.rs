//! Which licences are there, and how does each provider say them?

use std::fmt;

use url::Url;

/// A licence that lets others use an image, whatever its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum License {
    /// The author gives up all rights.
    Cc0,
    /// No copyright is known of.
    PublicDomain,
    /// Name the author.
    By,
    /// Name the author, share alike.
    BySa,
    /// Name the author, do not sell.
    ByNc,
    /// Name the author, do not change.
    ByNd,
    /// Name the author, do not sell, share alike.
    ByNcSa,
    /// Name the author, do not sell, do not change.
    ByNcNd,
}

impl License {
    /// Openverse's code.
    pub(super) const fn openverse(self) -> &'static str {
        match self {
            License::Cc0 => "cc0",
            License::PublicDomain => "pdm",
            License::By => "by",
            License::BySa => "by-sa",
            License::ByNc => "by-nc",
            License::ByNd => "by-nd",
            License::ByNcSa => "by-nc-sa",
            License::ByNcNd => "by-nc-nd",
        }
    }

    /// Flickr's numbers.
    pub(super) const fn flickr(self) -> &'static [u32] {
        match self {
            License::Cc0 => &[9],
            License::PublicDomain => &[7, 10],
            License::By => &[4],
            License::BySa => &[5],
            License::ByNc => &[2],
            License::ByNd => &[6],
            License::ByNcSa => &[1],
            License::ByNcNd => &[3],
        }
    }

    /// Whether it lets others sell the image.
    pub(super) const fn may_sell(self) -> bool {
        !matches!(self, License::ByNc | License::ByNcSa | License::ByNcNd)
    }

    /// Whether it lets others change the image.
    pub(super) const fn may_change(self) -> bool {
        !matches!(self, License::ByNd | License::ByNcNd)
    }

    /// Reads what providers write: `CC BY-SA 4.0`, `by-nc`, `cc-by-2.0`, `Public domain`, `CC0`.
    pub(super) fn of_text(text: &str) -> Option<License> {
        let text = text.to_lowercase();
        let words: Vec<&str> = text.split(|letter: char| !letter.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
        let has = |word: &str| words.contains(&word);
        if has("cc0") || has("zero") {
            return Some(License::Cc0);
        }
        if has("pdm") || has("pd") || text.contains("public domain") || text.contains("no known copyright") {
            return Some(License::PublicDomain);
        }
        // "used by permission" has a "by" and is no licence: it must come first, or after "cc".
        if words.first() != Some(&"by") && words.get(..2) != Some(&["cc", "by"]) {
            return None;
        }
        match (has("nc"), has("nd"), has("sa")) {
            (false, false, false) => Some(License::By),
            (false, false, true) => Some(License::BySa),
            (false, true, false) => Some(License::ByNd),
            (true, false, false) => Some(License::ByNc),
            (true, false, true) => Some(License::ByNcSa),
            (true, true, false) => Some(License::ByNcNd),
            (_, true, true) => None,
        }
    }
}

impl fmt::Display for License {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            License::Cc0 => f.write_str("CC0"),
            License::PublicDomain => f.write_str("Public Domain"),
            other => write!(f, "CC {}", other.openverse().to_uppercase()),
        }
    }
}

/// What Flickr's number of a licence means: its words and its address.
pub(super) fn of_flickr(number: u32) -> (String, Option<Url>) {
    let (text, address) = match number {
        0 => ("All Rights Reserved", ""),
        1 => ("CC BY-NC-SA 2.0", "https://creativecommons.org/licenses/by-nc-sa/2.0/"),
        2 => ("CC BY-NC 2.0", "https://creativecommons.org/licenses/by-nc/2.0/"),
        3 => ("CC BY-NC-ND 2.0", "https://creativecommons.org/licenses/by-nc-nd/2.0/"),
        4 => ("CC BY 2.0", "https://creativecommons.org/licenses/by/2.0/"),
        5 => ("CC BY-SA 2.0", "https://creativecommons.org/licenses/by-sa/2.0/"),
        6 => ("CC BY-ND 2.0", "https://creativecommons.org/licenses/by-nd/2.0/"),
        7 => ("No known copyright restrictions", "https://www.flickr.com/commons/usage/"),
        8 => ("United States Government Work", "https://www.usa.gov/government-copyright"),
        9 => ("CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
        10 => ("Public Domain Mark 1.0", "https://creativecommons.org/publicdomain/mark/1.0/"),
        _ => return (format!("Flickr licence {number}"), None),
    };
    (text.to_owned(), Url::parse(address).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_read_as_providers_write_them() {
        for (text, expected) in [
            ("CC BY-SA 4.0", Some(License::BySa)),
            ("cc-by-2.0", Some(License::By)),
            ("by-nc-nd", Some(License::ByNcNd)),
            ("CC0 1.0", Some(License::Cc0)),
            ("Public domain", Some(License::PublicDomain)),
            ("pdm", Some(License::PublicDomain)),
            ("All Rights Reserved", None),
            ("used by permission", None),
            ("GFDL", None),
            ("", None),
        ] {
            assert_eq!(License::of_text(text), expected, "{text}");
        }
        for number in 1..=10 {
            if let Some(license) = License::of_text(&of_flickr(number).0) {
                assert!(license.flickr().contains(&number), "{number}");
            }
        }
    }
}
