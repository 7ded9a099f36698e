//! What other programs make of dotenv files: bash, docker compose's parser, godotenv (gh), node's dotenv, dotenvy and
//! python-dotenv, on our corpus. Holds the model in `rules::dotenv::readers` to what they really do, and writes
//! `docs/dotenv-peers.md`.
//!
//! `tests/peers/dotenv/setup.sh target/peers/dotenv && cargo test --test dotenv_peers -- --ignored`
#![cfg(unix)]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and writes files"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde::Deserialize;
use sophia_secrets_sync::rules::dotenv::readers::{Form, Reader, broken};

#[derive(Deserialize)]
struct ReadCase {
    case: String,
    text: Option<String>,
    #[serde(default)]
    expand: bool,
    entries: Option<Vec<(String, String)>>,
}

#[derive(Deserialize)]
struct WriteCase {
    value: String,
}

/// Name to value; none when the file was refused.
type Read = Option<BTreeMap<String, String>>;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn load<T: serde::de::DeserializeOwned>(file: &str) -> Vec<T> {
    let text = std::fs::read_to_string(root().join("tests/dotenv").join(file)).unwrap();
    yaml_serde::from_str(&text).unwrap()
}

fn json_of(command: &mut Command) -> serde_json::Value {
    let output =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; run tests/peers/dotenv/setup.sh"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn read_of(json: &serde_json::Value) -> Read {
    let object = json.as_object().unwrap();
    if object.contains_key("!") {
        return None;
    }
    Some(object.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect())
}

/// What each reader makes of each text. `names` are asked of bash, which cannot list what a file sets.
fn read_all(texts: &[(String, Vec<String>)]) -> Vec<BTreeMap<Reader, Read>> {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (0..texts.len()).map(|index| folder.path().join(format!("{index}.env"))).collect();
    for (path, (text, _)) in paths.iter().zip(texts) {
        std::fs::write(path, text).unwrap();
    }
    let peers = root().join("target/peers/dotenv");
    let python = json_of(Command::new(peers.join("venv/bin/python")).arg(peers.join("read.py")).args(&paths));
    let node = json_of(Command::new("node").arg(peers.join("read.js")).args(&paths));
    let go = json_of(Command::new(peers.join("read-go")).args(&paths));
    paths
        .iter()
        .zip(texts)
        .map(|(path, (text, names))| {
            let key = path.to_str().unwrap();
            let dotenvy: Result<Vec<(String, String)>, _> = dotenvy::from_read_iter(text.as_bytes()).collect();
            BTreeMap::from([
                (Reader::Bash, bash(path, names)),
                (Reader::Compose, read_of(&go["compose"][key])),
                (Reader::Godotenv, read_of(&go["godotenv"][key])),
                (Reader::Node, read_of(&node[key])),
                (Reader::Dotenvy, dotenvy.ok().map(|read| read.into_iter().collect())),
                (Reader::Python, read_of(&python[key])),
            ])
        })
        .collect()
}

/// What bash has after `source`, in an environment where no command can be found.
fn bash(path: &Path, names: &[String]) -> Read {
    let mut script = "source \"$PEERS_FILE\" || exit 9".to_owned();
    for name in names {
        script.push_str(&format!("; printf '%s\\0' \"${{{name}-(unset)}}\""));
    }
    let mut command = Command::new("/bin/bash");
    command.args(["--noprofile", "--norc", "-c", &script, "bash"]).env_clear().env("PEERS_FILE", path);
    let output = command.env("PATH", "/nowhere").env("LC_ALL", "C.UTF-8").output().unwrap();
    if !output.status.success() {
        return None;
    }
    let values = output.stdout.split(|byte| *byte == 0).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    // `$$` is the number of the process.
    let dollars = std::fs::read_to_string(path).unwrap().contains("$$");
    let number = regex::Regex::new("[0-9]{2,}").unwrap();
    let values = values.map(|value| if dollars { number.replace(&value, "[PID]").into_owned() } else { value });
    Some(names.iter().cloned().zip(values).filter(|(_, value)| value != "(unset)").collect())
}

