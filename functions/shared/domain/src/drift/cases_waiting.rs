//! Instances that wait, or were retained, in a group and in its warm pool.

use super::cases::{nothing, only, starts, state, the_node};
use super::finding::{About, Finding, Repair};
use super::fixtures::GROUP;
use super::kind::Kind;
use super::snapshot::Snapshot;
use super::start::WaitingHook;
use crate::names;
use crate::resolve::Direction;

fn in_state(lifecycle: &'static str) -> impl Fn(&mut Snapshot) {
    move |snapshot| state(snapshot, lifecycle)
}

/// The node has no worker: it has never had one, or its drain is done.
fn without_worker(lifecycle: &'static str) -> impl Fn(&mut Snapshot) {
    move |snapshot| {
        state(snapshot, lifecycle);
        the_node(snapshot).node.labels.remove(names::WORKER_LABEL);
    }
}

fn only_while(finding: &Finding) -> Option<&str> {
    let Repair::Execution(start) = &finding.repair else {
        panic!("{finding:#?}");
    };
    start.only_while.as_ref().map(|WaitingHook { group, name }| {
        assert_eq!(group, GROUP);
        name.as_str()
    })
}

#[test]
fn an_instance_that_waits_in_a_warm_pool_counts() {
    for (lifecycle, kind, direction) in [
        ("Warmed:Terminating:Wait", Kind::DrainStalled, Direction::Drain),
        (
            "Warmed:Pending:Retained",
            Kind::InstanceRetained,
            Direction::Drain,
        ),
        (
            "Warmed:Terminating:Retained",
            Kind::InstanceRetained,
            Direction::Drain,
        ),
        // It carries a cache, so it goes back into the pool.
        ("Warmed:Pending:Wait", Kind::DrainStalled, Direction::Drain),
    ] {
        starts(&only(kind, in_state(lifecycle)), direction);
    }
    let new = only(Kind::JoinStalled, without_worker("Warmed:Pending:Wait"));
    starts(&new, Direction::Join);
}

#[test]
fn an_instance_that_rests_in_a_warm_pool_is_left_alone() {
    for lifecycle in [
        "Warmed:Stopped",
        "Warmed:Running",
        "Warmed:Hibernated",
        "Warmed:Pending",
    ] {
        nothing(in_state(lifecycle));
    }
}

#[test]
fn a_drained_instance_is_drained_again_only_for_our_hook() {
    let done = only(Kind::DrainStalled, without_worker("Terminating:Wait"));
    assert_eq!(only_while(&done), Some("tidegate-node-drain"));
    let joining = only(Kind::JoinStalled, in_state("Pending:Wait"));
    assert_eq!(only_while(&joining), Some("tidegate-node-join"));
}

#[test]
fn a_worker_is_drained_whichever_hook_waits() {
    let finding = only(Kind::DrainStalled, in_state("Terminating:Wait"));
    assert_eq!(only_while(&finding), None);
    let retained = only(Kind::InstanceRetained, without_worker("Terminating:Retained"));
    assert_eq!(only_while(&retained), None);
}

#[test]
fn a_finding_says_when_its_hook_runs_out() {
    let finding = only(Kind::DrainStalled, in_state("Terminating:Wait"));
    let About::Waiting {
        heartbeat_seconds, ..
    } = finding.about
    else {
        panic!("{finding:#?}");
    };
    assert_eq!(heartbeat_seconds, Some(1_800));
}
