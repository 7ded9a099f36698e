//! `sandbox`: serves loopback GitHub and Pulumi Cloud until stopped.

use std::path::{Path, PathBuf};

use clap::Args;

use super::connect::Session;
use super::door::Door;
use super::environment as variables;
use crate::base::error::{Failure, Outcome};
use crate::esc::provider::Providers;
use crate::sandbox::seed::{EscTokenSeed, Seed};
use crate::sandbox::{self, Options};

#[derive(Debug, Clone, Default, Args)]
pub struct SandboxArgs {
    /// File with the age identity that opens the store [env: SOPHIA_AGE_KEY holds one]
    #[arg(long, value_name = "FILE", requires = "store")]
    pub age_identity: Option<PathBuf>,
    /// Port of GitHub [default: any free one]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub github_port: u16,
    /// Unix socket on which GitHub answers too, for `gh` (`http_unix_socket`)
    #[arg(long, value_name = "FILE")]
    pub github_socket: Option<PathBuf>,
    /// Port of Pulumi Cloud [default: any free one]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub pulumi_port: u16,
    /// Embedded store in which Pulumi Cloud keeps environments [default: in memory]
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
}

/// The world that a newcomer finds: the guide's repository with an environment, and an organization.
fn world() -> serde_json::Value {
    serde_json::json!({"github": {
        "organizations": {"payready": {}},
        "repositories": {"payready/sophia": {
            "visibility": "private", "topics": ["sophia"], "environments": {"production": {}, "staging": {}}
        }}
    }})
}

/// Starts both services with the newcomer's world.
///
/// # Errors
/// When a port cannot be had; when a store was asked for that nobody could open.
pub async fn start(args: &SandboxArgs, session: &Session) -> Outcome<sandbox::Running> {
    let mut seed: Seed = serde_json::from_value(world())
        .map_err(|error| Failure::unexpected("sandbox-world", "the sandbox's world is broken").cause(error))?;
    let mut options = Options::new(super::run::now);
    if let Some(folder) = &args.store {
        // As --esc-url spells it.
        let folder = folder.to_str().and_then(|text| text.strip_prefix("file://")).map_or(folder.as_path(), Path::new);
        let identities = session.age_identities(args.age_identity.as_deref())?;
        if identities.is_empty() {
            let folder = folder.display();
            return Err(Failure::auth("store-recipient", format!("nobody could open what is written to `{folder}`"))
                .hint("make a key with `age-keygen`, then set SOPHIA_AGE_KEY or give --age-identity FILE"));
        }
        let providers = Providers::default().tolerant().careful();
        options = options.keep_in(session.store_in(folder, args.age_identity.as_deref(), &[], providers)?);
        // Whoever runs it signs the revisions.
        let account = EscTokenSeed { login: Some(session.author()), ..EscTokenSeed::default() };
        seed.esc.tokens.insert(options.pulumi_token.clone(), Some(account));
    }
    options.github_port = args.github_port;
    options.github_socket.clone_from(&args.github_socket);
    options.pulumi_port = args.pulumi_port;
    options.seed = seed;
    sandbox::start(options).await.map_err(|error| {
        Failure::unexpected("sandbox-start", "the sandbox could not start")
            .cause(error)
            .hint("choose other ports with --github-port and --pulumi-port")
    })
}

/// Runs `sandbox`.
///
/// # Errors
/// Those of [`start`].
pub async fn serve(args: SandboxArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let running = start(&args, session).await?;
    door.note("The sandbox listens on this machine only. In another terminal:");
    let pairs = [
        (variables::GITHUB_API_URL, &running.github_url),
        (variables::GITHUB_TOKEN, &running.github_token),
        (variables::PULUMI_BACKEND_URL, &running.pulumi_url),
        (variables::PULUMI_ACCESS_TOKEN, &running.pulumi_token),
    ];
    for (name, value) in pairs {
        door.data(format!("export {name}={value}\n").as_bytes());
    }
    match &args.store {
        None => {
            door.note(&format!("\nWhat GitHub and Pulumi hold, in clear: {}/_sandbox/state", running.github_url));
            door.note(&format!("Every request so far:                  {}/_sandbox/requests", running.github_url));
            door.note("Ctrl-C stops it and forgets everything.");
        }
        Some(folder) => {
            let folder = folder.display();
            door.note(&format!("\nPULUMI_ACCESS_TOKEN opens the secrets in {folder}; it ends with this process."));
            door.note(&format!("Ctrl-C stops it; the environments stay in {folder}."));
        }
    }
    let stopped = tokio::signal::ctrl_c().await;
    running.shutdown();
    stopped.map(|()| 0).map_err(|error| {
        Failure::unexpected("sandbox-signal", "the sandbox cannot be stopped by a signal").cause(error)
    })
}
