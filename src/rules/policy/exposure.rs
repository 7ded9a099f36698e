//! Who reads what a target holds besides those it is meant for: findings that need what GitHub says.

use super::findings::{Facts, deliveries, is_production};
use crate::base::error::Problem;
use crate::base::target::{App, RepositoryName};
use crate::rules::definition::{Definition, Destination, Target};
use crate::rules::plan::Visibility;

const ELSEWHERE: &str = "deliver them to a private repository, or to a protected environment";

/// Adds what is found of one target.
pub(super) fn exposed(definition: &Definition, target: &Target, facts: &Facts, found: &mut Vec<Problem>) {
    let stacks: Vec<_> = definition
        .environments
        .iter()
        .filter(|environment| deliveries(definition, target).any(|(_, stack)| stack == environment.name))
        .collect();
    if stacks.is_empty() {
        return;
    }
    let names: Vec<String> = stacks.iter().map(|stack| format!("`{}`", stack.name)).collect();
    let secrets = format!("secrets of {}", names.join(", "));
    let mut say = |code, message: String, hint: &str| {
        found.push(Problem::warning(code, message).at(target.place.clone()).hint(hint));
    };
    match &target.destination {
        Destination::Organization { organization, visibility: Visibility::All, .. } => {
            let message = format!("every repository of `{organization}`, public ones included, reads {secrets}");
            say("visibility-all", message, "`visibility: selected` names the repositories that need them");
        }
        Destination::Organization { selected_repositories, .. } => {
            for repository in selected_repositories.iter().filter(|name| public(facts, name)) {
                say("public-repository", format!("`{repository}` is public and reads {secrets}"), ELSEWHERE);
            }
        }
        Destination::Repository { repository, environment } => {
            if public(facts, repository) {
                say("public-repository", format!("`{repository}` is public and gets {secrets}"), ELSEWHERE);
            }
            let Some(stack) = stacks.iter().find(|stack| is_production(stack)).map(|stack| &stack.name) else { return };
            match environment {
                // An environment holds secrets of Actions only: there is no better place for those of another app.
                None if target.apps.contains(&App::Actions) && has_environments(definition, repository, facts) => {
                    let message = format!(
                        "`{stack}` goes to the repository `{repository}`, where every workflow reads it, although the \
                         repository has environments"
                    );
                    say("production-at-repository", message, "add `githubEnvironment` to the target");
                }
                Some(environment) if protection(facts, repository, environment) == Some(false) => {
                    let message = format!(
                        "`{stack}` goes to the environment `{environment}` of `{repository}`, which has no protection rules"
                    );
                    say("environment-unprotected", message, "require reviewers or limit its branches at GitHub");
                }
                _ => {}
            }
        }
        Destination::Repositories { .. } => {
            for repository in facts.chosen(&target.destination).filter(|name| public(facts, name)) {
                let message = format!("`{repository}` is public, is chosen by a target, and gets {secrets}");
                say("public-repository", message, "narrow `topic` or `match`, or make the repository private");
            }
        }
    }
}

fn public(facts: &Facts, repository: &RepositoryName) -> bool {
    facts.repositories.get(repository).is_some_and(|facts| facts.public)
}

/// Whether the repository has environments: GitHub says so, or another target delivers to one.
fn has_environments(definition: &Definition, repository: &RepositoryName, facts: &Facts) -> bool {
    let listed = facts.repositories.get(repository).and_then(|facts| facts.environments.as_ref());
    listed.is_some_and(|environments| !environments.is_empty())
        || definition.targets.iter().any(|target| {
            matches!(&target.destination, Destination::Repository { repository: other, environment: Some(_) } if other == repository)
        })
}

fn protection(facts: &Facts, repository: &RepositoryName, environment: &str) -> Option<bool> {
    facts.repositories.get(repository)?.environments.as_ref()?.get(&environment.to_lowercase()).copied()
}
