//! How do a file's bytes reach a client without passing through this program's memory?
//!
//! hyper writes the slices that a body gives it. A body whose bytes lie in a file gives blanks of their number, slices of one
//! static array, and tells its connection's [`Outlet`] where they lie. The [`Wire`] knows blanks by their address, and has
//! the system send the file's bytes in their stead (`sendfile`, as nginx does); all else it writes as it comes. Between a body
//! and its wire nothing may copy: zeros would go out. The tests here, and `affectory fetch` everywhere, compare what arrives.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Error, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// The most bytes of a file that one slice may stand for; a pack's chunks are about as long (`cargo bench --bench downloads`: 79 to
/// 89 % of nginx with 256 KiB, 86 to 93 % with this).
pub(crate) const LONGEST: usize = 1024 * 1024;

static BLANKS: [u8; LONGEST] = [0; LONGEST];

/// What blanks on their way to one connection stand for, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outlet(Arc<Mutex<VecDeque<Place>>>);

#[derive(Debug)]
struct Place {
    file: Arc<File>,
    at: u64,
    left: usize,
}

impl Outlet {
    /// Stands for the `n` bytes of `file` from `at`, of which there may be [`LONGEST`]. The caller sees to it that they can be had
    /// without waiting for a disk: whoever else is served by this thread would wait too.
    pub(crate) fn send(&self, file: &Arc<File>, at: u64, n: usize) -> Bytes {
        let blanks = Bytes::from_static(&BLANKS[..n]);
        let place = Place { file: Arc::clone(file), at, left: n };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(place);
        blanks
    }
}

/// A connection that puts files where blanks are.
pub(crate) struct Wire {
    stream: TcpStream,
    outlet: Outlet,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, outlet: Outlet::default() }
    }

    pub(crate) fn outlet(&self) -> Outlet {
        self.outlet.clone()
    }

    /// Sends some of the file that the next `n` blanks stand for.
    fn poll_send(&self, cx: &mut Context<'_>, n: usize) -> Poll<Result<usize, Error>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            let mut places = self.outlet.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(place) = places.front_mut().filter(|place| place.left == n) else {
                return Poll::Ready(Err(Error::other("blanks came to a connection out of their order")));
            };
            match self.stream.try_io(Interest::WRITABLE, || send_file(&self.stream, &place.file, &mut place.at, n)) {
                // Of a file that became shorter nothing can stand in for the rest.
                Ok(0) => return Poll::Ready(Err(ErrorKind::UnexpectedEof.into())),
                Ok(sent) => {
                    place.left -= sent;
                    if place.left == 0 {
                        places.pop_front();
                    }
                    return Poll::Ready(Ok(sent));
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn send_file(stream: &TcpStream, file: &File, at: &mut u64, n: usize) -> Result<usize, Error> {
    Ok(rustix::fs::sendfile(stream, file, Some(at), n)?)
}

/// Elsewhere the call has another shape, and no body sends blanks ([`affectory_portal::delivery::Layout::in_memory`]).
#[cfg(not(target_os = "linux"))]
fn send_file(_stream: &TcpStream, _file: &File, _at: &mut u64, _n: usize) -> Result<usize, Error> {
    Err(ErrorKind::Unsupported.into())
}

fn is_blank(slice: &[u8]) -> bool {
    BLANKS.as_ptr_range().contains(&slice.as_ptr())
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, slice: &[u8]) -> Poll<Result<usize, Error>> {
        self.poll_write_vectored(cx, &[IoSlice::new(slice)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize, Error>> {
        match slices.iter().position(|slice| is_blank(slice)) {
            Some(0) => self.poll_send(cx, slices[0].len()),
            n => Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..n.unwrap_or(slices.len())]),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io::Write as _;
    use std::net::SocketAddr;

    use axum::body::Body;
    use axum::http::{Request, Response};
    use futures::stream;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// What a body is made of: a part of the file, or words.
    #[derive(Clone, Copy)]
    enum Part {
        File(u64, usize),
        Words(&'static [u8]),
    }

    /// A file of a known pattern, longer than a socket holds.
    fn file() -> (Arc<File>, Vec<u8>) {
        let pattern: Vec<u8> = (0..8_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&pattern).unwrap();
        (Arc::new(file), pattern)
    }

    /// Answers every request on one connection with the parts, under a length of its own.
    async fn answer(listener: TcpListener, file: Arc<File>, parts: Vec<Part>) -> Result<(), hyper::Error> {
        let wire = Wire::new(listener.accept().await.unwrap().0);
        let outlet = wire.outlet();
        let service = hyper::service::service_fn(move |_: Request<hyper::body::Incoming>| {
            let (outlet, file, parts) = (outlet.clone(), Arc::clone(&file), parts.clone());
            let length: usize = parts.iter().map(|part| part_len(*part)).sum();
            let pieces = parts.into_iter().map(move |part| {
                Ok::<_, Infallible>(match part {
                    Part::File(at, n) => outlet.send(&file, at, n),
                    Part::Words(words) => Bytes::from_static(words),
                })
            });
            let response = Response::builder().header("content-length", length);
            std::future::ready(response.body(Body::from_stream(stream::iter(pieces))))
        });
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(wire), service).await
    }

    fn part_len(part: Part) -> usize {
        match part {
            Part::File(_, n) => n,
            Part::Words(words) => words.len(),
        }
    }

    /// What a client gets that reads a little at a time, and asks twice on one connection.
    async fn fetch_twice(address: SocketAddr) -> Vec<u8> {
        let mut client = TcpStream::connect(address).await.unwrap();
        let ask = "GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        client.write_all(ask.as_bytes()).await.unwrap();
        let (mut all, mut buffer) = (Vec::new(), vec![0; 30_011]);
        while let Ok(n @ 1..) = client.read(&mut buffer).await {
            all.extend_from_slice(&buffer[..n]);
        }
        all
    }

    #[tokio::test]
    async fn what_arrives_is_the_file_between_the_words_around_it() {
        let (file, pattern) = file();
        let mut parts = vec![Part::Words(b"before")];
        parts.extend((0..7).map(|n| Part::File(n * LONGEST as u64 + 3, LONGEST)));
        parts.extend([Part::Words(b"between"), Part::File(7_999_999, 1), Part::File(17, 1000), Part::Words(b"after")]);
        let mut expected = Vec::new();
        for part in &parts {
            match *part {
                Part::File(at, n) => expected.extend_from_slice(&pattern[at as usize..][..n]),
                Part::Words(words) => expected.extend_from_slice(words),
            }
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (served, got) = tokio::join!(answer(listener, file, parts), fetch_twice(address));
        served.unwrap();
        let body_at = |from: usize| from + got[from..].windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let first = body_at(0);
        let second = body_at(first + expected.len());
        assert!(got[first..].starts_with(&expected) && got[second..] == expected);
    }

    /// The client must see that it has not got all.
    #[tokio::test]
    async fn of_a_file_that_became_shorter_no_zeros_go_out() {
        let (file, pattern) = file();
        file.set_len(100_000).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let parts = vec![Part::File(0, LONGEST)];
        let (served, got) = tokio::join!(answer(listener, file, parts), fetch_twice(address));
        assert!(served.is_err());
        assert!(got.ends_with(&pattern[..100_000]));
    }
}
