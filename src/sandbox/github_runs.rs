//! Workflow runs of a repository, as `GET …/actions/runs` lists them.

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::exchange::{Call, Reply};
use super::github_access::{Grant, error};
use super::github_entries::listed;
use super::github_repository::Repository;
use super::seed::RunSeed;

/// A run as it is kept and shown.
pub fn seeded(seed: &RunSeed, number: usize, now: Timestamp) -> Json {
    let created = seed.created_at.unwrap_or(now);
    json!({
        "id": 30_000 + number, "node_id": format!("WFR_{number}"), "name": "deploy", "run_number": number,
        "run_attempt": 1, "event": "push", "head_branch": "main", "status": seed.status,
        "conclusion": (seed.status == "completed").then_some("success"), "created_at": created,
        "run_started_at": seed.run_started_at.unwrap_or(created), "updated_at": created
    })
}

impl Repository {
    /// Newest first; `status` and `created=<=TIME` narrow the list down, as far as this tool asks for them.
    pub fn runs(&self, call: &Call, grant: &Grant) -> Reply {
        if let Err(reply) = grant.require(&[("actions", "read")], Some(self)) {
            return reply;
        }
        let until = match call.parameter("created").map(|created| created.strip_prefix("<=").unwrap_or(created).parse())
        {
            None => Timestamp::MAX,
            Some(Ok(until)) => until,
            Some(Err(_)) => return error(422, "Validation Failed"),
        };
        let wanted = |run: &&Json| {
            let created = run["created_at"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
            call.parameter("status").is_none_or(|status| run["status"] == status)
                && created.is_some_and(|created| created <= until)
        };
        let found = self.runs.iter().rev().filter(wanted).cloned().collect();
        listed(call, "workflow_runs", found, 30, 100)
    }
}
