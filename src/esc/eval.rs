//! The evaluator: one document with all it imports, to one value and everything that is wrong with it
//! (esc-language.md §§2–7).
//!
//! **Pure: texts, secrets and providers come through callbacks. No input makes it panic, recurse without
//! bound or run without end**: nesting and work are limited (`graph.rs`).

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use serde_json::Value as Json;

use super::diagnostic::Diagnostic;
use super::document;
use super::evaluator::Evaluator;
use super::graph::{Exhausted, Graph};
use super::provider::Providers;
use super::value::Value;
use crate::base::error::Severity;

/// How an anonymous document is called.
pub const ANONYMOUS: &str = "<yaml>";
/// The most documents that one evaluation reads.
pub const MOST_DOCUMENTS: usize = 1000;

/// Finds the text of an imported environment by the name that the document wrote.
pub trait Loader {
    /// # Errors
    /// The text of the diagnostic at the import.
    fn load(&mut self, name: &str) -> Result<Loaded, String>;
}

/// An imported environment's text, and what decrypts its secrets.
pub struct Loaded {
    pub text: String,
    pub decrypter: Box<dyn Decrypter>,
}

/// Opens the envelopes of one environment's static secrets.
pub trait Decrypter {
    /// Whether the text is an envelope at all; asked even when nothing is decrypted.
    ///
    /// # Errors
    /// The text of the diagnostic, such as `invalid ciphertext: EOF`.
    fn check(&self, envelope_base64: &str) -> Result<(), String> {
        let _ = envelope_base64;
        Ok(())
    }

    /// # Errors
    /// The text of the diagnostic, such as `decrypting: …`.
    fn decrypt(&self, envelope_base64: &str) -> Result<String, String>;
}

impl<D: Decrypter + ?Sized> Decrypter for &D {
    fn check(&self, envelope_base64: &str) -> Result<(), String> {
        (**self).check(envelope_base64)
    }

    fn decrypt(&self, envelope_base64: &str) -> Result<String, String> {
        (**self).decrypt(envelope_base64)
    }
}

/// What an evaluation is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// No provider is called; encrypted secrets stay unknown unless asked for.
    Check {
        show_secrets: bool,
    },
    Open,
    /// Rotators of the root document are asked for new state: all, or those at these paths below `values`.
    Rotate {
        paths: Option<Vec<String>>,
    },
}

/// How the rotation of one call went.
#[derive(Debug, Clone, PartialEq)]
pub enum RotationStatus {
    /// With the new state, to be written to [`Rotation::state_path`].
    Succeeded(Value),
    Failed(String),
    NotEvaluated,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rotation {
    /// The document path of the call: `values.a`.
    pub path: String,
    /// The document path of its state: `values.a["fn::rotate::p"].state`.
    pub state_path: String,
    pub status: RotationStatus,
}

/// What an evaluation gave.
#[derive(Debug)]
pub struct Evaluated {
    /// The root object; none for an empty environment, or one that is not even YAML.
    pub value: Option<Value>,
    /// In the order of evaluation. With an error among them, nobody may be handed the value.
    pub diagnostics: Vec<Diagnostic>,
    pub rotations: Vec<Rotation>,
    /// `context` as the root document saw it.
    pub context: Option<Value>,
    /// The document's own expressions, in the form of the API (esc-language.md §9); of a check only, else empty.
    /// Plaintext secrets are starred.
    pub exprs: Json,
    /// The shape of the value, in the form of the API; of a check only, else `true`. **It holds no content**,
    /// unlike the reference's.
    pub schema: Json,
}

impl Evaluated {
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// The environment as the API answers it; diagnostics are not part of it.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut environment = serde_json::Map::new();
        let Some(value) = &self.value else { return Json::Object(environment) };
        let members = |value: &Value| value.to_json().get("value").cloned().unwrap_or_default();
        if self.exprs.as_object().is_some_and(|exprs| !exprs.is_empty()) {
            environment.insert("exprs".into(), self.exprs.clone());
        }
        environment.insert("properties".into(), members(value));
        environment.insert("schema".into(), self.schema.clone());
        if let Some(context) = &self.context {
            let context = serde_json::json!({"properties": members(context), "schema": true});
            environment.insert("executionContext".into(), context);
        }
        Json::Object(environment)
    }
}

/// Evaluates `text` as the environment `name` (or [`ANONYMOUS`]).
///
/// `context` is what the host knows; `currentEnvironment` and `rootEnvironment` in it are overwritten.
pub fn evaluate(
    name: &str,
    text: &str,
    mode: Mode,
    loader: &mut dyn Loader,
    decrypter: &dyn Decrypter,
    providers: &Providers,
    context: &BTreeMap<String, Value>,
) -> Evaluated {
    let (document, diagnostics) = document::parse(name, text);
    let mut evaluated = Evaluated {
        value: None,
        diagnostics,
        rotations: Vec::new(),
        context: None,
        exprs: Json::Object(serde_json::Map::new()),
        schema: Json::Bool(false),
    };
    let Some(document) = document.filter(|document| !document.is_empty()) else { return evaluated };
    let mut evaluator = Evaluator {
        graph: Graph::default(),
        mode,
        loader,
        providers,
        host: context,
        scopes: Vec::new(),
        imported: HashMap::new(),
        findings: std::mem::take(&mut evaluated.diagnostics),
        rotations: Vec::new(),
        depth: 0,
        comparisons: 50_000,
    };
    let outcome = evaluator.root(name, document, Rc::new(decrypter));
    match outcome {
        Ok(exported) => {
            evaluated.value = Some(exported.value);
            evaluated.context = Some(exported.context);
            evaluated.exprs = exported.exprs;
            evaluated.schema = exported.schema;
        }
        Err(Exhausted) => evaluator.findings.push(Diagnostic {
            severity: Severity::Error,
            summary: "the environment is too large to evaluate".into(),
            detail: Some("references multiply its values or texts beyond what can be computed".into()),
            range: None,
            path: None,
        }),
    }
    evaluated.diagnostics = evaluator.findings;
    evaluated.rotations = evaluator.rotations;
    evaluated
}
