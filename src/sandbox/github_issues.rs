//! Issues and their comments (github-api.md §1.9).

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::exchange::{Call, Reply};
use super::github::Github;
use super::github_access::{Grant, error, not_found};
use super::github_entries::{not_json, page};
use super::github_repository::account;
use super::seed::IssueSeed;

/// An issue as it is kept: without its URLs.
pub fn seeded(seed: &IssueSeed, number: usize, now: Timestamp) -> Json {
    let mut issue = json!({
        "number": number, "title": seed.title, "body": seed.body, "state": seed.state.as_deref().unwrap_or("open"),
        "labels": seed.labels, "assignees": [], "created_at": now, "updated_at": now, "comments": [], "user": "octocat"
    });
    if seed.pull_request {
        issue["pull_request"] = json!({});
    }
    issue
}

fn labels(body: &Json) -> Option<Vec<Json>> {
    let labels = body.get("labels")?.as_array()?;
    Some(labels.iter().map(|label| label.get("name").unwrap_or(label).clone()).collect())
}

impl Github {
    /// `…/issues` and below; `key` is a repository that the token sees.
    pub fn issues(&mut self, call: &Call, grant: &Grant, key: &str, rest: &[&str]) -> Reply {
        let id = self.next_id();
        let Some(repository) = self.repositories.get_mut(key) else { return not_found() };
        let level = if call.method == http::Method::GET { "read" } else { "write" };
        if let Err(reply) = grant.require(&[("issues", level)], Some(repository)) {
            return reply;
        }
        let (owner, name) = (repository.owner.clone(), repository.name.clone());
        let show = |issue: &Json| show(call, &owner, &name, issue);
        if !repository.has_issues {
            return if level == "read" {
                not_found()
            } else {
                error(410, "Issues has been disabled in this repository.")
            };
        }
        let now = call.second();
        let numbered = |number: &str| number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        match (call.method.as_str(), rest) {
            ("GET", []) => {
                let state = call.parameter("state").unwrap_or("open");
                let wanted: Vec<&str> = call.parameter("labels").unwrap_or_default().split(',').collect();
                let has = |issue: &Json, label: &str| {
                    label.is_empty() || issue["labels"].as_array().is_some_and(|all| all.iter().any(|one| one == label))
                };
                let found = repository.issues.iter().rev().filter(|issue| {
                    (state == "all" || issue["state"] == state) && wanted.iter().all(|label| has(issue, label))
                });
                let (items, link) = page(call, found.map(show).collect(), 30, 100);
                let reply = Reply::json(200, Json::Array(items));
                match link {
                    Some(link) => reply.header("link", link),
                    None => reply,
                }
            }
            ("POST", []) => {
                let Some(body) = call.json() else { return not_json() };
                let title = body.get("title").map(|title| title.as_str().map_or(title.to_string(), str::to_owned));
                let Some(title) = title.filter(|title| !title.is_empty()) else {
                    return error(422, "Validation Failed");
                };
                let issue = json!({
                    "number": repository.issues.len() + 1, "title": title, "body": body.get("body"), "state": "open",
                    "labels": labels(&body).unwrap_or_default(), "assignees": body.get("assignees").cloned().unwrap_or(json!([])),
                    "created_at": now, "updated_at": now, "comments": [], "user": grant.login
                });
                let shown = show(&issue);
                repository.issues.push(issue);
                let location = shown["url"].as_str().unwrap_or_default().to_owned();
                Reply::json(201, shown).header("location", location)
            }
            ("GET", [number]) => match numbered(number).and_then(|index| repository.issues.get(index)) {
                Some(issue) => Reply::json(200, show(issue)),
                None => not_found(),
            },
            ("PATCH", [number]) => {
                let Some(body) = call.json() else { return not_json() };
                let issue = numbered(number).and_then(|index| repository.issues.get_mut(index));
                let Some(issue) = issue else { return not_found() };
                for field in ["title", "body", "state", "state_reason", "assignees"] {
                    if let Some(value) = body.get(field) {
                        issue[field] = value.clone();
                    }
                }
                if let Some(labels) = labels(&body) {
                    issue["labels"] = json!(labels);
                }
                issue["updated_at"] = json!(now);
                issue["closed_at"] = if issue["state"] == "closed" { json!(now) } else { Json::Null };
                Reply::json(200, show(issue))
            }
            ("POST", [number, "comments"]) => {
                let Some(body) = call.json() else { return not_json() };
                let Some(text) = body["body"].as_str().filter(|text| !text.is_empty()) else {
                    return error(422, "Validation Failed");
                };
                let issue = numbered(number).and_then(|index| repository.issues.get_mut(index));
                let Some(comments) = issue.and_then(|issue| issue["comments"].as_array_mut()) else {
                    return not_found();
                };
                comments.push(json!(text));
                let url = call.url(&["repos", &owner, &name, "issues", "comments", &id.to_string()]);
                let html = format!("https://github.com/{owner}/{name}/issues/{number}#issuecomment-{id}");
                let issue_url = call.url(&["repos", &owner, &name, "issues", number]);
                Reply::json(
                    201,
                    json!({
                        "id": id, "node_id": format!("IC_{id}"), "url": url, "html_url": html, "issue_url": issue_url,
                        "body": text, "user": account(call, &grant.login, 1, "User"), "author_association": "MEMBER",
                        "created_at": now, "updated_at": now
                    }),
                )
            }
            _ => not_found(),
        }
    }
}

fn show(call: &Call, owner: &str, name: &str, issue: &Json) -> Json {
    let number = issue["number"].to_string();
    let id = 5_000 + issue["number"].as_u64().unwrap_or(0);
    let people = |logins: &Json| -> Vec<Json> {
        let logins = logins.as_array().into_iter().flatten().filter_map(Json::as_str);
        logins.map(|login| account(call, login, 1, "User")).collect()
    };
    let assignees = people(&issue["assignees"]);
    let labels: Vec<Json> = issue["labels"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|label| json!({"id": 1, "node_id": "LA_1", "name": label, "color": "ededed", "default": false, "description": null, "url": call.url(&["repos", owner, name, "labels", label.as_str().unwrap_or_default()])}))
        .collect();
    let mut shown = json!({
        "id": id, "node_id": format!("I_{id}"), "url": call.url(&["repos", owner, name, "issues", &number]),
        "repository_url": call.url(&["repos", owner, name]),
        "html_url": format!("https://github.com/{owner}/{name}/issues/{number}"), "number": issue["number"],
        "state": issue["state"], "state_reason": issue["state_reason"], "title": issue["title"], "body": issue["body"],
        "user": account(call, issue["user"].as_str().unwrap_or_default(), 1, "User"), "labels": labels,
        "assignee": assignees.first(), "assignees": assignees, "milestone": null, "locked": false,
        "comments": issue["comments"].as_array().map_or(0, Vec::len), "closed_at": issue["closed_at"],
        "created_at": issue["created_at"], "updated_at": issue["updated_at"]
    });
    if issue.get("pull_request").is_some() {
        shown["pull_request"] = json!({"url": call.url(&["repos", owner, name, "pulls", &number])});
    }
    shown
}
