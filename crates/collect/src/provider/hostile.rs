//! Does any answer, however broken or malicious, make an adapter panic, leak a key or point outside the web?

use std::sync::LazyLock;

use arbtest::arbitrary::{self, Unstructured};
use url::Url;

use super::account::Account;
use super::brave::Brave;
use super::commons::Commons;
use super::flickr::Flickr;
use super::google::Google;
use super::openverse::Openverse;
use super::pexels::Pexels;
use super::searxng::Searxng;
use super::serpapi::{Engine, SerpApi};
use super::{ApiAnswer, Ask, ProviderLimits, SafeSearch, SearchProvider, Secret};

static NEGATIVES: LazyLock<Vec<String>> = LazyLock::new(|| vec!["cartoon".to_owned(), "clip art".to_owned()]);

/// An account whose key is `id:sesame+sesame`.
pub(super) fn account(max_results: u32) -> Account {
    Account {
        name: "test".to_owned(),
        base: Url::parse("http://127.0.0.1:1/base/").unwrap(),
        key: Secret::new("id:sesame+sesame\n"),
        key_env: Some("AFFECTORY_TEST_KEY".to_owned()),
        limits: ProviderLimits {
            pause_ms: 0,
            daily_budget: 100,
            max_results,
            wanted: None,
            slices_by_upload_date: true,
        },
        safe_search: SafeSearch::Moderate,
        licenses: Vec::new(),
    }
}

/// An ask with two negatives.
pub(super) fn ask<'a>(text: &'a str, language: &'a str) -> Ask<'a> {
    Ask { text, language, negatives: &NEGATIVES, slice: None, cursor: None, token: None }
}

/// An answer; refusals say to come back in 7 seconds.
pub(super) fn answer(status: u16, body: &str) -> ApiAnswer<'_> {
    ApiAnswer { status, retry_after_ms: (status != 200).then_some(7_000), body: body.as_bytes() }
}

fn all() -> Vec<Box<dyn SearchProvider>> {
    let account = || account(150);
    vec![
        Box::new(Brave(account())),
        Box::new(Openverse(account())),
        Box::new(Commons(account())),
        Box::new(Flickr(account())),
        Box::new(Searxng { account: account(), engines: Vec::new(), max_pages: 9 }),
        Box::new(SerpApi { account: account(), engine: Engine::Google }),
        Box::new(SerpApi { account: account(), engine: Engine::Yahoo }),
        Box::new(Pexels(account())),
        Box::new(Google { account: account(), engine_id: "cx".to_owned() }),
    ]
}

/// One answer that has every provider's fields, so that a mutation of it reaches far into each adapter.
const EVERYTHING: &str = r#"{"stat":"ok","page_count":9,"next_page":"x","queries":{"nextPage":[{"startIndex":11}]},
"search_metadata":{"status":"Success"},"number_of_results":3,"unresponsive_engines":[["google images","timeout"]],
"continue":{"gsroffset":50,"continue":"-||"},
"query":{"pages":[{"title":"File:<b>A</b>.jpg","index":1,"imageinfo":[{"url":"https://i.org/a.jpg","descriptionurl":"http://p.org",
 "sha1":"da39a3ee5e6b4b0d3255bfef95601890afd80709","width":"7","extmetadata":{"Artist":{"value":"<a href='x'>J&amp;B</a>"}}}]}]},
"results":[{"url":"https://i.org/b.jpg","img_src":"//i.org/b.jpg","resolution":"1 x 2","properties":{"url":"https://i.org/c.jpg"},
 "license":"by","license_version":4.0,"title":"t","engines":["bing images"]}],
"photos":{"pages":"9","total":"10","photo":[{"id":"1","owner":"a@N1","license":"4","url_l":"https://i.org/d.jpg","width_l":"5"}]},
"images_results":[{"original":"https://i.org/e.jpg","link":"https://p.org"}],
"items":[{"link":"https://i.org/f.jpg","image":{"contextLink":"https://p.org","width":5}}]}"#;

