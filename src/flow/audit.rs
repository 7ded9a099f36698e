//! The audit trail: what a run adds to it, and what `audit log` and `audit verify` read from it.

use std::collections::BTreeSet;
use std::path::Path;

use super::context::Context;
use crate::base::error::{Outcome, Problem};
use crate::io::audit::{self, HEAD_UNWRITABLE};
use crate::report::audit::{AuditEvent, AuditLogReport, AuditVerifyReport, OtherLog};
use crate::rules::audit::{Entry, Head, Line, Record};
use crate::rules::audit_chain;
use crate::rules::audit_filter::Filter;
use crate::rules::outcome::{Outcomes, StepOutcome};
use crate::rules::plan::{Plan, Step, Target};

/// The line of one step that writes.
fn line(target: &Target, step: &Step, outcome: &StepOutcome) -> Entry {
    let error = match outcome {
        StepOutcome::Failed(failure) => Some(failure.code.to_owned()),
        _ => None,
    };
    Entry {
        target: Some(target.to_string()),
        kind: Some(step.kind.word().to_owned()),
        name: Some(step.name.to_string()),
        group: Some(step.group.to_string()),
        action: Some(step.action.word().to_owned()),
        reason: Some(step.reason.word().to_owned()),
        outcome: Some(if *outcome == StepOutcome::Applied { "done" } else { outcome.word() }.to_owned()),
        error,
        ..Entry::of("step")
    }
}

/// Adds the outcome of one step that writes, while others go on. **When the trail cannot be written any more, the run
/// stops:** no further step is begun. Answers a problem to report although the step is in the trail.
///
/// # Errors
/// The problem to report when the step is not in the trail.
pub async fn record(
    context: &Context<'_>,
    target: &Target,
    step: &Step,
    outcome: &StepOutcome,
) -> Result<Option<Problem>, Problem> {
    let Some(log) = context.audit else { return Ok(None) };
    let Err(failure) = log.append_beside(line(target, step, outcome)).await else { return Ok(None) };
    context.github.stop().ask();
    let problem = Problem::error(failure.code, failure.to_string());
    if failure.code == HEAD_UNWRITABLE { Ok(Some(problem)) } else { Err(problem) }
}

/// Adds what is not in the trail yet: steps that were not tried or failed before their write, and the end.
pub fn end(context: &Context<'_>, plan: &Plan, recorded: &BTreeSet<(usize, usize)>, outcomes: &mut Outcomes) {
    let Some(log) = context.audit else { return };
    let mut lines = Vec::new();
    for (target_index, target) in plan.targets.iter().enumerate() {
        for (step_index, step) in target.steps.iter().enumerate() {
            let outcome = outcomes.steps.get(target_index).and_then(|steps| steps.get(step_index));
            let Some(outcome) = outcome.filter(|_| step.action.writes()) else { continue };
            if !recorded.contains(&(target_index, step_index)) {
                lines.push(line(&target.target, step, outcome));
            }
        }
    }
    let (failed, not_tried) = (outcomes.failed(), outcomes.not_tried());
    lines.push(Entry {
        outcome: Some(if outcomes.complete() { "done" } else { "partial" }.to_owned()),
        detail: (!outcomes.complete()).then(|| format!("{failed} failed, {not_tried} not tried")),
        ..Entry::of("run-ended")
    });
    if let Err(failure) = log.append_all(&lines) {
        outcomes.tell(Problem::error(failure.code, failure.to_string()));
    }
}

/// Checks the trail at `path`, its head file, and anchors that were published elsewhere.
///
/// # Errors
/// `file-missing` when there is no trail; `file-unreadable`. What is wrong with it is in the report.
pub fn verify(path: &Path, anchors: &[Head]) -> Outcome<AuditVerifyReport> {
    let stored = audit::read(path)?;
    Ok(AuditVerifyReport {
        path: path.display().to_string(),
        anchors: anchors.len(),
        verification: audit_chain::verify(&stored.trail, stored.head.as_deref(), anchors),
    })
}

