//! From the bytes of a dotenv file to its entries.
//!
//! The rules stand in `docs/dotenv.md`. **No message holds text of the file**, not even a name: in a file that
//! lost its quotes, the lines of a private key look like names.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::ambiguity::Ambiguity;
use super::{Entry, expansion, is_shell_name};
use crate::base::error::{Place, Problem};
use crate::base::secret::SecretValue;

/// The largest file that is read, in bytes: three times the 100 secrets of 48 KB that a repository holds.
pub const LARGEST: usize = 16 * 1024 * 1024;

/// How a file is read.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The file as the user named it, for the places of problems.
    pub file: &'a str,
    /// Put earlier values of the same file in place of `$NAME` and `${NAME}`.
    pub expand: bool,
    /// Refuse whatever is ambiguous.
    pub strict: bool,
}

/// A file that was read.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// In the order of the file, each name once.
    pub entries: Vec<Entry>,
    pub warnings: Vec<Problem>,
}

/// Reads a dotenv file.
///
/// # Errors
/// All problems at once: `dotenv-too-large`, `dotenv-encoding`, `dotenv-nul`, `dotenv-not-an-entry`,
/// `dotenv-bad-name`, `dotenv-unterminated-quote`, `dotenv-text-after-quote`, `dotenv-duplicate`, those of
/// [`expansion`], and with `strict` every [`Ambiguity`].
pub fn parse(bytes: &[u8], options: Options<'_>) -> Result<Parsed, Vec<Problem>> {
    let text = decode(bytes, options.file)?;
    let mut reader = Reader {
        text: text.strip_prefix('\u{feff}').unwrap_or(text),
        at: 0,
        line: 1,
        line_start: 0,
        options,
        entries: Vec::new(),
        seen: BTreeMap::new(),
        problems: Vec::new(),
        carriage_returns: false,
    };
    if text.starts_with('\u{feff}') {
        reader.doubt(Ambiguity::ByteOrderMark, reader.place(0));
    }
    reader.read();
    let failed = reader.problems.iter().any(|problem| problem.severity == crate::base::error::Severity::Error);
    if failed { Err(reader.problems) } else { Ok(Parsed { entries: reader.entries, warnings: reader.problems }) }
}

/// The text of the file: UTF-8 without NUL.
fn decode<'t>(bytes: &'t [u8], file: &str) -> Result<&'t str, Vec<Problem>> {
    let place = |offset: usize| {
        let before = bytes.get(..offset).unwrap_or_default();
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let column = String::from_utf8_lossy(before.get(line_start..).unwrap_or_default()).chars().count() + 1;
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Place { file: file.to_owned(), line, column }
    };
    if bytes.len() > LARGEST {
        let message = format!("the file has {} bytes; a dotenv file may have {LARGEST}", bytes.len());
        return Err(vec![Problem::error("dotenv-too-large", message)]);
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let problem = Problem::error("dotenv-encoding", "the file is UTF-16; a dotenv file is UTF-8");
        return Err(vec![problem.at(place(0)).hint("save it as UTF-8 without a byte order mark")]);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let problem = Problem::error("dotenv-encoding", "the file is not UTF-8 from here on");
        vec![problem.at(place(error.valid_up_to())).hint("save it as UTF-8; store binary values as base64")]
    })?;
    match bytes.iter().position(|byte| *byte == 0) {
        Some(offset) => {
            let problem = Problem::error("dotenv-nul", "the file holds a NUL byte, which no environment variable can");
            Err(vec![problem.at(place(offset)).hint("store binary values as base64")])
        }
        None => Ok(text),
    }
}

struct Reader<'t> {
    text: &'t str,
    /// Byte offset of what is read next.
    at: usize,
    line: usize,
    line_start: usize,
    options: Options<'t>,
    entries: Vec<Entry>,
    /// Line and value of every name so far.
    seen: BTreeMap<String, (usize, Zeroizing<String>)>,
    problems: Vec<Problem>,
    carriage_returns: bool,
}

