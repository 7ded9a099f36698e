//! What does not fit between the definition and what uses its names.

use std::collections::{BTreeMap, BTreeSet};

use super::literal::is_secret_like;
use super::promise::{Promise, Promises, Reach};
use super::{FileKind, How, JobEnvironment, Use, is_foreign, is_of_a_shell};
use crate::base::error::{Place, Problem, Severity};
use crate::base::target::EntryKind;
use crate::rules::desired::MISSING_HINT;
use crate::rules::naming;
use crate::rules::nearest;

/// Every code, with what it means.
pub const CODES: [(&str, &str); 17] = [
    ("at-github-not-defined", "a target holds a name that the definition does not deliver there"),
    ("case-differs", "a name is used in another case than it is defined in"),
    ("compose-default", "a required secret has a default value in a compose file: the container starts without it"),
    ("defined-not-used", "no file uses a name that the definition delivers"),
    ("env-file-tracked", "a compose file loads a dotenv file that git tracks"),
    ("hard-coded", "a literal beside the name of a secret looks like a secret"),
    ("in-esc-not-delivered", "ESC holds a value that the definition does not deliver"),
    ("job-without-environment", "a job uses a secret of a GitHub environment that is not the job's"),
    ("missing-at-github", "a target lacks a name that the definition delivers there"),
    ("missing-in-esc", "ESC holds no value for a required name of a stack"),
    ("secret-as-variable", "a secret is read as a variable"),
    ("secret-in-image", "a secret is an argument or a variable of an image, and stays in it"),
    ("secrets-all", "a workflow reads every secret at once"),
    ("secrets-computed", "a workflow computes the name of a secret"),
    ("secrets-inherited", "a workflow passes every secret on to another"),
    ("used-not-defined", "a name is used that the definition does not deliver"),
    ("variable-as-secret", "a variable is read as a secret"),
];

/// What ESC says of a stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EscFacts {
    pub stack: String,
    /// Names that cannot be delivered: name, why, and where the definition asks for it.
    pub missing: Vec<(String, String, Option<Place>)>,
    /// Paths of values in groups that list their names, and do not list these; with the place of the group.
    pub unlisted: Vec<(String, Place)>,
}

/// What a target holds, beside what a stack delivers there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// As reports print it.
    pub target: String,
    pub listed: BTreeSet<(EntryKind, String)>,
    pub expected: BTreeSet<(EntryKind, String)>,
    /// What belongs here although it is not expected: names that have no value now, which may be held here only,
    /// and those of stacks that are not looked at.
    pub defined: BTreeSet<(EntryKind, String)>,
    /// What the ledger says that this tool wrote, and nobody else since.
    pub written: BTreeSet<(EntryKind, String)>,
}

/// Everything that is compared.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    pub promises: Promises,
    pub uses: Vec<Use>,
    /// Files of dotenv that compose files load, from the root of the repository, and where.
    pub env_files: Vec<(String, Place)>,
    /// Paths that git tracks.
    pub tracked: BTreeSet<String>,
    pub esc: Vec<EscFacts>,
    /// One for each target; those of several stacks joined.
    pub stores: Vec<Stored>,
    /// Groups of a stack that no target delivers.
    pub undelivered: Vec<(String, String, Place)>,
}

/// All findings, by place.
#[must_use]
pub fn check(facts: &Facts) -> Vec<Problem> {
    let mut found = Vec::new();
    undefined(facts, &mut found);
    for (used, promise) in facts.uses.iter().filter_map(|used| Some((used, facts.promises.get(&used.name)?))) {
        found.extend(misused(used, promise));
        found.extend(out_of_reach(used, promise));
    }
    unused(facts, &mut found);
    esc(facts, &mut found);
    github(facts, &mut found);
    for (path, place) in facts.env_files.iter().filter(|(path, _)| facts.tracked.contains(path)) {
        let message = format!("git tracks `{path}`, which this file loads");
        let hint = format!("`git rm --cached {path}`, ignore it, and rotate what it held");
        found.push(Problem::error("env-file-tracked", message).at(place.clone()).hint(hint));
    }
    found.sort_by(|left, right| {
        (&left.place, left.code, &left.message).cmp(&(&right.place, right.code, &right.message))
    });
    found.dedup();
    found
}

