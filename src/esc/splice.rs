//! The one change of bytes that sets or removes a value in a document's text.
//!
//! What is odd enough to be misplaced by [`super::page`] is caught by `edit::apply`, which reads the result again
//! and compares.

use std::ops::Range;

use super::emit;
use super::page::{Kind, Page, Place, is_empty_scalar, is_null};
use super::path::Step;
use crate::base::yaml::{Content, Node};

/// Why a path cannot be set or removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    #[error("expected an object")]
    NotAnObject,
    #[error("expected an array")]
    NotAnArray,
    #[error("array index {index} is out of range for length {length}")]
    OutOfRange { index: usize, length: usize },
    #[error("the key `{0}` stands there twice")]
    DuplicateKey(String),
    #[error("it is a call of `{0}`, which takes no other key; set or remove the call as a whole")]
    FunctionCall(String),
    #[error("the layout of the text around it is not understood")]
    Layout,
}

/// One replacement of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splice {
    pub range: Range<usize>,
    pub text: String,
}

impl Page<'_> {
    /// The change that puts `value` at `steps` below `root`; missing objects on the way are made.
    ///
    /// # Errors
    /// [`Obstacle`] when the path does not fit the document.
    pub fn set(&self, root: Option<&Node>, steps: &[Step], value: &Node) -> Result<Splice, Obstacle> {
        let Some(root) = root.filter(|root| !is_empty_scalar(root)) else {
            return Ok(self.append_lines(self.text.len(), &self.layout.block(&nest(steps, value)?, 0)));
        };
        let mut node = root;
        let mut place = Place { kind: Kind::Root, after: 0, column: 0, colon: false };
        for (depth, step) in steps.iter().enumerate() {
            let rest = steps.get(depth + 1..).unwrap_or_default();
            if is_null(node) {
                let nested = nest(steps.get(depth..).unwrap_or_default(), value)?;
                return self.replace(place, node, &nested);
            }
            match find(node, step)? {
                Some(at) => {
                    let child = self.child(node, place, at)?;
                    (node, place) = (child.value, child.place);
                }
                None => return self.add(place, node, step, &nest(rest, value)?),
            }
        }
        self.replace(place, node, value)
    }

    /// The change that removes what is at `steps` below `root`; none when there is nothing.
    ///
    /// # Errors
    /// [`Obstacle`] when the path does not fit the document.
    pub fn remove(&self, root: &Node, steps: &[Step]) -> Result<Option<Splice>, Obstacle> {
        let mut node = root;
        let mut place = Place { kind: Kind::Root, after: 0, column: 0, colon: false };
        let Some((last, way)) = steps.split_last() else { return Ok(None) };
        for step in way {
            if is_null(node) {
                return Ok(None);
            }
            let Some(at) = find_present(node, step)? else { return Ok(None) };
            let child = self.child(node, place, at)?;
            (node, place) = (child.value, child.place);
        }
        if is_null(node) {
            return Ok(None);
        }
        match find_present(node, last)? {
            Some(at) => self.cut(place, node, at).map(Some),
            None => Ok(None),
        }
    }

    /// Replaces every value for which `pick` answers another one, in one pass over the whole document.
    /// The changes come in the order of the text.
    ///
    /// # Errors
    /// [`Obstacle::Layout`] when the text is not understood.
    pub fn replace_each(
        &self,
        root: &Node,
        pick: &mut dyn FnMut(&Node) -> Option<Node>,
    ) -> Result<Vec<Splice>, Obstacle> {
        let mut splices = Vec::new();
        let place = Place { kind: Kind::Root, after: 0, column: 0, colon: false };
        self.visit(root, place, pick, &mut splices)?;
        Ok(splices)
    }

    fn visit(
        &self,
        node: &Node,
        place: Place,
        pick: &mut dyn FnMut(&Node) -> Option<Node>,
        splices: &mut Vec<Splice>,
    ) -> Result<(), Obstacle> {
        if let Some(value) = pick(node) {
            splices.push(self.replace(place, node, &value)?);
            return Ok(());
        }
        for child in self.children(node, place)? {
            self.visit(child.value, child.place, pick, splices)?;
        }
        Ok(())
    }

    fn replace(&self, place: Place, old: &Node, new: &Node) -> Result<Splice, Obstacle> {
        if let (Content::Mapping(before), Content::Mapping(after)) = (&old.content, &new.content)
            && let ([(old_key, _)], [(new_key, value)]) = (before.as_slice(), after.as_slice())
            && old_key.scalar() == new_key.scalar()
        {
            let child = self.child(old, place, 0)?;
            return self.replace(child.place, child.value, value);
        }
        let old_end = self.end(old, place);
        let old_end = match self.text.get(old.span.start.byte()..old_end) {
            // The line break behind a block scalar stays.
            Some(body) if self.line_start(old_end) == old_end => old.span.start.byte() + body.trim_end().len(),
            _ => old_end,
        };
        if place.kind == Kind::Root {
            let lines = self.layout.block(new, 0);
            return Ok(Splice { range: old.span.start.byte()..old_end, text: lines.trim_end().to_owned() });
        }
        let absent = is_empty_scalar(old);
        let old_start = if absent { place.after } else { self.skip(place.after) };
        if place.kind == Kind::Flow {
            let text = self.layout.flow(new);
            return Ok(match (absent, place.colon) {
                (false, _) => Splice { range: old_start..old_end, text },
                (true, true) => Splice { range: place.after..place.after, text: format!(" {text}") },
                (true, false) => Splice { range: place.after..place.after, text: format!(": {text}") },
            });
        }
        let holder_line_end = self.line_end(place.after);
        let same_line = old_start <= holder_line_end;
        if emit::is_inline(new) {
            let comment_follows =
                self.text.get(old_end..self.line_end(old_end)).is_some_and(|tail| !tail.trim().is_empty());
            let literal = (!comment_follows).then_some(place.column + self.layout.step);
            let style = match &old.content {
                Content::Scalar { style, .. } => Some(*style),
                _ => None,
            };
            let text = self.layout.inline(new, literal, style);
            return Ok(if absent {
                let text = if comment_follows { self.layout.inline(new, None, None) } else { text };
                Splice { range: place.after..place.after, text: format!(" {text}") }
            } else if same_line {
                Splice { range: old_start..old_end, text }
            } else {
                // A comment behind `key:` stays there; one behind the old value's last line goes with it.
                let comment = self.text.get(place.after..holder_line_end).unwrap_or_default().trim_end();
                let text = if comment.is_empty() { text } else { self.layout.inline(new, None, style) };
                Splice { range: place.after..self.line_end(old_end), text: format!(" {text}{comment}") }
            });
        }
        if !same_line {
            let column = self.column(old_start);
            let indent = if column > place.column { column } else { place.column + self.layout.step };
            let lines = self.layout.block(new, indent);
            return Ok(Splice {
                range: self.line_start(old_start)..self.line_end(old_end),
                text: lines.trim_end().to_owned(),
            });
        }
        let tail_end = self.line_end(old_end);
        let comment = self.text.get(old_end..tail_end).unwrap_or_default().trim_end();
        if place.kind == Kind::Item && comment.is_empty() {
            let lines = self.layout.block(new, place.column + 2);
            return Ok(Splice { range: place.after..old_end, text: format!(" {}", lines.trim()) });
        }
        let step = if place.kind == Kind::Item { 2 } else { self.layout.step };
        let lines = self.layout.block(new, place.column + step);
        let text = format!("{comment}{}{}", self.layout.line_break, lines.trim_end());
        Ok(Splice { range: place.after..tail_end, text })
    }

    fn add(&self, place: Place, node: &Node, step: &Step, value: &Node) -> Result<Splice, Obstacle> {
        let children = self.children(node, place)?;
        let Some(last) = children.last() else {
            return self.replace(place, node, &nest(std::slice::from_ref(step), value)?);
        };
        let end = self.end(last.value, last.place);
        if self.is_flow(node) {
            let text = match step {
                Step::Key(key) => format!(", {}: {}", self.layout.flow(&emit::string(key)), self.layout.flow(value)),
                Step::Index(_) => format!(", {}", self.layout.flow(value)),
            };
            return Ok(Splice { range: end..end, text });
        }
        let indent = last.place.column;
        let lines = match step {
            Step::Key(key) => self.layout.block_entry(&emit::string(key), value, indent),
            Step::Index(_) => self.layout.block_item(value, indent),
        };
        Ok(self.append_lines(end, &lines))
    }

    /// Puts whole lines behind the line that holds `end`.
    fn append_lines(&self, end: usize, lines: &str) -> Splice {
        let at_line_start = self.line_start(end) == end;
        let at = if at_line_start { end } else { self.past_line(end) };
        let broken = at == 0 || self.text.get(..at).is_some_and(|before| before.ends_with('\n'));
        let text = if broken { lines.to_owned() } else { format!("{}{lines}", self.layout.line_break) };
        Splice { range: at..at, text }
    }

    fn cut(&self, place: Place, node: &Node, at: usize) -> Result<Splice, Obstacle> {
        let children = self.children(node, place)?;
        let child = children.get(at).ok_or(Obstacle::Layout)?;
        let end = self.end(child.value, child.place);
        if children.len() == 1 {
            let empty = match node.content {
                Content::Sequence(_) => Content::Sequence(Vec::new()),
                _ => Content::Mapping(Vec::new()),
            };
            let mut splice = self.replace(place, node, &emit::node(empty))?;
            if !self.is_flow(node) {
                splice.range.end = splice.range.end.max(self.line_end(end));
            }
            return Ok(splice);
        }
        let next = children.get(at + 1).map(|next| next.start);
        if self.is_flow(node) {
            let range = match (next, at.checked_sub(1).and_then(|before| children.get(before))) {
                (Some(next), _) => child.start..next,
                (None, Some(before)) => self.end(before.value, before.place)..end,
                (None, None) => return Err(Obstacle::Layout),
            };
            return Ok(Splice { range, text: String::new() });
        }
        let line_start = self.line_start(child.start);
        let alone = self.text.get(line_start..child.start).is_some_and(|before| before.trim().is_empty());
        let range = match next {
            // `- first: 1` keeps its dash: what follows moves up to it.
            Some(next) if !alone => child.start..next,
            _ if !alone => return Err(Obstacle::Layout),
            _ if self.line_start(end) == end => line_start..end,
            _ => line_start..self.past_line(end),
        };
        Ok(Splice { range, text: String::new() })
    }
}

