//! Floor 3: network, disk and keys. Nothing is decided here.

pub mod http;
pub mod source;
