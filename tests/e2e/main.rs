//! What a node goes through, end to end, in the local world: real Kubernetes, real Alluxio, the release binaries of
//! the functions, the state machines as they are deployed.
//!
//! Needs a world that is up (`make test` starts one). Each test makes its own Auto Scaling group, makes the thing
//! really happen, and looks at the world afterwards.

// A helper of a test that cannot go on ends the test; clippy knows only functions marked as tests for such.
#![allow(clippy::expect_used, clippy::panic)]

mod absent;
mod autoscaler;
mod bootstrap;
mod by_hand;
mod claims;
mod destroy;
mod drain;
mod drift;
mod drift_left;
mod faults;
mod join;
mod nothing_left;
mod outages;
mod plan;
mod retention;
mod samples;
mod spark;
mod story;
mod triggers;
mod victims;
mod world;
