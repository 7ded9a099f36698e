//! Secrets out of a stream of bytes, wherever the stream is cut into chunks.
//!
//! **A secret of at least [`SHORTEST`] bytes never passes whole.** What could be the beginning of one is held
//! back until the next bytes decide. So that a prompt is not held for ever, a pause lets at most
//! [`SHOWN_EARLY`] bytes of such a beginning through; the rest is replaced if it turns out to be a secret.

use std::ops::Range;

use zeroize::Zeroizing;

use super::forms;
use crate::base::secret::SecretValue;

/// Values and lines of fewer bytes are not looked for: replacing every `1` destroys a log.
pub const SHORTEST: usize = 4;

/// Bytes of a possible secret that a pause lets through.
pub const SHOWN_EARLY: usize = 3;

/// What stands in place of a secret.
pub const REPLACEMENT: &[u8] = b"***";

/// A beginning of a secret of so many bytes does not pass at the end of the stream either.
const TELLING: usize = 8;

/// Finds secrets in any number of streams.
///
/// At full speed nearly all text has no secret in it, and most bytes are never looked at: of each `step` bytes one
/// block of [`SHORTEST`] is, since whichever secret begins in them has that block among its first ones.
#[derive(Clone)]
pub struct Secrets {
    /// The first block of each pattern.
    first: Blocks,
    /// The first `step` blocks of each pattern.
    near: Blocks,
    step: usize,
    /// Sorted.
    patterns: Vec<Zeroizing<Vec<u8>>>,
    longest: usize,
}

/// More bytes than these are not passed over at once: each adds to the blocks that are looked for.
const LONGEST_STEP: usize = 16;

/// Blocks of [`SHORTEST`] bytes; holds now and then one that was not added, never misses one that was.
#[derive(Clone)]
struct Blocks(Box<[u64; 1024]>);

impl Blocks {
    fn of<'b>(blocks: impl Iterator<Item = &'b [u8]>) -> Self {
        let mut bits = Box::new([0; 1024]);
        for (word, bit) in blocks.filter_map(|block| Some(Self::place(*block.first_chunk()?))) {
            if let Some(word) = bits.get_mut(word) {
                *word |= bit;
            }
        }
        Self(bits)
    }

    #[inline(always)]
    fn hold(&self, block: [u8; SHORTEST]) -> bool {
        let (word, bit) = Self::place(block);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    /// A word, and the bit in it: the upper half of a product, which depends on every byte of the block.
    #[inline(always)]
    fn place(block: [u8; SHORTEST]) -> (usize, u64) {
        let [_, _, low, high] = u32::from_le_bytes(block).wrapping_mul(0x9E37_79B1).to_le_bytes();
        let place = u16::from_le_bytes([low, high]);
        (usize::from(place / 64), 1 << (place % 64))
    }
}

/// The block at `at`. None, when the text ends within it.
#[inline(always)]
fn block(text: &[u8], at: usize) -> Option<[u8; SHORTEST]> {
    text.get(at..)?.first_chunk().copied()
}

