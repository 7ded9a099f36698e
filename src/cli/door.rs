//! The door: the only place that writes to the terminal and knows exit codes.
//!
//! **Data goes to stdout, everything else to stderr.** A reader that closed its end of the pipe ends the
//! output quietly; any other failed write ends the run with 1, for what was asked for did not arrive.

use std::io::{self, Write};

use anstream::AutoStream;

use super::job::Job;
use crate::base::error::{Failure, Problem, Severity};
use crate::base::secret::SecretValue;
use crate::base::target::EntryKind;
use crate::report::runner::{Disarmed, SHORTEST_MASK};
use crate::report::{self, BOLD, Format, RED, Report, YELLOW};
use crate::rules::backup::Backup;
use crate::rules::desired::Desired;
use crate::rules::variables::Variable;

/// When colour is used (`--color`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    Always,
    Never,
}

/// The streams of a run.
pub struct Door {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    format: Format,
    quiet: bool,
    /// In a job, problems become annotations and foreign text is kept from giving commands.
    job: Option<Job>,
    /// Whether something for stdout was lost.
    lost: bool,
}

impl Door {
    #[must_use]
    pub fn new(format: Format, color: Color, quiet: bool, job: Option<Job>) -> Self {
        let choice = match color {
            Color::Auto => None,
            Color::Always => Some(anstream::ColorChoice::Always),
            Color::Never => Some(anstream::ColorChoice::Never),
        };
        let mut out: Box<dyn Write + Send> = match choice {
            None => Box::new(AutoStream::auto(io::stdout())),
            Some(choice) => Box::new(AutoStream::new(io::stdout(), choice)),
        };
        let mut err: Box<dyn Write + Send> = match choice {
            None => Box::new(AutoStream::auto(io::stderr())),
            Some(choice) => Box::new(AutoStream::new(io::stderr(), choice)),
        };
        if let Some(job) = &job {
            err = Box::new(Disarmed::new(err));
            if job.is_action() {
                out = Box::new(Disarmed::new(out));
            }
        }
        Self { out, err, format, quiet, job, lost: false }
    }

    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    #[must_use]
    pub fn in_a_job(&self) -> bool {
        self.job.is_some()
    }

    /// Masks a secret in the job's log; outside a job it does nothing. Call it before anything else is
    /// written once the value is known. `name` is what a value too short to be masked is reported by.
    pub fn mask(&mut self, name: &str, secret: &SecretValue) {
        let masked = self.job.as_mut().is_none_or(|job| job.mask(secret));
        if !masked {
            self.line(
                &Problem::warning(
                    "mask-too-short",
                    format!("`{name}` has fewer than {SHORTEST_MASK} characters: the runner cannot mask it"),
                ),
                true,
            );
        }
    }

    /// Masks the secrets among a stack's variables; see [`Self::mask`].
    pub fn mask_all(&mut self, variables: &[Variable]) {
        for variable in variables.iter().filter(|variable| variable.kind == EntryKind::Secret) {
            self.mask(&variable.name, &variable.value);
        }
    }

    /// Masks the secrets among what a stack delivers; see [`Self::mask`].
    pub fn mask_desired(&mut self, desired: &Desired) {
        for candidate in &desired.candidates {
            if let Some(secret) = candidate.secret() {
                self.mask(&candidate.name, secret);
            }
        }
    }

    /// Masks every secret of a backup; see [`Self::mask`].
    pub fn mask_backup(&mut self, backup: &Backup) {
        if self.in_a_job() {
            backup.secrets().iter().for_each(|(path, secret)| self.mask(path, secret));
        }
    }

    /// Writes a report to stdout in the chosen format. In the action's step that is the log, its findings are
    /// annotations, and the summary takes the report too.
    pub fn report(&mut self, report: &dyn Report) {
        let as_log = self.format == Format::Human && self.job.as_ref().is_some_and(Job::is_action);
        let written = self.out.flush().and_then(|()| match as_log {
            true => report.log(&mut Disarmed::new(anstream::StripStream::new(io::stdout()))),
            false => report::write(report, self.format, &mut *self.out),
        });
        let written = written.and_then(|()| self.out.flush());
        self.wrote(written);
        if let Some(job) = self.job.as_mut().filter(|_| as_log) {
            report.findings().iter().for_each(|finding| job.annotate(finding));
        }
        self.publish(report);
    }

