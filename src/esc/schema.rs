//! The subset of JSON Schema that ESC knows, for provider inputs, unknown values and `fn::validate`
//! (esc-language.md §6 and §9). Unknown keywords are accepted and ignored.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value as Json};

/// Names one schema of a [`Schemas`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SchemaId(u32);

/// A number keyword: its value, and its text for messages.
#[derive(Debug, Clone)]
pub struct Bound<N> {
    pub value: N,
    pub text: String,
}

#[derive(Debug, Clone, Default)]
pub struct Schema {
    pub always: bool,
    pub never: bool,
    /// `string`, `number`, …; empty for none.
    pub kind: String,
    pub reference: Option<SchemaId>,
    pub any_of: Vec<SchemaId>,
    pub one_of: Vec<SchemaId>,
    pub prefix_items: Vec<SchemaId>,
    pub items: Option<SchemaId>,
    pub additional: Option<SchemaId>,
    pub properties: BTreeMap<String, SchemaId>,
    pub constant: Option<Json>,
    pub choices: Vec<Json>,
    pub multiple_of: Option<Bound<f64>>,
    pub minimum: Option<Bound<f64>>,
    pub exclusive_minimum: Option<Bound<f64>>,
    pub maximum: Option<Bound<f64>>,
    pub exclusive_maximum: Option<Bound<f64>>,
    pub min_length: Option<Bound<usize>>,
    pub max_length: Option<Bound<usize>>,
    pub min_items: Option<Bound<usize>>,
    pub max_items: Option<Bound<usize>>,
    pub min_properties: Option<Bound<usize>>,
    pub max_properties: Option<Bound<usize>>,
    pub pattern: Option<Regex>,
    pub required: Vec<String>,
    pub dependent_required: BTreeMap<String, Vec<String>>,
    /// Whether the value is an input that only a rotation may see.
    pub rotate_only: bool,
}

/// All schemas of one evaluation.
pub struct Schemas {
    all: Vec<Schema>,
    json_schema: Option<SchemaId>,
}

/// Accepts everything.
pub const ANY: SchemaId = SchemaId(0);
/// Accepts nothing.
pub const NEVER: SchemaId = SchemaId(1);
pub const NULL: SchemaId = SchemaId(2);
pub const BOOLEAN: SchemaId = SchemaId(3);
pub const NUMBER: SchemaId = SchemaId(4);
pub const STRING: SchemaId = SchemaId(5);
/// A list of strings.
pub const STRINGS: SchemaId = SchemaId(6);
/// A list of anything.
pub const LIST: SchemaId = SchemaId(7);
/// A list of lists.
pub const LISTS: SchemaId = SchemaId(8);

impl Default for Schemas {
    fn default() -> Self {
        let kind = |kind: &str| Schema { kind: kind.into(), ..Schema::default() };
        let list = |items| Schema { items: Some(items), ..kind("array") };
        let all = vec![
            Schema { always: true, ..Schema::default() },
            Schema { never: true, ..Schema::default() },
            kind("null"),
            kind("boolean"),
            kind("number"),
            kind("string"),
            list(STRING),
            list(ANY),
            list(LIST),
        ];
        Self { all, json_schema: None }
    }
}

impl std::ops::Index<SchemaId> for Schemas {
    type Output = Schema;

    fn index(&self, id: SchemaId) -> &Schema {
        // Ids are only made by `add`, and nothing is ever removed.
        &self.all[id.0 as usize]
    }
}

impl Schemas {
    pub fn add(&mut self, schema: Schema) -> SchemaId {
        let id = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(schema);
        SchemaId(id)
    }

    /// An object of exactly these members, all required.
    pub fn record(&mut self, properties: BTreeMap<String, SchemaId>) -> SchemaId {
        let required = properties.keys().cloned().collect();
        self.add(Schema { kind: "object".into(), properties, required, ..Schema::default() })
    }

    /// A list of exactly these elements.
    pub fn tuple(&mut self, prefix_items: Vec<SchemaId>) -> SchemaId {
        self.add(Schema { kind: "array".into(), prefix_items, items: Some(NEVER), ..Schema::default() })
    }

