//! The sync, proven: cut anywhere, hit by every fault, and against a model. See docs/testing.md.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "this is a test, its clock and its processes are its own"
)]

mod fault_matrix;
mod interrupts;
mod kill_matrix;
mod ledger;
mod model;
#[path = "../support/mod.rs"]
mod support;
mod trail;
mod world;
