use super::*;
use crate::disks::DiskLayout;
use crate::subject::{Identity, InstanceId};

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
        one_array: false,
        hook: None,
        retains: false,
        identity: Identity::default(),
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
    let Step::Change(change) = label(&Node::default(), &subject(), false) else {
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
            &subject(),
            false
        ),
        Step::Nothing
    );
}

#[test]
fn a_node_says_whether_its_disks_are_volumes_each_or_one_array() {
    for (one_array, value) in [(false, "pv-nvme"), (true, "pv-raid")] {
        let subject = Subject {
            one_array,
            ..subject()
        };
        let Step::Change(change) = label(&Node::default(), &subject, false) else {
            panic!("nothing to change")
        };
        assert_eq!(change.labels[names::FAST_DISK_LABEL].as_deref(), Some(value));
    }
}

#[test]
fn a_place_of_masters_is_kept_from_cluster_autoscaler_and_no_other_node_is() {
    let mut node = Node {
        labels: [(names::MASTER_LABEL.to_owned(), "true".to_owned())].into(),
        ..Node::default()
    };
    let Step::Change(change) = label(&node, &subject(), false) else {
        panic!("nothing to change")
    };
    assert_eq!(
        change.annotations,
        [(names::SCALE_DOWN_DISABLED_ANNOTATION, Some("true".to_owned()))].into()
    );
    assert_eq!(change.labels.len(), 3, "in the same patch");
    for (name, value) in change.annotations {
        node.annotations.insert(name.to_owned(), value.expect("set"));
    }
    for (name, value) in change.labels {
        node.labels.insert(name.to_owned(), value.expect("set"));
    }
    assert_eq!(label(&node, &subject(), false), Step::Nothing);
    let Step::Change(change) = label(&Node::default(), &subject(), false) else {
        panic!("nothing to change")
    };
    assert!(change.annotations.is_empty());
}

#[test]
fn a_join_after_a_drain_that_was_undone_gives_the_node_back_to_cluster_autoscaler_unless_it_is_a_place_of_masters()
 {
    let mut node = Node {
        annotations: [
            names::SCALE_DOWN_DISABLED_ANNOTATION,
            names::SCALE_DOWN_HELD_ANNOTATION,
        ]
        .map(|name| (name.to_owned(), "true".to_owned()))
        .into(),
        ..Node::default()
    };
    let Step::Change(change) = label(&node, &subject(), false) else {
        panic!("nothing to change")
    };
    assert_eq!(
        change.annotations,
        [
            (names::SCALE_DOWN_DISABLED_ANNOTATION, None),
            (names::SCALE_DOWN_HELD_ANNOTATION, None)
        ]
        .into()
    );
    node.labels
        .insert(names::MASTER_LABEL.to_owned(), "true".to_owned());
    let Step::Change(change) = label(&node, &subject(), false) else {
        panic!("nothing to change")
    };
    assert_eq!(
        change.annotations,
        [
            (names::SCALE_DOWN_DISABLED_ANNOTATION, Some("true".to_owned())),
            (names::SCALE_DOWN_HELD_ANNOTATION, None)
        ]
        .into()
    );
}

#[test]
fn every_step_of_a_join_gives_way_to_a_drain() {
    let mut node = draining();
    node.labels
        .insert(names::MASTER_LABEL.to_owned(), "true".to_owned());
    for step in [
        label(&node, &subject(), true),
        pull_worker_lever(&node, &subject(), "e-1"),
        open(&node, "e-1"),
    ] {
        assert!(matches!(step, Step::Superseded(_)), "{step:?}");
    }
}

/// As a drain has left it before its instance went into the warm pool.
fn pooled() -> Node {
    let mut node = draining();
    node.unschedulable = true;
    node.annotations.insert(
        names::DECOMMISSIONED_AT_ANNOTATION.to_owned(),
        "2026-01-01T00:10:00Z".to_owned(),
    );
    for name in [
        names::SCALE_DOWN_DISABLED_ANNOTATION,
        names::SCALE_DOWN_HELD_ANNOTATION,
    ] {
        node.annotations.insert(name.to_owned(), names::TRUE.to_owned());
    }
    node
}

