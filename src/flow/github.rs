//! `github set`, `list` and `delete`: GitHub's secrets without ESC (what `configure_github_secrets.py` did).
//!
//! `set` makes the same plan as `sync` does, from a dotenv file. It has no key, so it keeps no ledger and writes
//! every name; a later `sync` sees what was written here as an edit from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::observe::{Look, SeenScope, look};
use super::sync::Values;
use super::targets::{Asked, resolve};
use crate::base::environment::EscName;
use crate::base::error::{Failure, FailureKind, Outcome, Place, Problem};
use crate::base::target::EntryKind;
use crate::base::text::counted;
use crate::io::audit::AuditLog;
use crate::io::github_access::GitHubAccess;
use crate::io::ledger::LedgerPlace;
use crate::report::github::{DeletedName, GithubEntry, GithubStore};
use crate::rules::definition::{Definition, Environment as Stack, Group, SyncSettings};
use crate::rules::desired::{Candidate, Desired};
use crate::rules::dotenv::Entry;
use crate::rules::permissions::{Access, needed};
use crate::rules::plan::{PlanSource, Reason, Refusal};
use crate::rules::{audit, naming, placeholder, policy};

/// The one group of a definition that only holds a dotenv file.
const GROUP: &str = "env-file";

/// A definition with nothing in it but the names of a file, for commands that need none.
///
/// # Errors
/// Never; the names are fixed.
pub fn bare_definition(file: &str) -> Outcome<(Definition, Stack)> {
    let place = Place { file: file.to_owned(), line: 1, column: 1 };
    let esc =
        EscName::new("none", "none", GROUP).map_err(|error| Failure::unexpected("esc-name", error.to_string()))?;
    let stack =
        Stack { name: GROUP.to_owned(), description: String::new(), tags: BTreeMap::new(), esc, place: place.clone() };
    let group = Group {
        name: GROUP.to_owned(),
        description: String::new(),
        environments: vec![GROUP.to_owned()],
        rotation: None,
        place,
    };
    let definition = Definition {
        file: file.to_owned(),
        name: GROUP.to_owned(),
        description: String::new(),
        organization: "none".to_owned(),
        default_stack: None,
        environments: vec![stack.clone()],
        groups: vec![group],
        mappings: Vec::new(),
        policies: Vec::new(),
        targets: Vec::new(),
        sync: SyncSettings::default(),
    };
    Ok((definition, stack))
}

/// Access policies that bind although no definition is asked for names or places.
#[derive(Debug, Clone, Copy)]
pub struct Policies<'a> {
    pub definition: &'a Definition,
    /// None: a grant of any stack is enough, for nobody says whose values these are.
    pub stack: Option<&'a str>,
}

impl Policies<'_> {
    /// Why `name` may not be written where `asked` says; none when it may, or no group is known to have it.
    fn denial(&self, name: &str, asked: &Asked) -> Option<String> {
        let reader = asked.reader()?;
        let mappings: Vec<_> = self.definition.mappings_to(name).collect();
        let granted = mappings.iter().any(|mapping| {
            let group = self.definition.group(&mapping.group);
            let stacks = group.map(|group| group.environments.as_slice()).unwrap_or_default();
            stacks.iter().any(|stack| {
                self.stack.is_none_or(|asked| asked == stack)
                    && policy::decide_destination(self.definition, &mapping.group, stack, &reader).allowed
            })
        });
        let first = mappings.first().filter(|_| !granted)?;
        let stack = self.stack.map_or_else(|| "any stack".to_owned(), |stack| format!("stack `{stack}`"));
        Some(format!("no access policy of `{}` grants group `{}` of {stack} to it", self.definition.file, first.group))
    }

    /// A warning for names that no mapping has, so that no policy is about them.
    fn unknown(&self, entries: &[Entry]) -> Option<Problem> {
        let names: Vec<String> = entries
            .iter()
            .filter(|entry| self.definition.mappings_to(&entry.name).next().is_none())
            .map(|entry| format!("`{}`", entry.name))
            .collect();
        (!names.is_empty()).then(|| {
            let message = format!(
                "no access policy of `{}` is about {}: no mapping says which group has it",
                self.definition.file,
                names.join(", ")
            );
            Problem::warning("policy-unknown", message).hint("map such names in the definition, and use `sync`")
        })
    }
}

