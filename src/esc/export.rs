//! From the graph to what a host sees: values, the document's expressions, and their shapes
//! (esc-language.md §9).

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::evaluator::Evaluator;
use super::expression::{Builtin, Spelling, range};
use super::graph::{self, Content, DocumentId, Exhausted, ExprId, Kind, Spot, Step, ValueId};
use super::interpolation::Accessor;
use super::value::{self, HIDDEN, Range, Value};

/// The longest chain of bases that is shown with a value.
const MOST_BASES: usize = 32;

type Given<T> = Result<T, Exhausted>;

/// The root environment, exported.
pub struct Exported {
    pub value: Value,
    pub context: Value,
    pub exprs: Json,
    pub schema: Json,
}

pub fn export(evaluator: &mut Evaluator<'_>, document: DocumentId, value: ValueId) -> Given<Exported> {
    let scope = &evaluator.scopes[document as usize];
    let (context, root) = (scope.context, scope.root);
    let context = match context {
        Some(context) => evaluator.export_value(context)?,
        None => Value::plain(value::Content::Null),
    };
    let value = evaluator.export_value(value)?;
    let (mut exprs, mut schema) = (Map::new(), Json::Bool(true));
    // Only the answer to a check shows them, and they cost more than the values.
    if evaluator.checking() {
        let kind = root.map(|root| evaluator.graph[root].kind.clone());
        if let Some(Kind::Object { properties, .. }) = kind.as_deref() {
            for (key, property) in properties {
                exprs.insert(key.as_ref().to_owned(), evaluator.export_expression(*property, false)?);
            }
        }
        schema = shape(&value);
    }
    Ok(Exported { value, context, exprs: Json::Object(exprs), schema })
}

/// The JSON Schema of a value, without its content.
fn shape(value: &Value) -> Json {
    if value.unknown {
        return Json::Bool(true);
    }
    let mut schema = match &value.content {
        value::Content::List(items) => {
            json!({"type": "array", "prefixItems": items.iter().map(shape).collect::<Vec<_>>(), "items": false})
        }
        value::Content::Object(entries) => {
            let properties: Map<String, Json> =
                entries.iter().map(|(key, value)| (key.clone(), shape(value))).collect();
            json!({"type": "object", "properties": properties, "required": entries.keys().collect::<Vec<_>>()})
        }
        scalar => json!({"type": scalar.word()}),
    };
    if let (true, Some(schema)) = (value.secret, schema.as_object_mut()) {
        schema.insert("secret".into(), Json::Bool(true));
    }
    schema
}

