//! How does a file come in: as a part of a form, or as a request's whole body?

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;

use crate::access::BODY_LIMIT;
use crate::failure::WebError;

/// Room for the form around a file, bytes.
pub(crate) const FORM_BYTES: usize = 64 * 1024;

/// Longest body that the route takes, bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UploadLimit(pub(crate) usize);

/// Longest word of a form that brings a file, bytes.
const FIELD_LIMIT: usize = 4096;

/// Uploads held in memory at the same time.
pub(crate) const UPLOADS_AT_ONCE: usize = 4;

/// A file that somebody sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Upload {
    /// What it was called; text from outside. Empty where it was a request's whole body.
    pub(crate) file_name: String,
    /// What is in it.
    pub(crate) bytes: Bytes,
}

/// Reads a form with a file; says its field `csrf`, too, which the caller must look at before anything else.
pub(crate) async fn read_form(body: Body, content_type: &str, limit: usize) -> Result<(String, Upload), WebError> {
    let bytes = to_bytes(body, limit).await.map_err(|_| WebError::TooLarge)?;
    let bad = |_| WebError::Invalid("the form with the file cannot be read".into());
    let boundary = multer::parse_boundary(content_type).map_err(bad)?;
    let whole = futures::stream::once(async move { Ok::<_, std::convert::Infallible>(bytes) });
    let mut form = multer::Multipart::new(whole, boundary);
    let (mut csrf, mut upload) = (String::new(), None);
    while let Some(field) = form.next_field().await.map_err(bad)? {
        match field.name() {
            Some("csrf") => {
                let text = field.bytes().await.map_err(bad)?;
                if text.len() > FIELD_LIMIT {
                    return Err(WebError::TooLarge);
                }
                csrf = String::from_utf8_lossy(&text).into_owned();
            }
            Some("file") if upload.is_none() => {
                let file_name = field.file_name().unwrap_or("").to_owned();
                upload = Some(Upload { file_name, bytes: field.bytes().await.map_err(bad)? });
            }
            _ => {}
        }
    }
    Ok((csrf, upload.unwrap_or_default()))
}

/// The file of a form was read by the guard; else it is the body.
impl<S: Sync> FromRequest<S> for Upload {
    type Rejection = WebError;

    async fn from_request(mut request: Request, _state: &S) -> Result<Self, WebError> {
        if let Some(upload) = request.extensions_mut().remove::<Upload>() {
            return Ok(upload);
        }
        let limit = request.extensions().get::<UploadLimit>().map_or(BODY_LIMIT, |limit| limit.0);
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
        if kind.starts_with("multipart/form-data") {
            return Ok(read_form(request.into_body(), &kind, limit).await?.1);
        }
        let bytes = to_bytes(request.into_body(), limit).await.map_err(|_| WebError::TooLarge)?;
        Ok(Upload { file_name: String::new(), bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_form_makes_it_panic_and_a_whole_one_is_read() {
        let whole = b"--x\r\ncontent-disposition: form-data; name=\"csrf\"\r\n\r\nword\r\n--x\r\ncontent-disposition: \
                      form-data; name=\"file\"; filename=\"a.pdf\"\r\n\r\n%PDF-\r\n--x--\r\n";
        let kind = "multipart/form-data; boundary=x";
        let read = |bytes: Vec<u8>| async move { read_form(Body::from(bytes), kind, 1_000).await };
        let (csrf, upload) = read(whole.to_vec()).await.unwrap();
        assert_eq!((&*csrf, &*upload.file_name, &*upload.bytes), ("word", "a.pdf", &b"%PDF-"[..]));
        assert!(matches!(read(vec![b'x'; 1_001]).await, Err(WebError::TooLarge)));
        // Each byte in turn becomes one that means something in a form, or the form ends there.
        for at in 0..whole.len() {
            for byte in [b'\r', b'\n', b'-', b'"', 0, 0xff] {
                let mut changed = whole.to_vec();
                changed[at] = byte;
                let _ = read(changed).await;
            }
            let _ = read(whole[..at].to_vec()).await;
        }
    }
}
