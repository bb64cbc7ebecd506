//! Joins, from their trigger to their outcome.

use serde_json::{Value, json};
use tidegate_domain::outcome::{LabelOutcome, VolumesOutcome, WorkerOutcome};
use tidegate_domain::resolve::Direction;

use crate::account::{Account, GROUP, INSTANCE, JOIN_LIMIT, by_hand, lifecycle_action};
use crate::answers::{abandon, labelled, no_node, provisioned, ready, volumes, worker};
use crate::ending::Ending;
use crate::scene::Scene;

/// A join in which every function answers at once that all is well.
pub(crate) fn join(input: Value, account: Account) -> Scene {
    Scene::new(Direction::Join, input, account)
        .on("label-node", labelled)
        .on("provision-volumes", provisioned)
        .on("schedule-worker", ready)
        .on("judge-launch", abandon)
}

/// The same for a launch action of our group.
pub(crate) fn launch() -> Scene {
    join(
        lifecycle_action(Direction::Join, GROUP),
        Account::with_instance("Pending:Wait"),
    )
}

pub(crate) fn joined_at_once() -> Ending {
    launch().play()
}

pub(crate) fn joined_after_waiting() -> Ending {
    launch()
        .on("label-node", |asked| {
            if asked.before < 3 {
                no_node(asked)
            } else {
                labelled(asked)
            }
        })
        .on("provision-volumes", |asked| match asked.before {
            0..2 => volumes(asked, VolumesOutcome::Waiting, "1 of 2 volumes"),
            _ => provisioned(asked),
        })
        .on("schedule-worker", |asked| match asked.before {
            0 => worker(asked, WorkerOutcome::Waiting, "no worker pod yet"),
            _ => ready(asked),
        })
        .play()
}

/// The node was cordoned by somebody while it joined.
pub(crate) fn joined_cordoned() -> Ending {
    launch()
        .on("schedule-worker", |asked| {
            let facts = schedule_worker::Facts {
                cordoned: true,
                ..schedule_worker::Facts::default()
            };
            asked.says(
                WorkerOutcome::Ready,
                "the worker is in service, but node node-1 is cordoned",
                facts,
            )
        })
        .play()
}

pub(crate) fn joined_by_hand() -> Ending {
    join(by_hand(), Account::with_instance("InService"))
        .on("label-node", |asked| {
            if asked.before == 0 {
                no_node(asked)
            } else {
                labelled(asked)
            }
        })
        .play()
}

pub(crate) fn of_another_group() -> Ending {
    let account = Account::with_instance("Pending:Wait");
    join(lifecycle_action(Direction::Join, "web"), account).play()
}

pub(crate) fn without_disks() -> Ending {
    let mut account = Account::with_instance("Pending:Wait");
    account.disks.clear();
    join(lifecycle_action(Direction::Join, GROUP), account).play()
}

pub(crate) fn of_a_stranger_by_hand() -> Ending {
    let mut account = Account::with_instance("InService");
    account.membership = None;
    join(by_hand(), account).play()
}

pub(crate) fn while_it_leaves() -> Ending {
    join(
        lifecycle_action(Direction::Join, GROUP),
        Account::with_instance("Terminating:Wait"),
    )
    .play()
}

/// Joins that a drain, or another join, overtakes at each step.
pub(crate) fn overtaken(draining: bool) -> [Ending; 3] {
    let reason = if draining {
        "node node-1 is being drained"
    } else {
        "node node-1 was taken over by another join"
    };
    [
        launch().on("label-node", move |asked| {
            let facts = label_node::Facts {
                draining,
                ..label_node::Facts::default()
            };
            asked.says(LabelOutcome::Superseded, reason, facts)
        }),
        launch().on("provision-volumes", move |asked| {
            let facts = provision_volumes::Facts {
                draining,
                ..provision_volumes::Facts::default()
            };
            asked.says(VolumesOutcome::Superseded, reason, facts)
        }),
        launch().on("schedule-worker", move |asked| {
            let facts = schedule_worker::Facts {
                draining,
                ..schedule_worker::Facts::default()
            };
            asked.says(WorkerOutcome::Superseded, reason, facts)
        }),
    ]
    .map(Scene::play)
}

pub(crate) fn unfit() -> [Ending; 2] {
    [
        launch().on("provision-volumes", |asked| {
            volumes(asked, VolumesOutcome::Unfit, "disk of 300 GB has no volume")
        }),
        launch().on("schedule-worker", |asked| {
            worker(
                asked,
                WorkerOutcome::Unfit,
                "the worker lost disk /mnt/alluxio/tier-1",
            )
        }),
    ]
    .map(Scene::play)
}

pub(crate) fn never_a_node() -> Ending {
    launch()
        .on("label-node", |asked| {
            if asked.age() < i64::from(JOIN_LIMIT) {
                return no_node(asked);
            }
            let reason = "it did not become a node within 1800 s";
            asked.says(LabelOutcome::Expired, reason, label_node::Facts::default())
        })
        .play()
}

pub(crate) fn out_of_time() -> [Ending; 2] {
    let reason = "no provisioner pod there yet";
    [
        launch().on("provision-volumes", move |asked| {
            volumes(asked, VolumesOutcome::Expired, reason)
        }),
        launch().on("schedule-worker", move |asked| {
            worker(asked, WorkerOutcome::Expired, reason)
        }),
    ]
    .map(Scene::play)
}

