//! The section on rotation: how the secrets stand, since when, and whose turn it is.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::chart::{Axis, shares, timeline};
use super::entry::{Bar, bars};
use super::html::{escaped, heading, state, table};
use super::{Evidence, EvidenceEntry, STATES, date, phrase, sign};

/// Bars of the timeline; the table of the inventory has every entry.
const MOST_BARS: usize = 40;

/// Names that are told of one owner; the list of every secret has all.
const MOST_NAMES: usize = 25;

/// Stacks that a bar names; of more it tells the number.
const MOST_STACKS: usize = 3;

pub fn rotation(evidence: &Evidence, to: &mut dyn Write) -> io::Result<()> {
    heading(to, "rotation", "Rotation")?;
    let entries = evidence.by_urgency();
    if entries.is_empty() {
        writeln!(to, "<p>Nothing has a rotation schedule.</p>")?;
    } else {
        states(evidence, to)?;
        chart(&entries, evidence, to)?;
    }
    overdue(evidence, to)?;
    writeln!(to, "</section>")
}

/// All entries by their state, as one bar and in words.
fn states(evidence: &Evidence, to: &mut dyn Write) -> io::Result<()> {
    let counts: Vec<_> = STATES.iter().map(|state| (*state, evidence.count(*state))).collect();
    let words = |separator: &str, word: &dyn Fn(_, usize) -> String| {
        let told: Vec<String> =
            counts.iter().filter(|(_, count)| *count > 0).map(|(state, count)| word(*state, *count)).collect();
        told.join(separator)
    };
    let says = words(", ", &|state, count| format!("{count} {}", phrase(state)));
    let parts: Vec<(&str, usize)> = counts.iter().map(|(state, count)| (state.word(), *count)).collect();
    let legend = words("", &|state, count| {
        format!("<li><span class=\"state {}\">{} {count}</span> {}</li>", state.word(), sign(state), phrase(state))
    });
    writeln!(to, "{}\n<ul class=\"legend\">{legend}</ul>", shares(&parts, &format!("All deliveries by state: {says}")))
}

fn chart(entries: &[&EvidenceEntry], evidence: &Evidence, to: &mut dyn Write) -> io::Result<()> {
    let all = bars(entries);
    let shown: Vec<&Bar<'_>> = all.iter().take(MOST_BARS).collect();
    let axis = Axis::of(&shown.iter().map(|bar| bar.entry).collect::<Vec<_>>(), evidence.generated);
    let few = if all.len() > shown.len() {
        format!(" Shown are the {} most urgent of {}.", shown.len(), all.len())
    } else {
        String::new()
    };
    writeln!(
        to,
        "<h3>Timeline</h3>\n<p>A bar runs from the last change of a value to the day the next one is due; what follows it in red is the time since. \
         The upright line is today.{few}</p>\n<div class=\"axis\" aria-hidden=\"true\">"
    )?;
    let label = |at: f64, class: &str, words: &str| {
        let side = if at > 940.0 {
            " end"
        } else if at < 60.0 {
            " start"
        } else {
            ""
        };
        format!("<span class=\"{class}{side}\" style=\"left:{:.1}%\">{words}</span>", at / 10.0)
    };
    for (at, name) in axis.ticks() {
        writeln!(to, "{}", label(at, "month", &name))?;
    }
    writeln!(to, "{}\n</div>\n<ol class=\"timeline\">", label(axis.at(axis.now), "now", "today"))?;
    for bar in shown {
        let stacks =
            if bar.stacks.len() > MOST_STACKS { format!("{} stacks", bar.stacks.len()) } else { bar.stacks.join(", ") };
        writeln!(
            to,
            "<li><span class=\"name\"><code>{}</code> <span class=\"soft\">{}</span></span>{}{}</li>",
            escaped(&bar.entry.name),
            escaped(&stacks),
            timeline(bar.entry, &axis),
            state(bar.entry.state())
        )?;
    }
    writeln!(to, "</ol>")
}

fn overdue(evidence: &Evidence, to: &mut dyn Write) -> io::Result<()> {
    let owners = evidence.overdue_by_owner();
    writeln!(to, "<h3>Overdue, by owner</h3>")?;
    if owners.is_empty() {
        let what = if evidence.unread == 0 { "Nothing" } else { "Nothing that could be read" };
        return writeln!(to, "<p>{what} is overdue.</p>");
    }
    let rows: Vec<String> = owners
        .iter()
        .map(|(owner, entries)| {
            let names: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
            let more = names.len().saturating_sub(MOST_NAMES);
            let mut told: Vec<String> =
                names.into_iter().take(MOST_NAMES).map(|name| format!("<code>{}</code>", escaped(name))).collect();
            if more > 0 {
                told.push(format!("and {more} more"));
            }
            let oldest = entries.iter().filter_map(|entry| entry.standing.due).min().map(date).unwrap_or_default();
            format!(
                "<th scope=\"row\" class=\"word\">{}</th><td class=\"number\">{}</td><td class=\"day\">{oldest}</td><td class=\"names\">{}</td>",
                escaped(owner),
                entries.len(),
                told.join(", ")
            )
        })
        .collect();
    table(to, "Overdue or never rotated", &["Owner", "#Deliveries", "Due since", "Names"], &rows)
}
