//! What is odd about who gets what: the findings of `access check`.
//!
//! Some need the definition alone; the others need what GitHub says ([`GitHubFacts`]) and are silent about
//! what it did not say.

use std::collections::BTreeMap;

use super::{can, decide_destination};
use crate::base::error::{Place, Problem};
use crate::base::target::RepositoryName;
use crate::rules::definition::{Definition, Destination, Environment, Group, Identity, IdentityKind, Target};
use crate::rules::plan::Visibility;
use crate::rules::policy::covers;

/// Every code, with what it means.
pub const CODES: [(&str, &str); 9] = [
    ("access-denied", "a target would get a group that no policy grants it: sync refuses"),
    ("access-open", "there are no policies, so everything may go everywhere"),
    ("access-ungranted", "no policy grants a group of a stack to anyone"),
    ("access-unused", "a repository is granted what no target delivers to it"),
    ("environment-unprotected", "secrets of production go to an environment without protection rules"),
    ("policy-grants-nothing", "a policy names groups that its environments do not have"),
    (
        "production-at-repository",
        "secrets of production are readable by every workflow of a repository that has environments",
    ),
    ("public-repository", "secrets go to a public repository"),
    ("visibility-all", "secrets of an organization are readable by all its repositories"),
];

/// What GitHub says; what is absent could not be asked.
#[derive(Debug, Clone, Default)]
pub struct GitHubFacts {
    pub repositories: BTreeMap<RepositoryName, RepositoryFacts>,
}

/// What GitHub says of one repository.
#[derive(Debug, Clone, Default)]
pub struct RepositoryFacts {
    pub public: bool,
    /// By name in lower case, whether the environment has protection rules; none when they could not be listed.
    pub environments: Option<BTreeMap<String, bool>>,
}

/// Whether the stack is production: by its name or its tag `environment`.
#[must_use]
pub fn is_production(environment: &Environment) -> bool {
    let tag = environment.tags.get("environment").unwrap_or(&environment.name);
    ["production", "prod", "live"].iter().any(|word| tag.eq_ignore_ascii_case(word))
}

/// All findings, in the order of the file.
#[must_use]
pub fn check(definition: &Definition, facts: &GitHubFacts) -> Vec<Problem> {
    let mut found = Vec::new();
    policies(definition, &mut found);
    for target in &definition.targets {
        denied(definition, target, &mut found);
        exposed(definition, target, facts, &mut found);
    }
    found.sort_by(|left, right| left.place.cmp(&right.place));
    found
}

/// The groups that a target delivers, each with its stack.
pub fn deliveries<'d>(definition: &'d Definition, target: &'d Target) -> impl Iterator<Item = (&'d Group, &'d str)> {
    let wanted = |name: &str| target.groups.as_ref().is_none_or(|names| names.iter().any(|group| group == name));
    target
        .stacks
        .iter()
        .flat_map(|stack| definition.groups_of(stack).map(move |group| (group, stack.as_str())))
        .filter(move |(group, _)| wanted(&group.name))
}

/// The identities that read what a target holds.
#[must_use]
pub fn readers(destination: &Destination) -> Vec<Identity> {
    let github = |name: String| Identity { kind: IdentityKind::Github, name };
    match destination {
        Destination::Repository { repository, .. } => vec![github(repository.to_string())],
        Destination::Organization { visibility: Visibility::Selected, selected_repositories, .. } => {
            selected_repositories.iter().map(|repository| github(repository.to_string())).collect()
        }
        Destination::Repositories { organization, .. } | Destination::Organization { organization, .. } => {
            vec![github(format!("{organization}/*"))]
        }
    }
}

