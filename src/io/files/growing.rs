//! A file that only grows, and may be shared by several processes: the base of the audit trail.
//!
//! Whoever adds to it holds the kernel's lock meanwhile. **What was added is on the disk when
//! [`Locked::append`] answers.**

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::cannot;
use crate::base::error::Outcome;

/// A file that is open for adding to it.
#[derive(Debug)]
pub struct Growing {
    path: PathBuf,
    file: File,
}

impl Growing {
    /// Opens the file, or makes it (mode 0600).
    ///
    /// # Errors
    /// `file-unwritable` (kind usage).
    pub fn open(path: &Path) -> Outcome<Self> {
        let file = super::open_to_append(path).map_err(|error| cannot("write", path, &error))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Waits until no other process or handle adds to the file.
    ///
    /// # Errors
    /// `file-unwritable` (kind usage).
    pub fn lock(&mut self) -> Outcome<Locked<'_>> {
        self.file.lock().map_err(|error| cannot("lock", &self.path, &error))?;
        Ok(Locked(self))
    }
}

/// A growing file that this process alone adds to, until dropped.
#[derive(Debug)]
pub struct Locked<'f>(&'f mut Growing);

impl Locked<'_> {
    /// Bytes in the file.
    ///
    /// # Errors
    /// `file-unreadable` (kind usage).
    pub fn length(&self) -> Outcome<u64> {
        let metadata = self.0.file.metadata().map_err(|error| cannot("read", &self.0.path, &error))?;
        Ok(metadata.len())
    }

    /// The last bytes of the file, at most `limit`.
    ///
    /// # Errors
    /// `file-unreadable` (kind usage).
    pub fn tail(&mut self, limit: u64) -> Outcome<Vec<u8>> {
        let start = self.length()?.saturating_sub(limit);
        let mut bytes = Vec::new();
        let file = &mut self.0.file;
        let read = file.seek(SeekFrom::Start(start)).and_then(|_| file.take(limit).read_to_end(&mut bytes));
        read.map_err(|error| cannot("read", &self.0.path, &error))?;
        Ok(bytes)
    }

    /// Adds `bytes` and flushes them to the disk. When that fails, what was added of them is taken back.
    ///
    /// # Errors
    /// `file-unwritable` (kind usage).
    pub fn append(&mut self, bytes: &[u8]) -> Outcome<()> {
        let before = self.length()?;
        let file = &mut self.0.file;
        file.write_all(bytes).and_then(|()| file.sync_data()).map_err(|error| {
            let _ = file.set_len(before);
            cannot("write", &self.0.path, &error)
        })
    }

    /// Cuts the file to its first `length` bytes.
    ///
    /// # Errors
    /// `file-unwritable` (kind usage).
    pub fn cut(&mut self, length: u64) -> Outcome<()> {
        self.0.file.set_len(length).map_err(|error| cannot("write", &self.0.path, &error))
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let _ = self.0.file.unlock();
    }
}

/// A small file that is overwritten in place (mode 0600 when it is made): a note that may lag behind after
/// a power cut, and costs no flush. `text` must not get shorter from call to call.
///
/// # Errors
/// `file-unwritable` (kind usage).
pub fn overwrite(path: &Path, text: &str) -> Outcome<()> {
    let write = || {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        #[expect(clippy::disallowed_methods, reason = "this is the place")]
        options.open(path)?.write_all(text.as_bytes())
    };
    write().map_err(|error| cannot("write", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_shows_its_tail() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trail");
        let mut growing = Growing::open(&path).unwrap();
        let mut locked = growing.lock().unwrap();
        locked.append(b"one\n").unwrap();
        locked.append(b"two\n").unwrap();
        assert_eq!((locked.length().unwrap(), locked.tail(4).unwrap()), (8, b"two\n".to_vec()));
        assert_eq!(locked.tail(100).unwrap(), b"one\ntwo\n");
        locked.cut(4).unwrap();
        locked.append(b"three\n").unwrap();
        assert_eq!(super::super::read_bytes(&path, 100).unwrap(), b"one\nthree\n");
    }

    #[test]
    fn a_second_handle_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trail");
        let mut first = Growing::open(&path).unwrap();
        let held = first.lock().unwrap();
        let other = Growing::open(&path).unwrap();
        assert!(matches!(other.file.try_lock(), Err(std::fs::TryLockError::WouldBlock)));
        drop(held);
        other.file.try_lock().unwrap();
    }

    #[test]
    fn overwriting_keeps_one_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("head");
        overwrite(&path, "9:a\n").unwrap();
        overwrite(&path, "10:b\n").unwrap();
        assert_eq!(super::super::read_text(&path, 100).unwrap(), "10:b\n");
        assert_eq!(overwrite(folder.path(), "x").unwrap_err().code, "file-unwritable");
    }
}
