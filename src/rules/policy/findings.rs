//! What is odd about who gets what: the findings of `access check`.
//!
//! Some need the definition alone; the others need what GitHub and Pulumi Cloud say ([`Facts`]) and are silent
//! about what they did not say.

use std::collections::BTreeMap;

use super::{can, decide, decide_destination, exposure, teams};
use crate::base::error::{Place, Problem};
use crate::base::target::RepositoryName;
use crate::rules::definition::{Definition, Destination, Environment, Group, Identity, IdentityKind, Target};
use crate::rules::plan::Visibility;
use crate::rules::policy::covers;

/// Every code, with what it means.
pub const CODES: [(&str, &str); 11] = [
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
    ("team-beyond-policy", "Pulumi Cloud lets a team open an environment with groups that no policy grants it"),
    ("team-without-access", "a policy grants a team what Pulumi Cloud does not let it open"),
    ("visibility-all", "secrets of an organization are readable by all its repositories"),
];

/// What GitHub and Pulumi Cloud say; what is absent could not be asked.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    pub repositories: BTreeMap<RepositoryName, RepositoryFacts>,
    /// By Pulumi organization, its teams.
    pub teams: BTreeMap<String, Vec<Team>>,
}

impl Facts {
    /// The repositories that a fan-out chooses, as far as they were listed.
    pub fn chosen<'f>(&'f self, fan_out: &'f Destination) -> impl Iterator<Item = &'f RepositoryName> {
        self.repositories.iter().filter(|(name, facts)| fan_out.chooses(name, &facts.topics)).map(|(name, _)| name)
    }
}

/// A team of a Pulumi organization, and the ESC environments that it may open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Team {
    pub name: String,
    /// `project/environment`, with the permission: `open`, `write` or `admin`.
    pub opens: BTreeMap<String, String>,
}

