//! The ledger: what this tool wrote last to one scope, as keyed fingerprints (design §6).
//!
//! **It never holds a value or an unkeyed digest.** It is compact JSON in one Actions variable of the
//! scope; over [`PART_LIMIT`] bytes it continues in numbered variables. Reading is strict: a text that is
//! not a ledger, or one of a newer format, is an error, because a wrong ledger could delete secrets.
//!
//! **A save that is cut leaves the old ledger or the new one.** Continuations alternate between two sets of
//! variables, and the first part, written last, names the set that counts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::secret::Fingerprint;
use crate::base::target::{App, EntryKind};

/// Name of the variable; its continuation parts append `_A2`, `_A3`, … or `_B2`, ….
pub const VARIABLE: &str = "SOPHIA_SECRETS_SYNC_LEDGER";

/// Bytes of one part. GitHub takes 48 KB per variable (github-api.md §2); the rest is margin.
pub const PART_LIMIT: usize = 47_000;

/// The format that this version writes, and the newest that it reads.
const SCHEMA_VERSION: u32 = 1;

/// How far GitHub's `updated_at` may lie from the `date` of its answer to our write.
const SETTLING_SECONDS: i64 = 5;

/// Identifies an entry within one scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKey {
    pub app: App,
    pub kind: EntryKind,
    /// Upper-cased.
    pub name: String,
}

/// What was written last under one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Keyed fingerprint of the value.
    #[serde(rename = "f")]
    pub fingerprint: Fingerprint,
    /// `updated_at` as GitHub listed it after the write; none while that was not read back yet.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    /// When GitHub answered the write, by GitHub's clock. Settles an entry whose `updated_at` is missing.
    #[serde(rename = "w")]
    pub written_at: Timestamp,
    #[serde(rename = "g")]
    pub group: String,
    /// The ESC environment that the value came from; entries of another one are not ours to delete.
    #[serde(rename = "e")]
    pub environment: String,
    /// When the *value* last changed.
    #[serde(rename = "c")]
    pub changed_at: Timestamp,
    /// When a run with `--prune-after` first saw the name gone from the definition.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub gone_since: Option<Timestamp>,
    /// Who may see it, as GitHub was told ([`super::plan::Exposure::token`]; organization secrets).
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<String>,
}

impl Entry {
    /// Whether what GitHub lists is still what this tool wrote.
    #[must_use]
    pub fn is_what_github_lists(&self, listed_updated_at: &str) -> bool {
        match &self.updated_at {
            Some(updated_at) => same_instant(updated_at, listed_updated_at),
            None => listed_updated_at
                .parse::<Timestamp>()
                .is_ok_and(|listed| (listed.as_second() - self.written_at.as_second()).abs() <= SETTLING_SECONDS),
        }
    }
}

fn same_instant(a: &str, b: &str) -> bool {
    match (a.parse::<Timestamp>(), b.parse::<Timestamp>()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

/// The ledger of one scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Public name of the key that the fingerprints were made with.
    pub key_id: Option<String>,
    pub entries: BTreeMap<EntryKey, Entry>,
}

/// A text that is not a ledger of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    #[error("the ledger is not readable as one: {0}")]
    Corrupt(String),
    #[error("the ledger was written by another tool (`{0}`)")]
    Foreign(String),
    #[error("the ledger has format {0}, and this version reads up to {SCHEMA_VERSION}")]
    Newer(u32),
    #[error("the ledger has {found} of its {expected} parts")]
    Incomplete { found: usize, expected: usize },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    tool: String,
    schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    #[serde(default)]
    entries: BTreeMap<App, BTreeMap<String, Entry>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    variables: BTreeMap<App, BTreeMap<String, Entry>>,
}

/// The first word of every part; the header goes on `PART/PARTS LENGTH-OF-THE-WHOLE SET GENERATION`.
const PREFIX: &str = "sss1";

/// The set of variables that continue the first part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Side {
    #[default]
    A,
    B,
}

