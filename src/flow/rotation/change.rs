//! `rotation start` and `rotation rollback`: one secret gets a new value in ESC, or the one from before.
//!
//! **The revision from before is remembered as a revision tag of the environment**, `rotation-NAME`: every machine
//! finds it there, and it holds no value. It is set before the new value is written, so that a run that is cut
//! leaves either nothing or a rotation that can be taken back; a tag whose revision holds the value of now means that
//! nothing was begun.

use crate::base::error::{Failure, FailureKind, Outcome};
use crate::base::secret::SecretValue;
use crate::base::yaml;
use crate::esc::edit::{self, Edit, NewValue};
use crate::esc::path::Path;
use crate::esc::value::Value;
use crate::io::source::{Document, Secrets, Source, Version, may_be_written, stored_nothing};
use crate::rules::definition::{Definition, Environment};
use crate::rules::desired::Desired;
use crate::rules::rotation::subject::{Lookup, Subject};

/// How often a change starts over because the environment moved.
const ATTEMPTS: usize = 5;

/// How far back the revision is looked for that a rotation made.
const MOST_REVISIONS: usize = 500;

/// Which secret a command is about.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub source: &'a dyn Source,
    pub definition: &'a Definition,
    pub stack: &'a Environment,
    pub name: &'a str,
    /// Only of this group.
    pub group: Option<&'a str>,
}

/// What was changed in ESC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The revision with the new value, where the source numbers them.
    pub revision: Option<u64>,
    /// The one from before: remembered by `start`, restored from by `rollback`.
    pub before: u64,
}

