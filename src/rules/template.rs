//! `env.example`: the names that a `.env` file needs, with a placeholder instead of every value.

use std::collections::{BTreeMap, BTreeSet};

use super::definition::{Definition, Mapping};
use super::dotenv;
use super::naming;
use super::placeholder;
use crate::base::error::{Place, Problem};
use crate::base::target::EntryKind;

/// The text of `env.example`: groups as headings, descriptions as comments, in the definition's order. A name
/// that two groups deliver stands under the first of them.
#[must_use]
pub fn render(definition: &Definition) -> String {
    let mut text = String::new();
    let mut line = |content: &str| {
        text.push_str(content.trim_end());
        text.push('\n');
    };
    if !definition.description.is_empty() {
        comment(&definition.description, &mut line);
    }
    line("# Copy this file to .env and fill in the values. Never commit the copy.");
    let mut seen = BTreeMap::new();
    for group in &definition.groups {
        line("");
        let separator = if group.description.is_empty() { "" } else { ": " };
        comment(&format!("{}{separator}{}", group.name, group.description), &mut line);
        let mut open = true;
        for mapping in definition.mappings_of(&group.name) {
            open = false;
            if let Some(first) = seen.get(&naming::fold(&mapping.target_name)) {
                line(&format!("# {}: see {first}", mapping.target_name));
                continue;
            }
            seen.insert(naming::fold(&mapping.target_name), &group.name);
            let optional = if mapping.required { "" } else { " (optional)" };
            let about = format!("{}{optional}", mapping.description).trim_start().to_owned();
            if !about.is_empty() {
                comment(&about, &mut line);
            }
            line(&format!("{}={}", mapping.target_name, placeholder_of(mapping)));
        }
        if open {
            line("# No names are listed: every value of this group is delivered.");
        }
    }
    text
}

/// `your_openai_api_key_here`, as the guide writes it.
fn placeholder_of(mapping: &Mapping) -> String {
    format!("your_{}_here", mapping.target_name.to_ascii_lowercase())
}

fn comment(text: &str, line: &mut impl FnMut(&str)) {
    for part in text.lines() {
        line(&format!("# {part}"));
    }
}

/// What is wrong with an `env.example`; the order of its lines is not. Codes: `template-missing`,
/// `template-extra`, `template-value` (a value that is no placeholder: a leak), and those of [`dotenv::parse`].
///
/// Names that the definition does not list are fine while one of its groups lists none, because they may
/// belong to it.
#[must_use]
pub fn check(definition: &Definition, file: &str, bytes: &[u8]) -> Vec<Problem> {
    let options = dotenv::Options { file, expand: false, strict: false };
    let parsed = match dotenv::parse(bytes, options) {
        Ok(parsed) => parsed,
        Err(problems) => return problems,
    };
    let named: BTreeMap<String, &Mapping> =
        definition.mappings.iter().map(|mapping| (naming::fold(&mapping.target_name), mapping)).collect();
    let open = definition.groups.iter().any(|group| definition.mappings_of(&group.name).next().is_none());
    let at = |line| Place { file: file.to_owned(), line, column: 1 };
    let mut problems = Vec::new();
    let mut present = BTreeSet::new();
    for entry in &parsed.entries {
        let mapping = named.get(&naming::fold(&entry.name));
        present.insert(naming::fold(&entry.name));
        if mapping.is_none() && !open {
            let problem =
                Problem::error("template-extra", format!("the definition delivers no {}", shown(&entry.name)));
            problems.push(problem.at(at(entry.line)).hint("add a mapping for it, or remove the line"));
        }
        let plain = mapping.is_some_and(|mapping| mapping.kind == EntryKind::Variable);
        if !plain && !entry.value.is_empty() && !placeholder::is_placeholder_value(&entry.value) {
            let message = format!("{} seems to hold a real value", shown(&entry.name));
            let hint = "replace it with a placeholder; if it was committed, treat the secret as leaked and rotate it";
            problems.push(Problem::error("template-value", message).at(at(entry.line)).hint(hint));
        }
    }
    for (folded, mapping) in named {
        if !present.contains(&folded) {
            let message = format!("`{}` of group `{}` is missing", mapping.target_name, mapping.group);
            let hint = format!("add the line `{}={}`", mapping.target_name, placeholder_of(mapping));
            problems.push(Problem::error("template-missing", message).at(at(1)).hint(hint));
        }
    }
    problems.sort_by(|left, right| left.place.cmp(&right.place));
    problems
}

/// A name for a message. In a file that lost its quotes, a line of a private key looks like a name: only what
/// is written like a variable is shown.
fn shown(name: &str) -> String {
    if name == naming::fold(name) && naming::check(name).is_ok() {
        format!("`{name}`")
    } else {
        "the name on this line".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::config;

    fn definition(text: &str) -> Definition {
        config::load("d.yaml", text).unwrap().definition
    }

    const TWO_GROUPS: &str = "\
name: n
description: |
  First line.
  Second line.
organization: o
environments: [{name: a}]
secretGroups: [{name: keys, description: Keys of services}, {name: other}]
secretMappings:
  - {name: OPENAI_API_KEY, description: OpenAI API key, secretGroup: keys}
  - {name: level, environmentVariableName: LOG_LEVEL, secretGroup: keys, kind: variable, required: false}
  - {name: openai_api_key, secretGroup: other}
";

    #[test]
    fn writes_groups_descriptions_and_placeholders() {
        let expected = "\
# First line.
# Second line.
# Copy this file to .env and fill in the values. Never commit the copy.

# keys: Keys of services
# OpenAI API key
OPENAI_API_KEY=your_openai_api_key_here
# (optional)
LOG_LEVEL=your_log_level_here

# other
# openai_api_key: see keys
";
        assert_eq!(render(&definition(TWO_GROUPS)), expected);
    }

    #[test]
    fn what_is_written_passes_the_check_in_any_order() {
        for text in [TWO_GROUPS, include_str!("../../tests/data/predecessor.yaml")] {
            let definition = definition(text);
            let template = render(&definition);
            assert_eq!(check(&definition, "env.example", template.as_bytes()), []);
            let backwards: String = template.lines().rev().map(|line| format!("{line}\n")).collect();
            assert_eq!(check(&definition, "env.example", backwards.as_bytes()), []);
        }
    }

    #[test]
    fn finds_missing_extra_and_real_values_and_shows_none() {
        let example = "LOG_LEVEL=debug\nNEW=\nOLD='sk-live-4f9a8b'\n";
        let problems = check(&definition(TWO_GROUPS), "env.example", example.as_bytes());
        let found: Vec<(&str, usize)> =
            problems.iter().map(|problem| (problem.code, problem.place.as_ref().unwrap().line)).collect();
        let expected = [("template-missing", 1), ("template-extra", 2), ("template-extra", 3), ("template-value", 3)];
        assert_eq!(found, expected);
        assert!(!format!("{problems:?}").contains("sk-live"));
    }

    #[test]
    fn a_group_without_names_may_have_any() {
        let open = definition("name: n\norganization: o\nenvironments: [{name: a}]\nsecretGroups: [{name: g}]\n");
        assert_eq!(check(&open, "e", b"ANY=your_any_here\n"), []);
        assert_eq!(check(&open, "e", b"ANY=s3cr3t-value\n")[0].code, "template-value");
        assert_eq!(check(&open, "e", b"\xff\n")[0].code, "dotenv-encoding");
    }
}
