//! Decides scope by scope, as GitHub's answers come in, and lets go of what a run has no more use for.
//!
//! **What is kept of an unchanged target is its steps, for the report.** Listings and ledgers of thousands of
//! repositories are never held at once.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;

use super::apply::book;
use super::observe::{SeenScope, SeenTarget, Sighting, none_failed};
use super::sync::{Request, Values};
use super::targets::Delivery;
use crate::base::error::{Failure, Outcome, Problem};
use crate::base::secret::FingerprintKey;
use crate::base::target::EntryKind;
use crate::io::github::GitHub;
use crate::io::ledger::LedgerPlace;
use crate::rules::definition::{Definition, Environment};
use crate::rules::ledger::Ledger;
use crate::rules::plan::{Action, Observed, Reason, Settings, Step, TargetPlan, Wanted};
use crate::rules::policy;
use crate::rules::precedence;
use crate::rules::steps::{TargetFacts, decide, needs_repositories, not_narrowed};

/// The plan of all scopes in the making.
pub struct Planning<'a> {
    definition: &'a Definition,
    stack: &'a Environment,
    values: &'a Values,
    planned: Planned,
    /// The first scope whose ledger was made with another key and whose secrets are written for it.
    other_key: bool,
    failures: Vec<Failure>,
}

/// What was decided.
pub struct Planned {
    pub settings: Settings,
    pub has_ledger: bool,
    pub targets: Vec<TargetPlan>,
    /// Per target, the names of secrets that are none of this run's business.
    pub foreign: Vec<BTreeSet<String>>,
    /// Scopes that have something to write or to note.
    pub scopes: Vec<SeenScope>,
    pub warnings: Vec<Problem>,
}

impl<'a> Planning<'a> {
    #[must_use]
    pub fn new(definition: &'a Definition, stack: &'a Environment, values: &'a Values, request: &Request) -> Self {
        let settings = Settings {
            environment: stack.esc.to_string(),
            prune: request.prune,
            allow_widening: request.allow_widening,
            groups: (!request.groups.is_empty()).then(|| request.groups.clone()),
            key_id: values.key.as_ref().map(FingerprintKey::id),
            now: request.now,
        };
        let planned = Planned {
            settings,
            has_ledger: values.key.is_some() && request.ledger != LedgerPlace::Nowhere,
            targets: Vec::new(),
            foreign: Vec::new(),
            scopes: Vec::new(),
            warnings: values.desired.warnings.clone(),
        };
        Self { definition, stack, values, planned, other_key: false, failures: Vec::new() }
    }

    /// Decides one scope. A scope that could not be looked at is remembered, so that all are told together.
    ///
    /// # Errors
    /// When GitHub does not say who may see an organization's entry.
    pub async fn add(&mut self, sighting: Outcome<Sighting>) -> Outcome<()> {
        let seen = sighting.and_then(|sighting| match self.planned.has_ledger {
            true => sighting.with_ledger(),
            false => Ok(sighting.without_ledger()),
        });
        let mut scope = match seen {
            Ok(scope) => scope,
            Err(failure) => {
                self.failures.push(failure);
                return Ok(());
            }
        };
        self.planned.warnings.append(&mut scope.warnings);
        let mut plans = Vec::new();
        for index in 0..scope.targets.len() {
            plans.push(self.target(&mut scope, index).await?);
        }
        self.warn_of_the_ledger(&scope, &plans);
        let foreign = plans.iter().zip(&scope.targets).map(|(plan, seen)| precedence::foreign(plan, &seen.observed));
        self.planned.foreign.extend(foreign);
        if !book::is_at_rest(&self.planned.settings, &scope, &plans) {
            self.planned.scopes.push(scope);
        }
        self.planned.targets.append(&mut plans);
        Ok(())
    }

    /// Everything that was decided.
    ///
    /// # Errors
    /// All that could not be looked at: a plan is made from everything or not at all.
    pub fn end(self) -> Outcome<Planned> {
        none_failed(self.failures).map(|()| self.planned)
    }

