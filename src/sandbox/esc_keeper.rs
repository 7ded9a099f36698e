//! Where the loopback Pulumi Cloud keeps environments: in memory, or in an embedded store that other commands
//! read and write too.

use jiff::Timestamp;

use super::esc::{Esc, Key, error};
use super::esc_crypter::Crypter;
use super::esc_environment::Environment;
use super::esc_evaluation;
use super::exchange::Reply;
use crate::base::environment::EscName;
use crate::base::error::{Failure, FailureKind, Outcome};
use crate::esc::eval::{ANONYMOUS, Evaluated, Mode};
use crate::io::esc_local::{EscLocal, Labels, etag};

pub enum Keeper {
    /// Gone with the process; secrets rest under a key that lives as long.
    Memory(Crypter),
    Folder(EscLocal),
}

/// The answer to a failure of the store. The client repeats nothing: a retry would not help.
pub fn refused(failure: &Failure) -> Reply {
    let status = match failure.code {
        "esc-not-found" => 404,
        "esc-exists" | "esc-conflict" | "esc-protected" => 409,
        _ if failure.kind == FailureKind::Auth => 403,
        _ => 400,
    };
    error(status, &failure.to_string())
}

/// The name of an environment that exists.
fn name(key: &Key) -> Outcome<EscName> {
    EscName::new(&key.0, &key.1, &key.2).map_err(|error| Failure::usage("esc-name", error.to_string()))
}

impl Esc {
    /// Reads what others wrote to the store since the last request.
    ///
    /// # Errors
    /// What reading gives.
    pub fn refresh(&mut self) -> Outcome<()> {
        let Keeper::Folder(store) = &self.keeper else { return Ok(()) };
        let mut before = std::mem::take(&mut self.environments);
        for name in store.list_all()? {
            let key = (name.organization.clone(), name.project.clone(), name.environment.clone());
            let known = before.remove(&key).map(|environment| environment.revisions).unwrap_or_default();
            if let Some((revisions, labels)) = store.held(&name, known)? {
                self.environments.insert(key, Environment { revisions, labels });
            }
        }
        Ok(())
    }

    /// Makes an environment that does not exist.
    ///
    /// # Errors
    /// What the store gives.
    pub fn make(&mut self, key: &Key, author: &str, now: Timestamp) -> Outcome<()> {
        match &self.keeper {
            Keeper::Memory(_) => {
                self.environments.insert(key.clone(), Environment::new(author, now));
                Ok(())
            }
            Keeper::Folder(store) => {
                store.signing_as(author).make(&name(key)?)?;
                self.refresh()
            }
        }
    }

    /// Adds a revision; its secrets rest encrypted.
    ///
    /// # Errors
    /// What the store gives; `esc-conflict` when somebody else wrote since the last [`Self::refresh`].
    pub fn write(&mut self, key: &Key, text: &str, author: &str, now: Timestamp) -> Outcome<()> {
        match &self.keeper {
            Keeper::Memory(crypter) => {
                let text = crypter.encrypt(text);
                if let Some(environment) = self.environments.get_mut(key) {
                    environment.push(text, author, now);
                }
                Ok(())
            }
            Keeper::Folder(store) => {
                let current = self.environments.get(key).and_then(|environment| environment.revisions.last());
                let current = current.map(|latest| etag(&latest.text));
                store.signing_as(author).write(&name(key)?, text, current.as_deref())?;
                self.refresh()
            }
        }
    }

    /// Keeps the labels of an environment as they are now, where they differ from `before`.
    ///
    /// # Errors
    /// What the store gives.
    pub fn keep_labels(&self, key: &Key, before: &Labels) -> Outcome<()> {
        match (&self.keeper, self.environments.get(key)) {
            (Keeper::Folder(store), Some(environment)) => store.label(&name(key)?, before, &environment.labels),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// What the store gives.
    pub fn drop_environment(&mut self, key: &Key) -> Outcome<()> {
        if let Keeper::Folder(store) = &self.keeper {
            store.remove(&name(key)?)?;
        }
        self.environments.remove(key);
        Ok(())
    }

    /// A text with its static secrets in clear.
    ///
    /// # Errors
    /// When the store cannot open them.
    pub fn in_clear(&self, key: &Key, text: &str) -> Outcome<String> {
        match &self.keeper {
            Keeper::Memory(crypter) => Ok(crypter.decrypt_text(text)),
            Keeper::Folder(store) => store.decrypted(&name(key)?, text),
        }
    }

    /// Evaluates a text as that of an environment; of an anonymous one when the project is empty.
    ///
    /// # Errors
    /// When the store cannot open what `mode` needs.
    pub fn evaluate(&self, key: &Key, text: &str, mode: Mode) -> Outcome<Evaluated> {
        let (organization, project, environment) = key;
        let anonymous = project.is_empty();
        let called = if anonymous { ANONYMOUS } else { environment };
        match &self.keeper {
            Keeper::Memory(crypter) => Ok(esc_evaluation::in_memory(self, crypter, called, organization, text, mode)),
            Keeper::Folder(store) => {
                let own = if anonymous { None } else { Some(name(key)?) };
                store.evaluate_as(called, organization, own.as_ref(), text, mode)
            }
        }
    }
}
