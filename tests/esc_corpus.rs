//! The ESC language by example: each folder of `tests/esc/` is a case.
//!
//! `env.yaml` is the root document, other `NAME.yaml` (also in sub-folders) can be imported, `overrides.json`
//! may hold `showSecrets`, `rootEnvironment`, `rotate` and `rotatePaths`, and `expected.json` is what must come
//! out: diagnostics, values in clear and redacted, the paths of all marks, where each value is defined and
//! over how many bases, and what was rotated.
//!
//! - `SOPHIA_ACCEPT=1` writes `expected.json` anew. Read every change against the language: a golden that
//!   records a mistake is worse than none.
//! - `SOPHIA_ESC_EVAL=PROGRAM` names the reference evaluator, built from `tests/peers/esc-eval`; its results
//!   are then compared as well, but for the differences listed in [`DIFFERENT`].
//! - `SOPHIA_ESC_CORPUS=FOLDER` runs another corpus.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "the test reads its cases and fails where they are broken"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json, json};
use sophia_secrets_sync::base::error::Severity;
use sophia_secrets_sync::esc::diagnostic::Diagnostic;
use sophia_secrets_sync::esc::envelope;
use sophia_secrets_sync::esc::eval::{Decrypter, Evaluated, Loaded, Loader, Mode, RotationStatus, evaluate};
use sophia_secrets_sync::esc::json;
use sophia_secrets_sync::esc::provider::{Context, Provider, Providers, Rotator};
use sophia_secrets_sync::esc::value::{Content, Value, go_quote};

/// Where we differ from the reference on purpose: case, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("function-fromJSON-of-a-secret", "ours shows no character of a secret text, and no place in it"),
    ("function-rotate-quoted-path", "the reference never finds a path that begins with a quoted key"),
    ("strings-accents", "the reference cuts the letter in two; both refuse it"),
    ("yaml-alias", "our YAML reader stops at the alias and does not know its path"),
    ("yaml-syntax", "the words of another YAML library, and we know the place"),
];

/// A cipher that hides nothing: every byte moves by half the circle.
struct HalfTurn;

impl Decrypter for HalfTurn {
    fn check(&self, envelope: &str) -> Result<(), String> {
        envelope::decode(envelope).map(drop).map_err(|error| error.to_string())
    }

    fn decrypt(&self, envelope: &str) -> Result<String, String> {
        let bytes = envelope::decode(envelope).map_err(|error| error.to_string())?;
        let turned = bytes.into_iter().map(|byte| byte.wrapping_add(128)).collect();
        String::from_utf8(turned).map_err(|_| "decrypting: not UTF-8".to_owned())
    }
}

struct Folder(PathBuf);

impl Loader for Folder {
    fn load(&mut self, name: &str) -> Result<Loaded, String> {
        let text = std::fs::read_to_string(self.0.join(format!("{name}.yaml")))
            .map_err(|_| format!("environment {} not found", go_quote(name)))?;
        Ok(Loaded { text, decrypter: Box::new(HalfTurn) })
    }
}

fn object(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::plain(Content::Object(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()))
}

fn member(value: Option<&Value>, key: &str) -> Value {
    value.and_then(|value| value.member(key)).cloned().unwrap_or_else(|| Value::plain(Content::Null))
}

/// Answers its inputs; with `secret`, as one secret.
struct Same {
    schema: Json,
    secret: bool,
}

impl Provider for Same {
    fn input_schema(&self) -> Json {
        self.schema.clone()
    }

    fn output_schema(&self) -> Json {
        self.schema.clone()
    }

    fn open(&self, inputs: &Value, _context: &Context) -> Result<Value, String> {
        Ok(Value { secret: self.secret, ..inputs.clone() })
    }
}

struct Failing;

impl Provider for Failing {
    fn input_schema(&self) -> Json {
        json!({"type": "object", "properties": {"why": {"type": "string"}}, "required": ["why"]})
    }

    fn open(&self, inputs: &Value, _context: &Context) -> Result<Value, String> {
        Err(member(Some(inputs), "why").to_text())
    }
}

struct Swap;

impl Rotator for Swap {
    fn state_schema(&self) -> Json {
        let string = json!({"type": "string"});
        json!({"type": "object", "properties": {"a": string, "b": string}, "required": ["a", "b"]})
    }

    fn output_schema(&self) -> Json {
        self.state_schema()
    }

    fn open(&self, _inputs: &Value, state: Option<&Value>, _context: &Context) -> Result<Value, String> {
        Ok(state.cloned().unwrap_or_else(|| object([])))
    }

