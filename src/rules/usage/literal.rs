//! Literals beside the name of a secret that look like the secret itself. Only the place is told.

use regex::{Regex, RegexBuilder};

use super::Text;
use crate::base::error::{Place, Problem};
use crate::rules::leaks::strength;
use crate::rules::placeholder;

/// A literal of fewer characters is not taken for a secret.
const SHORTEST: usize = 12;

/// Words that mark a literal as made up.
const MADE_UP: [&str; 9] = ["example", "sample", "dummy", "fake", "mock", "test", "placeholder", "changeme", "xxxx"];

/// Whether a name is one that secrets have.
#[must_use]
pub fn is_secret_like(name: &str) -> bool {
    let words = [
        "AUTH",
        "APIKEY",
        "CREDENTIAL",
        "CREDENTIALS",
        "DSN",
        "KEY",
        "PASS",
        "PASSPHRASE",
        "PASSWD",
        "PASSWORD",
        "PWD",
        "SECRET",
        "TOKEN",
        "WEBHOOK",
    ];
    let name = name.to_ascii_uppercase();
    !name.contains("PUBLIC") && name.split('_').any(|word| words.contains(&word))
}

/// Looks for literals beside certain names.
pub struct Literals(Option<Regex>);

impl Literals {
    /// For the `names` of secrets, in any case.
    #[must_use]
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut names: Vec<String> = names.into_iter().map(regex::escape).collect();
        if names.is_empty() {
            return Self(None);
        }
        // The longest first: a name may begin another.
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let names = names.join("|");
        let pattern = format!(
            r#"\b(?<name>{names})\b["']?\]?\)?\s*(?:[:=]{{1,3}}>?|,|\|\||\?\?)\s*(?:"(?<double>[^"\n]+)"|'(?<single>[^'\n]+)'|(?<bare>[^\s"'`,;(){{}}\[\]<>$]+))"#
        );
        Self(RegexBuilder::new(&pattern).case_insensitive(true).size_limit(64 << 20).build().ok())
    }

    /// The places in a text.
    #[must_use]
    pub fn find(&self, text: &Text<'_>) -> Vec<Problem> {
        let Some(pattern) = &self.0 else { return Vec::new() };
        let mut found = Vec::new();
        for captures in pattern.captures_iter(text.text) {
            let quoted = captures.name("double").or_else(|| captures.name("single"));
            let Some((literal, name)) = quoted.or_else(|| captures.name("bare")).zip(captures.name("name")) else {
                continue;
            };
            // Without quotes, only what is set (`NAME=…`, `NAME: …`) is a literal, and no call or member of something.
            let assigned =
                text.text.get(name.end()..literal.start()).is_some_and(|between| between.contains(['=', ':']));
            let bare =
                quoted.is_none() && (!assigned || literal.as_str().contains('.') && !literal.as_str().contains("://"));
            if !bare && looks_real(literal.as_str()) {
                found.push(problem(name.as_str(), text.place(literal.start())));
            }
        }
        found
    }
}

fn problem(name: &str, place: Place) -> Problem {
    let message = format!("a literal beside `{name}` looks like a secret");
    let hint = "read it from the environment; if it is real and was committed, it is leaked: rotate it";
    Problem::error("hard-coded", message).at(place).hint(hint)
}

/// Whether a literal looks like a secret: made by a machine, or an address with a password in it.
fn looks_real(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let in_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let is_name = text.contains('_') && text.chars().all(in_name);
    let computed = text.contains(['$', '{', '}', '<', '>', '*', '(', ')']);
    let password = || {
        let (_, rest) = text.split_once("://")?;
        let (login, _) = rest.split_once('@')?;
        login.split_once(':').map(|(_, password)| password)
    };
    if text.chars().count() < SHORTEST
        || is_name
        || computed
        || MADE_UP.iter().any(|word| lower.contains(word))
        || placeholder::is_placeholder(text)
    {
        return false;
    }
    match password() {
        Some(password) => strength::weakness(password).is_none(),
        None if text.contains("://") || text.starts_with(['/', '.', '~']) => false,
        None => !text.contains(char::is_whitespace) && strength::is_random(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(text: &str) -> Vec<usize> {
        let literals = Literals::of(["API_KEY", "DB_URL"]);
        literals.find(&Text::new("f", text)).iter().map(|problem| problem.place.as_ref().unwrap().column).collect()
    }

    #[test]
    fn literals_that_look_real_are_found_in_every_usual_spelling() {
        for text in [
            "API_KEY = \"sk-4f9a8b7c6d5e\"",
            "api_key: 'sk-4f9a8b7c6d5e'",
            "API_KEY=sk-4f9a8b7c6d5e",
            "export API_KEY=sk-4f9a8b7c6d5e # x",
            "\"API_KEY\": \"sk-4f9a8b7c6d5e\",",
            "os.getenv(\"API_KEY\", \"sk-4f9a8b7c6d5e\")",
            "os.environ['API_KEY'] = 'sk-4f9a8b7c6d5e'",
            "process.env.API_KEY || 'sk-4f9a8b7c6d5e'",
            "process.env.API_KEY ?? \"sk-4f9a8b7c6d5e\"",
            "API_KEY=AKIA4F9A8B7C6D5E",
            "$config = ['API_KEY' => 'sk-4f9a8b7c6d5e'];",
            "DB_URL=postgres://u:hunter2-hunter2@db/x",
        ] {
            assert_eq!(columns(text).len(), 1, "{text}");
        }
        assert_eq!(columns("é API_KEY=sk-4f9a8b7c6d5e"), [11]);
    }

    #[test]
    fn what_is_no_secret_is_left_alone() {
        for text in [
            "API_KEY = os.environ[\"API_KEY\"]",
            "API_KEY: ${{ secrets.API_KEY }}",
            "- API_KEY=${API_KEY}",
            "API_KEY=your_api_key_here",
            "API_KEY=\"$(cat file-with-4f9a8b7c6d5e)\"",
            "API_KEY = \"test-4f9a8b7c6d5e\"",
            "API_KEY = config.api_key_from_2nd_place1",
            "\"API_KEY\": \"OTHER_API_KEY_2\"",
            "DB_URL=postgres://localhost:5432/database1",
            "DB_URL=postgres://user:password@db/x",
            "the API_KEY is read from production1environment",
            "MY_API_KEY_2=sk-4f9a8b7c6d5e",
        ] {
            assert_eq!(columns(text).len(), 0, "{text}");
        }
    }

    #[test]
    fn names_of_secrets_are_told_from_settings() {
        assert!(["OPENAI_API_KEY", "db_password", "SENTRY_DSN"].iter().all(|name| is_secret_like(name)));
        assert!(!["PORT", "LOG_LEVEL", "KEYBOARD", "STRIPE_PUBLIC_KEY"].iter().any(|name| is_secret_like(name)));
    }
}
