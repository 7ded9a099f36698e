//! `plan` and `sync` as the action's step, against the loopback services.

use serde_json::json;

use crate::runner::{Job, Ran};
use crate::services::{DEFINITION, GITHUB_TOKEN, PULUMI_TOKEN, Services, WORKFLOW_TOKEN, assert_no_secret};

/// A job in a repository with the definition, and with both tokens.
fn job(services: &Services) -> Job {
    let mut job = Job::new("job")
        .env("SOPHIA_SECRETS_SYNC_BIN", env!("CARGO_BIN_EXE_sophia-secrets-sync"))
        .env("SOPHIA_SECRETS_SYNC_SHA256", "unverified")
        .input("pulumi-access-token", PULUMI_TOKEN)
        .input("github-token", GITHUB_TOKEN);
    for (name, value) in services.environment() {
        job = job.env(name, value);
    }
    define(&job, DEFINITION);
    job
}

fn define(job: &Job, definition: &str) {
    std::fs::write(job.path("workspace/pulumi-esc-environment.yaml"), definition).unwrap();
}

fn counts(ran: &Ran) -> String {
    let names = ["changed", "created", "updated", "kept", "deleted", "refused", "failed", "exit-code"];
    names.map(|name| format!("{name}={}", ran.outputs[name])).join(" ")
}

#[test]
fn syncs_once_and_changes_nothing_the_second_time() {
    let services = Services::start();
    let job = job(&services);
    let first = job.run();
    assert_eq!(first.exit, 0, "{}", first.raw);
    assert_eq!(counts(&first), "changed=true created=3 updated=0 kept=0 deleted=0 refused=0 failed=0 exit-code=0");
    services.assert_all_secrets_are_there(&first.raw);
    assert!(first.summary.contains("SIGNING_KEY"), "{}", first.summary);
    services.sandbox.clear_requests();
    let second = job.run();
    assert_eq!(counts(&second), "changed=false created=0 updated=0 kept=3 deleted=0 refused=0 failed=0 exit-code=0");
    assert_eq!(services.writes(), [] as [String; 0]);
    for ran in [&first, &second] {
        assert_no_secret(&ran.log);
        assert!(ran.summary.contains("payready/sophia"), "{}", ran.summary);
        assert_no_secret(&ran.summary);
        let report = std::fs::read_to_string(&ran.outputs["report"]).unwrap();
        assert_no_secret(&report);
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["command"], "sync");
    }
}

#[test]
fn a_plan_and_a_dry_run_write_nothing() {
    let services = Services::start();
    for (input, value) in [("command", "plan"), ("dry-run", "true")] {
        let ran = job(&services).input(input, value).run();
        assert_eq!(counts(&ran), "changed=true created=3 updated=0 kept=0 deleted=0 refused=0 failed=0 exit-code=0");
        assert!(ran.summary.contains("OPENAI_API_KEY"), "{}", ran.summary);
    }
    assert_eq!(services.writes(), [] as [String; 0]);
}

#[test]
fn masks_every_line_of_every_secret_before_anything_else() {
    let services = Services::start();
    let ran = job(&services).run();
    let first_other = ran
        .raw
        .lines()
        .filter(|line| !line.contains("is run unverified"))
        .position(|line| !line.starts_with("::add-mask::"))
        .unwrap();
    let masks: Vec<&str> =
        ran.commands.iter().filter(|c| c.name == "add-mask").map(|command| command.data.as_str()).collect();
    for secret in crate::services::EXPECTED.iter().flat_map(|(_, value)| std::iter::once(*value).chain(value.lines())) {
        assert!(masks.contains(&secret), "{secret:?} is not masked: {masks:?}");
    }
    assert!(first_other >= masks.len(), "something was printed between masks:\n{}", ran.raw);
}

#[test]
fn a_secret_too_short_to_mask_is_reported_by_name() {
    let services = Services::start();
    services
        .sandbox
        .edit(json!({"esc": {"environments": {"payready/sophia-esc/production":
            json!({"values": {"api-keys": {"TINY": {"fn::secret": "abc"}}, "security-tokens": {"PIN": {"fn::secret": "12"}}}}).to_string()}}}))
        .unwrap();
    let ran = job(&services).run();
    for name in ["TINY", "PIN"] {
        let told = ran.commands.iter().any(|command| command.name == "warning" && command.data.contains(name));
        assert!(told, "{}", ran.raw);
    }
    assert!(!ran.commands.iter().any(|command| command.name == "add-mask" && command.data.len() < 4));
}

