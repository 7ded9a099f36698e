//! The contract between the definition and everything that uses its names: workflows, compose files, images, code,
//! ESC and GitHub. Files are read into [`Use`]s here; what does not fit is a finding ([`findings`]).
//!
//! **Reading code is heuristic**: it knows the usual ways to read an environment variable, not the program. A
//! name that is put together while the program runs is not seen.

pub mod code;
pub mod compose;
pub mod dockerfile;
pub mod example;
pub mod expression;
pub mod findings;
pub mod literal;
pub mod promise;
pub mod workflow;

use crate::base::error::{Place, Problem};

/// What kind of file uses a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    Workflow,
    Compose,
    Dockerfile,
    Code,
    /// `env.example` and its like: says what is needed, uses nothing.
    Example,
}

impl FileKind {
    pub const ALL: [Self; 5] = [Self::Workflow, Self::Compose, Self::Dockerfile, Self::Code, Self::Example];

    /// The word of reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Workflow => "workflows",
            Self::Compose => "compose",
            Self::Dockerfile => "docker",
            Self::Code => "code",
            Self::Example => "example",
        }
    }

    /// What a file is by its path (with `/`); none for one that uses nothing that is known here.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
        let yaml = name.ends_with(".yml") || name.ends_with(".yaml");
        let in_workflows = path.starts_with(".github/workflows/") || path.contains("/.github/workflows/");
        if yaml && (in_workflows || name == "action.yml" || name == "action.yaml") {
            Some(Self::Workflow)
        } else if yaml
            && (name.starts_with("docker-compose") || name.starts_with("compose.") || name.starts_with("compose-"))
        {
            Some(Self::Compose)
        } else if name == "dockerfile"
            || name.starts_with("dockerfile.")
            || name.ends_with(".dockerfile")
            || name == "containerfile"
        {
            Some(Self::Dockerfile)
        } else if example::is_example(&name) {
            Some(Self::Example)
        } else {
            code::Language::of(&name).map(|_| Self::Code)
        }
    }
}

/// How a name is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// `secrets.NAME`, with the environment that the job has.
    Secret(JobEnvironment),
    /// `vars.NAME`.
    Variable,
    /// Put in by docker compose; with a default value, the container starts without it.
    Compose { default: bool },
    /// A secret mount of a build, which leaves nothing in the image.
    Mount,
    /// `ARG`, `ENV` or a build argument: stays in the image.
    Image,
    /// Read by a program.
    Code,
    /// Named in an example of a dotenv file.
    Example,
}

/// The GitHub environment of the job that uses a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnvironment {
    None,
    Named(String),
    /// Computed, or not to be told from the file.
    Unknown,
}

/// One use of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// As written.
    pub name: String,
    pub file: FileKind,
    pub how: How,
    pub place: Place,
}

/// What one file came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    pub uses: Vec<Use>,
    /// What the file itself shows to be wrong or dark.
    pub problems: Vec<Problem>,
    /// Dotenv files that a compose file loads, from its own folder.
    pub env_files: Vec<(String, Place)>,
}

/// Reads one file of the kind.
///
/// # Errors
/// Why it cannot be read, in a sentence.
pub fn read(kind: FileKind, file: &str, text: &str) -> Result<Reading, String> {
    let text = Text::new(file, text);
    match kind {
        FileKind::Workflow => workflow::read(&text),
        FileKind::Compose => compose::read(&text),
        FileKind::Dockerfile => Ok(dockerfile::read(&text)),
        FileKind::Code => Ok(code::read(&text)),
        FileKind::Example => example::read(&text),
    }
}

/// Names that come from elsewhere: what the runner sets, and what this tool itself is given.
#[must_use]
pub fn is_foreign(name: &str) -> bool {
    let own = ["CI", "GH_TOKEN", "GITHUB_TOKEN", "PULUMI_ACCESS_TOKEN", "SSH_AUTH_SOCK"];
    let prefixes = ["ACTIONS_", "GITHUB_", "RUNNER_", "SOPHIA_"];
    own.iter().any(|own| name.eq_ignore_ascii_case(own))
        || prefixes.iter().any(|prefix| name.to_ascii_uppercase().starts_with(prefix))
}

/// Names that a shell sets itself: of its many variables, those that are called like a secret. The others are not held
/// to the definition anyway.
#[must_use]
pub fn is_of_a_shell(name: &str) -> bool {
    matches!(name, "COMP_KEY" | "PWD")
}

/// A text that tells places.
pub struct Text<'t> {
    pub file: &'t str,
    pub text: &'t str,
    /// Where lines begin.
    lines: Vec<usize>,
}

impl<'t> Text<'t> {
    #[must_use]
    pub fn new(file: &'t str, text: &'t str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file, text, lines }
    }

    /// The place of the byte `at`.
    #[must_use]
    pub fn place(&self, at: usize) -> Place {
        let line = self.lines.partition_point(|start| *start <= at);
        let start = line.checked_sub(1).and_then(|index| self.lines.get(index)).copied().unwrap_or(0);
        let column = self.text.get(start..at).map_or(1, |before| before.chars().count() + 1);
        Place { file: self.file.to_owned(), line: line.max(1), column }
    }

    fn used(&self, name: &str, at: usize, file: FileKind, how: How) -> Use {
        Use { name: name.to_owned(), file, how, place: self.place(at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_names() {
        for (path, kind) in [
            (".github/workflows/deploy.yml", Some(FileKind::Workflow)),
            ("tools/.github/workflows/a.yaml", Some(FileKind::Workflow)),
            (".github/actions/x/action.yml", Some(FileKind::Workflow)),
            (".github/dependabot.yml", None),
            ("docker-compose.prod.yml", Some(FileKind::Compose)),
            ("deploy/compose.yaml", Some(FileKind::Compose)),
            ("Dockerfile", Some(FileKind::Dockerfile)),
            ("api/Dockerfile.dev", Some(FileKind::Dockerfile)),
            ("env.example", Some(FileKind::Example)),
            (".env.example", Some(FileKind::Example)),
            ("src/main.py", Some(FileKind::Code)),
            ("web/app.TSX", Some(FileKind::Code)),
            ("README.md", None),
            ("pulumi-esc-environment.yaml", None),
        ] {
            assert_eq!(FileKind::of(path), kind, "{path}");
        }
    }

    #[test]
    fn a_byte_has_a_line_and_a_column() {
        let text = Text::new("f", "é\nab\n");
        assert_eq!(text.place(3), Place { file: "f".into(), line: 2, column: 1 });
        assert_eq!(text.place(4).column, 2);
        assert_eq!((text.place(2).line, text.place(2).column), (1, 2));
        assert_eq!(text.place(6).line, 3);
    }

    #[test]
    fn what_the_runner_sets_is_foreign() {
        assert!(["GITHUB_SHA", "github_token", "CI", "SOPHIA_AGE_KEY"].iter().all(|name| is_foreign(name)));
        assert!(!is_foreign("OPENAI_API_KEY"));
    }
}
