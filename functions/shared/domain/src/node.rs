//! What a cluster shows of a node, reduced to what decisions need.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::names;

/// A node as the API server shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`: a change decided on this view is refused when the node has changed since.
    pub resource_version: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `spec.providerID`.
    pub provider_id: String,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// Whether [`names::STARTUP_TAINT`] is among `spec.taints`.
    pub startup_taint: bool,
    /// `spec.taints` without the startup taint: what stays when that one goes. The API server replaces the list
    /// of taints as a whole.
    pub other_taints: Vec<Taint>,
    /// Condition `Ready` is `True`.
    pub ready: bool,
    /// The first address of type `InternalIP`: the host under which a worker on the host network registers.
    pub internal_ip: Option<String>,
}

impl Node {
    /// The instance behind it, by its provider id.
    #[must_use]
    pub fn instance(&self) -> Option<&str> {
        let id = self.provider_id.strip_prefix("aws:///")?;
        id.rsplit('/').next().filter(|id| id.starts_with("i-"))
    }

    /// Since when the node is ours to drain; none where it is not.
    #[must_use]
    pub fn draining_since(&self) -> Option<Timestamp> {
        self.time(names::DRAIN_SINCE_ANNOTATION)
    }

    /// When its worker was last decommissioned.
    #[must_use]
    pub fn decommissioned_at(&self) -> Option<Timestamp> {
        self.time(names::DECOMMISSIONED_AT_ANNOTATION)
    }

    fn time(&self, annotation: &str) -> Option<Timestamp> {
        self.annotations.get(annotation)?.parse().ok()
    }

    /// Whether somebody other than a drain has told Cluster Autoscaler to leave it.
    #[must_use]
    pub fn kept_from_scale_down(&self) -> bool {
        self.scale_down_disabled() && !self.annotations.contains_key(names::SCALE_DOWN_HELD_ANNOTATION)
    }

    fn scale_down_disabled(&self) -> bool {
        let value = self.annotations.get(names::SCALE_DOWN_DISABLED_ANNOTATION);
        value.is_some_and(|value| value == names::TRUE)
    }

    /// Whether a label has that value.
    #[must_use]
    pub fn has_label(&self, label: &str, value: &str) -> bool {
        self.labels.get(label).is_some_and(|found| found == value)
    }
}

/// A taint of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taint {
    /// `key`.
    pub key: String,
    /// `value`.
    pub value: Option<String>,
    /// `effect`.
    pub effect: String,
    /// `timeAdded`.
    pub time_added: Option<Timestamp>,
}

/// What to change on a node. Nothing else of it is touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeChange {
    /// Labels to set, or to take off.
    pub labels: BTreeMap<&'static str, Option<String>>,
    /// Annotations to set, or to take off.
    pub annotations: BTreeMap<&'static str, Option<String>>,
    /// Cordon.
    pub cordon: bool,
    /// Take a cordon off.
    pub uncordon: bool,
    /// Take [`names::STARTUP_TAINT`] off.
    pub remove_startup_taint: bool,
}

impl NodeChange {
    /// Puts [`names::INSTANCE_ID_LABEL`] right where it is missing, as on a node whose cache is in memory, or names another
    /// instance than the node's provider id.
    pub fn name_instance(&mut self, node: &Node) {
        if let Some(instance) = node.instance()
            && !node.has_label(names::INSTANCE_ID_LABEL, instance)
        {
            self.labels
                .insert(names::INSTANCE_ID_LABEL, Some(instance.to_owned()));
        }
    }

    /// From now on Cluster Autoscaler leaves the node alone, unless somebody has told it so before.
    ///
    /// Its scale-down is over with the first `TerminateInstanceInAutoScalingGroup`, which starts the drain. It names the
    /// instance again whenever the node still stands empty, leaves out those that terminate, but not one that is retained:
    /// that one is ended then, with all that it was kept for.
    /// <https://github.com/kubernetes/autoscaler/pull/5411>
    pub fn hold_scale_down(&mut self, node: &Node) {
        if !node.scale_down_disabled() {
            for name in [
                names::SCALE_DOWN_DISABLED_ANNOTATION,
                names::SCALE_DOWN_HELD_ANNOTATION,
            ] {
                self.annotations.insert(name, Some(names::TRUE.to_owned()));
            }
        }
    }

