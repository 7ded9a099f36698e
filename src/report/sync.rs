//! The report of `plan` and `sync`: the same shape, with outcomes for the second.

mod page;
mod tally;

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value as Json;

use super::{BOLD, DIM, GREEN, JobLog, RED, Report, YELLOW};
use crate::base::target::Scope;
use crate::base::text::counted;
use crate::rules::outcome::{Outcomes, StepOutcome};
use crate::rules::plan::{Action, Plan, Reason, Step, Target, TargetPlan};

/// A plan, and what became of it where it was applied.
pub struct SyncReport<'a> {
    /// `plan` or `sync`.
    pub command: &'static str,
    pub plan: &'a Plan,
    pub outcomes: Option<&'a Outcomes>,
    /// Head of the audit trail after the run: published in the job summary, it is an anchor for `audit verify`.
    pub audit_head: Option<String>,
}

/// Version of the JSON form; grows only when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct JsonReport<'a> {
    schema_version: u32,
    command: &'a str,
    stack: &'a str,
    source: JsonSource<'a>,
    digest: &'a str,
    targets: Vec<JsonTarget<'a>>,
    skipped: Vec<JsonSkipped<'a>>,
    warnings: Vec<JsonProblem<'a>>,
    cost: JsonCost,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<JsonResult>,
}

#[derive(Serialize)]
struct JsonSource<'a> {
    kind: &'a str,
    environment: &'a str,
    revision: Option<u64>,
}

#[derive(Serialize)]
struct JsonTarget<'a> {
    /// The target as one text; unique in the plan.
    target: String,
    scope: &'a str,
    repository: Option<String>,
    environment: Option<&'a str>,
    organization: Option<&'a str>,
    app: &'a str,
    steps: Vec<JsonStep<'a>>,
    summary: JsonSummary,
}

#[derive(Serialize)]
struct JsonStep<'a> {
    name: &'a str,
    group: &'a str,
    kind: &'a str,
    action: &'a str,
    reason: &'a str,
    detail: Option<&'a str>,
    observed: Option<&'a str>,
    outcome: Option<&'a str>,
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct JsonSummary {
    create: usize,
    update: usize,
    keep: usize,
    delete: usize,
    refuse: usize,
}

#[derive(Serialize)]
struct JsonSkipped<'a> {
    repository: &'a str,
    why: &'a str,
}

#[derive(Serialize)]
struct JsonProblem<'a> {
    code: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct JsonCost {
    requests: u64,
    writes: u64,
    points: u64,
    seconds: u64,
}

#[derive(Serialize)]
struct JsonResult {
    created: usize,
    updated: usize,
    deleted: usize,
    kept: usize,
    failed: usize,
    not_tried: usize,
    requests: u64,
    writes: u64,
    points: u64,
    retries: u64,
    waited_ms: u64,
}

fn json_target<'a>(plan: &'a TargetPlan, outcomes: Option<&'a Vec<StepOutcome>>) -> JsonTarget<'a> {
    let Target { scope, app } = &plan.target;
    let (environment, organization) = match scope {
        Scope::Repository(_) => (None, None),
        Scope::Environment { environment, .. } => (Some(environment.as_str()), None),
        Scope::Organization(organization) => (None, Some(organization.as_str())),
    };
    let steps = plan.steps.iter().enumerate().map(|(index, step)| {
        let outcome = outcomes.and_then(|outcomes| outcomes.get(index));
        let error = match outcome {
            Some(StepOutcome::Failed(failure)) => Some(failure.message.as_str()),
            _ => None,
        };
        JsonStep {
            name: &step.name,
            group: &step.group,
            kind: step.kind.word(),
            action: step.action.word(),
            reason: step.reason.word(),
            detail: step.detail.as_deref(),
            observed: step.observed.as_deref(),
            outcome: outcome.map(StepOutcome::word),
            error,
        }
    });
    JsonTarget {
        target: plan.target.to_string(),
        scope: scope.word(),
        repository: scope.repository().map(ToString::to_string),
        environment,
        organization,
        app: app.word(),
        steps: steps.collect(),
        summary: JsonSummary {
            create: plan.count(Action::Create),
            update: plan.count(Action::Update),
            keep: plan.count(Action::Keep),
            delete: plan.count(Action::Delete),
            refuse: plan.count(Action::Refuse),
        },
    }
}

