//! The evaluator at work: documents, imports, declarations and the evaluation of expressions
//! (esc-language.md §§2–7).

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use super::diagnostic::Diagnostic;
use super::document::{self, Document};
use super::eval::{ANONYMOUS, Decrypter, Loader, MOST_DOCUMENTS, Mode, Rotation};
use super::expression::{Expr, ExprKind, Findings, Site, duplicate, range};
use super::graph::{self, Content, DocumentId, Exhausted, ExprId, Graph, Kind, Node, ROOT, State, Step, Val, ValueId};
use super::provider::Providers;
use super::schema::{self, SchemaId};
use super::value::{Value, go_quote};
use crate::base::error::Severity;

/// One document under evaluation.
pub struct Scope<'a> {
    pub name: Arc<str>,
    /// What `context.rootEnvironment.name` says.
    pub root_name: Arc<str>,
    pub decrypter: Rc<dyn Decrypter + 'a>,
    pub root: Option<ExprId>,
    pub base: Option<ValueId>,
    pub context: Option<ValueId>,
    pub imports: Option<ValueId>,
}

pub enum Imported {
    Evaluating,
    Done(ValueId),
}

pub struct Evaluator<'a> {
    pub graph: Graph,
    pub mode: Mode,
    pub loader: &'a mut dyn Loader,
    pub providers: &'a Providers,
    pub host: &'a BTreeMap<String, Value>,
    /// All documents; the root is the first.
    pub scopes: Vec<Scope<'a>>,
    pub imported: HashMap<String, Imported>,
    pub findings: Vec<Diagnostic>,
    pub rotations: Vec<Rotation>,
    pub depth: u16,
    /// Comparisons of names that are left for suggestions; a document of mistakes shall not take for ever.
    pub comparisons: usize,
}

type Given<T> = Result<T, Exhausted>;

impl<'a> Evaluator<'a> {
    pub fn root(
        &mut self,
        name: &str,
        document: Document,
        decrypter: Rc<dyn Decrypter + 'a>,
    ) -> Given<super::export::Exported> {
        let (scope, value) = self.document(name, name, document, decrypter)?;
        super::export::export(self, scope, value)
    }

    pub fn checking(&self) -> bool {
        matches!(self.mode, Mode::Check { .. })
    }

    pub fn error(&mut self, at: ExprId, summary: impl Into<String>) {
        self.report(at, Severity::Error, summary, None);
    }

    pub fn report(&mut self, at: ExprId, severity: Severity, summary: impl Into<String>, detail: Option<String>) {
        let (document, site) = (self.graph[at].document, self.graph[at].site.clone());
        self.at_site(document, &site, severity, summary, detail);
    }

    fn at_site(
        &mut self,
        document: DocumentId,
        site: &Site,
        severity: Severity,
        summary: impl Into<String>,
        detail: Option<String>,
    ) {
        let mut findings = Findings { environment: self.name(document), diagnostics: Vec::new() };
        findings.add(severity, site, summary);
        self.findings
            .extend(findings.diagnostics.into_iter().map(|found| Diagnostic { detail: detail.clone(), ..found }));
    }

    /// An error at one step of an access.
    pub fn step_error(&mut self, at: ExprId, step: &Step, summary: impl Into<String>) {
        self.error(at, summary);
        if let (Some(span), Some(last)) = (step.span, self.findings.len().checked_sub(1)) {
            let name = self.name(self.graph[at].document);
            self.findings[last].range = Some(range(&name, span));
        }
    }

    pub fn name(&self, document: DocumentId) -> Arc<str> {
        self.scopes.get(document as usize).map_or_else(|| Arc::from(""), |scope| scope.name.clone())
    }

