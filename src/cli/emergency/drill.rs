//! `emergency drill`: the emergency procedures, tried out where nothing real can be touched.
//!
//! Real values are read, and stay in memory, in an encrypted file and in an encrypted store of a temporary folder
//! that goes with the drill. The response to a compromise is rehearsed on the loopback sandbox, with made-up values.

mod rehearsal;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;

use super::super::args::{GitHubArgs, LedgerArgs, SourceArgs, TargetArgs};
use super::super::connect::Session;
use super::super::door::Door;
use super::super::run::now;
use super::backup::OpenerArgs;
use crate::base::error::{Outcome, Problem};
use crate::base::secret::FingerprintKey;
use crate::flow::context::Context;
use crate::flow::doctor::Questions;
use crate::flow::emergency::backup::About;
use crate::flow::emergency::drill::{self, Came, skipped};
use crate::flow::sync::{self, OpenedStack, Request};
use crate::flow::targets::Asked;
use crate::io::age_keys::Identities;
use crate::io::archive;
use crate::io::files::{self, TemporaryFolder};
use crate::io::source::Source;
use crate::report::emergency::drill::{DrillReport, DrillStep, Verdict};
use crate::rules::audit::Entry;
use crate::rules::backup::Backup;
use crate::rules::definition::{Definition, Environment as Stack};

#[derive(Debug, Clone, Args)]
pub struct DrillArgs {
    /// Try this backup out too: the one that an emergency would be met with
    #[arg(long, value_name = "FILE")]
    pub backup: Option<PathBuf>,
    /// End with 10 when a step failed
    #[arg(long)]
    pub exit_code: bool,
    #[command(flatten)]
    pub ledger: LedgerArgs,
    #[command(flatten)]
    pub openers: OpenerArgs,
    #[command(flatten)]
    pub github: GitHubArgs,
    #[command(flatten)]
    pub targets: TargetArgs,
}

/// Steps that need ESC, in their order.
const WITH_ESC: [&str; 4] = ["backup made", "backup opened", "restore", "sync from backup"];

/// Name of the backup that a drill makes in its folder.
const DRILL_BACKUP: &str = "drill.age";

/// Runs `emergency drill`. Every step is tried that can be, whatever became of those before; the drill is recorded
/// in the audit trail.
///
/// # Errors
/// Failures of the definition and the arguments only; all others are steps that failed.
pub async fn run(args: DrillArgs, source_args: &SourceArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let definition = session.definition(door)?;
    let stack = session.stack(&definition)?.clone();
    let identities = session.age_identities(source_args.age_identity.as_deref())?;
    let mut steps = Steps(Vec::new());

    let recipients = args.openers.recipients();
    steps.add("keys", Instant::now(), recipients.map(|recipients| drill::keys(&recipients, &identities)));
    let began = Instant::now();
    let source = session.source(source_args, door).await;
    let opened = match &source {
        Ok(source) => sync::open(&definition, &stack, &**source).await,
        Err(failure) => Err(failure.clone()),
    };
    if let Ok(opened) = &opened {
        door.mask_desired(&opened.values.desired);
    }
    steps.add("ESC", began, Ok(drill::esc(&stack, &opened)));
    if let Some(path) = &args.backup {
        let began = Instant::now();
        let backup = archive::open(path, &identities);
        if let Ok(backup) = &backup {
            door.mask_backup(backup);
        }
        let came = match backup {
            Ok(backup) => Ok(drill::at_hand(&backup, source.as_deref().ok(), &stack, session.now).await),
            Err(failure) => Err(failure),
        };
        steps.add("backup at hand", began, came);
    }
    match (source, opened) {
        (Ok(source), Ok(opened)) => {
            let drill = Drill { args: &args, definition: &definition, stack: &stack, session };
            drill.with_esc(&*source, opened, &mut steps, door).await;
        }
        _ => steps.skip(&WITH_ESC, "ESC did not open"),
    }
    steps.add("response", Instant::now(), Box::pin(rehearsal::respond(session)).await);

    let steps = steps.0;
    let report = DrillReport { stack: &stack.name, steps: &steps };
    door.report(&report);
    record(session, &report, door);
    Ok(if args.exit_code && report.count(Verdict::Failed) > 0 { super::super::FINDINGS } else { 0 })
}

/// The steps so far.
struct Steps(Vec<DrillStep>);

impl Steps {
    fn add(&mut self, name: &'static str, began: Instant, came: Outcome<Came>) {
        let (verdict, detail) = came.unwrap_or_else(|failure| (Verdict::Failed, failure.to_string()));
        self.0.push(DrillStep { name, verdict, detail, milliseconds: began.elapsed().as_millis() });
    }

    fn skip(&mut self, names: &[&'static str], why: &str) {
        names.iter().for_each(|name| self.add(name, Instant::now(), Ok(skipped(why))));
    }

    /// The backup that was made, if it opens; else the step has failed, and those that need it are skipped.
    fn opens(&mut self, began: Instant, opened: Outcome<Backup>) -> Option<Backup> {
        let [_, opened_step, restore_step, sync_step] = WITH_ESC;
        match opened {
            Ok(backup) => Some(backup),
            Err(failure) => {
                self.add(opened_step, began, Err(failure));
                self.skip(&[restore_step, sync_step], "the backup does not open");
                None
            }
        }
    }
}

/// What is tried with the real ESC and GitHub, reading only.
struct Drill<'a> {
    args: &'a DrillArgs,
    definition: &'a Definition,
    stack: &'a Stack,
    session: &'a Session,
}

