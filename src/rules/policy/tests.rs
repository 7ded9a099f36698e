use proptest::prelude::*;

use super::*;
use crate::rules::config;

/// A definition with two stacks, two groups, and these policies.
pub(super) fn definition(policies: &str) -> Definition {
    let text = format!(
        "name: n\norganization: o\nenvironments: [{{name: dev}}, {{name: prod}}]\n\
         secretGroups: [{{name: keys}}, {{name: certs, environments: [prod]}}]\n{policies}"
    );
    match config::load("d.yaml", &text) {
        Ok(loaded) => loaded.definition,
        Err(problems) => panic!("{problems:?}\n{text}"),
    }
}

fn one_policy(identity: &str) -> Definition {
    definition(&format!(
        "accessPolicies: [{{name: p, secretGroups: [keys], environments: [prod], identities: [{identity}]}}]"
    ))
}

fn repository(name: &str) -> RepositoryName {
    name.parse().unwrap()
}

fn identity(text: &str) -> Identity {
    text.parse().unwrap()
}

#[test]
fn without_policies_everything_is_allowed_and_no_policy_is_named() {
    let definition = definition("");
    let allowed = Decision { allowed: true, policy: None };
    assert_eq!(decide(&definition, "keys", "prod", &repository("o/r")), allowed);
    assert_eq!(can(&definition, &identity("user:x"), "certs", "dev"), allowed);
}

#[test]
fn with_policies_what_is_not_granted_is_denied() {
    let definition = one_policy("{type: github, name: o/r}");
    let granted = Decision { allowed: true, policy: Some("p".into()) };
    let denied = Decision { allowed: false, policy: None };
    assert_eq!(decide(&definition, "keys", "prod", &repository("o/r")), granted);
    for (group, stack, name) in
        [("certs", "prod", "o/r"), ("keys", "dev", "o/r"), ("keys", "prod", "o/other"), ("keys", "prod", "x/r")]
    {
        assert_eq!(decide(&definition, group, stack, &repository(name)), denied, "{group} {stack} {name}");
    }
}

#[test]
fn an_identity_covers_itself_without_case_and_an_owner_covers_its_repositories() {
    let cases = [
        ("github:o/r", "github:O/R", true),
        ("github:o/*", "github:o/r", true),
        ("github:o", "github:O/r", true),
        ("github:o/*", "github:o", true),
        ("github:o", "github:o/*", true),
        ("github:o/r", "github:o/*", false),
        ("github:o/r", "github:o", false),
        ("github:o/*", "github:oo/r", false),
        ("github:o/r", "github:o/r2", false),
        ("user:a@x.org", "user:A@x.org", true),
        ("user:o", "github:o", false),
        ("github:o", "user:o", false),
        ("user:o/r", "github:o/r", false),
        ("team:dev", "user:dev", false),
        ("team:dev", "team:dev", true),
    ];
    for (granted, asked, expected) in cases {
        assert_eq!(covers(&identity(granted), &identity(asked)), expected, "{granted} covers {asked}");
    }
}

#[test]
fn an_organization_needs_a_grant_to_the_organization_or_to_each_selected_repository() {
    let selected = |names: &[&str]| Destination::Organization {
        organization: "o".into(),
        visibility: Visibility::Selected,
        selected_repositories: names.iter().map(|name| repository(name)).collect(),
    };
    let all = Destination::Organization {
        organization: "o".into(),
        visibility: Visibility::All,
        selected_repositories: vec![],
    };
    let to_one = one_policy("{type: github, name: o/r}");
    let to_all = one_policy("{type: github, name: o/*}");
    let allowed = |definition: &Definition, destination: &Destination| {
        decide_destination(definition, "keys", "prod", destination).allowed
    };
    assert!(allowed(&to_one, &selected(&["o/r"])));
    assert!(!allowed(&to_one, &selected(&["o/r", "o/s"])));
    assert!(!allowed(&to_one, &selected(&[])));
    assert!(!allowed(&to_one, &all));
    assert!(allowed(&to_all, &all) && allowed(&to_all, &selected(&["o/r", "o/s"])));
    let fan_out = Destination::Repositories { organization: "o".into(), topic: None, pattern: Some("*".into()) };
    assert!(allowed(&to_all, &fan_out) && !allowed(&to_one, &fan_out));
}

