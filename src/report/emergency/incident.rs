//! An incident: what is known of a compromised secret, what was done about it, and what people must do.
//! Its Markdown is the incident record.

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::SCHEMA_VERSION;
use crate::report::list::Delivered;
use crate::report::{BOLD, DIM, GREEN, RED, Report, YELLOW, markdown_text};

/// One policy that grants the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub policy: String,
    pub stacks: Vec<String>,
    /// `user:NAME`, `team:NAME`, `github:OWNER/REPOSITORY`.
    pub identities: Vec<String>,
}

/// What became of one step of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Planned,
    Done,
    /// Nobody confirmed it, or an earlier one failed.
    Skipped,
    Failed,
    /// It failed, and whether it was done all the same could not be seen.
    Unknown,
}

impl Outcome {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// One step of the response. Value-free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    pub time: Timestamp,
    pub what: String,
    pub outcome: Outcome,
    pub detail: String,
}

/// What is known of a compromised secret, and what was done. Value-free.
#[derive(Debug, Clone)]
pub struct Incident {
    pub name: String,
    pub groups: Vec<String>,
    pub stack: String,
    pub environment: String,
    /// Revision of the environment when the response began, and when it was made.
    pub revision: Option<u64>,
    pub revised: Option<Timestamp>,
    pub owner: Option<String>,
    pub by: String,
    pub began: Timestamp,
    /// None when the definition has no policies: nothing restricts it.
    pub holders: Option<Vec<Holder>>,
    pub delivered: Vec<Delivered>,
    /// `file:line` of the workflows that name it.
    pub uses: Vec<String>,
    /// Other names and stacks with the same value: `staging OPENAI_API_KEY`.
    pub same_value: Vec<(String, String)>,
    /// Stacks that could not be looked at, with the reason.
    pub not_looked_at: Vec<(String, String)>,
    /// A provider, a reference or an import gives the value: ESC cannot be given another one.
    pub given_elsewhere: bool,
    pub actions: Vec<Action>,
    /// Where the record lies; none for a dry run.
    pub record: Option<String>,
}

/// What only people can do, in the order of the guide.
const REVOKE: &str = "Revoke the old credential in the service that issued it";

impl Incident {
    fn replaced(&self) -> bool {
        self.replacement() == Some(Outcome::Done)
    }

    /// What became of the new value; none before anything was begun.
    fn replacement(&self) -> Option<Outcome> {
        self.actions.first().map(|action| action.outcome)
    }

    fn who(&self) -> Vec<String> {
        match &self.holders {
            None => vec!["the definition has no access policies: nothing restricts it".to_owned()],
            Some(holders) if holders.is_empty() => vec!["no access policy grants it".to_owned()],
            Some(holders) => holders
                .iter()
                .map(|holder| {
                    format!("{} ({}): {}", holder.policy, holder.stacks.join(", "), holder.identities.join(", "))
                })
                .collect(),
        }
    }

    fn delivered(&self) -> Vec<String> {
        let line = |delivered: &Delivered| {
            let written = delivered.updated_at.as_deref().unwrap_or("not there");
            let changed = delivered.changed_at.as_deref();
            let changed = changed.map_or_else(String::new, |changed| format!(", value changed {changed}"));
            format!("{}: written {written}{changed}", delivered.target)
        };
        self.delivered.iter().map(line).collect()
    }

    fn same(&self) -> Vec<String> {
        let same = self.same_value.iter().map(|(stack, name)| format!("{name} of stack {stack} has the same value"));
        let missing = self.not_looked_at.iter().map(|(stack, why)| format!("stack {stack} was not looked at: {why}"));
        same.chain(missing).collect()
    }

    /// What is left for people to do.
    fn checklist(&self) -> Vec<String> {
        let owner = self.owner.as_ref().map_or_else(String::new, |owner| format!(" (owner: {owner})"));
        let mut list = vec![format!("{REVOKE}{owner}")];
        if self.replacement() == Some(Outcome::Unknown) {
            list.push(format!(
                "See whether ESC has a new value: `env history {}`; if so `sync --stack {}` delivers it, else `emergency respond {}` again",
                self.environment, self.stack, self.name
            ));
        } else if self.given_elsewhere {
            list.push("Replace it where its value comes from: `env get` shows its definition in ESC".to_owned());
        } else if !self.replaced() {
            list.push(format!("Put a new value into ESC: `emergency respond {} --stack {}`", self.name, self.stack));
        }
        if self.replaced() && self.actions.iter().any(|action| action.outcome != Outcome::Done) {
            list.push(format!("Deliver the new value: `sync --stack {}`", self.stack));
        }
        list.extend(self.same_value.iter().map(|(stack, name)| {
            format!("The same value is in {name} of stack {stack}: `emergency respond {name} --stack {stack}`")
        }));
        let jobs = if self.uses.is_empty() { String::new() } else { format!(": {}", self.uses.join(", ")) };
        list.push(format!("Deploy, and run again, what uses it{jobs}"));
        list.push("Look at the logs of the issuing service for uses since the leak".to_owned());
        list.push("Search the code and its history for the old value: `leaks`".to_owned());
        if self.replaced() {
            list.push(format!(
                "See that every target has it: `rotation complete {} --stack {}`",
                self.name, self.stack
            ));
        }
        list.push("Post-mortem: how it got out, how it was noticed, what prevents it".to_owned());
        list
    }

