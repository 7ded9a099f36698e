//! The action and every workflow to copy, under act, a local runner of GitHub's workflows.
//!
//! `cargo test --test act -- --ignored` with act in `target/tools/bin` (`.ci/run` puts it there). act is laxer
//! than GitHub (github-api.md §7.3); `tests/action` is the strict runner. act gets an environment of its own: by
//! itself it would take the machine's tokens and read `.env` files.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "this is a test, its files are its own"
)]

#[allow(dead_code, reason = "its `main` is called by the release only")]
#[path = "../../examples/manifest.rs"]
mod manifest;
#[allow(dead_code, reason = "shared with tests/action")]
#[path = "../action/release.rs"]
mod release;
#[path = "../action/services.rs"]
mod services;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use release::{Answer, Archive, Server};
use serde_json::json;
use services::{DEFINITION, GITHUB_TOKEN, PULUMI_TOKEN, REPOSITORY, Services, WORKFLOW_TOKEN, assert_no_secret};

/// A machine with act, the two services, a repository that uses the action, and the action itself.
struct World {
    folder: tempfile::TempDir,
    services: Services,
    archive: Archive,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for part in ["repository/.github/workflows", "action/.github/workflows", "home", "cache/tool_cache"] {
            std::fs::create_dir_all(folder.path().join(part)).unwrap();
        }
        // Packing a debug build takes seconds: once for all tests.
        static ARCHIVE: OnceLock<Archive> = OnceLock::new();
        let pack = || {
            let binary = std::fs::read(env!("CARGO_BIN_EXE_sophia-secrets-sync")).unwrap();
            Archive::of(&binary, &["sophia-secrets-sync"])
        };
        let archive = ARCHIVE.get_or_init(pack).clone();
        let world = Self { folder, services: Services::start(), archive };
        world.lay_out();
        world
    }

    fn path(&self, part: &str) -> PathBuf {
        self.folder.path().join(part)
    }

    /// Copies what a user's repository and the action's repository hold.
    fn lay_out(&self) {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR"));
        let copy = |from: &str, to: &str| {
            let to = self.path(to);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(ours.join(from), to).unwrap();
        };
        for place in ["action", "repository"] {
            for file in ["action.yml", "dist/run.sh", "dist/manifest.json"] {
                copy(file, &format!("{place}/{file}"));
            }
            self.archive.pin(&self.path(place));
        }
        copy(".github/workflows/sync.yml", "action/.github/workflows/sync.yml");
        copy("tests/act/own.yml", "repository/.github/workflows/own.yml");
        for workflow in std::fs::read_dir(ours.join("docs/workflows")).unwrap() {
            let name = workflow.unwrap().file_name().into_string().unwrap();
            copy(&format!("docs/workflows/{name}"), &format!("repository/.github/workflows/{name}"));
        }
        std::fs::write(self.path("repository/pulumi-esc-environment.yaml"), DEFINITION).unwrap();
        for place in ["action", "repository"] {
            for arguments in
                [&["init", "--quiet", "--initial-branch=main"][..], &["add", "."], &["commit", "--quiet", "-m", "all"]]
            {
                let git = Command::new("git")
                    .args(["-c", "user.name=test", "-c", "user.email=test@example.com"])
                    .args(arguments)
                    .current_dir(self.path(place))
                    .env("HOME", self.path("home"))
                    .env("GIT_CONFIG_NOSYSTEM", "1")
                    .status();
                assert!(git.unwrap().success());
            }
        }
    }

    /// Puts the archive where an earlier job would have left it.
    fn fill_the_tool_cache(&self) {
        let cached = self.archive.cached(&self.path("cache/tool_cache"));
        std::fs::create_dir_all(cached.parent().unwrap()).unwrap();
        std::fs::write(cached, &self.archive.0).unwrap();
    }

    /// Runs one workflow; whether it succeeded, and its log.
    fn act(&self, event: &str, workflow: &str, arguments: &[&str]) -> (bool, String) {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin/act");
        let text = |part: &str| self.path(part).to_str().unwrap().to_owned();
        let mut act = Command::new(tool);
        act.arg(event).args(["-C", &text("repository"), "-W", &format!(".github/workflows/{workflow}")]);
        act.args(["-P", "ubuntu-24.04=-self-hosted", "--action-offline-mode", "--no-cache-server"]);
        act.args(["--container-daemon-socket", "-", "--action-cache-path", &text("cache")]);
        act.arg(format!("--local-repository=payready/sophia-secrets-sync@v1={}", text("action")));
        for option in ["--env-file", "--secret-file", "--var-file", "--input-file"] {
            act.args([option, "/dev/null"]);
        }
        for (name, secret) in [("GITHUB_TOKEN", WORKFLOW_TOKEN), ("PULUMI", PULUMI_TOKEN), ("WRITER", GITHUB_TOKEN)] {
            act.args(["-s", &format!("{name}={secret}")]);
        }
        for (name, value) in self.services.environment() {
            act.args(["--env", &format!("{name}={value}")]);
        }
        let output = act
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", self.path("home"))
            .env("XDG_CACHE_HOME", self.path("home"))
            .env("ACT_DISABLE_VERSION_CHECK", "1")
            .stdin(std::process::Stdio::null())
            .output()
            .expect("act is in target/tools/bin; .ci/run puts it there");
        let log = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), log)
    }
}