    /// The schema or null.
    pub fn or_null(&mut self, schema: SchemaId) -> SchemaId {
        self.add(Schema { one_of: vec![schema, NULL], ..Schema::default() })
    }

    /// The schema of an element; of several alternatives, their union.
    pub fn item(&mut self, id: SchemaId, index: usize) -> SchemaId {
        let schema = &self[id];
        let own = (schema.kind == "array").then(|| schema.prefix_items.get(index).copied().or(schema.items)).flatten();
        let alternatives = [schema.any_of.clone(), schema.one_of.clone()].concat();
        let mut found: Vec<_> = alternatives.into_iter().map(|alternative| self.item(alternative, index)).collect();
        found.extend(own);
        self.union(found)
    }

    /// The schema of a member; of several alternatives, their union.
    pub fn property(&mut self, id: SchemaId, name: &str) -> SchemaId {
        let schema = &self[id];
        let own =
            (schema.kind == "object").then(|| schema.properties.get(name).copied().or(schema.additional)).flatten();
        let alternatives = [schema.any_of.clone(), schema.one_of.clone()].concat();
        let mut found: Vec<_> = alternatives.into_iter().map(|alternative| self.property(alternative, name)).collect();
        found.extend(own);
        self.union(found)
    }

    fn union(&mut self, mut alternatives: Vec<SchemaId>) -> SchemaId {
        alternatives.retain(|id| !self[*id].never);
        match alternatives[..] {
            [] => NEVER,
            [one] => one,
            _ => {
                let rotate_only = alternatives.iter().all(|id| self[*id].rotate_only);
                self.add(Schema { one_of: alternatives, rotate_only, ..Schema::default() })
            }
        }
    }

    /// What an object over a base may hold: the members of both, the top's own first.
    pub fn merged(&mut self, base: SchemaId, top: SchemaId) -> SchemaId {
        if base == top || self[top].kind != "object" || self[base].kind != "object" {
            return top;
        }
        let mut properties = self[base].properties.clone();
        for (name, own) in self[top].properties.clone() {
            let merged = properties.get(&name).copied().map_or(own, |under| self.merged(under, own));
            properties.insert(name, merged);
        }
        let additional = match (self[top].additional, self[base].additional) {
            (Some(_), Some(_)) => Some(ANY),
            (top, base) => top.or(base),
        };
        let required = properties.keys().cloned().collect();
        self.add(Schema { kind: "object".into(), properties, required, additional, ..Schema::default() })
    }

    /// Reads a JSON Schema.
    ///
    /// # Errors
    /// A sentence for a reference, bound or pattern that means nothing.
    pub fn read(&mut self, json: &Json) -> Result<SchemaId, String> {
        let definitions = json.get("$defs").and_then(Json::as_object).cloned().unwrap_or_default();
        Reading { schemas: self, definitions, known: BTreeMap::new() }.schema(json)
    }

    /// The schema of schemas.
    pub fn json_schema(&mut self) -> SchemaId {
        if let Some(id) = self.json_schema {
            return id;
        }
        let id = self.read(&json_schema()).unwrap_or(ANY);
        self.json_schema = Some(id);
        id
    }

    /// A copy of a schema whose values, at any depth, only a rotation may see.
    fn rotate_only(&mut self, id: SchemaId, copies: &mut BTreeMap<u32, SchemaId>) -> SchemaId {
        if self[id].rotate_only {
            return id;
        }
        if let Some(copy) = copies.get(&id.0) {
            return *copy;
        }
        let mut copy = self[id].clone();
        copy.rotate_only = true;
        let place = self.add(copy.clone());
        copies.insert(id.0, place);
        let alternatives = copy.any_of.iter_mut().chain(&mut copy.one_of).chain(&mut copy.prefix_items);
        let members = copy.items.iter_mut().chain(&mut copy.additional).chain(&mut copy.reference);
        for child in alternatives.chain(members).chain(copy.properties.values_mut()) {
            *child = self.rotate_only(*child, copies);
        }
        self.all[place.0 as usize] = copy;
        place
    }
}

