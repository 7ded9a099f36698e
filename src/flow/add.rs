//! `add`: a new secret in ESC, in the definition and in `env.example`.
//!
//! **Everything is checked, and both files lie ready on the disk, before ESC is written; the files take their
//! names after it.** When that fails in between, the same command again does the rest.

use std::path::{Path, PathBuf};

use crypto_box::aead::OsRng;

use super::import::{self, Settings};
use crate::base::error::{Failure, FailureKind, Outcome, Problem};
use crate::base::secret::SecretValue;
use crate::base::target::EntryKind;
use crate::esc::path::lookup;
use crate::io::files;
use crate::io::source::{Source, Version};
use crate::report::add::{AddReport, FileChange};
use crate::rules::add::{Added, Addition, Mapped};
use crate::rules::definition::{Charset, Definition, Environment as Stack, Generate, Mapping};
use crate::rules::dotenv::Entry;
use crate::rules::placeholder;
use crate::rules::rotation::generate;
use crate::rules::steps::{LARGEST_SECRET, LARGEST_VARIABLE};

/// What the value is called in problems of the import.
const VALUE: &str = "<value>";

/// Where the files lie.
#[derive(Debug, Clone)]
pub struct Places {
    pub definition: PathBuf,
    pub template: PathBuf,
}

/// An addition that has passed every check that needs no value.
pub struct Ready {
    addition: Addition,
    added: Added,
    stack: Stack,
    places: Places,
    template: Option<String>,
}

impl Ready {
    /// Checks the addition against the definition and works out the new files; writes nothing.
    ///
    /// # Errors
    /// Those of [`Addition::check`] and [`Addition::map`]; `file-unreadable`.
    pub fn check(addition: Addition, definition: &Definition, stack: &Stack, places: Places) -> Outcome<Self> {
        addition.check(definition, stack)?;
        let text = files::read_text(&places.definition, files::LARGEST)?;
        let mut added = addition.map(definition, &text)?;
        // `--org` and `--project` do not stand in the file.
        added.definition.environments.clone_from(&definition.environments);
        let existing = match files::is_there(&places.template) {
            true => Some(files::read_text(&places.template, files::LARGEST)?),
            false => None,
        };
        let template = addition.template(&added.definition, existing.as_deref());
        Ok(Self { addition, added, stack: stack.clone(), places, template })
    }

    /// What would be done to the files, for `--dry-run`.
    #[must_use]
    pub fn report(&self) -> AddReport {
        let change = |path: &Path, change| FileChange { path: path.display().to_string(), change };
        AddReport {
            name: self.addition.name.clone(),
            group: self.addition.group.clone(),
            stack: self.stack.name.clone(),
            environment: self.stack.esc.to_string(),
            dry_run: true,
            value: None,
            revision: None,
            definition: change(
                &self.places.definition,
                match self.added.mapped {
                    Mapped::Added => "mapping added",
                    Mapped::Present => "has the mapping",
                    Mapped::Open => "unchanged: the group delivers every name",
                },
            ),
            template: change(
                &self.places.template,
                if self.template.is_some() { "line added" } else { "has the name" },
            ),
        }
    }

    /// A new value of random characters; the one that ESC has already, when an earlier run came so far.
    ///
    /// # Errors
    /// Those of the source.
    pub async fn generated(&self, source: &dyn Source, length: usize) -> Outcome<SecretValue> {
        let opened = match source.open(&self.stack.esc, &Version::Latest).await {
            Err(failure) if failure.code == "esc-not-found" => None,
            opened => Some(opened?.values),
        };
        let mapping = self.added.definition.mappings_to(&self.addition.name).next();
        let known = mapping.and_then(Mapping::property).and_then(|path| {
            opened.as_ref().and_then(|values| lookup(values, &path)).map(|value| SecretValue::from(value.to_text()))
        });
        let how = Generate { length, charset: Charset::default() };
        Ok(known.unwrap_or_else(|| generate::value(how, &mut OsRng)))
    }

    /// Writes ESC, then the files.
    ///
    /// # Errors
    /// `add-placeholder`, `add-size`, `import-not-new` (refused) and those of [`import::import`]: nothing was written;
    /// `add-unfinished` (partial) when ESC was written and a file could not be.
    pub async fn carry_out(
        &self,
        source: &dyn Source,
        value: &SecretValue,
        create: bool,
    ) -> Outcome<(AddReport, Vec<Problem>)> {
        self.check_value(value)?;
        let staged = [
            self.added.text.as_deref().map(|text| (&self.places.definition, text)),
            self.template.as_deref().map(|text| (&self.places.template, text)),
        ];
        let staged = staged.into_iter().flatten().map(|(path, text)| files::stage_public(path, text.as_bytes()));
        let staged = staged.collect::<Outcome<Vec<_>>>()?;
        let entry = Entry { name: self.addition.name.clone(), value: value.clone(), line: 1, ambiguous: false };
        let settings = Settings {
            file: VALUE,
            group: Some(&self.addition.group),
            skip: false,
            create,
            dry_run: false,
            only_new: true,
        };
        let (imported, mut warnings) =
            import::import(source, &self.added.definition, &self.stack, &[entry], settings).await?;
        for file in staged {
            file.commit().map_err(|failure| self.unfinished(imported.revision, &failure))?;
        }
        warnings.extend(self.other_stacks());
        let report = AddReport {
            dry_run: false,
            value: imported.names.first().map(|name| name.state.word()),
            revision: imported.revision,
            ..self.report()
        };
        Ok((report, warnings))
    }

    fn check_value(&self, value: &SecretValue) -> Outcome<()> {
        let name = &self.addition.name;
        if placeholder::is_placeholder_value(value) {
            return Err(Failure::refused("add-placeholder", format!("the value of `{name}` is a placeholder"))
                .hint("give the real value; nothing was written"));
        }
        let secret = self.addition.kind.unwrap_or_default() == EntryKind::Secret;
        let limit = if secret { LARGEST_SECRET } else { LARGEST_VARIABLE };
        if value.len() > limit {
            let message = format!("the value of `{name}` has {} bytes, GitHub takes {limit}", value.len());
            return Err(Failure::refused("add-size", message).hint("nothing was written"));
        }
        Ok(())
    }

    fn unfinished(&self, revision: Option<u64>, failure: &Failure) -> Failure {
        let written = revision.map_or_else(String::new, |revision| format!(" (revision {revision})"));
        let message = format!(
            "the value of `{}` is in `{}`{written}, but a file could not be written",
            self.addition.name, self.stack.esc
        );
        Failure::new(FailureKind::Partial, "add-unfinished", message)
            .cause(failure)
            .hint("the same command with the same value again does the rest")
    }

    /// The stacks that need a value of the new mapping, too.
    fn other_stacks(&self) -> Option<Problem> {
        if self.added.mapped != Mapped::Added || self.addition.optional {
            return None;
        }
        let group = self.added.definition.group(&self.addition.group)?;
        let others: Vec<&str> =
            group.environments.iter().map(String::as_str).filter(|name| *name != self.stack.name).collect();
        if others.is_empty() {
            return None;
        }
        let (name, group, first) = (&self.addition.name, &group.name, others.first().copied().unwrap_or_default());
        let message =
            format!("`{name}` is required in {} too: without a value there, they are not synced", others.join(", "));
        Some(
            Problem::warning("add-other-stacks", message)
                .hint(format!("`add {name} --group {group} --stack {first}` asks for it; --optional asks for none")),
        )
    }
}