#[test]
fn a_launched_instance_that_becomes_a_cache_node_joins_and_its_hook_goes_on() {
    let ending = joined_at_once();
    ending.assert_outcome("joined", "in service");
    ending.assert_instance();
    assert_eq!(ending.hook_results(), ["CONTINUE"]);
    let told = ending.told();
    assert_eq!(told["autoScalingGroup"], GROUP);
    assert_eq!(told["instanceType"], "m5d.4xlarge");
    assert_eq!(told["hook"], "tidegate-node-join");
    for step in ["labelNode", "provisionVolumes", "scheduleWorker"] {
        assert!(
            told["seen"][step]["reason"].is_string(),
            "the event does not tell what {step} saw: {told:#}"
        );
    }
}

#[test]
fn the_hook_is_named_by_instance_hook_and_group_without_its_token() {
    let ending = joined_at_once();
    let completions = ending.calls("completeLifecycleAction");
    let expected = json!({
        "AutoScalingGroupName": GROUP,
        "LifecycleHookName": "tidegate-node-join",
        "InstanceId": INSTANCE,
        "LifecycleActionResult": "CONTINUE",
    });
    assert_eq!(completions, [&expected]);
}

#[test]
fn a_join_that_waits_beats_the_hooks_heart_once_for_each_wait() {
    let ending = joined_after_waiting();
    ending.assert_outcome("joined", "in service");
    assert_eq!(ending.calls("recordLifecycleActionHeartbeat").len(), 6);
    assert_eq!(ending.asked("label-node").len(), 4);
    assert_eq!(ending.asked("provision-volumes").len(), 3);
    assert_eq!(ending.asked("schedule-worker").len(), 2);
    assert_eq!(ending.hook_results(), ["CONTINUE"]);
}

#[test]
fn a_join_by_hand_of_an_instance_in_service_touches_no_hook() {
    let ending = joined_by_hand();
    ending.assert_outcome("joined", "in service");
    assert_eq!(ending.calls("recordLifecycleActionHeartbeat").len(), 0);
    assert_eq!(ending.hook_results(), [""; 0]);
    assert_eq!(ending.told().get("hook"), None);
}

#[test]
fn an_action_of_another_group_is_ignored_and_its_hook_left_alone() {
    let ending = of_another_group();
    ending.assert_outcome("ignored", "group web");
    assert_eq!(ending.hook_results(), [""; 0]);
}

#[test]
fn an_instance_without_disks_is_ignored_and_its_hook_goes_on_at_once() {
    let ending = without_disks();
    ending.assert_outcome("ignored", "no NVMe instance store");
    assert_eq!(ending.hook_results(), ["CONTINUE"]);
    assert!(ending.seconds < 10, "{} s", ending.seconds);
}

#[test]
fn an_instance_of_no_group_is_ignored_and_the_event_still_names_it() {
    let ending = of_a_stranger_by_hand();
    ending.assert_outcome("ignored", "in no Auto Scaling group");
    ending.assert_instance();
    assert_eq!(ending.hook_results(), [""; 0]);
}

#[test]
fn a_join_leaves_its_hook_to_another_join() {
    for ending in overtaken(false).into_iter().chain([while_it_leaves()]) {
        ending.assert_outcome("superseded", "");
        assert!(
            !ending.told()["reason"]
                .as_str()
                .unwrap_or_default()
                .contains("no longer active")
        );
        assert_eq!(ending.hook_results(), [""; 0]);
    }
}

#[test]
fn a_join_leaves_no_hook_waiting_for_a_drain() {
    for ending in overtaken(true) {
        ending.assert_outcome("superseded", "is being drained");
        assert_eq!(ending.hook_results(), ["CONTINUE"], "which ends no instance");
    }
}

#[test]
fn a_join_of_a_cordoned_node_says_so() {
    let ending = joined_cordoned();
    ending.assert_outcome("joined", "is cordoned");
    assert_eq!(ending.told()["seen"]["scheduleWorker"]["cordoned"], true);
    assert_eq!(ending.hook_results(), ["CONTINUE"]);
}

#[test]
fn a_node_that_shows_itself_unfit_is_abandoned_with_the_reason() {
    for ending in unfit() {
        ending.assert_outcome("abandoned", "disk");
        assert_eq!(ending.hook_results(), ["ABANDON"]);
    }
}

#[test]
fn an_instance_that_never_becomes_a_node_is_kept_alive_until_its_time_is_up_and_then_abandoned() {
    let ending = never_a_node();
    ending.assert_outcome("abandoned", "did not become a node");
    assert_eq!(ending.hook_results(), ["ABANDON"]);
    let limit = i64::from(JOIN_LIMIT);
    assert!(
        (limit..limit + 60).contains(&ending.seconds),
        "{} s",
        ending.seconds
    );
    let waits = ending.asked("label-node").len() - 1;
    assert_eq!(ending.calls("recordLifecycleActionHeartbeat").len(), waits);
}

#[test]
fn a_join_that_runs_out_of_time_through_no_fault_of_the_node_stalls_and_leaves_the_hook() {
    for ending in out_of_time() {
        ending.assert_outcome("stalled", "no provisioner pod");
        assert_eq!(ending.hook_results(), [""; 0]);
    }
}
