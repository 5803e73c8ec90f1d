//! How is a bucket reached, how patiently, and what does a refusal mean to whoever reads it?
//!
//! The bucket and a prefix stand in `affectory.toml`; server, region and keys are a parameter, because they come from the
//! environment. TLS is rustls on ring with the program's own roots, as in every other room.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::path::Path as Key;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, RetryConfig};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::CatalogError;

const SCHEME: &str = "s3://";

/// What stands in the environment for S3: variables whose names begin with `AWS_`. Never printed.
#[derive(Clone, Default)]
pub struct S3Access {
    variables: Vec<(String, String)>,
    patience: Patience,
}

impl S3Access {
    /// Access by variables as `AWS_ACCESS_KEY_ID`, and their values.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> S3Access {
        S3Access { variables: variables.into_iter().collect(), patience: Patience::default() }
    }

    /// The same with another patience.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> S3Access {
        S3Access { patience, ..self }
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn is_true(&self, name: &str) -> bool {
        self.value(name).is_some_and(is_true)
    }

    /// The server, if it is not Amazon's.
    fn endpoint(&self) -> Option<&str> {
        ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"].iter().find_map(|name| self.value(name))
    }
}

impl fmt::Debug for S3Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.variables.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("S3Access").field("variables", &names).field("patience", &self.patience).finish()
    }
}

/// How long a server that is away, or has too much to do, is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the first attempt of a request to the last. A signature is good for five minutes or more, so not longer.
    pub retry_for: Duration,
    /// Without a byte moving, until a connection counts as dead.
    pub stall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { retry_for: Duration::from_secs(170), stall: Duration::from_secs(60) }
    }
}

impl Patience {
    /// For a person who waits for the answer.
    pub const SHORT: Patience = Patience { retry_for: Duration::from_secs(4), stall: Duration::from_secs(10) };
}

/// A bucket and what comes before its objects' names: `s3://BUCKET/PREFIX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct S3Place {
    pub(crate) bucket: String,
    pub(crate) prefix: Key,
}

impl S3Place {
    /// Whether that is meant to be one.
    pub(crate) fn is_meant(objects: &str) -> bool {
        objects.contains("://")
    }

    /// Reads `s3://BUCKET/PREFIX`; else says what is wrong with it.
    pub(crate) fn parse(objects: &str) -> Result<S3Place, String> {
        let Some(rest) = objects.strip_prefix(SCHEME) else {
            let scheme = objects.split("://").next().unwrap_or_default();
            return Err(format!(
                "objects: there is no store for `{scheme}://`; there are `local`, a path and `s3://BUCKET/PREFIX`"
            ));
        };
        // The text itself is not repeated: what is wrong with it may be that it holds a secret.
        if rest.contains(['@', '?', '#']) {
            return Err(
                "objects is more than `s3://BUCKET/PREFIX`: take keys and options out, they come from the environment"
                    .into(),
            );
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(is_name) {
            return Err(format!(
                "objects: `{}` is no bucket's name (3 to 63 of a-z, 0-9, `.` and `-`)",
                bucket.chars().take(63).collect::<String>()
            ));
        }
        // `Key` would pass over a slash at the beginning.
        let is_key = !prefix.starts_with('/');
        let prefix = Some(prefix.trim_end_matches('/')).filter(|_| is_key).and_then(|prefix| Key::parse(prefix).ok());
        let prefix =
            prefix.ok_or_else(|| "objects: the prefix behind the bucket is not like `some/folder`".to_owned())?;
        Ok(S3Place { bucket: bucket.to_owned(), prefix })
    }
}

impl fmt::Display for S3Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.bucket)?;
        if self.prefix.as_ref().is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

/// A bucket that can be asked, though nothing has been yet.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) s3: AmazonS3,
    pub(crate) place: S3Place,
    server: String,
}

impl Bucket {
    pub(crate) fn new(place: S3Place, access: &S3Access) -> Result<Bucket, CatalogError> {
        let server = access.endpoint().unwrap_or("Amazon").trim_end_matches('/').to_owned();
        let refused = |problem: String| CatalogError::S3 { place: place.to_string(), problem };
        check(access).map_err(refused)?;
        let mut builder = AmazonS3Builder::new().with_checksum_algorithm(Checksum::SHA256);
        for (name, value) in &access.variables {
            // As it reads them from the environment by itself; what it does not know is for others.
            if let Ok(key) = name.to_ascii_lowercase().parse() {
                builder = builder.with_config(key, value);
            }
        }
        let connector = Connector { roots: roots(access).map_err(refused)?, patience: access.patience };
        let s3 = builder
            .with_bucket_name(&place.bucket)
            // One object at a time is what we delete, and what every server knows.
            .with_disable_bulk_delete(true)
            .with_retry(RetryConfig {
                // The time is what ends it.
                max_retries: usize::MAX,
                retry_timeout: access.patience.retry_for,
                backoff: BackoffConfig { max_backoff: Duration::from_secs(8), ..BackoffConfig::default() },
            })
            .with_http_connector(connector)
            .build()
            .map_err(|error| refused(plain(&error.to_string())))?;
        Ok(Bucket { s3, place, server })
    }

