//! What `audit log` and `audit verify` print.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{BOLD, DIM, GREEN, RED, Report, YELLOW};
use crate::rules::audit::Record;
use crate::rules::audit_chain::Verification;
use crate::rules::audit_filter::Told;

/// Version of the JSON forms in this file.
pub const SCHEMA_VERSION: u32 = 1;

/// Which log an event is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// This tool's own trail.
    Trail,
    /// The audit log of the Pulumi organization.
    Pulumi,
    /// The audit log of the GitHub organization.
    Github,
}

impl Origin {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Trail => "trail",
            Self::Pulumi => "pulumi",
            Self::Github => "github",
        }
    }
}

/// One event of any log. Value-free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEvent {
    pub time: Timestamp,
    pub origin: Origin,
    pub actor: String,
    /// `step`, or the word of the other log (`org.update_actions_secret`).
    pub event: String,
    pub run: Option<String>,
    pub command: Option<String>,
    pub stack: Option<String>,
    /// Where: a target, a repository, an environment.
    pub target: Option<String>,
    pub name: Option<String>,
    pub group: Option<String>,
    pub action: Option<String>,
    pub reason: Option<String>,
    /// The revision of the ESC environment that the step made.
    pub revision: Option<u64>,
    pub outcome: Option<String>,
    pub error: Option<String>,
    pub detail: Option<String>,
}

impl AuditEvent {
    /// An event of another log.
    #[must_use]
    pub fn foreign(origin: Origin, time: Timestamp, actor: String, event: String) -> Self {
        Self {
            time,
            origin,
            actor,
            event,
            run: None,
            command: None,
            stack: None,
            target: None,
            name: None,
            group: None,
            action: None,
            reason: None,
            revision: None,
            outcome: None,
            error: None,
            detail: None,
        }
    }
}

impl AuditEvent {
    /// What a filter looks at. A log that says where only in its sentence is searched there.
    #[must_use]
    pub fn told(&self) -> Told<'_> {
        Told {
            time: self.time,
            actor: &self.actor,
            command: self.command.as_deref(),
            run: self.run.as_deref(),
            stack: self.stack.as_deref(),
            target: self.target.as_deref().or(self.detail.as_deref()),
            name: self.name.as_deref(),
            group: self.group.as_deref(),
            action: self.action.as_deref(),
            outcome: self.outcome.as_deref(),
        }
    }
}

impl From<Record> for AuditEvent {
    fn from(record: Record) -> Self {
        let Record { time, run, entry, .. } = record;
        Self {
            run: Some(run.id),
            command: Some(run.command),
            stack: run.stack,
            target: entry.target,
            name: entry.name,
            group: entry.group,
            action: entry.action,
            reason: entry.reason,
            revision: entry.revision,
            outcome: entry.outcome,
            error: entry.error,
            detail: entry.detail,
            ..Self::foreign(Origin::Trail, time, run.actor.name, entry.event)
        }
    }
}

/// What was read of another organization's log.
#[derive(Debug, Default)]
pub struct OtherLog {
    /// Newest first.
    pub events: Vec<AuditEvent>,
    /// Whether reading stopped before the period or the wanted number was reached: there may be more.
    pub cut: bool,
}

/// The report of `audit log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLogReport {
    /// Oldest first.
    pub events: Vec<AuditEvent>,
    /// Older events that a limit left out.
    pub left_out: usize,
    /// Lines of the trail that are no lines of a trail.
    pub unreadable: usize,
    /// Logs that were asked for and not read, or not to their end, and why: sentences.
    pub unread: Vec<String>,
}

/// `text` without characters that could steer a terminal; logs are foreign text.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `text` as code in Markdown.
pub fn code(text: &str) -> String {
    format!("`{}`", plain(text).replace(['`', '|'], "'"))
}

/// A sentence of this tool in Markdown: what stands in backticks stays code.
pub fn prose(text: &str) -> String {
    plain(text).replace('|', "\\|").replace('<', "&lt;")
}

/// `text` for a cell of a Markdown table.
pub fn cell(text: &str) -> String {
    super::markdown_text(&plain(text))
}

fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

