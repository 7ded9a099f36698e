//! OIDC: the id token of a GitHub job, its exchange for a Pulumi token, and the audit log
//! (esc-api.md §§4.9, 7).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;
use serde_json::{Value as Json, json};

use super::esc::{Account, Esc, error};
use super::exchange::{Call, Reply};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const SUBJECT: &str = "urn:ietf:params:oauth:token-type:id_token";
const REQUESTED: &str = "urn:pulumi:token-type:access_token:";

/// Errors of the exchange are OAuth's, not Pulumi's.
fn refused(status: u16, code: &str, description: &str) -> Reply {
    Reply::json(status, json!({"error": code, "error_description": description}))
}

impl Esc {
    /// What a runner answers at `ACTIONS_ID_TOKEN_REQUEST_URL`. The token is not signed: nobody here checks it.
    pub fn id_token(&self, call: &Call) -> Reply {
        let given = call.header("authorization").and_then(|header| header.split_once(' ')).map(|(_, token)| token);
        if given != Some(self.request_token.as_str()) {
            return Reply::json(401, json!({"message": "Unauthorized"}));
        }
        let now = call.now.as_second();
        let claims = json!({
            "iss": "https://token.actions.githubusercontent.com", "aud": call.parameter("audience").unwrap_or("https://github.com/payready"),
            "sub": "repo:payready/sophia:ref:refs/heads/main", "iat": now, "exp": now + 300
        });
        let part = |json: &Json| URL_SAFE_NO_PAD.encode(json.to_string());
        let token = format!("{}.{}.sandbox", part(&json!({"alg": "none", "typ": "JWT"})), part(&claims));
        Reply::json(200, json!({"value": token}))
    }

    /// `POST /api/oauth/token`, as JSON or as a form.
    pub fn exchange_token(&mut self, call: &Call) -> Reply {
        let body = call.json().unwrap_or_else(|| {
            url::form_urlencoded::parse(&call.body).map(|(key, value)| (key.into_owned(), json!(value))).collect()
        });
        let text = |name: &str| body.get(name).and_then(Json::as_str).unwrap_or_default();
        if text("grant_type") != GRANT || text("subject_token_type") != SUBJECT {
            return refused(400, "unsupported_grant_type", "expected a token exchange of an id token");
        }
        let Some(organization) = text("audience").strip_prefix("urn:pulumi:org:") else {
            return refused(400, "invalid_request", "audience must be urn:pulumi:org:ORGANIZATION");
        };
        let claims = text("subject_token").split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let claims: Json = claims.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
        if claims["aud"] != text("audience") || claims["exp"].as_i64().is_none_or(|end| end <= call.now.as_second()) {
            return refused(401, "invalid_token", "the id token is expired or was made for another audience");
        }
        let kind = text("requested_token_type").strip_prefix(REQUESTED).unwrap_or_default();
        let scope = text("scope");
        let fits = match kind {
            "organization" => scope.is_empty() || scope == "admin",
            "team" => scope.starts_with("team:"),
            "personal" => scope.starts_with("user:"),
            "runner" => scope.starts_with("runner:"),
            _ => return refused(400, "invalid_request", "requested_token_type is not known"),
        };
        if !fits {
            return refused(400, "invalid_scope", "the scope does not fit the token type");
        }
        let seconds = body.get("expiration").and_then(|given| given.as_i64().or_else(|| given.as_str()?.parse().ok()));
        let seconds = seconds.unwrap_or(7_200);
        let token = format!("pul-sandbox-oidc-{}", self.next_id());
        let account = Account {
            login: scope.split_once(':').map_or(organization, |(_, name)| name).to_owned(),
            organizations: Some(vec![organization.to_owned()]),
            permission: "admin".to_owned(),
            expires: call.now.checked_add(SignedDuration::from_secs(seconds)).ok(),
        };
        self.accounts.insert(token.clone(), account);
        Reply::json(
            200,
            json!({
                "access_token": token, "issued_token_type": text("requested_token_type"), "token_type": "token",
                "expires_in": seconds, "scope": scope
            }),
        )
    }

    /// Entries older than `startTime`, newest first.
    pub fn audit_logs(&self, call: &Call, account: &Account, organization: &str) -> Reply {
        if !account.sees(organization) {
            return error(404, "Not Found: organization");
        }
        if let Err(reply) = account.require("admin") {
            return reply;
        }
        let number = |name: &str| call.parameter(name).and_then(|text| text.parse::<i64>().ok());
        let Some(start) = number("startTime").or_else(|| number("continuationToken")) else {
            return error(400, "Bad Request: startTime or continuationToken is required");
        };
        let time = |event: &Json| event["timestamp"].as_i64().unwrap_or(0);
        let end = number("endTime").unwrap_or(i64::MIN);
        let mut events: Vec<&Json> = self.audit_log.get(organization).into_iter().flatten().collect();
        events.retain(|event| time(event) < start && time(event) >= end);
        if let Some(filter) = call.parameter("eventFilter") {
            events.retain(|event| event["event"] == filter);
        }
        events.sort_by_key(|event| std::cmp::Reverse(time(event)));
        let page: Vec<&Json> = events.iter().take(100).copied().collect();
        let mut answer = json!({"auditLogEvents": page});
        if events.len() > page.len() {
            answer["continuationToken"] = json!(page.last().map_or(0, |event| time(event)).to_string());
        }
        Reply::json(200, answer)
    }
}
