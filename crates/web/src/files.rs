//! How do a release's files reach those who signed for them, from any byte on, and nobody a moment longer?
//!
//! An archive is sent from the release's pack in the recipient's order, a piece at a time: by the system itself where the piece is
//! in its memory (`wire`), else read first, so that hundreds of downloads fit into ours. Whether the grant still holds is asked
//! again every half second of a download.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use affectory_catalog::{DeliveryRow, DownloadEvent, GrantRow, PackageRow};
use affectory_core::{AccountId, DownloadId, GrantId};
use affectory_portal::delivery::{Layout, inputs_path, manifest_path, package_folder, shared_name};
use affectory_portal::{DeliverFrom, PortalError};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    IF_RANGE, LOCATION, RANGE, RETRY_AFTER,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use maud::html;
use sha2::{Digest as _, Sha256};

use crate::access::Visitor;
use crate::app::App;
use crate::failure::WebError;
use crate::pages::{file_size, listing};
use crate::wire::{LONGEST, Outlet};

/// Bytes that are read at a time, and held in memory until they are sent, where the disk has to be waited for.
const MOST_READ: usize = 256 * 1024;

/// How long an answer to "does the grant still hold?" is believed, ms.
const BELIEVED_MS: i64 = 500;

/// How long a link to the bucket can be followed; what is being sent by then is sent to its end.
const LINK_LIFE: Duration = Duration::from_secs(60);

const DAY_MS: i64 = 86_400_000;

/// What is known of downloads under way.
#[derive(Default)]
pub(crate) struct Deliveries {
    open: Mutex<HashMap<GrantId, Arc<Opened>>>,
    /// Of this process: a count in the catalogue would not end with a process that was killed.
    n_streams: Mutex<HashMap<GrantId, Arc<AtomicU32>>>,
    /// Whether a grant holds for an account, and when that was asked.
    holds: Mutex<HashMap<(GrantId, AccountId), (i64, bool)>>,
}

/// One recipient's copy, opened.
struct Opened {
    package: PackageRow,
    delivery: DeliveryRow,
    layout: Layout,
    pack: Arc<File>,
    manifest: File,
    /// The table of pictures without labels, and its SHA-256.
    inputs: Option<(Bytes, String)>,
}

/// A download under way counts until it is dropped.
struct Stream(Arc<AtomicU32>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Deliveries {
    pub(crate) fn forget(&self, grant: GrantId) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&grant);
        self.holds.lock().unwrap_or_else(PoisonError::into_inner).retain(|(known, _), _| *known != grant);
    }

    fn begin(&self, grant: GrantId, limit: u32) -> Option<Stream> {
        let mut streams = self.n_streams.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = Arc::clone(streams.entry(grant).or_default());
        if counter.fetch_add(1, Ordering::Relaxed) >= limit {
            counter.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Stream(counter))
    }
}

/// The grant, if it holds for the visitor now; to others it is not there.
async fn find(app: &App, visitor: &Visitor, grant: i64) -> Result<GrantRow, WebError> {
    app.portal()?;
    let found = app.project.catalog.find_open_grant(GrantId(grant), visitor.account.id, app.now_ms()).await?;
    found.ok_or(WebError::NotFound("that access, or it has ended: it"))
}

