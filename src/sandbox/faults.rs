//! Faults on demand: which requests go wrong, and how.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::exchange::{Content, Reply};

/// Which requests a fault applies to; what is not said matches all.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    pub method: Option<String>,
    /// Regular expression over the raw path (no query); searched anywhere.
    pub path: Option<String>,
    /// `github`, `pulumi` or `id-token`.
    pub service: Option<String>,
    /// Only from the n-th matching request on, counted from 1.
    pub nth: Option<usize>,
}

/// When a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    /// The request is lost: nothing was done.
    Before,
    /// The answer is lost: the request was carried out.
    After,
    /// Half of the answer arrives.
    Body,
}

/// What goes wrong. Without `status`, `html`, `secondary_limit`, `rate_limit` or `cut: before` the request
/// is carried out and its true answer is altered.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Effect {
    pub delay_ms: u64,
    pub status: Option<u16>,
    /// JSON, or a text that is sent as it is.
    pub body: Option<Json>,
    /// Added to the answer, whatever it is.
    pub headers: BTreeMap<String, String>,
    pub cut: Option<Cut>,
    /// The answer's body ends after this many bytes, with a matching length.
    pub truncate: Option<usize>,
    /// An HTML page as a proxy sends it, with `status` (default 502).
    pub html: bool,
    /// GitHub's secondary limit: 403, or `status`; with `retry_after` its header.
    pub secondary_limit: bool,
    /// The primary limit is used up: 403, remaining 0, reset in so many seconds.
    pub rate_limit: Option<i64>,
    /// Seconds; alone it is a 429.
    pub retry_after: Option<u64>,
    /// A public key of so many bytes instead of 32.
    pub key_bytes: Option<usize>,
    /// After the answer the store's key pair is replaced.
    pub rotate_key: bool,
    /// So many entries are missing from a listing whose `total_count` stays.
    pub drop_items: usize,
}

/// One rule. The latest rule that matches wins.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(default, rename = "match")]
    pub matching: Match,
    /// How often; without it once when `nth` is given, else always.
    pub times: Option<usize>,
    #[serde(rename = "do")]
    pub effect: Effect,
}

/// The rules in force.
#[derive(Default)]
pub struct Faults(Vec<Rule>);

struct Rule {
    fault: Fault,
    path: Option<Regex>,
    seen: usize,
    done: usize,
}

impl Faults {
    /// # Errors
    /// A sentence when the path is no regular expression.
    pub fn add(&mut self, fault: Fault) -> Result<(), String> {
        let path = fault.matching.path.as_deref().map(Regex::new).transpose().map_err(|error| error.to_string())?;
        self.0.push(Rule { fault, path, seen: 0, done: 0 });
        Ok(())
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Counts the request and says what goes wrong with it.
    pub fn pick(&mut self, service: &str, method: &str, path: &str) -> Option<Effect> {
        let mut picked = None;
        for rule in &mut self.0 {
            let wanted = &rule.fault.matching;
            let matches = wanted.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
                && wanted.service.as_ref().is_none_or(|wanted| wanted == service)
                && rule.path.as_ref().is_none_or(|wanted| wanted.is_match(path));
            if !matches {
                continue;
            }
            rule.seen += 1;
            let times = rule.fault.times.unwrap_or(if wanted.nth.is_some() { 1 } else { usize::MAX });
            if rule.seen >= wanted.nth.unwrap_or(1) && rule.done < times {
                rule.done += 1;
                picked = Some(rule.fault.effect.clone());
            }
        }
        picked
    }
}

impl Effect {
    /// The answer that stands in place of the service's own, when there is one: the request is not carried out.
    #[must_use]
    pub fn instead(&self, now: jiff::Timestamp) -> Option<Reply> {
        let retry_after = |reply: Reply| match self.retry_after {
            Some(seconds) => reply.header("retry-after", seconds.to_string()),
            None => reply,
        };
        let error = |status: u16, message: &str| {
            let body = json!({"message": message, "documentation_url": "https://docs.github.com/rest", "status": status.to_string()});
            retry_after(Reply::json(status, body))
        };
        if self.html {
            let status = self.status.unwrap_or(502);
            let page = format!("<html>\n<head><title>{status}</title></head>\n<body>Unicorn!</body>\n</html>\n");
            return Some(retry_after(Reply::text(status, "text/html; charset=utf-8", page)));
        }
        if self.secondary_limit {
            let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
            return Some(error(self.status.unwrap_or(403), message));
        }
        if let Some(seconds) = self.rate_limit {
            let reset = now.as_second() + seconds;
            let reply = error(self.status.unwrap_or(403), "API rate limit exceeded for user ID 1.");
            return Some(reply.header("x-ratelimit-remaining", "0").header("x-ratelimit-reset", reset.to_string()));
        }
        let status = self.status.or(self.retry_after.map(|_| 429))?;
        Some(match &self.body {
            Some(Json::String(text)) => {
                retry_after(Reply::text(status, "application/json; charset=utf-8", text.clone()))
            }
            Some(body) => retry_after(Reply::json(status, body.clone())),
            None => {
                error(status, http::StatusCode::from_u16(status).map_or("", |s| s.canonical_reason().unwrap_or("")))
            }
        })
    }

    /// Alters an answer: headers, a short list, a short key.
    pub fn alter(&self, reply: &mut Reply) {
        for (name, value) in &self.headers {
            reply.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
            reply.headers.push((name.clone(), value.clone()));
        }
        let Content::Json(body) = &mut reply.content else { return };
        if let (Some(bytes), Some(key)) = (self.key_bytes, body.get_mut("key")) {
            use base64::Engine;
            *key = json!(base64::engine::general_purpose::STANDARD.encode(vec![7u8; bytes]));
        }
        if self.drop_items > 0 {
            for list in ["secrets", "variables", "repositories", "environments", "items"] {
                if let Some(items) = body.get_mut(list).and_then(Json::as_array_mut) {
                    items.truncate(items.len().saturating_sub(self.drop_items));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(json: Json) -> Faults {
        let mut faults = Faults::default();
        faults.add(serde_json::from_value(json).unwrap()).unwrap();
        faults
    }

    #[test]
    fn a_fault_without_limits_hits_every_match() {
        let mut faults = faults(json!({"match": {"method": "put", "path": "/secrets/"}, "do": {"status": 500}}));
        assert!(faults.pick("github", "GET", "/repos/o/r/actions/secrets/A").is_none());
        for _ in 0..3 {
            assert!(faults.pick("github", "PUT", "/repos/o/r/actions/secrets/A").is_some());
        }
    }

    #[test]
    fn the_nth_match_is_hit_once() {
        let mut faults = faults(json!({"match": {"nth": 2}, "do": {"cut": "before"}}));
        let hits: Vec<bool> = (0..4).map(|_| faults.pick("github", "GET", "/").is_some()).collect();
        assert_eq!(hits, [false, true, false, false]);
    }

    #[test]
    fn unknown_words_are_refused() {
        assert!(serde_json::from_value::<Fault>(json!({"do": {"statsu": 500}})).is_err());
    }
}
