//! Drains that a person starts.

use serde_json::{Value, json};
use tidegate_domain::outcome::DrainOutcome;

use crate::account::{ADDRESS, Account, GROUP, INSTANCE, NODE, by_hand};
use crate::answers::{incomplete, retired, retiring};
use crate::drain::{drain, without_node};
use crate::ending::Ending;
use crate::faults::Failure;
use crate::scene::auto_scaling_fails;

pub(crate) fn of_instance_in(lifecycle_state: &str) -> Ending {
    drain(by_hand(), retaining(lifecycle_state)).play()
}

fn retaining(lifecycle_state: &str) -> Account {
    Account {
        retains: true,
        ..Account::with_instance(lifecycle_state)
    }
}

pub(crate) fn kept() -> Ending {
    let input = json!({ "instanceId": INSTANCE, "deadlineSeconds": 600, "terminate": false });
    drain(input, retaining("InService")).play()
}

pub(crate) fn of_retained_instance_again_incomplete() -> Ending {
    drain(by_hand(), retaining("Terminating:Retained"))
        .on("drain-cache", incomplete)
        .play()
}

/// Another hook than ours holds the instance.
fn held_by_another_hook() -> Ending {
    let mut account = retaining("Terminating:Wait");
    account.hooks.clear();
    drain(by_hand(), account).play()
}

fn of_terminated_instance() -> Ending {
    let mut account = retaining("InService");
    account.membership = None;
    drain(by_hand(), account).play()
}

/// Its group launched it, has ended it and forgotten it.
pub(crate) fn of_ended_instance() -> Ending {
    let mut account = retaining("InService");
    account.membership = None;
    account.launched_by = Some(GROUP);
    without_node(drain(by_hand(), account)).play()
}

/// What Auto Scaling says where the desired capacity may not go down.
const AT_MINIMUM: &str = "Currently, desiredSize equals minSize (3). Terminating instance without replacement will violate \
                          group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower \
                          group's min size. (Service: AutoScaling, Status Code: 400, Request ID: 1)";
/// What it says of an instance that has ended.
const ENDED: &str = "Instance Id not found - No managed instance found for instance ID: i-0123456789abcdef0 (Service: \
                     AutoScaling, Status Code: 400, Request ID: 1)";

/// It is on its way out, and its Node object is gone already.
fn of_instance_that_ends() -> Ending {
    without_node(drain(by_hand(), retaining("Terminating:Proceed"))).play()
}

fn ending_fails(error: &'static str, cause: &'static str, times: usize) -> Ending {
    drain(by_hand(), retaining("InService"))
        .action("terminateInstanceInAutoScalingGroup", move |before| {
            (before < times).then(|| Failure {
                error: error.to_owned(),
                ..auto_scaling_fails(cause)
            })
        })
        .play()
}

/// The group has come to its minimum size while the instance was drained.
pub(crate) fn ending_refused() -> Ending {
    ending_fails("AutoScaling.AutoScalingException", AT_MINIMUM, usize::MAX)
}

/// Nothing ends the instance in ten minutes.
pub(crate) fn never_ended() -> Ending {
    ending_fails("AutoScaling.AutoScalingException", "Rate exceeded", usize::MAX)
}

/// A drain of an instance whose group has no instance to give.
pub(crate) fn at_minimum(input: Value) -> Ending {
    let account = Account {
        min_size: 3,
        ..retaining("InService")
    };
    drain(input, account).play()
}

/// The worker of an instance that stays does not go.
pub(crate) fn kept_with_its_worker() -> Ending {
    let input = json!({ "instanceId": INSTANCE, "deadlineSeconds": 600, "terminate": false });
    drain(input, retaining("InService"))
        .on("retire-worker", retiring)
        .play()
}

/// Whether the worker is in service again cannot be seen.
pub(crate) fn unseen_at_the_end() -> Ending {
    drain(by_hand(), retaining("InService"))
        .on("retire-worker", |asked| asked.fails("AlluxioUnavailable"))
        .play()
}

pub(crate) fn bad_input() -> Ending {
    drain(
        json!({ "instanceId": "web-1", "terminate": true }),
        retaining("InService"),
    )
    .play()
}

/// Retained for what could not be saved, and nothing can be seen of its worker any more.
pub(crate) fn of_retained_instance_unseen(input: Value) -> Ending {
    without_node(drain(input, retaining("Terminating:Retained"))).play()
}

/// The same where the node shows that it holds nothing.
fn of_retained_instance_proven_empty() -> Ending {
    without_node(drain(by_hand(), retaining("Terminating:Retained")))
        .on("drain-cache", |asked| {
            let facts = drain_cache::Facts {
                proven_empty: true,
                ..drain_cache::Facts::default()
            };
            asked.says(DrainOutcome::Absent, "the node never opened", facts)
        })
        .play()
}

