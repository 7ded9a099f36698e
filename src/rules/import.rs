//! What `import-env` would do with each name of a dotenv file: where it goes in the ESC environment, and
//! whether that changes anything.
//!
//! **Nothing is overwritten that is not a value**: a property that the document computes (`${…}`, a provider)
//! is refused, because replacing it would cut the wire silently.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::error::{Place, Problem};
use crate::base::secret::SecretValue;
use crate::base::target::EntryKind;
use crate::base::yaml::{Content as YamlContent, Node};
use crate::esc::path::{Path, Step as PathStep, lookup};
use crate::esc::value::{Content, Value};

use super::definition::{Definition, Mapping};
use super::dotenv::Entry;
use super::{naming, nearest, placeholder};

/// What becomes of one name. The words are part of the report's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// ESC has no value yet.
    New,
    /// ESC has another value, or the same one unprotected.
    Changed,
    /// ESC has this very value.
    Same,
    /// No mapping or group takes the name.
    NotInDefinition,
    /// The value only holds a secret's place.
    Placeholder,
    Empty,
    /// ESC computes the value.
    Computed,
}

impl State {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Same => "same",
            Self::NotInDefinition => "not-in-definition",
            Self::Placeholder => "placeholder",
            Self::Empty => "empty",
            Self::Computed => "computed",
        }
    }

    /// Whether the name keeps the whole import from happening.
    #[must_use]
    pub fn is_refused(self) -> bool {
        !matches!(self, Self::New | Self::Changed | Self::Same)
    }
}

/// One name of the file, and where it goes. A name that two groups map has two.
#[derive(Debug, Clone)]
pub struct Step {
    /// As the file has it.
    pub name: String,
    /// None when no group takes it.
    pub group: Option<String>,
    /// The property of the environment; none when no group takes it.
    pub path: Option<Path>,
    pub kind: EntryKind,
    pub state: State,
    /// Line of the name in the file.
    pub line: usize,
    pub value: SecretValue,
    /// The entry of `environmentVariables` that is to refer to the property; none when it does already.
    pub reference: Option<Path>,
}

impl Step {
    /// Whether the step changes the document.
    #[must_use]
    pub fn writes(&self) -> bool {
        matches!(self.state, State::New | State::Changed)
    }

    /// The `${…}` expression of the property.
    #[must_use]
    pub fn expression(&self) -> String {
        format!("${{{}}}", self.path.as_ref().map(dotted).unwrap_or_default())
    }
}

/// What an import does.
#[derive(Debug, Clone, Default)]
pub struct ImportPlan {
    /// In the order of the file.
    pub steps: Vec<Step>,
    /// Errors for what is refused, and warnings.
    pub problems: Vec<Problem>,
}

/// What an import is made from.
#[derive(Debug, Clone, Copy)]
pub struct Import<'a> {
    pub definition: &'a Definition,
    pub stack: &'a str,
    /// `--group`: takes the names that no mapping has, and narrows down those that several groups have.
    pub group: Option<&'a str>,
    /// `--skip`: leave out what would be refused.
    pub skip: bool,
    /// The file as the user named it.
    pub file: &'a str,
    pub entries: &'a [Entry],
}

