//! Decides the steps of one target, and the fuses over all of them (design §6).
//!
//! **Only names that the ledger proves this tool wrote are ever deleted**, and only while GitHub's listing
//! was complete and what it lists is still what this tool wrote.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ledger::{EntryKey, Ledger};
use super::plan::{
    Action, Exposure, Listed, Observed, Reason, Refusal, Settings, Step, Target, TargetPlan, ValueFacts, Visibility,
    Wanted,
};
use crate::base::error::Problem;
use crate::base::target::{App, EntryKind, Scope};
use crate::base::text::counted;

/// Plaintext bytes above which GitHub refuses (64 KiB of base64, less the sealed box; github-api.md §2).
pub const LARGEST_SECRET: usize = 49_104;

/// Bytes of a variable's value (48 KB; github-api.md §2).
pub const LARGEST_VARIABLE: usize = 49_152;

/// How many entries GitHub keeps in one list (github-api.md §2).
#[must_use]
pub fn most_entries(target: &Target, kind: EntryKind) -> usize {
    match (&target.scope, kind) {
        (Scope::Organization(_), _) if target.app == App::Codespaces => 100,
        (Scope::Organization(_), _) => 1000,
        (Scope::Repository(_), EntryKind::Variable) => 500,
        (Scope::Repository(_), EntryKind::Secret) | (Scope::Environment { .. }, _) => 100,
    }
}

/// Everything known of one target.
#[derive(Debug, Clone, Copy)]
pub struct TargetFacts<'a> {
    pub target: &'a Target,
    pub wanted: &'a [Wanted],
    /// Names that the definition has, but that have no value now (`required: false`): never deleted.
    pub optional: &'a BTreeSet<String>,
    /// Groups of the definition of which ESC holds nothing at all: the source may be incomplete.
    pub empty_groups: &'a BTreeSet<String>,
    pub observed: &'a Observed,
    /// None when there is no ledger, or no key to compare by.
    pub ledger: Option<&'a Ledger>,
    /// Organization targets only.
    pub exposure: Option<&'a Arc<Exposure>>,
}

/// Decides every step of one target.
#[must_use]
pub fn decide(facts: &TargetFacts<'_>, settings: &Settings) -> TargetPlan {
    let mut steps: Vec<Step> = facts.wanted.iter().map(|wanted| wanted_step(facts, settings, wanted)).collect();
    steps.extend(gone_steps(facts, settings));
    steps.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    refuse_over_the_limit(facts, &mut steps);
    TargetPlan { target: facts.target.clone(), steps }
}

fn wanted_step(facts: &TargetFacts<'_>, settings: &Settings, wanted: &Wanted) -> Step {
    let listed = facts.observed.entries.get(&(wanted.kind, wanted.name.to_string()));
    let mut step = Step {
        name: wanted.name.clone(),
        group: wanted.group.clone(),
        kind: wanted.kind,
        action: Action::Keep,
        reason: Reason::Unchanged,
        detail: None,
        place: wanted.place.clone(),
        observed: listed.map(|listed| listed.updated_at.as_str().into()),
        exposure: facts.exposure.cloned(),
        mark_gone: false,
    };
    let refuse = |step: &mut Step, refusal: &Refusal| {
        step.action = Action::Refuse;
        step.reason = refusal.reason;
        step.detail = Some(refusal.message.as_str().into());
    };
    match &wanted.facts {
        Err(refusal) => refuse(&mut step, refusal),
        Ok(value) => match size_refusal(wanted.kind, value.bytes) {
            Some(refusal) => refuse(&mut step, &refusal),
            None => {
                (step.action, step.reason) = compare(facts, wanted, value, listed);
                if let (Some(exposure), Some(listed)) = (facts.exposure, listed) {
                    expose(&mut step, exposure, listed, settings.allow_widening);
                }
            }
        },
    }
    step
}

fn size_refusal(kind: EntryKind, bytes: usize) -> Option<Refusal> {
    let limit = if kind == EntryKind::Secret { LARGEST_SECRET } else { LARGEST_VARIABLE };
    let message = if bytes == 0 {
        "the value is empty".to_owned()
    } else if bytes > limit {
        format!("the value has {bytes} bytes; GitHub takes up to {limit}")
    } else {
        return None;
    };
    Some(Refusal { reason: Reason::Size, message })
}

