//! `rotation status`: how every name of a stack stands to its schedule.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::list::{Deliveries, see};
use super::observe::SeenScope;
use super::sync::Values;
use crate::base::error::Outcome;
use crate::base::secret::FingerprintKey;
use crate::report::rotation::{RotationReport, Row};
use crate::rules::definition::{Definition, Environment};
use crate::rules::desired::Candidate;
use crate::rules::rotation::{DeliveryFacts, SecretFacts, schedule, standing};

/// Looks at ledgers and GitHub's dates, and says of each name when it changed and when it is due.
///
/// # Errors
/// GitHub's failures.
pub async fn status(
    definition: &Definition,
    stack: &Environment,
    values: &Values,
    groups: &BTreeSet<String>,
    deliveries: &Deliveries<'_>,
) -> Outcome<RotationReport> {
    super::sync::check_groups(definition, stack, groups)?;
    let seen = see(definition, stack, values, deliveries).await?;
    let candidates = values.desired.candidates.iter();
    let mut rows: Vec<Row> = candidates
        .filter(|candidate| groups.is_empty() || groups.contains(&candidate.group))
        .map(|candidate| {
            let schedule = schedule(definition, &candidate.group, &candidate.name);
            let facts = facts(candidate, values.key.as_ref(), &seen);
            Row {
                name: candidate.name.clone(),
                group: candidate.group.clone(),
                owner: schedule.and_then(|schedule| schedule.owner.clone()),
                standing: standing(schedule, &facts, deliveries.now),
            }
        })
        .collect();
    rows.sort_by(|a, b| (a.standing.state, a.standing.due, &a.name).cmp(&(b.standing.state, b.standing.due, &b.name)));
    Ok(RotationReport { stack: stack.name.clone(), rows })
}

fn facts(candidate: &Candidate, key: Option<&FingerprintKey>, seen: &[SeenScope]) -> SecretFacts {
    let targets = seen.iter().flat_map(|scope| scope.targets.iter().map(move |target| (scope, target)));
    let deliveries = targets
        .filter(|(_, seen)| seen.delivery.groups.as_ref().is_none_or(|groups| groups.contains(&candidate.group)))
        .map(|(scope, seen)| {
            let app = seen.delivery.target.app;
            let entry = scope.ledger.as_ref().and_then(|found| found.ledger.get(app, candidate.kind, &candidate.name));
            let listed = seen.observed.entries.get(&(candidate.kind, candidate.name.clone()));
            let now =
                key.zip(candidate.value.as_ref().ok()).map(|(key, value)| value.fingerprint(key, &candidate.name));
            DeliveryFacts {
                ledger_changed: entry.map(|entry| entry.changed_at),
                delivered: listed.and_then(|listed| listed.updated_at.parse::<Timestamp>().ok()),
                stale: entry.zip(now).is_some_and(|(entry, now)| entry.fingerprint != now),
                oldest_queued_run: None,
            }
        })
        .collect();
    SecretFacts { esc_changed: None, deliveries }
}
