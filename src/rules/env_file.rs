//! A dotenv file as the values of a stack, for `--env-file`: each name becomes the property that its mapping
//! reads, so that everything behind it works as with ESC.

use std::collections::BTreeMap;

use super::definition::{Definition, Environment as Stack};
use super::dotenv::Entry;
use super::naming;
use crate::base::error::Severity;
use crate::base::target::EntryKind;
use crate::base::yaml::Mark;
use crate::esc::diagnostic::Diagnostic;
use crate::esc::path::{Path, Step};
use crate::esc::value::{Content, Range, Value};

/// The values of `stack` as the entries of `file` give them, and what is to be said of names that have no place.
///
/// A name without a mapping goes to the group without mappings, when there is exactly one. Where there are several,
/// nobody can tell which, and that is an error; where there is none, the name is left out with a warning.
#[must_use]
pub fn values(definition: &Definition, stack: &Stack, file: &str, entries: &[Entry]) -> (Value, Vec<Diagnostic>) {
    let mut root = Value::plain(Content::Object(BTreeMap::new()));
    let mut diagnostics = Vec::new();
    let open: Vec<&str> = definition
        .groups_of(&stack.name)
        .map(|group| group.name.as_str())
        .filter(|group| definition.mappings_of(group).next().is_none())
        .collect();
    for entry in entries {
        let places = places(definition, stack, entry);
        for (path, kind) in &places {
            let leaf = Value { secret: *kind == EntryKind::Secret, ..Value::plain(Content::String(text(entry))) };
            put(&mut root, &path.steps, leaf);
        }
        let said = match (places.is_empty(), open.as_slice()) {
            (false, _) => continue,
            (true, [group]) => {
                let steps = [Step::Key((*group).to_owned()), Step::Key(entry.name.clone())];
                put(&mut root, &steps, Value { secret: true, ..Value::plain(Content::String(text(entry))) });
                continue;
            }
            (true, []) => {
                (Severity::Warning, format!("no secret group of stack `{}` takes it; it is left out", stack.name))
            }
            (true, several) => {
                let groups: Vec<String> = several.iter().map(|group| format!("`{group}`")).collect();
                (Severity::Error, format!("no mapping says which of the groups {} takes it", groups.join(", ")))
            }
        };
        let mark = Mark::new(entry.line, 1, 0);
        diagnostics.push(Diagnostic {
            severity: said.0,
            summary: format!("`{}`: {}", entry.name, said.1),
            detail: None,
            range: Some(Range { environment: file.into(), begin: mark, end: mark }),
            path: None,
        });
    }
    (root, diagnostics)
}

/// The properties that an entry's mappings read.
fn places(definition: &Definition, stack: &Stack, entry: &Entry) -> Vec<(Path, EntryKind)> {
    let folded = naming::fold(&entry.name);
    let mappings = definition.groups_of(&stack.name).flat_map(|group| definition.mappings_of(&group.name));
    mappings
        .filter(|mapping| naming::fold(&mapping.target_name) == folded || mapping.name == entry.name)
        .filter_map(|mapping| Some((mapping.property()?, mapping.kind)))
        .collect()
}

/// dotenv files hold UTF-8 only.
fn text(entry: &Entry) -> String {
    let mut bytes = Vec::with_capacity(entry.value.len());
    // A vector takes every write.
    let _ = entry.value.write_plaintext(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn put(at: &mut Value, steps: &[Step], leaf: Value) {
    let Some((step, rest)) = steps.split_first() else {
        *at = leaf;
        return;
    };
    let empty = || Value::plain(Content::Null);
    match step {
        Step::Key(key) => {
            if !matches!(at.content, Content::Object(_)) {
                at.content = Content::Object(BTreeMap::new());
            }
            if let Content::Object(entries) = &mut at.content {
                put(entries.entry(key.clone()).or_insert_with(empty), rest, leaf);
            }
        }
        Step::Index(index) => {
            if !matches!(at.content, Content::List(_)) {
                at.content = Content::List(Vec::new());
            }
            // Paths of a definition are written by people; no list of a million nulls is made for a typing error.
            if let Content::List(items) = &mut at.content
                && *index < 1000
            {
                items.resize_with(items.len().max(index + 1), empty);
                if let Some(item) = items.get_mut(*index) {
                    put(item, rest, leaf);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::SecretValue;
    use crate::esc::path::lookup;
    use crate::rules::config;

    fn entry(name: &str, value: &str, line: usize) -> Entry {
        Entry { name: name.into(), value: SecretValue::from(value.to_owned()), line, ambiguous: false }
    }

    fn loaded(groups: &str) -> Definition {
        let text = format!(
            "name: n\norganization: o\nenvironments: [{{name: a}}]\nsecretGroups: [{{name: keys}}{groups}]\nsecretMappings:\n  \
             - {{name: db, secretGroup: keys, environmentVariableName: DB_URL, path: 'service.urls[1]'}}\n  \
             - {{name: REGION, secretGroup: keys, kind: variable}}\n"
        );
        config::load("d.yaml", &text).unwrap().definition
    }

    #[test]
    fn names_go_where_their_mappings_read() {
        let definition = loaded(", {name: open}");
        let stack = definition.stack(Some("a")).unwrap();
        let entries = [entry("db_url", "u", 1), entry("REGION", "eu", 2), entry("OTHER", "x", 3)];
        let (values, said) = values(&definition, stack, ".env", &entries);
        let at = |path: &str| {
            let value = lookup(&values, &path.parse().unwrap()).unwrap();
            (value.to_text(), value.secret)
        };
        assert_eq!(at("service.urls[1]"), ("u".to_owned(), true));
        assert_eq!(at("keys.REGION"), ("eu".to_owned(), false));
        assert_eq!(at("open.OTHER"), ("x".to_owned(), true));
        assert_eq!(said, []);
    }

    #[test]
    fn a_name_without_a_place_is_told_with_its_line() {
        for (groups, severity) in [("", Severity::Warning), (", {name: one}, {name: two}", Severity::Error)] {
            let definition = loaded(groups);
            let stack = definition.stack(Some("a")).unwrap();
            let (_, said) = values(&definition, stack, ".env", &[entry("OTHER", "s3cr3t", 7)]);
            assert_eq!((said.len(), said[0].severity), (1, severity));
            assert_eq!(said[0].range.as_ref().unwrap().begin.line(), 7);
            assert!(!format!("{said:?}").contains("s3cr3t"));
        }
    }
}
