//! Requests to web servers, their repetition, and their errors.

use std::error::Error as StdError;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, LAST_MODIFIED};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode};
use tokio::time::sleep;

/// Maximum time without a byte from a server.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Maximum number of times that a small request is repeated.
const MAX_RETRIES: u32 = 6;

/// The kind of error of a server that asks to be called later.
pub(crate) const BUSY: io::ErrorKind = io::ErrorKind::ResourceBusy;

/// Returns the client, which all file systems share.
pub(crate) fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| build(Client::builder().read_timeout(READ_TIMEOUT)))
}

/// Returns the client for uploads. A server may answer only after a file that takes hours to compute.
pub(crate) fn upload_client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| build(Client::builder().tcp_keepalive(READ_TIMEOUT / 2)))
}

fn build(builder: ClientBuilder) -> Client {
    let builder = builder.connect_timeout(Duration::from_secs(10));
    builder.build().expect("the settings are right")
}

/// Sends a small request, and repeats it if the server is busy, or the connection is lost.
pub(crate) async fn patiently(request: RequestBuilder) -> io::Result<Response> {
    let mut retries = 0;
    loop {
        // The body of an upload is a stream, which cannot be repeated.
        let Some(copy) = request.try_clone() else {
            return request.send().await.map_err(failure);
        };
        let answer = copy.send().await.map_err(failure);
        let is_busy = match &answer {
            Ok(response) => refusal(response.status()).kind() == BUSY,
            Err(error) => error.kind() != io::ErrorKind::InvalidInput,
        };
        if !is_busy || retries == MAX_RETRIES {
            // An error that is not transient, so that holdall does not repeat all requests.
            return answer.map_err(io::Error::other);
        }
        sleep(Duration::from_millis(100 << retries)).await;
        retries += 1;
    }
}

/// Returns the text that a server returns.
pub(crate) async fn body_of(request: RequestBuilder) -> io::Result<String> {
    let mut retries = 0;
    loop {
        let copy = request.try_clone().expect("it has no body");
        let response = patiently(copy).await?;
        if !response.status().is_success() {
            return Err(refusal(response.status()));
        }
        match response.text().await {
            Err(_) if retries < MAX_RETRIES => retries += 1,
            text => return text.map_err(failure),
        }
    }
}

/// Sends a request of which only the success matters.
pub(crate) async fn send(request: RequestBuilder) -> io::Result<()> {
    match patiently(request).await?.status() {
        status if status.is_success() => Ok(()),
        status => Err(refusal(status)),
    }
}

/// Returns whether a server has no page for a directory, or does not show it.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::NotFound | Kind::PermissionDenied)
}

pub(crate) fn method(name: &'static [u8]) -> Method {
    Method::from_bytes(name).expect("the name of a method")
}

/// Returns the size of a file, of which the first byte was requested.
pub(crate) fn size(response: &Response) -> Option<u64> {
    let header = |name| response.headers().get(name)?.to_str().ok();
    let size = match response.status() {
        StatusCode::PARTIAL_CONTENT => header(CONTENT_RANGE)?.rsplit('/').next(),
        _ => header(CONTENT_LENGTH),
    };
    size?.parse().ok()
}

pub(crate) fn version(headers: &HeaderMap) -> Option<String> {
    let version = headers.get(ETAG).or_else(|| headers.get(LAST_MODIFIED));
    Some(version?.to_str().ok()?.to_owned())
}

pub(crate) fn refusal(status: StatusCode) -> io::Error {
    let kind = match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => io::ErrorKind::NotFound,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => io::ErrorKind::PermissionDenied,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => BUSY,
        status if status.is_server_error() => BUSY,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, format!("the server answered {status}"))
}

pub(crate) fn failure(error: reqwest::Error) -> io::Error {
    let kind = match &error {
        error if error.is_builder() => io::ErrorKind::InvalidInput,
        error if error.is_timeout() => io::ErrorKind::TimedOut,
        error if error.is_connect() => io::ErrorKind::ConnectionRefused,
        _ => io::ErrorKind::ConnectionReset,
    };
    // The innermost cause says most, and the path is known.
    let mut cause: &(dyn StdError + 'static) = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    io::Error::new(kind, cause.to_string())
}