#[test]
fn problems_of_the_definition_are_annotations_on_their_lines() {
    let services = Services::start();
    let job = job(&services);
    define(&job, &DEFINITION.replace("  - name: api-keys", "  - name: api-keys\n    descripton: x"));
    let ran = job.run();
    assert_eq!(ran.exit, 2, "{}", ran.raw);
    let found = ran.commands.iter().find(|command| command.properties.contains_key("line"));
    let properties = &found.unwrap_or_else(|| panic!("{}", ran.raw)).properties;
    assert_eq!((properties["file"].as_str(), properties["line"].as_str()), ("pulumi-esc-environment.yaml", "8"));
    assert_eq!(ran.outputs["exit-code"], "2");
    // The log shows an annotation's text alone, and the page shows no annotation beside its table.
    let place = "pulumi-esc-environment.yaml:8:5";
    assert!(found.unwrap().data.contains(&format!("\nat {place}\n")), "{}", ran.raw);
    assert!(ran.summary.contains("| error | `unknown-key`: ") && ran.summary.contains(place), "{}", ran.summary);
}

#[test]
fn what_a_check_finds_is_an_annotation_and_said_once() {
    let services = Services::start();
    let ran = job(&services).input("command", "access check").run();
    assert_eq!(ran.exit, 0, "{}", ran.raw);
    let found = ran.commands.iter().find(|command| command.properties.get("title").is_some_and(|t| t == "access-open"));
    let properties = &found.unwrap_or_else(|| panic!("{}", ran.raw)).properties;
    assert_eq!((properties["file"].as_str(), properties["line"].as_str()), ("pulumi-esc-environment.yaml", "1"));
    for text in [&ran.raw, &ran.summary] {
        assert_eq!(text.matches("there are no access policies").count(), 1, "{text}");
    }
}

/// The definition with a second target.
fn with_two_targets() -> String {
    let target = "  - repository: payready/sophia\n    stacks: [production]\n";
    DEFINITION.replace(target, &format!("{target}{}", target.replace("sophia", "web")))
}

fn folded(ran: &Ran) -> Vec<&str> {
    let named = |name: &'static str| ran.commands.iter().filter(move |command| command.name == name);
    assert_eq!(named("group").count(), named("endgroup").count());
    named("group").map(|command| command.data.as_str()).collect()
}

#[test]
fn many_targets_are_folded_under_their_counts_but_for_those_with_trouble() {
    let services = Services::start();
    services.sandbox.edit(json!({"github": {"repositories": {"payready/web": {}}}})).unwrap();
    let job = job(&services);
    define(&job, &with_two_targets());
    services
        .sandbox
        .fault(json!([{"match": {"method": "PUT", "path": "payready/web/.*SIGNING_KEY"}, "do": {"status": 403}}]))
        .unwrap();
    let first = job.run();
    assert_eq!(first.exit, 5, "{}", first.raw);
    assert_eq!(folded(&first), ["payready/sophia · actions: 3 created"]);
    assert!(first.log.contains("\npayready/web · actions: 2 created, 1 failed\n  + "), "{}", first.log);
    assert!(first.summary.contains("| payready/web · actions | 2 | 0 | 0 | 0 | 1 | 0 |\n"), "{}", first.summary);
    assert!(first.summary.contains("| **create failed** | `SIGNING_KEY` |"), "{}", first.summary);
    assert!(first.summary.starts_with("## Problems: 1 error\n"), "{}", first.summary);

    services.sandbox.clear_faults();
    let second = job.run();
    assert_eq!(folded(&second), ["payready/web · actions: 1 created, 2 kept"], "{}", second.raw);
    let third = job.run();
    assert_eq!(folded(&third), [] as [&str; 0]);
    assert!(
        third.log.contains("\npayready/sophia · actions: 3 kept\npayready/web · actions: 3 kept\n"),
        "{}",
        third.log
    );
    for ran in [first, second, third] {
        assert_no_secret(&ran.log);
        assert_no_secret(&ran.summary);
    }
}

#[test]
fn a_debug_run_shows_every_request_and_no_value() {
    let services = Services::start();
    let quiet = job(&services).run();
    let ran = job(&services).env("RUNNER_DEBUG", "1").input("args", "--ledger none").run();
    assert_eq!(ran.exit, 0, "{}", ran.raw);
    for request in [
        "POST /api/esc/environments/payready/sophia-esc/production/versions/",
        "GET /repos/payready/sophia/actions/secrets?per_page=100&page=1: 200",
        "PUT /repos/payready/sophia/actions/secrets/SIGNING_KEY: 204",
    ] {
        assert!(ran.log.contains(request), "{}", ran.log);
        assert!(!quiet.log.contains(request), "{}", quiet.log);
    }
    assert!(ran.log.contains("/open: 200") && !ran.log.contains("/open/"), "the id of a session is shown: {}", ran.log);
    let printed: String = ran.raw.lines().filter(|line| !line.starts_with("::add-mask::")).collect();
    assert_no_secret(&printed);
    assert!(!printed.contains(GITHUB_TOKEN) && !printed.contains(PULUMI_TOKEN));
}