/// The recipient's copy as it is delivered now. Where something was withdrawn since it was made, there is none until the
/// next one is ready.
async fn opened(app: &Arc<App>, grant: &GrantRow) -> Result<Arc<Opened>, WebError> {
    let catalog = &app.project.catalog;
    let Some((package, delivery)) = catalog.find_delivery(grant.id).await? else {
        return Err(WebError::NotYet("your copy"));
    };
    if catalog.count_withdrawn(package.release_id).await? != package.n_withdrawn {
        return Err(WebError::NotYet("a copy without what was withdrawn"));
    }
    let known = app.deliveries.open.lock().unwrap_or_else(PoisonError::into_inner).get(&grant.id).cloned();
    if let Some(known) = known.filter(|known| known.package == package) {
        return Ok(known);
    }
    let folder = package_folder(&app.project, &grant.release, package.revision);
    let for_thread = grant.clone();
    let opened = tokio::task::spawn_blocking(move || -> Result<Opened, PortalError> {
        let layout = Layout::open(&folder, &for_thread.seed)?;
        let path = manifest_path(&folder, &for_thread);
        let manifest =
            File::open(&path).map_err(|source| PortalError::File { action: "read", path: path.clone(), source })?;
        let inputs = std::fs::read(inputs_path(&folder)).ok().map(|bytes| {
            let sha256 = hex::encode(Sha256::digest(&bytes));
            (Bytes::from(bytes), sha256)
        });
        Ok(Opened { package, delivery, pack: Arc::new(layout.open_pack()?), layout, manifest, inputs })
    });
    let opened = Arc::new(opened.await.map_err(|error| WebError::Failed(Arc::new(error)))??);
    app.deliveries.open.lock().unwrap_or_else(PoisonError::into_inner).insert(grant.id, Arc::clone(&opened));
    Ok(opened)
}

/// The archive's name: another revision is another file, so that no download goes on from one into the other.
fn archive_name(grant: &GrantRow, package: &PackageRow) -> String {
    format!("{}-r{}.tar", grant.release, package.revision)
}

fn inputs_name(grant: &GrantRow, package: &PackageRow) -> String {
    format!("{}-r{}-inputs.csv", grant.release, package.revision)
}

fn manifest_name(grant: &GrantRow, package: &PackageRow) -> String {
    format!("{}-r{}.csv", grant.release, package.revision)
}

/// All files of a recipient's copy: name, bytes, SHA-256.
fn files_of(grant: &GrantRow, opened: &Opened) -> Vec<(String, u64, String)> {
    let Opened { package, delivery, inputs, .. } = opened;
    let mut files = vec![
        (archive_name(grant, package), delivery.archive_bytes, delivery.archive_sha256.to_string()),
        (manifest_name(grant, package), delivery.manifest_bytes, delivery.manifest_sha256.to_string()),
    ];
    if let Some((bytes, sha256)) = inputs {
        files.push((inputs_name(grant, package), bytes.len() as u64, sha256.clone()));
    }
    files
}

/// What there is: a page for people, JSON for programs.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(grant): Path<i64>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let grant = find(&app, &visitor, grant).await?;
    let opened = match opened(&app, &grant).await {
        Ok(opened) => opened,
        Err(error @ WebError::NotYet(_)) => {
            let mut response = error.into_response();
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("30"));
            return Ok(response);
        }
        Err(error) => return Err(error),
    };
    let package = &opened.package;
    let files = files_of(&grant, &opened);
    let wants_json =
        headers.get(ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|kind| kind.contains("json"));
    if wants_json {
        let files: Vec<_> = files
            .iter()
            .map(|(name, bytes, sha256)| serde_json::json!({ "name": name, "bytes": bytes, "sha256": sha256 }))
            .collect();
        let answer = serde_json::json!({ "release": grant.release, "revision": package.revision, "files": files });
        return Ok(Json(answer).into_response());
    }
    let place = format!("/files/{}", grant.id);
    let content = html! {
        p { "Release " (grant.release) ", revision " (package.revision) ". Each recipient's copy is a little different, and the same for them every time." }
        table {
            thead { tr { th scope="col" { "File" } th.n scope="col" { "Size" } th scope="col" { "SHA-256" } } }
            tbody { @for (name, bytes, sha256) in &files {
                tr { th scope="row" { a href={ (place) "/" (name) } { (name) } } td.n { (file_size(*bytes)) } td { code { (sha256) } } }
            } }
        }
        h2 { "From a program" }
        p { "Make a personal token under " a href="/access" { "Your access" } ", then, with curl, or with Affectory:" }
        pre { "AFFECTORY_TOKEN=... sh download.sh\nAFFECTORY_TOKEN=... affectory fetch " (app.portal()?.base) (place) " --to FOLDER" }
        p { a href={ (place) "/download.sh" } { "download.sh" } " goes on where it was stopped and checks the files." }
    };
    Ok(listing(&app, "Files", &visitor, &content).into_response())
}

