//! The only user of `std::fs`: reading with a limit, writing that is whole or not at all, locks.
//!
//! **A file written by [`write_private`] or [`write_new`] is there complete or not at all**, also after a
//! kill or a power cut: the bytes go to a temporary file of the same folder, are flushed to disk, and take
//! the name in one step. Every error names the path and what to do about it, and never shows content.

pub mod growing;
pub mod tree;

use std::fs::{DirEntry, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::base::error::{Failure, Outcome};

/// What [`read_text`] callers take when they have no tighter limit: 16 MiB.
pub const LARGEST: u64 = 16 << 20;

/// How the names of temporary files begin and end.
const TEMPORARY: (&str, &str) = (".", ".tmp");

/// Reads a UTF-8 file of at most `limit` bytes. A byte order mark is kept.
///
/// # Errors
/// `file-missing`, `file-unreadable`, `file-too-large`, `file-not-text`; all of kind usage.
pub fn read_text(path: &Path, limit: u64) -> Outcome<String> {
    String::from_utf8(read_bytes(path, limit)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::usage("file-not-text", format!("`{}` is not UTF-8 text (byte {at})", path.display()))
            .hint("save the file as UTF-8")
    })
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// `file-missing`, `file-unreadable`, `file-too-large`; all of kind usage.
pub fn read_bytes(path: &Path, limit: u64) -> Outcome<Vec<u8>> {
    let failed = |error: &std::io::Error| cannot("read", path, error);
    let file = open_to_read(path).map_err(|error| failed(&error))?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(Failure::usage("file-too-large", format!("`{}` has more than {limit} bytes", path.display()))
            .hint("no such file needs that much: is it the right one?"));
    }
    Ok(bytes)
}

/// Reads a file of at most `limit` bytes, or nothing when there is none.
///
/// # Errors
/// As [`read_bytes`], `file-missing` aside.
pub fn read_if_there(path: &Path, limit: u64) -> Outcome<Option<Vec<u8>>> {
    match read_bytes(path, limit) {
        Err(failure) if failure.code == "file-missing" => Ok(None),
        other => other.map(Some),
    }
}

/// Replaces or makes a file that only its owner may read (mode 0600), in one step.
///
/// # Errors
/// `file-unwritable` (kind usage); the old content is then still there.
pub fn write_private(path: &Path, bytes: &[u8]) -> Outcome<()> {
    replace(path, bytes, 0o600)
}

/// Replaces or makes a file that others may read as far as the process's mask lets them, in one step.
/// For what holds no secret: reports, plans, templates.
///
/// # Errors
/// `file-unwritable` (kind usage); the old content is then still there.
pub fn write_public(path: &Path, bytes: &[u8]) -> Outcome<()> {
    replace(path, bytes, 0o666)
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> Outcome<()> {
    stage(path, bytes, mode)?.commit()
}

/// Puts the new content of a file that others may read on the disk, beside it; [`Staged::commit`] gives it the
/// file's name. What can fail has failed before.
///
/// # Errors
/// `file-unwritable` (kind usage).
pub fn stage_public(path: &Path, bytes: &[u8]) -> Outcome<Staged> {
    stage(path, bytes, 0o666)
}

fn stage(path: &Path, bytes: &[u8], mode: u32) -> Outcome<Staged> {
    let temporary = temporary_beside(path, bytes, mode).map_err(|error| cannot("write", path, &error))?;
    Ok(Staged { path: path.to_owned(), temporary })
}

/// The new content of a file, not yet under its name; goes when it is dropped.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    temporary: tempfile::NamedTempFile,
}

impl Staged {
    /// Replaces or makes the file, in one step.
    ///
    /// # Errors
    /// `file-unwritable` (kind usage); the old content is then still there.
    pub fn commit(self) -> Outcome<()> {
        let Self { path, temporary } = self;
        let failed = |error: &std::io::Error| cannot("write", &path, error);
        temporary.persist(&path).map_err(|error| failed(&error.error))?;
        flush_folder(&path).map_err(|error| failed(&error))
    }
}

/// Makes a file; never touches one that is there.
///
/// # Errors
/// `file-exists`, `file-unwritable`; kind usage.
pub fn write_new(path: &Path, bytes: &[u8]) -> Outcome<()> {
    make(path, bytes, 0o666)
}

