//! Does what a plan says, records what was done, and lets no failure hide the rest (design §6).
//!
//! **What GitHub accepted is in the ledger soon after**: it is saved while the writes go on, again after
//! GitHub's dates were read back, and on an interrupt. A run that was cut anywhere leaves a ledger from which
//! the next one finishes the work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::future::OptionFuture;
use futures_util::stream::{self, FuturesUnordered};
use jiff::Timestamp;
use tokio::sync::Mutex;

use super::audit;
use super::context::{Context, Event};
use super::observe::{SeenScope, SeenTarget};
use super::sync::Prepared;
use crate::base::error::Problem;
use crate::base::secret::{FingerprintKey, SealingKey};
use crate::base::target::{App, EntryKind, Scope};
use crate::io::github::GitHub;
use crate::io::github_error::{self, GitHubError};
use crate::io::ledger::{self, Found, LedgerTrouble};
use crate::rules::cost::WRITES_PER_SAVE;
use crate::rules::ledger::{Entry, EntryKey, Ledger};
use crate::rules::outcome::{Outcomes, StepOutcome};
use crate::rules::permissions::{Access, needed};
use crate::rules::plan::{Action, Reason, Step, Target, TargetPlan};
use crate::rules::steps::deletes_make_room;

/// Scopes that are worked on at once; requests have their own, tighter limit.
const SCOPES_AT_ONCE: usize = 32;

/// Applies a plan that holds no refusal.
pub async fn apply(context: &Context<'_>, prepared: &Prepared) -> Outcomes {
    let plan = &prepared.plan;
    let of = plan.steps().filter(|(_, step)| step.action.writes()).count();
    let done = AtomicUsize::new(0);
    let targets: BTreeMap<&Target, (usize, &TargetPlan)> =
        plan.targets.iter().enumerate().map(|(index, target)| (&target.target, (index, target))).collect();
    let mut outcomes = Outcomes {
        steps: plan.targets.iter().map(|target| target.steps.iter().map(first_outcome).collect()).collect(),
        ..Outcomes::default()
    };
    let scopes = prepared.scopes.iter().map(|seen| {
        let plans: Vec<(usize, &TargetPlan)> =
            seen.targets.iter().filter_map(|target| targets.get(&target.delivery.target).copied()).collect();
        let done = &done;
        async move {
            let fresh = context.github.client(&seen.scope).await;
            let client = fresh.unwrap_or_else(|_| Arc::clone(&seen.client));
            Work { context, prepared, seen, client, done, of }.run(plans).await
        }
    });
    let mut results = stream::iter(scopes).buffer_unordered(SCOPES_AT_ONCE);
    let mut recorded = BTreeSet::new();
    while let Some(done) = results.next().await {
        outcomes.problems.extend(done.problems);
        recorded.extend(done.recorded);
        for ((target, step), outcome) in done.outcomes {
            if let Some(slot) = outcomes.steps.get_mut(target).and_then(|steps| steps.get_mut(step)) {
                *slot = outcome;
            }
        }
    }
    outcomes.usage = context.github.usage();
    audit::end(context, plan, &recorded, &mut outcomes);
    outcomes
}

fn first_outcome(step: &Step) -> StepOutcome {
    if step.action.writes() { StepOutcome::NotTried } else { StepOutcome::Kept }
}

/// One scope's part of a run.
struct Work<'a> {
    context: &'a Context<'a>,
    prepared: &'a Prepared,
    seen: &'a SeenScope,
    /// Asked for anew when the work begins: an App's token may have aged since the plan was made.
    client: Arc<GitHub>,
    done: &'a AtomicUsize,
    of: usize,
}

#[derive(Default)]
struct ScopeDone {
    outcomes: Vec<((usize, usize), StepOutcome)>,
    problems: Vec<Problem>,
    /// Places of the steps whose outcome is in the audit trail.
    recorded: Vec<(usize, usize)>,
}

/// One step with its place in the plan.
#[derive(Clone, Copy)]
struct Task<'a> {
    place: (usize, usize),
    target: &'a Target,
    step: &'a Step,
}

/// When the ledger is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Between,
    Last,
}

/// The scope's ledger while the run changes it.
struct Book {
    /// As stored last.
    found: Found,
    ours: Ledger,
    changed: bool,
    /// Saving failed for good; the reason was told.
    closed: bool,
}

