//! The `env` commands: one environment of a source is made, read, changed and put back.

use zeroize::Zeroizing;

use crate::base::environment::EscName;
use crate::base::error::{Failure, FailureKind, Outcome, Place, Problem, Severity};
use crate::esc::diagnostic::Diagnostic;
use crate::esc::edit::{self, Edit, EditError, NewValue};
use crate::esc::path::{self, Path};
use crate::esc::projection::{self, Projection};
use crate::esc::value::Value;
use crate::io::source::{Document, Secrets, Source, SourceKind, Version};
use crate::report::env::{EnvChange, EnvHistory, EnvNames, HistoryLine};
use crate::rules::env_value;

/// What a change gave.
#[derive(Debug)]
pub struct Changed {
    pub report: EnvChange,
    pub warnings: Vec<Problem>,
}

/// A definition that was handed over, and what its errors call it.
pub struct Given {
    pub text: String,
    pub file: String,
}

/// The part of an environment that was asked for, as text that may hold secrets.
pub struct Shown {
    pub text: Zeroizing<String>,
    pub warnings: Vec<Problem>,
}

/// Makes an environment, from a definition text when one is given. That is checked before.
///
/// # Errors
/// `esc-exists`; those of [`check`], and those of [`replace`], after which the environment is there and empty.
pub async fn init(source: &dyn Source, name: &EscName, given: Option<&Given>) -> Outcome<Changed> {
    let Some(given) = given else {
        source.create(name).await?;
        let revision = source.revisions(name, 1).await?.first().map(|revision| revision.number);
        return Ok(changed(source, "init", name, revision, true, &[]));
    };
    check(source, name, Some(given)).await?;
    source.create(name).await?;
    let made = replace_by(source, name, given, None).await;
    made.map(|made| named("init", made)).map_err(|failure| failure.hint(format!("`{name}` was made, and is empty")))
}

/// The names of an organization's environments.
///
/// # Errors
/// Those of the source.
pub async fn list(source: &dyn Source, organization: &str) -> Outcome<EnvNames> {
    let mut names: Vec<String> = source.list(organization).await?.iter().map(ToString::to_string).collect();
    names.sort();
    Ok(EnvNames { command: "ls", what: "environments", names })
}

/// Opens an environment and writes the value at `path`.
///
/// # Errors
/// `env-path` when nothing is there, `env-unknown` when it could not be computed, `env-form` when a form does
/// not fit; those of the source.
pub async fn open(
    source: &dyn Source,
    name: &EscName,
    version: &Version,
    path: &Path,
    form: Projection,
    redact: bool,
) -> Outcome<Shown> {
    let opened = source.open(name, version).await?;
    let file = source.file_of(name, version, "");
    let warnings = opened.warnings.iter().map(|diagnostic| problem(source, name, Some(&file), diagnostic)).collect();
    let value = part(name, &opened.values, path)?;
    if value.unknown {
        return Err(Failure::unexpected("env-unknown", format!("the value at `{path}` of `{name}` is unknown here"))
            .hint("a provider that only Pulumi Cloud has is not run by the embedded store"));
    }
    let text = projection::project(value, form, redact).map_err(|problems| {
        Failure::refused("env-form", format!("the variables of `{name}` cannot be written in this form"))
            // Their hints are for the options of `export-env`.
            .problems(problems.into_iter().map(|problem| Problem { hint: None, ..problem }))
            .hint("--format json holds any name and any value")
    })?;
    Ok(Shown { text, warnings })
}

fn part<'v>(name: &EscName, values: &'v Value, at: &Path) -> Outcome<&'v Value> {
    path::lookup(values, at).ok_or_else(|| {
        Failure::usage("env-path", format!("`{name}` has nothing at `{at}`"))
            .hint(format!("`env get {name}` shows what it has"))
    })
}

/// What an environment says about `path`: value, place and definition.
pub struct Explained {
    /// As YAML.
    pub value: Zeroizing<String>,
    /// The same as JSON.
    pub json: serde_json::Value,
    /// Where the value is defined; none for the whole environment.
    pub defined: Option<Place>,
    /// The part of the text, secrets encrypted as they are stored, and hidden where they stand in clear; none for all of
    /// it, and when the value comes from elsewhere.
    pub definition: Option<String>,
    pub secret: bool,
}

/// Explains the value at `path`; secrets are hidden unless `show_secrets`.
///
/// # Errors
/// Those of [`open`].
pub async fn get(
    source: &dyn Source,
    name: &EscName,
    version: &Version,
    at: &Path,
    show_secrets: bool,
) -> Outcome<Explained> {
    let opened = source.open(name, version).await?;
    let value = part(name, &opened.values, at)?;
    let inside = |length: usize| at.steps.get(..length).map(|steps| Path { steps: steps.to_vec() });
    let mut wholes = (0..at.steps.len()).filter_map(inside);
    // Pulumi Cloud does not mark all parts of a secret.
    let secret = wholes.any(|whole| path::lookup(&opened.values, &whole).is_some_and(|whole| whole.secret));
    let value = &Value { secret: secret || value.secret, ..value.clone() };
    let document = source.read(name, version, Secrets::Encrypted).await?;
    let shown = projection::project(value, Projection::Yaml, !show_secrets).unwrap_or_default();
    let defined = value.defined.place(|called| source.file_of(name, version, called));
    let defined = defined.filter(|_| !at.steps.is_empty());
    let definition = edit::fragment(&document.text, at);
    let json = value.to_plain_json(!show_secrets);
    Ok(Explained { value: shown, json, defined, definition, secret: value.contains_secret() })
}

