//! Pulumi Cloud as a [`Source`]: its REST API, on the facts of esc-api.md.
//!
//! An environment is opened at a known revision: the revision is read first and that one is opened, so
//! what a plan says it was made from is what it was made from.

mod audit_log;
pub mod errors;
pub mod exchange;
pub mod routes;
mod teams;

use async_trait::async_trait;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value as Json, json};
use url::Url;

use self::errors::{Deed, Told, diagnostics};
use self::exchange::{Answer, NoAnswer, Retry, exchange};
use self::routes::Root;
use crate::base::environment::EscName;
use crate::base::error::{Failure, Outcome, Severity};
use crate::esc::diagnostic::Diagnostic;
use crate::esc::json::{self, JsonError};
use crate::esc::value::{Content, Value};
use crate::io::http::{self, HttpSettings};
use crate::io::pulumi_login::{self, LoginSettings, PulumiLogin};
use crate::io::source::{Document, Opened, Revision, Secrets, Source, SourceKind, Version};

/// How long an opened session may live: long enough to be read, no longer. Minutes.
const SESSION_MINUTES: u32 = 15;

/// The most pages of a listing that are read; a service that never ends is an error, not a hang.
const MOST_PAGES: usize = 1000;

/// One Pulumi Cloud, with the token to use there.
pub struct PulumiCloud {
    root: Root,
    login: PulumiLogin,
    client: Client,
    retry: Retry,
}

/// Who a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub login: String,
    pub organizations: Vec<String>,
    /// The token's own name, for tokens that have one.
    pub token_name: Option<String>,
}

impl PulumiCloud {
    #[must_use]
    pub fn new(root: Root, login: PulumiLogin, client: Client, retry: Retry) -> Self {
        Self { root, login, client, retry }
    }

    /// Finds a token for the service at `address` and makes a client of it. Only an OIDC exchange sends
    /// anything.
    ///
    /// # Errors
    /// `esc-url` for an address that is none; the failures of [`pulumi_login::login`].
    pub async fn connect(address: &str, settings: &LoginSettings) -> Outcome<Self> {
        let root = Root::new(address)?;
        let client = http::client(HttpSettings::toward(root.url()))?;
        let retry = Retry::default();
        let login = pulumi_login::login(settings, &root, &client, retry).await?;
        Ok(Self::new(root, login, client, retry))
    }

    /// The token and where it is from.
    #[must_use]
    pub fn login(&self) -> &PulumiLogin {
        &self.login
    }

    /// Asks the service who the token belongs to.
    ///
    /// # Errors
    /// `esc-token-rejected` and the other failures of a call.
    pub async fn account(&self) -> Outcome<Account> {
        let told = self.told(Deed::WhoAmI, "", None);
        let answer = self.get(&told, self.root.user()).await?;
        let user = json_of(&told, &answer)?;
        let text = |json: &Json, name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
        let login = text(&user, "githubLogin").filter(|login| !login.is_empty());
        let organizations = user.get("organizations").and_then(Json::as_array);
        Ok(Account {
            login: login.ok_or_else(|| told.malformed(&answer, "no `githubLogin`"))?,
            organizations: organizations.into_iter().flatten().filter_map(|entry| text(entry, "githubLogin")).collect(),
            token_name: user.get("tokenInfo").and_then(|info| text(info, "name")),
        })
    }

    fn told<'a>(&'a self, deed: Deed, organization: &'a str, environment: Option<&'a EscName>) -> Told<'a> {
        Told { deed, organization, environment, root: self.root.text(), login: &self.login }
    }

    fn about<'a>(&'a self, deed: Deed, name: &'a EscName) -> Told<'a> {
        self.told(deed, &name.organization, Some(name))
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.client
            .request(method, url)
            .header(ACCEPT, "application/vnd.pulumi+8")
            .header(AUTHORIZATION, format!("token {}", self.login.token.reveal()))
    }

    async fn answer(&self, told: &Told<'_>, request: RequestBuilder) -> Outcome<Answer> {
        let request = request.build().map_err(|error| told.unanswered(&NoAnswer::Unreachable(http::why(&error))))?;
        exchange(&self.client, request, self.retry).await.map_err(|error| told.unanswered(&error))
    }

    /// Sends a request; everything but a success is a failure, a missing environment with its neighbours.
    async fn send(&self, told: &Told<'_>, request: RequestBuilder) -> Outcome<Answer> {
        let answer = self.answer(told, request).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let failure = told.refused(&answer);
        match told.environment {
            Some(name) if answer.status == StatusCode::NOT_FOUND => Err(self.with_neighbours(failure, name).await),
            _ => Err(failure),
        }
    }

    async fn get(&self, told: &Told<'_>, url: Url) -> Outcome<Answer> {
        self.send(told, self.request(Method::GET, url)).await
    }

    /// Adds what the organization does hold, when the token may list it.
    async fn with_neighbours(&self, failure: Failure, name: &EscName) -> Failure {
        match self.list(&name.organization).await {
            Ok(others) => failure.hint(neighbours(name, &others)),
            Err(_) => failure,
        }
    }
}

