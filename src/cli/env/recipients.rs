//! `env recipients …`: who may open an environment of an embedded store.

use clap::Subcommand;

use super::super::door::Door;
use super::Here;
use crate::base::error::{Failure, Outcome, Problem};
use crate::esc::changes::Deed;
use crate::io::age_keys::Recipient;
use crate::io::esc_local::EscLocal;
use crate::report::env::{EnvChange, EnvNames};
use crate::rules::audit_esc;

#[derive(Debug, Clone, Subcommand)]
pub enum RecipientsCommand {
    /// Let somebody open it
    Add {
        /// ORGANIZATION/PROJECT/ENVIRONMENT, PROJECT/ENVIRONMENT, or a stack
        environment: String,
        /// `age1…` or an SSH public key
        #[arg(value_name = "KEY")]
        recipients: Vec<String>,
        /// Let the passphrase in SOPHIA_AGE_PASSPHRASE open it too
        #[arg(long)]
        passphrase: bool,
    },
    /// List them
    Ls {
        /// ORGANIZATION/PROJECT/ENVIRONMENT, PROJECT/ENVIRONMENT, or a stack
        environment: String,
    },
    /// Take it from somebody: a new data key, and every secret encrypted again
    Rm {
        /// ORGANIZATION/PROJECT/ENVIRONMENT, PROJECT/ENVIRONMENT, or a stack
        environment: String,
        /// `age1…` or an SSH public key
        #[arg(value_name = "KEY")]
        recipient: String,
    },
}

/// How a passphrase is called among recipients.
const PASSPHRASE: &str = "a passphrase";

impl Here<'_> {
    fn store(&self) -> Outcome<EscLocal> {
        self.session.embedded_store(self.args, &[])?.ok_or_else(|| only_embedded("recipients"))
    }

    pub(super) async fn recipients(&self, command: RecipientsCommand, door: &mut Door) -> Outcome<u8> {
        let store = self.store()?;
        match command {
            RecipientsCommand::Ls { environment } => {
                let found = store.recipients(&self.latest(&environment, door)?)?;
                let mut names: Vec<String> = found.keys.iter().map(ToString::to_string).collect();
                if found.passphrase {
                    names.push(PASSPHRASE.to_owned());
                }
                door.report(&EnvNames { command: "recipients ls", what: "recipients", names });
            }
            RecipientsCommand::Add { environment, recipients, passphrase } => {
                let name = self.latest(&environment, door)?;
                let recipients = keys(&recipients)?;
                if recipients.is_empty() && !passphrase {
                    return Err(Failure::usage("age-recipient", "no recipient was given"));
                }
                let names = recipients.iter().map(ToString::to_string).chain(passphrase.then(|| PASSPHRASE.to_owned()));
                let entries = audit_esc::recipients(&name, Deed::Create, names);
                let add = async { store.add_recipients(&name, &recipients, passphrase) };
                let changed = self.session.recorder().record(&name, entries, |_| None, add).await?;
                let environment = name.to_string();
                door.report(&EnvChange { command: "recipients add", environment, revision: None, changed });
            }
            RecipientsCommand::Rm { environment, recipient } => {
                let name = self.latest(&environment, door)?;
                let recipient: Recipient = recipient.parse()?;
                let entries = audit_esc::recipients(&name, Deed::Delete, [recipient.to_string()]);
                let remove = async { store.remove_recipient(&name, &recipient).map(Some) };
                let revision = self.session.recorder().record(&name, entries, |revision| *revision, remove).await?;
                let environment = name.to_string();
                door.report(&EnvChange { command: "recipients rm", environment, revision, changed: true });
                let known = "what it has read stays known to it";
                door.problems(&[Problem::warning("store-recipient", known).hint("rotate the secrets themselves")]);
            }
        }
        Ok(0)
    }
}

pub(super) fn only_embedded(what: &str) -> Failure {
    Failure::usage("env-cloud", format!("environments of Pulumi Cloud have no {what}"))
        .hint("give --esc-url file://DIR; access to Pulumi Cloud is set in its console")
}

pub(super) fn keys(texts: &[String]) -> Outcome<Vec<Recipient>> {
    texts.iter().map(|text| text.parse()).collect()
}
