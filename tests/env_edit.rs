//! What is asked at a terminal: by `env edit`, whether a definition that was not stored is edited again or given up; by
//! `emergency backup`, a passphrase twice. `script` (of util-linux) plays the terminal.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "this is a test, its files are its own")]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
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

/// What came of `env edit` at a terminal.
struct Edited {
    stored: String,
    shown: String,
    success: bool,
    /// How often the editor ran.
    opened: usize,
    /// The text that was kept, and the rights of its file.
    kept: Option<(String, u32)>,
    folder: tempfile::TempDir,
}

/// What came of it when `editor` (a shell script) edited and `answers` were typed.
fn edited(editor: &str, answers: &str) -> Edited {
    let binary = env!("CARGO_BIN_EXE_sophia-secrets-sync");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("temp")).unwrap();
    std::fs::write(folder.path().join("editor.sh"), editor).unwrap();
    assert!(command(binary, folder.path()).args(["env", "init", ENVIRONMENT]).output().unwrap().status.success());
    let output = typed(&format!("{binary} env edit {ENVIRONMENT}"), answers, folder.path());
    let stored = std::fs::read_to_string(folder.path().join(format!("store/{ENVIRONMENT}.yaml"))).unwrap();
    let opened = std::fs::read_to_string(folder.path().join("opened")).unwrap_or_default().lines().count();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut left = std::fs::read_dir(folder.path().join("temp")).unwrap();
    let kept = left.next().map(|private| {
        let file = private.unwrap().path().join("production.yaml");
        assert!(shown.contains(&format!("your text is kept in `{}`;", file.display())), "{shown}");
        (std::fs::read_to_string(&file).unwrap(), std::fs::metadata(&file).unwrap().permissions().mode() & 0o777)
    });
    assert!(left.next().is_none(), "more is left behind");
    Edited { stored, shown, success: output.status.success(), opened, kept, folder }
}

#[test]
fn a_definition_with_errors_is_edited_again_when_the_person_wants_to() {
    let edited = edited(EDITOR, "yes");
    let shown = &edited.shown;
    assert!(shown.contains("production.yaml:1:18") && shown.contains("unknown property \"none\""), "{shown}");
    assert!(shown.contains("Edit again?"), "{shown}");
    assert_eq!((edited.stored.as_str(), edited.success), ("values: { stage: second }\n", true), "{shown}");
    assert_eq!((edited.opened, edited.kept), (2, None), "{shown}");
}

#[test]
fn a_definition_with_errors_that_is_given_up_is_kept_for_its_owner_and_can_be_stored_later() {
    let edited = edited(EDITOR, "no");
    let shown = &edited.shown;
    assert_eq!((edited.stored.as_str(), edited.success, edited.opened), ("values: {}\n", false, 1), "{shown}");
    assert!(shown.contains("Edit again?") && shown.contains("was not changed"), "{shown}");
    assert_eq!(edited.kept, Some(("values: { stage: \"${none}\" }\n".to_owned(), 0o600)), "{shown}");
    let line = shown.split("` stores it").next().unwrap().rsplit('`').next().unwrap();
    let binary = env!("CARGO_BIN_EXE_sophia-secrets-sync");
    let later = command(binary, edited.folder.path()).args(line.split(' ')).output().unwrap();
    let said = String::from_utf8_lossy(&later.stderr).into_owned();
    assert!(said.contains("production.yaml:1:18: error[esc-diagnostic]"), "{said}");
}

#[test]
fn secrets_in_clear_are_kept_only_when_the_person_says_so() {
    let editor = "printf 'values: { a: { fn::secret: marker }, b: \"${none}\" }\n' >\"$1\"; echo >>opened";
    let dropped = edited(editor, "no\nno");
    let shown = &dropped.shown;
    assert!(shown.contains("production.yaml:1:41") && shown.contains("Type `keep`"), "{shown}");
    assert!(shown.contains("your text is not kept: secrets may stand in it in clear"), "{shown}");
    assert_eq!((dropped.success, dropped.kept), (false, None), "{shown}");
    let kept = edited(editor, "no\nkeep");
    assert!(kept.kept.is_some_and(|(text, mode)| text.contains("marker") && mode == 0o600), "{}", kept.shown);
}

