//! `list` and `doctor`: looking, and changing nothing.

use clap::Args;

use super::args::{GitHubArgs, LedgerArgs, SourceArgs, TargetArgs};
use super::connect::Session;
use super::door::Door;
use crate::base::error::{FailureKind, Outcome};
use crate::base::secret::FingerprintKey;
use crate::flow::targets::Asked;
use crate::flow::{doctor, list, sync};
use crate::report::doctor::{Check, DoctorReport, Verdict};

#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Show what ESC holds, and do not ask GitHub
    #[arg(long)]
    pub no_github: bool,
    #[command(flatten)]
    pub inspect: InspectArgs,
}

/// What `list` and `doctor` share.
#[derive(Debug, Clone, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    pub ledger: LedgerArgs,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub github: GitHubArgs,
    #[command(flatten)]
    pub targets: TargetArgs,
}

/// Runs `list`. Without a GitHub credential or a target it shows what ESC holds.
///
/// # Errors
/// Failures of the definition, ESC and GitHub.
pub async fn list(args: ListArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let args_of_targets = &args.inspect.targets;
    let definition = session.definition(door)?;
    let stack = session.stack(&definition)?.clone();
    let source = session.source(&args.inspect.source, door).await?;
    let opened = sync::open(&definition, &stack, &*source).await?;
    let asked = Asked::from(args_of_targets);
    let github = match asked.somewhere(&definition, &stack) && !args.no_github {
        false => None,
        true => {
            let token = session.token_of_esc(&args.inspect.github, &opened, door)?;
            match session.github(&args.inspect.github, token) {
                Ok(github) => Some(github),
                Err(failure) if failure.code == "github-token-missing" => {
                    door.note("no GitHub credential: showing what ESC holds, not where it is delivered");
                    None
                }
                Err(failure) => return Err(failure),
            }
        }
    };
    let deliveries = github.as_ref().map(|github| list::Deliveries {
        github,
        asked: &asked,
        ledger: &args.inspect.ledger.place,
        now: session.now,
    });
    let groups = args_of_targets.groups.iter().cloned().collect();
    let report = list::list(&definition, &stack, &opened.values, &groups, deliveries).await?;
    door.report(&report);
    Ok(0)
}

/// Runs `doctor`: every question is asked, whatever the answers before were.
///
/// # Errors
/// Failures of the definition only; all others are answers.
pub async fn doctor(args: InspectArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let definition = session.definition(door)?;
    let stack = session.stack(&definition)?.clone();
    let mut checks = vec![Check::fine("definition", format!("`{}` is valid", definition.file))];
    let opened = match session.source(&args.source, door).await {
        Ok(source) => sync::open(&definition, &stack, &*source).await,
        Err(failure) => Err(failure),
    };
    checks.extend(doctor::esc(&stack, &opened));
    let token = match &opened {
        Ok(opened) => session.token_of_esc(&args.github, opened, door),
        Err(_) => Ok(None),
    };
    let credential = token.and_then(|token| match (&token, super::action::own_token(&session.environment)) {
        (None, Some(failure)) => Err(failure),
        _ => session.github(&args.github, token),
    });
    match credential {
        Ok(github) => {
            let asked = Asked::from(&args.targets);
            let key = opened.as_ref().ok().and_then(|opened| opened.values.key.as_ref());
            let questions = doctor::Questions {
                github: &github,
                definition: &definition,
                stack: &stack,
                asked: &asked,
                ledger: &args.ledger.place,
                key_id: key.map(FingerprintKey::id),
                now: session.now,
            };
            checks.extend(doctor::github(&questions).await);
        }
        Err(failure) => checks.push(Check {
            name: "GitHub credential".to_owned(),
            verdict: Verdict::Denied,
            message: failure.to_string(),
            hints: failure.hints,
        }),
    }
    let report = DoctorReport { checks };
    door.report(&report);
    Ok(match report.worst() {
        Verdict::Fine | Verdict::Unknown | Verdict::Warning => 0,
        Verdict::Failed => FailureKind::Unexpected.exit_code(),
        Verdict::Denied => FailureKind::Auth.exit_code(),
    })
}
