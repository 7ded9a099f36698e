//! A new value for a mapping with `generate`.

use crypto_box::aead::rand_core::RngCore;
use zeroize::Zeroizing;

use crate::base::secret::SecretValue;
use crate::rules::definition::{Charset, Generate};

impl Charset {
    fn alphabet(self) -> &'static [u8] {
        match self {
            Self::Base64url => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
            Self::Alphanumeric => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            Self::Hex => b"0123456789abcdef",
        }
    }

    /// The word of the definition.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Base64url => "base64url",
            Self::Alphanumeric => "alphanumeric",
            Self::Hex => "hex",
        }
    }
}

/// A value of random characters, each as likely as any other.
#[must_use]
pub fn value(how: Generate, random: &mut dyn RngCore) -> SecretValue {
    let alphabet = how.charset.alphabet();
    // Bytes above the last whole multiple of the alphabet would make its first characters likelier.
    let usable = 256 - 256 % alphabet.len();
    let mut text = Vec::with_capacity(how.length);
    let mut bytes = Zeroizing::new([0u8; 64]);
    while text.len() < how.length {
        random.fill_bytes(&mut *bytes);
        let fair = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < usable);
        text.extend(fair.map(|byte| alphabet[byte % alphabet.len()]).take(how.length - text.len()));
    }
    SecretValue::new(text)
}

#[cfg(test)]
mod tests {
    use crypto_box::aead::OsRng;

    use super::*;

    fn text(length: usize, charset: Charset) -> String {
        let mut bytes = Vec::new();
        value(Generate { length, charset }, &mut OsRng).write_plaintext(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn has_the_length_and_only_characters_of_the_alphabet() {
        for charset in [Charset::Base64url, Charset::Alphanumeric, Charset::Hex] {
            for length in [16, 48, 65, 4096] {
                let text = text(length, charset);
                assert_eq!(text.len(), length);
                assert!(text.bytes().all(|byte| charset.alphabet().contains(&byte)), "{}", charset.word());
            }
        }
        assert_ne!(text(16, Charset::Hex), text(16, Charset::Hex));
    }

    #[test]
    fn every_character_is_as_likely_as_any_other() {
        for charset in [Charset::Base64url, Charset::Alphanumeric, Charset::Hex] {
            let many: String = (0..32).map(|_| text(4096, charset)).collect();
            let mean = many.len() / charset.alphabet().len();
            for letter in charset.alphabet() {
                let count = many.bytes().filter(|byte| byte == letter).count();
                // Six standard deviations: a fair source fails this once in some millions of runs.
                assert!(
                    count.abs_diff(mean).pow(2) < 36 * mean,
                    "{} `{}`: {count} of {mean}",
                    charset.word(),
                    *letter as char
                );
            }
        }
    }
}
