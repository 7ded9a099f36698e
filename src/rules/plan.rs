//! The plan: what would be done to every target, step by step, each with its reason (design §6).
//!
//! Deciding is kept apart from doing. Everything here is a value computed from facts: what the definition
//! and ESC want ([`Wanted`]), what GitHub lists ([`Observed`]), and what the ledger proves. **No type here
//! can hold the value of a secret**; plain variables carry their text, which GitHub shows anyway.
//! `flow::apply` is the only place that acts on a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::base::error::{Place, Problem};
use crate::base::secret::Fingerprint;
use crate::base::target::{App, EntryKind, Scope};

/// One GitHub store of secrets and variables: the unit of a report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    pub scope: Scope,
    pub app: App,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} · {}", self.scope, self.app)
    }
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    Create,
    Update,
    Keep,
    Delete,
    /// Stands in the way: while a plan holds one, nothing of it is written.
    Refuse,
}

impl Action {
    pub const ALL: [Self; 5] = [Self::Create, Self::Update, Self::Keep, Self::Delete, Self::Refuse];

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Keep => "keep",
            Self::Delete => "delete",
            Self::Refuse => "refuse",
        }
    }

    /// Whether the step sends something to GitHub.
    #[must_use]
    pub fn writes(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Delete)
    }
}

/// Why a step is what it is; the words are part of the public contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Not at GitHub yet.
    New,
    /// GitHub holds what ESC holds.
    Unchanged,
    /// ESC holds another value than the one written last.
    ValueChanged,
    /// GitHub's `updated_at` is not the one in the ledger, or the entry is gone.
    EditedOutside,
    /// Exists at GitHub but is not in the ledger.
    NeverSynced,
    /// In the ledger, but no longer in the definition.
    RemovedFromDefinition,
    /// No access policy grants the group to this target.
    Policy,
    /// GitHub would not take the name.
    Name,
    /// Empty, or larger than GitHub takes.
    Size,
    /// More entries than GitHub takes, or more deletions than allowed.
    Limit,
    /// ESC has no usable value.
    Missing,
    /// Two groups yield different values under one name.
    Conflict,
    /// The organization secret would be seen by more repositories than now.
    Visibility,
}

impl Reason {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Unchanged => "unchanged",
            Self::ValueChanged => "value-changed",
            Self::EditedOutside => "edited-outside",
            Self::NeverSynced => "never-synced",
            Self::RemovedFromDefinition => "removed-from-definition",
            Self::Policy => "policy",
            Self::Name => "name",
            Self::Size => "size",
            Self::Limit => "limit",
            Self::Missing => "missing",
            Self::Conflict => "conflict",
            Self::Visibility => "visibility",
        }
    }
}

/// Who may see an organization secret (github-api.md §1.3), from few to many.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    Selected,
    Private,
    All,
}

impl Visibility {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Selected => "selected",
            Self::Private => "private",
            Self::All => "all",
        }
    }
}

/// The exposure that the definition asks for at an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    pub visibility: Visibility,
    /// Ids of the selected repositories; empty unless `selected`.
    pub repositories: BTreeSet<u64>,
}

impl Exposure {
    /// A short text that two equal exposures share, for the ledger.
    #[must_use]
    pub fn token(&self) -> String {
        let ids: Vec<String> = self.repositories.iter().map(u64::to_string).collect();
        format!("{}:{}", self.visibility.word(), ids.join(","))
    }
}

/// Why an entry cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    /// Lower case, no value in it.
    pub message: String,
}

/// One entry that a target should hold. Value-free, except for the text of plain variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Upper-cased.
    pub name: Arc<str>,
    pub group: Arc<str>,
    pub kind: EntryKind,
    /// Where the definition asks for it.
    pub place: Option<Arc<Place>>,
    pub facts: Result<ValueFacts, Refusal>,
}

/// What the plan may know of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueFacts {
    /// Length in bytes.
    pub bytes: usize,
    /// None when there is no fingerprint key.
    pub fingerprint: Option<Fingerprint>,
    /// The text of a plain variable; none for a secret.
    pub variable: Option<String>,
}