impl Work<'_> {
    async fn run(self, plans: Vec<(usize, &TargetPlan)>) -> ScopeDone {
        let mut done = ScopeDone::default();
        let mut book = self.seen.ledger.as_ref().map(|found| Book {
            found: found.clone(),
            ours: Ledger { key_id: self.prepared.settings.key_id.clone(), ..found.ledger.clone() },
            changed: false,
            closed: false,
        });
        let tasks: Vec<Task<'_>> = plans
            .iter()
            .flat_map(|(index, plan)| {
                plan.steps.iter().enumerate().map(|(step_index, step)| Task {
                    place: (*index, step_index),
                    target: &plan.target,
                    step,
                })
            })
            .collect();
        let writes = tasks.iter().any(|task| task.step.action.writes());
        if writes && self.seen.create_environment && !self.create_environment(&tasks, &mut done).await {
            return done;
        }
        let (deletes, puts): (Vec<Task<'_>>, Vec<Task<'_>>) = tasks
            .iter()
            .copied()
            .filter(|task| task.step.action.writes())
            .partition(|task| task.step.action == Action::Delete);
        let keys = self.sealing_keys(&puts, &mut done).await;
        let full = |seen: &SeenTarget| {
            plans.iter().any(|(_, plan)| plan.target == seen.delivery.target && deletes_make_room(plan, &seen.observed))
        };
        let deletes_first = self.seen.targets.iter().any(full);
        let (first, last) = if deletes_first { (deletes, puts) } else { (puts, deletes) };
        // What replaces a name must be there before the name goes.
        let failed =
            |done: &ScopeDone| done.outcomes.iter().any(|(_, outcome)| matches!(outcome, StepOutcome::Failed { .. }));
        if !(deletes_first && failed(&done)) {
            self.write_all(first, &keys, &mut book, &mut done).await;
        }
        if deletes_first || !failed(&done) {
            self.write_all(last, &keys, &mut book, &mut done).await;
        }
        if let Some(book) = &mut book {
            self.mark_gone(&tasks, book);
            self.settle(&tasks, book, &mut done).await;
            self.save(book, &mut done).await;
        }
        done
    }

    async fn create_environment(&self, tasks: &[Task<'_>], done: &mut ScopeDone) -> bool {
        let Scope::Environment { repository, environment } = &self.seen.scope else { return true };
        let Err(error) = self.client.create_environment(repository, environment).await else { return true };
        let failure = error.failure(
            &format!("make environment `{environment}` of {repository}"),
            "repository permission `Administration`: read and write",
        );
        let outcome = StepOutcome::Failed { code: failure.code, message: failure.to_string() };
        let writing = tasks.iter().filter(|task| task.step.action.writes());
        done.outcomes.extend(writing.map(|task| (task.place, outcome.clone())));
        false
    }

    /// Fetches the public key of each store that a secret will be written to. One key per store, never shared.
    async fn sealing_keys(&self, puts: &[Task<'_>], done: &mut ScopeDone) -> BTreeMap<App, Mutex<Arc<SealingKey>>> {
        let stores: BTreeMap<App, &Target> = puts
            .iter()
            .filter(|task| task.step.kind == EntryKind::Secret)
            .map(|task| (task.target.app, task.target))
            .collect();
        let fetched = stores.values().map(|target| async move { (*target, self.client.sealing_key(target).await) });
        let mut keys = BTreeMap::new();
        for (target, result) in futures_util::future::join_all(fetched).await {
            match result {
                Ok(key) => {
                    keys.insert(target.app, Mutex::new(Arc::new(key)));
                }
                Err(error) => {
                    let needs = needed(target, EntryKind::Secret, Access::Write);
                    let failure = error.failure(&format!("get the public key of {target}"), &needs);
                    let outcome = StepOutcome::Failed { code: failure.code, message: failure.to_string() };
                    let hit = puts.iter().filter(|task| task.target == target && task.step.kind == EntryKind::Secret);
                    done.outcomes.extend(hit.map(|task| (task.place, outcome.clone())));
                }
            }
        }
        keys
    }

    /// Runs the tasks side by side, and saves the ledger beside them every now and then.
    async fn write_all(
        &self,
        tasks: Vec<Task<'_>>,
        keys: &BTreeMap<App, Mutex<Arc<SealingKey>>>,
        book: &mut Option<Book>,
        done: &mut ScopeDone,
    ) {
        let at_once = self.context.github.pace_settings().concurrency;
        let mut waiting = tasks
            .into_iter()
            .filter(|task| {
                task.step.kind == EntryKind::Variable
                    || task.step.action == Action::Delete
                    || keys.contains_key(&task.target.app)
            })
            .peekable();
        let mut running = FuturesUnordered::new();
        let mut saving = None;
        let mut unsaved = 0;
        loop {
            while running.len() < at_once && !self.context.stopped() {
                let Some(task) = waiting.next() else { break };
                if task.step.action == Action::Delete {
                    (self.context.tell)(Event::Deleting { target: task.target, name: &task.step.name });
                }
                running.push(async move { (task, self.write(task, keys).await) });
            }
            tokio::select! {
                Some((task, result)) = running.next(), if !running.is_empty() => {
                    if let (Ok(written_at), Some(book)) = (&result, book.as_mut()) {
                        self.record(task, *written_at, &mut book.ours);
                        book.changed = true;
                        unsaved += 1;
                    }
                    let outcome = self.outcome(task, result);
                    match audit::record(self.context, task.target, task.step, &outcome) {
                        Ok(()) => done.recorded.push(task.place),
                        Err(problem) if done.problems.contains(&problem) => {}
                        Err(problem) => done.problems.push(problem),
                    }
                    done.outcomes.push((task.place, outcome));
                    let count = self.done.fetch_add(1, Ordering::Relaxed) + 1;
                    (self.context.tell)(Event::Stepped { done: count, of: self.of });
                    if unsaved >= WRITES_PER_SAVE && waiting.peek().is_some() && saving.is_none() {
                        unsaved = 0;
                        saving = book.as_ref().filter(|book| !book.closed).map(|book| {
                            let (found, ours) = (book.found.clone(), book.ours.clone());
                            Box::pin(async move { (self.store(&found, &ours).await, ours) })
                        });
                    }
                }
                Some((result, snapshot)) = OptionFuture::from(saving.as_mut()), if saving.is_some() => {
                    saving = None;
                    if let Some(book) = book.as_mut() {
                        self.saved(book, &snapshot, result, done, Moment::Between);
                    }
                }
                else => break,
            }
        }
    }

    /// One write; answers GitHub's time of it.
    async fn write(
        &self,
        task: Task<'_>,
        keys: &BTreeMap<App, Mutex<Arc<SealingKey>>>,
    ) -> Result<Option<Timestamp>, GitHubError> {
        let Task { target, step, .. } = task;
        let client = &self.client;
        if step.action == Action::Delete {
            return client.delete_entry(target, step.kind, &step.name).await.map(|()| None);
        }
        let value = self.prepared.values.desired.value(step.kind, &step.name, &step.group);
        let (Some(value), exposure) = (value, step.exposure.as_ref()) else {
            let problem = github_error::Problem::Malformed { what: "the value is gone".into() };
            return Err(GitHubError::new(&http::Method::PUT, &step.name, problem));
        };
        if step.kind == EntryKind::Variable {
            let mut text = Vec::new();
            // A plain variable is meant to be read: plaintext goes where the definition sends it.
            let _ = value.write_plaintext(&mut text);
            let text = String::from_utf8_lossy(&text);
            return client.set_variable(target, &step.name, &text, step.action == Action::Update, exposure).await;
        }
        let Some(slot) = keys.get(&target.app) else {
            let problem = github_error::Problem::Malformed { what: "there is no public key".into() };
            return Err(GitHubError::new(&http::Method::PUT, &step.name, problem));
        };
        let key = Arc::clone(&*slot.lock().await);
        match client.put_secret(target, &step.name, value, &key, exposure).await {
            Err(GitHubError { problem: github_error::Problem::Rejected { status: 422, .. }, .. }) => {
                // The store's key may have been rotated since it was fetched.
                let fresh = self.fresh_key(client, target, slot, &key).await?;
                client.put_secret(target, &step.name, value, &fresh, exposure).await
            }
            other => other,
        }
    }

    async fn fresh_key(
        &self,
        client: &GitHub,
        target: &Target,
        slot: &Mutex<Arc<SealingKey>>,
        stale: &Arc<SealingKey>,
    ) -> Result<Arc<SealingKey>, GitHubError> {
        let mut slot = slot.lock().await;
        if Arc::ptr_eq(&slot, stale) {
            *slot = Arc::new(client.sealing_key(target).await?);
        }
        Ok(Arc::clone(&slot))
    }

    fn outcome(&self, task: Task<'_>, result: Result<Option<Timestamp>, GitHubError>) -> StepOutcome {
        match result {
            Ok(_) => StepOutcome::Applied,
            Err(error) => {
                let needs = needed(task.target, task.step.kind, Access::Write);
                let failure = error.failure("write it", &needs);
                let mut message = error.problem.to_string();
                if let Some(hint) = failure.hints.first() {
                    message = format!("{message}; {hint}");
                }
                StepOutcome::Failed { code: failure.code, message }
            }
        }
    }

    /// Puts an accepted write into the ledger; its `updated_at` is read back later.
    fn record(&self, task: Task<'_>, written_at: Option<Timestamp>, ledger: &mut Ledger) {
        let Task { target, step, .. } = task;
        let id = EntryKey { app: target.app, kind: step.kind, name: step.name.clone() };
        let value = self.prepared.values.desired.value(step.kind, &step.name, &step.group);
        let key: Option<&FingerprintKey> = self.prepared.values.key.as_ref();
        let (Some(value), Some(key), true) = (value, key, step.action != Action::Delete) else {
            ledger.entries.remove(&id);
            return;
        };
        let written_at = written_at.unwrap_or(self.prepared.settings.now);
        let fingerprint = value.fingerprint(key, &step.name);
        let same_value = ledger.entries.get(&id).filter(|known| known.fingerprint == fingerprint);
        let delivery = self.seen.targets.iter().find(|seen| seen.delivery.target == *target);
        let asked = delivery.and_then(|seen| seen.delivery.exposure.as_ref());
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
            group: step.group.clone(),
            environment: self.prepared.settings.environment.clone(),
            gone_since: None,
            exposure: asked.map(crate::rules::plan::Exposure::token),
        };
        ledger.entries.insert(id, entry);
    }

    fn mark_gone(&self, tasks: &[Task<'_>], book: &mut Book) {
        for task in tasks {
            let id = EntryKey { app: task.target.app, kind: task.step.kind, name: task.step.name.clone() };
            let Some(entry) = book.ours.entries.get_mut(&id) else { continue };
            let gone_since = match (task.step.mark_gone, task.step.reason) {
                (true, _) => Some(self.prepared.settings.now),
                (false, Reason::RemovedFromDefinition) => entry.gone_since,
                (false, _) => None,
            };
            if entry.gone_since != gone_since {
                entry.gone_since = gone_since;
                book.changed = true;
            }
        }
    }

    /// Reads GitHub's dates back for what has none yet: this run's writes, and those of a run that was cut.
    async fn settle(&self, tasks: &[Task<'_>], book: &mut Book, done: &mut ScopeDone) {
        let applied: Vec<(usize, usize)> = done
            .outcomes
            .iter()
            .filter(|(_, outcome)| *outcome == StepOutcome::Applied)
            .map(|(place, _)| *place)
            .collect();
        let mut stores: BTreeMap<(&Target, EntryKind), Vec<&Task<'_>>> = BTreeMap::new();
        for task in tasks {
            let id = EntryKey { app: task.target.app, kind: task.step.kind, name: task.step.name.clone() };
            let Some(entry) = book.ours.entries.get_mut(&id) else { continue };
            if applied.contains(&task.place) {
                stores.entry((task.target, task.step.kind)).or_default().push(task);
            } else if let (None, Action::Keep, Some(observed)) =
                (&entry.updated_at, task.step.action, &task.step.observed)
                && entry.is_what_github_lists(observed)
            {
                // The plan saw that GitHub still holds what the cut run wrote.
                entry.updated_at = Some(observed.clone());
                book.changed = true;
            }
        }
        let looks = stores
            .into_iter()
            .map(|((target, kind), tasks)| async move { (kind, tasks, self.client.list_entries(target, kind).await) });
        for (kind, tasks, listing) in futures_util::future::join_all(looks).await {
            match listing {
                Ok(listing) => {
                    for task in tasks {
                        let id = EntryKey { app: task.target.app, kind, name: task.step.name.clone() };
                        let listed = listing.entries.get(&task.step.name);
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
    }

    async fn save(&self, book: &mut Book, done: &mut ScopeDone) {
        if book.changed && !book.closed {
            let snapshot = book.ours.clone();
            let result = self.store(&book.found, &snapshot).await;
            self.saved(book, &snapshot, result, done, Moment::Last);
        }
    }

    async fn store(&self, found: &Found, ours: &Ledger) -> Result<Found, LedgerTrouble> {
        ledger::save(&self.client, &self.prepared.ledger, &self.seen.scope, found, ours).await
    }

    /// Takes over what is stored now; `ours` may have gone on since `snapshot`.
    fn saved(
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
