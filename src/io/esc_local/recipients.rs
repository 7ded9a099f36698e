//! Who may open an environment of the embedded store.

use super::keyring::KeyFile;
use super::{EscLocal, texts};
use crate::base::environment::EscName;
use crate::base::error::{Failure, Outcome, Severity};
use crate::esc::stored;
use crate::io::age_keys::Recipient;
use crate::io::source::Version;

/// The recipients of one environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipients {
    pub keys: Vec<Recipient>,
    /// Whether a passphrase opens it too.
    pub passphrase: bool,
}

impl EscLocal {
    /// # Errors
    /// `esc-not-found`; `store-damaged`.
    pub fn recipients(&self, name: &EscName) -> Outcome<Recipients> {
        self.text(name)?;
        let Some(file) = self.shelf(name).keys()? else {
            return Ok(Recipients { keys: Vec::new(), passphrase: false });
        };
        Ok(Recipients { keys: file.recipients()?, passphrase: file.wrapped_for_passphrase.is_some() })
    }

    /// Lets `new` open the environment; with `passphrase`, the passphrase of this run too. The data keys stay
    /// the same and are wrapped again. Answers whether anything changed.
    ///
    /// # Errors
    /// `store-key` when this run cannot open the environment itself.
    pub fn add_recipients(&self, name: &EscName, new: &[Recipient], passphrase: bool) -> Outcome<bool> {
        self.text(name)?;
        let shelf = self.shelf(name);
        let writer = shelf.lock()?;
        let keyring = self.keyring_for_writing(name, &writer, &[&self.text(name)?])?;
        let Some(file) = shelf.keys()? else { return Ok(false) };
        let mut recipients = file.recipients()?;
        let before = recipients.len();
        for one in new {
            if !recipients.iter().any(|there| there.same_key(one)) {
                recipients.push(one.clone());
            }
        }
        if recipients.len() == before && !passphrase {
            return Ok(false);
        }
        if passphrase && !self.settings.identities.has_passphrase() {
            return Err(Failure::usage("age-passphrase", "no passphrase was given"));
        }
        let mut changed = KeyFile::wrap(&keyring, &recipients, passphrase.then_some(&self.settings.identities))?;
        if !passphrase {
            changed.wrapped_for_passphrase = file.wrapped_for_passphrase;
        }
        writer.write_keys(&changed)?;
        Ok(true)
    }

    /// Takes the environment from `gone`: makes a new data key that only the others get, and encrypts every
    /// secret with it again as a new revision. What `gone` has read or copied stays known to it.
    ///
    /// # Errors
    /// `store-recipient` when it is none, or the last one; `store-key` when this run cannot open the environment.
    pub fn remove_recipient(&self, name: &EscName, gone: &Recipient) -> Outcome<u64> {
        self.text(name)?;
        let shelf = self.shelf(name);
        let writer = shelf.lock()?;
        let text = self.text(name)?;
        let Some(file) = shelf.keys()? else { return Err(self.no_recipient(name, gone)) };
        let keyring = self.open_keys(name, &file)?;
        let (removed, left): (Vec<_>, Vec<_>) = file.recipients()?.into_iter().partition(|one| one.same_key(gone));
        if removed.is_empty() {
            return Err(self.no_recipient(name, gone));
        }
        if left.is_empty() {
            return Err(Failure::refused("store-recipient", format!("`{gone}` is the last recipient of `{name}`"))
                .hint("add another one first; without a recipient nobody could open its secrets"));
        }
        // The passphrase gets the new key only when this run knows it.
        let passphrase = file.wrapped_for_passphrase.is_some() && self.settings.identities.has_passphrase();
        if file.wrapped_for_passphrase.is_some() && !passphrase {
            return Err(Failure::auth("age-passphrase", format!("`{name}` is also opened by a passphrase"))
                .hint("give the passphrase too, so that it is wrapped for the new data key"));
        }
        stored::find(&text).map_err(|error| self.unreadable(name, &error))?;
        if let Some(unclear) = texts::unclear(&name.in_project(), &text, Severity::Error) {
            let what = format!("the secrets of `{name}` cannot be encrypted anew, nothing was written");
            return Err(self.faulty(name, &Version::Latest, &what, &[unclear]));
        }
        let keyring = keyring.renewed();
        let encrypt = |text: &str, current: &str| self.encrypted_with(name, &keyring, text, current);
        let recorded = shelf.revision_of(&text)?;
        let by_hand = recorded.is_none().then(|| self.made_by_hand(name, &text, encrypt)).transpose()?;
        let encrypted = encrypt(&text, by_hand.as_deref().unwrap_or_default())?;
        // Keys first: a kill behind this leaves secrets that the next write takes over to the new key.
        writer.write_keys(&KeyFile::wrap(&keyring, &left, passphrase.then_some(&self.settings.identities))?)?;
        writer.commit(&encrypted, by_hand.as_deref(), &self.author, self.now())
    }

    fn no_recipient(&self, name: &EscName, gone: &Recipient) -> Failure {
        Failure::usage("store-recipient", format!("`{gone}` is not a recipient of `{name}`"))
            .hint(format!("`env recipients ls {name}` lists them"))
    }
}
