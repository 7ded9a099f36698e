//! `export-env`: the variables of a stack as a file, or on stdout.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::args::SourceArgs;
use super::connect::Session;
use super::door::Door;
use crate::base::error::{Failure, Outcome, Problem};
use crate::base::text::counted;
use crate::flow::export;
use crate::io::{files, git};
use crate::rules::dotenv::Style;

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum As {
    /// Read alike by bash, docker compose, godotenv, node's dotenv, dotenvy and python-dotenv
    #[default]
    Dotenv,
    /// `export` lines for `eval` and `source`
    Shell,
    /// One JSON object
    Json,
    /// For `docker run --env-file`
    Docker,
}

#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// File to write, readable by its owner only; `-` is stdout
    #[arg(value_name = "FILE", default_value = "-")]
    pub file: PathBuf,
    /// Form of the export
    #[arg(long = "as", value_name = "FORM", value_enum, default_value_t)]
    pub form: As,
    /// Write values too that some readers of dotenv do not read back
    #[arg(long)]
    pub force: bool,
    /// Only this secret group (repeatable)
    #[arg(long = "group", value_name = "NAME")]
    pub groups: Vec<String>,
    /// Replace the file if it is there
    #[arg(long)]
    pub overwrite: bool,
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Runs `export-env`.
///
/// # Errors
/// Those of [`export`], `file-exists` without `--overwrite`.
pub async fn export_env(args: ExportArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let definition = session.definition(door)?;
    let stack = session.stack(&definition)?.clone();
    let to_stdout = args.file == Path::new("-");
    if !to_stdout && !args.overwrite && files::is_there(&args.file) {
        return Err(Failure::usage("file-exists", format!("`{}` is there already", args.file.display()))
            .hint("--overwrite replaces it"));
    }
    let source = session.source(&args.source, door).await?;
    let found = export::variables(&*source, &definition, &stack, &args.groups).await?;
    door.mask_all(&found.variables);
    door.problems(&found.warnings);
    let style = match args.form {
        As::Dotenv => Style::Dotenv,
        As::Shell => Style::Shell,
        As::Json => Style::Json,
        As::Docker => Style::Docker,
    };
    let rendered = export::render(&found.variables, style, args.force)?;
    door.problems(&rendered.warnings);
    if to_stdout {
        door.data(&rendered.bytes);
        return Ok(0);
    }
    files::write_private(&args.file, &rendered.bytes)?;
    let name = args.file.display();
    if git::is_tracked(&args.file) {
        let warning =
            Problem::warning("dotenv-tracked", format!("`{name}` is tracked by git; secrets do not belong there"));
        door.problems(&[warning.hint(format!("git rm --cached {name}, and add it to .gitignore"))]);
    }
    let written = counted(found.variables.len(), "variable", "variables");
    door.note(&format!("wrote {written} of stack {} to {name}", stack.name));
    Ok(0)
}