#[test]
fn identities_are_read_from_the_command_line() {
    for (text, read) in [
        ("payready/sophia", "github:payready/sophia"),
        ("payready/*", "github:payready/*"),
        ("github:payready", "github:payready"),
        ("admin@payready.com", "user:admin@payready.com"),
        ("team:platform", "team:platform"),
    ] {
        assert_eq!(identity(text).to_string(), read);
    }
    for text in ["", "payready", "role:x", "user:", "github:a/b/c", "a b/c", "github:a b"] {
        assert!(text.parse::<Identity>().is_err(), "{text}");
    }
}

fn policy() -> impl Strategy<Value = AccessPolicy> {
    let some = |names: &'static [&'static str]| prop::sample::subsequence(names.to_vec(), 1..=names.len());
    let identities = ["github:o/r", "github:o/*", "github:o", "github:x/r", "user:u", "team:t"];
    (some(&["keys", "certs"]), some(&["dev", "prod"]), prop::sample::subsequence(identities.to_vec(), 1..4)).prop_map(
        |(groups, environments, identities)| AccessPolicy {
            name: "p".into(),
            description: String::new(),
            groups: groups.into_iter().map(str::to_owned).collect(),
            environments: environments.into_iter().map(str::to_owned).collect(),
            identities: identities.into_iter().map(identity).collect(),
            place: definition("").environments[0].place.clone(),
        },
    )
}

fn asked() -> impl Strategy<Value = (Identity, &'static str, &'static str)> {
    let identities = vec!["github:o/r", "github:O/s", "github:o", "github:x/r", "github:x/*", "user:u", "team:T"];
    (
        prop::sample::select(identities).prop_map(identity),
        prop::sample::select(vec!["keys", "certs"]),
        prop::sample::select(vec!["dev", "prod"]),
    )
}

proptest! {
    #[test]
    fn one_more_policy_never_takes_a_grant_away(
        policies in prop::collection::vec(policy(), 1..4), more in policy(), (who, group, stack) in asked()
    ) {
        let mut definition = definition("");
        definition.policies = policies;
        let before = can(&definition, &who, group, stack).allowed;
        definition.policies.push(more);
        prop_assert!(!before || can(&definition, &who, group, stack).allowed);
    }

    #[test]
    fn the_order_of_policies_decides_nothing_but_the_name(
        policies in prop::collection::vec(policy(), 1..4), (who, group, stack) in asked()
    ) {
        let mut definition = definition("");
        definition.policies = policies;
        let forwards = can(&definition, &who, group, stack).allowed;
        definition.policies.reverse();
        prop_assert_eq!(forwards, can(&definition, &who, group, stack).allowed);
    }

    #[test]
    fn a_decision_is_backed_by_a_policy_that_says_so_word_for_word(
        policies in prop::collection::vec(policy(), 1..4), (who, group, stack) in asked()
    ) {
        let mut definition = definition("");
        definition.policies = policies;
        let decision = can(&definition, &who, group, stack);
        let backed = grants(&definition, &who, group, stack).next().is_some();
        prop_assert_eq!(decision.allowed, backed);
        prop_assert_eq!(decision.policy.is_some(), backed);
    }

    #[test]
    fn what_an_owner_gets_every_repository_of_it_gets(
        policies in prop::collection::vec(policy(), 1..4), (_, group, stack) in asked(), name in "[a-z]{1,8}"
    ) {
        let mut definition = definition("");
        definition.policies = policies;
        let repository = repository(&format!("o/{name}"));
        let owner = decide_organization(&definition, group, stack, "o").allowed;
        prop_assert!(!owner || decide(&definition, group, stack, &repository).allowed);
    }
}
