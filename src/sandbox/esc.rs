//! The loopback Pulumi Cloud: accounts, environments, and the way from a request to its answer.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::esc_crypter::Crypter;
use super::esc_environment::Environment;
use super::esc_keeper::{Keeper, refused};
use super::esc_teams::Teams;
use super::exchange::{Call, Reply, whole_second};
use super::seed::{EscEnvironmentDetails, EscEnvironmentSeed, EscSeed, EscTokenSeed};
use crate::base::environment::EscName;
use crate::base::error::Outcome;
use crate::io::esc_local::EscLocal;

/// `organization`, `project`, `environment`.
pub type Key = (String, String, String);

/// What a token of Pulumi Cloud stands for.
#[derive(Debug, Clone)]
pub struct Account {
    pub login: String,
    /// None: all that exist.
    pub organizations: Option<Vec<String>>,
    /// `read`, `open`, `write` or `admin`.
    pub permission: String,
    pub expires: Option<Timestamp>,
}

/// An environment that was opened, evaluated.
pub struct Session {
    /// Whose it is; the project and environment of an anonymous one are empty.
    pub key: Key,
    pub value: Json,
    pub expires: Timestamp,
}

/// Everything that the loopback Pulumi Cloud holds.
pub struct Esc {
    pub environments: BTreeMap<Key, Environment>,
    pub sessions: BTreeMap<String, Session>,
    pub accounts: BTreeMap<String, Account>,
    pub audit_log: BTreeMap<String, Vec<Json>>,
    pub teams: Teams,
    pub request_token: String,
    pub keeper: Keeper,
    last_id: u64,
}

/// The error body; **`code` must be in it**, because clients ignore the HTTP status (esc-api.md §2.3).
#[must_use]
pub fn error(status: u16, message: &str) -> Reply {
    Reply::json(status, json!({"code": status, "message": message}))
}

/// 400 with diagnostics.
#[must_use]
pub fn diagnosed(diagnostics: &[Json]) -> Reply {
    Reply::json(400, json!({"code": 400, "message": "Bad Request: environment has errors", "diagnostics": diagnostics}))
}

impl Account {
    #[must_use]
    pub fn sees(&self, organization: &str) -> bool {
        self.organizations.as_ref().is_none_or(|all| all.iter().any(|one| one == organization))
    }

    /// # Errors
    /// The 403 to answer.
    pub fn require(&self, permission: &str) -> Result<(), Reply> {
        let rank = |word: &str| match word {
            "read" => 1,
            "open" => 2,
            "write" => 3,
            _ => 4,
        };
        if rank(&self.permission) >= rank(permission) {
            return Ok(());
        }
        Err(error(403, &format!("Forbidden: token lacks permission environment:{permission}")))
    }
}

impl Esc {
    /// With a `store`, environments are kept there, else in memory.
    #[must_use]
    pub fn new(request_token: &str, store: Option<EscLocal>) -> Self {
        Self {
            environments: BTreeMap::new(),
            sessions: BTreeMap::new(),
            accounts: BTreeMap::new(),
            audit_log: BTreeMap::new(),
            teams: BTreeMap::new(),
            request_token: request_token.to_owned(),
            keeper: store.map_or_else(|| Keeper::Memory(Crypter::new()), Keeper::Folder),
            last_id: 0,
        }
    }

    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Answers one request.
    pub fn answer(&mut self, call: &Call) -> Reply {
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        let method = call.method.as_str();
        match (method, segments.as_slice()) {
            ("GET", ["_actions", "id-token"]) => return self.id_token(call),
            ("POST", ["api", "oauth", "token"]) => return self.exchange_token(call),
            ("GET", ["api", "capabilities"]) => return Reply::json(200, json!({"capabilities": []})),
            _ => {}
        }
        let token = call.header("authorization").and_then(|header| header.strip_prefix("token "));
        let account = token.and_then(|token| self.accounts.get(token));
        let Some(account) = account.filter(|account| account.expires.is_none_or(|end| end > call.now)).cloned() else {
            return error(401, "Unauthorized: No credentials provided or are invalid.");
        };
        if let Err(failure) = self.refresh() {
            return refused(&failure);
        }
        match (method, segments.as_slice()) {
            ("GET", ["api", "user"]) => Reply::json(200, self.user(&account)),
            ("GET", ["api", "user", "organizations", "default"]) => match self.organizations(&account).first() {
                Some(organization) => Reply::json(200, json!({"gitHubLogin": organization})),
                None => error(404, "Not Found: no default organization"),
            },
            ("GET", ["api", "orgs", organization, "auditlogs"]) => self.audit_logs(call, &account, organization),
            ("GET", ["api", "orgs", organization, "teams"]) => self.teams(&account, organization, None),
            ("GET", ["api", "orgs", organization, "teams", team]) => self.teams(&account, organization, Some(team)),
            (_, ["api", "esc", "environments", rest @ ..]) => self.environments(call, &account, rest),
            _ => error(404, "Not Found"),
        }
    }

