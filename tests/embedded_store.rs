//! The embedded store as its users meet it: through `Source`, on a real disk, with other writers, wrong keys,
//! damaged files and kills.
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "this is a test, its files are its own"
)]

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sophia_secrets_sync::base::environment::EscName;
use sophia_secrets_sync::base::error::Failure;
use sophia_secrets_sync::esc::edit::{Edit, NewValue, apply};
use sophia_secrets_sync::esc::path::lookup;
use sophia_secrets_sync::esc::provider::Providers;
use sophia_secrets_sync::flow::env;
use sophia_secrets_sync::io::age_keys::Identities;
use sophia_secrets_sync::io::esc_local::{EscLocal, Settings};
use sophia_secrets_sync::io::source::{Opened, Secrets, Source as _, Version};
use sophia_secrets_sync::sandbox::{self, Options, Running};

mod support;
use support::Http;

/// A store in a folder that goes with it, and the text of the key that opens it.
struct World {
    folder: tempfile::TempDir,
    key: String,
}

impl World {
    fn new() -> Self {
        let (_, key) = Identities::generate();
        Self { folder: tempfile::tempdir().unwrap(), key: key.to_string() }
    }

    fn store(&self) -> EscLocal {
        store(self.folder.path(), Identities::parse(&self.key).unwrap())
    }

    fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn text(&self, path: &str) -> String {
        read(&self.file(path))
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn store(root: &Path, identities: Identities) -> EscLocal {
    EscLocal::new(Settings {
        root: root.to_owned(),
        identities,
        recipients: Vec::new(),
        author: "alice".into(),
        now: Arc::new(|| "2026-11-24T12:00:00Z".parse().unwrap()),
        providers: Providers::default().tolerant().careful(),
    })
}

fn name(text: &str) -> EscName {
    text.parse().unwrap()
}

fn secret(path: &str, value: &str) -> Edit {
    Edit::Set { path: path.parse().unwrap(), value: NewValue::Secret(value.to_owned().into()) }
}

fn text_at(opened: &Opened, path: &str) -> Option<String> {
    lookup(&opened.values, &path.parse().unwrap()).map(|value| value.to_text())
}

async fn edit(store: &EscLocal, at: &EscName, edits: &[Edit]) -> Result<Option<u64>, Failure> {
    let document = store.read(at, &Version::Latest, Secrets::Encrypted).await?;
    let text = apply(&document.text, edits).unwrap();
    store.update(at, &text, document.etag.as_deref()).await.map(|(revision, _)| revision)
}

/// Every file of a folder with its text.
fn everything(folder: &Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all += &everything(&path);
        } else {
            all += &read(&path);
        }
    }
    all
}

#[tokio::test]
async fn awkward_values_come_back_byte_for_byte_and_never_stand_in_a_file() {
    let world = World::new();
    let (store, at) = (world.store(), name("payready/sophia-esc/production"));
    store.create(&at).await.unwrap();
    let long = format!("marker-long {}", "x".repeat(48 * 1024));
    let values = [
        "marker pa$$word",
        "marker ${not.a.reference}",
        "marker $",
        "marker $${x}",
        "marker\nlines\n",
        "marker\r\nCRLF\r\n",
        "marker blanks  \t ",
        " marker",
        "marker #'\"\\: {}[]|>&*!%@`",
        "märker €𝄞 \u{2028}\u{feff}",
        "marker\u{0}\u{1b}",
        "1234",
        "true",
        &long,
        "-----BEGIN marker-----\nabc\n-----END marker-----\n",
    ];
    let edits: Vec<Edit> =
        values.iter().enumerate().map(|(index, value)| secret(&format!("keys.k{index}"), value)).collect();
    edit(&store, &at, &edits).await.unwrap();
    let opened = store.open(&at, &Version::Latest).await.unwrap();
    for (index, value) in values.iter().enumerate() {
        assert_eq!(text_at(&opened, &format!("keys.k{index}")).as_deref(), Some(*value));
        assert!(lookup(&opened.values, &format!("keys.k{index}").parse().unwrap()).unwrap().secret);
    }
    let files = everything(world.folder.path());
    assert!(!files.contains("marker") && !files.contains("ärker"), "a secret stands in a file");
    // What a person sees and stores back unchanged is the same text, letter by letter.
    let stored = world.text("payready/sophia-esc/production.yaml");
    let shown = store.read(&at, &Version::Latest, Secrets::Decrypted).await.unwrap();
    assert!(shown.text.contains("marker pa$$word"));
    let (revision, warnings) = store.update(&at, &shown.text, shown.etag.as_deref()).await.unwrap();
    assert_eq!((revision, warnings), (Some(2), Vec::new()), "nothing changed, so there is no new revision");
    assert_eq!(world.text("payready/sophia-esc/production.yaml"), stored);
}

#[tokio::test]
async fn imports_are_evaluated_with_their_own_keys() {
    let world = World::new();
    let store = world.store();
    let (base, top) = (name("org/shared/base"), name("org/app/prod"));
    for at in [&base, &top] {
        store.create(at).await.unwrap();
    }
    edit(&store, &base, &[secret("db.password", "one")]).await.unwrap();
    edit(&store, &base, &[secret("db.password", "two")]).await.unwrap();
    store.tag(&base, "stable", Some(2)).unwrap();
    let text =
        "imports: [shared/base]\nvalues:\n  url: x:${db.password}\n  old: ${environments.shared.base.db.password}\n";
    store.update(&top, text, None).await.unwrap();
    let opened = store.open(&top, &Version::Latest).await.unwrap();
    assert_eq!(text_at(&opened, "url").as_deref(), Some("x:two"));
    assert_eq!(opened.revision, Some(2));
    store.update(&top, "imports: ['shared/base@stable']\nvalues: {}\n", None).await.unwrap();
    let opened = store.open(&top, &Version::Latest).await.unwrap();
    assert_eq!(text_at(&opened, "db.password").as_deref(), Some("one"));
    assert_eq!(store.list("org").await.unwrap(), [top.clone(), base.clone()]);

    store.delete(&base).await.unwrap();
    assert!(!store.open(&base, &Version::Latest).await.unwrap_err().hints.concat().contains("rollback"));
    let failure = store.open(&top, &Version::Latest).await.unwrap_err();
    assert_eq!(failure.code, "esc-diagnostics");
    let problem = &failure.problems[0];
    assert!(problem.place.as_ref().unwrap().file.ends_with("org/app/prod.yaml"), "{problem:?}");
    assert!(problem.message.contains("there is no environment `org/shared/base`"), "{problem:?}");
}

