//! Whether a value is strong enough to be looked for: `true` stands in every file.

use std::collections::BTreeMap;
use std::fmt;

use crate::rules::placeholder;

/// Values of fewer bytes are not looked for.
pub const SHORTEST: usize = 8;

/// From so many characters on, words alone may be a secret (a passphrase).
const PASSPHRASE: usize = 16;

/// Why a value is not looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    Short,
    Placeholder,
    /// Few different characters.
    Repetitive,
    /// Plain words or numbers.
    Plain,
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => write!(f, "it has fewer than {SHORTEST} bytes"),
            Self::Placeholder => f.write_str("it is a placeholder"),
            Self::Repetitive => f.write_str("it repeats few characters"),
            Self::Plain => f.write_str("it is a plain word or number that any text may hold"),
        }
    }
}

/// Why `text` could stand anywhere without being this secret; none when finding it means something.
#[must_use]
pub fn weakness(text: &str) -> Option<Weakness> {
    let characters = text.chars().count();
    let word = |part: &str| part.chars().all(char::is_alphabetic) || part.bytes().all(|byte| byte.is_ascii_digit());
    if text.len() < SHORTEST {
        Some(Weakness::Short)
    } else if placeholder::is_placeholder(text) {
        Some(Weakness::Placeholder)
    } else if entropy(text) < 2.0 {
        Some(Weakness::Repetitive)
    } else if characters < PASSPHRASE && text.split(['-', '_', '.', '/', ':', ' ']).all(word) {
        Some(Weakness::Plain)
    } else {
        None
    }
}

/// Whether a line of a longer value tells that value: it holds a long run that looks made by a machine.
#[must_use]
pub fn is_telling(line: &str) -> bool {
    let in_run = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '=' | '_' | '-');
    line.split(|c| !in_run(c)).any(|run| run.len() >= PASSPHRASE && is_random(run))
}

/// Letters and digits without the order of words.
#[must_use]
pub fn is_random(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && entropy(text) >= 3.0
}

/// Shannon's, in bits a character.
fn entropy(text: &str) -> f64 {
    let mut counts: BTreeMap<char, f64> = BTreeMap::new();
    let mut total = 0.0;
    for c in text.chars() {
        *counts.entry(c).or_default() += 1.0;
        total += 1.0;
    }
    counts.values().map(|count| -(count / total) * (count / total).log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_words_are_weak_and_real_secrets_are_not() {
        for (text, weak) in [
            ("", Some(Weakness::Short)),
            ("true", Some(Weakness::Short)),
            ("hunter2", Some(Weakness::Short)),
            ("localhost", Some(Weakness::Plain)),
            ("production", Some(Weakness::Plain)),
            ("eu-central-1", Some(Weakness::Plain)),
            ("localhost:5432", Some(Weakness::Plain)),
            ("12345678", Some(Weakness::Plain)),
            ("2026-01-01", Some(Weakness::Plain)),
            ("aaaaaaaaaaaa", Some(Weakness::Repetitive)),
            ("your_openai_api_key_here", Some(Weakness::Placeholder)),
            ("hunter2-hunter2", None),
            ("sk-proj-4f9a8b", None),
            ("correct horse battery staple", None),
            ("https://hooks.example.com/T0/B1", None),
            ("Tr0ub4dor&3", None),
        ] {
            assert_eq!(weakness(text), weak, "{text}");
        }
    }

    #[test]
    fn a_line_tells_when_a_machine_made_it() {
        for (line, telling) in [
            ("-----BEGIN RSA PRIVATE KEY-----", false),
            ("\"type\": \"service_account\",", false),
            ("\"auth_uri\": \"https://accounts.google.com/o/oauth2/auth\",", false),
            ("\"private_key_id\": \"9f8a7b6c5d4e3f2a1b0c\",", true),
            ("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", true),
            ("}", false),
        ] {
            assert_eq!(is_telling(line), telling, "{line}");
        }
    }
}