impl Side {
    /// The set for the next save.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    fn letter(self) -> char {
        match self {
            Self::A => 'A',
            Self::B => 'B',
        }
    }
}

/// What the first part says of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub parts: usize,
    pub side: Side,
    /// Counts the saves.
    pub generation: u64,
}

const TOOL: &str = "sophia-secrets-sync";

impl Ledger {
    #[must_use]
    pub fn get(&self, app: App, kind: EntryKind, name: &str) -> Option<&Entry> {
        self.entries.get(&EntryKey { app, kind, name: name.to_owned() })
    }

    /// The parts to store, in order; always at least one.
    #[must_use]
    pub fn to_parts(&self, side: Side, generation: u64) -> Vec<String> {
        let mut document = Document {
            tool: TOOL.to_owned(),
            schema_version: SCHEMA_VERSION,
            key_id: self.key_id.clone(),
            entries: BTreeMap::new(),
            variables: BTreeMap::new(),
        };
        for (key, entry) in &self.entries {
            let kind = match key.kind {
                EntryKind::Secret => &mut document.entries,
                EntryKind::Variable => &mut document.variables,
            };
            kind.entry(key.app).or_default().insert(key.name.clone(), entry.clone());
        }
        let text = serde_json::to_string(&document).unwrap_or_default();
        let parts: Vec<&str> = split(&text, PART_LIMIT - 64);
        let (count, length, side) = (parts.len(), text.len(), side.letter());
        parts
            .iter()
            .enumerate()
            .map(|(index, part)| format!("{PREFIX} {}/{count} {length} {side} {generation} {part}", index + 1))
            .collect()
    }

    /// What the first part says of the whole ledger.
    ///
    /// # Errors
    /// [`LedgerError`] when `first` is not the beginning of a ledger.
    pub fn head_of(first: &str) -> Result<Head, LedgerError> {
        header(first).map(|header| header.head)
    }

    /// Reads a ledger back from its parts.
    ///
    /// # Errors
    /// [`LedgerError`] when the parts are not one whole ledger that this version understands.
    pub fn from_parts(parts: &[String]) -> Result<Self, LedgerError> {
        let mut text = String::new();
        let mut whole = None;
        for (index, part) in parts.iter().enumerate() {
            let header = header(part)?;
            if header.head.parts != parts.len() {
                return Err(LedgerError::Incomplete { found: parts.len(), expected: header.head.parts });
            }
            let same = *whole.get_or_insert((header.head, header.length)) == (header.head, header.length);
            if header.part != index + 1 || !same {
                return Err(LedgerError::Corrupt("its parts do not belong together".into()));
            }
            text.push_str(header.rest);
        }
        if whole.map(|(_, length)| length) != Some(text.len()) {
            return Err(LedgerError::Corrupt("its length is not the one it states".into()));
        }
        Self::from_text(&text)
    }

    fn from_text(text: &str) -> Result<Self, LedgerError> {
        #[derive(Deserialize)]
        struct Origin {
            #[serde(default)]
            tool: String,
            #[serde(default)]
            schema_version: u32,
        }
        // Positions only: serde_json's own message could quote the text.
        let corrupt = |error: serde_json::Error| {
            LedgerError::Corrupt(format!("broken at line {} column {}", error.line(), error.column()))
        };
        let origin: Origin = serde_json::from_str(text).map_err(corrupt)?;
        if origin.tool != TOOL {
            return Err(LedgerError::Foreign(origin.tool.chars().take(40).collect()));
        }
        if origin.schema_version > SCHEMA_VERSION {
            return Err(LedgerError::Newer(origin.schema_version));
        }
        let document: Document = serde_json::from_str(text).map_err(corrupt)?;
        let mut entries = BTreeMap::new();
        for (kind, side) in [(EntryKind::Secret, document.entries), (EntryKind::Variable, document.variables)] {
            for (app, names) in side {
                for (name, entry) in names {
                    entries.insert(EntryKey { app, kind, name }, entry);
                }
            }
        }
        Ok(Self { key_id: document.key_id, entries })
    }