impl AuditEvent {
    /// What happened, as a phrase: `create OPENAI_API_KEY`, `run-started (sync, stack production)`.
    fn deed(&self) -> String {
        match (&self.action, &self.name) {
            (Some(action), Some(name)) => format!("{action} {name}"),
            (None, Some(name)) => format!("{} {name}", self.event),
            (Some(action), None) => action.clone(),
            (None, None) => {
                let stack = self.stack.as_ref().map(|stack| format!(", stack {stack}")).unwrap_or_default();
                match &self.command {
                    Some(command) => format!("{} ({command}{stack})", self.event),
                    None => self.event.clone(),
                }
            }
        }
    }

    fn ending(&self) -> Option<String> {
        let outcome = self.outcome.as_ref()?;
        let why = self.error.as_ref().or(self.reason.as_ref());
        Some(why.map_or_else(|| outcome.clone(), |why| format!("{outcome} ({why})")))
    }
}

impl Report for AuditLogReport {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        if self.left_out > 0 {
            writeln!(to, "{DIM}… {} older; --limit shows more{DIM:#}", self.left_out)?;
        }
        for event in &self.events {
            write!(to, "{DIM}{}{DIM:#} ", minute(event.time))?;
            if event.origin != Origin::Trail {
                write!(to, "[{}] ", event.origin.word())?;
            }
            write!(to, "{}: {BOLD}{}{BOLD:#}", plain(&event.actor), plain(&event.deed()))?;
            if let Some(target) = &event.target {
                write!(to, " at {}", plain(target))?;
            }
            if let Some(ending) = event.ending() {
                let style = match event.outcome.as_deref() {
                    Some("done" | "applied" | "kept") => GREEN,
                    Some("failed") => RED,
                    _ => YELLOW,
                };
                write!(to, " {style}{}{style:#}", plain(&ending))?;
            }
            if let Some(revision) = event.revision {
                write!(to, " {DIM}revision {revision}{DIM:#}")?;
            }
            if let Some(detail) = &event.detail {
                write!(to, " {DIM}{}{DIM:#}", plain(detail))?;
            }
            writeln!(to)?;
        }
        if self.events.is_empty() {
            writeln!(to, "no events")?;
        }
        for unread in &self.unread {
            writeln!(to, "{YELLOW}not read{YELLOW:#}: {}", plain(unread))?;
        }
        Ok(())
    }

    fn json(&self) -> Json {
        json!({
            "schema_version": SCHEMA_VERSION, "command": "audit log", "events": self.events,
            "left_out": self.left_out, "unreadable_lines": self.unreadable, "not_read": self.unread,
        })
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "| time | origin | actor | what | where | outcome |\n|---|---|---|---|---|---|")?;
        for event in &self.events {
            writeln!(
                to,
                "| {} | {} | {} | {} | {} | {} |",
                minute(event.time),
                event.origin.word(),
                cell(&event.actor),
                cell(&event.deed()),
                cell(event.target.as_deref().unwrap_or_default()),
                cell(&event.ending().unwrap_or_default())
            )?;
        }
        if self.left_out > 0 {
            writeln!(to, "\n{} older events are left out.", self.left_out)?;
        }
        for unread in &self.unread {
            writeln!(to, "\nNot read: {}", prose(unread))?;
        }
        Ok(())
    }
}

/// The report of `audit verify`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditVerifyReport {
    /// The trail, as the user named it.
    pub path: String,
    /// How many anchors were given.
    pub anchors: usize,
    pub verification: Verification,
}

impl AuditVerifyReport {
    pub fn sentence(&self) -> String {
        let Verification { lines, findings, .. } = &self.verification;
        let lines = if *lines == 1 { "1 line".to_owned() } else { format!("{lines} lines") };
        match findings.len() {
            0 => format!("whole: {lines}, nothing was changed, removed or moved"),
            1 => format!("NOT whole: {lines}, 1 finding"),
            count => format!("NOT whole: {lines}, {count} findings"),
        }
    }

    /// What the check could and could not see.
    pub fn reach(&self) -> String {
        match (self.anchors, self.verification.anchored) {
            (0, _) => "no anchor was given: a trail that was written anew with its head file would look whole".into(),
            (anchors, anchored) => format!("{anchored} of {anchors} anchors stand in the trail"),
        }
    }
}

