//! Tests of `edit`: what a text becomes, letter by letter, and properties against another reader of YAML.

use proptest::prelude::*;

use super::edit::{Edit, EditError, NewValue, apply, escape};
use super::path::{Path, Step};
use super::splice::Obstacle;
use crate::base::secret::SecretValue;

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn set(at: &str, value: NewValue) -> Edit {
    Edit::Set { path: path(at), value }
}

fn yaml(text: &str, at: &str, value: &str) -> String {
    apply(text, &[set(at, NewValue::Yaml(value.into()))]).unwrap()
}

fn secret(text: &str, at: &str, value: &str) -> String {
    apply(text, &[set(at, NewValue::Secret(value.to_owned().into()))]).unwrap()
}

fn removed(text: &str, at: &str) -> String {
    apply(text, &[Edit::Remove { path: path(at) }]).unwrap()
}

#[test]
fn a_value_is_replaced_in_its_own_style_and_comments_stay() {
    let text = "# top\n\nvalues:\n  # about a\n  a: 'old' # behind\n  b: \"x\"\n\n  c: 1\n# end\n";
    let edited = "# top\n\nvalues:\n  # about a\n  a: 'new' # behind\n  b: \"x\"\n\n  c: 1\n# end\n";
    assert_eq!(yaml(text, "a", "new"), edited);
    assert_eq!(yaml("values: {a: 1, b: [x, y]}\n", "b[1]", "z"), "values: {a: 1, b: [x, z]}\n");
    assert_eq!(yaml("values:\n  a: |\n    one\n    two\n\n  b: 1\n", "a", "3"), "values:\n  a: 3\n\n  b: 1\n");
    assert_eq!(yaml("values:\n  a: |+\n    one\n\n\n  b: 1\n", "a", "3"), "values:\n  a: 3\n\n\n  b: 1\n");
    assert_eq!(
        yaml("values:\r\n  a: 1 # c\r\n  b: 2\r\n", "a", "{x: 1}"),
        "values:\r\n  a: # c\r\n    x: 1\r\n  b: 2\r\n"
    );
    assert_eq!(yaml("\u{feff}values:\n  a: 1\n", "a", "2"), "\u{feff}values:\n  a: 2\n");
    assert_eq!(yaml("values:\n  a: # why\n    b: 1\n    c: 2\n  d: 3\n", "a", "x"), "values:\n  a: x # why\n  d: 3\n");
    assert_eq!(
        yaml("values:\n    a:\n        b: 1\n", "a", "[1, {x: 2}]"),
        "values:\n    a:\n        - 1\n        - x: 2\n"
    );
    assert_eq!(yaml("values:\n  l:\n  - 1\n  - 2 # c\n", "l", "{x: 1}"), "values:\n  l:\n    x: 1\n");
}

#[test]
fn what_is_missing_is_made() {
    let from_nothing = "values:\n  a:\n    b: 1\n";
    for text in [
        "",
        "values:\n",
        "values: ~\n",
        "values: null\n",
        "values: {}\n",
        "values: # to come\n",
        "# only\n",
        "---\n",
        "{}\n",
    ] {
        let edited = yaml(text, "a.b", "1");
        let bare: String =
            edited.lines().filter(|line| !line.starts_with(['#', '-'])).map(|line| format!("{line}\n")).collect();
        assert_eq!(bare.replace(" # to come", ""), from_nothing, "from {text:?}: {edited:?}");
        assert!(text.find('#').is_none_or(|at| edited.contains(text[at..].trim_end())), "{edited:?}");
    }
    assert_eq!(yaml("values:\n  a: 1", "b", "2"), "values:\n  a: 1\n  b: 2\n");
    assert_eq!(yaml("imports:\n  - x\n", "a", "2"), "imports:\n  - x\nvalues:\n  a: 2\n");
    assert_eq!(
        yaml("values:\n  a:\n    x: 1 # one\n    # tail of a\n\n  b: 2\n", "a.z", "2"),
        "values:\n  a:\n    x: 1 # one\n    z: 2\n    # tail of a\n\n  b: 2\n"
    );
    assert_eq!(yaml("values: {a: {}, b: , }\n", "a.x", "1"), "values: {a: {x: 1}, b: , }\n");
    assert_eq!(yaml("values: {a: 1,}\n", "b", "q"), "values: {a: 1, b: q,}\n");
    assert_eq!(yaml("values: {a: , b}\n", "b", "q"), "values: {a: , b: q}\n");
    assert_eq!(yaml("values: {a: , b}\n", "a", "q"), "values: {a: q , b}\n");
    assert_eq!(yaml("values:\n  s: |+\n    x\n\n", "t", "1"), "values:\n  s: |+\n    x\n\n  t: 1\n");
    assert_eq!(yaml("Values:\n  a: 1\n", "b", "2"), "Values:\n  a: 1\n  b: 2\n");
    assert_eq!(yaml("values:\n  a: 1\n", "[\"k.x y\"][\"2\"]", "2"), "values:\n  a: 1\n  \"k.x y\":\n    \"2\": 2\n");
}

