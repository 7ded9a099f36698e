//! One store of GitHub: what one public key seals for and one listing shows.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto_box::aead::OsRng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value as Json, json};

use super::seed::{EntryDetails, EntrySeed};

/// The most characters of an `encrypted_value` (github-api.md §2: 64 KiB of base64).
pub const LONGEST_SEALED: usize = 65_536;
/// The most bytes of a variable.
pub const LONGEST_VARIABLE: usize = 49_152;

/// Secrets or variables of one scope and app.
#[derive(Default)]
pub struct Store {
    key: Option<KeyPair>,
    /// By upper-cased name.
    pub entries: BTreeMap<String, Entry>,
}

/// One secret or variable, in clear.
#[derive(Clone)]
pub struct Entry {
    pub name: String,
    pub value: Vec<u8>,
    pub created: Timestamp,
    pub updated: Timestamp,
    /// Organization entries only: `all`, `private`, `selected`.
    pub visibility: Option<String>,
    /// Ids of repositories.
    pub selected: BTreeSet<u64>,
}

struct KeyPair {
    id: String,
    secret: crypto_box::SecretKey,
}

impl KeyPair {
    fn new() -> Self {
        let secret = crypto_box::SecretKey::generate(&mut OsRng);
        // GitHub's ids are decimal numbers of 18 or 19 digits; any that differ between keys will do.
        let bytes = secret.public_key().to_bytes();
        let number = bytes.iter().take(7).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        Self { id: format!("33{number:017}"), secret }
    }
}

impl Store {
    /// The key that is in force, made at the first question: id and base64 of the public half.
    pub fn public_key(&mut self) -> (String, String) {
        let key = self.key.get_or_insert_with(KeyPair::new);
        (key.id.clone(), STANDARD.encode(key.secret.public_key().as_bytes()))
    }

    /// Replaces the key pair, as GitHub does from time to time.
    pub fn rotate_key(&mut self) {
        self.key = Some(KeyPair::new());
    }

    /// Opens a sealed box; none when it was sealed for another key.
    #[must_use]
    pub fn unseal(&self, key_id: &str, sealed: &str) -> Option<Vec<u8>> {
        let key = self.key.as_ref().filter(|key| key.id == key_id)?;
        key.secret.unseal(&STANDARD.decode(sealed).ok()?).ok()
    }

    /// Sets a value; true when the entry is new.
    ///
    /// **The time of the last update always changes**, by a second at least, so that an edit is never invisible.
    pub fn set(&mut self, name: &str, value: Vec<u8>, now: Timestamp) -> bool {
        if let Some(entry) = self.entries.get_mut(&name.to_ascii_uppercase()) {
            entry.value = value;
            entry.touch(now);
            return false;
        }
        let entry = Entry {
            name: name.to_owned(),
            value,
            created: now,
            updated: now,
            visibility: None,
            selected: BTreeSet::new(),
        };
        self.entries.insert(name.to_ascii_uppercase(), entry);
        true
    }

    /// Merges a seed; `id_of` knows the repositories.
    pub fn apply(
        &mut self,
        seed: &BTreeMap<String, Option<EntrySeed>>,
        organization: bool,
        now: Timestamp,
        id_of: &dyn Fn(&str) -> Option<u64>,
    ) {
        for (name, seed) in seed {
            let key = name.to_ascii_uppercase();
            let details = match seed {
                None => {
                    self.entries.remove(&key);
                    continue;
                }
                Some(EntrySeed::Text(text)) => EntryDetails { value: Some(text.clone()), ..EntryDetails::default() },
                Some(EntrySeed::Full(details)) => details.clone(),
            };
            let value = details.value.clone().map(String::into_bytes);
            let value = value.or_else(|| details.base64.as_ref().and_then(|text| STANDARD.decode(text).ok()));
            match value {
                Some(value) => {
                    self.set(name, value, now);
                }
                None if !self.entries.contains_key(&key) => {
                    self.set(name, Vec::new(), now);
                }
                None => {}
            }
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            if organization {
                let given = details.visibility.or_else(|| entry.visibility.take());
                entry.visibility = Some(given.unwrap_or_else(|| "private".to_owned()));
            }
            if let Some(selected) = details.selected_repositories {
                entry.selected = selected.iter().filter_map(|name| id_of(name)).collect();
            }
            entry.created = details.created_at.unwrap_or(entry.created);
            entry.updated = details.updated_at.unwrap_or(entry.updated);
        }
    }