/// The values of a dotenv file, ready for a plan. What cannot be a secret of GitHub, and what `policies` deny, is a
/// refusal under its name.
#[must_use]
pub fn values(file: &str, entries: &[Entry], policies: Option<Policies<'_>>, asked: &Asked) -> Values {
    let refusal = |reason, message: String| Err(Refusal { reason, message });
    let candidates = entries.iter().map(|entry| {
        let denial = policies.and_then(|policies| policies.denial(&entry.name, asked));
        let value = match (naming::check(&entry.name), denial) {
            (Err(error), _) => refusal(Reason::Name, error.to_string()),
            (Ok(()), Some(denial)) => refusal(Reason::Policy, denial),
            (Ok(()), None) if placeholder::is_placeholder_value(&entry.value) => {
                refusal(Reason::Missing, "the value is a placeholder".to_owned())
            }
            (Ok(()), None) => Ok(Arc::new(entry.value.clone())),
        };
        Candidate {
            name: naming::fold(&entry.name).into(),
            group: GROUP.into(),
            kind: EntryKind::Secret,
            place: Some(Arc::new(Place { file: file.to_owned(), line: entry.line, column: 1 })),
            value,
        }
    });
    let warnings = policies.and_then(|policies| policies.unknown(entries)).into_iter().collect();
    let desired = Desired { candidates: candidates.collect(), warnings, ..Desired::default() };
    let source = PlanSource { kind: GROUP, environment: file.to_owned(), revision: None };
    Values { desired, key: None, source }
}

/// Lists what the asked stores hold.
///
/// # Errors
/// GitHub's failures.
pub async fn list(github: &GitHubAccess, asked: &Asked) -> Outcome<Vec<GithubStore>> {
    let kinds = BTreeSet::from([EntryKind::Secret, EntryKind::Variable]);
    let stores = seen(github, asked, &kinds).await?.into_iter().flat_map(|scope| {
        scope.targets.into_iter().map(|seen| GithubStore {
            target: seen.delivery.target.to_string(),
            entries: seen
                .observed
                .entries
                .into_iter()
                .map(|((kind, name), listed)| GithubEntry { name, kind, updated_at: listed.updated_at })
                .collect(),
        })
    });
    Ok(stores.collect())
}

/// Names that are to be deleted, store by store.
pub struct Deletion {
    scopes: Vec<SeenScope>,
    /// None: every secret.
    names: Option<BTreeSet<String>>,
}

impl Deletion {
    /// Looks for the names. `names` empty means every secret of the stores.
    ///
    /// # Errors
    /// `github-no-such-secret` when a name is in none of the stores; GitHub's failures.
    pub async fn find(github: &GitHubAccess, asked: &Asked, names: &[String]) -> Outcome<Self> {
        let scopes = seen(github, asked, &BTreeSet::from([EntryKind::Secret])).await?;
        let names: BTreeSet<String> = names.iter().map(|name| naming::fold(name)).collect();
        let deletion = Self { scopes, names: (!names.is_empty()).then_some(names) };
        let found: BTreeSet<String> = deletion.found().into_iter().map(|(_, name)| name).collect();
        let missing: Vec<String> = deletion
            .names
            .iter()
            .flatten()
            .filter(|name| !found.contains(*name))
            .map(|name| format!("`{name}`"))
            .collect();
        if missing.is_empty() {
            return Ok(deletion);
        }
        Err(Failure::usage(
            "github-no-such-secret",
            format!("there is no secret {}; nothing was deleted", missing.join(", ")),
        )
        .hint("`github list` shows what is there"))
    }

