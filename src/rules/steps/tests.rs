//! Every reason and every fuse of a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use crate::base::secret::{Fingerprint, FingerprintKey, SecretValue};
use crate::rules::ledger::Entry;
use crate::rules::plan::Prune;

const WRITTEN: &str = "2026-01-02T03:04:05Z";
const LATER: &str = "2026-01-02T04:00:00Z";
const ENVIRONMENT: &str = "payready/sophia-esc/production";

fn fingerprint(name: &str, value: &str, key: &str) -> Fingerprint {
    let key = FingerprintKey::new(&SecretValue::from(key.repeat(16))).unwrap();
    SecretValue::from(value.to_owned()).fingerprint(&key, name)
}

fn target(scope: Scope, app: App) -> Target {
    Target { scope, app }
}

fn repository() -> Target {
    target(Scope::Repository("payready/sophia".parse().unwrap()), App::Actions)
}

fn organization() -> Target {
    target(Scope::Organization("payready".into()), App::Actions)
}

/// The facts of one target, in the making.
struct World {
    target: Target,
    wanted: Vec<Wanted>,
    optional: BTreeSet<String>,
    empty_groups: BTreeSet<String>,
    observed: Observed,
    ledger: Option<Ledger>,
    exposure: Option<Arc<Exposure>>,
    settings: Settings,
}

impl World {
    fn new(target: Target) -> Self {
        Self {
            target,
            wanted: Vec::new(),
            optional: BTreeSet::new(),
            empty_groups: BTreeSet::new(),
            observed: Observed { complete: [EntryKind::Secret, EntryKind::Variable].into(), ..Observed::default() },
            ledger: Some(Ledger { key_id: Some("k".into()), entries: BTreeMap::new() }),
            exposure: None,
            settings: Settings {
                environment: ENVIRONMENT.into(),
                prune: Prune { enabled: false, max_delete: 5, after_seconds: None },
                allow_widening: false,
                groups: None,
                key_id: Some("k".into()),
                now: "2026-01-03T03:04:05Z".parse().unwrap(),
            },
        }
    }

    fn wants(mut self, name: &str, value: &str) -> Self {
        let facts = ValueFacts { bytes: value.len(), fingerprint: Some(fingerprint(name, value, "k")), variable: None };
        self.wanted.push(Wanted {
            name: name.into(),
            group: "api-keys".into(),
            kind: EntryKind::Secret,
            place: None,
            facts: Ok(facts),
        });
        self
    }

    fn wants_variable(mut self, name: &str, value: &str) -> Self {
        self = self.wants(name, value);
        let wanted = self.wanted.last_mut().unwrap();
        wanted.kind = EntryKind::Variable;
        wanted.facts.as_mut().unwrap().variable = Some(value.into());
        self
    }

    fn lists(mut self, name: &str, updated_at: &str) -> Self {
        let listed = Listed { updated_at: updated_at.into(), variable: None, visibility: None, repositories: None };
        self.observed.entries.insert((EntryKind::Secret, name.into()), listed);
        self
    }

    fn lists_variable(mut self, name: &str, value: &str, updated_at: &str) -> Self {
        let listed = Listed {
            updated_at: updated_at.into(),
            variable: Some(value.into()),
            visibility: None,
            repositories: None,
        };
        self.observed.entries.insert((EntryKind::Variable, name.into()), listed);
        self
    }

    fn sees(mut self, visibility: Visibility, repositories: Option<&[u64]>) -> Self {
        for listed in self.observed.entries.values_mut() {
            listed.visibility = Some(visibility);
            listed.repositories = repositories.map(|ids| ids.iter().copied().collect());
        }
        self
    }

    fn asks(mut self, visibility: Visibility, repositories: &[u64]) -> Self {
        let repositories = repositories.iter().copied().collect();
        self.exposure = Some(Arc::new(Exposure { visibility, repositories }));
        self
    }

