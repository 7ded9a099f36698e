//! `audit`: what was done, whether the trail is whole, and the evidence for an audit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use crypto_box::aead::OsRng;
use crypto_box::aead::rand_core::RngCore as _;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::FINDINGS;
use super::connect::Session;
use super::door::Door;
use super::environment;
use crate::base::error::{Outcome, Problem};
use crate::flow::audit;
use crate::io::audit::AuditLog;
use crate::rules::audit::{Actor, ActorKind, Filter, Head, Run};
use crate::rules::plan::Plan;

/// Where the trail lies below the folder of the definition, unless told otherwise.
const TRAIL: &str = ".sophia/audit.jsonl";

#[derive(Debug, Clone, Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    pub command: AuditCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub enum AuditCommand {
    /// Show what was done, by whom, and how it ended
    Log(LogArgs),
    /// Check that no line of the trail was changed, removed or moved
    Verify(VerifyArgs),
}

#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// Only this action: create, update, delete
    #[arg(long, value_name = "ACTION")]
    pub action: Option<String>,
    /// Only what this person or job's starter did
    #[arg(long, value_name = "LOGIN")]
    pub actor: Option<String>,
    /// Only this secret group
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// Show at most this many events, the newest
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub limit: usize,
    /// Only this secret or variable
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Only what ended like this: done, failed, not-tried
    #[arg(long, value_name = "OUTCOME")]
    pub outcome: Option<String>,
    /// Only this run
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// From then on: a date, a time (RFC 3339), or an age such as `30d`
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    pub since: Option<When>,
    /// Only targets whose text holds this, such as `payready/sophia`
    #[arg(long, value_name = "TEXT")]
    pub target: Option<String>,
    /// Before then
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    pub until: Option<When>,
}

#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// Head that was published elsewhere, such as in a job summary (repeatable)
    #[arg(long = "anchor", value_name = "SEQUENCE:HASH", value_parser = parse_head)]
    pub anchors: Vec<Head>,
}

/// A point in time as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    At(Timestamp),
    /// So long before now.
    Ago(std::time::Duration),
}

impl When {
    /// The point in time, seen from `now`.
    #[must_use]
    pub fn seen_from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(duration) => now.checked_sub(duration).unwrap_or(Timestamp::MIN),
        }
    }
}

pub fn parse_when(text: &str) -> Result<When, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(When::At(time));
    }
    if let Ok(date) = text.parse::<Date>() {
        let midnight = date.to_zoned(TimeZone::UTC).map_err(|error| error.to_string())?;
        return Ok(When::At(midnight.timestamp()));
    }
    super::parse_duration(text)
        .map(When::Ago)
        .map_err(|_| "expected a date (`2026-05-01`), a time (`2026-05-01T10:00:00Z`) or an age (`30d`)".to_owned())
}

fn parse_head(text: &str) -> Result<Head, String> {
    text.parse().map_err(|error: crate::rules::audit::NotAHead| error.to_string())
}

/// Where the trail lies: `--audit-log`, else `SOPHIA_AUDIT_LOG`, else `.sophia/audit.jsonl` beside the
/// definition, or in the current folder when there is none.
#[must_use]
pub fn trail_path(session: &Session) -> PathBuf {
    if let Some(path) = &session.global.audit_log {
        return path.clone();
    }
    if let Some(path) = session.environment.get(environment::SOPHIA_AUDIT_LOG) {
        return PathBuf::from(path);
    }
    let definition = session.definition_path().ok();
    definition.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).join(TRAIL)
}

/// Opens the trail for a run of `command` that applies `plan`; its first line is then on the disk.
///
/// # Errors
/// `audit-unwritable` and `audit-broken`: nothing may be written then.
pub fn open(session: &Session, command: &str, plan: &Plan) -> Outcome<AuditLog> {
    let run = Run {
        id: run_id(session),
        command: command.to_owned(),
        actor: actor(session),
        stack: Some(plan.stack.clone()),
        environment: Some(plan.source.environment.clone()),
        revision: plan.source.revision,
        plan: Some(plan.digest.clone()),
    };
    AuditLog::open(&trail_path(session), run, session.now)
}

/// A job's run and attempt; elsewhere the time and something random.
fn run_id(session: &Session) -> String {
    let variable = |name| session.environment.get(name);
    match variable(environment::GITHUB_RUN_ID) {
        Some(run) => format!("{run}.{}", variable(environment::GITHUB_RUN_ATTEMPT).unwrap_or("1")),
        None => {
            let mut random = [0; 4];
            OsRng.fill_bytes(&mut random);
            format!("{}-{}", session.now.strftime("%Y%m%dT%H%M%SZ"), hex::encode(random))
        }
    }
}

/// Who started the job, or whose process this is.
fn actor(session: &Session) -> Actor {
    let variable = |name| session.environment.get(name).map(str::to_owned);
    if !session.environment.in_a_job() {
        let name = variable(environment::USER).or_else(|| variable(environment::USERNAME));
        return Actor {
            kind: ActorKind::User,
            name: name.unwrap_or_else(|| "unknown".to_owned()),
            claims: BTreeMap::new(),
        };
    }
    let known = [
        ("event", environment::GITHUB_EVENT_NAME),
        ("repository", environment::GITHUB_REPOSITORY),
        ("sha", environment::GITHUB_SHA),
        ("workflow", environment::GITHUB_WORKFLOW),
    ];
    Actor {
        kind: ActorKind::Job,
        name: variable(environment::GITHUB_ACTOR).unwrap_or_else(|| "unknown".to_owned()),
        claims: known.iter().filter_map(|(claim, name)| Some(((*claim).to_owned(), variable(name)?))).collect(),
    }
}

/// Runs `audit`.
///
/// # Errors
/// When there is no trail, or it cannot be read.
pub async fn run(args: AuditArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let path = trail_path(session);
    match args.command {
        AuditCommand::Log(args) => log(args, &path, session, door),
        AuditCommand::Verify(args) => {
            let report = audit::verify(&path, &args.anchors)?;
            door.report(&report);
            Ok(if report.verification.is_whole() { 0 } else { FINDINGS })
        }
    }
}

fn log(args: LogArgs, path: &Path, session: &Session, door: &mut Door) -> Outcome<u8> {
    let filter = Filter {
        since: args.since.map(|when| when.seen_from(session.now)),
        until: args.until.map(|when| when.seen_from(session.now)),
        actor: args.actor,
        run: args.run,
        stack: session.global.stack.clone(),
        target: args.target,
        name: args.name,
        group: args.group,
        action: args.action,
        outcome: args.outcome,
    };
    let report = audit::log(path, &filter, Vec::new(), args.limit)?;
    door.report(&report);
    if report.unreadable > 0 {
        let message = match report.unreadable {
            1 => "1 line of the trail cannot be read".to_owned(),
            count => format!("{count} lines of the trail cannot be read"),
        };
        door.problems(&[Problem::warning("audit-line-broken", message).hint("`audit verify` says which")]);
    }
    Ok(0)
}
