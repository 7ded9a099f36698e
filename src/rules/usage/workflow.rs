//! Workflows and actions: which job reads which secret, and in which GitHub environment.

use std::collections::BTreeSet;

use super::expression::{Context, Reference, expressions, references};
use super::{FileKind, How, JobEnvironment, Reading, Text};
use crate::base::error::Problem;
use crate::base::yaml::{self, Content, Node};
use crate::rules::naming;

/// Reads a workflow or an action.
///
/// # Errors
/// A sentence, when it is not YAML.
pub fn read(text: &Text<'_>) -> Result<Reading, String> {
    let mut reading = Reading::default();
    let root =
        yaml::parse_without_aliases(text.text).map_err(|error| format!("line {}: {error}", error.mark.line()))?;
    let Some(root) = root else { return Ok(reading) };
    // A called workflow's own inputs: they are named by the caller, and are no secrets of the repository.
    let passed = root.get("on").and_then(|on| on.get("workflow_call")).and_then(|call| call.get("secrets"));
    let passed: BTreeSet<String> = keys(passed).map(naming::fold).collect();
    let is_action = root.get("runs").is_some();
    let outside = if is_action { JobEnvironment::Unknown } else { JobEnvironment::None };
    let mut walk = Walk { text, passed, reading: &mut reading };
    for (key, value) in entries(&root) {
        if key.scalar() != Some("jobs") {
            walk.visit(key.scalar(), value, &outside);
            continue;
        }
        for (_, job) in entries(value) {
            let environment = environment(job);
            walk.visit(None, job, &environment);
            if let Some(secrets) = job.get("secrets").filter(|secrets| secrets.scalar() == Some("inherit")) {
                let called = job.get("uses").and_then(Node::scalar).unwrap_or("the called workflow");
                let message = format!("`{called}` gets every secret of this repository, whichever it needs");
                let problem = Problem::warning("secrets-inherited", message).at(text.place(secrets.span.start.byte()));
                walk.reading.problems.push(problem.hint("name the secrets that it needs under `secrets:`"));
            }
        }
    }
    Ok(reading)
}

fn entries(node: &Node) -> &[(Node, Node)] {
    match &node.content {
        Content::Mapping(entries) => entries,
        _ => &[],
    }
}

fn keys(node: Option<&Node>) -> impl Iterator<Item = &str> {
    node.into_iter().flat_map(entries).filter_map(|(key, _)| key.scalar())
}

fn environment(job: &Node) -> JobEnvironment {
    let Some(environment) = job.get("environment") else { return JobEnvironment::None };
    match environment.scalar().or_else(|| environment.get("name").and_then(Node::scalar)) {
        Some(name) if !name.contains("${{") => JobEnvironment::Named(name.to_owned()),
        _ => JobEnvironment::Unknown,
    }
}

struct Walk<'a, 't> {
    text: &'a Text<'t>,
    passed: BTreeSet<String>,
    reading: &'a mut Reading,
}

impl Walk<'_, '_> {
    fn visit(&mut self, key: Option<&str>, node: &Node, environment: &JobEnvironment) {
        match &node.content {
            Content::Mapping(entries) => {
                for (key, value) in entries {
                    self.visit(key.scalar(), value, environment);
                }
            }
            Content::Sequence(items) => items.iter().for_each(|item| self.visit(None, item, environment)),
            Content::Scalar { .. } => {
                let (start, end) = (node.span.start.byte(), node.span.end.byte());
                let raw = self.text.text.get(start..end).unwrap_or_default();
                let mut found = expressions(raw);
                // A condition is an expression also without the braces.
                if key == Some("if") && found.is_empty() {
                    found.push((0, raw));
                }
                for (at, expression) in found {
                    for (within, reference) in references(expression) {
                        self.add(reference, start + at + within, environment);
                    }
                }
            }
        }
    }

    fn add(&mut self, reference: Reference, at: usize, environment: &JobEnvironment) {
        let place = self.text.place(at);
        let problem = match reference {
            Reference::Named(Context::Secrets, name) => {
                if !self.passed.contains(&naming::fold(&name)) {
                    let how = How::Secret(environment.clone());
                    self.reading.uses.push(self.text.used(&name, at, FileKind::Workflow, how));
                }
                return;
            }
            Reference::Named(Context::Variables, name) => {
                return self.reading.uses.push(self.text.used(&name, at, FileKind::Workflow, How::Variable));
            }
            Reference::Computed(Context::Variables) | Reference::All(Context::Variables) => return,
            Reference::Computed(Context::Secrets) => {
                Problem::warning("secrets-computed", "the name of this secret is computed, so it cannot be checked")
                    .hint("write `secrets.NAME`, one for each name, and choose among the results")
            }
            Reference::All(Context::Secrets) => {
                Problem::warning("secrets-all", "every secret of this repository is read at once")
                    .hint("name the secrets that are needed: what reads all of them can lose all of them")
            }
        };
        self.reading.problems.push(problem.at(place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKFLOW: &str = "\
on:
  push:
  workflow_call:
    secrets: { passed: {} }
env:
  A: ${{ secrets.AT_THE_TOP }}
jobs:
  deploy:
    environment: { name: production }
    if: vars.ENABLED == 'yes'
    env: &shared
      B: \"${{ secrets['IN_A_JOB'] }}\"
    steps:
      - run: |
          # not yaml's comment: ${{ secrets.IN_A_BLOCK }}
          echo # ${{ secrets.PASSED }}
      - env: *shared
      # ${{ secrets.COMMENTED }}
  call:
    environment: ${{ inputs.where }}
    uses: ./.github/workflows/x.yml
    secrets: inherit
  all:
    steps: [{ run: \"${{ toJSON(secrets) }} ${{ secrets[matrix.x] }} ${{ secrets.DYNAMIC }}\" }]
";

    #[test]
    fn uses_have_a_place_and_the_environment_of_their_job() {
        let reading = read(&Text::new("w.yml", WORKFLOW)).unwrap();
        let production = How::Secret(JobEnvironment::Named("production".into()));
        let uses: Vec<(&str, &How, usize, usize)> = reading
            .uses
            .iter()
            .map(|used| (used.name.as_str(), &used.how, used.place.line, used.place.column))
            .collect();
        assert_eq!(
            uses,
            [
                ("AT_THE_TOP", &How::Secret(JobEnvironment::None), 6, 10),
                ("ENABLED", &How::Variable, 10, 9),
                ("IN_A_JOB", &production, 12, 15),
                ("IN_A_BLOCK", &production, 15, 37),
                ("DYNAMIC", &How::Secret(JobEnvironment::None), 24, 73),
            ]
        );
        let codes: Vec<(&str, usize)> =
            reading.problems.iter().map(|problem| (problem.code, problem.place.as_ref().unwrap().line)).collect();
        assert_eq!(codes, [("secrets-inherited", 22), ("secrets-all", 24), ("secrets-computed", 24)]);
    }

    #[test]
    fn an_action_has_no_environment_of_its_own_and_broken_yaml_is_told() {
        let action = "runs:\n  using: composite\n  steps:\n    - run: echo ${{ secrets.A }}\n";
        let reading = read(&Text::new("action.yml", action)).unwrap();
        assert_eq!(reading.uses[0].how, How::Secret(JobEnvironment::Unknown));
        assert!(read(&Text::new("w.yml", "a: [1,\nb: 2\n")).unwrap_err().starts_with("line 2: "));
        assert_eq!(read(&Text::new("w.yml", "")).unwrap(), Reading::default());
    }
}
