//! A definition made of evaluated values alone: nothing in it refers, imports or calls. For restoring an
//! environment whose own text is not at hand.

use super::edit;
use super::emit::{self, Layout};
use super::value::{Content, Value};
use crate::base::yaml::{self, Node, Style};

/// The text of an environment that evaluates to `values`; secrets stand in it as plaintext `fn::secret`, for the
/// source to encrypt. What is unknown is left out.
#[must_use]
pub fn definition(values: &Value) -> String {
    let layout = Layout { step: 2, line_break: "\n" };
    layout.block(&emit::entry("values", known(values, false)), 0)
}

/// `secret` is whether something around the value is: what is in a secret is one.
fn known(value: &Value, secret: bool) -> Node {
    let secret = secret || value.secret;
    let content = match &value.content {
        Content::List(items) => {
            yaml::Content::Sequence(items.iter().filter(|item| !item.unknown).map(|item| known(item, secret)).collect())
        }
        Content::Object(entries) => yaml::Content::Mapping(
            entries
                .iter()
                .filter(|(_, value)| !value.unknown)
                .map(|(key, value)| (emit::string(key), known(value, secret)))
                .collect(),
        ),
        Content::String(text) if secret => return edit::secret_node(text),
        Content::String(text) => return emit::string(&edit::escape(text)),
        Content::Null => plain("null"),
        Content::Bool(flag) => return marked(plain(if *flag { "true" } else { "false" }), secret),
        Content::Number(text) => return marked(plain(text), secret),
    };
    emit::node(content)
}

fn plain(text: &str) -> yaml::Content {
    yaml::Content::Scalar { text: text.to_owned(), style: Style::Plain }
}

fn marked(content: yaml::Content, secret: bool) -> Node {
    let node = emit::node(content);
    if secret { emit::entry("fn::secret", node) } else { node }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::esc::path::{Path, lookup};

    #[test]
    fn every_kind_of_value_is_written_so_that_it_reads_back() {
        let json = serde_json::json!({"value": {
            "plain": {"value": "costs $${5} # no comment"},
            "number": {"value": 1.5}, "flag": {"value": true, "secret": true}, "nothing": {"value": null},
            "list": {"value": [{"value": "a", "secret": true}, {"value": {"b": {"value": "c"}}}]},
            "empty": {"value": {}}, "none": {"value": []},
            "whole": {"secret": true, "value": {"inner": {"value": "marker"}}},
            "code": {"value": "${x}", "secret": true},
            "gone": {"value": "[unknown]", "unknown": true}
        }});
        let text = definition(&Value::from_json(&json).unwrap());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "values:", "{text}");
        assert!(text.contains("fn::fromBase64") && !text.contains("${x}"), "{text}");
        assert!(!text.contains("gone"), "{text}");
        let tree = yaml::parse(&text).unwrap().unwrap();
        assert!(matches!(tree.content, yaml::Content::Mapping(_)));
        for line in ["  number: 1.5", "    fn::secret: true", "  nothing: null", "  empty: {}", "  none: []"] {
            assert!(lines.contains(&line), "{line} in\n{text}");
        }
        let inner = text.split("inner:").nth(1).unwrap();
        assert!(inner.trim_start().starts_with("fn::secret: marker"), "{text}");
        assert!(lookup(&Value::from_json(&json).unwrap(), &"whole.inner".parse::<Path>().unwrap()).is_some());
    }
}
