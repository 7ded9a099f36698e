//! The real binary as the action's step.

use crate::release::Archive;
use crate::runner::{Job, Ran};

/// A job that runs the binary under test.
fn job(name: &str) -> Job {
    Job::new(name)
        .env("SOPHIA_SECRETS_SYNC_BIN", env!("CARGO_BIN_EXE_sophia-secrets-sync"))
        .env("SOPHIA_SECRETS_SYNC_SHA256", "unverified")
}

/// The commands but for the masks and the warning that this binary is not verified.
fn told(ran: &Ran) -> Vec<(&str, &str)> {
    let commands = ran.commands.iter().filter(|command| command.name != "add-mask");
    commands
        .map(|command| (command.name.as_str(), command.data.as_str()))
        .filter(|(_, data)| !data.contains("is run unverified"))
        .collect()
}

#[test]
fn a_release_with_the_real_binary_runs() {
    let binary = std::fs::read(env!("CARGO_BIN_EXE_sophia-secrets-sync")).unwrap();
    let archive = Archive::of(&binary, &["sophia-secrets-sync"]);
    let job = Job::new("job");
    archive.pin(&job.action);
    let folder = archive.in_folder(&job.path("mirror"));
    let ran = job.input("download-url", &folder).input("args", "--help").run();
    assert_eq!(ran.exit, 0, "{}", ran.raw);
    assert_eq!(ran.outputs["exit-code"], "0");
    assert!(ran.log.contains("Usage: sophia-secrets-sync"), "{}", ran.log);
}

#[test]
fn a_wrong_input_is_one_annotation_and_exit_code_2() {
    for (input, value) in
        [("command", "no-such-command"), ("prune", "perhaps"), ("args", "--no-such-option"), ("args", "--format json")]
    {
        let ran = job("job").input(input, value).run();
        assert_eq!(ran.exit, 2, "{}", ran.raw);
        assert_eq!(ran.outputs["exit-code"], "2");
        let told = told(&ran);
        assert!(told.len() == 1 && told[0].0 == "error" && told[0].1.contains(value), "{told:?}");
    }
}

#[test]
fn hostile_inputs_give_no_command_and_run_nothing() {
    let hostile = [
        "$(touch pwned)",
        "`touch pwned`",
        "x\"; touch pwned; \"",
        "line\n::error::injected\r::error::injected ##[error]injected",
        "%0A::error::injected",
    ];
    for input in ["command", "definition", "stack", "groups", "apps", "repository", "esc-url", "args", "prune"] {
        for value in hostile {
            let job = job("job").input(input, value);
            let ran = job.run();
            assert_ne!(ran.exit, 0, "{input}={value}: {}", ran.raw);
            let told = told(&ran);
            assert!(!told.iter().any(|(_, data)| *data == "injected"), "{input}={value}: {}", ran.raw);
            assert!(told.iter().all(|(name, _)| ["error", "warning"].contains(name)), "{told:?}");
            assert!(!ran.raw.contains("panicked"), "{}", ran.raw);
            assert!(!job.files().iter().any(|file| file.contains("pwned")), "{input}={value} was executed");
        }
    }
}

#[test]
fn secrets_of_the_inputs_are_masked_before_anything_else() {
    let key = "-----BEGIN RSA PRIVATE KEY-----\nmarker-line-100%\n-----END RSA PRIVATE KEY-----";
    let ran = job("job")
        .input("github-app-id", "12345")
        .input("github-app-private-key", key)
        .input("pulumi-access-token", "pul-marker-token")
        .input("stack", "stack called pul-marker-token")
        .input("command", "no-such-command")
        .run();
    assert!(!ran.log.contains("marker"), "{}", ran.log);
    let masks: Vec<&str> =
        ran.commands.iter().skip(1).take_while(|command| command.name == "add-mask").map(|c| c.data.as_str()).collect();
    for mask in [key, "marker-line-100%", "pul-marker-token"] {
        assert!(masks.contains(&mask), "{masks:?}");
    }
    assert!(!masks.contains(&"12345"));
}

#[test]
fn the_workflows_own_token_is_refused_with_the_reason() {
    for command in ["sync", "plan", "list", "verify", "rotation status"] {
        let mut job = job("job").input("command", command).input("github-token", "ghs_marker");
        job.workflow_token = "ghs_marker".to_owned();
        let ran = job.run();
        assert_eq!(ran.exit, 4, "{}", ran.raw);
        assert_eq!(ran.outputs["exit-code"], "4");
        assert!(told(&ran)[0].1.contains("whatever its `permissions:` say"), "{}", ran.raw);
        assert!(ran.summary.contains("`workflow-token`: the workflow's own"), "{}", ran.summary);
        assert!(!ran.log.contains("ghs_marker"), "{}", ran.log);
    }
}

#[test]
fn outside_a_job_there_are_no_commands() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_sophia-secrets-sync"))
        .arg("action")
        .env_clear()
        .env("SOPHIA_INPUT_COMMAND", "no-such-command")
        .env("SOPHIA_INPUT_PULUMI_ACCESS_TOKEN", "pul-marker-token")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("no-such-command") && !text.contains("::") && !text.contains("marker"), "{text}");
}
