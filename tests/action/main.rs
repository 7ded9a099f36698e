//! `action.yml` and `dist/run.sh`, run by GitHub's own rules (github-api.md §§5.2–5.4), not by the laxer ones
//! of a local runner: `runner.rs` is that runner, `release.rs` a release to install from.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "this is a test, its files are its own"
)]

mod install;
mod job;
#[allow(dead_code, reason = "its `main` is called by the release only")]
#[path = "../../examples/manifest.rs"]
mod manifest;
mod release;
mod runner;
mod services;
mod sync;
mod workflow;
