//! A year of secrets on the sandbox, and its evidence: the page that `tests/evidence/run.sh` opens in Chromium.
//!
//! `cargo run --example evidence -- FOLDER [small | large]` writes `report.html`, `report.md` and `report.json`. *small* has 60 secrets
//! in three stacks at four targets, and everything that can be found; *large* has 2,000 secrets at 20 targets. Every
//! command is the real one against real HTTP; only the clocks, the tool's and the services', are set for each.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use age::secrecy::ExposeSecret as _;
use clap::Parser as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use sophia_secrets_sync::cli::args::Cli;
use sophia_secrets_sync::cli::connect::Session;
use sophia_secrets_sync::cli::door::{Color, Door};
use sophia_secrets_sync::cli::environment::Environment;
use sophia_secrets_sync::cli::run::dispatch;
use sophia_secrets_sync::report::Format;
use sophia_secrets_sync::sandbox::{self, Options, Running};

/// Group, how often it is rotated, by whom, and its secrets.
const GROUPS: [(&str, &str, &str, &str); 5] = [
    (
        "api-keys",
        "90d",
        "DevOps",
        "OPENAI_API_KEY ANTHROPIC_API_KEY PINECONE_API_KEY COHERE_API_KEY HUGGINGFACE_TOKEN SERPAPI_API_KEY \
         ELEVENLABS_API_KEY DEEPGRAM_API_KEY MAPBOX_TOKEN SENDGRID_API_KEY TWILIO_AUTH_TOKEN STRIPE_SECRET_KEY \
         PORTKEY_API_KEY APIFY_API_TOKEN",
    ),
    (
        "database-credentials",
        "180d",
        "Database Admin",
        "POSTGRES_PASSWORD POSTGRES_REPLICA_PASSWORD REDIS_PASSWORD WEAVIATE_API_KEY SNOWFLAKE_PASSWORD \
         SNOWFLAKE_PRIVATE_KEY_PASSPHRASE ELASTICSEARCH_PASSWORD MONGODB_URI BACKUP_ENCRYPTION_KEY",
    ),
    (
        "security-tokens",
        "365d",
        "Security",
        "JWT_SECRET JWT_REFRESH_SECRET SESSION_SIGNING_KEY WEBHOOK_SIGNING_SECRET CSRF_SECRET ENCRYPTION_MASTER_KEY \
         SAML_PRIVATE_KEY OAUTH_CLIENT_SECRET",
    ),
    (
        "integration-credentials",
        "90d",
        "Integration Team",
        "HUBSPOT_ACCESS_TOKEN SALESFORCE_CLIENT_SECRET SALESFORCE_REFRESH_TOKEN SLACK_BOT_TOKEN SLACK_SIGNING_SECRET \
         GONG_ACCESS_KEY GONG_CLIENT_SECRET NOTION_API_KEY LINEAR_API_KEY ASANA_TOKEN ZENDESK_API_TOKEN \
         INTERCOM_ACCESS_TOKEN SEGMENT_WRITE_KEY AMPLITUDE_API_KEY MAILCHIMP_API_KEY DOCUSIGN_PRIVATE_KEY \
         QUICKBOOKS_CLIENT_SECRET ZOOM_CLIENT_SECRET",
    ),
    (
        "infrastructure-credentials",
        "90d",
        "DevOps",
        "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY CLOUDFLARE_API_TOKEN DATADOG_API_KEY DATADOG_APP_KEY SENTRY_AUTH_TOKEN \
         DOCKERHUB_TOKEN LAMBDA_LABS_API_KEY VERCEL_TOKEN NPM_TOKEN PAGERDUTY_ROUTING_KEY",
    ),
];

/// Uses two secrets of the definition, and one that is none.
const WORKFLOW: &str = "\
on: push
jobs:
  deploy:
    runs-on: ubuntu-24.04
    environment: production
    steps:
      - run: ./deploy_production.sh
        env:
          OPENAI_API_KEY: ${{ secrets.OPENAI_API_KEY }}
          POSTGRES_PASSWORD: ${{ secrets.POSTGRES_PASSWORD }}
          LEGACY_TOKEN: ${{ secrets.LEGACY_TOKEN }}
";