fn policies(definition: &Definition, found: &mut Vec<Problem>) {
    if definition.policies.is_empty() {
        let problem = Problem::warning("access-open", "there are no access policies: every group may go everywhere");
        let place = Place { file: definition.file.clone(), line: 1, column: 1 };
        found.push(problem.at(place).hint("add `accessPolicies`; from then on, what is not granted is denied"));
        return;
    }
    for group in &definition.groups {
        for stack in &group.environments {
            let named = |names: &[String], name: &str| names.iter().any(|named| named == name);
            let granted = definition
                .policies
                .iter()
                .any(|policy| named(&policy.groups, &group.name) && named(&policy.environments, stack));
            if !granted {
                let message = format!("no policy grants the group `{}` of `{stack}` to anyone", group.name);
                found.push(Problem::warning("access-ungranted", message).at(group.place.clone()));
            }
        }
    }
    for policy in &definition.policies {
        let exists = |group: &String, stack: &String| {
            definition.group(group).is_some_and(|group| group.environments.contains(stack))
        };
        if !policy.groups.iter().any(|group| policy.environments.iter().any(|stack| exists(group, stack))) {
            let message =
                format!("the policy `{}` grants nothing: its environments have none of its groups", policy.name);
            found.push(Problem::warning("policy-grants-nothing", message).at(policy.place.clone()));
            continue;
        }
        if definition.targets.is_empty() {
            continue;
        }
        for identity in policy.identities.iter().filter(|identity| identity.kind == IdentityKind::Github) {
            let unused: Vec<String> = policy
                .groups
                .iter()
                .flat_map(|group| policy.environments.iter().map(move |stack| (group, stack)))
                .filter(|(group, stack)| {
                    exists(group, stack) && !delivered(definition, group, stack, |reader| covers(identity, reader))
                })
                .map(|(group, stack)| format!("`{group}` of `{stack}`"))
                .collect();
            if !unused.is_empty() {
                let message = format!(
                    "the policy `{}` grants `{identity}` more than any target delivers to it: {}",
                    policy.name,
                    unused.join(", ")
                );
                let problem = Problem::warning("access-unused", message).at(policy.place.clone());
                found.push(problem.hint("grant only what is used"));
            }
        }
    }
}

/// Whether a target delivers the group of the stack to someone for whom `reads` is true.
#[must_use]
pub fn delivered(definition: &Definition, group: &str, stack: &str, reads: impl Fn(&Identity) -> bool) -> bool {
    definition.targets.iter().any(|target| {
        deliveries(definition, target).any(|(found, of)| found.name == group && of == stack)
            && readers(&target.destination).iter().any(&reads)
    })
}

fn denied(definition: &Definition, target: &Target, found: &mut Vec<Problem>) {
    for (group, stack) in deliveries(definition, target) {
        // Of several repositories each is decided when they are known.
        if matches!(target.destination, Destination::Repositories { .. })
            && definition
                .policies
                .iter()
                .any(|policy| policy.identities.iter().any(|to| below(to, &target.destination)))
        {
            continue;
        }
        if !decide_destination(definition, &group.name, stack, &target.destination).allowed {
            let who = readers(&target.destination)
                .into_iter()
                .filter(|reader| !can(definition, reader, &group.name, stack).allowed)
                .map(|reader| format!("`{reader}`"))
                .collect::<Vec<_>>()
                .join(", ");
            let message = format!("no policy grants the group `{}` of `{stack}` to {who}", group.name);
            let problem = Problem::error("access-denied", message).at(target.place.clone());
            found.push(problem.hint("grant it in `accessPolicies`, or take the group from the target; sync refuses"));
        }
    }
}

/// Whether `identity` is a single repository of the organization that a fan-out chooses from.
fn below(identity: &Identity, destination: &Destination) -> bool {
    let Destination::Repositories { organization, .. } = destination else { return false };
    let owner = identity.name.split_once('/').filter(|(_, name)| *name != "*").map(|(owner, _)| owner);
    identity.kind == IdentityKind::Github && owner.is_some_and(|owner| owner.eq_ignore_ascii_case(organization))
}

