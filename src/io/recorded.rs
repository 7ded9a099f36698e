//! Records every write to ESC in the audit trail, whichever command makes it.
//!
//! **The trail is opened before the write, and without it nothing is written.** One write is one revision: the
//! line `run-started`, then a line for every property that it changes, then `run-ended`.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::audit::{HEAD_UNWRITABLE, Trail};
use super::source::{Document, Opened, Revision, Secrets, Source, SourceKind, Version, may_be_written};
use crate::base::environment::EscName;
use crate::base::error::{Failure, FailureKind, Outcome};
use crate::esc::changes::Deed;
use crate::esc::diagnostic::Diagnostic;
use crate::esc::stored::{self, Stored};
use crate::rules::audit::{Entry, Run};
use crate::rules::audit_esc::{entries, entry};
use crate::rules::definition::Definition;

/// Records writes to ESC.
#[derive(Clone)]
pub struct Recorder {
    pub trail: Trail,
    /// Gives properties their names, and environments their stacks; none where there is no valid one.
    pub definition: Option<Arc<Definition>>,
}

impl Recorder {
    /// Does `write`, and records what became of `entries`; `revision` is the one that it made.
    ///
    /// # Errors
    /// Those of the write; `audit-unwritable`, `audit-head-unwritable` and `audit-broken` when nothing was written, for want of a trail;
    /// `esc-unrecorded` (kind partial) when it was written, but could not be recorded afterwards.
    pub async fn record<T>(
        &self,
        name: &EscName,
        entries: Vec<Entry>,
        revision: impl Fn(&T) -> Option<u64>,
        write: impl Future<Output = Outcome<T>>,
    ) -> Outcome<T> {
        let stacks = self.definition.iter().flat_map(|definition| &definition.environments);
        let run = Run {
            stack: stacks.into_iter().find(|stack| stack.esc == *name).map(|stack| stack.name.clone()),
            environment: Some(name.to_string()),
            ..self.trail.run.clone()
        };
        let log = self.trail.open(run)?;
        let written = write.await;
        let revision = written.as_ref().ok().and_then(revision);
        let error = written.as_ref().err().map(|failure| failure.code.to_owned());
        let outcome = match &written {
            Ok(_) => "done",
            Err(failure) if may_be_written(failure) => "unknown",
            Err(_) => "failed",
        };
        let outcome = Some(outcome.to_owned());
        let ended = Entry { outcome: outcome.clone(), ..Entry::of("run-ended") };
        let steps = entries.into_iter().map(|entry| Entry {
            revision,
            outcome: outcome.clone(),
            error: error.clone(),
            ..entry
        });
        let lines: Vec<Entry> = steps.chain([ended]).collect();
        match (written, log.append_all(&lines)) {
            (Ok(_), Err(unrecorded)) => {
                let what =
                    if unrecorded.code == HEAD_UNWRITABLE { "the head file of the trail" } else { "the audit trail" };
                let message = format!("`{name}` was written, but {what} could not be");
                Err(Failure::new(FailureKind::Partial, "esc-unrecorded", message).cause(unrecorded))
            }
            (Err(failure), Err(unrecorded)) => Err(failure.cause(unrecorded)),
            (written, Ok(())) => written,
        }
    }
}

/// A source whose writes are recorded.
pub struct Recorded {
    source: Box<dyn Source>,
    recorder: Recorder,
    last: Mutex<Option<Last>>,
}

/// The newest text of the environment that was read last, encrypted and in clear: what an update is compared with,
/// so that recording asks for nothing more.
#[derive(Clone)]
struct Last {
    name: EscName,
    encrypted: Option<Zeroizing<String>>,
    clear: Option<Zeroizing<String>>,
}

impl Recorded {
    #[must_use]
    pub fn new(source: Box<dyn Source>, recorder: Recorder) -> Self {
        Self { source, recorder, last: Mutex::new(None) }
    }

    fn last(&self) -> MutexGuard<'_, Option<Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, name: &EscName, secrets: Secrets, text: &str) {
        let mut last = self.last();
        let known = last.take().filter(|known| known.name == *name);
        let known = last.insert(known.unwrap_or_else(|| Last { name: name.clone(), encrypted: None, clear: None }));
        let text = Some(Zeroizing::new(text.to_owned()));
        match secrets {
            Secrets::Encrypted => known.encrypted = text,
            Secrets::Decrypted => known.clear = text,
        }
    }

    /// What `text` changes in `name`.
    async fn changes(&self, name: &EscName, text: &str) -> Outcome<Vec<Entry>> {
        let known = self.last().clone().filter(|known| known.name == *name);
        let (mut encrypted, mut clear) = known.map_or((None, None), |known| (known.encrypted, known.clear));
        if encrypted.is_none() && clear.is_none() {
            let document = self.source.read(name, &Version::Latest, Secrets::Encrypted).await?;
            encrypted = Some(Zeroizing::new(document.text));
        }
        if clear.is_none() && encrypted.as_ref().is_some_and(|encrypted| is_given_in_clear(encrypted, text)) {
            match self.source.read(name, &Version::Latest, Secrets::Decrypted).await {
                Ok(document) => clear = Some(Zeroizing::new(document.text)),
                Err(_) => {
                    let detail = Some("definition replaced".to_owned());
                    return Ok(vec![Entry { detail, ..entry(name, Deed::Update) }]);
                }
            }
        }
        // What was read in clear and is written in clear differs in what was edited; against the ciphertexts of
        // the same document, every secret would. An entry without a name says that nothing differs.
        let against = |before: &Zeroizing<String>| entries(self.recorder.definition.as_deref(), name, before, text);
        let changes = encrypted.iter().chain(&clear).map(against);
        let least = changes.min_by_key(|entries| (entries.len(), entries.iter().any(|entry| entry.name.is_some())));
        Ok(least.unwrap_or_default())
    }
}

