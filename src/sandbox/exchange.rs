//! One request as the services see it, and one answer, free of HTTP machinery.

use axum::body::Bytes;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value as Json, json};

/// What stays plain in a path segment that GitHub writes into a URL.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A request. `segments` are split on the raw path first and decoded after, because an environment's
/// name may hold an encoded `/` (github-api.md §8.1).
pub struct Call {
    pub method: Method,
    pub segments: Vec<String>,
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Scheme, authority and prefix that the client used: what URLs in answers begin with.
    pub base: String,
    pub now: Timestamp,
}

impl Call {
    /// Splits a raw path.
    #[must_use]
    pub fn split(path: &str) -> Vec<String> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        path.split('/').map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned()).collect()
    }

    /// Splits a raw query.
    #[must_use]
    pub fn split_query(query: Option<&str>) -> Vec<(String, String)> {
        url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect()
    }

    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The JSON object of the body; an empty body is an empty object.
    pub fn json(&self) -> Option<Json> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Some(json!({}));
        }
        serde_json::from_slice(&self.body).ok().filter(Json::is_object)
    }

    /// A URL of this service: each segment is percent-encoded.
    #[must_use]
    pub fn url(&self, segments: &[&str]) -> String {
        let mut url = self.base.clone();
        for segment in segments {
            url.push('/');
            url.extend(utf8_percent_encode(segment, SEGMENT));
        }
        url
    }

    /// The current time in whole seconds, as both services keep it.
    #[must_use]
    pub fn second(&self) -> Timestamp {
        whole_second(self.now)
    }
}

/// Drops the fraction of a second.
#[must_use]
pub fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// The body of an answer.
pub enum Content {
    None,
    Json(Json),
    Text { kind: &'static str, text: String },
}

/// An answer.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub content: Content,
}

impl Reply {
    #[must_use]
    pub fn json(status: u16, body: Json) -> Self {
        Self { status, headers: Vec::new(), content: Content::Json(body) }
    }

    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), content: Content::None }
    }

    #[must_use]
    pub fn text(status: u16, kind: &'static str, text: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), content: Content::Text { kind, text: text.into() } }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Whether a header was set.
    #[must_use]
    pub fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name))
    }
}
