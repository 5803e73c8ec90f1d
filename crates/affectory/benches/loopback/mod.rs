//! What the benchmarks beside img2dataset share: a private nginx, and a project whose list holds its addresses.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use affectory_catalog::{NewHit, NewPage, NewQuery, Project};
use affectory_collect::{normalize, registrable_domain, url_key};

/// A private nginx on a free loopback port, and its address.
pub fn serve(folder: &Path) -> Option<(Child, String)> {
    serve_at(folder, &[])
}

/// The same, at further addresses of loopback.
pub fn serve_at(folder: &Path, further: &[String]) -> Option<(Child, String)> {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = folder.display();
    let further: String = further.iter().map(|address| format!(" listen {address}:{port};")).collect();
    let config = format!(
        "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; sendfile on; keepalive_requests 1000000; types {{ image/jpeg jpg; }}\n\
         client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u;\n\
         scgi_temp_path {at}/s; server {{ listen 127.0.0.1:{port};{further} root {at}/www; }} }}\n"
    );
    // Its worker is another user, who has to be let in.
    #[cfg(unix)]
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = folder.join("nginx.conf");
    std::fs::write(&path, config).unwrap();
    let child = Command::new("nginx").arg("-c").arg(&path).stderr(Stdio::null()).spawn().ok()?;
    let began = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "nginx does not answer");
        std::thread::sleep(Duration::from_millis(20));
    }
    Some((child, format!("http://127.0.0.1:{port}")))
}

/// What searching would have left in the catalogue; img2dataset's list is not timed either.
pub async fn put_on_the_list(project: &Project, urls: &[String]) {
    let query = NewQuery {
        provider: "bench".into(),
        text: "face".into(),
        language: "en".into(),
        expression: None,
        negatives: vec![],
    };
    project.catalog.plan_queries(&[query], now_ms()).await.unwrap();
    let search = project.catalog.claim_search("bench", "w", now_ms(), 60_000).await.unwrap().unwrap();
    let hits = (1..).zip(urls).map(|(rank, url)| {
        let url = normalize(url, None).unwrap();
        NewHit {
            rank,
            url_sha256: url_key(&url),
            host: registrable_domain(&url),
            url: url.into(),
            engine: "bench".into(),
            page_url: None,
            title: None,
            license: None,
            license_url: None,
            creator: None,
            attribution: None,
        }
    });
    let hits: Vec<NewHit> = hits.collect();
    project.catalog.record_page((search.id, "w"), &NewPage::last(&hits), now_ms()).await.unwrap();
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock as the binary does")]
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// img2dataset, if there is a Python that has it: these addresses to WebDataset shards, 64 threads in each process; and
/// where the shards will be.
#[expect(clippy::disallowed_methods, reason = "a benchmark asks where its yardstick is")]
pub fn img2dataset(folder: &Path, urls: &[String], n_processes: &str, round: u32) -> Option<(Command, PathBuf)> {
    let Ok(python) = std::env::var("AFFECTORY_YARDSTICK_PYTHON") else {
        println!("img2dataset: SKIPPED, AFFECTORY_YARDSTICK_PYTHON names no Python that has it");
        return None;
    };
    let list = folder.join("urls.txt");
    std::fs::write(&list, urls.join("\n")).unwrap();
    let output = folder.join(format!("shards{n_processes}-{round}"));
    let mut command = Command::new(python);
    command
        .args(["-c", "import fire, img2dataset; fire.Fire(img2dataset.download)"])
        .arg(format!("--url_list={}", list.display()))
        .arg(format!("--output_folder={}", output.display()))
        .arg(format!("--processes_count={n_processes}"))
        .args(["--thread_count=64", "--output_format=webdataset", "--compute_hash=sha256"])
        .arg("--number_sample_per_shard=1000")
        .env("NO_ALBUMENTATIONS_UPDATE", "1");
    Some((command, output))
}

/// Successes by its own count.
pub fn count_done(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let stats = files.filter(|path| path.to_string_lossy().ends_with("_stats.json"));
    stats
        .filter_map(|path| {
            serde_json::from_slice::<serde_json::Value>(&std::fs::read(path).ok()?).ok()?["successes"].as_u64()
        })
        .sum()
}