/// What a trail says, edited lines included, and how many of its lines say nothing.
///
/// # Errors
/// As [`verify`].
pub fn records(path: &Path) -> Outcome<(Vec<Record>, usize)> {
    let stored = audit::read(path)?;
    let lines = stored.trail.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let (mut records, mut unreadable) = (Vec::new(), 0);
    for line in lines {
        match Line::read(line) {
            Some(line) => records.push(line.record),
            None => unreadable += 1,
        }
    }
    Ok((records, unreadable))
}

/// What other logs say beside the trail.
#[derive(Debug, Default)]
pub struct Others {
    pub events: Vec<AuditEvent>,
    /// Logs that could not be read, or not to their end, and why: sentences.
    pub unread: Vec<String>,
    /// Whether any was asked for: then a missing trail is told, and is no error.
    pub asked: bool,
}

impl Others {
    /// Takes the log of `whose` organization.
    pub fn add(&mut self, log: OtherLog, whose: &str) {
        if log.cut {
            let count = log.events.len();
            self.unread.push(format!(
                "the {whose} log goes on: {count} events of many were taken; a shorter period (--since, --until) shows the rest"
            ));
        }
        self.events.extend(log.events);
    }
}

/// The newest `limit` events that `filter` takes, from the trail and from `others`.
///
/// # Errors
/// As [`verify`].
pub fn log(path: &Path, filter: &Filter, others: Others, limit: usize) -> Outcome<AuditLogReport> {
    let Others { events: foreign, mut unread, asked } = others;
    let (records, unreadable) = match records(path) {
        Ok(read) => read,
        Err(failure) if asked && failure.code == "file-missing" => {
            unread.push(failure.message);
            (Vec::new(), 0)
        }
        Err(failure) => return Err(failure),
    };
    let mut events: Vec<AuditEvent> = records.into_iter().map(Into::into).chain(foreign).collect();
    events.retain(|event| filter.takes(&event.told()));
    events.sort_by_key(|event| event.time);
    let left_out = events.len().saturating_sub(limit);
    events.drain(..left_out);
    Ok(AuditLogReport { events, left_out, unreadable, unread })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::files;
    use crate::report::audit::Origin;
    use crate::rules::audit::samples::trail;

    #[test]
    fn merges_by_time_and_keeps_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let (lines, _) = trail(3);
        files::write_private(&path, format!("{}\nnonsense\n", lines.join("\n")).as_bytes()).unwrap();
        let second = records(&path).unwrap().0[1].time;
        let other = AuditEvent::foreign(Origin::Github, second, "octocat".into(), "org.x".into());
        let others = || Others { events: vec![other.clone()], unread: Vec::new(), asked: true };
        let report = log(&path, &Filter::default(), others(), 3).unwrap();
        assert_eq!((report.left_out, report.unreadable), (1, 1));
        let names: Vec<&str> = report.events.iter().map(|event| event.name.as_deref().unwrap_or("other")).collect();
        assert_eq!(names, ["NAME_1", "other", "NAME_2"]);
        let octocats = Filter { stack: Some("production".into()), ..Filter::default() };
        assert_eq!(log(&path, &octocats, others(), 9).unwrap().events.len(), 3, "another log knows no stack");

        let nowhere = folder.path().join("none.jsonl");
        let report = log(&nowhere, &Filter::default(), others(), 3).unwrap();
        assert_eq!((report.events.len(), report.unread.len()), (1, 1));
        assert_eq!(log(&nowhere, &Filter::default(), Others::default(), 3).unwrap_err().code, "file-missing");
    }

    #[test]
    fn no_trail_is_an_error_but_a_vanished_one_is_a_finding() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        assert_eq!(verify(&path, &[]).unwrap_err().code, "file-missing");
        let (_, head) = trail(3);
        files::write_private(&audit::head_path(&path), head.to_string().as_bytes()).unwrap();
        assert_eq!(verify(&path, &[]).unwrap().verification.findings[0].code, "audit-truncated");
    }
}
