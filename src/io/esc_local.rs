//! The embedded store: ESC environments as YAML files of a folder, `file://DIR` (design §5).
//!
//! Static secrets are encrypted where they stand, in ESC's envelope, under data keys of the environment that
//! are wrapped with age ([`keyring`]); how files are laid out and written is told in [`shelf`]. Evaluation is
//! `esc::eval`. Everything can be committed to git.

pub mod keyring;
mod recipients;
mod service;
pub mod shelf;
mod texts;
mod writes;

pub use service::{Labels, Retraction, RevisionTag, Tag};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use self::keyring::{KeyFile, Keyring};
use self::shelf::{Record, Shelf};
use super::age_keys::{Identities, Recipient};
use super::source::{Document, Opened, Revision, Secrets, Source, SourceKind, Version};
use crate::base::environment::EscName;
use crate::base::error::{Failure, Outcome, Severity};
use crate::esc::diagnostic::Diagnostic;
use crate::esc::eval::{self, Evaluated, Mode};
use crate::esc::provider::Providers;
use crate::esc::value::{Content, Value};
use crate::io::files;

/// How a store is opened.
pub struct Settings {
    /// The folder of the store.
    pub root: PathBuf,
    /// What opens it; may be empty.
    pub identities: Identities,
    /// Whom new environments are encrypted to; when empty, the identities themselves.
    pub recipients: Vec<Recipient>,
    /// Who signs revisions.
    pub author: String,
    /// Reads the clock.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Providers of the host; none by default, and what is missing stays unknown with a warning.
    pub providers: Providers,
}

/// An embedded store. Cheap to clone.
#[derive(Clone)]
pub struct EscLocal {
    settings: Arc<Settings>,
    /// Who signs what this handle writes.
    author: Arc<str>,
}

