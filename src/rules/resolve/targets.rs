//! The part of `rules::resolve` that is about targets.

use std::collections::BTreeMap;

use super::Pass;
use crate::base::error::Problem;
use crate::base::target::{App, RepositoryName};
use crate::rules::definition::{Destination, Group, Target, Visibility};
use crate::rules::naming;
use crate::rules::schema::{RepositoriesEntry, TargetEntry};

impl Pass<'_> {
    /// The targets whose place is clear; what is wrong with the others has been reported.
    pub(super) fn targets(&mut self, written: Vec<TargetEntry>, groups: &[Group]) -> Vec<Target> {
        let mut targets = Vec::new();
        for (index, entry) in written.into_iter().enumerate() {
            let pointer = format!("/targets/{index}");
            if let Some(names) = &entry.stacks {
                self.known_list(names, &format!("{pointer}/stacks"), Self::known_environment);
            }
            if let Some(names) = &entry.secret_groups {
                self.known_list(names, &format!("{pointer}/secretGroups"), Self::known_group);
            }
            if entry.github_environment.is_some() && entry.apps.iter().any(|app| *app != App::Actions) {
                let problem = Problem::error("environment-app", "a GitHub environment holds secrets of Actions only");
                self.report(
                    &format!("{pointer}/apps"),
                    problem.hint("make a second target without `githubEnvironment`"),
                );
            }
            let destination = self.destination(&entry, &pointer);
            let stacks = entry.stacks.unwrap_or_else(|| self.environments.clone());
            if let Some(destination) = destination {
                let place = self.at(&pointer);
                targets.push((
                    pointer,
                    Target { stacks, apps: entry.apps, groups: entry.secret_groups, destination, place },
                ));
            }
        }
        self.overlaps(&targets, groups);
        targets.into_iter().map(|(_, target)| target).collect()
    }

    fn destination(&mut self, entry: &TargetEntry, pointer: &str) -> Option<Destination> {
        if entry.organization.is_none() {
            for (key, given) in [
                ("visibility", entry.visibility.is_some()),
                ("selectedRepositories", entry.selected_repositories.is_some()),
            ] {
                if given {
                    let message = format!("`{key}` is for targets with `organization` only");
                    self.error(&format!("{pointer}/{key}"), "visibility-unused", message);
                }
            }
        }
        match (&entry.repository, &entry.repositories, &entry.organization) {
            (Some(repository), None, None) => {
                let repository = self.repository(repository, &format!("{pointer}/repository"))?;
                Some(Destination::Repository { repository, environment: entry.github_environment.clone() })
            }
            (None, Some(repositories), None) if entry.github_environment.is_none() => {
                Some(self.repositories(repositories, &format!("{pointer}/repositories")))
            }
            (None, None, Some(organization)) if entry.github_environment.is_none() => {
                self.organization(organization, entry, pointer)
            }
            (None, None, None) => {
                let problem = Problem::error("target-place", "a target must name a place");
                self.report(pointer, problem.hint("add `repository`, `repositories` or `organization`"));
                None
            }
            (None, _, _) => {
                let pointer = format!("{pointer}/githubEnvironment");
                self.error(&pointer, "target-place", "`githubEnvironment` is for targets with `repository` only");
                None
            }
            _ => {
                let message = "a target names one place: `repository`, `repositories` or `organization`";
                self.report(pointer, Problem::error("target-place", message).hint("make one target for each"));
                None
            }
        }
    }

    fn repositories(&mut self, entry: &RepositoriesEntry, pointer: &str) -> Destination {
        self.github_organization(&entry.organization, &format!("{pointer}/organization"));
        if entry.topic.is_none() && entry.pattern.is_none() {
            let message = "`repositories` chooses by neither `topic` nor `match`";
            let problem = Problem::error("repositories-unbounded", message);
            self.report(pointer, problem.hint("`match: \"*\"` means every repository of the organization"));
        }
        if let Some(pattern) = entry.pattern.as_ref().filter(|text| !text.is_empty() && !naming::is_pattern(text)) {
            let message = format!(
                "`{pattern}` is not a pattern of repository names: letters, digits, `-`, `_`, `.`, `*` and `?`"
            );
            self.error(&format!("{pointer}/match"), "repositories-pattern", message);
        }
        Destination::Repositories {
            organization: entry.organization.clone(),
            topic: entry.topic.clone(),
            pattern: entry.pattern.clone(),
        }
    }

    fn organization(&mut self, organization: &str, entry: &TargetEntry, pointer: &str) -> Option<Destination> {
        self.github_organization(organization, &format!("{pointer}/organization"));
        let selected = self.selected(organization, entry, pointer);
        let Some(visibility) = entry.visibility else {
            let problem = Problem::error("visibility-missing", "a target with `organization` needs `visibility`");
            self.report(pointer, problem.hint("`all`, `private` or `selected`; it is never guessed"));
            return None;
        };
        let pointer_of_list = format!("{pointer}/selectedRepositories");
        if visibility == Visibility::Selected && entry.selected_repositories.is_none() {
            let message = "`visibility: selected` needs `selectedRepositories`";
            self.error(&format!("{pointer}/visibility"), "selected-missing", message);
        }
        if visibility != Visibility::Selected && entry.selected_repositories.is_some() {
            let message = format!("`selectedRepositories` means nothing with `visibility: {}`", visibility.word());
            self.report(&pointer_of_list, Problem::error("selected-unused", message).hint("`visibility: selected`?"));
        }
        Some(Destination::Organization {
            organization: organization.to_owned(),
            visibility,
            selected_repositories: selected,
        })
    }

    fn selected(&mut self, organization: &str, entry: &TargetEntry, pointer: &str) -> Vec<RepositoryName> {
        let mut selected = Vec::new();
        for (index, text) in entry.selected_repositories.iter().flatten().enumerate() {
            let pointer = format!("{pointer}/selectedRepositories/{index}");
            let Some(repository) = self.repository(text, &pointer) else { continue };
            if !organization.is_empty() && !repository.owner().eq_ignore_ascii_case(organization) {
                let message = format!("`{repository}` does not belong to the organization `{organization}`");
                self.error(&pointer, "selected-outside", message);
            }
            selected.push(repository);
        }
        selected
    }

    /// Two targets with one place must not deliver the same group: of one environment it is a mistake, of two
    /// environments the last sync wins.
    fn overlaps(&mut self, targets: &[(String, Target)], groups: &[Group]) {
        /// The stack that is delivered, and the pointer of the target that says so.
        type Delivery<'t> = (&'t str, &'t str);
        let mut seen: BTreeMap<(String, App, &str), Vec<Delivery>> = BTreeMap::new();
        let mut found = Vec::new();
        for (pointer, target) in targets {
            let Some(place) = place_key(&target.destination) else { continue };
            let wanted = |group: &&Group| target.groups.as_ref().is_none_or(|names| names.contains(&group.name));
            let mut shared = None;
            for app in &target.apps {
                for Group { name: group, environments, .. } in groups.iter().filter(wanted) {
                    let deliveries = seen.entry((place.clone(), *app, group)).or_default();
                    for stack in target.stacks.iter().filter(|stack| environments.contains(stack)) {
                        // What one list names twice has been reported; this is about two targets.
                        if deliveries.iter().any(|(other, by)| other == stack && by != pointer) {
                            let message = format!("group `{group}` of `{stack}` is delivered to this place twice");
                            found.push((pointer, Problem::error("duplicate-target", message)));
                        } else if let Some((other, _)) = deliveries.iter().find(|(other, _)| other != stack) {
                            shared = Some((group, *other, stack));
                        }
                        deliveries.push((stack, pointer));
                    }
                }
            }
            if let Some((group, other, stack)) = shared {
                let message = format!(
                    "`{other}` and `{stack}` both deliver the group `{group}` to this place: the last sync wins"
                );
                let hint = "deliver each environment to its own `githubEnvironment`";
                found.push((pointer, Problem::warning("target-shared", message).hint(hint)));
            }
        }
        for (pointer, problem) in found {
            self.report(pointer, problem);
        }
    }
}

/// What makes two destinations the same place; none when that is only known at GitHub.
fn place_key(destination: &Destination) -> Option<String> {
    match destination {
        Destination::Repository { repository, environment } => Some(format!(
            "{} {}",
            repository.to_string().to_lowercase(),
            environment.as_deref().unwrap_or_default().to_lowercase()
        )),
        Destination::Organization { organization, .. } => Some(organization.to_lowercase()),
        Destination::Repositories { .. } => None,
    }
}
