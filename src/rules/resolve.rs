//! What the definition's schema cannot say: names, references, intervals, paths, and how the parts fit.
//!
//! Works on the written types after `rules::shape` has been over them, so **an empty text stands for
//! something that was reported already** and is passed over here.

use std::collections::BTreeSet;

use super::definition::{AccessPolicy, Definition, Environment, Group, Identity, IdentityKind, Mapping, Rotation};
use super::interval;
use super::naming;
use super::nearest;
use super::schema::{DefinitionFile, EnvironmentEntry, GroupEntry, MappingEntry, PolicyEntry, RotationEntry};
use super::shape;
use crate::base::environment::EscName;
use crate::base::error::{Place, Problem};
use crate::base::target::RepositoryName;
use crate::base::yaml::{Content, Node};
use crate::esc::path::Path;

mod targets;

/// The definition, and every problem. None only when a name of an ESC environment could not be made.
pub(super) fn definition(file: &str, root: &Node, written: DefinitionFile) -> (Option<Definition>, Vec<Problem>) {
    let names = |list: Vec<&String>| list.into_iter().cloned().collect::<Vec<_>>();
    let mut pass = Pass {
        file,
        root,
        problems: Vec::new(),
        environments: names(written.environments.iter().map(|entry| &entry.name).collect()),
        groups: names(written.secret_groups.iter().map(|entry| &entry.name).collect()),
    };
    let environments = pass.environments(&written);
    if let Some(stack) = &written.default_stack {
        pass.known_environment(stack, "/defaultStack");
    }
    let groups = pass.groups(written.secret_groups);
    let mappings = pass.mappings(written.secret_mappings, &groups);
    let policies = pass.policies(written.access_policies.unwrap_or_default());
    let targets = pass.targets(written.targets, &groups);
    let sync = written.sync.unwrap_or_default();
    pass.path(&sync.fingerprint_key, "/sync/fingerprintKey");
    let definition = environments.map(|environments| Definition {
        file: file.to_owned(),
        name: written.name,
        description: written.description.unwrap_or_default(),
        organization: written.organization,
        default_stack: written.default_stack,
        environments,
        groups,
        mappings,
        policies,
        targets,
        sync,
    });
    (definition, pass.problems)
}

struct Pass<'d> {
    file: &'d str,
    root: &'d Node,
    problems: Vec<Problem>,
    /// Names of all environments and groups, in the file's order.
    environments: Vec<String>,
    groups: Vec<String>,
}