type Done = Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> Done {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: evidence FOLDER [small | large]")?);
    match arguments.next().as_deref() {
        None | Some("small") => small(&folder).await,
        Some("large") => large(&folder).await,
        Some(_) => Err("usage: evidence FOLDER [small | large]".into()),
    }
}

/// A company with its definition in a folder, and two services that share its clock.
struct Company {
    folder: PathBuf,
    running: Running,
    clock: Arc<Mutex<Timestamp>>,
    /// How often each secret's value was changed, by stack and name.
    versions: BTreeMap<(&'static str, String), usize>,
    groups: Vec<(String, Vec<String>)>,
    stacks: &'static [&'static str],
    /// Opens backups.
    age_key: String,
    runs: u32,
}

impl Company {
    async fn new(
        folder: &Path,
        definition: &str,
        github: Json,
        groups: Vec<(String, Vec<String>)>,
        stacks: &'static [&'static str],
    ) -> Result<Self, Box<dyn Error>> {
        if folder.join(".sophia").exists() {
            return Err(format!("{} holds the trail of another run: name an empty folder", folder.display()).into());
        }
        write(&folder.join("pulumi-esc-environment.yaml"), definition)?;
        // A repository of its own: `usage` reads the whole one that a folder is in.
        write(&folder.join(".github/workflows/deploy.yml"), WORKFLOW)?;
        let made = std::process::Command::new("git").args(["init", "--quiet"]).current_dir(folder).status()?;
        if !made.success() {
            return Err(format!("git could not make a repository of {}", folder.display()).into());
        }
        let clock = Arc::new(Mutex::new(now()));
        let services = Arc::clone(&clock);
        let mut options = Options::new(move || *services.lock().unwrap_or_else(PoisonError::into_inner));
        options.seed = serde_json::from_value(json!({ "github": github }))?;
        let running = sandbox::start(options).await?;
        let folder = folder.to_owned();
        let age_key = age::x25519::Identity::generate().to_string().expose_secret().to_owned();
        Ok(Self { folder, running, clock, versions: BTreeMap::new(), groups, stacks, age_key, runs: 0 })
    }

    /// Sets both clocks.
    fn days_ago(&self, days: i64) {
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = now() - SignedDuration::from_hours(24 * days);
    }

    /// Gives the secrets of a group for which `which` is true new values at Pulumi.
    fn rotate(&mut self, stack: &'static str, group: &str, which: impl Fn(usize) -> bool) -> Done {
        let of_group = self.groups.iter().find(|(name, _)| name == group).ok_or("no such group")?;
        for (_, name) in of_group.1.iter().enumerate().filter(|(index, _)| which(*index)) {
            *self.versions.entry((stack, name.clone())).or_default() += 1;
        }
        self.store()
    }

    /// Stores the values of every stack at Pulumi.
    fn store(&self) -> Done {
        let mut environments = serde_json::Map::new();
        for stack in self.stacks {
            let mut text = String::from("values:\n  sophia: { fingerprintKey: { fn::secret: key-of-the-example } }\n");
            for (group, names) in &self.groups {
                writeln!(text, "  {group}:")?;
                for name in names {
                    let version = self.versions.get(&(*stack, name.clone())).copied().unwrap_or_default();
                    writeln!(text, "    {name}: {{ fn::secret: value-{version}-of-the-example }}")?;
                }
            }
            environments.insert(format!("payready/sophia-esc/{stack}"), json!(text));
        }
        Ok(self.running.edit(json!({"esc": {"environments": environments}}))?)
    }

    /// Runs a command as a job of GitHub would.
    async fn run(&mut self, command: &str) -> Result<u8, Box<dyn Error>> {
        self.runs += 1;
        let mut environment = Environment::default();
        for (name, value) in [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_ACTOR", "octocat"),
            ("GITHUB_API_URL", &self.running.github_url),
            ("GITHUB_REPOSITORY", "payready/sophia"),
            ("GITHUB_RUN_ID", &format!("{}", 17_000_000 + self.runs)),
            ("GITHUB_TOKEN", &self.running.github_token),
            ("GITHUB_WORKFLOW", "secrets"),
            ("PULUMI_ACCESS_TOKEN", &self.running.pulumi_token),
            ("PULUMI_BACKEND_URL", &self.running.pulumi_url),
            ("SOPHIA_AGE_KEY", &self.age_key),
        ] {
            environment.set(name, value.to_owned());
        }
        let definition = self.folder.join("pulumi-esc-environment.yaml").display().to_string();
        let typed = ["sophia-secrets-sync", "--definition", &definition].into_iter().chain(command.split_whitespace());
        let cli = Cli::try_parse_from(typed)?;
        let clock = Arc::clone(&self.clock);
        let clock = Arc::new(move || *clock.lock().unwrap_or_else(PoisonError::into_inner));
        let words: Vec<&str> = command.split_whitespace().take_while(|word| !word.starts_with('-')).collect();
        let session = Session::new(cli.global.clone(), words.join(" "), environment, clock);
        let mut door = Door::new(Format::Human, Color::Never, true, None);
        match dispatch(cli.command, &session, &mut door).await {
            Ok(code) => Ok(code),
            Err(failure) => Ok(door.failure(&failure)),
        }
    }

    async fn sync(&mut self) -> Done {
        for stack in self.stacks {
            self.run(&format!("sync --stack {stack} --pace off")).await?;
        }
        Ok(())
    }

    async fn report(&mut self) -> Done {
        self.days_ago(0);
        for ending in ["html", "md", "json"] {
            let out = self.folder.join(format!("report.{ending}")).display().to_string();
            self.run(&format!("audit report --since 90d --out {out}")).await?;
        }
        Ok(())
    }
}

