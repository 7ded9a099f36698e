//! How a job is told things: workflow commands and outputs (github-api.md §§5.1, 5.2).
//!
//! **Foreign text never becomes a command**: what is printed goes through [`Disarmed`], what stands inside a
//! command is escaped, the percent sign first. **Masks come before anything else that a job prints**; the lines
//! to mask are handed in by `cli/` from `SecretValue::mask_lines` and are kept nowhere here.

use std::io::{self, Write};
use std::path::Path;

use serde_json::Value as Json;

use super::JobLog;
use crate::base::error::{Problem, Severity};

/// The runner masks by plain replacement, so a shorter mask would riddle the log with stars.
pub const SHORTEST_MASK: usize = 4;

/// Text as the data of a command.
#[must_use]
pub fn escape_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Text as the value of a command's property.
#[must_use]
pub fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Asks the runner to mask one secret: its first line given is the whole value, the others its parts.
/// Answers whether the whole value was long enough to be masked; parts that are too short are left out.
///
/// # Errors
/// Whatever the writer gives.
pub fn mask<'l>(out: &mut dyn Write, lines: impl IntoIterator<Item = &'l str>) -> io::Result<bool> {
    let mut whole = None;
    for line in lines {
        let long_enough = line.chars().count() >= SHORTEST_MASK;
        whole.get_or_insert(long_enough);
        if long_enough {
            writeln!(out, "::add-mask::{}", escape_data(line))?;
        }
    }
    Ok(whole.unwrap_or(false))
}

/// Makes an annotation of a finding, on its line where the place is known; paths below `workspace` are given
/// from there, as GitHub wants them. The text names the place too, because the log shows the text alone.
///
/// # Errors
/// Whatever the writer gives.
pub fn annotation(out: &mut dyn Write, problem: &Problem, workspace: Option<&str>) -> io::Result<()> {
    let command = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    write!(out, "::{command} ")?;
    if let Some(place) = &problem.place {
        let path = Path::new(&place.file);
        let inside = workspace.and_then(|workspace| path.strip_prefix(workspace).ok()).unwrap_or(path);
        let file = escape_property(&inside.to_string_lossy());
        write!(out, "file={file},line={},col={},", place.line, place.column)?;
    }
    let place = problem.place.iter().map(|place| format!("\nat {place}"));
    let hints = problem.hint.iter().flat_map(|hint| hint.lines()).map(|hint| format!("\nhint: {hint}"));
    let text = std::iter::once(problem.message.clone()).chain(place).chain(hints).collect::<String>();
    writeln!(out, "title={}::{}", escape_property(problem.code), escape_data(&text))
}

/// One entry of `GITHUB_OUTPUT`. `delimiter` must be random: a value that held it could set further outputs.
///
/// # Errors
/// Whatever the writer gives; [`io::ErrorKind::InvalidInput`] when the value holds the delimiter.
pub fn output(out: &mut dyn Write, name: &str, value: &str, delimiter: &str) -> io::Result<()> {
    if value.contains(delimiter) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("the value of `{name}` holds its delimiter")));
    }
    writeln!(out, "{name}<<{delimiter}\n{value}\n{delimiter}")
}

/// The counts of a report of `plan` or `sync` as outputs of the action; nothing for other reports. What was
/// planned counts when nothing was tried yet.
#[must_use]
pub fn outputs(report: &Json) -> Vec<(&'static str, String)> {
    let Some(targets) = report["targets"].as_array() else { return Vec::new() };
    let planned = |action: &str| -> u64 {
        targets.iter().map(|target| target["summary"][action].as_u64().unwrap_or_default()).sum()
    };
    let result = &report["result"];
    let done = |word: &str, action: &str| {
        if result.is_null() { planned(action) } else { result[word].as_u64().unwrap_or_default() }
    };
    let (created, updated) = (done("created", "create"), done("updated", "update"));
    let deleted = done("deleted", "delete");
    let failed = ["failed", "not_tried"].iter().map(|word| result[word].as_u64().unwrap_or_default()).sum::<u64>();
    vec![
        ("changed", (created + updated + deleted > 0).to_string()),
        ("created", created.to_string()),
        ("updated", updated.to_string()),
        ("kept", done("kept", "keep").to_string()),
        ("deleted", deleted.to_string()),
        ("refused", planned("refuse").to_string()),
        ("failed", failed.to_string()),
    ]
}

/// A writer in whose lines the runner finds no command: `::` at a line's start and `##[` anywhere are pulled
/// apart. A carriage return ends a line too, since the runner reads it so. The last line is written when it
/// ends, or on drop.
pub struct Disarmed<W: Write> {
    inner: W,
    line: Vec<u8>,
}

impl<W: Write> Disarmed<W> {
    pub fn new(inner: W) -> Self {
        Self { inner, line: Vec::new() }
    }

    fn end_line(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        self.inner.write_all(&disarm(&line))
    }
}

