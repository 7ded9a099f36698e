//! The report of `list`: every name of a stack, masked, with where it is delivered and how old it is.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::{BOLD, DIM, RED, Report, markdown_text};
use crate::base::text::counted;

/// Where one name is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    pub target: String,
    /// GitHub's `updated_at`; none when it is not there yet.
    pub updated_at: Option<String>,
    /// When the value last changed, where the ledger knows.
    pub changed_at: Option<String>,
    /// Whole days since the value last changed, else since GitHub's date.
    pub days: Option<i64>,
}

/// One name of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    pub group: String,
    pub kind: &'static str,
    /// None when ESC holds a usable value, else why not.
    pub trouble: Option<String>,
    pub delivered: Vec<Delivered>,
}

/// All names of a stack by group.
pub struct ListReport {
    pub stack: String,
    pub environment: String,
    pub names: Vec<Listed>,
}

fn age(delivered: &Delivered) -> String {
    match (delivered.days, &delivered.updated_at) {
        (Some(0), _) => "today".to_owned(),
        (Some(1), _) => "1 day old".to_owned(),
        (Some(days), _) => format!("{days} days old"),
        (None, Some(updated_at)) => updated_at.clone(),
        (None, None) => "not there yet".to_owned(),
    }
}

impl Listed {
    fn places(&self) -> String {
        let places: Vec<String> =
            self.delivered.iter().map(|delivered| format!("{} ({})", delivered.target, age(delivered))).collect();
        places.join(", ")
    }

    fn value(&self) -> &'static str {
        match self.trouble {
            None if self.kind == "variable" => "(variable)",
            None => "********",
            Some(_) => "(none)",
        }
    }
}

impl Report for ListReport {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "{BOLD}stack {} ({}){BOLD:#}", self.stack, self.environment)?;
        let width = self.names.iter().map(|name| name.name.len()).max().unwrap_or(0);
        let mut group = None;
        for listed in &self.names {
            if group != Some(&listed.group) {
                group = Some(&listed.group);
                writeln!(to, "\n{BOLD}{}{BOLD:#}", listed.group)?;
            }
            write!(to, "  {:width$}  {:10}", listed.name, listed.value())?;
            match &listed.trouble {
                Some(trouble) => writeln!(to, "  {RED}{trouble}{RED:#}")?,
                None => writeln!(to, "  {DIM}{}{DIM:#}", listed.places())?,
            }
        }
        writeln!(to, "\n{}", counted(self.names.len(), "name", "names"))
    }

    fn json(&self) -> Json {
        let names: Vec<Json> = self
            .names
            .iter()
            .map(|listed| {
                let delivered: Vec<Json> = listed
                    .delivered
                    .iter()
                    .map(|delivered| {
                        json!({"target": delivered.target, "updated_at": delivered.updated_at,
                               "changed_at": delivered.changed_at, "days": delivered.days})
                    })
                    .collect();
                json!({"name": listed.name, "group": listed.group, "kind": listed.kind,
                       "trouble": listed.trouble, "delivered": delivered})
            })
            .collect();
        json!({"schema_version": 1, "command": "list", "stack": self.stack, "environment": self.environment, "names": names})
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "| group | name | kind | delivered |\n|---|---|---|---|")?;
        for listed in &self.names {
            let places = listed.trouble.clone().unwrap_or_else(|| listed.places());
            writeln!(
                to,
                "| {} | `{}` | {} | {} |",
                markdown_text(&listed.group),
                listed.name,
                listed.kind,
                markdown_text(&places)
            )?;
        }
        Ok(())
    }
}
