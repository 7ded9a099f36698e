//! The audit trail as lines: what one says, and how it is chained to the one before it.
//!
//! A line is JSON of a [`Record`] that ends in its own hash: SHA-256 of the line without the member `hash`.
//! `previous` is the hash of the line before, so no line can be changed, removed or moved without a
//! later one not fitting any more; `rules::audit_chain` checks that. The chain has **no key**: an
//! auditor needs no secret to verify it. Who may write the file could therefore compute a whole new chain; what
//! that cannot match is a head that was published elsewhere (an anchor: the job summary shows it).
//!
//! **No type here can hold a value**: names, places, words, counts and digests of plans only.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The format that this version writes and reads.
pub const SCHEMA_VERSION: u32 = 1;

/// `previous` of the first line.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    pub kind: ActorKind,
    /// Login of who started the job, or the user of the machine.
    pub name: String,
    /// What is known besides: `repository`, `workflow`, `ref`, `sha` of a job, `host` of a machine, claims of
    /// an OIDC identity.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActorKind {
    /// A GitHub Actions job.
    Job,
    /// A person at a machine.
    User,
}

/// One run of the tool; every line of the run repeats it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Same for all lines of the run; a job's run id and attempt, or something unique.
    pub id: String,
    /// The command as typed: `sync`, `rotation complete`.
    pub command: String,
    pub actor: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// The ESC environment, or the name of the file that values came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Its revision, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// Digest of the plan that was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
}

/// What happened; one line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// `run-started`, `step`, `run-ended`, or another word of the command.
    pub event: String,
    /// Where, as reports print it: `payready/sophia environment production · actions`, or
    /// `payready/sophia-esc/production · esc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// `secret` or `variable`; `secret`, `value` or `recipient` in ESC; `issue`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The revision of the ESC environment that the step made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// `done`, `failed`, `not-tried`, `unknown` (the answer to a write was lost), or another word of the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Code of the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// One value-free sentence more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Entry {
    /// An entry that says nothing but its event.
    #[must_use]
    pub fn of(event: &str) -> Self {
        Self { event: event.to_owned(), ..Self::default() }
    }

    /// The end of a run that looked for problems, with how often it found what.
    #[must_use]
    pub fn check(counts: &[(&'static str, usize)]) -> Self {
        let outcome = if counts.is_empty() { "done" } else { "findings" };
        let detail: Vec<String> = counts.iter().map(|(code, count)| format!("{code} {count}")).collect();
        Self {
            outcome: Some(outcome.to_owned()),
            detail: (!detail.is_empty()).then(|| detail.join(", ")),
            ..Self::of("run-ended")
        }
    }
}

/// One line of the trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub schema_version: u32,
    /// From 1, without gaps.
    pub sequence: u64,
    /// Hash of the line before; [`GENESIS`] for the first.
    pub previous: String,
    pub time: Timestamp,
    pub run: Run,
    pub entry: Entry,
}

/// The end of a trail, or of what it was once: what an anchor names. Reads and prints as `SEQUENCE:HASH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// 0 for a trail without lines.
    pub sequence: u64,
    /// 64 hex digits.
    pub hash: String,
}

impl Head {
    /// The head of a trail without lines.
    #[must_use]
    pub fn genesis() -> Self {
        Self { sequence: 0, hash: GENESIS.to_owned() }
    }

    /// The line that follows this head, without a line break, and the head that it makes.
    ///
    /// # Errors
    /// When `entry` cannot be written as JSON, which no entry is known to do.
    pub fn next(&self, time: Timestamp, run: &Run, entry: &Entry) -> Result<(String, Self), serde_json::Error> {
        let sequence = self.sequence + 1;
        let record = Record {
            schema_version: SCHEMA_VERSION,
            sequence,
            previous: self.hash.clone(),
            time,
            run: run.clone(),
            entry: entry.clone(),
        };
        let mut line = serde_json::to_string(&record)?;
        let hash = hex::encode(Sha256::digest(line.as_bytes()));
        line.pop();
        line.push_str(HASH_START);
        line.push_str(&hash);
        line.push_str(HASH_END);
        Ok((line, Self { sequence, hash }))
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, self.hash)
    }
}

/// A text that is no head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the head of an audit trail: expected SEQUENCE:HASH with 64 hex digits")]
pub struct NotAHead(String);

impl FromStr for Head {
    type Err = NotAHead;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (sequence, hash) = text.trim().split_once(':')?;
            let sequence = sequence.parse().ok()?;
            is_hash(hash).then(|| Self { sequence, hash: hash.to_owned() })
        };
        read().ok_or_else(|| NotAHead(text.trim().chars().take(100).collect()))
    }
}

const HASH_START: &str = ",\"hash\":\"";
const HASH_END: &str = "\"}";
const HASH_DIGITS: usize = 64;