impl Secrets {
    /// Looks for each value as it is, each of its lines, and its base64 and JSON forms.
    #[must_use]
    pub fn new<'v>(values: impl IntoIterator<Item = &'v SecretValue>) -> Self {
        let mut patterns: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        let mut add = |bytes: &[u8]| {
            if bytes.len() >= SHORTEST && bytes.iter().any(u8::is_ascii_alphanumeric) {
                patterns.push(Zeroizing::new(bytes.to_vec()));
            }
        };
        for value in values {
            let masks = value.mask_lines();
            for mask in &masks {
                add(mask.as_bytes());
            }
            if let Some(whole) = masks.first().filter(|_| value.len() >= SHORTEST) {
                add(forms::base64(whole).as_bytes());
                add(forms::json(whole).as_bytes());
            }
        }
        patterns.sort_unstable_by(|left, right| left.as_slice().cmp(right.as_slice()));
        patterns.dedup_by(|left, right| left.as_slice() == right.as_slice());
        let longest = patterns.iter().map(|pattern| pattern.len()).max().unwrap_or(0);
        let shortest = patterns.iter().map(|pattern| pattern.len()).min().unwrap_or(SHORTEST);
        let step = (shortest + 1 - SHORTEST).min(LONGEST_STEP);
        let first = Blocks::of(patterns.iter().map(|pattern| &pattern[..]));
        let near = Blocks::of(patterns.iter().flat_map(|pattern| pattern.windows(SHORTEST).take(step)));
        Self { first, near, step, patterns, longest }
    }

    /// The first secret that begins at `from` or after it, and of those that begin there the longest.
    fn next(&self, text: &[u8], from: usize) -> Option<Range<usize>> {
        let mut at = from;
        while let Some(block) = block(text, at + self.step - 1) {
            if self.near.hold(block)
                && let Some(found) = (at..at + self.step).find_map(|start| self.at(text, start))
            {
                return Some(found);
            }
            at += self.step;
        }
        None
    }

    /// The longest secret that begins at `start`.
    fn at(&self, text: &[u8], start: usize) -> Option<Range<usize>> {
        if !self.begins_block(text, start) {
            return None;
        }
        let mut rest = text.get(start..)?;
        loop {
            let below = self.patterns.partition_point(|pattern| pattern.as_slice() <= rest);
            let nearest = self.patterns.get(below.checked_sub(1)?)?;
            if rest.starts_with(nearest) {
                return Some(start..start + nearest.len());
            }
            // Whatever `rest` begins with sorts before `nearest`, and so is no longer than what the two have in common.
            let common = rest.iter().zip(nearest.iter()).take_while(|(left, right)| left == right).count();
            rest = rest.get(..common)?;
        }
    }

    fn begins_block(&self, text: &[u8], start: usize) -> bool {
        block(text, start).is_some_and(|block| self.first.hold(block))
    }

    /// Whether some pattern is longer than `text` and begins with it.
    fn may_become(&self, text: &[u8]) -> bool {
        let from = self.patterns.partition_point(|pattern| pattern.as_slice() <= text);
        self.patterns.get(from).is_some_and(|pattern| pattern.starts_with(text))
    }

    /// Where the first end of `text` begins that could still become a secret; its length when there is none.
    fn undecided(&self, text: &[u8]) -> usize {
        let tail = text.len().saturating_sub(self.longest.saturating_sub(1));
        // Of fewer bytes than a block any may be the beginning of one.
        let short = text.len().saturating_sub(SHORTEST - 1);
        (tail..text.len())
            .filter(|start| *start >= short || self.begins_block(text, *start))
            .find(|start| self.may_become(text.get(*start..).unwrap_or_default()))
            .unwrap_or(text.len())
    }
}

/// One stream.
pub struct Redactor {
    secrets: Secrets,
    /// What may be the beginning of a secret.
    held: Zeroizing<Vec<u8>>,
    /// Bytes of `held` that a pause has let through.
    shown: usize,
}

