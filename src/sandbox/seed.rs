//! What a world holds at the start, and what is changed in it "from outside": the same shape that
//! `GET /_sandbox/state` answers. A seed is merged: what it names is set, `null` removes, the rest stays.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::base::target::App;

/// Both services.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seed {
    pub github: GithubSeed,
    pub esc: EscSeed,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GithubSeed {
    /// By login.
    pub organizations: BTreeMap<String, OrganizationSeed>,
    /// By `owner/name`; `null` deletes.
    pub repositories: BTreeMap<String, Option<RepositorySeed>>,
    /// By token; `null` revokes.
    pub tokens: BTreeMap<String, Option<TokenSeed>>,
    /// Codespaces secrets of the user.
    pub user_secrets: Entries,
    /// By app id.
    pub apps: BTreeMap<u64, AppSeed>,
    pub limits: Option<LimitsSeed>,
}

pub type Entries = BTreeMap<String, Option<EntrySeed>>;
pub type AppEntries = BTreeMap<App, Entries>;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OrganizationSeed {
    pub secrets: AppEntries,
    pub variables: AppEntries,
    /// Entries for the audit log, as they are answered.
    pub audit_log: Vec<Json>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RepositorySeed {
    pub visibility: Option<String>,
    pub archived: Option<bool>,
    pub disabled: Option<bool>,
    pub fork: Option<bool>,
    pub topics: Option<Vec<String>>,
    pub has_issues: Option<bool>,
    /// Former `owner/name`s, which now redirect.
    pub renamed_from: Vec<String>,
    pub secrets: AppEntries,
    pub variables: AppEntries,
    /// `null` deletes.
    pub environments: BTreeMap<String, Option<EnvironmentSeed>>,
    pub issues: Vec<IssueSeed>,
    /// All workflow runs there are.
    pub runs: Option<Vec<RunSeed>>,
}

/// A workflow run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunSeed {
    /// `queued`, `in_progress`, `waiting`, `pending`, `requested`, or `completed`.
    pub status: String,
    /// The services' time, when nothing is said.
    pub created_at: Option<Timestamp>,
    /// When its newest attempt was queued; the same as `created_at`, when nothing is said.
    pub run_started_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnvironmentSeed {
    pub wait_timer: Option<u64>,
    pub prevent_self_review: Option<bool>,
    pub reviewers: Option<Vec<Json>>,
    pub deployment_branch_policy: Option<Json>,
    pub secrets: Entries,
    pub variables: Entries,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum EntrySeed {
    /// The value; at an organization visible to private repositories.
    Text(String),
    Full(EntryDetails),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EntryDetails {
    pub value: Option<String>,
    /// A value that is not UTF-8.
    pub base64: Option<String>,
    /// `all`, `private` or `selected`.
    pub visibility: Option<String>,
    /// `owner/name`s.
    pub selected_repositories: Option<Vec<String>>,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
}

/// What a token may do.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenSeed {
    /// `classic` (default), `fine-grained`, `installation` or `workflow`.
    pub kind: Option<String>,
    pub login: Option<String>,
    /// Permission to `read`, `write` or `admin`; without it everything is allowed.
    pub permissions: Option<BTreeMap<String, String>>,
    /// Scopes of a classic token; without them `repo` and `admin:org`.
    pub scopes: Option<Vec<String>>,
    /// `owner/name`s that the token sees; without it all.
    pub repositories: Option<Vec<String>>,
    pub expires_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AppSeed {
    pub slug: String,
    /// PEM, `PUBLIC KEY` or `RSA PUBLIC KEY`.
    pub public_key: String,
    /// Account login to what is installed there.
    pub installations: BTreeMap<String, InstallationSeed>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InstallationSeed {
    pub permissions: BTreeMap<String, String>,
    /// Repository names without owner; without it all of the account.
    pub repositories: Option<Vec<String>>,
}

/// Rate limits that are enforced; what is not said is not enforced.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSeed {
    /// Requests an hour.
    pub core: Option<u64>,
    /// Points a minute (github-api.md §2.2).
    pub points: Option<u64>,
    /// Requests at once.
    pub concurrent: Option<usize>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IssueSeed {
    pub title: String,
    pub body: Option<String>,
    pub labels: Vec<String>,
    pub state: Option<String>,
    pub pull_request: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EscSeed {
    /// By `organization/project/environment`: the definition text; `null` deletes.
    pub environments: BTreeMap<String, Option<EscEnvironmentSeed>>,
    /// By token; `null` revokes.
    pub tokens: BTreeMap<String, Option<EscTokenSeed>>,
    /// Entries for the audit log of each organization, as they are answered.
    pub audit_log: BTreeMap<String, Vec<Json>>,
    /// By organization and team, the permission on each `project/environment`; a team that is `null` is deleted.
    pub teams: BTreeMap<String, BTreeMap<String, Option<BTreeMap<String, String>>>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum EscEnvironmentSeed {
    Text(String),
    Full(EscEnvironmentDetails),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EscEnvironmentDetails {
    /// YAML; a new revision when given.
    pub text: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub deletion_protected: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EscTokenSeed {
    pub login: Option<String>,
    /// Organizations that the token sees; without it all.
    pub organizations: Option<Vec<String>>,
    /// `read`, `open`, `write` or `admin` (default): what it may do to environments.
    pub permission: Option<String>,
}
