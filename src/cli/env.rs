//! `env …`: one ESC environment, in Pulumi Cloud or in the embedded store.

mod commands;
mod edit;
mod recipients;
mod value;

use std::path::Path as FilePath;

use clap::Args;

pub use self::commands::EnvCommand;
use self::commands::Form;
use super::args::{OutputFormat, SourceArgs};
use super::connect::Session;
use super::door::Door;
use super::input;
use crate::base::environment::EscName;
use crate::base::error::{Failure, Outcome, Place};
use crate::base::yaml;
use crate::esc::edit::Edit;
use crate::esc::path::Path;
use crate::esc::projection::Projection;
use crate::flow::env::{self, Changed, Given};
use crate::io::files;
use crate::io::recorded::Recorded;
use crate::io::source::{Source, Version};
use crate::report::Format;
use crate::report::env::{EnvChange, SCHEMA_VERSION};
use crate::report::findings::FindingsReport;

#[derive(Debug, Clone, Args)]
pub struct EnvArgs {
    #[command(subcommand)]
    pub command: EnvCommand,
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Bytes of the largest definition or value that is read.
const LARGEST: u64 = 16 << 20;

/// Runs `env …`.
///
/// # Errors
/// Those of [`env`] and of the source.
pub async fn run(args: EnvArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let EnvArgs { command, source: source_args } = args;
    let here = Here { session, args: &source_args };
    match command {
        EnvCommand::Recipients(command) => return here.recipients(command, door).await,
        EnvCommand::Init { environment, file, recipients } => {
            let name = here.latest(&environment, door)?;
            let recipients = recipients::keys(&recipients)?;
            let store = here.session.embedded_store(here.args, &recipients)?;
            if store.is_none() && !recipients.is_empty() {
                return Err(recipients::only_embedded("recipients"));
            }
            let source: Box<dyn Source> = match store {
                Some(store) => Box::new(Recorded::new(Box::new(store), session.recorder())),
                None => session.source(here.args, door).await?,
            };
            let given = file.map(|file| given(&file)).transpose()?;
            let changed = env::init(&*source, &name, given.as_ref()).await?;
            return Ok(told(door, &changed));
        }
        EnvCommand::Ls { organization } => {
            let organization = match organization.or_else(|| session.global.org.clone()) {
                Some(organization) => organization,
                None => session.definition(door)?.organization.clone(),
            };
            let source = session.source(&source_args, door).await?;
            door.report(&env::list(&*source, &organization).await?);
            return Ok(0);
        }
        _ => {}
    }
    let source = session.source(&source_args, door).await?;
    one(command, &*source, &here, door).await
}

/// The commands on one environment that exists.
async fn one(command: EnvCommand, source: &dyn Source, here: &Here<'_>, door: &mut Door) -> Outcome<u8> {
    match command {
        EnvCommand::Check { environment, file } => {
            let name = here.latest(&environment, door)?;
            let given = file.map(|file| given(&file)).transpose()?;
            let checked = env::check(source, &name, given.as_ref()).await;
            if door.format() == Format::Human {
                door.problems(&checked?);
                door.note(&format!("{name}: no errors"));
                return Ok(0);
            }
            let (problems, code) = match checked {
                Ok(warnings) => (warnings, 0),
                Err(failure) if failure.code == "esc-diagnostics" => (failure.problems, failure.kind.exit_code()),
                Err(failure) => return Err(failure),
            };
            let (command, subject) = ("env check", name.to_string());
            door.report(&FindingsReport { command, subject, problems, unchecked: Vec::new() });
            Ok(code)
        }
        EnvCommand::Edit { environment, file, show_secrets } => {
            let name = here.latest(&environment, door)?;
            let changed = match file {
                Some(file) => env::replace_by(source, &name, &given(&file)?, None).await?,
                None => edit::edit(source, &name, show_secrets, here, door).await?,
            };
            Ok(told(door, &changed))
        }
        EnvCommand::Encrypt { environment } => {
            let name = here.latest(&environment, door)?;
            Ok(told(door, &env::encrypt(source, &name).await?))
        }
        EnvCommand::Get { environment, path, show_secrets, value } => {
            let (name, version) = here.name(&environment, door)?;
            let path = path_of(path.as_deref())?;
            if let Some(form) = value.map(Form::projection) {
                fits(form, &path)?;
                let shown = env::open(source, &name, &version, &path, form, !show_secrets).await?;
                door.data(shown.text.as_bytes());
                return Ok(0);
            }
            let found = env::get(source, &name, &version, &path, show_secrets).await?;
            match door.format() {
                Format::Human => door.data(found.value.as_bytes()),
                Format::Json => {
                    door.data(format!("{:#}\n", explained(&name, &path, &found)).as_bytes());
                    return Ok(0);
                }
                Format::Markdown => {
                    return Err(Failure::usage("env-form", "a value is not written as Markdown")
                        .hint("--format json, or --value FORM for the value alone"));
                }
            }
            if let Some(defined) = &found.defined {
                door.note(&format!("\ndefined at {defined}"));
            }
            if let Some(definition) = found.definition {
                door.note(&format!("definition:\n  {}", definition.trim_end().replace('\n', "\n  ")));
            }
            Ok(0)
        }
        EnvCommand::History { environment, limit } => {
            let name = here.latest(&environment, door)?;
            door.report(&env::history(source, &name, limit).await?);
            Ok(0)
        }
        EnvCommand::Open { environment, path } => {
            let (name, version) = here.name(&environment, door)?;
            let path = path_of(path.as_deref())?;
            let form = here.session.global.format.projection()?;
            fits(form, &path)?;
            let shown = env::open(source, &name, &version, &path, form, false).await?;
            door.problems(&shown.warnings);
            door.data(shown.text.as_bytes());
            Ok(0)
        }
        EnvCommand::Rm { environment, path: Some(path), .. } => {
            let name = here.latest(&environment, door)?;
            let path = path_of(Some(&path))?;
            let changed = env::change(source, &name, "rm", &[Edit::Remove { path }]).await?;
            Ok(told(door, &changed))
        }
        EnvCommand::Rm { environment, path: None, yes } => {
            let name = here.latest(&environment, door)?;
            if !yes && !input::confirmed(&format!("This removes `{name}` and its history."), &name.environment) {
                return Err(Failure::refused("env-not-confirmed", format!("`{name}` was not removed"))
                    .hint("--yes removes it without asking"));
            }
            source.delete(&name).await?;
            door.report(&EnvChange { command: "rm", environment: name.to_string(), revision: None, changed: true });
            Ok(0)
        }
        EnvCommand::Rollback { environment } => {
            let (name, version) = here.name(&environment, door)?;
            if version == Version::Latest {
                return Err(Failure::usage("env-revision", "no revision was named")
                    .hint(format!("`env rollback {name}@REVISION`; `env history {name}` lists them")));
            }
            Ok(told(door, &env::rollback(source, &name, &version).await?))
        }
        EnvCommand::Set { environment, path, value, file, plaintext, secret, string } => {
            let name = here.latest(&environment, door)?;
            let path = path_of(Some(&path))?;
            let value = value::new_value(value, file.as_deref(), secret, string, &path)?;
            Ok(told(door, &env::set(source, &name, &path, value, plaintext).await?))
        }
        // Done before a source was opened.
        EnvCommand::Init { .. } | EnvCommand::Ls { .. } | EnvCommand::Recipients(_) => Ok(0),
    }
}

/// What a command works with.
struct Here<'s> {
    session: &'s Session,
    args: &'s SourceArgs,
}

