//! `add`: one name more, in the definition and in `env.example`.
//!
//! **A group without mappings stays without them**: it delivers every value that ESC holds under it, and a first
//! mapping would take all the others away.

use super::definition::{Definition, Environment as Stack, Mapping};
use super::{config, naming, nearest, template};
use crate::base::error::{Failure, Outcome, Problem};
use crate::base::target::EntryKind;
use crate::base::yaml::{Content, Node, Style};
use crate::esc::{edit, emit};

/// What is to be added. What was not asked for does not matter when the mapping is there already.
#[derive(Debug, Clone, Default)]
pub struct Addition {
    pub name: String,
    pub group: String,
    pub description: Option<String>,
    /// ESC property path.
    pub path: Option<String>,
    pub kind: Option<EntryKind>,
    pub optional: bool,
    /// Length of a value that this tool may make.
    pub generate: Option<usize>,
}

/// What becomes of the definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapped {
    Added,
    /// It has the very mapping.
    Present,
    /// The group delivers every name.
    Open,
}

/// A definition and its text, with the name.
#[derive(Debug, Clone)]
pub struct Added {
    pub definition: Definition,
    /// None when the text stays as it is.
    pub text: Option<String>,
    pub mapped: Mapped,
}

impl Addition {
    /// Checks what needs no definition text: the group and the name.
    ///
    /// # Errors
    /// `group-unknown` (usage) with the nearest known one, `add-name` (usage), `add-open-group` (refused).
    pub fn check(&self, definition: &Definition, stack: &Stack) -> Outcome<()> {
        let known: Vec<&str> = definition.groups_of(&stack.name).map(|group| group.name.as_str()).collect();
        if !known.contains(&self.group.as_str()) {
            let message = format!("stack `{}` has no secret group `{}`", stack.name, self.group);
            return Err(Failure::usage("group-unknown", message).hint(nearest::hint(&self.group, &known)));
        }
        if let Err(error) = naming::check(&self.name) {
            let failure = Failure::usage("add-name", format!("`{}` cannot be a name at GitHub", self.name));
            let suggestion = naming::suggestion(&self.name).map(|name| format!("`{name}` could be one"));
            let failure = failure.cause(error);
            return Err(match suggestion {
                Some(suggestion) => failure.hint(suggestion),
                None => failure,
            });
        }
        let asks = self.path.is_some() || self.kind.is_some() || self.optional || self.generate.is_some();
        if asks && self.is_open(definition) {
            let message = format!(
                "group `{}` has no mappings and delivers all that ESC holds; one mapping would take the others away",
                self.group
            );
            return Err(Failure::refused("add-open-group", message)
                .hint("leave out --path, --kind, --optional and --generate, or map every name of the group first"));
        }
        Ok(())
    }

    fn is_open(&self, definition: &Definition) -> bool {
        definition.mappings_of(&self.group).next().is_none()
    }

    /// Adds the mapping to `text`, the text of `definition`; comments and layout stay.
    ///
    /// # Errors
    /// `add-differs` (refused) when the name has another mapping; `add-edit` (refused) when the layout does not allow
    /// it; every problem that the new definition would have (usage).
    pub fn map(&self, definition: &Definition, text: &str) -> Outcome<Added> {
        let folded = naming::fold(&self.name);
        let same = |mapping: &&Mapping| naming::fold(&mapping.target_name) == folded || mapping.name == self.name;
        let unchanged = |mapped| Ok(Added { definition: definition.clone(), text: None, mapped });
        let known: Vec<_> =
            definition.mappings.iter().filter(same).map(|mapping| (mapping, self.difference(mapping))).collect();
        if known.iter().any(|(_, difference)| difference.is_none()) {
            return unchanged(Mapped::Present);
        }
        if let Some((mapping, Some(what))) = known.first() {
            let message = format!("`{}` is mapped already, with another {what}; nothing was written", self.name);
            return Err(Failure::refused("add-differs", message)
                .problems([Problem::error("add-differs", "this is its mapping").at(mapping.place.clone())])
                .hint("change the mapping by hand, or choose another name"));
        }
        if self.is_open(definition) {
            return unchanged(Mapped::Open);
        }
        let text = edit::append(text, "secretMappings", self.entry()).map_err(|error| {
            let message = format!("a mapping cannot be added to `{}`; nothing was written", definition.file);
            Failure::refused("add-edit", message).cause(error).hint("add it by hand; then `add` does the rest")
        })?;
        let loaded = config::load(&definition.file, &text).map_err(|problems| {
            let message = format!("`{}` would have problems with that mapping; nothing was written", definition.file);
            Failure::usage("definition", message).problems(problems)
        })?;
        Ok(Added { definition: loaded.definition, text: Some(text), mapped: Mapped::Added })
    }

