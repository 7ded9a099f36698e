//! `plan` and `sync`: the same plan from the same facts (design §6).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::context::Context;
use super::observe::{Look, SeenScope, look};
use super::targets::{Asked, Delivery, resolve};
use crate::base::error::{Failure, Outcome, Problem};
use crate::base::secret::{FingerprintKey, Token};
use crate::base::target::EntryKind;
use crate::esc::path::{Path, lookup};
use crate::esc::value::Value;
use crate::io::ledger::LedgerPlace;
use crate::io::source::{Opened, Source, Version};
use crate::rules::cost;
use crate::rules::definition::{Definition, Environment};
use crate::rules::desired::Desired;
use crate::rules::digest::{Fingerprints, StoredStep, digest, moved};
use crate::rules::plan::{Action, Plan, PlanSource, Prune, Reason, Settings, Step, TargetPlan, Wanted};
use crate::rules::policy;
use crate::rules::precedence::{self, Occupied};
use crate::rules::steps::{TargetFacts, blow_the_delete_fuse, decide, needs_repositories};

/// What a run was asked to do.
#[derive(Debug, Clone)]
pub struct Request {
    pub asked: Asked,
    /// Only these groups; empty means all.
    pub groups: BTreeSet<String>,
    pub prune: Prune,
    pub allow_widening: bool,
    pub create_environments: bool,
    pub ledger: LedgerPlace,
    pub now: Timestamp,
}

/// The values of a stack, ready to be delivered.
pub struct Values {
    pub desired: Desired,
    pub key: Option<FingerprintKey>,
    pub source: PlanSource,
}

/// A plan with all that applying it takes.
pub struct Prepared {
    pub plan: Plan,
    pub values: Values,
    pub scopes: Vec<SeenScope>,
    pub settings: Settings,
    pub ledger: LedgerPlace,
}

/// An opened environment: what the stack yields, and everything else that it holds.
pub struct OpenedStack {
    pub values: Values,
    root: Value,
}

impl OpenedStack {
    /// The GitHub token at an ESC path, such as the output of the `gh-login` provider.
    ///
    /// # Errors
    /// An authentication failure when there is none.
    pub fn token_at(&self, path: &str) -> Outcome<Token> {
        let missing = |cause: String| {
            Failure::auth("github-token-path", format!("ESC holds no GitHub token at `{path}`"))
                .cause(cause)
                .hint(format!("`env open {} {path}` shows what is there", self.values.source.environment))
        };
        let parsed: Path = path.parse().map_err(|error: crate::esc::path::NotAPath| missing(error.to_string()))?;
        match lookup(&self.root, &parsed) {
            None => Err(missing("nothing is there".to_owned())),
            Some(value) if value.contains_unknown() => Err(missing("it is unknown".to_owned())),
            Some(value) => Token::new(&value.to_text()).map_err(|error| missing(error.to_string())),
        }
    }
}

/// Opens the stack's environment and collects what it yields.
///
/// # Errors
/// The source's failures.
pub async fn open(definition: &Definition, stack: &Environment, source: &dyn Source) -> Outcome<OpenedStack> {
    let Opened { values, revision, warnings } = source.open(&stack.esc, &Version::Latest).await?;
    let mut desired = Desired::collect(definition, &stack.name, &values);
    desired.warnings.extend(warnings.iter().map(|diagnostic| {
        let problem = Problem::warning("esc-warning", diagnostic.summary.clone());
        match &diagnostic.range {
            Some(range) => problem.at(crate::base::error::Place {
                file: range.environment.clone(),
                line: range.begin.line,
                column: range.begin.column,
            }),
            None => problem,
        }
    }));
    let key = fingerprint_key(&values, &definition.sync.fingerprint_key, &mut desired.warnings);
    let source = PlanSource { kind: source.kind().word(), environment: stack.esc.to_string(), revision };
    Ok(OpenedStack { values: Values { desired, key, source }, root: values })
}

fn fingerprint_key(values: &Value, path: &str, warnings: &mut Vec<Problem>) -> Option<FingerprintKey> {
    let found = path.parse::<Path>().ok().and_then(|parsed| lookup(values, &parsed).cloned());
    let why = match found {
        None => format!("ESC has nothing at `{path}`"),
        Some(value) if value.contains_unknown() => format!("`{path}` in ESC is unknown"),
        Some(value) => match FingerprintKey::new(&value.to_text().into()) {
            Some(key) => return Some(key),
            None => format!("the key at `{path}` has fewer than {} bytes", FingerprintKey::SHORTEST),
        },
    };
    warnings.push(
        Problem::warning(
            "fingerprint-key-missing",
            format!("no ledger is kept, and every secret is written each time: {why}"),
        )
        .hint(format!(
            "`import-env` makes the key, or store a random text there yourself: `env set … {path} --secret`"
        )),
    );
    None
}