    /// Evaluates a document: its context, its imports, its values in the order of their names.
    fn document(
        &mut self,
        name: &str,
        root_name: &str,
        document: Document,
        decrypter: Rc<dyn Decrypter + 'a>,
    ) -> Given<(DocumentId, ValueId)> {
        let id = u32::try_from(self.scopes.len()).unwrap_or(u32::MAX);
        let (name_text, root_name) = (Arc::from(name), Arc::from(root_name));
        self.scopes.push(Scope {
            name: name_text,
            root_name,
            decrypter,
            root: None,
            base: None,
            context: None,
            imports: None,
        });
        self.imported.insert(name.to_owned(), Imported::Evaluating);
        let context = self.context(id);
        let imports = self.imports(id, &document)?;
        self.scope_mut(id, |scope| (scope.context, scope.imports) = (Some(context), Some(imports)));

        let base = self.scopes[id as usize].base;
        let mut properties: BTreeMap<Rc<str>, ExprId> = BTreeMap::new();
        for (key, site, expr) in document.values {
            let problem = if matches!(key.as_str(), "imports" | "context" | "environments") {
                format!("{} is a reserved key", go_quote(&key))
            } else if properties.contains_key(key.as_str()) {
                duplicate(&key)
            } else {
                let under = self.graph.property(base, &key);
                let declared = self.declare(id, 1, expr, under);
                properties.insert(Rc::from(key), declared);
                continue;
            };
            self.at_site(id, &site, Severity::Error, problem, None);
        }
        let kind = Kind::Object { properties, keys: Vec::new() };
        let root = self.node(id, Site::default(), 0, kind, base);
        self.scope_mut(id, |scope| scope.root = Some(root));
        let value = self.evaluate(root, schema::ANY)?;
        self.imported.insert(name.to_owned(), Imported::Done(value));
        Ok((id, value))
    }

