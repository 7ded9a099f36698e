//! Runs every `tests/scenarios/*.yaml`: the real binary against a sandbox of its own. See docs/testing.md.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "this is a test, its files and its environment are its own"
)]

mod harness;

use std::path::PathBuf;

/// Scenarios under way at once; each mostly waits for its child.
const AT_ONCE: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_ends_as_it_is_written() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let wanted = std::env::var("SOPHIA_SCENARIO").unwrap_or_default();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_stem().unwrap().to_string_lossy().contains(&wanted))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no scenario is named like {wanted:?}");
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    let running: Vec<_> = paths
        .into_iter()
        .map(|path| {
            let gate = std::sync::Arc::clone(&gate);
            tokio::spawn(async move {
                let _turn = gate.acquire().await.unwrap();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, harness::run(&path).await)
            })
        })
        .collect();
    let count = running.len();
    let mut failed = Vec::new();
    for scenario in running {
        let (name, problems) = scenario.await.expect("a scenario that does not panic");
        if !problems.is_empty() {
            failed.push(format!("--- {name}\n{}", problems.join("\n")));
        }
    }
    assert!(failed.is_empty(), "{} of {count} scenarios failed\n{}\n", failed.len(), failed.join("\n"));
}
