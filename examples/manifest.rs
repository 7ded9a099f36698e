//! Writes `dist/manifest.json`, which pins what the action runs; the release's only tool.
//!
//! `cargo run --example manifest -- VERSION COMMIT ARCHIVE… > dist/manifest.json`
//!
//! Each archive is named `sophia-secrets-sync-TARGET.tar.gz`. **One asset a line, in exactly this form:**
//! `dist/run.sh` reads the file without a JSON parser.

use std::error::Error;
use std::io::Write as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// One archive of a release.
pub struct Asset {
    pub target: String,
    pub name: String,
    /// In bytes.
    pub size: usize,
    /// 64 lower-case hex digits.
    pub sha256: String,
}

impl Asset {
    /// Describes an archive by its file name and bytes.
    ///
    /// # Errors
    /// A sentence, when the name is not that of a release's archive.
    pub fn new(name: &str, bytes: &[u8]) -> Result<Self, String> {
        let target = name
            .strip_prefix("sophia-secrets-sync-")
            .and_then(|rest| rest.strip_suffix(".tar.gz"))
            .filter(|target| target.split(['-', '_']).all(|part| part.chars().all(|c| c.is_ascii_alphanumeric())))
            .ok_or_else(|| format!("`{name}` is not named sophia-secrets-sync-TARGET.tar.gz"))?;
        let sha256 = hex::encode(Sha256::digest(bytes));
        Ok(Self { target: target.to_owned(), name: name.to_owned(), size: bytes.len(), sha256 })
    }
}

/// The text of the manifest: assets sorted by target.
///
/// # Errors
/// A sentence, when the version or the commit is not one, or there is no archive, or two for one target.
pub fn manifest(version: &str, commit: &str, mut assets: Vec<Asset>) -> Result<String, String> {
    let numbers = version.split('-').next().unwrap_or_default().split('.').collect::<Vec<_>>();
    let numeric = numbers.iter().all(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    if numbers.len() != 3 || !numeric || !version.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b)) {
        return Err(format!("`{version}` is not a version"));
    }
    if commit.len() != 40 || !commit.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return Err(format!("`{commit}` is not a full commit id"));
    }
    assets.sort_by(|a, b| a.target.cmp(&b.target));
    if let Some(pair) = assets.windows(2).find(|pair| pair[0].target == pair[1].target) {
        return Err(format!("two archives are for {}", pair[0].target));
    }
    if assets.is_empty() {
        return Err("no archive was named".to_owned());
    }
    let line = |asset: &Asset| {
        let Asset { target, name, size, sha256 } = asset;
        format!("    \"{target}\": {{ \"name\": \"{name}\", \"size\": {size}, \"sha256\": \"{sha256}\" }}")
    };
    let lines = assets.iter().map(line).collect::<Vec<_>>().join(",\n");
    Ok(format!("{{\n  \"version\": \"{version}\",\n  \"commit\": \"{commit}\",\n  \"assets\": {{\n{lines}\n  }}\n}}\n"))
}

#[expect(clippy::disallowed_methods, reason = "a tool of the release, not part of the product")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(version), Some(commit)) = (arguments.next(), arguments.next()) else {
        return Err("usage: manifest VERSION COMMIT ARCHIVE…".into());
    };
    if version != env!("CARGO_PKG_VERSION") {
        return Err(format!("Cargo.toml says version {}, not {version}", env!("CARGO_PKG_VERSION")).into());
    }
    let mut assets = Vec::new();
    for path in arguments {
        let name = Path::new(&path).file_name().and_then(|name| name.to_str()).unwrap_or_default();
        assets.push(Asset::new(name, &std::fs::read(&path)?)?);
    }
    std::io::stdout().write_all(manifest(&version, &commit, assets)?.as_bytes())?;
    Ok(())
}