impl Report for AuditVerifyReport {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        let style = if self.verification.is_whole() { GREEN } else { RED };
        writeln!(to, "{} is {style}{}{style:#}", self.path, self.sentence())?;
        for finding in &self.verification.findings {
            writeln!(to, "  {RED}{}{RED:#}: {}", finding.code, finding.message)?;
        }
        writeln!(to, "  head: {}", self.verification.head)?;
        writeln!(to, "  {DIM}{}{DIM:#}", self.reach())
    }

    fn json(&self) -> Json {
        let Verification { lines, head, anchored, findings } = &self.verification;
        let findings: Vec<Json> = findings
            .iter()
            .map(|finding| json!({"code": finding.code, "line": finding.line, "message": finding.message}))
            .collect();
        json!({
            "schema_version": SCHEMA_VERSION, "command": "audit verify", "path": self.path,
            "whole": self.verification.is_whole(), "lines": lines, "head": head.to_string(),
            "anchors": {"given": self.anchors, "found": anchored}, "findings": findings,
        })
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "The audit trail is **{}**.\n", self.sentence())?;
        for finding in &self.verification.findings {
            writeln!(to, "- `{}`: {}", finding.code, cell(&finding.message))?;
        }
        writeln!(to, "\nHead: `{}` ({})", self.verification.head, self.reach())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Format, write};
    use crate::rules::audit::samples::trail;
    use crate::rules::audit::{Head, Line};
    use crate::rules::audit_chain::verify;

    fn text(report: &dyn Report, format: Format) -> String {
        let mut bytes = Vec::new();
        write(report, format, &mut anstream::StripStream::new(&mut bytes)).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn events() -> Vec<AuditEvent> {
        let (lines, _) = trail(1);
        let record = Line::read(lines[0].as_bytes()).unwrap().record;
        let mut foreign = AuditEvent::foreign(Origin::Github, record.time, "octo|cat".into(), "org.\u{1b}[31mx".into());
        foreign.detail = Some("a\nb".into());
        vec![record.into(), foreign]
    }

    #[test]
    fn a_log_is_told_line_by_line_and_steers_no_terminal() {
        let report =
            AuditLogReport { events: events(), left_out: 2, unreadable: 0, unread: vec!["the log of `x`".into()] };
        assert_eq!(
            text(&report, Format::Human),
            "… 2 older; --limit shows more\n\
             2026-05-28 20:26:40Z octocat: create NAME_0 at payready/sophia · actions done (new)\n\
             2026-05-28 20:26:40Z [github] octo|cat: org. [31mx a b\n\
             not read: the log of `x`\n"
        );
        let markdown = text(&report, Format::Markdown);
        assert!(markdown.contains("| trail | octocat | create NAME\\_0 | payready/sophia · actions | done (new) |"));
        assert!(markdown.contains("octo\\|cat"), "{markdown}");
        assert_eq!(report.json()["events"][0]["name"], "NAME_0");
        let none = AuditLogReport { events: Vec::new(), left_out: 0, unreadable: 0, unread: Vec::new() };
        assert_eq!(text(&none, Format::Human), "no events\n");
    }

    #[test]
    fn a_verdict_says_what_it_could_see() {
        let (lines, head) = trail(2);
        let bytes = lines.join("\n") + "\n";
        let report = |anchors: &[Head]| AuditVerifyReport {
            path: "audit.jsonl".into(),
            anchors: anchors.len(),
            verification: verify(bytes.as_bytes(), Some(&head.to_string()), anchors),
        };
        let whole = text(&report(std::slice::from_ref(&head)), Format::Human);
        assert!(whole.starts_with("audit.jsonl is whole: 2 lines"), "{whole}");
        assert!(whole.contains("1 of 1 anchors"), "{whole}");
        assert!(text(&report(&[]), Format::Human).contains("no anchor was given"));
        let wrong = report(&[Head { sequence: 1, hash: "00".repeat(32) }]);
        assert!(text(&wrong, Format::Markdown).contains("NOT whole: 2 lines, 1 finding**"));
        assert_eq!(
            (&wrong.json()["whole"], &wrong.json()["findings"][0]["code"]),
            (&json!(false), &json!("audit-rewritten"))
        );
    }
}
