//! dotenv files, in and out, without loss.
//!
//! Reading is our own tokeniser and not dotenvy's: dotenvy replaces `$` from the process environment, stops at
//! an unquoted blank and refuses escapes that other readers take, and none of that can be switched off. Its
//! part here is the opposite one: **no dotenv text is handed out before dotenvy, an independent reader, has
//! read the same bytes back from it** (see [`writing`]).
//!
//! **A value is what stands in the file, byte for byte.** Nothing is expanded unless asked for. Where bash,
//! docker compose, python-dotenv, dotenvy, godotenv and node's dotenv would not agree, the value is taken by
//! the rules of `docs/dotenv.md` with a warning that names the line and never the text.

pub mod ambiguity;
pub mod expansion;
pub mod readers;
pub mod reading;
pub mod writing;

use crate::base::secret::SecretValue;

pub use reading::{LARGEST, Options, Parsed, parse};
pub use writing::{Rendered, Style, render};

/// One `NAME=value` of a dotenv file.
#[derive(Debug, Clone)]
pub struct Entry {
    pub name: String,
    pub value: SecretValue,
    /// Line of the name, from 1.
    pub line: usize,
    /// Whether another reader of dotenv files would see another value; a warning says why.
    pub ambiguous: bool,
}

/// Whether `name` can be set by a shell: a letter or `_`, then letters, digits and `_`.
#[must_use]
pub fn is_shell_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