/// The same for a file that only its owner may read (mode 0600).
///
/// # Errors
/// As [`write_new`].
pub fn write_new_private(path: &Path, bytes: &[u8]) -> Outcome<()> {
    make(path, bytes, 0o600)
}

fn make(path: &Path, bytes: &[u8], mode: u32) -> Outcome<()> {
    let failed = |error: &std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::usage("file-exists", format!("`{}` is already there", path.display()))
            .hint("it was not touched; move it away or choose another name"),
        _ => cannot("write", path, error),
    };
    let temporary = temporary_beside(path, bytes, mode).map_err(|error| failed(&error))?;
    temporary.persist_noclobber(path).map_err(|error| failed(&error.error))?;
    flush_folder(path).map_err(|error| failed(&error))
}

/// Makes a write beyond the limit on the size of files (`ulimit -f`) fail as on a full disk, instead of ending the
/// process in the middle of its work. Lasts until the process ends; to be called inside of a runtime.
#[cfg(unix)]
pub fn outlive_size_limits() {
    use tokio::signal::unix::{SignalKind, signal};
    // Without the handler the run is as safe as before: what was recorded stays so.
    let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
}

/// Adds `line` and a line break to a file (mode 0600 when it is made) and flushes it to disk.
/// A last line that a kill cut short is first ended, so that it spoils no other.
///
/// # Errors
/// `file-unwritable`; kind usage.
pub fn append_line(path: &Path, line: &[u8]) -> Outcome<()> {
    let failed = |error: &std::io::Error| cannot("write", path, error);
    let mut file = open_to_append(path).map_err(|error| failed(&error))?;
    let mut bytes = Vec::with_capacity(line.len() + 2);
    if ends_midway(&mut file).map_err(|error| failed(&error))? {
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(line);
    bytes.push(b'\n');
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(|error| failed(&error))
}

/// Makes a folder and those above it, readable by the owner only where it has to make them.
///
/// # Errors
/// `file-unwritable`; kind usage.
pub fn make_folder(path: &Path) -> Outcome<()> {
    make_folders(path, 0o700)
}

/// The same, readable by others as far as the process's mask lets them. For what holds no secret and is committed.
///
/// # Errors
/// As [`make_folder`].
pub fn make_public_folder(path: &Path) -> Outcome<()> {
    make_folders(path, 0o777)
}

fn make_folders(path: &Path, mode: u32) -> Outcome<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, mode);
    #[cfg(not(unix))]
    let _ = mode;
    builder.create(path).map_err(|error| cannot("make", path, &error))
}

/// Removes a file; one that is not there is fine.
///
/// # Errors
/// `file-unwritable`; kind usage.
pub fn remove(path: &Path) -> Outcome<()> {
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    let removed = std::fs::remove_file(path);
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(cannot("remove", path, &error)),
        _ => flush_folder(path).map_err(|error| cannot("remove", path, &error)),
    }
}

/// Removes the temporary files of writes to `folder` that were killed. For who alone writes there.
///
/// # Errors
/// `file-unreadable`, `file-unwritable`; kind usage.
pub fn remove_temporary(folder: &Path) -> Outcome<()> {
    let (prefix, suffix) = TEMPORARY;
    let left = |entry: &&Entry| !entry.is_folder && entry.name.starts_with(prefix) && entry.name.ends_with(suffix);
    list(folder)?.iter().filter(left).try_for_each(|entry| remove(&folder.join(&entry.name)))
}

/// Gives a file another name of the same disk, in one step; replaces what had that name.
///
/// # Errors
/// `file-unwritable`; kind usage.
pub fn move_to(path: &Path, to: &Path) -> Outcome<()> {
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    let moved = std::fs::rename(path, to);
    moved.and_then(|()| flush_folder(to)).map_err(|error| cannot("write", to, &error))
}

/// Removes a folder with all it holds; one that is not there is fine.
///
/// # Errors
/// `file-unwritable`; kind usage.
pub fn remove_folder(path: &Path) -> Outcome<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(cannot("remove", path, &error)),
        _ => Ok(()),
    }
}

/// What a folder holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The last part of the path; entries whose name is not UTF-8 are left out.
    pub name: String,
    /// Followed through links.
    pub is_folder: bool,
}

