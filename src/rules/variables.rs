//! The variables of a stack: what `export-env` writes and `run` hands to a program.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::desired::{Candidate, Desired};
use crate::base::error::{Place, Problem};
use crate::base::secret::SecretValue;
use crate::base::target::EntryKind;

/// One variable of a stack.
#[derive(Debug, Clone)]
pub struct Variable {
    pub name: String,
    pub group: String,
    pub kind: EntryKind,
    pub value: Arc<SecretValue>,
}

/// The variables of `desired` that `wanted` groups yield, in the order of the definition.
///
/// # Errors
/// All problems: `variable-missing` for each value that cannot be delivered, `variable-conflict` for a name that
/// two groups yield with different values.
pub fn variables(desired: &Desired, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<Variable>, Vec<Problem>> {
    let mut variables: Vec<Variable> = Vec::new();
    let mut problems = Vec::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for candidate in desired.candidates.iter().filter(|candidate| wanted(&candidate.group)) {
        let value = match &candidate.value {
            Ok(value) => value,
            Err(refusal) => {
                let message = format!("`{}` cannot be delivered: {}", candidate.name, refusal.message);
                problems.push(placed(Problem::error("variable-missing", message), candidate.place.as_deref()));
                continue;
            }
        };
        match seen.get(&*candidate.name).and_then(|index| variables.get(*index)) {
            Some(first) if first.value.same_as(value) => {}
            Some(first) => problems.push(conflict(candidate, &first.group)),
            None => {
                seen.insert(&candidate.name, variables.len());
                variables.push(Variable {
                    name: candidate.name.to_string(),
                    group: candidate.group.to_string(),
                    kind: candidate.kind,
                    value: Arc::clone(value),
                });
            }
        }
    }
    if problems.is_empty() { Ok(variables) } else { Err(problems) }
}

fn conflict(candidate: &Candidate, first: &str) -> Problem {
    let message = format!("groups `{first}` and `{}` give two values to `{}`", candidate.group, candidate.name);
    let problem =
        Problem::error("variable-conflict", message).hint("make them equal in ESC, or name one group with --group");
    placed(problem, candidate.place.as_deref())
}

fn placed(problem: Problem, place: Option<&Place>) -> Problem {
    match place {
        Some(place) => problem.at(place.clone()),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::plan::{Reason, Refusal};

    fn candidate(name: &str, group: &str, value: Result<&str, &str>) -> Candidate {
        let value = match value {
            Ok(text) => Ok(Arc::new(SecretValue::from(text.to_owned()))),
            Err(message) => Err(Refusal { reason: Reason::Missing, message: message.to_owned() }),
        };
        Candidate { name: name.into(), group: group.into(), kind: EntryKind::Secret, place: None, value }
    }

    #[test]
    fn equal_values_of_two_groups_are_one_variable_and_others_are_refused() {
        let candidates = vec![candidate("A", "x", Ok("1")), candidate("A", "y", Ok("1")), candidate("B", "y", Ok("2"))];
        let mut desired = Desired { candidates, ..Desired::default() };
        let names = |desired: &Desired, group: &str| {
            let found = variables(desired, &|name| group.is_empty() || name == group).unwrap();
            found.into_iter().map(|variable| variable.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&desired, ""), ["A", "B"]);
        desired.candidates.push(candidate("B", "x", Ok("3")));
        desired.candidates.push(candidate("C", "y", Err("nowhere")));
        let codes: Vec<&str> =
            variables(&desired, &|_| true).unwrap_err().into_iter().map(|problem| problem.code).collect();
        assert_eq!(codes, ["variable-conflict", "variable-missing"]);
        assert_eq!(names(&desired, "x"), ["A", "B"]);
    }
}