/// Makes the plan: resolves the targets, looks at GitHub, decides.
///
/// # Errors
/// Everything that makes a plan impossible; nothing was written.
pub async fn prepare(
    context: &Context<'_>,
    definition: &Definition,
    stack: &Environment,
    values: Values,
    request: &Request,
) -> Outcome<Prepared> {
    check_groups(definition, stack, &request.groups)?;
    let deliveries = resolve(definition, &stack.name, &request.asked, context.github).await?;
    let settings = Settings {
        environment: stack.esc.to_string(),
        prune: request.prune,
        allow_widening: request.allow_widening,
        groups: (!request.groups.is_empty()).then(|| request.groups.clone()),
        key_id: values.key.as_ref().map(FingerprintKey::id),
        now: request.now,
    };
    let mut kinds: BTreeSet<EntryKind> = values.desired.candidates.iter().map(|candidate| candidate.kind).collect();
    kinds.insert(EntryKind::Secret);
    let variables_may_be_denied = !kinds.contains(&EntryKind::Variable);
    if request.prune.enabled {
        kinds.insert(EntryKind::Variable);
    }
    let has_key = values.key.is_some() && request.ledger != LedgerPlace::Nowhere;
    let looking = Look {
        github: context.github,
        ledger: &request.ledger,
        has_key,
        kinds: &kinds,
        create_environments: request.create_environments,
        variables_may_be_denied,
    };
    let mut scopes = look(&looking, deliveries.list).await?;
    let mut warnings = values.desired.warnings.clone();
    let mut targets = Vec::new();
    for scope in &mut scopes {
        warnings.append(&mut scope.warnings);
        targets.extend(decide_scope(definition, stack, &values, &settings, scope, &mut warnings).await?);
    }
    blow_the_delete_fuse(&mut targets, settings.prune.max_delete);
    if let (Some(id), true) = (&settings.key_id, has_key) {
        warnings.extend(other_key(&scopes, &targets, id));
    }
    warnings.extend(precedence::warnings(&occupied(&scopes, &targets)));
    if request.prune.enabled {
        warnings.extend(scopes.iter().filter(|scope| scope.ledger.is_none()).map(|scope| {
            let message = format!("nothing of {} is deleted: no ledger proves what this tool wrote there", scope.scope);
            Problem::warning("prune-without-ledger", message)
        }));
    }
    let fingerprints = fingerprints(&values);
    let concurrency = context.github.pace_settings().concurrency as u64;
    let plan = Plan {
        stack: stack.name.clone(),
        source: values.source.clone(),
        digest: digest(&stack.name, &values.source, &targets, &fingerprints),
        cost: cost::estimate(&targets, context.github.usage().requests, has_key, concurrency),
        targets,
        skipped: deliveries.skipped,
        warnings,
    };
    Ok(Prepared { plan, values, scopes, settings, ledger: request.ledger.clone() })
}

/// Refuses groups that the stack does not have.
///
/// # Errors
/// `group-unknown`, with the nearest known one.
pub fn check_groups(definition: &Definition, stack: &Environment, groups: &BTreeSet<String>) -> Outcome<()> {
    let known: Vec<&str> = definition.groups_of(&stack.name).map(|group| group.name.as_str()).collect();
    let unknown: Vec<&String> = groups.iter().filter(|group| !known.contains(&group.as_str())).collect();
    match unknown.first() {
        None => Ok(()),
        Some(first) => Err(Failure::usage("group-unknown", format!("stack `{}` has no group `{first}`", stack.name))
            .hint(crate::rules::nearest::hint(first, &known))),
    }
}

async fn decide_scope(
    definition: &Definition,
    stack: &Environment,
    values: &Values,
    settings: &Settings,
    scope: &SeenScope,
    warnings: &mut Vec<Problem>,
) -> Outcome<Vec<TargetPlan>> {
    let mut plans = Vec::new();
    for seen in &scope.targets {
        let delivery = &seen.delivery;
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
            warnings.extend(undelivered_variables(scope, delivery, &wanted));
            wanted.retain(|wanted| wanted.kind == EntryKind::Secret);
        }
        let facts = TargetFacts {
            target: &delivery.target,
            wanted: &wanted,
            optional: &values.desired.optional,
            empty_groups: &values.desired.empty_groups,
            observed: &seen.observed,
            ledger: scope.ledger.as_ref().map(|found| &found.ledger),
            exposure: delivery.exposure.as_ref(),
        };
        let mut observed = seen.observed.clone();
        for (kind, name) in needs_repositories(&facts) {
            let ids = scope.client.selected_repositories(&delivery.target, kind, &name).await.map_err(|error| {
                let doing = format!("look at who may see `{name}` of {}", delivery.target);
                error.failure(&doing, "organization permission `Secrets`: read")
            })?;
            if let Some(listed) = observed.entries.get_mut(&(kind, name)) {
                listed.repositories = Some(ids);
            }
        }
        plans.push(decide(&TargetFacts { observed: &observed, ..facts }, settings));
    }
    Ok(plans)
}

