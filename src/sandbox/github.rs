//! The loopback GitHub: its state, and the way from a request to the part that answers it.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::exchange::{Call, Reply};
use super::github_access::{Access, Grant, Need, error, not_found};
use super::github_app::App as GithubApp;
use super::github_entries::{listed, not_json, page};
use super::github_repository::{Environment, Repository, account};
use super::github_store::Store;
use crate::base::target::{App, EntryKind};

/// Whose a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Folded `owner/name`.
    Repository(String),
    /// Folded `owner/name`, folded environment name.
    Environment(String, String),
    /// Login as typed.
    Organization(String),
    User,
}

/// One store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub holder: Holder,
    pub app: App,
    pub kind: EntryKind,
}

impl Address {
    /// How many entries the store takes (github-api.md §2).
    #[must_use]
    pub fn limit(&self) -> usize {
        match (&self.holder, self.kind) {
            (Holder::Organization(_), _) if self.app != App::Codespaces => 1_000,
            (Holder::Repository(_), EntryKind::Variable) => 500,
            _ => 100,
        }
    }

    /// What a token needs for it (github-api.md §3.1; agents: by analogy).
    fn needs(&self, level: &'static str) -> Vec<Need> {
        let organization = matches!(self.holder, Holder::Organization(_));
        let name = match (self.app, self.kind, organization) {
            (App::Actions, EntryKind::Secret, false) => "secrets",
            (App::Actions, EntryKind::Variable, false) => "actions_variables",
            (App::Dependabot, _, false) => "dependabot_secrets",
            (App::Codespaces, _, false) if self.holder == Holder::User => "codespaces_user_secrets",
            (App::Codespaces, _, false) => "codespaces_secrets",
            (App::Agents, EntryKind::Secret, false) => "agents_secrets",
            (App::Agents, EntryKind::Variable, false) => "agents_variables",
            (App::Actions, EntryKind::Secret, true) => "organization_secrets",
            (App::Actions, EntryKind::Variable, true) => "organization_actions_variables",
            (App::Dependabot, _, true) => "organization_dependabot_secrets",
            (App::Codespaces, _, true) => "organization_codespaces_secrets",
            (App::Agents, EntryKind::Secret, true) => "organization_agents_secrets",
            (App::Agents, EntryKind::Variable, true) => "organization_agents_variables",
        };
        match self.holder {
            Holder::Environment(..) => vec![(name, level), ("environments", level)],
            _ => vec![(name, level)],
        }
    }
}

#[derive(Default)]
pub struct Organization {
    pub login: String,
    pub secrets: BTreeMap<App, Store>,
    pub variables: BTreeMap<App, Store>,
    pub audit_log: Vec<Json>,
}

impl Organization {
    fn show(&self, call: &Call) -> Json {
        let mut shown = account(call, &self.login, 1, "Organization");
        shown["url"] = json!(call.url(&["orgs", &self.login]));
        shown["repos_url"] = json!(call.url(&["orgs", &self.login, "repos"]));
        shown["avatar_url"] = json!(format!("https://avatars.githubusercontent.com/{}", self.login));
        shown["description"] = Json::Null;
        for time in ["created_at", "updated_at"] {
            shown[time] = json!("2020-01-01T00:00:00Z");
        }
        shown
    }
}

/// Everything that the loopback GitHub holds.
#[derive(Default)]
pub struct Github {
    /// By folded `owner/name`.
    pub repositories: BTreeMap<String, Repository>,
    /// Folded former names to folded names.
    pub renamed: BTreeMap<String, String>,
    /// By folded login.
    pub organizations: BTreeMap<String, Organization>,
    pub user_secrets: Store,
    pub access: Access,
    /// By app id.
    pub apps: BTreeMap<u64, GithubApp>,
    last_id: u64,
}

fn word_kind(word: &str) -> Option<EntryKind> {
    match word {
        "secrets" => Some(EntryKind::Secret),
        "variables" => Some(EntryKind::Variable),
        _ => None,
    }
}

