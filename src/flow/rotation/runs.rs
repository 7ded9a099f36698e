//! Workflow runs that may still hold the value from before: it must not be revoked while they go on.
//!
//! A job gets the secrets of its repository and organization as they were when the run was queued, those of an
//! environment when the job starts (github-api.md §2).

use std::collections::BTreeMap;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use crate::base::target::{App, RepositoryName, Scope};
use crate::flow::observe::{SeenScope, SeenTarget};
use crate::io::github_runs::{PERMISSION, UnfinishedRun};

/// A run ends after this time at the latest, so an older change is in every job.
const LONGEST_RUN: SignedDuration = SignedDuration::from_hours(35 * 24);

/// The most repositories that are asked.
const MOST_REPOSITORIES: usize = 20;

/// The runs under way of the repositories whose secrets changed lately.
#[derive(Debug, Default)]
pub struct Runs {
    of: BTreeMap<RepositoryName, Vec<UnfinishedRun>>,
    /// What could not be looked at.
    pub notes: Vec<String>,
}

impl Runs {
    /// Asks for the runs of every repository where something changed lately; `changed` answers the newest change
    /// of what a command is about.
    pub async fn look(
        seen: &[SeenScope],
        changed: impl Fn(&SeenScope, &SeenTarget) -> Option<Timestamp>,
        now: Timestamp,
    ) -> Self {
        let mut runs = Self::default();
        let mut wanted: BTreeMap<&RepositoryName, (&SeenScope, Timestamp)> = BTreeMap::new();
        for scope in seen {
            let readers = scope.targets.iter().filter(|seen| runs_read(seen.delivery.target.app));
            let Some(newest) = readers.filter_map(|seen| changed(scope, seen)).max() else { continue };
            if now.duration_since(newest) > LONGEST_RUN {
                continue;
            }
            match scope.scope.repository() {
                Some(repository) => {
                    let (_, until) = wanted.entry(repository).or_insert((scope, newest));
                    *until = newest.max(*until);
                }
                None => runs.notes.push(format!("runs under way that use secrets of {}", scope.scope)),
            }
        }
        if wanted.len() > MOST_REPOSITORIES {
            let left = wanted.len() - MOST_REPOSITORIES;
            runs.notes.push(format!("runs under way of {left} more repositories"));
        }
        let asked = wanted.into_iter().take(MOST_REPOSITORIES).map(|(repository, (scope, until))| async move {
            (repository, scope.client.unfinished_runs(repository, until).await)
        });
        for (repository, answer) in join_all(asked).await {
            match answer {
                Ok(found) => {
                    runs.of.insert(repository.clone(), found);
                }
                Err(error) => {
                    let needs = if error.is_denied() { format!("; it takes {PERMISSION}") } else { String::new() };
                    runs.notes.push(format!("runs under way of {repository}: {}{needs}", error.problem));
                }
            }
        }
        runs
    }

    /// When the oldest run was queued that may hold what `scope` gave its jobs before `changed`.
    #[must_use]
    pub fn oldest(&self, scope: &Scope, app: App, changed: Timestamp) -> Option<Timestamp> {
        let of_environment = matches!(scope, Scope::Environment { .. });
        let found = self.of.get(scope.repository()?).filter(|_| runs_read(app))?;
        let holding = found.iter().filter(|run| run.queued < changed && (run.in_progress || !of_environment));
        holding.map(|run| run.queued).min()
    }
}

/// Whether workflow runs get the secrets of an app.
fn runs_read(app: App) -> bool {
    matches!(app, App::Actions | App::Dependabot)
}
