//! `run -- COMMAND`: a program with the variables of a stack.

use std::ffi::OsString;
use std::io::IsTerminal;

use clap::Args;

use super::args::SourceArgs;
use super::connect::Session;
use super::door::Door;
use super::environment;
use crate::base::error::{Failure, Outcome};
use crate::base::target::EntryKind;
use crate::flow::export;
use crate::io::child::{self, ChildSettings, Redacted};
use crate::rules::redaction::{SHORTEST, Secrets};
use crate::rules::variables::Variable;

#[derive(Debug, Clone, Args)]
pub struct ChildArgs {
    /// Program and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<OsString>,
    /// Only this secret group (repeatable)
    #[arg(long = "group", value_name = "NAME")]
    pub groups: Vec<String>,
    /// Leave this tool's own tokens in the program's environment
    #[arg(long)]
    pub keep_tokens: bool,
    /// Give the program our streams, with whatever it prints
    #[arg(long)]
    pub no_redact: bool,
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Credentials that a program does not need for what it is run for.
pub(super) const TOKENS: [&str; 9] = [
    environment::ACTIONS_ID_TOKEN_REQUEST_TOKEN,
    environment::ACTIONS_ID_TOKEN_REQUEST_URL,
    environment::GH_TOKEN,
    environment::GITHUB_TOKEN,
    environment::PULUMI_ACCESS_TOKEN,
    environment::SOPHIA_AGE_KEY,
    environment::SOPHIA_AGE_PASSPHRASE,
    environment::SOPHIA_GITHUB_APP_ID,
    environment::SOPHIA_GITHUB_APP_PRIVATE_KEY,
];

/// Runs `run`; answers the program's exit code.
///
/// # Errors
/// Those of [`export::variables`] and [`child::run`].
pub async fn run(args: ChildArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let definition = session.definition(door)?;
    let stack = session.stack(&definition)?.clone();
    let source = session.source(&args.source, door).await?;
    let found = export::variables(&*source, &definition, &stack, &args.groups).await?;
    door.mask_all(&found.variables);
    door.problems(&found.warnings);
    let tokens: &[&str] = if args.keep_tokens { &[] } else { &TOKENS };
    let mut words = args.command.into_iter();
    let settings = ChildSettings {
        program: words.next().unwrap_or_default(),
        arguments: words.collect(),
        variables: found.variables.iter().map(variable).collect::<Outcome<_>>()?,
        unset: super::action::secret_variables().chain(tokens.iter().map(|name| (*name).to_owned())).collect(),
        at_a_terminal: std::io::stdin().is_terminal(),
    };
    let redacted = (!args.no_redact).then(|| redacted(&found.variables, door));
    child::run(settings, redacted).await.map_err(|failure| match failure.code {
        "command-missing" => failure.hint("the command stands after `--`"),
        _ => failure,
    })
}

fn redacted(variables: &[Variable], door: &mut Door) -> Redacted {
    let secret = |variable: &&Variable| variable.kind == EntryKind::Secret;
    for variable in variables.iter().filter(secret).filter(|variable| variable.value.len() < SHORTEST) {
        door.note(&format!("note: the value of {} is too short to be redacted", variable.name));
    }
    let secrets = Secrets::new(variables.iter().filter(secret).map(|variable| &*variable.value));
    Redacted { secrets, out: Box::new(std::io::stdout()), err: Box::new(std::io::stderr()) }
}

/// Name and value as the operating system takes them.
fn variable(variable: &Variable) -> Outcome<(String, OsString)> {
    let mut bytes = Vec::with_capacity(variable.value.len());
    let text = variable.value.write_plaintext(&mut bytes).ok().and_then(|()| String::from_utf8(bytes).ok());
    match text {
        Some(text) if !text.contains('\0') => Ok((variable.name.clone(), OsString::from(text))),
        _ => Err(Failure::refused(
            "variable-unfit",
            format!("the value of `{}` holds what no variable can", variable.name),
        )),
    }
}
