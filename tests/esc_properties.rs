//! What must hold of every ESC document: laws of merging, limits instead of crashes, and no secret in a message.
#![allow(clippy::expect_used, reason = "a test fails where it must")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use sophia_secrets_sync::esc::eval::{Decrypter, Evaluated, Loaded, Loader, Mode, evaluate};
use sophia_secrets_sync::esc::provider::{Providers, Reading};

struct Memory(BTreeMap<String, String>);

impl Loader for Memory {
    fn load(&mut self, name: &str) -> Result<Loaded, String> {
        let text = self.0.get(name).cloned().ok_or_else(|| format!("no `{name}`"))?;
        Ok(Loaded { text, decrypter: Box::new(Closed) })
    }
}

struct Closed;

impl Decrypter for Closed {
    fn decrypt(&self, _envelope: &str) -> Result<String, String> {
        Err("decrypting: no key".into())
    }
}

fn open(text: &str, environments: &[(&str, String)]) -> Evaluated {
    let environments = environments.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect();
    let providers = Providers::default();
    evaluate("root", text, Mode::Open, &mut Memory(environments), &Closed, &providers, &BTreeMap::new())
}

fn plain(evaluated: &Evaluated) -> Json {
    assert!(!evaluated.has_errors(), "{:?}", summaries(evaluated));
    evaluated.value.as_ref().map_or(Json::Null, |value| value.to_plain_json(false))
}

fn summaries(evaluated: &Evaluated) -> Vec<&str> {
    evaluated.diagnostics.iter().map(|diagnostic| diagnostic.summary.as_str()).collect()
}

/// JSON is YAML; every `$` stands for itself.
fn document(imports: &[&str], values: &Json) -> String {
    format!("imports: {}\nvalues: {}\n", json!(imports), values.to_string().replace('$', "$$"))
}

fn merged(base: Json, own: Json) -> Json {
    match (base, own) {
        (Json::Object(mut base), Json::Object(own)) => {
            for (key, value) in own {
                let under = base.remove(&key);
                base.insert(key, under.map_or(value.clone(), |under| merged(under, value)));
            }
            Json::Object(base)
        }
        (_, own) => own,
    }
}

fn values() -> impl Strategy<Value = Json> {
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i32>().prop_map(|number| json!(number)),
        "[a-z$ {}]{0,6}".prop_map(Json::String),
    ];
    let any = scalar.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::Array),
            prop::collection::btree_map("[abc]", inner, 0..4)
                .prop_map(|entries| Json::Object(entries.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("[abc]", any, 1..4).prop_map(|entries| Json::Object(entries.into_iter().collect()))
}

/// Texts that look like documents more often than chance would have it.
fn text() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("values:\n"),
        Just("imports:\n"),
        Just("  - other\n"),
        Just("  a: "),
        Just("  b:\n"),
        Just("    c: "),
        Just("\n"),
        Just("${a}"),
        Just("${b.c[0][\"x\"]}"),
        Just("${imports.other.a}"),
        Just("${environments.p.e.x}"),
        Just("${"),
        Just("$$"),
        Just("{fn::toJSON: "),
        Just("{fn::fromJSON: "),
        Just("{fn::final: "),
        Just("{fn::secret: "),
        Just("{fn::join: ["),
        Just("{fn::split: ["),
        Just("{fn::concat: ["),
        Just("{fn::validate: {schema: "),
        Just("{fn::open::x: "),
        Just("{fn::rotate::x: "),
        Just("["),
        Just("]"),
        Just("}"),
        Just(", "),
        Just("\"q\""),
        Just("|\n      text\n"),
        Just("1e6"),
        Just("null"),
        Just("à"),
        Just("&x *x"),
        Just("!!int "),
        Just("# note\n"),
    ];
    prop_oneof![
        3 => prop::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat()),
        1 => ".{0,60}",
    ]
}

