//! Long random runs against the parsers of the ESC language, on stable Rust and without further tools.
//!
//! `SOPHIA_FUZZ_SECONDS=600 cargo test --release --test esc_fuzz -- --ignored` runs each target that long from the
//! corpus in `tests/esc/`; `SOPHIA_FUZZ_SEED` starts another sequence. A panic prints the seed of the input,
//! which `SOPHIA_FUZZ_SEED=… SOPHIA_FUZZ_SECONDS=0` repeats alone.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::disallowed_macros,
    clippy::print_stdout,
    reason = "a fuzzer reads its corpus and watches the clock"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sophia_secrets_sync::esc::eval::{Decrypter, Loaded, Loader, Mode, evaluate};
use sophia_secrets_sync::esc::path::Path;
use sophia_secrets_sync::esc::provider::Providers;
use sophia_secrets_sync::esc::stored::{self, StaticSecret, Stored};
use sophia_secrets_sync::esc::{envelope, interpolation};

/// A small generator of numbers (xorshift64*): the same seed gives the same input everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap_or(0) % bound.max(1)
    }
}

const PIECES: &[&str] = &[
    "${",
    "}",
    "$$",
    ".",
    "[",
    "]",
    "[\"",
    "\"]",
    "\\\"",
    "fn::",
    "fn::toJSON: ",
    "fn::secret: ",
    "ciphertext: ",
    "values:\n",
    "imports:\n",
    "  - ",
    ": ",
    "\n",
    "\n  ",
    "\n    ",
    "{",
    ", ",
    "&a ",
    "*a",
    "!!int ",
    "|\n",
    ">-\n",
    "---\n",
    "#",
    "'",
    "\"",
    "environments.a.b",
    "context.",
    "imports.",
    "0x",
    "1e6",
    "-1",
    "99999999999999999999",
    "null",
    "à",
    "🙂",
    "\u{85}",
    "\t",
    "\r\n",
    "\u{feff}",
    "<<",
    "? ",
    "$defs",
    "$ref: '#/$defs/a'",
    "anyOf: ",
    "ZXNjeA==",
    "\0",
];

/// One input: some seed, cut, doubled, spliced with another, sprinkled with pieces.
fn mutated(chance: &mut Chance, seeds: &[String]) -> String {
    let pick =
        |chance: &mut Chance| seeds.get(chance.below(seeds.len())).map_or_else(Vec::new, |seed| seed.chars().collect());
    let mut text: Vec<char> = pick(chance);
    for _ in 0..=chance.below(6) {
        let (at, to) = (chance.below(text.len() + 1), chance.below(text.len() + 1));
        let (at, to) = (at.min(to), at.max(to));
        match chance.below(6) {
            0 => drop(text.drain(at..to)),
            1 => {
                let copy: Vec<char> = text.iter().skip(at).take(to - at).copied().collect();
                text.splice(at..at, copy);
            }
            2 => {
                let other = pick(chance);
                let from = chance.below(other.len() + 1);
                text.splice(at..to, other.into_iter().skip(from).take(200));
            }
            _ => {
                let piece = PIECES.get(chance.below(PIECES.len())).unwrap_or(&"");
                text.splice(at..at, piece.chars());
            }
        }
        text.truncate(20_000);
    }
    text.into_iter().collect()
}

/// Runs `target` on inputs until the time is up; says how many there were.
fn fuzz(name: &str, seeds: &[String], target: impl Fn(&str)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = Duration::from_secs(number("SOPHIA_FUZZ_SECONDS").unwrap_or(5));
    let first = number("SOPHIA_FUZZ_SEED").unwrap_or(1);
    let (start, mut inputs) = (Instant::now(), 0);
    loop {
        let seed = first + inputs;
        let text = mutated(&mut Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1), seeds);
        let begun = Instant::now();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(&text)));
        assert!(outcome.is_ok(), "{name}: SOPHIA_FUZZ_SEED={seed} panics");
        assert!(begun.elapsed() < Duration::from_secs(60), "{name}: SOPHIA_FUZZ_SEED={seed} takes for ever");
        inputs += 1;
        if start.elapsed() >= seconds {
            break;
        }
    }
    println!("{name}: {inputs} inputs in {:?}", start.elapsed());
}

