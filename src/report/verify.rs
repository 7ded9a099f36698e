//! The report of `verify`.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::{BOLD, GREEN, RED, Report};
use crate::rules::delivery::Delivery;

/// What was found of each secret, in the order of names asked for or else sorted.
pub struct VerifyReport<'a> {
    pub stack: &'a str,
    /// The scopes whose ledgers were compared with, closest first.
    pub scopes: &'a [String],
    pub found: &'a [(String, Delivery)],
}

impl VerifyReport<'_> {
    fn totals(&self) -> String {
        let delivered = self.found.iter().filter(|(_, delivery)| *delivery == Delivery::Delivered).count();
        format!("{delivered} of {} secrets are what was synced.", self.found.len())
    }
}

impl Report for VerifyReport<'_> {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "{BOLD}Verify: stack {} against {}{BOLD:#}", self.stack, self.scopes.join(", "))?;
        let width = self.found.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, delivery) in self.found {
            let (sign, style) = if *delivery == Delivery::Delivered { ('=', GREEN) } else { ('!', RED) };
            writeln!(to, "  {style}{sign} {name:width$}  {}{style:#}", delivery.word())?;
        }
        writeln!(to, "\n{}", self.totals())
    }

    fn json(&self) -> Json {
        let names: Vec<Json> =
            self.found.iter().map(|(name, delivery)| json!({"name": name, "result": delivery.word()})).collect();
        json!({"schema_version": 1, "command": "verify", "stack": self.stack, "scopes": self.scopes, "names": names})
    }

    fn markdown(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "## Secrets verified: stack {}\n\n{}\n", super::markdown_text(self.stack), self.totals())?;
        writeln!(to, "| name | result |\n|---|---|")?;
        for (name, delivery) in self.found {
            writeln!(to, "| `{name}` | {} |", delivery.word())?;
        }
        Ok(())
    }
}
