//! The files of one environment of the embedded store, and how they change without ever being half changed.
//!
//! ```text
//! DIR/ORGANIZATION/PROJECT/ENVIRONMENT.yaml                 the definition
//! DIR/ORGANIZATION/PROJECT/.sophia/ENVIRONMENT/
//!     keys.json            recipients, and the data keys wrapped for them
//!     tags.json            revision tags
//!     labels.json          environment tags and the like, where the store is served
//!     revisions/000012.yaml   each revision: one line of comment, then the text
//!     pending.yaml         a revision that is being written
//!     next.yaml            the definition that is being written
//!     lock                 held by the one writer
//! ```
//!
//! **The definition file is the truth; replacing it is the moment of commit.** A writer puts the new revision
//! into `pending.yaml`, replaces the definition, and moves `pending.yaml` to its number. Who takes the lock
//! next finishes or drops what a killed writer left. A definition that was edited by hand is recorded as a
//! revision of its own before the next write, its secrets encrypted, so that nothing is lost and nothing stays in clear.
//!
//! Beside the definition itself, which belongs to the project, only the holder of the lock writes, and every file of
//! a write begins below `.sophia/ENVIRONMENT`: whatever temporary file is found there is a killed writer's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::keyring::KeyFile;
use super::service::Labels;
use crate::base::environment::EscName;
use crate::base::error::{Failure, Outcome};
use crate::io::files::{self, LARGEST, Lock};

/// How a revision is signed that somebody made with an editor or with git.
pub const BY_HAND: &str = "edited in place";

const PENDING: &str = "pending.yaml";
const NEXT: &str = "next.yaml";

/// What git is told to leave out, at any depth below the store.
const IGNORED: &str = "# written by sophia-secrets-sync\n.*.tmp\n**/.sophia/*/lock\n**/.sophia/*/pending.yaml\n\
                       **/.sophia/*/next.yaml\n";

/// What was written there before; below ORGANIZATION/PROJECT it left out nothing but the temporary files.
const IGNORED_BEFORE: &str = "# written by sophia-secrets-sync\n.*.tmp\n.sophia/*/lock\n.sophia/*/pending.yaml\n";

/// One recorded revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub number: u64,
    pub created: Timestamp,
    pub author: String,
    pub text: String,
}

impl Record {
    /// What is known of a revision whose file was damaged.
    #[must_use]
    pub fn damaged(number: u64) -> Self {
        let (created, author) = (Timestamp::UNIX_EPOCH, "(its file is damaged)".to_owned());
        Self { number, created, author, text: String::new() }
    }

    fn to_file(&self) -> String {
        let author: String = self.author.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        format!("# revision {} {} {author}\n{}", self.number, self.created, self.text)
    }

    fn from_file(text: &str) -> Option<Self> {
        let (heading, text) = text.strip_prefix("# revision ")?.split_once('\n')?;
        let mut parts = heading.splitn(3, ' ');
        let (number, created, author) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            number: number.parse().ok()?,
            created: created.parse().ok()?,
            author: author.to_owned(),
            text: text.to_owned(),
        })
    }
}

fn revision_file(number: u64) -> String {
    format!("{number:06}.yaml")
}

/// The files of one environment.
pub struct Shelf {
    root: PathBuf,
    name: EscName,
}

/// The shelf of an environment whose lock is held.
pub struct Writer<'s> {
    shelf: &'s Shelf,
    _lock: Lock,
}

impl Shelf {
    #[must_use]
    pub fn new(root: &Path, name: &EscName) -> Self {
        Self { root: root.to_owned(), name: name.clone() }
    }

    fn project(&self) -> PathBuf {
        self.root.join(&self.name.organization).join(&self.name.project)
    }

    /// The definition file.
    #[must_use]
    pub fn definition(&self) -> PathBuf {
        self.project().join(format!("{}.yaml", self.name.environment))
    }

    /// A file that is kept beside the definition.
    #[must_use]
    pub fn beside(&self, file: &str) -> PathBuf {
        self.project().join(".sophia").join(&self.name.environment).join(file)
    }

    /// The definition text; none when there is no such environment.
    ///
    /// # Errors
    /// What [`files::read_text`] says.
    pub fn text(&self) -> Outcome<Option<String>> {
        match files::read_text(&self.definition(), LARGEST) {
            Err(failure) if failure.code == "file-missing" => Ok(None),
            text => text.map(Some),
        }
    }

    /// # Errors
    /// `store-damaged` (usage) when the file is there and damaged.
    pub fn keys(&self) -> Outcome<Option<KeyFile>> {
        self.json("keys.json")
    }

    /// Revision tags: name to number.
    ///
    /// # Errors
    /// `store-damaged` (usage) when the file is there and damaged.
    pub fn tags(&self) -> Outcome<BTreeMap<String, u64>> {
        Ok(self.json("tags.json")?.unwrap_or_default())
    }

