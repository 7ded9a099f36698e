//! Who gets what, in whole: the matrix of `access matrix`, and the difference of two definitions.

use std::collections::BTreeSet;

use super::findings::{delivered, readers};
use super::{Decision, can, covers, grants};
use crate::rules::definition::{Definition, Identity};

/// One identity's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub identity: Identity,
    /// One for each of [`Matrix::columns`].
    pub cells: Vec<Cell>,
}

/// Whether an identity may get a group of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    pub allowed: bool,
    /// All policies that grant it.
    pub policies: Vec<String>,
    /// A target delivers it.
    pub delivered: bool,
}

/// Who × group × stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// Group and stack.
    pub columns: Vec<(String, String)>,
    pub rows: Vec<Row>,
    /// False: there are no policies, and everything is allowed.
    pub binding: bool,
}

/// Everyone that a policy or a target names, by everything there is to get.
#[must_use]
pub fn matrix(definition: &Definition) -> Matrix {
    let columns: Vec<(String, String)> = pairs(definition);
    let row = |identity: Identity| {
        let cell = |(group, stack): &(String, String)| {
            let allowed = can(definition, &identity, group, stack).allowed;
            // What an owner may have, its repositories get through it; what it may not have is theirs to be denied.
            let reads = |reader: &Identity| {
                if allowed { covers(&identity, reader) } else { spelling(&identity) == spelling(reader) }
            };
            Cell {
                allowed,
                policies: grants(definition, &identity, group, stack).map(|policy| policy.name.clone()).collect(),
                delivered: delivered(definition, group, stack, reads),
            }
        };
        let cells = columns.iter().map(cell).collect();
        Row { identity, cells }
    };
    let rows = identities(definition).into_iter().map(row).collect();
    Matrix { columns, rows, binding: !definition.policies.is_empty() }
}

/// Group and stack, as far as the stack has the group; in the file's order.
fn pairs(definition: &Definition) -> Vec<(String, String)> {
    let stacks = definition.stack_names();
    definition
        .groups
        .iter()
        .flat_map(|group| {
            let has = |stack: &&&str| group.environments.iter().any(|name| name == **stack);
            stacks.iter().filter(has).map(|stack| (group.name.clone(), (*stack).to_owned())).collect::<Vec<_>>()
        })
        .collect()
}

/// Everyone named, each once however it is spelled, by kind and name.
fn identities(definition: &Definition) -> Vec<Identity> {
    let named = definition.policies.iter().flat_map(|policy| policy.identities.iter().cloned());
    let reading = definition.targets.iter().flat_map(|target| readers(&target.destination));
    let mut seen = BTreeSet::new();
    let mut all: Vec<Identity> = named.chain(reading).filter(|identity| seen.insert(spelling(identity))).collect();
    all.sort_by_key(spelling);
    all
}

/// What is the same for spellings of the same identity (`Owner`, `owner/*`).
fn spelling(identity: &Identity) -> (crate::rules::definition::IdentityKind, String) {
    let owner = super::whole_owner(identity).map(|owner| format!("{owner}/*"));
    (identity.kind, owner.unwrap_or_else(|| identity.name.clone()).to_lowercase())
}

/// What someone gains or loses between two definitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub identity: Identity,
    pub group: String,
    pub stack: String,
    /// Else it is lost.
    pub gained: bool,
    /// The policy that grants it, before or after; none where there were no policies.
    pub policy: Option<String>,
}