/// What GitHub lists of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub updated_at: String,
    /// The value of a variable; none for a secret, whose value GitHub never returns.
    pub variable: Option<String>,
    /// Organization entries only.
    pub visibility: Option<Visibility>,
    /// The selected repositories, where they were looked at.
    pub repositories: Option<BTreeSet<u64>>,
}

/// What GitHub lists of one target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// By kind and upper-cased name; the ledger's own variables are left out.
    pub entries: BTreeMap<(EntryKind, String), Listed>,
    /// Kinds whose listing showed as many names as its `total_count`.
    pub complete: BTreeSet<EntryKind>,
    /// Variables that hold the ledger: they count against GitHub's limit.
    pub ledger_variables: usize,
}

/// One step of a plan. What the steps of many targets have in common is kept once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub name: Arc<str>,
    pub group: Arc<str>,
    pub kind: EntryKind,
    pub action: Action,
    pub reason: Reason,
    /// One more sentence where the reason alone does not say enough.
    pub detail: Option<Box<str>>,
    pub place: Option<Arc<Place>>,
    /// GitHub's `updated_at` when the plan was made.
    pub observed: Option<Box<str>>,
    /// The exposure to send with a create or update of an organization entry.
    pub exposure: Option<Arc<Exposure>>,
    /// The ledger should remember that the name is gone (`--prune-after`).
    pub mark_gone: bool,
}

/// The steps of one target, in the order of kind and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetPlan {
    pub target: Target,
    pub steps: Vec<Step>,
}

impl TargetPlan {
    /// How many steps have `action`.
    #[must_use]
    pub fn count(&self, action: Action) -> usize {
        self.steps.iter().filter(|step| step.action == action).count()
    }
}

/// A repository that a fan-out target left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    pub repository: String,
    /// `archived` or `disabled`.
    pub why: &'static str,
}

/// Where the values came from, for reports and the digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanSource {
    pub kind: &'static str,
    /// The ESC environment, or the name of the file.
    pub environment: String,
    pub revision: Option<u64>,
}

/// What a run would cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// HTTP requests to GitHub, reads and writes.
    pub requests: u64,
    /// PUT, POST, PATCH and DELETE among them.
    pub writes: u64,
    /// GitHub's points: 1 per read, 5 per write (github-api.md §2.2).
    pub points: u64,
    /// Expected duration in seconds under the documented limits.
    pub seconds: u64,
}

/// The whole plan of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub stack: String,
    pub source: PlanSource,
    pub targets: Vec<TargetPlan>,
    pub skipped: Vec<Skipped>,
    /// Worth saying, in nobody's way.
    pub warnings: Vec<Problem>,
    pub cost: Cost,
    /// `sha256:…` over everything that decides what would be written.
    pub digest: String,
}

impl Plan {
    pub fn steps(&self) -> impl Iterator<Item = (&Target, &Step)> {
        self.targets.iter().flat_map(|target| target.steps.iter().map(|step| (&target.target, step)))
    }

    #[must_use]
    pub fn count(&self, action: Action) -> usize {
        self.steps().filter(|(_, step)| step.action == action).count()
    }

    /// Whether applying the plan would change anything at GitHub.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.steps().any(|(_, step)| step.action.writes())
    }
}

/// How deletions are decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prune {
    pub enabled: bool,
    /// Most deletions of one run, over all targets.
    pub max_delete: usize,
    /// Seconds for which a name must have been gone before it is deleted.
    pub after_seconds: Option<i64>,
}

/// What decides besides the facts of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The ESC environment, as entries of the ledger name it.
    pub environment: String,
    pub prune: Prune,
    pub allow_widening: bool,
    /// Only these groups are in scope; none means all.
    pub groups: Option<BTreeSet<String>>,
    /// Public name of the fingerprint key.
    pub key_id: Option<String>,
    pub now: Timestamp,
}
