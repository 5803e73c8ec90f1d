//! How is Flickr asked? 4,000 results a query, so popular words are sliced by upload date.

use serde_json::Value;
use url::Url;

use super::account::{Account, speaks_of_quota};
use super::cursor::Cursor;
use super::license::of_flickr;
use super::page::attribution;
use super::query::{LineLimits, line_without};
use super::reading::{first_image_url, needed_list, number, object, side, text};
use super::{
    ApiAnswer, ApiRequest, Ask, Hit, Page, ProviderError, ProviderFailure, ProviderLimits, SafeSearch, SearchProvider,
    SkipReason,
};

/// Beyond these it repeats itself.
pub(super) const MAX_RESULTS: u32 = 4_000;
const PAGE_SIZE: u32 = 500;
const LINE: LineLimits = LineLimits { characters: 1_000, words: 100, as_text: "1,000 characters or 100 words" };

/// Flickr's photo search.
#[derive(Debug)]
pub(super) struct Flickr(pub Account);

impl SearchProvider for Flickr {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn limits(&self) -> &ProviderLimits {
        &self.0.limits
    }

    fn request(&self, ask: &Ask<'_>) -> Result<ApiRequest, ProviderError> {
        let cursor = Cursor::read(ask.cursor)?.plain()?;
        let mut numbers: Vec<u32> = self.0.licenses.iter().flat_map(|license| license.flickr()).copied().collect();
        numbers.sort_unstable();
        let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
        let safe_search = match self.0.safe_search {
            SafeSearch::Strict => "1",
            SafeSearch::Moderate => "2",
            SafeSearch::Off => "3",
        };
        let seconds = ask.slice.map(|slice| slice.seconds());
        Ok(self
            .0
            .get("/services/rest/")
            .pair("method", "flickr.photos.search")
            .secret_pair("api_key", self.0.key.as_ref())
            .pair("text", &line_without(ask.text, ask.negatives, LINE)?)
            .maybe_pair("license", Some(numbers.join(",")).filter(|list| !list.is_empty()).as_deref())
            .pair("safe_search", safe_search)
            .pair("media", "photos")
            .pair("sort", "relevance")
            .maybe_pair("min_upload_date", seconds.map(|(first, _)| first.to_string()).as_deref())
            .maybe_pair("max_upload_date", seconds.map(|(_, last)| last.to_string()).as_deref())
            .pair("per_page", &self.0.page_size(PAGE_SIZE).to_string())
            .pair("page", &cursor.page.to_string())
            .pair("extras", "license,owner_name,o_dims,url_o,url_l,url_z")
            .pair("format", "json")
            .pair("nojsoncallback", "1"))
    }

    fn read(&self, ask: &Ask<'_>, answer: &ApiAnswer<'_>) -> Result<Page, ProviderFailure> {
        self.0.check(answer)?;
        let body = Value::Object(object(answer.body)?);
        if body.get("stat").and_then(Value::as_str) != Some("ok") {
            return Err(self.failure(answer, &body));
        }
        let malformed = || ProviderFailure::Malformed { what: "no `photos`".into() };
        let photos = body.get("photos").ok_or_else(malformed)?;
        let cursor = Cursor::read(ask.cursor)?;
        let mut page = self.0.gather(cursor.seen);
        for photo in needed_list(photos.as_object().ok_or_else(malformed)?, "photo")? {
            page.take(hit(photo));
        }
        let n_pages = number(photos, "pages").unwrap_or(u64::MAX);
        let next = cursor.next(page.seen(), String::new()).filter(|next| u64::from(next.page) <= n_pages);
        Ok(page.finish(next, number(photos, "total")))
    }
}

impl Flickr {
    /// Flickr's own numbers for what went wrong.
    fn failure(&self, answer: &ApiAnswer<'_>, body: &Value) -> ProviderFailure {
        let Some(code) = number(body, "code") else {
            return ProviderFailure::Malformed { what: "`stat` is not ok, and no `code` says why".into() };
        };
        let words = format!("{code}: {}", text(body, "message").unwrap_or_default());
        match code {
            96..=100 => self.0.key_refused(&words),
            0 | 10 | 105 | 106 | 201 => self.0.busy(answer, &words),
            _ if speaks_of_quota(&words) => self.0.quota_spent(answer, &words),
            _ => self.0.refused(&words),
        }
    }
}

