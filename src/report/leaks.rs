//! The report of `leaks`: where secret values stand that must not stand there. Names and places, never a value.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{BOLD, DIM, GREEN, JobLog, RED, Report, YELLOW, markdown_text};
use crate::base::error::{Place, Problem};
use crate::rules::forms::Form;

/// Version of the JSON form.
pub const SCHEMA_VERSION: u32 = 1;

/// What a secret is called; one value may have several names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SecretName {
    pub name: String,
    /// The stack, or the dotenv file that the value came from.
    pub stack: String,
}

/// Where a value was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// In a file that git tracks, or in any file where there is no git.
    LeakTracked,
    /// In a file that the next `git add` takes.
    LeakUntracked,
    /// In a file that git ignores.
    LeakIgnored,
    /// In the name of a file.
    LeakInName,
    /// In the index only.
    LeakStaged,
    LeakInHistory,
    /// In the message of a commit or tag.
    LeakInMessage,
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::LeakTracked,
        Self::LeakUntracked,
        Self::LeakIgnored,
        Self::LeakInName,
        Self::LeakStaged,
        Self::LeakInHistory,
        Self::LeakInMessage,
    ];

    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::LeakTracked => "leak-tracked",
            Self::LeakUntracked => "leak-untracked",
            Self::LeakIgnored => "leak-ignored",
            Self::LeakInName => "leak-in-name",
            Self::LeakStaged => "leak-staged",
            Self::LeakInHistory => "leak-in-history",
            Self::LeakInMessage => "leak-in-message",
        }
    }

    fn is_error(self) -> bool {
        self != Self::LeakIgnored
    }
}

/// One place of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    pub kind: Kind,
    pub names: Vec<SecretName>,
    pub form: Form,
    /// From the root of what was searched; of the history the path that first had it.
    pub file: Option<String>,
    /// From 1, in characters; none in a binary file and in a message.
    pub line_and_column: Option<(usize, usize)>,
    /// In bytes from 0.
    pub offset: u64,
    /// What brought it.
    pub commit: Option<String>,
    /// The day of that commit.
    pub date: Option<String>,
    pub tag: Option<String>,
    /// How many contents of the file in the history hold it.
    pub versions: usize,
}

impl Leak {
    fn place(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        Some(match self.line_and_column {
            Some((line, column)) => format!("{file}:{line}:{column}"),
            None => file.clone(),
        })
    }

    /// `OPENAI_API_KEY`, each name once.
    fn named(&self) -> String {
        let names: BTreeSet<&str> = self.names.iter().map(|name| name.name.as_str()).collect();
        names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    }

    fn sentence(&self) -> String {
        let (named, how) = (self.named(), how(self.form));
        let binary = if self.line_and_column.is_none() { format!(" at byte {}", self.offset) } else { String::new() };
        let commit = match (&self.commit, &self.date) {
            (Some(commit), Some(date)) => format!("commit {} of {date}", commit.get(..12).unwrap_or(commit)),
            (Some(commit), None) => format!("commit {}", commit.get(..12).unwrap_or(commit)),
            _ => format!("tag {}", self.tag.as_deref().unwrap_or_default()),
        };
        match self.kind {
            Kind::LeakTracked => format!("{named} stands here {how}{binary}"),
            Kind::LeakUntracked => format!("{named} stands here {how}{binary}, and git does not ignore the file"),
            Kind::LeakIgnored => format!("{named} stands here {how}{binary}; git ignores the file"),
            Kind::LeakInName => format!("the name of this file holds {named} {how}"),
            Kind::LeakStaged => format!("{named} is staged here {how}{binary}"),
            Kind::LeakInHistory => {
                let versions = match self.versions {
                    0 | 1 => String::new(),
                    many => format!(", in {many} versions of the file"),
                };
                format!("{named} stands here {how}{binary} since {commit}{versions}")
            }
            Kind::LeakInMessage => format!("{named} stands {how} in the message of {commit}"),
        }
    }