/// The entries of a folder whose names are text, sorted by name; none when there is no such folder.
///
/// # Errors
/// `file-unreadable`; kind usage.
pub fn list(folder: &Path) -> Outcome<Vec<Entry>> {
    let entries = entries(folder)?.into_iter();
    let text =
        |entry: DirEntry| Some(Entry { name: entry.file_name().into_string().ok()?, is_folder: entry.path().is_dir() });
    Ok(entries.filter_map(text).collect())
}

/// Whatever a folder holds, sorted by name; none when there is no such folder.
fn entries(folder: &Path) -> Outcome<Vec<DirEntry>> {
    let failed = |error: &std::io::Error| cannot("read", folder, error);
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| failed(&error))?,
    };
    let mut found = entries.collect::<Result<Vec<_>, _>>().map_err(|error| failed(&error))?;
    found.sort_by_key(DirEntry::file_name);
    Ok(found)
}

/// Whether something readable stands at `path`.
#[must_use]
pub fn is_there(path: &Path) -> bool {
    path.exists()
}

/// Whether `path` is a folder, through links.
#[must_use]
pub fn is_folder(path: &Path) -> bool {
    path.is_dir()
}

/// Whether `path` is a file and no folder, pipe or device; through links.
#[must_use]
pub fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// Whether both paths lead to the same thing that is there.
#[must_use]
pub fn is_same(left: &Path, right: &Path) -> bool {
    left.canonicalize().is_ok_and(|left| right.canonicalize().is_ok_and(|right| left == right))
}