#[test]
fn lists_grow_by_one_at_their_end() {
    assert_eq!(
        yaml("values:\n  l:\n    - a # c\n    -\n", "l[2]", "b"),
        "values:\n  l:\n    - a # c\n    -\n    - b\n"
    );
    assert_eq!(
        yaml("values:\n  l:\n    - a\n    -\n", "l[1]", "{x: 1, y: 2}"),
        "values:\n  l:\n    - a\n    - x: 1\n      y: 2\n"
    );
    assert_eq!(yaml("values:\n  l:\n  - [1]\n", "l[0][1]", "2"), "values:\n  l:\n  - [1, 2]\n");
    assert_eq!(yaml("values:\n  l: []\n", "l[0]", "b"), "values:\n  l:\n    - b\n");
    assert_eq!(
        yaml("values:\n  l:\n  - - a\n    - b\n  - c\n", "l[0][2]", "z"),
        "values:\n  l:\n  - - a\n    - b\n    - z\n  - c\n"
    );
    assert_eq!(yaml("values:\n  l:\n    - k: v\n", "l[0].m", "1"), "values:\n  l:\n    - k: v\n      m: 1\n");
    assert_eq!(yaml("imports: [a]\n", "imports[1]", "b"), "imports: [a, b]\n");
    assert_eq!(yaml("values: {}\n", "l[0].x", "1"), "values:\n  l:\n    - x: 1\n");
}

#[test]
fn secrets_are_wrapped_and_only_their_text_is_replaced() {
    assert_eq!(
        secret("values:\n  a: 1 # c\n", "b", "pa$$ #x"),
        "values:\n  a: 1 # c\n  b:\n    fn::secret: \"pa$$ #x\"\n"
    );
    assert_eq!(
        secret("values:\n  a:\n    fn::secret: # keep\n      ciphertext: abc=\n", "a", "new"),
        "values:\n  a:\n    fn::secret: new # keep\n"
    );
    assert_eq!(
        secret("values:\n  a: {fn::secret: {ciphertext: abc=}} # x\n", "a", "a b"),
        "values:\n  a: {fn::secret: \"a b\"} # x\n"
    );
    assert_eq!(
        secret("", "k", "-----BEGIN\nabc\n-----END\n"),
        "values:\n  k:\n    fn::secret: |\n      -----BEGIN\n      abc\n      -----END\n"
    );
    // `${` would be read as a reference before the secret is encrypted.
    let coded = secret("", "k", "a${b}");
    assert_eq!(coded, "values:\n  k:\n    fn::fromBase64:\n      fn::secret: \"YSR7Yn0=\"\n".replace('"', ""));
    let bytes = NewValue::Secret(SecretValue::new(vec![0xff]));
    assert_eq!(apply("", &[set("a", bytes)]), Err(EditError::NotText(path("a"))));
}

#[test]
fn literal_text_is_escaped_and_expressions_are_not() {
    for (plain, escaped) in
        [("a$b", "a$b"), ("a$$b", "a$$$$b"), ("${x}", "$${x}"), ("$$${x}$", "$$$$$${x}$"), ("€$", "€$")]
    {
        assert_eq!(escape(plain), escaped);
    }
    let text = apply("", &[set("a", NewValue::Text("${x}".into())), set("b", NewValue::Expression("${a}".into()))]);
    assert_eq!(text.unwrap(), "values:\n  a: $${x}\n  b: ${a}\n");
}

