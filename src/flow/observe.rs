//! Looks at what GitHub holds: listings and ledgers of every scope, side by side, some scopes at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};
use futures_util::stream::{self, Stream, StreamExt};

use super::targets::Delivery;
use crate::base::error::{Failure, FailureKind, Outcome, Problem};
use crate::base::secret::SealingKey;
use crate::base::target::{EntryKind, Scope};
use crate::io::github::GitHub;
use crate::io::github_access::GitHubAccess;
use crate::io::github_error::{self, GitHubError};
use crate::io::github_secrets::Listing;
use crate::io::ledger::{self, Found, LedgerPlace, LedgerTrouble};
use crate::rules::ledger::is_part_name;
use crate::rules::permissions::{Access, needed};
use crate::rules::plan::{Observed, Target};

/// One scope with everything that was seen there.
pub struct SeenScope {
    pub scope: Scope,
    pub client: Arc<GitHub>,
    /// None when there is no ledger to go by; the warning says why.
    pub ledger: Option<Found>,
    pub targets: Vec<SeenTarget>,
    /// The environment does not exist yet and is to be made.
    pub create_environment: bool,
    pub warnings: Vec<Problem>,
}

/// One store of a scope.
pub struct SeenTarget {
    pub delivery: Delivery,
    pub observed: Observed,
    /// Where it was fetched early: no ledger is there, so a run that writes at all writes here.
    pub sealing_key: Option<Arc<SealingKey>>,
}

/// A scope whose ledger may be in trouble: that matters only to who needs a ledger.
pub struct Sighting {
    scope: SeenScope,
    ledger: Outcome<LoadedLedger>,
}

/// The ledger, and warnings about it.
type LoadedLedger = (Option<Found>, Vec<Problem>);

/// Scopes that are looked at, or written to, at once; requests have their own, tighter limit.
pub const SCOPES_AT_ONCE: usize = 32;

/// What must be looked at.
pub struct Look<'a> {
    pub github: &'a GitHubAccess,
    pub ledger: &'a LedgerPlace,
    /// Whether the ledger is of use: without a key it cannot be compared with.
    pub read_ledger: bool,
    /// Kinds that the plan is about.
    pub kinds: &'a BTreeSet<EntryKind>,
    pub create_environments: bool,
    /// No variable is to be delivered: they are looked at only to delete some, which can be done without.
    pub variables_may_be_denied: bool,
    /// The run is to write: public keys that it will need for certain are fetched at once.
    pub will_write: bool,
}

/// Looks at all deliveries. For who needs everything at once.
///
/// # Errors
/// All failures together: a plan is made from everything or not at all.
pub async fn look(look: &Look<'_>, deliveries: Vec<Delivery>) -> Outcome<Vec<SeenScope>> {
    let mut seen = Vec::new();
    let mut failures = Vec::new();
    let mut sightings = std::pin::pin!(sightings(look, deliveries));
    while let Some(sighting) = sightings.next().await {
        match sighting.and_then(Sighting::with_ledger) {
            Ok(scope) => seen.push(scope),
            Err(failure) => failures.push(failure),
        }
    }
    none_failed(failures).map(|()| seen)
}

/// Looks at all deliveries, scope by scope in their order; requests run side by side inside the client's limits.
pub fn sightings<'a>(look: &'a Look<'a>, deliveries: Vec<Delivery>) -> impl Stream<Item = Outcome<Sighting>> + use<'a> {
    let mut by_scope: BTreeMap<Scope, Vec<Delivery>> = BTreeMap::new();
    for delivery in deliveries {
        by_scope.entry(delivery.target.scope.clone()).or_default().push(delivery);
    }
    stream::iter(by_scope).map(move |(scope, deliveries)| one(look, scope, deliveries)).buffered(SCOPES_AT_ONCE)
}

impl Sighting {
    /// # Errors
    /// When the ledger cannot be trusted.
    pub fn with_ledger(self) -> Outcome<SeenScope> {
        let (ledger, warnings) = self.ledger?;
        let own = ledger.as_ref().map_or(0, Found::variables);
        let mut scope = SeenScope { ledger, warnings, ..self.scope };
        for target in &mut scope.targets {
            target.observed.ledger_variables = own;
        }
        Ok(scope)
    }

