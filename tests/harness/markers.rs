//! Every secret of a world holds a unique marker (`marker-…`), which is looked for wherever it must not be.
//!
//! A marker is of plain characters, so that JSON, URL and shell escaping leave it as it is. It is also looked
//! for in base64 (at its three alignments, both alphabets) and in hex, and by its unkeyed SHA-256.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::Regex;
use sha2::{Digest, Sha256};

pub struct Markers {
    /// What to look for, and what it is.
    needles: Vec<(String, String)>,
    search: aho_corasick::AhoCorasick,
}

/// The tokens that the harness gives the commands are secrets too.
pub const GITHUB_TOKEN: &str = "ghp_marker-github-token";
pub const PULUMI_TOKEN: &str = "pul-marker-pulumi-token";
/// Fewer characters than this are a word of prose, not a marker.
const SHORTEST: usize = "marker-".len() + 3;

impl Markers {
    /// All markers that a scenario's text names.
    pub fn of(text: &str) -> Self {
        let pattern = Regex::new("marker-[A-Za-z0-9-]*[A-Za-z0-9]").unwrap();
        let mut markers: BTreeSet<&str> = pattern.find_iter(text).map(|found| found.as_str()).collect();
        markers.insert("marker-github-token");
        markers.insert("marker-pulumi-token");
        let mut needles = Vec::new();
        for marker in markers.into_iter().filter(|marker| marker.len() >= SHORTEST) {
            let mut add = |needle: String, form: &str| needles.push((needle, format!("`{marker}` {form}")));
            add(marker.to_owned(), "in clear");
            add(hex::encode(marker), "in hex");
            add(hex::encode_upper(marker), "in hex");
            let digest = Sha256::digest(marker.as_bytes());
            add(hex::encode(digest), "by its SHA-256");
            add(STANDARD_NO_PAD.encode(digest), "by its SHA-256");
            for shift in 0..3 {
                let shifted = [vec![b'.'; shift], marker.as_bytes().to_vec()].concat();
                for encoded in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
                    // The first characters depend on what stands before, the last on what follows.
                    let inner = &encoded[[0, 2, 3][shift]..encoded.len() - 2];
                    add(inner.to_owned(), "in base64");
                }
            }
        }
        let search = aho_corasick::AhoCorasick::new(needles.iter().map(|(needle, _)| needle)).unwrap();
        Self { needles, search }
    }

    /// What is found, once each.
    pub fn search(&self, bytes: &[u8]) -> Vec<String> {
        let found: BTreeSet<usize> =
            self.search.find_overlapping_iter(bytes).map(|found| found.pattern().as_usize()).collect();
        let sentences: BTreeSet<String> = found.into_iter().map(|index| self.needles[index].1.clone()).collect();
        sentences.into_iter().collect()
    }
}

#[test]
fn markers_are_found_in_every_form_and_nowhere_else() {
    let markers = Markers::of("a: marker-one-1\nb: x marker-two: marker-");
    let inside = |prefix: &str| STANDARD_NO_PAD.encode(format!("{prefix}marker-two and more"));
    for text in [
        "see marker-one-1!".to_owned(),
        hex::encode("xmarker-one-1x"),
        hex::encode_upper("marker-two"),
        inside(""),
        inside("a"),
        inside("ab"),
        inside("abc"),
        hex::encode(Sha256::digest(b"marker-two")),
        "token ghp_marker-github-token".to_owned(),
    ] {
        assert_eq!(markers.search(text.as_bytes()).len(), 1, "{text}");
    }
    assert!(markers.search(b"a marker, marker- and marker-on").is_empty());
}