    /// Shows a report in the summary and the outputs of a job; outside a job it does nothing.
    pub fn publish(&mut self, report: &dyn Report) {
        if let Some(Err(failure)) = self.job.as_mut().map(|job| job.report(report)) {
            self.failure(&failure);
        }
    }

    /// Ends the run: the action's outputs are written. Answers the exit code: 1 for a run that is done, and could not
    /// say so.
    pub fn finish(&mut self, exit_code: u8) -> u8 {
        let exit_code = if self.lost { exit_code.max(1) } else { exit_code };
        match self.job.as_mut().map(|job| job.finish(exit_code)) {
            Some(Err(failure)) => exit_code.max(self.failure(&failure)),
            _ => exit_code,
        }
    }

    /// Writes bytes to stdout as they are: values that were asked for, and files for `-`.
    pub fn data(&mut self, bytes: &[u8]) {
        // Not through `out`: where no terminal is, that takes escape sequences for colours and drops them.
        let mut stdout: Box<dyn Write> = match &self.job {
            Some(job) if job.is_action() => Box::new(Disarmed::new(io::stdout())),
            _ => Box::new(io::stdout()),
        };
        let written = self.out.flush().and_then(|()| stdout.write_all(bytes)).and_then(|()| stdout.flush());
        self.wrote(written);
    }

    /// A closed pipe is the reader's choice, not our failure.
    fn wrote(&mut self, written: io::Result<()>) {
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe && !self.lost => {
                self.lost = true;
                let failure = Failure::unexpected("output", "stdout could not be written").cause(error);
                self.failure(&failure.hint("what was asked for did not arrive there; what was changed stays changed"));
            }
            _ => {}
        }
    }

    /// Says something on stderr; not with `--quiet`.
    pub fn note(&mut self, text: &str) {
        if !self.quiet {
            let _ = writeln!(self.err, "{text}");
        }
    }

    /// Prints findings on stderr, errors and warnings with their places. A hint that several in a row share is
    /// said once, below the last of them.
    pub fn problems<'p>(&mut self, problems: impl IntoIterator<Item = &'p Problem>) {
        let quiet = self.quiet;
        self.lines(problems.into_iter().filter(|problem| problem.severity == Severity::Error || !quiet));
    }

    fn lines<'p>(&mut self, problems: impl IntoIterator<Item = &'p Problem>) {
        let mut problems = problems.into_iter().peekable();
        while let Some(problem) = problems.next() {
            let shared = problems.peek().is_some_and(|next| next.hint == problem.hint);
            self.line(problem, !shared);
        }
    }

    fn line(&mut self, problem: &Problem, with_hint: bool) {
        if let Some(job) = &mut self.job {
            return job.problem(problem);
        }
        let (style, word) = match problem.severity {
            Severity::Error => (RED, "error"),
            Severity::Warning => (YELLOW, "warning"),
        };
        let _ = match &problem.place {
            Some(place) => writeln!(
                self.err,
                "{BOLD}{place}:{BOLD:#} {style}{word}[{}]{style:#}: {}",
                problem.code, problem.message
            ),
            None => writeln!(self.err, "{style}{word}[{}]{style:#}: {}", problem.code, problem.message),
        };
        if let (Some(hint), true) = (&problem.hint, with_hint) {
            let _ = writeln!(self.err, "  hint: {hint}");
        }
    }

    /// Prints a failure and answers the exit code of its kind.
    pub fn failure(&mut self, failure: &Failure) -> u8 {
        self.lines(&failure.problems);
        if let Some(job) = &mut self.job {
            job.problem(&as_problem(failure));
            return failure.kind.exit_code();
        }
        let _ = writeln!(self.err, "{RED}error[{}]{RED:#}: {}", failure.code, failure.message);
        for cause in &failure.causes {
            let _ = writeln!(self.err, "  caused by: {cause}");
        }
        for hint in &failure.hints {
            let _ = writeln!(self.err, "  hint: {hint}");
        }
        failure.kind.exit_code()
    }
}

/// A failure as one annotation: there are few of them on a page.
fn as_problem(failure: &Failure) -> Problem {
    let causes = failure.causes.iter().map(|cause| format!("\ncaused by: {cause}"));
    let message = std::iter::once(failure.message.clone()).chain(causes).collect::<String>();
    let hint = (!failure.hints.is_empty()).then(|| failure.hints.join("\n"));
    Problem { hint, ..Problem::error(failure.code, message) }
}
