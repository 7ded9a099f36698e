//! An evaluated ESC environment: the tree that `open` answers, from Pulumi Cloud or from our own evaluator.
//!
//! The JSON form is ESC's (esc-language.md §9): `{"value": …, "secret"?: true, "unknown"?: true, "trace": …}`,
//! nested values being such objects again. Numbers are their text, as ESC prints them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::base::error::Place;

/// What is shown in place of a secret.
pub const HIDDEN: &str = "[secret]";

/// Where an expression stands; zero positions mean unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Range {
    pub environment: Arc<str>,
    pub begin: crate::base::yaml::Mark,
    pub end: crate::base::yaml::Mark,
}

/// One evaluated value with its marks. `Debug` shows no content, since it may be a secret.
#[derive(Clone, PartialEq)]
pub struct Value {
    pub content: Content,
    pub secret: bool,
    pub unknown: bool,
    /// Where the value is defined (`trace.def`).
    pub defined: Range,
    /// The value it was merged over (`trace.base`).
    pub base: Option<Box<Value>>,
}

#[derive(Clone, PartialEq)]
pub enum Content {
    Null,
    Bool(bool),
    /// The number's text as ESC prints it (`1e+06`).
    Number(String),
    String(String),
    List(Vec<Value>),
    Object(BTreeMap<String, Value>),
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Value({}, secret: {}, unknown: {})", self.content.word(), self.secret, self.unknown)
    }
}

impl Content {
    /// The type's name as ESC's diagnostics spell it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::List(_) => "array",
            Self::Object(_) => "object",
        }
    }
}

impl Value {
    /// A plain, known value without a place.
    #[must_use]
    pub fn plain(content: Content) -> Self {
        Self { content, secret: false, unknown: false, defined: Range::default(), base: None }
    }

    /// Whether this value or anything in it could not be computed.
    #[must_use]
    pub fn contains_unknown(&self) -> bool {
        self.unknown || self.children().any(Self::contains_unknown)
    }

    /// Whether this value or anything in it is secret.
    #[must_use]
    pub fn contains_secret(&self) -> bool {
        self.secret || self.children().any(Self::contains_secret)
    }

    fn children(&self) -> Box<dyn Iterator<Item = &Value> + '_> {
        match &self.content {
            Content::List(items) => Box::new(items.iter()),
            Content::Object(entries) => Box::new(entries.values()),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// The member of an object.
    #[must_use]
    pub fn member(&self, key: &str) -> Option<&Value> {
        match &self.content {
            Content::Object(entries) => entries.get(key),
            _ => None,
        }
    }

    /// The text of the value as ESC puts it into `environmentVariables` and strings: null is empty,
    /// lists and objects are Go-quoted (esc-language.md §5).
    #[must_use]
    pub fn to_text(&self) -> String {
        match &self.content {
            Content::Null => String::new(),
            Content::Bool(flag) => flag.to_string(),
            Content::Number(text) | Content::String(text) => text.clone(),
            Content::List(items) => items.iter().map(|item| go_quote(&item.to_text())).collect::<Vec<_>>().join(","),
            Content::Object(entries) => entries
                .iter()
                .map(|(key, value)| format!("{}={}", go_quote(key), go_quote(&value.to_text())))
                .collect::<Vec<_>>()
                .join(","),
        }
    }

    /// Reads ESC's JSON of one value.
    ///
    /// # Errors
    /// A sentence without content when `json` is not a value object.
    pub fn from_json(json: &Json) -> Result<Self, String> {
        let Json::Object(object) = json else { return Err("a value is not an object".into()) };
        let content = match object.get("value").unwrap_or(&Json::Null) {
            Json::Null => Content::Null,
            Json::Bool(flag) => Content::Bool(*flag),
            Json::Number(number) => Content::Number(number.to_string()),
            Json::String(text) => Content::String(text.clone()),
            Json::Array(items) => Content::List(items.iter().map(Self::from_json).collect::<Result<_, _>>()?),
            Json::Object(entries) => Content::Object(
                entries
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), Self::from_json(value)?)))
                    .collect::<Result<_, String>>()?,
            ),
        };
        let flag = |name: &str| object.get(name).and_then(Json::as_bool).unwrap_or(false);
        let trace = object.get("trace");
        let base = match trace.and_then(|trace| trace.get("base")) {
            Some(base) => Some(Box::new(Self::from_json(base)?)),
            None => None,
        };
        let defined = trace.and_then(|trace| trace.get("def")).map(Range::from_json).unwrap_or_default();
        Ok(Self { content, secret: flag("secret"), unknown: flag("unknown"), defined, base })
    }

    /// Writes ESC's JSON of the value; `value` and a full `trace.def` are always there, because the SDKs
    /// need them (esc-api.md §8).
    #[must_use]
    pub fn to_json(&self) -> Json {
        let value = match &self.content {
            Content::Null => Json::Null,
            Content::Bool(flag) => Json::Bool(*flag),
            Content::Number(text) => number(text),
            Content::String(text) => Json::String(text.clone()),
            Content::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Content::Object(entries) => {
                Json::Object(entries.iter().map(|(key, value)| (key.clone(), value.to_json())).collect())
            }
        };
        let mut object = Map::new();
        object.insert("value".into(), value);
        if self.secret {
            object.insert("secret".into(), Json::Bool(true));
        }
        if self.unknown {
            object.insert("unknown".into(), Json::Bool(true));
        }
        let mut trace = Map::new();
        trace.insert("def".into(), self.defined.to_json());
        if let Some(base) = &self.base {
            trace.insert("base".into(), base.to_json());
        }
        object.insert("trace".into(), Json::Object(trace));
        Json::Object(object)
    }

    /// The plain JSON projection: no marks. With `redact`, a secret becomes `[secret]`; an unknown is
    /// always `[unknown]` (esc-language.md §9).
    #[must_use]
    pub fn to_plain_json(&self, redact: bool) -> Json {
        if redact && self.secret {
            return Json::String(HIDDEN.into());
        }
        if self.unknown {
            return Json::String("[unknown]".into());
        }
        match &self.content {
            Content::Null => Json::Null,
            Content::Bool(flag) => Json::Bool(*flag),
            Content::Number(text) => number(text),
            Content::String(text) => Json::String(text.clone()),
            Content::List(items) => Json::Array(items.iter().map(|item| item.to_plain_json(redact)).collect()),
            Content::Object(entries) => {
                Json::Object(entries.iter().map(|(key, value)| (key.clone(), value.to_plain_json(redact))).collect())
            }
        }
    }
}