/// Whether `after` gives in clear what `before` holds encrypted, as a definition from a file does.
fn is_given_in_clear(before: &str, after: &str) -> bool {
    let (before, after) = (stored::find(before).unwrap_or_default(), stored::find(after).unwrap_or_default());
    let is_encrypted = |secret: &&stored::StaticSecret| matches!(secret.stored, Stored::Encrypted(_));
    before.iter().filter(is_encrypted).count() > 1 && !after.is_empty() && !after.iter().any(|one| is_encrypted(&one))
}

#[async_trait]
impl Source for Recorded {
    fn kind(&self) -> SourceKind {
        self.source.kind()
    }

    fn file_of(&self, name: &EscName, version: &Version, called: &str) -> String {
        self.source.file_of(name, version, called)
    }

    async fn open(&self, name: &EscName, version: &Version) -> Outcome<Opened> {
        self.source.open(name, version).await
    }

    async fn check(&self, name: &EscName, text: &str) -> Outcome<Vec<Diagnostic>> {
        self.source.check(name, text).await
    }

    async fn list(&self, organization: &str) -> Outcome<Vec<EscName>> {
        self.source.list(organization).await
    }

    async fn create(&self, name: &EscName) -> Outcome<()> {
        let entries = vec![entry(name, Deed::Create)];
        self.recorder.record(name, entries, |()| None, self.source.create(name)).await
    }

    async fn delete(&self, name: &EscName) -> Outcome<()> {
        let entries = vec![entry(name, Deed::Delete)];
        self.recorder.record(name, entries, |()| None, self.source.delete(name)).await
    }

    async fn read(&self, name: &EscName, version: &Version, secrets: Secrets) -> Outcome<Document> {
        let document = self.source.read(name, version, secrets).await?;
        if *version == Version::Latest {
            self.remember(name, secrets, &document.text);
        }
        Ok(document)
    }

    async fn update(&self, name: &EscName, text: &str, etag: Option<&str>) -> Outcome<(Option<u64>, Vec<Diagnostic>)> {
        let changes = self.changes(name, text).await?;
        let write = self.source.update(name, text, etag);
        let written = self.recorder.record(name, changes, |(revision, _)| *revision, write).await;
        // A text with errors is edited and given again: it still began with the same one.
        if !matches!(&written, Err(failure) if failure.code == "esc-diagnostics") {
            *self.last() = None;
        }
        written
    }

    async fn revisions(&self, name: &EscName, limit: usize) -> Outcome<Vec<Revision>> {
        self.source.revisions(name, limit).await
    }

    async fn tagged(&self, name: &EscName, tag: &str) -> Outcome<Option<u64>> {
        self.source.tagged(name, tag).await
    }

    // A tag only names a revision: nothing that the trail is about. The write that it is set for is.
    async fn set_tag(&self, name: &EscName, tag: &str, revision: u64) -> Outcome<()> {
        self.recorder.trail.check()?;
        self.source.set_tag(name, tag, revision).await
    }

