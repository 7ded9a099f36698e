//! The action's inputs, as the same arguments and environment that a command line has (design §8).
//!
//! `dist/run.sh` runs the binary with the one argument [`WORD`]; every input then arrives as a variable
//! `SOPHIA_INPUT_…` (`action.yml` maps them). An input that is empty says nothing. **No secret becomes an
//! argument**: tokens and keys move to the variables that the command line reads them from.

use super::environment::{self, Environment};
use crate::base::error::{Failure, Outcome};
use crate::base::secret::SecretValue;

/// The only argument of the action's one step.
pub const WORD: &str = "action";

/// What the inputs amount to.
pub struct Step {
    /// As after the program's name.
    pub arguments: Vec<String>,
    pub environment: Environment,
    /// What the inputs hold that must be masked, by the input's name.
    pub secrets: Vec<(&'static str, SecretValue)>,
}

/// Inputs that are one option each.
const OPTIONS: [(&str, &str); 11] = [
    ("definition", "--definition"),
    ("stack", "--stack"),
    ("repository", "--repo"),
    ("github-environment", "--github-environment"),
    ("github-organization", "--github-org"),
    ("esc-url", "--esc-url"),
    ("oidc-organization", "--oidc-organization"),
    ("oidc-token-type", "--oidc-token-type"),
    ("oidc-scope", "--oidc-scope"),
    ("oidc-expiration", "--oidc-expiration"),
    ("github-token-path", "--github-token-path"),
];

/// Inputs that are a list: one option for each member.
const LISTS: [(&str, &str); 2] = [("groups", "--group"), ("apps", "--app")];

/// Inputs that are `true` or `false`.
const SWITCHES: [(&str, &str); 2] = [("prune", "--prune"), ("dry-run", "--dry-run")];

/// Inputs that hold secrets, and the variable that each becomes.
const SECRETS: [(&str, &str); 4] = [
    ("github-token", environment::GITHUB_TOKEN),
    ("github-app-id", environment::SOPHIA_GITHUB_APP_ID),
    ("github-app-private-key", environment::SOPHIA_GITHUB_APP_PRIVATE_KEY),
    ("pulumi-access-token", environment::PULUMI_ACCESS_TOKEN),
];

/// The variables that carry a credential as an input: no program that this one starts needs them.
pub fn secret_variables() -> impl Iterator<Item = String> {
    SECRETS.iter().map(|(name, _)| *name).chain(["workflow-token"]).map(Environment::input_variable)
}

/// Commands that reach secrets or variables at GitHub, which the job's own token never can (github-api.md §3.2).
const REACH_SECRETS: [&str; 6] = ["github", "list", "plan", "rotation", "sync", "verify"];

/// Turns the inputs into a command line.
///
/// # Errors
/// A usage failure for an input that is not what it should be; an authentication failure for the job's own
/// token where it could not do the work.
pub fn step(mut environment: Environment) -> Outcome<Step> {
    let input = |name: &str| environment.input(name).unwrap_or_default().to_owned();
    let command = input("command");
    let words: Vec<String> = command.split_whitespace().map(ToOwned::to_owned).collect();
    let plain = |word: &String| word.starts_with(|c: char| c.is_ascii_lowercase()) && !word.contains('=');
    if words.is_empty() || !words.iter().all(plain) {
        return Err(wrong("command", &command, "expected a command such as `sync` or `rotation status`"));
    }
    let mut arguments = words.clone();
    for (name, option) in OPTIONS {
        let value = input(name);
        if !value.is_empty() {
            arguments.push(format!("{option}={value}"));
        }
    }
    if !input("github-environment").is_empty()
        && input("repository").is_empty()
        && let Some(repository) = environment.get(environment::GITHUB_REPOSITORY)
    {
        arguments.push(format!("--repo={repository}"));
    }
    for (name, option) in LISTS {
        for member in input(name).split([' ', '\t', '\r', '\n', ',']).filter(|member| !member.is_empty()) {
            arguments.push(format!("{option}={member}"));
        }
    }
    for (name, option) in SWITCHES {
        match input(name).trim().to_ascii_lowercase().as_str() {
            "true" => arguments.push(option.to_owned()),
            "false" | "" => {}
            other => return Err(wrong(name, other, "expected `true` or `false`")),
        }
    }
    let further = input("args");
    arguments.extend(shlex::split(&further).ok_or_else(|| wrong("args", &further, "a quote does not end"))?);

    let secrets = SECRETS.map(|(name, variable)| (name, variable, input(name)));
    if !secrets[0].2.is_empty() {
        environment.remove(environment::SOPHIA_GITHUB_APP_ID);
        environment.remove(environment::SOPHIA_GITHUB_APP_PRIVATE_KEY);
    }
    let mut masks = Vec::new();
    for (name, variable, value) in secrets {
        if value.is_empty() {
            continue;
        }
        if name != "github-app-id" {
            masks.push((name, SecretValue::from(value.clone())));
        }
        environment.set(variable, value);
    }
    if REACH_SECRETS.contains(&words[0].as_str())
        && let Some(failure) = own_token(&environment)
    {
        if !arguments.iter().any(|argument| argument.starts_with("--github-token-path")) {
            return Err(failure);
        }
        environment.remove(environment::GITHUB_TOKEN);
        environment.remove(environment::GH_TOKEN);
    }
    Ok(Step { arguments, environment, secrets: masks })
}

fn wrong(name: &str, value: &str, expected: &str) -> Failure {
    Failure::usage("action-input", format!("the input `{name}` is `{value}`: {expected}"))
}

/// Why the environment's GitHub credential does not do, where it is the token of this very job.
pub fn own_token(environment: &Environment) -> Option<Failure> {
    let own = environment.input("workflow-token")?;
    let token = environment.get(environment::GITHUB_TOKEN).or_else(|| environment.get(environment::GH_TOKEN))?;
    let acts_as_app = environment.get(environment::SOPHIA_GITHUB_APP_ID).is_some();
    let failure = || {
        Failure::auth(
            "workflow-token",
            "the workflow's own GITHUB_TOKEN can neither read nor write secrets, whatever its `permissions:` say",
        )
        .hint("best: `github-token-path` with the `gh-login` provider of ESC, so that nothing is stored at GitHub")
        .hint("or: `github-app-id` and `github-app-private-key` of an App that may write secrets")
        .hint("or: a fine-grained personal token with `secrets: write` as `github-token`")
    };
    (token == own && !acts_as_app).then(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step_of(inputs: &[(&str, &str)]) -> Outcome<Step> {
        let mut environment = Environment::of(&[("GITHUB_REPOSITORY", "payready/sophia")]);
        for (name, value) in inputs {
            if name.starts_with(|c: char| c.is_ascii_uppercase()) {
                environment.set(name, (*value).to_owned());
            } else {
                environment.set(&Environment::input_variable(name), (*value).to_owned());
            }
        }
        step(environment)
    }

    fn arguments(inputs: &[(&str, &str)]) -> Vec<String> {
        step_of(inputs).unwrap().arguments
    }

    #[test]
    fn every_input_is_mapped_in_action_yml_and_known_here() {
        let action: serde_json::Value = yaml_serde::from_str(include_str!("../../action.yml")).unwrap();
        let mut declared: Vec<&str> = action["inputs"].as_object().unwrap().keys().map(String::as_str).collect();
        let env = action["runs"]["steps"][0]["env"].as_object().unwrap();
        for name in &declared {
            assert_eq!(env[&Environment::input_variable(name)], format!("${{{{ inputs.{name} }}}}"));
        }
        assert_eq!(env.len(), declared.len() + 2, "BASH_ENV and the workflow's token beside the inputs");
        let mut known: Vec<&str> =
            OPTIONS.iter().chain(&LISTS).chain(&SWITCHES).chain(&SECRETS).map(|(n, _)| *n).collect();
        known.extend(["command", "args", "download-url"]);
        known.sort_unstable();
        declared.sort_unstable();
        assert_eq!(declared, known);
    }

    #[test]
    fn an_empty_input_says_nothing() {
        let defaults = [("command", "sync"), ("prune", "false"), ("dry-run", "false"), ("stack", ""), ("groups", "")];
        assert_eq!(arguments(&defaults), ["sync"]);
    }

    #[test]
    fn inputs_become_the_arguments_one_would_type() {
        let inputs = [
            ("command", "rotation status"),
            ("definition", "-x y.yaml"),
            ("groups", "api-keys, database\nmail"),
            ("apps", "actions"),
            ("prune", "True"),
            ("args", "--max-delete 3 --shard '1/2'"),
        ];
        let expected = [
            "rotation",
            "status",
            "--definition=-x y.yaml",
            "--group=api-keys",
            "--group=database",
            "--group=mail",
            "--app=actions",
            "--prune",
            "--max-delete",
            "3",
            "--shard",
            "1/2",
        ];
        assert_eq!(arguments(&inputs), expected);
    }

    #[test]
    fn an_environment_of_the_current_repository_needs_no_repository() {
        let inputs = [("command", "sync"), ("github-environment", "production")];
        assert_eq!(arguments(&inputs), ["sync", "--github-environment=production", "--repo=payready/sophia"]);
    }

    #[test]
    fn wrong_inputs_are_named() {
        for (name, value) in [("command", "--help"), ("command", " "), ("prune", "yes"), ("args", "'open")] {
            let failure = step_of(&[("command", "sync"), (name, value)]).err().unwrap();
            assert_eq!(failure.kind.exit_code(), 2);
            assert!(failure.message.contains(name), "{failure}");
        }
    }

    #[test]
    fn secrets_become_variables_and_never_arguments() {
        let inputs = [
            ("command", "sync"),
            ("pulumi-access-token", "marker-pulumi"),
            ("github-app-id", "42"),
            ("github-app-private-key", "marker-key"),
            ("PULUMI_ACCESS_TOKEN", "old"),
        ];
        let step = step_of(&inputs).unwrap();
        assert_eq!(step.arguments, ["sync"]);
        let masked: Vec<&str> = step.secrets.iter().map(|(name, _)| *name).collect();
        assert_eq!(masked, ["github-app-private-key", "pulumi-access-token"]);
        assert_eq!(step.environment.get("PULUMI_ACCESS_TOKEN"), Some("marker-pulumi"));
        assert_eq!(step.environment.get("SOPHIA_GITHUB_APP_PRIVATE_KEY"), Some("marker-key"));
    }

    #[test]
    fn a_token_given_as_input_wins_over_an_app_of_the_environment() {
        let inputs = [("command", "sync"), ("github-token", "marker"), ("SOPHIA_GITHUB_APP_ID", "42")];
        let step = step_of(&inputs).unwrap();
        assert_eq!(step.environment.get("SOPHIA_GITHUB_APP_ID"), None);
        assert_eq!(step.environment.get("GITHUB_TOKEN"), Some("marker"));
    }

    #[test]
    fn the_workflows_own_token_is_refused_for_secrets_and_named() {
        let own = [("command", "sync"), ("github-token", "ghs_own"), ("workflow-token", "ghs_own")];
        let failure = step_of(&own).err().unwrap();
        assert_eq!((failure.code, failure.kind.exit_code()), ("workflow-token", 4));
        assert!(!format!("{failure:?}").contains("ghs_own"));
        assert!(step_of(&[("command", "doctor"), ("github-token", "t"), ("workflow-token", "t")]).is_ok());
        assert!(step_of(&[("command", "sync"), ("github-token", "other"), ("workflow-token", "t")]).is_ok());
        for (command, variable) in [("sync", "GITHUB_TOKEN"), ("plan", "GH_TOKEN"), ("rotation status", "GITHUB_TOKEN")]
        {
            let from_job = [("command", command), (variable, "t"), ("workflow-token", "t")];
            assert!(step_of(&from_job).is_err(), "{command} with {variable}");
            let with_path = [from_job[0], from_job[1], from_job[2], ("github-token-path", "github.token")];
            assert_eq!(step_of(&with_path).unwrap().environment.get(variable), None);
        }
    }
}
