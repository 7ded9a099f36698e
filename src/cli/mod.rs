//! Floor 5: argv, environment, clock, streams and the exit code.
