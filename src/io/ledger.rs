//! Where the ledger lies: an Actions variable of the scope, or a file (design §6).

use std::path::{Path, PathBuf};

use super::files;
use super::github::GitHub;
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

/// One file per scope; its name says which, as far as file names can.
fn file_of(folder: &Path, scope: &Scope) -> PathBuf {
    let name: String = scope
        .to_string()
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' })
        .collect();
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

/// Saves `ours`, which began as `base`. Looks first whether another writer saved meanwhile; then both are
/// merged. Answers what is stored now.
///
/// # Errors
/// [`LedgerTrouble`]; the old ledger is then still whole.
pub async fn save(
    github: &GitHub,
    place: &LedgerPlace,
    scope: &Scope,
    base: &Found,
    ours: &Ledger,
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
        LedgerPlace::Variable => save_variables(github, scope, base, ours).await,
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

async fn save_variables(github: &GitHub, scope: &Scope, base: &Found, ours: &Ledger) -> Result<Found, LedgerTrouble> {
    let target = variables_of(scope);
    let stored = github.variable(&target, VARIABLE).await?;
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
