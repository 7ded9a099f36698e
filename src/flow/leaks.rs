//! `leaks`: the values of stacks, looked for in the working tree and in the history of git.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use super::sync::OpenedStack;
use crate::base::error::{Failure, Outcome};
use crate::base::secret::SecretValue;
use crate::io::files;
use crate::io::files::tree::{self, State, TreeFile};
use crate::io::git::repository::{Introduction, Object, ObjectKind, Repository};
use crate::report::leaks::{Kind, Leak, LeaksReport, SecretName};
use crate::rules::definition::{Definition, Environment};
use crate::rules::leaks::{Hit, Scanner, Skipped};

/// Places that are listed of one value.
const MOST_PLACES: usize = 100;

/// A file with a zero byte among its first so many counts as binary, as git counts.
const HEAD_OF_A_FILE: usize = 8000;

/// One value and what it is called.
pub struct Secret {
    pub names: Vec<SecretName>,
    pub value: Arc<SecretValue>,
}

/// The values to look for.
#[derive(Default)]
pub struct Secrets {
    pub list: Vec<Secret>,
    /// Stacks or files that they came from.
    pub stacks: Vec<String>,
    /// Whether they came from a dotenv file.
    pub from_file: bool,
    /// Names without a value.
    pub unchecked: Vec<String>,
    /// Which of the names are the keys of ledgers' fingerprints, and the ESC environments that hold them.
    pub keys: BTreeMap<SecretName, String>,
}

impl Secrets {
    /// Adds a value; an equal one that is known gets one more name.
    pub fn add(&mut self, name: &str, stack: &str, value: &Arc<SecretValue>) {
        let name = SecretName { name: name.to_owned(), stack: stack.to_owned() };
        match self.list.iter_mut().find(|known| known.value.same_as(value)) {
            Some(known) if known.names.contains(&name) => {}
            Some(known) => known.names.push(name),
            None => self.list.push(Secret { names: vec![name], value: Arc::clone(value) }),
        }
    }

    /// Adds the secrets of an opened stack, and the key of its fingerprints.
    pub fn add_stack(&mut self, definition: &Definition, environment: &Environment, opened: &OpenedStack) {
        let stack = environment.name.as_str();
        self.stacks.push(stack.to_owned());
        for candidate in &opened.values.desired.candidates {
            match (&candidate.value, candidate.secret()) {
                (Ok(value), Some(_)) => self.add(&candidate.name, stack, value),
                (Err(refusal), _) => {
                    self.unchecked.push(format!("`{}` of {stack}: {}", candidate.name, refusal.message))
                }
                _ => {}
            }
        }
        if let Some(key) = opened.value_at(&definition.sync.fingerprint_key) {
            let name = definition.sync.fingerprint_key.clone();
            self.add(&name, stack, &Arc::new(key));
            self.keys.insert(SecretName { name, stack: stack.to_owned() }, environment.esc.to_string());
        }
    }
}

/// Where to look.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// A folder; the whole repository that it is in is searched.
    pub folder: &'a Path,
    pub history: bool,
    /// Also files that git ignores.
    pub ignored: bool,
    /// A file that is not searched: the one that the values came from.
    pub except: Option<&'a Path>,
}

/// Looks for the values. Blocks.
///
/// # Errors
/// `leaks-too-many`, and git's failures. Files that cannot be read are named in the report.
pub fn search(secrets: &Secrets, ask: &Ask<'_>) -> Outcome<LeaksReport> {
    let (scanner, skipped) = Scanner::new(secrets.list.iter().map(|secret| &*secret.value))
        .map_err(|error| Failure::refused("leaks-too-many", error.to_string()).hint("look for one stack at a time"))?;
    let weak = skipped.iter().filter(|(_, skipped)| matches!(skipped, Skipped::Whole(_))).count();
    let mut hunt = Hunt {
        secrets: &secrets.list,
        scanner: &scanner,
        report: LeaksReport {
            stacks: secrets.stacks.clone(),
            from_file: secrets.from_file,
            values: secrets.list.len() - weak,
            skipped: skipped
                .iter()
                .filter_map(|(index, why)| Some(skipped_value(secrets.list.get(*index)?, *why)))
                .collect(),
            unchecked: secrets.unchecked.clone(),
            keys: secrets.keys.clone(),
            ..LeaksReport::default()
        },
        places: BTreeMap::new(),
    };
    let repository = Repository::of(ask.folder);
    let (root, listed) = match &repository {
        Ok(repository) => (repository.root.as_path(), repository.files(ask.ignored)?),
        Err(why) => {
            hunt.report.unchecked.push(format!("the history of git: {why}"));
            let (files, unreadable) = tree::walk(ask.folder);
            hunt.report.unchecked.extend(unreadable.iter().map(|failure| scanner.redacted(&failure.to_string())));
            (ask.folder, files)
        }
    };
    hunt.report.folder = root.display().to_string();
    for file in &listed {
        let full = root.join(&file.path);
        if ask.except.is_none_or(|except| except.file_name() != full.file_name() || !files::is_same(except, &full)) {
            hunt.file(&full, file);
        }
    }
    if let (true, Ok(repository)) = (ask.history, &repository) {
        hunt.history(repository)?;
    }
    Ok(hunt.report)
}

