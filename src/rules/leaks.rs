//! Which secret values stand in a text that they must not stand in, and where.
//!
//! **Nothing in here tells a value**: a [`Hit`] has the number of the secret, its form and its place.

pub mod search;
pub mod strength;

use aho_corasick::{AhoCorasick, MatchKind};
use zeroize::Zeroizing;

use super::forms::{self, Form};
use crate::base::secret::SecretValue;
use search::Search;
use strength::{Weakness, weakness};

/// Patterns are cut to so many bytes: who finds the first kilobyte of a value has found it.
const LONGEST: usize = 1024;

/// What stands in place of a secret in a file name that is shown.
const REPLACEMENT: &str = "***";

/// Which secret, in which form; several secrets may have one pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Needle {
    /// Index into the secrets that the scanner was made of.
    pub secret: usize,
    pub form: Form,
}

/// A secret in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    pub needle: Needle,
    /// In bytes, from 0.
    pub offset: u64,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

/// What is not looked for of a secret, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skipped {
    Whole(Weakness),
    /// So many of its lines, which could stand in any text; the whole value is looked for.
    Lines {
        plain: usize,
        of: usize,
    },
}

/// The search could not be set up: too many bytes of secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secrets are too many to be looked for at once")]
pub struct TooMany;

/// Looks for many secrets at once.
pub struct Scanner {
    /// Answers fast whether there is anything.
    any: AhoCorasick,
    /// Finds everything, overlaps included.
    all: AhoCorasick,
    /// By pattern.
    needles: Vec<Vec<Needle>>,
    longest: usize,
}

