//! A document's text, and where the values in it begin and end.
//!
//! Everything is found by reading forward from a key's end or a list's dash, past blanks and comments; only
//! the ends of plain and block scalars are taken from the parser.

use super::emit::Layout;
use super::splice::Obstacle;
use crate::base::yaml::{Content, Node, Style};

/// Where a value hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Root,
    /// Behind `key:` of a block mapping.
    Entry,
    /// Behind `-`.
    Item,
    /// In a flow collection, behind `key:` or as an item.
    Flow,
}

/// The place of a value, whether or not one stands there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub kind: Kind,
    /// Just behind the `:` or `-` that holds the value.
    pub after: usize,
    /// Blanks before the key or dash.
    pub column: usize,
    /// Whether there is a `:` to stand behind.
    pub colon: bool,
}

/// One entry or item of a collection.
pub(super) struct Child<'n> {
    /// Start of the key, or of the dash.
    pub start: usize,
    pub place: Place,
    pub value: &'n Node,
}

/// A document's text and how it is laid out.
pub struct Page<'t> {
    pub(super) text: &'t str,
    pub(super) layout: Layout,
}

impl<'t> Page<'t> {
    #[must_use]
    pub fn new(text: &'t str, root: Option<&Node>) -> Self {
        let line_break = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let mut page = Self { text, layout: Layout { step: 2, line_break } };
        if let Some(step) = root.and_then(|root| page.step(root)) {
            page.layout.step = step;
        }
        page
    }

    /// The indentation of the first block mapping inside the root.
    fn step(&self, root: &Node) -> Option<usize> {
        let Content::Mapping(entries) = &root.content else { return None };
        entries.iter().find_map(|(_, value)| match &value.content {
            Content::Mapping(inner) if !self.is_flow(value) => {
                Some(self.column(inner.first()?.0.span.start.byte())).filter(|step| (1..=8).contains(step))
            }
            _ => None,
        })
    }