    fn wrote(self, name: &str, value: &str) -> Self {
        self.wrote_as(name, value, |_| {})
    }

    fn wrote_as(mut self, name: &str, value: &str, change: impl FnOnce(&mut Entry)) -> Self {
        let mut entry = Entry {
            fingerprint: fingerprint(name, value, "k"),
            updated_at: Some(WRITTEN.into()),
            written_at: WRITTEN.parse().unwrap(),
            group: "api-keys".into(),
            environment: ENVIRONMENT.into(),
            changed_at: WRITTEN.parse().unwrap(),
            gone_since: None,
            exposure: None,
        };
        change(&mut entry);
        let kind = if self.observed.entries.contains_key(&(EntryKind::Variable, name.into())) {
            EntryKind::Variable
        } else {
            EntryKind::Secret
        };
        let key = EntryKey { app: self.target.app, kind, name: name.into() };
        self.ledger.as_mut().unwrap().entries.insert(key, entry);
        self
    }

    fn prunes(mut self) -> Self {
        self.settings.prune.enabled = true;
        self
    }

    fn plan(&self) -> TargetPlan {
        decide(&self.facts(), &self.settings)
    }

    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts {
            target: &self.target,
            wanted: &self.wanted,
            optional: &self.optional,
            empty_groups: &self.empty_groups,
            observed: &self.observed,
            ledger: self.ledger.as_ref(),
            exposure: self.exposure.as_ref(),
        }
    }

    /// `NAME action reason`, one for each step.
    fn words(&self) -> Vec<String> {
        let word = |step: &Step| format!("{} {} {}", step.name, step.action.word(), step.reason.word());
        self.plan().steps.iter().map(word).collect()
    }

    fn only(&self) -> Step {
        let mut steps = self.plan().steps;
        assert_eq!(steps.len(), 1, "{steps:?}");
        steps.remove(0)
    }
}

#[test]
fn every_state_of_a_wanted_secret_has_its_reason() {
    let world = || World::new(repository());
    let without_ledger = |mut world: World| {
        world.ledger = None;
        world
    };
    let cases = [
        ("A create new", world().wants("A", "v")),
        ("A keep unchanged", world().wants("A", "v").lists("A", WRITTEN).wrote("A", "v")),
        ("A update value-changed", world().wants("A", "v2").lists("A", WRITTEN).wrote("A", "v")),
        ("A update edited-outside", world().wants("A", "v").lists("A", LATER).wrote("A", "v")),
        ("A create edited-outside", world().wants("A", "v").wrote("A", "v")),
        ("A update never-synced", world().wants("A", "v").lists("A", WRITTEN)),
        ("A update never-synced", without_ledger(world().wants("A", "v").lists("A", WRITTEN))),
        ("A create new", without_ledger(world().wants("A", "v"))),
        ("A refuse size", world().wants("A", "")),
        ("A refuse size", world().wants("A", &"v".repeat(LARGEST_SECRET + 1))),
        ("A create new", world().wants("A", &"v".repeat(LARGEST_SECRET))),
        ("A refuse size", world().wants_variable("A", &"v".repeat(LARGEST_VARIABLE + 1))),
    ];
    for (expected, world) in cases {
        assert_eq!(world.words(), [expected]);
    }
}

#[test]
fn a_refusal_of_a_value_is_the_reason_of_its_step() {
    for reason in [Reason::Policy, Reason::Name, Reason::Missing, Reason::Conflict] {
        let mut world = World::new(repository()).wants("A", "v").lists("A", WRITTEN).wrote("A", "v");
        world.wanted[0].facts = Err(Refusal { reason, message: "because".into() });
        let step = world.only();
        assert_eq!((step.action, step.reason, step.detail.as_deref()), (Action::Refuse, reason, Some("because")));
    }
}

