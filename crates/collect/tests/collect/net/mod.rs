//! Does a fetch end well, or with the right word, whatever the server does?

mod addresses;
mod answers;
mod limits;
mod robots;

use std::time::Duration;

use affectory_collect::{Client, ClientSettings, FetchFailure, Fetched, FetchedImage, parse};

use crate::support::{Reply, Server};

/// Short enough to wait for, and only the first loopback address is open.
fn settings() -> ClientSettings {
    ClientSettings {
        open_networks: vec!["127.0.0.1/32".parse().unwrap()],
        max_body_bytes: 100_000,
        progress_window: Duration::from_secs(5),
        min_window_bytes: 1,
        ..ClientSettings::default()
    }
}

fn client() -> Client {
    Client::new(settings()).unwrap()
}

async fn fetch_with(client: &Client, url: &str) -> Result<FetchedImage, FetchFailure> {
    let url = parse(url, None)?;
    let fetching = client.fetch(&url, None);
    match tokio::time::timeout(Duration::from_secs(60), fetching).await.expect("a fetch has to end")? {
        Fetched::Image(image) => Ok(image),
        Fetched::NotModified { .. } => panic!("no condition was sent"),
    }
}

async fn fetch(url: &str) -> Result<FetchedImage, FetchFailure> {
    fetch_with(&client(), url).await
}

/// How a fetch ends whose server always answers like this.
async fn class_of(settings: ClientSettings, reply: Reply) -> &'static str {
    let server = Server::always(reply).await;
    let ended = fetch_with(&Client::new(settings).unwrap(), &server.url("/x.jpg")).await;
    ended.map_or_else(|failure| failure.class(), |_| "image")
}

/// Bytes that begin and end like a JPEG.
fn jpeg(size_bytes: usize) -> Vec<u8> {
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xe0];
    bytes.resize(size_bytes - 2, 7);
    bytes.extend([0xff, 0xd9]);
    bytes
}

fn head(lines: &str) -> Vec<u8> {
    [b"HTTP/1.1 200 OK\r\n", lines.as_bytes(), b"\r\n"].concat()
}

fn head_and(lines: &str, body: &[u8]) -> Vec<u8> {
    [head(lines).as_slice(), body].concat()
}
