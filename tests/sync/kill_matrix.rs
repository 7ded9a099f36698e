//! A sync of 30 secrets to 3 targets, cut at each of its requests, and run again.
//!
//! Checked each time: contents right at the end; no secret written twice whose first write GitHub had accepted
//! and the ledger had recorded; a third run writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde_json::json;

use super::world::{IMPATIENT, USUAL, World, document, word};

const SECRETS: usize = 30;
const DEFINITION: &str = "
name: sophia-esc
organization: payready
environments: [{ name: production }]
secretGroups: [{ name: api-keys }]
targets:
  - repository: payready/sophia
  - repository: payready/orchestra
    githubEnvironment: production
  - organization: payready
    visibility: private
";

/// Where the secrets, and where the ledger of each target lie in GitHub's state; and how its paths begin.
const TARGETS: [(&str, &str, &str); 3] = [
    (
        "/repositories/payready~1sophia/secrets/actions",
        "/repositories/payready~1sophia/variables/actions",
        "/repos/payready/sophia/actions/secrets/",
    ),
    (
        "/repositories/payready~1orchestra/environments/production/secrets",
        "/repositories/payready~1orchestra/environments/production/variables",
        "/repos/payready/orchestra/environments/production/secrets/",
    ),
    (
        "/organizations/payready/secrets/actions",
        "/organizations/payready/variables/actions",
        "/orgs/payready/actions/secrets/",
    ),
];

fn values() -> BTreeMap<String, String> {
    (0..SECRETS).map(|number| (format!("SECRET_{number:02}"), format!("value of {number}"))).collect()
}

async fn world() -> World {
    let github = json!({
        "repositories": {"payready/sophia": {}, "payready/orchestra": {"environments": {"production": {}}}},
        "organizations": {"payready": {}},
    });
    World::new(DEFINITION, github, &document(&values())).await
}

/// Runs again after a cut and checks everything; answers what is wrong.
async fn finish(world: &World) -> Vec<String> {
    let mut problems = Vec::new();
    let recorded: Vec<BTreeSet<String>> = TARGETS.iter().map(|(_, ledger, _)| world.recorded(ledger)).collect();
    world.sandbox.clear_faults();
    world.sandbox.clear_requests();
    let second = world.sync(USUAL).await;
    if word(&second) != "complete" {
        problems.push(format!("the second run was not complete: {}", word(&second)));
    }
    for (_, path) in world.accepted_writes() {
        for ((_, _, prefix), recorded) in TARGETS.iter().zip(&recorded) {
            if path.strip_prefix(prefix).is_some_and(|name| recorded.contains(name)) {
                problems.push(format!("{path} was recorded and is written twice"));
            }
        }
    }
    for (secrets, ledger, _) in TARGETS {
        if world.entries(secrets) != values() {
            problems.push(format!("{secrets} holds {:?}", world.entries(secrets)));
        }
        if world.recorded(ledger).len() != SECRETS {
            problems.push(format!("{ledger} records {:?}", world.recorded(ledger)));
        }
    }
    world.sandbox.clear_requests();
    let third = world.sync(USUAL).await;
    if word(&third) != "complete" || !world.accepted_writes().is_empty() {
        problems.push(format!("the third run: {}, wrote {:?}", word(&third), world.accepted_writes()));
    }
    problems
}

/// How many requests an undisturbed run makes to both services.
async fn requests_of_a_run() -> usize {
    let world = world().await;
    assert_eq!(word(&world.sync(USUAL).await), "complete");
    let count = world.sandbox.requests().len();
    assert!(count >= 3 * SECRETS + 10, "{count} requests");
    count
}

/// Runs `cut` for every index, so many at once, and fails with all that is wrong.
async fn every_index<F: Future<Output = Vec<String>>>(last: usize, at_once: usize, cut: impl Fn(usize) -> F) {
    let cuts = (1..=last).map(|index| {
        let cut = cut(index);
        async move {
            let problems = tokio::time::timeout(Duration::from_secs(120), cut).await;
            let problems = problems.unwrap_or_else(|_| vec!["hangs".to_owned()]).into_iter();
            problems.map(|problem| format!("request {index}: {problem}")).collect::<Vec<_>>()
        }
    });
    let wrong = stream::iter(cuts).buffer_unordered(at_once).collect::<Vec<_>>().await.concat();
    assert!(wrong.is_empty(), "{} problems\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_at_any_request_is_finished_by_the_next() {
    let last = requests_of_a_run().await;
    every_index(last, 4, |index| async move {
        let world = world().await;
        let folder = tempfile::tempdir().unwrap();
        let mut child = world.command(folder.path(), &["--pace", "off", "--quiet"]).spawn().unwrap();
        // A save more or less may make this run end one request earlier than the one that was counted.
        tokio::select! {
            () = world.sandbox.arrived(index) => {}
            _ = child.wait() => {}
        }
        child.kill().await.unwrap();
        child.wait().await.unwrap();
        finish(&world).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_goes_away_at_any_request_is_survived() {
    let last = requests_of_a_run().await;
    for cut in ["before", "after"] {
        every_index(last, 4, move |index| async move {
            let world = world().await;
            let fault = json!({"match": {"service": "github", "nth": index}, "times": 1_000_000, "do": {"cut": cut}});
            world.sandbox.fault(fault).unwrap();
            let first = world.sync(IMPATIENT).await;
            let mut problems = finish(&world).await;
            // Three requests of a whole run go to Pulumi, and some saves are left out when others fail.
            if word(&first) == "complete" && index + 10 < last {
                problems.push("the cut was not noticed".to_owned());
            }
            problems
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_lost_answer_at_any_request_is_not_even_noticed() {
    let last = requests_of_a_run().await;
    every_index(last, 16, |index| async move {
        let world = world().await;
        let cut = ["before", "after", "body"][index % 3];
        world.sandbox.fault(json!({"match": {"service": "github", "nth": index}, "do": {"cut": cut}})).unwrap();
        let first = world.sync(USUAL).await;
        let mut problems = finish(&world).await;
        if word(&first) != "complete" {
            problems.push(format!("the run with one answer cut ({cut}) came to {}", word(&first)));
        }
        problems
    })
    .await;
}
