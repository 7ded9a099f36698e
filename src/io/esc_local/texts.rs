//! Texts of the embedded store on their way in and out: encrypting, decrypting, imports, and what is said
//! about them.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};

use super::EscLocal;
use super::keyring::Keyring;
use super::shelf::Writer;
use crate::base::environment::EscName;
use crate::base::error::{Failure, Outcome, Place, Problem, Severity};
use crate::base::secret::SecretValue;
use crate::base::yaml::{self, Mark};
use crate::esc::diagnostic::Diagnostic;
use crate::esc::edit::{self, Edit, EditError, NewValue};
use crate::esc::envelope;
use crate::esc::eval::{Decrypter, Loaded, Loader};
use crate::esc::path::{Path, Step};
use crate::esc::stored::{self, RewriteError, StaticSecret, Stored};
use crate::esc::value::Range;
use crate::io::source::{Source as _, Version};

/// How diagnostics begin that say that a secret cannot be opened.
const DAMAGE: [&str; 3] = ["invalid ciphertext", "decrypting: ", "this is no ciphertext"];

/// The code of failures that say that a text cannot be taken for a definition.
const UNREADABLE: &str = "esc-diagnostics";

/// What a hand's work is recorded in when its secrets cannot be told from the rest.
const WHOLE: &str = "# This is not ESC's language and may hold secrets in clear. The whole text is kept as a secret.\n\
                          values: {}\n";

/// A text ready for evaluation.
pub(super) struct Prepared {
    pub text: String,
    /// Plaintexts by the stand-in that the text holds for them.
    pub plaintexts: HashMap<String, String>,
    pub has_ciphertext: bool,
}

/// Makes a text evaluate to what it will once it is stored: a plaintext secret is what YAML gives, while
/// the language would read `$` in it (esc-language.md §5). Such secrets get a stand-in; all others stay.
pub(super) fn prepare(text: &str) -> Prepared {
    let mut prepared = Prepared { text: text.to_owned(), plaintexts: HashMap::new(), has_ciphertext: false };
    let rewritten = stored::rewrite(text, |secret| {
        Ok::<_, std::convert::Infallible>(match &secret.stored {
            Stored::Encrypted(_) => {
                prepared.has_ciphertext |= secret.is_under_values();
                None
            }
            Stored::Plain(plain) if plain.contains("$$") || plain.contains("${") => {
                let stand_in = format!("stand-in {}", prepared.plaintexts.len());
                let stand_in = envelope::encode(stand_in.as_bytes()).unwrap_or_default();
                prepared.plaintexts.insert(stand_in.clone(), plain.to_string());
                Some(Stored::Encrypted(stand_in))
            }
            Stored::Plain(_) => None,
        })
    });
    // A text that is not YAML is the evaluator's to report.
    if let Ok(rewritten) = rewritten {
        prepared.text = rewritten;
    }
    prepared
}

/// Whether a static secret of `text` is one that only data keys open.
pub(super) fn holds_ciphertext(text: &str) -> bool {
    let encrypted = |secret: &StaticSecret| !secret.is_in_clear() && secret.is_under_values();
    stored::find(text).is_ok_and(|secrets| secrets.iter().any(encrypted))
}

/// A warning for each secret that stands in clear.
pub(super) fn plaintext_warnings(environment: &str, text: &str) -> Vec<Diagnostic> {
    let secrets = stored::find(text).unwrap_or_default();
    let plain = secrets.into_iter().filter(StaticSecret::is_in_clear);
    plain
        .map(|secret| Diagnostic {
            severity: Severity::Warning,
            summary: "this secret stands in plaintext; it is encrypted with the next write".into(),
            detail: None,
            range: Some(Range { environment: environment.into(), begin: secret.mark, end: secret.mark }),
            path: Some(secret.path.to_string()),
        })
        .collect()
}

