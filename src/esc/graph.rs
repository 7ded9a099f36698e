//! The graph of one evaluation: expressions and values, named by index (esc-language.md §§4, 5, 7).
//!
//! Each value keeps its own entries and points at its base; merged members are looked up on demand. Walks
//! over the graph spend a budget, so that a small document that multiplies itself ends in an error.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::expression::{Builtin, Site, Spelling};
use super::interpolation::Accessor;
use super::schema::{self, SchemaId, Schemas};
use super::value::go_quote;
use crate::base::yaml::Span;

/// The deepest nesting of values, and of evaluations within evaluations.
pub const DEEPEST: u16 = 200;
/// What one evaluation may spend: about the bytes that it allocates; walks cost less. A document of a hundred
/// thousand leaves needs a tenth of it.
pub const BUDGET: u64 = 512 << 20;

/// What a visit costs.
const VISIT: usize = 16;
/// What a value costs.
pub const VALUE: usize = 128;
/// What a schema costs, made or held against a value.
pub const SCHEMA: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExprId(u32);
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(u32);
/// Names a document of the evaluation: the root, or an import.
pub type DocumentId = u32;
pub const ROOT: DocumentId = 0;

/// Where something stands: which document, and where in it.
#[derive(Debug, Clone, Copy)]
pub struct Spot {
    pub document: DocumentId,
    pub span: Option<Span>,
}

/// How far the evaluation of an expression has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Declared,
    Evaluating,
    Done(ValueId),
}

/// An expression with its place, its base and, once evaluated, its value.
#[derive(Debug)]
pub struct Node {
    pub document: DocumentId,
    pub site: Site,
    /// How many last steps of the trail cycle errors name: those below `values`, or below the function it is an argument of.
    pub label: u16,
    pub kind: Rc<Kind>,
    /// The imported value that this expression overrides.
    pub base: Option<ValueId>,
    pub secret: bool,
    pub state: State,
}

#[derive(Debug)]
pub enum Kind {
    Missing,
    Null,
    Bool(bool),
    Number(Rc<str>),
    Text(Rc<str>),
    Interpolate(Vec<(String, Option<Vec<Step>>)>),
    Symbol(Vec<Step>),
    List(Vec<ExprId>),
    Object {
        properties: BTreeMap<Rc<str>, ExprId>,
        keys: Vec<(Rc<str>, Option<Span>)>,
    },
    Call {
        spelling: Box<Spelling>,
        builtin: Builtin<ExprId>,
    },
    /// A member of an unknown value: known only after a real open.
    Late {
        receiver: ValueId,
        key: Rc<str>,
    },
}

/// One step of an access, and what defines that which it resolved to.
#[derive(Debug)]
pub struct Step {
    pub accessor: Accessor,
    pub span: Option<Span>,
    pub resolved: Cell<Option<ExprId>>,
}

#[derive(Clone)]
pub enum Content {
    Null,
    Bool(bool),
    Number(Rc<str>),
    Text(Rc<str>),
    List(Rc<[ValueId]>),
    /// Own entries only; members of the base are not among them.
    Object(Rc<BTreeMap<Rc<str>, ValueId>>),
}

#[derive(Clone)]
pub struct Val {
    /// The expression that produced this value.
    pub def: ExprId,
    pub base: Option<ValueId>,
    pub content: Content,
    pub unknown: bool,
    pub secret: bool,
    /// Whether a document that imports this value may not override it.
    pub last_word: bool,
    /// Whether only a rotation may see it.
    pub rotate_only: bool,
    /// Whether [`Graph::members`] are the own ones only, see there.
    pub own_members: bool,
    /// What an unknown value may turn out to be; not kept for known ones.
    pub schema: SchemaId,
    pub depth: u16,
}

/// The evaluation needs more than the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Secret,
    Unknown,
    /// Unknown, but for inputs that only a rotation may see.
    ObservableUnknown,
}

/// A text with its marks.
pub struct Text {
    pub text: String,
    pub unknown: bool,
    pub secret: bool,
}

pub struct Graph {
    nodes: Vec<Node>,
    values: Vec<Val>,
    pub schemas: Schemas,
    pub budget: u64,
    /// Whether any value shows its own members only; a copy of it shows all of them.
    pub own_members: bool,
}

impl std::ops::Index<ExprId> for Graph {
    type Output = Node;

