//! `env edit` at a terminal: a definition with errors is asked about, and edited again or given up. `script` (of
//! util-linux) plays the terminal.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "this is a test, its files are its own")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// A key that exists in this test only.
const KEY: &str = "AGE-SECRET-KEY-1CJEX0VHE456RUT0NH4FRDWFDQD4G6EZGUU8TSD7LK20D947D7RGQ5SL9KS";
const ENVIRONMENT: &str = "payready/sophia-esc/production";

/// Breaks the definition at first, and writes a good one when it is opened again.
const EDITOR: &str = r#"
if [ -e opened ]; then printf 'values: { stage: second }\n' >"$1"; else printf 'values: { stage: "${none}" }\n' >"$1"; fi
echo >>opened
"#;

fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(folder).env("HOME", folder).env("TMPDIR", folder.join("temp"));
    command.env("SOPHIA_AGE_KEY", KEY).env("PULUMI_BACKEND_URL", "file://store").env("EDITOR", "/bin/sh editor.sh");
    command
}

/// What stands in the store after `answer` was typed, what was shown, whether it went well, and how often the editor ran.
fn edited(answer: &str) -> (String, String, bool, usize) {
    let binary = env!("CARGO_BIN_EXE_sophia-secrets-sync");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("temp")).unwrap();
    std::fs::write(folder.path().join("editor.sh"), EDITOR).unwrap();
    assert!(command(binary, folder.path()).args(["env", "init", ENVIRONMENT]).output().unwrap().status.success());
    let line = format!("{binary} env edit {ENVIRONMENT}");
    let mut terminal = command("script", folder.path());
    terminal.env("PATH", "/usr/bin:/bin").env("SHELL", "/bin/sh").args(["-qec", &line, "/dev/null"]);
    let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(format!("{answer}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let stored = std::fs::read_to_string(folder.path().join(format!("store/{ENVIRONMENT}.yaml"))).unwrap();
    let opened = std::fs::read_to_string(folder.path().join("opened")).unwrap_or_default().lines().count();
    let left = std::fs::read_dir(folder.path().join("temp")).unwrap().count();
    assert_eq!(left, 0, "the edited text is left behind");
    (stored, String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success(), opened)
}

#[test]
fn a_definition_with_errors_is_edited_again_when_the_person_wants_to() {
    let (stored, shown, success, opened) = edited("yes");
    assert!(shown.contains("production.yaml:1:18") && shown.contains("unknown property \"none\""), "{shown}");
    assert!(shown.contains("Edit again?"), "{shown}");
    assert_eq!((stored.as_str(), success, opened), ("values: { stage: second }\n", true, 2), "{shown}");
}

#[test]
fn a_definition_with_errors_is_given_up_and_nothing_is_written() {
    let (stored, shown, success, opened) = edited("no");
    assert_eq!((stored.as_str(), success, opened), ("values: {}\n", false, 1), "{shown}");
    assert!(shown.contains("Edit again?"), "{shown}");
}
