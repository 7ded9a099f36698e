//! Binds a plan to what it was made from (design §6): a digest, and the words for what moved since.
//!
//! The digest covers the source's revision, every step with GitHub's dates, and the keyed fingerprints
//! of the wanted values. **No unkeyed digest of a value goes in**: without a key the values are left out,
//! and the source's revision alone says that ESC moved.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::plan::{PlanSource, Step, TargetPlan};
use crate::base::secret::Fingerprint;
use crate::base::target::EntryKind;

/// Keyed fingerprints of the wanted values, by kind and name.
pub type Fingerprints = BTreeMap<(EntryKind, String), Fingerprint>;

/// The digest of a plan: `sha256:` and 64 hex digits.
#[must_use]
pub fn digest(stack: &str, source: &PlanSource, targets: &[TargetPlan], fingerprints: &Fingerprints) -> String {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    add(stack);
    add(source.kind);
    add(&source.environment);
    add(&source.revision.map_or_else(String::new, |revision| revision.to_string()));
    for target in targets {
        add(&target.target.to_string());
        for step in &target.steps {
            for part in step_facts(step) {
                add(&part);
            }
        }
    }
    for ((kind, name), fingerprint) in fingerprints {
        add(kind.word());
        add(name);
        add(&fingerprint.0);
    }
    format!("sha256:{}", hex::encode(hash.finalize()))
}

fn step_facts(step: &Step) -> [String; 6] {
    [
        step.name.to_string(),
        step.kind.word().to_owned(),
        step.action.word().to_owned(),
        step.reason.word().to_owned(),
        step.observed.as_deref().unwrap_or_default().to_owned(),
        step.exposure.as_deref().map(super::plan::Exposure::token).unwrap_or_default(),
    ]
}

/// What of a stored plan is compared with a fresh one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredStep {
    pub target: String,
    pub name: String,
    pub kind: String,
    pub action: String,
    pub reason: String,
    pub observed: Option<String>,
}

/// Sentences on what is different now from when the stored plan was made; empty when nothing that a
/// plan shows has moved.
#[must_use]
pub fn moved(
    stored_revision: Option<u64>,
    stored: &[StoredStep],
    source: &PlanSource,
    targets: &[TargetPlan],
) -> Vec<String> {
    let mut sentences = Vec::new();
    if stored_revision != source.revision {
        let word = |revision: Option<u64>| revision.map_or_else(|| "none".to_owned(), |revision| revision.to_string());
        let (then, now) = (word(stored_revision), word(source.revision));
        sentences.push(format!("ESC environment `{}` went from revision {then} to {now}", source.environment));
    }
    let fresh: Vec<StoredStep> = targets
        .iter()
        .flat_map(|target| target.steps.iter().map(|step| stored_step(&target.target.to_string(), step)))
        .collect();
    let key = |step: &StoredStep| (step.target.clone(), step.kind.clone(), step.name.clone());
    let then: BTreeMap<_, _> = stored.iter().map(|step| (key(step), step)).collect();
    let now: BTreeMap<_, _> = fresh.iter().map(|step| (key(step), step)).collect();
    for (id, step) in &now {
        let place = format!("`{}` of {}", step.name, step.target);
        match then.get(id) {
            None => sentences.push(format!("{place} was not in the plan")),
            Some(before) if before.action != step.action || before.reason != step.reason => sentences.push(format!(
                "{place} was {} ({}) and is now {} ({})",
                before.action, before.reason, step.action, step.reason
            )),
            Some(before) if before.observed != step.observed => {
                sentences.push(format!("{place} was written at GitHub since"))
            }
            Some(_) => {}
        }
    }
    sentences.extend(
        then.iter()
            .filter(|(id, _)| !now.contains_key(*id))
            .map(|(_, step)| format!("`{}` of {} is gone", step.name, step.target)),
    );
    sentences
}

/// The comparable part of a step.
#[must_use]
pub fn stored_step(target: &str, step: &Step) -> StoredStep {
    StoredStep {
        target: target.to_owned(),
        name: step.name.to_string(),
        kind: step.kind.word().to_owned(),
        action: step.action.word().to_owned(),
        reason: step.reason.word().to_owned(),
        observed: step.observed.as_deref().map(str::to_owned),
    }
}