    async fn remove_tag(&self, name: &EscName, tag: &str) -> Outcome<()> {
        self.source.remove_tag(name, tag).await
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::esc::provider::Providers;
    use crate::io::age_keys::Identities;
    use crate::io::audit::{head_path, read};
    use crate::io::esc_local::{EscLocal, Settings};
    use crate::io::files;
    use crate::rules::audit::{Line, samples};

    fn now() -> jiff::Timestamp {
        "2026-11-24T12:00:00Z".parse().unwrap()
    }

    fn recorder(folder: &Path) -> Recorder {
        let trail = Trail { path: folder.join("audit.jsonl"), run: samples::run(), clock: Arc::new(now) };
        Recorder { trail, definition: None }
    }

    /// What the trail's steps say: action, name, revision, outcome.
    fn steps(folder: &Path) -> Vec<String> {
        let stored = read(&folder.join("audit.jsonl")).unwrap();
        let text = String::from_utf8(stored.trail).unwrap();
        let entries = text.lines().map(|line| Line::read(line.as_bytes()).unwrap().record.entry);
        let steps = entries.filter(|entry| entry.event == "step").map(|entry| {
            let revision = entry.revision.map_or("-".into(), |revision| revision.to_string());
            let texts = [entry.action, entry.name, Some(revision), entry.outcome, entry.error];
            texts.into_iter().flatten().collect::<Vec<_>>().join(" ")
        });
        steps.collect()
    }

    fn recorded_store(folder: &Path) -> Recorded {
        let identities = Identities::parse(&Identities::generate().1).unwrap();
        let store = EscLocal::new(Settings {
            root: folder.join("store"),
            recipients: identities.recipients(),
            identities,
            author: "alice".into(),
            now: Arc::new(now),
            providers: Providers::default(),
        });
        Recorded::new(Box::new(store), recorder(folder))
    }

    #[tokio::test]
    async fn a_document_edited_in_clear_is_recorded_as_what_was_edited() {
        let folder = tempfile::tempdir().unwrap();
        let source = recorded_store(folder.path());
        let at: EscName = "o/p/e".parse().unwrap();
        source.create(&at).await.unwrap();
        let first = "values: {A: {fn::secret: one}, B: {fn::secret: two}}\n";
        source.update(&at, first, None).await.unwrap();
        let clear = source.read(&at, &Version::Latest, Secrets::Decrypted).await.unwrap();
        let stored = source.read(&at, &Version::Latest, Secrets::Encrypted).await.unwrap();
        source.update(&at, &clear.text.replace("two", "three"), stored.etag.as_deref()).await.unwrap();
        let late = source.update(&at, &clear.text, stored.etag.as_deref()).await.unwrap_err();
        source.remove_tag(&at, "gone").await.unwrap();
        source.delete(&at).await.unwrap();
        assert_eq!(late.code, "esc-conflict");
        let expected =
            ["create - done", "create A 2 done", "create B 2 done", "update B 3 done"].map(str::to_owned).to_vec();
        let mut steps = steps(folder.path());
        assert_eq!(steps.pop().unwrap(), "delete - done");
        assert!(steps.drain(4..).all(|step| step.ends_with("- failed esc-conflict")));
        assert_eq!(steps, expected);
    }

    #[tokio::test]
    async fn a_text_with_errors_is_edited_again_and_a_file_in_clear_is_compared_in_clear() {
        let folder = tempfile::tempdir().unwrap();
        let source = recorded_store(folder.path());
        let at: EscName = "o/p/e".parse().unwrap();
        source.create(&at).await.unwrap();
        source.update(&at, "values: {A: {fn::secret: one}, B: {fn::secret: two}}\n", None).await.unwrap();
        let clear = source.read(&at, &Version::Latest, Secrets::Decrypted).await.unwrap().text;
        for (text, fails) in [
            (clear.replace("two", "three").replace("values: {", "values: {C: '${none}', "), true),
            (clear.replace("two", "three"), false),
        ] {
            let stored = source.read(&at, &Version::Latest, Secrets::Encrypted).await.unwrap();
            let written = source.update(&at, &text, stored.etag.as_deref()).await;
            assert_eq!(written.err().map(|failure| failure.code), fails.then_some("esc-diagnostics"));
        }
        source.read(&at, &Version::Latest, Secrets::Encrypted).await.unwrap();
        source.update(&at, &clear.replace("one", "four").replace("two", "three"), None).await.unwrap();
        let done: Vec<String> = steps(folder.path()).into_iter().filter(|step| step.ends_with("done")).collect();
        assert_eq!(done[3..], ["update B 3 done", "update A 4 done"]);
    }

    #[tokio::test]
    async fn a_write_whose_answer_was_lost_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let at: EscName = "o/p/e".parse().unwrap();
        for code in ["esc-unreachable", "esc-answer", "esc-unavailable", "esc-rate-limited"] {
            let write = async { Err::<(), _>(Failure::unexpected(code, "could not update")) };
            let entries = vec![entry(&at, Deed::Update)];
            recorder(folder.path()).record(&at, entries, |()| None, write).await.unwrap_err();
        }
        let outcomes =
            ["unknown esc-unreachable", "unknown esc-answer", "unknown esc-unavailable", "failed esc-rate-limited"];
        assert_eq!(steps(folder.path()), outcomes.map(|outcome| format!("update - {outcome}")));
    }

    #[tokio::test]
    async fn a_write_that_cannot_be_recorded_any_more_is_partly_done() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = recorder(folder.path());
        let at: EscName = "o/p/e".parse().unwrap();
        let write = async {
            files::write_private(&head_path(&recorder.trail.path), b"9:").unwrap();
            files::append_line(&recorder.trail.path, b"not a line").unwrap();
            Ok(Some(4))
        };
        let failure = recorder.record(&at, vec![entry(&at, Deed::Update)], |made| *made, write).await.unwrap_err();
        assert_eq!((failure.code, failure.kind.exit_code()), ("esc-unrecorded", 5));
    }
}