    /// Whatever the ledger is like.
    #[must_use]
    pub fn without_ledger(self) -> SeenScope {
        self.scope
    }
}

/// All failures of the scopes as one.
///
/// # Errors
/// That, when there is any.
pub fn none_failed(mut failures: Vec<Failure>) -> Outcome<()> {
    match failures.pop() {
        None => Ok(()),
        Some(only) if failures.is_empty() => Err(only),
        Some(last) => Err(together(failures, last)),
    }
}

/// Several failures as one, with a problem for each.
fn together(failures: Vec<Failure>, last: Failure) -> Failure {
    let count = failures.len() + 1;
    let worst = failures.iter().find(|failure| failure.kind == FailureKind::Auth).unwrap_or(&last);
    let (kind, code) = (worst.kind, worst.code);
    let mut hints: Vec<String> = Vec::new();
    let problems: Vec<Problem> = failures
        .into_iter()
        .chain([last])
        .map(|failure| {
            for hint in &failure.hints {
                if !hints.contains(hint) {
                    hints.push(hint.clone());
                }
            }
            Problem::error(failure.code, failure.to_string())
        })
        .collect();
    let mut failure = Failure::new(kind, code, format!("{count} targets could not be looked at; nothing was written"));
    failure.hints = hints;
    failure.problems(problems)
}

async fn one(look: &Look<'_>, scope: Scope, deliveries: Vec<Delivery>) -> Outcome<Sighting> {
    let client = look.github.client(&scope).await?;
    let listings = try_join_all(deliveries.iter().map(|delivery| list(look, &client, &delivery.target)));
    let (listings, mut ledger) = futures_util::future::join(listings, load_ledger(look, &client, &scope)).await;
    let mut create_environment = false;
    let listings = match listings {
        Ok(listings) => listings,
        Err((error, target, kind)) => {
            create_environment = missing_environment(look, &client, &scope, &error).await?;
            if !create_environment {
                return Err(explain(&client, &target, kind, &error).await);
            }
            ledger = Ok((look.read_ledger.then(Found::default), Vec::new()));
            deliveries.iter().map(|_| complete_and_empty(look.kinds)).collect()
        }
    };
    let starts_anew = match &ledger {
        Ok((found, _)) => found.as_ref().is_none_or(|found| found.variables() == 0),
        Err(_) => false,
    };
    let early = look.will_write && starts_anew && !create_environment;
    let keys = deliveries.iter().map(|delivery| {
        let (client, target) = (&client, &delivery.target);
        // Where this fails, the write tries again and tells why.
        async move { if early { client.sealing_key(target).await.ok().map(Arc::new) } else { None } }
    });
    let keys = join_all(keys).await;
    let targets = deliveries.into_iter().zip(listings).zip(keys);
    let targets =
        targets.map(|((delivery, observed), sealing_key)| SeenTarget { delivery, observed, sealing_key }).collect();
    let scope = SeenScope { scope, client, ledger: None, targets, create_environment, warnings: Vec::new() };
    Ok(Sighting { scope, ledger })
}

fn complete_and_empty(kinds: &BTreeSet<EntryKind>) -> Observed {
    Observed { complete: kinds.clone(), ..Observed::default() }
}

async fn list(look: &Look<'_>, client: &GitHub, target: &Target) -> Result<Observed, (GitHubError, Target, EntryKind)> {
    let mut observed = Observed::default();
    let kinds = look.kinds.iter().filter(|kind| **kind == EntryKind::Secret || target.app.has_variables());
    let listings = kinds.map(|kind| async move {
        match client.list_entries(target, *kind).await {
            Err(error) if *kind == EntryKind::Variable && look.variables_may_be_denied && error.is_denied() => {
                Ok((kind, Listing::default()))
            }
            other => other.map(|listing| (kind, listing)).map_err(|error| (error, target.clone(), *kind)),
        }
    });
    for (kind, listing) in try_join_all(listings).await? {
        if listing.complete {
            observed.complete.insert(*kind);
        }
        let names = listing.entries.into_iter().filter(|(name, _)| !is_part_name(name));
        observed.entries.extend(names.map(|(name, listed)| ((*kind, name), listed)));
    }
    Ok(observed)
}

