//! Who asks, and what they may: tokens, permissions, rate limits.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::exchange::{Call, Reply};
use super::github_repository::Repository;
use super::seed::{LimitsSeed, TokenSeed};

/// A permission that a request needs: its name and `read` or `write`.
pub type Need = (&'static str, &'static str);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    Classic,
    FineGrained,
    /// Of a GitHub App.
    Installation,
    /// The `GITHUB_TOKEN` of a job.
    Workflow,
}

/// What a token stands for.
#[derive(Debug, Clone)]
pub struct Grant {
    pub kind: TokenKind,
    pub login: String,
    pub permissions: Option<BTreeMap<String, String>>,
    /// Classic tokens only.
    pub scopes: Option<Vec<String>>,
    /// Folded `owner/name`s.
    pub repositories: Option<BTreeSet<String>>,
    pub expires: Option<Timestamp>,
}

impl Grant {
    #[must_use]
    pub fn new(seed: &TokenSeed) -> Self {
        let kind = match seed.kind.as_deref() {
            Some("fine-grained") => TokenKind::FineGrained,
            Some("installation") => TokenKind::Installation,
            Some("workflow") => TokenKind::Workflow,
            _ => TokenKind::Classic,
        };
        let names = |names: &Vec<String>| names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self {
            kind,
            login: seed.login.clone().unwrap_or_else(|| "octocat".to_owned()),
            permissions: seed.permissions.clone().or_else(|| {
                let few = || BTreeMap::from([("contents".to_owned(), "read".to_owned())]);
                (kind == TokenKind::Workflow).then(few)
            }),
            scopes: (kind == TokenKind::Classic)
                .then(|| seed.scopes.clone().unwrap_or_else(|| vec!["repo".to_owned(), "admin:org".to_owned()])),
            repositories: seed.repositories.as_ref().map(names),
            expires: seed.expires_at,
        }
    }

    #[must_use]
    pub fn is_of_an_app(&self) -> bool {
        matches!(self.kind, TokenKind::Installation | TokenKind::Workflow)
    }

    /// Whether the token is shown that the repository exists.
    #[must_use]
    pub fn sees(&self, repository: &Repository) -> bool {
        repository.visibility == "public"
            || self.repositories.as_ref().is_none_or(|names| names.contains(&repository.key()))
    }

    fn has(&self, (name, level): Need) -> bool {
        let rank = |level: &str| match level {
            "admin" => 3,
            "write" => 2,
            "read" => 1,
            _ => 0,
        };
        if let Some(scopes) = &self.scopes {
            let scope = if name.starts_with("organization_") { "admin:org" } else { "repo" };
            if name != "metadata" && !scopes.iter().any(|given| given == scope) {
                return false;
            }
        }
        let Some(permissions) = &self.permissions else { return true };
        // Whoever has a token may read metadata.
        let given = permissions.get(name).map_or(if name == "metadata" { "read" } else { "" }, String::as_str);
        rank(given) >= rank(level)
    }

    /// Refuses with GitHub's words and the header that names what is needed (github-api.md §3.1).
    ///
    /// # Errors
    /// The 403 to answer.
    pub fn require(&self, needs: &[Need], repository: Option<&Repository>) -> Result<(), Reply> {
        let outside = repository.is_some_and(|repository| {
            self.repositories.as_ref().is_some_and(|names| !names.contains(&repository.key()))
        });
        let only_reads = needs.iter().all(|(_, level)| *level == "read");
        if needs.iter().all(|need| self.has(*need)) && (!outside || only_reads) {
            return Ok(());
        }
        let message = match self.kind {
            TokenKind::Classic | TokenKind::FineGrained => "Resource not accessible by personal access token",
            TokenKind::Installation | TokenKind::Workflow => "Resource not accessible by integration",
        };
        let accepted: Vec<String> = needs.iter().map(|(name, level)| format!("{name}={level}")).collect();
        Err(error(403, message).header("x-accepted-github-permissions", accepted.join(",")))
    }
}

