//! The names that Tidegate shares with the cluster: labels, annotations, taints, classes.

/// Names the instance behind a node. Node objects cannot be selected by `spec.providerID`; with this label one
/// node, and its volumes, are found by a selector, whatever the size of the cluster.
pub const INSTANCE_ID_LABEL: &str = "tidegate.dev/instance-id";
/// Starts the local volume provisioner on a node (its `DaemonSet` selects on it).
pub const FAST_DISK_LABEL: &str = "fast-disk-node";
/// Value of [`FAST_DISK_LABEL`]: each disk is a volume of its own.
pub const FAST_DISK_NVME: &str = "pv-nvme";
/// Value of [`FAST_DISK_LABEL`]: all disks are one array, and that is the volume.
pub const FAST_DISK_RAID: &str = "pv-raid";
/// The disk layout of the node's instance type, such as `2x300g`.
pub const DISK_LAYOUT_LABEL: &str = "tidegate.dev/disk-layout";
/// The disk layout of nodes without disks, whose cache is in memory.
pub const MEMORY_LAYOUT: &str = "memory";
/// The lever of the Alluxio worker: set, the `DaemonSet` of that disk layout runs a worker here; taken off, the
/// worker ends.
pub const WORKER_LABEL: &str = "tidegate.dev/alluxio-worker";
/// The lever of a worker whose cache is in memory. Set by the node group, so it stands before the first pod does.
pub const MEMORY_WORKER_LABEL: &str = "alluxio-memory-worker";
/// When a drain of this node began (RFC 3339). While it stands, every join of the node gives way.
pub const DRAIN_SINCE_ANNOTATION: &str = "tidegate.dev/drain-since";
/// When the node's worker was last decommissioned (RFC 3339): the wait for idle clients counts from here.
pub const DECOMMISSIONED_AT_ANNOTATION: &str = "tidegate.dev/decommissioned-at";
/// From which host's worker the node's worker takes copies now, and until when (RFC 3339), with a space between.
pub const TAKES_COPIES_ANNOTATION: &str = "tidegate.dev/takes-copies";
/// Says that a node was cordoned before its drain began: undoing the drain leaves that cordon.
pub const CORDONED_BEFORE_ANNOTATION: &str = "tidegate.dev/cordoned-before";
/// Which execution works on the node: JSON with its ARN under `execution`.
pub const EXECUTION_ANNOTATION: &str = "tidegate.dev/execution";
/// Keeps everything off a node until its cache is ready. Cluster Autoscaler knows the prefix and does not take
/// the taint for a reason to launch yet another node.
pub const STARTUP_TAINT: &str = "startup-taint.cluster-autoscaler.kubernetes.io/tidegate";
/// The storage class of the NVMe volumes.
pub const FAST_DISKS_CLASS: &str = "fast-disks";
/// Label of the local volume provisioner's pods.
pub const PROVISIONER_SELECTOR: &str = "app=local-volume-provisioner";
/// Namespace of the local volume provisioner.
pub const PROVISIONER_NAMESPACE: &str = "kube-system";
/// The `ConfigMap`, in the namespace of the workers, that holds the rate at which files were saved last.
pub const DRAIN_RATE: &str = "tidegate-drain-rate";
/// Label of Alluxio worker pods, as in Alluxio's own chart.
pub const WORKER_POD_SELECTOR: &str = "role=alluxio-worker";
/// Says what an Alluxio pod runs, as in Alluxio's own chart.
pub const ROLE_LABEL: &str = "role";
/// Value of [`ROLE_LABEL`] of a worker's pod and of its claims.
pub const WORKER_ROLE: &str = "alluxio-worker";
/// Value of [`ROLE_LABEL`] of a master's pod.
pub const MASTER_ROLE: &str = "alluxio-master";
/// The taint that a cordon comes with: `NoSchedule`, set by the node controller.
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#node-kubernetes-io-unschedulable>
pub const CORDON_TAINT: &str = "node.kubernetes.io/unschedulable";
/// The service of the Alluxio masters that run in the cluster, in the namespace of the workers.
pub const MASTER_SERVICE: &str = "alluxio-master";
/// The name of the port of [`MASTER_SERVICE`] at which functions and clients talk to a master.
pub const MASTER_RPC_PORT: &str = "rpc";
/// Says that Alluxio masters may run on a node; their pods select on it. Set by the node group, so that it stands before
/// the first pod does.
pub const MASTER_LABEL: &str = "tidegate.dev/alluxio-master";
/// Keeps Cluster Autoscaler from choosing a node: it names its instance itself, whatever the group's policy says.
pub const SCALE_DOWN_DISABLED_ANNOTATION: &str = "cluster-autoscaler.kubernetes.io/scale-down-disabled";
/// Says that a drain has set [`SCALE_DOWN_DISABLED_ANNOTATION`], and not a person: whoever undoes the drain takes it off.
pub const SCALE_DOWN_HELD_ANNOTATION: &str = "tidegate.dev/scale-down-held";
/// Value of [`MASTER_LABEL`], of the two annotations about scale-down and of [`CORDONED_BEFORE_ANNOTATION`].
pub const TRUE: &str = "true";
/// Set by EKS on every node.
pub const INSTANCE_TYPE_LABEL: &str = "node.kubernetes.io/instance-type";
/// Set by EKS on every node.
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// Namespace of the record of what was applied to the cluster: whoever may write there may do everything anyway.
pub const MANIFESTS_NAMESPACE: &str = "kube-system";
/// The `ConfigMap` that records it.
pub const MANIFESTS_RECORD: &str = "tidegate-manifests";
/// Its key: the objects as a JSON array.
pub const MANIFESTS_RECORD_KEY: &str = "objects.json";
/// Owns the fields of the cluster's manifests, whoever applies them: setting up, and setting right what has drifted.
pub const FIELD_MANAGER: &str = "tidegate";
/// On the record of the manifests: since when the cluster is being destroyed (RFC 3339). While it stands, the drift check
/// sets nothing right.
pub const DESTROY_SINCE_ANNOTATION: &str = "tidegate.dev/destroy-since";
/// On a Cluster Autoscaler that stopped for a destroy: how many replicas it had.
pub const REPLICAS_ANNOTATION: &str = "tidegate.dev/replicas-before-destroy";
