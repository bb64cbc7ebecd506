//! Nodes that were drained, and what people asked for before: what a repair may do to them.

use super::cases::{draining, nothing, only, runs, starts, the_node, the_worker};
use super::finding::{Finding, Repair};
use super::fixtures::{INSTANCE, at, hook};
use super::kind::Kind;
use super::snapshot::Snapshot;
use super::start::Start;
use crate::cache::WorkerState;
use crate::claim::Claim;
use crate::names;
use crate::node::NodeChange;
use crate::resolve::Direction;
use crate::subject::Hook;

fn claim() -> Claim {
    Claim {
        execution: "arn:aws:states:us-west-2:123456789012:execution:tidegate-node-drain:e-1".to_owned(),
        direction: Direction::Drain,
        hook: None,
        deadline: at(-60),
        terminate: false,
        replace: false,
        reclaimed: false,
        asked_to_terminate: None,
    }
}

fn kept() -> Claim {
    Claim {
        asked_to_terminate: Some(false),
        ..claim()
    }
}

fn ending() -> Claim {
    Claim {
        terminate: true,
        ..claim()
    }
}

fn claimed(snapshot: &mut Snapshot, claim: &Claim) {
    let mut change = NodeChange::default();
    claim.note(&mut change).expect("written");
    let annotations = &mut the_node(snapshot).node.annotations;
    for (name, value) in change.annotations {
        annotations.insert(name.to_owned(), value.expect("set"));
    }
}

/// The node after its drain: no worker, no volumes, the instance in service.
fn drained(claim: &Claim) -> impl FnOnce(&mut Snapshot) {
    move |snapshot| {
        draining(snapshot);
        claimed(snapshot, claim);
        the_node(snapshot).node.labels.remove(names::WORKER_LABEL);
        snapshot.pods = Ok(Vec::new());
        snapshot.claims = Ok(Vec::new());
        snapshot.volumes = Ok(Vec::new());
        the_worker(snapshot).state = WorkerState::Decommissioned;
    }
}

fn start(finding: &Finding) -> &Start {
    match &finding.repair {
        Repair::Execution(start) => start,
        other => panic!("{other:#?}"),
    }
}

#[test]
fn a_drained_instance_that_was_to_end_is_ended() {
    for claim in [
        ending(),
        Claim {
            replace: true,
            ..ending()
        },
    ] {
        let finding = only(Kind::DrainedInService, drained(&claim));
        starts(&finding, Direction::Drain);
        assert!(!start(&finding).keeps_instance);
        assert_eq!(finding.since, None, "its end may be under way: it has to last");
    }
}

#[test]
fn a_drained_instance_that_a_person_keeps_is_noted() {
    let finding = only(Kind::DrainedInService, drained(&kept()));
    assert!(matches!(finding.repair, Repair::Unneeded(_)), "{finding:#?}");
    assert!(
        finding.seen.contains("a person asked to keep it"),
        "{}",
        finding.seen
    );
}

#[test]
fn a_drain_of_an_earlier_release_ends_nothing() {
    let finding = only(Kind::DrainedInService, drained(&claim()));
    assert!(matches!(finding.repair, Repair::Unneeded(_)), "{finding:#?}");
}

#[test]
fn a_drained_node_without_a_claim_is_left_to_a_person() {
    let finding = only(Kind::DrainedInService, |snapshot| {
        drained(&claim())(snapshot);
        let annotations = &mut the_node(snapshot).node.annotations;
        annotations.remove(names::EXECUTION_ANNOTATION);
    });
    assert!(matches!(finding.repair, Repair::Nothing(_)), "{finding:#?}");
}

#[test]
fn a_spot_instance_that_stays_is_ended_after_its_time() {
    let spot = |deadline| Claim {
        reclaimed: true,
        deadline: at(deadline),
        ..claim()
    };
    nothing(drained(&spot(60)));
    starts(
        &only(Kind::DrainedInService, drained(&spot(-60))),
        Direction::Drain,
    );
}

