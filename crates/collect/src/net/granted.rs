//! How does somebody get the files they were granted, from a server they name, with a token?
//!
//! The server may send us on to a store for the bytes: that gets no token. Each file is written as `NAME.part`, goes on where it was stopped, and gets its name once its SHA-256 is right.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, IF_RANGE, LOCATION, RANGE, RETRY_AFTER};
use sha2::{Digest as _, Sha256};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use url::Url;

use super::transport::{public_client, reason};

/// Attempts without one more byte before it is given up.
const ATTEMPTS: u32 = 8;

/// Longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Longest list of files, bytes.
const LIST_BYTES: usize = 1 << 20;

/// What a server offers under one access.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct GrantedList {
    /// The release.
    pub release: String,
    /// How often what was withdrawn has been taken out of it.
    pub revision: u64,
    /// Its files.
    pub files: Vec<GrantedFile>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct GrantedFile {
    /// Its name, without folders.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256, 64 hexadecimal digits.
    pub sha256: String,
}

/// Why a file did not come.
#[derive(Debug, thiserror::Error)]
pub enum GrantedError {
    /// The server said no.
    #[error("{url}: the server says {status}: {said}")]
    Refused {
        /// What was asked for.
        url: String,
        /// Its status.
        status: u16,
        /// Its words, shortened.
        said: String,
    },
    /// It was not reached, or broke off, too often.
    #[error("{url}: {reason}; the same command goes on where this stopped")]
    Unreached {
        /// What was asked for.
        url: String,
        /// The last reason.
        reason: String,
    },
    /// It said something else than a list of files.
    #[error("{0} is no list of files: give the address that the page Files shows")]
    NoList(String),
    /// What came is not what was announced.
    #[error("{0} came whole, but with another SHA-256: it was removed; run the command again")]
    Damaged(PathBuf),
    /// The disk refused.
    #[error("cannot {action} {path}")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The way to a server that gives files to those who show a token.
pub struct GrantedClient {
    http: reqwest::Client,
    authorization: HeaderValue,
}

enum Attempt {
    Done,
    Again { reason: String, wait: Option<Duration>, n_new: u64 },
}

impl GrantedClient {
    /// A client that shows `token`.
    ///
    /// # Errors
    /// [`GrantedError::NoList`] where the token cannot stand in a header.
    pub fn new(token: &str, user_agent: &str) -> Result<GrantedClient, GrantedError> {
        let text = |_| GrantedError::NoList("what the environment has as a token".into());
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}")).map_err(text)?;
        authorization.set_sensitive(true);
        let http = public_client(user_agent).map_err(|error| GrantedError::NoList(error.to_string()))?;
        Ok(GrantedClient { http, authorization })
    }

    /// What there is at an address such as `https://lab.example/files/7`.
    ///
    /// # Errors
    /// As [`GrantedError`] says.
    pub async fn list(&self, url: &Url) -> Result<GrantedList, GrantedError> {
        let unreached = |reason: String| GrantedError::Unreached { url: url.to_string(), reason };
        let request = self.http.get(url.clone()).header(AUTHORIZATION, self.authorization.clone());
        let response =
            request.header(ACCEPT, "application/json").send().await.map_err(|error| unreached(reason(&error)))?;
        if !response.status().is_success() {
            return Err(refusal(url, response).await);
        }
        let bytes = response.bytes().await.map_err(|error| unreached(reason(&error)))?;
        let list: Option<GrantedList> =
            if bytes.len() > LIST_BYTES { None } else { serde_json::from_slice(&bytes).ok() };
        // Names come from outside and become files here.
        let is_name = |name: &str| {
            !name.is_empty() && name.len() <= 200 && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
        };
        list.filter(|list| list.files.iter().all(|file| is_name(&file.name)))
            .ok_or_else(|| GrantedError::NoList(url.to_string()))
    }

