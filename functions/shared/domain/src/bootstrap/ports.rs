//! What setting a cluster up needs of the neighbours.

#![allow(async_fn_in_trait)]

use std::collections::BTreeMap;

use serde_json::Value;

use super::overview::{DaemonSetRow, NodeGroupRow, NodeRow, Rows, UsageRow, VolumeRow};
use crate::api_server::ApiServer;
use crate::error::Result;

/// What EKS says of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownCluster {
    /// `version`: the Kubernetes minor.
    pub version: String,
    /// `status`: `ACTIVE`, `CREATING`, ...
    pub status: String,
    /// Where its API server is; none while it is being made.
    pub api_server: Option<ApiServer>,
}

/// EKS.
pub trait KnownClusters {
    /// Our cluster; none where there is none of its name.
    async fn cluster(&self) -> Result<Option<KnownCluster>>;
    /// Its managed node groups, by name.
    async fn node_groups(&self) -> Result<Vec<NodeGroupRow>>;
}

/// Where a group's instance type stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TypeSource {
    /// The group names it.
    Type(String),
    /// A version of a launch template names it.
    LaunchTemplate {
        /// `LaunchTemplateId`.
        id: String,
        /// `Version`: a number, `$Latest` or `$Default`.
        version: String,
    },
}

/// Auto Scaling.
pub trait GroupTypes {
    /// What each of these groups launches, whether it has instances or not. Groups that do not exist are left out, and
    /// so is what only attributes describe (`InstanceRequirements`).
    async fn launched_types(&self, groups: &[String]) -> Result<BTreeMap<String, Vec<TypeSource>>>;
}

/// EC2.
pub trait LaunchTemplates {
    /// The instance type of a version of a launch template; none where it names none.
    async fn instance_type(&self, id: &str, version: &str) -> Result<Option<String>>;
}

/// Objects of the API server, whatever their kind.
pub trait Objects {
    /// The object of that kind, namespace and name; none where there is none, or no such kind.
    async fn get(&self, object: &Value) -> Result<Option<Value>>;
    /// Applies an object (server-side, as [`crate::names::FIELD_MANAGER`]); what others own in it stays.
    async fn apply(&self, object: &Value) -> Result<Value>;
}

/// What an Alluxio master does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MasterRole {
    /// It serves.
    Primary,
    /// It answers, and turns callers away: another serves, or it is starting.
    Standby,
    /// It does not answer.
    Silent,
}

impl MasterRole {
    /// As a table has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Primary => "PRIMARY",
            Self::Standby => "STANDBY",
            Self::Silent => "SILENT",
        }
    }
}

/// The Alluxio masters, each asked for itself.
pub trait MasterRoles {
    /// What each of them does, by `host:port`.
    async fn master_roles(&self) -> Result<BTreeMap<String, MasterRole>>;
}

/// The cluster as a reader is shown it; each listing ends with its first page.
pub trait Inventory {
    /// Nodes.
    async fn node_rows(&self) -> Result<Rows<NodeRow>>;
    /// `DaemonSet`s of all namespaces.
    async fn daemon_set_rows(&self) -> Result<Rows<DaemonSetRow>>;
    /// Volumes.
    async fn volume_rows(&self) -> Result<Rows<VolumeRow>>;
    /// What nodes use, as `kubectl top node`; none where nothing measures it.
    async fn usage_rows(&self) -> Result<Option<Rows<UsageRow>>>;
}
