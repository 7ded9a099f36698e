//! The shell of the release workflow, run step by step: a repository and its remote, a signing key, an archive.
//!
//! Real are git, ssh-keygen, tar, sha256sum and the scripts themselves, read out of the workflow. `gh` and `cargo`
//! are stand-ins that write down how they were called; nothing here shows that GitHub takes what they would send.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value as Json;

use crate::install::program;
use crate::manifest::{Asset, manifest};
use crate::release::{ASSET, TARGET};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const BINARY: &str = "#!/bin/sh\n[ \"$1\" = action ] && echo \"released: $SOPHIA_INPUT_COMMAND\" || echo \"sophia-secrets-sync $SAYS\"\n";

struct World {
    folder: tempfile::TempDir,
    workflow: Json,
    /// Commit A.
    commit: String,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ours = Path::new(env!("CARGO_MANIFEST_DIR"));
        let workflow = std::fs::read_to_string(ours.join(".github/workflows/release.yml")).unwrap();
        let workflow = yaml_serde::from_str(&workflow).unwrap();
        let world = Self { folder, workflow, commit: String::new() };
        for part in ["repository/dist", "repository/built", "home", "temp", "tools"] {
            std::fs::create_dir_all(world.path(part)).unwrap();
        }
        for file in [
            "dist/run.sh",
            "dist/pack.sh",
            "dist/manifest.json",
            "README.md",
            "CHANGELOG.md",
            "LICENSE-MIT",
            "LICENSE-APACHE",
        ] {
            std::fs::copy(ours.join(file), world.path("repository").join(file)).unwrap();
        }
        std::fs::write(world.path("repository/.gitignore"), "/packed/\n/built/\n/target/\n").unwrap();
        let key = world.path("temp/key");
        let keygen = ["-q", "-t", "ed25519", "-N", "", "-C", "release", "-f", key.to_str().unwrap()];
        assert!(Command::new("ssh-keygen").args(keygen).status().unwrap().success());
        let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
        std::fs::write(world.path("signers"), format!("* {public}")).unwrap();
        world.git("home", &["init", "--quiet", "--bare", "--initial-branch=main", "../origin.git"]);
        world.git("repository", &["init", "--quiet", "--initial-branch=main"]);
        world.git("repository", &["remote", "add", "origin", "../origin.git"]);
        world.git("repository", &["add", "."]);
        let author = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
        world.git("repository", &[&author[..], &["commit", "--quiet", "-m", "A"]].concat());
        world.git("repository", &["push", "--quiet", "origin", "main"]);
        let commit = world.git("repository", &["rev-parse", "HEAD"]);
        program(&world.path("tools"), "gh", "printf '%s\\n' \"gh $*\" >>\"$CALLS\"");
        program(
            &world.path("tools"),
            "cargo",
            "printf '%s\\n' \"cargo $*\" >>\"$CALLS\"\ncase $1 in\n\
             build) mkdir -p \"target/$TARGET/release\"; cp built/* \"target/$TARGET/release/\" ;;\n\
             cyclonedx) echo '{}' >sophia-secrets-sync.cdx.json ;;\nrun) cat \"$MANIFEST\" ;;\nesac",
        );
        program(&world.path("tools"), "rustup", "printf '%s\\n' \"rustup $*\" >>\"$CALLS\"");
        Self { commit, ..world }
    }

    fn path(&self, part: &str) -> PathBuf {
        self.folder.path().join(part)
    }

    fn git(&self, folder: &str, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.args(arguments).current_dir(self.path(folder)).env("HOME", self.path("home"));
        let output = git.env("GIT_CONFIG_NOSYSTEM", "1").output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Runs the script of one step, as `shell: bash` does.
    fn step(&self, job: &str, name: &str) -> Output {
        let steps = self.workflow["jobs"][job]["steps"].as_array().unwrap();
        let step = steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("no step `{name}`"));
        let script = step["run"].as_str().unwrap();
        assert!(!script.contains("${{"), "an expression is pasted into `{name}`");
        let path = std::env::var("PATH").unwrap();
        Command::new("bash")
            .args(["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script])
            .current_dir(self.path("repository"))
            .env_clear()
            .env("PATH", format!("{}:{path}", self.path("tools").display()))
            .env("HOME", self.path("home"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("RUNNER_TEMP", self.path("temp"))
            .env("GITHUB_SHA", &self.commit)
            .env("GITHUB_REPOSITORY", "payready/sophia-secrets-sync")
            .env("VERSION", VERSION)
            .env("TARGET", TARGET)
            .env("SIGNING_KEY", std::fs::read_to_string(self.path("temp/key")).unwrap())
            .env("SAYS", VERSION)
            .env("CALLS", self.path("calls"))
            .env("MANIFEST", self.path("made.json"))
            // Where the release would be.
            .env("SOPHIA_INPUT_DOWNLOAD_URL", format!("file://{}", self.path("repository/packed").display()))
            .output()
            .unwrap()
    }

    #[track_caller]
    fn succeeds(&self, job: &str, name: &str) -> String {
        let output = self.step(job, name);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {text}");
        text
    }

    /// Runs the steps that lead to the archives and their checksums.
    fn build(&self) {
        program(&self.path("repository/built"), "sophia-secrets-sync", BINARY.trim_start_matches("#!/bin/sh\n"));
        self.succeeds("build", "Build");
        self.succeeds("build", "Look at what was built, and pack it");
        let archive = std::fs::read(self.path("repository/packed").join(ASSET)).unwrap();
        let text = manifest(VERSION, &self.commit, vec![Asset::new(ASSET, &archive).unwrap()]).unwrap();
        std::fs::write(self.path("made.json"), text).unwrap();
        self.succeeds("publish", "Checksums and the list of what is inside");
    }

    fn calls(&self) -> String {
        std::fs::read_to_string(self.path("calls")).unwrap()
    }
}

#[test]
fn a_release_is_commit_b_that_pins_the_archives_of_commit_a() {
    let world = World::new();
    world.build();
    let sums = std::fs::read_to_string(world.path("repository/packed/SHA256SUMS")).unwrap();
    let files: Vec<&str> = sums.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(files, [ASSET, "sophia-secrets-sync.cdx.json"]);

    world.succeeds("publish", "Commit B, which pins the archives of commit A");
    let tag = format!("v{VERSION}");
    let expected =
        format!("cargo run --locked --quiet --example manifest -- {VERSION} {} packed/{ASSET}\n", world.commit);
    assert!(world.calls().contains(&expected), "{}", world.calls());
    assert_eq!(world.git("origin.git", &["rev-parse", "main"]), world.commit, "main itself pins nothing");
    assert_eq!(world.git("origin.git", &["diff", "--name-only", &world.commit, &tag]), "dist/manifest.json");
    assert_eq!(world.git("origin.git", &["rev-parse", &format!("{tag}^{{}}^")]), world.commit);
    let signers = format!("gpg.ssh.allowedSignersFile={}", world.path("signers").display());
    for verify in [["verify-tag", &tag], ["verify-commit", &format!("{tag}^{{}}")]] {
        world.git("origin.git", &[&["-c", &signers], &verify[..]].concat());
    }
    assert!(!world.path("temp/signing-key").exists(), "the signing key is left behind");

    world.succeeds("publish", "Release");
    let calls = world.calls();
    let create = format!("gh release create {tag} --draft --verify-tag --title {VERSION} --notes-file CHANGELOG.md");
    let at = |text: &str| calls.find(text).unwrap_or_else(|| panic!("no `{text}` in {calls}"));
    assert!(at(&create) < at(&format!("gh release edit {tag} --draft=false")));
    for file in [ASSET, "SHA256SUMS", "sophia-secrets-sync.cdx.json"] {
        assert!(calls[at(&create)..].lines().next().unwrap().contains(&format!(" packed/{file}")), "{calls}");
    }
    let installed = world.succeeds("publish", "The action installs what was released");
    assert!(installed.contains("released: demo"), "{installed}");

    world.succeeds("publish", "Move the major tag");
    let major = format!("v{}^{{}}", VERSION.split('.').next().unwrap());
    assert_eq!(
        world.git("origin.git", &["rev-parse", &major]),
        world.git("origin.git", &["rev-parse", &format!("{tag}^{{}}")])
    );
}

#[test]
fn a_version_is_released_once() {
    let world = World::new();
    world.build();
    world.succeeds("publish", "Commit B, which pins the archives of commit A");
    let released = world.git("origin.git", &["rev-parse", &format!("v{VERSION}")]);
    world.git("repository", &["checkout", "--quiet", &world.commit]);
    world.git("repository", &["tag", "--delete", &format!("v{VERSION}")]);
    let rebuilt = manifest(VERSION, &world.commit, vec![Asset::new(ASSET, b"rebuilt").unwrap()]).unwrap();
    std::fs::write(world.path("made.json"), rebuilt).unwrap();
    assert!(!world.step("publish", "Commit B, which pins the archives of commit A").status.success());
    assert_eq!(world.git("origin.git", &["rev-parse", &format!("v{VERSION}")]), released);
}

#[test]
fn commit_b_that_changes_anything_else_is_not_tagged() {
    let world = World::new();
    world.build();
    program(&world.path("repository/.git/hooks"), "pre-commit", "echo more >>README.md; git add README.md");
    let output = world.step("publish", "Commit B, which pins the archives of commit A");
    assert!(!output.status.success());
    assert_eq!(world.git("origin.git", &["tag", "--list"]), "");
}
