//! What was asked, in order of arrival; for tests that count requests. Never a header, never a body.

use std::collections::BTreeSet;

use serde::Serialize;

/// One request that arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request {
    /// `github`, `pulumi` or `id-token`.
    pub service: &'static str,
    pub method: String,
    /// Raw path, without the query.
    pub path: String,
    pub query: String,
    /// None while it is being answered, and when the connection was cut instead.
    pub status: Option<u16>,
    /// Time to the answer in milliseconds, injected latency included.
    pub milliseconds: u64,
    /// Number of the connection it came on.
    pub connection: u64,
}

/// The requests since the start or the last clearing.
#[derive(Default)]
pub struct RequestLog {
    entries: Vec<Request>,
    cleared: usize,
    in_flight: usize,
    most_in_flight: usize,
}

impl RequestLog {
    /// Notes an arrival; the answer is a ticket for [`Self::leave`].
    pub fn arrive(&mut self, request: Request) -> usize {
        self.in_flight += 1;
        self.most_in_flight = self.most_in_flight.max(self.in_flight);
        self.entries.push(request);
        self.cleared + self.entries.len() - 1
    }

    pub fn leave(&mut self, ticket: usize, status: Option<u16>, milliseconds: u64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(entry) = ticket.checked_sub(self.cleared).and_then(|index| self.entries.get_mut(index)) {
            entry.status = status;
            entry.milliseconds = milliseconds;
        }
    }

    /// Requests that are being answered now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    #[must_use]
    pub fn entries(&self) -> &[Request] {
        &self.entries
    }

    pub fn clear(&mut self) {
        self.cleared += self.entries.len();
        self.entries.clear();
        self.most_in_flight = self.in_flight;
    }

    /// Numbers over the log, for benchmarks.
    #[must_use]
    pub fn statistics(&self) -> serde_json::Value {
        let connections: BTreeSet<u64> = self.entries.iter().map(|entry| entry.connection).collect();
        serde_json::json!({
            "requests": self.entries.len(), "connections": connections.len(), "most_at_once": self.most_in_flight
        })
    }
}
