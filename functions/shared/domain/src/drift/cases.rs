//! One thing differs: exactly that is found. Nodes and instances.

use super::finding::{Finding, Repair};
use super::fixtures::{INSTANCE, as_it_should_be, at, node, worker};
use super::judge::{Judgement, Scope, judge};
use super::kind::Kind;
use super::nodes::changed_since;
use super::snapshot::{Group, RunningExecution, SeenNode, Snapshot};
use crate::cache::{Worker, WorkerState};
use crate::disks::Disk;
use crate::names;
use crate::node::{Node, NodeChange};
use crate::resolve::Direction;

pub(super) fn scope() -> Scope {
    Scope {
        join_hook: "tidegate-node-join".to_owned(),
        drain_hook: "tidegate-node-drain".to_owned(),
        namespace: "alluxio".to_owned(),
    }
}

pub(super) fn judged(change: impl FnOnce(&mut Snapshot)) -> Judgement {
    let mut snapshot = as_it_should_be();
    change(&mut snapshot);
    judge(&snapshot, &scope(), at(0))
}

pub(super) fn kinds(judgement: &Judgement) -> Vec<Kind> {
    judgement.findings.iter().map(|finding| finding.kind).collect()
}

/// What is found where one thing differs, and nothing else is.
pub(super) fn only(kind: Kind, change: impl FnOnce(&mut Snapshot)) -> Finding {
    let mut judgement = judged(change);
    assert_eq!(kinds(&judgement), [kind], "{:#?}", judgement.findings);
    judgement.findings.remove(0)
}

pub(super) fn nothing(change: impl FnOnce(&mut Snapshot)) {
    let judgement = judged(change);
    assert!(judgement.findings.is_empty(), "{:#?}", judgement.findings);
}

pub(super) fn group(snapshot: &mut Snapshot) -> &mut Group {
    &mut snapshot.groups.as_mut().expect("seen")[0]
}

pub(super) fn the_node(snapshot: &mut Snapshot) -> &mut SeenNode {
    &mut snapshot.nodes.as_mut().expect("seen")[0]
}

pub(super) fn the_worker(snapshot: &mut Snapshot) -> &mut Worker {
    &mut snapshot.workers.as_mut().expect("seen").all[0]
}

pub(super) fn state(snapshot: &mut Snapshot, state: &str) {
    state.clone_into(&mut group(snapshot).members[0].lifecycle_state);
}

pub(super) fn runs(snapshot: &mut Snapshot, direction: Direction, name: &str) {
    let running = RunningExecution {
        arn: format!("arn:{name}"),
        name: name.to_owned(),
        direction,
        subjects: None,
    };
    snapshot.executions.as_mut().expect("seen").running.push(running);
}

fn mark(snapshot: &mut Snapshot, annotation: &str, seconds: i64) {
    let annotations = &mut the_node(snapshot).node.annotations;
    annotations.insert(annotation.to_owned(), at(seconds).to_string());
}

/// A node that is being drained and cordoned.
pub(super) fn draining(snapshot: &mut Snapshot) {
    mark(snapshot, names::DRAIN_SINCE_ANNOTATION, 10);
    the_node(snapshot).node.unschedulable = true;
}

pub(super) fn starts(finding: &Finding, direction: Direction) {
    let Repair::Execution(start) = &finding.repair else {
        panic!("{finding:#?}");
    };
    let started = (start.direction, start.instance.as_str());
    assert_eq!(started, (direction, INSTANCE), "{finding:#?}");
}

#[test]
fn where_everything_is_as_it_should_be_nothing_is_found_and_everything_was_judged() {
    let judgement = judged(|_| ());
    assert!(judgement.findings.is_empty(), "{:#?}", judgement.findings);
    assert!(judgement.unseen.is_empty());
    assert_eq!(judgement.judged.len(), Kind::ALL.len());
}

