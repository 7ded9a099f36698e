//! Floor 0: the nouns that every floor shares, and the error type.

pub mod environment;
pub mod error;
pub mod secret;
pub mod target;
pub mod text;
pub mod yaml;
