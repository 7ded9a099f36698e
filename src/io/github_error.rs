//! What GitHub's answers mean, and what the user can do about them (github-api.md §§1.0, 2.3, 3.1).

use std::fmt;
use std::time::Duration;

use http::header::HeaderMap;
use http::{Method, StatusCode};

use super::github::{date, header};
use super::pace::{NotAdmitted, OutOfPatience};
use crate::base::error::{Failure, FailureKind};

/// A request that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{method} {path}: {problem}")]
pub struct GitHubError {
    pub method: Method,
    pub path: String,
    pub problem: Problem,
}

/// Why it did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// 401.
    Unauthorized { message: String },
    /// 403 that is no rate limit. `accepted` is the `x-accepted-github-permissions` header.
    Forbidden { message: String, accepted: Option<String>, sso: bool },
    /// 404: missing, or hidden from the token.
    NotFound { message: String },
    /// 409.
    Conflict { message: String },
    /// 422 and other refusals of what was sent.
    Rejected { status: u16, message: String },
    /// 3xx: the repository was renamed or moved.
    Moved { status: u16 },
    /// 403 or 429 with the signs of a limit; `wait` as GitHub asks for it.
    RateLimited { message: String, wait: Option<Duration>, secondary: bool },
    /// 5xx, or an answer that is not GitHub's.
    Server { status: u16, message: String },
    /// Success, but the body cannot be used.
    Malformed { what: String },
    /// No answer: refused, cut, timed out.
    Transport { what: String },
    /// The run's waiting budget is spent.
    Patience(OutOfPatience),
    /// The user interrupted the run before the request was sent, or while it waited to be sent again.
    Stopped,
}

impl GitHubError {
    #[must_use]
    pub fn new(method: &Method, path: &str, problem: Problem) -> Self {
        let path = path.split('?').next().unwrap_or(path).to_owned();
        Self { method: method.clone(), path, problem }
    }

    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self.problem, Problem::NotFound { .. })
    }

    /// Whether the way or the server failed, and not the request: another try may go well.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(
            self.problem,
            Problem::Server { .. } | Problem::Transport { .. } | Problem::Malformed { .. } | Problem::Stopped
        )
    }

    /// Whether the token was refused for this request, or may be (404 hides what a token may not see).
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self.problem, Problem::Forbidden { .. } | Problem::NotFound { .. } | Problem::Unauthorized { .. })
    }

    /// Whether the token was accepted, and may not see what was asked for.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        matches!(self.problem, Problem::Forbidden { .. } | Problem::NotFound { .. })
    }

    /// The failure that a user sees. `doing` says what was tried (`list the secrets of payready/sophia`),
    /// `permission` names what the request needs.
    #[must_use]
    pub fn failure(&self, doing: &str, permission: &str) -> Failure {
        let (kind, code) = match &self.problem {
            Problem::Unauthorized { .. } => (FailureKind::Auth, "github-unauthorized"),
            Problem::Forbidden { .. } => (FailureKind::Auth, "github-forbidden"),
            Problem::NotFound { .. } => (FailureKind::Auth, "github-not-found"),
            Problem::Conflict { .. } => (FailureKind::Unexpected, "github-conflict"),
            Problem::Rejected { .. } => (FailureKind::Unexpected, "github-rejected"),
            Problem::Moved { .. } => (FailureKind::Unexpected, "github-moved"),
            Problem::RateLimited { .. } | Problem::Patience(_) => (FailureKind::Unexpected, "github-rate-limit"),
            Problem::Stopped => (FailureKind::Unexpected, "interrupted"),
            Problem::Server { .. } => (FailureKind::Unexpected, "github-server"),
            Problem::Malformed { .. } => (FailureKind::Unexpected, "github-malformed"),
            Problem::Transport { .. } => (FailureKind::Unexpected, "github-unreachable"),
        };
        let failure = Failure::new(kind, code, format!("could not {doing}")).cause(&self.problem);
        match &self.problem {
            Problem::Unauthorized { .. } => failure
                .hint("the GitHub token is wrong, expired or revoked: set GITHUB_TOKEN or GH_TOKEN to a valid one")
                .hint("`sophia-secrets-sync doctor` checks the token"),
            Problem::Forbidden { message, .. } if message.to_lowercase().contains("archived") => {
                failure.hint("an archived repository is read-only: take it out of the definition, or unarchive it")
            }
            Problem::Forbidden { accepted, sso, message } => {
                let accepted = accepted.as_deref().unwrap_or(permission);
                let failure = failure.hint(format!("the token lacks a permission; this needs: {accepted}"));
                let failure = if *sso {
                    failure.hint("the organization enforces SAML single sign-on: authorize the token for it")
                } else {
                    failure
                };
                if message.contains("not accessible by integration") {
                    failure.hint(
                        "a workflow's own GITHUB_TOKEN can never write secrets: use a GitHub App token or a \
                         fine-grained personal access token",
                    )
                } else {
                    failure
                }
            }
            Problem::NotFound { .. } => failure.hint(format!(
                "GitHub answers 404 for what does not exist and for what the token may not see: check the name, and \
                 that the token reaches it with: {permission}"
            )),
            Problem::Moved { .. } => {
                failure.hint("the repository was renamed or moved: put its new name into the definition")
            }
            Problem::RateLimited { .. } | Problem::Patience(_) => failure
                .hint("run again later: what was done is kept, and the next run continues from there")
                .hint("`--max-wait` sets how long a run may wait for GitHub's limits"),
            Problem::Transport { .. } => failure.hint("check the network, proxy settings, and --github-url"),
            Problem::Server { .. } | Problem::Malformed { .. } => {
                failure.hint("GitHub or a proxy before it is out of order: run again later, or check --github-url")
            }
            Problem::Conflict { .. } | Problem::Rejected { .. } | Problem::Stopped => failure,
        }
    }
}

