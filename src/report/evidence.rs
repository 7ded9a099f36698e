//! The evidence for an audit: what is delivered where, how old it is, who may have it, what was changed.
//!
//! One value-free model and four forms: HTML (one file that needs nothing else), Markdown for a job summary,
//! JSON, and a few lines for a terminal. It claims no compliance; it shows what an auditor asks to see.

mod chart;
mod entry;
mod html;
mod markdown;
mod questions;
mod schedule;
mod sections;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::audit::{AuditEvent, AuditVerifyReport};
use super::{BOLD, GREEN, RED, Report, YELLOW, counted};
use crate::rules::audit_runs::LastRun;
use crate::rules::rotation::State;
pub use entry::{EvidenceEntry, Presence, STATES};
use entry::{phrase, sign};
pub use questions::{Answer, CONTROLS, Control, DRILL, USAGE, Verdict, answers};

/// Version of the JSON form.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything that the report shows.
#[derive(Debug, Clone)]
pub struct Evidence {
    pub organization: String,
    pub project: String,
    /// When the report was made; ages are counted to it.
    pub generated: Timestamp,
    /// The period that changes are shown of.
    pub since: Timestamp,
    pub entries: Vec<EvidenceEntry>,
    /// Whether access policies exist, so that what none of them grants is denied.
    pub policies_bind: bool,
    pub grants: Vec<Grant>,
    /// The trail's events of the period, oldest first.
    pub events: Vec<AuditEvent>,
    /// The last test of the emergency procedures; none when the trail records none.
    pub drill: Option<LastRun>,
    /// The last check of how code uses the secrets; none when the trail records none.
    pub usage_check: Option<LastRun>,
    /// The check of the trail; none when there is no trail.
    pub trail: Option<AuditVerifyReport>,
    pub stores: Vec<StoreUse>,
    pub findings: Vec<Finding>,
    /// What could not be looked at, and why: sentences.
    pub unseen: Vec<String>,
    /// How many targets, and stacks as a whole, are among it.
    pub unread: usize,
    /// How much of who may have what is among it.
    pub unchecked: usize,
}

/// What one identity may have: a group in a stack, and the policies that say so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Grant {
    /// `github`, `team` or `user`.
    pub kind: String,
    pub identity: String,
    pub group: String,
    pub stack: String,
    pub policies: Vec<String>,
}

/// How full a list at GitHub is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct StoreUse {
    pub target: String,
    /// `secret` or `variable`.
    pub kind: String,
    pub used: usize,
    pub limit: usize,
}

/// Something that someone should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub code: String,
    /// `error` or `warning`.
    pub severity: String,
    pub message: String,
}

/// How many of the entries of a group, stack and target are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    pub group: String,
    pub stack: String,
    pub target: String,
    pub expected: usize,
    pub present: usize,
    /// The target could not be read: none counts as present, which says nothing.
    pub unread: bool,
}

/// Changes and failures of one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct DayCount {
    pub changed: usize,
    pub failed: usize,
}

impl Evidence {
    /// Entries whose target could be read.
    pub fn known(&self) -> impl Iterator<Item = &EvidenceEntry> {
        self.entries.iter().filter(|entry| entry.presence != Presence::Unknown)
    }

    /// How many of the known entries stand so.
    #[must_use]
    pub fn count(&self, state: State) -> usize {
        self.known().filter(|entry| entry.state() == state).count()
    }

    /// Names that are to be delivered, each counted once.
    #[must_use]
    pub fn names(&self) -> usize {
        self.entries.iter().map(|entry| &entry.name).collect::<BTreeSet<_>>().len()
    }

    /// Stacks that deliver something.
    #[must_use]
    pub fn stacks(&self) -> usize {
        self.entries.iter().map(|entry| &entry.stack).collect::<BTreeSet<_>>().len()
    }

    /// By group, stack and target.
    #[must_use]
    pub fn coverage(&self) -> Vec<Coverage> {
        let mut counts: BTreeMap<(&str, &str, &str), (usize, usize, bool)> = BTreeMap::new();
        for entry in &self.entries {
            let (expected, present, unread) = counts.entry((&entry.group, &entry.stack, &entry.target)).or_default();
            *expected += 1;
            *present += usize::from(!matches!(entry.presence, Presence::Missing | Presence::Unknown));
            *unread |= entry.presence == Presence::Unknown;
        }
        let coverage = counts.into_iter().map(|((group, stack, target), (expected, present, unread))| Coverage {
            group: group.to_owned(),
            stack: stack.to_owned(),
            target: target.to_owned(),
            expected,
            present,
            unread,
        });
        coverage.collect()
    }

    /// Known entries with a schedule, the most urgent first.
    #[must_use]
    pub fn by_urgency(&self) -> Vec<&EvidenceEntry> {
        let mut entries: Vec<&EvidenceEntry> =
            self.known().filter(|entry| entry.state() != State::Unscheduled).collect();
        entries.sort_by_key(|entry| (entry.state(), entry.standing.due, &entry.name, &entry.target));
        entries
    }

    /// What is overdue or was never rotated, by owner; entries without one are under "nobody".
    #[must_use]
    pub fn overdue_by_owner(&self) -> BTreeMap<&str, Vec<&EvidenceEntry>> {
        let mut owners: BTreeMap<&str, Vec<&EvidenceEntry>> = BTreeMap::new();
        for entry in self.by_urgency() {
            if matches!(entry.state(), State::Overdue | State::Never) {
                owners.entry(entry.owner.as_deref().unwrap_or("nobody")).or_default().push(entry);
            }
        }
        owners
    }

