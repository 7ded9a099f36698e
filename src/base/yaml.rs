//! A YAML document as a tree that remembers where everything stands.
//!
//! Both readers of YAML use it: the definition (`rules::config`) and ESC documents (`esc::document`).
//! It keeps scalars as text with their style, so that each reader resolves types by its own rules.
//! Aliases are refused: a definition has no use for them and ESC forbids them (esc-language.md §1.2). Readers of other
//! people's files may pass over them.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

/// The deepest nesting that is read; deeper input is an error, never a crash.
pub const DEEPEST: usize = 128;

/// A position: line and column from 1 (column in characters), byte offset from 0.
///
/// Every node of a tree carries several, so they are held small. Places beyond 4 GiB, which nothing here reads, are all
/// told as the last one below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mark {
    line: u32,
    column: u32,
    byte: u32,
}

impl Mark {
    #[must_use]
    pub fn new(line: usize, column: usize, byte: usize) -> Self {
        let small = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Self { line: small(line), column: small(column), byte: small(byte) }
    }

    /// From 1.
    #[must_use]
    pub fn line(self) -> usize {
        self.line as usize
    }

    /// In characters, from 1.
    #[must_use]
    pub fn column(self) -> usize {
        self.column as usize
    }

    /// From 0.
    #[must_use]
    pub fn byte(self) -> usize {
        self.byte as usize
    }
}

/// From the first character of a node to just behind its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    pub start: Mark,
    pub end: Mark,
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    Literal,
    Folded,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub span: Span,
    /// The tag as written, handle and suffix joined (`!!str`, `!custom`); none when there is none.
    pub tag: Option<String>,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Scalar {
        text: String,
        style: Style,
    },
    Sequence(Vec<Node>),
    /// Entries in the order of the text; duplicate keys are kept.
    Mapping(Vec<(Node, Node)>),
}

