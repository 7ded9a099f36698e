//! Floor 4: one file per command noun; orchestrates, prints nothing.

pub mod audit;
