//! Where a secret can live at GitHub: scope × app × kind (design §1).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `owner/name` of a repository, as typed; GitHub compares both parts without case
/// (github-api.md §1.0).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RepositoryName {
    owner: String,
    name: String,
}

impl RepositoryName {
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn folded(&self) -> (String, String) {
        (self.owner.to_ascii_lowercase(), self.name.to_ascii_lowercase())
    }
}

impl PartialEq for RepositoryName {
    fn eq(&self, other: &Self) -> bool {
        self.folded() == other.folded()
    }
}
impl Eq for RepositoryName {}
impl PartialOrd for RepositoryName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for RepositoryName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.folded().cmp(&other.folded())
    }
}
impl std::hash::Hash for RepositoryName {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.folded().hash(state);
    }
}

/// A text that is not `owner/name`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a repository name: expected OWNER/NAME")]
pub struct NotARepositoryName(pub String);

impl FromStr for RepositoryName {
    type Err = NotARepositoryName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NotARepositoryName(text.to_owned());
        let (owner, name) = text.split_once('/').ok_or_else(wrong)?;
        let plain = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        };
        if plain(owner) && plain(name) {
            Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
        } else {
            Err(wrong())
        }
    }
}

impl TryFrom<String> for RepositoryName {
    type Error = NotARepositoryName;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RepositoryName> for String {
    fn from(repository: RepositoryName) -> Self {
        repository.to_string()
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// The level at which GitHub stores a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Repository(RepositoryName),
    /// An environment of a repository. Its name may hold any character, `/` included.
    Environment {
        repository: RepositoryName,
        environment: String,
    },
    Organization(String),
}

impl Scope {
    /// `repository`, `environment` or `organization`: the word of reports.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Repository(_) => "repository",
            Self::Environment { .. } => "environment",
            Self::Organization(_) => "organization",
        }
    }

    /// The repository of the scope; none for an organization.
    #[must_use]
    pub fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Repository(repository) | Self::Environment { repository, .. } => Some(repository),
            Self::Organization(_) => None,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository(repository) => write!(f, "{repository}"),
            Self::Environment { repository, environment } => write!(f, "{repository} environment {environment}"),
            Self::Organization(organization) => write!(f, "organization {organization}"),
        }
    }
}

/// The GitHub product that reads a secret (github-api.md §1.2).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum App {
    #[default]
    Actions,
    Dependabot,
    Codespaces,
    Agents,
}

impl App {
    pub const ALL: [Self; 4] = [Self::Actions, Self::Dependabot, Self::Codespaces, Self::Agents];

    /// Whether the app has variables of its own (github-api.md §1.6); the others have secrets only.
    #[must_use]
    pub fn has_variables(self) -> bool {
        matches!(self, Self::Actions | Self::Agents)
    }

    /// The word in GitHub's paths and in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Actions => "actions",
            Self::Dependabot => "dependabot",
            Self::Codespaces => "codespaces",
            Self::Agents => "agents",
        }
    }
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Whether GitHub keeps the value sealed (secret) or readable (variable).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    #[default]
    Secret,
    Variable,
}

impl EntryKind {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Variable => "variable",
        }
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One list of names at GitHub: what one public key seals for, and one listing shows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Store {
    pub scope: Scope,
    pub app: App,
    pub kind: EntryKind,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} {}s)", self.scope, self.app, self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names_compare_without_case_and_print_as_typed() {
        let typed: RepositoryName = "PayReady/Sophia".parse().unwrap();
        assert_eq!(typed, "payready/sophia".parse().unwrap());
        assert_eq!(typed.to_string(), "PayReady/Sophia");
    }

    #[test]
    fn refuses_what_is_not_a_repository_name() {
        for text in ["", "payready", "a/b/c", "a/", "/b", "a/..", "a b/c", "a/b?c", "a/b\n"] {
            assert!(text.parse::<RepositoryName>().is_err(), "{text:?}");
        }
    }
}
