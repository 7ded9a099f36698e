//! The report of `usage`: every name beside the places that hold or use it, and what does not fit.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::findings::FindingsReport;
use super::{BOLD, DIM, JobLog, Report, markdown_text};
use crate::base::error::Problem;
use crate::base::target::EntryKind;
use crate::rules::usage::FileKind;

/// How many of the places that should hold a name do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    pub held: usize,
    pub of: usize,
}

/// One name of the definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub name: String,
    pub kind: EntryKind,
    pub groups: BTreeSet<String>,
    pub stacks: BTreeSet<String>,
    pub required: bool,
    /// Stacks whose ESC environment has a value; none when ESC was not opened.
    pub esc: Option<Held>,
    /// Targets; none when GitHub was not asked.
    pub github: Option<Held>,
    /// How often files of each kind use it.
    pub uses: BTreeMap<FileKind, usize>,
}

/// What `usage` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageReport {
    pub stacks: Vec<String>,
    pub rows: Vec<Row>,
    /// Files that were read for uses.
    pub files: usize,
    pub findings: FindingsReport,
}

const HEADINGS: [&str; 5] = ["name", "kind", "stacks", "ESC", "GitHub"];

impl Row {
    fn cells(&self) -> Vec<String> {
        let held = |held: Option<Held>| match held {
            None => "?".to_owned(),
            Some(Held { of: 0, .. }) => "-".to_owned(),
            Some(Held { held, of }) => format!("{held}/{of}"),
        };
        let stacks = self.stacks.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        let uses = FileKind::ALL.iter().map(|kind| match self.uses.get(kind) {
            None => "-".to_owned(),
            Some(count) => count.to_string(),
        });
        let first = [self.name.clone(), self.kind.word().to_owned(), stacks, held(self.esc), held(self.github)];
        first.into_iter().chain(uses).collect()
    }

    fn json(&self) -> Json {
        let held = |held: Option<Held>| held.map(|Held { held, of }| json!({ "held": held, "of": of }));
        let uses: serde_json::Map<String, Json> = FileKind::ALL
            .iter()
            .map(|kind| (kind.word().to_owned(), json!(self.uses.get(kind).copied().unwrap_or(0))))
            .collect();
        json!({ "name": self.name, "kind": self.kind.word(), "groups": self.groups, "stacks": self.stacks,
            "required": self.required, "esc": held(self.esc), "github": held(self.github), "uses": uses })
    }
}

fn headings() -> Vec<String> {
    let kinds = FileKind::ALL.iter().map(|kind| kind.word());
    HEADINGS.into_iter().chain(kinds).map(str::to_owned).collect()
}

impl UsageReport {
    /// How many findings there are by code.
    #[must_use]
    pub fn counts(&self) -> Vec<(&'static str, usize)> {
        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        for problem in &self.findings.problems {
            *counts.entry(problem.code).or_default() += 1;
        }
        counts.into_iter().collect()
    }
}

impl UsageReport {
    fn table(&self, to: &mut dyn Write) -> io::Result<()> {
        let table: Vec<Vec<String>> = std::iter::once(headings()).chain(self.rows.iter().map(Row::cells)).collect();
        let columns = headings().len();
        let width =
            |column: usize| table.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for (index, row) in table.iter().enumerate() {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}", width = *width)).collect();
            let line = cells.join("  ");
            let style = if index == 0 { BOLD } else { anstyle::Style::new() };
            writeln!(to, "{style}{}{style:#}", line.trim_end())?;
        }
        writeln!(to, "{DIM}uses in {}; reading code is by pattern{DIM:#}\n", super::counted(self.files, "file"))
    }
}

impl Report for UsageReport {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        self.table(to)?;
        self.findings.human(to)
    }

    fn log(&self, log: &mut dyn JobLog) -> io::Result<()> {
        self.table(log)?;
        self.findings.log(log)
    }

    fn findings(&self) -> Cow<'_, [Problem]> {
        self.findings.findings()
    }

    fn json(&self) -> Json {
        let mut json = self.findings.json();
        if let Some(members) = json.as_object_mut() {
            members.insert("stacks".to_owned(), json!(self.stacks));
            members.insert("files".to_owned(), json!(self.files));
            members.insert("names".to_owned(), self.rows.iter().map(Row::json).collect());
        }
        json
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        self.findings.markdown(to)?;
        writeln!(to, "\n| {} |\n|{}", headings().join(" | "), "---|".repeat(headings().len()))?;
        for row in &self.rows {
            let cells: Vec<String> = row.cells().iter().map(|cell| markdown_text(cell)).collect();
            writeln!(to, "| {} |", cells.join(" | "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::runner::Disarmed;

    #[test]
    fn the_log_of_the_action_leaves_the_findings_to_annotations() {
        let problems = vec![Problem::error("used-not-defined", "`X_KEY` is not delivered")];
        let findings = FindingsReport { command: "usage", subject: "d.yaml".into(), problems, unchecked: vec![] };
        let report = UsageReport { stacks: vec![], rows: vec![], files: 2, findings };
        let mut bytes = Vec::new();
        report.log(&mut Disarmed::new(anstream::StripStream::new(&mut bytes))).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("uses in 2 files") && text.ends_with("d.yaml: 1 error\n"), "{text}");
        assert!(!text.contains("X_KEY"), "{text}");
        assert_eq!(report.findings(), report.findings.problems);
    }
}
