//! Floor 1: the ESC environment language: parse, evaluate, edit. Loading and decrypting are callbacks.

mod access;
mod base64;
mod builtins;
pub mod call;
pub mod changes;
pub mod diagnostic;
pub mod document;
mod dynamic;
pub mod edit;
pub mod emit;
pub mod envelope;
pub mod eval;
mod evaluator;
mod export;
pub mod expression;
pub mod flat;
mod graph;
pub mod interpolation;
pub mod json;
pub mod page;
pub mod path;
pub mod projection;
pub mod provider;
pub mod scalar;
pub mod schema;
pub mod spell;
pub mod splice;
pub mod stored;
mod validate;
pub mod value;

#[cfg(test)]
mod edit_tests;
