//! The entry: hands argv to the door and ends with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(sophia_secrets_sync::cli::run::main())
}
