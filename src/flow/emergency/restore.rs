//! `emergency restore`: a backup's environment becomes the newest revision of one in ESC.
//!
//! **Nobody's newer work is undone unasked:** an environment that moved on since the backup was made is written
//! only when that is asked for, and a write in between (ETag) ends the restore.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::base::environment::EscName;
use crate::base::error::{Failure, FailureKind, Outcome, Problem};
use crate::esc::flat;
use crate::esc::value::{Content, Value};
use crate::io::source::{Secrets, Source, SourceKind, Version};
use crate::rules::backup::{Backup, Contents, Difference, compare};

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Write the values alone, even where the definition was kept.
    pub values_only: bool,
    /// Make the environment when there is none.
    pub create: bool,
}

/// A restore that was looked at and can be done.
pub struct Restore {
    /// `definition` or `values`: what is written.
    pub form: &'static str,
    pub changes: Vec<(String, Difference)>,
    pub text_differs: bool,
    /// Why ESC may hold what the backup has never seen.
    pub moved: Option<Moved>,
    pub warnings: Vec<Problem>,
    exists: bool,
    etag: Option<String>,
    text: Zeroizing<String>,
    wanted: Value,
}

/// How the environment stands to the state that a backup was made of, when it is not known to be that state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// It has newer revisions.
    On { now: u64, then: u64 },
    /// Its revisions are fewer than when the backup was made.
    Anew { now: u64, then: u64 },
    /// Its text was edited by hand since its last revision.
    ByHand,
    /// The backup was made of a text that was no revision.
    NoRevision,
    /// The backup is of another kind of source, whose revisions say nothing here.
    OtherSource,
}

impl Moved {
    /// None when the environment is as it was when the backup was made.
    fn since(contents: &Contents, kind: SourceKind, now: Option<u64>) -> Option<Self> {
        match (now, contents.revision) {
            _ if contents.source != kind.word() => Some(Self::OtherSource),
            (None, _) => Some(Self::ByHand),
            (_, None) => Some(Self::NoRevision),
            (Some(now), Some(then)) if now > then => Some(Self::On { now, then }),
            (Some(now), Some(then)) if now < then => Some(Self::Anew { now, then }),
            _ => None,
        }
    }

    /// The same as a sentence about the environment `to`.
    #[must_use]
    pub fn tell(self, to: &EscName) -> String {
        match self {
            Self::On { now, then } => format!("`{to}` is at revision {now}, and the backup is of revision {then}"),
            Self::Anew { now, then } => {
                format!("`{to}` is at revision {now}, and the backup is of revision {then}: it was made anew since")
            }
            Self::ByHand => format!("`{to}` was edited by hand since its last revision"),
            Self::NoRevision => {
                format!("the backup names no revision, so it cannot be told whether `{to}` was changed since")
            }
            Self::OtherSource => {
                format!("the backup was made elsewhere, so it cannot be told whether it is older than `{to}`")
            }
        }
    }
}

impl Restore {
    /// Whether there is anything to write.
    #[must_use]
    pub fn changes(&self) -> bool {
        !self.exists || self.text_differs || self.changes.iter().any(|(_, difference)| *difference != Difference::Same)
    }
}

/// Looks at what restoring `stack` into the environment `to` would do; nothing is written.
///
/// # Errors
/// `backup-stack` for a stack that the backup does not hold; `esc-not-found` unless `create`; those of the
/// source.
pub async fn look(
    source: &dyn Source,
    backup: &Backup,
    stack: &str,
    to: &EscName,
    asked: Settings,
) -> Outcome<Restore> {
    let (contents, kept) = backup.stack(stack).ok_or_else(|| missing(backup, stack))?;
    let wanted = kept.values();
    let (form, text) = match &kept.document {
        Some(text) if !asked.values_only => ("definition", text.clone()),
        _ => ("values", flat::definition(&wanted)),
    };
    let mut restore = Restore {
        form,
        changes: Vec::new(),
        text_differs: false,
        moved: None,
        warnings: Vec::new(),
        exists: true,
        etag: None,
        text: Zeroizing::new(text),
        wanted,
    };
    let now = match source.read(to, &Version::Latest, Secrets::Encrypted).await {
        Ok(document) => {
            restore.etag = document.etag;
            let same_place = contents.environment == to.to_string();
            if same_place {
                restore.moved = Moved::since(contents, source.kind(), document.revision);
            }
            current(source, to, &mut restore).await?
        }
        Err(failure) if failure.code == "esc-not-found" && asked.create => {
            restore.exists = false;
            empty()
        }
        Err(failure) if failure.code == "esc-not-found" => return Err(failure.hint("--create makes it")),
        Err(failure) => return Err(failure),
    };
    restore.changes = compare(&restore.wanted, &now);
    if !kept.unknown.is_empty() && restore.form == "values" {
        let message = format!("the backup did not know `{}`: not restored", kept.unknown.join("`, `"));
        restore.warnings.push(Problem::warning("restore-unknown", message));
    }
    Ok(restore)
}

