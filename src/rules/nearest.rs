//! The known name that someone who typed an unknown one most likely meant.

/// The candidate nearest to `typed`, when one is near enough to be worth a hint: few edits away, or one
/// within the other (`groups` and `secretGroups`).
pub fn nearest<'c>(typed: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let folded = typed.to_lowercase();
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            let edits = strsim::damerau_levenshtein(&folded, &other);
            let longest = folded.chars().count().max(other.chars().count());
            let inside = folded.len().min(other.len()) >= 4 && (folded.contains(&other) || other.contains(&folded));
            (inside || edits <= (longest / 3).max(1) && edits < longest).then_some((edits, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// The hint for an unknown name: the nearest candidate, else all of them.
#[must_use]
pub fn hint(typed: &str, candidates: &[&str]) -> String {
    match nearest(typed, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if candidates.is_empty() => "none is defined".to_owned(),
        None => {
            format!("known: {}", candidates.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_typing_errors_case_and_parts_but_not_anything() {
        let known = ["secretGroups", "environments", "name", "organization"];
        for (typed, meant) in [
            ("secretgroups", Some("secretGroups")),
            ("groups", Some("secretGroups")),
            ("enviroments", Some("environments")),
            ("nmae", Some("name")),
            ("organisation", Some("organization")),
            ("x", None),
            ("prune", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
        assert_eq!(hint("x", &["a-b", "c-d"]), "known: `a-b`, `c-d`");
    }
}