fn hit(photo: &Value) -> Result<Hit, SkipReason> {
    if !photo.is_object() {
        return Err(SkipReason::NotAResult);
    }
    // The original where its owner allows it, else 1,024 pixels, else 640.
    let (name, url) = first_image_url(photo, &["url_o", "url_l", "url_z"])?;
    let size = name.trim_start_matches("url_");
    let mut hit = Hit::new(url);
    (hit.width, hit.height) = (side(photo, &format!("width_{size}")), side(photo, &format!("height_{size}")));
    hit.page_url = page_url(photo);
    hit.title = text(photo, "title");
    hit.creator = text(photo, "ownername");
    if let Some(license) = number(photo, "license").and_then(|license| u32::try_from(license).ok()) {
        let (words, address) = of_flickr(license);
        (hit.license, hit.license_url) = (Some(words), address);
    }
    hit.attribution = attribution(&hit, "via Flickr");
    Ok(hit)
}

fn page_url(photo: &Value) -> Option<Url> {
    let (owner, id) = (text(photo, "owner")?, text(photo, "id")?);
    let is_name = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@-_".contains(&byte));
    if !is_name(&owner) || !is_name(&id) {
        return None;
    }
    Url::parse(&format!("https://www.flickr.com/photos/{owner}/{id}")).ok()
}

#[cfg(test)]
mod tests {
    use super::super::hostile::{account, answer, ask};
    use super::super::{License, NextStep, UploadSlice};
    use super::*;

    fn flickr(max_results: u32) -> Flickr {
        let licenses = vec![License::By, License::BySa, License::PublicDomain, License::Cc0];
        Flickr(Account { licenses, ..account(max_results) })
    }

    #[test]
    fn a_slice_becomes_whole_seconds_with_both_ends_included() {
        let slice = Some(UploadSlice::new(1_451_606_400_000, 1_483_228_800_000).unwrap());
        let request = flickr(MAX_RESULTS).request(&Ask { slice, ..ask("furious boss", "en") }).unwrap();
        assert_eq!(
            request.loggable_url(),
            "http://127.0.0.1:1/base/services/rest/?method=flickr.photos.search&api_key=***\
             &text=furious+boss+-cartoon+-%22clip+art%22&license=4%2C5%2C7%2C9%2C10&safe_search=2&media=photos&sort=relevance\
             &min_upload_date=1451606400&max_upload_date=1483228799&per_page=500&page=1\
             &extras=license%2Cowner_name%2Co_dims%2Curl_o%2Curl_l%2Curl_z&format=json&nojsoncallback=1"
        );
        assert!(request.url.as_str().contains("api_key=id%3Asesame%2Bsesame"));
    }

    #[test]
    fn numbers_as_text_are_read_and_paging_ends_at_the_cap() {
        let body = r#"{"photos":{"page":1,"pages":244,"perpage":500,"total":"121528","photo":[
            {"id":"5","owner":"1@N0","title":"Boss","license":"4","ownername":"Ann","url_l":"https://live.org/5_b.jpg","width_l":"1024","height_l":683},
            {"id":6,"owner":"../x","license":9,"url_z":"https://live.org/6_z.jpg"}, {"id":"7"}]},"stat":"ok"}"#;
        let flickr = flickr(5);
        let page = flickr.read(&ask("x", "en"), &answer(200, body)).unwrap();
        assert_eq!((page.total, page.hits[0].width), (Some(121_528), Some(1024)));
        assert_eq!(page.hits[0].page_url.as_ref().map(Url::as_str), Some("https://www.flickr.com/photos/1@N0/5"));
        assert_eq!(page.hits[0].attribution.as_deref(), Some("\"Boss\" by Ann, via Flickr, CC BY 2.0"));
        assert_eq!((page.hits[1].license.as_deref(), &page.hits[1].page_url), (Some("CC0 1.0"), &None));
        let second = flickr.read(&Ask { cursor: page.next.as_deref(), ..ask("x", "en") }, &answer(200, body)).unwrap();
        let ranks: Vec<u32> = second.hits.iter().map(|hit| hit.rank).collect();
        assert_eq!((ranks, second.next), (vec![4, 5], None));
        assert_eq!(second.skipped, [(SkipReason::OverCap, 1)].into());
    }

    #[test]
    fn failures_come_with_http_200_and_a_number() {
        let step = |code: u32| {
            let body = format!(
                r#"{{"stat":"fail","code":{code},"message":"Invalid API Key sesame+sesame (Key has wrong format)"}}"#
            );
            let failure = flickr(9).read(&ask("x", "en"), &answer(200, &body)).unwrap_err();
            assert!(!failure.to_string().contains("sesame"), "{failure}");
            failure.next_step()
        };
        assert_eq!(step(100), NextStep::StopProvider);
        assert_eq!(step(105), NextStep::Retry { after_ms: None });
        assert_eq!(step(3), NextStep::SkipQuery);
        let cut = flickr(9).read(&ask("x", "en"), &answer(200, r#"{"photos":{"page":1,"#)).unwrap_err();
        assert_eq!(cut.to_string(), "the answer cannot be read: the JSON ends early, after 20 bytes");
    }
}
