//! `emergency backup`: what ESC holds for some stacks, gathered.

use jiff::Timestamp;

use crate::base::error::{Failure, FailureKind, Outcome, Problem};
use crate::io::source::{Opened, Secrets, Source, Version};
use crate::rules::backup::{Backup, Contents, Manifest};
use crate::rules::definition::{Definition, Environment as Stack};

/// What a backup says of itself.
pub struct About {
    /// Text of the definition file.
    pub definition_text: String,
    pub author: String,
    pub now: Timestamp,
}

/// Gathers `stacks`, whole or not at all; answers warnings too.
///
/// # Errors
/// Those of the source; `backup-incomplete` with every one, when there are several stacks.
pub async fn gather(
    source: &dyn Source,
    definition: &Definition,
    stacks: &[Stack],
    about: About,
) -> Outcome<(Backup, Vec<Problem>)> {
    let manifest = Manifest {
        created: about.now,
        author: about.author,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        definition: definition.file.clone(),
        stacks: Vec::new(),
    };
    let mut backup = Backup::new(manifest, about.definition_text);
    let (mut warnings, mut failures) = (Vec::new(), Vec::new());
    for stack in stacks {
        match add(source, stack, &mut backup).await {
            Ok(more) => warnings.extend(more),
            Err(failure) if stacks.len() == 1 => return Err(failure),
            Err(failure) => failures.push((stack, failure)),
        }
    }
    let Some(kind) = failures
        .iter()
        .map(|(_, failure)| failure.kind)
        .find(|kind| *kind == FailureKind::Auth)
        .or_else(|| failures.first().map(|(_, failure)| failure.kind))
    else {
        return Ok((backup, warnings));
    };
    let message = format!("{} of {} stacks cannot be read; no backup was written", failures.len(), stacks.len());
    let problems = failures.into_iter().map(|(stack, failure)| {
        let problem = Problem::error(failure.code, format!("stack `{}`: {failure}", stack.name));
        match failure.hints.into_iter().next() {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    });
    Err(Failure::new(kind, "backup-incomplete", message).problems(problems))
}

/// Adds one stack: its values, and its text of the same revision where that may be read.
async fn add(source: &dyn Source, stack: &Stack, backup: &mut Backup) -> Outcome<Vec<Problem>> {
    let Opened { values, revision, .. } = source.open(&stack.esc, &Version::Latest).await?;
    let version = revision.map_or(Version::Latest, Version::Revision);
    let mut warnings = Vec::new();
    let document = match source.read(&stack.esc, &version, Secrets::Decrypted).await {
        Ok(document) => Some(document.text),
        Err(failure) if failure.kind == FailureKind::Auth => {
            let message =
                format!("the definition of `{}` cannot be read in clear: its values alone are kept", stack.esc);
            warnings.push(Problem::warning("backup-document", message));
            None
        }
        Err(failure) => return Err(failure),
    };
    let contents = Contents {
        stack: stack.name.clone(),
        environment: stack.esc.to_string(),
        source: source.kind().word().to_owned(),
        revision,
        document: false,
        properties: Vec::new(),
        secrets: 0,
    };
    let kept = backup.keep(contents, &values, document);
    if !kept.unknown.is_empty() {
        let message = format!(
            "`{}` has values that are unknown here and not in the backup: `{}`",
            stack.esc,
            kept.unknown.join("`, `")
        );
        warnings.push(Problem::warning("backup-unknown", message));
    }
    Ok(warnings)
}
