//! `rotation status`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::FINDINGS;
use super::connect::Session;
use super::door::Door;
use super::inspect::InspectArgs;
use crate::base::error::Outcome;
use crate::flow::targets::Asked;
use crate::flow::{list::Deliveries, rotation, sync};
use crate::io::files;
use crate::report::calendar;

#[derive(Debug, Clone, Subcommand)]
pub enum RotationCommand {
    /// Show when each secret changed, when it is due, and who owns it
    Status(StatusArgs),
}

#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// End with 10 when something is due or overdue
    #[arg(long)]
    pub exit_code: bool,
    /// Write the due dates as a calendar
    #[arg(long, value_name = "FILE")]
    pub ics: Option<PathBuf>,
    #[command(flatten)]
    pub inspect: InspectArgs,
}

/// Runs `rotation`.
///
/// # Errors
/// Failures of the definition, ESC and GitHub.
pub async fn run(command: RotationCommand, session: &Session, door: &mut Door) -> Outcome<u8> {
    let RotationCommand::Status(args) = command;
    let definition = session.definition(door)?;
    let stack = session.stack(&definition)?.clone();
    let source = session.source(&args.inspect.source, door).await?;
    let opened = sync::open(&definition, &stack, &*source).await?;
    let token = session.token_of_esc(&args.inspect.github, &opened, door)?;
    let github = session.github(&args.inspect.github, token)?;
    let asked = Asked::from(&args.inspect.targets);
    let deliveries = Deliveries { github: &github, asked: &asked, ledger: &args.inspect.ledger, now: session.now };
    let groups = args.inspect.targets.groups.iter().cloned().collect();
    let report = rotation::status(&definition, &stack, &opened.values, &groups, &deliveries).await?;
    if let Some(file) = &args.ics {
        files::write_public(file, calendar::render(&report.events(), session.now).as_bytes())?;
    }
    door.report(&report);
    Ok(if args.exit_code && report.findings() > 0 { FINDINGS } else { 0 })
}
