//! A program run as a child: its environment, its signals, its exit code, its output without secrets.

use std::ffi::OsString;
use std::io::Write;
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::child_output::Copying;
use crate::base::error::{Failure, Outcome};
use crate::rules::redaction::{Redactor, Secrets};

/// What is run, and how.
pub struct ChildSettings {
    pub program: OsString,
    pub arguments: Vec<OsString>,
    /// Variables that are set for the child, on top of this process's own.
    pub variables: Vec<(String, OsString)>,
    /// Variables that the child does not get.
    pub unset: Vec<String>,
    /// A terminal sends its own signals to the child too; they are then not passed on twice.
    pub at_a_terminal: bool,
}

/// Where the child's output goes. None: it writes to our streams itself, and nothing is redacted.
pub struct Redacted {
    pub secrets: Secrets,
    pub out: Box<dyn Write + Send>,
    pub err: Box<dyn Write + Send>,
}

/// Runs the program to its end; answers its exit code, or 128 and the signal that ended it.
///
/// # Errors
/// `command-missing`, `command-unrunnable` (kind usage) when it cannot be started.
pub async fn run(settings: ChildSettings, redacted: Option<Redacted>) -> Outcome<u8> {
    let mut command = Command::new(&settings.program);
    command.args(&settings.arguments).stdin(Stdio::inherit());
    for name in &settings.unset {
        command.env_remove(name);
    }
    command.envs(settings.variables.iter().map(|(name, value)| (name, value)));
    let mut copies = Vec::new();
    if let Some(redacted) = redacted {
        let begin = |secrets, to| {
            Copying::begin(Redactor::new(secrets), to).map_err(|error| {
                Failure::unexpected("output-unread", "the program's output could not be redirected").cause(error)
            })
        };
        let (out, into_out) = begin(redacted.secrets.clone(), redacted.out)?;
        let (err, into_err) = begin(redacted.secrets, redacted.err)?;
        command.stdout(into_out).stderr(into_err);
        copies.extend([out, err]);
    }
    let mut signals = Signals::listen(settings.at_a_terminal)?;
    let mut child = command.spawn().map_err(|error| not_started(&settings.program, &error))?;
    // It holds ends of the pipes, which would never end.
    drop(command);
    let status = signals.pass_on_until_the_end(&mut child).await;
    copy_the_rest(copies, &mut signals).await;
    let status = status
        .map_err(|error| Failure::unexpected("command-lost", "the program could not be waited for").cause(error))?;
    Ok(exit_code(status))
}

/// Copies what is still to come after the child's end. What a grandchild goes on writing is copied until it rests or the
/// user asks to end; a user who asks again does not wait for a reader that takes nothing either.
async fn copy_the_rest(mut copies: Vec<Copying>, signals: &mut Signals) {
    copies.iter().for_each(Copying::child_ended);
    for _ in 0..2 {
        tokio::select! {
            () = end_all(&mut copies) => return,
            () = signals.asked_to_end() => copies.iter().for_each(Copying::give_up),
        }
    }
}

/// May be given up and called again: those that have ended are gone.
async fn end_all(copies: &mut Vec<Copying>) {
    while let Some(copying) = copies.last_mut() {
        copying.end().await;
        copies.pop();
    }
}

fn not_started(program: &OsString, error: &std::io::Error) -> Failure {
    let program = program.to_string_lossy();
    match error.kind() {
        std::io::ErrorKind::NotFound => Failure::usage("command-missing", format!("there is no program `{program}`"))
            .hint("check its name and PATH"),
        _ => Failure::usage("command-unrunnable", format!("`{program}` could not be started")).cause(error),
    }
}

fn exit_code(status: std::process::ExitStatus) -> u8 {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    let code = status.code().or(signal.map(|signal: i32| 128 + signal)).unwrap_or(1);
    u8::try_from(code & 0xff).unwrap_or(1)
}

#[cfg(unix)]
mod signals {
    use rustix::process::{Pid, Signal};
    use tokio::signal::unix::{self, SignalKind};

    use super::{Child, Failure, Outcome};

    /// The signals that are passed on; the first two come from a terminal to the child as well.
    const PASSED_ON: [Signal; 6] = [Signal::INT, Signal::QUIT, Signal::HUP, Signal::TERM, Signal::USR1, Signal::USR2];

    /// Signals to this process while a child runs.
    pub struct Signals {
        listeners: Vec<(unix::Signal, Signal)>,
        at_a_terminal: bool,
    }

    impl Signals {
        pub fn listen(at_a_terminal: bool) -> Outcome<Self> {
            let mut listeners = Vec::new();
            for signal in PASSED_ON {
                let listener = unix::signal(SignalKind::from_raw(signal.as_raw()))
                    .map_err(|error| Failure::unexpected("signals", "signals cannot be listened to").cause(error))?;
                listeners.push((listener, signal));
            }
            Ok(Self { listeners, at_a_terminal })
        }

        async fn next(&mut self) -> Signal {
            std::future::poll_fn(|context| {
                for (listener, signal) in &mut self.listeners {
                    if let std::task::Poll::Ready(Some(())) = listener.poll_recv(context) {
                        return std::task::Poll::Ready(*signal);
                    }
                }
                std::task::Poll::Pending
            })
            .await
        }

        /// Waits for the child, passing signals on.
        pub async fn pass_on_until_the_end(&mut self, child: &mut Child) -> std::io::Result<std::process::ExitStatus> {
            loop {
                let pid = child.id();
                tokio::select! {
                    // A signal that came before the end was meant for the child: it must not count as one after it.
                    biased;
                    signal = self.next() => {
                        let from_terminal = self.at_a_terminal && matches!(signal, Signal::INT | Signal::QUIT);
                        let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
                        if let (false, Some(pid)) = (from_terminal, pid) {
                            // A child that has just ended takes no signal; its status comes next.
                            let _ = rustix::process::kill_process(pid, signal);
                        }
                    }
                    status = child.wait() => return status,
                }
            }
        }

        /// Waits for a signal that ends a program which does not care for it.
        pub async fn asked_to_end(&mut self) {
            while matches!(self.next().await, Signal::USR1 | Signal::USR2) {}
        }
    }
}

#[cfg(not(unix))]
mod signals {
    use super::{Child, Outcome};

    /// Windows sends Ctrl-C to every process of the console; this one only has to outlive the child.
    pub struct Signals;

    impl Signals {
        pub fn listen(_at_a_terminal: bool) -> Outcome<Self> {
            Ok(Self)
        }

        pub async fn pass_on_until_the_end(&mut self, child: &mut Child) -> std::io::Result<std::process::ExitStatus> {
            loop {
                tokio::select! {
                    status = child.wait() => return status,
                    _ = tokio::signal::ctrl_c() => {}
                }
            }
        }

        pub async fn asked_to_end(&mut self) {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending().await
            }
        }
    }
}

use signals::Signals;
