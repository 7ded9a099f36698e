//! Who may get which secret group of which stack (design §6).
//!
//! **Where a definition has policies, what none of them grants is denied. Where it has none, everything is
//! allowed.** A policy grants every group it names, of every environment it names, to every identity it
//! names; nothing takes a grant back. Names of GitHub and Pulumi compare without case, names of groups and
//! environments exactly.

use super::definition::{AccessPolicy, Definition, Destination, Identity, IdentityKind};
use super::plan::Visibility;
use crate::base::target::RepositoryName;

mod exposure;
pub mod findings;
pub mod review;
mod teams;

/// Whether something may be had, and by which policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    /// The first policy that grants it; none when it is denied, and when the definition has no policies.
    pub policy: Option<String>,
}

/// Whether `group` of `stack` may be delivered to `repository`.
#[must_use]
pub fn decide(definition: &Definition, group: &str, stack: &str, repository: &RepositoryName) -> Decision {
    grant(definition, group, stack, |identity| covers_repository(identity, repository))
}

/// Whether `group` of `stack` may be delivered to all repositories of `organization`.
#[must_use]
pub fn decide_organization(definition: &Definition, group: &str, stack: &str, organization: &str) -> Decision {
    grant(definition, group, stack, |identity| covers_owner(identity, organization))
}

/// Whether `group` of `stack` may be delivered to `destination`. An organization's secrets are granted to the
/// organization, or to each repository that is selected. For several repositories it answers for all of the
/// organization's; a single one of them can still be granted ([`decide`]).
#[must_use]
pub fn decide_destination(definition: &Definition, group: &str, stack: &str, destination: &Destination) -> Decision {
    match destination {
        Destination::Repository { repository, .. } => decide(definition, group, stack, repository),
        Destination::Repositories { organization, .. } => decide_organization(definition, group, stack, organization),
        Destination::Organization { organization, visibility, selected_repositories } => {
            let whole = decide_organization(definition, group, stack, organization);
            if whole.allowed || *visibility != Visibility::Selected || selected_repositories.is_empty() {
                return whole;
            }
            let each: Vec<Decision> =
                selected_repositories.iter().map(|name| decide(definition, group, stack, name)).collect();
            match each.iter().find(|decision| !decision.allowed).or(each.first()) {
                Some(decision) => decision.clone(),
                None => whole,
            }
        }
    }
}

/// Whether `identity` may get `group` of `stack`. A repository of GitHub is also granted what its owner is;
/// an owner (`owner`, `owner/*`) only what is granted to the owner.
#[must_use]
pub fn can(definition: &Definition, identity: &Identity, group: &str, stack: &str) -> Decision {
    grant(definition, group, stack, |granted| covers(granted, identity))
}

/// The policies that grant `group` of `stack` to `identity`, in the file's order.
pub fn grants<'d>(
    definition: &'d Definition,
    identity: &'d Identity,
    group: &'d str,
    stack: &'d str,
) -> impl Iterator<Item = &'d AccessPolicy> {
    definition
        .policies
        .iter()
        .filter(move |policy| names(policy, group, stack) && policy.identities.iter().any(|to| covers(to, identity)))
}

fn grant(definition: &Definition, group: &str, stack: &str, covered: impl Fn(&Identity) -> bool) -> Decision {
    if definition.policies.is_empty() {
        return Decision { allowed: true, policy: None };
    }
    let policy =
        definition.policies.iter().find(|policy| names(policy, group, stack) && policy.identities.iter().any(&covered));
    Decision { allowed: policy.is_some(), policy: policy.map(|policy| policy.name.clone()) }
}

fn names(policy: &AccessPolicy, group: &str, stack: &str) -> bool {
    policy.groups.iter().any(|name| name == group) && policy.environments.iter().any(|name| name == stack)
}

/// The owner of an identity that means all repositories of an owner: `owner` or `owner/*`.
fn whole_owner(identity: &Identity) -> Option<&str> {
    if identity.kind != IdentityKind::Github {
        return None;
    }
    match identity.name.split_once('/') {
        None => Some(&identity.name),
        Some((owner, "*")) => Some(owner),
        Some(_) => None,
    }
}

fn covers_owner(granted: &Identity, owner: &str) -> bool {
    whole_owner(granted).is_some_and(|whole| whole.eq_ignore_ascii_case(owner))
}

fn covers_repository(granted: &Identity, repository: &RepositoryName) -> bool {
    covers_owner(granted, repository.owner())
        || granted.kind == IdentityKind::Github && granted.name.eq_ignore_ascii_case(&repository.to_string())
}

/// Whether what is granted to `granted` is granted to `identity`.
#[must_use]
pub fn covers(granted: &Identity, identity: &Identity) -> bool {
    if let Some(owner) = whole_owner(identity) {
        return covers_owner(granted, owner);
    }
    match identity.name.parse::<RepositoryName>() {
        Ok(repository) if identity.kind == IdentityKind::Github => covers_repository(granted, &repository),
        _ => granted.kind == identity.kind && granted.name.to_lowercase() == identity.name.to_lowercase(),
    }
}

/// A text that is no identity as the command line takes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no identity: expected `user:NAME`, `team:NAME`, `github:OWNER/REPOSITORY` or OWNER/REPOSITORY")]
pub struct NotAnIdentity(pub String);

impl std::str::FromStr for Identity {
    type Err = NotAnIdentity;

    /// Reads `kind:name`; without a kind, `a/b` is a repository and a name with `@` a user.
    fn from_str(text: &str) -> Result<Self, NotAnIdentity> {
        let wrong = || NotAnIdentity(text.to_owned());
        let (kind, name) = match text.split_once(':') {
            Some(("user", name)) => (IdentityKind::User, name),
            Some(("team", name)) => (IdentityKind::Team, name),
            Some(("github", name)) => (IdentityKind::Github, name),
            Some(_) => return Err(wrong()),
            None if text.contains('/') => (IdentityKind::Github, text),
            None if text.contains('@') => (IdentityKind::User, text),
            None => return Err(wrong()),
        };
        let repository = || name.parse::<RepositoryName>().is_ok();
        let owner = || super::naming::is_login(name.strip_suffix("/*").unwrap_or(name));
        if name.is_empty() || kind == IdentityKind::Github && !repository() && !owner() {
            return Err(wrong());
        }
        Ok(Self { kind, name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests;
