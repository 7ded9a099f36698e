//! When secrets are due for rotation, and how each stands to its schedule. Pure: `now` is a parameter.
//!
//! The age of a value counts from its last *change*, which is known from the ledger best, from the ESC revision
//! that changed it next, and from GitHub's `updated_at` least: that is the last write, of whatever value. Without a
//! ledger the older of the two latter counts. Each answer carries where it is from. **A date in the future counts as now**: a clock that is behind must not make
//! a secret young for ever.

pub mod generate;
pub mod history;
pub mod reminder;
pub mod subject;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::definition::{Definition, Rotation};

/// What the time of the last change is taken from, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeSource {
    /// The ledger's time of the last value change.
    Ledger,
    /// The ESC revision that changed the value.
    EscRevision,
    /// GitHub's `updated_at`.
    Github,
}

impl ChangeSource {
    /// The word of reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::EscRevision => "esc-revision",
            Self::Github => "github",
        }
    }
}

/// What is known of one name at one target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryFacts {
    /// The ledger's time of the last value change.
    pub ledger_changed: Option<Timestamp>,
    /// GitHub's `updated_at`: when the target got a value last. None: it holds none of that name.
    pub delivered: Option<Timestamp>,
    /// Whether the target is known to hold another value than ESC does now.
    pub stale: bool,
    /// When the oldest run under way was queued that may still hold the value from before. Values of repositories
    /// and organizations are read when a run is queued, those of environments when a job starts (github-api.md §2).
    pub oldest_queued_run: Option<Timestamp>,
}

/// What is known of one secret of one stack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecretFacts {
    /// When the ESC revision was made that changed the value last.
    pub esc_changed: Option<Timestamp>,
    pub deliveries: Vec<DeliveryFacts>,
}

impl SecretFacts {
    /// Whether ESC's revisions can tell more: no ledger knows the value, or one knows another value than ESC has.
    #[must_use]
    pub fn asks_esc(&self) -> bool {
        self.deliveries.iter().all(|facts| facts.ledger_changed.is_none())
            || self.deliveries.iter().any(|facts| facts.stale)
    }

    /// When the value changed last, and how that is known.
    #[must_use]
    pub fn last_change(&self) -> Option<(Timestamp, ChangeSource)> {
        let latest = |of: fn(&DeliveryFacts) -> Option<Timestamp>| self.deliveries.iter().filter_map(of).max();
        let ledger = latest(|facts| facts.ledger_changed).map(|time| (time, ChangeSource::Ledger));
        let esc = self.esc_changed.map(|time| (time, ChangeSource::EscRevision));
        let github = || latest(|facts| facts.delivered).map(|time| (time, ChangeSource::Github));
        // A target holds another value: a revision since its delivery is a change that the ledger cannot know of yet.
        // Times have whole seconds.
        match (ledger, esc) {
            (Some(ledger), Some(esc)) if esc.0 >= ledger.0 && self.deliveries.iter().any(|facts| facts.stale) => {
                Some(esc)
            }
            (Some(ledger), _) => Some(ledger),
            // ESC may have been filled later with what GitHub had held for long.
            (None, Some(esc)) => Some(github().filter(|github| github.0 < esc.0).unwrap_or(esc)),
            (None, None) => github(),
        }
    }
}

/// How a secret stands to its schedule; the words are part of the public contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Older than allowed.
    Overdue,
    /// It has a schedule, and no change of it is known.
    Never,
    /// Changed in ESC, and at least one target holds the value from before.
    RotatedNotDelivered,
    /// Delivered, but a run that was queued before may still use the value from before: do not revoke it yet.
    QueuedRunsMayHoldTheOldOne,
    DueSoon,
    Ok,
    /// The definition gives it no schedule.
    Unscheduled,
}

