//! The static secrets of an environment's text: `fn::secret` with a string or with a ciphertext
//! (esc-language.md §8).
//!
//! What is encrypted is the text of the scalar as YAML gives it, before ESC's own reading of `$`; that is
//! what Pulumi Cloud does too.

use zeroize::Zeroizing;

use super::edit::{self, EditError};
use super::emit;
use super::envelope;
use super::page::Page;
use super::path::{Path, Step};
use super::scalar::{self, Scalar};
use super::value::HIDDEN;
use crate::base::yaml::{self, Content, Mark, Node, Style};

pub(super) const SECRET: &str = "fn::secret";

/// How a static secret stands in the text.
#[derive(Clone, PartialEq, Eq)]
pub enum Stored {
    Plain(Zeroizing<String>),
    /// ESC's envelope, base64.
    Encrypted(String),
}

/// One `fn::secret` of a text.
#[derive(Clone)]
pub struct StaticSecret {
    /// From the root of the document: `values.api.key`.
    pub path: Path,
    /// Where the call begins.
    pub mark: Mark,
    pub stored: Stored,
}

impl StaticSecret {
    #[must_use]
    pub fn is_in_clear(&self) -> bool {
        matches!(self.stored, Stored::Plain(_))
    }

    /// Encrypted secrets elsewhere than under `values` are left alone by every ESC.
    #[must_use]
    pub fn is_under_values(&self) -> bool {
        matches!(self.path.steps.first(), Some(Step::Key(key)) if key.eq_ignore_ascii_case("values"))
    }
}

/// Why the secrets of a text were not rewritten.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError<E> {
    #[error(transparent)]
    Text(#[from] EditError),
    /// One per secret that the callback refused.
    #[error("some static secrets could not be converted")]
    Secrets(Vec<E>),
}

/// The static secrets in the order of the text.
///
/// # Errors
/// [`EditError::NotYaml`].
pub fn find(text: &str) -> Result<Vec<StaticSecret>, EditError> {
    let mut found = Vec::new();
    if let Some(root) = yaml::parse(text).map_err(EditError::not_yaml)? {
        walk(&root, &mut Vec::new(), &mut found);
    }
    Ok(found)
}

/// Something that may be meant as a secret, and that [`find`] does not find: nothing encrypts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unclear {
    pub mark: Mark,
    /// It says that it is a ciphertext, and is none: damaged, most of the time.
    pub is_ciphertext: bool,
}

/// The first such place of a text, or else its first ciphertext that is none. Unclear is a call in a form that ESC refuses
/// (of a number or a list), whatever else speaks of `fn::secret` in a key, a tag or unquoted text (`fn::Secret`,
/// `fn::secret:x` without a blank), and what speaks of it where nothing is read: behind the first document, and in a text
/// that is not YAML. Only ciphertexts are passed over there.
#[must_use]
pub fn unclear(text: &str) -> Option<Unclear> {
    let text = text.trim_start_matches('\u{feff}');
    let clear = |mark| Unclear { mark, is_ciphertext: false };
    let whole = yaml::parse_whole(text);
    let is_whole = whole.is_ok();
    let Ok(root) = whole.or_else(|_| yaml::parse(text)) else { return mentioned(text, 0).map(clear) };
    let from = root.as_ref().map_or(0, |root| root.span.end.byte());
    let found = root.as_ref().and_then(|root| unclear_node(root, false));
    let found = found.or_else(|| if is_whole { None } else { mentioned(text, from).map(clear) });
    found.or_else(|| root.as_ref().and_then(|root| unclear_node(root, true)))
}

fn unclear_node(node: &Node, ciphertexts: bool) -> Option<Unclear> {
    let clear = |node: &Node| Some(Unclear { mark: node.span.start, is_ciphertext: false }).filter(|_| !ciphertexts);
    match (stored(node), &node.content) {
        _ if node.tag.as_ref().is_some_and(|tag| tag.to_ascii_lowercase().contains("secret")) => clear(node),
        (Some(Stored::Plain(_)), _) => None,
        (Some(Stored::Encrypted(envelope)), _) => {
            // A damaged one begins as all do; another text may be the secret itself.
            let is_ciphertext = envelope.starts_with("ZXNj");
            let is_none = is_ciphertext == ciphertexts && envelope::decode(&envelope).is_err();
            is_none.then_some(Unclear { mark: node.span.start, is_ciphertext })
        }
        (None, Content::Scalar { text, style: Style::Plain }) if text != SECRET && speaks_of_a_secret(text) => {
            clear(node)
        }
        (None, Content::Scalar { .. }) => None,
        (None, Content::Sequence(items)) => items.iter().find_map(|item| unclear_node(item, ciphertexts)),
        (None, Content::Mapping(entries)) => entries.iter().find_map(|(key, value)| {
            let found = if holds_the_word(key) { clear(key) } else { None };
            found.or_else(|| unclear_node(value, ciphertexts))
        }),
    }
}

