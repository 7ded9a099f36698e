//! When ESC's revisions changed a value last, for names of which no ledger tells.
//!
//! **Bounded:** the definition texts of the newest revisions are read, newest first, and no provider is run for it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::base::environment::EscName;
use crate::base::error::Outcome;
use crate::base::yaml::{self, Node};
use crate::esc::path::Path;
use crate::io::source::{Secrets, Source, SourceKind, Version};
use crate::rules::rotation::history::Search;

/// The most revisions that are read.
const MOST_READ: usize = 30;

/// What the revisions told.
#[derive(Debug, Default)]
pub struct History {
    /// When each value came to be; at the latest, for those that a note names.
    pub changed: BTreeMap<String, Timestamp>,
    /// What could not be looked at.
    pub notes: Vec<String>,
}

/// Looks for the last change of every value of `wanted`: a key, and where the value stands. What cannot be read is
/// in the notes.
pub async fn last_changes(source: &dyn Source, name: &EscName, wanted: BTreeMap<String, Vec<Path>>) -> History {
    let mut history = History::default();
    let keeps_revisions = matches!(source.kind(), SourceKind::Cloud | SourceKind::Local);
    if wanted.is_empty() || !keeps_revisions {
        return history;
    }
    if let Err(failure) = search(source, name, wanted, &mut history).await {
        history.notes.push(format!("the revisions of `{name}`: {failure}"));
    }
    history
}

async fn search(
    source: &dyn Source,
    name: &EscName,
    wanted: BTreeMap<String, Vec<Path>>,
    history: &mut History,
) -> Outcome<()> {
    let revisions = source.revisions(name, MOST_READ + 1).await?;
    let latest = source.read(name, &Version::Latest, Secrets::Decrypted).await?;
    let Some(tree) = tree(&latest.text) else { return Ok(()) };
    let begun = wanted.into_iter().filter_map(|(key, paths)| Some((key, Search::begin(&tree, paths)?)));
    let mut searches: BTreeMap<String, Search> = begun.collect();
    let cut = revisions.len() > MOST_READ;
    for revision in revisions.iter().take(MOST_READ) {
        if searches.is_empty() {
            return Ok(());
        }
        let read;
        let document = if latest.revision == Some(revision.number) {
            Some(&tree)
        } else {
            let version = Version::Revision(revision.number);
            read = self::tree(&source.read(name, &version, Secrets::Decrypted).await?.text);
            read.as_ref()
        };
        searches.retain(|key, search| {
            let goes_on = search.goes_on(document, revision.created);
            if let (false, Some(since)) = (goes_on, search.since()) {
                history.changed.insert(key.clone(), since);
            }
            goes_on
        });
    }
    if cut && !searches.is_empty() {
        let names = searches.keys().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        history.notes.push(format!(
            "revisions of `{name}` older than the newest {MOST_READ}: {names} may have been changed last before the time given"
        ));
    }
    history.changed.extend(searches.into_iter().filter_map(|(key, search)| Some((key, search.since()?))));
    Ok(())
}

fn tree(text: &str) -> Option<Node> {
    yaml::parse(text).ok().flatten()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::SignedDuration;

    use super::*;
    use crate::esc::provider::Providers;
    use crate::io::age_keys::Identities;
    use crate::io::esc_local::{EscLocal, Settings};

    /// When revision `number` of the tests' store was made: its clock moves by an hour at each look.
    fn made(number: i64) -> Timestamp {
        "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(number)
    }

    fn store(folder: &std::path::Path) -> EscLocal {
        let looks = std::sync::atomic::AtomicI64::new(0);
        EscLocal::new(Settings {
            root: folder.to_owned(),
            identities: Identities::parse(&Identities::generate().1).unwrap(),
            recipients: Vec::new(),
            author: "test".into(),
            now: Arc::new(move || made(looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1)),
            providers: Providers::default(),
        })
    }

    async fn wanted(store: &EscLocal, name: &EscName, keys: &[&str]) -> History {
        let wanted = keys.iter().map(|key| ((*key).to_owned(), vec![format!("g.{key}").parse().unwrap()]));
        last_changes(store, name, wanted.collect()).await
    }

    #[tokio::test]
    async fn the_newest_change_is_found_and_what_is_older_than_was_read_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let (store, name): (_, EscName) = (store(folder.path()), "o/p/e".parse().unwrap());
        store.create(&name).await.unwrap();
        let most = i64::try_from(MOST_READ).unwrap();
        // Revision 2 makes OLD, and every one of the others something of its own; A changes there and back.
        for number in 2..=most + 4 {
            let a = if number == most { "two" } else { "one" };
            let text =
                format!("values: {{ g: {{ OLD: {{ fn::secret: o }}, A: {{ fn::secret: {a} }}, N: {number} }} }}\n");
            store.update(&name, &text, None).await.unwrap();
        }
        let history = wanted(&store, &name, &["OLD", "A", "N", "NOWHERE"]).await;
        assert_eq!(history.changed["A"], made(most + 1));
        assert_eq!(history.changed["N"], made(most + 4));
        assert_eq!(history.changed["OLD"], made(5), "the oldest revision that was read");
        assert!(!history.changed.contains_key("NOWHERE"));
        assert!(history.notes.len() == 1 && history.notes[0].contains("`OLD` may have been changed"), "{history:?}");
        assert!(wanted(&store, &name, &["A", "N"]).await.notes.is_empty());
    }

    #[tokio::test]
    async fn a_store_that_cannot_be_read_is_a_note() {
        let folder = tempfile::tempdir().unwrap();
        let history = wanted(&store(folder.path()), &"o/p/none".parse().unwrap(), &["A"]).await;
        assert!(history.changed.is_empty() && history.notes[0].contains("o/p/none"), "{history:?}");
    }
}
