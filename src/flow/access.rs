//! `access`: the policies of a definition, and what GitHub and Pulumi Cloud say beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::base::error::{Failure, Outcome};
use crate::base::target::{RepositoryName, Scope};
use crate::io::esc_cloud::PulumiCloud;
use crate::io::git;
use crate::io::github_access::GitHubAccess;
use crate::report::access::{CanReport, DiffReport, MatrixReport};
use crate::report::findings::FindingsReport;
use crate::rules::config;
use crate::rules::definition::{Definition, Destination, Identity};
use crate::rules::nearest;
use crate::rules::policy::findings::{self, Facts, RepositoryFacts};
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

/// Where it can be asked what is really granted; what is none is named as not checked.
pub struct Services<'a> {
    pub github: Option<&'a GitHubAccess>,
    /// Pulumi Cloud, or why it cannot be asked. None inside for the embedded store, where no one grants anything.
    pub pulumi: Result<Option<&'a PulumiCloud>, String>,
}

/// The findings about access, with what the services say.
///
/// # Errors
/// Those of GitHub. What a token may not look at there, and whatever Pulumi Cloud does not tell, is named in the report
/// instead.
pub async fn check(definition: &Definition, services: &Services<'_>) -> Outcome<FindingsReport> {
    let mut unchecked = Vec::new();
    let mut facts = Facts::default();
    match services.github {
        Some(github) => {
            for destination in definition.targets.iter().map(|target| &target.destination) {
                if let Destination::Repositories { organization, .. } = destination {
                    chosen(github, destination, organization, &mut facts, &mut unchecked).await?;
                }
            }
            for repository in repositories(definition) {
                if let Some(found) = repository_facts(github, &repository, &mut unchecked).await? {
                    facts.repositories.insert(repository, found);
                }
            }
        }
        None => unchecked.push("what GitHub says (visibility of repositories, protection of environments)".to_owned()),
    }
    match &services.pulumi {
        // What nothing binds cannot differ.
        _ if definition.policies.is_empty() => {}
        Ok(Some(pulumi)) => teams(pulumi, definition, &mut facts, &mut unchecked).await,
        Ok(None) => {}
        Err(why) => unchecked.push(format!("{TEAMS}: {why}")),
    }
    let problems = findings::check(definition, &facts);
    Ok(FindingsReport { command: "access check", subject: definition.file.clone(), problems, unchecked })
}

const TEAMS: &str = "what Pulumi Cloud grants to teams";

/// A side question: no failure of it, be it a stale login or an outage, ends the check.
async fn teams(pulumi: &PulumiCloud, definition: &Definition, facts: &mut Facts, unchecked: &mut Vec<String>) {
    let organizations: BTreeSet<&str> =
        definition.environments.iter().map(|stack| stack.esc.organization.as_str()).collect();
    for organization in organizations {
        match pulumi.teams(organization).await {
            Ok(teams) => {
                facts.teams.insert(organization.to_owned(), teams);
            }
            Err(failure) => unchecked.push(format!("{TEAMS}: {}", failure.message)),
        }
    }
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

/// Adds the repositories that a fan-out chooses; those that sync skips are left out.
async fn chosen(
    github: &GitHubAccess,
    fan_out: &Destination,
    organization: &str,
    facts: &mut Facts,
    unchecked: &mut Vec<String>,
) -> Outcome<()> {
    let client = github.client(&Scope::Organization(organization.to_owned())).await?;
    let listed = match client.organization_repositories(organization).await {
        Ok(listed) => listed,
        Err(error) if error.is_hidden() => {
            unchecked
                .push(format!("the repositories of `{organization}`: it is not there, or the token may not list them"));
            return Ok(());
        }
        Err(error) => return Err(error.failure(&format!("list the repositories of {organization}"), "metadata: read")),
    };
    for repository in listed.into_iter().filter(|repository| !repository.archived && !repository.disabled) {
        let Ok(name) = repository.full_name.parse::<RepositoryName>() else { continue };
        if fan_out.chooses(&name, &repository.topics) {
            let public = repository.visibility.as_deref() == Some("public");
            facts.repositories.insert(name, RepositoryFacts { public, topics: repository.topics, environments: None });
        }
    }
    Ok(())
}

async fn repository_facts(
    github: &GitHubAccess,
    repository: &RepositoryName,
    unchecked: &mut Vec<String>,
) -> Outcome<Option<RepositoryFacts>> {
    let client = github.client(&Scope::Repository(repository.clone())).await?;
    let found = match client.repository(repository).await {
        Ok(found) => found,
        Err(error) if error.is_hidden() => {
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
        Err(error) if error.is_hidden() => {
            unchecked.push(format!("the environments of `{repository}`: the token needs `actions: read`"));
            None
        }
        Err(error) => {
            return Err(error.failure(&format!("listing the environments of `{repository}`"), "actions: read"));
        }
    };
    let public = found.visibility.as_deref() == Some("public");
    Ok(Some(RepositoryFacts { public, topics: found.topics, environments }))
}

/// Who gains and loses what from revision `before` to revision `after`, or to the definition as it is now.
///
/// # Errors
/// `git-revision` when git cannot show the file there; `definition` when the file has problems there.
pub fn diff(definition: &Definition, before: &str, after: Option<&str>) -> Outcome<DiffReport> {
    let path = definition.file.clone();
    let at = |revision: &str| -> Outcome<Definition> {
        let text = git::show(Path::new(&path), revision)?;
        let name = format!("{path}@{revision}");
        let loaded = config::load(&name, &text).map_err(|problems| config::failure(&name, problems))?;
        Ok(loaded.definition)
    };
    let old = at(before)?;
    let other = after.map(at).transpose()?;
    let new = other.as_ref().unwrap_or(definition);
    let changes = review::diff(&old, new);
    let binding = (!old.policies.is_empty(), !new.policies.is_empty());
    Ok(DiffReport {
        binding,
        before: before.to_owned(),
        after: after.unwrap_or("the file as it is").to_owned(),
        changes,
    })
}
