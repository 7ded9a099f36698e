//! What the `emergency` commands print.

pub mod drill;
pub mod incident;
pub mod restore;

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::{BOLD, DIM, Report, markdown_text};
use crate::base::text::counted;
use crate::rules::backup::{Contents, Manifest};

/// Version of the JSON forms of these commands.
pub const SCHEMA_VERSION: u32 = 1;

/// Whether a backup was read again after it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBack {
    Equal,
    /// No identity at hand opens it.
    NotTried,
}

/// The result of `emergency backup`.
pub struct BackupReport<'a> {
    pub file: String,
    /// None when a passphrase opens it.
    pub recipients: Option<usize>,
    pub manifest: &'a Manifest,
    pub read_back: ReadBack,
}

impl BackupReport<'_> {
    fn openers(&self) -> String {
        match self.recipients {
            None => "a passphrase opens it".to_owned(),
            Some(1) => "1 recipient opens it".to_owned(),
            Some(count) => format!("each of {count} recipients opens it"),
        }
    }

    fn read_back(&self) -> &'static str {
        match self.read_back {
            ReadBack::Equal => "it was read back and is equal",
            ReadBack::NotTried => "it was not read back: no identity at hand opens it",
        }
    }
}

/// `9 values, 8 of them secret; with its definition`.
fn amount(contents: &Contents) -> String {
    let document = if contents.document { "with its definition" } else { "values alone" };
    format!(
        "{}, {} of them secret; {document}",
        counted(contents.properties.len(), "value", "values"),
        contents.secrets
    )
}

fn revision(contents: &Contents) -> String {
    contents.revision.map_or_else(|| "no revision".to_owned(), |revision| format!("revision {revision}"))
}

impl Report for BackupReport<'_> {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "{BOLD}{}{BOLD:#}: written and encrypted; {}", self.file, self.openers())?;
        let width = self.manifest.stacks.iter().map(|contents| contents.stack.len()).max().unwrap_or(0);
        for contents in &self.manifest.stacks {
            let (amount, revision) = (amount(contents), revision(contents));
            writeln!(to, "  {:<width$}  {DIM}{} {revision}{DIM:#}  {amount}", contents.stack, contents.environment)?;
        }
        writeln!(to, "{}", self.read_back())
    }

    fn json(&self) -> Json {
        json!({
            "schema_version": SCHEMA_VERSION, "command": "emergency backup", "file": self.file,
            "recipients": self.recipients, "read_back": self.read_back == ReadBack::Equal,
            "created": self.manifest.created, "stacks": self.manifest.stacks
        })
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        let file = markdown_text(&self.file);
        writeln!(to, "Backup {file}: {}; {}.\n", self.openers(), self.read_back())?;
        writeln!(to, "| stack | ESC environment | revision | holds |\n|---|---|---|---|")?;
        for contents in &self.manifest.stacks {
            let (stack, environment) = (markdown_text(&contents.stack), markdown_text(&contents.environment));
            writeln!(to, "| {stack} | {environment} | {} | {} |", revision(contents), amount(contents))?;
        }
        Ok(())
    }
}