#[test]
fn after_a_conflict_the_other_change_is_named_and_the_text_can_be_edited_again() {
    let editor = "if [ -e opened ]; then printf 'values: { mine: 1, theirs: 1 }\n' >\"$1\"; else
        printf 'values: { mine: 1 }\n' >\"$1\"; printf 'values: { theirs: 1 }\n' >store/payready/sophia-esc/production.yaml; fi
        echo >>opened";
    let again = edited(editor, "yes");
    let shown = &again.shown;
    assert!(shown.contains("esc-conflict") && shown.contains("someone else's change: create `theirs`"), "{shown}");
    assert_eq!((again.stored.as_str(), again.success), ("values: { mine: 1, theirs: 1 }\n", true), "{shown}");
    assert_eq!((again.opened, again.kept), (2, None), "{shown}");
    let given_up = edited(editor, "");
    assert_eq!((given_up.stored.as_str(), given_up.success), ("values: { theirs: 1 }\n", false), "{}", given_up.shown);
    assert_eq!(given_up.kept, Some(("values: { mine: 1 }\n".to_owned(), 0o600)), "{}", given_up.shown);
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

/// A folder with the store, and its environment.
fn made() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("temp")).unwrap();
    assert!(tool(folder.path(), &["env", "init", ENVIRONMENT]).output().unwrap().status.success());
    folder
}

fn tool(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_sophia-secrets-sync"), folder);
    command.args(arguments);
    command
}

#[test]
fn what_is_opened_arrives_byte_for_byte_also_where_it_looks_like_colour() {
    let folder = made();
    let value = "a\x1b[0mb\x07c\x7fd\te\x1b]0;title\x07";
    std::fs::write(folder.path().join("value"), value).unwrap();
    for (path, more) in [("key", &["--secret"][..]), ("environmentVariables.V", &["--string"])] {
        let arguments = [&["env", "set", ENVIRONMENT, path, "--file", "value"], more].concat();
        assert!(tool(folder.path(), &arguments).output().unwrap().status.success());
    }
    let opened = |arguments: &[&str]| {
        let arguments = [&["env", "open", ENVIRONMENT], arguments].concat();
        tool(folder.path(), &arguments).output().unwrap().stdout
    };
    assert_eq!(opened(&["key", "--format", "string"]), format!("{value}\n").as_bytes());
    assert_eq!(opened(&["--format", "shell"]), format!("export V='{value}'\n").as_bytes());
    let json: serde_json::Value = serde_json::from_slice(&opened(&["--format", "json"])).unwrap();
    assert_eq!(json["key"], value);
}

#[test]
fn an_editor_has_arguments_quoted_as_in_a_shell() {
    let folder = made();
    let edit =
        |editor: &str| tool(folder.path(), &["env", "edit", ENVIRONMENT]).env("EDITOR", editor).output().unwrap();
    let edited = edit(r#"sh -c 'printf "values: { a: b c }\n" > "$1"' "my editor""#);
    assert!(edited.status.success(), "{}", String::from_utf8_lossy(&edited.stderr));
    let stored = std::fs::read_to_string(folder.path().join(format!("store/{ENVIRONMENT}.yaml"))).unwrap();
    assert_eq!(stored, "values: { a: b c }\n");
    let mut command = tool(folder.path(), &["env", "edit", ENVIRONMENT]);
    assert!(command.env("VISUAL", "true").env("EDITOR", "broken '").output().unwrap().status.success());
    for blank in ["", "  ", "''", "# none"] {
        let mut command = tool(folder.path(), &["env", "edit", ENVIRONMENT]);
        let edited = command.env("VISUAL", blank).env("EDITOR", "true").output().unwrap();
        assert!(edited.status.success(), "{blank}: {}", String::from_utf8_lossy(&edited.stderr));
    }
    let refused = edit("sh -c 'exit");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("a quote has no end"));
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let folder = made();
    for editor in ["sh -c 'rm $1; mkfifo $1' x", "sh -c 'rm $1' x", "sh -c 'rm $1; mkdir $1' x"] {
        let mut command = tool(folder.path(), &["env", "edit", ENVIRONMENT]);
        let edited = command.env("EDITOR", editor).env("PATH", "/usr/bin:/bin").output().unwrap();
        let said = String::from_utf8_lossy(&edited.stderr).into_owned();
        assert!(edited.status.code() == Some(2) && said.contains("the editor left no file"), "{editor}: {said}");
    }
}
