//! `rotation`: when secrets are due, and the life of one rotation from the new value to its verified delivery.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use crypto_box::aead::OsRng;

use super::FINDINGS;
use super::args::{GitHubArgs, LedgerArgs, SourceArgs};
use super::connect::Session;
use super::door::Door;
use super::input;
use super::inspect::InspectArgs;
use crate::base::error::{Failure, Outcome};
use crate::base::target::RepositoryName;
use crate::flow::rotation::change::Asked as AskedSecret;
use crate::flow::rotation::{complete, remind};
use crate::flow::targets::Asked;
use crate::flow::{list::Deliveries, rotation, sync};
use crate::io::files;
use crate::report::calendar;
use crate::report::findings::FindingsReport;
use crate::report::rotation_change::{Done, RotationChange};
use crate::rules::definition::{Definition, Environment as Stack};
use crate::rules::rotation::generate;
use crate::rules::rotation::subject::Subject;

#[derive(Debug, Clone, Subcommand)]
pub enum RotationCommand {
    /// Verify that every target holds the new value and no job the old one, and end the rotation
    Complete(CompleteArgs),
    /// Keep one issue per owner with what is due, and close it when nothing is
    Remind(RemindArgs),
    /// Put the value back that a secret had before its rotation began
    Rollback(RollbackArgs),
    /// Give a secret a new value in ESC, and remember the revision from before
    Start(StartArgs),
    /// Show when each secret changed, when it is due, and who owns it
    Status(StatusArgs),
}

#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// End with 10 when something is due or overdue
    #[arg(long)]
    pub exit_code: bool,
    /// Write the due dates as a calendar
    #[arg(long, value_name = "FILE")]
    pub ics: Option<PathBuf>,
    #[command(flatten)]
    pub inspect: InspectArgs,
}

#[derive(Debug, Clone, Args)]
pub struct StartArgs {
    /// Name of the secret, as at GitHub
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Taken only to be refused: arguments can be seen by other programs
    #[arg(value_name = "VALUE", hide = true)]
    pub value: Option<String>,
    /// Ask for the value, although the definition lets this tool make it
    #[arg(long)]
    pub ask: bool,
    /// Only the value of this group, where groups hold different ones
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    #[command(flatten)]
    pub source: SourceArgs,
}

#[derive(Debug, Clone, Args)]
pub struct RollbackArgs {
    /// Name of the secret, as at GitHub
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Put it back even though the value was changed again since
    #[arg(long)]
    pub force: bool,
    /// Only the value of this group, where groups hold different ones
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    #[command(flatten)]
    pub source: SourceArgs,
}

#[derive(Debug, Clone, Args)]
pub struct CompleteArgs {
    /// Name of the secret, as at GitHub
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub inspect: InspectArgs,
}

#[derive(Debug, Clone, Args)]
pub struct RemindArgs {
    /// Show the names in a repository that everyone can read
    #[arg(long)]
    pub allow_public: bool,
    /// Show what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// Repository whose issues remind [default: the action's own]
    #[arg(long, value_name = "OWNER/NAME")]
    pub repo: Option<RepositoryName>,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub github: GitHubArgs,
}

/// Runs `rotation`.
///
/// # Errors
/// Failures of the definition, ESC and GitHub.
pub async fn run(command: RotationCommand, session: &Session, door: &mut Door) -> Outcome<u8> {
    let definition = session.definition(door)?;
    let stack = session.stack(&definition)?.clone();
    match command {
        RotationCommand::Complete(args) => end(args, &definition, &stack, session, door).await,
        RotationCommand::Remind(args) => reminders(args, &definition, &stack, session, door).await,
        RotationCommand::Rollback(args) => roll_back(args, &definition, &stack, session, door).await,
        RotationCommand::Start(args) => start(args, &definition, &stack, session, door).await,
        RotationCommand::Status(args) => status(args, &definition, &stack, session, door).await,
    }
}

async fn status(
    args: StatusArgs,
    definition: &Definition,
    stack: &Stack,
    session: &Session,
    door: &mut Door,
) -> Outcome<u8> {
    let source = session.source(&args.inspect.source, door).await?;
    let opened = sync::open(definition, stack, &*source).await?;
    let token = session.token_of_esc(&args.inspect.github, &opened, door)?;
    let github = session.github(&args.inspect.github, token)?;
    let asked = Asked::from(&args.inspect.targets);
    let deliveries =
        Deliveries { github: &github, asked: &asked, ledger: &args.inspect.ledger.place, now: session.now };
    let groups = args.inspect.targets.groups.iter().cloned().collect();
    let report = rotation::status(definition, stack, &*source, &opened, &groups, &deliveries).await?;
    if let Some(file) = &args.ics {
        files::write_public(file, calendar::render(&report.events(), session.now).as_bytes())?;
    }
    door.report(&report);
    Ok(if args.exit_code && report.findings() > 0 { FINDINGS } else { 0 })
}

