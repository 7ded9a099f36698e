//! The file of a scenario: the story that people write, a line `---`, and what a run came to, which the
//! harness writes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::Value as Json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// What it shows, in a sentence.
    #[allow(dead_code, reason = "for readers of the file")]
    about: String,
    #[serde(default)]
    pub github: Json,
    #[serde(default)]
    pub esc: Json,
    /// Files of the working directory at the start.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Variables of every command; `null` removes one that the harness sets.
    #[serde(default)]
    pub environment: BTreeMap<String, Option<String>>,
    pub steps: Vec<Step>,
    /// Files that may hold secrets in clear when the script is done: names relative to the working directory;
    /// one that ends in `/` means all below.
    #[serde(default)]
    pub plaintext: Vec<String>,
    /// Files whose content is part of what is expected.
    #[serde(default)]
    pub show: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Step {
    Run(Box<Command>),
    /// Change the two services from outside.
    Edit {
        edit: Json,
    },
    /// Replace the faults in force.
    Faults {
        faults: Json,
    },
    /// Write files; `null` removes.
    Write {
        write: BTreeMap<String, Option<String>>,
    },
    /// Run git in the working directory, with one author and one clock: `init`, `commit -qm text`.
    Git {
        git: Vec<Words>,
    },
    /// Move the services' clock.
    Advance {
        advance_seconds: i64,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Arguments: a text that is split as a shell would split it, or a list.
    pub run: Words,
    #[serde(default)]
    pub stdin: String,
    #[serde(default)]
    pub environment: BTreeMap<String, Option<String>>,
    /// Whether stdout is meant to hold secrets.
    #[serde(default)]
    pub plaintext: bool,
    /// `false` where their number depends on the race of concurrent requests.
    #[serde(default = "yes")]
    pub requests: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Words {
    Line(String),
    List(Vec<String>),
}

impl Words {
    /// Blanks separate; single and double quotes group.
    pub fn list(&self) -> Vec<String> {
        let line = match self {
            Self::List(words) => return words.clone(),
            Self::Line(line) => line,
        };
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for c in line.chars() {
            match (c, quote) {
                (c, Some(open)) if c == open => quote = None,
                ('"' | '\'', None) => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                (c, None) if c.is_whitespace() => words.extend(word.take()),
                (c, _) => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }
}

/// What a scenario came to, normalised.
#[derive(Default)]
pub struct Expected {
    pub steps: Vec<Outcome>,
    /// By store: name to value.
    pub github: BTreeMap<String, BTreeMap<String, String>>,
    pub files: BTreeMap<String, String>,
}

pub struct Outcome {
    pub run: String,
    pub exit: String,
    pub requests: Option<String>,
    pub stdout: String,
    pub stderr: String,
}

const RULE: &str = "\n---\n";

/// The part that people write.
pub fn story(text: &str) -> String {
    match text.split_once(RULE) {
        Some((story, _)) => format!("{story}\n"),
        None => text.to_owned(),
    }
}

/// The scenario, and the text of what is expected where there is one.
pub fn parse(text: &str) -> Result<(Scenario, Option<String>), String> {
    let scenario = yaml_serde::from_str(&story(text)).map_err(|error| format!("not a scenario: {error}"))?;
    Ok((scenario, text.split_once(RULE).map(|(_, expected)| expected.to_owned())))
}

/// The text of what is expected: YAML whose long texts are blocks.
pub fn write_expected(expected: &Expected) -> String {
    let mut out = String::from("# Written by SOPHIA_ACCEPT=1.\nsteps:\n");
    for step in &expected.steps {
        let _ = writeln!(out, "  - run: {}", scalar(&step.run, 4));
        let _ = writeln!(out, "    exit: {}", step.exit);
        if let Some(requests) = &step.requests {
            let _ = writeln!(out, "    requests: {}", scalar(requests, 4));
        }
        for (name, text) in [("stdout", &step.stdout), ("stderr", &step.stderr)] {
            if !text.is_empty() {
                let _ = writeln!(out, "    {name}: {}", scalar(text, 6));
            }
        }
    }
    out.push_str(if expected.github.is_empty() { "github: {}\n" } else { "github:\n" });
    for (store, entries) in &expected.github {
        let _ = writeln!(out, "  {}:", scalar(store, 4));
        for (name, value) in entries {
            let _ = writeln!(out, "    {name}: {}", scalar(value, 6));
        }
    }
    if !expected.files.is_empty() {
        out.push_str("files:\n");
        for (name, text) in &expected.files {
            let _ = writeln!(out, "  {}: {}", scalar(name, 4), scalar(text, 4));
        }
    }
    out
}

/// A text as YAML: plain words as they are, lines as a block, the rest in JSON's quotes.
fn scalar(text: &str, indent: usize) -> String {
    let odd = |c: char| c.is_control() && c != '\n';
    let lines = text.strip_suffix('\n');
    match lines {
        Some(lines) if !text.chars().any(odd) && !lines.is_empty() && !lines.ends_with('\n') => {
            // The number says the indentation, so that a first line may begin with blanks.
            let mut block = format!("|{}", if lines.starts_with([' ', '\n']) { "2" } else { "" });
            for line in lines.split('\n') {
                block.push('\n');
                if !line.is_empty() {
                    let _ = write!(block, "{}{line}", " ".repeat(indent));
                }
            }
            block
        }
        _ => serde_json::to_string(text).unwrap(),
    }
}