    /// Lays `ours` (what this run wrote, dropped or marked) over what another writer stored meanwhile.
    /// Nothing of the other writer is lost, except under names that this run itself wrote.
    #[must_use]
    pub fn merged_over(theirs: &Self, base: &Self, ours: &Self) -> Self {
        let mut merged = theirs.clone();
        merged.key_id.clone_from(&ours.key_id);
        for (key, entry) in &ours.entries {
            if base.entries.get(key) != Some(entry) {
                merged.entries.insert(key.clone(), entry.clone());
            }
        }
        for key in base.entries.keys() {
            if !ours.entries.contains_key(key) && theirs.entries.get(key) == base.entries.get(key) {
                merged.entries.remove(key);
            }
        }
        merged
    }
}

struct Header<'t> {
    head: Head,
    part: usize,
    length: usize,
    rest: &'t str,
}

fn header(part: &str) -> Result<Header<'_>, LedgerError> {
    let foreign = || LedgerError::Foreign(part.chars().take(12).filter(|c| !c.is_control()).collect());
    let mut words = part.splitn(6, ' ');
    if words.next() != Some(PREFIX) {
        return Err(foreign());
    }
    let mut word = || words.next().ok_or_else(|| LedgerError::Corrupt("its header is cut".into()));
    let (place, length, side, generation, rest) = (word()?, word()?, word()?, word()?, word()?);
    let damaged = || LedgerError::Corrupt("its header is damaged".into());
    let (number, parts) = place.split_once('/').ok_or_else(damaged)?;
    let side = match side {
        "A" => Side::A,
        "B" => Side::B,
        _ => return Err(damaged()),
    };
    let parts = parts.parse().ok().filter(|parts| (1..=1000).contains(parts)).ok_or_else(damaged)?;
    let generation = generation.parse().map_err(|_| damaged())?;
    Ok(Header {
        head: Head { parts, side, generation },
        part: number.parse().map_err(|_| damaged())?,
        length: length.parse().map_err(|_| damaged())?,
        rest,
    })
}

