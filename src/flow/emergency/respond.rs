//! `emergency respond`: what is known of a compromised secret, and its delivery to every target at once.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;

use crate::base::error::Outcome;
use crate::flow::context::Context;
use crate::flow::list::{self, Deliveries};
use crate::flow::sync::{self, Prepared, Request, Values};
use crate::io::files;
use crate::io::source::{Source, Version};
use crate::report::emergency::incident::{Holder, Incident};
use crate::rules::definition::{Definition, Environment as Stack};
use crate::rules::desired::Desired;
use crate::rules::naming;
use crate::rules::rotation::subject::Subject;
use crate::rules::usage::{self, FileKind, How};

/// Bytes of the largest workflow that is read.
const LARGEST_WORKFLOW: u64 = 1 << 20;

/// Where workflows lie, below the folder of the definition.
const WORKFLOWS: &str = ".github/workflows";

/// What an investigation looks at.
pub struct Scene<'a> {
    pub definition: &'a Definition,
    pub stack: &'a Stack,
    pub values: &'a Values,
    pub subject: &'a Subject,
    pub source: &'a dyn Source,
    /// None when there is no target, or no credential.
    pub deliveries: Option<Deliveries<'a>>,
    pub by: String,
    pub now: Timestamp,
}

/// Gathers what is known of the secret. What cannot be looked at is said in the answer.
///
/// # Errors
/// GitHub's failures.
pub async fn investigate(scene: Scene<'_>) -> Outcome<Incident> {
    let Scene { definition, stack, values, subject, source, deliveries, by, now } = scene;
    let listed = list::list(definition, stack, values, &BTreeSet::new(), deliveries).await?;
    let mut delivered: Vec<_> = listed
        .names
        .into_iter()
        .filter(|listed| listed.name == subject.name)
        .flat_map(|listed| listed.delivered)
        .collect();
    delivered.sort_by(|a, b| a.target.cmp(&b.target));
    delivered.dedup_by(|a, b| a.target == b.target);
    let revised = source.revisions(&stack.esc, 1).await.ok().and_then(|revisions| Some(revisions.first()?.created));
    let (same_value, not_looked_at) = same_value(definition, stack, values, subject, source).await;
    Ok(Incident {
        name: subject.name.clone(),
        groups: subject.groups.clone(),
        stack: stack.name.clone(),
        environment: stack.esc.to_string(),
        revision: values.source.revision,
        revised,
        owner: owner(definition, subject),
        by,
        began: now,
        holders: holders(definition, subject),
        delivered,
        uses: uses(definition, &subject.name),
        same_value,
        not_looked_at,
        given_elsewhere: false,
        actions: Vec::new(),
        record: None,
    })
}

fn owner(definition: &Definition, subject: &Subject) -> Option<String> {
    let mapped = definition.mappings_to(&subject.name).filter_map(|mapping| mapping.rotation.as_ref());
    let grouped = subject.groups.iter().filter_map(|group| definition.group(group)?.rotation.as_ref());
    mapped.chain(grouped).find_map(|rotation| rotation.owner.clone())
}

/// The policies that grant a group of the secret; none when there are no policies.
fn holders(definition: &Definition, subject: &Subject) -> Option<Vec<Holder>> {
    if definition.policies.is_empty() {
        return None;
    }
    let grants =
        definition.policies.iter().filter(|policy| policy.groups.iter().any(|group| subject.groups.contains(group)));
    Some(
        grants
            .map(|policy| Holder {
                policy: policy.name.clone(),
                stacks: policy.environments.clone(),
                identities: policy.identities.iter().map(ToString::to_string).collect(),
            })
            .collect(),
    )
}

/// Other names and stacks with the same value, as `(stack, name)`; and the stacks that did not open, with why.
async fn same_value(
    definition: &Definition,
    stack: &Stack,
    values: &Values,
    subject: &Subject,
    source: &dyn Source,
) -> (Vec<(String, String)>, Vec<(String, String)>) {
    let Some(value) = &subject.value else { return (Vec::new(), Vec::new()) };
    let (mut same, mut not_looked_at) = (BTreeSet::new(), Vec::new());
    let mut compare = |stack: &str, desired: &Desired| {
        let equal = desired
            .candidates
            .iter()
            .filter(|candidate| candidate.value.as_ref().is_ok_and(|other| other.same_as(value)));
        same.extend(equal.map(|candidate| (stack.to_owned(), candidate.name.to_string())));
    };
    compare(&stack.name, &values.desired);
    for other in definition.environments.iter().filter(|other| other.name != stack.name) {
        match source.open(&other.esc, &Version::Latest).await {
            Ok(opened) => compare(&other.name, &Desired::collect(definition, &other.name, &opened.values)),
            Err(failure) => not_looked_at.push((other.name.clone(), failure.message.clone())),
        }
    }
    same.remove(&(stack.name.clone(), subject.name.clone()));
    (same.into_iter().collect(), not_looked_at)
}

/// Findings of the reader of workflows that mean: this line may take any secret.
const TAKES_ANY: [&str; 3] = ["secrets-all", "secrets-computed", "secrets-inherited"];

/// `file:line` of the workflows beside the definition that name the secret, or may take any.
fn uses(definition: &Definition, name: &str) -> Vec<String> {
    let folder = Path::new(&definition.file).parent().unwrap_or(Path::new("")).join(WORKFLOWS);
    let mut found = Vec::new();
    for entry in files::list(&folder).unwrap_or_default() {
        let file = format!("{WORKFLOWS}/{}", entry.name);
        let text = files::read_text(&folder.join(&entry.name), LARGEST_WORKFLOW);
        let (Some(FileKind::Workflow), Ok(text)) = (FileKind::of(&file), text) else { continue };
        let Ok(reading) = usage::read(FileKind::Workflow, &file, &text) else { continue };
        let named =
            reading.uses.iter().filter(|used| matches!(used.how, How::Secret(_)) && naming::fold(&used.name) == name);
        let any = reading.problems.iter().filter(|problem| TAKES_ANY.contains(&problem.code));
        let places = named.map(|used| &used.place).chain(any.filter_map(|problem| problem.place.as_ref()));
        let lines: BTreeSet<usize> = places.map(|place| place.line).collect();
        found.extend(lines.into_iter().map(|line| format!("{file}:{line}")));
    }
    found
}

/// A plan for one name alone, at all targets that should have it; other names are left as they are.
///
/// # Errors
/// Those of [`sync::prepare`]; `plan-refused` when the name may not be delivered.
pub async fn prepare_delivery(
    context: &Context<'_>,
    definition: &Definition,
    stack: &Stack,
    values: Values,
    request: &Request,
    name: &str,
) -> Outcome<Prepared> {
    let mut prepared = sync::prepare(context, definition, stack, std::future::ready(Ok(values)), request).await?;
    for target in &mut prepared.plan.targets {
        target.steps.retain(|step| *step.name == *name);
    }
    let quoted = format!("`{name}`");
    prepared.plan.warnings.retain(|warning| warning.message.contains(&quoted));
    sync::refuse(&prepared.plan)?;
    Ok(prepared)
}
