//! Revisions, revision tags and environment tags (esc-api.md §§4.4, 4.5).
//!
//! **`before` and `after` are honoured and lists end in an empty page**, and the tag list ends with
//! `nextToken` `"0"`: the `esc` command pages until it sees that, and would loop for ever otherwise.

use serde_json::{Map, Value as Json, json};

use super::esc::error;
use super::esc_environment::Environment;
use super::exchange::{Call, Reply};
use crate::io::esc_local::shelf::Record;
use crate::io::esc_local::{Retraction, RevisionTag, Tag};

fn count(call: &Call, name: &str, usual: u64) -> u64 {
    call.parameter(name).and_then(|text| text.parse().ok()).filter(|number| *number > 0).unwrap_or(usual)
}

fn text(body: &Json, name: &str) -> Option<String> {
    body.get(name).and_then(Json::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

impl Environment {
    pub fn versions(&mut self, call: &Call, login: &str, rest: &[&str]) -> Reply {
        match (call.method.as_str(), rest) {
            ("GET", []) => {
                let before = count(call, "before", u64::MAX);
                let most = usize::try_from(count(call, "count", 100)).unwrap_or(100).min(500);
                let older = self.revisions.iter().rev().filter(|revision| revision.number < before);
                let shown: Vec<Json> = older.take(most).map(|revision| self.show_revision(revision)).collect();
                Reply::json(200, Json::Array(shown))
            }
            ("POST", [version, "retract"]) => {
                let Some(number) = self.revision(version).map(|revision| revision.number) else {
                    return error(404, "Not Found: revision not found");
                };
                if self.revisions.last().is_some_and(|last| last.number == number) {
                    return error(400, "Bad Request: the latest revision cannot be retracted");
                }
                let body = call.json().unwrap_or_default();
                let retraction = Retraction {
                    replacement: body["replacement"].as_u64().unwrap_or(number + 1),
                    at: call.second(),
                    by: login.to_owned(),
                    reason: text(&body, "reason"),
                };
                self.labels.retracted.insert(number, retraction);
                Reply::empty(204)
            }
            (_, ["tags", rest @ ..]) => self.version_tags(call, login, rest),
            _ => error(404, "Not Found"),
        }
    }

    fn show_revision(&self, revision: &Record) -> Json {
        let mut shown = json!({
            "number": revision.number, "created": revision.created, "creatorLogin": revision.author,
            "creatorName": revision.author, "tags": self.tags_of(revision)
        });
        if let Some(Retraction { replacement, at, by, reason }) = self.labels.retracted.get(&revision.number) {
            shown["retracted"] =
                json!({"replacement": replacement, "at": at, "byLogin": by, "byName": by, "reason": reason});
        }
        shown
    }

    fn latest_tag(&self) -> Option<RevisionTag> {
        let latest = self.revisions.last()?;
        let created = self.revisions.first().map_or(latest.created, |first| first.created);
        Some(RevisionTag { revision: latest.number, created, modified: latest.created, editor: latest.author.clone() })
    }

    fn version_tags(&mut self, call: &Call, login: &str, rest: &[&str]) -> Reply {
        let now = call.second();
        let body = call.json().unwrap_or_default();
        let revision = || match body.get("revision").and_then(Json::as_u64) {
            Some(number) => self.revisions.iter().any(|one| one.number == number).then_some(number),
            None => self.revisions.last().map(|latest| latest.number),
        };
        match (call.method.as_str(), rest) {
            ("GET", []) => {
                let after = call.parameter("after").unwrap_or_default();
                let most = usize::try_from(count(call, "count", 100)).unwrap_or(100).min(500);
                let latest = self.latest_tag();
                let mut all: Vec<(&str, &RevisionTag)> =
                    self.labels.revision_tags.iter().map(|(name, tag)| (name.as_str(), tag)).collect();
                all.extend(latest.iter().map(|tag| ("latest", tag)));
                all.sort_by_key(|(name, _)| *name);
                let shown: Vec<Json> = all
                    .iter()
                    .filter(|(name, _)| *name > after)
                    .take(most)
                    .map(|(name, tag)| show_revision_tag(name, tag))
                    .collect();
                Reply::json(200, json!({"tags": shown, "nextToken": ""}))
            }
            ("POST", []) => {
                let Some(name) = text(&body, "name") else { return error(400, "Bad Request: name is required") };
                if name == "latest" || self.labels.revision_tags.contains_key(&name) {
                    return error(409, "Conflict: tag already exists");
                }
                let Some(revision) = revision() else { return error(404, "Not Found: revision not found") };
                let tag = RevisionTag { revision, created: now, modified: now, editor: login.to_owned() };
                self.labels.revision_tags.insert(name, tag);
                Reply::empty(204)
            }
            ("GET", ["latest"]) => self.latest_tag().map_or_else(
                || error(404, "Not Found: tag not found"),
                |tag| Reply::json(200, show_revision_tag("latest", &tag)),
            ),
            ("GET", [name]) => match self.labels.revision_tags.get(*name) {
                Some(tag) => Reply::json(200, show_revision_tag(name, tag)),
                None => error(404, "Not Found: tag not found"),
            },
            ("PATCH", [name]) => {
                let Some(revision) = revision() else { return error(404, "Not Found: revision not found") };
                let Some(tag) = self.labels.revision_tags.get_mut(*name) else {
                    return error(404, "Not Found: tag not found");
                };
                tag.revision = revision;
                tag.modified = now;
                login.clone_into(&mut tag.editor);
                Reply::empty(204)
            }
            ("DELETE", [name]) => match self.labels.revision_tags.remove(*name) {
                Some(_) => Reply::empty(204),
                None => error(404, "Not Found: tag not found"),
            },
            _ => error(404, "Not Found"),
        }
    }

    pub fn environment_tags(&mut self, call: &Call, login: &str, rest: &[&str]) -> Reply {
        let now = call.second();
        let body = call.json().unwrap_or_default();
        match (call.method.as_str(), rest) {
            ("GET", []) => {
                let shown: Map<String, Json> =
                    self.labels.tags.iter().map(|(name, tag)| (name.clone(), show_tag(name, tag))).collect();
                Reply::json(200, json!({"tags": shown, "nextToken": "0"}))
            }
            ("POST", []) => {
                let (Some(name), Some(value)) = (text(&body, "name"), text(&body, "value")) else {
                    return error(400, "Bad Request: name and value are required");
                };
                if self.labels.tags.contains_key(&name) {
                    return error(409, "Conflict: tag already exists");
                }
                let tag = Tag { value, created: now, modified: now, editor: login.to_owned() };
                let shown = show_tag(&name, &tag);
                self.labels.tags.insert(name, tag);
                Reply::json(200, shown)
            }
            ("GET", [name]) => match self.labels.tags.get(*name) {
                Some(tag) => Reply::json(200, show_tag(name, tag)),
                None => error(404, "Not Found: tag not found"),
            },
            ("PATCH", [name]) => {
                let Some(tag) = self.labels.tags.get(*name) else { return error(404, "Not Found: tag not found") };
                let current = body.pointer("/currentTag/value").and_then(Json::as_str);
                if current.is_some_and(|current| current != tag.value) {
                    return error(409, "Conflict: tag has been modified");
                }
                let wanted = body.get("newTag").cloned().unwrap_or_default();
                let new_name = text(&wanted, "name").unwrap_or_else(|| (*name).to_owned());
                let value = text(&wanted, "value").unwrap_or_else(|| tag.value.clone());
                let created = tag.created;
                self.labels.tags.remove(*name);
                let tag = Tag { value, created, modified: now, editor: login.to_owned() };
                let shown = show_tag(&new_name, &tag);
                self.labels.tags.insert(new_name, tag);
                Reply::json(200, shown)
            }
            ("DELETE", [name]) => match self.labels.tags.remove(*name) {
                Some(_) => Reply::empty(204),
                None => error(404, "Not Found: tag not found"),
            },
            _ => error(404, "Not Found"),
        }
    }
}

fn show_revision_tag(name: &str, tag: &RevisionTag) -> Json {
    json!({
        "name": name, "revision": tag.revision, "created": tag.created, "modified": tag.modified,
        "editorLogin": tag.editor, "editorName": tag.editor
    })
}

/// Without `id`: the Go SDK refuses fields that it does not know.
fn show_tag(name: &str, tag: &Tag) -> Json {
    json!({
        "name": name, "value": tag.value, "created": tag.created, "modified": tag.modified,
        "editorLogin": tag.editor, "editorName": tag.editor
    })
}