/// The position of `step` among the children of `node`; none when it could be added.
pub(super) fn find(node: &Node, step: &Step) -> Result<Option<usize>, Obstacle> {
    match (&node.content, step) {
        (Content::Mapping(entries), Step::Key(key)) => {
            let mut found = entries.iter().enumerate().filter(|(_, (name, _))| name.scalar() == Some(key));
            match (found.next(), found.next()) {
                (Some((at, _)), None) => Ok(Some(at)),
                (Some(_), Some(_)) => Err(Obstacle::DuplicateKey(key.clone())),
                (None, _) => {
                    let call = |name: &str| name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("fn::"));
                    let called = entries.iter().filter_map(|(name, _)| name.scalar()).find(|name| call(name));
                    match called.or_else(|| (call(key) && !entries.is_empty()).then_some(key)) {
                        Some(function) => Err(Obstacle::FunctionCall(function.to_owned())),
                        None => Ok(None),
                    }
                }
            }
        }
        (Content::Sequence(items), Step::Index(index)) => match index.cmp(&items.len()) {
            std::cmp::Ordering::Less => Ok(Some(*index)),
            std::cmp::Ordering::Equal => Ok(None),
            std::cmp::Ordering::Greater => Err(Obstacle::OutOfRange { index: *index, length: items.len() }),
        },
        (_, Step::Key(_)) => Err(Obstacle::NotAnObject),
        (_, Step::Index(_)) => Err(Obstacle::NotAnArray),
    }
}

/// The position of `step`, for readers: what could not be added is just not there.
pub(super) fn find_present(node: &Node, step: &Step) -> Result<Option<usize>, Obstacle> {
    match find(node, step) {
        Err(Obstacle::FunctionCall(_)) => Ok(None),
        found => found,
    }
}

/// `value` inside the objects and lists that `steps` name.
pub(super) fn nest(steps: &[Step], value: &Node) -> Result<Node, Obstacle> {
    steps.iter().rev().try_fold(value.clone(), |inner, step| match step {
        Step::Key(key) => Ok(emit::entry(key, inner)),
        Step::Index(0) => Ok(emit::node(Content::Sequence(vec![inner]))),
        Step::Index(index) => Err(Obstacle::OutOfRange { index: *index, length: 0 }),
    })
}
