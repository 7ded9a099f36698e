//! GitHub Apps: the JWT that they sign, their installations, and the tokens of those (github-api.md §§1.10, 3.4).

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value as Json, json};

use super::exchange::{Call, Reply};
use super::github::Github;
use super::github_access::{Access, Grant, TokenKind, error, not_found};
use super::github_entries::{listed, not_json};
use super::github_repository::account;
use super::seed::AppSeed;

pub struct App {
    pub slug: String,
    /// DER of PKCS#1.
    public_key: Vec<u8>,
    pub created: Timestamp,
    installations: Vec<Installation>,
}

#[derive(Clone)]
struct Installation {
    id: u64,
    account: String,
    permissions: BTreeMap<String, String>,
    /// Folded `owner/name`s; none for all of the account.
    repositories: Option<BTreeSet<String>>,
}

/// How long an installation token lives, in seconds.
const TOKEN_LIFE: i64 = 3_600;
/// How far ahead a JWT may end, in seconds, with a little for clocks that differ.
const LONGEST_JWT: i64 = 600 + 60;

/// The algorithm identifier of an RSA key, which stands before the key in a `PUBLIC KEY`.
const RSA: [u8; 15] = [0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];

/// The PKCS#1 DER in a PEM of either kind.
fn public_key(pem: &str) -> Option<Vec<u8>> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).flat_map(str::chars).collect();
    let der = STANDARD.decode(body.replace(char::is_whitespace, "")).ok()?;
    let Some(at) = der.windows(RSA.len()).position(|window| window == RSA) else { return Some(der) };
    // A BIT STRING follows: tag, length in one byte or in as many as its low bits say, no unused bits.
    let rest = der.get(at + RSA.len()..)?;
    let long = usize::from(rest.get(1)?.checked_sub(0x80).unwrap_or(0));
    rest.get(3 + long..).map(<[u8]>::to_vec)
}

impl App {
    /// Merges a seed; `next_id` numbers the installations.
    ///
    /// # Errors
    /// A sentence when the key is not PEM.
    pub fn new(seed: &AppSeed, now: Timestamp, mut next_id: impl FnMut() -> u64) -> Result<Self, String> {
        let public_key = public_key(&seed.public_key).ok_or("the public key of an app is not PEM")?;
        let installations = seed.installations.iter().map(|(account, installation)| Installation {
            id: next_id(),
            account: account.clone(),
            permissions: installation.permissions.clone(),
            repositories: installation
                .repositories
                .as_ref()
                .map(|names| names.iter().map(|name| format!("{account}/{name}").to_ascii_lowercase()).collect()),
        });
        Ok(Self { slug: seed.slug.clone(), public_key, created: now, installations: installations.collect() })
    }

    /// Whether `token` is a JWT that this app signed and that is in force.
    fn signed(&self, id: u64, token: &str, now: i64) -> Result<(), &'static str> {
        let unreadable = "A JSON web token could not be decoded";
        let (signed, signature) = token.rsplit_once('.').ok_or(unreadable)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| unreadable)?;
        let claims = signed.split_once('.').map(|(_, claims)| claims).ok_or(unreadable)?;
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| unreadable)?;
        let claims: Json = serde_json::from_slice(&claims).map_err(|_| unreadable)?;
        let issuer = claims["iss"].as_str().map_or_else(|| claims["iss"].to_string(), str::to_owned);
        if issuer != id.to_string() {
            return Err("Integration not found");
        }
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key)
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| unreadable)?;
        let time = |name: &str| claims[name].as_i64().unwrap_or(0);
        if time("iat") > now + 60 {
            return Err(
                "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
            );
        }
        if time("exp") <= now {
            return Err(
                "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
            );
        }
        if time("exp") > now + LONGEST_JWT {
            return Err("'Expiration time' claim ('exp') is too far in the future");
        }
        Ok(())
    }
}

impl Github {
    /// Answers what an app asks with its JWT; none when the request is for somebody else.
    pub fn app_routes(&mut self, call: &Call) -> Option<Reply> {
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        let wanted = matches!(
            (call.method.as_str(), segments.as_slice()),
            (
                "GET",
                ["app"]
                    | ["app", "installations"]
                    | ["orgs" | "users", _, "installation"]
                    | ["repos", _, _, "installation"]
            ) | ("POST", ["app", "installations", _, "access_tokens"])
        );
        if !wanted {
            return None;
        }
        let Some(token) = Access::token(call) else {
            return Some(error(401, "A JSON web token could not be decoded"));
        };
        let mut problem = "Integration not found";
        let mut found = None;
        for (id, app) in &self.apps {
            match app.signed(*id, token, call.now.as_second()) {
                Ok(()) => found = Some(*id),
                Err(why) if why != "Integration not found" => problem = why,
                Err(_) => {}
            }
        }
        let Some(id) = found else { return Some(error(401, problem)) };
        Some(self.app_route(call, id, &segments))
    }

