//! What does a server do that wants to do harm, and what was it asked?
//!
//! Plain TCP, so that nothing is too broken to be sent. A closure turns each request into a [`Reply`].

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What the server does with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A well-formed answer with its Content-Length; the connection stays.
    Answer(Answer),
    /// These bytes as they are, then the end of the connection.
    Raw(Vec<u8>),
    /// These bytes, then silence for ever on an open connection.
    RawThenSilence(Vec<u8>),
    /// A start, then one byte after the other, for ever.
    Drip(Vec<u8>, Duration),
    /// A start, then the same block for ever, as fast as it is taken.
    Flood(Vec<u8>, Vec<u8>),
}

/// A well-formed answer.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    /// An answer without a body.
    pub fn status(status: u16) -> Self {
        Reply::Answer(Answer { status, headers: Vec::new(), body: Vec::new() })
    }

    /// A 200 with this body.
    pub fn body(body: impl Into<Vec<u8>>) -> Self {
        Reply::Answer(Answer { status: 200, headers: Vec::new(), body: body.into() })
    }

    /// A 302 to this target.
    pub fn redirect(target: impl Into<String>) -> Self {
        Reply::status(302).with("Location", target)
    }

    /// The same with one more header; other replies than [`Reply::Answer`] stay as they are.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        if let Reply::Answer(answer) = &mut self {
            answer.headers.push((name.to_owned(), value.into()));
        }
        self
    }

    async fn send(self, stream: &mut BufReader<TcpStream>) -> std::io::Result<Then> {
        match self {
            Reply::Answer(answer) => {
                let mut text = format!("HTTP/1.1 {} Scripted\r\n", answer.status);
                for (name, value) in &answer.headers {
                    text += &format!("{name}: {value}\r\n");
                }
                if answer.status != 304 {
                    text += &format!("Content-Length: {}\r\n", answer.body.len());
                }
                let bytes = [text.as_bytes(), b"\r\n", &answer.body].concat();
                stream.write_all(&bytes).await.map(|()| Then::Next)
            }
            Reply::Raw(bytes) => stream.write_all(&bytes).await.map(|()| Then::Close),
            Reply::RawThenSilence(bytes) => {
                stream.write_all(&bytes).await?;
                std::future::pending().await
            }
            Reply::Drip(start, pause) => {
                stream.write_all(&start).await?;
                loop {
                    tokio::time::sleep(pause).await;
                    stream.write_all(b"x").await?;
                }
            }
            Reply::Flood(start, block) => {
                stream.write_all(&start).await?;
                loop {
                    stream.write_all(&block).await?;
                }
            }
        }
    }
}

enum Then {
    Next,
    Close,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// Path and query.
    pub path: String,
    /// In order; names in lower case.
    pub headers: Vec<(String, String)>,
    /// Number of the connection, from 0.
    pub connection_idx: usize,
}

impl Request {
    /// The first value of a header, its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

/// A server on loopback; gone when dropped.
pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts a server that answers by a script.
    pub async fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (script, seen): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new(); // dropped, and so ended, with the server
            for connection_idx in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                connections.spawn(serve(stream, connection_idx, script, seen));
            }
        });
        Self { address, requests, task }
    }

    /// Starts a server that has no robots.txt and answers everything else in one way.
    pub async fn always(reply: Reply) -> Self {
        Self::start(move |request| if request.path == "/robots.txt" { Reply::status(404) } else { reply.clone() }).await
    }

    /// The URL of a path, by the server's address.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The port, for URLs with another host.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// All requests until now.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Number of requests for a path until now.
    pub fn count(&self, path: &str) -> usize {
        self.requests().iter().filter(|request| request.path == path).count()
    }

    /// Number of connections that brought a request until now.
    pub fn n_connections(&self) -> usize {
        let mut connections: Vec<_> = self.requests().iter().map(|request| request.connection_idx).collect();
        connections.sort_unstable();
        connections.dedup();
        connections.len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An error ends the connection: the client is gone, as it should be in many a test.
async fn serve(
    stream: TcpStream,
    connection_idx: usize,
    script: Arc<Script>,
    seen: Arc<Mutex<Vec<Request>>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream, connection_idx).await? {
        seen.lock().unwrap().push(request.clone());
        match script(&request).send(&mut stream).await? {
            Then::Next => {}
            Then::Close => break,
        }
    }
    stream.shutdown().await
}

async fn read_request(stream: &mut BufReader<TcpStream>, connection_idx: usize) -> std::io::Result<Option<Request>> {
    let mut first = String::new();
    if stream.read_line(&mut first).await? == 0 {
        return Ok(None);
    }
    let Some(path) = first.split(' ').nth(1).map(str::to_owned) else { return Ok(None) };
    let mut request = Request { path, headers: Vec::new(), connection_idx };
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.split_once(':') else { break };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(request))
}
