//! The value of `env set`, from an argument, a file, stdin or a hidden prompt.

use std::io::IsTerminal;
use std::path::Path as FilePath;

use super::super::input;
use super::{LARGEST, read};
use crate::base::error::{Failure, Outcome};
use crate::base::secret::SecretValue;
use crate::esc::edit::NewValue;
use crate::esc::path::Path;
use crate::io::files;
use crate::rules::env_value;

/// What `env set` was given.
///
/// # Errors
/// `env-secret-argument` for a secret as an argument, `env-value` for none, `input-empty` for an empty file or stdin;
/// those of reading.
pub(super) fn new_value(
    value: Option<String>,
    file: Option<&FilePath>,
    secret: bool,
    string: bool,
    path: &Path,
) -> Outcome<NewValue> {
    if secret {
        return match (value, file) {
            (Some(_), _) => {
                Err(Failure::usage("env-secret-argument", "a secret is not taken as an argument; nothing was written")
                    .hint("leave it out to type it, or pipe it to stdin; arguments can be seen by other programs"))
            }
            (None, Some(file)) if file != FilePath::new("-") => {
                let bytes = files::read_bytes(file, LARGEST)?;
                if bytes.is_empty() {
                    return Err(Failure::usage(
                        "input-empty",
                        format!("`{}` is empty; nothing was written", file.display()),
                    )
                    .hint("name the file that holds the secret"));
                }
                Ok(NewValue::Secret(SecretValue::new(bytes)))
            }
            (None, _) => input::secret(&format!("Value of {path}: ")).map(NewValue::Secret),
        };
    }
    let text = match (value, file) {
        (Some(text), _) if !string && env_value::holds_a_secret(&text) => {
            return Err(Failure::usage(
                "env-secret-argument",
                "a secret is not taken as an argument; nothing was written",
            )
            .hint("`env set --secret` reads it from stdin; `env edit --file` takes a definition; --string takes what is only text"));
        }
        (Some(text), _) => text,
        (None, Some(file)) => read_value(file)?,
        (None, None) if !std::io::stdin().is_terminal() => read_value(FilePath::new("-"))?,
        (None, None) => {
            return Err(
                Failure::usage("env-value", "no value was given").hint("give VALUE, --file FILE, or pipe it to stdin")
            );
        }
    };
    Ok(match text {
        text if string => NewValue::Expression(text),
        text if text.is_empty() => NewValue::Expression(text),
        text => NewValue::Yaml(text),
    })
}

/// An empty text is given as an argument: an empty file or pipe is a mistake.
fn read_value(file: &FilePath) -> Outcome<String> {
    let text = read(file)?;
    if text.trim().is_empty() {
        return Err(Failure::usage("input-empty", "no value was given; nothing was written")
            .hint("`''` as VALUE stores an empty text"));
    }
    Ok(text)
}
