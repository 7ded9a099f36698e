//! What exists at GitHub: repositories, environments, the token's own limits (github-api.md §§1.5, 1.7, 1.10).

use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::github::{GitHub, header, segment};
use super::github_error::GitHubError;
use crate::base::target::RepositoryName;

/// A repository, as far as this tool looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Repository {
    pub id: u64,
    pub full_name: String,
    #[serde(default)]
    pub archived: bool,
    #[serde(default)]
    pub disabled: bool,
    /// `public`, `private` or `internal`.
    #[serde(default)]
    pub visibility: Option<String>,
    /// Stored in lower case.
    #[serde(default)]
    pub topics: Vec<String>,
    /// What the token's owner may do there.
    #[serde(default)]
    pub permissions: Option<Role>,
}

/// A user's part in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Role {
    #[serde(default)]
    pub push: bool,
}

/// An environment of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Environment {
    pub name: String,
    #[serde(default)]
    pub protection_rules: Vec<serde_json::Value>,
}

/// The primary rate limit of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct RateLimit {
    pub limit: u64,
    pub remaining: u64,
    /// Epoch seconds.
    pub reset: i64,
}

/// What GitHub tells of a token with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenState {
    pub core: RateLimit,
    /// GitHub's clock.
    pub date: Option<Timestamp>,
    /// Classic and OAuth tokens only.
    pub scopes: Option<Vec<String>>,
}

fn repository_path(repository: &RepositoryName) -> String {
    format!("/repos/{}/{}", segment(repository.owner()), segment(repository.name()))
}

impl GitHub {
    /// # Errors
    /// [`GitHubError`]; 404 when it does not exist or the token may not see it.
    pub async fn repository(&self, repository: &RepositoryName) -> Result<Repository, GitHubError> {
        self.get_json(&repository_path(repository)).await
    }

    /// All repositories of an organization that the token may see, with their topics.
    ///
    /// # Errors
    /// [`GitHubError`].
    pub async fn organization_repositories(&self, organization: &str) -> Result<Vec<Repository>, GitHubError> {
        let mut all = Vec::new();
        for page in 1.. {
            let path =
                format!("/orgs/{}/repos?type=all&sort=full_name&per_page=100&page={page}", segment(organization));
            let repositories: Vec<Repository> = self.get_json(&path).await?;
            let count = repositories.len();
            all.extend(repositories);
            if count < 100 {
                break;
            }
        }
        Ok(all)
    }

    /// One environment; none when the repository has none of that name.
    ///
    /// # Errors
    /// [`GitHubError`], but not for 404.
    pub async fn environment(
        &self,
        repository: &RepositoryName,
        name: &str,
    ) -> Result<Option<Environment>, GitHubError> {
        match self.get_json(&format!("{}/environments/{}", repository_path(repository), segment(name))).await {
            Ok(environment) => Ok(Some(environment)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All environments of a repository.
    ///
    /// # Errors
    /// [`GitHubError`].
    pub async fn environments(&self, repository: &RepositoryName) -> Result<Vec<Environment>, GitHubError> {
        #[derive(Deserialize)]
        struct Page {
            total_count: usize,
            environments: Vec<Environment>,
        }
        let mut all = Vec::new();
        for page in 1.. {
            let path = format!("{}/environments?per_page=100&page={page}", repository_path(repository));
            let Page { total_count, environments } = self.get_json(&path).await?;
            let count = environments.len();
            all.extend(environments);
            if count == 0 || all.len() >= total_count {
                break;
            }
        }
        Ok(all)
    }

    /// Makes an environment without rules. Only for one that a GET just reported missing: on an existing
    /// one this could reset its protection rules (github-api.md §1.5).
    ///
    /// # Errors
    /// [`GitHubError`].
    pub async fn create_environment(&self, repository: &RepositoryName, name: &str) -> Result<(), GitHubError> {
        let path = format!("{}/environments/{}", repository_path(repository), segment(name));
        self.send(Method::PUT, &path, Some(&json!({}))).await.map(|_| ())
    }

    /// What GitHub tells of the token itself, free of charge.
    ///
    /// # Errors
    /// [`GitHubError`].
    pub async fn token_state(&self) -> Result<TokenState, GitHubError> {
        #[derive(Deserialize)]
        struct Answer {
            resources: Resources,
        }
        #[derive(Deserialize)]
        struct Resources {
            core: RateLimit,
        }
        let path = "/rate_limit";
        let answer = self.get(path).await?;
        let limits: Answer = answer.json().map_err(|problem| GitHubError::new(&Method::GET, path, problem))?;
        let scopes = header(&answer.headers, "x-oauth-scopes")
            .map(|list| list.split(',').map(str::trim).filter(|scope| !scope.is_empty()).map(str::to_owned).collect());
        Ok(TokenState { core: limits.resources.core, date: answer.date(), scopes })
    }
}
