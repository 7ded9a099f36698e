//! What an update of an environment changes, leaf by leaf. Paths only: the audit trail holds no value.

use super::edit::means_the_same;
use super::page::is_null;
use super::path::{Path, Step};
use crate::base::yaml::{self, Content, Node};

/// What becomes of a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Create,
    Update,
    Delete,
}

impl Deed {
    /// The words of a plan's steps.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// One property that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Under `values`; from the document's root for everything else, such as `imports`.
    pub path: Path,
    pub deed: Deed,
    /// Whether it is, or was, a static secret.
    pub is_secret: bool,
}

/// The properties in which two texts of an environment differ: first those of `after`, in its order, then those
/// that it lacks. A call (`fn::…`) and a list are one property. Nothing, when one of the texts is not YAML.
#[must_use]
pub fn between(before: &str, after: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    if let (Ok(before), Ok(after)) = (yaml::parse(before), yaml::parse(after)) {
        compare(before.as_ref(), after.as_ref(), &mut Path::default(), &mut changes);
    }
    for Change { path, .. } in &mut changes {
        // Top-level keys are matched whatever their case (esc-language.md §1.1).
        let is_values = |step: &Step| matches!(step, Step::Key(key) if key.eq_ignore_ascii_case("values"));
        if path.steps.len() > 1 && path.steps.first().is_some_and(is_values) {
            path.steps.remove(0);
        }
    }
    changes
}

fn compare(before: Option<&Node>, after: Option<&Node>, path: &mut Path, changes: &mut Vec<Change>) {
    let absent = |node: Option<&Node>| node.is_none_or(|node| is_null(node) || is_empty(node));
    let (old, new) = (before.and_then(object), after.and_then(object));
    if (old.is_some() || absent(before)) && (new.is_some() || absent(after)) && (old.is_some() || new.is_some()) {
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let gone = old.iter().filter(|(key, _)| value_of(new, key).is_none());
        for (key, _) in new.iter().chain(gone) {
            path.steps.push(Step::Key(key.scalar().unwrap_or_default().to_owned()));
            compare(value_of(old, key), value_of(new, key), path, changes);
            path.steps.pop();
        }
        return;
    }
    let deed = match (before, after) {
        (None, None) => return,
        (Some(before), Some(after)) if means_the_same(before, after) => return,
        (None, Some(_)) => Deed::Create,
        (Some(_), Some(_)) => Deed::Update,
        (Some(_), None) => Deed::Delete,
    };
    let is_secret = after.or(before).is_some_and(is_secret);
    changes.push(Change { path: path.clone(), deed, is_secret });
}

/// The entries of an object that is no call and not empty.
fn object(node: &Node) -> Option<&[(Node, Node)]> {
    let Content::Mapping(entries) = &node.content else { return None };
    let call = entries.iter().any(|(key, _)| key.scalar().is_some_and(|key| key.starts_with("fn::")));
    (!call && !entries.is_empty()).then_some(entries)
}

fn is_empty(node: &Node) -> bool {
    matches!(&node.content, Content::Mapping(entries) if entries.is_empty())
}

/// The last entry of a name wins in ESC.
fn value_of<'n>(entries: &'n [(Node, Node)], key: &Node) -> Option<&'n Node> {
    entries.iter().rfind(|(name, _)| name.scalar() == key.scalar()).map(|(_, value)| value)
}

/// A static secret, also one that is stored as base64 (`esc::edit`).
fn is_secret(node: &Node) -> bool {
    node.get("fn::secret").is_some()
        || node.get("fn::fromBase64").is_some_and(|inner| inner.get("fn::secret").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: &str, after: &str) -> Vec<String> {
        let line = |change: Change| {
            format!("{} {}{}", change.deed.word(), change.path, if change.is_secret { " secret" } else { "" })
        };
        between(before, after).into_iter().map(line).collect()
    }

    #[test]
    fn names_what_differs_and_nothing_else() {
        let before =
            "imports: [a]\nvalues:\n  keys: {A: {fn::secret: x}, B: {fn::secret: y}, C: 1}\n  kept: {d: [1, 2]}\n";
        let after = "imports: [a, b]\nvalues: # moved\n  keys:\n    A: {fn::secret: z}\n    C: '1'\n    N: {fn::fromBase64: {fn::secret: w}}\n  kept: {d: [1, 2]}\n";
        assert_eq!(
            shown(before, after),
            ["update imports", "update keys.A secret", "update keys.C", "create keys.N secret", "delete keys.B secret"]
        );
        assert_eq!(shown(before, before), [""; 0]);
        assert_eq!(shown("", "VALUES: {a: {b: 1, c: {}}}\n"), ["create a.b", "create a.c"]);
        assert_eq!(shown("values:\n", "values: {a: 1}\n"), ["create a"]);
        assert_eq!(shown("values: {}\n", "values: {a: 1}\n"), ["create a"]);
        assert_eq!(shown("values: {a: {b: 1}}\n", "values: {a: x}\n"), ["update a"]);
        assert_eq!(shown("values: {a: {b: 1}}\n", ""), ["delete a.b"]);
        assert_eq!(shown("values: {a: 1}\n", "values: {a: 1"), [""; 0], "a text that is not YAML");
    }
}