    /// Every organization that has an environment or that the token names.
    fn organizations(&self, account: &Account) -> Vec<String> {
        let mut all: Vec<String> = account.organizations.clone().unwrap_or_default();
        all.extend(self.environments.keys().map(|key| key.0.clone()).filter(|one| account.sees(one)));
        all.sort();
        all.dedup();
        all
    }

    fn user(&self, account: &Account) -> Json {
        let organizations: Vec<Json> = self
            .organizations(account)
            .iter()
            .map(|name| json!({"name": name, "githubLogin": name, "avatarUrl": ""}))
            .collect();
        json!({
            "id": "sandbox", "githubLogin": account.login, "name": account.login, "email": "", "avatarUrl": "",
            "organizations": organizations, "identities": [], "siteAdmin": false
        })
    }

    /// Merges a seed: the start of a world, or an edit from outside.
    ///
    /// # Errors
    /// A sentence when a name is not an environment's, or the store cannot take it.
    pub fn apply(&mut self, seed: &EscSeed, now: Timestamp) -> Result<(), String> {
        let now = whole_second(now);
        for (token, account) in &seed.tokens {
            match account {
                Some(account) => self.accounts.insert(token.clone(), account.into()),
                None => self.accounts.remove(token),
            };
        }
        for (organization, events) in &seed.audit_log {
            self.audit_log.entry(organization.clone()).or_default().extend(events.iter().cloned());
        }
        for (organization, teams) in &seed.teams {
            let known = self.teams.entry(organization.clone()).or_default();
            for (team, permissions) in teams {
                match permissions {
                    Some(permissions) => known.insert(team.clone(), permissions.clone()),
                    None => known.remove(team),
                };
            }
        }
        for (name, seed) in &seed.environments {
            let parsed: EscName = name.parse().map_err(|_| format!("`{name}` is no name"))?;
            let key = (parsed.organization, parsed.project, parsed.environment);
            let details = match seed {
                None => None,
                Some(EscEnvironmentSeed::Text(text)) => {
                    Some(EscEnvironmentDetails { text: Some(text.clone()), ..EscEnvironmentDetails::default() })
                }
                Some(EscEnvironmentSeed::Full(details)) => Some(details.clone()),
            };
            self.seed(&key, details.as_ref(), now).map_err(|failure| failure.to_string())?;
        }
        Ok(())
    }

    fn seed(&mut self, key: &Key, details: Option<&EscEnvironmentDetails>, now: Timestamp) -> Outcome<()> {
        self.refresh()?;
        let there = self.environments.contains_key(key);
        let Some(details) = details else { return if there { self.drop_environment(key) } else { Ok(()) } };
        if !there {
            self.make(key, "sandbox", now)?;
        }
        if let Some(text) = &details.text {
            self.write(key, text, "sandbox", now)?;
        }
        let Some(environment) = self.environments.get_mut(key) else { return Ok(()) };
        let before = environment.labels.clone();
        environment.seed_labels(details, now);
        self.keep_labels(key, &before)
    }

    /// Everything in clear, in the shape of a seed.
    #[must_use]
    pub fn state(&self) -> Json {
        let environments: Map<String, Json> = self
            .environments
            .iter()
            .map(|((organization, project, name), one)| {
                let key = (organization.clone(), project.clone(), name.clone());
                let in_clear = |text: &str| self.in_clear(&key, text).unwrap_or_else(|_| text.to_owned());
                (format!("{organization}/{project}/{name}"), one.state(in_clear))
            })
            .collect();
        json!({"environments": environments})
    }
}

impl From<&EscTokenSeed> for Account {
    fn from(seed: &EscTokenSeed) -> Self {
        Self {
            login: seed.login.clone().unwrap_or_else(|| "sandbox".to_owned()),
            organizations: seed.organizations.clone(),
            permission: seed.permission.clone().unwrap_or_else(|| "admin".to_owned()),
            expires: None,
        }
    }
}
