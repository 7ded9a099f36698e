//! What `add` prints.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::sync::SyncReport;
use super::{BOLD, Report, markdown_text};

/// Version of the JSON form.
pub const SCHEMA_VERSION: u32 = 1;

/// A file of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    pub path: String,
    /// What was done to it.
    pub change: &'static str,
}

/// What was added where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddReport {
    pub name: String,
    pub group: String,
    pub stack: String,
    pub environment: String,
    pub dry_run: bool,
    /// `new`, or `same` when ESC had the very value; none for a dry run.
    pub value: Option<&'static str>,
    /// None when ESC was not written.
    pub revision: Option<u64>,
    pub definition: FileChange,
    pub template: FileChange,
}

/// The report with the plan that follows from it; none when no plan could be made.
pub struct AddedAndPlan<'a> {
    pub added: &'a AddReport,
    pub plan: Option<SyncReport<'a>>,
}

impl AddReport {
    fn esc(&self) -> String {
        match (self.dry_run, self.revision) {
            (true, _) => "a value would be asked for".to_owned(),
            (false, Some(revision)) => format!("written as revision {revision}"),
            (false, None) => "has the value".to_owned(),
        }
    }

    fn lines(&self) -> [(&str, String); 3] {
        let file = |file: &FileChange| file.change.to_owned();
        [
            (&self.environment, self.esc()),
            (&self.definition.path, file(&self.definition)),
            (&self.template.path, file(&self.template)),
        ]
    }

    fn ending(&self) -> &'static str {
        if self.dry_run { "nothing was written (--dry-run)" } else { "done" }
    }
}

impl Report for AddedAndPlan<'_> {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        let added = self.added;
        writeln!(to, "{BOLD}{}{BOLD:#} of group {}, stack {}", added.name, added.group, added.stack)?;
        let lines = added.lines();
        let width = lines.iter().map(|(place, _)| place.chars().count()).max().unwrap_or_default();
        for (place, what) in &lines {
            writeln!(to, "  {place:width$}  {what}")?;
        }
        if added.dry_run {
            writeln!(to, "{}", added.ending())?;
        }
        match &self.plan {
            Some(plan) => {
                writeln!(to)?;
                plan.human(to)
            }
            None => Ok(()),
        }
    }

    fn json(&self) -> Json {
        let added = self.added;
        let file = |file: &FileChange| json!({"path": file.path, "change": file.change});
        json!({
            "schema_version": SCHEMA_VERSION, "command": "add", "name": added.name, "group": added.group,
            "stack": added.stack, "environment": added.environment, "dry_run": added.dry_run,
            "value": added.value, "revision": added.revision,
            "definition": file(&added.definition), "template": file(&added.template),
            "plan": self.plan.as_ref().map(Report::json)
        })
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        let added = self.added;
        writeln!(to, "### `{}` of group {}, stack {}\n", added.name, markdown_text(&added.group), added.stack)?;
        for (place, what) in added.lines() {
            writeln!(to, "- `{place}`: {what}")?;
        }
        match &self.plan {
            Some(plan) => {
                writeln!(to)?;
                plan.markdown(to)
            }
            None => writeln!(to, "\n{}", added.ending()),
        }
    }
}
