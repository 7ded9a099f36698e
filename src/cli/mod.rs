//! Floor 5: argv, environment, clock, streams and the exit code.

pub mod access;
pub mod action;
pub mod add;
pub mod args;
pub mod audit;
pub mod child;
pub mod connect;
pub mod demo;
pub mod door;
pub mod emergency;
pub mod env;
pub mod environment;
pub mod export;
pub mod github;
pub mod import;
pub mod init;
pub mod input;
pub mod inspect;
pub mod job;
pub mod leaks;
pub mod progress;
pub mod rotation;
pub mod run;
pub mod sandbox;
pub mod shell;
pub mod sync;
pub mod template;
pub mod usage;
pub mod verify;

use std::path::PathBuf;
use std::time::Duration;

use crate::io::ledger::LedgerPlace;

/// Exit code for differences or findings, with `--exit-code` only (design §7).
const FINDINGS: u8 = 10;

/// Reads `90s`, `15m`, `24h` or `7d`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a number and a unit: s, m, h or d, such as `90s`".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// Reads `I/N` with 1 ≤ I ≤ N.
fn parse_shard(text: &str) -> Result<(u64, u64), String> {
    text.split_once('/')
        .and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)))
        .filter(|(index, count)| (1..=*count).contains(index))
        .ok_or_else(|| "expected I/N with I from 1 to N, such as `2/8`".to_owned())
}

fn parse_ledger_place(text: &str) -> Result<LedgerPlace, String> {
    match text {
        "variable" => Ok(LedgerPlace::Variable),
        "none" => Ok(LedgerPlace::Nowhere),
        _ => match text.strip_prefix("file:") {
            Some(folder) if !folder.is_empty() => Ok(LedgerPlace::Folder(PathBuf::from(folder))),
            _ => Err("expected `variable`, `none` or `file:DIR`".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_shards_and_ledger_places() {
        assert_eq!(parse_duration("15m"), Ok(Duration::from_secs(900)));
        assert!(parse_duration("15").is_err() && parse_duration("").is_err() && parse_duration("1é").is_err());
        assert_eq!(parse_shard("2/8"), Ok((2, 8)));
        assert!(parse_shard("0/8").is_err() && parse_shard("9/8").is_err() && parse_shard("1").is_err());
        assert_eq!(parse_ledger_place("file:x"), Ok(LedgerPlace::Folder("x".into())));
        assert!(parse_ledger_place("file:").is_err());
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        args::Cli::command().debug_assert();
    }
}