proptest! {
    #[test]
    fn later_imports_win_over_earlier_ones_and_own_values_over_all(a in values(), b in values(), own in values()) {
        let evaluated = open(&document(&["a", "b"], &own), &[("a", document(&[], &a)), ("b", document(&[], &b))]);
        prop_assert_eq!(plain(&evaluated), merged(merged(a, b), own));
    }

    #[test]
    fn merging_in_between_changes_nothing(a in values(), b in values(), own in values()) {
        let (below, above) = (("a", document(&[], &a)), ("b", document(&[], &b)));
        let together = ("both", "imports: [a, b]\nvalues: {}\n".to_owned());
        let direct = open(&document(&["a", "b"], &own), &[below.clone(), above.clone()]);
        let nested = open(&document(&["both"], &own), &[below, above, together]);
        prop_assert_eq!(plain(&direct), plain(&nested));
    }

    #[test]
    fn importing_twice_is_importing_once(a in values(), own in values()) {
        let environments = [("a", document(&[], &a))];
        let once = open(&document(&["a"], &own), &environments);
        let twice = open(&document(&["a", "a"], &own), &environments);
        prop_assert_eq!(plain(&once), plain(&twice));
    }

    #[test]
    fn a_reference_is_equal_to_what_it_refers_to(a in values()) {
        let document = format!("values: {}\n", json!({"source": a, "copy": "${source}"}).to_string()
            .replace("\"${source}\"", "<copy>").replace('$', "$$").replace("<copy>", "\"${source}\""));
        let value = plain(&open(&document, &[]));
        prop_assert_eq!(&value["copy"], &value["source"]);
    }

    #[test]
    fn json_goes_round(a in values()) {
        let document = format!(
            "values:\n  source: {}\n  round: {{fn::fromJSON: {{fn::toJSON: \"${{source}}\"}}}}\n",
            a.to_string().replace('$', "$$")
        );
        let value = plain(&open(&document, &[]));
        prop_assert_eq!(&value["round"], &value["source"]);
        prop_assert_eq!(&value["source"], &a);
    }

    #[test]
    fn any_text_ends_in_values_or_diagnostics(root in text(), other in text()) {
        for mode in [Mode::Open, Mode::Check { show_secrets: true }, Mode::Rotate { paths: None }] {
            let environments = BTreeMap::from([("other".to_owned(), other.clone())]);
            let providers = Providers::default();
            let evaluated = evaluate("root", &root, mode, &mut Memory(environments), &Closed, &providers, &BTreeMap::new());
            if let Some(value) = &evaluated.value {
                prop_assert!(value.contains_unknown() <= evaluated.value.is_some());
                let _ = (value.to_json(), evaluated.to_json());
            }
        }
    }

    #[test]
    fn no_message_and_no_check_repeats_a_secret(
        before in "[a-z ]{0,4}",
        call in prop::sample::select(vec![
            "{fn::toBase64: [MARKER]}", "{fn::fromJSON: MARKER}", "{fn::fromBase64: 'MARKER*'}", "{fn::join: [MARKER, 1]}",
            "{fn::split: [MARKER]}", "{fn::validate: {schema: {type: number}, value: MARKER}}",
            "{fn::validate: {schema: {pattern: '^x$'}, value: MARKER}}", "{fn::open::none: {x: MARKER}}", "{fn::concat: MARKER}",
            "{fn::validate: {schema: {const: MARKER}, value: 1}}", "{fn::validate: {schema: {enum: [MARKER]}, value: 1}}",
            "{fn::validate: {schema: {pattern: MARKER}, value: x}}",
        ]),
    ) {
        let call = call.replace("'MARKER*'", "${secret}").replace("MARKER", "${secret}");
        let text = format!("values:\n  secret: {{fn::secret: \"{before}Hunter2Hunter2\"}}\n  call: {}\n", call
            .replace("${secret}", "\"${secret}\""));
        let environments = Memory(BTreeMap::new());
        let (mut loader, providers) = (environments, Providers::default());
        let check = Mode::Check { show_secrets: false };
        let evaluated = evaluate("root", &text, check, &mut loader, &Closed, &providers, &BTreeMap::new());
        let said = format!("{:?} {} {}", evaluated.diagnostics, evaluated.exprs, evaluated.schema);
        prop_assert!(!said.contains("Hunter2"), "{}", said);
        let redacted = evaluated.value.as_ref().map(|value| value.to_plain_json(true).to_string());
        prop_assert!(!redacted.unwrap_or_default().contains("Hunter2"));
    }
}