impl Drill<'_> {
    /// A backup is made, opened, restored elsewhere, and synced from, as far as a plan goes.
    async fn with_esc(&self, source: &dyn Source, opened: OpenedStack, steps: &mut Steps, door: &mut Door) {
        let (own, _) = Identities::generate();
        let [made_step, opened_step, restore_step, sync_step] = WITH_ESC;
        let began = Instant::now();
        let folder = match self.make(source, &own).await {
            Ok(folder) => folder,
            Err(failure) => {
                steps.add(made_step, began, Err(failure));
                return steps.skip(&[opened_step, restore_step, sync_step], "there is no backup");
            }
        };
        steps.add(made_step, began, Ok(drill::passed("it is encrypted, and lies in a temporary folder")));
        let began = Instant::now();
        let Some(backup) = steps.opens(began, archive::open(&folder.path().join(DRILL_BACKUP), &own)) else { return };
        let made_up = rehearsal::made_up();
        steps.add(opened_step, began, drill::equal_to_esc(source, &backup, self.stack, &opened, &made_up).await);
        let began = Instant::now();
        steps.add(restore_step, began, drill::restored(&backup, self.stack, &folder, now).await);
        let began = Instant::now();
        let came = self.sync_from(backup, opened, steps, door).await;
        steps.add(sync_step, began, came);
    }

    /// Makes a backup of the stack, in a folder of its own.
    async fn make(&self, source: &dyn Source, own: &Identities) -> Outcome<TemporaryFolder> {
        let folder = TemporaryFolder::new()?;
        let definition_text = files::read_text(Path::new(&self.definition.file), files::LARGEST)?;
        let about = About { definition_text, author: self.session.author(), now: self.session.now };
        drill::make(&folder.path().join(DRILL_BACKUP), source, self.definition, self.stack, about, own).await?;
        Ok(folder)
    }

    /// The plan from the backup must be the one from ESC.
    async fn sync_from(
        &self,
        backup: Backup,
        opened: OpenedStack,
        steps: &mut Steps,
        door: &mut Door,
    ) -> Outcome<Came> {
        let asked = Asked::from(&self.args.targets);
        if !asked.somewhere(self.definition, self.stack) {
            return Ok(skipped("the stack has no target"));
        }
        let began = Instant::now();
        let token = self.session.token_of_esc(&self.args.github, &opened, door)?;
        let github = match self.session.github(&self.args.github, token) {
            Ok(github) => github,
            Err(failure) if failure.code == "github-token-missing" => {
                return Ok(skipped("no GitHub credential is at hand"));
            }
            Err(failure) => return Err(failure),
        };
        let questions = Questions {
            github: &github,
            definition: self.definition,
            stack: self.stack,
            asked: &asked,
            ledger: &self.args.ledger.place,
            key_id: opened.values.key.as_ref().map(FingerprintKey::id),
            now: self.session.now,
        };
        steps.add("GitHub", began, Ok(drill::github(&questions).await));
        let careful = Request::careful(asked, self.args.ledger.place.clone(), self.session.now);
        let request = Request { will_write: false, ..careful };
        let context = Context { github: &github, tell: &|_| {}, audit: None };
        drill::sync_from(&context, self.definition, self.stack, backup, opened, &request).await
    }
}

/// Records the drill. It changed nothing, so a trail that cannot be written is told, and that is all.
fn record(session: &Session, report: &DrillReport<'_>, door: &mut Door) {
    let failed = report.count(Verdict::Failed);
    let steps: Vec<String> = report.steps.iter().map(|step| format!("{} {}", step.name, step.verdict.word())).collect();
    let entry = Entry {
        outcome: Some(if failed == 0 { "done" } else { "findings" }.to_owned()),
        detail: Some(steps.join(", ")),
        ..Entry::of("run-ended")
    };
    let recorded = super::super::audit::open_about(session, report.stack).and_then(|log| log.append(&entry));
    if let Err(failure) = recorded {
        door.problems(&[
            Problem::warning(failure.code, failure.to_string()).hint("the drill was done, but not recorded")
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_that_was_made_and_does_not_open_is_a_step_that_failed() {
        let folder = TemporaryFolder::new().unwrap();
        let file = folder.path().join(DRILL_BACKUP);
        files::write_new_private(&file, b"cut off").unwrap();
        let mut steps = Steps(Vec::new());
        assert!(steps.opens(Instant::now(), archive::open(&file, &Identities::generate().0)).is_none());
        let words: Vec<_> = steps.0.iter().map(|step| (step.name, step.verdict.word())).collect();
        assert_eq!(words, [("backup opened", "failed"), ("restore", "skipped"), ("sync from backup", "skipped")]);
    }
}