    /// Takes back what [`Self::hold_scale_down`] has done.
    pub fn release_scale_down(&mut self, node: &Node) {
        if node.annotations.contains_key(names::SCALE_DOWN_HELD_ANNOTATION) {
            self.annotations.insert(names::SCALE_DOWN_HELD_ANNOTATION, None);
            self.annotations
                .insert(names::SCALE_DOWN_DISABLED_ANNOTATION, None);
        }
    }
}

/// A pod as the API server shows it.
#[allow(clippy::struct_excessive_bools, reason = "each is seen apart from the others")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// Kind of the controlling owner, such as `DaemonSet`; none for a bare pod.
    pub controller_kind: Option<String>,
    /// `metadata.creationTimestamp`.
    pub created: Option<Timestamp>,
    /// How it comes to a node although that is cordoned; none where a cordon keeps it off.
    pub past_cordon: Option<PastCordon>,
    /// The value of its label [`names::ROLE_LABEL`].
    pub role: Option<String>,
    /// A static pod (annotation `kubernetes.io/config.mirror`): only its node can end it.
    pub mirror: bool,
    /// `status.phase` is `Succeeded` or `Failed`.
    pub finished: bool,
    /// `metadata.deletionTimestamp`: when its grace period ends, once it is being deleted.
    pub deletion_time: Option<Timestamp>,
    /// Condition `Ready` is `True`.
    pub ready: bool,
    /// Since when condition `Ready` has its value.
    pub ready_since: Option<Timestamp>,
    /// `status.startTime`.
    pub start_time: Option<Timestamp>,
    /// `spec.terminationGracePeriodSeconds`.
    pub grace_period_seconds: u32,
    /// `status.hostIP`: the address of its node, under which a worker registers.
    pub host_ip: Option<String>,
    /// Whether one of its containers runs, or has run.
    pub has_run: bool,
    /// Why it does not run, where a container says so (`CrashLoopBackOff: ...`, `Unschedulable: ...`).
    pub trouble: Option<String>,
}

/// How a pod comes to a node although that is cordoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastCordon {
    /// It tolerates the taint of a cordon ([`names::CORDON_TAINT`]).
    Tolerates,
    /// Whoever made it named its node in `spec.nodeName`: no scheduler, so no cordon, had a say.
    NamesNode,
}

impl Pod {
    /// `namespace/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// A persistent volume of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `spec.capacity.storage` in bytes.
    pub capacity_bytes: u64,
    /// `spec.storageClassName`.
    pub storage_class: String,
    /// Value of `kubernetes.io/hostname` in the volume's node affinity.
    pub hostname: Option<String>,
    /// Annotation `pv.kubernetes.io/provisioned-by`.
    pub provisioned_by: Option<String>,
    /// `status.phase`.
    pub phase: VolumePhase,
    /// `spec.claimRef`.
    pub claim: Option<ClaimRef>,
}

/// `status.phase` of a persistent volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumePhase {
    /// Free.
    Available,
    /// Bound to a claim.
    Bound,
    /// Its claim is gone; what was on it is still there.
    Released,
    /// Could not be reclaimed.
    Failed,
    /// Not said yet.
    Pending,
}

/// The controlling owner of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// `kind`.
    pub kind: String,
    /// `name`.
    pub name: String,
}

/// A persistent volume claim as the API server shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeClaim {
    /// `metadata.uid`.
    pub uid: String,
    /// Its controlling owner, which is a `Pod` where the claim is of an ephemeral volume; none where nobody owns it.
    pub owner: Option<Owner>,
    /// The value of its label [`names::ROLE_LABEL`]: the claim of an ephemeral volume has the labels that the pod gives it.
    pub role: Option<String>,
}

/// The claim that a volume is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRef {
    /// Namespace of the claim.
    pub namespace: String,
    /// Name of the claim.
    pub name: String,
    /// UID of the claim: the same name may have come back as another claim.
    pub uid: String,
}

impl ClaimRef {
    /// `namespace/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}