impl Here<'_> {
    /// The environment and revision that `text` names; what it leaves out comes from `--org`, `--project` and the
    /// definition.
    fn name(&self, text: &str, door: &mut Door) -> Outcome<(EscName, Version)> {
        let (name, version) = text.split_once('@').map_or((text, None), |(name, version)| (name, Some(version)));
        let version = match version {
            None | Some("latest") => Version::Latest,
            Some(number) if number.starts_with(|c: char| c.is_ascii_digit()) => {
                let number = number.parse();
                Version::Revision(number.map_err(|_| Failure::usage("env-revision", "a revision is a number"))?)
            }
            Some(tag) => Version::Tag(tag.to_owned()),
        };
        let parts: Vec<&str> = name.split('/').collect();
        let global = &self.session.global;
        let found = match (parts.as_slice(), &global.org) {
            ([organization, project, environment], _) => EscName::new(organization, project, environment),
            ([project, environment], Some(organization)) => EscName::new(organization, project, environment),
            ([environment], Some(organization)) if global.project.is_some() => {
                EscName::new(organization, global.project.as_deref().unwrap_or("default"), environment)
            }
            ([project, environment], None) => {
                EscName::new(&self.session.definition(door)?.organization, project, environment)
            }
            ([stack], _) => return Ok((self.session.definition(door)?.stack(Some(stack))?.esc.clone(), version)),
            _ => name.parse(),
        };
        Ok((found.map_err(|error| Failure::usage("env-name", error.to_string()))?, version))
    }

    /// The same, where only the newest revision makes sense.
    fn latest(&self, text: &str, door: &mut Door) -> Outcome<EscName> {
        match self.name(text, door)? {
            (name, Version::Latest) => Ok(name),
            (name, _) => Err(Failure::usage("env-revision", "this command takes no revision")
                .hint(format!("name the environment: `{name}`"))),
        }
    }
}

