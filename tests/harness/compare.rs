//! How two texts differ, for a person.

use similar::{ChangeTag, TextDiff};

/// The lines that differ with a few around them; `-` was expected, `+` is.
pub fn difference(expected: &str, actual: &str) -> String {
    let diff = TextDiff::from_lines(expected, actual);
    let mut out = String::new();
    for (index, group) in diff.grouped_ops(3).iter().enumerate() {
        if index > 0 {
            out.push_str("      ⋮\n");
        }
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            out.push_str(match change.tag() {
                ChangeTag::Delete => "    - ",
                ChangeTag::Insert => "    + ",
                ChangeTag::Equal => "      ",
            });
            out.push_str(change.value());
        }
    }
    out
}
