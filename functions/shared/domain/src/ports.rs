//! What the decisions need of the neighbours. Each trait has one adapter; errors arrive classified
//! ([`crate::error::ErrorName`]), and "not there" is a value, never an error.

// The functions run on one thread and never hand these futures to another.
#![allow(async_fn_in_trait)]

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::cache::{FileState, HeldBlock, Stores, Worker, WorkerFilePage, WorkerLoad};
use crate::disks::Disk;
use crate::error::Result;
use crate::node::{ClaimRef, Node, NodeChange, Pod, Volume, VolumeClaim};
use crate::subject::{InstanceId, Subject};

/// What Auto Scaling says of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// `AutoScalingGroupName`.
    pub group: String,
    /// `AvailabilityZone`.
    pub zone: String,
    /// `InstanceType`.
    pub instance_type: String,
    /// `LifecycleState`, such as `Pending:Wait`.
    pub lifecycle_state: String,
}

/// What EC2 says of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ec2Instance {
    /// The name of its state: `running`, `terminated`, ...
    pub state: String,
    /// The group that launched it: Auto Scaling tags it with that name for as long as EC2 knows it.
    pub group: Option<String>,
    /// `AvailabilityZone`.
    pub zone: String,
    /// `InstanceType`.
    pub instance_type: String,
    /// `PrivateDnsName`; an instance that has terminated has none.
    pub private_dns_name: Option<String>,
    /// `PrivateIpAddress`; an instance that has terminated has none.
    pub private_address: Option<String>,
    /// `Ipv6Address` of its primary network interface.
    pub ipv6_address: Option<String>,
}

impl Ec2Instance {
    /// Whether it ends, or has ended.
    #[must_use]
    pub fn ends(&self) -> bool {
        matches!(self.state.as_str(), "shutting-down" | "terminated")
    }
}

/// A lifecycle hook of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupHook {
    /// `LifecycleHookName`.
    pub name: String,
    /// `LifecycleTransition`.
    pub transition: String,
    /// `HeartbeatTimeout` in seconds.
    pub heartbeat_seconds: u32,
    /// `GlobalTimeout` in seconds.
    pub global_seconds: u32,
    /// `DefaultResult`.
    pub default_result: String,
}

/// What a group is set to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupSettings {
    /// Whether it keeps an instance whose terminate hook is abandoned
    /// (`InstanceLifecyclePolicy.RetentionTriggers.TerminateHookAbandon` is `retain`).
    pub retains: bool,
    /// `MinSize`.
    pub min_size: u32,
    /// `DesiredCapacity`.
    pub desired_capacity: u32,
    /// The names of its `SuspendedProcesses`.
    pub suspended: Vec<String>,
    /// Whether it replaces an instance by itself on a rebalance recommendation (`CapacityRebalance`).
    pub rebalances: bool,
    /// Its instances that are on their way out, which `DesiredCapacity` counts no longer.
    pub leaving: Vec<InstanceId>,
}

/// Auto Scaling.
pub trait AutoScaling {
    /// The group of an instance; none where it is in no group (any more).
    async fn membership(&self, instance: &InstanceId) -> Result<Option<Membership>>;
    /// The groups of these instances; those in no group are left out.
    async fn memberships(&self, instances: &[InstanceId]) -> Result<BTreeMap<InstanceId, Membership>>;
    /// The hooks of a group.
    async fn hooks(&self, group: &str) -> Result<Vec<GroupHook>>;
    /// What a group is set to; none where there is no such group (any more).
    async fn settings(&self, group: &str) -> Result<Option<GroupSettings>>;
}

/// Where an execution stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// It runs.
    Running,
    /// It succeeded, with that outcome in its output.
    Succeeded(String),
    /// It ended in another way, or Step Functions knows none of that ARN (any more).
    Over,
}

/// Step Functions.
pub trait Executions {
    /// Where that execution stands.
    async fn run(&self, execution: &str) -> Result<Run>;
    /// Whether that execution is running; not so where Step Functions knows none of that ARN (any more).
    async fn running(&self, execution: &str) -> Result<bool> {
        Ok(self.run(execution).await? == Run::Running)
    }
}

