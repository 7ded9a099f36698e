//! `plan` and `sync`: from arguments to the report.

use std::collections::BTreeSet;
use std::future::ready;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;

use super::args::{PlanArgs, RunArgs, SyncArgs};
use super::connect::Session;
use super::door::Door;
use super::progress::Progress;
use crate::base::error::{Failure, FailureKind, Outcome, Problem};
use crate::base::text::counted;
use crate::flow::apply;
use crate::flow::context::{Context, Event};
use crate::flow::sync::{self, Prepared, Request, Values};
use crate::flow::targets::Asked;
use crate::io::audit::{AuditLog, HEAD_UNWRITABLE};
use crate::io::files;
use crate::io::github_access::GitHubAccess;
use crate::io::ledger::LedgerPlace;
use crate::io::source::SourceKind;
use crate::io::stop::Stop;
use crate::report::Report;
use crate::report::sync::SyncReport;
use crate::rules::definition::{Definition, Environment as Stack};
use crate::rules::digest::StoredStep;
use crate::rules::outcome::{Outcomes, StepOutcome};
use crate::rules::plan::{Plan, Prune};

/// Exit code for "there are differences".
const DIFFERENCES: u8 = 10;

/// Bytes of the largest stored plan that is read.
const LARGEST_PLAN: u64 = 64 << 20;

/// Runs `plan`.
///
/// # Errors
/// Everything that makes a plan impossible, and a refused step.
pub async fn plan(args: PlanArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let run = Run::start(session, door, &args.run, Intent::default()).await?;
    let plan = &run.prepared.plan;
    let report = run.report("plan");
    if let Some(out) = &args.out {
        files::write_private(out, format!("{:#}\n", report.json()).as_bytes())?;
    }
    match args.shards {
        Some(shards) => door.data(matrix(plan, u64::from(shards)).as_bytes()),
        None => door.report(&report),
    }
    door.problems(&plan.warnings);
    sync::refuse(plan)?;
    Ok(if args.run.exit_code && plan.changes() { DIFFERENCES } else { 0 })
}

/// Runs `sync`: the same plan, then its steps.
///
/// # Errors
/// As [`plan`]; and nothing is written when the stored plan is no longer true.
pub async fn sync(args: SyncArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let intent = Intent { create_environments: args.create_environments, will_write: !args.dry_run };
    let run = Run::start(session, door, &args.run, intent).await?;
    let plan = &run.prepared.plan;
    if let Some(path) = &args.plan {
        let stored = StoredPlan::read(path)?;
        sync::still_true(&stored.digest, stored.revision, &stored.steps, plan)?;
    }
    run.finish("sync", args.dry_run, args.run.exit_code, session, door).await
}

/// The exit of a run that wrote: 0 when all was done, 5 when part of it was.
fn end(plan: &Plan, outcomes: &Outcomes, stopped: bool) -> Outcome<u8> {
    if outcomes.complete() {
        return match outcomes.problems.iter().find(|problem| problem.code.starts_with("audit-")) {
            None => Ok(0),
            Some(problem) => {
                let message = match problem.code {
                    HEAD_UNWRITABLE => "all was applied and is in the audit trail, but not in its head file",
                    _ => "all was applied, not all was recorded",
                };
                Err(Failure::new(FailureKind::Partial, "sync-unrecorded", message))
            }
        };
    }
    let (failed, not_tried) = (outcomes.failed(), outcomes.not_tried());
    let applied = outcomes.with_steps(plan).filter(|(_, _, outcome)| **outcome == StepOutcome::Applied).count();
    let denied = outcomes.steps.iter().flatten().any(|outcome| {
        matches!(outcome, StepOutcome::Failed(failure) if matches!(failure.code, "github-forbidden" | "github-unauthorized" | "github-not-found"))
    });
    let (kind, code) = match (applied, denied) {
        (0, true) => (FailureKind::Auth, "sync-denied"),
        (0, false) if !stopped => (FailureKind::Unexpected, "sync-failed"),
        _ => (FailureKind::Partial, "sync-partial"),
    };
    let unrecorded = outcomes.problems.iter().find(|problem| problem.code.starts_with("audit-"));
    let cause = match (unrecorded.map(|problem| problem.code), stopped) {
        (Some(HEAD_UNWRITABLE), _) => " because the head file of the audit trail could not be written",
        (Some(_), _) => " because the audit trail could not be written",
        (None, true) => " because the run was interrupted",
        (None, false) => "",
    };
    let remedy = match kind {
        FailureKind::Auth => "each step says what the token lacks; `doctor` asks for all of it at once",
        _ => "run again: what was done is kept, and the next run does the rest",
    };
    let applied = counted(applied, "step was", "steps were");
    let not_tried = counted(not_tried, "was", "were");
    Err(Failure::new(kind, code, format!("{applied} applied, {failed} failed, {not_tried} not tried{cause}"))
        .hint(remedy))
}

