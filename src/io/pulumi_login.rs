//! Where the token for Pulumi Cloud comes from (design §5): given in the environment, else left by
//! `pulumi login`, else exchanged for the job's OIDC identity. The result says which, for errors and `doctor`.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Client;
use reqwest::header::{ACCEPT, AUTHORIZATION};
use serde_json::Value as Json;
use url::Url;

use crate::base::error::{Failure, Outcome};
use crate::base::secret::Token;
use crate::io::esc_cloud::errors::quoted;
use crate::io::esc_cloud::exchange::{Answer, Retry, exchange};
use crate::io::esc_cloud::routes::Root;
use crate::io::files;

/// A token for Pulumi Cloud and where it is from.
#[derive(Debug, Clone)]
pub struct PulumiLogin {
    pub token: Token,
    pub source: TokenSource,
}

/// Where a token is from. Its `Display` completes "the token from …".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// `PULUMI_ACCESS_TOKEN`.
    Environment,
    /// What `pulumi login` wrote.
    CredentialsFile(PathBuf),
    /// The job's identity, exchanged.
    Oidc { organization: String, token_type: OidcTokenType },
}

impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("`PULUMI_ACCESS_TOKEN`"),
            Self::CredentialsFile(path) => write!(f, "`{}`", path.display()),
            Self::Oidc { organization, token_type } => {
                write!(f, "the OIDC exchange with `{organization}` (type `{}`)", token_type.word())
            }
        }
    }
}

impl TokenSource {
    /// What to do when the service does not accept the token.
    #[must_use]
    pub fn renewal(&self) -> String {
        match self {
            Self::Environment => {
                "make a new access token in Pulumi Cloud and put it into PULUMI_ACCESS_TOKEN; it may have expired or belong to another --esc-url"
            }
            Self::CredentialsFile(_) => "run `pulumi login` again, or set PULUMI_ACCESS_TOKEN",
            Self::Oidc { .. } => "the exchanged token may have expired: raise --oidc-expiration",
        }
        .to_owned()
    }
}

/// The kinds of token that an identity can be exchanged for (esc-api.md §7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OidcTokenType {
    #[default]
    Organization,
    Team,
    Personal,
    Runner,
}

impl OidcTokenType {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Team => "team",
            Self::Personal => "personal",
            Self::Runner => "runner",
        }
    }

    /// Reads the word of `--oidc-token-type`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Organization, Self::Team, Self::Personal, Self::Runner].into_iter().find(|kind| kind.word() == word)
    }
}

/// How to exchange a job's identity.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// `ACTIONS_ID_TOKEN_REQUEST_URL`; the runner sets it when the job may ask.
    pub request_url: Option<String>,
    /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
    pub request_token: Option<Token>,
    pub organization: String,
    pub token_type: OidcTokenType,
    /// `team:NAME`, `user:LOGIN`, `runner:NAME` or `admin`; what the type asks for.
    pub scope: Option<String>,
    /// Lifetime of the token; the service takes two hours when none is given.
    pub expiration_seconds: Option<u64>,
}

/// Everything that may lead to a token.
#[derive(Debug, Clone, Default)]
pub struct LoginSettings {
    /// `PULUMI_ACCESS_TOKEN`.
    pub given: Option<Token>,
    /// Where `pulumi login` keeps its tokens; see [`credentials_file`].
    pub credentials_file: Option<PathBuf>,
    pub oidc: Option<OidcSettings>,
}

/// The file of `pulumi login`: `PULUMI_CREDENTIALS_PATH`, else `PULUMI_HOME`, else `.pulumi` under the home
/// folder hold `credentials.json` (esc-api.md §1.3).
#[must_use]
pub fn credentials_file(path: Option<&Path>, pulumi_home: Option<&Path>, home: Option<&Path>) -> Option<PathBuf> {
    let folder = path.or(pulumi_home).map(Path::to_path_buf).or_else(|| home.map(|home| home.join(".pulumi")))?;
    Some(folder.join("credentials.json"))
}

