//! Secrets and variables over HTTP, at every scope (github-api.md §§1.1–1.6).

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::exchange::{Call, Reply};
use super::github::{Address, Github, Holder};
use super::github_access::{error, not_found};
use super::github_store::{Entry, LONGEST_SEALED, LONGEST_VARIABLE, name_problem};
use crate::base::target::{App, EntryKind};

/// What GitHub answers for a body that is not JSON.
pub fn not_json() -> Reply {
    error(400, "Problems parsing JSON")
}

/// The part of a list that was asked for, and the `Link` header of the rest. `per_page` beyond the most is
/// cut, not refused (github-api.md §1.0).
#[must_use]
pub fn page<T>(call: &Call, items: Vec<T>, usual: usize, most: usize) -> (Vec<T>, Option<String>) {
    let number = |name: &str, default: usize| {
        call.parameter(name).and_then(|text| text.parse::<usize>().ok()).filter(|n| *n > 0).unwrap_or(default)
    };
    let per_page = number("per_page", usual).min(most);
    let page = number("page", 1);
    let last = items.len().div_ceil(per_page).max(1);
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    let link = |page: usize, relation: &str| {
        let mut query: Vec<(String, String)> = call.query.iter().filter(|(key, _)| key != "page").cloned().collect();
        query.push(("page".to_owned(), page.to_string()));
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        format!("<{}?{query}>; rel=\"{relation}\"", call.url(&segments))
    };
    let mut links = Vec::new();
    if page > 1 {
        links.push(link((page - 1).min(last), "prev"));
    }
    if page < last {
        links.push(link(page + 1, "next"));
        links.push(link(last, "last"));
    }
    if page > 1 {
        links.push(link(1, "first"));
    }
    let items = items.into_iter().skip((page - 1).saturating_mul(per_page)).take(per_page).collect();
    (items, (!links.is_empty()).then(|| links.join(", ")))
}

/// A list answer with `total_count`.
#[must_use]
pub fn listed(call: &Call, name: &str, items: Vec<Json>, usual: usize, most: usize) -> Reply {
    let total = items.len();
    let (items, link) = page(call, items, usual, most);
    let reply = Reply::json(200, json!({"total_count": total, name: items}));
    match link {
        Some(link) => reply.header("link", link),
        None => reply,
    }
}

/// Ids as GitHub takes them: numbers, or texts of numbers (github-api.md §1.3).
fn ids(json: Option<&Json>) -> Option<BTreeSet<u64>> {
    let number = |id: &Json| id.as_u64().or_else(|| id.as_str().and_then(|text| text.parse().ok()));
    json.and_then(Json::as_array)?.iter().map(number).collect()
}

impl Github {
    /// Answers everything behind `…/secrets` and `…/variables`; access is checked already.
    pub fn entries(&mut self, call: &Call, address: &Address, rest: &[&str]) -> Reply {
        let secret = address.kind == EntryKind::Secret;
        match (call.method.as_str(), rest) {
            ("GET", []) => self.list_entries(call, address),
            ("GET", ["public-key"]) if secret => match self.store_mut(address) {
                Some(store) => {
                    let (id, key) = store.public_key();
                    Reply::json(200, json!({"key_id": id, "key": key}))
                }
                None => not_found(),
            },
            ("POST", []) if !secret => self.create_variable(call, address),
            (_, [name]) => self.entry(call, address, name),
            (_, [name, "repositories", rest @ ..]) => self.selected_repositories(call, address, name, rest),
            _ => not_found(),
        }
    }

    fn list_entries(&mut self, call: &Call, address: &Address) -> Reply {
        let Some(store) = self.store_mut(address) else { return not_found() };
        let items = store.entries.values().map(|entry| show(call, address, entry)).collect();
        match address.kind {
            EntryKind::Secret => listed(call, "secrets", items, 30, 100),
            EntryKind::Variable => listed(call, "variables", items, 10, 30),
        }
    }

    fn entry(&mut self, call: &Call, address: &Address, name: &str) -> Reply {
        let Some(store) = self.store_mut(address) else { return not_found() };
        let key = name.to_ascii_uppercase();
        match (call.method.as_str(), address.kind) {
            ("GET", _) => {
                store.entries.get(&key).map_or_else(not_found, |entry| Reply::json(200, show(call, address, entry)))
            }
            ("DELETE", _) => match store.entries.remove(&key) {
                Some(_) => Reply::empty(204),
                None => not_found(),
            },
            ("PUT", EntryKind::Secret) => self.put_secret(call, address, name),
            ("PATCH", EntryKind::Variable) => self.update_variable(call, address, &key),
            _ => not_found(),
        }
    }

