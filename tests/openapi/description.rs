//! Judges an answer by GitHub's own OpenAPI description (tests/data/github-secrets-openapi.json), with as much
//! of JSON Schema as that file uses.
#![allow(dead_code, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may stop at once")]

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value as Json;

pub struct Description {
    json: Json,
    /// Templates with their patterns, the most literal first.
    paths: Vec<(String, Regex)>,
    /// `METHOD template status` of every answer that was judged.
    pub seen: BTreeSet<String>,
}

/// Answers that GitHub gives everywhere, documented or not (github-api.md §1.0).
const COMMON_ERRORS: [u16; 7] = [401, 403, 404, 409, 410, 422, 429];

impl Description {
    pub fn load() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/github-secrets-openapi.json");
        let json: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut templates: Vec<String> = json["paths"].as_object().unwrap().keys().cloned().collect();
        templates.sort_by_key(|template| template.matches('{').count());
        let parameter = Regex::new(r"\{[a-z_]+\}").unwrap();
        let pattern = |template: &String| format!("^{}$", parameter.replace_all(template, "[^/]+"));
        let paths = templates.iter().map(|one| (one.clone(), Regex::new(&pattern(one)).unwrap())).collect();
        Self { json, paths, seen: BTreeSet::new() }
    }

    /// Every `METHOD template status` with a documented success.
    pub fn successes(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for (template, methods) in self.json["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let Some(responses) = operation["responses"].as_object() else { continue };
                let successes = responses.keys().filter(|status| status.starts_with('2'));
                all.extend(successes.map(|status| format!("{} {template} {status}", method.to_uppercase())));
            }
        }
        all
    }

    /// What is wrong with an answer; `path` is raw and without a prefix.
    pub fn judge(&mut self, method: &str, path: &str, status: u16, text: &str) -> Vec<String> {
        let path = path.split('?').next().unwrap();
        let Some((template, _)) = self.paths.iter().find(|(_, pattern)| pattern.is_match(path)) else {
            return vec![format!("{method} {path}: not described")];
        };
        let operation = &self.json["paths"][template][method.to_lowercase()];
        let title = format!("{method} {template} {status}");
        if operation.is_null() {
            return vec![format!("{title}: no such operation")];
        }
        let response = &operation["responses"][status.to_string()];
        let mut problems = Vec::new();
        if response.is_null() {
            if COMMON_ERRORS.contains(&status) {
                self.check(&json_ref("BasicError"), &serde_json::from_str(text).unwrap_or_default(), "", &mut problems);
            } else {
                problems.push("the status is not described".to_owned());
            }
        } else if let Some(content) = response["content"].as_object() {
            let schema = &content.values().next().unwrap()["schema"];
            match serde_json::from_str(text) {
                Ok(body) => self.check(schema, &body, "", &mut problems),
                Err(_) => problems.push(format!("the body is not JSON: {text:?}")),
            }
        } else if !text.is_empty() && status < 300 {
            problems.push(format!("a body where none is described: {text:?}"));
        }
        let problems = problems.into_iter().map(|problem| format!("{title}: {problem}")).collect();
        self.seen.insert(title);
        problems
    }

    fn check(&self, schema: &Json, value: &Json, at: &str, problems: &mut Vec<String>) {
        if let Some(reference) = schema["$ref"].as_str() {
            return self.check(self.json.pointer(reference.trim_start_matches('#')).unwrap(), value, at, problems);
        }
        if value.is_null() && schema["nullable"] == true {
            return;
        }
        let count = |word: &str| {
            let cases = schema[word].as_array()?;
            Some(cases.iter().filter(|case| self.fits(case, value)).count())
        };
        if count("anyOf").or(count("oneOf")) == Some(0) {
            problems.push(format!("{at}: fits none of the cases"));
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.check(part, value, at, problems);
        }
        let fits = match schema["type"].as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("boolean") => value.is_boolean(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            _ => true,
        };
        if !fits {
            problems.push(format!("{at}: {value} is not of type {}", schema["type"]));
        }
        if schema["enum"].as_array().is_some_and(|cases| !cases.contains(value)) {
            problems.push(format!("{at}: {value} is not one of {}", schema["enum"]));
        }
        match (schema["format"].as_str(), value.as_str()) {
            (Some("date-time"), Some(text)) if text.parse::<jiff::Timestamp>().is_err() => {
                problems.push(format!("{at}: {text:?} is no time"));
            }
            (Some("uri"), Some(text)) if url::Url::parse(text).is_err() => {
                problems.push(format!("{at}: {text:?} is no URL"));
            }
            _ => {}
        }
        for item in value.as_array().into_iter().flatten() {
            self.check(&schema["items"], item, &format!("{at}[]"), problems);
        }
        let Some(members) = value.as_object() else { return };
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            if !members.contains_key(name) {
                problems.push(format!("{at}: {name} is missing"));
            }
        }
        // Objects of which the description was cut short may hold more than it names.
        let closed = schema["additionalProperties"] == false && schema["x-dropped-properties"].is_null();
        for (name, member) in members {
            match schema["properties"].get(name) {
                Some(property) => self.check(property, member, &format!("{at}.{name}"), problems),
                None if closed => problems.push(format!("{at}: {name} is not described")),
                None => {}
            }
        }
    }

    fn fits(&self, schema: &Json, value: &Json) -> bool {
        let mut problems = Vec::new();
        self.check(schema, value, "", &mut problems);
        problems.is_empty()
    }
}

fn json_ref(name: &str) -> Json {
    serde_json::json!({"$ref": format!("#/components/schemas/{name}")})
}