/// Every value of up to two of the signs that readers fall over, between plain letters or not, and many of more.
fn values() -> Vec<String> {
    let signs = ["'", "\"", "\\", "$", "${A}", "`", "#", " ", "\n", "\r", "\r\n", "\\n", "!", "=", "é"];
    let mut values: Vec<String> = load::<WriteCase>("written.yaml").into_iter().map(|case| case.value).collect();
    for first in signs {
        for second in signs.iter().copied().chain([""]) {
            values.extend([format!("{first}{second}"), format!("x{first}{second}y"), format!("x{first}y{second}")]);
        }
    }
    // Longer ones, and any other letters; the same in every run.
    let parts =
        prop_oneof![3 => proptest::sample::select(signs.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
    let texts = proptest::collection::vec(parts, 1..8).prop_map(|parts| parts.concat().replace('\0', ""));
    let mut runner = TestRunner::deterministic();
    values.extend((0..600).map(|_| texts.new_tree(&mut runner).unwrap().current()));
    values.sort();
    values.dedup();
    values
}

#[test]
#[ignore = "needs the readers that tests/peers/dotenv/setup.sh installs"]
fn every_reader_gives_back_what_the_model_says() {
    let mut cases = Vec::new();
    for value in values() {
        for form in Form::ALL {
            let Some(readers) = broken(&value, form) else { continue };
            // A quoted neighbour on either side shows what runs over the end of a value.
            let mut text = "BEFORE='1 2'\nV=".to_owned();
            form.write(&value, &mut text);
            text.push_str("\nAFTER='\n3 4'\n");
            cases.push((value.clone(), form, readers, text));
        }
    }
    let names = ["BEFORE", "V", "AFTER"].map(str::to_owned).to_vec();
    let texts: Vec<(String, Vec<String>)> = cases.iter().map(|(.., text)| (text.clone(), names.clone())).collect();
    let mut wrong = Vec::new();
    let mut pairs = 0;
    // Command lines have a limit.
    let read: Vec<_> = texts.chunks(400).flat_map(read_all).collect();
    for ((value, form, readers, _), read) in cases.iter().zip(read) {
        let expected = BTreeMap::from([("BEFORE", "1 2"), ("V", value.as_str()), ("AFTER", "\n3 4")]);
        for (reader, read) in read {
            pairs += 1;
            let same = read.is_some_and(|read| {
                read.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected.clone())
            });
            if same == readers.contains(&reader) {
                let verb = if same { "reads, and the model says it does not" } else { "does not read" };
                wrong.push(format!("{} {verb} {value:?} as {form:?}", reader.word()));
            }
        }
    }
    assert!(pairs >= 9_000, "{pairs} readings of {} renderings", cases.len());
    assert!(wrong.is_empty(), "{} of {pairs}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
#[ignore = "needs the readers that tests/peers/dotenv/setup.sh installs"]
fn the_table_of_peers_is_true() {
    let cases: Vec<ReadCase> = ["unquoted.yaml", "quoted.yaml"]
        .into_iter()
        .flat_map(load::<ReadCase>)
        .filter(|case| !case.expand && case.text.is_some() && case.entries.is_some())
        .collect();
    let texts: Vec<(String, Vec<String>)> = cases
        .iter()
        .map(|case| {
            let names = case.entries.iter().flatten().map(|(name, _)| name.clone());
            (case.text.clone().unwrap(), names.filter(|name| !name.contains(['.', '-'])).collect())
        })
        .collect();
    let mut table = HEAD.to_owned();
    let mut agreeing: BTreeMap<Reader, usize> = BTreeMap::new();
    for (case, read) in cases.iter().zip(read_all(&texts)) {
        let ours: BTreeMap<String, String> = case.entries.clone().unwrap().into_iter().collect();
        table.push_str(&format!("| {} | {} | {}", case.case, code(case.text.as_deref().unwrap()), values_of(&ours)));
        for reader in Reader::ALL {
            let cell = match &read[&reader] {
                None => "refused".to_owned(),
                Some(theirs) if *theirs == ours => {
                    *agreeing.entry(reader).or_default() += 1;
                    "=".to_owned()
                }
                Some(theirs) => values_of(theirs),
            };
            table.push_str(&format!(" | {cell}"));
        }
        table.push_str(" |\n");
    }
    let sum: Vec<String> = Reader::ALL
        .into_iter()
        .map(|reader| format!("{} {}", reader.word(), agreeing.get(&reader).copied().unwrap_or(0)))
        .collect();
    table.push_str(&format!("\nOf {} files each reads like us: {}.\n", cases.len(), sum.join(", ")));
    let path = root().join("docs/dotenv-peers.md");
    if std::env::var_os("SOPHIA_ACCEPT").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), table, "SOPHIA_ACCEPT=1 writes it");
}

const HEAD: &str = "# What other programs make of the same dotenv files

Written by `tests/dotenv_peers.rs` from the corpus in `tests/dotenv/`, with bash 5, compose-go 2.9.1 (docker compose),
godotenv 1.5.1 (`gh secret set -f`), dotenv 17.2.3 (node), dotenvy 0.15.7 and python-dotenv 1.1.1. `=` means: the same
names and values as ours. Otherwise the cell shows what the program read; none of these files makes this
program lose a byte.

| case | file | sophia-secrets-sync | bash | docker compose | godotenv | node's dotenv | dotenvy | python-dotenv |
|---|---|---|---|---|---|---|---|---|
";

fn values_of(read: &BTreeMap<String, String>) -> String {
    let values: Vec<String> = read.iter().map(|(name, value)| code(&format!("{name}:{value}"))).collect();
    if values.is_empty() { "nothing".to_owned() } else { values.join(" ") }
}

/// A text in a cell, with what cannot be seen as escapes.
fn code(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '|' => shown.push_str("&#124;"),
            '\n' => shown.push('⏎'),
            '\r' => shown.push('␍'),
            '\t' => shown.push('⇥'),
            ' ' => shown.push('␣'),
            c if c.is_control() || c == '\u{feff}' || (c.is_whitespace()) => {
                shown.push_str(&c.escape_unicode().to_string())
            }
            c => shown.push(c),
        }
    }
    format!("<code>{shown}</code>")
}