fn compare(facts: &TargetFacts<'_>, wanted: &Wanted, value: &ValueFacts, listed: Option<&Listed>) -> (Action, Reason) {
    let entry = facts.ledger.and_then(|ledger| ledger.get(facts.target.app, wanted.kind, &wanted.name));
    let Some(listed) = listed else {
        return (Action::Create, if entry.is_some() { Reason::EditedOutside } else { Reason::New });
    };
    // A variable shows its value: no ledger is needed to see that it is right.
    if let (Some(want), Some(have)) = (&value.variable, &listed.variable)
        && want == have
    {
        return (Action::Keep, Reason::Unchanged);
    }
    let Some(entry) = entry else { return (Action::Update, Reason::NeverSynced) };
    // The ledger's key id does not decide: two stacks with keys of their own may share a scope, and a
    // fingerprint under another key is another one anyway.
    if value.fingerprint.as_ref() != Some(&entry.fingerprint) {
        (Action::Update, Reason::ValueChanged)
    } else if !entry.is_what_github_lists(&listed.updated_at) || value.variable.is_some() {
        (Action::Update, Reason::EditedOutside)
    } else {
        (Action::Keep, Reason::Unchanged)
    }
}

/// Keeps what GitHub has on an update, narrows what the definition narrows, and never widens unasked.
fn expose(step: &mut Step, asked: &Exposure, listed: &Listed, allow_widening: bool) {
    let Some(now) = listed.visibility else { return };
    let have = listed.repositories.clone().unwrap_or_default();
    let added = match (asked.visibility, now, &listed.repositories) {
        (Visibility::Selected, Visibility::Selected, Some(have)) => asked.repositories.difference(have).count(),
        _ => 0,
    };
    if asked.visibility > now || added > 0 {
        if !allow_widening {
            step.action = Action::Refuse;
            step.reason = Reason::Visibility;
            let detail = if added > 0 {
                let more = counted(added, "more repository", "more repositories");
                format!("{more} would see it; --allow-widening permits that")
            } else {
                let (asked, now) = (asked.visibility.word(), now.word());
                format!("visibility would widen from `{now}` to `{asked}`; --allow-widening permits that")
            };
            step.detail = Some(detail.into());
            return;
        }
    } else if asked.visibility == now {
        if now == Visibility::Selected {
            step.exposure = Some(Arc::new(Exposure { visibility: now, repositories: have }));
        }
        return;
    }
    if step.action == Action::Keep {
        step.action = Action::Update;
        step.reason = Reason::Visibility;
    }
    let repositories = match asked.visibility {
        Visibility::Selected => asked.repositories.union(&have).copied().collect(),
        _ => BTreeSet::new(),
    };
    step.exposure = Some(Arc::new(Exposure { visibility: asked.visibility, repositories }));
}

/// Names whose selected repositories must be looked at before [`decide`] can be trusted with them.
#[must_use]
pub fn needs_repositories(facts: &TargetFacts<'_>) -> Vec<(EntryKind, String)> {
    let Some(asked) = facts.exposure else { return Vec::new() };
    facts
        .wanted
        .iter()
        .filter_map(|wanted| {
            let value = wanted.facts.as_ref().ok()?;
            let listed = facts.observed.entries.get(&(wanted.kind, wanted.name.to_string()))?;
            let entry = facts.ledger.and_then(|ledger| ledger.get(facts.target.app, wanted.kind, &wanted.name));
            let known = entry.and_then(|entry| entry.exposure.as_ref()) == Some(&asked.token());
            let kept = compare(facts, wanted, value, Some(listed)).0 == Action::Keep;
            (listed.visibility == Some(Visibility::Selected) && !(known && kept))
                .then(|| (wanted.kind, wanted.name.to_string()))
        })
        .collect()
}

/// A warning about entries that repositories may see which the definition does not select: they keep it, because
/// what someone else added is not ours to take away.
#[must_use]
pub fn not_narrowed(facts: &TargetFacts<'_>) -> Option<Problem> {
    let asked = facts.exposure.filter(|exposure| exposure.visibility == Visibility::Selected)?;
    let mut more: BTreeSet<u64> = BTreeSet::new();
    let mut names = Vec::new();
    for wanted in facts.wanted {
        let listed = facts.observed.entries.get(&(wanted.kind, wanted.name.to_string()));
        let Some(have) = listed.and_then(|listed| listed.repositories.as_ref()) else { continue };
        if !have.is_subset(&asked.repositories) {
            more.extend(have.difference(&asked.repositories).copied());
            names.push(&*wanted.name);
        }
    }
    let (names, scope) = ((!names.is_empty()).then(|| names.join("`, `"))?, &facts.target.scope);
    let count = counted(more.len(), "repository", "repositories");
    let message = format!("`{names}` of {scope} stays visible to {count} that the definition does not select");
    Some(
        Problem::warning("selection-wider", message)
            .hint("take them out in the organization's settings, or select them in the definition too"),
    )
}

