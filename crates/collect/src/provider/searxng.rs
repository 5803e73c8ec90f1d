//! How is a SearXNG instance of one's own asked? The way to Google's, Bing's and Yahoo's images.

use serde_json::Value;

use super::account::Account;
use super::cursor::Cursor;
use super::language::Language;
use super::query::{LineLimits, line_without};
use super::reading::{clean, image_url, list, needed_list, number, object, other_url, sides, text};
use super::{
    ApiAnswer, ApiRequest, Ask, Hit, Page, ProviderError, ProviderFailure, ProviderLimits, SafeSearch, SearchProvider,
    SkipReason,
};

pub(super) const MAX_RESULTS: u32 = 1_000;
// The engines behind it read no more words.
const LINE: LineLimits = LineLimits { characters: 1_000, words: 32, as_text: "1,000 characters or 32 words" };

/// A SearXNG instance.
#[derive(Debug)]
pub(super) struct Searxng {
    pub account: Account,
    /// Engines by SearXNG's names, such as `bing images`; the instance's choice if empty.
    pub engines: Vec<String>,
    /// Pages of one query: an instance cannot say where the end is.
    pub max_pages: u32,
}

impl SearchProvider for Searxng {
    fn name(&self) -> &str {
        &self.account.name
    }

    fn limits(&self) -> &ProviderLimits {
        &self.account.limits
    }

    fn request(&self, ask: &Ask<'_>) -> Result<ApiRequest, ProviderError> {
        self.account.no_slices(ask)?;
        let cursor = Cursor::read(ask.cursor)?.plain()?;
        let safe_search = match self.account.safe_search {
            SafeSearch::Off => "0",
            SafeSearch::Moderate => "1",
            SafeSearch::Strict => "2",
        };
        let language = Language::parse(ask.language).map_or_else(|| "all".to_owned(), |language| language.searxng());
        let mut request = self
            .account
            .get("/search")
            .pair("q", &line_without(&without_commands(ask.text), ask.negatives, LINE)?)
            .pair("categories", "images")
            .pair("language", &language)
            .pair("pageno", &cursor.page.to_string())
            .pair("safesearch", safe_search)
            .pair("format", "json")
            .maybe_pair("engines", Some(self.engines.join(",")).filter(|list| !list.is_empty()).as_deref());
        if let Some(key) = &self.account.key {
            request = request.header("Authorization", format!("Bearer {}", key.expose()));
        }
        Ok(request)
    }

    fn read(&self, ask: &Ask<'_>, answer: &ApiAnswer<'_>) -> Result<Page, ProviderFailure> {
        if answer.status == 403 {
            let words = "HTTP 403: list `json` under search.formats in the instance's settings.yml";
            return Err(self.account.key_refused(words));
        }
        self.account.check(answer)?;
        let cursor = Cursor::read(ask.cursor)?;
        let body = object(answer.body)?;
        let results = needed_list(&body, "results")?;
        let silent: Vec<String> =
            list(&body, "unresponsive_engines")?.unwrap_or_default().iter().filter_map(silent).collect();
        if results.is_empty() && !silent.is_empty() && (self.engines.is_empty() || silent.len() >= self.engines.len()) {
            // Nobody answered, which says nothing about the query.
            return Err(self.account.busy(answer, &format!("no engine answered: {}", silent.join(", "))));
        }
        let mut page = self.account.gather(cursor.seen);
        for result in results {
            page.take(hit(result));
        }
        let next = cursor.next(page.seen(), String::new()).filter(|next| next.page <= self.max_pages);
        let total = number(&Value::Object(body), "number_of_results").filter(|total| *total > 0);
        let mut page = page.finish(next, total);
        page.partial = silent;
        Ok(page)
    }
}

