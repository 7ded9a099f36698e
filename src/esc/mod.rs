//! Floor 1: the ESC environment language: parse, evaluate, edit. Loading and decrypting are callbacks.

pub mod diagnostic;
pub mod envelope;
pub mod interpolation;
pub mod path;
pub mod scalar;
pub mod spell;
pub mod value;
