//! How long until the first request: the action with an empty and with a filled tool cache, the binary alone, and
//! Node with @octokit/rest as the stand-in for the Node actions of this field.
//!
//! `npm install --prefix target/tools/node @octokit/rest@22.0.1 && cargo bench --bench cold_start`
//!
//! `SOPHIA_COLD_START_BINARY=FILE` measures another build, such as a release's.
//!
//! Everything is on loopback, so a download costs no network time; its size is printed instead.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement, not part of the product"
)]

#[allow(dead_code, reason = "its `main` is called by the release only")]
#[path = "../examples/manifest.rs"]
mod manifest;
#[allow(dead_code, reason = "shared with tests/action")]
#[path = "../tests/action/release.rs"]
mod release;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use release::{Answer, Archive, Server};
use serde_json::json;
use sophia_secrets_sync::sandbox::{self, Options, Running};

const ROUNDS: usize = 15;
const DEFINITION: &str = "name: sophia-esc\norganization: payready\nenvironments:\n  - name: production\n\
    secretGroups:\n  - name: api-keys\ntargets:\n  - repository: payready/sophia\n    stacks: [production]\n";
const OCTOKIT: &str = "import { Octokit } from '@octokit/rest';\n\
    const octokit = new Octokit({ auth: process.env.GITHUB_TOKEN, baseUrl: process.env.GITHUB_API_URL });\n\
    await octokit.actions.listRepoSecrets({ owner: 'payready', repo: 'sophia' });\n";

struct Bench {
    runtime: tokio::runtime::Runtime,
    sandbox: Running,
    folder: tempfile::TempDir,
}

impl Bench {
    /// Runs `command` and answers the time until the first request arrives.
    fn first_request(&self, mut command: Command) -> Duration {
        let before = self.sandbox.requests().len();
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", self.folder.path())
            .env("RUNNER_TEMP", self.folder.path().join("temp"))
            .env("GITHUB_API_URL", &self.sandbox.github_url)
            .env("GITHUB_TOKEN", &self.sandbox.github_token)
            .env("PULUMI_BACKEND_URL", &self.sandbox.pulumi_url)
            .env("PULUMI_ACCESS_TOKEN", &self.sandbox.pulumi_token)
            .env("RUNNER_TOOL_CACHE", self.folder.path().join("tools"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let began = Instant::now();
        let mut child = command.spawn().unwrap();
        self.runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(60), self.sandbox.arrived(before + 1))
                .await
                .expect("a request arrives")
        });
        let took = began.elapsed();
        child.wait().unwrap();
        took
    }

    fn measure(&self, name: &str, mut command: impl FnMut() -> Command) {
        let mut times: Vec<Duration> = (0..ROUNDS).map(|_| self.first_request(command())).collect();
        times.sort();
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        println!(
            "{name:<42} median {:>7.1} ms   fastest {:>7.1} ms   slowest {:>7.1} ms",
            milliseconds(times[ROUNDS / 2]),
            milliseconds(times[0]),
            milliseconds(times[ROUNDS - 1])
        );
    }
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    for part in ["dist", "temp", "tools"] {
        std::fs::create_dir(folder.path().join(part)).unwrap();
    }
    std::fs::copy(root.join("dist/run.sh"), folder.path().join("dist/run.sh")).unwrap();
    std::fs::write(folder.path().join("pulumi-esc-environment.yaml"), DEFINITION).unwrap();
    let ours = env!("CARGO_BIN_EXE_sophia-secrets-sync");
    let binary = std::env::var("SOPHIA_COLD_START_BINARY").unwrap_or_else(|_| ours.to_owned());
    let bytes = std::fs::read(&binary).unwrap();
    let archive = Archive::of(&bytes, &["sophia-secrets-sync"]);
    archive.pin(folder.path());
    println!("binary {} bytes, archive to download {} bytes", bytes.len(), archive.0.len());

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut options = Options::new(jiff::Timestamp::now);
    let esc = json!({"values": {"api-keys": {"A": {"fn::secret": "value"}}}}).to_string();
    options.seed = serde_json::from_value(json!({
        "github": {"repositories": {"payready/sophia": {}}},
        "esc": {"environments": {"payready/sophia-esc/production": esc}},
    }))
    .unwrap();
    let sandbox = runtime.block_on(sandbox::start(options)).unwrap();
    let server = Server::start(vec![Answer::Bytes(archive.0)]);
    let bench = Bench { runtime, sandbox, folder };

    let tools = bench.folder.path().join("tools");
    let action = || {
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-p", "dist/run.sh"]);
        command
    };
    // `env_clear` comes later: what is set here goes through `env`.
    let with_inputs = |command: &Command| {
        let mut outer = Command::new("env");
        outer.arg("SOPHIA_INPUT_COMMAND=plan").arg("SOPHIA_INPUT_STACK=production");
        outer.arg(format!("SOPHIA_INPUT_DOWNLOAD_URL={}", server.url));
        outer.arg(command.get_program()).args(command.get_args());
        outer
    };
    bench.measure("the action, empty tool cache", || {
        std::fs::remove_dir_all(&tools).unwrap();
        std::fs::create_dir(&tools).unwrap();
        with_inputs(&action())
    });
    bench.measure("the action, filled tool cache", || with_inputs(&action()));
    bench.measure("the binary alone", || {
        let mut command = Command::new(&binary);
        command.args(["plan", "--stack", "production"]);
        command
    });
    let node = root.join("target/tools/node");
    if node.join("node_modules/@octokit/rest").exists() {
        let script = node.join("first-request.mjs");
        std::fs::write(&script, OCTOKIT).unwrap();
        bench.measure("Node: import @octokit/rest and ask", || {
            let mut command = Command::new("node");
            command.arg(&script);
            command
        });
    } else {
        println!("@octokit/rest is not installed: see the head of benches/cold_start.rs");
    }
}
