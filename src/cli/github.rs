//! `github set`, `github list`, `github delete`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::{GitHubArgs, parse_app, parse_visibility};
use super::connect::Session;
use super::door::Door;
use super::import::{self, DotenvArgs};
use super::input;
use super::sync::Run;
use crate::base::error::{Failure, Outcome};
use crate::base::target::{App, RepositoryName};
use crate::flow::github::{self, Deletion};
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

/// Which stores are meant.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Targets")]
pub struct StoreArgs {
    /// App that reads the secrets (repeatable) [default: actions]
    #[arg(long = "app", value_name = "APP", value_parser = parse_app)]
    pub apps: Vec<App>,
    /// Environment of the repository
    #[arg(long, value_name = "NAME", requires = "repo")]
    pub github_environment: Option<String>,
    /// Organization whose secrets are meant
    #[arg(long, value_name = "NAME", conflicts_with = "repo")]
    pub github_org: Option<String>,
    /// Repository whose secrets are meant
    #[arg(long, value_name = "OWNER/NAME", required_unless_present = "github_org")]
    pub repo: Option<RepositoryName>,
}

#[derive(Debug, Clone, Args)]
pub struct SetArgs {
    /// Show the plan and stop
    #[arg(long)]
    pub dry_run: bool,
    /// dotenv file, or `-` for stdin
    #[arg(long, value_name = "FILE", default_value = ".env")]
    pub env_file: PathBuf,
    /// Repository that may see the organization's secrets (repeatable, with `--visibility selected`)
    #[arg(long = "selected-repo", value_name = "OWNER/NAME", requires = "github_org")]
    pub selected_repositories: Vec<RepositoryName>,
    /// Who may see the organization's secrets
    #[arg(long, value_name = "WHO", value_parser = parse_visibility, requires = "github_org")]
    pub visibility: Option<Visibility>,
    #[command(flatten)]
    pub stores: StoreArgs,
    #[command(flatten)]
    pub dotenv: DotenvArgs,
    #[command(flatten)]
    pub github: GitHubArgs,
}

#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub stores: StoreArgs,
    #[command(flatten)]
    pub github: GitHubArgs,
}

#[derive(Debug, Clone, Args)]
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
        asked: Asked {
            visibility: args.visibility, // never guessed
            selected_repositories: args.selected_repositories.clone(),
            ..asked(&args.stores)
        },
        groups: std::collections::BTreeSet::new(),
        prune: Prune { enabled: false, max_delete: 0, after_seconds: None },
        allow_widening: false,
        create_environments: false,
        ledger: LedgerPlace::Nowhere,
        will_write: !args.dry_run,
        now: session.now,
    };
    let access = session.github(&args.github, None)?;
    let values = std::future::ready(Ok(github::values(&file, &parsed.entries)));
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

fn asked(stores: &StoreArgs) -> Asked {
    Asked {
        apps: stores.apps.clone(),
        repository: stores.repo.clone(),
        environment: stores.github_environment.clone(),
        organization: stores.github_org.clone(),
        // Only writing needs it; `set` says its own.
        visibility: Some(Visibility::Private),
        selected_repositories: Vec::new(),
        shard: None,
    }
}
