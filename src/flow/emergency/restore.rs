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
use crate::io::source::{Secrets, Source, Version};
use crate::rules::backup::{Backup, Difference, compare};

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
    /// The revision in ESC and the one of the backup, when ESC has moved on since.
    pub newer: Option<(u64, u64)>,
    pub warnings: Vec<Problem>,
    exists: bool,
    etag: Option<String>,
    text: Zeroizing<String>,
    wanted: Value,
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
        newer: None,
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
            restore.newer = document.revision.zip(contents.revision).filter(|(now, then)| same_place && now > then);
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
