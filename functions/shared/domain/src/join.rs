//! A node joins: what to write on it, whether its disks are volumes, whether its worker is in service.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::cache::{Worker, WorkerState};
use crate::claim::taken_over;
use crate::disks::{Disk, expected_cache_bytes};
use crate::names;
use crate::node::{Node, NodeChange, Pod, Volume, VolumePhase};
use crate::resolve::Direction;
use crate::subject::Subject;

/// A worker that has not been heard for longer is not counted as in service. The master asks for a heartbeat every
/// second.
const FRESH_CONTACT_SECONDS: u64 = 60;

/// What to do with a node on its way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is being drained, or another execution joins it: this join gives way.
    Superseded(String),
    /// Change it.
    Change(NodeChange),
    /// It is as it should be.
    Nothing,
}

/// The labels that say what a node is.
#[must_use]
pub fn label(node: &Node, subject: &Subject) -> Step {
    step(
        node,
        being_drained(node),
        [
            (names::INSTANCE_ID_LABEL, subject.instance_id.as_str()),
            (names::FAST_DISK_LABEL, names::FAST_DISK_NVME),
            (names::DISK_LAYOUT_LABEL, subject.disk_layout.as_str()),
        ],
    )
}

/// The label that runs a worker on a node.
#[must_use]
pub fn pull_worker_lever(node: &Node, subject: &Subject, execution: &str) -> Step {
    let label = (names::WORKER_LABEL, subject.disk_layout.as_str());
    step(node, superseded(node, execution), [label])
}

/// Opens a node for work.
#[must_use]
pub fn open(node: &Node, execution: &str) -> Step {
    match superseded(node, execution) {
        Some(reason) => Step::Superseded(reason),
        None if node.startup_taint => Step::Change(NodeChange {
            remove_startup_taint: true,
            ..NodeChange::default()
        }),
        None => Step::Nothing,
    }
}

/// Why a join of that node, by that execution, gives way once it has claimed the node; none where it need not.
#[must_use]
pub fn superseded(node: &Node, execution: &str) -> Option<String> {
    being_drained(node).or_else(|| taken_over(node, execution, Direction::Join))
}

fn being_drained(node: &Node) -> Option<String> {
    node.draining_since()
        .map(|since| format!("node {} is being drained since {since}", node.name))
}

fn step<const N: usize>(node: &Node, gives_way: Option<String>, wanted: [(&'static str, &str); N]) -> Step {
    if let Some(reason) = gives_way {
        return Step::Superseded(reason);
    }
    let labels: BTreeMap<_, _> = wanted
        .into_iter()
        .filter(|(label, value)| !node.has_label(label, value))
        .map(|(label, value)| (label, Some(value.to_owned())))
        .collect();
    if labels.is_empty() {
        Step::Nothing
    } else {
        Step::Change(NodeChange {
            labels,
            ..NodeChange::default()
        })
    }
}

/// How the volumes of a node compare with its disks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumesSeen {
    /// Each disk is a volume.
    Complete,
    /// Some disk is no volume yet; says what is there.
    Missing(String),
    /// A volume is none of the disks: says which.
    Wrong(String),
}

/// Compares the volumes of a node with the disks of its instance type.
#[must_use]
pub fn volumes_seen(disks: &[Disk], volumes: &[Volume]) -> VolumesSeen {
    let mut unmatched = disks.to_vec();
    unmatched.sort_unstable();
    let mut cleaned = 0;
    for volume in volumes
        .iter()
        .filter(|volume| volume.storage_class == names::FAST_DISKS_CLASS)
    {
        if !disks.iter().any(|disk| disk.fits_volume(volume.capacity_bytes)) {
            let sizes = disks
                .iter()
                .map(|disk| format!("{} GB", disk.size_gb))
                .collect::<Vec<_>>()
                .join(", ");
            return VolumesSeen::Wrong(format!(
                "volume {} has {} bytes, which is none of this instance type's disks ({sizes})",
                volume.name, volume.capacity_bytes
            ));
        }
        match volume.phase {
            VolumePhase::Available | VolumePhase::Bound => {
                if let Some(at) = unmatched
                    .iter()
                    .position(|disk| disk.fits_volume(volume.capacity_bytes))
                {
                    unmatched.remove(at);
                }
            }
            VolumePhase::Released | VolumePhase::Failed | VolumePhase::Pending => cleaned += 1,
        }
    }
    if unmatched.is_empty() {
        return VolumesSeen::Complete;
    }
    let cleaning = if cleaned > 0 {
        format!(", {cleaned} being cleaned")
    } else {
        String::new()
    };
    VolumesSeen::Missing(format!(
        "{} of {} disks are volumes{cleaning}",
        disks.len() - unmatched.len(),
        disks.len()
    ))
}

/// Whether a missing volume is the disk's fault: the provisioner of this very node has been ready for so long that
/// it must have seen the disk (it looks every 10 s).
#[must_use]
pub fn disk_is_to_blame(provisioner: Option<&Pod>, publish_limit_seconds: u32, now: Timestamp) -> bool {
    let limit = SignedDuration::from_secs(publish_limit_seconds.into());
    provisioner
        .filter(|pod| pod.ready)
        .and_then(|pod| pod.ready_since)
        .is_some_and(|since| now.duration_since(since) >= limit)
}

/// Where a worker is on its way into service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerSeen {
    /// It is in service with all its capacity.
    InService,
    /// Not yet, and why.
    NotYet(String),
    /// It is in service, and says that this node's storage is wrong.
    Unfit(String),
}