    /// Everything in clear, for the state.
    #[must_use]
    pub fn state(&self, name_of: &dyn Fn(u64) -> Option<String>) -> Json {
        let entries = self.entries.values().map(|entry| (entry.name.clone(), entry.state(name_of)));
        Json::Object(entries.collect::<Map<_, _>>())
    }
}

impl Entry {
    pub fn touch(&mut self, now: Timestamp) {
        let next = self.updated.checked_add(SignedDuration::from_secs(1)).unwrap_or(now);
        self.updated = now.max(next);
    }

    fn state(&self, name_of: &dyn Fn(u64) -> Option<String>) -> Json {
        let mut state = match std::str::from_utf8(&self.value) {
            Ok(text) => json!({"value": text}),
            Err(_) => json!({"base64": STANDARD.encode(&self.value)}),
        };
        state["created_at"] = json!(self.created);
        state["updated_at"] = json!(self.updated);
        if let Some(visibility) = &self.visibility {
            state["visibility"] = json!(visibility);
            if visibility == "selected" {
                state["selected_repositories"] = self.selected.iter().filter_map(|id| name_of(*id)).collect();
            }
        }
        state
    }
}

/// Why GitHub refuses a name, in its words (github-api.md §2); none when it is good.
#[must_use]
pub fn name_problem(name: &str, kind: &str) -> Option<String> {
    let mut characters = name.chars();
    let start = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !start || !characters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Some(format!(
            "{kind} names can only contain alphanumeric characters ([a-z], [A-Z], [0-9]) or underscores (_). Spaces are not allowed. Must start with a letter ([a-z], [A-Z]) or underscores (_)."
        ));
    }
    (name.to_ascii_uppercase().starts_with("GITHUB_")).then(|| format!("{kind} names must not start with GITHUB_."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unseals_only_with_its_own_key() {
        let (mut store, mut other) = (Store::default(), Store::default());
        let (id, key) = store.public_key();
        other.public_key();
        let key = crate::base::secret::SealingKey::new(id.clone(), &key).unwrap();
        let sealed = crate::base::secret::SecretValue::new(b"a\xff".to_vec()).seal(&key).unwrap();
        assert_eq!(store.unseal(&id, &sealed).as_deref(), Some(b"a\xff".as_slice()));
        assert_eq!(other.unseal(&id, &sealed), None);
        store.rotate_key();
        assert_eq!(store.unseal(&id, &sealed), None);
    }

    #[test]
    fn an_update_always_moves_the_date() {
        let now = Timestamp::from_second(1_000).unwrap();
        let mut store = Store::default();
        assert!(store.set("Name", b"1".to_vec(), now));
        assert!(!store.set("NAME", b"2".to_vec(), now));
        let entry = &store.entries["NAME"];
        assert_eq!((entry.created.as_second(), entry.updated.as_second()), (1_000, 1_001));
    }

    #[test]
    fn names_are_refused_in_githubs_words() {
        assert!(name_problem("_a1", "Secret").is_none());
        for name in ["", "1a", "a-b", "a b", "é"] {
            assert!(name_problem(name, "Secret").unwrap().contains("alphanumeric"), "{name}");
        }
        assert_eq!(name_problem("github_x", "Secret").unwrap(), "Secret names must not start with GITHUB_.");
    }
}
