//! A sandbox and runs of the library against it, as `sync` makes them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value as Json, json};
use sophia_secrets_sync::base::error::{Failure, Outcome};
use sophia_secrets_sync::base::secret::Token;
use sophia_secrets_sync::flow::apply;
use sophia_secrets_sync::flow::context::Context;
use sophia_secrets_sync::flow::sync::{self, Request};
use sophia_secrets_sync::flow::targets::Asked;
use sophia_secrets_sync::io::esc_cloud::PulumiCloud;
use sophia_secrets_sync::io::github_access::{Credential, GitHubAccess};
use sophia_secrets_sync::io::http::{self, HttpSettings};
use sophia_secrets_sync::io::ledger::LedgerPlace;
use sophia_secrets_sync::io::pace::PaceSettings;
use sophia_secrets_sync::io::pulumi_login::LoginSettings;
use sophia_secrets_sync::rules::config;
use sophia_secrets_sync::rules::ledger::{Ledger, VARIABLE};
use sophia_secrets_sync::rules::outcome::Outcomes;
use sophia_secrets_sync::rules::plan::{Plan, Prune};
use sophia_secrets_sync::sandbox::{self, Options, Running};
use tokio::process::Command;

pub const ENVIRONMENT: &str = "payready/sophia-esc/production";

const ONE_REPOSITORY: &str = "
name: sophia-esc
organization: payready
environments: [{ name: production }]
secretGroups: [{ name: api-keys }]
targets: [{ repository: payready/sophia }]
";

pub struct World {
    pub sandbox: Running,
    pub definition: String,
}

/// How a run differs from the usual one.
#[derive(Clone, Copy)]
pub struct How {
    pub prune: bool,
    /// Zero: a request that fails is not tried again.
    pub max_wait: Duration,
    pub timeout: Duration,
}

pub const USUAL: How = How { prune: false, max_wait: Duration::from_secs(60), timeout: Duration::from_secs(30) };
pub const IMPATIENT: How = How { max_wait: Duration::ZERO, ..USUAL };

pub struct Ran {
    pub outcomes: Outcomes,
}

/// So many that the ledger is surely saved in between, although the audit trail may be 31 steps behind.
pub fn many() -> BTreeMap<String, String> {
    (0..96).map(|number| (format!("SECRET_{number:02}"), format!("value of {number}"))).collect()
}

/// An ESC document with the fingerprint key and these secrets in group `api-keys`.
pub fn document<'a>(values: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let secrets: BTreeMap<&String, Json> =
        values.into_iter().map(|(name, value)| (name, json!({"fn::secret": value}))).collect();
    let key = json!({"fn::secret": "a fingerprint key of the tests"});
    json!({"values": {"sophia": {"fingerprintKey": key}, "api-keys": secrets}}).to_string()
}

impl World {
    /// A stack with [`many`] secrets that all go to `payready/sophia`, which holds none.
    pub async fn of_one_repository() -> Self {
        Self::new(ONE_REPOSITORY, json!({"repositories": {"payready/sophia": {}}}), &document(&many())).await
    }

    pub async fn new(definition: &str, github: Json, document: &str) -> Self {
        let mut options = Options::new(jiff::Timestamp::now);
        let seed = json!({"github": github, "esc": {"environments": {ENVIRONMENT: document}}});
        options.seed = serde_json::from_value(seed).unwrap();
        Self { sandbox: sandbox::start(options).await.unwrap(), definition: definition.to_owned() }
    }

