//! Issues of a repository (github-api.md §1.9).

use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::github::{GitHub, segment};
use super::github_error::GitHubError;
use crate::base::target::RepositoryName;

/// What writing issues takes.
pub const PERMISSION: &str = "repository permission `Issues`: read and write (classic scope `repo`)";

/// The most pages of open issues that are read.
const MOST_PAGES: usize = 20;

/// An issue, as far as this tool looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Issue {
    pub number: u64,
    pub title: String,
    #[serde(default)]
    pub body: Option<String>,
    /// There for pull requests, which GitHub lists as issues too.
    #[serde(default)]
    pull_request: Option<serde_json::Value>,
}

fn path(repository: &RepositoryName) -> String {
    format!("/repos/{}/{}/issues", segment(repository.owner()), segment(repository.name()))
}

impl GitHub {
    /// The open issues, without pull requests; none when there are more than are read.
    ///
    /// # Errors
    /// [`GitHubError`].
    pub async fn open_issues(&self, repository: &RepositoryName) -> Result<Option<Vec<Issue>>, GitHubError> {
        let mut all = Vec::new();
        for page in 1..=MOST_PAGES {
            let issues: Vec<Issue> =
                self.get_json(&format!("{}?state=open&per_page=100&page={page}", path(repository))).await?;
            let count = issues.len();
            all.extend(issues.into_iter().filter(|issue| issue.pull_request.is_none()));
            if count < 100 {
                return Ok(Some(all));
            }
        }
        Ok(None)
    }

    /// Opens an issue and answers its number.
    ///
    /// # Errors
    /// [`GitHubError`].
    pub async fn open_issue(&self, repository: &RepositoryName, title: &str, body: &str) -> Result<u64, GitHubError> {
        let path = path(repository);
        let answer = self.send(Method::POST, &path, Some(&json!({"title": title, "body": body}))).await?;
        let issue: Issue = answer.json().map_err(|problem| GitHubError::new(&Method::POST, &path, problem))?;
        Ok(issue.number)
    }

    /// Replaces title and body of an issue, and closes it if it is done.
    ///
    /// # Errors
    /// [`GitHubError`].
    pub async fn update_issue(
        &self,
        repository: &RepositoryName,
        number: u64,
        title: &str,
        body: &str,
        done: bool,
    ) -> Result<(), GitHubError> {
        let mut changes = json!({"title": title, "body": body});
        if done {
            changes["state"] = json!("closed");
            changes["state_reason"] = json!("completed");
        }
        self.send(Method::PATCH, &format!("{}/{number}", path(repository)), Some(&changes)).await.map(|_| ())
    }
}
