//! `usage`: the definition beside ESC, GitHub, and the files of the repository that use its names.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use super::list::{Deliveries, see};
use super::observe::{SeenScope, SeenTarget};
use super::sync::OpenedStack;
use super::targets::{Asked, Delivery};
use crate::base::error::Outcome;
use crate::base::target::{EntryKind, RepositoryName};
use crate::io::files::tree::{self, State, TreeFile};
use crate::io::git::repository::Repository;
use crate::io::github_access::GitHubAccess;
use crate::io::ledger::LedgerPlace;
use crate::report::findings::FindingsReport;
use crate::report::usage::{Held, Row, UsageReport};
use crate::rules::definition::{Definition, Destination, Environment};
use crate::rules::desired::Candidate;
use crate::rules::ledger::Entry;
use crate::rules::naming;
use crate::rules::plan::Reason;
use crate::rules::policy::decide_destination;
use crate::rules::usage::findings::{self, EscFacts, Facts, Stored};
use crate::rules::usage::literal::Literals;
use crate::rules::usage::promise::{Members, promises, undelivered};
use crate::rules::usage::{self, FileKind, How, Text};

/// Larger files are not read, bytes: they are data.
const LARGEST: u64 = 2 << 20;

/// Folders of code that others wrote.
const FOREIGN: [&str; 7] =
    ["bower_components", "node_modules", "site-packages", "third_party", "vendor", "venv", ".venv"];

/// What to compare.
pub struct Ask<'a> {
    pub definition: &'a Definition,
    pub stacks: Vec<&'a Environment>,
    /// The repository that the files belong to, where known.
    pub repository: Option<RepositoryName>,
    /// A folder; the files of the whole repository that it is in are read.
    pub folder: &'a Path,
    /// The opened stacks, in the order of `stacks`; none to leave ESC aside.
    pub opened: Option<Vec<OpenedStack>>,
    /// None to leave GitHub aside; needs `opened`.
    pub github: Option<&'a GitHubAccess>,
    pub ledger: &'a LedgerPlace,
    pub now: jiff::Timestamp,
}

/// Compares.
///
/// # Errors
/// GitHub's and git's failures. Files that cannot be read are named in the report.
pub async fn check(ask: &Ask<'_>) -> Outcome<UsageReport> {
    let Ask { definition, stacks, opened, .. } = ask;
    let names: Vec<&str> = stacks.iter().map(|stack| stack.name.as_str()).collect();
    let members = opened.as_ref().map(|opened| members(definition, stacks, opened));
    let mut unchecked = Vec::new();
    let mut facts =
        Facts { promises: promises(definition, &names, ask.repository.as_ref(), members.as_ref()), ..Facts::default() };
    for stack in stacks {
        let missed = undelivered(definition, &stack.name).into_iter();
        facts.undelivered.extend(missed.map(|(group, place)| (stack.name.clone(), group.to_owned(), place.clone())));
    }
    if facts.promises.open {
        unchecked.push("names that are not defined: some group lists none, so any name may be one of it".to_owned());
    }
    let (files, mut problems) = tokio::task::block_in_place(|| read_files(ask, &mut facts, &mut unchecked))?;
    match opened {
        None => unchecked.push("what ESC holds".to_owned()),
        Some(opened) => {
            facts.esc = stacks.iter().zip(opened).map(|(stack, opened)| esc_facts(definition, stack, opened)).collect();
        }
    }
    match (ask.github, opened) {
        (Some(github), Some(opened)) => {
            for (stack, opened) in stacks.iter().zip(opened) {
                observe(ask, github, stack, opened, &mut facts, &mut unchecked).await?;
            }
        }
        _ => unchecked.push("what GitHub holds".to_owned()),
    }
    if !findings::has_users(&facts) {
        unchecked.push("names that nothing uses: no file here uses any name of the definition".to_owned());
    }
    problems.extend(findings::check(&facts));
    problems.sort_by(|left, right| (&left.place, left.code).cmp(&(&right.place, right.code)));
    Ok(UsageReport {
        stacks: names.iter().map(|name| (*name).to_owned()).collect(),
        rows: rows(&facts, stacks, opened.as_deref(), ask.github.is_some()),
        files,
        findings: FindingsReport { command: "usage", subject: definition.file.clone(), problems, unchecked },
    })
}

/// The members of groups that list no names.
fn members(definition: &Definition, stacks: &[&Environment], opened: &[OpenedStack]) -> Members {
    let mut members = Members::new();
    for (stack, opened) in stacks.iter().zip(opened) {
        for candidate in &opened.values.desired.candidates {
            if definition.mappings_of(&candidate.group).next().is_none() {
                let id = (stack.name.clone(), candidate.group.to_string());
                members.entry(id).or_default().insert(candidate.name.to_string());
            }
        }
    }
    members
}