#[test]
fn an_entry_whose_date_was_not_read_back_is_known_by_the_time_of_its_write() {
    let unsettled = |listed: &str| {
        World::new(repository()).wants("A", "v").lists("A", listed).wrote_as("A", "v", |entry| entry.updated_at = None)
    };
    assert_eq!(unsettled("2026-01-02T03:04:06Z").words(), ["A keep unchanged"]);
    assert_eq!(unsettled(LATER).words(), ["A update edited-outside"]);
}

#[test]
fn a_variable_is_compared_by_its_text() {
    let world = || World::new(repository());
    let cases = [
        ("A create new", world().wants_variable("A", "v")),
        ("A keep unchanged", world().wants_variable("A", "v").lists_variable("A", "v", LATER)),
        ("A update never-synced", world().wants_variable("A", "v").lists_variable("A", "other", LATER)),
        (
            "A update edited-outside",
            world().wants_variable("A", "v").lists_variable("A", "other", WRITTEN).wrote("A", "v"),
        ),
        ("A update value-changed", world().wants_variable("A", "v2").lists_variable("A", "v", WRITTEN).wrote("A", "v")),
    ];
    for (expected, world) in cases {
        assert_eq!(world.words(), [expected]);
    }
}

#[test]
fn a_secret_and_a_variable_of_one_name_are_two_entries() {
    let world =
        World::new(repository()).wants("A", "v").lists("A", WRITTEN).wrote("A", "v").lists_variable("A", "x", WRITTEN);
    assert_eq!(world.words(), ["A keep unchanged"]);
    assert_eq!(world.wants_variable("A", "x").words(), ["A keep unchanged", "A keep unchanged"]);
}

#[test]
fn another_key_shows_as_another_value_and_two_keys_may_share_a_scope() {
    let mut world = World::new(repository()).wants("A", "v").lists("A", WRITTEN).wrote("A", "v");
    world.ledger.as_mut().unwrap().key_id = Some("the key of another stack".into());
    assert_eq!(world.words(), ["A keep unchanged"]);
    let entry = world.ledger.as_mut().unwrap().entries.values_mut().next().unwrap();
    entry.fingerprint = fingerprint("A", "v", "x");
    assert_eq!(world.words(), ["A update value-changed"]);
}

#[test]
fn a_removed_name_is_kept_unless_pruned() {
    let world = || World::new(repository()).lists("GONE", WRITTEN).wrote("GONE", "v");
    let kept = world().only();
    assert_eq!((kept.action, kept.reason), (Action::Keep, Reason::RemovedFromDefinition));
    assert_eq!(kept.detail.as_deref(), Some("--prune deletes it"));
    assert_eq!(world().prunes().only().action, Action::Delete);
    assert_eq!(world().prunes().wants("GONE", "v").only().action, Action::Keep);
}

#[test]
fn what_is_not_proven_ours_is_never_deleted() {
    let pruned =
        |change: fn(&mut Entry)| World::new(repository()).lists("X", WRITTEN).wrote_as("X", "v", change).prunes();
    // Foreign: listed, but not in the ledger.
    assert!(World::new(repository()).lists("X", WRITTEN).prunes().words().is_empty());
    // Of another stack's environment.
    assert!(pruned(|entry| entry.environment = "payready/sophia-esc/staging".into()).words().is_empty());
    // Written by someone else since.
    let edited = World::new(repository()).lists("X", LATER).wrote("X", "v").prunes().only();
    assert_eq!(edited.action, Action::Keep);
    assert!(edited.detail.unwrap().contains("not ours"));
    // Not there any more.
    assert!(World::new(repository()).wrote("X", "v").prunes().words().is_empty());
    // Of an app that the target is not about.
    let mut other = pruned(|_| {});
    other.target.app = App::Dependabot;
    assert!(other.words().is_empty());
    // Of a group that the run is not about.
    let mut other = pruned(|_| {});
    other.settings.groups = Some(["database".to_owned()].into());
    assert!(other.words().is_empty());
    // Optional, and without a value now.
    let mut optional = pruned(|_| {});
    optional.optional.insert("X".into());
    assert!(optional.words().is_empty());
    // Without a ledger nothing is proven.
    let mut without = pruned(|_| {});
    without.ledger = None;
    assert!(without.words().is_empty());
}

