//! The loopback services answer as GitHub and Pulumi Cloud do, and keep what they are given byte for byte.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at once")]

use http::Method;
use serde_json::{Value as Json, json};
use sophia_secrets_sync::base::secret::{SealingKey, SecretValue};
use sophia_secrets_sync::sandbox::{self, Options, Running};

mod support;
use support::{Answer, Http};

async fn world(seed: Json) -> (Running, Http) {
    let mut options = Options::new(support::clock);
    options.seed = serde_json::from_value(seed).unwrap();
    let running = sandbox::start(options).await.unwrap();
    let http = Http::new(&running);
    (running, http)
}

async fn put_secret(http: &Http, store: &str, name: &str, value: &[u8]) -> Answer {
    let key = http.github(Method::GET, &format!("{store}/public-key"), None).await;
    let (id, key) = (key.json["key_id"].as_str().unwrap(), key.json["key"].as_str().unwrap());
    let sealed = SecretValue::new(value.to_vec()).seal(&SealingKey::new(id.into(), key).unwrap()).unwrap();
    let body = json!({"encrypted_value": sealed, "key_id": id});
    http.github(Method::PUT, &format!("{store}/{name}"), Some(body)).await
}

#[tokio::test]
async fn a_secret_is_created_updated_listed_and_deleted() {
    let (running, http) = world(json!({"github": {"repositories": {"payready/sophia": {}}}})).await;
    let store = "/repos/PayReady/sophia/actions/secrets";
    let created = put_secret(&http, store, "api_Key", "wört \n$#".as_bytes()).await;
    assert_eq!((created.status, created.json), (201, json!({})));
    let first = http.github(Method::GET, &format!("{store}/API_KEY"), None).await.json;
    let updated = put_secret(&http, store, "API_KEY", b"\xff\xfe").await;
    assert_eq!((updated.status, updated.text.as_str()), (204, ""));
    let listed = http.github(Method::GET, store, None).await;
    assert_eq!(listed.json["total_count"], 1);
    let second = &listed.json["secrets"][0];
    assert_eq!(second["name"], "API_KEY");
    assert_eq!(second["created_at"], first["created_at"]);
    assert_ne!(second["updated_at"], first["updated_at"]);
    assert!(second.get("value").is_none());
    let state = running.state();
    let kept = &state["github"]["repositories"]["payready/sophia"]["secrets"]["actions"]["API_KEY"];
    assert_eq!(kept["base64"], "//4=");
    assert_eq!(http.github(Method::DELETE, &format!("{store}/api_key"), None).await.status, 204);
    assert_eq!(http.github(Method::DELETE, &format!("{store}/api_key"), None).await.status, 404);
}

#[tokio::test]
async fn a_box_sealed_for_another_store_is_refused() {
    let (_running, http) = world(json!({"github": {"repositories": {
        "o/r": {"environments": {"prod/eu west": {}}}
    }}}))
    .await;
    let environment = "/repos/o/r/environments/prod%2Feu%20west/secrets";
    let key = http.github(Method::GET, "/repos/o/r/actions/secrets/public-key", None).await.json;
    let other = http.github(Method::GET, &format!("{environment}/public-key"), None).await.json;
    assert_ne!(key["key"], other["key"]);
    let sealed = SecretValue::new(b"v".to_vec())
        .seal(&SealingKey::new("1".into(), key["key"].as_str().unwrap()).unwrap())
        .unwrap();
    for key_id in [&key["key_id"], &other["key_id"]] {
        let body = json!({"encrypted_value": sealed, "key_id": key_id});
        let answer = http.github(Method::PUT, &format!("{environment}/A"), Some(body)).await;
        assert_eq!(answer.status, 422);
        assert!(answer.json["message"].as_str().unwrap().contains("improperly encrypted"));
    }
    assert_eq!(put_secret(&http, environment, "A", b"v").await.status, 201);
    let short = json!({"encrypted_value": sealed});
    let answer = http.github(Method::PUT, &format!("{environment}/A"), Some(short)).await;
    assert_eq!(answer.json["message"], "Invalid request.\n\n\"key_id\" wasn't supplied.");
}