struct Reading<'s> {
    schemas: &'s mut Schemas,
    definitions: Map<String, Json>,
    /// Definitions that were read, or are being read: a definition may refer to itself.
    known: BTreeMap<String, SchemaId>,
}

impl Reading<'_> {
    fn schema(&mut self, json: &Json) -> Result<SchemaId, String> {
        match json {
            Json::Bool(true) => Ok(ANY),
            Json::Bool(false) => Ok(NEVER),
            Json::Object(object) => {
                let schema = self.object(object)?;
                Ok(self.schemas.add(schema))
            }
            _ => Err("failed to parse schema: a schema must be a boolean or an object".into()),
        }
    }

    fn object(&mut self, object: &Map<String, Json>) -> Result<Schema, String> {
        let text = |name: &str| object.get(name).and_then(Json::as_str).unwrap_or_default();
        let strings = |json: &Json| -> Vec<String> {
            json.as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
        };
        let pattern = text("pattern");
        let mut schema = Schema {
            kind: text("type").to_owned(),
            reference: match text("$ref") {
                "" => None,
                reference => Some(self.definition(reference)?),
            },
            any_of: self.schemas_of(object.get("anyOf"))?,
            one_of: self.schemas_of(object.get("oneOf"))?,
            prefix_items: self.schemas_of(object.get("prefixItems"))?,
            items: object.get("items").map(|items| self.schema(items)).transpose()?,
            additional: object.get("additionalProperties").map(|items| self.schema(items)).transpose()?,
            constant: object.get("const").filter(|constant| !constant.is_null()).cloned(),
            choices: object.get("enum").and_then(Json::as_array).cloned().unwrap_or_default(),
            multiple_of: number(object, "multipleOf")?,
            minimum: number(object, "minimum")?,
            exclusive_minimum: number(object, "exclusiveMinimum")?,
            maximum: number(object, "maximum")?,
            exclusive_maximum: number(object, "exclusiveMaximum")?,
            min_length: count(object, "minLength")?,
            max_length: count(object, "maxLength")?,
            min_items: count(object, "minItems")?,
            max_items: count(object, "maxItems")?,
            min_properties: count(object, "minProperties")?,
            max_properties: count(object, "maxProperties")?,
            pattern: (!pattern.is_empty()).then(|| Regex::new(pattern)).transpose().map_err(|error| {
                format!("error parsing regexp: {}", error.to_string().lines().last().unwrap_or_default())
            })?,
            required: object.get("required").map(strings).unwrap_or_default(),
            ..Schema::default()
        };
        for (name, names) in object.get("dependentRequired").and_then(Json::as_object).into_iter().flatten() {
            schema.dependent_required.insert(name.clone(), strings(names));
        }
        for (name, property) in object.get("properties").and_then(Json::as_object).into_iter().flatten() {
            let property = self.schema(property)?;
            schema.properties.insert(name.clone(), property);
        }
        for name in object.get("rotateOnly").map(strings).unwrap_or_default() {
            if let Some(property) = schema.properties.get_mut(&name) {
                *property = self.schemas.rotate_only(*property, &mut BTreeMap::new());
            }
        }
        Ok(schema)
    }

    fn schemas_of(&mut self, json: Option<&Json>) -> Result<Vec<SchemaId>, String> {
        json.and_then(Json::as_array).into_iter().flatten().map(|json| self.schema(json)).collect()
    }

    fn definition(&mut self, reference: &str) -> Result<SchemaId, String> {
        let name = reference
            .strip_prefix("#/$defs/")
            .filter(|name| !name.contains('/'))
            .ok_or("only fragment references of the form #/$defs/ref are supported")?;
        if let Some(id) = self.known.get(name) {
            return Ok(*id);
        }
        let unescaped = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
        let json = self.definitions.get(unescaped.as_ref()).cloned();
        let json = json.ok_or_else(|| format!("unknown subschema {reference}"))?;
        let place = self.schemas.add(Schema { always: true, ..Schema::default() });
        self.known.insert(name.to_owned(), place);
        let read = self.schema(&json)?;
        self.schemas.all[place.0 as usize] = self.schemas[read].clone();
        Ok(place)
    }
}