#[test]
fn what_is_removed_goes_with_its_own_comment_only() {
    let text = "values:\n  # of a\n  a: 1 # x\n  b:\n    - 1\n    - 2 # two\n    - 3\n  # of c\n  c: |\n    t\n\n  d: {x: 1, y: 2, z: 3}\n";
    assert_eq!(removed(text, "a"), text.replace("  a: 1 # x\n", ""));
    assert_eq!(removed(text, "b"), text.replace("  b:\n    - 1\n    - 2 # two\n    - 3\n", ""));
    assert_eq!(removed(text, "b[1]"), text.replace("    - 2 # two\n", ""));
    assert_eq!(removed(text, "c"), text.replace("  c: |\n    t\n", ""));
    assert_eq!(removed(text, "d.x"), text.replace("x: 1, ", ""));
    assert_eq!(removed(text, "d.z"), text.replace(", z: 3", ""));
    for absent in ["q", "q.r", "b[3]", "d.q"] {
        assert_eq!(removed(text, absent), text, "{absent}");
    }
    assert_eq!(removed("values:\n  a: 1 # x\n", "a"), "values: {}\n");
    assert_eq!(removed("values:\n  a:\n    - 1\n", "a[0]"), "values:\n  a: []\n");
    assert_eq!(removed("values:\n  a:\n    - k: 1\n      m: 2\n", "a[0].k"), "values:\n  a:\n    - m: 2\n");
    assert_eq!(removed("values: {a: 1}\n", "a"), "values: {}\n");
    assert_eq!(removed("", "a"), "");
}

#[test]
fn a_path_that_does_not_fit_is_refused() {
    let text = "values:\n  s: x\n  o: {k: v}\n  l: [1]\n  f: {fn::secret: x}\n  d: 1\n  d: 2\n";
    let refused = |at: &str| match apply(text, &[set(at, NewValue::Yaml("1".into()))]) {
        Err(EditError::Obstacle { obstacle, .. }) => obstacle,
        other => panic!("{at}: {other:?}"),
    };
    assert_eq!(refused("s.x"), Obstacle::NotAnObject);
    assert_eq!(refused("o[0]"), Obstacle::NotAnArray);
    assert_eq!(refused("l.x"), Obstacle::NotAnObject);
    assert_eq!(refused("l[2]"), Obstacle::OutOfRange { index: 2, length: 1 });
    assert_eq!(refused("n[1]"), Obstacle::OutOfRange { index: 1, length: 0 });
    assert_eq!(refused("f.x"), Obstacle::FunctionCall("fn::secret".into()));
    assert_eq!(refused("o[\"fn::secret\"]"), Obstacle::FunctionCall("fn::secret".into()));
    assert_eq!(refused("d"), Obstacle::DuplicateKey("d".into()));
    let one = |at: &str| apply(text, &[set(at, NewValue::Yaml("1".into()))]).unwrap_err();
    assert_eq!(one("context.x"), EditError::Reserved("context".into()));
    assert_eq!(one(""), EditError::EmptyPath);
    assert!(matches!(apply("a: [", &[set("a", NewValue::Yaml("1".into()))]), Err(EditError::NotYaml { .. })));
    for (value, line, column) in [
        ("[", 2, 1),
        ("a\nb: c\nd", 2, 2),
        ("{a: 1} x", 1, 8),
        ("#ff0000", 1, 1),
        ("blue # or green", 1, 5),
        ("&x foo", 1, 7),
        ("!foo bar", 1, 9),
        ("...", 1, 1),
        ("|", 1, 1),
        ("a\nb", 2, 2),
    ] {
        let refused = apply("", &[set("a", NewValue::Yaml(value.into()))]).unwrap_err();
        let EditError::NewValue { mark, .. } = &refused else { panic!("{value}: {refused}") };
        assert_eq!((mark.line(), mark.column()), (line, column), "{value}: {refused}");
    }
    for value in [
        "# c\n[a] # d\n",
        "{a: 1} # b",
        "'a' # b",
        "a#b",
        "'#'",
        "|\n  a # b\n",
        " a b \n",
        "!!str 12",
        "'a\n b'",
        "null",
        "~",
        "",
        "\n",
    ] {
        assert!(apply("", &[set("a", NewValue::Yaml(value.into()))]).is_ok(), "{value}");
    }
    assert_eq!(
        apply("a: &x 1\nvalues: {b: *x}\n", &[Edit::Remove { path: path("b") }]).unwrap_err().to_string(),
        "the environment is not YAML that can be read: alias nodes are not supported (line 2, column 13)"
    );
}