impl Pass<'_> {
    /// The place of a JSON pointer: of the node there, else of the nearest one above it.
    fn at(&self, pointer: &str) -> Place {
        let mut node = self.root;
        for step in pointer.split('/').skip(1) {
            let below = match &node.content {
                Content::Sequence(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => node.get(step),
            };
            match below {
                Some(below) => node = below,
                None => break,
            }
        }
        shape::place(self.file, node.span.start)
    }

    fn report(&mut self, pointer: &str, problem: Problem) {
        let place = self.at(pointer);
        self.problems.push(problem.at(place));
    }

    fn error(&mut self, pointer: &str, code: &'static str, message: impl Into<String>) {
        self.report(pointer, Problem::error(code, message));
    }

    fn known_environment(&mut self, name: &str, pointer: &str) {
        self.known(("unknown-environment", "environment"), name, pointer);
    }

    fn known_group(&mut self, name: &str, pointer: &str) {
        self.known(("unknown-group", "group"), name, pointer);
    }

    /// Reports a name that is not defined; not when a defined one was reported, because it may be that.
    fn known(&mut self, (code, noun): (&'static str, &str), name: &str, pointer: &str) {
        let defined = if noun == "group" { &self.groups } else { &self.environments };
        let unclear = name.is_empty() || defined.is_empty() || defined.iter().any(String::is_empty);
        if !unclear && !defined.iter().any(|known| known == name) {
            let known: Vec<&str> = defined.iter().map(String::as_str).collect();
            let hint = nearest::hint(name, &known);
            self.report(pointer, Problem::error(code, format!("no {noun} `{name}` is defined")).hint(hint));
        }
    }

    fn known_list(&mut self, names: &[String], pointer: &str, check: fn(&mut Self, &str, &str)) {
        for (index, name) in names.iter().enumerate() {
            check(self, name, &format!("{pointer}/{index}"));
        }
    }

    fn unique<'n>(&mut self, noun: &str, list: &str, names: impl Iterator<Item = &'n str>) {
        let mut seen = BTreeSet::new();
        for (index, name) in names.enumerate() {
            if !name.is_empty() && !seen.insert(name) {
                self.error(
                    &format!("/{list}/{index}/name"),
                    "duplicate-name",
                    format!("two {noun} are named `{name}`"),
                );
            }
        }
    }

    fn path(&mut self, text: &str, pointer: &str) {
        if let Err(error) = text.parse::<Path>() {
            self.error(pointer, "esc-path", format!("{error}: `{text}`"));
        }
    }

    /// The repository that `text` names.
    fn repository(&mut self, text: &str, pointer: &str) -> Option<RepositoryName> {
        if text.is_empty() {
            return None;
        }
        text.parse()
            .map_err(|error: crate::base::target::NotARepositoryName| {
                self.error(pointer, "repository-name", error.to_string());
            })
            .ok()
    }

    fn github_organization(&mut self, login: &str, pointer: &str) {
        if !login.is_empty() && !naming::is_login(login) {
            self.error(pointer, "organization-name", format!("`{login}` is not the name of a GitHub organization"));
        }
    }

    fn environments(&mut self, written: &DefinitionFile) -> Option<Vec<Environment>> {
        self.unique("environments", "environments", written.environments.iter().map(|entry| entry.name.as_str()));
        let plain = |text: &str| EscName::new(text, "project", "environment").is_ok();
        for (key, text) in [("name", &written.name), ("organization", &written.organization)] {
            if !text.is_empty() && !plain(text) {
                let message = format!("`{text}` is not a name that ESC takes: letters, digits, `-`, `_` and `.`");
                self.error(&format!("/{key}"), "esc-name", message);
            }
        }
        let organization = if plain(&written.organization) { &written.organization } else { "organization" };
        let project = if plain(&written.name) { &written.name } else { "project" };
        let list: Vec<Option<Environment>> = written
            .environments
            .iter()
            .enumerate()
            .map(|(index, entry)| self.environment(entry, organization, project, &format!("/environments/{index}")))
            .collect();
        list.into_iter().collect()
    }

    fn environment(
        &mut self,
        entry: &EnvironmentEntry,
        organization: &str,
        project: &str,
        pointer: &str,
    ) -> Option<Environment> {
        let esc = match &entry.esc {
            Some(text) => text.parse().map_err(|error| (text, "esc", error)),
            None => EscName::new(organization, project, &entry.name).map_err(|error| (&entry.name, "name", error)),
        };
        let esc = esc.map_err(|(text, key, error): (_, _, crate::base::environment::NotAnEscName)| {
            if !text.is_empty() {
                self.error(&format!("{pointer}/{key}"), "esc-name", error.to_string());
            }
        });
        Some(Environment {
            name: entry.name.clone(),
            description: entry.description.clone().unwrap_or_default(),
            tags: entry.tags.clone(),
            esc: esc.ok()?,
            place: self.at(pointer),
        })
    }

    fn groups(&mut self, written: Vec<GroupEntry>) -> Vec<Group> {
        self.unique("groups", "secretGroups", written.iter().map(|entry| entry.name.as_str()));
        let mut groups = Vec::new();
        for (index, entry) in written.into_iter().enumerate() {
            let pointer = format!("/secretGroups/{index}");
            if let Some(names) = &entry.environments {
                self.known_list(names, &format!("{pointer}/environments"), Self::known_environment);
            }
            let rotation = entry.rotation.and_then(|rotation| self.rotation(rotation, None, &pointer));
            groups.push(Group {
                name: entry.name,
                description: entry.description.unwrap_or_default(),
                environments: entry.environments.unwrap_or_else(|| self.environments.clone()),
                rotation,
                place: self.at(&pointer),
            });
        }
        groups
    }

    fn mappings(&mut self, written: Vec<MappingEntry>, groups: &[Group]) -> Vec<Mapping> {
        let mut seen = BTreeSet::new();
        let mut mappings = Vec::new();
        for (index, entry) in written.into_iter().enumerate() {
            let pointer = format!("/secretMappings/{index}");
            self.known_group(&entry.secret_group, &format!("{pointer}/secretGroup"));
            let key = if entry.environment_variable_name.is_some() { "environmentVariableName" } else { "name" };
            let target_name = entry.environment_variable_name.unwrap_or_else(|| entry.name.clone());
            self.target_name(&target_name, &format!("{pointer}/{key}"));
            let twice = !seen.insert((entry.secret_group.clone(), naming::fold(&target_name)));
            if twice && !target_name.is_empty() {
                let message = format!("group `{}` delivers the name `{target_name}` twice", entry.secret_group);
                self.error(&format!("{pointer}/{key}"), "duplicate-target-name", message);
            }
            if let Some(path) = &entry.path {
                self.path(path, &format!("{pointer}/path"));
            }
            let group = groups.iter().find(|group| group.name == entry.secret_group);
            let of_group = group.and_then(|group| group.rotation.clone());
            let rotation = match entry.rotation {
                Some(rotation) => self.rotation(rotation, of_group, &pointer),
                None => of_group,
            };
            mappings.push(Mapping {
                name: entry.name,
                description: entry.description.unwrap_or_default(),
                group: entry.secret_group,
                target_name,
                path: entry.path,
                kind: entry.kind,
                required: entry.required,
                rotation,
                generate: entry.generate,
                place: self.at(&pointer),
            });
        }
        mappings
    }

    fn target_name(&mut self, name: &str, pointer: &str) {
        if name.is_empty() {
            return;
        }
        if let Err(broken) = naming::check(name) {
            let mut problem = Problem::error("secret-name", format!("GitHub refuses the name `{name}`: {broken}"));
            if let Some(valid) = naming::suggestion(name) {
                problem = problem.hint(format!("`environmentVariableName: {valid}` would be valid"));
            }
            self.report(pointer, problem);
        }
    }

    /// A rotation, with what it leaves open taken from the group's.
    fn rotation(&mut self, entry: RotationEntry, group: Option<Rotation>, pointer: &str) -> Option<Rotation> {
        const USUAL_WARNING: jiff::SignedDuration = jiff::SignedDuration::from_hours(14 * 24);
        let every = self.interval(&entry.every, &format!("{pointer}/rotation/every"));
        let warn_pointer = format!("{pointer}/rotation/warn");
        let warn = match &entry.warn {
            Some(text) => Some(self.interval(text, &warn_pointer)?),
            None => group.as_ref().map(|group| group.warn),
        };
        let every = every?;
        if entry.warn.is_some() && warn >= Some(every) {
            let message = format!("a warning of `{}` is not shorter than the interval", interval::text(warn?));
            self.report(&warn_pointer, Problem::warning("warn-too-long", message));
        }
        let shortest = USUAL_WARNING.min(every / 4);
        Some(Rotation {
            every,
            owner: entry.owner.or_else(|| group.and_then(|group| group.owner)),
            warn: warn.filter(|warn| entry.warn.is_some() || *warn < every).unwrap_or(shortest),
        })
    }

    fn interval(&mut self, text: &str, pointer: &str) -> Option<jiff::SignedDuration> {
        if text.is_empty() {
            return None;
        }
        interval::parse(text).map_err(|error| self.error(pointer, "interval", error.to_string())).ok()
    }

    fn policies(&mut self, written: Vec<PolicyEntry>) -> Vec<AccessPolicy> {
        self.unique("policies", "accessPolicies", written.iter().map(|entry| entry.name.as_str()));
        let mut policies = Vec::new();
        for (index, entry) in written.into_iter().enumerate() {
            let pointer = format!("/accessPolicies/{index}");
            self.known_list(&entry.secret_groups, &format!("{pointer}/secretGroups"), Self::known_group);
            self.known_list(&entry.environments, &format!("{pointer}/environments"), Self::known_environment);
            let mut seen = BTreeSet::new();
            for (number, identity) in entry.identities.iter().enumerate() {
                let pointer = format!("{pointer}/identities/{number}");
                self.identity(identity, &pointer);
                if !identity.name.is_empty() && !seen.insert(identity) {
                    self.error(&pointer, "duplicate-item", format!("`identities` names `{identity}` twice"));
                }
            }
            policies.push(AccessPolicy {
                name: entry.name,
                description: entry.description.unwrap_or_default(),
                groups: entry.secret_groups,
                environments: entry.environments,
                identities: entry.identities,
                place: self.at(&pointer),
            });
        }
        policies
    }

    fn identity(&mut self, identity: &Identity, pointer: &str) {
        if identity.kind != IdentityKind::Github || identity.name.is_empty() {
            return;
        }
        let valid = match identity.name.split_once('/') {
            None => naming::is_login(&identity.name),
            Some((owner, "*")) => naming::is_login(owner),
            Some((owner, _)) => naming::is_login(owner) && identity.name.parse::<RepositoryName>().is_ok(),
        };
        if !valid {
            let message =
                format!("`{}` names no GitHub identity: expected OWNER/REPOSITORY, OWNER/* or OWNER", identity.name);
            self.error(&format!("{pointer}/name"), "identity-name", message);
        }
    }
}