/// What GitHub says when it is asked too fast.
#[must_use]
pub fn secondary_limit() -> Reply {
    error(403, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.")
}

/// GitHub's plain error body; `status` is a text (github-api.md §1.0).
#[must_use]
pub fn error(status: u16, message: &str) -> Reply {
    let body =
        json!({"message": message, "documentation_url": "https://docs.github.com/rest", "status": status.to_string()});
    Reply::json(status, body)
}

/// 404, whether it is absent or hidden.
#[must_use]
pub fn not_found() -> Reply {
    error(404, "Not Found")
}

/// All tokens, and how much of the limits is used.
#[derive(Default)]
pub struct Access {
    pub grants: BTreeMap<String, Grant>,
    pub limits: LimitsSeed,
    /// Requests of the current hour by token, with its end.
    used: BTreeMap<String, (u64, i64)>,
    /// Points of the current minute, with its end.
    points: (u64, i64),
}

/// Requests an hour of a user's token (github-api.md §2.1).
const CORE_LIMIT: u64 = 5_000;

impl Access {
    /// The token of a request; both schemes of GitHub are taken.
    #[must_use]
    pub fn token(call: &Call) -> Option<&str> {
        let header = call.header("authorization")?;
        let (scheme, token) = header.split_once(' ')?;
        (scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token")).then_some(token.trim())
    }

    /// # Errors
    /// The 401 or 403 to answer.
    pub fn authenticate(&self, call: &Call) -> Result<Grant, Reply> {
        if call.header("user-agent").is_none_or(str::is_empty) {
            return Err(error(
                403,
                "Request forbidden by administrative rules. Please make sure your request has a User-Agent header",
            ));
        }
        let token = Self::token(call).ok_or_else(|| error(401, "Requires authentication"))?;
        let grant = self.grants.get(token).filter(|grant| grant.expires.is_none_or(|expires| expires > call.now));
        grant.cloned().ok_or_else(|| error(401, "Bad credentials"))
    }

    /// Counts a request against the limits that are enforced.
    ///
    /// # Errors
    /// The 403 or 429 to answer.
    pub fn count(&mut self, call: &Call) -> Result<(), Reply> {
        let now = call.now.as_second();
        if call.segments.first().is_some_and(|first| first == "rate_limit") {
            return Ok(());
        }
        let token = Self::token(call).unwrap_or_default().to_owned();
        let limit = self.limits.core.unwrap_or(CORE_LIMIT);
        let used = self.used.entry(token).or_insert((0, now + 3_600));
        if used.1 <= now {
            *used = (0, now + 3_600);
        }
        if used.0 >= limit && self.limits.core.is_some() {
            return Err(error(403, "API rate limit exceeded for user ID 1."));
        }
        used.0 += 1;
        if self.points.1 <= now {
            self.points = (0, now + 60);
        }
        let cost = if matches!(call.method.as_str(), "GET" | "HEAD" | "OPTIONS") { 1 } else { 5 };
        if self.limits.points.is_some_and(|limit| self.points.0 + cost > limit) {
            return Err(secondary_limit().header("retry-after", (self.points.1 - now).max(1).to_string()));
        }
        self.points.0 += cost;
        Ok(())
    }

    fn core(&self, call: &Call) -> Json {
        let now = call.now.as_second();
        let token = Self::token(call).unwrap_or_default();
        let (used, reset) = self.used.get(token).copied().filter(|used| used.1 > now).unwrap_or((0, now + 3_600));
        let limit = self.limits.core.unwrap_or(CORE_LIMIT);
        json!({"limit": limit, "used": used, "remaining": limit.saturating_sub(used), "reset": reset})
    }

    /// Puts the headers of the limits on an answer; what it already has stays.
    pub fn stamp(&self, call: &Call, reply: &mut Reply) {
        let core = self.core(call);
        for name in ["limit", "used", "remaining", "reset"] {
            let header = format!("x-ratelimit-{name}");
            if !reply.has_header(&header) {
                reply.headers.push((header, core[name].to_string()));
            }
        }
        // The world's clock, which `advance` moves; clients compare it with `updated_at`.
        if let Ok(date) = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&call.now) {
            reply.headers.push(("date".to_owned(), date));
        }
        if !reply.has_header("x-ratelimit-resource") {
            reply.headers.push(("x-ratelimit-resource".to_owned(), "core".to_owned()));
        }
    }

    /// `GET /rate_limit`.
    #[must_use]
    pub fn rate_limit(&self, call: &Call) -> Reply {
        let core = self.core(call);
        let reset = core["reset"].clone();
        let other = |limit: u64| json!({"limit": limit, "used": 0, "remaining": limit, "reset": reset});
        let resources = json!({"core": core, "search": other(30), "graphql": other(5_000)});
        Reply::json(200, json!({"rate": resources["core"], "resources": resources}))
    }
}