impl Import<'_> {
    /// Compares the file with the environment: `values` is the opened one, `document` its text as a tree (none
    /// when it is empty).
    #[must_use]
    pub fn plan(&self, values: &Value, document: Option<&Node>) -> ImportPlan {
        let mut plan = ImportPlan::default();
        for entry in self.entries {
            let homes = self.homes_of(entry, values);
            if homes.is_empty() {
                plan.steps.push(step(entry, None, EntryKind::Secret, State::NotInDefinition));
            }
            for home in homes {
                plan.steps.push(self.compare(entry, home, values, document));
            }
        }
        self.reconcile(&mut plan);
        for step in &plan.steps {
            plan.problems.extend(self.problem(step));
        }
        plan.problems.extend(plan.steps.iter().filter(|step| step.writes()).filter_map(|step| self.undelivered(step)));
        if self.skip {
            plan.steps.retain(|step| !step.state.is_refused());
        }
        plan
    }

    /// Two names of the file may mean one property, and two properties one entry of `environmentVariables`.
    fn reconcile(&self, plan: &mut ImportPlan) {
        let mut properties: BTreeMap<&Path, &Step> = BTreeMap::new();
        for step in &plan.steps {
            let Some(path) = &step.path else { continue };
            match properties.get(path) {
                Some(first) if !first.value.same_as(&step.value) => plan.problems.push(
                    Problem::error(
                        "import-twice",
                        format!("`{}` and `{}` both go to `{}`, with two values", first.name, step.name, dotted(path)),
                    )
                    .at(self.place(step.line))
                    .hint("keep one of the two lines"),
                ),
                Some(_) => {}
                None => {
                    properties.insert(path, step);
                }
            }
        }
        let mut referred = BTreeSet::new();
        for step in &mut plan.steps {
            step.reference = step.reference.take().filter(|path| referred.insert(path.clone()));
        }
    }

    fn place(&self, line: usize) -> Place {
        Place { file: self.file.to_owned(), line, column: 1 }
    }

    /// The properties that take `entry`; where there are none, one under `--group`.
    fn homes_of(&self, entry: &Entry, values: &Value) -> Vec<Home> {
        let mut homes = homes(self.definition, self.stack, self.group, &entry.name, values);
        if let (true, Some(group)) = (homes.is_empty(), self.group) {
            let path = Path { steps: vec![PathStep::Key(group.to_owned()), PathStep::Key(entry.name.clone())] };
            homes.push(Home { group: group.to_owned(), path, kind: EntryKind::Secret, variable: entry.name.clone() });
        }
        homes
    }

    fn compare(&self, entry: &Entry, home: Home, values: &Value, document: Option<&Node>) -> Step {
        let current = lookup(values, &home.path);
        let node = document.and_then(|root| node_at(root.get("values")?, &home.path.steps));
        let state = if entry.value.is_empty() {
            State::Empty
        } else if placeholder::is_placeholder_value(&entry.value) {
            State::Placeholder
        } else {
            match current {
                Some(current) if holds(current, &entry.value, home.kind) => State::Same,
                _ if node.is_some_and(is_computed) => State::Computed,
                None => State::New,
                Some(_) => State::Changed,
            }
        };
        let variable = Path {
            steps: vec![PathStep::Key("environmentVariables".to_owned()), PathStep::Key(home.variable.clone())],
        };
        let variable_node = document.and_then(|root| node_at(root.get("values")?, &variable.steps));
        let refers = variable == home.path || variable_node.is_some_and(is_computed);
        let mut step = step(entry, Some(home), EntryKind::Secret, state);
        step.reference = (step.writes() && !refers).then_some(variable);
        step
    }

    fn problem(&self, step: &Step) -> Option<Problem> {
        let name = &step.name;
        let (code, message, hint) = match step.state {
            State::New | State::Changed | State::Same => return None,
            State::NotInDefinition => {
                let names: Vec<&str> =
                    self.definition.mappings.iter().map(|mapping| mapping.target_name.as_str()).collect();
                let near =
                    nearest::nearest(name, names).map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
                (
                    "import-not-in-definition",
                    format!("no secret group of stack `{}` takes `{name}`{near}", self.stack),
                    "map it in the definition, give --group NAME, or leave such names out with --skip",
                )
            }
            State::Placeholder => (
                "import-placeholder",
                format!("the value of `{name}` is a placeholder"),
                "fill it in, or leave placeholders out with --skip",
            ),
            State::Empty => (
                "import-empty",
                format!("`{name}` has an empty value"),
                "fill it in, or leave such names out with --skip",
            ),
            State::Computed => (
                "import-computed",
                format!("`{name}` is computed in ESC, at `{}`", step.path.as_ref().map(dotted).unwrap_or_default()),
                "change the value where it comes from, or edit the environment first",
            ),
        };
        let problem =
            if self.skip { Problem::warning(code, message) } else { Problem::error(code, message).hint(hint) };
        Some(problem.at(self.place(step.line)))
    }

    /// A warning for a name that goes to a group whose mappings do not have it: sync will not deliver it.
    fn undelivered(&self, step: &Step) -> Option<Problem> {
        let group = step.group.as_deref()?;
        let mut mappings = self.definition.mappings_of(group).peekable();
        mappings.peek()?;
        let folded = naming::fold(&step.name);
        if mappings.any(|mapping| naming::fold(&mapping.target_name) == folded || mapping.name == step.name) {
            return None;
        }
        let message = format!("`{}` is stored, but no mapping of group `{group}` delivers it", step.name);
        Some(
            Problem::warning("import-undelivered", message)
                .hint("add a mapping to the definition; `add` does it all at once"),
        )
    }
}

/// A property that takes a name.
pub(super) struct Home {
    pub(super) group: String,
    pub(super) path: Path,
    pub(super) kind: EntryKind,
    /// The name among `environmentVariables`.
    pub(super) variable: String,
}

