//! Floor 1: the ESC environment language: parse, evaluate, edit. Loading and decrypting are callbacks.

mod access;
mod builtins;
pub mod call;
pub mod diagnostic;
pub mod document;
mod dynamic;
pub mod envelope;
pub mod eval;
mod export;
pub mod expression;
mod graph;
pub mod interpolation;
pub mod path;
pub mod provider;
pub mod scalar;
pub mod schema;
pub mod spell;
mod validate;
pub mod value;