fn skipped_value(secret: &Secret, why: Skipped) -> String {
    let names: Vec<String> = secret.names.iter().map(|name| format!("`{}` of {}", name.name, name.stack)).collect();
    let why = match why {
        Skipped::Whole(weakness) => weakness.to_string(),
        Skipped::Lines { plain, of } => format!("{plain} of its {of} lines by themselves, which any text may hold"),
    };
    format!("{}: {why}", names.join(", "))
}

/// A search under way.
struct Hunt<'a> {
    secrets: &'a [Secret],
    scanner: &'a Scanner,
    report: LeaksReport,
    /// Leaks listed so far, by secret.
    places: BTreeMap<usize, usize>,
}

/// A leak before the history is asked for the commit that brought it.
struct InBlob {
    id: String,
    path: String,
    hit: Hit,
    binary: bool,
}

/// A content of a file, and the commit that brought it; none for what is only in the index.
type Version<'i> = (Option<&'i Introduction>, InBlob);

impl Hunt<'_> {
    fn file(&mut self, full: &Path, file: &TreeFile) {
        let shown = self.scanner.redacted(&file.path);
        if file.nested {
            self.report.unchecked.push(format!("`{shown}`: a repository of its own"));
            return;
        }
        for hit in self.scanner.hits(file.path.as_bytes()) {
            self.add(hit, Leak { file: Some(shown.clone()), ..self.leak(Kind::LeakInName, hit, true) });
        }
        let searched = match tree::open(full) {
            Ok(None) => {
                let unnamed = || file.path.contains(char::REPLACEMENT_CHARACTER).then_some("its name is not UTF-8");
                if let Some(why) = tree::odd(full).or_else(unnamed) {
                    self.report.unchecked.push(format!("`{shown}`: {why}"));
                }
                return;
            }
            Ok(Some(mut reader)) => scan(self.scanner, &mut reader),
            Err(failure) => Err(failure),
        };
        match searched {
            Ok(searched) => {
                let kind = match file.state {
                    State::Tracked => Kind::LeakTracked,
                    State::Untracked => Kind::LeakUntracked,
                    State::Ignored => Kind::LeakIgnored,
                };
                for hit in searched.hits {
                    self.add(hit, Leak { file: Some(shown.clone()), ..self.leak(kind, hit, searched.binary) });
                }
                self.report.files += 1;
                self.report.bytes += searched.bytes;
            }
            Err(failure) => {
                let cause = failure.causes.first().cloned().unwrap_or(failure.message);
                self.report.unchecked.push(format!("`{shown}`: {cause}"));
            }
        }
    }

    fn history(&mut self, repository: &Repository) -> Outcome<()> {
        let (scanner, mut in_blobs, mut in_messages) = (self.scanner, Vec::new(), Vec::new());
        let walked = repository.walk(&mut |object: &Object, content| {
            let searched = scan(scanner, content)?;
            match object.kind {
                ObjectKind::Blob => in_blobs.extend(first_of_each(searched.hits).map(|hit| InBlob {
                    id: object.id.clone(),
                    path: object.name.clone(),
                    hit,
                    binary: searched.binary,
                })),
                ObjectKind::Commit | ObjectKind::Tag => {
                    in_messages.extend(first_of_each(searched.hits).map(|hit| (object.clone(), hit)));
                }
            }
            Ok(())
        })?;
        self.report.objects = Some(walked.objects);
        self.report.bytes += walked.bytes;
        if repository.shallow {
            let note = "the whole history: this clone is shallow (`git fetch --unshallow`, or `fetch-depth: 0` of actions/checkout)";
            self.report.unchecked.push(note.to_owned());
        }
        if walked.missing > 0 {
            self.report
                .unchecked
                .push(format!("{} objects of the history: this clone does not hold them", walked.missing));
        }
        let blobs: BTreeSet<String> = in_blobs.iter().map(|found| found.id.clone()).collect();
        let introductions = repository.introductions(&blobs)?;
        self.blobs(in_blobs, &introductions);
        for (object, hit) in in_messages {
            let leak = self.leak(Kind::LeakInMessage, hit, true);
            let leak = match object.kind {
                ObjectKind::Tag => Leak { tag: Some(self.scanner.redacted(&object.name)), ..leak },
                _ => Leak { commit: Some(object.id), ..leak },
            };
            self.add(hit, leak);
        }
        Ok(())
    }

    /// One leak for each value and file of the history: the first version that held it.
    fn blobs(&mut self, found: Vec<InBlob>, introductions: &BTreeMap<String, Introduction>) {
        let mut files: BTreeMap<(String, usize), Vec<Version<'_>>> = BTreeMap::new();
        for blob in found {
            let introduction = introductions.get(&blob.id);
            let path = introduction.map_or(&blob.path, |introduction| &introduction.path).clone();
            files.entry((path, blob.hit.needle.secret)).or_default().push((introduction, blob));
        }
        for ((path, _), mut versions) in files {
            versions.sort_by_key(|(introduction, _)| introduction.map_or(usize::MAX, |introduction| introduction.rank));
            let count = versions.iter().filter(|(introduction, _)| introduction.is_some()).count();
            let Some((introduction, blob)) = versions.into_iter().next() else { continue };
            let in_tree = |leak: &Leak| {
                leak.kind == Kind::LeakTracked && leak.file.as_ref() == Some(&path) && self.is_of(leak, blob.hit)
            };
            if introduction.is_none() && self.report.leaks.iter().any(in_tree) {
                continue;
            }
            let kind = if introduction.is_some() { Kind::LeakInHistory } else { Kind::LeakStaged };
            let leak = Leak {
                file: Some(self.scanner.redacted(&path)),
                commit: introduction.map(|introduction| introduction.commit.clone()),
                date: introduction.map(|introduction| introduction.date.clone()),
                versions: count,
                ..self.leak(kind, blob.hit, blob.binary)
            };
            self.add(blob.hit, leak);
        }
    }

    fn is_of(&self, leak: &Leak, hit: Hit) -> bool {
        self.secrets.get(hit.needle.secret).is_some_and(|secret| secret.names == leak.names)
    }

    fn leak(&self, kind: Kind, hit: Hit, binary: bool) -> Leak {
        Leak {
            kind,
            names: self.secrets.get(hit.needle.secret).map(|secret| secret.names.clone()).unwrap_or_default(),
            form: hit.needle.form,
            file: None,
            line_and_column: (!binary).then_some((hit.line, hit.column)),
            offset: hit.offset,
            commit: None,
            date: None,
            tag: None,
            versions: 0,
        }
    }

    fn add(&mut self, hit: Hit, leak: Leak) {
        let listed = self.places.entry(hit.needle.secret).or_default();
        if *listed < MOST_PLACES {
            *listed += 1;
            self.report.leaks.push(leak);
        } else {
            self.report.left_out += 1;
        }
    }
}

