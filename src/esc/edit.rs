//! Sets and removes properties in the text of an environment, keeping comments and layout
//! (esc-language.md §11).
//!
//! **After every edit the result is read again and compared with what was meant**: the same tree with only
//! the named path changed. Where the layout does not allow that, the answer is an error and not a text.

use super::emit;
use super::page::{self, Page};
use super::path::{Path, Step};
use super::scalar::{self, Scalar};
use super::splice::{self, Obstacle, Splice};
use super::stored;
use crate::base::secret::SecretValue;
use crate::base::yaml::{self, Content, Mark, Node, Style};

/// What a property becomes.
#[derive(Debug, Clone)]
pub enum NewValue {
    /// Any value, as YAML: `42`, `[a, b]`, `{fn::open::…: …}`. Strings may hold `${…}`.
    Yaml(String),
    /// A string that evaluates to exactly this text: `$` is escaped where ESC would read it.
    Text(String),
    /// A string as it stands in a document: `${…}` refers and `$$` is a dollar.
    Expression(String),
    /// `fn::secret`; evaluates to exactly these bytes once the source has encrypted it.
    Secret(SecretValue),
}

/// One change of a document. A first step `imports` means the list of imports; any other path is under `values`.
#[derive(Debug, Clone)]
pub enum Edit {
    /// Sets a property; objects on the way are made, a list grows by one at its end.
    Set { path: Path, value: NewValue },
    /// Removes a property; one that is not there is fine.
    Remove { path: Path },
}

/// Why a text was not edited. No message holds a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error("the environment is not YAML that can be read: {message} (line {}, column {})", mark.line(), mark.column())]
    NotYaml { message: String, mark: Mark },
    #[error("the new value of `{path}` cannot be taken as YAML: {message} (line {}, column {} of the value)", mark.line(), mark.column())]
    NewValue { path: Path, message: String, mark: Mark },
    #[error("the secret for `{0}` is not UTF-8 text, and ESC holds text only")]
    NotText(Path),
    #[error("a path names no property")]
    EmptyPath,
    #[error("`{0}` is a reserved key")]
    Reserved(String),
    #[error("`{path}`: {obstacle}")]
    Obstacle { path: Path, obstacle: Obstacle },
    #[error("`{0}` cannot be edited without changing something else; edit the text by hand")]
    ChangesMore(String),
    #[error("`{path}`: a secret in this form cannot be replaced; write it in braces: {{ fn::secret: … }}")]
    SecretForm { path: Path, mark: Mark },
}

impl EditError {
    pub(super) fn not_yaml(error: yaml::YamlError) -> Self {
        Self::NotYaml { message: error.message, mark: error.mark }
    }
}

/// Applies `edits` in order; the answer is one new text.
///
/// # Errors
/// [`EditError`] of the first edit that cannot be made; nothing is changed then.
pub fn apply(text: &str, edits: &[Edit]) -> Result<String, EditError> {
    let (mark, body) = split_mark(text);
    let mut edited = body.to_owned();
    let mut root = yaml::parse(body).map_err(EditError::not_yaml)?;
    for edit in edits {
        if let Some((text, tree)) = apply_one(&edited, root.as_ref(), edit)? {
            (edited, root) = (text, tree);
        }
    }
    Ok(format!("{mark}{edited}"))
}

/// The byte order mark, which the reader of YAML does not count, and the rest.
pub(super) fn split_mark(text: &str) -> (&str, &str) {
    text.split_at(if text.starts_with('\u{feff}') { 3 } else { 0 })
}

/// The definition of a property as it stands in `text`, laid out anew without comments; none when the text does
/// not define it. A secret that stands in clear in it is hidden.
#[must_use]
pub fn fragment(text: &str, path: &Path) -> Option<String> {
    let mut root = yaml::parse(split_mark(text).1).ok().flatten()?;
    stored::hide(&mut root);
    let steps = full_steps(path, Some(&root), false).ok()?;
    let node = steps.iter().try_fold(&root, |node, step| {
        let at = splice::find_present(node, step).ok().flatten()?;
        match &node.content {
            Content::Mapping(entries) => entries.get(at).map(|(_, value)| value),
            Content::Sequence(items) => items.get(at),
            Content::Scalar { .. } => None,
        }
    })?;
    let layout = emit::Layout { step: 2, line_break: "\n" };
    let shown = if emit::is_inline(node) { layout.inline(node, Some(2), None) } else { layout.block(node, 0) };
    Some(if shown.ends_with('\n') { shown } else { format!("{shown}\n") })
}

/// The text that evaluates to `text`: `$` is doubled where ESC would take it for an escape or a reference
/// (esc-language.md §5).
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        let dollars = from.len() - from.trim_start_matches('$').len();
        let (run, after) = from.split_at(dollars);
        escaped.push_str(before);
        escaped.push_str(run);
        if dollars > 1 || after.starts_with('{') {
            escaped.push_str(run);
        }
        rest = after;
    }
    escaped.push_str(rest);
    escaped
}

