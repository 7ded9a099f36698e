//! The addresses of Pulumi Cloud's REST API (esc-api.md §4).

use url::Url;

use crate::base::environment::EscName;
use crate::base::error::{Failure, Outcome};
use crate::io::http::HttpSettings;
use crate::io::source::{Secrets, Version};

/// Where the public service listens.
pub const PUBLIC: &str = "https://api.pulumi.com";

/// One Pulumi Cloud: the root that all paths are appended to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(Url);

impl Root {
    /// Takes the address as typed; a trailing `/` does not matter.
    ///
    /// # Errors
    /// `esc-url` for a text that is no `https` address of an API. Plain `http` would show the token to the
    /// network and is taken for loopback only.
    pub fn new(address: &str) -> Outcome<Self> {
        let wrong = |why: &str| {
            Failure::usage("esc-url", format!("`{address}` is not the address of a Pulumi Cloud: {why}"))
                .hint(format!("give --esc-url the root of the API, such as {PUBLIC}"))
        };
        let url = Url::parse(address).map_err(|error| wrong(&error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Failure::usage("esc-url", "the address of Pulumi Cloud must not hold a user or password")
                .hint("give the token in PULUMI_ACCESS_TOKEN"));
        }
        match url.scheme() {
            "https" => {}
            "http" if HttpSettings::toward(&url).direct => {}
            "http" => return Err(wrong("plain http would show the token to the network")),
            scheme => return Err(wrong(&format!("the scheme `{scheme}` is not https"))),
        }
        match url.host_str() {
            Some(host @ ("pulumi.com" | "www.pulumi.com" | "app.pulumi.com")) => {
                return Err(wrong(&format!("`{host}` serves web pages")));
            }
            Some(_) => {}
            None => return Err(wrong("it names no host")),
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it holds a query"));
        }
        Ok(Self(url))
    }

    /// The root itself.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The root as `pulumi login` writes it: without a trailing `/`.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    fn join(&self, parts: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts);
        }
        url
    }

    /// `POST` here exchanges an OIDC token (esc-api.md §7.2).
    #[must_use]
    pub fn token_exchange(&self) -> Url {
        self.join(&["api", "oauth", "token"])
    }

    #[must_use]
    pub fn user(&self) -> Url {
        self.join(&["api", "user"])
    }

    #[must_use]
    pub fn audit_log(&self, organization: &str) -> Url {
        self.join(&["api", "orgs", organization, "auditlogs"])
    }

    #[must_use]
    pub fn teams(&self, organization: &str) -> Url {
        self.join(&["api", "orgs", organization, "teams"])
    }

    #[must_use]
    pub fn team(&self, organization: &str, team: &str) -> Url {
        self.join(&["api", "orgs", organization, "teams", team])
    }

    #[must_use]
    pub fn organization(&self, organization: &str) -> Url {
        self.join(&["api", "esc", "environments", organization])
    }

    #[must_use]
    pub fn check(&self, organization: &str) -> Url {
        let mut url = self.join(&["api", "esc", "environments", organization, "yaml", "check"]);
        url.set_query(Some("showSecrets=false"));
        url
    }

    fn under(&self, name: &EscName, version: &Version, rest: &[&str]) -> Url {
        let EscName { organization, project, environment } = name;
        let mut parts = vec!["api", "esc", "environments", organization, project, environment];
        let number;
        match version {
            Version::Latest => {}
            Version::Revision(revision) => {
                number = revision.to_string();
                parts.extend(["versions", &number]);
            }
            Version::Tag(tag) => parts.extend(["versions", tag]),
        }
        parts.extend(rest);
        self.join(&parts)
    }

    #[must_use]
    pub fn environment(&self, name: &EscName) -> Url {
        self.under(name, &Version::Latest, &[])
    }

    #[must_use]
    pub fn definition(&self, name: &EscName, version: &Version, secrets: Secrets) -> Url {
        let rest: &[&str] = if secrets == Secrets::Decrypted { &["decrypt"] } else { &[] };
        self.under(name, version, rest)
    }

    /// `POST` here opens a session of `minutes`.
    #[must_use]
    pub fn open(&self, name: &EscName, version: &Version, minutes: u32) -> Url {
        let mut url = self.under(name, version, &["open"]);
        url.set_query(Some(&format!("duration={minutes}m0s")));
        url
    }

    /// A session is read here whatever version it opened.
    #[must_use]
    pub fn session(&self, name: &EscName, session: &str) -> Url {
        self.under(name, &Version::Latest, &["open", session])
    }

    #[must_use]
    pub fn revisions(&self, name: &EscName, before: u64, count: usize) -> Url {
        let mut url = self.under(name, &Version::Latest, &["versions"]);
        url.set_query(Some(&format!("before={before}&count={count}")));
        url
    }

    /// `POST` here makes a revision tag.
    #[must_use]
    pub fn revision_tags(&self, name: &EscName) -> Url {
        self.under(name, &Version::Latest, &["versions", "tags"])
    }

    #[must_use]
    pub fn revision_tag(&self, name: &EscName, tag: &str) -> Url {
        self.under(name, &Version::Latest, &["versions", "tags", tag])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_fact_sheet() {
        let root = Root::new("http://127.0.0.1:8080/").unwrap();
        let name: EscName = "acme/default/prod".parse().unwrap();
        let tag = Version::Tag("a b/../c".into());
        assert_eq!(root.text(), "http://127.0.0.1:8080");
        for (url, path) in [
            (root.user(), "/api/user"),
            (root.token_exchange(), "/api/oauth/token"),
            (root.organization("acme"), "/api/esc/environments/acme"),
            (root.team("acme", "a/b"), "/api/orgs/acme/teams/a%2Fb"),
            (root.check("acme"), "/api/esc/environments/acme/yaml/check?showSecrets=false"),
            (root.environment(&name), "/api/esc/environments/acme/default/prod"),
            (
                root.definition(&name, &Version::Revision(3), Secrets::Decrypted),
                "/api/esc/environments/acme/default/prod/versions/3/decrypt",
            ),
            (
                root.open(&name, &tag, 15),
                "/api/esc/environments/acme/default/prod/versions/a%20b%2F..%2Fc/open?duration=15m0s",
            ),
            (root.session(&name, "id"), "/api/esc/environments/acme/default/prod/open/id"),
            (root.revision_tag(&name, "a/b"), "/api/esc/environments/acme/default/prod/versions/tags/a%2Fb"),
            (root.revisions(&name, 0, 5), "/api/esc/environments/acme/default/prod/versions?before=0&count=5"),
        ] {
            assert_eq!(url.as_str(), format!("http://127.0.0.1:8080{path}"));
        }
        let deep = Root::new("https://pulumi.example.com/cloud/").unwrap();
        assert_eq!(deep.user().as_str(), "https://pulumi.example.com/cloud/api/user");
    }

    #[test]
    fn refuses_what_is_no_api() {
        for address in [
            "",
            "api.pulumi.com",
            "https://app.pulumi.com/acme",
            "https://pulumi.com",
            "s3://bucket",
            "http://pulumi.example.com",
            "https://api.pulumi.com?x=1",
        ] {
            let failure = Root::new(address).unwrap_err();
            assert_eq!((failure.code, failure.kind.exit_code()), ("esc-url", 2), "{address}");
        }
        let failure = Root::new("https://user:marker@api.pulumi.com").unwrap_err();
        assert!(!format!("{failure:?}").contains("marker"));
    }
}
