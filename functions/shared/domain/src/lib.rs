//! What is true about nodes, hooks, disks and caches, and every decision about them.
//!
//! Nothing here reads a clock, a file, the environment or the network: the world arrives as plain data,
//! the time as an argument, and what comes back is what should be done. The adapters implement [`ports`];
//! the functions call a decision with what the adapters saw and carry out what it says.

pub mod api_server;
pub mod bootstrap;
pub mod cache;
pub mod capacity;
pub mod claim;
pub mod cordon;
pub mod deadline;
pub mod destroy;
pub mod disks;
pub mod drift;
pub mod error;
pub mod evict;
pub mod join;
pub mod launches;
pub mod names;
pub mod node;
pub mod outcome;
pub mod plan;
pub mod ports;
pub mod resolve;
pub mod retire;
pub mod several;
pub mod subject;
pub mod trigger;
pub mod turn;
pub mod victims;
