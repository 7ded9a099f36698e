//! What stands before a sandbox that serves a real store: whose secrets are no test's.
//!
//! Other processes of the machine reach a loopback port too, and so does a web page whose host name was made to
//! point to it. So everything that shows or changes environments takes the token of this start, and requests
//! must be meant for this machine.

use crypto_box::aead::OsRng;
use crypto_box::aead::rand_core::RngCore;
use serde_json::json;

use super::exchange::{Call, Reply};

/// A token of Pulumi Cloud that nobody can guess.
#[must_use]
pub fn new_token() -> String {
    let mut bytes = [0; 20];
    OsRng.fill_bytes(&mut bytes);
    format!("pul-{}", hex::encode(bytes))
}

/// The token of one start.
pub struct Guard {
    token: String,
}

impl Guard {
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self { token: token.to_owned() }
    }

    /// The refusal of a request that is not meant for this machine (`port` is what it came in by; none for a Unix
    /// socket, which no web page reaches), or that asks for what needs no token elsewhere: the administrative side
    /// and tokens for jobs.
    #[must_use]
    pub fn refusal(&self, call: &Call, port: Option<u16>) -> Option<Reply> {
        if let Some(port) = port
            && !["127.0.0.1", "localhost", "[::1]"]
                .iter()
                .any(|own| call.header("host") == Some(&format!("{own}:{port}")))
        {
            return Some(Reply::json(421, json!({"code": 421, "message": "Misdirected Request: not this host"})));
        }
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        let open = !matches!(segments.as_slice(), ["_sandbox" | "_actions", ..] | ["api", "oauth", "token"]);
        let given = call.header("authorization").and_then(|header| header.strip_prefix("token "));
        if open || given == Some(self.token.as_str()) {
            return None;
        }
        let message = "Unauthorized: a store is served here, which takes the token that `sandbox` printed";
        Some(Reply::json(401, json!({"code": 401, "message": message})))
    }
}
