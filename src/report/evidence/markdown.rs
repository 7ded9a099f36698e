//! The report as Markdown for a job summary, with the rotation as a Mermaid chart.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::entry::bars;
use super::{CONTROLS, Evidence, Report, STATES, answers, counted, date, phrase, sign};
use crate::report::audit::{cell, code, prose};
use crate::rules::rotation::State;

/// Bars of the chart; a summary has little room.
const MOST_BARS: usize = 25;

pub fn write(evidence: &Evidence, to: &mut dyn Write) -> io::Result<()> {
    writeln!(to, "## Secrets evidence: {} {}\n", cell(&evidence.organization), cell(&evidence.project))?;
    writeln!(to, "Changes from {} to {}.\n", date(evidence.since), date(evidence.generated))?;
    writeln!(to, "| point | state | what is shown |\n|---|---|---|")?;
    for answer in answers(evidence) {
        writeln!(to, "| {} | {} | {} |", answer.question, answer.verdict.word(), prose(&answer.text))?;
    }
    writeln!(to, "\n### Rotation\n\n| state | deliveries |\n|---|---:|")?;
    for state in STATES {
        writeln!(to, "| {} {} | {} |", sign(state), phrase(state), evidence.count(state))?;
    }
    gantt(evidence, to)?;
    for (owner, entries) in evidence.overdue_by_owner() {
        let names: BTreeSet<String> = entries.iter().map(|entry| code(&entry.name)).collect();
        writeln!(to, "\n**{}**: {}", cell(owner), names.into_iter().collect::<Vec<_>>().join(", "))?;
    }
    writeln!(to, "\n### Inventory\n\n| group | stack | target | there |\n|---|---|---|---:|")?;
    for row in evidence.coverage() {
        let (group, stack, target) = (cell(&row.group), cell(&row.stack), cell(&row.target));
        let present = if row.unread { "?".to_owned() } else { row.present.to_string() };
        writeln!(to, "| {group} | {stack} | {target} | {present}/{} |", row.expected)?;
    }
    writeln!(to, "\n### Access\n\n| identity | group | stack | by |\n|---|---|---|---|")?;
    for grant in &evidence.grants {
        writeln!(
            to,
            "| {} ({}) | {} | {} | {} |",
            cell(&grant.identity),
            cell(&grant.kind),
            cell(&grant.group),
            cell(&grant.stack),
            cell(&grant.policies.join(", "))
        )?;
    }
    writeln!(to, "\n### Drills and checks\n\n| what | last | by | result |\n|---|---|---|---|")?;
    for (what, last) in [("emergency drill", &evidence.drill), ("usage check", &evidence.usage_check)] {
        match last {
            None => writeln!(to, "| {what} | not recorded | | |")?,
            Some(run) => {
                let (outcome, detail) = (run.outcome.as_deref().unwrap_or("broken off"), run.detail.as_deref());
                let result = detail.map_or_else(|| outcome.to_owned(), |detail| format!("{outcome}: {detail}"));
                writeln!(to, "| {what} | {} | {} | {} |", date(run.time), cell(&run.actor), cell(&result))?;
            }
        }
    }
    writeln!(to, "\n### Audit trail\n\n{} in the period.\n", counted(evidence.changes().count(), "change"))?;
    match &evidence.trail {
        Some(trail) => trail.markdown(to)?,
        None => writeln!(to, "There is no audit trail.")?,
    }
    if !evidence.findings.is_empty() {
        writeln!(to, "\n### Findings\n")?;
        for finding in &evidence.findings {
            writeln!(to, "- {} ({}): {}", code(&finding.code), cell(&finding.severity), prose(&finding.message))?;
        }
    }
    let controls: Vec<&str> = CONTROLS.iter().map(|control| control.id).collect();
    writeln!(to, "\nEvidence for {}; no claim that a control is met.", controls.join(", "))?;
    for sentence in &evidence.unseen {
        writeln!(to, "\nNot looked at: {}", prose(sentence))?;
    }
    Ok(())
}

/// A bar from the last change to the due date, by owner.
fn gantt(evidence: &Evidence, to: &mut dyn Write) -> io::Result<()> {
    let mut bars: Vec<_> = bars(&evidence.by_urgency())
        .into_iter()
        .filter_map(|bar| Some((bar.entry.changed()?, bar.entry.standing.due?, bar)))
        .collect();
    bars.truncate(MOST_BARS);
    if bars.is_empty() {
        return Ok(());
    }
    bars.sort_by(|(.., a), (.., b)| a.entry.owner.cmp(&b.entry.owner));
    writeln!(
        to,
        "\n```mermaid\ngantt\n  title Rotation, the most urgent first\n  dateFormat YYYY-MM-DD\n  axisFormat %Y-%m-%d"
    )?;
    let mut section = None;
    for (changed, due, bar) in bars {
        let entry = bar.entry;
        let owner = entry.owner.as_deref().unwrap_or("nobody");
        if section.replace(owner) != Some(owner) {
            writeln!(to, "  section {}", word(owner))?;
        }
        let style = match entry.state() {
            State::Overdue => "crit, ",
            State::DueSoon => "active, ",
            _ => "done, ",
        };
        writeln!(
            to,
            "  {} {} :{style}{}, {}",
            word(&entry.name),
            word(&bar.stacks.join(" ")),
            date(changed),
            date(due)
        )?;
    }
    writeln!(to, "```")
}

/// `text` without what Mermaid gives a meaning.
fn word(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ') { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples::evidence;
    use super::*;

    #[test]
    fn has_every_section_and_a_chart_by_owner() {
        let mut bytes = Vec::new();
        write(&evidence(60), &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        for part in ["### Rotation", "### Inventory", "### Access", "### Audit trail", "### Findings", "CC8.1"] {
            assert!(text.contains(part), "{part}");
        }
        let chart = text.split("```mermaid").nth(1).unwrap().split("```").next().unwrap();
        assert!(chart.contains("section Platform") && chart.contains(" :crit, 20"), "{chart}");
        assert!(chart.lines().filter(|line| line.contains(" :")).count() <= MOST_BARS);
        assert!(text.contains("\\<img") && !text.contains(" <img"));
    }

    #[test]
    fn a_world_without_entries_has_no_chart() {
        let mut bytes = Vec::new();
        write(&evidence(0), &mut bytes).unwrap();
        assert!(!String::from_utf8(bytes).unwrap().contains("mermaid"));
        assert_eq!(word("a:b, c\n#"), "a_b_ c__");
    }
}