/// A walk of each kind.
pub(crate) fn all() -> Vec<Ending> {
    vec![
        of_retained_instance_unseen(by_hand()),
        of_retained_instance_unseen(consenting()),
        of_retained_instance_proven_empty(),
        of_instance_that_ends(),
        of_instance_in("InService"),
        of_instance_in("Terminating:Retained"),
        of_instance_in("Terminating:Wait"),
        kept(),
        of_retained_instance_again_incomplete(),
        held_by_another_hook(),
        of_terminated_instance(),
        of_ended_instance(),
        ending_refused(),
        never_ended(),
        at_minimum(by_hand()),
        kept_with_its_worker(),
        unseen_at_the_end(),
        bad_input(),
    ]
}

fn terminations(ending: &Ending) -> Vec<&Value> {
    ending.calls("terminateInstanceInAutoScalingGroup")
}

const NONE: [&Value; 0] = [];

/// What a person types who wants the instance ended whatever it holds.
fn consenting() -> Value {
    json!({ "instanceId": INSTANCE, "terminate": true })
}

#[test]
fn a_retained_instance_is_not_ended_on_an_absence() {
    let ending = of_retained_instance_unseen(by_hand());
    ending.assert_outcome("incomplete", "its worker cannot be seen any more");
    assert_eq!(terminations(&ending), NONE);
    assert!(ending.asked("retire-worker").is_empty());
}

#[test]
fn a_person_may_end_a_retained_instance_unseen() {
    let ending = of_retained_instance_unseen(consenting());
    ending.assert_outcome("drained", "is no node");
    assert_eq!(terminations(&ending).len(), 1);
}

#[test]
fn a_retained_instance_that_is_proven_empty_is_ended() {
    let ending = of_retained_instance_proven_empty();
    ending.assert_outcome("drained", "never opened");
    assert_eq!(terminations(&ending).len(), 1);
}

#[test]
fn an_instance_that_ends_without_a_node_leaves_nothing() {
    let ending = of_instance_that_ends();
    ending.assert_outcome("ignored", "nothing of it is left to drain");
    let asked = ending.asked("drain-cache").len();
    assert_eq!(asked, 1, "its worker may still be in service");
    assert_eq!(terminations(&ending), NONE);
}

#[test]
fn a_terminated_instance_without_a_node_asks_nobody_else() {
    let ending = of_ended_instance();
    for function in ["evict-pods", "drain-cache", "retire-worker"] {
        assert!(ending.asked(function).is_empty(), "{function}");
    }
}

#[test]
fn each_step_is_told_what_ec2_calls_the_instance() {
    let ending = of_instance_in("InService");
    for function in ["cordon-node", "evict-pods", "drain-cache", "retire-worker"] {
        for payload in ending.asked(function) {
            assert_eq!(payload["node"]["nodeName"], NODE, "{function}");
            assert_eq!(payload["node"]["privateAddress"], ADDRESS, "{function}");
        }
    }
}

#[test]
fn an_instance_in_service_is_ended_after_its_drain_and_the_group_shrinks() {
    let ending = of_instance_in("InService");
    ending.assert_outcome("drained", "only copy");
    assert_eq!(ending.hook_results(), [""; 0]);
    let expected = json!({ "InstanceId": INSTANCE, "ShouldDecrementDesiredCapacity": true });
    assert_eq!(terminations(&ending), [&expected]);
}

#[test]
fn a_retained_instance_is_ended_after_its_drain_and_the_group_keeps_its_size() {
    let ending = of_instance_in("Terminating:Retained");
    ending.assert_outcome("drained", "only copy");
    assert_eq!(ending.hook_results(), [""; 0]);
    let expected = json!({ "InstanceId": INSTANCE, "ShouldDecrementDesiredCapacity": false });
    assert_eq!(terminations(&ending), [&expected]);
}

#[test]
fn an_instance_that_waits_in_our_hook_is_let_go_by_the_hook_and_not_ended_twice() {
    let ending = of_instance_in("Terminating:Wait");
    ending.assert_outcome("drained", "only copy");
    assert_eq!(ending.hook_results(), ["CONTINUE"]);
    assert_eq!(terminations(&ending), NONE);
}

#[test]
fn an_instance_on_its_way_out_is_left_to_what_takes_it_out() {
    for state in ["Terminating", "Terminating:Proceed", "Terminated"] {
        let ending = of_instance_in(state);
        ending.assert_outcome("drained", "only copy");
        assert_eq!(terminations(&ending), NONE, "{state}");
    }
    let ending = held_by_another_hook();
    ending.assert_outcome("drained", "only copy");
    assert_eq!(terminations(&ending), NONE);
    assert_eq!(ending.hook_results(), [""; 0], "the hook is not ours");
}

#[test]
fn nothing_is_ended_where_the_person_says_so() {
    let ending = kept();
    ending.assert_outcome("drained", "only copy");
    assert_eq!(terminations(&ending), NONE);
    assert_eq!(ending.told()["deadline"], "2026-11-23T10:10:00.123Z");
}