/// A value as it stands, and what is doubtful about it.
struct Raw {
    text: Zeroizing<String>,
    doubts: Vec<Ambiguity>,
}

impl<'t> Reader<'t> {
    fn read(&mut self) {
        while self.at < self.text.len() {
            let line = self.rest_of_line();
            let content = line.trim_start_matches(BLANKS);
            if content.is_empty() || content.starts_with('#') {
                self.next_line();
                continue;
            }
            self.at += line.len() - content.len();
            self.entry(content);
            self.next_line();
        }
    }

    /// What is left of the line, without its end.
    fn rest_of_line(&self) -> &'t str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        line.strip_suffix('\r').filter(|_| rest.len() > line.len()).unwrap_or(line)
    }

    /// Goes behind the end of the line.
    fn next_line(&mut self) {
        let line = self.rest_of_line();
        let end = self.at + line.len();
        if self.text.get(end..).is_some_and(|rest| rest.starts_with('\r')) && !self.carriage_returns {
            self.carriage_returns = true;
            self.doubt(Ambiguity::CrLf, self.place(end));
        }
        self.at = self.text.get(end..).and_then(|rest| rest.find('\n')).map_or(self.text.len(), |next| end + next + 1);
        self.line += 1;
        self.line_start = self.at;
    }

    fn place(&self, at: usize) -> Place {
        let column = self.text.get(self.line_start..at).map_or(1, |before| before.chars().count() + 1);
        Place { file: self.options.file.to_owned(), line: self.line, column }
    }

    fn doubt(&mut self, ambiguity: Ambiguity, place: Place) {
        self.problems.push(ambiguity.problem(place, self.options.strict));
    }

    fn error(&mut self, code: &'static str, message: impl Into<String>, place: Place, hint: &str) {
        self.problems.push(Problem::error(code, message).at(place).hint(hint));
    }

    /// Reads one entry; `content` is the line from the name on. Stops before the end of the entry's last line.
    fn entry(&mut self, content: &'t str) {
        let place = self.place(self.at);
        let line = self.line;
        let assignment = after_export(content);
        self.at += content.len() - assignment.len();
        let Some((name, value)) = assignment.split_once('=') else {
            return self.without_equals(assignment, content.len() > assignment.len(), place);
        };
        let mut doubts = Vec::new();
        let value = value.trim_start_matches(BLANKS);
        let name_end = name.trim_end_matches(BLANKS);
        let blank_behind = assignment.len() > name.len() + 1 + value.len();
        if name_end.len() < name.len() || (blank_behind && !value.is_empty() && !value.starts_with('#')) {
            doubts.push(Ambiguity::BlankAroundEquals);
        }
        self.at += assignment.len() - value.len();
        let begin = self.at;
        let begin_place = self.place(begin);
        let raw = match value.chars().next() {
            Some(quote @ ('\'' | '"' | '`')) => self.quoted(quote),
            Some('#') if blank_behind => {
                self.at += value.len();
                doubts.push(Ambiguity::OnlyComment);
                Some(Raw { text: Zeroizing::new(String::new()), doubts: Vec::new() })
            }
            _ => {
                self.at += value.len();
                Some(unquoted(value))
            }
        };
        if !is_name(name_end) {
            let message = "the text before `=` is not a name";
            let hint = "a name has letters, digits and `_`; a value over several lines needs quotes around it";
            return self.error("dotenv-bad-name", message, place, hint);
        }
        if !is_shell_name(name_end) {
            doubts.push(Ambiguity::Name);
        }
        let Some(mut raw) = raw else { return };
        if self.options.expand && !value.starts_with('\'') && !value.starts_with('`') {
            raw.doubts.retain(|doubt| *doubt != Ambiguity::Dollar);
            match expansion::expand(&raw.text, |name| self.seen.get(name).map(|(_, value)| value.as_str())) {
                Ok(text) => raw.text = text,
                Err(problem) => return self.problems.push(problem.at(begin_place)),
            }
        }
        raw.text = expansion::unmark(&raw.text);
        doubts.append(&mut raw.doubts);
        doubts.sort_unstable();
        doubts.dedup();
        self.keep(name_end, raw.text, line, place, &doubts);
    }

    fn keep(&mut self, name: &str, text: Zeroizing<String>, line: usize, place: Place, doubts: &[Ambiguity]) {
        for doubt in doubts {
            self.doubt(*doubt, place.clone());
        }
        match self.seen.get(name) {
            Some((_, before)) if *before == text => self.doubt(Ambiguity::Repeated, place),
            Some((first, _)) => {
                let message = format!("the name of this line was given another value in line {first}");
                self.error("dotenv-duplicate", message, place, "keep one of the two lines");
            }
            None => {
                let value = SecretValue::new(text.as_bytes().to_vec());
                let ambiguous = !doubts.is_empty();
                self.entries.push(Entry { name: name.to_owned(), value, line, ambiguous });
                self.seen.insert(name.to_owned(), (line, text));
            }
        }
    }

    fn without_equals(&mut self, text: &str, exported: bool, place: Place) {
        self.at += text.len();
        let word = text.split('#').next().unwrap_or_default().trim_end_matches(BLANKS);
        let shouted = is_shell_name(word) && !word.chars().any(|c| c.is_ascii_lowercase());
        if (shouted && word.len() <= 100) || (exported && is_shell_name(word)) {
            self.doubt(Ambiguity::NoValue, place);
        } else {
            let hint = "write NAME=value; a value over several lines needs quotes around it";
            self.error("dotenv-not-an-entry", "the line is neither NAME=value nor a comment", place, hint);
        }
    }

    /// Reads a quoted value from its opening quote on, over as many lines as it takes.
    fn quoted(&mut self, quote: char) -> Option<Raw> {
        let opening = self.place(self.at);
        let opening_line_end = self.at + self.rest_of_line().len();
        let body = self.text.get(self.at + 1..).unwrap_or_default();
        let (raw, length) = match quote {
            '"' => double_quoted(body),
            '\'' => single_quoted(body),
            _ => backticked(body),
        };
        let Some(length) = length else {
            self.at = opening_line_end;
            let message = format!("a value opens with {quote} and does not close");
            let hint =
                if quote == '\'' { "a ' inside needs \" around the value" } else { "close it, or use ' around it" };
            self.error("dotenv-unterminated-quote", message, opening, hint);
            return None;
        };
        self.at += 1 + length;
        for (offset, _) in body.get(..length).unwrap_or_default().match_indices('\n') {
            self.line += 1;
            self.line_start = self.at - length + offset + 1;
        }
        let behind = self.rest_of_line();
        let rest = behind.trim_start_matches(BLANKS);
        if !(rest.is_empty() || (rest.starts_with('#') && rest.len() < behind.len())) {
            let place = self.place(self.at);
            let hint = "put the whole value between one pair of quotes, and a blank before a comment";
            self.error("dotenv-text-after-quote", "text follows the closing quote", place, hint);
            self.at += behind.len();
            return None;
        }
        self.at += behind.len();
        Some(raw)
    }
}

