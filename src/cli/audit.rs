//! `audit`: what was done, whether the trail is whole, and the evidence for an audit.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use crypto_box::aead::OsRng;
use crypto_box::aead::rand_core::RngCore as _;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::FINDINGS;
use super::args::{GitHubArgs, LedgerArgs, SourceArgs};
use super::connect::Session;
use super::door::Door;
use super::environment::{self, Environment};
use crate::base::error::{Failure, Outcome, Problem};
use crate::base::target::Scope;
use crate::flow::audit::{self, Others};
use crate::flow::evidence::{self, Ask};
use crate::io::audit::{AuditLog, HEAD_UNWRITABLE, Trail};
use crate::io::esc_cloud::PulumiCloud;
use crate::io::files;
use crate::io::github_audit;
use crate::report::{self, Format, Report};
use crate::rules::audit::{Actor, ActorKind, Entry, Head, Run};
use crate::rules::audit_filter::Filter;
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
    Log(Box<LogArgs>),
    /// Gather the evidence for an audit: inventory, rotation, access, changes
    Report(Box<ReportArgs>),
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
    /// Only runs of this command, or of those that begin with it, such as `rotation`
    #[arg(long, value_name = "WORDS")]
    pub command: Option<String>,
    /// Only this secret group
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// Show at most this many events, the newest
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub limit: usize,
    /// Only this secret or variable
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Only what ended like this: done, failed, not-tried, unknown
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
    /// Logs to put beside the trail, where the tokens may read them
    #[arg(long = "with", value_name = "LOGS", value_delimiter = ',')]
    pub others: Vec<Other>,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub github: GitHubArgs,
}

/// A log of another organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Other {
    Github,
    Pulumi,
}

#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// Head that was published elsewhere, such as in a job summary (repeatable)
    #[arg(long = "anchor", value_name = "SEQUENCE:HASH", value_parser = parse_head)]
    pub anchors: Vec<Head>,
    #[command(flatten)]
    pub github: GitHubArgs,
    #[command(flatten)]
    pub ledger: LedgerArgs,
    #[command(flatten)]
    pub source: SourceArgs,
    /// Write the report to this file, in the form of its ending: .html, .md or .json
    #[arg(long, value_name = "FILE", value_parser = parse_out)]
    pub out: Option<PathBuf>,
    /// Show changes from then on: a date, a time (RFC 3339), or an age such as `30d`
    #[arg(long, value_name = "WHEN", default_value = "90d", value_parser = parse_when)]
    pub since: When,
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

fn parse_out(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("html" | "md" | "json") => Ok(path),
        _ => Err("expected a file that ends in .html, .md or .json".to_owned()),
    }
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

/// What it takes to open the trail of this run.
#[must_use]
pub fn trail(session: &Session) -> Trail {
    let run = Run {
        id: session.id.clone(),
        command: session.command.clone(),
        actor: actor(session),
        stack: None,
        environment: None,
        revision: None,
        plan: None,
    };
    Trail { path: trail_path(session), run, clock: Arc::clone(&session.clock) }
}

/// Opens the trail for a run that applies `plan`; its first line is then on the disk.
///
/// # Errors
/// `audit-unwritable`, `audit-head-unwritable` and `audit-broken`: nothing may be written then.
pub fn open(session: &Session, plan: &Plan) -> Outcome<AuditLog> {
    let trail = trail(session);
    trail.open(Run {
        stack: Some(plan.stack.clone()),
        environment: Some(plan.source.environment.clone()),
        revision: plan.source.revision,
        plan: Some(plan.digest.clone()),
        ..trail.run.clone()
    })
}