    fn put_secret(&mut self, call: &Call, address: &Address, name: &str) -> Reply {
        let Some(body) = call.json() else { return not_json() };
        if let Some(problem) = name_problem(name, "Secret") {
            return error(422, &problem);
        }
        let text = |field: &str| body.get(field).and_then(Json::as_str);
        let (visibility, selected) = match visibility(&body, address, true) {
            Ok(given) => given,
            Err(reply) => return reply,
        };
        let limit = address.limit();
        let Some(store) = self.store_mut(address) else { return not_found() };
        for field in ["encrypted_value", "key_id"] {
            if text(field).is_none_or(str::is_empty) {
                return error(422, &format!("Invalid request.\n\n\"{field}\" wasn't supplied."));
            }
        }
        let sealed = text("encrypted_value").unwrap_or_default();
        if sealed.len() > LONGEST_SEALED {
            return error(422, "Value is too large");
        }
        let Some(value) = store.unseal(text("key_id").unwrap_or_default(), sealed) else {
            return error(422, "Bad request - validation failed due to an improperly encrypted secret");
        };
        let name = name.to_ascii_uppercase();
        if !store.entries.contains_key(&name) && store.entries.len() >= limit {
            return error(422, &format!("The maximum number of secrets ({limit}) has been reached."));
        }
        let created = store.set(&name, value, call.second());
        if let Some(entry) = store.entries.get_mut(&name) {
            entry.visibility = visibility;
            entry.selected = selected.unwrap_or_default();
        }
        if created { Reply::json(201, json!({})) } else { Reply::empty(204) }
    }

    fn create_variable(&mut self, call: &Call, address: &Address) -> Reply {
        let Some(body) = call.json() else { return not_json() };
        let text = |field: &str| body.get(field).and_then(Json::as_str);
        let (Some(name), Some(value)) = (text("name"), text("value")) else {
            let field = if text("name").is_none() { "name" } else { "value" };
            return error(422, &format!("Invalid request.\n\n\"{field}\" wasn't supplied."));
        };
        if let Some(problem) = name_problem(name, "Variable") {
            return error(422, &problem);
        }
        let (visibility, selected) = match visibility(&body, address, true) {
            Ok(given) => given,
            Err(reply) => return reply,
        };
        if value.len() > LONGEST_VARIABLE {
            return error(422, "Variable value is too large");
        }
        let limit = address.limit();
        let Some(store) = self.store_mut(address) else { return not_found() };
        if store.entries.contains_key(&name.to_ascii_uppercase()) {
            return error(409, "Already exists - Variable already exists");
        }
        if store.entries.len() >= limit {
            return error(422, &format!("The maximum number of variables ({limit}) has been reached."));
        }
        store.set(name, value.as_bytes().to_vec(), call.second());
        if let Some(entry) = store.entries.get_mut(&name.to_ascii_uppercase()) {
            entry.visibility = visibility;
            entry.selected = selected.unwrap_or_default();
        }
        Reply::json(201, json!({}))
    }

    fn update_variable(&mut self, call: &Call, address: &Address, key: &str) -> Reply {
        let Some(body) = call.json() else { return not_json() };
        let text = |field: &str| body.get(field).and_then(Json::as_str);
        if let Some(problem) = text("name").and_then(|name| name_problem(name, "Variable")) {
            return error(422, &problem);
        }
        if text("value").is_some_and(|value| value.len() > LONGEST_VARIABLE) {
            return error(422, "Variable value is too large");
        }
        let (visibility, selected) = match visibility(&body, address, false) {
            Ok(given) => given,
            Err(reply) => return reply,
        };
        let now = call.second();
        let Some(store) = self.store_mut(address) else { return not_found() };
        let renamed = text("name").map(str::to_ascii_uppercase).filter(|name| name != key);
        if renamed.as_ref().is_some_and(|name| store.entries.contains_key(name)) {
            return error(409, "Already exists - Variable already exists");
        }
        let Some(mut entry) = store.entries.remove(key) else { return not_found() };
        if let Some(name) = text("name") {
            name.clone_into(&mut entry.name);
        }
        if let Some(value) = text("value") {
            entry.value = value.as_bytes().to_vec();
        }
        entry.visibility = visibility.or(entry.visibility);
        entry.selected = selected.unwrap_or(entry.selected);
        entry.touch(now);
        store.entries.insert(entry.name.to_ascii_uppercase(), entry);
        Reply::empty(204)
    }