    fn app_route(&mut self, call: &Call, id: u64, segments: &[&str]) -> Reply {
        let Some(app) = self.apps.get(&id) else { return not_found() };
        let of = |account: &str| app.installations.iter().find(|one| one.account.eq_ignore_ascii_case(account));
        match segments {
            ["app"] => Reply::json(
                200,
                json!({
                    "id": id, "slug": app.slug, "node_id": format!("A_{id}"), "name": app.slug, "description": null,
                    "owner": account(call, "payready", 1, "Organization"),
                    "html_url": format!("https://github.com/apps/{}", app.slug), "external_url": "https://example.com",
                    "created_at": app.created, "updated_at": app.created, "permissions": {}, "events": []
                }),
            ),
            ["app", "installations"] => {
                Reply::json(200, app.installations.iter().map(|one| show(call, id, app, one)).collect())
            }
            ["orgs" | "users", login, "installation"] => match of(login) {
                Some(installation) => Reply::json(200, show(call, id, app, installation)),
                None => not_found(),
            },
            ["repos", owner, name, "installation"] => {
                let key = format!("{owner}/{name}").to_ascii_lowercase();
                let known = self.repositories.contains_key(&key);
                let reaches = |one: &&Installation| one.repositories.as_ref().is_none_or(|names| names.contains(&key));
                match of(owner).filter(reaches) {
                    Some(installation) if known => Reply::json(200, show(call, id, app, installation)),
                    _ => not_found(),
                }
            }
            ["app", "installations", number, "access_tokens"] => {
                let installation = app.installations.iter().find(|one| one.id.to_string() == *number).cloned();
                match installation {
                    Some(installation) => self.mint(call, &installation),
                    None => not_found(),
                }
            }
            _ => not_found(),
        }
    }

    /// A token for an installation, or for a part of what it may do.
    fn mint(&mut self, call: &Call, installation: &Installation) -> Reply {
        let Some(body) = call.json() else { return not_json() };
        let mut permissions = installation.permissions.clone();
        if let Some(wanted) = body.get("permissions").and_then(Json::as_object) {
            let beyond = wanted.iter().any(|(name, level)| match (permissions.get(name), level.as_str()) {
                (Some(given), Some(level)) => level == "write" && given == "read",
                _ => true,
            });
            if beyond {
                return error(422, "The permissions requested are not granted to this installation.");
            }
            permissions =
                wanted.iter().filter_map(|(name, level)| Some((name.clone(), level.as_str()?.to_owned()))).collect();
        }
        let mut repositories = installation.repositories.clone();
        let by_name = body.get("repositories").and_then(Json::as_array).map(|names| {
            let full = |name: &Json| Some(format!("{}/{}", installation.account, name.as_str()?).to_ascii_lowercase());
            names.iter().filter_map(full).collect::<BTreeSet<String>>()
        });
        let by_id = body.get("repository_ids").and_then(Json::as_array).map(|ids| {
            let key =
                |id: &Json| self.repositories.values().find(|one| Some(one.id) == id.as_u64()).map(|one| one.key());
            ids.iter().map(|id| key(id).unwrap_or_default()).collect::<BTreeSet<String>>()
        });
        if let Some(wanted) = by_name.or(by_id) {
            let reaches = |key: &String| {
                self.repositories.contains_key(key)
                    && installation.repositories.as_ref().is_none_or(|all| all.contains(key))
            };
            if !wanted.iter().all(reaches) {
                return error(
                    422,
                    "There is at least one repository that does not exist or is not accessible to the parent installation.",
                );
            }
            repositories = Some(wanted);
        }
        let token = format!("ghs_sandbox{}", self.next_id());
        let expires = call.second().checked_add(SignedDuration::from_secs(TOKEN_LIFE)).unwrap_or(call.now);
        let selection = if repositories.is_some() { "selected" } else { "all" };
        // Without a list a token still sees the repositories of its account only.
        let account = format!("{}/", installation.account).to_ascii_lowercase();
        let all = || self.repositories.keys().filter(|key| key.starts_with(&account)).cloned().collect();
        let grant = Grant {
            kind: TokenKind::Installation,
            login: "app[bot]".to_owned(),
            permissions: Some(permissions.clone()),
            scopes: None,
            repositories: Some(repositories.unwrap_or_else(all)),
            expires: Some(expires),
        };
        self.access.grants.insert(token.clone(), grant);
        Reply::json(
            201,
            json!({
                "token": token, "expires_at": expires, "permissions": permissions, "repository_selection": selection
            }),
        )
    }

    /// What an installation token asks about itself.
    pub fn installation(&mut self, call: &Call, grant: &Grant, rest: &[&str]) -> Reply {
        if grant.kind != TokenKind::Installation {
            return error(
                403,
                "You must authenticate with an installation access token in order to list repositories for an installation.",
            );
        }
        match (call.method.as_str(), rest) {
            ("GET", ["repositories"]) => {
                let reached = self.repositories.values().filter(|repository| {
                    grant.repositories.as_ref().is_none_or(|names| names.contains(&repository.key()))
                });
                listed(call, "repositories", reached.map(|one| one.show(call)).collect(), 30, 100)
            }
            ("DELETE", ["token"]) => {
                if let Some(token) = Access::token(call) {
                    self.access.grants.remove(token);
                }
                Reply::empty(204)
            }
            _ => not_found(),
        }
    }
}

fn show(call: &Call, id: u64, app: &App, installation: &Installation) -> Json {
    let number = installation.id.to_string();
    json!({
        "id": installation.id, "account": account(call, &installation.account, 1, "Organization"),
        "repository_selection": if installation.repositories.is_some() { "selected" } else { "all" },
        "access_tokens_url": call.url(&["app", "installations", &number, "access_tokens"]),
        "repositories_url": call.url(&["installation", "repositories"]),
        "html_url": format!("https://github.com/organizations/{}/settings/installations/{number}", installation.account),
        "app_id": id, "app_slug": app.slug, "target_id": 1, "target_type": "Organization",
        "permissions": installation.permissions, "events": [], "created_at": app.created, "updated_at": app.created,
        "single_file_name": null, "has_multiple_single_files": false, "single_file_paths": [], "suspended_by": null,
        "suspended_at": null
    })
}
