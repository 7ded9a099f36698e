//! Seeding the loopback GitHub, and showing all that it holds.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::exchange::whole_second;
use super::github::Github;
use super::github_access::Grant;
use super::github_app::App as GithubApp;
use super::github_issues::seeded;
use super::github_repository::{Environment, Repository};
use super::github_store::Store;
use super::seed::{EnvironmentSeed, GithubSeed, RepositorySeed};
use crate::base::target::App;

impl Github {
    /// Merges a seed: the start of a world, or an edit from outside.
    ///
    /// # Errors
    /// A sentence when an app's key is not PEM.
    pub fn apply(&mut self, seed: &GithubSeed, now: Timestamp) -> Result<(), String> {
        let now = whole_second(now);
        for (id, app) in &seed.apps {
            let app = GithubApp::new(app, now, || self.next_id())?;
            self.apps.insert(*id, app);
        }
        if let Some(limits) = &seed.limits {
            self.access.limits = limits.clone();
        }
        for (token, grant) in &seed.tokens {
            match grant {
                Some(grant) => self.access.grants.insert(token.clone(), Grant::new(grant)),
                None => self.access.grants.remove(token),
            };
        }
        for (name, repository) in &seed.repositories {
            match repository {
                Some(repository) => self.apply_repository(name, repository, now),
                None => {
                    self.repositories.remove(&name.to_ascii_lowercase());
                }
            }
        }
        let ids = self.ids();
        let id_of = |name: &str| ids.get(&name.to_ascii_lowercase()).copied();
        for (login, seed) in &seed.organizations {
            let organization = self.organizations.entry(login.to_ascii_lowercase()).or_default();
            organization.login.clone_from(login);
            organization.audit_log.extend(seed.audit_log.iter().cloned());
            for (app, entries) in &seed.secrets {
                organization.secrets.entry(*app).or_default().apply(entries, true, now, &id_of);
            }
            for (app, entries) in &seed.variables {
                organization.variables.entry(*app).or_default().apply(entries, true, now, &id_of);
            }
        }
        self.user_secrets.apply(&seed.user_secrets, true, now, &id_of);
        Ok(())
    }

    fn ids(&self) -> BTreeMap<String, u64> {
        self.repositories.iter().map(|(key, repository)| (key.clone(), repository.id)).collect()
    }

    fn apply_repository(&mut self, full_name: &str, seed: &RepositorySeed, now: Timestamp) {
        let Some((owner, name)) = full_name.split_once('/') else { return };
        let key = full_name.to_ascii_lowercase();
        for former in &seed.renamed_from {
            self.renamed.insert(former.to_ascii_lowercase(), key.clone());
        }
        let id = self.next_id();
        let fresh = seed.environments.keys().map(|name| (name.clone(), self.next_id() * 10)).collect::<Vec<_>>();
        let repository = self.repositories.entry(key).or_insert_with(|| Repository {
            id,
            owner: owner.to_owned(),
            name: name.to_owned(),
            visibility: "private".to_owned(),
            archived: false,
            disabled: false,
            fork: false,
            has_issues: true,
            topics: Vec::new(),
            created: now,
            secrets: BTreeMap::new(),
            variables: BTreeMap::new(),
            environments: BTreeMap::new(),
            issues: Vec::new(),
            runs: Vec::new(),
        });
        if let Some(visibility) = &seed.visibility {
            repository.visibility.clone_from(visibility);
        }
        if let Some(topics) = &seed.topics {
            repository.topics = topics.iter().map(|topic| topic.to_lowercase()).collect();
        }
        repository.archived = seed.archived.unwrap_or(repository.archived);
        repository.disabled = seed.disabled.unwrap_or(repository.disabled);
        repository.fork = seed.fork.unwrap_or(repository.fork);
        repository.has_issues = seed.has_issues.unwrap_or(repository.has_issues);
        for issue in &seed.issues {
            repository.issues.push(seeded(issue, repository.issues.len() + 1, now));
        }
        if let Some(runs) = &seed.runs {
            let shown = runs.iter().enumerate().map(|(index, run)| super::github_runs::seeded(run, index + 1, now));
            repository.runs = shown.collect();
        }
        let nobody = |_: &str| None;
        for (app, entries) in &seed.secrets {
            repository.secrets.entry(*app).or_default().apply(entries, false, now, &nobody);
        }
        for (app, entries) in &seed.variables {
            repository.variables.entry(*app).or_default().apply(entries, false, now, &nobody);
        }
        for (name, id) in fresh {
            match &seed.environments[&name] {
                Some(seed) => {
                    let kept = repository.environments.entry(name.to_lowercase());
                    apply_environment(kept.or_insert_with(|| Environment::new(id, &name, now)), seed, now);
                }
                None => {
                    repository.environments.remove(&name.to_lowercase());
                }
            }
        }
    }

    /// Everything in clear, in the shape of a seed.
    #[must_use]
    pub fn state(&self) -> Json {
        let names: BTreeMap<u64, String> =
            self.repositories.values().map(|repository| (repository.id, repository.full_name())).collect();
        let name_of = |id: u64| names.get(&id).cloned();
        let stores = |stores: &BTreeMap<App, Store>| {
            let shown = stores.iter().filter(|(_, store)| !store.entries.is_empty());
            Json::Object(shown.map(|(app, store)| (app.word().to_owned(), store.state(&name_of))).collect())
        };
        let mut repositories = Map::new();
        for repository in self.repositories.values() {
            let environments: Map<String, Json> = repository
                .environments
                .values()
                .map(|one| {
                    let shown = json!({
                        "wait_timer": one.wait_timer, "prevent_self_review": one.prevent_self_review,
                        "reviewers": one.reviewers, "deployment_branch_policy": one.deployment_branch_policy,
                        "secrets": one.secrets.state(&name_of), "variables": one.variables.state(&name_of)
                    });
                    (one.name.clone(), shown)
                })
                .collect();
            let shown = json!({
                "id": repository.id, "visibility": repository.visibility, "archived": repository.archived,
                "disabled": repository.disabled, "topics": repository.topics, "environments": environments,
                "secrets": stores(&repository.secrets), "variables": stores(&repository.variables),
                "issues": repository.issues, "runs": repository.runs
            });
            repositories.insert(repository.full_name(), shown);
        }
        let organizations: Map<String, Json> = self
            .organizations
            .values()
            .map(|one| {
                let shown = json!({"secrets": stores(&one.secrets), "variables": stores(&one.variables)});
                (one.login.clone(), shown)
            })
            .collect();
        json!({
            "repositories": repositories, "organizations": organizations,
            "user_secrets": self.user_secrets.state(&name_of)
        })
    }
}

fn apply_environment(kept: &mut Environment, seed: &EnvironmentSeed, now: Timestamp) {
    kept.wait_timer = seed.wait_timer.unwrap_or(kept.wait_timer);
    kept.prevent_self_review = seed.prevent_self_review.unwrap_or(kept.prevent_self_review);
    if let Some(reviewers) = &seed.reviewers {
        kept.reviewers.clone_from(reviewers);
    }
    if let Some(policy) = &seed.deployment_branch_policy {
        kept.deployment_branch_policy.clone_from(policy);
    }
    kept.secrets.apply(&seed.secrets, false, now, &|_| None);
    kept.variables.apply(&seed.variables, false, now, &|_| None);
}
