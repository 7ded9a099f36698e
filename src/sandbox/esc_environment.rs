//! One environment over HTTP: its text, its revisions and tags, opening and checking it
//! (esc-api.md §§4.2–4.5).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value as Json, json};

use super::esc::{Account, Esc, Key, Session, diagnosed, error};
use super::esc_crypter::Crypter;
use super::esc_evaluation::{self as evaluation, Evaluation};
use super::exchange::{Call, Reply};
use super::seed::EscEnvironmentDetails;
use crate::esc::path::Path;
use crate::esc::value::Value;

pub struct Environment {
    pub id: u64,
    pub created: Timestamp,
    pub modified: Timestamp,
    /// Never empty; numbers from 1 upwards. The first one is empty (esc-api.md §4.4).
    pub revisions: Vec<Revision>,
    pub revision_tags: BTreeMap<String, RevisionTag>,
    pub tags: BTreeMap<String, Tag>,
    pub deletion_protected: bool,
}

pub struct Revision {
    pub number: u64,
    pub text: String,
    pub created: Timestamp,
    pub author: String,
    pub retracted: Option<Json>,
}

pub struct RevisionTag {
    pub revision: u64,
    pub created: Timestamp,
    pub modified: Timestamp,
    pub editor: String,
}

pub struct Tag {
    pub value: String,
    pub created: Timestamp,
    pub modified: Timestamp,
    pub editor: String,
}

impl Environment {
    #[must_use]
    pub fn new(id: u64, author: &str, now: Timestamp) -> Self {
        let first =
            Revision { number: 1, text: String::new(), created: now, author: author.to_owned(), retracted: None };
        Self {
            id,
            created: now,
            modified: now,
            revisions: vec![first],
            revision_tags: BTreeMap::new(),
            tags: BTreeMap::new(),
            deletion_protected: false,
        }
    }

    /// Adds a revision.
    pub fn push(&mut self, text: String, author: &str, now: Timestamp) -> u64 {
        let number = self.revisions.last().map_or(0, |last| last.number) + 1;
        self.revisions.push(Revision { number, text, created: now, author: author.to_owned(), retracted: None });
        self.modified = now;
        number
    }

    pub fn apply(&mut self, seed: &EscEnvironmentDetails, crypter: &Crypter, now: Timestamp) {
        if let Some(text) = &seed.text {
            self.push(crypter.encrypt(text), "sandbox", now);
        }
        self.deletion_protected = seed.deletion_protected.unwrap_or(self.deletion_protected);
        for (name, value) in &seed.tags {
            let tag = Tag { value: value.clone(), created: now, modified: now, editor: "sandbox".to_owned() };
            self.tags.insert(name.clone(), tag);
        }
    }

    #[must_use]
    pub fn state(&self, crypter: &Crypter) -> Json {
        let tags: Map<String, Json> = self.tags.iter().map(|(name, tag)| (name.clone(), json!(tag.value))).collect();
        let latest = self.revisions.last();
        json!({
            "text": latest.map_or_else(String::new, |revision| crypter.decrypt_text(&revision.text)), "tags": tags,
            "revision": latest.map_or(0, |revision| revision.number), "deletion_protected": self.deletion_protected
        })
    }

    /// By number, by tag, or `latest`.
    #[must_use]
    pub fn revision(&self, version: &str) -> Option<&Revision> {
        let number = match self.revision_tags.get(version) {
            _ if version == "latest" => return self.revisions.last(),
            Some(tag) => tag.revision,
            None => version.parse().ok()?,
        };
        self.revisions.iter().find(|revision| revision.number == number)
    }

    fn etag(&self, revision: &Revision) -> String {
        format!("\"{:x}-{:x}\"", self.id, revision.number)
    }

