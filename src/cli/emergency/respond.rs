//! `emergency respond NAME`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use crypto_box::aead::OsRng;
use jiff::Timestamp;

use super::super::args::{GitHubArgs, LedgerArgs, SourceArgs, TargetArgs};
use super::super::connect::Session;
use super::super::door::Door;
use super::super::{input, run as entry, sync as sync_command};
use crate::base::error::{Failure, FailureKind, Outcome};
use crate::base::secret::SecretValue;
use crate::flow::apply;
use crate::flow::context::Context;
use crate::flow::emergency::respond::{self, Scene};
use crate::flow::list::Deliveries;
use crate::flow::rotation::change;
use crate::flow::sync::{self, Request};
use crate::flow::targets::Asked;
use crate::io::files;
use crate::io::github_access::GitHubAccess;
use crate::io::source::Source;
use crate::report::Report;
use crate::report::emergency::incident::{Action, Incident, Outcome as Became};
use crate::rules::definition::{Definition, Environment as Stack};
use crate::rules::outcome::StepOutcome;
use crate::rules::rotation::generate;
use crate::rules::rotation::subject::Subject;

#[derive(Debug, Clone, Args)]
pub struct RespondArgs {
    /// Name of the compromised secret
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Show what is known and what would be done; change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// File of the incident record [default: incident-NAME-DATE.md]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Do every step without asking; the new value comes from the definition's `generate`, or from stdin
    #[arg(long, conflicts_with = "dry_run")]
    pub yes: bool,
    #[command(flatten)]
    pub github: GitHubArgs,
    #[command(flatten)]
    pub targets: TargetArgs,
}

/// Runs `emergency respond`.
///
/// # Errors
/// Those of looking, before anything is changed; then the failure of the step that failed, with the record
/// written.
pub async fn run(args: RespondArgs, source_args: &SourceArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let definition = session.definition(door)?;
    let stack = session.stack(&definition)?.clone();
    let source = session.source(source_args, door).await?;
    let opened = sync::open(&definition, &stack, &*source).await?;
    door.mask_desired(&opened.values.desired);
    let token = session.token_of_esc(&args.github, &opened, door)?;
    let rotation =
        change::Asked { source: &*source, definition: &definition, stack: &stack, name: &args.name, group: None };
    let (subject, settable) = rotation.find_any().await?;
    let asked = Asked::from(&args.targets);
    let github = if asked.somewhere(&definition, &stack) { Some(session.github(&args.github, token)?) } else { None };
    let deliveries = github.as_ref().map(|github| Deliveries {
        github,
        asked: &asked,
        ledger: &args.ledger.place,
        now: session.now,
    });
    let scene = Scene {
        definition: &definition,
        stack: &stack,
        values: &opened.values,
        subject: &subject,
        source: &*source,
        deliveries,
        by: session.author(),
        now: session.now,
    };
    let mut incident = respond::investigate(scene).await?;
    incident.given_elsewhere = settable.is_err();
    let response = Response {
        args: &args,
        session,
        definition: &definition,
        stack: &stack,
        source: &*source,
        github: github.as_ref(),
        rotation,
        subject: &subject,
        settable,
        asked: &asked,
    };
    if args.dry_run {
        incident.actions = response.planned();
        door.report(&incident);
        return response.settable.map(|()| 0);
    }
    if !args.yes && !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        return Err(Failure::refused(
            "respond-not-confirmed",
            "nobody is there to confirm the steps; nothing was changed",
        )
        .hint("--dry-run shows them, --yes does them without asking"));
    }
    let record = record_path(&args, &subject, session)?;
    incident.record = Some(record.display().to_string());
    keep(&record, &incident, false)?;
    if !args.yes {
        show(&incident, door)?;
    }
    let done = response.steps(&mut incident, door).await;
    let kept = keep(&record, &incident, true);
    door.report(&incident);
    done.and(kept).map(|()| 0)
}

/// `--out`, else the first free `incident-NAME-DATE.md`, `…-2.md`, and so on.
fn record_path(args: &RespondArgs, subject: &Subject, session: &Session) -> Outcome<PathBuf> {
    if let Some(path) = &args.out {
        if files::is_there(path) {
            return Err(Failure::usage("file-exists", format!("`{}` is there already", path.display()))
                .hint("records are kept: choose another name"));
        }
        return Ok(path.clone());
    }
    let stem = format!("incident-{}-{}", subject.name, session.now.strftime("%Y-%m-%d"));
    let numbered = (2..).map(|number| format!("{stem}-{number}.md"));
    let mut names = std::iter::once(format!("{stem}.md")).chain(numbered).map(PathBuf::from);
    Ok(names.find(|path| !files::is_there(path)).unwrap_or_default())
}

