//! One row of the report: a name at a target, how it is held there, and how it stands to its schedule.

use jiff::Timestamp;
use serde::Serialize;

use super::date;
use crate::rules::rotation::{ChangeSource, Standing, State};

/// One secret or variable that the definition asks for at one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EvidenceEntry {
    pub stack: String,
    pub group: String,
    pub name: String,
    /// `secret` or `variable`.
    pub kind: String,
    pub target: String,
    /// Who rotates it; none when the definition does not say.
    pub owner: Option<String>,
    pub presence: Presence,
    #[serde(skip)]
    pub standing: Standing,
}

/// How a target holds an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// As this tool wrote it.
    Delivered,
    /// There, but changed by someone else since.
    EditedOutside,
    /// There, but not written by this tool.
    NotTracked,
    Missing,
    /// The target could not be read.
    Unknown,
}

impl Presence {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::EditedOutside => "edited outside",
            Self::NotTracked => "not tracked",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}

impl EvidenceEntry {
    #[must_use]
    pub fn state(&self) -> State {
        self.standing.state
    }

    /// When the value was last changed, as far as known.
    #[must_use]
    pub fn changed(&self) -> Option<Timestamp> {
        self.standing.changed.map(|(time, _)| time)
    }
}

/// The states that the report shows. ESC is not opened for it, so those that compare with ESC's value do not
/// come up.
pub const STATES: [State; 5] = [State::Overdue, State::Never, State::DueSoon, State::Ok, State::Unscheduled];

/// The state for people.
pub(super) fn phrase(state: State) -> &'static str {
    match state {
        State::Overdue => "overdue",
        State::Never => "never rotated",
        State::RotatedNotDelivered => "not delivered",
        State::QueuedRunsMayHoldTheOldOne => "queued runs may hold the old one",
        State::DueSoon => "due soon",
        State::Ok => "in time",
        State::Unscheduled => "no schedule",
    }
}

/// A sign beside the words, so that colour is never the only difference.
pub(super) fn sign(state: State) -> &'static str {
    match state {
        State::Overdue => "✖",
        State::Never => "?",
        State::RotatedNotDelivered | State::QueuedRunsMayHoldTheOldOne | State::DueSoon => "▲",
        State::Ok => "✔",
        State::Unscheduled => "–",
    }
}

/// The source of the last change, for people.
pub(super) fn source(source: ChangeSource) -> &'static str {
    match source {
        ChangeSource::Ledger => "ledger",
        ChangeSource::EscRevision => "ESC revision",
        ChangeSource::Github => "GitHub's date",
    }
}

/// Entries of one name that were changed on one day and are due on one: one bar of the timeline.
#[derive(Debug, Clone)]
pub(super) struct Bar<'e> {
    pub entry: &'e EvidenceEntry,
    /// Each once, in the order of the entries.
    pub stacks: Vec<&'e str>,
}

/// Joins neighbours that would give the same bar.
pub(super) fn bars<'e>(entries: &[&'e EvidenceEntry]) -> Vec<Bar<'e>> {
    let mut bars: Vec<Bar<'e>> = Vec::new();
    let days = |entry: &EvidenceEntry| (entry.changed().map(date), entry.standing.due.map(date));
    for entry in entries.iter().copied() {
        let same = |other: &EvidenceEntry| {
            (&other.name, other.state(), &other.owner) == (&entry.name, entry.state(), &entry.owner)
                && days(other) == days(entry)
        };
        // Entries that are due on one day stand together, though not always beside each other.
        let day = entry.standing.due.map(date);
        let mut near = bars.iter_mut().rev().take_while(|bar| bar.entry.standing.due.map(date) == day);
        match near.find(|bar| same(bar.entry)) {
            Some(bar) if bar.stacks.contains(&entry.stack.as_str()) => {}
            Some(bar) => bar.stacks.push(&entry.stack),
            None => bars.push(Bar { entry, stacks: vec![&entry.stack] }),
        }
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::super::samples::evidence;
    use super::*;

    #[test]
    fn one_name_with_the_same_days_is_one_bar() {
        let world = evidence(20);
        let of = |stack: &str, name: &str| EvidenceEntry {
            stack: stack.into(),
            name: name.into(),
            ..world.entries[1].clone()
        };
        let mut entries = vec![of("production", "A"), of("production", "B"), of("staging", "A"), of("production", "A")];
        let mut other = of("production", "A");
        other.standing = world.entries[4].standing.clone();
        assert_ne!(other.standing, world.entries[1].standing);
        entries.push(other);
        let bars = bars(&entries.iter().collect::<Vec<_>>());
        let told: Vec<(&str, usize)> = bars.iter().map(|bar| (bar.entry.name.as_str(), bar.stacks.len())).collect();
        assert_eq!(told, [("A", 2), ("B", 1), ("A", 1)]);
    }
}
