//! `env …`: one ESC environment, in Pulumi Cloud or in the embedded store.

use std::io::IsTerminal;
use std::path::{Path as FilePath, PathBuf};

use clap::{Args, Subcommand};

use super::args::{OutputFormat, SourceArgs};
use super::connect::Session;
use super::door::Door;
use super::{child, environment, input};
use crate::base::environment::EscName;
use crate::base::error::{Failure, Outcome};
use crate::esc::changes::Deed;
use crate::esc::edit::{Edit, NewValue};
use crate::esc::path::Path;
use crate::esc::projection::Projection;
use crate::flow::env::{self, Changed};
use crate::io::age_keys::Recipient;
use crate::io::child::{self as program, ChildSettings};
use crate::io::esc_local::EscLocal;
use crate::io::files;
use crate::io::recorded::Recorded;
use crate::io::source::{Secrets, Source, Version};
use crate::report::Format;
use crate::report::env::{EnvChange, EnvNames};
use crate::rules::audit_esc;

#[derive(Debug, Clone, Args)]
pub struct EnvArgs {
    #[command(subcommand)]
    pub command: EnvCommand,
    #[command(flatten)]
    pub source: SourceArgs,
}

/// `ENVIRONMENT` is ORGANIZATION/PROJECT/ENVIRONMENT, PROJECT/ENVIRONMENT, or a stack of the definition;
/// `@12` or `@tag` names a revision.
#[derive(Debug, Clone, Subcommand)]
pub enum EnvCommand {
    /// Check the stored definition, or one in a file
    Check {
        /// ORGANIZATION/PROJECT/ENVIRONMENT, PROJECT/ENVIRONMENT, or a stack
        environment: String,
        /// Definition to check instead; `-` is stdin
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Edit the definition in an editor, or replace it by a file
    Edit {
        /// ORGANIZATION/PROJECT/ENVIRONMENT, PROJECT/ENVIRONMENT, or a stack
        environment: String,
        /// Definition to store; `-` is stdin
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Show static secrets in clear while editing
        #[arg(long)]
        show_secrets: bool,
    },
    /// Encrypt what stands in plaintext in an embedded store
    Encrypt {
        /// ORGANIZATION/PROJECT/ENVIRONMENT, PROJECT/ENVIRONMENT, or a stack
        environment: String,
    },
    /// Show a value, where it is defined, and its definition
    Get {
        /// ORGANIZATION/PROJECT/ENVIRONMENT, PROJECT/ENVIRONMENT, or a stack
        environment: String,
        /// Property path, such as `api-keys.OPENAI_API_KEY`
        path: Option<String>,
        /// Show secrets in clear
        #[arg(long)]
        show_secrets: bool,
        /// Show the value only, in this form
        #[arg(long, value_name = "FORM", value_enum)]
        value: Option<Form>,
    },
    /// List the revisions, newest first
    History {
        /// ORGANIZATION/PROJECT/ENVIRONMENT, PROJECT/ENVIRONMENT, or a stack
        environment: String,
        /// Most revisions to list
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
    },
    /// Make an environment
    Init {
        /// ORGANIZATION/PROJECT/ENVIRONMENT, PROJECT/ENVIRONMENT, or a stack
        environment: String,
        /// Definition to begin with; `-` is stdin
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Who else may open it, in an embedded store: `age1…` or an SSH public key (repeatable)
        #[arg(long = "recipient", value_name = "KEY")]
        recipients: Vec<String>,
    },
    /// List the environments of an organization
    Ls {
        /// Pulumi organization [default: --org, else the definition's]
        organization: Option<String>,
    },
    /// Open an environment; --format is json, yaml, detailed, dotenv, shell or string
    Open {
        /// ORGANIZATION/PROJECT/ENVIRONMENT, PROJECT/ENVIRONMENT, or a stack
        environment: String,
        /// Property path, such as `api-keys.OPENAI_API_KEY`
        path: Option<String>,
    },
    /// Who may open an environment of an embedded store
    #[command(subcommand)]
    Recipients(RecipientsCommand),
    /// Remove a property, or the environment
    Rm {
        /// ORGANIZATION/PROJECT/ENVIRONMENT, PROJECT/ENVIRONMENT, or a stack
        environment: String,
        /// Property path, such as `api-keys.OPENAI_API_KEY`
        path: Option<String>,
        /// Do not ask before the environment is removed
        #[arg(long)]
        yes: bool,
    },
    /// Make an old revision the newest one
    Rollback {
        /// ENVIRONMENT@REVISION
        environment: String,
    },
    /// Set a property
    Set {
        /// ORGANIZATION/PROJECT/ENVIRONMENT, PROJECT/ENVIRONMENT, or a stack
        environment: String,
        /// Property path, such as `api-keys.OPENAI_API_KEY`
        path: String,
        /// YAML; never a secret, which is read from stdin or a hidden prompt
        value: Option<String>,
        /// Read the value from a file; `-` is stdin
        #[arg(short, long, value_name = "FILE", conflicts_with = "value")]
        file: Option<PathBuf>,
        /// Store it readable although it is called like a secret, or was one
        #[arg(long, conflicts_with = "secret")]
        plaintext: bool,
        /// Encrypt the value
        #[arg(long)]
        secret: bool,
        /// Take the value as it stands, not as YAML
        #[arg(long)]
        string: bool,
    },
}

#[derive(Debug, Clone, Subcommand)]
pub enum RecipientsCommand {
    /// Let somebody open it
    Add {
        /// ORGANIZATION/PROJECT/ENVIRONMENT, PROJECT/ENVIRONMENT, or a stack
        environment: String,
        /// `age1…` or an SSH public key
        #[arg(value_name = "KEY")]
        recipients: Vec<String>,
        /// Let the passphrase in SOPHIA_AGE_PASSPHRASE open it too
        #[arg(long)]
        passphrase: bool,
    },
    /// List them
    Ls {
        /// ORGANIZATION/PROJECT/ENVIRONMENT, PROJECT/ENVIRONMENT, or a stack
        environment: String,
    },
    /// Take it from somebody: a new data key, and every secret encrypted again
    Rm {
        /// ORGANIZATION/PROJECT/ENVIRONMENT, PROJECT/ENVIRONMENT, or a stack
        environment: String,
        /// `age1…` or an SSH public key
        #[arg(value_name = "KEY")]
        recipient: String,
    },
}

/// Forms of `env get --value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    Json,
    Yaml,
    Detailed,
    Dotenv,
    Shell,
    String,
}

