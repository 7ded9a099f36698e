//! GitHub's rules for names of secrets, variables, organizations and repository patterns (github-api.md §2).

/// The rule of GitHub that a name of a secret or variable breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    #[error("a name must not be empty")]
    Empty,
    #[error("a name must not start with a digit")]
    StartsWithDigit,
    #[error("names that start with `GITHUB_` belong to GitHub")]
    Reserved,
    #[error("a name holds only letters A-Z, digits and `_`")]
    Character,
    #[error("a name of more than {LONGEST} characters is refused")]
    TooLong,
}

/// GitHub documents no maximum; longer names than this are mistakes.
pub const LONGEST: usize = 255;

/// Checks the name of a secret or variable.
///
/// # Errors
/// The first rule that `name` breaks.
pub fn check(name: &str) -> Result<(), BadName> {
    if name.is_empty() {
        return Err(BadName::Empty);
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(BadName::Character);
    }
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(BadName::StartsWithDigit);
    }
    if fold(name).starts_with("GITHUB_") {
        return Err(BadName::Reserved);
    }
    if name.len() > LONGEST {
        return Err(BadName::TooLong);
    }
    Ok(())
}

/// The form in which names are compared: GitHub stores secret names in upper case and looks variables up
/// without case.
#[must_use]
pub fn fold(name: &str) -> String {
    name.to_ascii_uppercase()
}

/// The nearest name that GitHub takes: upper case, `_` for what it refuses, `_` before a digit. None when
/// nothing sensible is left.
#[must_use]
pub fn suggestion(name: &str) -> Option<String> {
    let mut valid: String =
        fold(name).chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(LONGEST).collect();
    if valid.starts_with(|first: char| first.is_ascii_digit()) {
        valid.insert(0, '_');
    }
    if let Some(rest) = valid.strip_prefix("GITHUB_") {
        valid = format!("GH_{rest}");
    }
    (valid.chars().any(|c| c != '_') && check(&valid).is_ok()).then_some(valid)
}

/// Whether `login` can be the name of an organization or user: letters, digits, `-` and, for managed users,
/// `_`; at most 39 characters, not starting with `-`.
#[must_use]
pub fn is_login(login: &str) -> bool {
    !login.is_empty()
        && login.len() <= 39
        && !login.starts_with('-')
        && login.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Whether `pattern` is made of what repository names hold, `*` and `?`.
#[must_use]
pub fn is_pattern(pattern: &str) -> bool {
    !pattern.is_empty()
        && pattern.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'*' | b'?'))
}

/// Whether a repository's `name` (without owner) matches `pattern`: `*` is any text, `?` one character;
/// without case, as GitHub compares names.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let expression = regex::escape(pattern).replace(r"\*", ".*").replace(r"\?", ".");
    regex::RegexBuilder::new(&format!("^(?:{expression})$"))
        .case_insensitive(true)
        .build()
        .is_ok_and(|expression| expression.is_match(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tells_which_rule_is_broken() {
        for (name, broken) in [
            ("", BadName::Empty),
            ("9LIVES", BadName::StartsWithDigit),
            ("GITHUB_TOKEN", BadName::Reserved),
            ("github_x", BadName::Reserved),
            ("A-B", BadName::Character),
            ("A B", BadName::Character),
            ("Ä", BadName::Character),
            ("A\n", BadName::Character),
        ] {
            assert_eq!(check(name), Err(broken), "{name:?}");
        }
        assert_eq!(check(&"A".repeat(256)), Err(BadName::TooLong));
        for name in ["OPENAI_API_KEY", "_", "a1", "GITHUB", "MY_GITHUB_TOKEN"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn patterns_match_whole_names_without_case() {
        assert!(matches("sophia-*", "Sophia-api"));
        assert!(matches("*", ""));
        assert!(matches("s?.x", "sa.x"));
        assert!(!matches("s?.x", "saax"));
        assert!(!matches("sophia", "sophia-api"));
    }

    proptest! {
        #[test]
        fn a_suggestion_is_always_a_valid_name(name in ".{0,40}") {
            if let Some(valid) = suggestion(&name) {
                prop_assert_eq!(check(&valid), Ok(()));
            }
        }

        #[test]
        fn folding_keeps_validity(name in "[A-Za-z0-9_]{0,12}") {
            prop_assert_eq!(check(&name), check(&fold(&name)));
        }
    }
}