/// A script that downloads everything with curl. Names and hashes are ours, so they need no quoting but the quotes.
fn script(base: &str, grant: &GrantRow, files: &[(String, u64, String)]) -> String {
    let calls: String = files.iter().map(|(name, bytes, _)| format!("get '{name}' {bytes}\n")).collect();
    format!(
        "#!/bin/sh\n\
         # Downloads release {} into this folder, goes on where it was stopped, and checks it.\n\
         # It needs curl and sha256sum, and a personal token in the environment: AFFECTORY_TOKEN=... sh download.sh\n\
         set -eu\n\
         : \"${{AFFECTORY_TOKEN:?put a personal token into AFFECTORY_TOKEN}}\"\n\
         get() {{\n  \
           # What is whole is not asked for again.\n  \
           if [ -f \"$1\" ] && [ \"$(wc -c < \"$1\")\" -eq \"$2\" ]; then return; fi\n  \
           curl --fail --location --retry 20 --retry-delay 5 --retry-all-errors --continue-at - \\\n    \
             --header \"Authorization: Bearer $AFFECTORY_TOKEN\" --output \"$1\" '{base}/files/{}/'\"$1\"\n\
         }}\n\
         {calls}\
         sha256sum --check <<'END'\n{}END\n",
        grant.release,
        grant.id,
        sums(files)
    )
}

fn sums(files: &[(String, u64, String)]) -> String {
    files.iter().map(|(name, _, sha256)| format!("{sha256}  {name}\n")).collect()
}

/// One file, or a range of it.
pub(crate) async fn file(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path((grant, file)): Path<(i64, String)>,
    outlet: Option<Extension<Outlet>>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let grant = find(&app, &visitor, grant).await?;
    let opened = opened(&app, &grant).await?;
    let Opened { package, delivery, .. } = &*opened;
    let is_archive = file == archive_name(&grant, package);
    let (size, sha256) = match file.as_str() {
        "SHA256SUMS" => {
            let text = sums(&files_of(&grant, &opened));
            return Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response());
        }
        "download.sh" => {
            let text = script(&app.portal()?.base, &grant, &files_of(&grant, &opened));
            let disposition = (CONTENT_DISPOSITION, "attachment; filename=\"download.sh\"");
            return Ok(([(CONTENT_TYPE, "text/x-shellscript"), disposition], text).into_response());
        }
        name if name == inputs_name(&grant, package) => {
            let (bytes, _) = opened.inputs.clone().ok_or(WebError::NotFound("that file"))?;
            return Ok(([(CONTENT_TYPE, "text/csv; charset=utf-8")], bytes).into_response());
        }
        _ if is_archive => (delivery.archive_bytes, &delivery.archive_sha256),
        name if name == manifest_name(&grant, package) => (delivery.manifest_bytes, &delivery.manifest_sha256),
        _ => return Err(WebError::NotFound("that file, of this revision,")),
    };
    let tag = format!("\"{sha256}\"");
    let asked = headers.get(RANGE).and_then(|value| value.to_str().ok());
    // Of a file that has changed since, all is sent again.
    let is_same = headers.get(IF_RANGE).is_none_or(|value| value.as_bytes() == tag.as_bytes());
    let (first, end, status) = match asked.filter(|_| is_same).map(|range| range_of(range, size)) {
        None | Some(Range::All) => (0, size, StatusCode::OK),
        Some(Range::Part(first, end)) => (first, end, StatusCode::PARTIAL_CONTENT),
        Some(Range::Outside) => {
            let range = format!("bytes */{size}");
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, [(CONTENT_RANGE, range)]).into_response());
        }
    };
    let rules = &app.portal()?.settings.delivery;
    let from_store = is_archive && rules.deliver_from == DeliverFrom::Store;
    let shared = if from_store { shared_name(&app.project, &grant, package.revision) } else { None };
    let stream = app.deliveries.begin(grant.id, rules.streams);
    let stream = stream.ok_or_else(|| {
        WebError::TooMany(format!("{} downloads are running under this access: wait for one to end", rules.streams))
    })?;
    let now_ms = app.now_ms();
    let sent_today = app.project.catalog.count_downloaded(grant.id, now_ms - DAY_MS).await?;
    if sent_today >= u64::from(rules.archives_a_day) * delivery.archive_bytes.max(delivery.manifest_bytes) {
        let limit = rules.archives_a_day;
        return Err(WebError::TooMany(format!(
            "the archive was downloaded {limit} times within a day: go on tomorrow"
        )));
    }
    let begun = DownloadEvent::Begun {
        grant: grant.id,
        account: visitor.account.id,
        package: package.id,
        file: file.clone(),
        first_byte: first,
        n_bytes: end - first,
        at_ms: now_ms,
    };
    let id = app.downloads.record(vec![begun]).await?.pop().ok_or(WebError::Busy)?;
    if let Some(name) = shared {
        // How much goes out is not known to us: what was asked for counts.
        let link = app.project.store.shared_link(&name, LINK_LIFE).await?;
        return Ok(link_to(link.as_str()));
    }
    let sending = Sending {
        grant: grant.id,
        account: visitor.account.id,
        opened: Arc::clone(&opened),
        is_archive,
        outlet: outlet.map(|Extension(outlet)| outlet),
        at: first,
        end,
        log: Arc::new(Log { app: Arc::clone(&app), id, n_sent: AtomicU64::new(0), _stream: stream }),
    };
    let mut response = Response::new(Body::from_stream(futures::stream::unfold(sending, next_piece)));
    *response.status_mut() = status;
    let kind = if is_archive { "application/x-tar" } else { "text/csv; charset=utf-8" };
    let disposition = format!("attachment; filename=\"{file}\"");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(end - first));
    let mut insert = |name, text: String| {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    };
    insert(ETAG, tag);
    insert(CONTENT_DISPOSITION, disposition);
    if status == StatusCode::PARTIAL_CONTENT {
        insert(CONTENT_RANGE, format!("bytes {first}-{}/{size}", end - 1));
    }
    Ok(response)
}