#[test]
fn an_instance_back_from_the_warm_pool_loses_its_mark() {
    let gone_with_its_hook = Claim {
        hook: Some(Hook {
            name: "tidegate-node-drain".into(),
            heartbeat_seconds: 1_800,
            global_seconds: hook(Direction::Drain).global_seconds,
            default_result: "ABANDON".into(),
        }),
        ..claim()
    };
    let finding = only(Kind::DrainedInService, drained(&gone_with_its_hook));
    let Repair::ChangeNode { change, .. } = finding.repair else {
        panic!("{:#?}", finding.repair);
    };
    assert!(change.uncordon);
    assert_eq!(change.annotations.get(names::DRAIN_SINCE_ANNOTATION), Some(&None));
}

#[test]
fn a_drain_that_still_runs_is_not_disturbed() {
    nothing(|snapshot| {
        drained(&ending())(snapshot);
        runs(snapshot, Direction::Drain, &format!("event-{INSTANCE}"));
    });
}

#[test]
fn a_repair_keeps_the_instance_that_a_person_keeps() {
    for (claim, keeps) in [(kept(), true), (ending(), false), (claim(), false)] {
        let orphaned = only(Kind::CordonOrphaned, |snapshot| {
            draining(snapshot);
            claimed(snapshot, &claim);
            the_worker(snapshot).state = WorkerState::Decommissioned;
        });
        assert_eq!(start(&orphaned).keeps_instance, keeps, "{claim:#?}");
        let revived = only(Kind::WorkerRevived, |snapshot| {
            draining(snapshot);
            claimed(snapshot, &claim);
            let annotations = &mut the_node(snapshot).node.annotations;
            annotations.insert(names::DECOMMISSIONED_AT_ANNOTATION.into(), at(20).to_string());
        });
        assert_eq!(start(&revived).keeps_instance, keeps, "{claim:#?}");
    }
}

#[test]
fn a_cordon_from_before_the_drain_stays() {
    let finding = only(Kind::CordonOrphaned, |snapshot| {
        draining(snapshot);
        let annotations = &mut the_node(snapshot).node.annotations;
        annotations.insert(names::CORDONED_BEFORE_ANNOTATION.into(), names::TRUE.into());
    });
    let Repair::ChangeNode { change, words, .. } = finding.repair else {
        panic!("{:#?}", finding.repair);
    };
    assert!(
        !change.uncordon && words.contains("leave the cordon on"),
        "{words}"
    );
    for mark in [names::DRAIN_SINCE_ANNOTATION, names::CORDONED_BEFORE_ANNOTATION] {
        assert_eq!(change.annotations.get(mark), Some(&None), "{mark}");
    }
}

#[test]
fn a_memory_worker_counts_as_a_worker() {
    let finding = only(Kind::CordonOrphaned, |snapshot| {
        draining(snapshot);
        let labels = &mut the_node(snapshot).node.labels;
        labels.clear();
        labels.insert(names::MEMORY_WORKER_LABEL.into(), names::TRUE.into());
        the_worker(snapshot).state = WorkerState::Decommissioned;
        snapshot.disks.values_mut().for_each(Vec::clear);
    });
    starts(&finding, Direction::Drain);
}

/// The node's type has another layout than the label that runs its worker.
fn of_another_layout(snapshot: &mut Snapshot) {
    let labels = &mut the_node(snapshot).node.labels;
    labels.insert(names::WORKER_LABEL.into(), "2x300g".into());
}

#[test]
fn a_worker_of_another_layout_is_drained_and_not_replaced_in_place() {
    let finding = only(Kind::DisksMislabelled, of_another_layout);
    starts(&finding, Direction::Drain);
    assert!(
        finding.seen.contains("runs with the other layout"),
        "{}",
        finding.seen
    );
}

#[test]
fn a_wrong_label_that_runs_no_worker_is_put_right() {
    let finding = only(Kind::DisksMislabelled, |snapshot| {
        of_another_layout(snapshot);
        // Nor is there anything else that a join would not mend.
        snapshot.pods.as_mut().expect("seen")[0].node = None;
        the_node(snapshot).node.ready = false;
    });
    starts(&finding, Direction::Join);
}