    /// For the action, which shows it beside the file; a place without a line is the file's beginning.
    fn problem(&self) -> Problem {
        let (code, sentence) = (self.kind.code(), self.sentence());
        let problem =
            if self.kind.is_error() { Problem::error(code, sentence) } else { Problem::warning(code, sentence) };
        let (line, column) = self.line_and_column.unwrap_or((1, 1));
        Problem { place: self.file.clone().map(|file| Place { file, line, column }), ..problem }
    }

    fn json(&self) -> Json {
        let (line, column) = self.line_and_column.unzip();
        json!({ "code": self.kind.code(), "severity": if self.kind.is_error() { "error" } else { "warning" },
            "secrets": self.names, "encoding": self.form.word(), "file": self.file, "line": line, "column": column,
            "offset": self.offset, "commit": self.commit, "date": self.date, "tag": self.tag,
            "versions": self.versions })
    }
}

fn how(form: Form) -> &'static str {
    match form {
        Form::Clear => "in clear",
        Form::Line => "with one of its lines",
        Form::Base64 => "in base64",
        Form::Hex => "in hex",
        Form::Url => "URL-encoded",
        Form::Json => "escaped for JSON",
        Form::Shell => "escaped for a shell",
        Form::Xml => "escaped for XML",
        Form::Utf16 => "in UTF-16",
    }
}

/// What `leaks` found, and what it looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaksReport {
    /// The stacks, or the dotenv file, that the values came from.
    pub stacks: Vec<String>,
    pub from_file: bool,
    /// What was searched, as the user knows it.
    pub folder: String,
    /// Different values that were looked for.
    pub values: usize,
    pub files: usize,
    /// Of the history: blobs, commits and tags; none when it was not searched.
    pub objects: Option<usize>,
    pub bytes: u64,
    pub leaks: Vec<Leak>,
    /// Leaks beyond those that are listed of each value.
    pub left_out: usize,
    /// Values that were not looked for, or not whole, and why.
    pub skipped: Vec<String>,
    /// What could not be looked at, and why.
    pub unchecked: Vec<String>,
    /// Names of keys of ledgers' fingerprints, and the ESC environments that hold them.
    pub keys: BTreeMap<SecretName, String>,
}

impl LeaksReport {
    /// How many findings there are by code.
    #[must_use]
    pub fn counts(&self) -> Vec<(&'static str, usize)> {
        let kinds: BTreeSet<Kind> = self.leaks.iter().map(|leak| leak.kind).collect();
        let count = |kind: Kind| self.leaks.iter().filter(|leak| leak.kind == kind).count();
        kinds.into_iter().map(|kind| (kind.code(), count(kind))).collect()
    }

    fn searched(&self) -> String {
        let objects = match self.objects {
            Some(objects) => format!(" and {} of the history", super::counted(objects, "object")),
            None => String::new(),
        };
        let stacks = self.stacks.join(", ");
        let (values, files) = (super::counted(self.values, "value"), super::counted(self.files, "file"));
        format!("looked for {values} of {stacks} in {files}{objects} ({})", size(self.bytes))
    }

    fn summary(&self) -> String {
        match self.leaks.len() + self.left_out {
            0 => "nothing found".to_owned(),
            count => super::counted(count, "finding"),
        }
    }

    /// What to do about what was found, in the order in which to do it.
    fn next(&self) -> Vec<String> {
        if self.leaks.iter().all(|leak| !leak.kind.is_error()) {
            return Vec::new();
        }
        let named: BTreeSet<&SecretName> =
            self.leaks.iter().filter(|leak| leak.kind.is_error()).flat_map(|leak| &leak.names).collect();
        let respond = |name: &SecretName| match self.keys.get(name) {
            _ if self.from_file => format!("make a new `{}` where it was issued, and revoke the old one", name.name),
            Some(environment) => format!(
                "`sophia-secrets-sync env set {environment} {} --secret`; the next `sync` writes every secret once",
                name.name
            ),
            None => format!("`sophia-secrets-sync emergency respond {} --stack {}`", name.name, name.stack),
        };
        let mut next: Vec<String> = named.into_iter().map(respond).collect();
        next.push(
            "take the values out of the files; where git does not ignore a file that must hold one, ignore it"
                .to_owned(),
        );
        if self.leaks.iter().any(|leak| matches!(leak.kind, Kind::LeakInHistory | Kind::LeakInMessage)) {
            next.push(
                "when the old values are revoked, rewrite the history (`git filter-repo --replace-text`); who cloned it has them"
                    .to_owned(),
            );
        }
        next
    }

