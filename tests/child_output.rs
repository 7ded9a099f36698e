//! `run` under load and under signals: the child's output at speed, in flat memory, and nothing of a secret in it.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_macros,
    reason = "a test fails by panicking, and tells what it measured"
)]

use std::ffi::OsString;
use std::io::Read;
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use sophia_secrets_sync::base::secret::SecretValue;
use sophia_secrets_sync::io::child::{ChildSettings, Redacted, run};
use sophia_secrets_sync::rules::redaction::Secrets;

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

impl tokio::io::AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
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
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
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
    let secrets = Secrets::new(&values).unwrap();
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

/// Peak resident memory of this process in KiB.
fn peak() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the kernel tells through a file")]
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// 200 MB with a secret in every line. `cargo test --release --test child_output -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes seconds and is meant for an optimised build"]
async fn two_hundred_megabytes_pass_at_speed_and_in_flat_memory() {
    const BYTES: usize = 200_000_000;
    let line = format!(
        "2026-01-01T00:00:00Z info request served key={SECRET} marker-load-line-two-of-a-key {}",
        "x".repeat(80)
    );
    let script = format!("yes '{line}' | head -c {BYTES}");
    let began = Instant::now();
    let mut cat =
        Command::new("/bin/sh").args(["-c", &format!("{script} | cat")]).stdout(Stdio::piped()).spawn().unwrap();
    let mut count = 0;
    let mut pipe = cat.stdout.take().unwrap();
    let mut chunk = vec![0; 65536];
    while let Ok(read) = pipe.read(&mut chunk) {
        if read == 0 {
            break;
        }
        count += read;
    }
    cat.wait().unwrap();
    assert_eq!(count, BYTES);
    let plain = began.elapsed();

    let sink = Sink::default();
    let before = peak();
    let began = Instant::now();
    assert_eq!(run(shell(&script), redacted(&sink)).await.unwrap(), 0);
    let ours = began.elapsed();
    let grown = peak() - before;
    let seen = sink.0.lock().unwrap();
    println!("cat {plain:?}, redacted {ours:?}, {} bytes out, memory grew by {grown} KiB", seen.count);
    assert!(!seen.leaked);
    assert!(seen.count > BYTES / 2 && seen.count < BYTES);
    assert!(grown < 16 * 1024, "{grown} KiB");
    if !cfg!(debug_assertions) {
        assert!(ours < plain * 2 + Duration::from_millis(200), "{ours:?} against {plain:?}");
    }
}