    fn index(&self, id: ExprId) -> &Node {
        &self.nodes[id.0 as usize]
    }
}

impl std::ops::IndexMut<ExprId> for Graph {
    fn index_mut(&mut self, id: ExprId) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }
}

impl std::ops::Index<ValueId> for Graph {
    type Output = Val;

    fn index(&self, id: ValueId) -> &Val {
        &self.values[id.0 as usize]
    }
}

impl std::ops::IndexMut<ValueId> for Graph {
    fn index_mut(&mut self, id: ValueId) -> &mut Val {
        &mut self.values[id.0 as usize]
    }
}

impl Default for Graph {
    fn default() -> Self {
        Self { nodes: Vec::new(), values: Vec::new(), schemas: Schemas::default(), budget: BUDGET, own_members: false }
    }
}

impl Graph {
    pub fn add_node(&mut self, node: Node) -> ExprId {
        let id = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.nodes.push(node);
        ExprId(id)
    }

    /// A node that no text spells out, standing where `at` stands.
    pub fn synthetic(&mut self, at: ExprId, kind: Kind) -> ExprId {
        let (document, site) = (self[at].document, self[at].site.clone());
        let (label, kind) = (0, Rc::new(kind));
        self.add_node(Node { document, site, label, kind, base: None, secret: false, state: State::Declared })
    }

