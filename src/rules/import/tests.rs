//! The plan of an import, on small definitions and environments.

use super::*;
use crate::base::yaml;
use crate::rules::config;
use crate::rules::dotenv::{Options, parse};
use crate::rules::import::State::{Changed, Computed, Empty, New, NotInDefinition, Placeholder, Same};

const DEFINITION: &str = "
name: sophia-esc
organization: payready
environments: [{name: production}]
secretGroups:
  - {name: api-keys}
  - {name: tokens}
  - {name: free}
secretMappings:
  - {name: OPENAI, secretGroup: api-keys, environmentVariableName: OPENAI_API_KEY}
  - {name: SHARED, secretGroup: api-keys}
  - {name: SHARED, secretGroup: tokens, path: tokens.nested.shared}
  - {name: REGION, secretGroup: tokens, kind: variable}
";

fn secret(text: &str) -> Value {
    Value { secret: true, ..Value::plain(Content::String(text.to_owned())) }
}

fn object(entries: &[(&str, Value)]) -> Value {
    Value::plain(Content::Object(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()))
}

struct World {
    definition: Definition,
    values: Value,
    document: Option<Node>,
}

fn world(values: Value, document: &str) -> World {
    let definition = config::load("definition.yaml", DEFINITION).unwrap().definition;
    World { definition, values, document: yaml::parse(document).unwrap() }
}

impl World {
    fn plan(&self, file: &str, group: Option<&str>, skip: bool) -> ImportPlan {
        let entries = parse(file.as_bytes(), Options { file: ".env", expand: false, strict: false }).unwrap().entries;
        let definition = &self.definition;
        Import { definition, stack: "production", group, skip, file: ".env", entries: &entries }
            .plan(&self.values, self.document.as_ref())
    }
}

fn shown(plan: &ImportPlan) -> Vec<(String, State)> {
    let path = |step: &Step| step.path.as_ref().map(dotted).unwrap_or_else(|| step.name.clone());
    plan.steps.iter().map(|step| (path(step), step.state)).collect()
}

fn steps(expected: &[(&str, State)]) -> Vec<(String, State)> {
    expected.iter().map(|(path, state)| ((*path).to_owned(), *state)).collect()
}

#[test]
fn a_name_goes_to_its_mapping_by_either_of_its_names() {
    let world = world(object(&[]), "");
    for name in ["OPENAI", "OPENAI_API_KEY", "openai_api_key"] {
        let plan = world.plan(&format!("{name}=v\n"), None, false);
        assert_eq!(shown(&plan), steps(&[("api-keys.OPENAI", New)]));
        assert_eq!(plan.steps[0].reference.as_ref().unwrap().to_string(), "environmentVariables.OPENAI_API_KEY");
        assert_eq!(plan.steps[0].expression(), "${api-keys.OPENAI}");
        assert!(plan.problems.is_empty());
    }
}

#[test]
fn a_name_of_two_groups_goes_to_both_unless_one_is_named() {
    let world = world(object(&[]), "");
    let both = world.plan("SHARED=v\n", None, false);
    assert_eq!(shown(&both), steps(&[("api-keys.SHARED", New), ("tokens.nested.shared", New)]));
    assert_eq!(shown(&world.plan("SHARED=v\n", Some("tokens"), false)), steps(&[("tokens.nested.shared", New)]));
}

#[test]
fn compares_with_what_esc_holds() {
    let keys = object(&[("OPENAI", secret("v")), ("SHARED", secret("old"))]);
    let world = world(object(&[("api-keys", keys)]), "");
    let plan = world.plan("OPENAI=v\nSHARED=new\n", Some("api-keys"), false);
    assert_eq!(shown(&plan), steps(&[("api-keys.OPENAI", Same), ("api-keys.SHARED", Changed)]));
    assert_eq!(plan.steps[0].reference, None);
}

#[test]
fn an_unprotected_secret_is_changed_and_an_unprotected_variable_is_not() {
    let plain = Value::plain(Content::String("v".to_owned()));
    let world = world(
        object(&[("api-keys", object(&[("OPENAI", plain.clone())])), ("tokens", object(&[("REGION", plain)]))]),
        "",
    );
    let plan = world.plan("OPENAI=v\nREGION=v\n", None, false);
    assert_eq!(shown(&plan), steps(&[("api-keys.OPENAI", Changed), ("tokens.REGION", Same)]));
    assert_eq!(plan.steps[1].kind, EntryKind::Variable);
}