#[track_caller]
fn assert_says(log: &str, words: &str) {
    assert!(log.contains(words), "the log does not say `{words}`:\n{log}");
}

#[test]
#[ignore = "needs act; run by .ci/run"]
fn the_action_plans_syncs_and_changes_nothing_the_second_time() {
    let world = World::new();
    let server = Server::start(vec![Answer::Bytes(world.archive.0.clone())]);
    let mirror = format!("mirror={}", server.url);
    let (succeeded, log) = world.act("workflow_dispatch", "own.yml", &["--input", &mirror]);
    assert!(succeeded, "{log}");
    assert_eq!(server.requests().len(), 1, "the second step finds it in the tool cache");
    for words in
        ["plan: true 3", "first: true 3 0", "second: false 0 3", "wrong: failure 2", "secrets in the report: 0"]
    {
        assert_says(&log, words);
    }
    assert_says(&log, "| `SIGNING_KEY` | secret |");
    assert_says(&log, "no-such-stack");
    assert_no_secret(&log);
    world.services.assert_all_secrets_are_there(&log);
}

#[test]
#[ignore = "needs act; run by .ci/run"]
fn the_workflows_to_copy_run_as_they_are() {
    for (event, workflow, arguments) in [
        ("schedule", "scheduled.yml", &[][..]),
        ("push", "sync-on-push.yml", &[]),
        ("workflow_dispatch", "dispatch.yml", &["--input", "stack=production", "--input", "dry-run=false"]),
        ("schedule", "fan-out.yml", &[]),
    ] {
        let world = World::new();
        world.fill_the_tool_cache();
        let (succeeded, log) = world.act(event, workflow, arguments);
        assert!(succeeded, "{workflow}: {log}");
        assert_no_secret(&log);
        world.services.assert_all_secrets_are_there(&log);
        let written = world.services.writes();
        let (succeeded, again) = world.act(event, workflow, arguments);
        assert!(succeeded, "{workflow}: {again}");
        assert_eq!(world.services.writes(), written, "{workflow} writes again: {again}");
    }
}

#[test]
#[ignore = "needs act; run by .ci/run"]
fn the_shards_of_the_reusable_workflow_share_the_targets() {
    let world = World::new();
    world.fill_the_tool_cache();
    let names = ["a", "b", "c", "d", "e", "f"].map(|name| format!("payready/{name}"));
    let repositories: serde_json::Map<String, serde_json::Value> =
        names.iter().map(|name| (name.clone(), json!({"topics": ["sophia"]}))).collect();
    let organizations = json!({"payready": {}});
    let github = json!({"repositories": repositories, "organizations": organizations});
    world.services.sandbox.edit(json!({ "github": github })).unwrap();
    let all = "  - repositories: { organization: payready, topic: sophia }\n    stacks: [production]\n";
    let (head, tail) = DEFINITION.split_once("targets:\n").unwrap();
    let tail = &tail[tail.find("sync:").unwrap()..];
    std::fs::write(world.path("repository/pulumi-esc-environment.yaml"), format!("{head}targets:\n{all}{tail}"))
        .unwrap();
    let (succeeded, log) = world.act("schedule", "fan-out.yml", &[]);
    assert!(succeeded, "{log}");
    assert_no_secret(&log);
    let writes = world.services.writes();
    for name in &names {
        let key = format!("PUT /repos/{name}/actions/secrets/SIGNING_KEY");
        assert_eq!(writes.iter().filter(|write| **write == key).count(), 1, "{name}: {log}");
    }
    let jobs = ["1/3", "2/3", "3/3"].into_iter().filter(|shard| log.contains(&format!("sync {shard}")));
    assert!(jobs.count() == 3, "{log}");
}