    pub fn add(&mut self, value: Val) -> ValueId {
        let id = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value);
        ValueId(id)
    }

    /// A known value without marks.
    pub fn known(&mut self, def: ExprId, content: Content) -> ValueId {
        let deepest = match &content {
            Content::List(items) => items.iter().map(|item| self[*item].depth).max(),
            Content::Object(entries) => entries.values().map(|entry| self[*entry].depth).max(),
            _ => None,
        };
        let depth = deepest.map_or(0, |depth| depth.saturating_add(1));
        let (unknown, secret, last_word, rotate_only, own_members) = (false, false, false, false, false);
        let (base, schema) = (None, schema::ANY);
        self.add(Val { def, base, content, unknown, secret, last_word, rotate_only, own_members, schema, depth })
    }

    pub fn unknown(&mut self, def: ExprId, schema: SchemaId) -> ValueId {
        let id = self.known(def, Content::Null);
        self[id].unknown = true;
        self[id].schema = schema;
        id
    }

    pub fn text(&mut self, def: ExprId, text: &str) -> ValueId {
        self.known(def, Content::Text(Rc::from(text)))
    }

    pub fn spot(&self, id: ExprId) -> Spot {
        Spot { document: self[id].document, span: self[id].site.span }
    }

    /// # Errors
    /// [`Exhausted`] when less than `cost` is left.
    pub fn spend(&mut self, cost: usize) -> Result<(), Exhausted> {
        self.budget = self.budget.checked_sub(cost as u64).ok_or(Exhausted)?;
        Ok(())
    }

    /// Whether the value is or may be an object.
    pub fn may_be_object(&self, id: Option<ValueId>) -> bool {
        id.is_some_and(|id| {
            let value = &self[id];
            if value.unknown {
                let schema = &self.schemas[value.schema];
                schema.always || schema.kind == "object"
            } else {
                matches!(value.content, Content::Object(_))
            }
        })
    }

    /// The merged members of an object: its own, then those of its bases, as far as they are objects.
    ///
    /// **The result of `fn::final` and `fn::validate` over an imported object shows its own members only**,
    /// although an access finds those of the base, and a copy shows them all. ESC does so.
    ///
    /// # Errors
    /// [`Exhausted`].
    pub fn members(&mut self, id: ValueId) -> Result<Rc<BTreeMap<Rc<str>, ValueId>>, Exhausted> {
        let Content::Object(own) = &self[id].content else { return Ok(Rc::default()) };
        let own = own.clone();
        let mut merged: Option<BTreeMap<Rc<str>, ValueId>> = None;
        let mut base = self[id].base.filter(|_| !self[id].own_members);
        while let Some(under) = base {
            let Content::Object(entries) = &self[under].content else { break };
            let entries = entries.clone();
            self.spend(entries.len() * VISIT)?;
            let merged = merged.get_or_insert_with(|| own.as_ref().clone());
            for (key, value) in entries.iter() {
                merged.entry(key.clone()).or_insert(*value);
            }
            base = self[under].base;
        }
        Ok(merged.map_or(own, Rc::new))
    }

    /// The merged member of a value. A member of an unknown value is a late one.
    pub fn property(&mut self, id: Option<ValueId>, key: &str) -> Option<ValueId> {
        let id = id?;
        let (base, schema, unknown) = (self[id].base, self[id].schema, self[id].unknown);
        if let Content::Object(entries) = &self[id].content
            && !unknown
        {
            return entries.get(key).copied().or_else(|| self.property(base, key));
        }
        if !unknown {
            return None;
        }
        let schema = self.schemas.property(schema, key);
        let base = self.property(base, key);
        let kind = Kind::Late { receiver: id, key: Rc::from(key) };
        let node = self.synthetic(self[id].def, kind);
        let value = self.unknown(node, schema);
        self[node].base = base;
        self[node].state = State::Done(value);
        self[value].base = base;
        Some(value)
    }

    fn same(&self, one: ValueId, other: ValueId) -> bool {
        if one == other {
            return true;
        }
        let late = |id: ValueId| match &*self[self[id].def].kind {
            Kind::Late { receiver, key } if self[id].unknown => Some((*receiver, key.clone())),
            _ => None,
        };
        match (late(one), late(other)) {
            (Some((one, key)), Some((other, other_key))) => key == other_key && self.same(one, other),
            _ => false,
        }
    }

    /// Merges a value over `base`. **This changes the value and what hangs below it**; who merges a value
    /// that others see makes a [`copy`](Self::copy) first.
    ///
    /// # Errors
    /// [`Exhausted`].
    pub fn merge(&mut self, id: ValueId, base: Option<ValueId>) -> Result<(), Exhausted> {
        let Some(base) = base.filter(|base| !self.same(id, *base)) else { return Ok(()) };
        self.spend(VISIT)?;
        let own = self[id].base;
        match own {
            // Its members were merged when the base was set.
            Some(own) if self.same(own, base) => return Ok(()),
            Some(own) => self.merge(own, Some(base))?,
            // A chain that leads back has no end. Documents that import each other ask for one.
            None if self.leads_to(base, id)? => return Ok(()),
            None => self[id].base = Some(base),
        }
        self[id].depth = self[id].depth.max(self[base].depth);
        let under = self[id].base;
        if let Content::Object(entries) = &self[id].content {
            for (key, member) in entries.clone().iter() {
                let base = self.property(under, key);
                self.merge(*member, base)?;
            }
        }
        if self[id].unknown
            && self.schemas[self[id].schema].kind == "object"
            && let Some(under) = under
        {
            let base_schema = self.schema_of(under)?;
            self[id].schema = self.schemas.merged(base_schema, self[id].schema);
        }
        Ok(())
    }

    /// Whether `id` is one of the bases of `from`.
    fn leads_to(&mut self, from: ValueId, id: ValueId) -> Result<bool, Exhausted> {
        let mut base = Some(from);
        while let Some(under) = base {
            if under == id {
                return Ok(true);
            }
            self.spend(VISIT)?;
            base = self[under].base;
        }
        Ok(false)
    }

    /// A copy that shares nothing with the original.
    ///
    /// # Errors
    /// [`Exhausted`].
    pub fn copy(&mut self, id: ValueId) -> Result<ValueId, Exhausted> {
        self.copy_into(id, &mut BTreeMap::new())
    }

    fn copy_into(&mut self, id: ValueId, copies: &mut BTreeMap<ValueId, ValueId>) -> Result<ValueId, Exhausted> {
        if let Some(copy) = copies.get(&id) {
            return Ok(*copy);
        }
        self.spend(VALUE)?;
        let mut copy = self[id].clone();
        // A copy of what only a rotation may see is an ordinary value.
        (copy.rotate_only, copy.own_members) = (false, false);
        let place = self.add(copy.clone());
        copies.insert(id, place);
        copy.content = match copy.content {
            Content::List(items) => {
                let mut copied = Vec::with_capacity(items.len());
                for item in items.iter() {
                    copied.push(self.copy_into(*item, copies)?);
                }
                Content::List(copied.into())
            }
            Content::Object(entries) => {
                let mut copied = BTreeMap::new();
                for (key, entry) in entries.iter() {
                    copied.insert(key.clone(), self.copy_into(*entry, copies)?);
                }
                Content::Object(Rc::new(copied))
            }
            scalar => scalar,
        };
        if let Some(base) = copy.base {
            copy.base = Some(self.copy_into(base, copies)?);
        }
        self[place] = copy;
        Ok(place)
    }

    /// Makes a value and what hangs below it show own members only.
    ///
    /// # Errors
    /// [`Exhausted`].
    pub fn show_own_members(&mut self, id: ValueId) -> Result<(), Exhausted> {
        self.spend(VISIT)?;
        (self.own_members, self[id].own_members) = (true, true);
        match self[id].content.clone() {
            Content::List(items) => items.iter().try_for_each(|item| self.show_own_members(*item)),
            Content::Object(entries) => entries.values().try_for_each(|entry| self.show_own_members(*entry)),
            _ => Ok(()),
        }
    }

    /// Whether the value or anything in it bears the mark.
    ///
    /// # Errors
    /// [`Exhausted`].
    pub fn contains(&mut self, id: ValueId, mark: Mark) -> Result<bool, Exhausted> {
        self.spend(VISIT)?;
        let value = &self[id];
        let here = match mark {
            Mark::Secret => value.secret,
            Mark::Unknown => value.unknown,
            Mark::ObservableUnknown => value.unknown && !value.rotate_only,
        };
        if here {
            return Ok(true);
        }
        if value.unknown && mark != Mark::Secret {
            return Ok(false);
        }
        match value.content.clone() {
            Content::List(items) => {
                for item in items.iter() {
                    if self.contains(*item, mark)? {
                        return Ok(true);
                    }
                }
            }
            Content::Object(_) => {
                for member in self.members(id)?.values() {
                    if self.contains(*member, mark)? {
                        return Ok(true);
                    }
                }
            }
            _ => {}
        }
        Ok(false)
    }

    /// The value as text. **Of an object only its own entries are printed, not those of its base**
    /// (esc-language.md §4).
    ///
    /// # Errors
    /// [`Exhausted`].
    pub fn text_form(&mut self, id: ValueId) -> Result<Text, Exhausted> {
        self.spend(VALUE)?;
        let value = &self[id];
        let (mut unknown, mut secret) = (value.unknown, value.secret);
        if unknown {
            return Ok(Text { text: "[unknown]".into(), unknown, secret });
        }
        let text = match value.content.clone() {
            Content::Null => String::new(),
            Content::Bool(flag) => flag.to_string(),
            Content::Number(text) | Content::Text(text) => text.as_ref().to_owned(),
            Content::List(items) => {
                let mut texts = Vec::with_capacity(items.len());
                for item in items.iter() {
                    let item = self.text_form(*item)?;
                    (unknown, secret) = (unknown || item.unknown, secret || item.secret);
                    texts.push(go_quote(&item.text));
                }
                texts.join(",")
            }
            Content::Object(entries) => {
                let mut texts = Vec::with_capacity(entries.len());
                for (key, entry) in entries.iter() {
                    let entry = self.text_form(*entry)?;
                    (unknown, secret) = (unknown || entry.unknown, secret || entry.secret);
                    texts.push(format!("{}={}", go_quote(key), go_quote(&entry.text)));
                }
                texts.join(",")
            }
        };
        self.spend(text.len())?;
        Ok(Text { text, unknown, secret })
    }

    /// The shape of a value, without its content.
    ///
    /// # Errors
    /// [`Exhausted`].
    pub fn schema_of(&mut self, id: ValueId) -> Result<SchemaId, Exhausted> {
        self.spend(SCHEMA)?;
        let value = &self[id];
        if value.unknown {
            return Ok(value.schema);
        }
        Ok(match value.content.clone() {
            Content::Null => schema::NULL,
            Content::Bool(_) => schema::BOOLEAN,
            Content::Number(_) => schema::NUMBER,
            Content::Text(_) => schema::STRING,
            Content::List(items) => {
                let mut shapes = Vec::with_capacity(items.len());
                for item in items.iter() {
                    shapes.push(self.schema_of(*item)?);
                }
                self.schemas.tuple(shapes)
            }
            Content::Object(_) => {
                let mut shapes = BTreeMap::new();
                for (key, member) in self.members(id)?.iter() {
                    shapes.insert(key.as_ref().to_owned(), self.schema_of(*member)?);
                }
                self.schemas.record(shapes)
            }
        })
    }
}
