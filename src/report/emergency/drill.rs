//! The report of `emergency drill`: one line per step, with how long it took.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::SCHEMA_VERSION;
use crate::report::{BOLD, DIM, GREEN, RED, Report, YELLOW, markdown_text};

/// How a step of the drill went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Passed,
    /// It would work, and something is not as it should be.
    Warning,
    /// It could not be tried.
    Skipped,
    Failed,
}

impl Verdict {
    pub const ALL: [Self; 4] = [Self::Passed, Self::Warning, Self::Skipped, Self::Failed];

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Warning => "warning",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

/// One step of the drill. Value-free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillStep {
    pub name: &'static str,
    pub verdict: Verdict,
    pub detail: String,
    pub milliseconds: u128,
}

/// All steps, in the order in which they were done.
pub struct DrillReport<'a> {
    pub stack: &'a str,
    pub steps: &'a [DrillStep],
}

impl DrillReport<'_> {
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.steps.iter().filter(|step| step.verdict == verdict).count()
    }

    fn counts(&self) -> String {
        let counts = Verdict::ALL.map(|verdict| format!("{} {}", self.count(verdict), verdict.word()));
        counts.join(", ")
    }
}

impl Report for DrillReport<'_> {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "{BOLD}drill of stack {}{BOLD:#}", self.stack)?;
        let width = self.steps.iter().map(|step| step.name.len()).max().unwrap_or(0);
        for step in self.steps {
            let style = match step.verdict {
                Verdict::Passed => GREEN,
                Verdict::Warning | Verdict::Skipped => YELLOW,
                Verdict::Failed => RED,
            };
            let (word, name) = (step.verdict.word(), step.name);
            let time = format!("{} ms", step.milliseconds);
            writeln!(to, "  {style}{word:<7}{style:#}  {name:<width$}  {DIM}{time}{DIM:#}  {}", step.detail)?;
        }
        writeln!(to, "{}", self.counts())
    }

    fn json(&self) -> Json {
        let step = |step: &DrillStep| {
            json!({
                "name": step.name, "verdict": step.verdict.word(), "detail": step.detail,
                "duration": format!("{} ms", step.milliseconds)
            })
        };
        json!({
            "schema_version": SCHEMA_VERSION, "command": "emergency drill", "stack": self.stack,
            "passed": self.count(Verdict::Failed) == 0, "steps": self.steps.iter().map(step).collect::<Vec<_>>()
        })
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "Drill of stack {}: {}.\n", markdown_text(self.stack), self.counts())?;
        writeln!(to, "| step | outcome | time | detail |\n|---|---|---|---|")?;
        for step in self.steps {
            let detail = markdown_text(&step.detail);
            writeln!(to, "| {} | {} | {} ms | {detail} |", step.name, step.verdict.word(), step.milliseconds)?;
        }
        Ok(())
    }
}
