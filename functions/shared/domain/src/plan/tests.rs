use crate::disks::DiskLayout;
use crate::names;
use crate::node::{PastCordon, VolumePhase};
use crate::ports::{Refusal, RefusedBy};
use crate::resolve::Direction;
use crate::subject::{Identity, InstanceId};

use super::*;

const DISKS: [Disk; 2] = [Disk { size_gb: 300 }; 2];
const DRAIN: &str = "arn:aws:states:us-west-2:123456789012:execution:tidegate-node-drain:mine";
const OTHER: &str = "arn:aws:states:us-west-2:123456789012:execution:tidegate-node-drain:other";

fn subject() -> Subject {
    Subject {
        instance_id: InstanceId::parse("i-0123456789abcdef0").expect("valid"),
        auto_scaling_group: "nvme".into(),
        availability_zone: "us-west-2a".into(),
        instance_type: "m5d.4xlarge".into(),
        lifecycle_state: "InService".into(),
        disks: DISKS.to_vec(),
        disk_layout: DiskLayout::of(&DISKS),
        one_array: false,
        hook: None,
        retains: false,
        identity: Identity::default(),
    }
}

fn claim_of(execution: &str) -> Claim {
    Claim {
        execution: execution.into(),
        direction: Direction::Drain,
        hook: None,
        deadline: Timestamp::UNIX_EPOCH,
        terminate: false,
        replace: false,
        reclaimed: false,
        asked_to_terminate: None,
    }
}

/// A node that has joined.
fn node() -> Node {
    let labels = [
        ("kubernetes.io/hostname", "ip-10-0-0-7"),
        (names::INSTANCE_ID_LABEL, "i-0123456789abcdef0"),
        (names::FAST_DISK_LABEL, names::FAST_DISK_NVME),
        (names::DISK_LAYOUT_LABEL, "2x300g"),
        (names::WORKER_LABEL, "2x300g"),
    ];
    Node {
        name: "ip-10-0-0-7".into(),
        uid: "node-uid".into(),
        labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        ready: true,
        ..Node::default()
    }
}

/// The same before any step of its join.
fn new_node() -> Node {
    Node {
        labels: [("kubernetes.io/hostname".to_owned(), "ip-10-0-0-7".to_owned())].into(),
        startup_taint: true,
        ..node()
    }
}

fn volume(name: &str, hostname: &str) -> Volume {
    Volume {
        name: name.into(),
        uid: String::new(),
        capacity_bytes: 273 << 30,
        storage_class: names::FAST_DISKS_CLASS.into(),
        hostname: Some(hostname.into()),
        provisioned_by: None,
        phase: VolumePhase::Available,
        claim: None,
    }
}

fn pod(name: &str) -> Pod {
    Pod {
        namespace: "spark".into(),
        name: name.into(),
        controller_kind: Some("ReplicaSet".into()),
        ready: true,
        ..Pod::default()
    }
}

fn worker(state: WorkerState) -> Worker {
    Worker {
        host: "10.0.0.7".into(),
        address: "10.0.0.7".into(),
        rpc_port: 0,
        web_port: 0,
        state,
        capacity_bytes: 0,
        used_bytes: 0,
        last_contact_seconds: 0,
    }
}

#[test]
fn a_new_node_would_be_labelled_wait_for_its_volumes_get_a_worker_and_be_opened() {
    let node = new_node();
    let labels = label(Some(&node), &subject(), claim_of(DRAIN), false);
    assert!(labels.in_the_way.is_empty(), "{labels:?}");
    assert!(
        labels.would[0].contains("set label fast-disk-node=pv-nvme"),
        "{labels:?}"
    );
    let volumes = provision(&DISKS, &[]);
    assert!(
        volumes.would[0].starts_with("wait until each disk is a volume"),
        "{volumes:?}"
    );
    let worker = schedule(Some(&node), &subject(), true, None);
    assert_eq!(worker.would.len(), 3, "{worker:?}");
    assert_eq!(
        worker.would[1..],
        ["wait until its worker is in service", "open the node for work"]
    );
}

#[test]
fn for_a_node_that_has_joined_nothing_is_left_to_do() {
    let plans = [
        label(Some(&node()), &subject(), claim_of(DRAIN), false),
        provision(&DISKS, &[volume("a", "ip-10-0-0-7"), volume("b", "ip-10-0-0-7")]),
        schedule(Some(&node()), &subject(), true, Some(&worker(WorkerState::Live))),
    ];
    for plan in plans {
        assert_eq!(plan, Plan::default());
        assert_eq!(plan.reason(), "nothing to do");
    }
}

#[test]
fn an_instance_that_is_no_node_yet_would_be_waited_for() {
    let plan = label(None, &subject(), claim_of(DRAIN), false);
    assert_eq!(
        plan.would,
        ["wait for instance i-0123456789abcdef0 to become a node, and label it"]
    );
    assert_eq!(
        cordon(None, claim_of(DRAIN), false, Timestamp::UNIX_EPOCH),
        Plan::default()
    );
    assert_eq!(retire(None, &[], &[]), Plan::default());
}

