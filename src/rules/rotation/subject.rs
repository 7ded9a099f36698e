//! What the NAME of a rotation means: the properties of the ESC environment that hold its value.

use crate::base::error::{Failure, Outcome};
use crate::base::secret::SecretValue;
use crate::base::target::EntryKind;
use crate::base::yaml::Node;
use crate::esc::path::{Path, Step, lookup};
use crate::esc::value::Value;
use crate::rules::definition::{Definition, Environment, Generate};
use crate::rules::import::{Home, dotted, homes, is_computed, node_at};
use crate::rules::steps::LARGEST_SECRET;
use crate::rules::{naming, nearest, placeholder};

/// One secret of a stack that can be given a new value.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The name at GitHub, upper-cased.
    pub name: String,
    /// The group that was asked for with `--group`.
    pub asked_group: Option<String>,
    /// Groups that yield the name; all of them get the new value.
    pub groups: Vec<String>,
    /// Where the value stands, each place once.
    pub paths: Vec<Path>,
    /// How this tool may make a new value itself.
    pub generate: Option<Generate>,
    /// The value now; none when ESC has none yet.
    pub value: Option<SecretValue>,
}

/// What a NAME is looked up in.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'a> {
    pub definition: &'a Definition,
    pub stack: &'a Environment,
    /// Only this group.
    pub group: Option<&'a str>,
    /// The opened environment.
    pub values: &'a Value,
    /// Its text as a tree; none when it is empty.
    pub document: Option<&'a Node>,
    /// All names of the stack, for a hint.
    pub known: &'a [&'a str],
}

impl Lookup<'_> {
    /// Finds the secret that `name` means, wherever its value comes from.
    ///
    /// # Errors
    /// `rotation-unknown`, `rotation-variable`, `rotation-ambiguous` when groups hold different values.
    pub fn find(&self, name: &str) -> Outcome<Subject> {
        let folded = naming::fold(name);
        let stack = &self.stack.name;
        let found = homes(self.definition, stack, self.group, name, self.values);
        if found.is_empty() {
            let place = self.group.map_or_else(String::new, |group| format!(" in group `{group}`"));
            return Err(Failure::usage("rotation-unknown", format!("stack `{stack}` has no secret `{name}`{place}"))
                .hint(nearest::hint(&folded, self.known)));
        }
        let secrets: Vec<_> = found.iter().filter(|home| home.kind == EntryKind::Secret).collect();
        let Some(first) = secrets.first() else {
            let message = format!("`{folded}` is a variable, which everyone who sees the repository may read");
            return Err(Failure::usage("rotation-variable", message)
                .hint("only secrets are rotated; `env set` changes a variable's value"));
        };
        let mut groups: Vec<String> = Vec::new();
        let mut paths: Vec<Path> = Vec::new();
        for home in &secrets {
            let place = place(home, self.values);
            if !groups.contains(&home.group) {
                groups.push(home.group.clone());
            }
            if !paths.contains(&place) {
                paths.push(place);
            }
        }
        let held: Vec<Option<SecretValue>> = paths.iter().map(|path| value_at(self.values, path)).collect();
        if held.iter().any(|value| !same(value.as_ref(), held[0].as_ref())) {
            let names = groups.iter().map(|group| format!("`{group}`")).collect::<Vec<_>>().join(" and ");
            return Err(Failure::refused(
                "rotation-ambiguous",
                format!("groups {names} hold different values of `{folded}`"),
            )
            .hint("--group NAME says which one is meant"));
        }
        let generate = self.definition.mappings.iter().find_map(|mapping| {
            let meant =
                groups.contains(&mapping.group) && naming::fold(&mapping.target_name) == naming::fold(&first.variable);
            mapping.generate.filter(|_| meant)
        });
        Ok(Subject {
            name: naming::fold(&first.variable),
            asked_group: self.group.map(str::to_owned),
            groups,
            paths,
            generate,
            value: held.into_iter().next().flatten(),
        })
    }

    /// Refuses a secret whose value does not stand in the environment's own text.
    ///
    /// # Errors
    /// `rotation-not-set-here` for a value that comes from a provider, a reference or an import.
    pub fn may_be_set(&self, subject: &Subject) -> Outcome<()> {
        subject.paths.iter().try_for_each(|path| self.is_set_here(&subject.name, path))
    }

    fn is_set_here(&self, name: &str, path: &Path) -> Outcome<()> {
        let node = self.document.and_then(|root| node_at(root.get("values")?, &path.steps));
        let why = match (node, lookup(self.values, path)) {
            (Some(node), _) if is_computed(node) => "is computed there",
            (None, Some(_)) => "is not set in its text: a provider or an import gives it",
            _ => return Ok(()),
        };
        let message = format!("`{name}` cannot be given a value: `{}` of `{}` {why}", dotted(path), self.stack.esc);
        Err(Failure::refused("rotation-not-set-here", message)
            .hint("rotate it where it comes from: `env get` shows its definition"))
    }
}