impl Asked<'_> {
    /// Looks the name up in ESC.
    ///
    /// # Errors
    /// Those of [`Self::find_any`]; `rotation-not-set-here`.
    pub async fn find(&self) -> Outcome<Subject> {
        let (subject, settable) = self.find_any().await?;
        settable.map(|()| subject)
    }

    /// The same, also for a secret that cannot be given a value in ESC: then with the reason.
    ///
    /// # Errors
    /// Those of [`Lookup::find`] and of the source.
    pub async fn find_any(&self) -> Outcome<(Subject, Outcome<()>)> {
        self.look().await.map(|(subject, settable, _)| (subject, settable))
    }

    async fn look(&self) -> Outcome<(Subject, Outcome<()>, Document)> {
        let Self { source, definition, stack, .. } = self;
        let document = source.read(&stack.esc, &Version::Latest, Secrets::Encrypted).await?;
        let values = source.open(&stack.esc, &Version::Latest).await?.values;
        let tree = yaml::parse(&document.text).map_err(|error| {
            Failure::unexpected("esc-document", format!("the definition of `{}` is not YAML", stack.esc)).cause(error)
        })?;
        let desired = Desired::collect(definition, &stack.name, &values);
        let mut known: Vec<&str> = desired.candidates.iter().map(|candidate| &*candidate.name).collect();
        known.extend(desired.optional.iter().map(String::as_str));
        known.sort_unstable();
        known.dedup();
        let lookup =
            Lookup { definition, stack, group: self.group, values: &values, document: tree.as_ref(), known: &known };
        let subject = lookup.find(self.name)?;
        let settable = lookup.may_be_set(&subject);
        Ok((subject, settable, document))
    }

    async fn values_at(&self, revision: u64) -> Outcome<Value> {
        Ok(self.source.open(&self.stack.esc, &Version::Revision(revision)).await?.values)
    }

    /// The revision that is remembered for a rotation that was begun and not ended; none when there is none, or
    /// when the value is still the one of that revision.
    ///
    /// # Errors
    /// Those of the source.
    pub async fn under_way(&self, subject: &Subject) -> Outcome<Option<u64>> {
        let Some(revision) = self.source.tagged(&self.stack.esc, &subject.tag()).await? else { return Ok(None) };
        let before = subject.value_in(&self.values_at(revision).await?);
        let unchanged = match (&before, &subject.value) {
            (None, None) => true,
            (Some(before), Some(now)) => before.same_as(now),
            _ => false,
        };
        Ok((!unchanged).then_some(revision))
    }

    /// Refuses to begin a rotation while one of the same name is under way.
    ///
    /// # Errors
    /// `rotation-under-way`; those of the source.
    pub async fn may_start(&self, subject: &Subject) -> Outcome<()> {
        let Some(revision) = self.under_way(subject).await? else { return Ok(()) };
        let name = &subject.name;
        let message = format!("a rotation of `{name}` is under way, since revision {revision} of `{}`", self.stack.esc);
        let stack = &self.stack.name;
        Err(Failure::refused("rotation-under-way", message).hint(format!(
            "`rotation complete {name} --stack {stack}` ends it, `rotation rollback {name} --stack {stack}` takes it back"
        )))
    }

    /// Gives `subject` a new value, as one revision.
    ///
    /// # Errors
    /// Those of [`Subject::accepts`]; `rotation-conflict` when someone else changed the same secret since `subject`
    /// was looked up, `rotation-not-read-back` (partial) when it was written and could not be verified; those of the
    /// source.
    pub async fn start(&self, subject: &Subject, value: &SecretValue) -> Outcome<Changed> {
        subject.accepts(value)?;
        let values = vec![value.clone(); subject.paths.len()];
        self.write(subject, &values, Some(&subject.tag())).await
    }

    /// Like [`Self::start`]; a rotation that is under way goes on, and its revision from before stays remembered.
    ///
    /// # Errors
    /// Those of [`Self::start`].
    pub async fn replace(&self, subject: &Subject, value: &SecretValue) -> Outcome<Changed> {
        if self.under_way(subject).await?.is_none() {
            return self.start(subject, value).await;
        }
        subject.accepts(value)?;
        self.write(subject, &vec![value.clone(); subject.paths.len()], None).await
    }

    /// Puts the value back that the secret had before the rotation, as one revision; nothing else of the
    /// environment changes. Answers none when that is its value already.
    ///
    /// # Errors
    /// `rotation-not-started`, `rotation-nothing-before`, `rotation-changed-since` without `force`;
    /// `rotation-tag-left` (partial) when only the tag could not be removed; those of [`Self::start`].
    pub async fn roll_back(&self, subject: &Subject, force: bool) -> Outcome<Option<Changed>> {
        let (name, environment) = (&subject.name, &self.stack.esc);
        let tag = subject.tag();
        let Some(before) = self.source.tagged(environment, &tag).await? else { return Err(not_started(subject)) };
        let Some(old) = subject.value_in(&self.values_at(before).await?) else {
            let message = format!("revision {before} of `{environment}` holds no value of `{name}` to go back to");
            return Err(Failure::refused("rotation-nothing-before", message)
                .hint("`env rm` removes the new value; `env history` lists the revisions"));
        };
        if subject.value.as_ref().is_some_and(|now| now.same_as(&old)) {
            self.source.remove_tag(environment, &tag).await?;
            return Ok(None);
        }
        if !force {
            self.is_as_started(subject, before).await?;
        }
        let values = vec![old; subject.paths.len()];
        let changed = self.write(subject, &values, None).await?;
        self.source.remove_tag(environment, &tag).await.map_err(|failure| {
            let what = format!("the rotation is not ended: its tag `{tag}` could not be removed");
            self.after_write(changed.revision, "rotation-tag-left", &what, failure)
                .hint(format!("`rotation rollback {name}` again removes it"))
        })?;
        Ok(Some(Changed { before, ..changed }))
    }

    /// Ends a rotation: its revision is not remembered any more.
    ///
    /// # Errors
    /// Those of the source.
    pub async fn end(&self, subject: &Subject) -> Outcome<()> {
        self.source.remove_tag(&self.stack.esc, &subject.tag()).await
    }

    /// Fails when the value is not the one any more that the revision after `before` gave it.
    async fn is_as_started(&self, subject: &Subject, before: u64) -> Outcome<()> {
        let revisions = self.source.revisions(&self.stack.esc, MOST_REVISIONS).await?;
        let started = revisions.iter().map(|revision| revision.number).filter(|number| *number > before).min();
        let given = match started {
            Some(started) => subject.value_in(&self.values_at(started).await?),
            None => None,
        };
        if let (Some(given), Some(now)) = (&given, &subject.value)
            && given.same_as(now)
        {
            return Ok(());
        }
        let message = format!("`{}` was changed again after the rotation began; nothing was written", subject.name);
        Err(Failure::refused("rotation-changed-since", message).hint(format!(
            "`env history {}` shows by whom; --force puts the value of revision {before} back all the same",
            self.stack.esc
        )))
    }

    /// Writes `values` to the places of `subject`, starting over when the environment moved elsewhere. `remember` is
    /// the tag that names the revision from before.
    async fn write(&self, subject: &Subject, values: &[SecretValue], remember: Option<&str>) -> Outcome<Changed> {
        let (environment, name) = (&self.stack.esc, &subject.name);
        let was = match remember {
            Some(tag) => self.source.tagged(environment, tag).await?,
            None => None,
        };
        for _ in 0..ATTEMPTS {
            let (now, settable, document) = self.look().await?;
            settable?;
            if now.paths != subject.paths || !now.holds_the_same_as(subject) {
                let message = format!("someone else changed `{}` in the meantime; nothing was written", subject.name);
                // A tag that was set meanwhile stays: it may be the other's, whose rotation it names.
                return Err(Failure::refused("rotation-conflict", message).hint(format!(
                    "`env history {environment}` shows by whom; `rotation complete {name}` ends what is remembered"
                )));
            }
            let Some(before) = document.revision else {
                // Edited by hand in an embedded store: recorded first, so that there is a revision to go back to.
                let stored = self.source.update(environment, &document.text, document.etag.as_deref()).await;
                match stored {
                    Ok((Some(_), _)) => continue,
                    Err(failure) if failure.code == "esc-conflict" => continue,
                    Ok((None, _)) => {
                        return Err(Failure::unexpected("esc-answer", format!("`{environment}` has no revisions")));
                    }
                    Err(failure) => return Err(failure),
                }
            };
            let edits: Vec<Edit> = subject.paths.iter().zip(values).map(set).collect();
            let text = edit::apply(&document.text, &edits).map_err(|error| {
                Failure::refused(
                    "rotation-edit",
                    format!("the definition of `{environment}` could not be edited; nothing was written"),
                )
                .cause(error)
            })?;
            if let Some(tag) = remember
                && let Err(failure) = self.source.set_tag(environment, tag, before).await
            {
                let restore = may_be_written(&failure);
                return Err(if restore { self.restore(subject, tag, was, failure).await } else { failure });
            }
            match self.source.update(environment, &text, document.etag.as_deref()).await {
                Ok((revision, _)) => {
                    self.verify(subject, values).await.map_err(|failure| {
                        let next = match remember {
                            Some(_) => format!("`env history {environment}` shows who wrote; `rotation rollback {name}` takes it back"),
                            None => format!("`rotation rollback {name}` again ends the rotation, when the value is the one from before"),
                        };
                        self.after_write(revision, "rotation-not-read-back", "could not be verified", failure).hint(next)
                    })?;
                    return Ok(Changed { revision, before });
                }
                Err(failure) if failure.code == "esc-conflict" => {}
                Err(failure) => {
                    return Err(match remember {
                        Some(tag) if stored_nothing(&failure) => self.restore(subject, tag, was, failure).await,
                        // The tag stays: a write whose answer was lost may have been made.
                        Some(_) if failure.kind == FailureKind::Unexpected => failure
                            .hint(format!("if it was written all the same, `rotation rollback {name}` takes it back")),
                        _ => failure,
                    });
                }
            }
        }
        let message =
            format!("`{environment}` was changed by someone else {ATTEMPTS} times in a row; nothing was written");
        Err(Failure::refused("rotation-conflict", message).hint("try again when the others are done"))
    }

    /// Makes the tag what it `was`, after a write that stored nothing. Answers why it stored nothing.
    async fn restore(&self, subject: &Subject, tag: &str, was: Option<u64>, failure: Failure) -> Failure {
        let environment = &self.stack.esc;
        let restored = match was {
            Some(revision) => self.source.set_tag(environment, tag, revision).await,
            None => self.source.remove_tag(environment, tag).await,
        };
        match restored {
            Ok(()) => failure,
            Err(left) => failure.cause(format!("and its tag `{tag}` is left: {left}")).hint(format!(
                "nothing was written: do not roll back, but begin again with `rotation start {}`",
                subject.name
            )),
        }
    }

    /// The failure of what comes after a write that was made.
    fn after_write(&self, revision: Option<u64>, code: &'static str, what: &str, failure: Failure) -> Failure {
        let revision = revision.map_or_else(|| "a revision".to_owned(), |number| format!("revision {number}"));
        let message = format!("{revision} of `{}` was written, but {what}", self.stack.esc);
        let partial = Failure::new(FailureKind::Partial, code, message).cause(&failure).problems(failure.problems);
        failure.hints.into_iter().fold(partial, Failure::hint)
    }

    /// Opens the environment once more: it must give what was written.
    async fn verify(&self, subject: &Subject, values: &[SecretValue]) -> Outcome<()> {
        let opened = self.source.open(&self.stack.esc, &Version::Latest).await?.values;
        match (subject.value_in(&opened), values.first()) {
            (Some(held), Some(written)) if held.same_as(written) => Ok(()),
            _ => Err(Failure::unexpected(
                "rotation-not-read-back",
                format!("ESC gives another value of `{}` than was written", subject.name),
            )),
        }
    }
}

/// The failure of a command that needs a rotation to be under way.
pub(super) fn not_started(subject: &Subject) -> Failure {
    let name = &subject.name;
    Failure::refused("rotation-not-started", format!("no rotation of `{name}` is under way"))
        .hint(format!("`rotation start {name}` begins one; one that began with --group needs it here too"))
}

fn set((path, value): (&Path, &SecretValue)) -> Edit {
    Edit::Set { path: path.clone(), value: NewValue::Secret(value.clone()) }
}
