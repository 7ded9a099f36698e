//! `github set`, `github list`, `github delete`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use super::args::{ExposureArgs, GitHubArgs, StoreArgs};
use super::connect::Session;
use super::door::Door;
use super::import::{self, DotenvArgs};
use super::input;
use super::sync::Run;
use crate::base::error::{Failure, Outcome};
use crate::flow::github::{self, Deletion, Policies};
use crate::flow::sync::Request;
use crate::flow::targets::Asked;
use crate::io::ledger::LedgerPlace;
use crate::report::github::{GithubDeleteReport, GithubListReport};
use crate::rules::plan::{Prune, Visibility};

#[derive(Debug, Clone, Subcommand)]
pub enum GithubCommand {
    /// Delete secrets by name, or all of them
    Delete(DeleteArgs),
    /// List the names of secrets and variables
    List(ListArgs),
    /// Write the names of a dotenv file as secrets
    Set(SetArgs),
}

/// These commands have no definition that says where.
fn where_to() -> ArgGroup {
    ArgGroup::new("where").args(["repo", "github_org"]).required(true)
}

#[derive(Debug, Clone, Args)]
#[command(group = where_to())]
pub struct SetArgs {
    /// Show the plan and stop
    #[arg(long)]
    pub dry_run: bool,
    /// dotenv file, or `-` for stdin
    #[arg(long, value_name = "FILE", default_value = ".env")]
    pub env_file: PathBuf,
    #[command(flatten)]
    pub stores: StoreArgs,
    #[command(flatten)]
    pub exposure: ExposureArgs,
    #[command(flatten)]
    pub dotenv: DotenvArgs,
    #[command(flatten)]
    pub github: GitHubArgs,
}

#[derive(Debug, Clone, Args)]
#[command(group = where_to())]
pub struct ListArgs {
    #[command(flatten)]
    pub stores: StoreArgs,
    #[command(flatten)]
    pub github: GitHubArgs,
}

#[derive(Debug, Clone, Args)]
#[command(group = where_to())]
pub struct DeleteArgs {
    /// Names of secrets
    #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    pub names: Vec<String>,
    /// Every secret of the store; asks first
    #[arg(long)]
    pub all: bool,
    /// Show what would be deleted and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub stores: StoreArgs,
    #[command(flatten)]
    pub github: GitHubArgs,
}

/// Runs `github …`.
///
/// # Errors
/// Those of the commands.
pub async fn github(command: GithubCommand, session: &Session, door: &mut Door) -> Outcome<u8> {
    match command {
        GithubCommand::Delete(args) => delete(args, session, door).await,
        GithubCommand::List(args) => {
            let access = session.github(&args.github, None)?;
            let stores = github::list(&access, &asked(&args.stores)).await?;
            door.report(&GithubListReport(stores));
            Ok(0)
        }
        GithubCommand::Set(args) => set(args, session, door).await,
    }
}

async fn set(args: SetArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let parsed = import::read(&args.env_file, args.dotenv, door)?;
    let file = args.env_file.display().to_string();
    let (definition, stack) = github::bare_definition(&file)?;
    let request = Request {
        asked: args.stores.asked(&args.exposure), // who may see it is never guessed
        groups: std::collections::BTreeSet::new(),
        prune: Prune { enabled: false, max_delete: 0, after_seconds: None },
        allow_widening: false,
        create_environments: false,
        ledger: LedgerPlace::Nowhere,
        will_write: !args.dry_run,
        now: session.now,
    };
    let access = session.github(&args.github, None)?;
    let in_force = session.definition_in_force(door)?;
    let policies = in_force.as_ref().map(|(definition, stack)| Policies { definition, stack: stack.as_deref() });
    let values = github::values(&file, &parsed.entries, policies, &request.asked);
    let values = std::future::ready(Ok(values));
    let run = Run::prepare(access, &definition, &stack, values, &request, door).await?;
    run.finish("github set", args.dry_run, false, session, door).await
}

async fn delete(args: DeleteArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let access = session.github(&args.github, None)?;
    let deletion = Deletion::find(&access, &asked(&args.stores), &args.names).await?;
    let found = deletion.found();
    if found.is_empty() {
        door.note("there is no secret to delete");
        return Ok(0);
    }
    if args.dry_run || (args.all && !args.yes) {
        for (target, name) in &found {
            door.note(&format!("would delete {name} of {target}"));
        }
    }
    if args.dry_run {
        return Ok(0);
    }
    if args.all && !args.yes {
        let count = found.len().to_string();
        let question = format!("This deletes {count} secrets for good; GitHub cannot give them back.");
        if !input::confirmed(&question, &count) {
            return Err(Failure::refused(
                "github-delete-unconfirmed",
                "the deletion was not confirmed; nothing was deleted",
            )
            .hint("confirm it on a terminal, or give --yes"));
        }
    }
    let trail = super::audit::trail(session);
    let log = trail.open(trail.run.clone())?;
    let deleted = deletion.carry_out(&log).await?;
    let ended = github::end(&deleted);
    door.report(&GithubDeleteReport(deleted));
    ended.map(|()| 0)
}

/// Only writing needs to know who may see it; `set` says its own.
fn asked(stores: &StoreArgs) -> Asked {
    stores.asked(&ExposureArgs { visibility: Some(Visibility::Private), ..ExposureArgs::default() })
}
