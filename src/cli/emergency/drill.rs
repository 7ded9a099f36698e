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
use super::backup::OpenerArgs;
use crate::base::error::{Outcome, Problem};
use crate::base::secret::{FingerprintKey, SecretValue};
use crate::base::text::counted;
use crate::flow::context::Context;
use crate::flow::doctor;
use crate::flow::emergency::backup::{self, About};
use crate::flow::emergency::restore::{self, Settings};
use crate::flow::sync::{self, OpenedStack, Request};
use crate::flow::targets::Asked;
use crate::io::age_keys::Identities;
use crate::io::archive::{self, BackupSource, Openers};
use crate::io::esc_local::{EscLocal, Settings as StoreSettings};
use crate::io::files::{self, TemporaryFolder};
use crate::io::source::{Source, Version};
use crate::report::doctor::Verdict as Answer;
use crate::report::emergency::drill::{DrillReport, DrillStep, Verdict};
use crate::rules::audit::Entry;
use crate::rules::backup::{Backup, Difference, STALE_AFTER_DAYS, compare, leaves};
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

/// What a step came to: passed with a sentence, or a warning or a skip with one.
type Came = Outcome<(Verdict, String)>;

fn passed(detail: impl Into<String>) -> Came {
    Ok((Verdict::Passed, detail.into()))
}

fn warned(detail: impl Into<String>) -> Came {
    Ok((Verdict::Warning, detail.into()))
}

fn skipped(detail: impl Into<String>) -> Came {
    Ok((Verdict::Skipped, detail.into()))
}

