//! What do servers do that fail, are slow, or mean harm, and how has each of it to end?

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};

use super::bombs;

/// Addresses of a host.
const PER_HOST: usize = 10;

/// Attempts after which an address has failed.
const ATTEMPTS: u64 = 4;

/// What is behind an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Picture,
    // 5 % of the addresses fail.
    NotFound,
    Gone,
    ServerError,
    BusyOnce,
    TooOftenOnce,
    Reset,
    BreaksOff,
    LongerThanAnnounced,
    // 5 % of the hosts are slow.
    DripsBodies,
    DripsHeaders,
    SaysNothing,
    TakesItsTime,
    // 2 % of the addresses are hostile.
    Endless,
    FiveGigabytes,
    EndlessHeaders,
    HugePng,
    GzipBomb,
    ZipBomb,
    RedirectLoop,
    EndlessRedirects,
    IntoLoopback,
    IntoMetadata,
    IntoFile,
    WebPage,
    LyingJpeg,
}

use Kind::*;

const FAILING: [Kind; 8] = [NotFound, Gone, ServerError, BusyOnce, TooOftenOnce, Reset, BreaksOff, LongerThanAnnounced];

const SLOW: [Kind; 4] = [DripsBodies, DripsHeaders, SaysNothing, TakesItsTime];

const HOSTILE: [Kind; 13] = [
    Endless,
    FiveGigabytes,
    EndlessHeaders,
    HugePng,
    GzipBomb,
    ZipBomb,
    RedirectLoop,
    EndlessRedirects,
    IntoLoopback,
    IntoMetadata,
    IntoFile,
    WebPage,
    LyingJpeg,
];

/// How an address has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending<'a> {
    pub state: &'a str,
    pub outcome: &'a str,
    pub attempts: u64,
    /// Requests for it that its host sees.
    pub requests: u64,
}

impl Kind {
    pub fn is_failing(self) -> bool {
        FAILING.contains(&self)
    }

    pub fn is_slow(self) -> bool {
        SLOW.contains(&self)
    }

    pub fn is_hostile(self) -> bool {
        HOSTILE.contains(&self)
    }

    pub fn ending(self) -> Ending<'static> {
        let once = |state, outcome| Ending { state, outcome, attempts: 1, requests: 1 };
        let in_vain = |outcome| Ending { state: "failed", outcome, attempts: ATTEMPTS, requests: ATTEMPTS };
        match self {
            Picture | TakesItsTime => once("fetched", "fetched"),
            BusyOnce | TooOftenOnce => Ending { state: "fetched", outcome: "fetched", attempts: 2, requests: 2 },
            NotFound | Gone => once("rejected", "gone"),
            ServerError => in_vain("http-5xx"),
            Reset => in_vain("connect"),
            BreaksOff => in_vain("incomplete-body"),
            // What was announced is the body, and that is half a picture.
            LongerThanAnnounced => once("rejected", "damaged"),
            DripsBodies => in_vain("too-slow"),
            DripsHeaders => in_vain("timeout-headers"),
            // It does not even say what may be asked for, so it is not asked.
            SaysNothing => Ending { requests: 0, ..in_vain("robots-unreachable") },
            Endless | FiveGigabytes => once("rejected", "too-large"),
            EndlessHeaders => once("rejected", "headers-too-large"),
            HugePng | LyingJpeg => once("rejected", "too-many-pixels"),
            GzipBomb => once("rejected", "encoded-body"),
            ZipBomb | WebPage => once("rejected", "not-an-image"),
            RedirectLoop => once("rejected", "redirect-loop"),
            EndlessRedirects => once("rejected", "too-many-redirects"),
            IntoLoopback | IntoMetadata => once("rejected", "forbidden-address"),
            IntoFile => once("rejected", "forbidden-scheme"),
        }
    }
}

/// Deals what is wrong to `n` addresses, ten a host: the same for the same number.
fn deal(n: usize) -> Vec<Kind> {
    let n_hosts = n.div_ceil(PER_HOST);
    let is_slow = |number: usize| number % n_hosts % 20 == 7;
    let slow_kind = |number: usize| SLOW[number % n_hosts / 20 % SLOW.len()];
    let mut kinds: Vec<Kind> = (0..n).map(|number| if is_slow(number) { slow_kind(number) } else { Picture }).collect();
    let mut quick: Vec<usize> = (0..n).filter(|number| !is_slow(*number)).collect();
    quick.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(4));
    let (failing, rest) = quick.split_at(n / 20);
    for (list, numbers) in [(&FAILING[..], failing), (&HOSTILE[..], &rest[..n / 50])] {
        numbers.iter().zip(list.iter().cycle()).for_each(|(number, kind)| kinds[*number] = *kind);
    }
    kinds
}

