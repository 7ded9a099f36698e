//! `audit report`: gathers the evidence from the definition, GitHub's listings, the ledgers and the audit trail.
//!
//! **ESC is not opened:** names, dates and fingerprints are enough; Pulumi Cloud is asked only what teams may do. What cannot be read is named in the report and
//! does not stop it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::pin::pin;

use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;

use super::observe::{Look, Sighting, sightings};
use super::targets::{Asked, Delivery, resolve};
use super::{access, audit};
use crate::base::error::{Outcome, Severity};
use crate::base::target::{EntryKind, Scope};
use crate::io::esc_cloud::PulumiCloud;
use crate::io::github_access::GitHubAccess;
use crate::io::ledger::LedgerPlace;
use crate::report::evidence::{DRILL, Evidence, EvidenceEntry, Finding, Grant, Presence, StoreUse, USAGE};
use crate::rules::audit::Head;
use crate::rules::audit_runs::LastRun;
use crate::rules::definition::{Definition, Group, Rotation};
use crate::rules::ledger::Ledger;
use crate::rules::naming;
use crate::rules::plan::Observed;
use crate::rules::policy::decide_destination;
use crate::rules::policy::review::matrix;
use crate::rules::rotation::{DeliveryFacts, SecretFacts, standing};
use crate::rules::steps::most_entries;

/// What the report is to be about.
pub struct Ask<'a> {
    pub definition: &'a Definition,
    /// None: all stacks.
    pub stack: Option<&'a str>,
    pub github: &'a GitHubAccess,
    /// Who may open an environment is asked there; see [`access::Services`].
    pub pulumi: Result<Option<&'a PulumiCloud>, String>,
    pub ledger: &'a LedgerPlace,
    pub trail: &'a Path,
    pub anchors: &'a [Head],
    /// Changes are shown from then on.
    pub since: Timestamp,
    pub now: Timestamp,
}

/// Gathers the evidence.
///
/// # Errors
/// `stack-unknown`; an audit trail that is there and cannot be read; GitHub's authentication.
pub async fn collect(ask: &Ask<'_>) -> Outcome<Evidence> {
    let definition = ask.definition;
    let stacks = match ask.stack {
        Some(name) => vec![definition.stack(Some(name))?.name.as_str()],
        None => definition.stack_names(),
    };
    let mut evidence = Evidence {
        organization: definition.organization.clone(),
        project: definition.name.clone(),
        generated: ask.now,
        since: ask.since,
        entries: Vec::new(),
        policies_bind: !definition.policies.is_empty(),
        grants: grants(definition, &stacks),
        events: Vec::new(),
        drill: None,
        usage_check: None,
        trail: None,
        stores: Vec::new(),
        findings: Vec::new(),
        unseen: Vec::new(),
        unread: 0,
        unchecked: 0,
    };
    for stack in stacks {
        match observe(ask, stack, &mut evidence).await {
            Err(failure) if failure.code == "target-missing" => {
                evidence.unseen.push(format!(
                    "what ESC holds of stack `{stack}`: it has no target, so nothing of it is delivered"
                ));
            }
            Err(failure) => {
                evidence.unseen.push(format!("the targets of stack `{stack}`: {failure}"));
                evidence.unread += 1;
            }
            Ok(()) => {}
        }
    }
    evidence.stores.sort();
    evidence.stores.dedup();
    let found =
        access::check(definition, &access::Services { github: Some(ask.github), pulumi: ask.pulumi.clone() }).await?;
    evidence.unchecked = found.unchecked.len();
    evidence.unseen.extend(found.unchecked);
    evidence.findings = found
        .problems
        .into_iter()
        .map(|problem| Finding {
            code: problem.code.to_owned(),
            severity: if problem.severity == Severity::Error { "error" } else { "warning" }.to_owned(),
            message: problem.message,
        })
        .collect();
    read_trail(ask, &mut evidence)?;
    Ok(evidence)
}

