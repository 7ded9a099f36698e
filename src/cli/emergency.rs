//! `emergency …`: backups, restoring them, the answer to a compromised secret, and the drill of all of it.

mod backup;
mod drill;
mod respond;
mod restore;

use clap::{Args, Subcommand};

use super::args::SourceArgs;
use super::connect::Session;
use super::door::Door;
use crate::base::error::{Failure, Outcome};

#[derive(Debug, Clone, Args)]
pub struct EmergencyArgs {
    #[command(subcommand)]
    pub command: EmergencyCommand,
    #[command(flatten)]
    pub source: SourceArgs,
}

#[derive(Debug, Clone, Subcommand)]
pub enum EmergencyCommand {
    /// Write what ESC holds to one encrypted file
    Backup(backup::BackupArgs),
    /// Try all of it out without touching anything real
    Drill(drill::DrillArgs),
    /// Answer the compromise of a secret: who has it, a new value, delivery, a record
    Respond(respond::RespondArgs),
    /// Put a backup's environment back into ESC
    Restore(restore::RestoreArgs),
}

/// Runs `emergency …`.
///
/// # Errors
/// `source-read-only` when something is to stand in for ESC; those of the subcommands.
pub async fn run(args: EmergencyArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let EmergencyArgs { command, source } = args;
    asks_esc(&source)?;
    match command {
        EmergencyCommand::Backup(args) => backup::run(args, &source, session, door).await,
        EmergencyCommand::Drill(args) => drill::run(args, &source, session, door).await,
        EmergencyCommand::Respond(args) => respond::run(args, &source, session, door).await,
        EmergencyCommand::Restore(args) => restore::run(args, &source, session, door).await,
    }
}

/// Refuses what stands in for ESC: a backup of a backup would look fresh, a drill would never ask ESC, and nothing
/// is written into a file.
fn asks_esc(source: &SourceArgs) -> Outcome<()> {
    let instead = match source {
        SourceArgs { from_backup: Some(_), .. } => "a backup",
        SourceArgs { env_file: Some(_), .. } => "a dotenv file",
        _ => return Ok(()),
    };
    let message = format!("`emergency` is about what ESC itself holds: {instead} does not stand in for it here");
    Err(Failure::usage("source-read-only", message).hint(
        "`emergency restore FILE` and `emergency drill --backup FILE` take a backup; --esc-url says where ESC is",
    ))
}
