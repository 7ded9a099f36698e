//! `fn::open` and `fn::rotate`: values that a provider of the host makes (esc-language.md §6).

use serde_json::Value as Json;

use super::eval::{Mode, Rotation, RotationStatus};
use super::evaluator::Evaluator;
use super::graph::{Exhausted, ExprId, Kind, Mark, ROOT, ValueId};
use super::path::push_key;
use super::provider::Context;
use super::schema::{self, SchemaId};
use super::value::{Content, Value, go_quote};

type Given<T> = Result<T, Exhausted>;

impl Evaluator<'_> {
    pub fn open_call(&mut self, id: ExprId, provider: Option<&str>, inputs: ExprId) -> Given<ValueId> {
        // Without a name the document was wrong, which was reported.
        let Some(name) = provider else { return Ok(self.graph.unknown(id, schema::ANY)) };
        let providers = self.providers;
        let provider = providers.providers.get(name);
        let (mut accept, mut output) = (schema::ANY, schema::ANY);
        match provider {
            Some(provider) => {
                accept = self.schema(id, &provider.input_schema(), "input schema");
                output = self.schema(id, &provider.output_schema(), "schema");
            }
            None => self.unknown_name(id, "provider", name),
        }
        let inputs = self.typed(inputs, accept)?;
        let (Some(provider), Some(inputs)) = (provider, inputs) else { return Ok(self.graph.unknown(id, output)) };
        if self.checking() || self.graph.contains(inputs, Mark::Unknown)? {
            return Ok(self.graph.unknown(id, output));
        }
        let inputs = self.export_value(inputs)?;
        let context = self.context_of(id)?;
        let opened = object_inputs(&inputs).and_then(|()| provider.open(&inputs, &context));
        Ok(self.outcome(id, output, opened))
    }

    pub fn rotate_call(&mut self, id: ExprId, provider: Option<&str>, inputs: ExprId, state: ExprId) -> Given<ValueId> {
        let Some(name) = provider else { return Ok(self.graph.unknown(id, schema::ANY)) };
        let providers = self.providers;
        let rotator = providers.rotators.get(name);
        let (mut accept, mut accept_state, mut output) = (schema::ANY, schema::ANY, schema::ANY);
        match rotator {
            Some(rotator) => {
                accept = self.schema(id, &rotator.input_schema(), "input schema");
                let stored = self.schema(id, &rotator.state_schema(), "state schema");
                accept_state = self.graph.schemas.or_null(stored);
                output = self.schema(id, &rotator.output_schema(), "schema");
            }
            None => self.unknown_name(id, "rotator", name),
        }
        let inputs = self.typed(inputs, accept)?;
        let state = self.typed(state, accept_state)?;
        let rotates = self.rotates(id);
        // Only the root document is ever rotated.
        let rotating = matches!(self.mode, Mode::Rotate { .. }) && self.graph[id].document == ROOT;
        let observed = if rotating { Mark::Unknown } else { Mark::ObservableUnknown };
        let (Some(rotator), Some(inputs), Some(state)) = (rotator, inputs, state) else {
            return Ok(self.not_evaluated(id, output, rotates));
        };
        if self.checking() || self.graph.contains(inputs, observed)? || self.graph.contains(state, Mark::Unknown)? {
            return Ok(self.not_evaluated(id, output, rotates));
        }
        let inputs = self.export_value(inputs)?;
        let context = self.context_of(id)?;
        let mut state = Some(self.export_value(state)?).filter(|state| matches!(state.content, Content::Object(_)));
        if let Err(error) = object_inputs(&inputs) {
            return Ok(self.outcome(id, output, Err(error)));
        }
        if rotates {
            match rotator.rotate(&inputs, state.as_ref(), &context) {
                Ok(next) => {
                    self.rotated(id, RotationStatus::Succeeded(next.clone()));
                    state = Some(next).filter(|state| matches!(state.content, Content::Object(_)));
                }
                Err(error) => {
                    self.rotated(id, RotationStatus::Failed(error.clone()));
                    return Ok(self.outcome(id, output, Err(format!("rotate: {error}"))));
                }
            }
        }
        let opened = rotator.open(&inputs, state.as_ref(), &context);
        Ok(self.outcome(id, output, opened))
    }

    fn schema(&mut self, id: ExprId, json: &Json, what: &str) -> SchemaId {
        self.graph.schemas.read(json).unwrap_or_else(|error| {
            self.error(id, format!("internal error: invalid {what} ({error})"));
            schema::ANY
        })
    }

    fn unknown_name(&mut self, id: ExprId, what: &str, name: &str) {
        let severity = self.providers.missing;
        let detail = format!("this host has no {what} of that name; the value stays unknown here");
        self.report(id, severity, format!("unknown {what} {}", go_quote(name)), Some(detail));
    }

    fn outcome(&mut self, id: ExprId, output: SchemaId, opened: Result<Value, String>) -> ValueId {
        match opened {
            Ok(value) => self.import_value(&value, id, false),
            Err(error) => {
                self.error(id, error);
                self.graph.unknown(id, output)
            }
        }
    }

    fn context_of(&mut self, id: ExprId) -> Given<Context> {
        let scope = &self.scopes[self.graph[id].document as usize];
        let (root, current, context) = (scope.root_name.clone(), scope.name.clone(), scope.context);
        let values = match context {
            Some(context) => self.export_value(context)?.content,
            None => Content::Null,
        };
        Ok(Context {
            values: if let Content::Object(values) = values { values } else { Default::default() },
            root_environment: root.as_ref().to_owned(),
            current_environment: current.as_ref().to_owned(),
        })
    }

    /// Whether the rotator of this call is to rotate: in the root document, if all are or its path is listed.
    fn rotates(&self, id: ExprId) -> bool {
        let node = &self.graph[id];
        match &self.mode {
            Mode::Rotate { paths } if node.document == ROOT => match paths {
                Some(paths) if !paths.is_empty() => {
                    let path = node.site.trail.path();
                    paths.iter().any(|listed| {
                        let listed =
                            listed.parse().map_or_else(|_| listed.clone(), |path: super::path::Path| path.to_string());
                        let separator = if listed.starts_with('[') { "" } else { "." };
                        path.strip_prefix("values").and_then(|rest| rest.strip_prefix(separator)) == Some(&listed)
                    })
                }
                _ => true,
            },
            _ => false,
        }
    }

    fn not_evaluated(&mut self, id: ExprId, output: SchemaId, rotates: bool) -> ValueId {
        if rotates {
            self.rotated(id, RotationStatus::NotEvaluated);
        }
        self.graph.unknown(id, output)
    }

    fn rotated(&mut self, id: ExprId, status: RotationStatus) {
        let path = self.graph[id].site.trail.path();
        let mut state_path = path.clone();
        if let Kind::Call { spelling, .. } = &*self.graph[id].kind {
            push_key(&mut state_path, &spelling.name);
        }
        state_path.push_str(".state");
        self.rotations.push(Rotation { path, state_path, status });
    }
}

fn object_inputs(inputs: &Value) -> Result<(), String> {
    match inputs.content {
        Content::Object(_) => Ok(()),
        _ => Err(format!("expected object, got {}", inputs.content.word())),
    }
}
