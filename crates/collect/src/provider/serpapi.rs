//! How is SerpApi asked for the images of Google, Bing or Yahoo? Each engine has its own names for the same things.

use serde_json::Value;

use super::account::{Account, speaks_of_key, speaks_of_quota};
use super::cursor::Cursor;
use super::language::Language;
use super::query::{LineLimits, line_without};
use super::reading::{image_url, list, object, other_url, side, text};
use super::{
    ApiAnswer, ApiRequest, Ask, Hit, License, Page, ProviderError, ProviderFailure, ProviderLimits, SafeSearch,
    SearchProvider, SkipReason,
};

pub(super) const MAX_RESULTS: u32 = 1_000;
// Google ignores what comes after 32 words.
const LINE: LineLimits = LineLimits { characters: 1_000, words: 32, as_text: "1,000 characters or 32 words" };

/// Which search engine SerpApi asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Google,
    Bing,
    Yahoo,
}

impl Engine {
    pub const ALL: [Engine; 3] = [Engine::Google, Engine::Bing, Engine::Yahoo];

    pub const fn as_str(self) -> &'static str {
        match self {
            Engine::Google => "google_images",
            Engine::Bing => "bing_images",
            Engine::Yahoo => "yahoo_images",
        }
    }
}

/// One engine through SerpApi.
#[derive(Debug)]
pub(super) struct SerpApi {
    pub account: Account,
    pub engine: Engine,
}

impl SearchProvider for SerpApi {
    fn name(&self) -> &str {
        &self.account.name
    }

    fn limits(&self) -> &ProviderLimits {
        &self.account.limits
    }

    fn request(&self, ask: &Ask<'_>) -> Result<ApiRequest, ProviderError> {
        self.account.no_slices(ask)?;
        let cursor = Cursor::read(ask.cursor)?.plain()?;
        let line = line_without(ask.text, ask.negatives, LINE)?;
        let language = Language::parse(ask.language);
        let language = language.as_ref();
        let request = self.account.get("/search.json").pair("engine", self.engine.as_str());
        let offset = (cursor.seen + 1).to_string();
        let request = match self.engine {
            Engine::Google => request
                .pair("q", &line)
                .maybe_pair("hl", language.map(Language::google_interface).as_deref())
                .maybe_pair("gl", language.and_then(Language::google_country).as_deref())
                .pair("ijn", &(cursor.page - 1).to_string())
                .pair("safe", if self.account.safe_search == SafeSearch::Off { "off" } else { "active" })
                .pair("tbs", "itp:face")
                .maybe_pair("licenses", google_licenses(&self.account.licenses)),
            // These two count results, not pages.
            Engine::Bing => request
                .pair("q", &line)
                .maybe_pair("mkt", language.and_then(Language::bing_market).as_deref())
                .pair("first", &offset)
                .pair("count", &self.account.page_size(100).to_string()),
            Engine::Yahoo => request.pair("p", &line).pair("b", &offset),
        };
        Ok(request.secret_pair("api_key", self.account.key.as_ref()))
    }

    fn read(&self, ask: &Ask<'_>, answer: &ApiAnswer<'_>) -> Result<Page, ProviderFailure> {
        self.account.check(answer)?;
        let cursor = Cursor::read(ask.cursor)?;
        let body = object(answer.body)?;
        let results = list(&body, "images_results")?;
        let pagination = body.get("serpapi_pagination");
        // Where it tells of pages at all, it tells of the next one; else the end is a page without results.
        let goes_on = pagination.is_none_or(|pagination| pagination.get("next").is_some());
        let filter = google_licenses(&self.account.licenses).filter(|_| self.engine == Engine::Google);
        let mut page = self.account.gather_unlicensed(cursor.seen, filter.map(|filter| format!("licenses={filter}")));
        for result in results.unwrap_or_default() {
            page.take(hit(result));
        }
        let reason = if results.is_none() { self.reason(answer, &Value::Object(body))? } else { None };
        let next = cursor.next(page.seen(), String::new()).filter(|_| goes_on);
        let mut page = page.finish(next, None);
        page.partial.extend(reason);
        for hit in &mut page.hits {
            hit.engine = Some(self.engine.as_str().to_owned());
        }
        Ok(page)
    }
}

impl SerpApi {
    /// Why there are no results: `Ok` if the engine simply found none, with its words where they leave a doubt.
    fn reason(&self, answer: &ApiAnswer<'_>, body: &Value) -> Result<Option<String>, ProviderFailure> {
        let status = body.get("search_metadata").and_then(|metadata| text(metadata, "status"));
        let words = text(body, "error");
        match (words, status.as_deref()) {
            (Some(words), _) if words.contains("any results") || words.contains("no results") => Ok(None),
            (Some(words), _) if speaks_of_quota(&words) => Err(self.account.quota_spent(answer, &words)),
            (Some(words), _) if speaks_of_key(&words) => Err(self.account.key_refused(&words)),
            (Some(words), Some("Success")) => Ok(Some(self.account.shown(&words))),
            (Some(words), _) => Err(self.account.busy(answer, &words)),
            (None, Some("Success")) => Ok(None),
            (None, Some(status)) => Err(self.account.busy(answer, &format!("the search is {status}"))),
            (None, None) => Err(ProviderFailure::Malformed { what: "no `images_results` and no `error`".into() }),
        }
    }
}

