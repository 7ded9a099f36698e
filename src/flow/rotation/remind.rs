//! `rotation remind`: writes the issues that differ from what they should say, and no other.

use crate::base::error::{Failure, FailureKind, Outcome};
use crate::base::target::{RepositoryName, Scope};
use crate::io::github::GitHub;
use crate::io::github_access::GitHubAccess;
use crate::io::github_error::GitHubError;
use crate::io::github_issues::PERMISSION;
use crate::report::reminder::{Reminded, ReminderReport};
use crate::report::rotation::RotationReport;
use crate::rules::rotation::reminder::{Action, OpenIssue, Reminder, decide};

/// Where to remind, and how.
pub struct Settings {
    /// The ESC environment of the stack; issues of another one are left alone.
    pub environment: String,
    pub repository: RepositoryName,
    pub dry_run: bool,
    /// Names of secrets may be shown to everyone.
    pub allow_public: bool,
}

/// Brings the issues in line with `status`. Answers what was done, and the failure that ended it early.
///
/// # Errors
/// `remind-public` (refused), `remind-too-many-issues`, and GitHub's failures before the first write.
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
    for reminder in decide(&status.stack, &settings.environment, &status.rows, &open) {
        let number = if settings.dry_run { Ok(reminder.number) } else { write(&client, repository, &reminder).await };
        match number {
            Ok(number) => report.issues.push(Reminded {
                action: reminder.action,
                number,
                title: reminder.title,
                names: reminder.names,
            }),
            Err(error) => {
                let mut failure = failed(error, &format!("{} the issue `{}`", reminder.action.word(), reminder.title));
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
    Ok((report, None))
}

/// Writes one issue, unless it is as it should be; answers its number.
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