impl Redactor {
    #[must_use]
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, held: Zeroizing::new(Vec::new()), shown: 0 }
    }

    /// Takes the next bytes and appends what may pass to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(chunk);
        let held = &self.held[..];
        let undecided = self.secrets.undecided(held);
        // What was shown is never shown again.
        let (mut at, mut kept) = (0, undecided);
        while let Some(found) = self.secrets.next(held, at).filter(|found| found.start < undecided) {
            out.extend_from_slice(held.get(at.max(self.shown)..found.start).unwrap_or_default());
            out.extend_from_slice(REPLACEMENT);
            at = found.end;
            kept = kept.max(at);
        }
        out.extend_from_slice(held.get(at.max(self.shown)..kept).unwrap_or_default());
        self.shown = self.shown.saturating_sub(kept);
        self.held.drain(..kept);
    }

    /// Whether a pause would let bytes through.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.held.is_empty() && self.shown == 0 && self.held.len() <= SHOWN_EARLY
    }

    /// Nothing came for a while: lets a short beginning through.
    pub fn pause(&mut self, out: &mut Vec<u8>) {
        if self.waits() {
            out.extend_from_slice(&self.held);
            self.shown = self.held.len();
        }
    }

    /// The stream has ended: nothing held is a whole secret, and a telling beginning is replaced too.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.end(TELLING, out);
    }

    /// The stream goes on, and nobody wants the rest: however short a beginning of a secret is held, it does not pass.
    pub fn cut(&mut self, out: &mut Vec<u8>) {
        self.end(1, out);
    }

    /// Lets through what is held, but for a beginning of a secret of at least `telling` bytes.
    fn end(&mut self, telling: usize, out: &mut Vec<u8>) {
        // A shorter secret may stand in what was held for a longer one.
        let held = std::mem::take(&mut self.held);
        let mut at = 0;
        while let Some(found) = self.secrets.next(&held, at) {
            out.extend_from_slice(held.get(at.max(self.shown)..found.start).unwrap_or_default());
            out.extend_from_slice(REPLACEMENT);
            at = found.end;
        }
        let rest = held.get(at..).unwrap_or_default();
        let beginning = at + self.secrets.undecided(rest);
        if held.len() - beginning >= telling {
            out.extend_from_slice(held.get(at.max(self.shown)..beginning).unwrap_or_default());
            out.extend_from_slice(REPLACEMENT);
        } else {
            out.extend_from_slice(held.get(at.max(self.shown)..).unwrap_or_default());
        }
        self.shown = 0;
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn secrets(values: &[&str]) -> Secrets {
        let values: Vec<SecretValue> = values.iter().map(|text| SecretValue::from((*text).to_owned())).collect();
        Secrets::new(&values)
    }

    fn redacted(values: &[&str], chunks: &[&[u8]]) -> String {
        let mut redactor = Redactor::new(secrets(values));
        let mut out = Vec::new();
        for chunk in chunks {
            redactor.push(chunk, &mut out);
        }
        redactor.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_secret_is_replaced_wherever_the_chunks_end() {
        let text = b"before hunter2-hunter2 after\nand hunter2-hunter2";
        for cut in 0..text.len() {
            let (left, right) = text.split_at(cut);
            assert_eq!(redacted(&["hunter2-hunter2"], &[left, right]), "before *** after\nand ***", "{cut}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(redacted(&["hunter2-hunter2"], &bytes), "before *** after\nand ***");
    }

    #[test]
    fn nothing_of_a_secret_passes_where_the_stream_is_cut_in_it() {
        let secret = "hunter2-hunter2";
        for held in 0..secret.len() {
            let mut redactor = Redactor::new(secrets(&[secret]));
            let mut out = Vec::new();
            redactor.push(format!("before {}", &secret[..held]).as_bytes(), &mut out);
            redactor.cut(&mut out);
            let expected = if held == 0 { "before " } else { "before ***" };
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{held}");
        }
    }

    #[test]
    fn a_value_of_several_lines_is_replaced_wherever_the_chunks_end() {
        let text = b"all: first-line-of-it\nsecond-of-it\n, one: second-of-it, none: first-line-of";
        for cut in 0..text.len() {
            let (left, right) = text.split_at(cut);
            let out = redacted(&["first-line-of-it\nsecond-of-it\n"], &[left, right]);
            // The end could go on to a secret, and tells too much of it.
            assert_eq!(out, "all: ***, one: ***, none: ***", "{cut}");
        }
    }

    #[test]
    fn lines_and_forms_of_a_secret_are_replaced() {
        let value = "-----BEGIN-----\nabcdef123\n-----END-----\n";
        assert_eq!(redacted(&[value], &[value.as_bytes()]), "***");
        assert_eq!(redacted(&[value], &[b"x\r\nabcdef123\r\n"]), "x\r\n***\r\n");
        assert_eq!(redacted(&["say \"hi\""], &[b"{\"a\":\"say \\\"hi\\\"\"}"]), "{\"a\":\"***\"}");
        let coded = STANDARD.encode("hunter2-hunter");
        assert_eq!(redacted(&["hunter2-hunter"], &[coded.as_bytes()]), "***=");
    }

    #[test]
    fn the_longest_of_two_secrets_wins_also_across_chunks() {
        assert_eq!(redacted(&["abcd", "abcdefgh"], &[b"abcd", b"efgh abcd", b"x"]), "*** ***x");
        assert_eq!(redacted(&["abcd", "abcdefgh"], &[b"abcde"]), "***e");
    }

    #[test]
    fn nothing_is_held_that_cannot_become_a_secret() {
        let mut redactor = Redactor::new(secrets(&["hunter2-hunter2"]));
        let mut out = Vec::new();
        redactor.push(b"Password: ", &mut out);
        assert_eq!(out, b"Password: ");
        redactor.push(b"oh", &mut out);
        assert_eq!(out, b"Password: o");
        assert!(redactor.waits());
        redactor.pause(&mut out);
        assert_eq!(out, b"Password: oh");
        redactor.push(b"unter2-hunter2!", &mut out);
        assert_eq!(out, b"Password: oh***!");
        redactor.push(b"h", &mut out);
        redactor.pause(&mut out);
        redactor.push(b"ello", &mut out);
        assert_eq!(out, b"Password: oh***!hello");
    }

    #[test]
    fn a_pause_shows_no_telling_beginning_and_neither_does_the_end() {
        let mut redactor = Redactor::new(secrets(&["hunter2-hunter2"]));
        let mut out = Vec::new();
        redactor.push(b"hunter2-hunte", &mut out);
        redactor.pause(&mut out);
        assert_eq!(out, b"");
        redactor.finish(&mut out);
        assert_eq!(out, b"***");

        let (mut redactor, mut out) = (Redactor::new(secrets(&["hunter2-hunter2"])), Vec::new());
        redactor.push(b"hun", &mut out);
        redactor.pause(&mut out);
        redactor.push(b"ter2-hunte", &mut out);
        redactor.finish(&mut out);
        assert_eq!(out, b"hun***");

        let key = "-----BEGIN-----\nabcdefghijklmnop\n-----END-----\n";
        assert_eq!(redacted(&[key], &[b"-----BEGIN-----\nabcdefghijklm"]), "***\n***");
        assert_eq!(redacted(&[key], &[b"-----BEGIN-----\nabcdefg"]), "***\nabcdefg");
    }

    #[test]
    fn short_values_and_structure_are_left_alone() {
        assert_eq!(redacted(&["1", "abc", "{\n}\n", "----"], &[b"1 abc {\n}\n ----"]), "1 abc {\n}\n ----");
        assert_eq!(redacted(&[], &[b"anything"]), "anything");
    }

    /// Texts made of secrets, of their ends, and of what stands between.
    fn secrets_and_text() -> impl Strategy<Value = (Vec<String>, String)> {
        let values = prop_oneof![
            proptest::collection::vec("[ab1]{3,8}1", 1..8),
            proptest::collection::vec("[ab1]{18,24}1", 1..4),
            proptest::collection::vec("[a-z0-9]{4,40}1", 1..30),
        ];
        let left_out = prop_oneof![3 => Just(0), 1 => 0usize..30];
        let pieces = proptest::collection::vec((any::<proptest::sample::Index>(), left_out, "[ab1 ]{0,3}"), 0..30);
        (values, pieces).prop_map(|(values, pieces)| {
            let piece = |(index, left_out, between): (proptest::sample::Index, usize, String)| {
                let value: &String = index.get(&values);
                value.get(left_out..).unwrap_or_default().to_owned() + &between
            };
            let text = pieces.into_iter().map(piece).collect();
            (values, text)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        #[test]
        fn no_secret_passes_and_nothing_else_changes(
            words in proptest::collection::vec(prop_oneof![Just("abab1abab2"), Just("ab"), Just("abab"), Just("a"), Just(" "), Just("zz")], 0..40),
            cuts in proptest::collection::vec(0usize..100, 0..20),
            pauses in any::<bool>(),
        ) {
            let text = words.concat();
            let mut redactor = Redactor::new(secrets(&["abab1abab2"]));
            let mut out = Vec::new();
            let mut at = 0;
            for cut in cuts {
                let end = (at + cut).min(text.len());
                redactor.push(&text.as_bytes()[at..end], &mut out);
                if pauses {
                    redactor.pause(&mut out);
                }
                at = end;
            }
            redactor.push(&text.as_bytes()[at..], &mut out);
            redactor.finish(&mut out);
            let out = String::from_utf8(out).unwrap();
            prop_assert!(!out.contains("abab1abab2"));
            if !pauses {
                let whole = text.replace("abab1abab2", "***");
                prop_assert!(out == whole || whole.ends_with("abab1aba") || whole.ends_with("abab1abab"), "{out} {whole}");
            }
        }

        #[test]
        fn the_leftmost_and_of_those_the_longest_is_replaced_whatever_the_chunks(
            (values, text) in secrets_and_text(),
            cuts in proptest::collection::vec(0usize..60, 0..20),
        ) {
            // Nothing of a secret stands at the end: all is decided there.
            let text = text + " ~~~";
            let secrets = secrets(&values.iter().map(String::as_str).collect::<Vec<_>>());
            let patterns: Vec<Vec<u8>> = secrets.patterns.iter().map(|pattern| pattern.to_vec()).collect();
            let other = aho_corasick::AhoCorasick::builder()
                .match_kind(aho_corasick::MatchKind::LeftmostLongest)
                .build(&patterns)
                .unwrap();
            let expected = other.replace_all(&text, &vec!["***"; patterns.len()]);
            let mut redactor = Redactor::new(secrets);
            let mut out = Vec::new();
            let mut rest = text.as_bytes();
            for cut in cuts {
                let (chunk, after) = rest.split_at(cut.min(rest.len()));
                redactor.push(chunk, &mut out);
                rest = after;
            }
            redactor.push(rest, &mut out);
            redactor.finish(&mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
