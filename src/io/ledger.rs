//! Where the ledger lies: an Actions variable of the scope, or a file (design §6).

use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::files;
use super::github::{GitHub, segment};
use super::github_error::GitHubError;
use crate::base::target::{App, EntryKind, Scope};
use crate::rules::ledger::{Ledger, LedgerError, Side, VARIABLE, part_name};
use crate::rules::plan::{Exposure, Target, Visibility};

/// Where ledgers are kept (`--ledger`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerPlace {
    /// The variable [`VARIABLE`] in the scope itself.
    Variable,
    /// One file per scope in this folder.
    Folder(PathBuf),
    /// Nowhere: every run writes everything.
    Nowhere,
}

/// A ledger as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    pub ledger: Ledger,
    /// The stored parts; empty when there was none.
    parts: Vec<String>,
}

impl Found {
    /// How many variables it takes.
    #[must_use]
    pub fn variables(&self) -> usize {
        self.parts.len()
    }
}

/// Why a ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerTrouble {
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error(transparent)]
    Content(#[from] LedgerError),
    #[error(transparent)]
    File(#[from] crate::base::error::Failure),
}

impl LedgerTrouble {
    /// Whether another try, later, may go well.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::GitHub(error) if error.may_pass())
    }
}

/// The variables of a scope are `actions` variables, whatever app the secrets are for.
fn variables_of(scope: &Scope) -> Target {
    Target { scope: scope.clone(), app: App::Actions }
}

/// A ledger at an organization is nobody's business but ours: no repository sees it.
fn exposure_of(scope: &Scope) -> Option<Exposure> {
    matches!(scope, Scope::Organization(_))
        .then(|| Exposure { visibility: Visibility::Selected, repositories: std::collections::BTreeSet::new() })
}

/// Reads the ledger of a scope; none when none is kept. One request while it fits into one variable.
///
/// # Errors
/// [`LedgerTrouble`] when GitHub or the disk refuses, or the text is not a ledger of ours.
pub async fn load(github: &GitHub, place: &LedgerPlace, scope: &Scope) -> Result<Option<Found>, LedgerTrouble> {
    match place {
        LedgerPlace::Nowhere => Ok(None),
        LedgerPlace::Folder(folder) => from_file(&file_of(folder, scope)).map(Some),
        LedgerPlace::Variable => from_variables(github, scope).await.map(Some),
    }
}

/// Bytes of a file's name above which it is cut: most file systems take 255.
const LONGEST_NAME: usize = 200;

/// One file per scope, percent-encoded: no two scopes share one. Case does not tell scopes apart at GitHub.
fn file_of(folder: &Path, scope: &Scope) -> PathBuf {
    let scope = scope.to_string().to_ascii_lowercase();
    let mut name = segment(&scope);
    if name.len() > LONGEST_NAME {
        let digest = hex::encode(Sha256::digest(&scope));
        name = format!("{}~{digest}", &name[..LONGEST_NAME - digest.len()]);
    }
    folder.join(format!("{name}.ledger"))
}

fn from_file(path: &Path) -> Result<Found, LedgerTrouble> {
    let Some(bytes) = files::read_if_there(path, files::LARGEST)? else { return Ok(Found::default()) };
    let text = String::from_utf8(bytes).map_err(|_| LedgerError::Corrupt("it is not UTF-8".into()))?;
    let parts: Vec<String> = text.lines().map(str::to_owned).collect();
    Ok(Found { ledger: Ledger::from_parts(&parts)?, parts })
}

async fn from_variables(github: &GitHub, scope: &Scope) -> Result<Found, LedgerTrouble> {
    let target = variables_of(scope);
    let Some(first) = github.variable(&target, VARIABLE).await? else { return Ok(Found::default()) };
    let head = Ledger::head_of(&first)?;
    let mut parts = vec![first];
    for index in 1..head.parts {
        let part = github.variable(&target, &part_name(index, head.side)).await?;
        parts.push(part.ok_or(LedgerError::Incomplete { found: index, expected: head.parts })?);
    }
    Ok(Found { ledger: Ledger::from_parts(&parts)?, parts })
}

/// How long a [`Glance`] counts: longer ago, another writer may have saved.
const FRESH: Duration = Duration::from_secs(2);

/// What the ledger's first variable held a moment ago.
pub struct Glance {
    first: Option<String>,
    at: Instant,
}