#[test]
fn an_instance_that_waits_with_nothing_running_for_it_is_joined_or_drained() {
    for (lifecycle, kind, direction) in [
        ("Pending:Wait", Kind::JoinStalled, Direction::Join),
        ("Terminating:Wait", Kind::DrainStalled, Direction::Drain),
        ("Terminating:Retained", Kind::InstanceRetained, Direction::Drain),
    ] {
        let finding = only(kind, |snapshot| state(snapshot, lifecycle));
        starts(&finding, direction);
        assert_eq!(finding.subject, INSTANCE);
        assert!(finding.seen.contains(lifecycle), "{}", finding.seen);
    }
}

#[test]
fn an_instance_that_something_works_on_is_left_to_it() {
    for (lifecycle, direction) in [
        ("Pending:Wait", Direction::Join),
        ("Pending:Wait", Direction::Drain),
        ("Terminating:Wait", Direction::Drain),
        ("Terminating:Retained", Direction::Drain),
    ] {
        nothing(|snapshot| {
            state(snapshot, lifecycle);
            runs(snapshot, direction, &format!("event-{INSTANCE}"));
        });
    }
}

#[test]
fn a_join_that_still_runs_does_not_drain_an_instance_that_waits_to_end() {
    let finding = only(Kind::DrainStalled, |snapshot| {
        state(snapshot, "Terminating:Wait");
        runs(snapshot, Direction::Join, &format!("event-{INSTANCE}"));
    });
    starts(&finding, Direction::Drain);
}

#[test]
fn while_it_is_not_known_what_an_execution_is_about_no_instance_is_held_for_forgotten() {
    let judgement = judged(|snapshot| {
        state(snapshot, "Pending:Wait");
        runs(snapshot, Direction::Join, "some-event");
    });
    assert!(judgement.findings.is_empty(), "{:#?}", judgement.findings);
    assert!(judgement.unseen[0].why.starts_with("1 run of which"));
}

#[test]
fn a_node_that_lacks_something_joins_again() {
    type Change = fn(&mut Snapshot);
    let cases: [(&str, Change); 5] = [
        ("no label tidegate.dev/alluxio-worker", |snapshot| {
            the_node(snapshot).node.labels.remove(names::WORKER_LABEL);
        }),
        ("no label tidegate.dev/instance-id", |snapshot| {
            the_node(snapshot).node.labels.remove(names::INSTANCE_ID_LABEL);
        }),
        ("0 of 1 disks are volumes", |snapshot| {
            snapshot.volumes = Ok(Vec::new());
        }),
        ("no worker pod", |snapshot| {
            snapshot.pods = Ok(Vec::new());
            snapshot.claims = Ok(Vec::new());
        }),
        ("the startup taint", |snapshot| {
            the_node(snapshot).node.startup_taint = true;
        }),
    ];
    for (words, change) in cases {
        let finding = only(Kind::NodeIncomplete, change);
        assert!(finding.seen.contains(words), "{}", finding.seen);
        starts(&finding, Direction::Join);
    }
}

#[test]
fn a_node_was_never_complete_since_it_is_ready_while_it_has_the_startup_taint() {
    let tainted = only(Kind::NodeIncomplete, |snapshot| {
        the_node(snapshot).node.startup_taint = true;
    });
    assert_eq!(tainted.since, Some(at(0)), "since it is ready");
    let lost = only(Kind::NodeIncomplete, |snapshot| {
        snapshot.pods = Ok(Vec::new());
        snapshot.claims = Ok(Vec::new());
    });
    assert_eq!(
        lost.since, None,
        "a worker that a rolling update replaces is gone only just now"
    );
}

#[test]
fn a_change_of_a_node_is_decided_on_what_it_is_and_not_on_its_version() {
    type Change = fn(&mut Node);
    let judged = node().node;
    let cases: [(Option<&str>, Change); 5] = [
        (None, |node| node.resource_version = "8".into()),
        (Some("it is another node of that name"), |node| {
            node.uid = "u".into();
        }),
        (Some("its labels have changed"), |node| node.labels.clear()),
        (Some("its annotations have changed"), |node| {
            let mark = names::DRAIN_SINCE_ANNOTATION.to_owned();
            node.annotations.insert(mark, at(0).to_string());
        }),
        (Some("its cordon has changed"), |node| node.unschedulable = true),
    ];
    for (words, change) in cases {
        let mut now = judged.clone();
        change(&mut now);
        assert_eq!(changed_since(&judged, &now), words);
    }
}

