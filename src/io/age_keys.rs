//! age identities and recipients: what opens the embedded store and backups, and what they are encrypted to.
//!
//! An identity is an age key (`AGE-SECRET-KEY-1…`), an SSH private key, or a passphrase. A recipient is an age
//! public key (`age1…`) or an SSH public key. What is written is a plain armored age file, which the `age`
//! command opens too.

use std::fmt;
use std::io::{BufReader, Read as _, Write as _};
use std::str::FromStr;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::base::error::{Failure, Outcome};

/// scrypt's work factor (`log2 N`) of what is closed with a passphrase: the one of the `age` command. age's library would
/// measure this machine, so that a file of a fast one would not open on a slow or busy one.
const WORK: u8 = 18;

/// The largest work factor that is taken: 4 GiB of memory. A file of someone else must not ask for more.
const MOST_WORK: u8 = 22;

/// A public key that can be encrypted to, as it was written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Recipient(String);

impl FromStr for Recipient {
    type Err = Failure;

    /// Takes `age1…`, or a line of an SSH public key file; its comment is kept.
    fn from_str(text: &str) -> Result<Self, Failure> {
        let text = text.trim();
        match Self(text.to_owned()).key() {
            Some(_) if !text.contains(['\n', '\r']) => Ok(Self(text.to_owned())),
            _ if text.starts_with("AGE-SECRET-KEY-") || text.contains("PRIVATE KEY") => {
                Err(Failure::usage("age-recipient", "a private key was given where a public key belongs").hint(
                    "a recipient is a line `age1…`, `ssh-ed25519 …` or `ssh-rsa …`; `age-keygen -y FILE` prints it",
                ))
            }
            _ => Err(Failure::usage("age-recipient", format!("`{text}` is not a recipient"))
                .hint("a recipient is a line `age1…`, `ssh-ed25519 …` or `ssh-rsa …`")),
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Recipient {
    fn key(&self) -> Option<Box<dyn age::Recipient>> {
        if let Ok(key) = self.0.parse::<age::x25519::Recipient>() {
            return Some(Box::new(key));
        }
        self.0.parse::<age::ssh::Recipient>().ok().map(|key| Box::new(key) as Box<dyn age::Recipient>)
    }

    /// The key without the comment that may follow it: two lines of one key are the same recipient.
    #[must_use]
    pub fn same_key(&self, other: &Self) -> bool {
        let bare = |text: &str| text.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        bare(&self.0) == bare(&other.0)
    }
}

enum Key {
    Age(age::x25519::Identity),
    Ssh(Box<age::ssh::Identity>),
}

/// The private keys of this run, and a passphrase if there is one. `Debug` shows nothing of them.
#[derive(Default)]
pub struct Identities {
    keys: Vec<Key>,
    passphrase: Option<SecretString>,
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({} keys)", self.keys.len())
    }
}

/// Answers the passphrase of this run when an SSH key asks for one.
#[derive(Clone)]
struct Answers(Option<SecretString>);

impl age::Callbacks for Answers {
    fn display_message(&self, _: &str) {}

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn request_public_string(&self, _: &str) -> Option<String> {
        None
    }

    fn request_passphrase(&self, _: &str) -> Option<SecretString> {
        self.0.clone()
    }
}

impl Identities {
    /// Reads an age identity file (age keys, one a line, `#` comments) or an SSH private key.
    ///
    /// # Errors
    /// `age-identity` (usage), which never repeats the text.
    pub fn parse(text: &str) -> Outcome<Self> {
        let wrong = |what: &str| {
            Failure::usage("age-identity", format!("the age identity {what}"))
                .hint("it is a file made by `age-keygen` (AGE-SECRET-KEY-1…) or an SSH private key (ed25519 or RSA)")
        };
        if text.contains("PRIVATE KEY-----") {
            let key = age::ssh::Identity::from_buffer(text.as_bytes(), None)
                .map_err(|_| wrong("looks like an SSH key but cannot be read"))?;
            if matches!(key, age::ssh::Identity::Unsupported(_)) {
                return Err(wrong("is an SSH key of a kind that age does not support"));
            }
            return Ok(Self { keys: vec![Key::Ssh(Box::new(key))], passphrase: None });
        }
        let mut keys = Vec::new();
        for (number, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = line.parse::<age::x25519::Identity>();
            keys.push(Key::Age(
                key.map_err(|_| wrong(&format!("has something else than a key in line {}", number + 1)))?,
            ));
        }
        if keys.is_empty() {
            return Err(wrong("holds no key"));
        }
        Ok(Self { keys, passphrase: None })
    }

    /// The same, with a passphrase: it opens what was wrapped with one, and a protected SSH key.
    #[must_use]
    pub fn with_passphrase(mut self, passphrase: Option<String>) -> Self {
        self.passphrase = passphrase.map(SecretString::from);
        self
    }

    /// Makes a new age key; answers it with the text of its identity file.
    #[must_use]
    pub fn generate() -> (Self, Zeroizing<String>) {
        let key = age::x25519::Identity::generate();
        let text = Zeroizing::new(key.to_string().expose_secret().to_owned());
        (Self { keys: vec![Key::Age(key)], passphrase: None }, text)
    }

    /// Whether there is nothing that could open anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.passphrase.is_none()
    }

    /// Whether a passphrase was given.
    #[must_use]
    pub fn has_passphrase(&self) -> bool {
        self.passphrase.is_some()
    }

    /// Whether a key is protected by a passphrase that was not given.
    fn is_locked(&self) -> bool {
        let protected = |key: &Key| matches!(key, Key::Ssh(key) if matches!(**key, age::ssh::Identity::Encrypted(_)));
        self.passphrase.is_none() && self.keys.iter().any(protected)
    }

    /// The public halves of the keys.
    #[must_use]
    pub fn recipients(&self) -> Vec<Recipient> {
        let public = |key: &Key| match key {
            Key::Age(key) => Some(key.to_public().to_string()),
            Key::Ssh(key) => age::ssh::Recipient::try_from((**key).clone()).ok().map(|key| key.to_string()),
        };
        self.keys.iter().filter_map(public).map(Recipient).collect()
    }

    /// Opens an age file, armored or not, of any of these keys or the passphrase.
    ///
    /// # Errors
    /// [`CannotOpen`].
    pub fn open(&self, file: impl AsRef<[u8]>) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        let decryptor = age::Decryptor::new_buffered(BufReader::new(ArmoredReader::new(file.as_ref())))
            .map_err(|_| CannotOpen::Damaged)?;
        let mut identities: Vec<Box<dyn age::Identity>> = Vec::new();
        if decryptor.is_scrypt() {
            let passphrase = self.passphrase.clone().ok_or(CannotOpen::NotARecipient)?;
            let mut identity = age::scrypt::Identity::new(passphrase);
            identity.set_max_work_factor(MOST_WORK);
            identities.push(Box::new(identity));
        } else {
            for key in &self.keys {
                identities.push(match key {
                    Key::Age(key) => Box::new(key.clone()),
                    Key::Ssh(key) => Box::new((**key).clone().with_callbacks(Answers(self.passphrase.clone()))),
                });
            }
        }
        let mut reader = decryptor.decrypt(identities.iter().map(|key| &**key)).map_err(|error| match error {
            age::DecryptError::NoMatchingKeys if self.is_locked() => CannotOpen::Locked,
            age::DecryptError::NoMatchingKeys => CannotOpen::NotARecipient,
            age::DecryptError::KeyDecryptionFailed | age::DecryptError::DecryptionFailed => CannotOpen::WrongPassphrase,
            age::DecryptError::ExcessiveWork { .. } => CannotOpen::TooMuchWork,
            _ => CannotOpen::Damaged,
        })?;
        let mut bytes = Zeroizing::new(Vec::new());
        reader.read_to_end(&mut bytes).map_err(|_| CannotOpen::Damaged)?;
        Ok(bytes)
    }