impl Evaluator<'_> {
    fn range(&self, spot: Spot) -> Range {
        let name = self.name(spot.document);
        spot.span.map_or_else(|| Range { environment: name.clone(), ..Range::default() }, |span| range(&name, span))
    }

    /// The merged value as a tree of its own. **The bases in its traces carry places and scalars, not the
    /// members of lists and objects**: those would repeat at every level below.
    pub fn export_value(&mut self, id: ValueId) -> Given<Value> {
        self.graph.spend(2 * graph::VALUE)?;
        let content = match self.graph[id].content.clone() {
            Content::List(items) => {
                let mut exported = Vec::with_capacity(items.len());
                for item in items.iter() {
                    exported.push(self.export_value(*item)?);
                }
                value::Content::List(exported)
            }
            Content::Object(_) => {
                // Collected, not inserted: what comes in order one by one leaves every node of the tree half empty.
                let members = self.graph.members(id)?;
                let exported = members
                    .iter()
                    .map(|(key, member)| Ok((key.as_ref().to_owned(), self.export_value(*member)?)))
                    .collect::<Given<_>>()?;
                value::Content::Object(exported)
            }
            scalar => self.export_scalar(scalar)?,
        };
        let mut exported = self.frame(id, content);
        let mut chain = Vec::new();
        let mut base = self.graph[id].base;
        while let Some(under) = base.filter(|_| chain.len() < MOST_BASES) {
            let content = match self.graph[under].content.clone() {
                Content::List(_) => value::Content::List(Vec::new()),
                Content::Object(_) => value::Content::Object(BTreeMap::new()),
                scalar => self.export_scalar(scalar)?,
            };
            self.graph.spend(2 * graph::VALUE)?;
            chain.push(self.frame(under, content));
            base = self.graph[under].base;
        }
        exported.base = chain.into_iter().rev().fold(None, |base, value| Some(Box::new(Value { base, ..value })));
        Ok(exported)
    }

    fn export_scalar(&mut self, content: Content) -> Given<value::Content> {
        Ok(match content {
            Content::Bool(flag) => value::Content::Bool(flag),
            Content::Number(text) => value::Content::Number(text.as_ref().to_owned()),
            Content::Text(text) => {
                self.graph.spend(text.len())?;
                value::Content::String(text.as_ref().to_owned())
            }
            Content::Null | Content::List(_) | Content::Object(_) => value::Content::Null,
        })
    }

    fn frame(&self, id: ValueId, content: value::Content) -> Value {
        let value = &self.graph[id];
        let defined = self.range(self.graph.spot(value.def));
        Value { content, secret: value.secret, unknown: value.unknown, defined, base: None }
    }

    /// One expression in the form of the API. `secret` says that it is the plaintext of a secret, which is
    /// not repeated.
    fn export_expression(&mut self, id: ExprId, secret: bool) -> Given<Json> {
        self.graph.spend(8 * graph::VALUE)?;
        let mut out = Map::new();
        out.insert("range".into(), self.range(self.graph.spot(id)).to_json());
        let mut bases = Vec::new();
        let mut base = self.graph[id].base;
        while let Some(under) = base.filter(|_| bases.len() < MOST_BASES) {
            bases.push(self.range(self.graph.spot(self.graph[under].def)).to_json());
            base = self.graph[under].base;
        }
        if let Some(base) = bases.into_iter().rev().fold(None, |base, range| {
            let mut expression = Map::from_iter([("range".to_owned(), range)]);
            expression.extend(base.map(|base| ("base".to_owned(), base)));
            Some(Json::Object(expression))
        }) {
            out.insert("base".into(), base);
        }
        let kind = self.graph[id].kind.clone();
        let (name, json) = match &*kind {
            Kind::Missing | Kind::Null | Kind::Late { .. } => return Ok(Json::Object(out)),
            Kind::Text(_) if secret => ("literal", json!(HIDDEN)),
            Kind::Text(text) => {
                self.graph.spend(text.len())?;
                ("literal", json!(text.as_ref()))
            }
            Kind::Bool(flag) => ("literal", json!(flag)),
            Kind::Number(text) => {
                ("literal", text.parse::<serde_json::Number>().map_or_else(|_| json!(text.as_ref()), Json::Number))
            }
            Kind::Symbol(steps) => ("symbol", self.export_steps(self.graph[id].document, steps)),
            Kind::Interpolate(parts) => {
                let document = self.graph[id].document;
                let parts = parts.iter().map(|(text, access)| {
                    let mut part = Map::new();
                    if !text.is_empty() {
                        part.insert("text".into(), json!(text));
                    }
                    part.extend(
                        access.as_ref().map(|access| ("value".to_owned(), self.export_steps(document, access))),
                    );
                    Json::Object(part)
                });
                ("interpolate", Json::Array(parts.collect()))
            }
            Kind::List(items) => {
                let items = items.iter().map(|item| self.export_expression(*item, false)).collect::<Given<_>>()?;
                ("list", Json::Array(items))
            }
            Kind::Object { properties, keys } => {
                let document = self.graph[id].document;
                let ranges = keys
                    .iter()
                    .map(|(key, span)| (key.as_ref().to_owned(), self.range(Spot { document, span: *span }).to_json()));
                out.insert("keyRanges".into(), Json::Object(ranges.collect()));
                let mut object = Map::new();
                for (key, property) in properties {
                    object.insert(key.as_ref().to_owned(), self.export_expression(*property, false)?);
                }
                ("object", Json::Object(object))
            }
            Kind::Call { spelling, builtin } => {
                let Spelling { name, name_span, argument_span } = &**spelling;
                let document = self.graph[id].document;
                let name_range = self.range(Spot { document, span: *name_span }).to_json();
                let argument_range = self.range(Spot { document, span: *argument_span }).to_json();
                let argument = self.export_argument(name, argument_range, builtin)?;
                ("builtin", json!({"name": name, "nameRange": name_range, "argSchema": true, "arg": argument}))
            }
        };
        out.insert(name.into(), json);
        Ok(Json::Object(out))
    }

    fn export_argument(&mut self, name: &str, range: Json, builtin: &Builtin<ExprId>) -> Given<Json> {
        let object = |members: Vec<(&str, Json)>| {
            let members: Map<String, Json> = members.into_iter().map(|(key, json)| (key.to_owned(), json)).collect();
            json!({"range": range, "object": members})
        };
        Ok(match builtin {
            Builtin::Secret(text) => self.export_expression(*text, true)?,
            Builtin::Ciphertext(_, text) => object(vec![("ciphertext", self.export_expression(*text, false)?)]),
            Builtin::ToJson(one)
            | Builtin::FromJson(one)
            | Builtin::ToText(one)
            | Builtin::ToBase64(one)
            | Builtin::FromBase64(one)
            | Builtin::Concat(one)
            | Builtin::Final(one) => self.export_expression(*one, false)?,
            Builtin::Join(first, second) | Builtin::Split(first, second) => {
                let pair = [self.export_expression(*first, false)?, self.export_expression(*second, false)?];
                json!({"range": range, "list": pair})
            }
            Builtin::Validate { schema, value } => object(vec![
                ("schema", self.export_expression(*schema, false)?),
                ("value", self.export_expression(*value, false)?),
            ]),
            Builtin::Open { provider, inputs } => {
                let inputs = self.export_expression(*inputs, false)?;
                if name == "fn::open" {
                    object(vec![("provider", json!({"range": range, "literal": provider})), ("inputs", inputs)])
                } else {
                    inputs
                }
            }
            Builtin::Rotate { provider, inputs, state } => {
                let mut members = vec![
                    ("inputs", self.export_expression(*inputs, false)?),
                    ("state", self.export_expression(*state, false)?),
                ];
                if name == "fn::rotate" {
                    members.push(("provider", json!({"range": range, "literal": provider})));
                }
                object(members)
            }
        })
    }

    fn export_steps(&self, document: DocumentId, steps: &[Step]) -> Json {
        let export = |step: &Step| {
            let mut out = Map::new();
            match &step.accessor {
                Accessor::Name(key) | Accessor::Key(key) => out.insert("key".into(), json!(key)),
                Accessor::Index(index) => out.insert("index".into(), json!(index)),
            };
            out.insert("range".into(), self.range(Spot { document, span: step.span }).to_json());
            let value = step.resolved.get().map_or_else(Range::default, |at| self.range(self.graph.spot(at)));
            out.insert("value".into(), value.to_json());
            Json::Object(out)
        };
        Json::Array(steps.iter().map(export).collect())
    }
}