fn failed(detail: impl Into<String>) -> Came {
    Ok((Verdict::Failed, detail.into()))
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

    steps.add("keys", Instant::now(), keys(&args.openers, &identities));
    let began = Instant::now();
    let source = session.source(source_args, door).await;
    let opened = match &source {
        Ok(source) => sync::open(&definition, &stack, &**source).await,
        Err(failure) => Err(failure.clone()),
    };
    if let Ok(opened) = &opened {
        door.mask_desired(&opened.values.desired);
    }
    steps.add("ESC", began, esc(&stack, &opened));
    if let Some(path) = &args.backup {
        let began = Instant::now();
        let came = at_hand(path, &identities, source.as_deref().ok(), &stack, session, door).await;
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
    fn add(&mut self, name: &'static str, began: Instant, came: Came) {
        let (verdict, detail) = came.unwrap_or_else(|failure| (Verdict::Failed, failure.to_string()));
        self.0.push(DrillStep { name, verdict, detail, milliseconds: began.elapsed().as_millis() });
    }

    fn skip(&mut self, names: &[&'static str], why: &str) {
        names.iter().for_each(|name| self.add(name, Instant::now(), skipped(why)));
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

/// Whether there are keys to open backups with, and more than one person to do it.
fn keys(openers: &OpenerArgs, identities: &Identities) -> Came {
    let recipients = openers.recipients()?;
    let own = identities.recipients();
    if identities.is_empty() {
        return failed(
            "no identity is at hand that could open a backup: set SOPHIA_AGE_KEY, or give --age-identity FILE",
        );
    }
    match recipients.len() {
        0 => warned("an identity is at hand; who else could open a backup was not said (--recipients-file)"),
        _ if !identities.has_passphrase() && !recipients.iter().any(|one| own.iter().any(|key| key.same_key(one))) => {
            failed("the identity at hand is none of the recipients")
        }
        1 => warned("one recipient: when its key is lost, nobody opens the backup; two or more are better"),
        count => passed(format!("an identity is at hand, and {count} recipients could open a backup")),
    }
}

/// Whether the backup that an emergency would be met with opens, is young enough, and holds what ESC holds.
async fn at_hand(
    path: &Path,
    identities: &Identities,
    source: Option<&dyn Source>,
    stack: &Stack,
    session: &Session,
    door: &mut Door,
) -> Came {
    let backup = archive::open(path, identities)?;
    door.mask_backup(&backup);
    let Some((_, kept)) = backup.stack(&stack.name) else {
        return failed(format!("it does not hold stack `{}`", stack.name));
    };
    let about = backup.manifest.describe(session.now);
    let now = match source {
        Some(source) => source.open(&stack.esc, &Version::Latest).await.ok(),
        None => None,
    };
    let Some(now) = now else { return warned(format!("it opens; ESC does not, so it was not compared; {about}")) };
    let differences = compare(&kept.values(), &now.values);
    let differ = differences.iter().filter(|(_, found)| *found != Difference::Same).count();
    if differ > 0 {
        let verb = if differ == 1 { "differs" } else { "differ" };
        return warned(format!("it opens; {} {verb} from ESC; {about}", counted(differ, "value", "values")));
    }
    if backup.manifest.days_old(session.now) > STALE_AFTER_DAYS {
        return warned(format!("it opens and holds what ESC holds, but it is old; {about}"));
    }
    passed(format!("it opens and holds what ESC holds; {about}"))
}

/// `doctor`'s answer on ESC.
fn esc(stack: &Stack, opened: &Outcome<OpenedStack>) -> Came {
    let checks = doctor::esc(stack, opened);
    let worst = checks.iter().max_by_key(|check| check.verdict);
    let Some(worst) = worst else { return skipped("nothing was asked") };
    match worst.verdict {
        Answer::Fine => passed("it opens, and has a fingerprint key"),
        Answer::Warning | Answer::Unknown => warned(worst.message.clone()),
        Answer::Failed | Answer::Denied => failed(worst.message.clone()),
    }
}

/// Compares every value of the backup with ESC's, by fingerprint under ESC's key, or one that is made for it.
async fn equal_to_esc(source: &dyn Source, backup: &Backup, stack: &Stack, opened: &OpenedStack) -> Came {
    let made = FingerprintKey::new(&rehearsal::made_up());
    let key = opened.values.key.clone().or(made);
    let Some(key) = key else { return skipped("there is no key to compare by") };
    let kept = BackupSource::new(backup.clone()).open(&stack.esc, &Version::Latest).await?.values;
    let now = source.open(&stack.esc, &Version::Latest).await?.values;
    let fingerprints = |root| -> Vec<_> {
        let leaves = leaves(root).into_iter();
        leaves
            .map(|(path, leaf)| {
                let path = path.to_string();
                let fingerprint = SecretValue::from(leaf.value.to_text()).fingerprint(&key, &path);
                (path, leaf.secret, fingerprint)
            })
            .collect()
    };
    let (kept, now) = (fingerprints(&kept), fingerprints(&now));
    if kept != now {
        return failed("the backup does not hold what ESC holds");
    }
    passed(format!("{}, each equal to ESC's by fingerprint", counted(kept.len(), "value", "values")))
}

/// Restores into an embedded store of the temporary folder, and opens that.
async fn restored(backup: &Backup, stack: &Stack, folder: &TemporaryFolder) -> Came {
    let (identities, _) = Identities::generate();
    let store = EscLocal::new(StoreSettings {
        root: folder.path().join("store"),
        recipients: identities.recipients(),
        identities,
        author: "drill".to_owned(),
        now: std::sync::Arc::new(super::super::run::now),
        providers: crate::esc::provider::Providers::default().tolerant(),
    });
    // Imports and providers are elsewhere: the values are what must come back.
    let asked = Settings { values_only: true, create: true };
    let restore = restore::look(&store, backup, &stack.name, &stack.esc, asked).await?;
    let (_, warnings) = restore::write(&store, &stack.esc, &restore).await?;
    match warnings.first() {
        Some(warning) => failed(warning.message.clone()),
        None => passed(format!(
            "{} restored into an encrypted store and read back equal",
            counted(restore.changes.len(), "value", "values")
        )),
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
        steps.add(made_step, began, passed("it is encrypted, and lies in a temporary folder"));
        let began = Instant::now();
        let Some(backup) = steps.opens(began, archive::open(&folder.path().join(DRILL_BACKUP), &own)) else { return };
        steps.add(opened_step, began, equal_to_esc(source, &backup, self.stack, &opened).await);
        let began = Instant::now();
        steps.add(restore_step, began, restored(&backup, self.stack, &folder).await);
        let began = Instant::now();
        let came = self.sync_from(backup, opened, steps, door).await;
        steps.add(sync_step, began, came);
    }

    /// Makes a backup of the stack, in a folder of its own.
    async fn make(&self, source: &dyn Source, own: &Identities) -> Outcome<TemporaryFolder> {
        let folder = TemporaryFolder::new()?;
        let definition_text = files::read_text(Path::new(&self.definition.file), files::LARGEST)?;
        let about = About { definition_text, author: self.session.author(), now: self.session.now };
        let stacks = std::slice::from_ref(self.stack);
        let (backup, _) = backup::gather(source, self.definition, stacks, about).await?;
        let openers = own.recipients();
        archive::write(&folder.path().join(DRILL_BACKUP), &backup, &Openers::Recipients(&openers), false)?;
        Ok(folder)
    }

    /// The plan from the backup must be the one from ESC.
    async fn sync_from(&self, backup: Backup, opened: OpenedStack, steps: &mut Steps, door: &mut Door) -> Came {
        let asked = Asked::from(&self.args.targets);
        let somewhere = asked.repository.is_some()
            || asked.organization.is_some()
            || self.definition.targets.iter().any(|target| target.stacks.contains(&self.stack.name));
        if !somewhere {
            return skipped("the stack has no target");
        }
        let began = Instant::now();
        let token = self.session.token_of_esc(&self.args.github, &opened, door)?;
        let github = match self.session.github(&self.args.github, token) {
            Ok(github) => github,
            Err(failure) if failure.code == "github-token-missing" => {
                return skipped("no GitHub credential is at hand");
            }
            Err(failure) => return Err(failure),
        };
        let questions = doctor::Questions {
            github: &github,
            definition: self.definition,
            stack: self.stack,
            asked: &asked,
            ledger: &self.args.ledger.place,
            key_id: opened.values.key.as_ref().map(FingerprintKey::id),
            now: self.session.now,
        };
        let checks = doctor::github(&questions).await;
        let wrong = checks.iter().find(|check| check.verdict >= Answer::Failed);
        let came = match wrong {
            Some(check) => failed(format!("{}: {}", check.name, check.message)),
            None => passed(format!("{} questions of `doctor` answered well", checks.len())),
        };
        steps.add("GitHub", began, came);

        let careful = Request::careful(asked, self.args.ledger.place.clone(), self.session.now);
        let request = Request { will_write: false, ..careful };
        let context = Context { github: &github, tell: &|_| {}, audit: None };
        let from_backup = sync::open(self.definition, self.stack, &BackupSource::new(backup)).await?;
        let one =
            sync::prepare(&context, self.definition, self.stack, std::future::ready(Ok(from_backup.values)), &request)
                .await?;
        let other =
            sync::prepare(&context, self.definition, self.stack, std::future::ready(Ok(opened.values)), &request)
                .await?;
        if one.plan.targets != other.plan.targets {
            return failed("a sync from the backup would do something else than one from ESC");
        }
        let pending = one.plan.steps().filter(|(_, step)| step.action.writes()).count();
        match pending {
            0 => passed("a sync from the backup would change nothing, as one from ESC"),
            1 => passed("a sync from the backup would do the same step as one from ESC"),
            _ => passed(format!("a sync from the backup would do the same {pending} steps as one from ESC")),
        }
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