fn corpus() -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/esc");
    let folder = std::env::var_os("SOPHIA_ESC_CORPUS").map_or(folder, Into::into);
    let cases = std::fs::read_dir(folder).expect("the corpus");
    let texts = cases.filter_map(|case| std::fs::read_to_string(case.ok()?.path().join("env.yaml")).ok());
    let mut texts: Vec<String> = texts.collect();
    texts.sort();
    texts
}

struct Same(String);

impl Loader for Same {
    fn load(&mut self, name: &str) -> Result<Loaded, String> {
        let text = if name.len().is_multiple_of(2) { self.0.clone() } else { return Err("not found".into()) };
        Ok(Loaded { text, decrypter: Box::new(Plain) })
    }
}

struct Plain;

impl Decrypter for Plain {
    fn decrypt(&self, text: &str) -> Result<String, String> {
        let bytes = envelope::decode(text).map_err(|error| error.to_string())?;
        String::from_utf8(bytes).map_err(|_| "decrypting: not UTF-8".into())
    }
}

#[test]
#[ignore = "runs as long as SOPHIA_FUZZ_SECONDS says"]
fn documents() {
    let seeds = corpus();
    let providers = Providers::default();
    let envelope = envelope::encode(b"of a secret").unwrap();
    fuzz("documents", &seeds, |text| {
        for mode in [Mode::Check { show_secrets: false }, Mode::Open, Mode::Rotate { paths: None }] {
            let mut loader = Same(text.to_owned());
            let evaluated = evaluate("root", text, mode, &mut loader, &Plain, &providers, &BTreeMap::new());
            let _ = (evaluated.to_json(), format!("{:?}", evaluated.diagnostics));
        }
        let unclear = stored::unclear(text);
        let body = text.trim_start_matches('\u{feff}');
        assert!(unclear.is_none_or(|found| body.get(found.mark.byte()..).is_some()), "a place within the text");
        let seal =
            |secret: &StaticSecret| Ok::<_, ()>(secret.is_in_clear().then(|| Stored::Encrypted(envelope.clone())));
        if let (None, Ok(sealed)) = (unclear, stored::rewrite(text, seal)) {
            let all = stored::find(&sealed).unwrap();
            assert!(!all.iter().any(StaticSecret::is_in_clear), "nothing is left in clear");
            assert_eq!(stored::unclear(&sealed), None, "what is clear stays so");
        }
    });
}

#[test]
#[ignore = "runs as long as SOPHIA_FUZZ_SECONDS says"]
fn interpolations() {
    let seeds = corpus();
    fuzz("interpolations", &seeds, |text| {
        let (parts, mistakes) = interpolation::parse(text);
        for located in parts.iter().filter_map(|part| part.access.as_ref()).flatten() {
            assert!(text.get(located.begin..located.end).is_some());
        }
        assert!(mistakes.iter().all(|mistake| mistake.begin <= mistake.end));
        let escaped = text.replace('$', "$$");
        let (parts, mistakes) = interpolation::parse(&escaped);
        assert!(mistakes.is_empty() && parts.into_iter().map(|part| part.text).collect::<String>() == text);
    });
}

#[test]
#[ignore = "runs as long as SOPHIA_FUZZ_SECONDS says"]
fn paths() {
    let seeds = [r#"a.b[0]["k.x"]"#, "imports[0]", r#"["\"q\""]"#, "a[*].b", "a.[0]"].map(str::to_owned);
    fuzz("paths", &seeds, |text| {
        if let Ok(path) = text.parse::<Path>()
            && path.steps.iter().all(|step| !format!("{step:?}").contains('\\'))
        {
            let again = path.to_string().parse::<Path>();
            let blank = path.steps.iter().any(|step| format!("{step:?}") == "Key(\"\")");
            assert!(blank || again.as_ref() == Ok(&path), "{path} does not read back");
        }
    });
}

#[test]
#[ignore = "runs as long as SOPHIA_FUZZ_SECONDS says"]
fn envelopes() {
    let seeds = ["ZXNjeAAAAAHi4+Tl5ufoBX0y3w==", "", "ZXNjeA=="].map(str::to_owned);
    fuzz("envelopes", &seeds, |text| {
        if let Ok(ciphertext) = envelope::decode(text) {
            let again = envelope::encode(&ciphertext).map(|text| envelope::decode(&text));
            assert_eq!(again, Ok(Ok(ciphertext)));
        }
        let bytes = text.as_bytes();
        if bytes.len() >= 4 {
            assert_eq!(envelope::encode(bytes).and_then(|text| envelope::decode(&text)).as_deref(), Ok(bytes));
        }
    });
}
