//! How environments relate: who imports one, and copies of one (esc-api.md §4.2).

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::esc::{Esc, Key, error};
use super::esc_keeper::refused;
use super::exchange::{Call, Reply};
use crate::base::environment::EscName;
use crate::base::error::Outcome;
use crate::esc::document;

impl Esc {
    /// Which environments of the organization import this one, by the revision or tag that they name.
    pub fn referrers(&self, call: &Call, key: &Key) -> Reply {
        let number = |name: &str| call.parameter(name).and_then(|text| text.parse::<usize>().ok());
        let all_revisions = call.parameter("allRevisions") == Some("true");
        let mut found = Vec::new();
        for ((_, project, name), environment) in self.environments.iter().filter(|((owner, ..), _)| *owner == key.0) {
            let latest = environment.revisions.len().saturating_sub(1);
            let revisions = environment.revisions.iter().skip(if all_revisions { 0 } else { latest });
            for revision in revisions {
                let imports = document::parse(name, &revision.text).0.map(|document| document.imports);
                for import in imports.unwrap_or_default() {
                    let (path, version) = import.name.split_once('@').unwrap_or((&import.name, "latest"));
                    if path.split_once('/').unwrap_or(("default", path)) == (&key.1, &key.2) {
                        let referrer = json!({"project": project, "name": name, "revision": revision.number});
                        found.push((version.to_owned(), json!({"environment": referrer})));
                    }
                }
            }
        }
        let (first, most) = (number("continuationToken").unwrap_or(0), number("count").unwrap_or(500).clamp(1, 500));
        let mut shown: BTreeMap<String, Vec<Json>> = BTreeMap::new();
        for (version, referrer) in found.iter().skip(first).take(most) {
            shown.entry(version.clone()).or_default().push(referrer.clone());
        }
        let mut body = json!({"referrers": shown});
        if found.len() > first + most {
            body["continuationToken"] = json!((first + most).to_string());
        }
        Reply::json(200, body)
    }

    /// Copies an environment within its organization. Secrets are encrypted again: each has its own keys.
    pub fn clone_environment(&mut self, call: &Call, key: &Key) -> Reply {
        let body = call.json().unwrap_or_default();
        let word = |name: &str| body[name].as_str().filter(|text| !text.is_empty());
        let copy =
            (key.0.clone(), word("project").unwrap_or(&key.1).to_owned(), word("name").unwrap_or_default().to_owned());
        if EscName::new(&copy.0, &copy.1, &copy.2).is_err() {
            return error(400, "Bad Request: invalid environment name");
        }
        if self.environments.contains_key(&copy) {
            return error(409, "Conflict: environment already exists");
        }
        let version = body["version"].as_u64().map_or_else(|| "latest".to_owned(), |number| number.to_string());
        match self.copied(call, key, &copy, &version, &body) {
            Ok(true) => Reply::empty(204),
            Ok(false) => error(404, "Not Found: revision not found"),
            Err(failure) => refused(&failure),
        }
    }

    fn copied(&mut self, call: &Call, key: &Key, copy: &Key, version: &str, body: &Json) -> Outcome<bool> {
        let asked = |name: &str| body[name].as_bool() == Some(true);
        let Some(original) = self.environments.get(key) else { return Ok(false) };
        let Some(last) = original.revision(version).cloned() else { return Ok(false) };
        let whole_history = asked("preserveHistory");
        let history = original.revisions.iter().skip(1).filter(|one| one.number <= last.number).cloned();
        let revisions = if whole_history { history.collect() } else { vec![last] };
        let mut labels = original.labels.clone();
        let first_author = original.revisions.first().map(|first| first.author.clone()).unwrap_or_default();
        self.make(copy, &first_author, call.second())?;
        for revision in revisions {
            let text = self.in_clear(key, &revision.text)?;
            self.write(copy, &text, &revision.author, revision.created)?;
        }
        labels.deletion_protected = false;
        labels.retracted.clear();
        if !asked("preserveEnvironmentTags") {
            labels.tags.clear();
        }
        if !(whole_history && asked("preserveRevisionTags")) {
            labels.revision_tags.clear();
        }
        if let Some(environment) = self.environments.get_mut(copy) {
            let before = std::mem::replace(&mut environment.labels, labels);
            self.keep_labels(copy, &before)?;
        }
        Ok(true)
    }
}
