//! `rotation complete`: whether every target holds the new value, and no job the old one.

use super::change::{Asked, not_started};
use super::runs::Runs;
use super::{newest_change, takers, written};
use crate::base::error::{Outcome, Problem};
use crate::base::target::EntryKind;
use crate::flow::list::{Deliveries, see};
use crate::flow::observe::{SeenScope, SeenTarget};
use crate::flow::sync::Values;
use crate::rules::audit::Entry;
use crate::rules::desired::Candidate;
use crate::rules::rotation::subject::Subject;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What is missing; none when the rotation can be ended.
    pub problems: Vec<Problem>,
    /// What could not be looked at.
    pub unseen: Vec<String>,
    /// Targets that hold the new value.
    pub targets: usize,
    /// The revision that is remembered.
    pub before: Option<u64>,
}

/// Looks at every target that gets `subject`.
///
/// # Errors
/// GitHub's and ESC's failures; what is missing is in the answer.
pub async fn verify(
    asked: &Asked<'_>,
    subject: &Subject,
    values: &Values,
    deliveries: &Deliveries<'_>,
) -> Outcome<Verified> {
    let mut problems = Vec::new();
    let before = asked.under_way(subject).await?;
    if before.is_none() {
        let failure = not_started(subject);
        let problem = Problem::error(failure.code, failure.message);
        problems.push(failure.hints.into_iter().fold(problem, Problem::hint));
    }
    let seen = see(asked.definition, asked.stack, values, deliveries).await?;
    let candidates: Vec<&Candidate> = values
        .desired
        .candidates
        .iter()
        .filter(|candidate| candidate.kind == EntryKind::Secret && *candidate.name == *subject.name)
        .filter(|candidate| subject.groups.iter().any(|group| **group == *candidate.group))
        .collect();
    let runs = Runs::look(&seen, |scope, target| newest_change(&candidates, scope, target), deliveries.now).await;
    let mut targets = 0;
    let mut looked_at = Vec::new();
    for candidate in &candidates {
        for (scope, target) in takers(candidate, &seen) {
            // Two groups of one target yield one secret.
            if looked_at.contains(&&target.delivery.target) {
                continue;
            }
            looked_at.push(&target.delivery.target);
            match delivered(candidate, values, scope, target, &runs) {
                Some(problem) => problems.push(problem),
                None => targets += 1,
            }
        }
    }
    if looked_at.is_empty() {
        let message = format!("no target gets `{}`, so nothing can be verified", subject.name);
        problems
            .push(Problem::error("rotation-nowhere", message).hint("`targets` of the definition say where it goes"));
    }
    Ok(Verified { problems, unseen: runs.notes, targets, before })
}

/// What the audit trail says of a rotation that was ended.
#[must_use]
pub fn record(asked: &Asked<'_>, subject: &Subject, verified: &Verified, before: u64) -> Entry {
    let unseen = match verified.unseen.len() {
        0 => String::new(),
        count => format!("; not looked at: {count}"),
    };
    let targets = verified.targets;
    Entry {
        target: Some(format!("{} · esc", asked.stack.esc)),
        kind: Some(EntryKind::Secret.word().to_owned()),
        name: Some(subject.name.clone()),
        group: subject.groups.first().cloned(),
        action: Some("complete".to_owned()),
        reason: Some(if verified.unseen.is_empty() { "verified" } else { "verified-in-part" }.to_owned()),
        detail: Some(format!("targets that hold the new value: {targets}; revision from before: {before}{unseen}")),
        ..Entry::of("step")
    }
}

/// What keeps a target from being done with.
fn delivered(
    candidate: &Candidate,
    values: &Values,
    scope: &SeenScope,
    seen: &SeenTarget,
    runs: &Runs,
) -> Option<Problem> {
    let (name, target) = (&candidate.name, &seen.delivery.target);
    let found = |code, message: String, hint: &str| Some(Problem::error(code, message).hint(hint));
    let missing = |message| found("rotation-not-delivered", message, "`sync` delivers it");
    let Some(listed) = seen.observed.entries.get(&(candidate.kind, name.to_string())) else {
        return missing(format!("{target} has no `{name}`"));
    };
    let now = values.key.as_ref().zip(candidate.value.as_ref().ok()).map(|(key, value)| value.fingerprint(key, name));
    let (Some(now), Some(entry)) = (now, written(candidate, scope, seen)) else {
        let message = format!("no ledger proves which value of `{name}` {target} holds");
        let hint = "it takes a fingerprint key in ESC (`import-env` makes one), and a `sync` with a ledger";
        return found("rotation-unproven", message, hint);
    };
    if entry.fingerprint != now {
        return missing(format!("{target} holds another value of `{name}` than ESC"));
    }
    if !entry.is_what_github_lists(&listed.updated_at) {
        let message = format!("`{name}` of {target} was written by someone else, on {}", listed.updated_at);
        return found("rotation-edited-outside", message, "`sync` writes the value of ESC again");
    }
    let queued = runs.oldest(&scope.scope, target.app, entry.changed_at)?;
    let message =
        format!("a workflow run that was queued on {queued} may still use the old value of `{name}` from {target}");
    found("rotation-runs-under-way", message, "wait until it is over, or cancel it, then complete again")
}
