//! The sections of the HTML report.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write};

use super::chart::{columns, meter};
use super::entry::source;
use super::html::{escaped, heading, sentence, state, table};
use super::{CONTROLS, DRILL, Evidence, EvidenceEntry, Presence, USAGE, counted, date};
use crate::report::audit::AuditEvent;
use crate::rules::audit_runs::LastRun;

/// Rows of changes that are shown, the newest.
const MOST_CHANGES: usize = 2000;

/// The head of a row, once for the rows that it is the head of.
fn first_of(index: usize, rows: usize, head: &str) -> String {
    if index > 0 {
        String::new()
    } else {
        format!("<th scope=\"rowgroup\" rowspan=\"{rows}\" class=\"name\">{head}</th>")
    }
}

pub fn inventory(evidence: &Evidence, to: &mut dyn Write) -> io::Result<()> {
    heading(to, "inventory", "Inventory")?;
    let coverage = evidence.coverage();
    let mut rows = Vec::new();
    for of_group in coverage.chunk_by(|left, right| left.group == right.group) {
        for (index, row) in of_group.iter().enumerate() {
            let present = if row.unread { "?".to_owned() } else { row.present.to_string() };
            let place = format!("{}, {}, {}", row.group, row.stack, row.target);
            let says = if row.unread {
                format!("{place}: could not be read")
            } else {
                format!("{place}: {present} of {} are there", row.expected)
            };
            rows.push(format!(
                "{}<td>{}</td><td class=\"name\">{}</td><td class=\"number\">{}/{}</td><td class=\"share\">{}</td>",
                first_of(index, of_group.len(), &escaped(&row.group)),
                escaped(&row.stack),
                escaped(&row.target),
                present,
                row.expected,
                meter(row.present, row.expected, if row.present < row.expected { "due-soon" } else { "ok" }, &says)
            ));
        }
    }
    table(to, "Coverage by group, stack and target", &["Group", "Stack", "Target", "#There", "%Share"], &rows)?;
    writeln!(to, "<p>Each of them is listed under <a href=\"#entries\">every secret</a>.</p>\n</section>")
}

/// The long list, which stands at the end.
pub fn entries(evidence: &Evidence, to: &mut dyn Write) -> io::Result<()> {
    heading(to, "entries", "Every secret")?;
    let rows: Vec<String> = evidence.entries.iter().map(entry_row).collect();
    table(
        to,
        "Every secret and variable that the definition asks for",
        &["Name", "Kind", "Group", "Stack", "Target", "There", "Last change", "Due", "Rotation", "Owner"],
        &rows,
    )?;
    writeln!(to, "</section>")
}

fn entry_row(entry: &EvidenceEntry) -> String {
    let class = match entry.presence {
        Presence::Delivered => "",
        Presence::Missing => " class=\"failed\"",
        Presence::EditedOutside | Presence::NotTracked | Presence::Unknown => " class=\"open\"",
    };
    let changed = match entry.standing.changed {
        Some((changed, from)) => format!("{} <span class=\"soft\">({})</span>", date(changed), source(from)),
        None => "unknown".to_owned(),
    };
    format!(
        "<th scope=\"row\" class=\"name\"><code>{}</code></th><td>{}</td><td>{}</td><td>{}</td><td class=\"name\">{}</td><td{class}>{}</td><td class=\"day\">{changed}</td><td class=\"day\">{}</td><td>{}</td><td>{}</td>",
        escaped(&entry.name),
        escaped(&entry.kind),
        escaped(&entry.group),
        escaped(&entry.stack),
        escaped(&entry.target),
        entry.presence.word(),
        entry.standing.due.map(date).unwrap_or_default(),
        if entry.presence == Presence::Unknown { "unknown".to_owned() } else { state(entry.state()) },
        escaped(entry.owner.as_deref().unwrap_or("nobody")),
    )
}

