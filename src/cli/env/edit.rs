//! `env edit`: a definition in the person's editor.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use super::super::door::Door;
use super::super::{child, environment, input};
use super::{Here, LARGEST};
use crate::base::environment::EscName;
use crate::base::error::{Failure, Outcome};
use crate::esc::changes;
use crate::flow::env::{self, Changed, Given};
use crate::io::child::{self as program, ChildSettings};
use crate::io::files::{self, TemporaryFolder};
use crate::io::source::{Document, Secrets, Source, Version};
use crate::report::env::EnvChange;
use crate::rules::env_value;

const WITHOUT: &str = "EDITOR names the editor; --file FILE does without one (`-` is stdin)";

/// Opens the editor on a private file; again, when another edit can mend what went wrong and the person wants to go on.
/// The file is gone afterwards, unless what was written in it could not be stored, see [`kept`].
pub(super) async fn edit(
    source: &dyn Source,
    name: &EscName,
    show_secrets: bool,
    here: &Here<'_>,
    door: &mut Door,
) -> Outcome<Changed> {
    let named = [environment::VISUAL, environment::EDITOR].into_iter();
    let words = |variable| here.session.environment.get(variable).map(words_of);
    let mut given = named.filter_map(words).filter(|words| words.as_ref().map_or(true, |words| !words.is_empty()));
    let editor =
        given.next().unwrap_or_else(|| Err(Failure::usage("env-editor", "no editor is known").hint(WITHOUT)))?;
    let secrets = if show_secrets { Secrets::Decrypted } else { Secrets::Encrypted };
    let before = source.read(name, &Version::Latest, secrets).await?;
    let folder = TemporaryFolder::new()?;
    let file = folder.path().join(format!("{}.yaml", name.environment));
    files::write_private(&file, before.text.as_bytes())?;
    let mut desk = Desk { source, name, secrets, editor, file, before };
    match desk.rounds(door).await {
        Ok(changed) => Ok(changed),
        Err(failure) => Err(kept(&desk, failure)),
    }
}

struct Desk<'e> {
    source: &'e dyn Source,
    name: &'e EscName,
    secrets: Secrets,
    /// The program and its arguments.
    editor: Vec<String>,
    /// What the editor works on.
    file: PathBuf,
    /// What is stored, as far as known.
    before: Document,
}

impl Desk<'_> {
    async fn rounds(&mut self, door: &mut Door) -> Outcome<Changed> {
        loop {
            let failure = match self.round().await {
                Err(failure) if matches!(failure.code, "esc-diagnostics" | "esc-conflict") => failure,
                done => return done,
            };
            if !std::io::stdin().is_terminal() {
                return Err(failure);
            }
            door.failure(&failure);
            if failure.code == "esc-conflict" {
                let newest = self.source.read(self.name, &Version::Latest, self.secrets).await?;
                door.note(&moved(&self.before.text, &newest.text));
                self.before = newest;
            }
            if !input::confirmed("Edit again?", "yes") {
                return Err(Failure::new(failure.kind, failure.code, format!("`{}` was not changed", self.name)));
            }
        }
    }

    /// The editor, once, and what it leaves stored.
    async fn round(&self) -> Outcome<Changed> {
        let mut words = self.editor.iter().map(OsString::from);
        let settings = ChildSettings {
            program: words.next().unwrap_or_default(),
            arguments: words.chain([self.file.clone().into_os_string()]).collect(),
            variables: Vec::new(),
            unset: child::TOKENS.map(str::to_owned).to_vec(),
            at_a_terminal: std::io::stdin().is_terminal(),
        };
        let code = program::run(settings, None).await.map_err(|failure| match failure.code {
            "command-missing" => failure.hint(WITHOUT),
            _ => failure,
        })?;
        if code != 0 {
            let message = format!("the editor ended with {code}; nothing was written");
            return Err(Failure::usage("env-editor", message).hint(WITHOUT));
        }
        let (name, before) = (self.name, &self.before);
        if !files::is_file(&self.file) {
            let message = format!("the editor left no file `{}`; nothing was written", self.file.display());
            return Err(Failure::usage("env-editor", message).hint(WITHOUT));
        }
        let text = files::read_text(&self.file, LARGEST)?;
        if text.trim().is_empty() {
            return Err(Failure::usage("env-editor", "the definition was emptied; nothing was written")
                .hint(format!("`env rm {name}` removes the environment")));
        }
        if text == before.text {
            let report =
                EnvChange { command: "edit", environment: name.to_string(), revision: before.revision, changed: false };
            return Ok(Changed { report, warnings: Vec::new() });
        }
        let called = self.file.file_name().map(|file| file.to_string_lossy().into_owned());
        let given = Given { text, file: called.unwrap_or_default() };
        env::replace_by(self.source, name, &given, before.etag.as_deref()).await
    }
}

/// The editor and its arguments, quoted as in a shell. On Windows a backslash belongs to a path.
fn words_of(editor: &str) -> Outcome<Vec<String>> {
    if cfg!(windows) {
        return Ok(editor.split_whitespace().map(str::to_owned).collect());
    }
    let words = shlex::split(editor);
    // An empty name is no program.
    let words = words.map(|words| if words.first().is_some_and(String::is_empty) { Vec::new() } else { words });
    words.ok_or_else(|| {
        Failure::usage("env-editor", format!("`{editor}` is not a command: a quote has no end")).hint("set EDITOR anew")
    })
}

/// What someone else changed, by name.
fn moved(before: &str, newest: &str) -> String {
    let changes = changes::between(before, newest);
    let names: Vec<String> = changes.iter().map(|change| format!("{} `{}`", change.deed.word(), change.path)).collect();
    let names = if names.is_empty() { "nothing but the layout".to_owned() } else { names.join(", ") };
    format!("someone else's change: {names}\nyour text lacks it; stored as it is, it undoes it")
}

/// What was written in the editor is not lost with the failure: a file keeps it, and the failure names that. Secrets in
/// clear stay only where somebody at a terminal says so.
fn kept(desk: &Desk<'_>, failure: Failure) -> Failure {
    let Desk { name, file, before, .. } = desk;
    let written = if files::is_file(file) { files::read_bytes(file, LARGEST).ok() } else { None };
    let Some(written) = written else { return failure.hint("your text could not be kept") };
    let text = String::from_utf8_lossy(&written);
    if text.trim().is_empty() || *text == before.text {
        return failure;
    }
    let in_clear = env_value::holds_a_secret(&text);
    if in_clear && !input::confirmed("Keep your text on this disk? Secrets may stand in it in clear.", "keep") {
        return failure.hint("your text is not kept: secrets may stand in it in clear");
    }
    // Into a folder of its own: an editor may have left more of it beside the file, and other rights.
    let keep = || -> Outcome<PathBuf> {
        let folder = TemporaryFolder::new()?;
        let kept = folder.path().join(file.file_name().unwrap_or_default());
        files::write_private(&kept, &written)?;
        folder.keep();
        Ok(kept)
    };
    let Ok(file) = keep() else { return failure.hint("your text could not be kept") };
    let file = file.display();
    let undoes = if failure.code == "esc-conflict" { ", and undoes the other change where it lacks that" } else { "" };
    failure.hint(format!(
        "your text is kept in `{file}`; `env edit {name} --file {file}` stores it{undoes}; remove it afterwards"
    ))
}
