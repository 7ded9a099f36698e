//! `import-env`: the names of a dotenv file become properties of an ESC environment, in one revision.
//!
//! **What someone else writes in between is never overwritten.** A conflict (ETag) starts over from their
//! document, and when they changed a name of this import, it ends without writing.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto_box::aead::OsRng;
use crypto_box::aead::rand_core::RngCore;

use crate::base::error::{Failure, FailureKind, Outcome, Problem, Severity};
use crate::base::secret::SecretValue;
use crate::base::target::EntryKind;
use crate::base::text::counted;
use crate::base::yaml;
use crate::esc::edit::{self, Edit, NewValue};
use crate::esc::path::{Path, lookup};
use crate::esc::value::{Content, Value};
use crate::io::source::{Document, Secrets, Source, Version};
use crate::report::import::{ImportReport, ImportedName};
use crate::rules::definition::{Definition, Environment as Stack};
use crate::rules::dotenv::Entry;
use crate::rules::import::{Import, ImportPlan, State, Step};

/// How often an import starts over because the environment moved.
const ATTEMPTS: usize = 5;

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The file as the user named it.
    pub file: &'a str,
    pub group: Option<&'a str>,
    /// Leave out what would be refused.
    pub skip: bool,
    /// Make the environment when there is none.
    pub create: bool,
    pub dry_run: bool,
    /// Refuse to replace a value.
    pub only_new: bool,
}

/// Imports `entries` into the environment of `stack`; answers the report and warnings.
///
/// # Errors
/// `import-refused` with every problem, `import-conflict` when someone else changed the same names,
/// `esc-not-found` without `create`, and those of the source.
pub async fn import(
    source: &dyn Source,
    definition: &Definition,
    stack: &Stack,
    entries: &[Entry],
    settings: Settings<'_>,
) -> Outcome<(ImportReport, Vec<Problem>)> {
    known_group(definition, stack, settings.group)?;
    let mut first: Option<BTreeMap<String, Option<SecretValue>>> = None;
    let mut created = false;
    for _ in 0..ATTEMPTS {
        let mut missing = false;
        let (document, values) = match state_of(source, stack).await {
            Err(failure) if failure.code == "esc-not-found" && settings.create && !created => {
                missing = true;
                (Document { text: String::new(), etag: None, revision: None }, empty())
            }
            Err(failure) if failure.code == "esc-not-found" && !settings.create => {
                return Err(failure.hint("--create makes the environment"));
            }
            other => other?,
        };
        let tree = yaml::parse(&document.text).map_err(|error| {
            Failure::unexpected("esc-document", format!("the definition of `{}` is not YAML", stack.esc)).cause(error)
        })?;
        let plan = Import {
            definition,
            stack: &stack.name,
            group: settings.group,
            skip: settings.skip,
            file: settings.file,
            entries,
        }
        .plan(&values, tree.as_ref());
        let now = current(&plan, &values);
        match &first {
            None => first = Some(now),
            Some(before) => unchanged_since(&plan, before, &now)?,
        }
        let warnings = accepted(&plan)?;
        if settings.only_new {
            refuse_changes(&plan)?;
        }
        if missing && !settings.dry_run {
            // Read what was made: its ETag guards it like any other.
            source.create(&stack.esc).await?;
            created = true;
            continue;
        }
        let key = missing_key(definition, &values)?;
        let edits = edits(&plan, key.as_ref());
        let mut report = ImportReport {
            stack: stack.name.clone(),
            environment: stack.esc.to_string(),
            dry_run: settings.dry_run,
            created: created && !settings.dry_run,
            revision: None,
            fingerprint_key_made: key.is_some() && !settings.dry_run,
            names: plan.steps.iter().map(ImportedName::from).collect(),
        };
        if edits.is_empty() || settings.dry_run {
            return Ok((report, warnings));
        }
        let text = edit::apply(&document.text, &edits).map_err(|error| {
            Failure::refused("import-edit", format!("the definition of `{}` could not be edited", stack.esc))
                .cause(error)
        })?;
        match source.update(&stack.esc, &text, document.etag.as_deref()).await {
            Ok((revision, _)) => {
                report.revision = revision;
                verify(source, stack, &plan).await?;
                return Ok((report, warnings));
            }
            Err(failure) if failure.code == "esc-conflict" => {}
            Err(failure) => return Err(failure),
        }
    }
    let message = format!("`{}` was changed by someone else {ATTEMPTS} times in a row; nothing was written", stack.esc);
    Err(Failure::refused("import-conflict", message).hint("try again when the others are done"))
}

/// The document with its encrypted secrets, and what it evaluates to.
async fn state_of(source: &dyn Source, stack: &Stack) -> Outcome<(Document, Value)> {
    let document = source.read(&stack.esc, &Version::Latest, Secrets::Encrypted).await?;
    if document.text.trim().is_empty() {
        return Ok((document, empty()));
    }
    let opened = source.open(&stack.esc, &Version::Latest).await?;
    Ok((document, opened.values))
}

fn empty() -> Value {
    Value::plain(Content::Object(BTreeMap::new()))
}

fn known_group(definition: &Definition, stack: &Stack, group: Option<&str>) -> Outcome<()> {
    let Some(group) = group else { return Ok(()) };
    let known: Vec<&str> = definition.groups_of(&stack.name).map(|group| group.name.as_str()).collect();
    if known.contains(&group) {
        return Ok(());
    }
    Err(Failure::usage("group-unknown", format!("stack `{}` has no secret group `{group}`", stack.name))
        .hint(crate::rules::nearest::hint(group, &known)))
}

