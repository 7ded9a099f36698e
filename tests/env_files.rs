//! Files of secrets as people get them wrong, and commands on them that are killed half way.
#![cfg(unix)]
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this is a test, its files are its own"
)]

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};

use serde_json::json;
use sophia_secrets_sync::sandbox::{self, Options, Running};
use tokio::process::Command;

mod support;

const ENVIRONMENT: &str = "payready/sophia-esc/production";
const DOCUMENT: &str =
    "# Kept by the platform team.\nvalues: { api-keys: { OLD: { fn::secret: marker-old } } } # kept\n";
const DEFINITION: &str = "name: sophia-esc\norganization: payready\nsecretGroups: [{ name: api-keys }]\n\
                          defaultStack: production\nenvironments: [{ name: production }]\nsecretMappings:\n  \
                          - { name: FIRST, secretGroup: api-keys, required: false }\n  \
                          - { name: SECOND, secretGroup: api-keys, required: false }\n";

struct World {
    sandbox: Running,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let mut options = Options::new(support::clock);
        let seed = json!({
            "github": {"repositories": {"payready/sophia": {}}},
            "esc": {"environments": {ENVIRONMENT: DOCUMENT}}
        });
        options.seed = serde_json::from_value(seed).unwrap();
        let world = Self { sandbox: sandbox::start(options).await.unwrap(), folder: tempfile::tempdir().unwrap() };
        world.write("pulumi-esc-environment.yaml", DEFINITION.as_bytes());
        world
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join(name), bytes).unwrap();
    }

    fn command(&self, arguments: &[&str], stdin: Stdio) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sophia-secrets-sync"));
        command.args(arguments).current_dir(self.folder.path()).env_clear().env("HOME", self.folder.path());
        command.env("GITHUB_API_URL", &self.sandbox.github_url).env("GITHUB_TOKEN", &self.sandbox.github_token);
        command.env("PULUMI_BACKEND_URL", &self.sandbox.pulumi_url);
        command.env("PULUMI_ACCESS_TOKEN", &self.sandbox.pulumi_token);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// A file of the folder as stdin; none is empty.
    fn stdin(&self, file: Option<&str>) -> Stdio {
        file.map_or_else(Stdio::null, |file| File::open(self.folder.path().join(file)).unwrap().into())
    }

    async fn run(&self, arguments: &[&str], stdin: Option<&str>) -> Output {
        self.command(arguments, self.stdin(stdin)).output().await.unwrap()
    }

    fn document(&self) -> String {
        self.sandbox.state()["esc"]["environments"][ENVIRONMENT]["text"].as_str().unwrap().to_owned()
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// The files that hold a secret in clear, the audit trail and what a kill left behind among them.
    fn in_clear(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if std::fs::read_to_string(&path).unwrap().contains("marker") {
                    found.push(path.strip_prefix(self.folder.path()).unwrap().display().to_string());
                }
            }
        }
        found
    }
}

/// The commands that take a dotenv file.
const TAKERS: [&[&str]; 4] = [
    &["import-env"],
    &["github", "set", "--repo", "payready/sophia", "--env-file"],
    &["sync", "--repo", "payready/sophia", "--env-file"],
    &["leaks", "--env-file"],
];

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_is_refused_before_anything_is_asked_and_shows_no_value() {
    let world = World::new().await;
    let folder = world.folder.path();
    std::fs::create_dir(folder.join("folder")).unwrap();
    File::create(folder.join("large.env")).unwrap().set_len(100 << 20).unwrap();
    world.write("nul.env", b"FIRST=marker-first\nSECOND=marker\0second\n");
    world.write("latin.env", b"FIRST=marker-first\nSECOND=marker-\xe9\xff\n");
    world.write("utf16.env", b"\xff\xfeA\0=\0m\0a\0r\0k\0e\0r\0");
    world.write("twice.env", b"FIRST=marker-first\nFIRST=marker-other\n");
    world.write("closed.env", b"FIRST=marker-first\n");
    std::fs::set_permissions(folder.join("closed.env"), PermissionsExt::from_mode(0o000)).unwrap();
    let mut cases = vec![
        ("missing.env", "file-missing", ""),
        ("folder", "file-unreadable", ""),
        ("large.env", "file-too-large", "input-too-large"),
        ("nul.env", "nul.env:2:14: error[dotenv-nul]", "<stdin>:2:14: error[dotenv-nul]"),
        ("latin.env", "latin.env:2:15: error[dotenv-encoding]", "<stdin>:2:15: error[dotenv-encoding]"),
        ("utf16.env", "utf16.env:1:1: error[dotenv-encoding]", "<stdin>:1:1: error[dotenv-encoding]"),
        ("twice.env", "twice.env:2:1: error[dotenv-duplicate]", "<stdin>:2:1: error[dotenv-duplicate]"),
    ];
    // Reading it fails for everybody; a closed file is open to root.
    if cfg!(target_os = "linux") {
        cases.push(("/proc/self/mem", "file-unreadable", ""));
    }
    if File::open(folder.join("closed.env")).is_err() {
        cases.push(("closed.env", "file-unreadable", ""));
    }
    for taker in TAKERS {
        for (file, said, said_of_stdin) in &cases {
            let stdin = (!said_of_stdin.is_empty()).then_some((*said_of_stdin, "-", Some(*file)));
            for (said, argument, stdin) in [(*said, *file, None)].into_iter().chain(stdin) {
                let output = world.run(&[taker, &[argument]].concat(), stdin).await;
                let error = String::from_utf8(output.stderr).unwrap();
                let label = format!("{taker:?} {argument} {stdin:?}: {error}");
                assert_eq!(output.status.code(), Some(2), "{label}");
                assert!(error.contains(said) && !error.contains("marker"), "{label}");
                assert!(output.stdout.is_empty(), "{label}");
                assert!(world.sandbox.requests().is_empty(), "{label}");
            }
        }
    }
}

