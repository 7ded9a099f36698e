//! What a job of GitHub Actions is told beside the streams: masks, annotations, outputs, the summary and the
//! report file.
//!
//! **There is no [`Job`] outside a job, so a mask can be printed nowhere else.** Commands go to stderr: stdout
//! may be data, and `dist/run.sh` makes both one stream. Outputs, summary and report belong to the action alone;
//! a binary that a `run:` step calls gives masks and annotations.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use crypto_box::aead::OsRng;
use crypto_box::aead::rand_core::RngCore as _;

use super::environment::{self, Environment};
use crate::base::error::{Outcome, Problem};
use crate::base::secret::SecretValue;
use crate::io::files;
use crate::report::summary::{self, Section};
use crate::report::{Report, runner};

/// The job that this process runs in.
pub struct Job {
    commands: Box<dyn Write + Send>,
    workspace: Option<String>,
    step: Option<Step>,
}

/// The files of the action's step, and what is to be written to them.
struct Step {
    output: Option<PathBuf>,
    summary: Option<PathBuf>,
    folder: Option<PathBuf>,
    outputs: BTreeMap<&'static str, String>,
    problems: Vec<Problem>,
    reports: Vec<Section>,
}

impl Job {
    /// The job of the environment; none outside GitHub Actions. `as_action`: the process is the action's step.
    #[must_use]
    pub fn of(environment: &Environment, as_action: bool) -> Option<Self> {
        if !environment.in_a_job() {
            return None;
        }
        let path = |name| environment.get(name).map(PathBuf::from);
        let step = as_action.then(|| Step {
            output: path(environment::GITHUB_OUTPUT),
            summary: path(environment::GITHUB_STEP_SUMMARY),
            folder: path(environment::RUNNER_TEMP),
            outputs: BTreeMap::new(),
            problems: Vec::new(),
            reports: Vec::new(),
        });
        let workspace = environment.get(environment::GITHUB_WORKSPACE).map(ToOwned::to_owned);
        Some(Self { commands: Box::new(io::stderr()), workspace, step })
    }

    /// Whether stdout is the job's log, and not data.
    #[must_use]
    pub fn is_action(&self) -> bool {
        self.step.is_some()
    }

    /// Masks one secret from here on; false when it is too short for that.
    #[must_use]
    pub fn mask(&mut self, secret: &SecretValue) -> bool {
        let lines = secret.mask_lines();
        runner::mask(&mut self.commands, lines.iter().map(|line| line.as_str())).unwrap_or(false)
    }

    /// Shows a finding of a report in the log and beside the line that it is about.
    pub fn annotate(&mut self, finding: &Problem) {
        let _ = runner::annotation(&mut self.commands, finding, self.workspace.as_deref());
    }

    /// The same for a problem of the run, which the summary shows too.
    pub fn problem(&mut self, problem: &Problem) {
        self.annotate(problem);
        if let Some(step) = &mut self.step {
            step.problems.push(problem.clone());
        }
    }

    /// Writes the report to a file, keeps it for the summary, and counts it for the outputs.
    ///
    /// # Errors
    /// `file-unwritable`.
    pub fn report(&mut self, report: &dyn Report) -> Outcome<()> {
        let Some(step) = &mut self.step else { return Ok(()) };
        let json = report.json();
        step.outputs.extend(runner::outputs(&json));
        let mut markdown = Vec::new();
        // Writing to memory does not fail.
        let _ = report.markdown(&mut markdown);
        step.reports.push(Section {
            command: json["command"].as_str().unwrap_or("report").to_owned(),
            markdown: String::from_utf8_lossy(&markdown).into_owned(),
        });
        if let Some(folder) = &step.folder {
            let path = folder.join(format!("sophia-secrets-sync-report-{}.json", random_word()));
            files::write_private(&path, format!("{json:#}\n").as_bytes())?;
            step.outputs.insert("report", path.to_string_lossy().into_owned());
        }
        Ok(())
    }

    /// Writes the outputs and the summary; nothing follows.
    ///
    /// # Errors
    /// `file-unwritable`.
    pub fn finish(&mut self, exit_code: u8) -> Outcome<()> {
        let Some(step) = &mut self.step else { return Ok(()) };
        step.outputs.insert("exit-code", exit_code.to_string());
        if let Some(file) = &step.output {
            let mut text = Vec::new();
            for (name, value) in &step.outputs {
                let _ = runner::output(&mut text, name, value, &random_word());
            }
            files::append_line(file, text.trim_ascii_end())?;
        }
        let page = summary::page(&step.problems, &step.reports);
        match &step.summary {
            Some(file) if !page.is_empty() => files::append_line(file, page.trim_end().as_bytes()),
            _ => Ok(()),
        }
    }
}

/// 32 hex digits that nobody can guess.
fn random_word() -> String {
    let mut bytes = [0; 16];
    OsRng.fill_bytes(&mut bytes);
    hex::encode(bytes)
}
