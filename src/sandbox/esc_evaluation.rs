//! Evaluating a definition for the service.
//!
//! For now: plain values and `fn::secret` only; no imports, interpolation or functions.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::esc::{Esc, Key};
use crate::base::yaml::{self, Content as Yaml, Node, Style};
use crate::esc::value::{Content, Range, Value};

pub struct Evaluation {
    /// An Environment as the API gives it.
    pub body: Json,
    pub diagnostics: Vec<Json>,
    /// Whether a diagnostic is an error.
    pub failed: bool,
}

/// Evaluates with secrets in clear.
pub fn open(_esc: &Esc, key: &Key, text: &str) -> Evaluation {
    evaluate(&key.2, text, true)
}

/// Evaluates without opening anything.
pub fn check(_esc: &Esc, key: &Key, text: &str, show_secrets: bool) -> Evaluation {
    evaluate(&key.2, text, show_secrets)
}

/// The text with its static secrets in clear.
pub fn decrypted(text: &str) -> String {
    text.to_owned()
}

fn evaluate(name: &str, text: &str, show_secrets: bool) -> Evaluation {
    let document = match yaml::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let range = Range { environment: name.to_owned(), begin: error.mark, end: error.mark };
            let diagnostic = json!({"range": range.to_json(), "summary": error.message, "severity": "error"});
            return Evaluation { body: json!({}), diagnostics: vec![diagnostic], failed: true };
        }
    };
    let Some(values) = document.as_ref().and_then(|document| document.get("values")) else {
        return Evaluation { body: json!({}), diagnostics: Vec::new(), failed: false };
    };
    let value = value(name, values, show_secrets);
    let Content::Object(members) = &value.content else {
        return Evaluation { body: json!({}), diagnostics: Vec::new(), failed: false };
    };
    let properties: Map<String, Json> = members.iter().map(|(key, member)| (key.clone(), member.to_json())).collect();
    Evaluation { body: json!({"properties": properties}), diagnostics: Vec::new(), failed: false }
}

fn value(name: &str, node: &Node, show_secrets: bool) -> Value {
    let content = match &node.content {
        Yaml::Scalar { text, style: Style::Plain } => match text.as_str() {
            "null" | "~" | "" => Content::Null,
            "true" => Content::Bool(true),
            "false" => Content::Bool(false),
            text if text.parse::<serde_json::Number>().is_ok() => Content::Number(text.to_owned()),
            text => Content::String(text.to_owned()),
        },
        Yaml::Scalar { text, .. } => Content::String(text.clone()),
        Yaml::Sequence(items) => Content::List(items.iter().map(|item| value(name, item, show_secrets)).collect()),
        Yaml::Mapping(_) if node.get("fn::secret").is_some() => {
            let mut inner = node
                .get("fn::secret")
                .map_or_else(|| Value::plain(Content::Null), |inner| value(name, inner, show_secrets));
            inner.secret = true;
            inner.unknown = !show_secrets;
            return inner;
        }
        Yaml::Mapping(entries) => {
            let members = entries
                .iter()
                .filter_map(|(key, member)| Some((key.scalar()?.to_owned(), value(name, member, show_secrets))));
            Content::Object(members.collect::<BTreeMap<_, _>>())
        }
    };
    let defined = Range { environment: name.to_owned(), begin: node.span.start, end: node.span.end };
    Value { defined, ..Value::plain(content) }
}
