//! The files below a folder, to be searched. Links are not followed and only plain files are opened: a pipe would
//! never end.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::Path;

use super::{cannot, entries, open_to_read};
use crate::base::error::{Failure, Outcome};

/// Bytes read at once.
const BUFFER: usize = 256 << 10;

/// What git does with a file. Without git every file counts as tracked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Tracked,
    /// The next `git add` takes it.
    Untracked,
    Ignored,
}

/// One file below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// From the folder, with `/`; with U+FFFD for what is not UTF-8, and then nothing is found under it.
    pub path: String,
    pub state: State,
    /// A repository of its own (a submodule): not a file, and not searched.
    pub nested: bool,
}

/// All files below `folder`, sorted, those of `.git` aside; and the folders that could not be read.
#[must_use]
pub fn walk(folder: &Path) -> (Vec<TreeFile>, Vec<Failure>) {
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    let mut folders = vec![String::new()];
    while let Some(below) = folders.pop() {
        let listed = match entries(&folder.join(&below)) {
            Ok(listed) => listed,
            Err(failure) => {
                unreadable.push(failure);
                continue;
            }
        };
        for entry in listed.into_iter().filter(|entry| entry.file_name() != ".git") {
            let name = entry.file_name();
            let path = format!("{below}{}", name.to_string_lossy());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && name.to_str().is_some() => folders.push(format!("{path}/")),
                _ => found.push(TreeFile { path, state: State::Tracked, nested: false }),
            }
        }
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    (found, unreadable)
}

/// Opens a plain file; none for a link, a folder, a pipe or a device, and for one that is not there any more.
///
/// # Errors
/// `file-unreadable`.
pub fn open(path: &Path) -> Outcome<Option<BufReader<File>>> {
    let plain = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.is_file(),
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(cannot("read", path, &error)),
    };
    if !plain {
        return Ok(None);
    }
    match open_to_read(path) {
        Ok(file) => Ok(Some(BufReader::with_capacity(BUFFER, file))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot("read", path, &error)),
    }
}

/// What stands at a path that [`open`] opens none for; none when nothing does.
#[must_use]
pub fn odd(path: &Path) -> Option<&'static str> {
    let kind = std::fs::symlink_metadata(path).ok()?.file_type();
    Some(if kind.is_symlink() { "a link" } else { "no plain file" })
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "files to be found")]
mod tests {
    use super::*;

    #[test]
    fn finds_files_and_follows_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::create_dir(root.join(".git")).unwrap();
        for name in ["a/b/two", "one", ".git/config"] {
            std::fs::write(root.join(name), name).unwrap();
        }
        let paths = || walk(root).0.into_iter().map(|file| file.path).collect::<Vec<_>>();
        assert_eq!(paths(), ["a/b/two", "one"]);
        assert!(open(&root.join("one")).unwrap().is_some());
        assert!(open(&root.join("a")).unwrap().is_none() && open(&root.join("missing")).unwrap().is_none());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(root.join("a"), root.join("circle")).unwrap();
            std::os::unix::fs::symlink(root.join("one"), root.join("link")).unwrap();
            assert_eq!(paths(), ["a/b/two", "circle", "link", "one"]);
            assert!(open(&root.join("link")).unwrap().is_none());
        }
    }
}