    /// What a failure becomes, for `map_err`.
    pub(crate) fn failed(&self) -> impl FnOnce(object_store::Error) -> CatalogError + use<> {
        let (place, server) = (self.place.to_string(), self.server.clone());
        move |error| CatalogError::S3 { place, problem: explain(&error, &server) }
    }
}

/// Whether a variable says yes, in one of the ways that AWS's own tools and `object_store` know.
fn is_true(value: &str) -> bool {
    ["true", "1", "yes", "y", "on"].contains(&value.to_lowercase().as_str())
}

/// Refuses what could only fail later, after minutes of trying.
fn check(access: &S3Access) -> Result<(), String> {
    let has = |names: &[&str]| names.iter().all(|name| access.value(name).is_some());
    let has_credentials = has(&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
        || has(&["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"])
        || has(&["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"])
        || has(&["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"])
        || has(&["AWS_METADATA_ENDPOINT"])
        || access.is_true("AWS_SKIP_SIGNATURE");
    if !has_credentials {
        return Err(
            "no key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role's variables (docs/storage.md)".into()
        );
    }
    if access.endpoint().is_some_and(|url| url.starts_with("http://")) && !access.is_true("AWS_ALLOW_HTTP") {
        return Err(
            "the server's address begins with http://: set AWS_ALLOW_HTTP=true if its network may read along".into()
        );
    }
    Ok(())
}

/// The world's certificates, and those of a lab that signs its own.
fn roots(access: &S3Access) -> Result<rustls::RootCertStore, String> {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = access.value("AWS_CA_BUNDLE") {
        let failed = |reason: String| format!("AWS_CA_BUNDLE={path} cannot be read: {reason}");
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| failed(error.to_string()))?;
            roots.add(certificate).map_err(|error| failed(error.to_string()))?;
        }
    }
    Ok(roots)
}

/// Makes HTTP clients on rustls with ring.
#[derive(Debug)]
struct Connector {
    roots: rustls::RootCertStore,
    patience: Patience,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let failed = |source: Box<dyn StdError + Send + Sync>| object_store::Error::Generic { store: "S3", source };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.into()))?
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        let may_be_plain = options.get_config_value(&ClientConfigKey::AllowHttp).as_deref().is_some_and(is_true);
        let mut client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(!may_be_plain)
            // Faster than HTTP/2 for what stores do: arrow-rs, issue 5194.
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("affectory/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(5).min(self.patience.stall))
            .read_timeout(self.patience.stall)
            .tcp_nodelay(true);
        if let Some(proxy) = options.get_config_value(&ClientConfigKey::ProxyUrl) {
            client = client.proxy(reqwest::Proxy::all(proxy).map_err(|error| failed(error.into()))?);
        }
        let http = client.build().map_err(|error| failed(error.into()))?;
        Ok(HttpClient::new(Line { http, away_since: Mutex::default() }))
    }
}

/// A client whose errors say whether another attempt can help, and that tells of a server that is away.
#[derive(Debug)]
struct Line {
    http: reqwest::Client,
    /// Since when nothing has come back, or since it was last told.
    away_since: Mutex<Option<Instant>>,
}

/// What is over sooner is not worth a line; whoever waits longer reads one this often.
const TELL_EVERY: Duration = Duration::from_secs(10);

impl Line {
    /// Notes whether an answer came, and `why` not.
    fn note(&self, why: Option<&str>) {
        let mut away_since = self.away_since.lock().unwrap_or_else(PoisonError::into_inner);
        match (why, *away_since) {
            (None, _) => *away_since = None,
            (Some(_), None) => *away_since = Some(Instant::now()),
            (Some(why), Some(since)) if since.elapsed() > TELL_EVERY => {
                *away_since = Some(Instant::now());
                tracing::warn!(why, "the image store is away, and is asked again for some minutes");
            }
            (Some(_), Some(_)) => {}
        }
    }
}

#[async_trait::async_trait]
impl HttpService for Line {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        match self.http.call(request).await {
            Ok(response) => {
                let status = response.status();
                let is_away = status.is_server_error() || status.as_u16() == 429;
                self.note(is_away.then_some(status.as_str()));
                Ok(response)
            }
            // A certificate that does not hold will not hold in a minute.
            Err(error) if causes(&error).any(is_tls) => Err(HttpError::new(HttpErrorKind::Unknown, error)),
            Err(error) => {
                self.note(Some(&causes(&error).last().map_or_else(String::new, ToString::to_string)));
                // Those without a kind are connections that broke in a way that has no name; what we ask for can be repeated.
                let kind = match error.kind() {
                    HttpErrorKind::Unknown => HttpErrorKind::Interrupted,
                    kind => kind,
                };
                Err(HttpError::new(kind, error))
            }
        }
    }
}