    /// Events that changed something, or tried to.
    pub fn changes(&self) -> impl Iterator<Item = &AuditEvent> {
        self.events.iter().filter(|event| event.action.is_some())
    }

    /// Changes of each day (UTC) of the period, days without any included.
    #[must_use]
    pub fn days(&self) -> Vec<(String, DayCount)> {
        let day = |time: Timestamp| time.strftime("%Y-%m-%d").to_string();
        let mut days: BTreeMap<String, DayCount> = BTreeMap::new();
        let mut time = self.since;
        while time < self.generated && days.len() < 1000 {
            days.entry(day(time)).or_default();
            time = time.checked_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
        }
        days.entry(day(self.generated)).or_default();
        for event in self.changes() {
            let count = days.entry(day(event.time)).or_default();
            let failed = event.outcome.as_deref().is_some_and(|outcome| outcome != "done");
            *(if failed { &mut count.failed } else { &mut count.changed }) += 1;
        }
        days.into_iter().collect()
    }

    /// Writes the report as one HTML file.
    ///
    /// # Errors
    /// Whatever the writer gives.
    pub fn html(&self, to: &mut dyn Write) -> io::Result<()> {
        html::write(self, to)
    }
}

fn date(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

/// Whole days between two times, as a text: `3 days`.
fn days_between(from: Timestamp, to: Timestamp) -> String {
    let days = usize::try_from(to.duration_since(from).as_hours().abs() / 24).unwrap_or(0);
    counted(days, "day")
}

impl Report for Evidence {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        let delivered = self.entries.iter().filter(|entry| entry.presence == Presence::Delivered).count();
        writeln!(
            to,
            "{BOLD}{} {}{BOLD:#}, {} to {}",
            self.organization,
            self.project,
            date(self.since),
            date(self.generated)
        )?;
        write!(to, "  {delivered} of {} deliveries are there as written", self.entries.len())?;
        match self.entries.len() - self.known().count() {
            0 => writeln!(to)?,
            unknown => writeln!(to, ", {unknown} could not be read")?,
        }
        for state in STATES {
            let style = match state {
                State::Overdue | State::Never => RED,
                State::DueSoon => YELLOW,
                _ => GREEN,
            };
            let count = self.count(state);
            if count > 0 {
                writeln!(to, "  {style}{} {count} {}{style:#}", sign(state), phrase(state))?;
            }
        }
        for (owner, entries) in self.overdue_by_owner() {
            let names: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
            writeln!(to, "  overdue for {owner}: {}", names.into_iter().collect::<Vec<_>>().join(", "))?;
        }
        for answer in answers(self) {
            writeln!(to, "  {}: {} ({})", answer.question, answer.text, answer.verdict.word())?;
        }
        for unseen in &self.unseen {
            writeln!(to, "  {YELLOW}not looked at{YELLOW:#}: {unseen}")?;
        }
        Ok(())
    }

    fn json(&self) -> Json {
        let states: serde_json::Map<String, Json> =
            STATES.iter().map(|state| (state.word().to_owned(), json!(self.count(*state)))).collect();
        let entries: Vec<Json> = self
            .entries
            .iter()
            .map(|entry| {
                let mut json = json!(entry);
                let known = entry.presence != Presence::Unknown;
                json["state"] = json!(known.then(|| entry.state().word()));
                json["changed_at"] = json!(entry.changed());
                json["changed_source"] = json!(entry.standing.changed.map(|(_, source)| source));
                json["due_at"] = json!(entry.standing.due);
                json
            })
            .collect();
        json!({
            "schema_version": SCHEMA_VERSION, "command": "audit report",
            "organization": self.organization, "project": self.project,
            "since": self.since, "generated": self.generated,
            "states": states, "entries": entries, "coverage": self.coverage(),
            "access": {"policies_bind": self.policies_bind, "grants": self.grants},
            "practice": {"emergency_drill": self.drill, "usage_check": self.usage_check},
            "events": self.events, "trail": self.trail.as_ref().map(Report::json),
            "limits": self.stores, "findings": self.findings, "not_looked_at": self.unseen,
            "questions": answers(self), "controls": CONTROLS,
        })
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        markdown::write(self, to)
    }
}

#[cfg(test)]
mod samples;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up() {
        let evidence = samples::evidence(60);
        let total: usize = STATES.iter().map(|state| evidence.count(*state)).sum();
        assert_eq!(total, evidence.entries.len());
        let coverage = evidence.coverage();
        assert_eq!(coverage.iter().map(|row| row.expected).sum::<usize>(), evidence.entries.len());
        assert!(coverage.iter().all(|row| row.present <= row.expected));
        let changed: usize = evidence.days().iter().map(|(_, day)| day.changed + day.failed).sum();
        assert_eq!(changed, evidence.changes().count());
        assert_eq!(evidence.days().len(), 92);
        let overdue: usize = evidence.overdue_by_owner().values().map(Vec::len).sum();
        assert_eq!(overdue, evidence.count(State::Overdue) + evidence.count(State::Never));
    }

    #[test]
    fn json_has_its_version_and_what_an_auditor_asks_for() {
        let json = samples::evidence(5).json();
        assert_eq!(json["schema_version"], 1);
        for part in ["entries", "coverage", "access", "practice", "events", "trail", "limits", "questions", "controls"]
        {
            assert!(!json[part].is_null(), "{part}");
        }
        assert_eq!(json["questions"].as_array().unwrap().len(), 4);
    }
}