/// Where the values of a name stand in the opened environment, each place once.
#[must_use]
pub fn places(definition: &Definition, stack: &str, group: Option<&str>, name: &str, values: &Value) -> Vec<Path> {
    let mut paths: Vec<Path> = Vec::new();
    for home in homes(definition, stack, group, name, values) {
        let place = place(&home, values);
        if !paths.contains(&place) {
            paths.push(place);
        }
    }
    paths
}

/// Where the value of a home is: its own property, else the one among `environmentVariables` (design §4).
fn place(home: &Home, values: &Value) -> Path {
    let variable = Path { steps: vec![Step::Key("environmentVariables".to_owned()), Step::Key(home.variable.clone())] };
    let elsewhere = lookup(values, &home.path).is_none() && lookup(values, &variable).is_some();
    if elsewhere { variable } else { home.path.clone() }
}

impl Subject {
    /// The revision tag that remembers the revision from before the rotation.
    #[must_use]
    pub fn tag(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
        match &self.asked_group {
            None => format!("rotation-{}", self.name),
            Some(group) => format!("rotation-{}-in-{}", self.name, group.chars().map(plain).collect::<String>()),
        }
    }

    /// The value that `values` holds for it, when all its places agree.
    #[must_use]
    pub fn value_in(&self, values: &Value) -> Option<SecretValue> {
        let held: Vec<Option<SecretValue>> = self.paths.iter().map(|path| value_at(values, path)).collect();
        let first = held.first()?.clone()?;
        held.iter().all(|value| value.as_ref().is_some_and(|value| value.same_as(&first))).then_some(first)
    }

    /// Whether `value` may become its value.
    ///
    /// # Errors
    /// `rotation-placeholder`, `rotation-same`, `rotation-too-large`; nothing is written then.
    pub fn accepts(&self, value: &SecretValue) -> Outcome<()> {
        let refused = |code, why: String| {
            Failure::refused(code, format!("the new value of `{}` {why}; nothing was written", self.name))
        };
        if value.is_empty() {
            return Err(refused("rotation-empty", "is empty".to_owned()));
        }
        if placeholder::is_placeholder_value(value) {
            return Err(refused("rotation-placeholder", "is a placeholder".to_owned()));
        }
        if self.value.as_ref().is_some_and(|old| old.same_as(value)) {
            return Err(refused("rotation-same", "is the one that ESC holds already".to_owned())
                .hint("make a new one in the service that it is for"));
        }
        if value.len() > LARGEST_SECRET {
            let why = format!("has {} bytes, and GitHub takes {LARGEST_SECRET}", value.len());
            return Err(refused("rotation-too-large", why));
        }
        Ok(())
    }

    /// Whether `other` holds the same value now.
    #[must_use]
    pub fn holds_the_same_as(&self, other: &Self) -> bool {
        same(self.value.as_ref(), other.value.as_ref())
    }
}

fn same(a: Option<&SecretValue>, b: Option<&SecretValue>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a.same_as(b),
        _ => false,
    }
}