/// The environment that `text` names, as the `env` commands read it.
///
/// # Errors
/// `env-name`, `env-revision`; those of the definition, when it is needed.
pub(super) fn named(text: &str, args: &SourceArgs, session: &Session, door: &mut Door) -> Outcome<EscName> {
    Here { session, args }.latest(text, door)
}

/// The root, when no path was given. An empty one is a variable of a script that holds nothing: it does not mean all.
fn path_of(text: Option<&str>) -> Outcome<Path> {
    let Some(text) = text else { return Ok(Path::default()) };
    if text.is_empty() {
        return Err(Failure::usage("env-path", "the property path is empty").hint("name a property, such as `a.b`"));
    }
    text.parse().map_err(|error| Failure::usage("env-path", format!("`{text}` is not a property path")).cause(error))
}

/// A text from a file, or from stdin for `-`.
fn read(file: &FilePath) -> Outcome<String> {
    if file == FilePath::new("-") {
        let bytes = input::stdin(LARGEST)?;
        return String::from_utf8(bytes).map_err(|_| Failure::usage("file-not-text", "stdin is not UTF-8 text"));
    }
    files::read_text(file, LARGEST)
}

/// A definition from a file, or from stdin for `-`. One without any content is a mistake: a file that was cut, a pipe
/// whose writer failed.
fn given(file: &FilePath) -> Outcome<Given> {
    let text = read(file)?;
    let file = if file == FilePath::new("-") { "stdin".to_owned() } else { file.display().to_string() };
    if matches!(yaml::parse(&text), Ok(None)) {
        return Err(Failure::usage("env-empty", format!("`{file}` holds no definition; nothing was written"))
            .hint("`values: {}` is a definition without values"));
    }
    Ok(Given { text, file })
}

fn fits(form: Projection, path: &Path) -> Outcome<()> {
    if form.is_of_variables() && !path.steps.is_empty() {
        return Err(Failure::usage("env-form", "`dotenv` and `shell` take no path")
            .hint("they hold `environmentVariables`; another form shows a value"));
    }
    Ok(())
}

/// The frozen JSON form of `env get`.
fn explained(name: &EscName, path: &Path, found: &env::Explained) -> serde_json::Value {
    let place = |place: &Place| serde_json::json!({"file": place.file, "line": place.line, "column": place.column});
    serde_json::json!({
        "schema_version": SCHEMA_VERSION, "command": "env get", "environment": name.to_string(),
        "path": path.to_string(), "value": found.json, "secret": found.secret,
        "defined": found.defined.as_ref().map(place), "definition": found.definition
    })
}

fn told(door: &mut Door, changed: &Changed) -> u8 {
    door.problems(&changed.warnings);
    door.report(&changed.report);
    0
}

/// In the action's step reports have their forms: the log is for people, the output `report` is JSON, the summary Markdown.
pub(super) fn report_format_of_action(format: OutputFormat, command: &super::args::Command) -> Outcome<()> {
    if report_format(format, command)? == Format::Human || is_open(command) {
        return Ok(());
    }
    Err(Failure::usage("action-format", "`--format json` and `--format markdown` do nothing in the action: its log is for people")
        .hint("leave it out of `args`; the output `report` names the same report as JSON, the job summary shows it as Markdown"))
}

fn is_open(command: &super::args::Command) -> bool {
    matches!(command, super::args::Command::Env(EnvArgs { command: EnvCommand::Open { .. }, .. }))
}

/// What reports are written in: the forms of values are for `env open` alone.
pub(super) fn report_format(format: OutputFormat, command: &super::args::Command) -> Outcome<Format> {
    match format {
        OutputFormat::Human => Ok(Format::Human),
        OutputFormat::Json => Ok(Format::Json),
        OutputFormat::Markdown => Ok(Format::Markdown),
        _ if is_open(command) => Ok(Format::Human),
        _ => Err(Failure::usage("format", "this --format is for `env open` alone").hint("human, json or markdown")),
    }
}
