//! Holds values against schemas (esc-language.md §6). Unknown values are held against them by shape.

use serde_json::Value as Json;

use super::evaluator::Evaluator;
use super::graph::{self, Content, Exhausted, ExprId, Graph, Kind, ValueId};
use super::path::{push_index, push_key};
use super::schema::{Bound, Schema, SchemaId};
use super::value::go_quote;

/// The deepest nesting of one validation; a schema may refer to itself without end.
const DEEPEST: u16 = 250;

type Given<T> = Result<T, Exhausted>;

impl Evaluator<'_> {
    /// Whether `accept` takes the value; what it does not take is reported where the value is defined.
    pub fn fits(&mut self, value: ValueId, accept: SchemaId) -> Given<bool> {
        if self.graph.schemas[accept].always {
            return Ok(true);
        }
        let mut validator = Validator { graph: &mut self.graph, found: Vec::new(), depth: 0 };
        let fits = validator.value(value, accept)?;
        for (at, message) in validator.found {
            self.error(at, message);
        }
        Ok(fits)
    }
}

struct Validator<'g> {
    graph: &'g mut Graph,
    found: Vec<(ExprId, String)>,
    depth: u16,
}

/// Whom to blame: the literal at fault where there is one, else the expression that made the value, with the
/// way from there.
#[derive(Clone)]
struct Blame {
    at: ExprId,
    path: String,
    prefix: bool,
}

impl Blame {
    fn new(at: ExprId) -> Self {
        Self { at, path: String::new(), prefix: false }
    }
}

/// Which alternatives of a schema are tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alternatives {
    Any,
    One,
}

