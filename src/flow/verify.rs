//! The delivery canary: proves that what the runner injected into this job has the ledger's fingerprint.

use std::collections::BTreeMap;

use crate::base::error::{Failure, Outcome};
use crate::base::secret::{FingerprintKey, SecretValue};
use crate::base::target::{RepositoryName, Scope};
use crate::flow::observe::ledger_failure;
use crate::io::github_access::GitHubAccess;
use crate::io::ledger::{self, LedgerPlace};
use crate::rules::delivery::{Delivery, compare, known_names};
use crate::rules::ledger::Ledger;

/// The scopes that feed a job, closest first (github-api.md §2).
#[must_use]
pub fn scopes(repository: &RepositoryName, environment: Option<&str>) -> Vec<Scope> {
    let of_environment = environment
        .map(|environment| Scope::Environment { repository: repository.clone(), environment: environment.to_owned() });
    of_environment.into_iter().chain([Scope::Repository(repository.clone())]).collect()
}

/// Reads the ledgers of `scopes`; a scope that keeps none is left out.
///
/// # Errors
/// GitHub's failures; `ledger-missing` when there is no ledger at all; `ledger-other-key` when one was
/// written under another key than `key`.
pub async fn ledgers(
    github: &GitHubAccess,
    place: &LedgerPlace,
    scopes: &[Scope],
    key: &FingerprintKey,
) -> Outcome<Vec<(String, Ledger)>> {
    let mut ledgers = Vec::new();
    for scope in scopes {
        let client = github.client(scope).await?;
        let found = ledger::load(&client, place, scope).await.map_err(|trouble| ledger_failure(scope, trouble))?;
        let Some(ledger) = found.map(|found| found.ledger).filter(|ledger| !ledger.entries.is_empty()) else {
            continue;
        };
        if ledger.key_id.as_ref().is_some_and(|id| *id != key.id()) {
            let message = format!("the ledger of {scope} was written under another fingerprint key");
            return Err(Failure::refused("ledger-other-key", message).hint("run `sync` with the key that ESC has now"));
        }
        ledgers.push((scope.to_string(), ledger));
    }
    if ledgers.is_empty() {
        return Err(Failure::refused("ledger-missing", "there is no ledger to compare with")
            .hint("run `sync` first, with a fingerprint key in ESC"));
    }
    Ok(ledgers)
}

/// Compares; `inject` looks the given names up in the job's environment.
///
/// # Errors
/// `nothing-to-verify` when no name was asked for and none of the ledger is injected.
pub fn verify(
    ledgers: &[(String, Ledger)],
    key: &FingerprintKey,
    asked: &[String],
    inject: impl FnOnce(&[String]) -> BTreeMap<String, SecretValue>,
) -> Outcome<Vec<(String, Delivery)>> {
    let ledgers: Vec<&Ledger> = ledgers.iter().map(|(_, ledger)| ledger).collect();
    let names = if asked.is_empty() { known_names(&ledgers) } else { asked.to_vec() };
    let found = compare(&ledgers, key, &inject(&names), asked);
    if found.is_empty() {
        return Err(Failure::usage(
            "nothing-to-verify",
            "no secret of the ledger is in the environment of this process",
        )
        .hint("give the step `env:` with `NAME: ${{ secrets.NAME }}` for each secret to verify"));
    }
    Ok(found)
}
