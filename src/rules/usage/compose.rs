//! Files of docker compose: which names are put in, and which of them have a default.

use std::sync::LazyLock;

use regex::Regex;

use super::{FileKind, How, Reading, Text};
use crate::base::yaml::{self, Content, Node};

/// `$NAME`, `${NAME}`, `${NAME:-default}`; `$$` is a dollar sign.
#[expect(clippy::expect_used, reason = "the pattern is a constant")]
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\$(?:\$|\{(?<braced>[A-Za-z_][A-Za-z0-9_]*)(?<then>:?[-?+])?|(?<bare>[A-Za-z_][A-Za-z0-9_]*))")
        .expect("a pattern")
});

/// Reads a compose file.
///
/// # Errors
/// A sentence, when it is not YAML.
pub fn read(text: &Text<'_>) -> Result<Reading, String> {
    let mut reading = Reading::default();
    let root =
        yaml::parse_without_aliases(text.text).map_err(|error| format!("line {}: {error}", error.mark.line()))?;
    let Some(root) = root else { return Ok(reading) };
    interpolations(text, &root, &mut reading);
    for service in values(root.get("services")) {
        for (at, name, value) in settings(service.get("environment")) {
            // `- NAME` and `NAME:` pass on what compose itself is given.
            if value.is_none() {
                reading.uses.push(text.used(name, at, FileKind::Compose, How::Compose { default: false }));
            }
        }
        for (at, name, _) in settings(service.get("build").and_then(|build| build.get("args"))) {
            reading.uses.push(text.used(name, at, FileKind::Compose, How::Image));
        }
        for file in env_files(service.get("env_file")) {
            if let Some(path) = file.scalar() {
                reading.env_files.push((path.to_owned(), text.place(file.span.start.byte())));
            }
        }
    }
    for secret in values(root.get("secrets")) {
        if let Some(node) = secret.get("environment")
            && let Some(name) = node.scalar()
        {
            let how = How::Compose { default: false };
            reading.uses.push(text.used(name, node.span.start.byte(), FileKind::Compose, how));
        }
    }
    Ok(reading)
}

fn interpolations(text: &Text<'_>, node: &Node, reading: &mut Reading) {
    match &node.content {
        Content::Mapping(entries) => entries.iter().for_each(|(_, value)| interpolations(text, value, reading)),
        Content::Sequence(items) => items.iter().for_each(|item| interpolations(text, item, reading)),
        Content::Scalar { .. } => {
            let start = node.span.start.byte();
            let raw = text.text.get(start..node.span.end.byte()).unwrap_or_default();
            for found in VARIABLE.captures_iter(raw) {
                let Some(name) = found.name("braced").or_else(|| found.name("bare")) else { continue };
                let default = found.name("then").is_some_and(|then| then.as_str().ends_with('-'));
                let how = How::Compose { default };
                reading.uses.push(text.used(name.as_str(), start + name.start(), FileKind::Compose, how));
            }
        }
    }
}

fn values(node: Option<&Node>) -> impl Iterator<Item = &Node> {
    let entries = match node.map(|node| &node.content) {
        Some(Content::Mapping(entries)) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().map(|(_, value)| value)
}

/// Of a list of `NAME=value` or a mapping: where each name stands, the name, and its value if it has one.
fn settings(node: Option<&Node>) -> Vec<(usize, &str, Option<&str>)> {
    match node.map(|node| &node.content) {
        Some(Content::Mapping(entries)) => entries
            .iter()
            .filter_map(|(key, value)| {
                let text = value.scalar().filter(|text| !text.is_empty() && *text != "null" && *text != "~");
                Some((key.span.start.byte(), key.scalar()?, text))
            })
            .collect(),
        Some(Content::Sequence(items)) => items
            .iter()
            .filter_map(|item| {
                let text = item.scalar()?;
                let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
                Some((item.span.start.byte(), name, value))
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// A path, a list of paths, or a list of `{ path: … }`.
fn env_files(node: Option<&Node>) -> Vec<&Node> {
    match node.map(|node| (node, &node.content)) {
        Some((_, Content::Sequence(items))) => items.iter().map(|item| item.get("path").unwrap_or(item)).collect(),
        Some((node, Content::Scalar { .. })) => vec![node],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_wherever_compose_puts_them_in() {
        let file = "\
x-common: &common
  environment: { SHARED: '${SHARED_KEY}' }
services:
  api:
    <<: *common
    image: api:$TAG
    env_file: [.env, { path: more.env }]
    environment:
      - A=${A}
      - URL=postgres://u:${PASSWORD:-postgres}@db/$$x   # not ${COMMENT}
      - PASSED
      - LITERAL=x
    build: { args: [BUILD_KEY] }
  web:
    environment:
      B: ${B:?must be set}
      C:
secrets:
  key: { environment: MOUNTED }
";
        let reading = read(&Text::new("c.yml", file)).unwrap();
        let mut uses: Vec<(usize, &str, &How)> =
            reading.uses.iter().map(|used| (used.place.line, used.name.as_str(), &used.how)).collect();
        uses.sort_by_key(|(line, ..)| *line);
        let (plain, default) = (How::Compose { default: false }, How::Compose { default: true });
        assert_eq!(
            uses,
            [
                (2, "SHARED_KEY", &plain),
                (6, "TAG", &plain),
                (9, "A", &plain),
                (10, "PASSWORD", &default),
                (11, "PASSED", &plain),
                (13, "BUILD_KEY", &How::Image),
                (16, "B", &plain),
                (17, "C", &plain),
                (19, "MOUNTED", &plain),
            ]
        );
        let files: Vec<&str> = reading.env_files.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(files, [".env", "more.env"]);
        assert_eq!(reading.uses.iter().find(|used| used.name == "PASSWORD").unwrap().place.column, 28);
    }
}