/// The warnings of a plan without errors.
fn accepted(plan: &ImportPlan) -> Outcome<Vec<Problem>> {
    let (errors, warnings): (Vec<Problem>, Vec<Problem>) =
        plan.problems.iter().cloned().partition(|problem| problem.severity == Severity::Error);
    if errors.is_empty() {
        return Ok(warnings);
    }
    let count = plan.steps.iter().filter(|step| step.state.is_refused()).count().max(errors.len());
    let names = counted(plan.steps.len(), "name", "names");
    let message = format!("{count} of {names} cannot be imported; nothing was written");
    Err(Failure::refused("import-refused", message).problems(errors))
}

/// Refuses a plan that replaces values.
fn refuse_changes(plan: &ImportPlan) -> Outcome<()> {
    let changed = plan.steps.iter().filter(|step| step.state == State::Changed);
    let names: Vec<String> = changed.map(|step| format!("`{}`", step.name)).collect();
    if names.is_empty() {
        return Ok(());
    }
    let message = format!("ESC has another value of {} already; nothing was written", names.join(", "));
    Err(Failure::refused("import-not-new", message).hint("`import-env` or `rotation start` replaces a value"))
}

/// What ESC holds now for each property of the plan.
fn current(plan: &ImportPlan, values: &Value) -> BTreeMap<String, Option<SecretValue>> {
    plan.steps
        .iter()
        .filter_map(|step| step.path.as_ref())
        .map(|path| (path.to_string(), lookup(values, path).map(|value| SecretValue::from(value.to_text()))))
        .collect()
}

/// Fails when someone else changed a property of this import since the first look, to something else than
/// what is imported.
fn unchanged_since(
    plan: &ImportPlan,
    before: &BTreeMap<String, Option<SecretValue>>,
    now: &BTreeMap<String, Option<SecretValue>>,
) -> Outcome<()> {
    let moved: Vec<String> = plan
        .steps
        .iter()
        .filter(|step| step.state != State::Same)
        .filter(|step| {
            let path = step.path.as_ref().map(Path::to_string).unwrap_or_default();
            match (before.get(&path).and_then(Option::as_ref), now.get(&path).and_then(Option::as_ref)) {
                (Some(before), Some(now)) => !before.same_as(now),
                (None, None) => false,
                _ => true,
            }
        })
        .map(|step| format!("`{}`", step.name))
        .collect();
    if moved.is_empty() {
        return Ok(());
    }
    let message = format!("someone else changed {} in the meantime; nothing was written", moved.join(", "));
    Err(Failure::new(FailureKind::Refused, "import-conflict", message)
        .hint("look at their values (`env get`), then import again if yours are the right ones"))
}

/// A new key for the ledger's fingerprints when the environment has none.
fn missing_key(definition: &Definition, values: &Value) -> Outcome<Option<(Path, SecretValue)>> {
    let path: Path = definition.sync.fingerprint_key.parse().map_err(|error| {
        Failure::usage("esc-path", format!("`{}` is not a property path", definition.sync.fingerprint_key)).cause(error)
    })?;
    if lookup(values, &path).is_some() {
        return Ok(None);
    }
    let mut bytes = zeroize::Zeroizing::new([0u8; 32]);
    OsRng.fill_bytes(&mut *bytes);
    Ok(Some((path, SecretValue::from(STANDARD.encode(*bytes)))))
}

fn edits(plan: &ImportPlan, key: Option<&(Path, SecretValue)>) -> Vec<Edit> {
    let mut edits = Vec::new();
    for step in plan.steps.iter().filter(|step| step.writes()) {
        if let Some(path) = &step.path {
            edits.push(Edit::Set { path: path.clone(), value: new_value(step) });
        }
        if let Some(reference) = &step.reference {
            edits.push(Edit::Set { path: reference.clone(), value: NewValue::Expression(step.expression()) });
        }
    }
    if let Some((path, value)) = key {
        edits.push(Edit::Set { path: path.clone(), value: NewValue::Secret(value.clone()) });
    }
    edits
}

fn new_value(step: &Step) -> NewValue {
    match step.kind {
        EntryKind::Secret => NewValue::Secret(step.value.clone()),
        EntryKind::Variable => {
            let mut bytes = Vec::with_capacity(step.value.len());
            // A vector takes every write; what comes from a dotenv file is UTF-8.
            let _ = step.value.write_plaintext(&mut bytes);
            NewValue::Text(String::from_utf8_lossy(&bytes).into_owned())
        }
    }
}

/// Opens the environment once more: what it gives must be what was imported.
async fn verify(source: &dyn Source, stack: &Stack, plan: &ImportPlan) -> Outcome<()> {
    let values = source.open(&stack.esc, &Version::Latest).await?.values;
    let wrong: Vec<String> = plan
        .steps
        .iter()
        .filter(|step| step.writes())
        .filter(|step| {
            let value = step.path.as_ref().and_then(|path| lookup(&values, path));
            !value.is_some_and(|value| SecretValue::from(value.to_text()).same_as(&step.value))
        })
        .map(|step| format!("`{}`", step.name))
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let message = format!("ESC gives another value than was imported for {}", wrong.join(", "));
    Err(Failure::unexpected("import-not-read-back", message)
        .hint("someone else may have written right after; otherwise roll back with `env rollback`"))
}