    /// The first thing in which a mapping is not what was asked for.
    fn difference(&self, mapping: &Mapping) -> Option<&'static str> {
        let other = |asked: Option<bool>| asked == Some(true);
        let description = self.description.as_ref().map(|asked| *asked != mapping.description);
        let path = self.path.as_ref().map(|asked| mapping.path.as_ref() != Some(asked));
        let generate = self.generate.map(|length| mapping.generate.map(|known| known.length) != Some(length));
        [
            (mapping.group != self.group, "group"),
            (mapping.name != self.name, "name"),
            (other(description), "description"),
            (other(path), "path"),
            (self.kind.is_some_and(|kind| kind != mapping.kind), "kind"),
            (self.optional && mapping.required, "`required`"),
            (other(generate), "`generate`"),
        ]
        .into_iter()
        .find_map(|(differs, what)| differs.then_some(what))
    }

    fn entry(&self) -> Vec<(&'static str, Node)> {
        let word = |text: &str| emit::node(Content::Scalar { text: text.to_owned(), style: Style::Plain });
        let mut entry = vec![("name", emit::string(&self.name))];
        entry.extend(self.description.as_deref().map(|text| ("description", emit::string(text))));
        entry.push(("secretGroup", emit::string(&self.group)));
        entry.extend(self.path.as_deref().map(|text| ("path", emit::string(text))));
        let kind = self.kind.filter(|kind| *kind != EntryKind::Secret);
        entry.extend(kind.map(|kind| ("kind", word(kind.word()))));
        entry.extend(self.optional.then(|| ("required", word("false"))));
        entry.extend(self.generate.map(|length| ("generate", emit::entry("length", word(&length.to_string())))));
        entry
    }

    /// The text of `env.example` with the name; none when it has it. `existing` is none when there is no such file.
    #[must_use]
    pub fn template(&self, definition: &Definition, existing: Option<&str>) -> Option<String> {
        let rendered = existing.is_none().then(|| template::render(definition));
        let text = existing.or(rendered.as_deref()).unwrap_or_default();
        let description = self.description.as_deref().unwrap_or_default();
        template::with_name(text, &self.name, description, &self.group).or(rendered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFINITION: &str = "\
# kept
name: n
organization: o
environments: [{name: a}, {name: b}]
secretGroups: [{name: keys}, {name: open}]
secretMappings: # by team
  - { name: FIRST, secretGroup: keys } # one
";

    fn definition() -> Definition {
        config::load("d.yaml", DEFINITION).unwrap().definition
    }

    fn addition(name: &str, group: &str) -> Addition {
        Addition { name: name.into(), group: group.into(), ..Addition::default() }
    }

    fn code(addition: &Addition) -> &'static str {
        let definition = definition();
        let stack = definition.stack(Some("a")).unwrap();
        match addition.check(&definition, stack).and_then(|()| addition.map(&definition, DEFINITION)) {
            Ok(added) => match added.mapped {
                Mapped::Added => "added",
                Mapped::Present => "present",
                Mapped::Open => "open",
            },
            Err(failure) => failure.code,
        }
    }

    #[test]
    fn a_mapping_is_added_and_nothing_else_changes() {
        let full = Addition {
            description: Some("A key: of \"x\"".into()),
            path: Some("x.y".into()),
            kind: Some(EntryKind::Variable),
            optional: true,
            generate: Some(32),
            ..addition("NEW_KEY", "keys")
        };
        let added = full.map(&definition(), DEFINITION).unwrap();
        let text = added.text.unwrap();
        let lines = "  - name: NEW_KEY\n    description: 'A key: of \"x\"'\n    secretGroup: keys\n    path: x.y\n    \
                     kind: variable\n    required: false\n    generate:\n      length: 32\n";
        assert_eq!(text, format!("{DEFINITION}{lines}"));
        assert_eq!(added.definition.mappings.len(), 2);
        let again = full.map(&added.definition, &text).unwrap();
        assert_eq!((again.mapped, again.text), (Mapped::Present, None));
    }

    #[test]
    fn what_would_surprise_is_refused() {
        assert_eq!(code(&addition("FIRST", "keys")), "present");
        assert_eq!(code(&addition("first", "keys")), "add-differs");
        assert_eq!(code(&addition("FIRST", "open")), "add-differs");
        assert_eq!(code(&Addition { path: Some("p".into()), ..addition("FIRST", "keys") }), "add-differs");
        assert_eq!(code(&addition("ANY", "open")), "open");
        assert_eq!(code(&Addition { optional: true, ..addition("ANY", "open") }), "add-open-group");
        assert_eq!(code(&addition("NEW", "kesy")), "group-unknown");
        assert_eq!(code(&addition("GITHUB_X", "keys")), "add-name");
        assert_eq!(code(&Addition { path: Some("a..".into()), ..addition("NEW", "keys") }), "definition");
    }
}
