//! A secret value, and the only ways out of it.
//!
//! **A [`SecretValue`] leaves through four doors and no other:** [`SecretValue::seal`] (GitHub's sealed
//! box), [`SecretValue::fingerprint`] (keyed, for the ledger), [`SecretValue::mask_lines`] (the runner's
//! masks) and [`SecretValue::write_plaintext`] (the stores and exports that must hold the value). Who audits
//! leaks reads this file and the callers of those four. It has no `Display`, no `Serialize`, a starred
//! `Debug`, and zeroes its memory.

use std::fmt;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto_box::aead::OsRng;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The bytes of one secret. Text is UTF-8, but nothing here assumes it.
#[derive(Clone)]
pub struct SecretValue(Zeroizing<Vec<u8>>);

impl SecretValue {
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Length in bytes (not characters): what GitHub's size limit counts (github-api.md §2).
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both hold the same bytes; used to find two groups that disagree.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// Seals the value for one store of GitHub (libsodium `crypto_box_seal`, github-api.md §4.1);
    /// base64, standard alphabet, padded.
    ///
    /// # Errors
    /// [`SealError`] when the random source or the cipher fails.
    pub fn seal(&self, key: &SealingKey) -> Result<String, SealError> {
        let sealed = key.key.seal(&mut OsRng, &self.0).map_err(|_| SealError)?;
        Ok(STANDARD.encode(sealed))
    }

    /// HMAC-SHA-256 of the value under `key`, bound to `name` so that two equal secrets do not show
    /// equal fingerprints. Input: length of the name as u64 big-endian, name, value.
    #[must_use]
    pub fn fingerprint(&self, key: &FingerprintKey, name: &str) -> Fingerprint {
        let mut mac = key.mac();
        mac.update(&(name.len() as u64).to_be_bytes());
        mac.update(name.as_bytes());
        mac.update(&self.0);
        Fingerprint(hex::encode(mac.finalize().into_bytes()))
    }

    /// What the runner must mask: the whole value, and each of its lines that is not blank, with and
    /// without surrounding blanks (github-api.md §5.1). Unescaped; `report::runner` escapes.
    #[must_use]
    pub fn mask_lines(&self) -> Vec<Zeroizing<String>> {
        let text = Zeroizing::new(String::from_utf8_lossy(&self.0).into_owned());
        let mut masks: Vec<Zeroizing<String>> = Vec::new();
        let mut add = |part: &str| {
            if !part.trim().is_empty() && !masks.iter().any(|mask| mask.as_str() == part) {
                masks.push(Zeroizing::new(part.to_owned()));
            }
        };
        add(&text);
        for line in text.split(['\n', '\r']) {
            add(line);
            add(line.trim());
        }
        masks
    }

    /// Writes the value itself. Every caller is a place where plaintext is meant to go.
    ///
    /// # Errors
    /// Whatever the writer gives.
    pub fn write_plaintext(&self, to: &mut dyn io::Write) -> io::Result<()> {
        to.write_all(&self.0)
    }
}

impl From<String> for SecretValue {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(***)")
    }
}

/// The cipher refused to seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value could not be sealed")]
pub struct SealError;

/// The public key of one store of GitHub, with GitHub's id of it.
#[derive(Clone)]
pub struct SealingKey {
    pub id: String,
    key: crypto_box::PublicKey,
}

/// A public key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealingKeyError {
    #[error("the public key is not base64")]
    NotBase64,
    #[error("the public key has {0} bytes; it must have 32")]
    WrongLength(usize),
}

impl SealingKey {
    /// Takes GitHub's `key_id` and `key` (base64 of exactly 32 bytes, github-api.md §1.1).
    ///
    /// # Errors
    /// [`SealingKeyError`] when `key` is not that.
    pub fn new(id: String, key: &str) -> Result<Self, SealingKeyError> {
        let bytes = STANDARD.decode(key).map_err(|_| SealingKeyError::NotBase64)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|bytes: Vec<u8>| SealingKeyError::WrongLength(bytes.len()))?;
        Ok(Self { id, key: crypto_box::PublicKey::from(bytes) })
    }
}

/// The key of the ledger's fingerprints (`sync.fingerprintKey`); any bytes, at least 16.
#[derive(Clone)]
pub struct FingerprintKey(Zeroizing<Vec<u8>>);

impl FingerprintKey {
    /// Fewer bytes than this could be guessed.
    pub const SHORTEST: usize = 16;

    /// Takes the value that ESC holds; none when it is shorter than [`Self::SHORTEST`].
    #[must_use]
    pub fn new(value: &SecretValue) -> Option<Self> {
        (value.len() >= Self::SHORTEST).then(|| Self(value.0.clone()))
    }

    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    fn mac(&self) -> Hmac<Sha256> {
        <Hmac<Sha256> as Mac>::new_from_slice(&self.0).expect("HMAC takes a key of any length")
    }

