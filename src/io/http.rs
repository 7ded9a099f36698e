//! The one HTTP client: timeouts, trust, proxy and user agent for GitHub, Pulumi Cloud and OIDC.
//!
//! TLS is rustls on ring. The trust anchors are Mozilla's, compiled in, plus those of the machine where it
//! has any: the binary works in an image without a certificate store and behind a company's own authority
//! (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured).
//!
//! **No redirect is followed.** Following would turn a `PUT` into a `GET` on 301 and 302, and replay a body
//! with a secret at another place on 307 and 308. Who expects a redirect (a renamed repository) reads it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::base::error::{Failure, Outcome};

/// What every request says it comes from.
pub const USER_AGENT: &str = concat!("sophia-secrets-sync/", env!("CARGO_PKG_VERSION"));

/// How long a client waits, and which way it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpSettings {
    /// From the start of a connection to its end of TLS.
    pub connect_timeout: Duration,
    /// From the start of a request to the last byte of its answer.
    pub timeout: Duration,
    /// Past the system's proxy.
    pub direct: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(10), timeout: Duration::from_secs(60), direct: false }
    }
}

impl HttpSettings {
    /// The settings for a service at `base`: a loopback one (the sandbox) is not asked for through a proxy,
    /// which would look for it on the wrong machine.
    #[must_use]
    pub fn toward(base: &url::Url) -> Self {
        let direct = match base.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        Self { direct, ..Self::default() }
    }
}

/// Makes a client. It speaks HTTP/1.1, goes through the system's proxy (`HTTPS_PROXY`, `HTTP_PROXY`,
/// `NO_PROXY`), and pools its connections: make one per process and clone it.
///
/// # Errors
/// `http-client` when TLS cannot be set up.
pub fn client(settings: HttpSettings) -> Outcome<reqwest::Client> {
    let broken = |why: &dyn std::fmt::Display| {
        Failure::unexpected("http-client", "the HTTP client could not be set up").cause(why)
    };
    let tls = tls().map_err(|error| broken(&error))?;
    let mut builder = reqwest::Client::builder();
    if settings.direct {
        builder = builder.no_proxy();
    }
    builder
        .tls_backend_preconfigured(tls)
        .http1_only()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.timeout)
        .build()
        .map_err(|error| broken(&why(&error)))
}

/// The TLS of every client. Made once: reading the machine's anchors takes longer than all else that a run does
/// before its first request.
fn tls() -> Result<rustls::ClientConfig, rustls::Error> {
    static TLS: OnceLock<rustls::ClientConfig> = OnceLock::new();
    if let Some(tls) = TLS.get() {
        return Ok(tls.clone());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let made = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(trust_anchors())
        .with_no_client_auth();
    Ok(TLS.get_or_init(|| made).clone())
}

/// Mozilla's anchors and the machine's. One that cannot be read or parsed is left out: whatever it was to
/// vouch for fails later with the peer's name.
///
/// Reading the machine's takes milliseconds: once per process.
fn trust_anchors() -> Arc<rustls::RootCertStore> {
    static ANCHORS: OnceLock<Arc<rustls::RootCertStore>> = OnceLock::new();
    let read = || {
        let mut anchors = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        anchors.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(anchors)
    };
    Arc::clone(ANCHORS.get_or_init(read))
}

/// Why a request got no answer: the causes from the outside in, without its URL, which may carry a session.
#[must_use]
pub fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return if error.is_connect() { "connecting took too long" } else { "the answer took too long" }.to_owned();
    }
    let mut causes = Vec::new();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        next = cause.source();
    }
    if causes.is_empty() { "the request failed".to_owned() } else { causes.join(": ") }
}

/// Why a body was not read to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The connection ended or stalled; holds why.
    #[error("the answer was cut off: {0}")]
    Cut(String),
    /// More bytes than the caller takes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// Reads an answer's body, at most `limit` bytes of it.
///
/// # Errors
/// [`BodyError`] when it is cut off or larger.
pub async fn body(mut response: reqwest::Response, limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| BodyError::Cut(why(&error)))? {
        if bytes.len() + chunk.len() > limit {
            return Err(BodyError::TooLarge(limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const LOOPBACK: HttpSettings =
        HttpSettings { connect_timeout: Duration::from_secs(10), timeout: Duration::from_secs(60), direct: true };

    /// Answers one connection with `answer`; gives the URL and the request that came.
    async fn once(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/path?session=marker", listener.local_addr().unwrap());
        let seen = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
                let mut part = [0; 1024];
                let count = stream.read(&mut part).await.unwrap();
                request.extend_from_slice(&part[..count]);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request).unwrap()
        });
        (url, seen)
    }

    #[tokio::test]
    async fn names_itself_and_follows_no_redirect() {
        let (url, seen) = once("HTTP/1.1 301 Moved\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n").await;
        let response = client(LOOPBACK).unwrap().put(url).body("b").send().await.unwrap();
        assert_eq!(response.status(), 301);
        let request = seen.await.unwrap();
        assert!(request.starts_with("PUT /path?session=marker HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("user-agent: {USER_AGENT}\r\n")), "{request}");
    }

    #[tokio::test]
    async fn a_body_is_limited_and_a_cut_is_told_apart() {
        let whole = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        for (answer, limit, expected) in [
            (whole, 5, Ok(b"hello".to_vec())),
            (whole, 4, Err("the answer is larger than 4 bytes")),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", 9, Err("the answer was cut off")),
        ] {
            let (url, _seen) = once(answer).await;
            let response = client(LOOPBACK).unwrap().get(url).send().await.unwrap();
            match (body(response, limit).await, expected) {
                (Ok(bytes), Ok(expected)) => assert_eq!(bytes, expected),
                (Err(error), Err(start)) => assert!(error.to_string().starts_with(start), "{error}"),
                (got, expected) => panic!("{got:?} instead of {expected:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_refused_connection_is_explained_without_the_url() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/?session=marker", listener.local_addr().unwrap());
        drop(listener);
        let error = client(LOOPBACK).unwrap().get(url).send().await.unwrap_err();
        let why = why(&error);
        assert!(why.contains("refused") && !why.contains("marker"), "{why}");
    }

    #[tokio::test]
    async fn a_silent_server_is_given_up_on() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let settings = HttpSettings { timeout: Duration::from_millis(50), ..LOOPBACK };
        let error = client(settings).unwrap().get(url).send().await.unwrap_err();
        assert_eq!(why(&error), "the answer took too long");
    }

    #[test]
    fn only_a_loopback_service_is_reached_past_the_proxy() {
        for (base, direct) in [
            ("http://127.0.0.1:8080/api/v3", true),
            ("http://[::1]:8080", true),
            ("http://localhost:1", true),
            ("https://api.pulumi.com", false),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(HttpSettings::toward(&base.parse().unwrap()).direct, direct, "{base}");
        }
    }

    #[test]
    fn trusts_compiled_in_authorities() {
        assert!(trust_anchors().len() >= webpki_roots::TLS_SERVER_ROOTS.len());
        assert!(webpki_roots::TLS_SERVER_ROOTS.len() > 50);
    }
}
