//! Which credential reaches which owner: one token for all, or a GitHub App's token per owner.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::github::GitHub;
use super::github_app::{AppCredentials, installation_token};
use super::pace::{Pace, PaceSettings};
use super::stop::Stop;
use crate::base::error::Outcome;
use crate::base::secret::Token;
use crate::base::target::Scope;
use crate::rules::cost::Usage;

/// How long an installation token is used; GitHub lets it live an hour (github-api.md §1.10).
const TOKEN_AGE: Duration = Duration::from_secs(50 * 60);

/// What the tool authenticates with at GitHub.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A personal access token, or an installation token that someone else minted.
    Token(Token),
    App(AppCredentials),
}

/// Clients for the owners that a run touches, sharing one pace.
pub struct GitHubAccess {
    http: reqwest::Client,
    url: String,
    credential: Credential,
    pace: Arc<Pace>,
    started: (Timestamp, Instant),
    clients: Mutex<BTreeMap<String, (Arc<GitHub>, Instant)>>,
}

impl GitHubAccess {
    /// `now` is the wall clock at this moment, for the App's JWT.
    #[must_use]
    pub fn new(http: reqwest::Client, url: &str, credential: Credential, pace: PaceSettings, now: Timestamp) -> Self {
        Self {
            http,
            url: url.trim_end_matches('/').to_owned(),
            credential,
            pace: Arc::new(Pace::new(pace)),
            started: (now, Instant::now()),
            clients: Mutex::new(BTreeMap::new()),
        }
    }

    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Requests made so far, over all clients.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.pace.usage()
    }

    #[must_use]
    pub fn pace_settings(&self) -> PaceSettings {
        self.pace.settings()
    }

    /// Ends what waits for GitHub, and keeps all but last words from being sent.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        self.pace.stop()
    }

    /// The client for a scope.
    ///
    /// # Errors
    /// When the URL is wrong, or the App is not installed at the owner.
    pub async fn client(&self, scope: &Scope) -> Outcome<Arc<GitHub>> {
        let owner = match (&self.credential, scope) {
            (Credential::Token(_), _) => String::new(),
            (Credential::App(_), Scope::Organization(organization)) => organization.to_lowercase(),
            (Credential::App(_), Scope::Repository(repository) | Scope::Environment { repository, .. }) => {
                repository.owner().to_lowercase()
            }
        };
        let mut clients = self.clients.lock().await;
        if let Some((client, made)) = clients.get(&owner)
            && (owner.is_empty() || made.elapsed() < TOKEN_AGE)
        {
            return Ok(Arc::clone(client));
        }
        let new = |token: &Token| GitHub::new(self.http.clone(), &self.url, token, Arc::clone(&self.pace));
        let client = match &self.credential {
            Credential::Token(token) => new(token)?,
            Credential::App(app) => {
                let (wall, monotonic) = self.started;
                let elapsed = jiff::SignedDuration::try_from(monotonic.elapsed()).unwrap_or_default();
                let now = wall.checked_add(elapsed).unwrap_or(wall);
                let minted = installation_token(self.http.clone(), &self.url, app, scope, now).await?;
                new(&minted.token)?.granted(minted.permissions)
            }
        };
        let client = Arc::new(client);
        clients.insert(owner, (Arc::clone(&client), Instant::now()));
        Ok(client)
    }
}