fn split(text: &str, limit: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.len() > limit {
        let mut cut = limit;
        while !rest.is_char_boundary(cut) {
            cut -= 1;
        }
        let (part, after) = rest.split_at(cut);
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts
}

/// The name of part `index` (from 0).
#[must_use]
pub fn part_name(index: usize, side: Side) -> String {
    if index == 0 { VARIABLE.to_owned() } else { format!("{VARIABLE}_{}{}", side.letter(), index + 1) }
}

/// Whether a variable is part of the ledger: never listed, counted as foreign or deleted by a plan.
#[must_use]
pub fn is_part_name(name: &str) -> bool {
    name.strip_prefix(VARIABLE).is_some_and(|rest| {
        let number = rest.strip_prefix("_A").or_else(|| rest.strip_prefix("_B"));
        rest.is_empty() || number.is_some_and(|n| n.parse::<u32>().is_ok_and(|n| n >= 2))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seed: u64) -> Entry {
        Entry {
            fingerprint: Fingerprint(format!("{seed:064x}")),
            updated_at: Some("2026-01-02T03:04:05Z".into()),
            written_at: "2026-01-02T03:04:05Z".parse().unwrap(),
            group: "api-keys".into(),
            environment: "payready/sophia-esc/production".into(),
            changed_at: "2026-01-02T03:04:05Z".parse().unwrap(),
            gone_since: None,
            exposure: None,
        }
    }

    fn key(name: &str) -> EntryKey {
        EntryKey { app: App::Actions, kind: EntryKind::Secret, name: name.into() }
    }

    fn ledger(names: impl IntoIterator<Item = (String, u64)>) -> Ledger {
        Ledger {
            key_id: Some("k".into()),
            entries: names.into_iter().map(|(name, seed)| (key(&name), entry(seed))).collect(),
        }
    }

    #[test]
    fn goes_round_in_one_part_and_in_many() {
        for count in [0, 1, 1000] {
            let ledger = ledger((0..count).map(|n| (format!("SECRET_{n}"), n)));
            let parts = ledger.to_parts(Side::B, 7);
            assert_eq!(parts.len() > 1, count == 1000);
            assert!(parts.iter().all(|part| part.len() <= PART_LIMIT));
            let head = Head { parts: parts.len(), side: Side::B, generation: 7 };
            assert_eq!(Ledger::head_of(&parts[0]).unwrap(), head);
            assert_eq!(Ledger::from_parts(&parts).unwrap(), ledger);
        }
    }

    #[test]
    fn refuses_what_is_not_a_whole_ledger_of_ours() {
        let whole = ledger((0..1000).map(|n| (format!("SECRET_{n}"), n)));
        let (parts, other) = (whole.to_parts(Side::A, 1), whole.to_parts(Side::A, 2));
        let is = |parts: &[String]| Ledger::from_parts(parts).unwrap_err();
        assert!(matches!(is(&parts[..1]), LedgerError::Incomplete { found: 1, .. }));
        assert!(matches!(is(&["hello".into()]), LedgerError::Foreign(_)));
        assert!(matches!(is(&["sss1 1/1 5".into()]), LedgerError::Corrupt(_)));
        assert!(matches!(is(&["sss1 1/1 3 A 1 {}".into()]), LedgerError::Corrupt(_)));
        assert!(matches!(is(&["sss1 1/1 2 A 1 {}".into()]), LedgerError::Foreign(_)));
        let newer = r#"{"tool":"sophia-secrets-sync","schema_version":2}"#;
        assert_eq!(is(&[format!("sss1 1/1 {} A 1 {newer}", newer.len())]), LedgerError::Newer(2));
        let mut mixed = parts.clone();
        mixed[1].clone_from(&other[1]);
        assert!(matches!(is(&mixed), LedgerError::Corrupt(_)));
        let mut swapped = parts;
        swapped.swap(0, 1);
        assert!(matches!(is(&swapped), LedgerError::Corrupt(_)));
    }

    #[test]
    fn a_second_writer_loses_nothing() {
        let base = ledger([("A".into(), 1), ("B".into(), 1), ("C".into(), 1)]);
        let mut ours = base.clone();
        ours.entries.insert(key("A"), entry(2));
        ours.entries.remove(&key("B"));
        ours.entries.insert(key("NEW_OURS"), entry(5));
        let mut theirs = base.clone();
        theirs.entries.insert(key("C"), entry(3));
        theirs.entries.insert(key("NEW_THEIRS"), entry(4));
        let merged = Ledger::merged_over(&theirs, &base, &ours);
        let expected = ledger([("A".into(), 2), ("C".into(), 3), ("NEW_OURS".into(), 5), ("NEW_THEIRS".into(), 4)]);
        assert_eq!(merged, expected);
    }

    #[test]
    fn an_unsettled_entry_is_recognised_by_the_time_of_the_write() {
        let settled = entry(1);
        assert!(settled.is_what_github_lists("2026-01-02T03:04:05+00:00"));
        assert!(!settled.is_what_github_lists("2026-01-02T03:04:06Z"));
        let unsettled = Entry { updated_at: None, ..entry(1) };
        assert!(unsettled.is_what_github_lists("2026-01-02T03:04:07Z"));
        assert!(!unsettled.is_what_github_lists("2026-01-02T03:05:00Z"));
    }

    #[test]
    fn knows_the_names_of_its_parts() {
        assert_eq!(part_name(0, Side::B), VARIABLE);
        assert_eq!(part_name(1, Side::B), format!("{VARIABLE}_B2"));
        assert!(is_part_name(VARIABLE) && is_part_name(&part_name(11, Side::A)));
        assert!(!is_part_name("SOPHIA_SECRETS_SYNC_LEDGER_OLD") && !is_part_name("OPENAI_API_KEY"));
    }
}
