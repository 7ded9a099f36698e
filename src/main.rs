//! The entry: hands argv to the door and ends with its exit code.

use std::process::ExitCode;

/// With the C library's the evaluator of large documents takes a third longer (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(sophia_secrets_sync::cli::run::main())
}
