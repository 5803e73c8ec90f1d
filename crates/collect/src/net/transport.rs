//! How is one request sent and its answer's head received, with a guard on the address and a deadline on each phase?

use std::collections::HashSet;
use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Response, redirect};
use url::{Host, Position, Url};

use super::address::check_address;
use super::failure::{FetchFailure, NetError, RetryAfter};
use super::resolver::{GuardedResolver, Lookup, ResolveRefusal};
use super::settings::ClientSettings;

/// Between two tries to open a connection when this process, or the machine, has no file or socket left.
const DESCRIPTORS_PAUSE: Duration = Duration::from_millis(100);

/// Connections and what they may do.
pub(crate) struct Transport {
    pool: Mutex<Pool>,
    tls: rustls::ClientConfig,
    lookup: Arc<dyn Lookup>,
    settings: Arc<ClientSettings>,
}

/// One connection pool, and the sites whose connections it may hold.
struct Pool {
    http: reqwest::Client,
    sites: HashSet<String>,
}

impl Transport {
    pub(crate) fn new(settings: Arc<ClientSettings>, lookup: Arc<dyn Lookup>) -> Result<Self, NetError> {
        Self::trusting(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(), settings, lookup)
    }

    fn trusting(
        roots: rustls::RootCertStore,
        settings: Arc<ClientSettings>,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, NetError> {
        let tls = tls_config(roots)?;
        let pool = Mutex::new(Pool { http: http(&settings, &tls, &lookup)?, sites: HashSet::new() });
        Ok(Self { pool, tls, lookup, settings })
    }

    /// The pool for a request to this site. Nothing else bounds how many sites have idle connections, each a file
    /// descriptor: a pool that has met too many makes way for an empty one. What is in use there comes to its end.
    fn http_for(&self, url: &Url) -> reqwest::Client {
        let mut pool = self.lock();
        let site = &url[..Position::BeforePath];
        if !pool.sites.contains(site) {
            if pool.sites.len() >= self.settings.max_idle_sites.max(1) {
                self.close_idle(&mut pool);
            }
            pool.sites.insert(site.to_owned());
        }
        pool.http.clone()
    }

    fn close_idle(&self, pool: &mut Pool) {
        // It could be set up once, so it can be again; else more stay open for their idle time.
        if let Ok(http) = http(&self.settings, &self.tls, &self.lookup) {
            *pool = Pool { http, sites: HashSet::new() };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a GET and waits for the head of its answer, which is within limits and whose body is not encoded.
    pub(crate) async fn ask(&self, url: &Url, headers: HeaderMap) -> Result<Response, FetchFailure> {
        self.ask_with(url, headers, None).await
    }

    /// As [`Transport::ask`]; a form makes it a POST.
    pub(crate) async fn ask_with(
        &self,
        url: &Url,
        headers: HeaderMap,
        form: Option<String>,
    ) -> Result<Response, FetchFailure> {
        self.check_literal(url)?;
        let sending = async {
            loop {
                let http = self.http_for(url);
                let request = match &form {
                    None => http.get(url.clone()),
                    Some(form) => http.post(url.clone()).body(form.clone()),
                };
                match request.headers(headers.clone()).send().await {
                    // No fault of the address: others of ours have what it would need, and will give it back.
                    Err(e) if causes(&e).any(is_without_descriptors) => self.close_idle(&mut self.lock()),
                    answer => return answer,
                }
                tokio::time::sleep(DESCRIPTORS_PAUSE).await;
            }
        };
        // The connector ends itself after its own share, so what is left here is the wait for the head.
        let wait = self.settings.connect_timeout + self.settings.headers_timeout;
        let response = match tokio::time::timeout(wait, sending).await {
            Ok(answer) => answer.map_err(|e| send_failure(&e))?,
            Err(_) => return Err(FetchFailure::HeadersTimeout),
        };
        self.check_head(response.headers())?;
        Ok(response)
    }

    /// An address written in the URL passes no resolver, so it is looked at here.
    fn check_literal(&self, url: &Url) -> Result<(), FetchFailure> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        let host = url.host_str().unwrap_or_default().to_owned();
        check_address(address, &self.settings.open_networks).map_err(|kind| FetchFailure::ForbiddenAddress {
            host,
            address,
            kind,
        })
    }

    fn check_head(&self, headers: &HeaderMap) -> Result<(), FetchFailure> {
        let size_bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if headers.len() > self.settings.max_headers || size_bytes > self.settings.max_header_bytes as usize {
            return Err(FetchFailure::HeadersTooLarge);
        }
        // Images are compressed already and nothing was offered, so an encoded body is a mistake or a bomb. Not having
        // a decoder is the one ratio limit that nobody gets around.
        let encodings = headers.get_all(CONTENT_ENCODING).iter().map(|value| value.as_bytes().trim_ascii());
        match encodings.into_iter().find(|value| !value.is_empty() && !value.eq_ignore_ascii_case(b"identity")) {
            Some(value) => Err(FetchFailure::EncodedBody(String::from_utf8_lossy(value).chars().take(40).collect())),
            None => Ok(()),
        }
    }
}

fn http(
    settings: &ClientSettings,
    tls: &rustls::ClientConfig,
    lookup: &Arc<dyn Lookup>,
) -> Result<reqwest::Client, NetError> {
    let resolver = GuardedResolver {
        lookup: Arc::clone(lookup),
        open_networks: settings.open_networks.clone(),
        timeout: settings.resolve_timeout,
    };
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .dns_resolver(resolver)
        .no_proxy() // a proxy would resolve names by itself
        .redirect(redirect::Policy::none()) // each hop has to pass the guards
        .referer(false)
        .user_agent(settings.user_agent())
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(settings.idle_timeout)
        .pool_max_idle_per_host(settings.max_idle_per_host)
        .http1_max_headers(settings.max_headers)
        .http2_max_header_list_size(settings.max_header_bytes)
        // A connection that died quietly would otherwise take each request on it along.
        .http2_keep_alive_interval(settings.progress_window)
        .http2_keep_alive_timeout(settings.progress_window)
        .tcp_nodelay(true)
        .build()
        .map_err(|e| NetError::Setup(reason(&e)))
}

/// The one header that each request has besides its user agent.
pub(crate) fn accepting(types: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(types))])
}