fn is_tls(cause: &(dyn StdError + 'static)) -> bool {
    let within = cause.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
    cause.is::<rustls::Error>() || within.is_some_and(|error| error.is::<rustls::Error>())
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

/// Whether an object is absent, and the bucket there: other answers with 404 come from a wrong server or bucket, and must
/// not make a million images count as lost.
pub(crate) fn is_absent(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. }) && code(&error.to_string()) == Some("NoSuchKey")
}

/// The code in a server's answer, as `NoSuchBucket`.
fn code(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code)
}

/// What happened and what to do, from what the client says: it has no type for it that others may see.
fn explain(error: &object_store::Error, server: &str) -> String {
    let text: Vec<String> = causes(error).map(ToString::to_string).collect();
    let text = text.join(": ");
    let status: Option<u16> = text
        .split_once("non-2xx status code: ")
        .and_then(|(_, rest)| rest.get(..3))
        .and_then(|digits| digits.parse().ok());
    if let Some(cause) = causes(error).find(|cause| is_tls(*cause)) {
        return format!(
            "{server} does not show a certificate that holds ({cause}): for a lab's own one set AWS_CA_BUNDLE to a PEM file"
        );
    }
    match (code(&text), status) {
        (Some("NoSuchBucket"), _) => {
            format!("{server} has no bucket of that name: create it, or correct `objects` in affectory.toml")
        }
        (Some(code @ ("InvalidAccessKeyId" | "SignatureDoesNotMatch")), _) => {
            format!("{server} refuses the key ({code}): check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        }
        (Some(code @ ("ExpiredToken" | "InvalidToken")), _) => {
            format!("{server} refuses AWS_SESSION_TOKEN ({code}): get new credentials")
        }
        (Some("RequestTimeTooSkewed"), _) => format!("{server} says that this machine's clock is wrong: set it"),
        (Some(code @ ("AuthorizationHeaderMalformed" | "PermanentRedirect")), _) => {
            format!("the bucket is in another region ({code}): set AWS_REGION")
        }
        (code, Some(301 | 307)) => {
            format!("{server} sends elsewhere ({}): set AWS_REGION and AWS_ENDPOINT_URL", code.unwrap_or("redirect"))
        }
        (code, Some(status @ (401 | 403))) => format!(
            "{server} does not allow it ({status} {}): the key's rights are in docs/storage.md",
            code.unwrap_or("without a reason")
        ),
        (code, Some(status @ (429 | 500..=599))) => format!(
            "{server} answered {status} {} again and again: what was done is kept, run the command again later",
            code.unwrap_or_default()
        ),
        (Some(code), Some(status)) => format!("{server} answered {status} {code}"),
        (None, Some(status)) => format!("{server} answered {status}, which no S3 server says: check AWS_ENDPOINT_URL"),
        (_, None) if text.contains("without LOCATION") => {
            format!("the bucket is in another region than {server}: set AWS_REGION")
        }
        (_, None) => {
            let innermost = causes(error).last().map_or_else(String::new, ToString::to_string);
            format!("{server} cannot be reached ({}): check the network and AWS_ENDPOINT_URL", plain(&innermost))
        }
    }
}

/// Somebody else's text on one line and of bounded length.
fn plain(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    line.join(" ").chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_bucket_and_a_prefix_and_nothing_else() {
        let place = S3Place::parse("s3://lab-faces/affect/net/").unwrap();
        assert_eq!((place.bucket.as_str(), place.prefix.as_ref()), ("lab-faces", "affect/net"));
        assert_eq!(place.to_string(), "s3://lab-faces/affect/net");
        assert_eq!(S3Place::parse("s3://lab").unwrap().to_string(), "s3://lab");
        for wrong in ["s3://", "s3://Lab", "s3://ab", "s3://lab//x", "s3://lab/a/../b", "gs://lab/x"] {
            assert!(S3Place::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_secret_in_the_place_is_refused_and_not_repeated() {
        for secret in ["s3://AKIA:hush@lab/x", "s3://lab/x?secret=hush", "s3://lab#hush"] {
            let problem = S3Place::parse(secret).unwrap_err();
            assert!(problem.contains("environment") && !problem.contains("hush"), "{problem}");
        }
    }

    #[test]
    fn access_without_a_key_or_over_an_open_line_is_refused_at_once() {
        let with = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            check(&S3Access::new(pairs))
        };
        assert!(with(&[]).unwrap_err().contains("AWS_ACCESS_KEY_ID"));
        let key = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
        assert!(with(&key).is_ok());
        let plain = [key[0], key[1], ("AWS_ENDPOINT_URL", "http://store")];
        assert!(with(&plain).unwrap_err().contains("AWS_ALLOW_HTTP"));
        for yes in ["true", "1"] {
            assert!(with(&[plain[0], plain[1], plain[2], ("AWS_ALLOW_HTTP", yes)]).is_ok());
        }
    }

    #[test]
    fn what_is_secret_is_not_printed() {
        let access = S3Access::new([("AWS_SECRET_ACCESS_KEY".to_owned(), "hush".to_owned())]);
        assert!(!format!("{access:?}").contains("hush"));
    }
}
