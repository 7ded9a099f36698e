//! What the issues that remind of rotations should say: one issue per owner with a task list.
//!
//! An issue is known by the comment in its first line. **Nothing in it depends on the day**, so that an issue is
//! written again only when a secret's standing has changed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{Row, Standing, State};

/// Bytes of the tasks of one issue. GitHub takes 65,536 characters; the sentences around the tasks need less than the rest.
const MOST_BYTES: usize = 60_000;

/// An issue that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIssue {
    pub number: u64,
    pub title: String,
    pub body: String,
}

/// What becomes of one issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reminder {
    pub action: Action,
    /// The issue; none for one that is yet to be opened.
    pub number: Option<u64>,
    pub title: String,
    pub body: String,
    /// What is to be done, by name.
    pub names: Vec<String>,
}

/// The words are part of the report's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Open,
    Update,
    Close,
    Keep,
}

impl Action {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Update => "update",
            Self::Close => "close",
            Self::Keep => "keep",
        }
    }
}

/// Compares how a stack's names stand, the most pressing first, with the open issues of the repository. Of two issues for one
/// owner the older one counts.
#[must_use]
pub fn decide(stack: &str, environment: &str, rows: &[Row], open: &[OpenIssue]) -> Vec<Reminder> {
    let mut by_owner: BTreeMap<Option<&str>, Vec<&Row>> = BTreeMap::new();
    for one in rows.iter().filter(|row| row.standing.state.is_finding()) {
        by_owner.entry(one.owner.as_deref()).or_default().push(one);
    }
    let mut ours: BTreeMap<&str, &OpenIssue> = BTreeMap::new();
    for issue in open {
        let Some(mark) = first_line(&issue.body).filter(|line| line.starts_with(&mark_start(environment))) else {
            continue;
        };
        let older = ours.get(mark).is_none_or(|known| issue.number < known.number);
        if older {
            ours.insert(mark, issue);
        }
    }
    let mut reminders = Vec::new();
    let mut kept = BTreeSet::new();
    for (owner, due) in by_owner {
        let mark = mark(environment, owner);
        let title = format!("Rotate secrets: {} ({stack})", owner.unwrap_or("no owner"));
        let issue = ours.get(mark.as_str()).copied();
        let body = body(&mark, stack, owner, &due, issue);
        let action = match issue {
            None => Action::Open,
            Some(issue) if issue.title == title && same_text(&issue.body, &body) => Action::Keep,
            Some(_) => Action::Update,
        };
        let names = due.iter().map(|one| one.name.clone()).collect();
        reminders.push(Reminder { action, number: issue.map(|issue| issue.number), title, body, names });
        kept.insert(mark);
    }
    for (mark, issue) in ours.into_iter().filter(|(mark, _)| !kept.contains(*mark)) {
        reminders.push(Reminder {
            action: Action::Close,
            number: Some(issue.number),
            title: issue.title.clone(),
            body: body_when_done(mark, stack, issue),
            names: Vec::new(),
        });
    }
    reminders
}

fn mark_start(environment: &str) -> String {
    format!("<!-- sophia-secrets-sync rotation {environment} ")
}

/// An owner's name may hold anything, so that the comment has a digest of it.
fn mark(environment: &str, owner: Option<&str>) -> String {
    let mut digest = hex::encode(Sha256::digest(owner.unwrap_or_default()));
    digest.truncate(16);
    format!("{}{digest} -->", mark_start(environment))
}

fn first_line(body: &str) -> Option<&str> {
    body.lines().next().map(str::trim_end)
}

/// GitHub's own editor writes CRLF.
fn same_text(a: &str, b: &str) -> bool {
    a.lines().map(str::trim_end).eq(b.lines().map(str::trim_end))
}

