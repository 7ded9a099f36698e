//! The report as one HTML file: no script, no font, no picture and no style from elsewhere.

use std::io::{self, Write};

use super::schedule::rotation;
use super::sections::{access, changes, controls, entries, events, inventory, limits, practice, trail, unseen};
use super::{Evidence, Presence, Verdict, answers, date, phrase, sign};
use crate::rules::rotation::State;

const STYLE: &str = include_str!("style.css");

/// Longer tables are folded.
const LONGEST_OPEN: usize = 50;

/// `text` as HTML text or attribute.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

/// A sentence of this tool, with what stands in backticks as code.
pub fn sentence(text: &str) -> String {
    let parts = escaped(text);
    let mut html = String::with_capacity(parts.len());
    for (index, part) in parts.split('`').enumerate() {
        if index > 0 {
            html.push_str(if index % 2 == 1 { "<code>" } else { "</code>" });
        }
        html.push_str(part);
    }
    if parts.matches('`').count() % 2 == 1 {
        html.push_str("</code>");
    }
    html
}

pub fn write(evidence: &Evidence, to: &mut dyn Write) -> io::Result<()> {
    let title = escaped(&format!("{} / {}", evidence.organization, evidence.project));
    writeln!(
        to,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>Evidence on secrets: {title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#audits\">Skip to the report</a>"
    )?;
    head(evidence, to, &title)?;
    writeln!(to, "<main>")?;
    questions(evidence, to)?;
    inventory(evidence, to)?;
    rotation(evidence, to)?;
    access(evidence, to)?;
    practice(evidence, to)?;
    changes(evidence, to)?;
    trail(evidence, to)?;
    limits(evidence, to)?;
    controls(to)?;
    unseen(evidence, to)?;
    entries(evidence, to)?;
    events(evidence, to)?;
    writeln!(to, "</main>")?;
    writeln!(
        to,
        "<footer class=\"soft\"><p>Made by sophia-secrets-sync {} from names, dates and counts. It holds no value of a secret.</p></footer>\n</body>\n</html>",
        env!("CARGO_PKG_VERSION")
    )
}

fn head(evidence: &Evidence, to: &mut dyn Write, title: &str) -> io::Result<()> {
    let tile =
        |class: &str, count: String, words: &str| format!("<li><strong class=\"{class}\">{count}</strong>{words}</li>");
    let standing = |state: State| {
        let count = evidence.count(state);
        let class = if count == 0 { "" } else { state.word() };
        tile(class, count.to_string(), phrase(state))
    };
    let whole = match &evidence.trail {
        None => tile("open", "–".into(), "no audit trail"),
        Some(trail) if trail.verification.is_whole() => tile("met", "✔".into(), "audit trail is whole"),
        Some(_) => tile("failed", "✖".into(), "audit trail is not whole"),
    };
    let there = evidence.entries.iter().filter(|entry| entry.presence == Presence::Delivered).count();
    writeln!(
        to,
        "<header>\n<p class=\"kind\">Evidence on secrets</p>\n<h1>{title}</h1>\n<p class=\"soft\">Changes from {} to {}; everything else as of {}.</p>\n<ul class=\"tiles\">",
        date(evidence.since),
        date(evidence.generated),
        evidence.generated.strftime("%Y-%m-%d %H:%M UTC")
    )?;
    let tiles = [
        tile("", evidence.names().to_string(), "names"),
        tile("", there.to_string(), &format!("of {} delivered as written", evidence.entries.len())),
        standing(State::Overdue),
        standing(State::Never),
        standing(State::DueSoon),
        tile("", evidence.changes().count().to_string(), "changes in the period"),
        whole,
    ];
    writeln!(to, "{}\n</ul>", tiles.join("\n"))?;
    let sections = [
        ("audits", "Regular audits"),
        ("inventory", "Inventory"),
        ("rotation", "Rotation"),
        ("access", "Access"),
        ("practice", "Drills and checks"),
        ("changes", "Changes"),
        ("trail", "Audit trail"),
        ("limits", "Limits"),
        ("controls", "Controls"),
        ("unseen", "Not looked at"),
        ("entries", "Every secret"),
        ("events", "Every event"),
    ];
    let links: Vec<String> =
        sections.iter().map(|(id, words)| format!("<li><a href=\"#{id}\">{words}</a></li>")).collect();
    writeln!(to, "<nav aria-label=\"Sections\"><ul>{}</ul></nav>\n</header>", links.join(""))
}

pub fn heading(to: &mut dyn Write, id: &str, words: &str) -> io::Result<()> {
    writeln!(to, "<section class=\"{id}\" aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{words}</h2>")
}

/// A table in a box that scrolls on its own; folded when it is long. A column that begins with `#` holds numbers, one
/// with `%` charts that say no more than the numbers beside them.
pub fn table(to: &mut dyn Write, caption: &str, columns: &[&str], rows: &[String]) -> io::Result<()> {
    let heads: String = columns
        .iter()
        .map(|column| {
            let (class, words) = match (column.strip_prefix('#'), column.strip_prefix('%')) {
                (Some(words), _) => (" class=\"number\"", words),
                (_, Some(words)) => (" class=\"share\"", words),
                _ => ("", *column),
            };
            format!("<th scope=\"col\"{class}>{words}</th>")
        })
        .collect();
    let label = escaped(caption);
    let long = rows.len() > LONGEST_OPEN;
    if long {
        writeln!(to, "<details><summary>{label}: {} rows</summary>", rows.len())?;
    }
    writeln!(
        to,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\"><table>\n<caption>{label}</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>"
    )?;
    for row in rows {
        writeln!(to, "<tr>{row}</tr>")?;
    }
    writeln!(to, "</tbody></table></div>{}", if long { "</details>" } else { "" })
}

pub fn state(state: State) -> String {
    format!("<span class=\"state {}\">{} {}</span>", state.word(), sign(state), phrase(state))
}

fn questions(evidence: &Evidence, to: &mut dyn Write) -> io::Result<()> {
    heading(to, "audits", "Regular audits")?;
    writeln!(to, "<ol class=\"points\">")?;
    for answer in answers(evidence) {
        let (class, sign) = match answer.verdict {
            Verdict::Met => ("met", "✔"),
            Verdict::Open => ("open", "▲"),
            Verdict::NotShown => ("not-shown", "–"),
        };
        writeln!(
            to,
            "<li><h3>{}</h3>\n<p><span class=\"state {class}\">{sign} {}</span></p>\n<p>{}. <a href=\"#{}\">Details<span class=\"aloud\"> of: {}</span></a></p></li>",
            answer.question,
            answer.verdict.word(),
            sentence(&answer.text),
            answer.section,
            answer.question
        )?;
    }
    writeln!(to, "</ol>")?;
    if !evidence.findings.is_empty() {
        let rows: Vec<String> = evidence
            .findings
            .iter()
            .map(|finding| {
                format!(
                    "<td><span class=\"state {}\">{}</span></td><td class=\"word\"><code>{}</code></td><td>{}</td>",
                    if finding.severity == "error" { "failed" } else { "open" },
                    escaped(&finding.severity),
                    escaped(&finding.code),
                    sentence(&finding.message)
                )
            })
            .collect();
        table(to, "Findings", &["Severity", "Code", "Finding"], &rows)?;
    }
    writeln!(to, "</section>")
}

#[cfg(test)]
mod tests {
    use super::super::samples::evidence;
    use super::*;

    fn html(count: usize) -> String {
        let mut bytes = Vec::new();
        evidence(count).html(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// Names of the elements that are open at the end, or that were closed in the wrong order.
    fn unbalanced(html: &str) -> Vec<String> {
        let mut open = vec!["html".to_owned(), "head".to_owned()];
        for part in html.split("</style>").last().unwrap_or(html).split('<').skip(1) {
            let name: String = part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '/').collect();
            let empty = part.split('>').next().is_some_and(|tag| tag.ends_with('/'));
            if let Some(closed) = name.strip_prefix('/') {
                if open.last().is_some_and(|last| last == closed) {
                    open.pop();
                } else {
                    return vec![format!("</{closed}> in {open:?}")];
                }
            } else if !empty {
                open.push(name);
            }
        }
        open
    }

    #[test]
    fn the_file_needs_nothing_from_elsewhere() {
        let html = html(60);
        for foreign in ["<script", "http://", "https://", "url(", "@import", "<iframe", "onload"] {
            assert!(!html.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn foreign_text_cannot_become_markup() {
        let html = html(60);
        assert!(html.contains("&lt;img src=x&gt;") && !html.contains("<img"));
        assert_eq!(escaped("<a href=\"x\" b='y'>&\u{7}"), "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp; ");
    }

    #[test]
    fn code_in_a_sentence_is_always_closed() {
        assert_eq!(sentence("run `a <b>` or `c"), "run <code>a &lt;b&gt;</code> or <code>c</code>");
    }

    #[test]
    fn every_element_is_closed_and_every_link_has_a_goal() {
        for count in [0, 1, 60, 300] {
            let html = html(count);
            assert!(unbalanced(&html).is_empty(), "{count} entries: {:?}", unbalanced(&html));
            for link in html.split("href=\"#").skip(1) {
                let goal = link.split('"').next().unwrap();
                assert!(html.contains(&format!("id=\"{goal}\"")), "#{goal}");
            }
        }
    }

    #[test]
    fn every_chart_has_a_name_and_every_table_a_caption() {
        let html = html(60);
        assert_eq!(html.matches("<svg").count(), html.matches("role=\"img\" aria-label=\"").count());
        assert!(html.matches("<svg").count() > 40);
        assert_eq!(html.matches("<table>").count(), html.matches("<caption>").count());
    }

    #[test]
    fn a_long_inventory_is_folded() {
        assert!(!html(50).contains("<details>"));
        assert!(
            html(60).contains("<summary>Every secret and variable that the definition asks for: 60 rows</summary>")
        );
    }
}
