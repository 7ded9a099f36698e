//! Small matters of wording.

use std::fmt::Display;

/// `1 step`, `2 steps`: a count with its word.
#[must_use]
pub fn counted<N: Display + PartialEq + From<u8>>(count: N, one: &str, many: &str) -> String {
    let word = if count == N::from(1) { one } else { many };
    format!("{count} {word}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        let words = [0_u64, 1, 2].map(|count| counted(count, "retry", "retries"));
        assert_eq!(words, ["0 retries", "1 retry", "2 retries"]);
    }
}
