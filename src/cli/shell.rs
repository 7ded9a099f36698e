//! `completions SHELL` and `man`: generated from the arguments themselves, so they cannot be out of date.

use clap::{Args, CommandFactory};

use super::args::Cli;
use super::door::Door;
use crate::base::error::{Failure, Outcome};

#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// Shell to complete in
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Prints the completion script of a shell.
///
/// # Errors
/// Never; for one signature with the other commands.
pub fn completions(args: &CompletionsArgs, door: &mut Door) -> Outcome<u8> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    door.data(&script);
    Ok(0)
}

/// Prints the manual page (roff), commands one after the other.
///
/// # Errors
/// `man-page` when it cannot be rendered.
pub fn man(door: &mut Door) -> Outcome<u8> {
    let mut page = Vec::new();
    pages(Cli::command(), &mut page)
        .map_err(|error| Failure::unexpected("man-page", "the manual page could not be made").cause(error))?;
    door.data(&page);
    Ok(0)
}

fn pages(mut command: clap::Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    command.build();
    clap_mangen::Man::new(command.clone()).render(page)?;
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        pages(below.clone(), page)?;
    }
    Ok(())
}