fn esc_facts(definition: &Definition, stack: &Environment, opened: &OpenedStack) -> EscFacts {
    let candidates = opened.values.desired.candidates.iter();
    let missing = candidates.filter_map(|candidate| {
        let refusal = candidate.value.as_ref().err().filter(|refusal| refusal.reason == Reason::Missing)?;
        Some((candidate.name.to_string(), refusal.message.clone(), candidate.place.as_deref().cloned()))
    });
    EscFacts {
        stack: stack.name.clone(),
        missing: missing.collect(),
        unlisted: opened.unlisted(definition, &stack.name),
    }
}

/// What the targets of a stack hold, and should.
async fn observe(
    ask: &Ask<'_>,
    github: &GitHubAccess,
    stack: &Environment,
    opened: &OpenedStack,
    facts: &mut Facts,
    unchecked: &mut Vec<String>,
) -> Outcome<()> {
    let targeted = ask.definition.targets.iter().any(|target| target.stacks.contains(&stack.name));
    if !targeted && ask.repository.is_none() {
        unchecked.push(format!("what GitHub holds of stack `{}`: the definition names no target", stack.name));
        return Ok(());
    }
    let asked = Asked { repository: ask.repository.clone().filter(|_| !targeted), ..Asked::default() };
    let deliveries = Deliveries { github, asked: &asked, ledger: ask.ledger, now: ask.now };
    for scope in see(ask.definition, stack, &opened.values, &deliveries).await? {
        for stored in stored(ask, stack, opened, &scope) {
            match facts.stores.iter_mut().find(|known| known.target == stored.target) {
                None => facts.stores.push(stored),
                Some(known) => {
                    known.listed.extend(stored.listed);
                    known.expected.extend(stored.expected);
                    known.defined.extend(stored.defined);
                    known.written.extend(stored.written);
                }
            }
        }
    }
    Ok(())
}

fn stored(ask: &Ask<'_>, stack: &Environment, opened: &OpenedStack, scope: &SeenScope) -> Vec<Stored> {
    let desired = &opened.values.desired;
    let looked_at = |environment: &str| ask.stacks.iter().any(|stack| stack.esc.to_string() == environment);
    let of_target = |seen: &SeenTarget| {
        let delivery = &seen.delivery;
        let app = delivery.target.app;
        let of_groups = || {
            let taken = |group: &str| delivery.groups.as_ref().is_none_or(|groups| groups.contains(group));
            desired.candidates.iter().filter(move |candidate| taken(&candidate.group))
        };
        let delivered = of_groups().filter(|candidate| {
            (candidate.kind == EntryKind::Secret || app.has_variables())
                && candidate.value.is_ok()
                && decide_destination(ask.definition, &candidate.group, &stack.name, &delivery.reader).allowed
        });
        let id = |candidate: &Candidate| (candidate.kind, candidate.name.to_string());
        let mut defined: BTreeSet<_> = of_groups().map(id).chain(of_other_stacks(ask, delivery)).collect();
        let mut written = BTreeSet::new();
        for (held, listed) in &seen.observed.entries {
            let (kind, name) = held;
            let entry = scope.ledger.as_ref().and_then(|found| found.ledger.get(app, *kind, name));
            let spared = |entry: &Entry| !looked_at(&entry.environment) || desired.empty_groups.contains(&entry.group);
            if desired.optional.contains(name) || entry.is_some_and(spared) {
                defined.insert(held.clone());
            } else if entry.is_some_and(|entry| entry.is_what_github_lists(&listed.updated_at)) {
                written.insert(held.clone());
            }
        }
        Stored {
            target: delivery.target.to_string(),
            listed: seen.observed.entries.keys().cloned().collect(),
            expected: delivered.map(id).collect(),
            defined,
            written,
        }
    };
    scope.targets.iter().map(of_target).collect()
}

/// What the definition lists for a place, or may, of stacks that are not looked at.
fn of_other_stacks<'a>(ask: &'a Ask<'_>, delivery: &'a Delivery) -> impl Iterator<Item = (EntryKind, String)> + 'a {
    let Ask { definition, stacks, .. } = ask;
    let reaches = |destination: &Destination| {
        *destination == delivery.reader || matches!(destination, Destination::Repositories { .. })
    };
    let targets = definition.targets.iter().filter(move |target| reaches(&target.destination));
    targets.flat_map(move |target| {
        let others = target.stacks.iter().filter(|name| stacks.iter().all(|stack| stack.name != **name));
        let groups = others.flat_map(|name| definition.groups_of(name));
        groups
            .filter(|group| target.groups.as_ref().is_none_or(|groups| groups.contains(&group.name)))
            .flat_map(|group| definition.mappings_of(&group.name))
            .map(|mapping| (mapping.kind, naming::fold(&mapping.target_name)))
    })
}

