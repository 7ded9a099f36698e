//! What git knows, asked of the `git` program.

use std::path::Path;
use std::process::{Command, Stdio};

/// Whether git tracks the file. No, when there is no git, no repository, or no such file in it.
#[must_use]
pub fn is_tracked(path: &Path) -> bool {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = path.file_name() else { return false };
    Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["ls-files", "--error-unmatch", "--"])
        .arg(name)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(folder: &Path, args: &[&str]) {
        let output = Command::new("git").arg("-C").arg(folder).args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
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
}
