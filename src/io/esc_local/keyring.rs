//! The data keys of one environment of the embedded store, and the encryption of its static secrets.
//!
//! Each secret is XChaCha20-Poly1305 under a random nonce, inside ESC's envelope:
//! `id of the data key (8) | nonce (24) | ciphertext and tag`. The id is authenticated with it.
//! **A ciphertext is bound to its environment by the data key, not to its path**: properties and files can be
//! renamed and moved by hand, while a ciphertext of another environment is refused.
//!
//! The first key encrypts; the others open what was written before a recipient was removed.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, AeadCore as _, KeyInit as _, OsRng, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::base::error::{Failure, Outcome};
use crate::esc::envelope;
use crate::io::age_keys::{self, CannotOpen, Identities, Recipient};

const HEADING: &str = "sophia-secrets-sync data keys 1";
const PURPOSE: &[u8] = b"sophia-secrets-sync embedded store 1";
const ID: usize = 8;
const NONCE: usize = 24;

/// Who may open an environment, and its data keys wrapped for them: the file `keys.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    pub version: u32,
    pub recipients: Vec<String>,
    /// An armored age file for the recipients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrapped: Option<String>,
    /// An armored age file for a passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrapped_for_passphrase: Option<String>,
}

impl KeyFile {
    /// Wraps `keyring` for `recipients`, and for the passphrase of `identities` when `passphrase` is asked for.
    ///
    /// # Errors
    /// `age-recipient` when nobody could open it; `age` when age fails.
    pub fn wrap(keyring: &Keyring, recipients: &[Recipient], passphrase: Option<&Identities>) -> Outcome<Self> {
        let text = keyring.to_text();
        let wrapped_for_passphrase =
            passphrase.and_then(|identities| identities.seal_with_passphrase(text.as_bytes())).transpose()?;
        let wrapped = if recipients.is_empty() && wrapped_for_passphrase.is_some() {
            None
        } else {
            Some(age_keys::seal(recipients, text.as_bytes())?)
        };
        let recipients = recipients.iter().map(ToString::to_string).collect();
        Ok(Self { version: 1, recipients, wrapped, wrapped_for_passphrase })
    }

    /// # Errors
    /// `store-keys` (usage) when the file is damaged.
    pub fn recipients(&self) -> Outcome<Vec<Recipient>> {
        self.recipients.iter().map(|text| text.parse()).collect()
    }

    /// Opens the data keys.
    ///
    /// # Errors
    /// [`CannotOpen`].
    pub fn unwrap_keys(&self, identities: &Identities) -> Result<Keyring, CannotOpen> {
        let mut why = CannotOpen::NotARecipient;
        for wrapped in self.wrapped.iter().chain(&self.wrapped_for_passphrase) {
            match identities.open(wrapped) {
                Ok(text) => {
                    let text = std::str::from_utf8(&text).map_err(|_| CannotOpen::Damaged)?;
                    return Keyring::from_text(text).ok_or(CannotOpen::Damaged);
                }
                Err(CannotOpen::NotARecipient) => {}
                Err(other) => why = other,
            }
        }
        Err(why)
    }
}

#[derive(Clone)]
struct DataKey {
    id: [u8; ID],
    key: Zeroizing<[u8; 32]>,
}

/// The data keys of one environment, newest first.
#[derive(Clone)]
pub struct Keyring(Vec<DataKey>);

/// Why a ciphertext was not opened, in the words of ESC's diagnostics.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecipherable {
    #[error(transparent)]
    Envelope(#[from] envelope::EnvelopeError),
    #[error("decrypting: the ciphertext is too short for this store; was it copied from another ESC?")]
    TooShort,
    #[error("decrypting: the ciphertext belongs to another environment or store (no data key `{0}` here)")]
    Foreign(String),
    #[error("decrypting: the ciphertext was changed or damaged")]
    Tampered,
}

impl Keyring {
    /// One new random key.
    #[must_use]
    pub fn generate() -> Self {
        Self(vec![DataKey::generate()])
    }

    /// The same keys behind a new one, with which everything is encrypted from now on.
    #[must_use]
    pub fn renewed(&self) -> Self {
        let mut keys = vec![DataKey::generate()];
        keys.extend(self.0.iter().cloned());
        Self(keys)
    }

    fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(format!("{HEADING}\n"));
        for key in &self.0 {
            text.push_str(&hex::encode(key.id));
            text.push(' ');
            text.push_str(&Zeroizing::new(STANDARD.encode(key.key.as_slice())));
            text.push('\n');
        }
        text
    }

    fn from_text(text: &str) -> Option<Self> {
        let lines = text.strip_prefix(HEADING)?.strip_prefix('\n')?.lines();
        let keys: Option<Vec<DataKey>> = lines
            .map(|line| {
                let (id, key) = line.split_once(' ')?;
                let id = hex::decode(id).ok()?.try_into().ok()?;
                let key = Zeroizing::new(STANDARD.decode(key).ok()?);
                Some(DataKey { id, key: Zeroizing::new(key.as_slice().try_into().ok()?) })
            })
            .collect();
        keys.filter(|keys| !keys.is_empty()).map(Self)
    }

    /// Encrypts into an envelope.
    ///
    /// # Errors
    /// `cipher` (unexpected): the cipher refused.
    pub fn encrypt(&self, plaintext: &str) -> Outcome<String> {
        let failed = || Failure::unexpected("cipher", "a secret could not be encrypted");
        let key = self.0.first().ok_or_else(failed)?;
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let payload = Payload { msg: plaintext.as_bytes(), aad: &key.associated() };
        let sealed = key.cipher().encrypt(&nonce, payload).map_err(|_| failed())?;
        let bytes = [key.id.as_slice(), nonce.as_slice(), &sealed].concat();
        envelope::encode(&bytes).map_err(|_| failed())
    }

    /// Opens an envelope.
    ///
    /// # Errors
    /// [`Undecipherable`].
    pub fn decrypt(&self, envelope_base64: &str) -> Result<Zeroizing<String>, Undecipherable> {
        let bytes = envelope::decode(envelope_base64)?;
        let (id, rest) = bytes.split_at_checked(ID).ok_or(Undecipherable::TooShort)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE).ok_or(Undecipherable::TooShort)?;
        let key = self.0.iter().find(|key| key.id == id).ok_or_else(|| Undecipherable::Foreign(hex::encode(id)))?;
        let payload = Payload { msg: sealed, aad: &key.associated() };
        let opened = key.cipher().decrypt(XNonce::from_slice(nonce), payload).map_err(|_| Undecipherable::Tampered)?;
        String::from_utf8(opened).map(Zeroizing::new).map_err(|_| Undecipherable::Tampered)
    }

    /// Whether an envelope was made with the newest key.
    #[must_use]
    pub fn is_current(&self, envelope_base64: &str) -> bool {
        let id = envelope::decode(envelope_base64).ok().and_then(|bytes| bytes.get(..ID).map(<[u8]>::to_vec));
        self.0.first().is_some_and(|key| id.is_some_and(|id| id == key.id))
    }

    /// Public names of the keys, newest first.
    #[must_use]
    pub fn ids(&self) -> BTreeSet<String> {
        self.0.iter().map(|key| hex::encode(key.id)).collect()
    }
}

impl DataKey {
    fn generate() -> Self {
        let mut id = [0; ID];
        let random = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        id.copy_from_slice(random.get(..ID).unwrap_or(&[0; ID]));
        let key = Zeroizing::new(XChaCha20Poly1305::generate_key(&mut OsRng).into());
        Self { id, key }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.key.as_slice().into())
    }

    fn associated(&self) -> Vec<u8> {
        [PURPOSE, &self.id].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn changed_foreign_and_cut_ciphertexts_are_told_apart() {
        let (ours, theirs) = (Keyring::generate(), Keyring::generate());
        let sealed = ours.encrypt("hunter2").unwrap();
        assert_eq!(ours.decrypt(&sealed).unwrap().as_str(), "hunter2");
        assert_ne!(ours.encrypt("hunter2").unwrap(), sealed, "each encryption has its own nonce");
        assert!(matches!(theirs.decrypt(&sealed), Err(Undecipherable::Foreign(_))));
        let bytes = envelope::decode(&sealed).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let refused = ours.decrypt(&envelope::encode(&changed).unwrap()).unwrap_err();
            let expected = if at < ID {
                matches!(refused, Undecipherable::Foreign(_))
            } else {
                refused == Undecipherable::Tampered
            };
            assert!(expected, "byte {at}: {refused}");
        }
        for length in 4..bytes.len() {
            assert!(ours.decrypt(&envelope::encode(&bytes[..length]).unwrap()).is_err(), "{length} bytes");
        }
        assert!(matches!(ours.decrypt("nonsense"), Err(Undecipherable::Envelope(_))));
    }

    #[test]
    fn a_renewed_keyring_opens_the_old_and_writes_with_the_new() {
        let old = Keyring::generate();
        let sealed = old.encrypt("x").unwrap();
        let new = old.renewed();
        assert_eq!(new.decrypt(&sealed).unwrap().as_str(), "x");
        assert!(!new.is_current(&sealed) && new.is_current(&new.encrypt("x").unwrap()));
        assert!(old.decrypt(&new.encrypt("x").unwrap()).is_err());
    }

    #[test]
    fn the_key_file_opens_for_recipients_and_the_passphrase() {
        let keyring = Keyring::generate();
        let ((alice, _), (mallory, _)) = (Identities::generate(), Identities::generate());
        let both = Identities::default().with_passphrase(Some("correct horse".into()));
        let file = KeyFile::wrap(&keyring, &alice.recipients(), Some(&both)).unwrap();
        let text = serde_json::to_string(&file).unwrap();
        let file: KeyFile = serde_json::from_str(&text).unwrap();
        let sealed = keyring.encrypt("v").unwrap();
        for identities in [&alice, &both] {
            assert_eq!(file.unwrap_keys(identities).unwrap().decrypt(&sealed).unwrap().as_str(), "v");
        }
        assert_eq!(file.unwrap_keys(&mallory).err(), Some(CannotOpen::NotARecipient));
        let guess = Identities::default().with_passphrase(Some("wrong".into()));
        assert_eq!(file.unwrap_keys(&guess).err(), Some(CannotOpen::WrongPassphrase));
        assert_eq!(KeyFile::wrap(&keyring, &[], None).unwrap_err().code, "age-recipient");
    }

    proptest! {
        #[test]
        fn what_is_encrypted_comes_back(text in "(?s).{0,300}") {
            let keyring = Keyring::generate();
            let sealed = keyring.encrypt(&text).unwrap();
            let opened = keyring.decrypt(&sealed).unwrap();
            prop_assert_eq!(opened.as_str(), text);
        }
    }
}
