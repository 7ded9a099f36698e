//! The points of the guide's "Regular Audits" answered one by one, and the controls that the report is evidence for.

use serde::Serialize;

use super::{Evidence, counted};
use crate::rules::audit_runs::LastRun;
use crate::rules::rotation::State;

/// How far the report answers a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything was read, and nothing is open.
    Met,
    /// Shown, and something is to be done.
    Open,
    /// Nothing shows it.
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
    let verdict = match (evidence.known().count(), late + unscheduled + evidence.unread) {
        (0, _) => Verdict::NotShown,
        (_, 0) => Verdict::Met,
        _ => Verdict::Open,
    };
    let unread = match evidence.unread {
        0 => String::new(),
        unread => format!("; could not be read: {unread} of the targets"),
    };
    Answer {
        question: "Quarterly review of all secrets and their rotation status",
        verdict,
        text: format!(
            "{} of {} in {}; overdue or never rotated: {late}; without a schedule: {unscheduled}{unread}",
            crate::base::text::counted(entries, "delivery", "deliveries"),
            counted(evidence.names(), "name"),
            counted(evidence.stacks(), "stack")
        ),
        section: "rotation",
    }
}

fn access(evidence: &Evidence) -> Answer {
    let mut findings = counted(evidence.findings.len(), "finding");
    if evidence.unchecked > 0 {
        findings = format!("{findings}; not everything could be checked");
    }
    let (verdict, text) = if !evidence.policies_bind {
        (Verdict::Open, format!("no access policy is defined, so nothing is denied; {findings}"))
    } else {
        let nothing = evidence.findings.is_empty() && evidence.unchecked == 0;
        let verdict = if nothing { Verdict::Met } else { Verdict::Open };
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

/// The command that tests the emergency procedures.
pub const DRILL: &str = "emergency drill";

/// The command that compares the definition with the code that uses its secrets.
pub const USAGE: &str = "usage";

/// What the trail says of a command that is to be run regularly.
fn recorded(evidence: &Evidence, last: Option<&LastRun>, command: &str) -> (Verdict, String) {
    let Some(last) = last else {
        return (Verdict::NotShown, format!("not recorded in the trail; `{command}` is the command"));
    };
    let day = super::date(last.time);
    match (last.outcome.as_deref(), last.time >= evidence.since) {
        (Some("done"), true) => (Verdict::Met, format!("`{command}` last ended well on {day}")),
        (Some("done"), false) => (Verdict::Open, format!("`{command}` last ended well on {day}, before this period")),
        (Some("findings"), _) => {
            let what = last.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
            (Verdict::Open, format!("`{command}` last ran on {day} and found something{what}"))
        }
        (Some(outcome), _) => (Verdict::Open, format!("`{command}` last ran on {day} and ended as {outcome}")),
        (None, _) => (Verdict::Open, format!("`{command}` last ran on {day} and did not come to its end")),
    }
}

fn emergencies(evidence: &Evidence) -> Answer {
    let (verdict, text) = recorded(evidence, evidence.drill.as_ref(), DRILL);
    Answer { question: "Regular testing of emergency procedures", verdict, text, section: "practice" }
}

fn usage(evidence: &Evidence) -> Answer {
    let (verdict, text) = recorded(evidence, evidence.usage_check.as_ref(), USAGE);
    Answer { question: "Verification of secret usage in application code", verdict, text, section: "practice" }
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
        shows: "the last emergency drill, and responses in the trail",
        section: "practice",
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
    use super::super::Presence;
    use super::super::samples::evidence;
    use super::*;

    #[test]
    fn every_point_of_the_guide_gets_an_answer_from_the_facts() {
        let mut world = evidence(60);
        let [rotation, access, emergency, usage] = answers(&world);
        assert_eq!((rotation.verdict, access.verdict), (Verdict::Open, Verdict::Open));
        assert_eq!((emergency.verdict, usage.verdict), (Verdict::Met, Verdict::NotShown));
        assert!(usage.text.contains("not recorded"));
        world.findings.clear();
        world.entries.retain(|entry| entry.state() == State::Ok);
        let [rotation, access, ..] = answers(&world);
        assert_eq!((rotation.verdict, access.verdict), (Verdict::Met, Verdict::Open), "teams were not checked");
        world.unchecked = 0;
        assert_eq!(answers(&world)[1].verdict, Verdict::Met);
        world.unread = 1;
        assert_eq!(answers(&world)[0].verdict, Verdict::Open, "one target was not read");
        world.entries.iter_mut().for_each(|entry| entry.presence = Presence::Unknown);
        assert_eq!(answers(&world)[0].verdict, Verdict::NotShown, "none was read");
        (world.unread, world.entries) = (0, Vec::new());
        assert_eq!(answers(&world)[0].verdict, Verdict::NotShown, "nothing is listed");
        world.policies_bind = false;
        assert_eq!(answers(&world)[1].verdict, Verdict::Open);
    }

    #[test]
    fn a_drill_counts_when_it_ended_well_in_the_period() {
        let mut world = evidence(1);
        let drill = world.drill.clone().unwrap();
        let failed = LastRun { outcome: Some("failed".into()), ..drill.clone() };
        let found = LastRun { outcome: Some("findings".into()), detail: Some("backup failed".into()), ..drill.clone() };
        let old = LastRun { time: world.since - jiff::SignedDuration::from_secs(1), ..drill.clone() };
        let broken_off = LastRun { outcome: None, ..drill.clone() };
        for (drill, verdict, says) in [
            (Some(drill), Verdict::Met, "last ended well on"),
            (Some(failed), Verdict::Open, "ended as failed"),
            (Some(found), Verdict::Open, "found something: backup failed"),
            (Some(old), Verdict::Open, "before this period"),
            (Some(broken_off), Verdict::Open, "did not come to its end"),
            (None, Verdict::NotShown, "not recorded"),
        ] {
            world.drill = drill;
            let answer = &answers(&world)[2];
            assert_eq!(answer.verdict, verdict);
            assert!(answer.text.contains(says), "{}", answer.text);
        }
    }
}
