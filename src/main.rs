//! The entry: hands argv to the door and ends with its exit code.

use std::process::ExitCode;

/// The system's allocator costs the evaluator of large documents a third of its time, and musl's, which the released binary
/// would have, more than that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(sophia_secrets_sync::cli::run::main())
}
