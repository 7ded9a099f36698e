//! `/_sandbox/…`: what the outside of the world looks like to a test. Not logged, not delayed; no token, except
//! where a store is served (see [`super::guard`]).

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::exchange::{Call, Reply};
use super::faults::Fault;
use super::seed::{GithubSeed, Seed};
use super::server::World;

fn refused(problem: impl std::fmt::Display) -> Reply {
    Reply::json(400, json!({"message": problem.to_string()}))
}

/// Answers one administrative request.
pub fn answer(world: &mut World, call: &Call) -> Reply {
    let segments: Vec<&str> = call.segments.iter().skip(1).map(String::as_str).collect();
    let body = || serde_json::from_slice::<Json>(&call.body).map_err(|error| error.to_string());
    let done = |result: Result<(), String>| match result {
        Ok(()) => Reply::empty(204),
        Err(problem) => refused(problem),
    };
    match (call.method.as_str(), segments.as_slice()) {
        ("GET", ["state"]) => Reply::json(200, world.state()),
        ("PATCH", ["state"]) => done(body().and_then(|body| edit(world, body, call))),
        ("PUT" | "PATCH", ["github"]) => done(body().and_then(|body| {
            let github: GithubSeed = serde_json::from_value(body).map_err(|error| error.to_string())?;
            world.github.apply(&github, call.now)
        })),
        ("GET", ["requests"]) => Reply::json(200, json!(world.log.entries())),
        ("DELETE", ["requests"]) => {
            world.log.clear();
            Reply::empty(204)
        }
        ("GET", ["statistics"]) => Reply::json(200, world.log.statistics()),
        ("POST", ["faults"]) => done(body().and_then(|body| add_faults(world, body))),
        ("DELETE", ["faults"]) => {
            world.faults.clear();
            Reply::empty(204)
        }
        ("PUT", ["latency"]) => done(body().and_then(|body| {
            let milliseconds = body["ms"].as_u64().ok_or("expected {\"ms\": NUMBER}")?;
            world.latency = Duration::from_millis(milliseconds);
            Ok(())
        })),
        ("PUT", ["clock"]) => done(body().and_then(|body| {
            let seconds = body["advance_seconds"].as_i64().ok_or("expected {\"advance_seconds\": NUMBER}")?;
            world.advanced_seconds += seconds;
            Ok(())
        })),
        _ => Reply::json(404, json!({"message": "no such administrative route"})),
    }
}

/// Merges a seed into both services.
pub fn edit(world: &mut World, body: Json, call: &Call) -> Result<(), String> {
    let seed: Seed = serde_json::from_value(body).map_err(|error| error.to_string())?;
    world.apply(&seed, call.now)
}

/// One rule or a list of them.
pub fn add_faults(world: &mut World, body: Json) -> Result<(), String> {
    let faults: Vec<Json> = match body {
        Json::Array(faults) => faults,
        fault => vec![fault],
    };
    for fault in faults {
        let fault: Fault = serde_json::from_value(fault).map_err(|error| error.to_string())?;
        world.faults.add(fault)?;
    }
    Ok(())
}
