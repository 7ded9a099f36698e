//! What the definition promises: which names there are, of what kind, and where a job can read them.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::error::Place;
use crate::base::target::{App, EntryKind, RepositoryName};
use crate::rules::definition::{Definition, Destination, Target};
use crate::rules::naming;

/// Where a job of the repository can read a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Every job: a secret of the repository or the organization.
    Everywhere,
    /// Jobs of this GitHub environment; in lower case.
    Environment(String),
}

/// One name that the definition delivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// As the definition writes it.
    pub name: String,
    pub kind: EntryKind,
    pub groups: BTreeSet<String>,
    pub required: bool,
    pub stacks: BTreeSet<String>,
    pub place: Place,
    /// Empty when no target says where.
    pub reach: BTreeSet<Reach>,
}

/// The names of some stacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Promises {
    /// By folded name.
    pub names: BTreeMap<String, Promise>,
    /// Some group lists no names, and they are not known from ESC: any name may be one of its.
    pub open: bool,
}

/// Names that ESC yields, by stack and group: the members of groups that list none.
pub type Members = BTreeMap<(String, String), BTreeSet<String>>;

/// Collects the promises of `stacks`. `members` is none when ESC was not opened. When targets name `repository`, only
/// those count for where a job can read a name.
#[must_use]
pub fn promises(
    definition: &Definition,
    stacks: &[&str],
    repository: Option<&RepositoryName>,
    members: Option<&Members>,
) -> Promises {
    let mut promises = Promises::default();
    for stack in stacks {
        for group in definition.groups_of(stack) {
            let reach = reach(definition, stack, &group.name, repository);
            let mut mapped = false;
            for mapping in definition.mappings_of(&group.name) {
                mapped = true;
                let promise = Promise {
                    name: mapping.target_name.clone(),
                    kind: mapping.kind,
                    groups: BTreeSet::from([group.name.clone()]),
                    required: mapping.required,
                    stacks: BTreeSet::from([(*stack).to_owned()]),
                    place: mapping.place.clone(),
                    reach: reach.clone(),
                };
                promises.add(promise);
            }
            let known = members.and_then(|members| members.get(&((*stack).to_owned(), group.name.clone())));
            promises.open |= !mapped && members.is_none();
            for name in known.filter(|_| !mapped).into_iter().flatten() {
                promises.add(Promise {
                    name: name.clone(),
                    kind: EntryKind::Secret,
                    groups: BTreeSet::from([group.name.clone()]),
                    required: true,
                    stacks: BTreeSet::from([(*stack).to_owned()]),
                    place: group.place.clone(),
                    reach: reach.clone(),
                });
            }
        }
    }
    promises
}

impl Promises {
    fn add(&mut self, promise: Promise) {
        let folded = naming::fold(&promise.name);
        match self.names.get_mut(&folded) {
            None => {
                self.names.insert(folded, promise);
            }
            Some(known) => {
                known.groups.extend(promise.groups);
                known.stacks.extend(promise.stacks);
                known.reach.extend(promise.reach);
                known.required |= promise.required;
            }
        }
    }

    /// The promise of a name, compared as GitHub compares.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Promise> {
        self.names.get(&naming::fold(name))
    }
}

fn delivers(target: &Target, stack: &str, group: &str) -> bool {
    let named = target.groups.as_ref().is_none_or(|groups| groups.iter().any(|name| name == group));
    named && target.stacks.iter().any(|name| name == stack)
}

fn reach(definition: &Definition, stack: &str, group: &str, repository: Option<&RepositoryName>) -> BTreeSet<Reach> {
    let is_ours = |target: &&Target| match &target.destination {
        Destination::Repository { repository: of, .. } => Some(of) == repository,
        _ => false,
    };
    let named = definition.targets.iter().any(|target| is_ours(&target));
    let targets = definition.targets.iter().filter(|target| delivers(target, stack, group));
    targets
        .filter(|target| target.apps.contains(&App::Actions))
        .filter_map(|target| match &target.destination {
            Destination::Repository { .. } if named && !is_ours(&target) => None,
            Destination::Repository { environment: Some(environment), .. } => {
                Some(Reach::Environment(environment.to_lowercase()))
            }
            _ => Some(Reach::Everywhere),
        })
        .collect()
}

/// Groups that a stack has and no target of it delivers; none for a stack without targets, of which the command line
/// says where it goes.
#[must_use]
pub fn undelivered<'d>(definition: &'d Definition, stack: &'d str) -> Vec<(&'d str, &'d Place)> {
    if !definition.targets.iter().any(|target| target.stacks.iter().any(|name| name == stack)) {
        return Vec::new();
    }
    let groups = definition.groups_of(stack);
    let missed = groups.filter(|group| !definition.targets.iter().any(|target| delivers(target, stack, &group.name)));
    missed.map(|group| (group.name.as_str(), &group.place)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::config;

    fn definition() -> Definition {
        let text = "\
name: n
organization: o
environments: [{name: production}, {name: staging}]
secretGroups: [{name: keys}, {name: open}, {name: nowhere, environments: [production]}]
secretMappings:
  - {name: A, secretGroup: keys}
  - {name: B, secretGroup: nowhere, kind: variable, required: false}
targets:
  - {repository: o/web, githubEnvironment: Production, stacks: [production], secretGroups: [keys]}
  - {repository: o/other, stacks: [production], secretGroups: [keys, open]}
";
        config::load("d.yaml", text).unwrap().definition
    }

    #[test]
    fn names_reach_the_jobs_that_the_targets_of_the_repository_say() {
        let definition = definition();
        let reach = |repository: Option<&str>| {
            let repository = repository.map(|name| name.parse().unwrap());
            promises(&definition, &["production"], repository.as_ref(), None).get("a").unwrap().reach.clone()
        };
        let production = Reach::Environment("production".into());
        assert_eq!(reach(Some("o/web")), BTreeSet::from([production.clone()]));
        assert_eq!(reach(Some("o/other")), BTreeSet::from([Reach::Everywhere]));
        assert_eq!(reach(None), BTreeSet::from([Reach::Everywhere, production]));
    }

    #[test]
    fn a_group_without_names_is_open_until_esc_names_its_members() {
        let definition = definition();
        assert!(promises(&definition, &["production"], None, None).open);
        let members = Members::from([(("staging".into(), "open".into()), BTreeSet::from(["X".to_owned()]))]);
        let found = promises(&definition, &["production", "staging"], None, Some(&members));
        assert!(!found.open);
        assert_eq!(found.get("X").unwrap().stacks, BTreeSet::from(["staging".to_owned()]));
        assert_eq!(found.get("A").unwrap().stacks.len(), 2);
        assert!(!found.get("B").unwrap().required);
    }

    #[test]
    fn a_group_that_no_target_delivers_is_told() {
        let definition = definition();
        let names: Vec<&str> = undelivered(&definition, "production").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["nowhere"]);
        assert_eq!(undelivered(&definition, "staging"), []);
    }
}
