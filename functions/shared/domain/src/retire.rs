//! A drained worker is taken away, and its volumes with it.

use std::collections::BTreeMap;

use crate::cache::{Worker, WorkerState};
use crate::names;
use crate::node::{ClaimRef, Node, NodeChange, Volume, VolumePhase};

/// Why a worker must not be taken away: it is in service, so clients may have written to it since its drain.
#[must_use]
pub fn in_service(worker: Option<&Worker>) -> Option<String> {
    worker
        .filter(|worker| worker.state == WorkerState::Live)
        .map(|worker| {
            format!(
                "worker {} is in service (again): it must be drained before it goes",
                worker.host
            )
        })
}

/// Takes the worker's lever off a node, and stops the provisioner there, which would publish the disks again; none
/// where all are off.
#[must_use]
pub fn pull_levers(node: &Node) -> Option<NodeChange> {
    let labels: BTreeMap<_, _> = [
        names::WORKER_LABEL,
        names::MEMORY_WORKER_LABEL,
        names::FAST_DISK_LABEL,
    ]
    .into_iter()
    .filter(|label| node.labels.contains_key(*label))
    .map(|label| (label, None))
    .collect();
    (!labels.is_empty()).then(|| NodeChange {
        labels,
        ..NodeChange::default()
    })
}

/// What becomes of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeFate {
    /// It is deleted.
    Delete,
    /// Its claim goes first.
    DeleteClaim(ClaimRef),
    /// It is not this node's, whatever its label says.
    Foreign(String),
}

/// Decides what becomes of a volume that carries the node's label. The label alone is not believed: class, host
/// name and, where the provisioner wrote it, name and UID of the node must match too, as names are used again.
#[must_use]
pub fn volume_fate(volume: &Volume, node: &Node) -> VolumeFate {
    let hostname = node.labels.get("kubernetes.io/hostname").unwrap_or(&node.name);
    let expected = format!("local-volume-provisioner-{}-{}", node.name, node.uid);
    if volume.storage_class != names::FAST_DISKS_CLASS {
        return VolumeFate::Foreign(format!(
            "volume {} is of class {}",
            volume.name, volume.storage_class
        ));
    }
    if volume.hostname.as_ref() != Some(hostname) {
        return VolumeFate::Foreign(format!(
            "volume {} is bound to host {:?}",
            volume.name, volume.hostname
        ));
    }
    if volume.provisioned_by.as_ref().is_some_and(|by| *by != expected) {
        return VolumeFate::Foreign(format!(
            "volume {} was made by {:?}",
            volume.name, volume.provisioned_by
        ));
    }
    match (&volume.phase, &volume.claim) {
        (VolumePhase::Bound, Some(claim)) => VolumeFate::DeleteClaim(claim.clone()),
        _ => VolumeFate::Delete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Node {
        let labels = [
            ("kubernetes.io/hostname", "ip-10-0-0-7"),
            (names::WORKER_LABEL, "2x300g"),
            ("other", "kept"),
        ];
        Node {
            name: "ip-10-0-0-7.us-west-2.compute.internal".into(),
            uid: "node-uid".into(),
            labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            ..Node::default()
        }
    }

    fn volume() -> Volume {
        Volume {
            name: "local-pv-1".into(),
            uid: "pv-uid".into(),
            capacity_bytes: 0,
            storage_class: names::FAST_DISKS_CLASS.into(),
            hostname: Some("ip-10-0-0-7".into()),
            provisioned_by: Some(
                "local-volume-provisioner-ip-10-0-0-7.us-west-2.compute.internal-node-uid".into(),
            ),
            phase: VolumePhase::Released,
            claim: None,
        }
    }

    #[test]
    fn a_worker_in_service_is_never_taken_away() {
        let worker = |state| Worker {
            host: "10.0.0.7".into(),
            address: "10.0.0.7".into(),
            rpc_port: 0,
            web_port: 0,
            state,
            capacity_bytes: 0,
            used_bytes: 0,
            last_contact_seconds: 0,
        };
        assert!(in_service(Some(&worker(WorkerState::Live))).is_some());
        for state in [
            WorkerState::Decommissioned,
            WorkerState::Disabled,
            WorkerState::Lost,
        ] {
            assert_eq!(in_service(Some(&worker(state))), None);
        }
        assert_eq!(in_service(None), None);
    }

    #[test]
    fn only_the_levers_are_taken_off_so_that_the_node_can_still_be_found() {
        let change = pull_levers(&node()).expect("a lever is on");
        assert_eq!(change.labels, BTreeMap::from([(names::WORKER_LABEL, None)]));
        assert_eq!(pull_levers(&Node::default()), None);
    }

    #[test]
    fn the_lever_of_a_cache_in_memory_is_pulled_too() {
        let label = (names::MEMORY_WORKER_LABEL.to_owned(), names::TRUE.to_owned());
        let node = Node {
            labels: [label].into(),
            ..Node::default()
        };
        let change = pull_levers(&node).expect("a lever is on");
        assert_eq!(
            change.labels,
            BTreeMap::from([(names::MEMORY_WORKER_LABEL, None)])
        );
    }

    #[test]
    fn a_volume_of_the_node_goes_and_its_claim_before_it() {
        assert_eq!(volume_fate(&volume(), &node()), VolumeFate::Delete);
        let claim = ClaimRef {
            namespace: "alluxio".into(),
            name: "w-tier-0".into(),
            uid: "claim".into(),
        };
        let bound = Volume {
            phase: VolumePhase::Bound,
            claim: Some(claim.clone()),
            ..volume()
        };
        assert_eq!(volume_fate(&bound, &node()), VolumeFate::DeleteClaim(claim));
    }

    #[test]
    fn a_volume_of_another_class_host_or_earlier_node_of_the_same_name_is_left_alone() {
        for foreign in [
            Volume {
                storage_class: "gp3".into(),
                ..volume()
            },
            Volume {
                hostname: Some("ip-10-0-0-8".into()),
                ..volume()
            },
            Volume {
                hostname: None,
                ..volume()
            },
            Volume {
                provisioned_by: Some(
                    "local-volume-provisioner-ip-10-0-0-7.us-west-2.compute.internal-old".into(),
                ),
                ..volume()
            },
        ] {
            assert!(
                matches!(volume_fate(&foreign, &node()), VolumeFate::Foreign(_)),
                "{foreign:?}"
            );
        }
    }
}
