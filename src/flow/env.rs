//! The `env` commands: one environment of a source is made, read, changed and put back.

use zeroize::Zeroizing;

use crate::base::environment::EscName;
use crate::base::error::{Failure, Outcome, Place, Problem, Severity};
use crate::base::yaml;
use crate::esc::diagnostic::Diagnostic;
use crate::esc::edit::{self, Edit, NewValue};
use crate::esc::path::{self, Path, Step};
use crate::esc::projection::{self, Projection};
use crate::esc::stored::{self, Stored};
use crate::esc::value::Value;
use crate::io::source::{Document, Secrets, Source, Version};
use crate::report::env::{EnvChange, EnvHistory, EnvNames, HistoryLine};

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

/// Makes an environment, from a definition text when one is given.
///
/// # Errors
/// `esc-exists`; those of [`replace`], after which the environment is there and empty.
pub async fn init(source: &dyn Source, name: &EscName, given: Option<&Given>) -> Outcome<Changed> {
    source.create(name).await?;
    match given {
        Some(given) => Ok(named("init", replace_by(source, name, given, None).await?)),
        None => {
            let revision = source.revisions(name, 1).await?.first().map(|revision| revision.number);
            Ok(changed("init", name, revision, true, &[]))
        }
    }
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
    let warnings = opened.warnings.iter().map(|diagnostic| problem(name, None, diagnostic)).collect();
    let value = part(name, &opened.values, path)?;
    if value.unknown {
        return Err(Failure::unexpected("env-unknown", format!("the value at `{path}` of `{name}` is unknown here"))
            .hint("a provider that only Pulumi Cloud has is not run by the embedded store"));
    }
    let text = projection::project(value, form, redact).map_err(|problems| {
        Failure::refused("env-form", format!("the variables of `{name}` cannot be written in this form"))
            .problems(problems)
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
    pub value: Zeroizing<String>,
    /// `environment:line:column` of the definition of the value.
    pub defined: Option<String>,
    /// The part of the text, secrets encrypted as they are stored; none when the value comes from elsewhere.
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
    let document = source.read(name, version, Secrets::Encrypted).await?;
    let shown = projection::project(value, Projection::Yaml, !show_secrets).unwrap_or_default();
    let range = &value.defined;
    let defined = (range.begin.line() > 0 && !at.steps.is_empty())
        .then(|| format!("{}:{}:{}", range.environment, range.begin.line(), range.begin.column()));
    let definition = edit::fragment(&document.text, at);
    Ok(Explained { value: shown, defined, definition, secret: value.contains_secret() })
}

/// Applies edits as one revision. Re-reading after a conflict is the caller's choice.
///
/// # Errors
/// `env-edit` when an edit cannot be made; those of the source.
pub async fn change(source: &dyn Source, name: &EscName, command: &'static str, edits: &[Edit]) -> Outcome<Changed> {
    let document = source.read(name, &Version::Latest, Secrets::Encrypted).await?;
    let text = edit::apply(&document.text, edits)
        .map_err(|error| Failure::usage("env-edit", format!("cannot change `{name}`")).cause(error))?;
    if text == document.text {
        return Ok(changed(command, name, document.revision, false, &[]));
    }
    let (revision, warnings) = source.update(name, &text, document.etag.as_deref()).await?;
    Ok(changed(command, name, revision, true, &warnings))
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
    if !matches!(value, NewValue::Secret(_)) && !plaintext {
        let document = source.read(name, &Version::Latest, Secrets::Encrypted).await?;
        let refused = |why: &str| {
            Failure::refused("env-plaintext", format!("`{path}` {why}; nothing was written")).hint(
                "--secret reads the value from stdin or a hidden prompt; --plaintext stores it readable all the same",
            )
        };
        if is_secret(&document, path) {
            return Err(refused("is a secret and would become readable"));
        }
        if is_called_like_a_secret(path)
            && matches!(&value, NewValue::Yaml(text) | NewValue::Expression(text) if is_text(text))
        {
            return Err(refused("is called like a secret"));
        }
    }
    let edits = [Edit::Set { path: path.clone(), value }];
    change(source, name, "set", &edits).await
}

/// Whether a static secret stands at `path`, itself or inside the calls there (`fn::fromBase64` of one).
fn is_secret(document: &Document, path: &Path) -> bool {
    let call = |step: &Step| matches!(step, Step::Key(key) if key.starts_with("fn::"));
    stored::find(&document.text).unwrap_or_default().iter().any(|secret| {
        let below = secret.path.steps.get(1..).and_then(|steps| steps.strip_prefix(path.steps.as_slice()));
        secret.is_under_values() && below.is_some_and(|steps| steps.iter().all(call))
    })
}

/// The names that the real client asks about, too (esc-language.md §11).
fn is_called_like_a_secret(path: &Path) -> bool {
    let Some(Step::Key(key)) = path.steps.last() else { return false };
    let key = key.to_ascii_lowercase();
    ["passwd", "pass", "password", "pwd", "secret", "token"].iter().any(|word| key.contains(word))
}

/// Whether a value is a text that could be a secret: not a number, a boolean, a reference or a function.
fn is_text(text: &str) -> bool {
    let scalar = yaml::parse(text).ok().flatten().and_then(|node| node.scalar().map(str::to_owned));
    scalar.is_some_and(|text| text.len() >= 8 && !text.contains("${") && text.parse::<f64>().is_err())
}

/// Whether a static secret stands in a text in clear; in one that is not YAML, whether it may.
#[must_use]
pub fn holds_a_secret(yaml_text: &str) -> bool {
    let Ok(secrets) = stored::find(yaml_text) else { return yaml_text.contains("fn::secret") };
    secrets.iter().any(|secret| matches!(secret.stored, Stored::Plain(_)))
}

/// Replaces the whole definition.
///
/// # Errors
/// Those of the source.
pub async fn replace(source: &dyn Source, name: &EscName, text: &str, etag: Option<&str>) -> Outcome<Changed> {
    let before = source.read(name, &Version::Latest, Secrets::Encrypted).await?;
    let (revision, warnings) = source.update(name, text, etag.or(before.etag.as_deref())).await?;
    Ok(changed("edit", name, revision, revision.is_none() || revision != before.revision, &warnings))
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
            Err(Failure { problems: errors.collect(), ..failure })
        }
        _ => Err(failure),
    }
}

