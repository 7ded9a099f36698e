//! What went wrong at Pulumi Cloud, in words that say what to do (esc-api.md §2.3).
//!
//! **A service's own sentence is repeated only after [`quoted`] took the credential and quoted scalars out
//! of it; a body that is not the service's JSON is never repeated.**

use reqwest::StatusCode;
use serde_json::Value as Json;

use super::exchange::{Answer, NoAnswer};
use crate::base::environment::EscName;
use crate::base::error::{Failure, Problem, Severity};
use crate::esc::diagnostic::Diagnostic;
use crate::esc::json;
use crate::io::http::BodyError;
use crate::io::pulumi_login::PulumiLogin;
use crate::io::source::{Version, text_of};

/// What was asked for; names the permission that a refusal lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Open,
    Read,
    Decrypt,
    History,
    Tag,
    Untag,
    Check,
    List,
    Create,
    Update,
    Delete,
    WhoAmI,
    AuditLog,
    Teams,
}

impl Deed {
    fn verb(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Decrypt => "decrypt",
            Self::History => "read the history of",
            Self::Tag => "tag a revision of",
            Self::Untag => "remove a revision tag of",
            Self::Check => "check a definition in",
            Self::List => "list the environments of",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::WhoAmI => "ask who it belongs to at",
            Self::AuditLog => "read the audit log of",
            Self::Teams => "read the teams of",
        }
    }

    /// The permission of Pulumi Cloud that it takes.
    fn permission(self) -> &'static str {
        match self {
            Self::Open | Self::Decrypt => "`open` on the environment",
            Self::Read | Self::History => "`read` on the environment",
            Self::Update | Self::Tag | Self::Untag => "`write` on the environment",
            Self::Delete => "`admin` on the environment",
            Self::Create => "to create environments in the organization",
            Self::Check | Self::List => "membership of the organization",
            Self::WhoAmI => "a token of a user or an organization",
            Self::AuditLog => "to read audit logs of the organization (an Enterprise feature)",
            Self::Teams => "to see the teams of the organization",
        }
    }
}

/// One call, as failures tell of it.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    pub deed: Deed,
    pub organization: &'a str,
    /// None when the call was about the organization or the account.
    pub environment: Option<&'a EscName>,
    /// The address of the service.
    pub root: &'a str,
    pub login: &'a PulumiLogin,
}

