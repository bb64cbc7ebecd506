//! Nodes, volumes and pods in the cluster's API server.
//!
//! [`Cluster`] implements the ports [`Nodes`](tidegate_domain::ports::Nodes),
//! [`Volumes`](tidegate_domain::ports::Volumes) and [`Pods`](tidegate_domain::ports::Pods), and tells where the Alluxio
//! masters are ([`MasterPlaces`](tidegate_domain::ports::MasterPlaces)). Everything is selected by labels or by the
//! node's name on the side of the API server: what a call costs does not grow with the cluster. Only the drift check
//! lists the cluster as a whole ([`ClusterView`](tidegate_domain::drift::ClusterView)).

mod candidates;
mod cluster;
mod connection;
mod copy_targets;
mod errors;
mod eviction;
mod listing;
mod login;
mod masters;
mod node_patch;
mod node_view;
mod nodes;
mod pod_view;
mod pods;
mod quantity;
mod rate;
mod volumes;
mod watch;

pub use cluster::Cluster;