#[test]
fn a_drain_by_hand_that_could_not_save_all_fails_and_leaves_the_instance() {
    let ending = of_retained_instance_again_incomplete();
    ending.assert_outcome("incomplete", "such as /a");
    assert_eq!(terminations(&ending), NONE);
    assert_eq!(ending.hook_results(), [""; 0]);
}

#[test]
fn an_instance_that_is_in_no_group_is_ignored() {
    let ending = of_terminated_instance();
    ending.assert_outcome("ignored", "is terminated and in no Auto Scaling group");
    assert_eq!(terminations(&ending), NONE);
}

#[test]
fn ending_the_instance_is_tried_again() {
    for (error, cause) in [
        (
            "AutoScaling.ScalingActivityInProgressException",
            "a scaling activity is in progress",
        ),
        ("AutoScaling.ResourceContentionException", "pending update"),
        (
            "AutoScaling.AutoScalingException",
            "Rate exceeded (Service: AutoScaling, Status Code: 400)",
        ),
        ("AutoScaling.SdkClientException", "Unable to execute HTTP request"),
        ("States.Timeout", ""),
    ] {
        let ending = ending_fails(error, cause, 50);
        ending.assert_outcome("drained", "only copy");
        assert_eq!(terminations(&ending).len(), 51, "{error}");
        assert!(ending.seconds > 480, "{error}: for minutes");
    }
}

#[test]
fn an_instance_that_is_not_ended_is_no_success() {
    for (error, cause) in [
        ("AutoScaling.AutoScalingException", "Rate exceeded"),
        (
            "AutoScaling.ScalingActivityInProgressException",
            "a scaling activity is in progress",
        ),
        ("States.Timeout", ""),
    ] {
        let ending = ending_fails(error, cause, usize::MAX);
        ending.assert_outcome(
            "stalled",
            "all is saved and the worker is gone, but the instance was not ended",
        );
        let told = if cause.is_empty() { error } else { cause };
        ending.assert_outcome("stalled", told);
        assert!(ending.seconds > 590, "{} s", ending.seconds);
    }
}

#[test]
fn a_group_at_its_minimum_is_asked_once() {
    let ending = ending_refused();
    ending.assert_outcome(
        "stalled",
        "\"replace\": true, or lower the minimum size of the group",
    );
    assert_eq!(terminations(&ending).len(), 1);
}

#[test]
fn an_instance_that_has_ended_meanwhile_is_drained() {
    let ending = ending_fails("AutoScaling.AutoScalingException", ENDED, usize::MAX);
    ending.assert_outcome("drained", "only copy");
    assert_eq!(terminations(&ending).len(), 1);
}

#[test]
fn a_drain_its_group_would_refuse_touches_nothing() {
    let ending = at_minimum(by_hand());
    ending.assert_outcome(
        "refused",
        "group nvme-nodes is at its minimum size (MinSize 3, DesiredCapacity 3)",
    );
    let called: Vec<_> = ending
        .trace
        .calls
        .iter()
        .map(|call| call.state.as_str())
        .collect();
    assert_eq!(called, ["ResolveNode", "TellOutcome"]);
}

#[test]
fn a_group_at_its_minimum_has_ways_out() {
    for input in [
        json!({ "instanceId": INSTANCE, "replace": true }),
        json!({ "instanceId": INSTANCE, "terminate": false }),
    ] {
        at_minimum(input).assert_outcome("drained", "only copy");
    }
}

#[test]
fn a_worker_that_stays_with_its_instance_is_told() {
    let ending = kept_with_its_worker();
    ending.assert_outcome("stalled", "all is saved, but its worker has not gone");
    let healed = drain(
        json!({ "instanceId": INSTANCE, "terminate": false }),
        retaining("InService"),
    )
    .on("retire-worker", |asked| match asked.before {
        0 => retiring(asked),
        _ => retired(asked),
    })
    .play();
    healed.assert_outcome("drained", "only copy");
}

#[test]
fn an_unseen_worker_keeps_its_instance() {
    let ending = unseen_at_the_end();
    ending.assert_outcome(
        "incomplete",
        "whether the worker is in service again could not be seen",
    );
    assert_eq!(terminations(&ending), NONE);
}

#[test]
fn input_that_cannot_be_meant_fails_in_one_sentence_and_touches_nothing() {
    let ending = bad_input();
    let failure = ending.result.as_ref().expect_err("it fails");
    assert_eq!(failure.error, "InvalidInput");
    assert!(
        failure.cause.starts_with("instanceId: \"web-1\" is not"),
        "{failure:?}"
    );
    assert_eq!(ending.trace.calls.len(), 1);
}

#[test]
fn of_an_instance_that_has_ended_nothing_is_left_to_drain() {
    let ending = of_ended_instance();
    ending.assert_outcome("ignored", "nothing of it is left to drain");
    assert!(ending.calls("terminateInstanceInAutoScalingGroup").is_empty());
}
