//! Whether a value only holds a secret's place, as in `env.example`.

use crate::base::secret::SecretValue;

/// Whether `text` is one of the usual placeholders: `your_…_here`, `changeme`, `xxx`, `<…>`, `TODO`, and
/// spellings of these. Real values are not taken for one: the whole text must be the placeholder.
#[must_use]
pub fn is_placeholder(text: &str) -> bool {
    let text = text.trim().trim_matches(['"', '\'']);
    if text.is_empty() || text.len() > 120 || text.contains('\n') {
        return false;
    }
    let wrapped = [("<", ">"), ("{{", "}}"), ("[", "]"), ("__", "__"), ("%", "%")];
    if wrapped.iter().any(|(open, close)| {
        text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)).is_some_and(|inner| {
            !inner.is_empty() && inner.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, ' ' | '_' | '-' | '.'))
        })
    }) {
        return true;
    }
    let plain: String =
        text.to_ascii_lowercase().chars().map(|c| if matches!(c, '-' | ' ' | '.') { '_' } else { c }).collect();
    let words: Vec<&str> = plain.split('_').filter(|word| !word.is_empty()).collect();
    let joined = words.concat();
    if joined.is_empty() {
        return plain.chars().all(|c| c == '_');
    }
    let repeated = |sign: char| joined.len() >= 3 && joined.chars().all(|c| c == sign);
    repeated('x')
        || repeated('*')
        || repeated('?')
        || (words.len() > 1
            && matches!(words.first(), Some(&("your" | "my" | "insert" | "put" | "enter" | "add" | "paste")))
            && matches!(words.last(), Some(&"here")))
        || (words.len() > 1
            && words.first() == Some(&"your")
            && matches!(words.last(), Some(&("key" | "token" | "secret" | "password"))))
        || matches!(
            joined.as_str(),
            "changeme"
                | "changeit"
                | "changethis"
                | "replaceme"
                | "replacethis"
                | "fillme"
                | "fillin"
                | "placeholder"
                | "todo"
                | "fixme"
                | "tbd"
                | "setme"
                | "yourvaluehere"
                | "notset"
                | "unset"
        )
}

/// The same of a secret's bytes.
#[must_use]
pub fn is_placeholder_value(value: &SecretValue) -> bool {
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(value.len()));
    value.len() <= 120
        && value.write_plaintext(&mut *bytes).is_ok()
        && std::str::from_utf8(&bytes).is_ok_and(is_placeholder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_usual_placeholders() {
        for text in [
            "your_openai_api_key_here",
            "your-key-here",
            "YOUR_TOKEN_HERE",
            "changeme",
            "CHANGE_ME",
            "change-me",
            "xxx",
            "XXXXXXXX",
            "xxxx-xxxx",
            "<token>",
            "<your api key>",
            "{{ token }}",
            "TODO",
            "FIXME",
            "tbd",
            "replace_me",
            "placeholder",
            "***",
            "your_password",
            "__TOKEN__",
            "...",
        ] {
            assert!(is_placeholder(text), "{text}");
        }
    }

    #[test]
    fn takes_no_real_value_for_one() {
        for text in [
            "",
            "sk-proj-abc123",
            "hunter2",
            "xx",
            "<html><b>1</b></html>",
            "your",
            "here",
            "{\"a\": 1}",
            "[1]",
            "changeme123",
            "postgresql://u:changeme@h/db",
            "todo-list-service-key-9",
            "-----BEGIN\nx",
            "xxxy",
        ] {
            assert!(!is_placeholder(text), "{text}");
        }
        assert!(is_placeholder_value(&SecretValue::from("changeme".to_owned())));
        assert!(!is_placeholder_value(&SecretValue::new(vec![0xff, 0xfe])));
    }
}
