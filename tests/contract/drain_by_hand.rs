//! Drains that a person starts.

use serde_json::{Value, json};
use tidegate_domain::outcome::DrainOutcome;

use crate::account::{ADDRESS, Account, GROUP, INSTANCE, NODE, by_hand};
use crate::answers::incomplete;
use crate::drain::{drain, without_node};
use crate::ending::Ending;
use crate::faults::Failure;
use crate::scene::auto_scaling_fails;

fn of_instance_in(lifecycle_state: &str) -> Ending {
    drain(by_hand(), retaining(lifecycle_state)).play()
}

fn retaining(lifecycle_state: &str) -> Account {
    Account {
        retains: true,
        ..Account::with_instance(lifecycle_state)
    }
}

fn kept() -> Ending {
    let input = json!({ "instanceId": INSTANCE, "deadlineSeconds": 600, "terminate": false });
    drain(input, retaining("InService")).play()
}

fn of_retained_instance_again_incomplete() -> Ending {
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
fn of_ended_instance() -> Ending {
    let mut account = retaining("InService");
    account.membership = None;
    account.launched_by = Some(GROUP);
    without_node(drain(by_hand(), account)).play()
}

fn ending_fails(error: &'static str, times: usize) -> Ending {
    drain(by_hand(), retaining("InService"))
        .action("terminateInstanceInAutoScalingGroup", move |before| {
            (before < times).then(|| Failure {
                error: error.to_owned(),
                ..auto_scaling_fails("a scaling activity is in progress")
            })
        })
        .play()
}

fn bad_input() -> Ending {
    drain(
        json!({ "instanceId": "web-1", "terminate": true }),
        retaining("InService"),
    )
    .play()
}

/// Retained for what could not be saved, and nothing can be seen of its worker any more.
fn of_retained_instance_unseen(input: Value) -> Ending {
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
        of_instance_in("InService"),
        of_instance_in("Terminating:Retained"),
        of_instance_in("Terminating:Wait"),
        kept(),
        of_retained_instance_again_incomplete(),
        held_by_another_hook(),
        of_terminated_instance(),
        of_ended_instance(),
        ending_fails("AutoScaling.AutoScalingException", usize::MAX),
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
fn ending_the_instance_waits_for_another_scaling_activity() {
    for error in [
        "AutoScaling.ScalingActivityInProgressException",
        "AutoScaling.ResourceContentionException",
    ] {
        let ending = ending_fails(error, 3);
        ending.assert_outcome("drained", "only copy");
        assert_eq!(terminations(&ending).len(), 4);
        assert!(
            !ending.told()["reason"]
                .as_str()
                .unwrap_or_default()
                .contains("not ended")
        );
    }
}

#[test]
fn an_instance_that_cannot_be_ended_is_told_with_the_reason() {
    for error in [
        "AutoScaling.AutoScalingException",
        "AutoScaling.ScalingActivityInProgressException",
        "AutoScaling.SdkClientException",
    ] {
        let ending = ending_fails(error, usize::MAX);
        ending.assert_outcome(
            "drained",
            "but the instance was not ended: a scaling activity is in progress",
        );
    }
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
