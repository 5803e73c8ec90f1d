//! How is Openverse asked? Openly licensed images with attribution; a token allows larger pages and more requests.

use super::account::Account;
use super::cursor::Cursor;
use super::license::License;
use super::query::{LineLimits, line_without};
use super::reading::{image_url, needed_list, number, object, other_url, side, text};
use super::{
    ApiAnswer, ApiRequest, Ask, Hit, Method, Page, ProviderError, ProviderFailure, ProviderLimits, SafeSearch,
    SearchProvider, SkipReason, Token,
};

/// Pages deep, whatever their size.
const MAX_PAGE: u32 = 20;
/// Above this, a request without a token is refused.
const PAGE_SIZE_WITHOUT_TOKEN: u32 = 20;
const PAGE_SIZE_WITH_TOKEN: u32 = 500;
pub(super) const MAX_RESULTS: u32 = MAX_PAGE * PAGE_SIZE_WITH_TOKEN;
// Openverse cuts longer ones without a word.
const LINE: LineLimits = LineLimits { characters: 200, words: 200, as_text: "200 characters" };

/// Openverse. The key is `CLIENT_ID:CLIENT_SECRET`; without one it is asked anonymously.
#[derive(Debug)]
pub(super) struct Openverse(pub Account);

impl Openverse {
    /// The page and its size, which stays what it was on the first page: the pages would overlap otherwise.
    fn place(&self, ask: &Ask<'_>) -> Result<(Cursor, u32), ProviderError> {
        let cursor = Cursor::read(ask.cursor)?;
        if ask.cursor.is_none() {
            let most = if ask.token.is_some() { PAGE_SIZE_WITH_TOKEN } else { PAGE_SIZE_WITHOUT_TOKEN };
            return Ok((cursor, self.0.page_size(most)));
        }
        let size: Option<u32> = cursor.rest.parse().ok().filter(|size| (1..=PAGE_SIZE_WITH_TOKEN).contains(size));
        match size {
            Some(size) if size > PAGE_SIZE_WITHOUT_TOKEN && ask.token.is_none() => Err(ProviderError::TokenNeeded),
            Some(size) if cursor.page <= MAX_PAGE => Ok((cursor, size)),
            _ => Err(cursor.foreign()),
        }
    }
}

impl SearchProvider for Openverse {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn limits(&self) -> &ProviderLimits {
        &self.0.limits
    }

    fn request(&self, ask: &Ask<'_>) -> Result<ApiRequest, ProviderError> {
        self.0.no_slices(ask)?;
        let (cursor, size) = self.place(ask)?;
        let licenses: Vec<&str> = self.0.licenses.iter().map(|license| license.openverse()).collect();
        let mature = if self.0.safe_search == SafeSearch::Off { "true" } else { "false" };
        let mut request = self
            .0
            .get("/v1/images/")
            .pair("q", &line_without(ask.text, ask.negatives, LINE)?)
            .pair("page", &cursor.page.to_string())
            .pair("page_size", &size.to_string())
            .maybe_pair("license", Some(licenses.join(",")).filter(|list| !list.is_empty()).as_deref())
            .pair("category", "photograph")
            .pair("mature", mature);
        if let Some(token) = ask.token {
            request = request.header("Authorization", format!("Bearer {}", token.expose()));
        }
        Ok(request)
    }

    fn read(&self, ask: &Ask<'_>, answer: &ApiAnswer<'_>) -> Result<Page, ProviderFailure> {
        if let Some(token) = ask.token {
            // What a refusal quotes then is the token, so that is what must not be shown.
            let account = Account { key: Some(token.clone()), ..self.0.clone() };
            account.check(answer).map_err(|failure| match failure {
                ProviderFailure::KeyRefused { message, .. } if answer.status == 401 => {
                    ProviderFailure::TokenRefused { message: self.0.shown(&message) }
                }
                other => other,
            })?;
        }
        self.0.check(answer)?;
        let (cursor, size) = self.place(ask)?;
        let body = serde_json::Value::Object(object(answer.body)?);
        let mut page = self.0.gather(cursor.seen);
        for result in body.as_object().map_or(Ok(&[][..]), |body| needed_list(body, "results"))? {
            page.take(hit(result));
        }
        let n_pages = number(&body, "page_count").unwrap_or(u64::from(MAX_PAGE)).min(u64::from(MAX_PAGE));
        let next = cursor.next(page.seen(), size.to_string()).filter(|next| u64::from(next.page) <= n_pages);
        Ok(page.finish(next, number(&body, "result_count")))
    }

    fn token_request(&self) -> Option<ApiRequest> {
        let key = self.0.key.as_ref()?.expose();
        let (id, secret) = key.split_once(':').unwrap_or((key, ""));
        Some(
            ApiRequest::new(Method::Post, &self.0.base, "/v1/auth_tokens/token/")
                .field("grant_type", "client_credentials")
                .field("client_id", id)
                .field("client_secret", secret),
        )
    }

    fn read_token(&self, answer: &ApiAnswer<'_>) -> Result<Token, ProviderFailure> {
        // `invalid_client` comes with status 400 or 401, depending on which half is wrong.
        if matches!(answer.status, 400 | 401 | 403) {
            return Err(self.0.key_refused(&format!("HTTP {}: no token for this client", answer.status)));
        }
        self.0.check(answer)?;
        let body = serde_json::Value::Object(object(answer.body)?);
        let secret = body.get("access_token").and_then(serde_json::Value::as_str).and_then(super::Secret::new);
        let secret = secret.ok_or_else(|| ProviderFailure::Malformed { what: "no usable `access_token`".into() })?;
        // A minute less, so that a request under way does not outlive it.
        let lasts_s = number(&body, "expires_in").unwrap_or(3_600).clamp(0, 30 * 24 * 3_600);
        Ok(Token { secret, expires_in_ms: i64::try_from(lasts_s.saturating_sub(60) * 1000).unwrap_or(0) })
    }
}

