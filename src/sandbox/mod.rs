//! Annex: loopback GitHub and Pulumi Cloud over real HTTP, for `demo`, `sandbox` and the tests.
//!
//! The real clients of `io/` talk to it, and so do `gh`, PyGithub, Octokit, the `esc` command and the
//! Pulumi SDKs. It really unseals what it is given, and it shows everything it holds in clear at
//! `GET /_sandbox/state`. **It listens on the loopback interface only.** Each answer is a pure step of
//! a world in memory (`github*.rs`, `esc*.rs`; environments may rest in an embedded store); HTTP, faults and the request log are around it (`server.rs`).

mod admin;
mod esc;
mod esc_crypter;
mod esc_environment;
mod esc_evaluation;
mod esc_keeper;
mod esc_oidc;
mod esc_relations;
mod esc_revisions;
mod esc_teams;
mod exchange;
mod faults;
mod github;
mod github_access;
mod github_app;
mod github_entries;
mod github_issues;
mod github_repository;
mod github_runs;
mod github_search;
mod github_state;
mod github_store;
mod guard;
mod listener;
mod request_log;
mod response;
pub mod seed;
mod server;

pub use request_log::Request;
pub use server::{Clock, Options, Running, start};