#[test]
fn an_incomplete_listing_or_source_deletes_nothing() {
    let mut short = World::new(repository()).lists("X", WRITTEN).wrote("X", "v").prunes();
    short.observed.complete.remove(&EntryKind::Secret);
    let step = short.only();
    assert_eq!((step.action, step.reason), (Action::Refuse, Reason::RemovedFromDefinition));
    assert!(step.detail.unwrap().contains("incomplete"));

    let mut empty = World::new(repository()).lists("X", WRITTEN).wrote("X", "v").prunes();
    empty.empty_groups.insert("api-keys".into());
    let step = empty.only();
    assert_eq!(step.action, Action::Refuse);
    assert!(step.detail.unwrap().contains("group `api-keys`"));
    empty.settings.prune.enabled = false;
    assert_eq!(empty.only().action, Action::Keep);
}

#[test]
fn a_tombstone_needs_two_runs() {
    let gone = |since: Option<&'static str>| {
        let mut world = World::new(repository())
            .lists("X", WRITTEN)
            .wrote_as("X", "v", |entry| entry.gone_since = since.map(|since| since.parse().unwrap()))
            .prunes();
        world.settings.prune.after_seconds = Some(24 * 3600);
        world.only()
    };
    let first = gone(None);
    assert_eq!((first.action, first.mark_gone), (Action::Keep, true));
    let early = gone(Some("2026-01-02T03:04:06Z"));
    assert_eq!((early.action, early.mark_gone), (Action::Keep, false));
    assert_eq!(gone(Some("2026-01-02T03:04:05Z")).action, Action::Delete);
}

#[test]
fn the_delete_fuse_blows_over_all_targets_together() {
    let world = || {
        ["A", "B", "C"]
            .iter()
            .fold(World::new(repository()), |world, name| world.lists(name, WRITTEN).wrote(name, "v"))
            .prunes()
    };
    let mut two = vec![world().plan(), world().plan()];
    blow_the_delete_fuse(&mut two, 6);
    assert_eq!(two.iter().map(|plan| plan.count(Action::Delete)).sum::<usize>(), 6);
    blow_the_delete_fuse(&mut two, 5);
    let refused: Vec<&Step> =
        two.iter().flat_map(|plan| &plan.steps).filter(|step| step.action == Action::Refuse).collect();
    assert_eq!(refused.len(), 6);
    assert!(refused.iter().all(|step| step.reason == Reason::Limit));
    assert_eq!(refused[0].detail.as_deref(), Some("6 deletions, at most 5 in a run; --max-delete permits more"));
}

#[test]
fn a_full_store_refuses_what_does_not_fit() {
    let mut world = World::new(repository());
    for number in 0..99 {
        world = world.lists(&format!("FOREIGN_{number}"), WRITTEN);
    }
    world = world.wants("A", "v").wants("B", "v");
    assert_eq!(world.words(), ["A create new", "B refuse limit"]);
    // What is deleted makes room, and then must go first.
    let world = world.lists("OLD", WRITTEN).wrote("OLD", "v").prunes();
    assert_eq!(world.words(), ["A create new", "B refuse limit", "OLD delete removed-from-definition"]);
    assert!(deletes_make_room(&world.plan(), &world.observed));
    assert!(!deletes_make_room(&World::new(repository()).wants("A", "v").plan(), &Observed::default()));
}