/// Reads the files of the repository into `facts`; answers how many were read for uses, and what they show.
fn read_files(
    ask: &Ask<'_>,
    facts: &mut Facts,
    unchecked: &mut Vec<String>,
) -> Outcome<(usize, Vec<crate::base::error::Problem>)> {
    let repository = Repository::of(ask.folder);
    let (root, files) = match &repository {
        Ok(repository) => (repository.root.as_path(), repository.files(false)?),
        Err(_) => {
            let (files, unreadable) = tree::walk(ask.folder);
            unchecked.extend(unreadable.iter().map(ToString::to_string));
            (ask.folder, files)
        }
    };
    let secrets = facts.promises.names.values().filter(|promise| promise.kind == EntryKind::Secret);
    let literals = Literals::of(secrets.map(|promise| promise.name.as_str()));
    let (mut count, mut problems) = (0, Vec::new());
    for file in files.iter().filter(|file| is_ours(file)) {
        let TreeFile { path, state, .. } = file;
        if *state == State::Tracked && repository.is_ok() {
            facts.tracked.insert(path.clone());
        } else if path.rsplit('/').next().is_some_and(|name| name.starts_with(".env")) && FileKind::of(path).is_none() {
            // Where values are meant to be.
            continue;
        }
        let text = match text(&root.join(path)) {
            Ok(Some(text)) => text,
            Ok(None) => continue,
            Err(why) => {
                unchecked.push(format!("`{path}`: {why}"));
                continue;
            }
        };
        let kind = FileKind::of(path);
        if kind != Some(FileKind::Example) {
            problems.extend(literals.find(&Text::new(path, &text)));
        }
        let Some(kind) = kind else { continue };
        match usage::read(kind, path, &text) {
            Ok(reading) => {
                count += 1;
                facts.uses.extend(reading.uses);
                problems.extend(reading.problems);
                let beside = |file: &str| normal(&Path::new(path).with_file_name(file));
                facts.env_files.extend(reading.env_files.iter().map(|(file, place)| (beside(file), place.clone())));
            }
            Err(why) => unchecked.push(format!("`{path}`: {why}")),
        }
    }
    Ok((count, problems))
}

fn is_ours(file: &TreeFile) -> bool {
    !file.nested && !file.path.split('/').any(|part| FOREIGN.contains(&part))
}

/// The text of a plain file; none when it is none, or binary.
fn text(path: &Path) -> Result<Option<String>, String> {
    let cause = |failure: crate::base::error::Failure| failure.causes.first().cloned().unwrap_or(failure.message);
    let Some(reader) = tree::open(path).map_err(cause)? else { return Ok(None) };
    let mut bytes = Vec::new();
    reader.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("it has more than {} MiB", LARGEST >> 20));
    }
    Ok(String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')))
}

/// A path without `.` and `..`, with `/`.
fn normal(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                parts.pop();
            }
            std::path::Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            _ => {}
        }
    }
    parts.join("/")
}

fn rows(facts: &Facts, stacks: &[&Environment], opened: Option<&[OpenedStack]>, asked_github: bool) -> Vec<Row> {
    let mut uses: BTreeMap<String, BTreeMap<FileKind, usize>> = BTreeMap::new();
    for used in facts.uses.iter().filter(|used| used.how != How::Mount) {
        *uses.entry(naming::fold(&used.name)).or_default().entry(used.file).or_default() += 1;
    }
    let in_esc: BTreeSet<(&str, &str)> = stacks
        .iter()
        .zip(opened.into_iter().flatten())
        .flat_map(|(stack, opened)| opened.values.desired.candidates.iter().map(move |candidate| (stack, candidate)))
        .filter(|(_, candidate)| candidate.value.is_ok())
        .map(|(stack, candidate)| (stack.name.as_str(), &*candidate.name))
        .collect();
    let row = |(folded, promise): (&String, &usage::promise::Promise)| {
        let has = |stack: &&String| in_esc.contains(&(stack.as_str(), folded.as_str()));
        let esc = Held { held: promise.stacks.iter().filter(has).count(), of: promise.stacks.len() };
        let id = (promise.kind, folded.clone());
        let expecting = facts.stores.iter().filter(|store| store.expected.contains(&id));
        let (held, of) =
            expecting.fold((0, 0), |(held, of), store| (held + usize::from(store.listed.contains(&id)), of + 1));
        Row {
            name: promise.name.clone(),
            kind: promise.kind,
            groups: promise.groups.clone(),
            stacks: promise.stacks.clone(),
            required: promise.required,
            esc: opened.map(|_| esc),
            github: asked_github.then_some(Held { held, of }),
            uses: uses.get(folded).cloned().unwrap_or_default(),
        }
    };
    facts.promises.names.iter().map(row).collect()
}
