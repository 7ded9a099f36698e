use super::*;
use crate::rules::usage::promise::promises;
use crate::rules::{config, usage};

const DEFINITION: &str = "\
name: n
organization: o
environments: [{name: production}]
secretGroups: [{name: keys}, {name: deploy}]
secretMappings:
  - {name: A_KEY, secretGroup: keys}
  - {name: LEVEL, secretGroup: keys, kind: variable}
  - {name: D_KEY, secretGroup: deploy}
targets:
  - {repository: o/r, stacks: [production], secretGroups: [keys]}
  - {repository: o/r, stacks: [production], secretGroups: [deploy], githubEnvironment: production}
";

fn facts(files: &[(&str, &str)]) -> Facts {
    let definition = config::load("d.yaml", DEFINITION).unwrap().definition;
    let mut facts = Facts { promises: promises(&definition, &["production"], None, None), ..Facts::default() };
    for (path, text) in files {
        let reading = usage::read(FileKind::of(path).unwrap(), path, text).unwrap();
        facts.uses.extend(reading.uses);
        facts.env_files.extend(reading.env_files);
    }
    facts
}

/// Code, file and line of each finding that is not about what is unused.
fn found(facts: &Facts) -> Vec<(&'static str, String)> {
    let problems = check(facts).into_iter().filter(|problem| problem.code != "defined-not-used");
    let place = |place: Option<Place>| place.map(|place| format!("{}:{}", place.file, place.line)).unwrap_or_default();
    problems.map(|problem| (problem.code, place(problem.place))).collect()
}

fn workflow(job: &str) -> Vec<(&'static str, String)> {
    found(&facts(&[(".github/workflows/w.yml", &format!("jobs:\n  j:\n    {job}\n"))]))
}

#[test]
fn a_workflow_that_keeps_the_contract_has_no_findings() {
    assert_eq!(workflow("env: { A: \"${{ secrets.A_KEY }} ${{ vars.LEVEL }} ${{ secrets.GITHUB_TOKEN }}\" }"), []);
    assert_eq!(workflow("environment: Production\n    env: { D: \"${{ secrets.D_KEY }}\" }"), []);
    assert_eq!(workflow("environment: ${{ inputs.x }}\n    env: { D: \"${{ secrets.D_KEY }}\" }"), []);
}

#[test]
fn every_way_to_break_it_has_a_code_and_a_place() {
    let at = |line: usize| format!(".github/workflows/w.yml:{line}");
    for (job, code, line) in [
        ("env: { A: \"${{ secrets.B_KEY }}\" }", "used-not-defined", 3),
        ("env: { A: \"${{ secrets.a_key }}\" }", "case-differs", 3),
        ("env: { A: \"${{ vars.A_KEY }}\" }", "secret-as-variable", 3),
        ("env: { A: \"${{ secrets.LEVEL }}\" }", "variable-as-secret", 3),
        ("env: { A: \"${{ secrets.D_KEY }}\" }", "job-without-environment", 3),
        ("environment: staging\n    env: { A: \"${{ secrets.D_KEY }}\" }", "job-without-environment", 4),
    ] {
        assert_eq!(workflow(job), [(code, at(line))], "{job}");
    }
    for (path, text, code) in [
        ("compose.yml", "a: ${A_KEY:-x}", "compose-default"),
        ("compose.yml", "a: ${OTHER_TOKEN}", "used-not-defined"),
        ("compose.yml", "services: { a: { build: { args: [A_KEY] } } }", "secret-in-image"),
        ("Dockerfile", "ARG A_KEY", "secret-in-image"),
        ("a.py", "os.getenv('A_KEYS_TOKEN')", "used-not-defined"),
    ] {
        assert_eq!(found(&facts(&[(path, text)])), [(code, format!("{path}:1"))], "{text}");
    }
    for (path, text) in [
        ("compose.yml", "a: ${LEVEL:-x} ${A_KEY:?} ${PORT}"),
        ("Dockerfile", "RUN --mount=type=secret,id=A_KEY,env=A_KEY make\nARG VERSION"),
        ("a.py", "os.getenv('PORT') or os.getenv('GITHUB_TOKEN')"),
        ("env.example", "ANYTHING_KEY=\na_key="),
    ] {
        assert_eq!(found(&facts(&[(path, text)])), [], "{text}");
    }
}

