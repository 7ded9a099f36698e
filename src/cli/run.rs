//! From argv to the exit code: one line per command.

use std::ffi::OsString;
use std::sync::Arc;

use jiff::Timestamp;

use super::action;
use super::args::{Cli, Command};
use super::connect::Session;
use super::door::{Color, Door};
use super::environment::{self, Environment};
use super::job::Job;
use crate::base::error::{Failure, Outcome};
use crate::io::files;
use crate::report::Format;
use crate::report::runner::Disarmed;

/// Runs the command line of this process and answers its exit code (design §7).
#[must_use]
pub fn main() -> u8 {
    let environment = Environment::read();
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    if arguments == [OsString::from(action::WORD)] {
        return main_of_action(program, environment);
    }
    let (cli, command) = match Cli::read(std::iter::once(program).chain(arguments)) {
        Ok(read) => read,
        Err(error) => {
            return match error.print() {
                // Help that was asked for did not arrive.
                Err(failed) if !error.use_stderr() && failed.kind() != std::io::ErrorKind::BrokenPipe => 1,
                _ => u8::try_from(error.exit_code()).unwrap_or(2),
            };
        }
    };
    let job = Job::of(&environment, false);
    let format = super::env::report_format(cli.global.format, &cli.command);
    let shown = *format.as_ref().unwrap_or(&Format::Human);
    let mut door = Door::new(shown, cli.global.color, cli.global.quiet, job);
    match format {
        Ok(_) => run(cli, command, environment, door),
        Err(failure) => door.failure(&failure),
    }
}

/// The same for the action's one step: what was typed comes from its inputs.
fn main_of_action(program: OsString, environment: Environment) -> u8 {
    let job = Job::of(&environment, true);
    let mut door = Door::new(Format::Human, Color::Never, false, job);
    let step = match action::step(environment) {
        Ok(step) => step,
        Err(failure) => {
            let code = door.failure(&failure);
            return door.finish(code);
        }
    };
    for (name, secret) in &step.secrets {
        door.mask(name, secret);
    }
    let arguments = step.arguments.into_iter().map(OsString::from);
    match Cli::read(std::iter::once(program).chain(arguments)) {
        Ok((cli, command)) => match super::env::report_format_of_action(cli.global.format, &cli.command) {
            Ok(()) => run(cli, command, step.environment, door),
            Err(failure) => {
                let code = door.failure(&failure);
                door.finish(code)
            }
        },
        Err(error) if error.use_stderr() => {
            let text = error.render().to_string();
            let code = door.failure(&Failure::usage("usage", text.trim_start_matches("error: ").trim_end()));
            door.finish(code)
        }
        Err(error) => {
            door.data(error.render().to_string().as_bytes());
            door.finish(0)
        }
    }
}

fn run(cli: Cli, command: String, environment: Environment, mut door: Door) -> u8 {
    if cli.global.verbose || environment.get(environment::RUNNER_DEBUG) == Some("1") {
        log_to_stderr(environment.in_a_job());
    }
    let session = Session::new(cli.global.clone(), command, environment, Arc::new(now));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return door.failure(&Failure::unexpected("runtime", "the runtime could not start").cause(error));
        }
    };
    #[cfg(unix)]
    {
        let _inside = runtime.enter();
        files::outlive_size_limits();
    }
    let code = match runtime.block_on(dispatch(cli.command, &session, &mut door)) {
        Ok(code) => code,
        Err(failure) => door.failure(&failure),
    };
    door.finish(code)
}

/// Runs one command that was parsed, and answers its exit code.
///
/// # Errors
/// Those of the command.
pub async fn dispatch(command: Command, session: &Session, door: &mut Door) -> Outcome<u8> {
    match command {
        Command::Access(command) => super::access::run(command, session, door).await,
        Command::Add(args) => super::add::add(*args, session, door).await,
        Command::Demo => Box::pin(super::demo::demo(session, door)).await,
        Command::Doctor(args) => super::inspect::doctor(args, session, door).await,
        Command::Audit(args) => super::audit::run(args, session, door).await,
        Command::Emergency(args) => Box::pin(super::emergency::run(*args, session, door)).await,
        Command::Env(args) => super::env::run(args, session, door).await,
        Command::ExportEnv(args) => super::export::export_env(args, session, door).await,
        Command::Github(command) => super::github::github(command, session, door).await,
        Command::Completions(args) => super::shell::completions(&args, door),
        Command::Man => super::shell::man(door),
        Command::ImportEnv(args) => super::import::import_env(args, session, door).await,
        Command::Init(args) => super::init::run(args, session, door),
        Command::Leaks(args) => super::leaks::run(args, session, door).await,
        Command::List(args) => super::inspect::list(args, session, door).await,
        Command::Plan(args) => super::sync::plan(args, session, door).await,
        Command::Rotation(command) => super::rotation::run(command, session, door).await,
        Command::Run(args) => super::child::run(args, session, door).await,
        Command::Sandbox(args) => super::sandbox::serve(args, session, door).await,
        Command::Sync(args) => super::sync::sync(args, session, door).await,
        Command::Template(command) => super::template::run(command, session, door),
        Command::Usage(args) => Box::pin(super::usage::run(args, session, door)).await,
        Command::Verify(args) => super::verify::run(args, session, door).await,
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

/// Logs names, paths and statuses; values and headers never reach a log call.
fn log_to_stderr(in_a_job: bool) {
    let filter = tracing_subscriber::EnvFilter::new("sophia_secrets_sync=debug");
    let log = tracing_subscriber::fmt().with_env_filter(filter).without_time();
    let _ = if in_a_job {
        log.with_ansi(false).with_writer(|| Disarmed::new(std::io::stderr())).try_init()
    } else {
        log.with_writer(std::io::stderr).try_init()
    };
}
