//! `emergency drill`: what each of its steps tries, and what that came to. Nothing real is written to.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::backup::{self, About};
use super::restore::{self, Settings};
use crate::base::error::Outcome;
use crate::base::secret::{FingerprintKey, SecretValue};
use crate::base::text::counted;
use crate::esc::provider::Providers;
use crate::flow::context::Context;
use crate::flow::doctor::{self, Questions};
use crate::flow::sync::{self, OpenedStack, Request};
use crate::io::age_keys::{Identities, Recipient};
use crate::io::archive::{self, BackupSource, Openers};
use crate::io::esc_local::{EscLocal, Settings as StoreSettings};
use crate::io::files::TemporaryFolder;
use crate::io::source::{Source, Version};
use crate::report::doctor::Verdict as Answer;
use crate::report::emergency::drill::Verdict;
use crate::rules::backup::{Backup, Difference, STALE_AFTER_DAYS, compare, leaves};
use crate::rules::definition::{Definition, Environment as Stack};

/// What a step came to, with a sentence.
pub type Came = (Verdict, String);

#[must_use]
pub fn passed(detail: impl Into<String>) -> Came {
    (Verdict::Passed, detail.into())
}

#[must_use]
pub fn skipped(detail: impl Into<String>) -> Came {
    (Verdict::Skipped, detail.into())
}

#[must_use]
pub fn failed(detail: impl Into<String>) -> Came {
    (Verdict::Failed, detail.into())
}

fn warned(detail: impl Into<String>) -> Came {
    (Verdict::Warning, detail.into())
}

/// Whether there are keys to open backups with, and more than one person to do it.
#[must_use]
pub fn keys(recipients: &[Recipient], identities: &Identities) -> Came {
    let own = identities.recipients();
    if identities.is_empty() {
        return failed(
            "no identity is at hand that could open a backup: set SOPHIA_AGE_KEY, or give --age-identity FILE",
        );
    }
    match recipients.len() {
        0 => warned("an identity is at hand; who else could open a backup was not said (--recipients-file)"),
        _ if !identities.has_passphrase() && !recipients.iter().any(|one| own.iter().any(|key| key.same_key(one))) => {
            failed("the identity at hand is none of the recipients")
        }
        1 => warned("one recipient: when its key is lost, nobody opens the backup; two or more are better"),
        count => passed(format!("an identity is at hand, and {count} recipients could open a backup")),
    }
}

/// Whether the backup that an emergency would be met with is young enough, and holds what ESC holds.
pub async fn at_hand(backup: &Backup, source: Option<&dyn Source>, stack: &Stack, now: Timestamp) -> Came {
    let Some((_, kept)) = backup.stack(&stack.name) else {
        return failed(format!("it does not hold stack `{}`", stack.name));
    };
    let about = backup.manifest.describe(now);
    let opened = match source {
        Some(source) => source.open(&stack.esc, &Version::Latest).await.ok(),
        None => None,
    };
    let Some(opened) = opened else {
        return warned(format!("it opens; ESC does not, so it was not compared; {about}"));
    };
    let differences = compare(&kept.values(), &opened.values);
    let differ = differences.iter().filter(|(_, found)| *found != Difference::Same).count();
    if differ > 0 {
        let verb = if differ == 1 { "differs" } else { "differ" };
        return warned(format!("it opens; {} {verb} from ESC; {about}", counted(differ, "value", "values")));
    }
    if backup.manifest.days_old(now) > STALE_AFTER_DAYS {
        return warned(format!("it opens and holds what ESC holds, but it is old; {about}"));
    }
    passed(format!("it opens and holds what ESC holds; {about}"))
}

/// `doctor`'s answer on ESC.
#[must_use]
pub fn esc(stack: &Stack, opened: &Outcome<OpenedStack>) -> Came {
    let checks = doctor::esc(stack, opened);
    let worst = checks.iter().max_by_key(|check| check.verdict);
    let Some(worst) = worst else { return skipped("nothing was asked") };
    match worst.verdict {
        Answer::Fine => passed("it opens, and has a fingerprint key"),
        Answer::Warning | Answer::Unknown => warned(worst.message.clone()),
        Answer::Failed | Answer::Denied => failed(worst.message.clone()),
    }
}