/// Each is merged over the other: the chain of bases must end all the same.
#[test]
fn documents_that_import_each_other_end() {
    let text = "imports: [ba, se]\nvalues:\n  object: { own: 1 }\n  text: { fn::toString: \"${object}\" }\n  copy: ${object}\n";
    let evaluated = open(text, &[("ba", text.to_owned()), ("se", text.to_owned())]);
    assert!(summaries(&evaluated).iter().any(|summary| summary.starts_with("cyclic import of ")));
    assert!(evaluated.value.is_some());
}

#[test]
fn deep_nesting_is_an_error() {
    let deep = |levels: usize| format!("values:\n  a: {}1{}\n", "[".repeat(levels), "]".repeat(levels));
    assert!(!open(&deep(100), &[]).has_errors());
    assert!(open(&deep(5000), &[]).has_errors());
    let calls = |levels: usize| format!("values:\n  a: {}x{}\n", "{fn::toJSON: ".repeat(levels), "}".repeat(levels));
    assert!(!open(&calls(10), &[]).has_errors());
    assert!(open(&calls(5000), &[]).has_errors());
}

#[test]
fn endless_chains_of_references_are_an_error() {
    let chain = |links: usize| {
        let mut text = String::from("values:\n");
        for link in 0..links {
            let _ = writeln!(text, "  k{link}: ${{k{}}}", link + 1);
        }
        let _ = writeln!(text, "  k{links}: end");
        text
    };
    assert_eq!(plain(&open(&chain(150), &[]))["k0"], "end");
    let broken = open(&chain(10_000), &[]);
    assert!(summaries(&broken).contains(&"evaluation is nested more than 200 levels deep"));
    // Values that grow deeper with every line, though no evaluation is deep.
    let mut text = String::from("values:\n  k00000: x\n");
    for level in 1..2000 {
        let _ = writeln!(text, "  k{level:05}: [\"${{k{:05}}}\"]", level - 1);
    }
    assert!(summaries(&open(&text, &[])).iter().any(|summary| summary.contains("nested more than 200 levels deep")));
}

#[test]
fn documents_that_multiply_themselves_are_an_error() {
    for (first, line) in [
        ("[x, x]", "[\"${K}\", \"${K}\", \"${K}\", \"${K}\", \"${K}\", \"${K}\", \"${K}\", \"${K}\"]"),
        ("some text", "\"${K}${K}${K}${K}${K}${K}${K}${K}\""),
        ("[x]", "{fn::concat: [\"${K}\", \"${K}\", \"${K}\", \"${K}\", \"${K}\", \"${K}\"]}"),
        ("x", "{fn::toJSON: [\"${K}\", \"${K}\", \"${K}\", \"${K}\"]}"),
    ] {
        let mut text = format!("values:\n  k00: {first}\n");
        for level in 1..40 {
            let _ = writeln!(text, "  k{level:02}: {}", line.replace('K', &format!("k{:02}", level - 1)));
        }
        let evaluated = open(&text, &[]);
        assert!(summaries(&evaluated).contains(&"the environment is too large to evaluate"), "{line}");
        assert!(evaluated.value.is_none());
    }
}

#[test]
fn import_chains_end() {
    let names: Vec<String> = (0..2000).map(|level| format!("e{level}")).collect();
    let environments: Vec<(&str, String)> = names
        .iter()
        .enumerate()
        .map(|(level, name)| (name.as_str(), format!("imports: [e{}]\nvalues:\n  k{level}: {level}\n", level + 1)))
        .collect();
    let evaluated = open("imports: [e0]\n", &environments);
    assert!(summaries(&evaluated).contains(&"imports are nested more than 200 levels deep"));
    let flat: Vec<(&str, String)> =
        names.iter().map(|name| (name.as_str(), "values: {k: {x: 1}}\n".to_owned())).collect();
    let evaluated = open(&format!("imports: {}\n", json!(names)), &flat);
    assert!(summaries(&evaluated).contains(&"more than 1000 imported environments"));
    let evaluated = open(&format!("imports: {}\n", json!(names[..900])), &flat);
    assert_eq!(plain(&evaluated), json!({"k": {"x": 1}}));
    assert!(evaluated.value.is_some_and(|value| value.to_json().is_object()));
}

