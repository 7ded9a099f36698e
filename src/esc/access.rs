//! Property accesses: how `${a.b[0]}` finds its value (esc-language.md §5).
//!
//! Walking through literals evaluates nothing beside the way, so that siblings may refer to each other in
//! any order. Every mistake makes the whole access unknown; evaluation goes on.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::evaluator::Evaluator;
use super::expression::Builtin;
use super::graph::{Content, Exhausted, ExprId, Kind, State, Step, ValueId};
use super::interpolation::Accessor;
use super::schema::{self, SchemaId};
use super::spell::did_you_mean;
use super::value::go_quote;

const NO_MEMBERS: &str = "receiver must be an array or an object";

type Given<T> = Result<T, Exhausted>;

impl Evaluator<'_> {
    /// Follows `steps` (never empty) on behalf of the expression `at`.
    pub fn access(&mut self, at: ExprId, steps: &[Step], accept: SchemaId) -> Given<ValueId> {
        let document = self.graph[at].document as usize;
        let Some((first, rest)) = steps.split_first() else { return Ok(self.invalid(at, steps)) };
        let scope = self.scopes.get(document);
        let (context, imports, root) =
            scope.map_or((None, None, None), |scope| (scope.context, scope.imports, scope.root));
        match first.accessor.key() {
            Some("imports") => return self.special(at, first, rest, imports),
            Some("context") => return self.special(at, first, rest, context),
            Some("environments") => return self.environment(at, steps),
            _ => {}
        }
        let Some(mut receiver) = root else { return Ok(self.invalid(at, steps)) };
        let mut remaining = steps;
        while let Some((step, rest)) = remaining.split_first() {
            let kind = self.graph[receiver].kind.clone();
            receiver = match &*kind {
                Kind::List(items) => match self.index(at, step, Some(items.len())) {
                    Some(index) => items[index],
                    None => return Ok(self.invalid(at, remaining)),
                },
                Kind::Object { properties, .. } => {
                    let Some(key) = self.key(at, step) else { return Ok(self.invalid(at, remaining)) };
                    match properties.get(key) {
                        Some(property) => *property,
                        None => {
                            let base = self.graph[receiver].base;
                            if let Some(base) = base.filter(|_| self.graph.may_be_object(base)) {
                                return self.follow(at, base, remaining);
                            }
                            self.unknown_property(at, step, key, properties.keys());
                            return Ok(self.invalid(at, remaining));
                        }
                    }
                }
                // Secrets are transparent to accesses.
                Kind::Call { builtin: Builtin::Secret(text), .. } => {
                    receiver = *text;
                    continue;
                }
                Kind::Call { builtin: Builtin::Ciphertext(..), .. } => {
                    self.error(at, "internal error: no receiver");
                    return Ok(self.invalid(at, remaining));
                }
                _ => {
                    let value = self.evaluate(receiver, accept)?;
                    return self.follow(at, value, remaining);
                }
            };
            step.resolved.set(Some(receiver));
            remaining = rest;
        }
        self.evaluate(receiver, schema::ANY)
    }

    fn special(&mut self, at: ExprId, first: &Step, rest: &[Step], value: Option<ValueId>) -> Given<ValueId> {
        let Some(value) = value else { return Ok(self.invalid(at, rest)) };
        first.resolved.set(Some(self.graph[value].def));
        self.follow(at, value, rest)
    }

    /// `${environments.PROJECT.NAME…}`: an import on the spot, merged into nothing.
    fn environment(&mut self, at: ExprId, steps: &[Step]) -> Given<ValueId> {
        let [_, project, name, ..] = steps else { return Ok(self.invalid(at, steps)) };
        let (project_key, name_key) = (self.key(at, project), self.key(at, name));
        let (Some(project), Some(name)) = (project_key, name_key) else { return Ok(self.invalid(at, steps)) };
        let imported = match self.import(at, &format!("{project}/{name}"))? {
            Some(value) => value,
            None => self.graph.unknown(at, schema::ANY),
        };
        let mut value = imported;
        for key in [name, project, "environments"] {
            let entries = BTreeMap::from([(Rc::from(key), value)]);
            value = self.graph.known(at, Content::Object(Rc::new(entries)));
        }
        self.follow(at, value, steps)
    }

    /// Follows `steps` from a value.
    fn follow(&mut self, at: ExprId, start: ValueId, steps: &[Step]) -> Given<ValueId> {
        let mut receiver = start;
        let mut remaining = steps;
        while let Some((step, rest)) = remaining.split_first() {
            self.graph.spend(16)?;
            if self.graph[receiver].unknown {
                let schema = self.graph[receiver].schema;
                return Ok(self.follow_unknown(at, schema, remaining));
            }
            receiver = match self.graph[receiver].content.clone() {
                Content::List(items) => match self.index(at, step, Some(items.len())) {
                    Some(index) => items[index],
                    None => return Ok(self.invalid(at, remaining)),
                },
                Content::Object(entries) => {
                    let Some(key) = self.key(at, step) else { return Ok(self.invalid(at, remaining)) };
                    match entries.get(key) {
                        Some(entry) => *entry,
                        None => {
                            let base = self.graph[receiver].base;
                            if let Some(base) = base.filter(|_| self.graph.may_be_object(base)) {
                                receiver = base;
                                continue;
                            }
                            self.unknown_property(at, step, key, entries.keys());
                            return Ok(self.invalid(at, remaining));
                        }
                    }
                }
                _ => {
                    self.step_error(at, step, NO_MEMBERS);
                    return Ok(self.invalid(at, remaining));
                }
            };
            step.resolved.set(Some(self.graph[receiver].def));
            remaining = rest;
        }
        Ok(receiver)
    }

    /// Checks `steps` (never empty) against what an unknown value may be.
    fn follow_unknown(&mut self, at: ExprId, schema: SchemaId, steps: &[Step]) -> ValueId {
        let mut schema = schema;
        for (position, step) in steps.iter().enumerate() {
            let receiver = &self.graph.schemas[schema];
            if !receiver.always {
                let member = match receiver.kind.as_str() {
                    "array" => {
                        let closed = receiver.items.is_some_and(|items| self.graph.schemas[items].never);
                        let length = closed.then_some(receiver.prefix_items.len());
                        self.index(at, step, length).map(|index| self.graph.schemas.item(schema, index))
                    }
                    "object" => self.key(at, step).map(|key| self.graph.schemas.property(schema, key)),
                    _ => {
                        self.step_error(at, step, NO_MEMBERS);
                        None
                    }
                };
                let Some(member) = member else {
                    return self.invalid(at, steps.get(position..).unwrap_or_default());
                };
                schema = member;
            }
            step.resolved.set(Some(at));
        }
        self.nowhere(at, schema)
    }

    /// Marks `steps` as leading nowhere.
    fn invalid(&mut self, at: ExprId, steps: &[Step]) -> ValueId {
        for step in steps {
            step.resolved.set(Some(at));
        }
        self.nowhere(at, schema::ANY)
    }

    fn nowhere(&mut self, at: ExprId, schema: SchemaId) -> ValueId {
        let def = self.graph.synthetic(at, Kind::Missing);
        let value = self.graph.unknown(def, schema);
        self.graph[def].state = State::Done(value);
        value
    }

    fn unknown_property<'k>(&mut self, at: ExprId, step: &Step, key: &str, known: impl Iterator<Item = &'k Rc<str>>) {
        let candidates: Vec<&str> = known.map(AsRef::as_ref).take(self.comparisons).collect();
        self.comparisons -= candidates.len();
        let hint = did_you_mean(key, candidates);
        self.step_error(at, step, format!("unknown property {}{hint}", go_quote(key)));
    }

    /// The index that a step gives into a list of `length` elements, where the length is known.
    fn index(&mut self, at: ExprId, step: &Step, length: Option<usize>) -> Option<usize> {
        let Accessor::Index(index) = step.accessor else {
            self.step_error(at, step, "cannot access an array element using a property name");
            return None;
        };
        let Ok(place) = usize::try_from(index) else {
            self.step_error(at, step, "array indices must not be negative");
            return None;
        };
        if let Some(length) = length.filter(|length| place >= *length) {
            self.step_error(at, step, format!("array index {index} out-of-bounds for array of length {length}"));
            return None;
        }
        Some(place)
    }

    /// The key that a step gives into an object.
    fn key<'s>(&mut self, at: ExprId, step: &'s Step) -> Option<&'s str> {
        let key = step.accessor.key();
        if key.is_none() {
            self.step_error(at, step, "cannot access an object property using an integer index");
        }
        key
    }
}