impl EscLocal {
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { author: settings.author.as_str().into(), settings: Arc::new(settings) }
    }

    /// The same store, where revisions are signed by somebody else.
    #[must_use]
    pub fn signing_as(&self, author: &str) -> Self {
        Self { settings: Arc::clone(&self.settings), author: author.into() }
    }

    /// The folder of the store.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.settings.root
    }

    fn shelf(&self, name: &EscName) -> Shelf {
        Shelf::new(&self.settings.root, name)
    }

    fn now(&self) -> Timestamp {
        (self.settings.now)()
    }

    /// File work and waiting for locks, off the async threads.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Self) -> Outcome<T> + Send + 'static) -> Outcome<T> {
        let store = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.unwrap_or_else(|error| Err(Failure::unexpected("store", "the embedded store failed").cause(error)))
    }

    fn missing(&self, name: &EscName) -> Failure {
        let shelf = self.shelf(name);
        let path = shelf.definition();
        let failure = Failure::unexpected(
            "esc-not-found",
            format!("there is no environment `{name}` (no file `{}`)", path.display()),
        )
        .hint(format!("`env init {name}` makes it"));
        match shelf.numbers().ok().and_then(|numbers| numbers.last().copied()) {
            Some(last) => {
                failure.hint(format!("its revisions are there: then `env rollback {name}@{last}` puts the newest back"))
            }
            None => failure,
        }
    }

    fn text(&self, name: &EscName) -> Outcome<String> {
        self.shelf(name).text()?.ok_or_else(|| self.missing(name))
    }

    /// The text of a version, with its number where it is recorded.
    fn version(&self, name: &EscName, version: &Version) -> Outcome<(String, Option<u64>)> {
        let shelf = self.shelf(name);
        let current = self.text(name)?;
        let number = match version {
            Version::Latest => None,
            Version::Tag(tag) if tag == "latest" => None,
            Version::Revision(number) => Some(*number),
            Version::Tag(tag) => Some(*shelf.tags()?.get(tag).ok_or_else(|| {
                Failure::unexpected("esc-not-found", format!("`{name}` has no revision tag `{tag}`"))
                    .hint("`env history` lists revisions and their tags")
            })?),
        };
        match number {
            None => {
                let number = shelf.revision_of(&current)?;
                Ok((current, number))
            }
            Some(number) => {
                let record = shelf.record(number).or_else(|failure| {
                    // Just committed by a writer that was killed: nobody moved it to its number yet.
                    let committed = shelf.revision_of(&current)? == Some(number);
                    let text = current.clone();
                    if committed {
                        Ok(Record { number, created: Timestamp::UNIX_EPOCH, author: String::new(), text })
                    } else {
                        Err(failure)
                    }
                })?;
                Ok((record.text, Some(number)))
            }
        }
    }

    /// The data keys of an environment.
    ///
    /// # Errors
    /// `store-key` (authentication) when none of the identities opens them, `store-keys-missing` without them.
    fn keyring(&self, name: &EscName) -> Outcome<Keyring> {
        let Some(file) = self.shelf(name).keys()? else {
            return Err(Failure::usage("store-keys-missing", format!("`{name}` has no data keys (`keys.json`)"))
                .hint("its folder `.sophia` belongs to it: copy or commit both together"));
        };
        self.open_keys(name, &file)
    }

    fn open_keys(&self, name: &EscName, file: &KeyFile) -> Outcome<Keyring> {
        file.unwrap_keys(&self.settings.identities).map_err(|why| {
            let failure = Failure::auth("store-key", format!("the secrets of `{name}` cannot be opened"));
            if self.settings.identities.is_empty() {
                return failure
                    .cause("no age identity was given")
                    .hint("set SOPHIA_AGE_KEY, or give --age-identity FILE with the key of a recipient");
            }
            let mut recipients = file.recipients.join(", ");
            if file.wrapped_for_passphrase.is_some() {
                recipients.push_str(if recipients.is_empty() { "a passphrase" } else { ", or a passphrase" });
            }
            failure.cause(why).hint(format!(
                "its recipients are: {recipients}; one of them adds you with `env recipients add {name} RECIPIENT`"
            ))
        })
    }

    /// Evaluates `text` as if it were the environment.
    ///
    /// # Errors
    /// `store-key` when `mode` needs secrets that cannot be opened. What is wrong with the text are diagnostics.
    pub fn evaluate(&self, name: &EscName, text: &str, mode: Mode) -> Outcome<Evaluated> {
        let called = name.in_project();
        let mut evaluated = self.evaluate_as(&called, &name.organization, Some(name), text, mode)?;
        let mut warnings = texts::plaintext_warnings(&called, text);
        warnings.extend(texts::unread(&called, text));
        warnings.append(&mut evaluated.diagnostics);
        evaluated.diagnostics = warnings;
        Ok(evaluated)
    }

    /// Evaluates a text that diagnostics call `called`. Its own secrets are opened with the keys of `own`; a text
    /// that is no environment's has none. What it imports is of `organization`.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub fn evaluate_as(
        &self,
        called: &str,
        organization: &str,
        own: Option<&EscName>,
        text: &str,
        mode: Mode,
    ) -> Outcome<Evaluated> {
        let prepared = texts::prepare(text);
        let needs_keys = prepared.has_ciphertext && !matches!(mode, Mode::Check { show_secrets: false });
        let keyring = own.filter(|_| needs_keys).map(|name| self.keyring(name)).transpose()?;
        let crypter = texts::Crypter::new(self, own, keyring, prepared.plaintexts);
        let mut loader = texts::Imports::new(self, organization);
        let (context, providers) = (self.context(organization), &self.settings.providers);
        Ok(eval::evaluate(called, &prepared.text, mode, &mut loader, &crypter, providers, &context))
    }

    /// What documents find under `context`, as far as a folder knows it.
    fn context(&self, organization: &str) -> BTreeMap<String, Value> {
        let object = |entries: &[(&str, Value)]| {
            let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
            Value::plain(Content::Object(entries.collect()))
        };
        let text = |text: &str| Value::plain(Content::String(text.to_owned()));
        let user = object(&[("id", text(&self.author)), ("login", text(&self.author))]);
        let organization = object(&[("login", text(organization))]);
        BTreeMap::from([("pulumi".to_owned(), object(&[("user", user), ("organization", organization)]))])
    }

    fn opened(&self, name: &EscName, version: &Version) -> Outcome<Opened> {
        let (text, revision) = self.version(name, version)?;
        let evaluated = self.evaluate(name, &text, Mode::Open)?;
        if evaluated.has_errors() {
            return Err(self.faulty(name, version, &format!("cannot open `{name}`"), &evaluated.diagnostics));
        }
        let values = evaluated.value.unwrap_or_else(|| Value::plain(Content::Object(BTreeMap::new())));
        let mut warnings = evaluated.diagnostics;
        warnings.extend(texts::unclear(&name.in_project(), &text, Severity::Warning));
        Ok(Opened { values, revision, warnings })
    }

    fn checked(&self, name: &EscName, text: &str) -> Outcome<Vec<Diagnostic>> {
        // Who has no key may still check everything else.
        let show_secrets = self.keyring(name).is_ok();
        let mut found = self.evaluate(name, text, Mode::Check { show_secrets })?.diagnostics;
        if found.iter().all(|diagnostic| diagnostic.severity != Severity::Error) {
            found.extend(texts::unclear(&name.in_project(), text, Severity::Error));
        }
        Ok(found)
    }

    fn document(&self, name: &EscName, version: &Version, secrets: Secrets) -> Outcome<Document> {
        let (text, revision) = self.version(name, version)?;
        let etag = Some(etag(&text));
        let text = match secrets {
            Secrets::Encrypted => text,
            Secrets::Decrypted => self.decrypted(name, &text)?,
        };
        Ok(Document { text, etag, revision })
    }

    fn history(&self, name: &EscName, limit: usize) -> Outcome<Vec<Revision>> {
        let shelf = self.shelf(name);
        let current = shelf.revision_of(&self.text(name)?)?;
        let mut tags = shelf.tags()?;
        tags.extend(current.map(|number| ("latest".to_owned(), number)));
        let numbers = shelf.numbers()?.into_iter().rev().take(limit);
        numbers
            .map(|number| {
                let record = match shelf.record(number) {
                    Err(failure) if failure.code == "store-damaged" => Record::damaged(number),
                    record => record?,
                };
                let tags = tags.iter().filter(|(_, tagged)| **tagged == number).map(|(tag, _)| tag.clone()).collect();
                Ok(Revision { number, created: record.created, author: record.author, tags })
            })
            .collect()
    }

    /// Points a revision tag at a revision, or removes it.
    ///
    /// # Errors
    /// `esc-not-found` for an unknown revision or tag; what writing gives.
    pub fn tag(&self, name: &EscName, tag: &str, revision: Option<u64>) -> Outcome<()> {
        self.text(name)?;
        let shelf = self.shelf(name);
        let writer = shelf.lock()?;
        let mut tags = shelf.tags()?;
        match revision {
            Some(number) => {
                shelf.record(number)?;
                tags.insert(tag.to_owned(), number);
            }
            None => {
                tags.remove(tag).ok_or_else(|| {
                    Failure::unexpected("esc-not-found", format!("`{name}` has no revision tag `{tag}`"))
                })?;
            }
        }
        writer.write_tags(&tags)
    }

    /// The revision tags of an environment.
    ///
    /// # Errors
    /// `esc-not-found`; what reading gives.
    pub fn tags(&self, name: &EscName) -> Outcome<BTreeMap<String, u64>> {
        self.text(name)?;
        self.shelf(name).tags()
    }
}

