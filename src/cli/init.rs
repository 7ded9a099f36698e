//! `init`.

use std::path::PathBuf;

use clap::Args;

use super::connect::{DEFINITION, Session};
use super::door::Door;
use crate::base::error::{Failure, Outcome};
use crate::base::target::RepositoryName;
use crate::flow::init;
use crate::rules::init::Answers;

/// The organization and project of the guide, when none are given.
const ORGANIZATION: &str = "payready";
const PROJECT: &str = "sophia-esc";

#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// Repository that gets the secrets; without it, targets are only shown as a comment
    #[arg(long, value_name = "OWNER/NAME")]
    pub repo: Option<RepositoryName>,
}

/// Runs `init`: in this folder, or where `--definition` says.
///
/// # Errors
/// `definition` when a definition is there and has problems; `file-unwritable`.
pub fn run(args: InitArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let path = session.global.definition.clone().unwrap_or_else(|| PathBuf::from(DEFINITION));
    let answers = Answers {
        organization: session.global.org.clone().unwrap_or_else(|| ORGANIZATION.to_owned()),
        project: session.global.project.clone().unwrap_or_else(|| PROJECT.to_owned()),
        repository: args.repo,
    };
    for (option, name) in [("--org", &answers.organization), ("--project", &answers.project)] {
        crate::base::environment::EscName::new(name, "project", "environment")
            .map_err(|_| Failure::usage("esc-name", format!("`{name}` of {option} is not a name that ESC takes")))?;
    }
    door.report(&init::run(&path, &answers)?);
    Ok(0)
}