/// How often a change is made on what others have written in between. Each conflict is somebody's success, so that many
/// writers at once come to an end; Pulumi Cloud answers no more than a few of them, and every attempt is in the audit trail.
fn attempts(source: &dyn Source) -> usize {
    if source.kind() == SourceKind::Local { 32 } else { 4 }
}

/// Applies edits as one revision; again, when someone else writes in between.
///
/// # Errors
/// `env-edit` when an edit cannot be made; `esc-diagnostics` (usage) when the definition would have errors; those of the
/// source.
pub async fn change(source: &dyn Source, name: &EscName, command: &'static str, edits: &[Edit]) -> Outcome<Changed> {
    change_where(source, name, command, edits, |_| Ok(())).await
}

/// The same, where `allowed` refuses what may not be done to a document.
async fn change_where(
    source: &dyn Source,
    name: &EscName,
    command: &'static str,
    edits: &[Edit],
    allowed: impl Fn(&Document) -> Outcome<()>,
) -> Outcome<Changed> {
    let mut left = attempts(source);
    loop {
        left -= 1;
        let document = source.read(name, &Version::Latest, Secrets::Encrypted).await?;
        allowed(&document)?;
        let text = edit::apply(&document.text, edits).map_err(|error| not_edited(source, name, &error))?;
        if text == document.text {
            return Ok(changed(source, command, name, document.revision, false, &[]));
        }
        match source.update(name, &text, document.etag.as_deref()).await {
            Ok((revision, warnings)) => return Ok(changed(source, command, name, revision, true, &warnings)),
            Err(failure) if failure.code == "esc-conflict" && left > 0 => {}
            Err(failure) if failure.code == "esc-diagnostics" => {
                return Err(blamed(source, name, &document.text, failure).await);
            }
            Err(failure) => return Err(failure),
        }
    }
}

fn not_edited(source: &dyn Source, name: &EscName, error: &EditError) -> Failure {
    let failure = Failure::usage("env-edit", format!("cannot change `{name}`"));
    match error {
        EditError::NotYaml { message, mark } => failure
            .problems([Problem::error("esc-diagnostic", message.clone()).at(Place {
                file: source.file_of(name, &Version::Latest, ""),
                line: mark.line(),
                column: mark.column(),
            })])
            .hint("the definition is not YAML: correct it with `env edit`"),
        EditError::NewValue { .. } => failure.cause(error).hint("--string takes it as one text; nothing was written"),
        _ => failure.cause(error),
    }
}

/// The errors of a text that was refused: what the definition had before stands in it, and what the change brought stands
/// in no file.
async fn blamed(source: &dyn Source, name: &EscName, before: &str, failure: Failure) -> Failure {
    let found = source.check(name, before).await.unwrap_or_default();
    let before: Vec<Problem> = found.iter().map(|diagnostic| problem(source, name, None, diagnostic)).collect();
    let errors = failure.problems.into_iter().filter(|problem| problem.severity == Severity::Error);
    let problems: Vec<Problem> = errors
        .map(|new| match before.iter().find(|old| old.message == new.message) {
            Some(old) => old.clone(),
            None => Problem { place: None, ..new },
        })
        .collect();
    let hint = if problems.iter().all(|problem| problem.place.is_none()) {
        "what is named above has to hold with the change: correct it first, or the value"
    } else {
        "correct the definition with `env edit` first"
    };
    let message = format!("cannot change `{name}`, nothing was written: its definition would have errors");
    Failure { causes: failure.causes, ..Failure::usage("esc-diagnostics", message).problems(problems).hint(hint) }
}

/// Sets one property. A secret is not replaced by something readable, and what is called like a secret is not
/// stored readable, unless `plaintext`.
///
/// # Errors
/// `env-plaintext` (refused); those of [`change`].
pub async fn set(
    source: &dyn Source,
    name: &EscName,
    path: &Path,
    value: NewValue,
    plaintext: bool,
) -> Outcome<Changed> {
    let edits = [Edit::Set { path: path.clone(), value: value.clone() }];
    let allowed = |document: &Document| {
        let why = if plaintext || matches!(value, NewValue::Secret(_)) {
            return Ok(());
        } else if env_value::is_secret(&document.text, path) {
            "is a secret and would become readable"
        } else if env_value::looks_like_a_secret(path, &value) {
            "is called like a secret, or what is in it"
        } else {
            return Ok(());
        };
        Err(Failure::refused("env-plaintext", format!("`{path}` {why}; nothing was written")).hint(
            "--secret reads the value from stdin or a hidden prompt; --plaintext stores it readable all the same",
        ))
    };
    let mut changed = change_where(source, name, "set", &edits, allowed).await?;
    changed.warnings.extend(env_value::respelled(path, &value));
    Ok(changed)
}

