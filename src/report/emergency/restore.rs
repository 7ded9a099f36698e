//! The report of `emergency restore`: property by property, without values.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::SCHEMA_VERSION;
use crate::report::{BOLD, DIM, GREEN, RED, Report, YELLOW, markdown_text};
use crate::rules::backup::Difference;

/// What a restore would do, or did.
pub struct RestoreReport<'a> {
    pub stack: &'a str,
    /// The ESC environment that is written.
    pub environment: String,
    /// Where the backup comes from and how old it is.
    pub backup: String,
    /// `definition` or `values`: what is written.
    pub form: &'static str,
    pub changes: &'a [(String, Difference)],
    /// Whether the text of the definition differs.
    pub text_differs: bool,
    pub outcome: RestoreOutcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreOutcome {
    /// `--dry-run`, or not yet.
    Planned,
    NothingToDo,
    Written {
        revision: Option<u64>,
    },
}

impl RestoreReport<'_> {
    fn count(&self, difference: Difference) -> usize {
        self.changes.iter().filter(|(_, found)| *found == difference).count()
    }

    fn counts(&self) -> String {
        [Difference::New, Difference::Changed, Difference::Removed, Difference::Same]
            .map(|difference| format!("{} {}", self.count(difference), difference.word()))
            .join(", ")
    }

    fn ending(&self) -> String {
        match self.outcome {
            RestoreOutcome::Planned => "nothing was written".to_owned(),
            RestoreOutcome::NothingToDo => "nothing to restore".to_owned(),
            RestoreOutcome::Written { revision: Some(revision) } => format!("written as revision {revision}"),
            RestoreOutcome::Written { revision: None } => "written".to_owned(),
        }
    }

    fn text(&self) -> Option<&'static str> {
        let only_text = self.changes.iter().all(|(_, difference)| *difference == Difference::Same);
        (self.text_differs && only_text).then_some("the values are the same; the text of the definition differs")
    }
}

impl Report for RestoreReport<'_> {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "{BOLD}{}{BOLD:#} → {} ({})", self.stack, self.environment, self.form)?;
        writeln!(to, "{DIM}backup {}{DIM:#}", self.backup)?;
        for (property, difference) in self.changes.iter().filter(|(_, difference)| *difference != Difference::Same) {
            let style = match difference {
                Difference::New => GREEN,
                Difference::Changed => YELLOW,
                Difference::Removed => RED,
                Difference::Same => DIM,
            };
            writeln!(to, "  {style}{:<7}{style:#}  {property}", difference.word())?;
        }
        if let Some(text) = self.text() {
            writeln!(to, "  {text}")?;
        }
        writeln!(to, "{}: {}", self.counts(), self.ending())
    }

    fn json(&self) -> Json {
        let properties: Vec<Json> = self
            .changes
            .iter()
            .map(|(property, difference)| json!({"property": property, "change": difference.word()}))
            .collect();
        let (written, revision) = match self.outcome {
            RestoreOutcome::Written { revision } => (true, revision),
            RestoreOutcome::Planned | RestoreOutcome::NothingToDo => (false, None),
        };
        json!({
            "schema_version": SCHEMA_VERSION, "command": "emergency restore", "stack": self.stack,
            "environment": self.environment, "form": self.form, "properties": properties,
            "text_differs": self.text_differs, "written": written, "revision": revision
        })
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        let (stack, environment) = (markdown_text(self.stack), markdown_text(&self.environment));
        writeln!(to, "Restore of {stack} into {environment}: {}; {}.\n", self.counts(), self.ending())?;
        writeln!(to, "| property | change |\n|---|---|")?;
        for (property, difference) in self.changes.iter().filter(|(_, difference)| *difference != Difference::Same) {
            writeln!(to, "| {} | {} |", markdown_text(property), difference.word())?;
        }
        Ok(())
    }
}