impl State {
    /// All states, the most pressing first.
    pub const ALL: [Self; 7] = [
        Self::Overdue,
        Self::Never,
        Self::RotatedNotDelivered,
        Self::QueuedRunsMayHoldTheOldOne,
        Self::DueSoon,
        Self::Ok,
        Self::Unscheduled,
    ];

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::Never => "never",
            Self::RotatedNotDelivered => "rotated-not-delivered",
            Self::QueuedRunsMayHoldTheOldOne => "delivered-but-queued-runs-may-hold-the-old-one",
            Self::DueSoon => "due-soon",
            Self::Ok => "ok",
            Self::Unscheduled => "unscheduled",
        }
    }

    /// Whether someone has something to do.
    #[must_use]
    pub fn is_finding(self) -> bool {
        !matches!(self, Self::Ok | Self::Unscheduled)
    }
}

/// How one secret stands to its schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub state: State,
    pub changed: Option<(Timestamp, ChangeSource)>,
    /// When it is to be rotated; none without a schedule or a known change.
    pub due: Option<Timestamp>,
    /// From when on it counts as due soon.
    pub warn: Option<Timestamp>,
}

/// One name of a stack with its standing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub name: String,
    pub group: String,
    /// Who rotates it; none when the definition does not say.
    pub owner: Option<String>,
    pub standing: Standing,
}

/// Where a secret stands at `now`. Delivery comes before the schedule, except that nothing hides what is overdue:
/// a value that no one has changed for too long is the worst that a schedule can tell.
#[must_use]
pub fn standing(schedule: Option<&Rotation>, facts: &SecretFacts, now: Timestamp) -> Standing {
    let changed = facts.last_change().map(|(time, source)| (time.min(now), source));
    let after = |length: SignedDuration| {
        let (changed, _) = changed?;
        Some(changed.checked_add(length).unwrap_or(Timestamp::MAX))
    };
    let due = schedule.and_then(|schedule| after(schedule.every));
    let warn = schedule.and_then(|schedule| after(schedule.every - schedule.warn));
    let passed = |time: Option<Timestamp>| time.is_some_and(|time| time <= now);
    let held = facts.deliveries.iter().any(|facts| {
        let changed = facts.ledger_changed.or(facts.delivered);
        facts.oldest_queued_run.zip(changed).is_some_and(|(queued, changed)| queued < changed)
    });
    let state = if passed(due) {
        State::Overdue
    } else if schedule.is_some() && changed.is_none() {
        State::Never
    } else if facts.deliveries.iter().any(|facts| facts.stale) {
        State::RotatedNotDelivered
    } else if held {
        State::QueuedRunsMayHoldTheOldOne
    } else if passed(warn) {
        State::DueSoon
    } else if schedule.is_some() {
        State::Ok
    } else {
        State::Unscheduled
    };
    Standing { state, changed, due, warn }
}

