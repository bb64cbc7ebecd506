//! The contracts between the parts: state machines, functions, template, rights. Nothing runs here but the decisions
//! themselves: the definitions as they are deployed, walked with the reference engine of `JSONata`, by answers of the
//! functions' own types.

// Every function here serves a test: what fails is told by panicking.
#![allow(clippy::expect_used, clippy::panic)]

mod account;
mod answers;
mod bootstrap;
mod claims;
mod definition;
mod destroy;
mod documents;
mod drain;
mod drain_by_hand;
mod drain_in_trouble;
mod drift_check;
mod drift_in_time;
mod drift_repairs;
mod ending;
mod engine;
mod errors;
mod expressions;
mod faults;
mod functions;
mod join;
mod join_in_trouble;
mod launches;
mod machines;
mod outcomes;
mod plans;
mod repository;
mod samples;
mod scene;
mod several;
mod situations;
mod spark;
mod template;
mod turns;
mod walker;
