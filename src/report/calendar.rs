//! The calendar of `rotation status` (RFC 5545): one event of a whole day for each secret that is due.

use std::fmt::Write as _;

use jiff::Timestamp;

/// One rotation that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueEvent {
    pub stack: String,
    pub group: String,
    pub name: String,
    pub owner: Option<String>,
    pub due: Timestamp,
    /// From when on it is due soon.
    pub warn: Option<Timestamp>,
}

/// The most octets of a line, its break not counted (RFC 5545 §3.1).
const LONGEST_LINE: usize = 75;

/// The calendar's text. `stamp` is when it was made. An event keeps its identity over runs, so that a calendar
/// that is read again moves events instead of doubling them.
#[must_use]
pub fn render(events: &[DueEvent], stamp: Timestamp) -> String {
    let mut text = String::new();
    let mut line = |content: &str| fold(content, &mut text);
    line("BEGIN:VCALENDAR");
    line("VERSION:2.0");
    line("PRODID:-//sophia-secrets-sync//rotation//EN");
    line("CALSCALE:GREGORIAN");
    line("X-WR-CALNAME:Rotation of secrets");
    for event in events {
        let DueEvent { stack, group, name, owner, due, warn } = event;
        line("BEGIN:VEVENT");
        line(&format!("UID:{}", escape(&format!("{stack}/{group}/{name}@sophia-secrets-sync"))));
        line(&format!("DTSTAMP:{}", stamp.strftime("%Y%m%dT%H%M%SZ")));
        line(&format!("DTSTART;VALUE=DATE:{}", due.strftime("%Y%m%d")));
        line(&format!("SUMMARY:{}", escape(&format!("Rotate {name} ({stack})"))));
        let owner = owner.as_deref().unwrap_or("no one is named");
        line(&format!("DESCRIPTION:{}", escape(&format!("Group: {group}\nOwner: {owner}"))));
        line("TRANSP:TRANSPARENT");
        if let Some(days) = warn.map(|warn| due.duration_since(warn).as_hours() / 24).filter(|days| *days > 0) {
            line("BEGIN:VALARM");
            line("ACTION:DISPLAY");
            line(&format!("DESCRIPTION:{}", escape(&format!("{name} is due soon"))));
            line(&format!("TRIGGER:-P{days}D"));
            line("END:VALARM");
        }
        line("END:VEVENT");
    }
    line("END:VCALENDAR");
    text
}

/// RFC 5545 §3.3.11. Other control characters have no place in a text.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | ';' | ',' => {
                escaped.push('\\');
                escaped.push(c);
            }
            '\n' => escaped.push_str("\\n"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Breaks a line after 75 octets, never within a character; the rest begins with a blank.
fn fold(content: &str, to: &mut String) {
    let mut length = 0;
    for c in content.chars() {
        if length + c.len_utf8() > LONGEST_LINE {
            to.push_str("\r\n ");
            length = 1;
        }
        let _ = write!(to, "{c}");
        length += c.len_utf8();
    }
    to.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_event_is_a_whole_day_with_an_alarm_before_it() {
        let event = DueEvent {
            stack: "production".into(),
            group: "api-keys".into(),
            name: "OPENAI_API_KEY".into(),
            owner: Some("Dev, Ops; all".into()),
            due: time("2026-09-01T10:00:00Z"),
            warn: Some(time("2026-08-18T10:00:00Z")),
        };
        let text = render(&[event], time("2026-06-01T12:00:00Z"));
        for line in [
            "UID:production/api-keys/OPENAI_API_KEY@sophia-secrets-sync",
            "DTSTAMP:20260601T120000Z",
            "DTSTART;VALUE=DATE:20260901",
            "SUMMARY:Rotate OPENAI_API_KEY (production)",
            "DESCRIPTION:Group: api-keys\\nOwner: Dev\\, Ops\\; all",
            "TRIGGER:-P14D",
        ] {
            assert!(text.split("\r\n").any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.starts_with("BEGIN:VCALENDAR\r\n") && text.ends_with("END:VCALENDAR\r\n"));
    }

    proptest! {
        #[test]
        fn no_line_is_too_long_and_unfolding_gives_the_text_back(owner in "\\PC{0,300}") {
            let event = DueEvent { stack: "s".into(), group: "g".into(), name: "N".into(), owner: Some(owner.clone()),
                due: time("2026-09-01T10:00:00Z"), warn: None };
            let text = render(&[event], time("2026-06-01T12:00:00Z"));
            prop_assert!(text.split("\r\n").all(|line| line.len() <= LONGEST_LINE));
            prop_assert!(text.replace("\r\n ", "").contains(&escape(&owner)));
            prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
        }
    }
}
