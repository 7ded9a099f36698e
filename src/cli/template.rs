//! `template write` and `template check`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::FINDINGS;
use super::connect::Session;
use super::door::Door;
use crate::base::error::Outcome;
use crate::flow::template;
use crate::report::init::InitReport;

/// The template's name, beside the definition.
pub(super) const TEMPLATE: &str = "env.example";

#[derive(Debug, Clone, Subcommand)]
pub enum TemplateCommand {
    /// Compare env.example with the definition: missing and extra names, real values
    Check(CheckArgs),
    /// Write env.example from the definition
    Write(WriteArgs),
}

#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// End with 10 when something is found
    #[arg(long)]
    pub exit_code: bool,
    /// Template to check [default: env.example beside the definition]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct WriteArgs {
    /// Template to write [default: env.example beside the definition]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    pub force: bool,
}

/// Runs `template`.
///
/// # Errors
/// Those of the definition; `file-exists`, `file-missing`, `file-unreadable`, `file-unwritable`.
pub fn run(command: TemplateCommand, session: &Session, door: &mut Door) -> Outcome<u8> {
    let definition = session.definition(door)?;
    let beside = |file: Option<PathBuf>| file.unwrap_or_else(|| Path::new(&definition.file).with_file_name(TEMPLATE));
    match command {
        TemplateCommand::Check(args) => {
            let report = template::check(&definition, &beside(args.file))?;
            door.report(&report);
            Ok(if args.exit_code && !report.problems.is_empty() { FINDINGS } else { 0 })
        }
        TemplateCommand::Write(args) => {
            let file = template::write(&definition, &beside(args.file), args.force)?;
            door.report(&InitReport { files: vec![file], next: Vec::new() });
            Ok(0)
        }
    }
}