/// Writes the record; it is there before anything is changed, so that a kill leaves one.
fn keep(path: &Path, incident: &Incident, replace: bool) -> Outcome<()> {
    let mut bytes = Vec::new();
    incident
        .markdown(&mut bytes)
        .map_err(|error| Failure::unexpected("incident", "the record could not be made").cause(error))?;
    if replace { files::write_private(path, &bytes) } else { files::write_new_private(path, &bytes) }
}

/// Shows what is known on stderr, before questions are asked.
fn show(incident: &Incident, door: &mut Door) -> Outcome<()> {
    let mut bytes = Vec::new();
    incident
        .human(&mut bytes)
        .map_err(|error| Failure::unexpected("incident", "what is known could not be shown").cause(error))?;
    door.note(&String::from_utf8_lossy(&bytes));
    Ok(())
}

/// What the steps of a response work with.
struct Response<'a> {
    args: &'a RespondArgs,
    session: &'a Session,
    definition: &'a Definition,
    stack: &'a Stack,
    source: &'a dyn Source,
    /// None when there is no target.
    github: Option<&'a GitHubAccess>,
    rotation: change::Asked<'a>,
    subject: &'a Subject,
    /// Why ESC cannot be given a new value, where that is so: a provider or a reference makes it.
    settable: Outcome<()>,
    asked: &'a Asked,
}

fn action(what: &str, outcome: Became, detail: impl Into<String>) -> Action {
    let now: Timestamp = entry::now();
    Action { time: now, what: what.to_owned(), outcome, detail: detail.into() }
}

/// What became of the new value.
#[derive(Debug)]
enum Replaced {
    Written(String),
    /// ESC holds it, although writing or reading it back failed.
    Unconfirmed(Failure),
    /// ESC could not be asked after the failure, or holds a third value.
    Unknown(Failure),
    NotConfirmed,
}

impl Replaced {
    /// What a failed write came to, by what ESC holds `now`; the failure itself when that is the value from before.
    fn after(
        failure: Failure,
        now: Outcome<Option<SecretValue>>,
        before: Option<&SecretValue>,
        new: &SecretValue,
    ) -> Outcome<Self> {
        match (now, before) {
            (Ok(Some(now)), Some(before)) if now.same_as(before) => Err(failure),
            (Ok(Some(now)), _) if now.same_as(new) => Ok(Self::Unconfirmed(failure)),
            (Ok(None), None) => Err(failure),
            _ => Ok(Self::Unknown(failure)),
        }
    }
}

/// Why nothing is delivered when nothing was written.
const NOTHING_NEW: &str = "there is no new value to deliver";

/// The words of the two steps.
const REPLACE: &str = "new value in ESC";
const DELIVER: &str = "delivery to GitHub";

