//! Evaluating a definition for the service: imports come from the same organization.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::esc::{Esc, Key};
use super::esc_crypter::Crypter;
use crate::base::error::Outcome;
use crate::esc::diagnostic::Diagnostic;
use crate::esc::eval::{self, Evaluated, Loaded, Loader, Mode};
use crate::esc::provider::Providers;

pub struct Evaluation {
    /// An Environment as the API gives it; an empty object when nothing was evaluated.
    pub body: Json,
    pub diagnostics: Vec<Json>,
    /// Whether a diagnostic is an error.
    pub failed: bool,
}

struct Imports<'e> {
    esc: &'e Esc,
    crypter: &'e Crypter,
    organization: &'e str,
}

impl Loader for Imports<'_> {
    /// `environment` is one of the project `default`, else `project/environment`; a version may follow `@`.
    fn load(&mut self, name: &str) -> Result<Loaded, String> {
        let (path, version) = name.split_once('@').unwrap_or((name, "latest"));
        let (project, environment) = path.split_once('/').unwrap_or(("default", path));
        let key = (self.organization.to_owned(), project.to_owned(), environment.to_owned());
        let found = self.esc.environments.get(&key).and_then(|environment| environment.revision(version));
        let text = found.map(|revision| revision.text.clone()).ok_or_else(|| "not found".to_owned())?;
        Ok(Loaded { text, decrypter: Box::new(self.crypter.clone()) })
    }
}

/// Evaluates with secrets in clear. The answer has no `exprs`, which some SDKs cannot read (esc-api.md §8).
///
/// # Errors
/// When the store cannot open its secrets.
pub fn open(esc: &Esc, key: &Key, text: &str) -> Outcome<Evaluation> {
    let mut evaluation = evaluation(&esc.evaluate(key, text, Mode::Open)?);
    if let Some(body) = evaluation.body.as_object_mut() {
        body.remove("exprs");
        body.remove("executionContext");
    }
    Ok(evaluation)
}

/// Evaluates without opening anything.
///
/// # Errors
/// When secrets are to be shown and the store cannot open them.
pub fn check(esc: &Esc, key: &Key, text: &str, show_secrets: bool) -> Outcome<Evaluation> {
    Ok(evaluation(&esc.evaluate(key, text, Mode::Check { show_secrets })?))
}

fn evaluation(evaluated: &Evaluated) -> Evaluation {
    Evaluation {
        failed: evaluated.has_errors(),
        diagnostics: evaluated.diagnostics.iter().map(Diagnostic::to_json).collect(),
        body: if evaluated.value.is_some() { evaluated.to_json() } else { json!({}) },
    }
}

/// Evaluates a text whose imports are in memory too.
pub fn in_memory(esc: &Esc, crypter: &Crypter, called: &str, organization: &str, text: &str, mode: Mode) -> Evaluated {
    let mut imports = Imports { esc, crypter, organization };
    eval::evaluate(called, text, mode, &mut imports, crypter, &Providers::default(), &BTreeMap::new())
}
