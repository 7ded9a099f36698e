//! Every environment variable that this tool reads, in one place.
//!
//! The process environment is read once, at the door; nothing below this floor looks at it.

use std::collections::BTreeMap;

/// A documented variable: name and what it is for.
pub struct Variable {
    pub name: &'static str,
    pub purpose: &'static str,
}

macro_rules! variables {
    ($($constant:ident = $name:literal: $purpose:literal;)*) => {
        $(#[doc = $purpose] pub const $constant: &str = $name;)*
        /// All of them, for the reference in the docs.
        pub const ALL: &[Variable] = &[$(Variable { name: $name, purpose: $purpose }),*];
    };
}

variables! {
    ACTIONS_ID_TOKEN_REQUEST_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "Set by the runner in a job with `id-token: write`; proves the job's identity.";
    ACTIONS_ID_TOKEN_REQUEST_URL = "ACTIONS_ID_TOKEN_REQUEST_URL": "Set by the runner in a job with `id-token: write`; where the identity token is asked for.";
    COMPUTERNAME = "COMPUTERNAME": "Name of the machine, on Windows; named in the audit trail.";
    EDITOR = "EDITOR": "The editor that `env edit` opens, unless `VISUAL` is set.";
    GH_TOKEN = "GH_TOKEN": "GitHub token, used when `GITHUB_TOKEN` is not set.";
    GITHUB_ACTIONS = "GITHUB_ACTIONS": "`true` in a job: masks, annotations and the job summary are written.";
    GITHUB_ACTOR = "GITHUB_ACTOR": "Who started the job; named in the audit trail.";
    GITHUB_API_URL = "GITHUB_API_URL": "URL of GitHub's API, unless `--github-url` is given.";
    GITHUB_EVENT_NAME = "GITHUB_EVENT_NAME": "What started the job.";
    GITHUB_OUTPUT = "GITHUB_OUTPUT": "File that takes the outputs of a step.";
    GITHUB_REF = "GITHUB_REF": "Branch or tag of the job; named in the audit trail.";
    GITHUB_REPOSITORY = "GITHUB_REPOSITORY": "Repository of the job.";
    GITHUB_RUN_ATTEMPT = "GITHUB_RUN_ATTEMPT": "Attempt of the run; named in the audit trail.";
    GITHUB_RUN_ID = "GITHUB_RUN_ID": "Id of the run; named in the audit trail.";
    GITHUB_SERVER_URL = "GITHUB_SERVER_URL": "URL of GitHub's pages.";
    GITHUB_SHA = "GITHUB_SHA": "Commit of the job.";
    GITHUB_STEP_SUMMARY = "GITHUB_STEP_SUMMARY": "File that takes the job summary.";
    GITHUB_TOKEN = "GITHUB_TOKEN": "GitHub token that may write the targets' secrets.";
    GITHUB_WORKFLOW = "GITHUB_WORKFLOW": "Name of the workflow.";
    GITHUB_WORKFLOW_REF = "GITHUB_WORKFLOW_REF": "The workflow's file and where it is from; named in the audit trail.";
    GITHUB_WORKSPACE = "GITHUB_WORKSPACE": "Where the repository is checked out; annotations name files below it.";
    HOME = "HOME": "Where `.pulumi/credentials.json` is looked for.";
    HOSTNAME = "HOSTNAME": "Name of the machine; named in the audit trail.";
    PULUMI_ACCESS_TOKEN = "PULUMI_ACCESS_TOKEN": "Pulumi Cloud access token.";
    PULUMI_BACKEND_URL = "PULUMI_BACKEND_URL": "Where ESC environments live, unless `--esc-url` is given.";
    PULUMI_CREDENTIALS_PATH = "PULUMI_CREDENTIALS_PATH": "Folder of Pulumi's `credentials.json`.";
    PULUMI_HOME = "PULUMI_HOME": "Pulumi's folder, when it is not `~/.pulumi`.";
    PULUMI_STACK = "PULUMI_STACK": "The stack, unless `--stack` is given.";
    RUNNER_DEBUG = "RUNNER_DEBUG": "`1` when the job logs in detail.";
    RUNNER_TEMP = "RUNNER_TEMP": "Folder for the JSON report of a step.";
    SOPHIA_AGE_KEY = "SOPHIA_AGE_KEY": "age identity that opens the embedded store and backups.";
    SOPHIA_AGE_PASSPHRASE = "SOPHIA_AGE_PASSPHRASE": "Passphrase of an embedded store that was made with one, or of a protected SSH key.";
    SOPHIA_AUDIT_LOG = "SOPHIA_AUDIT_LOG": "File of the audit trail, unless `--audit-log` is given.";
    SOPHIA_GITHUB_APP_ID = "SOPHIA_GITHUB_APP_ID": "Id of a GitHub App to act as.";
    SOPHIA_GITHUB_APP_PRIVATE_KEY = "SOPHIA_GITHUB_APP_PRIVATE_KEY": "Private key (PEM) of that App.";
    USER = "USER": "Who runs the tool outside a job; named in the audit trail.";
    USERNAME = "USERNAME": "The same on Windows.";
    VISUAL = "VISUAL": "The editor that `env edit` opens.";
}

/// How the variables begin that carry the inputs of the action (`cli::action`).
const INPUT: &str = "SOPHIA_INPUT_";

/// The variables as they were when the process began; empty ones count as unset.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Reads the process environment. Variables that are not UTF-8 count as unset.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub fn read() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .filter(|(name, _)| name.starts_with(INPUT) || ALL.iter().any(|variable| variable.name == name))
                .collect(),
        )
    }

    /// The value of a declared variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The variable that carries an input of the action.
    #[must_use]
    pub fn input_variable(input: &str) -> String {
        format!("{INPUT}{}", input.replace('-', "_").to_uppercase())
    }

    /// An input of the action.
    #[must_use]
    pub fn input(&self, input: &str) -> Option<&str> {
        self.get(&Self::input_variable(input))
    }

    /// Sets a variable for this process only.
    pub fn set(&mut self, name: &str, value: String) {
        self.0.insert(name.to_owned(), value);
    }

    /// Forgets a variable.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Whether the process runs in a GitHub Actions job.
    #[must_use]
    pub fn in_a_job(&self) -> bool {
        self.get(GITHUB_ACTIONS) == Some("true")
    }
}

