//! A repository as something to search: the files of its working tree, the objects of its history, and the
//! commits that brought them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::git_in;
use crate::base::error::{Failure, Outcome};
use crate::base::target::RepositoryName;
use crate::io::files::tree::{State, TreeFile};

/// Bytes read from git at once.
const BUFFER: usize = 1 << 20;

/// A repository with a working tree.
#[derive(Debug, Clone)]
pub struct Repository {
    pub root: PathBuf,
    /// Its history ends somewhere: it was cloned with a depth.
    pub shallow: bool,
}

/// What an object of the history is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// The content of a file.
    Blob,
    /// Headers and message.
    Commit,
    /// An annotated tag.
    Tag,
}

/// An object of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub kind: ObjectKind,
    pub id: String,
    /// Of a blob a path that it has or had; of a tag its name.
    pub name: String,
}

/// What a walk through the history came by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Walked {
    /// Blobs, commits and tags.
    pub objects: usize,
    pub bytes: u64,
    /// Objects that this clone does not hold.
    pub missing: usize,
}

/// The first commit that held a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    pub commit: String,
    /// `2026-01-31`.
    pub date: String,
    pub path: String,
    /// The place of the commit in the history, the oldest first.
    pub rank: usize,
}

impl Repository {
    /// The repository whose working tree holds `folder`.
    ///
    /// # Errors
    /// A sentence on why there is none, in git's words.
    pub fn of(folder: &Path) -> Result<Self, String> {
        let output = git_in(folder)
            .args(["rev-parse", "--is-shallow-repository", "--show-toplevel"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| format!("`git` could not be started: {error}"))?;
        let said = String::from_utf8_lossy(&output.stdout);
        match said.trim_end_matches(['\n', '\r']).split_once('\n') {
            Some((shallow, root)) if output.status.success() => {
                Ok(Self { root: PathBuf::from(root.trim_start_matches('\r')), shallow: shallow.trim() == "true" })
            }
            _ => {
                let error = String::from_utf8_lossy(&output.stderr);
                Err(error.lines().next().unwrap_or("git says nothing").trim_start_matches("fatal: ").to_owned())
            }
        }
    }

    /// The repository at GitHub that the remote `origin` names; none when it names none.
    #[must_use]
    pub fn origin(&self) -> Option<RepositoryName> {
        let mut command = git_in(&self.root);
        let output = command.args(["config", "--get", "remote.origin.url"]).stdout(Stdio::piped()).output().ok()?;
        let url = String::from_utf8(output.stdout).ok()?;
        // `https://HOST/OWNER/NAME.git`, `ssh://git@HOST/OWNER/NAME`, `git@HOST:OWNER/NAME.git`
        let url = url.trim().trim_end_matches('/');
        let (_, path) = url.split_once("://").map_or_else(|| url.split_once(':'), |(_, rest)| rest.split_once('/'))?;
        path.strip_suffix(".git").unwrap_or(path).parse().ok()
    }

    /// The files of the working tree that git tracks, and those that it would take with `git add`; with `ignored`
    /// also those that it would not.
    ///
    /// # Errors
    /// `git-files` when git cannot list them.
    pub fn files(&self, ignored: bool) -> Outcome<Vec<TreeFile>> {
        let mut files = BTreeMap::new();
        let mut lists: Vec<(State, &[&str])> =
            vec![(State::Tracked, &["-s"]), (State::Untracked, &["-o", "--exclude-standard"])];
        if ignored {
            lists.push((State::Ignored, &["-o", "-i", "--exclude-standard"]));
        }
        for (state, options) in lists {
            for entry in self.list(options)? {
                let (mode, path) = match state {
                    State::Tracked => entry.split_once('\t').unwrap_or_default(),
                    State::Untracked | State::Ignored => ("", entry.as_str()),
                };
                // A repository in the repository: as a submodule it is tracked, else git names its folder.
                let nested = mode.starts_with("160000 ") || path.ends_with('/');
                let file = TreeFile { path: path.trim_end_matches('/').to_owned(), state, nested };
                files.entry(file.path.clone()).or_insert(file);
            }
        }
        Ok(files.into_values().collect())
    }

    fn list(&self, options: &[&str]) -> Outcome<Vec<String>> {
        let failed = || Failure::unexpected("git-files", "git could not list the files of the working tree");
        let mut command = git_in(&self.root);
        command.args(["ls-files", "-z"]).args(options).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = command.output().map_err(|error| failed().cause(error))?;
        if !output.status.success() {
            return Err(failed().cause(String::from_utf8_lossy(&output.stderr).trim()));
        }
        let entries = output.stdout.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
        Ok(entries.map(|entry| String::from_utf8_lossy(entry).into_owned()).collect())
    }

    /// Shows `each` object that a ref or the index reaches, once, with its bytes.
    ///
    /// # Errors
    /// `git-history` when git cannot read it, and what `each` fails with.
    pub fn walk(&self, each: &mut dyn FnMut(&Object, &mut dyn BufRead) -> Outcome<()>) -> Outcome<Walked> {
        let mut listing = Running::start(git_in(&self.root).args([
            "rev-list",
            "--objects",
            "--all",
            "--indexed-objects",
            "--missing=allow-any",
        ]))?;
        let format = "--batch=%(objecttype) %(objectname) %(objectsize) %(rest)";
        let mut command = git_in(&self.root);
        command.args(["cat-file", "--buffer", format]).stdin(Stdio::from(listing.output()?));
        let mut reading = Running::start(&mut command)?;
        // It holds an end of the pipe: the list would wait for a reader that has died.
        drop(command);
        let mut answers = BufReader::with_capacity(BUFFER, reading.output()?);
        let mut walked = Walked::default();
        let mut header = Vec::new();
        loop {
            header.clear();
            answers.read_until(b'\n', &mut header).map_err(broken)?;
            let Some(line) = header.strip_suffix(b"\n") else { break };
            let line = String::from_utf8_lossy(line);
            let mut words = line.splitn(4, ' ');
            let mut word = || words.next().unwrap_or_default();
            let (kind, id, size, name) = (word(), word(), word(), word());
            let kind = match kind {
                "blob" => Some(ObjectKind::Blob),
                "commit" => Some(ObjectKind::Commit),
                "tag" => Some(ObjectKind::Tag),
                "tree" => None,
                _ => {
                    walked.missing += 1;
                    continue;
                }
            };
            let size: u64 = size.parse().map_err(|_| broken("an answer of git has no size"))?;
            let mut content = (&mut answers).take(size);
            if let Some(kind) = kind {
                each(&Object { kind, id: id.to_owned(), name: name.to_owned() }, &mut content)?;
                walked.objects += 1;
                walked.bytes += size;
            }
            let left = content.limit();
            std::io::copy(&mut (&mut answers).take(left + 1), &mut std::io::sink()).map_err(broken)?;
        }
        // First the reader: a list without one ends with a broken pipe, which says nothing.
        reading.end()?;
        listing.end()?;
        Ok(walked)
    }

    /// The first commit that held each of `blobs`; those that are only in the index are left out.
    ///
    /// # Errors
    /// `git-history`.
    pub fn introductions(&self, blobs: &BTreeSet<String>) -> Outcome<BTreeMap<String, Introduction>> {
        let mut found = BTreeMap::new();
        if blobs.is_empty() {
            return Ok(found);
        }
        let mut log = Running::start(git_in(&self.root).args([
            "-c",
            "log.showSignature=false",
            "log",
            "--no-color",
            "--all",
            "--topo-order",
            "--reverse",
            "--root",
            "--raw",
            "--no-abbrev",
            "--no-renames",
            "--diff-merges=first-parent",
            "-z",
            "--format=tformat:%x01%H %cs",
        ]))?;
        let mut tokens = BufReader::with_capacity(BUFFER, log.output()?);
        let (mut commit, mut rank, mut blob, mut token) = ((String::new(), String::new()), 0, None, Vec::new());
        while tokens.read_until(0, &mut token).map_err(broken)? > 0 {
            let text = String::from_utf8_lossy(token.strip_suffix(b"\0").unwrap_or(&token));
            let text = text.trim_start_matches('\n');
            if let Some(id) = blob.take() {
                let (commit, date) = commit.clone();
                found.entry(id).or_insert(Introduction { commit, date, path: text.to_owned(), rank });
            } else if let Some(header) = text.strip_prefix('\u{1}') {
                let (id, date) = header.split_once(' ').unwrap_or_default();
                commit = (id.to_owned(), date.to_owned());
                rank += 1;
            } else if text.starts_with(':') {
                // An entry that is not wanted has a path too, which then is no header and no entry.
                blob = text.split(' ').nth(3).filter(|id| blobs.contains(*id)).map(str::to_owned);
            }
            token.clear();
        }
        log.end()?;
        Ok(found)
    }
}

fn broken(cause: impl std::fmt::Display) -> Failure {
    Failure::unexpected("git-history", "git could not read the history")
        .cause(cause)
        .hint("`git fsck` says what is wrong with the repository")
}

/// A git that is being listened to; it ends with this value.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Outcome<Self> {
        Ok(Self(command.stdout(Stdio::piped()).spawn().map_err(broken)?))
    }

    fn output(&mut self) -> Outcome<ChildStdout> {
        self.0.stdout.take().ok_or_else(|| broken("git has no output"))
    }

    fn end(mut self) -> Outcome<()> {
        let status = self.0.wait().map_err(broken)?;
        if status.success() { Ok(()) } else { Err(broken(status)) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both answer at once for a process that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "files for git")]
