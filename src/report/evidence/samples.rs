//! A world for the tests of the report: many secrets, three stacks, four targets.

use jiff::{SignedDuration, Timestamp};

use super::{Evidence, EvidenceEntry, Finding, Grant, Presence, StoreUse};
use crate::report::audit::{AuditEvent, AuditVerifyReport, Origin};
use crate::rules::audit::samples::trail;
use crate::rules::audit_chain::verify;
use crate::rules::audit_runs::LastRun;
use crate::rules::definition::Rotation;
use crate::rules::rotation::{DeliveryFacts, SecretFacts, standing};

pub fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

/// `count` secrets, spread over groups, stacks and targets; some of every standing and presence.
pub fn evidence(count: usize) -> Evidence {
    let groups = ["api-keys", "database-credentials", "infrastructure", "<img src=x>"];
    let owners = [Some("DevOps"), Some("Platform"), None];
    let targets = [
        "payready/sophia environment production · actions",
        "payready/sophia · actions",
        "payready/sophia-web · dependabot",
        "organization payready · actions",
    ];
    let stacks = ["production", "staging", "development"];
    let entries = (0..count).map(|index| {
        let number = i64::try_from(index).unwrap();
        let changed = (index % 11 != 0).then(|| now() - days(number * 7 % 130));
        let scheduled = index % 9 != 0;
        let schedule = Rotation { every: days(90), owner: None, warn: days(14) };
        let facts = SecretFacts {
            esc_changed: None,
            deliveries: vec![DeliveryFacts {
                ledger_changed: changed.filter(|_| index % 5 != 0),
                delivered: changed,
                ..DeliveryFacts::default()
            }],
        };
        EvidenceEntry {
            stack: stacks[index % 3].into(),
            group: groups[index % 4].into(),
            name: format!("SECRET_{index}"),
            kind: if index % 10 == 7 { "variable" } else { "secret" }.into(),
            target: targets[index % 4].into(),
            owner: owners[index % 3].map(str::to_owned),
            presence: match index % 13 {
                3 => Presence::Missing,
                7 => Presence::EditedOutside,
                9 => Presence::NotTracked,
                _ => Presence::Delivered,
            },
            standing: standing(scheduled.then_some(&schedule), &facts, now()),
        }
    });
    let events = (0..40).map(|index| {
        let time = now() - days(90) + days(index * 9 / 4);
        AuditEvent {
            command: Some("sync".into()),
            action: Some(if index % 3 == 0 { "create" } else { "update" }.into()),
            outcome: Some(if index % 8 == 5 { "failed" } else { "done" }.into()),
            name: Some(format!("SECRET_{index}")),
            target: Some(targets[usize::try_from(index).unwrap() % 4].into()),
            ..AuditEvent::foreign(Origin::Trail, time, "octo|cat".into(), "step".into())
        }
    });
    let (lines, head) = trail(41);
    let bytes = lines.join("\n") + "\n";
    let grant = |identity: &str, group: &str, stack: &str| Grant {
        kind: "github".into(),
        identity: identity.into(),
        group: group.into(),
        stack: stack.into(),
        policies: vec!["ci-cd-access".into()],
    };
    Evidence {
        organization: "payready".into(),
        project: "sophia-esc".into(),
        generated: now(),
        since: now() - days(91),
        entries: entries.collect(),
        policies_bind: true,
        grants: vec![
            grant("payready/sophia", "api-keys", "production"),
            grant("payready/sophia", "database-credentials", "production"),
            grant("payready/sophia-web", "api-keys", "staging"),
            Grant { kind: "team".into(), ..grant("platform", "infrastructure", "production") },
        ],
        events: events.collect(),
        drill: Some(LastRun {
            command: "emergency drill".into(),
            actor: "octo|cat".into(),
            time: now() - days(30),
            outcome: Some("done".into()),
            detail: Some("58 of 60 values were read back from the backup".into()),
        }),
        usage_check: None,
        trail: Some(AuditVerifyReport {
            path: ".sophia/audit.jsonl".into(),
            anchors: 1,
            verification: verify(bytes.as_bytes(), Some(&head.to_string()), std::slice::from_ref(&head)),
        }),
        stores: targets
            .iter()
            .zip([97, 40, 12, 300])
            .map(|(target, used)| StoreUse {
                target: (*target).to_owned(),
                kind: "secret".into(),
                used,
                limit: if target.starts_with("org") { 1000 } else { 100 },
            })
            .collect(),
        findings: vec![Finding {
            code: "access-public-repository".into(),
            severity: "warning".into(),
            message: "`payready/sophia-web` is public".into(),
        }],
        unseen: vec!["the team permissions at Pulumi Cloud: the token may not read them".into()],
        unread: 0,
        unchecked: 1,
    }
}
