//! Every route and status that the loopback GitHub serves, judged by GitHub's own description of its API; and
//! every success that the description names, served.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at once")]

mod description;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use description::Description;
use http::Method;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs1KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value as Json, json};
use sophia_secrets_sync::base::secret::{SealingKey, SecretValue};
use sophia_secrets_sync::sandbox::{self, Options};
use support::{Answer, Http, clock};

/// A client that judges every answer.
struct Judge {
    http: Http,
    description: Description,
    problems: Vec<String>,
}

impl Judge {
    async fn ask(&mut self, method: Method, path: &str, body: Option<Json>) -> Answer {
        let answer = self.http.github(method.clone(), path, body).await;
        let path = path.strip_prefix("/api/v3").unwrap_or(path);
        self.problems.extend(self.description.judge(method.as_str(), path, answer.status, &answer.text));
        answer
    }

    async fn expect(&mut self, method: Method, path: &str, body: Option<Json>, status: u16) -> Json {
        let title = format!("{method} {path}");
        let answer = self.ask(method, path, body).await;
        if answer.status != status {
            self.problems.push(format!("{title}: {} instead of {status}: {}", answer.status, answer.text));
        }
        answer.json
    }

    /// The whole life of a store of secrets. `extra` is what this scope wants beside the sealed value.
    async fn secrets(&mut self, store: &str, extra: &Json) {
        use Method as M;
        let key = self.expect(M::GET, &format!("{store}/public-key"), None, 200).await;
        let sealing = SealingKey::new("1".into(), key["key"].as_str().unwrap()).unwrap();
        let body = |value: &str| {
            let sealed = SecretValue::from(value.to_owned()).seal(&sealing).unwrap();
            let mut body = json!({"encrypted_value": sealed, "key_id": key["key_id"]});
            body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            Some(body)
        };
        let one = format!("{store}/ONE");
        self.expect(M::GET, &one, None, 404).await;
        self.expect(M::PUT, &one, body("1"), 201).await;
        self.expect(M::PUT, &one, body("2"), 204).await;
        self.expect(M::GET, &one, None, 200).await;
        self.expect(M::GET, store, None, 200).await;
        self.expect(M::PUT, &format!("{store}/GITHUB_X"), body("1"), 422).await;
        let foreign = json!({"encrypted_value": "AAAA", "key_id": key["key_id"], "visibility": "all"});
        self.expect(M::PUT, &one, Some(foreign), 422).await;
        if extra.get("selected_repository_ids").is_some() {
            self.selected(&one).await;
        }
        self.expect(M::DELETE, &one, None, 204).await;
        self.expect(M::DELETE, &one, None, 404).await;
    }

    /// The list of repositories of one entry, which is visible to selected ones.
    async fn selected(&mut self, one: &str) {
        use Method as M;
        let list = format!("{one}/repositories");
        let id = self.expect(M::GET, "/repos/payready/sophia", None, 200).await["id"].clone();
        self.expect(M::PUT, &list, Some(json!({"selected_repository_ids": [id]})), 204).await;
        let shown = self.expect(M::GET, &list, None, 200).await;
        assert_eq!(
            (&shown["total_count"], &shown["repositories"][0]["full_name"]),
            (&json!(1), &json!("payready/sophia"))
        );
        self.expect(M::DELETE, &format!("{list}/{id}"), None, 204).await;
        self.expect(M::PUT, &format!("{list}/{id}"), None, 204).await;
    }

    async fn variables(&mut self, store: &str, extra: &Json) {
        use Method as M;
        let mut body = json!({"name": "One", "value": "1"});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        self.expect(M::POST, store, Some(body.clone()), 201).await;
        self.expect(M::POST, store, Some(body), 409).await;
        let one = format!("{store}/ONE");
        self.expect(M::PATCH, &one, Some(json!({"value": "2"})), 204).await;
        self.expect(M::GET, &one, None, 200).await;
        self.expect(M::GET, store, None, 200).await;
        if extra.get("selected_repository_ids").is_some() {
            self.selected(&one).await;
            self.expect(M::PATCH, &one, Some(json!({"visibility": "private"})), 204).await;
            self.expect(M::GET, &format!("{one}/repositories"), None, 409).await;
            self.expect(M::PUT, &format!("{one}/repositories/1"), None, 409).await;
        }
        self.expect(M::DELETE, &one, None, 204).await;
        self.expect(M::PATCH, &one, Some(json!({"value": "2"})), 404).await;
    }
}