fn app_kind(app: &str, word: &str) -> Option<(App, EntryKind)> {
    let app = App::ALL.into_iter().find(|known| known.word() == app)?;
    let kind = word_kind(word)?;
    (kind == EntryKind::Secret || matches!(app, App::Actions | App::Agents)).then_some((app, kind))
}

impl Github {
    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        1_000 + self.last_id
    }

    pub fn store_mut(&mut self, address: &Address) -> Option<&mut Store> {
        let pick = |secrets, variables| if address.kind == EntryKind::Secret { secrets } else { variables };
        match &address.holder {
            Holder::User => Some(&mut self.user_secrets),
            Holder::Organization(login) => {
                let organization = self.organizations.get_mut(&login.to_ascii_lowercase())?;
                let stores: &mut BTreeMap<App, Store> = pick(&mut organization.secrets, &mut organization.variables);
                Some(stores.entry(address.app).or_default())
            }
            Holder::Repository(key) => {
                let repository = self.repositories.get_mut(key)?;
                let stores: &mut BTreeMap<App, Store> = pick(&mut repository.secrets, &mut repository.variables);
                Some(stores.entry(address.app).or_default())
            }
            Holder::Environment(key, name) => {
                let environment = self.repositories.get_mut(key)?.environments.get_mut(name)?;
                Some(if address.kind == EntryKind::Secret {
                    &mut environment.secrets
                } else {
                    &mut environment.variables
                })
            }
        }
    }

    /// Replaces the key pair of the store whose `public-key` path this is.
    pub fn rotate_key(&mut self, call: &Call) {
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        let segments = match segments.as_slice() {
            ["api", "v3", rest @ ..] | rest => rest,
        };
        let address = match segments {
            ["orgs", login, app, kind, ..] => app_kind(app, kind).map(|(app, kind)| Address {
                holder: Holder::Organization((*login).to_owned()),
                app,
                kind,
            }),
            ["repos", owner, name, "environments", environment, "secrets", ..] => Some(Address {
                holder: Holder::Environment(format!("{owner}/{name}").to_ascii_lowercase(), environment.to_lowercase()),
                app: App::Actions,
                kind: EntryKind::Secret,
            }),
            ["repos", owner, name, app, kind, ..] => app_kind(app, kind).map(|(app, kind)| Address {
                holder: Holder::Repository(format!("{owner}/{name}").to_ascii_lowercase()),
                app,
                kind,
            }),
            _ => None,
        };
        if let Some(store) = address.and_then(|address| self.store_mut(&address)) {
            store.rotate_key();
        }
    }

    /// Answers one request.
    pub fn answer(&mut self, call: &Call) -> Reply {
        if let Some(reply) = self.app_routes(call) {
            return reply;
        }
        let mut reply = match self.access.authenticate(call).and_then(|grant| {
            self.access.count(call)?;
            Ok(grant)
        }) {
            Ok(grant) => {
                let mut reply = self.route(call, &grant);
                if let Some(scopes) = &grant.scopes {
                    reply.headers.push(("x-oauth-scopes".to_owned(), scopes.join(", ")));
                }
                reply
            }
            Err(reply) => reply,
        };
        self.access.stamp(call, &mut reply);
        reply
    }

    fn route(&mut self, call: &Call, grant: &Grant) -> Reply {
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        let method = call.method.as_str();
        match (method, segments.as_slice()) {
            ("GET", ["rate_limit"]) => self.access.rate_limit(call),
            ("GET", ["user"]) => Reply::json(200, account(call, &grant.login, 1, "User")),
            ("POST", ["graphql"]) => self.graphql(call, grant),
            ("GET", ["search", "repositories"]) => self.search(call, grant),
            (_, ["installation", rest @ ..]) => self.installation(call, grant, rest),
            ("GET", ["user", "repos"]) => self.repository_list(call, grant, None),
            (_, ["user", "codespaces", "secrets", rest @ ..]) => {
                let address = Address { holder: Holder::User, app: App::Codespaces, kind: EntryKind::Secret };
                self.guarded_entries(call, grant, &address, rest)
            }
            ("GET", ["orgs", login]) => match self.organizations.get(&login.to_ascii_lowercase()) {
                Some(organization) => Reply::json(200, organization.show(call)),
                None => not_found(),
            },
            ("GET", ["orgs", login, "audit-log"]) => self.audit_log(call, grant, login),
            ("GET", ["orgs", login, "repos"]) if !self.organizations.contains_key(&login.to_ascii_lowercase()) => {
                not_found()
            }
            ("GET", ["orgs", login, "repos"]) => self.repository_list(call, grant, Some(login)),
            (_, ["orgs", login, app, kind, rest @ ..]) => match app_kind(app, kind) {
                Some((app, kind)) if self.organizations.contains_key(&login.to_ascii_lowercase()) => {
                    let address = Address { holder: Holder::Organization((*login).to_owned()), app, kind };
                    self.guarded_entries(call, grant, &address, rest)
                }
                _ => not_found(),
            },
            (_, ["repositories", id, rest @ ..]) => {
                let found = self.repositories.values().find(|repository| repository.id.to_string() == *id);
                match found.map(Repository::key) {
                    Some(key) => self.repository(call, grant, &key, rest),
                    None => not_found(),
                }
            }
            (_, ["repos", owner, name, rest @ ..]) => {
                let key = format!("{owner}/{name}").to_ascii_lowercase();
                match self.renamed.get(&key).and_then(|key| self.repositories.get(key)) {
                    Some(repository) if !self.repositories.contains_key(&key) => moved(call, repository.id, rest),
                    _ => self.repository(call, grant, &key, rest),
                }
            }
            _ => not_found(),
        }
    }

    fn guarded_entries(&mut self, call: &Call, grant: &Grant, address: &Address, rest: &[&str]) -> Reply {
        let level = if call.method == http::Method::GET { "read" } else { "write" };
        // Apps reach no Codespaces secrets but those of a repository, and not the key of those (github-api.md §3.1).
        let of_repository = matches!(address.holder, Holder::Repository(_)) && rest != ["public-key"];
        if address.app == App::Codespaces && !of_repository && grant.is_of_an_app() {
            return error(403, "Resource not accessible by integration");
        }
        let repository = match &address.holder {
            Holder::Repository(key) | Holder::Environment(key, _) => self.repositories.get(key),
            _ => None,
        };
        if let Err(reply) = grant.require(&address.needs(level), repository) {
            return reply;
        }
        if level == "write" && repository.is_some_and(|repository| repository.archived) {
            return error(403, "Repository was archived so is read-only.");
        }
        self.entries(call, address, rest)
    }

    /// Everything behind one repository, which may be hidden.
    fn repository(&mut self, call: &Call, grant: &Grant, key: &str, rest: &[&str]) -> Reply {
        let Some(repository) = self.repositories.get(key).filter(|repository| grant.sees(repository)) else {
            return not_found();
        };
        let address = |holder, app, kind| Address { holder, app, kind };
        match (call.method.as_str(), rest) {
            ("GET", []) => Reply::json(200, repository.show(call)),
            ("GET", ["topics"]) => Reply::json(200, json!({"names": repository.topics})),
            (_, ["environments", rest @ ..]) => match rest {
                [environment, kind, rest @ ..] => match word_kind(kind) {
                    Some(kind) => {
                        let holder = Holder::Environment(key.to_owned(), environment.to_lowercase());
                        self.guarded_entries(call, grant, &address(holder, App::Actions, kind), rest)
                    }
                    None => not_found(),
                },
                rest => self.environments(call, grant, key, rest),
            },
            (_, ["issues", rest @ ..]) => self.issues(call, grant, key, rest),
            ("GET", ["actions", "runs"]) => repository.runs(call, grant),
            ("GET", [app, "organization-secrets"]) => self.organization_view(call, grant, key, app, "secrets"),
            ("GET", [app, "organization-variables"]) => self.organization_view(call, grant, key, app, "variables"),
            (_, [app, kind, rest @ ..]) => match app_kind(app, kind) {
                Some((app, kind)) => {
                    let address = address(Holder::Repository(key.to_owned()), app, kind);
                    self.guarded_entries(call, grant, &address, rest)
                }
                None => not_found(),
            },
            _ => not_found(),
        }
    }

    /// What the organization gives to a repository; offered for actions and agents only.
    fn organization_view(&self, call: &Call, grant: &Grant, key: &str, app: &str, kind: &str) -> Reply {
        let Some((app, kind)) = app_kind(app, kind).filter(|(app, _)| matches!(app, App::Actions | App::Agents)) else {
            return not_found();
        };
        let address = Address { holder: Holder::Repository(key.to_owned()), app, kind };
        if let Err(reply) = grant.require(&address.needs("read"), self.repositories.get(key)) {
            return reply;
        }
        self.given_by_organization(call, key, app, kind)
    }

    /// `…/environments` and one of them.
    fn environments(&mut self, call: &Call, grant: &Grant, key: &str, rest: &[&str]) -> Reply {
        let id = self.next_id();
        let Some(repository) = self.repositories.get_mut(key) else { return not_found() };
        let need = if call.method == http::Method::GET { ("actions", "read") } else { ("administration", "write") };
        if let Err(reply) = grant.require(&[need], Some(repository)) {
            return reply;
        }
        let (owner, name) = (repository.owner.clone(), repository.name.clone());
        match (call.method.as_str(), rest) {
            ("GET", []) => {
                let items = repository.environments.values().map(|one| one.show(call, &owner, &name)).collect();
                listed(call, "environments", items, 30, 100)
            }
            ("GET", [environment]) => match repository.environments.get(&environment.to_lowercase()) {
                Some(environment) => Reply::json(200, environment.show(call, &owner, &name)),
                None => not_found(),
            },
            ("PUT", [environment]) => {
                let Some(body) = call.json() else { return not_json() };
                if environment.is_empty() || environment.chars().count() > 255 {
                    return error(422, "Name is too long (maximum is 255 characters)");
                }
                let now = call.second();
                let kept = repository.environments.entry(environment.to_lowercase());
                let kept = kept.or_insert_with(|| Environment::new(id * 10, environment, now));
                if let Err(problem) = kept.replace_rules(&body) {
                    return error(422, &problem);
                }
                kept.updated = now;
                Reply::json(200, kept.show(call, &owner, &name))
            }
            ("DELETE", [environment]) => match repository.environments.remove(&environment.to_lowercase()) {
                Some(_) => Reply::empty(204),
                None => not_found(),
            },
            _ => not_found(),
        }
    }

    /// Of an organization, or of whoever asks.
    fn repository_list(&self, call: &Call, grant: &Grant, login: Option<&str>) -> Reply {
        let wanted = call.parameter("type").unwrap_or("all");
        let shown = self.repositories.values().filter(|repository| {
            login.is_none_or(|login| repository.owner.eq_ignore_ascii_case(login))
                && grant.sees(repository)
                && match wanted {
                    "public" => repository.visibility == "public",
                    "private" => repository.visibility != "public",
                    "forks" => repository.fork,
                    "sources" => !repository.fork,
                    _ => true,
                }
        });
        let (items, link) = page(call, shown.map(|repository| repository.show(call)).collect(), 30, 100);
        let reply = Reply::json(200, Json::Array(items));
        match link {
            Some(link) => reply.header("link", link),
            None => reply,
        }
    }
}

/// A renamed repository: 301 for reads, 307 for the rest (github-api.md §1.0).
fn moved(call: &Call, id: u64, rest: &[&str]) -> Reply {
    let id = id.to_string();
    let mut segments = vec!["repositories", id.as_str()];
    segments.extend(rest);
    let url = call.url(&segments);
    let (status, message) =
        if call.method == http::Method::GET { (301, "Moved Permanently") } else { (307, "Temporary Redirect") };
    let body = json!({"message": message, "url": url, "documentation_url": "https://docs.github.com/rest"});
    Reply::json(status, body).header("location", url)
}
