//! The ledger of a scope while a run changes it: what was written is put in, GitHub's dates are read back, and it is saved.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{ScopeDone, Task, Work};
use crate::base::error::Problem;
use crate::base::secret::FingerprintKey;
use crate::base::target::{App, EntryKind, Scope};
use crate::flow::observe::SeenScope;
use crate::io::github::GitHub;
use crate::io::ledger::{self, Found, Glance, LedgerTrouble};
use crate::rules::ledger::{Entry, EntryKey, Ledger};
use crate::rules::outcome::StepOutcome;
use crate::rules::permissions::{Access, needed};
use crate::rules::plan::{Action, Exposure, Reason, Settings, Step, Target, TargetPlan};

/// Whether a scope has nothing to write, and its ledger nothing to note.
#[must_use]
pub fn is_at_rest(settings: &Settings, seen: &SeenScope, plans: &[TargetPlan]) -> bool {
    let steps = || plans.iter().flat_map(|plan| plan.steps.iter().map(|step| (&plan.target, step)));
    let Some(found) = &seen.ledger else { return !steps().any(|(_, step)| step.action.writes()) };
    steps().all(|(target, step)| {
        let entry = found.ledger.get(target.app, step.kind, &step.name);
        !step.action.writes()
            && entry.is_none_or(|entry| {
                entry.updated_at.is_some() && entry.gone_since == gone_since(step, entry, settings.now)
            })
    })
}

/// Since when the name is gone from the definition, after the run.
fn gone_since(step: &Step, entry: &Entry, now: Timestamp) -> Option<Timestamp> {
    match (step.mark_gone, step.reason) {
        (true, _) => Some(now),
        (false, Reason::RemovedFromDefinition) => entry.gone_since,
        (false, _) => None,
    }
}

/// When the ledger is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Between,
    Last,
}

/// The scope's ledger while the run changes it.
pub(super) struct Book {
    /// As stored last.
    pub(super) found: Found,
    pub(super) ours: Ledger,
    pub(super) changed: bool,
    /// Saving failed for good; the reason was told.
    pub(super) closed: bool,
}

