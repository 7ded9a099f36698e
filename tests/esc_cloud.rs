//! The real client of Pulumi Cloud against the loopback one: what it does, and what it says when it cannot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at once")]

use std::time::Duration;

use serde_json::{Value as Json, json};
use sophia_secrets_sync::base::environment::EscName;
use sophia_secrets_sync::base::error::Failure;
use sophia_secrets_sync::base::secret::Token;
use sophia_secrets_sync::esc::value::Value;
use sophia_secrets_sync::io::esc_cloud::PulumiCloud;
use sophia_secrets_sync::io::esc_cloud::exchange::Retry;
use sophia_secrets_sync::io::esc_cloud::routes::Root;
use sophia_secrets_sync::io::http::{HttpSettings, client};
use sophia_secrets_sync::io::pulumi_login::{LoginSettings, OidcSettings, OidcTokenType, TokenSource, login};
use sophia_secrets_sync::io::source::{Secrets, Source, Version};
use sophia_secrets_sync::sandbox::{self, Options, Running};

mod support;

const TEXT: &str =
    "# kept\nvalues:\n  api-keys:\n    OPENAI_API_KEY:\n      fn::secret: marker-value\n    PORT: 8080\n";

/// As Pulumi's evaluator, the loopback one leaves these as they are spelled.
const NUMBERS: &str = "values: { all: { fn::fromJSON: '[1e6, 1E6, 1E+06, -0, 1.50]' } }\n";

/// Quick and as patient as the tests need.
const RETRY: Retry =
    Retry { attempts: 4, first_delay: Duration::from_millis(1), longest_delay: Duration::from_secs(1) };

fn name(text: &str) -> EscName {
    text.parse().unwrap()
}

fn production() -> EscName {
    name("payready/sophia-esc/production")
}

async fn world() -> Running {
    let mut options = Options::new(support::clock);
    options.seed = serde_json::from_value(json!({"esc": {
        "environments": {"payready/sophia-esc/production": TEXT, "payready/sophia-esc/staging": NUMBERS},
        "tokens": {"pul-reader": {"permission": "read"}, "pul-stranger": {"organizations": ["elsewhere"]}}
    }}))
    .unwrap();
    sandbox::start(options).await.unwrap()
}

fn given(token: &str) -> LoginSettings {
    LoginSettings { given: Some(Token::new(token).unwrap()), ..LoginSettings::default() }
}

async fn cloud_as(running: &Running, settings: &LoginSettings) -> Result<PulumiCloud, Failure> {
    let root = Root::new(&running.pulumi_url)?;
    let client = client(HttpSettings { timeout: Duration::from_secs(5), ..HttpSettings::toward(root.url()) })?;
    let login = login(settings, &root, &client, RETRY).await?;
    Ok(PulumiCloud::new(root, login, client, RETRY))
}

async fn cloud(running: &Running) -> PulumiCloud {
    cloud_as(running, &given(&running.pulumi_token)).await.unwrap()
}

fn text_at<'v>(values: &'v Value, path: &[&str]) -> &'v Value {
    path.iter().fold(values, |value, key| value.member(key).unwrap())
}

/// No failure may show a value or a token.
fn shown(failure: &Failure) -> String {
    let shown = format!("{failure:?}");
    assert!(!shown.contains("marker"), "{shown}");
    assert!(!shown.contains("pul-sandbox"), "{shown}");
    shown
}

fn count(running: &Running, method: &str) -> usize {
    running.requests().iter().filter(|request| request.method == method).count()
}

#[tokio::test]
async fn an_environment_is_opened_at_a_known_revision() {
    let running = world().await;
    let opened = cloud(&running).await.open(&production(), &Version::Latest).await.unwrap();
    assert_eq!(opened.revision, Some(2));
    let value = text_at(&opened.values, &["api-keys", "OPENAI_API_KEY"]);
    assert_eq!((value.to_text().as_str(), value.secret), ("marker-value", true));
    assert_eq!(text_at(&opened.values, &["api-keys", "PORT"]).to_text(), "8080");
    let paths: Vec<String> = running.requests().into_iter().map(|request| request.path).collect();
    assert!(paths[1].ends_with("/production/versions/2/open"), "{paths:?}");
    assert_eq!(paths.len(), 3);
}

