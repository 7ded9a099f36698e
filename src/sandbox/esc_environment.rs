//! One environment over HTTP: its text, its revisions and tags, opening and checking it
//! (esc-api.md §§4.2–4.5).

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value as Json, json};

use super::esc::{Account, Esc, Key, Session, diagnosed, error};
use super::esc_evaluation::{self as evaluation, Evaluation};
use super::esc_keeper::refused;
use super::exchange::{Call, Reply};
use super::seed::EscEnvironmentDetails;
use crate::base::environment::EscName;
use crate::esc::path::Path;
use crate::esc::value::Value;
use crate::io::esc_local::shelf::Record;
use crate::io::esc_local::{self, Labels, Tag};

pub struct Environment {
    /// Never empty; numbers from 1 upwards. In memory the first one is empty (esc-api.md §4.4).
    pub revisions: Vec<Record>,
    pub labels: Labels,
}

impl Environment {
    #[must_use]
    pub fn new(author: &str, now: Timestamp) -> Self {
        let first = Record { number: 1, text: String::new(), created: now, author: author.to_owned() };
        Self { revisions: vec![first], labels: Labels::default() }
    }

    /// Adds a revision.
    pub fn push(&mut self, text: String, author: &str, now: Timestamp) {
        let number = self.revisions.last().map_or(0, |last| last.number) + 1;
        self.revisions.push(Record { number, text, created: now, author: author.to_owned() });
    }

    pub fn seed_labels(&mut self, seed: &EscEnvironmentDetails, now: Timestamp) {
        let labels = &mut self.labels;
        labels.deletion_protected = seed.deletion_protected.unwrap_or(labels.deletion_protected);
        for (name, value) in &seed.tags {
            let tag = Tag { value: value.clone(), created: now, modified: now, editor: "sandbox".to_owned() };
            labels.tags.insert(name.clone(), tag);
        }
    }

    #[must_use]
    pub fn state(&self, in_clear: impl Fn(&str) -> String) -> Json {
        let tags: Map<String, Json> =
            self.labels.tags.iter().map(|(name, tag)| (name.clone(), json!(tag.value))).collect();
        let latest = self.revisions.last();
        json!({
            "text": latest.map_or_else(String::new, |revision| in_clear(&revision.text)), "tags": tags,
            "revision": latest.map_or(0, |revision| revision.number),
            "deletion_protected": self.labels.deletion_protected
        })
    }

    /// By number, by tag, or `latest`.
    #[must_use]
    pub fn revision(&self, version: &str) -> Option<&Record> {
        let number = match self.labels.revision_tags.get(version) {
            _ if version == "latest" => return self.revisions.last(),
            Some(tag) => tag.revision,
            None => version.parse().ok()?,
        };
        self.revisions.iter().find(|revision| revision.number == number)
    }

    /// Tag names of a revision; `latest` follows every update.
    pub fn tags_of(&self, revision: &Record) -> Vec<&str> {
        let tagged = self.labels.revision_tags.iter().filter(|(_, tag)| tag.revision == revision.number);
        let mut names: Vec<&str> = tagged.map(|(name, _)| name.as_str()).collect();
        if self.revisions.last().is_some_and(|last| last.number == revision.number) {
            names.push("latest");
        }
        names
    }
}

fn etag(revision: &Record) -> String {
    format!("\"{:x}-{}\"", revision.number, esc_local::etag(&revision.text))
}

/// Go's duration text (`2h0m0s`) in seconds; none when it is not one.
#[must_use]
pub fn go_duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        seconds += number
            * match rest.get(..unit)? {
                "ns" => 1e-9,
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3_600.0,
                _ => return None,
            };
        rest = rest.get(unit..)?;
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds are wanted")]
    let whole = seconds as i64;
    (!text.is_empty()).then_some(whole)
}

impl Esc {
    /// Everything below `/api/esc/environments`.
    pub fn environments(&mut self, call: &Call, account: &Account, rest: &[&str]) -> Reply {
        if let Some(organization) = rest.first()
            && !account.sees(organization)
        {
            return error(404, "Not Found: organization");
        }
        match (call.method.as_str(), rest) {
            ("GET", []) => self.list(account, None),
            ("GET", [organization]) => self.list(account, Some(organization)),
            ("POST", [organization]) => self.create(call, account, organization),
            ("POST", [organization, "yaml", "check"]) => {
                let name = ((*organization).to_owned(), String::new(), "yaml".to_owned());
                self.check(call, &name, &String::from_utf8_lossy(&call.body))
            }
            ("POST", [organization, "yaml", "open"]) => {
                let name = ((*organization).to_owned(), String::new(), "yaml".to_owned());
                self.open(call, account, &name, &String::from_utf8_lossy(&call.body))
            }
            ("GET", [organization, "yaml", "open", rest @ ..]) => {
                self.read_session(call, &((*organization).to_owned(), String::new(), "yaml".to_owned()), rest)
            }
            (_, [organization, project, name, rest @ ..]) => {
                let key = ((*organization).to_owned(), (*project).to_owned(), (*name).to_owned());
                self.one(call, account, &key, rest)
            }
            _ => error(404, "Not Found"),
        }
    }

