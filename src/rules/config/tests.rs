use std::collections::BTreeSet;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::base::target::{App, EntryKind};

const GUIDE: &str = include_str!("../../../tests/data/guide.yaml");
const PREDECESSOR: &str = include_str!("../../../tests/data/predecessor.yaml");
const EVERY_KEY: &str = include_str!("../../../tests/data/every-key.yaml");

fn loaded(text: &str) -> Loaded {
    load("d.yaml", text).unwrap_or_else(|problems| panic!("{}", render(&problems)))
}

fn render(problems: &[Problem]) -> String {
    let line = |problem: &Problem| {
        let place = problem.place.as_ref().map(ToString::to_string).unwrap_or_default();
        let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{place}: {}: {}{hint}\n", problem.code, problem.message)
    };
    problems.iter().map(line).collect()
}

fn problems(text: &str) -> Vec<Problem> {
    match load("d.yaml", text) {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems,
    }
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

#[test]
fn the_minimal_file_of_the_guide_loads_unchanged() {
    let Loaded { definition, warnings } = loaded(GUIDE);
    assert!(warnings.is_empty(), "{}", render(&warnings));
    assert_eq!(definition.stack_names(), ["development", "staging", "production"]);
    assert_eq!(definition.environments[2].esc.to_string(), "payready/sophia-esc/production");
    assert_eq!(definition.groups_of("staging").count(), 5);
    assert!(definition.mappings.is_empty() && definition.policies.is_empty() && definition.targets.is_empty());
    assert_eq!(definition.sync.fingerprint_key, "sophia.fingerprintKey");
    assert_eq!((definition.sync.prune, definition.sync.max_delete), (false, 5));
    assert_eq!(definition.groups[1].place.to_string(), "d.yaml:12:5");
}

#[test]
fn a_file_of_five_groups_and_54_mappings_with_a_name_in_two_groups_loads() {
    let Loaded { definition, warnings } = loaded(PREDECESSOR);
    assert!(warnings.is_empty(), "{}", render(&warnings));
    assert_eq!((definition.groups.len(), definition.mappings.len(), definition.policies.len()), (5, 54, 3));
    let both: Vec<&str> =
        definition.mappings_to("webhook_signing_secret").map(|mapping| mapping.group.as_str()).collect();
    assert_eq!(both, ["security-tokens", "integration-credentials"]);
    assert_eq!(definition.mappings_of("security-tokens").count(), 6);
    assert_eq!(definition.policies[2].identities[0].to_string(), "github:payready/sophia");
}

#[test]
fn every_key_is_read() {
    let Loaded { definition, warnings } = loaded(EVERY_KEY);
    assert!(warnings.is_empty(), "{}", render(&warnings));
    assert_eq!(definition.stack(None).unwrap().esc.to_string(), "payready/sophia-live/prod");
    assert_eq!(definition.environments[1].tags["project"], "sophia");
    let names = |stack| definition.groups_of(stack).map(|group| group.name.as_str()).collect::<Vec<_>>();
    assert_eq!((names("development"), names("production")), (vec!["api-keys"], vec!["api-keys", "live-only"]));
    let [openai, log_level, signing] = definition.mappings.as_slice() else { panic!("three mappings") };
    assert_eq!(openai.target_name, "OPENAI_KEY");
    assert_eq!((openai.required, log_level.required), (false, true));
    assert_eq!((openai.kind, log_level.kind), (EntryKind::Secret, EntryKind::Variable));
    let owner = |name: &str| Some(name.to_owned());
    assert_eq!(openai.rotation, Some(Rotation { every: days(30), owner: owner("DevOps"), warn: days(14) }));
    assert_eq!(log_level.rotation, Some(Rotation { every: days(90), owner: owner("DevOps"), warn: days(14) }));
    let warn = SignedDuration::from_hours(36);
    assert_eq!(signing.rotation, Some(Rotation { every: days(35), owner: owner("Security"), warn }));
    assert_eq!(signing.generate, Some(Generate { length: 64, charset: Charset::Hex }));
    let [environment, many, organization] = definition.targets.as_slice() else { panic!("three targets") };
    assert_eq!(
        environment.destination,
        Destination::Repository {
            repository: "payready/sophia".parse().unwrap(),
            environment: Some("production".into())
        }
    );
    assert_eq!((environment.stacks.len(), many.stacks.len()), (1, 2));
    assert_eq!((&*environment.apps, &*many.apps), (&[App::Actions][..], &[App::Actions, App::Dependabot][..]));
    assert!(matches!(&organization.destination, Destination::Organization { visibility: Visibility::Selected,
        selected_repositories, .. } if selected_repositories.len() == 1));
    assert_eq!((definition.sync.prune, definition.sync.max_delete), (true, 0));
}

#[test]
fn the_stack_is_the_one_asked_for_else_the_default_else_an_error_that_lists_them() {
    let definition = loaded(EVERY_KEY).definition;
    assert_eq!(definition.stack(Some("development")).unwrap().name, "development");
    let unknown = definition.stack(Some("prod")).unwrap_err();
    assert_eq!((unknown.code, unknown.kind.exit_code()), ("stack-unknown", 2));
    assert_eq!(unknown.hints, ["did you mean `production`?"]);
    let missing = loaded(GUIDE).definition.stack(None).unwrap_err();
    assert_eq!(missing.code, "stack-missing");
    assert!(missing.hints[0].contains("`development`, `staging`, `production`"));
}

#[test]
fn the_command_line_replaces_organization_and_project() {
    let definition = loaded(EVERY_KEY).definition.with_overrides(Some("acme"), None).unwrap();
    assert_eq!(definition.environments[0].esc.to_string(), "acme/sophia-esc/development");
    assert_eq!(definition.environments[1].esc.to_string(), "acme/sophia-live/prod");
    assert_eq!(definition.with_overrides(None, Some("a b")).unwrap_err().code, "esc-name");
}

#[test]
fn every_problem_is_reported_in_one_run() {
    let text = "\
name: sophia esc
organisation: payready
defaultStack: prod
environments:
  - name: production
    tags: { version: 2 }
  - nmae: staging
secretGroups:
  - name: api-keys
    rotation: { every: 90, warn: 2y }
  - name: api-keys
secretMappings:
  - name: OPENAI-KEY
    secretGroup: api-key
    kind: sekret
    requierd: true
accessPolicies:
  - name: nobody
    secretGroups: []
    environments: [production]
    identities: [{ type: role, name: x }]
targets:
  - organization: payready
    selectedRepositories: [other/repo]
";
    insta::assert_snapshot!(render(&problems(text)));
}

/// One smallest wrong text for each code, put under a valid beginning.
const PROVOKING: [(&str, &str); 38] = [
    ("control-character", "description: \"a\\u0007\""),
    ("definition-empty", ""),
    ("duplicate-item", "defaultStack: a\ntargets: [{repository: o/r, stacks: [a, a]}]"),
    ("duplicate-key", "description: a\ndescription: b"),
    (
        "duplicate-name",
        "accessPolicies: [&p {name: p, secretGroups: [g], environments: [a], identities: [{type: user, name: u}]}, \
        {name: p, secretGroups: [g], environments: [a], identities: [{type: user, name: u}]}]",
    ),
    ("duplicate-target", "targets: [{repository: o/r, stacks: [a]}, {repository: O/R, stacks: [a]}]"),
    (
        "duplicate-target-name",
        "secretMappings: [{name: a, secretGroup: g}, {name: x, secretGroup: g, environmentVariableName: A}]",
    ),
    ("empty-list", "accessPolicies:"),
    ("empty-text", "defaultStack: ''"),
    ("environment-app", "targets: [{repository: o/r, stacks: [a], githubEnvironment: e, apps: [dependabot]}]"),
    ("esc-name", "environments: [{name: a, esc: only/two}, {name: b}]"),
    ("esc-path", "sync: {fingerprintKey: .a}"),
    (
        "identity-name",
        "accessPolicies: [{name: p, secretGroups: [g], environments: [a], identities: [{type: github, name: o/r/x}]}]",
    ),
    ("interval", "secretGroups: [{name: g, rotation: {every: -1d}}]"),
    ("missing-key", "secretMappings: [{name: A}]"),
    ("organization-name", "targets: [{organization: a b, visibility: all, stacks: [a]}]"),
    ("out-of-range", "sync: {maxDelete: -1}"),
    ("repositories-pattern", "targets: [{repositories: {organization: o, match: '[a]'}, stacks: [a]}]"),
    ("repositories-unbounded", "targets: [{repositories: {organization: o}, stacks: [a]}]"),
    ("repository-name", "targets: [{repository: sophia, stacks: [a]}]"),
    ("secret-name", "secretMappings: [{name: GITHUB_X, secretGroup: g}]"),
    ("selected-missing", "targets: [{organization: o, visibility: selected, stacks: [a]}]"),
    (
        "selected-outside",
        "targets: [{organization: o, visibility: selected, selectedRepositories: [p/r], stacks: [a]}]",
    ),
    ("selected-unused", "targets: [{organization: o, visibility: all, selectedRepositories: [o/r], stacks: [a]}]"),
    ("target-place", "targets: [{stacks: [a]}]"),
    ("target-place", "targets: [{repository: o/r, organization: o, visibility: all, stacks: [a]}]"),
    ("target-shared", "targets: [{repository: o/r}]"),
    ("too-long", "targets: [{repository: o/r, stacks: [a], githubEnvironment: LONG}]"),
    ("unknown-environment", "defaultStack: c"),
    ("unknown-group", "secretMappings: [{name: A, secretGroup: h}]"),
    ("unknown-key", "stacks: [a]"),
    ("unknown-value", "secretMappings: [{name: A, secretGroup: g, kind: file}]"),
    ("visibility-missing", "targets: [{organization: o, stacks: [a]}]"),
    ("visibility-unused", "targets: [{repository: o/r, visibility: all, stacks: [a]}]"),
    ("warn-too-long", "secretGroups: [{name: g, rotation: {every: 3d, warn: 3d}}]"),
    ("wrong-type", "sync: {prune: 'yes'}"),
    ("yaml-syntax", "description: ["),
    ("yaml-tag", "description: !file x"),
];

/// A valid beginning, without the keys that `extra` has itself.
fn with_beginning(extra: &str) -> String {
    let beginning = [
        ("name", "name: n\n"),
        ("organization", "organization: o\n"),
        ("environments", "environments: [{name: a}, {name: b}]\n"),
        ("secretGroups", "secretGroups: [{name: g}]\n"),
    ];
    let own = |key: &str| extra.lines().any(|line| line.starts_with(&format!("{key}:")));
    let lines: String = beginning.iter().filter(|(key, _)| !own(key)).map(|(_, line)| *line).collect();
    lines + &extra.replace("LONG", &"e".repeat(256))
}

#[test]
fn every_code_is_provoked_alone_and_none_is_listed_twice() {
    let mut provoked = BTreeSet::new();
    for (code, text) in PROVOKING {
        let text = if text.is_empty() { String::new() } else { with_beginning(text) };
        let found = problems(&text);
        let codes: BTreeSet<&str> = found.iter().map(|problem| problem.code).collect();
        assert_eq!(codes, BTreeSet::from([code]), "{text}\n{}", render(&found));
        assert!(found.iter().all(|problem| problem.place.is_some()));
        provoked.insert(code);
    }
    let listed: Vec<&str> = CODES.iter().chain(&YAML_CODES).map(|(code, _)| *code).collect();
    let unique: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(unique.len(), listed.len(), "a code is listed twice");
    // The one code that no file can provoke.
    provoked.insert("definition-shape");
    assert_eq!(unique, provoked);
    assert_eq!(problems(&with_beginning("")).len(), 0);
}

#[test]
fn a_place_is_shared_only_by_stacks_that_have_the_group() {
    let codes = |of_first: &str, of_second: &str| -> Vec<&str> {
        let text = format!(
            "name: n\norganization: o\nenvironments: [{{name: a}}, {{name: b}}]\n\
             secretGroups: [{{name: g, environments: [{of_first}]}}, {{name: h, environments: [{of_second}]}}]\n\
             targets: [{{repository: o/r, stacks: [a, b]}}, {{repository: o/r, stacks: [a], secretGroups: [h]}}]\n"
        );
        problems(&text).iter().map(|problem| problem.code).collect()
    };
    assert_eq!(codes("a", "b"), [""; 0]);
    assert_eq!(codes("'a', 'b'", "b"), ["target-shared"]);
    assert_eq!(codes("b", "a"), ["duplicate-target"]);
}

#[test]
fn an_empty_key_is_no_key_except_where_it_would_open_a_door() {
    loaded(&with_beginning("description:\nsecretMappings:\ntargets: ~\nsync: null"));
    assert_eq!(problems(&with_beginning("accessPolicies: ~"))[0].code, "empty-list");
    assert_eq!(problems(&with_beginning("targets: [{repository: o/r, stacks: }]"))[0].code, "empty-list");
}

fn yaml_of_known_words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "name",
        "organization",
        "environments",
        "secretGroups",
        "secretMappings",
        "accessPolicies",
        "identities",
        "targets",
        "repository",
        "repositories",
        "visibility",
        "sync",
        "stacks",
        "rotation",
        "every",
        "warn",
        "g",
        "a",
        "90d",
        "-1d",
        "''",
        "~",
        "1",
        "1e99",
        "true",
        "selected",
        "o/r",
        "!!str 1",
        "!x y",
        "type",
        "esc",
    ]);
    let leaf = word.clone().prop_map(str::to_owned);
    leaf.prop_recursive(5, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((word.clone(), inner), 0..6).prop_map(|entries| {
                let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{{}}}", entries.join(", "))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_loads_or_has_problems_and_never_surprises(text in prop_oneof![".{0,200}", yaml_of_known_words(),
        yaml_of_known_words().prop_map(|text| with_beginning(&format!("targets: {text}"))),
        yaml_of_known_words().prop_map(|text| with_beginning(&format!("accessPolicies: [{text}]")))]
    ) {
        if let Err(problems) = load("d.yaml", &text) {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.iter().all(|problem| problem.code != "definition-shape"), "{}", render(&problems));
            prop_assert!(problems.iter().any(|problem| problem.severity == Severity::Error));
        }
    }
}