    async fn target(&mut self, scope: &mut SeenScope, index: usize) -> Outcome<TargetPlan> {
        let (definition, stack, values) = (self.definition, self.stack, self.values);
        let Planned { settings, warnings, .. } = &mut self.planned;
        let elsewhere = scope.targets.iter().any(|seen| seen.delivery.target.app.has_variables());
        let SeenScope { client, ledger, targets, .. } = scope;
        let Some(SeenTarget { delivery, observed, .. }) = targets.get_mut(index) else {
            return Err(Failure::unexpected("plan-target", "a target went missing while the plan was made"));
        };
        let groups = |group: &str| {
            settings.groups.as_ref().is_none_or(|groups| groups.contains(group))
                && delivery.groups.as_ref().is_none_or(|groups| groups.contains(group))
        };
        let denied = |group: &str| denial(definition, group, &stack.name, delivery);
        let (mut wanted, shared) = values.desired.wanted(&groups, &denied, values.key.as_ref());
        for problem in shared {
            if !warnings.contains(&problem) {
                warnings.push(problem);
            }
        }
        if !delivery.target.app.has_variables() {
            warnings.extend(undelivered_variables(elsewhere, delivery, &wanted));
            wanted.retain(|wanted| wanted.kind == EntryKind::Secret);
        }
        let ledger = ledger.as_ref().map(|found| &found.ledger);
        let unsure = needs_repositories(&facts(values, delivery, &wanted, observed, ledger));
        if !unsure.is_empty() {
            let looks = unsure.iter().map(|(kind, name)| who_may_see(client, delivery, *kind, name));
            for ((kind, name), ids) in unsure.iter().zip(try_join_all(looks).await?) {
                if let Some(listed) = observed.entries.get_mut(&(*kind, name.clone())) {
                    listed.repositories = Some(ids);
                }
            }
            warnings.extend(not_narrowed(&facts(values, delivery, &wanted, observed, ledger)));
        }
        Ok(decide(&facts(values, delivery, &wanted, observed, ledger), settings))
    }

    fn warn_of_the_ledger(&mut self, scope: &SeenScope, plans: &[TargetPlan]) {
        let Planned { settings, has_ledger, warnings, .. } = &mut self.planned;
        if scope.ledger.is_none() && settings.prune.enabled {
            let message = format!("nothing of {} is deleted: no ledger proves what this tool wrote there", scope.scope);
            warnings.push(Problem::warning("prune-without-ledger", message));
        }
        let changed = |step: &Step| step.action == Action::Update && step.reason == Reason::ValueChanged;
        let rewrites = plans.iter().flat_map(|plan| &plan.steps).any(changed);
        let known = scope.ledger.as_ref().and_then(|found| found.ledger.key_id.as_ref());
        let other = known.is_some_and(|known| settings.key_id.as_ref().is_some_and(|id| known != id));
        if *has_ledger && rewrites && other && !self.other_key {
            self.other_key = true;
            let scope = &scope.scope;
            warnings.push(Problem::warning(
                "fingerprint-key-changed",
                format!(
                    "the ledger of {scope} was made with another fingerprint key, so its secrets are written once more"
                ),
            ));
        }
    }
}

fn facts<'f>(
    values: &'f Values,
    delivery: &'f Delivery,
    wanted: &'f [Wanted],
    observed: &'f Observed,
    ledger: Option<&'f Ledger>,
) -> TargetFacts<'f> {
    TargetFacts {
        target: &delivery.target,
        wanted,
        optional: &values.desired.optional,
        empty_groups: &values.desired.empty_groups,
        observed,
        ledger,
        exposure: delivery.exposure.as_ref(),
    }
}

async fn who_may_see(client: &GitHub, delivery: &Delivery, kind: EntryKind, name: &str) -> Outcome<BTreeSet<u64>> {
    client.selected_repositories(&delivery.target, kind, name).await.map_err(|error| {
        let doing = format!("look at who may see `{name}` of {}", delivery.target);
        error.failure(&doing, "organization permission `Secrets`: read")
    })
}

/// A warning when variables reach no store of a scope, because none of its apps has variables.
fn undelivered_variables(elsewhere: bool, delivery: &Delivery, wanted: &[Wanted]) -> Option<Problem> {
    let names: Vec<&str> =
        wanted.iter().filter(|wanted| wanted.kind == EntryKind::Variable).map(|wanted| &*wanted.name).collect();
    (!elsewhere && !names.is_empty()).then(|| {
        let (names, target) = (names.join("`, `"), &delivery.target);
        Problem::warning("variable-app", format!("{target} has no variables, so `{names}` is not delivered there"))
    })
}

/// Why no policy lets a group of a stack be delivered; none when one does, or when there are no policies.
fn denial(definition: &Definition, group: &str, stack: &str, delivery: &Delivery) -> Option<String> {
    let decision = policy::decide_destination(definition, group, stack, &delivery.reader);
    let scope = &delivery.target.scope;
    (!decision.allowed).then(|| format!("no access policy grants group `{group}` of stack `{stack}` to {scope}"))
}
