//! Times of the evaluator: documents of 10 to 100,000 leaves, and 100 imports. Time per leaf must stay flat.
//!
//! `cargo bench --bench evaluate` prints a table; `tests/peers/esc-eval -bench` prints the same for the
//! reference. The documents are the same, letter by letter.
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a benchmark prints its table and fails when it is broken"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use sophia_secrets_sync::esc::eval::{Decrypter, Loaded, Loader, Mode, evaluate};
use sophia_secrets_sync::esc::provider::Providers;

struct Memory(BTreeMap<String, String>);

impl Loader for Memory {
    fn load(&mut self, name: &str) -> Result<Loaded, String> {
        let text = self.0.get(name).cloned().ok_or("not found")?;
        Ok(Loaded { text, decrypter: Box::new(NoSecrets) })
    }
}

struct NoSecrets;

impl Decrypter for NoSecrets {
    fn decrypt(&self, _envelope: &str) -> Result<String, String> {
        Err("nothing is encrypted here".into())
    }
}

/// A quarter each of plain texts, interpolations, secrets and numbers, in groups of a hundred.
fn flat(leaves: usize) -> String {
    let mut text = String::from("values:\n  shared: { region: eu-west-1, prefix: sophia }\n");
    for leaf in 0..leaves {
        if leaf % 100 == 0 {
            let _ = writeln!(text, "  group{}:", leaf / 100);
        }
        let _ = match leaf % 4 {
            0 => writeln!(text, "    key{leaf}: plain value {leaf}"),
            1 => writeln!(text, "    key{leaf}: ${{shared.prefix}}-${{shared.region}}-{leaf}"),
            2 => writeln!(text, "    key{leaf}: {{ 'fn::secret': hidden{leaf} }}"),
            _ => writeln!(text, "    key{leaf}: {leaf}"),
        };
    }
    text
}

/// The time that this thread has been computing: on a busy machine the clock on the wall tells little. Where the
/// system does not say, it is that clock.
fn computed(start: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// The best of some rounds, each long enough to be measured.
fn measure(label: &str, text: &str, environments: &BTreeMap<String, String>, leaves: usize) {
    let (start, providers) = (Instant::now(), Providers::default());
    let repeats = (20_000 / leaves).max(1);
    let mut best = f64::MAX;
    for _ in 0..5 {
        let before = computed(start);
        for _ in 0..repeats {
            let mut loader = Memory(environments.clone());
            let evaluated = evaluate("bench", text, Mode::Open, &mut loader, &NoSecrets, &providers, &BTreeMap::new());
            assert!(evaluated.value.is_some() && evaluated.diagnostics.is_empty(), "the benchmark does not evaluate");
        }
        best = best.min((computed(start) - before).as_secs_f64() * 1e6 / repeats as f64);
    }
    println!("{label:<24} {:>12.3} ms {:>10.2} us per leaf", best / 1e3, best / leaves as f64);
}

fn main() {
    for leaves in [10, 1000, 10_000, 100_000] {
        measure(&format!("{leaves} leaves"), &flat(leaves), &BTreeMap::new(), leaves);
    }
    let mut root = String::from("imports:\n");
    let mut environments = BTreeMap::new();
    for part in 0..100 {
        environments.insert(format!("part{part}"), flat(100));
        let _ = writeln!(root, "  - part{part}");
    }
    root.push_str("values:\n  own: ${shared.prefix}\n");
    measure("100 imports of 100", &root, &environments, 10_000);
}