async fn start(
    args: StartArgs,
    definition: &Definition,
    stack: &Stack,
    session: &Session,
    door: &mut Door,
) -> Outcome<u8> {
    if args.value.is_some() {
        let message = "a secret is not taken as an argument; nothing was written";
        return Err(Failure::usage("rotation-argument", message)
            .hint("leave it out to type it, or pipe it to stdin; arguments can be seen by other programs"));
    }
    let source = session.source(&args.source, door).await?;
    let asked = AskedSecret { source: &*source, definition, stack, name: &args.name, group: args.group.as_deref() };
    let subject = asked.find().await?;
    asked.may_start(&subject).await?;
    let (value, made) = match subject.generate.filter(|_| !args.ask) {
        Some(how) => {
            if input::stdin_holds_bytes() {
                let message =
                    format!("stdin holds a value, and this tool makes that of `{}`; nothing was written", subject.name);
                return Err(Failure::refused("rotation-value-ignored", message)
                    .hint("--ask takes the value from stdin; `</dev/null` keeps a loop's own input away"));
            }
            let made = format!("{} random characters, {}", how.length, how.charset.word());
            (generate::value(how, &mut OsRng), Some(made))
        }
        None => (input::secret(&format!("New value of {}: ", subject.name))?, None),
    };
    door.mask(&subject.name, &value);
    let changed = asked.start(&subject, &value).await?;
    let done = Done::Started { revision: changed.revision, before: changed.before, made };
    tell("start", &subject, stack, done, door);
    Ok(0)
}

async fn roll_back(
    args: RollbackArgs,
    definition: &Definition,
    stack: &Stack,
    session: &Session,
    door: &mut Door,
) -> Outcome<u8> {
    let source = session.source(&args.source, door).await?;
    let asked = AskedSecret { source: &*source, definition, stack, name: &args.name, group: args.group.as_deref() };
    let subject = asked.find().await?;
    let done = match asked.roll_back(&subject, args.force).await? {
        Some(changed) => Done::RolledBack { revision: changed.revision, before: changed.before },
        None => Done::NothingToRollBack,
    };
    tell("rollback", &subject, stack, done, door);
    Ok(0)
}

/// `rotation complete`: ends with 10 while something is missing.
async fn end(
    args: CompleteArgs,
    definition: &Definition,
    stack: &Stack,
    session: &Session,
    door: &mut Door,
) -> Outcome<u8> {
    let group = match args.inspect.targets.groups.as_slice() {
        [] => None,
        [group] => Some(group.as_str()),
        _ => return Err(Failure::usage("rotation-group", "a rotation has one --group at most")),
    };
    let source = session.source(&args.inspect.source, door).await?;
    let opened = sync::open(definition, stack, &*source).await?;
    let asked = AskedSecret { source: &*source, definition, stack, name: &args.name, group };
    let subject = asked.find().await?;
    let token = session.token_of_esc(&args.inspect.github, &opened, door)?;
    let github = session.github(&args.inspect.github, token)?;
    let targets = Asked::from(&args.inspect.targets);
    let deliveries =
        Deliveries { github: &github, asked: &targets, ledger: &args.inspect.ledger.place, now: session.now };
    let verified = complete::verify(&asked, &subject, &opened.values, &deliveries).await?;
    let (Some(before), true) = (verified.before, verified.problems.is_empty()) else {
        door.report(&FindingsReport {
            command: "rotation complete",
            subject: format!("{} of stack {}", subject.name, stack.name),
            problems: verified.problems,
            unchecked: verified.unseen,
        });
        return Ok(FINDINGS);
    };
    let record = vec![complete::record(&asked, &subject, &verified, before)];
    session.recorder().record(&stack.esc, record, |()| None, asked.end(&subject)).await?;
    let done = Done::Completed { targets: verified.targets, before, not_looked_at: verified.unseen };
    tell("complete", &subject, stack, done, door);
    Ok(0)
}

async fn reminders(
    args: RemindArgs,
    definition: &Definition,
    stack: &Stack,
    session: &Session,
    door: &mut Door,
) -> Outcome<u8> {
    let repository = args.repo.or_else(|| session.repository_of_the_action()).ok_or_else(|| {
        Failure::usage("remind-repository", "no repository was named")
            .hint("--repo OWNER/NAME says whose issues remind")
    })?;
    let source = session.source(&args.source, door).await?;
    let opened = sync::open(definition, stack, &*source).await?;
    let token = session.token_of_esc(&args.github, &opened, door)?;
    let github = session.github(&args.github, token)?;
    let asked = Asked::default();
    let deliveries = Deliveries { github: &github, asked: &asked, ledger: &args.ledger.place, now: session.now };
    let groups = std::collections::BTreeSet::new();
    let status = rotation::status(definition, stack, &*source, &opened, &groups, &deliveries).await?;
    let settings = remind::Settings {
        environment: stack.esc.to_string(),
        repository,
        dry_run: args.dry_run,
        allow_public: args.allow_public,
        trail: super::audit::trail(session),
    };
    let (report, failure) = remind::remind(&status, &github, &settings).await?;
    door.report(&report);
    failure.map_or(Ok(0), Err)
}

fn tell(command: &'static str, subject: &Subject, stack: &Stack, done: Done, door: &mut Door) {
    door.report(&RotationChange {
        command,
        name: subject.name.clone(),
        stack: stack.name.clone(),
        group: subject.asked_group.clone(),
        environment: stack.esc.to_string(),
        done,
    });
}