#[tokio::test]
async fn revisions_tell_who_and_when_and_roll_back() {
    let world = World::new();
    let (store, at) = (world.store(), name("o/p/e"));
    store.create(&at).await.unwrap();
    for value in ["one", "two", "three"] {
        edit(&store, &at, &[secret("s", value)]).await.unwrap();
    }
    let numbers: Vec<u64> = store.revisions(&at, 3).await.unwrap().iter().map(|revision| revision.number).collect();
    assert_eq!(numbers, [4, 3, 2]);
    let newest = &store.revisions(&at, 1).await.unwrap()[0];
    assert_eq!((newest.author.as_str(), newest.created.to_string().as_str()), ("alice", "2026-11-24T12:00:00Z"));
    let second = store.open(&at, &Version::Revision(2)).await.unwrap();
    assert_eq!(text_at(&second, "s").as_deref(), Some("one"));
    let old = store.read(&at, &Version::Revision(2), Secrets::Encrypted).await.unwrap();
    assert_eq!(store.update(&at, &old.text, None).await.unwrap().0, Some(5));
    assert_eq!(text_at(&store.open(&at, &Version::Latest).await.unwrap(), "s").as_deref(), Some("one"));
    assert_eq!(store.open(&at, &Version::Revision(9)).await.unwrap_err().code, "esc-not-found");
    assert_eq!(store.open(&at, &Version::Tag("none".into())).await.unwrap_err().code, "esc-not-found");
}

#[tokio::test]
async fn what_is_edited_by_hand_is_warned_about_recorded_and_encrypted() {
    let world = World::new();
    let (store, at) = (world.store(), name("o/p/e"));
    store.create(&at).await.unwrap();
    write(&world.file("o/p/e.yaml"), "# mine\nvalues:\n  s: {fn::secret: pa$$word} # here\n");
    let opened = store.open(&at, &Version::Latest).await.unwrap();
    assert_eq!((text_at(&opened, "s").as_deref(), opened.revision), (Some("pa$$word"), None));
    let warning = &opened.warnings[0];
    assert_eq!((warning.path.as_deref(), warning.range.as_ref().unwrap().begin.line()), (Some("values.s"), 3));

    edit(&store, &at, &[Edit::Set { path: "num".parse().unwrap(), value: NewValue::Yaml("1".into()) }]).await.unwrap();
    let text = world.text("o/p/e.yaml");
    assert!(
        text.starts_with("# mine\nvalues:\n  s: {fn::secret: {ciphertext: ") && text.contains("}} # here\n  num: 1\n"),
        "{text}"
    );
    let opened = store.open(&at, &Version::Latest).await.unwrap();
    assert_eq!(
        (text_at(&opened, "s").as_deref(), opened.revision, opened.warnings.len()),
        (Some("pa$$word"), Some(3), 0)
    );
    let authors: Vec<String> =
        store.revisions(&at, 9).await.unwrap().into_iter().map(|revision| revision.author).collect();
    assert_eq!(authors, ["alice", "edited in place", "alice"]);
    let files = everything(world.folder.path());
    assert!(!files.contains("pa$$word"), "a secret stands in a file: {files}");

    // A hand that puts the plain text of the newest revision there changes nothing.
    let shown = store.read(&at, &Version::Latest, Secrets::Decrypted).await.unwrap();
    write(&world.file("o/p/e.yaml"), &shown.text);
    assert_eq!(store.update(&at, &shown.text, None).await.unwrap().0, Some(3));
    assert_eq!((world.text("o/p/e.yaml"), store.revisions(&at, 9).await.unwrap().len()), (text, 3));
}

#[tokio::test]
async fn what_a_hand_left_that_cannot_be_read_is_kept_as_a_secret() {
    let world = World::new();
    let (store, at) = (world.store(), name("o/p/e"));
    store.create(&at).await.unwrap();
    let texts = [
        "values: [",
        "values: {s: {fn::secret: marker ${x} $$}",
        "values: {s: 1}\n---\nvalues: {s: {fn::secret: marker}}\n",
        "values: {s: 1}\n...\nfn::secret: marker\n",
        "---\n---\nvalues: {s: {fn::secret: marker}}\n",
        "other: {fn::secret: [marker]}\nvalues: {}\n",
        "other: {fn::secret: {ciphertext: marker}}\nvalues: {}\n",
        "values: {a: 1}\nother:\n  ? {fn::secret: marker}\n  : 1\n",
        "values:\n  {fn::secret: marker}: 1\n",
        "values: {a: {fn::secret:marker}}\n",
        "values:\n  a: fn::secret:marker\n",
        "other: {fn::secret marker}\nvalues: {}\n",
        // Found, and in a form that cannot be replaced by another.
        "values:\n  s: [fn::secret: marker]\n",
        "\u{feff}\u{feff}values: {s: {fn::secret: marker}}\n",
        "values:\n  s: {fn::secret: [marker]}\n",
        "values:\n  s: {fn::secret: marker, other: 1}\n",
        "values:\n  s: {fn::Secret: marker}\n",
        "values:\n  'fn::secret': {marker: 1}\n",
    ];
    for text in texts {
        write(&world.file("o/p/e.yaml"), text);
        store.update(&at, "values: {}\n", None).await.unwrap();
        assert!(!everything(world.folder.path()).contains("marker"), "{text}");
        let recorded = &store.revisions(&at, 2).await.unwrap()[1];
        assert_eq!(recorded.author, "edited in place", "{text}");
        let opened = store.open(&at, &Version::Revision(recorded.number)).await.unwrap();
        assert_eq!(text_at(&opened, "text").as_deref(), Some(text));
    }
}

