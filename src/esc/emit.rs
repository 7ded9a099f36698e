//! Writes YAML values that are put into a document: in its style, and never with another meaning.
//!
//! A string is written plain only where no reader of YAML could take it for anything else; what needs an
//! escape is double-quoted; text of several lines is a literal block where that keeps every byte.

use std::fmt::Write as _;

use super::scalar::{self, Scalar};
use super::stored;
use crate::base::yaml::{Content, Node, Span, Style};

/// How a piece of a document is laid out.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Blanks per level.
    pub step: usize,
    /// `"\n"` or `"\r\n"`.
    pub line_break: &'static str,
}

/// A node that stands in no document yet.
#[must_use]
pub fn node(content: Content) -> Node {
    Node { span: Span::default(), tag: None, content }
}

/// A string.
#[must_use]
pub fn string(text: &str) -> Node {
    node(Content::Scalar { text: text.to_owned(), style: Style::DoubleQuoted })
}

/// A mapping with one entry.
#[must_use]
pub fn entry(key: &str, value: Node) -> Node {
    node(Content::Mapping(vec![(string(key), value)]))
}

/// Whether a value fits behind `key:` on the same line, block scalars counted in.
#[must_use]
pub fn is_inline(node: &Node) -> bool {
    match &node.content {
        Content::Scalar { .. } => true,
        Content::Sequence(items) => items.is_empty(),
        Content::Mapping(entries) => entries.is_empty(),
    }
}

impl Layout {
    /// A mapping or list as whole lines at `indent` blanks; empty for anything that [`is_inline`].
    #[must_use]
    pub fn block(&self, node: &Node, indent: usize) -> String {
        let mut lines = String::new();
        match &node.content {
            Content::Scalar { .. } => {}
            Content::Mapping(entries) => {
                for (key, value) in entries {
                    lines.push_str(&self.block_entry(key, value, indent));
                }
            }
            Content::Sequence(items) => {
                for item in items {
                    lines.push_str(&self.block_item(item, indent));
                }
            }
        }
        lines
    }

    /// `key: value` as whole lines at `indent` blanks.
    #[must_use]
    pub fn block_entry(&self, key: &Node, value: &Node, indent: usize) -> String {
        let blanks = " ".repeat(indent);
        let key = self.flow(key);
        if is_inline(value) {
            format!("{blanks}{key}: {}{}", self.inline(value, Some(indent + self.step), None), self.line_break)
        } else {
            format!("{blanks}{key}:{}{}", self.line_break, self.block(value, indent + self.step))
        }
    }

    /// `- value` as whole lines at `indent` blanks.
    #[must_use]
    pub fn block_item(&self, item: &Node, indent: usize) -> String {
        let blanks = " ".repeat(indent);
        if is_inline(item) {
            format!("{blanks}- {}{}", self.inline(item, Some(indent + 2), None), self.line_break)
        } else {
            format!("{blanks}- {}", self.block(item, indent + 2).trim_start_matches(' '))
        }
    }

    /// A value on one line. With `literal_indent`, block context: a text of several lines may become a
    /// literal block at that indent. `like` is the style of a scalar that is replaced.
    #[must_use]
    pub fn inline(&self, node: &Node, literal_indent: Option<usize>, like: Option<Style>) -> String {
        let Content::Scalar { text, style } = &node.content else { return self.flow(node) };
        let tag = node.tag.as_ref().map(|tag| format!("{tag} ")).unwrap_or_default();
        let quote_anyway = matches!(like, Some(Style::SingleQuoted | Style::DoubleQuoted)) && is_plain(text, false);
        if *style == Style::Plain && text.chars().all(is_word) && !quote_anyway {
            return format!("{tag}{}", if text.is_empty() { "null" } else { text });
        }
        let block = literal_indent.is_some();
        let printable = text.chars().all(|c| !needs_escape(c));
        let shown = match like {
            Some(Style::SingleQuoted) if printable => single_quoted(text),
            Some(Style::DoubleQuoted) => double_quoted(text),
            _ if is_plain(text, block) => text.clone(),
            _ => match literal_indent.and_then(|indent| self.literal(text, indent)) {
                Some(lines) => lines,
                None if printable && text.contains(['"', '\\']) => single_quoted(text),
                None => double_quoted(text),
            },
        };
        format!("{tag}{shown}")
    }