/// `doctor`'s answer on GitHub.
pub async fn github(questions: &Questions<'_>) -> Came {
    let checks = doctor::github(questions).await;
    match checks.iter().find(|check| check.verdict >= Answer::Failed) {
        Some(check) => failed(format!("{}: {}", check.name, check.message)),
        None => passed(format!("{} questions of `doctor` answered well", checks.len())),
    }
}

/// Makes a backup of the stack at `path`, which the identities of the drill open.
///
/// # Errors
/// Those of ESC and of the file.
pub async fn make(
    path: &Path,
    source: &dyn Source,
    definition: &Definition,
    stack: &Stack,
    about: About,
    own: &Identities,
) -> Outcome<()> {
    let (backup, _) = backup::gather(source, definition, std::slice::from_ref(stack), about).await?;
    archive::write(path, &backup, &Openers::Recipients(&own.recipients()), false)
}

/// Compares every value of the backup with ESC's, by fingerprint under ESC's key, or under `made_up` without one.
///
/// # Errors
/// Those of ESC and the backup.
pub async fn equal_to_esc(
    source: &dyn Source,
    backup: &Backup,
    stack: &Stack,
    opened: &OpenedStack,
    made_up: &SecretValue,
) -> Outcome<Came> {
    let key = opened.values.key.clone().or_else(|| FingerprintKey::new(made_up));
    let Some(key) = key else { return Ok(skipped("there is no key to compare by")) };
    let kept = BackupSource::new(backup.clone()).open(&stack.esc, &Version::Latest).await?.values;
    let now = source.open(&stack.esc, &Version::Latest).await?.values;
    let fingerprints = |root| -> Vec<_> {
        let leaves = leaves(root).into_iter();
        leaves
            .map(|(path, leaf)| {
                let path = path.to_string();
                let fingerprint = SecretValue::from(leaf.value.to_text()).fingerprint(&key, &path);
                (path, leaf.secret, fingerprint)
            })
            .collect()
    };
    let (kept, now) = (fingerprints(&kept), fingerprints(&now));
    if kept != now {
        return Ok(failed("the backup does not hold what ESC holds"));
    }
    Ok(passed(format!("{}, each equal to ESC's by fingerprint", counted(kept.len(), "value", "values"))))
}

/// Restores into an embedded store of the folder, and opens that. `clock` dates its revisions.
///
/// # Errors
/// Those of the backup and of the store.
pub async fn restored(
    backup: &Backup,
    stack: &Stack,
    folder: &TemporaryFolder,
    clock: fn() -> Timestamp,
) -> Outcome<Came> {
    let (identities, _) = Identities::generate();
    let store = EscLocal::new(StoreSettings {
        root: folder.path().join("store"),
        recipients: identities.recipients(),
        identities,
        author: "drill".to_owned(),
        now: Arc::new(clock),
        providers: Providers::default().tolerant().careful(),
    });
    // Imports and providers are elsewhere: the values are what must come back.
    let asked = Settings { values_only: true, create: true };
    let restore = restore::look(&store, backup, &stack.name, &stack.esc, asked).await?;
    let (_, warnings) = restore::write(&store, &stack.esc, &restore).await?;
    Ok(match warnings.first() {
        Some(warning) => failed(warning.message.clone()),
        None => passed(format!(
            "{} restored into an encrypted store and read back equal",
            counted(restore.changes.len(), "value", "values")
        )),
    })
}

/// Whether the plan from the backup is the one from ESC.
///
/// # Errors
/// Those of the backup and GitHub.
pub async fn sync_from(
    context: &Context<'_>,
    definition: &Definition,
    stack: &Stack,
    backup: Backup,
    opened: OpenedStack,
    request: &Request,
) -> Outcome<Came> {
    let from_backup = sync::open(definition, stack, &BackupSource::new(backup)).await?;
    let ready = std::future::ready;
    let one = sync::prepare(context, definition, stack, ready(Ok(from_backup.values)), request).await?;
    let other = sync::prepare(context, definition, stack, ready(Ok(opened.values)), request).await?;
    if one.plan.targets != other.plan.targets {
        return Ok(failed("a sync from the backup would do something else than one from ESC"));
    }
    let pending = one.plan.steps().filter(|(_, step)| step.action.writes()).count();
    Ok(match pending {
        0 => passed("a sync from the backup would change nothing, as one from ESC"),
        1 => passed("a sync from the backup would do the same step as one from ESC"),
        _ => passed(format!("a sync from the backup would do the same {pending} steps as one from ESC")),
    })
}
