//! What was typed: the command line, and nothing decided yet.
//!
//! **No argument takes a secret or a token**; those come from the environment, files or stdin.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use super::door::Color;
use crate::base::target::{App, RepositoryName};
use crate::flow::targets::Asked;
use crate::io::ledger::LedgerPlace;
use crate::rules::plan::Visibility;

/// Keep GitHub secrets equal to what Pulumi ESC holds
#[derive(Debug, Parser)]
#[command(name = "sophia-secrets-sync", version, max_term_width = 100, infer_long_args = false)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads a command line; answers the words of its command too, such as `rotation start`.
    ///
    /// # Errors
    /// What clap has to say, `--help` and `--version` included.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<(Self, String), clap::Error> {
        let matches = Self::command().try_get_matches_from(arguments)?;
        let mut words = Vec::new();
        let mut at = &matches;
        while let Some((word, below)) = at.subcommand() {
            words.push(word);
            at = below;
        }
        let command = words.join(" ");
        Ok((Self::from_arg_matches(&matches)?, command))
    }
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// File of the audit trail [env: SOPHIA_AUDIT_LOG] [default: .sophia/audit.jsonl beside the definition]
    #[arg(long, value_name = "FILE", global = true)]
    pub audit_log: Option<PathBuf>,
    /// When to use colour
    #[arg(long, value_enum, value_name = "WHEN", default_value_t, global = true)]
    pub color: Color,
    /// Definition file [default: pulumi-esc-environment.yaml, searched upwards]
    #[arg(long, value_name = "FILE", global = true)]
    pub definition: Option<PathBuf>,
    /// How the result is written to stdout
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, global = true)]
    pub format: OutputFormat,
    /// Pulumi organization, instead of the definition's
    #[arg(short, long, value_name = "NAME", global = true)]
    pub org: Option<String>,
    /// ESC project, instead of the definition's name
    #[arg(short, long, value_name = "NAME", global = true)]
    pub project: Option<String>,
    /// Print errors and data only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Stack to work on [default: PULUMI_STACK, else the definition's defaultStack]
    #[arg(short, long, value_name = "NAME", global = true)]
    pub stack: Option<String>,
    /// Print every request to GitHub and Pulumi Cloud, with its status
    #[arg(short, long, global = true, overrides_with = "verbose")]
    pub verbose: bool,
}

/// The forms of reports, and those of `env open`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum OutputFormat {
    /// For a terminal
    #[default]
    Human,
    /// Frozen structures with a `schema_version`
    Json,
    /// For job summaries and comments
    Markdown,
    #[value(hide = true)]
    Yaml,
    #[value(hide = true)]
    Detailed,
    #[value(hide = true)]
    Dotenv,
    #[value(hide = true)]
    Shell,
    #[value(hide = true)]
    String,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show and check who may get which group of which stack
    #[command(subcommand)]
    Access(super::access::AccessCommand),
    /// Add a secret: its value to ESC, its name to the definition and to env.example
    Add(Box<super::add::AddArgs>),
    /// Show what was done, and check that nothing was taken out of the record
    Audit(super::audit::AuditArgs),
    /// Print a completion script for a shell
    Completions(super::shell::CompletionsArgs),
    /// See the main job end to end on a loopback GitHub and Pulumi Cloud
    Demo,
    /// Check tokens, permissions, limits and the clock
    Doctor(super::inspect::InspectArgs),
    /// Back up, restore, answer a compromise, and drill all of it
    Emergency(Box<super::emergency::EmergencyArgs>),
    /// Make, read, change and roll back an ESC environment
    Env(super::env::EnvArgs),
    /// Write a stack's variables as dotenv, shell, JSON or docker
    ExportEnv(super::export::ExportArgs),
    /// Look after GitHub's secrets without ESC
    #[command(subcommand)]
    Github(super::github::GithubCommand),
    /// Put the names of a dotenv file into ESC, in one revision
    ImportEnv(super::import::ImportArgs),
    /// Write a first definition, env.example and workflow; never overwrites
    Init(super::init::InitArgs),
    /// Look for a stack's secret values in the working tree and in the history of git
    Leaks(super::leaks::LeaksArgs),
    /// List a stack's names, masked, with where each is delivered and its age
    List(super::inspect::ListArgs),
    /// Print the manual page
    Man,
    /// Show what sync would do, and change nothing
    Plan(PlanArgs),
    /// Show how a stack's secrets stand to their rotation schedule
    #[command(subcommand)]
    Rotation(super::rotation::RotationCommand),
    /// Run a program with a stack's variables; its output is redacted
    Run(super::child::ChildArgs),
    /// Serve a loopback GitHub and Pulumi Cloud to try things on
    Sandbox(super::sandbox::SandboxArgs),
    /// Make GitHub's secrets equal to what ESC holds
    Sync(SyncArgs),
    /// Write or check env.example
    #[command(subcommand)]
    Template(super::template::TemplateCommand),
    /// Compare the definition with ESC, GitHub, workflows, compose files and code
    Usage(super::usage::UsageArgs),
    /// Prove that the secrets injected into this job are what was synced
    Verify(super::verify::VerifyArgs),
}

