//! What is read of each object, and what the decisions see of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use tidegate_domain::drift::{OwnerPod, SeenClaim, SeenNode, SeenPod, SeenVolume};
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::names;
use tidegate_domain::node::{self, ClaimRef, Taint, VolumePhase};

use crate::quantity::parse_bytes;

const HOSTNAME: &str = "kubernetes.io/hostname";

macro_rules! kept {
    ($name:ident { $($field:ident = $key:literal),+ $(,)? }) => {
        /// Labels or annotations that decisions look at; the others are skipped.
        #[derive(Default, Deserialize)]
        struct $name {
            $(#[serde(rename = $key)] $field: Option<String>),+
        }

        impl $name {
            fn map(self) -> BTreeMap<String, String> {
                let kept = [$(($key, self.$field)),+];
                kept.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
            }
        }
    };
}

kept!(Labels {
    hostname = "kubernetes.io/hostname",
    instance = "tidegate.dev/instance-id",
    disks = "fast-disk-node",
    layout = "tidegate.dev/disk-layout",
    worker = "tidegate.dev/alluxio-worker",
    memory_worker = "alluxio-memory-worker",
    role = "role",
});

impl Labels {
    /// As `names::WORKER_POD_SELECTOR` selects: the pods of workers, and the claims of their template.
    fn is_worker(&self) -> bool {
        self.role.as_deref() == Some("alluxio-worker")
    }
}

kept!(Annotations {
    drain_since = "tidegate.dev/drain-since",
    scale_down_held = "tidegate.dev/scale-down-held",
    decommissioned_at = "tidegate.dev/decommissioned-at",
    cordoned_before = "tidegate.dev/cordoned-before",
    execution = "tidegate.dev/execution",
    provisioned_by = "pv.kubernetes.io/provisioned-by",
});

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Meta {
    name: String,
    namespace: String,
    uid: String,
    resource_version: String,
    creation_timestamp: Option<Timestamp>,
    deletion_timestamp: Option<Timestamp>,
    labels: Labels,
    annotations: Annotations,
    owner_references: Vec<Owner>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Owner {
    api_version: String,
    kind: String,
    name: String,
    uid: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    last_transition_time: Option<Timestamp>,
}

/// Since when a condition holds; none where it does not.
fn ready_since(conditions: &[Condition], created: Option<Timestamp>) -> Option<Timestamp> {
    conditions
        .iter()
        .find(|condition| condition.kind == "Ready" && condition.status == "True")
        .and_then(|condition| condition.last_transition_time.or(created))
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct Node {
    metadata: Meta,
    spec: NodeSpec,
    status: NodeStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodeSpec {
    #[serde(rename = "providerID")]
    provider_id: String,
    unschedulable: bool,
    taints: Vec<NodeTaint>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodeTaint {
    key: String,
    value: Option<String>,
    effect: String,
    time_added: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeStatus {
    conditions: Vec<Condition>,
    addresses: Vec<Address>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Address {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

impl Node {
    pub(super) fn view(self) -> SeenNode {
        let ready_since = ready_since(&self.status.conditions, self.metadata.creation_timestamp);
        let (startup, others): (Vec<_>, Vec<_>) = self
            .spec
            .taints
            .into_iter()
            .partition(|taint| taint.key == names::STARTUP_TAINT);
        let addresses = self.status.addresses.into_iter();
        SeenNode {
            ready_since,
            node: node::Node {
                name: self.metadata.name,
                uid: self.metadata.uid,
                resource_version: self.metadata.resource_version,
                labels: self.metadata.labels.map(),
                annotations: self.metadata.annotations.map(),
                provider_id: self.spec.provider_id,
                unschedulable: self.spec.unschedulable,
                startup_taint: !startup.is_empty(),
                other_taints: others
                    .into_iter()
                    .map(|taint| Taint {
                        key: taint.key,
                        value: taint.value,
                        effect: taint.effect,
                        time_added: taint.time_added,
                    })
                    .collect(),
                ready: ready_since.is_some(),
                internal_ip: addresses
                    .filter(|address| address.kind == "InternalIP")
                    .map(|address| address.address)
                    .next(),
            },
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Volume {
    metadata: Meta,
    spec: VolumeSpec,
    status: VolumeStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct VolumeSpec {
    capacity: Storage,
    storage_class_name: String,
    persistent_volume_reclaim_policy: String,
    claim_ref: Option<Reference>,
    node_affinity: Affinity,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Storage {
    storage: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reference {
    namespace: String,
    name: String,
    uid: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Affinity {
    required: Terms,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Terms {
    node_selector_terms: Vec<Term>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Term {
    match_expressions: Vec<Expression>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Expression {
    key: String,
    operator: String,
    values: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct VolumeStatus {
    phase: String,
    last_phase_transition_time: Option<Timestamp>,
}

impl Volume {
    pub(super) fn view(self) -> Result<Option<SeenVolume>> {
        let Some(instance) = self.metadata.labels.instance else {
            return Ok(None);
        };
        let name = self.metadata.name;
        let capacity = self.spec.capacity.storage;
        let capacity_bytes = parse_bytes(&capacity).ok_or_else(|| {
            Error::new(
                ErrorName::Defect,
                format!("volume {name}: capacity {capacity:?} cannot be read as bytes"),
            )
        })?;
        let volume = node::Volume {
            name,
            uid: self.metadata.uid,
            capacity_bytes,
            storage_class: self.spec.storage_class_name,
            hostname: only_hostname(self.spec.node_affinity.required),
            provisioned_by: self.metadata.annotations.provisioned_by,
            phase: match self.status.phase.as_str() {
                "Available" => VolumePhase::Available,
                "Bound" => VolumePhase::Bound,
                "Released" => VolumePhase::Released,
                "Failed" => VolumePhase::Failed,
                _ => VolumePhase::Pending,
            },
            claim: self.spec.claim_ref.map(|claim| ClaimRef {
                namespace: claim.namespace,
                name: claim.name,
                uid: claim.uid,
            }),
        };
        Ok(Some(SeenVolume {
            volume,
            instance,
            deletes: self.spec.persistent_volume_reclaim_policy == "Delete",
            since: self.status.last_phase_transition_time,
        }))
    }
}

/// The one host name that an affinity allows; none where it allows several, or does not speak of host names.
fn only_hostname(terms: Terms) -> Option<String> {
    let [term] = <[Term; 1]>::try_from(terms.node_selector_terms).ok()?;
    let expression = term
        .match_expressions
        .into_iter()
        .find(|expression| expression.key == HOSTNAME && expression.operator == "In")?;
    let [only] = <[String; 1]>::try_from(expression.values).ok()?;
    Some(only)
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Claim {
    metadata: Meta,
    spec: ClaimSpec,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ClaimSpec {
    storage_class_name: String,
    volume_name: Option<String>,
}

impl Claim {
    pub(super) fn view(self) -> SeenClaim {
        SeenClaim {
            claim: ClaimRef {
                namespace: self.metadata.namespace,
                name: self.metadata.name,
                uid: self.metadata.uid,
            },
            storage_class: self.spec.storage_class_name,
            volume: self.spec.volume_name,
            created_at: self.metadata.creation_timestamp,
            deleting: self.metadata.deletion_timestamp.is_some(),
            worker: self.metadata.labels.is_worker(),
            owner_pod: self
                .metadata
                .owner_references
                .into_iter()
                .find(|owner| owner.kind == "Pod" && owner.api_version == "v1")
                .map(|owner| OwnerPod {
                    name: owner.name,
                    uid: owner.uid,
                }),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Pod {
    metadata: Meta,
    spec: PodSpec,
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodSpec {
    node_name: Option<String>,
    volumes: Vec<PodVolume>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodVolume {
    name: String,
    ephemeral: Option<Ephemeral>,
    persistent_volume_claim: Option<MountedClaim>,
}

/// That there is one; its claim is named after pod and volume.
#[derive(Default, Deserialize)]
struct Ephemeral {}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MountedClaim {
    claim_name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    phase: String,
    conditions: Vec<Condition>,
}

impl Pod {
    pub(super) fn view(self) -> SeenPod {
        let meta = self.metadata;
        let ended = matches!(self.status.phase.as_str(), "Succeeded" | "Failed");
        let mut claims = Vec::new();
        for volume in self.spec.volumes {
            if let Some(mounted) = volume.persistent_volume_claim {
                claims.push(mounted.claim_name);
            } else if volume.ephemeral.is_some() {
                claims.push(format!("{}-{}", meta.name, volume.name));
            }
        }
        SeenPod {
            node: self.spec.node_name,
            worker: !ended && meta.labels.is_worker(),
            uid: meta.uid,
            deleting: meta.deletion_timestamp.is_some(),
            ready_since: ready_since(&self.status.conditions, meta.creation_timestamp),
            claims,
            name: meta.name,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
        serde_json::from_value(value).expect("readable")
    }

    #[test]
    fn the_names_that_are_kept_are_those_of_the_domain() {
        let labels = Labels {
            instance: Some("i".into()),
            disks: Some("d".into()),
            layout: Some("l".into()),
            worker: Some("w".into()),
            memory_worker: Some("true".into()),
            ..Labels::default()
        };
        let labels = labels.map();
        for name in [
            names::INSTANCE_ID_LABEL,
            names::FAST_DISK_LABEL,
            names::DISK_LAYOUT_LABEL,
            names::WORKER_LABEL,
            names::MEMORY_WORKER_LABEL,
        ] {
            assert!(labels.contains_key(name), "{name}");
        }
        let annotations = Annotations {
            drain_since: Some("t".into()),
            scale_down_held: Some("true".into()),
            decommissioned_at: Some("t".into()),
            cordoned_before: Some("true".into()),
            execution: Some("e".into()),
            provisioned_by: None,
        };
        let annotations = annotations.map();
        for name in [
            names::DRAIN_SINCE_ANNOTATION,
            names::SCALE_DOWN_HELD_ANNOTATION,
            names::DECOMMISSIONED_AT_ANNOTATION,
            names::CORDONED_BEFORE_ANNOTATION,
            names::EXECUTION_ANNOTATION,
        ] {
            assert!(annotations.contains_key(name), "{name}");
        }
        assert_eq!(names::WORKER_POD_SELECTOR, "role=alluxio-worker");
    }

    #[test]
    fn of_a_node_only_what_is_looked_at_is_kept() {
        let node: Node = read(json!({
            "metadata": {
                "name": "n", "uid": "u", "resourceVersion": "7",
                "labels": {"tidegate.dev/instance-id": "i-1", "other": "skipped"},
                "annotations": {"tidegate.dev/drain-since": "2026-11-23T10:00:00Z", "other": "skipped"},
                "managedFields": [{"manager": "kubelet"}],
            },
            "spec": {
                "providerID": "aws:///us-west-2a/i-1", "unschedulable": true,
                "taints": [{"key": names::STARTUP_TAINT, "effect": "NoSchedule"}, {"key": "a", "effect": "NoExecute"}],
            },
            "status": {
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-23T10:00:00Z"}],
                "addresses": [{"type": "Hostname", "address": "h"}, {"type": "InternalIP", "address": "10.0.0.7"}],
                "images": [{"names": ["skipped"]}],
            },
        }));
        let seen = node.view();
        assert_eq!(seen.instance(), Some("i-1"));
        assert_eq!((seen.node.labels.len(), seen.node.annotations.len()), (1, 1));
        assert!(seen.node.startup_taint && seen.node.ready && seen.node.unschedulable);
        assert_eq!(seen.node.other_taints.len(), 1);
        assert_eq!(seen.node.internal_ip.as_deref(), Some("10.0.0.7"));
        assert!(seen.ready_since.is_some() && seen.node.draining_since().is_some());
    }

    #[test]
    fn a_volume_tells_its_instance_its_claim_and_the_one_host_that_it_is_on() {
        let volume: Volume = read(json!({
            "metadata": {
                "name": "pv", "uid": "u", "labels": {"tidegate.dev/instance-id": "i-1"},
                "annotations": {"pv.kubernetes.io/provisioned-by": "p"},
            },
            "spec": {
                "capacity": {"storage": "273Gi"}, "storageClassName": "fast-disks",
                "persistentVolumeReclaimPolicy": "Delete",
                "claimRef": {"namespace": "alluxio", "name": "c", "uid": "cu"},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "kubernetes.io/hostname", "operator": "In", "values": ["h"]}]}]}},
            },
            "status": {"phase": "Released", "lastPhaseTransitionTime": "2026-11-23T10:00:00Z"},
        }));
        let seen = volume.view().expect("readable").expect("labelled");
        assert_eq!((seen.instance.as_str(), seen.deletes), ("i-1", true));
        assert_eq!(seen.volume.capacity_bytes, 273 << 30);
        assert_eq!(seen.volume.hostname.as_deref(), Some("h"));
        assert_eq!(seen.volume.phase, VolumePhase::Released);
        assert_eq!(seen.volume.claim.expect("a claim").uid, "cu");
        assert!(seen.since.is_some());
    }

    #[test]
    fn a_claim_tells_its_pod_and_whose_template_made_it() {
        let owner = |kind: &str| json!({"apiVersion": "v1", "kind": kind, "name": "w", "uid": "wu"});
        let claim: Claim = read(json!({
            "metadata": {
                "namespace": "alluxio", "name": "w-tier-0", "uid": "u",
                "labels": {"role": "alluxio-worker"}, "ownerReferences": [owner("Node"), owner("Pod")],
            },
            "spec": {"storageClassName": "fast-disks", "volumeName": "pv"},
        }));
        let seen = claim.view();
        assert!(seen.worker);
        assert_eq!(seen.owner_pod.map(|pod| pod.uid), Some("wu".to_owned()));
        let claim: Claim = read(json!({
            "metadata": {"name": "journal-0", "ownerReferences": [owner("StatefulSet")]},
            "spec": {"storageClassName": "fast-disks"},
        }));
        let seen = claim.view();
        assert!(!seen.worker && seen.owner_pod.is_none());
    }

    #[test]
    fn a_pod_tells_the_claims_that_it_mounts_by_either_way() {
        let pod: Pod = read(json!({
            "metadata": {"name": "w", "labels": {"role": "alluxio-worker"}},
            "spec": {"nodeName": "n", "volumes": [
                {"name": "tier-0", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
                {"name": "data", "persistentVolumeClaim": {"claimName": "named"}},
                {"name": "config", "configMap": {"name": "c"}}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]},
        }));
        let seen = pod.view();
        assert_eq!(seen.claims, ["w-tier-0", "named"]);
        assert!(seen.worker && seen.ready_since.is_none() && !seen.deleting);
    }
}
