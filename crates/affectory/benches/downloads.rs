//! How fast are many downloads of one archive at once beside nginx sending the same file, and how much memory do they take?
//!
//! `cargo bench -p affectory --bench downloads [GB]` with Debian's nginx installed. 200 clients, each with ranges of 64 MiB at
//! random places, as `affectory fetch` and curl go on after a break; the same clients ask both servers, turn by turn. Ours
//! is the program itself, as people run it: with its sessions, its log of downloads, and the grant asked for again while
//! bytes go out.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

#[expect(dead_code, reason = "only its nginx is wanted")]
mod loopback;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use affectory_catalog::{
    Applicant, LinkWord, NewAccount, NewRelease, NewRequest, Project, ProjectConfig, RequestChange, Role,
};
use affectory_core::{BoundingBox, Expression, GrantId, PerceptualHash, Sha256Hex, Split};
use affectory_portal::delivery::{Layout, build, manifest_path, package_folder};
use affectory_portal::{SETTINGS_FILE, TEMPLATE};
use affectory_release::ReleaseItem;
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const CLIENTS: usize = 200;
const RANGE: u64 = 64 << 20;
/// Ranges that each client asks for, one after the other.
const RANGES: usize = 2;
const ROUNDS: usize = 3;
const TOKEN: &str = "affectory_0000000000000000000000000000000000000000000000000000000000000000";

fn sha256(bytes: &[u8]) -> Sha256Hex {
    Sha256Hex::from_digest(&Sha256::digest(bytes).into())
}