#[test]
fn later_edits_see_earlier_ones() {
    let edits = [
        set("a.b", NewValue::Yaml("1".into())),
        set("a.c", NewValue::Secret("s".to_owned().into())),
        Edit::Remove { path: path("a.b") },
    ];
    assert_eq!(apply("", &edits).unwrap(), "values:\n  a:\n    c:\n      fn::secret: s\n");
}

/// A value and the text of it in one of many layouts, each line that can hold one with a comment.
#[derive(Debug, Clone)]
enum Tree {
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf =
        prop_oneof!["[a-z ]{0,6}", "[ -~äß€𝄞\n\r\t]{0,12}", "[0-9]{1,3}", "([a-z]{1,4}\n){1,3}"].prop_map(Tree::Text);
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Tree::List),
            proptest::collection::btree_map("[a-c]{1,2}", inner, 0..4)
                .prop_map(|map| Tree::Object(map.into_iter().collect())),
        ]
    })
}

struct Writer {
    seed: u64,
    comments: usize,
}

impl Writer {
    fn choose(&mut self, from: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % from
    }

    fn comment(&mut self) -> String {
        if self.choose(3) > 0 {
            return String::new();
        }
        self.comments += 1;
        format!(" # comment-{}.", self.comments)
    }

    fn flow(tree: &Tree) -> String {
        match tree {
            Tree::Text(text) => serde_json::to_string(text).unwrap(),
            Tree::List(items) => format!("[{}]", items.iter().map(Self::flow).collect::<Vec<_>>().join(", ")),
            Tree::Object(entries) => {
                let entries = entries.iter().map(|(key, value)| format!("{key}: {}", Self::flow(value)));
                format!("{{ {} }}", entries.collect::<Vec<_>>().join(" , "))
            }
        }
    }

    /// What stands behind `key:` or `-`, line breaks included.
    fn behind(&mut self, tree: &Tree, indent: usize) -> String {
        match tree {
            Tree::Text(text)
                if text.ends_with("\n")
                    && text.chars().all(|c| c.is_ascii_lowercase() || c == '\n')
                    && !text.starts_with('\n') =>
            {
                let lines: String = text.lines().map(|line| format!("{}{line}\n", " ".repeat(indent + 1))).collect();
                format!(" |{}\n{lines}", self.comment())
            }
            Tree::List(items) if !items.is_empty() && self.choose(4) > 0 => {
                let mut lines = format!("{}\n", self.comment());
                for item in items {
                    lines += &format!("{}-{}", " ".repeat(indent), self.behind(item, indent + 2));
                }
                lines
            }
            Tree::Object(entries) if !entries.is_empty() && self.choose(4) > 0 => {
                let mut lines = format!("{}\n", self.comment());
                for (key, value) in entries {
                    if self.choose(4) == 0 {
                        self.comments += 1;
                        lines += &format!("{}# comment-{}.\n\n", " ".repeat(indent), self.comments);
                    }
                    lines += &format!("{}{key}:{}", " ".repeat(indent), self.behind(value, indent + 2));
                }
                lines
            }
            _ => format!(" {}{}\n", Self::flow(tree), self.comment()),
        }
    }
}