pub fn access(evidence: &Evidence, to: &mut dyn Write) -> io::Result<()> {
    heading(to, "access", "Access")?;
    let rule = if evidence.policies_bind {
        "Access policies bind: what none of them grants is denied."
    } else {
        "No access policy is defined, so the tool denies nothing."
    };
    writeln!(to, "<p>{rule}</p>")?;
    let stacks: BTreeSet<&str> = evidence.grants.iter().map(|grant| grant.stack.as_str()).collect();
    let who: BTreeSet<(&str, &str, &str)> = evidence
        .grants
        .iter()
        .map(|grant| (grant.identity.as_str(), grant.kind.as_str(), grant.group.as_str()))
        .collect();
    let who: Vec<(&str, &str, &str)> = who.into_iter().collect();
    let mut rows = Vec::new();
    for of_identity in who.chunk_by(|left, right| (left.0, left.1) == (right.0, right.1)) {
        for (index, (identity, kind, group)) in of_identity.iter().copied().enumerate() {
            let head = format!("{} <span class=\"soft\">({})</span>", escaped(identity), escaped(kind));
            let cells: String = stacks.iter().map(|stack| grant_cell(evidence, identity, kind, group, stack)).collect();
            rows.push(format!("{}<td>{}</td>{cells}", first_of(index, of_identity.len(), &head), escaped(group)));
        }
    }
    if !rows.is_empty() {
        let stacks: Vec<String> = stacks.iter().map(|stack| escaped(stack)).collect();
        let columns: Vec<&str> = ["Identity", "Group"].into_iter().chain(stacks.iter().map(String::as_str)).collect();
        table(to, "Who may have which group in which stack", &columns, &rows)?;
    }
    writeln!(to, "</section>")
}

fn grant_cell(evidence: &Evidence, identity: &str, kind: &str, group: &str, stack: &str) -> String {
    let asked = (identity, kind, group, stack);
    let grant = evidence.grants.iter().find(|grant| {
        (grant.identity.as_str(), grant.kind.as_str(), grant.group.as_str(), grant.stack.as_str()) == asked
    });
    match grant {
        Some(grant) => format!("<td><span class=\"met\">✔</span> by {}</td>", escaped(&grant.policies.join(", "))),
        None => "<td class=\"soft\">no</td>".to_owned(),
    }
}

pub fn practice(evidence: &Evidence, to: &mut dyn Write) -> io::Result<()> {
    heading(to, "practice", "Drills and checks")?;
    let row = |what: &str, command: &str, last: Option<&LastRun>| match last {
        None => format!(
            "<th scope=\"row\">{what}</th><td class=\"soft\">not recorded</td><td></td><td class=\"soft\">the trail has no run of <code>{command}</code></td>"
        ),
        Some(run) => {
            let (class, sign) = if run.ended_well() { ("met", "✔") } else { ("open", "▲") };
            format!(
                "<th scope=\"row\">{what}</th><td class=\"day\">{}</td><td>{}</td><td><span class=\"state {class}\">{sign} {}</span> {}</td>",
                date(run.time),
                escaped(&run.actor),
                escaped(run.outcome.as_deref().unwrap_or("broken off")),
                escaped(run.detail.as_deref().unwrap_or_default())
            )
        }
    };
    let rows = [
        row("Emergency drill", DRILL, evidence.drill.as_ref()),
        row("Usage of secrets in code", USAGE, evidence.usage_check.as_ref()),
    ];
    table(to, "When each was last run, of the whole trail", &["What", "Last", "By", "Result"], &rows)?;
    writeln!(to, "</section>")
}

pub fn changes(evidence: &Evidence, to: &mut dyn Write) -> io::Result<()> {
    heading(to, "changes", "Changes in the period")?;
    let changes: Vec<&AuditEvent> = evidence.changes().collect();
    let failed =
        changes.iter().filter(|event| event.outcome.as_deref().is_some_and(|outcome| outcome != "done")).count();
    let days = evidence.days();
    let says = format!(
        "Changes per day from {} to {}: {}, {failed} of them not done",
        date(evidence.since),
        date(evidence.generated),
        counted(changes.len(), "change")
    );
    writeln!(
        to,
        "<p>{}</p>\n{}\n<div class=\"ends\" aria-hidden=\"true\"><span>{}</span><span><span class=\"ok\">■</span> done <span class=\"overdue\">■</span> not done</span><span>{}</span></div>",
        escaped(&format!("{says}.")),
        columns(&days, &says),
        date(evidence.since),
        date(evidence.generated)
    )?;
    writeln!(to, "<p>Each of them is listed under <a href=\"#events\">every event</a>.</p>\n</section>")
}

/// The long list, which stands at the end.
pub fn events(evidence: &Evidence, to: &mut dyn Write) -> io::Result<()> {
    heading(to, "events", "Every event")?;
    let rows: Vec<String> = evidence.events.iter().rev().take(MOST_CHANGES).map(event_row).collect();
    if rows.is_empty() {
        writeln!(to, "<p>The trail of the period is empty.</p>")?;
    } else {
        let caption = if evidence.events.len() > rows.len() {
            format!("The newest {} of {} events", rows.len(), evidence.events.len())
        } else {
            "Events, the newest first".to_owned()
        };
        table(to, &caption, &["Time (UTC)", "Actor", "Command", "Event", "Name", "Where", "Outcome"], &rows)?;
    }
    writeln!(to, "</section>")
}

