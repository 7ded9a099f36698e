//! What is asked at a terminal: by `env edit`, whether a definition with errors is edited again or given up; by
//! `emergency backup`, a passphrase twice. `script` (of util-linux) plays the terminal.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "this is a test, its files are its own")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

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

/// What came of `line` at a terminal where `answer` was typed.
fn typed(line: &str, answer: &str, folder: &Path) -> Output {
    let mut terminal = command("script", folder);
    terminal.env("PATH", "/usr/bin:/bin").env("SHELL", "/bin/sh").args(["-qec", line, "/dev/null"]);
    let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(format!("{answer}\n").as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// What stands in the store after `answer` was typed, what was shown, whether it went well, and how often the editor ran.
fn edited(answer: &str) -> (String, String, bool, usize) {
    let binary = env!("CARGO_BIN_EXE_sophia-secrets-sync");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("temp")).unwrap();
    std::fs::write(folder.path().join("editor.sh"), EDITOR).unwrap();
    assert!(command(binary, folder.path()).args(["env", "init", ENVIRONMENT]).output().unwrap().status.success());
    let output = typed(&format!("{binary} env edit {ENVIRONMENT}"), answer, folder.path());
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

#[test]
fn a_passphrase_is_typed_twice_and_a_backup_is_written_when_both_are_the_same() {
    let binary = env!("CARGO_BIN_EXE_sophia-secrets-sync");
    let folder = tempfile::tempdir().unwrap();
    let definition = "name: sophia-esc\norganization: payready\nenvironments: [{ name: production }]\nsecretGroups: [{ name: api-keys }]\n";
    std::fs::write(folder.path().join("pulumi-esc-environment.yaml"), definition).unwrap();
    assert!(command(binary, folder.path()).args(["env", "init", ENVIRONMENT]).output().unwrap().status.success());
    let line = format!("{binary} emergency backup --stack production --out b.age --passphrase");

    let differ = typed(&line, "correct horse\ncorrect hrose", folder.path());
    let shown = String::from_utf8_lossy(&differ.stdout).into_owned();
    assert!(shown.contains("error[age-passphrase]: the two differ; nothing was written"), "{shown}");
    assert_eq!(differ.status.code(), Some(2), "{shown}");
    assert!(!folder.path().join("b.age").exists());

    let same = typed(&line, "correct horse\ncorrect horse", folder.path());
    let shown = String::from_utf8_lossy(&same.stdout).into_owned();
    assert!(same.status.success() && shown.contains("The same once more: "), "{shown}");
    let listed = ["list", "--no-github", "--stack", "production", "--from-backup", "b.age"];
    let opened =
        command(binary, folder.path()).env("SOPHIA_AGE_PASSPHRASE", "correct horse").args(listed).output().unwrap();
    assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
}
