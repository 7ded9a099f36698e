//! The policies for teams beside what Pulumi Cloud grants to them.
//!
//! Pulumi Cloud grants whole ESC environments; a policy grants groups of them. Who may open an environment reads every
//! group in it, whatever the policies say: they bind what this tool delivers, and here it is told where the two differ.

use super::can;
use super::findings::Facts;
use crate::base::error::Problem;
use crate::rules::definition::{Definition, Environment, Identity, IdentityKind};

/// Adds what differs. Silent about an organization whose teams could not be asked, and without policies.
pub(super) fn compare(definition: &Definition, facts: &Facts, found: &mut Vec<Problem>) {
    if definition.policies.is_empty() {
        return;
    }
    for environment in &definition.environments {
        beyond(definition, environment, facts, found);
    }
    for policy in &definition.policies {
        let teams = policy.identities.iter().filter(|identity| identity.kind == IdentityKind::Team);
        for team in teams {
            let stacks = definition.environments.iter().filter(|stack| policy.environments.contains(&stack.name));
            let has_group = |stack: &&Environment| {
                definition.groups_of(&stack.name).any(|group| policy.groups.contains(&group.name))
            };
            for stack in stacks.filter(has_group) {
                let Some(known) = facts.teams.get(&stack.esc.organization) else { continue };
                let named = known.iter().find(|known| same(&known.name, &team.name));
                let why = match named {
                    None => format!("`{}` has no such team", stack.esc.organization),
                    Some(known) if known.opens.contains_key(&place(stack)) => continue,
                    Some(_) => format!("it may not open `{}`", stack.esc),
                };
                let message = format!(
                    "the policy `{}` grants `{team}` secrets of `{}`, but at Pulumi Cloud {why}",
                    policy.name, stack.name
                );
                let problem = Problem::warning("team-without-access", message).at(policy.place.clone());
                found.push(
                    problem.hint("give the team the permission `open` at Pulumi Cloud, or take it from the policy"),
                );
            }
        }
    }
}

/// Teams that may open an environment although they are not granted all of its groups.
fn beyond(definition: &Definition, stack: &Environment, facts: &Facts, found: &mut Vec<Problem>) {
    for team in facts.teams.get(&stack.esc.organization).into_iter().flatten() {
        let Some(permission) = team.opens.get(&place(stack)) else { continue };
        let identity = Identity { kind: IdentityKind::Team, name: team.name.clone() };
        let more: Vec<String> = definition
            .groups_of(&stack.name)
            .filter(|group| !can(definition, &identity, &group.name, &stack.name).allowed)
            .map(|group| format!("`{}`", group.name))
            .collect();
        if more.is_empty() {
            continue;
        }
        let message = format!(
            "Pulumi Cloud lets `{identity}` open `{}` (permission `{permission}`), and so read what no policy grants it: {}",
            stack.esc,
            more.join(", ")
        );
        let problem = Problem::warning("team-beyond-policy", message).at(stack.place.clone());
        found.push(problem.hint(
            "take the permission at Pulumi Cloud, grant the groups in `accessPolicies`, or keep them in an ESC environment of their own",
        ));
    }
}

fn same(left: &str, right: &str) -> bool {
    left.to_lowercase() == right.to_lowercase()
}

/// The ESC environment without its organization.
fn place(stack: &Environment) -> String {
    format!("{}/{}", stack.esc.project, stack.esc.environment)
}
