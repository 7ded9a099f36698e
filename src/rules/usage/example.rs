//! Examples of dotenv files: `env.example` and its like.

use super::{FileKind, How, Reading, Text};
use crate::base::error::{Place, Problem};
use crate::rules::dotenv;
use crate::rules::placeholder;

/// Whether a file of that name (in lower case) is an example of a dotenv file.
#[must_use]
pub fn is_example(name: &str) -> bool {
    let part = |part: &str| matches!(part, "example" | "sample" | "template" | "dist");
    let parts: Vec<&str> = name.trim_start_matches('.').split('.').collect();
    parts.contains(&"env") && parts.iter().any(|word| part(word))
}

/// Reads an example. Values that are no placeholders are found by `template check` for the definition's own one, and
/// here for every other.
///
/// # Errors
/// A sentence, when it is no dotenv file.
pub fn read(text: &Text<'_>) -> Result<Reading, String> {
    let options = dotenv::Options { file: text.file, expand: false, strict: false };
    let parsed = dotenv::parse(text.text.as_bytes(), options).map_err(|problems| {
        let first = problems.first();
        let line = first.and_then(|problem| problem.place.as_ref()).map_or(1, |place| place.line);
        format!("line {line}: {}", first.map_or("it is no dotenv file", |problem| problem.message.as_str()))
    })?;
    let mut reading = Reading::default();
    for entry in parsed.entries {
        let place = Place { file: text.file.to_owned(), line: entry.line, column: 1 };
        if !entry.value.is_empty()
            && !placeholder::is_placeholder_value(&entry.value)
            && super::literal::is_secret_like(&entry.name)
        {
            reading.problems.push(
                Problem::error("hard-coded", format!("`{}` seems to hold a real value", entry.name))
                    .at(place.clone())
                    .hint("replace it with a placeholder; what was committed is leaked: rotate it"),
            );
        }
        reading.uses.push(super::Use { name: entry.name, file: FileKind::Example, how: How::Example, place });
    }
    Ok(reading)
}
