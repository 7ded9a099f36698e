//! What `init` and `template write` print: which files were written, and which were there.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::{DIM, GREEN, Report};

/// Version of the JSON form.
pub const SCHEMA_VERSION: u32 = 1;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFile {
    pub path: String,
    /// False: it was there and was not touched.
    pub written: bool,
}

/// The report of `init`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitReport {
    pub files: Vec<WrittenFile>,
    /// What to do next, in order.
    pub next: Vec<String>,
}

impl Report for InitReport {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        for file in &self.files {
            if file.written {
                writeln!(to, "{GREEN}written{GREEN:#}  {}", file.path)?;
            } else {
                writeln!(to, "{DIM}kept{DIM:#}     {} (it was there)", file.path)?;
            }
        }
        if !self.next.is_empty() {
            writeln!(to, "\nnext:")?;
        }
        for (index, step) in self.next.iter().enumerate() {
            writeln!(to, "  {}. {step}", index + 1)?;
        }
        Ok(())
    }

    fn json(&self) -> Json {
        let files: Vec<Json> =
            self.files.iter().map(|file| json!({"path": file.path, "written": file.written})).collect();
        json!({ "schema_version": SCHEMA_VERSION, "command": "init", "files": files, "next": self.next })
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        for file in &self.files {
            let word = if file.written { "written" } else { "kept" };
            writeln!(to, "- {word}: `{}`", file.path)?;
        }
        Ok(())
    }
}