/// Sends a client to the bucket; it repeats its `Range` there, and keeps its token to itself.
fn link_to(link: &str) -> Response {
    let mut response = StatusCode::TEMPORARY_REDIRECT.into_response();
    if let Ok(link) = HeaderValue::from_str(link) {
        response.headers_mut().insert(LOCATION, link);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Range {
    All,
    /// From the first byte to before the second.
    Part(u64, u64),
    Outside,
}

/// Reads `bytes=a-b`, `bytes=a-` and `bytes=-n`. Whatever else is asked for, several ranges too, gets all (RFC 9110, 14.2).
fn range_of(text: &str, size: u64) -> Range {
    let Some((first, last)) = text.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Range::All;
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match (number(first), number(last)) {
        (Some(first), _) if first >= size => Range::Outside,
        (Some(first), None) if last.trim().is_empty() => Range::Part(first, size),
        (Some(first), Some(last)) if first <= last => Range::Part(first, size.min(last.saturating_add(1))),
        (None, Some(0)) if first.trim().is_empty() => Range::Outside,
        (None, Some(n)) if first.trim().is_empty() => Range::Part(size.saturating_sub(n), size),
        _ => Range::All,
    }
}

/// A download under way.
struct Sending {
    grant: GrantId,
    account: AccountId,
    opened: Arc<Opened>,
    is_archive: bool,
    /// Of the connection; none where the server is asked within the process.
    outlet: Option<Outlet>,
    at: u64,
    end: u64,
    log: Arc<Log>,
}

/// Writes into the catalogue how much went out, when the download ends in whatever way.
struct Log {
    app: Arc<App>,
    id: DownloadId,
    n_sent: AtomicU64,
    _stream: Stream,
}

impl Drop for Log {
    fn drop(&mut self) {
        let (app, id, n_sent) = (Arc::clone(&self.app), self.id, self.n_sent.load(Ordering::Relaxed));
        // Outside a runtime the server has ended, and the row says that it is not known.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let ended = DownloadEvent::Ended { id, sent_bytes: n_sent, at_ms: app.now_ms() };
            if let Err(error) = app.downloads.record_in_turn(vec![ended]).await {
                tracing::error!(%error, "the end of a download could not be recorded");
            }
        });
    }
}

