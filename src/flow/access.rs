//! `access`: the policies of a definition, and what GitHub says beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::base::error::{Failure, Outcome};
use crate::base::target::{RepositoryName, Scope};
use crate::io::git;
use crate::io::github_access::GitHubAccess;
use crate::report::access::{CanReport, DiffReport, MatrixReport};
use crate::report::findings::FindingsReport;
use crate::rules::config;
use crate::rules::definition::{Definition, Destination, Identity};
use crate::rules::nearest;
use crate::rules::policy::findings::{self, GitHubFacts, RepositoryFacts};
use crate::rules::policy::{self, review};

/// Who × group × stack.
#[must_use]
pub fn matrix(definition: &Definition) -> MatrixReport {
    MatrixReport { definition: definition.file.clone(), matrix: review::matrix(definition) }
}

/// Whether `identity` may get `group` of `stack`.
///
/// # Errors
/// `group-unknown`, `stack-unknown`, `group-not-in-stack`.
pub fn can(definition: &Definition, identity: Identity, group: &str, stack: &str) -> Outcome<CanReport> {
    definition.stack(Some(stack))?;
    let Some(found) = definition.group(group) else {
        let known: Vec<&str> = definition.groups.iter().map(|group| group.name.as_str()).collect();
        let failure = Failure::usage("group-unknown", format!("`{}` defines no group `{group}`", definition.file));
        return Err(failure.hint(nearest::hint(group, &known)));
    };
    if !found.environments.iter().any(|name| name == stack) {
        let message = format!("the stack `{stack}` has no group `{group}`");
        return Err(Failure::usage("group-not-in-stack", message));
    }
    let decision = policy::can(definition, &identity, group, stack);
    let binding = !definition.policies.is_empty();
    Ok(CanReport { identity, group: group.to_owned(), stack: stack.to_owned(), decision, binding })
}

/// The findings about access; with `github`, also those that need GitHub's word.
///
/// # Errors
/// Authentication at GitHub. A repository that cannot be looked at is named in the report instead.
pub async fn check(definition: &Definition, github: Option<&GitHubAccess>) -> Outcome<FindingsReport> {
    let mut unchecked = Vec::new();
    let mut facts = GitHubFacts::default();
    match github {
        Some(github) => {
            for repository in repositories(definition) {
                if let Some(found) = repository_facts(github, &repository, &mut unchecked).await? {
                    facts.repositories.insert(repository, found);
                }
            }
        }
        None => unchecked.push("what GitHub says (visibility of repositories, protection of environments)".to_owned()),
    }
    let problems = findings::check(definition, &facts);
    Ok(FindingsReport { command: "access check", subject: definition.file.clone(), problems, unchecked })
}

/// The repositories that targets name.
fn repositories(definition: &Definition) -> BTreeSet<RepositoryName> {
    let named = |destination: &Destination| match destination {
        Destination::Repository { repository, .. } => vec![repository.clone()],
        Destination::Organization { selected_repositories, .. } => selected_repositories.clone(),
        Destination::Repositories { .. } => Vec::new(),
    };
    definition.targets.iter().flat_map(|target| named(&target.destination)).collect()
}

async fn repository_facts(
    github: &GitHubAccess,
    repository: &RepositoryName,
    unchecked: &mut Vec<String>,
) -> Outcome<Option<RepositoryFacts>> {
    let client = github.client(&Scope::Repository(repository.clone())).await?;
    let found = match client.repository(repository).await {
        Ok(found) => found,
        Err(error) if error.is_not_found() || error.is_denied() => {
            unchecked.push(format!("the repository `{repository}`: it is not there, or the token may not see it"));
            return Ok(None);
        }
        Err(error) => return Err(error.failure(&format!("reading the repository `{repository}`"), "metadata: read")),
    };
    let environments = match client.environments(repository).await {
        Ok(list) => {
            let protected = |environment: crate::io::github_inventory::Environment| {
                (environment.name.to_lowercase(), !environment.protection_rules.is_empty())
            };
            Some(list.into_iter().map(protected).collect::<BTreeMap<_, _>>())
        }
        Err(error) if error.is_not_found() || error.is_denied() => {
            unchecked.push(format!("the environments of `{repository}`: the token needs `actions: read`"));
            None
        }
        Err(error) => {
            return Err(error.failure(&format!("listing the environments of `{repository}`"), "actions: read"));
        }
    };
    Ok(Some(RepositoryFacts { public: found.visibility.as_deref() == Some("public"), environments }))
}

/// Who gains and loses what from revision `before` to revision `after`, or to the definition as it is now.
///
/// # Errors
/// `git-revision` when git cannot show the file there; `definition` when the file has problems there.
pub fn diff(definition: Definition, before: &str, after: Option<&str>) -> Outcome<DiffReport> {
    let path = definition.file.clone();
    let at = |revision: &str| -> Outcome<Definition> {
        let text = git::show(Path::new(&path), revision)?;
        let name = format!("{path}@{revision}");
        let loaded = config::load(&name, &text).map_err(|problems| config::failure(&name, problems))?;
        Ok(loaded.definition)
    };
    let old = at(before)?;
    let new = after.map(at).transpose()?.unwrap_or(definition);
    let changes = review::diff(&old, &new);
    Ok(DiffReport { before: before.to_owned(), after: after.unwrap_or("the file as it is").to_owned(), changes })
}
