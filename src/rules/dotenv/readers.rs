//! Which readers of dotenv files give a value back from which way of writing it.
//!
//! A model of six programs, checked against the programs themselves by `tests/peers/dotenv` (results in
//! `docs/dotenv-peers.md`).

/// A program that reads dotenv files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reader {
    /// `set -a; source FILE`.
    Bash,
    /// compose-go's parser, which `docker compose` uses.
    Compose,
    /// godotenv, which `gh secret set -f` uses.
    Godotenv,
    /// node's `dotenv` package.
    Node,
    Dotenvy,
    Python,
}

impl Reader {
    pub const ALL: [Self; 6] = [Self::Bash, Self::Compose, Self::Godotenv, Self::Node, Self::Dotenvy, Self::Python];

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Compose => "docker compose",
            Self::Godotenv => "godotenv",
            Self::Node => "node's dotenv",
            Self::Dotenvy => "dotenvy",
            Self::Python => "python-dotenv",
        }
    }
}

/// A way to write a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it stands, without quotes.
    Plain,
    /// Between single quotes, as it stands.
    Single,
    /// Between double quotes; `"`, `\`, `$` and backticks get a `\`.
    Double,
    /// As [`Self::Double`], and a carriage return is `\r`.
    Escaped,
}

impl Form {
    /// In the order of preference.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Single, Self::Double, Self::Escaped];

    /// Appends `value` in this form; only when [`broken`] allows the form at all.
    pub fn write(self, value: &str, to: &mut String) {
        match self {
            Self::Plain => to.push_str(value),
            Self::Single => {
                to.push('\'');
                to.push_str(value);
                to.push('\'');
            }
            Self::Double | Self::Escaped => {
                to.push('"');
                for c in value.chars() {
                    match c {
                        '"' | '\\' | '$' | '`' => to.extend(['\\', c]),
                        '\r' if self == Self::Escaped => to.push_str("\\r"),
                        c => to.push(c),
                    }
                }
                to.push('"');
            }
        }
    }
}

/// The readers that do not give `value` back from `form`; none when the form cannot hold it at all.
#[must_use]
pub fn broken(value: &str, form: Form) -> Option<Vec<Reader>> {
    let possible = match form {
        Form::Plain => !value.is_empty() && value.chars().all(is_plain),
        Form::Single => !value.contains('\''),
        Form::Double => true,
        Form::Escaped => value.contains('\r'),
    };
    possible.then(|| Reader::ALL.into_iter().filter(|reader| breaks(value, form, *reader)).collect())
}

/// A sign that means nothing to any reader, wherever it stands in a value.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@' | '%' | '+' | ',' | '=')
}

fn breaks(value: &str, form: Form, reader: Reader) -> bool {
    let escapes = value.contains(['"', '\\', '$', '`']);
    match (form, reader) {
        (Form::Plain, _) | (Form::Single | Form::Double, Reader::Bash) => false,
        (Form::Single, Reader::Godotenv) => value.ends_with('\\') || value.contains("\r\n"),
        (Form::Single, Reader::Node) => value.ends_with('\\') || value.contains('\r'),
        (Form::Single, Reader::Compose | Reader::Dotenvy) => odd_backslashes_at_end(value),
        (Form::Single, Reader::Python) => {
            value.ends_with('\\') || value.contains("\\\\") || value.contains('\r') || is_interpolated(value)
        }
        (Form::Double | Form::Escaped, Reader::Compose) => value.contains('`'),
        // godotenv takes the last escaped quote for part of the closing one.
        (Form::Double | Form::Escaped, Reader::Godotenv) => {
            value.ends_with(['"', '\\']) || (form == Form::Double && value.contains("\r\n"))
        }
        (Form::Double, Reader::Node) => escapes || value.contains('\r'),
        (Form::Escaped, Reader::Node) => escapes,
        (Form::Double | Form::Escaped, Reader::Python) => {
            value.contains(['$', '`']) || (form == Form::Double && value.contains('\r'))
        }
        (Form::Double, Reader::Dotenvy) => value.contains('`'),
        (Form::Escaped, Reader::Bash | Reader::Dotenvy) => true,
    }
}

/// python-dotenv replaces `${NAME}` and `${NAME:-default}` in every quote style, and offers no escape.
fn is_interpolated(value: &str) -> bool {
    value.split("${").skip(1).any(|behind| behind.contains('}'))
}

/// A search for the end of a value that takes `\'` for no end.
fn odd_backslashes_at_end(value: &str) -> bool {
    (value.len() - value.trim_end_matches('\\').len()) % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken_words(value: &str, form: Form) -> Vec<&'static str> {
        broken(value, form).unwrap().into_iter().map(Reader::word).collect()
    }

    #[test]
    fn what_shells_and_parsers_agree_on_breaks_nobody() {
        for (value, form) in [
            ("sk-abc/+=", Form::Plain),
            ("pa$$word #1 \"x\" `y` \\n é ", Form::Single),
            ("line one\nline two\n", Form::Single),
            ("it's", Form::Double),
        ] {
            assert!(broken_words(value, form).is_empty(), "{value:?} {:?}", broken_words(value, form));
        }
        assert_eq!(broken("", Form::Plain), None);
        assert_eq!(broken("it's", Form::Single), None);
    }

    #[test]
    fn names_who_breaks() {
        assert_eq!(broken_words("it's $5", Form::Double), ["node's dotenv", "python-dotenv"]);
        assert_eq!(broken_words("${HOME}", Form::Single), ["python-dotenv"]);
        assert_eq!(broken_words("a\rb", Form::Escaped), ["bash", "dotenvy"]);
    }
}