/// Replaces the whole definition.
///
/// # Errors
/// Those of the source.
pub async fn replace(source: &dyn Source, name: &EscName, text: &str, etag: Option<&str>) -> Outcome<Changed> {
    let before = source.read(name, &Version::Latest, Secrets::Encrypted).await?;
    let (revision, warnings) = source.update(name, text, etag.or(before.etag.as_deref())).await?;
    Ok(changed(source, "edit", name, revision, revision.is_none() || revision != before.revision, &warnings))
}

/// Replaces the whole definition by one that was handed over. Its errors are placed there: the source speaks of the
/// text as it would be stored, where an encrypted secret has moved what stands behind it.
///
/// # Errors
/// Those of the source.
pub async fn replace_by(source: &dyn Source, name: &EscName, given: &Given, etag: Option<&str>) -> Outcome<Changed> {
    let failure = match replace(source, name, &given.text, etag).await {
        Err(failure) if failure.code == "esc-diagnostics" => failure,
        done => return done,
    };
    match check(source, name, Some(given)).await {
        Err(found) if found.code == failure.code => {
            let errors = found.problems.into_iter().filter(|problem| problem.severity == Severity::Error);
            Err(Failure { kind: FailureKind::Usage, problems: errors.collect(), ..failure })
        }
        _ => Err(failure),
    }
}

/// Encrypts what stands in plaintext, and takes over what an old data key encrypted. In Pulumi Cloud nothing stands in
/// plaintext.
///
/// # Errors
/// Those of the source.
pub async fn encrypt(source: &dyn Source, name: &EscName) -> Outcome<Changed> {
    let document = source.read(name, &Version::Latest, Secrets::Encrypted).await?;
    if source.kind() == SourceKind::Cloud {
        return Ok(changed(source, "encrypt", name, document.revision, false, &[]));
    }
    let given = Given { text: document.text, file: source.file_of(name, &Version::Latest, "") };
    let written = replace_by(source, name, &given, document.etag.as_deref()).await?;
    Ok(named("encrypt", written))
}

/// Makes an old revision the newest one again.
///
/// # Errors
/// Those of the source.
pub async fn rollback(source: &dyn Source, name: &EscName, to: &Version) -> Outcome<Changed> {
    let old = source.read(name, to, Secrets::Encrypted).await?;
    let given = Given { text: old.text, file: source.file_of(name, to, "") };
    Ok(named("rollback", replace_by(source, name, &given, None).await?))
}

/// Newest first.
///
/// # Errors
/// Those of the source.
pub async fn history(source: &dyn Source, name: &EscName, limit: usize) -> Outcome<EnvHistory> {
    let revisions = source.revisions(name, limit).await?;
    let line = |revision: crate::io::source::Revision| HistoryLine {
        revision: revision.number,
        created: Some(revision.created).filter(|created| *created != jiff::Timestamp::UNIX_EPOCH),
        author: revision.author,
        tags: revision.tags,
    };
    Ok(EnvHistory { environment: name.to_string(), revisions: revisions.into_iter().map(line).collect() })
}

/// Checks a text, or what is stored. Answers warnings.
///
/// # Errors
/// `esc-diagnostics` (usage) with every error.
pub async fn check(source: &dyn Source, name: &EscName, given: Option<&Given>) -> Outcome<Vec<Problem>> {
    let stored;
    let (text, file) = match given {
        Some(given) => (&given.text, Some(given.file.as_str())),
        None => {
            stored = source.read(name, &Version::Latest, Secrets::Encrypted).await?.text;
            (&stored, None)
        }
    };
    let found = source.check(name, text).await?;
    let problems: Vec<Problem> = found.iter().map(|diagnostic| problem(source, name, file, diagnostic)).collect();
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    if errors == 0 {
        return Ok(problems);
    }
    let count = if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") };
    Err(Failure::usage("esc-diagnostics", format!("the definition of `{name}` has {count}")).problems(problems))
}

fn changed(
    source: &dyn Source,
    command: &'static str,
    name: &EscName,
    revision: Option<u64>,
    changed: bool,
    warnings: &[Diagnostic],
) -> Changed {
    let report = EnvChange { command, environment: name.to_string(), revision, changed };
    Changed { report, warnings: warnings.iter().map(|diagnostic| problem(source, name, None, diagnostic)).collect() }
}

fn named(command: &'static str, changed: Changed) -> Changed {
    Changed { report: EnvChange { command, ..changed.report }, ..changed }
}

/// A diagnostic of ESC as a finding of this tool. What is about the environment's own text is placed in `file`, if that
/// is where it comes from.
fn problem(source: &dyn Source, name: &EscName, file: Option<&str>, diagnostic: &Diagnostic) -> Problem {
    let file_of = |called: &str| source.file_of(name, &Version::Latest, called);
    diagnostic.problem(|called| match file {
        Some(file) if file_of(called) == file_of("") => file.to_owned(),
        _ => file_of(called),
    })
}