/// What was seen of one client.
#[derive(Debug, Default)]
pub struct Seen {
    /// Requests for each address, redirects left out.
    pub requests: HashMap<usize, u64>,
    pub connections: u64,
    pub robots: u64,
    /// Requests that reached what no stranger's redirect should lead to.
    pub inside: u64,
    /// When the last picture was sent that was to be had at the first attempt.
    pub last_picture: Option<Instant>,
}

/// Hundreds of hosts, all on loopback.
pub struct Web {
    port: u16,
    folder: PathBuf,
    kinds: Vec<Kind>,
    huge_png: Vec<u8>,
    gzip: Vec<u8>,
    zip: Vec<u8>,
    seen: Mutex<Seen>,
}

impl Web {
    /// Serves the pictures `0.jpg` and so on of a folder, or what is in their place.
    pub async fn start(folder: &Path, n: usize) -> Arc<Web> {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let web = Arc::new(Web {
            port: listener.local_addr().unwrap().port(),
            folder: folder.to_owned(),
            kinds: deal(n),
            huge_png: bombs::huge_png(),
            gzip: bombs::gzip(),
            zip: bombs::zip(),
            seen: Mutex::default(),
        });
        let shared = Arc::clone(&web);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let web = Arc::clone(&shared);
                tokio::spawn(async move { web.serve(stream).await });
            }
        });
        web
    }

    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    pub fn addresses(&self) -> Vec<String> {
        (0..self.kinds.len()).map(|number| format!("{}/{number}.jpg", self.host_of(number))).collect()
    }

    /// What the client was seen to do; the next one begins anew.
    pub fn take_seen(&self) -> Seen {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    fn n_hosts(&self) -> usize {
        self.kinds.len().div_ceil(PER_HOST)
    }

    fn host_of(&self, number: usize) -> String {
        let host = number % self.n_hosts();
        format!("http://127.1.{}.{}:{}", host / 200, host % 200 + 1, self.port)
    }

    /// What a host is, by its address: what one of its own addresses is, as far as that concerns all of it.
    fn host_kind(&self, address: Ipv4Addr) -> Kind {
        let [_, _, high, low] = address.octets();
        let host = usize::from(high) * 200 + usize::from(low).saturating_sub(1);
        self.kinds.get(host).copied().filter(|kind| kind.is_slow()).unwrap_or(Picture)
    }

    /// Answers one request after the other, as long as the answers let it.
    async fn serve(&self, stream: TcpStream) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        let IpAddr::V4(address) = stream.local_addr().ok()?.ip() else { return None };
        let is_inside = address == Ipv4Addr::LOCALHOST;
        self.note(|seen| seen.connections += 1);
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        loop {
            let first = lines.next_line().await.ok()??;
            let mut is_ours = false;
            loop {
                let line = lines.next_line().await.ok()??;
                if line.is_empty() {
                    break;
                }
                is_ours |= line.to_ascii_lowercase().starts_with("user-agent: affectory/");
            }
            let target = first.split(' ').nth(1)?;
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            if is_inside {
                self.note(|seen| seen.inside += 1);
                answer(&mut write, "200 OK", &self.picture(0)).await?;
                continue;
            }
            if self.host_kind(address) == SaysNothing {
                return std::future::pending().await;
            }
            if path == "/robots.txt" {
                self.note(|seen| seen.robots += 1);
                answer(&mut write, "404 Not Found", b"").await?;
                continue;
            }
            let number: usize = path.trim_matches('/').strip_suffix(".jpg")?.parse().ok()?;
            let nth = self.note(|seen| {
                let n = seen.requests.entry(number).or_default();
                *n += u64::from(query.is_empty());
                *n
            });
            self.answer(&mut write, (number, query), nth, is_ours).await?;
        }
    }

    /// `None` ends the connection.
    async fn answer(
        &self,
        to: &mut OwnedWriteHalf,
        (number, query): (usize, &str),
        nth: u64,
        is_ours: bool,
    ) -> Option<()> {
        let picture = self.picture(number);
        let length = |bytes: usize| format!("Content-Type: image/jpeg\r\nContent-Length: {bytes}\r\n");
        let own = format!("{}/{number}.jpg", self.host_of(number));
        match self.kinds[number] {
            Picture => {
                answer(to, "200 OK", &picture).await?;
                self.note(|seen| seen.last_picture = Some(Instant::now()));
                Some(())
            }
            NotFound => answer(to, "404 Not Found", b"no").await,
            Gone => answer(to, "410 Gone", b"no").await,
            ServerError => answer(to, "500 Internal Server Error", b"").await,
            BusyOnce if nth == 1 => answer(to, "503 Service Unavailable\r\nRetry-After: 1", b"").await,
            TooOftenOnce if nth == 1 => answer(to, "429 Too Many Requests\r\nRetry-After: 2", b"").await,
            BusyOnce | TooOftenOnce => answer(to, "200 OK", &picture).await,
            Reset => {
                to.as_ref().set_zero_linger().ok()?;
                None
            }
            BreaksOff => {
                begin(to, &length(picture.len()), &picture[..picture.len() / 2]).await?;
                None
            }
            LongerThanAnnounced => {
                begin(to, &length(picture.len() / 2), &picture).await?;
                None
            }
            DripsBodies => {
                begin(to, &length(picture.len()), &picture[..100]).await?;
                drip(to).await
            }
            DripsHeaders => {
                to.write_all(b"HTTP/1.1 200 OK\r\nX-Slow: ").await.ok()?;
                drip(to).await
            }
            SaysNothing => std::future::pending().await,
            TakesItsTime => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                begin(to, &length(picture.len()), b"").await?;
                for piece in picture.chunks(1_024) {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    to.write_all(piece).await.ok()?;
                }
                Some(())
            }
            Endless => {
                begin(to, "Content-Type: image/jpeg\r\n", &picture).await?;
                // As fast as it is taken up to 48 MiB, more than we take; then slowly, for a client without a limit
                // shares its machine with others.
                for _ in 0..48 {
                    to.write_all(&vec![7; 1 << 20]).await.ok()?;
                }
                loop {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    to.write_all(&vec![7; 256 << 10]).await.ok()?;
                }
            }
            FiveGigabytes => {
                begin(to, &length(5 << 30), &picture).await?;
                std::future::pending().await
            }
            EndlessHeaders => {
                to.write_all(b"HTTP/1.1 200 OK\r\n").await.ok()?;
                loop {
                    to.write_all("X-More: and more\r\n".repeat(500).as_bytes()).await.ok()?;
                }
            }
            HugePng => answer(to, "200 OK\r\nContent-Type: image/png", &self.huge_png).await,
            GzipBomb => answer(to, "200 OK\r\nContent-Type: image/jpeg\r\nContent-Encoding: gzip", &self.gzip).await,
            ZipBomb => answer(to, "200 OK\r\nContent-Type: image/jpeg", &self.zip).await,
            RedirectLoop => {
                let target = if query.is_empty() { format!("{own}?back") } else { own };
                redirect(to, &target).await
            }
            EndlessRedirects => redirect(to, &format!("{own}?{}", query.parse::<u32>().unwrap_or(0) + 1)).await,
            // Who follows it asks this machine's own metadata service, if there is one: only for whom this must not.
            IntoMetadata if is_ours => redirect(to, "http://169.254.169.254/latest/meta-data/").await,
            IntoLoopback | IntoMetadata => redirect(to, &format!("http://127.0.0.1:{}/inside", self.port)).await,
            IntoFile => redirect(to, "file:///etc/hostname").await,
            WebPage => {
                let page = b"<!doctype html><title>no picture</title><p>Please log in.</p>";
                answer(to, "200 OK\r\nContent-Type: image/jpeg", page).await
            }
            LyingJpeg => answer(to, "200 OK\r\nContent-Type: image/jpeg", &bombs::liar(&picture)).await,
        }
    }

    fn picture(&self, number: usize) -> Vec<u8> {
        std::fs::read(self.folder.join(format!("{number}.jpg"))).unwrap()
    }

    fn note<T>(&self, note: impl FnOnce(&mut Seen) -> T) -> T {
        note(&mut self.seen.lock().unwrap())
    }
}

async fn answer(to: &mut OwnedWriteHalf, status: &str, body: &[u8]) -> Option<()> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
    to.write_all(&[head.as_bytes(), body].concat()).await.ok()
}

async fn redirect(to: &mut OwnedWriteHalf, target: &str) -> Option<()> {
    answer(to, &format!("302 Found\r\nLocation: {target}"), b"").await
}

/// A head with these lines, and what follows it.
async fn begin(to: &mut OwnedWriteHalf, lines: &str, body: &[u8]) -> Option<()> {
    to.write_all(&[b"HTTP/1.1 200 OK\r\n", lines.as_bytes(), b"\r\n", body].concat()).await.ok()
}

/// A byte each half second, as long as somebody takes it.
async fn drip(to: &mut OwnedWriteHalf) -> Option<()> {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        to.write_all(b"x").await.ok()?;
    }
}