/// Where values come from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Source of values")]
pub struct SourceArgs {
    /// File with the age identity that opens the embedded store [env: SOPHIA_AGE_KEY holds one]
    #[arg(long, global = true, value_name = "FILE")]
    pub age_identity: Option<PathBuf>,
    /// Let documents of the embedded store read this machine: `fn::open::env` variables, `fn::open::file` files
    #[arg(long, global = true)]
    pub allow_local_providers: bool,
    /// Take values from this dotenv file instead of ESC; `-` is stdin
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "from_backup")]
    pub env_file: Option<PathBuf>,
    /// Pulumi Cloud, or `file://DIR` for the embedded store [env: PULUMI_BACKEND_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub esc_url: Option<String>,
    /// Take the values from this encrypted backup (`emergency backup`): for when ESC cannot be reached
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["esc_url", "oidc_organization"])]
    pub from_backup: Option<PathBuf>,
    /// Lifetime of the Pulumi token that the job's identity is exchanged for, in seconds
    #[arg(long, global = true, value_name = "SECONDS", requires = "oidc_organization")]
    pub oidc_expiration: Option<u64>,
    /// Exchange the job's identity for a token of this Pulumi organization
    #[arg(long, global = true, value_name = "NAME")]
    pub oidc_organization: Option<String>,
    /// Scope of that token: `team:NAME`, `user:LOGIN`, `runner:NAME`, or `admin`
    #[arg(long, global = true, value_name = "SCOPE", requires = "oidc_organization")]
    pub oidc_scope: Option<String>,
    /// Type of that token
    #[arg(long, global = true, value_name = "TYPE", value_parser = ["organization", "team", "personal", "runner"], requires = "oidc_organization")]
    pub oidc_token_type: Option<String>,
}

/// How GitHub is reached.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "GitHub")]
pub struct GitHubArgs {
    /// Requests under way at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub concurrency: u8,
    /// ESC path of the GitHub token, such as the output of the `gh-login` provider
    #[arg(long, value_name = "PATH")]
    pub github_token_path: Option<String>,
    /// URL of the API [env: GITHUB_API_URL] [default: https://api.github.com]
    #[arg(long, value_name = "URL")]
    pub github_url: Option<String>,
    /// Longest time to wait for GitHub's rate limits in all, such as `90s` or `15m`
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = super::parse_duration)]
    pub max_wait: std::time::Duration,
    /// Keep inside GitHub's documented limits; `off` is for servers without limits
    #[arg(long, value_name = "MODE", default_value = "on", value_parser = ["on", "off"])]
    pub pace: String,
}

/// Which stores are meant.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Targets")]
pub struct StoreArgs {
    /// App that reads the secrets (repeatable) [default: the definition's, else actions]
    #[arg(long = "app", value_name = "APP", value_parser = parse_app)]
    pub apps: Vec<App>,
    /// Environment of the repository given with --repo
    #[arg(long, value_name = "NAME", requires = "repo")]
    pub github_environment: Option<String>,
    /// Organization whose secrets are meant
    #[arg(long, value_name = "NAME", conflicts_with = "repo")]
    pub github_org: Option<String>,
    /// Repository whose secrets are meant
    #[arg(long, value_name = "OWNER/NAME")]
    pub repo: Option<RepositoryName>,
}