const BLANKS: [char; 2] = [' ', '\t'];

/// What follows a leading `export` and its blanks.
fn after_export(content: &str) -> &str {
    match content.strip_prefix("export") {
        Some(rest) if rest.starts_with(BLANKS) && !rest.trim_start_matches(BLANKS).starts_with('=') => {
            rest.trim_start_matches(BLANKS)
        }
        _ => content,
    }
}

/// A name that GitHub or a container could take; `.` and `-` are doubtful and nothing else is allowed.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

fn unquoted(text: &str) -> Raw {
    let comment =
        text.match_indices('#').find(|(at, _)| text.get(..*at).is_some_and(|before| before.ends_with(BLANKS)));
    let cut = comment.and_then(|(at, _)| text.get(..at)).unwrap_or(text);
    let value = cut.trim_end_matches(BLANKS);
    let mut doubts = Vec::new();
    let mut doubt = |found: bool, ambiguity| {
        if found {
            doubts.push(ambiguity);
        }
    };
    doubt((comment.is_none() && value.len() < cut.len()) || value.trim().len() < value.len(), Ambiguity::BlankAtEdge);
    doubt(value.contains(BLANKS), Ambiguity::Blank);
    doubt(value.contains('$'), Ambiguity::Dollar);
    doubt(value.contains('#'), Ambiguity::Hash);
    doubt(value.contains('\\'), Ambiguity::Backslash);
    doubt(value.contains(['\'', '"']), Ambiguity::Quote);
    doubt(value.contains('`'), Ambiguity::Backtick);
    doubt(value.contains(['&', '|', ';', '<', '>', '(', ')']), Ambiguity::ShellSign);
    doubt(value.starts_with('~') || value.contains(":~"), Ambiguity::ShellSign);
    doubt(value.contains('\r'), Ambiguity::CarriageReturn);
    Raw { text: Zeroizing::new(value.to_owned()), doubts }
}

