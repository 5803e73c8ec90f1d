//! How does each provider spell a language, and which ones does it not know?

/// A language tag's parts that matter here, spelled the canonical way (`zh`, `Hans`, `CN`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Language {
    primary: String,
    script: Option<String>,
    region: Option<String>,
}

impl Language {
    /// Reads BCP 47, such as `de`, `pt-BR` or `zh-Hans-CN`; `None` for what is no such tag.
    pub fn parse(tag: &str) -> Option<Language> {
        let mut parts = tag.split(['-', '_']);
        let letters = |part: &&str| part.bytes().all(|byte| byte.is_ascii_alphabetic());
        let primary = parts.next().filter(letters).filter(|part| (2..=3).contains(&part.len()))?.to_ascii_lowercase();
        let (mut script, mut region) = (None, None);
        for part in parts {
            match part.len() {
                4 if letters(&part) && region.is_none() => {
                    let (first, rest) = part.split_at(1);
                    script = Some(first.to_ascii_uppercase() + &rest.to_ascii_lowercase());
                }
                2 if letters(&part) => region = Some(part.to_ascii_uppercase()),
                1..=8 => {}
                _ => return None,
            }
        }
        Some(Language { primary, script, region })
    }

    /// Simplified unless the tag says otherwise.
    fn is_traditional_chinese(&self) -> bool {
        match (self.script.as_deref(), self.region.as_deref()) {
            (Some(script), _) => script == "Hant",
            (None, region) => matches!(region, Some("TW" | "HK" | "MO")),
        }
    }

    /// The country that is asked on behalf of a language without one: where most of its speakers search from.
    fn country(&self) -> Option<&str> {
        if let Some(region) = &self.region {
            return Some(region);
        }
        Some(match self.primary.as_str() {
            "en" => "US",
            "es" => "ES",
            "pt" => "BR",
            "de" => "DE",
            "ar" => "SA",
            "fa" => "IR",
            "fr" => "FR",
            "it" => "IT",
            "nl" => "NL",
            "pl" => "PL",
            "ru" => "RU",
            "tr" => "TR",
            "ja" => "JP",
            "ko" => "KR",
            "hi" => "IN",
            "zh" if self.is_traditional_chinese() => "TW",
            "zh" => "CN",
            _ => return None,
        })
    }

    /// SearXNG's `language`: the language, with its region where the tag has one.
    pub fn searxng(&self) -> String {
        match &self.region {
            Some(region) => format!("{}-{region}", self.primary),
            None => self.primary.clone(),
        }
    }

    /// Brave's `search_lang`, which has spellings of its own.
    pub fn brave(&self) -> Option<&str> {
        const PLAIN: [&str; 46] = [
            "ar", "eu", "bn", "bg", "ca", "hr", "cs", "da", "nl", "en", "et", "fi", "fr", "gl", "de", "el", "gu", "he",
            "hi", "hu", "is", "it", "kn", "ko", "lv", "lt", "ms", "ml", "mr", "nb", "pl", "pa", "ro", "ru", "sr", "sk",
            "sl", "es", "sv", "ta", "te", "th", "tr", "uk", "vi", "jp",
        ];
        match self.primary.as_str() {
            "pt" if self.region.as_deref() == Some("PT") => Some("pt-pt"),
            "pt" => Some("pt-br"),
            "zh" if self.is_traditional_chinese() => Some("zh-hant"),
            "zh" => Some("zh-hans"),
            "ja" => Some("jp"),
            "no" | "nn" => Some("nb"),
            "en" if self.region.as_deref() == Some("GB") => Some("en-gb"),
            // Its own code for Japanese is no language of BCP 47.
            "jp" => None,
            primary => PLAIN.contains(&primary).then_some(primary),
        }
    }

    /// Brave's `country`: the tag's region where Brave knows it, else all countries.
    pub fn brave_country(&self) -> &str {
        const KNOWN: [&str; 36] = [
            "AR", "AU", "AT", "BE", "BR", "CA", "CL", "DK", "FI", "FR", "DE", "HK", "IN", "ID", "IT", "JP", "KR", "MY",
            "MX", "NL", "NZ", "NO", "CN", "PL", "PT", "PH", "RU", "SA", "ZA", "ES", "SE", "CH", "TW", "TR", "GB", "US",
        ];
        self.region.as_deref().filter(|region| KNOWN.contains(region)).unwrap_or("ALL")
    }