    /// A value in flow style.
    #[must_use]
    pub fn flow(&self, node: &Node) -> String {
        match &node.content {
            Content::Scalar { .. } => self.inline(node, None, None),
            Content::Sequence(items) => {
                format!("[{}]", items.iter().map(|item| self.flow(item)).collect::<Vec<_>>().join(", "))
            }
            Content::Mapping(entries) => {
                let entries = entries.iter().map(|(key, value)| format!("{}: {}", self.flow(key), self.flow(value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// `|` or `|-` and the lines, without a break behind the last; none where a literal block could not hold
    /// the text byte for byte.
    fn literal(&self, text: &str, indent: usize) -> Option<String> {
        let body = text.strip_suffix('\n').unwrap_or(text);
        let fits = body.contains('\n')
            && !body.starts_with([' ', '\n', '\t'])
            && !body.ends_with('\n')
            && body.chars().all(|c| c == '\n' || c == '\t' || !needs_escape(c))
            && body.lines().all(|line| !line.ends_with([' ', '\t']));
        if !fits {
            return None;
        }
        let mut lines = String::from(if body.len() == text.len() { "|-" } else { "|" });
        for line in body.split('\n') {
            lines.push_str(self.line_break);
            if !line.is_empty() {
                lines.push_str(&" ".repeat(indent));
                lines.push_str(line);
            }
        }
        Some(lines)
    }
}

/// Characters that need no thought in any context of YAML.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '+' | '/' | '~' | '-')
}

/// Whether a string may be written plain: it reads back as this string with every YAML version.
fn is_plain(text: &str, block: bool) -> bool {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '/' | '$'));
    let between =
        |c: char| is_word(c) || matches!(c, '@' | '=') || (block && matches!(c, '$' | '{' | '}' | '[' | ']' | ','));
    let mut previous = ' ';
    let mut rest = text.chars().peekable();
    let mut fits = first;
    while let Some(c) = rest.next() {
        fits &= match c {
            ' ' => block && previous != ' ' && rest.peek().is_some_and(|next| *next != ' '),
            ':' => rest.peek().is_some_and(|next| is_word(*next) || *next == ':'),
            '$' if !block => false,
            c => between(c),
        };
        previous = c;
    }
    // Unquoted it would be taken for a secret that lost its form.
    let slip = text != stored::SECRET && stored::speaks_of_a_secret(text);
    let old_boolean = ["y", "n", "yes", "no", "on", "off"].iter().any(|word| text.eq_ignore_ascii_case(word));
    fits && !old_boolean && !slip && scalar::resolve(text, Style::Plain, None) == Ok(Scalar::Text(text.to_owned()))
}

/// What YAML does not let stand in a quoted line, or editors would not keep.
fn needs_escape(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c), 0x2028 | 0x2029 | 0xfeff | 0xfffe | 0xffff | 0x200b..=0x200f | 0x202a..=0x202e)
}

fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn double_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if needs_escape(c) => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::yaml::parse;
    use proptest::prelude::*;

    const LAYOUT: Layout = Layout { step: 2, line_break: "\n" };

    #[test]
    fn strings_are_plain_only_where_nothing_else_could_be_read() {
        let shown = |text: &str| LAYOUT.inline(&string(text), Some(2), None);
        for text in ["hello", "two words", "${a.b}", "https://x.test/y", "a-b_c.d", "x=1", "user@example"] {
            assert_eq!(shown(text), text);
        }
        for text in
            ["", "1", "1_0", "true", "No", "null", "~", "- a", "a: b", "a #b", " a", "a ", "a:", "{a}", "*a", "!x"]
        {
            assert!(shown(text).starts_with(['"', '\'']), "{text:?} became {}", shown(text));
        }
        assert_eq!(shown("a\"b"), "'a\"b'");
        assert_eq!(shown("a\r\nb"), "\"a\\r\\nb\"");
        assert_eq!(shown("-----BEGIN KEY\nabc\n"), "|\n  -----BEGIN KEY\n  abc");
        assert_eq!(shown("one\n\ntwo"), "|-\n  one\n\n  two");
        assert_eq!(shown("one \ntwo"), "\"one \\ntwo\"");
    }

    #[test]
    fn numbers_and_booleans_stay_what_they_are() {
        for text in ["42", "1e6", "true", "null", "0x1F", "-.inf"] {
            let value = parse(&format!("a: {text}")).unwrap().unwrap().get("a").unwrap().clone();
            assert_eq!(LAYOUT.inline(&value, Some(2), None), text);
        }
    }

    proptest! {
        #[test]
        fn any_string_reads_back_in_any_context(text in "(?s).{0,40}", key in "(?s).{0,10}") {
            let value = entry(&key, node(Content::Sequence(vec![string(&text), entry(&text, string(&text))])));
            for written in [LAYOUT.block(&value, 0), LAYOUT.flow(&value), LAYOUT.block(&entry("wrapper key", value.clone()), 3)] {
                let read = parse(&written).map_err(|error| TestCaseError::fail(format!("{error} in {written:?}")))?.unwrap();
                let read = read.get("wrapper key").unwrap_or(&read);
                let items = match &read.get(&key).map(|node| &node.content) {
                    Some(Content::Sequence(items)) => items.clone(),
                    _ => return Err(TestCaseError::fail(written.clone())),
                };
                prop_assert_eq!(items[0].scalar(), Some(text.as_str()), "{}", written);
                prop_assert_eq!(items[1].get(&text).and_then(|node| node.scalar()), Some(text.as_str()), "{}", written);
            }
        }
    }
}
