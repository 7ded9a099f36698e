//! Which permission a request to GitHub needs, in the words of GitHub's own settings (github-api.md §3.1).

use std::collections::BTreeMap;

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

/// What is known of a credential before anything was tried.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Powers {
    /// Scopes of a classic or OAuth token, which GitHub tells with every answer.
    pub scopes: Option<Vec<String>>,
    /// What the installation of a GitHub App was granted, by GitHub's own names.
    pub permissions: Option<BTreeMap<String, String>>,
    /// Whether the token's owner may push to the repository; none where GitHub does not tell.
    pub may_push: Option<bool>,
}

/// What can be said about a write before it is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writing {
    /// With the reason.
    Allowed(String),
    Lacks(String),
    /// GitHub tells it to the first write only: fine-grained tokens, and installation tokens made elsewhere.
    Unknown,
}

/// Whether a credential may write a kind of entry to a target, as far as that can be known.
#[must_use]
pub fn writing(powers: &Powers, target: &Target, kind: EntryKind) -> Writing {
    if powers.may_push == Some(false) {
        return Writing::Lacks("the token's owner may only read the repository".to_owned());
    }
    if let Some(permissions) = &powers.permissions {
        let names = match app_permissions(target, kind) {
            Some([]) => return Writing::Lacks("GitHub lets no App write these".to_owned()),
            Some(names) => names,
            None => return Writing::Unknown,
        };
        let level = |name: &str| permissions.get(name).map_or("none", String::as_str);
        let lacking = names.iter().find(|name| !matches!(level(name), "write" | "admin"));
        return match lacking {
            Some(name) => Writing::Lacks(format!(
                "the App's installation has `{name}`: {}, and this takes `{name}`: write",
                level(name)
            )),
            None => Writing::Allowed(format!("the App's installation has `{}`: write", names.join("` and `"))),
        };
    }
    let Some(scopes) = &powers.scopes else { return Writing::Unknown };
    let scope = match target.scope {
        Scope::Organization(_) => "admin:org",
        Scope::Repository(_) | Scope::Environment { .. } => "repo",
    };
    if scopes.iter().any(|given| given == scope) {
        Writing::Allowed(format!("the token has the scope `{scope}`"))
    } else {
        let given = if scopes.is_empty() { "none".to_owned() } else { format!("`{}`", scopes.join("`, `")) };
        Writing::Lacks(format!("the token lacks the scope `{scope}`; its scopes: {given}"))
    }
}

/// GitHub's names of the permissions that an App needs to write (github-api.md §3.1): empty for what no App
/// may do, `None` where GitHub documents none.
fn app_permissions(target: &Target, kind: EntryKind) -> Option<&'static [&'static str]> {
    Some(match (&target.scope, kind, target.app) {
        (Scope::Environment { .. }, EntryKind::Secret, _) => &["environments", "secrets"],
        (Scope::Environment { .. }, EntryKind::Variable, _) => &["environments", "actions_variables"],
        (_, _, App::Agents) => return None,
        (Scope::Repository(_), EntryKind::Variable, _) => &["actions_variables"],
        (Scope::Repository(_), EntryKind::Secret, App::Actions) => &["secrets"],
        (Scope::Repository(_), EntryKind::Secret, App::Dependabot) => &["dependabot_secrets"],
        (Scope::Repository(_), EntryKind::Secret, App::Codespaces) => &["codespaces_secrets"],
        (Scope::Organization(_), EntryKind::Variable, _) => &["organization_actions_variables"],
        (Scope::Organization(_), EntryKind::Secret, App::Actions) => &["organization_secrets"],
        (Scope::Organization(_), EntryKind::Secret, App::Dependabot) => &["organization_dependabot_secrets"],
        (Scope::Organization(_), EntryKind::Secret, App::Codespaces) => &[],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(organization: bool, app: App) -> Target {
        let scope = if organization {
            Scope::Organization("payready".into())
        } else {
            Scope::Repository("payready/sophia".parse().unwrap())
        };
        Target { scope, app }
    }

    fn app(permissions: &[(&str, &str)]) -> Powers {
        let permissions = permissions.iter().map(|(name, level)| ((*name).to_owned(), (*level).to_owned())).collect();
        Powers { permissions: Some(permissions), ..Powers::default() }
    }

    fn lacks(writing: &Writing, word: &str) -> bool {
        matches!(writing, Writing::Lacks(why) if why.contains(word))
    }

    #[test]
    fn an_app_is_told_which_permission_it_lacks() {
        let powers = app(&[("secrets", "write"), ("actions_variables", "read"), ("organization_secrets", "admin")]);
        let repository = target(false, App::Actions);
        assert!(matches!(writing(&powers, &repository, EntryKind::Secret), Writing::Allowed(_)));
        assert!(lacks(&writing(&powers, &repository, EntryKind::Variable), "`actions_variables`: read"));
        assert!(lacks(&writing(&powers, &target(false, App::Dependabot), EntryKind::Secret), "dependabot_secrets"));
        assert!(matches!(writing(&powers, &target(true, App::Actions), EntryKind::Secret), Writing::Allowed(_)));
        assert!(lacks(&writing(&powers, &target(true, App::Codespaces), EntryKind::Secret), "no App"));
        assert_eq!(writing(&powers, &target(true, App::Agents), EntryKind::Secret), Writing::Unknown);
        let scope = Scope::Environment { repository: "payready/sophia".parse().unwrap(), environment: "e".into() };
        let environment = Target { scope, app: App::Actions };
        assert!(lacks(&writing(&powers, &environment, EntryKind::Secret), "`environments`: none"));
    }

    #[test]
    fn a_classic_token_is_told_which_scope_it_lacks() {
        let powers = |scopes: &[&str]| Powers {
            scopes: Some(scopes.iter().map(|scope| (*scope).to_owned()).collect()),
            ..Powers::default()
        };
        let (repository, organization) = (target(false, App::Actions), target(true, App::Actions));
        assert!(matches!(writing(&powers(&["repo"]), &repository, EntryKind::Secret), Writing::Allowed(_)));
        assert!(lacks(&writing(&powers(&["repo"]), &organization, EntryKind::Secret), "`admin:org`"));
        assert!(lacks(&writing(&powers(&[]), &repository, EntryKind::Variable), "its scopes: none"));
        let reader = Powers { may_push: Some(false), ..powers(&["repo"]) };
        assert!(lacks(&writing(&reader, &repository, EntryKind::Secret), "may only read"));
    }

    #[test]
    fn what_github_does_not_tell_is_not_guessed() {
        let powers = Powers { may_push: Some(true), ..Powers::default() };
        assert_eq!(writing(&powers, &target(false, App::Actions), EntryKind::Secret), Writing::Unknown);
    }
}