/// A header's text, if it is there and is text.
pub(crate) fn header_text<'a>(response: &'a Response, name: &HeaderName) -> Option<&'a str> {
    response.headers().get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
}

/// When the server wants to be asked again.
pub(crate) fn retry_after(response: &Response) -> Option<RetryAfter> {
    header_text(response, &RETRY_AFTER).and_then(RetryAfter::parse)
}

/// The innermost cause, short enough for a status column.
pub(crate) fn reason(error: &(dyn StdError + 'static)) -> String {
    let innermost = causes(error).last().map_or_else(|| error.to_string(), ToString::to_string);
    innermost.chars().take(200).collect()
}

/// A client for a server that the user names: none of the guards against what strangers' pages point at, and no redirects,
/// for a token is not to be shown elsewhere.
///
/// # Errors
/// [`NetError::Setup`] if TLS cannot be set up.
pub fn public_client(user_agent: &str) -> Result<reqwest::Client, NetError> {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls_config(roots)?)
        .redirect(redirect::Policy::none())
        .user_agent(user_agent)
        .connect_timeout(std::time::Duration::from_secs(20))
        .read_timeout(std::time::Duration::from_secs(60))
        .build()
        .map_err(|error| NetError::Setup(error.to_string()))
}

fn tls_config(roots: rustls::RootCertStore) -> Result<rustls::ClientConfig, NetError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| NetError::Setup(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// What an error of the client stands for, by what is found in its chain of causes.
fn send_failure(error: &reqwest::Error) -> FetchFailure {
    if let Some(refusal) = causes(error).find_map(|cause| cause.downcast_ref::<ResolveRefusal>()) {
        return refusal.clone().into();
    }
    if let Some(e) = causes(error).find_map(tls_error) {
        return FetchFailure::Tls(e.to_string().chars().take(200).collect());
    }
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => return FetchFailure::ConnectTimeout,
        (true, false) => return FetchFailure::Connect(reason(error)),
        (false, true) => return FetchFailure::HeadersTimeout,
        (false, false) => {}
    }
    let hyper = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>());
    match hyper {
        Some(e) if e.is_parse_too_large() => FetchFailure::HeadersTooLarge,
        Some(e) if e.is_parse() || e.is_user() => FetchFailure::Protocol(reason(error)),
        // Closed or reset before an answer: as good as no connection.
        Some(_) | None => FetchFailure::Connect(reason(error)),
    }
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

/// Whether this process (EMFILE) or the machine (ENFILE) has as many files and sockets open as it may.
fn is_without_descriptors(cause: &(dyn StdError + 'static)) -> bool {
    let code = cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    cfg!(unix) && matches!(code, Some(23 | 24))
}

/// An error of the encryption library, which travels inside I/O errors that do not name it as their source.
fn tls_error<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut io = cause.downcast_ref::<io::Error>()?;
    loop {
        let inner = io.get_ref()?;
        match inner.downcast_ref::<io::Error>() {
            Some(deeper) => io = deeper,
            None => return inner.downcast_ref::<rustls::Error>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use futures::FutureExt as _;
    use futures::future::BoxFuture;
    use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

    use super::*;

    struct Loopback;

    impl Lookup for Loopback {
        fn lookup(&self, _: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) }.boxed()
        }
    }

    fn certificate() -> CertificateDer<'static> {
        include_bytes!("../../tests/certificates/e.example.certificate.der").as_slice().into()
    }

    /// An HTTP/2 server for `e.example` that answers 200 to all; it ends with the test's runtime.
    async fn start_http_2() -> SocketAddr {
        let key = PrivatePkcs8KeyDer::from(include_bytes!("../../tests/certificates/e.example.key.der").as_slice());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_no_client_auth().with_single_cert(vec![certificate()], key.into());
        let mut config = config.unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // One that does not trust us is gone here.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    while let Some(Ok((_, mut respond))) = connection.accept().await {
                        respond.send_response(hyper::Response::new(()), true).unwrap();
                    }
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn encrypted_hosts_are_asked_by_http_2_and_only_if_trusted() {
        let url = format!("https://e.example:{}/x", start_http_2().await.port());
        let ask = async |roots: rustls::RootCertStore, url: &str| {
            let open_networks = vec!["127.0.0.1/32".parse().unwrap()];
            let settings = ClientSettings { open_networks, ..ClientSettings::default() };
            let transport = Transport::trusting(roots, Arc::new(settings), Arc::new(Loopback)).unwrap();
            transport.ask(&Url::parse(url).unwrap(), HeaderMap::new()).await
        };
        let mut trusting = rustls::RootCertStore::empty();
        trusting.add(certificate()).unwrap();
        let answer = ask(trusting.clone(), &url).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));

        let world = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        assert_eq!(ask(world, &url).await.unwrap_err().class(), "tls");
        let other_name = url.replace("e.example", "other.example");
        assert_eq!(ask(trusting, &other_name).await.unwrap_err().class(), "tls");
    }
}
