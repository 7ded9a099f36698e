//! The definition file as it is written (design §4): the types that serde reads and that the published
//! JSON Schema (`docs/definition.schema.json`) is generated from. Their doc comments become the schema's
//! descriptions, so they speak to whoever edits the file.
//!
//! The same schema drives the check of the file's shape (`rules::shape`): a key, a type or a limit is
//! stated once, here. What a schema cannot say is checked in `rules::resolve`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::base::target::{App, EntryKind};

pub use super::plan::Visibility;

/// Definition of SOPHIA's secrets: environments, secret groups, mappings, access policies and targets.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "sophia-secrets-sync definition")]
pub struct DefinitionFile {
    /// Project of the ESC environments.
    #[schemars(length(min = 1))]
    pub name: String,
    /// What this definition is for.
    pub description: Option<String>,
    /// Pulumi organization that owns the ESC environments.
    #[schemars(length(min = 1))]
    pub organization: String,
    /// Environment that commands work on when neither --stack nor PULUMI_STACK says which.
    #[schemars(length(min = 1))]
    pub default_stack: Option<String>,
    /// Environments (stacks) that hold values.
    #[schemars(length(min = 1))]
    pub environments: Vec<EnvironmentEntry>,
    /// Secret groups: the unit of ownership, access and rotation.
    #[schemars(length(min = 1))]
    pub secret_groups: Vec<GroupEntry>,
    /// Secrets by name. A group without mappings takes every leaf under its ESC object.
    #[serde(default)]
    pub secret_mappings: Vec<MappingEntry>,
    /// Who may get which group of which environment. When this key is there, what is not granted is denied.
    #[schemars(length(min = 1))]
    pub access_policies: Option<Vec<PolicyEntry>>,
    /// Where secrets are delivered at GitHub. Without it, the command line says where.
    #[serde(default)]
    pub targets: Vec<TargetEntry>,
    /// Settings of plan and sync.
    pub sync: Option<SyncEntry>,
}

/// One environment (stack).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvironmentEntry {
    /// Name of the stack, as --stack takes it.
    #[schemars(length(min = 1))]
    pub name: String,
    /// What the environment is for.
    pub description: Option<String>,
    /// Free labels.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// ESC environment that holds the values; default ORGANIZATION/NAME/ENVIRONMENT of this file.
    #[schemars(length(min = 1))]
    pub esc: Option<String>,
}

/// One secret group.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupEntry {
    /// Name of the group: its object in the ESC environment.
    #[schemars(length(min = 1))]
    pub name: String,
    /// What the secrets of the group are for.
    pub description: Option<String>,
    /// Environments that have this group; default all.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub environments: Option<Vec<String>>,
    /// When the secrets of the group are due for rotation.
    pub rotation: Option<RotationEntry>,
}

/// One secret by name.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MappingEntry {
    /// Name of the value in the ESC environment, under the object of its group.
    #[schemars(length(min = 1))]
    pub name: String,
    /// What the secret is for.
    pub description: Option<String>,
    /// Group that the secret belongs to.
    #[schemars(length(min = 1))]
    pub secret_group: String,
    /// Name that the secret gets at its targets; default: its name.
    #[schemars(length(min = 1))]
    pub environment_variable_name: Option<String>,
    /// ESC property path of the value, when it is not GROUP.NAME.
    #[schemars(length(min = 1))]
    pub path: Option<String>,
    /// Whether GitHub keeps a sealed secret or a plain Actions variable.
    #[serde(default)]
    pub kind: EntryKind,
    /// Whether a missing value is an error.
    #[serde(default = "yes")]
    pub required: bool,
    /// When the secret is due for rotation; overrides its group's.
    pub rotation: Option<RotationEntry>,
    /// Lets this tool make a new value itself when it rotates the secret.
    pub generate: Option<Generate>,
}

fn yes() -> bool {
    true
}

/// How often a secret changes, and who changes it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotationEntry {
    /// Longest age of a value: a number of days, weeks or hours, for instance 90d.
    #[schemars(extend("pattern" = "^[1-9][0-9]*[dwh]$"))]
    pub every: String,
    /// Team or person who rotates.
    #[schemars(length(min = 1))]
    pub owner: Option<String>,
    /// How long before that age it counts as due soon; default 14d, or a quarter of the interval if that is shorter.
    #[schemars(extend("pattern" = "^[1-9][0-9]*[dwh]$"))]
    pub warn: Option<String>,
}

/// How a new value is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Generate {
    /// Number of characters.
    #[serde(default = "forty_eight")]
    #[schemars(range(min = 16, max = 4096))]
    pub length: usize,
    /// Characters that the value is made of.
    #[serde(default)]
    pub charset: Charset,
}