    pub(super) fn child<'n>(&self, node: &'n Node, place: Place, at: usize) -> Result<Child<'n>, Obstacle> {
        self.children(node, place)?.into_iter().nth(at).ok_or(Obstacle::Layout)
    }

    pub(super) fn children<'n>(&self, node: &'n Node, place: Place) -> Result<Vec<Child<'n>>, Obstacle> {
        let flow = self.is_flow(node);
        let mut children = Vec::new();
        match &node.content {
            Content::Scalar { .. } => {}
            Content::Mapping(entries) => {
                for (key, value) in entries {
                    let start = key.span.start.byte();
                    let key_end = self.key_end(key);
                    let colon = self.skip(key_end);
                    let has_colon = self.text.as_bytes().get(colon) == Some(&b':');
                    if !has_colon && !flow {
                        return Err(Obstacle::Layout);
                    }
                    let after = if has_colon { colon + 1 } else { key_end };
                    let kind = if flow { Kind::Flow } else { Kind::Entry };
                    let place = Place { kind, after, column: self.column(start), colon: has_colon };
                    children.push(Child { start, place, value });
                }
            }
            Content::Sequence(items) if flow => {
                for value in items {
                    let start = value.span.start.byte();
                    let place = Place { kind: Kind::Flow, after: start, column: 0, colon: true };
                    children.push(Child { start, place, value });
                }
            }
            Content::Sequence(items) => {
                let mut from = place.after;
                for value in items {
                    let dash = self.skip(from);
                    if self.text.as_bytes().get(dash) != Some(&b'-') {
                        return Err(Obstacle::Layout);
                    }
                    let place = Place { kind: Kind::Item, after: dash + 1, column: self.column(dash), colon: true };
                    from = self.end(value, place);
                    children.push(Child { start: dash, place, value });
                }
            }
        }
        Ok(children)
    }

    /// Just behind the last character of a value; for a block scalar whose trailing line breaks count,
    /// the start of the line behind it.
    pub(super) fn end(&self, node: &Node, place: Place) -> usize {
        let span_end = node.span.end.byte().min(self.text.len());
        match &node.content {
            Content::Scalar { .. } if is_empty_scalar(node) => place.after,
            Content::Scalar { style: Style::Literal | Style::Folded, text } => {
                let start = node.span.start.byte().min(span_end);
                let body = self.text.get(start..span_end).unwrap_or_default();
                let kept = text.len() > text.trim_end().len() + 1;
                if kept { self.line_start(span_end) } else { start + body.trim_end().len() }
            }
            Content::Scalar { style: Style::Plain, .. } => span_end,
            Content::Scalar { .. } => self.quote_end(self.content_start(node)),
            _ if self.is_flow(node) => {
                let children = self.children(node, place).unwrap_or_default();
                let last = children.last().map(|last| self.end(last.value, last.place));
                let mut at = self.skip(last.unwrap_or_else(|| self.content_start(node) + 1));
                if self.text.as_bytes().get(at) == Some(&b',') {
                    at = self.skip(at + 1);
                }
                at + 1
            }
            _ => match self.children(node, place).ok().and_then(|children| children.into_iter().next_back()) {
                Some(last) => self.end(last.value, last.place),
                None => span_end,
            },
        }
    }

    pub(super) fn is_flow(&self, node: &Node) -> bool {
        let first = match &node.content {
            Content::Scalar { .. } => return false,
            Content::Sequence(items) => items.first().map(|item| item.span.start.byte()),
            Content::Mapping(entries) => entries.first().map(|(key, _)| key.span.start.byte()),
        };
        let at = self.content_start(node);
        // The parser lets a block list start at its first item, which may be a flow collection.
        self.text.as_bytes().get(at).is_some_and(|byte| matches!(byte, b'[' | b'{'))
            && first.is_none_or(|first| first > at)
    }

    fn key_end(&self, key: &Node) -> usize {
        match &key.content {
            Content::Scalar { style: Style::SingleQuoted | Style::DoubleQuoted, .. } => {
                self.quote_end(self.content_start(key))
            }
            _ => key.span.end.byte(),
        }
    }

    /// The start of a node behind its tag and anchor.
    fn content_start(&self, node: &Node) -> usize {
        let mut at = node.span.start.byte();
        while self.text.as_bytes().get(at).is_some_and(|byte| matches!(byte, b'&' | b'!')) {
            let rest = self.text.get(at..).unwrap_or_default();
            at += rest.find(char::is_whitespace).unwrap_or(rest.len());
            at = self.skip(at);
        }
        at
    }

    /// Just behind the closing quote of what opens at `start`; the parser counts a comment in.
    fn quote_end(&self, start: usize) -> usize {
        let bytes = self.text.as_bytes();
        let quote = bytes.get(start).copied();
        let mut at = start + 1;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'\\' if quote == Some(b'"') => at += 2,
                b'\'' if quote == Some(b'\'') && bytes.get(at + 1) == Some(&b'\'') => at += 2,
                _ if Some(*byte) == quote => return at + 1,
                _ => at += 1,
            }
        }
        self.text.len()
    }

    /// The first character at or after `from` that is neither blank, line break nor comment.
    pub(super) fn skip(&self, from: usize) -> usize {
        let bytes = self.text.as_bytes();
        let mut at = from;
        while let Some(byte) = bytes.get(at) {
            let starts_comment = *byte == b'#' && (at == 0 || bytes.get(at - 1).is_some_and(u8::is_ascii_whitespace));
            if starts_comment {
                at = self.line_end(at);
            } else if byte.is_ascii_whitespace() {
                at += 1;
            } else {
                break;
            }
        }
        at
    }

    pub(super) fn line_start(&self, at: usize) -> usize {
        self.text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |found| found + 1)
    }

    /// The end of the line that holds `at`, its break not counted.
    pub(super) fn line_end(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        at + line.strip_suffix('\r').unwrap_or(line).len()
    }

    /// The start of the line behind the one that holds `at`.
    pub(super) fn past_line(&self, at: usize) -> usize {
        self.text.get(at..).and_then(|rest| rest.find('\n')).map_or(self.text.len(), |found| at + found + 1)
    }

    pub(super) fn column(&self, at: usize) -> usize {
        self.text.get(self.line_start(at)..at).map_or(0, |before| before.chars().count())
    }
}

/// A scalar of which nothing stands in the text.
pub(super) fn is_empty_scalar(node: &Node) -> bool {
    matches!(&node.content, Content::Scalar { text, style: Style::Plain } if text.is_empty() && node.tag.is_none())
}

/// Null in any spelling: what a path may be put below.
pub(super) fn is_null(node: &Node) -> bool {
    matches!(&node.content, Content::Scalar { text, style: Style::Plain }
        if node.tag.is_none() && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
}
