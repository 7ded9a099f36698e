//! The documents tell the truth: what they name exists.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "this is a test, its files are its own"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Parser as _;
use sophia_secrets_sync::cli::args::Cli;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown file of the repository, by its path from the root.
fn documents() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root().to_path_buf(), root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && folder != root() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.insert(path.strip_prefix(root()).unwrap().to_path_buf(), text);
            }
        }
    }
    assert!(found.contains_key(Path::new("README.md")) && found.contains_key(Path::new("docs/action.md")));
    found
}

/// The texts between single backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2))
}

#[test]
fn every_path_in_a_document_exists() {
    let folders = [".ci/", ".github/", "benches/", "dist/", "docs/", "examples/", "src/", "tests/"];
    let mut wrong = Vec::new();
    for (document, text) in documents() {
        for path in quoted(&text).filter(|word| folders.iter().any(|folder| word.starts_with(folder))) {
            let (file, item) = path.split_once("::").map_or((path, None), |(file, item)| (file, Some(item)));
            if file.contains(['*', '<', ' ', '{']) {
                continue;
            }
            let declares = |item: &str| {
                let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
                ["fn", "struct", "enum", "trait"].iter().any(|word| text.contains(&format!("{word} {item}")))
            };
            if !root().join(file).exists() || !item.is_none_or(declares) {
                wrong.push(format!("{}: `{path}`", document.display()));
            }
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            let outside = target.is_empty() || target.contains("://");
            if !outside && !root().join(&document).parent().unwrap().join(target).exists() {
                wrong.push(format!("{}: link to {link}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "named, but not there:\n{}", wrong.join("\n"));
}

#[test]
fn the_inputs_and_outputs_of_the_action_are_all_documented_and_no_others() {
    let action: serde_json::Value =
        yaml_serde::from_str(&std::fs::read_to_string(root().join("action.yml")).unwrap()).unwrap();
    let text = std::fs::read_to_string(root().join("docs/action.md")).unwrap();
    for (key, heading) in [("inputs", "## Inputs"), ("outputs", "## Outputs")] {
        let declared: BTreeSet<&str> = action[key].as_object().unwrap().keys().map(String::as_str).collect();
        let section = text.split(heading).nth(1).unwrap().split("\n## ").next().unwrap();
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        let documented: BTreeSet<&str> = rows.flat_map(|row| quoted(row.split('|').nth(1).unwrap())).collect();
        assert_eq!(declared, documented, "{key} of action.yml and docs/action.md");
    }
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for input in action["inputs"].as_object().unwrap().keys() {
        assert!(readme.contains(&format!("`{input}`")), "README.md does not name the input {input}");
    }
}

#[test]
fn the_findings_of_usage_and_leaks_are_all_documented() {
    use sophia_secrets_sync::report::leaks::Kind;
    use sophia_secrets_sync::rules::usage::findings;
    let documented = |file: &str| -> BTreeSet<String> {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let table = text.split("| code |").nth(1).unwrap().split("\n\n").next().unwrap();
        let rows = table.lines().filter(|line| line.starts_with("| `"));
        rows.flat_map(|row| quoted(row.split('|').nth(1).unwrap())).map(str::to_owned).collect()
    };
    let usage: BTreeSet<String> = findings::CODES.iter().map(|(code, _)| (*code).to_owned()).collect();
    let leaks: BTreeSet<String> = Kind::ALL.iter().map(|kind| kind.code().to_owned()).collect();
    assert_eq!((usage, leaks), (documented("docs/usage.md"), documented("docs/leaks.md")));
}

#[test]
fn the_copied_workflows_use_only_inputs_that_exist() {
    let action: serde_json::Value =
        yaml_serde::from_str(&std::fs::read_to_string(root().join("action.yml")).unwrap()).unwrap();
    let mut used = 0;
    for folder in ["docs/workflows", ".github/workflows"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let workflow: serde_json::Value = yaml_serde::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            for job in workflow["jobs"].as_object().unwrap().values() {
                for step in job["steps"].as_array().unwrap_or(&Vec::new()) {
                    if !step["uses"].as_str().is_some_and(|uses| uses.starts_with("payready/sophia-secrets-sync")) {
                        continue;
                    }
                    used += 1;
                    for input in step["with"].as_object().unwrap().keys() {
                        assert!(action["inputs"].get(input).is_some(), "{}: input {input}", path.display());
                    }
                }
            }
        }
    }
    assert!(used >= 6, "only {used} uses were found");
}

/// The command lines of a document's shell blocks that run this tool.
fn commands(text: &str) -> Vec<&str> {
    let blocks = text.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    blocks.flat_map(str::lines).filter(|line| line.starts_with("sophia-secrets-sync ")).collect()
}

#[test]
fn every_command_of_the_guide_is_one() {
    let text = std::fs::read_to_string(root().join("docs/guide.md")).unwrap();
    let commands = commands(&text);
    assert!(commands.len() >= 20, "only {} commands were found", commands.len());
    for command in &commands {
        let words = shlex::split(command).unwrap();
        if let Err(error) = Cli::try_parse_from(words) {
            panic!("docs/guide.md: `{command}`: {error}");
        }
    }
}

#[test]
fn the_commands_of_the_guide_on_governance_are_played_in_its_order() {
    let guide = std::fs::read_to_string(root().join("docs/guide.md")).unwrap();
    let played = std::fs::read_to_string(root().join("tests/scenarios/guide-governance.yaml")).unwrap();
    let played: serde_json::Value = yaml_serde::from_str(played.split("\n---\n").next().unwrap()).unwrap();
    let mut played = played["steps"].as_array().unwrap().iter().filter_map(|step| step["run"].as_str());
    let mut count = 0;
    for section in ["Access Control", "Secret Rotation", "Compliance and Auditing"] {
        let text = guide.split(&format!("\n## {section}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
        for command in commands(text) {
            let arguments = command.strip_prefix("sophia-secrets-sync ").unwrap();
            assert!(played.any(|run| run == arguments), "{section}: `{command}` is not played, or not in this order");
            count += 1;
        }
    }
    assert!(count >= 15, "only {count} commands were found");
}

#[test]
fn the_readme_is_short() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 120);
}
