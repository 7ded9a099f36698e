//! The audit trail on disk: JSON lines that are chained (`rules::audit`), in one file that several processes may
//! share, with a head file beside it.
//!
//! **The trail is opened, and its first line is on the disk, before anything is written elsewhere;** without it
//! nothing is. Each line is on the disk when [`AuditLog::append`] answers. The head file names the last line; it
//! may lag behind after a power cut, which does no harm: `audit verify` takes a trail that is longer than it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::{Timestamp, Unit};

use crate::base::error::{Failure, Outcome};
use crate::io::files::{self, growing};
use crate::rules::audit::{Entry, Head, Line, Run};

/// No line is longer, bytes; so the last one is found without reading the whole trail.
const LONGEST_LINE: u64 = 64 << 10;

/// The longest trail that is read whole, bytes.
const LARGEST_TRAIL: u64 = 2 << 30;

/// The code of a failure after which the lines are in the trail all the same: only the head file lags behind.
pub const HEAD_UNWRITABLE: &str = "audit-head-unwritable";

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What it takes to open the trail, once something is about to be written.
#[derive(Clone)]
pub struct Trail {
    pub path: PathBuf,
    /// Who runs which command; what the run works on is added when the trail is opened.
    pub run: Run,
    pub clock: Clock,
}

impl Trail {
    /// Opens the trail for `run`, which is [`Self::run`] with more said.
    ///
    /// # Errors
    /// As [`AuditLog::open`].
    pub fn open(&self, run: Run) -> Outcome<AuditLog> {
        AuditLog::open(&self.path, run, (self.clock)())
    }

    /// Whether the trail could be opened now, for what must not be done when the write after it cannot be recorded.
    /// Adds no line.
    ///
    /// # Errors
    /// As [`AuditLog::open`].
    pub fn check(&self) -> Outcome<()> {
        AuditLog::at(&self.path, self.run.clone(), (self.clock)())?.check()
    }
}

/// A trail that is open for adding to it, for one run.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    run: Run,
    began: (Timestamp, Instant),
    state: Mutex<State>,
    queue: Mutex<Queue>,
    flushed: tokio::sync::Mutex<Flushed>,
}

/// Lines that tasks want to add together.
#[derive(Debug, Default)]
struct Queue {
    entries: Vec<Entry>,
    /// How many ever came.
    count: u64,
}

/// What became of the queue so far.
#[derive(Debug, Default)]
struct Flushed {
    /// How many of those that ever came are in the trail.
    count: u64,
    failure: Option<Failure>,
}

#[derive(Debug)]
struct State {
    file: growing::Growing,
    /// The last line, and how long the file was behind it. Another process may have added more since.
    head: Head,
    length: u64,
}

/// Where the head of the trail at `path` is noted.
#[must_use]
pub fn head_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".head");
    name.into()
}

impl AuditLog {
    /// Opens the trail, or makes it with its folder, and adds the line `run-started`. `now` is the time of the
    /// process's clock; the times of later lines are counted from it.
    ///
    /// # Errors
    /// Exit code 3, since nothing was written then: `audit-unwritable` when the file cannot be added to,
    /// [`HEAD_UNWRITABLE`] when the head file cannot, `audit-broken` when the trail's end is not what the head file says.
    pub fn open(path: &Path, run: Run, now: Timestamp) -> Outcome<Self> {
        let log = Self::at(path, run, now)?;
        log.append(&Entry::of("run-started"))?;
        Ok(log)
    }

