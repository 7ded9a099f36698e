//! `run` under load and under signals: the child's output at speed, in flat memory, and nothing of a secret in it;
//! the real binary passes on signals, prompts and exit codes.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_macros,
    reason = "a test fails by panicking, and tells what it measured"
)]

use std::ffi::OsString;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use sophia_secrets_sync::base::secret::SecretValue;
use sophia_secrets_sync::io::child::{ChildSettings, Redacted, run};
use sophia_secrets_sync::rules::redaction::Secrets;
use sophia_secrets_sync::sandbox::{self, Options, Running};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

mod support;

const SECRET: &str = "marker-load-0123456789abcdef";
const SECOND: &str = "-----BEGIN-----\nmarker-load-line-two-of-a-key\n-----END-----";

/// Keeps what is written, or only counts it and looks for the secret.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    keep: bool,
    kept: Vec<u8>,
    count: usize,
    leaked: bool,
    tail: Vec<u8>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut seen = self.0.lock().unwrap();
        seen.count += bytes.len();
        if seen.keep {
            seen.kept.extend_from_slice(bytes);
        } else {
            let mut window = std::mem::take(&mut seen.tail);
            window.extend_from_slice(bytes);
            let finder = aho_corasick::AhoCorasick::new([SECRET, "marker-load-line"]).unwrap();
            seen.leaked |= finder.is_match(&window);
            seen.tail = window[window.len().saturating_sub(64)..].to_vec();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn shell(script: &str) -> ChildSettings {
    ChildSettings {
        program: OsString::from("/bin/sh"),
        arguments: vec![OsString::from("-c"), OsString::from(script)],
        variables: vec![("SECRET".to_owned(), OsString::from(SECRET))],
        unset: vec!["HOME".to_owned()],
        at_a_terminal: false,
    }
}

fn redacted(out: &Sink) -> Option<Redacted> {
    let values = [SECRET, SECOND].map(|text| SecretValue::from(text.to_owned()));
    let secrets = Secrets::new(&values);
    Some(Redacted { secrets, out: Box::new(out.clone()), err: Box::new(out.clone()) })
}

fn keeping() -> Sink {
    Sink(Arc::new(Mutex::new(Seen { keep: true, ..Seen::default() })))
}

fn text(sink: &Sink) -> String {
    String::from_utf8(sink.0.lock().unwrap().kept.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_is_shown_while_the_program_waits() {
    let sink = keeping();
    let shown = sink.clone();
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("gate");
    // The program goes on only after its prompt, which ends in the first letters of the secret, was seen.
    let script = format!("printf 'go on? mar'; while [ ! -e {} ]; do sleep 0.01; done; echo ker", gate.display());
    let running = tokio::spawn(async move { run(shell(&script), redacted(&sink)).await });
    let began = Instant::now();
    while text(&shown) != "go on? mar" {
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", text(&shown));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Command::new("touch").arg(&gate).status().unwrap();
    assert_eq!(running.await.unwrap().unwrap(), 0);
    assert_eq!(text(&shown), "go on? marker\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_written_letter_by_letter_does_not_pass() {
    let sink = keeping();
    let script = "s=$SECRET; while [ -n \"$s\" ]; do r=${s#?}; printf %s \"${s%\"$r\"}\"; s=$r; sleep 0.03; done";
    assert_eq!(run(shell(script), redacted(&sink)).await.unwrap(), 0);
    let text = text(&sink);
    assert!(
        text.ends_with("***") && text.len() <= "mar***".len() && SECRET.starts_with(text.trim_end_matches('*')),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_code_environment_and_both_streams_are_the_programs_own() {
    let sink = keeping();
    let code = run(shell("echo ${HOME-unset}; echo $SECRET >&2; exit 3"), redacted(&sink)).await.unwrap();
    assert_eq!(code, 3);
    let mut lines: Vec<String> = text(&sink).lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["***", "unset"]);
    assert_eq!(run(shell("kill -KILL $$"), None).await.unwrap(), 137);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grandchild_that_keeps_the_stream_open_does_not_keep_us() {
    let sink = keeping();
    let began = Instant::now();
    assert_eq!(run(shell("sleep 20 & echo done"), redacted(&sink)).await.unwrap(), 0);
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(text(&sink), "done\n");
}

/// A terminal that was closed, a `head` that has seen enough.
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_whose_output_nobody_reads_learns_of_it() {
    let redacted = Redacted { out: Box::new(Gone), ..redacted(&keeping()).unwrap() };
    assert_eq!(run(shell("exec yes"), Some(redacted)).await.unwrap(), 141);
}

/// Longer than this hangs.
const LONGEST: Duration = Duration::from_secs(60);

const DEFINITION: &str = "name: sophia-esc\norganization: payready\nsecretGroups: [{ name: api-keys }]\n\
                          defaultStack: production\nenvironments: [{ name: production }]\n";

/// A sandbox whose one environment has the variable `KEY`, and `run` of the real binary against it.
struct World {
    sandbox: Running,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let mut options = Options::new(support::clock);
        let document = format!("values: {{ api-keys: {{ KEY: {{ fn::secret: {SECRET} }} }} }}\n");
        let seed = json!({"esc": {"environments": {"payready/sophia-esc/production": document}}});
        options.seed = serde_json::from_value(seed).unwrap();
        let folder = tempfile::tempdir().unwrap();
        #[expect(clippy::disallowed_methods, reason = "a file for the binary")]
        std::fs::write(folder.path().join("pulumi-esc-environment.yaml"), DEFINITION).unwrap();
        Self { sandbox: sandbox::start(options).await.unwrap(), folder }
    }

    fn run(&self, options: &[&str], script: &str) -> RunningBinary {
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_sophia-secrets-sync"))
            .arg("run")
            .args(options)
            .args(["--", "/bin/sh", "-c", script])
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", "/usr/bin:/bin")
            .env("PULUMI_BACKEND_URL", &self.sandbox.pulumi_url)
            .env("PULUMI_ACCESS_TOKEN", &self.sandbox.pulumi_token)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        RunningBinary { stdin: child.stdin.take(), stdout: child.stdout.take().unwrap(), shown: String::new(), child }
    }
}

struct RunningBinary {
    child: tokio::process::Child,
    stdin: Option<tokio::process::ChildStdin>,
    stdout: tokio::process::ChildStdout,
    shown: String,
}

impl RunningBinary {
    /// Waits until the output so far is `text`, and not a byte more.
    async fn shows(&mut self, text: &str) {
        let mut chunk = [0; 1024];
        while self.shown != text {
            let count = tokio::time::timeout(LONGEST, self.stdout.read(&mut chunk)).await;
            let count = count.unwrap_or_else(|_| panic!("only {:?} was shown of {text:?}", self.shown)).unwrap();
            assert!(count > 0, "ended with {:?} instead of {text:?}", self.shown);
            self.shown.push_str(std::str::from_utf8(&chunk[..count]).unwrap());
        }
    }

    /// Waits until `text` is part of the output.
    async fn shows_somewhere(&mut self, text: &str) {
        let mut chunk = [0; 1024];
        while !self.shown.contains(text) {
            let count = tokio::time::timeout(LONGEST, self.stdout.read(&mut chunk)).await;
            let count = count.unwrap_or_else(|_| panic!("{text:?} was not shown")).unwrap();
            assert!(count > 0, "ended with {:?} and without {text:?}", self.shown);
            self.shown.push_str(std::str::from_utf8(&chunk[..count]).unwrap());
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap(), signal).unwrap();
    }

    /// The exit code, and all that was shown.
    async fn end(mut self) -> (Option<i32>, String) {
        drop(self.stdin.take());
        let mut rest = String::new();
        let end = async {
            self.stdout.read_to_string(&mut rest).await.unwrap();
            self.child.wait().await.unwrap().code()
        };
        let code = tokio::time::timeout(LONGEST, end).await.unwrap_or_else(|_| panic!("the run does not end"));
        (code, self.shown + &rest)
    }
}

/// Redacted, and with our own streams.
const BOTH: [&[&str]; 2] = [&[], &["--no-redact"]];

#[tokio::test(flavor = "multi_thread")]
async fn signals_reach_the_program_and_its_exit_code_is_ours() {
    let world = World::new().await;
    let script = "for s in INT QUIT HUP TERM USR1 USR2; do trap \"echo got $s; exit \\$code\" $s; done
        code=41; echo ready; while :; do sleep 0.01; done";
    let signals = [
        ("INT", Signal::INT),
        ("QUIT", Signal::QUIT),
        ("HUP", Signal::HUP),
        ("TERM", Signal::TERM),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
    ];
    for options in BOTH {
        for (word, signal) in signals {
            let mut running = world.run(options, script);
            running.shows("ready\n").await;
            running.signal(signal);
            assert_eq!(running.end().await, (Some(41), format!("ready\ngot {word}\n")), "{options:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_may_ignore_a_signal_and_go_on() {
    let world = World::new().await;
    for options in BOTH {
        let script = "trap 'echo not yet' TERM; echo ready; until read -r word; do :; done; echo $word; exit 5";
        let mut running = world.run(options, script);
        running.shows("ready\n").await;
        running.signal(Signal::TERM);
        running.shows("ready\nnot yet\n").await;
        running.stdin.as_mut().unwrap().write_all(b"done\n").await.unwrap();
        assert_eq!(running.end().await, (Some(5), "ready\nnot yet\ndone\n".to_owned()), "{options:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_a_signal_ends_gives_128_and_its_number() {
    let world = World::new().await;
    for options in BOTH {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
            let mut running = world.run(options, "echo ready; exec sleep 60");
            running.shows("ready\n").await;
            running.signal(signal);
            assert_eq!(running.end().await, (Some(code), "ready\n".to_owned()), "{options:?}");
        }
        let running = world.run(options, "kill -KILL $$");
        assert_eq!(running.end().await, (Some(137), String::new()), "{options:?}");
    }
}

/// A script that ends with `code` and leaves a grandchild that then says `orphan` and goes on with `rest`. It says so when
/// the child is no longer there to be asked, not even for its exit code: a signal after that comes while output is copied.
fn orphan(code: u8, rest: &str) -> String {
    format!("(while kill -0 $$ 2>/dev/null; do sleep 0.01; done; echo orphan; {rest}) & exit {code}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_wait_for_a_grandchild_that_goes_on_writing() {
    let world = World::new().await;
    let busy = orphan(0, "exec yes tick");
    let slow = orphan(7, "trap '' INT TERM HUP; while echo tick $KEY; do sleep 0.05; done");
    for (script, code) in [(&busy, 0), (&slow, 7)] {
        for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
            let mut running = world.run(&[], script);
            running.shows_somewhere("orphan\ntick").await;
            running.signal(signal);
            let (ended, shown) = running.end().await;
            assert_eq!(ended, Some(code), "{signal:?} {script}");
            assert!(!shown.contains(SECRET));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_is_repeated_waits_for_no_reader_either() {
    let world = World::new().await;
    let mut running = world.run(&[], &orphan(3, "exec yes tick"));
    running.shows_somewhere("orphan\n").await;
    let began = Instant::now();
    let status = loop {
        running.signal(Signal::INT);
        if let Ok(status) = tokio::time::timeout(Duration::from_millis(50), running.child.wait()).await {
            break status.unwrap();
        }
        assert!(began.elapsed() < LONGEST, "the run waits for a reader that takes nothing");
    };
    assert_eq!(status.code(), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_without_a_line_break_is_answered() {
    let world = World::new().await;
    // The second prompt ends in the first letters of the secret. Neither has more output behind it before its answer.
    let script = "printf 'name? '; read -r name; printf 'mar'; read -r rest; echo \"$name$rest $KEY\"";
    let mut running = world.run(&[], script);
    running.shows("name? ").await;
    running.stdin.as_mut().unwrap().write_all(b"so\n").await.unwrap();
    running.shows("name? mar").await;
    running.stdin.as_mut().unwrap().write_all(b"phia\n").await.unwrap();
    assert_eq!(running.end().await, (Some(0), "name? marsophia ***\n".to_owned()));
}

/// Peak resident memory of this process in KiB.
fn peak() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the kernel tells through a file")]
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Of the child's output in the tests of load.
const BYTES: usize = 200_000_000;

/// Prints [`BYTES`] of lines, every so many of them with a secret, and a line of another; none at all when it is 0.
fn load(every: usize) -> String {
    let plain = format!("2026-01-01T00:00:00Z info market request served key=0123456789abcdef {}", "x".repeat(120));
    let telling = format!(
        "2026-01-01T00:00:00Z info request served key={SECRET} marker-load-line-two-of-a-key {}",
        "x".repeat(80)
    );
    // One argument holds at most 128 KiB: no more than 500 lines or so.
    let plain_lines = format!("yes '{plain}' | head -n {}", every.saturating_sub(1));
    match every {
        0 => format!("yes '{plain}' | head -c {BYTES}"),
        1 => format!("yes '{telling}' | head -c {BYTES}"),
        _ => format!("lines=$(echo '{telling}'; {plain_lines}); yes \"$lines\" | head -c {BYTES}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes seconds and is meant for an optimised build"]
async fn two_hundred_megabytes_pass_in_flat_memory_and_without_a_secret() {
    let sink = Sink::default();
    let before = peak();
    assert_eq!(run(shell(&load(1)), redacted(&sink)).await.unwrap(), 0);
    let grown = peak() - before;
    let seen = sink.0.lock().unwrap();
    println!("{} bytes out, memory grew by {grown} KiB", seen.count);
    assert!(!seen.leaked);
    assert!(seen.count > BYTES / 2 && seen.count < BYTES);
    assert!(grown < 16 * 1024, "{grown} KiB");
}

/// Runs a shell's script to its end with its output counted; how long it took, and how many bytes came.
fn timed(script: &str) -> (Duration, usize) {
    let began = Instant::now();
    let mut child = Command::new("/bin/sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdout.take().unwrap();
    let (mut chunk, mut count) = (vec![0; 65536], 0);
    loop {
        match pipe.read(&mut chunk).unwrap() {
            0 => break,
            read => count += read,
        }
    }
    assert!(child.wait().unwrap().success());
    (began.elapsed(), count)
}

/// `producer | cat` against `run -- producer` of the real binary, both into a pipe that this test reads.
/// `cargo test --release --test child_output -- --ignored --nocapture`; the best of seven rounds.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes seconds and is meant for an optimised build on a quiet machine"]
async fn output_passes_at_half_the_speed_of_cat_or_faster() {
    let world = World::new().await;
    let binary = env!("CARGO_BIN_EXE_sophia-secrets-sync");
    let ours = |script: &str| {
        format!(
            "cd {} && PULUMI_BACKEND_URL={} PULUMI_ACCESS_TOKEN={} exec {binary} run -- /bin/sh -c '{}'",
            world.folder.path().display(),
            world.sandbox.pulumi_url,
            world.sandbox.pulumi_token,
            script.replace('\'', "'\\''"),
        )
    };
    let best = |script: &str| tokio::task::block_in_place(|| (0..7).map(|_| timed(script)).min().unwrap());
    let (start, _) = best(&ours("true"));
    println!("start and end of a run without output: {start:?}");
    for (every, text) in [(0, "no secret"), (500, "a secret in every 500th line"), (1, "a secret in every line")] {
        let script = load(every);
        let (cat, all) = best(&format!("({script}) | cat"));
        let (redacted, left) = best(&ours(&script));
        println!("{text}: cat {cat:?}, redacted {redacted:?}, {left} bytes out");
        assert_eq!(all, BYTES);
        assert!(if every == 0 { left == BYTES } else { left < BYTES }, "{left}");
        if !cfg!(debug_assertions) {
            assert!(redacted < cat * 2 + start, "{redacted:?} against {cat:?}");
        }
    }
}
