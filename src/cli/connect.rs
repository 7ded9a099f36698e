//! Opens what a command works on: the GitHub client, the source of values, the definition.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::args::{GitHubArgs, Global, SourceArgs};
use super::door::Door;
use super::environment::{self, Environment};
use super::import::DotenvArgs;
use crate::base::error::{Failure, Outcome, Problem};
use crate::base::secret::{SecretValue, Token};
use crate::base::target::RepositoryName;
use crate::esc::provider::Providers;
use crate::flow::sync::{self, OpenedStack};
use crate::io::age_keys::{Identities, Recipient};
use crate::io::archive::{self, BackupSource};
use crate::io::audit::Clock;
use crate::io::env_file::EnvFileSource;
use crate::io::esc_cloud::PulumiCloud;
use crate::io::esc_local::{EscLocal, Settings};
use crate::io::files;
use crate::io::github_access::{Credential, GitHubAccess};
use crate::io::github_app::AppCredentials;
use crate::io::http::{self, HttpSettings};
use crate::io::local_providers::local_providers;
use crate::io::pace::PaceSettings;
use crate::io::pulumi_login::{LoginSettings, OidcSettings, OidcTokenType, credentials_file};
use crate::io::recorded::{Recorded, Recorder};
use crate::io::source::Source;
use crate::rules::config;
use crate::rules::definition::{Definition, Environment as Stack};

/// The definition's name when none is given.
pub(super) const DEFINITION: &str = "pulumi-esc-environment.yaml";

/// Bytes of the largest definition that is read.
const LARGEST_DEFINITION: u64 = 4 << 20;

/// Bytes of the largest age identity file that is read.
const LARGEST_IDENTITY: u64 = 1 << 20;

/// Pulumi's public cloud.
const PULUMI: &str = "https://api.pulumi.com";

/// GitHub's public API.
const GITHUB: &str = "https://api.github.com";

/// One run: what was typed globally, the environment, and the time.
pub struct Session {
    pub global: Global,
    /// The words of the command, such as `rotation start`.
    pub command: String,
    pub environment: Environment,
    pub clock: Clock,
    /// When the run began.
    pub now: Timestamp,
    /// Names the run in the audit trail.
    pub id: String,
    /// The definition, once it was read.
    read: Mutex<Option<Read>>,
}

/// A definition, and what is to be said of its file.
#[derive(Clone)]
struct Read {
    definition: Arc<Definition>,
    warnings: Arc<[Problem]>,
}

impl Session {
    #[must_use]
    pub fn new(global: Global, command: String, environment: Environment, clock: Clock) -> Self {
        let now = clock();
        let id = super::audit::run_id(&environment, now);
        Self { global, command, environment, clock, now, id, read: Mutex::default() }
    }

    /// Loads the definition, with `--org` and `--project` laid over it; its warnings are told.
    ///
    /// # Errors
    /// Every problem of the file at once.
    pub fn definition(&self, door: &mut Door) -> Outcome<Arc<Definition>> {
        let Read { definition, warnings } = self.read()?;
        door.problems(&*warnings);
        Ok(definition)
    }

    /// The definition as its file has it after a change of our own; its warnings are known.
    ///
    /// # Errors
    /// As [`Self::definition`].
    pub fn changed_definition(&self) -> Outcome<Arc<Definition>> {
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.read().map(|read| read.definition)
    }

