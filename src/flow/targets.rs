//! From the definition's targets and the command line to the GitHub stores of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::error::{Failure, Outcome, Place};
use crate::base::target::{App, RepositoryName, Scope};
use crate::io::github_access::GitHubAccess;
use crate::rules::definition::{Definition, Destination, Environment};
use crate::rules::plan::{Exposure, Skipped, Target, Visibility};

/// What the command line says about targets.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    pub apps: Vec<App>,
    pub repository: Option<RepositoryName>,
    pub environment: Option<String>,
    pub organization: Option<String>,
    pub visibility: Option<Visibility>,
    pub selected_repositories: Vec<RepositoryName>,
    /// Part I of N.
    pub shard: Option<(u64, u64)>,
}

impl Asked {
    /// Whether there is a place to deliver the stack to: one that is named, or one of the definition.
    #[must_use]
    pub fn somewhere(&self, definition: &Definition, stack: &Environment) -> bool {
        self.repository.is_some()
            || self.organization.is_some()
            || definition.targets.iter().any(|target| target.stacks.contains(&stack.name))
    }

    /// Who would read what is written to the place that is named; none when none is.
    #[must_use]
    pub fn reader(&self) -> Option<Destination> {
        match (&self.repository, &self.organization) {
            (Some(repository), _) => {
                Some(Destination::Repository { repository: repository.clone(), environment: None })
            }
            (None, Some(organization)) => Some(Destination::Organization {
                organization: organization.clone(),
                visibility: self.visibility?,
                selected_repositories: self.selected_repositories.clone(),
            }),
            (None, None) => None,
        }
    }
}

/// One store of a run, with what the definition says of it.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub target: Target,
    /// None: all groups of the stack.
    pub groups: Option<BTreeSet<String>>,
    pub exposure: Option<Arc<Exposure>>,
    pub place: Option<Place>,
    /// Who would be able to read the secrets, for the access policies.
    pub reader: Destination,
}

/// The stores of a run.
#[derive(Debug, Clone, Default)]
pub struct Deliveries {
    /// In the order of scope and app; each store once.
    pub list: Vec<Delivery>,
    pub skipped: Vec<Skipped>,
}

/// Resolves the targets of `stack`: the definition's, narrowed by the command line; or the one that the
/// command line names, where the definition names none such.
///
/// # Errors
/// A usage failure when nothing says where to write; GitHub's failures where a fan-out is expanded.
pub async fn resolve(
    definition: &Definition,
    stack: &str,
    asked: &Asked,
    github: &GitHubAccess,
) -> Outcome<Deliveries> {
    let mut found = Deliveries::default();
    let mut by_target: BTreeMap<Target, Delivery> = BTreeMap::new();
    for target in definition.targets.iter().filter(|target| target.stacks.iter().any(|name| name == stack)) {
        if !may_match(&target.destination, asked) {
            continue;
        }
        for (scope, exposure) in scopes(&target.destination, asked, github, &mut found.skipped).await? {
            let apps = target.apps.iter().filter(|app| asked.apps.is_empty() || asked.apps.contains(app));
            for app in apps {
                let delivery = Delivery {
                    target: Target { scope: scope.clone(), app: *app },
                    groups: target.groups.clone().map(|groups| groups.into_iter().collect()),
                    exposure: exposure.clone(),
                    place: Some(target.place.clone()),
                    reader: reader(&scope, &target.destination),
                };
                by_target
                    .entry(delivery.target.clone())
                    .and_modify(|known| join_groups(known, &delivery))
                    .or_insert(delivery);
            }
        }
    }
    let names_targets = definition.targets.iter().any(|target| target.stacks.iter().any(|name| name == stack));
    if by_target.is_empty() && found.skipped.is_empty() && names_targets {
        return Err(unlisted(definition, stack));
    }
    if by_target.is_empty() && found.skipped.is_empty() {
        for delivery in named_by_the_command_line(asked, github).await? {
            by_target.insert(delivery.target.clone(), delivery);
        }
    }
    if by_target.is_empty() && found.skipped.is_empty() {
        return Err(no_target(definition, stack));
    }
    found.list = by_target.into_values().collect();
    if let Some((index, count)) = asked.shard {
        found.list.retain(|delivery| crate::rules::cost::shard_of(&delivery.target.scope, count) == index);
    }
    Ok(found)
}

/// Two entries of the definition for one store deliver the groups of both.
fn join_groups(known: &mut Delivery, other: &Delivery) {
    known.groups = match (known.groups.take(), &other.groups) {
        (Some(mut groups), Some(more)) => {
            groups.extend(more.iter().cloned());
            Some(groups)
        }
        _ => None,
    };
}

/// Whether a destination can be the one that the command line names.
fn may_match(destination: &Destination, asked: &Asked) -> bool {
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    match destination {
        Destination::Repository { repository, environment } => {
            asked.organization.is_none()
                && asked.repository.as_ref().is_none_or(|asked| asked == repository)
                && asked.environment.as_ref().is_none_or(|asked| environment.as_ref().is_some_and(|e| same(e, asked)))
        }
        Destination::Repositories { organization, .. } => {
            asked.organization.is_none()
                && asked.environment.is_none()
                && asked.repository.as_ref().is_none_or(|asked| same(asked.owner(), organization))
        }
        Destination::Organization { organization, .. } => {
            asked.repository.is_none() && asked.organization.as_ref().is_none_or(|asked| same(asked, organization))
        }
    }
}