fn body(mark: &str, stack: &str, owner: Option<&str>, due: &[&Row], issue: Option<&OpenIssue>) -> String {
    let tasks: Vec<(String, String)> =
        due.iter().map(|one| (task_of(&one.name, &one.group), says(&one.standing))).collect();
    let mut lines = vec![mark.to_owned(), heading(stack), String::new()];
    if owner.is_none() {
        lines.extend([
            "No owner is named for them: `rotation: { owner: … }` of the definition names one.".to_owned(),
            String::new(),
        ]);
    }
    let mut room = MOST_BYTES;
    let listed_tasks = fitting(tasks.iter().map(|(task, says)| format!("- [ ] {task}: {says}")), &mut room);
    let more = tasks.len() - listed_tasks.len();
    lines.extend(listed_tasks);
    if more > 0 {
        lines.push(format!("- [ ] and {more} more: `rotation status --stack {stack}`"));
    }
    let open: BTreeSet<&str> = tasks.iter().map(|(task, _)| task.as_str()).collect();
    let done = issue.into_iter().flat_map(|issue| listed(&issue.body)).filter(|task| !open.contains(task.as_str()));
    lines.extend(fitting(done.map(|task| format!("- [x] {task}")), &mut room));
    lines.extend([
        String::new(),
        format!(
            "How: `rotation start NAME --stack {stack}`, `sync --stack {stack}`, deploy, `rotation complete NAME --stack {stack}`."
        ),
        String::new(),
        "`sophia-secrets-sync rotation remind` keeps this list and closes the issue when all is done; what is written \
         into it by hand is replaced."
            .to_owned(),
    ]);
    lines.join("\n")
}

fn body_when_done(mark: &str, stack: &str, issue: &OpenIssue) -> String {
    let mut room = MOST_BYTES;
    let mut lines = vec![mark.to_owned(), heading(stack), String::new()];
    lines.extend(fitting(listed(&issue.body).map(|task| format!("- [x] {task}")), &mut room));
    lines.extend([String::new(), "All of it is done.".to_owned()]);
    lines.join("\n")
}

/// The first lines that there is room for, in bytes; `room` is what is left.
fn fitting(lines: impl Iterator<Item = String>, room: &mut usize) -> Vec<String> {
    lines
        .map_while(|line| {
            *room = room.checked_sub(line.len() + 1)?;
            Some(line)
        })
        .collect()
}

fn heading(stack: &str) -> String {
    format!("Secrets of stack `{stack}` that are to be rotated:")
}

fn task_of(name: &str, group: &str) -> String {
    let group: String = group.chars().filter(|c| *c != '`').collect();
    format!("`{name}` of `{group}`")
}

/// The tasks of a body, ticked or not: `NAME` of `GROUP`.
fn listed(body: &str) -> impl Iterator<Item = String> {
    body.lines().filter_map(|line| {
        let rest = ["- [ ] ", "- [x] ", "- [X] "].iter().find_map(|tick| line.trim_end().strip_prefix(tick))?;
        let mut parts = rest.split('`');
        match (parts.next()?, parts.next()?, parts.next()?, parts.next()?) {
            ("", name, " of ", group) => Some(task_of(name, group)),
            _ => None,
        }
    })
}

