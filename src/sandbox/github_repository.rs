//! Repositories and their environments: what is kept and how GitHub shows it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::exchange::Call;
use super::github_store::Store;
use crate::base::target::App;

pub struct Repository {
    pub id: u64,
    pub owner: String,
    pub name: String,
    /// `public`, `private` or `internal`.
    pub visibility: String,
    pub archived: bool,
    pub disabled: bool,
    pub fork: bool,
    pub has_issues: bool,
    pub topics: Vec<String>,
    pub created: Timestamp,
    pub secrets: BTreeMap<App, Store>,
    pub variables: BTreeMap<App, Store>,
    /// By folded name.
    pub environments: BTreeMap<String, Environment>,
    pub issues: Vec<Json>,
    /// As GitHub shows them.
    pub runs: Vec<Json>,
}

pub struct Environment {
    pub id: u64,
    pub name: String,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub wait_timer: u64,
    pub prevent_self_review: bool,
    pub reviewers: Vec<Json>,
    pub deployment_branch_policy: Json,
    pub secrets: Store,
    pub variables: Store,
}

/// A user or an organization, in the short form.
#[must_use]
pub fn account(call: &Call, login: &str, id: u64, kind: &str) -> Json {
    json!({
        "login": login, "id": id, "node_id": format!("U_{id}"), "type": kind, "site_admin": false,
        "url": call.url(&["users", login]), "html_url": format!("https://github.com/{login}")
    })
}

impl Repository {
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// Folded `owner/name`.
    #[must_use]
    pub fn key(&self) -> String {
        self.full_name().to_ascii_lowercase()
    }

    #[must_use]
    pub fn show(&self, call: &Call) -> Json {
        let full_name = self.full_name();
        json!({
            "id": self.id, "node_id": format!("R_{}", self.id), "name": self.name, "full_name": full_name,
            "owner": account(call, &self.owner, 1, "Organization"), "private": self.visibility != "public",
            "html_url": format!("https://github.com/{full_name}"), "description": null, "fork": self.fork,
            "url": call.url(&["repos", &self.owner, &self.name]), "language": null, "default_branch": "main",
            "is_template": false, "topics": self.topics, "has_issues": self.has_issues, "archived": self.archived,
            "disabled": self.disabled, "visibility": self.visibility, "pushed_at": self.created,
            "created_at": self.created, "updated_at": self.created,
            "permissions": {"admin": true, "maintain": true, "push": true, "triage": true, "pull": true}
        })
    }
}

impl Environment {
    #[must_use]
    pub fn new(id: u64, name: &str, now: Timestamp) -> Self {
        Self {
            id,
            name: name.to_owned(),
            created: now,
            updated: now,
            wait_timer: 0,
            prevent_self_review: false,
            reviewers: Vec::new(),
            deployment_branch_policy: Json::Null,
            secrets: Store::default(),
            variables: Store::default(),
        }
    }

    #[must_use]
    pub fn show(&self, call: &Call, owner: &str, repository: &str) -> Json {
        let mut rules = Vec::new();
        if self.wait_timer > 0 {
            rules.push(json!({"id": self.id + 1, "node_id": format!("GA_{}", self.id + 1), "type": "wait_timer", "wait_timer": self.wait_timer}));
        }
        if !self.reviewers.is_empty() {
            let reviewers: Vec<Json> = self.reviewers.iter().map(|reviewer| reviewer_of(call, reviewer)).collect();
            rules.push(json!({
                "id": self.id + 2, "node_id": format!("GA_{}", self.id + 2), "type": "required_reviewers",
                "prevent_self_review": self.prevent_self_review, "reviewers": reviewers
            }));
        }
        if !self.deployment_branch_policy.is_null() {
            rules.push(json!({"id": self.id + 3, "node_id": format!("GA_{}", self.id + 3), "type": "branch_policy"}));
        }
        json!({
            "id": self.id, "node_id": format!("EN_{}", self.id), "name": self.name,
            "url": call.url(&["repos", owner, repository, "environments", &self.name]),
            "html_url": format!("https://github.com/{owner}/{repository}/deployments/activity_log?environments_filter={}", self.name),
            "created_at": self.created, "updated_at": self.updated, "protection_rules": rules,
            "deployment_branch_policy": self.deployment_branch_policy
        })
    }

    /// Takes the body of a PUT: **what is not said is reset**, which is the trap that clients must avoid
    /// (github-api.md §1.5).
    ///
    /// # Errors
    /// What GitHub says with its 422.
    pub fn replace_rules(&mut self, body: &Json) -> Result<(), String> {
        const KNOWN: [&str; 4] = ["wait_timer", "prevent_self_review", "reviewers", "deployment_branch_policy"];
        if let Some(unknown) = body.as_object().and_then(|body| body.keys().find(|key| !KNOWN.contains(&key.as_str())))
        {
            return Err(format!("Invalid request.\n\n\"{unknown}\" is not a permitted key."));
        }
        let wait_timer = body.get("wait_timer").and_then(Json::as_u64).unwrap_or(0);
        if wait_timer > 43_200 {
            return Err("Invalid request.\n\nwait_timer must be less than or equal to 43200.".to_owned());
        }
        let reviewers = body.get("reviewers").and_then(Json::as_array).cloned().unwrap_or_default();
        if reviewers.len() > 6 {
            return Err("Invalid request.\n\nNo more than 6 reviewers are allowed.".to_owned());
        }
        let policy = body.get("deployment_branch_policy").cloned().unwrap_or(Json::Null);
        if !policy.is_null() && policy["protected_branches"] == policy["custom_branch_policies"] {
            return Err("protected_branches and custom_branch_policies cannot have the same value".to_owned());
        }
        self.wait_timer = wait_timer;
        self.prevent_self_review = body.get("prevent_self_review").and_then(Json::as_bool).unwrap_or(false);
        self.reviewers = reviewers;
        self.deployment_branch_policy = policy;
        Ok(())
    }
}

fn reviewer_of(call: &Call, reviewer: &Json) -> Json {
    let id = reviewer["id"].as_u64().unwrap_or(0);
    let kind = reviewer["type"].as_str().unwrap_or("User");
    let who = if kind == "Team" {
        json!({
            "id": id, "node_id": format!("T_{id}"), "name": format!("team-{id}"), "slug": format!("team-{id}"),
            "description": null, "permission": "push", "parent": null,
            "url": call.url(&["teams", &id.to_string()]), "html_url": format!("https://github.com/orgs/x/teams/team-{id}")
        })
    } else {
        account(call, &format!("user-{id}"), id, "User")
    };
    json!({"type": kind, "reviewer": who})
}
