//! Joins while something else is broken.

use serde_json::json;
use tidegate_domain::error::{Error, ErrorName};
use tidegate_domain::outcome::LabelOutcome;
use tidegate_domain::resolve::Direction;

use crate::account::{Account, GROUP, INSTANCE, JOIN_LIMIT, lifecycle_action};
use crate::answers::{labelled, provisioned, ready};
use crate::ending::Ending;
use crate::errors::LAMBDA_ERRORS;
use crate::faults::Failure;
use crate::join::{join, launch};
use crate::scene::{Asked, Scene, auto_scaling_fails, began, hook_over};
use crate::walker::{MOST_EVENTS, Reply};

const STEPS: [&str; 3] = ["label-node", "provision-volumes", "schedule-worker"];

fn well(function: &str, asked: &Asked) -> Reply {
    match function {
        "label-node" => labelled(asked),
        "provision-volumes" => provisioned(asked),
        _ => ready(asked),
    }
}

/// Joins in which one function fails with that name for so long.
pub(crate) fn outage(name: &'static str, seconds: i64) -> [Ending; 3] {
    STEPS.map(|step| {
        launch()
            .on(step, move |asked| {
                if asked.age() < seconds {
                    asked.fails(name)
                } else {
                    well(step, asked)
                }
            })
            .play()
    })
}

/// A join whose first wait finds the hook over.
pub(crate) fn hook_gone() -> Ending {
    waiting_for_its_node()
        .action("recordLifecycleActionHeartbeat", |_| Some(hook_over()))
        .play()
}

/// A join whose first beats fail.
pub(crate) fn beats_fail() -> Ending {
    waiting_for_its_node()
        .action("recordLifecycleActionHeartbeat", |before| {
            (before < 2).then(|| auto_scaling_fails("Rate exceeded"))
        })
        .play()
}

fn waiting_for_its_node() -> Scene {
    launch().on("label-node", |asked| match asked.before {
        0..3 => asked.waits(
            LabelOutcome::Waiting,
            "it is not a node yet",
            label_node::Facts::default(),
        ),
        _ => labelled(asked),
    })
}

/// A join whose completion fails so often.
pub(crate) fn completion_fails(times: usize) -> Ending {
    launch()
        .action("completeLifecycleAction", move |before| {
            (before < times).then(|| auto_scaling_fails("Rate exceeded"))
        })
        .play()
}

/// A join whose hook was completed by somebody else just before.
pub(crate) fn completed_elsewhere() -> Ending {
    launch()
        .action("completeLifecycleAction", |_| Some(hook_over()))
        .play()
}

/// A join whose outcome nobody hears.
pub(crate) fn bus_fails() -> Ending {
    launch()
        .action("putEvents", |_| {
            let (error, cause) = ("EventBridge.InternalException".to_owned(), "internal".to_owned());
            Some(Failure { error, cause })
        })
        .play()
}

/// A join that cannot find out what it is about.
pub(crate) fn unresolved(name: ErrorName) -> Ending {
    let mut account = Account::with_instance("Pending:Wait");
    account.trouble = Some(Error::new(name, "told to fail"));
    join(lifecycle_action(Direction::Join, GROUP), account).play()
}