    fn scope_mut(&mut self, id: DocumentId, change: impl FnOnce(&mut Scope<'a>)) {
        if let Some(scope) = self.scopes.get_mut(id as usize) {
            change(scope);
        }
    }

    /// What the host knows, and which environment this is. All of it stands in the root, for whichever document.
    fn context(&mut self, id: DocumentId) -> ValueId {
        let def = self.node(ROOT, Site::default(), 0, Kind::Missing, None);
        let mut entries = BTreeMap::new();
        for (key, value) in self.host {
            entries.insert(Rc::from(key.as_str()), self.import_value(value, def, false));
        }
        let scope = &self.scopes[id as usize];
        for (key, name) in [("currentEnvironment", scope.name.clone()), ("rootEnvironment", scope.root_name.clone())] {
            let name = self.graph.text(def, &name);
            let named = BTreeMap::from([(Rc::from("name"), name)]);
            entries.insert(Rc::from(key), self.graph.known(def, Content::Object(Rc::new(named))));
        }
        self.graph.known(def, Content::Object(Rc::new(entries)))
    }

    /// Evaluates the imports in order; the merged ones pile up to the base. Answers what `${imports}` is.
    fn imports(&mut self, id: DocumentId, document: &Document) -> Given<ValueId> {
        let mut mine: BTreeMap<Rc<str>, ValueId> = BTreeMap::new();
        for import in &document.imports {
            let at = self.node(id, import.site.clone(), 0, Kind::Missing, None);
            let Some(value) = self.import(at, &import.name)? else { continue };
            mine.insert(Rc::from(import.name.as_str()), value);
            if import.merge {
                let base = self.scopes[id as usize].base;
                let shared = base.is_none() && !self.graph.own_members;
                let value = if shared { value } else { self.graph.copy(value)? };
                self.graph.merge(value, base)?;
                self.scope_mut(id, |scope| scope.base = Some(value));
            }
        }
        let def = self.node(id, Site::default(), 0, Kind::Missing, None);
        Ok(self.graph.known(def, Content::Object(Rc::new(mine))))
    }

    /// Evaluates the environment `name`, once; none when it cannot be had, which is then reported at `at`.
    pub fn import(&mut self, at: ExprId, name: &str) -> Given<Option<ValueId>> {
        match self.imported.get(name) {
            Some(Imported::Done(value)) => return Ok(Some(*value)),
            Some(Imported::Evaluating) => {
                self.error(at, format!("cyclic import of {name}"));
                return Ok(None);
            }
            None => {}
        }
        if self.scopes.len() >= MOST_DOCUMENTS {
            self.error(at, format!("more than {MOST_DOCUMENTS} imported environments"));
            return Ok(None);
        }
        if self.depth >= graph::DEEPEST {
            self.error(at, format!("imports are nested more than {} levels deep", graph::DEEPEST));
            return Ok(None);
        }
        let loaded = match self.loader.load(name) {
            Ok(loaded) => loaded,
            Err(error) => {
                self.error(at, error);
                return Ok(None);
            }
        };
        let (document, diagnostics) = document::parse(name, &loaded.text);
        let failed = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        self.findings.extend(diagnostics);
        let Some(document) = document.filter(|_| !failed) else { return Ok(None) };
        let above = &self.scopes[self.graph[at].document as usize].root_name;
        let root_name = if above.as_ref() == ANONYMOUS { name.to_owned() } else { above.as_ref().to_owned() };
        self.depth += 1;
        let evaluated = self.document(name, &root_name, document, Rc::from(loaded.decrypter));
        self.depth -= 1;
        evaluated.map(|(_, value)| Some(value))
    }

    pub fn node(&mut self, document: DocumentId, site: Site, label: u16, kind: Kind, base: Option<ValueId>) -> ExprId {
        let (kind, secret, state) = (Rc::new(kind), false, State::Declared);
        self.graph.add_node(Node { document, site, label, kind, base, secret, state })
    }

    /// Brings an expression into the graph, over the base that stands at its place.
    fn declare(&mut self, document: DocumentId, label: u16, expr: Expr, base: Option<ValueId>) -> ExprId {
        let kind = match expr.kind {
            ExprKind::Missing => Kind::Missing,
            ExprKind::Null => Kind::Null,
            ExprKind::Bool(flag) => Kind::Bool(flag),
            ExprKind::Number(text) => Kind::Number(text.into()),
            ExprKind::Text(text) => Kind::Text(text.into()),
            ExprKind::Interpolate(pieces) => {
                Kind::Interpolate(pieces.into_iter().map(|piece| (piece.text, piece.access.map(steps))).collect())
            }
            ExprKind::Symbol(access) => Kind::Symbol(steps(access)),
            ExprKind::List(items) => {
                Kind::List(items.into_iter().map(|item| self.declare(document, label + 1, item, None)).collect())
            }
            ExprKind::Object(entries) => {
                let mut properties: BTreeMap<Rc<str>, ExprId> = BTreeMap::new();
                let mut keys = Vec::new();
                for entry in entries {
                    let Some(key) = entry.key else { continue };
                    // The answer to a check alone shows them.
                    if self.checking() {
                        keys.push((key.clone(), entry.site.span));
                    }
                    match properties.entry(key.clone()) {
                        Entry::Occupied(_) => {
                            self.at_site(document, &entry.site, Severity::Error, duplicate(&key), None);
                        }
                        Entry::Vacant(vacant) => {
                            let under = self.graph.property(base, &key);
                            vacant.insert(self.declare(document, label + 1, entry.value, under));
                        }
                    }
                }
                Kind::Object { properties, keys }
            }
            ExprKind::Call(call) => {
                let builtin = call.builtin.map(|argument| self.declare(document, 0, argument, None));
                if let super::expression::Builtin::Secret(text) | super::expression::Builtin::Ciphertext(_, text) =
                    &builtin
                {
                    self.graph[*text].secret = true;
                }
                Kind::Call { spelling: call.spelling, builtin }
            }
        };
        self.node(document, expr.site, label, kind, base)
    }

    /// Evaluates an expression, once. `accept` is what its consumer takes; only its `rotate_only` counts here.
    pub fn evaluate(&mut self, id: ExprId, accept: SchemaId) -> Given<ValueId> {
        match self.graph[id].state {
            State::Done(value) => return Ok(value),
            State::Evaluating => {
                let label = self.graph[id].site.trail.label(self.graph[id].label);
                self.error(id, format!("cyclic reference to {label}"));
                return Ok(self.graph.unknown(id, schema::ANY));
            }
            State::Declared => {}
        }
        self.graph.spend(graph::VALUE)?;
        if self.depth >= graph::DEEPEST {
            self.error(id, format!("evaluation is nested more than {} levels deep", graph::DEEPEST));
            let value = self.graph.unknown(id, schema::ANY);
            self.graph[id].state = State::Done(value);
            return Ok(value);
        }
        self.graph[id].state = State::Evaluating;
        self.depth += 1;
        let value = self.fresh(id, accept);
        self.depth -= 1;
        self.graph[id].state = State::Done(value?);
        value
    }

    fn fresh(&mut self, id: ExprId, accept: SchemaId) -> Given<ValueId> {
        let rotate_only = self.graph.schemas[accept].rotate_only;
        let root = self.graph[id].document == ROOT;
        if rotate_only && (matches!(self.mode, Mode::Open) || !root) {
            // Inputs of a rotation are nobody else's business; only who edits the root must be able to read them.
            let value = self.graph.unknown(id, schema::ANY);
            self.graph[value].rotate_only = true;
            return Ok(value);
        }
        let base = self.graph[id].base;
        if let Some(base) = base.filter(|base| self.graph[*base].last_word) {
            self.report(id, Severity::Warning, "cannot override final value", None);
            return Ok(base);
        }
        let kind = self.graph[id].kind.clone();
        let mut value = match &*kind {
            Kind::Missing | Kind::Late { .. } => self.graph.unknown(id, schema::ANY),
            Kind::Null => self.graph.known(id, Content::Null),
            Kind::Bool(flag) => self.graph.known(id, Content::Bool(*flag)),
            Kind::Number(text) => self.graph.known(id, Content::Number(text.clone())),
            Kind::Text(text) => self.graph.known(id, Content::Text(text.clone())),
            Kind::Interpolate(parts) => self.interpolate(id, parts)?,
            Kind::Symbol(steps) => self.symbol(id, steps, accept)?,
            Kind::List(items) => self.list(id, items, accept)?,
            Kind::Object { properties, .. } => self.object(id, properties, accept)?,
            Kind::Call { builtin, .. } => self.call(id, builtin)?,
        };
        if self.graph[value].depth >= graph::DEEPEST {
            self.error(id, format!("values are nested more than {} levels deep", graph::DEEPEST));
            value = self.graph.unknown(id, schema::ANY);
        }
        self.graph[value].rotate_only |= rotate_only;
        self.graph[value].secret |= self.graph[id].secret;
        self.graph.merge(value, base)?;
        Ok(value)
    }

    fn list(&mut self, id: ExprId, items: &[ExprId], accept: SchemaId) -> Given<ValueId> {
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let accept = self.graph.schemas.item(accept, index);
            values.push(self.evaluate(*item, accept)?);
        }
        Ok(self.graph.known(id, Content::List(values.into())))
    }

