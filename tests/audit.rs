//! The audit trail under several processes and under a full disk.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at once, and its files are its own"
)]

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use sophia_secrets_sync::flow::audit::records;
use sophia_secrets_sync::io::audit::{AuditLog, read};
use sophia_secrets_sync::io::files::write_private;
use sophia_secrets_sync::rules::audit::Entry;
use sophia_secrets_sync::rules::audit_chain::{Verification, verify};
use sophia_secrets_sync::sandbox;

mod support;

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
    let log = AuditLog::open(Path::new(path), support::run("child"), support::clock()).unwrap();
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
        AuditLog::open(&path, support::run("next"), support::clock()).unwrap();
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

const DEFINITION: &str = "\
name: sophia-esc
organization: payready
environments: [{ name: production }]
secretGroups: [{ name: api-keys }]
targets: [{ repository: payready/sophia, stacks: [production] }]
";

/// Secrets that the sandbox's ESC environment holds.
const SECRETS: usize = 12;

struct World {
    sandbox: sandbox::Running,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let secrets: String = (0..SECRETS).map(|n| format!("    KEY_{n:02}: {{ fn::secret: value-{n} }}\n")).collect();
        let document = format!(
            "values:\n  sophia: {{ fingerprintKey: {{ fn::secret: a-fingerprint-key-of-the-tests }} }}\n  api-keys:\n{secrets}"
        );
        let mut options = sandbox::Options::new(support::clock);
        options.seed = serde_json::from_value(json!({
            "github": {"repositories": {"payready/sophia": {}}},
            "esc": {"environments": {"payready/sophia-esc/production": document}}
        }))
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        write_private(&folder.path().join("pulumi-esc-environment.yaml"), DEFINITION.as_bytes()).unwrap();
        Self { sandbox: sandbox::start(options).await.unwrap(), folder }
    }

    /// Runs `sync`, one write at a time, as the last words of the command `before`.
    async fn sync(&self, before: &[&str]) -> std::process::Output {
        self.command(before).output().await.unwrap()
    }

    fn command(&self, before: &[&str]) -> tokio::process::Command {
        let typed = [env!("CARGO_BIN_EXE_sophia-secrets-sync"), "sync", "--stack", "production", "--concurrency", "1"];
        let words: Vec<&str> = before.iter().copied().chain(typed).collect();
        let mut command = tokio::process::Command::new(words[0]);
        command.args(&words[1..]).env_clear().current_dir(self.folder.path());
        for (name, value) in [
            ("PATH", std::env::var("PATH").unwrap().as_str()),
            ("GITHUB_API_URL", &self.sandbox.github_url),
            ("GITHUB_TOKEN", &self.sandbox.github_token),
            ("PULUMI_BACKEND_URL", &self.sandbox.pulumi_url),
            ("PULUMI_ACCESS_TOKEN", &self.sandbox.pulumi_token),
        ] {
            command.env(name, value);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// How many secrets GitHub holds.
    fn written(&self) -> usize {
        let state = self.sandbox.state();
        state["github"]["repositories"]["payready/sophia"]["secrets"]["actions"].as_object().map_or(0, |all| all.len())
    }

    fn trail(&self) -> std::path::PathBuf {
        self.folder.path().join(".sophia/audit.jsonl")
    }

    /// Names of the trail whose step was recorded as done.
    fn recorded(&self) -> usize {
        let (records, _) = records(&self.trail()).unwrap();
        records.iter().filter(|r| r.entry.event == "step" && r.entry.outcome.as_deref() == Some("done")).count()
    }
}

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A shell's words that run what follows with files of at most so many blocks of 512 bytes (sh) or 1 KiB (bash).
#[cfg(unix)]
fn with_disk_of(blocks: &str) -> [&str; 5] {
    ["sh", "-c", "ulimit -f \"$0\"; exec \"$@\"", blocks, "env"]
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn sync_on_a_full_disk_writes_nothing_to_github() {
    let world = World::new().await;
    let output = world.sync(&with_disk_of("0")).await;
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("audit-unwritable"), "{}", said(&output));
    assert_eq!(world.written(), 0);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn sync_on_a_disk_that_fills_stops_and_the_next_run_does_the_rest() {
    let world = World::new().await;
    let output = world.sync(&with_disk_of("6")).await;
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    assert!(said(&output).contains("audit-unwritable"), "{}", said(&output));
    let (recorded, written) = (world.recorded(), world.written());
    // What could not be recorded any more was the last thing that was done.
    assert!(recorded > 0 && written == recorded + 1 && written < SECRETS, "{recorded} recorded, {written} written");
    assert!(verified(&world.trail()).is_whole());

    let output = world.sync(&["env"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(world.written(), SECRETS);
    let verification = verified(&world.trail());
    assert!(verification.is_whole(), "{:?}", verification.findings);
}

/// Only a second interrupt of the user may end the process: that the trail failed is none.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_trail_the_first_interrupt_lets_the_run_save_its_ledger() {
    use rustix::process::{Pid, Signal, kill_process};
    let world = World::new().await;
    // The ledger is saved after the trail has failed, and so slowly that the interrupt comes meanwhile.
    let ledger = json!({"match": {"method": "POST", "path": "/actions/variables$"}, "do": {"delay_ms": 2000}});
    world.sandbox.fault(ledger).unwrap();
    let child = world.command(&with_disk_of("6")).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let id = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    let ended = tokio::spawn(child.wait_with_output());
    let is_asked =
        || world.sandbox.requests().iter().any(|asked| asked.method == "POST" && asked.path.ends_with("/variables"));
    while !is_asked() {
        assert!(!ended.is_finished(), "ended without saving the ledger");
        tokio::task::yield_now().await;
    }
    kill_process(id, Signal::INT).unwrap();
    let output = ended.await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    assert!(said(&output).contains("audit-unwritable"), "{}", said(&output));
    let state = world.sandbox.state();
    let variables = &state["github"]["repositories"]["payready/sophia"]["variables"]["actions"];
    assert!(variables["SOPHIA_SECRETS_SYNC_LEDGER"].is_object(), "{variables}");
}

/// Root may write what no one may, unless it gives that power away.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn sync_with_a_trail_that_is_read_only_writes_nothing_to_github() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new().await;
    AuditLog::open(&world.trail(), support::run("before"), support::clock()).unwrap();
    std::fs::set_permissions(world.trail(), std::fs::Permissions::from_mode(0o400)).unwrap();
    let user = Command::new("id").arg("-u").output().unwrap().stdout;
    let powerless = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"];
    let before: &[&str] = if user == b"0\n" { &powerless } else { &["env"] };
    let output = world.sync(before).await;
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("permission denied"), "{}", said(&output));
    assert_eq!(world.written(), 0);
    assert_eq!(verified(&world.trail()).lines, 1);
}
