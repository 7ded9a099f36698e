//! Which permission a request to GitHub needs, in the words of GitHub's own settings (github-api.md §3.1).

use super::plan::Target;
use crate::base::target::{App, EntryKind, Scope};

/// What is done to a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// The permission of a fine-grained token or GitHub App, and the classic scope beside it.
#[must_use]
pub fn needed(target: &Target, kind: EntryKind, access: Access) -> String {
    let level = match access {
        Access::Read => "read",
        Access::Write => "read and write",
    };
    let (what, classic) = match (&target.scope, kind, target.app) {
        (Scope::Organization(_), EntryKind::Variable, _) => ("organization permission `Variables`", "admin:org"),
        (Scope::Organization(_), _, App::Actions) => ("organization permission `Secrets`", "admin:org"),
        (Scope::Organization(_), _, App::Dependabot) => ("organization permission `Dependabot secrets`", "admin:org"),
        (Scope::Organization(_), _, App::Codespaces) => {
            ("organization permission `Codespaces secrets` (no GitHub App has it)", "admin:org")
        }
        (Scope::Organization(_), _, App::Agents) => ("administration of the organization", "admin:org"),
        (Scope::Environment { .. }, EntryKind::Variable, _) => {
            ("repository permissions `Environments` and `Variables`", "repo")
        }
        (Scope::Environment { .. }, _, _) => ("repository permissions `Environments` and `Secrets`", "repo"),
        (Scope::Repository(_), EntryKind::Variable, _) => ("repository permission `Variables`", "repo"),
        (Scope::Repository(_), _, App::Actions) => ("repository permission `Secrets`", "repo"),
        (Scope::Repository(_), _, App::Dependabot) => ("repository permission `Dependabot secrets`", "repo"),
        (Scope::Repository(_), _, App::Codespaces) => ("repository permission `Codespaces secrets`", "repo"),
        (Scope::Repository(_), _, App::Agents) => ("administration of the repository", "repo"),
    };
    format!("{what}: {level} (classic scope `{classic}`)")
}