#[test]
fn everything_that_a_node_lacks_is_one_finding() {
    let finding = only(Kind::NodeIncomplete, |snapshot| {
        the_node(snapshot).node.labels.clear();
        the_node(snapshot).node.startup_taint = true;
    });
    assert!(
        finding.seen.contains("no label fast-disk-node"),
        "{}",
        finding.seen
    );
    assert!(finding.seen.contains("the startup taint"), "{}", finding.seen);
}

#[test]
fn a_node_that_is_not_ready_is_not_judged() {
    nothing(|snapshot| {
        let node = the_node(snapshot);
        node.node.ready = false;
        node.node.labels.clear();
    });
}

#[test]
fn a_node_that_just_joins_or_drains_is_not_judged() {
    for direction in [Direction::Join, Direction::Drain] {
        nothing(|snapshot| {
            the_node(snapshot).node.labels.clear();
            runs(snapshot, direction, &format!("event-{INSTANCE}"));
        });
    }
}

#[test]
fn an_instance_in_service_that_is_no_node_is_told_and_left_to_a_person() {
    let finding = only(Kind::NodeIncomplete, |snapshot| {
        snapshot.nodes = Ok(Vec::new());
    });
    assert!(!finding.repair.is_possible());
    assert!(finding.seen.contains("no node"), "{}", finding.seen);
}

#[test]
fn a_node_without_disks_that_says_otherwise_loses_the_labels() {
    let finding = only(Kind::DisksMislabelled, |snapshot| {
        snapshot.disks.values_mut().for_each(Vec::clear);
    });
    let Repair::ChangeNode { change, .. } = finding.repair else {
        panic!("{:#?}", finding.repair);
    };
    let taken: Vec<_> = change.labels.iter().collect();
    assert_eq!(taken.len(), 3);
    assert!(taken.iter().all(|(_, value)| value.is_none()));
    assert!(finding.seen.contains("no local disks"), "{}", finding.seen);
}

#[test]
fn a_node_that_names_another_layout_than_its_type_has_joins_again() {
    let finding = only(Kind::DisksMislabelled, |snapshot| {
        let labels = &mut the_node(snapshot).node.labels;
        labels.insert(names::DISK_LAYOUT_LABEL.into(), "2x300g".into());
    });
    assert!(finding.seen.contains("disk-layout=2x300g"), "{}", finding.seen);
    starts(&finding, Direction::Join);
}

/// The one disk of the node is an array of two half as large.
fn an_array(snapshot: &mut Snapshot) {
    let half = Disk { size_gb: 150 };
    snapshot
        .disks
        .values_mut()
        .for_each(|disks| *disks = vec![half; 2]);
    for group in snapshot.groups.as_mut().expect("seen") {
        group.one_array = true;
    }
    let label = (names::FAST_DISK_LABEL.into(), names::FAST_DISK_RAID.into());
    the_node(snapshot).node.labels.extend([label]);
}

#[test]
fn a_node_whose_disks_are_one_array_is_judged_by_the_array() {
    nothing(an_array);
    let finding = only(Kind::DisksMislabelled, |snapshot| {
        an_array(snapshot);
        let label = (names::FAST_DISK_LABEL.into(), names::FAST_DISK_NVME.into());
        the_node(snapshot).node.labels.extend([label]);
    });
    assert!(
        finding.seen.contains("fast-disk-node=pv-nvme"),
        "{}",
        finding.seen
    );
    starts(&finding, Direction::Join);
}

