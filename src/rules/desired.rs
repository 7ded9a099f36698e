//! What a stack should deliver: names and values, from the definition and the opened environment (design §4).
//!
//! **Nothing unknown and nothing guessed becomes a value.** What cannot be delivered is a [`Refusal`] under
//! its name, so that the plan shows it and nothing is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::definition::{Definition, Group, Mapping};
use super::naming;
use super::plan::{Reason, Refusal, ValueFacts, Wanted};
use crate::base::error::{Place, Problem};
use crate::base::secret::{FingerprintKey, SecretValue};
use crate::base::target::EntryKind;
use crate::esc::path::{Path, Step, lookup};
use crate::esc::value::{Content, Value};

/// What to do about a name without a value.
pub const MISSING_HINT: &str = "put it into ESC (`import-env`), or let the mapping say `required: false`";

/// One name that a group yields.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Upper-cased.
    pub name: Arc<str>,
    pub group: Arc<str>,
    pub kind: EntryKind,
    pub place: Option<Arc<Place>>,
    pub value: Result<Arc<SecretValue>, Refusal>,
}

impl Candidate {
    /// The value, when it is there and not a plain variable's.
    #[must_use]
    pub fn secret(&self) -> Option<&SecretValue> {
        self.value.as_deref().ok().filter(|_| self.kind == EntryKind::Secret)
    }
}

/// Everything that a stack yields.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    pub candidates: Vec<Candidate>,
    /// Names of the definition that have no value now and need none.
    pub optional: BTreeSet<String>,
    /// Groups without mappings of which ESC holds nothing.
    pub empty_groups: BTreeSet<String>,
    pub warnings: Vec<Problem>,
}

impl Desired {
    /// Collects what `stack` yields from its opened environment.
    #[must_use]
    pub fn collect(definition: &Definition, stack: &str, values: &Value) -> Self {
        let mut desired = Self::default();
        for group in definition.groups_of(stack) {
            let mut mapped = false;
            for mapping in definition.mappings_of(&group.name) {
                mapped = true;
                desired.add_mapping(mapping, values);
            }
            if !mapped {
                desired.add_leaves(group, values);
            }
        }
        desired
    }

    fn add_mapping(&mut self, mapping: &Mapping, values: &Value) {
        let name = naming::fold(&mapping.target_name);
        let places = places(mapping);
        let found = places.iter().find_map(|place| Some((place, lookup(values, &place.parse::<Path>().ok()?)?)));
        self.warnings.extend(found.and_then(|(_, value)| replaced(value, &name, &mapping.place)));
        let value = match found {
            Some((path, value)) => usable(value, path, mapping.kind),
            None if !mapping.required => {
                let message = format!("`{name}` has no value in ESC; it is not required");
                self.warnings.push(Problem::warning("value-optional", message).at(mapping.place.clone()));
                self.optional.insert(name);
                return;
            }
            None => Err(Refusal {
                reason: Reason::Missing,
                message: format!("ESC has no value: looked at {}", quoted(&places)),
            }),
        };
        let value = value.and_then(|value| match naming::check(&mapping.target_name) {
            Ok(()) => Ok(value),
            Err(error) => Err(Refusal { reason: Reason::Name, message: error.to_string() }),
        });
        self.candidates.push(Candidate {
            name: name.into(),
            group: mapping.group.as_str().into(),
            kind: mapping.kind,
            place: Some(Arc::new(mapping.place.clone())),
            value,
        });
    }