impl Scanner {
    /// A scanner for `values`, and what of them it does not look for: index and why.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn new<'v>(
        values: impl IntoIterator<Item = &'v SecretValue>,
    ) -> Result<(Self, Vec<(usize, Skipped)>), TooMany> {
        let mut written: Vec<(Zeroizing<Vec<u8>>, Needle)> = Vec::new();
        let mut skipped = Vec::new();
        for (secret, value) in values.into_iter().enumerate() {
            let mut add = |form, mut bytes: Zeroizing<Vec<u8>>| {
                bytes.truncate(LONGEST);
                written.push((bytes, Needle { secret, form }));
            };
            let masks = value.mask_lines();
            let whole = masks.first().map_or("", |whole| whole.trim());
            if let Some(weakness) = weakness(whole) {
                skipped.push((secret, Skipped::Whole(weakness)));
                continue;
            }
            add(Form::Clear, Zeroizing::new(whole.as_bytes().to_vec()));
            for (form, bytes) in forms::encoded(whole) {
                add(form, bytes);
            }
            if whole.contains(['\n', '\r']) {
                let lines = || whole.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
                lines().filter(|line| strength::is_telling(line)).for_each(|line| {
                    add(Form::Line, Zeroizing::new(line.as_bytes().to_vec()));
                });
                let of = lines().count();
                let plain = lines().filter(|line| !strength::is_telling(line)).count();
                if plain > 0 {
                    skipped.push((secret, Skipped::Lines { plain, of }));
                }
            }
        }
        written.sort_by(|(left, a), (right, b)| left.as_slice().cmp(right.as_slice()).then(a.cmp(b)));
        let (mut patterns, mut needles): (Vec<Zeroizing<Vec<u8>>>, Vec<Vec<Needle>>) = Default::default();
        for (bytes, needle) in written {
            match needles.last_mut().filter(|_| patterns.last().is_some_and(|last| last.as_slice() == bytes.as_slice()))
            {
                // The first form is the plainest: an escaped form that equals the value is the value.
                Some(needles) if needles.iter().any(|known| known.secret == needle.secret) => {}
                Some(needles) => needles.push(needle),
                None => {
                    patterns.push(bytes);
                    needles.push(vec![needle]);
                }
            }
        }
        let build = |kind: MatchKind| {
            let bytes = patterns.iter().map(|pattern| pattern.as_slice());
            AhoCorasick::builder().match_kind(kind).build(bytes).map_err(|_| TooMany)
        };
        let (any, all) = (build(MatchKind::LeftmostFirst)?, build(MatchKind::Standard)?);
        let longest = patterns.iter().map(|pattern| pattern.len()).max().unwrap_or(0);
        Ok((Self { any, all, needles, longest }, skipped))
    }

    /// Begins with a new text.
    #[must_use]
    pub fn search(&self) -> Search<'_> {
        Search::new(self)
    }

    /// What is found in a text that is at hand as a whole.
    #[must_use]
    pub fn hits(&self, text: &[u8]) -> Vec<Hit> {
        let mut search = self.search();
        search.push(text);
        search.finish()
    }

    /// The text with stars in place of secrets: for file names, which are shown.
    #[must_use]
    pub fn redacted(&self, text: &str) -> String {
        let mut places: Vec<(usize, usize)> =
            self.all.find_overlapping_iter(text).map(|found| (found.start(), found.end())).collect();
        places.sort_unstable();
        let bytes = text.as_bytes();
        // Secrets that overlap, or stand in one another, go as one.
        let (mut shown, mut from) = (Vec::new(), 0);
        for (start, end) in places {
            if start >= from {
                shown.extend_from_slice(bytes.get(from..start).unwrap_or_default());
                shown.extend_from_slice(REPLACEMENT.as_bytes());
            }
            from = from.max(end);
        }
        shown.extend_from_slice(bytes.get(from..).unwrap_or_default());
        String::from_utf8_lossy(&shown).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanner(values: &[&str]) -> (Scanner, Vec<(usize, Skipped)>) {
        let values: Vec<SecretValue> = values.iter().map(|text| SecretValue::from((*text).to_owned())).collect();
        Scanner::new(&values).unwrap()
    }

    fn found(values: &[&str], text: &str) -> Vec<(usize, &'static str, usize, usize)> {
        let hits = scanner(values).0.hits(text.as_bytes());
        hits.into_iter().map(|hit| (hit.needle.secret, hit.needle.form.word(), hit.line, hit.column)).collect()
    }

    #[test]
    fn finds_a_value_in_each_form_with_its_place() {
        let value = "p@ss/w0rd-4f9a\"8b";
        for (form, text) in [
            ("clear", value.to_owned()),
            ("base64", forms::base64(&format!("x{value}y")).to_string()),
            ("hex", hex::encode(value)),
            ("url", "p%40ss%2Fw0rd-4f9a%228b".to_owned()),
            ("json", "p@ss/w0rd-4f9a\\\"8b".to_owned()),
            ("xml", "p@ss/w0rd-4f9a&quot;8b".to_owned()),
        ] {
            let hits = found(&[value], &format!("é\n  é={text};"));
            assert_eq!(hits.len(), 1, "{form}: {hits:?}");
            assert_eq!((hits[0].1, hits[0].2), (form, 2));
            assert!(form == "base64" || hits[0].3 == 5, "{hits:?}");
        }
    }

    #[test]
    fn a_value_in_another_value_and_equal_values_are_all_found() {
        let values = ["s3cr3t-4f9a8b", "postgres://u:s3cr3t-4f9a8b@h", "s3cr3t-4f9a8b"];
        let hits = found(&values, "postgres://u:s3cr3t-4f9a8b@h");
        assert_eq!(hits, [(1, "clear", 1, 1), (0, "clear", 1, 14), (2, "clear", 1, 14)]);
    }

    #[test]
    fn lines_of_a_value_are_found_when_they_tell_it_and_once_in_a_text() {
        let value = "-----BEGIN KEY-----\nMIIEvQ1BADANBgkqhkiG9w0\nAoGBAKj34GkxFhD90vcNLY\n-----END KEY-----\n";
        assert_eq!(found(&[value], &format!("x\n{}", value.replace('\n', "\r\n"))), [(0, "line", 3, 1)]);
        assert_eq!(found(&[value], value), [(0, "clear", 1, 1)]);
        assert_eq!(found(&[value], "-----BEGIN KEY-----\nother\n-----END KEY-----\n"), []);
        assert_eq!(scanner(&[value]).1, [(0, Skipped::Lines { plain: 2, of: 4 })]);
    }

    #[test]
    fn weak_values_are_skipped_and_told() {
        let (scanner, skipped) = scanner(&["true", "localhost", "", "s3cr3t-4f9a8b"]);
        let weak: Vec<usize> = skipped.iter().map(|(secret, _)| *secret).collect();
        assert_eq!(weak, [0, 1, 2]);
        assert_eq!(scanner.hits(b"true localhost").len(), 0);
        assert_eq!(scanner.redacted("a/s3cr3t-4f9a8b.txt"), "a/***.txt");
    }

    #[test]
    fn no_part_of_a_secret_is_shown_in_a_redacted_text() {
        let (scanner, _) = scanner(&["s3cr3t-4f9a8b", "s3cr3t-4f9a8b-77aa", "77aa-0c1d2e3f"]);
        for (text, shown) in [
            ("a/s3cr3t-4f9a8b.txt", "a/***.txt"),
            ("é/s3cr3t-4f9a8b-77aa.txt", "é/***.txt"),
            ("s3cr3t-4f9a8b-77aa-0c1d2e3f", "***"),
            ("s3cr3t-4f9a8bs3cr3t-4f9a8b", "******"),
            ("plain", "plain"),
        ] {
            assert_eq!(scanner.redacted(text), shown, "{text}");
        }
    }

    #[test]
    fn nothing_is_found_without_values() {
        assert_eq!(found(&[], "anything"), []);
    }
}
