//! From entries to the bytes of a file: dotenv, shell, JSON, docker.
//!
//! **No dotenv text leaves before dotenvy and our own reader have read the same bytes back from it.** A value
//! that some reader cannot give back in any form is refused by name, unless `force` is set.

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use super::readers::{Form, Reader, broken};
use super::{Options, is_shell_name, parse};
use crate::base::error::Problem;
use crate::base::secret::SecretValue;

/// The form of a file of variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// What bash, docker compose, godotenv, node's dotenv, dotenvy and python-dotenv read alike.
    #[default]
    Dotenv,
    /// `export` lines for `eval` and `source` of any POSIX shell.
    Shell,
    /// One JSON object.
    Json,
    /// `docker run --env-file`: no quotes, no escapes, no line breaks.
    Docker,
}

/// A rendered file. The bytes are plaintext secrets.
pub struct Rendered {
    pub bytes: Zeroizing<Vec<u8>>,
    /// With `force`: which values some reader will not give back.
    pub warnings: Vec<Problem>,
}

impl std::fmt::Debug for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rendered({} bytes, {:?})", self.bytes.len(), self.warnings)
    }
}

/// The longest line that `docker run --env-file` reads, in bytes (Go's `bufio.Scanner`).
const DOCKER_LINE: usize = 64 * 1024 - 1;

/// Renders `entries` in their order.
///
/// # Errors
/// All problems at once: `dotenv-bad-name`, `dotenv-duplicate`, `dotenv-encoding`, `dotenv-nul`,
/// `dotenv-unportable` (not with `force`), `dotenv-line-break` and `dotenv-long-line` (docker), and
/// `dotenv-not-read-back`, which means a fault of this program.
pub fn render<'a>(
    entries: impl IntoIterator<Item = (&'a str, &'a SecretValue)>,
    style: Style,
    force: bool,
) -> Result<Rendered, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut texts: Vec<(&str, Zeroizing<String>)> = Vec::new();
    let mut names = BTreeSet::new();
    for (name, value) in entries {
        if !is_shell_name(name) && style != Style::Json {
            problems.push(
                Problem::error("dotenv-bad-name", format!("`{name}` cannot be the name of a variable"))
                    .hint("letters, digits and `_`, no digit first; --as json takes any name"),
            );
        }
        if !names.insert(name) {
            problems.push(Problem::error("dotenv-duplicate", format!("`{name}` has two values")));
        }
        match plaintext(value) {
            Ok(text) => texts.push((name, text)),
            Err(problem) => {
                problems.push(Problem { message: format!("the value of `{name}` {}", problem.message), ..problem })
            }
        }
    }
    let mut out = Zeroizing::new(String::new());
    let mut warnings = Vec::new();
    match style {
        Style::Dotenv => warnings = dotenv(&texts, &mut out),
        Style::Shell => shell(&texts, &mut out),
        Style::Json => json(&texts, &mut out),
        Style::Docker => problems.extend(docker(&texts, &mut out)),
    }
    if style == Style::Dotenv && problems.is_empty() {
        if !force {
            let as_errors =
                warnings.drain(..).map(|warning| Problem { severity: crate::base::error::Severity::Error, ..warning });
            problems.extend(as_errors);
        }
        if problems.is_empty() {
            problems.extend(read_back(&texts, &out, warnings.is_empty()));
        }
    }
    if problems.is_empty() {
        Ok(Rendered { bytes: Zeroizing::new(out.as_bytes().to_vec()), warnings })
    } else {
        Err(problems)
    }
}

