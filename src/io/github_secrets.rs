//! The secrets of one store at GitHub: list, public key, write, delete (github-api.md §§1.1–1.5).

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::github::{GitHub, segment};
use super::github_error::{GitHubError, Problem};
use crate::base::secret::{SealingKey, SecretValue};
use crate::base::target::{App, EntryKind, Scope};
use crate::rules::plan::{Exposure, Listed, Target, Visibility};

/// A whole listing: names with what GitHub tells of them, and whether they were as many as it counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// By upper-cased name.
    pub entries: BTreeMap<String, Listed>,
    pub complete: bool,
}

#[derive(Deserialize)]
struct Page {
    total_count: usize,
    #[serde(alias = "variables")]
    secrets: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    name: String,
    updated_at: String,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    visibility: Option<Visibility>,
}

#[derive(Deserialize)]
struct PublicKey {
    key_id: Json,
    key: String,
}

/// The path of a list of secrets or variables.
#[must_use]
pub fn list_path(target: &Target, kind: EntryKind) -> String {
    let word = if kind == EntryKind::Secret { "secrets" } else { "variables" };
    // Variables live under `actions`, and under `agents` for that app (github-api.md §1.6).
    let app = match (kind, target.app) {
        (EntryKind::Variable, App::Agents) => App::Agents,
        (EntryKind::Variable, _) => App::Actions,
        (EntryKind::Secret, app) => app,
    };
    match &target.scope {
        Scope::Repository(repository) => {
            format!("/repos/{}/{}/{app}/{word}", segment(repository.owner()), segment(repository.name()))
        }
        Scope::Environment { repository, environment } => format!(
            "/repos/{}/{}/environments/{}/{word}",
            segment(repository.owner()),
            segment(repository.name()),
            segment(environment)
        ),
        Scope::Organization(organization) => format!("/orgs/{}/{app}/{word}", segment(organization)),
    }
}

fn entry_path(target: &Target, kind: EntryKind, name: &str) -> String {
    format!("{}/{}", list_path(target, kind), segment(name))
}

impl GitHub {
    /// Lists all names of a target, page by page; values too for variables.
    ///
    /// # Errors
    /// [`GitHubError`] of the first page that failed.
    pub async fn list_entries(&self, target: &Target, kind: EntryKind) -> Result<Listing, GitHubError> {
        // GitHub's largest pages: 100 secrets, 30 variables (github-api.md §1.0).
        let per_page = if kind == EntryKind::Secret { 100 } else { 30 };
        let mut listing = Listing::default();
        let mut seen = 0;
        for page in 1.. {
            let path = format!("{}?per_page={per_page}&page={page}", list_path(target, kind));
            let Page { total_count, secrets } = self.get_json(&path).await?;
            let count = secrets.len();
            seen += count;
            listing.entries.extend(secrets.into_iter().map(|item| {
                let listed = Listed {
                    updated_at: item.updated_at,
                    variable: item.value.filter(|_| kind == EntryKind::Variable),
                    visibility: item.visibility,
                    repositories: None,
                };
                (item.name.to_uppercase(), listed)
            }));
            listing.complete = seen == total_count && listing.entries.len() == total_count;
            if count < per_page || seen >= total_count {
                break;
            }
        }
        Ok(listing)
    }

    /// The ids of the repositories that may see an organization entry of visibility `selected`.
    ///
    /// # Errors
    /// [`GitHubError`].
    pub async fn selected_repositories(
        &self,
        target: &Target,
        kind: EntryKind,
        name: &str,
    ) -> Result<BTreeSet<u64>, GitHubError> {
        #[derive(Deserialize)]
        struct Page {
            total_count: usize,
            repositories: Vec<Repository>,
        }
        #[derive(Deserialize)]
        struct Repository {
            id: u64,
        }
        let mut ids = BTreeSet::new();
        for page in 1.. {
            let path = format!("{}/repositories?per_page=100&page={page}", entry_path(target, kind, name));
            let Page { total_count, repositories } = self.get_json(&path).await?;
            let count = repositories.len();
            ids.extend(repositories.into_iter().map(|repository| repository.id));
            if count == 0 || ids.len() >= total_count {
                break;
            }
        }
        Ok(ids)
    }

    /// The public key that seals for the target's secrets. One key per store, never shared (§1.1).
    ///
    /// # Errors
    /// [`GitHubError`]; a key that is not 32 bytes is [`Problem::Malformed`].
    pub async fn sealing_key(&self, target: &Target) -> Result<SealingKey, GitHubError> {
        let path = entry_path(target, EntryKind::Secret, "public-key");
        let PublicKey { key_id, key } = self.get_json(&path).await?;
        let id = key_id.as_str().map_or_else(|| key_id.to_string(), str::to_owned);
        SealingKey::new(id, &key)
            .map_err(|error| GitHubError::new(&Method::GET, &path, Problem::Malformed { what: error.to_string() }))
    }

