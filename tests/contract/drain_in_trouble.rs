//! Drains while something else is broken.

use serde_json::json;
use tidegate_domain::error::{Error, ErrorName};
use tidegate_domain::resolve::Direction;

use crate::account::{Account, DRAIN_LIMIT, GROUP, INSTANCE, lifecycle_action};
use crate::answers::{
    blocked, cordoned, drained, evicted, never_saved, retired, retiring, saving, saving_for_ever,
};
use crate::drain::{drain, terminating};
use crate::ending::Ending;
use crate::errors::LAMBDA_ERRORS;
use crate::faults::Failure;
use crate::scene::{Asked, auto_scaling_fails, began, hook_over};
use crate::walker::{MOST_EVENTS, Reply};

const STEPS: [&str; 4] = ["cordon-node", "evict-pods", "drain-cache", "retire-worker"];

fn well(function: &str, asked: &Asked) -> Reply {
    match function {
        "cordon-node" => cordoned(asked),
        "evict-pods" => evicted(asked),
        "drain-cache" => drained(asked),
        _ => retired(asked),
    }
}

/// A drain in which a function fails with that name for so long.
pub(crate) fn outage(retains: bool, step: &'static str, name: &'static str, seconds: i64) -> Ending {
    let failing = move |asked: &Asked| {
        if asked.age() < seconds {
            asked.fails(name)
        } else {
            well(step, asked)
        }
    };
    terminating(retains).on(step, failing).play()
}

/// Drains whose hook is over when their pods, their files, their worker are first waited for.
pub(crate) fn hook_gone(retains: bool, step: &'static str) -> Ending {
    let waits = move |asked: &Asked| match step {
        "evict-pods" => blocked(asked),
        "drain-cache" => never_saved(asked),
        "retire-worker" => retiring(asked),
        _ => asked.fails("KubernetesUnavailable"),
    };
    terminating(retains)
        .on(step, waits)
        .action("recordLifecycleActionHeartbeat", |_| Some(hook_over()))
        .play()
}

/// Beats fail now and then while all three parts wait.
fn beats_fail() -> Ending {
    let twice = |waits: fn(&Asked) -> Reply, then: fn(&Asked) -> Reply| {
        move |asked: &Asked| {
            if asked.before < 2 {
                waits(asked)
            } else {
                then(asked)
            }
        }
    };
    terminating(true)
        .on("evict-pods", twice(blocked, evicted))
        .on("drain-cache", twice(saving, drained))
        .on("retire-worker", twice(|asked| asked.fails("AwsRefused"), retired))
        .action("recordLifecycleActionHeartbeat", |before| {
            (before % 2 == 0).then(|| auto_scaling_fails("Rate exceeded"))
        })
        .play()
}

pub(crate) fn completion_fails(times: usize, failure: fn() -> Failure) -> Ending {
    terminating(true)
        .action("completeLifecycleAction", move |before| {
            (before < times).then(failure)
        })
        .play()
}

pub(crate) fn throttled() -> Failure {
    auto_scaling_fails("Rate exceeded")
}

fn bus_fails() -> Ending {
    terminating(true)
        .action("putEvents", |_| {
            let (error, cause) = (
                "EventBridge.EventBridgeException".to_owned(),
                "refused".to_owned(),
            );
            Some(Failure { error, cause })
        })
        .play()
}

pub(crate) fn unresolved(name: ErrorName) -> Ending {
    let mut account = Account::with_instance("Terminating:Wait");
    account.trouble = Some(Error::new(name, "told to fail"));
    drain(lifecycle_action(Direction::Drain, GROUP), account).play()
}

fn unknown_outcome(step: &'static str) -> Ending {
    terminating(true)
        .on(step, |asked| {
            asked.says("dancing", "of another release", json!({}))
        })
        .play()
}

/// A walk of each kind.
pub(crate) fn all() -> Vec<Ending> {
    let outages = STEPS.map(|step| outage(true, step, "KubernetesUnavailable", i64::MAX));
    let short = STEPS.map(|step| outage(false, step, "AlluxioRefused", 60));
    let gone = STEPS.map(|step| hook_gone(true, step));
    let lost = STEPS.map(|step| hook_gone(false, step));
    let unknown = STEPS.map(unknown_outcome);
    let single = [
        terminating(true).resolved_as("dancing").play(),
        beats_fail(),
        completion_fails(usize::MAX, throttled),
        completion_fails(1, hook_over),
        unseen_while_retiring(),
        unseen_after_its_hook(),
        bus_fails(),
        unresolved(ErrorName::AwsRefused),
        unresolved(ErrorName::AwsUnavailable),
    ];
    [outages, short, gone, lost, unknown]
        .into_iter()
        .flatten()
        .chain(single)
        .collect()
}

