//! Backups on disk: one age file each, and the [`Source`] that reads from one (`--from-backup`).
//!
//! **A backup lies on the disk encrypted, whole or not at all**; its plaintext (`rules::backup`) exists in memory
//! only. The file is a plain armored age file, which the `age` command opens too.

use std::path::Path;

use async_trait::async_trait;

use super::age_keys::{self, CannotOpen, Identities, Recipient};
use super::files;
use super::source::{self, Document, Opened, Revision, Secrets, Source, SourceKind, Version};
use crate::base::environment::EscName;
use crate::base::error::{Failure, Outcome};
use crate::esc::diagnostic::Diagnostic;
use crate::rules::backup::{Backup, Contents, Kept, NotABackup};

/// Bytes of the largest backup that is read.
const LARGEST: u64 = 256 << 20;

/// Who may open a backup.
pub enum Openers<'a> {
    Recipients(&'a [Recipient]),
    /// The passphrase of these identities; age lets nobody else open the file then.
    Passphrase(&'a Identities),
}

/// Writes an encrypted backup that only its owner may read (mode 0600).
///
/// # Errors
/// `age-recipient` when nobody could open it; `file-exists` unless `replace`; `file-unwritable`.
pub fn write(path: &Path, backup: &Backup, openers: &Openers<'_>, replace: bool) -> Outcome<()> {
    let text = backup
        .to_text()
        .map_err(|error| Failure::unexpected("backup", "the backup could not be put together").cause(error))?;
    let sealed = match openers {
        Openers::Recipients(recipients) => age_keys::seal(recipients, text.as_bytes())?,
        Openers::Passphrase(identities) => identities
            .seal_with_passphrase(text.as_bytes())
            .unwrap_or_else(|| Err(Failure::usage("age-passphrase", "no passphrase was given")))?,
    };
    if replace {
        files::write_private(path, sealed.as_bytes())
    } else {
        files::write_new_private(path, sealed.as_bytes())
    }
}

/// Opens a backup.
///
/// # Errors
/// `backup-key` (authentication) when none of the identities opens it, `backup-damaged` and `backup-foreign`
/// (usage) for what is no backup of this tool, `backup-newer` and `backup-work` (usage); what reading the file gives.
pub fn open(path: &Path, identities: &Identities) -> Outcome<Backup> {
    let bytes = files::read_bytes(path, LARGEST)?;
    let text = identities.open(&bytes).map_err(|why| closed(path, identities, why))?;
    Backup::from_text(&text).map_err(|why| {
        let (code, hint) = match why {
            NotABackup::Foreign => ("backup-foreign", "`emergency backup` makes one"),
            NotABackup::Newer(_) => ("backup-newer", "use a version of this tool that is as new as the backup's"),
            NotABackup::Damaged => ("backup-damaged", "take another copy of the file"),
        };
        Failure::usage(code, format!("`{}` cannot be used", path.display())).cause(why).hint(hint)
    })
}

fn closed(path: &Path, identities: &Identities, why: CannotOpen) -> Failure {
    let message = format!("the backup `{}` cannot be opened", path.display());
    match why {
        CannotOpen::Damaged => Failure::usage("backup-damaged", message).cause(why).hint("take another copy of the file"),
        CannotOpen::TooMuchWork => Failure::usage("backup-work", message)
            .cause(why)
            .hint("`age -d FILE` opens it where there is memory for it; a backup of this tool takes less"),
        CannotOpen::NotARecipient if identities.is_empty() => Failure::auth("backup-key", message)
            .cause("no age identity was given")
            .hint("set SOPHIA_AGE_KEY, or give --age-identity FILE; SOPHIA_AGE_PASSPHRASE opens one made with a passphrase"),
        CannotOpen::NotARecipient | CannotOpen::WrongPassphrase | CannotOpen::Locked => Failure::auth("backup-key", message)
            .cause(why)
            .hint("give the identity of one of its recipients, or its passphrase in SOPHIA_AGE_PASSPHRASE"),
    }
}

/// A backup as a source: it can be opened and read, never written.
pub struct BackupSource(Backup);

impl BackupSource {
    #[must_use]
    pub fn new(backup: Backup) -> Self {
        Self(backup)
    }

    fn kept(&self, name: &EscName, version: &Version) -> Outcome<(&Contents, &Kept)> {
        let (contents, kept) = self.0.environment(&name.to_string()).ok_or_else(|| self.missing(name))?;
        match version {
            Version::Latest => {}
            Version::Revision(number) if contents.revision == Some(*number) => {}
            Version::Tag(tag) if tag == "latest" => {}
            Version::Revision(_) | Version::Tag(_) => {
                let has =
                    contents.revision.map_or_else(|| "one state".to_owned(), |number| format!("revision {number}"));
                return Err(Failure::usage(
                    "backup-revision",
                    format!("the backup has {has} of `{name}` and no other"),
                ));
            }
        }
        Ok((contents, kept))
    }

    /// A stack that the backup does not hold; and a backup of another organization or project, whose values
    /// are not taken for this one's.
    fn missing(&self, name: &EscName) -> Failure {
        let stacks = &self.0.manifest.stacks;
        let held: Vec<String> = stacks.iter().map(|contents| format!("`{}`", contents.environment)).collect();
        let others = stacks.iter().filter_map(|contents| contents.environment.parse::<EscName>().ok());
        let holds = format!("it holds {}", held.join(", "));
        match others.clone().find(|other| other.environment == name.environment) {
            Some(other) if (&other.organization, &other.project) != (&name.organization, &name.project) => {
                let message = format!("the backup is not of `{}/{}`", name.organization, name.project);
                Failure::refused("backup-of-another", message).cause(holds).hint(format!(
                    "--org {} --project {} takes its values all the same",
                    other.organization, other.project
                ))
            }
            _ => Failure::usage("backup-stack", format!("the backup does not hold `{name}`")).cause(holds),
        }
    }
}

fn read_only(what: &str) -> Failure {
    source::read_only(SourceKind::Backup, what)
}

#[async_trait]
impl Source for BackupSource {
    fn kind(&self) -> SourceKind {
        SourceKind::Backup
    }

    async fn open(&self, name: &EscName, version: &Version) -> Outcome<Opened> {
        let (contents, kept) = self.kept(name, version)?;
        Ok(Opened { values: kept.values(), revision: contents.revision, warnings: Vec::new() })
    }

    async fn check(&self, _: &EscName, _: &str) -> Outcome<Vec<Diagnostic>> {
        Err(read_only("check a definition"))
    }

    async fn list(&self, organization: &str) -> Outcome<Vec<EscName>> {
        let names = self.0.manifest.stacks.iter().filter_map(|contents| contents.environment.parse::<EscName>().ok());
        Ok(names.filter(|name| name.organization == organization).collect())
    }

    async fn create(&self, name: &EscName) -> Outcome<()> {
        Err(read_only(&format!("make `{name}`")))
    }

    async fn delete(&self, name: &EscName) -> Outcome<()> {
        Err(read_only(&format!("remove `{name}`")))
    }

    async fn read(&self, name: &EscName, version: &Version, secrets: Secrets) -> Outcome<Document> {
        let (contents, kept) = self.kept(name, version)?;
        match (&kept.document, secrets) {
            (Some(text), Secrets::Decrypted) => {
                Ok(Document { text: text.clone(), etag: None, revision: contents.revision })
            }
            (None, Secrets::Decrypted) => Err(Failure::auth(
                "backup-document",
                format!("the backup has the values of `{name}`, not its definition"),
            )),
            (_, Secrets::Encrypted) => {
                Err(read_only("change an environment, or show its definition with the secrets encrypted"))
            }
        }
    }

    async fn update(&self, name: &EscName, _: &str, _: Option<&str>) -> Outcome<(Option<u64>, Vec<Diagnostic>)> {
        Err(read_only(&format!("change `{name}`")))
    }

    async fn revisions(&self, name: &EscName, _: usize) -> Outcome<Vec<Revision>> {
        let (contents, _) = self.kept(name, &Version::Latest)?;
        let manifest = &self.0.manifest;
        let revision = contents.revision.map(|number| Revision {
            number,
            created: manifest.created,
            author: manifest.author.clone(),
            tags: Vec::new(),
        });
        Ok(revision.into_iter().collect())
    }

    async fn tagged(&self, _: &EscName, _: &str) -> Outcome<Option<u64>> {
        Err(read_only("tell revision tags"))
    }

    async fn set_tag(&self, name: &EscName, _: &str, _: u64) -> Outcome<()> {
        Err(read_only(&format!("tag a revision of `{name}`")))
    }

    async fn remove_tag(&self, name: &EscName, _: &str) -> Outcome<()> {
        Err(read_only(&format!("tag a revision of `{name}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::backup::samples::backup;

    #[test]
    fn a_backup_is_written_once_and_opens_for_its_recipients_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup.age");
        let ((own, _), (other, _)) = (Identities::generate(), Identities::generate());
        let recipients = own.recipients();
        write(&path, &backup(), &Openers::Recipients(&recipients), false).unwrap();
        assert!(open(&path, &own).unwrap() == backup());
        assert_eq!(open(&path, &other).unwrap_err().code, "backup-key");
        let nobody = open(&path, &Identities::default()).unwrap_err();
        assert_eq!(nobody.causes, ["no age identity was given"]);
        let again = write(&path, &backup(), &Openers::Recipients(&recipients), false).unwrap_err();
        assert_eq!(again.code, "file-exists");
        write(&path, &backup(), &Openers::Recipients(&recipients), true).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        let bytes = files::read_bytes(&path, LARGEST).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("marker"));
    }

    #[test]
    fn a_passphrase_opens_what_was_made_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup.age");
        let with = |text: &str| Identities::default().with_passphrase(Some(text.into()));
        write(&path, &backup(), &Openers::Passphrase(&with("correct horse")), false).unwrap();
        assert!(open(&path, &with("correct horse")).unwrap() == backup());
        assert_eq!(open(&path, &with("wrong")).unwrap_err().code, "backup-key");
        assert_eq!(open(&path, &Identities::generate().0).unwrap_err().code, "backup-key");
    }

    #[test]
    fn every_change_of_the_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup.age");
        let (own, _) = Identities::generate();
        write(&path, &backup(), &Openers::Recipients(&own.recipients()), false).unwrap();
        let whole = files::read_bytes(&path, LARGEST).unwrap();
        // The line break at the end says nothing.
        for at in (0..whole.trim_ascii_end().len()).step_by(7) {
            let mut changed = whole.clone();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            files::write_private(&path, &changed).unwrap();
            let code = open(&path, &own).map(drop).unwrap_err().code;
            assert!(matches!(code, "backup-damaged" | "backup-key"), "byte {at}: {code}");
            files::write_private(&path, &whole[..at]).unwrap();
            assert_eq!(open(&path, &own).unwrap_err().code, "backup-damaged", "{at} bytes");
        }
        files::write_private(&path, age_keys::seal(&own.recipients(), b"marker").unwrap().as_bytes()).unwrap();
        let foreign = open(&path, &own).unwrap_err();
        assert_eq!(foreign.code, "backup-foreign");
        assert!(!format!("{foreign:?}").contains("marker"));
    }

    #[tokio::test]
    async fn a_source_gives_what_was_kept_and_writes_nothing() {
        let source = BackupSource::new(backup());
        let name: EscName = "payready/sophia-esc/production".parse().unwrap();
        let opened = source.open(&name, &Version::Latest).await.unwrap();
        assert_eq!(opened.revision, Some(12));
        assert_eq!(source.read(&name, &Version::Revision(12), Secrets::Decrypted).await.unwrap().text, "values: {}\n");
        assert_eq!(source.open(&name, &Version::Revision(11)).await.unwrap_err().code, "backup-revision");
        let refused = [
            source.update(&name, "", None).await.map(drop).unwrap_err(),
            source.create(&name).await.unwrap_err(),
            source.delete(&name).await.unwrap_err(),
            source.read(&name, &Version::Latest, Secrets::Encrypted).await.map(drop).unwrap_err(),
        ];
        assert!(refused.iter().all(|failure| failure.code == "source-read-only"));
        let other = |text: &str| text.parse::<EscName>().unwrap();
        let foreign = source.open(&other("someone/else/production"), &Version::Latest).await.unwrap_err();
        assert_eq!((foreign.code, foreign.kind.exit_code()), ("backup-of-another", 3));
        let missing = source.open(&other("payready/sophia-esc/staging"), &Version::Latest).await.unwrap_err();
        assert_eq!(missing.code, "backup-stack");
    }
}
