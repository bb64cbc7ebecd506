//! What a check sees of the world. What could not be seen says why, and nothing that depends on it is judged.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::manifests::Manifests;
use crate::cache::Worker;
use crate::disks::Disk;
use crate::node::{ClaimRef, Node, Volume};
use crate::ports::GroupHook;
use crate::resolve::Direction;

/// What was seen, or why it could not be.
pub type Seen<T> = std::result::Result<T, String>;

/// Everything that a check looks at.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The groups that are looked after.
    pub groups: Seen<Vec<Group>>,
    /// The local disks of each instance type among the groups' instances; a type that could not be asked for is
    /// left out.
    pub disks: BTreeMap<String, Vec<Disk>>,
    /// Every node of the cluster.
    pub nodes: Seen<Vec<SeenNode>>,
    /// Every volume that carries an instance's label.
    pub volumes: Seen<Vec<SeenVolume>>,
    /// Every claim of the workers' namespace.
    pub claims: Seen<Vec<SeenClaim>>,
    /// Every pod of the workers' namespace.
    pub pods: Seen<Vec<SeenPod>>,
    /// Every worker, in whatever state.
    pub workers: Seen<Workers>,
    /// Executions of node-join and node-drain. Looked at after the nodes: what a node says was begun is among them,
    /// or has ended.
    pub executions: Seen<Executions>,
    /// The event rules.
    pub rules: Seen<Rules>,
    /// The cluster's manifests.
    pub manifests: Seen<Manifests>,
}

/// An Auto Scaling group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Whether AWS knows it.
    pub exists: bool,
    /// Whether its instances set their disks up as one array.
    pub one_array: bool,
    /// Whether it keeps an instance whose terminate hook is abandoned.
    pub retains: bool,
    /// Its hooks.
    pub hooks: Vec<GroupHook>,
    /// Its instances.
    pub members: Vec<Member>,
}

/// An instance of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// `InstanceId`.
    pub instance: String,
    /// `InstanceType`.
    pub instance_type: String,
    /// `LifecycleState`.
    pub lifecycle_state: String,
}

/// A node. Of its labels and annotations only those that decisions look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenNode {
    /// The node.
    pub node: Node,
    /// Since when condition `Ready` is `True`.
    pub ready_since: Option<Timestamp>,
}

impl SeenNode {
    /// The instance behind it, by its provider id.
    #[must_use]
    pub fn instance(&self) -> Option<&str> {
        self.node.instance()
    }
}

/// A volume of an instance's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenVolume {
    /// The volume.
    pub volume: Volume,
    /// The instance that its label names.
    pub instance: String,
    /// Whether its reclaim policy is `Delete`.
    pub deletes: bool,
    /// Since when it is in its phase.
    pub since: Option<Timestamp>,
}

/// A claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenClaim {
    /// The claim.
    pub claim: ClaimRef,
    /// `spec.storageClassName`.
    pub storage_class: String,
    /// `spec.volumeName`.
    pub volume: Option<String>,
    /// `metadata.creationTimestamp`.
    pub created_at: Option<Timestamp>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether it carries the label of the claims in our workers' template.
    pub worker: bool,
    /// The pod among its owners: the claim of an ephemeral volume has one.
    pub owner_pod: Option<OwnerPod>,
}

/// A pod that owns something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerPod {
    /// `name`.
    pub name: String,
    /// `uid`.
    pub uid: String,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenPod {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `spec.nodeName`.
    pub node: Option<String>,
    /// Whether it is an Alluxio worker.
    pub worker: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Since when it is ready; none where it is not.
    pub ready_since: Option<Timestamp>,
    /// The names of the claims that it mounts.
    pub claims: Vec<String>,
}

/// What the Alluxio master says of its workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workers {
    /// All of them.
    pub all: Vec<Worker>,
    /// The directories that a worker could not use, by its host.
    pub lost_storage: BTreeMap<String, Vec<String>>,
}

/// What Step Functions says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executions {
    /// Those that run.
    pub running: Vec<RunningExecution>,
    /// Those that failed since the last check.
    pub failed: Vec<FailedExecution>,
}

/// An execution that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningExecution {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Which way.
    pub direction: Direction,
    /// What its input names, where it was asked for.
    pub subjects: Option<Subjects>,
}

/// What an execution's input names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subjects {
    /// Instance ids.
    pub instances: Vec<String>,
    /// Names of nodes.
    pub nodes: Vec<String>,
}

/// An execution that failed, timed out or was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedExecution {
    /// Its ARN.
    pub arn: String,
    /// `FAILED`, `TIMED_OUT` or `ABORTED`.
    pub status: String,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Its error and cause, where they were asked for.
    pub why: Option<String>,
}

/// The event rules of the stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The names of those that must be there.
    pub expected: Vec<String>,
    /// Those that are.
    pub found: Vec<Rule>,
}

/// An event rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Whether its state is `ENABLED`.
    pub enabled: bool,
}
