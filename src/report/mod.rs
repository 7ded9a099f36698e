//! Floor 2: results as bytes, on a given writer. No type here can hold a secret value.

pub mod access;
pub mod add;
pub mod audit;
pub mod calendar;
pub mod doctor;
pub mod emergency;
pub mod env;
pub mod evidence;
pub mod findings;
pub mod github;
pub mod import;
pub mod init;
pub mod leaks;
pub mod list;
pub mod reminder;
pub mod rotation;
pub mod rotation_change;
pub mod runner;
pub mod summary;
pub mod sync;
pub mod usage;
pub mod verify;

use std::borrow::Cow;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use crate::base::error::Problem;

/// How a report is written (`--format`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For a terminal.
    #[default]
    Human,
    /// Frozen structures with a `schema_version`.
    Json,
    /// GitHub-flavoured, for job summaries and comments.
    Markdown,
}

/// The value-free result of a command.
pub trait Report {
    /// Lines for a terminal; meaning never depends on colour.
    ///
    /// # Errors
    /// Whatever the writer gives.
    fn human(&self, to: &mut dyn Write) -> io::Result<()>;

    /// The frozen JSON form.
    fn json(&self) -> serde_json::Value;

    /// GitHub-flavoured Markdown.
    ///
    /// # Errors
    /// Whatever the writer gives.
    fn markdown(&self, to: &mut dyn Write) -> io::Result<()>;

    /// Lines for the log of the action's step, where parts can be folded and [`Self::findings`] are shown already.
    ///
    /// # Errors
    /// Whatever the writer gives.
    fn log(&self, log: &mut dyn JobLog) -> io::Result<()> {
        self.human(log)
    }

    /// What the action shows beside the lines that it is about.
    fn findings(&self) -> Cow<'_, [Problem]> {
        Cow::Borrowed(&[])
    }
}

/// A job's log.
pub trait JobLog: Write {
    /// Folds what is written until [`Self::unfold`] under a title. Between lines only; folds do not nest.
    ///
    /// # Errors
    /// Whatever the writer gives.
    fn fold(&mut self, title: &str) -> io::Result<()>;

    /// Ends what [`Self::fold`] began.
    ///
    /// # Errors
    /// Whatever the writer gives.
    fn unfold(&mut self) -> io::Result<()>;
}

/// Writes `report` in `format`.
///
/// # Errors
/// Whatever the writer gives.
pub fn write(report: &dyn Report, format: Format, to: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Human => report.human(to),
        Format::Markdown => report.markdown(to),
        Format::Json => writeln!(to, "{:#}", report.json()),
    }
}

/// Green, for what comes into being.
pub const GREEN: Style = AnsiColor::Green.on_default();
/// Yellow, for what changes, and for warnings.
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
/// Red, for what goes or fails.
pub const RED: Style = AnsiColor::Red.on_default();
/// Dim, for what stays.
pub const DIM: Style = Style::new().dimmed();
/// Bold, for headings.
pub const BOLD: Style = Style::new().bold();

/// `1 secret`, `2 secrets`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Text for a Markdown cell or heading: nothing in it is read as markup or ends the cell.
#[must_use]
pub fn markdown_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '|' | '<' | '>' | '[' | ']' | '#' => {
                escaped.push('\\');
                escaped.push(c);
            }
            '\n' | '\r' => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A name for a Markdown cell, as code where it is plain.
#[must_use]
pub fn markdown_code(name: &str) -> String {
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) {
        format!("`{name}`")
    } else {
        markdown_text(name)
    }
}