/// EC2.
pub trait Instances {
    /// The instance-store disks of a type that are SSDs behind NVMe; empty where it has none.
    async fn local_disks(&self, instance_type: &str) -> Result<Vec<Disk>>;
    /// An instance; none where EC2 does not know it.
    async fn instance(&self, instance: &InstanceId) -> Result<Option<Ec2Instance>>;
    /// The instances with one of these private DNS names, each with its name. A name may be there twice, as VPCs do
    /// not know of each other's.
    async fn with_private_dns_names(&self, names: &[String]) -> Result<Vec<(String, InstanceId)>>;
}

/// Whether a change that was decided on a view of an object was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It was.
    Done,
    /// The object has changed since it was looked at: look again, decide again.
    Conflict,
    /// The object is gone.
    Gone,
}

/// The answer to an eviction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// The pod is being deleted, or gone already, or another pod by now.
    Accepted,
    /// A disruption budget forbids it now. The message says which.
    Blocked(String),
    /// The API server is throttling: try again later.
    Throttled,
    /// The API server refuses this one; it may accept that of another pod.
    Refused(Refusal),
}

/// The answer to a deletion of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// The pod is being deleted.
    Accepted,
    /// The pod is gone, or another pod has its name by now.
    Gone,
    /// The API server refuses this one; it may accept that of another pod.
    Refused(Refusal),
}

/// Why the API server refuses a request about one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What stands against it.
    pub by: RefusedBy,
    /// That in one sentence, with the API server's own words.
    pub words: String,
}

/// What stands against a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedBy {
    /// Access control: the function may not do this.
    Rights,
    /// Admission: a policy, a webhook, or a plugin of the API server has denied it.
    Admission,
    /// An admission webhook that has to be asked cannot be asked.
    Webhook,
    /// There was no answer in time, as when an admission webhook is asked that does not answer.
    Silence,
    /// Anything else that the API server answered.
    Server,
}

impl RefusedBy {
    /// Whether the next such request, also about another object, is likely to take seconds.
    #[must_use]
    pub const fn is_slow(self) -> bool {
        matches!(self, Self::Webhook | Self::Silence)
    }
}

/// The answer to a wish for copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copied {
    /// They are being made.
    Asked,
    /// There is no such file, or nothing of it to copy (any more).
    Nothing,
    /// A worker that may have room cannot be asked now, and why.
    NotYet(String),
    /// No other worker can take them, and why.
    NoTarget(String),
}

/// A wish for copies of a file's blocks on other workers.
#[derive(Clone, Copy, Debug)]
pub struct CopyWish<'a> {
    /// The file.
    pub path: &'a str,
    /// The worker that has the blocks.
    pub from: &'a Worker,
    /// The file's blocks that it lists itself, where it was asked.
    pub listed: Option<&'a [HeldBlock]>,
    /// Bytes of copies that have been asked for and were not seen yet.
    pub under_way: u64,
    /// The namespace of the workers' pods.
    pub namespace: &'a str,
    /// Now.
    pub now: Timestamp,
}

/// Whether a worker takes copies now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// It does, and from nobody else for a while.
    Claimed,
    /// It does not: its own node is being drained.
    Draining,
    /// Not now, and why.
    Busy(String),
}