/// Finds a token for the service at `root`.
///
/// # Errors
/// `esc-no-token` (exit code 4) when there is none, naming the places; `pulumi-credentials` when the file
/// cannot be used; `oidc-…` when the exchange fails.
pub async fn login(settings: &LoginSettings, root: &Root, client: &Client, retry: Retry) -> Outcome<PulumiLogin> {
    if let Some(token) = &settings.given {
        return Ok(PulumiLogin { token: token.clone(), source: TokenSource::Environment });
    }
    let mut looked = vec!["`PULUMI_ACCESS_TOKEN` is not set".to_owned()];
    if let Some(path) = &settings.credentials_file {
        match files::read_if_there(path, LARGEST_CREDENTIALS)? {
            None => looked.push(format!("`{}` does not exist", path.display())),
            Some(bytes) => match stored_token(&bytes, root, path)? {
                Stored::Token(token) => {
                    return Ok(PulumiLogin { token, source: TokenSource::CredentialsFile(path.clone()) });
                }
                Stored::None { known } => {
                    let others = if known.is_empty() {
                        "holds no token".to_owned()
                    } else {
                        format!("holds tokens of {} only", known.join(", "))
                    };
                    looked.push(format!("`{}` {others}", path.display()));
                }
            },
        }
    }
    if let Some(oidc) = &settings.oidc {
        let token = exchanged(oidc, root, client, retry).await?;
        let source = TokenSource::Oidc { organization: oidc.organization.clone(), token_type: oidc.token_type };
        return Ok(PulumiLogin { token, source });
    }
    looked.push("no OIDC exchange was asked for".to_owned());
    let failure = Failure::auth("esc-no-token", format!("there is no token for Pulumi Cloud at `{}`", root.text()))
        .hint("set PULUMI_ACCESS_TOKEN, run `pulumi login`, or give --oidc-organization in a job with `permissions: id-token: write`");
    Err(looked.into_iter().fold(failure, Failure::cause))
}

/// Larger credentials files are not read, bytes.
const LARGEST_CREDENTIALS: u64 = 1 << 20;

#[derive(Debug)]
enum Stored {
    Token(Token),
    /// No token for this service; `known` names, in backticks, those that there are tokens for.
    None {
        known: Vec<String>,
    },
}

/// Looks up the token of `root`: `accounts` first, `accessTokens` of older versions after (esc-api.md §1.3).
fn stored_token(bytes: &[u8], root: &Root, path: &Path) -> Outcome<Stored> {
    let broken = |why: &str| {
        Failure::auth("pulumi-credentials", format!("`{}` {why}", path.display()))
            .hint("run `pulumi login` again, or set PULUMI_ACCESS_TOKEN")
    };
    let json: Json = serde_json::from_slice(bytes).map_err(|_| broken("is not JSON"))?;
    let mut known = Vec::new();
    for (table, field) in [("accounts", Some("accessToken")), ("accessTokens", None)] {
        for (url, entry) in json.get(table).and_then(Json::as_object).into_iter().flatten() {
            let entry = field.map_or(Some(entry), |field| entry.get(field));
            let Some(token) = entry.and_then(Json::as_str).filter(|token| !token.is_empty()) else { continue };
            if url.trim_end_matches('/') == root.text() {
                return Token::new(token)
                    .map(Stored::Token)
                    .map_err(|error| broken("holds a token that cannot be used").cause(error));
            }
            let name = format!("`{url}`");
            if !known.contains(&name) {
                known.push(name);
            }
        }
    }
    Ok(Stored::None { known })
}

/// Gets the job's identity from the runner and exchanges it (esc-api.md §7).
async fn exchanged(oidc: &OidcSettings, root: &Root, client: &Client, retry: Retry) -> Outcome<Token> {
    let audience = format!("urn:pulumi:org:{}", oidc.organization);
    let identity = identity(oidc, &audience, client, retry).await?;
    let expiration = oidc.expiration_seconds.map(|seconds| seconds.to_string());
    let kind = format!("urn:pulumi:token-type:access_token:{}", oidc.token_type.word());
    let mut form = vec![
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("audience", &audience),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ("subject_token", identity.reveal()),
        ("requested_token_type", &kind),
    ];
    form.extend(oidc.scope.as_deref().map(|scope| ("scope", scope)));
    form.extend(expiration.as_deref().map(|seconds| ("expiration", seconds)));
    let failed = |code, why: String| {
        Failure::auth(code, format!("could not exchange the job's identity for a token of `{}`", oidc.organization))
            .cause(why)
    };
    let unsent = |why: String| failed("oidc-exchange", format!("Pulumi Cloud at `{}`: {why}", root.text()));
    let request = client.post(root.token_exchange()).header(ACCEPT, "application/json").form(&form);
    let request = request.build().map_err(|error| unsent(crate::io::http::why(&error)))?;
    let answer = exchange(client, request, retry).await.map_err(|error| unsent(error.to_string()))?;
    if !answer.status.is_success() {
        let said =
            refusal(&answer).map_or_else(String::new, |said| format!(": {}", quoted(&said, Some(identity.reveal()))));
        let subject = claims(identity.reveal());
        return Err(failed("oidc-refused", format!("Pulumi Cloud answered {}{said}", answer.status.as_u16())).hint(format!(
            "register `https://token.actions.githubusercontent.com` as an OIDC issuer of `{}` with a policy for the audience `{audience}`{subject} and token type `{}`",
            oidc.organization,
            oidc.token_type.word()
        )));
    }
    let json: Json = serde_json::from_slice(&answer.body).unwrap_or_default();
    let token = json.get("access_token").and_then(Json::as_str).and_then(|token| Token::new(token).ok());
    token.ok_or_else(|| failed("oidc-exchange", "the answer held no usable `access_token`".into()))
}