/// The first file called `name` in the folder `from` or one above it.
#[must_use]
pub fn find_upwards(name: &str, from: &Path) -> Option<PathBuf> {
    from.ancestors().map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// A folder under the system's temporary folder that goes with its owner, who alone may look into it.
pub struct TemporaryFolder(tempfile::TempDir);

impl TemporaryFolder {
    /// # Errors
    /// `file-unwritable`; kind usage.
    pub fn new() -> Outcome<Self> {
        let mut folder = tempfile::Builder::new();
        folder.prefix("sophia-secrets-sync-");
        // What is put into it by others, an editor for instance, has the rights that they give it.
        #[cfg(unix)]
        folder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let made = folder.tempdir();
        Ok(Self(made.map_err(|error| {
            let message = format!("cannot make a folder in `{}`", std::env::temp_dir().display());
            Failure::usage("file-unwritable", message)
                .cause(sentence(&error))
                .hint("TMPDIR names the folder for temporary files: one that is there and can be written")
        })?))
    }

    /// Leaves the folder there, for its owner to remove.
    pub fn keep(self) {
        let _ = self.0.keep();
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// An exclusive lock on a file, held until dropped. The kernel lets go of it when the process dies, so a
/// kill leaves nothing to clean up; the file itself stays.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not used")] File);

impl Lock {
    /// Takes the lock at once, or answers none when another process holds it. Makes the file.
    ///
    /// # Errors
    /// `file-unwritable`; kind usage.
    pub fn try_take(path: &Path) -> Outcome<Option<Self>> {
        let file = open_to_append(path).map_err(|error| cannot("lock", path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(cannot("lock", path, &error)),
        }
    }

    /// Waits for the lock. Blocks the thread: async callers use `spawn_blocking`.
    ///
    /// # Errors
    /// `file-unwritable`; kind usage.
    pub fn take(path: &Path) -> Outcome<Self> {
        let file = open_to_append(path).map_err(|error| cannot("lock", path, &error))?;
        file.lock().map_err(|error| cannot("lock", path, &error))?;
        Ok(Self(file))
    }
}

fn cannot(verb: &str, path: &Path, error: &std::io::Error) -> Failure {
    let shown = path.display();
    let reading = verb == "read";
    let (code, hint) = match error.kind() {
        ErrorKind::NotFound if reading => ("file-missing", "check the path".to_owned()),
        ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            ("file-unwritable", format!("make the folder `{}` first", folder.display()))
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => (
            if reading { "file-unreadable" } else { "file-unwritable" },
            "check the permissions of the file and of its folder".to_owned(),
        ),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ("file-unwritable", "free some disk space".to_owned()),
        ErrorKind::IsADirectory => {
            (if reading { "file-unreadable" } else { "file-unwritable" }, "name a file, not a folder".to_owned())
        }
        _ => (if reading { "file-unreadable" } else { "file-unwritable" }, "check the path and the disk".to_owned()),
    };
    Failure::usage(code, format!("cannot {verb} `{shown}`")).cause(sentence(error)).hint(hint)
}

/// The operating system's words without Rust's `(os error N)`.
fn sentence(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "this is the place")]
fn open_to_read(path: &Path) -> std::io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

#[expect(clippy::disallowed_methods, reason = "this is the place")]
fn open_to_append(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn ends_midway(file: &mut File) -> std::io::Result<bool> {
    use std::io::{Seek as _, SeekFrom};
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn temporary_beside(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY.0).suffix(TEMPORARY.1);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    let mut temporary = builder.tempfile_in(folder_of(path))?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

/// Makes a rename last through a power cut. Windows has no such call and needs none.
fn flush_folder(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        #[expect(clippy::disallowed_methods, reason = "this is the place")]
        let folder = File::open(folder_of(path))?;
        folder.sync_all()
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[cfg(unix)]
    fn mode(path: &Path) -> u32 {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_private_file_is_replaced_whole_and_only_its_owner_reads_it() {
        let folder = folder();
        let path = folder.path().join("secret");
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(read_text(&path, 3).unwrap(), "two");
        #[cfg(unix)]
        assert_eq!(mode(&path), 0o600);
        assert_eq!(list(folder.path()).unwrap().len(), 1, "no temporary file is left");
    }

    #[test]
    fn a_new_file_never_overwrites() {
        let folder = folder();
        let path = folder.path().join("new");
        write_new(&path, b"mine").unwrap();
        assert_eq!(write_new(&path, b"other").unwrap_err().code, "file-exists");
        assert_eq!(read_bytes(&path, LARGEST).unwrap(), b"mine");
        assert_eq!(list(folder.path()).unwrap().len(), 1);
    }

    #[test]
    fn reading_says_what_is_wrong_and_where() {
        let folder = folder();
        let path = folder.path().join("text");
        let missing = read_text(&path, 10).unwrap_err();
        assert_eq!((missing.code, missing.kind.exit_code()), ("file-missing", 2));
        assert!(missing.message.contains("text") && !missing.hints.is_empty());
        assert_eq!(read_if_there(&path, 10).unwrap(), None);
        write_public(&path, b"12345678901").unwrap();
        assert_eq!(read_text(&path, 10).unwrap_err().code, "file-too-large");
        assert_eq!(read_text(&path, 11).unwrap().len(), 11);
        write_public(&path, b"a\xff").unwrap();
        assert!(read_text(&path, 10).unwrap_err().message.contains("byte 1"));
        assert_eq!(read_text(folder.path(), 10).unwrap_err().code, "file-unreadable");
    }

    #[test]
    fn a_cut_line_spoils_no_later_one() {
        let folder = folder();
        let path = folder.path().join("log");
        append_line(&path, b"one").unwrap();
        append_line(&path, b"two").unwrap();
        assert_eq!(read_text(&path, LARGEST).unwrap(), "one\ntwo\n");
        write_private(&path, b"one\ntw").unwrap();
        append_line(&path, b"three").unwrap();
        assert_eq!(read_text(&path, LARGEST).unwrap(), "one\ntw\nthree\n");
    }

    #[test]
    fn a_lock_keeps_others_out_until_it_is_dropped() {
        let folder = folder();
        let path = folder.path().join("lock");
        let held = Lock::try_take(&path).unwrap();
        assert!(held.is_some());
        assert!(Lock::try_take(&path).unwrap().is_none());
        drop(held);
        assert!(Lock::try_take(&path).unwrap().is_some());
    }

    #[test]
    fn a_file_is_found_upwards_but_not_downwards() {
        let folder = folder();
        let deep = folder.path().join("a/b/c");
        make_folder(&deep).unwrap();
        write_public(&folder.path().join("a/wanted.yaml"), b"").unwrap();
        assert_eq!(find_upwards("wanted.yaml", &deep), Some(folder.path().join("a/wanted.yaml")));
        assert_eq!(find_upwards("wanted.yaml", folder.path()), None);
    }

    #[test]
    fn writing_where_it_cannot_be_keeps_what_was_there() {
        let folder = folder();
        let path = folder.path().join("no/such/file");
        let failure = write_private(&path, b"x").unwrap_err();
        assert_eq!(failure.code, "file-unwritable");
        assert!(failure.hints[0].contains("no/such"), "{failure:?}");
    }
}