fn forty_eight() -> usize {
    48
}

/// Alphabet of a generated value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Charset {
    #[default]
    Base64url,
    Alphanumeric,
    Hex,
}

/// One grant: these groups of these environments to these identities.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyEntry {
    /// Name of the policy.
    #[schemars(length(min = 1))]
    pub name: String,
    /// What the grant is for.
    pub description: Option<String>,
    /// Groups that are granted.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub secret_groups: Vec<String>,
    /// Environments that they are granted of.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub environments: Vec<String>,
    /// Who gets them.
    #[schemars(length(min = 1))]
    pub identities: Vec<Identity>,
}

/// Someone or something that gets secrets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// What kind of identity it is.
    #[serde(rename = "type")]
    pub kind: IdentityKind,
    /// Name of a user or team, or a repository: OWNER/REPOSITORY, OWNER/* or OWNER.
    #[schemars(length(min = 1))]
    pub name: String,
}

/// Kind of an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IdentityKind {
    User,
    Team,
    Github,
}

/// One place at GitHub: a repository (or one environment of it), several repositories, or an organization.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["repository"]}, {"required": ["repositories"]}, {"required": ["organization"]}]))]
#[schemars(extend("dependentRequired" = {"githubEnvironment": ["repository"], "organization": ["visibility"],
    "visibility": ["organization"], "selectedRepositories": ["visibility"]}))]
pub struct TargetEntry {
    /// Repository, OWNER/NAME.
    #[schemars(length(min = 1))]
    pub repository: Option<String>,
    /// Environment of the repository; without it, the secrets are the repository's own.
    #[schemars(length(min = 1, max = 255))]
    pub github_environment: Option<String>,
    /// Repositories of an organization, chosen by topic and name; archived ones are skipped.
    pub repositories: Option<RepositoriesEntry>,
    /// GitHub organization.
    #[schemars(length(min = 1))]
    pub organization: Option<String>,
    /// Repositories of the organization that can read the secrets. Never guessed, never widened.
    pub visibility: Option<Visibility>,
    /// Repositories that can read the secrets, for visibility: selected.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub selected_repositories: Option<Vec<String>>,
    /// Environments (stacks) that are delivered here; default all.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub stacks: Option<Vec<String>>,
    /// GitHub products that read the secrets; default actions.
    #[serde(default = "actions")]
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub apps: Vec<App>,
    /// Groups that are delivered here; default all groups of the stack.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub secret_groups: Option<Vec<String>>,
}

fn actions() -> Vec<App> {
    vec![App::Actions]
}

/// Chooses repositories of an organization.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = [{"required": ["topic"]}, {"required": ["match"]}]))]
pub struct RepositoriesEntry {
    /// GitHub organization that owns the repositories.
    #[schemars(length(min = 1))]
    pub organization: String,
    /// Topic that a repository must have.
    #[schemars(length(min = 1))]
    pub topic: Option<String>,
    /// Pattern that the name of a repository must match, with * and ?.
    #[serde(rename = "match")]
    #[schemars(length(min = 1))]
    pub pattern: Option<String>,
}

/// Settings of plan and sync.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SyncEntry {
    /// ESC property path of the key that the ledger's fingerprints are made with.
    #[serde(default = "fingerprint_key")]
    #[schemars(length(min = 1))]
    pub fingerprint_key: String,
    /// Whether secrets that left the definition are deleted without --prune being typed.
    #[serde(default)]
    pub prune: bool,
    /// Most deletions of one run.
    #[serde(default = "five")]
    #[schemars(range(max = 1000))]
    pub max_delete: usize,
}

fn fingerprint_key() -> String {
    "sophia.fingerprintKey".to_owned()
}

fn five() -> usize {
    5
}

impl Default for SyncEntry {
    fn default() -> Self {
        Self { fingerprint_key: fingerprint_key(), prune: false, max_delete: five() }
    }
}

/// The JSON Schema of the definition file (draft 2020-12).
#[must_use]
pub fn json_schema() -> Json {
    schemars::schema_for!(DefinitionFile).to_value()
}

/// The text of `docs/definition.schema.json`.
#[must_use]
pub fn json_schema_text() -> String {
    format!("{:#}\n", json_schema())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "this test reads and accepts a committed file")]

    use super::*;

    #[test]
    fn the_committed_schema_is_the_generated_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/definition.schema.json");
        if std::env::var("SOPHIA_ACCEPT").is_ok_and(|value| value == "1") {
            std::fs::write(path, json_schema_text()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == json_schema_text(),
            "stale: run `SOPHIA_ACCEPT=1 cargo test --lib schema` and commit {path}"
        );
    }
}
