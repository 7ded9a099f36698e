//! The report of `rotation remind`: which issues were written.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::{BOLD, DIM, GREEN, Report, YELLOW, markdown_text};
use crate::rules::rotation::reminder::Action;

/// Version of the JSON form.
pub const SCHEMA_VERSION: u32 = 1;

/// One issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reminded {
    pub action: Action,
    /// None for one that a dry run did not open.
    pub number: Option<u64>,
    pub title: String,
    /// The secrets that it reminds of.
    pub names: Vec<String>,
}

/// All issues of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReminderReport {
    pub stack: String,
    pub repository: String,
    pub dry_run: bool,
    pub issues: Vec<Reminded>,
    /// What could not be looked at.
    pub unseen: Vec<String>,
}

impl Reminded {
    fn number(&self) -> String {
        self.number.map_or_else(|| "#-".to_owned(), |number| format!("#{number}"))
    }
}

impl ReminderReport {
    fn heading(&self) -> String {
        let dry = if self.dry_run { ", dry run" } else { "" };
        format!("Reminders: stack {} in {}{dry}", self.stack, self.repository)
    }
}

impl Report for ReminderReport {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "{BOLD}{}{BOLD:#}", self.heading())?;
        for issue in &self.issues {
            let (sign, style) = match issue.action {
                Action::Open => ("+", GREEN),
                Action::Update => ("~", YELLOW),
                Action::Close => ("-", GREEN),
                Action::Keep => ("=", DIM),
            };
            let (word, number) = (issue.action.word(), issue.number());
            writeln!(to, "  {style}{sign} {word:6} {number}{style:#}  {}", issue.title)?;
            for name in &issue.names {
                writeln!(to, "      {name}")?;
            }
        }
        if self.issues.is_empty() {
            writeln!(to, "  nothing to remind of")?;
        }
        self.unseen.iter().try_for_each(|unseen| writeln!(to, "{YELLOW}not looked at{YELLOW:#}: {unseen}"))
    }

    fn json(&self) -> Json {
        let issue = |issue: &Reminded| {
            json!({
                "action": issue.action.word(), "number": issue.number, "title": issue.title, "names": issue.names
            })
        };
        json!({
            "schema_version": SCHEMA_VERSION, "command": "rotation remind", "stack": self.stack,
            "repository": self.repository, "dry_run": self.dry_run,
            "issues": self.issues.iter().map(issue).collect::<Vec<_>>(), "not_looked_at": self.unseen,
        })
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "## {}\n\n| | issue | title | names |\n|---|---|---|---:|", markdown_text(&self.heading()))?;
        for issue in &self.issues {
            let title = markdown_text(&issue.title);
            writeln!(to, "| {} | {} | {title} | {} |", issue.action.word(), issue.number(), issue.names.len())?;
        }
        self.unseen.iter().try_for_each(|unseen| writeln!(to, "\nNot looked at: {}", markdown_text(unseen)))
    }
}
