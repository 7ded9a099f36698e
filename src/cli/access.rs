//! `access`: check, matrix, can, diff.

use clap::{Args, Subcommand};

use super::FINDINGS;
use super::args::{GitHubArgs, SourceArgs};
use super::connect::Session;
use super::door::Door;
use crate::base::error::Outcome;
use crate::flow::access;
use crate::rules::definition::Identity;

#[derive(Debug, Clone, Subcommand)]
pub enum AccessCommand {
    /// Tell whether someone may get a group of a stack; ends with 3 when not
    Can(CanArgs),
    /// Look for access that is missing, unused or dangerous
    Check(Box<CheckArgs>),
    /// Show who gains and loses what between two git revisions of the definition
    Diff(DiffArgs),
    /// Show who may get which group of which stack
    Matrix,
}

#[derive(Debug, Clone, Args)]
pub struct CanArgs {
    /// `user:NAME`, `team:NAME`, or a repository OWNER/NAME
    #[arg(value_name = "IDENTITY")]
    pub identity: Identity,
    /// Secret group
    #[arg(value_name = "GROUP")]
    pub group: String,
    /// Stack of the group
    #[arg(value_name = "STACK")]
    pub of_stack: String,
}

#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// End with 10 when something is found
    #[arg(long)]
    pub exit_code: bool,
    /// Look at the definition alone, and not at what GitHub and Pulumi Cloud say
    #[arg(long)]
    pub offline: bool,
    #[command(flatten)]
    pub github: GitHubArgs,
    #[command(flatten)]
    pub source: SourceArgs,
}

#[derive(Debug, Clone, Args)]
pub struct DiffArgs {
    /// Revision that is compared, such as `main` or `v1.2`
    #[arg(value_name = "BEFORE")]
    pub before: String,
    /// Revision that it is compared with [default: the file as it is now]
    #[arg(value_name = "AFTER")]
    pub after: Option<String>,
    /// End with 10 when there are differences
    #[arg(long)]
    pub exit_code: bool,
}

/// Runs `access`.
///
/// # Errors
/// Those of the definition; unknown groups and stacks; GitHub's authentication; git's.
pub async fn run(command: AccessCommand, session: &Session, door: &mut Door) -> Outcome<u8> {
    let definition = session.definition(door)?;
    match command {
        AccessCommand::Matrix => door.report(&access::matrix(&definition)),
        AccessCommand::Can(args) => {
            let report = access::can(&definition, args.identity, &args.group, &args.of_stack)?;
            let allowed = report.decision.allowed;
            door.report(&report);
            return Ok(if allowed { 0 } else { 3 });
        }
        AccessCommand::Check(args) => {
            let github = if args.offline {
                None
            } else {
                Some(session.github_alone(&args.github, &args.source, &definition, door).await?)
            };
            let pulumi = if args.offline {
                Err("--offline was given".to_owned())
            } else {
                session.pulumi_of_teams(&args.source).await?
            };
            let pulumi = pulumi.as_ref().map(Option::as_ref).map_err(Clone::clone);
            let report = access::check(&definition, &access::Services { github: github.as_ref(), pulumi }).await?;
            door.report(&report);
            return Ok(if args.exit_code && !report.problems.is_empty() { FINDINGS } else { 0 });
        }
        AccessCommand::Diff(args) => {
            let report = access::diff(&definition, &args.before, args.after.as_deref())?;
            door.report(&report);
            return Ok(if args.exit_code && report.differs() { FINDINGS } else { 0 });
        }
    }
    Ok(0)
}