    fn object(&mut self, id: ExprId, properties: &BTreeMap<Rc<str>, ExprId>, accept: SchemaId) -> Given<ValueId> {
        let values = properties
            .iter()
            .map(|(key, property)| {
                let accept = self.graph.schemas.property(accept, key);
                Ok((key.clone(), self.evaluate(*property, accept)?))
            })
            .collect::<Given<BTreeMap<_, _>>>()?;
        Ok(self.graph.known(id, Content::Object(Rc::new(values))))
    }

    fn interpolate(&mut self, id: ExprId, parts: &[(String, Option<Vec<Step>>)]) -> Given<ValueId> {
        let mut whole = String::new();
        let (mut unknown, mut secret) = (false, false);
        for (text, access) in parts {
            whole.push_str(text);
            if let Some(access) = access {
                let value = self.access(id, access, schema::ANY)?;
                let text = self.graph.text_form(value)?;
                (unknown, secret) = (unknown || text.unknown, secret || text.secret);
                if !text.unknown {
                    whole.push_str(&text.text);
                }
            }
        }
        self.graph.spend(whole.len())?;
        let value = self.graph.text(id, if unknown { "[unknown]" } else { &whole });
        let made = &mut self.graph[value];
        (made.unknown, made.secret, made.schema) = (unknown, secret, schema::STRING);
        Ok(value)
    }

    /// The value that is referred to, as a value of its own.
    fn symbol(&mut self, id: ExprId, steps: &[Step], accept: SchemaId) -> Given<ValueId> {
        let found = self.access(id, steps, accept)?;
        // A merge would change the copy and everything in it; without one, the parts can be shared.
        let copy = if self.graph[id].base.is_some() || self.graph.own_members {
            self.graph.copy(found)?
        } else {
            let value = Val { rotate_only: false, ..self.graph[found].clone() };
            self.graph.add(value)
        };
        self.graph[copy].def = id;
        Ok(copy)
    }
}

fn steps(access: Vec<super::expression::Access>) -> Vec<Step> {
    access.into_iter().map(|step| Step { accessor: step.accessor, span: step.span, resolved: None.into() }).collect()
}