#[test]
fn schemas_without_end_are_an_error() {
    for schema in [
        "{$defs: {a: {$ref: '#/$$defs/a'}}, $ref: '#/$$defs/a'}",
        "{$defs: {a: {anyOf: [{$ref: '#/$$defs/a'}, {$ref: '#/$$defs/a'}]}}, $ref: '#/$$defs/a'}",
    ] {
        let evaluated = open(&format!("values:\n  a: {{fn::validate: {{schema: {schema}, value: 1}}}}\n"), &[]);
        assert!(evaluated.has_errors(), "{schema}");
    }
}

#[test]
fn many_mistakes_take_no_more_time_than_they_deserve() {
    let mut text = String::from("values:\n");
    for key in 0..3000 {
        let _ = writeln!(text, "  some_property_{key}: ${{some_propperty_{key}}}");
    }
    let evaluated = open(&text, &[]);
    assert_eq!(evaluated.diagnostics.len(), 3000);
    assert!(evaluated.diagnostics[0].summary.contains("did you mean"));
}

#[test]
fn a_check_answers_where_each_expression_stands() {
    let text =
        "values:\n  token: {fn::secret: hidden}\n  list:\n    - ${token}\n    - a ${list[0]}\n  object: {k: 1}\n";
    let (mut loader, providers) = (Memory(BTreeMap::new()), Providers::default());
    let check = Mode::Check { show_secrets: false };
    let answer = evaluate("root", text, check, &mut loader, &Closed, &providers, &BTreeMap::new()).to_json();
    let exprs = &answer["exprs"];
    let begin = |expr: &Json| (expr["range"]["begin"]["line"].clone(), expr["range"]["begin"]["column"].clone());
    assert_eq!(begin(&exprs["token"]), (json!(2), json!(10)));
    assert_eq!(exprs["token"]["builtin"]["name"], "fn::secret");
    assert_eq!(begin(&exprs["token"]["builtin"]["arg"]), (json!(2), json!(23)));
    assert_eq!(exprs["list"]["list"][0]["symbol"][0]["key"], "token");
    assert_eq!(exprs["list"]["list"][0]["symbol"][0]["value"]["begin"]["line"], 2);
    assert_eq!(exprs["list"]["list"][1]["interpolate"][0]["text"], "a ");
    assert_eq!(exprs["list"]["list"][1]["interpolate"][0]["value"][1]["index"], 0);
    assert_eq!(exprs["object"]["keyRanges"]["k"]["begin"]["column"], 12);
    assert_eq!(exprs["object"]["object"]["k"]["literal"], 1);
    assert_eq!(answer["schema"]["properties"]["token"], json!({"type": "string", "secret": true}));
    assert_eq!(answer["executionContext"]["properties"]["rootEnvironment"]["value"]["name"]["value"], "root");
    assert_eq!(open(text, &[]).to_json().get("exprs"), None);
}

#[test]
fn a_host_may_lend_its_own_texts_as_secrets() {
    let read = |name: &str| if name == "PORT" { Ok("5432".to_owned()) } else { Err("not allowed".to_owned()) };
    let text =
        "values:\n  env: {fn::open::env: {port: PORT}}\n  url: db:${env.port}\n  other: {fn::open::env: {x: HOME}}\n";
    let evaluated = |providers: Providers| {
        evaluate("root", text, Mode::Open, &mut Memory(BTreeMap::new()), &Closed, &providers, &BTreeMap::new())
    };
    let lent = evaluated(Providers::default().with("env", Reading { what: "environment variable", read }));
    let value = lent.value.as_ref().expect("a value");
    assert_eq!(value.member("url").map(|url| (url.to_text(), url.secret)), Some(("db:5432".to_owned(), true)));
    assert_eq!(summaries(&lent), ["reading environment variable for `x`: not allowed"]);
    let without = evaluated(Providers::default().tolerant());
    assert!(!without.has_errors());
    assert_eq!(summaries(&without), ["unknown provider \"env\""; 2]);
    assert!(without.value.is_some_and(|value| value.member("url").is_some_and(|url| url.unknown)));
}
