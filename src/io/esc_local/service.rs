//! What a service on the embedded store needs beyond reading and writing texts: whole histories, and what Pulumi
//! Cloud keeps of an environment beside its text.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::EscLocal;
use super::shelf::{BY_HAND, Record, Shelf};
use crate::base::environment::EscName;
use crate::base::error::Outcome;

/// What is kept of an environment beside its text: the file `labels.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Labels {
    pub deletion_protected: bool,
    /// Environment tags.
    pub tags: BTreeMap<String, Tag>,
    /// By name. The numbers are those of `tags.json`, which other commands write too.
    pub revision_tags: BTreeMap<String, RevisionTag>,
    /// By the number of the revision that was taken back.
    pub retracted: BTreeMap<u64, Retraction>,
}

/// An environment tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    pub value: String,
    pub created: Timestamp,
    pub modified: Timestamp,
    pub editor: String,
}

/// A name for a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevisionTag {
    pub revision: u64,
    pub created: Timestamp,
    pub modified: Timestamp,
    pub editor: String,
}

/// A revision that nobody should use any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retraction {
    /// The revision to use instead.
    pub replacement: u64,
    pub at: Timestamp,
    pub by: String,
    pub reason: Option<String>,
}

impl EscLocal {
    /// Every environment of the store.
    ///
    /// # Errors
    /// `file-unreadable`.
    pub fn list_all(&self) -> Outcome<Vec<EscName>> {
        Shelf::list_all(self.root())
    }

    /// The whole history, oldest first, and the labels; none when there is no such environment. The last revision is
    /// the definition as it stands, also when it was edited by hand since. What is `known` from before is not read
    /// again.
    ///
    /// # Errors
    /// `store-damaged`; what reading gives.
    pub fn held(&self, name: &EscName, known: Vec<Record>) -> Outcome<Option<(Vec<Record>, Labels)>> {
        let shelf = self.shelf(name);
        let Some(text) = shelf.text()? else { return Ok(None) };
        let numbers = shelf.numbers()?;
        let mut revisions = known;
        // The last one may have been a hand's work that had no number yet.
        revisions.pop();
        let first = numbers.first().map(|first| shelf.record(*first)).transpose()?;
        if revisions.first() != first.as_ref() {
            // Another environment of the same name.
            revisions.clear();
        }
        let known = revisions.last().map_or(0, |last| last.number);
        for number in numbers.into_iter().filter(|number| *number > known) {
            revisions.push(shelf.record(number)?);
        }
        if revisions.last().is_none_or(|last| last.text != text) {
            let pending = shelf.pending()?.filter(|pending| pending.text == text);
            let number = revisions.last().map_or(0, |last| last.number) + 1;
            let by_hand = || Record { number, created: self.now(), author: BY_HAND.to_owned(), text };
            revisions.push(pending.unwrap_or_else(by_hand));
        }
        let mut labels = shelf.labels()?;
        let tags = shelf.tags()?;
        labels.revision_tags.retain(|tag, kept| tags.get(tag) == Some(&kept.revision));
        for (tag, number) in tags {
            // Tagged by another command, which keeps no more than the number.
            if let Some(record) = revisions.iter().find(|record| record.number == number) {
                labels.revision_tags.entry(tag).or_insert_with(|| RevisionTag {
                    revision: number,
                    created: record.created,
                    modified: record.created,
                    editor: record.author.clone(),
                });
            }
        }
        Ok(Some((revisions, labels)))
    }

    /// Keeps labels, and the revision tags among them for all commands. Of those, only what differs from `before` is
    /// changed: another command may have set others since that was read.
    ///
    /// # Errors
    /// `esc-not-found`; what reading and writing give.
    pub fn label(&self, name: &EscName, before: &Labels, labels: &Labels) -> Outcome<()> {
        self.text(name)?;
        let shelf = self.shelf(name);
        let writer = shelf.lock()?;
        let mut tags = shelf.tags()?;
        for tag in before.revision_tags.keys().filter(|tag| !labels.revision_tags.contains_key(*tag)) {
            tags.remove(tag);
        }
        for (tag, kept) in &labels.revision_tags {
            if before.revision_tags.get(tag) != Some(kept) {
                tags.insert(tag.clone(), kept.revision);
            }
        }
        writer.write_tags(&tags)?;
        writer.write_labels(labels)
    }
}
