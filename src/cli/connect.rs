//! Opens what a command works on: the GitHub client, the source of values, the definition.

use jiff::Timestamp;

use super::args::{GitHubArgs, Global};
use super::environment::{self, Environment};
use crate::base::error::{Failure, Outcome};
use crate::base::secret::{SecretValue, Token};
use crate::io::github_access::{Credential, GitHubAccess};
use crate::io::github_app::AppCredentials;
use crate::io::http::{self, HttpSettings};
use crate::io::pace::PaceSettings;

/// GitHub's public API.
const GITHUB: &str = "https://api.github.com";

/// One run: what was typed globally, the environment, and the time it began.
pub struct Session {
    pub global: Global,
    pub environment: Environment,
    pub now: Timestamp,
}

impl Session {
    /// Opens GitHub with the credential of the environment. A `token` that came from elsewhere (an ESC
    /// path) wins.
    ///
    /// # Errors
    /// An authentication failure when there is no credential; a usage failure for a wrong URL.
    pub fn github(&self, args: &GitHubArgs, token: Option<Token>) -> Outcome<GitHubAccess> {
        let url =
            args.github_url.as_deref().or_else(|| self.environment.get(environment::GITHUB_API_URL)).unwrap_or(GITHUB);
        let parsed = url::Url::parse(url).map_err(|error| {
            Failure::usage("github-url", format!("`{url}` is not the URL of a GitHub API")).cause(error)
        })?;
        let credential = match token {
            Some(token) => Credential::Token(token),
            None => self.github_credential()?,
        };
        let pace = PaceSettings {
            limited: args.pace == "on",
            concurrency: usize::from(args.concurrency),
            max_wait: args.max_wait,
        };
        let client = http::client(HttpSettings::toward(&parsed))?;
        Ok(GitHubAccess::new(client, url, credential, pace, self.now))
    }

    /// The credential of the environment: a GitHub App, else a token.
    ///
    /// # Errors
    /// An authentication failure that names the variables to set.
    fn github_credential(&self) -> Outcome<Credential> {
        let variable = |name| self.environment.get(name);
        let app_id = variable(environment::SOPHIA_GITHUB_APP_ID);
        let app_key = variable(environment::SOPHIA_GITHUB_APP_PRIVATE_KEY);
        match (app_id, app_key) {
            (Some(id), Some(key)) => {
                let private_key = SecretValue::from(key.to_owned());
                return Ok(Credential::App(AppCredentials { id: id.trim().to_owned(), private_key }));
            }
            (None, None) => {}
            _ => {
                return Err(Failure::auth("github-app-incomplete", "a GitHub App needs its id and its private key")
                    .hint("set both SOPHIA_GITHUB_APP_ID and SOPHIA_GITHUB_APP_PRIVATE_KEY"));
            }
        }
        for name in [environment::GITHUB_TOKEN, environment::GH_TOKEN] {
            if let Some(text) = variable(name) {
                let token = Token::new(text).map_err(|error| {
                    Failure::auth("github-token", format!("{name} does not hold a token")).cause(error)
                })?;
                return Ok(Credential::Token(token));
            }
        }
        Err(Failure::auth("github-token-missing", "no GitHub credential was given").hint(
            "set GITHUB_TOKEN or GH_TOKEN to a token that may write secrets, or SOPHIA_GITHUB_APP_ID and \
             SOPHIA_GITHUB_APP_PRIVATE_KEY",
        ))
    }
}
