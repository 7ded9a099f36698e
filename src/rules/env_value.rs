//! What `env set` may store: a value that is no secret in disguise, and is spelled as it was given.

use crate::base::error::Problem;
use crate::base::yaml::{self, Content, Node};
use crate::esc::edit::NewValue;
use crate::esc::path::{Path, Step};
use crate::esc::scalar::{self, Scalar};
use crate::esc::stored::{self, StaticSecret};

/// Whether a static secret of `text` stands at `path`, itself or inside the calls there (`fn::fromBase64` of one).
#[must_use]
pub fn is_secret(text: &str, path: &Path) -> bool {
    let call = |step: &Step| matches!(step, Step::Key(key) if key.starts_with("fn::"));
    stored::find(text).unwrap_or_default().iter().any(|secret| {
        let below = secret.path.steps.get(1..).and_then(|steps| steps.strip_prefix(path.steps.as_slice()));
        secret.is_under_values() && below.is_some_and(|steps| steps.iter().all(call))
    })
}

/// Whether a value would be a readable text under a name that secrets have.
#[must_use]
pub fn looks_like_a_secret(path: &Path, value: &NewValue) -> bool {
    let name =
        path.steps.iter().rev().find_map(|step| if let Step::Key(key) = step { Some(key.as_str()) } else { None });
    let named = name.is_some_and(is_called_like_a_secret);
    match value {
        NewValue::Yaml(text) => yaml::parse(text).ok().flatten().is_some_and(|node| holds_named_text(&node, named)),
        NewValue::Expression(text) | NewValue::Text(text) => named && is_text(text),
        NewValue::Secret(_) => false,
    }
}

fn holds_named_text(node: &Node, named: bool) -> bool {
    match &node.content {
        Content::Scalar { text, style } => {
            let resolved = scalar::resolve(text, *style, node.tag.as_deref());
            named && matches!(resolved, Ok(Scalar::Text(text)) if is_text(&text))
        }
        Content::Sequence(items) => items.iter().any(|item| holds_named_text(item, named)),
        Content::Mapping(entries) => entries.iter().any(|(key, value)| {
            let key = key.scalar().unwrap_or_default();
            // A function's argument is not yet its value.
            !key.starts_with("fn::") && holds_named_text(value, is_called_like_a_secret(key))
        }),
    }
}

/// The names that the real client asks about (esc-language.md §11), and what keys are called.
fn is_called_like_a_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace(['-', '_'], "");
    let words =
        ["passwd", "pass", "password", "pwd", "secret", "token", "apikey", "accesskey", "privatekey", "credential"];
    words.iter().any(|word| key.contains(word))
}

/// Whether a text could be a secret: not nothing, and no reference.
fn is_text(text: &str) -> bool {
    !text.trim().is_empty() && !text.replace("$$", "").contains("${")
}

/// A warning for a value that ESC reads as a number and spells in another way, as it does with `1.10` and `0777`. It
/// says nothing of the value.
#[must_use]
pub fn respelled(path: &Path, value: &NewValue) -> Option<Problem> {
    let NewValue::Yaml(typed) = value else { return None };
    let node = yaml::parse(typed).ok().flatten()?;
    holds_respelled(&node).then(|| {
        let message = format!("`{path}` holds a number, which ESC spells in another way than it was given");
        Problem::warning("env-number", message).hint("--string, or quotes around it, keep it as it was typed")
    })
}

fn holds_respelled(node: &Node) -> bool {
    match &node.content {
        Content::Scalar { text, style } => {
            let resolved = scalar::resolve(text, *style, node.tag.as_deref());
            matches!(resolved, Ok(Scalar::Number(number)) if number != *text)
        }
        Content::Sequence(items) => items.iter().any(holds_respelled),
        Content::Mapping(entries) => entries.iter().any(|(_, value)| holds_respelled(value)),
    }
}

/// Whether a static secret stands in a text in clear, or may.
#[must_use]
pub fn holds_a_secret(yaml_text: &str) -> bool {
    // A damaged ciphertext says nothing.
    let is_unclear = stored::unclear(yaml_text).is_some_and(|found| !found.is_ciphertext);
    is_unclear || stored::find(yaml_text).is_ok_and(|secrets| secrets.iter().any(StaticSecret::is_in_clear))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_that_look_like_secrets() {
        let looks =
            |path: &str, value: &str| looks_like_a_secret(&path.parse().unwrap(), &NewValue::Yaml(value.into()));
        for (path, value) in [
            ("a.DB_PASSWORD", "hunter2hunter2"),
            ("a.password", "x"),
            ("githubToken", "'12345678'"),
            ("x[\"my pwd\"]", "p"),
            ("tokens[0]", "p"),
            ("apiKey", "p"),
            ("API_KEY", "p"),
            ("password", "ab$${cd"),
            ("db", "{host: h, password: p}"),
            ("db", "[{users: [{passwords: [p]}]}]"),
        ] {
            assert!(looks(path, value), "{path} {value}");
        }
        for (path, value) in [
            ("a.url", "https://x"),
            ("password", "12345678"),
            ("password", "${other.password}"),
            ("password", "$$-${other.password}"),
            ("password", "''"),
            ("password", "true"),
            ("password", "{fn::open::x: {token: t}}"),
            ("passwords", "{url: x}"),
            ("keys", "x"),
            ("password.min", "x"),
        ] {
            assert!(!looks(path, value), "{path} {value}");
        }
    }

    #[test]
    fn a_number_that_is_spelled_anew_is_told() {
        let told = |value: &str| respelled(&"a".parse().unwrap(), &NewValue::Yaml(value.into())).is_some();
        for value in ["1.10", "[1.10]", "{a: [0777]}", "0777", "1_000", "99999999999999999999", "1e6", "+1", "0x1F"] {
            assert!(told(value), "{value}");
        }
        for value in ["1", "-1", "1.5", "1.1", "'1.10'", "v1.10", "['1.10']", "1234567890123456"] {
            assert!(!told(value), "{value}");
        }
    }

    #[test]
    fn texts_that_hold_or_may_hold_a_secret_in_clear() {
        for text in [
            "{fn::secret: x}",
            "{fn::secret: [x]}",
            "a: {fn::Secret: x, b: 1}",
            "[{fn::Secret: x}",
            "a: 1\n---\nb: {fn::secret: x}",
        ] {
            assert!(holds_a_secret(text), "{text}");
        }
        assert!(!holds_a_secret("x") && !holds_a_secret("a: ["));
    }
}