fn mutated(u: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    let mut bytes = EVERYTHING.as_bytes().to_vec();
    if u.ratio(1, 3)? {
        // Swap a value: keeps the JSON whole, and the types wrong.
        let scrap = *u.choose(&["null", "7", "-1e400", "\"file:///x\"", "\"data:,\"", "[]", "{}", "[[[]]]", "true"])?;
        let text = EVERYTHING.replacen(
            *u.choose(&["\"https://i.org/b.jpg\"", "\"by\"", "9", "\"ok\"", "50", "[{"])?,
            scrap,
            1,
        );
        bytes = text.into_bytes();
    }
    for _ in 0..u.int_in_range(0..=6usize)? {
        let at = u.int_in_range(0..=bytes.len() - 1)?;
        bytes[at] = if u.arbitrary()? { u.arbitrary()? } else { *u.choose(b"[]{}\",:0x<")? };
    }
    if u.ratio(1, 5)? {
        bytes.truncate(u.int_in_range(0..=bytes.len())?);
    }
    Ok(bytes)
}

fn check(provider: &dyn SearchProvider, body: &[u8], status: u16, cursor: Option<&str>) {
    let ask = Ask { cursor, ..ask("calm", "en") };
    if provider.request(&ask).is_err() && cursor.is_none() {
        panic!("a plain query is refused");
    }
    match provider.read(&ask, &ApiAnswer { status, retry_after_ms: Some(i64::MIN), body }) {
        Ok(page) => {
            for hit in &page.hits {
                let urls = [Some(&hit.image_url), hit.page_url.as_ref(), hit.license_url.as_ref()];
                assert!(urls.into_iter().flatten().all(|url| matches!(url.scheme(), "http" | "https")));
                assert!((1..=150).contains(&hit.rank));
                let texts = [&hit.title, &hit.creator, &hit.attribution, &hit.license, &hit.engine];
                assert!(texts.into_iter().flatten().all(|text| !text.contains(char::is_control)));
            }
            if let Some(next) = &page.next {
                assert_ne!(Some(next.as_str()), cursor);
            }
        }
        Err(failure) => {
            let shown = format!("{failure} {failure:?}");
            assert!(!shown.contains("sesame"), "{shown}");
        }
    }
}

#[test]
fn no_bytes_make_an_adapter_panic_or_point_outside_the_web() {
    arbtest::arbtest(|u| {
        let body = if u.ratio(1, 8)? { u.arbitrary()? } else { mutated(u)? };
        let status = *u.choose(&[200, 200, 200, 200, 301, 400, 403, 429, 500, 999])?;
        let cursor = *u.choose(&[None, None, Some("2:10"), Some("2:50:gsroffset=50"), Some("3:40:20"), Some("x")])?;
        for provider in all() {
            check(&*provider, &body, status, cursor);
        }
        Ok(())
    })
    .budget_ms(2_000);
}

#[test]
fn every_adapter_understands_its_part_of_the_whole_answer() {
    for provider in all() {
        let page = provider.read(&ask("calm", "en"), &answer(200, EVERYTHING));
        // Pexels' list has the name of Flickr's object.
        assert!(
            page.is_ok_and(|page| page.hits.len() == 1)
                || provider.request(&ask("x", "en")).unwrap().url.path().ends_with("v1/search")
        );
    }
}

#[test]
fn no_endless_pages_whatever_the_provider_says() {
    for provider in all() {
        let body = EVERYTHING.replace("\"photos\":{", "\"unused\":0,\"photos\":{");
        let mut cursor: Option<String> = None;
        let mut n_pages = 0;
        let mut offset = 0;
        loop {
            // Commons would be led on by an ever new place.
            offset += 50;
            let body = body.replace("\"gsroffset\":50", &format!("\"gsroffset\":{offset}"));
            let ask = Ask { cursor: cursor.as_deref(), ..ask("calm", "en") };
            let Ok(page) = provider.read(&ask, &answer(200, &body)) else { break };
            n_pages += 1;
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert!(n_pages <= 150, "{provider:?}: {n_pages}");
    }
}

#[test]
fn the_key_is_in_the_request_and_nowhere_else() {
    for provider in all() {
        let request = provider.request(&ask("calm", "en")).unwrap();
        let mut shown = format!("{provider:?} {request:?} {}", request.loggable_url());
        for status in [400, 401, 403, 422, 429, 500, 200] {
            let echo = r#"{"error":"key id:sesame+sesame, secret <b>sesame</b>+sesame, id%3Asesame%2Bsesame","message":"sesame+sesame"}"#;
            if let Err(failure) = provider.read(&ask("calm", "en"), &answer(status, echo)) {
                shown += &format!("{failure} {failure:?}");
            }
        }
        if let Some(token) = provider.token_request() {
            shown += &format!("{token:?}");
        }
        assert!(!shown.contains("sesame"), "{shown}");
    }
}
