//! Floor 1: decisions. Pure functions; `now` is a parameter.