    /// What follows the findings.
    fn tail(&self, to: &mut dyn Write) -> io::Result<()> {
        if self.left_out > 0 {
            writeln!(to, "and {} more", self.left_out)?;
        }
        for skipped in &self.skipped {
            writeln!(to, "{DIM}not looked for:{DIM:#} {skipped}")?;
        }
        for unchecked in &self.unchecked {
            writeln!(to, "{YELLOW}not checked:{YELLOW:#} {unchecked}")?;
        }
        let style = if self.leaks.is_empty() { GREEN } else { BOLD };
        writeln!(to, "{}: {}: {style}{}{style:#}", self.folder, self.searched(), self.summary())?;
        for next in self.next() {
            writeln!(to, "  next: {next}")?;
        }
        Ok(())
    }
}

/// `1.5 MB`, in powers of 1000.
fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    let (mut amount, mut unit) = (bytes as f64, "bytes");
    for next in units {
        if amount < 1000.0 {
            break;
        }
        (amount, unit) = (amount / 1000.0, next);
    }
    if unit == "bytes" { format!("{bytes} bytes") } else { format!("{amount:.1} {unit}") }
}

impl Report for LeaksReport {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        for leak in &self.leaks {
            let (style, severity) = if leak.kind.is_error() { (RED, "error") } else { (YELLOW, "warning") };
            if let Some(place) = leak.place() {
                write!(to, "{BOLD}{place}:{BOLD:#} ")?;
            }
            writeln!(to, "{style}{severity}[{}]{style:#}: {}", leak.kind.code(), leak.sentence())?;
        }
        self.tail(to)
    }

    fn log(&self, log: &mut dyn JobLog) -> io::Result<()> {
        self.tail(log)
    }

    fn findings(&self) -> Cow<'_, [Problem]> {
        self.leaks.iter().map(Leak::problem).collect()
    }

    fn json(&self) -> Json {
        let findings: Vec<Json> = self.leaks.iter().map(Leak::json).collect();
        json!({ "schema_version": SCHEMA_VERSION, "command": "leaks", "stacks": self.stacks, "folder": self.folder,
            "searched": { "values": self.values, "files": self.files, "objects": self.objects, "bytes": self.bytes },
            "findings": findings, "left_out": self.left_out, "skipped": self.skipped, "unchecked": self.unchecked })
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "### leaks in {}: {}\n", markdown_text(&self.folder), self.summary())?;
        if !self.leaks.is_empty() {
            writeln!(to, "| finding | place | |\n|---|---|---|")?;
            for leak in &self.leaks {
                let (place, sentence) = (leak.place().unwrap_or_default(), leak.sentence());
                let [place, sentence] = [&place, &sentence].map(|text| markdown_text(text));
                writeln!(to, "| `{}` | {place} | {sentence} |", leak.kind.code())?;
            }
            writeln!(to)?;
        }
        if self.left_out > 0 {
            writeln!(to, "And {} more.\n", self.left_out)?;
        }
        let next = self.next();
        for next in &next {
            writeln!(to, "1. {next}")?;
        }
        if !next.is_empty() {
            writeln!(to)?;
        }
        let skipped = self.skipped.iter().map(|text| format!("not looked for: {text}"));
        let unchecked = self.unchecked.iter().map(|text| format!("not checked: {text}"));
        for line in skipped.chain(unchecked).chain([self.searched()]) {
            writeln!(to, "- {}", markdown_text(&line))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::runner::Disarmed;
    use crate::report::{Format, write};

    fn report() -> LeaksReport {
        let leak = |kind| Leak {
            kind,
            names: vec![SecretName { name: "A_KEY".into(), stack: "production".into() }],
            form: Form::Base64,
            file: Some("a.py".into()),
            line_and_column: Some((3, 7)),
            offset: 40,
            commit: None,
            date: None,
            tag: None,
            versions: 0,
        };
        let commit = Some("0123456789abcdef".to_owned());
        LeaksReport {
            stacks: vec!["production".into()],
            folder: "/w".into(),
            values: 2,
            files: 1,
            objects: Some(4),
            bytes: 1_500_000,
            leaks: vec![
                Leak { line_and_column: None, ..leak(Kind::LeakTracked) },
                Leak {
                    commit: commit.clone(),
                    date: Some("2026-01-31".into()),
                    versions: 3,
                    ..leak(Kind::LeakInHistory)
                },
                Leak { commit, file: None, ..leak(Kind::LeakInMessage) },
            ],
            skipped: vec!["`FLAG` of production: it has fewer than 8 bytes".into()],
            ..LeaksReport::default()
        }
    }

    fn text(report: &LeaksReport, format: Format) -> String {
        let mut bytes = Vec::new();
        write(report, format, &mut anstream::StripStream::new(&mut bytes)).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn says_where_and_what_to_do() {
        let expected = "\
a.py: error[leak-tracked]: `A_KEY` stands here in base64 at byte 40
a.py:3:7: error[leak-in-history]: `A_KEY` stands here in base64 since commit 0123456789ab of 2026-01-31, in 3 versions of the file
error[leak-in-message]: `A_KEY` stands in base64 in the message of commit 0123456789ab
not looked for: `FLAG` of production: it has fewer than 8 bytes
/w: looked for 2 values of production in 1 file and 4 objects of the history (1.5 MB): 3 findings
  next: `sophia-secrets-sync emergency respond A_KEY --stack production`
  next: take the values out of the files; where git does not ignore a file that must hold one, ignore it
  next: when the old values are revoked, rewrite the history (`git filter-repo --replace-text`); who cloned it has them
";
        assert_eq!(text(&report(), Format::Human), expected);
        let json = report().json();
        assert_eq!(json["findings"][1]["line"], 3);
        assert_eq!(json["findings"][0]["line"], Json::Null);
        assert_eq!(json["findings"][1]["encoding"], "base64");
        assert!(text(&report(), Format::Markdown).contains("| `leak-tracked` | a.py | \\`A\\_KEY\\` stands here"));
    }

    #[test]
    fn findings_are_annotations_and_not_in_the_log_of_the_action() {
        let report = report();
        let places: Vec<Option<String>> =
            report.findings().iter().map(|finding| Some(finding.place.as_ref()?.to_string())).collect();
        assert_eq!(places, [Some("a.py:1:1".to_owned()), Some("a.py:3:7".to_owned()), None]);
        assert_eq!(report.findings()[1].code, "leak-in-history");
        let mut bytes = Vec::new();
        report.log(&mut Disarmed::new(anstream::StripStream::new(&mut bytes))).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("not looked for:") && text.contains("3 findings"), "{text}");
    }

    #[test]
    fn a_key_of_fingerprints_is_replaced_in_esc() {
        let mut report = report();
        report.keys.insert(report.leaks[0].names[0].clone(), "payready/sophia-esc/production".into());
        let text = text(&report, Format::Human);
        assert!(text.contains(
            "next: `sophia-secrets-sync env set payready/sophia-esc/production A_KEY --secret`; the next `sync`"
        ));
        assert!(!text.contains("emergency respond"));
    }

    #[test]
    fn an_ignored_file_may_hold_values_and_nothing_is_to_be_done() {
        let mut report = report();
        report.leaks.truncate(1);
        report.leaks[0].kind = Kind::LeakIgnored;
        assert!(!text(&report, Format::Human).contains("next:"));
        report.leaks.clear();
        assert!(text(&report, Format::Human).contains("nothing found"));
        assert_eq!(report.counts(), []);
    }
}
