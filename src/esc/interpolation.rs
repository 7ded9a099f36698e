//! Strings of the language: `$$`, `${access}` and the text around them (esc-language.md §5).
//!
//! The reader recovers from every error, so that one run reports them all.

/// One step of a property access, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accessor {
    /// `root` or `.name`.
    Name(String),
    /// `["key"]`, or the text of a broken index.
    Key(String),
    /// `[1]`; a negative one is refused at evaluation.
    Index(i64),
}

impl Accessor {
    /// The name or key; none for an index.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Name(key) | Self::Key(key) => Some(key),
            Self::Index(_) => None,
        }
    }
}

/// An accessor and its byte offsets within the string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    pub accessor: Accessor,
    pub begin: usize,
    pub end: usize,
}

/// Text, and the access that follows it, if any. `access` is never an empty list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Part {
    pub text: String,
    pub access: Option<Vec<Located>>,
}

/// Something wrong at byte offsets of the string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub message: &'static str,
    pub begin: usize,
    pub end: usize,
}

const OPEN_BRACE: &str = "missing closing brace '}' in interpolation";
const OPEN_BRACKET: &str = "subscript is missing closing bracket ']'";

/// Splits a string into its parts. Without any access there is at most one part: the unescaped text.
#[must_use]
pub fn parse(text: &str) -> (Vec<Part>, Vec<Mistake>) {
    let mut parts = Vec::new();
    let mut reader = Reader { text, at: 0, mistakes: Vec::new() };
    let mut literal = String::new();
    while let Some(dollar) = reader.rest().find('$') {
        literal.push_str(reader.rest().get(..dollar).unwrap_or_default());
        reader.at += dollar;
        if reader.rest().starts_with("$$") {
            literal.push('$');
            reader.at += 2;
        } else if reader.rest().starts_with("${") {
            reader.at += 2;
            let access = reader.access();
            parts.push(Part { text: std::mem::take(&mut literal), access: Some(access) });
        } else {
            literal.push('$');
            reader.at += 1;
        }
    }
    literal.push_str(reader.rest());
    if !literal.is_empty() {
        parts.push(Part { text: literal, access: None });
    }
    (parts, reader.mistakes)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    mistakes: Vec<Mistake>,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn mistake(&mut self, begin: usize, message: &'static str) {
        self.mistakes.push(Mistake { message, begin, end: self.at.max(begin) });
    }

    fn located(&self, accessor: Accessor, begin: usize) -> Located {
        Located { accessor, begin, end: self.at }
    }

    /// Everything up to and with the closing brace.
    fn access(&mut self) -> Vec<Located> {
        let mut accessors: Vec<Located> = Vec::new();
        let end = loop {
            let start = self.at;
            match self.peek() {
                Some('}') => {
                    self.at += 1;
                    break start;
                }
                Some('.') => {
                    self.at += 1;
                    accessors.push(self.name(start));
                }
                Some('[') => {
                    self.at += 1;
                    let first = accessors.is_empty();
                    accessors.push(self.subscript(start, first));
                }
                Some(letter) if !blank(letter) => accessors.push(self.name(start)),
                _ => {
                    self.mistake(start, OPEN_BRACE);
                    break start;
                }
            }
        };
        if accessors.is_empty() {
            accessors.push(self.located(Accessor::Name(String::new()), end));
        }
        accessors
    }

    fn name(&mut self, start: usize) -> Located {
        let rest = self.rest();
        let name = rest.split(|letter| matches!(letter, '.' | '[' | '}') || blank(letter)).next().unwrap_or(rest);
        self.at += name.len();
        if name.is_empty() {
            self.mistake(start, "property name must not be empty");
        }
        self.located(Accessor::Name(name.to_owned()), start)
    }

    /// Behind the opening bracket.
    fn subscript(&mut self, start: usize, first: bool) -> Located {
        let accessor = match self.peek() {
            None => {
                self.mistake(start, OPEN_BRACKET);
                return self.located(Accessor::Key(String::new()), start);
            }
            Some('"') => {
                self.at += 1;
                Accessor::Key(self.quoted(start))
            }
            Some(_) => self.index(start, first),
        };
        if self.peek() == Some(']') {
            self.at += 1;
        } else {
            self.mistake(start, OPEN_BRACKET);
        }
        self.located(accessor, start)
    }

    /// Behind the opening quote; `\"` is the only escape.
    fn quoted(&mut self, start: usize) -> String {
        let mut key = String::new();
        loop {
            let Some(letter) = self.peek() else {
                self.mistake(start + 1, "key subscript is missing closing quote '\"'");
                return key;
            };
            if letter == '\\' && self.rest().starts_with("\\\"") {
                key.push('"');
                self.at += 2;
                continue;
            }
            self.at += letter.len_utf8();
            if letter == '"' {
                if key.is_empty() {
                    self.mistake(start + 1, "key subscript must not be empty");
                }
                return key;
            }
            key.push(letter);
        }
    }

    fn index(&mut self, start: usize, first: bool) -> Accessor {
        let rest = self.rest();
        let digits =
            rest.split(|letter| matches!(letter, ']' | '.' | '[' | '}') || blank(letter)).next().unwrap_or(rest);
        self.at += digits.len();
        match digits.parse::<i64>() {
            Ok(index) => {
                if first {
                    self.mistake(
                        start,
                        "the first accessor must be a property name or key subscript, not a numeric subscript",
                    );
                }
                Accessor::Index(index)
            }
            Err(_) => {
                self.mistake(start + 1, "numeric subscript must be a positive base-10 integer");
                Accessor::Key(digits.to_owned())
            }
        }
    }
}