    fn add_leaves(&mut self, group: &Group, values: &Value) {
        let Some(root) = values.member(&group.name) else {
            let message = format!("group `{}` has no mappings, and ESC has nothing under `{}`", group.name, group.name);
            self.warnings.push(Problem::warning("group-empty", message).at(group.place.clone()));
            self.empty_groups.insert(group.name.clone());
            return;
        };
        let mut leaves = Vec::new();
        let mut path = Path { steps: vec![Step::Key(group.name.clone())] };
        collect_leaves(root, &mut path, &mut leaves);
        if leaves.is_empty() {
            let message = format!("group `{}` has no mappings, and its object in ESC is empty", group.name);
            self.warnings.push(Problem::warning("group-empty", message).at(group.place.clone()));
            self.empty_groups.insert(group.name.clone());
        }
        let (shared_name, place) = (Arc::from(group.name.as_str()), Arc::new(group.place.clone()));
        for (path, value) in leaves {
            let keys: Vec<&str> = path
                .steps
                .iter()
                .skip(1)
                .map(|step| if let Step::Key(key) = step { key.as_str() } else { "" })
                .collect();
            let name = naming::fold(&keys.join("_"));
            self.warnings.extend(replaced(value, &name, &place));
            let value = match naming::check(&name) {
                Ok(()) => usable(value, &path.to_string(), EntryKind::Secret),
                Err(error) => {
                    let rename = naming::suggestion(&name)
                        .map(|name| format!("; a mapping could call it `{name}`"))
                        .unwrap_or_default();
                    Err(Refusal { reason: Reason::Name, message: format!("{error} (`{path}` in ESC){rename}") })
                }
            };
            self.candidates.push(Candidate {
                name: name.into(),
                group: Arc::clone(&shared_name),
                kind: EntryKind::Secret,
                place: Some(Arc::clone(&place)),
                value,
            });
        }
    }

    /// What one target should hold: the candidates of its groups, `denied` ones refused, two groups that
    /// yield one name reconciled or refused.
    #[must_use]
    pub fn wanted(
        &self,
        groups: &dyn Fn(&str) -> bool,
        denied: &dyn Fn(&str) -> Option<String>,
        key: Option<&FingerprintKey>,
    ) -> (Vec<Wanted>, Vec<Problem>) {
        let mut by_name: BTreeMap<(EntryKind, &str), Vec<&Candidate>> = BTreeMap::new();
        for candidate in self.candidates.iter().filter(|candidate| groups(&candidate.group)) {
            by_name.entry((candidate.kind, &candidate.name)).or_default().push(candidate);
        }
        let mut warnings = Vec::new();
        let wanted = by_name
            .into_values()
            .filter_map(|candidates| {
                let (first, others) = candidates.split_first()?;
                let facts = match candidates.iter().find_map(|candidate| denied(&candidate.group)) {
                    Some(message) => Err(Refusal { reason: Reason::Policy, message }),
                    None => agree(first, others, &mut warnings).map(|value| facts(first, &value, key)),
                };
                Some(Wanted {
                    name: first.name.clone(),
                    group: first.group.clone(),
                    kind: first.kind,
                    place: first.place.clone(),
                    facts,
                })
            })
            .collect();
        (wanted, warnings)
    }

    /// The value behind a step of a plan.
    #[must_use]
    pub fn value(&self, kind: EntryKind, name: &str, group: &str) -> Option<&Arc<SecretValue>> {
        self.candidates
            .iter()
            .find(|candidate| candidate.kind == kind && *candidate.name == *name && *candidate.group == *group)
            .and_then(|candidate| candidate.value.as_ref().ok())
    }
}

/// The paths of values in groups that list their names and do not list these, each with the place of its group.
#[must_use]
pub fn unlisted(definition: &Definition, stack: &str, values: &Value) -> Vec<(String, Place)> {
    let mut listed: BTreeSet<String> = definition.mappings.iter().flat_map(places).collect();
    listed.insert(definition.sync.fingerprint_key.clone());
    let mut found = Vec::new();
    for group in definition.groups_of(stack).filter(|group| definition.mappings_of(&group.name).next().is_some()) {
        let Some(root) = values.member(&group.name) else { continue };
        let mut leaves = Vec::new();
        collect_leaves(root, &mut Path { steps: vec![Step::Key(group.name.clone())] }, &mut leaves);
        let paths = leaves.into_iter().map(|(path, _)| path.to_string()).filter(|path| !listed.contains(path));
        found.extend(paths.map(|path| (path, group.place.clone())));
    }
    found
}