/// Google's filter that lets through no more than these licences allow, as near as it comes.
fn google_licenses(licenses: &[License]) -> Option<&'static str> {
    let all = |allows: fn(License) -> bool| licenses.iter().all(|license| allows(*license));
    match (licenses.is_empty(), all(License::may_sell), all(License::may_change)) {
        (true, ..) => None,
        (false, true, true) => Some("fmc"),
        (false, true, false) => Some("fc"),
        (false, false, true) => Some("fm"),
        (false, false, false) => Some("f"),
    }
}

fn hit(result: &Value) -> Result<Hit, SkipReason> {
    if !result.is_object() {
        return Err(SkipReason::NotAResult);
    }
    let mut hit = Hit::new(image_url(result, "original")?);
    hit.page_url = other_url(result, "link");
    hit.title = text(result, "title");
    (hit.width, hit.height) = (side(result, "original_width"), side(result, "original_height"));
    Ok(hit)
}

#[cfg(test)]
mod tests {
    use super::super::NextStep;
    use super::super::hostile::{account, answer, ask};
    use super::*;

    fn serpapi(engine: Engine) -> SerpApi {
        SerpApi { account: account(MAX_RESULTS), engine }
    }

    #[test]
    fn each_engine_is_asked_with_its_own_parameters() {
        let url = |engine, cursor| {
            let second = Ask { cursor, ..ask("angry man", "de-AT") };
            serpapi(engine).request(&second).unwrap().loggable_url().replace("http://127.0.0.1:1/base/search.json?", "")
        };
        assert_eq!(
            url(Engine::Google, Some("2:97")),
            "engine=google_images&q=angry+man+-cartoon+-%22clip+art%22&hl=de&gl=at&ijn=1&safe=active&tbs=itp%3Aface&api_key=***"
        );
        assert_eq!(
            url(Engine::Bing, Some("2:97")),
            "engine=bing_images&q=angry+man+-cartoon+-%22clip+art%22&mkt=de-AT&first=98&count=100&api_key=***"
        );
        assert_eq!(
            url(Engine::Yahoo, None),
            "engine=yahoo_images&p=angry+man+-cartoon+-%22clip+art%22&b=1&api_key=***"
        );
        assert_eq!(google_licenses(&[License::By, License::Cc0]), Some("fmc"));
        assert_eq!(google_licenses(&[License::By, License::ByNcNd]), Some("f"));
    }

    #[test]
    fn pages_go_on_until_one_is_empty() {
        let body = r#"{"search_metadata":{"status":"Success"},"images_results":[
            {"position":1,"title":"T","link":"https://p.org","original":"https://i.org/1.jpg","original_width":"800","original_height":null},
            {"position":2,"original":"x-raw-image:///ab"}]}"#;
        let google = serpapi(Engine::Google);
        let page = google.read(&ask("x", "en"), &answer(200, body)).unwrap();
        assert_eq!((page.hits[0].width, page.hits[0].height), (Some(800), None));
        assert_eq!((page.next.as_deref(), page.skipped[&SkipReason::ForbiddenScheme]), (Some("2:2"), 1));
        let end =
            r#"{"search_metadata":{"status":"Success"},"error":"Google hasn't returned any results for this query."}"#;
        assert_eq!(google.read(&ask("x", "en"), &answer(200, end)), Ok(Page::default()));
    }

    #[test]
    fn the_bodys_words_tell_quota_key_and_trouble_apart() {
        let step = |status, error: &str| {
            let body = format!(r#"{{"search_metadata":{{"status":"Error"}},"error":"{error}"}}"#);
            serpapi(Engine::Google).read(&ask("x", "en"), &answer(status, &body)).unwrap_err().next_step()
        };
        assert_eq!(
            step(429, "Your account has run out of searches."),
            NextStep::WaitForQuota { after_ms: Some(7_000) }
        );
        assert_eq!(step(200, "Your account has run out of searches."), NextStep::WaitForQuota { after_ms: None });
        assert_eq!(step(401, "Invalid API key."), NextStep::StopProvider);
        assert_eq!(step(200, "We couldn't get valid results."), NextStep::Retry { after_ms: None });
        assert_eq!(step(400, "Missing query `q` parameter."), NextStep::SkipQuery);
    }
}