#[test]
fn no_error_of_a_function_or_of_lambda_that_passes_keeps_a_node_from_being_drained() {
    let ours = ErrorName::ALL
        .into_iter()
        .filter(|name| *name != ErrorName::InvalidInput);
    for name in ours
        .map(ErrorName::as_str)
        .chain(LAMBDA_ERRORS)
        .chain(["States.Timeout"])
    {
        for step in STEPS {
            let ending = outage(true, step, name, 40);
            ending.assert_outcome("drained", "only copy");
            assert_eq!(ending.hook_results(), ["CONTINUE"], "{step} after {name}");
        }
    }
}

#[test]
fn where_the_group_retains_an_unseen_cache_is_not_taken_for_an_empty_one() {
    for name in ["AlluxioUnavailable", "KubernetesRefused", "Defect"] {
        let ending = outage(true, "drain-cache", name, i64::MAX);
        ending.assert_outcome("retained", "what the worker holds could not be seen");
        assert!(
            ending.told()["reason"]
                .as_str()
                .unwrap_or_default()
                .contains(name)
        );
        assert_eq!(ending.hook_results(), ["ABANDON"]);
        let over = ending.seconds - i64::from(DRAIN_LIMIT);
        assert!((0..180).contains(&over), "{over} s after the deadline");
    }
}

#[test]
fn where_the_group_does_not_retain_an_unseen_cache_is_held_on_to_until_it_is_seen() {
    let ending = outage(
        false,
        "drain-cache",
        "AlluxioUnavailable",
        3 * i64::from(DRAIN_LIMIT),
    );
    ending.assert_outcome("drained", "only copy");
    assert_eq!(ending.hook_results(), ["CONTINUE"]);
}

#[test]
fn an_outage_of_the_cluster_holds_up_pods_only_until_deadline_and_grace() {
    let ending = outage(true, "evict-pods", "KubernetesUnavailable", i64::MAX);
    ending.assert_outcome("drained", "only copy");
    assert_eq!(ending.hook_results(), ["CONTINUE"]);
    let over = ending.seconds - i64::from(DRAIN_LIMIT + 120);
    assert!((0..300).contains(&over), "{over} s after deadline and grace");
}

/// The hook ends with files unsaved, and Auto Scaling cannot be asked what became of the instance.
fn unseen_after_its_hook() -> Ending {
    terminating(true)
        .on("drain-cache", never_saved)
        .action("recordLifecycleActionHeartbeat", |_| Some(hook_over()))
        .action("describeAutoScalingInstances", |_| Some(throttled()))
        .play()
}

#[test]
fn an_instance_unseen_after_its_hook_is_no_success() {
    let ending = unseen_after_its_hook();
    ending.assert_outcome("incomplete", "in a state that could not be seen (Rate exceeded)");
}

/// Whether the worker is in service again cannot be seen, and the group does not retain.
pub(crate) fn unseen_while_retiring() -> Ending {
    outage(false, "retire-worker", "AlluxioUnavailable", i64::MAX)
}

#[test]
fn an_unseen_worker_is_kept_where_the_group_retains() {
    let ending = outage(true, "retire-worker", "KubernetesUnavailable", i64::MAX);
    ending.assert_outcome(
        "retained",
        "whether the worker is in service again could not be seen",
    );
    assert_eq!(ending.hook_results(), ["ABANDON"]);
    let over = ending.seconds - i64::from(DRAIN_LIMIT + 120);
    assert!((0..300).contains(&over), "{over} s after deadline and grace");
}

#[test]
fn an_unseen_worker_is_held_where_the_group_does_not() {
    let healed = outage(
        false,
        "retire-worker",
        "AlluxioUnavailable",
        3 * i64::from(DRAIN_LIMIT),
    );
    healed.assert_outcome("drained", "only copy");
    assert_eq!(healed.hook_results(), ["CONTINUE"]);
    let ending = unseen_while_retiring();
    ending.assert_outcome(
        "incomplete",
        "whether the worker is in service again could not be seen",
    );
    assert_eq!(ending.hook_results(), [""; 0]);
    assert!(
        ending.seconds > 29_000,
        "{} s: to the end of the hook",
        ending.seconds
    );
}

