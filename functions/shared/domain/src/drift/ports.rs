//! What a check needs of the neighbours: listings, and the few small changes that it makes itself.

#![allow(async_fn_in_trait)]

use jiff::Timestamp;
use serde_json::Value;

use super::attempts::Attempt;
use super::manifests::Manifests;
use super::memory::Memory;
use super::snapshot::{
    FailedExecution, Group, RunningExecution, SeenClaim, SeenNode, SeenPod, SeenVolume, Subjects, Workers,
};
use super::start::WaitingHook;
use crate::cache::Worker;
use crate::error::Result;
use crate::ports::{Changed, GroupHook};
use crate::resolve::Direction;

/// The cluster, listed page by page.
pub trait ClusterView {
    /// Every node.
    async fn nodes(&self) -> Result<Vec<SeenNode>>;
    /// Every volume that carries [`crate::names::INSTANCE_ID_LABEL`].
    async fn volumes(&self) -> Result<Vec<SeenVolume>>;
    /// Every claim of a namespace.
    async fn claims(&self, namespace: &str) -> Result<Vec<SeenClaim>>;
    /// Every pod of a namespace.
    async fn pods(&self, namespace: &str) -> Result<Vec<SeenPod>>;
    /// The manifests, as recorded and as they are.
    async fn manifests(&self) -> Result<Manifests>;
    /// The node of that name; none where there is none.
    async fn node(&self, name: &str) -> Result<Option<SeenNode>>;
    /// Applies an object (server-side).
    async fn apply(&self, object: &Value) -> Result<()>;
}

/// Auto Scaling.
pub trait GroupsView {
    /// The groups of those names, with their hooks and instances; one that does not exist says so.
    async fn groups(&self, names: &[String]) -> Result<Vec<Group>>;
    /// Puts a hook.
    async fn put_hook(&self, group: &str, hook: &GroupHook) -> Result<()>;
    /// Has a group keep instances whose terminate hook is abandoned.
    async fn retain(&self, group: &str) -> Result<()>;
}

/// The lifecycle actions of Auto Scaling.
pub trait LifecycleActions {
    /// Whether a hook waits for an instance. Where it does its clock begins anew, as for any heartbeat: Auto Scaling tells it
    /// in no other way.
    async fn waits(&self, hook: &WaitingHook, instance: &str) -> Result<bool>;
}

/// The Alluxio master.
pub trait WorkersView {
    /// Every worker, in whatever state, and the storage that was lost.
    async fn workers(&self) -> Result<Workers>;
    /// Has the master forget a disabled worker.
    async fn forget(&self, worker: &Worker) -> Result<Changed>;
}

/// Step Functions.
pub trait ExecutionsView {
    /// The executions of node-join and node-drain that run.
    async fn running(&self) -> Result<Vec<RunningExecution>>;
    /// What an execution's input names; none where it is not known (any more).
    async fn subjects(&self, arn: &str) -> Result<Option<Subjects>>;
    /// The executions of ours that ended otherwise than they should since then.
    async fn failed_since(&self, since: Timestamp) -> Result<Vec<FailedExecution>>;
    /// What the last check that came to its end left behind.
    async fn memory(&self) -> Result<Memory>;
    /// The execution of that name; none where there is none.
    async fn attempt(&self, direction: Direction, name: &str) -> Result<Option<Attempt>>;
    /// Starts an execution. False where there is one of that name.
    async fn start(&self, direction: Direction, name: &str, input: &Value) -> Result<bool>;
}