/// White space that ends a name. ESC looks at bytes one by one and takes 0x85 and 0xA0 for blanks, so that
/// a letter whose UTF-8 form holds one of them (`à`) cannot stand in a bare name; `["à"]` can.
fn blank(letter: char) -> bool {
    let mut bytes = [0; 4];
    letter.encode_utf8(&mut bytes).bytes().any(|byte| matches!(byte, b'\t'..=b'\r' | b' ' | 0x85 | 0xa0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn access(text: &str) -> Vec<Accessor> {
        let (parts, mistakes) = parse(text);
        assert_eq!(mistakes, [], "{text}");
        let [Part { text, access: Some(access) }] = &parts[..] else { panic!("{text} is no reference") };
        assert_eq!(text, "");
        access.iter().map(|located| located.accessor.clone()).collect()
    }

    fn name(text: &str) -> Accessor {
        Accessor::Name(text.into())
    }

    #[test]
    fn dollars_escape_and_stand_alone() {
        for (text, expected) in [
            ("$$", "$"),
            ("a$b", "a$b"),
            ("$$${", "$"),
            ("$$${x", "$"),
            ("$${x}", "${x}"),
            ("$5 $", "$5 $"),
            ("$$$$", "$$"),
        ] {
            assert_eq!(parse(text).0[0].text, expected, "{text}");
        }
        assert_eq!(parse("").0, []);
    }

    #[test]
    fn accesses_mix_names_keys_and_indices() {
        assert_eq!(access("${a-b.34.x@y}"), [name("a-b"), name("34"), name("x@y")]);
        assert_eq!(
            access(r#"${a["k\"\.]"][0][-1].z}"#),
            [name("a"), Accessor::Key("k\"\\.]".into()), Accessor::Index(0), Accessor::Index(-1), name("z")]
        );
        assert_eq!(access(r#"${["34"].x}"#), [Accessor::Key("34".into()), name("x")]);
        assert_eq!(access("${}"), [name("")]);
        let (parts, mistakes) = parse("x${a}$$${b}y");
        assert_eq!(mistakes, []);
        assert_eq!(parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>(), ["x", "$", "y"]);
    }

    #[test]
    fn every_mistake_is_reported_where_it_stands() {
        for (text, begin, message) in [
            ("${a", 3, OPEN_BRACE),
            ("${a b}", 3, OPEN_BRACE),
            ("${à}", 2, OPEN_BRACE),
            ("${a..b}", 3, "property name must not be empty"),
            ("${a[", 3, OPEN_BRACKET),
            ("${a[0}", 3, OPEN_BRACKET),
            ("${a[\"b}", 4, "key subscript is missing closing quote '\"'"),
            ("${a[\"\"]}", 4, "key subscript must not be empty"),
            ("${a[x]}", 4, "numeric subscript must be a positive base-10 integer"),
            ("${[0]}", 2, "the first accessor must be a property name or key subscript, not a numeric subscript"),
        ] {
            let (_, mistakes) = parse(text);
            assert_eq!((mistakes[0].begin, mistakes[0].message), (begin, message), "{text}");
        }
        assert_eq!(parse("${a[x]}${b").1.len(), 2);
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_stays_in_the_text(text in r#"([$\{\}\[\]."\\à 0-9a]|.){0,24}"#) {
            let (parts, mistakes) = parse(&text);
            for located in parts.iter().filter_map(|part| part.access.as_ref()).flatten() {
                prop_assert!(text.get(located.begin..located.end).is_some());
            }
            for mistake in mistakes {
                prop_assert!(mistake.begin <= mistake.end && mistake.begin <= text.len());
            }
        }

        #[test]
        fn doubling_every_dollar_gives_the_text_back(text in ".*") {
            let (parts, mistakes) = parse(&text.replace('$', "$$"));
            prop_assert!(mistakes.is_empty());
            prop_assert_eq!(parts.into_iter().map(|part| part.text).collect::<String>(), text);
        }
    }
}
