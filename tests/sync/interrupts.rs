//! An interrupt while a run waits for GitHub's limits: it ends at once, and the ledger has what was written.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::world::{USUAL, World, many, word};

const SECRETS: &str = "/repositories/payready~1sophia/secrets/actions";
const LEDGER: &str = "/repositories/payready~1sophia/variables/actions";

/// Runs into `fault`, is interrupted when the tool has seen it, and must end; then the next run does the rest.
async fn interrupted(fault: Json, signal: Signal) {
    let world = World::of_one_repository().await;
    world.sandbox.fault(fault.clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = world.command(folder.path(), &["--max-wait", "2h", "-vv"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = String::new();
    while !told.contains("rate limit") {
        let line = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("ended before the limit: {told}"));
        told.push_str(&line);
    }
    let id = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(id, signal).unwrap();
    // Nobody reads what follows but this: a full pipe would hold the run up.
    let rest = tokio::spawn(async move {
        let mut rest = String::new();
        while let Ok(Some(line)) = lines.next_line().await {
            rest = format!("{rest}{line}\n");
        }
        rest
    });
    // GitHub asked to wait an hour.
    let status = tokio::time::timeout(Duration::from_secs(60), child.wait()).await;
    let status = status.unwrap_or_else(|_| panic!("{signal:?} did not end the wait of {fault}")).unwrap();
    let rest = rest.await.unwrap();
    let written: BTreeSet<String> = world.entries(SECRETS).into_keys().collect();
    assert_eq!(world.recorded(LEDGER), written, "{fault}: {rest}");
    let expected = if written.len() == many().len() { 0 } else { 5 };
    assert_eq!(status.code(), Some(expected), "{fault}: {rest}");
    assert_eq!(rest.contains("interrupted"), expected == 5, "{rest}");

    world.sandbox.clear_faults();
    world.sandbox.clear_requests();
    assert_eq!(word(&world.sync(USUAL).await), "complete");
    let again: BTreeSet<String> =
        world.accepted_writes().into_iter().filter_map(|(_, path)| Some(path.rsplit_once('/')?.1.to_owned())).collect();
    assert!(again.is_disjoint(&written), "{fault}: written twice: {:?}", again.intersection(&written));
    assert_eq!(world.entries(SECRETS), many());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_at_a_closed_gate_ends_the_run_with_its_ledger() {
    let fault = json!({"match": {"method": "PUT", "path": "SECRET_40$"}, "times": 1, "do": {"retry_after": 3600}});
    interrupted(fault, Signal::INT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_termination_at_a_secondary_limit_ends_the_run_with_its_ledger() {
    let effect = json!({"secondary_limit": true, "retry_after": 3600});
    interrupted(json!({"match": {"method": "PUT", "nth": 7}, "do": effect}), Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_while_the_ledger_waits_to_be_saved_saves_it() {
    let fault = json!({"match": {"method": "PATCH", "path": "SOPHIA_SECRETS_SYNC_LEDGER$"}, "times": 1, "do": {"retry_after": 3600}});
    interrupted(fault, Signal::INT).await;
}
