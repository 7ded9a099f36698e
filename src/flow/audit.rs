//! `audit log` and `audit verify`: reading the trail, and other organizations' logs beside it.

use std::path::Path;

use crate::base::error::Outcome;
use crate::io::audit;
use crate::report::audit::{AuditEvent, AuditLogReport, AuditVerifyReport};
use crate::rules::audit::{Filter, Head, Line, Record};
use crate::rules::audit_chain;

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

/// The newest `limit` events that `filter` takes, from the trail and from `others`.
///
/// # Errors
/// As [`verify`].
pub fn log(path: &Path, filter: &Filter, others: Vec<AuditEvent>, limit: usize) -> Outcome<AuditLogReport> {
    let (records, unreadable) = records(path)?;
    let mut events: Vec<AuditEvent> =
        records.into_iter().filter(|record| filter.takes(record)).map(Into::into).collect();
    events.extend(others);
    events.sort_by_key(|event| event.time);
    let left_out = events.len().saturating_sub(limit);
    events.drain(..left_out);
    Ok(AuditLogReport { events, left_out, unreadable })
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
        let report = log(&path, &Filter::default(), vec![other], 3).unwrap();
        assert_eq!((report.left_out, report.unreadable), (1, 1));
        let names: Vec<&str> = report.events.iter().map(|event| event.name.as_deref().unwrap_or("other")).collect();
        assert_eq!(names, ["NAME_1", "other", "NAME_2"]);
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
