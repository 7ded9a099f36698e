//! Decides a plan of 10,000 secrets: what `.ci/plan-instructions` counts the instructions of.
//!
//! A hundred repositories with a hundred secrets each, nine of ten unchanged since the last run.
#![allow(
    clippy::disallowed_macros,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement, not part of the product"
)]

use std::collections::BTreeMap;

use jiff::Timestamp;
use sophia_secrets_sync::base::secret::{FingerprintKey, SecretValue};
use sophia_secrets_sync::base::target::{App, EntryKind, Scope};
use sophia_secrets_sync::esc::value::{Content, Value};
use sophia_secrets_sync::rules::definition::Definition;
use sophia_secrets_sync::rules::desired::Desired;
use sophia_secrets_sync::rules::digest::digest;
use sophia_secrets_sync::rules::ledger::{Entry, EntryKey, Ledger};
use sophia_secrets_sync::rules::plan::{Action, Listed, Observed, PlanSource, Prune, Settings, Target, TargetPlan};
use sophia_secrets_sync::rules::steps::{TargetFacts, blow_the_delete_fuse, decide};
use sophia_secrets_sync::rules::{config, cost};

const REPOSITORIES: usize = 100;
const SECRETS: usize = 100;
const ENVIRONMENT: &str = "payready/sophia-esc/production";
const WRITTEN: &str = "2026-01-02T03:04:05Z";
const DEFINITION: &str = "
name: sophia-esc
organization: payready
environments: [{ name: production }]
secretGroups: [{ name: api-keys }]
";

/// What a run knows before it decides.
struct Facts {
    definition: Definition,
    values: Value,
    key: FingerprintKey,
    seen: Vec<(Target, Observed, Ledger)>,
    settings: Settings,
}

fn value(number: usize) -> String {
    format!("the value of secret {number}")
}

fn facts() -> Facts {
    let Ok(loaded) = config::load("definition.yaml", DEFINITION) else { unreachable!("the definition is valid") };
    let key = FingerprintKey::new(&SecretValue::from("the fingerprint key of a benchmark".to_owned()));
    let key = key.expect("a key that is long enough");
    let names: Vec<String> = (0..SECRETS).map(|number| format!("SECRET_{number:03}")).collect();
    let leaf = |number| {
        let mut leaf = Value::plain(Content::String(value(number)));
        leaf.secret = true;
        leaf
    };
    let leaves = names.iter().enumerate().map(|(number, name)| (name.clone(), leaf(number))).collect();
    let group = Value::plain(Content::Object(leaves));
    let values = Value::plain(Content::Object(BTreeMap::from([("api-keys".to_owned(), group)])));
    let written: Timestamp = WRITTEN.parse().expect("a time");
    let entries: Vec<(String, Entry)> = names
        .iter()
        .enumerate()
        .map(|(number, name)| {
            // Every tenth was another value then.
            let then = if number % 10 == 0 { "an older value".to_owned() } else { value(number) };
            let entry = Entry {
                fingerprint: SecretValue::from(then).fingerprint(&key, name),
                updated_at: Some(WRITTEN.to_owned()),
                written_at: written,
                group: "api-keys".to_owned(),
                environment: ENVIRONMENT.to_owned(),
                changed_at: written,
                gone_since: None,
                exposure: None,
            };
            (name.clone(), entry)
        })
        .collect();
    let seen = (0..REPOSITORIES).map(|number| {
        let repository = format!("payready/sophia-{number:03}").parse().expect("a name");
        let target = Target { scope: Scope::Repository(repository), app: App::Actions };
        let listed = || Listed { updated_at: WRITTEN.to_owned(), variable: None, visibility: None, repositories: None };
        let observed = Observed {
            entries: names.iter().map(|name| ((EntryKind::Secret, name.clone()), listed())).collect(),
            complete: [EntryKind::Secret].into(),
            ledger_variables: 1,
        };
        let key = |name: &String| EntryKey { app: App::Actions, kind: EntryKind::Secret, name: name.clone() };
        let entries = entries.iter().map(|(name, entry)| (key(name), entry.clone())).collect();
        (target, observed, Ledger { key_id: None, entries })
    });
    Facts {
        definition: loaded.definition,
        values,
        seen: seen.collect(),
        settings: Settings {
            environment: ENVIRONMENT.to_owned(),
            prune: Prune { enabled: true, max_delete: 5, after_seconds: None },
            allow_widening: false,
            groups: None,
            key_id: Some(key.id()),
            now: written,
        },
        key,
    }
}

/// Its name is what callgrind is told to count.
#[inline(never)]
fn plan_of_ten_thousand(facts: &Facts) -> (Vec<TargetPlan>, String, u64) {
    let desired = Desired::collect(&facts.definition, "production", &facts.values);
    let mut plans: Vec<TargetPlan> = facts
        .seen
        .iter()
        .map(|(target, observed, ledger)| {
            let (wanted, _) = desired.wanted(&|_| true, &|_| None, Some(&facts.key));
            let facts_of_it = TargetFacts {
                target,
                wanted: &wanted,
                optional: &desired.optional,
                empty_groups: &desired.empty_groups,
                observed,
                ledger: Some(ledger),
                exposure: None,
            };
            decide(&facts_of_it, &facts.settings)
        })
        .collect();
    blow_the_delete_fuse(&mut plans, facts.settings.prune.max_delete);
    let source = PlanSource { kind: "cloud", environment: ENVIRONMENT.to_owned(), revision: Some(1) };
    let digest = digest("production", &source, &plans, &BTreeMap::new());
    let cost = cost::estimate(&plans, 0, &|_| false, true, 16);
    (plans, digest, cost.writes)
}

fn main() {
    let facts = facts();
    let (plans, digest, writes) = plan_of_ten_thousand(&facts);
    let count = |action| plans.iter().map(|plan| plan.count(action)).sum::<usize>();
    println!("{} kept, {} updated, {writes} writes, {digest}", count(Action::Keep), count(Action::Update));
    assert_eq!((count(Action::Keep), count(Action::Update)), (9_000, 1_000), "this is not the plan that was meant");
}
