//! The corpus of dotenv files (`tests/dotenv/*.yaml`), in and out, and the round trips as properties.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde::Deserialize;
use sophia_secrets_sync::base::error::{Problem, Severity};
use sophia_secrets_sync::base::secret::SecretValue;
use sophia_secrets_sync::rules::dotenv::{Entry, Options, Style, parse, render};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadCase {
    case: String,
    text: Option<String>,
    hex: Option<String>,
    #[serde(default)]
    expand: bool,
    #[serde(default)]
    strict: bool,
    entries: Option<Vec<(String, String)>>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteCase {
    value: String,
    line: String,
    #[serde(default)]
    broken: Vec<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dotenv")
}

fn load<T: serde::de::DeserializeOwned>(file: &str) -> Vec<T> {
    let path = folder().join(file);
    yaml_serde::from_str(&read(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[expect(clippy::disallowed_methods, reason = "the corpus is read here")]
fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn text_of(value: &SecretValue) -> String {
    let mut bytes = Vec::new();
    value.write_plaintext(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn pairs(entries: &[Entry]) -> Vec<(String, String)> {
    entries.iter().map(|entry| (entry.name.clone(), text_of(&entry.value))).collect()
}

fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|problem| format!("{} {}", problem.place.as_ref().unwrap().line, problem.code)).collect()
}

fn read_cases() -> Vec<(&'static str, ReadCase)> {
    ["unquoted.yaml", "quoted.yaml", "refused.yaml", "expanded.yaml"]
        .into_iter()
        .flat_map(|file| load::<ReadCase>(file).into_iter().map(move |case| (file, case)))
        .collect()
}

const PLAIN: Options<'static> = Options { file: "x.env", expand: false, strict: false };

#[test]
fn every_file_of_the_corpus_is_read_as_it_says() {
    for (file, case) in read_cases() {
        let label = format!("{file}: {}", case.case);
        let bytes = match (&case.text, &case.hex) {
            (Some(text), None) => text.as_bytes().to_vec(),
            (None, Some(digits)) => hex::decode(digits).unwrap(),
            _ => panic!("{label}: one of text and hex"),
        };
        let options = Options { expand: case.expand, strict: case.strict, ..PLAIN };
        match parse(&bytes, options) {
            Ok(parsed) => {
                assert_eq!(Some(pairs(&parsed.entries)), case.entries, "{label}");
                assert_eq!(lines(&parsed.warnings), case.warnings, "{label}");
                assert!(parsed.warnings.iter().all(|warning| warning.severity == Severity::Warning), "{label}");
                assert!(case.errors.is_empty(), "{label}: was read");
                for entry in &parsed.entries {
                    let warned = parsed.warnings.iter().any(|warning| {
                        warning.place.as_ref().unwrap().line == entry.line
                            && !["dotenv-crlf", "dotenv-byte-order-mark"].contains(&warning.code)
                    });
                    assert_eq!(entry.ambiguous, warned, "{label}: {}", entry.name);
                }
            }
            Err(problems) => assert_eq!(lines(&problems), case.errors, "{label}"),
        }
    }
}

#[test]
fn no_problem_shows_text_of_the_file() {
    for (file, case) in read_cases() {
        let Some(text) = case.text else { continue };
        let marked = text.replace("=", "=marker").replace("MIIE", "markerMIIE");
        let (Ok(problems) | Err(problems)) = parse(marked.as_bytes(), PLAIN).map(|parsed| parsed.warnings);
        for problem in problems {
            assert!(!format!("{problem:?}").contains("marker"), "{file}: {}: {problem:?}", case.case);
        }
    }
}

#[test]
fn whatever_was_read_is_written_and_read_again() {
    for (file, case) in read_cases() {
        let Some(entries) = case.entries else { continue };
        let values: Vec<(String, SecretValue)> =
            entries.iter().map(|(name, text)| (name.clone(), SecretValue::from(text.clone()))).collect();
        if entries.iter().any(|(name, _)| name.contains(['.', '-'])) {
            continue;
        }
        for style in [Style::Dotenv, Style::Shell] {
            let rendered = render(values.iter().map(|(name, value)| (name.as_str(), value)), style, true)
                .unwrap_or_else(|problems| panic!("{file}: {}: {problems:?}", case.case));
            let again = parse(&rendered.bytes, PLAIN).unwrap();
            assert_eq!(pairs(&again.entries), entries, "{file}: {}", case.case);
        }
    }
}

#[test]
fn every_value_is_written_as_the_corpus_says() {
    for case in load::<WriteCase>("written.yaml") {
        let value = SecretValue::from(case.value.clone());
        let strict = render([("A", &value)], Style::Dotenv, false);
        assert_eq!(strict.is_ok(), case.broken.is_empty(), "{:?}: {strict:?}", case.value);
        let rendered = render([("A", &value)], Style::Dotenv, true).unwrap();
        assert_eq!(String::from_utf8(rendered.bytes.to_vec()).unwrap(), format!("{}\n", case.line), "{:?}", case.value);
        let said = rendered.warnings.first().map(|warning| warning.message.clone());
        let expected = (!case.broken.is_empty())
            .then(|| format!("no way to write the value of `A` is read back the same by {}", case.broken.join(", ")));
        assert_eq!(said, expected, "{:?}", case.value);
        let again = parse(&rendered.bytes, PLAIN).unwrap();
        assert_eq!(pairs(&again.entries), [("A".to_owned(), case.value.clone())]);
    }
}

#[test]
fn the_corpus_is_large_and_its_cases_have_own_names() {
    let cases = read_cases();
    let mut labels: Vec<String> = cases.iter().map(|(file, case)| format!("{file} {}", case.case)).collect();
    labels.sort();
    labels.dedup();
    assert_eq!(labels.len(), cases.len());
    assert!(cases.len() + load::<WriteCase>("written.yaml").len() >= 120);
}

#[test]
fn a_file_that_is_too_large_is_refused() {
    let bytes = vec![b'#'; sophia_secrets_sync::rules::dotenv::LARGEST + 1];
    assert_eq!(parse(&bytes, PLAIN).unwrap_err()[0].code, "dotenv-too-large");
}

#[test]
fn docker_files_hold_values_as_they_stand_and_no_line_break() {
    let plain = SecretValue::from(" it's $5 # \"x\" \\ ".to_owned());
    let rendered = render([("A", &plain)], Style::Docker, false).unwrap();
    assert_eq!(rendered.bytes.as_slice(), b"A= it's $5 # \"x\" \\ \n");
    for text in ["a\nb", "a\r"] {
        let value = SecretValue::from(text.to_owned());
        assert_eq!(render([("A", &value)], Style::Docker, true).unwrap_err()[0].code, "dotenv-line-break");
    }
    let long = SecretValue::from("x".repeat(65_536));
    assert_eq!(render([("A", &long)], Style::Docker, true).unwrap_err()[0].code, "dotenv-long-line");
}

#[test]
fn json_reads_back() {
    let values = [("A.b", "é\"\\\n\u{1}"), ("B", "")].map(|(name, text)| (name, SecretValue::from(text.to_owned())));
    let rendered = render(values.iter().map(|(name, value)| (*name, value)), Style::Json, false).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&rendered.bytes).unwrap();
    assert_eq!(json, serde_json::json!({"A.b": "é\"\\\n\u{1}", "B": ""}));
    assert_eq!(render([], Style::Json, false).unwrap().bytes.as_slice(), b"{}\n");
}

#[test]
fn what_cannot_be_written_is_refused_by_name() {
    let good = SecretValue::from("v".to_owned());
    let bytes = SecretValue::new(vec![0xff]);
    let nul = SecretValue::new(vec![b'a', 0]);
    let codes: Vec<&str> = render([("1A", &good), ("B", &bytes), ("C", &nul), ("B", &good)], Style::Shell, true)
        .unwrap_err()
        .into_iter()
        .map(|problem| problem.code)
        .collect();
    assert_eq!(codes, ["dotenv-bad-name", "dotenv-encoding", "dotenv-nul", "dotenv-duplicate"]);
}

/// Values of the signs that readers fall over, and of any others.
fn values() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => proptest::collection::vec(
            prop_oneof![
                Just("'"), Just("\""), Just("\\"), Just("$"), Just("${"), Just("}"), Just("`"), Just("#"), Just(" "),
                Just("\t"), Just("\n"), Just("\r"), Just("\r\n"), Just("="), Just("A"), Just("é"), Just("n"), Just("!"),
                Just("~"), Just("&"), Just("\u{feff}"), Just("\u{2028}"), Just("A=1")
            ],
            0..12
        ).prop_map(|parts| parts.concat()),
        1 => any::<String>().prop_map(|text| text.replace('\0', "")),
    ]
}

/// What bash has in its variables after `source`.
fn sourced(file: &[u8], names: &[String]) -> Option<Vec<Vec<u8>>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.env");
    #[expect(clippy::disallowed_methods, reason = "a file for bash")]
    std::fs::write(&path, file).unwrap();
    let mut script = "set -a; source \"$1\"; set +a".to_owned();
    for name in names {
        script.push_str(&format!("; printf '%s\\0' \"${name}\""));
    }
    let output = std::process::Command::new("bash")
        .args(["--noprofile", "--norc", "-euc", &script, "bash"])
        .arg(&path)
        .env_clear()
        .env("LC_ALL", "C.UTF-8")
        .output();
    match output {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(output.stdout.split(|byte| *byte == 0).take(names.len()).map(<[u8]>::to_vec).collect())
        }
        Err(error) if cfg!(target_os = "linux") => panic!("bash: {error}"),
        Err(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_text_survives_export_and_import(texts in proptest::collection::vec(values(), 1..5)) {
        let values: Vec<(String, SecretValue)> = texts.iter().enumerate()
            .map(|(index, text)| (format!("N{index}"), SecretValue::from(text.clone()))).collect();
        for style in [Style::Dotenv, Style::Shell] {
            let rendered = render(values.iter().map(|(name, value)| (name.as_str(), value)), style, true).unwrap();
            let again = parse(&rendered.bytes, PLAIN).unwrap();
            let read: Vec<String> = again.entries.iter().map(|entry| text_of(&entry.value)).collect();
            prop_assert_eq!(&read, &texts);
        }
    }

    #[test]
    fn reading_never_fails_otherwise_than_by_problems(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in values()) {
        let _ = parse(&bytes, PLAIN);
        let _ = parse(text.as_bytes(), Options { expand: true, strict: true, ..PLAIN });
        let _ = parse(format!("A=1\nB={text}").as_bytes(), Options { expand: true, ..PLAIN });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn any_text_survives_export_and_bash(texts in proptest::collection::vec(values(), 8)) {
        let values: Vec<(String, SecretValue)> = texts.iter().enumerate()
            .map(|(index, text)| (format!("N{index}"), SecretValue::from(text.clone()))).collect();
        let names: Vec<String> = values.iter().map(|(name, _)| name.clone()).collect();
        let expected: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        let shell = render(values.iter().map(|(name, value)| (name.as_str(), value)), Style::Shell, false).unwrap();
        if let Some(read) = sourced(&shell.bytes, &names) {
            prop_assert_eq!(&read, &expected);
        }
        // What dotenv form some reader cannot hold is refused; the rest reaches bash as it is.
        let portable: Vec<_> = values.iter()
            .filter(|(name, value)| render([(name.as_str(), value)], Style::Dotenv, false).is_ok()).collect();
        let names: Vec<String> = portable.iter().map(|(name, _)| name.clone()).collect();
        let expected: Vec<Vec<u8>> = portable.iter().map(|(_, value)| text_of(value).into_bytes()).collect();
        let dotenv = render(portable.iter().map(|(name, value)| (name.as_str(), value)), Style::Dotenv, false).unwrap();
        if let Some(read) = sourced(&dotenv.bytes, &names) {
            prop_assert_eq!(&read, &expected);
        }
    }
}