/// Judges a worker by its pod, and by what the master knows of it. A ready pod alone proves nothing: its probes
/// only open the port. An earlier worker on the same address is told apart by when the master last heard from it: it
/// ended before this pod began, while `startTimeMs` stays that of the address's first registration.
#[must_use]
pub fn worker_seen(
    pod: Option<&Pod>,
    worker: Option<&Worker>,
    lost_storage: &[String],
    disks: &[Disk],
    now: Timestamp,
) -> WorkerSeen {
    let Some(pod) = pod.filter(|pod| pod.deletion_time.is_none()) else {
        return WorkerSeen::NotYet("no worker pod on the node yet".to_owned());
    };
    if !pod.ready {
        let trouble = pod
            .trouble
            .as_deref()
            .map(|trouble| format!(": {trouble}"))
            .unwrap_or_default();
        return WorkerSeen::NotYet(format!("pod {} is not ready{trouble}", pod.full_name()));
    }
    let Some(worker) = worker else {
        return WorkerSeen::NotYet(format!(
            "pod {} is ready, its worker is not registered",
            pod.full_name()
        ));
    };
    let from_before_pod = pod.start_time.is_some_and(|start| {
        let pod_age_seconds = u64::try_from(now.duration_since(start).as_secs()).unwrap_or_default();
        worker.last_contact_seconds >= pod_age_seconds
    });
    if worker.state != WorkerState::Live
        || from_before_pod
        || worker.last_contact_seconds > FRESH_CONTACT_SECONDS
    {
        return WorkerSeen::NotYet(format!(
            "worker {} is registered as {:?}, last heard {} s ago{}",
            worker.host,
            worker.state,
            worker.last_contact_seconds,
            if from_before_pod {
                ": not since this pod started"
            } else {
                ""
            }
        ));
    }
    if !lost_storage.is_empty() {
        return WorkerSeen::Unfit(format!(
            "worker {} cannot use {}",
            worker.host,
            lost_storage.join(", ")
        ));
    }
    let expected = expected_cache_bytes(disks);
    if worker.capacity_bytes < expected {
        return WorkerSeen::Unfit(format!(
            "worker {} registered with {} bytes, its disks should give {expected}",
            worker.host, worker.capacity_bytes
        ));
    }
    WorkerSeen::InService
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disks::DiskLayout;
    use crate::subject::InstanceId;

    const GIB: u64 = 1_073_741_824;
    const DISKS: [Disk; 2] = [Disk { size_gb: 300 }, Disk { size_gb: 300 }];

    fn subject() -> Subject {
        Subject {
            instance_id: InstanceId::parse("i-0123456789abcdef0").expect("valid"),
            auto_scaling_group: "nvme".into(),
            availability_zone: "us-west-2a".into(),
            instance_type: "m5d.4xlarge".into(),
            lifecycle_state: "Pending:Wait".into(),
            disks: DISKS.to_vec(),
            disk_layout: DiskLayout::of(&DISKS),
            hook: None,
            retains: false,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("valid")
    }

    fn draining() -> Node {
        let annotations = [(
            names::DRAIN_SINCE_ANNOTATION.to_owned(),
            "2026-01-01T00:00:00Z".to_owned(),
        )];
        Node {
            annotations: annotations.into(),
            startup_taint: true,
            ..Node::default()
        }
    }

    fn volume(gib: u64, phase: VolumePhase) -> Volume {
        Volume {
            name: format!("local-pv-{gib}"),
            uid: String::new(),
            capacity_bytes: gib * GIB,
            storage_class: names::FAST_DISKS_CLASS.into(),
            hostname: None,
            provisioned_by: None,
            phase,
            claim: None,
        }
    }

    fn pod(ready: bool) -> Pod {
        let start_time = Some(Timestamp::from_second(1_000).expect("valid"));
        Pod {
            namespace: "alluxio".into(),
            name: "w".into(),
            ready,
            start_time,
            ..Pod::default()
        }
    }

    fn worker() -> Worker {
        Worker {
            host: "10.0.0.7".into(),
            address: "10.0.0.7".into(),
            rpc_port: 29_999,
            web_port: 30_000,
            state: WorkerState::Live,
            capacity_bytes: 2 * 246 * GIB,
            used_bytes: 0,
            last_contact_seconds: 0,
        }
    }

    #[test]
    fn a_fresh_node_gets_what_is_known_of_it_and_a_labelled_one_is_left_alone() {
        let Step::Change(change) = label(&Node::default(), &subject()) else {
            panic!("nothing to change")
        };
        assert_eq!(change.labels.len(), 3);
        assert_eq!(change.labels[names::DISK_LAYOUT_LABEL].as_deref(), Some("2x300g"));
        let labels = change
            .labels
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v.expect("set")))
            .collect();
        assert_eq!(
            label(
                &Node {
                    labels,
                    ..Node::default()
                },
                &subject()
            ),
            Step::Nothing
        );
    }

    #[test]
    fn every_step_of_a_join_gives_way_to_a_drain() {
        let node = draining();
        for step in [
            label(&node, &subject()),
            pull_worker_lever(&node, &subject(), "e-1"),
            open(&node, "e-1"),
        ] {
            assert!(matches!(step, Step::Superseded(_)), "{step:?}");
        }
    }

    #[test]
    fn a_node_is_opened_once() {
        assert!(matches!(
            open(
                &Node {
                    startup_taint: true,
                    ..Node::default()
                },
                "e-1"
            ),
            Step::Change(_)
        ));
        assert_eq!(open(&Node::default(), "e-1"), Step::Nothing);
    }

    #[test]
    fn after_its_claim_a_join_gives_way_to_whoever_took_the_node_over() {
        let claim = r#"{"execution": "e-2", "direction": "join", "deadline": "2026-01-01T00:00:00Z"}"#;
        let node = Node {
            annotations: [(names::EXECUTION_ANNOTATION.to_owned(), claim.to_owned())].into(),
            startup_taint: true,
            ..Node::default()
        };
        for step in [pull_worker_lever(&node, &subject(), "e-1"), open(&node, "e-1")] {
            assert!(
                matches!(&step, Step::Superseded(reason) if reason.contains("e-2")),
                "{step:?}"
            );
        }
        for step in [pull_worker_lever(&node, &subject(), "e-2"), open(&node, "e-2")] {
            assert!(matches!(step, Step::Change(_)), "{step:?}");
        }
    }

    #[test]
    fn disks_are_volumes_when_each_has_one_of_its_size_that_can_be_used() {
        use VolumePhase::{Available, Bound, Released};
        assert_eq!(
            volumes_seen(&DISKS, &[volume(273, Bound), volume(273, Available)]),
            VolumesSeen::Complete
        );
        let one = volumes_seen(&DISKS, &[volume(273, Available), volume(273, Released)]);
        assert_eq!(
            one,
            VolumesSeen::Missing("1 of 2 disks are volumes, 1 being cleaned".into())
        );
        assert_eq!(
            volumes_seen(&DISKS, &[]),
            VolumesSeen::Missing("0 of 2 disks are volumes".into())
        );
    }

    #[test]
    fn a_volume_of_a_size_that_no_disk_has_is_wrong() {
        let seen = volumes_seen(&DISKS, &[volume(100, VolumePhase::Available)]);
        assert!(
            matches!(&seen, VolumesSeen::Wrong(reason) if reason.contains("local-pv-100")),
            "{seen:?}"
        );
    }

    #[test]
    fn a_volume_of_another_class_is_not_looked_at() {
        let other = Volume {
            storage_class: "gp3".into(),
            ..volume(100, VolumePhase::Available)
        };
        assert!(matches!(volumes_seen(&DISKS, &[other]), VolumesSeen::Missing(_)));
    }

    #[test]
    fn a_disk_is_to_blame_only_when_this_nodes_provisioner_had_time_to_see_it() {
        let provisioner = Pod {
            ready: true,
            ready_since: Some(at(100)),
            ..Pod::default()
        };
        assert!(disk_is_to_blame(Some(&provisioner), 120, at(220)));
        assert!(!disk_is_to_blame(Some(&provisioner), 120, at(219)));
        assert!(!disk_is_to_blame(
            Some(&Pod {
                ready: false,
                ..provisioner
            }),
            120,
            at(500)
        ));
        assert!(!disk_is_to_blame(None, 120, at(500)));
    }

    #[test]
    fn a_worker_is_in_service_when_the_master_has_all_its_capacity_from_this_very_pod() {
        assert_eq!(
            worker_seen(Some(&pod(true)), Some(&worker()), &[], &DISKS, at(1_100)),
            WorkerSeen::InService
        );
    }

    #[test]
    fn a_ready_pod_without_a_registered_worker_is_not_in_service() {
        for (pod, worker) in [
            (None, Some(worker())),
            (Some(pod(false)), Some(worker())),
            (Some(pod(true)), None),
            (
                Some(pod(true)),
                Some(Worker {
                    state: WorkerState::Lost,
                    ..worker()
                }),
            ),
            (
                Some(pod(true)),
                Some(Worker {
                    state: WorkerState::Decommissioned,
                    ..worker()
                }),
            ),
            (
                Some(pod(true)),
                Some(Worker {
                    last_contact_seconds: 61,
                    ..worker()
                }),
            ),
            (
                Some(Pod {
                    start_time: Some(at(1_090)),
                    ..pod(true)
                }),
                Some(Worker {
                    last_contact_seconds: 10,
                    ..worker()
                }),
            ),
            (
                Some(Pod {
                    deletion_time: Some(Timestamp::UNIX_EPOCH),
                    ..pod(true)
                }),
                Some(worker()),
            ),
        ] {
            let seen = worker_seen(pod.as_ref(), worker.as_ref(), &[], &DISKS, at(1_100));
            assert!(
                matches!(seen, WorkerSeen::NotYet(_)),
                "{pod:?} {worker:?}: {seen:?}"
            );
        }
    }

    #[test]
    fn a_worker_with_lost_storage_or_too_little_of_it_proves_the_node_unfit() {
        let lost = worker_seen(
            Some(&pod(true)),
            Some(&worker()),
            &["/mnt/alluxio/tier-1".into()],
            &DISKS,
            at(1_100),
        );
        assert!(
            matches!(&lost, WorkerSeen::Unfit(reason) if reason.contains("tier-1")),
            "{lost:?}"
        );
        let half = Worker {
            capacity_bytes: 246 * GIB,
            ..worker()
        };
        assert!(matches!(
            worker_seen(Some(&pod(true)), Some(&half), &[], &DISKS, at(1_100)),
            WorkerSeen::Unfit(_)
        ));
    }
}
