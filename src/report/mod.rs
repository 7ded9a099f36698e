//! Floor 2: results as bytes, on a given writer. No type here can hold a secret value.
