//! One run's world: a sandbox, a working directory, a home, and the commands in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value as Json, json};
use sophia_secrets_sync::sandbox::{self, Options, Running};
use tokio::io::AsyncWriteExt;
use tokio::process::Command as Process;

use super::markers::{GITHUB_TOKEN, Markers, PULUMI_TOKEN};
use super::normal::Normal;
use super::script::{Command, Outcome, Scenario, Step};

/// A command that takes longer than this hangs.
const LONGEST: Duration = Duration::from_secs(120);
/// The start of the names of the ledger's variables: their content differs from run to run.
const LEDGER: &str = "SOPHIA_SECRETS_SYNC_LEDGER";

pub struct World {
    running: Running,
    /// Holds `work` and `home`.
    root: tempfile::TempDir,
    environment: BTreeMap<String, Option<String>>,
    normal: Normal,
}

impl World {
    pub async fn new(scenario: &Scenario) -> Result<Self, String> {
        let root = tempfile::tempdir().unwrap();
        let base = root.path().canonicalize().unwrap();
        for folder in ["work", "home", "temp"] {
            std::fs::create_dir(base.join(folder)).unwrap();
        }
        let mut options = Options::new(jiff::Timestamp::now);
        options.github_token = GITHUB_TOKEN.into();
        options.pulumi_token = PULUMI_TOKEN.into();
        let seed = |part: &Json| if part.is_null() { json!({}) } else { part.clone() };
        let seed = json!({"github": seed(&scenario.github), "esc": seed(&scenario.esc)});
        options.seed = serde_json::from_value(seed).map_err(|error| format!("not a world: {error}"))?;
        let running = sandbox::start(options).await.map_err(|error| format!("no sandbox: {error}"))?;
        let place = |folder: &str| base.join(folder).to_string_lossy().into_owned();
        let normal = Normal::new(vec![
            (place("work"), "[DIR]"),
            (place("home"), "[HOME]"),
            (place("temp"), "[TEMP]"),
            (running.github_url.clone(), "[GITHUB_URL]"),
            (running.pulumi_url.clone(), "[PULUMI_URL]"),
            (running.id_token_url.clone(), "[ID_TOKEN_URL]"),
            (running.id_token_request_token.clone(), "[ID_TOKEN]"),
        ]);
        let world = Self { running, root, environment: scenario.environment.clone(), normal };
        for (name, text) in &scenario.files {
            world.write(name, Some(text));
        }
        Ok(world)
    }

    fn work(&self) -> PathBuf {
        self.root.path().canonicalize().unwrap().join("work")
    }

