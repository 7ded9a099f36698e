//! What a workflow really sees: warnings about secrets that another one hides.
//!
//! GitHub takes a name from the environment, else from the repository, else from the organization, and gives
//! a workflow only the first 100 organization secrets by name (github-api.md §2). Only what a run has listed
//! anyway is looked at: a warning is never worth a request.

use std::collections::BTreeSet;

use super::plan::{Action, Observed, Step, Target, TargetPlan};
use crate::base::error::Problem;
use crate::base::target::{EntryKind, Scope};

/// How many organization secrets reach a workflow.
const FIRST: usize = 100;

/// The secrets that one store holds after the run.
#[derive(Debug, Clone)]
pub struct Occupied<'a> {
    pub target: &'a Target,
    /// What this run delivers.
    pub ours: BTreeSet<&'a str>,
    /// What else is there.
    pub foreign: BTreeSet<&'a str>,
}

impl<'a> Occupied<'a> {
    /// `foreign` as [`foreign`] found it.
    #[must_use]
    pub fn new(plan: &'a TargetPlan, foreign: &'a BTreeSet<String>) -> Self {
        Self {
            target: &plan.target,
            ours: delivered(plan).collect(),
            foreign: foreign.iter().map(String::as_str).collect(),
        }
    }
}

fn secrets(plan: &TargetPlan) -> impl Iterator<Item = &Step> {
    plan.steps.iter().filter(|step| step.kind == EntryKind::Secret)
}

fn delivered(plan: &TargetPlan) -> impl Iterator<Item = &str> {
    let stays = |step: &&Step| matches!(step.action, Action::Create | Action::Update | Action::Keep);
    secrets(plan).filter(stays).map(|step| &*step.name)
}

/// Names of secrets that one store holds and this run neither delivers nor deletes.
#[must_use]
pub fn foreign(plan: &TargetPlan, observed: &Observed) -> BTreeSet<String> {
    let known: BTreeSet<&str> =
        secrets(plan).filter(|step| step.action != Action::Refuse).map(|step| &*step.name).collect();
    let listed = observed.entries.keys().filter(|(kind, _)| *kind == EntryKind::Secret);
    listed.map(|(_, name)| name).filter(|name| !known.contains(name.as_str())).cloned().collect()
}

/// Whether a store among `scopes` can hide a secret of another, or an organization's hundred be full: if not,
/// there is nothing to warn about.
#[must_use]
pub fn matters<'s>(mut scopes: impl Iterator<Item = &'s Scope>) -> bool {
    scopes.any(|scope| !matches!(scope, Scope::Repository(_)))
}

/// Warnings about delivered secrets that a workflow will not see.
#[must_use]
pub fn warnings(stores: &[Occupied<'_>]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = stores.iter().filter_map(beyond_the_first).collect();
    for broad in stores {
        for narrow in stores.iter().filter(|narrow| hides(narrow.target, broad.target)) {
            let hidden: Vec<&str> = broad.ours.intersection(&narrow.foreign).copied().collect();
            if !hidden.is_empty() {
                let (names, of, by) = (hidden.join("`, `"), &broad.target.scope, &narrow.target.scope);
                let message = format!("`{names}` of {of} is hidden by a secret of that name of {by}");
                problems.push(
                    Problem::warning("secret-hidden", message).hint(
                        "a workflow takes the environment's secret, else the repository's, else the organization's",
                    ),
                );
            }
        }
    }
    problems
}

fn beyond_the_first(store: &Occupied<'_>) -> Option<Problem> {
    let Scope::Organization(organization) = &store.target.scope else { return None };
    let all: BTreeSet<&str> = store.ours.union(&store.foreign).copied().collect();
    let beyond: Vec<&str> = all.iter().skip(FIRST).copied().filter(|name| store.ours.contains(name)).collect();
    let first = beyond.first()?;
    let (count, more) = (all.len(), beyond.len());
    Some(
        Problem::warning(
            "organization-first-100",
            format!(
                "organization {organization} holds {count} secrets and a workflow gets the first {FIRST} by name that \
                 it may see: {more} of ours come later, from `{first}` on"
            ),
        )
        .hint("narrow the visibility of others, or deliver these to the repositories themselves"),
    )
}

/// Whether a secret of `narrow` wins over one of the same name of `broad`.
fn hides(narrow: &Target, broad: &Target) -> bool {
    narrow.app == broad.app
        && match (&narrow.scope, &broad.scope) {
            (Scope::Environment { repository, .. }, Scope::Repository(broad)) => repository == broad,
            (Scope::Environment { repository, .. } | Scope::Repository(repository), Scope::Organization(owner)) => {
                repository.owner().eq_ignore_ascii_case(owner)
            }
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::target::App;

    fn target(scope: &str) -> Target {
        let scope = match scope.split_once(':') {
            Some((repository, environment)) => {
                Scope::Environment { repository: repository.parse().unwrap(), environment: environment.into() }
            }
            None => match scope.parse() {
                Ok(repository) => Scope::Repository(repository),
                Err(_) => Scope::Organization(scope.into()),
            },
        };
        Target { scope, app: App::Actions }
    }

    fn codes(stores: &[(&Target, &[&'static str], &[&'static str])]) -> Vec<String> {
        let stores: Vec<Occupied<'_>> = stores
            .iter()
            .map(|(target, ours, foreign)| Occupied {
                target,
                ours: ours.iter().copied().collect(),
                foreign: foreign.iter().copied().collect(),
            })
            .collect();
        warnings(&stores).into_iter().map(|problem| format!("{}: {}", problem.code, problem.message)).collect()
    }

    #[test]
    fn a_foreign_secret_of_a_narrower_place_hides_ours() {
        let (organization, repository, environment) =
            (target("payready"), target("PayReady/sophia"), target("payready/sophia:production"));
        let found = codes(&[(&organization, &["A", "B"], &[]), (&repository, &["B"], &["A"])]);
        assert_eq!(
            found,
            ["secret-hidden: `A` of organization payready is hidden by a secret of that name of PayReady/sophia"]
        );
        assert_eq!(codes(&[(&repository, &["A"], &[]), (&environment, &[], &["A", "C"])]).len(), 1);
        assert_eq!(codes(&[(&repository, &[], &["A"]), (&environment, &["A"], &[])]), [""; 0]);
        assert_eq!(codes(&[(&target("payready/other"), &["A"], &[]), (&environment, &[], &["A"])]), [""; 0]);
        let dependabot = Target { app: App::Dependabot, ..repository.clone() };
        assert_eq!(codes(&[(&organization, &["A"], &[]), (&dependabot, &[], &["A"])]), [""; 0]);
    }

    #[test]
    fn organization_secrets_after_the_first_hundred_are_told() {
        let names: Vec<&'static str> = (0..100).map(|n| &*Box::leak(format!("N{n:03}").into_boxed_str())).collect();
        let organization = target("payready");
        assert_eq!(codes(&[(&organization, &["A"], &names[..99])]), [""; 0]);
        assert_eq!(codes(&[(&organization, &["A"], &names)]), [""; 0]);
        let found = codes(&[(&organization, &["A", "Z"], &names)]);
        assert!(
            found[0].contains("102 secrets") && found[0].contains("1 of ours come later, from `Z` on"),
            "{found:?}"
        );
        assert_eq!(codes(&[(&target("payready/sophia"), &["Z"], &names)]), [""; 0]);
    }
}
