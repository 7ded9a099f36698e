//! Floor 1: decisions. Pure functions; `now` is a parameter.

pub mod audit;
pub mod audit_chain;
pub mod cost;
pub mod digest;
pub mod dotenv;
pub mod ledger;
pub mod placeholder;
pub mod plan;
pub mod steps;
pub mod config;
pub mod definition;
pub mod interval;
pub mod naming;
pub mod nearest;
mod resolve;
pub mod schema;
mod shape;