    /// A public name of the key, to see that two runs use the same one: HMAC of a fixed text, 16 hex digits.
    #[must_use]
    pub fn id(&self) -> String {
        let mut mac = self.mac();
        mac.update(b"sophia-secrets-sync fingerprint key id");
        let mut id = hex::encode(mac.finalize().into_bytes());
        id.truncate(16);
        id
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey(***)")
    }
}

/// A keyed digest of a value; 64 hex digits. Safe to store: without the key it says nothing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub String);

/// A bearer credential, validated on construction, never printed.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

/// A text that cannot be a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is empty")]
    Empty,
    #[error("the token holds a blank, a line break or a character outside ASCII")]
    Malformed,
}

impl Token {
    /// Takes a token as found in the environment or a file; surrounding blanks are dropped.
    ///
    /// # Errors
    /// [`TokenError`] when nothing is left, or when it could not stand in an HTTP header.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Malformed);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The text, for an `Authorization` header and nothing else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretValue {
        SecretValue::from(text.to_owned())
    }

    #[test]
    fn a_sealed_value_opens_to_the_same_bytes() {
        let private = crypto_box::SecretKey::generate(&mut OsRng);
        let key = SealingKey::new("1".into(), &STANDARD.encode(private.public_key().as_bytes())).unwrap();
        let value = SecretValue::new(b"pa$$word #\r\n\xff".to_vec());
        let sealed = STANDARD.decode(value.seal(&key).unwrap()).unwrap();
        assert_eq!(sealed.len(), value.len() + 48);
        assert_eq!(private.unseal(&sealed).unwrap(), b"pa$$word #\r\n\xff");
    }

    #[test]
    fn opens_the_test_vector_of_the_fact_sheet() {
        let private = crypto_box::SecretKey::from([1u8; 32]);
        let sealed = STANDARD
            .decode("zo060cy2M+x7cMF4FKXHbs0CloUFDTRHRboFhw5YfVm1lQ9gKgw2faAu6DRsBRNw9C626YuKb2zDPg==")
            .unwrap();
        assert_eq!(private.unseal(&sealed).unwrap(), "hunter2-é".as_bytes());
    }

    #[test]
    fn refuses_a_public_key_that_is_not_32_bytes() {
        for length in [0, 31, 33] {
            let key = STANDARD.encode(vec![7u8; length]);
            let wrong = SealingKey::new("1".into(), &key).err();
            assert_eq!(wrong, Some(SealingKeyError::WrongLength(length)));
        }
        assert_eq!(SealingKey::new("1".into(), "***").err(), Some(SealingKeyError::NotBase64));
    }

    #[test]
    fn nothing_prints_the_value() {
        let key = FingerprintKey::new(&secret("marker-key-0123456789")).unwrap();
        let printed = format!("{:?} {:?} {:?}", secret("marker-value"), Token::new("marker-token").unwrap(), key);
        assert!(!printed.contains("marker"), "{printed}");
    }

    #[test]
    fn fingerprints_depend_on_key_name_and_value() {
        let key = FingerprintKey::new(&secret("0123456789abcdef")).unwrap();
        let other = FingerprintKey::new(&secret("0123456789abcdeg")).unwrap();
        let base = secret("v").fingerprint(&key, "A");
        assert_eq!(base, secret("v").fingerprint(&key, "A"));
        assert_ne!(base, secret("w").fingerprint(&key, "A"));
        assert_ne!(base, secret("v").fingerprint(&key, "B"));
        assert_ne!(base, secret("v").fingerprint(&other, "A"));
        assert_ne!(secret("bc").fingerprint(&key, "a"), secret("c").fingerprint(&key, "ab"));
        assert!(FingerprintKey::new(&secret("0123456789abcde")).is_none());
    }

    #[test]
    fn masks_cover_the_whole_and_every_line() {
        let masks = secret("-----BEGIN\n  body  \r\n\nEND").mask_lines();
        let masks: Vec<&str> = masks.iter().map(|mask| mask.as_str()).collect();
        assert_eq!(masks, ["-----BEGIN\n  body  \r\n\nEND", "-----BEGIN", "  body  ", "body", "END"]);
        assert!(secret(" \n ").mask_lines().is_empty());
    }

    #[test]
    fn tokens_are_validated() {
        assert_eq!(Token::new("  ghp_abc\n").unwrap().reveal(), "ghp_abc");
        assert_eq!(Token::new(" \n").err(), Some(TokenError::Empty));
        assert_eq!(Token::new("a b").err(), Some(TokenError::Malformed));
        assert_eq!(Token::new("a\nb").err(), Some(TokenError::Malformed));
    }
}