impl From<NotAdmitted> for Problem {
    fn from(why: NotAdmitted) -> Self {
        match why {
            NotAdmitted::OutOfPatience(cause) => Self::Patience(cause),
            NotAdmitted::Limited { message, wait } => Self::RateLimited { message, wait: Some(wait), secondary: false },
            NotAdmitted::Stopped => Self::Stopped,
        }
    }
}

impl Problem {
    /// Reads an answer that is not a success.
    #[must_use]
    pub fn of_answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
        let message = json.as_ref().and_then(|json| json.get("message")).and_then(serde_json::Value::as_str);
        let is_github = message.is_some();
        let message = tidy(message.unwrap_or("the answer is not GitHub's"));
        match status.as_u16() {
            401 => Self::Unauthorized { message },
            403 | 429 => Self::limited_or_forbidden(status, headers, message, is_github),
            404 => Self::NotFound { message },
            409 => Self::Conflict { message },
            code @ 300..=399 => Self::Moved { status: code },
            code @ 400..=499 => Self::Rejected { status: code, message },
            code => Self::Server { status: code, message },
        }
    }

    fn limited_or_forbidden(status: StatusCode, headers: &HeaderMap, message: String, is_github: bool) -> Self {
        let lower = message.to_lowercase();
        let secondary = lower.contains("secondary rate limit") || lower.contains("abuse detection");
        let exhausted = header(headers, "x-ratelimit-remaining") == Some("0");
        let retry_after =
            header(headers, "retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let limited = status == StatusCode::TOO_MANY_REQUESTS
            || secondary
            || retry_after.is_some()
            || (exhausted && lower.contains("rate limit"));
        if limited {
            let until_reset = || {
                let reset: i64 = header(headers, "x-ratelimit-reset")?.trim().parse().ok()?;
                let seconds = reset - date(headers)?.as_second();
                Some(Duration::from_secs(u64::try_from(seconds.max(0)).ok()? + 1))
            };
            let wait = retry_after.or_else(|| exhausted.then(until_reset).flatten());
            return Self::RateLimited { message, wait, secondary };
        }
        if !is_github {
            return Self::Server { status: status.as_u16(), message };
        }
        Self::Forbidden {
            message,
            accepted: header(headers, "x-accepted-github-permissions").map(tidy).filter(|text| !text.is_empty()),
            sso: headers.contains_key("x-github-sso"),
        }
    }

    /// A request that got no answer. Only the chain of causes is kept; URLs may name secrets, never values.
    #[must_use]
    pub fn transport(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut words: Vec<String> = Vec::new();
        let mut cause = Some(error);
        while let Some(error) = cause {
            let text = tidy(&error.to_string());
            if !words.iter().any(|word| word.contains(&text)) {
                words.push(text);
            }
            cause = error.source();
        }
        // The innermost cause says most; the outer ones repeat that a request failed.
        Self::Transport { what: words.pop().unwrap_or_else(|| "no answer".to_owned()) }
    }
}

