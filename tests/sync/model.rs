//! Random sequences of edits, syncs and failures against a simple model of what GitHub must hold.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;
use sophia_secrets_sync::rules::plan::Action;

use super::world::{ENVIRONMENT, How, IMPATIENT, USUAL, World, document, word};

const NAMES: [&str; 4] = ["A", "B", "C", "D"];
const STORE: &str = "/repositories/payready~1sophia/secrets/actions";
const LEDGER: &str = "/repositories/payready~1sophia/variables/actions";

#[derive(Debug, Clone)]
enum Act {
    EditEsc(usize, u8),
    RemoveFromEsc(usize),
    EditGithub(usize, u8),
    DeleteAtGithub(usize),
    ToggleInDefinition(usize),
    LoseLedger,
    Sync {
        prune: bool,
    },
    /// The network goes away at this request.
    Fail {
        prune: bool,
        request: usize,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let name = || 0..NAMES.len();
    prop_oneof![
        3 => (name(), 0..4u8).prop_map(|(name, value)| Act::EditEsc(name, value)),
        1 => name().prop_map(Act::RemoveFromEsc),
        2 => (name(), 0..4u8).prop_map(|(name, value)| Act::EditGithub(name, value)),
        1 => name().prop_map(Act::DeleteAtGithub),
        2 => name().prop_map(Act::ToggleInDefinition),
        1 => Just(Act::LoseLedger),
        4 => any::<bool>().prop_map(|prune| Act::Sync { prune }),
        3 => (any::<bool>(), 1..16usize).prop_map(|(prune, request)| Act::Fail { prune, request }),
    ]
}

/// Whether the ledger proves that this tool wrote what GitHub holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ours {
    No,
    /// A run was cut: it may have been recorded.
    Maybe,
    Yes,
}

#[derive(Default)]
struct Model {
    esc: BTreeMap<String, String>,
    defined: BTreeSet<String>,
    github: BTreeMap<String, String>,
    ours: BTreeMap<String, Ours>,
}