impl SyncReport<'_> {
    fn frozen(&self) -> JsonReport<'_> {
        let plan = self.plan;
        let targets =
            plan.targets.iter().enumerate().map(|(index, target)| {
                json_target(target, self.outcomes.and_then(|outcomes| outcomes.steps.get(index)))
            });
        let result = self.outcomes.map(|outcomes| JsonResult {
            created: outcomes.applied(plan, Action::Create),
            updated: outcomes.applied(plan, Action::Update),
            deleted: outcomes.applied(plan, Action::Delete),
            kept: plan.count(Action::Keep),
            failed: outcomes.failed(),
            not_tried: outcomes.not_tried(),
            requests: outcomes.usage.requests,
            writes: outcomes.usage.writes,
            points: outcomes.usage.points,
            retries: outcomes.usage.retries,
            waited_ms: outcomes.usage.waited_ms,
        });
        let problems = self.outcomes.map(|outcomes| outcomes.problems.as_slice()).unwrap_or_default();
        let warnings = plan.warnings.iter().chain(problems);
        JsonReport {
            schema_version: SCHEMA_VERSION,
            command: self.command,
            stack: &plan.stack,
            source: JsonSource {
                kind: plan.source.kind,
                environment: &plan.source.environment,
                revision: plan.source.revision,
            },
            digest: &plan.digest,
            targets: targets.collect(),
            skipped: plan
                .skipped
                .iter()
                .map(|skipped| JsonSkipped { repository: &skipped.repository, why: skipped.why })
                .collect(),
            warnings: warnings.map(|problem| JsonProblem { code: problem.code, message: &problem.message }).collect(),
            cost: JsonCost {
                requests: plan.cost.requests,
                writes: plan.cost.writes,
                points: plan.cost.points,
                seconds: plan.cost.seconds,
            },
            result,
        }
    }

    /// One sentence: what a plan would do, or what was done.
    #[must_use]
    pub fn totals(&self) -> String {
        let plan = self.plan;
        match self.outcomes {
            None => format!(
                "Plan: {} to create, {} to update, {} to keep, {} to delete, {} refused.",
                plan.count(Action::Create),
                plan.count(Action::Update),
                plan.count(Action::Keep),
                plan.count(Action::Delete),
                plan.count(Action::Refuse)
            ),
            Some(outcomes) => format!(
                "Done: {} created, {} updated, {} kept, {} deleted, {} failed, {} not tried.",
                outcomes.applied(plan, Action::Create),
                outcomes.applied(plan, Action::Update),
                plan.count(Action::Keep),
                outcomes.applied(plan, Action::Delete),
                outcomes.failed(),
                outcomes.not_tried()
            ),
        }
    }

    fn source_line(&self) -> String {
        let source = &self.plan.source;
        let revision = source.revision.map(|revision| format!(", revision {revision}")).unwrap_or_default();
        format!("stack {} from {} ({}{revision})", self.plan.stack, source.environment, source.kind)
    }

    fn cost_line(&self) -> String {
        match self.outcomes {
            None => {
                let cost = self.plan.cost;
                let (requests, writes, points, seconds) = (cost.requests, cost.writes, cost.points, cost.seconds);
                format!("Cost: {}), about {seconds} s.", amounts(requests, writes, points))
            }
            Some(Outcomes { usage, .. }) => {
                let waited = match (usage.waited_ms + 500) / 1000 {
                    0 => String::new(),
                    seconds => format!(", waited {seconds} s for GitHub's limits"),
                };
                let amounts = amounts(usage.requests, usage.writes, usage.points);
                format!("Used: {amounts}, {}){waited}.", counted(usage.retries, "retry", "retries"))
            }
        }
    }

    fn outcome(&self, target: usize, step: usize) -> Option<&StepOutcome> {
        self.outcomes?.steps.get(target)?.get(step)
    }
}

