//! How is a search provider asked? Its address is the lab's own choice, so it may be anywhere; its answer is hostile.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::body::{BodyLimits, Overflow, read_body};
use super::failure::{FetchFailure, NetError, RetryAfter};
use super::resolver::SystemLookup;
use super::settings::ClientSettings;
use super::transport::{Transport, retry_after};
use crate::{ApiAnswer, ApiRequest, Method, Network};

/// Largest answer that is read: a page of 500 results is a tenth of it.
const MAX_ANSWER_BYTES: u64 = 16 << 20;

/// Asks search providers.
pub struct ApiClient {
    transport: Transport,
    limits: BodyLimits,
    total_timeout: Duration,
}

/// What a provider answered.
pub struct ApiReply {
    status: u16,
    retry_after: Option<RetryAfter>,
    body: Bytes,
}

impl ApiClient {
    /// A client with the same pace and name as the downloader's. Private and loopback addresses are open to it: a lab's
    /// own SearXNG is at home there, and nobody but the lab writes a provider's address.
    ///
    /// # Errors
    /// [`NetError`] if the settings make no client.
    pub fn new(settings: &ClientSettings) -> Result<Self, NetError> {
        settings.check()?;
        let settings = ClientSettings { open_networks: Network::everything(), ..settings.clone() };
        let limits = BodyLimits {
            memory: None,
            max_bytes: MAX_ANSWER_BYTES,
            overflow: Overflow::Refuse,
            timeout: settings.body_timeout,
            progress_window: settings.progress_window,
            min_window_bytes: 1,
        };
        let total_timeout = settings.total_timeout;
        let transport = Transport::new(Arc::new(settings), Arc::new(SystemLookup::default()))?;
        Ok(Self { transport, limits, total_timeout })
    }

    /// Sends a request as it is. Redirects are not followed: they would carry the key somewhere else.
    ///
    /// # Errors
    /// The [`FetchFailure`] that says why there is no answer. A refusal is an answer.
    pub async fn ask(&self, request: &ApiRequest) -> Result<ApiReply, FetchFailure> {
        let asking = async {
            let form = match request.method {
                Method::Get => None,
                Method::Post => Some(
                    url::form_urlencoded::Serializer::new(String::new())
                        .extend_pairs(request.form.iter().map(|(name, value)| (*name, value)))
                        .finish(),
                ),
            };
            let response = self.transport.ask_with(&request.url, headers(request), form).await?;
            let (status, retry_after) = (response.status().as_u16(), retry_after(&response));
            let (body, _) = read_body(response, &self.limits, |_, _| Ok(true)).await?;
            Ok(ApiReply { status, retry_after, body })
        };
        tokio::time::timeout(self.total_timeout, asking).await.unwrap_or(Err(FetchFailure::TotalTimeout))
    }
}

impl ApiReply {
    /// As the adapters read it.
    pub fn answer(&self, now_ms: i64) -> ApiAnswer<'_> {
        let wait_ms = self.retry_after.map(|retry_after| retry_after.wait_ms(now_ms));
        ApiAnswer {
            status: self.status,
            retry_after_ms: wait_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)),
            body: &self.body,
        }
    }
}

fn headers(request: &ApiRequest) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        // The adapters' names are constants and a key was checked when it was read, so nothing is left out here.
        if let (Ok(name), Ok(mut value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
    if request.method == Method::Post {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    }
    headers
}