/// A server's text, made fit for one line of ours.
fn tidy(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthorized { message } => write!(f, "GitHub answered 401: {message}"),
            Self::Forbidden { message, .. } => write!(f, "GitHub answered 403: {message}"),
            Self::NotFound { message } => write!(f, "GitHub answered 404: {message}"),
            Self::Conflict { message } => write!(f, "GitHub answered 409: {message}"),
            Self::Rejected { status, message } | Self::Server { status, message } => {
                write!(f, "GitHub answered {status}: {message}")
            }
            Self::Moved { status } => write!(f, "GitHub answered {status}: it has moved"),
            Self::RateLimited { message, wait, .. } => {
                write!(f, "GitHub's rate limit: {message}")?;
                wait.map_or(Ok(()), |wait| write!(f, " (it asks to wait {} s)", wait.as_secs()))
            }
            Self::Malformed { what } => write!(f, "GitHub's answer cannot be used: {what}"),
            Self::Transport { what } => write!(f, "no answer from GitHub: {what}"),
            Self::Stopped => f.write_str("the run was interrupted"),
            Self::Patience(cause) => write!(f, "GitHub's rate limit: {cause}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Problem {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
        }
        Problem::of_answer(StatusCode::from_u16(status).unwrap(), &map, body.as_bytes())
    }

    #[test]
    fn tells_limits_from_missing_permissions() {
        let secondary = r#"{"message":"You have exceeded a secondary rate limit"}"#;
        assert!(matches!(answer(403, &[], secondary), Problem::RateLimited { secondary: true, wait: None, .. }));
        let named = answer(429, &[("retry-after", "7")], "{}");
        assert!(matches!(named, Problem::RateLimited { wait: Some(wait), .. } if wait.as_secs() == 7));
        let primary = answer(
            403,
            &[
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1767323050"),
                ("date", "Fri, 02 Jan 2026 03:04:00 GMT"),
            ],
            r#"{"message":"API rate limit exceeded for user"}"#,
        );
        assert!(
            matches!(primary, Problem::RateLimited { wait: Some(wait), secondary: false, .. } if wait.as_secs() == 11)
        );
        let denied = answer(
            403,
            &[("x-accepted-github-permissions", "secrets=write")],
            r#"{"message":"Resource not accessible by integration"}"#,
        );
        let Problem::Forbidden { accepted, .. } = &denied else { panic!("{denied:?}") };
        assert_eq!(accepted.as_deref(), Some("secrets=write"));
    }

    #[test]
    fn an_html_page_is_a_server_out_of_order() {
        assert!(matches!(answer(403, &[], "<html>proxy</html>"), Problem::Server { status: 403, .. }));
        assert!(matches!(answer(502, &[], "<html>"), Problem::Server { status: 502, .. }));
    }

    #[test]
    fn a_server_cannot_put_control_characters_into_our_lines() {
        let problem = answer(422, &[], "{\"message\":\"a\\n::error::b\\u001b[0m\"}");
        assert_eq!(problem.to_string(), "GitHub answered 422: a ::error::b [0m");
    }
}
