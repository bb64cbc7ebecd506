//! Alluxio masters over gRPC and workers over HTTP: the adapters of [`tidegate_domain::ports::CacheMaster`] and
//! [`tidegate_domain::ports::CacheWorker`].
//!
//! Made for Alluxio 2.9.4 to 2.9.6. 2.9.3 answers everything but the decommission. What is said here of the
//! server's ways is from its sources at 2.9.6 and from runs of it.
//!
//! - [`AlluxioMaster`] finds the primary among the masters that are named, or that run in the cluster, logs in, and gives
//!   every call a deadline.
//! - [`AlluxioWorkers`] asks workers on their web port, a page at a time.
//!
//! Errors are `AlluxioUnavailable` (ask again later), `AlluxioRefused` (a person has to do something; the sentence
//! says what) or `Defect` (an answer that this code does not know).

mod connection;
mod convert;
mod copies;
mod error;
mod listing;
mod login;
mod master;
mod mounts;
mod roles;
mod worker;

pub use login::Login;
pub use master::AlluxioMaster;
pub use worker::AlluxioWorkers;

/// What the protocol files become.
mod proto {
    // Generated code keeps neither our lints nor Rust's names.
    #![allow(
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        clippy::pedantic
    )]
    tonic::include_proto!("alluxio");

    pub use alluxio::grpc::*;
}