/// Names that are used and not delivered, one finding for each name and kind of file.
fn undefined(facts: &Facts, found: &mut Vec<Problem>) {
    let mut places: BTreeMap<(String, FileKind), Vec<&Use>> = BTreeMap::new();
    for used in &facts.uses {
        let counts = match &used.how {
            How::Secret(_) | How::Variable => true,
            // Programs and containers have settings of their own.
            How::Compose { .. } | How::Code | How::Image => {
                is_secret_like(&used.name) && !is_of_a_shell(&used.name) && used.name == naming::fold(&used.name)
            }
            How::Mount | How::Example => false,
        };
        if counts && !is_foreign(&used.name) && facts.promises.get(&used.name).is_none() && !facts.promises.open {
            places.entry((naming::fold(&used.name), used.file)).or_default().push(used);
        }
    }
    for ((folded, _), uses) in places {
        let Some(first) = uses.first() else { continue };
        let held: Vec<&str> = facts
            .stores
            .iter()
            .filter(|store| store.listed.difference(&store.defined).any(|(_, name)| *name == folded))
            .map(|store| store.target.as_str())
            .collect();
        let more = match uses.len() {
            1 => String::new(),
            2 => " and at 1 place more".to_owned(),
            count => format!(" and at {} places more", count - 1),
        };
        let mut message = format!("the definition does not deliver `{}`, which is used here{more}", first.name);
        if !held.is_empty() {
            message.push_str(&format!("; {} holds one that does not come from ESC", held.join(", ")));
        }
        let known: Vec<&str> = facts.promises.names.values().map(|promise| promise.name.as_str()).collect();
        let hint = match nearest::nearest(&first.name, known) {
            Some(name) => format!("did you mean `{name}`? else add a mapping for it to the definition"),
            None => "add a mapping for it to the definition".to_owned(),
        };
        let strict = matches!(first.how, How::Secret(_) | How::Variable) && held.is_empty();
        let severity = if strict { Severity::Error } else { Severity::Warning };
        let problem = Problem { severity, ..Problem::error("used-not-defined", message) };
        found.push(problem.at(first.place.clone()).hint(hint));
    }
}

/// A use that does not fit the kind or the spelling of its name.
fn misused(used: &Use, promise: &Promise) -> Vec<Problem> {
    let secret = promise.kind == EntryKind::Secret;
    let name = &used.name;
    let mut found = Vec::new();
    match &used.how {
        How::Variable if secret => found.push(
            Problem::error("secret-as-variable", format!("`{name}` is a secret, so `vars.{name}` is empty"))
                .hint(format!("write `secrets.{name}`")),
        ),
        How::Secret(_) if !secret => found.push(
            Problem::error("variable-as-secret", format!("`{name}` is a variable, so `secrets.{name}` is empty"))
                .hint(format!("write `vars.{name}`")),
        ),
        How::Compose { default: true } if secret && promise.required => found.push(
            Problem::warning("compose-default", format!("`{name}` is required, and has a default value here"))
                .hint(format!("write `${{{name}:?}}`, so that nothing starts without it")),
        ),
        How::Image if secret => found.push(
            Problem::error("secret-in-image", format!("`{name}` is a secret, and stays readable in the image"))
                .hint("mount it (`RUN --mount=type=secret,id=…`), or give it to the container when it starts"),
        ),
        _ => {}
    }
    let example = used.how == How::Example;
    if *name != promise.name && *name != naming::fold(&promise.name) && !example {
        let message = format!("`{name}` is defined as `{}`", promise.name);
        found.push(Problem::warning("case-differs", message).hint("variables of the environment differ by case"));
    }
    found.into_iter().map(|problem| problem.at(used.place.clone())).collect()
}

