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
            line(&format!("{}={}", mapping.target_name, placeholder_of(&mapping.target_name)));
        }
        if open {
            line("# No names are listed: every value of this group is delivered.");
        }
    }
    text
}

/// `your_openai_api_key_here`, as the guide writes it.
fn placeholder_of(target_name: &str) -> String {
    format!("your_{}_here", target_name.to_ascii_lowercase())
}

/// A template with one name more: at the end of the block under its group's heading, else at the end. None when
/// it has the name already. Everything else stays as it is.
#[must_use]
pub fn with_name(text: &str, name: &str, description: &str, group: &str) -> Option<String> {
    let is_name = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("export ").unwrap_or(line);
        line.split_once('=').is_some_and(|(key, _)| naming::fold(key.trim()) == naming::fold(name))
    };
    let lines: Vec<&str> = text.lines().collect();
    if lines.iter().any(|line| is_name(line)) {
        return None;
    }
    let mut added = Vec::new();
    comment(description, &mut |part: &str| added.push(part.to_owned()));
    added.push(format!("{name}={}", placeholder_of(name)));
    let is_heading = |line: &&str| {
        let title = line.strip_prefix('#').map(|title| title.split_once(':').map_or(title, |(title, _)| title));
        title.is_some_and(|title| letters(title) == letters(group))
    };
    let at = match lines.iter().position(is_heading) {
        Some(heading) => {
            let block = lines.iter().skip(heading).take_while(|line| !line.trim().is_empty());
            heading + block.count()
        }
        None => {
            let heading = [format!("# {group}")].into_iter();
            let blank = (!text.trim().is_empty()).then(String::new);
            added = blank.into_iter().chain(heading).chain(added).collect();
            lines.len()
        }
    };
    let (before, after) = lines.split_at(at);
    let line_break = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let all = before.iter().copied().chain(added.iter().map(String::as_str)).chain(after.iter().copied());
    Some(all.map(|line| format!("{line}{line_break}")).collect())
}

/// The letters and digits of a heading, so that `# API Keys` is that of `api-keys`.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
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
            let hint = format!("add the line `{}={}`", mapping.target_name, placeholder_of(&mapping.target_name));
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
    fn a_name_is_put_under_its_groups_heading_and_nothing_else_changes() {
        let guide = "# API Keys\nOPENAI_API_KEY=your_openai_api_key_here\n\n# Database Credentials\nREDIS=x # y\n";
        assert_eq!(
            with_name(guide, "NEW_API_KEY", "Of a new service", "api-keys").unwrap(),
            "# API Keys\nOPENAI_API_KEY=your_openai_api_key_here\n# Of a new service\nNEW_API_KEY=your_new_api_key_here\n\n\
             # Database Credentials\nREDIS=x # y\n"
        );
        let elsewhere = with_name(guide, "TOKEN", "", "security-tokens").unwrap();
        assert_eq!(elsewhere, format!("{guide}\n# security-tokens\nTOKEN=your_token_here\n"));
        assert_eq!(with_name("A=1\r\n", "B", "", "g").unwrap(), "A=1\r\n\r\n# g\r\nB=your_b_here\r\n");
        assert_eq!(with_name("", "B", "", "g").unwrap(), "# g\nB=your_b_here\n");
        for there in ["export  TOKEN=1\n", "token = x\n"] {
            assert_eq!(with_name(there, "TOKEN", "", "g"), None, "{there}");
        }
        let rendered = render(&definition(TWO_GROUPS));
        let added = with_name(&rendered, "X_KEY", "", "keys").unwrap();
        assert!(added.contains("LOG_LEVEL=your_log_level_here\nX_KEY=your_x_key_here\n\n# other\n"), "{added}");
    }

    #[test]
    fn a_group_without_names_may_have_any() {
        let open = definition("name: n\norganization: o\nenvironments: [{name: a}]\nsecretGroups: [{name: g}]\n");
        assert_eq!(check(&open, "e", b"ANY=your_any_here\n"), []);
        assert_eq!(check(&open, "e", b"ANY=s3cr3t-value\n")[0].code, "template-value");
        assert_eq!(check(&open, "e", b"\xff\n")[0].code, "dotenv-encoding");
    }
}