#[test]
#[ignore = "needs act; run by .ci/run"]
fn a_plan_on_a_pull_request_and_a_dry_run_write_nothing() {
    let world = World::new();
    world.fill_the_tool_cache();
    let event = world.path("event.json");
    let payload = json!({"pull_request": {"head": {"repo": {"full_name": REPOSITORY}, "ref": "change"}, "base": {"ref": "main"}}});
    std::fs::write(&event, payload.to_string()).unwrap();
    let (succeeded, log) = world.act("pull_request", "plan-on-pull-request.yml", &["-e", event.to_str().unwrap()]);
    assert!(succeeded, "{log}");
    assert_says(&log, "SIGNING_KEY");
    let (succeeded, dry) =
        world.act("workflow_dispatch", "dispatch.yml", &["--input", "stack=production", "--input", "dry-run=true"]);
    assert!(succeeded, "{dry}");
    assert_says(&dry, "changed true, created 3, updated 0");
    for log in [&log, &dry] {
        assert_no_secret(log);
    }
    assert_eq!(world.services.writes(), [] as [String; 0]);
}

#[test]
#[ignore = "needs act; run by .ci/run"]
fn the_canary_tells_what_was_synced_from_what_was_not() {
    let world = World::new();
    world.fill_the_tool_cache();
    assert!(world.act("schedule", "scheduled.yml", &[]).0);
    let key = format!("SIGNING_KEY={}", services::KEY);
    let (succeeded, log) = world.act("schedule", "verify.yml", &["-s", "OPENAI_API_KEY=marker-openai $x", "-s", &key]);
    assert!(succeeded, "{log}");
    assert_says(&log, "2 of 2 secrets are what was synced.");
    let (succeeded, stale) = world.act("schedule", "verify.yml", &["-s", "OPENAI_API_KEY=marker-old", "-s", &key]);
    assert!(!succeeded, "{stale}");
    assert_says(&stale, "! OPENAI_API_KEY  different");
    for log in [&log, &stale] {
        assert_no_secret(log);
    }
}

#[test]
#[ignore = "needs act; run by .ci/run"]
fn the_weekly_rotation_report_runs() {
    let world = World::new();
    world.fill_the_tool_cache();
    assert!(world.act("schedule", "scheduled.yml", &[]).0);
    let written = world.services.writes();
    let (succeeded, log) = world.act("schedule", "rotation.yml", &[]);
    assert!(succeeded, "{log}");
    assert_says(&log, "need attention");
    assert_no_secret(&log);
    assert_eq!(world.services.writes(), written, "a report writes nothing");
}

/// Stands for GitHub's `upload-artifact`, which needs GitHub's store: it keeps the file in this folder.
fn keep_artifacts(folder: &Path) {
    let action = format!(
        "name: keep\ndescription: keeps\ninputs: {{ name: {{ default: '' }}, path: {{ default: '' }}, if-no-files-found: {{ default: '' }}, \
         retention-days: {{ default: '' }} }}\nruns:\n  using: composite\n  steps:\n    - shell: bash\n      env: {{ FILE: '${{{{ inputs.path }}}}' }}\n      \
         run: cp \"$FILE\" '{}'\n",
        folder.display()
    );
    std::fs::write(folder.join("action.yml"), action).unwrap();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=test", "-c", "user.email=test@example.com"]);
        assert!(git.args(arguments).current_dir(folder).status().unwrap().success());
    };
    for arguments in [&["init", "--quiet"][..], &["add", "."], &["commit", "--quiet", "-m", "all"]] {
        git(arguments);
    }
}

#[test]
#[ignore = "needs act; run by .ci/run"]
fn the_quarterly_evidence_is_kept_as_an_artifact() {
    let world = World::new();
    world.fill_the_tool_cache();
    assert!(world.act("schedule", "scheduled.yml", &[]).0);
    let kept = tempfile::tempdir().unwrap();
    keep_artifacts(kept.path());
    let uploads = std::fs::read_to_string(world.path("repository/.github/workflows/evidence.yml")).unwrap();
    let upload = uploads.lines().find_map(|line| line.trim().strip_prefix("- uses: actions/upload")).unwrap();
    let upload = format!("actions/upload{}={}", upload.split(' ').next().unwrap(), kept.path().display());
    let (succeeded, log) = world.act("schedule", "evidence.yml", &["--local-repository", &upload]);
    assert!(succeeded, "{log}");
    assert_no_secret(&log);
    let page = std::fs::read_to_string(kept.path().join("evidence.html")).unwrap();
    assert!(page.contains("payready / sophia-esc") && page.contains("OPENAI_API_KEY"), "{page}");
    assert_no_secret(&page);
}

#[test]
#[ignore = "needs act; run by .ci/run"]
fn a_failure_fails_the_job_and_says_why() {
    let world = World::new();
    world.fill_the_tool_cache();
    let (succeeded, log) =
        world.act("workflow_dispatch", "dispatch.yml", &["--input", "stack=staging", "--input", "dry-run=false"]);
    assert!(!succeeded, "{log}");
    assert_says(&log, "staging");
    assert_no_secret(&log);
    assert_eq!(world.services.secrets(), []);
}