/// A job that cannot read the secret, because it is one of another GitHub environment.
fn out_of_reach(used: &Use, promise: &Promise) -> Option<Problem> {
    let How::Secret(environment) = &used.how else { return None };
    let environments: Option<Vec<&str>> = promise
        .reach
        .iter()
        .map(|reach| match reach {
            Reach::Everywhere => None,
            Reach::Environment(name) => Some(name.as_str()),
        })
        .collect();
    let environments = environments.filter(|environments| !environments.is_empty())?;
    let has = match environment {
        JobEnvironment::Unknown => return None,
        JobEnvironment::Named(name) if environments.contains(&name.to_lowercase().as_str()) => return None,
        JobEnvironment::Named(name) => format!("the job runs in `{name}`"),
        JobEnvironment::None => "the job names none".to_owned(),
    };
    let known = environments.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let message = format!("`{}` is a secret of the environment {known}, and {has}: it is empty here", used.name);
    let hint =
        format!("give the job `environment: {}`, or deliver the secret to the repository", environments.first()?);
    Some(Problem::error("job-without-environment", message).at(used.place.clone()).hint(hint))
}

/// Whether some file of this repository uses a name of the definition: else its users are elsewhere, and nothing can
/// be said about what is not used.
#[must_use]
pub fn has_users(facts: &Facts) -> bool {
    facts.uses.iter().any(|used| used.how != How::Example && facts.promises.get(&used.name).is_some())
}

fn unused(facts: &Facts, found: &mut Vec<Problem>) {
    if !has_users(facts) {
        return;
    }
    let used: BTreeSet<String> =
        facts.uses.iter().filter(|used| used.how != How::Example).map(|used| naming::fold(&used.name)).collect();
    for (_, promise) in facts.promises.names.iter().filter(|(folded, _)| !used.contains(*folded)) {
        let message = format!("no file here uses `{}`", promise.name);
        let hint = "remove it when nothing else needs it: what is not there cannot leak";
        found.push(Problem::warning("defined-not-used", message).at(promise.place.clone()).hint(hint));
    }
}

fn esc(facts: &Facts, found: &mut Vec<Problem>) {
    for stack in &facts.esc {
        for (name, why, place) in &stack.missing {
            let problem = Problem::error("missing-in-esc", format!("`{name}` of stack `{}`: {why}", stack.stack))
                .hint(MISSING_HINT);
            found.push(Problem { place: place.clone(), ..problem });
        }
        for (path, place) in &stack.unlisted {
            let message =
                format!("ESC holds `{path}` in stack `{}`, and no mapping of its group delivers it", stack.stack);
            let problem = Problem::warning("in-esc-not-delivered", message).at(place.clone());
            found.push(problem.hint("add a mapping for it, or remove it from ESC"));
        }
    }
    for (stack, group, place) in &facts.undelivered {
        let message = format!("no target delivers group `{group}` of stack `{stack}`");
        let problem = Problem::warning("in-esc-not-delivered", message).at(place.clone());
        found.push(problem.hint("add the group to a target of the stack, or take the stack out of the group"));
    }
}

fn github(facts: &Facts, found: &mut Vec<Problem>) {
    for store in &facts.stores {
        let left = store.listed.difference(&store.expected).filter(|held| !store.defined.contains(held));
        for (kind, name) in left {
            let message =
                format!("{} holds the {kind} `{name}`, which the definition does not deliver there", store.target);
            let hint = if store.written.contains(&(*kind, name.clone())) {
                "this tool wrote it once: `sync --prune` removes it"
            } else {
                "add it to the definition, or remove it with `github delete`"
            };
            found.push(Problem::warning("at-github-not-defined", message).hint(hint));
        }
        for (kind, name) in store.expected.difference(&store.listed) {
            let message = format!("{} lacks the {kind} `{name}`", store.target);
            found.push(Problem::error("missing-at-github", message).hint("`sync` writes it"));
        }
    }
}

#[cfg(test)]
mod tests;