#[tokio::test]
async fn numbers_arrive_as_they_are_spelled() {
    let opened =
        cloud(&world().await).await.open(&name("payready/sophia-esc/staging"), &Version::Latest).await.unwrap();
    let all = text_at(&opened.values, &["all"]);
    assert_eq!(all.to_text(), r#""1e6","1E6","1E+06","-0","1.50""#);
    assert_eq!(all.to_plain_json(false).to_string(), "[1e6,1E6,1E+06,-0,1.50]");
}

#[tokio::test]
async fn a_definition_is_made_changed_and_kept_with_its_history() {
    let running = world().await;
    let cloud = cloud(&running).await;
    let new = name("payready/new/one");
    cloud.create(&new).await.unwrap();
    assert_eq!(cloud.create(&new).await.unwrap_err().code, "esc-exists");
    let empty = cloud.read(&new, &Version::Latest, Secrets::Encrypted).await.unwrap();
    assert_eq!((empty.text.as_str(), empty.revision), ("", Some(1)));
    let etag = empty.etag.as_deref();
    let (revision, warnings) = cloud.update(&new, TEXT, etag).await.unwrap();
    assert_eq!((revision, warnings.len()), (Some(2), 0));
    let conflict = cloud.update(&new, "values: {}\n", etag).await.unwrap_err();
    assert_eq!((conflict.code, conflict.kind.exit_code()), ("esc-conflict", 3));
    shown(&conflict);
    cloud.update(&new, "values: {a: 1}\n", None).await.unwrap();
    let clear = cloud.read(&new, &Version::Revision(2), Secrets::Decrypted).await.unwrap();
    assert!(clear.text.contains("# kept") && clear.text.contains("marker-value"));
    let history = cloud.revisions(&new, 2).await.unwrap();
    assert_eq!(history.iter().map(|revision| revision.number).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(history[0].tags, ["latest"]);
    assert_eq!(cloud.revisions(&new, 100).await.unwrap().len(), 3);
    assert_eq!(cloud.list("payready").await.unwrap(), [new.clone(), production(), name("payready/sophia-esc/staging")]);
    cloud.delete(&new).await.unwrap();
    assert_eq!(cloud.read(&new, &Version::Latest, Secrets::Encrypted).await.err().unwrap().code, "esc-not-found");
}

#[tokio::test]
async fn a_check_answers_diagnostics_and_stores_nothing() {
    let running = world().await;
    let cloud = cloud(&running).await;
    assert!(cloud.check(&production(), TEXT).await.unwrap().is_empty());
    let found = cloud.check(&production(), "values: {a: [1,\nb: 2\n").await.unwrap();
    assert_eq!(found.len(), 1);
    assert!(found[0].range.as_ref().unwrap().begin.line() >= 2);
    // Half of a surrogate pair in an answer is no reason to lose what it says.
    let body = r#"{"diagnostics": [{"summary": "bad"}], "properties": {"a": {"value": "\ud83d"}}}"#;
    let effect = json!({"status": 200, "body": body});
    running.fault(json!({"match": {"path": "/check"}, "times": 1, "do": effect})).unwrap();
    assert_eq!(cloud.check(&production(), TEXT).await.unwrap()[0].summary, "bad");
    assert_eq!(running.state()["esc"]["environments"]["payready/sophia-esc/production"]["revision"], 2);
}

#[tokio::test]
async fn errors_of_a_definition_come_with_their_places() {
    let running = world().await;
    running
        .fault(json!({"match": {"method": "POST", "path": "/open$"}, "do": {"status": 400, "body": {"code": 400,
        "message": "Bad Request", "diagnostics": [
            {"summary": "unknown property \"x\"", "severity": "error", "range": {"environment": "sophia-esc/base",
                "begin": {"line": 3, "column": 5, "byte": 20}, "end": {"line": 3, "column": 9, "byte": 24}}},
            {"summary": "cannot unmarshal !!str `marker-v` into map", "detail": "of pul-sandbox"}
        ]}}}))
        .unwrap();
    let failure = cloud(&running).await.open(&production(), &Version::Latest).await.unwrap_err();
    shown(&failure);
    assert_eq!((failure.code, failure.problems.len()), ("esc-diagnostics", 2));
    assert_eq!(failure.problems[0].place.as_ref().unwrap().to_string(), "payready/sophia-esc/base:3:5");
    assert!(failure.message.contains("`payready/sophia-esc/production`") && failure.message.contains("2 errors"));
}

#[tokio::test]
async fn a_wrong_token_a_missing_permission_and_a_wrong_name_say_what_to_do() {
    let running = world().await;
    let open = async |token: &str, name: &EscName| {
        let cloud = cloud_as(&running, &given(token)).await.unwrap();
        let failure = cloud.open(name, &Version::Latest).await.unwrap_err();
        let text = shown(&failure);
        (failure.code, failure.kind.exit_code(), text)
    };
    let (code, exit, text) = open("pul-marker-wrong", &production()).await;
    assert_eq!((code, exit), ("esc-token-rejected", 4));
    assert!(text.contains("PULUMI_ACCESS_TOKEN"), "{text}");
    let (code, exit, text) = open("pul-reader", &production()).await;
    assert_eq!((code, exit), ("esc-forbidden", 4));
    assert!(text.contains("`open` on the environment"), "{text}");
    let (code, _, text) = open("pul-sandbox", &name("payready/sophia-esc/prodution")).await;
    assert_eq!(code, "esc-not-found");
    assert!(text.contains("did you mean `payready/sophia-esc/production`?"), "{text}");
    let (code, _, text) = open("pul-stranger", &production()).await;
    assert_eq!(code, "esc-not-found");
    assert!(!text.contains("staging"), "{text}");
    let cloud = cloud(&running).await;
    let failure = cloud.open(&production(), &Version::Revision(9)).await.unwrap_err();
    assert!(shown(&failure).contains("the version asked for does not"));
}

#[tokio::test]
async fn only_a_get_is_sent_again() {
    let running = world().await;
    let cloud = cloud(&running).await;
    for effect in [json!({"status": 503}), json!({"cut": "before"}), json!({"cut": "body"}), json!({"html": true})] {
        running.clear_faults();
        running.clear_requests();
        running.fault(json!({"match": {"method": "GET"}, "times": 3, "do": effect})).unwrap();
        cloud.read(&production(), &Version::Latest, Secrets::Encrypted).await.unwrap();
        assert_eq!(count(&running, "GET"), 4, "{effect}");
    }
    running.clear_faults();
    running.clear_requests();
    running.fault(json!({"do": {"status": 503, "body": {"code": 503, "message": "out of order"}}})).unwrap();
    let failure = cloud.update(&production(), "values: {marker: 1}\n", None).await.unwrap_err();
    assert_eq!((failure.code, count(&running, "PATCH")), ("esc-unavailable", 1));
    assert!(shown(&failure).contains("out of order"));
    let failure = cloud.list("payready").await.unwrap_err();
    assert_eq!((failure.code, failure.kind.exit_code(), count(&running, "GET")), ("esc-unavailable", 1, 4));
}

#[tokio::test]
async fn retry_after_is_obeyed_within_bounds() {
    let running = world().await;
    let cloud = cloud(&running).await;
    running.fault(json!({"match": {"method": "GET"}, "times": 1, "do": {"status": 429, "retry_after": 1}})).unwrap();
    let began = std::time::Instant::now();
    cloud.list("payready").await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    running.clear_requests();
    running.fault(json!({"match": {"method": "GET"}, "do": {"status": 429, "retry_after": 3600}})).unwrap();
    let failure = cloud.list("payready").await.unwrap_err();
    assert_eq!((failure.code, running.requests().len()), ("esc-rate-limited", 1));
    assert!(shown(&failure).contains("3600 s"));
}

#[tokio::test]
async fn answers_that_are_not_the_service_s_are_told_and_never_shown() {
    let running = world().await;
    let cloud = cloud(&running).await;
    let session = json!({"method": "GET", "path": "/open/"});
    for (matching, effect, code, says) in [
        (session.clone(), json!({"status": 200, "html": true}), "esc-answer", "a web page"),
        (session.clone(), json!({"truncate": 40}), "esc-answer", "truncated JSON"),
        (session.clone(), json!({"status": 200, "body": "marker"}), "esc-answer", "not JSON"),
        (
            session.clone(),
            json!({"status": 200, "body": {"properties": {"a": "marker"}}}),
            "esc-answer",
            "not an object",
        ),
        (json!({"method": "POST"}), json!({"status": 200, "body": {}}), "esc-answer", "no session"),
        (json!({"method": "POST"}), json!({"status": 418, "body": "marker"}), "esc-refused", "418"),
        (
            json!({}),
            json!({"status": 302, "headers": {"location": "https://example.com/marker"}}),
            "esc-redirect",
            "elsewhere",
        ),
        (json!({}), json!({"status": 502, "html": true}), "esc-unavailable", "a web page"),
        (json!({"method": "POST"}), json!({"cut": "before"}), "esc-unreachable", "--from-backup"),
        (session, json!({"cut": "body"}), "esc-unreachable", "--from-backup"),
    ] {
        running.clear_faults();
        running.fault(json!({"match": matching, "do": effect})).unwrap();
        let failure = cloud.open(&production(), &Version::Latest).await.unwrap_err();
        assert_eq!(failure.code, code, "{effect}");
        assert!(shown(&failure).contains(says), "{effect}: {failure:?}");
    }
}

#[tokio::test]
async fn listings_are_read_to_their_end_and_no_further() {
    let running = world().await;
    let cloud = cloud(&running).await;
    let page = |entry: &str, next: &str| {
        json!({"status": 200, "body": {"environments": [
            {"organization": "payready", "project": "p", "name": entry, "created": "", "modified": ""}], "nextToken": next}})
    };
    running.fault(json!([{"do": page("b", "")}, {"times": 1, "do": page("a", "a token/+")}])).unwrap();
    assert_eq!(cloud.list("payready").await.unwrap(), [name("payready/p/a"), name("payready/p/b")]);
    let queries: Vec<String> = running.requests().into_iter().map(|request| request.query).collect();
    assert_eq!(queries, ["", "continuationToken=a+token%2F%2B"]);
    running.clear_faults();
    let endless = json!([{"number": 7, "created": "2026-05-01T10:00:00Z", "creatorLogin": "me"}]);
    running.fault(json!({"do": {"status": 200, "body": endless}})).unwrap();
    assert_eq!(cloud.revisions(&production(), 5).await.unwrap_err().code, "esc-answer");
}

fn oidc(running: &Running) -> OidcSettings {
    OidcSettings {
        request_url: Some(running.id_token_url.clone()),
        request_token: Some(Token::new(&running.id_token_request_token).unwrap()),
        organization: "payready".into(),
        token_type: OidcTokenType::Team,
        scope: Some("team:platform".into()),
        expiration_seconds: Some(600),
    }
}

#[tokio::test]
async fn a_job_s_identity_is_exchanged_for_a_token_that_works() {
    let running = world().await;
    let settings = LoginSettings { oidc: Some(oidc(&running)), ..LoginSettings::default() };
    let cloud = cloud_as(&running, &settings).await.unwrap();
    let source = TokenSource::Oidc { organization: "payready".into(), token_type: OidcTokenType::Team };
    assert_eq!(cloud.login().source, source);
    let account = cloud.account().await.unwrap();
    assert_eq!((account.login.as_str(), account.organizations), ("platform", vec!["payready".to_owned()]));
    cloud.open(&production(), &Version::Latest).await.unwrap();
    running.advance(601);
    let failure = cloud.open(&production(), &Version::Latest).await.unwrap_err();
    assert_eq!(failure.code, "esc-token-rejected");
    assert!(shown(&failure).contains("--oidc-expiration"));
}

#[tokio::test]
async fn an_exchange_that_fails_names_the_subject_to_trust() {
    let running = world().await;
    let attempt = async |oidc: OidcSettings| {
        let settings = LoginSettings { oidc: Some(oidc), ..LoginSettings::default() };
        let failure = cloud_as(&running, &settings).await.err().unwrap();
        assert_eq!(failure.kind.exit_code(), 4);
        (failure.code, shown(&failure))
    };
    let (code, text) = attempt(OidcSettings { scope: Some("user:me".into()), ..oidc(&running) }).await;
    assert_eq!(code, "oidc-refused");
    assert!(text.contains("scope does not fit") && text.contains("repo:payready/sophia:ref:refs/heads/main"), "{text}");
    let (code, text) = attempt(OidcSettings { request_url: None, ..oidc(&running) }).await;
    assert_eq!(code, "oidc-identity");
    assert!(text.contains("id-token: write"), "{text}");
    let wrong = Some(Token::new("marker-wrong").unwrap());
    assert_eq!(attempt(OidcSettings { request_token: wrong, ..oidc(&running) }).await.0, "oidc-identity");
    running
        .fault(json!({"match": {"path": "oauth"}, "do": {"status": 200, "body": {"access_token": "a marker"}}}))
        .unwrap();
    assert_eq!(attempt(oidc(&running)).await.0, "oidc-exchange");
    running.fault(json!({"match": {"path": "oauth"}, "do": {"status": 400, "html": true}})).unwrap();
    assert_eq!(attempt(oidc(&running)).await.0, "oidc-refused");
}

#[tokio::test]
async fn tokens_are_looked_for_in_order() {
    let running = world().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.json");
    let write = |json: Json| sophia_secrets_sync::io::files::write_private(&path, json.to_string().as_bytes()).unwrap();
    let stored = LoginSettings { credentials_file: Some(path.clone()), ..LoginSettings::default() };
    let none = cloud_as(&running, &stored).await.err().unwrap();
    assert_eq!((none.code, none.kind.exit_code(), none.causes.len()), ("esc-no-token", 4, 3));

    write(json!({"accounts": {"https://api.pulumi.com": {"accessToken": "pul-marker"}}}));
    let other = cloud_as(&running, &stored).await.err().unwrap();
    assert!(shown(&other).contains("tokens of `https://api.pulumi.com` only"));
    let both = LoginSettings { oidc: Some(oidc(&running)), ..stored.clone() };
    assert!(matches!(cloud_as(&running, &both).await.unwrap().login().source, TokenSource::Oidc { .. }));

    write(
        json!({"current": running.pulumi_url, "accounts": {&running.pulumi_url: {"accessToken": running.pulumi_token}}}),
    );
    let cloud = cloud_as(&running, &both).await.unwrap();
    assert_eq!(cloud.login().source, TokenSource::CredentialsFile(path.clone()));
    assert_eq!(cloud.account().await.unwrap().login, "sandbox");
    let all = LoginSettings { given: Some(Token::new("pul-other").unwrap()), ..both };
    let cloud = cloud_as(&running, &all).await.unwrap();
    assert_eq!(cloud.login().source, TokenSource::Environment);
    assert_eq!(cloud.account().await.unwrap_err().code, "esc-token-rejected");
}
