//! The page that a step leaves in the job summary: its problems and its reports, within GitHub's limit.

use std::fmt::Write as _;

use super::findings;
use super::markdown_text;
use crate::base::error::{Problem, Severity};

/// GitHub drops a whole step summary above this many bytes (github-api.md §5.2).
pub const LIMIT: usize = 1_048_576;

/// What problems may take of it, in bytes: a broken definition must not push the report away.
const PROBLEMS_LIMIT: usize = 131_072;

/// One report of the step.
pub struct Section {
    /// As typed; the heading of a report that has none of its own.
    pub command: String,
    pub markdown: String,
}

/// The page; empty when there is nothing to say. Errors stand above the reports, mere warnings below.
#[must_use]
pub fn page(problems: &[Problem], sections: &[Section]) -> String {
    let mut reports = String::new();
    for Section { command, markdown } in sections {
        if !markdown.starts_with('#') {
            let _ = writeln!(reports, "## {}\n", markdown_text(command));
        }
        reports.push_str(markdown);
        reports.push('\n');
    }
    let reports = cut(&reports, LIMIT - PROBLEMS_LIMIT);
    if problems.is_empty() {
        return reports;
    }
    let has_error = problems.iter().any(|problem| problem.severity == Severity::Error);
    let mut worst_first: Vec<&Problem> = problems.iter().collect();
    worst_first.sort_by_key(|problem| problem.severity);
    let mut table = Vec::new();
    // Writing to memory does not fail.
    let _ = findings::table(worst_first, &mut table);
    let title = findings::count(problems);
    let problems = cut(&format!("## Problems: {title}\n\n{}\n", String::from_utf8_lossy(&table)), PROBLEMS_LIMIT);
    if has_error { problems + &reports } else { reports + &problems }
}

/// Markdown of at most `limit` bytes, cut at a line's end and after the last part that is whole.
fn cut(markdown: &str, limit: usize) -> String {
    const NOTE: &str = "\n\n> This was cut at GitHub's limit of 1 MiB; the output `report` names the whole.\n";
    const END: &str = "\n</details>";
    if markdown.len() <= limit {
        return markdown.to_owned();
    }
    let mut end = limit - NOTE.len() - END.len();
    while !markdown.is_char_boundary(end) {
        end -= 1;
    }
    let kept = &markdown[..end];
    let kept = kept.rfind('\n').map_or(kept, |line_end| &kept[..line_end]);
    let inside = kept.matches("<details").count() > kept.matches("</details>").count();
    format!("{kept}{}{NOTE}", if inside { END } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Place;

    fn section(markdown: &str) -> Section {
        Section { command: "doctor".to_owned(), markdown: markdown.to_owned() }
    }

    #[test]
    fn errors_stand_above_the_report_with_their_places_and_mere_warnings_below() {
        let place = Place { file: "a.yaml".into(), line: 8, column: 5 };
        let warning = Problem::warning("mask-too-short", "`PIN` is short");
        let error = Problem::error("unknown-key", "unknown key `x`").at(place).hint("did you mean `y`");
        let head = "| | finding | place | what to do |\n|---|---|---|---|";
        let row = "| warning | `mask-too-short`: `PIN` is short |  |  |";
        assert_eq!(
            page(&[warning.clone(), error], &[section("# Own heading\n")]),
            format!(
                "## Problems: 1 error, 1 warning\n\n{head}\n\
                 | error | `unknown-key`: unknown key `x` | a.yaml:8:5 | did you mean `y` |\n{row}\n\n# Own heading\n\n"
            )
        );
        let expected = format!("# Own heading\n\n## Problems: 1 warning\n\n{head}\n{row}\n\n");
        assert_eq!(page(&[warning], &[section("# Own heading\n")]), expected);
        assert_eq!(page(&[], &[]), "");
    }

    #[test]
    fn a_report_without_a_heading_gets_its_commands_name() {
        assert_eq!(page(&[], &[section("| a |\n")]), "## doctor\n\n| a |\n\n");
    }

    #[test]
    fn a_long_page_is_cut_at_a_line_and_says_so() {
        let long = "| ä | ö |\n".repeat(LIMIT / 10);
        let page = page(&[Problem::error("code", "x".repeat(LIMIT))], &[section(&long)]);
        assert!(page.len() <= LIMIT && page.len() > LIMIT - PROBLEMS_LIMIT - 200, "{}", page.len());
        assert!(page.contains("| ä | ö |\n\n> This was cut"));
        assert_eq!(page.matches("> This was cut").count(), 2);
        let short = "x".repeat(LIMIT - PROBLEMS_LIMIT);
        assert_eq!(cut(&short, short.len()), short);
    }

    #[test]
    fn what_is_folded_does_not_swallow_the_note() {
        let page = cut(&format!("<details open>\n{}", "line\n".repeat(100)), 400);
        assert!(page.contains("line\n</details>\n\n> This was cut"), "{page}");
        assert!(page.len() <= 400);
    }
}
