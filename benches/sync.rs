//! How long a sync takes, against the bound that latency sets: the real binary on the sandbox.
//!
//! `cargo bench --bench sync`; with `SOPHIA_BENCH_PYTHON=python3` of an environment that has PyGithub, a script that
//! writes the same secrets one after the other runs beside it. Numbers after `--` are other latencies, in milliseconds: a
//! long one tells the rounds even on a busy machine. Each line is the best of three runs. How the bound
//! is counted, and what was measured: docs/benchmarks.md.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement, not part of the product"
)]

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json, json};
use sophia_secrets_sync::sandbox::{self, Options, Running};
use tokio::process::Command;

const CONCURRENCY: usize = 16;
const PYTHON: &str = "
import os, sys
from github import Auth, Github
github = Github(auth=Auth.Token(os.environ['GITHUB_TOKEN']), base_url=os.environ['GITHUB_API_URL'], seconds_between_writes=0, seconds_between_requests=0)
for name in sys.argv[2:]:
    repository = github.get_repo(name)
    for number in range(int(sys.argv[1])):
        repository.create_secret(f'SECRET_{number:03}', f'value {number}')
";

struct World {
    sandbox: Running,
    folder: tempfile::TempDir,
    repositories: Vec<String>,
    secrets: usize,
}

#[derive(Default)]
struct Cost {
    wall: Duration,
    cpu: Duration,
    peak_kib: u64,
    reads: usize,
    writes: usize,
    connections: u64,
}

