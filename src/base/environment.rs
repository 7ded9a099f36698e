//! The name of an ESC environment: `organization/project/environment` (esc-api.md §3).

use std::fmt;
use std::str::FromStr;

/// Names one ESC environment. Two-part names take the project `default` at the command line only;
/// here all three parts are known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EscName {
    pub organization: String,
    pub project: String,
    pub environment: String,
}

/// A text that does not name an ESC environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` does not name an ESC environment: expected ORGANIZATION/PROJECT/ENVIRONMENT, each of letters, digits, `-`, `_` and `.`"
)]
pub struct NotAnEscName(pub String);

impl EscName {
    /// # Errors
    /// [`NotAnEscName`] when a part is empty, `.`, `..`, or holds another character than `[A-Za-z0-9-_.]`.
    pub fn new(organization: &str, project: &str, environment: &str) -> Result<Self, NotAnEscName> {
        let plain = |part: &str| {
            !part.is_empty()
                && part.len() <= 100
                && part != "."
                && part != ".."
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        };
        if [organization, project, environment].into_iter().all(plain) {
            Ok(Self {
                organization: organization.to_owned(),
                project: project.to_owned(),
                environment: environment.to_owned(),
            })
        } else {
            Err(NotAnEscName(format!("{organization}/{project}/{environment}")))
        }
    }

    /// `project/environment`, as other environments of the organization name it.
    #[must_use]
    pub fn in_project(&self) -> String {
        format!("{}/{}", self.project, self.environment)
    }
}

impl FromStr for EscName {
    type Err = NotAnEscName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match *text.split('/').collect::<Vec<_>>() {
            [organization, project, environment] => Self::new(organization, project, environment),
            _ => Err(NotAnEscName(text.to_owned())),
        }
        .map_err(|_| NotAnEscName(text.to_owned()))
    }
}

impl fmt::Display for EscName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.organization, self.project, self.environment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_three_plain_parts_and_nothing_else() {
        let name: EscName = "payready/sophia-esc/production".parse().unwrap();
        assert_eq!(name.to_string(), "payready/sophia-esc/production");
        for text in ["", "a/b", "a/b/c/d", "a//c", "a/../c", "a/b/c d", "a/b/c\n"] {
            assert!(text.parse::<EscName>().is_err(), "{text:?}");
        }
    }
}
