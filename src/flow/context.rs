//! What a command is given: the services, and the way to tell what is happening.

use std::sync::Arc;

use crate::io::audit::AuditLog;
use crate::io::github_access::GitHubAccess;
use crate::rules::plan::Target;

/// Something worth telling while a run goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// About to delete: said before it is done.
    Deleting { target: &'a Target, name: &'a str },
    /// A step came to its end.
    Stepped { done: usize, of: usize },
}

/// The services of a run.
pub struct Context<'a> {
    pub github: &'a GitHubAccess,
    pub tell: &'a (dyn Fn(Event<'_>) + Sync),
    /// Takes a line for every step that writes; none while nothing is written.
    pub audit: Option<&'a Arc<AuditLog>>,
}

impl Context<'_> {
    /// Whether the user interrupted, or the audit trail failed: no further step is begun, and what was done is recorded.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.github.stop().is_asked()
    }
}
