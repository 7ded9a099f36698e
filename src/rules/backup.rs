//! A backup: what ESC held for some stacks, as one JSON text that stays readable without this tool.
//!
//! `age -d -i key.txt FILE | jq -r '.stacks.production.values["api-keys"].OPENAI_API_KEY'` answers a value. The member
//! `manifest` holds no value. **The text is plaintext: only `io::archive` makes and reads it, encrypted.**

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use zeroize::Zeroizing;

use super::import::dotted;
use crate::base::error::Problem;
use crate::base::secret::SecretValue;
use crate::esc::json::{self, JsonError};
use crate::esc::path::{Path, Step};
use crate::esc::value::{Content, Value};

/// `format` of every backup.
pub const FORMAT: &str = "sophia-secrets-sync backup";

/// The version that this tool writes and reads.
pub const VERSION: u32 = 1;

/// A backup older than this is told to be stale: days.
pub const STALE_AFTER_DAYS: i64 = 30;

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Backup {
    format: String,
    version: u32,
    pub manifest: Manifest,
    /// Text of the definition file.
    pub definition: String,
    /// By the names of stacks.
    pub stacks: BTreeMap<String, Kept>,
}

/// What a backup holds, without values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub created: Timestamp,
    pub author: String,
    /// Version of the tool.
    pub tool: String,
    /// Name of the definition file.
    pub definition: String,
    /// In the order of the definition.
    pub stacks: Vec<Contents>,
}

/// What a backup holds of one stack, without values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    pub stack: String,
    /// The ESC environment.
    pub environment: String,
    /// Kind of the source: `cloud`, `local`.
    pub source: String,
    pub revision: Option<u64>,
    /// Whether the definition text of the environment is there, and not only its values.
    pub document: bool,
    /// Paths of its values.
    pub properties: Vec<String>,
    /// How many of them are secret.
    pub secrets: usize,
}

/// What is kept of one stack.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The definition text, static secrets in clear; none when it could not be read.
    pub document: Option<String>,
    /// The evaluated values.
    pub values: Json,
    /// Paths of the values that are secret.
    pub secrets: Vec<String>,
    /// Paths of the values that the source did not know.
    pub unknown: Vec<String>,
}

impl fmt::Debug for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Backup").field(&self.manifest).finish()
    }
}

/// A text that is no backup. No message holds a part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotABackup {
    #[error("what is in it is not a backup of this tool")]
    Foreign,
    #[error("it has format version {0}, and this version of the tool reads {VERSION}")]
    Newer(u64),
    #[error("what is in it is incomplete")]
    Damaged,
}

/// Takes out the values of each stack that has some.
fn stack_values(backup: &mut Json) -> Vec<(String, Json)> {
    let stacks = backup.get_mut("stacks").and_then(Json::as_object_mut).into_iter().flatten();
    stacks.filter_map(|(name, kept)| Some((name.clone(), kept.get_mut("values")?.take()))).collect()
}

impl Backup {
    #[must_use]
    pub fn new(manifest: Manifest, definition: String) -> Self {
        Self { format: FORMAT.to_owned(), version: VERSION, manifest, definition, stacks: BTreeMap::new() }
    }

    /// Adds what `values` and `document` say of a stack. `contents` is completed from them.
    pub fn keep(&mut self, mut contents: Contents, values: &Value, document: Option<String>) -> &Kept {
        let leaves = leaves(values);
        let paths = |wanted: &dyn Fn(&Leaf<'_>) -> bool| -> Vec<String> {
            leaves.iter().filter(|(_, leaf)| wanted(leaf)).map(|(path, _)| dotted(path)).collect()
        };
        contents.properties = paths(&|_| true);
        let secrets = paths(&|leaf| leaf.secret);
        contents.secrets = secrets.len();
        contents.document = document.is_some();
        let kept =
            Kept { document, values: values.to_plain_json(false), secrets, unknown: paths(&|leaf| leaf.value.unknown) };
        let stack = contents.stack.clone();
        self.manifest.stacks.push(contents);
        self.stacks.entry(stack).insert_entry(kept).into_mut()
    }

