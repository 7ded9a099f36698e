//! What a host may plug into the language: providers behind `fn::open`, rotators behind `fn::rotate`
//! (esc-language.md §6).

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::value::{Content, Value};
use crate::base::error::Severity;

/// Where an evaluation happens, as a provider sees it.
#[derive(Debug, Clone)]
pub struct Context {
    /// `context` of the document that calls.
    pub values: BTreeMap<String, Value>,
    pub root_environment: String,
    pub current_environment: String,
}

/// A source of dynamic values. Schemas are JSON Schema in ESC's subset.
pub trait Provider {
    fn input_schema(&self) -> Json {
        Json::Bool(true)
    }

    fn output_schema(&self) -> Json {
        Json::Bool(true)
    }

    /// Answers the output for `inputs`, which are an object and fit the input schema.
    ///
    /// # Errors
    /// The text of the diagnostic at the call; it must hold no value of the inputs that is secret.
    fn open(&self, inputs: &Value, context: &Context) -> Result<Value, String>;
}

/// A keeper of credentials that can be replaced.
pub trait Rotator {
    fn input_schema(&self) -> Json {
        Json::Bool(true)
    }

    fn state_schema(&self) -> Json {
        Json::Bool(true)
    }

    fn output_schema(&self) -> Json {
        Json::Bool(true)
    }

    /// Answers the output for the stored state; none when nothing was rotated yet.
    ///
    /// # Errors
    /// The text of the diagnostic at the call.
    fn open(&self, inputs: &Value, state: Option<&Value>, context: &Context) -> Result<Value, String>;

    /// Answers the new state.
    ///
    /// # Errors
    /// The text of the diagnostic at the call.
    fn rotate(&self, inputs: &Value, state: Option<&Value>, context: &Context) -> Result<Value, String>;
}

/// What a host offers. By default nothing: then every call is unknown, with a diagnostic.
pub struct Providers {
    pub providers: BTreeMap<String, Box<dyn Provider + Send + Sync>>,
    pub rotators: BTreeMap<String, Box<dyn Rotator + Send + Sync>>,
    /// How bad a provider is that the host does not have. [`Severity::Error`] refuses the whole environment,
    /// as Pulumi Cloud does; with [`Severity::Warning`] the rest can be opened, and the value stays unknown.
    pub missing: Severity,
    /// Whether the parts of a secret are secret where Pulumi's evaluator loses the mark: elements of `fn::split`.
    pub careful: bool,
}

impl Default for Providers {
    fn default() -> Self {
        Self { providers: BTreeMap::new(), rotators: BTreeMap::new(), missing: Severity::Error, careful: false }
    }
}

impl Providers {
    #[must_use]
    pub fn with(mut self, name: &str, provider: impl Provider + Send + Sync + 'static) -> Self {
        self.providers.insert(name.to_owned(), Box::new(provider));
        self
    }

    #[must_use]
    pub fn with_rotator(mut self, name: &str, rotator: impl Rotator + Send + Sync + 'static) -> Self {
        self.rotators.insert(name.to_owned(), Box::new(rotator));
        self
    }

    /// The same table, where a provider that the host lacks is a warning.
    #[must_use]
    pub fn tolerant(mut self) -> Self {
        self.missing = Severity::Warning;
        self
    }

    /// The same table, for a host that shows values and hides secrets among them.
    #[must_use]
    pub fn careful(mut self) -> Self {
        self.careful = true;
        self
    }
}

/// Reads named texts of the host: `fn::open::env: {NAME: VARIABLE}` and `fn::open::file: {NAME: PATH}`.
///
/// The host's `read` decides what may be read; whatever it answers is secret. **No host registers these
/// unless its user asked for it**: a document from elsewhere could read any file.
pub struct Reading<F> {
    /// What is read, for messages: `environment variable` or `file`.
    pub what: &'static str,
    pub read: F,
}

impl<F: Fn(&str) -> Result<String, String>> Provider for Reading<F> {
    fn input_schema(&self) -> Json {
        json!({"type": "object", "additionalProperties": {"type": "string"}})
    }

    fn output_schema(&self) -> Json {
        json!({"type": "object", "additionalProperties": {"type": "string"}})
    }

    fn open(&self, inputs: &Value, _context: &Context) -> Result<Value, String> {
        let Content::Object(entries) = &inputs.content else { return Err("the inputs must be an object".into()) };
        let mut output = BTreeMap::new();
        for (key, source) in entries {
            let Content::String(name) = &source.content else { return Err("the inputs must be strings".into()) };
            let text = (self.read)(name).map_err(|error| format!("reading {} for `{key}`: {error}", self.what))?;
            output.insert(key.clone(), Value { secret: true, ..Value::plain(Content::String(text)) });
        }
        Ok(Value::plain(Content::Object(output)))
    }
}
