//! The report of `rotation status`: the most pressing first.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::calendar::DueEvent;
use super::{BOLD, DIM, GREEN, RED, Report, YELLOW, markdown_text};
use crate::rules::rotation::{Row, State};

/// All names of a stack.
pub struct RotationReport {
    pub stack: String,
    pub rows: Vec<Row>,
    /// What could not be looked at.
    pub unseen: Vec<String>,
}

impl RotationReport {
    /// Names for which someone has something to do.
    #[must_use]
    pub fn findings(&self) -> usize {
        self.rows.iter().filter(|row| row.standing.state.is_finding()).count()
    }

    /// The events of the calendar.
    #[must_use]
    pub fn events(&self) -> Vec<DueEvent> {
        let due = |row: &Row| {
            Some(DueEvent {
                stack: self.stack.clone(),
                group: row.group.clone(),
                name: row.name.clone(),
                owner: row.owner.clone(),
                due: row.standing.due?,
                warn: row.standing.warn,
            })
        };
        self.rows.iter().filter_map(due).collect()
    }
}

fn date(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

impl Row {
    fn changed(&self) -> String {
        match self.standing.changed {
            Some((time, source)) => format!("{} ({})", date(time), source.word()),
            None => "unknown".to_owned(),
        }
    }

    fn due(&self) -> String {
        self.standing.due.map_or_else(|| "-".to_owned(), date)
    }

    fn owner(&self) -> &str {
        self.owner.as_deref().unwrap_or("-")
    }
}

impl Report for RotationReport {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "{BOLD}stack {}{BOLD:#}", self.stack)?;
        let name = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        let owner = self.rows.iter().map(|row| row.owner().len()).max().unwrap_or(0);
        let width = self.rows.iter().map(|row| row.standing.state.word().len()).max().unwrap_or(0);
        for row in &self.rows {
            let style = match row.standing.state {
                State::Overdue | State::Never => RED,
                State::RotatedNotDelivered | State::QueuedRunsMayHoldTheOldOne | State::DueSoon => YELLOW,
                State::Ok => GREEN,
                State::Unscheduled => DIM,
            };
            let state = row.standing.state.word();
            writeln!(
                to,
                "  {style}{state:width$}{style:#}  {:name$}  due {:10}  {:owner$}  changed {}",
                row.name,
                row.due(),
                row.owner(),
                row.changed()
            )?;
        }
        writeln!(to, "\n{} of {} need attention", self.findings(), self.rows.len())?;
        self.unseen.iter().try_for_each(|unseen| writeln!(to, "{YELLOW}not looked at{YELLOW:#}: {unseen}"))
    }

    fn json(&self) -> Json {
        let rows: Vec<Json> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "name": row.name, "group": row.group, "owner": row.owner, "state": row.standing.state.word(),
                    "changed_at": row.standing.changed.map(|(time, _)| time.to_string()),
                    "changed_source": row.standing.changed.map(|(_, source)| source.word()),
                    "due_at": row.standing.due.map(|time| time.to_string()),
                })
            })
            .collect();
        json!({"schema_version": 1, "command": "rotation status", "stack": self.stack, "secrets": rows, "not_looked_at": self.unseen})
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(
            to,
            "## Rotation: stack {}\n\n{} of {} need attention\n",
            markdown_text(&self.stack),
            self.findings(),
            self.rows.len()
        )?;
        writeln!(to, "| state | name | group | owner | due | changed |\n|---|---|---|---|---|---|")?;
        for row in &self.rows {
            writeln!(
                to,
                "| {} | `{}` | {} | {} | {} | {} |",
                row.standing.state.word(),
                row.name,
                markdown_text(&row.group),
                markdown_text(row.owner()),
                row.due(),
                markdown_text(&row.changed())
            )?;
        }
        self.unseen.iter().try_for_each(|unseen| writeln!(to, "\nNot looked at: {}", markdown_text(unseen)))
    }
}
