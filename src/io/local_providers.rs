//! Providers of the embedded store that read this machine: `fn::open::env` and `fn::open::file`.
//!
//! **They are off unless the user allows them** (`--allow-local-providers`): a document that came with a pull request
//! could read any file, and hand it to whoever reads the targets.

use std::path::{Path, PathBuf};

use super::files;
use crate::base::error::Failure;
use crate::esc::provider::{Providers, Reading};

/// Bytes of the largest file that a document may read: GitHub takes no secret that is larger.
const LARGEST: u64 = 48 << 10;

/// The same providers, with `env`, whose variables `variable` reads, and `file`, whose relative paths begin at `folder`.
#[must_use]
pub fn local_providers(providers: Providers, variable: fn(&str) -> Result<String, String>, folder: &Path) -> Providers {
    let folder: PathBuf = folder.to_owned();
    let file =
        move |path: &str| files::read_text(&folder.join(path), LARGEST).map_err(|failure: Failure| failure.to_string());
    providers
        .with("env", Reading { what: "environment variable", read: variable })
        .with("file", Reading { what: "file", read: file })
}
