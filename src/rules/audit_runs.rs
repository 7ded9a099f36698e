//! What a trail says of whole runs: when a command was last run, and how that ended.

use jiff::Timestamp;
use serde::Serialize;

use super::audit::Record;

/// The last run of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastRun {
    pub command: String,
    pub actor: String,
    /// When its last line was written.
    pub time: Timestamp,
    /// Of its line `run-ended`; none when it has none: the run was broken off.
    pub outcome: Option<String>,
    /// One value-free sentence more, of the same line.
    pub detail: Option<String>,
}

impl LastRun {
    /// The last run of `command` in a trail, whose lines come in order; its subcommands count too.
    #[must_use]
    pub fn of(records: &[Record], command: &str) -> Option<Self> {
        let of_command = |record: &&Record| {
            let rest = record.run.command.strip_prefix(command);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        let last = records.iter().rev().find(of_command)?;
        let same_run = |record: &&Record| of_command(record) && record.run.id == last.run.id;
        let end = records.iter().rev().filter(same_run).find(|record| record.entry.event == "run-ended");
        Some(Self {
            command: last.run.command.clone(),
            actor: last.run.actor.name.clone(),
            time: last.time,
            outcome: end.and_then(|end| end.entry.outcome.clone()),
            detail: end.and_then(|end| end.entry.detail.clone()),
        })
    }

    /// Whether it ended as it should.
    #[must_use]
    pub fn ended_well(&self) -> bool {
        self.outcome.as_deref() == Some("done")
    }
}

#[cfg(test)]
mod tests {
    use super::super::audit::samples::run;
    use super::super::audit::{Entry, Head, Line, Run};
    use super::*;

    #[test]
    fn the_last_run_is_told_with_its_own_end() {
        let ended = |outcome: &str| Entry { outcome: Some(outcome.into()), ..Entry::of("run-ended") };
        let lines = [
            ("1", "emergency drill", Entry::of("run-started")),
            ("1", "emergency drill", ended("failed")),
            ("2", "emergency drillers", ended("done")),
            ("3", "sync", Entry::of("run-started")),
            ("3", "usage", ended("done")),
            ("3", "sync", ended("done")),
            ("4", "sync", Entry::of("run-started")),
        ];
        let mut head = Head::genesis();
        let mut records = Vec::new();
        for (second, (id, command, entry)) in (1_780_000_000..).zip(lines) {
            let run = Run { id: id.into(), command: command.into(), ..run() };
            let (line, next) = head.next(Timestamp::from_second(second).unwrap(), &run, &entry).unwrap();
            head = next;
            records.push(Line::read(line.as_bytes()).unwrap().record);
        }
        let drill = LastRun::of(&records, "emergency drill").unwrap();
        assert_eq!((drill.time, drill.outcome.as_deref()), (records[1].time, Some("failed")));
        assert!(!drill.ended_well());
        assert!(LastRun::of(&records, "usage").unwrap().ended_well());
        assert_eq!(LastRun::of(&records, "sync").unwrap().outcome, None, "the last run was broken off");
        assert_eq!(LastRun::of(&records, "emergency").unwrap().command, "emergency drillers");
        assert_eq!(LastRun::of(&records, "leaks"), None);
    }
}