impl<W: Write> Write for Disarmed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            self.line.push(*byte);
            if matches!(byte, b'\n' | b'\r') {
                self.end_line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Write> JobLog for Disarmed<W> {
    fn fold(&mut self, title: &str) -> io::Result<()> {
        writeln!(self.inner, "::group::{}", escape_data(title))
    }

    fn unfold(&mut self) -> io::Result<()> {
        writeln!(self.inner, "::endgroup::")
    }
}

impl<W: Write> Drop for Disarmed<W> {
    fn drop(&mut self) {
        let _ = self.end_line().and_then(|()| self.inner.flush());
    }
}

/// One line, without commands. Bytes, because a terminal's text need not be UTF-8; the runner's trimming is
/// Unicode's, so every blank that is not ASCII counts as one.
fn disarm(line: &[u8]) -> Vec<u8> {
    let mut safe = Vec::with_capacity(line.len() + 1);
    let text = String::from_utf8_lossy(line);
    let rest = text.trim_start();
    if rest.starts_with("::") {
        safe.extend_from_slice(text[..text.len() - rest.len()].as_bytes());
        safe.extend_from_slice(b": ");
        safe.extend_from_slice(&rest.as_bytes()[1..]);
    } else {
        safe.extend_from_slice(line);
    }
    let mut position = 0;
    while let Some(found) = safe[position..].windows(3).position(|window| window == b"##[") {
        position += found + 2;
        safe.insert(position, b' ');
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Place;

    fn written(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_percent_sign_is_escaped_first() {
        assert_eq!(escape_data("50%\r\n%0A"), "50%25%0D%0A%250A");
        assert_eq!(escape_property("a:b,c%"), "a%3Ab%2Cc%25");
    }

    #[test]
    fn masks_the_whole_and_its_parts_and_leaves_out_what_is_short() {
        let mut out = Vec::new();
        assert!(mask(&mut out, ["{\n100%\n}", "{", "100%", "}"]).unwrap());
        assert_eq!(String::from_utf8(out).unwrap(), "::add-mask::{%0A100%25%0A}\n::add-mask::100%25\n");
        let mut out = Vec::new();
        assert!(!mask(&mut out, ["äöü"]).unwrap());
        assert!(out.is_empty());
        assert!(mask(&mut out, ["äöüß"]).unwrap());
    }

    #[test]
    fn an_annotation_stands_on_the_line_of_the_definition() {
        let place = Place { file: "/work space/a,b.yaml".into(), line: 3, column: 7 };
        let problem = Problem::error("unknown-key", "unknown key `x%`").at(place).hint("did you mean `y`");
        assert_eq!(
            written(|out| annotation(out, &problem, Some("/work space"))),
            "::error file=a%2Cb.yaml,line=3,col=7,title=unknown-key::unknown key `x%25`%0Aat /work space/a,b.yaml:3:7%0Ahint: did you mean `y`\n"
        );
        let warning = Problem::warning("code", "a\n::error::b");
        assert_eq!(written(|out| annotation(out, &warning, None)), "::warning title=code::a%0A::error::b\n");
    }

    #[test]
    fn an_output_cannot_set_another() {
        assert_eq!(written(|out| output(out, "report", "a\nb=c", "D1")), "report<<D1\na\nb=c\nD1\n");
        assert!(output(&mut Vec::new(), "report", "x\nD1\nchanged=false", "D1").is_err());
    }

    #[test]
    fn outputs_count_what_was_done_or_else_what_is_planned() {
        let summary = |create: u64| serde_json::json!({"summary": {"create": create, "update": 0, "keep": 2, "delete": 0, "refuse": 1}});
        let mut report = serde_json::json!({"targets": [summary(1), summary(0)]});
        let text = |report: &Json| {
            outputs(report).iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(text(&report), "changed=true created=1 updated=0 kept=4 deleted=0 refused=2 failed=0");
        report["result"] =
            serde_json::json!({"created": 0, "updated": 0, "deleted": 0, "kept": 4, "failed": 1, "not_tried": 2});
        assert_eq!(text(&report), "changed=false created=0 updated=0 kept=4 deleted=0 refused=2 failed=3");
        assert_eq!(outputs(&serde_json::json!({"findings": []})), []);
    }

    #[test]
    fn foreign_text_gives_no_command() {
        for (foreign, safe) in [
            ("::error::x\n", ": :error::x\n"),
            ("  \t::set-env name=a::b\n", "  \t: :set-env name=a::b\n"),
            ("\u{a0}\u{2003}::debug::x\n", "\u{a0}\u{2003}: :debug::x\n"),
            ("text\r::error::x\n", "text\r: :error::x\n"),
            ("a ##[error]b ##[x]\n", "a ## [error]b ## [x]\n"),
            ("###[error]\n", "### [error]\n"),
            ("::##[x]", ": :## [x]"),
            ("payready::sophia is fine ## [x]\n", "payready::sophia is fine ## [x]\n"),
        ] {
            let mut out = Vec::new();
            Disarmed::new(&mut out).write_all(foreign.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), safe);
        }
    }

    #[test]
    fn a_command_split_over_several_writes_is_disarmed_too() {
        let mut out = Vec::new();
        let mut disarmed = Disarmed::new(&mut out);
        for piece in [":", ":err", "or::", "x #", "#", "[a]", "\u{ff}\n"] {
            disarmed.write_all(piece.as_bytes()).unwrap();
            disarmed.flush().unwrap();
        }
        disarmed.fold("100%\n::error::x").unwrap();
        disarmed.unfold().unwrap();
        drop(disarmed);
        let expected = ": :error::x ## [a]\u{ff}\n::group::100%25%0A::error::x\n::endgroup::\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn bytes_that_are_no_text_pass_unchanged() {
        let mut out = Vec::new();
        Disarmed::new(&mut out).write_all(b"\xff\xfe ##[x]\n").unwrap();
        assert_eq!(out, b"\xff\xfe ## [x]\n");
    }
}