impl Form {
    fn projection(self) -> Projection {
        match self {
            Self::Json => Projection::Json,
            Self::Yaml => Projection::Yaml,
            Self::Detailed => Projection::Detailed,
            Self::Dotenv => Projection::Dotenv,
            Self::Shell => Projection::Shell,
            Self::String => Projection::String,
        }
    }
}

/// Bytes of the largest definition or value that is read.
const LARGEST: u64 = 16 << 20;

/// How a passphrase is called among recipients.
const PASSPHRASE: &str = "a passphrase";

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
            let recipients = keys(&recipients)?;
            let store = here.session.embedded_store(here.args, &recipients)?;
            if store.is_none() && !recipients.is_empty() {
                return Err(only_embedded("recipients"));
            }
            let source: Box<dyn Source> = match store {
                Some(store) => Box::new(Recorded::new(Box::new(store), session.recorder())),
                None => session.source(here.args, door).await?,
            };
            let text = file.map(|file| read(&file)).transpose()?;
            let changed = env::init(&*source, &name, text.as_deref()).await?;
            return Ok(told(door, &changed));
        }
        EnvCommand::Ls { organization } => {
            let organization = match organization.or_else(|| session.global.org.clone()) {
                Some(organization) => organization,
                None => session.definition(door)?.organization,
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
            let text = file.map(|file| read(&file)).transpose()?;
            let warnings = env::check(source, &name, text.as_deref()).await?;
            door.problems(&warnings);
            door.note(&format!("{name}: no errors"));
            Ok(0)
        }
        EnvCommand::Edit { environment, file, show_secrets } => {
            let name = here.latest(&environment, door)?;
            let changed = match file {
                Some(file) => env::replace(source, &name, &read(&file)?, None).await?,
                None => edit(source, &name, show_secrets, here, door).await?,
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
            if let Some(form) = value {
                let shown = env::open(source, &name, &version, &path, form.projection(), !show_secrets).await?;
                door.data(shown.text.as_bytes());
                return Ok(0);
            }
            let found = env::get(source, &name, &version, &path, show_secrets).await?;
            door.data(found.value.as_bytes());
            if let Some(defined) = &found.defined {
                door.note(&format!("\ndefined at {defined}"));
            }
            if let Some(definition) = found.definition.filter(|_| !path.steps.is_empty()) {
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
            if form.is_of_variables() && !path.steps.is_empty() {
                return Err(Failure::usage("env-form", "`dotenv` and `shell` take no path"));
            }
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
            let value = new_value(value, file.as_deref(), secret, string, &path)?;
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

    fn store(&self) -> Outcome<EscLocal> {
        self.session.embedded_store(self.args, &[])?.ok_or_else(|| only_embedded("recipients"))
    }

    async fn recipients(&self, command: RecipientsCommand, door: &mut Door) -> Outcome<u8> {
        let store = self.store()?;
        match command {
            RecipientsCommand::Ls { environment } => {
                let found = store.recipients(&self.latest(&environment, door)?)?;
                let mut names: Vec<String> = found.keys.iter().map(ToString::to_string).collect();
                if found.passphrase {
                    names.push(PASSPHRASE.to_owned());
                }
                door.report(&EnvNames { command: "recipients ls", what: "recipients", names });
            }
            RecipientsCommand::Add { environment, recipients, passphrase } => {
                let name = self.latest(&environment, door)?;
                let recipients = keys(&recipients)?;
                if recipients.is_empty() && !passphrase {
                    return Err(Failure::usage("age-recipient", "no recipient was given"));
                }
                let names = recipients.iter().map(ToString::to_string).chain(passphrase.then(|| PASSPHRASE.to_owned()));
                let entries = audit_esc::recipients(&name, Deed::Create, names);
                let add = async { store.add_recipients(&name, &recipients, passphrase) };
                let changed = self.session.recorder().record(&name, entries, |_| None, add).await?;
                let environment = name.to_string();
                door.report(&EnvChange { command: "recipients add", environment, revision: None, changed });
            }
            RecipientsCommand::Rm { environment, recipient } => {
                let name = self.latest(&environment, door)?;
                let recipient: Recipient = recipient.parse()?;
                let entries = audit_esc::recipients(&name, Deed::Delete, [recipient.to_string()]);
                let remove = async { store.remove_recipient(&name, &recipient).map(Some) };
                let revision = self.session.recorder().record(&name, entries, |revision| *revision, remove).await?;
                let environment = name.to_string();
                door.report(&EnvChange { command: "recipients rm", environment, revision, changed: true });
                door.note("what it has read stays known to it: rotate the secrets themselves");
            }
        }
        Ok(0)
    }
}

/// The environment that `text` names, as the `env` commands read it.
///
/// # Errors
/// `env-name`, `env-revision`; those of the definition, when it is needed.
pub(super) fn named(text: &str, args: &SourceArgs, session: &Session, door: &mut Door) -> Outcome<EscName> {
    Here { session, args }.latest(text, door)
}

impl OutputFormat {
    /// The form of `env open`; JSON when none was asked for.
    fn projection(self) -> Outcome<Projection> {
        match self {
            Self::Human | Self::Json => Ok(Projection::Json),
            Self::Yaml => Ok(Projection::Yaml),
            Self::Detailed => Ok(Projection::Detailed),
            Self::Dotenv => Ok(Projection::Dotenv),
            Self::Shell => Ok(Projection::Shell),
            Self::String => Ok(Projection::String),
            Self::Markdown => Err(Failure::usage("env-form", "an environment is not opened as Markdown")
                .hint("--format json, yaml, detailed, dotenv, shell or string")),
        }
    }
}

fn only_embedded(what: &str) -> Failure {
    Failure::usage("env-cloud", format!("environments of Pulumi Cloud have no {what}"))
        .hint("give --esc-url file://DIR; access to Pulumi Cloud is set in its console")
}

fn keys(texts: &[String]) -> Outcome<Vec<Recipient>> {
    texts.iter().map(|text| text.parse()).collect()
}

fn path_of(text: Option<&str>) -> Outcome<Path> {
    let text = text.unwrap_or_default();
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

fn new_value(
    value: Option<String>,
    file: Option<&FilePath>,
    secret: bool,
    string: bool,
    path: &Path,
) -> Outcome<NewValue> {
    if secret {
        return match (value, file) {
            (Some(_), _) => {
                Err(Failure::usage("env-secret-argument", "a secret is not taken as an argument; nothing was written")
                    .hint("leave it out to type it, or pipe it to stdin; arguments can be seen by other programs"))
            }
            (None, Some(file)) if file != FilePath::new("-") => {
                Ok(NewValue::Secret(crate::base::secret::SecretValue::new(files::read_bytes(file, LARGEST)?)))
            }
            (None, _) => input::secret(&format!("Value of {path}: ")).map(NewValue::Secret),
        };
    }
    let text = match (value, file) {
        (Some(text), _) if env::holds_a_secret(&text) => {
            return Err(Failure::usage(
                "env-secret-argument",
                "a secret is not taken as an argument; nothing was written",
            )
            .hint("`env set --secret` reads it from stdin; `env edit --file` takes a definition"));
        }
        (Some(text), _) => text,
        (None, Some(file)) => read(file)?,
        (None, None) if !std::io::stdin().is_terminal() => read(FilePath::new("-"))?,
        (None, None) => {
            return Err(
                Failure::usage("env-value", "no value was given").hint("give VALUE, --file FILE, or pipe it to stdin")
            );
        }
    };
    Ok(match text {
        text if string => NewValue::Expression(text),
        text if text.is_empty() => NewValue::Expression(text),
        text => NewValue::Yaml(text),
    })
}

fn told(door: &mut Door, changed: &Changed) -> u8 {
    door.problems(&changed.warnings);
    door.report(&changed.report);
    0
}

/// Opens the editor on a private file that is gone afterwards; again, when the text has errors and the person
/// wants to go on.
async fn edit(
    source: &dyn Source,
    name: &EscName,
    show_secrets: bool,
    here: &Here<'_>,
    door: &mut Door,
) -> Outcome<Changed> {
    let editor = [environment::VISUAL, environment::EDITOR]
        .into_iter()
        .find_map(|variable| here.session.environment.get(variable))
        .ok_or_else(|| {
            Failure::usage("env-editor", "no editor is known")
                .hint("set EDITOR, or give the definition with --file FILE (`-` is stdin)")
        })?;
    let secrets = if show_secrets { Secrets::Decrypted } else { Secrets::Encrypted };
    let before = source.read(name, &Version::Latest, secrets).await?;
    let folder = files::TemporaryFolder::new()?;
    let file = folder.path().join(format!("{}.yaml", name.environment));
    files::write_private(&file, before.text.as_bytes())?;
    loop {
        let mut words = editor.split_whitespace().map(std::ffi::OsString::from);
        let settings = ChildSettings {
            program: words.next().unwrap_or_default(),
            arguments: words.chain([file.clone().into_os_string()]).collect(),
            variables: Vec::new(),
            unset: child::TOKENS.map(str::to_owned).to_vec(),
            at_a_terminal: std::io::stdin().is_terminal(),
        };
        let code = program::run(settings, None).await?;
        if code != 0 {
            return Err(Failure::usage("env-editor", format!("the editor ended with {code}; nothing was written")));
        }
        let text = files::read_text(&file, LARGEST)?;
        if text.trim().is_empty() {
            return Err(Failure::usage("env-editor", "the definition was emptied; nothing was written")
                .hint(format!("`env rm {name}` removes the environment")));
        }
        if text == before.text {
            let report =
                EnvChange { command: "edit", environment: name.to_string(), revision: before.revision, changed: false };
            return Ok(Changed { report, warnings: Vec::new() });
        }
        match env::replace(source, name, &text, before.etag.as_deref()).await {
            Err(failure) if failure.code == "esc-diagnostics" && std::io::stdin().is_terminal() => {
                door.failure(&failure);
                if !input::confirmed("Edit again?", "yes") {
                    return Err(failure);
                }
            }
            done => return done,
        }
    }
}

/// What reports are written in: the forms of values are for `env open` alone.
pub(super) fn report_format(format: OutputFormat, command: &super::args::Command) -> Outcome<Format> {
    let opens = matches!(command, super::args::Command::Env(EnvArgs { command: EnvCommand::Open { .. }, .. }));
    match format {
        OutputFormat::Human => Ok(Format::Human),
        OutputFormat::Json => Ok(Format::Json),
        OutputFormat::Markdown => Ok(Format::Markdown),
        _ if opens => Ok(Format::Human),
        _ => Err(Failure::usage("format", "this --format is for `env open` alone").hint("human, json or markdown")),
    }
}
