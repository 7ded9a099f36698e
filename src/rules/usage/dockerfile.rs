//! Dockerfiles: what stays in the image, and what a build is only lent.

use std::sync::LazyLock;

use regex::Regex;

use super::{FileKind, How, Reading, Text};

/// `--mount=type=secret,id=NAME,env=NAME`.
#[expect(clippy::expect_used, reason = "the pattern is a constant")]
static MOUNT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"--mount=type=secret,(?<options>[^\s]+)").expect("a pattern"));

/// Reads a Dockerfile, line by line; a line that ends in `\` goes on in the next.
#[must_use]
pub fn read(text: &Text<'_>) -> Reading {
    let mut reading = Reading::default();
    let (mut at, mut naming) = (0, false);
    for line in text.text.split_inclusive('\n') {
        let (start, content) = (at, line.trim());
        at += line.len();
        if content.starts_with('#') {
            continue;
        }
        let mut words = Words { line, at: 0 };
        let first = if naming { None } else { words.next().map(|(_, word)| word.to_ascii_uppercase()) };
        if naming || matches!(first.as_deref(), Some("ARG" | "ENV")) {
            let found: Vec<(usize, &str)> = words.filter(|(_, word)| *word != "\\").collect();
            // `ENV NAME value`, the old way, has one name.
            let old = first.is_some()
                && found.first().is_some_and(|(_, word)| !word.contains('='))
                && first.as_deref() == Some("ENV");
            for (offset, word) in found.into_iter().take(if old { 1 } else { usize::MAX }) {
                let name = word.split('=').next().unwrap_or(word);
                if crate::rules::dotenv::is_shell_name(name) {
                    reading.uses.push(text.used(name, start + offset, FileKind::Dockerfile, How::Image));
                }
            }
            naming = content.ends_with('\\');
        }
        for mount in MOUNT.captures_iter(line) {
            let Some(options) = mount.name("options") else { continue };
            let named = |option: &str, key: &str| option.strip_prefix(key).map(str::to_owned);
            let mut names: Vec<String> = options
                .as_str()
                .split(',')
                .filter_map(|option| named(option, "id=").or_else(|| named(option, "env=")))
                .collect();
            names.sort();
            names.dedup();
            for name in names {
                reading.uses.push(text.used(&name, start + options.start(), FileKind::Dockerfile, How::Mount));
            }
        }
    }
    reading
}

/// The words of a line with where each begins; quotes group.
struct Words<'l> {
    line: &'l str,
    at: usize,
}

impl<'l> Iterator for Words<'l> {
    type Item = (usize, &'l str);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.line.get(self.at..)?;
        let start = self.at + rest.find(|c: char| !c.is_whitespace())?;
        let mut quote = None;
        let rest = self.line.get(start..)?;
        let end = rest.find(|c: char| {
            match quote {
                Some(open) if c == open => quote = None,
                None if matches!(c, '"' | '\'') => quote = Some(c),
                _ => {}
            }
            quote.is_none() && c.is_whitespace()
        });
        let word = rest.get(..end.unwrap_or(rest.len()))?;
        self.at = start + word.len();
        Some((start, word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_in_the_image_is_told_from_what_is_mounted() {
        let file = "\
FROM x
# ARG COMMENTED
ARG A_KEY
env B=1 C=\"two words\" \\
    D=4
ENV OLD some value
RUN --mount=type=secret,id=E_KEY,env=E_KEY F=1 make
";
        let reading = read(&Text::new("Dockerfile", file));
        let uses: Vec<(usize, usize, &str, &How)> = reading
            .uses
            .iter()
            .map(|used| (used.place.line, used.place.column, used.name.as_str(), &used.how))
            .collect();
        assert_eq!(
            uses,
            [
                (3, 5, "A_KEY", &How::Image),
                (4, 5, "B", &How::Image),
                (4, 9, "C", &How::Image),
                (5, 5, "D", &How::Image),
                (6, 5, "OLD", &How::Image),
                (7, 25, "E_KEY", &How::Mount),
            ]
        );
    }
}
