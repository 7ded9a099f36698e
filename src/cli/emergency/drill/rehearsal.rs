//! The response to a compromise, rehearsed on the loopback sandbox with values that are made up.

use crypto_box::aead::OsRng;

use super::super::super::connect::Session;
use super::super::super::sandbox::{self, SandboxArgs};
use crate::base::error::{Failure, Outcome};
use crate::base::secret::{SecretValue, Token};
use crate::esc::edit::{self, Edit, NewValue};
use crate::flow::apply;
use crate::flow::context::Context;
use crate::flow::emergency::drill::{Came, failed, passed};
use crate::flow::emergency::respond;
use crate::flow::rotation::change;
use crate::flow::sync::{self, Request};
use crate::flow::targets::Asked;
use crate::io::esc_cloud::PulumiCloud;
use crate::io::github_access::{Credential, GitHubAccess};
use crate::io::http::{self, HttpSettings};
use crate::io::ledger::LedgerPlace;
use crate::io::pace::PaceSettings;
use crate::io::pulumi_login::LoginSettings;
use crate::io::source::Source;
use crate::rules::config;
use crate::rules::definition::{Charset, Generate};
use crate::rules::rotation::generate;
use crate::sandbox::Running;

const DEFINITION: &str = "\
name: drill
organization: payready
defaultStack: drill
environments: [{ name: drill }]
secretGroups: [{ name: api-keys }]
targets: [{ repository: payready/sophia, stacks: [drill] }]
";

const NAME: &str = "DRILL_SECRET";

/// A secret that nobody has.
pub fn made_up() -> SecretValue {
    generate::value(Generate { length: 48, charset: Charset::Base64url }, &mut OsRng)
}

/// Replaces a delivered secret, delivers it, and looks at what the sandbox's GitHub stores then.
pub async fn respond(session: &Session) -> Outcome<Came> {
    let running = sandbox::start(&SandboxArgs::default(), session).await?;
    let came = on(&running).await;
    running.shutdown();
    came
}

async fn on(running: &Running) -> Outcome<Came> {
    let loaded = config::load("drill.yaml", DEFINITION).map_err(|problems| config::failure("drill.yaml", problems))?;
    let definition = loaded.definition;
    let stack = definition.stack(None)?.clone();
    let source = cloud(running).await?;
    let github = github(running)?;
    let context = Context { github: &github, tell: &|_| {}, audit: None };

    source.create(&stack.esc).await?;
    let secret = |path: &str| -> Outcome<Edit> {
        let path = path.parse().map_err(|error| Failure::unexpected("drill", "a path is broken").cause(error))?;
        Ok(Edit::Set { path, value: NewValue::Secret(made_up()) })
    };
    let edits = [secret("sophia.fingerprintKey")?, secret(&format!("api-keys.{NAME}"))?];
    let text = edit::apply("values: {}\n", &edits)
        .map_err(|error| Failure::unexpected("drill", "the drill's environment is broken").cause(error))?;
    source.update(&stack.esc, &text, None).await?;

    let opened = sync::open(&definition, &stack, &source).await?;
    let first = sync::prepare(&context, &definition, &stack, std::future::ready(Ok(opened.values)), &request()).await?;
    if !apply::apply(&context, &first).await.complete() {
        return Ok(failed("the first delivery to the sandbox failed"));
    }
    let new = made_up();
    let rotation = change::Asked { source: &source, definition: &definition, stack: &stack, name: NAME, group: None };
    rotation.start(&rotation.find().await?, &new).await?;
    let opened = sync::open(&definition, &stack, &source).await?;
    let delivery = respond::prepare_delivery(&context, &definition, &stack, opened.values, &request(), NAME).await?;
    if !apply::apply(&context, &delivery).await.complete() {
        return Ok(failed("the delivery of the new value to the sandbox failed"));
    }
    let state = running.state();
    let stored = state["github"]["repositories"]["payready/sophia"]["secrets"]["actions"][NAME]["value"].as_str();
    Ok(match stored.map(|text| SecretValue::from(text.to_owned())) {
        Some(stored) if stored.same_as(&new) => {
            passed("a made-up secret was replaced, delivered and found stored, on a sandbox")
        }
        _ => failed("the sandbox's GitHub does not store the new value"),
    })
}

async fn cloud(running: &Running) -> Outcome<PulumiCloud> {
    let login = LoginSettings { given: Some(token(&running.pulumi_token)?), credentials_file: None, oidc: None };
    PulumiCloud::connect(&running.pulumi_url, &login).await
}

fn github(running: &Running) -> Outcome<GitHubAccess> {
    let broken = || Failure::unexpected("drill", "the sandbox has no usable address");
    let url = url::Url::parse(&running.github_url).map_err(|error| broken().cause(error))?;
    let client = http::client(HttpSettings::toward(&url))?;
    let pace = PaceSettings { limited: false, concurrency: 4, max_wait: std::time::Duration::from_secs(60) };
    let credential = Credential::Token(token(&running.github_token)?);
    Ok(GitHubAccess::new(client, &running.github_url, credential, pace, super::super::super::run::now()))
}

fn token(text: &str) -> Outcome<Token> {
    Token::new(text).map_err(|error| Failure::unexpected("drill", "the sandbox has no usable token").cause(error))
}

fn request() -> Request {
    Request::careful(Asked::default(), LedgerPlace::Variable, super::super::super::run::now())
}