/// A sentence on which environments there are, the most alike first.
fn neighbours(name: &EscName, others: &[EscName]) -> String {
    let wanted = name.to_string();
    if others.contains(name) {
        return format!("`{wanted}` exists, but the version asked for does not");
    }
    let mut alike: Vec<(usize, String)> = others
        .iter()
        .map(ToString::to_string)
        .map(|other| (strsim::damerau_levenshtein(&wanted, &other), other))
        .collect();
    alike.sort();
    let shown: Vec<String> = alike.iter().take(5).map(|(_, other)| format!("`{other}`")).collect();
    match alike.first() {
        None => format!("the token sees no environment in the organization `{}`", name.organization),
        Some((distance, nearest)) if *distance <= 3 => format!("did you mean `{nearest}`?"),
        Some((_, only)) if others.len() == 1 => format!("the only environment is `{only}`"),
        Some(_) => format!("of {} environments the nearest are {}", others.len(), shown.join(", ")),
    }
}

fn json_of(told: &Told<'_>, answer: &Answer) -> Outcome<Json> {
    // Not serde_json: a number of a value is its text.
    json::read(&answer.body).map_err(|error| {
        let what = match error {
            JsonError::Nothing => "nothing",
            JsonError::Cut => "truncated JSON",
            JsonError::Character { .. } => "something that is not JSON",
        };
        told.malformed(answer, what)
    })
}

fn revision_of(answer: &Answer) -> Option<u64> {
    answer.header("pulumi-esc-revision")?.trim().parse().ok()
}

#[async_trait]
impl Source for PulumiCloud {
    fn kind(&self) -> SourceKind {
        SourceKind::Cloud
    }

    async fn open(&self, name: &EscName, version: &Version) -> Outcome<Opened> {
        let told = self.about(Deed::Open, name);
        let version = match version {
            Version::Revision(revision) => Version::Revision(*revision),
            moving => {
                let answer = self.get(&told, self.root.definition(name, moving, Secrets::Encrypted)).await?;
                revision_of(&answer).map_or_else(|| moving.clone(), Version::Revision)
            }
        };
        let request = self.request(Method::POST, self.root.open(name, &version, SESSION_MINUTES));
        let answer = self.send(&told, request).await?;
        let opened = json_of(&told, &answer)?;
        let warnings = without_errors(&told, diagnostics(&opened))?;
        let session = opened.get("id").and_then(Json::as_str).filter(|id| !matches!(*id, "" | "." | ".."));
        let session = session.ok_or_else(|| told.malformed(&answer, "no session `id`"))?;

        let answer = self.get(&told, self.root.session(name, session)).await?;
        let evaluated = json_of(&told, &answer)?;
        without_errors(&told, diagnostics(&evaluated))?;
        let values = root_value(&evaluated).map_err(|what| told.malformed(&answer, &what))?;
        let revision = if let Version::Revision(revision) = version { Some(revision) } else { None };
        Ok(Opened { values, revision, warnings })
    }

    async fn check(&self, name: &EscName, text: &str) -> Outcome<Vec<Diagnostic>> {
        let told = self.about(Deed::Check, name);
        let request = self.request(Method::POST, self.root.check(&name.organization));
        let answer = self.answer(&told, yaml(request, text)).await?;
        let json = json_of(&told, &answer);
        let found = json.as_ref().map(diagnostics).unwrap_or_default();
        if answer.status.is_success() {
            return json.map(|_| found);
        }
        if answer.status == StatusCode::BAD_REQUEST && !found.is_empty() {
            return Ok(found);
        }
        Err(told.refused(&answer))
    }