impl Validator<'_> {
    fn blame(&mut self, blame: &Blame, message: impl AsRef<str>) -> bool {
        let message = message.as_ref();
        let text = if blame.prefix { format!("{}: {message}", blame.path) } else { message.to_owned() };
        self.found.push((blame.at, text));
        false
    }

    fn index(&self, blame: &Blame, index: usize) -> Blame {
        if let Kind::List(items) = &*self.graph[blame.at].kind
            && let Some(item) = items.get(index)
        {
            return Blame::new(*item);
        }
        let mut path = blame.path.clone();
        push_index(&mut path, index);
        Blame { at: blame.at, path, prefix: true }
    }

    fn property(&self, blame: &Blame, key: &str) -> Blame {
        if let Kind::Object { properties, .. } = &*self.graph[blame.at].kind
            && let Some(property) = properties.get(key)
        {
            return Blame::new(*property);
        }
        let mut path = blame.path.clone();
        push_key(&mut path, key);
        Blame { at: blame.at, path, prefix: true }
    }

    fn deeper<T>(&mut self, blame: &Blame, otherwise: T, check: impl FnOnce(&mut Self) -> Given<T>) -> Given<T> {
        self.graph.spend(graph::SCHEMA)?;
        if self.depth >= DEEPEST {
            self.blame(blame, format!("the schema is nested more than {DEEPEST} levels deep"));
            return Ok(otherwise);
        }
        self.depth += 1;
        let checked = check(self);
        self.depth -= 1;
        checked
    }

    /// The blame always falls on what defines the value itself.
    fn value(&mut self, id: ValueId, accept: SchemaId) -> Given<bool> {
        let blame = Blame::new(self.graph[id].def);
        self.deeper(&blame.clone(), false, |this| this.element(id, accept, &blame))
    }

    fn element(&mut self, id: ValueId, accept: SchemaId, blame: &Blame) -> Given<bool> {
        let schema = self.graph.schemas[accept].clone();
        if schema.always || schema.never {
            // **A schema that takes nothing fails without a word**, as ESC does.
            return Ok(schema.always);
        }
        if self.graph[id].unknown {
            let shape = self.graph[id].schema;
            return self.shape(shape, accept, blame);
        }
        let mut fits = match schema.reference {
            Some(reference) => self.value(id, reference)?,
            None => true,
        };
        fits &= self.alternatives(&schema.any_of, Alternatives::Any, blame, |this, one| this.value(id, one))?;
        fits &= self.alternatives(&schema.one_of, Alternatives::One, blame, |this, one| this.value(id, one))?;
        if let Some(constant) = &schema.constant
            && !self.equals(id, constant)
        {
            fits = self.blame(blame, format!("expected {constant}"));
        }
        if !schema.choices.is_empty() && !schema.choices.iter().any(|choice| self.equals(id, choice)) {
            fits = match &schema.choices[..] {
                [only] => self.blame(blame, format!("expected {only}")),
                many => self.blame(blame, format!("expected one of {}", Json::Array(many.to_vec()))),
            };
        }
        Ok(self.by_type(id, &schema, blame)? && fits)
    }

    /// Tries alternatives. Of several failures all messages are kept; of a success none.
    fn alternatives(
        &mut self,
        alternatives: &[SchemaId],
        rule: Alternatives,
        blame: &Blame,
        mut check: impl FnMut(&mut Self, SchemaId) -> Given<bool>,
    ) -> Given<bool> {
        if alternatives.is_empty() {
            return Ok(true);
        }
        let before = self.found.len();
        let mut matched = false;
        for alternative in alternatives {
            if check(self, *alternative)? {
                if rule == Alternatives::One && matched {
                    self.found.truncate(before);
                    return Ok(self.blame(blame, "exactly one subschema may match"));
                }
                matched = true;
            }
        }
        if matched {
            self.found.truncate(before);
            return Ok(true);
        }
        Ok(self.blame(
            blame,
            match rule {
                Alternatives::Any => "at least one subschema must match",
                Alternatives::One => "exactly one subschema must match",
            },
        ))
    }

    /// Own entries only, as ESC compares.
    fn equals(&self, id: ValueId, constant: &Json) -> bool {
        match (&self.graph[id].content, constant) {
            (Content::Null, Json::Null) => true,
            (Content::Bool(flag), Json::Bool(expected)) => flag == expected,
            (Content::Number(text), Json::Number(expected)) => text.as_ref() == expected.to_string(),
            (Content::Text(text), Json::String(expected)) => text.as_ref() == expected,
            (Content::List(items), Json::Array(expected)) => {
                items.len() == expected.len() && items.iter().zip(expected).all(|(item, json)| self.equals(*item, json))
            }
            (Content::Object(entries), Json::Object(expected)) => {
                entries.len() == expected.len()
                    && expected
                        .iter()
                        .all(|(key, json)| entries.get(key.as_str()).is_some_and(|entry| self.equals(*entry, json)))
            }
            _ => false,
        }
    }

    fn kind(&mut self, actual: &str, accept: &Schema, blame: &Blame) -> bool {
        if accept.kind.is_empty() || accept.kind == actual {
            return true;
        }
        self.blame(blame, format!("expected {}, got {actual}", accept.kind))
    }

    fn by_type(&mut self, id: ValueId, accept: &Schema, blame: &Blame) -> Given<bool> {
        let content = self.graph[id].content.clone();
        let word = match &content {
            Content::Null => "null",
            Content::Bool(_) => "boolean",
            Content::Number(_) => "number",
            Content::Text(_) => "string",
            Content::List(_) => "array",
            Content::Object(_) => "object",
        };
        if !self.kind(word, accept, blame) {
            return Ok(false);
        }
        match content {
            Content::Null | Content::Bool(_) => Ok(true),
            Content::Number(text) => Ok(self.number(&text, accept, blame)),
            Content::Text(text) => Ok(self.text(&text, accept, blame)),
            Content::List(items) => self.list(&items, accept, blame),
            Content::Object(_) => self.object(id, accept, blame),
        }
    }

    fn number(&mut self, text: &str, accept: &Schema, blame: &Blame) -> bool {
        let Ok(number) = text.parse::<f64>() else {
            return self.blame(blame, "internal error: invalid number");
        };
        let mut fits = true;
        let mut demand = |bound: &Option<Bound<f64>>, holds: fn(f64, f64) -> bool, sentence: &str| {
            if let Some(bound) = bound
                && !holds(number, bound.value)
            {
                fits = self.blame(blame, format!("{sentence}{}", bound.text));
            }
        };
        demand(&accept.multiple_of, |number, factor| (number / factor).fract() == 0.0, "expected a multiple of ");
        demand(&accept.minimum, |number, bound| number >= bound, "expected a number greater than or equal to ");
        demand(&accept.exclusive_minimum, |number, bound| number > bound, "expected a number greater than ");
        // The missing blank is ESC's.
        demand(&accept.maximum, |number, bound| number <= bound, "expected a number less than or equal to");
        demand(&accept.exclusive_maximum, |number, bound| number < bound, "expected a number less than ");
        fits
    }

    /// Demands a count between two bounds.
    fn count(
        &mut self,
        count: usize,
        bounds: [&Option<Bound<usize>>; 2],
        blame: &Blame,
        sentence: impl Fn(&str, &str) -> String,
    ) -> bool {
        let [least, most] = bounds;
        let mut fits = true;
        if let Some(bound) = least.as_ref().filter(|bound| count < bound.value) {
            fits = self.blame(blame, sentence("least", &bound.text));
        }
        if let Some(bound) = most.as_ref().filter(|bound| count > bound.value) {
            fits = self.blame(blame, sentence("most", &bound.text));
        }
        fits
    }

    /// Lengths are bytes.
    fn text(&mut self, text: &str, accept: &Schema, blame: &Blame) -> bool {
        let mut fits = self.count(text.len(), [&accept.min_length, &accept.max_length], blame, |which, bound| {
            format!("expected a string of at {which} length {bound}")
        });
        if let Some(pattern) = accept.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            fits = self.blame(blame, format!("string must match the pattern {}", go_quote(pattern.as_str())));
        }
        fits
    }

    fn list(&mut self, items: &[ValueId], accept: &Schema, blame: &Blame) -> Given<bool> {
        let mut fits = self.count(items.len(), [&accept.min_items, &accept.max_items], blame, |which, bound| {
            format!("expected an array with at {which} {bound} items")
        });
        for (index, item) in items.iter().enumerate() {
            if let Some(schema) = accept.prefix_items.get(index).copied().or(accept.items) {
                fits &= self.value(*item, schema)?;
            }
        }
        Ok(fits)
    }

    fn object(&mut self, id: ValueId, accept: &Schema, blame: &Blame) -> Given<bool> {
        let members = self.graph.members(id)?;
        let bounds = [&accept.min_properties, &accept.max_properties];
        let mut fits = self.count(members.len(), bounds, blame, |which, bound| {
            format!("expected an object with at {which} {bound} properties")
        });
        for (key, member) in members.iter() {
            if let Some(schema) = accept.properties.get(key.as_ref()).copied().or(accept.additional) {
                fits &= self.value(*member, schema)?;
            }
        }
        let held = |name: &String| members.contains_key(name.as_str());
        let dependent = accept.dependent_required.iter().filter(|(name, _)| held(name)).flat_map(|(_, names)| names);
        let missing: Vec<&str> =
            accept.required.iter().chain(dependent).filter(|name| !held(name)).map(String::as_str).collect();
        if !missing.is_empty() {
            fits = self.blame(blame, format!("missing required properties: {}", missing.join(", ")));
        }
        Ok(fits)
    }

    /// Whether everything of the shape `shape` is taken by `accept`. An absent schema takes everything.
    fn shape(&mut self, shape: SchemaId, accept: SchemaId, blame: &Blame) -> Given<bool> {
        self.deeper(blame, false, |this| this.shape_inner(shape, accept, blame))
    }

    fn shape_inner(&mut self, shape_id: SchemaId, accept_id: SchemaId, blame: &Blame) -> Given<bool> {
        let (shape, accept) = (self.graph.schemas[shape_id].clone(), self.graph.schemas[accept_id].clone());
        if accept.always || accept.never {
            return Ok(accept.always);
        }
        if shape.always || shape.never {
            return Ok(shape.always);
        }
        let mut fits = true;
        if let Some(reference) = accept.reference {
            fits &= self.shape(shape_id, reference, blame)?;
        }
        if let Some(reference) = shape.reference {
            fits &= self.shape(reference, accept_id, blame)?;
        }
        for alternatives in [&shape.any_of, &shape.one_of] {
            fits &= self
                .alternatives(alternatives, Alternatives::Any, blame, |this, one| this.shape(one, accept_id, blame))?;
        }
        if !shape.kind.is_empty() {
            fits &= self.kind(&shape.kind, &accept, blame);
        }
        for alternatives in [&accept.any_of, &accept.one_of] {
            fits &= self
                .alternatives(alternatives, Alternatives::Any, blame, |this, one| this.shape(shape_id, one, blame))?;
        }
        match shape.kind.as_str() {
            "array" => Ok(self.list_shape(&shape, &accept, blame)? && fits),
            "object" => Ok(self.object_shape(&shape, &accept, blame)? && fits),
            _ => Ok(fits),
        }
    }

    fn optional_shape(&mut self, shape: Option<SchemaId>, accept: Option<SchemaId>, blame: &Blame) -> Given<bool> {
        match (shape, accept) {
            (_, None) => Ok(true),
            (None, Some(accept)) => Ok(!self.graph.schemas[accept].never),
            (Some(shape), Some(accept)) => self.shape(shape, accept, blame),
        }
    }

    fn list_shape(&mut self, shape: &Schema, accept: &Schema, blame: &Blame) -> Given<bool> {
        let mut fits = true;
        for index in 0..shape.prefix_items.len().max(accept.prefix_items.len()) {
            let blame = self.index(blame, index);
            let ours = shape.prefix_items.get(index).copied().or(shape.items);
            let theirs = accept.prefix_items.get(index).copied().or(accept.items);
            fits &= self.optional_shape(ours, theirs, &blame)?;
        }
        if let Some(items) = shape.items.filter(|items| !self.graph.schemas[*items].never) {
            fits &= self.optional_shape(Some(items), accept.items, blame)?;
        }
        Ok(fits)
    }

    fn object_shape(&mut self, shape: &Schema, accept: &Schema, blame: &Blame) -> Given<bool> {
        let mut fits = true;
        for (name, property) in &shape.properties {
            let blame = self.property(blame, name);
            let accepted = accept.properties.get(name).copied().or(accept.additional);
            fits &= self.optional_shape(Some(*property), accepted, &blame)?;
        }
        match shape.additional {
            None => {
                let dependent = accept.dependent_required.iter().filter(|(name, _)| shape.required.contains(name));
                let demanded = accept.required.iter().chain(dependent.flat_map(|(_, names)| names));
                for name in demanded.filter(|name| !shape.required.contains(name)) {
                    let blame = self.property(blame, name);
                    fits = self.blame(&blame, "missing required property");
                }
            }
            Some(additional) if !self.graph.schemas[additional].never => {
                fits &= self.optional_shape(Some(additional), accept.additional, blame)?;
            }
            Some(_) => {}
        }
        Ok(fits)
    }
}
