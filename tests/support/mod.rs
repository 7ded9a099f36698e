//! A plain HTTP client for tests that speak to the sandbox directly.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "shared by several test programs")]

use std::collections::BTreeMap;

use http::{HeaderMap, Method};
use serde_json::Value as Json;
use sophia_secrets_sync::io::http as client;
use sophia_secrets_sync::rules::audit::{Actor, ActorKind, Run};
use sophia_secrets_sync::sandbox::Running;

#[expect(clippy::disallowed_methods, reason = "tests are the outermost floor")]
pub fn clock() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// A run of `sync` as the audit trail names it.
pub fn run(id: &str) -> Run {
    Run {
        id: id.into(),
        command: "sync".into(),
        actor: Actor { kind: ActorKind::User, name: "tester".into(), claims: BTreeMap::new() },
        stack: None,
        environment: None,
        revision: None,
        plan: None,
    }
}

pub struct Http {
    client: reqwest::Client,
    github_url: String,
    pulumi_url: String,
    pub token: String,
    pulumi_token: String,
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// Null when the body is not JSON.
    pub json: Json,
}

impl Answer {
    /// A header's value; empty when absent.
    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    /// Path and query of the `next` link.
    pub fn next(&self) -> Option<String> {
        let link = self.header("link");
        let next = link.split(", ").find(|link| link.ends_with("rel=\"next\""))?;
        let url = url::Url::parse(next.split_once('<')?.1.split_once('>')?.0).unwrap();
        Some(format!("{}?{}", url.path(), url.query().unwrap_or_default()))
    }
}

impl Http {
    pub fn new(running: &Running) -> Self {
        Self {
            client: client::client(client::HttpSettings { direct: true, ..client::HttpSettings::default() }).unwrap(),
            github_url: running.github_url.clone(),
            pulumi_url: running.pulumi_url.clone(),
            token: running.github_token.clone(),
            pulumi_token: running.pulumi_token.clone(),
        }
    }

    pub async fn github(&self, method: Method, path: &str, body: Option<Json>) -> Answer {
        self.attempt(method, path, body).await.expect("an answer")
    }

    /// None when the connection broke.
    pub async fn attempt(&self, method: Method, path: &str, body: Option<Json>) -> Option<Answer> {
        let body = body.map(|body| body.to_string());
        self.send(method, &format!("{}{path}", self.github_url), &format!("Bearer {}", self.token), body, &[]).await
    }

    /// With an empty `token` the sandbox's own is sent.
    pub async fn pulumi(&self, method: Method, path: &str, token: &str, body: Option<Json>) -> Answer {
        let token = if token.is_empty() { &self.pulumi_token } else { token };
        let body = body.map(|body| body.to_string());
        let url = format!("{}{path}", self.pulumi_url);
        self.send(method, &url, &format!("token {token}"), body, &[]).await.expect("an answer")
    }

    /// Updates an environment's text; an empty `etag` is not sent.
    pub async fn put_text(&self, path: &str, text: &str, etag: &str) -> Answer {
        let url = format!("{}{path}", self.pulumi_url);
        let headers = [("etag", etag)];
        let headers = if etag.is_empty() { &[][..] } else { &headers[..] };
        let authorization = format!("token {}", self.pulumi_token);
        self.send(Method::PATCH, &url, &authorization, Some(text.to_owned()), headers).await.expect("an answer")
    }

    pub async fn post_text(&self, path: &str, text: &str) -> Answer {
        let url = format!("{}{path}", self.pulumi_url);
        let authorization = format!("token {}", self.pulumi_token);
        self.send(Method::POST, &url, &authorization, Some(text.to_owned()), &[]).await.expect("an answer")
    }

    pub async fn send(
        &self,
        method: Method,
        url: &str,
        authorization: &str,
        body: Option<String>,
        headers: &[(&str, &str)],
    ) -> Option<Answer> {
        let mut request = self.client.request(method, url);
        if !authorization.is_empty() {
            request = request.header("authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.body(body.unwrap_or_default()).send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.ok()?;
        let json = serde_json::from_str(&text).unwrap_or(Json::Null);
        Some(Answer { status, headers, text, json })
    }
}
