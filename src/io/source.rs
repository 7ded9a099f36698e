//! Where values come from: the one trait at the seam, with four real implementations (design §5).
//!
//! `io::esc_cloud` (Pulumi Cloud), `io::esc_local` (the embedded store), a dotenv file, and an encrypted
//! backup. The last two can only be opened; their other methods answer [`read_only`].

use async_trait::async_trait;

use crate::base::environment::EscName;
use crate::base::error::{Failure, FailureKind, Outcome};
use crate::esc::diagnostic::Diagnostic;
use crate::esc::value::Value;

/// What kind of source it is, as reports name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    Cloud,
    Local,
    EnvFile,
    Backup,
}

impl SourceKind {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Cloud => "cloud",
            Self::Local => "local",
            Self::EnvFile => "env-file",
            Self::Backup => "backup",
        }
    }
}

/// An environment, evaluated. `values` is the root object; without error diagnostics.
#[derive(Debug, Clone)]
pub struct Opened {
    pub values: Value,
    /// The revision that was opened, where the source numbers them.
    pub revision: Option<u64>,
    /// Warnings only: an open with errors fails.
    pub warnings: Vec<Diagnostic>,
}

/// The definition text of an environment (YAML), with what an update needs.
#[derive(Clone)]
pub struct Document {
    /// YAML. May hold plaintext secrets when it was read decrypted.
    pub text: String,
    /// Opaque; handed back with an update, which fails when someone else updated in between.
    pub etag: Option<String>,
    pub revision: Option<u64>,
}

/// One entry of an environment's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    pub number: u64,
    pub created: jiff::Timestamp,
    /// Login of who made it.
    pub author: String,
    pub tags: Vec<String>,
}

/// Which text of an environment is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// Static secrets stay encrypted.
    Encrypted,
    /// Static secrets in clear.
    Decrypted,
}

/// Which state of an environment is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    Latest,
    Revision(u64),
    Tag(String),
}

impl Version {
    /// `organization/project/environment@12`; without a revision for the latest.
    #[must_use]
    pub fn of(&self, name: &EscName) -> String {
        match self {
            Self::Latest => name.to_string(),
            Self::Revision(number) => format!("{name}@{number}"),
            Self::Tag(tag) => format!("{name}@{tag}"),
        }
    }
}

/// A holder of ESC environments.
#[async_trait]
pub trait Source: Send + Sync {
    fn kind(&self) -> SourceKind;

    /// Where reports say that the values of an environment come from.
    fn origin(&self, name: &EscName) -> String {
        name.to_string()
    }

    /// What places are named by in a text that ESC calls `called` when it speaks of `name`: a file, where it rests in one.
    fn file_of(&self, name: &EscName, version: &Version, called: &str) -> String {
        text_of(name, version, called)
    }

    /// Evaluates the environment with its secrets in clear.
    async fn open(&self, name: &EscName, version: &Version) -> Outcome<Opened>;

    /// Evaluates a text as if it were the environment; nothing is stored. Errors come back as diagnostics.
    async fn check(&self, name: &EscName, text: &str) -> Outcome<Vec<Diagnostic>>;

    /// All environments of an organization that the caller may see.
    async fn list(&self, organization: &str) -> Outcome<Vec<EscName>>;

    async fn create(&self, name: &EscName) -> Outcome<()>;

    async fn delete(&self, name: &EscName) -> Outcome<()>;

    /// Reads the definition text.
    async fn read(&self, name: &EscName, version: &Version, secrets: Secrets) -> Outcome<Document>;

    /// Replaces the definition text; plaintext `fn::secret` values are encrypted by the source.
    /// With `etag`, fails with the code `esc-conflict` when the environment has moved since.
    /// Answers the new revision and warnings.
    async fn update(&self, name: &EscName, text: &str, etag: Option<&str>) -> Outcome<(Option<u64>, Vec<Diagnostic>)>;

    /// Newest first; at most `limit`.
    async fn revisions(&self, name: &EscName, limit: usize) -> Outcome<Vec<Revision>>;

    /// The revision that a tag names; none when there is no such tag.
    async fn tagged(&self, name: &EscName, tag: &str) -> Outcome<Option<u64>>;

    /// Makes a tag name a revision, whether it was there or not.
    async fn set_tag(&self, name: &EscName, tag: &str, revision: u64) -> Outcome<()>;

    /// Removes a tag; done, too, when there is none.
    async fn remove_tag(&self, name: &EscName, tag: &str) -> Outcome<()>;
}

/// The environment of Pulumi Cloud whose text it calls `called` when it speaks of `name`. It calls a text that was only
/// sent to it `<yaml>` or nothing, an environment by its last part or the last two, and an import as that is written.
#[must_use]
pub fn text_of(name: &EscName, version: &Version, called: &str) -> String {
    match called {
        "" | "<yaml>" => version.of(name),
        own if own == name.environment || own == name.in_project() => version.of(name),
        other if other.contains('/') => format!("{}/{other}", name.organization),
        other => other.to_owned(),
    }
}

/// Whether a write that failed may have been made all the same: its answer was lost, or came from something in between.
#[must_use]
pub fn may_be_written(failure: &Failure) -> bool {
    matches!(failure.code, "esc-unreachable" | "esc-answer" | "esc-unavailable")
}

/// Whether a write that failed certainly stored nothing: it was refused, before it was sent or by the service.
#[must_use]
pub fn stored_nothing(failure: &Failure) -> bool {
    match failure.kind {
        FailureKind::Usage | FailureKind::Refused | FailureKind::Auth => true,
        FailureKind::Unexpected => {
            matches!(failure.code, "esc-diagnostics" | "esc-not-found" | "esc-rate-limited" | "esc-redirect")
        }
        FailureKind::Partial => false,
    }
}

/// The answer of a source that cannot do what was asked.
#[must_use]
pub fn read_only(kind: SourceKind, what: &str) -> Failure {
    Failure::usage("source-read-only", format!("a source of kind `{}` cannot {what}", kind.word()))
        .hint("choose Pulumi Cloud or an embedded store with --esc-url")
}
