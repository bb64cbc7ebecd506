//! What taking a cluster away needs of the neighbours.

#![allow(async_fn_in_trait)]

use serde_json::Value;

use super::caches::WorkerPod;
use super::remains::Remain;
use super::volumes::HeldVolume;
use crate::drift::SeenNode;
use crate::error::Result;
use crate::node::{Node, NodeChange};
use crate::ports::Changed;

/// The cluster, as it is taken away.
pub trait Teardown {
    /// Every object of the kinds that the manifests have, in all namespaces: `apiVersion`, `kind` and `metadata`.
    async fn managed(&self) -> Result<Vec<Value>>;
    /// Every object in a namespace, of whatever kind, that somebody made: `apiVersion`, `kind` and `metadata`.
    async fn in_namespace(&self, namespace: &str) -> Result<Vec<Value>>;
    /// The pods of Alluxio workers.
    async fn worker_pods(&self, namespace: &str) -> Result<Vec<WorkerPod>>;
    /// Every volume.
    async fn held_volumes(&self) -> Result<Vec<HeldVolume>>;
    /// Every node.
    async fn nodes(&self) -> Result<Vec<SeenNode>>;
    /// Changes a node as it was seen (refused where it has changed since).
    async fn change_node(&self, node: &Node, change: &NodeChange) -> Result<Changed>;
    /// Deletes exactly this object (precondition on its UID), after what it owns. Gone is fine.
    async fn remove(&self, object: &Value) -> Result<Changed>;
    /// Changes an object of a kind that the manifests have by a merge patch.
    async fn merge(&self, object: &Value, patch: &Value) -> Result<Changed>;
}

/// Auto Scaling.
pub trait GroupHooks {
    /// Takes a hook off a group. Gone is fine.
    async fn delete_hook(&self, group: &str, hook: &str) -> Result<()>;
}

/// Step Functions.
pub trait OwnExecutions {
    /// The executions of our other state machines that run, by their ARNs.
    async fn running(&self) -> Result<Vec<String>>;
}

/// EC2.
pub trait Remains {
    /// What carries the cluster's tags: instances, volumes, NAT gateways and addresses that are not gone.
    async fn remains(&self, cluster: &str) -> Result<Vec<Remain>>;
}