/// One edit; the new text and its tree, or none when nothing changes.
fn apply_one(text: &str, root: Option<&Node>, edit: &Edit) -> Result<Option<(String, Option<Node>)>, EditError> {
    let page = Page::new(text, root);
    let (path, value) = match edit {
        Edit::Set { path, value } => (path, Some(new_node(path, value)?)),
        Edit::Remove { path } => (path, None),
    };
    let steps = full_steps(path, root, value.is_some())?;
    put(&page, root, &steps, value.as_ref(), path)
}

/// Sets or removes what is at `steps` of the document; `path` names it in messages.
fn put(
    page: &Page<'_>,
    root: Option<&Node>,
    steps: &[Step],
    value: Option<&Node>,
    path: &Path,
) -> Result<Option<(String, Option<Node>)>, EditError> {
    let obstacle = |obstacle| EditError::Obstacle { path: path.clone(), obstacle };
    let splice = match (value, root) {
        (Some(value), root) => Some(page.set(root, steps, value).map_err(obstacle)?),
        (None, Some(root)) => page.remove(root, steps).map_err(obstacle)?,
        (None, None) => None,
    };
    let Some(splice) = splice else { return Ok(None) };
    let edited = splice_all(page.text, vec![splice]);
    let meant = match value {
        Some(value) => set(root, steps, value),
        None => root.and_then(|root| without(root, steps)),
    };
    let tree = confirm(&edited, meant.as_ref(), &path.to_string())?;
    Ok(Some((edited, tree)))
}

/// Adds an object to the end of the list under the top-level `key` of any YAML document, such as a definition;
/// the list is made when there is none.
///
/// # Errors
/// [`EditError`]; nothing is changed then.
pub fn append(text: &str, key: &str, entries: Vec<(&str, Node)>) -> Result<String, EditError> {
    let (mark, body) = split_mark(text);
    let root = yaml::parse(body).map_err(EditError::not_yaml)?;
    let length = match root.as_ref().and_then(|root| root.get(key)).map(|node| &node.content) {
        Some(Content::Sequence(items)) => items.len(),
        _ => 0,
    };
    let steps = [Step::Key(key.to_owned()), Step::Index(length)];
    let entry = Content::Mapping(entries.into_iter().map(|(name, value)| (emit::string(name), value)).collect());
    let page = Page::new(body, root.as_ref());
    let path = Path { steps: steps.to_vec() };
    let edited = put(&page, root.as_ref(), &steps, Some(&emit::node(entry)), &path)?;
    Ok(edited.map_or_else(|| text.to_owned(), |(edited, _)| format!("{mark}{edited}")))
}

/// Applies changes that come in the order of the text.
pub(super) fn splice_all(text: &str, splices: Vec<Splice>) -> String {
    let mut edited = String::with_capacity(text.len());
    let mut from = 0;
    for splice in splices {
        edited.push_str(text.get(from..splice.range.start).unwrap_or_default());
        edited.push_str(&splice.text);
        from = splice.range.end;
    }
    edited.push_str(text.get(from..).unwrap_or_default());
    edited
}

/// Reads `edited` again and compares it with what was meant; answers the new tree.
pub(super) fn confirm(edited: &str, meant: Option<&Node>, what: &str) -> Result<Option<Node>, EditError> {
    let refused = || EditError::ChangesMore(what.to_owned());
    let read = yaml::parse(edited).map_err(|_| refused())?;
    let same = match (&read, meant) {
        (Some(read), Some(meant)) => means_the_same(read, meant),
        (None, None) => true,
        _ => false,
    };
    if same { Ok(read) } else { Err(refused()) }
}

/// Whether two trees mean the same to ESC: scalars by type and text, keys in order.
pub(super) fn means_the_same(one: &Node, other: &Node) -> bool {
    match (&one.content, &other.content) {
        (Content::Scalar { .. }, Content::Scalar { .. }) => meaning(one) == meaning(other),
        (Content::Sequence(one), Content::Sequence(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| means_the_same(one, other))
        }
        (Content::Mapping(one), Content::Mapping(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|((key, value), (k, v))| means_the_same(key, k) && means_the_same(value, v))
        }
        _ => false,
    }
}

fn meaning(node: &Node) -> Option<Result<Scalar, String>> {
    match &node.content {
        Content::Scalar { text, style } => Some(scalar::resolve(text, *style, node.tag.as_deref())),
        _ => None,
    }
}