#[test]
fn a_layout_that_no_daemon_set_runs_workers_for_is_in_the_way() {
    let plan = schedule(Some(&node()), &subject(), false, None);
    assert_eq!(
        plan.in_the_way,
        ["no DaemonSet runs workers for disk layout 2x300g"]
    );
    assert!(
        plan.reason().contains("; in the way: no DaemonSet"),
        "{}",
        plan.reason()
    );
}

#[test]
fn a_node_would_be_cordoned_and_another_execution_at_work_on_it_is_in_the_way() {
    let plan = cordon(Some(&node()), claim_of(DRAIN), false, Timestamp::UNIX_EPOCH);
    assert!(plan.would[0].ends_with("cordon it"), "{plan:?}");
    let mut claimed = node();
    let mut change = NodeChange::default();
    claim_of(OTHER).note(&mut change).expect("a claim");
    for (name, value) in change.annotations {
        claimed.annotations.insert(name.into(), value.expect("set"));
    }
    let plan = cordon(Some(&claimed), claim_of(DRAIN), true, Timestamp::UNIX_EPOCH);
    assert!(plan.in_the_way[0].contains(OTHER), "{plan:?}");
    let plan = cordon(Some(&claimed), claim_of(DRAIN), false, Timestamp::UNIX_EPOCH);
    assert!(plan.in_the_way.is_empty(), "it has ended: {plan:?}");
}

#[test]
fn each_pod_that_leaves_is_named_and_each_budget_that_holds_one_is_in_the_way() {
    let daemon = Pod {
        controller_kind: Some("DaemonSet".into()),
        ..pod("agent")
    };
    let pods = [pod("executor-1"), pod("executor-2"), daemon];
    let going = leaving(&pods, &node(), Timestamp::UNIX_EPOCH);
    assert_eq!(going.len(), 2);
    let plan = evict(&[
        (going[0], Eviction::Accepted),
        (going[1], Eviction::Blocked("needs 2 healthy".into())),
    ]);
    assert_eq!(plan.would, ["evict 2 pods: spark/executor-1, spark/executor-2"]);
    assert_eq!(plan.in_the_way, ["pod spark/executor-2: needs 2 healthy"]);
}

#[test]
fn of_many_pods_the_first_are_named_and_the_others_counted() {
    let pods: Vec<_> = (0..30).map(|number| pod(&format!("p{number}"))).collect();
    let trials: Vec<_> = pods
        .iter()
        .map(|pod| (pod, Eviction::Blocked("budget".into())))
        .collect();
    let plan = evict(&trials);
    assert!(plan.would[0].ends_with("spark/p19 and 10 more"), "{plan:?}");
    assert_eq!(plan.in_the_way.len(), MOST_NAMED + 1);
    assert_eq!(
        plan.in_the_way[MOST_NAMED],
        "10 more pods that may not be evicted now"
    );
}

#[test]
fn the_levers_would_be_pulled_and_the_volumes_of_the_node_deleted_and_no_other() {
    let plan = retire(
        Some(&node()),
        &[volume("mine", "ip-10-0-0-7"), volume("foreign", "elsewhere")],
        &[],
    );
    assert!(
        plan.would[0].contains("take label fast-disk-node off"),
        "{plan:?}"
    );
    assert_eq!(plan.would[1], "delete 1 volumes: mine");
    assert!(plan.in_the_way[0].ends_with("left alone"), "{plan:?}");
}

#[test]
fn a_refused_eviction_and_a_pod_that_returns_are_told() {
    let sticky = Pod {
        past_cordon: Some(PastCordon::Tolerates),
        ..pod("sticky")
    };
    let denied = Refusal {
        by: RefusedBy::Admission,
        words: "admission denies it (the operator moves it)".into(),
    };
    let plan = evict(&[
        (&sticky, Eviction::Accepted),
        (&pod("kafka-0"), Eviction::Refused(denied)),
    ]);
    assert!(plan.in_the_way[0].contains("spark/sticky"), "{plan:?}");
    assert_eq!(
        plan.in_the_way[1],
        "pod spark/kafka-0: admission denies it (the operator moves it)"
    );
}

#[test]
fn a_foreign_claim_is_in_the_way_and_stays() {
    let claim = |namespace: &str| ClaimRef {
        namespace: namespace.into(),
        name: "scratch".into(),
        uid: namespace.into(),
    };
    let bound = |name: &str, namespace: &str| Volume {
        phase: VolumePhase::Bound,
        claim: Some(claim(namespace)),
        ..volume(name, "ip-10-0-0-7")
    };
    let why = "claim team-a/scratch is in another namespace".to_owned();
    let plan = retire(
        Some(&node()),
        &[bound("theirs", "team-a"), bound("ours", "alluxio")],
        &[
            (claim("team-a"), ClaimFate::Foreign(why)),
            (claim("alluxio"), ClaimFate::Delete),
        ],
    );
    assert_eq!(
        plan.would.last().map(String::as_str),
        Some("delete 1 volumes: ours with claim alluxio/scratch")
    );
    assert_eq!(
        plan.in_the_way,
        ["claim team-a/scratch is in another namespace: left alone, with volume theirs"]
    );
}

#[test]
fn a_reason_says_why_there_is_nothing_to_do() {
    let plan = Plan::default().noting("the node has no worker");
    assert_eq!(plan.reason(), "nothing to do: the node has no worker");
}
