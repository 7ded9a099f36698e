//! How the steps of one target add up.

use super::SyncReport;
use crate::rules::outcome::StepOutcome;
use crate::rules::plan::Action;

/// How many steps of one target are, or ended, how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) create: usize,
    pub(super) update: usize,
    pub(super) delete: usize,
    pub(super) keep: usize,
    pub(super) refuse: usize,
    pub(super) failed: usize,
    pub(super) not_tried: usize,
}

impl Tally {
    /// `4 to create, 1 to update`; what is none is left out.
    pub(super) fn words(&self, done: bool) -> String {
        let [create, update, delete, keep] = match done {
            false => ["to create", "to update", "to delete", "to keep"],
            true => ["created", "updated", "deleted", "kept"],
        };
        let parts = [
            (self.create, create),
            (self.update, update),
            (self.delete, delete),
            (self.refuse, "refused"),
            (self.failed, "failed"),
            (self.not_tried, "not tried"),
            (self.keep, keep),
        ];
        let parts: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        if parts.is_empty() { "nothing is wanted here".to_owned() } else { parts.join(", ") }
    }

    pub(super) fn has_trouble(&self) -> bool {
        self.refuse + self.failed + self.not_tried > 0
    }
}

impl SyncReport<'_> {
    pub(super) fn tally(&self, target: usize) -> Tally {
        let mut tally = Tally::default();
        let steps = self.plan.targets.get(target).map(|target| target.steps.as_slice()).unwrap_or_default();
        for (position, step) in steps.iter().enumerate() {
            let count = match (self.outcome(target, position), step.action) {
                (Some(StepOutcome::Failed(_)), _) => &mut tally.failed,
                (Some(StepOutcome::NotTried), _) => &mut tally.not_tried,
                (_, Action::Create) => &mut tally.create,
                (_, Action::Update) => &mut tally.update,
                (_, Action::Keep) => &mut tally.keep,
                (_, Action::Delete) => &mut tally.delete,
                (_, Action::Refuse) => &mut tally.refuse,
            };
            *count += 1;
        }
        tally
    }
}