/// Whether a text would be taken for a slip of the pen, were it not quoted.
pub(super) fn speaks_of_a_secret(text: &str) -> bool {
    text.to_ascii_lowercase().replace("::", ":").contains("fn:secret")
}

fn holds_the_word(node: &Node) -> bool {
    match &node.content {
        Content::Scalar { text, .. } => speaks_of_a_secret(text),
        Content::Sequence(items) => items.iter().any(holds_the_word),
        Content::Mapping(entries) => entries.iter().any(|(key, value)| holds_the_word(key) || holds_the_word(value)),
    }
}

/// Where `fn::secret` stands in `text`, as text, from a byte on, with something else than a ciphertext.
fn mentioned(text: &str, from: usize) -> Option<Mark> {
    let from = if text.is_char_boundary(from) { from } else { 0 };
    let lower = text.get(from..)?.to_ascii_lowercase();
    let (at, _) = lower.match_indices(SECRET).find(|(at, _)| {
        let argument = text.get(from + at + SECRET.len()..).unwrap_or_default();
        let argument = argument.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ':' | '{' | '"' | '\''));
        let behind = argument.strip_prefix("ciphertext").unwrap_or_default();
        let behind = behind.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ':' | '"' | '\''));
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
        let sealed = behind.split(|c| !is_base64(c)).next().unwrap_or_default();
        envelope::decode(sealed).is_err()
    })?;
    let before = text.get(..from + at)?;
    let breaks = before.matches('\n').count() + before.matches('\r').count() - before.matches("\r\n").count();
    let column = before.chars().rev().take_while(|c| !matches!(c, '\n' | '\r')).count() + 1;
    Some(Mark::new(breaks + 1, column, from + at))
}

/// Puts a stand-in in place of every static secret that stands in clear below `node`.
pub(super) fn hide(node: &mut Node) {
    match (stored(node), &mut node.content) {
        (Some(Stored::Plain(_)), _) => *node = emit::entry(SECRET, emit::string(HIDDEN)),
        (Some(Stored::Encrypted(_)), _) | (None, Content::Scalar { .. }) => {}
        (None, Content::Sequence(items)) => items.iter_mut().for_each(hide),
        (None, Content::Mapping(entries)) => entries.iter_mut().for_each(|(_, value)| hide(value)),
    }
}

/// Rewrites the secrets for which `convert` answers another form. Everything else keeps its bytes, comments
/// and layout; the result is read again and compared.
///
/// # Errors
/// [`RewriteError`]: all refusals of `convert` at once, or a text that could not be rewritten.
pub fn rewrite<E>(
    text: &str,
    mut convert: impl FnMut(&StaticSecret) -> Result<Option<Stored>, E>,
) -> Result<String, RewriteError<E>> {
    let (mark, body) = edit::split_mark(text);
    let Some(root) = yaml::parse(body).map_err(EditError::not_yaml)? else { return Ok(text.to_owned()) };
    let mut found = Vec::new();
    walk(&root, &mut Vec::new(), &mut found);
    let mut replacements = Vec::with_capacity(found.len());
    let mut refusals = Vec::new();
    for secret in &found {
        match convert(secret) {
            Ok(stored) => replacements.push(stored.map(|stored| new_node(&stored))),
            Err(error) => refusals.push(error),
        }
    }
    if !refusals.is_empty() {
        return Err(RewriteError::Secrets(refusals));
    }
    if replacements.iter().all(Option::is_none) {
        return Ok(text.to_owned());
    }
    let edited = replaced(body, &root, &replacements).map_err(|error| {
        // The first one up to which it cannot be done.
        let lengths: Vec<usize> = (1..=found.len()).collect();
        let sound = lengths.partition_point(|length| {
            let first = replacements.iter().take(*length).cloned().chain(std::iter::repeat(None));
            replaced(body, &root, &first.take(found.len()).collect::<Vec<_>>()).is_ok()
        });
        let culprit = found.get(sound);
        culprit.map_or(error, |secret| EditError::SecretForm { path: secret.path.clone(), mark: secret.mark })
    })?;
    Ok(format!("{mark}{edited}"))
}