/// What GitHub says of one repository.
#[derive(Debug, Clone, Default)]
pub struct RepositoryFacts {
    pub public: bool,
    pub topics: Vec<String>,
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
pub fn check(definition: &Definition, facts: &Facts) -> Vec<Problem> {
    let mut found = Vec::new();
    policies(definition, facts, &mut found);
    for target in &definition.targets {
        denied(definition, target, facts, &mut found);
        exposure::exposed(definition, target, facts, &mut found);
    }
    teams::compare(definition, facts, &mut found);
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

fn policies(definition: &Definition, facts: &Facts, found: &mut Vec<Problem>) {
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
                    exists(group, stack)
                        && !delivered(definition, group, stack, |reader| covers(identity, reader))
                        && !by_fan_out(definition, group, stack, identity, facts)
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

fn denied(definition: &Definition, target: &Target, facts: &Facts, found: &mut Vec<Problem>) {
    let chosen: Vec<&RepositoryName> = facts.chosen(&target.destination).collect();
    for (group, stack) in deliveries(definition, target) {
        if !chosen.is_empty() {
            let without = chosen.iter().filter(|name| !decide(definition, &group.name, stack, name).allowed);
            let who: Vec<String> = without.map(|name| format!("`github:{name}`")).collect();
            if !who.is_empty() {
                found.push(no_grant(&group.name, stack, &who.join(", "), target));
            }
            continue;
        }
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
            found.push(no_grant(&group.name, stack, &who, target));
        }
    }
}

fn no_grant(group: &str, stack: &str, who: &str, target: &Target) -> Problem {
    let message = format!("no policy grants the group `{group}` of `{stack}` to {who}");
    let problem = Problem::error("access-denied", message).at(target.place.clone());
    problem.hint("grant it in `accessPolicies`, or take the group from the target; sync refuses")
}

/// Whether a fan-out delivers the group of the stack to the one repository that `identity` names, as far as it is
/// known which ones it chooses.
fn by_fan_out(definition: &Definition, group: &str, stack: &str, identity: &Identity, facts: &Facts) -> bool {
    definition.targets.iter().any(|target| {
        let mut chosen = facts.chosen(&target.destination).peekable();
        below(identity, &target.destination)
            && deliveries(definition, target).any(|(found, of)| found.name == group && of == stack)
            && (chosen.peek().is_none() || chosen.any(|name| identity.name.eq_ignore_ascii_case(&name.to_string())))
    })
}

/// Whether `identity` is a single repository of the organization that a fan-out chooses from.
fn below(identity: &Identity, destination: &Destination) -> bool {
    let Destination::Repositories { organization, .. } = destination else { return false };
    let owner = identity.name.split_once('/').filter(|(_, name)| *name != "*").map(|(owner, _)| owner);
    identity.kind == IdentityKind::Github && owner.is_some_and(|owner| owner.eq_ignore_ascii_case(organization))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tests::definition;
    use super::*;

    /// A policy for everything, so that only what a test is about is found.
    const ALL: &str = "accessPolicies: [{name: all, secretGroups: [keys, certs], environments: [dev, prod], \
        identities: [{type: user, name: u}, {type: github, name: o}]}]\n";

    fn facts(public: bool, environments: Option<&[(&str, bool)]>) -> Facts {
        let environments =
            environments.map(|list| list.iter().map(|(name, rules)| ((*name).to_owned(), *rules)).collect());
        let repository: RepositoryName = "o/r".parse().unwrap();
        let facts = RepositoryFacts { public, environments, ..RepositoryFacts::default() };
        Facts { repositories: BTreeMap::from([(repository, facts)]), ..Facts::default() }
    }

    /// The team `t`, which may open one environment of the definition's organization.
    fn team(environment: &str) -> Facts {
        let opens = BTreeMap::from([(environment.to_owned(), "open".to_owned())]);
        let organization = definition("").organization;
        Facts { teams: BTreeMap::from([(organization, vec![Team { name: "t".into(), opens }])]), ..Facts::default() }
    }

    fn codes(policies_and_targets: &str, facts: &Facts) -> Vec<&'static str> {
        check(&definition(policies_and_targets), facts).iter().map(|problem| problem.code).collect()
    }

    fn all_and(targets: &str) -> String {
        format!("{ALL}targets: [{targets}]")
    }

    #[test]
    fn every_code_has_its_case_and_its_near_miss() {
        let nothing = Facts::default();
        let public = facts(true, None);
        let unprotected = facts(false, Some(&[("production", false)]));
        let protected = facts(false, Some(&[("production", true)]));
        let none_listed = facts(false, Some(&[]));
        let (opens_prod, opens_dev) = (team("n/prod"), team("n/dev"));
        let team_gets = |groups: &str| {
            format!(
                "accessPolicies: [{{name: u, secretGroups: [keys, certs], environments: [dev, prod], identities: \
                 [{{type: user, name: u}}]}}, {{name: t, secretGroups: {groups}, environments: [prod], identities: \
                 [{{type: team, name: T}}]}}]"
            )
        };
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
        let cases: Vec<(&str, String, &Facts, bool)> = vec![
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
            ("public-repository", all_and("{repositories: {organization: o, match: 'r*'}}"), &public, true),
            ("public-repository", all_and("{repositories: {organization: o, match: 's*'}}"), &public, false),
            ("public-repository", all_and("{repositories: {organization: o, topic: t}}"), &public, false),
            ("team-beyond-policy", team_gets("[keys]"), &opens_prod, true),
            ("team-beyond-policy", team_gets("[keys, certs]"), &opens_prod, false),
            ("team-beyond-policy", String::new(), &opens_prod, false),
            ("team-beyond-policy", team_gets("[keys]"), &nothing, false),
            ("team-without-access", team_gets("[keys]"), &opens_dev, true),
            ("team-without-access", team_gets("[keys]"), &opens_prod, false),
            ("team-without-access", team_gets("[keys]"), &nothing, false),
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
                all_and("{repository: o/r, apps: [dependabot], stacks: [prod]}"),
                &protected,
                false,
            ),
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
        assert!(!codes(one, &Facts::default()).contains(&"access-denied"));
        let none = one.replace("github, name: o/r", "github, name: x/r");
        assert!(codes(&none, &Facts::default()).contains(&"access-denied"));

        let mut known = facts(false, None);
        assert!(!codes(one, &known).contains(&"access-denied"));
        assert!(!codes(one, &Facts::default()).contains(&"access-unused"));
        assert!(!codes(one, &known).contains(&"access-unused"));
        assert!(codes(&one.replace("name: o/r", "name: o/other"), &known).contains(&"access-unused"));
        known.repositories.insert("o/r2".parse().unwrap(), RepositoryFacts::default());
        let found = check(&definition(one), &known);
        let denied = found.iter().find(|problem| problem.code == "access-denied").unwrap();
        assert!(denied.message.ends_with("to `github:o/r2`"), "{}", denied.message);
    }
}
