//! HTTP clients for the stores: patient with uploads, and quick to say what will not change.
//!
//! The limit on silence of the HTTP client counts from a request's start and also while its body is being sent, so that
//! a slow uplink could never send a large one. So requests with a large body go through a client with a longer limit.
//! That nothing is acknowledged while a body is sent, the system notices by itself, after 30 s.
//!
//! A certificate that is not trusted, a host that is unknown, a quota that is used up (507) or an operation that the server
//! lacks (501) is not tried again.

use std::time::Duration;

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

use super::answer::Answer;

/// Bodies up to here are sent as fast as requests without one.
const SMALL_BODY_BYTES: usize = 64 << 10;

/// Makes the clients of a store.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    pub(super) read_timeout: Duration,
    pub(super) upload_timeout: Duration,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = |limit| ReqwestConnector::default().connect(&options.clone().with_read_timeout(limit));
        Ok(HttpClient::new(Client { quick: client(self.read_timeout)?, uploading: client(self.upload_timeout)? }))
    }
}

#[derive(Debug)]
struct Client {
    quick: HttpClient,
    uploading: HttpClient,
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_small = request.body().content_length() <= SMALL_BODY_BYTES;
        let client = if is_small { &self.quick } else { &self.uploading };
        // `Unknown` is a kind of error that the store's client does not retry.
        let response = client.execute(request).await.map_err(|error| match Answer::of(&error).is_lasting() {
            true => HttpError::new(HttpErrorKind::Unknown, error),
            false => error,
        })?;
        let status = response.status();
        if !matches!(status.as_u16(), 501 | 507) {
            return Ok(response);
        }
        let body = response.into_body().bytes().await?;
        let body = String::from_utf8_lossy(&body);
        let refused = Refused(format!("Server returned non-2xx status code: {status}: {body}"));
        Err(HttpError::new(HttpErrorKind::Unknown, refused))
    }
}

/// An answer that will be the same until a person changes something, in the words of the store's client.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);
