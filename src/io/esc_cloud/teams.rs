//! The teams of a Pulumi organization and the ESC environments that each may open
//! (`GET /api/orgs/{organization}/teams` and `…/teams/{team}`; teams are a feature of the Enterprise editions).

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::errors::Deed;
use super::{PulumiCloud, json_of};
use crate::base::error::Outcome;
use crate::rules::policy::findings::Team;

impl PulumiCloud {
    /// All teams. What a listing leaves out of a team is asked for, one request each.
    ///
    /// # Errors
    /// `esc-forbidden` and the other failures of a call.
    pub async fn teams(&self, organization: &str) -> Outcome<Vec<Team>> {
        let told = self.told(Deed::Teams, organization, None);
        let answer = self.get(&told, self.root.teams(organization)).await?;
        let listed = json_of(&told, &answer)?;
        let listed = listed.get("teams").and_then(Json::as_array);
        let listed = listed.ok_or_else(|| told.malformed(&answer, "no `teams`"))?;
        let mut teams = Vec::new();
        for entry in listed {
            let name = entry.get("name").and_then(Json::as_str);
            let name = name.ok_or_else(|| told.malformed(&answer, "a team without a name"))?;
            let opens = match entry.get("environments").filter(|environments| environments.is_array()) {
                Some(environments) => opens(environments),
                None => {
                    let answer = self.get(&told, self.root.team(organization, name)).await?;
                    opens(&json_of(&told, &answer)?["environments"])
                }
            };
            teams.push(Team { name: name.to_owned(), opens });
        }
        Ok(teams)
    }
}

/// The environments among a team's settings whose permission opens them.
fn opens(environments: &Json) -> BTreeMap<String, String> {
    let read = |entry: &Json| {
        let text = |name: &str| entry.get(name).and_then(Json::as_str);
        let permission = text("permission").filter(|word| ["open", "write", "admin"].contains(word))?;
        Some((format!("{}/{}", text("projectName")?, text("envName")?), permission.to_owned()))
    };
    environments.as_array().into_iter().flatten().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_opens_counts() {
        let settings = json!([
            {"projectName": "p", "envName": "prod", "permission": "open", "maxOpenDuration": "1h"},
            {"projectName": "p", "envName": "dev", "permission": "admin"},
            {"projectName": "p", "envName": "seen", "permission": "read"},
            {"projectName": "p", "envName": "none", "permission": "none"},
            {"envName": "odd", "permission": "open"}
        ]);
        let read: Vec<(String, String)> = opens(&settings).into_iter().collect();
        assert_eq!(read, [("p/dev".into(), "admin".into()), ("p/prod".into(), "open".into())]);
        assert!(opens(&Json::Null).is_empty());
    }
}