    async fn list(&self, organization: &str) -> Outcome<Vec<EscName>> {
        let told = self.told(Deed::List, organization, None);
        let mut names = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let mut url = self.root.organization(organization);
            if let Some(token) = &next {
                url.query_pairs_mut().append_pair("continuationToken", token);
            }
            let answer = self.get(&told, url).await?;
            let page = json_of(&told, &answer)?;
            let entries = page.get("environments").and_then(Json::as_array);
            for entry in entries.ok_or_else(|| told.malformed(&answer, "no `environments`"))? {
                let part = |field: &str| entry.get(field).and_then(Json::as_str);
                let name = EscName::new(
                    part("organization").unwrap_or(organization),
                    part("project").unwrap_or("default"),
                    part("name").unwrap_or_default(),
                );
                names.push(name.map_err(|_| told.malformed(&answer, "an environment without a usable name"))?);
            }
            let token = page.get("nextToken").and_then(Json::as_str).unwrap_or_default();
            if token.is_empty() {
                names.sort();
                names.dedup();
                return Ok(names);
            }
            next = Some(token.to_owned());
        }
        Err(endless(&told))
    }

    async fn create(&self, name: &EscName) -> Outcome<()> {
        let body = json!({"project": name.project, "name": name.environment});
        let request = self.request(Method::POST, self.root.organization(&name.organization)).json(&body);
        let told = self.about(Deed::Create, name);
        let answer = self.answer(&told, request).await?;
        if answer.status.is_success() { Ok(()) } else { Err(told.refused(&answer)) }
    }

    async fn delete(&self, name: &EscName) -> Outcome<()> {
        let request = self.request(Method::DELETE, self.root.environment(name));
        self.send(&self.about(Deed::Delete, name), request).await.map(|_| ())
    }

    async fn read(&self, name: &EscName, version: &Version, secrets: Secrets) -> Outcome<Document> {
        let deed = if secrets == Secrets::Decrypted { Deed::Decrypt } else { Deed::Read };
        let told = self.about(deed, name);
        let answer = self.get(&told, self.root.definition(name, version, secrets)).await?;
        if answer.is_html() {
            return Err(told.malformed(&answer, "a web page"));
        }
        let (etag, revision) = (answer.header("etag").map(str::to_owned), revision_of(&answer));
        match String::from_utf8(answer.body) {
            Ok(text) => Ok(Document { text, etag, revision }),
            Err(error) => {
                let answer = Answer { body: error.into_bytes(), ..answer };
                Err(told.malformed(&answer, "a definition that is not UTF-8"))
            }
        }
    }

    async fn update(&self, name: &EscName, text: &str, etag: Option<&str>) -> Outcome<(Option<u64>, Vec<Diagnostic>)> {
        let told = self.about(Deed::Update, name);
        let mut request = yaml(self.request(Method::PATCH, self.root.environment(name)), text);
        if let Some(etag) = etag {
            // Pulumi's own client sends the first, the documentation names the second (esc-api.md §5).
            request = request.header(ETAG, etag).header(IF_MATCH, etag);
        }
        let answer = self.send(&told, request).await?;
        let found =
            if answer.body.trim_ascii().is_empty() { Vec::new() } else { diagnostics(&json_of(&told, &answer)?) };
        let revision = revision_of(&answer);
        // Diagnostics of error severity mean that nothing was stored, unless the service names the new revision.
        if revision.is_none() {
            without_errors(&told, found).map(|warnings| (None, warnings))
        } else {
            Ok((revision, found))
        }
    }

    async fn revisions(&self, name: &EscName, limit: usize) -> Outcome<Vec<Revision>> {
        let told = self.about(Deed::History, name);
        let mut revisions: Vec<Revision> = Vec::new();
        while revisions.len() < limit {
            let before = revisions.last().map_or(0, |last| last.number);
            let count = (limit - revisions.len()).min(500);
            let answer = self.get(&told, self.root.revisions(name, before, count)).await?;
            let page = json_of(&told, &answer)?;
            let page = page.as_array().ok_or_else(|| told.malformed(&answer, "no list of revisions"))?;
            if page.is_empty() {
                break;
            }
            for entry in page {
                let revision =
                    revision(entry).ok_or_else(|| told.malformed(&answer, "a revision without number or time"))?;
                if before != 0 && revision.number >= before {
                    return Err(endless(&told));
                }
                revisions.push(revision);
            }
            if revisions.last().is_some_and(|last| last.number <= 1) {
                break;
            }
        }
        revisions.truncate(limit);
        Ok(revisions)
    }

    async fn tagged(&self, name: &EscName, tag: &str) -> Outcome<Option<u64>> {
        let told = self.about(Deed::History, name);
        let answer = self.answer(&told, self.request(Method::GET, self.root.revision_tag(name, tag))).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !answer.status.is_success() {
            return Err(told.refused(&answer));
        }
        let found = json_of(&told, &answer)?;
        let revision = found.get("revision").and_then(Json::as_u64);
        revision.map(Some).ok_or_else(|| told.malformed(&answer, "a tag without a revision"))
    }

    async fn set_tag(&self, name: &EscName, tag: &str, revision: u64) -> Outcome<()> {
        let told = self.about(Deed::Tag, name);
        let moving = self.request(Method::PATCH, self.root.revision_tag(name, tag));
        let answer = self.answer(&told, moving.json(&json!({"revision": revision}))).await?;
        // There is none to move yet (esc-api.md §4.4).
        let answer = if answer.status == StatusCode::NOT_FOUND {
            let making = self.request(Method::POST, self.root.revision_tags(name));
            self.answer(&told, making.json(&json!({"name": tag, "revision": revision}))).await?
        } else {
            answer
        };
        if answer.status.is_success() { Ok(()) } else { Err(told.refused(&answer)) }
    }

    async fn remove_tag(&self, name: &EscName, tag: &str) -> Outcome<()> {
        let request = self.request(Method::DELETE, self.root.revision_tag(name, tag));
        let told = self.about(Deed::Untag, name);
        let answer = self.answer(&told, request).await?;
        let is_gone = answer.status.is_success() || answer.status == StatusCode::NOT_FOUND;
        if is_gone { Ok(()) } else { Err(told.refused(&answer)) }
    }
}

