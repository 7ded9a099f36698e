//! Checks the shape of a YAML tree against a JSON Schema: keys, types, enumerations and limits, every
//! problem with its place, in one run.
//!
//! It knows the part of JSON Schema that the definition's generated schema uses (a test holds it to that),
//! not more: validators of the whole language report JSON pointers, not lines, and stop at the first
//! unknown key. What is wrong is replaced by an empty value of the right type, so that the caller can go on
//! to look for other problems; **an empty text therefore stands for "already reported"**.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::nearest;
use crate::base::error::{Place, Problem};
use crate::base::yaml::{Content, Mark, Node, Style};

/// The tree as JSON that fits `schema`, and what was wrong with it.
#[must_use]
pub fn check(schema: &Json, node: &Node, file: &str) -> (Json, Vec<Problem>) {
    let mut walk = Walk { root: schema, file, problems: Vec::new() };
    let json = walk.value(schema, node, "the definition");
    (json.unwrap_or_else(|| walk.blank(schema)), walk.problems)
}

/// A place in `file`.
#[must_use]
pub fn place(file: &str, mark: Mark) -> Place {
    Place { file: file.to_owned(), line: mark.line(), column: mark.column() }
}

/// What a scalar is by the core rules of YAML 1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Boolean(bool),
    Integer,
    Number,
    Text,
}

/// Resolves a scalar's type; `!!str` and quotes make it text.
fn kind(text: &str, style: Style, tag: Option<&str>) -> Kind {
    if style != Style::Plain || tag == Some("!!str") {
        return Kind::Text;
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Boolean(true),
        "false" | "False" | "FALSE" => Kind::Boolean(false),
        _ => {
            let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
            let digits = |text: &str, radix: u32| !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
            let prefixed = |prefix: &str, radix| text.strip_prefix(prefix).is_some_and(|rest| digits(rest, radix));
            let float = |text: &str| {
                text.contains(|c: char| c.is_ascii_digit())
                    && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'))
                    && text.parse::<f64>().is_ok()
            };
            let special = matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN");
            if digits(unsigned, 10) {
                Kind::Integer
            } else if special || prefixed("0x", 16) || prefixed("0o", 8) || float(unsigned) {
                Kind::Number
            } else {
                Kind::Text
            }
        }
    }
}

struct Walk<'s> {
    root: &'s Json,
    file: &'s str,
    problems: Vec<Problem>,
}

impl<'s> Walk<'s> {
    fn report(&mut self, node: &Node, problem: Problem) {
        self.problems.push(problem.at(place(self.file, node.span.start)));
    }

    /// Follows `$ref` and the `anyOf` of an optional reference.
    fn resolve(&self, mut schema: &'s Json) -> &'s Json {
        loop {
            if let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
                let Some(found) = self.root.pointer(reference.trim_start_matches('#')) else { return schema };
                schema = found;
            } else if let (Some(choices), None) = (schema.get("anyOf").and_then(Json::as_array), schema.get("type")) {
                let is_null = |choice: &Json| choice.get("type").and_then(Json::as_str) == Some("null");
                let Some(found) = choices.iter().find(|choice| !is_null(choice)) else { return schema };
                schema = found;
            } else {
                return schema;
            }
        }
    }

    /// The JSON of `node`; none for null and for what does not fit, which has then been reported.
    fn value(&mut self, schema: &'s Json, node: &Node, label: &str) -> Option<Json> {
        let schema = self.resolve(schema);
        let expected = type_of(schema);
        if let Some(tag) = node.tag.as_deref().filter(|tag| *tag != "!!str") {
            self.report(
                node,
                Problem::error("yaml-tag", format!("{label} has the tag `{tag}`, which means nothing here")),
            );
            return None;
        }
        match (&node.content, expected) {
            (Content::Mapping(entries), "object") => Some(self.object(schema, node, entries, label)),
            (Content::Sequence(items), "array") => Some(self.list(schema, node, items, label)),
            (Content::Scalar { text, style }, _) => {
                self.scalar(schema, node, (text, kind(text, *style, node.tag.as_deref())), label)
            }
            (found, expected) => {
                let found = if matches!(found, Content::Mapping(_)) { "a mapping" } else { "a list" };
                self.wrong_type(node, expected, found, label);
                None
            }
        }
    }

    fn wrong_type(&mut self, node: &Node, expected: &str, found: &str, label: &str) {
        let expected = type_word(expected);
        let mut problem = Problem::error("wrong-type", format!("{label} must be {expected}, found {found}"));
        if expected == "text" && !found.ends_with("mapping") && !found.ends_with("list") {
            problem = problem.hint("put it in quotes");
        }
        self.report(node, problem);
    }