#[tokio::main]
async fn main() {
    let gigabytes: f64 = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(2.0);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("project");
    let (grant, layout) = prepare(&root, (gigabytes * 1e9) as u64).await;
    std::fs::create_dir(folder.path().join("www")).unwrap();
    write_archive(&layout, &folder.path().join("www/archive.tar"));
    let Some((mut nginx, theirs)) = loopback::serve(folder.path()) else {
        println!("SKIPPED: nginx is not installed (apt-get install nginx-light)");
        return;
    };
    let (mut server, ours) = start(&root);
    let theirs: SocketAddr = theirs.trim_start_matches("http://").parse().unwrap();
    let path = format!("/files/{grant}/v1-r1.tar");
    let check = fetch(ours, &path, 12_345, 70_000).await;
    assert_eq!(check, fetch(theirs, "/archive.tar", 12_345, 70_000).await, "the same bytes");
    println!("{CLIENTS} clients, ranges of {} MiB of an archive of {:.2} GB", RANGE >> 20, layout.size() as f64 / 1e9);
    let (mut best_ours, mut best_theirs) = (0.0_f64, 0.0_f64);
    for round in 1..=ROUNDS {
        let nginx_rate = rate(theirs, "/archive.tar", layout.size(), round).await;
        let our_rate = rate(ours, &path, layout.size(), round).await;
        (best_ours, best_theirs) = (best_ours.max(our_rate), best_theirs.max(nginx_rate));
        println!(
            "round {round}: nginx {nginx_rate:.2} GB/s, affectory {our_rate:.2} GB/s, {:.0} %; affectory's memory {:.0} MB",
            100.0 * our_rate / nginx_rate,
            resident_mb(server.id())
        );
    }
    println!("best of each: {:.0} % of nginx", 100.0 * best_ours / best_theirs);
    for child in [&mut server, &mut nginx] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// A project with a release of noise, its package, and one grant.
async fn prepare(root: &Path, n_bytes: u64) -> (GrantId, Layout) {
    let project = Project::init(root, ProjectConfig::default()).await.unwrap();
    let catalog = &project.catalog;
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut items = Vec::new();
    let mut done = 0;
    while done < n_bytes {
        let mut bytes = vec![0; random.random_range(20_000..80_000)];
        random.fill_bytes(&mut bytes);
        done += bytes.len() as u64;
        let image_sha256 = project.store.put(bytes.into()).await.unwrap();
        items.push(ReleaseItem {
            item: format!("{}-0", &image_sha256.as_str()[..16]),
            image_sha256,
            crop_sha256: None,
            phash: PerceptualHash(0),
            format: "jpeg".into(),
            width: 425,
            height: 425,
            bounding_box: BoundingBox::whole(425, 425),
            landmarks: None,
            expression: Expression::Happy,
            valence: None,
            arousal: None,
            is_proxy: false,
            votes: [0; 11],
            agreement: None,
            split: Split::Train,
            group: 0,
            source: "s".into(),
            path: String::new(),
            page_url: None,
            license: None,
        });
    }
    let new = NewRelease { name: "v1".into(), seed: 1, labels: "happy,sad".into(), parameters: "{}".into() };
    let release = catalog.record_release(&new, &[], async || sha256(b"no manifest is read here"), 1).await.unwrap();
    let account = NewAccount { email: "a@b.c", name: "A", role: Role::Lead, language: "en", password_hash: "x" };
    let account = catalog.insert_account(&account, "bench", 1).await.unwrap();
    let word = |text: &str| LinkWord { sha256: sha256(text.as_bytes()), expires_ms: i64::MAX };
    let applicant = Applicant { name: "A".into(), email: "a@b.c".into(), ..Applicant::default() };
    let new = NewRequest { release_id: release.id, applicant: applicant.clone(), student: None, link: word("link") };
    let request = catalog.insert_request(&new, &[], 1).await.unwrap();
    let (object, seed) = (sha256(b"agreement"), sha256(b"seed"));
    for change in [
        RequestChange::Own { account: account.id, applicant: &applicant, number: "1", agreement: &object },
        RequestChange::Submit { signed: &object, report: "{}" },
        RequestChange::Grant { seed: seed.as_str(), expires_ms: i64::MAX, student_link: None },
    ] {
        assert!(catalog.change_request(request, &change, Some(&account), &[], 1).await.unwrap());
    }
    catalog.insert_token(&account, "bench", &word(TOKEN), 1).await.unwrap();
    let grant = catalog.list_grants().await.unwrap().remove(0);
    let package_at = package_folder(&project, "v1", 1);
    std::fs::create_dir_all(package_at.parent().unwrap()).unwrap();
    let size = build(&project, &items, &package_at).await.unwrap();
    let package = catalog.record_package(release.id, 1, 0, size, 1).await.unwrap();
    std::fs::write(manifest_path(&package_at, &grant), "item\n").unwrap();
    let copy = affectory_catalog::DeliveryRow {
        archive_sha256: sha256(b"archive"),
        archive_bytes: size,
        manifest_sha256: sha256(b"manifest"),
        manifest_bytes: 5,
    };
    catalog.record_delivery(grant.id, package.id, &copy, 1).await.unwrap();
    let settings = TEMPLATE
        .replace("streams = 8", "streams = 1000")
        .replace("archives_a_day = 5", "archives_a_day = 1000000")
        .replace("# [[release]]\n", "[[release]]\nname = \"v1\"\n");
    std::fs::write(root.join(SETTINGS_FILE), settings).unwrap();
    let layout = Layout::open(&package_at, &grant.seed).unwrap();
    catalog.close().await;
    // The originals are in the pack now, and the disk may be small.
    std::fs::remove_dir_all(root.join("objects")).unwrap();
    std::fs::create_dir(root.join("objects")).unwrap();
    (grant.id, layout)
}

fn write_archive(layout: &Layout, path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    let (pack, mut buffer, mut at) = (layout.open_pack().unwrap(), vec![0; 1 << 20], 0);
    while at < layout.size() {
        let n = buffer.len().min((layout.size() - at) as usize);
        layout.read_at(&pack, at, &mut buffer[..n]).unwrap();
        file.write_all(&buffer[..n]).unwrap();
        at += n as u64;
    }
}

/// The program on a free port.
fn start(root: &Path) -> (Child, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_affectory"))
        .args(["--project", root.to_str().unwrap(), "serve", "--bind", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().rsplit("http://").next().unwrap().parse().unwrap();
    (child, address)
}

/// Bytes a second, GB, over all clients.
async fn rate(address: SocketAddr, path: &str, size: u64, round: usize) -> f64 {
    let began = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let path = path.to_owned();
            tokio::spawn(async move {
                let mut random = ChaCha8Rng::seed_from_u64((round * CLIENTS + client) as u64);
                for _ in 0..RANGES {
                    let at = random.random_range(0..size.saturating_sub(RANGE).max(1));
                    fetch(address, &path, at, RANGE.min(size - at)).await;
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    ((CLIENTS * RANGES) as u64 * RANGE) as f64 / began.elapsed().as_secs_f64() / 1e9
}

/// Asks for a range and reads it; says a sum over its bytes where there are few, so that servers can be compared.
async fn fetch(address: SocketAddr, path: &str, at: u64, len: u64) -> u64 {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let last = at + len - 1;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {TOKEN}\r\nrange: bytes={at}-{last}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut buffer, mut head, mut n_body, mut sum) = (vec![0; 256 * 1024], Vec::new(), 0, 0_u64);
    loop {
        let n = stream.read(&mut buffer).await.unwrap();
        if n == 0 {
            break;
        }
        let mut body = &buffer[..n];
        if n_body == 0 {
            head.extend_from_slice(body);
            let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            assert!(head.starts_with(b"HTTP/1.1 206"), "{}", String::from_utf8_lossy(&head[..end]));
            body = &head[end + 4..];
        }
        n_body += body.len() as u64;
        if len < 100_000 {
            sum = body.iter().fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        }
    }
    assert_eq!(n_body, len);
    sum
}

/// Resident memory of a process, MB, its files' pages not counted.
fn resident_mb(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1e3
}