#[tokio::test]
async fn names_sizes_and_counts_are_limited() {
    let full: serde_json::Map<String, Json> = (0..100).map(|n| (format!("S{n}"), json!("v"))).collect();
    let (_running, http) = world(json!({"github": {"repositories": {
        "o/full": {"secrets": {"actions": full}}, "o/r": {}
    }}}))
    .await;
    let store = "/repos/o/full/actions/secrets";
    assert_eq!(put_secret(&http, store, "ONE_MORE", b"v").await.status, 422);
    assert_eq!(put_secret(&http, store, "S5", b"v").await.status, 204);
    let store = "/repos/o/r/actions/secrets";
    assert_eq!(put_secret(&http, store, "BIG", &[b'x'; 49_104]).await.status, 201);
    assert_eq!(put_secret(&http, store, "BIGGER", &[b'x'; 49_105]).await.status, 422);
    assert_eq!(put_secret(&http, store, "github_x", b"v").await.status, 422);
    assert_eq!(put_secret(&http, store, "a-b", b"v").await.status, 422);
}

#[tokio::test]
async fn lists_are_paged_and_per_page_is_cut() {
    let many: serde_json::Map<String, Json> = (0..70).map(|n| (format!("S{n:02}"), json!("v"))).collect();
    let (_running, http) = world(json!({"github": {"repositories": {
        "o/r": {"secrets": {"actions": many}, "variables": {"actions": many}}
    }}}))
    .await;
    let secrets = http.github(Method::GET, "/repos/o/r/actions/secrets", None).await;
    assert_eq!(secrets.json["secrets"].as_array().unwrap().len(), 30);
    let mut next = Some("/repos/o/r/actions/variables?per_page=100".to_owned());
    let mut seen = Vec::new();
    while let Some(path) = next {
        let answer = http.github(Method::GET, &path, None).await;
        assert_eq!(answer.json["total_count"], 70);
        let items = answer.json["variables"].as_array().unwrap();
        assert!(items.len() <= 30);
        seen.extend(items.iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        next = answer.next();
    }
    assert_eq!(seen, many.keys().cloned().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_variable_is_created_once_and_patched_after() {
    let (_running, http) = world(json!({"github": {"repositories": {"o/r": {}}}})).await;
    let store = "/repos/o/r/actions/variables";
    let body = json!({"name": "Mode", "value": "fast"});
    assert_eq!(http.github(Method::POST, store, Some(body.clone())).await.status, 201);
    assert_eq!(http.github(Method::POST, store, Some(body)).await.status, 409);
    let patch = json!({"value": "slow"});
    assert_eq!(http.github(Method::PATCH, &format!("{store}/MODE"), Some(patch)).await.status, 204);
    let read = http.github(Method::GET, &format!("{store}/mode"), None).await.json;
    assert_eq!((read["name"].as_str(), read["value"].as_str()), (Some("Mode"), Some("slow")));
}

#[tokio::test]
async fn permissions_hide_refuse_and_name_what_is_missing() {
    let (_running, mut http) = world(json!({"github": {
        "repositories": {"o/seen": {}, "o/hidden": {}, "o/old": {"archived": true}},
        "tokens": {
            "reader": {"kind": "installation", "permissions": {"secrets": "read"}, "repositories": ["o/seen"]},
            "gone": {"expires_at": "2000-01-01T00:00:00Z"}
        }
    }}))
    .await;
    assert_eq!(put_secret(&http, "/repos/o/old/actions/secrets", "A", b"v").await.status, 403);
    http.token = "reader".into();
    let refused = put_secret(&http, "/repos/o/seen/actions/secrets", "A", b"v").await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.json["message"], "Resource not accessible by integration");
    assert_eq!(refused.header("x-accepted-github-permissions"), "secrets=write");
    assert_eq!(http.github(Method::GET, "/repos/o/hidden/actions/secrets", None).await.status, 404);
    for token in ["gone", "unknown"] {
        http.token = token.into();
        let answer = http.github(Method::GET, "/repos/o/seen", None).await;
        assert_eq!((answer.status, answer.json["message"].as_str()), (401, Some("Bad credentials")));
    }
}

#[tokio::test]
async fn environments_are_made_once_and_a_bare_put_resets_their_rules() {
    let (_running, http) = world(json!({"github": {"repositories": {"o/r": {"environments": {
        "production": {"wait_timer": 30}
    }}}}}))
    .await;
    let path = "/repos/o/r/environments/production";
    let before = http.github(Method::GET, path, None).await.json;
    assert_eq!(before["protection_rules"][0]["wait_timer"], 30);
    let after = http.github(Method::PUT, path, None).await;
    assert_eq!((after.status, &after.json["protection_rules"]), (200, &json!([])));
    assert_eq!(http.github(Method::GET, "/repos/o/r/environments/none/secrets", None).await.status, 404);
    let both = json!({"deployment_branch_policy": {"protected_branches": true, "custom_branch_policies": true}});
    assert_eq!(http.github(Method::PUT, path, Some(both)).await.status, 422);
}

#[tokio::test]
async fn faults_hit_what_they_name() {
    let (running, http) = world(json!({"github": {"repositories": {"o/r": {}}}})).await;
    let store = "/repos/o/r/actions/secrets";
    running
        .fault(json!([
            {"match": {"path": "public-key$"}, "times": 1, "do": {"key_bytes": 31}},
            {"match": {"method": "GET", "path": "secrets$", "nth": 1}, "do": {"status": 502, "html": true}},
            {"match": {"method": "GET", "path": "secrets$", "nth": 2}, "do": {"truncate": 5}},
            {"match": {"method": "GET", "path": "secrets$", "nth": 3}, "do": {"cut": "body"}},
            {"match": {"method": "GET", "path": "secrets$", "nth": 4}, "do": {"secondary_limit": true, "retry_after": 7}},
            {"match": {"method": "PUT", "nth": 1}, "do": {"cut": "after"}},
            {"match": {"method": "PUT", "nth": 2}, "do": {"cut": "before"}}
        ]))
        .unwrap();
    let key = http.github(Method::GET, &format!("{store}/public-key"), None).await.json;
    assert!(SealingKey::new("1".into(), key["key"].as_str().unwrap()).is_err());
    let html = http.github(Method::GET, store, None).await;
    assert_eq!((html.status, html.text.starts_with("<html>")), (502, true));
    assert_eq!(http.github(Method::GET, store, None).await.text.len(), 5);
    assert!(http.attempt(Method::GET, store, None).await.is_none());
    let limited = http.github(Method::GET, store, None).await;
    assert_eq!((limited.status, limited.header("retry-after")), (403, "7".to_owned()));
    let key = http.github(Method::GET, &format!("{store}/public-key"), None).await.json;
    let sealing = SealingKey::new("1".into(), key["key"].as_str().unwrap()).unwrap();
    for name in ["KEPT", "LOST"] {
        let sealed = SecretValue::new(b"v".to_vec()).seal(&sealing).unwrap();
        let body = json!({"encrypted_value": sealed, "key_id": key["key_id"]});
        assert!(http.attempt(Method::PUT, &format!("{store}/{name}"), Some(body)).await.is_none());
    }
    let state = running.state();
    let kept = state["github"]["repositories"]["o/r"]["secrets"]["actions"].as_object().unwrap();
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["KEPT"]);
    let statuses: Vec<Option<u16>> = running.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [200, 502, 200, 200, 403, 200, 0, 0].map(|status| (status > 0).then_some(status)));
}

