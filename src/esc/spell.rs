//! "Did you mean": the nearest of some names, by ESC's own measure (esc-language.md §5).
//!
//! Case and underscores do not count; a suggestion must be closer than half the length of what was typed.

/// Longer names get no suggestion: comparing takes the square of their length.
const LONGEST: usize = 200;

fn fold(name: &str) -> Vec<u8> {
    name.chars().filter(|letter| *letter != '_').flat_map(char::to_lowercase).collect::<String>().into_bytes()
}

/// The candidate nearest to `typed`, or none when none is promising. Of equals the first wins.
#[must_use]
pub fn nearest<'c>(typed: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let typed = fold(typed);
    if typed.len() > LONGEST {
        return None;
    }
    let mut closest = typed.len().div_ceil(2);
    let mut best = None;
    for candidate in candidates {
        let folded = fold(candidate);
        if folded.len().abs_diff(typed.len()) >= closest {
            continue; // the distance is at least the difference in length
        }
        let distance = strsim::generic_levenshtein(&typed, &folded);
        if distance < closest {
            closest = distance;
            best = Some(candidate);
        }
    }
    best
}

/// The tail of a message: `; did you mean "name"?`, or nothing.
#[must_use]
pub fn did_you_mean<'c>(typed: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    nearest(typed, candidates)
        .map_or_else(String::new, |name| format!("; did you mean {}?", super::value::go_quote(name)))
}

/// `names`, nearest first; equals keep their order.
#[must_use]
pub fn by_distance<'c>(typed: &str, names: &[&'c str]) -> Vec<&'c str> {
    let typed = fold(typed);
    let mut sorted = names.to_vec();
    sorted.sort_by_cached_key(|name| strsim::generic_levenshtein(&typed, &fold(name)));
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_only_what_is_near() {
        let names = ["password", "user_name", "host"];
        assert_eq!(nearest("pasword", names), Some("password"));
        assert_eq!(nearest("USERNAME", names), Some("user_name"));
        assert_eq!(nearest("zzz", names), None);
        assert_eq!(nearest("", names), None);
        assert_eq!(did_you_mean("hots", ["host"]), ""); // two edits are half of four letters
        assert_eq!(did_you_mean("hos", ["host"]), "; did you mean \"host\"?");
    }
}
