//! The forms in which a value may stand in a text besides as it is: encoded and escaped.
//!
//! Base64 has three faces, depending on how many bytes stand before the value; of each only the characters are
//! taken that the value alone decides.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    Clear,
    /// One line of a value that has several.
    Line,
    Base64,
    Hex,
    Url,
    Json,
    Shell,
    Xml,
    /// Little-endian, as Windows writes it.
    Utf16,
}

impl Form {
    /// The word of reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Line => "line",
            Self::Base64 => "base64",
            Self::Hex => "hex",
            Self::Url => "url",
            Self::Json => "json",
            Self::Shell => "shell",
            Self::Xml => "xml",
            Self::Utf16 => "utf-16",
        }
    }
}

/// What RFC 3986 leaves as it is.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// What JavaScript's `encodeURIComponent` leaves as it is.
const COMPONENT: AsciiSet = UNRESERVED.remove(b'!').remove(b'*').remove(b'\'').remove(b'(').remove(b')');

/// The text in base64 from its first byte on, without padding.
#[must_use]
pub fn base64(text: &str) -> Zeroizing<String> {
    Zeroizing::new(STANDARD_NO_PAD.encode(text))
}

/// The text between the quotes of a JSON string.
#[must_use]
pub fn json(text: &str) -> Zeroizing<String> {
    let quoted = Zeroizing::new(serde_json::Value::from(text).to_string());
    Zeroizing::new(quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned())
}

/// Every other form of the text; forms that equal it or each other are among them.
#[must_use]
pub fn encoded(text: &str) -> Vec<(Form, Zeroizing<Vec<u8>>)> {
    let mut forms = Vec::new();
    let mut add = |form, bytes: Vec<u8>| forms.push((form, Zeroizing::new(bytes)));
    for before in 0..3 {
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            add(Form::Base64, aligned(engine, text.as_bytes(), before));
        }
    }
    add(Form::Hex, hex::encode(text).into_bytes());
    add(Form::Hex, hex::encode_upper(text).into_bytes());
    for set in [&UNRESERVED, &COMPONENT] {
        let upper = utf8_percent_encode(text, set).to_string();
        add(Form::Url, lower_percent(&upper).into_bytes());
        add(Form::Url, upper.replace("%20", "+").into_bytes());
        add(Form::Url, upper.into_bytes());
    }
    let in_json = json(text);
    add(Form::Json, in_json.replace('/', "\\/").into_bytes());
    add(Form::Json, ascii_json(&in_json).into_bytes());
    add(Form::Json, in_json.as_bytes().to_vec());
    let escaped = |needs: &dyn Fn(char) -> bool| {
        let escape = |c: char| if needs(c) { vec!['\\', c] } else { vec![c] };
        text.chars().flat_map(escape).collect::<String>().into_bytes()
    };
    add(Form::Shell, text.replace('\'', "'\\''").into_bytes());
    add(Form::Shell, escaped(&|c| matches!(c, '\\' | '"' | '$' | '`')));
    add(Form::Shell, escaped(&|c| c.is_ascii() && !c.is_ascii_alphanumeric() && !"-_./:=@%+,\n".contains(c)));
    // As docker compose wants it.
    add(Form::Shell, text.replace('$', "$$").into_bytes());
    let xml = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    add(Form::Xml, xml.replace('"', "&quot;").replace('\'', "&#39;").into_bytes());
    add(Form::Xml, xml.replace('"', "&quot;").into_bytes());
    add(Form::Xml, xml.into_bytes());
    add(Form::Utf16, text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    forms
}

/// The characters of the base64 of `before` bytes and the value that depend on the value alone.
fn aligned(engine: &base64::engine::GeneralPurpose, value: &[u8], before: usize) -> Vec<u8> {
    let bytes = Zeroizing::new([&[0; 3][..before], value].concat());
    let text = Zeroizing::new(engine.encode(&bytes[..]));
    let (from, to) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    text.as_bytes().get(from..to).unwrap_or_default().to_vec()
}

/// `%2F` as `%2f`.
fn lower_percent(text: &str) -> String {
    let mut digits = 0;
    let lower = |c: char| {
        if c == '%' {
            digits = 2;
        } else if digits > 0 {
            digits -= 1;
            return c.to_ascii_lowercase();
        }
        c
    };
    text.chars().map(lower).collect()
}

/// With `\u` for what is not ASCII, as Python writes JSON.
fn ascii_json(json: &str) -> String {
    let mut units = [0; 2];
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            out.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn has(text: &str, form: Form, wanted: &str) -> bool {
        encoded(text).iter().any(|(of, bytes)| *of == form && bytes.as_slice() == wanted.as_bytes())
    }

    #[test]
    fn escapes_as_the_usual_writers_do() {
        let value = "a/b \"c\" $d'é&";
        assert!(has(value, Form::Url, "a%2Fb%20%22c%22%20%24d%27%C3%A9%26"));
        assert!(has(value, Form::Url, "a%2fb%20%22c%22%20%24d%27%c3%a9%26"));
        assert!(has(value, Form::Url, "a%2Fb+%22c%22+%24d'%C3%A9%26"));
        assert!(has(value, Form::Json, "a/b \\\"c\\\" $d'é&"));
        assert!(has(value, Form::Json, "a/b \\\"c\\\" $d'\\u00e9&"));
        assert!(has(value, Form::Shell, "a/b \"c\" $d'\\''é&"));
        assert!(has(value, Form::Shell, "a/b \\\"c\\\" \\$d'é&"));
        assert!(has(value, Form::Shell, "a/b\\ \\\"c\\\"\\ \\$d\\'é\\&"));
        assert!(has(value, Form::Shell, "a/b \"c\" $$d'é&"));
        assert!(has(value, Form::Xml, "a/b &quot;c&quot; $d&#39;é&amp;"));
        assert!(has("ab", Form::Hex, "6162") && has("\u{ab}", Form::Hex, "C2AB"));
        assert!(has("ab", Form::Utf16, "a\0b\0"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        #[test]
        fn one_of_the_base64_faces_is_in_every_encoding_of_a_text_that_holds_the_value(
            before in proptest::collection::vec(any::<u8>(), 0..20),
            value in "[ -~é]{8,40}",
            after in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let whole = [before.as_slice(), value.as_bytes(), &after].concat();
            for text in [STANDARD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)] {
                let found = encoded(&value).into_iter().any(|(form, bytes)| {
                    form == Form::Base64 && text.as_bytes().windows(bytes.len()).any(|part| part == bytes.as_slice())
                });
                prop_assert!(found, "{text}");
            }
        }
    }
}