/// Opaque to callers: changes with every byte of the stored text.
#[must_use]
pub fn etag(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

#[async_trait]
impl Source for EscLocal {
    fn kind(&self) -> SourceKind {
        SourceKind::Local
    }

    fn file_of(&self, name: &EscName, version: &Version, called: &str) -> String {
        let own = (name.clone(), version.clone());
        let is_own = called.is_empty() || called == name.in_project();
        let meant = if is_own { Some(own) } else { texts::import_of(&name.organization, called) };
        match meant {
            Some((name, Version::Latest)) => self.shelf(&name).definition().display().to_string(),
            // Its file begins with a line of its own: places would not fit.
            Some((name, old)) => old.of(&name),
            None => called.to_owned(),
        }
    }

    async fn open(&self, name: &EscName, version: &Version) -> Outcome<Opened> {
        let (name, version) = (name.clone(), version.clone());
        self.blocking(move |store| store.opened(&name, &version)).await
    }

    async fn check(&self, name: &EscName, text: &str) -> Outcome<Vec<Diagnostic>> {
        let (name, text) = (name.clone(), text.to_owned());
        self.blocking(move |store| store.checked(&name, &text)).await
    }

    async fn list(&self, organization: &str) -> Outcome<Vec<EscName>> {
        let organization = organization.to_owned();
        self.blocking(move |store| {
            let root = store.root();
            if !files::is_folder(root) {
                return Err(Failure::usage("store-missing", format!("there is no store `{}`", root.display()))
                    .hint("check --esc-url; `env init` makes an environment, and a store for it"));
            }
            Shelf::list(root, &organization)
        })
        .await
    }

    async fn create(&self, name: &EscName) -> Outcome<()> {
        let name = name.clone();
        self.blocking(move |store| store.make(&name)).await
    }

    async fn delete(&self, name: &EscName) -> Outcome<()> {
        let name = name.clone();
        self.blocking(move |store| store.remove(&name)).await
    }

    async fn read(&self, name: &EscName, version: &Version, secrets: Secrets) -> Outcome<Document> {
        let (name, version) = (name.clone(), version.clone());
        self.blocking(move |store| store.document(&name, &version, secrets)).await
    }

    async fn update(&self, name: &EscName, text: &str, etag: Option<&str>) -> Outcome<(Option<u64>, Vec<Diagnostic>)> {
        let (name, text, etag) = (name.clone(), text.to_owned(), etag.map(str::to_owned));
        self.blocking(move |store| store.write(&name, &text, etag.as_deref())).await
    }

    async fn revisions(&self, name: &EscName, limit: usize) -> Outcome<Vec<Revision>> {
        let name = name.clone();
        self.blocking(move |store| store.history(&name, limit)).await
    }

    async fn tagged(&self, name: &EscName, tag: &str) -> Outcome<Option<u64>> {
        let (name, tag) = (name.clone(), tag.to_owned());
        self.blocking(move |store| Ok(store.tags(&name)?.get(&tag).copied())).await
    }

    async fn set_tag(&self, name: &EscName, tag: &str, revision: u64) -> Outcome<()> {
        let (name, tag) = (name.clone(), tag.to_owned());
        self.blocking(move |store| store.tag(&name, &tag, Some(revision))).await
    }

    async fn remove_tag(&self, name: &EscName, tag: &str) -> Outcome<()> {
        let (name, tag) = (name.clone(), tag.to_owned());
        self.blocking(move |store| {
            let is_there = store.tags(&name)?.contains_key(&tag);
            if is_there { store.tag(&name, &tag, None) } else { Ok(()) }
        })
        .await
    }
}