    fn rotate(&self, _inputs: &Value, state: Option<&Value>, _context: &Context) -> Result<Value, String> {
        let state = Some(state.ok_or("nothing to swap")?);
        Ok(object([("a", member(state, "b")), ("b", member(state, "a"))]))
    }
}

struct Echo;

impl Rotator for Echo {
    fn input_schema(&self) -> Json {
        let next = json!({"next": {"type": "string"}});
        json!({"type": "object", "properties": next, "required": ["next"], "rotateOnly": ["next"]})
    }

    fn state_schema(&self) -> Json {
        let string = json!({"type": "string"});
        json!({"type": "object", "properties": {"current": string, "previous": string}, "required": ["current"]})
    }

    fn output_schema(&self) -> Json {
        self.state_schema()
    }

    fn open(&self, inputs: &Value, state: Option<&Value>, _context: &Context) -> Result<Value, String> {
        let next = member(Some(inputs), "next");
        if !next.unknown && next.content != member(state, "current").content {
            return Err("inputs were evaluated outside of a rotation".into());
        }
        Ok(state.cloned().unwrap_or_else(|| object([])))
    }

    fn rotate(&self, inputs: &Value, state: Option<&Value>, _context: &Context) -> Result<Value, String> {
        Ok(object([("current", member(Some(inputs), "next")), ("previous", member(state, "current"))]))
    }
}

fn providers(schema: &Json) -> Providers {
    Providers::default()
        .with("error", Failing)
        .with("test", Same { schema: json!(true), secret: false })
        .with("secret-wrapper", Same { schema: json!(true), secret: true })
        .with("schema", Same { schema: schema.clone(), secret: false })
        .with_rotator("swap", Swap)
        .with_rotator("echo", Echo)
}

fn corpus() -> PathBuf {
    std::env::var_os("SOPHIA_ESC_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/esc"), PathBuf::from)
}

fn cases() -> BTreeMap<String, PathBuf> {
    let folders = std::fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap().path());
    let cases = folders.filter(|path| path.is_dir()).map(|path| {
        assert!(path.join("env.yaml").exists(), "{} has no env.yaml", path.display());
        (path.file_name().unwrap().to_string_lossy().into_owned(), path)
    });
    cases.collect()
}

fn read_json(path: &Path) -> Option<Json> {
    std::fs::read_to_string(path).ok().map(|text| serde_json::from_str(&text).expect("JSON"))
}

fn lines(diagnostics: &[Diagnostic]) -> Vec<String> {
    let mut lines: Vec<_> = diagnostics
        .iter()
        .map(|found| {
            let place =
                found.range.as_ref().map(|range| (range.environment.clone(), range.begin.line(), range.begin.column()));
            let at = place.as_ref().map_or("-".into(), |(file, line, column)| format!("{file}:{line}:{column}"));
            let severity = if found.severity == Severity::Error { "error" } else { "warning" };
            let path = found.path.as_deref().unwrap_or_default();
            (place.unwrap_or_default(), format!("{severity} {at} {path}: {}", found.summary))
        })
        .collect();
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

#[derive(Default)]
struct Marks {
    secret: Vec<String>,
    unknown: Vec<String>,
    defined: Vec<String>,
}

impl Marks {
    fn collect(&mut self, value: &Value, path: &str) {
        if value.secret {
            self.secret.push(path.to_owned());
        }
        if value.unknown {
            self.unknown.push(path.to_owned());
        }
        let bases = std::iter::successors(value.base.as_deref(), |base| base.base.as_deref()).count();
        let at = &value.defined;
        self.defined.push(format!("{path} @ {}:{}:{} +{bases}", at.environment, at.begin.line(), at.begin.column()));
        match &value.content {
            Content::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.collect(item, &format!("{path}[{index}]"));
                }
            }
            Content::Object(entries) => self.members(entries, path),
            _ => {}
        }
    }

    fn members(&mut self, entries: &BTreeMap<String, Value>, path: &str) {
        for (key, entry) in entries {
            self.collect(entry, &format!("{path}[{}]", go_quote(key)));
        }
    }
}