    /// What a service keeps of the environment beside its text.
    ///
    /// # Errors
    /// `store-damaged` when the file is there and damaged.
    pub fn labels(&self) -> Outcome<Labels> {
        Ok(self.json("labels.json")?.unwrap_or_default())
    }

    fn json<T: serde::de::DeserializeOwned>(&self, file: &str) -> Outcome<Option<T>> {
        let path = self.beside(file);
        let Some(bytes) = files::read_if_there(&path, LARGEST)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            Failure::usage("store-damaged", format!("`{}` is not what this tool wrote ({place})", path.display()))
                .hint("take it from the last commit or a backup")
        })
    }

    /// The numbers of the recorded revisions, ascending.
    ///
    /// # Errors
    /// `file-unreadable`.
    pub fn numbers(&self) -> Outcome<Vec<u64>> {
        let entries = files::list(&self.beside("revisions"))?;
        let number = |entry: &files::Entry| {
            let number = entry.name.strip_suffix(".yaml")?.parse().ok()?;
            (!entry.is_folder && entry.name == revision_file(number)).then_some(number)
        };
        let mut numbers: Vec<u64> = entries.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// One recorded revision.
    ///
    /// # Errors
    /// `esc-not-found` when there is none of that number, `store-damaged` when its file was changed.
    pub fn record(&self, number: u64) -> Outcome<Record> {
        let path = self.revision_path(number);
        let damaged = || {
            Failure::usage("store-damaged", format!("`{}` is not what this tool wrote", path.display()))
                .hint("take it from the last commit or a backup")
        };
        let text = files::read_text(&path, LARGEST).map_err(|failure| match failure.code {
            "file-not-text" | "file-too-large" => damaged(),
            "file-missing" => Failure::unexpected("esc-not-found", format!("`{}` has no revision {number}", self.name))
                .hint("`env history` lists the revisions"),
            _ => failure,
        })?;
        Record::from_file(&text).filter(|record| record.number == number).ok_or_else(damaged)
    }

    fn revision_path(&self, number: u64) -> PathBuf {
        self.beside("revisions").join(revision_file(number))
    }

    /// The revision that is being written, or that a killed writer left.
    ///
    /// # Errors
    /// What reading the file gives.
    pub fn pending(&self) -> Outcome<Option<Record>> {
        let bytes = files::read_if_there(&self.beside(PENDING), LARGEST)?;
        Ok(bytes.and_then(|bytes| Record::from_file(std::str::from_utf8(&bytes).ok()?)))
    }

    /// The newest recorded revision; none, too, when its file was damaged: the definition does not need it.
    ///
    /// # Errors
    /// What reading the files gives.
    pub fn last(&self) -> Outcome<Option<Record>> {
        match self.numbers()?.last().map(|number| self.record(*number)).transpose() {
            Err(failure) if failure.code == "store-damaged" => Ok(None),
            last => last,
        }
    }

    /// The revision that the definition text is; none when it was edited by hand since the last write.
    ///
    /// # Errors
    /// What reading the files gives.
    pub fn revision_of(&self, text: &str) -> Outcome<Option<u64>> {
        if let Some(pending) = self.pending()?.filter(|pending| pending.text == text) {
            return Ok(Some(pending.number));
        }
        Ok(self.last()?.filter(|last| last.text == text).map(|last| last.number))
    }

    /// Takes the writer's lock; waits for another writer, whose writes are short. Finishes what a killed
    /// writer left.
    ///
    /// # Errors
    /// `file-unwritable`.
    pub fn lock(&self) -> Outcome<Writer<'_>> {
        files::make_folder(&self.beside("revisions"))?;
        self.tell_git()?;
        let writer = Writer { shelf: self, _lock: Lock::take(&self.beside("lock"))? };
        writer.settle()?;
        Ok(writer)
    }

    /// Writes `.gitignore` where there is none, and where an older version wrote it.
    fn tell_git(&self) -> Outcome<()> {
        let ignored = self.root.join(".gitignore");
        match files::read_if_there(&ignored, LARGEST)? {
            None => match files::write_new(&ignored, IGNORED.as_bytes()) {
                Err(failure) if failure.code != "file-exists" => Err(failure),
                _ => Ok(()),
            },
            Some(before) if before == IGNORED_BEFORE.as_bytes() => files::write_public(&ignored, IGNORED.as_bytes()),
            Some(_) => Ok(()),
        }
    }

    /// The environments of an organization in the store at `root`, sorted.
    ///
    /// # Errors
    /// `file-unreadable`.
    pub fn list(root: &Path, organization: &str) -> Outcome<Vec<EscName>> {
        let mut names = Vec::new();
        let folder = root.join(organization);
        for project in files::list(&folder)?.into_iter().filter(|entry| entry.is_folder) {
            for file in files::list(&folder.join(&project.name))?.into_iter().filter(|entry| !entry.is_folder) {
                let environment = file.name.strip_suffix(".yaml");
                names.extend(environment.and_then(|name| EscName::new(organization, &project.name, name).ok()));
            }
        }
        Ok(names)
    }

    /// Every environment of the store at `root`, sorted.
    ///
    /// # Errors
    /// `file-unreadable`.
    pub fn list_all(root: &Path) -> Outcome<Vec<EscName>> {
        let mut names = Vec::new();
        for organization in files::list(root)?.into_iter().filter(|entry| entry.is_folder) {
            names.append(&mut Self::list(root, &organization.name)?);
        }
        Ok(names)
    }
}