impl Work<'_> {
    /// Puts an accepted write into the ledger; its `updated_at` is read back later.
    pub(super) fn record(&self, task: Task<'_>, written_at: Option<Timestamp>, ledger: &mut Ledger) {
        let Task { target, step, .. } = task;
        let id = EntryKey { app: target.app, kind: step.kind, name: step.name.to_string() };
        let value = self.prepared.values.desired.value(step.kind, &step.name, &step.group);
        let key: Option<&FingerprintKey> = self.prepared.values.key.as_ref();
        let (Some(value), Some(key), true) = (value, key, step.action != Action::Delete) else {
            ledger.entries.remove(&id);
            return;
        };
        let written_at = written_at.unwrap_or(self.prepared.settings.now);
        let fingerprint = value.fingerprint(key, &step.name);
        let same_value = ledger.entries.get(&id).filter(|known| known.fingerprint == fingerprint);
        // What was there before the ledger may hold the same value: rotation must not take it for a young one.
        let found = match step.reason {
            Reason::NeverSynced => step.observed.as_ref().and_then(|date| date.parse().ok()),
            _ => None,
        };
        let entry = Entry {
            changed_at: same_value.map(|known| known.changed_at).or(found).unwrap_or(written_at),
            fingerprint,
            updated_at: None,
            written_at,
            group: step.group.to_string(),
            environment: self.prepared.settings.environment.clone(),
            gone_since: None,
            exposure: step.exposure.as_deref().map(Exposure::token),
        };
        ledger.entries.insert(id, entry);
    }

    pub(super) fn mark_gone(&self, tasks: &[Task<'_>], book: &mut Book) {
        for task in tasks {
            let id = EntryKey { app: task.target.app, kind: task.step.kind, name: task.step.name.to_string() };
            let Some(entry) = book.ours.entries.get_mut(&id) else { continue };
            let gone_since = gone_since(task.step, entry, self.prepared.settings.now);
            if entry.gone_since != gone_since {
                entry.gone_since = gone_since;
                book.changed = true;
            }
        }
    }

    /// Reads GitHub's dates back for what has none yet: this run's writes, and those of a run that was cut. Beside
    /// them, the ledger's variable, which the save that follows compares. An interrupted run leaves both to the next.
    pub(super) async fn settle(&self, tasks: &[Task<'_>], book: &mut Book, done: &mut ScopeDone) -> Option<Glance> {
        let applied: BTreeSet<(usize, usize)> = done
            .outcomes
            .iter()
            .filter(|(_, outcome)| *outcome == StepOutcome::Applied)
            .map(|(place, _)| *place)
            .collect();
        let mut stores: BTreeMap<(&Target, EntryKind), Vec<&Task<'_>>> = BTreeMap::new();
        for task in tasks {
            let id = EntryKey { app: task.target.app, kind: task.step.kind, name: task.step.name.to_string() };
            let Some(entry) = book.ours.entries.get_mut(&id) else { continue };
            if applied.contains(&task.place) {
                stores.entry((task.target, task.step.kind)).or_default().push(task);
            } else if let (None, Action::Keep, Some(observed)) =
                (&entry.updated_at, task.step.action, &task.step.observed)
                && entry.is_what_github_lists(observed)
            {
                // The plan saw that GitHub still holds what the cut run wrote.
                entry.updated_at = Some(observed.to_string());
                book.changed = true;
            }
        }
        if stores.is_empty() || self.context.stopped() {
            return None;
        }
        let looks = stores
            .into_iter()
            .map(|((target, kind), tasks)| async move { (kind, tasks, self.client.list_entries(target, kind).await) });
        let glance = ledger::glance(&self.client, &self.prepared.ledger, &self.seen.scope);
        let (listings, glance) = futures_util::future::join(futures_util::future::join_all(looks), glance).await;
        for (kind, tasks, listing) in listings {
            match listing {
                Ok(listing) => {
                    for task in tasks {
                        let id = EntryKey { app: task.target.app, kind, name: task.step.name.to_string() };
                        let listed = listing.entries.get(&*task.step.name);
                        if let (Some(entry), Some(listed)) = (book.ours.entries.get_mut(&id), listed)
                            && entry.is_what_github_lists(&listed.updated_at)
                        {
                            entry.updated_at = Some(listed.updated_at.clone());
                            book.changed = true;
                        }
                    }
                }
                Err(error) => done.problems.push(
                    Problem::warning(
                        "dates-unread",
                        format!("GitHub's dates could not be read back: {}", error.problem),
                    )
                    .hint("the next run reads them"),
                ),
            }
        }
        glance
    }

    /// The last save. An interrupt, even one that comes while it waits, lets it through at once.
    pub(super) async fn save(&self, book: &mut Book, glance: Option<Glance>, done: &mut ScopeDone) {
        if !book.changed || book.closed {
            return;
        }
        let snapshot = book.ours.clone();
        let mut result = self.store(&self.client, &book.found, &snapshot, glance).await;
        if self.context.stopped() && result.as_ref().is_err_and(LedgerTrouble::may_pass) {
            result = self.store(&self.client.last_words(), &book.found, &snapshot, None).await;
        }
        self.saved(book, &snapshot, result, done, Moment::Last);
    }

    pub(super) async fn store(
        &self,
        client: &GitHub,
        found: &Found,
        ours: &Ledger,
        glance: Option<Glance>,
    ) -> Result<Found, LedgerTrouble> {
        ledger::save(client, &self.prepared.ledger, &self.seen.scope, found, ours, glance).await
    }

    /// Takes over what is stored now; `ours` may have gone on since `snapshot`.
    pub(super) fn saved(
        &self,
        book: &mut Book,
        snapshot: &Ledger,
        result: Result<Found, LedgerTrouble>,
        done: &mut ScopeDone,
        moment: Moment,
    ) {
        match result {
            Ok(found) => {
                book.changed = book.ours != *snapshot;
                book.ours = Ledger::merged_over(&found.ledger, snapshot, &book.ours);
                book.found = found;
            }
            // The next save has it all again.
            Err(trouble) if moment == Moment::Between && trouble.may_pass() => book.changed = true,
            Err(trouble) => {
                book.closed = true;
                done.problems.push(unsaved(&self.seen.scope, &trouble));
            }
        }
    }
}

fn unsaved(scope: &Scope, trouble: &LedgerTrouble) -> Problem {
    let message =
        format!("the ledger of {scope} could not be saved, so the next run writes these secrets again: {trouble}");
    let target = Target { scope: scope.clone(), app: App::Actions };
    let needs = needed(&target, EntryKind::Variable, Access::Write);
    Problem::warning("ledger-unsaved", message)
        .hint(format!("give the token {needs}, or keep the ledger with --ledger file:DIR"))
}