async fn next_piece(mut sending: Sending) -> Option<(Result<Bytes, std::io::Error>, Sending)> {
    if sending.at >= sending.end {
        return None;
    }
    match piece(&mut sending).await {
        Ok(bytes) => Some((Ok(bytes), sending)),
        // The client sees a download that breaks off, and is told why when it asks to go on.
        Err(error) => {
            sending.at = sending.end;
            Some((Err(error), sending))
        }
    }
}

async fn piece(sending: &mut Sending) -> Result<Bytes, std::io::Error> {
    let app = &sending.log.app;
    if !still_holds(app, sending).await {
        return Err(std::io::Error::other("the access has ended, or the archive has changed"));
    }
    let n = usize::try_from(sending.end - sending.at).unwrap_or(usize::MAX).min(LONGEST);
    let (opened, at, is_archive) = (Arc::clone(&sending.opened), sending.at, sending.is_archive);
    let outlet = sending.outlet.as_ref().filter(|_| is_archive);
    let in_memory = outlet.and_then(|outlet| {
        let (offset, n) = opened.layout.in_memory(&opened.pack, at, n)?;
        Some(outlet.send(&opened.pack, offset, n))
    });
    let bytes = match in_memory {
        Some(bytes) => bytes,
        None => {
            let n = n.min(MOST_READ);
            let read = tokio::task::spawn_blocking(move || {
                let mut bytes = vec![0; n];
                match is_archive {
                    true => opened.layout.read_at(&opened.pack, at, &mut bytes).map_err(std::io::Error::other)?,
                    false => opened.manifest.read_exact_at(&mut bytes, at)?,
                }
                Ok::<_, std::io::Error>(Bytes::from(bytes))
            });
            read.await.map_err(std::io::Error::other)??
        }
    };
    sending.at += bytes.len() as u64;
    sending.log.n_sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    Ok(bytes)
}

/// Asked of the catalogue at most every half second for each grant and account, whatever the number of downloads.
async fn still_holds(app: &Arc<App>, sending: &Sending) -> bool {
    let (key, now_ms) = ((sending.grant, sending.account), app.now_ms());
    let known = app.deliveries.holds.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
    if let Some((asked_ms, holds)) = known
        && (0..BELIEVED_MS).contains(&(now_ms - asked_ms))
    {
        return holds;
    }
    let catalog = &app.project.catalog;
    let is_open =
        catalog.find_open_grant(sending.grant, sending.account, now_ms).await.is_ok_and(|found| found.is_some());
    let package = &sending.opened.package;
    let holds = is_open
        && catalog
            .count_withdrawn(package.release_id)
            .await
            .is_ok_and(|n_withdrawn| n_withdrawn == package.n_withdrawn);
    app.deliveries.holds.lock().unwrap_or_else(PoisonError::into_inner).insert(key, (now_ms, holds));
    holds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        assert_eq!(range_of("bytes=0-0", 10), Range::Part(0, 1));
        assert_eq!(range_of("bytes=3-", 10), Range::Part(3, 10));
        assert_eq!(range_of("bytes=3-99", 10), Range::Part(3, 10));
        assert_eq!(range_of("bytes=-4", 10), Range::Part(6, 10));
        assert_eq!(range_of("bytes=-40", 10), Range::Part(0, 10));
        assert_eq!(range_of("bytes=10-", 10), Range::Outside);
        assert_eq!(range_of("bytes=-0", 10), Range::Outside);
        for other in [
            "bytes=5-3",
            "bytes=a-b",
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes=",
            "bytes=-",
            "bytes=0-18446744073709551616",
        ] {
            assert_eq!(range_of(other, 10), Range::All, "{other}");
        }
    }
}