fn jwt() -> String {
    let pem = include_bytes!("../data/app-key.pem");
    let der = PrivatePkcs1KeyDer::from_pem_slice(pem).unwrap();
    let key = RsaKeyPair::from_der(der.secret_pkcs1_der()).unwrap();
    let now = clock().as_second();
    let part = |json: Json| URL_SAFE_NO_PAD.encode(json.to_string());
    let claims = json!({"iat": now - 60, "exp": now + 540, "iss": 7});
    let signed = format!("{}.{}", part(json!({"alg": "RS256"})), part(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &ring::rand::SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn every_answer_is_as_github_describes_it() {
    use Method as M;
    let mut options = Options::new(clock);
    options.seed = serde_json::from_value(json!({"github": {
        "repositories": {
            "payready/sophia": {"topics": ["sophia"], "renamed_from": ["payready/old"], "environments": {
                "production": {
                    "wait_timer": 5, "reviewers": [{"type": "User", "id": 1}, {"type": "Team", "id": 2}],
                    "deployment_branch_policy": {"protected_branches": true, "custom_branch_policies": false}
                }
            }},
            "payready/silent": {"has_issues": false, "archived": true, "visibility": "public"}
        },
        "organizations": {"payready": {
            "secrets": {"actions": {"GIVEN": "v"}, "agents": {"GIVEN": "v"}},
            "variables": {"actions": {"GIVEN": "v"}, "agents": {"GIVEN": "v"}},
            "audit_log": [{"@timestamp": 1, "action": "org.update_actions_secret", "actor": "octocat"}]
        }},
        "tokens": {"nothing": {"kind": "fine-grained", "permissions": {}}},
        "apps": {"7": {"slug": "sophia", "public_key": include_str!("../data/app-key.pub.pem"), "installations": {
            "payready": {"permissions": {"secrets": "write", "environments": "write"}, "repositories": ["sophia"]}
        }}}
    }}))
    .unwrap();
    let running = sandbox::start(options).await.unwrap();
    let http = Http::new(&running);
    let all = http.token.clone();
    let mut judge = Judge { http, description: Description::load(), problems: Vec::new() };
    let repository = "/repos/payready/sophia";
    let id = judge.expect(M::GET, repository, None, 200).await["id"].clone();
    let environment = format!("{repository}/environments/production");
    let alias = format!("/repositories/{id}/environments/production");
    let selected = json!({"visibility": "selected", "selected_repository_ids": [id]});

    for app in ["actions", "dependabot", "codespaces", "agents"] {
        judge.secrets(&format!("{repository}/{app}/secrets"), &json!({})).await;
        let organization = format!("/orgs/payready/{app}/secrets");
        judge.secrets(&organization, &selected).await;
        judge.secrets(&organization, &json!({"visibility": "all"})).await;
    }
    for store in [&environment, &alias] {
        judge.secrets(&format!("{store}/secrets"), &json!({})).await;
        judge.variables(&format!("{store}/variables"), &json!({})).await;
    }
    judge.secrets("/api/v3/repos/payready/sophia/actions/secrets", &json!({})).await;
    judge.secrets("/user/codespaces/secrets", &json!({"selected_repository_ids": [id]})).await;
    for app in ["actions", "agents"] {
        judge.variables(&format!("{repository}/{app}/variables"), &json!({})).await;
        judge.variables(&format!("/orgs/payready/{app}/variables"), &selected).await;
        for kind in ["secrets", "variables"] {
            let view = judge.expect(M::GET, &format!("{repository}/{app}/organization-{kind}"), None, 200).await;
            assert_eq!(view["total_count"], 1, "{app} {kind}");
        }
    }

    judge.expect(M::GET, &format!("{repository}/environments"), None, 200).await;
    judge.expect(M::GET, &environment, None, 200).await;
    judge.expect(M::PUT, &environment, Some(json!({"wait_timer": 1})), 200).await;
    judge.expect(M::PUT, &environment, Some(json!({"wait_timer": 99_999})), 422).await;
    judge.expect(M::DELETE, &environment, None, 204).await;
    judge.expect(M::GET, &environment, None, 404).await;

    for path in ["/orgs/payready", "/orgs/payready/repos?type=all", "/user", "/user/repos", "/rate_limit"] {
        judge.expect(M::GET, path, None, 200).await;
    }
    judge.expect(M::GET, &format!("{repository}/topics"), None, 200).await;
    judge.expect(M::GET, "/repos/payready/old", None, 301).await;
    judge.expect(M::GET, "/repos/payready/none", None, 404).await;
    judge.expect(M::GET, "/orgs/nobody", None, 404).await;
    let found =
        judge.expect(M::GET, "/search/repositories?q=org%3Apayready+topic%3Asophia+archived%3Afalse", None, 200).await;
    assert_eq!(found["total_count"], 1);
    judge.expect(M::GET, "/search/repositories", None, 422).await;
    judge.expect(M::GET, "/orgs/payready/audit-log?phrase=action%3Aorg.update", None, 200).await;

    let issue = judge
        .expect(M::POST, &format!("{repository}/issues"), Some(json!({"title": "t", "labels": ["rotation"]})), 201)
        .await;
    let number = issue["number"].as_u64().unwrap();
    judge.expect(M::POST, &format!("{repository}/issues"), Some(json!({})), 422).await;
    judge.expect(M::GET, &format!("{repository}/issues?labels=rotation"), None, 200).await;
    let one = format!("{repository}/issues/{number}");
    judge.expect(M::GET, &one, None, 200).await;
    judge.expect(M::POST, &format!("{one}/comments"), Some(json!({"body": "b"})), 201).await;
    judge.expect(M::PATCH, &one, Some(json!({"state": "closed", "state_reason": "completed"})), 200).await;
    judge.expect(M::POST, "/repos/payready/silent/issues", Some(json!({"title": "t"})), 410).await;

    judge.http.token = jwt();
    judge.expect(M::GET, "/app", None, 200).await;
    for path in ["/orgs/payready/installation", "/repos/payready/sophia/installation", "/users/payready/installation"] {
        judge.expect(M::GET, path, None, 200).await;
    }
    judge.expect(M::GET, "/repos/payready/silent/installation", None, 404).await;
    let installation = judge.expect(M::GET, "/orgs/payready/installation", None, 200).await["id"].clone();
    let tokens = format!("/app/installations/{installation}/access_tokens");
    let wanted = json!({"repository_ids": [id], "permissions": {"secrets": "write"}});
    let minted = judge.expect(M::POST, &tokens, Some(wanted), 201).await["token"].clone();
    judge.expect(M::POST, &tokens, Some(json!({"permissions": {"issues": "write"}})), 422).await;
    judge.expect(M::POST, &tokens, Some(json!({"repositories": ["silent"]})), 422).await;
    judge.expect(M::POST, "/app/installations/1/access_tokens", None, 404).await;
    judge.http.token.pop();
    judge.expect(M::POST, &tokens, None, 401).await;

    judge.http.token = minted.as_str().unwrap().to_owned();
    judge.expect(M::GET, "/installation/repositories", None, 200).await;
    judge.expect(M::GET, &format!("{repository}/actions/secrets"), None, 200).await;
    judge.expect(M::GET, &format!("{repository}/actions/variables"), None, 403).await;
    judge.expect(M::GET, "/orgs/payready/codespaces/secrets", None, 403).await;
    judge.expect(M::DELETE, "/installation/token", None, 204).await;
    judge.expect(M::GET, "/installation/repositories", None, 401).await;
    judge.http.token = "nothing".to_owned();
    judge.expect(M::GET, &format!("{repository}/actions/secrets"), None, 403).await;
    judge.expect(M::GET, "/installation/repositories", None, 403).await;
    judge.http.token = all;
    judge.expect(M::PUT, "/repos/payready/silent/actions/secrets/A", Some(json!({})), 403).await;

    assert!(judge.problems.is_empty(), "{}", judge.problems.join("\n"));
    let missing: BTreeSet<String> =
        judge.description.successes().difference(&judge.description.seen).cloned().collect();
    assert!(missing.is_empty(), "described, but not served here:\n{missing:#?}");
}
