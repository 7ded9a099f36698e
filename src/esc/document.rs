//! An environment document as written: `imports`, `values`, and what is wrong with their shape
//! (esc-language.md §§1–3).

use std::sync::Arc;

use super::diagnostic::Diagnostic;
use super::expression::{self, Expr, ExprKind, Findings, Site, Trail, duplicate, scalar};
use super::scalar::Scalar;
use super::spell;
use crate::base::error::Severity;
use crate::base::yaml::{self, Content, Node};

/// What a document holds. Keys of `values` may repeat; the evaluator says so.
#[derive(Debug, Default)]
pub struct Document {
    pub imports: Vec<Import>,
    pub values: Vec<(String, Site, Expr)>,
}

/// One entry of `imports`.
#[derive(Debug)]
pub struct Import {
    pub name: String,
    pub site: Site,
    pub merge: bool,
}

impl Document {
    /// A document without values and imports evaluates to nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.imports.is_empty() && self.values.is_empty()
    }
}

/// Reads the first YAML document of `text`; `name` is what ranges call it.
///
/// None when the text is no YAML of this language at all; the diagnostics then say why. A document with
/// errors of shape is still returned.
#[must_use]
pub fn parse(name: &str, text: &str) -> (Option<Document>, Vec<Diagnostic>) {
    let mut findings = Findings { environment: Arc::from(name), diagnostics: Vec::new() };
    if text.is_empty() {
        return (Some(Document::default()), Vec::new());
    }
    let root = match yaml::parse(text) {
        Ok(Some(root)) => root,
        Ok(None) => {
            findings.error(&Site::default(), "environment must be an object");
            return (Some(Document::default()), findings.diagnostics);
        }
        Err(error) => {
            let span = yaml::Span { start: error.mark, end: error.mark };
            findings.error(&Site { span: Some(span), trail: Trail::default() }, error.message);
            return (None, findings.diagnostics);
        }
    };
    keys_are_strings(&root, &Trail::default(), &mut findings);
    if !findings.diagnostics.is_empty() {
        return (None, findings.diagnostics);
    }
    let document = environment(root, &mut findings);
    (Some(document), findings.diagnostics)
}

/// **A key that is no string spoils the whole document**, as an error of the YAML layer.
fn keys_are_strings(node: &Node, trail: &Trail, findings: &mut Findings) {
    match &node.content {
        Content::Scalar { .. } => {}
        Content::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                if !matches!(item.content, Content::Scalar { .. }) {
                    keys_are_strings(item, &trail.index(index), findings);
                }
            }
        }
        Content::Mapping(entries) => {
            for (key, value) in entries {
                let text = key.scalar().unwrap_or_default();
                let string = match &key.content {
                    Content::Scalar { text, style } => super::scalar::is_text(text, *style, key.tag.as_deref()),
                    _ => false,
                };
                if !string {
                    let site = Site { span: Some(key.span), trail: trail.key(text) };
                    findings.error(&site, "mapping keys must be strings");
                }
                if !matches!(value.content, Content::Scalar { .. }) {
                    keys_are_strings(value, &trail.key(text), findings);
                }
            }
        }
    }
}

fn environment(root: Node, findings: &mut Findings) -> Document {
    let mut document = Document::default();
    let trail = Trail::default();
    let Content::Mapping(entries) = root.content else {
        findings.error(&Site { span: Some(root.span), trail }, "environment must be an object");
        return document;
    };
    let mut seen = std::collections::HashSet::new();
    for (key, value) in entries {
        let name = key.scalar().unwrap_or_default();
        let site = Site { span: Some(key.span), trail: trail.key(name) };
        if !seen.insert(name.to_owned()) {
            findings.add(Severity::Warning, &site, duplicate(name));
        }
        match name.to_lowercase().as_str() {
            "description" => {
                let description = expression::read(value, site.trail, findings);
                if !matches!(description.kind, ExprKind::Text(_)) {
                    findings.error(&description.site, "description must be a string");
                }
            }
            "imports" => document.imports = imports(&value, &site.trail, findings),
            "values" => document.values = values(value, &site.trail, findings),
            _ => {
                let fields = spell::by_distance(name, &["'description'", "'imports'", "'values'"]).join(", ");
                let message =
                    format!("Field '{name}' does not exist on Object 'environment'. Existing fields are: {fields}");
                findings.add(Severity::Warning, &site, message);
            }
        }
    }
    document
}

fn values(node: Node, trail: &Trail, findings: &mut Findings) -> Vec<(String, Site, Expr)> {
    let Content::Mapping(entries) = node.content else {
        findings.error(&Site { span: Some(node.span), trail: trail.clone() }, "values must be an object");
        return Vec::new();
    };
    let mut values = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let name = key.scalar().unwrap_or_default().to_owned();
        let site = Site { span: Some(key.span), trail: trail.key(name.as_str()) };
        if name.starts_with("fn::") {
            let quoted = super::value::go_quote(&name);
            findings.error(&site, format!("builtin function call {quoted} not allowed at the top level"));
        }
        let expr = expression::read(value, site.trail.clone(), findings);
        values.push((name, site, expr));
    }
    values
}

fn imports(node: &Node, trail: &Trail, findings: &mut Findings) -> Vec<Import> {
    let Content::Sequence(items) = &node.content else {
        findings.error(&Site { span: Some(node.span), trail: trail.clone() }, "imports must be a list");
        return Vec::new();
    };
    items.iter().enumerate().filter_map(|(index, item)| import(item, trail.index(index), findings)).collect()
}

fn import(node: &Node, trail: Trail, findings: &mut Findings) -> Option<Import> {
    let site = Site { span: Some(node.span), trail };
    match &node.content {
        Content::Scalar { text, style } => {
            if let Scalar::Text(name) = scalar(node, text, *style, &site.trail, findings) {
                return Some(Import { name, site, merge: true });
            }
            findings.error(&site, "import must be a string or an object");
            None
        }
        Content::Mapping(entries) => {
            let [(key, options)] = &entries[..] else {
                findings.error(&site, "import must have a single key");
                return None;
            };
            let name = key.scalar().unwrap_or_default().to_owned();
            let site = Site { span: Some(key.span), trail: site.trail.key(name.as_str()) };
            let merge = merge_option(options, &site.trail, findings);
            Some(Import { name, site, merge })
        }
        Content::Sequence(_) => {
            findings.error(&site, "import must be a string or an object");
            None
        }
    }
}

/// `merge`, whatever its case; anything but a boolean is an error and acts as false. Other keys are ignored.
fn merge_option(options: &Node, trail: &Trail, findings: &mut Findings) -> bool {
    let Content::Mapping(entries) = &options.content else {
        findings.error(&Site { span: Some(options.span), trail: trail.clone() }, "import must be an object");
        return true;
    };
    let mut merge = true;
    let mut seen = std::collections::HashSet::new();
    for (key, value) in entries {
        let name = key.scalar().unwrap_or_default();
        let here = trail.key(name);
        if !seen.insert(name) {
            findings.add(Severity::Warning, &Site { span: Some(key.span), trail: here.clone() }, duplicate(name));
        }
        if name.eq_ignore_ascii_case("merge") {
            let value = expression::read(value.clone(), here, findings);
            merge = match value.kind {
                ExprKind::Bool(flag) => flag,
                _ => {
                    findings.error(&value.site, "merge must be a boolean value");
                    false
                }
            };
        }
    }
    merge
}
