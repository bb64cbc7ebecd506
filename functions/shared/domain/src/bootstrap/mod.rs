//! A cluster as a whole is set up: what is applied step by step, when a step is verified, what is told in the end.

mod joining;
mod overview;
mod ports;
mod readiness;
mod request;

pub use joining::{Unjoined, unjoined};
pub use overview::{
    DaemonSetRow, MOST_ROWS, MasterRow, NodeGroupRow, NodeRow, Overview, Rows, UsageRow, VolumeRow, WorkerRow,
};
pub use ports::{
    GroupTypes, Inventory, KnownCluster, KnownClusters, LaunchTemplates, MasterRole, MasterRoles, Objects,
    TypeSource,
};
pub use readiness::{driver_of, pods_of, readiness, title, trouble_of_pod};
pub use request::Request;
