//! Finding things across repositories: search, GraphQL as `gh` asks it, what organizations give to a
//! repository, the audit log (github-api.md §§1.2, 1.6–1.8, 8.2).

use regex::Regex;
use serde_json::{Map, Value as Json, json};

use super::exchange::{Call, Reply};
use super::github::{Address, Github, Holder};
use super::github_access::{Grant, error, not_found};
use super::github_entries::{listed, not_json, page, show};
use super::github_repository::Repository;
use crate::base::target::{App, EntryKind};

impl Github {
    /// `GET /search/repositories`: the qualifiers org, user, topic, archived, fork, is and in-name words.
    pub fn search(&self, call: &Call, grant: &Grant) -> Reply {
        let Some(query) = call.parameter("q").filter(|query| !query.is_empty() && query.chars().count() <= 256) else {
            return error(422, "Validation Failed");
        };
        let fits = |repository: &Repository, word: &str| {
            let (qualifier, value) = word.split_once(':').unwrap_or(("", word));
            let value = value.to_lowercase();
            match qualifier {
                "org" | "user" => repository.owner.to_lowercase() == value,
                "repo" => repository.key() == value,
                "topic" => repository.topics.contains(&value),
                "archived" => repository.archived.to_string() == value,
                "fork" => value == "true" || repository.fork.to_string() == value,
                "is" => repository.visibility == value,
                _ => repository.name.to_lowercase().contains(&value),
            }
        };
        let found = self
            .repositories
            .values()
            .filter(|repository| grant.sees(repository) && query.split_whitespace().all(|word| fits(repository, word)));
        let items: Vec<Json> = found
            .map(|repository| {
                let mut shown = repository.show(call);
                shown["score"] = json!(1.0);
                shown
            })
            .collect();
        let total = items.len();
        let (items, link) = page(call, items, 30, 100);
        let reply = Reply::json(200, json!({"total_count": total, "incomplete_results": false, "items": items}));
        match link {
            Some(link) => reply.header("link", link),
            None => reply,
        }
    }

    /// `POST /graphql`, as far as `gh` needs it: aliases of `repository(owner:…, name:…) { databaseId }`.
    pub fn graphql(&self, call: &Call, grant: &Grant) -> Reply {
        let Some(body) = call.json() else { return not_json() };
        let query = body["query"].as_str().unwrap_or_default();
        // The pattern is fixed; were it wrong, the answer below would be empty.
        let Ok(pattern) = Regex::new(r#"(\w+)\s*:\s*repository\(owner:\s*"([^"]*)",\s*name:\s*"([^"]*)"\)"#) else {
            return error(500, "");
        };
        let (mut data, mut errors) = (Map::new(), Vec::new());
        for found in pattern.captures_iter(query) {
            let [alias, owner, name] = found.extract().1;
            let repository = self.repositories.get(&format!("{owner}/{name}").to_ascii_lowercase());
            match repository.filter(|repository| grant.sees(repository)) {
                Some(repository) => {
                    data.insert(
                        alias.to_owned(),
                        json!({"databaseId": repository.id, "id": format!("R_{}", repository.id)}),
                    );
                }
                None => {
                    data.insert(alias.to_owned(), Json::Null);
                    let message = format!("Could not resolve to a Repository with the name '{owner}/{name}'.");
                    errors.push(json!({"type": "NOT_FOUND", "path": [alias], "message": message}));
                }
            }
        }
        let viewer = Regex::new(r"\bviewer\b").is_ok_and(|pattern| pattern.is_match(query));
        if viewer {
            data.insert("viewer".into(), json!({"login": grant.login}));
        }
        let mut answer = json!({"data": data});
        if !errors.is_empty() {
            answer["errors"] = json!(errors);
        }
        Reply::json(200, answer)
    }

    /// `…/actions/organization-secrets` and its kin: what the organization gives to this repository.
    pub fn given_by_organization(&self, call: &Call, key: &str, app: App, kind: EntryKind) -> Reply {
        let Some(repository) = self.repositories.get(key) else { return not_found() };
        let organization = self.organizations.get(&repository.owner.to_ascii_lowercase());
        let stores = organization.map(|organization| match kind {
            EntryKind::Secret => &organization.secrets,
            EntryKind::Variable => &organization.variables,
        });
        let entries = stores.and_then(|stores| stores.get(&app)).map(|store| store.entries.values());
        let given = entries.into_iter().flatten().filter(|entry| match entry.visibility.as_deref() {
            Some("all") => true,
            Some("selected") => entry.selected.contains(&repository.id),
            _ => repository.visibility != "public",
        });
        // Shown as entries of a repository: this view has no visibility.
        let address = Address { holder: Holder::Repository(key.to_owned()), app, kind };
        let items = given
            .map(|entry| {
                let mut shown = show(call, &address, entry);
                if let Some(shown) = shown.as_object_mut() {
                    shown.remove("visibility");
                    shown.remove("selected_repositories_url");
                }
                shown
            })
            .collect();
        match kind {
            EntryKind::Secret => listed(call, "secrets", items, 30, 100),
            EntryKind::Variable => listed(call, "variables", items, 10, 30),
        }
    }

    /// `GET /orgs/{org}/audit-log`, newest first unless asked; paged by a cursor.
    pub fn audit_log(&self, call: &Call, grant: &Grant, login: &str) -> Reply {
        let Some(organization) = self.organizations.get(&login.to_ascii_lowercase()) else { return not_found() };
        if let Err(reply) = grant.require(&[("organization_administration", "read")], None) {
            return reply;
        }
        let time = |event: &Json| event["@timestamp"].as_i64().unwrap_or(0);
        let mut events: Vec<&Json> = organization.audit_log.iter().collect();
        for word in call.parameter("phrase").unwrap_or_default().split_whitespace() {
            match word.split_once(':') {
                Some(("created", bounds)) => {
                    let day = bounds.trim_start_matches(['>', '=', '<']);
                    let since = format!("{}T00:00:00Z", day.get(..10).unwrap_or(day)).parse::<jiff::Timestamp>();
                    let since = since.map_or(i64::MIN, |since| since.as_millisecond());
                    if bounds.starts_with('>') {
                        events.retain(|event| time(event) >= since);
                    }
                }
                Some((field, value)) => {
                    events.retain(|event| event[field].as_str().is_some_and(|given| given.starts_with(value)));
                }
                None => events.retain(|event| event["action"].as_str().is_some_and(|action| action.contains(word))),
            }
        }
        events.sort_by_key(|event| time(event));
        if call.parameter("order") != Some("asc") {
            events.reverse();
        }
        let per_page =
            call.parameter("per_page").and_then(|text| text.parse::<usize>().ok()).unwrap_or(30).clamp(1, 100);
        let start = call.parameter("after").and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
        let items: Vec<&Json> = events.iter().skip(start).take(per_page).copied().collect();
        let end = start + items.len();
        let reply = Reply::json(200, json!(items));
        if end >= events.len() {
            return reply;
        }
        let mut query: Vec<(String, String)> = call.query.iter().filter(|(key, _)| key != "after").cloned().collect();
        query.push(("after".to_owned(), end.to_string()));
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        reply.header("link", format!("<{}?{query}>; rel=\"next\"", call.url(&["orgs", login, "audit-log"])))
    }
}
