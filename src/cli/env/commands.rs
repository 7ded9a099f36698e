//! What `env` can be told: its commands, and the forms of what it shows.

use std::path::PathBuf;

use clap::Subcommand;

use super::super::args::OutputFormat;
use super::recipients::RecipientsCommand;
use crate::base::error::{Failure, Outcome};
use crate::esc::projection::Projection;

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
        #[arg(allow_negative_numbers = true)]
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
        /// Take the value as one text, not as YAML; `${…}` in it refers, and `$$` is a dollar
        #[arg(long)]
        string: bool,
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
    pub(super) fn projection(self) -> Projection {
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

impl OutputFormat {
    /// The form of `env open`; JSON when none was asked for.
    pub(super) fn projection(self) -> Outcome<Projection> {
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
