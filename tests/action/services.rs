//! A repository's definition, and loopback services that hold what it speaks of.

use serde_json::{Value as Json, json};
use sophia_secrets_sync::sandbox::{self, Options, Running};

pub const REPOSITORY: &str = "payready/sophia";
pub const KEY: &str = "-----BEGIN KEY-----\nmarker-line-one $HOME 100%\nmarker-line-two\n-----END KEY-----\n";
/// What the repository's secrets must be in the end, in order.
pub const EXPECTED: [(&str, &str); 3] =
    [("OPENAI_API_KEY", "marker-openai $x"), ("PINECONE_API_KEY", "marker-pinecone"), ("SIGNING_KEY", KEY)];
pub const PULUMI_TOKEN: &str = "pul-marker-token";
pub const GITHUB_TOKEN: &str = "ghp_marker_writer";
pub const WORKFLOW_TOKEN: &str = "ghs_marker_workflow";

pub const DEFINITION: &str = "\
name: sophia-esc
organization: payready
defaultStack: production
environments:
  - name: production
secretGroups:
  - name: api-keys
  - name: security-tokens
targets:
  - repository: payready/sophia
    stacks: [production]
sync:
  fingerprintKey: sophia.fingerprintKey
";

/// GitHub and Pulumi Cloud; they stop when this is dropped.
pub struct Services {
    runtime: tokio::runtime::Runtime,
    pub sandbox: Running,
}

impl Services {
    pub fn start() -> Self {
        let esc = json!({"values": {
            "api-keys": {
                "OPENAI_API_KEY": {"fn::secret": "marker-openai $x"},
                "PINECONE_API_KEY": {"fn::secret": "marker-pinecone"},
            },
            "security-tokens": {"SIGNING_KEY": {"fn::secret": KEY}},
            "sophia": {"fingerprintKey": {"fn::secret": "marker-fingerprint-key-0123456789"}},
            "github": {"token": {"fn::secret": GITHUB_TOKEN}},
        }});
        let mut options = Options::new(jiff::Timestamp::now);
        options.seed = serde_json::from_value(json!({
            "github": {
                "repositories": {REPOSITORY: {}},
                "tokens": {GITHUB_TOKEN: {}, WORKFLOW_TOKEN: {"kind": "workflow"}},
            },
            "esc": {
                "environments": {"payready/sophia-esc/production": esc.to_string()},
                "tokens": {PULUMI_TOKEN: {}},
            },
        }))
        .unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sandbox = runtime.block_on(sandbox::start(options)).unwrap();
        Self { runtime, sandbox }
    }

    /// What a job must have in its environment to find them.
    pub fn environment(&self) -> [(&'static str, &str); 5] {
        [
            ("GITHUB_REPOSITORY", REPOSITORY),
            ("GITHUB_API_URL", &self.sandbox.github_url),
            ("PULUMI_BACKEND_URL", &self.sandbox.pulumi_url),
            ("ACTIONS_ID_TOKEN_REQUEST_URL", &self.sandbox.id_token_url),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", &self.sandbox.id_token_request_token),
        ]
    }

    /// The repository's Actions secrets, in clear.
    pub fn secrets(&self) -> Vec<(String, String)> {
        let state = self.sandbox.state();
        let secrets = &state["github"]["repositories"][REPOSITORY]["secrets"]["actions"];
        let value = |entry: &Json| entry["value"].as_str().or(entry.as_str()).unwrap_or_default().to_owned();
        let all = secrets.as_object().into_iter().flatten();
        all.map(|(name, entry)| (name.clone(), value(entry))).collect()
    }

    #[track_caller]
    pub fn assert_all_secrets_are_there(&self, log: &str) {
        let expected = EXPECTED.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(self.secrets(), expected, "{log}");
    }

    /// Requests to GitHub that change something.
    pub fn writes(&self) -> Vec<String> {
        let requests = self.sandbox.requests().into_iter();
        let writes = requests.filter(|request| request.service == "github" && request.method != "GET");
        writes.map(|request| format!("{} {}", request.method, request.path)).collect()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
    }
}

#[track_caller]
pub fn assert_no_secret(log: &str) {
    let shown: Vec<&str> = log.lines().filter(|line| line.contains("marker")).collect();
    assert!(shown.is_empty(), "secrets in the log: {shown:#?}");
}