    /// Brings one file of a list into a folder; one that is there and right stays. `told` hears of bytes as they come.
    ///
    /// # Errors
    /// As [`GrantedError`] says; what came so far is kept.
    pub async fn bring(
        &self,
        list: &Url,
        file: &GrantedFile,
        folder: &Path,
        told: impl Fn(u64) + Send,
    ) -> Result<PathBuf, GrantedError> {
        let (path, part) = (folder.join(&file.name), folder.join(format!("{}.part", file.name)));
        if tokio::fs::try_exists(&path).await.unwrap_or(false) && hash_of(&path).await? == file.sha256 {
            told(file.bytes);
            return Ok(path);
        }
        let mut url = list.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(&file.name);
        }
        let mut n_failures = 0;
        loop {
            match self.attempt(&url, file, &part, &told).await? {
                Attempt::Done => break,
                Attempt::Again { reason, wait, n_new } => {
                    n_failures = if n_new > 0 { 1 } else { n_failures + 1 };
                    if n_failures >= ATTEMPTS {
                        return Err(GrantedError::Unreached { url: url.to_string(), reason });
                    }
                    tracing::info!(%reason, "going on");
                    let doubled = Duration::from_secs(1 << n_failures.min(6));
                    tokio::time::sleep(wait.unwrap_or(doubled).min(LONGEST_WAIT)).await;
                }
            }
        }
        if hash_of(&part).await? != file.sha256 {
            tokio::fs::remove_file(&part).await.map_err(failed("remove", &part))?;
            return Err(GrantedError::Damaged(path));
        }
        tokio::fs::rename(&part, &path).await.map_err(failed("write", &path))?;
        Ok(path)
    }

    async fn attempt(
        &self,
        url: &Url,
        file: &GrantedFile,
        part: &Path,
        told: &(impl Fn(u64) + Send),
    ) -> Result<Attempt, GrantedError> {
        let mut target =
            OpenOptions::new().create(true).append(true).open(part).await.map_err(failed("write", part))?;
        let mut at = target.seek(SeekFrom::End(0)).await.map_err(failed("read", part))?;
        if at > file.bytes {
            target.set_len(0).await.map_err(failed("write", part))?;
            at = 0;
        }
        if at == file.bytes {
            return Ok(Attempt::Done);
        }
        let request = self
            .http
            .get(url.clone())
            .header(AUTHORIZATION, self.authorization.clone())
            .header(RANGE, format!("bytes={at}-"))
            .header(IF_RANGE, format!("\"{}\"", file.sha256));
        let again = |reason: String| Ok(Attempt::Again { reason, wait: None, n_new: 0 });
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return again(reason(&error)),
        };
        let is_elsewhere = response.status() == StatusCode::TEMPORARY_REDIRECT;
        if is_elsewhere {
            let Some(link) = link_of(url, &response) else { return Err(refusal(url, response).await) };
            // The link is all that is shown there: the token is for the server that the user named.
            response = match self.http.get(link).header(RANGE, format!("bytes={at}-")).send().await {
                Ok(response) => response,
                Err(error) => return again(reason(&error.without_url())),
            };
        }
        let status = response.status();
        if is_elsewhere && !status.is_success() {
            // Its minute is over, or what it leads to was removed: whoever gave it says which.
            return again(format!("the store says {status}"));
        }
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            return Ok(Attempt::Again { reason: status.to_string(), wait: wait.map(Duration::from_secs), n_new: 0 });
        }
        if !status.is_success() {
            return Err(refusal(url, response).await);
        }
        if status != StatusCode::PARTIAL_CONTENT {
            target.set_len(0).await.map_err(failed("write", part))?;
            at = 0;
        }
        let began_at = at;
        let outcome = loop {
            match response.chunk().await {
                Ok(Some(bytes)) => {
                    target.write_all(&bytes).await.map_err(failed("write", part))?;
                    at += bytes.len() as u64;
                    told(bytes.len() as u64);
                }
                Ok(None) if at >= file.bytes => break Attempt::Done,
                Ok(None) => break Attempt::Again { reason: "it broke off".into(), wait: None, n_new: at - began_at },
                Err(error) => break Attempt::Again { reason: reason(&error), wait: None, n_new: at - began_at },
            }
        };
        target.flush().await.map_err(failed("write", part))?;
        target.sync_all().await.map_err(failed("flush", part))?;
        Ok(outcome)
    }
}

/// Where a file is to be had instead; not over an open line if the server that says so is asked over a closed one.
fn link_of(url: &Url, response: &reqwest::Response) -> Option<Url> {
    let link = response.headers().get(LOCATION)?.to_str().ok()?;
    let link = Url::parse(link).ok()?;
    (link.scheme() == "https" || link.scheme() == "http" && url.scheme() == "http").then_some(link)
}

async fn refusal(url: &Url, response: reqwest::Response) -> GrantedError {
    let status = response.status();
    let said = match status {
        StatusCode::UNAUTHORIZED | StatusCode::SEE_OTHER => "the token is not known, or has ended",
        StatusCode::NOT_FOUND => "there is no such file under this access, or the access has ended",
        StatusCode::SERVICE_UNAVAILABLE => "your copy is being prepared: try again in a minute",
        _ => status.canonical_reason().unwrap_or("no"),
    };
    GrantedError::Refused { url: url.to_string(), status: status.as_u16(), said: said.into() }
}

async fn hash_of(path: &Path) -> Result<String, GrantedError> {
    let mut file = File::open(path).await.map_err(failed("read", path))?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).await.map_err(failed("read", path))? {
            0 => return Ok(hex::encode(hasher.finalize())),
            n => hasher.update(&buffer[..n]),
        }
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> GrantedError {
    let path = path.to_owned();
    move |source| GrantedError::File { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_followed_but_not_from_a_closed_line_to_an_open_one() {
        let link = |url: &str, location: &str| link_of(&Url::parse(url).unwrap(), &answer_with(location)).is_some();
        assert!(link("https://lab.example/files/7", "https://store.example/x?sign=1"));
        assert!(link("http://lab.example/files/7", "http://store.example/x"));
        assert!(link("http://lab.example/files/7", "https://store.example/x"));
        assert!(!link("https://lab.example/files/7", "http://store.example/x"));
        assert!(!link("https://lab.example/files/7", "file:///etc/passwd"));
        assert!(!link("https://lab.example/files/7", "/files/8"));
    }

    fn answer_with(location: &str) -> reqwest::Response {
        let answer = hyper::Response::builder().status(307).header(LOCATION, location).body("").unwrap();
        reqwest::Response::from(answer)
    }
}
