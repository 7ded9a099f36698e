//! From argv to the exit code: one line per command.

use clap::Parser;
use jiff::Timestamp;

use super::args::{Cli, Command};
use super::connect::Session;
use super::door::Door;
use super::environment::Environment;
use crate::base::error::{Failure, Outcome};

/// Runs the command line of this process and answers its exit code (design §7).
#[must_use]
pub fn main() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let environment = Environment::read();
    let mut door = Door::new(cli.global.format, cli.global.color, cli.global.quiet, environment.in_a_job());
    log_to_stderr(cli.global.verbose);
    let session = Session { global: cli.global.clone(), environment, now: now() };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return door.failure(&Failure::unexpected("runtime", "the runtime could not start").cause(error));
        }
    };
    match runtime.block_on(dispatch(cli.command, &session, &mut door)) {
        Ok(code) => code,
        Err(failure) => door.failure(&failure),
    }
}

async fn dispatch(command: Command, _session: &Session, _door: &mut Door) -> Outcome<u8> {
    match command {
        Command::Plan(_) | Command::Sync(_) => Err(Failure::unexpected("not-yet", "being built")),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Logs names, paths and statuses; values and headers never reach a log call.
fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => "sophia_secrets_sync=info",
        _ => "sophia_secrets_sync=debug",
    };
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .without_time()
        .try_init();
}