#[test]
fn what_a_shell_sets_itself_needs_no_definition() {
    let names = "BASH_SOURCE COMP_KEY EUID HOME HOSTNAME IFS LINENO OLDPWD PATH PWD RANDOM SECONDS SHELL UID USER";
    let script: String = names.split(' ').map(|name| format!("echo \"$1 ${name} ${{{name}}}\"\n")).collect();
    assert_eq!(found(&facts(&[("a.sh", &script)])), []);
    assert_eq!(found(&facts(&[("compose.yaml", "services: { a: { volumes: ['${PWD}:/app'] } }")])), []);
    assert_eq!(found(&facts(&[("a.sh", "echo $DB_PWD")])), [("used-not-defined", "a.sh:1".to_owned())]);
    let at = ".github/workflows/w.yml:3".to_owned();
    assert_eq!(workflow("env: { A: \"${{ secrets.PWD }}\" }"), [("used-not-defined", at)], "no shell sets a secret");
}

#[test]
fn a_near_miss_is_named_and_places_are_counted() {
    let text = "os.getenv('A_KEYS')\n".repeat(3);
    let problems = check(&facts(&[("a.py", "os.getenv('LEVEL')"), ("b.sh", "$B_KEY"), ("c.sh", "$B_KEY")]));
    let undefined = problems.iter().find(|problem| problem.code == "used-not-defined").unwrap();
    assert_eq!(undefined.message, "the definition does not deliver `B_KEY`, which is used here and at 1 place more");
    assert!(undefined.hint.as_ref().unwrap().starts_with("did you mean `"));
    assert_eq!(undefined.severity, Severity::Warning);
    assert_eq!(found(&facts(&[("a.py", &text)])), [], "`KEYS` is no word that secrets have");
}

#[test]
fn what_nothing_uses_is_told_unless_nothing_is_used_at_all() {
    let unused = |facts: &Facts| check(facts).into_iter().filter(|problem| problem.code == "defined-not-used").count();
    assert_eq!(unused(&facts(&[])), 0);
    assert_eq!(unused(&facts(&[("env.example", "A_KEY=\nLEVEL=\nD_KEY=\n")])), 0);
    assert_eq!(unused(&facts(&[("a.py", "os.getenv('A_KEY')"), ("env.example", "D_KEY=")])), 2);
}

#[test]
fn any_name_may_belong_to_an_open_group() {
    let mut facts = facts(&[("a.py", "os.getenv('B_KEY')")]);
    facts.promises.open = true;
    assert_eq!(found(&facts), []);
}

#[test]
fn esc_and_github_are_compared() {
    let place = Place { file: "d.yaml".into(), line: 4, column: 1 };
    let name = |name: &str| (EntryKind::Secret, name.to_owned());
    let mut facts = facts(&[(".github/workflows/w.yml", "jobs: { j: { if: \"${{ secrets.X_KEY }}\" } }")]);
    facts.esc.push(EscFacts {
        stack: "production".into(),
        missing: vec![("A_KEY".into(), "ESC has no value".into(), Some(place.clone()))],
        unlisted: vec![("keys.OLD".into(), place.clone())],
    });
    facts.undelivered.push(("production".into(), "keys".into(), place));
    facts.stores.push(Stored {
        target: "o/r · actions".into(),
        listed: [name("X_KEY"), name("OURS"), name("LAST_COPY")].into(),
        expected: [name("A_KEY")].into(),
        defined: [name("A_KEY"), name("LAST_COPY")].into(),
        written: [name("OURS")].into(),
    });
    let problems = check(&facts);
    let has = |code: &str, part: &str| {
        problems.iter().any(|problem| {
            problem.code == code && format!("{} {}", problem.message, problem.hint.as_deref().unwrap()).contains(part)
        })
    };
    assert!(has("missing-in-esc", "`A_KEY` of stack `production`: ESC has no value"));
    assert!(has("in-esc-not-delivered", "`keys.OLD`") && has("in-esc-not-delivered", "group `keys`"));
    assert!(has("at-github-not-defined", "`OURS`") && has("at-github-not-defined", "sync --prune"));
    assert!(!has("at-github-not-defined", "LAST_COPY"), "{problems:?}");
    assert!(has("missing-at-github", "lacks the secret `A_KEY`"));
    assert!(has("used-not-defined", "o/r · actions holds one"));
    let foreign = problems.iter().find(|problem| problem.code == "used-not-defined").unwrap();
    assert_eq!(foreign.severity, Severity::Warning, "it works today");
}

#[test]
fn a_tracked_dotenv_file_of_a_compose_file_is_told() {
    let mut facts = facts(&[("compose.yml", "services: { a: { env_file: .env } }")]);
    assert_eq!(found(&facts), []);
    facts.tracked.insert(".env".into());
    assert_eq!(found(&facts), [("env-file-tracked", "compose.yml:1".to_owned())]);
}

#[test]
fn codes_are_sorted_and_unique() {
    assert!(CODES.windows(2).all(|pair| pair[0].0 < pair[1].0));
}