    fn write(&self, name: &str, text: Option<&str>) {
        let path = self.work().join(name);
        match text {
            Some(text) => {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, self.normal.fill(text)).unwrap();
            }
            None => std::fs::remove_file(path).unwrap(),
        }
    }

    /// A step that is not a command.
    pub fn change(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Run(_) => Ok(()),
            Step::Edit { edit } => self.running.edit(edit.clone()),
            Step::Faults { faults } => {
                self.running.clear_faults();
                self.running.fault(faults.clone())
            }
            Step::Write { write } => {
                for (name, text) in write {
                    self.write(name, text.as_deref());
                }
                Ok(())
            }
            Step::Git { git } => git.iter().try_for_each(|words| self.git(&words.list())),
            Step::Advance { advance_seconds } => {
                self.running.advance(*advance_seconds);
                Ok(())
            }
        }
    }

    /// Runs git where every run gives the same commits.
    fn git(&self, words: &[String]) -> Result<(), String> {
        let mut process = std::process::Command::new("git");
        process
            .args(words.iter().map(|word| self.normal.fill(word)))
            .env_clear()
            .current_dir(self.work())
            .stdin(Stdio::null());
        let path = std::env::var_os("PATH").unwrap_or_default();
        process.env("PATH", path).env("HOME", self.normal.fill("[HOME]"));
        for who in ["AUTHOR", "COMMITTER"] {
            process.env(format!("GIT_{who}_NAME"), "Tester").env(format!("GIT_{who}_EMAIL"), "tester@example.com");
            process.env(format!("GIT_{who}_DATE"), "2026-01-31T12:00:00Z");
        }
        process.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "init.defaultBranch");
        let output = process.env("GIT_CONFIG_VALUE_0", "main").output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(()) } else { Err(format!("git {}: {said}", words.join(" "))) }
    }

    /// Runs one command in a scrubbed environment.
    pub async fn run(&self, command: &Command) -> Result<(Outcome, Output), String> {
        let words: Vec<String> = command.run.list().iter().map(|word| self.normal.fill(word)).collect();
        let mut variables: BTreeMap<String, Option<String>> = BTreeMap::new();
        for (name, value) in [
            ("HOME", "[HOME]"),
            ("TMPDIR", "[TEMP]"),
            ("GITHUB_API_URL", "[GITHUB_URL]"),
            ("GITHUB_TOKEN", GITHUB_TOKEN),
            ("PULUMI_BACKEND_URL", "[PULUMI_URL]"),
            ("PULUMI_ACCESS_TOKEN", PULUMI_TOKEN),
        ] {
            variables.insert(name.into(), Some(value.into()));
        }
        variables.extend(self.environment.clone());
        variables.extend(command.environment.clone());
        let mut process = Process::new(env!("CARGO_BIN_EXE_sophia-secrets-sync"));
        process.args(&words).env_clear().current_dir(self.work()).kill_on_drop(true);
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, value) in variables {
            if let Some(value) = value {
                process.env(name, self.normal.fill(&value));
            }
        }
        self.running.clear_requests();
        let mut child = process.spawn().map_err(|error| format!("cannot start: {error}"))?;
        let mut stdin = child.stdin.take().unwrap();
        let input = self.normal.fill(&command.stdin);
        let feeding = tokio::spawn(async move {
            // A command that does not read its input may end before it is all written.
            let _ = stdin.write_all(input.as_bytes()).await;
        });
        let output = tokio::time::timeout(LONGEST, child.wait_with_output()).await;
        let output = output.map_err(|_| format!("`{}` hangs", words.join(" ")))?.map_err(|error| error.to_string())?;
        feeding.abort();
        let text = |bytes: &[u8]| self.normal.apply(&String::from_utf8_lossy(bytes));
        let outcome = Outcome {
            run: self.normal.apply(&words.join(" ")),
            exit: output.status.code().map_or("killed".to_owned(), |code| code.to_string()),
            requests: command.requests.then(|| self.requests()),
            stdout: if command.plaintext { "[PLAINTEXT]\n".to_owned() } else { text(&output.stdout) },
            stderr: text(&output.stderr),
        };
        Ok((outcome, output))
    }

    /// Requests of the last command by service and method.
    fn requests(&self) -> String {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for request in self.running.requests() {
            *counts.entry(format!("{} {}", request.service, request.method)).or_default() += 1;
        }
        let counts: Vec<String> = counts.into_iter().map(|(what, count)| format!("{what} {count}")).collect();
        if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
    }

    /// Every store of GitHub that holds something: name to value.
    pub fn github(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let state = self.running.state();
        let mut stores = BTreeMap::new();
        let object = |json: &Json| json.as_object().cloned().unwrap_or_default();
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        // Title and body, as an entry's value.
        let issue_text =
            |issue: &Json| json!({"value": format!("{}\n\n{}\n", text(&issue["title"]), text(&issue["body"]))});
        let mut add = |title: String, entries: &Json| {
            let shown: BTreeMap<String, String> =
                object(entries).iter().map(|(name, entry)| (name.clone(), self.shown(name, entry))).collect();
            if !shown.is_empty() {
                stores.insert(title, shown);
            }
        };
        let github = &state["github"];
        for holders in ["repositories", "organizations"] {
            for (name, holder) in object(&github[holders]) {
                let issues = holder["issues"].as_array().into_iter().flatten();
                let issues =
                    issues.map(|issue| (format!("#{} {}", issue["number"], text(&issue["state"])), issue_text(issue)));
                add(format!("{name} issues"), &Json::Object(issues.collect()));
                for kind in ["secrets", "variables"] {
                    for (app, entries) in object(&holder[kind]) {
                        add(format!("{name} {app} {kind}"), &entries);
                    }
                    for (environment, holder) in object(&holder["environments"]) {
                        add(format!("{name} environment {environment} {kind}"), &holder[kind]);
                    }
                }
            }
        }
        stores
    }

    fn shown(&self, name: &str, entry: &Json) -> String {
        if name.starts_with(LEDGER) {
            return "[LEDGER]".to_owned();
        }
        let text = |field: &str| entry[field].as_str().map(str::to_owned);
        let mut shown = text("value").unwrap_or_else(|| format!("base64 {}", text("base64").unwrap_or_default()));
        // A long value is shown by its ends and its length, so that the file stays readable.
        if shown.len() > 2_000 {
            shown = format!("{}… {} bytes", shown.chars().take(60).collect::<String>(), shown.len());
        }
        if let Some(visibility) = text("visibility") {
            let names: Vec<&str> =
                entry["selected_repositories"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
            shown = format!("{shown} (visible: {visibility} {})", names.join(" ")).replace(" )", ")");
        }
        self.normal.apply(&shown)
    }

    /// The files that the scenario wants to see.
    pub fn files(&self, scenario: &Scenario) -> BTreeMap<String, String> {
        let read = |name: &String| {
            let text = std::fs::read_to_string(self.work().join(name)).unwrap_or_else(|_| "[ABSENT]\n".into());
            (name.clone(), self.normal.apply(&text))
        };
        scenario.show.iter().map(read).collect()
    }

    /// Where markers lie that must not: files, addresses of requests, variables of GitHub.
    pub fn leaks(&self, markers: &Markers, scenario: &Scenario) -> Vec<String> {
        let mut problems = Vec::new();
        let root = self.root.path().canonicalize().unwrap();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let Ok(bytes) = std::fs::read(&path) else { continue };
                let name = path.strip_prefix(&root).unwrap();
                let given = name.strip_prefix("work").ok().and_then(|name| self.given(name, scenario, &bytes));
                if given.is_none() {
                    let found = markers.search(&bytes).into_iter();
                    problems.extend(found.map(|found| format!("LEAK in file {}: {found}", name.display())));
                }
            }
        }
        for request in self.running.requests() {
            let address = format!("{}?{}", request.path, request.query);
            let found = markers.search(address.as_bytes()).into_iter();
            problems.extend(found.map(|found| format!("LEAK in an address asked for: {found}")));
        }
        let state = self.running.state();
        for part in ["variables", "issues"] {
            let texts = members(&state["github"], part);
            for found in texts.iter().flat_map(|text| markers.search(text.as_bytes())) {
                problems.push(format!("LEAK in the {part} of GitHub: {found}"));
            }
        }
        problems
    }

    /// Whether a file may hold markers: the scenario wrote it so, or says so.
    fn given(&self, name: &Path, scenario: &Scenario, bytes: &[u8]) -> Option<()> {
        let name = name.to_string_lossy();
        let declared =
            scenario.plaintext.iter().any(|one| *one == name || (one.ends_with('/') && name.starts_with(one.as_str())));
        let written = scenario.steps.iter().filter_map(|step| match step {
            Step::Write { write } => write.get(name.as_ref())?.as_ref(),
            _ => None,
        });
        let mut texts = written.chain(scenario.files.get(name.as_ref()));
        (declared || texts.any(|text| self.normal.fill(text).as_bytes() == bytes)).then_some(())
    }
}

/// Everything called `wanted`, such as all variables.
fn members(json: &Json, wanted: &str) -> Vec<String> {
    let mut found = Vec::new();
    if let Json::Object(entries) = json {
        for (name, member) in entries {
            if name == wanted {
                found.push(member.to_string());
            } else {
                found.extend(members(member, wanted));
            }
        }
    }
    found
}
