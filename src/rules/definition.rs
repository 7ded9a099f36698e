//! The definition after validation: what everyone else works with (design §1, §4). Made by `rules::config`.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::naming;
use super::nearest;
use crate::base::environment::EscName;
use crate::base::error::{Failure, Outcome, Place};
use crate::base::target::{App, EntryKind, RepositoryName};
use crate::esc::path::{Path, Step};

pub use super::schema::{Charset, Generate, Identity, IdentityKind, SyncEntry as SyncSettings, Visibility};

/// A valid definition: every reference resolves, every name and interval has been read.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The file as the user named it.
    pub file: String,
    /// The ESC project.
    pub name: String,
    /// Empty when the file has none.
    pub description: String,
    /// The Pulumi organization.
    pub organization: String,
    pub default_stack: Option<String>,
    pub environments: Vec<Environment>,
    pub groups: Vec<Group>,
    pub mappings: Vec<Mapping>,
    /// None of them binds when there are none; otherwise what no policy grants is denied (design §6).
    pub policies: Vec<AccessPolicy>,
    pub targets: Vec<Target>,
    pub sync: SyncSettings,
}

/// A stack.
#[derive(Debug, Clone)]
pub struct Environment {
    pub name: String,
    pub description: String,
    pub tags: BTreeMap<String, String>,
    /// Where the stack's values live.
    pub esc: EscName,
    pub place: Place,
}

#[derive(Debug, Clone)]
pub struct Group {
    pub name: String,
    pub description: String,
    /// Names of the stacks that have the group; never empty.
    pub environments: Vec<String>,
    pub rotation: Option<Rotation>,
    pub place: Place,
}

#[derive(Debug, Clone)]
pub struct Mapping {
    /// The name in ESC, under the group.
    pub name: String,
    pub description: String,
    pub group: String,
    /// The name at GitHub, as written (compare with [`naming::fold`]).
    pub target_name: String,
    /// A property path that has been checked.
    pub path: Option<String>,
    pub kind: EntryKind,
    pub required: bool,
    /// The mapping's own, completed from its group's; else its group's.
    pub rotation: Option<Rotation>,
    pub generate: Option<Generate>,
    pub place: Place,
}

impl Mapping {
    /// The ESC property that an import writes: `path`, else `<group>.<name>`.
    #[must_use]
    pub fn property(&self) -> Option<Path> {
        match &self.path {
            Some(path) => path.parse().ok(),
            None => Some(Path { steps: vec![Step::Key(self.group.clone()), Step::Key(self.name.clone())] }),
        }
    }
}

/// When a value is due for rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    pub every: SignedDuration,
    pub owner: Option<String>,
    /// How long before the age of `every` it counts as due soon.
    pub warn: SignedDuration,
}

#[derive(Debug, Clone)]
pub struct AccessPolicy {
    pub name: String,
    pub description: String,
    pub groups: Vec<String>,
    pub environments: Vec<String>,
    pub identities: Vec<Identity>,
    pub place: Place,
}

#[derive(Debug, Clone)]
pub struct Target {
    /// Names of the stacks that are delivered here; never empty.
    pub stacks: Vec<String>,
    pub apps: Vec<App>,
    /// None: all groups of the stack.
    pub groups: Option<Vec<String>>,
    pub destination: Destination,
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Repository {
        repository: RepositoryName,
        environment: Option<String>,
    },
    /// Every repository of the organization that has the topic and matches the pattern ([`naming::matches`]).
    Repositories {
        organization: String,
        topic: Option<String>,
        pattern: Option<String>,
    },
    Organization {
        organization: String,
        visibility: Visibility,
        /// Empty unless the visibility is `Selected`.
        selected_repositories: Vec<RepositoryName>,
    },
}

impl Destination {
    /// Whether it is a fan-out that takes the repository, which has these topics.
    #[must_use]
    pub fn chooses(&self, repository: &RepositoryName, topics: &[String]) -> bool {
        let Self::Repositories { organization, topic, pattern } = self else { return false };
        repository.owner().eq_ignore_ascii_case(organization)
            && topic.as_ref().is_none_or(|topic| topics.iter().any(|known| known.eq_ignore_ascii_case(topic)))
            && pattern.as_ref().is_none_or(|pattern| naming::matches(pattern, repository.name()))
    }
}

impl Definition {
    /// The stack that a command works on: the one asked for, else the default one.
    ///
    /// # Errors
    /// `stack-missing` when neither names one, `stack-unknown` when there is none of that name; both list the
    /// stacks.
    pub fn stack(&self, asked: Option<&str>) -> Outcome<&Environment> {
        let known = self.stack_names();
        let Some(name) = asked.or(self.default_stack.as_deref()) else {
            return Err(Failure::usage("stack-missing", "no stack was named").hint(format!(
                "name one of {} with --stack or PULUMI_STACK, or set `defaultStack` in `{}`",
                known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
                self.file
            )));
        };
        self.environments.iter().find(|environment| environment.name == name).ok_or_else(|| {
            Failure::usage("stack-unknown", format!("`{}` defines no stack `{name}`", self.file))
                .hint(nearest::hint(name, &known))
        })
    }

    /// The names of all stacks, in the file's order.
    #[must_use]
    pub fn stack_names(&self) -> Vec<&str> {
        self.environments.iter().map(|environment| environment.name.as_str()).collect()
    }

    /// The group of that name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The groups that the stack has, in the file's order.
    pub fn groups_of<'d>(&'d self, stack: &'d str) -> impl Iterator<Item = &'d Group> {
        self.groups.iter().filter(move |group| group.environments.iter().any(|name| name == stack))
    }

    /// The mappings of a group, in the file's order. None: every leaf of its ESC object is a member.
    pub fn mappings_of<'d>(&'d self, group: &'d str) -> impl Iterator<Item = &'d Mapping> {
        self.mappings.iter().filter(move |mapping| mapping.group == group)
    }

    /// Whether a mapping of the stack asks for a plain variable.
    #[must_use]
    pub fn delivers_variables(&self, stack: &str) -> bool {
        self.groups_of(stack)
            .flat_map(|group| self.mappings_of(&group.name))
            .any(|mapping| mapping.kind == EntryKind::Variable)
    }

    /// The mappings that give `name` at GitHub, compared as GitHub compares.
    pub fn mappings_to<'d>(&'d self, name: &str) -> impl Iterator<Item = &'d Mapping> {
        let folded = naming::fold(name);
        self.mappings.iter().filter(move |mapping| naming::fold(&mapping.target_name) == folded)
    }

    /// The same definition with the organization or project of every ESC environment replaced, as `--org` and
    /// `--project` ask; what the file says with `esc:` is replaced too, because the command line is nearer.
    ///
    /// # Errors
    /// `esc-name` when the result names no ESC environment.
    pub fn with_overrides(mut self, organization: Option<&str>, project: Option<&str>) -> Outcome<Self> {
        for environment in &mut self.environments {
            let esc = &environment.esc;
            environment.esc = EscName::new(
                organization.unwrap_or(&esc.organization),
                project.unwrap_or(&esc.project),
                &esc.environment,
            )
            .map_err(|error| Failure::usage("esc-name", error.to_string()))?;
        }
        if let Some(organization) = organization {
            organization.clone_into(&mut self.organization);
        }
        if let Some(project) = project {
            project.clone_into(&mut self.name);
        }
        Ok(self)
    }
}

impl IdentityKind {
    /// The word of the file and of reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Team => "team",
            Self::Github => "github",
        }
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind.word(), self.name)
    }
}