    /// Opens the file, or makes it with its folder.
    fn at(path: &Path, run: Run, now: Timestamp) -> Outcome<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            files::make_folder(folder).map_err(|failure| unwritable(path, &failure))?;
        }
        let file = growing::Growing::open(path).map_err(|failure| unwritable(path, &failure))?;
        let state = State { file, head: Head::genesis(), length: u64::MAX };
        Ok(Self {
            path: path.to_owned(),
            run,
            began: (now, Instant::now()),
            state: Mutex::new(state),
            queue: Mutex::default(),
            flushed: tokio::sync::Mutex::default(),
        })
    }

    /// Compares the end of the file with the head file.
    fn check(&self) -> Outcome<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut locked = state.file.lock().map_err(|failure| unwritable(&self.path, &failure))?;
        self.end(&mut locked).map(|_| ())
    }

    /// Adds one line. Blocks until it is on the disk; callers on several tasks and processes take turns.
    ///
    /// # Errors
    /// As [`Self::open`]. What was done so far stays in the trail.
    pub fn append(&self, entry: &Entry) -> Outcome<()> {
        self.append_all(std::slice::from_ref(entry))
    }

    /// Adds one line without holding up the caller's thread. What several tasks bring while the disk is busy is added
    /// together next, with one flush. The line is on the disk when this answers.
    ///
    /// # Errors
    /// As [`Self::append`]. After a failure nothing more is added this way, unless only the head file could not be
    /// written: one caller whose line was added then is told so.
    pub async fn append_beside(self: &Arc<Self>, entry: Entry) -> Outcome<()> {
        let number = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.entries.push(entry);
            queue.count += 1;
            queue.count
        };
        let mut flushed = self.flushed.lock().await;
        if flushed.count < number && flushed.failure.is_none() {
            let (entries, count) = {
                let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                (std::mem::take(&mut queue.entries), queue.count)
            };
            let log = Arc::clone(self);
            let added = tokio::task::spawn_blocking(move || log.append_all(&entries)).await;
            let ended = |error| Failure::unexpected("audit-thread", "the audit trail was not added to").cause(error);
            match added.map_err(ended).flatten() {
                Err(failure) if failure.code != HEAD_UNWRITABLE => flushed.failure = Some(failure),
                added => {
                    flushed.count = count;
                    return added;
                }
            }
        }
        // What was added before another failed stays added.
        flushed.failure.clone().filter(|_| flushed.count < number).map_or(Ok(()), Err)
    }

    /// Adds lines that belong together, and waits for the disk once.
    ///
    /// # Errors
    /// As [`Self::append`]; none of them is in the trail then, or all of them ([`HEAD_UNWRITABLE`]).
    pub fn append_all(&self, entries: &[Entry]) -> Outcome<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { file, head, length } = &mut *state;
        let failed = |failure: Failure| unwritable(&self.path, &failure);
        let mut locked = file.lock().map_err(failed)?;
        if locked.length().map_err(failed)? != *length {
            (*head, *length) = self.end(&mut locked)?;
        }
        let (mut lines, mut next) = (String::new(), head.clone());
        for entry in entries {
            let (line, following) = next.next(self.time(), &self.run, entry).map_err(|error| {
                Failure::unexpected("audit-entry", "a line of the audit trail could not be made").cause(error)
            })?;
            let bytes = line.len() as u64 + 1;
            if bytes > LONGEST_LINE {
                let message = format!("a line of the audit trail would have {bytes} bytes");
                return Err(Failure::unexpected("audit-entry", message));
            }
            lines.push_str(&line);
            lines.push('\n');
            next = following;
        }
        locked.append(lines.as_bytes()).map_err(failed)?;
        (*head, *length) = (next, *length + lines.len() as u64);
        growing::overwrite(&head_path(&self.path), &format!("{head}\n")).map_err(|failure| {
            let message = format!("the head file of the audit trail `{}` cannot be written", self.path.display());
            refused(HEAD_UNWRITABLE, message, &failure)
                .hint("what is in the trail is true; let the head file be written")
        })
    }

    /// The head as it is now, to be published as an anchor: `SEQUENCE:HASH`.
    #[must_use]
    pub fn head(&self) -> String {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).head.to_string()
    }

    fn time(&self) -> Timestamp {
        let (began, clock) = self.began;
        let now = began.checked_add(clock.elapsed()).unwrap_or(began);
        now.round(Unit::Millisecond).unwrap_or(now)
    }

    /// Finds the last line and checks it against the head file. A tail without a line break is a write that
    /// was interrupted before it was answered: it is taken away.
    fn end(&self, locked: &mut growing::Locked<'_>) -> Outcome<(Head, u64)> {
        let failed = |failure: Failure| unwritable(&self.path, &failure);
        let mut length = locked.length().map_err(failed)?;
        let mut tail = locked.tail(2 * LONGEST_LINE).map_err(failed)?;
        let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let cut = tail.len() - whole;
        tail.truncate(whole);
        let last = tail.strip_suffix(b"\n").and_then(|lines| lines.rsplit(|byte| *byte == b'\n').next());
        let head = match last.map(Line::read) {
            None => Head::genesis(),
            Some(Some(line)) if line.intact => line.head(),
            Some(_) => return Err(self.broken("its last line is not one of an audit trail")),
        };
        let noted = files::read_if_there(&head_path(&self.path), 4096).map_err(failed)?;
        let noted = noted.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| text.parse::<Head>().ok());
        if noted
            .is_some_and(|noted| noted.sequence > head.sequence || (noted.sequence == head.sequence && noted != head))
        {
            return Err(self.broken("its end is not the one that the head file names"));
        }
        if cut > 0 {
            length -= cut as u64;
            locked.cut(length).map_err(failed)?;
        }
        Ok((head, length))
    }

    fn broken(&self, why: &str) -> Failure {
        Failure::refused("audit-broken", format!("the audit trail `{}` was changed: {why}", self.path.display()))
            .hint("run `audit verify`, keep both files as evidence, and start a new trail at another place")
    }
}

