//! Every fault against every kind of request: a run that meets it once gets through; a run that meets it
//! always ends with an error, and the next one finishes the work.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde_json::{Value as Json, json};

use super::world::{How, IMPATIENT, USUAL, World, document, word};

const REPOSITORY: &str = "/repositories/payready~1sophia";

fn definition(variables: &[&str]) -> String {
    let mappings: String = ["A", "B", "C", "OLD"]
        .iter()
        .map(|name| format!("  - {{ name: {name}, secretGroup: api-keys, required: false }}\n"))
        .chain(variables.iter().map(|name| {
            format!(
                "  - {{ name: {name}, secretGroup: api-keys, path: plain.{name}, kind: variable, required: false }}\n"
            )
        }))
        .collect();
    format!(
        "name: sophia-esc\norganization: payready\nenvironments: [{{ name: production }}]\n\
         secretGroups: [{{ name: api-keys }}]\nsecretMappings:\n{mappings}\
         targets:\n  - repository: payready/sophia\n  - organization: payready\n    visibility: selected\n    \
         selectedRepositories: [payready/sophia]\n"
    )
}

fn secrets(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn esc(values: &BTreeMap<String, String>, plain: Json) -> String {
    let mut document: Json = serde_json::from_str(&document(values)).unwrap();
    document["values"]["plain"] = plain;
    document.to_string()
}

/// A world with something of every kind to do: create, update, delete, of secrets and variables.
async fn busy() -> World {
    let github = json!({"repositories": {"payready/sophia": {"variables": {"actions": {"FOREIGN": "x"}}}}, "organizations": {"payready": {}}});
    let first = secrets(&[("A", "a"), ("B", "b"), ("OLD", "old")]);
    let mut world = World::new(&definition(&["V"]), github, &esc(&first, json!({"V": "v"}))).await;
    assert_eq!(word(&world.sync(USUAL).await), "complete");
    world.sandbox.advance(60);
    let next = esc(&wanted_secrets(), json!({"V": "v2", "W": "w"}));
    world.sandbox.edit(json!({"esc": {"environments": {super::world::ENVIRONMENT: next}}})).unwrap();
    world.definition =
        definition(&["V", "W"]).replace("  - { name: OLD, secretGroup: api-keys, required: false }\n", "");
    world.sandbox.clear_requests();
    world
}

fn wanted_secrets() -> BTreeMap<String, String> {
    secrets(&[("A", "a2"), ("B", "b"), ("C", "c")])
}

const PRUNING: How = How { prune: true, ..USUAL };

/// Kinds of requests: method and path.
const KINDS: [(&str, &str); 14] = [
    ("GET", "/repos/payready/sophia/actions/secrets$"),
    ("GET", "/repos/payready/sophia/actions/variables$"),
    ("GET", "/orgs/payready/actions/secrets$"),
    ("GET", "/actions/variables/SOPHIA_SECRETS_SYNC_LEDGER$"),
    ("GET", "/actions/secrets/public-key$"),
    ("GET", "/repos/payready/sophia$"),
    ("GET", "/orgs/payready/actions/secrets/A/repositories$"),
    ("PUT", "/repos/payready/sophia/actions/secrets/A$"),
    ("PUT", "/orgs/payready/actions/secrets/C$"),
    ("POST", "/repos/payready/sophia/actions/variables$"),
    ("PATCH", "/repos/payready/sophia/actions/variables/V$"),
    ("PATCH", "/actions/variables/SOPHIA_SECRETS_SYNC_LEDGER$"),
    ("DELETE", "/repos/payready/sophia/actions/secrets/OLD$"),
    ("DELETE", "/orgs/payready/actions/secrets/OLD$"),
];

fn faults() -> [(&'static str, Json); 9] {
    [
        ("500", json!({"status": 500})),
        ("502 HTML", json!({"html": true})),
        ("429 retry-after", json!({"retry_after": 1})),
        ("secondary 403", json!({"secondary_limit": true, "retry_after": 1})),
        ("primary limit", json!({"rate_limit": 0})),
        ("timeout", json!({"delay_ms": 8000})),
        ("truncated JSON", json!({"truncate": 9})),
        ("cut before", json!({"cut": "before"})),
        ("cut after", json!({"cut": "after"})),
    ]
}

fn wrong_contents(world: &World) -> Vec<String> {
    let mut problems = Vec::new();
    for store in [&format!("{REPOSITORY}/secrets/actions"), "/organizations/payready/secrets/actions"] {
        if world.entries(store) != wanted_secrets() {
            problems.push(format!("{store} holds {:?}", world.entries(store)));
        }
    }
    let variables = world.entries(&format!("{REPOSITORY}/variables/actions"));
    if variables != secrets(&[("FOREIGN", "x"), ("V", "v2"), ("W", "w")]) {
        problems.push(format!("the variables are {variables:?}"));
    }
    problems
}

async fn one_case(kind: (&str, &str), effect: &Json, once: bool) -> Vec<String> {
    let world = busy().await;
    let mut fault = json!({"match": {"method": kind.0, "path": kind.1}, "do": effect});
    if once {
        fault["times"] = json!(1);
    }
    world.sandbox.fault(fault).unwrap();
    let how = if once { PRUNING } else { How { prune: true, ..IMPATIENT } };
    let first = world
        .sync(How {
            timeout: if effect.get("delay_ms").is_some() { Duration::from_secs(5) } else { how.timeout },
            ..how
        })
        .await;
    let mut problems = Vec::new();
    let hit = world
        .sandbox
        .requests()
        .iter()
        .any(|request| request.method == kind.0 && regex::Regex::new(kind.1).unwrap().is_match(&request.path));
    if !hit {
        problems.push("no request was of this kind".to_owned());
    }
    if once && word(&first) != "complete" {
        problems.push(format!("one fault was not survived: {}", word(&first)));
    }
    world.sandbox.clear_faults();
    world.sandbox.clear_requests();
    let second = world.sync(PRUNING).await;
    if word(&second) != "complete" {
        problems.push(format!("the run after it: {}", word(&second)));
    }
    if once && !world.accepted_writes().is_empty() {
        problems.push(format!("the run after it repeats {:?}", world.accepted_writes()));
    }
    problems.extend(wrong_contents(&world));
    problems
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_at_every_kind_of_request() {
    let mut cases = Vec::new();
    for kind in KINDS {
        for (name, effect) in faults() {
            for once in [true, false] {
                let effect = effect.clone();
                cases.push(async move {
                    let often = if once { "once" } else { "always" };
                    let problems = one_case(kind, &effect, once).await.into_iter();
                    let case = format!("{name} {often} at {} {}", kind.0, kind.1);
                    problems.map(|problem| format!("{case}: {problem}")).collect::<Vec<_>>()
                });
            }
        }
    }
    let wrong = stream::iter(cases).buffer_unordered(24).collect::<Vec<_>>().await.concat();
    assert!(wrong.is_empty(), "{} problems\n{}", wrong.len(), wrong.join("\n"));
}
