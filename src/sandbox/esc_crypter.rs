//! The key of the loopback Pulumi Cloud: static secrets rest encrypted, as in the real one.

use crypto_box::aead::OsRng;
use zeroize::Zeroizing;

use crate::esc::envelope;
use crate::esc::eval::Decrypter;
use crate::esc::stored::{self, Stored};

/// One key for all environments of one sandbox; it lives as long as the process.
#[derive(Clone)]
pub struct Crypter(crypto_box::SecretKey);

impl Crypter {
    #[must_use]
    pub fn new() -> Self {
        Self(crypto_box::SecretKey::generate(&mut OsRng))
    }

    fn seal(&self, text: &str) -> Option<String> {
        let sealed = self.0.public_key().seal(&mut OsRng, text.as_bytes()).ok()?;
        envelope::encode(&sealed).ok()
    }

    fn open(&self, envelope: &str) -> Option<String> {
        let sealed = envelope::decode(envelope).ok()?;
        String::from_utf8(self.0.unseal(&sealed).ok()?).ok()
    }

    /// The text with its static secrets encrypted; one that is not YAML stays as it is.
    #[must_use]
    pub fn encrypt(&self, text: &str) -> String {
        let convert = |secret: &stored::StaticSecret| {
            Ok::<_, ()>(match &secret.stored {
                Stored::Plain(plain) if secret.is_under_values() => self.seal(plain).map(Stored::Encrypted),
                _ => None,
            })
        };
        stored::rewrite(text, convert).unwrap_or_else(|_| text.to_owned())
    }

    /// The text with its static secrets in clear; those of another key stay as they are.
    #[must_use]
    pub fn decrypt_text(&self, text: &str) -> String {
        let convert = |secret: &stored::StaticSecret| {
            Ok::<_, ()>(match &secret.stored {
                Stored::Encrypted(envelope) => self.open(envelope).map(Zeroizing::new).map(Stored::Plain),
                Stored::Plain(_) => None,
            })
        };
        stored::rewrite(text, convert).unwrap_or_else(|_| text.to_owned())
    }
}

impl Decrypter for Crypter {
    fn check(&self, envelope: &str) -> Result<(), String> {
        envelope::decode(envelope).map(|_| ()).map_err(|error| error.to_string())
    }

    fn decrypt(&self, envelope: &str) -> Result<String, String> {
        self.check(envelope)?;
        self.open(envelope).ok_or_else(|| "decrypting: cipher: message authentication failed".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_rest_encrypted_and_come_back() {
        let crypter = Crypter::new();
        let text = "values:\n  a:\n    fn::secret: \"$x ${y}\\r\\n\" # why\n  b: plain\n";
        let encrypted = crypter.encrypt(text);
        assert!(encrypted.contains("ciphertext: ") && encrypted.contains("# why") && !encrypted.contains("${y}"));
        let back = crypter.decrypt_text(&encrypted);
        assert_eq!(crate::esc::stored::find(&back).unwrap().len(), 1);
        assert!(back.contains("${y}"), "{back}");
        assert_eq!(Crypter::new().decrypt_text(&encrypted), encrypted);
        assert!(Crypter::new().decrypt("AAAA").unwrap_err().contains("invalid ciphertext"));
    }
}
