//! How is Wikimedia Commons asked? Errors come with HTTP 200, metadata as HTML, and pages by `continue`.

use serde_json::{Map, Value};
use url::form_urlencoded;

use super::account::{Account, speaks_of_quota};
use super::cursor::Cursor;
use super::html::plain_text;
use super::page::attribution;
use super::query::{LineLimits, line_without};
use super::reading::{MAX_TEXT, image_url, list, number, object, other_url, side, web_url};
use super::{
    ApiAnswer, ApiRequest, Ask, Hit, Page, ProviderError, ProviderFailure, ProviderLimits, SearchProvider, SkipReason,
};

/// As far as its search goes.
pub(super) const MAX_RESULTS: u32 = 10_000;
const PAGE_SIZE: u32 = 50;
const FILTER: &str = "filetype:bitmap ";
// 300 with the filter.
const LINE: LineLimits = LineLimits { characters: 284, words: 284, as_text: "284 characters" };

/// Wikimedia Commons. No key; who asks must say so in the User-Agent.
#[derive(Debug)]
pub(super) struct Commons(pub Account);

impl SearchProvider for Commons {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn limits(&self) -> &ProviderLimits {
        &self.0.limits
    }

    fn request(&self, ask: &Ask<'_>) -> Result<ApiRequest, ProviderError> {
        self.0.no_slices(ask)?;
        let cursor = Cursor::read(ask.cursor)?;
        let continuation = continuation(&cursor).ok_or_else(|| cursor.foreign())?;
        let mut request = self
            .0
            .get("/w/api.php")
            .pair("action", "query")
            .pair("format", "json")
            .pair("formatversion", "2")
            .pair("generator", "search")
            .pair("gsrnamespace", "6")
            .pair("gsrsearch", &format!("{FILTER}{}", line_without(ask.text, ask.negatives, LINE)?))
            .pair("gsrlimit", &self.0.page_size(PAGE_SIZE).to_string())
            .pair("prop", "imageinfo")
            .pair("iiprop", "url|size|mime|user|extmetadata")
            .pair("maxlag", "5");
        for (name, value) in &continuation {
            request = request.pair(name, value);
        }
        Ok(request)
    }

    fn read(&self, ask: &Ask<'_>, answer: &ApiAnswer<'_>) -> Result<Page, ProviderFailure> {
        if answer.status == 403 {
            let words = "HTTP 403: Wikimedia wants a User-Agent with a contact, see `contact` in collect.toml";
            return Err(self.0.key_refused(words));
        }
        self.0.check(answer)?;
        let body = object(answer.body)?;
        if let Some(error) = body.get("error") {
            return Err(self.failure(answer, error));
        }
        let cursor = Cursor::read(ask.cursor)?;
        let mut page = self.0.gather(cursor.seen);
        for result in in_order(&body)? {
            page.take(hit(result));
        }
        let next = continue_of(&body).and_then(|rest| cursor.next(page.seen(), rest));
        // The same place again would go on for ever.
        Ok(page.finish(next.filter(|next| next.rest != cursor.rest), None))
    }
}

impl Commons {
    fn failure(&self, answer: &ApiAnswer<'_>, error: &Value) -> ProviderFailure {
        let part = |name| error.get(name).and_then(Value::as_str).unwrap_or_default();
        let (code, words) = (part("code"), format!("{}: {}", part("code"), part("info")));
        match code {
            // It names the wait in a header; without one five seconds are its advice.
            "maxlag" => {
                self.0.busy(&ApiAnswer { retry_after_ms: answer.retry_after_ms.or(Some(5_000)), ..*answer }, &words)
            }
            "ratelimited" => self.0.quota_spent(answer, &words),
            "readonly" | "cirrussearch-backend-error" | "cirrussearch-too-busy-error" | "search-error" => {
                self.0.busy(answer, &words)
            }
            "blocked" | "autoblocked" | "readapidenied" => self.0.key_refused(&words),
            _ if code.starts_with("internal_api_error") => self.0.busy(answer, &words),
            _ if speaks_of_quota(&words) => self.0.quota_spent(answer, &words),
            _ => self.0.refused(&words),
        }
    }
}

/// The results, which come in the order of their page numbers, in the order of the search.
fn in_order(body: &Map<String, Value>) -> Result<Vec<&Value>, ProviderFailure> {
    let pages = match body.get("query") {
        // No hits, no `query`.
        None | Some(Value::Null) => None,
        Some(Value::Object(query)) => list(query, "pages")?,
        Some(_) => return Err(ProviderFailure::Malformed { what: "`query` is no object".into() }),
    };
    let mut pages: Vec<&Value> = pages.unwrap_or_default().iter().collect();
    pages.sort_by_key(|page| number(page, "index").unwrap_or(u64::MAX));
    Ok(pages)
}

/// `continue`, verbatim, in the form of a query string.
fn continue_of(body: &Map<String, Value>) -> Option<String> {
    let mut out = form_urlencoded::Serializer::new(String::new());
    let pairs = body.get("continue")?.as_object().filter(|pairs| !pairs.is_empty())?;
    for (name, value) in pairs {
        match value {
            Value::String(text) => out.append_pair(name, text),
            Value::Number(number) => out.append_pair(name, &number.to_string()),
            _ => return None,
        };
    }
    Some(out.finish())
}