/// The first hit of each secret.
fn first_of_each(hits: Vec<Hit>) -> impl Iterator<Item = Hit> {
    let mut seen = BTreeSet::new();
    hits.into_iter().filter(move |hit| seen.insert(hit.needle.secret))
}

/// What one text came to.
struct Searched {
    hits: Vec<Hit>,
    bytes: u64,
    binary: bool,
}

fn scan(scanner: &Scanner, reader: &mut dyn BufRead) -> Outcome<Searched> {
    let mut search = scanner.search();
    let (mut bytes, mut binary) = (0, false);
    loop {
        let chunk = reader
            .fill_buf()
            .map_err(|error| Failure::usage("file-unreadable", "the file cannot be read to its end").cause(error))?;
        if chunk.is_empty() {
            return Ok(Searched { hits: search.finish(), bytes, binary });
        }
        if bytes == 0 {
            binary = chunk.iter().take(HEAD_OF_A_FILE).any(|byte| *byte == 0);
        }
        search.push(chunk);
        let length = chunk.len();
        bytes += length as u64;
        reader.consume(length);
    }
}

#[cfg(all(test, unix))]
#[expect(clippy::disallowed_methods, reason = "files to be searched")]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn what_cannot_be_searched_is_named_without_git() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::write(root.join("plain"), "v4lu3-4f9a8b").unwrap();
        std::os::unix::fs::symlink(root.join("plain"), root.join("link")).unwrap();
        let odd = |name: &[u8]| root.join(OsStr::from_bytes(name));
        std::fs::write(odd(b"odd-\xff"), "v4lu3-4f9a8b").unwrap();
        std::fs::create_dir(odd(b"folder-\xff")).unwrap();
        let mut secrets = Secrets::default();
        secrets.add("A_KEY", "production", &Arc::new(SecretValue::from("v4lu3-4f9a8b".to_owned())));
        let ask = Ask { folder: root, history: false, ignored: false, except: None };
        let report = search(&secrets, &ask).unwrap();
        let unchecked: Vec<&str> = report.unchecked.iter().skip(1).map(String::as_str).collect();
        let expected =
            ["`folder-\u{fffd}`: its name is not UTF-8", "`link`: a link", "`odd-\u{fffd}`: its name is not UTF-8"];
        assert_eq!(unchecked, expected);
        assert_eq!((report.leaks.len(), report.files), (1, 1));
    }
}
