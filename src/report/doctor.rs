//! The report of `doctor`: one line per question, and what to do where the answer was no.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::{DIM, GREEN, RED, Report, YELLOW, markdown_text};

/// How a question was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Fine,
    /// It cannot be known yet, and may well be in order.
    Unknown,
    Warning,
    /// Something is out of order.
    Failed,
    /// A credential is missing, wrong, or lacks a permission.
    Denied,
}

impl Verdict {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Denied => "denied",
        }
    }
}

/// One question with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub name: String,
    pub verdict: Verdict,
    pub message: String,
    pub hints: Vec<String>,
}

impl Check {
    pub fn fine(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Fine, message: message.into(), hints: Vec::new() }
    }

    pub fn warning(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, ..Self::fine(name, message) }
    }

    pub fn unknown(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { verdict: Verdict::Unknown, ..Self::fine(name, message) }
    }

    pub fn failed(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { verdict: Verdict::Failed, ..Self::fine(name, message) }
    }

    pub fn denied(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { verdict: Verdict::Denied, ..Self::fine(name, message) }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

/// All answers, in the order of the questions.
pub struct DoctorReport {
    pub checks: Vec<Check>,
}

impl DoctorReport {
    /// The worst of all answers.
    #[must_use]
    pub fn worst(&self) -> Verdict {
        self.checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Fine)
    }
}

impl Report for DoctorReport {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        for check in &self.checks {
            let style = match check.verdict {
                Verdict::Fine => GREEN,
                Verdict::Unknown => DIM,
                Verdict::Warning => YELLOW,
                Verdict::Failed | Verdict::Denied => RED,
            };
            writeln!(to, "{style}{:7}{style:#}  {}: {}", check.verdict.word(), check.name, check.message)?;
            for hint in &check.hints {
                writeln!(to, "         hint: {hint}")?;
            }
        }
        Ok(())
    }

    fn json(&self) -> Json {
        let checks: Vec<Json> = self
            .checks
            .iter()
            .map(|check| {
                json!({"name": check.name, "verdict": check.verdict.word(), "message": check.message, "hints": check.hints})
            })
            .collect();
        json!({"schema_version": 1, "command": "doctor", "checks": checks})
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "| check | verdict | answer |\n|---|---|---|")?;
        for check in &self.checks {
            let hints = check.hints.join("; ");
            let answer = if hints.is_empty() { check.message.clone() } else { format!("{} ({hints})", check.message) };
            writeln!(to, "| {} | {} | {} |", markdown_text(&check.name), check.verdict.word(), markdown_text(&answer))?;
        }
        Ok(())
    }
}