/// Asks the runner for a token that says who the job is (github-api.md §3.5).
async fn identity(oidc: &OidcSettings, audience: &str, client: &Client, retry: Retry) -> Outcome<Token> {
    let failed = |why: &str| Failure::auth("oidc-identity", "could not get the job's identity from GitHub").cause(why);
    let (Some(address), Some(token)) = (&oidc.request_url, &oidc.request_token) else {
        return Err(failed("`ACTIONS_ID_TOKEN_REQUEST_URL` and `ACTIONS_ID_TOKEN_REQUEST_TOKEN` are not both set")
            .hint("give the job `permissions: id-token: write`; outside of GitHub Actions set PULUMI_ACCESS_TOKEN"));
    };
    let mut url = Url::parse(address).map_err(|_| failed("`ACTIONS_ID_TOKEN_REQUEST_URL` is not a URL"))?;
    url.query_pairs_mut().append_pair("audience", audience);
    let request = client
        .get(url)
        .header(ACCEPT, "application/json")
        .header(AUTHORIZATION, format!("Bearer {}", token.reveal()))
        .build()
        .map_err(|error| failed(&crate::io::http::why(&error)))?;
    let answer = exchange(client, request, retry).await.map_err(|error| failed(&error.to_string()))?;
    if !answer.status.is_success() {
        return Err(failed(&format!("the runner's service answered {}", answer.status.as_u16())));
    }
    let json: Json = serde_json::from_slice(&answer.body).unwrap_or_default();
    let token = json.get("value").and_then(Json::as_str).and_then(|token| Token::new(token).ok());
    token.ok_or_else(|| failed("the answer held no `value`"))
}

/// The sentence of an OAuth error, or of the service's own kind (esc-api.md §7.2).
fn refusal(answer: &Answer) -> Option<String> {
    let json: Json = serde_json::from_slice(&answer.body).ok()?;
    let text = |name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
    text("error_description").or_else(|| text("message")).or_else(|| text("error"))
}

/// The subject that a policy must match, out of the identity itself: it is no secret, and the usual mistake.
fn claims(identity: &str) -> String {
    let payload = identity.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let json: Option<Json> = payload.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let subject = json.as_ref().and_then(|json| json.get("sub")).and_then(Json::as_str);
    subject.map_or_else(String::new, |subject| format!(", subject `{}`", quoted(subject, None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Root {
        Root::new("https://api.pulumi.com").unwrap()
    }

    #[test]
    fn the_credentials_file_is_where_pulumi_puts_it() {
        let [path, pulumi, home] = ["/c", "/p", "/h"].map(|folder| Some(Path::new(folder)));
        assert_eq!(credentials_file(path, pulumi, home), Some("/c/credentials.json".into()));
        assert_eq!(credentials_file(None, pulumi, home), Some("/p/credentials.json".into()));
        assert_eq!(credentials_file(None, None, home), Some("/h/.pulumi/credentials.json".into()));
        assert_eq!(credentials_file(None, None, None), None);
    }

    #[test]
    fn finds_a_stored_token_in_both_tables() {
        let path = Path::new("credentials.json");
        let find = |text: &str| stored_token(text.as_bytes(), &root(), path);
        for text in [
            r#"{"accounts": {"https://api.pulumi.com/": {"accessToken": "pul-1"}}, "accessTokens": {"https://api.pulumi.com": "pul-2"}}"#,
            r#"{"accounts": {"https://api.pulumi.com": {"username": "u"}}, "accessTokens": {"https://api.pulumi.com": "pul-1"}}"#,
        ] {
            let Stored::Token(token) = find(text).unwrap() else { panic!("{text}") };
            assert_eq!(token.reveal(), "pul-1");
        }
        let text = r#"{"accounts": {"https://a": {"accessToken": "pul-1"}}, "accessTokens": {"https://a": "pul-1", "https://b": "x"}}"#;
        let Stored::None { known } = find(text).unwrap() else { panic!("found another's token") };
        assert_eq!(known, ["`https://a`", "`https://b`"]);
        for text in ["", "{\"accounts\": ", r#"{"accessTokens": {"https://api.pulumi.com": "marker token"}}"#] {
            let failure = find(text).unwrap_err();
            assert_eq!((failure.code, failure.kind.exit_code()), ("pulumi-credentials", 4));
            assert!(!format!("{failure:?}").contains("marker"));
        }
    }

    #[test]
    fn a_refused_identity_shows_its_subject_only() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"sub":"repo:payready/sophia:ref:refs/heads/main","jti":"marker"}"#);
        assert_eq!(claims(&format!("h.{payload}.s")), ", subject `repo:payready/sophia:ref:refs/heads/main`");
        assert_eq!(claims("not a token"), "");
    }
}