    fn facts(&self) -> Vec<(&'static str, Vec<String>)> {
        let none = |list: Vec<String>, word: &str| if list.is_empty() { vec![word.to_owned()] } else { list };
        vec![
            ("who may have it", self.who()),
            ("where it is delivered", none(self.delivered(), "nowhere that could be looked at")),
            ("workflows that use it", none(self.uses.clone(), "none found beside the definition")),
            ("the same value elsewhere", none(self.same(), "no other name or stack has it")),
        ]
    }

    fn source(&self) -> String {
        let revision = match (self.revision, self.revised) {
            (Some(revision), Some(revised)) => format!(", revision {revision} of {}", seconds(revised)),
            (Some(revision), None) => format!(", revision {revision}"),
            _ => String::new(),
        };
        format!("{}{revision}", self.environment)
    }
}

fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Report for Incident {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "{BOLD}{}{BOLD:#} of stack {} ({})", self.name, self.stack, self.groups.join(", "))?;
        writeln!(to, "{DIM}{}{DIM:#}", self.source())?;
        for (title, lines) in self.facts() {
            writeln!(to, "{title}")?;
            lines.iter().try_for_each(|line| writeln!(to, "  {line}"))?;
        }
        writeln!(to, "what is done about it")?;
        for action in &self.actions {
            let style = match action.outcome {
                Outcome::Done => GREEN,
                Outcome::Planned | Outcome::Skipped => YELLOW,
                Outcome::Failed | Outcome::Unknown => RED,
            };
            writeln!(to, "  {style}{:<7}{style:#}  {}: {}", action.outcome.word(), action.what, action.detail)?;
        }
        writeln!(to, "what is left to you")?;
        self.checklist().iter().try_for_each(|line| writeln!(to, "  [ ] {line}"))?;
        match &self.record {
            Some(record) => writeln!(to, "record: {record}"),
            None => Ok(()),
        }
    }

    fn json(&self) -> Json {
        let holders = self.holders.as_ref().map(|holders| {
            let holder = |holder: &Holder| json!({"policy": holder.policy, "stacks": holder.stacks, "identities": holder.identities});
            holders.iter().map(holder).collect::<Vec<_>>()
        });
        let delivered = |delivered: &Delivered| json!({"target": delivered.target, "updated_at": delivered.updated_at, "changed_at": delivered.changed_at});
        let action = |action: &Action| json!({"time": action.time, "what": action.what, "outcome": action.outcome.word(), "detail": action.detail});
        json!({
            "schema_version": SCHEMA_VERSION, "command": "emergency respond", "name": self.name, "groups": self.groups,
            "stack": self.stack, "environment": self.environment, "revision": self.revision, "owner": self.owner,
            "by": self.by, "began": self.began, "holders": holders,
            "delivered": self.delivered.iter().map(delivered).collect::<Vec<_>>(), "uses": self.uses,
            "same_value": self.same_value.iter().map(|(stack, name)| json!({"stack": stack, "name": name})).collect::<Vec<_>>(),
            "not_looked_at": self.not_looked_at.iter().map(|(stack, why)| json!({"stack": stack, "why": why})).collect::<Vec<_>>(),
            "actions": self.actions.iter().map(action).collect::<Vec<_>>(), "checklist": self.checklist(),
            "record": self.record
        })
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "# Incident: {} of stack {}\n", markdown_text(&self.name), markdown_text(&self.stack))?;
        writeln!(
            to,
            "Begun {} by {}. No value stands in this record.\n",
            seconds(self.began),
            markdown_text(&self.by)
        )?;
        writeln!(to, "- groups: {}", markdown_text(&self.groups.join(", ")))?;
        writeln!(to, "- ESC: {}", markdown_text(&self.source()))?;
        for (title, lines) in self.facts() {
            writeln!(
                to,
                "\n## {}{}\n",
                title.get(..1).unwrap_or_default().to_uppercase(),
                title.get(1..).unwrap_or_default()
            )?;
            lines.iter().try_for_each(|line| writeln!(to, "- {}", markdown_text(line)))?;
        }
        writeln!(to, "\n## Timeline\n\n| time | what | outcome | detail |\n|---|---|---|---|")?;
        for action in &self.actions {
            let (what, detail) = (markdown_text(&action.what), markdown_text(&action.detail));
            writeln!(to, "| {} | {what} | {} | {detail} |", seconds(action.time), action.outcome.word())?;
        }
        writeln!(to, "\n## Left to people\n")?;
        self.checklist().iter().try_for_each(|line| writeln!(to, "- [ ] {line}"))?;
        writeln!(
            to,
            "\n## Post-mortem\n\n- How it got out:\n- How it was noticed:\n- What was done with it:\n- What prevents it:"
        )
    }
}