/// A repository for its own secrets, the destination itself for an organization's.
fn reader(scope: &Scope, destination: &Destination) -> Destination {
    match scope.repository() {
        Some(repository) => Destination::Repository { repository: repository.clone(), environment: None },
        None => destination.clone(),
    }
}

type Found = (Scope, Option<Arc<Exposure>>);

async fn scopes(
    destination: &Destination,
    asked: &Asked,
    github: &GitHubAccess,
    skipped: &mut Vec<Skipped>,
) -> Outcome<Vec<Found>> {
    match destination {
        Destination::Repository { repository, environment: None } => {
            Ok(vec![(Scope::Repository(repository.clone()), None)])
        }
        Destination::Repository { repository, environment: Some(environment) } => {
            let scope = Scope::Environment { repository: repository.clone(), environment: environment.clone() };
            Ok(vec![(scope, None)])
        }
        Destination::Repositories { organization, .. } => {
            let scope = Scope::Organization(organization.clone());
            let client = github.client(&scope).await?;
            let all = client.organization_repositories(organization).await.map_err(|error| {
                error.failure(
                    &format!("list the repositories of {organization}"),
                    "repository permission `Metadata`: read",
                )
            })?;
            let mut found = Vec::new();
            for repository in all {
                let Ok(name) = repository.full_name.parse::<RepositoryName>() else { continue };
                let wanted = destination.chooses(&name, &repository.topics)
                    && asked.repository.as_ref().is_none_or(|asked| *asked == name);
                let why = match (repository.archived, repository.disabled) {
                    (true, _) => Some("archived"),
                    (_, true) => Some("disabled"),
                    _ => None,
                };
                match why {
                    _ if !wanted => {}
                    Some(why) => skipped.push(Skipped { repository: repository.full_name, why }),
                    None => found.push((Scope::Repository(name), None)),
                }
            }
            Ok(found)
        }
        Destination::Organization { organization, visibility, selected_repositories } => {
            let exposure = exposure(*visibility, selected_repositories, github).await?;
            Ok(vec![(Scope::Organization(organization.clone()), Some(exposure))])
        }
    }
}

/// The exposure with the ids that GitHub wants.
async fn exposure(
    visibility: Visibility,
    selected: &[RepositoryName],
    github: &GitHubAccess,
) -> Outcome<Arc<Exposure>> {
    let mut repositories = BTreeSet::new();
    if visibility == Visibility::Selected {
        for name in selected {
            let client = github.client(&Scope::Repository(name.clone())).await?;
            let repository = client.repository(name).await.map_err(|error| {
                error.failure(&format!("look up repository {name}"), "repository permission `Metadata`: read")
            })?;
            repositories.insert(repository.id);
        }
    }
    Ok(Arc::new(Exposure { visibility, repositories }))
}

async fn named_by_the_command_line(asked: &Asked, github: &GitHubAccess) -> Outcome<Vec<Delivery>> {
    if asked.environment.is_some() && asked.apps.iter().any(|app| *app != App::Actions) {
        return Err(Failure::usage("environment-app", "environments hold secrets for Actions only")
            .hint("leave out --app, or --github-environment"));
    }
    let (scope, exposure, destination) = match (&asked.repository, &asked.organization) {
        (Some(repository), _) => {
            let scope = match &asked.environment {
                Some(environment) => {
                    Scope::Environment { repository: repository.clone(), environment: environment.clone() }
                }
                None => Scope::Repository(repository.clone()),
            };
            (scope, None, Destination::Repository { repository: repository.clone(), environment: None })
        }
        (None, Some(organization)) => {
            let visibility = asked.visibility.ok_or_else(|| {
                Failure::usage(
                    "visibility-missing",
                    format!("who may see the secrets of organization `{organization}`?"),
                )
                .hint("say it with --visibility all, private or selected (with --selected-repo); it is never guessed")
            })?;
            let exposure = exposure(visibility, &asked.selected_repositories, github).await?;
            let destination = Destination::Organization {
                organization: organization.clone(),
                visibility,
                selected_repositories: asked.selected_repositories.clone(),
            };
            (Scope::Organization(organization.clone()), Some(exposure), destination)
        }
        (None, None) => return Ok(Vec::new()),
    };
    let apps = if asked.apps.is_empty() { &[App::Actions][..] } else { &asked.apps };
    Ok(apps
        .iter()
        .map(|app| Delivery {
            target: Target { scope: scope.clone(), app: *app },
            groups: None,
            exposure: exposure.clone(),
            place: None,
            reader: destination.clone(),
        })
        .collect())
}

/// The definition says where the stack goes, and the command line names another place.
fn unlisted(definition: &Definition, stack: &str) -> Failure {
    Failure::usage("target-unlisted", format!("no target of stack `{stack}` is what the command line names"))
        .hint(format!("`{}` says where the stack goes: add the place to its `targets:`", definition.file))
}

fn no_target(definition: &Definition, stack: &str) -> Failure {
    Failure::usage("target-missing", format!("nothing says where the secrets of stack `{stack}` should go")).hint(
        format!(
            "name a place with --repo OWNER/NAME or --github-org NAME, or add `targets:` for the stack to `{}`",
            definition.file
        ),
    )
}
