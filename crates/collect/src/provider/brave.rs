//! How is Brave's image search asked? 200 results at most, no pages, no licences.

use super::account::Account;
use super::cursor::Cursor;
use super::language::Language;
use super::query::{LineLimits, line_without};
use super::reading::{image_url, needed_list, object, other_url, side, text};
use super::{
    ApiAnswer, ApiRequest, Ask, Hit, Page, ProviderError, ProviderFailure, ProviderLimits, SafeSearch, SearchProvider,
    SkipReason,
};

pub(super) const MAX_RESULTS: u32 = 200;
const LINE: LineLimits = LineLimits { characters: 400, words: 50, as_text: "400 characters or 50 words" };

/// Brave Search API, images.
#[derive(Debug)]
pub(super) struct Brave(pub Account);

impl SearchProvider for Brave {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn limits(&self) -> &ProviderLimits {
        &self.0.limits
    }

    fn request(&self, ask: &Ask<'_>) -> Result<ApiRequest, ProviderError> {
        self.0.no_slices(ask)?;
        if let Some(cursor) = ask.cursor {
            return Err(Cursor::read(Some(cursor))?.foreign());
        }
        let language = Language::parse(ask.language);
        let safe_search = match self.0.safe_search {
            SafeSearch::Off => "off",
            SafeSearch::Moderate | SafeSearch::Strict => "strict",
        };
        let mut request = self
            .0
            .get("/res/v1/images/search")
            .pair("q", &line_without(ask.text, ask.negatives, LINE)?)
            .pair("count", &self.0.page_size(MAX_RESULTS).to_string())
            .maybe_pair("search_lang", language.as_ref().and_then(Language::brave))
            .pair("country", language.as_ref().map_or("ALL", Language::brave_country))
            .pair("safesearch", safe_search)
            // It would search for other words than the ones that are recorded.
            .pair("spellcheck", "false");
        if let Some(key) = &self.0.key {
            request = request.header("X-Subscription-Token", key.expose().to_owned());
        }
        Ok(request)
    }

    fn read(&self, _ask: &Ask<'_>, answer: &ApiAnswer<'_>) -> Result<Page, ProviderFailure> {
        self.0.check(answer)?;
        let body = object(answer.body)?;
        let mut page = self.0.gather(0);
        for result in needed_list(&body, "results")? {
            page.take(hit(result));
        }
        Ok(page.finish(None, None))
    }
}

fn hit(result: &serde_json::Value) -> Result<Hit, SkipReason> {
    let properties = result.get("properties").ok_or(SkipReason::NoImage)?;
    let mut hit = Hit::new(image_url(properties, "url")?);
    hit.page_url = other_url(result, "url");
    hit.title = text(result, "title");
    (hit.width, hit.height) = (side(properties, "width"), side(properties, "height"));
    Ok(hit)
}

#[cfg(test)]
mod tests {
    use super::super::hostile::{account, answer, ask};
    use super::*;

    #[test]
    fn a_request_has_everything_in_braves_own_spelling() {
        let request = Brave(account(MAX_RESULTS)).request(&ask("frau ängstlich", "pt-PT")).unwrap();
        assert_eq!(
            request.loggable_url(),
            "http://127.0.0.1:1/base/res/v1/images/search?q=frau+%C3%A4ngstlich+-cartoon+-%22clip+art%22&count=200\
             &search_lang=pt-pt&country=PT&safesearch=strict&spellcheck=false"
        );
        assert_eq!(request.headers[1], ("X-Subscription-Token", "id:sesame+sesame".to_owned()));
        let words = "word ".repeat(50);
        let full = Brave(account(MAX_RESULTS)).request(&ask(&words, "fa")).unwrap();
        assert!(!full.loggable_url().contains("cartoon") && !full.loggable_url().contains("search_lang"));
        assert!(Brave(account(MAX_RESULTS)).request(&ask(&words.repeat(2), "en")).is_err());
    }

    #[test]
    fn one_malformed_result_never_loses_the_page() {
        let body = r#"{"type":"images","results":[
            {"title":"A <woman>\u0000 smiling","url":"https://p.org/1","properties":{"url":"https://i.org/1.jpg","width":"640","height":480}},
            {"title":"no image","url":"https://p.org/2"}, 7,
            {"url":"ftp://p.org","properties":{"url":"//i.org/3.jpg","width":5}},
            {"properties":{"url":"data:image/gif;base64,AA"}}]}"#;
        let page = Brave(account(5)).read(&ask("x", "en"), &answer(200, body)).unwrap();
        assert_eq!(page.hits.len(), 2);
        assert_eq!((page.hits[0].width, page.hits[0].height), (Some(640), Some(480)));
        assert_eq!(page.hits[0].title.as_deref(), Some("A <woman> smiling"));
        assert_eq!((page.hits[1].rank, page.hits[1].width, &page.hits[1].page_url), (4, Some(5), &None));
        let counts: Vec<_> = page.skipped.into_iter().collect();
        assert_eq!(counts, [(SkipReason::NoImage, 2), (SkipReason::ForbiddenScheme, 1)]);
        assert_eq!(page.next, None);
    }

    #[test]
    fn a_bad_key_comes_as_422() {
        let body = r#"{"type":"ErrorResponse","error":{"code":"SUBSCRIPTION_TOKEN_INVALID","detail":"The provided subscription token is invalid."}}"#;
        let failure = Brave(account(9)).read(&ask("x", "en"), &answer(422, body)).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "refused (HTTP 422: The provided subscription token is invalid.); is AFFECTORY_TEST_KEY set to a valid key?"
        );
    }
}
