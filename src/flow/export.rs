//! The variables of a stack, for `export-env` and `run`.

use crate::base::error::{Failure, Outcome, Problem};
use crate::io::source::{Source, Version};
use crate::rules::definition::{Definition, Environment as Stack};
use crate::rules::desired::Desired;
use crate::rules::dotenv::{self, Rendered, Style};
use crate::rules::variables::{self, Variable};

/// The variables of a stack, with warnings.
pub struct StackVariables {
    pub variables: Vec<Variable>,
    pub warnings: Vec<Problem>,
    pub revision: Option<u64>,
}

/// Opens the environment of `stack` and collects its variables; of `groups` only, when some are named.
///
/// # Errors
/// `group-unknown`, `variables-refused` with every problem, and those of the source.
pub async fn variables(
    source: &dyn Source,
    definition: &Definition,
    stack: &Stack,
    groups: &[String],
) -> Outcome<StackVariables> {
    let known: Vec<&str> = definition.groups_of(&stack.name).map(|group| group.name.as_str()).collect();
    if let Some(unknown) = groups.iter().find(|group| !known.contains(&group.as_str())) {
        return Err(Failure::usage("group-unknown", format!("stack `{}` has no secret group `{unknown}`", stack.name))
            .hint(crate::rules::nearest::hint(unknown, &known)));
    }
    let opened = source.open(&stack.esc, &Version::Latest).await?;
    let desired = Desired::collect(definition, &stack.name, &opened.values);
    let wanted = |group: &str| groups.is_empty() || groups.iter().any(|asked| asked == group);
    let variables = variables::variables(&desired, &wanted).map_err(|problems| {
        let message = format!("stack `{}` cannot be handed out as it is", stack.name);
        Failure::refused("variables-refused", message).problems(problems)
    })?;
    Ok(StackVariables { variables, warnings: desired.warnings, revision: opened.revision })
}

/// Renders variables in `style`.
///
/// # Errors
/// `export-refused` with every problem.
pub fn render(variables: &[Variable], style: Style, force: bool) -> Outcome<Rendered> {
    dotenv::render(variables.iter().map(|variable| (variable.name.as_str(), &*variable.value)), style, force).map_err(
        |problems| {
            Failure::refused("export-refused", "some values cannot be written in this form; nothing was written")
                .problems(problems)
        },
    )
}
