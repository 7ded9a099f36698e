//! What ESC says of a document: severity, sentence, place, path (esc-language.md §7).

use serde_json::{Value as Json, json};

use super::value::Range;
use crate::base::error::{Problem, Severity};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub summary: String,
    pub detail: Option<String>,
    /// Where the blamed node stands; none for errors of the YAML reader without a subject.
    pub range: Option<Range>,
    /// Path in the document: `values.a["b c"][0]`.
    pub path: Option<String>,
}

impl Diagnostic {
    /// The form of the REST API (esc-api.md §2.3).
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut object = serde_json::Map::new();
        if let Some(range) = &self.range {
            object.insert("range".into(), range.to_json());
        }
        object.insert("summary".into(), json!(self.summary));
        if let Some(detail) = &self.detail {
            object.insert("detail".into(), json!(detail));
        }
        let severity = if self.severity == Severity::Error { "error" } else { "warning" };
        object.insert("severity".into(), json!(severity));
        if let Some(path) = &self.path {
            object.insert("path".into(), json!(path));
        }
        Json::Object(object)
    }

    /// As a finding of this tool; `file_of` names the text that ESC calls as it is given.
    #[must_use]
    pub fn problem(&self, file_of: impl FnOnce(&str) -> String) -> Problem {
        let detail = self.detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}"));
        let path = self.path.as_ref().map_or_else(String::new, |path| format!("`{path}`: "));
        let place = self.range.as_ref().and_then(|range| range.place(file_of));
        let message = format!("{path}{}{detail}", self.summary);
        Problem { code: "esc-diagnostic", severity: self.severity, place, message, hint: None }
    }

    /// Reads the form of the REST API; a missing severity means error.
    #[must_use]
    pub fn from_json(json: &Json) -> Self {
        let text = |name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
        Self {
            severity: if text("severity").as_deref() == Some("warning") { Severity::Warning } else { Severity::Error },
            summary: text("summary").unwrap_or_default(),
            detail: text("detail").filter(|detail| !detail.is_empty()),
            range: json.get("range").filter(|range| range.is_object()).map(Range::from_json),
            path: text("path"),
        }
    }
}