    /// Reads the file when it was not yet: all of a run goes by one text.
    fn read(&self) -> Outcome<Read> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = &*read {
            return Ok(read.clone());
        }
        let (definition, warnings) = self.load_definition()?;
        Ok(read.insert(Read { definition: Arc::new(definition), warnings: warnings.into() }).clone())
    }

    fn load_definition(&self) -> Outcome<(Definition, Vec<Problem>)> {
        let path = self.definition_path()?;
        let text = files::read_text(&path, LARGEST_DEFINITION)?;
        let name = path.display().to_string();
        let loaded = config::load(&name, &text).map_err(|problems| config::failure(&name, problems))?;
        let global = &self.global;
        let definition = loaded.definition.with_overrides(global.org.as_deref(), global.project.as_deref())?;
        Ok((definition, loaded.warnings))
    }

    /// The definition whose access policies bind a command that needs no definition, and the stack that was named:
    /// `--definition`, else the nearest one upwards; none where there is none, or it has no policies.
    ///
    /// # Errors
    /// Every problem of the file: policies that cannot be read are not passed over.
    pub fn definition_in_force(&self, door: &mut Door) -> Outcome<Option<(Arc<Definition>, Option<String>)>> {
        let definition = match self.definition(door) {
            Err(failure) if failure.code == "definition-missing" => return Ok(None),
            found => found?,
        };
        if definition.policies.is_empty() {
            return Ok(None);
        }
        let stack = match self.stack(&definition) {
            Err(failure) if failure.code == "stack-missing" => None,
            stack => Some(stack?.name.clone()),
        };
        Ok(Some((definition, stack)))
    }

    /// Where the definition lies: `--definition`, else the nearest one upwards.
    ///
    /// # Errors
    /// `definition-missing` when there is none.
    pub fn definition_path(&self) -> Outcome<PathBuf> {
        if let Some(path) = &self.global.definition {
            return Ok(path.clone());
        }
        if files::is_there(Path::new(DEFINITION)) {
            return Ok(PathBuf::from(DEFINITION));
        }
        let here = std::env::current_dir().unwrap_or_default();
        files::find_upwards(DEFINITION, &here).ok_or_else(|| {
            Failure::usage("definition-missing", format!("there is no `{DEFINITION}` here or in a folder above"))
                .hint("`sophia-secrets-sync init` writes one, and --definition FILE names another")
        })
    }

    /// The stack that was asked for: `--stack`, else `PULUMI_STACK`, else the definition's default.
    ///
    /// # Errors
    /// When none of them names a stack of the definition.
    pub fn stack<'d>(&self, definition: &'d Definition) -> Outcome<&'d Stack> {
        definition.stack(self.global.stack.as_deref().or_else(|| self.environment.get(environment::PULUMI_STACK)))
    }

    /// The repository of the job, where this process is the action's step.
    #[must_use]
    pub fn repository_of_the_action(&self) -> Option<RepositoryName> {
        self.environment.input("command")?;
        self.environment.get(environment::GITHUB_REPOSITORY)?.parse().ok()
    }

    /// Where ESC is: `--esc-url`, else `PULUMI_BACKEND_URL`, else Pulumi Cloud.
    #[must_use]
    pub fn esc_url<'s>(&'s self, args: &'s SourceArgs) -> &'s str {
        args.esc_url.as_deref().or_else(|| self.environment.get(environment::PULUMI_BACKEND_URL)).unwrap_or(PULUMI)
    }

    /// Opens the source of values: a backup or dotenv file when one is named, else ESC, where whatever is written is recorded in
    /// the audit trail. The door is told what a backup is of.
    ///
    /// # Errors
    /// When the backup or the dotenv file cannot be read, the URL is none, or no token is found.
    pub async fn source(&self, args: &SourceArgs, door: &mut Door) -> Outcome<Box<dyn Source>> {
        if let Some(path) = &args.from_backup {
            let backup = archive::open(path, &self.age_identities(args.age_identity.as_deref())?)?;
            door.mask_backup(&backup);
            door.problems(&backup.manifest.warnings(&path.display().to_string(), self.now));
            return Ok(Box::new(BackupSource::new(backup)));
        }
        if let Some(path) = &args.env_file {
            let parsed = super::import::read(path, DotenvArgs::default(), door)?;
            let definition = self.read()?.definition;
            return Ok(Box::new(EnvFileSource::new(path.display().to_string(), parsed.entries, definition)));
        }
        let source: Box<dyn Source> = match self.embedded_store(args, &[])? {
            Some(store) => Box::new(store),
            None => Box::new(PulumiCloud::connect(self.esc_url(args), &self.pulumi_login(args)?).await?),
        };
        Ok(Box::new(Recorded::new(source, self.recorder())))
    }

    /// Records writes to ESC. A definition that is missing or broken only costs names: who needs it will say so.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        let definition = self.read().ok().map(|read| read.definition);
        Recorder { trail: super::audit::trail(self), definition }
    }

    /// Pulumi Cloud, to ask what its teams may open: none inside for the embedded store, which has none; the reason when
    /// there is no token, since such a question is never what a command is about.
    ///
    /// # Errors
    /// When the URL is none, or a token is malformed or not accepted.
    pub async fn pulumi_of_teams(&self, args: &SourceArgs) -> Outcome<Result<Option<PulumiCloud>, String>> {
        if self.esc_url(args).starts_with("file://") {
            return Ok(Ok(None));
        }
        match PulumiCloud::connect(self.esc_url(args), &self.pulumi_login(args)?).await {
            Ok(cloud) => Ok(Ok(Some(cloud))),
            Err(failure) if failure.code == "esc-no-token" => Ok(Err(failure.message)),
            Err(failure) => Err(failure),
        }
    }

    /// The embedded store that `file://DIR` names; none for Pulumi Cloud. `recipients` can open what is made,
    /// besides whoever makes it.
    ///
    /// # Errors
    /// When the age identity cannot be read.
    pub fn embedded_store(&self, args: &SourceArgs, recipients: &[Recipient]) -> Outcome<Option<EscLocal>> {
        let Some(root) = self.esc_url(args).strip_prefix("file://") else {
            if args.allow_local_providers {
                return Err(Failure::usage("local-providers", "Pulumi Cloud cannot read this machine")
                    .hint("--allow-local-providers is for the embedded store, --esc-url file://DIR"));
            }
            return Ok(None);
        };
        if root.is_empty() {
            return Err(Failure::usage("esc-url", "`file://` names no folder").hint("give --esc-url file://DIR"));
        }
        let providers = Providers::default().tolerant().careful();
        let providers = match (args.allow_local_providers, std::env::current_dir()) {
            (false, _) => providers,
            (true, Ok(folder)) => local_providers(providers, environment::lent, &folder),
            (true, Err(error)) => {
                return Err(Failure::usage("local-providers", "the working directory cannot be told").cause(error));
            }
        };
        Ok(Some(self.store_in(Path::new(root), args.age_identity.as_deref(), recipients, providers)?))
    }

    /// The embedded store in the folder `root`.
    ///
    /// # Errors
    /// When the age identity cannot be read.
    pub fn store_in(
        &self,
        root: &Path,
        age_identity: Option<&Path>,
        recipients: &[Recipient],
        providers: Providers,
    ) -> Outcome<EscLocal> {
        let shown = root.display();
        if root.starts_with("~") {
            return Err(Failure::usage(
                "esc-url",
                format!("`{shown}` is not your home: only a shell's own word `~` is"),
            )
            .hint("write it with $HOME, as in \"file://$HOME/esc\""));
        }
        if files::is_there(root) && !files::is_folder(root) {
            return Err(Failure::usage("esc-url", format!("`{shown}` is a file, and a store is a folder")));
        }
        let identities = self.age_identities(age_identity)?;
        Ok(EscLocal::new(Settings {
            root: root.to_owned(),
            recipients: [identities.recipients(), recipients.to_vec()].concat(),
            identities,
            author: self.author(),
            now: Arc::clone(&self.clock),
            providers,
        }))
    }

    /// The age identities of this run: `--age-identity`, else `SOPHIA_AGE_KEY`; and `SOPHIA_AGE_PASSPHRASE`.
    ///
    /// # Errors
    /// When a file or text holds none.
    pub fn age_identities(&self, file: Option<&Path>) -> Outcome<Identities> {
        let identities = match (file, self.environment.get(environment::SOPHIA_AGE_KEY)) {
            (Some(path), _) => Identities::parse(&files::read_text(path, LARGEST_IDENTITY)?)?,
            (None, Some(text)) => Identities::parse(text)?,
            (None, None) => Identities::default(),
        };
        let passphrase = self.environment.get(environment::SOPHIA_AGE_PASSPHRASE);
        Ok(identities.with_passphrase(passphrase.map(str::to_owned)))
    }

    /// Who signs what this run writes.
    #[must_use]
    pub fn author(&self) -> String {
        let names = [environment::GITHUB_ACTOR, environment::USER, environment::USERNAME];
        names.into_iter().find_map(|name| self.environment.get(name)).unwrap_or("unknown").to_owned()
    }

    /// How a Pulumi token is found.
    ///
    /// # Errors
    /// When a token in the environment is malformed.
    pub fn pulumi_login(&self, args: &SourceArgs) -> Outcome<LoginSettings> {
        let variable = |name| self.environment.get(name);
        let token = |name: &'static str| {
            variable(name)
                .map(Token::new)
                .transpose()
                .map_err(|error| Failure::auth("token-malformed", format!("{name} does not hold a token")).cause(error))
        };
        let path = |name| variable(name).map(Path::new);
        let oidc = match &args.oidc_organization {
            None => None,
            Some(organization) => Some(OidcSettings {
                request_url: variable(environment::ACTIONS_ID_TOKEN_REQUEST_URL).map(str::to_owned),
                request_token: token(environment::ACTIONS_ID_TOKEN_REQUEST_TOKEN)?,
                organization: organization.clone(),
                token_type: args.oidc_token_type.as_deref().and_then(OidcTokenType::from_word).unwrap_or_default(),
                scope: args.oidc_scope.clone(),
                expiration_seconds: args.oidc_expiration,
            }),
        };
        Ok(LoginSettings {
            given: token(environment::PULUMI_ACCESS_TOKEN)?,
            credentials_file: credentials_file(
                path(environment::PULUMI_CREDENTIALS_PATH),
                path(environment::PULUMI_HOME),
                path(environment::HOME),
            ),
            oidc,
        })
    }

    /// The GitHub token at `--github-token-path`, masked in a job before anything can print it.
    ///
    /// # Errors
    /// An authentication failure when ESC holds none there.
    pub fn token_of_esc(&self, args: &GitHubArgs, opened: &OpenedStack, door: &mut Door) -> Outcome<Option<Token>> {
        let Some(path) = &args.github_token_path else { return Ok(None) };
        let token = opened.token_at(path)?;
        door.mask("github-token-path", &SecretValue::from(token.reveal().to_owned()));
        Ok(Some(token))
    }

    /// Opens GitHub for a command that has no other business in ESC: an environment is opened only where the token lies
    /// there, that of the stack in question.
    ///
    /// # Errors
    /// As [`Self::github`]; with `--github-token-path` also those of opening ESC.
    pub async fn github_alone(
        &self,
        args: &GitHubArgs,
        source: &SourceArgs,
        definition: &Definition,
        door: &mut Door,
    ) -> Outcome<GitHubAccess> {
        if args.github_token_path.is_none() {
            return self.github(args, None);
        }
        let stack = self.stack(definition)?;
        let source = self.source(source, door).await?;
        let opened = sync::open(definition, stack, &*source).await?;
        let token = self.token_of_esc(args, &opened, door)?;
        self.github(args, token)
    }

    /// Opens GitHub with the credential of the environment. A `token` that came from elsewhere (an ESC
    /// path) wins.
    ///
    /// # Errors
    /// An authentication failure when there is no credential; a usage failure for a wrong URL.
    pub fn github(&self, args: &GitHubArgs, token: Option<Token>) -> Outcome<GitHubAccess> {
        let url =
            args.github_url.as_deref().or_else(|| self.environment.get(environment::GITHUB_API_URL)).unwrap_or(GITHUB);
        let parsed = url::Url::parse(url).map_err(|error| {
            Failure::usage("github-url", format!("`{url}` is not the URL of a GitHub API")).cause(error)
        })?;
        let credential = match token {
            Some(token) => Credential::Token(token),
            None => self.github_credential()?,
        };
        let pace = PaceSettings {
            limited: args.pace == "on",
            concurrency: usize::from(args.concurrency),
            max_wait: args.max_wait,
        };
        let client = http::client(HttpSettings::toward(&parsed))?;
        Ok(GitHubAccess::new(client, url, credential, pace, self.now))
    }

    /// The credential of the environment: a GitHub App, else a token.
    ///
    /// # Errors
    /// An authentication failure that names the variables to set.
    fn github_credential(&self) -> Outcome<Credential> {
        let variable = |name| self.environment.get(name);
        let app_id = variable(environment::SOPHIA_GITHUB_APP_ID);
        let app_key = variable(environment::SOPHIA_GITHUB_APP_PRIVATE_KEY);
        match (app_id, app_key) {
            (Some(id), Some(key)) => {
                let private_key = SecretValue::from(key.to_owned());
                return Ok(Credential::App(AppCredentials { id: id.trim().to_owned(), private_key }));
            }
            (None, None) => {}
            _ => {
                return Err(Failure::auth("github-app-incomplete", "a GitHub App needs its id and its private key")
                    .hint("set both SOPHIA_GITHUB_APP_ID and SOPHIA_GITHUB_APP_PRIVATE_KEY"));
            }
        }
        for name in [environment::GITHUB_TOKEN, environment::GH_TOKEN] {
            if let Some(text) = variable(name) {
                let token = Token::new(text).map_err(|error| {
                    Failure::auth("github-token", format!("{name} does not hold a token")).cause(error)
                })?;
                return Ok(Credential::Token(token));
            }
        }
        Err(Failure::auth("github-token-missing", "no GitHub credential was given").hint(
            "set GITHUB_TOKEN or GH_TOKEN to a token that may write secrets, or SOPHIA_GITHUB_APP_ID and \
             SOPHIA_GITHUB_APP_PRIVATE_KEY",
        ))
    }
}
