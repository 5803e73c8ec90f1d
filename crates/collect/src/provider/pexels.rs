//! How is Pexels asked? Photographs under its own licence, 80 a page; it takes no unwanted words.

use super::account::Account;
use super::cursor::Cursor;
use super::language::Language;
use super::page::attribution;
use super::query::{LineLimits, line};
use super::reading::{first_image_url, needed_list, number, object, other_url, side, text, web_url};
use super::{
    ApiAnswer, ApiRequest, Ask, Hit, Page, ProviderError, ProviderFailure, ProviderLimits, SearchProvider, SkipReason,
};

pub(super) const MAX_RESULTS: u32 = 8_000;
const PAGE_SIZE: u32 = 80;
const LINE: LineLimits = LineLimits { characters: 500, words: 100, as_text: "500 characters or 100 words" };

/// Pexels' photo search.
#[derive(Debug)]
pub(super) struct Pexels(pub Account);

impl SearchProvider for Pexels {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn limits(&self) -> &ProviderLimits {
        &self.0.limits
    }

    fn request(&self, ask: &Ask<'_>) -> Result<ApiRequest, ProviderError> {
        self.0.no_slices(ask)?;
        let cursor = Cursor::read(ask.cursor)?.plain()?;
        let mut request = self
            .0
            .get("/v1/search")
            .pair("query", &line(ask.text, LINE)?)
            .pair("per_page", &self.0.page_size(PAGE_SIZE).to_string())
            .pair("page", &cursor.page.to_string())
            .maybe_pair("locale", Language::parse(ask.language).as_ref().and_then(Language::pexels));
        if let Some(key) = &self.0.key {
            request = request.header("Authorization", key.expose().to_owned());
        }
        Ok(request)
    }

    fn read(&self, ask: &Ask<'_>, answer: &ApiAnswer<'_>) -> Result<Page, ProviderFailure> {
        self.0.check(answer)?;
        let cursor = Cursor::read(ask.cursor)?;
        let body = object(answer.body)?;
        let mut page = self.0.gather(cursor.seen);
        for photo in needed_list(&body, "photos")? {
            page.take(hit(photo));
        }
        let body = serde_json::Value::Object(body);
        // Whether there is a next page is its word; where that lies is ours, not an address in an answer.
        let next = cursor.next(page.seen(), String::new()).filter(|_| text(&body, "next_page").is_some());
        Ok(page.finish(next, number(&body, "total_results")))
    }
}

fn hit(photo: &serde_json::Value) -> Result<Hit, SkipReason> {
    let sources = photo.get("src").ok_or(SkipReason::NoImage)?;
    let (size, url) = first_image_url(sources, &["original", "large2x", "large"])?;
    let mut hit = Hit::new(url);
    hit.page_url = other_url(photo, "url");
    hit.title = text(photo, "alt");
    hit.creator = text(photo, "photographer");
    hit.license = Some("Pexels License".to_owned());
    hit.license_url = web_url("https://www.pexels.com/license/").ok();
    hit.attribution = attribution(&hit, "via Pexels");
    if size == "original" {
        (hit.width, hit.height) = (side(photo, "width"), side(photo, "height"));
    }
    Ok(hit)
}

#[cfg(test)]
mod tests {
    use super::super::NextStep;
    use super::super::hostile::{account, answer, ask};
    use super::*;

    #[test]
    fn unwanted_words_are_not_sent_and_an_unknown_locale_is_left_out() {
        let request = Pexels(account(MAX_RESULTS)).request(&ask("traurige frau", "de")).unwrap();
        assert_eq!(
            request.loggable_url(),
            "http://127.0.0.1:1/base/v1/search?query=traurige+frau&per_page=80&page=1&locale=de-DE"
        );
        assert_eq!(request.headers[1], ("Authorization", "id:sesame+sesame".to_owned()));
        assert!(!Pexels(account(9)).request(&ask("x", "fa")).unwrap().loggable_url().contains("locale"));
    }

    #[test]
    fn the_next_page_is_counted_never_followed() {
        let body = r#"{"page":1,"per_page":80,"total_results":"8000","next_page":"http://169.254.169.254/","photos":[
            {"id":1,"width":4000,"height":3000,"url":"https://www.pexels.com/photo/1/","photographer":"Ann",
             "src":{"original":"https://images.pexels.com/1.jpeg","large":"https://images.pexels.com/1l.jpeg"},"alt":"Smiling"},
            {"id":2,"width":9,"height":9,"src":{"large":"https://images.pexels.com/2l.jpeg"}}, {"src":"x"}]}"#;
        let page = Pexels(account(MAX_RESULTS)).read(&ask("x", "en"), &answer(200, body)).unwrap();
        assert_eq!((page.next.as_deref(), page.total), (Some("2:3"), Some(8_000)));
        assert_eq!(page.hits[0].attribution.as_deref(), Some("\"Smiling\" by Ann, via Pexels, Pexels License"));
        assert_eq!((page.hits[0].width, page.hits[1].width), (Some(4_000), None));
        let last = body.replace("next_page", "other");
        assert_eq!(Pexels(account(9)).read(&ask("x", "en"), &answer(200, &last)).unwrap().next, None);
        let failure = Pexels(account(9)).read(&ask("x", "en"), &answer(429, "")).unwrap_err();
        assert_eq!(failure.next_step(), NextStep::WaitForQuota { after_ms: Some(7_000) });
    }
}
