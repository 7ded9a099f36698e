//! The `env` commands: one environment of a source is made, read, changed and put back.

use zeroize::Zeroizing;

use crate::base::environment::EscName;
use crate::base::error::{Failure, FailureKind, Outcome, Place, Problem, Severity};
use crate::base::yaml::{self, Content, Node};
use crate::esc::diagnostic::Diagnostic;
use crate::esc::edit::{self, Edit, EditError, NewValue};
use crate::esc::path::{self, Path, Step};
use crate::esc::projection::{self, Projection};
use crate::esc::scalar::{self, Scalar};
use crate::esc::stored::{self, StaticSecret, Stored};
use crate::esc::value::Value;
use crate::io::source::{Document, Secrets, Source, SourceKind, Version};
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
        } else if is_secret(document, path) {
            "is a secret and would become readable"
        } else if looks_like_a_secret(path, &value) {
            "is called like a secret, or what is in it"
        } else {
            return Ok(());
        };
        Err(Failure::refused("env-plaintext", format!("`{path}` {why}; nothing was written")).hint(
            "--secret reads the value from stdin or a hidden prompt; --plaintext stores it readable all the same",
        ))
    };
    let mut changed = change_where(source, name, "set", &edits, allowed).await?;
    changed.warnings.extend(respelled(path, &value));
    Ok(changed)
}

/// Whether a static secret stands at `path`, itself or inside the calls there (`fn::fromBase64` of one).
fn is_secret(document: &Document, path: &Path) -> bool {
    let call = |step: &Step| matches!(step, Step::Key(key) if key.starts_with("fn::"));
    stored::find(&document.text).unwrap_or_default().iter().any(|secret| {
        let below = secret.path.steps.get(1..).and_then(|steps| steps.strip_prefix(path.steps.as_slice()));
        secret.is_under_values() && below.is_some_and(|steps| steps.iter().all(call))
    })
}

/// Whether a value would be a readable text under a name that secrets have.
fn looks_like_a_secret(path: &Path, value: &NewValue) -> bool {
    let name =
        path.steps.iter().rev().find_map(|step| if let Step::Key(key) = step { Some(key.as_str()) } else { None });
    let named = name.is_some_and(is_called_like_a_secret);
    match value {
        NewValue::Yaml(text) => yaml::parse(text).ok().flatten().is_some_and(|node| holds_named_text(&node, named)),
        NewValue::Expression(text) | NewValue::Text(text) => named && is_text(text),
        NewValue::Secret(_) => false,
    }
}

fn holds_named_text(node: &Node, named: bool) -> bool {
    match &node.content {
        Content::Scalar { text, style } => {
            let resolved = scalar::resolve(text, *style, node.tag.as_deref());
            named && matches!(resolved, Ok(Scalar::Text(text)) if is_text(&text))
        }
        Content::Sequence(items) => items.iter().any(|item| holds_named_text(item, named)),
        Content::Mapping(entries) => entries.iter().any(|(key, value)| {
            let key = key.scalar().unwrap_or_default();
            // A function's argument is not yet its value.
            !key.starts_with("fn::") && holds_named_text(value, is_called_like_a_secret(key))
        }),
    }
}

/// The names that the real client asks about (esc-language.md §11), and what keys are called.
fn is_called_like_a_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace(['-', '_'], "");
    let words =
        ["passwd", "pass", "password", "pwd", "secret", "token", "apikey", "accesskey", "privatekey", "credential"];
    words.iter().any(|word| key.contains(word))
}

/// Whether a text could be a secret: not nothing, and no reference.
fn is_text(text: &str) -> bool {
    !text.trim().is_empty() && !text.replace("$$", "").contains("${")
}

/// A warning for a value that ESC reads as a number and spells in another way, as it does with `1.10` and `0777`. It
/// says nothing of the value.
fn respelled(path: &Path, value: &NewValue) -> Option<Problem> {
    let NewValue::Yaml(typed) = value else { return None };
    let node = yaml::parse(typed).ok().flatten()?;
    holds_respelled(&node).then(|| {
        let message = format!("`{path}` holds a number, which ESC spells in another way than it was given");
        Problem::warning("env-number", message).hint("--string, or quotes around it, keep it as it was typed")
    })
}

fn holds_respelled(node: &Node) -> bool {
    match &node.content {
        Content::Scalar { text, style } => {
            let resolved = scalar::resolve(text, *style, node.tag.as_deref());
            matches!(resolved, Ok(Scalar::Number(number)) if number != *text)
        }
        Content::Sequence(items) => items.iter().any(holds_respelled),
        Content::Mapping(entries) => entries.iter().any(|(_, value)| holds_respelled(value)),
    }
}

/// Whether a static secret stands in a text in clear, or may.
#[must_use]
pub fn holds_a_secret(yaml_text: &str) -> bool {
    let is_plain = |secret: &StaticSecret| matches!(secret.stored, Stored::Plain(_));
    // A damaged ciphertext says nothing.
    let is_unclear = stored::unclear(yaml_text).is_some_and(|found| !found.is_ciphertext);
    is_unclear || stored::find(yaml_text).is_ok_and(|secrets| secrets.iter().any(is_plain))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_that_look_like_secrets() {
        let looks =
            |path: &str, value: &str| looks_like_a_secret(&path.parse().unwrap(), &NewValue::Yaml(value.into()));
        for (path, value) in [
            ("a.DB_PASSWORD", "hunter2hunter2"),
            ("a.password", "x"),
            ("githubToken", "'12345678'"),
            ("x[\"my pwd\"]", "p"),
            ("tokens[0]", "p"),
            ("apiKey", "p"),
            ("API_KEY", "p"),
            ("password", "ab$${cd"),
            ("db", "{host: h, password: p}"),
            ("db", "[{users: [{passwords: [p]}]}]"),
        ] {
            assert!(looks(path, value), "{path} {value}");
        }
        for (path, value) in [
            ("a.url", "https://x"),
            ("password", "12345678"),
            ("password", "${other.password}"),
            ("password", "$$-${other.password}"),
            ("password", "''"),
            ("password", "true"),
            ("password", "{fn::open::x: {token: t}}"),
            ("passwords", "{url: x}"),
            ("keys", "x"),
            ("password.min", "x"),
        ] {
            assert!(!looks(path, value), "{path} {value}");
        }
    }

    #[test]
    fn a_number_that_is_spelled_anew_is_told() {
        let told = |value: &str| respelled(&"a".parse().unwrap(), &NewValue::Yaml(value.into())).is_some();
        for value in ["1.10", "[1.10]", "{a: [0777]}", "0777", "1_000", "99999999999999999999", "1e6", "+1", "0x1F"] {
            assert!(told(value), "{value}");
        }
        for value in ["1", "-1", "1.5", "1.1", "'1.10'", "v1.10", "['1.10']", "1234567890123456"] {
            assert!(!told(value), "{value}");
        }
    }

    #[test]
    fn texts_that_hold_or_may_hold_a_secret_in_clear() {
        for text in [
            "{fn::secret: x}",
            "{fn::secret: [x]}",
            "a: {fn::Secret: x, b: 1}",
            "[{fn::Secret: x}",
            "a: 1\n---\nb: {fn::secret: x}",
        ] {
            assert!(holds_a_secret(text), "{text}");
        }
        assert!(!holds_a_secret("x") && !holds_a_secret("a: ["));
    }
}
