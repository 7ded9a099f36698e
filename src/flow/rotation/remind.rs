//! `rotation remind`: writes the issues that differ from what they should say, and no other.

use crate::base::error::{Failure, FailureKind, Outcome};
use crate::base::target::{RepositoryName, Scope};
use crate::io::audit::{AuditLog, Trail};
use crate::io::github::GitHub;
use crate::io::github_access::GitHubAccess;
use crate::io::github_error::GitHubError;
use crate::io::github_issues::PERMISSION;
use crate::report::reminder::{Reminded, ReminderReport};
use crate::report::rotation::RotationReport;
use crate::rules::audit::{Entry, Run};
use crate::rules::rotation::reminder::{Action, OpenIssue, Reminder, decide};

/// Where to remind, and how.
pub struct Settings {
    /// The ESC environment of the stack; issues of another one are left alone.
    pub environment: String,
    pub repository: RepositoryName,
    pub dry_run: bool,
    /// Names of secrets may be shown to everyone.
    pub allow_public: bool,
    /// Where the writes are recorded.
    pub trail: Trail,
}

/// Brings the issues in line with `status`. Answers what was done, and the failure that ended it early.
///
/// # Errors
/// `remind-public` (refused), `remind-too-many-issues`, an audit trail that cannot be opened, and GitHub's failures
/// before the first write.
pub async fn remind(
    status: &RotationReport,
    github: &GitHubAccess,
    settings: &Settings,
) -> Outcome<(ReminderReport, Option<Failure>)> {
    let repository = &settings.repository;
    let client = github.client(&Scope::Repository(repository.clone())).await?;
    let failed = |error: GitHubError, doing: &str| error.failure(&format!("{doing} of {repository}"), PERMISSION);
    let shown = client.repository(repository).await.map_err(|error| failed(error, "look at the issues"))?;
    if shown.visibility.as_deref() == Some("public") && !settings.allow_public {
        let message = format!("{repository} is public, and its issues would show everyone which secrets are old");
        return Err(Failure::refused("remind-public", message)
            .hint("--repo names a private repository; --allow-public reminds there all the same"));
    }
    let open = client.open_issues(repository).await.map_err(|error| failed(error, "list the issues"))?;
    let open = open.ok_or_else(|| {
        Failure::refused("remind-too-many-issues", format!("{repository} has too many open issues to look through"))
            .hint("--repo names another repository")
    })?;
    let open: Vec<OpenIssue> = open
        .into_iter()
        .map(|issue| OpenIssue { number: issue.number, title: issue.title, body: issue.body.unwrap_or_default() })
        .collect();
    let mut report = ReminderReport {
        stack: status.stack.clone(),
        repository: repository.to_string(),
        dry_run: settings.dry_run,
        issues: Vec::new(),
        unseen: status.unseen.clone(),
    };
    let reminders = decide(&status.stack, &settings.environment, &status.rows, &open);
    let log = if !settings.dry_run && reminders.iter().any(|reminder| reminder.action != Action::Keep) {
        Some(settings.trail.open(Run {
            stack: Some(status.stack.clone()),
            environment: Some(settings.environment.clone()),
            ..settings.trail.run.clone()
        })?)
    } else {
        None
    };
    for reminder in reminders {
        let number = match &log {
            Some(log) if reminder.action != Action::Keep => {
                let number = write(&client, repository, &reminder).await;
                if let Err(failure) = record(log, repository, &reminder, &number) {
                    if let Ok(number) = number {
                        report.issues.push(reminded(reminder, number));
                    }
                    return Ok((report, Some(failure)));
                }
                number
            }
            _ => Ok(reminder.number),
        };
        match number {
            Ok(number) => report.issues.push(reminded(reminder, number)),
            Err(error) => {
                let mut failure = failed(error, &format!("{} the issue `{}`", reminder.action.word(), reminder.title));
                if let Err(unrecorded) = end(log.as_ref(), "failed") {
                    failure = failure.cause(unrecorded);
                }
                if report.issues.is_empty() {
                    return Err(failure);
                }
                if report.issues.iter().any(|issue| issue.action != Action::Keep) {
                    failure.kind = FailureKind::Partial;
                }
                return Ok((report, Some(failure)));
            }
        }
    }
    let unrecorded = end(log.as_ref(), "done").err();
    Ok((report, unrecorded))
}

fn reminded(reminder: Reminder, number: Option<u64>) -> Reminded {
    Reminded { action: reminder.action, number, title: reminder.title, names: reminder.names }
}

fn unrecorded(failure: Failure) -> Failure {
    let message = "the audit trail could not be written; no further issue was begun";
    Failure::new(FailureKind::Partial, "remind-unrecorded", message).cause(failure)
}

/// Adds the line about one issue. The names of what is due stand in the issue, not here: nothing became of them.
fn record(
    log: &AuditLog,
    repository: &RepositoryName,
    reminder: &Reminder,
    written: &Result<Option<u64>, GitHubError>,
) -> Outcome<()> {
    let number = written.as_ref().map_or(reminder.number, |number| *number);
    log.append(&Entry {
        target: Some(format!("{repository} · issues")),
        kind: Some("issue".to_owned()),
        action: Some(reminder.action.word().to_owned()),
        outcome: Some(if written.is_ok() { "done" } else { "failed" }.to_owned()),
        detail: Some(match number {
            Some(number) => format!("#{number} {}", reminder.title),
            None => reminder.title.clone(),
        }),
        ..Entry::of("step")
    })
    .map_err(unrecorded)
}

fn end(log: Option<&AuditLog>, outcome: &str) -> Outcome<()> {
    let entry = Entry { outcome: Some(outcome.to_owned()), ..Entry::of("run-ended") };
    log.map_or(Ok(()), |log| log.append(&entry)).map_err(unrecorded)
}

/// Writes one issue; answers its number.
async fn write(client: &GitHub, repository: &RepositoryName, reminder: &Reminder) -> Result<Option<u64>, GitHubError> {
    let Reminder { action, number, title, body, .. } = reminder;
    match (action, number) {
        (Action::Open, _) | (_, None) => client.open_issue(repository, title, body).await.map(Some),
        (Action::Keep, number) => Ok(*number),
        (Action::Update | Action::Close, Some(number)) => {
            let done = *action == Action::Close;
            client.update_issue(repository, *number, title, body, done).await.map(|()| Some(*number))
        }
    }
}
