//! A strict runner of one composite action.
//!
//! - Inputs reach the step through its `env:` map alone: there is no `INPUT_*` (github-api.md §5.4).
//! - `${{ }}` is known in `env:`, in defaults and in outputs; in `run:` it fails the test.
//! - The five environment files are new and are read by the runner's own strict syntax (§5.2).
//! - Only declared outputs leave.
//! - The log is what a reader sees: masked from each `add-mask` on; commands are found as the runner finds them (§5.1).
//!
//! The child's environment holds what is set here and nothing of the machine but `PATH`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

/// One job on one machine: its folders stay when the action is run again.
pub struct Job {
    folder: tempfile::TempDir,
    root: PathBuf,
    /// The repository of the action.
    pub action: PathBuf,
    pub environment: BTreeMap<String, String>,
    inputs: BTreeMap<String, String>,
    /// What `${{ github.token }}` is.
    pub workflow_token: String,
}

/// A workflow command, as the runner recognised it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    pub name: String,
    pub properties: BTreeMap<String, String>,
    pub data: String,
}

/// What is left after the step.
pub struct Ran {
    pub exit: i32,
    /// Everything the step printed, unmasked: what the runner sees.
    pub raw: String,
    /// What a reader of the log sees.
    pub log: String,
    pub commands: Vec<Issued>,
    /// The action's declared outputs.
    pub outputs: BTreeMap<String, String>,
    pub summary: String,
}