fn reference(text: &str) -> serde_json::Value {
    yaml_serde::from_str::<serde_json::Value>(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// Every path that leads to something.
fn paths(tree: &Tree, here: &Path, all: &mut Vec<Path>) {
    let mut below = |step: Step, value: &Tree| {
        let mut there = here.clone();
        there.steps.push(step);
        all.push(there.clone());
        paths(value, &there, all);
    };
    match tree {
        Tree::Text(_) => {}
        Tree::List(items) => items.iter().enumerate().for_each(|(index, item)| below(Step::Index(index), item)),
        Tree::Object(entries) => entries.iter().for_each(|(key, value)| below(Step::Key(key.clone()), value)),
    }
}

fn point<'j>(json: &'j mut serde_json::Value, path: &Path) -> &'j mut serde_json::Value {
    path.steps.iter().fold(&mut json["values"], |json, step| match step {
        Step::Key(key) => &mut json[key.as_str()],
        Step::Index(index) => &mut json[*index],
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn an_edit_changes_its_path_and_nothing_else(
        entries in proptest::collection::btree_map("[a-c]{1,2}", tree(), 1..4), seed: u64, pick: prop::sample::Index,
        new in "(?s).{0,20}", as_object: bool,
    ) {
        let tree = Tree::Object(entries.into_iter().collect());
        let mut writer = Writer { seed, comments: 0 };
        let text = format!("# head\nvalues:{}# tail\n", writer.behind(&tree, 2));
        let mut all = Vec::new();
        paths(&tree, &Path::default(), &mut all);
        let path = pick.get(&all).clone();
        let value = if as_object { serde_json::json!({"x": [new]}) } else { serde_json::json!(new) };

        let edited = apply(&text, &[Edit::Set { path: path.clone(), value: NewValue::Yaml(value.to_string()) }])
            .map_err(|error| TestCaseError::fail(format!("{error}: set {path} in\n{text}")))?;
        let mut expected = reference(&text);
        *point(&mut expected, &path) = value;
        prop_assert_eq!(reference(&edited), expected, "set {} in\n{}\ngave\n{}", path, text, edited);
        prop_assert!(edited.starts_with("# head\nvalues:") && edited.ends_with("# tail\n"), "{}", edited);

        let mut parent = path.clone();
        let last = parent.steps.pop().unwrap();
        let edited = apply(&text, &[Edit::Remove { path: path.clone() }])
            .map_err(|error| TestCaseError::fail(format!("{error}: remove {path} in\n{text}")))?;
        let mut expected = reference(&text);
        match (point(&mut expected, &parent), last) {
            (serde_json::Value::Object(object), Step::Key(key)) => drop(object.remove(&key)),
            (serde_json::Value::Array(list), Step::Index(index)) => drop(list.remove(index)),
            _ => unreachable!(),
        }
        prop_assert_eq!(reference(&edited), expected, "remove {} from\n{}\ngave\n{}", path, text, edited);
    }

    #[test]
    fn adding_keeps_every_comment(
        entries in proptest::collection::btree_map("[a-c]{1,2}", tree(), 1..4), seed: u64, new in "(?s).{0,20}",
    ) {
        let tree = Tree::Object(entries.into_iter().collect());
        let mut writer = Writer { seed, comments: 0 };
        let text = format!("# head\nvalues:{}", writer.behind(&tree, 2));
        let mut all = vec![Path::default()];
        paths(&tree, &Path::default(), &mut all);
        for path in all {
            let mut at = path.clone();
            match point(&mut reference(&text), &path) {
                serde_json::Value::Array(items) => at.steps.push(Step::Index(items.len())),
                serde_json::Value::Object(_) => at.steps.push(Step::Key("new key".into())),
                _ => continue,
            }
            let edited = apply(&text, &[Edit::Set { path: at.clone(), value: NewValue::Text(new.clone()) }])
                .map_err(|error| TestCaseError::fail(format!("{error}: add {at} to\n{text}")))?;
            for number in 1..=writer.comments {
                prop_assert!(edited.contains(&format!("# comment-{number}.")), "{}", edited);
            }
            let written = point(&mut reference(&edited), &at).clone();
            prop_assert_eq!(written, serde_json::json!(escape(&new)));
        }
    }

    #[test]
    fn no_text_and_no_path_crashes(text in "[-a-c:{}\\[\\],#\"'|> \n&!?]{0,40}", at in "[a-c.\\[\\]0-2]{1,6}") {
        if let Ok(path) = at.parse::<Path>() {
            let _ = apply(&text, &[Edit::Remove { path: path.clone() }]);
            let _ = apply(&text, &[Edit::Set { path, value: NewValue::Yaml("{x: [1]}".into()) }]);
        }
    }
}
