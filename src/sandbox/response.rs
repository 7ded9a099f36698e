//! From an answer to HTTP.

use std::io;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream;
use http::{HeaderName, HeaderValue, StatusCode};

use super::exchange::{Content, Reply};
use super::faults::{Cut, Effect};

/// An answer without a body.
pub fn plain(status: u16) -> Response {
    respond(Reply::empty(status), None)
}

/// Turns an answer into HTTP; `fault` may shorten or break the body.
pub fn respond(reply: Reply, fault: Option<&Effect>) -> Response {
    let (kind, mut body) = match reply.content {
        Content::None => (None, Bytes::new()),
        Content::Json(json) => (Some("application/json; charset=utf-8"), Bytes::from(json.to_string())),
        Content::Text { kind, text } => (Some(kind), Bytes::from(text)),
    };
    if let Some(length) = fault.and_then(|fault| fault.truncate) {
        body.truncate(length);
    }
    let broken = fault.is_some_and(|fault| fault.cut == Some(Cut::Body));
    let mut builder = Response::builder().status(StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK));
    if let Some(kind) = kind {
        builder = builder.header("content-type", kind);
    }
    if broken {
        builder = builder.header("content-length", body.len());
    }
    for (name, value) in reply.headers {
        let parsed = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value));
        if let (Ok(name), Ok(value)) = parsed {
            builder = builder.header(name, value);
        }
    }
    let body = if broken {
        let half = body.slice(..body.len() / 2);
        Body::from_stream(stream::iter([Ok(half), Err(io::Error::from(io::ErrorKind::ConnectionReset))]))
    } else {
        Body::from(body)
    };
    builder.body(body).unwrap_or_default()
}
