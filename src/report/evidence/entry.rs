//! One row of the report: a name at a target, how it is held there, and how it stands to its schedule.

use jiff::Timestamp;
use serde::Serialize;

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
    /// When the value was last changed, as far as known.
    pub changed: Option<Timestamp>,
    pub changed_source: Option<ChangeSource>,
    /// When it is to be rotated; none without a schedule.
    pub due: Option<Timestamp>,
    /// From when on it counts as due soon.
    pub warn: Option<Timestamp>,
    /// Whether the definition has a schedule for it.
    pub scheduled: bool,
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

/// What the time of the last change is taken from, from the best source to the weakest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeSource {
    /// The ledger: the last change of the *value*.
    Ledger,
    /// The revision of the ESC environment that changed it.
    EscRevision,
    /// GitHub's `updated_at`: the last write, of whatever value.
    Github,
}

impl ChangeSource {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::EscRevision => "ESC revision",
            Self::Github => "GitHub's date",
        }
    }
}

/// How an entry stands to its rotation schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    Overdue,
    /// Scheduled, but no change is known.
    Never,
    DueSoon,
    InTime,
    Unscheduled,
}

impl Standing {
    pub const ALL: [Self; 5] = [Self::Overdue, Self::Never, Self::DueSoon, Self::InTime, Self::Unscheduled];

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::Never => "never rotated",
            Self::DueSoon => "due soon",
            Self::InTime => "in time",
            Self::Unscheduled => "no schedule",
        }
    }

    /// A sign beside the word, so that colour is never the only difference.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Overdue => "✖",
            Self::Never => "?",
            Self::DueSoon => "▲",
            Self::InTime => "✔",
            Self::Unscheduled => "–",
        }
    }

    /// The class in the style sheet, which is also the key in JSON.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::Never => "never",
            Self::DueSoon => "due-soon",
            Self::InTime => "in-time",
            Self::Unscheduled => "unscheduled",
        }
    }
}

impl EvidenceEntry {
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        match (self.scheduled, self.due) {
            (false, _) => Standing::Unscheduled,
            (true, None) => Standing::Never,
            (true, Some(due)) if due <= now => Standing::Overdue,
            (true, Some(_)) if self.warn.is_some_and(|warn| warn <= now) => Standing::DueSoon,
            (true, Some(_)) => Standing::InTime,
        }
    }
}