    /// Pexels' `locale`, one of 28.
    pub fn pexels(&self) -> Option<&'static str> {
        Some(match self.primary.as_str() {
            "en" => "en-US",
            "pt" => "pt-BR",
            "es" => "es-ES",
            "ca" => "ca-ES",
            "de" => "de-DE",
            "it" => "it-IT",
            "fr" => "fr-FR",
            "sv" => "sv-SE",
            "id" => "id-ID",
            "pl" => "pl-PL",
            "ja" => "ja-JP",
            "zh" if self.is_traditional_chinese() => "zh-TW",
            "zh" => "zh-CN",
            "ko" => "ko-KR",
            "th" => "th-TH",
            "nl" => "nl-NL",
            "hu" => "hu-HU",
            "vi" => "vi-VN",
            "cs" => "cs-CZ",
            "da" => "da-DK",
            "fi" => "fi-FI",
            "uk" => "uk-UA",
            "el" => "el-GR",
            "ro" => "ro-RO",
            "nb" | "no" | "nn" => "nb-NO",
            "sk" => "sk-SK",
            "tr" => "tr-TR",
            "ru" => "ru-RU",
            _ => return None,
        })
    }

    /// Google's `hl`.
    pub fn google_interface(&self) -> String {
        match (self.primary.as_str(), self.region.as_deref()) {
            ("zh", _) if self.is_traditional_chinese() => "zh-TW".to_owned(),
            ("zh", _) => "zh-CN".to_owned(),
            ("pt", Some(region @ ("BR" | "PT"))) => format!("pt-{region}").to_lowercase(),
            ("he", _) => "iw".to_owned(),
            (primary, _) => primary.to_owned(),
        }
    }

    /// Google's `gl`.
    pub fn google_country(&self) -> Option<String> {
        // Google says `uk` where the world says `gb`.
        self.country().map(|country| if country == "GB" { "uk".to_owned() } else { country.to_ascii_lowercase() })
    }

    /// Bing's `mkt`.
    pub fn bing_market(&self) -> Option<String> {
        self.country().map(|country| format!("{}-{country}", self.primary))
    }

    /// Google's `lr`, which restricts the pages; a language it has no restriction for (such as Persian) has none.
    pub fn google_restriction(&self) -> Option<String> {
        const PLAIN: [&str; 32] = [
            "ar", "bg", "ca", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "hr", "hu", "id", "is", "it", "ja",
            "ko", "lt", "lv", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "tr",
        ];
        match self.primary.as_str() {
            "zh" if self.is_traditional_chinese() => Some("lang_zh-TW".to_owned()),
            "zh" => Some("lang_zh-CN".to_owned()),
            "he" => Some("lang_iw".to_owned()),
            "nb" | "nn" => Some("lang_no".to_owned()),
            primary => PLAIN.contains(&primary).then(|| format!("lang_{primary}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_gets_its_own_spelling_and_unknown_languages_are_left_out() {
        let spelled = |tag: &str| {
            let language = Language::parse(tag).unwrap();
            let or_none = |text: Option<&str>| text.unwrap_or("none").to_owned();
            [
                language.searxng(),
                or_none(language.brave()) + "/" + language.brave_country(),
                or_none(language.pexels()),
                language.google_interface() + "/" + &or_none(language.google_country().as_deref()),
                or_none(language.bing_market().as_deref()),
                or_none(language.google_restriction().as_deref()),
            ]
            .join(" ")
        };
        assert_eq!(spelled("en"), "en en/ALL en-US en/us en-US lang_en");
        assert_eq!(spelled("es"), "es es/ALL es-ES es/es es-ES lang_es");
        assert_eq!(spelled("pt"), "pt pt-br/ALL pt-BR pt/br pt-BR lang_pt");
        assert_eq!(spelled("pt-pt"), "pt-PT pt-pt/PT pt-BR pt-pt/pt pt-PT lang_pt");
        assert_eq!(spelled("de_CH"), "de-CH de/CH de-DE de/ch de-CH lang_de");
        assert_eq!(spelled("ar"), "ar ar/ALL none ar/sa ar-SA lang_ar");
        assert_eq!(spelled("fa"), "fa none/ALL none fa/ir fa-IR none");
        assert_eq!(spelled("zh-Hant"), "zh zh-hant/ALL zh-TW zh-TW/tw zh-TW lang_zh-TW");
        assert_eq!(spelled("xx"), "xx none/ALL none xx/none none none");
        for tag in ["", "d", "deutsch", "de&safe=off", "d1", "de--x"] {
            assert_eq!(Language::parse(tag), None, "{tag}");
        }
    }
}
