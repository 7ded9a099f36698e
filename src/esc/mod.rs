//! Floor 1: the ESC environment language: parse, evaluate, edit. Loading and decrypting are callbacks.

pub mod diagnostic;
pub mod envelope;
pub mod path;
pub mod value;