    /// Encrypts to the passphrase of this run, armored; none when there is no passphrase.
    ///
    /// # Errors
    /// `age` (unexpected) when age itself fails.
    pub fn seal_with_passphrase(&self, plaintext: &[u8]) -> Option<Outcome<String>> {
        let passphrase = self.passphrase.clone()?;
        let mut recipient = age::scrypt::Recipient::new(passphrase);
        recipient.set_work_factor(WORK);
        let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient));
        Some(encryptor.map_err(cannot_encrypt).and_then(|encryptor| armor(encryptor, plaintext)))
    }
}

/// Why an age file was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotOpen {
    #[error("it was encrypted to other recipients")]
    NotARecipient,
    #[error("the passphrase does not fit")]
    WrongPassphrase,
    #[error("the SSH key is protected by a passphrase, and SOPHIA_AGE_PASSPHRASE does not hold it")]
    Locked,
    #[error("its passphrase takes more work than is done here: a scrypt work factor above {MOST_WORK}")]
    TooMuchWork,
    #[error("it is damaged or not an age file")]
    Damaged,
}

/// Encrypts to `recipients`, armored.
///
/// # Errors
/// `age-recipient` (usage) without a recipient; `age` (unexpected) when age itself fails.
pub fn seal(recipients: &[Recipient], plaintext: &[u8]) -> Outcome<String> {
    let keys: Vec<Box<dyn age::Recipient>> = recipients.iter().filter_map(Recipient::key).collect();
    if keys.is_empty() || keys.len() != recipients.len() {
        return Err(Failure::usage("age-recipient", "there is no recipient to encrypt to")
            .hint("give a recipient (`age1…` or an SSH public key)"));
    }
    let encryptor = age::Encryptor::with_recipients(keys.iter().map(|key| &**key));
    armor(encryptor.map_err(cannot_encrypt)?, plaintext)
}

