//! The lines of the audit trail about a write to ESC: what changed, by name and path.

use super::audit::Entry;
use super::definition::Definition;
use super::import::dotted;
use super::naming;
use crate::base::environment::EscName;
use crate::esc::changes::{self, Deed};
use crate::esc::path::{Path, Step};

/// An entry about an environment as a whole.
#[must_use]
pub fn entry(environment: &EscName, deed: Deed) -> Entry {
    Entry { target: Some(format!("{environment} · esc")), action: Some(deed.word().to_owned()), ..Entry::of("step") }
}

/// One entry for every property in which two texts of an environment differ; one without a name when there is
/// no such property (its secrets are encrypted anew, comments change).
#[must_use]
pub fn entries(definition: Option<&Definition>, environment: &EscName, before: &str, after: &str) -> Vec<Entry> {
    let changes = changes::between(before, after);
    if changes.is_empty() {
        return vec![entry(environment, Deed::Update)];
    }
    let entry = |change: &changes::Change| {
        let (name, group) = name_of(definition, &change.path);
        let path = dotted(&change.path);
        Entry {
            kind: Some(if change.is_secret { "secret" } else { "value" }.to_owned()),
            detail: (path != name).then_some(path),
            name: Some(name),
            group,
            ..entry(environment, change.deed)
        }
    };
    changes.iter().map(entry).collect()
}

/// One entry for each recipient of an embedded environment that comes or goes; public keys are no secrets.
#[must_use]
pub fn recipients(environment: &EscName, deed: Deed, names: impl IntoIterator<Item = String>) -> Vec<Entry> {
    let entry = |name| Entry { kind: Some("recipient".to_owned()), name: Some(name), ..entry(environment, deed) };
    names.into_iter().map(entry).collect()
}

/// Name and group of a property: its mapping's; else those of a member of a group; else its path alone.
fn name_of(definition: Option<&Definition>, path: &Path) -> (String, Option<String>) {
    let mappings = definition.map(|definition| definition.mappings.as_slice()).unwrap_or_default();
    if let Some(mapping) = mappings.iter().find(|mapping| mapping.property().as_ref() == Some(path)) {
        return (naming::fold(&mapping.target_name), Some(mapping.group.clone()));
    }
    let keys: Vec<&str> = path.steps.iter().map(|step| if let Step::Key(key) = step { key } else { "" }).collect();
    match keys.split_first() {
        Some((group, rest)) if !rest.is_empty() && definition.is_some_and(|known| known.group(group).is_some()) => {
            (naming::fold(&rest.join("_")), Some((*group).to_owned()))
        }
        _ => (dotted(path), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::config;

    #[test]
    fn names_are_those_of_the_definition_and_values_are_nowhere() {
        let text = "name: n\norganization: o\nenvironments: [{name: a}]\nsecretGroups: [{name: db}, {name: open}]\n\
                    secretMappings: [{name: url, secretGroup: db, environmentVariableName: DB_URL, path: service.url}]\n";
        let definition = config::load("d.yaml", text).unwrap().definition;
        let environment: EscName = "o/n/a".parse().unwrap();
        let after = "values: {service: {url: {fn::secret: s3cr3t}}, open: {a: {b: 1}}, x: {y-z: [s3cr3t]}}\n";
        let entries = entries(Some(&definition), &environment, "", after);
        let shown: Vec<_> = entries
            .iter()
            .map(|entry| {
                let texts = [&entry.kind, &entry.name, &entry.group, &entry.detail];
                texts.map(|text| text.as_deref().unwrap_or("-")).join(" ")
            })
            .collect();
        assert_eq!(shown, ["secret DB_URL db service.url", "value A_B open open.a.b", "value x.y-z - -"]);
        assert_eq!(entries[0].target.as_deref(), Some("o/n/a · esc"));
        assert!(!format!("{entries:?}").contains("s3cr3t"));
        assert_eq!(super::entries(None, &environment, after, after), [entry(&environment, Deed::Update)]);
    }
}
