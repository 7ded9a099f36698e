//! The report of `rotation start`, `complete` and `rollback`: what was done, and what comes next.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::{BOLD, GREEN, Report, YELLOW, markdown_text};

/// Version of the JSON form.
pub const SCHEMA_VERSION: u32 = 1;

/// One step in the life of a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationChange {
    /// `start`, `complete` or `rollback`.
    pub command: &'static str,
    pub name: String,
    pub stack: String,
    /// The group that was asked for: later steps need it, too.
    pub group: Option<String>,
    /// The ESC environment.
    pub environment: String,
    /// What came of it.
    pub done: Done,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// A new value was written; `made` says how, when this tool made it.
    Started { revision: Option<u64>, before: u64, made: Option<String> },
    /// `targets` hold the new value.
    Completed { targets: usize, before: u64, not_looked_at: Vec<String> },
    /// The value of the revision `before` was written again.
    RolledBack { revision: Option<u64>, before: u64 },
    /// The value was the one from before already.
    NothingToRollBack,
}

impl RotationChange {
    fn sentence(&self) -> String {
        let Self { name, stack, environment, .. } = self;
        let in_revision = |revision: &Option<u64>| {
            revision
                .map_or_else(|| format!("in {environment}"), |number| format!("in {environment}, revision {number}"))
        };
        match &self.done {
            Done::Started { revision, before, made } => {
                let made = made.as_ref().map(|how| format!(" ({how})")).unwrap_or_default();
                format!(
                    "{name} of stack {stack} has a new value{made} {}; revision {before} is remembered",
                    in_revision(revision)
                )
            }
            Done::Completed { targets, .. } => {
                let held = if *targets == 1 { "1 target holds".to_owned() } else { format!("{targets} targets hold") };
                format!("{name} of stack {stack} is rotated: {held} the value of {environment}")
            }
            Done::RolledBack { revision, before } => {
                format!("{name} of stack {stack} has the value of revision {before} again, {}", in_revision(revision))
            }
            Done::NothingToRollBack => {
                format!("{name} of stack {stack} has the value from before already; the rotation is ended")
            }
        }
    }

    fn next(&self) -> Vec<String> {
        let Self { name, stack, group, .. } = self;
        let sync = format!("deliver it: `sync --stack {stack}`");
        let group = group.as_ref().map(|group| format!(" --group {group}")).unwrap_or_default();
        match &self.done {
            Done::Started { .. } => vec![
                sync,
                "deploy what uses it, and see that it works".to_owned(),
                format!("verify and end the rotation: `rotation complete {name} --stack {stack}{group}`"),
                format!("or go back to the old value: `rotation rollback {name} --stack {stack}{group}`"),
            ],
            Done::Completed { .. } => {
                vec!["revoke the old credential in the service that it is for".to_owned()]
            }
            Done::RolledBack { .. } => {
                vec![sync, "revoke the credential that is not used now, in the service that it is for".to_owned()]
            }
            Done::NothingToRollBack => Vec::new(),
        }
    }

    fn revisions(&self) -> (Option<u64>, Option<u64>) {
        match &self.done {
            Done::Started { revision, before, .. } | Done::RolledBack { revision, before } => {
                (*revision, Some(*before))
            }
            Done::Completed { before, .. } => (None, Some(*before)),
            Done::NothingToRollBack => (None, None),
        }
    }

    fn not_looked_at(&self) -> &[String] {
        if let Done::Completed { not_looked_at, .. } = &self.done { not_looked_at } else { &[] }
    }
}

impl Report for RotationChange {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "{GREEN}{}{GREEN:#}", self.sentence())?;
        self.not_looked_at().iter().try_for_each(|one| writeln!(to, "{YELLOW}not looked at{YELLOW:#}: {one}"))?;
        let next = self.next();
        if !next.is_empty() {
            writeln!(to, "\n{BOLD}Next{BOLD:#}")?;
        }
        next.iter().enumerate().try_for_each(|(index, step)| writeln!(to, "  {}. {step}", index + 1))
    }

    fn json(&self) -> Json {
        let (revision, before) = self.revisions();
        json!({
            "schema_version": SCHEMA_VERSION, "command": format!("rotation {}", self.command), "stack": self.stack,
            "name": self.name, "environment": self.environment, "changed": self.done != Done::NothingToRollBack,
            "revision": revision, "revision_before": before, "next": self.next(),
            "not_looked_at": self.not_looked_at(),
        })
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "{}\n", markdown_text(&self.sentence()))?;
        self.not_looked_at().iter().try_for_each(|one| writeln!(to, "Not looked at: {}\n", markdown_text(one)))?;
        self.next().iter().enumerate().try_for_each(|(index, step)| writeln!(to, "{}. {step}", index + 1))
    }
}