#[test]
fn a_node_that_cannot_be_claimed_in_time_is_left_to_what_its_branches_see() {
    let ending = terminating(true)
        .on("cordon-node", |asked| asked.fails("KubernetesUnavailable"))
        .on("evict-pods", |asked| asked.fails("KubernetesUnavailable"))
        .on("drain-cache", |asked| asked.fails("KubernetesUnavailable"))
        .play();
    ending.assert_outcome("retained", "what the worker holds could not be seen");
    assert_eq!(ending.hook_results(), ["ABANDON"]);
    let over = ending.seconds - i64::from(DRAIN_LIMIT);
    assert!((0..300).contains(&over), "{over} s after the deadline");
}

#[test]
fn an_outage_of_all_neighbours_for_two_days_fits_into_an_executions_history() {
    let account = Account::with_instance("Terminating:Wait").with_heartbeat(3_600);
    for input in [
        lifecycle_action(Direction::Drain, GROUP),
        json!({ "instanceId": INSTANCE, "deadlineSeconds": 172_800 }),
    ] {
        let ending = drain(input, account.clone())
            .on("cordon-node", |asked| asked.fails("KubernetesUnavailable"))
            .on("evict-pods", |asked| asked.fails("KubernetesUnavailable"))
            .on("drain-cache", |asked| asked.fails("AlluxioUnavailable"))
            .play();
        ending.assert_outcome("incomplete", "AlluxioUnavailable");
        assert_eq!(ending.hook_results(), [""; 0]);
        assert!(ending.seconds > 172_000, "{} s", ending.seconds);
        assert!(
            ending.trace.events < MOST_EVENTS,
            "{} events",
            ending.trace.events
        );
    }
}

#[test]
fn two_days_of_waiting_for_pods_and_files_fit_into_an_executions_history() {
    let account = Account {
        retains: true,
        ..Account::with_instance("Terminating:Wait").with_heartbeat(3_600)
    };
    let input = json!({ "instanceId": INSTANCE, "deadlineSeconds": 172_800 });
    let ending = drain(input, account)
        .on("evict-pods", blocked)
        .on("drain-cache", never_saved)
        .play();
    ending.assert_outcome("retained", "not safe yet");
    assert_eq!(ending.hook_results(), ["ABANDON"]);
    assert!(
        ending.trace.events < MOST_EVENTS,
        "{} events",
        ending.trace.events
    );
}

#[test]
fn two_days_of_passes_fit_into_a_history() {
    let account = Account {
        retains: true,
        ..Account::with_instance("Terminating:Wait").with_heartbeat(3_600)
    };
    let holding_on = Account {
        retains: false,
        ..account.clone()
    };
    let by_hand = json!({ "instanceId": INSTANCE, "deadlineSeconds": 172_800 });
    for (input, account) in [
        (by_hand, account),
        (lifecycle_action(Direction::Drain, GROUP), holding_on),
    ] {
        let ending = drain(input, account)
            .on("evict-pods", blocked)
            .on("drain-cache", saving_for_ever)
            .play();
        assert!(ending.seconds > 170_000, "{} s", ending.seconds);
        assert!(
            ending.trace.events < MOST_EVENTS,
            "{} events",
            ending.trace.events
        );
    }
}

#[test]
fn a_hook_lives_through_an_outage_also_where_its_heart_beats_fast() {
    for heartbeat in [60, 120, 300, 1_800] {
        let account = Account::with_instance("Terminating:Wait").with_heartbeat(heartbeat);
        let healed = |well: fn(&Asked) -> Reply| {
            move |asked: &Asked| {
                if asked.age() < 2_400 {
                    asked.fails("KubernetesUnavailable")
                } else {
                    well(asked)
                }
            }
        };
        let ending = drain(lifecycle_action(Direction::Drain, GROUP), account)
            .on("cordon-node", healed(cordoned))
            .on("evict-pods", healed(evicted))
            .on("drain-cache", healed(drained))
            .play();
        ending.assert_outcome("drained", "only copy");
        assert_eq!(ending.hook_results(), ["CONTINUE"], "heartbeat {heartbeat} s");
    }
}

#[test]
fn a_failing_part_does_not_cut_off_the_other() {
    let ending = terminating(true)
        .on("evict-pods", |asked| asked.fails("Defect"))
        .on("drain-cache", |asked| {
            if asked.before < 20 {
                saving(asked)
            } else {
                drained(asked)
            }
        })
        .play();
    ending.assert_outcome("drained", "only copy");
    assert_eq!(ending.asked("drain-cache").len(), 21);
    assert_eq!(ending.told()["seen"]["evictPods"]["outcome"], "waiting");
}

#[test]
fn a_hook_over_with_files_unsaved_is_no_success() {
    for step in ["cordon-node", "drain-cache"] {
        let ending = hook_gone(true, step);
        ending.assert_outcome("retained", "the group keeps the instance");
        assert_eq!(ending.hook_results(), [""; 0], "{step}");
        let ending = hook_gone(false, step);
        ending.assert_outcome("incomplete", "the instance is Terminated");
        assert_eq!(ending.hook_results(), [""; 0], "{step}");
    }
}