#[test]
fn every_store_has_its_own_limit_and_the_ledger_counts() {
    let store = || Scope::Repository("payready/sophia".parse().unwrap());
    let environment = Scope::Environment { repository: "payready/sophia".parse().unwrap(), environment: "e".into() };
    let organization = || Scope::Organization("payready".into());
    for (scope, app, kind, most) in [
        (store(), App::Actions, EntryKind::Secret, 100),
        (store(), App::Actions, EntryKind::Variable, 500),
        (environment.clone(), App::Actions, EntryKind::Secret, 100),
        (environment, App::Actions, EntryKind::Variable, 100),
        (organization(), App::Actions, EntryKind::Secret, 1000),
        (organization(), App::Codespaces, EntryKind::Secret, 100),
    ] {
        assert_eq!(most_entries(&target(scope, app), kind), most);
    }
    let mut world = World::new(repository()).wants_variable("A", "v");
    for number in 0..499 {
        world = world.lists_variable(&format!("FOREIGN_{number}"), "x", WRITTEN);
    }
    assert_eq!(world.words(), ["A create new"]);
    world.observed.ledger_variables = 1;
    assert_eq!(world.words(), ["A refuse limit"]);
}

#[test]
fn an_organization_secret_keeps_who_may_see_it() {
    let world = || World::new(organization()).wants("A", "v2").lists("A", WRITTEN).wrote("A", "v");
    // Its repositories stay, also those that the definition does not name.
    let step = world().sees(Visibility::Selected, Some(&[1, 2])).asks(Visibility::Selected, &[1]).only();
    assert_eq!((step.action, step.reason), (Action::Update, Reason::ValueChanged));
    assert_eq!(step.exposure.unwrap().token(), "selected:1,2");
    let step = world().sees(Visibility::Private, None).asks(Visibility::Private, &[]).only();
    assert_eq!(step.exposure.unwrap().token(), "private:");
}

#[test]
fn widening_needs_a_permission_and_narrowing_none() {
    use Visibility::{All, Private, Selected};
    let world = || World::new(organization()).wants("A", "v").lists("A", WRITTEN).wrote("A", "v");
    let ids: &[u64] = &[1];
    for (now, asked, wider) in [
        (world().sees(Private, None), world().asks(All, &[]).exposure, true),
        (world().sees(Selected, Some(ids)), world().asks(Private, &[]).exposure, true),
        (world().sees(Selected, Some(ids)), world().asks(Selected, &[1, 2]).exposure, true),
        (world().sees(All, None), world().asks(Private, &[]).exposure, false),
        (world().sees(Private, None), world().asks(Selected, &[1]).exposure, false),
    ] {
        let mut world = now;
        world.exposure = asked;
        let step = world.only();
        let expected = if wider { Action::Refuse } else { Action::Update };
        assert_eq!((step.action, step.reason), (expected, Reason::Visibility), "{:?}", step.detail);
        world.settings.allow_widening = true;
        let step = world.only();
        assert_eq!((step.action, step.reason), (Action::Update, Reason::Visibility));
        assert_eq!(step.exposure.unwrap().visibility, world.exposure.unwrap().visibility);
    }
}

#[test]
fn repositories_are_looked_at_only_where_they_decide() {
    let world = || World::new(organization()).wants("A", "v").lists("A", WRITTEN).asks(Visibility::Selected, &[1]);
    let unknown = world().wrote("A", "v").sees(Visibility::Selected, None);
    assert_eq!(needs_repositories(&unknown.facts()).len(), 1);
    let known =
        world().wrote_as("A", "v", |entry| entry.exposure = Some("selected:1".into())).sees(Visibility::Selected, None);
    assert!(needs_repositories(&known.facts()).is_empty());
    assert_eq!(known.words(), ["A keep unchanged"]);
    assert!(needs_repositories(&world().sees(Visibility::Private, None).facts()).is_empty());
}

#[test]
fn steps_stand_in_the_order_of_kind_and_name() {
    let world = World::new(repository()).wants("B", "v").wants_variable("A", "v").wants("A", "v");
    let order: Vec<(EntryKind, Arc<str>)> = world.plan().steps.into_iter().map(|step| (step.kind, step.name)).collect();
    assert_eq!(
        order,
        [(EntryKind::Secret, "A".into()), (EntryKind::Secret, "B".into()), (EntryKind::Variable, "A".into())]
    );
}
