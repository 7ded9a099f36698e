//! What `import-env` prints: names and what becomes of them.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::{BOLD, DIM, GREEN, Report, YELLOW};
use crate::rules::import::{State, Step, dotted};

/// Version of the JSON form.
pub const SCHEMA_VERSION: u32 = 1;

/// One name of the file. Value-free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedName {
    pub name: String,
    pub group: Option<String>,
    /// Property of the environment.
    pub path: Option<String>,
    pub state: State,
    pub line: usize,
}

impl From<&Step> for ImportedName {
    fn from(step: &Step) -> Self {
        let (name, group) = (step.name.clone(), step.group.clone());
        Self { name, group, path: step.path.as_ref().map(dotted), state: step.state, line: step.line }
    }
}

/// The result of `import-env`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportReport {
    pub stack: String,
    /// `organization/project/environment`.
    pub environment: String,
    pub dry_run: bool,
    pub created: bool,
    /// The revision that the import made; none when it made none, or the source has no numbers.
    pub revision: Option<u64>,
    /// Whether a key for the ledger's fingerprints was made.
    pub fingerprint_key_made: bool,
    pub names: Vec<ImportedName>,
}

impl ImportReport {
    fn count(&self, state: State) -> usize {
        self.names.iter().filter(|name| name.state == state).count()
    }

    /// `2 new, 1 changed, 3 same`.
    fn counts(&self) -> String {
        [State::New, State::Changed, State::Same]
            .map(|state| format!("{} {}", self.count(state), state.word()))
            .join(", ")
    }

    fn ending(&self) -> String {
        let writes = self.count(State::New) + self.count(State::Changed) > 0 || self.fingerprint_key_made;
        match (self.dry_run, writes, self.revision) {
            (true, ..) => "nothing was written (--dry-run)".to_owned(),
            (false, false, _) => "nothing to write".to_owned(),
            (false, true, Some(revision)) => format!("written as revision {revision}"),
            (false, true, None) => "written".to_owned(),
        }
    }
}

impl Report for ImportReport {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        let made = if self.created { " (new)" } else { "" };
        writeln!(to, "{BOLD}{}{BOLD:#} → {}{made}", self.stack, self.environment)?;
        let width = self.names.iter().map(|name| name.name.len()).max().unwrap_or(0);
        for name in &self.names {
            let style = match name.state {
                State::New => GREEN,
                State::Changed => YELLOW,
                _ => DIM,
            };
            let path = name.path.as_deref().unwrap_or_default();
            writeln!(to, "  {style}{:<8}{style:#} {:<width$}  {DIM}{path}{DIM:#}", name.state.word(), name.name)?;
        }
        if self.fingerprint_key_made {
            writeln!(to, "  {GREEN}new     {GREEN:#} a key for the ledger's fingerprints")?;
        }
        writeln!(to, "{}: {}", self.counts(), self.ending())
    }

    fn json(&self) -> Json {
        let names: Vec<Json> = self
            .names
            .iter()
            .map(|name| {
                json!({
                    "name": name.name, "group": name.group, "path": name.path,
                    "state": name.state.word(), "line": name.line
                })
            })
            .collect();
        json!({
            "schema_version": SCHEMA_VERSION, "command": "import-env", "stack": self.stack,
            "environment": self.environment, "dry_run": self.dry_run, "created": self.created,
            "revision": self.revision, "fingerprint_key_made": self.fingerprint_key_made, "names": names,
            "summary": {
                "new": self.count(State::New), "changed": self.count(State::Changed), "same": self.count(State::Same)
            }
        })
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "### Import into `{}`\n", self.environment)?;
        writeln!(to, "| name | group | state |\n|---|---|---|")?;
        for name in &self.names {
            writeln!(to, "| `{}` | {} | {} |", name.name, name.group.as_deref().unwrap_or("–"), name.state.word())?;
        }
        writeln!(to, "\n{}: {}", self.counts(), self.ending())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(dry_run: bool) -> ImportReport {
        let name = |name: &str, state| ImportedName {
            name: name.to_owned(),
            group: Some("api-keys".to_owned()),
            path: Some(format!("api-keys.{name}")),
            state,
            line: 1,
        };
        ImportReport {
            stack: "production".to_owned(),
            environment: "payready/sophia-esc/production".to_owned(),
            dry_run,
            created: false,
            revision: (!dry_run).then_some(4),
            fingerprint_key_made: true,
            names: vec![name("A", State::New), name("LONGER", State::Changed), name("C", State::Same)],
        }
    }

    #[test]
    fn people_see_names_states_and_the_revision() {
        let mut text = Vec::new();
        report(false).human(&mut text).unwrap();
        let text = anstream::adapter::strip_str(&String::from_utf8(text).unwrap()).to_string();
        assert_eq!(
            text,
            "production → payready/sophia-esc/production\n  new      A       api-keys.A\n  \
             changed  LONGER  api-keys.LONGER\n  same     C       api-keys.C\n  \
             new      a key for the ledger's fingerprints\n1 new, 1 changed, 1 same: written as revision 4\n"
        );
        assert_eq!(report(true).ending(), "nothing was written (--dry-run)");
    }

    #[test]
    fn the_json_form_is_frozen() {
        assert_eq!(
            report(false).json(),
            json!({
                "schema_version": 1, "command": "import-env", "stack": "production",
                "environment": "payready/sophia-esc/production", "dry_run": false, "created": false,
                "revision": 4, "fingerprint_key_made": true,
                "names": [
                    {"name": "A", "group": "api-keys", "path": "api-keys.A", "state": "new", "line": 1},
                    {"name": "LONGER", "group": "api-keys", "path": "api-keys.LONGER", "state": "changed", "line": 1},
                    {"name": "C", "group": "api-keys", "path": "api-keys.C", "state": "same", "line": 1}
                ],
                "summary": {"new": 1, "changed": 1, "same": 1}
            })
        );
    }
}
