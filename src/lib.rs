//! sophia-secrets-sync keeps GitHub's secrets equal to what Pulumi ESC holds.
//!
//! The house has floors; a module uses its own floor and those below it, never one above.
//! The test at the end of this file keeps that true.
//!
//! | floor | folder | may | may not |
//! |---|---|---|---|
//! | 5 | `cli` | read argv, environment variables and the clock; choose streams and the exit code | hold domain rules |
//! | 4 | `flow` | orchestrate, one file per command noun | print, read the environment, build URLs |
//! | 3 | `io` | touch network, disk, keys | decide anything |
//! | 2 | `report` | turn results into bytes on a given writer | see a secret value |
//! | 1 | `rules` | decide; pure functions, `now` is a parameter | do I/O, be async, read the clock |
//! | 1 | `esc` | the ESC language: parse, evaluate, edit | the same |
//! | 0 | `base` | define nouns and the error type | depend on another floor |
//! | annex | `sandbox` | loopback GitHub and ESC over real HTTP | be imported by anything but `cli` and tests |

pub mod base;
pub mod cli;
pub mod esc;
pub mod flow;
pub mod io;
pub mod report;
pub mod rules;
pub mod sandbox;

#[cfg(test)]
mod floors {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    const FOLDERS: [&str; 8] = ["base", "rules", "esc", "report", "io", "flow", "cli", "sandbox"];

    /// What code in `folder` may name as `crate::…`.
    fn allowed(folder: &str) -> &'static [&'static str] {
        match folder {
            "base" => &["base"],
            "rules" | "esc" => &["base", "rules", "esc"],
            "report" => &["base", "rules", "esc", "report"],
            "io" => &["base", "rules", "esc", "report", "io"],
            "flow" => &["base", "rules", "esc", "report", "io", "flow"],
            "sandbox" => &["base", "rules", "esc", "report", "io", "sandbox"],
            "cli" => &["base", "rules", "esc", "report", "io", "flow", "cli", "sandbox"],
            _ => &[],
        }
    }

    fn sources() -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        let mut folders = vec![root().join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "rs") {
                    #[expect(clippy::disallowed_methods, reason = "this test reads the sources")]
                    let text = std::fs::read_to_string(&path).unwrap();
                    found.insert(path.strip_prefix(root().join("src")).unwrap().to_path_buf(), text);
                }
            }
        }
        found
    }

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    /// The part of a source before its inline tests: tests may reach anywhere.
    fn production(text: &str) -> &str {
        text.split("#[cfg(test)]\nmod ").next().unwrap_or(text)
    }

    #[test]
    fn no_module_uses_a_floor_above_its_own() {
        let mut wrong = Vec::new();
        for (path, text) in sources() {
            let folder = path.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
            if !FOLDERS.contains(&folder.as_str()) {
                continue;
            }
            for (number, line) in production(&text).lines().enumerate() {
                let code = line.trim_start();
                if code.starts_with("//") {
                    continue;
                }
                for named in code.split("crate::").skip(1) {
                    let named: String = named.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    if FOLDERS.contains(&named.as_str()) && !allowed(&folder).contains(&named.as_str()) {
                        wrong.push(format!("src/{}:{}: {folder} uses {named}", path.display(), number + 1));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "upward imports:\n{}", wrong.join("\n"));
    }

    #[test]
    fn pure_floors_do_no_input_or_output() {
        let mut wrong = Vec::new();
        for (path, text) in sources() {
            let pure = ["base", "rules", "esc"].iter().any(|folder| path.starts_with(folder));
            for (number, line) in production(&text).lines().enumerate() {
                let code = line.trim_start();
                let forbidden =
                    ["std::fs", "std::env", "std::net", "tokio::", "reqwest::", "async fn", "SystemTime", "::now()"];
                if pure && !code.starts_with("//") && forbidden.iter().any(|word| code.contains(word)) {
                    wrong.push(format!("src/{}:{}: {code}", path.display(), number + 1));
                }
            }
        }
        assert!(wrong.is_empty(), "not pure:\n{}", wrong.join("\n"));
    }

    #[test]
    fn every_source_file_is_declared() {
        let sources = sources();
        for path in sources.keys() {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let folder = path.parent().unwrap();
            let declared_in = match name.as_str() {
                "main" | "lib" => continue,
                "mod" => {
                    (folder.parent().unwrap().to_path_buf(), folder.file_name().unwrap().to_string_lossy().into_owned())
                }
                _ => (folder.to_path_buf(), name.clone()),
            };
            let beside = format!("{}.rs", declared_in.0.display());
            let parents = [declared_in.0.join("mod.rs"), declared_in.0.join("lib.rs"), PathBuf::from(beside)];
            let declared = parents
                .iter()
                .filter_map(|parent| sources.get(parent))
                .any(|text| text.lines().any(|line| line.trim_end().ends_with(&format!("mod {};", declared_in.1))));
            assert!(declared, "src/{} is declared by no `mod {};`", path.display(), declared_in.1);
        }
    }

    #[test]
    fn main_stays_an_entry() {
        assert!(sources()[Path::new("main.rs")].lines().count() <= 30);
    }

    #[test]
    fn every_scenario_is_picked_up_by_a_test() {
        let folder = root().join("tests/scenarios");
        let Ok(entries) = std::fs::read_dir(&folder) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            assert!(
                path.extension().is_some_and(|extension| extension == "yaml"),
                "{} is not run: scenarios end in .yaml and lie directly in tests/scenarios",
                path.display()
            );
        }
    }
}