/// Who gains and loses what from `before` to `after`. What an owner gains is told once, and again for a
/// repository of it only where that repository is named.
#[must_use]
pub fn diff(before: &Definition, after: &Definition) -> Vec<Change> {
    let mut seen = BTreeSet::new();
    let mut everyone: Vec<Identity> = identities(before)
        .into_iter()
        .chain(identities(after))
        .filter(|identity| seen.insert(spelling(identity)))
        .collect();
    everyone.sort_by_key(spelling);
    let (old, new) = (pairs(before), pairs(after));
    let all: Vec<&(String, String)> = new.iter().chain(old.iter().filter(|pair| !new.contains(pair))).collect();
    let decide = |definition, pairs: &[(String, String)], identity: &Identity, pair: &(String, String)| {
        if pairs.contains(pair) {
            can(definition, identity, &pair.0, &pair.1)
        } else {
            Decision { allowed: false, policy: None }
        }
    };
    let mut changes = Vec::new();
    for identity in &everyone {
        for pair in &all {
            let (was, is) = (decide(before, &old, identity, pair), decide(after, &new, identity, pair));
            if was.allowed != is.allowed {
                let policy = if is.allowed { is.policy } else { was.policy };
                let (group, stack) = (pair.0.clone(), pair.1.clone());
                changes.push(Change { identity: identity.clone(), group, stack, gained: is.allowed, policy });
            }
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::definition;
    use super::*;

    const POLICY: &str = "accessPolicies: [{name: p, secretGroups: [keys], environments: [prod], identities: \
        [{type: github, name: O/R}, {type: team, name: t}]}]\n\
        targets: [{repository: o/r, stacks: [prod]}, {organization: o, visibility: private, stacks: [dev]}]";

    #[test]
    fn the_matrix_has_everyone_once_and_every_group_of_every_stack() {
        let matrix = matrix(&definition(POLICY));
        let columns: Vec<String> = matrix.columns.iter().map(|(group, stack)| format!("{group}/{stack}")).collect();
        assert_eq!(columns, ["keys/dev", "keys/prod", "certs/prod"]);
        let rows: Vec<String> = matrix
            .rows
            .iter()
            .map(|row| {
                let sign = |cell: &Cell| match (cell.allowed, cell.delivered) {
                    (true, true) => "yes ",
                    (true, false) => "may ",
                    (false, true) => "DENIED ",
                    (false, false) => "- ",
                };
                format!("{} {}", row.identity, row.cells.iter().map(sign).collect::<String>())
            })
            .collect();
        assert_eq!(rows, ["team:t - may - ", "github:o/* DENIED - - ", "github:O/R - yes DENIED "]);
        assert_eq!(matrix.rows[2].cells[1].policies, ["p"]);
    }

    #[test]
    fn the_difference_tells_gains_and_losses() {
        let before = definition(POLICY);
        let after = definition(&POLICY.replace("environments: [prod]", "environments: [dev]"));
        let told: Vec<String> = diff(&before, &after)
            .iter()
            .map(|change| {
                let sign = if change.gained { '+' } else { '-' };
                format!("{sign}{} {}/{} {:?}", change.identity, change.group, change.stack, change.policy.as_deref())
            })
            .collect();
        let expected = [
            "+team:t keys/dev Some(\"p\")",
            "-team:t keys/prod Some(\"p\")",
            "+github:O/R keys/dev Some(\"p\")",
            "-github:O/R keys/prod Some(\"p\")",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn the_first_policy_takes_from_everyone_else() {
        let open = definition("targets: [{repository: x/y, stacks: [prod]}]");
        let bound = definition(POLICY);
        let lost = diff(&open, &bound);
        let mut losers: Vec<String> =
            lost.iter().filter(|change| !change.gained).map(|change| change.identity.to_string()).collect();
        losers.dedup();
        assert_eq!(losers, ["team:t", "github:o/*", "github:O/R", "github:x/y"]);
        assert!(lost.iter().all(|change| !change.gained && change.policy.is_none()));
    }

    fn some_policies() -> impl Strategy<Value = String> {
        let stacks = prop::sample::subsequence(vec!["dev", "prod"], 1..=2);
        let groups = prop::sample::subsequence(vec!["keys", "certs"], 1..=2);
        let who = prop::sample::select(vec!["github, name: o/r", "github, name: o", "team, name: t", "user, name: u"]);
        prop::collection::vec((stacks, groups, who), 0..4).prop_map(|policies| {
            let entry = |(index, (stacks, groups, who)): (usize, (Vec<&str>, Vec<&str>, &str))| {
                let (stacks, groups) = (stacks.join(", "), groups.join(", "));
                format!("{{name: p{index}, secretGroups: [{groups}], environments: [{stacks}], identities: [{{type: {who}}}]}}")
            };
            let list: Vec<String> = policies.into_iter().enumerate().map(entry).collect();
            if list.is_empty() { String::new() } else { format!("accessPolicies: [{}]", list.join(", ")) }
        })
    }

    proptest! {
        #[test]
        fn a_definition_differs_not_from_itself_and_a_difference_turns_round(a in some_policies(), b in some_policies()) {
            let (a, b) = (definition(&a), definition(&b));
            prop_assert_eq!(diff(&a, &a), vec![]);
            let key = |change: &Change| (change.identity.clone(), change.group.clone(), change.stack.clone());
            let mut forwards: Vec<_> = diff(&a, &b).iter().map(|change| (key(change), change.gained)).collect();
            let mut backwards: Vec<_> = diff(&b, &a).iter().map(|change| (key(change), !change.gained)).collect();
            forwards.sort();
            backwards.sort();
            prop_assert_eq!(forwards, backwards);
        }
    }
}
