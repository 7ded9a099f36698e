//! `demo`: the main job end to end on the sandbox, with the real commands and clients.
//!
//! Every step is the command line that a user would type, run by the same code. At the end, what GitHub
//! really stored is compared, byte for byte, with what the `.env` held.

use std::ffi::OsString;
use std::sync::Arc;

use serde_json::json;

use super::args::Cli;
use super::connect::Session;
use super::door::Door;
use super::environment as variables;
use super::sandbox::{self, SandboxArgs};
use crate::base::error::{Failure, Outcome};
use crate::base::secret::SecretValue;
use crate::io::files;
use crate::rules::dotenv::{self, Options};
use crate::sandbox::Running;

const DEFINITION: &str = "\
name: sophia-esc
description: SOPHIA AI System Encrypted Secrets Configuration
organization: payready
defaultStack: production

environments:
  - name: production

secretGroups:
  - name: api-keys
  - name: database-credentials
  - name: security-tokens

secretMappings:
  - { name: OPENAI_API_KEY, secretGroup: api-keys }
  - { name: PINECONE_API_KEY, secretGroup: api-keys }
  - { name: POSTGRES_PASSWORD, secretGroup: database-credentials }
  - { name: JWT_PRIVATE_KEY, secretGroup: security-tokens }
  - { name: JWT_ISSUER, secretGroup: security-tokens }
";

/// Values that other tools mangle: `$`, `#`, quotes, blanks, line breaks, Unicode. None is anyone's secret.
const DOTENV: &str = "\
# API keys
OPENAI_API_KEY='demo-$2a$10$notExpanded#notAComment'
PINECONE_API_KEY=demo-pinecone-0123456789
# Database
POSTGRES_PASSWORD='demo \"quoted\" p@ss w\u{f6}rd  '
# Tokens
JWT_PRIVATE_KEY=\"-----BEGIN DEMO KEY-----
bm90IGEga2V5
-----END DEMO KEY-----
\"
JWT_ISSUER=demo-issuer
";

const REPOSITORY: &str = "payready/sophia";

/// What a person does behind the tool's back.
const EDITED_NAME: &str = "PINECONE_API_KEY";
const EDITED_VALUE: &str = "demo-edited-in-the-browser";

/// Runs the demo.
///
/// # Errors
/// `demo-differs` when GitHub does not hold what the `.env` held, or a second run wrote something.
pub async fn demo(session: &Session, door: &mut Door) -> Outcome<u8> {
    let running = sandbox::start(&SandboxArgs::default(), session).await?;
    let folder = files::TemporaryFolder::new()?;
    let (definition, dotenv) = (folder.path().join("pulumi-esc-environment.yaml"), folder.path().join(".env"));
    files::write_private(&definition, DEFINITION.as_bytes())?;
    files::write_private(&dotenv, DOTENV.as_bytes())?;
    let mut environment = session.environment.clone();
    for (name, value) in [
        (variables::GITHUB_API_URL, &running.github_url),
        (variables::GITHUB_TOKEN, &running.github_token),
        (variables::PULUMI_BACKEND_URL, &running.pulumi_url),
        (variables::PULUMI_ACCESS_TOKEN, &running.pulumi_token),
    ] {
        environment.set(name, value.clone());
    }
    for name in [variables::PULUMI_STACK, variables::SOPHIA_GITHUB_APP_ID, variables::SOPHIA_GITHUB_APP_PRIVATE_KEY] {
        environment.remove(name);
    }
    let mut session = Session::new(session.global.clone(), String::new(), environment, Arc::clone(&session.clock));
    session.global.definition = Some(definition.clone());
    session.global.stack = None;
    let dotenv = dotenv.display().to_string();
    let mut stage = Stage { session, running, door, dotenv: dotenv.clone() };

    stage.say("A `.env` with five values goes into Pulumi ESC, in one revision.");
    stage.run(&["import-env", &dotenv, "--create"]).await?;
    stage.say("What would happen at GitHub?");
    stage.run(&["plan", "--repo", REPOSITORY]).await?;
    stage.say("It happens: each value is sealed for GitHub and stored.");
    stage.run(&["sync", "--repo", REPOSITORY]).await?;
    stage.say("The same again: nothing differs, so nothing is written.");
    let before = stage.writes();
    stage.run(&["sync", "--repo", REPOSITORY]).await?;
    let repeated = stage.writes() - before;
    stage.say(&format!("Someone edits {EDITED_NAME} in the browser. GitHub never shows values, but the ledger tells."));
    stage.edit_outside()?;
    stage.run(&["sync", "--repo", REPOSITORY]).await?;
    stage.say("What the `.env` held, and what GitHub stores now:");
    let equal = stage.compare()?;
    stage.running.shutdown();
    if !equal || repeated != 0 {
        return Err(Failure::unexpected(
            "demo-differs",
            format!("the demo failed: values equal: {equal}, writes of the repeated run: {repeated}"),
        ));
    }
    Ok(0)
}

