//! `doctor`: asks each service the questions that a run would ask, and says what is missing.

use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;

use super::sync::OpenedStack;
use super::targets::{Asked, Delivery, resolve};
use crate::base::error::Failure;
use crate::base::secret::Token;
use crate::base::target::{App, EntryKind};
use crate::base::text::counted;
use crate::io::github::GitHub;
use crate::io::github_access::{Credential, GitHubAccess};
use crate::io::github_inventory::TokenState;
use crate::io::ledger::{self, LedgerPlace, LedgerTrouble};
use crate::report::doctor::{Check, Verdict};
use crate::rules::definition::{Definition, Environment};
use crate::rules::permissions::{Access, Powers, Writing, needed, writing};
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
                0 => Check::fine(name, format!("it opens, and yields {}", counted(count, "name", "names"))),
                _ => {
                    let message = format!(
                        "it opens, but {unusable} of {} without a usable value",
                        counted(count, "name is", "names are")
                    );
                    Check::warning(name, message).hint("`plan` names them")
                }
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

/// What is asked of GitHub.
pub struct Questions<'a> {
    pub github: &'a GitHubAccess,
    pub definition: &'a Definition,
    pub stack: &'a Environment,
    pub asked: &'a Asked,
    pub ledger: &'a LedgerPlace,
    /// Public name of the fingerprint key, where ESC holds one.
    pub key_id: Option<String>,
    pub now: Timestamp,
}

/// Targets that are asked about at once.
const TARGETS_AT_ONCE: usize = 16;

/// What GitHub answered: the token, its limits, the clock; and of each target its lists, its ledger, and whether it
/// may be written.
pub async fn github(questions: &Questions<'_>) -> Vec<Check> {
    let github = questions.github;
    let mut checks = vec![credential(github.credential())];
    let deliveries = match resolve(questions.definition, &questions.stack.name, questions.asked, github).await {
        Ok(deliveries) => deliveries,
        Err(failure) => {
            checks.push(failed("targets".to_owned(), &failure));
            return checks;
        }
    };
    let mut scopes = None;
    if let Some(first) = deliveries.list.first() {
        let (token, found) = token(github, first, questions.now).await;
        checks.extend(token);
        scopes = found;
    }
    let scopes = &scopes;
    let targets = deliveries.list.iter().map(|delivery| target(questions, delivery, scopes));
    checks.extend(stream::iter(targets).buffered(TARGETS_AT_ONCE).concat().await);
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

/// What GitHub tells of the token: its limits and the clock; and its scopes, where it has any.
async fn token(github: &GitHubAccess, delivery: &Delivery, now: Timestamp) -> (Vec<Check>, Option<Vec<String>>) {
    let client = match github.client(&delivery.target.scope).await {
        Ok(client) => client,
        Err(failure) => return (vec![failed("GitHub token".to_owned(), &failure)], None),
    };
    let TokenState { core: limit, date, scopes } = match client.token_state().await {
        Ok(state) => state,
        Err(error) => {
            let failure = error.failure("ask GitHub for the token's limits", "any");
            return (vec![failed("GitHub token".to_owned(), &failure)], None);
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
    (checks, scopes)
}

async fn target(questions: &Questions<'_>, delivery: &Delivery, scopes: &Option<Vec<String>>) -> Vec<Check> {
    let target = &delivery.target;
    let client = match questions.github.client(&target.scope).await {
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
    checks.push(ledger_check(questions, &client, target).await);
    checks.extend(write_checks(questions, &client, target, scopes).await);
    checks
}

async fn ledger_check(questions: &Questions<'_>, client: &GitHub, target: &Target) -> Check {
    let name = format!("{target}: ledger");
    match ledger::load(client, questions.ledger, &target.scope).await {
        Ok(None) => Check::warning(name, "none is kept (--ledger none)"),
        Ok(Some(found)) if found.variables() == 0 => Check::fine(name, "none yet; the first sync makes it"),
        Ok(Some(found)) => {
            let entries = counted(found.ledger.entries.len(), "entry", "entries");
            let unsettled = found.ledger.entries.values().filter(|entry| entry.updated_at.is_none()).count();
            match (&found.ledger.key_id, &questions.key_id) {
                (Some(then), Some(now)) if then != now => {
                    Check::warning(name, format!("readable, {entries}, but made with another fingerprint key")).hint(
                        "the next sync writes these secrets once more; two stacks that share a target share a key",
                    )
                }
                _ if unsettled > 0 => {
                    Check::warning(name, format!("readable, {entries}, {unsettled} of them of a run that was cut"))
                        .hint("the next sync looks at them again")
                }
                _ => Check::fine(name, format!("readable, {entries}")),
            }
        }
        Err(LedgerTrouble::GitHub(error)) => {
            let variables = Target { scope: target.scope.clone(), app: App::Actions };
            let needs = needed(&variables, EntryKind::Variable, Access::Write);
            failed(name, &error.failure(&format!("read the ledger of {}", target.scope), &needs))
        }
        Err(trouble) => Check::warning(name, trouble.to_string())
            .hint("nothing is deleted on the basis of such a ledger; delete the variable to start anew"),
    }
}

/// Whether secrets, and the ledger or variables beside them, may be written: as far as it shows before a write.
async fn write_checks(
    questions: &Questions<'_>,
    client: &GitHub,
    target: &Target,
    scopes: &Option<Vec<String>>,
) -> Vec<Check> {
    let mut may_push = None;
    if let Some(repository) = target.scope.repository()
        && let Ok(found) = client.repository(repository).await
    {
        if found.archived {
            let check =
                Check::failed(format!("{target}: write"), "the repository is archived, so nothing can be written");
            return vec![check.hint("take it out of the definition, or unarchive it")];
        }
        // Of an App GitHub tells a role that is nobody's.
        may_push = found.permissions.map(|role| role.push).filter(|_| personal(questions.github.credential()));
    }
    let powers = Powers {
        scopes: scopes.clone().filter(|_| has_scopes(questions.github.credential())),
        permissions: client.permissions().cloned(),
        may_push,
    };
    let mut kinds = vec![EntryKind::Secret];
    let variables = questions.definition.delivers_variables(&questions.stack.name);
    if *questions.ledger == LedgerPlace::Variable || (variables && target.app.has_variables()) {
        kinds.push(EntryKind::Variable);
    }
    let check = |kind: EntryKind| {
        let name = format!("{target}: write {kind}s");
        // The ledger is an Actions variable, whatever app the secrets are for.
        let place = match kind {
            EntryKind::Variable if !target.app.has_variables() => {
                Target { scope: target.scope.clone(), app: App::Actions }
            }
            _ => target.clone(),
        };
        let needs = needed(&place, kind, Access::Write);
        match writing(&powers, &place, kind) {
            Writing::Allowed(why) => Check::fine(name, why),
            Writing::Lacks(why) => Check::denied(name, why).hint(format!("it needs: {needs}")),
            Writing::Unknown => Check::unknown(
                name,
                format!(
                    "cannot be known before a write: GitHub does not tell what this token may do; it needs {needs}"
                ),
            ),
        }
    };
    kinds.into_iter().map(check).collect()
}

/// Whether the credential acts for a person, whose part in a repository GitHub tells.
fn personal(credential: &Credential) -> bool {
    matches!(credential, Credential::Token(token) if !token.reveal().starts_with("ghs_"))
}

/// Whether scopes say what the credential may do.
fn has_scopes(credential: &Credential) -> bool {
    let other = ["github_pat_", "ghs_", "ghu_"];
    matches!(credential, Credential::Token(token) if !other.iter().any(|prefix| token.reveal().starts_with(prefix)))
}
