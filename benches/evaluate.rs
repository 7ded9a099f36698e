//! Times of the evaluator: documents of 10 to 100,000 leaves, and 100 imports. Time per leaf must stay flat.
//!
//! `cargo bench --bench evaluate` prints a table: what the first evaluation in a process takes, as every run of the tool has
//! it, and what one takes that finds memory and caches warm. A number after `--` evaluates one document of that many leaves,
//! once, for whoever counts instructions or memory. `tests/peers/esc-eval -bench` prints the same for the
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
use std::process::Command;
use std::time::{Duration, Instant};

use sophia_secrets_sync::esc::eval::{Decrypter, Loaded, Loader, Mode, evaluate};
use sophia_secrets_sync::esc::provider::Providers;

/// Asks for the document that imports others.
const IMPORTS: &str = "imports";
/// Asks for the time that the evaluation took. Not asked for, no clock is read: valgrind does not bear every way to.
const TIMED: &str = "timed";

/// As the binary has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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

/// A document that imports a hundred others, and these.
fn importing() -> (String, BTreeMap<String, String>) {
    let mut root = String::from("imports:\n");
    let mut environments = BTreeMap::new();
    for part in 0..100 {
        environments.insert(format!("part{part}"), flat(100));
        let _ = writeln!(root, "  - part{part}");
    }
    root.push_str("values:\n  own: ${shared.prefix}\n");
    (root, environments)
}

/// The time that this thread has been computing: on a busy machine the clock on the wall tells little. Where the
/// system does not say, it is that clock.
fn computed(start: Instant) -> Duration {
    #[cfg(unix)]
    {
        let _ = start;
        let told = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::try_from(told).expect("a time that this thread has been computing")
    }
    #[cfg(not(unix))]
    start.elapsed()
}

fn once(text: &str, environments: &BTreeMap<String, String>) {
    let (mut loader, providers) = (Memory(environments.clone()), Providers::default());
    let evaluated = evaluate("bench", text, Mode::Open, &mut loader, &NoSecrets, &providers, &BTreeMap::new());
    assert!(evaluated.value.is_some() && evaluated.diagnostics.is_empty(), "the benchmark does not evaluate");
}

/// What one evaluation takes, the mean of some.
fn timed(text: &str, environments: &BTreeMap<String, String>, repeats: u32) -> Duration {
    let start = Instant::now();
    let before = computed(start);
    for _ in 0..repeats {
        once(text, environments);
    }
    (computed(start) - before) / repeats
}

/// What a process of its own does: the one evaluation, and its time on standard output where it is asked for.
fn alone(text: &str, environments: &BTreeMap<String, String>) {
    if std::env::args().any(|argument| argument == TIMED) {
        println!("{}", timed(text, environments, 1).as_nanos());
    } else {
        once(text, environments);
    }
}

/// The best of five processes that evaluate the document once.
fn first(argument: &str) -> Duration {
    let itself = std::env::current_exe().expect("this program");
    let times = (0..5).map(|_| {
        let output = Command::new(&itself).args([argument, TIMED]).output().expect("this program starts");
        let nanoseconds = String::from_utf8(output.stdout).expect("a text").trim().parse().expect("a number");
        Duration::from_nanos(nanoseconds)
    });
    times.min().expect("five of them")
}

/// The best of five rounds, each long enough to be measured.
fn again(text: &str, environments: &BTreeMap<String, String>, leaves: u32) -> Duration {
    let repeats = (20_000 / leaves).max(1);
    (0..5).map(|_| timed(text, environments, repeats)).min().expect("five of them")
}

fn print(label: &str, leaves: u32, first: Duration, again: Duration) {
    let [first, again] = [first, again].map(|time| time.as_secs_f64() * 1e6);
    let (first_each, again_each) = (first / f64::from(leaves), again / f64::from(leaves));
    println!("{label:<20} {:>9.3} {first_each:>9.2} {:>12.3} {again_each:>9.2}", first / 1e3, again / 1e3);
}

fn main() {
    let none = BTreeMap::new();
    if let Some(leaves) = std::env::args().find_map(|argument| argument.parse().ok()) {
        return alone(&flat(leaves), &none);
    }
    let (root, environments) = importing();
    if std::env::args().any(|argument| argument == IMPORTS) {
        return alone(&root, &environments);
    }
    println!("{:<20} {:>9} {:>9} {:>12} {:>9}", "", "first, ms", "us a leaf", "again, ms", "us a leaf");
    for leaves in [10, 1000, 10_000, 100_000] {
        let again = again(&flat(leaves as usize), &none, leaves);
        print(&format!("{leaves} leaves"), leaves, first(&leaves.to_string()), again);
    }
    print("100 imports of 100", 10_000, first(IMPORTS), again(&root, &environments, 10_000));
}
