//! GitHub's REST API: one [`GitHub::send`] for every request, on octocrab.
//!
//! octocrab authenticates and carries; paging, pacing, retries and the meaning of errors are here, because its
//! own are not fit for writing secrets (listings without pages, retries that ignore `retry-after`). Paths are
//! built by the siblings `github_secrets`, `github_variables` and `github_inventory`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use octocrab::Octocrab;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::github_error::{GitHubError, Problem};
use super::pace::{NotAdmitted, Pace};
use crate::base::error::{Failure, Outcome};
use crate::base::secret::Token;
use crate::rules::cost::{READ_POINTS, WRITE_POINTS};

/// The largest answer that is read, in bytes.
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// Waits between the tries of a request that failed on the way or at the server.
const BACK_OFF: [Duration; 3] = [Duration::from_millis(200), Duration::from_millis(600), Duration::from_millis(1800)];

/// Wait after a secondary limit that names no time (github-api.md §2.3).
const UNNAMED_WAIT: Duration = Duration::from_secs(60);

/// Wait after a limit that asks for none.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// Everything but the unreserved characters of RFC 3986 is encoded, `/` included.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// One path segment, percent-encoded.
#[must_use]
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A client for one GitHub server and one credential.
pub struct GitHub {
    octocrab: Octocrab,
    base: String,
    pace: Arc<Pace>,
    /// What the installation of a GitHub App was granted.
    permissions: Option<BTreeMap<String, String>>,
    /// Past the pace, each request once.
    last_words: bool,
}

/// A successful answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    /// GitHub's clock when it answered.
    #[must_use]
    pub fn date(&self) -> Option<jiff::Timestamp> {
        date(&self.headers)
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// [`Problem::Malformed`] with the position, never the text.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.body).map_err(|error| Problem::Malformed {
            what: format!("broken JSON at line {} column {}", error.line(), error.column()),
        })
    }
}

impl GitHub {
    /// A client for `url` (`https://api.github.com`, or `https://HOST/api/v3` of a GitHub Enterprise Server).
    ///
    /// # Errors
    /// A usage failure when `url` is not an http(s) URL.
    pub fn new(http: reqwest::Client, url: &str, token: &Token, pace: Arc<Pace>) -> Outcome<Self> {
        let base = url.trim_end_matches('/').to_owned();
        let wrong = |cause: String| {
            Failure::usage("github-url", format!("`{base}` is not the URL of a GitHub API"))
                .cause(cause)
                .hint("use `https://api.github.com`, or `https://HOST/api/v3` for GitHub Enterprise Server")
        };
        let parsed = url::Url::parse(&base).map_err(|error| wrong(error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
            return Err(wrong("it is not an http or https URL".to_owned()));
        }
        let octocrab = Octocrab::builder()
            .base_uri(base.as_str())
            .and_then(|builder| builder.personal_token(token.reveal().to_owned()).build_with_reqwest(http))
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self { octocrab, base, pace, permissions: None, last_words: false })
    }

    /// The same, knowing what its token was granted.
    #[must_use]
    pub fn granted(self, permissions: BTreeMap<String, String>) -> Self {
        Self { permissions: Some(permissions), ..self }
    }

    /// What the installation of a GitHub App was granted; none for other tokens.
    #[must_use]
    pub fn permissions(&self) -> Option<&BTreeMap<String, String>> {
        self.permissions.as_ref()
    }

    /// The client for what an interrupted run still has to say: it waits for no limit and tries once.
    #[must_use]
    pub fn last_words(&self) -> Self {
        Self {
            octocrab: self.octocrab.clone(),
            base: self.base.clone(),
            pace: Arc::clone(&self.pace),
            permissions: self.permissions.clone(),
            last_words: true,
        }
    }

    /// The URL of the API, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.base
    }

    /// GET of `path`.
    ///
    /// # Errors
    /// [`GitHubError`].
    pub async fn get(&self, path: &str) -> Result<Answer, GitHubError> {
        self.send(Method::GET, path, None).await
    }

    /// GET of `path`, decoded.
    ///
    /// # Errors
    /// [`GitHubError`].
    pub async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, GitHubError> {
        self.get(path).await?.json().map_err(|problem| GitHubError::new(&Method::GET, path, problem))
    }

    /// Sends one request, waiting and trying again as GitHub's limits and the kind of failure allow.
    /// `path` begins with `/` and is encoded already.
    ///
    /// # Errors
    /// [`GitHubError`] with what GitHub answered last.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Json>) -> Result<Answer, GitHubError> {
        let cost = if method == Method::GET { READ_POINTS } else { WRITE_POINTS };
        let error = |problem| GitHubError::new(&method, path, problem);
        if self.last_words {
            let _permit = self.pace.admit_last(cost).await;
            return self.attempt(&method, path, body).await.map_err(error);
        }
        // A POST is not repeated after a failure on the way: it may have arrived.
        let mut waits = if method == Method::POST { [].iter() } else { BACK_OFF.iter() };
        let mut secondary_waits = 0;
        loop {
            let permit = self.pace.admit(cost).await.map_err(|cause| error(cause.into()))?;
            let result = self.attempt(&method, path, body).await;
            drop(permit);
            let problem = match result {
                Ok(answer) => return Ok(answer),
                Err(problem) => problem,
            };
            tracing::debug!(%method, path, %problem, "request failed");
            match &problem {
                Problem::RateLimited { wait, secondary, message } => {
                    let wait = wait.unwrap_or_else(|| UNNAMED_WAIT * 2_u32.pow(secondary_waits)).max(SHORTEST_WAIT);
                    secondary_waits = (secondary_waits + 1).min(4);
                    if self.pace.close_gate(wait, *secondary, message).await.is_err() {
                        return Err(error(problem));
                    }
                }
                Problem::Server { .. } | Problem::Transport { .. } | Problem::Malformed { .. } => match waits.next() {
                    Some(wait) => match self.pace.back_off(*wait).await {
                        Ok(()) => {}
                        Err(NotAdmitted::Stopped) => return Err(error(Problem::Stopped)),
                        Err(_) => return Err(error(problem)),
                    },
                    None => return Err(error(problem)),
                },
                _ => return Err(error(problem)),
            }
        }
    }

    async fn attempt(&self, method: &Method, path: &str, body: Option<&Json>) -> Result<Answer, Problem> {
        let builder = http::Request::builder().method(method).uri(path).header("accept", "application/vnd.github+json");
        let request = self.octocrab.build_request(builder, body).map_err(|error| Problem::transport(&error))?;
        let response = self.octocrab.execute(request).await.map_err(|error| Problem::transport(&error))?;
        tracing::debug!("{method} {path}: {}", response.status().as_u16());
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, LARGEST_BODY)
            .collect()
            .await
            .map_err(|error| Problem::transport(error.as_ref()))?
            .to_bytes()
            .to_vec();
        if parts.status.is_success() {
            // A cut or altered listing must be seen here, where it can be asked for again.
            if method == Method::GET && serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_err() {
                return Err(Problem::Malformed { what: "the answer is not whole JSON".into() });
            }
            return Ok(Answer { status: parts.status, headers: parts.headers, body });
        }
        Err(Problem::of_answer(parts.status, &parts.headers, &body))
    }
}

/// The text of a header.
#[must_use]
pub fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name.parse::<HeaderName>().ok()?)?.to_str().ok()
}

/// The `date` header: the server's clock.
#[must_use]
pub fn date(headers: &HeaderMap) -> Option<jiff::Timestamp> {
    let text = header(headers, "date")?;
    Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp())
}