impl Response<'_> {
    fn planned(&self) -> Vec<Action> {
        if let Err(failure) = &self.settable {
            return vec![
                action(REPLACE, Became::Skipped, failure.message.clone()),
                action(DELIVER, Became::Skipped, NOTHING_NEW),
            ];
        }
        let how = if self.subject.generate.is_some() { "one that this tool makes" } else { "one that you give" };
        let deliver =
            if self.github.is_some() { "to every target at once, and nothing else" } else { "there is no target" };
        vec![
            action(REPLACE, Became::Planned, format!("{how}, as one revision of {}", self.stack.esc)),
            action(DELIVER, Became::Planned, deliver),
        ]
    }

    /// Whether a step may be done.
    fn confirmed(&self, question: &str) -> bool {
        self.args.yes || input::confirmed(question, "yes")
    }

    /// Does the steps; each leaves its line in the incident. The first failure ends them.
    async fn steps(&self, incident: &mut Incident, door: &mut Door) -> Outcome<()> {
        let unconfirmed = match self.replace(door).await {
            Ok(Replaced::Written(detail)) => {
                incident.actions.push(action(REPLACE, Became::Done, detail));
                None
            }
            Ok(Replaced::Unconfirmed(failure)) => {
                let detail = format!("written to {}, and found there; but {failure}", self.stack.esc);
                incident.actions.push(action(REPLACE, Became::Done, detail));
                Some(failure)
            }
            Ok(Replaced::Unknown(failure)) => {
                incident.actions.push(action(REPLACE, Became::Unknown, failure.to_string()));
                let detail = "it is not known whether there is a new value to deliver";
                incident.actions.push(action(DELIVER, Became::Skipped, detail));
                let hint = format!("`env history {}` shows whether a new value was written", self.stack.esc);
                return Err(failure.hint(hint));
            }
            Ok(Replaced::NotConfirmed) => {
                note(incident, REPLACE, &Ok(None));
                incident.actions.push(action(DELIVER, Became::Skipped, NOTHING_NEW));
                return Ok(());
            }
            Err(failure) => {
                incident.actions.push(action(REPLACE, Became::Failed, failure.to_string()));
                incident.actions.push(action(DELIVER, Became::Skipped, NOTHING_NEW));
                return Err(failure);
            }
        };
        let delivered = self.deliver(door).await;
        note(incident, DELIVER, &delivered);
        match delivered {
            // What the value was read back for has been seen now; that the trail is wanting has not changed.
            Ok(_) => match unconfirmed {
                Some(failure) if failure.code == "esc-unrecorded" => Err(failure),
                _ => Ok(()),
            },
            Err(failure) => {
                let message = format!("`{}` has a new value in ESC, and not all targets have it", self.subject.name);
                let mut partial = Failure::new(FailureKind::Partial, "respond-partial", message).cause(&failure);
                partial.problems = failure.problems;
                Err(partial.hint("`sync` delivers the rest; do not run `emergency respond` again for that"))
            }
        }
    }

    /// The new value: made, typed or piped; checked; written. Fails when it was not written.
    async fn replace(&self, door: &mut Door) -> Outcome<Replaced> {
        let (name, environment) = (&self.subject.name, &self.stack.esc);
        self.settable.clone()?;
        if !self.confirmed(&format!("A new value of {name} goes into {environment}.")) {
            return Ok(Replaced::NotConfirmed);
        }
        let new: SecretValue = match self.subject.generate {
            Some(how) => generate::value(how, &mut OsRng),
            None => input::secret(&format!("New value of {name}: "))?,
        };
        door.mask(name, &new);
        let failure = match self.rotation.replace(self.subject, &new).await {
            Ok(change::Changed { revision: Some(revision), .. }) => {
                return Ok(Replaced::Written(format!("revision {revision} of {environment}")));
            }
            Ok(_) => return Ok(Replaced::Written(format!("written to {environment}"))),
            Err(failure) => failure,
        };
        // It may have been written before it failed: another value must not be made then.
        let now = self.rotation.find().await.map(|subject| subject.value);
        Replaced::after(failure, now, self.subject.value.as_ref(), &new)
    }

    async fn deliver(&self, door: &mut Door) -> Outcome<Option<String>> {
        let Some(github) = self.github else { return Ok(None) };
        let opened = sync::open(self.definition, self.stack, self.source).await?;
        let mut context = Context { github, tell: &|_| {}, audit: None };
        let request = Request::careful(self.asked.clone(), self.args.ledger.place.clone(), self.session.now);
        let name = &self.subject.name;
        let prepared =
            respond::prepare_delivery(&context, self.definition, self.stack, opened.values, &request, name).await?;
        let plan = &prepared.plan;
        door.problems(&plan.warnings);
        let targets = plan.steps().count();
        if targets == 0 {
            return Ok(None);
        }
        if !self.confirmed(&format!("{name} is written to {targets} places at GitHub.")) {
            return Ok(None);
        }
        let log = Arc::new(super::super::audit::open(self.session, plan)?);
        context.audit = Some(&log);
        sync_command::stop_on_interrupt(github.stop().clone());
        let outcomes = apply::apply(&context, &prepared).await;
        door.problems(&outcomes.problems);
        let lines: Vec<String> = outcomes
            .with_steps(plan)
            .map(|(target, _, outcome)| match outcome {
                StepOutcome::Failed(failure) => format!("{target} failed: {}", failure.message),
                outcome => format!("{target} {}", outcome.word()),
            })
            .collect();
        if outcomes.complete() {
            return Ok(Some(lines.join("; ")));
        }
        Err(Failure::new(FailureKind::Partial, "respond-partial", lines.join("; ")))
    }
}

/// Puts what became of a step into the incident.
fn note(incident: &mut Incident, what: &str, became: &Outcome<Option<String>>) {
    let line = match became {
        Ok(Some(detail)) => action(what, Became::Done, detail.clone()),
        Ok(None) => action(what, Became::Skipped, "not confirmed, or there is nothing to do"),
        Err(failure) => action(what, Became::Failed, failure.to_string()),
    };
    incident.actions.push(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_it_is_told_what_esc_holds() {
        let value = |text: &str| SecretValue::from(text.to_owned());
        let (before, new) = (value("before"), value("new"));
        let lost = || Failure::unexpected("lost", "the answer was lost");
        let after = |now| Replaced::after(lost(), now, Some(&before), &new);
        assert!(matches!(after(Ok(Some(value("new")))), Ok(Replaced::Unconfirmed(_))));
        assert_eq!(after(Ok(Some(value("before")))).unwrap_err().code, "lost");
        for unknown in [Ok(Some(value("third"))), Ok(None), Err(lost())] {
            assert!(matches!(after(unknown), Ok(Replaced::Unknown(_))));
        }
        assert!(Replaced::after(lost(), Ok(None), None, &new).is_err());
        assert!(Replaced::after(lost(), Ok(Some(value("new"))), Some(&new), &new).is_err(), "the old one once more");
    }
}