#[test]
fn an_instance_whose_type_could_not_be_asked_for_is_not_judged_by_its_disks() {
    nothing(|snapshot| {
        snapshot.disks.clear();
        the_node(snapshot).node.labels.clear();
    });
}

#[test]
fn a_worker_that_alluxio_does_not_have_in_service_is_unseen() {
    let unknown = only(Kind::WorkerUnseen, |snapshot| {
        snapshot.workers.as_mut().expect("seen").all.clear();
    });
    assert!(unknown.seen.contains("knows no worker"), "{}", unknown.seen);
    starts(&unknown, Direction::Join);
    let lost = only(Kind::WorkerUnseen, |snapshot| {
        the_worker(snapshot).state = WorkerState::Lost;
    });
    assert!(lost.seen.contains("Lost"), "{}", lost.seen);
    let silent = only(Kind::WorkerUnseen, |snapshot| {
        the_worker(snapshot).last_contact_seconds = 61;
    });
    assert!(silent.seen.contains("61 s ago"), "{}", silent.seen);
}

#[test]
fn a_worker_with_too_little_capacity_or_lost_storage_is_drained() {
    let small = only(Kind::WorkerShort, |snapshot| {
        the_worker(snapshot).capacity_bytes -= 1;
    });
    assert!(small.seen.contains("its disks should give"), "{}", small.seen);
    starts(&small, Direction::Drain);
    let lost = only(Kind::WorkerShort, |snapshot| {
        let workers = snapshot.workers.as_mut().expect("seen");
        let lost = vec!["SSD:/mnt/alluxio/tier-0".to_owned()];
        workers.lost_storage.insert("10.0.0.7".into(), lost);
    });
    assert!(
        lost.seen.contains("lost SSD:/mnt/alluxio/tier-0"),
        "{}",
        lost.seen
    );
}

#[test]
fn a_worker_that_is_in_service_again_although_its_node_drains_is_drained_again() {
    let revived = |snapshot: &mut Snapshot| {
        draining(snapshot);
        mark(snapshot, names::DECOMMISSIONED_AT_ANNOTATION, 20);
    };
    starts(&only(Kind::WorkerRevived, revived), Direction::Drain);
    nothing(|snapshot| {
        revived(snapshot);
        runs(snapshot, Direction::Drain, &format!("event-{INSTANCE}"));
    });
}

#[test]
fn workers_of_nodes_that_are_gone_are_forgotten_by_a_call_or_said_to_expire() {
    let gone = |worker_state| {
        move |snapshot: &mut Snapshot| {
            let other = Worker {
                host: "10.0.0.8".into(),
                ..worker(worker_state)
            };
            snapshot.workers.as_mut().expect("seen").all.push(other);
        }
    };
    let disabled = only(Kind::WorkerForgotten, gone(WorkerState::Disabled));
    assert!(matches!(disabled.repair, Repair::ForgetWorker(_)));
    let lost = only(Kind::WorkerForgotten, gone(WorkerState::Lost));
    assert!(matches!(&lost.repair, Repair::Nothing(why) if why.contains("expires")));
    nothing(gone(WorkerState::Decommissioned));
}

#[test]
fn a_cordon_without_a_drain_is_taken_off_while_the_worker_is_in_service() {
    let finding = only(Kind::CordonOrphaned, draining);
    assert_eq!(finding.since, Some(at(10)));
    let Repair::ChangeNode { change, .. } = finding.repair else {
        panic!("{:#?}", finding.repair);
    };
    assert!(change.uncordon && !change.cordon);
    assert!(change.annotations.contains_key(names::DRAIN_SINCE_ANNOTATION));
}

#[test]
fn a_cordon_without_a_drain_is_drained_again_once_the_worker_is_out_of_service() {
    let finding = only(Kind::CordonOrphaned, |snapshot| {
        draining(snapshot);
        the_worker(snapshot).state = WorkerState::Decommissioned;
    });
    starts(&finding, Direction::Drain);
}

