use serde_json::json;

use super::*;

const ADDRESS: &str = "10.0.0.7";

fn subject() -> Subject {
    serde_json::from_value(json!({
        "instanceId": "i-0123456789abcdef0",
        "autoScalingGroup": "nvme",
        "availabilityZone": "us-west-2a",
        "instanceType": "m5d.4xlarge",
        "lifecycleState": "InService",
        "disks": [],
        "diskLayout": "none",
        "hook": null,
        "retains": true,
        "instanceState": "running",
        "nodeName": "ip-10-0-0-7",
        "privateAddress": ADDRESS,
    }))
    .expect("a subject")
}

fn node() -> Node {
    Node {
        name: "ip-10-0-0-7".into(),
        internal_ip: Some(ADDRESS.into()),
        ..Node::default()
    }
}

fn never_opened() -> Node {
    Node {
        startup_taint: true,
        ..node()
    }
}

fn worker(state: WorkerState) -> Worker {
    worker_at(ADDRESS, state)
}

fn worker_at(host: &str, state: WorkerState) -> Worker {
    Worker {
        host: host.into(),
        address: host.into(),
        rpc_port: 29_999,
        web_port: 30_000,
        state,
        capacity_bytes: 0,
        used_bytes: 0,
        last_contact_seconds: 0,
    }
}

fn pod() -> Pod {
    Pod {
        name: "worker".into(),
        has_run: true,
        host_ip: Some(ADDRESS.into()),
        ..Pod::default()
    }
}

/// The phase where that is seen of a node, of workers and of a pod.
fn phase(node: Option<&Node>, workers: impl IntoIterator<Item = Worker>, pods: Vec<Pod>) -> Phase {
    let subject = subject();
    let mut sighting = Sighting::new(&subject, node);
    for worker in workers {
        let host = worker.host.clone();
        sighting.note(&host, worker);
    }
    sighting.pods = pods;
    next_phase(&sighting)
}

fn absent(phase: Phase) -> String {
    let Phase::Absent(reason) = phase else {
        panic!("{phase:?}")
    };
    reason
}

fn awaited(phase: Phase) -> String {
    let Phase::AwaitWorker(reason) = phase else {
        panic!("{phase:?}")
    };
    reason
}

#[test]
fn a_worker_in_service_is_saved_whatever_kubernetes_shows() {
    let live = || Some(worker(WorkerState::Live));
    for node in [None, Some(&node()), Some(&never_opened())] {
        for pods in [vec![], vec![pod()]] {
            let phase = phase(node, live(), pods);
            assert_eq!(phase, Phase::Save(worker(WorkerState::Live)), "{node:?}");
        }
    }
}

#[test]
fn a_worker_out_of_service_is_looked_at_again() {
    for state in [WorkerState::Decommissioned, WorkerState::Disabled] {
        let seen = phase(Some(&node()), Some(worker(state)), vec![pod()]);
        assert_eq!(seen, Phase::LookAgain(worker(state)));
    }
}

#[test]
fn a_worker_out_of_service_that_answers_is_looked_at() {
    let subject = subject();
    for node in [None, Some(&node())] {
        let mut sighting = Sighting::new(&subject, node);
        sighting.note(ADDRESS, worker(WorkerState::Decommissioned));
        assert!(sighting.needs_answer().is_some());
        absent(next_phase(&sighting));
        sighting.answers = true;
        assert!(matches!(next_phase(&sighting), Phase::LookAgain(_)));
    }
}

#[test]
fn a_lost_worker_that_answers_is_waited_for() {
    let subject = subject();
    let mut sighting = Sighting::new(&subject, None);
    sighting.note(ADDRESS, worker(WorkerState::Lost));
    sighting.answers = true;
    assert!(awaited(next_phase(&sighting)).contains("still answers"));
}

#[test]
fn a_worker_whose_pod_is_gone_holds_nothing() {
    for state in [WorkerState::Decommissioned, WorkerState::Lost] {
        absent(phase(Some(&node()), Some(worker(state)), vec![]));
    }
}

#[test]
fn a_lost_worker_is_waited_for_while_its_pod_stands() {
    let lost = Some(worker(WorkerState::Lost));
    assert!(awaited(phase(Some(&node()), lost, vec![pod()])).contains("has lost worker"));
    assert!(awaited(phase(Some(&node()), None, vec![pod()])).contains("knows no worker"));
    absent(phase(Some(&node()), None, vec![]));
}

#[test]
fn a_worker_that_has_run_is_waited_for_on_a_closed_node() {
    awaited(phase(Some(&never_opened()), None, vec![pod()]));
}

#[test]
fn a_worker_that_never_ran_on_a_closed_node_is_absent() {
    let never_ran = || Pod {
        has_run: false,
        ..pod()
    };
    let reason = absent(phase(Some(&never_opened()), None, vec![never_ran()]));
    assert!(reason.contains("has ever run"), "{reason}");
    awaited(phase(Some(&node()), None, vec![never_ran()]));
}

