//! `leaks`: secret values in the working tree and in the history of git.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::FINDINGS;
use super::args::SourceArgs;
use super::audit;
use super::connect::Session;
use super::door::Door;
use super::import::{self, DotenvArgs};
use crate::base::error::{Failure, Outcome};
use crate::flow::leaks::{self, Ask, Secrets};
use crate::flow::sync;
use crate::io::files;

#[derive(Debug, Clone, Args)]
pub struct LeaksArgs {
    /// Look for the secrets of all stacks
    #[arg(long, conflicts_with_all = ["stack", "env_file"])]
    pub all_stacks: bool,
    /// End with 10 when something is found
    #[arg(long)]
    pub exit_code: bool,
    /// Search files that git ignores too
    #[arg(long)]
    pub include_ignored: bool,
    /// Search the working tree only
    #[arg(long)]
    pub no_history: bool,
    /// Folder whose repository is searched [default: the current one]
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Runs `leaks`.
///
/// # Errors
/// Those of the definition, the source, the dotenv file and git.
pub async fn run(args: LeaksArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let folder = args.folder.as_deref().unwrap_or(Path::new("."));
    if !files::is_folder(folder) {
        return Err(Failure::usage("folder-missing", format!("there is no folder `{}`", folder.display())));
    }
    let secrets = match &args.source.env_file {
        Some(file) => of_file(file, door)?,
        None => of_stacks(&args, session, door).await?,
    };
    for secret in &secrets.list {
        let name = secret.names.first().map_or("", |name| name.name.as_str());
        door.mask(name, &secret.value);
    }
    let except = args.source.env_file.as_deref();
    let ask = Ask { folder, history: !args.no_history, ignored: args.include_ignored, except };
    let report = tokio::task::block_in_place(|| leaks::search(&secrets, &ask))?;
    let stacks = if report.from_file { &[][..] } else { &report.stacks };
    audit::record_check(session, stacks, &report.counts(), door);
    door.report(&report);
    Ok(if args.exit_code && !report.leaks.is_empty() { FINDINGS } else { 0 })
}

fn of_file(file: &Path, door: &mut Door) -> Outcome<Secrets> {
    let parsed = import::read(file, DotenvArgs::default(), door)?;
    let shown = file.display().to_string();
    let mut secrets = Secrets { stacks: vec![shown.clone()], from_file: true, ..Secrets::default() };
    for entry in parsed.entries {
        secrets.add(&entry.name, &shown, &Arc::new(entry.value));
    }
    Ok(secrets)
}

async fn of_stacks(args: &LeaksArgs, session: &Session, door: &mut Door) -> Outcome<Secrets> {
    let definition = session.definition(door)?;
    let stacks =
        if args.all_stacks { definition.environments.iter().collect() } else { vec![session.stack(&definition)?] };
    let source = session.source(&args.source, door).await?;
    let mut secrets = Secrets::default();
    for stack in stacks {
        let opened = sync::open(&definition, stack, &*source).await?;
        secrets.add_stack(&definition, stack, &opened);
    }
    Ok(secrets)
}