#[test]
fn a_cordon_of_somebody_else_is_left_alone() {
    nothing(|snapshot| the_node(snapshot).node.unschedulable = true);
}

#[test]
fn a_drain_that_goes_on_without_its_cordon_is_cordoned() {
    let finding = only(Kind::DrainUncordoned, |snapshot| {
        mark(snapshot, names::DRAIN_SINCE_ANNOTATION, 10);
        runs(snapshot, Direction::Drain, &format!("event-{INSTANCE}"));
    });
    let Repair::ChangeNode { change, .. } = finding.repair else {
        panic!("{:#?}", finding.repair);
    };
    assert!(change.cordon && change.annotations.is_empty());
}

#[test]
fn a_node_that_a_person_uncordoned_loses_the_mark_that_keeps_joins_away() {
    let finding = only(Kind::DrainUncordoned, |snapshot| {
        mark(snapshot, names::DRAIN_SINCE_ANNOTATION, 10);
    });
    let Repair::ChangeNode { change, .. } = finding.repair else {
        panic!("{:#?}", finding.repair);
    };
    assert!(!change.cordon && !change.uncordon);
    assert_eq!(change.annotations.get(names::DRAIN_SINCE_ANNOTATION), Some(&None));
    let held = |change: &NodeChange| {
        [
            names::SCALE_DOWN_DISABLED_ANNOTATION,
            names::SCALE_DOWN_HELD_ANNOTATION,
        ]
        .map(|name| change.annotations.contains_key(name))
    };
    assert_eq!(held(&change), [false; 2], "nobody held it");
    let finding = only(Kind::DrainUncordoned, |snapshot| {
        mark(snapshot, names::DRAIN_SINCE_ANNOTATION, 10);
        mark(snapshot, names::SCALE_DOWN_HELD_ANNOTATION, 10);
    });
    let Repair::ChangeNode { change, .. } = finding.repair else {
        panic!("{:#?}", finding.repair);
    };
    assert_eq!(
        held(&change),
        [true; 2],
        "and Cluster Autoscaler may take it again"
    );
}

#[test]
fn what_could_not_be_seen_is_said_and_nothing_that_depends_on_it_is_judged() {
    type Change = fn(&mut Snapshot);
    let cases: [(&str, Kind, Change); 4] = [
        ("nodes", Kind::NodeIncomplete, |snapshot| {
            snapshot.nodes = Err("refused".into());
        }),
        ("workers", Kind::WorkerUnseen, |snapshot| {
            snapshot.workers = Err("refused".into());
        }),
        ("groups", Kind::JoinStalled, |snapshot| {
            snapshot.groups = Err("refused".into());
        }),
        ("executions", Kind::JoinStalled, |snapshot| {
            snapshot.executions = Err("refused".into());
        }),
    ];
    for (what, kind, change) in cases {
        let judgement = judged(change);
        assert!(judgement.findings.is_empty(), "{:#?}", judgement.findings);
        assert_eq!(judgement.unseen[0].what, what);
        assert!(judgement.unseen[0].kinds.contains(&kind));
        assert!(!judgement.judged.contains(&kind));
    }
}

#[test]
fn while_the_api_server_is_away_hooks_that_wait_are_still_seen_to() {
    let judgement = judged(|snapshot| {
        state(snapshot, "Terminating:Wait");
        snapshot.nodes = Err("away".into());
        snapshot.pods = Err("away".into());
        snapshot.volumes = Err("away".into());
        snapshot.claims = Err("away".into());
    });
    assert_eq!(kinds(&judgement), [Kind::DrainStalled]);
}

#[test]
fn an_unknown_node_of_another_group_is_left_alone() {
    nothing(|snapshot| {
        let mut other = node();
        other.node.provider_id = "aws:///us-west-2a/i-0fedcba9876543210".into();
        other.node.name = "other".into();
        other.node.internal_ip = Some("10.0.0.9".into());
        other.node.labels.clear();
        snapshot.nodes.as_mut().expect("seen").push(other);
    });
}