#[tokio::test]
async fn an_environment_of_esc_is_made_written_opened_and_read() {
    let (running, http) = world(json!({})).await;
    let new = json!({"project": "p", "name": "e"});
    assert_eq!(http.pulumi(Method::POST, "/api/esc/environments/org", "", Some(new.clone())).await.status, 204);
    let again = http.pulumi(Method::POST, "/api/esc/environments/org", "", Some(new)).await;
    assert_eq!((again.status, &again.json["code"]), (409, &json!(409)));
    let path = "/api/esc/environments/org/p/e";
    let read = http.pulumi(Method::GET, path, "", None).await;
    let text = "values:\n  plain: 1\n  secret:\n    fn::secret: \"wört\"\n";
    let stale = http.put_text(path, text, "\"0-0\"").await;
    assert_eq!((stale.status, &stale.json["code"]), (409, &json!(409)));
    let written = http.put_text(path, text, &read.header("etag")).await;
    assert_eq!((written.status, written.header("pulumi-esc-revision")), (200, "2".to_owned()));
    let kept = http.pulumi(Method::GET, path, "", None).await;
    assert!(kept.text.contains("ciphertext: ") && !kept.text.contains("wört"), "{}", kept.text);
    assert_eq!(http.pulumi(Method::GET, &format!("{path}/decrypt"), "", None).await.text, text);
    let id = http.pulumi(Method::POST, &format!("{path}/open?duration=2h0m0s"), "", None).await.json["id"].clone();
    let opened = http.pulumi(Method::GET, &format!("{path}/open/{}", id.as_str().unwrap()), "", None).await.json;
    assert_eq!(opened["properties"]["secret"]["value"], "wört");
    assert_eq!(opened["properties"]["secret"]["secret"], true);
    let one =
        http.pulumi(Method::GET, &format!("{path}/open//{}?property=plain", id.as_str().unwrap()), "", None).await.json;
    assert_eq!(one["value"], 1);
    let older = http.pulumi(Method::GET, &format!("{path}/versions?before=2&count=5"), "", None).await.json;
    assert_eq!(older.as_array().unwrap().len(), 1);
    let broken = http.put_text(path, "values: [", "").await;
    assert_eq!((broken.status, broken.json["diagnostics"].as_array().unwrap().len()), (400, 1));
    assert_eq!(running.state()["esc"]["environments"]["org/p/e"]["revision"], 2);
}