/// The schedule of a name in a group: its mapping's (which has its group's where it leaves something open), else
/// the group's.
#[must_use]
pub fn schedule<'d>(definition: &'d Definition, group: &'d str, target_name: &str) -> Option<&'d Rotation> {
    let folded = super::naming::fold(target_name);
    let mapping = definition.mappings_of(group).find(|mapping| super::naming::fold(&mapping.target_name) == folded);
    match mapping {
        Some(mapping) => mapping.rotation.as_ref(),
        None => definition.group(group)?.rotation.as_ref(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 24;

    fn now() -> Timestamp {
        "2026-06-01T12:00:00Z".parse().unwrap()
    }

    fn days_ago(days: i64) -> Timestamp {
        now() - SignedDuration::from_hours(days * DAY)
    }

    fn every_90_days() -> Rotation {
        Rotation {
            every: SignedDuration::from_hours(90 * DAY),
            owner: None,
            warn: SignedDuration::from_hours(14 * DAY),
        }
    }

    fn changed(days: i64) -> SecretFacts {
        let delivery = DeliveryFacts {
            ledger_changed: Some(days_ago(days)),
            delivered: Some(days_ago(days)),
            ..DeliveryFacts::default()
        };
        SecretFacts { esc_changed: None, deliveries: vec![delivery] }
    }

    fn state(facts: &SecretFacts) -> State {
        standing(Some(&every_90_days()), facts, now()).state
    }

    #[test]
    fn every_state_has_its_case_and_its_limit() {
        for (days, expected) in
            [(0, State::Ok), (75, State::Ok), (76, State::DueSoon), (89, State::DueSoon), (90, State::Overdue)]
        {
            assert_eq!(state(&changed(days)), expected, "{days} days");
        }
        assert_eq!(state(&SecretFacts::default()), State::Never);
        assert_eq!(standing(None, &SecretFacts::default(), now()).state, State::Unscheduled);

        let mut facts = changed(3);
        facts.deliveries[0].oldest_queued_run = Some(days_ago(4));
        assert_eq!(state(&facts), State::QueuedRunsMayHoldTheOldOne);
        facts.deliveries[0].oldest_queued_run = Some(days_ago(2));
        assert_eq!(state(&facts), State::Ok);
        facts.deliveries.push(DeliveryFacts { stale: true, ..DeliveryFacts::default() });
        assert_eq!(state(&facts), State::RotatedNotDelivered);
        let mut old = changed(100);
        old.deliveries[0].stale = true;
        assert_eq!(state(&old), State::Overdue);
    }

    #[test]
    fn the_best_evidence_decides_and_is_named() {
        let of = |ledger: Option<i64>, esc: Option<i64>, github: Option<i64>, stale| {
            let delivery = DeliveryFacts {
                ledger_changed: ledger.map(days_ago),
                delivered: github.map(days_ago),
                stale,
                oldest_queued_run: None,
            };
            SecretFacts { esc_changed: esc.map(days_ago), deliveries: vec![delivery] }.last_change()
        };
        assert_eq!(of(Some(9), Some(5), Some(1), false), Some((days_ago(9), ChangeSource::Ledger)));
        assert_eq!(of(Some(9), Some(5), Some(1), true), Some((days_ago(5), ChangeSource::EscRevision)));
        assert_eq!(of(Some(5), Some(5), Some(1), true), Some((days_ago(5), ChangeSource::EscRevision)));
        assert_eq!(of(None, Some(5), Some(1), false), Some((days_ago(5), ChangeSource::EscRevision)));
        assert_eq!(of(None, Some(1), Some(5), false), Some((days_ago(5), ChangeSource::Github)));
        assert_eq!(of(None, None, Some(1), false), Some((days_ago(1), ChangeSource::Github)));
        assert_eq!(of(None, None, None, true), None);
    }

    #[test]
    fn a_change_after_now_counts_as_now() {
        let standing = standing(Some(&every_90_days()), &changed(-400), now());
        assert_eq!(standing.state, State::Ok);
        assert_eq!(standing.due, Some(now() + SignedDuration::from_hours(90 * DAY)));
    }

    #[test]
    fn the_schedule_is_the_mappings_else_the_groups() {
        let text = include_str!("../../tests/data/every-key.yaml");
        let definition = crate::rules::config::load("d.yaml", text).unwrap().definition;
        let days = |group, name| schedule(&definition, group, name).map(|rotation| rotation.every.as_hours() / DAY);
        assert_eq!(days("api-keys", "openai_key"), Some(30));
        assert_eq!(days("api-keys", "LOG_LEVEL"), Some(90));
        assert_eq!(days("api-keys", "UNLISTED"), Some(90));
        assert_eq!(days("live-only", "UNLISTED"), None);
    }

    proptest! {
        #[test]
        fn time_alone_never_makes_a_secret_less_pressing(age in 0i64..4000, later in 0i64..4000, every in 1i64..500, warn in 0i64..500) {
            let schedule = Rotation {
                every: SignedDuration::from_hours(every * DAY),
                owner: None,
                warn: SignedDuration::from_hours(warn * DAY),
            };
            let facts = changed(age);
            let before = standing(Some(&schedule), &facts, now());
            let after = standing(Some(&schedule), &facts, now() + SignedDuration::from_hours(later));
            prop_assert!(after.state <= before.state);
            prop_assert_eq!(before.due, after.due);
        }
    }
}
