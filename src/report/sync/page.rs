//! `plan` and `sync` as a page: what matters first, then target by target, folded when there are many.

use std::io::{self, Write};

use super::{SyncReport, explain, is_telling};
use crate::report::{markdown_code, markdown_text};
use crate::rules::outcome::StepOutcome;
use crate::rules::plan::{Action, Step, TargetPlan};

/// So many targets with something to tell are shown unfolded; one with trouble always is.
const UNFOLDED: usize = 3;

impl SyncReport<'_> {
    /// GitHub-flavoured Markdown.
    ///
    /// # Errors
    /// Whatever the writer gives.
    pub(super) fn page(&self, to: &mut dyn Write) -> io::Result<()> {
        let title = if self.outcomes.is_some() { "sync" } else { "plan" };
        writeln!(to, "## Secrets {title}: {}\n\n**{}**\n", markdown_text(&self.source_line()), self.totals())?;
        let targets = &self.plan.targets;
        self.overview(to)?;
        let telling = targets.iter().filter(|target| target.steps.iter().any(is_telling)).count();
        for (index, target) in targets.iter().enumerate() {
            if target.steps.iter().any(is_telling) {
                self.target(to, index, target, telling <= UNFOLDED)?;
            }
        }
        for skipped in &self.plan.skipped {
            writeln!(to, "Skipped: {} ({})\n", markdown_text(&skipped.repository), skipped.why)?;
        }
        writeln!(to, "{}", self.cost_line())?;
        match &self.audit_head {
            Some(head) => writeln!(to, "\nHead of the audit trail: `{head}`"),
            None => Ok(()),
        }
    }

    /// One row for each target.
    fn overview(&self, to: &mut dyn Write) -> io::Result<()> {
        let columns = match self.outcomes {
            None => ["create", "update", "delete", "keep", "refuse"].as_slice(),
            Some(_) => &["created", "updated", "deleted", "kept", "failed", "not tried"],
        };
        writeln!(to, "| target | {} |\n|---|{}", columns.join(" | "), "---:|".repeat(columns.len()))?;
        for (index, target) in self.plan.targets.iter().enumerate() {
            let tally = self.tally(index);
            let mut counts = vec![tally.create, tally.update, tally.delete, tally.keep];
            counts.extend(if self.outcomes.is_some() {
                vec![tally.failed, tally.not_tried]
            } else {
                vec![tally.refuse]
            });
            let cells: Vec<String> = counts.iter().map(usize::to_string).collect();
            writeln!(to, "| {} | {} |", markdown_text(&target.target.to_string()), cells.join(" | "))?;
        }
        writeln!(to)
    }

    fn target(&self, to: &mut dyn Write, index: usize, target: &TargetPlan, unfolded: bool) -> io::Result<()> {
        let tally = self.tally(index);
        let open = if unfolded || tally.has_trouble() { " open" } else { "" };
        let title = format!("{}: {}", target.target, tally.words(self.outcomes.is_some()));
        writeln!(to, "<details{open}><summary>{}</summary>\n", html_text(&title))?;
        writeln!(to, "| action | name | kind | group | reason |\n|---|---|---|---|---|")?;
        for (position, step) in target.steps.iter().enumerate().filter(|(_, step)| is_telling(step)) {
            let outcome = self.outcome(index, position);
            writeln!(
                to,
                "| {} | {} | {} | {} | {} |",
                word(step, outcome),
                markdown_code(&step.name),
                step.kind,
                markdown_text(&step.group),
                markdown_text(&explain(step, outcome))
            )?;
        }
        writeln!(to, "\n</details>\n")
    }
}

/// What is to be done, or what became of it.
fn word(step: &Step, outcome: Option<&StepOutcome>) -> String {
    let action = step.action.word();
    match (outcome, step.action) {
        (Some(StepOutcome::Failed(_)), _) => format!("**{action} failed**"),
        (Some(StepOutcome::NotTried), _) => format!("{action} not tried"),
        (Some(StepOutcome::Applied), _) => format!("{action}d"),
        (_, Action::Refuse) => format!("**{action}**"),
        _ => action.to_owned(),
    }
}

/// Text between two tags.
fn html_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace(['\n', '\r'], " ")
}