/// A warning for what stands behind the first document, which ESC does not read.
pub(super) fn unread(environment: &str, text: &str) -> Option<Diagnostic> {
    let error = yaml::parse_whole(text).err()?;
    yaml::parse(text).ok()?;
    Some(Diagnostic {
        severity: Severity::Warning,
        summary: "nothing is read from here on: a definition is one YAML document".into(),
        detail: None,
        range: Some(Range { environment: environment.into(), begin: error.mark, end: error.mark }),
        path: None,
    })
}

/// A diagnostic for what may be meant as a secret and would be stored as it stands, or cannot be stored.
pub(super) fn unclear(environment: &str, text: &str, severity: Severity) -> Option<Diagnostic> {
    let (mark, summary) = match stored::unclear(text) {
        Some(found) if found.is_ciphertext => (found.mark, "this is no ciphertext, or a damaged one".to_owned()),
        Some(found) => {
            let why = "this may be meant as a secret, and nothing encrypts it: `fn::secret` takes one text, nothing behind the \
                       first YAML document is read, and what is only text is put in quotes";
            (found.mark, why.to_owned())
        }
        None => {
            let sealed = envelope::encode(&[0; 16]).unwrap_or_default();
            let encrypted = stored::rewrite(text, |secret| {
                Ok::<_, std::convert::Infallible>(secret.is_in_clear().then(|| Stored::Encrypted(sealed.clone())))
            });
            match encrypted {
                Err(RewriteError::Text(error @ EditError::SecretForm { mark, .. })) => (mark, error.to_string()),
                _ => return None,
            }
        }
    };
    let range = Some(Range { environment: environment.into(), begin: mark, end: mark });
    Some(Diagnostic { severity, summary, detail: None, range, path: None })
}

/// Opens the envelopes of one environment.
pub(super) struct Crypter {
    store: EscLocal,
    /// Whose keys open them; an anonymous text has none.
    name: Option<EscName>,
    keyring: OnceCell<Result<Keyring, String>>,
    plaintexts: HashMap<String, String>,
}

impl Crypter {
    pub fn new(
        store: &EscLocal,
        name: Option<&EscName>,
        keyring: Option<Keyring>,
        plaintexts: HashMap<String, String>,
    ) -> Self {
        let cell = OnceCell::new();
        if let Some(keyring) = keyring {
            let _ = cell.set(Ok(keyring));
        }
        Self { store: store.clone(), name: name.cloned(), keyring: cell, plaintexts }
    }
}

impl Decrypter for Crypter {
    fn check(&self, envelope_base64: &str) -> Result<(), String> {
        envelope::decode(envelope_base64).map(drop).map_err(|error| error.to_string())
    }

    fn decrypt(&self, envelope_base64: &str) -> Result<String, String> {
        if let Some(plaintext) = self.plaintexts.get(envelope_base64) {
            return Ok(plaintext.clone());
        }
        self.check(envelope_base64)?;
        let opened = self.keyring.get_or_init(|| match &self.name {
            Some(name) => self.store.keyring(name).map_err(|failure| format!("decrypting: {failure}")),
            None => Err("decrypting: a text that is no environment's has no data keys".to_owned()),
        });
        let keyring = opened.as_ref().map_err(Clone::clone)?;
        keyring.decrypt(envelope_base64).map(|text| text.to_string()).map_err(|error| error.to_string())
    }
}

/// Finds imports in the same organization: `project/environment`, or `environment` in the project `default`;
/// `@12` or `@tag` may follow.
pub(super) struct Imports {
    store: EscLocal,
    organization: String,
}

impl Imports {
    pub fn new(store: &EscLocal, organization: &str) -> Self {
        Self { store: store.clone(), organization: organization.to_owned() }
    }
}

/// The environment and version that an import names.
pub(super) fn import_of(organization: &str, written: &str) -> Option<(EscName, Version)> {
    let (name, version) = written.split_once('@').map_or((written, None), |(name, version)| (name, Some(version)));
    let version = match version {
        None => Version::Latest,
        Some(number) if number.starts_with(|c: char| c.is_ascii_digit()) => Version::Revision(number.parse().ok()?),
        Some(tag) => Version::Tag(tag.to_owned()),
    };
    let name = match name.split_once('/') {
        None => EscName::new(organization, "default", name),
        Some((project, environment)) => EscName::new(organization, project, environment),
    };
    Some((name.ok()?, version))
}

