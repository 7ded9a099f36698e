//! `template write` and `template check`: `env.example` beside its definition.

use std::path::Path;

use crate::base::error::Outcome;
use crate::io::files;
use crate::report::findings::FindingsReport;
use crate::report::init::WrittenFile;
use crate::rules::definition::Definition;
use crate::rules::template;

/// Writes the template; replaces one that is there only with `replace`.
///
/// # Errors
/// `file-exists`, `file-unwritable`.
pub fn write(definition: &Definition, path: &Path, replace: bool) -> Outcome<WrittenFile> {
    let text = template::render(definition);
    if replace {
        files::write_public(path, text.as_bytes())?;
    } else {
        files::write_new(path, text.as_bytes()).map_err(|failure| match failure.code {
            "file-exists" => failure.hint("--force replaces it"),
            _ => failure,
        })?;
    }
    Ok(WrittenFile { path: path.display().to_string(), written: true })
}

/// Compares the template with the definition.
///
/// # Errors
/// `file-missing`, `file-unreadable`. What is wrong with the template is in the report.
pub fn check(definition: &Definition, path: &Path) -> Outcome<FindingsReport> {
    let bytes = files::read_bytes(path, files::LARGEST)?;
    let subject = path.display().to_string();
    let problems = template::check(definition, &subject, &bytes);
    Ok(FindingsReport { command: "template check", subject, problems, unchecked: Vec::new() })
}
