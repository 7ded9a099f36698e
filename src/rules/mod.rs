//! Floor 1: decisions. Pure functions; `now` is a parameter.

pub mod audit;
pub mod audit_chain;
pub mod config;
pub mod cost;
pub mod definition;
pub mod delivery;
pub mod desired;
pub mod digest;
pub mod dotenv;
pub mod import;
pub mod init;
pub mod interval;
pub mod ledger;
pub mod naming;
pub mod nearest;
pub mod outcome;
pub mod permissions;
pub mod placeholder;
pub mod plan;
pub mod policy;
pub mod redaction;
mod resolve;
pub mod schema;
mod shape;
pub mod steps;
pub mod template;
pub mod variables;
