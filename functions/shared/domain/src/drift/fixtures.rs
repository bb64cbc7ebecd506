//! A group with one node as it should be, for tests to change one thing of.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::finding::{About, Finding, Repair};
use super::kind::Kind;
use super::manifests::Manifests;
use super::snapshot::{
    Executions, Group, Member, OwnerPod, Rule, Rules, SeenClaim, SeenNode, SeenPod, SeenVolume, Snapshot,
    Workers,
};
use crate::cache::{Worker, WorkerState};
use crate::disks::{Disk, expected_cache_bytes};
use crate::names;
use crate::node::{ClaimRef, Node, Volume, VolumePhase};
use crate::ports::GroupHook;
use crate::resolve::Direction;

pub(super) const INSTANCE: &str = "i-0123456789abcdef0";
pub(super) const GROUP: &str = "nvme-nodes";
pub(super) const NODE_UID: &str = "11111111-2222-3333-4444-555555555555";
const TYPE: &str = "m5d.2xlarge";
const DISKS: [Disk; 1] = [Disk { size_gb: 300 }];

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
}

pub(super) fn finding(kind: Kind, subject: &str) -> Finding {
    Finding {
        kind,
        subject: subject.to_owned(),
        seen: "seen".to_owned(),
        since: None,
        about: About::Setting,
        repair: Repair::EnableRule("rule".to_owned()),
    }
}

pub(super) fn instance_finding(kind: Kind, instance: &str) -> Finding {
    Finding {
        about: About::Instance {
            group: GROUP.to_owned(),
            instance: instance.to_owned(),
        },
        ..finding(kind, instance)
    }
}

pub(super) fn group_of(size: usize, state: &str) -> Group {
    let member = |index| Member {
        instance: format!("i-{index:017x}"),
        instance_type: TYPE.to_owned(),
        lifecycle_state: state.to_owned(),
    };
    Group {
        name: GROUP.to_owned(),
        exists: true,
        one_array: false,
        retains: true,
        hooks: vec![hook(Direction::Join), hook(Direction::Drain)],
        members: (0..size).map(member).collect(),
    }
}

pub(super) fn hook(direction: Direction) -> GroupHook {
    let (name, default_result) = match direction {
        Direction::Join => ("tidegate-node-join", "CONTINUE"),
        Direction::Drain => ("tidegate-node-drain", "ABANDON"),
    };
    GroupHook {
        name: name.to_owned(),
        transition: direction.transition().to_owned(),
        heartbeat_seconds: 1_800,
        global_seconds: 172_800,
        default_result: default_result.to_owned(),
    }
}

pub(super) fn node() -> SeenNode {
    let labels = [
        ("kubernetes.io/hostname", "ip-10-0-0-7"),
        (names::INSTANCE_ID_LABEL, INSTANCE),
        (names::FAST_DISK_LABEL, names::FAST_DISK_NVME),
        (names::DISK_LAYOUT_LABEL, "1x300g"),
        (names::WORKER_LABEL, "1x300g"),
    ];
    SeenNode {
        node: Node {
            name: "ip-10-0-0-7".to_owned(),
            uid: NODE_UID.to_owned(),
            labels: labels
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            provider_id: format!("aws:///us-west-2a/{INSTANCE}"),
            ready: true,
            internal_ip: Some("10.0.0.7".to_owned()),
            ..Node::default()
        },
        ready_since: Some(at(0)),
    }
}

pub(super) fn claim() -> ClaimRef {
    ClaimRef {
        namespace: "alluxio".to_owned(),
        name: "alluxio-worker-x-tier-0".to_owned(),
        uid: "claim-uid".to_owned(),
    }
}

pub(super) fn volume() -> SeenVolume {
    SeenVolume {
        volume: Volume {
            name: "local-pv-1".to_owned(),
            uid: "pv-uid".to_owned(),
            capacity_bytes: 273 << 30,
            storage_class: names::FAST_DISKS_CLASS.to_owned(),
            hostname: Some("ip-10-0-0-7".to_owned()),
            provisioned_by: Some(format!("local-volume-provisioner-ip-10-0-0-7-{NODE_UID}")),
            phase: VolumePhase::Bound,
            claim: Some(claim()),
        },
        instance: INSTANCE.to_owned(),
        deletes: true,
        since: Some(at(0)),
    }
}

pub(super) fn worker(state: WorkerState) -> Worker {
    Worker {
        host: "10.0.0.7".to_owned(),
        address: "10.0.0.7".to_owned(),
        rpc_port: 29_999,
        web_port: 30_000,
        state,
        capacity_bytes: expected_cache_bytes(&DISKS),
        used_bytes: 0,
        last_contact_seconds: 0,
    }
}

/// A world in which nothing differs.
pub(super) fn as_it_should_be() -> Snapshot {
    Snapshot {
        groups: Ok(vec![Group {
            members: vec![Member {
                instance: INSTANCE.to_owned(),
                instance_type: TYPE.to_owned(),
                lifecycle_state: "InService".to_owned(),
            }],
            ..group_of(0, "")
        }]),
        disks: BTreeMap::from([(TYPE.to_owned(), DISKS.to_vec())]),
        nodes: Ok(vec![node()]),
        volumes: Ok(vec![volume()]),
        claims: Ok(vec![SeenClaim {
            claim: claim(),
            storage_class: names::FAST_DISKS_CLASS.to_owned(),
            volume: Some("local-pv-1".to_owned()),
            created_at: Some(at(0)),
            deleting: false,
            worker: true,
            owner_pod: Some(OwnerPod {
                name: "alluxio-worker-x".to_owned(),
                uid: "pod-uid".to_owned(),
            }),
        }]),
        pods: Ok(vec![SeenPod {
            name: "alluxio-worker-x".to_owned(),
            uid: "pod-uid".to_owned(),
            node: Some("ip-10-0-0-7".to_owned()),
            worker: true,
            deleting: false,
            ready_since: Some(at(0)),
            claims: vec![claim().name],
        }]),
        workers: Ok(Workers {
            all: vec![worker(WorkerState::Live)],
            lost_storage: BTreeMap::new(),
        }),
        executions: Ok(Executions::default()),
        rules: Ok(Rules {
            expected: vec!["tidegate-node-launching".to_owned()],
            found: vec![Rule {
                name: "tidegate-node-launching".to_owned(),
                enabled: true,
            }],
        }),
        manifests: Ok(Manifests {
            record: "ConfigMap kube-system/tidegate-manifests".to_owned(),
            objects: Some(Vec::new()),
            destroying_since: None,
        }),
    }
}
