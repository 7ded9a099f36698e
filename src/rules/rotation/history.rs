//! When a value changed last, by the revisions of the ESC environment that holds it.
//!
//! Only what stands in the environment's own text is compared: what a provider or an import gives has a history
//! elsewhere.

use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::base::yaml::{Content, Node};
use crate::esc::path::Path;
use crate::rules::import::{is_computed, node_at};

/// The text that an environment's document gives the value at `path`: of a scalar, of `fn::secret` in clear, or
/// of a secret in base64. None for what the document computes or does not have.
#[must_use]
pub fn text_at(document: &Node, path: &Path) -> Option<Zeroizing<String>> {
    let node = node_at(document.get("values")?, &path.steps)?;
    (!is_computed(node)).then(|| static_text(node)).flatten()
}

fn static_text(node: &Node) -> Option<Zeroizing<String>> {
    match &node.content {
        Content::Scalar { text, .. } => Some(Zeroizing::new(text.clone())),
        Content::Mapping(entries) => match entries.as_slice() {
            [(key, value)] if matches!(key.scalar(), Some("fn::secret" | "fn::fromBase64")) => static_text(value),
            _ => None,
        },
        Content::Sequence(_) => None,
    }
}

/// One value whose last change is looked for, from the newest revision to older ones.
pub struct Search {
    paths: Vec<Path>,
    now: Vec<Zeroizing<String>>,
    /// When the oldest revision was made that is known to hold the value of now.
    since: Option<Timestamp>,
}

impl Search {
    /// Begins with the document as it is now; none when the value does not stand in it.
    #[must_use]
    pub fn begin(document: &Node, paths: Vec<Path>) -> Option<Self> {
        let now: Vec<Zeroizing<String>> = paths.iter().filter_map(|path| text_at(document, path)).collect();
        (!now.is_empty() && now.len() == paths.len()).then_some(Self { paths, now, since: None })
    }

    /// Looks at the next older revision. Whether it still holds the value of now.
    pub fn goes_on(&mut self, document: Option<&Node>, created: Timestamp) -> bool {
        let then = |path: &Path| document.and_then(|document| text_at(document, path));
        let same = self.paths.iter().zip(&self.now).all(|(path, now)| then(path).as_ref() == Some(now));
        if same {
            self.since = Some(created);
        }
        same
    }

    /// When the value came to be, as far as looked; none when not even the newest revision holds it.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::yaml;

    fn document(text: &str) -> Node {
        yaml::parse(text).unwrap().unwrap()
    }

    #[test]
    fn only_what_the_document_itself_says_has_a_text() {
        let document = document(
            "values:\n  a: {fn::secret: v}\n  b: v\n  c: {fn::fromBase64: {fn::secret: dg==}}\n  d: ${a}\n  e: {fn::open::x: {}}\n  f: {g: {fn::secret: w}}\n",
        );
        let text = |path: &str| text_at(&document, &path.parse().unwrap()).map(|text| text.to_string());
        for (path, expected) in [
            ("a", Some("v")),
            ("b", Some("v")),
            ("c", Some("dg==")),
            ("d", None),
            ("e", None),
            ("f", None),
            ("f.g", Some("w")),
            ("x", None),
        ] {
            assert_eq!(text(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn a_value_is_as_old_as_the_oldest_revision_in_a_row_that_holds_it() {
        let time = |day: &str| format!("2026-01-{day}T00:00:00Z").parse::<Timestamp>().unwrap();
        let holding = |value: &str| document(&format!("values: {{ g: {{ A: {{ fn::secret: {value} }} }} }}"));
        let mut search = Search::begin(&holding("new"), vec!["g.A".parse().unwrap()]).unwrap();
        assert_eq!(search.since(), None);
        assert!(search.goes_on(Some(&holding("new")), time("09")));
        assert!(
            search
                .goes_on(Some(&document("{ values: { g: { A: { fn::secret: 'new' } } }, imports: [x] }")), time("08"))
        );
        assert!(!search.goes_on(Some(&holding("old")), time("07")));
        assert_eq!(search.since(), Some(time("08")));
        assert!(!search.goes_on(None, time("06")));
        assert!(Search::begin(&holding("v"), vec!["g.A".parse().unwrap(), "g.B".parse().unwrap()]).is_none());
    }
}