impl Job {
    /// A job whose folders all lie under one called `name`: it may hold blanks and any letters.
    pub fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join(name);
        for part in ["workspace", "temp", "tools", "home", "files", "action/dist"] {
            std::fs::create_dir_all(root.join(part)).unwrap();
        }
        let action = root.join("action");
        let ours = Path::new(env!("CARGO_MANIFEST_DIR"));
        for file in ["action.yml", "dist/run.sh", "dist/manifest.json"] {
            std::fs::copy(ours.join(file), action.join(file)).unwrap();
        }
        Self {
            folder,
            root,
            action,
            environment: BTreeMap::new(),
            inputs: BTreeMap::new(),
            workflow_token: "ghs_workflow".into(),
        }
    }

    pub fn path(&self, part: &str) -> PathBuf {
        self.root.join(part)
    }

    /// Every file under the job's folder and beside it, by its path from there.
    pub fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path.strip_prefix(self.folder.path()).unwrap().display().to_string());
                }
            }
        }
        found.sort();
        found
    }

    pub fn input(mut self, name: &str, value: &str) -> Self {
        self.inputs.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.environment.insert(name.to_owned(), value.as_ref().to_str().unwrap().to_owned());
        self
    }

    fn runner_environment(&self) -> BTreeMap<String, String> {
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let mut environment: BTreeMap<String, String> = [
            ("CI", "true"),
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_ACTION", "__self"),
            ("GITHUB_ACTION_REPOSITORY", ""),
            ("GITHUB_ACTION_REF", ""),
            ("GITHUB_ACTOR", "octocat"),
            ("GITHUB_API_URL", "https://api.github.com"),
            ("GITHUB_EVENT_NAME", "push"),
            ("GITHUB_JOB", "sync"),
            ("GITHUB_REF", "refs/heads/main"),
            ("GITHUB_REPOSITORY", "payready/sophia"),
            ("GITHUB_REPOSITORY_OWNER", "payready"),
            ("GITHUB_RUN_ATTEMPT", "1"),
            ("GITHUB_RUN_ID", "1"),
            ("GITHUB_RUN_NUMBER", "1"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_SHA", "0000000000000000000000000000000000000001"),
            ("GITHUB_WORKFLOW", "sync"),
            ("RUNNER_ARCH", "X64"),
            ("RUNNER_OS", "Linux"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        environment.insert("PATH".into(), std::env::var("PATH").unwrap());
        environment.insert("HOME".into(), text(self.path("home")));
        environment.insert("GITHUB_ACTION_PATH".into(), text(self.action.clone()));
        environment.insert("GITHUB_WORKSPACE".into(), text(self.path("workspace")));
        environment.insert("RUNNER_TEMP".into(), text(self.path("temp")));
        environment.insert("RUNNER_TOOL_CACHE".into(), text(self.path("tools")));
        environment
    }

    /// Runs the action as one step of the job.
    pub fn run(&self) -> Ran {
        let action: Json =
            yaml_serde::from_str(&std::fs::read_to_string(self.action.join("action.yml")).unwrap()).unwrap();
        let inputs = self.resolve_inputs(&action);
        assert_eq!(action["runs"]["using"], "composite");
        let steps = action["runs"]["steps"].as_array().unwrap();
        assert_eq!(steps.len(), 1, "the action has one step");
        let step = steps[0].as_object().unwrap();
        for key in step.keys() {
            assert!(["name", "id", "run", "env", "shell"].contains(&key.as_str()), "`{key}` in a composite step");
        }
        let script = step["run"].as_str().unwrap();
        assert!(!script.contains("${{"), "an expression is pasted into the script");
        assert_eq!(step["shell"], "bash");

        let mut environment = self.runner_environment();
        environment.extend(self.environment.clone());
        for (name, value) in step["env"].as_object().unwrap() {
            let known = |expression: &str| match expression {
                "github.token" => Some(self.workflow_token.clone()),
                _ => inputs.get(expression.strip_prefix("inputs.")?).cloned(),
            };
            environment.insert(name.clone(), evaluate(value.as_str().unwrap(), &known));
        }
        let files = self.path("files");
        for file in ["OUTPUT", "ENV", "PATH", "STATE", "STEP_SUMMARY"] {
            let path = files.join(file.to_lowercase());
            std::fs::write(&path, "").unwrap();
            environment.insert(format!("GITHUB_{file}"), path.to_str().unwrap().to_owned());
        }
        let script_file = files.join("step.sh");
        std::fs::write(&script_file, script).unwrap();
        let (exit, raw) = execute(&script_file, &self.path("workspace"), &environment);

        let read = |file: &str| std::fs::read_to_string(files.join(file)).unwrap();
        for file in ["env", "path", "state"] {
            assert_eq!(read(file), "", "the action writes no GITHUB_{file}");
        }
        let set = environment_file(&read("output")).unwrap();
        let id = step["id"].as_str().unwrap();
        let mut outputs = BTreeMap::new();
        for (name, output) in action["outputs"].as_object().unwrap() {
            let prefix = format!("steps.{id}.outputs.");
            let known =
                |expression: &str| Some(set.get(expression.strip_prefix(&prefix)?).cloned().unwrap_or_default());
            outputs.insert(name.clone(), evaluate(output["value"].as_str().unwrap(), &known));
        }
        for name in set.keys() {
            assert!(outputs.contains_key(name), "`{name}` is set but not declared in action.yml");
        }
        let (log, commands) = read_log(&raw);
        Ran { exit, raw, log, commands, outputs, summary: read("step_summary") }
    }

    fn resolve_inputs(&self, action: &Json) -> BTreeMap<String, String> {
        let declared = action["inputs"].as_object().unwrap();
        for name in self.inputs.keys() {
            assert!(declared.contains_key(name), "`{name}` is no input of the action");
        }
        declared
            .iter()
            .map(|(name, input)| {
                let default = input.get("default").map_or("", |default| default.as_str().expect("defaults are texts"));
                (name.clone(), self.inputs.get(name).cloned().unwrap_or_else(|| default.to_owned()))
            })
            .collect()
    }
}

/// Runs a script as `shell: bash` does; both streams end in one log.
fn execute(script: &Path, folder: &Path, environment: &BTreeMap<String, String>) -> (i32, String) {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut child = Command::new("bash")
        .args(["--noprofile", "--norc", "-e", "-o", "pipefail"])
        .arg(script)
        .current_dir(folder)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(writer.try_clone().unwrap())
        .stderr(writer)
        .spawn()
        .unwrap();
    let mut raw = Vec::new();
    reader.read_to_end(&mut raw).unwrap();
    let status = child.wait().unwrap();
    (status.code().unwrap_or(-1), String::from_utf8(raw).expect("the log is UTF-8"))
}

/// Replaces each `${{ … }}` by what `known` says; an unknown expression fails the test.
fn evaluate(text: &str, known: &dyn Fn(&str) -> Option<String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${{") {
        let (expression, after) = after.split_once("}}").expect("an expression ends");
        result.push_str(before);
        let value = known(expression.trim());
        result.push_str(&value.unwrap_or_else(|| panic!("`{expression}` is not known in a composite action")));
        rest = after;
    }
    result + rest
}

/// Reads a file like `GITHUB_OUTPUT`.
fn environment_file(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut set = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = after;
        // GitHub skips a blank line; other runners stop at it.
        if line.is_empty() {
            return Err("a blank line".to_owned());
        }
        let heredoc = line.find("<<").filter(|heredoc| line.find('=').is_none_or(|equals| *heredoc < equals));
        if let Some(position) = heredoc {
            let (name, delimiter) = (&line[..position], &line[position + 2..]);
            let mut lines = Vec::new();
            loop {
                let (value, after) = rest.split_once('\n').ok_or_else(|| format!("`{name}` does not end"))?;
                rest = after;
                if value == delimiter {
                    break;
                }
                lines.push(value);
            }
            set.insert(name.to_owned(), lines.join("\n"));
        } else {
            let (name, value) = line.split_once('=').ok_or_else(|| format!("`{line}` sets nothing"))?;
            set.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(set)
}

const COMMANDS: [&str; 12] = [
    "add-mask",
    "add-matcher",
    "add-path",
    "debug",
    "echo",
    "endgroup",
    "error",
    "group",
    "notice",
    "remove-matcher",
    "set-env",
    "warning",
];
const OLD_COMMANDS: [&str; 3] = ["save-state", "set-output", "stop-commands"];

/// The command in a line, if the runner would see one: `::` first in the line, or `##[` anywhere.
fn command(line: &str) -> Option<Issued> {
    let unescape = |text: &str| text.replace("%0D", "\r").replace("%0A", "\n").replace("%3A", ":").replace("%2C", ",");
    let (head, data) = if let Some(rest) = line.trim_start().strip_prefix("::") {
        rest.split_once("::")?
    } else {
        line.split_once("##[")?.1.split_once(']')?
    };
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    let name = name.to_lowercase();
    if !COMMANDS.contains(&name.as_str()) && !OLD_COMMANDS.contains(&name.as_str()) {
        return None;
    }
    let properties = properties
        .split([',', ';'])
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), unescape(value).replace("%25", "%")))
        .collect();
    Some(Issued { name, properties, data: unescape(data).replace("%25", "%") })
}

/// Follows a log line by line: masks hold from where they are given.
fn read_log(raw: &str) -> (String, Vec<Issued>) {
    let (mut log, mut commands, mut masks) = (String::new(), Vec::new(), Vec::<String>::new());
    // The runner reads a carriage return as a line's end too.
    for line in raw.split_inclusive(['\n', '\r']).map(|line| line.trim_end_matches(['\n', '\r'])) {
        let issued = command(line);
        let mut shown = line.to_owned();
        if let Some(issued) = issued {
            if issued.name == "add-mask" {
                assert!(!issued.data.trim().is_empty(), "a blank mask is refused by the runner");
                shown = "::add-mask::***".to_owned();
                masks.push(issued.data.clone());
                masks.sort_by_key(|mask| std::cmp::Reverse(mask.len()));
            }
            commands.push(issued);
        }
        for mask in &masks {
            shown = shown.replace(mask.as_str(), "***");
        }
        log.push_str(&shown);
        log.push('\n');
    }
    (log, commands)
}

#[test]
fn the_environment_files_are_read_by_the_strict_syntax() {
    let set = environment_file("a=b=c\nd<<END\none\n\nEND\nx=<<y\n").unwrap();
    assert_eq!(set["a"], "b=c");
    assert_eq!(set["d"], "one\n");
    assert_eq!(set["x"], "<<y");
    assert!(environment_file("a<<END\nEND").is_err());
    assert!(environment_file("nothing\n").is_err());
    assert!(environment_file("a=b\n\n").is_err());
}

#[test]
fn commands_are_found_where_the_runner_finds_them() {
    assert_eq!(command("  ::Error file=a%2Cb,line=2::x%0Ay%25").unwrap().data, "x\ny%");
    assert_eq!(command("any ##[warning]text").unwrap().name, "warning");
    assert_eq!(command("text ::error::x"), None);
    assert_eq!(command("::nothing::x"), None);
    assert_eq!(read_log("text\r::error::x\n").1.len(), 1);
}