fn is_hash(text: &str) -> bool {
    text.len() == HASH_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A line as read: what it says, the hash that it claims, and whether that is its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub record: Record,
    pub hash: String,
    pub intact: bool,
}

impl Line {
    /// Reads one line without its line break; none when it is not a line of an audit trail.
    #[must_use]
    pub fn read(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let start = text.len().checked_sub(HASH_START.len() + HASH_DIGITS + HASH_END.len())?;
        let (content, tail) = (text.get(..start)?, text.get(start..)?);
        let hash = tail.strip_prefix(HASH_START)?.strip_suffix(HASH_END)?;
        if !is_hash(hash) {
            return None;
        }
        let content = format!("{content}}}");
        let record: Record = serde_json::from_str(&content).ok()?;
        let intact = hex::encode(Sha256::digest(content.as_bytes())) == hash;
        Some(Self { record, hash: hash.to_owned(), intact })
    }

    /// The head that the trail had with this line as its last.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { sequence: self.record.sequence, hash: self.hash.clone() }
    }
}

#[cfg(test)]
pub mod samples {
    use super::*;

    pub fn run() -> Run {
        Run {
            id: "17.1".into(),
            command: "sync".into(),
            actor: Actor {
                kind: ActorKind::Job,
                name: "octocat".into(),
                claims: BTreeMap::from([("repository".into(), "payready/sophia".into())]),
            },
            stack: Some("production".into()),
            environment: Some("payready/sophia-esc/production".into()),
            revision: Some(12),
            plan: Some("sha256:00".into()),
        }
    }

    pub fn step(name: &str) -> Entry {
        Entry {
            target: Some("payready/sophia · actions".into()),
            kind: Some("secret".into()),
            name: Some(name.into()),
            group: Some("api-keys".into()),
            action: Some("create".into()),
            reason: Some("new".into()),
            outcome: Some("done".into()),
            ..Entry::of("step")
        }
    }

    /// A trail of `count` lines and its head.
    pub fn trail(count: usize) -> (Vec<String>, Head) {
        let mut head = Head::genesis();
        let lines = (0..count)
            .map(|index| {
                let time = Timestamp::from_second(1_780_000_000 + i64::try_from(index).unwrap()).unwrap();
                let (line, next) = head.next(time, &run(), &step(&format!("NAME_{index}"))).unwrap();
                head = next;
                line
            })
            .collect();
        (lines, head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_and_carries_its_own_hash() {
        let (lines, head) = samples::trail(2);
        let line = Line::read(lines[1].as_bytes()).unwrap();
        assert!(line.intact);
        assert_eq!(line.head(), head);
        assert_eq!(line.record.entry, samples::step("NAME_1"));
        assert_eq!(line.record.previous, Line::read(lines[0].as_bytes()).unwrap().hash);
        assert_eq!(head.to_string().parse::<Head>().unwrap(), head);
    }

    #[test]
    fn the_form_of_a_line_is_frozen() {
        let (lines, _) = samples::trail(1);
        assert_eq!(
            lines[0],
            "{\"schema_version\":1,\"sequence\":1,\"previous\":\"0000000000000000000000000000000000000000000000000000000000000000\",\
             \"time\":\"2026-05-28T20:26:40Z\",\"run\":{\"id\":\"17.1\",\"command\":\"sync\",\"actor\":{\"kind\":\"job\",\"name\":\"octocat\",\
             \"claims\":{\"repository\":\"payready/sophia\"}},\"stack\":\"production\",\"environment\":\"payready/sophia-esc/production\",\
             \"revision\":12,\"plan\":\"sha256:00\"},\"entry\":{\"event\":\"step\",\"target\":\"payready/sophia · actions\",\"kind\":\"secret\",\
             \"name\":\"NAME_0\",\"group\":\"api-keys\",\"action\":\"create\",\"reason\":\"new\",\"outcome\":\"done\"},\
             \"hash\":\"62885d7ec9b7d3d79d2489e26931e408321918539dcedac7fabc1be031735ce2\"}"
        );
    }

    #[test]
    fn what_is_not_a_line_is_not_read() {
        let (lines, _) = samples::trail(1);
        let upper = lines[0].replace("\"hash\":\"", "\"hash\":\"A").replace("A\"", "\"");
        for line in
            ["", "{}", "\"}", &lines[0][1..], &lines[0][..lines[0].len() - 1], &format!("{} ", lines[0]), &upper]
        {
            assert_eq!(Line::read(line.as_bytes()), None, "{line}");
        }
        assert_eq!(Line::read(b"\xff"), None);
        for text in ["", "1", "1:", "x:00", &format!("1:{}", "g".repeat(64))] {
            assert!(text.parse::<Head>().is_err(), "{text}");
        }
    }
}