    /// The plaintext.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which no backup is known to do.
    pub fn to_text(&self) -> Result<Zeroizing<String>, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| Zeroizing::new(text + "\n"))
    }

    /// Reads a plaintext.
    ///
    /// # Errors
    /// [`NotABackup`].
    pub fn from_text(text: &[u8]) -> Result<Self, NotABackup> {
        let mut json = json::read(text).map_err(|error| match error {
            JsonError::Nothing | JsonError::Cut => NotABackup::Damaged,
            JsonError::Character { .. } => NotABackup::Foreign,
        })?;
        if json.get("format").and_then(Json::as_str) != Some(FORMAT) {
            return Err(NotABackup::Foreign);
        }
        match json.get("version").and_then(Json::as_u64) {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => return Err(NotABackup::Newer(version)),
            None => return Err(NotABackup::Damaged),
        }
        // serde would write the numbers of the values anew.
        let values = stack_values(&mut json);
        let mut backup: Self = serde_json::from_value(json).map_err(|_| NotABackup::Damaged)?;
        for (name, values) in values {
            backup.stacks.entry(name).and_modify(|kept| kept.values = values);
        }
        let whole = backup.manifest.stacks.iter().all(|contents| backup.stacks.contains_key(&contents.stack));
        if whole && backup.manifest.stacks.len() == backup.stacks.len() { Ok(backup) } else { Err(NotABackup::Damaged) }
    }

    /// What is kept of a stack, with what the manifest says of it.
    #[must_use]
    pub fn stack(&self, name: &str) -> Option<(&Contents, &Kept)> {
        let contents = self.manifest.stacks.iter().find(|contents| contents.stack == name)?;
        Some((contents, self.stacks.get(name)?))
    }

    /// The same for the stack whose values live in `environment`.
    #[must_use]
    pub fn environment(&self, environment: &str) -> Option<(&Contents, &Kept)> {
        let contents = self.manifest.stacks.iter().find(|contents| contents.environment == environment)?;
        self.stack(&contents.stack)
    }
}

impl Backup {
    /// Every secret text and number with its path, of all stacks; a value once, wherever it stands.
    #[must_use]
    pub fn secrets(&self) -> Vec<(String, SecretValue)> {
        let roots: Vec<Value> = self.stacks.values().map(Kept::values).collect();
        let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
        for (path, leaf) in roots.iter().flat_map(leaves) {
            let text = match &leaf.value.content {
                Content::String(text) | Content::Number(text) if leaf.secret && !leaf.value.unknown => text,
                _ => continue,
            };
            if !text.is_empty() && seen.insert(text) {
                found.push((dotted(&path), SecretValue::from(text.clone())));
            }
        }
        found
    }
}

impl Manifest {
    /// Whole days between the making of the backup and `now`.
    #[must_use]
    pub fn days_old(&self, now: Timestamp) -> i64 {
        (now.as_second() - self.created.as_second()).max(0) / 86_400
    }

    /// Where a backup comes from and how old it is, as one phrase.
    #[must_use]
    pub fn describe(&self, now: Timestamp) -> String {
        let age = match self.days_old(now) {
            0 => "less than a day old".to_owned(),
            1 => "1 day old".to_owned(),
            days => format!("{days} days old"),
        };
        let stacks: Vec<String> = self.stacks.iter().map(Contents::describe).collect();
        format!("made {} by {}, {age}: {}", self.created.strftime("%Y-%m-%dT%H:%M:%SZ"), self.author, stacks.join(", "))
    }
}

impl Manifest {
    /// What to tell before values are taken from the backup `file`: that they are, and that it is old.
    #[must_use]
    pub fn warnings(&self, file: &str, now: Timestamp) -> Vec<Problem> {
        let about = self.describe(now);
        let message = format!("values come from the backup `{file}`, not from ESC; {about}");
        let mut warnings = vec![Problem::warning("backup-in-use", message)];
        let days = self.days_old(now);
        if days > STALE_AFTER_DAYS {
            let message = format!("the backup is {days} days old: what changed since is not in it");
            warnings.push(Problem::warning("backup-stale", message).hint("`emergency backup` makes a new one"));
        }
        warnings
    }
}

impl Contents {
    fn describe(&self) -> String {
        match self.revision {
            Some(revision) => format!("{} at revision {revision}", self.stack),
            None => self.stack.clone(),
        }
    }
}

impl Kept {
    /// The values with their marks, as they were opened.
    #[must_use]
    pub fn values(&self) -> Value {
        let marks = Marks {
            secrets: self.secrets.iter().map(String::as_str).collect(),
            unknown: self.unknown.iter().map(String::as_str).collect(),
        };
        marks.value(&self.values, &mut Path::default())
    }
}

/// Which paths are secret, and which are unknown.
struct Marks<'k> {
    secrets: BTreeSet<&'k str>,
    unknown: BTreeSet<&'k str>,
}

impl Marks<'_> {
    fn value(&self, json: &Json, path: &mut Path) -> Value {
        let content = match json {
            Json::Null => Content::Null,
            Json::Bool(flag) => Content::Bool(*flag),
            Json::Number(number) => Content::Number(number.to_string()),
            Json::String(text) => Content::String(text.clone()),
            Json::Array(items) => Content::List(
                items.iter().enumerate().map(|(at, item)| self.below(Step::Index(at), item, path)).collect(),
            ),
            Json::Object(entries) => Content::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.clone(), self.below(Step::Key(key.clone()), value, path)))
                    .collect(),
            ),
        };
        let at = dotted(path);
        let mut value = Value::plain(content);
        value.secret = self.secrets.contains(at.as_str());
        value.unknown = self.unknown.contains(at.as_str());
        value
    }

    fn below(&self, step: Step, json: &Json, path: &mut Path) -> Value {
        path.steps.push(step);
        let value = self.value(json, path);
        path.steps.pop();
        value
    }
}