#[tokio::test]
async fn a_job_exchanges_its_id_token() {
    let (running, http) = world(json!({})).await;
    let job = format!("Bearer {}", running.id_token_request_token);
    let url = format!("{}&audience=urn%3Apulumi%3Aorg%3Apayready", running.id_token_url);
    let id_token = http.send(Method::GET, &url, &job, None, &[]).await.unwrap().json["value"].clone();
    let exchange = |scope: &str| {
        json!({
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "audience": "urn:pulumi:org:payready",
            "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
            "subject_token": id_token, "requested_token_type": "urn:pulumi:token-type:access_token:team",
            "scope": scope, "expiration": 600
        })
    };
    let refused = http.pulumi(Method::POST, "/api/oauth/token", "", Some(exchange(""))).await;
    assert_eq!((refused.status, refused.json["error"].as_str()), (400, Some("invalid_scope")));
    let token = http.pulumi(Method::POST, "/api/oauth/token", "", Some(exchange("team:ops"))).await.json;
    let token = token["access_token"].as_str().unwrap();
    let user = http.pulumi(Method::GET, "/api/user", token, None).await.json;
    assert_eq!(user["githubLogin"], "ops");
    assert_eq!(http.pulumi(Method::GET, "/api/esc/environments/other", token, None).await.status, 404);
}

#[tokio::test]
async fn imports_are_found_and_what_is_wrong_is_said_with_its_place() {
    let (_running, http) = world(json!({"esc": {"environments": {
        "o/default/base": "values:\n  a: { fn::secret: deep }\n",
        "o/p/e": "imports: [base, p/none]\nvalues:\n  b: ${a}\n  c: ${nothing.here}\n",
        "o/p/good": "imports: [base]\nvalues:\n  b: x-${a}\n"
    }}}))
    .await;
    let broken = http.pulumi(Method::POST, "/api/esc/environments/o/p/e/open", "", None).await;
    assert_eq!((broken.status, &broken.json["code"]), (400, &json!(400)));
    let lines: Vec<&Json> =
        broken.json["diagnostics"].as_array().unwrap().iter().map(|one| &one["range"]["begin"]["line"]).collect();
    assert_eq!(lines, [1, 4]);
    let id = http.pulumi(Method::POST, "/api/esc/environments/o/p/good/open", "", None).await.json["id"].clone();
    let path = format!("/api/esc/environments/o/p/good/open/{}", id.as_str().unwrap());
    let opened = http.pulumi(Method::GET, &path, "", None).await.json;
    assert_eq!(
        (&opened["properties"]["b"]["value"], &opened["properties"]["b"]["secret"]),
        (&json!("x-deep"), &json!(true))
    );
    assert!(opened.get("exprs").is_none());
    let text = "values:\n  s: { fn::secret: hidden }\n";
    for (show, shown) in [("false", false), ("true", true)] {
        let path = format!("/api/esc/environments/o/yaml/check?showSecrets={show}");
        let checked = http.pulumi(Method::POST, &path, "", None).await;
        assert_eq!(checked.status, 200);
        let checked = http.post_text(&path, text).await.json;
        assert_eq!(checked["properties"]["s"]["secret"], true, "{shown}");
        assert!(checked["exprs"]["s"].is_object());
    }
}

