//! Floor 3: network, disk and keys. Nothing is decided here.

pub mod age_keys;
pub mod archive;
pub mod audit;
pub mod child;
mod child_output;
pub mod env_file;
pub mod esc_cloud;
pub mod esc_local;
pub mod files;
pub mod git;
pub mod github;
pub mod github_access;
pub mod github_app;
pub mod github_audit;
pub mod github_error;
pub mod github_inventory;
pub mod github_issues;
pub mod github_runs;
pub mod github_secrets;
pub mod http;
pub mod ledger;
pub mod local_providers;
pub mod pace;
pub mod pulumi_login;
pub mod recorded;
pub mod source;
pub mod stop;
