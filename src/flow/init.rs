//! `init`: a definition, its `env.example` and a workflow, each only where there is none.

use std::path::Path;

use crate::base::error::Outcome;
use crate::io::files;
use crate::report::init::{InitReport, WrittenFile};
use crate::rules::config;
use crate::rules::init::{self, Answers};
use crate::rules::template;

/// Where the workflow goes, from the folder of the definition.
const WORKFLOW: &str = ".github/workflows/secrets-sync.yml";

/// Writes what is missing beside `definition` (a path). An existing definition decides what `env.example`
/// holds; no file that is there is touched.
///
/// # Errors
/// `definition` when the existing one has problems; `file-unwritable`, `file-unreadable`.
pub fn run(definition: &Path, answers: &Answers) -> Outcome<InitReport> {
    let folder = definition.parent().unwrap_or(Path::new(""));
    let name = definition.display().to_string();
    let (text, found) = match files::read_if_there(definition, files::LARGEST)? {
        Some(bytes) => (String::from_utf8_lossy(&bytes).into_owned(), true),
        None => (init::definition(answers), false),
    };
    let loaded = config::load(&name, &text).map_err(|problems| config::failure(&name, problems))?;
    let template = template::render(&loaded.definition);
    let workflow = folder.join(WORKFLOW);
    if let Some(folder) = workflow.parent() {
        files::make_public_folder(folder)?;
    }
    let files = vec![
        WrittenFile { path: name, written: !found && new(definition, &text)? },
        file(&folder.join("env.example"), &template)?,
        file(&workflow, init::WORKFLOW)?,
    ];
    let stack = loaded.definition.stack_names().first().copied().unwrap_or_default().to_owned();
    let place = if loaded.definition.targets.is_empty() { " --repo OWNER/NAME" } else { "" };
    let next = vec![
        format!("look through `{}`", definition.display()),
        "cp env.example .env, and fill in the values".to_owned(),
        format!("sophia-secrets-sync import-env .env --stack {stack} --create"),
        format!("sophia-secrets-sync plan --stack {stack}{place}"),
        format!("sophia-secrets-sync sync --stack {stack}{place}"),
    ];
    Ok(InitReport { files, next })
}

fn file(path: &Path, text: &str) -> Outcome<WrittenFile> {
    Ok(WrittenFile { path: path.display().to_string(), written: new(path, text)? })
}

/// Whether the file was written; false when it was there.
fn new(path: &Path, text: &str) -> Outcome<bool> {
    match files::write_new(path, text.as_bytes()) {
        Err(failure) if failure.code == "file-exists" => Ok(false),
        other => other.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_is_missing_and_touches_nothing_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let definition = folder.path().join("pulumi-esc-environment.yaml");
        let answers = Answers { organization: "o".into(), project: "p".into(), repository: None };
        let written = |report: &InitReport| report.files.iter().map(|file| file.written).collect::<Vec<_>>();
        assert_eq!(written(&run(&definition, &answers).unwrap()), [true, true, true]);
        let example = folder.path().join("env.example");
        let read = |path: &Path| files::read_text(path, files::LARGEST).unwrap();
        assert!(read(&example).contains("OPENAI_API_KEY=your_openai_api_key_here"));
        assert_eq!(read(&folder.path().join(WORKFLOW)), init::WORKFLOW);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            std::fs::create_dir(folder.path().join("usual")).unwrap();
            assert_eq!([mode(".github"), mode(".github/workflows")], [mode("usual"); 2], "others commit them too");
        }

        files::remove(&example).unwrap();
        let own = read(&definition).replace("OPENAI_API_KEY", "OWN_KEY");
        files::write_public(&definition, own.as_bytes()).unwrap();
        assert_eq!(written(&run(&definition, &answers).unwrap()), [false, true, false]);
        assert_eq!(read(&definition), own);
        assert!(read(&example).contains("OWN_KEY=your_own_key_here"));
    }

    #[test]
    fn a_wrong_definition_is_told_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let definition = folder.path().join("d.yaml");
        files::write_public(&definition, b"name: x\n").unwrap();
        let answers = Answers { organization: "o".into(), project: "p".into(), repository: None };
        assert_eq!(run(&definition, &answers).unwrap_err().code, "definition");
        assert!(!files::is_there(&folder.path().join("env.example")));
    }
}