/// The path from the document's root, and a check of what the language reserves (esc-language.md §2).
fn full_steps(path: &Path, root: Option<&Node>, set: bool) -> Result<Vec<Step>, EditError> {
    let section = match path.steps.first() {
        None => return Err(EditError::EmptyPath),
        Some(Step::Key(key)) if key == "imports" => "imports",
        Some(Step::Key(key)) if set && (key == "context" || key == "environments" || key.starts_with("fn::")) => {
            return Err(EditError::Reserved(key.clone()));
        }
        Some(_) => "values",
    };
    // Top-level keys are matched whatever their case (esc-language.md §1.1).
    let written = match root.map(|root| &root.content) {
        Some(Content::Mapping(entries)) => {
            let mut names = entries.iter().filter_map(|(name, _)| name.scalar());
            names.rfind(|name| name.eq_ignore_ascii_case(section)).unwrap_or(section)
        }
        _ => section,
    };
    let mut steps = vec![Step::Key(written.to_owned())];
    steps.extend(path.steps.iter().skip(usize::from(section == "imports")).cloned());
    Ok(steps)
}

fn new_node(path: &Path, value: &NewValue) -> Result<Node, EditError> {
    match value {
        NewValue::Expression(text) => Ok(emit::string(text)),
        NewValue::Text(text) => Ok(emit::string(&escape(text))),
        NewValue::Yaml(text) => {
            let wrong = |message: String, mark| EditError::NewValue { path: path.clone(), message, mark };
            let text = split_mark(text).1;
            let node = yaml::parse_whole(text).map_err(|error| wrong(error.message, error.mark))?;
            // In quotes, a list or an object YAML's own signs are meant; unquoted text is meant as it stands.
            let (kept, end) = match &node {
                Some(Node { content: Content::Scalar { text: scalar, style: Style::Plain }, tag, span }) => {
                    let is_cast = tag.as_ref().is_some_and(|tag| tag.starts_with("!!"));
                    (is_cast || scalar == text.trim(), span.end)
                }
                Some(Node {
                    content: Content::Scalar { text: scalar, style: Style::Literal | Style::Folded },
                    span,
                    ..
                }) => (!scalar.is_empty(), span.start),
                Some(_) => (true, Mark::default()),
                None => (text.trim().is_empty(), Mark::new(1, 1, 0)),
            };
            if kept { Ok(node.unwrap_or_else(null)) } else { Err(wrong(ANOTHER_TEXT.to_owned(), end)) }
        }
        NewValue::Secret(secret) => {
            let mut bytes = Vec::with_capacity(secret.len());
            let written = secret.write_plaintext(&mut bytes);
            let text = written.ok().and_then(|()| String::from_utf8(bytes).ok());
            text.map(|text| secret_node(&text)).ok_or_else(|| EditError::NotText(path.clone()))
        }
    }
}

const ANOTHER_TEXT: &str = "YAML makes another text of it (a comment, a tag, an anchor, a line break without quotes)";

fn null() -> Node {
    emit::node(Content::Scalar { text: "null".into(), style: Style::Plain })
}

/// `fn::secret` of a text. ESC encrypts the text as it stands, but refuses `${` in it before, and an escape
/// would stay in the stored value (esc-language.md §5); base64 avoids that.
pub(super) fn secret_node(text: &str) -> Node {
    if text.contains("${") {
        use base64::Engine as _;
        let coded = base64::engine::general_purpose::STANDARD.encode(text);
        return emit::entry("fn::fromBase64", emit::entry("fn::secret", emit::string(&coded)));
    }
    emit::entry("fn::secret", emit::string(text))
}

/// The tree with `value` at `steps`. Written apart from `splice`, to check it.
fn set(node: Option<&Node>, steps: &[Step], value: &Node) -> Option<Node> {
    let Some((step, rest)) = steps.split_first() else { return Some(value.clone()) };
    let Some(node) = node.filter(|node| !page::is_null(node)) else { return splice::nest(steps, value).ok() };
    let mut changed = node.clone();
    match (&mut changed.content, step) {
        (Content::Mapping(entries), Step::Key(key)) => {
            match entries.iter_mut().find(|(name, _)| name.scalar() == Some(key)) {
                Some((_, old)) => *old = set(Some(old), rest, value)?,
                None => entries.push((emit::string(key), set(None, rest, value)?)),
            }
        }
        (Content::Sequence(items), Step::Index(index)) => match items.get_mut(*index) {
            Some(old) => *old = set(Some(old), rest, value)?,
            None => items.push(set(None, rest, value)?),
        },
        _ => return None,
    }
    Some(changed)
}

/// The tree without what is at `steps`.
fn without(node: &Node, steps: &[Step]) -> Option<Node> {
    let (step, rest) = steps.split_first()?;
    let mut changed = node.clone();
    match (&mut changed.content, step) {
        (Content::Mapping(entries), Step::Key(key)) => {
            let at = entries.iter().position(|(name, _)| name.scalar() == Some(key))?;
            if rest.is_empty() {
                entries.remove(at);
            } else if let Some((_, old)) = entries.get_mut(at) {
                *old = without(old, rest)?;
            }
        }
        (Content::Sequence(items), Step::Index(index)) if *index < items.len() => {
            if rest.is_empty() {
                items.remove(*index);
            } else if let Some(old) = items.get_mut(*index) {
                *old = without(old, rest)?;
            }
        }
        _ => return None,
    }
    Some(changed)
}
