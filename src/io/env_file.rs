//! A dotenv file as the source of values: straight to GitHub, without ESC.

use std::sync::Arc;

use async_trait::async_trait;

use super::source::{Document, Opened, Revision, Secrets, Source, SourceKind, Version, read_only};
use crate::base::environment::EscName;
use crate::base::error::{Failure, Outcome, Place, Problem, Severity};
use crate::esc::diagnostic::Diagnostic;
use crate::rules::definition::Definition;
use crate::rules::dotenv::Entry;
use crate::rules::env_file;

/// The entries of a file, and the definition that says what each of them is.
pub struct EnvFileSource {
    file: String,
    entries: Vec<Entry>,
    definition: Arc<Definition>,
}

impl EnvFileSource {
    #[must_use]
    pub fn new(file: String, entries: Vec<Entry>, definition: Arc<Definition>) -> Self {
        Self { file, entries, definition }
    }
}

fn cannot(what: &str) -> Failure {
    read_only(SourceKind::EnvFile, what)
}

#[async_trait]
impl Source for EnvFileSource {
    fn kind(&self) -> SourceKind {
        SourceKind::EnvFile
    }

    fn origin(&self, _: &EscName) -> String {
        self.file.clone()
    }

    fn file_of(&self, _: &EscName, _: &Version, _: &str) -> String {
        self.file.clone()
    }

    async fn open(&self, name: &EscName, version: &Version) -> Outcome<Opened> {
        if *version != Version::Latest {
            return Err(cannot("look at an old revision"));
        }
        let Some(stack) = self.definition.environments.iter().find(|stack| stack.esc == *name) else {
            return Err(cannot(&format!("give the values of `{name}`, which is no stack of the definition")));
        };
        let (values, said) = env_file::values(&self.definition, stack, &self.file, &self.entries);
        let (errors, warnings): (Vec<_>, Vec<_>) =
            said.into_iter().partition(|diagnostic| diagnostic.severity == Severity::Error);
        if errors.is_empty() {
            return Ok(Opened { values, revision: None, warnings });
        }
        let problems = errors.into_iter().map(|diagnostic| {
            let line = diagnostic.range.map_or(1, |range| range.begin.line());
            Problem::error("env-file-group", diagnostic.summary).at(Place { file: self.file.clone(), line, column: 1 })
        });
        Err(Failure::usage("env-file-group", format!("`{}` holds names that no group is known to have", self.file))
            .problems(problems)
            .hint("map them in the definition; `github set --env-file` takes any name"))
    }

    async fn check(&self, _: &EscName, _: &str) -> Outcome<Vec<Diagnostic>> {
        Err(cannot("check a definition"))
    }

    async fn list(&self, _: &str) -> Outcome<Vec<EscName>> {
        Err(cannot("list environments"))
    }

    async fn create(&self, name: &EscName) -> Outcome<()> {
        Err(cannot(&format!("make `{name}`")))
    }

    async fn delete(&self, name: &EscName) -> Outcome<()> {
        Err(cannot(&format!("remove `{name}`")))
    }

    async fn read(&self, name: &EscName, _: &Version, _: Secrets) -> Outcome<Document> {
        Err(cannot(&format!("show the definition of `{name}`, or change it")))
    }

    async fn update(&self, name: &EscName, _: &str, _: Option<&str>) -> Outcome<(Option<u64>, Vec<Diagnostic>)> {
        Err(cannot(&format!("change `{name}`")))
    }

    async fn revisions(&self, name: &EscName, _: usize) -> Outcome<Vec<Revision>> {
        Err(cannot(&format!("list the revisions of `{name}`")))
    }

    async fn tagged(&self, name: &EscName, _: &str) -> Outcome<Option<u64>> {
        Err(cannot(&format!("look at tags of `{name}`")))
    }

    async fn set_tag(&self, name: &EscName, _: &str, _: u64) -> Outcome<()> {
        Err(cannot(&format!("tag a revision of `{name}`")))
    }

    async fn remove_tag(&self, name: &EscName, _: &str) -> Outcome<()> {
        Err(cannot(&format!("untag a revision of `{name}`")))
    }
}