/// The properties that take `name`, of one group or of all: those of its mappings, and the leaf of that name in
/// groups without mappings.
pub(super) fn homes(
    definition: &Definition,
    stack: &str,
    group: Option<&str>,
    name: &str,
    values: &Value,
) -> Vec<Home> {
    let wanted = |of: &str| group.is_none_or(|asked| asked == of);
    let folded = naming::fold(name);
    let mut homes = Vec::new();
    for group in definition.groups_of(stack).filter(|group| wanted(&group.name)) {
        let mut mapped = false;
        for mapping in definition.mappings_of(&group.name) {
            mapped = true;
            if naming::fold(&mapping.target_name) == folded || mapping.name == name {
                homes.extend(Home::of(mapping));
            }
        }
        if let Some(root) = values.member(&group.name).filter(|_| !mapped) {
            let mut path = Path { steps: vec![PathStep::Key(group.name.clone())] };
            if let Some(path) = leaf(root, &mut path, &folded) {
                let group = group.name.clone();
                homes.push(Home { group, path, kind: EntryKind::Secret, variable: folded.clone() });
            }
        }
    }
    homes
}

impl Home {
    fn of(mapping: &Mapping) -> Option<Self> {
        let path = mapping.property()?;
        Some(Self { group: mapping.group.clone(), path, kind: mapping.kind, variable: mapping.target_name.clone() })
    }
}

fn step(entry: &Entry, home: Option<Home>, kind: EntryKind, state: State) -> Step {
    let (group, path, kind) = match home {
        Some(home) => (Some(home.group), Some(home.path), home.kind),
        None => (None, None, kind),
    };
    let (name, line, value) = (entry.name.clone(), entry.line, entry.value.clone());
    Step { name, group, path, kind, state, line, value, reference: None }
}

/// Whether ESC holds `value`, and as protected as its kind asks.
fn holds(current: &Value, value: &SecretValue, kind: EntryKind) -> bool {
    let scalar = !matches!(current.content, Content::List(_) | Content::Object(_));
    scalar
        && !current.unknown
        && current.secret == (kind == EntryKind::Secret)
        && SecretValue::from(current.to_text()).same_as(value)
}

/// The leaf whose joined, upper-cased keys are `folded` (design §4).
fn leaf(value: &Value, path: &mut Path, folded: &str) -> Option<Path> {
    let Content::Object(entries) = &value.content else {
        let keys: Vec<&str> = path
            .steps
            .iter()
            .skip(1)
            .map(|step| if let PathStep::Key(key) = step { key.as_str() } else { "" })
            .collect();
        return (naming::fold(&keys.join("_")) == folded).then(|| path.clone());
    };
    entries.iter().find_map(|(key, value)| {
        path.steps.push(PathStep::Key(key.clone()));
        let found = leaf(value, path, folded);
        path.steps.pop();
        found
    })
}

pub(super) fn node_at<'n>(root: &'n Node, steps: &[PathStep]) -> Option<&'n Node> {
    steps.iter().try_fold(root, |node, step| match (step, &node.content) {
        (PathStep::Key(key), _) => node.get(key),
        (PathStep::Index(index), YamlContent::Sequence(items)) => items.get(*index),
        (PathStep::Index(_), _) => None,
    })
}

/// Whether the document computes the node: an expression with `${`, or a function other than `fn::secret`.
pub(super) fn is_computed(node: &Node) -> bool {
    match &node.content {
        YamlContent::Scalar { text, .. } => text.replace("$$", "").contains("${"),
        YamlContent::Sequence(_) => true,
        YamlContent::Mapping(entries) => entries.iter().any(|(key, value)| match key.scalar() {
            // How a secret with `${` is stored (`esc::edit`).
            Some("fn::fromBase64") => value.get("fn::secret").is_none(),
            Some(key) => key.starts_with("fn::") && key != "fn::secret",
            None => false,
        }),
    }
}

/// A path in the form that `${…}` takes, and that people read: dotted wherever the key allows it
/// (esc-language.md §5).
#[must_use]
pub fn dotted(path: &Path) -> String {
    let mut text = String::new();
    for step in &path.steps {
        match step {
            PathStep::Index(index) => text.push_str(&format!("[{index}]")),
            PathStep::Key(key) => {
                let plain = !key.is_empty()
                    && !key.contains(|c: char| c.is_whitespace() || matches!(c, '.' | '[' | '}' | '"' | '\\' | '$'));
                if plain {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(key);
                } else {
                    text.push_str(&format!("[\"{}\"]", key.replace('"', "\\\"")));
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests;
