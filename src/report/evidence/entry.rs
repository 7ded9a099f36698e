//! One row of the report: a name at a target, how it is held there, and how it stands to its schedule.

use jiff::Timestamp;
use serde::Serialize;

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
