//! Expressions of a document: literals, strings with accesses, lists, objects and function calls, read from
//! the YAML tree (esc-language.md §§2, 5, 6). Shape errors are reported and reading goes on.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::diagnostic::Diagnostic;
use super::interpolation::{self, Accessor};
use super::path::{push_index, push_key};
use super::scalar::{self, Scalar};
use super::value::{Range, go_quote};
use crate::base::error::Severity;
use crate::base::yaml::{Content, Mark, Node, Span, Style};

/// A document path that shares its beginning with its siblings.
#[derive(Debug, Clone, Default)]
pub struct Trail(Option<Rc<Link>>);

#[derive(Debug)]
struct Link {
    parent: Trail,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Key(Rc<str>),
    Index(usize),
}

impl Trail {
    #[must_use]
    pub fn key(&self, key: impl Into<Rc<str>>) -> Self {
        Self(Some(Rc::new(Link { parent: self.clone(), step: Step::Key(key.into()) })))
    }

    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(Some(Rc::new(Link { parent: self.clone(), step: Step::Index(index) })))
    }

    /// The path as diagnostics write it: `values.a["b c"][0]`.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = String::new();
        for link in self.last(usize::MAX) {
            match &link.step {
                Step::Key(key) => push_key(&mut path, key),
                Step::Index(index) => push_index(&mut path, *index),
            }
        }
        path
    }

    /// The last `count` steps as cycle errors name them: keys as they are read, and one right below `values`, which is read
    /// as it is written, without quotes.
    #[must_use]
    pub fn label(&self, count: u16) -> String {
        let mut label = String::new();
        for link in self.last(count.into()) {
            let top = link.parent.0.as_ref().is_some_and(|values| values.parent.0.is_none());
            match &link.step {
                Step::Key(key) if top => label.push_str(key),
                Step::Key(key) => push_key(&mut label, &read_key(key)),
                Step::Index(index) => push_index(&mut label, *index),
            }
        }
        label
    }

    /// The last `count` links, from the outside in.
    fn last(&self, count: usize) -> Vec<&Link> {
        let links = std::iter::successors(self.0.as_deref(), |link| link.parent.0.as_deref());
        let mut links: Vec<&Link> = links.take(count).collect();
        links.reverse();
        links
    }
}

/// Where a node stands: in the text (none for what no text spells out) and in the tree.
#[derive(Debug, Clone, Default)]
pub struct Site {
    pub span: Option<Span>,
    pub trail: Trail,
}

/// Collects what is wrong with one document.
pub struct Findings {
    pub environment: Arc<str>,
    pub diagnostics: Vec<Diagnostic>,
}

impl Findings {
    pub fn add(&mut self, severity: Severity, site: &Site, summary: impl Into<String>) {
        self.diagnostics.push(Diagnostic {
            severity,
            summary: summary.into(),
            detail: None,
            range: site.span.map(|span| range(&self.environment, span)),
            path: Some(site.trail.path()).filter(|path| !path.is_empty()),
        });
    }

    pub fn error(&mut self, site: &Site, summary: impl Into<String>) {
        self.add(Severity::Error, site, summary);
    }
}

/// The exported form of a span.
#[must_use]
pub fn range(environment: &Arc<str>, span: Span) -> Range {
    Range { environment: environment.clone(), begin: span.start, end: span.end }
}

#[derive(Debug)]
pub struct Expr {
    pub site: Site,
    pub kind: ExprKind,
}

#[derive(Debug)]
pub enum ExprKind {
    /// What a shape error left out.
    Missing,
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Interpolate(Vec<Piece>),
    /// A string that is one access and nothing else: it keeps the type of what it refers to.
    Symbol(Vec<Access>),
    List(Vec<Expr>),
    Object(Vec<Entry>),
    Call(Box<Call>),
}

/// Text and the access behind it, if any.
#[derive(Debug)]
pub struct Piece {
    pub text: String,
    pub access: Option<Vec<Access>>,
}

/// One step of an access. The span is known in plain single-line scalars only.
#[derive(Debug)]
pub struct Access {
    pub accessor: Accessor,
    pub span: Option<Span>,
}

#[derive(Debug)]
pub struct Entry {
    /// None when the key is no literal; such an entry is dropped.
    pub key: Option<Rc<str>>,
    pub site: Site,
    pub value: Expr,
}

/// A call: as written, and what it does.
#[derive(Debug)]
pub struct Call {
    pub spelling: Box<Spelling>,
    pub builtin: Builtin<Expr>,
}

/// A call's name as written, and where it and its argument stand.
#[derive(Debug)]
pub struct Spelling {
    pub name: String,
    pub name_span: Option<Span>,
    pub argument_span: Option<Span>,
}

/// The functions of the language, over expressions of type `E`.
#[derive(Debug, Clone)]
pub enum Builtin<E> {
    /// A plaintext secret.
    Secret(E),
    /// An encrypted secret: the envelope, and the expression that holds it.
    Ciphertext(String, E),
    ToJson(E),
    FromJson(E),
    ToText(E),
    ToBase64(E),
    FromBase64(E),
    Join(E, E),
    Split(E, E),
    Concat(E),
    Final(E),
    Validate {
        schema: E,
        value: E,
    },
    Open {
        provider: Option<String>,
        inputs: E,
    },
    Rotate {
        provider: Option<String>,
        inputs: E,
        state: E,
    },
}

