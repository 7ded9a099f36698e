//! `env edit`: a definition in the person's editor.

use std::io::IsTerminal;

use super::super::door::Door;
use super::super::{child, environment, input};
use super::{Here, LARGEST};
use crate::base::environment::EscName;
use crate::base::error::{Failure, Outcome};
use crate::flow::env::{self, Changed};
use crate::io::child::{self as program, ChildSettings};
use crate::io::files;
use crate::io::source::{Secrets, Source, Version};
use crate::report::env::EnvChange;

/// Opens the editor on a private file that is gone afterwards; again, when the text has errors and the person
/// wants to go on.
pub(super) async fn edit(
    source: &dyn Source,
    name: &EscName,
    show_secrets: bool,
    here: &Here<'_>,
    door: &mut Door,
) -> Outcome<Changed> {
    let editor = [environment::VISUAL, environment::EDITOR]
        .into_iter()
        .find_map(|variable| here.session.environment.get(variable))
        .ok_or_else(|| {
            Failure::usage("env-editor", "no editor is known")
                .hint("set EDITOR, or give the definition with --file FILE (`-` is stdin)")
        })?;
    let secrets = if show_secrets { Secrets::Decrypted } else { Secrets::Encrypted };
    let before = source.read(name, &Version::Latest, secrets).await?;
    let folder = files::TemporaryFolder::new()?;
    let file = folder.path().join(format!("{}.yaml", name.environment));
    files::write_private(&file, before.text.as_bytes())?;
    loop {
        let mut words = editor.split_whitespace().map(std::ffi::OsString::from);
        let settings = ChildSettings {
            program: words.next().unwrap_or_default(),
            arguments: words.chain([file.clone().into_os_string()]).collect(),
            variables: Vec::new(),
            unset: child::TOKENS.map(str::to_owned).to_vec(),
            at_a_terminal: std::io::stdin().is_terminal(),
        };
        let code = program::run(settings, None).await?;
        if code != 0 {
            return Err(Failure::usage("env-editor", format!("the editor ended with {code}; nothing was written")));
        }
        let text = files::read_text(&file, LARGEST)?;
        if text.trim().is_empty() {
            return Err(Failure::usage("env-editor", "the definition was emptied; nothing was written")
                .hint(format!("`env rm {name}` removes the environment")));
        }
        if text == before.text {
            let report =
                EnvChange { command: "edit", environment: name.to_string(), revision: before.revision, changed: false };
            return Ok(Changed { report, warnings: Vec::new() });
        }
        match env::replace(source, name, &text, before.etag.as_deref()).await {
            Err(failure) if failure.code == "esc-diagnostics" && std::io::stdin().is_terminal() => {
                door.failure(&failure);
                if !input::confirmed("Edit again?", "yes") {
                    return Err(failure);
                }
            }
            done => return done,
        }
    }
}