/// Records that a check of `stacks` was made, with how often it found what: `done` when it found nothing. A check
/// changes nothing, so a trail that cannot be written is told, and the run goes on.
pub fn record_check(session: &Session, stacks: &[String], counts: &[(&'static str, usize)], door: &mut Door) {
    let trail = trail(session);
    let run = Run { stack: (!stacks.is_empty()).then(|| stacks.join(", ")), ..trail.run.clone() };
    let recorded = trail.open(run).and_then(|log| log.append(&Entry::check(counts)));
    if let Err(failure) = recorded {
        let problem = Problem::warning(failure.code, failure.to_string());
        let recorded = if failure.code == HEAD_UNWRITABLE { "and is in the trail" } else { "but not recorded" };
        door.problems(&[problem.hint(format!("the check was made, {recorded}"))]);
    }
}

/// Opens the trail for a run about `stacks` that applies no plan.
///
/// # Errors
/// As [`open`].
pub fn open_about(session: &Session, stacks: &str) -> Outcome<AuditLog> {
    let trail = trail(session);
    trail.open(Run { stack: Some(stacks.to_owned()), ..trail.run.clone() })
}

/// A job's run and attempt; elsewhere the time and something random.
#[must_use]
pub fn run_id(environment: &Environment, now: Timestamp) -> String {
    let variable = |name| environment.get(name);
    match variable(environment::GITHUB_RUN_ID) {
        Some(run) => format!("{run}.{}", variable(environment::GITHUB_RUN_ATTEMPT).unwrap_or("1")),
        None => {
            let mut random = [0; 4];
            OsRng.fill_bytes(&mut random);
            format!("{}-{}", now.strftime("%Y%m%dT%H%M%SZ"), hex::encode(random))
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
            claims: machine(session).map(|host| ("host".to_owned(), host)).into_iter().collect(),
        };
    }
    // The names of the job's OIDC claims where they have one.
    let known = [
        ("event", environment::GITHUB_EVENT_NAME),
        ("ref", environment::GITHUB_REF),
        ("repository", environment::GITHUB_REPOSITORY),
        ("sha", environment::GITHUB_SHA),
        ("workflow", environment::GITHUB_WORKFLOW),
        ("workflow_ref", environment::GITHUB_WORKFLOW_REF),
    ];
    Actor {
        kind: ActorKind::Job,
        name: variable(environment::GITHUB_ACTOR).unwrap_or_else(|| "unknown".to_owned()),
        claims: known.iter().filter_map(|(claim, name)| Some(((*claim).to_owned(), variable(name)?))).collect(),
    }
}

/// The name of this machine, as far as it is told: by a variable, or on Linux by the kernel.
fn machine(session: &Session) -> Option<String> {
    let told =
        [environment::HOSTNAME, environment::COMPUTERNAME].into_iter().find_map(|name| session.environment.get(name));
    let kernels = || String::from_utf8(files::read_if_there(Path::new("/proc/sys/kernel/hostname"), 256).ok()??).ok();
    let name = told.map(str::to_owned).or_else(kernels)?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Runs `audit`.
///
/// # Errors
/// When there is no trail, or it cannot be read.
pub async fn run(args: AuditArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let path = trail_path(session);
    match args.command {
        AuditCommand::Log(args) => log(*args, &path, session, door).await,
        AuditCommand::Report(args) => evidence(*args, &path, session, door).await,
        AuditCommand::Verify(args) => {
            let report = audit::verify(&path, &args.anchors)?;
            door.report(&report);
            Ok(if report.verification.is_whole() { 0 } else { FINDINGS })
        }
    }
}

/// Gathers the evidence and writes it: to a file in the form of its ending, or to stdout in that of `--format`.
async fn evidence(args: ReportArgs, trail: &Path, session: &Session, door: &mut Door) -> Outcome<u8> {
    let definition = session.definition(door)?;
    let github = session.github_alone(&args.github, &args.source, &definition, door).await?;
    let since = args.since.seen_from(session.now);
    if since > session.now {
        return Err(Failure::usage("audit-since", "--since lies in the future"));
    }
    let pulumi = session.pulumi_of_teams(&args.source).await?;
    let ask = Ask {
        definition: &definition,
        pulumi: pulumi.as_ref().map(Option::as_ref).map_err(Clone::clone),
        stack: session.global.stack.as_deref(),
        github: &github,
        ledger: &args.ledger.place,
        trail,
        anchors: &args.anchors,
        since,
        now: session.now,
    };
    let evidence = evidence::collect(&ask).await?;
    let Some(out) = args.out else {
        door.report(&evidence);
        return Ok(0);
    };
    let mut bytes = Vec::new();
    let written = match out.extension().and_then(|ending| ending.to_str()) {
        Some("html") => evidence.html(&mut bytes),
        Some("md") => evidence.markdown(&mut bytes),
        _ => report::write(&evidence, Format::Json, &mut bytes),
    };
    written.map_err(|error| Failure::unexpected("audit-report", "the report could not be made").cause(error))?;
    files::write_public(&out, &bytes)?;
    door.publish(&evidence);
    door.note(&format!("wrote `{}`", out.display()));
    Ok(0)
}

/// The other logs that were asked for. One that the token may not read is named, and hides nothing of the rest.
async fn others(args: &LogArgs, filter: &Filter, session: &Session, door: &mut Door) -> Outcome<Others> {
    let mut others = Others { asked: !args.others.is_empty(), ..Others::default() };
    if !others.asked {
        return Ok(others);
    }
    let definition = match session.global.org {
        Some(_) if args.github.github_token_path.is_none() => None,
        _ => Some(session.definition(door)?),
    };
    let organization = session.global.org.clone().or_else(|| Some(definition.as_ref()?.organization.clone()));
    let organization = organization.unwrap_or_default();
    let until = filter.until.unwrap_or(session.now);
    if args.others.contains(&Other::Pulumi) {
        let cloud = PulumiCloud::connect(session.esc_url(&args.source), &session.pulumi_login(&args.source)?).await?;
        match cloud.audit_log(&organization, filter, until, args.limit).await {
            Ok(found) => others.add(found, "Pulumi"),
            Err(failure) if ["esc-forbidden", "esc-not-found"].contains(&failure.code) => {
                others.unread.push(failure.message);
            }
            Err(failure) => return Err(failure),
        }
    }
    if args.others.contains(&Other::Github) {
        let scope = Scope::Organization(organization.clone());
        let github = match &definition {
            Some(definition) => session.github_alone(&args.github, &args.source, definition, door).await?,
            None => session.github(&args.github, None)?,
        };
        let client = github.client(&scope).await?;
        match client.audit_log(&organization, filter, until, args.limit).await {
            Ok(found) => others.add(found, "GitHub"),
            Err(error) if error.is_hidden() => others.unread.push(format!(
                "could not read the audit log of the GitHub organization `{organization}`: it takes {}",
                github_audit::PERMISSION
            )),
            Err(error) => {
                return Err(error.failure(&format!("read the audit log of {organization}"), github_audit::PERMISSION));
            }
        }
    }
    Ok(others)
}

async fn log(args: LogArgs, path: &Path, session: &Session, door: &mut Door) -> Outcome<u8> {
    let filter = Filter {
        since: args.since.map(|when| when.seen_from(session.now)),
        until: args.until.map(|when| when.seen_from(session.now)),
        actor: args.actor.clone(),
        command: args.command.clone(),
        run: args.run.clone(),
        stack: session.global.stack.clone(),
        target: args.target.clone(),
        name: args.name.clone(),
        group: args.group.clone(),
        action: args.action.clone(),
        outcome: args.outcome.clone(),
    };
    let others = others(&args, &filter, session, door).await?;
    let report = audit::log(path, &filter, others, args.limit)?;
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