/// The grants of the policies, for the stacks that the report is about; none while everything is allowed.
fn grants(definition: &Definition, stacks: &[&str]) -> Vec<Grant> {
    let matrix = matrix(definition);
    let mut grants = Vec::new();
    for row in &matrix.rows {
        for ((group, stack), cell) in matrix.columns.iter().zip(&row.cells) {
            if stacks.contains(&stack.as_str()) && !cell.policies.is_empty() {
                grants.push(Grant {
                    kind: row.identity.kind.word().to_owned(),
                    identity: row.identity.name.clone(),
                    group: group.clone(),
                    stack: stack.clone(),
                    policies: cell.policies.clone(),
                });
            }
        }
    }
    grants
}

fn read_trail(ask: &Ask<'_>, evidence: &mut Evidence) -> Outcome<()> {
    match audit::verify(ask.trail, ask.anchors) {
        Ok(report) => evidence.trail = Some(report),
        Err(failure) if failure.code == "file-missing" => {
            evidence.unseen.push(format!("changes: there is no audit trail at `{}`", ask.trail.display()));
            return Ok(());
        }
        Err(failure) => return Err(failure),
    }
    let (records, _) = audit::records(ask.trail)?;
    evidence.drill = LastRun::of(&records, DRILL);
    evidence.usage_check = LastRun::of(&records, USAGE);
    let period = records.into_iter().filter(|record| record.time >= ask.since && record.time <= ask.now);
    evidence.events = period.map(Into::into).collect();
    Ok(())
}

async fn observe(ask: &Ask<'_>, stack: &str, evidence: &mut Evidence) -> Outcome<()> {
    let definition = ask.definition;
    let deliveries = resolve(definition, stack, &Asked::default(), ask.github).await?;
    for skipped in &deliveries.skipped {
        evidence.unseen.push(format!("`{}`: it is {}", skipped.repository, skipped.why));
    }
    for group in definition.groups_of(stack).filter(|group| definition.mappings_of(&group.name).next().is_none()) {
        evidence.unseen.push(format!(
            "members of group `{}` in stack `{stack}` that were never delivered: the definition does not name them",
            group.name
        ));
    }
    let variables = definition.mappings.iter().any(|mapping| mapping.kind == EntryKind::Variable);
    let kinds: BTreeSet<EntryKind> =
        if variables { [EntryKind::Secret, EntryKind::Variable].into() } else { [EntryKind::Secret].into() };
    // The ledger is read for its dates, which takes no fingerprint key.
    let looking = Look {
        github: ask.github,
        ledger: ask.ledger,
        read_ledger: true,
        kinds: &kinds,
        create_environments: false,
        variables_may_be_denied: false,
        will_write: false,
    };
    let mut by_scope: BTreeMap<Scope, Vec<Delivery>> = BTreeMap::new();
    for delivery in &deliveries.list {
        by_scope.entry(delivery.target.scope.clone()).or_default().push(delivery.clone());
    }
    // Both are in the order of scopes.
    let mut seen = pin!(sightings(&looking, deliveries.list).zip(stream::iter(by_scope)));
    while let Some((sighting, (_, asked))) = seen.next().await {
        match sighting.and_then(Sighting::with_ledger) {
            Ok(scope) => {
                let warnings = scope.warnings.iter();
                evidence.unseen.extend(warnings.map(|warning| format!("{}: {}", scope.scope, warning.message)));
                let ledger = scope.ledger.as_ref().map(|found| &found.ledger);
                for target in &scope.targets {
                    let (delivery, observed) = (&target.delivery, Some(&target.observed));
                    evidence
                        .entries
                        .extend(Facts { definition, stack, delivery, observed, ledger, now: ask.now }.entries());
                    evidence.stores.extend(kinds.iter().map(|kind| store(delivery, &target.observed, *kind)));
                }
            }
            Err(failure) => {
                evidence.unseen.push(format!("of stack `{stack}`: {failure}"));
                evidence.unread += asked.len();
                for delivery in &asked {
                    let facts = Facts { definition, stack, delivery, observed: None, ledger: None, now: ask.now };
                    evidence.entries.extend(facts.entries());
                }
            }
        }
    }
    Ok(())
}

