//! Teams of the loopback Pulumi Cloud. The listing leaves out what each may do, as a client must expect.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::esc::{Account, Esc, error};
use super::exchange::Reply;

/// By organization and team, the permission on each `project/environment`.
pub type Teams = BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>;

impl Esc {
    /// `GET /api/orgs/{organization}/teams`, and one of them.
    pub fn teams(&self, account: &Account, organization: &str, asked: Option<&str>) -> Reply {
        if !account.sees(organization) {
            return error(404, "Not Found: organization");
        }
        let of_organization = self.teams.get(organization);
        let about = |name: &str| json!({"kind": "pulumi", "name": name, "displayName": name, "description": ""});
        let Some(asked) = asked else {
            let listed: Vec<Json> = of_organization.into_iter().flatten().map(|(name, _)| about(name)).collect();
            return Reply::json(200, json!({ "teams": listed }));
        };
        let Some(permissions) = of_organization.and_then(|teams| teams.get(asked)) else {
            return error(404, "Not Found: team");
        };
        let setting = |(place, permission): (&String, &String)| {
            let (project, environment) = place.split_once('/').unwrap_or(("default", place));
            json!({"projectName": project, "envName": environment, "permission": permission})
        };
        let mut team = about(asked);
        team["environments"] = permissions.iter().map(setting).collect();
        Reply::json(200, team)
    }
}