#[test]
fn a_hook_over_with_all_saved_ends_the_drain() {
    let ending = hook_gone(true, "retire-worker");
    ending.assert_outcome("superseded", "nothing was unsaved");
    assert_eq!(ending.hook_results(), [""; 0]);
}

#[test]
fn a_hook_over_while_pods_leave_holds_up_no_files() {
    let ending = hook_gone(true, "evict-pods");
    ending.assert_outcome("drained", "only copy");
    assert_eq!(ending.told()["seen"]["evictPods"]["outcome"], "hook-gone");
}

#[test]
fn a_heartbeat_that_fails_otherwise_is_tried_again_with_the_next_wait() {
    let ending = beats_fail();
    ending.assert_outcome("drained", "only copy");
    assert_eq!(ending.calls("recordLifecycleActionHeartbeat").len(), 6);
}

#[test]
fn a_completion_is_tried_again_until_it_succeeds_or_is_over_or_ten_minutes_have_gone() {
    let ending = completion_fails(5, throttled);
    ending.assert_outcome("drained", "only copy");
    assert_eq!(ending.hook_results(), ["CONTINUE"; 6]);
    let ending = completion_fails(1, hook_over);
    ending.assert_outcome("drained", "only copy");
    assert_eq!(ending.hook_results(), ["CONTINUE"]);
    let ending = completion_fails(usize::MAX, throttled);
    ending.assert_outcome("stalled", "but the hook could not be completed: Rate exceeded");
}

#[test]
fn a_drain_ends_as_it_ended_also_when_the_bus_does_not_take_its_outcome() {
    bus_fails().assert_outcome("drained", "only copy");
}

#[test]
fn throttling_is_outlived_for_a_quarter_of_an_hour() {
    let ending = unresolved(ErrorName::AwsUnavailable);
    assert!(ending.seconds > 900, "given up after {} s", ending.seconds);
}

#[test]
fn a_drain_that_cannot_find_out_what_it_is_about_stalls_and_leaves_the_hook() {
    for name in [
        ErrorName::AwsUnavailable,
        ErrorName::AwsRefused,
        ErrorName::Defect,
    ] {
        let ending = unresolved(name);
        ending.assert_outcome("stalled", name.as_str());
        assert_eq!(ending.hook_results(), [""; 0]);
    }
}

#[test]
fn a_hook_does_not_run_out_while_aws_throttles() {
    let ending = unresolved(ErrorName::AwsUnavailable);
    let beats = ending.trace.calls.iter();
    let beats: Vec<_> = beats
        .filter(|call| call.resource.ends_with(":recordLifecycleActionHeartbeat"))
        .collect();
    let mut last = began();
    for beat in beats {
        assert_eq!(beat.arguments["InstanceId"], INSTANCE);
        assert_eq!(beat.arguments["AutoScalingGroupName"], GROUP);
        let seconds = beat.at.duration_since(last).as_secs();
        assert!(seconds < 100, "{seconds} s without a heartbeat");
        last = beat.at;
    }
    let silent = ending.seconds - last.duration_since(began()).as_secs();
    assert!(silent < 100, "{silent} s without a heartbeat at the end");
}

#[test]
fn an_input_without_a_hook_prolongs_none() {
    let mut account = Account::with_instance("InService");
    account.trouble = Some(Error::new(ErrorName::AwsUnavailable, "told to fail"));
    let ending = drain(json!({ "instanceId": INSTANCE }), account).play();
    ending.assert_outcome("stalled", "AwsUnavailable");
    assert!(ending.calls("recordLifecycleActionHeartbeat").is_empty());
}

#[test]
fn an_outcome_of_another_release_fails_the_drain_and_is_named_where_it_would_decide() {
    for step in ["cordon-node", "drain-cache", "retire-worker"] {
        let ending = unknown_outcome(step);
        let failure = ending.result.as_ref().expect_err("it fails");
        assert_eq!(failure.error, "Defect");
        assert!(failure.cause.contains("dancing"), "{step}: {failure:?}");
    }
    let ending = terminating(true).resolved_as("dancing").play();
    let failure = ending.result.as_ref().expect_err("it fails");
    assert!(failure.cause.contains("dancing"), "{failure:?}");
    let ending = unknown_outcome("evict-pods");
    ending.assert_outcome("drained", "only copy");
    assert!(
        ending.told()["seen"]["evictPods"]["reason"]
            .as_str()
            .unwrap_or_default()
            .contains("dancing")
    );
}