/// The pairs of a cursor, if they are such as `continue` has: a stranger wrote them, and they become parameters.
fn continuation(cursor: &Cursor) -> Option<Vec<(String, String)>> {
    let pairs: Vec<_> = form_urlencoded::parse(cursor.rest.as_bytes()).into_owned().collect();
    let sound = |name: &str| {
        name == "continue"
            || (name.starts_with("gsr") && name.ends_with("offset"))
            || matches!(name, "iistart" | "iicontinue")
    };
    (pairs.len() <= 8 && pairs.iter().all(|(name, _)| sound(name))).then_some(pairs)
}

fn hit(result: &Value) -> Result<Hit, SkipReason> {
    if !result.is_object() {
        return Err(SkipReason::NotAResult);
    }
    let info = result.get("imageinfo").and_then(|list| list.get(0)).ok_or(SkipReason::NoImage)?;
    let metadata = |name: &str| {
        let value = info.get("extmetadata")?.get(name)?.get("value")?;
        plain_text(value.as_str()?, MAX_TEXT)
    };
    let mut hit = Hit::new(image_url(info, "url")?);
    hit.page_url = other_url(info, "descriptionurl");
    hit.title = result.get("title").and_then(Value::as_str).and_then(|title| {
        let name = title.strip_prefix("File:").unwrap_or(title);
        plain_text(name.rsplit_once('.').map_or(name, |(stem, _)| stem), MAX_TEXT)
    });
    hit.license = metadata("LicenseShortName").or_else(|| metadata("License"));
    hit.license_url = metadata("LicenseUrl").and_then(|address| web_url(&address).ok());
    hit.creator = metadata("Artist").or_else(|| plain_text(info.get("user")?.as_str()?, MAX_TEXT));
    hit.attribution = metadata("Attribution").or_else(|| attribution(&hit, "via Wikimedia Commons"));
    (hit.width, hit.height) = (side(info, "width"), side(info, "height"));
    Ok(hit)
}

#[cfg(test)]
mod tests {
    use super::super::NextStep;
    use super::super::hostile::{account, answer, ask};
    use super::*;

    const BODY: &str = r#"{"continue":{"gsroffset":50,"continue":"gsroffset||"},"query":{"pages":[
        {"pageid":9,"title":"File:B.png","index":2,"imageinfo":[{"url":"https://upload.org/B.png","user":"Bob"}]},
        {"pageid":1,"title":"File:Sad man.jpg","index":1,"imageinfo":[{"url":"https://upload.org/A.jpg",
         "descriptionurl":"https://commons.org/A","width":800,"height":600,"user":"Up",
         "extmetadata":{"LicenseShortName":{"value":"CC BY-SA 4.0"},"LicenseUrl":{"value":"https://creativecommons.org/licenses/by-sa/4.0"},
          "Artist":{"value":"<a href=\"//commons.org/wiki/User:J\" title=\"x\">J&ouml;rg</a>"}}}]},
        {"pageid":3,"title":"File:C.jpg","index":3}]}}"#;

    #[test]
    fn continue_is_followed_verbatim_and_a_forged_one_is_refused() {
        let commons = Commons(account(MAX_RESULTS));
        let first = ask("sad man", "en");
        let next = commons.read(&first, &answer(200, BODY)).unwrap().next.unwrap();
        assert_eq!(
            commons.request(&Ask { cursor: Some(&next), ..first }).unwrap().loggable_url(),
            "http://127.0.0.1:1/base/w/api.php?action=query&format=json&formatversion=2&generator=search&gsrnamespace=6\
             &gsrsearch=filetype%3Abitmap+sad+man+-cartoon+-%22clip+art%22&gsrlimit=50&prop=imageinfo\
             &iiprop=url%7Csize%7Cmime%7Cuser%7Cextmetadata&maxlag=5&gsroffset=50&continue=gsroffset%7C%7C"
        );
        let again = Ask { cursor: Some(&next), ..first };
        assert_eq!(commons.read(&again, &answer(200, BODY)).unwrap().next, None, "the same place again is the end");
        let forged = Ask { cursor: Some("2:50:action=delete"), ..first };
        assert!(matches!(commons.request(&forged), Err(ProviderError::BadCursor(_))));
    }

    #[test]
    fn metadata_is_plain_text_in_the_order_of_the_search() {
        let page = Commons(account(MAX_RESULTS)).read(&ask("x", "en"), &answer(200, BODY)).unwrap();
        let hit = &page.hits[0];
        assert_eq!((hit.rank, hit.creator.as_deref(), hit.title.as_deref()), (1, Some("Jörg"), Some("Sad man")));
        assert_eq!(hit.attribution.as_deref(), Some("\"Sad man\" by Jörg, via Wikimedia Commons, CC BY-SA 4.0"));
        assert_eq!((page.hits[1].creator.as_deref(), page.skipped[&SkipReason::NoImage]), (Some("Bob"), 1));
    }

    #[test]
    fn no_query_is_no_hits_and_an_error_with_http_200_is_an_error() {
        let commons = Commons(account(MAX_RESULTS));
        let read = |body: &str| commons.read(&ask("x", "en"), &answer(200, body));
        assert_eq!(read(r#"{"batchcomplete":true}"#), Ok(Page::default()));
        let step =
            |code: &str| read(&format!(r#"{{"error":{{"code":"{code}","info":"x"}}}}"#)).unwrap_err().next_step();
        assert_eq!(step("maxlag"), NextStep::Retry { after_ms: Some(5_000) });
        assert_eq!(step("ratelimited"), NextStep::WaitForQuota { after_ms: None });
        assert_eq!(step("gsrsearch-invalid"), NextStep::SkipQuery);
        assert!(matches!(read(r#"{"query":{"pages":{}}}"#), Err(ProviderFailure::Malformed { .. })));
    }
}