/// The bytes of a variable that carries a secret into this job, for `verify` to compare; none when empty.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the environment is read in this file only")]
pub fn injected(name: &str) -> Option<Vec<u8>> {
    std::env::var_os(name).map(std::ffi::OsString::into_encoded_bytes).filter(|bytes| !bytes.is_empty())
}

/// A variable that `fn::open::env` of the embedded store may read (`--allow-local-providers`). This tool's own
/// credentials are none of a document's business.
///
/// # Errors
/// The words of the diagnostic.
#[expect(clippy::disallowed_methods, reason = "the environment is read in this file only")]
pub fn lent(name: &str) -> Result<String, String> {
    if super::child::TOKENS.contains(&name) {
        return Err(format!("{name} is a credential of this tool"));
    }
    match std::env::var(name) {
        Ok(value) => Ok(value),
        Err(std::env::VarError::NotPresent) => Err(format!("{name} is not set")),
        Err(std::env::VarError::NotUnicode(_)) => Err(format!("{name} is not UTF-8")),
    }
}

#[cfg(test)]
impl Environment {
    /// An environment for tests.
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_declared_once_and_in_order() {
        assert!(ALL.windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    #[test]
    fn an_empty_variable_is_unset() {
        let environment = Environment::of(&[("GITHUB_TOKEN", ""), ("GITHUB_ACTIONS", "true")]);
        assert_eq!(environment.get(GITHUB_TOKEN), None);
        assert!(environment.in_a_job());
    }
}