impl<E> Builtin<E> {
    /// The same call over expressions of another type, converted in the order of the text.
    pub fn map<F>(self, mut convert: impl FnMut(E) -> F) -> Builtin<F> {
        match self {
            Self::Secret(text) => Builtin::Secret(convert(text)),
            Self::Ciphertext(envelope, text) => Builtin::Ciphertext(envelope, convert(text)),
            Self::ToJson(value) => Builtin::ToJson(convert(value)),
            Self::FromJson(text) => Builtin::FromJson(convert(text)),
            Self::ToText(value) => Builtin::ToText(convert(value)),
            Self::ToBase64(text) => Builtin::ToBase64(convert(text)),
            Self::FromBase64(text) => Builtin::FromBase64(convert(text)),
            Self::Join(delimiter, values) => Builtin::Join(convert(delimiter), convert(values)),
            Self::Split(delimiter, text) => Builtin::Split(convert(delimiter), convert(text)),
            Self::Concat(lists) => Builtin::Concat(convert(lists)),
            Self::Final(value) => Builtin::Final(convert(value)),
            Self::Validate { schema, value } => Builtin::Validate { schema: convert(schema), value: convert(value) },
            Self::Open { provider, inputs } => Builtin::Open { provider, inputs: convert(inputs) },
            Self::Rotate { provider, inputs, state } => {
                Builtin::Rotate { provider, inputs: convert(inputs), state: convert(state) }
            }
        }
    }
}

/// What a scalar means; a tag that does not fit is an error and leaves null.
pub fn scalar(node: &Node, text: &str, style: Style, trail: &Trail, findings: &mut Findings) -> Scalar {
    scalar::resolve(text, style, node.tag.as_deref()).unwrap_or_else(|message| {
        findings.error(&Site { span: Some(node.span), trail: trail.clone() }, message);
        Scalar::Null
    })
}

/// Reads the expression that `node` spells. The tree goes as it is read, while it is at hand in the processor's cache.
pub fn read(node: Node, trail: Trail, findings: &mut Findings) -> Expr {
    let span = node.span;
    let kind = match node.content {
        Content::Scalar { ref text, style } => match scalar(&node, text, style, &trail, findings) {
            Scalar::Null => ExprKind::Null,
            Scalar::Bool(flag) => ExprKind::Bool(flag),
            Scalar::Number(number) => ExprKind::Number(number),
            Scalar::Text(text) => string(&node, text, style, &trail, findings),
        },
        Content::Sequence(items) => ExprKind::List(
            items.into_iter().enumerate().map(|(index, item)| read(item, trail.index(index), findings)).collect(),
        ),
        Content::Mapping(entries) => match super::call::read(span, entries, &trail, findings) {
            Ok(call) => ExprKind::Call(Box::new(call)),
            Err(entries) => {
                ExprKind::Object(entries.into_iter().map(|(key, value)| entry(key, value, &trail, findings)).collect())
            }
        },
    };
    Expr { site: Site { span: Some(span), trail }, kind }
}

fn entry(key: Node, value: Node, parent: &Trail, findings: &mut Findings) -> Entry {
    let written: Rc<str> = Rc::from(key.scalar().unwrap_or_default());
    let trail = parent.key(written.clone());
    let site = Site { span: Some(key.span), trail: trail.clone() };
    let name = if written.contains('$') {
        match read(key, trail.clone(), findings).kind {
            ExprKind::Text(name) => Some(name.into()),
            _ => {
                findings.error(&site, "object keys must be strings");
                None
            }
        }
    } else {
        // That it is a string was seen before anything was read.
        Some(written)
    };
    Entry { key: name, site, value: read(value, trail, findings) }
}

fn string(node: &Node, text: String, style: Style, trail: &Trail, findings: &mut Findings) -> ExprKind {
    if !text.contains('$') {
        return ExprKind::Text(text);
    }
    let (parts, mistakes) = interpolation::parse(&text);
    // Offsets within the value are offsets within the text only where nothing is quoted, folded or tagged.
    let plain = style == Style::Plain && node.tag.is_none() && node.span.start.line() == node.span.end.line();
    let at = |offset: usize| {
        let start = node.span.start;
        let column = start.column() + text.get(..offset).unwrap_or(&text).chars().count();
        Mark::new(start.line(), column, start.byte() + offset)
    };
    let span = |begin: usize, end: usize| plain.then(|| Span { start: at(begin), end: at(end) });
    for mistake in mistakes {
        let span = span(mistake.begin, mistake.end).unwrap_or(node.span);
        findings.error(&Site { span: Some(span), trail: trail.clone() }, mistake.message);
    }
    let located = |access: Vec<interpolation::Located>| {
        access
            .into_iter()
            .map(|step| Access { span: span(step.begin, step.end), accessor: step.accessor })
            .collect::<Vec<_>>()
    };
    let mut pieces: Vec<Piece> =
        parts.into_iter().map(|part| Piece { text: part.text, access: part.access.map(located) }).collect();
    match &mut pieces[..] {
        [] => ExprKind::Text(String::new()),
        [Piece { text, access: None }] => ExprKind::Text(std::mem::take(text)),
        [Piece { text, access: Some(access) }] if text.is_empty() => ExprKind::Symbol(std::mem::take(access)),
        _ => ExprKind::Interpolate(pieces),
    }
}

/// A key as it is read: `$$` in it is one `$`.
fn read_key(written: &str) -> Cow<'_, str> {
    match &mut interpolation::parse(written).0[..] {
        [interpolation::Part { text, access: None }] => Cow::Owned(std::mem::take(text)),
        _ => Cow::Borrowed(written),
    }
}

/// `duplicate key "k"`, as ESC quotes it.
#[must_use]
pub fn duplicate(key: &str) -> String {
    format!("duplicate key {}", go_quote(key))
}