/// Where a mapping's value is looked for, in order (design §4).
fn places(mapping: &Mapping) -> Vec<String> {
    if let Some(path) = &mapping.path {
        return vec![path.clone()];
    }
    let below =
        |root: &str, key: &str| Path { steps: vec![Step::Key(root.to_owned()), Step::Key(key.to_owned())] }.to_string();
    vec![below(&mapping.group, &mapping.name), below("environmentVariables", &mapping.target_name)]
}

fn quoted(places: &[String]) -> String {
    places.iter().map(|place| format!("`{place}`")).collect::<Vec<_>>().join(" and ")
}

/// The value's bytes as ESC renders a scalar; what is no scalar, unknown, or secret where all may read it is
/// refused.
fn usable(value: &Value, path: &str, kind: EntryKind) -> Result<Arc<SecretValue>, Refusal> {
    let missing = |message: String| Err(Refusal { reason: Reason::Missing, message });
    if value.contains_unknown() {
        return missing(format!("`{path}` in ESC is unknown: a provider could not be opened"));
    }
    if matches!(value.content, Content::List(_) | Content::Object(_)) {
        let word = value.content.word();
        return missing(format!("`{path}` in ESC is an {word}, not a text; `fn::toJSON` makes one of it"));
    }
    if kind == EntryKind::Variable && value.secret {
        return missing(format!(
            "`{path}` is secret in ESC, and a variable can be read by everyone: use `kind: secret`"
        ));
    }
    Ok(Arc::new(SecretValue::from(value.to_text())))
}

/// A warning for a text in which ESC has put U+FFFD in place of bytes that were no text. It cannot be told from one that
/// somebody meant, so that nothing is refused.
fn replaced(value: &Value, name: &str, place: &Place) -> Option<Problem> {
    let Content::String(text) = &value.content else { return None };
    let message = format!("`{name}` holds U+FFFD: bytes that are no UTF-8 were lost in ESC");
    text.contains(char::REPLACEMENT_CHARACTER).then(|| {
        Problem::warning("value-not-text", message)
            .at(place.clone())
            .hint("keep what is binary in ESC as base64, without `fn::fromBase64`, and decode it where it is used")
    })
}

fn collect_leaves<'v>(value: &'v Value, path: &mut Path, leaves: &mut Vec<(Path, &'v Value)>) {
    match &value.content {
        Content::Object(entries) if !value.unknown => {
            for (key, value) in entries {
                path.steps.push(Step::Key(key.clone()));
                collect_leaves(value, path, leaves);
                path.steps.pop();
            }
        }
        _ => leaves.push((path.clone(), value)),
    }
}

fn agree(first: &Candidate, others: &[&Candidate], warnings: &mut Vec<Problem>) -> Result<Arc<SecretValue>, Refusal> {
    let value = first.value.clone()?;
    for other in others {
        let same = other.value.clone()?.same_as(&value);
        let (one, two) = (&first.group, &other.group);
        if !same {
            return Err(Refusal {
                reason: Reason::Conflict,
                message: format!("groups `{one}` and `{two}` yield different values under this name"),
            });
        }
        let message = format!("groups `{one}` and `{two}` both yield `{}`, with equal values", first.name);
        let problem = Problem::warning("name-shared", message);
        warnings.push(match &other.place {
            Some(place) => problem.at((**place).clone()),
            None => problem,
        });
    }
    Ok(value)
}

fn facts(candidate: &Candidate, value: &SecretValue, key: Option<&FingerprintKey>) -> ValueFacts {
    let variable = (candidate.kind == EntryKind::Variable).then(|| {
        let mut text = Vec::new();
        // A plain variable: GitHub shows it to every reader of the repository.
        let _ = value.write_plaintext(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    ValueFacts { bytes: value.len(), fingerprint: key.map(|key| value.fingerprint(key, &candidate.name)), variable }
}
