//! `list`: the names of a stack, and where GitHub holds them.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::observe::{Look, SeenScope, look};
use super::sync::Values;
use super::targets::{Asked, resolve};
use crate::base::error::Outcome;
use crate::base::target::EntryKind;
use crate::io::github_access::GitHubAccess;
use crate::io::ledger::LedgerPlace;
use crate::report::list::{Delivered, ListReport, Listed};
use crate::rules::definition::{Definition, Environment};
use crate::rules::desired::Candidate;

/// Where to look for delivered names.
pub struct Deliveries<'a> {
    pub github: &'a GitHubAccess,
    pub asked: &'a Asked,
    pub ledger: &'a LedgerPlace,
    pub now: Timestamp,
}

/// Lists the stack's names; with `deliveries`, where each is delivered and how old it is.
///
/// # Errors
/// GitHub's failures.
pub async fn list(
    definition: &Definition,
    stack: &Environment,
    values: &Values,
    groups: &BTreeSet<String>,
    deliveries: Option<Deliveries<'_>>,
) -> Outcome<ListReport> {
    super::sync::check_groups(definition, stack, groups)?;
    let seen = match &deliveries {
        None => Vec::new(),
        Some(deliveries) => see(definition, stack, values, deliveries).await?,
    };
    let now = deliveries.map(|deliveries| deliveries.now);
    let mut candidates: Vec<&Candidate> = values
        .desired
        .candidates
        .iter()
        .filter(|candidate| groups.is_empty() || groups.contains(&*candidate.group))
        .collect();
    let order = |group: &str| definition.groups.iter().position(|known| known.name == group);
    candidates.sort_by(|a, b| (order(&a.group), &a.name).cmp(&(order(&b.group), &b.name)));
    let names = candidates
        .into_iter()
        .map(|candidate| Listed {
            name: candidate.name.to_string(),
            group: candidate.group.to_string(),
            kind: candidate.kind.word(),
            trouble: candidate.value.as_ref().err().map(|refusal| refusal.message.clone()),
            delivered: delivered(candidate, &seen, now),
        })
        .collect();
    Ok(ListReport { stack: stack.name.clone(), environment: stack.esc.to_string(), names })
}

/// Looks at the targets of the stack.
///
/// # Errors
/// GitHub's failures.
pub(super) async fn see(
    definition: &Definition,
    stack: &Environment,
    values: &Values,
    deliveries: &Deliveries<'_>,
) -> Outcome<Vec<SeenScope>> {
    let found = resolve(definition, &stack.name, deliveries.asked, deliveries.github).await?;
    let kinds: BTreeSet<EntryKind> = values.desired.candidates.iter().map(|candidate| candidate.kind).collect();
    let looking = Look {
        github: deliveries.github,
        ledger: deliveries.ledger,
        read_ledger: values.key.is_some(),
        kinds: &kinds,
        create_environments: false,
        variables_may_be_denied: false,
        will_write: false,
    };
    look(&looking, found.list).await
}

fn delivered(candidate: &Candidate, seen: &[SeenScope], now: Option<Timestamp>) -> Vec<Delivered> {
    let targets = seen.iter().flat_map(|scope| scope.targets.iter().map(move |target| (scope, target)));
    targets
        .filter(|(_, seen)| seen.delivery.groups.as_ref().is_none_or(|groups| groups.contains(&*candidate.group)))
        .map(|(scope, seen)| {
            let target = &seen.delivery.target;
            let listed = seen.observed.entries.get(&(candidate.kind, candidate.name.to_string()));
            let entry =
                scope.ledger.as_ref().and_then(|found| found.ledger.get(target.app, candidate.kind, &candidate.name));
            let changed = entry.map(|entry| entry.changed_at);
            let since = changed.or_else(|| listed?.updated_at.parse().ok());
            Delivered {
                target: target.to_string(),
                updated_at: listed.map(|listed| listed.updated_at.clone()),
                changed_at: changed.map(|changed| changed.to_string()),
                days: listed
                    .and(since)
                    .zip(now)
                    .map(|(since, now)| (now.as_second() - since.as_second()).max(0) / 86400),
            }
        })
        .collect()
}