/// Encrypts what stands in plaintext, and takes over what an old data key encrypted.
///
/// # Errors
/// Those of the source.
pub async fn encrypt(source: &dyn Source, name: &EscName) -> Outcome<Changed> {
    let document = source.read(name, &Version::Latest, Secrets::Encrypted).await?;
    let written = replace(source, name, &document.text, document.etag.as_deref()).await?;
    Ok(named("encrypt", written))
}

/// Makes an old revision the newest one again.
///
/// # Errors
/// Those of the source.
pub async fn rollback(source: &dyn Source, name: &EscName, to: &Version) -> Outcome<Changed> {
    let old = source.read(name, to, Secrets::Encrypted).await?;
    Ok(named("rollback", replace(source, name, &old.text, None).await?))
}

/// Newest first.
///
/// # Errors
/// Those of the source.
pub async fn history(source: &dyn Source, name: &EscName, limit: usize) -> Outcome<EnvHistory> {
    let revisions = source.revisions(name, limit).await?;
    let line = |revision: crate::io::source::Revision| HistoryLine {
        revision: revision.number,
        created: revision.created,
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
    let problems: Vec<Problem> = found.iter().map(|diagnostic| problem(name, file, diagnostic)).collect();
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    if errors == 0 {
        return Ok(problems);
    }
    let count = if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") };
    Err(Failure::usage("esc-diagnostics", format!("the definition of `{name}` has {count}")).problems(problems))
}

fn changed(
    command: &'static str,
    name: &EscName,
    revision: Option<u64>,
    changed: bool,
    warnings: &[Diagnostic],
) -> Changed {
    let report = EnvChange { command, environment: name.to_string(), revision, changed };
    Changed { report, warnings: warnings.iter().map(|diagnostic| problem(name, None, diagnostic)).collect() }
}

fn named(command: &'static str, changed: Changed) -> Changed {
    Changed { report: EnvChange { command, ..changed.report }, ..changed }
}

/// A diagnostic of ESC as a finding of this tool. What is about the environment's own text is placed in `file`, if that
/// is where it comes from.
fn problem(name: &EscName, file: Option<&str>, diagnostic: &Diagnostic) -> Problem {
    let detail = diagnostic.detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}"));
    let path = diagnostic.path.as_ref().map_or_else(String::new, |path| format!("`{path}`: "));
    let place = diagnostic.range.as_ref().filter(|range| range.begin.line() > 0).map(|range| {
        let environment = range.environment.as_ref();
        let unnamed = matches!(environment, "" | "<yaml>");
        let own = unnamed || environment == format!("{}/{}", name.project, name.environment);
        let file = match file.filter(|_| own) {
            Some(file) => file.to_owned(),
            None if unnamed => name.to_string(),
            None => environment.to_owned(),
        };
        Place { file, line: range.begin.line(), column: range.begin.column() }
    });
    Problem {
        code: "esc-diagnostic",
        severity: diagnostic.severity,
        place,
        message: format!("{path}{}{detail}", diagnostic.summary),
        hint: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_that_look_like_secrets() {
        let called = |path: &str| is_called_like_a_secret(&path.parse().unwrap());
        assert!(called("a.DB_PASSWORD") && called("githubToken") && called("x[\"my pwd\"]"));
        assert!(!called("a.url") && !called("tokens[0]"));
        assert!(
            is_text("hunter2hunter2") && !is_text("12345678") && !is_text("${other.password}") && !is_text("{a: b}")
        );
        assert!(holds_a_secret("{fn::secret: x}") && !holds_a_secret("x"));
    }
}