    /// Seals and writes one secret; an existing one is replaced, never deleted first. Answers GitHub's time.
    ///
    /// # Errors
    /// [`GitHubError`]; 422 when the key is not the store's any more.
    pub async fn put_secret(
        &self,
        target: &Target,
        name: &str,
        value: &SecretValue,
        key: &SealingKey,
        exposure: Option<&Exposure>,
    ) -> Result<Option<Timestamp>, GitHubError> {
        let path = entry_path(target, EntryKind::Secret, name);
        let sealed = value
            .seal(key)
            .map_err(|error| GitHubError::new(&Method::PUT, &path, Problem::Malformed { what: error.to_string() }))?;
        let mut body = json!({"encrypted_value": sealed, "key_id": key.id});
        expose(&mut body, exposure, target.app);
        Ok(self.send(Method::PUT, &path, Some(&body)).await?.date())
    }

    /// Deletes one entry; one that is already gone counts as deleted.
    ///
    /// # Errors
    /// [`GitHubError`], but not for 404.
    pub async fn delete_entry(&self, target: &Target, kind: EntryKind, name: &str) -> Result<(), GitHubError> {
        match self.send(Method::DELETE, &entry_path(target, kind, name), None).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads one variable; none when there is none of that name.
    ///
    /// # Errors
    /// [`GitHubError`], but not for 404.
    pub async fn variable(&self, target: &Target, name: &str) -> Result<Option<String>, GitHubError> {
        #[derive(Deserialize)]
        struct Variable {
            value: String,
        }
        match self.get_json::<Variable>(&entry_path(target, EntryKind::Variable, name)).await {
            Ok(variable) => Ok(Some(variable.value)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes one variable: PATCH when it `exists`, else POST; each falls back to the other (§1.6: no PUT).
    ///
    /// # Errors
    /// [`GitHubError`].
    pub async fn set_variable(
        &self,
        target: &Target,
        name: &str,
        value: &str,
        exists: bool,
        exposure: Option<&Exposure>,
    ) -> Result<Option<Timestamp>, GitHubError> {
        let mut body = json!({"name": name, "value": value});
        expose(&mut body, exposure, target.app);
        let (list, entry) = (list_path(target, EntryKind::Variable), entry_path(target, EntryKind::Variable, name));
        let create = || self.send(Method::POST, &list, Some(&body));
        let replace = || self.send(Method::PATCH, &entry, Some(&body));
        let answer = if exists {
            match replace().await {
                Err(error) if error.is_not_found() => create().await,
                other => other,
            }
        } else {
            match create().await {
                Err(GitHubError { problem: Problem::Conflict { .. }, .. }) => replace().await,
                // It may have arrived: replacing what is there tells, and does no harm.
                Err(error) if error.may_pass() => match replace().await {
                    Err(error) if error.is_not_found() => create().await,
                    other => other,
                },
                other => other,
            }
        };
        Ok(answer?.date())
    }
}

/// Every write of an organization entry says its visibility, or GitHub takes a default (§1.3).
fn expose(body: &mut Json, exposure: Option<&Exposure>, app: App) {
    let (Some(exposure), Some(body)) = (exposure, body.as_object_mut()) else { return };
    body.insert("visibility".into(), json!(exposure.visibility.word()));
    if exposure.visibility == Visibility::Selected {
        // Dependabot's own clients send strings here, all others numbers (§1.3).
        let ids: Vec<Json> = exposure
            .repositories
            .iter()
            .map(|id| if app == App::Dependabot { json!(id.to_string()) } else { json!(id) })
            .collect();
        body.insert("selected_repository_ids".into(), Json::Array(ids));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(scope: Scope, app: App) -> Target {
        Target { scope, app }
    }

    #[test]
    fn paths_follow_scope_and_app_and_encode_names() {
        let repository = || "payready/sophia".parse().unwrap();
        let environment = Scope::Environment { repository: repository(), environment: "prod/eu west".into() };
        let cases = [
            (Scope::Repository(repository()), App::Dependabot, "/repos/payready/sophia/dependabot/secrets"),
            (environment, App::Actions, "/repos/payready/sophia/environments/prod%2Feu%20west/secrets"),
            (Scope::Organization("payready".into()), App::Agents, "/orgs/payready/agents/secrets"),
        ];
        for (scope, app, path) in cases {
            assert_eq!(list_path(&target(scope, app), EntryKind::Secret), path);
        }
        let codespaces = target(Scope::Repository(repository()), App::Codespaces);
        assert_eq!(list_path(&codespaces, EntryKind::Variable), "/repos/payready/sophia/actions/variables");
    }

    #[test]
    fn dependabot_takes_ids_as_strings() {
        let exposure = Exposure { visibility: Visibility::Selected, repositories: [7].into() };
        for (app, id) in [(App::Actions, json!(7)), (App::Dependabot, json!("7"))] {
            let mut body = json!({});
            expose(&mut body, Some(&exposure), app);
            assert_eq!(body, json!({"visibility": "selected", "selected_repository_ids": [id]}));
        }
    }
}
