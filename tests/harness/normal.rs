//! Takes out of a text what differs from run to run.

use regex::Regex;

/// Without the lines that tell a runner what to mask: their purpose is to hold the secret.
pub fn without_masks(bytes: &[u8]) -> Vec<u8> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !line.starts_with(b"::add-mask::")).flatten().copied().collect()
}

/// Places of one run and the words that stand for them.
pub struct Normal {
    places: Vec<(String, &'static str)>,
    patterns: Vec<(Regex, &'static str)>,
}

impl Normal {
    /// Longer places first, so that one inside another is not cut.
    pub fn new(mut places: Vec<(String, &'static str)>) -> Self {
        places.sort_by_key(|(place, _)| std::cmp::Reverse(place.len()));
        let patterns = [
            (r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?( ?UTC|Z|[+-]\d{2}:\d{2})?", "[TIME]"),
            (r"\b20\d{2}-\d{2}-\d{2}\b", "[DATE]"),
            (r"\bsha256:[0-9a-f]{8,64}", "sha256:[DIGEST]"),
            // ESC's envelope (`escx`, version 1), whose nonce is new each time.
            (r"\bZXNjeAAAA[A-Za-z0-9+/]+=*", "[CIPHERTEXT]"),
            (r":[0-9a-f]{64}\b", ":[HASH]"),
            (r"\[TIME\]-[0-9a-f]{8}\b|\b20\d{6}T\d{6}Z-[0-9a-f]{8}\b", "[RUN]"),
            (r"\b\d+(\.\d+)? ?(ms|µs)\b", "[DURATION]"),
            (r"\b\d+\.\d+ ?s\b", "[DURATION]"),
            (r"\b(waited|asks to wait) \d+ s\b", "$1 [SECONDS]"),
            (r"\[TEMP\]/sophia-secrets-sync-[A-Za-z0-9]{6}/", "[TEMP]/[PRIVATE]/"),
            (r"127\.0\.0\.1:\d+", "[ADDRESS]"),
            (r"(?m)^::add-mask::.*$", "::add-mask::[MASKED]"),
        ];
        let patterns = patterns.map(|(pattern, word)| (Regex::new(pattern).unwrap(), word));
        Self { places, patterns: patterns.into() }
    }

    pub fn apply(&self, text: &str) -> String {
        let mut text = text.replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
        for (place, word) in &self.places {
            text = text.replace(place, word);
        }
        for (pattern, word) in &self.patterns {
            text = pattern.replace_all(&text, *word).into_owned();
        }
        text
    }

    /// Puts the places into a text of the scenario.
    pub fn fill(&self, text: &str) -> String {
        self.places.iter().fold(text.to_owned(), |text, (place, word)| text.replace(word, place))
    }
}