    fn scalar(&mut self, schema: &'s Json, node: &Node, (text, kind): (&str, Kind), label: &str) -> Option<Json> {
        match (type_of(schema), kind) {
            (_, Kind::Null) => None,
            ("string", Kind::Text) => self.text(schema, node, text, label),
            // A text with a pattern is checked by its reader, which knows what the number lacks (`every: 90`).
            ("string", Kind::Integer | Kind::Number) if schema.get("pattern").is_some() => {
                self.text(schema, node, text, label)
            }
            ("boolean", Kind::Boolean(flag)) => Some(Json::Bool(flag)),
            ("integer", Kind::Integer) => self.integer(schema, node, text, label),
            (expected, kind) => {
                let found = match kind {
                    Kind::Boolean(_) => "true or false",
                    Kind::Integer | Kind::Number => "a number",
                    Kind::Text | Kind::Null => "text",
                };
                self.wrong_type(node, expected, found, label);
                None
            }
        }
    }

    fn text(&mut self, schema: &'s Json, node: &Node, text: &str, label: &str) -> Option<Json> {
        if let Some(allowed) = schema.get("enum").and_then(Json::as_array) {
            let allowed: Vec<&str> = allowed.iter().filter_map(Json::as_str).collect();
            if !allowed.contains(&text) {
                let list = allowed.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
                let mut problem =
                    Problem::error("unknown-value", format!("{label} is `{text}`, which is none of {list}"));
                if let Some(near) = nearest::nearest(text, allowed.iter().copied()) {
                    problem = problem.hint(format!("did you mean `{near}`?"));
                }
                self.report(node, problem);
                return None;
            }
        }
        let length = text.chars().count() as u64;
        if schema.get("minLength").and_then(Json::as_u64).is_some_and(|least| length < least) {
            self.report(node, Problem::error("empty-text", format!("{label} must not be empty")));
            return None;
        }
        if let Some(most) = schema.get("maxLength").and_then(Json::as_u64).filter(|most| length > *most) {
            self.report(
                node,
                Problem::error("too-long", format!("{label} has {length} characters, at most {most} are allowed")),
            );
            return None;
        }
        if let Some(control) = text.chars().find(|c| c.is_control() && *c != '\n') {
            let message = format!("{label} holds the control character U+{:04X}", u32::from(control));
            self.report(node, Problem::error("control-character", message));
            return None;
        }
        Some(Json::String(text.to_owned()))
    }

    fn integer(&mut self, schema: &'s Json, node: &Node, text: &str, label: &str) -> Option<Json> {
        let limit = |name: &str| schema.get(name).and_then(Json::as_i64);
        let (least, most) = (limit("minimum").unwrap_or(i64::MIN), limit("maximum").unwrap_or(i64::MAX));
        match text.parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => Some(number.into()),
            _ => {
                let message = format!("{label} must be between {least} and {most}");
                self.report(node, Problem::error("out-of-range", message));
                None
            }
        }
    }

    fn list(&mut self, schema: &'s Json, node: &Node, items: &[Node], label: &str) -> Json {
        if (items.len() as u64) < schema.get("minItems").and_then(Json::as_u64).unwrap_or(0) {
            self.report(node, empty_list(label));
        }
        let item_schema = schema.get("items").unwrap_or(&Json::Null);
        let item_label = format!("an item of {label}");
        let mut seen = BTreeSet::new();
        let unique = schema.get("uniqueItems").and_then(Json::as_bool).unwrap_or(false);
        let mut list = Vec::new();
        for item in items {
            let before = self.problems.len();
            let json = self.value(item_schema, item, &item_label);
            if json.is_none() && self.problems.len() == before {
                self.report(item, Problem::error("wrong-type", format!("{item_label} is empty")));
            }
            let json = json.unwrap_or_else(|| self.blank(item_schema));
            if unique && json.as_str().is_some_and(|text| !text.is_empty() && !seen.insert(text.to_owned())) {
                let text = json.as_str().unwrap_or_default();
                self.report(item, Problem::error("duplicate-item", format!("{label} names `{text}` twice")));
            }
            list.push(json);
        }
        Json::Array(list)
    }

    fn object(&mut self, schema: &'s Json, node: &Node, entries: &[(Node, Node)], label: &str) -> Json {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Json::as_object).unwrap_or(&none);
        let known: Vec<&str> = properties.keys().map(String::as_str).collect();
        let free = schema.get("additionalProperties").filter(|schema| schema.is_object());
        let mut object = Map::new();
        let mut seen = BTreeSet::new();
        for (key, value) in entries {
            let Some(name) = key.scalar() else {
                self.report(key, Problem::error("wrong-type", format!("a key of {label} must be text")));
                continue;
            };
            if !seen.insert(name) {
                self.report(key, Problem::error("duplicate-key", format!("{label} has the key `{name}` twice")));
                continue;
            }
            let Some(property) = schema.get("properties").and_then(|known| known.get(name)).or(free) else {
                let problem = Problem::error("unknown-key", format!("{label} has no key `{name}`"));
                self.report(key, problem.hint(nearest::hint(name, &known)));
                continue;
            };
            let before = self.problems.len();
            let member_label = format!("`{name}`");
            if let Some(json) = self.value(property, value, &member_label) {
                object.insert(name.to_owned(), json);
            } else if self.problems.len() > before {
                object.insert(name.to_owned(), self.blank(property));
            } else if self.resolve(property).get("minItems").is_some() {
                // A key whose items are all commented out is not the same as no key: it would grant everything.
                self.report(key, empty_list(&member_label));
                object.insert(name.to_owned(), self.blank(property));
            } else if free.is_some() {
                object.insert(name.to_owned(), self.blank(property));
            }
        }
        for name in required(schema).filter(|name| !object.contains_key(*name)).collect::<Vec<_>>() {
            self.report(node, Problem::error("missing-key", format!("{label} needs the key `{name}`")));
            if let Some(property) = schema.get("properties").and_then(|known| known.get(name)) {
                object.insert(name.to_owned(), self.blank(property));
            }
        }
        Json::Object(object)
    }

    /// The value that stands for one that was reported.
    fn blank(&self, schema: &'s Json) -> Json {
        let schema = self.resolve(schema);
        match type_of(schema) {
            "object" => {
                let member = |name: &str| {
                    let property = schema.get("properties").and_then(|known| known.get(name));
                    (name.to_owned(), property.map_or(Json::Null, |property| self.blank(property)))
                };
                Json::Object(required(schema).map(member).collect())
            }
            "array" => Json::Array(Vec::new()),
            "boolean" => Json::Bool(false),
            "integer" => schema.get("minimum").cloned().unwrap_or_else(|| 0.into()),
            _ => schema.pointer("/enum/0").cloned().unwrap_or_else(|| Json::String(String::new())),
        }
    }
}

