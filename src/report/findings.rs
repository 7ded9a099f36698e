//! The report of a command that looks for problems: `template check`, `access check`.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{BOLD, GREEN, JobLog, RED, Report, YELLOW};
use crate::base::error::{Problem, Severity};

/// Version of the JSON form.
pub const SCHEMA_VERSION: u32 = 1;

/// What a command found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingsReport {
    /// The command, as typed: `template check`.
    pub command: &'static str,
    /// What was looked at.
    pub subject: String,
    pub problems: Vec<Problem>,
    /// What could not be looked at, and why.
    pub unchecked: Vec<String>,
}

#[derive(Serialize)]
struct Finding<'p> {
    code: &'static str,
    severity: &'static str,
    file: Option<&'p str>,
    line: Option<usize>,
    column: Option<usize>,
    message: &'p str,
    hint: Option<&'p str>,
}

impl<'p> From<&'p Problem> for Finding<'p> {
    fn from(problem: &'p Problem) -> Self {
        let place = problem.place.as_ref();
        Self {
            code: problem.code,
            severity: word(problem.severity),
            file: place.map(|place| place.file.as_str()),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            message: &problem.message,
            hint: problem.hint.as_deref(),
        }
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// `no findings`, `1 error, 2 warnings`.
pub(super) fn count(problems: &[Problem]) -> String {
    let part = |severity| match problems.iter().filter(|problem| problem.severity == severity).count() {
        0 => None,
        1 => Some(format!("1 {}", word(severity))),
        many => Some(format!("{many} {}s", word(severity))),
    };
    let parts: Vec<String> = [Severity::Error, Severity::Warning].into_iter().filter_map(part).collect();
    if parts.is_empty() { "no findings".to_owned() } else { parts.join(", ") }
}

/// Findings as a Markdown table.
pub(super) fn table<'p>(problems: impl IntoIterator<Item = &'p Problem>, to: &mut dyn Write) -> io::Result<()> {
    writeln!(to, "| | finding | place | what to do |\n|---|---|---|---|")?;
    for problem in problems {
        let place = problem.place.as_ref().map(ToString::to_string).unwrap_or_default();
        let hint = problem.hint.as_deref().unwrap_or_default();
        let [message, place, hint] = [&problem.message, place.as_str(), hint].map(cell);
        writeln!(to, "| {} | `{}`: {message} | {place} | {hint} |", word(problem.severity), problem.code)?;
    }
    Ok(())
}

/// A text whose lines stay lines within a cell, and whose quoted words are code.
fn cell(text: &str) -> String {
    text.lines().map(line).collect::<Vec<_>>().join("<br>")
}

fn line(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    // Every second part stands between backticks, unless one has no partner.
    if parts.len().is_multiple_of(2) || parts.iter().skip(1).step_by(2).any(|quoted| quoted.trim().is_empty()) {
        return super::markdown_text(text);
    }
    let part = |(index, part): (usize, &&str)| match index % 2 {
        0 => super::markdown_text(part),
        _ => format!("`{}`", part.replace('\r', " ").replace('|', "\\|")),
    };
    parts.iter().enumerate().map(part).collect()
}

impl FindingsReport {
    /// What follows the findings.
    fn tail(&self, to: &mut dyn Write) -> io::Result<()> {
        for unchecked in &self.unchecked {
            writeln!(to, "not checked: {unchecked}")?;
        }
        let style = if self.problems.is_empty() { GREEN } else { BOLD };
        writeln!(to, "{}: {style}{}{style:#}", self.subject, count(&self.problems))
    }
}

impl Report for FindingsReport {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        for problem in &self.problems {
            let style = if problem.severity == Severity::Error { RED } else { YELLOW };
            if let Some(place) = &problem.place {
                write!(to, "{BOLD}{place}:{BOLD:#} ")?;
            }
            let severity = word(problem.severity);
            writeln!(to, "{style}{severity}[{}]{style:#}: {}", problem.code, problem.message)?;
            if let Some(hint) = &problem.hint {
                writeln!(to, "  hint: {hint}")?;
            }
        }
        self.tail(to)
    }

    fn json(&self) -> Json {
        let findings: Vec<Finding> = self.problems.iter().map(Finding::from).collect();
        json!({ "schema_version": SCHEMA_VERSION, "command": self.command, "subject": self.subject,
            "findings": findings, "unchecked": self.unchecked })
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "### {} of {}: {}\n", self.command, super::markdown_text(&self.subject), count(&self.problems))?;
        if !self.problems.is_empty() {
            table(&self.problems, to)?;
            writeln!(to)?;
        }
        for unchecked in &self.unchecked {
            writeln!(to, "- not checked: {}", super::markdown_text(unchecked))?;
        }
        Ok(())
    }

    fn log(&self, log: &mut dyn JobLog) -> io::Result<()> {
        self.tail(log)
    }

    fn findings(&self) -> Cow<'_, [Problem]> {
        Cow::Borrowed(&self.problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Place;
    use crate::report::{Format, write};

    fn report() -> FindingsReport {
        let place = Place { file: "env.example".into(), line: 3, column: 1 };
        FindingsReport {
            command: "template check",
            subject: "env.example".into(),
            problems: vec![
                Problem::error("template-extra", "no `A|B` <here>").at(place).hint("remove it"),
                Problem::warning("other", "odd"),
            ],
            unchecked: vec!["github".into()],
        }
    }

    fn text(report: &FindingsReport, format: Format) -> String {
        let mut bytes = Vec::new();
        write(report, format, &mut anstream::StripStream::new(&mut bytes)).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn says_the_same_in_every_format() {
        let expected = "env.example:3:1: error[template-extra]: no `A|B` <here>\n  hint: remove it\n\
                        warning[other]: odd\nnot checked: github\nenv.example: 1 error, 1 warning\n";
        assert_eq!(text(&report(), Format::Human), expected);
        let markdown = text(&report(), Format::Markdown);
        assert!(markdown.contains("| error | `template-extra`: no `A\\|B` \\<here\\> | env.example:3:1 | remove it |"));
        assert_eq!(cell("a ` b\nc `` d"), "a \\` b<br>c \\`\\` d");
        let json = report().json();
        assert_eq!(json["findings"][0]["line"], 3);
        assert_eq!(json["findings"][1]["file"], Json::Null);
        let none = FindingsReport { problems: vec![], unchecked: vec![], ..report() };
        assert_eq!(text(&none, Format::Human), "env.example: no findings\n");
    }
}