fn says(standing: &Standing) -> String {
    let date = |time: Option<Timestamp>| time.map(|time| time.strftime(" on %Y-%m-%d").to_string()).unwrap_or_default();
    match standing.state {
        State::Overdue => format!("overdue, was due{}", date(standing.due)),
        State::Never => "has a schedule, and no change of it is known".to_owned(),
        State::RotatedNotDelivered => "rotated in ESC, and not delivered yet".to_owned(),
        State::QueuedRunsMayHoldTheOldOne => "delivered; workflow runs under way may hold the old value".to_owned(),
        State::DueSoon | State::Ok | State::Unscheduled => format!("due{}", date(standing.due)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ESC: &str = "payready/sophia-esc/production";

    fn due(name: &str, owner: Option<&str>, state: State) -> Row {
        let standing = Standing { state, changed: None, due: "2026-05-01T00:00:00Z".parse().ok(), warn: None };
        Row { name: name.into(), group: "api-keys".into(), owner: owner.map(str::to_owned), standing }
    }

    fn decided(due: &[Row], open: &[OpenIssue]) -> Vec<Reminder> {
        decide("production", ESC, due, open)
    }

    /// The issues as they are after the reminders were written.
    fn written(reminders: &[Reminder]) -> Vec<OpenIssue> {
        let open = reminders.iter().filter(|reminder| reminder.action != Action::Close).zip(1..);
        open.map(|(reminder, number)| OpenIssue {
            number: reminder.number.unwrap_or(number),
            title: reminder.title.clone(),
            body: reminder.body.replace('\n', "\r\n"),
        })
        .collect()
    }

    #[test]
    fn one_issue_per_owner_is_opened_kept_updated_and_closed() {
        let all = [
            due("A", Some("DevOps"), State::Overdue),
            due("B", Some("DevOps"), State::DueSoon),
            due("C", None, State::Never),
            due("D", Some("Security"), State::Ok),
        ];
        let first = decided(&all, &[]);
        let titles: Vec<&str> = first.iter().map(|reminder| reminder.title.as_str()).collect();
        assert_eq!(titles, ["Rotate secrets: no owner (production)", "Rotate secrets: DevOps (production)"]);
        assert!(first[1].body.contains("- [ ] `A` of `api-keys`: overdue, was due on 2026-05-01\n- [ ] `B` of"));

        let again = decided(&all, &written(&first));
        assert!(again.iter().all(|reminder| reminder.action == Action::Keep), "{again:?}");

        let fewer = decided(&all[1..3], &written(&first));
        assert_eq!((fewer[0].action, fewer[1].action), (Action::Keep, Action::Update));
        assert!(fewer[1].body.contains("- [ ] `B` of") && fewer[1].body.contains("\n- [x] `A` of `api-keys`\n"));

        let none = decided(&[], &written(&fewer));
        assert!(none.iter().all(|reminder| reminder.action == Action::Close));
        assert!(
            none.iter().any(|reminder| reminder.body.contains("- [x] `A` of `api-keys`\n- [x] `B`")
                || reminder.body.contains("- [x] `B` of `api-keys`\n- [x] `A`")),
            "{none:?}"
        );
    }

    #[test]
    fn other_issues_and_other_environments_are_left_alone() {
        let first = decided(&[due("A", Some("DevOps"), State::Overdue)], &[]);
        let mut open = written(&first);
        open.push(OpenIssue { number: 9, ..open[0].clone() });
        open.push(OpenIssue { number: 7, title: "other".into(), body: "- [ ] `A` of `api-keys`".into() });
        assert!(decide("staging", "payready/sophia-esc/staging", &[], &open).is_empty());
        let closed = decided(&[], &open);
        assert_eq!(closed.iter().map(|reminder| reminder.number).collect::<Vec<_>>(), [Some(1)]);
    }

    #[test]
    fn an_owner_cannot_end_the_comment_and_long_lists_are_cut() {
        let named = |index: usize| due(&format!("{index:N>250}"), Some("--> <b>"), State::Never);
        let many: Vec<Row> = (0..305).map(named).collect();
        let reminders = decided(&many, &[]);
        let body = &reminders[0].body;
        assert!(first_line(body).unwrap().matches("-->").count() == 1);
        let tasks = body.lines().filter(|line| line.starts_with("- [ ] `")).count();
        assert!(tasks > 150 && body.contains(&format!("- [ ] and {} more: `", 305 - tasks)), "{tasks}");
        assert!(body.len() < 65_536, "{}", body.len());
        assert!(decided(&many, &written(&reminders)).iter().all(|reminder| reminder.action == Action::Keep));
        // Others are due now: what was listed is done, and ticked as far as there is room.
        let others: Vec<Row> = (305..405).map(named).collect();
        let updated = decided(&others, &written(&reminders));
        assert!(updated[0].body.contains("\n- [x] `") && updated[0].body.len() < 65_536, "{}", updated[0].body.len());
        assert!(decided(&others, &written(&updated)).iter().all(|reminder| reminder.action == Action::Keep));
    }
}
