//! Annex: loopback GitHub and Pulumi Cloud over real HTTP, for the demo and the tests.