/// A value that holds no other, and whether it or something around it is secret.
pub struct Leaf<'v> {
    pub value: &'v Value,
    pub secret: bool,
}

/// Every leaf with its path, in order. Empty objects and lists are leaves, the root is none.
#[must_use]
pub fn leaves(root: &Value) -> Vec<(Path, Leaf<'_>)> {
    fn add<'v>(value: &'v Value, path: &mut Path, secret: bool, found: &mut Vec<(Path, Leaf<'v>)>) {
        let secret = secret || value.secret;
        let below: Vec<(Step, &Value)> = match &value.content {
            _ if value.unknown => Vec::new(),
            Content::List(items) => items.iter().enumerate().map(|(at, item)| (Step::Index(at), item)).collect(),
            Content::Object(entries) => entries.iter().map(|(key, value)| (Step::Key(key.clone()), value)).collect(),
            _ => Vec::new(),
        };
        if below.is_empty() && !path.steps.is_empty() {
            found.push((path.clone(), Leaf { value, secret }));
        }
        for (step, value) in below {
            path.steps.push(step);
            add(value, path, secret, found);
            path.steps.pop();
        }
    }
    let mut found = Vec::new();
    add(root, &mut Path::default(), false, &mut found);
    found
}

/// How a value of a backup stands to the one in ESC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// ESC does not have it.
    New,
    Changed,
    Same,
    /// Only ESC has it.
    Removed,
}

impl Difference {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Same => "same",
            Self::Removed => "removed",
        }
    }
}

/// What restoring `backup` over `now` would do, property by property, in the order of their paths. What the backup
/// does not know is left out.
#[must_use]
pub fn compare(backup: &Value, now: &Value) -> Vec<(String, Difference)> {
    let (mut kept, mut current) = (by_path(backup), by_path(now));
    let unknown: Vec<Path> = kept.iter().filter(|(_, leaf)| leaf.value.unknown).map(|(path, _)| path.clone()).collect();
    for path in unknown {
        kept.remove(&path);
        current.retain(|other, _| !other.steps.starts_with(&path.steps));
    }
    let mut found: BTreeMap<Path, Difference> = current
        .keys()
        .filter(|path| !kept.contains_key(*path))
        .map(|path| (path.clone(), Difference::Removed))
        .collect();
    for (path, leaf) in kept {
        let difference = match current.get(&path) {
            None => Difference::New,
            Some(now) if now.value.content == leaf.value.content && now.secret == leaf.secret => Difference::Same,
            Some(_) => Difference::Changed,
        };
        found.insert(path, difference);
    }
    found.into_iter().map(|(path, difference)| (dotted(&path), difference)).collect()
}

fn by_path(value: &Value) -> BTreeMap<Path, Leaf<'_>> {
    leaves(value).into_iter().collect()
}

#[cfg(test)]
pub mod samples {
    use super::*;

    pub fn values() -> Value {
        Value::from_json(&serde_json::json!({"value": {
            "api-keys": {"value": {
                "A": {"value": "marker-a $x", "secret": true}, "port": {"value": 80},
                "list": {"value": [{"value": "marker-b", "secret": true}, {"value": null}]}
            }},
            "whole": {"secret": true, "value": {"x": {"value": "marker-c"}}},
            "gone": {"value": "[unknown]", "unknown": true},
            "empty": {"value": {}}
        }}))
        .unwrap()
    }