/// The text of a value that a variable can hold.
fn plaintext(value: &SecretValue) -> Result<Zeroizing<String>, Problem> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(value.len()));
    let unwritten = |_| Problem::error("dotenv-encoding", "cannot be written");
    value.write_plaintext(&mut *bytes).map_err(unwritten)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Problem::error("dotenv-encoding", "is not UTF-8").hint("store binary values as base64"))?;
    if text.contains('\0') {
        return Err(Problem::error("dotenv-nul", "holds a NUL byte, which no variable can"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

fn dotenv(texts: &[(&str, Zeroizing<String>)], out: &mut String) -> Vec<Problem> {
    let mut warnings = Vec::new();
    for (name, text) in texts {
        let candidates = Form::ALL.into_iter().filter_map(|form| Some((form, broken(text, form)?)));
        let Some((form, readers)) = candidates.min_by_key(|(_, readers)| readers.len()) else { continue };
        if !readers.is_empty() {
            warnings.push(unportable(name, &readers));
        }
        out.push_str(name);
        out.push('=');
        form.write(text, out);
        out.push('\n');
    }
    warnings
}

fn unportable(name: &str, readers: &[Reader]) -> Problem {
    let words: Vec<&str> = readers.iter().map(|reader| reader.word()).collect();
    let message = format!("no way to write the value of `{name}` is read back the same by {}", words.join(", "));
    Problem::warning("dotenv-unportable", message)
        .hint("--as shell or --as json hold it; --force writes it for the other readers")
}

/// What `out` gives when it is read again is what went in; else a problem per reader that disagrees.
fn read_back(texts: &[(&str, Zeroizing<String>)], out: &str, everybody: bool) -> Option<Problem> {
    let fault = |reader: &str| {
        Problem::error("dotenv-not-read-back", format!("{reader} does not read the rendered file back as it was meant"))
            .hint("this is a fault of this program; --as json is not concerned")
    };
    let own = parse(out.as_bytes(), Options { file: "", expand: false, strict: false });
    let same = own.is_ok_and(|parsed| {
        parsed.entries.len() == texts.len()
            && parsed.entries.iter().zip(texts).all(|(entry, (name, text))| {
                entry.name == *name && entry.value.same_as(&SecretValue::new(text.as_bytes().to_vec()))
            })
    });
    if !same {
        return Some(fault("this program"));
    }
    if everybody {
        let read: Result<Vec<(String, String)>, _> = dotenvy::from_read_iter(out.as_bytes()).collect();
        let same = read.is_ok_and(|read| {
            read.len() == texts.len()
                && read.iter().zip(texts).all(|((name, text), (wanted, value))| name == wanted && *text == **value)
        });
        if !same {
            return Some(fault("dotenvy"));
        }
    }
    None
}

fn shell(texts: &[(&str, Zeroizing<String>)], out: &mut String) {
    for (name, text) in texts {
        out.push_str("export ");
        out.push_str(name);
        out.push_str("='");
        out.push_str(&Zeroizing::new(text.replace('\'', "'\\''")));
        out.push_str("'\n");
    }
}

fn json(texts: &[(&str, Zeroizing<String>)], out: &mut String) {
    out.push('{');
    for (index, (name, text)) in texts.iter().enumerate() {
        out.push_str(if index == 0 { "\n  " } else { ",\n  " });
        out.push_str(&serde_json::Value::from(*name).to_string());
        out.push_str(": ");
        out.push_str(&Zeroizing::new(serde_json::Value::from(text.as_str()).to_string()));
    }
    out.push_str(if texts.is_empty() { "}\n" } else { "\n}\n" });
}

fn docker(texts: &[(&str, Zeroizing<String>)], out: &mut String) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, text) in texts {
        if text.contains('\n') || text.ends_with('\r') {
            let message = format!("the value of `{name}` has a line break, which `docker --env-file` cannot hold");
            problems.push(Problem::error("dotenv-line-break", message).hint("docker compose reads --as dotenv"));
        }
        if name.len() + 1 + text.len() > DOCKER_LINE {
            let message =
                format!("the line of `{name}` would have more than {DOCKER_LINE} bytes, which docker refuses");
            problems.push(Problem::error("dotenv-long-line", message));
        }
        for part in [name, "=", text.as_str(), "\n"] {
            out.push_str(part);
        }
    }
    problems
}