/// The workers that take copies, by their nodes.
pub trait CopyTargets {
    /// Claims a worker for the copies of a wish; one whose own node is being drained with `draining` alone. Looks at that
    /// worker's node, and at no other.
    async fn claim(&self, target: &Worker, draining: bool, wish: &CopyWish<'_>) -> Result<Target>;
}

/// Nodes. One node is found by its name or by a selector, never by listing the cluster.
pub trait Nodes {
    /// The Node object whose provider id names the instance. Once a step has found it ([`crate::subject::Identity::node_uid`]) it is got
    /// by its name alone. Before that it is looked for by the name that EC2 gives it, by
    /// [`crate::names::INSTANCE_ID_LABEL`], and among all nodes of the instance's type and zone, as that label may be
    /// missing or another instance's. Waits for it that long.
    async fn find(&self, subject: &Subject, within: Duration) -> Result<Option<Node>>;
    /// Changes a node as it was seen (refused where it has changed since).
    async fn change(&self, node: &Node, change: &NodeChange) -> Result<Changed>;
}

/// Volumes.
pub trait Volumes {
    /// The volumes of a node, by [`crate::names::INSTANCE_ID_LABEL`] on the volume; waits that long until `enough`
    /// says so of them.
    async fn of_instance(
        &self,
        instance: &InstanceId,
        within: Duration,
        enough: &dyn Fn(&[Volume]) -> bool,
    ) -> Result<Vec<Volume>>;
    /// Deletes exactly this volume (precondition on its UID). Gone is fine.
    async fn delete(&self, volume: &Volume) -> Result<Changed>;
}

/// Claims, one by one.
pub trait Claims {
    /// The claim of that namespace and name, whatever its UID; none where there is none.
    async fn claim(&self, claim: &ClaimRef) -> Result<Option<VolumeClaim>>;
    /// Deletes exactly this claim (precondition on its UID). Gone is fine.
    async fn delete_claim(&self, claim: &ClaimRef) -> Result<Changed>;
}

/// Pods.
pub trait Pods {
    /// The pods on a node (of one namespace and label selector, or all of them: `None`); waits that long until
    /// `enough` says so of them.
    async fn on_node(
        &self,
        node: &str,
        only: Option<(&str, &str)>,
        within: Duration,
        enough: &dyn Fn(&[Pod]) -> bool,
    ) -> Result<Vec<Pod>>;
    /// Asks for an eviction of exactly this pod (precondition on its UID).
    async fn evict(&self, pod: &Pod) -> Result<Eviction>;
    /// Deletes exactly this pod (precondition on its UID) past every disruption budget, with its own grace period,
    /// which is never 0: the container must get its SIGTERM.
    async fn delete(&self, pod: &Pod) -> Result<Deletion>;
    /// Whether a `DaemonSet` of this namespace selects nodes with [`crate::names::WORKER_LABEL`] of that value.
    async fn worker_daemon_set_exists(&self, namespace: &str, layout: &str) -> Result<bool>;
}

/// All workers, as the Alluxio master knows them.
pub trait WorkerReport {
    /// Every worker, in whatever state, in one report.
    async fn every_worker(&self) -> Result<Vec<Worker>>;
}

/// Where an Alluxio master of the cluster runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MasterPlace {
    /// Its pod; empty where the cluster only knows an address.
    pub pod: String,
    /// Its pod's node; empty where it is not known.
    pub node: String,
    /// `host:port` of its RPC.
    pub address: String,
    /// Whether its pod is ready: it has a journal, and is the primary or may become it.
    pub ready: bool,
}

/// The Alluxio masters that run in the cluster, which nobody outside of it can resolve by name.
pub trait MasterPlaces {
    /// Where they are now, in the order of their pods, also those that are not ready; none as long as there is none. A
    /// master that was restarted is somewhere else.
    async fn master_places(&self, namespace: &str) -> Result<Vec<MasterPlace>>;
}

/// The Alluxio master.
pub trait CacheMaster {
    /// The worker that is registered under that host, in whatever state; none where the master knows none.
    async fn worker(&self, host: &str) -> Result<Option<Worker>>;
    /// Directories of that host's worker that it could not use.
    async fn lost_storage(&self, host: &str) -> Result<Vec<String>>;
    /// A file's state; none where there is no such file (any more).
    async fn file(&self, path: &str) -> Result<Option<FileState>>;
    /// What it writes to its under stores.
    async fn stores(&self) -> Result<Stores>;
    /// Asks for the file to be written to its under store. `Gone`: no such file; `Conflict`: it is still being
    /// written.
    async fn persist(&self, path: &str) -> Result<Changed>;
    /// Asks for copies on other workers of the blocks that only one has, whether that is in service or not, as long as it
    /// answers. They are made in the background, and the next [`CacheMaster::file`] shows them. Nothing that exists nowhere
    /// else gives way to them: where they do not fit, none is made.
    async fn copy(&self, wish: &CopyWish<'_>, targets: &impl CopyTargets) -> Result<Copied>;
    /// Takes the worker out of service, so that it may register again later. Moves no data. Idempotent. `Conflict`:
    /// it is just registering.
    async fn decommission(&self, worker: &Worker) -> Result<Changed>;
}

/// An Alluxio worker, asked directly.
pub trait CacheWorker {
    /// A page of the files that have blocks on this worker, incomplete ones too, from that offset on; none where
    /// the worker does not answer.
    async fn files(&self, worker: &Worker, offset: u64, limit: u32) -> Result<Option<WorkerFilePage>>;
    /// What it is doing for clients; none where it does not answer.
    async fn load(&self, worker: &Worker) -> Result<Option<WorkerLoad>>;
}

/// Time. Only the functions read it, and hand it to the decisions.
pub trait Clock {
    /// Now.
    fn now(&self) -> Timestamp;
    /// Waits.
    async fn sleep(&self, duration: Duration);
}