    pub fn backup() -> Backup {
        let manifest = Manifest {
            created: "2026-05-01T10:00:00Z".parse().unwrap(),
            author: "octocat".into(),
            tool: "1".into(),
            definition: "d.yaml".into(),
            stacks: Vec::new(),
        };
        let mut backup = Backup::new(manifest, "name: x\n".into());
        let contents = Contents {
            stack: "production".into(),
            environment: "payready/sophia-esc/production".into(),
            source: "cloud".into(),
            revision: Some(12),
            document: false,
            properties: Vec::new(),
            secrets: 0,
        };
        backup.keep(contents, &values(), Some("values: {}\n".into()));
        backup
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_reads_back_with_every_mark() {
        let backup = samples::backup();
        let text = backup.to_text().unwrap();
        let read = Backup::from_text(text.as_bytes()).unwrap();
        assert!(read == backup);
        let (contents, kept) = read.environment("payready/sophia-esc/production").unwrap();
        assert_eq!(
            contents.properties,
            ["api-keys.A", "api-keys.list[0]", "api-keys.list[1]", "api-keys.port", "empty", "gone", "whole.x"]
        );
        assert_eq!(contents.secrets, 3);
        let same = compare(&kept.values(), &samples::values());
        assert!(same.iter().all(|(_, difference)| *difference == Difference::Same), "{same:?}");
        assert!(kept.values().member("gone").unwrap().unknown);
        assert!(!format!("{read:?}").contains("marker") && format!("{read:?}").contains("octocat"));
    }

    #[test]
    fn numbers_are_kept_as_they_are_spelled() {
        let mut backup = samples::backup();
        let numbers = json::read(br#"{"all": [1e6, 1E6, 1E+06, -0, 1.50]}"#).unwrap();
        backup.stacks.get_mut("production").unwrap().values = numbers;
        let read = Backup::from_text(backup.to_text().unwrap().as_bytes()).unwrap();
        let all = read.stacks["production"].values().member("all").unwrap().to_text();
        assert_eq!(all, r#""1e6","1E6","1E+06","-0","1.50""#);
    }

    #[test]
    fn every_secret_is_known_once_to_be_masked() {
        let mut backup = samples::backup();
        let kept = backup.stacks["production"].clone();
        backup.stacks.insert("staging".into(), kept);
        let paths: Vec<String> = backup.secrets().into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["api-keys.A", "api-keys.list[0]", "whole.x"]);
    }

    #[test]
    fn values_as_deep_as_the_language_has_them_come_back() {
        let deep = (0..400).fold(Json::Null, |inner, _| Json::Array(vec![inner]));
        let mut backup = samples::backup();
        backup.stacks.values_mut().next().unwrap().values = deep.clone();
        let read = Backup::from_text(backup.to_text().unwrap().as_bytes()).unwrap();
        assert!(read.stacks.values().next().unwrap().values == deep);
    }

    #[test]
    fn what_is_no_backup_is_told_apart() {
        let text = samples::backup().to_text().unwrap();
        let wrong = |text: &str| Backup::from_text(text.as_bytes()).unwrap_err();
        for foreign in ["{}", "[]", "marker", "{\"format\": \"other\", \"version\": 1}"] {
            assert_eq!(wrong(foreign), NotABackup::Foreign, "{foreign}");
        }
        assert_eq!(wrong(&text[..text.len() / 2]), NotABackup::Damaged);
        let cut_in_a_letter = b"{\"format\": \"gr\xc3";
        assert_eq!(Backup::from_text(cut_in_a_letter).unwrap_err(), NotABackup::Damaged);
        assert_eq!(wrong(&text.replace("\"version\": 1", "\"version\": 7")), NotABackup::Newer(7));
        assert_eq!(wrong(&text.replace("\"stack\": \"production\"", "\"stack\": \"other\"")), NotABackup::Damaged);
    }

    #[test]
    fn differences_are_seen_from_the_backup() {
        let value = |json| Value::from_json(&json).unwrap();
        let backup = value(serde_json::json!({"value": {
            "a": {"value": "1"}, "b": {"value": "2"}, "c": {"value": "3"}, "d": {"value": "4"}}}));
        let now = value(serde_json::json!({"value": {
            "a": {"value": "1"}, "b": {"value": "x"}, "d": {"value": "4", "secret": true}, "e": {"value": "5"}}}));
        let words: Vec<String> =
            compare(&backup, &now).iter().map(|(path, difference)| format!("{path} {}", difference.word())).collect();
        assert_eq!(words, ["a same", "b changed", "c new", "d changed", "e removed"]);
    }

    #[test]
    fn the_age_counts_whole_days_and_never_the_future() {
        let manifest = samples::backup().manifest;
        let days = |now: &str| manifest.days_old(now.parse().unwrap());
        assert_eq!(days("2026-05-02T09:59:59Z"), 0);
        assert_eq!(days("2026-06-01T10:00:00Z"), 31);
        assert_eq!(days("2026-04-01T10:00:00Z"), 0);
        let text = manifest.describe("2026-05-02T10:00:00Z".parse().unwrap());
        assert_eq!(text, "made 2026-05-01T10:00:00Z by octocat, 1 day old: production at revision 12");
        let codes = |now: &str| -> Vec<&str> {
            manifest.warnings("b.age", now.parse().unwrap()).iter().map(|warning| warning.code).collect()
        };
        assert_eq!(codes("2026-05-31T10:00:00Z"), ["backup-in-use"], "30 days");
        assert_eq!(codes("2026-06-01T10:00:00Z"), ["backup-in-use", "backup-stale"]);
    }
}