/// The value behind an opening `'`, and how many bytes it and its closing quote take.
fn single_quoted(body: &str) -> (Raw, Option<usize>) {
    let mut text = Zeroizing::new(String::new());
    let mut doubts = Vec::new();
    let mut at = 0;
    let closed = loop {
        let rest = body.get(at..).unwrap_or_default();
        let Some(end) = rest.find('\'') else { break None };
        text.push_str(rest.get(..end).unwrap_or_default());
        at += end + 1;
        // `'\''` is how shells write a single quote between single quotes.
        if body.get(at..).is_some_and(|behind| behind.starts_with("\\''")) {
            text.push('\'');
            doubts.push(Ambiguity::JoinedQuotes);
            at += 3;
        } else {
            break Some(at);
        }
    };
    if text.contains("${") {
        doubts.push(Ambiguity::Dollar);
    }
    if text.contains("\\\\") || text.contains("\\'") || text.ends_with('\\') {
        doubts.push(Ambiguity::Backslash);
    }
    if text.contains('\r') {
        doubts.push(Ambiguity::CarriageReturn);
    }
    (Raw { text, doubts }, closed)
}

/// The value behind an opening backtick: as it stands up to the next one.
fn backticked(body: &str) -> (Raw, Option<usize>) {
    let end = body.find('`');
    let text = Zeroizing::new(body.get(..end.unwrap_or(0)).unwrap_or_default().to_owned());
    (Raw { text, doubts: vec![Ambiguity::Backtick] }, end.map(|end| end + 1))
}

/// The value behind an opening `"`: `\n`, `\r`, `\t`, `\"`, `\\`, `\$` and a backtick behind `\` are escapes,
/// any other `\` stands for itself.
fn double_quoted(body: &str) -> (Raw, Option<usize>) {
    let mut text = Zeroizing::new(String::new());
    let mut doubts = Vec::new();
    let mut characters = body.char_indices();
    let mut closed = None;
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => {
                closed = Some(at + 1);
                break;
            }
            '\\' => {
                doubts.push(Ambiguity::Backslash);
                match characters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, '$')) => text.push(expansion::LITERAL_DOLLAR),
                    Some((_, escaped @ ('"' | '\\' | '`'))) => text.push(escaped),
                    Some((_, other)) => text.extend(['\\', other]),
                    None => text.push('\\'),
                }
            }
            c => {
                match c {
                    '$' => doubts.push(Ambiguity::Dollar),
                    '`' => doubts.push(Ambiguity::Backtick),
                    '\r' => doubts.push(Ambiguity::CarriageReturn),
                    _ => {}
                }
                text.push(c);
            }
        }
    }
    (Raw { text, doubts }, closed)
}