fn exposed(definition: &Definition, target: &Target, facts: &GitHubFacts, found: &mut Vec<Problem>) {
    let production: Vec<&str> = definition
        .environments
        .iter()
        .filter(|environment| is_production(environment))
        .map(|environment| environment.name.as_str())
        .filter(|name| deliveries(definition, target).any(|(_, stack)| stack == *name))
        .collect();
    let mut say = |code, message: String, hint: &str| {
        found.push(Problem::warning(code, message).at(target.place.clone()).hint(hint));
    };
    match &target.destination {
        Destination::Organization { organization, visibility: Visibility::All, .. } => {
            let message = format!("every repository of `{organization}`, public ones included, reads these secrets");
            say("visibility-all", message, "`visibility: selected` names the repositories that need them");
        }
        Destination::Organization { selected_repositories, .. } => {
            for repository in selected_repositories.iter().filter(|name| public(facts, name)) {
                let message = format!("`{repository}` is public and reads these secrets");
                say(
                    "public-repository",
                    message,
                    "deliver them to a private repository, or to a protected environment",
                );
            }
        }
        Destination::Repository { repository, environment } => {
            if public(facts, repository) {
                let message = format!("`{repository}` is public and gets these secrets");
                say(
                    "public-repository",
                    message,
                    "deliver them to a private repository, or to a protected environment",
                );
            }
            let Some(stack) = production.first() else { return };
            match environment {
                None if has_environments(definition, repository, facts) => {
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
        Destination::Repositories { .. } => {}
    }
}

fn public(facts: &GitHubFacts, repository: &RepositoryName) -> bool {
    facts.repositories.get(repository).is_some_and(|facts| facts.public)
}

/// Whether the repository has environments: GitHub says so, or another target delivers to one.
fn has_environments(definition: &Definition, repository: &RepositoryName, facts: &GitHubFacts) -> bool {
    let listed = facts.repositories.get(repository).and_then(|facts| facts.environments.as_ref());
    listed.is_some_and(|environments| !environments.is_empty())
        || definition.targets.iter().any(|target| {
            matches!(&target.destination, Destination::Repository { repository: other, environment: Some(_) } if other == repository)
        })
}

fn protection(facts: &GitHubFacts, repository: &RepositoryName, environment: &str) -> Option<bool> {
    facts.repositories.get(repository)?.environments.as_ref()?.get(&environment.to_lowercase()).copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tests::definition;
    use super::*;

    /// A policy for everything, so that only what a test is about is found.
    const ALL: &str = "accessPolicies: [{name: all, secretGroups: [keys, certs], environments: [dev, prod], \
        identities: [{type: user, name: u}, {type: github, name: o}]}]\n";

    fn facts(public: bool, environments: Option<&[(&str, bool)]>) -> GitHubFacts {
        let environments =
            environments.map(|list| list.iter().map(|(name, rules)| ((*name).to_owned(), *rules)).collect());
        let repository: RepositoryName = "o/r".parse().unwrap();
        GitHubFacts { repositories: BTreeMap::from([(repository, RepositoryFacts { public, environments })]) }
    }

    fn codes(policies_and_targets: &str, facts: &GitHubFacts) -> Vec<&'static str> {
        check(&definition(policies_and_targets), facts).iter().map(|problem| problem.code).collect()
    }

    fn all_and(targets: &str) -> String {
        format!("{ALL}targets: [{targets}]")
    }

    #[test]
    fn every_code_has_its_case_and_its_near_miss() {
        let nothing = GitHubFacts::default();
        let public = facts(true, None);
        let unprotected = facts(false, Some(&[("production", false)]));
        let protected = facts(false, Some(&[("production", true)]));
        let none_listed = facts(false, Some(&[]));
        let everything = "{organization: o, visibility: private}";
        let to = |identities: &str| {
            format!(
                "accessPolicies: [{{name: u, secretGroups: [keys, certs], environments: [dev, prod], identities: \
                 [{{type: user, name: u}}]}}, {{name: p, secretGroups: [keys], environments: [prod], identities: [{identities}]}}]\n"
            )
        };
        let repository = to("{type: github, name: o/r}") + "targets: [{repository: o/r, stacks: [prod]";
        let only_certs = "accessPolicies: [{name: p, secretGroups: [certs], environments: [STACK], identities: [{type: user, name: u}]}, \
            {name: k, secretGroups: [keys], environments: [dev, prod], identities: [{type: user, name: u}]}]";
        let environment = "{repository: o/r, githubEnvironment: Production, stacks: [prod]}";
        let cases: Vec<(&str, String, &GitHubFacts, bool)> = vec![
            ("access-open", String::new(), &nothing, true),
            ("access-open", all_and(everything), &nothing, false),
            ("access-denied", format!("{repository}}}]"), &nothing, true),
            ("access-denied", format!("{repository}, secretGroups: [keys]}}]"), &nothing, false),
            ("access-ungranted", only_certs.replace("STACK", "dev"), &nothing, true),
            ("access-ungranted", only_certs.replace("STACK", "prod"), &nothing, false),
            ("policy-grants-nothing", only_certs.replace("STACK", "dev"), &nothing, true),
            ("policy-grants-nothing", only_certs.replace("STACK", "prod"), &nothing, false),
            ("access-unused", format!("{repository}, secretGroups: [certs]}}]"), &nothing, true),
            ("access-unused", format!("{repository}, secretGroups: [keys]}}]"), &nothing, false),
            ("public-repository", all_and("{repository: o/r, stacks: [dev]}"), &public, true),
            ("public-repository", all_and("{repository: o/s, stacks: [dev]}"), &public, false),
            (
                "public-repository",
                all_and("{organization: o, visibility: selected, selectedRepositories: [o/r]}"),
                &public,
                true,
            ),
            ("visibility-all", all_and("{organization: o, visibility: all}"), &nothing, true),
            ("visibility-all", all_and(everything), &nothing, false),
            ("environment-unprotected", all_and(environment), &unprotected, true),
            ("environment-unprotected", all_and(environment), &protected, false),
            ("environment-unprotected", all_and(environment), &nothing, false),
            ("production-at-repository", all_and("{repository: o/r, stacks: [prod]}"), &protected, true),
            ("production-at-repository", all_and("{repository: o/r, stacks: [prod]}"), &none_listed, false),
            ("production-at-repository", all_and("{repository: o/r, stacks: [dev]}"), &protected, false),
            (
                "production-at-repository",
                all_and(&format!("{environment}, {{repository: o/r, stacks: [prod]}}")),
                &nothing,
                true,
            ),
        ];
        for (code, text, facts, expected) in &cases {
            assert_eq!(codes(text, facts).contains(code), *expected, "{code}: {text}\n{:?}", codes(text, facts));
        }
        let provoked: BTreeSet<&str> = cases.iter().filter(|case| case.3).map(|case| case.0).collect();
        assert_eq!(provoked, CODES.iter().map(|(code, _)| *code).collect());
    }

    #[test]
    fn a_definition_that_grants_what_it_delivers_has_no_findings() {
        let text = "accessPolicies: [{name: p, secretGroups: [keys, certs], environments: [prod], identities: \
            [{type: github, name: o/r}]}, {name: d, secretGroups: [keys], environments: [dev], identities: [{type: team, name: t}]}]\n\
            targets: [{repository: o/r, githubEnvironment: production, stacks: [prod]}]";
        assert_eq!(codes(text, &facts(false, Some(&[("production", true)]))), Vec::<&str>::new());
    }

    #[test]
    fn of_a_fan_out_each_repository_is_decided_later() {
        let one = "accessPolicies: [{name: p, secretGroups: [keys, certs], environments: [dev, prod], identities: \
            [{type: github, name: o/r}]}]\ntargets: [{repositories: {organization: o, match: 'r*'}}]";
        assert!(!codes(one, &GitHubFacts::default()).contains(&"access-denied"));
        let none = one.replace("github, name: o/r", "github, name: x/r");
        assert!(codes(&none, &GitHubFacts::default()).contains(&"access-denied"));
    }
}
