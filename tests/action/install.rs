//! What `dist/run.sh` does before the binary runs: find, fetch, verify, refuse.

use std::path::{Path, PathBuf};

use crate::release::{ASSET, Answer, Archive, Server, TARGET};
use crate::runner::{Job, Ran};

/// A job that installs the probe; where the probe writes is known.
fn job(name: &str) -> Job {
    let job = Job::new(name);
    let (arguments, environment) = (job.path("arguments"), job.path("environment"));
    job.env("PROBE_ARGUMENTS", arguments).env("PROBE_ENVIRONMENT", environment).env("PROBE_SECRET", "marker-secret")
}

fn ran(job: &Job) -> bool {
    job.path("arguments").exists()
}

#[track_caller]
fn assert_installed(job: &Job, ran: &Ran) {
    assert_eq!(ran.exit, 0, "{}", ran.raw);
    assert!(ran.raw.contains("the probe ran\nand said so\n"), "{}", ran.raw);
    assert_eq!(std::fs::read_to_string(job.path("arguments")).unwrap(), "action\n");
    std::fs::remove_file(job.path("arguments")).unwrap();
}

#[track_caller]
fn assert_refused(job: &Job, result: &Ran, saying: &[&str]) {
    assert_eq!(result.exit, 1, "{}", result.raw);
    assert!(!ran(job), "the binary was run");
    let errors: Vec<_> = result.commands.iter().filter(|command| command.name == "error").collect();
    assert_eq!(errors.len(), 1, "{}", result.raw);
    for words in saying {
        assert!(errors[0].data.contains(words), "{:?} does not say {words}", errors[0].data);
    }
    let left = job.files().into_iter().filter(|file| file.contains("/temp/")).collect::<Vec<_>>();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[test]
fn fetches_once_and_then_runs_from_the_cache_without_a_network() {
    let archive = Archive::of_probe();
    let server = Server::start(vec![Answer::Bytes(archive.0.clone()), Answer::Status(503)]);
    let job = job("job").input("download-url", &server.url);
    archive.pin(&job.action);
    assert_installed(&job, &job.run());
    assert_installed(&job, &job.run());
    assert_eq!(server.requests().len(), 1);
    assert!(server.requests()[0].starts_with(&format!("GET /{ASSET} HTTP")), "{:?}", server.requests());
    assert_eq!(std::fs::read(archive.cached(&job.path("tools"))).unwrap(), archive.0);
}

#[test]
fn outputs_summary_and_masks_of_the_binary_reach_the_job() {
    let job = job("job");
    let archive = Archive::of_probe();
    archive.pin(&job.action);
    let folder = archive.in_folder(&job.path("mirror"));
    let result = job.input("download-url", &folder).run();
    assert_eq!(result.outputs["changed"], "true");
    assert_eq!(result.outputs["created"], "3");
    assert_eq!(result.outputs["failed"], "");
    assert_eq!(result.summary, "# done\n");
    assert!(result.log.contains("::add-mask::***\nthe probe ran\nand said so\nsecret ***\n"), "{}", result.log);
}

#[test]
fn passes_the_exit_code_on() {
    let job = job("job").env("PROBE_EXIT", "5");
    let archive = Archive::of_probe();
    archive.pin(&job.action);
    let folder = archive.in_folder(&job.path("mirror"));
    assert_eq!(job.input("download-url", &folder).run().exit, 5);
}

#[test]
fn refuses_an_archive_with_another_hash_and_shows_both() {
    let archive = Archive::of_probe();
    let other = Archive::of(b"#!/bin/sh\ntouch $PROBE_ARGUMENTS\n", &["sophia-secrets-sync"]);
    let server = Server::start(vec![Answer::Bytes(other.0.clone())]);
    let job = job("job").input("download-url", &server.url);
    archive.pin(&job.action);
    let hash = |archive: &Archive| crate::manifest::Asset::new(ASSET, &archive.0).unwrap().sha256;
    assert_refused(&job, &job.run(), &[ASSET, &hash(&archive), &hash(&other)]);
    assert!(!archive.cached(&job.path("tools")).exists(), "a wrong archive was kept");
}

#[test]
fn mends_a_poisoned_cache_and_warns() {
    let archive = Archive::of_probe();
    let server = Server::start(vec![Answer::Bytes(archive.0.clone())]);
    let job = job("job").input("download-url", &server.url);
    archive.pin(&job.action);
    let cached = archive.cached(&job.path("tools"));
    std::fs::create_dir_all(cached.parent().unwrap()).unwrap();
    std::fs::write(&cached, Archive::of(b"#!/bin/sh\necho poison\n", &["sophia-secrets-sync"]).0).unwrap();
    let result = job.run();
    assert_installed(&job, &result);
    assert!(!result.raw.contains("poison"), "{}", result.raw);
    assert!(result.commands.iter().any(|command| command.name == "warning" && command.data.contains("was altered")));
    assert_eq!(std::fs::read(cached).unwrap(), archive.0);
}

#[test]
fn a_poisoned_cache_without_a_network_is_an_error() {
    let archive = Archive::of_probe();
    let job = job("job").input("download-url", "http://127.0.0.1:1/");
    archive.pin(&job.action);
    let cached = archive.cached(&job.path("tools"));
    std::fs::create_dir_all(cached.parent().unwrap()).unwrap();
    std::fs::write(&cached, "poison").unwrap();
    assert_refused(&job, &job.run(), &["could not be fetched", "127.0.0.1:1"]);
}

#[test]
fn tries_again_after_a_server_error() {
    let archive = Archive::of_probe();
    let server = Server::start(vec![Answer::Status(500), Answer::Bytes(archive.0.clone())]);
    let job = job("job").input("download-url", &server.url);
    archive.pin(&job.action);
    assert_installed(&job, &job.run());
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_missing_archive_is_asked_for_once() {
    let server = Server::start(vec![Answer::Status(404)]);
    let job = job("job").input("download-url", &format!("{}/mirror/", server.url));
    Archive::of_probe().pin(&job.action);
    assert_refused(&job, &job.run(), &["404", ASSET, "release 1.2.3", &server.url]);
    assert_eq!(server.requests().len(), 1);
    assert!(server.requests()[0].starts_with(&format!("GET /mirror/{ASSET} ")));
}

#[test]
fn a_truncated_download_is_refused() {
    let archive = Archive::of_probe();
    let server = Server::start(vec![Answer::Cut(archive.0.clone())]);
    let job = job("job").input("download-url", &server.url);
    archive.pin(&job.action);
    assert_refused(&job, &job.run(), &["could not be fetched", "curl: (18)"]);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_download_that_broke_off_is_asked_for_once_more() {
    let archive = Archive::of_probe();
    let server = Server::start(vec![Answer::Cut(archive.0.clone()), Answer::Bytes(archive.0.clone())]);
    let job = job("job").input("download-url", &server.url);
    archive.pin(&job.action);
    assert_installed(&job, &job.run());
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_server_that_sends_more_than_the_archive_fills_no_disk() {
    let archive = Archive::of_probe();
    let server = Server::start(vec![Answer::Endless]);
    let job = job("job").input("download-url", &server.url);
    archive.pin(&job.action);
    assert_refused(&job, &job.run(), &["could not be fetched"]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_binary_that_does_not_start_is_an_error_that_says_why() {
    let archive = Archive::of(b"\x7fELF of another machine", &["sophia-secrets-sync"]);
    let job = job("job");
    archive.pin(&job.action);
    let folder = archive.in_folder(&job.path("mirror"));
    let job = job.input("download-url", &folder);
    assert_refused(&job, &job.run(), &["does not start", "noexec"]);
}

#[test]
fn no_place_for_temporary_files_is_named() {
    let job = job("job");
    Archive::of_probe().pin(&job.action);
    std::fs::remove_dir(job.path("temp")).unwrap();
    assert_refused(&job, &job.run(), &["no private folder can be made in", "/temp"]);
}

#[test]
fn a_broken_archive_with_the_right_hash_is_refused() {
    let whole = Archive::of_probe();
    let broken = Archive(whole.0[..whole.0.len() / 2].to_vec());
    let job = job("job");
    broken.pin(&job.action);
    let folder = broken.in_folder(&job.path("mirror"));
    let job = job.input("download-url", &folder);
    assert_refused(&job, &job.run(), &["is broken or holds no sophia-secrets-sync"]);
}

#[test]
fn an_archive_that_climbs_out_writes_nothing() {
    for members in [&["../sophia-secrets-sync"][..], &["../../climbed", "../sophia-secrets-sync"]] {
        let archive = Archive::of(b"#!/bin/sh\ntouch $PROBE_ARGUMENTS\n", members);
        let job = job("job");
        archive.pin(&job.action);
        let folder = archive.in_folder(&job.path("mirror"));
        let job = job.input("download-url", &folder);
        assert_refused(&job, &job.run(), &["holds no sophia-secrets-sync"]);
        assert!(!job.files().iter().any(|file| file.contains("climbed")), "{:?}", job.files());
    }
}

#[test]
fn a_harmless_binary_beside_a_climbing_member_is_the_only_thing_unpacked() {
    let archive = Archive::of(b"#!/bin/sh\necho harmless\n", &["sophia-secrets-sync", "../../climbed"]);
    let job = job("job");
    archive.pin(&job.action);
    let folder = archive.in_folder(&job.path("mirror"));
    let job = job.input("download-url", &folder);
    assert!(job.run().raw.contains("harmless"));
    assert!(!job.files().iter().any(|file| file.contains("climbed")), "{:?}", job.files());
}

#[test]
fn works_in_folders_with_blanks_quotes_and_any_letters() {
    let archive = Archive::of_probe();
    let server = Server::start(vec![Answer::Bytes(archive.0.clone())]);
    let job = job("Jürgen's \"job\" $(touch x) 日本 `id`").input("download-url", &server.url);
    archive.pin(&job.action);
    assert_installed(&job, &job.run());
    assert_installed(&job, &job.run());
}

#[test]
fn a_read_only_cache_is_a_note() {
    let archive = Archive::of_probe();
    let job = job("job");
    archive.pin(&job.action);
    let folder = archive.in_folder(&job.path("mirror"));
    // A file where the folder should be: read-only even for root.
    std::fs::write(job.path("tools").join("sophia-secrets-sync"), "").unwrap();
    let job = job.input("download-url", &folder);
    let result = job.run();
    assert!(result.raw.contains("note: the archive was not kept in the tool cache"), "{}", result.raw);
    assert_installed(&job, &result);
}

#[test]
fn an_unknown_platform_is_named() {
    let tools = tempfile::tempdir().unwrap();
    program(tools.path(), "uname", "echo Plan9 mips");
    let job = job("job").env("PATH", format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap()));
    Archive::of_probe().pin(&job.action);
    assert_refused(&job, &job.run(), &["Plan9 mips", "cargo install", "SOPHIA_SECRETS_SYNC_BIN"]);
}

#[test]
fn a_commit_without_a_release_says_so() {
    let job = job("job");
    assert_refused(&job, &job.run(), &["pins no archive", TARGET, "@v1"]);
}

#[test]
fn without_a_sha256_tool_nothing_runs() {
    let tools = tempfile::tempdir().unwrap();
    for name in ["bash", "env", "uname", "mktemp", "rm", "cp", "curl", "tar", "gzip", "mkdir", "mv", "chmod"] {
        std::os::unix::fs::symlink(on_path(name), tools.path().join(name)).unwrap();
    }
    let archive = Archive::of_probe();
    let job = job("job").env("PATH", tools.path());
    archive.pin(&job.action);
    let folder = archive.in_folder(&job.path("mirror"));
    let job = job.input("download-url", &folder);
    assert_refused(&job, &job.run(), &["neither sha256sum nor shasum"]);
}

#[test]
fn no_token_reaches_a_helper() {
    let tools = tempfile::tempdir().unwrap();
    let seen = tools.path().join("seen");
    let path = std::env::var("PATH").unwrap();
    for name in ["curl", "tar", "sha256sum", "cp", "uname"] {
        let real = on_path(name);
        let log = seen.display();
        program(tools.path(), name, &format!("{{ echo {name}; env; }} >>{log}; exec {} \"$@\"", real.display()));
    }
    let archive = Archive::of_probe();
    let server = Server::start(vec![Answer::Bytes(archive.0.clone())]);
    let job = job("job")
        .env("PATH", format!("{}:{path}", tools.path().display()))
        .env("GITHUB_TOKEN", "marker-job-token")
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "marker-id-token")
        .input("github-token", "marker-github-token")
        .input("pulumi-access-token", "marker-pulumi-token")
        .input("github-app-private-key", "marker-\nprivate-key")
        .input("download-url", &server.url);
    archive.pin(&job.action);
    assert_installed(&job, &job.run());
    let seen = std::fs::read_to_string(seen).unwrap();
    for name in ["curl", "tar", "sha256sum", "cp", "uname"] {
        assert!(seen.contains(&format!("{name}\n")), "{name} was not called");
    }
    assert!(!seen.contains("marker-"), "a helper saw a token");
    assert!(!server.requests()[0].contains("marker-"));
    let environment = std::fs::read_to_string(job.path("environment")).unwrap();
    for (name, token) in [
        ("GITHUB_TOKEN", "marker-job-token"),
        ("SOPHIA_INPUT_GITHUB_TOKEN", "marker-github-token"),
        ("SOPHIA_INPUT_PULUMI_ACCESS_TOKEN", "marker-pulumi-token"),
        ("SOPHIA_INPUT_GITHUB_APP_PRIVATE_KEY", "marker-\nprivate-key"),
    ] {
        assert!(environment.split('\0').any(|pair| pair == format!("{name}={token}")), "{name} did not arrive");
    }
}

#[test]
fn hostile_inputs_are_passed_on_as_they_are_and_run_nothing() {
    let archive = Archive::of_probe();
    let hostile = [
        "$(touch pwned)",
        "`touch pwned`",
        "\"; rm -rf \"$HOME\"; touch pwned; \"",
        "'; touch pwned; '",
        "line\n::error::injected\n##[error]injected",
        "${{ github.token }} %0A::warning::x",
        "*",
        "--help",
    ];
    for value in hostile {
        let job = job("job").input("stack", value).input("args", value).input("definition", value);
        archive.pin(&job.action);
        let folder = archive.in_folder(&job.path("mirror"));
        let job = job.input("download-url", &folder);
        let result = job.run();
        assert_installed(&job, &result);
        let environment = std::fs::read_to_string(job.path("environment")).unwrap();
        for name in ["STACK", "ARGS", "DEFINITION"] {
            assert!(environment.split('\0').any(|pair| pair == format!("SOPHIA_INPUT_{name}={value}")), "{value}");
        }
        assert_eq!(result.commands.len(), 1, "the probe gives one mask: {}", result.raw);
        assert!(!job.files().iter().any(|file| file.contains("pwned")), "{value} was executed");
    }
}

#[test]
fn hostile_download_urls_are_refused_without_a_request() {
    let hostile = [
        "ftp://example.com",
        "http://example.com",
        "http://127.0.0.1.example.com",
        "http://127.0.0.1:80@example.com",
        "https://user:marker-password@example.com",
        "file://etc/",
        "-o/tmp/x",
        "$(touch pwned)",
        "https://example.com\n::error::injected",
        "##[warning]x",
    ];
    for url in hostile {
        let job = job("job").input("download-url", url);
        Archive::of_probe().pin(&job.action);
        let result = job.run();
        assert_refused(&job, &result, &["download-url"]);
        assert!(!result.raw.contains("##["), "{}", result.raw);
        assert!(!result.raw.contains("marker-"), "{}", result.raw);
        assert!(!job.files().iter().any(|file| file.contains("pwned")), "{url} was executed");
    }
}

#[test]
fn a_redirect_cannot_reach_the_file_system() {
    let archive = Archive::of_probe();
    let job = job("job");
    archive.pin(&job.action);
    let folder = archive.in_folder(&job.path("mirror"));
    let server = Server::start(vec![Answer::Redirect(format!("{folder}/{ASSET}"))]);
    let job = job.input("download-url", &server.url);
    assert_refused(&job, &job.run(), &["could not be fetched"]);
}

#[test]
fn nothing_of_the_job_runs_in_the_installer() {
    let archive = Archive::of_probe();
    let job = job("job");
    archive.pin(&job.action);
    let folder = archive.in_folder(&job.path("mirror"));
    let startup = job.path("startup.sh");
    std::fs::write(&startup, "echo startup-file-ran\n").unwrap();
    std::fs::write(job.path("home").join(".curlrc"), "output = /dev/null\n").unwrap();
    let job = job
        .input("download-url", &folder)
        .env("BASH_ENV", &startup)
        .env("ENV", &startup)
        .env("BASH_FUNC_printf%%", "() { echo function-ran; }")
        .env("BASH_FUNC_env%%", "() { echo function-ran; }")
        .env("TAR_OPTIONS", "--checkpoint-action=exec=touch pwned")
        .env("CDPATH", "/")
        .env("SHELLOPTS", "xtrace")
        .env("IFS", "/");
    let result = job.run();
    assert_installed(&job, &result);
    assert!(!result.raw.contains("startup-file-ran") && !result.raw.contains("function-ran"), "{}", result.raw);
    assert!(!job.files().iter().any(|file| file.contains("pwned")));
}

#[test]
fn an_own_binary_needs_its_hash_or_the_word_unverified() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own binary");
    std::fs::write(&own, "#!/bin/sh\necho \"own binary: $*\"\n").unwrap();
    let run = |name: &str, value: &str| job("job").env("SOPHIA_SECRETS_SYNC_BIN", &own).env(name, value).run();
    let refused = |result: &Ran| assert_refused(&job("job"), result, &["SOPHIA_SECRETS_SYNC_BIN"]);
    let hash = {
        use sha2::Digest as _;
        hex::encode(sha2::Sha256::digest(std::fs::read(&own).unwrap()))
    };

    let missing = run("X", "");
    assert!(missing.raw.contains("needs SOPHIA_SECRETS_SYNC_SHA256"), "{}", missing.raw);
    assert_eq!(missing.exit, 1);
    let wrong = run("SOPHIA_SECRETS_SYNC_SHA256", &"0".repeat(64));
    assert!(wrong.raw.contains(&hash) && !wrong.raw.contains("own binary: "), "{}", wrong.raw);
    assert_eq!(wrong.exit, 1);
    let verified = run("SOPHIA_SECRETS_SYNC_SHA256", &hash);
    assert_eq!((verified.exit, verified.raw.as_str()), (0, "own binary: action\n"));
    let unverified = run("SOPHIA_SECRETS_SYNC_SHA256", "unverified");
    assert!(unverified.raw.contains("own binary: action\n"), "{}", unverified.raw);
    assert_eq!(unverified.commands[0].name, "warning");
    let nowhere = job("job").env("SOPHIA_SECRETS_SYNC_BIN", "/nowhere").env("SOPHIA_SECRETS_SYNC_SHA256", &hash);
    refused(&nowhere.run());
}

#[test]
fn the_manifest_tool_and_the_installer_agree() {
    let asset =
        |target: &str| crate::manifest::Asset::new(&format!("sophia-secrets-sync-{target}.tar.gz"), b"x").unwrap();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let text = crate::manifest::manifest("1.0.0", commit, vec![asset(TARGET), asset("aarch64-apple-darwin")]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["commit"], commit);
    assert_eq!(json["assets"].as_object().unwrap().len(), 2);
    assert_eq!(json["assets"][TARGET]["name"], ASSET);
    assert!(crate::manifest::manifest("1.0", commit, vec![asset(TARGET)]).is_err());
    assert!(crate::manifest::manifest("1.0.0", "main", vec![asset(TARGET)]).is_err());
    assert!(crate::manifest::manifest("1.0.0", commit, vec![asset(TARGET), asset(TARGET)]).is_err());
    assert!(crate::manifest::manifest("1.0.0", commit, vec![]).is_err());
    for name in ["other.tar.gz", "sophia-secrets-sync-a/../b.tar.gz", "sophia-secrets-sync-a\".tar.gz"] {
        assert!(crate::manifest::Asset::new(name, b"x").is_err(), "{name}");
    }
}

/// Runs the release's packing script on a program that says `said`.
fn pack(said: &str, out: &Path) -> std::process::Output {
    let built = tempfile::tempdir().unwrap();
    program(built.path(), "sophia-secrets-sync", &format!("echo '{said}'"));
    std::process::Command::new("bash")
        .arg("dist/pack.sh")
        .args([built.path().to_str().unwrap(), TARGET, "1.2.3", out.to_str().unwrap()])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

#[test]
fn what_the_release_packs_is_what_the_installer_takes() {
    let out = tempfile::tempdir().unwrap();
    let packed = pack("sophia-secrets-sync 1.2.3", out.path());
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
    let archive = Archive(std::fs::read(out.path().join(ASSET)).unwrap());
    let job = job("job");
    archive.pin(&job.action);
    let folder = archive.in_folder(&job.path("mirror"));
    let ran = job.input("download-url", &folder).run();
    assert!(ran.raw.ends_with("\nsophia-secrets-sync 1.2.3\n"), "{}", ran.raw);
}

#[test]
fn the_release_packs_no_other_version() {
    let out = tempfile::tempdir().unwrap();
    let packed = pack("sophia-secrets-sync 1.2.2", out.path());
    assert!(!packed.status.success());
    assert!(String::from_utf8_lossy(&packed.stderr).contains("expected version 1.2.3"));
    assert!(!out.path().join(ASSET).exists());
}

#[test]
fn the_installer_stays_readable() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/run.sh")).unwrap();
    assert!(text.lines().count() <= 150);
}

/// The machine's own program of that name.
fn on_path(name: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.exists()).unwrap()
}

/// Puts a small program before all others of its name.
pub fn program(folder: &Path, name: &str, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
