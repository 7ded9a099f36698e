//! The help texts, as people see them. `INSTA_UPDATE=always cargo test --test help` accepts a change: read the diff.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use clap::CommandFactory;
use sophia_secrets_sync::cli::args::Cli;

fn help_of(command: &mut clap::Command, texts: &mut String) {
    texts.push_str(&format!(
        "$ {} --help\n",
        command
            .get_display_name()
            .unwrap_or(command.get_name())
            .replace('-', " ")
            .replace("sophia secrets sync", "sophia-secrets-sync")
    ));
    texts.push_str(&command.clone().term_width(100).render_long_help().to_string());
    texts.push_str("\n\n");
    for below in command.get_subcommands_mut().filter(|below| below.get_name() != "help") {
        help_of(below, texts);
    }
}

#[test]
fn help_reads_as_it_was_written() {
    let mut command = Cli::command();
    command.build();
    let mut texts = String::new();
    help_of(&mut command, &mut texts);
    insta::assert_snapshot!("help", texts);
}

#[test]
fn every_argument_and_command_is_explained() {
    fn check(command: &clap::Command, silent: &mut Vec<String>) {
        for argument in command.get_arguments() {
            if argument.get_help().is_none() {
                silent.push(format!("{} {}", command.get_name(), argument.get_id()));
            }
        }
        for below in command.get_subcommands() {
            if below.get_about().is_none() {
                silent.push(below.get_name().to_owned());
            }
            check(below, silent);
        }
    }
    let mut command = Cli::command();
    command.build();
    let mut silent = Vec::new();
    check(&command, &mut silent);
    assert!(silent.is_empty(), "without a word of help: {}", silent.join(", "));
}

#[test]
fn completions_and_the_manual_page_name_every_command() {
    let binary = env!("CARGO_BIN_EXE_sophia-secrets-sync");
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(binary).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let man = run(&["man"]);
    let scripts = ["bash", "zsh", "fish", "powershell", "elvish"].map(|shell| run(&["completions", shell]));
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        assert!(man.replace("\\-", "-").contains(name), "man: {name}");
        for script in &scripts {
            assert!(script.contains(name), "{name}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_to_stdout_fails_the_run_unless_the_reader_has_gone() {
    let run = |arguments: &[&str], stdout: std::process::Stdio| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sophia-secrets-sync"));
        command.args(arguments).stdout(stdout).stderr(std::process::Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    #[allow(clippy::disallowed_methods, reason = "a device, and no file of the tool's")]
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let (code, said) = run(&["completions", "bash"], full().into());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("error[output]: stdout could not be written"), "{said}");
    assert_eq!(run(&["--help"], full().into()).0, Some(1));
    for arguments in [&["completions", "bash"][..], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(run(arguments, writer.into()), (Some(0), String::new()));
    }
}