/// `["google images","timeout"]` as one line.
fn silent(engine: &Value) -> Option<String> {
    let parts: Vec<&str> = match engine {
        Value::String(name) => vec![name],
        Value::Array(parts) => parts.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    clean(&parts.join(": "), 100)
}

/// SearXNG takes words that begin so for commands: another engine, language, time-out or site.
fn without_commands(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().map(|word| word.trim_start_matches(['!', ':', '?', '<'])).collect();
    words.join(" ")
}

fn hit(result: &Value) -> Result<Hit, SkipReason> {
    if !result.is_object() {
        return Err(SkipReason::NotAResult);
    }
    let mut hit = Hit::new(image_url(result, "img_src")?);
    hit.page_url = other_url(result, "url");
    hit.title = text(result, "title");
    hit.engine = text(result, "engine").or_else(|| clean(result.get("engines")?.get(0)?.as_str()?, 100));
    if let Some((width, height)) = result.get("resolution").and_then(Value::as_str).and_then(sides) {
        (hit.width, hit.height) = (Some(width), Some(height));
    }
    Ok(hit)
}

#[cfg(test)]
mod tests {
    use super::super::NextStep;
    use super::super::hostile::{account, answer, ask};
    use super::*;

    fn searxng() -> Searxng {
        let engines = vec!["google images".to_owned(), "bing images".to_owned()];
        Searxng { account: Account { safe_search: SafeSearch::Strict, ..account(100) }, engines, max_pages: 2 }
    }

    #[test]
    fn a_request_names_engines_and_words_are_never_commands() {
        let request = searxng().request(&ask("!!g :de boy happy", "pt-br")).unwrap();
        assert_eq!(
            request.loggable_url(),
            "http://127.0.0.1:1/base/search?q=g+de+boy+happy+-cartoon+-%22clip+art%22&categories=images&language=pt-BR\
             &pageno=1&safesearch=2&format=json&engines=google+images%2Cbing+images"
        );
        assert!(searxng().request(&ask("x", "nonsense")).unwrap().loggable_url().contains("language=all"));
    }

    #[test]
    fn silent_engines_are_part_of_the_answer_and_pages_end_at_the_limit() {
        let body = r#"{"query":"x","results":[
            {"url":"https://p.org","title":"T","img_src":"//i.org/a.jpg","resolution":"1920 x 1080","engine":"bing images","engines":["bing images"]},
            {"img_src":"https://i.org/b.jpg","resolution":"","engines":["bing images"]},
            {"img_src":"https://i.org/c.jpg","resolution":"640x480"},
            {"url":"https://p.org/d","thumbnail_src":"https://i.org/t.jpg","img_src":""}],
            "unresponsive_engines":[["google images","timeout"]]}"#;
        let page = searxng().read(&ask("x", "en"), &answer(200, body)).unwrap();
        assert_eq!(page.partial, ["google images: timeout"]);
        let sizes: Vec<_> = page.hits.iter().map(|hit| (hit.width, hit.height)).collect();
        assert_eq!(sizes, [(Some(1920), Some(1080)), (None, None), (Some(640), Some(480))]);
        assert_eq!(page.hits[1].engine.as_deref(), Some("bing images"));
        let second = Ask { cursor: page.next.as_deref(), ..ask("x", "en") };
        assert!(searxng().request(&second).unwrap().loggable_url().contains("pageno=2"));
        let page = searxng().read(&second, &answer(200, body)).unwrap();
        assert_eq!((page.hits[0].rank, page.next), (5, None));
    }

    #[test]
    fn silence_of_all_is_busy_and_403_names_the_setting() {
        let body = r#"{"results":[],"unresponsive_engines":[["google images","CAPTCHA"],["bing images","timeout"]]}"#;
        let failure = searxng().read(&ask("x", "en"), &answer(200, body)).unwrap_err();
        assert_eq!(failure.to_string(), "busy (no engine answered: google images: CAPTCHA, bing images: timeout)");
        let none = searxng().read(&ask("x", "en"), &answer(200, r#"{"results":[]}"#));
        assert_eq!(none, Ok(Page::default()));
        let failure = searxng().read(&ask("x", "en"), &answer(403, "<h1>Forbidden</h1>")).unwrap_err();
        assert!(failure.to_string().contains("search.formats") && failure.next_step() == NextStep::StopProvider);
    }
}