fn result(evaluated: &Evaluated, rotates: bool) -> Json {
    let mut out = Map::new();
    out.insert("diagnostics".into(), json!(lines(&evaluated.diagnostics)));
    if let Some(value) = &evaluated.value {
        out.insert("value".into(), value.to_plain_json(false));
        out.insert("redacted".into(), value.to_plain_json(true));
        let mut marks = Marks::default();
        if let Content::Object(entries) = &value.content {
            marks.members(entries, "");
        }
        for (name, paths) in [("secret", marks.secret), ("unknown", marks.unknown), ("defined", marks.defined)] {
            if !paths.is_empty() {
                out.insert(name.into(), json!(paths));
            }
        }
    }
    if rotates {
        let rotated = evaluated.rotations.iter().map(|one| match &one.status {
            RotationStatus::Succeeded(state) => {
                format!("{}: succeeded at {}: {}", one.path, one.state_path, state.to_plain_json(false))
            }
            RotationStatus::Failed(_) => format!("{}: failed", one.path),
            RotationStatus::NotEvaluated => format!("{}: not-evaluated", one.path),
        });
        let mut rotated: Vec<_> = rotated.collect();
        rotated.sort();
        out.insert("rotated".into(), json!(rotated));
    }
    Json::Object(out)
}

fn run(name: &str, folder: &Path, schema: &Json) -> Json {
    let overrides = read_json(&folder.join("overrides.json")).unwrap_or_default();
    let name = overrides.get("rootEnvironment").and_then(Json::as_str).unwrap_or(name);
    let flag = |key: &str| overrides.get(key).and_then(Json::as_bool).unwrap_or(false);
    let text = std::fs::read_to_string(folder.join("env.yaml")).unwrap();
    let user = object([("user", object([("id", Value::plain(Content::String("USER_123".into())))]))]);
    let context = BTreeMap::from([("pulumi".to_owned(), user)]);
    let evaluated = |mode: Mode| {
        let rotates = matches!(mode, Mode::Rotate { .. });
        let mut loader = Folder(folder.to_path_buf());
        let evaluated = evaluate(name, &text, mode, &mut loader, &HalfTurn, &providers(schema), &context);
        result(&evaluated, rotates)
    };
    let mut all = Map::new();
    all.insert("check".into(), evaluated(Mode::Check { show_secrets: flag("showSecrets") }));
    all.insert("open".into(), evaluated(Mode::Open));
    if flag("rotate") {
        let paths = overrides.get("rotatePaths").and_then(Json::as_array);
        let paths = paths.map(|paths| paths.iter().map(|path| path.as_str().unwrap().to_owned()).collect());
        all.insert("rotate".into(), evaluated(Mode::Rotate { paths }));
    }
    Json::Object(all)
}

fn schema() -> Json {
    read_json(&corpus().join("schema.json")).expect("the corpus has a schema.json")
}

fn pretty(json: &Json) -> String {
    serde_json::to_string_pretty(json).unwrap() + "\n"
}

#[test]
fn every_case_evaluates_to_its_golden_result() {
    let schema = schema();
    let accept = std::env::var_os("SOPHIA_ACCEPT").is_some();
    let mut wrong = Vec::new();
    for (name, folder) in cases() {
        let actual = pretty(&run(&name, &folder, &schema));
        let golden = folder.join("expected.json");
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if actual == expected {
            continue;
        }
        if accept {
            std::fs::write(&golden, actual).unwrap();
        } else {
            wrong.push(format!("== {name}\n{}", difference(&expected, &actual)));
        }
    }
    assert!(wrong.is_empty(), "results differ from their goldens:\n{}", wrong.join("\n"));
}

#[test]
fn the_reference_evaluator_agrees() {
    let Some(program) = std::env::var_os("SOPHIA_ESC_EVAL") else { return };
    let schema = schema();
    let output = std::process::Command::new(program).arg(corpus()).output().expect("the reference evaluator runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let reference: Json = json::read(&output.stdout).expect("the reference prints JSON");
    let mut wrong = Vec::new();
    for (name, folder) in cases() {
        if DIFFERENT.iter().any(|(case, _)| *case == name) {
            continue;
        }
        let (theirs, ours) = (pretty(&reference[&name]), pretty(&run(&name, &folder, &schema)));
        if theirs != ours {
            wrong.push(format!("== {name}\n{}", difference(&theirs, &ours)));
        }
    }
    assert!(wrong.is_empty(), "the reference disagrees:\n{}", wrong.join("\n"));
}

/// The lines that only one of two texts has.
fn difference(expected: &str, actual: &str) -> String {
    let only = |sign: &str, these: &str, those: &str| {
        let those: std::collections::HashSet<&str> = those.lines().collect();
        these.lines().filter(|line| !those.contains(line)).map(|line| format!("{sign}{line}\n")).collect::<String>()
    };
    only("-", expected, actual) + &only("+", actual, expected)
}
