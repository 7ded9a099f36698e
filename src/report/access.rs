//! What `access matrix`, `access can` and `access diff` print.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::{BOLD, DIM, GREEN, RED, Report, YELLOW, markdown_text};
use crate::rules::definition::Identity;
use crate::rules::policy::Decision;
use crate::rules::policy::review::{Cell, Change, Matrix};

/// Version of the JSON forms in this file.
pub const SCHEMA_VERSION: u32 = 1;

/// The report of `access matrix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixReport {
    pub definition: String,
    pub matrix: Matrix,
}

/// The word for a cell; the difference between what is granted and what is delivered is the point of the table.
fn word(cell: &Cell) -> &'static str {
    match (cell.allowed, cell.delivered) {
        (true, true) => "delivered",
        (true, false) => "may",
        (false, true) => "DENIED",
        (false, false) => "-",
    }
}

const OPEN: &str = "there are no access policies: everything is allowed";

impl Report for MatrixReport {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        let Matrix { columns, rows, binding } = &self.matrix;
        if !binding {
            writeln!(to, "{YELLOW}{OPEN}{YELLOW:#}\n")?;
        }
        for row in rows {
            writeln!(to, "{BOLD}{}{BOLD:#}", row.identity)?;
            let width = columns.iter().map(|(group, stack)| group.chars().count() + stack.chars().count() + 1).max();
            for ((group, stack), cell) in columns.iter().zip(&row.cells) {
                let style = match (cell.allowed, cell.delivered) {
                    (true, _) => GREEN,
                    (false, true) => RED,
                    (false, false) => DIM,
                };
                let place = format!("{stack}/{group}");
                let by =
                    if cell.policies.is_empty() { String::new() } else { format!("  by {}", cell.policies.join(", ")) };
                writeln!(to, "  {place:width$}  {style}{}{style:#}{by}", word(cell), width = width.unwrap_or(0))?;
            }
        }
        Ok(())
    }

    fn json(&self) -> Json {
        let Matrix { columns, rows, binding } = &self.matrix;
        let rows: Vec<Json> = rows
            .iter()
            .map(|row| {
                let cells: Vec<Json> = columns
                    .iter()
                    .zip(&row.cells)
                    .map(|((group, stack), cell)| {
                        json!({ "group": group, "stack": stack, "allowed": cell.allowed,
                            "policies": cell.policies, "delivered": cell.delivered })
                    })
                    .collect();
                json!({ "type": row.identity.kind.word(), "name": row.identity.name, "access": cells })
            })
            .collect();
        json!({ "schema_version": SCHEMA_VERSION, "command": "access matrix", "definition": self.definition,
            "binding": binding, "identities": rows })
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        let Matrix { columns, rows, binding } = &self.matrix;
        writeln!(to, "### Access by {}\n", markdown_text(&self.definition))?;
        if !binding {
            writeln!(to, "{OPEN}\n")?;
        }
        write!(to, "| group | stack |")?;
        for row in rows {
            write!(to, " {} |", markdown_text(&row.identity.to_string()))?;
        }
        writeln!(to, "\n|---|---|{}", "---|".repeat(rows.len()))?;
        for (index, (group, stack)) in columns.iter().enumerate() {
            write!(to, "| {} | {} |", markdown_text(group), markdown_text(stack))?;
            for cell in rows.iter().filter_map(|row| row.cells.get(index)) {
                write!(to, " {} |", word(cell))?;
            }
            writeln!(to)?;
        }
        Ok(())
    }
}

/// The report of `access can`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanReport {
    pub identity: Identity,
    pub group: String,
    pub stack: String,
    pub decision: Decision,
    /// False: there are no policies.
    pub binding: bool,
}

impl CanReport {
    fn sentence(&self) -> String {
        let Self { identity, group, stack, decision, binding } = self;
        match (&decision.policy, decision.allowed) {
            (Some(policy), _) => format!("yes: the policy `{policy}` grants `{group}` of `{stack}` to `{identity}`"),
            (None, true) if !binding => format!("yes: {OPEN}"),
            _ => format!("no: no policy grants `{group}` of `{stack}` to `{identity}`"),
        }
    }
}

impl Report for CanReport {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        let style = if self.decision.allowed { GREEN } else { RED };
        writeln!(to, "{style}{}{style:#}", self.sentence())
    }

    fn json(&self) -> Json {
        json!({ "schema_version": SCHEMA_VERSION, "command": "access can",
            "identity": { "type": self.identity.kind.word(), "name": self.identity.name },
            "group": self.group, "stack": self.stack, "allowed": self.decision.allowed,
            "policy": self.decision.policy, "binding": self.binding })
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "{}", markdown_text(&self.sentence()))
    }
}

/// The report of `access diff`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffReport {
    pub before: String,
    pub after: String,
    pub changes: Vec<Change>,
    /// Whether policies bind, before and after.
    pub binding: (bool, bool),
}

impl DiffReport {
    /// Whether anyone gains or loses anything, those included whom no file names.
    #[must_use]
    pub fn differs(&self) -> bool {
        !self.changes.is_empty() || self.binding.0 != self.binding.1
    }

    /// What changes for everyone that neither file names.
    fn for_all_others(&self) -> Option<&'static str> {
        match self.binding {
            (true, false) => Some("no policy binds any more: everyone may have everything"),
            (false, true) => Some("policies bind from now on: what none of them grants is denied"),
            _ => None,
        }
    }
}

impl Report for DiffReport {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        for change in &self.changes {
            let (style, sign) = if change.gained { (GREEN, '+') } else { (RED, '-') };
            let by = change.policy.as_ref().map(|policy| format!("  by {policy}")).unwrap_or_default();
            writeln!(to, "{style}{sign} {}{style:#}  {}/{}{by}", change.identity, change.stack, change.group)?;
        }
        let gained = self.changes.iter().filter(|change| change.gained).count();
        let lost = self.changes.len() - gained;
        writeln!(to, "from {} to {}: {gained} gained, {lost} lost", self.before, self.after)?;
        self.for_all_others().map_or(Ok(()), |words| writeln!(to, "{YELLOW}{words}{YELLOW:#}"))
    }

    fn json(&self) -> Json {
        let changes: Vec<Json> = self
            .changes
            .iter()
            .map(|change| {
                json!({ "identity": { "type": change.identity.kind.word(), "name": change.identity.name },
                    "group": change.group, "stack": change.stack,
                    "change": if change.gained { "gained" } else { "lost" }, "policy": change.policy })
            })
            .collect();
        json!({ "schema_version": SCHEMA_VERSION, "command": "access diff", "before": self.before,
            "after": self.after, "binding": { "before": self.binding.0, "after": self.binding.1 }, "changes": changes })
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "### Access from {} to {}\n", markdown_text(&self.before), markdown_text(&self.after))?;
        if let Some(words) = self.for_all_others() {
            writeln!(to, "**{words}**\n")?;
        }
        if self.changes.is_empty() {
            return writeln!(to, "No one that is named gains or loses anything.");
        }
        writeln!(to, "| | who | stack | group | by |\n|---|---|---|---|---|")?;
        for change in &self.changes {
            let word = if change.gained { "gains" } else { "loses" };
            let by = change.policy.as_deref().unwrap_or_default();
            let who = change.identity.to_string();
            let [who, stack, group, by] = [who.as_str(), &change.stack, &change.group, by].map(markdown_text);
            writeln!(to, "| {word} | {who} | {stack} | {group} | {by} |")?;
        }
        Ok(())
    }
}
