//! Pulumi property paths: `a.b[0]["k.x"]` (esc-language.md §11), and the document paths of diagnostics (§7).

use std::fmt;
use std::str::FromStr;

use super::value::{Content, Value};

/// One step of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    Key(String),
    Index(usize),
}

/// A way from a root to a value below it. The empty path is the root itself.
///
/// `Display` writes the normal form: dotted where the key is `[A-Za-z_][A-Za-z0-9_]*`, else `["…"]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Path {
    pub steps: Vec<Step>,
}

/// A text that is not a property path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAPath {
    #[error("a property path must not start with `.`")]
    LeadingDot,
    #[error("a property path must not end with `.`")]
    TrailingDot,
    #[error("missing closing quote in a property path")]
    OpenQuote,
    #[error("missing closing bracket in a property path")]
    OpenBracket,
    #[error("invalid array index in a property path")]
    Index,
}

impl FromStr for Path {
    type Err = NotAPath;

    /// Reads a path as Pulumi's own reader does: `[*]` is the key `*`, `.[` is tolerated, names stop at
    /// `.` and `[` only, and `\"` is the one escape between quotes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with('.') {
            return Err(NotAPath::LeadingDot);
        }
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                if after.is_empty() {
                    return Err(NotAPath::TrailingDot);
                }
                rest = after;
            } else if let Some(after) = rest.strip_prefix("[\"") {
                let (key, after) = quoted(after).ok_or(NotAPath::OpenQuote)?;
                steps.push(Step::Key(key));
                rest = after.strip_prefix(']').ok_or(NotAPath::OpenBracket)?;
            } else if let Some(after) = rest.strip_prefix('[') {
                let (inner, after) = after.split_once(']').ok_or(NotAPath::OpenBracket)?;
                steps.push(match inner {
                    "*" => Step::Key("*".into()),
                    _ => Step::Index(inner.parse().map_err(|_| NotAPath::Index)?),
                });
                rest = after;
            } else {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                steps.push(Step::Key(name.to_owned()));
                rest = after;
            }
        }
        Ok(Self { steps })
    }
}

/// The text up to the closing quote, unescaped, and what follows the quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut key = String::new();
    let mut rest = text;
    loop {
        let at = rest.find(['"', '\\'])?;
        let (plain, after) = rest.split_at(at);
        key.push_str(plain);
        if let Some(after) = after.strip_prefix("\\\"") {
            key.push('"');
            rest = after;
        } else if let Some(after) = after.strip_prefix('"') {
            return Some((key, after));
        } else {
            key.push('\\');
            rest = after.get(1..)?;
        }
    }
}

/// Appends one key to a document path as diagnostics write it; an empty key adds nothing.
pub fn push_key(path: &mut String, key: &str) {
    let mut letters = key.chars();
    let plain = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if plain {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
    } else if !key.is_empty() {
        path.push_str("[\"");
        path.push_str(&key.replace('"', "\\\""));
        path.push_str("\"]");
    }
}

/// Appends one index to a document path.
pub fn push_index(path: &mut String, index: usize) {
    path.push('[');
    path.push_str(&index.to_string());
    path.push(']');
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for step in &self.steps {
            match step {
                Step::Key(key) => push_key(&mut text, key),
                Step::Index(index) => push_index(&mut text, *index),
            }
        }
        f.write_str(&text)
    }
}

/// The value at `path` below `root`; none when a key or an element is missing, or a step does not fit.
#[must_use]
pub fn lookup<'v>(root: &'v Value, path: &Path) -> Option<&'v Value> {
    path.steps.iter().try_fold(root, |value, step| match (&value.content, step) {
        (Content::Object(entries), Step::Key(key)) => entries.get(key),
        (Content::List(items), Step::Index(index)) => items.get(*index),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(text: &str) -> Step {
        Step::Key(text.into())
    }

    #[test]
    fn reads_names_indices_and_quoted_keys() {
        let path: Path = r#"a.b-c[0]["k.x"].["q\"\z"][*]"#.parse().unwrap();
        assert_eq!(path.steps, [key("a"), key("b-c"), Step::Index(0), key("k.x"), key("q\"\\z"), key("*")]);
        assert_eq!(path.to_string(), r#"a["b-c"][0]["k.x"]["q\"\z"]["*"]"#);
        assert_eq!("".parse::<Path>().unwrap().steps, []);
    }

    #[test]
    fn refuses_what_pulumi_refuses() {
        for (text, error) in [
            (".a", NotAPath::LeadingDot),
            ("a.", NotAPath::TrailingDot),
            ("a[\"b", NotAPath::OpenQuote),
            ("a[\"b\"", NotAPath::OpenBracket),
            ("a[1", NotAPath::OpenBracket),
            ("a[x]", NotAPath::Index),
            ("a[-1]", NotAPath::Index),
            ("a[]", NotAPath::Index),
        ] {
            assert_eq!(text.parse::<Path>().unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn finds_values_and_nothing_else() {
        let json = serde_json::json!({"value": {"a": {"value": [{"value": "x"}]}, "k.x": {"value": 1}}});
        let root = Value::from_json(&json).unwrap();
        let find = |path: &str| lookup(&root, &path.parse().unwrap()).map(Value::to_text);
        assert_eq!(find("a[0]").as_deref(), Some("x"));
        assert_eq!(find("[\"k.x\"]").as_deref(), Some("1"));
        assert_eq!(find("").as_deref(), Some(r#""a"="\"x\"","k.x"="1""#));
        for missing in ["b", "a[1]", "a.b", "[0]", "a[0].c"] {
            assert_eq!(find(missing), None, "{missing}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in ".*") {
            let _ = text.parse::<Path>();
        }

        #[test]
        fn the_normal_form_reads_back(steps in prop::collection::vec(prop_oneof![
            "[^\\\\]{1,8}".prop_map(Step::Key), (0usize..1000).prop_map(Step::Index)], 0..6)
        ) {
            let path = Path { steps };
            prop_assert_eq!(path.to_string().parse::<Path>().unwrap(), path);
        }
    }
}
