//! `plan` and `sync`: the same plan from the same facts (design §6).

use std::collections::BTreeSet;

use futures_util::StreamExt;
use futures_util::future::try_join;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::context::Context;
use super::observe::{Look, SeenScope, sightings};
use super::planning::{Planned, Planning};
use super::targets::{Asked, resolve};
use crate::base::error::{Failure, Outcome, Place, Problem};
use crate::base::secret::{FingerprintKey, SecretValue, Token};
use crate::base::target::EntryKind;
use crate::esc::path::{Path, lookup};
use crate::esc::value::Value;
use crate::io::ledger::LedgerPlace;
use crate::io::source::{Opened, Source, SourceKind, Version};
use crate::rules::cost;
use crate::rules::definition::{Definition, Environment};
use crate::rules::desired::{self, Desired, MISSING_HINT};
use crate::rules::digest::{Fingerprints, StoredStep, digest, moved};
use crate::rules::plan::{Action, Plan, PlanSource, Prune, Reason, Settings, Target};
use crate::rules::precedence::{self, Occupied};
use crate::rules::steps::blow_the_delete_fuse;

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
    /// The plan will be carried out, unless it is refused.
    pub will_write: bool,
    pub now: Timestamp,
}

impl Request {
    /// One that writes values and does nothing else: it deletes, widens and makes nothing.
    #[must_use]
    pub fn careful(asked: Asked, ledger: LedgerPlace, now: Timestamp) -> Self {
        Self {
            asked,
            groups: BTreeSet::new(),
            prune: Prune { enabled: false, max_delete: 0, after_seconds: None },
            allow_widening: false,
            create_environments: false,
            ledger,
            will_write: true,
            now,
        }
    }
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
    /// Those that have something to write or to note; the others were let go.
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
    /// Everything that the environment evaluates to.
    #[must_use]
    pub fn root(&self) -> &Value {
        &self.root
    }

    /// The value at an ESC path; none when there is none that is known.
    #[must_use]
    pub fn value_at(&self, path: &str) -> Option<SecretValue> {
        let value = lookup(&self.root, &path.parse::<Path>().ok()?)?;
        (!value.contains_unknown()).then(|| value.to_text().into())
    }

    /// The paths of values that no mapping of their group delivers; see [`desired::unlisted`].
    #[must_use]
    pub fn unlisted(&self, definition: &Definition, stack: &str) -> Vec<(String, Place)> {
        desired::unlisted(definition, stack, &self.root)
    }

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
    let opened = source.open(&stack.esc, &Version::Latest).await;
    let Opened { values, revision, warnings } = opened.map_err(|failure| match failure.code {
        "esc-not-found" => failure.hint(format!("`import-env FILE --stack {} --create` makes it", stack.name)),
        _ => failure,
    })?;
    let mut desired = Desired::collect(definition, &stack.name, &values);
    desired.warnings.extend(warnings.iter().map(|diagnostic| Problem {
        code: "esc-warning",
        ..diagnostic.problem(|called| source.file_of(&stack.esc, &Version::Latest, called))
    }));
    let key = match source.kind() {
        SourceKind::EnvFile => {
            name_the_file(&mut desired, &source.origin(&stack.esc));
            None
        }
        _ => fingerprint_key(&values, &definition.sync.fingerprint_key, &mut desired.warnings),
    };
    let source = PlanSource { kind: source.kind().word(), environment: source.origin(&stack.esc), revision };
    Ok(OpenedStack { values: Values { desired, key, source }, root: values })
}

/// A dotenv file has no properties to look at and no key: what is said of both is said of the file.
fn name_the_file(desired: &mut Desired, file: &str) {
    for candidate in &mut desired.candidates {
        if let Err(refusal) = &mut candidate.value
            && refusal.reason == Reason::Missing
        {
            refusal.message = format!("`{file}` does not have it");
        }
    }
    let message = "no ledger is kept, and every secret is written each time: a dotenv file holds no key for it";
    desired.warnings.push(Problem::warning("fingerprint-key-missing", message));
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

/// Makes the plan: resolves the targets, looks at GitHub while `values` are still on their way, decides.
///
/// # Errors
/// Everything that makes a plan impossible, the failure of `values` first; nothing was written.
pub async fn prepare(
    context: &Context<'_>,
    definition: &Definition,
    stack: &Environment,
    values: impl Future<Output = Outcome<Values>>,
    request: &Request,
) -> Outcome<Prepared> {
    check_groups(definition, stack, &request.groups)?;
    let delivers_variables = definition.delivers_variables(&stack.name);
    let mut kinds = BTreeSet::from([EntryKind::Secret]);
    if delivers_variables || request.prune.enabled {
        kinds.insert(EntryKind::Variable);
    }
    let looking = Look {
        github: context.github,
        ledger: &request.ledger,
        read_ledger: request.ledger != LedgerPlace::Nowhere,
        kinds: &kinds,
        create_environments: request.create_environments,
        variables_may_be_denied: !delivers_variables,
        will_write: request.will_write,
    };
    let (to_decide, mut seen) = mpsc::unbounded_channel();
    let look = async move {
        let deliveries = resolve(definition, &stack.name, &request.asked, context.github).await?;
        let mut sightings = std::pin::pin!(sightings(&looking, deliveries.list));
        while let Some(sighting) = sightings.next().await {
            if to_decide.send(sighting).is_err() {
                break;
            }
        }
        Ok(deliveries.skipped)
    };
    let decide = async {
        let values = values.await?;
        let mut planning = Planning::new(definition, stack, &values, request);
        while let Some(sighting) = seen.recv().await {
            planning.add(sighting).await?;
        }
        let planned = planning.end()?;
        Ok::<_, Failure>((values, planned))
    };
    // A failure of ESC ends the look at GitHub; one of GitHub waits for ESC.
    let ((values, planned), skipped) = try_join(decide, async { Ok(look.await) }).await?;
    let skipped = skipped?;
    let Planned { mut targets, scopes, settings, mut warnings, foreign, has_ledger } = planned;
    blow_the_delete_fuse(&mut targets, settings.prune.max_delete);
    if precedence::matters(targets.iter().map(|plan| &plan.target.scope)) {
        let occupied: Vec<Occupied<'_>> =
            targets.iter().zip(&foreign).map(|(plan, foreign)| Occupied::new(plan, foreign)).collect();
        warnings.extend(precedence::warnings(&occupied));
    }
    let fingerprints = fingerprints(&values);
    let keys: BTreeSet<&Target> = scopes
        .iter()
        .flat_map(|scope| &scope.targets)
        .filter(|seen| seen.sealing_key.is_some())
        .map(|seen| &seen.delivery.target)
        .collect();
    let concurrency = context.github.pace_settings().concurrency as u64;
    let reads = context.github.usage().requests;
    let plan = Plan {
        stack: stack.name.clone(),
        source: values.source.clone(),
        digest: digest(&stack.name, &values.source, &targets, &fingerprints),
        cost: cost::estimate(&targets, reads, &|target| keys.contains(target), has_ledger, concurrency),
        targets,
        skipped,
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
            let mut problem = Problem::error(step.reason.word(), format!("`{}` of {target}: {detail}", step.name));
            if step.reason == Reason::Missing && plan.source.kind != SourceKind::EnvFile.word() {
                problem = problem.hint(MISSING_HINT);
            }
            match &step.place {
                Some(place) => problem.at((**place).clone()),
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