#[test]
fn an_absence_tells_its_evidence() {
    assert_eq!(
        absent(phase(None, None, vec![])),
        "instance i-0123456789abcdef0 has no Node object (neither ip-10-0-0-7 nor any other has its provider id; EC2 says \
         that the instance is running), and Alluxio knows no worker at 10.0.0.7"
    );
    assert_eq!(
        absent(phase(Some(&node()), None, vec![])),
        "node ip-10-0-0-7 has no worker pod, and Alluxio knows no worker at 10.0.0.7"
    );
}

#[test]
fn without_an_address_nothing_is_absent() {
    let mut subject = subject();
    subject.identity.private_address = None;
    let nowhere = Node {
        internal_ip: None,
        ..node()
    };
    for node in [None, Some(&nowhere)] {
        let sighting = Sighting::new(&subject, node);
        assert!(
            awaited(next_phase(&sighting)).contains("tells an address"),
            "{node:?}"
        );
    }
}

#[test]
fn an_address_of_a_terminated_instance_is_not_its_own() {
    let mut subject = subject();
    subject.identity.instance_state = Some("terminated".into());
    subject.identity.private_address = None;
    let stale = node();
    let mut sighting = Sighting::new(&subject, Some(&stale));
    sighting.note(ADDRESS, worker(WorkerState::Live));
    assert!(absent(next_phase(&sighting)).contains("is terminated"));
}

#[test]
fn a_worker_at_a_strange_address_is_told() {
    let moved = Node {
        internal_ip: Some("10.0.0.8".into()),
        ..node()
    };
    let at_node = || Some(worker_at("10.0.0.8", WorkerState::Live));
    assert!(awaited(phase(Some(&moved), at_node(), vec![])).contains("another instance"));
    assert!(awaited(phase(Some(&moved), at_node(), vec![pod()])).contains("another instance"));
    let of_pod = Pod {
        host_ip: Some("10.0.0.8".into()),
        ..pod()
    };
    let saved = phase(Some(&moved), at_node(), vec![of_pod]);
    assert!(matches!(saved, Phase::Save(_)), "{saved:?}");
}

#[test]
fn an_older_execution_believes_the_nodes_address() {
    let mut subject = subject();
    subject.identity = crate::subject::Identity::default();
    let node = node();
    let mut sighting = Sighting::new(&subject, Some(&node));
    sighting.note(ADDRESS, worker(WorkerState::Live));
    assert!(!sighting.needs_pods());
    assert!(matches!(next_phase(&sighting), Phase::Save(_)));
}

#[test]
fn two_workers_in_service_are_told() {
    let moved = Node {
        internal_ip: Some("10.0.0.8".into()),
        ..node()
    };
    let both = [
        worker(WorkerState::Live),
        worker_at("10.0.0.8", WorkerState::Live),
    ];
    let reason = awaited(phase(Some(&moved), both, vec![pod()]));
    assert!(reason.contains("2 workers in service"), "{reason}");
}

#[test]
fn an_address_is_compared_as_an_address() {
    let mut subject = subject();
    subject.identity.private_address = None;
    subject.identity.ipv6_address = Some("2600:1f14::7".into());
    let node = Node {
        internal_ip: Some("2600:1f14:0:0:0:0:0:7".into()),
        ..node()
    };
    let mut sighting = Sighting::new(&subject, Some(&node));
    assert_eq!(sighting.addresses(), ["2600:1f14::7"]);
    sighting.note(
        "2600:1f14::7",
        worker_at("2600:1f14:0:0:0:0:0:7", WorkerState::Live),
    );
    assert!(!sighting.needs_pods());
}

#[test]
fn a_worker_that_registers_by_its_host_name_is_the_nodes() {
    let subject = subject();
    let mut sighting = Sighting::new(&subject, None);
    let named = worker_at("ip-10-0-0-7.us-west-2.compute.internal", WorkerState::Live);
    sighting.note(ADDRESS, named.clone());
    sighting.note("10.0.0.8", named.clone());
    assert_eq!(sighting.workers.len(), 1);
    assert_eq!(next_phase(&sighting), Phase::Save(named));
}

#[test]
fn a_closed_or_retired_node_is_proven_empty() {
    assert!(!proven_empty(None));
    assert!(!proven_empty(Some(&node())));
    assert!(proven_empty(Some(&never_opened())));
    let mut drained = node();
    let at = "2026-11-23T10:00:00Z".to_owned();
    drained
        .annotations
        .insert(names::DECOMMISSIONED_AT_ANNOTATION.into(), at);
    assert!(proven_empty(Some(&drained)));
    drained.labels.insert(names::WORKER_LABEL.into(), "2x300g".into());
    assert!(!proven_empty(Some(&drained)), "its worker was not taken away");
}