#[test]
fn doctor_knows_the_jobs_own_token() {
    let services = Services::start();
    let mut job = job(&services).input("command", "doctor").input("github-token", WORKFLOW_TOKEN);
    job.workflow_token = WORKFLOW_TOKEN.to_owned();
    let ran = job.run();
    assert_eq!(ran.exit, 4, "{}", ran.raw);
    assert!(ran.log.contains("denied   GitHub credential: the workflow's own GITHUB_TOKEN can neither"), "{}", ran.log);
    assert!(ran.log.contains("hint: best: `github-token-path`"), "{}", ran.log);
    assert!(ran.summary.starts_with("## doctor\n"), "{}", ran.summary);
}

#[test]
fn what_a_server_says_gives_no_command() {
    let services = Services::start();
    let hostile = "no\n::error::injected\r::error::injected ##[error]injected %0A::error::injected";
    services
        .sandbox
        .fault(json!([{"match": {"service": "github"}, "do": {"status": 403, "body": {"message": hostile}}}]))
        .unwrap();
    let ran = job(&services).run();
    assert_ne!(ran.exit, 0, "{}", ran.raw);
    assert!(ran.raw.contains("injected"), "the server's words are shown: {}", ran.raw);
    assert!(!ran.commands.iter().any(|command| command.data == "injected"), "{}", ran.raw);
}

#[test]
fn signs_in_with_the_jobs_identity_and_a_token_out_of_esc() {
    let services = Services::start();
    let ran = job(&services)
        .input("pulumi-access-token", "")
        .input("github-token", "")
        .input("oidc-organization", "payready")
        .input("github-token-path", "github.token")
        .run();
    assert_eq!(ran.exit, 0, "{}", ran.raw);
    services.assert_all_secrets_are_there(&ran.raw);
    assert_no_secret(&ran.log);
}

#[test]
fn without_targets_the_current_repository_is_meant() {
    let services = Services::start();
    let job = job(&services);
    let (head, _) = DEFINITION.split_once("targets:").unwrap();
    define(&job, &format!("{head}sync:\n  fingerprintKey: sophia.fingerprintKey\n"));
    let ran = job.run();
    assert_eq!(ran.exit, 0, "{}", ran.raw);
    services.assert_all_secrets_are_there(&ran.raw);
}

/// A job with the secrets injected that `value_of` says.
fn canary(services: &Services, value_of: impl Fn(&str, &str) -> String) -> Ran {
    let mut job = job(services).input("command", "verify");
    for (name, value) in crate::services::EXPECTED {
        job = job.env(name, value_of(name, value));
    }
    job.run()
}

#[test]
fn the_canary_proves_what_was_delivered() {
    let services = Services::start();
    assert_eq!(job(&services).run().exit, 0);
    let delivered = canary(&services, |_, value| value.to_owned());
    assert_eq!(delivered.exit, 0, "{}", delivered.raw);
    assert!(delivered.log.contains("3 of 3 secrets are what was synced."), "{}", delivered.log);
    let stale = canary(&services, |name, value| format!("{value}{}", if name == "SIGNING_KEY" { "x" } else { "" }));
    assert_eq!((stale.exit, stale.outputs["exit-code"].as_str()), (10, "10"), "{}", stale.raw);
    assert!(stale.log.contains("! SIGNING_KEY       different"), "{}", stale.log);
    let absent = job(&services).input("command", "verify").input("args", "signing_key").run();
    assert_eq!(absent.exit, 10);
    assert!(absent.log.contains("! SIGNING_KEY  absent"), "{}", absent.log);
    for ran in [delivered, stale, absent] {
        assert_no_secret(&ran.log);
        assert_no_secret(&ran.summary);
    }
}

#[test]
fn the_canary_needs_something_to_compare() {
    let services = Services::start();
    let never_synced = canary(&services, |_, value| value.to_owned());
    assert_eq!(never_synced.exit, 3, "{}", never_synced.raw);
    assert!(never_synced.raw.contains("ledger-missing"), "{}", never_synced.raw);
    assert_eq!(job(&services).run().exit, 0);
    let nothing_injected = job(&services).input("command", "verify").run();
    assert_eq!(nothing_injected.exit, 2, "{}", nothing_injected.raw);
}

#[test]
fn commands_that_hand_out_values_mask_them_first_and_pass_no_credential_on() {
    let services = Services::start();
    for (command, args) in [("export-env", "--as json"), ("run", "--no-redact -- env")] {
        let ran = job(&services).input("command", command).input("args", args).run();
        assert_eq!(ran.exit, 0, "{}", ran.raw);
        assert!(ran.log.contains("OPENAI_API_KEY") && ran.raw.contains("marker-openai $x"), "{}", ran.raw);
        assert_no_secret(&ran.log);
        let printed = ran.raw.lines().filter(|line| !line.starts_with("::add-mask::"));
        let credentials: Vec<&str> =
            printed.filter(|line| line.contains(GITHUB_TOKEN) || line.contains(PULUMI_TOKEN)).collect();
        assert_eq!(credentials, [] as [&str; 0]);
    }
}