mod tests {
    use super::*;
    use crate::io::git::tests::git;

    fn repository() -> (tempfile::TempDir, Repository) {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "-q"]);
        let repository = Repository::of(folder.path()).unwrap();
        (folder, repository)
    }

    fn commit(folder: &Path, message: &str) {
        git(folder, &["add", "."]);
        git(folder, &["-c", "user.name=n", "-c", "user.email=e@x", "commit", "-q", "-m", message]);
    }

    fn texts(repository: &Repository) -> (Vec<(ObjectKind, String, String)>, Walked) {
        let mut texts = Vec::new();
        let walked = repository
            .walk(&mut |object, content| {
                let mut text = String::new();
                content.read_to_string(&mut text).unwrap();
                texts.push((object.kind, object.name.clone(), text));
                Ok(())
            })
            .unwrap();
        (texts, walked)
    }

    #[test]
    fn files_are_told_by_what_git_does_with_them() {
        let (folder, repository) = repository();
        let write = |name: &str| std::fs::write(folder.path().join(name), name).unwrap();
        ["a b", "é", ".gitignore", "ignored.env", "new"].iter().for_each(|name| write(name));
        std::fs::write(folder.path().join(".gitignore"), "*.env\n").unwrap();
        git(folder.path(), &["add", "a b", "é", ".gitignore"]);
        std::fs::create_dir(folder.path().join("inner")).unwrap();
        git(&folder.path().join("inner"), &["init", "-q"]);
        let found = |ignored| {
            let files = repository.files(ignored).unwrap().into_iter();
            files.map(|file| (file.path, file.state, file.nested)).collect::<Vec<_>>()
        };
        let mut expected = vec![
            (".gitignore".to_owned(), State::Tracked, false),
            ("a b".to_owned(), State::Tracked, false),
            ("inner".to_owned(), State::Untracked, true),
            ("new".to_owned(), State::Untracked, false),
            ("é".to_owned(), State::Tracked, false),
        ];
        assert_eq!(found(false), expected);
        expected.insert(2, ("ignored.env".to_owned(), State::Ignored, false));
        assert_eq!(found(true), expected);
    }

    #[test]
    fn every_blob_is_shown_once_with_commits_tags_and_the_index() {
        let (folder, repository) = repository();
        std::fs::write(folder.path().join("old"), "one\n").unwrap();
        commit(folder.path(), "the first");
        git(folder.path(), &["-c", "user.name=n", "-c", "user.email=e@x", "tag", "-a", "v1", "-m", "a tag"]);
        git(folder.path(), &["rm", "-q", "old"]);
        std::fs::write(folder.path().join("same"), "one\n").unwrap();
        std::fs::write(folder.path().join("two"), "two\n").unwrap();
        commit(folder.path(), "the second");
        std::fs::write(folder.path().join("staged"), "three\n").unwrap();
        git(folder.path(), &["add", "."]);
        let (texts, walked) = texts(&repository);
        let count = |part: &str| texts.iter().filter(|(_, _, text)| text.contains(part)).count();
        assert_eq!(["one\n", "two\n", "three\n", "the first", "the second", "a tag"].map(count), [1; 6]);
        assert_eq!((walked.objects, walked.missing), (6, 0));

        let blob = |name: &str| {
            let path = folder.path().join(name);
            let args = ["hash-object", &*path.to_string_lossy()];
            String::from_utf8(git(folder.path(), &args)).unwrap().trim().to_owned()
        };
        let blobs = BTreeSet::from([blob("same"), blob("two"), blob("staged")]);
        let found = repository.introductions(&blobs).unwrap();
        assert_eq!(found.len(), 2, "what is only staged has no commit");
        assert_eq!(found[&blob("same")].path, "old");
        assert_ne!(found[&blob("same")].commit, found[&blob("two")].commit);
    }

    #[test]
    fn an_empty_repository_has_no_history_and_a_damaged_one_fails() {
        let (folder, repository) = repository();
        assert_eq!(texts(&repository).1, Walked::default());
        std::fs::write(folder.path().join("a"), "one\n").unwrap();
        commit(folder.path(), "first");
        std::fs::remove_dir_all(folder.path().join(".git/objects")).unwrap();
        std::fs::create_dir(folder.path().join(".git/objects")).unwrap();
        assert_eq!(repository.walk(&mut |_, _| Ok(())).unwrap_err().code, "git-history");
        assert!(Repository::of(Path::new("/")).unwrap_err().contains("not a git repository"));
    }

    #[test]
    fn a_damaged_blob_before_a_long_list_ends_the_walk() {
        let (folder, repository) = repository();
        // Not to be compressed, so that the damage is far behind the header of the object.
        let noise = (0..64 << 10).scan(1_u32, |seed, _| {
            *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Some((*seed >> 24) as u8)
        });
        std::fs::write(folder.path().join("0"), noise.collect::<Vec<u8>>()).unwrap();
        for number in 0..600 {
            std::fs::write(folder.path().join(format!("{number:0>200}.txt")), number.to_string()).unwrap();
        }
        commit(folder.path(), "first");
        let id = String::from_utf8(git(folder.path(), &["rev-parse", "HEAD:0"])).unwrap();
        let (start, rest) = id.trim().split_at(2);
        let object = folder.path().join(".git/objects").join(start).join(rest);
        let mut bytes = std::fs::read(&object).unwrap();
        let half = bytes.len() / 2;
        bytes[half..].fill(0xff);
        std::fs::remove_file(&object).unwrap();
        std::fs::write(&object, bytes).unwrap();
        let (done, walked) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut read = |_: &Object, content: &mut dyn BufRead| {
                std::io::copy(content, &mut std::io::sink()).map_err(broken).map(drop)
            };
            let _ = done.send(repository.walk(&mut read).map_err(|failure| failure.code));
        });
        let walked = walked.recv_timeout(std::time::Duration::from_secs(60));
        assert_eq!(walked.expect("the walk ends"), Err("git-history"));
    }

    #[test]
    fn the_remote_names_the_repository() {
        let (folder, repository) = repository();
        assert_eq!(repository.origin(), None);
        git(folder.path(), &["remote", "add", "origin", "x"]);
        for (url, name) in [
            ("https://github.com/payready/sophia.git", Some("payready/sophia")),
            ("https://token@github.example/payready/sophia/", Some("payready/sophia")),
            ("git@github.com:payready/sophia.git", Some("payready/sophia")),
            ("ssh://git@github.com/payready/sophia", Some("payready/sophia")),
            ("/somewhere/else", None),
        ] {
            git(folder.path(), &["remote", "set-url", "origin", url]);
            assert_eq!(repository.origin().map(|name| name.to_string()).as_deref(), name, "{url}");
        }
    }

    #[test]
    fn a_clone_with_a_depth_is_shallow() {
        let (folder, repository) = repository();
        assert!(!repository.shallow);
        for text in ["one", "two"] {
            std::fs::write(folder.path().join("a"), text).unwrap();
            commit(folder.path(), text);
        }
        let clone = tempfile::tempdir().unwrap();
        let from = format!("file://{}", folder.path().display());
        git(clone.path(), &["clone", "-q", "--depth", "1", &from, "."]);
        assert!(Repository::of(clone.path()).unwrap().shallow);
    }
}