/// Who may see what is written to an organization.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Targets")]
pub struct ExposureArgs {
    /// Repository that may see the organization's secrets (repeatable, with `--visibility selected`)
    #[arg(long = "selected-repo", value_name = "OWNER/NAME", requires = "github_org")]
    pub selected_repositories: Vec<RepositoryName>,
    /// Who may see secrets of an organization that the definition does not name
    #[arg(long, value_name = "WHO", value_parser = parse_visibility, requires = "github_org")]
    pub visibility: Option<Visibility>,
}

/// Which targets a run is about.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Targets")]
pub struct TargetArgs {
    #[command(flatten)]
    pub stores: StoreArgs,
    /// Only this secret group (repeatable)
    #[arg(long = "group", value_name = "NAME")]
    pub groups: Vec<String>,
    #[command(flatten)]
    pub exposure: ExposureArgs,
}

impl StoreArgs {
    /// What is asked for, with `exposure` where something is written.
    #[must_use]
    pub fn asked(&self, exposure: &ExposureArgs) -> Asked {
        Asked {
            apps: self.apps.clone(),
            repository: self.repo.clone(),
            environment: self.github_environment.clone(),
            organization: self.github_org.clone(),
            visibility: exposure.visibility,
            selected_repositories: exposure.selected_repositories.clone(),
            shard: None,
        }
    }
}

impl From<&TargetArgs> for Asked {
    fn from(args: &TargetArgs) -> Self {
        args.stores.asked(&args.exposure)
    }
}

/// Where the ledger lies.
#[derive(Debug, Clone, Args)]
pub struct LedgerArgs {
    /// Where the ledger lies: `variable`, `none`, or `file:DIR`
    #[arg(long = "ledger", value_name = "PLACE", default_value = "variable", value_parser = super::parse_ledger_place)]
    pub place: LedgerPlace,
}

/// How far a run may go.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits of a run")]
pub struct FuseArgs {
    /// Let organization secrets be seen by more repositories than now
    #[arg(long)]
    pub allow_widening: bool,
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// Most deletions of one run [default: the definition's sync.maxDelete]
    #[arg(long, value_name = "N")]
    pub max_delete: Option<usize>,
    /// Delete what this tool wrote and the definition no longer has
    #[arg(long)]
    pub prune: bool,
    /// Delete only what has been gone for this long, such as `24h`; needs two runs
    #[arg(long, value_name = "DURATION", value_parser = super::parse_duration, requires = "prune")]
    pub prune_after: Option<std::time::Duration>,
}

#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Write the plan to a file that `sync --plan` takes
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print a job matrix for this many shards
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub shards: Option<u16>,
}

#[derive(Debug, Clone, Args)]
pub struct SyncArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Make GitHub environments that do not exist
    #[arg(long)]
    pub create_environments: bool,
    /// Show the plan and stop
    #[arg(long, conflicts_with = "plan")]
    pub dry_run: bool,
    /// Apply this plan, and nothing if ESC or GitHub has moved since it was made
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
}

impl FuseArgs {
    /// The widest a run may go without being told so.
    #[must_use]
    pub fn usual() -> Self {
        let ledger = LedgerArgs { place: LedgerPlace::Variable };
        Self { allow_widening: false, ledger, max_delete: None, prune: false, prune_after: None }
    }
}

/// What plan and sync share.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// End with 10 when there are differences
    #[arg(long)]
    pub exit_code: bool,
    /// Do part I of N of the targets
    #[arg(long, value_name = "I/N", value_parser = super::parse_shard)]
    pub shard: Option<(u64, u64)>,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub github: GitHubArgs,
    #[command(flatten)]
    pub targets: TargetArgs,
    #[command(flatten)]
    pub fuses: FuseArgs,
}

pub(super) fn parse_app(text: &str) -> Result<App, String> {
    App::ALL
        .into_iter()
        .find(|app| app.word() == text)
        .ok_or_else(|| "expected actions, dependabot, codespaces or agents".to_owned())
}

pub(super) fn parse_visibility(text: &str) -> Result<Visibility, String> {
    [Visibility::All, Visibility::Private, Visibility::Selected]
        .into_iter()
        .find(|visibility| visibility.word() == text)
        .ok_or_else(|| "expected all, private or selected".to_owned())
}
