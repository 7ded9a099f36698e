//! What `github list` and `github delete` print.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::{BOLD, DIM, GREEN, RED, Report, markdown_text};
use crate::base::target::EntryKind;

/// Version of the JSON forms in this file.
pub const SCHEMA_VERSION: u32 = 1;

/// One name at GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GithubEntry {
    pub name: String,
    pub kind: EntryKind,
    /// As GitHub writes it.
    pub updated_at: String,
}

/// One store with its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GithubStore {
    /// `payready/sophia · actions`.
    pub target: String,
    pub entries: Vec<GithubEntry>,
}

/// The result of `github list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GithubListReport(pub Vec<GithubStore>);

impl Report for GithubListReport {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        for store in &self.0 {
            writeln!(to, "{BOLD}{}{BOLD:#}", store.target)?;
            let width = store.entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
            for entry in &store.entries {
                let (kind, date) = (entry.kind.word(), &entry.updated_at);
                writeln!(to, "  {:<width$}  {kind:<8}  {DIM}{date}{DIM:#}", entry.name)?;
            }
            if store.entries.is_empty() {
                writeln!(to, "  {DIM}nothing{DIM:#}")?;
            }
        }
        Ok(())
    }

    fn json(&self) -> Json {
        let stores: Vec<Json> = self
            .0
            .iter()
            .map(|store| {
                let entries: Vec<Json> = store
                    .entries
                    .iter()
                    .map(|entry| json!({"name": entry.name, "kind": entry.kind.word(), "updated_at": entry.updated_at}))
                    .collect();
                json!({"target": store.target, "entries": entries})
            })
            .collect();
        json!({"schema_version": SCHEMA_VERSION, "command": "github list", "targets": stores})
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        for store in &self.0 {
            writeln!(to, "### {}\n\n| name | kind | updated |\n|---|---|---|", markdown_text(&store.target))?;
            for entry in &store.entries {
                let (kind, date) = (entry.kind.word(), markdown_text(&entry.updated_at));
                writeln!(to, "| {} | {kind} | {date} |", markdown_text(&entry.name))?;
            }
            writeln!(to)?;
        }
        Ok(())
    }
}

/// What became of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedName {
    pub target: String,
    pub name: String,
    /// Why it is still there.
    pub error: Option<String>,
}

/// The result of `github delete`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GithubDeleteReport(pub Vec<DeletedName>);

impl Report for GithubDeleteReport {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        for name in &self.0 {
            match &name.error {
                None => writeln!(to, "{GREEN}deleted{GREEN:#} {} {DIM}of {}{DIM:#}", name.name, name.target)?,
                Some(error) => writeln!(to, "{RED}failed{RED:#}  {} of {}: {error}", name.name, name.target)?,
            }
        }
        Ok(())
    }

    fn json(&self) -> Json {
        let names: Vec<Json> = self
            .0
            .iter()
            .map(|name| json!({"target": name.target, "name": name.name, "deleted": name.error.is_none(), "error": name.error}))
            .collect();
        json!({"schema_version": SCHEMA_VERSION, "command": "github delete", "names": names})
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "| name | target | result |\n|---|---|---|")?;
        for name in &self.0 {
            let result = name.error.as_deref().unwrap_or("deleted");
            writeln!(
                to,
                "| {} | {} | {} |",
                markdown_text(&name.name),
                markdown_text(&name.target),
                markdown_text(result)
            )?;
        }
        Ok(())
    }
}