#[tokio::test]
async fn lists_of_the_esc_command_end() {
    let (_running, http) = world(json!({"esc": {"environments": {"o/p/e": "values: {a: 1}"}}})).await;
    let path = "/api/esc/environments/o/p/e";
    for (method, rest, body, status) in [
        (Method::POST, "versions/tags", Some(json!({"name": "stable", "revision": 1})), 204),
        (Method::POST, "versions/tags", Some(json!({"name": "stable"})), 409),
        (Method::PATCH, "versions/tags/none", Some(json!({"revision": 1})), 404),
        (Method::PATCH, "versions/tags/stable", Some(json!({"revision": 2})), 204),
        (Method::POST, "tags", Some(json!({"name": "team", "value": "ops"})), 200),
        (
            Method::PATCH,
            "tags/team",
            Some(json!({"currentTag": {"name": "", "value": "ops"}, "newTag": {"name": "team", "value": "dev"}})),
            200,
        ),
        (Method::POST, "versions/1/retract", Some(json!({"reason": "old"})), 204),
        (Method::PATCH, "settings", Some(json!({"deletionProtected": true})), 200),
        (Method::DELETE, "", None, 409),
    ] {
        let path = format!("{path}/{rest}");
        assert_eq!(
            http.pulumi(method.clone(), path.trim_end_matches('/'), "", body).await.status,
            status,
            "{method} {rest}"
        );
    }
    let tags = http.pulumi(Method::GET, &format!("{path}/versions/tags?after=latest"), "", None).await.json;
    assert_eq!(tags["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect::<Vec<_>>(), ["stable"]);
    let end = http.pulumi(Method::GET, &format!("{path}/versions/tags?after=stable"), "", None).await.json;
    assert_eq!(end["tags"], json!([]));
    let tags = http.pulumi(Method::GET, &format!("{path}/tags"), "", None).await.json;
    assert_eq!((&tags["nextToken"], &tags["tags"]["team"]["value"]), (&json!("0"), &json!("dev")));
    let versions = http.pulumi(Method::GET, &format!("{path}/versions?before=0&count=500"), "", None).await.json;
    assert_eq!(
        (&versions[0]["tags"], &versions[1]["retracted"]["reason"]),
        (&json!(["stable", "latest"]), &json!("old"))
    );
    assert_eq!(http.pulumi(Method::GET, &format!("{path}/versions?before=1"), "", None).await.json, json!([]));
}

#[tokio::test]
async fn limits_are_enforced_when_the_world_says_so() {
    let (running, http) = world(json!({"github": {
        "repositories": {"o/r": {}}, "limits": {"points": 12, "core": 1_000}
    }}))
    .await;
    let path = "/repos/o/r/actions/variables";
    let body = |name: &str| Some(json!({"name": name, "value": "v"}));
    let first = http.github(Method::POST, path, body("A")).await;
    assert_eq!((first.status, first.header("x-ratelimit-limit")), (201, "1000".to_owned()));
    assert_eq!(http.github(Method::POST, path, body("B")).await.status, 201);
    let third = http.github(Method::POST, path, body("C")).await;
    assert_eq!(third.status, 403);
    assert!(third.json["message"].as_str().unwrap().starts_with("You have exceeded a secondary rate limit"));
    assert!((1..=60).contains(&third.header("retry-after").parse::<u64>().unwrap()));
    running.advance(61);
    assert_eq!(http.github(Method::POST, path, body("C")).await.status, 201);
    running.edit(json!({"github": {"limits": {"core": 3}}})).unwrap();
    let over = http.github(Method::GET, path, None).await;
    assert_eq!((over.status, over.header("x-ratelimit-remaining")), (403, "0".to_owned()));
    assert_eq!(http.github(Method::GET, "/rate_limit", None).await.status, 200);
}

#[tokio::test]
async fn environments_are_cloned_and_know_who_imports_them() {
    let (_running, http) = world(json!({"esc": {"environments": {
        "o/p/base": {"text": "values: {s: {fn::secret: marker}, n: 1}", "tags": {"team": "ops"}},
        "o/p/user": "imports: [p/base, p/base@2]\nvalues: {m: '${n}'}\n",
        "o/default/other": "imports: [base]\nvalues: {}\n"
    }}}))
    .await;
    let base = "/api/esc/environments/o/p/base";
    let referrers = http.pulumi(Method::GET, &format!("{base}/referrers?count=500"), "", None).await.json;
    let user = json!([{"environment": {"project": "p", "name": "user", "revision": 2}}]);
    assert_eq!(referrers, json!({"referrers": {"2": user, "latest": user}}));
    let first = http.pulumi(Method::GET, &format!("{base}/referrers?count=1"), "", None).await.json;
    let path = format!("{base}/referrers?count=1&continuationToken={}", first["continuationToken"].as_str().unwrap());
    let second = http.pulumi(Method::GET, &path, "", None).await.json;
    assert_eq!((second["referrers"].as_object().unwrap().len(), second.get("continuationToken")), (1, None));

    let clone = |body: Json| http.pulumi(Method::POST, "/api/esc/environments/o/p/base/clone", "", Some(body));
    assert_eq!(clone(json!({"project": "q", "name": "copy", "preserveEnvironmentTags": true})).await.status, 204);
    assert_eq!(clone(json!({"project": "q", "name": "copy"})).await.status, 409);
    assert_eq!(clone(json!({"name": "no/name"})).await.status, 400);
    assert_eq!(clone(json!({"name": "late", "version": 9})).await.status, 404);
    let copy = "/api/esc/environments/o/q/copy";
    let text = http.pulumi(Method::GET, &format!("{copy}/decrypt"), "", None).await;
    assert_eq!(text.text, "values: {s: {fn::secret: marker}, n: 1}");
    assert_eq!(http.pulumi(Method::GET, &format!("{copy}/tags/team"), "", None).await.json["value"], "ops");
}

#[tokio::test]
async fn a_check_with_errors_answers_what_it_could_evaluate() {
    let (_running, http) = world(json!({"esc": {"environments": {}}})).await;
    let path = "/api/esc/environments/o/yaml/check";
    let faulty = http.post_text(path, "values: {a: '${none}', b: 1}").await;
    assert_eq!((faulty.status, &faulty.json["properties"]["b"]["value"]), (200, &json!(1)));
    assert_eq!(faulty.json["diagnostics"].as_array().unwrap().len(), 1);
    assert!(faulty.json["exprs"]["a"].is_object(), "the CLI looks a path up there");
    let broken = http.post_text(path, "values: [").await;
    assert_eq!((broken.status, &broken.json["code"]), (400, &json!(400)));
}

/// Not in the description of GitHub's API that tests/openapi judges by, which is cut to what concerns secrets.
#[tokio::test]
async fn workflow_runs_are_listed_by_state_and_time_for_who_may_read_actions() {
    let (_running, mut http) = world(json!({"github": {
        "repositories": {"o/r": {"runs": [
            {"status": "queued", "created_at": "2026-01-01T00:00:00Z"},
            {"status": "queued", "created_at": "2026-01-03T00:00:00Z"},
            {"status": "completed", "created_at": "2026-01-01T00:00:00Z"}
        ]}},
        "tokens": {"secrets-only": {"kind": "fine-grained", "permissions": {"secrets": "read"}}}
    }}))
    .await;
    let runs = "/repos/o/r/actions/runs";
    let listed = http.github(Method::GET, runs, None).await.json;
    assert_eq!((&listed["total_count"], &listed["workflow_runs"][0]["conclusion"]), (&json!(3), &json!("success")));
    let narrow = format!("{runs}?status=queued&created=%3C%3D2026-01-02T00%3A00%3A00Z");
    let listed = http.github(Method::GET, &narrow, None).await.json;
    assert_eq!(listed["total_count"], 1);
    assert_eq!(listed["workflow_runs"][0]["run_started_at"], "2026-01-01T00:00:00Z");
    assert_eq!(http.github(Method::GET, &format!("{runs}?created=yesterday"), None).await.status, 422);
    http.token = "secrets-only".to_owned();
    assert_eq!(http.github(Method::GET, runs, None).await.status, 403);
}
