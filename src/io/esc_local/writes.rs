//! How an environment of the embedded store is made, changed and removed.

use super::keyring::{KeyFile, Keyring};
use super::shelf::Writer;
use super::{EscLocal, etag, texts};
use crate::base::environment::EscName;
use crate::base::error::{Failure, Outcome, Severity};
use crate::esc::diagnostic::Diagnostic;
use crate::io::source::Version;

/// A new environment.
const EMPTY: &str = "values: {}\n";

/// A text that can be committed.
struct Ready {
    text: String,
    /// What history is to keep of a hand's work before it.
    by_hand: Option<String>,
    /// The revision that it replaces; none for a hand's work.
    recorded: Option<u64>,
    found: Vec<Diagnostic>,
}

impl EscLocal {
    /// Makes an environment.
    ///
    /// # Errors
    /// `esc-exists` (refused); `store-recipient` when nobody could open it; what writing gives.
    pub fn make(&self, name: &EscName) -> Outcome<()> {
        let shelf = self.shelf(name);
        if shelf.text()?.is_some() {
            return Err(Failure::refused("esc-exists", format!("the environment `{name}` exists")));
        }
        let writer = shelf.lock()?;
        if shelf.text()?.is_some() {
            return Err(Failure::refused("esc-exists", format!("the environment `{name}` exists")));
        }
        self.keyring_for_writing(name, &writer, &[])?;
        writer.commit(EMPTY, None, &self.author, self.now()).map(drop)
    }

    /// Removes an environment with its history.
    ///
    /// # Errors
    /// `esc-not-found`; `esc-protected` (refused); what writing gives.
    pub fn remove(&self, name: &EscName) -> Outcome<()> {
        self.text(name)?;
        let shelf = self.shelf(name);
        if shelf.labels()?.deletion_protected {
            let labels = shelf.beside("labels.json").display().to_string();
            return Err(Failure::refused("esc-protected", format!("`{name}` is protected from deletion"))
                .hint(format!("`deletion_protected` in `{labels}` says so")));
        }
        shelf.lock()?.delete()
    }

    /// Stores a text, its secrets encrypted, unless it has errors. With `expected`, only when the stored text still
    /// has this [`etag`]. Answers the revision, and warnings.
    ///
    /// # Errors
    /// `esc-not-found`; `esc-conflict` (refused); `esc-diagnostics`; `store-key`; what writing gives.
    pub fn write(&self, name: &EscName, text: &str, expected: Option<&str>) -> Outcome<(Option<u64>, Vec<Diagnostic>)> {
        self.text(name)?;
        let shelf = self.shelf(name);
        let writer = shelf.lock()?;
        let current = self.text(name)?;
        if expected.is_some_and(|expected| expected != etag(&current)) {
            return Err(Failure::refused(
                "esc-conflict",
                format!("cannot update `{name}`: someone else changed it in between"),
            )
            .hint("read it again and repeat the change; nothing was written"));
        }
        let had_keys = shelf.keys()?.is_some();
        let prepared = self.prepared(name, &writer, text, &current);
        if prepared.is_err() && !had_keys {
            // Made for this text, and nothing is encrypted with them yet.
            let _ = writer.remove_keys();
        }
        let Ready { text, by_hand, recorded, found } = prepared?;
        let number = match recorded {
            Some(number) if text == current => number,
            _ => writer.commit(&text, by_hand.as_deref(), &self.author, self.now())?,
        };
        Ok((Some(number), found))
    }

    /// Makes a text ready to be committed over `current`. What is written here are keys, where there are none.
    fn prepared(&self, name: &EscName, writer: &Writer<'_>, text: &str, current: &str) -> Outcome<Ready> {
        let recorded = self.shelf(name).revision_of(current)?;
        let encrypt = |text: &str, current: &str| self.encrypted(name, writer, text, current);
        let by_hand = recorded.is_none().then(|| self.made_by_hand(name, current, encrypt)).transpose()?;
        let text = encrypt(text, by_hand.as_deref().unwrap_or(current))?;
        let found = self.checked(name, &text)?;
        if found.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
            let what = format!("cannot update `{name}`, nothing was written");
            return Err(self.faulty(name, &Version::Latest, &what, &found));
        }
        Ok(Ready { text, by_hand, recorded, found })
    }

    /// The data keys, made for the default recipients when the environment has none yet, and nothing in `texts` that
    /// lost ones encrypted.
    pub(super) fn keyring_for_writing(&self, name: &EscName, writer: &Writer<'_>, texts: &[&str]) -> Outcome<Keyring> {
        if let Some(file) = self.shelf(name).keys()? {
            return self.open_keys(name, &file);
        }
        if texts.iter().any(|text| texts::holds_ciphertext(text)) {
            return self.keyring(name);
        }
        let own = self.settings.identities.recipients();
        let recipients = if self.settings.recipients.is_empty() { &own } else { &self.settings.recipients };
        if recipients.is_empty() && !self.settings.identities.has_passphrase() {
            return Err(Failure::auth("store-recipient", format!("nobody could open the secrets of `{name}`"))
                .cause("no recipient and no age identity was given")
                .hint(
                    "make a key with `age-keygen`, then set SOPHIA_AGE_KEY, or give --age-identity FILE or --recipient",
                ));
        }
        let keyring = Keyring::generate();
        let passphrase = self.settings.identities.has_passphrase().then_some(&self.settings.identities);
        writer.write_keys(&KeyFile::wrap(&keyring, recipients, passphrase)?)?;
        Ok(keyring)
    }
}
