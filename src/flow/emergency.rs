//! `emergency`: for the day when a secret is out, or ESC is away.

pub mod backup;
pub mod drill;
pub mod respond;
pub mod restore;
