//! `import-env`: reads the dotenv file and asks for the import.

use std::path::{Path, PathBuf};

use clap::Args;

use super::args::SourceArgs;
use super::connect::Session;
use super::door::Door;
use super::input;
use crate::base::error::{Failure, Outcome, Problem};
use crate::flow::import::{self, Settings};
use crate::io::{files, git};
use crate::rules::dotenv::{self, Options, Parsed};

#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// dotenv file, or `-` for stdin
    #[arg(value_name = "FILE", default_value = ".env")]
    pub file: PathBuf,
    /// Make the ESC environment if there is none
    #[arg(long)]
    pub create: bool,
    /// Show what would be written, by name, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Secret group of names that no mapping has
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// Leave out placeholders, empty values and names that no group takes, instead of refusing the file
    #[arg(long)]
    pub skip: bool,
    #[command(flatten)]
    pub dotenv: DotenvArgs,
    #[command(flatten)]
    pub source: SourceArgs,
}

/// How a dotenv file is read.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Reading dotenv")]
pub struct DotenvArgs {
    /// Put earlier values of the file in place of `$NAME`
    #[arg(long)]
    pub expand: bool,
    /// Refuse values that other readers of dotenv would read otherwise
    #[arg(long)]
    pub strict: bool,
}

/// Runs `import-env`.
///
/// # Errors
/// Usage failures for the file and the definition, and those of [`import::import`].
pub async fn import_env(args: ImportArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let parsed = read(&args.file, args.dotenv, door)?;
    let definition = session.definition(door)?;
    let stack = session.stack(&definition)?.clone();
    let source = session.source(&args.source, door).await?;
    let file = args.file.display().to_string();
    let settings = Settings {
        file: &file,
        group: args.group.as_deref(),
        skip: args.skip,
        create: args.create,
        dry_run: args.dry_run,
        only_new: false,
    };
    let (report, warnings) = import::import(&*source, &definition, &stack, &parsed.entries, settings).await?;
    door.problems(&warnings);
    door.report(&report);
    Ok(0)
}

/// Reads a dotenv file and tells its warnings; `-` is stdin.
///
/// # Errors
/// A usage failure with every problem of the file.
pub fn read(path: &Path, args: DotenvArgs, door: &mut Door) -> Outcome<Parsed> {
    let limit = u64::try_from(dotenv::LARGEST).unwrap_or(u64::MAX);
    let (name, bytes) = if path == Path::new("-") {
        ("<stdin>".to_owned(), input::stdin(limit)?)
    } else {
        (path.display().to_string(), files::read_bytes(path, limit)?)
    };
    let bytes = zeroize::Zeroizing::new(bytes);
    let options = Options { file: &name, expand: args.expand, strict: args.strict };
    let parsed = dotenv::parse(&bytes, options).map_err(|problems| {
        let message = format!("`{name}` is not a dotenv file that can be taken as it is");
        Failure::usage("dotenv", message)
            .problems(problems)
            .hint("docs/dotenv.md has the rules; no value is ever shown")
    })?;
    door.problems(&parsed.warnings);
    if path != Path::new("-") && git::is_tracked(path) {
        let warning =
            Problem::warning("dotenv-tracked", format!("`{name}` is tracked by git; secrets do not belong there"));
        door.problems(&[
            warning.hint(format!("git rm --cached {name}, add it to .gitignore, and rotate what was pushed"))
        ]);
    }
    Ok(parsed)
}