impl Model {
    fn wanted(&self) -> BTreeMap<String, String> {
        let kept = |name: &&String| self.defined.contains(*name) || name.as_str() == "ANCHOR";
        self.esc.iter().filter(|(name, _)| kept(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn definition(&self) -> String {
        let names = self.defined.iter().map(String::as_str).chain(["ANCHOR"]);
        let mappings: String =
            names.map(|name| format!("  - {{ name: {name}, secretGroup: api-keys, required: false }}\n")).collect();
        format!(
            "name: sophia-esc\norganization: payready\nenvironments: [{{ name: production }}]\n\
             secretGroups: [{{ name: api-keys }}]\nsecretMappings:\n{mappings}targets: [{{ repository: payready/sophia }}]\n"
        )
    }

    fn ours(&self, name: &str) -> Ours {
        self.ours.get(name).copied().unwrap_or(Ours::No)
    }

    /// What a run may delete: not defined any more, and proven (or perhaps proven) ours.
    fn deletable(&self, prune: bool) -> Vec<String> {
        let gone = |name: &&String| prune && !self.defined.contains(*name) && name.as_str() != "ANCHOR";
        self.github.keys().filter(gone).filter(|name| self.ours(name) != Ours::No).cloned().collect()
    }

    fn after_sync(&mut self, prune: bool, actual: &BTreeMap<String, String>) -> Result<(), String> {
        for name in self.deletable(prune) {
            // Proven: gone. Perhaps proven: either.
            if self.ours(&name) == Ours::Yes || !actual.contains_key(&name) {
                self.github.remove(&name);
                self.ours.remove(&name);
            } else {
                self.ours.insert(name, Ours::No);
            }
        }
        for (name, value) in self.wanted() {
            self.github.insert(name.clone(), value);
            self.ours.insert(name, Ours::Yes);
        }
        if &self.github == actual { Ok(()) } else { Err(format!("model {:?}, GitHub {actual:?}", self.github)) }
    }

    /// Each name is as before or as wanted, and nothing else has moved.
    fn after_failure(&mut self, prune: bool, actual: &BTreeMap<String, String>) -> Result<(), String> {
        let (wanted, deletable) = (self.wanted(), self.deletable(prune));
        let names: BTreeSet<&String> = self.github.keys().chain(actual.keys()).chain(wanted.keys()).collect();
        for name in names {
            let (before, now) = (self.github.get(name), actual.get(name));
            let allowed = before == now
                || (now.is_some() && now == wanted.get(name))
                || (now.is_none() && deletable.contains(name));
            if !allowed {
                return Err(format!("after a cut run `{name}` went from {before:?} to {now:?}"));
            }
        }
        for name in wanted.into_keys().chain(deletable) {
            self.ours.insert(name, Ours::Maybe);
        }
        self.github.clone_from(actual);
        Ok(())
    }
}

async fn play(acts: Vec<Act>) -> Result<(), String> {
    let anchor = ("ANCHOR".to_owned(), "anchor".to_owned());
    let mut model = Model { esc: [anchor].into(), ..Model::default() };
    model.github.insert("FOREIGN".into(), "foreign".into());
    let github = json!({"repositories": {"payready/sophia": {"secrets": {"actions": {"FOREIGN": "foreign"}}}}});
    let mut world = World::new(&model.definition(), github, &document(&model.esc)).await;
    for act in acts {
        // Another minute: GitHub's dates have whole seconds.
        world.sandbox.advance(60);
        match &act {
            Act::EditEsc(name, value) => {
                model.esc.insert(NAMES[*name].into(), format!("esc {value}"));
            }
            Act::RemoveFromEsc(name) => {
                model.esc.remove(NAMES[*name]);
            }
            Act::EditGithub(name, value) => {
                let (name, value) = (NAMES[*name], format!("outside {value}"));
                let edit =
                    json!({"github": {"repositories": {"payready/sophia": {"secrets": {"actions": {name: value}}}}}});
                world.sandbox.edit(edit)?;
                model.github.insert(name.into(), value);
                model.ours.remove(name);
            }
            Act::DeleteAtGithub(name) => {
                let name = NAMES[*name];
                let edit =
                    json!({"github": {"repositories": {"payready/sophia": {"secrets": {"actions": {name: null}}}}}});
                world.sandbox.edit(edit)?;
                model.github.remove(name);
                model.ours.remove(name);
            }
            Act::ToggleInDefinition(name) => {
                let name = NAMES[*name].to_owned();
                if !model.defined.remove(&name) {
                    model.defined.insert(name);
                }
            }
            Act::LoseLedger => {
                let name = sophia_secrets_sync::rules::ledger::VARIABLE;
                let edit =
                    json!({"github": {"repositories": {"payready/sophia": {"variables": {"actions": {name: null}}}}}});
                world.sandbox.edit(edit)?;
                model.ours.clear();
            }
            Act::Sync { .. } | Act::Fail { .. } => {}
        }
        world.sandbox.edit(json!({"esc": {"environments": {ENVIRONMENT: document(&model.esc)}}}))?;
        world.definition = model.definition();
        match act {
            Act::Sync { prune } => {
                let ran = world.sync(How { prune, ..USUAL }).await;
                if word(&ran) != "complete" {
                    return Err(word(&ran));
                }
                model.after_sync(prune, &world.entries(STORE))?;
                let recorded = world.recorded(LEDGER);
                let missing: Vec<String> = model.wanted().into_keys().filter(|name| !recorded.contains(name)).collect();
                if !missing.is_empty() {
                    return Err(format!("not in the ledger: {missing:?}"));
                }
                let plan = world.plan().await.map_err(|failure| failure.to_string())?;
                let again: Vec<_> = plan.steps().filter(|(_, step)| step.action != Action::Keep).collect();
                if !again.is_empty() {
                    return Err(format!("a second run would do {again:?}"));
                }
            }
            Act::Fail { prune, request } => {
                let fault = json!({"match": {"service": "github", "nth": request}, "times": 1_000_000,
                    "do": {"cut": if request % 2 == 0 { "before" } else { "after" }}});
                world.sandbox.fault(fault)?;
                // It may well come to its end, when it has less to do.
                let _ = world.sync(How { prune, ..IMPATIENT }).await;
                world.sandbox.clear_faults();
                model.after_failure(prune, &world.entries(STORE))?;
            }
            _ => {}
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_github_holds_what_the_model_holds(acts in prop::collection::vec(act(), 1..14)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(acts)).map_err(TestCaseError::fail)?;
    }
}