async fn small(folder: &Path) -> Done {
    let groups: Vec<(String, Vec<String>)> = GROUPS
        .iter()
        .map(|(group, _, _, names)| ((*group).to_owned(), names.split_whitespace().map(str::to_owned).collect()))
        .collect();
    let github = json!({
        "organizations": {"payready": {}},
        "repositories": {
            "payready/sophia": {"visibility": "private", "environments": {
                "production": {"wait_timer": 30, "reviewers": [{"type": "User", "id": 1}]}, "staging": {}
            }},
            "payready/sophia-web": {"visibility": "public"}
        }
    });
    let mut company =
        Company::new(folder, &definition(), github, groups, &["production", "staging", "development"]).await?;
    company.running.edit(json!({"esc": {"teams": {"payready": {
        "developers": {"sophia-esc/development": "open"},
        "database-admins": {"sophia-esc/staging": "write", "sophia-esc/production": "open"}
    }}}}))?;
    company.days_ago(300);
    company.store()?;
    company.sync().await?;
    company.days_ago(160);
    for stack in ["production", "staging"] {
        company.rotate(stack, "database-credentials", |_| true)?;
    }
    company.sync().await?;
    for (days, half) in [(98, 0), (82, 1)] {
        company.days_ago(days);
        for stack in ["production", "staging", "development"] {
            company.rotate(stack, "api-keys", |index| index % 2 == half)?;
        }
        company.sync().await?;
    }
    for (days, third) in [(70, 0), (52, 1), (33, 2)] {
        company.days_ago(days);
        for stack in ["production", "staging"] {
            company.rotate(stack, "integration-credentials", |index| index % 3 == third)?;
        }
        company.sync().await?;
    }
    // GitHub refuses some of a day's writes; the next day's run does the rest.
    company.days_ago(21);
    for stack in ["production", "staging", "development"] {
        company.rotate(stack, "infrastructure-credentials", |index| index > 1)?;
    }
    company.running.fault(json!([{"match": {"method": "PUT", "path": "DATADOG"}, "do": {"status": 422}}]))?;
    company.sync().await?;
    company.running.clear_faults();
    company.days_ago(20);
    company.sync().await?;
    company.days_ago(14);
    company.run("emergency drill --stack production").await?;
    let code = company.folder.display().to_string();
    company.run(&format!("usage {code} --stack production")).await?;
    company.days_ago(3);
    company.running.edit(
        json!({"github": {"repositories": {"payready/sophia": {"environments": {"production": {"secrets": {
            "STRIPE_SECRET_KEY": "edited-in-the-browser", "SLACK_BOT_TOKEN": null
        }}}}}}}),
    )?;
    company.report().await
}