impl Range {
    /// Reads ESC's JSON of a range.
    #[must_use]
    pub fn from_json(json: &Json) -> Self {
        let mark = |name: &str| {
            let part = |field: &str| {
                let number = json.get(name).and_then(|mark| mark.get(field)).and_then(Json::as_u64);
                usize::try_from(number.unwrap_or(0)).unwrap_or(0)
            };
            crate::base::yaml::Mark::new(part("line"), part("column"), part("byte"))
        };
        let environment = json.get("environment").and_then(Json::as_str).unwrap_or_default().into();
        Self { environment, begin: mark("begin"), end: mark("end") }
    }

    /// Where it begins; `file_of` names the text that ESC calls as it is given.
    #[must_use]
    pub fn place(&self, file_of: impl FnOnce(&str) -> String) -> Option<Place> {
        let known = self.begin.line() > 0;
        known.then(|| Place { file: file_of(&self.environment), line: self.begin.line(), column: self.begin.column() })
    }

    /// ESC's JSON of a range (esc-api.md §2.3).
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mark = |mark: crate::base::yaml::Mark| serde_json::json!({"line": mark.line(), "column": mark.column(), "byte": mark.byte()});
        serde_json::json!({
            "environment": &*self.environment, "begin": mark(self.begin), "end": mark(self.end)
        })
    }
}

fn number(text: &str) -> Json {
    super::json::number(text).map_or_else(|| Json::String(text.to_owned()), Json::Number)
}

/// Go's `strconv.Quote` (esc-language.md §5).
#[must_use]
pub fn go_quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            c if c < ' ' || c == '\u{7f}' => {
                let _ = write!(quoted, "\\x{:02x}", u32::from(c));
            }
            c if printable(c) => quoted.push(c),
            c if u32::from(c) > 0xffff => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(c));
            }
            c => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
        }
    }
    quoted.push('"');
    quoted
}

/// Near enough to Go's `strconv.IsPrint`: no controls, no separators but the blank, no format characters,
/// nothing unassigned or private that Unicode keeps out of sight.
fn printable(c: char) -> bool {
    !(c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(u32::from(c),
            0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e
            | 0x2060..=0x206f | 0xe000..=0xf8ff | 0xfeff | 0xfff9..=0xfffb | 0xfffe | 0xffff
            | 0xe0000..=0xe0fff | 0xf0000..=0x0010_ffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_values_of_an_answer_are_read() {
        let text = "{\"value\":[".repeat(200) + "{\"value\":1}" + &"]}".repeat(200);
        let json = crate::esc::json::read(text.as_bytes()).unwrap();
        assert_eq!(Value::from_json(&json).unwrap().to_plain_json(false).to_string().len(), 401);
    }

    #[test]
    fn text_of_lists_and_objects_is_go_quoted() {
        let json = serde_json::json!({"value": {
            "l": {"value": [{"value": "a"}, {"value": 2}]}, "n": {"value": null}, "s": {"value": "x\"\n"}
        }});
        let float: Json = serde_json::from_str("{\"value\": 1e+06}").unwrap();
        assert_eq!(Value::from_json(&float).unwrap().to_text(), "1e+06");
        let value = Value::from_json(&json).unwrap();
        assert_eq!(value.to_text(), "\"l\"=\"\\\"a\\\",\\\"2\\\"\",\"n\"=\"\",\"s\"=\"x\\\"\\n\"");
    }

    #[test]
    fn json_goes_round() {
        let json = serde_json::json!({
            "value": {"a": {"value": "v", "secret": true, "trace": {"def": {
                "environment": "e", "begin": {"line": 1, "column": 2, "byte": 3}, "end": {"line": 1, "column": 4, "byte": 5}}}}},
            "trace": {"def": {"environment": "", "begin": {"line": 0, "column": 0, "byte": 0}, "end": {"line": 0, "column": 0, "byte": 0}}}
        });
        let value = Value::from_json(&json).unwrap();
        assert!(value.contains_secret() && !value.secret);
        assert_eq!(value.to_json(), json);
        assert_eq!(value.to_plain_json(true), serde_json::json!({"a": "[secret]"}));
        assert_eq!(format!("{value:?}"), "Value(object, secret: false, unknown: false)");
    }
}
