//! The audit log of a GitHub organization (github-api.md §1.8; Enterprise only), as far as it is about secrets.

use http::Method;
use jiff::Timestamp;
use serde_json::Value as Json;
use url::Url;

use super::github::{GitHub, header, segment};
use super::github_error::{GitHubError, Problem};
use crate::report::audit::{AuditEvent, Origin, OtherLog};
use crate::rules::audit_filter::Filter;

/// What the token needs.
pub const PERMISSION: &str = "organization administration (read), or the classic scope `read:audit_log`; the log is a feature of GitHub Enterprise";

/// The most pages that are read: GitHub allows 1,750 queries an hour.
const MOST_PAGES: usize = 200;

impl GitHub {
    /// The newest `limit` events about secrets before `until` that `filter` takes. Without a beginning, GitHub
    /// looks three months back.
    ///
    /// # Errors
    /// [`GitHubError`]; 404 when the organization has no such log or the token may not read it.
    pub async fn audit_log(
        &self,
        organization: &str,
        filter: &Filter,
        until: Timestamp,
        limit: usize,
    ) -> Result<OtherLog, GitHubError> {
        let phrase = filter.since.map_or_else(String::new, |since| {
            format!("&phrase={}", segment(&format!("created:>={}", since.strftime("%Y-%m-%d"))))
        });
        let base = format!("/orgs/{}/audit-log?include=all&order=desc&per_page=100{phrase}", segment(organization));
        let mut path = base.clone();
        let mut log = OtherLog::default();
        for _ in 0..MOST_PAGES {
            let answer = self.get(&path).await?;
            let malformed = || {
                let what = "an event of the audit log without time or action".to_owned();
                GitHubError::new(&Method::GET, &path, Problem::Malformed { what })
            };
            let entries: Vec<Json> = answer.json().map_err(|problem| GitHubError::new(&Method::GET, &path, problem))?;
            for entry in &entries {
                let event = event(entry).ok_or_else(malformed)?;
                if log.events.len() == limit || filter.since.is_some_and(|since| event.time < since) {
                    return Ok(log);
                }
                if event.event.contains("secret") && event.time < until && filter.takes(&event.told()) {
                    log.events.push(event);
                }
            }
            match header(&answer.headers, "link").and_then(next_cursor) {
                Some(cursor) => path = format!("{base}&after={}", segment(&cursor)),
                None => return Ok(log),
            }
        }
        log.cut = true;
        Ok(log)
    }
}

/// The cursor of the `next` link.
fn next_cursor(link: &str) -> Option<String> {
    let next = link.split(',').find(|link| link.contains("rel=\"next\""))?;
    let url = Url::parse(next.split_once('<')?.1.split_once('>')?.0).ok()?;
    url.query_pairs().find(|(name, _)| name == "after").map(|(_, cursor)| cursor.into_owned())
}

fn event(entry: &Json) -> Option<AuditEvent> {
    let text = |name: &str| entry.get(name).and_then(Json::as_str).map(str::to_owned);
    let milliseconds = entry.get("@timestamp").or_else(|| entry.get("created_at"))?.as_i64()?;
    let time = Timestamp::from_millisecond(milliseconds).ok()?;
    let target = match (text("repo").or_else(|| text("org")), text("environment_name")) {
        (Some(target), Some(environment)) => Some(format!("{target} environment {environment}")),
        (target, _) => target,
    };
    let actor = text("actor").unwrap_or_else(|| "unknown".to_owned());
    let name = ["key", "secret_name", "name"].into_iter().find_map(text);
    Some(AuditEvent { target, name, ..AuditEvent::foreign(Origin::Github, time, actor, text("action")?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_an_event_and_the_next_cursor() {
        let read = event(&json!({"@timestamp": 1_780_000_000_123_i64, "action": "repo.update_actions_secret",
            "actor": "octocat", "repo": "payready/sophia", "org": "payready", "key": "OPENAI_API_KEY"}))
        .unwrap();
        assert_eq!(read.time.to_string(), "2026-05-28T20:26:40.123Z");
        assert_eq!((read.target.as_deref(), read.name.as_deref()), (Some("payready/sophia"), Some("OPENAI_API_KEY")));
        assert!(event(&json!({"action": "x"})).is_none());
        let link = "<https://api.github.com/orgs/o/audit-log?per_page=100&after=MS42%3D%3D&before=>; rel=\"next\", <https://x?after=1>; rel=\"first\"";
        assert_eq!(next_cursor(link).as_deref(), Some("MS42=="));
        assert_eq!(next_cursor("<https://x?before=1>; rel=\"prev\""), None);
    }
}
