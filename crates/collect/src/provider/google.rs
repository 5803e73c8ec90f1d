//! How is Google's Programmable Search asked? For those who still have it: it is closed to others and ends 2027-01-01.

use serde_json::Value;

use super::account::{Account, speaks_of_quota};
use super::cursor::Cursor;
use super::language::Language;
use super::license::License;
use super::query::{LineLimits, line, terms};
use super::reading::{image_url, list, number, object, other_url, side, text};
use super::{
    ApiAnswer, ApiRequest, Ask, Hit, Page, ProviderError, ProviderFailure, ProviderLimits, SafeSearch, SearchProvider,
    SkipReason,
};

/// `start` and `num` together are at most 100, and `start` counts from 1.
pub(super) const MAX_RESULTS: u32 = 99;
const PAGE_SIZE: u32 = 10;
const LINE: LineLimits = LineLimits { characters: 1_000, words: 32, as_text: "1,000 characters or 32 words" };

/// Google's Programmable Search, images.
#[derive(Debug)]
pub(super) struct Google {
    pub account: Account,
    /// `cx`: which of the user's search engines.
    pub engine_id: String,
}

impl SearchProvider for Google {
    fn name(&self) -> &str {
        &self.account.name
    }

    fn limits(&self) -> &ProviderLimits {
        &self.account.limits
    }

    fn request(&self, ask: &Ask<'_>) -> Result<ApiRequest, ProviderError> {
        self.account.no_slices(ask)?;
        let cursor = Cursor::read(ask.cursor)?.plain()?;
        let start = 1 + (cursor.page - 1) * PAGE_SIZE;
        if start > MAX_RESULTS {
            return Err(cursor.foreign());
        }
        let unwanted: Vec<String> = terms(ask.negatives).collect();
        let language = Language::parse(ask.language);
        Ok(self
            .account
            .get("/customsearch/v1")
            .secret_pair("key", self.account.key.as_ref())
            .pair("cx", &self.engine_id)
            .pair("q", &line(ask.text, LINE)?)
            .maybe_pair("excludeTerms", Some(unwanted.join(" ")).filter(|list| !list.is_empty()).as_deref())
            .pair("searchType", "image")
            .pair("imgType", "face")
            .maybe_pair("lr", language.as_ref().and_then(Language::google_restriction).as_deref())
            .maybe_pair("rights", rights(&self.account.licenses).as_deref())
            .pair("safe", if self.account.safe_search == SafeSearch::Off { "off" } else { "active" })
            .pair("num", &self.account.page_size(PAGE_SIZE.min(100 - start)).to_string())
            .pair("start", &start.to_string()))
    }

    fn read(&self, ask: &Ask<'_>, answer: &ApiAnswer<'_>) -> Result<Page, ProviderFailure> {
        self.check(answer)?;
        let cursor = Cursor::read(ask.cursor)?;
        let body = object(answer.body)?;
        let mut page = self
            .account
            .gather_unlicensed(cursor.seen, rights(&self.account.licenses).map(|rights| format!("rights={rights}")));
        // No hits, no `items`.
        for item in list(&body, "items")?.unwrap_or_default() {
            page.take(hit(item));
        }
        let has_next = body.get("queries").and_then(|queries| queries.get("nextPage")?.get(0)).is_some();
        let next = cursor
            .next(page.seen(), String::new())
            .filter(|next| has_next && (next.page - 1) * PAGE_SIZE < MAX_RESULTS);
        let total = body.get("searchInformation").and_then(|information| number(information, "totalResults"));
        Ok(page.finish(next, total))
    }
}

impl Google {
    /// Google says in words what the status leaves open.
    fn check(&self, answer: &ApiAnswer<'_>) -> Result<(), ProviderFailure> {
        let reasons = String::from_utf8_lossy(answer.body);
        if answer.status == 403 && speaks_of_quota(&reasons) {
            return Err(self.account.quota_spent(answer, "HTTP 403: the day's requests are spent"));
        }
        self.account.check(answer)
    }
}