    fn list(&self, account: &Account, organization: Option<&str>) -> Reply {
        let shown = self.environments.iter().filter(|((owner, ..), _)| {
            account.sees(owner) && organization.is_none_or(|organization| organization == owner)
        });
        let environments: Vec<Json> = shown
            .map(|((organization, project, name), one)| {
                json!({
                    "organization": organization, "project": project, "name": name,
                    "created": one.revisions.first().map(|first| first.created),
                    "modified": one.revisions.last().map(|last| last.created)
                })
            })
            .collect();
        Reply::json(200, json!({"environments": environments, "nextToken": ""}))
    }

    fn create(&mut self, call: &Call, account: &Account, organization: &str) -> Reply {
        if let Err(reply) = account.require("write") {
            return reply;
        }
        let body = call.json().unwrap_or_default();
        let project = body["project"].as_str().unwrap_or("default");
        let name = body["name"].as_str().unwrap_or_default();
        if EscName::new(organization, project, name).is_err() {
            return error(400, "Bad Request: invalid environment name");
        }
        let key = (organization.to_owned(), project.to_owned(), name.to_owned());
        if self.environments.contains_key(&key) {
            return error(409, "Conflict: environment already exists");
        }
        match self.make(&key, &account.login, call.second()) {
            Ok(()) => Reply::empty(204),
            Err(failure) => refused(&failure),
        }
    }

    /// Everything below one environment.
    fn one(&mut self, call: &Call, account: &Account, key: &Key, rest: &[&str]) -> Reply {
        let Some(environment) = self.environments.get_mut(key) else {
            let message = format!("Not Found: environment \"{}/{}/{}\" not found", key.0, key.1, key.2);
            return error(404, &message);
        };
        let method = call.method.as_str();
        let needed = match (method, rest) {
            (_, ["decrypt" | "open", ..] | ["versions", _, "decrypt" | "open"]) => "open",
            ("GET" | "HEAD", _) | ("POST", ["check"]) => "read",
            ("DELETE", []) => "admin",
            _ => "write",
        };
        if let Err(reply) = account.require(needed) {
            return reply;
        }
        match (method, rest) {
            ("GET" | "HEAD", []) => self.text(key, "latest", false),
            ("GET", ["decrypt"]) => self.text(key, "latest", true),
            ("GET", ["versions", version]) if *version != "tags" => self.text(key, version, false),
            ("GET", ["versions", version, "decrypt"]) => self.text(key, version, true),
            ("PATCH", []) => self.update(call, account, key),
            ("DELETE", []) if environment.labels.deletion_protected => {
                error(409, "Conflict: environment is protected from deletion")
            }
            ("DELETE", []) => match self.drop_environment(key) {
                Ok(()) => Reply::empty(204),
                Err(failure) => refused(&failure),
            },
            ("POST", ["clone"]) => self.clone_environment(call, key),
            ("POST", ["open"]) => self.open_version(call, account, key, "latest"),
            ("POST", ["versions", version, "open"]) => self.open_version(call, account, key, version),
            ("GET", ["open", rest @ ..]) => self.read_session(call, key, rest),
            ("POST", ["check"]) => {
                let latest = environment.revision("latest").map_or_else(String::new, |latest| latest.text.clone());
                self.check(call, key, &latest)
            }
            ("GET", ["referrers"]) => self.referrers(call, key),
            // No rotator can be reached from here; the service says the same where rotation is not enabled.
            ("POST", ["rotate"]) => error(403, "Forbidden: secret rotation is not enabled"),
            ("GET", ["settings"]) => settings(&environment.labels),
            (_, ["settings" | "versions" | "tags", ..]) => {
                let before = environment.labels.clone();
                let reply = match rest {
                    ["versions", rest @ ..] => environment.versions(call, &account.login, rest),
                    ["tags", rest @ ..] => environment.environment_tags(call, &account.login, rest),
                    ["settings"] if method == "PATCH" => {
                        let protected = call.json().unwrap_or_default()["deletionProtected"].as_bool();
                        let labels = &mut environment.labels;
                        labels.deletion_protected = protected.unwrap_or(labels.deletion_protected);
                        settings(labels)
                    }
                    _ => error(404, "Not Found"),
                };
                if environment.labels == before {
                    return reply;
                }
                self.keep_labels(key, &before).map_or_else(|failure| refused(&failure), |()| reply)
            }
            _ => error(404, "Not Found"),
        }
    }