    /// Tag names of a revision; `latest` follows every update.
    pub fn tags_of(&self, revision: &Revision) -> Vec<&str> {
        let tagged = self.revision_tags.iter().filter(|(_, tag)| tag.revision == revision.number);
        let mut names: Vec<&str> = tagged.map(|(name, _)| name.as_str()).collect();
        if self.revisions.last().is_some_and(|last| last.number == revision.number) {
            names.push("latest");
        }
        names
    }
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
                    "created": one.created, "modified": one.modified
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
        if crate::base::environment::EscName::new(organization, project, name).is_err() {
            return error(400, "Bad Request: invalid environment name");
        }
        let key = (organization.to_owned(), project.to_owned(), name.to_owned());
        if self.environments.contains_key(&key) {
            return error(409, "Conflict: environment already exists");
        }
        let id = self.next_id();
        self.environments.insert(key, Environment::new(id, &account.login, call.second()));
        Reply::empty(204)
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
            ("GET" | "HEAD", []) => text(environment, "latest", None),
            ("GET", ["decrypt"]) => text(environment, "latest", Some(&self.crypter)),
            ("GET", ["versions", version]) if *version != "tags" => text(environment, version, None),
            ("GET", ["versions", version, "decrypt"]) => text(environment, version, Some(&self.crypter)),
            ("PATCH", []) => self.update(call, account, key),
            ("DELETE", []) if environment.deletion_protected => {
                error(409, "Conflict: environment is protected from deletion")
            }
            ("DELETE", []) => {
                self.environments.remove(key);
                Reply::empty(204)
            }
            ("POST", ["open"]) => self.open_version(call, account, key, "latest"),
            ("POST", ["versions", version, "open"]) => self.open_version(call, account, key, version),
            ("GET", ["open", rest @ ..]) => self.read_session(call, key, rest),
            ("POST", ["check"]) => {
                let latest = environment.revision("latest").map_or_else(String::new, |latest| latest.text.clone());
                self.check(call, key, &latest)
            }
            ("GET", ["settings"]) => Reply::json(200, json!({"deletionProtected": environment.deletion_protected})),
            ("PATCH", ["settings"]) => {
                let body = call.json().unwrap_or_default();
                environment.deletion_protected =
                    body["deletionProtected"].as_bool().unwrap_or(environment.deletion_protected);
                Reply::json(200, json!({"deletionProtected": environment.deletion_protected}))
            }
            ("GET", ["referrers"]) => Reply::json(200, json!({"referrers": {}})),
            (_, ["versions", rest @ ..]) => environment.versions(call, &account.login, rest),
            (_, ["tags", rest @ ..]) => environment.environment_tags(call, &account.login, rest),
            _ => error(404, "Not Found"),
        }
    }

    fn update(&mut self, call: &Call, account: &Account, key: &Key) -> Reply {
        let text = String::from_utf8_lossy(&call.body).into_owned();
        let given = call.header("etag").or_else(|| call.header("if-match")).map(str::to_owned);
        if let (Some(given), Some(environment)) = (given, self.environments.get(key))
            && !given.is_empty()
            && environment.revisions.last().is_some_and(|last| environment.etag(last) != given)
        {
            return error(409, "Conflict: environment has been modified");
        }
        let Evaluation { diagnostics, failed, .. } = evaluation::check(self, key, &text, false);
        if failed {
            return diagnosed(&diagnostics);
        }
        let now = call.second();
        let text = self.crypter.encrypt(&text);
        let Some(environment) = self.environments.get_mut(key) else { return error(404, "Not Found") };
        let number = environment.push(text, &account.login, now);
        let etag = environment.revisions.last().map(|last| environment.etag(last)).unwrap_or_default();
        let body = if diagnostics.is_empty() { json!({}) } else { json!({"diagnostics": diagnostics}) };
        Reply::json(200, body).header("pulumi-esc-revision", number.to_string()).header("etag", etag)
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
        let Evaluation { body, diagnostics, failed } = evaluation::open(self, key, text);
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

    fn check(&self, call: &Call, key: &Key, text: &str) -> Reply {
        let Evaluation { mut body, diagnostics, failed } =
            evaluation::check(self, key, text, call.parameter("showSecrets") == Some("true"));
        if failed {
            return diagnosed(&diagnostics);
        }
        if !diagnostics.is_empty() {
            body["diagnostics"] = json!(diagnostics);
        }
        Reply::json(200, body)
    }
}

/// The definition text; both headers are mandatory for the CLI (esc-api.md §5).
fn text(environment: &Environment, version: &str, crypter: Option<&Crypter>) -> Reply {
    let Some(revision) = environment.revision(version) else { return error(404, "Not Found: revision not found") };
    let text = crypter.map_or_else(|| revision.text.clone(), |crypter| crypter.decrypt_text(&revision.text));
    Reply::text(200, "application/x-yaml", text)
        .header("pulumi-esc-revision", revision.number.to_string())
        .header("etag", environment.etag(revision))
}
