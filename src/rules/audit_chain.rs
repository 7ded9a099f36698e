//! Checks an audit trail: says which lines were changed, removed, moved or cut off, and where.
//!
//! **What is found:** every change within the chain; with the head file beside the trail also removed last
//! lines. **What only an anchor finds:** a whole new chain by someone who may write both files, and the
//! removal of both. An anchor is a head that was published elsewhere.

use std::collections::BTreeSet;

use super::audit::{Head, Line};

/// Something that should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `audit-line-broken`, `audit-line-edited`, `audit-line-moved`, `audit-lines-removed`, `audit-line-replaced`,
    /// `audit-truncated`, `audit-rewritten`, `audit-head-missing`, `audit-head-broken`, `audit-tail-cut`.
    pub code: &'static str,
    /// Line of the file from 1, where the finding has one.
    pub line: Option<usize>,
    pub message: String,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Lines that are lines of a trail.
    pub lines: usize,
    /// The last of them; what to publish as the next anchor, when nothing was found.
    pub head: Head,
    /// How many anchors were found in the trail.
    pub anchored: usize,
    pub findings: Vec<Finding>,
}

impl Verification {
    /// Whether the trail is whole.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Checks the bytes of a trail against its own chain, the head file beside it, and anchors from elsewhere.
#[must_use]
pub fn verify(trail: &[u8], head_file: Option<&str>, anchors: &[Head]) -> Verification {
    let mut lines: Vec<&[u8]> = trail.split(|byte| *byte == b'\n').collect();
    let tail = lines.pop().unwrap_or_default();
    let read: Vec<Option<Line>> = lines.iter().map(|line| Line::read(line)).collect();
    let mut findings = links(&read);
    if !tail.is_empty() {
        findings.push(Finding {
            code: "audit-tail-cut",
            line: Some(lines.len() + 1),
            message: "the last line has no end: a write was interrupted, or the file was cut".into(),
        });
    }
    let known: Vec<Head> = read.iter().flatten().map(Line::head).collect();
    let last = known.last().cloned().unwrap_or_else(Head::genesis);
    match head_file.map(str::parse::<Head>) {
        Some(Ok(head)) => findings.extend(missing(&head, &known, "the head file")),
        Some(Err(_)) => findings.push(Finding {
            code: "audit-head-broken",
            line: None,
            message: "the head file is not readable: it cannot tell whether last lines were removed".into(),
        }),
        None if lines.is_empty() => {}
        None => findings.push(Finding {
            code: "audit-head-missing",
            line: None,
            message: "there is no head file: it cannot be told whether last lines were removed".into(),
        }),
    }
    let before = findings.len();
    findings.extend(anchors.iter().filter_map(|anchor| missing(anchor, &known, "an anchor")));
    let anchored = anchors.len() - (findings.len() - before);
    Verification { lines: known.len(), head: last, anchored, findings }
}

/// Whether the trail does not hold the line that `head` names.
fn missing(head: &Head, known: &[Head], who: &str) -> Option<Finding> {
    if head.sequence == 0 || known.contains(head) {
        return None;
    }
    let last = known.last().map_or(0, |head| head.sequence);
    let finding = |code, message| Some(Finding { code, line: None, message });
    if last < head.sequence {
        let count = head.sequence - last;
        finding(
            "audit-truncated",
            format!(
                "{} removed at the end: {who} names line {}, the trail ends with line {last}",
                lines_were(count),
                head.sequence
            ),
        )
    } else {
        finding(
            "audit-rewritten",
            format!("line {} is not the one that {who} names: the trail was written anew", head.sequence),
        )
    }
}

fn lines_were(count: u64) -> String {
    if count == 1 { "1 line was".to_owned() } else { format!("{count} lines were") }
}

fn links(read: &[Option<Line>]) -> Vec<Finding> {
    let present: BTreeSet<u64> = read.iter().flatten().map(|line| line.record.sequence).collect();
    let mut findings = Vec::new();
    // The head that the next line should follow, and how many unreadable lines stand between.
    let (mut head, mut unread) = (Head::genesis(), 0);
    for (index, line) in read.iter().enumerate() {
        let number = index + 1;
        let mut find = |code, message| findings.push(Finding { code, line: Some(number), message });
        let Some(line) = line else {
            find("audit-line-broken", format!("line {number} is not a line of an audit trail"));
            unread += 1;
            continue;
        };
        let (own, sequence) = (line.record.sequence, head.sequence);
        if !line.intact {
            find("audit-line-edited", format!("line {number} was edited: its hash is not that of its content"));
        } else if own <= sequence {
            find(
                "audit-line-moved",
                format!("line {number} has the sequence {own} of an earlier place: it was moved or repeated"),
            );
        } else if own > sequence + 1 + unread {
            let gone = (sequence + 1..own).filter(|gap| !present.contains(gap)).count() as u64;
            if gone == 0 {
                find(
                    "audit-line-moved",
                    format!("line {number} has the sequence {own} of a later place: lines were moved"),
                );
            } else {
                find(
                    "audit-lines-removed",
                    format!(
                        "{} removed before line {number}: the sequence jumps from {sequence} to {own}",
                        lines_were(gone.saturating_sub(unread).max(1))
                    ),
                );
            }
        } else if own == sequence + 1 && head.hash != line.record.previous {
            find(
                "audit-line-replaced",
                format!("line {number} does not follow the line before it: that one was replaced"),
            );
        }
        (head, unread) = (line.head(), 0);
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::audit::samples::{run, step, trail};
    use super::*;
    use proptest::prelude::*;

    fn text(lines: &[String]) -> Vec<u8> {
        lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect()
    }

    fn codes(lines: &[String], head: &Head) -> Vec<(&'static str, Option<usize>)> {
        let found = verify(&text(lines), Some(&head.to_string()), &[]).findings;
        found.into_iter().map(|finding| (finding.code, finding.line)).collect()
    }

    #[test]
    fn a_whole_trail_is_whole() {
        let (lines, head) = trail(5);
        let verification = verify(&text(&lines), Some(&format!("{head}\n")), std::slice::from_ref(&head));
        assert!(verification.is_whole(), "{:?}", verification.findings);
        assert_eq!((verification.lines, verification.head, verification.anchored), (5, head, 1));
        assert!(verify(b"", None, &[]).is_whole());
    }

    #[test]
    fn every_kind_of_tampering_is_named_with_its_line() {
        let (lines, head) = trail(5);
        let changed = |change: &dyn Fn(&mut Vec<String>)| {
            let mut lines = lines.clone();
            change(&mut lines);
            codes(&lines, &head)
        };
        let edit = |line: &mut String| *line = line.replace("\"done\"", "\"failed\"");
        assert_eq!(changed(&|lines| edit(&mut lines[2])), [("audit-line-edited", Some(3))]);
        assert_eq!(changed(&|lines| edit(&mut lines[4])), [("audit-line-edited", Some(5))]);
        assert_eq!(changed(&|lines| lines[1].push(' ')), [("audit-line-broken", Some(2))]);
        assert_eq!(changed(&|lines| lines.insert(2, "foreign".into())), [("audit-line-broken", Some(3))]);
        assert_eq!(changed(&|lines| drop(lines.remove(2))), [("audit-lines-removed", Some(3))]);
        assert_eq!(changed(&|lines| drop(lines.remove(0))), [("audit-lines-removed", Some(1))]);
        assert_eq!(changed(&|lines| lines.truncate(3)), [("audit-truncated", None)]);
        assert_eq!(changed(&Vec::clear), [("audit-truncated", None)]);
        assert_eq!(changed(&|lines| lines.insert(2, lines[1].clone())), [("audit-line-moved", Some(3))]);
        let swapped = changed(&|lines| lines.swap(1, 2));
        assert_eq!(
            swapped,
            [("audit-line-moved", Some(2)), ("audit-line-moved", Some(3)), ("audit-line-moved", Some(4))]
        );
    }

    #[test]
    fn a_forged_line_with_a_right_hash_does_not_fit() {
        let (mut lines, head) = trail(5);
        let before = Line::read(lines[1].as_bytes()).unwrap();
        let (forged, _) = before.head().next(before.record.time, &run(), &step("OTHER")).unwrap();
        lines[2] = forged;
        assert_eq!(codes(&lines, &head), [("audit-line-replaced", Some(4))]);
    }

    #[test]
    fn a_new_chain_is_found_by_an_anchor_only() {
        let (lines, _) = trail(3);
        let head = Line::read(lines[2].as_bytes()).unwrap().head();
        let elsewhere = Head { sequence: 2, hash: "ab".repeat(32) };
        assert!(verify(&text(&lines), Some(&head.to_string()), &[]).is_whole());
        let found = verify(&text(&lines), Some(&head.to_string()), &[elsewhere, head.clone()]);
        assert_eq!((found.findings[0].code, found.findings.len(), found.anchored), ("audit-rewritten", 1, 1));
    }

    #[test]
    fn a_cut_tail_and_a_missing_or_broken_head_are_told() {
        let (lines, head) = trail(2);
        let mut bytes = text(&lines);
        bytes.extend_from_slice(&lines[0].as_bytes()[..20]);
        let code = |bytes: &[u8], head: Option<&str>| verify(bytes, head, &[]).findings[0].code;
        assert_eq!(code(&bytes, Some(&head.to_string())), "audit-tail-cut");
        assert_eq!(code(&text(&lines), None), "audit-head-missing");
        assert_eq!(code(&text(&lines), Some("")), "audit-head-broken");
    }

    #[test]
    fn a_head_file_that_lags_behind_is_no_finding() {
        let (lines, _) = trail(3);
        let earlier = Line::read(lines[1].as_bytes()).unwrap().head();
        assert!(codes(&lines, &earlier).is_empty());
    }

    proptest! {
        #[test]
        fn no_change_of_a_single_byte_goes_unnoticed(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let (lines, head) = trail(6);
            let whole = text(&lines);
            let mut bytes = whole.clone();
            bytes[at.index(whole.len())] = byte;
            let found = verify(&bytes, Some(&head.to_string()), &[]);
            prop_assert_eq!(found.is_whole(), bytes == whole);
        }

        #[test]
        fn no_removed_repeated_moved_or_cut_line_goes_unnoticed(
            from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(), kind in 0..5u8
        ) {
            let (lines, head) = trail(7);
            let mut changed = lines.clone();
            let (from, to) = (from.index(7), to.index(7));
            match kind {
                0 => drop(changed.remove(from)),
                1 => changed.insert(to, lines[from].clone()),
                2 => { let line = changed.remove(from); changed.insert(to, line); }
                3 => changed.truncate(from),
                _ => changed.swap(from, to),
            }
            let found = verify(&text(&changed), Some(&head.to_string()), &[]);
            prop_assert_eq!(found.is_whole(), changed == lines, "{:?}", found.findings);
        }

        #[test]
        fn no_forged_line_with_a_right_hash_of_its_own_goes_unnoticed(
            at in any::<prop::sample::Index>(), name in "[A-Z]{1,9}", put_in in any::<bool>()
        ) {
            let (lines, head) = trail(6);
            let at = at.index(6);
            let original = Line::read(lines[at].as_bytes()).unwrap();
            let before = Head { sequence: original.record.sequence - 1, hash: original.record.previous.clone() };
            let (forged, _) = before.next(original.record.time, &run(), &step(&name)).unwrap();
            let mut changed = lines.clone();
            if put_in { changed.insert(at, forged) } else { changed[at] = forged }
            let found = verify(&text(&changed), Some(&head.to_string()), &[]);
            prop_assert_eq!(found.is_whole(), changed == lines, "{:?}", found.findings);
        }

        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400), head in ".{0,80}") {
            let _ = verify(&bytes, Some(&head), &[]);
        }
    }
}
