//! One request to Pulumi Cloud and its answer, with repetition where that is safe.
//!
//! **Only a `GET` is sent again** (esc-api.md §2.4): after a transport error, a cut body, a 5xx or a 429. A
//! server's `Retry-After` (seconds) is obeyed up to the longest delay; one that asks for more ends the tries.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, Request, StatusCode};

use crate::io::http::{self, BodyError};

/// The largest answer that is taken, bytes: 100,000 values with their traces stay well below.
pub const LARGEST_ANSWER: usize = 64 << 20;

/// How often and how patiently a `GET` is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// All tries together, at least 1.
    pub attempts: u32,
    /// Pause before the second try; doubles from try to try.
    pub first_delay: Duration,
    /// No pause is longer.
    pub longest_delay: Duration,
}

impl Default for Retry {
    /// As Pulumi's own client: four tries, 1 s, 2 s and 4 s apart (esc-api.md §2.4).
    fn default() -> Self {
        Self { attempts: 4, first_delay: Duration::from_secs(1), longest_delay: Duration::from_secs(30) }
    }
}

/// What came back, whatever its status.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether the body is a web page: what a proxy, a console or a maintenance notice answers.
    #[must_use]
    pub fn is_html(&self) -> bool {
        let start = self.body.trim_ascii_start();
        self.header("content-type").is_some_and(|kind| kind.contains("html"))
            || start.get(..9).is_some_and(|head| head.eq_ignore_ascii_case(b"<!doctype"))
            || start.get(..5).is_some_and(|head| head.eq_ignore_ascii_case(b"<html"))
    }

    /// Seconds that the server asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
    }
}

/// Why there is no answer; the text names no URL and no content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    #[error("{0}")]
    Unreachable(String),
    #[error(transparent)]
    Body(#[from] BodyError),
}

/// Sends `request`, again and again when it is a `GET` and that may help.
///
/// # Errors
/// [`NoAnswer`] of the last try.
pub async fn exchange(client: &Client, request: Request, retry: Retry) -> Result<Answer, NoAnswer> {
    let mut delay = retry.first_delay;
    let mut tries = if request.method() == Method::GET { retry.attempts } else { 1 };
    loop {
        tries = tries.saturating_sub(1);
        let again = if tries == 0 { None } else { request.try_clone() };
        let Some(next) = again else { return once(client, request).await };
        let mut pause = delay.min(retry.longest_delay);
        match once(client, next).await {
            Err(NoAnswer::Body(error @ BodyError::TooLarge(_))) => return Err(error.into()),
            Err(_) => {}
            Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS || answer.status.is_server_error() => {
                if let Some(asked) = answer.retry_after().map(Duration::from_secs) {
                    if asked > retry.longest_delay {
                        return Ok(answer);
                    }
                    pause = asked;
                }
            }
            Ok(answer) => return Ok(answer),
        }
        tokio::time::sleep(pause).await;
        delay = delay.saturating_mul(2);
    }
}

async fn once(client: &Client, request: Request) -> Result<Answer, NoAnswer> {
    let (method, path) = (request.method().clone(), shown(request.url().path()).to_owned());
    let response = client.execute(request).await.map_err(|error| NoAnswer::Unreachable(http::why(&error)))?;
    let (status, headers) = (response.status(), response.headers().clone());
    tracing::debug!("{method} {path}: {}", status.as_u16());
    let body = http::body(response, LARGEST_ANSWER).await?;
    Ok(Answer { status, headers, body })
}

/// A path for the log, without the id of an opened session: whoever has that can read what was opened.
fn shown(path: &str) -> &str {
    path.find("/open/").map_or(path, |at| &path[..at + "/open".len()])
}