#[test]
fn a_leaf_of_a_group_without_mappings_is_found_by_its_joined_name() {
    let free = object(&[("stripe", object(&[("api_key", secret("old"))]))]);
    let world = world(object(&[("free", free)]), "");
    assert_eq!(shown(&world.plan("STRIPE_API_KEY=v\n", None, false)), steps(&[("free.stripe.api_key", Changed)]));
    assert_eq!(shown(&world.plan("OTHER=v\n", Some("free"), false)), steps(&[("free.OTHER", New)]));
}

#[test]
fn what_cannot_go_in_is_refused_by_name_or_left_out() {
    let world = world(object(&[]), "");
    let file = "OPENAI=your_openai_api_key_here\nSHARED=\nLOG_LEVEL=debug\nREGION=eu\n";
    let refused = world.plan(file, None, false);
    let states: Vec<State> = refused.steps.iter().map(|step| step.state).collect();
    assert_eq!(states, [Placeholder, Empty, Empty, NotInDefinition, New]);
    let codes: Vec<(&str, usize)> =
        refused.problems.iter().map(|problem| (problem.code, problem.place.as_ref().unwrap().line)).collect();
    assert_eq!(
        codes,
        [("import-placeholder", 1), ("import-empty", 2), ("import-empty", 2), ("import-not-in-definition", 3)]
    );
    let skipped = world.plan(file, None, true);
    assert_eq!(shown(&skipped), steps(&[("tokens.REGION", New)]));
    assert!(skipped.problems.iter().all(|problem| problem.severity == crate::base::error::Severity::Warning));
}

#[test]
fn a_name_near_a_mapping_is_suggested() {
    let plan = world(object(&[]), "").plan("OPENAI_API_KYE=v\n", None, false);
    assert!(plan.problems[0].message.ends_with("(did you mean `OPENAI_API_KEY`?)"), "{}", plan.problems[0].message);
}

#[test]
fn a_computed_property_is_not_overwritten() {
    let document = "values:\n  api-keys:\n    OPENAI: ${other.key}\n    SHARED: {fn::secret: {ciphertext: ZXNjeA==}}\n";
    let keys = object(&[("OPENAI", secret("old")), ("SHARED", secret("old"))]);
    let world = world(object(&[("api-keys", keys)]), document);
    let plan = world.plan("OPENAI=v\nSHARED=v\n", Some("api-keys"), false);
    assert_eq!(shown(&plan), steps(&[("api-keys.OPENAI", Computed), ("api-keys.SHARED", Changed)]));
    assert_eq!(plan.problems[0].code, "import-computed");
    assert_eq!(shown(&world.plan("OPENAI=old\n", None, false)), steps(&[("api-keys.OPENAI", Same)]));
}

#[test]
fn an_existing_reference_is_left_and_a_literal_is_brought_in_step() {
    let document = "values:\n  environmentVariables:\n    OPENAI_API_KEY: ${elsewhere}\n    SHARED: literal\n";
    let world = world(object(&[]), document);
    let plan = world.plan("OPENAI=v\nSHARED=v\n", Some("api-keys"), false);
    let references: Vec<bool> = plan.steps.iter().map(|step| step.reference.is_some()).collect();
    assert_eq!(references, [false, true]);
}

#[test]
fn a_name_that_no_mapping_delivers_is_told() {
    let plan = world(object(&[]), "").plan("EXTRA=v\n", Some("api-keys"), false);
    assert_eq!(shown(&plan), steps(&[("api-keys.EXTRA", New)]));
    assert_eq!(plan.problems[0].code, "import-undelivered");
}

#[test]
fn two_names_of_one_property_must_agree_and_refer_to_it_once() {
    let world = world(object(&[]), "");
    let twice = world.plan("OPENAI=a\nOPENAI_API_KEY=b\n", None, false);
    assert_eq!(twice.problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), ["import-twice"]);
    let agreed = world.plan("SHARED=a\n", None, false);
    assert!(agreed.problems.is_empty());
    assert_eq!(agreed.steps.iter().filter(|step| step.reference.is_some()).count(), 1);
}