struct Stage<'a> {
    session: Session,
    running: Running,
    door: &'a mut Door,
    dotenv: String,
}

impl Stage<'_> {
    fn say(&mut self, text: &str) {
        self.door.data(format!("\n# {text}\n").as_bytes());
    }

    /// Runs one command line, as if it had been typed.
    async fn run(&mut self, arguments: &[&str]) -> Outcome<()> {
        // The file lies in a temporary folder; its name alone is telling.
        let shown = arguments.join(" ").replace(&self.dotenv, ".env");
        self.door.data(format!("$ sophia-secrets-sync {shown}\n\n").as_bytes());
        let typed = ["sophia-secrets-sync"].iter().chain(arguments).map(OsString::from);
        let (cli, command) = Cli::read(typed)
            .map_err(|error| Failure::unexpected("demo-arguments", "the demo typed a wrong command").cause(error))?;
        self.session.command = command;
        match Box::pin(super::run::dispatch(cli.command, &self.session, self.door)).await? {
            0 => Ok(()),
            code => Err(Failure::unexpected("demo-step", format!("a step of the demo ended with {code}"))),
        }
    }

    fn writes(&self) -> usize {
        let requests = self.running.requests();
        requests.iter().filter(|request| request.service == "github" && request.method != "GET").count()
    }

    fn edit_outside(&self) -> Outcome<()> {
        // Dates of GitHub have whole seconds: the edit comes a minute later.
        self.running.advance(60);
        self.running
            .edit(json!({"github": {"repositories": {REPOSITORY: {"secrets": {"actions": {EDITED_NAME: EDITED_VALUE}}}}}}))
            .map_err(|error| Failure::unexpected("demo-edit", "the sandbox refused the edit").cause(error))
    }

    /// Shows, name by name, whether GitHub stores the bytes of the `.env`.
    fn compare(&mut self) -> Outcome<bool> {
        let parsed = dotenv::parse(DOTENV.as_bytes(), Options { file: ".env", expand: false, strict: false })
            .map_err(|problems| Failure::unexpected("demo-dotenv", "the demo's .env is broken").problems(problems))?;
        let state = self.running.state();
        let stored = &state["github"]["repositories"][REPOSITORY]["secrets"]["actions"];
        let mut all_equal = stored.as_object().map_or(0, serde_json::Map::len) == parsed.entries.len();
        self.door.data(b"\nname               .env      GitHub    equal\n");
        for entry in &parsed.entries {
            let at_github = stored[&entry.name]["value"].as_str().map(|text| SecretValue::from(text.to_owned()));
            let equal = at_github.as_ref().is_some_and(|value| value.same_as(&entry.value));
            all_equal &= equal;
            let length =
                at_github.as_ref().map_or_else(|| "missing".to_owned(), |value| format!("{} bytes", value.len()));
            let word = if equal { "yes" } else { "NO" };
            let line = format!("{:17}  {:8}  {length:8}  {word}\n", entry.name, format!("{} bytes", entry.value.len()));
            self.door.data(line.as_bytes());
        }
        Ok(all_equal)
    }
}
