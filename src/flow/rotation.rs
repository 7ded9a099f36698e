//! `rotation`: how every name of a stack stands to its schedule, and the life of one rotation.

pub mod change;
pub mod complete;
mod history;
pub mod remind;
mod runs;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use self::history::last_changes;
use self::runs::Runs;
use super::list::{Deliveries, see};
use super::observe::{SeenScope, SeenTarget};
use super::sync::OpenedStack;
use crate::base::error::Outcome;
use crate::base::secret::FingerprintKey;
use crate::io::source::Source;
use crate::report::rotation::RotationReport;
use crate::rules::definition::{Definition, Environment};
use crate::rules::desired::Candidate;
use crate::rules::ledger::Entry;
use crate::rules::rotation::subject::places;
use crate::rules::rotation::{DeliveryFacts, Row, SecretFacts, schedule, standing};

/// Looks at ledgers, GitHub's dates and ESC's revisions, and says of each name when it changed and when it is due.
///
/// # Errors
/// GitHub's failures. What only makes the answer less sure is a note of the report.
pub async fn status(
    definition: &Definition,
    stack: &Environment,
    source: &dyn Source,
    opened: &OpenedStack,
    groups: &BTreeSet<String>,
    deliveries: &Deliveries<'_>,
) -> Outcome<RotationReport> {
    super::sync::check_groups(definition, stack, groups)?;
    let values = &opened.values;
    let seen = see(definition, stack, values, deliveries).await?;
    let candidates: Vec<&Candidate> = values
        .desired
        .candidates
        .iter()
        .filter(|candidate| groups.is_empty() || groups.contains(&*candidate.group))
        .collect();
    let runs = Runs::look(&seen, |scope, target| newest_change(&candidates, scope, target), deliveries.now).await;
    let mut facts: Vec<SecretFacts> =
        candidates.iter().map(|candidate| facts(candidate, values.key.as_ref(), &seen, &runs)).collect();
    let wanted: BTreeMap<_, _> = candidates
        .iter()
        .zip(&facts)
        .filter(|(_, facts)| facts.asks_esc())
        .map(|(candidate, _)| {
            (candidate.name.to_string(), places(definition, &stack.name, None, &candidate.name, opened.root()))
        })
        .collect();
    let history = last_changes(source, &stack.esc, wanted).await;
    for (candidate, facts) in candidates.iter().zip(&mut facts) {
        facts.esc_changed = history.changed.get(&*candidate.name).copied();
    }
    let mut rows: Vec<Row> = candidates
        .iter()
        .zip(&facts)
        .map(|(candidate, facts)| {
            let schedule = schedule(definition, &candidate.group, &candidate.name);
            Row {
                name: candidate.name.to_string(),
                group: candidate.group.to_string(),
                owner: schedule.and_then(|schedule| schedule.owner.clone()),
                standing: standing(schedule, facts, deliveries.now),
            }
        })
        .collect();
    rows.sort_by(|a, b| (a.standing.state, a.standing.due, &a.name).cmp(&(b.standing.state, b.standing.due, &b.name)));
    Ok(RotationReport { stack: stack.name.clone(), rows, unseen: [runs.notes, history.notes].concat() })
}

/// The targets that get a candidate's group.
fn takers<'s>(candidate: &Candidate, seen: &'s [SeenScope]) -> impl Iterator<Item = (&'s SeenScope, &'s SeenTarget)> {
    let targets = seen.iter().flat_map(|scope| scope.targets.iter().map(move |target| (scope, target)));
    targets.filter(|(_, seen)| takes(seen, candidate))
}

fn takes(seen: &SeenTarget, candidate: &Candidate) -> bool {
    seen.delivery.groups.as_ref().is_none_or(|groups| groups.contains(&*candidate.group))
}

/// What the ledger says of a candidate at a target.
fn written<'s>(candidate: &Candidate, scope: &'s SeenScope, seen: &SeenTarget) -> Option<&'s Entry> {
    scope.ledger.as_ref()?.ledger.get(seen.delivery.target.app, candidate.kind, &candidate.name)
}

/// When something of `candidates` was changed last at a target, by its ledger.
fn newest_change(candidates: &[&Candidate], scope: &SeenScope, seen: &SeenTarget) -> Option<Timestamp> {
    let taken = candidates.iter().filter(|candidate| takes(seen, candidate));
    taken.filter_map(|candidate| written(candidate, scope, seen)).map(|entry| entry.changed_at).max()
}

fn facts(candidate: &Candidate, key: Option<&FingerprintKey>, seen: &[SeenScope], runs: &Runs) -> SecretFacts {
    let now = key.zip(candidate.value.as_ref().ok()).map(|(key, value)| value.fingerprint(key, &candidate.name));
    let deliveries = takers(candidate, seen)
        .map(|(scope, seen)| {
            let entry = written(candidate, scope, seen);
            let listed = seen.observed.entries.get(&(candidate.kind, candidate.name.to_string()));
            DeliveryFacts {
                ledger_changed: entry.map(|entry| entry.changed_at),
                delivered: listed.and_then(|listed| listed.updated_at.parse::<Timestamp>().ok()),
                stale: entry.zip(now.as_ref()).is_some_and(|(entry, now)| entry.fingerprint != *now),
                oldest_queued_run: entry
                    .and_then(|entry| runs.oldest(&scope.scope, seen.delivery.target.app, entry.changed_at)),
            }
        })
        .collect();
    SecretFacts { esc_changed: None, deliveries }
}
