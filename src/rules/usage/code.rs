//! Programs: the usual ways to read an environment variable, by pattern and not by understanding.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::{FileKind, How, Reading, Text};

/// A family of languages that read variables alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Names in quotes: `getenv("NAME")`, `os.environ["NAME"]`, `ENV["NAME"]`, `env::var("NAME")`.
    Quoted,
    /// The same, and `process.env.NAME`.
    Script,
    /// `$NAME` and `${NAME}`.
    Shell,
}

impl Language {
    /// The language of a file by its name in lower case.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        if matches!(name, "makefile" | "justfile" | ".envrc") {
            return Some(Self::Shell);
        }
        let (_, ending) = name.rsplit_once('.')?;
        match ending {
            "c" | "cc" | "clj" | "cpp" | "cs" | "dart" | "ex" | "exs" | "fs" | "go" | "groovy" | "java" | "kt"
            | "kts" | "php" | "pl" | "py" | "rb" | "rs" | "scala" | "swift" | "vb" => Some(Self::Quoted),
            "astro" | "cjs" | "cts" | "js" | "jsx" | "mjs" | "mts" | "svelte" | "ts" | "tsx" | "vue" => {
                Some(Self::Script)
            }
            "bash" | "fish" | "ksh" | "mk" | "sh" | "zsh" => Some(Self::Shell),
            _ => None,
        }
    }
}

#[expect(clippy::expect_used, reason = "the patterns are constants")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

/// A call or an index with the name in quotes.
static QUOTED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?:getenv|GetEnv|Getenv|LookupEnv|GetEnvironmentVariable|get_env|fetch_env!?|environ(?:\.get|\.pop)?|ENV(?:\.fetch|\.key\?)?",
        r"|\$_(?:ENV|SERVER)|env::var(?:_os)?|(?:option_)?env!|env\.get|environment|getenv\(\)(?:\.get)?|\benv)",
        r#"\s*[\(\[]\s*["'`](?<name>[A-Za-z_][A-Za-z0-9_]*)["'`]"#
    ))
});

/// A member of an object that holds the environment.
static MEMBER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"(?:process\.env|import\.meta\.env|Bun\.env)(?:\??\.|\s*\[\s*["'`])(?<name>[A-Za-z_][A-Za-z0-9_]*)"#)
});

/// `const { A, B: b } = process.env`.
static TAKEN_APART: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\{(?<names>[^{}]*)\}\s*=\s*(?:process\.env|import\.meta\.env|Bun\.env)\b"));

/// A name of [`TAKEN_APART`], with what follows it.
static ONE_OF_THEM: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?:^|,)\s*(?<name>[A-Za-z_][A-Za-z0-9_]*)"));

static SHELL: LazyLock<Regex> = LazyLock::new(|| pattern(r"\$\{?(?<name>[A-Za-z_][A-Za-z0-9_]*)"));

/// A name that a script sets itself, to something else than what it was.
static ASSIGNED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?m)^\s*(?:(?:export|local|readonly)\s+)?(?<name>[A-Za-z_][A-Za-z0-9_]*)=(?<value>.*)$")
});

/// Reads a program.
#[must_use]
pub fn read(text: &Text<'_>) -> Reading {
    let name = text.file.rsplit('/').next().unwrap_or(text.file).to_ascii_lowercase();
    let patterns: &[&LazyLock<Regex>] = match Language::of(&name) {
        None => &[],
        Some(Language::Quoted) => &[&QUOTED],
        Some(Language::Script) => &[&QUOTED, &MEMBER],
        Some(Language::Shell) => &[&SHELL],
    };
    let own: BTreeSet<&str> = match Language::of(&name) {
        Some(Language::Shell) => ASSIGNED
            .captures_iter(text.text)
            .filter_map(|found| Some((found.name("name")?.as_str(), found.name("value")?.as_str())))
            .filter(|(name, value)| !value.contains(name))
            .map(|(name, _)| name)
            .collect(),
        _ => BTreeSet::new(),
    };
    let mut reading = Reading::default();
    let mut add = |name: &str, at| reading.uses.push(text.used(name, at, FileKind::Code, How::Code));
    for pattern in patterns {
        for name in pattern.captures_iter(text.text).filter_map(|found| found.name("name")) {
            if !own.contains(name.as_str()) {
                add(name.as_str(), name.start());
            }
        }
    }
    if Language::of(&name) == Some(Language::Script) {
        for names in TAKEN_APART.captures_iter(text.text).filter_map(|found| found.name("names")) {
            for name in ONE_OF_THEM.captures_iter(names.as_str()).filter_map(|found| found.name("name")) {
                add(name.as_str(), names.start() + name.start());
            }
        }
    }
    reading
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(file: &str, text: &str) -> Vec<String> {
        read(&Text::new(file, text)).uses.into_iter().map(|used| used.name).collect()
    }

    #[test]
    fn the_usual_ways_of_each_language_are_known() {
        for (file, text) in [
            ("a.py", "x = os.environ[\"A_KEY\"]"),
            ("a.py", "x = os.environ.get( 'A_KEY', None)"),
            ("a.py", "x = os.getenv('A_KEY')"),
            ("a.js", "const x = process.env.A_KEY"),
            ("a.tsx", "process.env[\"A_KEY\"]"),
            ("a.ts", "const { A_KEY: key = 1 } = process.env"),
            ("a.mjs", "import.meta.env.A_KEY"),
            ("a.ts", "Deno.env.get('A_KEY')"),
            ("a.go", "os.Getenv(\"A_KEY\")"),
            ("a.go", "v, ok := os.LookupEnv(\"A_KEY\")"),
            ("a.rs", "std::env::var(\"A_KEY\")"),
            ("a.rs", "env!(\"A_KEY\")"),
            ("A.java", "System.getenv(\"A_KEY\")"),
            ("a.kt", "System.getenv()[\"A_KEY\"] ?: getenv(\"A_KEY\")"),
            ("a.rb", "ENV['A_KEY'] || 1"),
            ("a.rb", "ENV.fetch(\"A_KEY\")"),
            ("a.php", "$x = getenv('A_KEY');"),
            ("a.php", "$_ENV['A_KEY']"),
            ("a.cs", "Environment.GetEnvironmentVariable(\"A_KEY\")"),
            ("a.exs", "System.get_env(\"A_KEY\")"),
            ("a.c", "getenv(\"A_KEY\")"),
            ("a.sh", "curl -H \"X: ${A_KEY}\""),
            ("Makefile", "\techo $A_KEY"),
        ] {
            assert!(names(file, text).contains(&"A_KEY".to_owned()), "{file}: {text}");
        }
        assert_eq!(names("a.ts", "const { A, B: b,\n  C = 'x' } = process.env;"), ["A", "B", "C"]);
        let script = "A_KEY=$(get)\nexport B_KEY=${B_KEY:-x}\necho $A_KEY $B_KEY $C_KEY";
        assert_eq!(names("a.sh", script), ["B_KEY", "B_KEY", "C_KEY"], "what a script sets is its own");
        let used = read(&Text::new("a.py", "\n  os.getenv('A')")).uses.remove(0);
        assert_eq!((used.place.line, used.place.column), (2, 14));
    }

    #[test]
    fn other_texts_are_not_read() {
        for (file, text) in
            [("a.py", "print('A_KEY')"), ("a.js", "env.A_KEY"), ("a.md", "os.getenv('A_KEY')"), ("a.py", "$A_KEY")]
        {
            assert_eq!(names(file, text), Vec::<String>::new(), "{file}: {text}");
        }
    }
}