/// A warning when variables reach no store of a scope, because none of its apps has variables.
fn undelivered_variables(scope: &SeenScope, delivery: &Delivery, wanted: &[Wanted]) -> Option<Problem> {
    let elsewhere = scope.targets.iter().any(|seen| seen.delivery.target.app.has_variables());
    let names: Vec<&str> =
        wanted.iter().filter(|wanted| wanted.kind == EntryKind::Variable).map(|wanted| wanted.name.as_str()).collect();
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

fn other_key(scopes: &[SeenScope], targets: &[TargetPlan], id: &str) -> Option<Problem> {
    let other = scopes.iter().find(|scope| {
        let changed = |step: &Step| step.action == Action::Update && step.reason == Reason::ValueChanged;
        let rewrites =
            targets.iter().any(|target| target.target.scope == scope.scope && target.steps.iter().any(changed));
        let known = scope.ledger.as_ref().and_then(|found| found.ledger.key_id.as_deref());
        rewrites && known.is_some_and(|known| known != id)
    })?;
    Some(Problem::warning(
        "fingerprint-key-changed",
        format!(
            "the ledger of {} was made with another fingerprint key, so its secrets are written once more",
            other.scope
        ),
    ))
}

fn fingerprints(values: &Values) -> Fingerprints {
    let Some(key) = &values.key else { return Fingerprints::new() };
    let candidates = values.desired.candidates.iter();
    candidates
        .filter_map(|candidate| {
            let value = candidate.value.as_ref().ok()?;
            let id = (candidate.kind, format!("{}/{}", candidate.group, candidate.name));
            Some((id, value.fingerprint(key, &candidate.name)))
        })
        .collect()
}

/// Which names each store will hold after the run, and which of them this run does not write.
fn occupied<'a>(scopes: &'a [SeenScope], targets: &'a [TargetPlan]) -> Vec<Occupied<'a>> {
    let seen = scopes.iter().flat_map(|scope| &scope.targets);
    let by_target: BTreeMap<_, _> = seen.map(|seen| (&seen.delivery.target, &seen.observed)).collect();
    targets.iter().filter_map(|plan| Some(Occupied::new(plan, by_target.get(&plan.target)?))).collect()
}

/// The failure of a plan that holds a refusal: nothing of it is written.
///
/// # Errors
/// Always that, when there is one.
pub fn refuse(plan: &Plan) -> Outcome<()> {
    let problems: Vec<Problem> = plan
        .steps()
        .filter(|(_, step)| step.action == Action::Refuse)
        .map(|(target, step)| {
            let detail = step.detail.as_deref().unwrap_or_default();
            let problem = Problem::error(step.reason.word(), format!("`{}` of {target}: {detail}", step.name));
            match &step.place {
                Some(place) => problem.at(place.clone()),
                None => problem,
            }
        })
        .collect();
    if problems.is_empty() {
        return Ok(());
    }
    let count = problems.len();
    let word = if count == 1 { "step is" } else { "steps are" };
    Err(Failure::refused("plan-refused", format!("{count} {word} refused, so nothing was written")).problems(problems))
}

/// Compares a stored plan with a fresh one.
///
/// # Errors
/// A refusal that says what moved, when the digests differ.
pub fn still_true(
    stored_digest: &str,
    stored_revision: Option<u64>,
    stored: &[StoredStep],
    fresh: &Plan,
) -> Outcome<()> {
    if stored_digest == fresh.digest {
        return Ok(());
    }
    let sentences = moved(stored_revision, stored, &fresh.source, &fresh.targets);
    let mut failure =
        Failure::refused("plan-stale", "ESC or GitHub has moved since the plan was made; nothing was written")
            .hint("make a new plan, look at it, and apply that");
    if sentences.is_empty() {
        failure = failure.cause("a value in ESC, the stack or the definition is another one");
    }
    for sentence in sentences {
        failure = failure.problems([Problem::error("moved", sentence)]);
    }
    Err(failure)
}
