//! The points of the guide's "Regular Audits" answered one by one, and the controls that the report is evidence for.

use serde::Serialize;

use super::{Evidence, counted};
use crate::rules::rotation::State;

/// How far the report answers a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Shown, and nothing is open.
    Met,
    /// Shown, and something is to be done.
    Open,
    /// Nothing in the period shows it.
    NotShown,
}

impl Verdict {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Met => "shown",
            Self::Open => "open points",
            Self::NotShown => "not shown",
        }
    }
}

/// One point of the guide with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    pub question: &'static str,
    pub verdict: Verdict,
    pub text: String,
    /// Id of the section that shows it.
    pub section: &'static str,
}

/// Answers the four points of "Regular Audits".
#[must_use]
pub fn answers(evidence: &Evidence) -> [Answer; 4] {
    [rotation(evidence), access(evidence), emergencies(evidence), usage(evidence)]
}

fn rotation(evidence: &Evidence) -> Answer {
    let late = evidence.count(State::Overdue) + evidence.count(State::Never);
    let unscheduled = evidence.count(State::Unscheduled);
    let entries = evidence.entries.len();
    Answer {
        question: "Quarterly review of all secrets and their rotation status",
        verdict: if late + unscheduled == 0 { Verdict::Met } else { Verdict::Open },
        text: format!(
            "{entries} deliveries of {} are listed; overdue or never rotated: {late}; without a schedule: {unscheduled}",
            counted(evidence.names(), "name")
        ),
        section: "rotation",
    }
}

fn access(evidence: &Evidence) -> Answer {
    let findings = counted(evidence.findings.len(), "finding");
    let (verdict, text) = if !evidence.policies_bind {
        (Verdict::Open, format!("no access policy is defined, so nothing is denied; {findings}"))
    } else {
        let verdict = if evidence.findings.is_empty() { Verdict::Met } else { Verdict::Open };
        (
            verdict,
            format!(
                "{} by policies that bind, all else is denied; {findings}",
                counted(evidence.grants.len(), "grant")
            ),
        )
    };
    Answer { question: "Annual review of access policies and permissions", verdict, text, section: "access" }
}

fn ran<'e>(evidence: &'e Evidence, command: &'e str) -> impl Iterator<Item = &'e super::AuditEvent> {
    evidence.events.iter().filter(move |event| event.command.as_deref().is_some_and(|ran| ran.starts_with(command)))
}

fn recorded(evidence: &Evidence, command: &str, how: &str) -> (Verdict, String) {
    match ran(evidence, command).last() {
        Some(last) => {
            let failed = last.outcome.as_deref().is_some_and(|outcome| outcome != "done");
            let verdict = if failed { Verdict::Open } else { Verdict::Met };
            let ended = if failed { ", which did not end well" } else { "" };
            (verdict, format!("the trail records `{command}`, last on {}{ended}", super::date(last.time)))
        }
        None => (Verdict::NotShown, format!("the trail of the period records none; {how}")),
    }
}

fn emergencies(evidence: &Evidence) -> Answer {
    let (verdict, text) = recorded(evidence, "emergency", "run `emergency drill`");
    Answer { question: "Regular testing of emergency procedures", verdict, text, section: "changes" }
}

fn usage(evidence: &Evidence) -> Answer {
    let (verdict, text) = recorded(evidence, "usage", "run `usage`");
    Answer { question: "Verification of secret usage in application code", verdict, text, section: "changes" }
}

/// A control of the SOC 2 trust services criteria, and the sections that are evidence for it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Control {
    pub id: &'static str,
    pub name: &'static str,
    pub shows: &'static str,
    pub section: &'static str,
}

/// The controls. The report is evidence for them; it does not claim that they are met.
pub const CONTROLS: &[Control] = &[
    Control {
        id: "CC6.1",
        name: "Logical access security: credentials are protected",
        shows: "every secret with its store, its age and its rotation schedule",
        section: "inventory",
    },
    Control {
        id: "CC6.2",
        name: "Credentials are issued and removed with authorization",
        shows: "who created, changed and deleted which secret, and by which plan",
        section: "changes",
    },
    Control {
        id: "CC6.3",
        name: "Access by role and least privilege",
        shows: "which identity may have which group in which stack, and the policy that says so",
        section: "access",
    },
    Control {
        id: "CC7.2",
        name: "Monitoring for anomalies",
        shows: "secrets that were edited outside, failed changes, findings",
        section: "inventory",
    },
    Control {
        id: "CC7.4",
        name: "Response to incidents",
        shows: "emergency drills and responses in the trail",
        section: "changes",
    },
    Control {
        id: "CC8.1",
        name: "Changes are authorized, recorded and verified",
        shows: "the chained trail and its check, each change bound to the digest of a plan",
        section: "trail",
    },
];

#[cfg(test)]
mod tests {
    use super::super::samples::evidence;
    use super::*;

    #[test]
    fn every_point_of_the_guide_gets_an_answer_from_the_facts() {
        let mut world = evidence(60);
        let [rotation, access, emergency, usage] = answers(&world);
        assert_eq!((rotation.verdict, access.verdict), (Verdict::Open, Verdict::Open));
        assert_eq!((emergency.verdict, usage.verdict), (Verdict::Met, Verdict::NotShown));
        assert!(usage.text.contains("run `usage`"));
        world.findings.clear();
        world.entries.retain(|entry| entry.state() == State::Ok);
        world.events.clear();
        let [rotation, access, emergency, _] = answers(&world);
        assert_eq!((rotation.verdict, access.verdict), (Verdict::Met, Verdict::Met));
        assert_eq!(emergency.verdict, Verdict::NotShown);
        world.policies_bind = false;
        assert_eq!(answers(&world)[1].verdict, Verdict::Open);
    }
}