fn gone_steps(facts: &TargetFacts<'_>, settings: &Settings) -> Vec<Step> {
    let Some(ledger) = facts.ledger else { return Vec::new() };
    let wanted: BTreeSet<(EntryKind, &str)> = facts.wanted.iter().map(|wanted| (wanted.kind, &*wanted.name)).collect();
    let mut steps = Vec::new();
    for (EntryKey { app, kind, name }, entry) in &ledger.entries {
        let in_scope = *app == facts.target.app
            && entry.environment == settings.environment
            && settings.groups.as_ref().is_none_or(|groups| groups.contains(&entry.group))
            && !wanted.contains(&(*kind, name.as_str()))
            && !facts.optional.contains(name);
        let Some(listed) = facts.observed.entries.get(&(*kind, name.clone())).filter(|_| in_scope) else { continue };
        let gone_for = entry.gone_since.map(|since| settings.now.as_second() - since.as_second());
        let ripe = settings.prune.after_seconds.is_none_or(|after| gone_for.is_some_and(|gone| gone >= after));
        let (action, detail) = if !entry.is_what_github_lists(&listed.updated_at) {
            (Action::Keep, Some("edited outside since this tool wrote it, so it is not ours to delete".to_owned()))
        } else if !settings.prune.enabled {
            (Action::Keep, Some("--prune deletes it".to_owned()))
        } else if !facts.observed.complete.contains(kind) {
            (Action::Refuse, Some("GitHub's listing was incomplete: nothing is deleted on such a basis".to_owned()))
        } else if facts.empty_groups.contains(&entry.group) {
            let group = &entry.group;
            let detail = format!(
                "ESC has nothing under group `{group}`, which may be an accident; a group that is meant to go is \
                 removed from the definition"
            );
            (Action::Refuse, Some(detail))
        } else if !ripe {
            (Action::Keep, Some("gone too short a time for --prune-after".to_owned()))
        } else {
            (Action::Delete, None)
        };
        steps.push(Step {
            name: name.as_str().into(),
            group: entry.group.as_str().into(),
            kind: *kind,
            action,
            reason: Reason::RemovedFromDefinition,
            detail: detail.map(String::into_boxed_str),
            place: None,
            observed: Some(listed.updated_at.as_str().into()),
            exposure: None,
            mark_gone: settings.prune.enabled && !ripe && entry.gone_since.is_none(),
        });
    }
    steps
}

/// Counts what exists in: a target that would hold more than GitHub takes is refused before the first write.
fn refuse_over_the_limit(facts: &TargetFacts<'_>, steps: &mut [Step]) {
    for kind in [EntryKind::Secret, EntryKind::Variable] {
        let own = if kind == EntryKind::Variable { facts.observed.ledger_variables } else { 0 };
        let existing = facts.observed.entries.keys().filter(|(listed, _)| *listed == kind).count() + own;
        let deletes = steps.iter().filter(|step| step.kind == kind && step.action == Action::Delete).count();
        let most = most_entries(facts.target, kind);
        let mut room = most.saturating_sub(existing - deletes.min(existing));
        for step in steps.iter_mut().filter(|step| step.kind == kind && step.action == Action::Create) {
            if room > 0 {
                room -= 1;
                continue;
            }
            step.action = Action::Refuse;
            step.reason = Reason::Limit;
            step.detail = Some(format!("GitHub takes {most} {kind}s here, and {existing} exist").into());
        }
    }
}

/// Whether a target is so full that its deletions must make room before it takes what is new.
///
/// Otherwise deletions come last: a renamed secret is never missing under both names.
#[must_use]
pub fn deletes_make_room(plan: &TargetPlan, observed: &Observed) -> bool {
    [EntryKind::Secret, EntryKind::Variable].into_iter().any(|kind| {
        let own = if kind == EntryKind::Variable { observed.ledger_variables } else { 0 };
        let existing = observed.entries.keys().filter(|(listed, _)| *listed == kind).count() + own;
        let creates = plan.steps.iter().filter(|step| step.kind == kind && step.action == Action::Create).count();
        existing + creates > most_entries(&plan.target, kind)
    })
}

/// The fuse over a whole run: more deletions than allowed, and none is made.
pub fn blow_the_delete_fuse(targets: &mut [TargetPlan], max_delete: usize) {
    let deletes: usize = targets.iter().map(|target| target.count(Action::Delete)).sum();
    if deletes <= max_delete {
        return;
    }
    for step in targets.iter_mut().flat_map(|target| &mut target.steps) {
        if step.action == Action::Delete {
            step.action = Action::Refuse;
            step.reason = Reason::Limit;
            let deletions = counted(deletes, "deletion", "deletions");
            step.detail = Some(format!("{deletions}, at most {max_delete} in a run; --max-delete permits more").into());
        }
    }
}

#[cfg(test)]
mod tests;
