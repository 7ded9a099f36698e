//! A GitHub App's way to a token: signed JWT → installation → one-hour token (github-api.md §3.4).
//!
//! ring signs, which the TLS stack brings along: octocrab's own JWT support would add a second crypto provider.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use jiff::Timestamp;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::json;

use super::github::{GitHub, segment};
use super::pace::{Pace, PaceSettings};
use crate::base::error::{Failure, Outcome};
use crate::base::secret::{SecretValue, Token};
use crate::base::target::Scope;

/// The credentials of a GitHub App.
#[derive(Debug, Clone)]
pub struct AppCredentials {
    /// App id or client id.
    pub id: String,
    /// PEM, PKCS#1 or PKCS#8; line breaks written as `\n` are accepted.
    pub private_key: SecretValue,
}

/// Signs the App's JWT (RS256; issued 60 s ago, valid for 9 minutes).
fn jwt(credentials: &AppCredentials, now: Timestamp) -> Outcome<Token> {
    let wrong = |cause: &str| {
        Failure::auth("github-app-key", "the GitHub App's private key cannot be used")
            .cause(cause)
            .hint("give the PEM file as GitHub made it, with its line breaks (`-----BEGIN RSA PRIVATE KEY-----` …)")
    };
    let mut pem = zeroize::Zeroizing::new(Vec::new());
    credentials.private_key.write_plaintext(&mut *pem).map_err(|_| wrong("it could not be read"))?;
    let text = zeroize::Zeroizing::new(String::from_utf8_lossy(&pem).replace("\\n", "\n"));
    let key = match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        Ok(PrivateKeyDer::Pkcs1(key)) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        Ok(PrivateKeyDer::Pkcs8(key)) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        Ok(_) => return Err(wrong("it is not an RSA key")),
        Err(_) => return Err(wrong("it is not PEM")),
    }
    .map_err(|error| wrong(&error.to_string()))?;
    let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let issued = now.as_second();
    let claims = json!({"iat": issued - 60, "exp": issued + 540, "iss": credentials.id});
    let signed = format!("{}.{}", part(json!({"alg": "RS256", "typ": "JWT"})), part(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &ring::rand::SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| wrong("signing failed"))?;
    Token::new(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))).map_err(|error| wrong(&error.to_string()))
}

/// A token, and what it may do.
pub struct InstallationToken {
    pub token: Token,
    /// GitHub's name of a permission to `read`, `write` or `admin`.
    pub permissions: BTreeMap<String, String>,
}

/// Exchanges the App's key for an installation token of the owner of `scope`.
///
/// # Errors
/// An authentication failure that says at which of the three steps it ended.
pub async fn installation_token(
    http: reqwest::Client,
    url: &str,
    credentials: &AppCredentials,
    scope: &Scope,
    now: Timestamp,
) -> Outcome<InstallationToken> {
    #[derive(Deserialize)]
    struct Installation {
        id: u64,
    }
    #[derive(Deserialize)]
    struct Minted {
        token: String,
        #[serde(default)]
        permissions: BTreeMap<String, String>,
    }
    let github =
        GitHub::new(http, url, &jwt(credentials, now)?, std::sync::Arc::new(Pace::new(PaceSettings::default())))?;
    let (place, path) = match scope.repository() {
        Some(repository) => {
            let path = format!("/repos/{}/{}/installation", segment(repository.owner()), segment(repository.name()));
            (repository.to_string(), path)
        }
        None => {
            let Scope::Organization(organization) = scope else { return Err(unreachable_scope()) };
            (format!("organization {organization}"), format!("/orgs/{}/installation", segment(organization)))
        }
    };
    let id = &credentials.id;
    let installation: Installation = github.get_json(&path).await.map_err(|error| {
        error
            .failure(&format!("find the installation of GitHub App {id} for {place}"), "the App installed there")
            .hint("check the App's id and key, and that it is installed there with access to the repository")
    })?;
    // No list of permissions: GitHub knows none for variables there, so the token gets what the App has (§3.1).
    let path = format!("/app/installations/{}/access_tokens", installation.id);
    let minted: Minted = github
        .send(Method::POST, &path, Some(&json!({})))
        .await
        .and_then(|answer| {
            answer.json().map_err(|problem| super::github_error::GitHubError::new(&Method::POST, &path, problem))
        })
        .map_err(|error| error.failure(&format!("get a token of GitHub App {id}"), "the App's own key"))?;
    let token = Token::new(&minted.token).map_err(|error| {
        Failure::auth("github-app-token", "GitHub gave an installation token that cannot be used").cause(error)
    })?;
    Ok(InstallationToken { token, permissions: minted.permissions })
}

fn unreachable_scope() -> Failure {
    Failure::unexpected("github-app-scope", "the target has neither a repository nor an organization")
}