    /// The real `sync` in `folder`, where it finds the definition; all its streams go nowhere.
    pub fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        std::fs::write(folder.join("pulumi-esc-environment.yaml"), &self.definition).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sophia-secrets-sync"));
        command.args(["sync", "--stack", "production"]).args(arguments).current_dir(folder).env_clear();
        command.env("HOME", folder);
        command.env("GITHUB_API_URL", &self.sandbox.github_url).env("GITHUB_TOKEN", &self.sandbox.github_token);
        command.env("PULUMI_BACKEND_URL", &self.sandbox.pulumi_url);
        command.env("PULUMI_ACCESS_TOKEN", &self.sandbox.pulumi_token);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        command
    }

    /// What `sync` does: plan, refuse or apply.
    pub async fn sync(&self, how: How) -> Outcome<Ran> {
        let (prepared, github) = self.prepare(how).await?;
        sync::refuse(&prepared.plan)?;
        Ok(self.apply(&prepared, &github).await)
    }

    /// Carries out a plan that was made before.
    pub async fn apply(&self, prepared: &sync::Prepared, github: &GitHubAccess) -> Ran {
        let context = Context { github, tell: &|_| {}, audit: None };
        Ran { outcomes: apply::apply(&context, prepared).await }
    }

    /// What `plan` does.
    pub async fn plan(&self) -> Outcome<Plan> {
        self.prepare(USUAL).await.map(|(prepared, _)| prepared.plan)
    }

    pub async fn prepare(&self, how: How) -> Outcome<(sync::Prepared, GitHubAccess)> {
        let loaded = config::load("definition.yaml", &self.definition)
            .map_err(|problems| config::failure("definition.yaml", problems))?;
        let definition = loaded.definition;
        let stack = definition.stack(Some("production"))?;
        let login = LoginSettings {
            given: Some(Token::new(&self.sandbox.pulumi_token).unwrap()),
            credentials_file: None,
            oidc: None,
        };
        let source = PulumiCloud::connect(&self.sandbox.pulumi_url, &login).await?;
        let values = async { sync::open(&definition, stack, &source).await.map(|opened| opened.values) };
        let client = http::client(HttpSettings { direct: true, timeout: how.timeout, ..HttpSettings::default() })?;
        let credential = Credential::Token(Token::new(&self.sandbox.github_token).unwrap());
        let pace = PaceSettings { limited: false, concurrency: 16, max_wait: how.max_wait };
        let now = jiff::Timestamp::now();
        let github = GitHubAccess::new(client, &self.sandbox.github_url, credential, pace, now);
        let request = Request {
            asked: Asked::default(),
            groups: BTreeSet::new(),
            prune: Prune { enabled: how.prune, max_delete: 100, after_seconds: None },
            allow_widening: false,
            create_environments: false,
            ledger: LedgerPlace::Variable,
            will_write: true,
            now,
        };
        let prepared = {
            let context = Context { github: &github, tell: &|_| {}, audit: None };
            sync::prepare(&context, &definition, stack, values, &request).await?
        };
        Ok((prepared, github))
    }

    /// The entries at `pointer` of GitHub's state: name to value; the ledger's variables are left out.
    pub fn entries(&self, pointer: &str) -> BTreeMap<String, String> {
        let state = self.sandbox.state();
        let found = state["github"].pointer(pointer).and_then(Json::as_object).cloned().unwrap_or_default();
        found
            .into_iter()
            .filter(|(name, _)| !name.starts_with(VARIABLE))
            .map(|(name, entry)| (name, entry["value"].as_str().unwrap_or_default().to_owned()))
            .collect()
    }

    /// Names that the ledger at `pointer` has; none when there is no ledger.
    pub fn recorded(&self, pointer: &str) -> BTreeSet<String> {
        let state = self.sandbox.state();
        let Some(text) = state["github"].pointer(pointer).and_then(|entries| entries[VARIABLE]["value"].as_str())
        else {
            return BTreeSet::new();
        };
        let ledger = Ledger::from_parts(&[text.to_owned()]).expect("a ledger that is whole");
        ledger.entries.into_keys().map(|key| key.name).collect()
    }

    /// Writes that GitHub accepted since the last clearing, but for the ledger's: method and path.
    pub fn accepted_writes(&self) -> Vec<(String, String)> {
        self.sandbox
            .requests()
            .into_iter()
            .filter(|request| {
                request.service == "github" && request.method != "GET" && !request.path.contains(VARIABLE)
            })
            .filter(|request| request.status.is_some_and(|status| status < 300))
            .map(|request| (request.method, request.path))
            .collect()
    }
}

/// What a run came to, in a word for messages.
pub fn word(ran: &Outcome<Ran>) -> String {
    match ran {
        Ok(ran) if ran.outcomes.complete() && ran.outcomes.problems.is_empty() => "complete".to_owned(),
        Ok(ran) if ran.outcomes.complete() => format!("with problems: {:?}", ran.outcomes.problems),
        Ok(ran) => format!("partial: {:?}", ran.outcomes.steps),
        Err(Failure { code, message, .. }) => format!("{code}: {message}"),
    }
}
