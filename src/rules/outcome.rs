//! What became of a plan: one outcome per step, "not tried" included.

use super::cost::Usage;
use super::plan::{Action, Plan, Step, Target};
use crate::base::error::Problem;

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepOutcome {
    /// Nothing was to be done.
    Kept,
    /// GitHub accepted it.
    Applied,
    /// GitHub refused it, or did not answer.
    Failed(Box<StepFailure>),
    /// The run ended before, or something that it needs failed.
    NotTried,
}

/// Why a step failed. **Held apart from the outcome**, of which a run keeps one for each step of a thousand repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFailure {
    pub code: &'static str,
    /// Value-free.
    pub message: String,
}

impl StepOutcome {
    #[must_use]
    pub fn failed(code: &'static str, message: String) -> Self {
        Self::Failed(Box::new(StepFailure { code, message }))
    }

    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Applied => "applied",
            Self::Failed(_) => "failed",
            Self::NotTried => "not-tried",
        }
    }
}

/// The outcomes of a plan, in the order of its targets and steps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcomes {
    pub steps: Vec<Vec<StepOutcome>>,
    /// What went wrong beside the steps: the ledger, mostly.
    pub problems: Vec<Problem>,
    pub usage: Usage,
}

impl Outcomes {
    /// Adds a problem, once: a trail that fails, fails for every step of every scope.
    pub fn tell(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    pub fn with_steps<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = (&'a Target, &'a Step, &'a StepOutcome)> {
        plan.targets.iter().zip(&self.steps).flat_map(|(target, outcomes)| {
            target.steps.iter().zip(outcomes).map(move |(step, outcome)| (&target.target, step, outcome))
        })
    }

    /// How many steps with `action` were applied.
    #[must_use]
    pub fn applied(&self, plan: &Plan, action: Action) -> usize {
        self.with_steps(plan)
            .filter(|(_, step, outcome)| step.action == action && **outcome == StepOutcome::Applied)
            .count()
    }

    /// Steps that failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.steps.iter().flatten().filter(|outcome| matches!(outcome, StepOutcome::Failed(_))).count()
    }

    /// Steps that were not tried.
    #[must_use]
    pub fn not_tried(&self) -> usize {
        self.steps.iter().flatten().filter(|outcome| **outcome == StepOutcome::NotTried).count()
    }

    /// Whether everything that was planned was done.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.failed() == 0 && self.not_tried() == 0
    }
}