impl World {
    async fn new(secrets: usize, repositories: usize) -> Self {
        let names: Vec<String> = (0..repositories).map(|number| format!("payready/sophia-{number:04}")).collect();
        let values: Map<String, Json> =
            (0..secrets).map(|n| (format!("SECRET_{n:03}"), json!({"fn::secret": format!("value {n}")}))).collect();
        let key = json!({"fn::secret": "the fingerprint key of a benchmark"});
        let document = json!({"values": {"sophia": {"fingerprintKey": key}, "api-keys": values}}).to_string();
        let github: Map<String, Json> = names.iter().map(|name| (name.clone(), json!({}))).collect();
        let mut options = Options::new(jiff::Timestamp::now);
        options.seed = serde_json::from_value(json!({
            "github": {"repositories": github},
            "esc": {"environments": {"payready/sophia-esc/production": document}},
        }))
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let targets: Vec<String> = names.iter().map(|name| format!("  - repository: {name}\n")).collect();
        let definition = format!(
            "name: sophia-esc\norganization: payready\nenvironments: [{{ name: production }}]\n\
             secretGroups: [{{ name: api-keys }}]\ntargets:\n{}",
            targets.concat()
        );
        std::fs::write(folder.path().join("pulumi-esc-environment.yaml"), definition).unwrap();
        Self { sandbox: sandbox::start(options).await.unwrap(), folder, repositories: names, secrets }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("GITHUB_API_URL", &self.sandbox.github_url)
            .env("GITHUB_TOKEN", &self.sandbox.github_token)
            .env("PULUMI_BACKEND_URL", &self.sandbox.pulumi_url)
            .env("PULUMI_ACCESS_TOKEN", &self.sandbox.pulumi_token)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    async fn sync(&self, pace: &str) -> Cost {
        let mut command = self.command(env!("CARGO_BIN_EXE_sophia-secrets-sync"));
        command.args(["sync", "--stack", "production", "--pace", pace]);
        self.measure(command).await
    }

    async fn measure(&self, mut command: Command) -> Cost {
        self.sandbox.clear_requests();
        let began = Instant::now();
        let mut child = command.spawn().unwrap();
        let id = child.id().unwrap();
        let mut cost = Cost::default();
        let status = loop {
            tokio::select! {
                status = child.wait() => break status.unwrap(),
                () = tokio::time::sleep(Duration::from_millis(5)) => cost.sample(id),
            }
        };
        cost.wall = began.elapsed();
        assert!(status.success(), "the run ended with {status}");
        let requests = self.sandbox.requests();
        let github: Vec<_> = requests.iter().filter(|request| request.service == "github").collect();
        cost.reads = github.iter().filter(|request| request.method == "GET").count();
        cost.writes = github.len() - cost.reads;
        cost.connections = self.sandbox.statistics()["connections"].as_u64().unwrap();
        cost
    }
}

impl Cost {
    /// The last sample before the end counts: processor time and peak memory as Linux tells them.
    fn sample(&mut self, id: u32) {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{id}/{name}")).unwrap_or_default();
        let status = read("status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        self.peak_kib = peak.unwrap_or(self.peak_kib);
        let stat = read("stat");
        let ticks = stat.rsplit(')').next().map(|rest| rest.split_whitespace().skip(11).take(2));
        let ticks: u64 = ticks.into_iter().flatten().filter_map(|text| text.parse::<u64>().ok()).sum();
        self.cpu = self.cpu.max(Duration::from_millis(ticks * 10));
    }

    fn print(&self, name: &str, bound: Option<Duration>) {
        let bound = bound.map_or(String::from("       -       -"), |bound| {
            format!("{:>8} {:>7.2}", bound.as_millis(), self.wall.as_secs_f64() / bound.as_secs_f64())
        });
        println!(
            "{name:<58} {:>8} {bound} {:>7} {:>7} {:>6} {:>7} {:>8.1}",
            self.wall.as_millis(),
            self.reads,
            self.writes,
            self.connections,
            self.cpu.as_millis(),
            self.peak_kib as f64 / 1024.0
        );
    }

    /// (max(`serial`, ceil(reads / concurrency)) + ceil(writes / concurrency)) × latency.
    fn bound(&self, serial: usize, latency: Duration) -> Duration {
        let rounds = serial.max(self.reads.div_ceil(CONCURRENCY)) + self.writes.div_ceil(CONCURRENCY);
        latency * u32::try_from(rounds).unwrap()
    }
}

/// The longest chain of reads that need one another: ESC's revision, session and values. What GitHub lists, the
/// ledger and the public key are read beside them.
const REPEAT: usize = 3;
/// After the writes, GitHub's dates are read back.
const FIRST: usize = 4;
const RUNS: usize = 3;

fn best(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by_key(|cost| cost.wall);
    costs.swap_remove(0)
}

async fn first_and_repeat(secrets: usize, repositories: usize, latency: Duration, pace: &str) {
    let (mut firsts, mut repeats) = (Vec::new(), Vec::new());
    let mut world = None;
    for _ in 0..RUNS {
        let fresh = World::new(secrets, repositories).await;
        fresh.sandbox.set_latency(latency);
        firsts.push(fresh.sync(pace).await);
        repeats.push(fresh.sync(pace).await);
        world = Some(fresh);
    }
    let what = format!("{secrets} secrets -> {repositories} repositories, {} ms, pace {pace}", latency.as_millis());
    let (first, repeat) = (best(firsts), best(repeats));
    assert_eq!(repeat.writes, 0);
    first.print(&format!("{what}, first"), Some(first.bound(FIRST, latency)));
    repeat.print(&format!("{what}, repeat"), Some(repeat.bound(REPEAT, latency)));
    if let (Ok(python), "off", Some(world)) = (std::env::var("SOPHIA_BENCH_PYTHON"), pace, world) {
        let mut command = world.command(&python);
        command.args(["-c", PYTHON, &world.secrets.to_string()]).args(&world.repositories);
        let peer = world.measure(command).await;
        peer.print(&format!("{what}, PyGithub"), None);
        println!("{what}: {:.1} times as fast as PyGithub", peer.wall.as_secs_f64() / first.wall.as_secs_f64());
    }
}

async fn unchanged(repositories: usize, latency: Duration) {
    let world = World::new(10, repositories).await;
    world.sync("off").await;
    world.sandbox.set_latency(latency);
    let mut costs = Vec::new();
    for _ in 0..RUNS {
        costs.push(world.sync("off").await);
    }
    let cost = best(costs);
    assert_eq!(cost.writes, 0);
    let what = format!("10 secrets -> {repositories} repositories, {} ms, unchanged", latency.as_millis());
    cost.print(&what, Some(cost.bound(REPEAT, latency)));
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!(
        "{:<58} {:>8} {:>8} {:>7} {:>7} {:>7} {:>6} {:>7} {:>8}",
        "", "wall ms", "bound ms", "ratio", "reads", "writes", "conns", "cpu ms", "peak MiB"
    );
    let asked: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let latencies = if asked.is_empty() { vec![40, 5] } else { asked };
    for latency in latencies.into_iter().map(Duration::from_millis) {
        for pace in ["off", "on"] {
            first_and_repeat(100, 1, latency, pace).await;
        }
        first_and_repeat(50, 10, latency, "off").await;
        for repositories in [10, 100, 1000] {
            unchanged(repositories, latency).await;
        }
    }
}
