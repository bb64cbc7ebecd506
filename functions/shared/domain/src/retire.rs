//! A drained worker is taken away, and its volumes with it.

use std::collections::BTreeMap;

use crate::cache::{Worker, WorkerState};
use crate::names;
use crate::node::{ClaimRef, Node, NodeChange, Volume, VolumeClaim, VolumePhase};

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
    /// It is bound: what becomes of its claim decides.
    Bound(ClaimRef),
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
        (VolumePhase::Bound, Some(claim)) => VolumeFate::Bound(claim.clone()),
        _ => VolumeFate::Delete,
    }
}

/// What becomes of the claim on a volume of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimFate {
    /// It was made for a pod of our worker, which is gone: it is deleted, as Kubernetes' garbage collector would.
    Delete,
    /// It is gone; Kubernetes is about to release its volume.
    Gone,
    /// It belongs to something else: why. It is left alone, with its volume and what is on that, and not waited for.
    Foreign(String),
}

/// Whether it must be known how a claim looks before [`claim_fate`] decides.
#[must_use]
pub fn may_be_ours(claim: &ClaimRef, namespace: &str) -> bool {
    claim.namespace == namespace
}

/// Decides what becomes of the claim that a volume is bound to. `namespace` is that of the workers; `found` is the claim
/// of that name there.
///
/// Any pod of the cluster may take a volume of the class. The claim of an ephemeral volume is owned by its pod, and carries
/// the labels of the pod template that it is written in.
/// <https://kubernetes.io/docs/concepts/storage/ephemeral-volumes/#lifecycle-and-persistentvolumeclaim>
#[must_use]
pub fn claim_fate(claim: &ClaimRef, namespace: &str, found: Option<&VolumeClaim>) -> ClaimFate {
    let foreign = |why: &str| ClaimFate::Foreign(format!("claim {} {why}", claim.full_name()));
    if !may_be_ours(claim, namespace) {
        return foreign("is in another namespace than the workers'");
    }
    let Some(found) = found.filter(|found| found.uid == claim.uid) else {
        return ClaimFate::Gone;
    };
    match &found.owner {
        Some(owner) if owner.kind == "Pod" && found.role.as_deref() == Some(names::WORKER_ROLE) => {
            ClaimFate::Delete
        }
        Some(owner) => foreign(&format!(
            "belongs to {} {}, no worker's pod",
            owner.kind, owner.name
        )),
        None => foreign("belongs to no worker's pod"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Owner;

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
    fn a_volume_of_the_node_goes_unless_it_is_bound() {
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
        assert_eq!(volume_fate(&bound, &node()), VolumeFate::Bound(claim));
    }

    fn claim_ref(namespace: &str) -> ClaimRef {
        ClaimRef {
            namespace: namespace.into(),
            name: "tier-0".into(),
            uid: "claim-uid".into(),
        }
    }

    fn claim(owner: Option<&str>, of_worker: bool) -> VolumeClaim {
        VolumeClaim {
            uid: "claim-uid".into(),
            owner: owner.map(|kind| Owner {
                kind: kind.into(),
                name: "w".into(),
            }),
            role: of_worker.then(|| names::WORKER_ROLE.to_owned()),
        }
    }

    #[test]
    fn only_a_claim_of_a_workers_pod_is_deleted() {
        let fate = |found| claim_fate(&claim_ref("alluxio"), "alluxio", Some(&found));
        assert_eq!(fate(claim(Some("Pod"), true)), ClaimFate::Delete);
        for (foreign, named) in [
            (claim(Some("Pod"), false), "Pod w"),
            (claim(Some("StatefulSet"), true), "StatefulSet w"),
            (claim(None, true), "no worker's pod"),
            (claim(None, false), "alluxio/tier-0"),
        ] {
            let ClaimFate::Foreign(why) = fate(foreign) else {
                panic!("taken for ours: {named}")
            };
            assert!(why.contains(named), "{why}");
        }
    }

    #[test]
    fn a_claim_of_another_namespace_is_foreign_unseen() {
        let claim_ref = claim_ref("team-a");
        assert!(!may_be_ours(&claim_ref, "alluxio"));
        for found in [None, Some(&claim(Some("Pod"), true))] {
            let fate = claim_fate(&claim_ref, "alluxio", found);
            assert!(
                matches!(&fate, ClaimFate::Foreign(why) if why.contains("claim team-a/tier-0")),
                "{fate:?}"
            );
        }
    }

    #[test]
    fn a_claim_of_that_name_made_later_is_another() {
        let later = VolumeClaim {
            uid: "later".into(),
            ..claim(Some("Pod"), true)
        };
        for found in [None, Some(&later)] {
            let fate = claim_fate(&claim_ref("alluxio"), "alluxio", found);
            assert_eq!(fate, ClaimFate::Gone);
        }
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