impl Told<'_> {
    fn object(&self) -> String {
        match (self.environment, self.organization) {
            (Some(name), _) => format!("`{name}`"),
            (None, "") => format!("`{}`", self.root),
            (None, organization) => format!("the organization `{organization}`"),
        }
    }

    fn did_not(&self) -> String {
        format!("could not {} {}", self.deed.verb(), self.object())
    }

    /// There was no answer at all.
    pub fn unanswered(&self, error: &NoAnswer) -> Failure {
        let code = match error {
            NoAnswer::Unreachable(_) | NoAnswer::Body(BodyError::Cut(_)) => "esc-unreachable",
            NoAnswer::Body(BodyError::TooLarge(_)) => "esc-answer",
        };
        Failure::unexpected(code, self.did_not()).cause(format!("Pulumi Cloud at `{}`: {error}", self.root)).hint(
            "check the network, the proxy (HTTPS_PROXY) and --esc-url; an encrypted backup can stand in: --from-backup",
        )
    }

    /// An answer of success that is not what the API promises; `what` says what is wrong, without content.
    pub fn malformed(&self, answer: &Answer, what: &str) -> Failure {
        let what = if answer.is_html() { "a web page instead of JSON" } else { what };
        Failure::unexpected("esc-answer", self.did_not())
            .cause(format!("Pulumi Cloud at `{}` answered {what}", self.root))
            .hint("is --esc-url the address of the API, such as https://api.pulumi.com, and not of its console or a proxy?")
    }

    /// The service said no.
    pub fn refused(&self, answer: &Answer) -> Failure {
        let json = json::read(&answer.body).ok();
        let diagnostics = json.as_ref().map(diagnostics).unwrap_or_default();
        if answer.status == StatusCode::BAD_REQUEST && !diagnostics.is_empty() {
            return self.faulty(&diagnostics);
        }
        let said = json.as_ref().and_then(|json| json.get("message")).and_then(Json::as_str);
        let failure = self.by_status(answer);
        match said {
            Some(said) => {
                failure.cause(format!("Pulumi Cloud says: {}", quoted(said, Some(self.login.token.reveal()))))
            }
            None if answer.is_html() => failure.cause("the answer was a web page, not the API's JSON"),
            None => failure,
        }
    }

    fn by_status(&self, answer: &Answer) -> Failure {
        let did_not = self.did_not();
        let source = &self.login.source;
        match answer.status.as_u16() {
            401 => Failure::auth("esc-token-rejected", format!("{did_not}: the token was not accepted"))
                .cause(format!("`{}` rejected the token from {source}", self.root))
                .hint(source.renewal()),
            403 => {
                Failure::auth("esc-forbidden", format!("{did_not}: it takes the permission {}", self.deed.permission()))
                    .cause(format!("the token from {source} does not have it"))
                    .hint("grant it in Pulumi Cloud: the environment's or team's access settings, or the token's role")
            }
            404 => Failure::unexpected("esc-not-found", format!("{did_not}: it was not found"))
                .hint("a name that the token may not see looks the same; check its spelling and the token's access"),
            409 if self.deed == Deed::Create => Failure::refused("esc-exists", format!("{} exists", self.object())),
            409 if self.deed == Deed::Delete => Failure::refused("esc-protected", did_not)
                .hint("lift the deletion protection in the environment's settings first"),
            409 | 412 => Failure::refused("esc-conflict", format!("{did_not}: someone else changed it in between"))
                .hint("read it again and repeat the change; nothing was written"),
            413 => Failure::refused("esc-too-large", format!("{did_not}: the definition is too large for the service")),
            429 => {
                let wait = answer.retry_after().map_or_else(String::new, |seconds| format!(" in {seconds} s"));
                Failure::unexpected("esc-rate-limited", format!("{did_not}: too many requests"))
                    .hint(format!("run it again{wait}; a run that stopped early repeats nothing that was done"))
            }
            300..=399 => Failure::unexpected("esc-redirect", format!("{did_not}: `{}` points elsewhere", self.root))
                .hint("give --esc-url the address of the API itself; redirects are not followed with a token"),
            status @ 500..=599 => {
                let id = answer.header("pulumi-request-id").or_else(|| answer.header("x-pulumi-request-id"));
                let request = id
                    .filter(|id| id.len() <= 100 && id.bytes().all(|b| b.is_ascii_graphic()))
                    .map_or_else(String::new, |id| format!(" (request id `{id}`)"));
                Failure::unexpected("esc-unavailable", format!("{did_not}: the service answered {status}{request}"))
                    .hint("see https://status.pulumi.com; an encrypted backup can stand in: --from-backup")
            }
            status => Failure::unexpected("esc-refused", format!("{did_not}: the service answered {status}")),
        }
    }

    /// The environment's definition has errors; each is listed with its place.
    pub fn faulty(&self, diagnostics: &[Diagnostic]) -> Failure {
        let problems = diagnostics.iter().map(|diagnostic| {
            let found = diagnostic.problem(|called| match self.environment {
                Some(name) => text_of(name, &Version::Latest, called),
                None => called.to_owned(),
            });
            Problem { message: quoted(&found.message, Some(self.login.token.reveal())), ..found }
        });
        let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
        let count = if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") };
        Failure::unexpected("esc-diagnostics", format!("{}: its definition has {count}", self.did_not()))
            .problems(problems)
            .hint("correct the definition with `env edit`; places are line and column of the environment named")
    }
}

/// The diagnostics of an answer; none when it has no such member.
pub fn diagnostics(json: &Json) -> Vec<Diagnostic> {
    let list = json.get("diagnostics").and_then(Json::as_array);
    list.map(|list| list.iter().map(Diagnostic::from_json).collect()).unwrap_or_default()
}

/// A sentence of the service, fit to be shown: one line, at most 400 characters, without `credential`, and
/// without the scalar that a YAML reader quotes (``cannot unmarshal !!str `hunter2` into …``).
pub fn quoted(sentence: &str, credential: Option<&str>) -> String {
    let mut text: String = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(credential) = credential {
        text = text.replace(credential, "***");
    }
    let mut from = 0;
    while let Some(tag) = text.get(from..).and_then(|rest| rest.find("!!")).map(|at| from + at) {
        let Some(open) = text[tag..].find(" `").map(|at| tag + at + 2) else { break };
        let close = text[open..].find('`').map_or(text.len(), |at| open + at);
        text.replace_range(open..close, "…");
        from = open;
    }
    text.retain(|c| !c.is_control());
    if let Some((cut, _)) = text.char_indices().nth(400) {
        text.truncate(cut);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_sentence_holds_no_credential_no_scalar_and_no_line_break() {
        let said = "yaml: unmarshal errors:\n  line 2: cannot unmarshal !!str `marker-...` into map; \
                    line 3: cannot unmarshal !!int `7` into list; token pul-marker";
        let text = quoted(said, Some("pul-marker"));
        assert_eq!(
            text,
            "yaml: unmarshal errors: line 2: cannot unmarshal !!str `…` into map; line 3: cannot unmarshal !!int `…` into list; token ***"
        );
        assert_eq!(quoted("!!str `marker without an end", None), "!!str `…");
        assert_eq!(quoted("a !! b", None), "a !! b");
        assert_eq!(quoted(&"é".repeat(500), None).chars().count(), 401);
        assert_eq!(quoted("a\u{1b}[31m\u{7}b", None), "a[31mb");
    }
}
