//! Whether what a job was given is what was synced: injected values against the ledger's fingerprints.

use std::collections::BTreeMap;

use super::ledger::Ledger;
use crate::base::secret::{FingerprintKey, SecretValue};
use crate::base::target::{App, EntryKind};

/// What became of one secret on its way into a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The job has the value that was written last.
    Delivered,
    /// The job has another value.
    Different,
    /// The job does not have it, though it was asked for.
    Absent,
    /// The ledger does not know it, though it was asked for.
    Unknown,
}

impl Delivery {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Different => "different",
            Self::Absent => "absent",
            Self::Unknown => "unknown",
        }
    }
}

/// Names of Actions secrets that `ledgers` know, first come first: the closest scope leads, as GitHub
/// resolves them (github-api.md §2).
pub fn known_names(ledgers: &[&Ledger]) -> Vec<String> {
    let mut names: Vec<String> = ledgers
        .iter()
        .flat_map(|ledger| ledger.entries.keys())
        .filter(|key| key.app == App::Actions && key.kind == EntryKind::Secret)
        .map(|key| key.name.clone())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Compares what was injected with the ledgers, the closest scope first. Without `asked`, the names that
/// are both known and injected are compared.
#[must_use]
pub fn compare(
    ledgers: &[&Ledger],
    key: &FingerprintKey,
    injected: &BTreeMap<String, SecretValue>,
    asked: &[String],
) -> Vec<(String, Delivery)> {
    let known = known_names(ledgers);
    let names: Vec<&String> = if asked.is_empty() {
        known.iter().filter(|name| injected.contains_key(*name)).collect()
    } else {
        asked.iter().collect()
    };
    let judge = |name: &str| {
        let entry = ledgers.iter().find_map(|ledger| ledger.get(App::Actions, EntryKind::Secret, name));
        match (entry, injected.get(name)) {
            (None, _) => Delivery::Unknown,
            (Some(_), None) => Delivery::Absent,
            (Some(entry), Some(value)) if value.fingerprint(key, name) == entry.fingerprint => Delivery::Delivered,
            (Some(_), Some(_)) => Delivery::Different,
        }
    };
    names.into_iter().map(|name| (name.clone(), judge(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::ledger::{Entry, EntryKey};

    fn key() -> FingerprintKey {
        FingerprintKey::new(&SecretValue::from("0123456789abcdef".to_owned())).unwrap()
    }

    fn ledger(app: App, entries: &[(&str, &str)]) -> Ledger {
        let entry = |name: &str, value: &str| Entry {
            fingerprint: SecretValue::from(value.to_owned()).fingerprint(&key(), name),
            updated_at: None,
            written_at: jiff::Timestamp::UNIX_EPOCH,
            group: "g".into(),
            environment: "o/p/e".into(),
            changed_at: jiff::Timestamp::UNIX_EPOCH,
            gone_since: None,
            exposure: None,
        };
        let key_of = |name: &str| EntryKey { app, kind: EntryKind::Secret, name: name.to_owned() };
        let entries = entries.iter().map(|(name, value)| (key_of(name), entry(name, value))).collect();
        Ledger { key_id: Some(key().id()), entries }
    }

    fn injected(pairs: &[(&str, &str)]) -> BTreeMap<String, SecretValue> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), SecretValue::from((*value).to_owned()))).collect()
    }

    fn words(found: &[(String, Delivery)]) -> String {
        found.iter().map(|(name, delivery)| format!("{name}={}", delivery.word())).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn compares_what_is_injected_byte_for_byte() {
        let ledger = ledger(App::Actions, &[("A", "one\n"), ("B", "two"), ("C", "three")]);
        let injected = injected(&[("A", "one\n"), ("B", "two\n"), ("OTHER", "x")]);
        assert_eq!(words(&compare(&[&ledger], &key(), &injected, &[])), "A=delivered B=different");
        let asked = ["C".to_owned(), "OTHER".to_owned(), "A".to_owned()];
        assert_eq!(words(&compare(&[&ledger], &key(), &injected, &asked)), "C=absent OTHER=unknown A=delivered");
    }

    #[test]
    fn the_environment_leads_the_repository() {
        let environment = ledger(App::Actions, &[("A", "of the environment")]);
        let repository = ledger(App::Actions, &[("A", "of the repository"), ("B", "b")]);
        let injected = injected(&[("A", "of the environment"), ("B", "b")]);
        let found = compare(&[&environment, &repository], &key(), &injected, &[]);
        assert_eq!(words(&found), "A=delivered B=delivered");
    }

    #[test]
    fn secrets_of_other_apps_are_not_injected_into_jobs() {
        let ledger = ledger(App::Dependabot, &[("A", "one")]);
        assert_eq!(compare(&[&ledger], &key(), &injected(&[("A", "one")]), &[]), []);
    }
}
