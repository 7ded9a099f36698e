//! `--expand`: earlier values of the same file in place of `$NAME` and `${NAME}`.
//!
//! The process environment is never asked, and a name that the file does not give is an error: readers that put
//! nothing in its place are how `pa$$word` becomes `pa`.

use zeroize::Zeroizing;

use crate::base::error::Problem;

/// Stands for a `$` that was escaped, until [`unmark`]: NUL, which no dotenv file may hold.
pub const LITERAL_DOLLAR: char = '\0';

/// The text with its escaped dollars as dollars.
#[must_use]
pub fn unmark(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.replace(LITERAL_DOLLAR, "$"))
}

/// Puts `value_of(NAME)` in place of each `$NAME` and `${NAME}`. A `$` before anything else stands for itself.
///
/// # Errors
/// `dotenv-unknown-variable` for a name without a value, `dotenv-expansion` for `${` in another form.
pub fn expand<'v>(text: &str, value_of: impl Fn(&str) -> Option<&'v str>) -> Result<Zeroizing<String>, Problem> {
    let mut expanded = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        expanded.push_str(before);
        let (name, after) = if let Some(braced) = behind.strip_prefix('{') {
            let name_end = braced.find('}').filter(|end| braced.get(..*end).is_some_and(super::is_shell_name));
            let Some(end) = name_end else {
                let problem = Problem::error("dotenv-expansion", "`${` is followed by something else than NAME}");
                return Err(problem.hint("write \\$ in double quotes, or use single quotes, for a literal `$`"));
            };
            (braced.get(..end).unwrap_or_default(), braced.get(end + 1..).unwrap_or_default())
        } else {
            let length = behind.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
            let name = behind.get(..length).filter(|name| super::is_shell_name(name)).unwrap_or_default();
            (name, behind.get(name.len()..).unwrap_or_default())
        };
        if name.is_empty() {
            expanded.push('$');
        } else if let Some(value) = value_of(name) {
            expanded.push_str(value);
        } else {
            let problem =
                Problem::error("dotenv-unknown-variable", "the value names a variable that no line above gives");
            return Err(problem.hint("give it above, use single quotes, or leave --expand away"));
        }
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}