/// Looks at the ledger's first variable, beside what else a run reads before it saves; none where that is of no use.
pub async fn glance(github: &GitHub, place: &LedgerPlace, scope: &Scope) -> Option<Glance> {
    if *place != LedgerPlace::Variable {
        return None;
    }
    let at = Instant::now();
    let first = github.variable(&variables_of(scope), VARIABLE).await.ok()?;
    Some(Glance { first, at })
}

/// Saves `ours`, which began as `base`. Looks first whether another writer saved meanwhile, unless a fresh
/// `glance` tells; then both are merged. Answers what is stored now.
///
/// # Errors
/// [`LedgerTrouble`]; the old ledger is then still whole.
pub async fn save(
    github: &GitHub,
    place: &LedgerPlace,
    scope: &Scope,
    base: &Found,
    ours: &Ledger,
    glance: Option<Glance>,
) -> Result<Found, LedgerTrouble> {
    match place {
        LedgerPlace::Nowhere => Ok(base.clone()),
        LedgerPlace::Folder(folder) => {
            let path = file_of(folder, scope);
            files::make_folder(folder)?;
            let _lock = files::Lock::take(&path.with_extension("lock"))?;
            let now = from_file(&path)?;
            let (parts, ledger) = next(base, now.clone(), ours)?;
            files::write_private(&path, parts.join("\n").as_bytes())?;
            Ok(Found { ledger, parts })
        }
        LedgerPlace::Variable => save_variables(github, scope, base, ours, glance).await,
    }
}

/// What to store next: `ours`, or both writers' entries when `now` is not what we began with.
fn next(base: &Found, now: Found, ours: &Ledger) -> Result<(Vec<String>, Ledger), LedgerError> {
    let (side, generation) = match now.parts.first() {
        Some(first) => {
            let head = Ledger::head_of(first)?;
            (head.side.other(), head.generation + 1)
        }
        None => (Side::A, 1),
    };
    let moved = now.parts.first() != base.parts.first();
    let ledger = if moved { Ledger::merged_over(&now.ledger, &base.ledger, ours) } else { ours.clone() };
    Ok((ledger.to_parts(side, generation), ledger))
}

async fn save_variables(
    github: &GitHub,
    scope: &Scope,
    base: &Found,
    ours: &Ledger,
    glance: Option<Glance>,
) -> Result<Found, LedgerTrouble> {
    let target = variables_of(scope);
    let stored = match glance.filter(|glance| glance.at.elapsed() < FRESH) {
        Some(glance) => glance.first,
        None => github.variable(&target, VARIABLE).await?,
    };
    let moved = stored.as_ref() != base.parts.first();
    let now = if moved { from_variables(github, scope).await? } else { base.clone() };
    let before = now.parts.len();
    let (parts, ledger) = next(base, now, ours)?;
    let side = Ledger::head_of(parts.first().map_or("", String::as_str))?.side;
    let exposure = exposure_of(scope);
    // The first part goes last: it is what makes the new set count.
    for (index, part) in parts.iter().enumerate().rev() {
        let exists = if index == 0 { stored.is_some() } else { index < before };
        github.set_variable(&target, &part_name(index, side), part, exists, exposure.as_ref()).await?;
    }
    if parts.len() == 1 {
        for index in 1..before {
            for side in [Side::A, Side::B] {
                github.delete_entry(&target, EntryKind::Variable, &part_name(index, side)).await?;
            }
        }
    }
    Ok(Found { ledger, parts })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Scope {
        Scope::Environment { repository: "payready/sophia".parse().unwrap(), environment: name.into() }
    }

    #[test]
    fn no_two_scopes_share_a_file() {
        let name = |scope: &Scope| file_of(Path::new(""), scope).display().to_string();
        let long = "e".repeat(250);
        let scopes = [
            Scope::Repository("payready/sophia".parse().unwrap()),
            Scope::Repository("payready/sophia_environment_prod".parse().unwrap()),
            Scope::Organization("payready".into()),
            environment("prod/eu"),
            environment("prod_eu"),
            environment("prod eu"),
            environment("prod%2Feu"),
            environment("prod%20eu"),
            environment(".."),
            environment(&format!("{long}/")),
            environment(&format!("{long}_")),
        ];
        let names: std::collections::BTreeSet<String> = scopes.iter().map(name).collect();
        assert_eq!(names.len(), scopes.len(), "{names:?}");
        assert!(names.iter().all(|name| name.len() < 255 && !name.contains(['/', ' '])), "{names:?}");
        assert_eq!(name(&environment("Prod/EU")), name(&environment("prod/eu")));
        assert_eq!(name(&scopes[0]), "payready%2Fsophia.ledger");
    }
}