fn empty() -> Value {
    Value::plain(Content::Object(BTreeMap::new()))
}

/// What the environment gives now. One that cannot be opened any more is no obstacle: it may be why one restores.
async fn current(source: &dyn Source, to: &EscName, restore: &mut Restore) -> Outcome<Value> {
    if restore.form == "definition" {
        let stored = source.read(to, &Version::Latest, Secrets::Decrypted).await;
        restore.text_differs = stored.is_ok_and(|document| document.text != *restore.text);
    }
    match source.open(to, &Version::Latest).await {
        Ok(opened) => Ok(opened.values),
        Err(failure) if failure.kind == FailureKind::Auth => Err(failure),
        Err(failure) => {
            let message = format!("`{to}` cannot be opened now, so all of the backup counts as new: {failure}");
            restore.warnings.push(Problem::warning("restore-unopened", message));
            restore.text_differs = true;
            Ok(empty())
        }
    }
}

fn missing(backup: &Backup, stack: &str) -> Failure {
    let known: Vec<&str> = backup.manifest.stacks.iter().map(|contents| contents.stack.as_str()).collect();
    Failure::usage("backup-stack", format!("the backup does not hold stack `{stack}`"))
        .hint(crate::rules::nearest::hint(stack, &known))
}

/// Writes one revision and opens it again. Answers its number, and warnings.
///
/// # Errors
/// `esc-conflict` when someone else wrote in between; those of the source.
pub async fn write(source: &dyn Source, to: &EscName, restore: &Restore) -> Outcome<(Option<u64>, Vec<Problem>)> {
    let etag = if restore.exists {
        restore.etag.clone()
    } else {
        source.create(to).await?;
        source.read(to, &Version::Latest, Secrets::Encrypted).await?.etag
    };
    let (revision, _) = source.update(to, &restore.text, etag.as_deref()).await?;
    let opened = source.open(to, &Version::Latest).await.map_err(|failure| {
        Failure::new(FailureKind::Partial, "restore-unopened", format!("`{to}` was written, but cannot be opened"))
            .cause(&failure)
            .hint("--values restores the values alone, without what they were computed from")
    })?;
    let differ: Vec<String> = compare(&restore.wanted, &opened.values)
        .into_iter()
        .filter(|(_, difference)| *difference != Difference::Same)
        .map(|(property, _)| format!("`{property}`"))
        .collect();
    let warning = (!differ.is_empty()).then(|| {
        let message = format!("`{to}` now gives other values than the backup for {}", differ.join(", "));
        Problem::warning("restore-differs", message)
            .hint("what they are computed from has changed; --values restores the values alone")
    });
    Ok((revision, warning.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::backup::samples::backup;

    #[test]
    fn only_the_same_revision_of_the_same_kind_of_source_is_unmoved() {
        let mut contents = backup().manifest.stacks.remove(0);
        let since = |contents: &Contents, kind, now| Moved::since(contents, kind, now);
        assert_eq!(since(&contents, SourceKind::Cloud, Some(12)), None);
        assert_eq!(since(&contents, SourceKind::Cloud, Some(13)), Some(Moved::On { now: 13, then: 12 }));
        assert_eq!(since(&contents, SourceKind::Cloud, Some(3)), Some(Moved::Anew { now: 3, then: 12 }));
        assert_eq!(since(&contents, SourceKind::Local, Some(12)), Some(Moved::OtherSource));
        assert_eq!(since(&contents, SourceKind::Cloud, None), Some(Moved::ByHand));
        contents.revision = None;
        assert_eq!(since(&contents, SourceKind::Cloud, Some(12)), Some(Moved::NoRevision));
    }
}