/// `3 requests (1 write, 7 points`, left open for what more there is to say.
fn amounts(requests: u64, writes: u64, points: u64) -> String {
    format!(
        "{} ({}, {}",
        counted(requests, "request", "requests"),
        counted(writes, "write", "writes"),
        counted(points, "point", "points")
    )
}

/// Steps that say something: all but those that were fine before and are fine now.
fn is_telling(step: &Step) -> bool {
    step.action != Action::Keep || step.reason != Reason::Unchanged
}

fn explain(step: &Step, outcome: Option<&StepOutcome>) -> String {
    let mut text = step.reason.word().to_owned();
    if let Some(detail) = &step.detail {
        text = format!("{text}: {detail}");
    }
    match outcome {
        Some(StepOutcome::Failed(failure)) => format!("{text} — failed: {}", failure.message),
        Some(StepOutcome::NotTried) => format!("{text} — not tried"),
        _ => text,
    }
}

impl SyncReport<'_> {
    fn head(&self, to: &mut dyn Write) -> io::Result<()> {
        let title = if self.outcomes.is_some() { "Sync" } else { "Plan" };
        writeln!(to, "{BOLD}{title}: {}{BOLD:#}", self.source_line())
    }

    fn tail(&self, to: &mut dyn Write) -> io::Result<()> {
        for skipped in &self.plan.skipped {
            writeln!(to, "\n{DIM}skipped {} ({}){DIM:#}", skipped.repository, skipped.why)?;
        }
        writeln!(to, "\n{}\n{}", self.totals(), self.cost_line())
    }

    /// The lines of one target, without its name.
    fn target_lines(&self, to: &mut dyn Write, index: usize, target: &TargetPlan) -> io::Result<()> {
        let telling = || target.steps.iter().enumerate().filter(|(_, step)| is_telling(step));
        let width = telling().map(|(_, step)| step.name.len()).max().unwrap_or(0);
        let group = telling().map(|(_, step)| step.group.len()).max().unwrap_or(0);
        for (position, step) in telling() {
            let (sign, style) = match step.action {
                Action::Create => ('+', GREEN),
                Action::Update => ('~', YELLOW),
                Action::Keep => ('=', DIM),
                Action::Delete => ('-', RED),
                Action::Refuse => ('!', RED),
            };
            let why = explain(step, self.outcome(index, position));
            let (name, group_name, action) = (&step.name, &step.group, step.action.word());
            let variable = if step.kind == crate::base::target::EntryKind::Variable { " (variable)" } else { "" };
            writeln!(to, "  {style}{sign} {name:width$}  {group_name:group$}  {action:6}{style:#}  {why}{variable}")?;
        }
        let unchanged = target.steps.len() - telling().count();
        if unchanged > 0 {
            writeln!(to, "  {DIM}= {unchanged} unchanged{DIM:#}")?;
        }
        if target.steps.is_empty() {
            writeln!(to, "  {DIM}nothing is wanted here{DIM:#}")?;
        }
        Ok(())
    }
}

impl Report for SyncReport<'_> {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        self.head(to)?;
        for (index, target) in self.plan.targets.iter().enumerate() {
            writeln!(to, "\n{BOLD}{}{BOLD:#}", target.target)?;
            self.target_lines(to, index, target)?;
        }
        self.tail(to)
    }

    /// Many targets are folded, each under its counts; one with trouble is not.
    fn log(&self, log: &mut dyn JobLog) -> io::Result<()> {
        if self.plan.targets.len() < 2 {
            return self.human(log);
        }
        self.head(log)?;
        for (index, target) in self.plan.targets.iter().enumerate() {
            let tally = self.tally(index);
            let title = format!("{}: {}", target.target, tally.words(self.outcomes.is_some()));
            if tally.has_trouble() {
                writeln!(log, "{title}")?;
                self.target_lines(log, index, target)?;
            } else if target.steps.iter().any(is_telling) {
                log.fold(&title)?;
                self.target_lines(log, index, target)?;
                log.unfold()?;
            } else {
                writeln!(log, "{title}")?;
            }
        }
        self.tail(log)
    }

    fn json(&self) -> Json {
        serde_json::to_value(self.frozen()).unwrap_or_default()
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        self.page(to)
    }
}
