//! What `init` writes: a definition as in the guide with the guide's table of rotations, and the workflow that
//! keeps GitHub equal to it.

use crate::base::target::RepositoryName;

const DEFINITION: &str = include_str!("init/definition.yaml");
const PLACES: &str = include_str!("init/places.yaml");

/// A workflow that syncs on a schedule; the same as the one in the docs.
pub const WORKFLOW: &str = include_str!("../../docs/workflows/scheduled.yml");

/// What a definition is made for.
#[derive(Debug, Clone)]
pub struct Answers {
    /// The Pulumi organization.
    pub organization: String,
    /// The ESC project.
    pub project: String,
    /// None: the definition shows how policies and targets are written, and has none.
    pub repository: Option<RepositoryName>,
}

/// The text of a first definition.
#[must_use]
pub fn definition(answers: &Answers) -> String {
    let places = match &answers.repository {
        Some(repository) => PLACES.replace("{{repository}}", &repository.to_string()),
        None => PLACES
            .replace("{{repository}}", &format!("{}/{}", answers.organization, "sophia"))
            .lines()
            .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("# {line}\n") })
            .collect::<String>()
            .replace("# # ", "# "),
    };
    let head = DEFINITION.replace("{{project}}", &answers.project).replace("{{organization}}", &answers.organization);
    head + &places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{config, policy, template};

    fn answers(repository: Option<&str>) -> Answers {
        Answers {
            organization: "payready".into(),
            project: "sophia-esc".into(),
            repository: repository.map(|name| name.parse().unwrap()),
        }
    }

    #[test]
    fn the_first_definition_is_valid_and_has_the_rotations_of_the_guide() {
        let text = definition(&answers(None));
        let loaded = config::load("d.yaml", &text).unwrap();
        assert!(loaded.warnings.is_empty() && loaded.definition.targets.is_empty());
        let days: Vec<(i64, &str)> = loaded
            .definition
            .groups
            .iter()
            .filter_map(|group| group.rotation.as_ref())
            .map(|rotation| (rotation.every.as_hours() / 24, rotation.owner.as_deref().unwrap_or_default()))
            .collect();
        let table =
            [(90, "DevOps"), (180, "Database Admin"), (365, "Security"), (90, "Integration Team"), (90, "DevOps")];
        assert_eq!(days, table);
        assert!(text.contains("\n# targets:\n#   - repository: payready/sophia\n"));
    }

    #[test]
    fn with_a_repository_every_target_is_granted_what_it_gets() {
        let loaded = config::load("d.yaml", &definition(&answers(Some("acme/app")))).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        assert_eq!(loaded.definition.targets.len(), 3);
        for target in &loaded.definition.targets {
            for group in &loaded.definition.groups {
                let stack = &target.stacks[0];
                assert!(
                    policy::decide_destination(&loaded.definition, &group.name, stack, &target.destination).allowed
                );
            }
        }
    }

    #[test]
    fn the_template_of_the_first_definition_holds_the_names_of_the_guide() {
        let loaded = config::load("d.yaml", &definition(&answers(None))).unwrap();
        let template = template::render(&loaded.definition);
        for line in [
            "OPENAI_API_KEY=your_openai_api_key_here",
            "PINECONE_API_KEY=your_pinecone_api_key_here",
            "POSTGRES_PASSWORD=your_postgres_password_here",
            "REDIS_PASSWORD=your_redis_password_here",
        ] {
            assert!(template.lines().any(|found| found == line), "{line}");
        }
    }
}
