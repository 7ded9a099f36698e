//! `doctor`: asks each service the questions that a run would ask, and says what is missing.

use jiff::Timestamp;

use super::sync::OpenedStack;
use super::targets::{Asked, Delivery, resolve};
use crate::base::error::Failure;
use crate::base::secret::Token;
use crate::base::target::{App, EntryKind};
use crate::io::github_access::{Credential, GitHubAccess};
use crate::io::ledger::{self, LedgerPlace, LedgerTrouble};
use crate::report::doctor::{Check, Verdict};
use crate::rules::definition::{Definition, Environment};
use crate::rules::permissions::{Access, needed};
use crate::rules::plan::Target;

/// Seconds by which clocks may differ before tokens and ledgers suffer.
const CLOCK_SKEW: i64 = 60;

fn failed(name: String, failure: &Failure) -> Check {
    let verdict = if failure.kind == crate::base::error::FailureKind::Auth { Verdict::Denied } else { Verdict::Failed };
    // Whoever reads this has run the doctor already.
    let hints = failure.hints.iter().filter(|hint| !hint.contains("doctor")).cloned().collect();
    Check { name, verdict, message: failure.to_string(), hints }
}

/// What ESC answered: the environment, its fingerprint key, and what is missing of the stack.
#[must_use]
pub fn esc(stack: &Environment, opened: &Result<OpenedStack, Failure>) -> Vec<Check> {
    let name = format!("ESC environment {}", stack.esc);
    match opened {
        Err(failure) => vec![failed(name, failure)],
        Ok(opened) => {
            let values = &opened.values;
            let unusable = values.desired.candidates.iter().filter(|candidate| candidate.value.is_err()).count();
            let count = values.desired.candidates.len();
            let open = match unusable {
                0 => Check::fine(name, format!("it opens, and yields {count} names")),
                _ => Check::warning(name, format!("it opens, but {unusable} of {count} names have no usable value"))
                    .hint("`plan` names them"),
            };
            let key = if values.key.is_some() {
                Check::fine("fingerprint key", "ESC holds one: runs write only what differs")
            } else {
                Check::warning("fingerprint key", "ESC holds none: every run writes every secret")
                    .hint("`import-env` makes one")
            };
            vec![open, key]
        }
    }
}

/// What GitHub answered: the token, its limits, the clock, and each target's lists.
pub async fn github(
    github: &GitHubAccess,
    definition: &Definition,
    stack: &Environment,
    asked: &Asked,
    place: &LedgerPlace,
    now: Timestamp,
) -> Vec<Check> {
    let mut checks = vec![credential(github.credential())];
    let deliveries = match resolve(definition, &stack.name, asked, github).await {
        Ok(deliveries) => deliveries,
        Err(failure) => {
            checks.push(failed("targets".to_owned(), &failure));
            return checks;
        }
    };
    if let Some(first) = deliveries.list.first() {
        checks.extend(limits(github, first, now).await);
    }
    for delivery in &deliveries.list {
        checks.extend(target(github, delivery, place).await);
    }
    for skipped in &deliveries.skipped {
        checks.push(Check::warning(skipped.repository.clone(), format!("skipped: it is {}", skipped.why)));
    }
    checks
}

fn credential(credential: &Credential) -> Check {
    let kind = match credential {
        Credential::App(app) => format!("GitHub App {}: a one-hour token per owner", app.id),
        Credential::Token(token) => kind_of(token).to_owned(),
    };
    Check::fine("GitHub credential", kind)
}

/// Told from the public prefix of the token (github-api.md §1.10); lengths say nothing.
fn kind_of(token: &Token) -> &'static str {
    let text = token.reveal();
    let kinds = [
        ("github_pat_", "a fine-grained personal access token"),
        ("ghp_", "a classic personal access token"),
        ("ghs_", "an installation token of a GitHub App, or a workflow's GITHUB_TOKEN (which cannot write secrets)"),
        ("gho_", "an OAuth token"),
        ("ghu_", "a user token of a GitHub App"),
    ];
    kinds.into_iter().find(|(prefix, _)| text.starts_with(prefix)).map_or("a token of unknown kind", |(_, kind)| kind)
}

async fn limits(github: &GitHubAccess, delivery: &Delivery, now: Timestamp) -> Vec<Check> {
    let client = match github.client(&delivery.target.scope).await {
        Ok(client) => client,
        Err(failure) => return vec![failed("GitHub token".to_owned(), &failure)],
    };
    let (limit, date) = match client.rate_limit().await {
        Ok(answer) => answer,
        Err(error) => {
            return vec![failed("GitHub token".to_owned(), &error.failure("ask GitHub for the token's limits", "any"))];
        }
    };
    let left = format!("accepted; {} of {} requests are left this hour", limit.remaining, limit.limit);
    let mut checks = vec![if limit.remaining * 10 < limit.limit {
        Check::warning("GitHub token", left)
    } else {
        Check::fine("GitHub token", left)
    }];
    if let Some(date) = date {
        let skew = now.as_second() - date.as_second();
        checks.push(if skew.abs() > CLOCK_SKEW {
            Check::warning("clock", format!("this machine's clock is {skew} s off GitHub's"))
                .hint("set the clock: tokens and dates depend on it")
        } else {
            Check::fine("clock", "agrees with GitHub's")
        });
    }
    checks
}

async fn target(github: &GitHubAccess, delivery: &Delivery, place: &LedgerPlace) -> Vec<Check> {
    let target = &delivery.target;
    let client = match github.client(&target.scope).await {
        Ok(client) => client,
        Err(failure) => return vec![failed(target.to_string(), &failure)],
    };
    let needs = needed(target, EntryKind::Secret, Access::Write);
    let mut checks = Vec::new();
    match client.list_entries(target, EntryKind::Secret).await {
        Ok(listing) if listing.complete => {
            checks.push(Check::fine(format!("{target}: list"), format!("{} listed", listing.entries.len())));
        }
        Ok(_) => checks.push(Check::warning(format!("{target}: list"), "GitHub counts more secrets than it lists")),
        Err(error) => {
            let failure = error.failure(&format!("list the secrets of {target}"), &needs);
            checks.push(failed(format!("{target}: list"), &failure));
            return checks;
        }
    }
    checks.push(match client.sealing_key(target).await {
        Ok(_) => Check::fine(format!("{target}: public key"), "usable"),
        Err(error) => {
            let failure = error.failure(&format!("get the public key of {target}"), &needs);
            failed(format!("{target}: public key"), &failure)
        }
    });
    let name = format!("{target}: ledger");
    checks.push(match ledger::load(&client, place, &target.scope).await {
        Ok(None) => Check::warning(name, "none is kept (--ledger none)"),
        Ok(Some(found)) if found.variables() == 0 => Check::fine(name, "none yet; the first sync makes it"),
        Ok(Some(found)) => Check::fine(name, format!("readable, {} entries", found.ledger.entries.len())),
        Err(LedgerTrouble::GitHub(error)) => {
            let variables = Target { scope: target.scope.clone(), app: App::Actions };
            let needs = needed(&variables, EntryKind::Variable, Access::Write);
            failed(name, &error.failure(&format!("read the ledger of {}", target.scope), &needs))
        }
        Err(trouble) => Check::warning(name, trouble.to_string())
            .hint("nothing is deleted on the basis of such a ledger; delete the variable to start anew"),
    });
    checks
}
