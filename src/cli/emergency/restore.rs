//! `emergency restore`.

use std::path::PathBuf;

use clap::Args;

use super::super::args::SourceArgs;
use super::super::connect::Session;
use super::super::door::Door;
use super::super::{env, environment, input};
use crate::base::environment::EscName;
use crate::base::error::{Failure, Outcome};
use crate::flow::emergency::restore::{self, Moved, Settings};
use crate::io::archive;
use crate::report::emergency::restore::{RestoreOutcome, RestoreReport};
use crate::rules::backup::{Backup, Contents};

#[derive(Debug, Clone, Args)]
pub struct RestoreArgs {
    /// Backup to restore from
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Make the environment if there is none
    #[arg(long)]
    pub create: bool,
    /// Show what would change, by name, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Undo what was changed in ESC since the backup was made
    #[arg(long)]
    pub overwrite_newer: bool,
    /// Environment to restore into, instead of the one the backup was made of
    #[arg(long, value_name = "ENVIRONMENT")]
    pub to: Option<String>,
    /// Write the values alone, without the expressions and imports of the definition
    #[arg(long)]
    pub values: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Runs `emergency restore`.
///
/// # Errors
/// `backup-of-another` when the definition has the stack elsewhere; `restore-newer` unless `--overwrite-newer`;
/// `restore-not-confirmed`; those of the backup and of ESC.
pub async fn run(args: RestoreArgs, source_args: &SourceArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let backup = archive::open(&args.file, &session.age_identities(source_args.age_identity.as_deref())?)?;
    door.mask_backup(&backup);
    let contents = stack_of(&backup, session)?;
    let to = match &args.to {
        Some(text) => env::named(text, source_args, session, door)?,
        None => destination(contents, session, door)?,
    };
    let source = session.source(source_args, door).await?;
    let asked = Settings { values_only: args.values, create: args.create };
    let restore = restore::look(&*source, &backup, &contents.stack, &to, asked).await?;
    let report = |outcome| RestoreReport {
        stack: &contents.stack,
        environment: to.to_string(),
        backup: backup.manifest.describe(session.now),
        form: restore.form,
        changes: &restore.changes,
        text_differs: restore.text_differs,
        outcome,
    };
    door.problems(&restore.warnings);
    if !restore.changes() {
        door.report(&report(RestoreOutcome::NothingToDo));
        return Ok(0);
    }
    if args.dry_run {
        door.report(&report(RestoreOutcome::Planned));
        return Ok(0);
    }
    if let Some(moved) = restore.moved.filter(|_| !args.overwrite_newer) {
        door.report(&report(RestoreOutcome::Planned));
        let failure = Failure::refused("restore-newer", format!("{}; nothing was written", moved.tell(&to)))
            .hint("look at what would be undone; --overwrite-newer restores all the same");
        return Err(match moved {
            Moved::On { then, .. } => {
                failure.hint(format!("`env rollback {to}@{then}` does the same where ESC still has that revision"))
            }
            _ => failure,
        });
    }
    if !args.yes {
        door.report(&report(RestoreOutcome::Planned));
        if !input::confirmed(&format!("This writes `{to}`."), &to.environment) {
            return Err(Failure::refused("restore-not-confirmed", format!("`{to}` was not written"))
                .hint("--yes restores without asking"));
        }
    }
    let (revision, warnings) = restore::write(&*source, &to, &restore).await?;
    door.report(&report(RestoreOutcome::Written { revision }));
    door.problems(&warnings);
    door.note("next: `plan` shows what GitHub should get of it, `sync` delivers it");
    Ok(0)
}

/// The stack that is meant: the one that was named, else the only one of the backup.
fn stack_of<'b>(backup: &'b Backup, session: &Session) -> Outcome<&'b Contents> {
    let stacks = &backup.manifest.stacks;
    let names: Vec<&str> = stacks.iter().map(|contents| contents.stack.as_str()).collect();
    let asked = session.global.stack.as_deref().or_else(|| session.environment.get(environment::PULUMI_STACK));
    match (asked, stacks.as_slice()) {
        (None, [only]) => Ok(only),
        (None, _) => Err(Failure::usage("stack-missing", "no stack was named")
            .hint(format!("the backup holds {}; name one with --stack", names.join(", ")))),
        (Some(asked), _) => stacks.iter().find(|contents| contents.stack == asked).ok_or_else(|| {
            Failure::usage("backup-stack", format!("the backup does not hold stack `{asked}`"))
                .hint(crate::rules::nearest::hint(asked, &names))
        }),
    }
}

/// The environment that the backup was made of; refused when the definition at hand has the stack elsewhere. There
/// may be no definition at hand: then the backup is all that is left.
fn destination(contents: &Contents, session: &Session, door: &mut Door) -> Outcome<EscName> {
    let kept: EscName = contents
        .environment
        .parse()
        .map_err(|error| Failure::usage("backup-damaged", "the backup names no environment").cause(error))?;
    match session.definition(door) {
        Ok(definition) => match definition.environments.iter().find(|stack| stack.name == contents.stack) {
            Some(stack) if stack.esc != kept => {
                let message = format!(
                    "the backup is of `{kept}`, and the definition has stack `{}` in `{}`",
                    stack.name, stack.esc
                );
                Err(Failure::refused("backup-of-another", message)
                    .hint(format!("--to {} or --to {kept} says which one is meant", stack.esc)))
            }
            _ => Ok(kept),
        },
        Err(failure) if failure.code == "definition-missing" => Ok(kept),
        Err(failure) => Err(failure),
    }
}
