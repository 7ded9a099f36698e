//! What the `env` commands print that holds no value.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::{DIM, GREEN, Report, markdown_text};

/// Version of the JSON forms in this file.
pub const SCHEMA_VERSION: u32 = 1;

/// What a change did to an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvChange {
    /// `set`, `rm`, `edit`, …
    pub command: &'static str,
    pub environment: String,
    /// None when the source numbers none.
    pub revision: Option<u64>,
    pub changed: bool,
}

impl EnvChange {
    fn sentence(&self) -> String {
        let Self { environment, .. } = self;
        match (self.changed, self.revision) {
            (false, _) => format!("{environment}: nothing to change"),
            (true, Some(revision)) => format!("{environment}: revision {revision}"),
            (true, None) if self.command == "recipients add" => format!("{environment}: recipients added"),
            (true, None) => format!("{environment}: done"),
        }
    }
}

impl Report for EnvChange {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "{}", self.sentence())
    }

    fn json(&self) -> Json {
        json!({
            "schema_version": SCHEMA_VERSION, "command": format!("env {}", self.command),
            "environment": self.environment, "revision": self.revision, "changed": self.changed
        })
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "{}", markdown_text(&self.sentence()))
    }
}

/// One line of `env history`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryLine {
    pub revision: u64,
    /// None when it is not known.
    pub created: Option<jiff::Timestamp>,
    pub author: String,
    pub tags: Vec<String>,
}

/// `env history`, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvHistory {
    pub environment: String,
    pub revisions: Vec<HistoryLine>,
}

impl Report for EnvHistory {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        for line in &self.revisions {
            let tags = if line.tags.is_empty() { String::new() } else { format!(" ({})", line.tags.join(", ")) };
            let created = line.created.map(|created| created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
            let created = created.unwrap_or_else(|| "-".to_owned());
            writeln!(to, "revision {}{GREEN}{tags}{GREEN:#}  {DIM}{created}  {}{DIM:#}", line.revision, line.author)?;
        }
        Ok(())
    }

    fn json(&self) -> Json {
        let line = |line: &HistoryLine| json!({"revision": line.revision, "created": line.created, "author": line.author, "tags": line.tags});
        json!({
            "schema_version": SCHEMA_VERSION, "command": "env history", "environment": self.environment,
            "revisions": self.revisions.iter().map(line).collect::<Vec<_>>()
        })
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "| revision | created | author | tags |\n|---|---|---|---|")?;
        for line in &self.revisions {
            let (author, tags) = (markdown_text(&line.author), markdown_text(&line.tags.join(", ")));
            let created = line.created.map(|created| created.to_string()).unwrap_or_default();
            writeln!(to, "| {} | {created} | {author} | {tags} |", line.revision)?;
        }
        Ok(())
    }
}

/// A list of names: `env ls`, `env recipients ls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvNames {
    /// `ls`, `recipients ls`.
    pub command: &'static str,
    /// What the list is of, in JSON: `environments`, `recipients`.
    pub what: &'static str,
    pub names: Vec<String>,
}

impl Report for EnvNames {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        self.names.iter().try_for_each(|name| writeln!(to, "{name}"))
    }

    fn json(&self) -> Json {
        json!({
            "schema_version": SCHEMA_VERSION, "command": format!("env {}", self.command), self.what: self.names
        })
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        self.names.iter().try_for_each(|name| writeln!(to, "- {}", markdown_text(name)))
    }
}
