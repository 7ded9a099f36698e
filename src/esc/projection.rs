//! An evaluated environment as text, in the forms of `env open` and `env get` (esc-language.md §10).
//!
//! `dotenv` and `shell` quote for their readers: the real client quotes as Go does, which no shell undoes, so that
//! `$(…)` in a value would run. What is written here is safe to `eval`.

use zeroize::Zeroizing;

use super::emit::{self, Layout};
use super::value::{Content, HIDDEN, Value};
use crate::base::error::Problem;
use crate::base::secret::SecretValue;
use crate::base::yaml::{self, Node, Style as Scalar};
use crate::rules::dotenv::{self, Style};

/// The form of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projection {
    Json,
    Yaml,
    /// Values with their marks and places, as the API gives them.
    Detailed,
    /// `environmentVariables` for a dotenv file.
    Dotenv,
    /// `environmentVariables` as `export` lines.
    Shell,
    /// The text of the value, as in an interpolation; one line break at the end is ensured.
    String,
}

impl Projection {
    /// Whether it shows `environmentVariables` of a whole environment and nothing else.
    #[must_use]
    pub fn is_of_variables(self) -> bool {
        matches!(self, Self::Dotenv | Self::Shell)
    }
}

/// Writes a value; with `redact`, every secret is `[secret]`.
///
/// # Errors
/// Variables that cannot be written in this form, or whose value is unknown; every one of them.
pub fn project(value: &Value, form: Projection, redact: bool) -> Result<Zeroizing<String>, Vec<Problem>> {
    let redacted;
    let value = if redact {
        redacted = hide(value);
        &redacted
    } else {
        value
    };
    let mut text = Zeroizing::new(match form {
        Projection::Json => format!("{:#}", value.to_plain_json(false)),
        Projection::Detailed => format!("{:#}", value.to_json()),
        Projection::String => value.to_text(),
        Projection::Yaml => to_yaml(value),
        Projection::Dotenv => return variables(value, Style::Dotenv),
        Projection::Shell => return variables(value, Style::Shell),
    });
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// The value without what is secret in it.
fn hide(value: &Value) -> Value {
    let content = match &value.content {
        _ if value.secret => Content::String(HIDDEN.into()),
        Content::List(items) => Content::List(items.iter().map(hide).collect()),
        Content::Object(entries) => {
            Content::Object(entries.iter().map(|(key, value)| (key.clone(), hide(value))).collect())
        }
        content => content.clone(),
    };
    Value { content, base: None, ..value.clone() }
}

fn to_yaml(value: &Value) -> String {
    let layout = Layout { step: 2, line_break: "\n" };
    let node = node(value);
    if emit::is_inline(&node) { layout.inline(&node, Some(2), None) } else { layout.block(&node, 0) }
}

fn node(value: &Value) -> Node {
    let plain = |text: &str| yaml::Content::Scalar { text: text.to_owned(), style: Scalar::Plain };
    if value.unknown {
        return emit::string("[unknown]");
    }
    emit::node(match &value.content {
        Content::Null => plain("null"),
        Content::Bool(flag) => plain(if *flag { "true" } else { "false" }),
        Content::Number(text) => plain(text),
        Content::String(text) => return emit::string(text),
        Content::List(items) => yaml::Content::Sequence(items.iter().map(node).collect()),
        Content::Object(entries) => {
            yaml::Content::Mapping(entries.iter().map(|(key, value)| (emit::string(key), node(value))).collect())
        }
    })
}

/// Scalars of `environmentVariables`, sorted by name; lists and objects are skipped, as every client does.
fn variables(value: &Value, style: Style) -> Result<Zeroizing<String>, Vec<Problem>> {
    let Some(Content::Object(entries)) = value.member("environmentVariables").map(|member| &member.content) else {
        return Ok(Zeroizing::default());
    };
    let mut texts = Vec::new();
    let mut problems = Vec::new();
    for (name, value) in entries {
        if value.contains_unknown() {
            problems.push(Problem::error("env-unknown", format!("the value of `{name}` is unknown here")));
        } else if !matches!(value.content, Content::List(_) | Content::Object(_)) {
            texts.push((name.as_str(), SecretValue::from(value.to_text())));
        }
    }
    match dotenv::render(texts.iter().map(|(name, value)| (*name, value)), style, false) {
        Err(more) => problems.extend(more),
        Ok(rendered) if problems.is_empty() => {
            return Ok(Zeroizing::new(String::from_utf8_lossy(&rendered.bytes).into_owned()));
        }
        Ok(_) => {}
    }
    Err(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value() -> Value {
        let json = serde_json::json!({"value": {
            "environmentVariables": {"value": {
                "A": {"value": "$(touch x) `y` '", "secret": true}, "B": {"value": 1}, "C": {"value": []}}},
            "list": {"value": [{"value": "a: b"}, {"value": null}, {"value": "1"}]}
        }});
        Value::from_json(&json).unwrap()
    }

    fn shown(form: Projection, redact: bool) -> String {
        project(&value(), form, redact).unwrap().to_string()
    }

    #[test]
    fn every_form_reads_back() {
        let plain = value().to_plain_json(false);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown(Projection::Json, false)).unwrap(), plain);
        assert_eq!(yaml_serde::from_str::<serde_json::Value>(&shown(Projection::Yaml, false)).unwrap(), plain);
        assert!(shown(Projection::Detailed, false).contains("\"secret\": true"));
        assert_eq!(shown(Projection::Shell, false), "export A='$(touch x) `y` '\\'''\nexport B='1'\n");
        assert_eq!(project(&Value::plain(Content::Null), Projection::String, false).unwrap().as_str(), "\n");
    }

    #[test]
    fn redacted_forms_hold_no_secret() {
        for form in [Projection::Json, Projection::Yaml, Projection::Detailed, Projection::Shell, Projection::String] {
            assert!(!shown(form, true).contains("touch"), "{form:?}");
            assert!(shown(form, true).contains("[secret]"), "{form:?}");
        }
    }

    #[test]
    fn an_unknown_variable_is_refused_and_never_empty() {
        let json =
            serde_json::json!({"value": {"environmentVariables": {"value": {"A": {"value": null, "unknown": true}}}}});
        let problems = project(&Value::from_json(&json).unwrap(), Projection::Dotenv, false).unwrap_err();
        assert_eq!(problems[0].code, "env-unknown");
    }
}