impl Loader for Imports {
    fn load(&mut self, name: &str) -> Result<Loaded, String> {
        let (name, version) =
            import_of(&self.organization, name).ok_or_else(|| format!("`{name}` names no environment"))?;
        let (text, _) = self.store.version(&name, &version).map_err(|failure| failure.to_string())?;
        let prepared = prepare(&text);
        let decrypter = Crypter::new(&self.store, Some(&name), None, prepared.plaintexts);
        Ok(Loaded { text: prepared.text, decrypter: Box::new(decrypter) })
    }
}

impl EscLocal {
    /// A failure that lists diagnostics with the files they are about.
    pub(super) fn faulty(&self, name: &EscName, version: &Version, what: &str, diagnostics: &[Diagnostic]) -> Failure {
        let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
        let count = if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") };
        let is_damaged = |diagnostic: &Diagnostic| DAMAGE.iter().any(|words| diagnostic.summary.starts_with(words));
        let failure = Failure::unexpected(UNREADABLE, format!("{what}: its definition has {count}"));
        let failure = match diagnostics.iter().any(is_damaged) {
            true => failure.hint(format!("set a damaged secret again, or take an earlier revision: `env history {name}`, `env rollback {name}@REVISION`")),
            false => failure,
        };
        failure
            .problems(
                diagnostics.iter().map(|diagnostic| diagnostic.problem(|called| self.file_of(name, version, called))),
            )
            .hint("correct the definition with `env edit`, or in the file itself")
    }

    fn rewritten<E: Into<Problem>>(
        &self,
        name: &EscName,
        text: &str,
        convert: impl FnMut(&StaticSecret) -> Result<Option<Stored>, E>,
    ) -> Outcome<String> {
        stored::rewrite(text, convert).map_err(|error| match error {
            RewriteError::Text(error) => self.unreadable(name, &error),
            RewriteError::Secrets(refusals) => {
                Failure::unexpected("store-secrets", format!("some secrets of `{name}` cannot be opened"))
                    .problems(refusals.into_iter().map(Into::into))
                    .hint("take the damaged ones from an earlier revision (`env history`) or set them again")
            }
        })
    }

    pub(super) fn unreadable(&self, name: &EscName, error: &EditError) -> Failure {
        let failure = Failure::unexpected(UNREADABLE, format!("the definition of `{name}` cannot be read"));
        let problem = |message: String, mark: &Mark| {
            let file = self.file_of(name, &Version::Latest, "");
            let place = Place { file, line: mark.line(), column: mark.column() };
            Problem::error("esc-diagnostic", message).at(place)
        };
        match error {
            EditError::NotYaml { message, mark } => failure.problems([problem(message.clone(), mark)]),
            EditError::SecretForm { mark, .. } => failure.problems([problem(error.to_string(), mark)]),
            other => failure.cause(other),
        }
    }

    /// The text with its static secrets in clear.
    ///
    /// # Errors
    /// `store-key` when they cannot be opened; `store-secrets` when some are damaged or foreign.
    pub fn decrypted(&self, name: &EscName, text: &str) -> Outcome<String> {
        let keyring = OnceCell::new();
        let mut cannot = None;
        let file = self.file_of(name, &Version::Latest, "");
        let decrypted = self.rewritten(name, text, |secret| {
            let Stored::Encrypted(envelope) = &secret.stored else { return Ok(None) };
            if !secret.is_under_values() || cannot.is_some() {
                return Ok(None);
            }
            let opened = keyring.get_or_init(|| self.keyring(name));
            match opened {
                Ok(keyring) => match keyring.decrypt(envelope) {
                    Ok(plain) => Ok(Some(Stored::Plain(plain))),
                    Err(error) => {
                        let place =
                            Place { file: file.clone(), line: secret.mark.line(), column: secret.mark.column() };
                        Err(Problem::error("store-secret", format!("`{}`: {error}", secret.path)).at(place))
                    }
                },
                Err(failure) => {
                    cannot = Some(failure.clone());
                    Ok(None)
                }
            }
        });
        match cannot {
            Some(failure) => Err(failure),
            None => decrypted,
        }
    }