    /// `…/{name}/repositories`, for organizations and the user.
    fn selected_repositories(&mut self, call: &Call, address: &Address, name: &str, rest: &[&str]) -> Reply {
        let user = matches!(address.holder, Holder::User);
        if !user && !matches!(address.holder, Holder::Organization(_)) {
            return not_found();
        }
        let key = name.to_ascii_uppercase();
        let Some(entry) = self.store_mut(address).and_then(|store| store.entries.get_mut(&key)) else {
            return not_found();
        };
        let selected = user || entry.visibility.as_deref() == Some("selected");
        let conflict = || error(409, "Visibility must be set to selected to modify the list of repositories");
        match (call.method.as_str(), rest) {
            ("GET", []) => {
                if !selected && address.kind == EntryKind::Variable {
                    return conflict();
                }
                let ids = entry.selected.clone();
                let shown = self.repositories.values().filter(|repository| ids.contains(&repository.id));
                let items = shown.map(|repository| repository.show(call)).collect();
                listed(call, "repositories", items, 30, 100)
            }
            ("PUT", []) => {
                let Some(body) = call.json() else { return not_json() };
                let Some(ids) = ids(body.get("selected_repository_ids")) else {
                    return error(422, "Invalid request.\n\n\"selected_repository_ids\" wasn't supplied.");
                };
                if !selected && (address.kind == EntryKind::Variable || address.app == App::Codespaces) {
                    return conflict();
                }
                entry.selected = ids;
                Reply::empty(204)
            }
            ("PUT" | "DELETE", [id]) => {
                let Ok(id) = id.parse::<u64>() else { return not_found() };
                if !selected {
                    return conflict();
                }
                if call.method == http::Method::PUT {
                    entry.selected.insert(id);
                } else {
                    entry.selected.remove(&id);
                }
                Reply::empty(204)
            }
            _ => not_found(),
        }
    }
}

/// The visibility that a body asks for; `whole` when absence means something.
fn visibility(body: &Json, address: &Address, whole: bool) -> Result<(Option<String>, Option<BTreeSet<u64>>), Reply> {
    let selected = ids(body.get("selected_repository_ids"));
    match &address.holder {
        Holder::User => Ok((Some("selected".to_owned()), selected)),
        Holder::Organization(_) => {
            let given = body.get("visibility").and_then(Json::as_str);
            match given {
                Some("all" | "private") if selected.as_ref().is_some_and(|ids| !ids.is_empty()) => Err(error(
                    422,
                    "Invalid request.\n\nselected_repository_ids can only be set when visibility is selected.",
                )),
                Some(word @ ("all" | "private" | "selected")) => Ok((Some(word.to_owned()), selected)),
                None if !whole => Ok((None, selected)),
                None => Err(error(422, "Invalid request.\n\n\"visibility\" wasn't supplied.")),
                Some(other) => Err(error(
                    422,
                    &format!("Invalid request.\n\n{other} is not a member of [\"all\", \"private\", \"selected\"]."),
                )),
            }
        }
        _ => Ok((None, None)),
    }
}

/// An entry as lists and single reads show it; a secret's value never leaves.
pub fn show(call: &Call, address: &Address, entry: &Entry) -> Json {
    let mut shown = json!({"name": entry.name, "created_at": entry.created, "updated_at": entry.updated});
    if address.kind == EntryKind::Variable {
        shown["value"] = json!(String::from_utf8_lossy(&entry.value));
    }
    if let Some(visibility) = &entry.visibility {
        shown["visibility"] = json!(visibility);
        if visibility == "selected" {
            let url = match &address.holder {
                Holder::User => call.url(&["user", "codespaces", "secrets", &entry.name, "repositories"]),
                Holder::Organization(login) => {
                    let kind = if address.kind == EntryKind::Secret { "secrets" } else { "variables" };
                    call.url(&["orgs", login, address.app.word(), kind, &entry.name, "repositories"])
                }
                _ => String::new(),
            };
            shown["selected_repositories_url"] = json!(url);
        }
    }
    shown
}