async fn large(folder: &Path) -> Done {
    let groups: Vec<(String, Vec<String>)> = (0..20)
        .map(|group| {
            (format!("team-{group:02}"), (0..100).map(|name| format!("TEAM_{group:02}_{name:02}_TOKEN")).collect())
        })
        .collect();
    let mut definition =
        String::from("name: sophia-esc\norganization: payready\nenvironments: [{ name: production }]\nsecretGroups:\n");
    let mut mappings = String::from("secretMappings:\n");
    let mut targets = String::from("targets:\n");
    let mut repositories = serde_json::Map::new();
    for (index, (group, names)) in groups.iter().enumerate() {
        writeln!(
            definition,
            "  - {{ name: {group}, rotation: {{ every: {}d, owner: Team {index} }} }}",
            60 + 5 * index
        )?;
        writeln!(
            targets,
            "  - {{ repository: payready/{group}, githubEnvironment: production, secretGroups: [{group}] }}"
        )?;
        repositories.insert(format!("payready/{group}"), json!({"environments": {"production": {}}}));
        for name in names {
            writeln!(mappings, "  - {{ name: {name}, secretGroup: {group} }}")?;
        }
    }
    let definition = format!("{definition}{mappings}{targets}");
    let mut company =
        Company::new(folder, &definition, json!({ "repositories": repositories }), groups, &["production"]).await?;
    company.days_ago(100);
    company.store()?;
    company.sync().await?;
    for group in (0..20).step_by(3) {
        company.days_ago(80 - 4 * group);
        company.rotate("production", &format!("team-{group:02}"), |_| true)?;
        company.sync().await?;
    }
    company.report().await
}

/// The guide's definition with all of its secrets, schedules, policies, and four targets.
fn definition() -> String {
    let mut groups = String::new();
    let mut mappings = String::new();
    for (group, every, owner, names) in GROUPS {
        let _ = writeln!(groups, "  - {{ name: {group}, rotation: {{ every: {every}, owner: {owner}, warn: 14d }} }}");
        for name in names.split_whitespace() {
            // One is rotated more often than its group, and by others.
            let rotation = if name == "STRIPE_SECRET_KEY" { ", rotation: { every: 30d, owner: Payments }" } else { "" };
            let _ = writeln!(mappings, "  - {{ name: {name}, secretGroup: {group}{rotation} }}");
        }
    }
    let all = GROUPS.map(|(group, ..)| group).join(", ");
    format!(
        "name: sophia-esc
description: SOPHIA AI System Encrypted Secrets Configuration
organization: payready
environments:
  - {{ name: production }}
  - {{ name: staging }}
  - {{ name: development }}
secretGroups:
{groups}secretMappings:
{mappings}accessPolicies:
  - name: admin-access
    secretGroups: [{all}]
    environments: [development, staging, production]
    identities: [{{ type: user, name: admin@payready.com }}]
  - name: developer-access
    secretGroups: [api-keys, integration-credentials]
    environments: [development]
    identities: [{{ type: team, name: developers }}, {{ type: team, name: contractors }}]
  - name: database-access
    secretGroups: [database-credentials]
    environments: [staging, production]
    identities: [{{ type: team, name: database-admins }}]
  - name: ci-cd-access
    secretGroups: [{all}]
    environments: [development, staging, production]
    identities: [{{ type: github, name: payready/sophia }}]
  - name: web-access
    secretGroups: [infrastructure-credentials]
    environments: [production]
    identities: [{{ type: github, name: payready/sophia-web }}]
targets:
  - {{ repository: payready/sophia, githubEnvironment: production, stacks: [production] }}
  - {{ repository: payready/sophia, githubEnvironment: staging, stacks: [staging] }}
  - {{ repository: payready/sophia, stacks: [development], apps: [dependabot] }}
  - {{ organization: payready, visibility: selected, selectedRepositories: [payready/sophia, payready/sophia-web], stacks: [production], secretGroups: [infrastructure-credentials] }}
"
    )
}

#[expect(clippy::disallowed_methods, reason = "an example is the outermost floor")]
fn now() -> Timestamp {
    Timestamp::now()
}

#[expect(clippy::disallowed_methods, reason = "an example is the outermost floor")]
fn write(path: &Path, text: &str) -> Done {
    std::fs::create_dir_all(path.parent().unwrap_or(path))?;
    Ok(std::fs::write(path, text)?)
}
