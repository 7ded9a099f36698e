//! The ledger over real HTTP: two writers at once, and more entries than one variable holds.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use sophia_secrets_sync::rules::ledger::{Ledger, VARIABLE, part_name};

use super::world::{ENVIRONMENT, USUAL, World, document, word};

const REPOSITORY: &str = "/repositories/payready~1sophia/variables/actions";

fn definition(group: &str, target: &str) -> String {
    format!(
        "name: sophia-esc\norganization: payready\nenvironments: [{{ name: production }}]\n\
         secretGroups: [{{ name: {group} }}]\ntargets: [{{ {target} }}]\n"
    )
}

fn values(count: usize) -> BTreeMap<String, String> {
    (0..count).map(|number| (format!("SECRET_{number:03}"), format!("value of {number}"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_writer_saved_meanwhile_is_not_lost() {
    let mut esc: Json = serde_json::from_str(&document(&values(2))).unwrap();
    esc["values"]["database"] = json!({"DATABASE_URL": {"fn::secret": "postgres"}});
    let (ours, theirs) =
        (definition("api-keys", "repository: payready/sophia"), definition("database", "repository: payready/sophia"));
    let github = json!({"repositories": {"payready/sophia": {}}});
    let mut world = World::new(&ours, github, &esc.to_string()).await;
    for round in ["a ledger that is new to both", "a ledger that both have read"] {
        let (prepared, github) = world.prepare(USUAL).await.unwrap();
        world.definition.clone_from(&theirs);
        assert_eq!(word(&world.sync(USUAL).await), "complete");
        let ran = world.apply(&prepared, &github).await;
        assert_eq!(word(&Ok(ran)), "complete", "{round}");
        let recorded: Vec<String> = world.recorded(REPOSITORY).into_iter().collect();
        assert_eq!(recorded, ["DATABASE_URL", "SECRET_000", "SECRET_001"], "{round}");
        world.sandbox.clear_requests();
        for definition in [&ours, &theirs] {
            world.definition.clone_from(definition);
            assert_eq!(word(&world.sync(USUAL).await), "complete");
        }
        assert_eq!(world.accepted_writes(), [], "{round}: what is recorded is not written again");
        // Both have something to write once more.
        world.sandbox.advance(60);
        esc["values"]["api-keys"]["SECRET_000"] = json!({"fn::secret": "another"});
        esc["values"]["database"]["DATABASE_URL"] = json!({"fn::secret": "another"});
        world.sandbox.edit(json!({"esc": {"environments": {ENVIRONMENT: esc.to_string()}}})).unwrap();
        world.definition.clone_from(&ours);
    }
}

/// The ledger's variables of the organization, the first one first.
fn parts(world: &World) -> Vec<String> {
    let state = world.sandbox.state();
    let variables = &state["github"]["organizations"]["payready"]["variables"]["actions"];
    let text = |name: &str| variables[name]["value"].as_str().unwrap_or_default().to_owned();
    let first = text(VARIABLE);
    let head = Ledger::head_of(&first).unwrap();
    [first].into_iter().chain((1..head.parts).map(|index| text(&part_name(index, head.side)))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_over_48_kilobytes_spills_and_is_whole_or_refused() {
    let all = values(400);
    let definition = definition("api-keys", "organization: payready, visibility: private");
    let world = World::new(&definition, json!({"organizations": {"payready": {}}}), &document(&all)).await;
    assert_eq!(word(&world.sync(USUAL).await), "complete");
    let stored = parts(&world);
    assert!(stored.len() > 1 && stored.iter().all(|part| part.len() <= 48 * 1024), "{}", stored.len());
    let names: BTreeSet<String> =
        Ledger::from_parts(&stored).unwrap().entries.into_keys().map(|key| key.name).collect();
    assert_eq!(names, all.keys().cloned().collect());
    world.sandbox.clear_requests();
    assert_eq!(word(&world.sync(USUAL).await), "complete");
    assert_eq!(world.accepted_writes(), []);

    // A save that is cut before its last write leaves the old ledger whole.
    let mut changed = all.clone();
    changed.insert("SECRET_000".into(), "another".into());
    world.sandbox.advance(60);
    world.sandbox.edit(json!({"esc": {"environments": {ENVIRONMENT: document(&changed)}}})).unwrap();
    let head = format!("{VARIABLE}$");
    world.sandbox.fault(json!({"match": {"method": "PATCH", "path": head}, "do": {"status": 422}})).unwrap();
    let cut = world.sync(USUAL).await.unwrap();
    assert!(
        cut.outcomes.problems.iter().any(|problem| problem.code == "ledger-unsaved"),
        "{:?}",
        cut.outcomes.problems
    );
    assert_eq!(parts(&world), stored);
    world.sandbox.clear_faults();
    assert_eq!(word(&world.sync(USUAL).await), "complete");

    // A part that is gone: nothing is guessed, nothing is written.
    let head = Ledger::head_of(&parts(&world)[0]).unwrap();
    let gone = part_name(1, head.side);
    let edit = json!({"github": {"organizations": {"payready": {"variables": {"actions": {gone: null}}}}}});
    world.sandbox.edit(edit).unwrap();
    world.sandbox.clear_requests();
    assert!(word(&world.sync(USUAL).await).starts_with("ledger-unusable"));
    assert_eq!(world.accepted_writes(), []);
}