    /// What somebody made of the definition file, as history may keep it: no secret in it stands in clear. One that the
    /// newest revision has, too, keeps the ciphertext of that. Where secrets cannot be told from the rest, or not be
    /// replaced, all of the text is kept as one. `encrypt` is [`Self::encrypted`], or [`Self::encrypted_with`] of a new key.
    pub(super) fn made_by_hand(
        &self,
        name: &EscName,
        text: &str,
        encrypt: impl Fn(&str, &str) -> Outcome<String>,
    ) -> Outcome<String> {
        let last = self.shelf(name).last()?.map_or_else(String::new, |last| last.text);
        if stored::unclear(text).is_none() {
            match encrypt(text, &last) {
                Err(failure) if failure.code == UNREADABLE => {}
                done => return done,
            }
        }
        let path = Path { steps: vec![Step::Key("text".to_owned())] };
        let value = NewValue::Secret(SecretValue::new(text.as_bytes().to_vec()));
        let whole = edit::apply(WHOLE, &[Edit::Set { path, value }]).map_err(|error| self.unreadable(name, &error))?;
        encrypt(&whole, &last)
    }

    /// The text with every static secret encrypted with the newest data key.
    ///
    /// # Errors
    /// [`UNREADABLE`]; `store-key` when there are secrets to encrypt and this run cannot open the keys;
    /// `store-keys-missing`.
    pub(super) fn encrypted(&self, name: &EscName, writer: &Writer<'_>, text: &str, current: &str) -> Outcome<String> {
        let secrets = stored::find(text).map_err(|error| self.unreadable(name, &error))?;
        let any_plain = secrets.iter().any(StaticSecret::is_in_clear);
        let keyring = if any_plain {
            self.keyring_for_writing(name, writer, &[text, current])?
        } else {
            match self.keyring(name) {
                Ok(keyring) => keyring,
                // Nothing has to be encrypted: who has no key may still change the rest.
                Err(_) => return Ok(text.to_owned()),
            }
        };
        self.encrypted_with(name, &keyring, text, current)
    }

    /// The text with every static secret encrypted with the newest key of `keyring`. A secret that is the same as at
    /// this path of `current` keeps its ciphertext, so that a diff shows what changed and nothing else.
    ///
    /// # Errors
    /// [`UNREADABLE`].
    pub(super) fn encrypted_with(
        &self,
        name: &EscName,
        keyring: &Keyring,
        text: &str,
        current: &str,
    ) -> Outcome<String> {
        let mut before = BTreeMap::new();
        for secret in stored::find(current).unwrap_or_default() {
            if let Stored::Encrypted(envelope) = secret.stored
                && keyring.is_current(&envelope)
                && let Ok(plain) = keyring.decrypt(&envelope)
            {
                before.insert(secret.path, (plain, envelope));
            }
        }
        self.rewritten(name, text, |secret| {
            let fresh = |plain: &str| {
                let encrypted = keyring.encrypt(plain).map(Stored::Encrypted).map(Some);
                encrypted.map_err(|failure| Problem::error("store-secret", format!("`{}`: {failure}", secret.path)))
            };
            match &secret.stored {
                Stored::Plain(plain) => match before.get(&secret.path) {
                    Some((same, envelope)) if same == plain => Ok(Some(Stored::Encrypted(envelope.clone()))),
                    _ => fresh(plain),
                },
                // Written before a recipient was removed: the newest key takes it over.
                Stored::Encrypted(envelope) if secret.is_under_values() && !keyring.is_current(envelope) => {
                    keyring.decrypt(envelope).map_or(Ok(None), |plain| fresh(&plain))
                }
                Stored::Encrypted(_) => Ok(None),
            }
        })
    }
}