/// What a run is going to do with its plan.
#[derive(Clone, Copy, Default)]
pub(super) struct Intent {
    create_environments: bool,
    will_write: bool,
}

/// A plan in the making and what applying it takes.
pub(super) struct Run {
    prepared: Prepared,
    github: GitHubAccess,
}

impl Run {
    async fn start(session: &Session, door: &mut Door, args: &RunArgs, intent: Intent) -> Outcome<Self> {
        let definition = session.definition(door)?;
        let stack = session.stack(&definition)?.clone();
        Self::of(&definition, &stack, session, door, args, intent).await
    }

    /// Opens the source and makes the plan of a stack.
    pub(super) async fn of(
        definition: &Definition,
        stack: &Stack,
        session: &Session,
        door: &mut Door,
        args: &RunArgs,
        intent: Intent,
    ) -> Outcome<Self> {
        let mut request = request(args, definition, session.now);
        request.create_environments = intent.create_environments;
        request.will_write = intent.will_write;
        if definition.targets.is_empty() && args.targets.stores.github_org.is_none() {
            request.asked.repository = request.asked.repository.or_else(|| session.repository_of_the_action());
        }
        // Says what is missing before ESC is asked for secrets, unless ESC holds the token itself.
        let given = match args.github.github_token_path {
            None => Some(session.github(&args.github, None)?),
            Some(_) => None,
        };
        let source = session.source(&args.source, door).await?;
        let given = match (given, source.kind()) {
            // Both are asked at once. A source on this disk leaves no wait to fill, and GitHub need not be asked for one
            // that is broken.
            (Some(github), SourceKind::Cloud) => {
                let values = async { sync::open(definition, stack, &*source).await.map(|opened| opened.values) };
                return Self::prepare(github, definition, stack, values, &request, door).await;
            }
            (given, _) => given,
        };
        let opened = sync::open(definition, stack, &*source).await?;
        let github = match given {
            Some(github) => github,
            None => session.github(&args.github, session.token_of_esc(&args.github, &opened, door)?)?,
        };
        // Without a key there is nothing to read in a ledger. Where the values are still on their way it is read all the
        // same: waiting for them would take longer.
        if opened.values.key.is_none() {
            request.ledger = LedgerPlace::Nowhere;
        }
        Self::prepare(github, definition, stack, ready(Ok(opened.values)), &request, door).await
    }

    /// Masks the values as soon as they are there, and makes the plan.
    pub(super) async fn prepare(
        github: GitHubAccess,
        definition: &Definition,
        stack: &Stack,
        values: impl Future<Output = Outcome<Values>>,
        request: &Request,
        door: &mut Door,
    ) -> Outcome<Self> {
        let masked = async {
            let values = values.await?;
            door.mask_desired(&values.desired);
            Ok(values)
        };
        let context = Context { github: &github, tell: &|_| {}, audit: None };
        let prepared = sync::prepare(&context, definition, stack, masked, request).await?;
        Ok(Self { prepared, github })
    }