fn store(delivery: &Delivery, observed: &Observed, kind: EntryKind) -> StoreUse {
    let listed = observed.entries.keys().filter(|(of, _)| *of == kind).count();
    let own = if kind == EntryKind::Variable { observed.ledger_variables } else { 0 };
    StoreUse {
        target: delivery.target.to_string(),
        kind: kind.word().to_owned(),
        used: listed + own,
        limit: most_entries(&delivery.target, kind),
    }
}

/// One target of one stack, as far as it could be read.
struct Facts<'a> {
    definition: &'a Definition,
    stack: &'a str,
    delivery: &'a Delivery,
    /// None when it could not be read.
    observed: Option<&'a Observed>,
    ledger: Option<&'a Ledger>,
    now: Timestamp,
}

impl Facts<'_> {
    /// The groups that the target gets of the stack: asked for, and granted by the policies.
    fn groups(&self) -> impl Iterator<Item = &Group> {
        let wanted = self.delivery.groups.as_ref();
        self.definition
            .groups_of(self.stack)
            .filter(move |group| wanted.is_none_or(|groups| groups.contains(&group.name)))
            .filter(|group| decide_destination(self.definition, &group.name, self.stack, &self.delivery.reader).allowed)
    }

    fn entries(&self) -> Vec<EvidenceEntry> {
        let mut entries = Vec::new();
        for group in self.groups() {
            let mut names: BTreeMap<(EntryKind, String), Option<&Rotation>> = BTreeMap::new();
            let mut mapped = false;
            for mapping in self.definition.mappings_of(&group.name) {
                mapped = true;
                let id = (mapping.kind, naming::fold(&mapping.target_name));
                // An optional one that is nowhere has no value: nothing is missing.
                if mapping.required || self.observed.is_some_and(|observed| observed.entries.contains_key(&id)) {
                    names.insert(id, mapping.rotation.as_ref());
                }
            }
            if !mapped {
                // Its members are in ESC, which is not opened: what was delivered of them is in the ledger.
                let written = self.ledger.into_iter().flat_map(|ledger| &ledger.entries);
                let own =
                    written.filter(|(key, entry)| key.app == self.delivery.target.app && entry.group == group.name);
                names.extend(own.map(|(key, _)| ((key.kind, key.name.clone()), group.rotation.as_ref())));
            }
            entries.extend(names.into_iter().map(|((kind, name), rotation)| self.entry(group, kind, name, rotation)));
        }
        entries
    }

    fn entry(&self, group: &Group, kind: EntryKind, name: String, rotation: Option<&Rotation>) -> EvidenceEntry {
        let target = &self.delivery.target;
        let written = self.ledger.and_then(|ledger| ledger.get(target.app, kind, &name));
        let listed = self.observed.and_then(|observed| observed.entries.get(&(kind, name.clone())));
        let presence = match (listed, written) {
            _ if self.observed.is_none() => Presence::Unknown,
            (None, _) => Presence::Missing,
            (Some(_), None) => Presence::NotTracked,
            (Some(listed), Some(written)) if written.is_what_github_lists(&listed.updated_at) => Presence::Delivered,
            (Some(_), Some(_)) => Presence::EditedOutside,
        };
        let facts = SecretFacts {
            esc_changed: None,
            deliveries: vec![DeliveryFacts {
                ledger_changed: written.map(|written| written.changed_at),
                delivered: listed.and_then(|listed| listed.updated_at.parse().ok()),
                ..DeliveryFacts::default()
            }],
        };
        EvidenceEntry {
            stack: self.stack.to_owned(),
            group: group.name.clone(),
            name,
            kind: kind.word().to_owned(),
            target: target.to_string(),
            owner: rotation.and_then(|rotation| rotation.owner.clone()),
            presence,
            standing: standing(rotation, &facts, self.now),
        }
    }
}