fn number(object: &Map<String, Json>, name: &str) -> Result<Option<Bound<f64>>, String> {
    let Some(Json::Number(number)) = object.get(name) else { return Ok(None) };
    let text = number.to_string();
    let value = text.parse().map_err(|_| format!("`{name}` is not a number"))?;
    Ok(Some(Bound { value, text }))
}

fn count(object: &Map<String, Json>, name: &str) -> Result<Option<Bound<usize>>, String> {
    let Some(Json::Number(number)) = object.get(name) else { return Ok(None) };
    let text = number.to_string();
    let value = text.parse().map_err(|_| format!("strconv.ParseUint: parsing \"{text}\": invalid syntax"))?;
    Ok(Some(Bound { value, text }))
}

/// The schema that `fn::validate` holds its schema against.
fn json_schema() -> Json {
    let mut properties = Map::new();
    let mut add = |names: &[&str], schema: Json| {
        for name in names {
            properties.insert((*name).to_owned(), schema.clone());
        }
    };
    let schema = serde_json::json!({"$ref": "#/$defs/schema"});
    let strings = serde_json::json!({"type": "array", "items": {"type": "string"}});
    add(&["items", "additionalProperties"], schema.clone());
    add(&["$defs", "properties"], serde_json::json!({"type": "object", "additionalProperties": schema}));
    add(&["anyOf", "oneOf", "prefixItems"], serde_json::json!({"type": "array", "items": schema}));
    add(&["dependentRequired"], serde_json::json!({"type": "object", "additionalProperties": strings}));
    add(&["required"], strings);
    add(&["enum", "examples"], serde_json::json!({"type": "array"}));
    add(&["uniqueItems", "deprecated"], serde_json::json!({"type": "boolean"}));
    add(&["$ref", "pattern", "title", "description"], serde_json::json!({"type": "string"}));
    add(&["const", "default"], serde_json::json!({}));
    let kinds = ["string", "number", "boolean", "array", "object", "null"];
    add(&["type"], serde_json::json!({"type": "string", "enum": kinds}));
    let bounds = ["multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"];
    let counts = ["maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties"];
    add(&[&bounds[..], &counts[..]].concat(), serde_json::json!({"type": "number"}));
    serde_json::json!({
        "$defs": {"schema": {"anyOf": [{"type": "boolean"}, {"type": "object", "properties": properties}]}},
        "$ref": "#/$defs/schema"
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_definition_may_refer_to_itself() {
        let mut schemas = Schemas::default();
        let id = schemas
            .read(&json!({"$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"}))
            .unwrap();
        let node = schemas[id].reference.unwrap();
        let next = schemas.property(node, "next");
        assert_eq!(schemas[next].reference, Some(node));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let mut schemas = Schemas::default();
        assert_eq!(schemas.read(&json!({"$ref": "#/$defs/x"})).unwrap_err(), "unknown subschema #/$defs/x");
        assert!(schemas.read(&json!({"$ref": "other.json"})).unwrap_err().starts_with("only fragment references"));
        assert!(schemas.read(&json!({"maxLength": 1.5})).unwrap_err().contains("ParseUint"));
        assert!(schemas.read(&json!({"pattern": "("})).unwrap_err().starts_with("error parsing regexp"));
    }

    #[test]
    fn members_of_alternatives_are_a_union() {
        let mut schemas = Schemas::default();
        let id = schemas
            .read(&json!({"oneOf": [
                {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false},
                {"type": "object", "properties": {"a": {"type": "number"}, "b": true}}]}))
            .unwrap();
        let a = schemas.property(id, "a");
        assert_eq!(schemas[a].one_of.len(), 2);
        assert_eq!(schemas.property(id, "b"), ANY);
        assert_eq!(schemas.property(id, "c"), NEVER);
    }
}
