//! Workflow runs that are not over: they may hold secrets from before a rotation (github-api.md §2).

use jiff::Timestamp;
use serde::Deserialize;

use super::github::{GitHub, segment};
use super::github_error::GitHubError;
use crate::base::target::RepositoryName;

/// What listing runs takes.
pub const PERMISSION: &str = "repository permission `Actions`: read (classic scope `repo`)";

/// A run that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedRun {
    /// When its newest attempt was queued.
    pub queued: Timestamp,
    /// Whether a job of it may have started already.
    pub in_progress: bool,
}

/// The states of a run that is not over.
const STATES: [&str; 5] = ["queued", "in_progress", "waiting", "pending", "requested"];

#[derive(Deserialize)]
struct Page {
    workflow_runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    created_at: Timestamp,
    run_started_at: Option<Timestamp>,
}

impl GitHub {
    /// Runs of a repository that were created until `until` and are not over: the newest hundred of each state.
    ///
    /// # Errors
    /// [`GitHubError`].
    pub async fn unfinished_runs(
        &self,
        repository: &RepositoryName,
        until: Timestamp,
    ) -> Result<Vec<UnfinishedRun>, GitHubError> {
        let runs = format!("/repos/{}/{}/actions/runs", segment(repository.owner()), segment(repository.name()));
        let until = segment(&format!("<={}", until.strftime("%Y-%m-%dT%H:%M:%SZ")));
        let mut unfinished = Vec::new();
        for state in STATES {
            let page: Page = self.get_json(&format!("{runs}?status={state}&created={until}&per_page=100")).await?;
            unfinished.extend(page.workflow_runs.into_iter().map(|run| UnfinishedRun {
                queued: run.run_started_at.unwrap_or(run.created_at),
                in_progress: state == "in_progress",
            }));
        }
        Ok(unfinished)
    }
}
