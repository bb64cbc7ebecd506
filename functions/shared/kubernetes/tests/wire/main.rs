//! What goes over the wire to the API server, and what is made of its answers.

mod candidates;
mod copy_targets;
mod errors;
mod listing;
mod masters;
mod nodes;
mod pods;
mod script;
mod teardown;
mod volumes;