#[test]
fn a_launch_out_of_the_warm_pool_undoes_the_drain() {
    let Step::Change(change) = label(&pooled(), &subject(), false) else {
        panic!("it joins");
    };
    assert!(change.uncordon);
    assert_eq!(change.labels.len(), 3);
    let gone: Vec<_> = change
        .annotations
        .iter()
        .filter(|(_, value)| value.is_none())
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(
        gone,
        [
            names::SCALE_DOWN_DISABLED_ANNOTATION,
            names::DECOMMISSIONED_AT_ANNOTATION,
            names::DRAIN_SINCE_ANNOTATION,
            names::SCALE_DOWN_HELD_ANNOTATION,
        ]
    );
}

#[test]
fn a_drained_node_in_service_stays_drained() {
    for state in ["InService", "Pending", "Standby"] {
        let kept = Subject {
            lifecycle_state: state.into(),
            ..subject()
        };
        let step = label(&pooled(), &kept, false);
        assert!(matches!(step, Step::Superseded(_)), "{state}: {step:?}");
    }
}

#[test]
fn a_drain_that_runs_is_not_undone() {
    assert!(matches!(label(&pooled(), &subject(), true), Step::Superseded(_)));
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
    use VolumePhase::{Available, Bound, Pending, Released};
    assert_eq!(
        volumes_seen(&DISKS, &[volume(273, Bound), volume(273, Available)]),
        VolumesSeen::Complete
    );
    let one = volumes_seen(&DISKS, &[volume(273, Available), volume(273, Released)]);
    assert_eq!(
        one,
        VolumesSeen::Missing("1 of 2 disks are volumes, 1 being cleaned".into())
    );
    let new = volumes_seen(&DISKS, &[volume(273, Available), volume(273, Pending)]);
    assert_eq!(
        new,
        VolumesSeen::Missing(
            "1 of 2 disks are volumes, 1 published and not taken up by Kubernetes yet".into()
        )
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
    let blamed = |provisioner: Option<&Pod>, now| disk_is_to_blame(&DISKS, &[], provisioner, 120, at(now));
    assert!(blamed(Some(&provisioner), 220));
    assert!(!blamed(Some(&provisioner), 219));
    let unready = Pod {
        ready: false,
        ..provisioner
    };
    assert!(!blamed(Some(&unready), 500));
    assert!(!blamed(None, 500));
}

#[test]
fn a_disk_that_was_published_is_not_to_blame_for_controllers_that_are_late() {
    let provisioner = Pod {
        ready: true,
        ready_since: Some(at(100)),
        ..Pod::default()
    };
    let blamed = |volumes: &[Volume]| disk_is_to_blame(&DISKS, volumes, Some(&provisioner), 120, at(500));
    let pending = || volume(273, VolumePhase::Pending);
    assert!(!blamed(&[pending(), volume(273, VolumePhase::Bound)]));
    assert!(!blamed(&[pending(), volume(273, VolumePhase::Released)]));
    assert!(blamed(&[pending()]), "one disk has no volume");
    assert!(blamed(&[pending(), volume(273, VolumePhase::Failed)]));
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

#[test]
fn a_worker_of_another_layout_keeps_its_label() {
    let labelled = |layout: &str| Node {
        labels: [(names::WORKER_LABEL.to_owned(), layout.to_owned())].into(),
        ..Node::default()
    };
    let ended = Pod {
        finished: true,
        ..pod(false)
    };
    let other = labelled("1x600g");
    let reason = runs_another_layout(&other, &subject(), &[ended.clone(), pod(true)]).expect("it stays");
    assert!(reason.contains("drain the node first"), "{reason}");
    assert_eq!(runs_another_layout(&other, &subject(), &[ended]), None);
    assert_eq!(
        runs_another_layout(&labelled("2x300g"), &subject(), &[pod(true)]),
        None
    );
    assert_eq!(
        runs_another_layout(&Node::default(), &subject(), &[pod(true)]),
        None
    );
}