/// Joins with inputs that cannot be meant.
pub(crate) fn bad_inputs() -> [(&'static str, Ending); 4] {
    [
        ("instanceId", json!({})),
        ("web-1", json!({ "instanceId": "web-1" })),
        (
            "deadlineSeconds",
            json!({ "instanceId": INSTANCE, "deadlineSeconds": 0 }),
        ),
        ("the input", json!("i-1")),
    ]
    .map(|(named, input)| (named, join(input, Account::with_instance("InService")).play()))
}

/// Joins in which one function answers what no machine knows.
pub(crate) fn unknown_outcomes() -> Vec<Ending> {
    let scenes = STEPS.map(|step| {
        launch().on(step, |asked| {
            asked.says("dancing", "of another release", json!({}))
        })
    });
    let all = scenes.into_iter().chain([launch().resolved_as("dancing")]);
    all.map(Scene::play).collect()
}

#[test]
fn no_error_of_a_function_or_of_lambda_that_passes_keeps_a_node_from_joining() {
    let ours = ErrorName::ALL
        .into_iter()
        .filter(|name| *name != ErrorName::InvalidInput);
    for name in ours
        .map(ErrorName::as_str)
        .chain(LAMBDA_ERRORS)
        .chain(["States.Timeout"])
    {
        for ending in outage(name, 40) {
            ending.assert_outcome("joined", "in service");
            assert_eq!(ending.hook_results(), ["CONTINUE"], "after {name}");
        }
    }
}

#[test]
fn an_outage_that_outlasts_the_deadline_stalls_the_join_and_abandons_nothing() {
    for ending in outage("KubernetesUnavailable", i64::MAX) {
        ending.assert_outcome("stalled", "told to fail with KubernetesUnavailable");
        assert_eq!(ending.hook_results(), [""; 0]);
        let over = ending.seconds - i64::from(JOIN_LIMIT);
        assert!((0..120).contains(&over), "{over} s after the deadline");
    }
}

#[test]
fn an_outage_of_two_days_fits_into_an_executions_history() {
    let account = Account::with_instance("Pending:Wait").with_heartbeat(3_600);
    let input = json!({ "instanceId": INSTANCE, "deadlineSeconds": 172_800 });
    let ending = join(input, account)
        .on("label-node", |asked| asked.fails("KubernetesUnavailable"))
        .play();
    ending.assert_outcome("stalled", "KubernetesUnavailable");
    assert!(ending.seconds > 172_000, "{} s", ending.seconds);
    assert!(
        ending.trace.events < MOST_EVENTS / 10 * 9,
        "{} events",
        ending.trace.events
    );
}

#[test]
fn two_days_of_waiting_for_a_node_fit_into_an_executions_history() {
    let account = Account::with_instance("Pending:Wait").with_heartbeat(3_600);
    let input = json!({ "instanceId": INSTANCE, "deadlineSeconds": 172_800 });
    let ending = join(input, account)
        .on("label-node", |asked| {
            if asked.at < asked.call.frame.deadline {
                return asked.waits(
                    LabelOutcome::Waiting,
                    "not a node yet",
                    label_node::Facts::default(),
                );
            }
            asked.says(
                LabelOutcome::Expired,
                "it did not become a node",
                label_node::Facts::default(),
            )
        })
        .play();
    ending.assert_outcome("abandoned", "did not become a node");
    assert_eq!(ending.hook_results(), ["ABANDON"]);
    assert!(
        ending.trace.events < MOST_EVENTS / 10 * 9,
        "{} events",
        ending.trace.events
    );
}

#[test]
fn a_hook_lives_through_an_outage_also_where_its_heart_beats_fast() {
    for heartbeat in [60, 120, 300, 1_800] {
        let account = Account::with_instance("Pending:Wait").with_heartbeat(heartbeat);
        let ending = join(lifecycle_action(Direction::Join, GROUP), account)
            .on("label-node", |asked| {
                if asked.age() < 1_200 {
                    asked.fails("KubernetesUnavailable")
                } else {
                    labelled(asked)
                }
            })
            .play();
        ending.assert_outcome("joined", "in service");
        assert_eq!(ending.hook_results(), ["CONTINUE"], "heartbeat {heartbeat} s");
    }
}

#[test]
fn a_hook_that_is_no_longer_active_ends_the_join_as_superseded() {
    let ending = hook_gone();
    ending.assert_outcome("superseded", "no longer active");
    assert!(
        ending.told()["reason"]
            .as_str()
            .unwrap_or_default()
            .ends_with("it is not a node yet")
    );
    assert_eq!(ending.hook_results(), [""; 0]);
}

#[test]
fn a_heartbeat_that_fails_otherwise_is_tried_again_with_the_next_wait() {
    let ending = beats_fail();
    ending.assert_outcome("joined", "in service");
    assert_eq!(ending.calls("recordLifecycleActionHeartbeat").len(), 3);
}

#[test]
fn a_completion_that_fails_is_tried_again() {
    let ending = completion_fails(5);
    ending.assert_outcome("joined", "in service");
    assert_eq!(ending.hook_results(), ["CONTINUE"; 6]);
}

#[test]
fn a_completion_that_fails_for_ten_minutes_stalls_the_join_and_says_so() {
    let ending = completion_fails(usize::MAX);
    ending.assert_outcome("stalled", "but the hook could not be completed: Rate exceeded");
    assert_eq!(ending.hook_results().len(), 60);
    assert!((600..720).contains(&ending.seconds), "{} s", ending.seconds);
}

#[test]
fn a_hook_that_was_completed_elsewhere_is_not_completed_for_ever() {
    let ending = completed_elsewhere();
    ending.assert_outcome("joined", "in service");
    assert_eq!(ending.hook_results().len(), 1);
}

#[test]
fn a_join_ends_as_it_ended_also_when_the_bus_does_not_take_its_outcome() {
    let ending = bus_fails();
    ending.assert_outcome("joined", "in service");
    assert_eq!(ending.calls("putEvents").len(), 6);
}

#[test]
fn a_join_that_cannot_find_out_what_it_is_about_stalls_and_names_the_error() {
    for name in [
        ErrorName::AwsUnavailable,
        ErrorName::AwsRefused,
        ErrorName::Defect,
    ] {
        let ending = unresolved(name);
        ending.assert_outcome("stalled", name.as_str());
        assert_eq!(ending.hook_results(), [""; 0]);
        assert_eq!(ending.told()["startedAt"], began().to_string());
    }
}

#[test]
fn throttling_is_outlived_for_a_quarter_of_an_hour_before_the_node_is_even_known() {
    let ending = unresolved(ErrorName::AwsUnavailable);
    assert!(ending.seconds > 900, "given up after {} s", ending.seconds);
}

#[test]
fn input_that_cannot_be_meant_fails_in_one_sentence_that_names_it_and_touches_nothing() {
    for (named, ending) in bad_inputs() {
        let failure = ending.result.as_ref().expect_err("it fails");
        assert_eq!(failure.error, "InvalidInput");
        assert!(failure.cause.contains(named), "{failure:?}");
        assert!(
            !failure.cause.contains("errorMessage"),
            "the sentence only: {failure:?}"
        );
        assert_eq!(ending.trace.calls.len(), 1, "{:?}", ending.trace.calls);
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
    let ending = join(json!({ "instanceId": INSTANCE }), account).play();
    ending.assert_outcome("stalled", "AwsUnavailable");
    assert!(ending.calls("recordLifecycleActionHeartbeat").is_empty());
}

#[test]
fn an_outcome_of_another_release_fails_the_join_and_is_named() {
    for ending in unknown_outcomes() {
        let failure = ending.result.as_ref().expect_err("it fails");
        assert_eq!(failure.error, "Defect");
        assert!(failure.cause.contains("dancing"), "{failure:?}");
    }
}