    /// The definition text; both headers are mandatory for the CLI (esc-api.md §5).
    fn text(&self, key: &Key, version: &str, in_clear: bool) -> Reply {
        let Some(revision) = self.environments.get(key).and_then(|environment| environment.revision(version)) else {
            return error(404, "Not Found: revision not found");
        };
        let text = if in_clear { self.in_clear(key, &revision.text) } else { Ok(revision.text.clone()) };
        match text {
            Ok(text) => Reply::text(200, "application/x-yaml", text)
                .header("pulumi-esc-revision", revision.number.to_string())
                .header("etag", etag(revision)),
            Err(failure) => refused(&failure),
        }
    }

    fn update(&mut self, call: &Call, account: &Account, key: &Key) -> Reply {
        let text = String::from_utf8_lossy(&call.body).into_owned();
        let latest =
            |esc: &Self| esc.environments.get(key).and_then(|environment| environment.revisions.last().cloned());
        let given = call.header("etag").or_else(|| call.header("if-match"));
        if given.is_some_and(|given| !given.is_empty() && latest(self).is_none_or(|latest| etag(&latest) != given)) {
            return error(409, "Conflict: environment has been modified");
        }
        let Evaluation { diagnostics, failed, .. } = match evaluation::check(self, key, &text, false) {
            Ok(evaluation) => evaluation,
            Err(failure) => return refused(&failure),
        };
        if failed {
            return diagnosed(&diagnostics);
        }
        if let Err(failure) = self.write(key, &text, &account.login, call.second()) {
            return refused(&failure);
        }
        let Some(latest) = latest(self) else { return error(404, "Not Found") };
        let body = if diagnostics.is_empty() { json!({}) } else { json!({"diagnostics": diagnostics}) };
        Reply::json(200, body).header("pulumi-esc-revision", latest.number.to_string()).header("etag", etag(&latest))
    }

    fn open_version(&mut self, call: &Call, account: &Account, key: &Key, version: &str) -> Reply {
        let revision = self.environments.get(key).and_then(|environment| environment.revision(version));
        match revision.map(|revision| revision.text.clone()) {
            Some(text) => self.open(call, account, key, &text),
            None => error(404, "Not Found: revision not found"),
        }
    }

    fn open(&mut self, call: &Call, _account: &Account, key: &Key, text: &str) -> Reply {
        let seconds = match call.parameter("duration").map(go_duration) {
            None => 3_600,
            Some(Some(seconds)) => seconds,
            Some(None) => return error(400, "Bad Request: invalid duration"),
        };
        let Evaluation { body, diagnostics, failed } = match evaluation::open(self, key, text) {
            Ok(evaluation) => evaluation,
            Err(failure) => return refused(&failure),
        };
        if failed {
            return diagnosed(&diagnostics);
        }
        let id = format!("session-{}", self.next_id());
        let expires = call.now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(call.now);
        self.sessions.insert(id.clone(), Session { key: key.clone(), value: body, expires });
        Reply::json(200, json!({"id": id}))
    }

    /// The SDKs write `open//ID` for a property (esc-api.md §8).
    fn read_session(&self, call: &Call, key: &Key, rest: &[&str]) -> Reply {
        let ([id] | ["", id]) = rest else { return error(404, "Not Found") };
        let session = self.sessions.get(*id).filter(|session| session.key == *key && session.expires > call.now);
        let Some(session) = session else { return error(404, "Not Found: session not found or expired") };
        let Some(property) = call.parameter("property") else { return Reply::json(200, session.value.clone()) };
        let root = json!({"value": session.value.get("properties").cloned().unwrap_or_else(|| json!({}))});
        let (Ok(root), Ok(path)) = (Value::from_json(&root), property.parse::<Path>()) else {
            return error(400, "Bad Request: invalid property path");
        };
        match crate::esc::path::lookup(&root, &path) {
            Some(value) => Reply::json(200, value.to_json()),
            None => error(404, "Not Found: property not found"),
        }
    }

    /// A definition with errors is still answered with what it evaluates to: the CLI ignores the diagnostics of a 400
    /// here, and then stumbles over the empty result (esc-api.md §6).
    fn check(&self, call: &Call, key: &Key, text: &str) -> Reply {
        let show_secrets = call.parameter("showSecrets") == Some("true");
        let Evaluation { mut body, diagnostics, failed } = match evaluation::check(self, key, text, show_secrets) {
            Ok(evaluation) => evaluation,
            Err(failure) => return refused(&failure),
        };
        if failed && body.get("properties").is_none() {
            return diagnosed(&diagnostics);
        }
        if !diagnostics.is_empty() {
            body["diagnostics"] = json!(diagnostics);
        }
        Reply::json(200, body)
    }
}

fn settings(labels: &Labels) -> Reply {
    Reply::json(200, json!({"deletionProtected": labels.deletion_protected}))
}