fn unwritable(path: &Path, failure: &Failure) -> Failure {
    refused("audit-unwritable", format!("the audit trail `{}` cannot be written", path.display()), failure)
        .hint("nothing is written without an audit trail; name another place with --audit-log")
}

/// A trail that cannot be written stops the run: with its causes, as a refusal.
fn refused(code: &'static str, message: String, failure: &Failure) -> Failure {
    let mut refused = Failure::refused(code, message).cause(&failure.message);
    refused.causes.extend(failure.causes.iter().cloned());
    refused.hints.extend(failure.hints.iter().cloned());
    refused
}

/// A trail as it lies on the disk.
#[derive(Debug, Clone)]
pub struct Stored {
    pub trail: Vec<u8>,
    /// The text of the head file; none when there is none.
    pub head: Option<String>,
}

/// Reads a trail and its head file. While others add to it, the trail may be longer than the head says.
///
/// # Errors
/// `file-missing` when there is neither; `file-unreadable`, `file-too-large`.
pub fn read(path: &Path) -> Outcome<Stored> {
    let head = files::read_if_there(&head_path(path), 4096)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let trail = match (files::read_if_there(path, LARGEST_TRAIL)?, &head) {
        (Some(trail), _) => trail,
        (None, Some(_)) => Vec::new(),
        (None, None) => {
            return Err(Failure::usage("file-missing", format!("there is no audit trail at `{}`", path.display()))
                .hint("name it with --audit-log; the first command that writes something makes it"));
        }
    };
    Ok(Stored { trail, head })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::audit::samples::{run, step};
    use crate::rules::audit_chain::{Verification, verify};

    fn now() -> Timestamp {
        "2026-05-28T20:26:40Z".parse().unwrap()
    }

    fn verified(path: &Path) -> Verification {
        let stored = read(path).unwrap();
        verify(&stored.trail, stored.head.as_deref(), &[])
    }

    fn overwrite(path: &Path, bytes: &[u8]) {
        files::write_private(path, bytes).unwrap();
    }

    #[test]
    fn a_run_is_written_line_by_line_and_verifies() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/audit.jsonl");
        let log = AuditLog::open(&path, run(), now()).unwrap();
        log.append(&step("A")).unwrap();
        drop(log);
        let log = AuditLog::open(&path, run(), now()).unwrap();
        log.append(&step("B")).unwrap();
        let verification = verified(&path);
        assert!(verification.is_whole(), "{:?}", verification.findings);
        assert_eq!((verification.lines, verification.head.to_string()), (4, log.head()));
        #[cfg(unix)]
        for path in [&path, &head_path(&path)] {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn two_logs_on_one_file_take_turns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let log = AuditLog::open(&path, run(), now()).unwrap();
                    (0..50).for_each(|index| log.append(&step(&format!("N{index}"))).unwrap());
                });
            }
        });
        let verification = verified(&path);
        assert!(verification.is_whole(), "{:?}", verification.findings);
        assert_eq!(verification.lines, 4 * 51);
    }

    #[tokio::test]
    async fn what_tasks_bring_together_is_added_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let log = Arc::new(AuditLog::open(&path, run(), now()).unwrap());
        let all = (0..100).map(|index| log.append_beside(step(&format!("N{index:02}"))));
        assert!(futures_util::future::join_all(all).await.into_iter().all(|added| added.is_ok()));
        let verification = verified(&path);
        assert!(verification.is_whole(), "{:?}", verification.findings);
        assert_eq!(verification.lines, 101);

        let too_long = "N".repeat(usize::try_from(LONGEST_LINE).unwrap());
        let (first, long, beside) = tokio::join!(
            log.append_beside(step("FIRST")),
            log.append_beside(step(&too_long)),
            log.append_beside(step("BESIDE")),
        );
        first.unwrap();
        for failed in [long, beside, log.append_beside(step("AFTER")).await] {
            assert_eq!(failed.unwrap_err().code, "audit-entry");
        }
        assert_eq!(
            verified(&path).lines,
            102,
            "the first was alone; no other without all that were to be added with it"
        );
    }

    #[test]
    fn an_interrupted_write_is_taken_away_and_the_chain_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        AuditLog::open(&path, run(), now()).unwrap();
        let mut bytes = read(&path).unwrap().trail;
        bytes.extend_from_slice(b"{\"schema_version\":1,\"seq");
        overwrite(&path, &bytes);
        assert_eq!(verified(&path).findings[0].code, "audit-tail-cut");
        AuditLog::open(&path, run(), now()).unwrap();
        assert!(verified(&path).is_whole());
        assert_eq!(verified(&path).lines, 2);
    }

    #[test]
    fn a_lost_head_note_does_not_stop_a_run_but_a_lost_line_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let log = AuditLog::open(&path, run(), now()).unwrap();
        let one = read(&path).unwrap();
        log.append(&step("A")).unwrap();
        overwrite(&head_path(&path), one.head.unwrap().as_bytes());
        log.append(&step("B")).unwrap();
        files::remove(&head_path(&path)).unwrap();
        log.append(&step("C")).unwrap();
        assert!(verified(&path).is_whole());

        overwrite(&path, &one.trail);
        let failure = AuditLog::open(&path, run(), now()).unwrap_err();
        assert_eq!((failure.code, failure.kind.exit_code()), ("audit-broken", 3));
        assert_eq!(read(&path).unwrap().trail, one.trail, "the evidence was not touched");
        overwrite(&path, b"not a line\n");
        assert_eq!(AuditLog::open(&path, run(), now()).unwrap_err().code, "audit-broken");
    }

    #[tokio::test]
    async fn lines_are_in_the_trail_once_where_only_the_head_file_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let log = Arc::new(AuditLog::open(&path, run(), now()).unwrap());
        files::remove(&head_path(&path)).unwrap();
        files::make_folder(&head_path(&path)).unwrap();
        assert_eq!(log.append(&step("A")).unwrap_err().code, HEAD_UNWRITABLE);
        for name in ["B", "C"] {
            assert_eq!(log.append_beside(step(name)).await.unwrap_err().code, HEAD_UNWRITABLE);
        }
        let bytes = files::read_bytes(&path, files::LARGEST).unwrap();
        let verification = verify(&bytes, Some(&log.head()), &[]);
        assert!(verification.is_whole(), "{:?}", verification.findings);
        assert_eq!(verification.lines, 4);
        assert_eq!(Arc::into_inner(log).unwrap().head().split(':').next(), Some("4"));
    }

    #[test]
    fn a_trail_that_cannot_be_written_refuses_the_run() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("file/audit.jsonl")] {
            overwrite(&folder.path().join("file"), b"");
            let failure = AuditLog::open(&path, run(), now()).unwrap_err();
            assert_eq!((failure.code, failure.kind.exit_code()), ("audit-unwritable", 3));
            assert!(!failure.causes.is_empty());
        }
    }

    #[test]
    fn times_go_on_from_the_given_clock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        AuditLog::open(&path, run(), now()).unwrap();
        let line = Line::read(read(&path).unwrap().trail.trim_ascii_end()).unwrap();
        assert!(line.record.time >= now() && line.record.time < now() + std::time::Duration::from_secs(60));
    }
}
