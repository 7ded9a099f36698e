//! `emergency backup`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::super::args::SourceArgs;
use super::super::connect::Session;
use super::super::door::Door;
use super::super::{environment, input};
use crate::base::error::{Failure, Outcome, Problem};
use crate::flow::emergency::backup::{self, About};
use crate::io::age_keys::{Identities, Recipient};
use crate::io::archive::{self, Openers};
use crate::io::{files, git};
use crate::report::emergency::{BackupReport, ReadBack};
use crate::rules::audit::Entry;
use crate::rules::backup::Backup;
use crate::rules::definition::Environment as Stack;

/// Bytes of the largest file of recipients that is read.
const LARGEST_RECIPIENTS: u64 = 1 << 20;

#[derive(Debug, Clone, Args)]
pub struct BackupArgs {
    /// Every stack of the definition, not one alone
    #[arg(long, conflicts_with = "stack")]
    pub all_stacks: bool,
    /// Replace a file that is there
    #[arg(long)]
    pub force: bool,
    /// File to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    pub openers: OpenerArgs,
}

/// Who may open a backup.
#[derive(Debug, Clone, Args)]
pub struct OpenerArgs {
    /// Let a passphrase open it (SOPHIA_AGE_PASSPHRASE, else asked for), and no key
    #[arg(long, conflicts_with_all = ["recipients", "recipients_file"])]
    pub passphrase: bool,
    /// Who may open it: `age1…` or an SSH public key (repeatable)
    #[arg(long = "recipient", value_name = "KEY")]
    pub recipients: Vec<String>,
    /// File with such keys, one a line; `#` begins a comment
    #[arg(long, value_name = "FILE")]
    pub recipients_file: Option<PathBuf>,
}

impl OpenerArgs {
    /// The recipients of both options, each once.
    ///
    /// # Errors
    /// `age-recipient` for what is no public key; what reading the file gives.
    pub fn recipients(&self) -> Outcome<Vec<Recipient>> {
        let file =
            self.recipients_file.as_deref().map(|path| files::read_text(path, LARGEST_RECIPIENTS)).transpose()?;
        let lines = file.iter().flat_map(|text| text.lines()).map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut recipients: Vec<Recipient> = Vec::new();
        for text in self.recipients.iter().map(String::as_str).chain(lines) {
            let recipient: Recipient = text.parse()?;
            if !recipients.iter().any(|known| known.same_key(&recipient)) {
                recipients.push(recipient);
            }
        }
        Ok(recipients)
    }
}

/// Runs `emergency backup`.
///
/// # Errors
/// `backup-recipients` when nobody could open it; those of [`backup::gather`] and of writing.
pub async fn run(args: BackupArgs, source_args: &SourceArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    if !args.force && files::is_there(&args.out) {
        return Err(Failure::usage("file-exists", format!("`{}` is there already", args.out.display()))
            .hint("choose another name, or --force replaces it"));
    }
    let recipients = args.openers.recipients()?;
    let identities = session.age_identities(source_args.age_identity.as_deref())?;
    let passphrase = if args.openers.passphrase { Some(passphrase(session)?) } else { None };
    let openers = match &passphrase {
        Some(identities) => Openers::Passphrase(identities),
        None if recipients.is_empty() => {
            return Err(Failure::usage("backup-recipients", "nobody could open the backup: no recipient was given")
                .hint("give --recipient age1… for two people at least, --recipients-file FILE, or --passphrase")
                .hint("`age-keygen -o key.txt` makes a key and prints its recipient"));
        }
        None => Openers::Recipients(&recipients),
    };
    let definition = session.definition(door)?;
    let stacks: Vec<Stack> = match args.all_stacks {
        true => definition.environments.clone(),
        false => vec![session.stack(&definition)?.clone()],
    };
    let definition_text = files::read_text(Path::new(&definition.file), files::LARGEST)?;
    let source = session.source(source_args, door).await?;
    let about = About { definition_text, author: session.author(), now: session.now };
    let (backup, warnings) = backup::gather(&*source, &definition, &stacks, about).await?;
    door.mask_backup(&backup);
    door.problems(&warnings);

    let names: Vec<&str> = stacks.iter().map(|stack| stack.name.as_str()).collect();
    let log = super::super::audit::open_about(session, &names.join(", "))?;
    let written = archive::write(&args.out, &backup, &openers, args.force);
    let entry = Entry {
        action: Some("backup".to_owned()),
        detail: Some(match passphrase.is_some() {
            true => "for a passphrase".to_owned(),
            false => format!("for {} recipients", recipients.len()),
        }),
        outcome: Some(if written.is_ok() { "done" } else { "failed" }.to_owned()),
        error: written.as_ref().err().map(|failure| failure.code.to_owned()),
        ..Entry::of("run-ended")
    };
    log.append(&entry)?;
    written?;
    let read_back = read_back(&args.out, &backup, passphrase.as_ref().unwrap_or(&identities))?;
    door.report(&BackupReport {
        file: args.out.display().to_string(),
        recipients: passphrase.is_none().then_some(recipients.len()),
        manifest: &backup.manifest,
        read_back,
    });
    door.problems(&advice(&args.out, passphrase.is_none() && recipients.len() == 1, read_back));
    Ok(0)
}

/// The passphrase of the environment, or one that is typed.
fn passphrase(session: &Session) -> Outcome<Identities> {
    let given = session.environment.get(environment::SOPHIA_AGE_PASSPHRASE).map(str::to_owned);
    let text = match given {
        Some(text) => text,
        None => {
            let mut bytes = Vec::new();
            let typed = input::new_passphrase("Passphrase of the backup: ")?;
            // A vector takes every write.
            let _ = typed.write_plaintext(&mut bytes);
            String::from_utf8(bytes)
                .map_err(|_| Failure::usage("age-passphrase", "the passphrase is not UTF-8 text"))?
        }
    };
    Ok(Identities::default().with_passphrase(Some(text)))
}

/// Opens the file that was just written. An identity that is no recipient is no failure: backups are often made
/// for others.
fn read_back(path: &Path, backup: &Backup, identities: &Identities) -> Outcome<ReadBack> {
    match archive::open(path, identities) {
        Ok(read) if read == *backup => Ok(ReadBack::Equal),
        Err(failure) if failure.code == "backup-key" => Ok(ReadBack::NotTried),
        read => {
            let failure =
                Failure::unexpected("backup-not-read-back", format!("`{}` does not read back", path.display()));
            let failure = failure.hint("do not rely on this file; the disk may be full or broken");
            Err(match read {
                Ok(_) => failure,
                Err(why) => failure.cause(&why),
            })
        }
    }
}

fn advice(path: &Path, one_recipient: bool, read_back: ReadBack) -> Vec<Problem> {
    let mut advice = Vec::new();
    if one_recipient {
        let warning = Problem::warning(
            "backup-one-recipient",
            "one key alone opens the backup: when it is lost, so is the backup",
        );
        advice.push(warning.hint("give a second --recipient, kept elsewhere"));
    }
    if read_back == ReadBack::NotTried {
        let warning = Problem::warning("backup-not-read-back", "nobody has seen that the backup opens");
        advice.push(warning.hint("`emergency drill --backup FILE` with the identity of a recipient does it"));
    }
    if git::is_tracked(path) {
        let warning = Problem::warning("backup-tracked", format!("`{}` is tracked by git", path.display()));
        advice.push(warning.hint(
            "it is encrypted, so that is allowed; but history keeps it for good: whoever ever gets one of its keys reads it",
        ));
    }
    advice
}
