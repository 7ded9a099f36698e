//! Reads the definition file (design §4): text in, a valid [`Definition`] out, or every problem at once.
//!
//! Three passes, none of which stops the next: YAML into a tree with places (`base::yaml`), the tree against
//! the published schema (`rules::shape`), and what a schema cannot say (`rules::resolve`).

use super::resolve;
use super::schema::{self, DefinitionFile};
use super::shape;
use crate::base::error::{Failure, Problem, Severity};
use crate::base::yaml;

pub use super::definition::*;

/// A definition that can be worked with, and what is odd about it.
#[derive(Debug)]
pub struct Loaded {
    pub definition: Definition,
    /// Warnings only, in the order of the file.
    pub warnings: Vec<Problem>,
}

/// Every code of a problem of the definition file, with what it means. Codes are stable: scripts may rely
/// on them.
pub const CODES: [(&str, &str); 36] = [
    ("control-character", "a text holds a character that no name has"),
    ("definition-empty", "the file holds nothing but blanks and comments"),
    ("definition-shape", "the file passed its schema and still could not be read: a defect of this tool"),
    ("duplicate-item", "a list names something twice"),
    ("duplicate-key", "a mapping has a key twice"),
    ("duplicate-name", "two environments, groups or policies have the same name"),
    ("duplicate-target", "two targets deliver the same group of the same environment to the same place"),
    ("duplicate-target-name", "two mappings of a group deliver the same name"),
    ("empty-list", "a list that must name something is empty"),
    ("empty-text", "a text that must not be empty is"),
    ("environment-app", "environments of GitHub hold secrets of Actions only"),
    ("esc-name", "a name that ESC does not take"),
    ("esc-path", "a text that is no property path"),
    ("identity-name", "a text that names no GitHub identity"),
    ("interval", "a text that is no positive interval"),
    ("missing-key", "a key that must be there is not"),
    ("organization-name", "a text that names no GitHub organization"),
    ("out-of-range", "a number below or above what is allowed"),
    ("repositories-pattern", "a pattern with characters that no repository name has"),
    ("repositories-unbounded", "repositories are chosen by neither topic nor pattern"),
    ("repository-name", "a text that names no repository"),
    ("secret-name", "a name that GitHub refuses"),
    ("selected-missing", "the visibility is `selected` and no repository is"),
    ("selected-outside", "a selected repository belongs to another organization"),
    ("selected-unused", "repositories are selected and the visibility is another"),
    ("target-place", "a target names no place, or more than one"),
    ("target-shared", "two environments overwrite each other at one place"),
    ("too-long", "a text is longer than allowed"),
    ("unknown-environment", "a name of an environment that is not defined"),
    ("unknown-group", "a name of a group that is not defined"),
    ("unknown-key", "a key that the file does not have"),
    ("unknown-value", "a text that is none of the allowed ones"),
    ("visibility-missing", "an organization is a target and no visibility is given"),
    ("visibility-unused", "a visibility is given and the target is no organization"),
    ("warn-too-long", "the warning starts with the interval, so the secret is always due"),
    ("wrong-type", "a value of another type than expected"),
];

/// Codes of texts that are not YAML of this tool.
pub const YAML_CODES: [(&str, &str); 2] =
    [("yaml-syntax", "the text is not YAML that this tool reads"), ("yaml-tag", "a tag that means nothing here")];

/// Reads a definition. `file` is its name in messages.
///
/// # Errors
/// Every problem of the file, in the order of the text, warnings included.
pub fn load(file: &str, text: &str) -> Result<Loaded, Vec<Problem>> {
    let start = yaml::Mark::new(1, 1, 0);
    let root = match yaml::parse(text) {
        Ok(Some(root)) => root,
        Ok(None) => {
            let problem = Problem::error("definition-empty", "the definition is empty");
            return Err(vec![problem.at(shape::place(file, start)).hint("`sophia-secrets-sync init` writes one")]);
        }
        Err(error) => {
            return Err(vec![Problem::error("yaml-syntax", error.message).at(shape::place(file, error.mark))]);
        }
    };
    let (json, mut problems) = shape::check(&schema::json_schema(), &root, file);
    let written: DefinitionFile = match serde_json::from_value(json) {
        Ok(written) => written,
        Err(error) => {
            problems.push(Problem::error("definition-shape", error.to_string()).at(shape::place(file, start)));
            return Err(problems);
        }
    };
    let (definition, more) = resolve::definition(file, &root, written);
    problems.extend(more);
    problems.sort_by(|left, right| left.place.cmp(&right.place));
    match definition {
        Some(definition) if problems.iter().all(|problem| problem.severity == Severity::Warning) => {
            Ok(Loaded { definition, warnings: problems })
        }
        _ => Err(problems),
    }
}

/// The failure of a command whose definition has `problems`.
#[must_use]
pub fn failure(file: &str, problems: Vec<Problem>) -> Failure {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let plural = if errors == 1 { "" } else { "s" };
    Failure::usage("definition", format!("`{file}` has {errors} problem{plural}")).problems(problems)
}

#[cfg(test)]
mod tests;
