//! Does what a plan says, records what was done, and lets no failure hide the rest (design §6).
//!
//! **What GitHub accepted is in the ledger soon after**: it is saved while the writes go on, again after
//! GitHub's dates were read back, and on an interrupt. A run that was cut anywhere leaves a ledger from which
//! the next one finishes the work.

pub mod book;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::future::OptionFuture;
use futures_util::stream::{self, FuturesUnordered};
use jiff::Timestamp;
use tokio::sync::{Mutex, Semaphore};

use self::book::{Book, Moment};
use super::audit;
use super::context::{Context, Event};
use super::observe::{SCOPES_AT_ONCE, SeenScope, SeenTarget};
use super::sync::Prepared;
use crate::base::error::{Failure, Problem};
use crate::base::secret::SealingKey;
use crate::base::target::{App, EntryKind, Scope};
use crate::io::github::GitHub;
use crate::io::github_error::{self, GitHubError};
use crate::rules::cost::WRITES_PER_SAVE;
use crate::rules::ledger::Ledger;
use crate::rules::outcome::{Outcomes, StepOutcome};
use crate::rules::permissions::{Access, needed};
use crate::rules::plan::{Action, Step, Target, TargetPlan};
use crate::rules::steps::deletes_make_room;

/// Applies a plan that holds no refusal.
pub async fn apply(context: &Context<'_>, prepared: &Prepared) -> Outcomes {
    let plan = &prepared.plan;
    let of = plan.steps().filter(|(_, step)| step.action.writes()).count();
    let done = AtomicUsize::new(0);
    // One at a time means that each step is recorded before the next is begun; else the disk is not waited for.
    let ahead = Semaphore::new((2 * context.github.pace_settings().concurrency).saturating_sub(1).max(1));
    let targets: BTreeMap<&Target, (usize, &TargetPlan)> =
        plan.targets.iter().enumerate().map(|(index, target)| (&target.target, (index, target))).collect();
    let mut outcomes = Outcomes {
        steps: plan.targets.iter().map(|target| target.steps.iter().map(first_outcome).collect()).collect(),
        ..Outcomes::default()
    };
    let scopes = prepared.scopes.iter().map(|seen| {
        let plans: Vec<(usize, &TargetPlan)> =
            seen.targets.iter().filter_map(|target| targets.get(&target.delivery.target).copied()).collect();
        let (done, ahead) = (&done, &ahead);
        async move {
            let fresh = context.github.client(&seen.scope).await;
            let client = fresh.unwrap_or_else(|_| Arc::clone(&seen.client));
            Work { context, prepared, seen, client, ahead, done, of }.run(plans).await
        }
    });
    let mut results = stream::iter(scopes).buffer_unordered(SCOPES_AT_ONCE);
    let mut recorded = BTreeSet::new();
    while let Some(done) = results.next().await {
        done.problems.into_iter().for_each(|problem| outcomes.tell(problem));
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

/// The outcome of a step whose request, or one that it needs, failed. What an interrupt kept from being sent was
/// not tried.
fn failed(error: &GitHubError, failure: impl FnOnce() -> Failure) -> StepOutcome {
    if error.problem == github_error::Problem::Stopped {
        return StepOutcome::NotTried;
    }
    let failure = failure();
    StepOutcome::failed(failure.code, failure.to_string())
}

/// One scope's part of a run.
struct Work<'a> {
    context: &'a Context<'a>,
    prepared: &'a Prepared,
    seen: &'a SeenScope,
    /// Asked for anew when the work begins: an App's token may have aged since the plan was made.
    client: Arc<GitHub>,
    /// For each step of the run that may be under way, or done and not yet in the audit trail.
    ahead: &'a Semaphore,
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
            |done: &ScopeDone| done.outcomes.iter().any(|(_, outcome)| matches!(outcome, StepOutcome::Failed(_)));
        if !(deletes_first && failed(&done)) {
            self.write_all(first, &keys, &mut book, &mut done).await;
        }
        if deletes_first || !failed(&done) {
            self.write_all(last, &keys, &mut book, &mut done).await;
        }
        if let Some(book) = &mut book {
            self.mark_gone(&tasks, book);
            let glance = self.settle(&tasks, book, &mut done).await;
            self.save(book, glance, &mut done).await;
        }
        done
    }

    async fn create_environment(&self, tasks: &[Task<'_>], done: &mut ScopeDone) -> bool {
        let Scope::Environment { repository, environment } = &self.seen.scope else { return true };
        let Err(error) = self.client.create_environment(repository, environment).await else { return true };
        let outcome = failed(&error, || {
            error.failure(
                &format!("make environment `{environment}` of {repository}"),
                "repository permission `Administration`: read and write",
            )
        });
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
        let fetched = stores.values().map(|target| async move {
            let early = self.seen.targets.iter().find(|seen| seen.delivery.target == **target);
            match early.and_then(|seen| seen.sealing_key.clone()) {
                Some(key) => (*target, Ok(key)),
                None => (*target, self.client.sealing_key(target).await.map(Arc::new)),
            }
        });
        let mut keys = BTreeMap::new();
        for (target, result) in futures_util::future::join_all(fetched).await {
            match result {
                Ok(key) => {
                    keys.insert(target.app, Mutex::new(key));
                }
                Err(error) => {
                    let needs = needed(target, EntryKind::Secret, Access::Write);
                    let outcome = failed(&error, || error.failure(&format!("get the public key of {target}"), &needs));
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
        let mut waiting: VecDeque<Task<'_>> = tasks
            .into_iter()
            .filter(|task| {
                task.step.kind == EntryKind::Variable
                    || task.step.action == Action::Delete
                    || keys.contains_key(&task.target.app)
            })
            .collect();
        let mut running = FuturesUnordered::new();
        let mut recording = FuturesUnordered::new();
        let mut saving = None;
        let mut unsaved = 0;
        loop {
            while running.len() < at_once && !self.context.stopped() {
                let Some(task) = waiting.pop_front() else { break };
                if task.step.action == Action::Delete {
                    (self.context.tell)(Event::Deleting { target: task.target, name: &task.step.name });
                }
                running.push(async move {
                    // The semaphore is never closed.
                    let ahead = self.ahead.acquire().await.ok();
                    (task, ahead, self.write(task, keys).await)
                });
            }
            tokio::select! {
                Some((task, ahead, result)) = running.next(), if !running.is_empty() => {
                    let written_at = result.as_ref().ok().copied();
                    let outcome = self.outcome(task, result);
                    done.outcomes.push((task.place, outcome.clone()));
                    recording.push(async move {
                        let recorded = audit::record(self.context, task.target, task.step, &outcome).await;
                        drop(ahead);
                        (task, written_at, recorded)
                    });
                    let count = self.done.fetch_add(1, Ordering::Relaxed) + 1;
                    (self.context.tell)(Event::Stepped { done: count, of: self.of });
                }
                Some((task, written_at, recorded)) = recording.next(), if !recording.is_empty() => {
                    if recorded.is_ok() {
                        done.recorded.push(task.place);
                    }
                    done.problems.extend(recorded.unwrap_or_else(Some));
                    // After the trail: what a kill leaves in the ledger is in the trail too.
                    if let (Some(written_at), Some(book)) = (written_at, book.as_mut()) {
                        self.record(task, written_at, &mut book.ours);
                        book.changed = true;
                        unsaved += 1;
                    }
                    // Near the end the last save is near too, and this one would only hold it up.
                    if unsaved >= WRITES_PER_SAVE && waiting.len() > at_once && saving.is_none() {
                        unsaved = 0;
                        saving = book.as_ref().filter(|book| !book.closed).map(|book| {
                            let (found, ours) = (book.found.clone(), book.ours.clone());
                            Box::pin(async move { (self.store(&self.client, &found, &ours, None).await, ours) })
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
        let (Some(value), exposure) = (value, step.exposure.as_deref()) else {
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
            Err(GitHubError { problem: github_error::Problem::Stopped, .. }) => StepOutcome::NotTried,
            Err(error) => {
                let needs = needed(task.target, task.step.kind, Access::Write);
                let failure = error.failure("write it", &needs);
                let mut message = error.problem.to_string();
                if let Some(hint) = failure.hints.first() {
                    message = format!("{message}; {hint}");
                }
                StepOutcome::failed(failure.code, message)
            }
        }
    }
}