/// The text with the secrets that have a replacement, in the order of [`walk`].
fn replaced(body: &str, root: &Node, replacements: &[Option<Node>]) -> Result<String, EditError> {
    // Both walks meet the secrets in that order.
    let mut next = replacements.iter();
    let splices = Page::new(body, Some(root))
        .replace_each(root, &mut |node| stored(node).and_then(|_| next.next().cloned().flatten()))
        .map_err(|obstacle| EditError::Obstacle { path: Path::default(), obstacle })?;
    let edited = edit::splice_all(body, splices);
    let mut meant = root.clone();
    put(&mut meant, &mut replacements.iter().cloned());
    edit::confirm(&edited, Some(&meant), SECRET)?;
    Ok(edited)
}

/// The static secret that `node` is, if it is one.
fn stored(node: &Node) -> Option<Stored> {
    let argument = only_value(node, SECRET)?;
    if let Some(text) = string(argument) {
        return Some(Stored::Plain(Zeroizing::new(text.to_owned())));
    }
    only_value(argument, "ciphertext").and_then(string).map(|envelope| Stored::Encrypted(envelope.to_owned()))
}

fn only_value<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    match &node.content {
        Content::Mapping(entries) => match entries.as_slice() {
            [(name, value)] if name.scalar() == Some(key) => Some(value),
            _ => None,
        },
        _ => None,
    }
}