    /// The plan, not carried out.
    pub(super) fn report(&self, command: &'static str) -> SyncReport<'_> {
        SyncReport { command, plan: &self.prepared.plan, outcomes: None, audit_head: None }
    }

    pub(super) fn warnings(&self) -> &[Problem] {
        &self.prepared.plan.warnings
    }

    /// Shows the plan, or carries it out and shows what became of it.
    pub(super) async fn finish(
        &self,
        command: &'static str,
        dry_run: bool,
        exit_code: bool,
        session: &Session,
        door: &mut Door,
    ) -> Outcome<u8> {
        let plan = &self.prepared.plan;
        if dry_run || sync::refuse(plan).is_err() {
            door.report(&self.report(command));
            door.problems(&plan.warnings);
            sync::refuse(plan)?;
            return Ok(if exit_code && plan.changes() { DIFFERENCES } else { 0 });
        }
        let audit = if plan.changes() { Some(Arc::new(super::audit::open(session, plan)?)) } else { None };
        let outcomes = self.apply(session, door, audit.as_ref()).await;
        let audit_head = audit.as_ref().map(|log| log.head());
        door.report(&SyncReport { command, plan, outcomes: Some(&outcomes), audit_head });
        door.problems(plan.warnings.iter().chain(&outcomes.problems));
        end(plan, &outcomes, self.github.stop().is_asked())
    }

    async fn apply(&self, session: &Session, door: &Door, audit: Option<&Arc<AuditLog>>) -> Outcomes {
        stop_on_interrupt(self.github.stop().clone());
        let progress = Progress::new(session.global.quiet, door.in_a_job());
        let tell = |event: Event<'_>| progress.tell(event);
        let context = Context { github: &self.github, tell: &tell, audit };
        let outcomes = apply::apply(&context, &self.prepared).await;
        progress.end();
        outcomes
    }
}

fn request(args: &RunArgs, definition: &Definition, now: jiff::Timestamp) -> Request {
    let after = args.fuses.prune_after.map(|after| i64::try_from(after.as_secs()).unwrap_or(i64::MAX));
    Request {
        asked: Asked { shard: args.shard, ..Asked::from(&args.targets) },
        groups: args.targets.groups.iter().cloned().collect::<BTreeSet<String>>(),
        prune: Prune {
            enabled: args.fuses.prune || definition.sync.prune,
            max_delete: args.fuses.max_delete.unwrap_or(definition.sync.max_delete),
            after_seconds: after,
        },
        allow_widening: args.fuses.allow_widening,
        create_environments: false,
        ledger: args.fuses.ledger.place.clone(),
        will_write: false,
        now,
    }
}

/// Sets the flag on the first interrupt; the second one ends the process at once. Before the first write
/// an interrupt simply ends the process: there is nothing to record.
pub(super) fn stop_on_interrupt(stop: Stop) {
    tokio::spawn(async move {
        // Not told from the flag: a run whose audit trail failed has set it, and still records what it did.
        let mut asked_by_user = false;
        while interrupted().await {
            if asked_by_user {
                std::process::exit(130);
            }
            asked_by_user = true;
            stop.ask();
        }
    });
}

/// Waits for the next request to stop: Ctrl-C, or SIGTERM of a container or runner that ends.
async fn interrupted() -> bool {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else { return tokio::signal::ctrl_c().await.is_ok() };
        tokio::select! {
            stopped = tokio::signal::ctrl_c() => stopped.is_ok(),
            stopped = terminate.recv() => stopped.is_some(),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.is_ok()
}

/// The matrix of a workflow: the shards that have something to do.
fn matrix(plan: &Plan, shards: u64) -> String {
    let used: BTreeSet<u64> =
        plan.targets.iter().map(|target| crate::rules::cost::shard_of(&target.target.scope, shards)).collect();
    let include: Vec<Json> =
        used.into_iter().map(|index| serde_json::json!({"shard": format!("{index}/{shards}")})).collect();
    format!("{}\n", serde_json::json!({"include": include}))
}

/// What of a stored plan is compared with a fresh one.
struct StoredPlan {
    digest: String,
    revision: Option<u64>,
    steps: Vec<StoredStep>,
}

impl StoredPlan {
    fn read(path: &Path) -> Outcome<Self> {
        let text = files::read_text(path, LARGEST_PLAN)?;
        let wrong = |cause: String| {
            Failure::usage("plan-file", format!("`{}` is not a plan of this tool", path.display()))
                .cause(cause)
                .hint("make one with `plan --out FILE`")
        };
        let json: Json = serde_json::from_str(&text)
            .map_err(|error| wrong(format!("broken JSON at line {} column {}", error.line(), error.column())))?;
        Self::from_json(&json).ok_or_else(|| wrong("it has no digest, or is of another version".to_owned()))
    }

    fn from_json(json: &Json) -> Option<Self> {
        if json.get("schema_version")?.as_u64()? != u64::from(crate::report::sync::SCHEMA_VERSION) {
            return None;
        }
        let text = |json: &Json, name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
        let mut steps = Vec::new();
        for target in json.get("targets")?.as_array()? {
            let name = text(target, "target")?;
            for step in target.get("steps")?.as_array()? {
                steps.push(StoredStep {
                    target: name.clone(),
                    name: text(step, "name")?,
                    kind: text(step, "kind")?,
                    action: text(step, "action")?,
                    reason: text(step, "reason")?,
                    observed: text(step, "observed"),
                });
            }
        }
        let revision = json.get("source")?.get("revision").and_then(Json::as_u64);
        Some(Self { digest: text(json, "digest")?, revision, steps })
    }
}
