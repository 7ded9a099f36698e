//! The audit trail under several processes and under a full disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at once")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sophia_secrets_sync::io::audit::{AuditLog, read};
use sophia_secrets_sync::rules::audit::{Actor, ActorKind, Entry, Run};
use sophia_secrets_sync::rules::audit_chain::{Verification, verify};

mod support;

fn run(id: &str) -> Run {
    Run {
        id: id.into(),
        command: "sync".into(),
        actor: Actor { kind: ActorKind::User, name: "tester".into(), claims: BTreeMap::new() },
        stack: None,
        environment: None,
        revision: None,
        plan: None,
    }
}

fn verified(path: &Path) -> Verification {
    let stored = read(path).unwrap();
    verify(&stored.trail, stored.head.as_deref(), &[])
}

/// This program again, adding `lines` lines to the trail at `path`.
fn appender(path: &Path, lines: usize) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "appends_as_a_child"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{lines} {}", path.display()).unwrap();
    child
}

#[test]
#[ignore = "run by the other tests, as a process of its own"]
fn appends_as_a_child() {
    let mut told = String::new();
    std::io::stdin().read_to_string(&mut told).unwrap();
    let (lines, path) = told.trim_end().split_once(' ').unwrap();
    let log = AuditLog::open(Path::new(path), run("child"), support::clock()).unwrap();
    for line in 1..lines.parse::<usize>().unwrap() {
        log.append(&Entry { name: Some(format!("NAME_{line}")), ..Entry::of("step") }).unwrap();
    }
}

#[test]
fn two_processes_append_ten_thousand_lines_each_to_one_whole_chain() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let children = [appender(&path, 10_000), appender(&path, 10_000)];
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let verification = verified(&path);
    assert!(verification.is_whole(), "{:?}", verification.findings);
    assert_eq!(verification.lines, 20_000);
}

#[test]
fn a_killed_process_leaves_a_chain_that_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    for _ in 0..5 {
        let mut child = appender(&path, 1_000_000);
        let before = read(&path).map_or(0, |stored| stored.trail.len());
        while read(&path).map_or(0, |stored| stored.trail.len()) < before + 20_000 {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        AuditLog::open(&path, run("next"), support::clock()).unwrap();
        let verification = verified(&path);
        assert!(verification.is_whole(), "{:?}", verification.findings);
    }
}

/// `ulimit -f` counts blocks of 1 KiB in bash and of 512 bytes in sh; the test needs only that it is reached.
#[cfg(unix)]
#[test]
fn a_full_disk_stops_the_run_and_keeps_every_answered_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let mut child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 40; exec \"$0\" --ignored --exact appends_as_a_child"])
        .arg(std::env::current_exe().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "1000000 {}", path.display()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("audit-unwritable"), "{said}");
    let verification = verified(&path);
    assert!(verification.is_whole(), "{:?}", verification.findings);
    assert!(verification.lines > 20);
}
