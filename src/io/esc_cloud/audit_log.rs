//! The audit log of a Pulumi organization (esc-api.md §4.9; an Enterprise feature).

use jiff::Timestamp;
use serde_json::Value as Json;

use super::errors::{Deed, quoted};
use super::{PulumiCloud, json_of};
use crate::base::error::Outcome;
use crate::report::audit::{AuditEvent, Origin, OtherLog};
use crate::rules::audit_filter::Filter;

impl PulumiCloud {
    /// The newest `limit` events before `until` that `filter` takes.
    ///
    /// # Errors
    /// `esc-forbidden` when the token may not read the log, or the organization has none; and the other
    /// failures of a call.
    pub async fn audit_log(
        &self,
        organization: &str,
        filter: &Filter,
        until: Timestamp,
        limit: usize,
    ) -> Outcome<OtherLog> {
        let told = self.told(Deed::AuditLog, organization, None);
        let mut log = OtherLog::default();
        // The service answers what is older than `startTime`, which is in whole seconds.
        let start = until.as_second().saturating_add(i64::from(until.subsec_nanosecond() > 0));
        let mut position = ("startTime", start.to_string());
        for _ in 0..MOST_PAGES {
            let mut url = self.root.audit_log(organization);
            url.query_pairs_mut().append_pair(position.0, &position.1);
            let answer = self.get(&told, url).await?;
            let page = json_of(&told, &answer)?;
            let entries = page.get("auditLogEvents").and_then(Json::as_array);
            let entries = entries.ok_or_else(|| told.malformed(&answer, "no `auditLogEvents`"))?;
            for entry in entries {
                let event = event(entry).ok_or_else(|| told.malformed(&answer, "an event without time or name"))?;
                if log.events.len() == limit || filter.since.is_some_and(|since| event.time < since) {
                    return Ok(log);
                }
                if filter.takes(&event.told()) {
                    log.events.push(event);
                }
            }
            match page.get("continuationToken").and_then(Json::as_str).filter(|token| !token.is_empty()) {
                Some(token) => position = ("continuationToken", token.to_owned()),
                None => return Ok(log),
            }
        }
        log.cut = true;
        Ok(log)
    }
}

/// The most pages that are read: of a log that is long, the newest part.
const MOST_PAGES: usize = 200;

fn event(entry: &Json) -> Option<AuditEvent> {
    let text = |name: &str| entry.pointer(name).and_then(Json::as_str);
    let time = Timestamp::from_second(entry.get("timestamp")?.as_i64()?).ok()?;
    let actor = text("/user/githubLogin").or_else(|| text("/actorName")).unwrap_or("unknown");
    let name = text("/event")?;
    let failed = entry.get("authFailure").and_then(Json::as_bool) == Some(true);
    Some(AuditEvent {
        outcome: failed.then(|| "failed".to_owned()),
        detail: text("/description").filter(|text| !text.is_empty()).map(|text| quoted(text, None)),
        ..AuditEvent::foreign(Origin::Pulumi, time, actor.to_owned(), name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_keeps_time_actor_and_words() {
        let read =
            event(&json!({"timestamp": 1_780_000_000, "event": "environment-opened", "description": "opened a/b/c",
            "user": {"githubLogin": "octocat"}, "authFailure": true}))
            .unwrap();
        assert_eq!((read.actor.as_str(), read.event.as_str()), ("octocat", "environment-opened"));
        assert_eq!((read.detail.as_deref(), read.outcome.as_deref()), (Some("opened a/b/c"), Some("failed")));
        assert!(event(&json!({"event": "x"})).is_none());
    }
}