/// The text of a scalar that ESC takes for a string.
fn string(node: &Node) -> Option<&str> {
    match &node.content {
        Content::Scalar { text, style } => match scalar::resolve(text, *style, node.tag.as_deref()) {
            Ok(Scalar::Text(_)) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

fn new_node(stored: &Stored) -> Node {
    emit::entry(
        SECRET,
        match stored {
            Stored::Plain(text) => emit::string(text),
            Stored::Encrypted(envelope) => emit::entry("ciphertext", emit::string(envelope)),
        },
    )
}

fn walk(node: &Node, steps: &mut Vec<Step>, found: &mut Vec<StaticSecret>) {
    if let Some(stored) = stored(node) {
        found.push(StaticSecret { path: Path { steps: steps.clone() }, mark: node.span.start, stored });
        return;
    }
    match &node.content {
        Content::Scalar { .. } => {}
        Content::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                steps.push(Step::Index(index));
                walk(item, steps, found);
                steps.pop();
            }
        }
        Content::Mapping(entries) => {
            for (key, value) in entries {
                steps.push(Step::Key(key.scalar().unwrap_or_default().to_owned()));
                walk(value, steps, found);
                steps.pop();
            }
        }
    }
}

fn put(node: &mut Node, replacements: &mut dyn Iterator<Item = Option<Node>>) {
    if stored(node).is_some() {
        if let Some(Some(replacement)) = replacements.next() {
            *node = replacement;
        }
        return;
    }
    match &mut node.content {
        Content::Scalar { .. } => {}
        Content::Sequence(items) => items.iter_mut().for_each(|item| put(item, replacements)),
        Content::Mapping(entries) => entries.iter_mut().for_each(|(_, value)| put(value, replacements)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Not a cipher: a form that a test can read.
    fn coded(text: &str) -> String {
        format!("x{}=", hex::encode(text))
    }

    fn decoded(text: &str) -> String {
        String::from_utf8(hex::decode(&text[1..text.len() - 1]).unwrap()).unwrap()
    }

    fn encrypt(text: &str) -> String {
        rewrite(text, |secret| {
            Ok::<_, ()>(match &secret.stored {
                Stored::Plain(plain) => Some(Stored::Encrypted(coded(plain))),
                Stored::Encrypted(_) => None,
            })
        })
        .unwrap()
    }

    fn decrypt(text: &str) -> String {
        rewrite(text, |secret| {
            Ok::<_, ()>(match &secret.stored {
                Stored::Encrypted(envelope) if secret.is_under_values() => {
                    Some(Stored::Plain(decoded(envelope).into()))
                }
                _ => None,
            })
        })
        .unwrap()
    }

    const PLAIN: &str = "\
# head
imports: [base] # of all
values:
  api: # the keys
    # the first
    key:
      fn::secret: hunter2 # changed in May
    flow: {fn::secret: \"a b\"}
    list:
      - fn::secret: one
      - {plain: 1, other: {fn::secret: 'it''s'}}
      -   fn::secret: |
            line 1
            line 2

  number:
    fn::secret: 1234 # not a string: left alone
  broken: {fn::secret: [a]}

# tail
";

    #[test]
    fn secrets_are_encrypted_where_they_stand() {
        let expected = "\
# head
imports: [base] # of all
values:
  api: # the keys
    # the first
    key:
      fn::secret: # changed in May
        ciphertext: x68756e74657232=
    flow: {fn::secret: {ciphertext: x612062=}}
    list:
      - fn::secret:
          ciphertext: x6f6e65=
      - {plain: 1, other: {fn::secret: {ciphertext: x69742773=}}}
      -   fn::secret:
            ciphertext: x6c696e6520310a6c696e6520320a=

  number:
    fn::secret: 1234 # not a string: left alone
  broken: {fn::secret: [a]}

# tail
";
        let encrypted = encrypt(PLAIN);
        assert_eq!(encrypted.replace("\"<", "<").replace(">\"", ">"), expected.replace("\"<", "<").replace(">\"", ">"));
        assert_eq!(encrypt(&encrypted), encrypted, "nothing is left to encrypt");
        let plain =
            |text: &str| find(text).unwrap().into_iter().map(|s| (s.path.to_string(), s.stored)).collect::<Vec<_>>();
        assert!(plain(&decrypt(&encrypted)) == plain(PLAIN));
        assert_eq!(
            plain(PLAIN).into_iter().map(|(path, _)| path).collect::<Vec<_>>(),
            [
                "values.api.key",
                "values.api.flow",
                "values.api.list[0]",
                "values.api.list[1].other",
                "values.api.list[2]"
            ]
        );
    }

    #[test]
    fn a_secret_in_a_form_that_cannot_be_replaced_is_named() {
        let refused = rewrite("values:\n  a: {fn::secret: x}\n  b: [y, fn::secret: z]\n", |_| {
            Ok::<_, ()>(Some(Stored::Encrypted("x".into())))
        });
        let Err(RewriteError::Text(EditError::SecretForm { path, mark })) = refused else { panic!("{refused:?}") };
        assert_eq!((path.to_string().as_str(), mark.line(), mark.column()), ("values.b[1]", 3, 10));
        let many = "  - {fn::secret: x}\n".repeat(300);
        let text = format!("values:\n  a:\n{many}  - [fn::secret: y]\n{many}");
        let refused = rewrite(&text, |_| Ok::<_, ()>(Some(Stored::Encrypted("x".into()))));
        let Err(RewriteError::Text(EditError::SecretForm { mark, .. })) = refused else { panic!("{refused:?}") };
        assert_eq!(mark.line(), 303);
    }

    #[test]
    fn ciphertext_outside_values_is_left_alone() {
        let text = "other: {fn::secret: {ciphertext: x79=}}\nvalues: {a: {fn::secret: {ciphertext: x7979=}}}\n";
        assert_eq!(decrypt(text), "other: {fn::secret: {ciphertext: x79=}}\nvalues: {a: {fn::secret: yy}}\n");
    }

    #[test]
    fn what_may_be_meant_as_a_secret_and_is_not_found_has_a_place() {
        let sealed = envelope::encode(b"long enough").unwrap();
        let broken = format!("a: [\nb:\n  fn::secret:\n    ciphertext: {sealed}\nc: {{fn::secret: ciphertext}}\n");
        let behind = format!("a: 1\n---\nb: {{fn::secret: {{ciphertext: \"{sealed}\"}}}}\n");
        for (text, place) in [
            ("values:\n  a: {fn::secret: [x]}\n", Some((2, 7))),
            ("values:\n  a: {fn::secret: 12}\n", Some((2, 7))),
            ("a: {fn::secret: x, b: 1}\n", Some((1, 5))),
            ("a:\n  - fn::Secret: x\n", Some((2, 5))),
            ("a: {fn::secret: {ciphertext: plain}}\n", Some((1, 4))),
            ("a: {fn::secret: {ciphertext: 1}}\n", Some((1, 5))),
            ("? {fn::secret: [x]}\n: 1\n", Some((1, 3))),
            ("{{ x }}: 1\n", None),
            ("a:\n  -fn::secret: x\n", Some((2, 3))),
            ("a: {fn:secret: x}\n", Some((1, 5))),
            ("a: =fn::secret:x\n", Some((1, 4))),
            ("a: !secret x\n", Some((1, 4))),
            ("a: {fn::secret: {ciphertext: ZXNjx}}\nb: {fn::secret: [x]}\n", Some((2, 5))),
            ("a: {fn::secret: {ciphertext: ZXNjx}}\n", Some((1, 4))),
            ("a: 1\r---\rb: {fn::secret: x}\r", Some((3, 5))),
            ("a: 1\n---\n# c\rb: {fn::secret: x}\n", Some((4, 5))),
            ("\u{feff}\u{feff}a: é1\n---\nb: {fn::secret: x}\n", Some((3, 5))),
            ("a: 1\n---\nb: {fn::secret: {ciphertext: x}}\n", Some((3, 5))),
            ("a: 1\n---\nb: {fn::secret: 'ciphertext: x'}\n", Some((3, 5))),
            ("? {fn::secret: x}\n: 1\n", Some((1, 3))),
            ("a:\n  ? [{fn::secret: x}]\n  : 1\n", Some((2, 5))),
            ("a: fn::secret:x\n", Some((1, 4))),
            ("a: {fn::secret:x}\n", Some((1, 5))),
            ("a: [fn::secret x]\n", Some((1, 5))),
            ("a: {fn::secrets: x}\n", Some((1, 5))),
            ("a: {' fn::secret': x}\n", Some((1, 5))),
            ("a: 1\n---\n# fn::secret: x\n", Some((3, 3))),
            (&broken, Some((5, 5))),
            (&behind, None),
            ("a: 'fn::secret: x'\nb: |\n  fn::secret: x\n", None),
            ("\u{feff}a: {fn::secret: [x]}\n", Some((1, 5))),
            ("a: [\n  b: {fn::SECRET: x}", Some((2, 7))),
            ("a: 1\n---\nb: {fn::secret: x}\n", Some((3, 5))),
            ("a: 1\n...\nfn::secret x", Some((3, 1))),
            ("---\n---\na: {fn::secret: x}\n", Some((3, 5))),
            ("a: [", None),
            ("a: 1\n---\nb: 2\n", None),
            ("a: 1 # fn::secret\n", None),
            ("", None),
            (PLAIN, Some((17, 5))),
        ] {
            assert_eq!(unclear(text).map(|found| (found.mark.line(), found.mark.column())), place, "{text}");
        }
        let sound = format!(
            "a: {{fn::secret: x}}\nb: [{{fn::secret: {{ciphertext: {sealed}}}}}, {{fn::toJSON: {{fn::secret: y}}}}]\n"
        );
        assert_eq!(unclear(&sound), None);
    }

    #[test]
    fn every_refusal_is_told() {
        let refused = rewrite(PLAIN, |secret| Err::<Option<Stored>, _>(secret.path.to_string())).unwrap_err();
        assert!(matches!(refused, RewriteError::Secrets(paths) if paths.len() == 5));
    }

    proptest! {
        #[test]
        fn any_text_goes_in_and_out(secret in "(?s).{0,60}", crlf: bool) {
            let quoted = serde_json::to_string(&secret).unwrap();
            let text = format!("values:\n  a: # c\n    fn::secret: {quoted}\n  b: [{{fn::secret: {quoted}}}] # d\n");
            let text = if crlf { text.replace('\n', "\r\n") } else { text };
            let back = decrypt(&encrypt(&text));
            let secrets = find(&back).unwrap();
            prop_assert_eq!(secrets.len(), 2);
            for found in secrets {
                prop_assert!(found.stored == Stored::Plain(secret.clone().into()), "{}", back);
            }
            prop_assert!(back.contains("# c") && back.contains("# d"));
        }

        #[test]
        fn no_text_crashes(text in "(?s).{0,80}") {
            let _ = (find(&text), unclear(&text), unclear(&format!("{text}fn::secret{text}")));
        }
    }
}