fn value_at(values: &Value, path: &Path) -> Option<SecretValue> {
    lookup(values, path).filter(|value| !value.contains_unknown()).map(|value| SecretValue::from(value.to_text()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::yaml;
    use crate::esc::value::Content;

    const DEFINITION: &str = "
name: sophia-esc
organization: payready
environments: [{ name: production }]
secretGroups: [{ name: api-keys }, { name: more }, { name: free }]
secretMappings:
  - { name: OPENAI, secretGroup: api-keys, environmentVariableName: openai_key, generate: { length: 32, charset: hex } }
  - { name: OPENAI, secretGroup: more, environmentVariableName: OPENAI_KEY, path: more.openai }
  - { name: LEVEL, secretGroup: api-keys, kind: variable }
  - { name: GIVEN, secretGroup: api-keys }
";

    fn object(entries: &[(&str, Value)]) -> Value {
        Value::plain(Content::Object(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()))
    }

    fn text(value: &str) -> Value {
        Value::plain(Content::String(value.into()))
    }

    fn find(name: &str, group: Option<&str>, other: &str) -> Outcome<Subject> {
        let definition = crate::rules::config::load("d.yaml", DEFINITION).unwrap().definition;
        let values = object(&[
            ("api-keys", object(&[("OPENAI", text("one")), ("LEVEL", text("info")), ("GIVEN", text("g"))])),
            ("more", object(&[("openai", text(other))])),
            ("free", object(&[("deep", object(&[("key", text("k"))]))])),
        ]);
        let document = "values: { api-keys: { OPENAI: { fn::secret: one }, LEVEL: info }, more: { openai: { fn::secret: x } }, free: { deep: { key: { fn::secret: k } } } }";
        let document = yaml::parse(document).unwrap();
        let stack = definition.stack(Some("production")).unwrap();
        let known = ["OPENAI_KEY", "LEVEL", "GIVEN", "DEEP_KEY"];
        let lookup = Lookup {
            definition: &definition,
            stack,
            group,
            values: &values,
            document: document.as_ref(),
            known: &known,
        };
        let subject = lookup.find(name)?;
        lookup.may_be_set(&subject).map(|()| subject)
    }

    #[test]
    fn a_name_of_two_groups_with_one_value_is_one_secret_in_two_places() {
        let subject = find("openai_key", None, "one").unwrap();
        assert_eq!((subject.name.as_str(), subject.groups.len()), ("OPENAI_KEY", 2));
        let paths: Vec<String> = subject.paths.iter().map(dotted).collect();
        assert_eq!(paths, ["api-keys.OPENAI", "more.openai"]);
        assert_eq!(subject.generate.map(|generate| generate.length), Some(32));
        assert_eq!(subject.tag(), "rotation-OPENAI_KEY");
    }

    #[test]
    fn groups_that_disagree_are_asked_about() {
        assert_eq!(find("OPENAI_KEY", None, "two").unwrap_err().code, "rotation-ambiguous");
        let subject = find("OPENAI_KEY", Some("more"), "two").unwrap();
        assert_eq!((subject.paths.len(), subject.generate), (1, None));
        assert_eq!(subject.tag(), "rotation-OPENAI_KEY-in-more");
    }

    #[test]
    fn what_cannot_be_rotated_says_why() {
        for (name, code, words) in [
            ("OPENAI_KAY", "rotation-unknown", "did you mean `OPENAI_KEY`?"),
            ("LEVEL", "rotation-variable", "env set"),
            ("GIVEN", "rotation-not-set-here", "where it comes from"),
        ] {
            let failure = find(name, None, "one").unwrap_err();
            assert_eq!(failure.code, code);
            assert!(failure.hints.iter().any(|hint| hint.contains(words)), "{failure:?}");
        }
        assert_eq!(find("deep_key", None, "one").unwrap().name, "DEEP_KEY");
    }

    #[test]
    fn only_a_real_and_new_value_is_accepted() {
        let subject = find("OPENAI_KEY", None, "one").unwrap();
        let code = |text: &str| subject.accepts(&SecretValue::from(text.to_owned())).err().map(|failure| failure.code);
        assert_eq!(code("one"), Some("rotation-same"));
        assert_eq!(code("changeme"), Some("rotation-placeholder"));
        assert_eq!(code(""), Some("rotation-empty"));
        assert_eq!(code(&"x1".repeat(LARGEST_SECRET)), Some("rotation-too-large"));
        assert_eq!(code("two"), None);
    }
}
