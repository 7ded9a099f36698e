//! Errors as data: what failed, where, and what to do next.
//!
//! One [`Failure`] reaches the door (`cli/`), which prints it and turns its [`FailureKind`] into the
//! exit code of the public table (design §7). A [`Problem`] is one finding with a place; a failure can
//! carry many, because all problems are reported in one run.
//!
//! **No text in here may hold a secret value.** Names, places, counts and sizes only.

use std::fmt;

/// What kind of failure it was; decides the exit code (design §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// Something that should not happen, or a service that is out of order: exit code 1.
    Unexpected,
    /// Wrong usage or a wrong definition file; nothing was contacted: exit code 2.
    Usage,
    /// Refused by a rule of this tool or of the team; nothing was written: exit code 3.
    Refused,
    /// A token is missing, wrong, or lacks a permission: exit code 4.
    Auth,
    /// Some steps were applied and some were not: exit code 5.
    Partial,
}

impl FailureKind {
    /// The process exit code of this kind.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Unexpected => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Auth => 4,
            Self::Partial => 5,
        }
    }
}

/// A place in a text: file as the user named it, line and column from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub file: String,
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Error,
    Warning,
}

/// One finding: a stable kebab-case code, a place where known, a sentence, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub code: &'static str,
    pub severity: Severity,
    pub place: Option<Place>,
    pub message: String,
    pub hint: Option<String>,
}

impl Problem {
    /// An error-severity problem without a place.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, place: None, message: message.into(), hint: None }
    }

    /// A warning without a place.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// The same problem, at `place`.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// The same problem, with what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What a command ends with when it does not end well.
///
/// Printed as `error: MESSAGE`, then `caused by:` lines, the problems, and `hint:` lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    /// Stable kebab-case token, safe in logs.
    pub code: &'static str,
    pub message: String,
    pub causes: Vec<String>,
    pub problems: Vec<Problem>,
    pub hints: Vec<String>,
}

impl Failure {
    pub fn new(kind: FailureKind, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind, code, message: message.into(), causes: Vec::new(), problems: Vec::new(), hints: Vec::new() }
    }

    /// A [`FailureKind::Usage`] failure (exit code 2).
    pub fn usage(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Usage, code, message)
    }

    /// A [`FailureKind::Refused`] failure (exit code 3).
    pub fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Refused, code, message)
    }

    /// A [`FailureKind::Auth`] failure (exit code 4).
    pub fn auth(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Auth, code, message)
    }

    /// A [`FailureKind::Unexpected`] failure (exit code 1).
    pub fn unexpected(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Unexpected, code, message)
    }

    /// Adds one link of the cause chain, outermost first.
    #[must_use]
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds a sentence on what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds findings with places.
    #[must_use]
    pub fn problems(mut self, problems: impl IntoIterator<Item = Problem>) -> Self {
        self.problems.extend(problems);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// What nearly every function of `flow/` and `io/` returns.
pub type Outcome<T> = Result<T, Failure>;