    /// Store and name of everything that would be deleted.
    #[must_use]
    pub fn found(&self) -> Vec<(String, String)> {
        let targets = self.scopes.iter().flat_map(|scope| &scope.targets);
        targets
            .flat_map(|seen| {
                let names = seen.observed.entries.keys().map(|(_, name)| name);
                let wanted = names.filter(|name| self.names.as_ref().is_none_or(|names| names.contains(*name)));
                wanted.map(|name| (seen.delivery.target.to_string(), name.clone()))
            })
            .collect()
    }

    /// Deletes them all; one failure does not keep the others. Each is recorded before the next is begun.
    ///
    /// # Errors
    /// `github-unrecorded` (kind partial) when the audit trail cannot be written any more: nothing further was
    /// deleted then.
    pub async fn carry_out(&self, log: &AuditLog) -> Outcome<Vec<DeletedName>> {
        let mut deleted = Vec::new();
        for scope in &self.scopes {
            for seen in &scope.targets {
                let target = &seen.delivery.target;
                for (kind, name) in seen.observed.entries.keys() {
                    if self.names.as_ref().is_some_and(|names| !names.contains(name)) {
                        continue;
                    }
                    let result = scope.client.delete_entry(target, *kind, name).await;
                    let failure = result.err().map(|error| {
                        error.failure(&format!("delete `{name}` of {target}"), &needed(target, *kind, Access::Write))
                    });
                    log.append(&audit::Entry {
                        target: Some(target.to_string()),
                        kind: Some(kind.word().to_owned()),
                        name: Some(name.clone()),
                        action: Some("delete".to_owned()),
                        outcome: Some(if failure.is_none() { "done" } else { "failed" }.to_owned()),
                        error: failure.as_ref().map(|failure| failure.code.to_owned()),
                        ..audit::Entry::of("step")
                    })
                    .map_err(unrecorded)?;
                    let error = failure.map(|failure| failure.to_string());
                    deleted.push(DeletedName { target: target.to_string(), name: name.clone(), error });
                }
            }
        }
        let complete = deleted.iter().all(|name| name.error.is_none());
        let outcome = Some(if complete { "done" } else { "partial" }.to_owned());
        log.append(&audit::Entry { outcome, ..audit::Entry::of("run-ended") }).map_err(unrecorded)?;
        Ok(deleted)
    }
}

fn unrecorded(failure: Failure) -> Failure {
    Failure::new(
        FailureKind::Partial,
        "github-unrecorded",
        "a deletion could not be recorded; no further one was begun",
    )
    .cause(failure)
}

/// The failure of a deletion that left something.
///
/// # Errors
/// `github-delete` when something was left: kind partial when something else was deleted.
pub fn end(deleted: &[DeletedName]) -> Outcome<()> {
    let failed = deleted.iter().filter(|name| name.error.is_some()).count();
    if failed == 0 {
        return Ok(());
    }
    let kind = if failed == deleted.len() { FailureKind::Auth } else { FailureKind::Partial };
    let (names, were) = (counted(deleted.len(), "name", "names"), if failed == 1 { "was" } else { "were" });
    Err(Failure::new(kind, "github-delete", format!("{failed} of {names} {were} not deleted")))
}

async fn seen(github: &GitHubAccess, asked: &Asked, kinds: &BTreeSet<EntryKind>) -> Outcome<Vec<SeenScope>> {
    let (definition, stack) = bare_definition("")?;
    let deliveries = resolve(&definition, &stack.name, asked, github).await?;
    let looking = Look {
        github,
        ledger: &LedgerPlace::Nowhere,
        read_ledger: false,
        kinds,
        create_environments: false,
        variables_may_be_denied: false,
        will_write: false,
    };
    look(&looking, deliveries.list).await
}