impl Writer<'_> {
    fn settle(&self) -> Outcome<()> {
        let shelf = self.shelf;
        for folder in [shelf.beside(""), shelf.beside("revisions")] {
            files::remove_temporary(&folder)?;
        }
        let (next, path) = (shelf.beside(NEXT), shelf.beside(PENDING));
        if files::is_there(&next) {
            files::remove(&next)?;
        }
        if !files::is_there(&path) {
            return Ok(());
        }
        // A pending file is written whole: one that is not a record, or not committed, is dropped.
        match (shelf.pending()?, shelf.text()?) {
            (Some(pending), Some(text)) if pending.text == text => {
                files::move_to(&path, &shelf.revision_path(pending.number))
            }
            _ => files::remove(&path),
        }
    }

    /// Commits `text` as a new revision and answers its number. `by_hand` is what somebody made of the definition since
    /// the last write, as history may keep it: it is recorded before, or is the new revision when it is the same. What
    /// is the newest revision already is not recorded twice.
    ///
    /// # Errors
    /// `file-unwritable`; the definition is then the old one, or the new one that has yet to get its number.
    pub fn commit(&self, text: &str, by_hand: Option<&str>, author: &str, now: Timestamp) -> Outcome<u64> {
        let shelf = self.shelf;
        let last = shelf.last()?;
        let is_last = |text: &str| last.as_ref().is_some_and(|last| last.text == text);
        let mut next = shelf.numbers()?.last().copied().unwrap_or(0) + 1;
        let record = |number, author: &str, text: &str| Record {
            number,
            created: now,
            author: author.to_owned(),
            text: text.to_owned(),
        };
        if let Some(last) = last.as_ref().filter(|last| by_hand == Some(text) && last.text == text) {
            self.replace(text)?;
            return Ok(last.number);
        }
        if let Some(by_hand) = by_hand.filter(|by_hand| *by_hand != text && !is_last(by_hand)) {
            files::write_private(&shelf.revision_path(next), record(next, BY_HAND, by_hand).to_file().as_bytes())?;
            next += 1;
        }
        let author = if by_hand == Some(text) { BY_HAND } else { author };
        let pending = shelf.beside(PENDING);
        files::write_private(&pending, record(next, author, text).to_file().as_bytes())?;
        self.replace(text)?;
        files::move_to(&pending, &shelf.revision_path(next))?;
        Ok(next)
    }

    /// Replaces the definition: the moment of commit.
    fn replace(&self, text: &str) -> Outcome<()> {
        let next = self.shelf.beside(NEXT);
        files::write_private(&next, text.as_bytes())?;
        files::move_to(&next, &self.shelf.definition())
    }

    /// Takes back keys that were made for a write that failed.
    ///
    /// # Errors
    /// `file-unwritable`.
    pub fn remove_keys(&self) -> Outcome<()> {
        files::remove(&self.shelf.beside("keys.json"))
    }

    /// # Errors
    /// `file-unwritable`.
    pub fn write_keys(&self, keys: &KeyFile) -> Outcome<()> {
        self.write_json("keys.json", keys)
    }

    /// # Errors
    /// `file-unwritable`.
    pub fn write_labels(&self, labels: &Labels) -> Outcome<()> {
        self.write_json("labels.json", labels)
    }

    /// # Errors
    /// `file-unwritable`.
    pub fn write_tags(&self, tags: &BTreeMap<String, u64>) -> Outcome<()> {
        self.write_json("tags.json", tags)
    }

    fn write_json(&self, file: &str, value: &impl serde::Serialize) -> Outcome<()> {
        let mut text = serde_json::to_string_pretty(value).map_err(|error| {
            Failure::unexpected("store-damaged", "a file of the store could not be made").cause(error)
        })?;
        text.push('\n');
        files::write_private(&self.shelf.beside(file), text.as_bytes())
    }

    /// Removes the environment: the definition first, then everything beside it.
    ///
    /// # Errors
    /// `file-unwritable`.
    pub fn delete(self) -> Outcome<()> {
        files::remove(&self.shelf.definition())?;
        files::remove_folder(&self.shelf.beside(""))
    }
}