fn event_row(event: &AuditEvent) -> String {
    let text = |text: &Option<String>| escaped(text.as_deref().unwrap_or_default());
    let outcome = match (&event.outcome, &event.error) {
        (Some(outcome), Some(error)) => format!("{outcome} ({error})"),
        (Some(outcome), None) => outcome.clone(),
        (None, _) => String::new(),
    };
    let class = if event.outcome.as_deref().is_none_or(|outcome| outcome == "done") { "" } else { " class=\"failed\"" };
    format!(
        "<td class=\"day\">{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"name\"><code>{}</code></td><td class=\"name\">{}</td><td{class}>{}</td>",
        event.time.strftime("%Y-%m-%d %H:%M:%S"),
        escaped(&event.actor),
        text(&event.command),
        escaped(event.action.as_deref().unwrap_or(&event.event)),
        text(&event.name),
        text(&event.target),
        escaped(&outcome)
    )
}

pub fn trail(evidence: &Evidence, to: &mut dyn Write) -> io::Result<()> {
    heading(to, "trail", "Audit trail")?;
    match &evidence.trail {
        None => writeln!(to, "<p class=\"open\">There is no audit trail.</p>")?,
        Some(report) => {
            let verification = &report.verification;
            let (class, sign) = if verification.is_whole() { ("met", "✔") } else { ("failed", "✖") };
            writeln!(
                to,
                "<p><span class=\"state {class}\">{sign}</span> <code>{}</code> is {}.</p>\n<p>Head: <code>{}</code></p>",
                escaped(&report.path),
                escaped(&report.sentence()),
                verification.head
            )?;
            writeln!(to, "<p class=\"soft\">The check: {}.</p>", escaped(&report.reach()))?;
            if !verification.findings.is_empty() {
                let rows: Vec<String> = verification
                    .findings
                    .iter()
                    .map(|finding| {
                        format!("<td><code>{}</code></td><td>{}</td>", finding.code, sentence(&finding.message))
                    })
                    .collect();
                table(to, "What is wrong with the trail", &["Code", "Finding"], &rows)?;
            }
        }
    }
    writeln!(to, "</section>")
}

pub fn limits(evidence: &Evidence, to: &mut dyn Write) -> io::Result<()> {
    heading(to, "limits", "Limits of GitHub")?;
    let rows: Vec<String> = evidence
        .stores
        .iter()
        .map(|store| {
            let free = store.limit.saturating_sub(store.used);
            let says = format!("{}, {}s: {} of {} used", store.target, store.kind, store.used, store.limit);
            let (class, colour) = if free * 10 < store.limit { (" open", "due-soon") } else { ("", "ok") };
            format!(
                "<th scope=\"row\" class=\"name\">{}</th><td>{}s</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number{class}\">{free}</td><td class=\"share\">{}</td>",
                escaped(&store.target),
                escaped(&store.kind),
                store.used,
                store.limit,
                meter(store.limit - free, store.limit, colour, &says)
            )
        })
        .collect();
    if rows.is_empty() {
        writeln!(to, "<p>No target was read.</p>")?;
    } else {
        table(to, "How full every list is", &["Target", "Kind", "#Used", "#Limit", "#Left", "%Share"], &rows)?;
    }
    writeln!(to, "</section>")
}

pub fn controls(to: &mut dyn Write) -> io::Result<()> {
    heading(to, "controls", "Controls")?;
    writeln!(
        to,
        "<p>What this report is evidence for, by the names of the SOC 2 trust services criteria. It does not claim that a control is met.</p>"
    )?;
    let rows: Vec<String> = CONTROLS
        .iter()
        .map(|control| {
            format!(
                "<th scope=\"row\">{}</th><td>{}</td><td>{} (<a href=\"#{}\">section<span class=\"aloud\"> for {}</span></a>)</td>",
                control.id, control.name, control.shows, control.section, control.id
            )
        })
        .collect();
    table(to, "Evidence by control", &["Control", "Name", "Evidence"], &rows)?;
    writeln!(to, "</section>")
}

pub fn unseen(evidence: &Evidence, to: &mut dyn Write) -> io::Result<()> {
    heading(to, "unseen", "Not looked at")?;
    if evidence.unseen.is_empty() {
        writeln!(to, "<p>Everything that the report is about could be read.</p>")?;
    } else {
        let mut items = String::new();
        for unseen in &evidence.unseen {
            let _ = write!(items, "<li>{}</li>", sentence(unseen));
        }
        writeln!(to, "<ul>{items}</ul>")?;
    }
    writeln!(to, "</section>")
}
