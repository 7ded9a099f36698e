//! `usage`: whether everything that uses secrets and everything that holds them agrees with the definition.

use std::path::{Path, PathBuf};

use clap::Args;

use super::FINDINGS;
use super::args::{GitHubArgs, LedgerArgs, SourceArgs};
use super::audit;
use super::connect::Session;
use super::door::Door;
use super::environment;
use crate::base::error::Outcome;
use crate::base::target::RepositoryName;
use crate::flow::{sync, usage};
use crate::io::git::repository::Repository;

#[derive(Debug, Clone, Args)]
pub struct UsageArgs {
    /// End with 10 when something is found
    #[arg(long)]
    pub exit_code: bool,
    /// Compare the definition with the files only, and ask neither ESC nor GitHub
    #[arg(long)]
    pub offline: bool,
    /// Repository that the files belong to [env: GITHUB_REPOSITORY] [default: that of the git remote `origin`]
    #[arg(long, value_name = "OWNER/NAME")]
    pub repo: Option<RepositoryName>,
    /// Folder whose repository is read [default: that of the definition]
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
    #[command(flatten)]
    pub ledger: LedgerArgs,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub github: GitHubArgs,
}

/// Runs `usage`, for the stack that was named, else for all.
///
/// # Errors
/// Those of the definition, ESC, GitHub and git.
pub async fn run(args: UsageArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let definition = session.definition(door)?;
    let named = session.global.stack.is_some() || session.environment.get(environment::PULUMI_STACK).is_some();
    let stacks = if named { vec![session.stack(&definition)?] } else { definition.environments.iter().collect() };
    let beside = Path::new(&definition.file).parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = args.folder.as_deref().or(beside).unwrap_or(Path::new("."));
    let job = session.environment.get(environment::GITHUB_REPOSITORY).and_then(|name| name.parse().ok());
    let origin = || Repository::of(folder).ok().and_then(|repository| repository.origin());
    let repository = args.repo.clone().or(job).or_else(origin);
    let (mut opened, mut github) = (None, None);
    if !args.offline {
        let source = session.source(&args.source, door).await?;
        let mut all = Vec::new();
        for stack in &stacks {
            let opened = sync::open(&definition, stack, &*source).await.map_err(|failure| {
                if named {
                    failure
                } else {
                    failure.hint("`--stack NAME` compares one stack, `--offline` leaves ESC aside")
                }
            })?;
            door.mask_desired(&opened.values.desired);
            all.push(opened);
        }
        let token = match all.first() {
            Some(first) => session.token_of_esc(&args.github, first, door)?,
            None => None,
        };
        github = Some(
            session
                .github(&args.github, token)
                .map_err(|failure| failure.hint("--offline compares the definition with the files only"))?,
        );
        opened = Some(all);
    }
    let ask = usage::Ask {
        definition: &definition,
        stacks,
        repository,
        folder,
        opened,
        github: github.as_ref(),
        ledger: &args.ledger.place,
        now: session.now,
    };
    let report = usage::check(&ask).await?;
    audit::record_check(session, &report.stacks, &report.counts(), door);
    door.report(&report);
    Ok(if args.exit_code && !report.findings.problems.is_empty() { FINDINGS } else { 0 })
}