impl Node {
    /// The text of a scalar, whatever its style.
    #[must_use]
    pub fn scalar(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The first entry of a mapping under `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.content {
            Content::Mapping(entries) => {
                entries.iter().find(|(name, _)| name.scalar() == Some(key)).map(|(_, value)| value)
            }
            _ => None,
        }
    }
}

/// Why a text is not YAML that this tool reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct YamlError {
    pub message: String,
    pub mark: Mark,
}

/// Reads the first document of `text`; none when it holds nothing but blanks and comments.
///
/// # Errors
/// [`YamlError`] for a syntax error, an alias, or nesting below [`DEEPEST`].
pub fn parse(text: &str) -> Result<Option<Node>, YamlError> {
    Builder::new(text).document()
}

/// The same for a text that is one value: anything behind it is an error at its place.
///
/// # Errors
/// Those of [`parse`], and [`YamlError`] for what stands behind the value.
pub fn parse_whole(text: &str) -> Result<Option<Node>, YamlError> {
    let mut builder = Builder::new(text);
    let node = builder.document()?;
    builder.end()?;
    Ok(node)
}

/// The same as [`parse`], with an empty text in place of every alias: what it stands for is in the tree once, at its anchor.
///
/// # Errors
/// [`YamlError`] for a syntax error, or nesting below [`DEEPEST`].
pub fn parse_without_aliases(text: &str) -> Result<Option<Node>, YamlError> {
    Builder { passes_over_aliases: true, ..Builder::new(text) }.document()
}

/// Turns the parser's character offsets into byte offsets; both only ever grow, nearly.
struct ByteOffsets<'t> {
    text: &'t str,
    ascii: bool,
    last: (usize, usize),
}

impl<'t> ByteOffsets<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, ascii: text.is_ascii(), last: (0, 0) }
    }

    fn byte(&mut self, character: usize) -> usize {
        if self.ascii {
            return character.min(self.text.len());
        }
        if character < self.last.0 {
            self.last = (0, 0);
        }
        let (from_character, from_byte) = self.last;
        let rest = self.text.get(from_byte..).unwrap_or_default();
        let ahead = character - from_character;
        let byte = rest.char_indices().nth(ahead).map_or(self.text.len(), |(offset, _)| from_byte + offset);
        self.last = (character, byte);
        byte
    }
}

struct Builder<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    bytes: ByteOffsets<'t>,
    passes_over_aliases: bool,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { parser: Parser::new_from_str(text), bytes: ByteOffsets::new(text), passes_over_aliases: false }
    }

    fn document(&mut self) -> Result<Option<Node>, YamlError> {
        loop {
            match self.next()? {
                Some((Event::DocumentEnd | Event::StreamEnd, _)) | None => return Ok(None),
                Some((Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _)) => {}
                Some((event, span)) => return self.node(event, span, 0).map(Some),
            }
        }
    }

    fn end(&mut self) -> Result<(), YamlError> {
        let more = |mark| YamlError { message: "the value ends before this, and more follows".into(), mark };
        loop {
            match self.parser.next_event() {
                None | Some(Ok((Event::StreamEnd, _))) => return Ok(()),
                Some(Ok((Event::DocumentEnd | Event::Nothing, _))) => {}
                Some(Ok((_, span))) => return Err(more(self.mark(&span.start))),
                Some(Err(error)) => return Err(more(self.mark(error.marker()))),
            }
        }
    }

    fn next(&mut self) -> Result<Option<(Event<'t>, saphyr_parser::Span)>, YamlError> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok(found)) => Ok(Some(found)),
            Some(Err(error)) => Err(self.error(&error)),
        }
    }

    fn error(&mut self, error: &ScanError) -> YamlError {
        YamlError { message: error.info().to_owned(), mark: self.mark(error.marker()) }
    }

    fn mark(&mut self, marker: &Marker) -> Mark {
        Mark::new(marker.line(), marker.col() + 1, self.bytes.byte(marker.index()))
    }

    fn span(&mut self, span: &saphyr_parser::Span) -> Span {
        Span { start: self.mark(&span.start), end: self.mark(&span.end) }
    }

    fn node(&mut self, event: Event<'t>, span: saphyr_parser::Span, depth: usize) -> Result<Node, YamlError> {
        let mut span = self.span(&span);
        if let Event::Scalar(text, style, ..) = &event {
            span.start = match style {
                ScalarStyle::Literal | ScalarStyle::Folded => self.block_header(span.start),
                ScalarStyle::Plain if text.is_empty() => self.behind_indicator(span.start),
                _ => span.start,
            };
        }
        if depth > DEEPEST {
            return Err(YamlError { message: format!("nested more than {DEEPEST} levels deep"), mark: span.start });
        }
        let joined = |tag: Option<std::borrow::Cow<'_, saphyr_parser::Tag>>| {
            tag.map(|tag| {
                let handle = if tag.handle == "tag:yaml.org,2002:" { "!!" } else { tag.handle.as_str() };
                format!("{handle}{}", tag.suffix)
            })
        };
        let (tag, content) = match event {
            Event::Scalar(text, style, _, tag) => {
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted => Style::SingleQuoted,
                    ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
                    ScalarStyle::Literal => Style::Literal,
                    ScalarStyle::Folded => Style::Folded,
                };
                // The parser's own text has room for far more than it holds.
                (joined(tag), Content::Scalar { text: text.as_ref().to_owned(), style })
            }
            Event::SequenceStart(_, tag) => {
                span.start = self.dash(span.start);
                let mut items = Vec::new();
                loop {
                    match self.inner(span.start)? {
                        (Event::SequenceEnd, end) => {
                            span.end = self.mark(&end.end);
                            break;
                        }
                        (event, at) => items.push(self.node(event, at, depth + 1)?),
                    }
                }
                (joined(tag), Content::Sequence(items))
            }
            Event::MappingStart(_, tag) => {
                // A mapping of one entry is the commonest: a function call.
                let mut entries = Vec::with_capacity(1);
                loop {
                    match self.inner(span.start)? {
                        (Event::MappingEnd, end) => {
                            span.end = self.mark(&end.end);
                            break;
                        }
                        (event, at) => {
                            let key = self.node(event, at, depth + 1)?;
                            let (event, at) = self.inner(span.start)?;
                            entries.push((key, self.node(event, at, depth + 1)?));
                        }
                    }
                }
                (joined(tag), Content::Mapping(entries))
            }
            Event::Alias(_) if self.passes_over_aliases => {
                span.end = span.start;
                (None, Content::Scalar { text: String::new(), style: Style::Plain })
            }
            Event::Alias(_) => {
                return Err(YamlError { message: "alias nodes are not supported".into(), mark: span.start });
            }
            _ => return Err(YamlError { message: "unexpected end of the document".into(), mark: span.start }),
        };
        Ok(Node { span, tag, content })
    }

    /// Where a sequence begins. Of one that is not indented below its key the parser reports the first item;
    /// its dash then stands before that, on the same line.
    fn dash(&self, start: Mark) -> Mark {
        let text = self.bytes.text;
        let rest = text.get(start.byte()..).unwrap_or_default();
        if rest.starts_with('[') || rest.strip_prefix('-').is_some_and(|rest| rest.starts_with([' ', '\t', '\r', '\n']))
        {
            return start;
        }
        let before = text.get(..start.byte()).unwrap_or_default().trim_end_matches([' ', '\t']);
        match before.strip_suffix('-') {
            Some(before) => {
                let ahead = start.byte() - before.len();
                Mark::new(start.line(), start.column().saturating_sub(ahead).max(1), before.len())
            }
            None => start,
        }
    }

    /// Where a block scalar begins: at its `|` or `>`. The parser reports the first line of the content.
    fn block_header(&self, start: Mark) -> Mark {
        let before = self.bytes.text.get(..start.byte()).unwrap_or_default().trim_end();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.get(line_start..).unwrap_or_default();
        let header = line.char_indices().position(|(at, letter)| {
            let rest = line.get(at + 1..).unwrap_or_default();
            let rest = rest.trim_start_matches(|letter: char| letter.is_ascii_digit() || matches!(letter, '+' | '-'));
            let stands_alone = line.get(..at).is_none_or(|before| before.is_empty() || before.ends_with([' ', '\t']));
            matches!(letter, '|' | '>')
                && stands_alone
                && (rest.trim().is_empty() || rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#'))
        });
        let Some(column) = header else { return start };
        let byte = line_start + line.char_indices().nth(column).map_or(0, |(at, _)| at);
        let below = self.bytes.text.get(byte..start.byte()).map_or(0, |text| text.matches('\n').count());
        Mark::new(start.line().saturating_sub(below), column + 1, byte)
    }

    /// Where an empty value stands: right behind the `:` or `-` that announces it.
    fn behind_indicator(&self, at: Mark) -> Mark {
        let (before, rest) = self.bytes.text.split_at_checked(at.byte()).unwrap_or_default();
        if rest.starts_with(':') {
            return Mark::new(at.line(), at.column() + 1, at.byte() + 1);
        }
        let blanks = before.len() - before.trim_end_matches([' ', '\t']).len();
        if before.ends_with('\n') || at.column() <= blanks {
            return at;
        }
        Mark::new(at.line(), at.column() - blanks, at.byte() - blanks)
    }

    fn inner(&mut self, start: Mark) -> Result<(Event<'t>, saphyr_parser::Span), YamlError> {
        self.next()?.ok_or_else(|| YamlError { message: "unexpected end of the document".into(), mark: start })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_positions_in_characters_and_bytes() {
        let node = parse("# é\nname: 'wört'\nlist:\n  - a\n").unwrap().unwrap();
        let name = node.get("name").unwrap();
        assert_eq!(name.span.start, Mark::new(2, 7, 11));
        assert_eq!(name.content, Content::Scalar { text: "wört".into(), style: Style::SingleQuoted });
        let Content::Sequence(items) = &node.get("list").unwrap().content else { panic!("a list") };
        assert_eq!((items[0].span.start.line(), items[0].span.start.column()), (4, 5));
    }

    #[test]
    fn block_scalars_begin_at_their_header_and_empty_values_behind_the_indicator() {
        let start = |text: &str| parse(text).unwrap().unwrap().get("k").unwrap().span.start;
        assert_eq!(start("a: 1\nk: |\n  x\n"), Mark::new(2, 4, 8));
        assert_eq!(start("k: >-2 # a | b\n\n   x\n"), Mark::new(1, 4, 3));
        assert_eq!(start("k:\nb: 1\n"), Mark::new(1, 3, 2));
        let list = parse("- \n- a\n").unwrap().unwrap();
        let Content::Sequence(items) = list.content else { panic!("a list") };
        assert_eq!(items[0].span.start, Mark::new(1, 2, 1));
    }

    #[test]
    fn a_sequence_begins_at_its_first_dash() {
        for text in ["k:\n- a\n- b\n", "k:\n-   x: 1\n", "k:\n- -1\n"] {
            let start = parse(text).unwrap().unwrap().get("k").unwrap().span.start;
            assert_eq!(start, Mark::new(2, 1, 3), "{text}");
        }
        assert_eq!(parse("k: [a]\n").unwrap().unwrap().get("k").unwrap().span.start.column(), 4);
    }

    #[test]
    fn a_value_with_something_behind_it_is_not_read_as_one() {
        for (text, line, column) in [
            ("hello world\nkey: value\nmore", 2, 4),
            ("a\nb: [c", 2, 2),
            ("{a: 1} x", 1, 8),
            ("[a]\n[b]\n", 2, 1),
            ("a\n---\nb\n", 2, 1),
            ("a\n--- {}\n", 2, 1),
        ] {
            assert!(parse(text).is_ok(), "{text}");
            let error = parse_whole(text).unwrap_err();
            assert_eq!((error.mark.line(), error.mark.column()), (line, column), "{text}: {error}");
        }
        for text in ["a", "a\n...\n", "---\na\n", "# c\na: 1 # d\n# e\n", "|\n  a\n  b\n", ""] {
            assert_eq!(parse_whole(text), parse(text), "{text}");
        }
    }

    #[test]
    fn an_empty_text_is_no_document() {
        assert_eq!(parse("").unwrap(), None);
        assert_eq!(parse("# only a comment\n\n").unwrap(), None);
    }

    #[test]
    fn refuses_aliases_broken_syntax_and_bottomless_nesting() {
        assert_eq!(parse("a: &x 1\nb: *x\n").unwrap_err().message, "alias nodes are not supported");
        let passed = parse_without_aliases("a: &x 1\nb: *x\nc: 2\n").unwrap().unwrap();
        assert_eq!(["a", "b", "c"].map(|key| passed.get(key).and_then(Node::scalar)), [Some("1"), Some(""), Some("2")]);
        assert_eq!(parse("a: [1,\nb: 2\n").unwrap_err().mark.line(), 2);
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(parse(&deep(DEEPEST + 2)).unwrap_err().message.contains("levels deep"));
        assert!(parse(&deep(100_000)).is_err());
        let block: String = (0..5000).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
        assert!(parse(&block).is_err());
    }
}
