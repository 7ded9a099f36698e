//! What git knows, asked of the `git` program.

pub mod repository;

use std::path::Path;
use std::process::{Command, Stdio};

use crate::base::error::{Failure, Outcome};

/// What a variable that may hold a credential begins with; git needs none of them for what it is asked here.
const TOKENS: [&str; 6] = ["ACTIONS_ID_TOKEN_", "GH_TOKEN", "GITHUB_TOKEN", "INPUT_", "PULUMI_", "SOPHIA_"];

/// `git` in the folder of `path`.
fn git(path: &Path) -> Command {
    git_in(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// `git` in `folder`, without our tokens, without a terminal, and without running or fetching what the
/// repository's own settings name.
#[expect(clippy::disallowed_methods, reason = "names only, to take them away from the child")]
fn git_in(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(["-c", "core.fsmonitor=false"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.envs([("GIT_NO_LAZY_FETCH", "1"), ("GIT_NO_REPLACE_OBJECTS", "1"), ("LC_ALL", "C")]);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| TOKENS.iter().any(|token| name.starts_with(token))) {
            command.env_remove(name);
        }
    }
    command
}

/// Whether git tracks the file. No, when there is no git, no repository, or no such file in it.
#[must_use]
pub fn is_tracked(path: &Path) -> bool {
    let Some(name) = path.file_name() else { return false };
    git(path).args(["ls-files", "--error-unmatch", "--"]).arg(name).status().is_ok_and(|status| status.success())
}

/// The text of a file as it was at `revision`.
///
/// # Errors
/// `git-missing` without git; `git-revision` when the revision or the file in it is not there, and when the
/// file is not UTF-8; all of kind usage.
pub fn show(path: &Path, revision: &str) -> Outcome<String> {
    let not_there = || {
        let message = format!("git cannot show `{}` of `{revision}`", path.display());
        Failure::usage("git-revision", message)
            .hint("name a commit, branch or tag of this repository that has the file")
    };
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(not_there)?;
    // What begins with `-` would be an option, and `:` begins a path or an index entry.
    if revision.is_empty() || revision.starts_with('-') || revision.contains(':') {
        return Err(not_there());
    }
    let output = git(path)
        .args(["cat-file", "blob"])
        .arg(format!("{revision}:./{name}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| Failure::usage("git-missing", "`git` could not be started").cause(error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let cause = said.lines().next().unwrap_or_default().trim_start_matches("fatal: ").to_owned();
        return Err(if cause.is_empty() { not_there() } else { not_there().cause(cause) });
    }
    String::from_utf8(output.stdout).map_err(|_| not_there().cause("the file is not UTF-8 text"))
}

#[cfg(test)]
pub mod tests {
    use super::{is_tracked, show};
    use std::path::Path;
    use std::process::Command;

    pub fn git(folder: &Path, args: &[&str]) -> Vec<u8> {
        let output = Command::new("git").arg("-C").arg(folder).args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "files for git")]
    fn a_tracked_file_is_told_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        std::fs::write(&path, "A=1\n").unwrap();
        assert!(!is_tracked(&path), "no repository");
        git(folder.path(), &["init", "-q"]);
        assert!(!is_tracked(&path), "not added");
        git(folder.path(), &["add", ".env"]);
        assert!(is_tracked(&path));
        assert!(!is_tracked(&folder.path().join("other")));
        assert!(!is_tracked(&folder.path().join("missing/.env")));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "files for git")]
    fn a_file_is_shown_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.yaml");
        std::fs::write(&path, "old\n").unwrap();
        git(folder.path(), &["init", "-q"]);
        git(folder.path(), &["add", "."]);
        git(folder.path(), &["-c", "user.name=n", "-c", "user.email=e@x", "commit", "-q", "-m", "first"]);
        std::fs::write(&path, "new\n").unwrap();
        assert_eq!(show(&path, "HEAD").unwrap(), "old\n");
        for revision in ["", "no-such", "--help", "HEAD:x", "HEAD~1"] {
            assert_eq!(show(&path, revision).unwrap_err().code, "git-revision", "{revision}");
        }
        assert_eq!(show(&folder.path().join("other"), "HEAD").unwrap_err().code, "git-revision");
    }
}
