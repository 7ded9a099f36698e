//! One text, in chunks, through a [`Scanner`]. Only the last bytes of a chunk are kept, so a text of any size
//! takes the same memory.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::{Hit, Needle, Scanner};
use crate::rules::forms::Form;

/// Hits kept of one secret in one text; more of them say nothing new.
const MOST_HITS: usize = 200;

/// Where a byte stands.
#[derive(Debug, Clone, Copy)]
struct Position {
    offset: u64,
    line: usize,
    column: usize,
}

impl Position {
    /// The position behind `bytes`.
    fn behind(self, bytes: &[u8]) -> Self {
        let characters = |bytes: &[u8]| bytes.iter().filter(|byte| (**byte as i8) >= -0x40).count();
        let offset = self.offset + bytes.len() as u64;
        match bytes.iter().rposition(|byte| *byte == b'\n') {
            None => Self { offset, line: self.line, column: self.column + characters(bytes) },
            Some(last) => Self {
                offset,
                line: self.line + bytes.iter().filter(|byte| **byte == b'\n').count(),
                column: 1 + characters(bytes.get(last + 1..).unwrap_or_default()),
            },
        }
    }
}

/// A text that is being read.
pub struct Search<'s> {
    scanner: &'s Scanner,
    /// The end of what was read: a secret may have begun there.
    tail: Zeroizing<Vec<u8>>,
    /// Where the tail begins.
    at: Position,
    hits: Vec<Hit>,
    /// Hits kept, by secret.
    kept: BTreeMap<usize, usize>,
}

impl<'s> Search<'s> {
    pub(super) fn new(scanner: &'s Scanner) -> Self {
        let at = Position { offset: 0, line: 1, column: 1 };
        Self { scanner, tail: Zeroizing::new(Vec::new()), at, hits: Vec::new(), kept: BTreeMap::new() }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, chunk: &[u8]) {
        let keep = self.scanner.longest.saturating_sub(1);
        let chunk_at = self.at.behind(&self.tail);
        if !self.tail.is_empty() {
            let border = self.tail.len();
            let mut joint = Zeroizing::new(self.tail.to_vec());
            joint.extend_from_slice(chunk.get(..keep.min(chunk.len())).unwrap_or_default());
            self.collect(&joint, self.at, &|start, end| start < border && end > border);
        }
        self.collect(chunk, chunk_at, &|_, _| true);
        if chunk.len() >= keep {
            let (before, tail) = chunk.split_at(chunk.len() - keep);
            self.at = chunk_at.behind(before);
            self.tail = Zeroizing::new(tail.to_vec());
        } else {
            self.tail.extend_from_slice(chunk);
            let surplus = self.tail.len().saturating_sub(keep);
            self.at = self.at.behind(self.tail.get(..surplus).unwrap_or_default());
            self.tail.drain(..surplus);
        }
    }

    fn collect(&mut self, text: &[u8], at: Position, counts: &dyn Fn(usize, usize) -> bool) {
        let scanner = self.scanner;
        if !scanner.any.is_match(text) {
            return;
        }
        let mut found: Vec<(usize, Needle)> = Vec::new();
        for place in scanner.all.find_overlapping_iter(text).filter(|place| counts(place.start(), place.end())) {
            for needle in scanner.needles.get(place.pattern().as_usize()).into_iter().flatten() {
                let kept = self.kept.entry(needle.secret).or_default();
                if *kept < MOST_HITS {
                    *kept += 1;
                    found.push((place.start(), *needle));
                }
            }
        }
        found.sort_unstable();
        let (mut position, mut walked) = (at, 0);
        for (start, needle) in found {
            position = position.behind(text.get(walked..start).unwrap_or_default());
            walked = start;
            let Position { offset, line, column } = position;
            self.hits.push(Hit { needle, offset, line, column });
        }
    }

    /// What was found, in the order of the text: each place of a secret once, and of its lines the first, unless
    /// the whole value is there too.
    #[must_use]
    pub fn finish(mut self) -> Vec<Hit> {
        self.hits.sort_by_key(|hit| (hit.offset, hit.needle));
        self.hits.dedup_by_key(|hit| (hit.offset, hit.needle));
        let mut kept: Vec<Hit> = Vec::new();
        for hit in &self.hits {
            let same = |other: &&Hit| other.needle.secret == hit.needle.secret;
            let told = match hit.needle.form {
                Form::Line => {
                    kept.iter().any(|kept| same(&kept))
                        || self.hits.iter().filter(same).any(|other| other.needle.form != Form::Line)
                }
                _ => false,
            };
            if !told {
                kept.push(*hit);
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::secret::SecretValue;

    fn scanner(values: &[&str]) -> Scanner {
        let values: Vec<SecretValue> = values.iter().map(|text| SecretValue::from((*text).to_owned())).collect();
        Scanner::new(&values).unwrap().0
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

        #[test]
        fn a_planted_value_is_found_at_its_place_wherever_the_text_is_cut(
            before in proptest::collection::vec(prop_oneof![Just("\n"), Just("é"), Just("v4lu3-"), Just("text")], 0..60),
            encoding in 0usize..4,
            after in "[a-z\n]{0,60}",
            cuts in proptest::collection::vec(0usize..40, 0..30),
        ) {
            let value = "v4lu3-v4lu3-4f9a8b";
            let planted = [
                value.to_owned(),
                hex::encode(value),
                crate::rules::forms::base64(value).to_string(),
                value.encode_utf16().map(|unit| format!("{}\0", char::from(unit as u8))).collect(),
            ];
            let before = before.concat();
            let text = format!("{before}{}{after}", planted[encoding]).into_bytes();
            let scanner = scanner(&[value]);
            let mut search = scanner.search();
            let mut at = 0;
            for cut in cuts {
                let end = (at + cut).min(text.len());
                search.push(&text[at..end]);
                at = end;
            }
            search.push(&text[at..]);
            let hits = search.finish();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
            let wanted = (before.len() as u64, line, column);
            prop_assert!(hits.iter().any(|hit| (hit.offset, hit.line, hit.column) == wanted), "{hits:?} {wanted:?}");
            prop_assert_eq!(hits, scanner.hits(&text));
        }
    }

    #[test]
    fn a_text_full_of_hits_is_bounded_and_hides_no_other_secret() {
        let scanner = scanner(&["v4lu3-4f9a8b", "0th3r-77aa55"]);
        let mut search = scanner.search();
        for _ in 0..100 {
            search.push("v4lu3-4f9a8b ".repeat(1000).as_bytes());
        }
        search.push(format!("{}0th3r-77aa55", "v4lu3-4f9a8b ".repeat(1000)).as_bytes());
        let hits = search.finish();
        let of = |secret| hits.iter().filter(|hit| hit.needle.secret == secret).count();
        assert_eq!((of(0), of(1)), (MOST_HITS, 1));
        assert_eq!(hits.last().unwrap().offset, 101 * 13_000);
    }
}
