//! Where do stories about S3 take place? On a real server in the test's own process, which can be told to misbehave.
//!
//! `s3s-fs` checks signatures and checksums, and keeps objects as files. It runs on a thread of its own, so that a program
//! that a test starts finds it too. The binary's tests include this file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use affectory_catalog::{Patience, S3Access};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use s3s::Body;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};

pub const BUCKET: &str = "faces";
const KEY: &str = "AKIATEST";
const SECRET: &str = "hush-hush-hush";

/// What the server does to requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answers 503 until then.
    Busy(Instant),
    /// Ends the connection in the middle of the next body that it sends, once.
    CutsBody,
    /// Sends the next body with half of its bytes and a length that fits, once.
    Halves,
    /// Reads requests and closes the connection, until then.
    Hangs(Instant),
}

/// A server with one bucket; it ends with the test.
pub struct S3 {
    pub address: SocketAddr,
    folder: tempfile::TempDir,
    fault: Arc<Mutex<Option<Fault>>>,
    log: Arc<Mutex<Vec<String>>>,
}

impl S3 {
    pub fn start() -> S3 {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let (service, fault, log) = (service.build(), Arc::default(), Arc::default());
        let (tell, told) = std::sync::mpsc::channel();
        let (for_thread, for_log) = (Arc::clone(&fault), Arc::clone(&log));
        std::thread::spawn(move || serve(service, &for_thread, &for_log, &tell));
        S3 { address: told.recv().unwrap(), folder, fault, log }
    }

    /// `s3://faces/PREFIX`.
    pub fn place(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    /// What a user has in the environment.
    pub fn variables(&self) -> Vec<(String, String)> {
        self.variables_with(KEY, SECRET)
    }

    pub fn variables_with(&self, key: &str, secret: &str) -> Vec<(String, String)> {
        let pairs = [
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_ALLOW_HTTP", "1".into()),
            ("AWS_REGION", "eu-test-1".into()),
            ("AWS_ACCESS_KEY_ID", key.into()),
            ("AWS_SECRET_ACCESS_KEY", secret.into()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// Access with a patience of seconds.
    pub fn access(&self, seconds: u64) -> S3Access {
        hurried(self.variables(), seconds)
    }

    pub fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = Some(fault);
    }

    /// Methods and paths of what was asked so far.
    pub fn asked(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// The file that an object is in.
    pub fn file(&self, key: &str) -> PathBuf {
        self.folder.path().join(BUCKET).join(key)
    }
}

pub fn hurried(variables: Vec<(String, String)>, seconds: u64) -> S3Access {
    let patience = Patience { retry_for: Duration::from_secs(seconds), stall: Duration::from_secs(2) };
    S3Access::new(variables).with_patience(patience)
}

fn serve(
    service: S3Service,
    fault: &Arc<Mutex<Option<Fault>>>,
    log: &Arc<Mutex<Vec<String>>>,
    tell: &std::sync::mpsc::Sender<SocketAddr>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        tell.send(listener.local_addr().unwrap()).unwrap();
        loop {
            let Ok((socket, _)) = listener.accept().await else { continue };
            // Head and body go out as two packets, and the second must not wait for the first to be acknowledged.
            let _ = socket.set_nodelay(true);
            let (service, fault, log) = (service.clone(), Arc::clone(fault), Arc::clone(log));
            tokio::spawn(async move {
                let answer = service_fn(|request| answer(&service, &fault, &log, request));
                // A connection that broke is what some tests are about.
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), answer).await;
            });
        }
    });
}

async fn answer(
    service: &S3Service,
    fault: &Mutex<Option<Fault>>,
    log: &Mutex<Vec<String>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, std::io::Error> {
    let signed = if request.headers().contains_key("authorization") { " with authorization" } else { "" };
    log.lock().unwrap().push(format!("{} {}{signed}", request.method(), request.uri()));
    let now = *fault.lock().unwrap();
    match now {
        Some(Fault::Busy(until)) if Instant::now() < until => {
            let text = "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>reduce</Message></Error>";
            return Ok(Response::builder().status(503).body(Body::from(text.to_owned())).unwrap());
        }
        Some(Fault::Hangs(until)) if Instant::now() < until => {
            return Err(std::io::Error::other("hangs up"));
        }
        _ => {}
    }
    // The file server makes a bucket of whatever is put, as no other does.
    if !request.uri().path().starts_with(&format!("/{BUCKET}")) {
        let text = "<?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code><Message>none</Message></Error>";
        return Ok(Response::builder().status(404).body(Body::from(text.to_owned())).unwrap());
    }
    let is_read = request.method() == "GET" && !request.uri().to_string().contains("list-type");
    let response =
        service.call(request.map(Body::from)).await.map_err(|error| std::io::Error::other(format!("{error:?}")))?;
    if !is_read || !matches!(now, Some(Fault::CutsBody | Fault::Halves)) {
        return Ok(response);
    }
    *fault.lock().unwrap() = None;
    let (mut head, mut body) = response.into_parts();
    let bytes = body.store_all_limited(usize::MAX).await.unwrap();
    let half = bytes.slice(..bytes.len() / 2);
    if now == Some(Fault::Halves) {
        head.headers.insert("content-length", half.len().into());
        return Ok(Response::from_parts(head, Body::from(half)));
    }
    let pieces = vec![Ok(hyper::body::Frame::data(half)), Err(std::io::Error::other("cut"))];
    let broken = http_body_util::StreamBody::new(futures::stream::iter(pieces));
    Ok(Response::from_parts(head, Body::http_body_unsync(broken)))
}