fn yaml(request: RequestBuilder, text: &str) -> RequestBuilder {
    request.header(CONTENT_TYPE, "application/x-yaml").body(text.to_owned())
}

fn endless(told: &Told<'_>) -> Failure {
    Failure::unexpected("esc-answer", format!("a listing of Pulumi Cloud at `{}` does not come to an end", told.root))
}

/// The warnings among `found`, or the failure that its errors make.
fn without_errors(told: &Told<'_>, found: Vec<Diagnostic>) -> Outcome<Vec<Diagnostic>> {
    if found.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return Err(told.faulty(&found));
    }
    Ok(found)
}

/// The root object of an evaluated environment; one without values has no `properties`.
fn root_value(evaluated: &Json) -> Result<Value, String> {
    let Json::Object(evaluated) = evaluated else { return Err("an environment that is not an object".into()) };
    let mut properties = std::collections::BTreeMap::new();
    match evaluated.get("properties") {
        None | Some(Json::Null) => {}
        Some(Json::Object(entries)) => {
            for (key, value) in entries {
                properties.insert(key.clone(), Value::from_json(value)?);
            }
        }
        Some(_) => return Err("`properties` that are not an object".into()),
    }
    Ok(Value::plain(Content::Object(properties)))
}

fn revision(entry: &Json) -> Option<Revision> {
    let text = |name: &str| entry.get(name).and_then(Json::as_str);
    let tags = entry.get("tags").and_then(Json::as_array);
    Some(Revision {
        number: entry.get("number")?.as_u64()?,
        created: text("created")?.parse().ok()?,
        author: text("creatorLogin").unwrap_or_default().to_owned(),
        tags: tags.into_iter().flatten().filter_map(|tag| tag.as_str().map(str::to_owned)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_without_values_is_an_empty_object() {
        for evaluated in [json!({}), json!({"properties": null}), json!({"properties": {}})] {
            assert!(matches!(root_value(&evaluated).unwrap().content, Content::Object(entries) if entries.is_empty()));
        }
        assert!(root_value(&json!([])).is_err());
        assert!(root_value(&json!({"properties": ["marker"]})).is_err());
        let wrong = root_value(&json!({"properties": {"a": "marker"}})).unwrap_err();
        assert!(!wrong.contains("marker"));
    }

    #[test]
    fn values_keep_their_marks() {
        let evaluated = json!({"properties": {
            "a": {"value": {"b": {"value": "v", "secret": true, "trace": {}}}, "trace": {}},
            "u": {"value": "[unknown]", "unknown": true, "trace": {}}, "n": {"trace": {}}
        }, "exprs": {}, "executionContext": {"properties": {}}});
        let root = root_value(&evaluated).unwrap();
        assert!(root.member("a").unwrap().member("b").unwrap().secret);
        assert!(root.member("u").unwrap().unknown);
        assert_eq!(root.member("n").unwrap().content.word(), "null");
    }

    #[test]
    fn a_missing_environment_is_answered_with_its_neighbours() {
        let name = |text: &str| text.parse::<EscName>().unwrap();
        let others = [name("o/p/staging"), name("o/p/production")];
        assert_eq!(neighbours(&name("o/p/prodution"), &others), "did you mean `o/p/production`?");
        assert_eq!(
            neighbours(&name("o/other/x"), &others),
            "of 2 environments the nearest are `o/p/staging`, `o/p/production`"
        );
        assert_eq!(neighbours(&name("o/p/x"), &[]), "the token sees no environment in the organization `o`");
        assert!(neighbours(&others[0], &others).contains("version asked for"));
    }

    #[test]
    fn revisions_are_read_and_half_ones_refused() {
        let whole = json!({"number": 3, "created": "2026-05-01T10:00:00.5Z", "creatorLogin": "me", "tags": ["latest"], "retracted": {}});
        let read = revision(&whole).unwrap();
        assert_eq!((read.number, read.author.as_str(), read.tags.as_slice()), (3, "me", &["latest".to_owned()][..]));
        assert_eq!(read.created.to_string(), "2026-05-01T10:00:00.5Z");
        for half in [
            json!({"number": 3}),
            json!({"created": "2026-05-01T10:00:00Z"}),
            json!({"number": 3, "created": "yesterday"}),
        ] {
            assert!(revision(&half).is_none());
        }
    }
}