/// Google's filter that lets through no more than these licences allow, as near as it comes.
fn rights(licenses: &[License]) -> Option<String> {
    if licenses.is_empty() {
        return None;
    }
    let any = |wanted: fn(License) -> bool| licenses.iter().any(|license| wanted(*license));
    let mut allowed = Vec::new();
    if any(|license| matches!(license, License::Cc0 | License::PublicDomain)) {
        allowed.push("cc_publicdomain");
    }
    if any(|license| !matches!(license, License::Cc0 | License::PublicDomain)) {
        allowed.push("cc_attribute");
    }
    if any(|license| matches!(license, License::BySa | License::ByNcSa)) {
        allowed.push("cc_sharealike");
    }
    let mut refused = Vec::new();
    for (name, is_asked) in [
        ("cc_noncommercial", any(|license| !license.may_sell())),
        ("cc_nonderived", any(|license| !license.may_change())),
    ] {
        if is_asked {
            allowed.push(name);
        } else {
            refused.push(name);
        }
    }
    let but = if refused.is_empty() { String::new() } else { format!(".-({})", refused.join("|")) };
    Some(format!("({}){but}", allowed.join("|")))
}

fn hit(item: &Value) -> Result<Hit, SkipReason> {
    if !item.is_object() {
        return Err(SkipReason::NotAResult);
    }
    let mut hit = Hit::new(image_url(item, "link")?);
    hit.title = text(item, "title");
    if let Some(image) = item.get("image") {
        hit.page_url = other_url(image, "contextLink");
        (hit.width, hit.height) = (side(image, "width"), side(image, "height"));
    }
    Ok(hit)
}

#[cfg(test)]
mod tests {
    use super::super::NextStep;
    use super::super::hostile::{account, answer, ask};
    use super::*;

    fn google() -> Google {
        Google { account: account(MAX_RESULTS), engine_id: "0a:b".to_owned() }
    }

    #[test]
    fn the_last_page_keeps_start_and_num_within_a_hundred() {
        assert_eq!(
            google().request(&Ask { cursor: Some("10:90"), ..ask("shocked", "ar") }).unwrap().loggable_url(),
            "http://127.0.0.1:1/base/customsearch/v1?key=***&cx=0a%3Ab&q=shocked&excludeTerms=cartoon+%22clip+art%22\
             &searchType=image&imgType=face&lr=lang_ar&safe=active&num=9&start=91"
        );
        assert!(google().request(&Ask { cursor: Some("11:100"), ..ask("shocked", "ar") }).is_err());
        assert_eq!(
            rights(&[License::By, License::BySa]).as_deref(),
            Some("(cc_attribute|cc_sharealike).-(cc_noncommercial|cc_nonderived)")
        );
    }

    #[test]
    fn a_next_page_is_asked_for_until_google_names_none() {
        let body = r#"{"searchInformation":{"totalResults":"123"},"queries":{"nextPage":[{"startIndex":11}]},"items":[
            {"link":"https://i.org/1.jpg","mime":"image/jpeg","image":{"contextLink":"https://p.org/","width":300,"height":"200"}},
            {"link":"https://i.org/2.jpg"}, null]}"#;
        let page = google().read(&ask("x", "en"), &answer(200, body)).unwrap();
        assert_eq!((page.hits.len(), page.total, page.next.as_deref()), (2, Some(123), Some("2:3")));
        assert_eq!((page.hits[0].height, page.skipped[&SkipReason::NotAResult]), (Some(200), 1));
        let last = body.replace("nextPage", "previousPage");
        assert_eq!(google().read(&ask("x", "en"), &answer(200, &last)).unwrap().next, None);
        // No result states its licence; that Google was asked to filter stays with each of them.
        assert_eq!(page.hits[0].license, None);
        let filtered = Google { account: Account { licenses: vec![License::Cc0], ..account(9) }, ..google() };
        let page = filtered.read(&ask("x", "en"), &answer(200, body)).unwrap();
        let license = page.hits[0].license.as_deref();
        assert_eq!(license, Some("Google's filter rights=(cc_publicdomain).-(cc_noncommercial|cc_nonderived)"));
    }

    #[test]
    fn quota_and_key_are_told_apart() {
        let step = |status, body| google().read(&ask("x", "en"), &answer(status, body)).unwrap_err().next_step();
        let quota = r#"{"error":{"code":403,"message":"Daily Limit","errors":[{"reason":"dailyLimitExceeded"}]}}"#;
        assert_eq!(step(403, quota), NextStep::WaitForQuota { after_ms: Some(7_000) });
        let key = r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key."}}"#;
        assert_eq!(step(400, key), NextStep::StopProvider);
    }
}
