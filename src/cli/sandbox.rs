//! `sandbox`: serves loopback GitHub and Pulumi Cloud until stopped.

use clap::Args;

use super::connect::Session;
use super::door::Door;
use super::environment as variables;
use crate::base::error::{Failure, Outcome};
use crate::sandbox::{self, Options};

#[derive(Debug, Clone, Args)]
pub struct SandboxArgs {
    /// Port of GitHub [default: any free one]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub github_port: u16,
    /// Unix socket on which GitHub answers too, for `gh` (`http_unix_socket`)
    #[arg(long, value_name = "FILE")]
    pub github_socket: Option<std::path::PathBuf>,
    /// Port of Pulumi Cloud [default: any free one]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub pulumi_port: u16,
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
/// When a port cannot be had.
pub async fn start(args: &SandboxArgs) -> Outcome<sandbox::Running> {
    let seed = serde_json::from_value(world())
        .map_err(|error| Failure::unexpected("sandbox-world", "the sandbox's world is broken").cause(error))?;
    let options = Options {
        github_port: args.github_port,
        github_socket: args.github_socket.clone(),
        pulumi_port: args.pulumi_port,
        seed,
        ..Options::new(super::run::now)
    };
    sandbox::start(options).await.map_err(|error| {
        Failure::unexpected("sandbox-start", "the sandbox could not start")
            .cause(error)
            .hint("choose other ports with --github-port and --pulumi-port")
    })
}

/// Runs `sandbox`.
///
/// # Errors
/// When a port cannot be had.
pub async fn serve(args: SandboxArgs, _session: &Session, door: &mut Door) -> Outcome<u8> {
    let running = start(&args).await?;
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
    door.note(&format!("\nWhat GitHub and Pulumi hold, in clear: {}/_sandbox/state", running.github_url));
    door.note(&format!("Every request so far:                  {}/_sandbox/requests", running.github_url));
    door.note("Ctrl-C stops it and forgets everything.");
    let stopped = tokio::signal::ctrl_c().await;
    running.shutdown();
    stopped.map(|()| 0).map_err(|error| {
        Failure::unexpected("sandbox-signal", "the sandbox cannot be stopped by a signal").cause(error)
    })
}