/// Runs `arguments` and kills it as the `index`-th request of the world arrives; whether it was still running.
async fn killed(world: &World, arguments: &[&str], stdin: Option<&str>, index: usize) -> bool {
    let mut child = world.command(arguments, world.stdin(stdin)).spawn().unwrap();
    let reached = tokio::select! {
        biased;
        () = world.sandbox.arrived(index) => true,
        _ = child.wait() => false,
    };
    child.kill().await.unwrap();
    child.wait().await.unwrap();
    reached
}

/// How many requests a whole run of `arguments` takes.
async fn requests(arguments: &[&str], stdin: Option<&str>, prepare: impl Fn(&World)) -> usize {
    let world = World::new().await;
    prepare(&world);
    let output = world.run(arguments, stdin).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    world.sandbox.requests().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_killed_at_any_request_wrote_all_or_nothing_and_the_next_does_the_rest() {
    let prepare = |world: &World| world.write(".env", b"FIRST=marker-first\nSECOND='marker-second\nline'\n");
    let last = requests(&["import-env"], None, prepare).await;
    assert!(last >= 5, "{last}");
    for index in 1..=last {
        let world = World::new().await;
        prepare(&world);
        assert!(killed(&world, &["import-env"], None, index).await, "{index} of {last}");
        let text = world.document();
        let written = ["marker-first", "marker-second"].map(|marker| text.contains(marker));
        assert!(text == DOCUMENT || written == [true, true], "{index}: {text}");
        let output = world.run(&["import-env"], None).await;
        assert!(output.status.success(), "{index}: {}", String::from_utf8_lossy(&output.stderr));
        let text = world.document();
        for part in ["# Kept by the platform team.", "# kept", "marker-old", "marker-first", "marker-second"] {
            assert_eq!(text.matches(part).count(), 1, "{index}: {part} in {text}");
        }
        assert_eq!(world.in_clear(), [".env"], "{index}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_addition_killed_at_any_request_is_finished_by_the_same_command() {
    let arguments = ["add", "THIRD", "--group", "api-keys"];
    let prepare = |world: &World| world.write("value", b"marker-third");
    let last = requests(&arguments, Some("value"), prepare).await;
    assert!(last >= 5, "{last}");
    for index in 1..=last {
        let world = World::new().await;
        prepare(&world);
        assert!(killed(&world, &arguments, Some("value"), index).await, "{index} of {last}");
        let output = world.run(&arguments, Some("value")).await;
        assert!(output.status.success(), "{index}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(world.document().matches("marker-third").count(), 1, "{index}: {}", world.document());
        assert_eq!(world.text("pulumi-esc-environment.yaml").matches("THIRD").count(), 1, "{index}");
        assert_eq!(world.text("env.example").matches("THIRD").count(), 1, "{index}");
        assert_eq!(world.in_clear(), ["value"], "{index}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_killed_at_any_request_leaves_the_file_as_it_was() {
    let arguments = ["export-env", ".env", "--overwrite"];
    let last = requests(&arguments, None, |_| {}).await;
    for index in 1..=last {
        let world = World::new().await;
        world.write(".env", b"BEFORE=1\n");
        assert!(killed(&world, &arguments, None, index).await, "{index} of {last}");
        assert_eq!(world.text(".env"), "BEFORE=1\n", "{index}");
        assert!(world.in_clear().is_empty(), "{index}: {:?}", world.in_clear());
    }
}
