//! A run and its audit trail, when the trail cannot be kept to the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use sophia_secrets_sync::flow::apply;
use sophia_secrets_sync::flow::audit::records;
use sophia_secrets_sync::flow::context::{Context, Event};
use sophia_secrets_sync::io::audit::{AuditLog, HEAD_UNWRITABLE, head_path};

use super::support;
use super::world::{USUAL, World, many};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_cannot_write_the_head_file_records_no_step_twice() {
    let world = World::of_one_repository().await;
    let (prepared, github) = world.prepare(USUAL).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let trail = folder.path().join("audit.jsonl");
    let log = Arc::new(AuditLog::open(&trail, support::run("1"), support::clock()).unwrap());
    let tell = |event: Event<'_>| {
        if matches!(event, Event::Stepped { done: 1, .. }) {
            std::fs::remove_file(head_path(&trail)).unwrap();
            std::fs::create_dir(head_path(&trail)).unwrap();
        }
    };
    let context = Context { github: &github, tell: &tell, audit: Some(&log) };
    let outcomes = apply::apply(&context, &prepared).await;

    let codes: Vec<&str> = outcomes.problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, [HEAD_UNWRITABLE]);
    assert!(outcomes.not_tried() > 0, "the run stops");
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    // The head file is a folder now, which makes no difference to what is read here.
    std::fs::remove_dir(head_path(&trail)).unwrap();
    for name in records(&trail).unwrap().0.into_iter().filter_map(|record| record.entry.name) {
        *lines.entry(name).or_default() += 1;
    }
    assert_eq!(lines, many().into_keys().map(|name| (name, 1)).collect(), "each step has one line");
}