#[tokio::test]
async fn a_text_that_speaks_of_secrets_is_only_text() {
    let world = World::new();
    let (store, at) = (world.store(), name("o/p/e"));
    store.create(&at).await.unwrap();
    let texts =
        ["fn::secret", "fn::secret x", "fn::secret:x", "Fn::Secret: x", "the fn::secret of it", "{fn::secret: x}"];
    for text in texts {
        let path = "a.b".parse().unwrap();
        env::set(&store, &at, &path, NewValue::Expression(text.into()), false).await.unwrap();
        assert_eq!(text_at(&store.open(&at, &Version::Latest).await.unwrap(), "a.b").as_deref(), Some(text));
    }
    let values = ["'fn::secret x'", "['fn::secret:x', \"fn::secret\"]", "{a: 'fn::secret: x'}"];
    for value in values {
        env::set(&store, &at, &"a.b".parse().unwrap(), NewValue::Yaml(value.into()), false).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_not_read_is_told_and_the_context_is_pulumi_s() {
    let world = World::new();
    let (store, at) = (world.store(), name("o/p/e"));
    store.create(&at).await.unwrap();
    let text =
        "values:\n  who: ${context.pulumi.organization.login}/${context.pulumi.user.login}\n---\nvalues: {b: 2}\n";
    let (_, warnings) = store.update(&at, text, None).await.unwrap();
    let begin = warnings[0].range.as_ref().unwrap().begin;
    assert!(warnings[0].summary.contains("nothing is read from here on") && begin.line() == 3, "{warnings:?}");
    assert_eq!(text_at(&store.open(&at, &Version::Latest).await.unwrap(), "who").as_deref(), Some("o/alice"));
}

#[tokio::test]
async fn parts_of_a_secret_are_secret() {
    let world = World::new();
    let (store, at) = (world.store(), name("o/p/e"));
    store.create(&at).await.unwrap();
    let text = "values:\n  k: {fn::split: [',', {fn::secret: 'marker1,marker2'}]}\n  x: a ${k[0]}\n  y: {fn::join: ['', ['${k[1]}']]}\n";
    store.update(&at, text, None).await.unwrap();
    for path in ["k", "k[1]", "x", "y"] {
        let found = env::get(&store, &at, &Version::Latest, &path.parse().unwrap(), false).await.unwrap();
        assert!(
            found.secret && !found.value.contains("marker") && !found.json.to_string().contains("marker"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_encrypted_where_it_stands_is_named_and_can_be_removed() {
    let world = World::new();
    let (store, at) = (world.store(), name("o/p/e"));
    store.create(&at).await.unwrap();
    write(&world.file("o/p/e.yaml"), "values:\n  a: [fn::secret: marker, x]\n");
    let failure = env::encrypt(&store, &at).await.unwrap_err();
    let place = failure.problems[0].place.as_ref().unwrap();
    assert!(place.file.ends_with("o/p/e.yaml") && (place.line, place.column) == (2, 7), "{failure:?}");
    let path: sophia_secrets_sync::esc::path::Path = "a".parse().unwrap();
    env::change(&store, &at, "rm", &[Edit::Remove { path }]).await.unwrap();
    assert!(!everything(world.folder.path()).contains("marker"));
}

#[tokio::test]
async fn what_nothing_would_encrypt_is_not_stored() {
    let world = World::new();
    let (store, at) = (world.store(), name("o/p/e"));
    store.create(&at).await.unwrap();
    let (friend, _) = Identities::generate();
    let friend = friend.recipients().remove(0);
    store.add_recipients(&at, std::slice::from_ref(&friend), false).unwrap();
    for (text, line, column) in [
        ("values: {s: 1}\n---\nvalues: {s: {fn::secret: marker}}\n", 3, 14),
        ("other: {fn::secret: [marker]}\nvalues: {}\n", 1, 9),
        ("values: {}\nother: {fn::Secret: marker}\n", 2, 9),
        ("values: {}\nother:\n  fn::secret: marker\n  x: 1\n", 3, 3),
        ("values:\n  a: fn::secret:marker\n", 2, 6),
        ("values: {}\nother: {fn::secret marker}\n", 2, 9),
        ("values:\n  a: [b, fn::secret: marker]\n", 2, 10),
    ] {
        let failure = store.update(&at, text, None).await.unwrap_err();
        let place = failure.problems.last().unwrap().place.clone().unwrap();
        assert_eq!((failure.code, place.line, place.column), ("esc-diagnostics", line, column), "{text}: {failure:?}");
        // Told before, where it was given.
        let given = env::Given { text: text.to_owned(), file: "given.yaml".to_owned() };
        for failure in [
            env::check(&store, &at, Some(&given)).await.unwrap_err(),
            env::replace_by(&store, &at, &given, None).await.unwrap_err(),
            env::init(&store, &name("o/p/other"), Some(&given)).await.unwrap_err(),
        ] {
            let given = failure.problems.last().unwrap().place.clone().unwrap();
            assert_eq!((given.file.as_str(), given.line, given.column), ("given.yaml", line, column), "{failure:?}");
            assert_eq!(failure.kind.exit_code(), 2, "{failure:?}");
        }
        assert!(!world.file("o/p/other.yaml").exists());
        // The same, when it stands there already: it is told, and nothing of it goes on.
        let before = world.text("o/p/e.yaml");
        write(&world.file("o/p/e.yaml"), text);
        let opened = store.open(&at, &Version::Latest).await.unwrap();
        let begin = opened.warnings.last().unwrap().range.as_ref().unwrap().begin;
        assert_eq!((begin.line(), begin.column()), (line, column), "{text}");
        let keys = world.text("o/p/.sophia/e/keys.json");
        let failure = store.remove_recipient(&at, &friend).unwrap_err();
        assert_eq!((failure.code, failure.problems[0].place.clone()), ("esc-diagnostics", Some(place)), "{text}");
        assert_eq!(world.text("o/p/.sophia/e/keys.json"), keys, "{text}");
        write(&world.file("o/p/e.yaml"), &before);
        assert!(!everything(world.folder.path()).contains("marker"), "{text}");
    }
    write(&world.file("o/p/e.yaml"), "values: [");
    assert_eq!(store.remove_recipient(&at, &friend).unwrap_err().code, "esc-diagnostics");
    assert_eq!(store.recipients(&at).unwrap().keys.len(), 2, "nothing is done by halves");
}

#[tokio::test]
async fn a_removed_recipient_gets_nothing_of_what_a_hand_left() {
    let world = World::new();
    let (store, at) = (world.store(), name("o/p/e"));
    store.create(&at).await.unwrap();
    let (friend, key) = Identities::generate();
    store.add_recipients(&at, &friend.recipients(), false).unwrap();
    let old_keys = world.text("o/p/.sophia/e/keys.json");
    write(&world.file("o/p/e.yaml"), "values: {s: {fn::secret: marker}}\n");
    assert_eq!(store.remove_recipient(&at, &friend.recipients()[0]).unwrap(), 2);
    assert!(!everything(world.folder.path()).contains("marker"));
    assert_eq!(text_at(&store.open(&at, &Version::Latest).await.unwrap(), "s").as_deref(), Some("marker"));
    write(&world.file("o/p/.sophia/e/keys.json"), &old_keys);
    let theirs = self::store(world.folder.path(), Identities::parse(&key).unwrap());
    for version in [Version::Latest, Version::Revision(2)] {
        assert_eq!(theirs.open(&at, &version).await.unwrap_err().code, "esc-diagnostics");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn keys_that_something_is_encrypted_with_stay_when_the_write_fails() {
    let world = World::new();
    let (store, at) = (world.store(), name("o/p/e"));
    write(&world.file("o/p/e.yaml"), "values: {s: {fn::secret: marker}}\n");
    // The definition is replaced, and the revision cannot get its number: a folder stands there.
    std::fs::create_dir_all(world.file("o/p/.sophia/e/revisions/000001.yaml/x")).unwrap();
    assert_eq!(store.update(&at, &world.text("o/p/e.yaml"), None).await.unwrap_err().code, "file-unwritable");
    assert!(world.text("o/p/e.yaml").contains("ciphertext"));
    assert_eq!(text_at(&store.open(&at, &Version::Latest).await.unwrap(), "s").as_deref(), Some("marker"));
}

#[tokio::test]
async fn places_name_the_file_that_they_are_in() {
    let world = World::new();
    let store = world.store();
    let file_of = |failure: &Failure| {
        let place = failure.problems[0].place.clone().unwrap();
        (place.file.rsplit('/').take(3).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("/"), place.line)
    };
    for text in ["o/default/prod", "o/default/base", "o/app/prod", "o/app/other"] {
        store.create(&name(text)).await.unwrap();
    }
    let wrong = "values:\n  a: 1\n  b: ${nope}\n";
    for (import, place) in [
        ("prod", ("o/default/prod.yaml".to_owned(), 3)),
        ("base", ("o/default/base.yaml".to_owned(), 3)),
        ("app/other", ("o/app/other.yaml".to_owned(), 3)),
    ] {
        write(&world.file(&place.0), wrong);
        write(&world.file("o/app/prod.yaml"), &format!("imports: [{import}]\nvalues: {{}}\n"));
        let failure = store.open(&name("o/app/prod"), &Version::Latest).await.unwrap_err();
        assert_eq!(file_of(&failure), place);
    }
    write(&world.file("o/app/prod.yaml"), wrong);
    let failure = store.open(&name("o/app/prod"), &Version::Latest).await.unwrap_err();
    assert_eq!(file_of(&failure), ("o/app/prod.yaml".to_owned(), 3));
    // What a change brings stands in no file; what was there before stands where it did.
    let (path, value) = ("c".parse().unwrap(), NewValue::Yaml("${neither}".into()));
    let failure = env::set(&store, &name("o/app/prod"), &path, value, false).await.unwrap_err();
    assert_eq!((failure.kind.exit_code(), failure.problems.len()), (2, 2), "{failure:?}");
    assert_eq!(file_of(&failure), ("o/app/prod.yaml".to_owned(), 3));
    assert_eq!(failure.problems[1].place, None);
    // An encrypted secret moves what stands behind it, in what is stored only.
    write(&world.file("o/app/prod.yaml"), "values:\n  s:\n    fn::secret: marker\n  b: ${nope}\n");
    let failure = env::encrypt(&store, &name("o/app/prod")).await.unwrap_err();
    assert_eq!((file_of(&failure), failure.kind.exit_code()), (("o/app/prod.yaml".to_owned(), 4), 2));
}

#[tokio::test]
async fn without_its_keys_an_environment_gets_no_new_ones() {
    let world = World::new();
    let (store, at, keys) = (world.store(), name("o/p/e"), world.file("o/p/.sophia/e/keys.json"));
    store.create(&at).await.unwrap();
    edit(&store, &at, &[secret("s", "marker")]).await.unwrap();
    std::fs::remove_file(&keys).unwrap();
    for _ in 0..2 {
        let failure = edit(&store, &at, &[secret("t", "marker")]).await.unwrap_err();
        assert_eq!((failure.code, failure.kind.exit_code(), keys.exists()), ("store-keys-missing", 2, false));
        let (friend, _) = Identities::generate();
        let failure = store.add_recipients(&at, &friend.recipients(), false).unwrap_err();
        assert_eq!((failure.code, keys.exists()), ("store-keys-missing", false));
    }
    // A file that never had any gets them with the first secret that is stored, and not with one that is refused.
    write(&world.file("o/p/new.yaml"), "values: {}\n");
    let (at, keys) = (name("o/p/new"), world.file("o/p/.sophia/new/keys.json"));
    let refused = store.update(&at, "values: {s: {fn::secret: marker}, b: '${none}'}\n", None).await.unwrap_err();
    assert_eq!((refused.code, keys.exists()), ("esc-diagnostics", false));
    edit(&store, &at, &[secret("s", "marker")]).await.unwrap();
    assert_eq!(text_at(&store.open(&at, &Version::Latest).await.unwrap(), "s").as_deref(), Some("marker"));
}

#[tokio::test]
async fn git_is_told_to_leave_out_what_belongs_to_a_writer() {
    let world = World::new();
    let (store, at) = (world.store(), name("o/p/e"));
    store.create(&at).await.unwrap();
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(world.folder.path()).output().unwrap()
    };
    assert!(git(&["init", "--quiet"]).status.success());
    let ignored = |path: &str| git(&["check-ignore", "--quiet", path]).status.success();
    let below = |file: &str| format!("o/p/.sophia/e/{file}");
    let told = |when: &str| {
        for file in ["lock", "pending.yaml", "next.yaml", ".x.tmp", "revisions/.x.tmp"] {
            assert!(ignored(&below(file)), "{when}: {file}");
        }
        for file in ["keys.json", "tags.json", "revisions/000001.yaml"] {
            assert!(!ignored(&below(file)), "{when}: {file}");
        }
    };
    told("a new store");
    let old = "# written by sophia-secrets-sync\n.*.tmp\n.sophia/*/lock\n.sophia/*/pending.yaml\n";
    write(&world.file(".gitignore"), old);
    assert!(!ignored(&below("lock")));
    edit(&store, &at, &[secret("s", "marker")]).await.unwrap();
    told("an older one");
    write(&world.file(".gitignore"), "mine\n");
    edit(&store, &at, &[secret("s", "other")]).await.unwrap();
    assert_eq!(world.text(".gitignore"), "mine\n");
}

#[tokio::test]
async fn what_a_killed_writer_left_goes_with_the_next_write() {
    let world = World::new();
    let (store, at) = (world.store(), name("o/p/e"));
    store.create(&at).await.unwrap();
    let before = world.text("o/p/e.yaml");
    let left = [".abc.tmp", "revisions/.def.tmp", "next.yaml", "pending.yaml"];
    for file in left {
        write(&world.file(&format!("o/p/.sophia/e/{file}")), "half");
    }
    assert_eq!(store.read(&at, &Version::Latest, Secrets::Encrypted).await.unwrap().text, before);
    edit(&store, &at, &[secret("s", "marker")]).await.unwrap();
    for file in left {
        assert!(!world.file(&format!("o/p/.sophia/e/{file}")).exists(), "{file}");
    }
    assert_eq!(store.open(&at, &Version::Latest).await.unwrap().revision, Some(2));
}

#[tokio::test]
async fn a_lost_definition_comes_back_from_its_revisions() {
    let world = World::new();
    let (store, at) = (world.store(), name("o/p/e"));
    store.create(&at).await.unwrap();
    edit(&store, &at, &[secret("s", "marker")]).await.unwrap();
    std::fs::remove_file(world.file("o/p/e.yaml")).unwrap();
    let failure = store.open(&at, &Version::Latest).await.unwrap_err();
    assert!(failure.hints.concat().contains("`env rollback o/p/e@2`"), "{failure:?}");
    store.create(&at).await.unwrap();
    env::rollback(&store, &at, &Version::Revision(2)).await.unwrap();
    assert_eq!(text_at(&store.open(&at, &Version::Latest).await.unwrap(), "s").as_deref(), Some("marker"));
}

#[tokio::test]
async fn many_who_set_at_once_all_succeed() {
    let world = World::new();
    let at = name("o/p/e");
    world.store().create(&at).await.unwrap();
    let set = |number: usize| {
        let (store, at) = (world.store(), at.clone());
        tokio::spawn(async move {
            let (path, value) = (format!("k{number}").parse().unwrap(), NewValue::Yaml(number.to_string()));
            env::set(&store, &at, &path, value, false).await
        })
    };
    let running: Vec<_> = (0..20).map(set).collect();
    for one in running {
        one.await.unwrap().unwrap();
    }
    let opened = world.store().open(&at, &Version::Latest).await.unwrap();
    assert_eq!(opened.revision, Some(21));
    for number in 0..20 {
        assert_eq!(text_at(&opened, &format!("k{number}")), Some(number.to_string()));
    }
}

#[tokio::test]
async fn a_damaged_revision_does_not_keep_the_definition_from_its_use() {
    let world = World::new();
    let (store, at) = (world.store(), name("o/p/e"));
    store.create(&at).await.unwrap();
    edit(&store, &at, &[secret("s", "marker")]).await.unwrap();
    // A name that no revision has is none.
    write(&world.file("o/p/.sophia/e/revisions/7.yaml"), "of somebody else");
    for damage in [&b"damaged"[..], b"\xff\xfe"] {
        std::fs::write(world.file("o/p/.sophia/e/revisions/000002.yaml"), damage).unwrap();
        let opened = store.open(&at, &Version::Latest).await.unwrap();
        assert_eq!((text_at(&opened, "s").as_deref(), opened.revision), (Some("marker"), None));
        assert_eq!(store.open(&at, &Version::Revision(2)).await.unwrap_err().code, "store-damaged");
    }
    let history = store.revisions(&at, 9).await.unwrap();
    let authors: Vec<&str> = history.iter().map(|revision| revision.author.as_str()).collect();
    assert_eq!(authors, ["(its file is damaged)", "alice"]);
    assert_eq!(edit(&store, &at, &[secret("s", "new")]).await.unwrap(), Some(4));
    assert_eq!(text_at(&store.open(&at, &Version::Revision(3)).await.unwrap(), "s").as_deref(), Some("marker"));
}

#[tokio::test]
async fn a_wrong_key_is_an_authentication_failure_that_names_the_recipients() {
    let world = World::new();
    let (ours, at) = (world.store(), name("o/p/e"));
    ours.create(&at).await.unwrap();
    edit(&ours, &at, &[secret("s", "marker")]).await.unwrap();
    let stranger = Identities::generate().0;
    let theirs = stranger.recipients();
    for wrong in [stranger, Identities::default()] {
        let store = store(world.folder.path(), wrong);
        let failure = store.open(&at, &Version::Latest).await.unwrap_err();
        assert_eq!((failure.code, failure.kind.exit_code()), ("store-key", 4));
        let failure = store.read(&at, &Version::Latest, Secrets::Decrypted).await.err().unwrap();
        assert_eq!(failure.code, "store-key");
        assert_eq!(edit(&store, &at, &[secret("t", "x")]).await.unwrap_err().code, "store-key");
        let plain = Edit::Set { path: "num".parse().unwrap(), value: NewValue::Yaml("1".into()) };
        assert!(edit(&store, &at, &[plain]).await.is_ok(), "what needs no key can be changed without one");
    }
    ours.add_recipients(&at, &theirs, false).unwrap();
    assert_eq!(ours.recipients(&at).unwrap().keys.len(), 2);
}

#[tokio::test]
async fn recipients_come_and_go() {
    let world = World::new();
    let (ours, at) = (world.store(), name("o/p/e"));
    ours.create(&at).await.unwrap();
    edit(&ours, &at, &[secret("s", "marker"), secret("t", "marker")]).await.unwrap();
    let (friend, friend_key) = Identities::generate();
    let recipient = friend.recipients().remove(0);
    let friends = store(world.folder.path(), friend);
    assert!(ours.add_recipients(&at, std::slice::from_ref(&recipient), false).unwrap());
    assert!(!ours.add_recipients(&at, std::slice::from_ref(&recipient), false).unwrap());
    assert_eq!(text_at(&friends.open(&at, &Version::Latest).await.unwrap(), "s").as_deref(), Some("marker"));

    let keys_before = world.text("o/p/.sophia/e/keys.json");
    let before = world.text("o/p/e.yaml");
    assert_eq!(ours.remove_recipient(&at, &recipient).unwrap(), 3);
    assert_ne!(world.text("o/p/e.yaml"), before);
    assert_eq!(friends.open(&at, &Version::Latest).await.unwrap_err().code, "store-key");
    assert_eq!(text_at(&ours.open(&at, &Version::Latest).await.unwrap(), "t").as_deref(), Some("marker"));
    assert_eq!(text_at(&ours.open(&at, &Version::Revision(2)).await.unwrap(), "t").as_deref(), Some("marker"));
    // Even with the keys it once had, the new text stays closed.
    write(&world.file("o/p/.sophia/e/keys.json"), &keys_before);
    let friends = store(world.folder.path(), Identities::parse(&friend_key).unwrap());
    let failure = friends.open(&at, &Version::Latest).await.unwrap_err();
    assert!(failure.problems[0].message.contains("no data key"), "{failure:?}");
    let own = Identities::parse(&world.key).unwrap().recipients().remove(0);
    assert_eq!(world.store().remove_recipient(&at, &recipient).map(drop), Ok(()));
    assert_eq!(world.store().remove_recipient(&at, &own).unwrap_err().code, "store-recipient");
    assert_eq!(world.store().remove_recipient(&at, &recipient).unwrap_err().code, "store-recipient");
}

#[tokio::test]
async fn damaged_and_foreign_ciphertext_is_named_with_file_line_and_path() {
    let world = World::new();
    let store = world.store();
    let (one, two) = (name("o/p/one"), name("o/p/two"));
    for at in [&one, &two] {
        store.create(at).await.unwrap();
        edit(&store, at, &[secret("a.b", "marker")]).await.unwrap();
    }
    let (ours, theirs) = (world.text("o/p/one.yaml"), world.text("o/p/two.yaml"));
    let envelope = ours.split("ciphertext: ").nth(1).unwrap().trim().trim_matches('"').to_owned();
    let cut = &envelope[..12];
    let middle = envelope.len() / 2;
    let flipped = format!(
        "{}{}{}",
        &envelope[..middle],
        if &envelope[middle..=middle] == "A" { "B" } else { "A" },
        &envelope[middle + 1..]
    );
    for (text, words) in [
        (theirs, "belongs to another environment"),
        (ours.replace(&envelope, cut), "invalid ciphertext: EOF"),
        (ours.replace(&envelope, &flipped), "invalid ciphertext: invalid checksum"),
        (ours.replace(&envelope, "nonsense!"), "invalid ciphertext: illegal base64"),
    ] {
        write(&world.file("o/p/one.yaml"), &text);
        for failure in [
            store.open(&one, &Version::Latest).await.unwrap_err(),
            store.read(&one, &Version::Latest, Secrets::Decrypted).await.err().unwrap(),
        ] {
            let problem = &failure.problems[0];
            let place = problem.place.as_ref().unwrap();
            assert!(problem.message.contains(words) && problem.message.contains("values.a.b"), "{problem:?}");
            assert!(place.file.ends_with("o/p/one.yaml") && (3..=6).contains(&place.line), "{place:?}");
        }
    }
    // The damaged one can be replaced.
    edit(&store, &one, &[secret("a.b", "new")]).await.unwrap();
    assert_eq!(text_at(&store.open(&one, &Version::Latest).await.unwrap(), "a.b").as_deref(), Some("new"));
    // Copying a file without its folder `.sophia` is told as such.
    write(&world.file("o/q/copy.yaml"), &world.text("o/p/one.yaml"));
    let failure = store.open(&name("o/q/copy"), &Version::Latest).await.unwrap_err();
    assert!(format!("{failure:?}").contains("copy or commit both together"), "{failure:?}");
}

#[tokio::test]
async fn the_second_of_two_writers_is_told() {
    let world = World::new();
    let (store, at) = (world.store(), name("o/p/e"));
    store.create(&at).await.unwrap();
    assert_eq!(store.create(&at).await.unwrap_err().code, "esc-exists");
    let read = store.read(&at, &Version::Latest, Secrets::Encrypted).await.unwrap();
    edit(&store, &at, &[secret("s", "first")]).await.unwrap();
    let text = apply(&read.text, &[secret("s", "second")]).unwrap();
    let failure = store.update(&at, &text, read.etag.as_deref()).await.unwrap_err();
    assert_eq!((failure.code, failure.kind.exit_code()), ("esc-conflict", 3));
    assert_eq!(text_at(&store.open(&at, &Version::Latest).await.unwrap(), "s").as_deref(), Some("first"));
}

#[tokio::test]
async fn what_is_wrong_is_not_written() {
    let world = World::new();
    let (store, at) = (world.store(), name("o/p/e"));
    assert_eq!(store.open(&at, &Version::Latest).await.unwrap_err().code, "esc-not-found");
    assert_eq!(store.update(&at, "", None).await.unwrap_err().code, "esc-not-found");
    store.create(&at).await.unwrap();
    let before = everything(world.folder.path());
    for text in [
        "values: [",
        "values: {a: &x 1, b: *x}",
        "values: {a: '${missing}'}",
        "imports: [p/e]\nvalues: {}",
        "values: {a: {fn::secret: [1]}}",
    ] {
        let failure = store.update(&at, text, None).await.unwrap_err();
        assert_eq!(failure.code, "esc-diagnostics", "{text}");
        assert!(failure.problems[0].place.is_some(), "{text}: {failure:?}");
        assert_eq!(everything(world.folder.path()), before);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_that_cannot_be_written_is_told_with_its_path() {
    let store = store(Path::new("/proc/embedded-store"), Identities::generate().0);
    let failure = store.create(&name("o/p/e")).await.unwrap_err();
    assert_eq!(failure.code, "file-unwritable");
    assert!(failure.message.contains("/proc/embedded-store"), "{failure:?}");
}

#[tokio::test]
async fn new_environments_need_somebody_who_can_open_them() {
    let folder = tempfile::tempdir().unwrap();
    let failure = store(folder.path(), Identities::default()).create(&name("o/p/e")).await.unwrap_err();
    assert_eq!((failure.code, failure.kind.exit_code()), ("store-recipient", 4));
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    world.store().create(&name("o/p/e")).await.unwrap();
    for file in ["o/p/e.yaml", "o/p/.sophia/e/keys.json", "o/p/.sophia/e/revisions/000001.yaml"] {
        assert_eq!(std::fs::metadata(world.file(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
}

/// Pulumi Cloud on loopback, keeping environments in the store.
async fn served(world: &World) -> (Running, Http) {
    let running = sandbox::start(Options::new(support::clock).keep_in(world.store())).await.unwrap();
    let http = Http::new(&running);
    (running, http)
}

#[tokio::test]
async fn what_clients_of_a_service_write_rests_in_the_store_and_outlives_it() {
    use http::Method;
    let world = World::new();
    let (at, path) = (name("o/p/e"), "/api/esc/environments/o/p/e");
    let (_running, http) = served(&world).await;
    let new = json!({"project": "p", "name": "e"});
    assert_eq!(http.pulumi(Method::POST, "/api/esc/environments/o", "", Some(new.clone())).await.status, 204);
    assert_eq!(http.pulumi(Method::POST, "/api/esc/environments/o", "", Some(new)).await.status, 409);
    let text = "values: {s: {fn::secret: 'marker $${x}'}, copy: '${s}', n: 1} # mine\n";
    let written = http.put_text(path, text, "").await;
    assert_eq!((written.status, written.header("pulumi-esc-revision").as_str()), (200, "2"));
    let tag = json!({"name": "stable", "revision": 2});
    assert_eq!(http.pulumi(Method::POST, &format!("{path}/versions/tags"), "", Some(tag)).await.status, 204);
    let tag = json!({"name": "team", "value": "ops"});
    assert_eq!(http.pulumi(Method::POST, &format!("{path}/tags"), "", Some(tag)).await.status, 200);
    let protection = Some(json!({"deletionProtected": true}));
    assert_eq!(http.pulumi(Method::PATCH, &format!("{path}/settings"), "", protection).await.status, 200);
    let files = everything(world.folder.path());
    assert!(!files.contains("marker") && files.contains("# mine"), "{files}");

    // The commands on the folder read it, and know the tag and the protection.
    let store = world.store();
    let opened = store.open(&at, &Version::Tag("stable".into())).await.unwrap();
    assert_eq!((text_at(&opened, "copy").as_deref(), opened.revision), (Some("marker $${x}"), Some(2)));
    assert_eq!(store.delete(&at).await.unwrap_err().code, "esc-protected");

    // A service that starts later finds everything, also what was written to the folder in between.
    drop(http);
    edit(&store, &at, &[secret("s", "marker-second")]).await.unwrap();
    let (_running, http) = served(&world).await;
    let read = http.pulumi(Method::GET, &format!("{path}/decrypt"), "", None).await;
    assert_eq!(read.header("pulumi-esc-revision"), "3");
    assert!(read.text.contains("marker-second") && read.text.contains("# mine"), "{}", read.text);
    let id = http.pulumi(Method::POST, &format!("{path}/open"), "", None).await.json["id"].clone();
    let opened = http.pulumi(Method::GET, &format!("{path}/open/{}", id.as_str().unwrap()), "", None).await.json;
    assert_eq!(opened["properties"]["copy"]["value"], "marker-second");
    let versions = http.pulumi(Method::GET, &format!("{path}/versions"), "", None).await.json;
    let found: Vec<_> = versions.as_array().unwrap().iter().map(|one| (&one["number"], &one["creatorLogin"])).collect();
    assert_eq!(json!(found), json!([[3, "alice"], [2, "sandbox"], [1, "sandbox"]]));
    assert_eq!(versions[1]["tags"], json!(["stable"]));
    let tags = http.pulumi(Method::GET, &format!("{path}/tags"), "", None).await.json;
    assert_eq!(tags["tags"]["team"]["value"], "ops");
    assert_eq!(http.pulumi(Method::DELETE, path, "", None).await.status, 409);

    // While it serves, a hand's work in the folder is the latest revision, and an update over it is a conflict.
    let file = world.file("o/p/e.yaml");
    write(&file, &world.text("o/p/e.yaml").replace("n: 1", "n: 2"));
    let old = http.put_text(path, "values: {n: 3}\n", &read.header("etag")).await;
    assert_eq!(old.status, 409, "{}", old.text);
    let current = http.pulumi(Method::GET, path, "", None).await;
    assert_eq!(current.header("pulumi-esc-revision"), "4");
    let updated = http.put_text(path, "values: {n: 3}\n", &current.header("etag")).await;
    assert_eq!((updated.status, updated.header("pulumi-esc-revision").as_str()), (200, "5"));
    let authors: Vec<String> =
        store.revisions(&at, 2).await.unwrap().into_iter().map(|revision| revision.author).collect();
    assert_eq!(authors, ["sandbox", "edited in place"]);
}

#[tokio::test]
async fn nobody_gets_at_a_served_store_without_the_token_of_this_start() {
    use http::Method;
    let world = World::new();
    world.store().create(&name("o/p/e")).await.unwrap();
    edit(&world.store(), &name("o/p/e"), &[secret("s", "marker")]).await.unwrap();
    let before = world.text("o/p/e.yaml");
    let (running, http) = served(&world).await;
    let (again, _) = served(&world).await;
    assert!(running.pulumi_token.len() == 44 && running.pulumi_token != again.pulumi_token);
    let path = "/api/esc/environments/o/p/e/decrypt";
    assert_eq!(http.pulumi(Method::GET, path, "pul-sandbox", None).await.status, 401);
    assert!(http.pulumi(Method::GET, path, "", None).await.text.contains("marker"));

    let own = format!("token {}", running.pulumi_token);
    let state = format!("{}/_sandbox/state", running.github_url);
    let overwrite = json!({"esc": {"environments": {"o/p/e": "values: {}"}, "tokens": {"pul-mine": {}}}}).to_string();
    for url in
        [&state, &state.replace("/_sandbox", "/api/v3/%5Fsandbox"), &format!("{}/_sandbox/state", running.pulumi_url)]
    {
        for token in ["", "token pul-sandbox", "Bearer ghp_sandbox"] {
            let shown = http.send(Method::GET, url, token, None, &[]).await.unwrap();
            assert!(shown.status == 401 && !shown.text.contains("marker"), "{url} {token}: {}", shown.text);
            let written = http.send(Method::PATCH, url, token, Some(overwrite.clone()), &[]).await.unwrap();
            assert_eq!(written.status, 401, "{url} {token}");
        }
        assert!(http.send(Method::GET, url, &own, None, &[]).await.unwrap().text.contains("marker"));
    }
    // No job's token, which would be good for everything, and no id token for it.
    let exchange = format!("{}/api/oauth/token", running.pulumi_url);
    assert_eq!(http.send(Method::POST, &exchange, "", Some("{}".into()), &[]).await.unwrap().status, 401);
    let bearer = format!("Bearer {}", running.id_token_request_token);
    assert_eq!(http.send(Method::GET, &running.id_token_url, &bearer, None, &[]).await.unwrap().status, 401);
    // A web page whose host name was made to point here.
    let port = running.github_url.rsplit_once(':').unwrap().1;
    for (host, status) in
        [(format!("attacker.example:{port}"), 421), ("127.0.0.1".into(), 421), (format!("localhost:{port}"), 200)]
    {
        let answer = http.send(Method::GET, &state, &own, None, &[("host", &host)]).await.unwrap();
        assert_eq!(answer.status, status, "{host}");
    }
    assert_eq!(world.text("o/p/e.yaml"), before);
}

#[tokio::test]
async fn a_service_changes_only_the_revision_tags_that_it_was_asked_to() {
    let world = World::new();
    let (store, at) = (world.store(), name("o/p/e"));
    store.create(&at).await.unwrap();
    edit(&store, &at, &[secret("s", "marker")]).await.unwrap();
    for tag in ["kept", "removed"] {
        store.tag(&at, tag, Some(1)).unwrap();
    }
    let (_, before) = store.held(&at, Vec::new()).unwrap().unwrap();
    // Another process, between the service's look and its write.
    store.tag(&at, "others", Some(2)).unwrap();
    store.tag(&at, "kept", Some(2)).unwrap();
    let mut after = before.clone();
    let mut mine = after.revision_tags.remove("removed").unwrap();
    mine.revision = 2;
    after.revision_tags.insert("mine".into(), mine);
    store.label(&at, &before, &after).unwrap();
    let tags: serde_json::Value = serde_json::from_str(&world.text("o/p/.sophia/e/tags.json")).unwrap();
    assert_eq!(tags, json!({"kept": 2, "mine": 2, "others": 2}));
}

#[tokio::test]
async fn a_service_tells_what_the_store_cannot_open() {
    use http::Method;
    let world = World::new();
    world.store().create(&name("o/p/e")).await.unwrap();
    edit(&world.store(), &name("o/p/e"), &[secret("s", "marker")]).await.unwrap();
    let stranger = store(world.folder.path(), Identities::generate().0);
    let running = sandbox::start(Options::new(support::clock).keep_in(stranger)).await.unwrap();
    let http = Http::new(&running);
    let path = "/api/esc/environments/o/p/e";
    assert_eq!(http.pulumi(Method::GET, path, "", None).await.status, 200);
    for (method, below) in [(Method::GET, "/decrypt"), (Method::POST, "/open")] {
        let refused = http.pulumi(method, &format!("{path}{below}"), "", None).await;
        assert_eq!((refused.status, &refused.json["code"]), (403, &json!(403)));
        assert!(refused.text.contains("cannot be opened") && !refused.text.contains("marker"), "{}", refused.text);
    }
    write(&world.file("o/p/.sophia/e/revisions/000002.yaml"), "not a revision");
    let damaged = http.pulumi(Method::GET, path, "", None).await;
    assert!(damaged.status == 400 && damaged.text.contains("000002.yaml"), "{}", damaged.text);
}

/// This program again, updating the store until it is killed. It prints a line behind every update.
fn updater(world: &World, label: &str) -> std::process::Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "updates_as_a_child", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    write!(child.stdin.take().unwrap(), "{}\n{}\n{label}", world.folder.path().display(), world.key).unwrap();
    child
}

#[tokio::test]
#[ignore = "run by the other tests, as a process of its own"]
async fn updates_as_a_child() {
    let mut told = String::new();
    std::io::stdin().read_to_string(&mut told).unwrap();
    let [root, key, label] = told.split('\n').collect::<Vec<_>>()[..] else { panic!("three lines") };
    let store = store(Path::new(root), Identities::parse(key).unwrap());
    let at = name("o/p/e");
    let mut count = 0;
    loop {
        let value = format!("{label}-{count}");
        match edit(&store, &at, &[secret("one", &value), secret("two", &value)]).await {
            Ok(_) => println!("done {value}"),
            Err(failure) => assert_eq!(failure.code, "esc-conflict"),
        }
        count += 1;
    }
}

#[tokio::test]
async fn a_kill_at_any_moment_loses_nothing_and_halves_nothing() {
    let world = World::new();
    let (store, at) = (world.store(), name("o/p/e"));
    store.create(&at).await.unwrap();
    let mut last_revision = 1;
    for round in 0..25_u64 {
        let mut child = updater(&world, &format!("round{round}"));
        // Not a wait for anything: the kill is to strike at an arbitrary moment of the writing.
        let mut output = child.stdout.take().unwrap();
        let mut first = [0; 64];
        let _ = output.read(&mut first).unwrap();
        std::thread::sleep(Duration::from_micros(700 * round + 311));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut rest = String::from_utf8_lossy(&first).into_owned();
        output.read_to_string(&mut rest).unwrap();
        let answered = rest
            .lines()
            .filter_map(|line| line.strip_prefix("done round")?.split_once('-')?.1.parse::<u64>().ok())
            .max();

        let opened = store.open(&at, &Version::Latest).await.unwrap();
        let (one, two) = (text_at(&opened, "one"), text_at(&opened, "two"));
        assert_eq!(one, two, "half an update");
        if let Some(answered) = answered {
            let found: u64 = one.unwrap().split_once('-').unwrap().1.parse().unwrap();
            assert!(found >= answered, "update {answered} was answered, {found} is there");
        }
        assert!(opened.revision.is_some(), "the definition is a revision, recorded or about to be");
        edit(&store, &at, &[secret("after", &round.to_string())]).await.unwrap();
        let revisions = store.revisions(&at, usize::MAX).await.unwrap();
        assert!(revisions.iter().all(|revision| revision.author == "alice"), "no update lost its author");
        let numbers: Vec<u64> = revisions.iter().rev().map(|revision| revision.number).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
        assert!(numbers.len() as u64 > last_revision);
        last_revision = numbers.len() as u64;
        assert!(!world.file("o/p/.sophia/e/pending.yaml").exists());
    }
}

#[tokio::test]
async fn two_processes_write_in_turn() {
    let world = World::new();
    let (store, at) = (world.store(), name("o/p/e"));
    store.create(&at).await.unwrap();
    let mut children = [updater(&world, "left"), updater(&world, "right")];
    let mut answered = Vec::new();
    for child in &mut children {
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while answered.iter().filter(|text: &&String| text.starts_with("done")).count() < 20 {
            line.clear();
            std::io::BufRead::read_line(&mut output, &mut line).unwrap();
            answered.push(line.clone());
        }
    }
    for mut child in children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let revisions = store.revisions(&at, usize::MAX).await.unwrap();
    assert!(revisions.len() > 20);
    for revision in revisions.iter().take(revisions.len() - 1) {
        let opened = store.open(&at, &Version::Revision(revision.number)).await.unwrap();
        assert_eq!(text_at(&opened, "one"), text_at(&opened, "two"));
    }
}