fn empty_list(label: &str) -> Problem {
    Problem::error("empty-list", format!("{label} must name at least one item"))
        .hint("only a key that is absent means all")
}

fn required(schema: &Json) -> impl Iterator<Item = &str> {
    schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}

/// The one type of a schema that is not null.
fn type_of(schema: &Json) -> &str {
    match schema.get("type") {
        Some(Json::String(name)) => name,
        Some(Json::Array(names)) => {
            names.iter().filter_map(Json::as_str).find(|name| *name != "null").unwrap_or_default()
        }
        _ => "",
    }
}

fn type_word(name: &str) -> &'static str {
    match name {
        "object" => "a mapping",
        "array" => "a list",
        "boolean" => "`true` or `false`",
        "integer" => "a whole number",
        _ => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::schema::json_schema;

    /// Every keyword of the generated schema is either acted on here or only tells editors something that
    /// `rules::resolve` checks with a better message.
    #[test]
    fn the_walk_knows_every_keyword_of_the_schema() {
        const ACTED_ON: [&str; 16] = [
            "$defs",
            "$ref",
            "additionalProperties",
            "anyOf",
            "default",
            "enum",
            "items",
            "maxLength",
            "maximum",
            "minItems",
            "minLength",
            "minimum",
            "properties",
            "required",
            "type",
            "uniqueItems",
        ];
        const FOR_EDITORS: [&str; 7] =
            ["$schema", "dependentRequired", "description", "format", "oneOf", "pattern", "title"];
        fn keywords<'j>(schema: &'j Json, found: &mut BTreeSet<&'j str>) {
            for (key, value) in schema.as_object().into_iter().flatten() {
                found.insert(key);
                match key.as_str() {
                    "$defs" | "properties" => value.as_object().unwrap().values().for_each(|v| keywords(v, found)),
                    "anyOf" => value.as_array().unwrap().iter().for_each(|v| keywords(v, found)),
                    "items" | "additionalProperties" => keywords(value, found),
                    _ => {}
                }
            }
        }
        let schema = json_schema();
        let mut found = BTreeSet::new();
        keywords(&schema, &mut found);
        let known: BTreeSet<&str> = ACTED_ON.into_iter().chain(FOR_EDITORS).collect();
        assert_eq!(found.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new());
    }

    #[test]
    fn scalars_have_the_types_of_yaml_1_2() {
        let plain = |text| kind(text, Style::Plain, None);
        for text in ["", "~", "null", "NULL"] {
            assert_eq!(plain(text), Kind::Null, "{text:?}");
        }
        for text in ["0", "-12", "+5", "007"] {
            assert_eq!(plain(text), Kind::Integer, "{text:?}");
        }
        for text in ["1.5", "1e3", ".5", "0x1F", "0o17", "-.inf", ".nan"] {
            assert_eq!(plain(text), Kind::Number, "{text:?}");
        }
        for text in ["yes", "no", "on", "90d", "1_000", "12e", "inf", "nan", "-", ".", "0xZ", "infinity"] {
            assert_eq!(plain(text), Kind::Text, "{text:?}");
        }
        assert_eq!(plain("True"), Kind::Boolean(true));
        assert_eq!(kind("true", Style::DoubleQuoted, None), Kind::Text);
        assert_eq!(kind("12", Style::Plain, Some("!!str")), Kind::Text);
    }
}
