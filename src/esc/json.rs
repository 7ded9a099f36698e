//! JSON as ESC reads it: the first value of a text, a number as it is spelled (esc-language.md §6, Go's `encoding/json`).
//!
//! serde_json reads the same values but for two things that would change them: it turns `1e6` into `1e+6`, and it
//! refuses the half of a surrogate pair, which Go replaces. What is wrong is said in Go's words.

use serde_json::{Map, Number, Value as Json};

/// `fn::fromJSON` refuses what nests deeper; Go's own limit is 10,000.
const DEEPEST: usize = 128;

/// The limit for what holds values itself: Pulumi Cloud's form of a value takes two levels for each of its own.
const DEEPEST_OF_VALUES: usize = 512;

/// Why a text holds no JSON value. The texts are Go's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// There is nothing but white space.
    #[error("EOF")]
    Nothing,
    #[error("unexpected EOF")]
    Cut,
    #[error("invalid character {found} {place}")]
    Character { found: String, place: String },
}

impl JsonError {
    /// The sentence without anything of the text, which may be a secret. Its place is left out, too: behind `literal true
    /// (expecting 'e')` stands a text that begins with `tru`.
    #[must_use]
    pub fn without_text(&self) -> String {
        match self {
            Self::Character { .. } => "invalid character".to_owned(),
            other => other.to_string(),
        }
    }
}

/// Reads the first value of `text`; what follows it is ignored, as `fn::fromJSON` does.
///
/// # Errors
/// [`JsonError`], for the first character that cannot be.
pub fn read_first(text: &str) -> Result<Json, JsonError> {
    Reader { bytes: text.as_bytes(), at: 0, left: DEEPEST }.first()
}

/// Reads a text that is one value: an answer, a file.
///
/// # Errors
/// [`JsonError`], for the first character that cannot be, or that is not UTF-8.
pub fn read(text: &[u8]) -> Result<Json, JsonError> {
    let mut reader = Reader { bytes: text, at: 0, left: DEEPEST_OF_VALUES };
    if let Err(error) = std::str::from_utf8(text) {
        reader.at = error.valid_up_to();
        let is_cut = error.error_len().is_none();
        return if is_cut { Err(JsonError::Cut) } else { reader.unexpected("that is not UTF-8") };
    }
    let json = reader.first()?;
    reader.skip_space();
    if reader.peek().is_none() { Ok(json) } else { reader.unexpected("after top-level value") }
}

/// A number with its text as it is, or none when `text` is not a number of JSON.
///
/// serde_json has no other way to keep a text than `from_string_unchecked`, which is no promised part of it: the lock
/// file holds its version.
#[must_use]
pub fn number(text: &str) -> Option<Number> {
    // serde_json says whether it is a number; what it makes of the text may differ from it.
    text.parse::<Number>().is_ok().then(|| Number::from_string_unchecked(text.to_owned()))
}