fn cannot_encrypt(error: impl fmt::Display) -> Failure {
    Failure::unexpected("age", "age could not encrypt").cause(error)
}

fn armor(encryptor: age::Encryptor, plaintext: &[u8]) -> Outcome<String> {
    let write = || -> std::io::Result<Vec<u8>> {
        let mut writer = encryptor.wrap_output(ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?)?;
        writer.write_all(plaintext)?;
        writer.finish()?.finish()
    };
    String::from_utf8(write().map_err(cannot_encrypt)?).map_err(cannot_encrypt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_recipient_opens_and_nobody_else() {
        let ((one, _), (two, text), (other, _)) =
            (Identities::generate(), Identities::generate(), Identities::generate());
        let recipients = [one.recipients(), two.recipients()].concat();
        let sealed = seal(&recipients, b"data key").unwrap();
        assert!(sealed.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"));
        assert_eq!(one.open(&sealed).unwrap().as_slice(), b"data key");
        let file = format!("# created: today\n\n{}\n", text.as_str());
        assert_eq!(Identities::parse(&file).unwrap().open(&sealed).unwrap().as_slice(), b"data key");
        assert_eq!(other.open(&sealed).unwrap_err(), CannotOpen::NotARecipient);
        assert_eq!(one.open(sealed.replacen('A', "B", 40)).unwrap_err(), CannotOpen::Damaged);
        assert_eq!(one.open("").unwrap_err(), CannotOpen::Damaged);
    }

    #[test]
    fn the_work_of_a_passphrase_is_fixed_and_too_much_of_it_is_no_damage() {
        let identities = Identities::default().with_passphrase(Some("correct horse".into()));
        let sealed = identities.seal_with_passphrase(b"data key").unwrap().unwrap();
        let mut file = Vec::new();
        ArmoredReader::new(sealed.as_bytes()).read_to_end(&mut file).unwrap();
        let header = |file: &[u8]| String::from_utf8_lossy(file).lines().nth(1).unwrap().to_owned();
        assert!(header(&file).starts_with("-> scrypt ") && header(&file).ends_with(" 18"), "{}", header(&file));
        let at = header(&file).len() + "age-encryption.org/v1\n".len();
        file[at - 2..at].copy_from_slice(b"23");
        assert_eq!(identities.open(&file).unwrap_err(), CannotOpen::TooMuchWork);
    }

    #[test]
    fn wrong_keys_are_named_and_never_shown() {
        let (one, text) = Identities::generate();
        for wrong in ["", "# nothing\n", "marker-secret", "-----BEGIN OPENSSH PRIVATE KEY-----\nmarker-secret\n"] {
            let failure = Identities::parse(wrong).unwrap_err();
            assert_eq!(failure.code, "age-identity");
            assert!(!format!("{failure:?}").contains("marker"), "{failure:?}");
        }
        let failure = text.parse::<Recipient>().unwrap_err();
        assert!(!format!("{failure:?} {one:?}").contains(text.as_str()));
        assert!("age1nonsense".parse::<Recipient>().is_err());
        assert!(one.recipients()[0].to_string().parse::<Recipient>().is_ok());
        assert_eq!(seal(&[], b"x").unwrap_err().code, "age-recipient");
    }
}
