//! `verify`: in a job, whether the injected secrets are what was synced.

use clap::Args;

use super::args::{GitHubArgs, SourceArgs};
use super::connect::Session;
use super::door::Door;
use super::environment;
use crate::base::error::{Failure, Outcome};
use crate::base::secret::SecretValue;
use crate::base::target::RepositoryName;
use crate::flow::{sync, verify};
use crate::io::ledger::LedgerPlace;
use crate::report::verify::VerifyReport;
use crate::rules::delivery::Delivery;

/// Exit code for "there are findings".
const DIFFERENCES: u8 = 10;

#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// Secrets that must be there [default: those of the ledger that are in the environment]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Environment of the repository that the job runs in
    #[arg(long, value_name = "NAME")]
    pub github_environment: Option<String>,
    /// Where the ledger lies: `variable`, or `file:DIR`
    #[arg(long, value_name = "PLACE", default_value = "variable", value_parser = super::parse_ledger_place)]
    pub ledger: LedgerPlace,
    /// Repository of the job [env: GITHUB_REPOSITORY]
    #[arg(long, value_name = "OWNER/NAME")]
    pub repo: Option<RepositoryName>,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub github: GitHubArgs,
}

/// Runs `verify`; 10 when a secret is not what was synced.
///
/// # Errors
/// When ESC or GitHub cannot be asked, or there is nothing to compare.
pub async fn run(args: VerifyArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let definition = session.definition(door)?;
    let stack = session.stack(&definition)?.clone();
    let repository = match args.repo {
        Some(repository) => repository,
        None => this_repository(session)?,
    };
    let source = session.source(&args.source, door).await?;
    let opened = sync::open(&definition, &stack, &*source).await?;
    let token = session.token_of_esc(&args.github, &opened, door)?;
    door.mask_desired(&opened.values.desired);
    let key = opened.values.key.as_ref().ok_or_else(|| {
        Failure::refused(
            "fingerprint-key-missing",
            format!("ESC holds no key at `{}`", definition.sync.fingerprint_key),
        )
        .hint("without it there is no ledger to compare with; `import-env` makes one")
    })?;
    let github = session.github(&args.github, token)?;
    let scopes = verify::scopes(&repository, args.github_environment.as_deref());
    let ledgers = verify::ledgers(&github, &args.ledger, &scopes, key).await?;
    let names: Vec<String> = args.names.iter().map(|name| name.to_ascii_uppercase()).collect();
    let inject = |names: &[String]| {
        let value = |name: &String| Some((name.clone(), SecretValue::new(environment::injected(name)?)));
        names.iter().filter_map(value).collect()
    };
    let found = verify::verify(&ledgers, key, &names, inject)?;
    let scopes: Vec<String> = ledgers.into_iter().map(|(scope, _)| scope).collect();
    door.report(&VerifyReport { stack: &stack.name, scopes: &scopes, found: &found });
    let delivered = found.iter().all(|(_, delivery)| *delivery == Delivery::Delivered);
    Ok(if delivered { 0 } else { DIFFERENCES })
}

fn this_repository(session: &Session) -> Outcome<RepositoryName> {
    let missing = || Failure::usage("repository-missing", "nothing says which repository the secrets are of");
    let text = session
        .environment
        .get(environment::GITHUB_REPOSITORY)
        .ok_or_else(|| missing().hint("give --repo OWNER/NAME"))?;
    text.parse().map_err(|error: crate::base::target::NotARepositoryName| missing().cause(error))
}