struct Reader<'t> {
    bytes: &'t [u8],
    at: usize,
    /// How much deeper it may nest.
    left: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The next byte that is no white space, not taken.
    fn next_mark(&mut self) -> Result<u8, JsonError> {
        self.skip_space();
        self.peek().ok_or(JsonError::Cut)
    }

    fn first(&mut self) -> Result<Json, JsonError> {
        self.skip_space();
        if self.peek().is_none() { Err(JsonError::Nothing) } else { self.value() }
    }

    fn unexpected<T>(&self, place: impl Into<String>) -> Result<T, JsonError> {
        let Some(byte) = self.peek() else { return Err(JsonError::Cut) };
        let found = match byte {
            b'\'' => r"'\''".to_owned(),
            b'"' => "'\"'".to_owned(),
            byte => {
                let quoted = super::value::go_quote(&char::from(byte).to_string());
                format!("'{}'", quoted.trim_matches('"'))
            }
        };
        Err(JsonError::Character { found, place: place.into() })
    }

    fn value(&mut self) -> Result<Json, JsonError> {
        match self.next_mark()? {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::list),
            b'"' => self.string().map(Json::String),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal("true", Json::Bool(true)),
            b'f' => self.literal("false", Json::Bool(false)),
            b'n' => self.literal("null", Json::Null),
            _ => self.unexpected("looking for beginning of value"),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Json, JsonError>) -> Result<Json, JsonError> {
        if self.left == 0 {
            return self.unexpected("exceeded max depth");
        }
        self.left -= 1;
        self.at += 1;
        let read = read(self);
        self.left += 1;
        read
    }

    fn object(&mut self) -> Result<Json, JsonError> {
        let mut entries = Map::new();
        while !(entries.is_empty() && self.next_mark()? == b'}') {
            if self.next_mark()? != b'"' {
                return self.unexpected("looking for beginning of object key string");
            }
            let key = self.string()?;
            if self.next_mark()? != b':' {
                return self.unexpected("after object key");
            }
            self.at += 1;
            let value = self.value()?;
            entries.insert(key, value);
            match self.next_mark()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return self.unexpected("after object key:value pair"),
            }
        }
        self.at += 1;
        Ok(Json::Object(entries))
    }

    fn list(&mut self) -> Result<Json, JsonError> {
        let mut items = Vec::new();
        while !(items.is_empty() && self.next_mark()? == b']') {
            items.push(self.value()?);
            match self.next_mark()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return self.unexpected("after array element"),
            }
        }
        self.at += 1;
        Ok(Json::Array(items))
    }

    fn literal(&mut self, word: &str, value: Json) -> Result<Json, JsonError> {
        for letter in word.chars() {
            if self.peek().map(char::from) != Some(letter) {
                return self.unexpected(format!("in literal {word} (expecting '{letter}')"));
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self, place: &str) -> Result<(), JsonError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return self.unexpected(place);
        }
        self.digits();
        Ok(())
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.some_digits("in numeric literal")?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits("in exponent of numeric literal")?;
        }
        Ok(Json::Number(Number::from_string_unchecked(self.text_from(start).into_owned())))
    }

    /// The text from `start` to here; both ends stand beside ASCII, so nothing is ever replaced.
    fn text_from(&self, start: usize) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.bytes.get(start..self.at).unwrap_or_default())
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let start = self.at;
            while matches!(self.peek(), Some(byte) if byte >= b' ' && byte != b'"' && byte != b'\\') {
                self.at += 1;
            }
            text.push_str(&self.text_from(start));
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape(&mut text)?,
                _ => return self.unexpected("in string literal"),
            }
        }
        self.at += 1;
        Ok(text)
    }

    fn escape(&mut self, text: &mut String) -> Result<(), JsonError> {
        self.at += 1;
        let letter = match self.peek() {
            Some(letter @ (b'"' | b'\\' | b'/')) => char::from(letter),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.code_units(text),
            _ => return self.unexpected("in string escape code"),
        };
        self.at += 1;
        text.push(letter);
        Ok(())
    }

    /// Escaped UTF-16, as many units as stand together: a pair is one character, a half alone the replacement
    /// character.
    fn code_units(&mut self, text: &mut String) -> Result<(), JsonError> {
        let mut units = vec![self.code_unit()?];
        while self.bytes.get(self.at..self.at + 2) == Some(br"\u") {
            self.at += 1;
            units.push(self.code_unit()?);
        }
        text.extend(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
        Ok(())
    }

    fn code_unit(&mut self) -> Result<u16, JsonError> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                return self.unexpected(r"in \u hexadecimal character escape");
            };
            unit = unit * 16 + digit;
            self.at += 1;
        }
        Ok(u16::try_from(unit).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_keep_their_text() {
        for text in ["0", "-0", "1e6", "1E6", "1E+06", "1.50", "123456789012345678901234567890", "1e999"] {
            assert_eq!(read_first(text).unwrap().to_string(), text);
            assert_eq!(number(text).unwrap().to_string(), text);
        }
        for text in ["", "01", "1.", "+1", "NaN", "1 ", "0x1", "1_0"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn only_the_first_value_is_read() {
        for (text, first) in [("1 2", "1"), ("01", "0"), ("truex", "true"), ("{} }", "{}"), ("\"a\"b", "\"a\"")] {
            assert_eq!(read_first(text).unwrap().to_string(), first);
        }
        assert_eq!(read(b"{} ").unwrap().to_string(), "{}");
        assert_eq!(read(b"{} }").unwrap_err().to_string(), "invalid character '}' after top-level value");
        assert_eq!(read("{\"a\": \"é".as_bytes().split_last().unwrap().1), Err(JsonError::Cut));
        assert_eq!(read(b"{\"a\": \"\xff\"}").unwrap_err().to_string(), "invalid character 'ÿ' that is not UTF-8");
        assert_eq!(read_first(r#"{"a":1,"a":2}"#).unwrap().to_string(), r#"{"a":2}"#);
    }

    #[test]
    fn half_a_pair_becomes_the_replacement_character() {
        let read = |text: &str| read_first(text).unwrap().as_str().unwrap().to_owned();
        assert_eq!(read(r#""\ud83d\ude42""#), "🙂");
        assert_eq!(read(r#""\ud83d\u0041\ude42\ud83d""#), "\u{fffd}A\u{fffd}\u{fffd}");
        assert_eq!(read(r#""\ud83d\n\/\u00e9é""#), "\u{fffd}\n/éé");
    }

    #[test]
    fn says_what_is_wrong_in_the_words_of_go() {
        for (text, words) in [
            ("", "EOF"),
            (" \n", "EOF"),
            ("[1,2", "unexpected EOF"),
            ("\"a", "unexpected EOF"),
            ("-", "unexpected EOF"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("{1", "invalid character '1' looking for beginning of object key string"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("{\"a\" 1", "invalid character '1' after object key"),
            ("{\"a\":1 \"", "invalid character '\"' after object key:value pair"),
            ("[01]", "invalid character '1' after array element"),
            ("tree", "invalid character 'e' in literal true (expecting 'u')"),
            ("-a", "invalid character 'a' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1e+'", r"invalid character '\'' in exponent of numeric literal"),
            ("\"\n\"", r"invalid character '\n' in string literal"),
            (r#""\x""#, "invalid character 'x' in string escape code"),
            (r#""\u12g4""#, r"invalid character 'g' in \u hexadecimal character escape"),
            ("ä", "invalid character 'Ã' looking for beginning of value"),
        ] {
            assert_eq!(read_first(text).unwrap_err().to_string(), words, "{text}");
        }
        for text in ["hunter2", "trustno1", "falsify", "-secret", "{\"a\" x", "\"\\x\""] {
            assert_eq!(read_first(text).unwrap_err().without_text(), "invalid character", "{text}");
        }
        assert_eq!(read_first("[").unwrap_err().without_text(), "unexpected EOF");
    }

    #[test]
    fn depth_has_an_end() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read_first(&nested(DEEPEST)).is_ok());
        assert!(read(nested(DEEPEST_OF_VALUES).as_bytes()).is_ok());
        for refused in [read_first(&nested(DEEPEST + 1)), read(nested(DEEPEST_OF_VALUES + 1).as_bytes())] {
            assert_eq!(refused.unwrap_err().to_string(), "invalid character '[' exceeded max depth");
        }
        let refused = read_first(&"[{\"a\":".repeat(100_000)).unwrap_err();
        assert_eq!(refused.to_string(), "invalid character '[' exceeded max depth");
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::Bool),
            any::<i64>().prop_map(|number| Json::Number(number.into())),
            any::<String>().prop_map(Json::String),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Json::Array),
                proptest::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|entries| Json::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_what_serde_json_writes(json in any_json()) {
            prop_assert_eq!(read_first(&json.to_string()), Ok(json.clone()));
            prop_assert_eq!(read_first(&serde_json::to_string_pretty(&json).unwrap()), Ok(json));
        }

        #[test]
        fn takes_and_refuses_what_serde_json_does(text in "[\\[\\]{},:\"0-2.eE+ \\\\-]{0,12}|(true|null|\\[|\\]|,){0,6}") {
            let theirs = serde_json::Deserializer::from_str(&text).into_iter::<Json>().next();
            // It wants a space after a number or a word; we, and Go, take what stands before.
            if let Some(Ok(theirs)) = theirs {
                let ours = read_first(&text).unwrap();
                // serde_json spells exponents anew, at the second reading as well.
                let anew: Json = serde_json::from_str(&ours.to_string()).unwrap();
                prop_assert_eq!(anew, theirs);
            } else if serde_json::from_str::<Json>(&text).is_err() && read_first(&text).is_ok() {
                prop_assert!((1..text.len()).any(|end| serde_json::from_str::<Json>(&text[..end]).is_ok()));
            }
        }
    }
}