fn hit(result: &serde_json::Value) -> Result<Hit, SkipReason> {
    if !result.is_object() {
        return Err(SkipReason::NotAResult);
    }
    let mut hit = Hit::new(image_url(result, "url")?);
    hit.page_url = other_url(result, "foreign_landing_url");
    hit.title = text(result, "title");
    hit.engine = text(result, "source");
    hit.creator = text(result, "creator");
    hit.license = license(result);
    hit.license_url = other_url(result, "license_url");
    hit.attribution = text(result, "attribution");
    (hit.width, hit.height) = (side(result, "width"), side(result, "height"));
    Ok(hit)
}

/// `by-sa` and `2.0` become `CC BY-SA 2.0`; a code that is none of ours stays as it is.
fn license(result: &serde_json::Value) -> Option<String> {
    let code = text(result, "license")?;
    let words = License::of_text(&code).map_or(code, |license| license.to_string());
    Some(text(result, "license_version").map_or_else(|| words.clone(), |version| format!("{words} {version}")))
}

#[cfg(test)]
mod tests {
    use super::super::hostile::{account, answer, ask};
    use super::super::{NextStep, Secret};
    use super::*;

    const BODY: &str = r#"{"result_count":10000,"page_count":2,"page_size":20,"page":1,"results":[
        {"id":"a","title":"Smile","foreign_landing_url":"https://flickr.com/1","url":"https://live.flickr.com/1.jpg","creator":"Ann",
         "license":"by-sa","license_version":"2.0","license_url":"https://creativecommons.org/licenses/by-sa/2.0/","source":"flickr",
         "height":null,"width":1024,"attribution":"\"Smile\" by Ann is licensed under CC BY-SA 2.0."},
        {"id":"b","url":"https://x.org/2.jpg","license":"by-nc"}]}"#;

    #[test]
    fn pages_are_small_without_a_token_and_large_with_one() {
        let openverse = Openverse(Account { licenses: vec![License::Cc0, License::BySa], ..account(MAX_RESULTS) });
        let anonymous = openverse.request(&ask("happy man", "de")).unwrap();
        assert_eq!(
            anonymous.loggable_url(),
            "http://127.0.0.1:1/base/v1/images/?q=happy+man+-cartoon+-%22clip+art%22&page=1&page_size=20\
             &license=cc0%2Cby-sa&category=photograph&mature=false"
        );
        let token = Secret::new("tok3n").unwrap();
        let known = Ask { token: Some(&token), ..ask("happy man", "de") };
        assert!(openverse.request(&known).unwrap().loggable_url().contains("page_size=500"));
        let next = openverse.read(&known, &answer(200, BODY)).unwrap().next.unwrap();
        let lost = Ask { cursor: Some(&next), ..ask("happy man", "de") };
        assert_eq!(openverse.request(&lost), Err(ProviderError::TokenNeeded));
        let second = openverse.request(&Ask { token: Some(&token), ..lost }).unwrap();
        assert!(second.loggable_url().contains("page=2&page_size=500"));
    }

    #[test]
    fn licence_and_attribution_stay_with_each_result_and_other_licences_are_left_out() {
        let openverse = Openverse(Account { licenses: vec![License::BySa], ..account(MAX_RESULTS) });
        let page = openverse.read(&ask("x", "en"), &answer(200, BODY)).unwrap();
        assert_eq!(page.hits.len(), 1);
        let hit = &page.hits[0];
        assert_eq!(hit.license.as_deref(), Some("CC BY-SA 2.0"));
        assert_eq!((hit.width, hit.height), (Some(1024), None));
        assert!(hit.attribution.as_deref().unwrap().contains("by Ann"));
        assert_eq!((page.skipped[&SkipReason::OtherLicense], page.total), (1, Some(10_000)));
        let last = Ask { cursor: page.next.as_deref(), ..ask("x", "en") };
        assert_eq!(openverse.read(&last, &answer(200, BODY)).unwrap().next, None, "page_count is 2");
    }

    #[test]
    fn an_expired_token_asks_for_a_new_one_and_a_bad_client_stops() {
        let openverse = Openverse(account(MAX_RESULTS));
        let request = openverse.token_request().unwrap();
        assert_eq!((request.method, request.form.len()), (Method::Post, 3));
        assert!(!format!("{request:?}").contains("sesame"));
        let token = openverse.read_token(&answer(200, r#"{"access_token":"tok3n","expires_in":"36000"}"#)).unwrap();
        assert_eq!(token.expires_in_ms, 35_940_000);
        assert!(!format!("{token:?}").contains("tok3n"));
        let known = Ask { token: Some(&token.secret), ..ask("x", "en") };
        let failure = openverse.read(&known, &answer(401, r#"{"detail":"token tok3n is over"}"#)).unwrap_err();
        assert_eq!(failure.next_step(), NextStep::RenewToken);
        assert!(!failure.to_string().contains("tok3n"));
        let failure = openverse.read_token(&answer(401, r#"{"error":"invalid_client"}"#)).unwrap_err();
        assert_eq!(failure.next_step(), NextStep::StopProvider);
        assert!(openverse.read_token(&answer(200, "{}")).is_err());
        let refused = r#"{"error":"InputError","detail":"License 'x' does not exist.","fields":["license"]}"#;
        let failure = openverse.read(&ask("x", "en"), &answer(400, refused)).unwrap_err();
        assert_eq!(failure.to_string(), "the query is refused (HTTP 400: License 'x' does not exist.)");
    }
}