/// The ledger and warnings about it. Without permission to read it the run goes on without.
async fn load_ledger(look: &Look<'_>, client: &GitHub, scope: &Scope) -> Outcome<LoadedLedger> {
    if !look.read_ledger {
        return Ok((None, Vec::new()));
    }
    match ledger::load(client, look.ledger, scope).await {
        Ok(found) => Ok((found, Vec::new())),
        Err(LedgerTrouble::GitHub(error)) if error.is_denied() => {
            let needs = needed(
                &Target { scope: scope.clone(), app: crate::base::target::App::Actions },
                EntryKind::Variable,
                Access::Write,
            );
            let message =
                format!("the ledger of {scope} cannot be read, so every secret is written: {}", error.problem);
            let problem = Problem::warning("ledger-unavailable", message)
                .hint(format!("give the token {needs}, or keep the ledger with --ledger file:DIR"));
            Ok((None, vec![problem]))
        }
        Err(trouble) => Err(ledger_failure(scope, trouble)),
    }
}

/// What to do about a ledger that cannot be trusted.
#[must_use]
pub fn ledger_failure(scope: &Scope, trouble: LedgerTrouble) -> Failure {
    match trouble {
        LedgerTrouble::GitHub(error) => error.failure(&format!("read the ledger of {scope}"), "`Variables`: read"),
        LedgerTrouble::File(failure) => failure,
        LedgerTrouble::Content(error) => Failure::refused(
            "ledger-unusable",
            format!("the ledger of {scope} cannot be used; nothing was written or deleted"),
        )
        .cause(error)
        .hint(format!(
            "look at the variable {} there; if it is of no use, delete it, and the next run writes every \
                     secret once and deletes none",
            crate::rules::ledger::VARIABLE
        ))
        .hint("`--ledger none` runs without it, or use the newer version that wrote it"),
    }
}

/// Whether a 404 means that the environment is yet to be made, and may be.
async fn missing_environment(look: &Look<'_>, client: &GitHub, scope: &Scope, error: &GitHubError) -> Outcome<bool> {
    let Scope::Environment { repository, environment } = scope else { return Ok(false) };
    if !error.is_not_found() || client.repository(repository).await.is_err() {
        return Ok(false);
    }
    match client.environment(repository, environment).await {
        Ok(None) if look.create_environments => Ok(true),
        Ok(None) => Err(Failure::refused(
            "environment-missing",
            format!("repository {repository} has no environment `{environment}`"),
        )
        .hint("make it in the repository's settings, or let `sync --create-environments` make it without rules")),
        _ => Ok(false),
    }
}

/// Says whether a refused listing is a missing repository or a missing permission.
async fn explain(client: &GitHub, target: &Target, kind: EntryKind, error: &GitHubError) -> Failure {
    let needs = needed(target, kind, Access::Write);
    let failure = error.failure(&format!("list the {kind}s of {target}"), &needs);
    if !error.is_not_found() {
        return failure;
    }
    let exists = match target.scope.repository() {
        Some(repository) => Some(client.repository(repository).await),
        None => None,
    };
    match (exists, target.scope.repository()) {
        (Some(Ok(_)), _) => {
            Failure::auth("github-permission", format!("the token may not list the {kind}s of {target}"))
                .cause(&error.problem)
                .hint(format!("the token lacks a permission; this needs: {needs}"))
        }
        (Some(Err(GitHubError { problem: github_error::Problem::NotFound { .. }, .. })), Some(repository)) => {
            Failure::auth(
                "github-not-found",
                format!("repository {repository} does not exist, or the token may not see it"),
            )
            .cause(&error.problem)
            .hint("check the name, and that the token or GitHub App was given access to this repository")
            .hint(format!("it needs: {needs}"))
        }
        _ => failure,
    }
}
