//! The state machine that sets a cluster up, walked.

use bootstrap_cluster::{BootstrapCall, Facts, Progress};
use serde_json::{Value, json};
use tidegate_domain::bootstrap::Request;
use tidegate_domain::outcome::{Answer, BootstrapOutcome};
use tidegate_lambda::Call as FunctionCall;

use crate::definition::cluster_bootstrap;
use crate::ending::Ending;
use crate::faults::Failure;
use crate::scene::{answered, failed, substitutions};
use crate::walker::{Call, Reply, World};

/// What the function answers, by how many calls came before.
type Function = Box<dyn Fn(usize, &BootstrapCall) -> Reply>;
/// Which error an action of AWS meets; none where it succeeds.
type Action = fn(&str, &Call) -> Option<&'static str>;

struct Cluster {
    function: Function,
    action: Action,
    calls: usize,
}

impl World for Cluster {
    fn answer(&mut self, call: &Call) -> Reply {
        let (_, action) = call.resource.rsplit_once(':').expect("a resource");
        if action == "invoke" {
            let payload = &call.arguments["Payload"];
            let call: BootstrapCall = FunctionCall::read(payload).expect("bootstrap-cluster reads its call");
            self.calls += 1;
            return (self.function)(self.calls - 1, &call);
        }
        if let Some(error) = (self.action)(action, call) {
            let (error, cause) = (error.to_owned(), "told to fail".to_owned());
            return Reply {
                seconds: 1,
                result: Err(Failure { error, cause }),
            };
        }
        let result = match action {
            "startExecution" => json!({"ExecutionArn": call.arguments["StateMachineArn"].clone()}),
            "putEvents" => json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "1" }] }),
            other => panic!("what is {other}?"),
        };
        Reply {
            seconds: 1,
            result: Ok(result),
        }
    }
}

fn walk(
    input: &Value,
    function: impl Fn(usize, &BootstrapCall) -> Reply + 'static,
    action: Action,
) -> Ending {
    let machine = cluster_bootstrap();
    let mut substitutions = substitutions(&machine);
    for (name, value) in [
        ("BootstrapLimitSeconds", "1800"),
        ("NodeJoinArn", "node-join"),
        ("DriftCheckArn", "drift-check"),
    ] {
        substitutions.insert(name.into(), json!(value));
    }
    let mut world = Cluster {
        function: Box::new(function),
        action,
        calls: 0,
    };
    Ending::of(&machine, &substitutions, input, &mut world)
}

fn well(_: &str, _: &Call) -> Option<&'static str> {
    None
}

fn says(outcome: BootstrapOutcome, late: &[&str]) -> Reply {
    let facts = Facts {
        progress: Progress {
            verified: vec!["rights".into()],
        },
        instances_to_join: late.iter().map(ToString::to_string).collect(),
        ..Facts::default()
    };
    let mut answer = Answer::new(outcome, "what was seen", facts);
    if outcome == BootstrapOutcome::Waiting {
        answer.retry_after_seconds = Some(20);
    }
    answered(2, &answer)
}

/// Applied after one wait, then joined.
fn story(late: &'static [&'static str]) -> impl Fn(usize, &BootstrapCall) -> Reply {
    move |before, call| match (before, call.joining) {
        (0, _) => says(BootstrapOutcome::Waiting, &[]),
        (_, false) => says(BootstrapOutcome::Applied, late),
        (_, true) => says(BootstrapOutcome::Ready, &[]),
    }
}

fn out_of_reach() -> Ending {
    walk(
        &json!({}),
        |_, _| failed(1, "KubernetesUnavailable", "no answer"),
        well,
    )
}

fn refused() -> Ending {
    let input = json!({"plan": "yes"});
    let function = |_: usize, call: &BootstrapCall| {
        let error = Request::read(&call.input).expect_err("not understood");
        failed(1, error.name.as_str(), &error.message)
    };
    walk(&input, function, well)
}

fn starts_fail(action: &str, call: &Call) -> Option<&'static str> {
    match (action, call.state.as_str()) {
        ("startExecution", "JoinNodes") => Some("Sfn.ExecutionLimitExceededException"),
        ("startExecution", _) => Some("Sfn.ExecutionAlreadyExistsException"),
        _ => None,
    }
}

fn no_drift_check(action: &str, call: &Call) -> Option<&'static str> {
    (action == "startExecution" && call.state == "StartDriftCheck")
        .then_some("Sfn.StateMachineDoesNotExistException")
}

fn bus_fails(action: &str, _: &Call) -> Option<&'static str> {
    (action == "putEvents").then_some("EventBridge.InternalException")
}

fn of_another_release() -> Ending {
    let function = |_: usize, _: &BootstrapCall| {
        let mut reply = says(BootstrapOutcome::Ready, &[]);
        if let Ok(answer) = &mut reply.result {
            answer["Payload"]["outcome"] = json!("unheard-of");
        }
        reply
    };
    walk(&json!({}), function, well)
}

/// A walk for each way through.
pub(crate) fn all() -> Vec<Ending> {
    vec![
        walk(&json!({}), story(&["i-1", "i-2"]), well),
        walk(&json!({}), story(&[]), well),
        walk(&json!({}), story(&["i-1"]), starts_fail),
        walk(&json!({}), story(&[]), no_drift_check),
        walk(&json!({}), |_, _| says(BootstrapOutcome::Incomplete, &[]), well),
        walk(
            &json!({"plan": true}),
            |_, _| says(BootstrapOutcome::Planned, &[]),
            well,
        ),
        walk(
            &json!({}),
            |_, _| failed(1, "KubernetesRefused", "forbidden"),
            well,
        ),
        out_of_reach(),
        refused(),
        of_another_release(),
        walk(&json!({}), story(&[]), bus_fails),
    ]
}

#[test]
fn what_is_there_already_is_joined_and_then_waited_for() {
    let ending = walk(&json!({}), story(&["i-1", "i-2"]), well);
    ending.assert_outcome("ready", "what was seen");
    let started = ending.calls("startExecution");
    assert_eq!(started[0]["StateMachineArn"], "node-join");
    assert_eq!(
        started[0]["Input"],
        json!({"instanceIds": ["i-1", "i-2"]}).to_string()
    );
    assert_eq!(started[1]["StateMachineArn"], "drift-check");
    assert_eq!(started[1]["Input"], "{}");
    let joining: Vec<_> = ending
        .asked("bootstrap-cluster")
        .iter()
        .map(|payload| payload["joining"] == true)
        .collect();
    assert_eq!(joining, [false, false, true]);
    let output = ending.result.expect("succeeded");
    assert_eq!(output["joinExecution"], "node-join");
    assert_eq!(output["driftCheckExecution"], "drift-check");
}

#[test]
fn nothing_is_joined_where_nothing_has_to() {
    let ending = walk(&json!({}), story(&[]), well);
    let started = ending.calls("startExecution");
    assert_eq!(started.len(), 1);
    assert_eq!(started[0]["StateMachineArn"], "drift-check");
}

#[test]
fn what_was_verified_is_handed_to_the_next_call() {
    let ending = walk(&json!({}), story(&[]), well);
    let asked = ending.asked("bootstrap-cluster");
    assert_eq!(asked[0]["progress"], json!({"verified": []}));
    assert_eq!(asked[1]["progress"], json!({"verified": ["rights"]}));
}

#[test]
fn executions_that_cannot_be_started_are_told_and_end_nothing() {
    let ending = walk(&json!({}), story(&["i-1"]), starts_fail);
    let output = ending.result.expect("succeeded");
    let problem = "Sfn.ExecutionLimitExceededException: told to fail";
    assert_eq!(
        output["problems"],
        json!([problem]),
        "one that is there already is none"
    );
}

#[test]
fn a_cluster_that_is_out_of_reach_is_tried_again_until_the_time_is_over() {
    let ending = out_of_reach();
    assert!((1_800..2_000).contains(&ending.seconds), "{}", ending.seconds);
    let failure = ending.result.as_ref().expect_err("failed");
    assert_eq!(failure.error, "incomplete");
    assert!(
        failure.cause.contains("KubernetesUnavailable"),
        "{}",
        failure.cause
    );
    assert_eq!(ending.told()["outcome"], "incomplete");
}

#[test]
fn what_is_refused_ends_it_at_once_and_says_why() {
    let ending = walk(
        &json!({}),
        |_, _| failed(1, "KubernetesRefused", "forbidden"),
        well,
    );
    let failure = ending.result.as_ref().expect_err("failed");
    assert!(failure.cause.contains("forbidden"), "{}", failure.cause);
    assert!(ending.seconds < 60, "{}", ending.seconds);
}

#[test]
fn a_plan_starts_nothing_and_tells_nobody() {
    let ending = walk(
        &json!({"plan": true}),
        |_, _| says(BootstrapOutcome::Planned, &[]),
        well,
    );
    assert!(ending.calls("startExecution").is_empty());
    assert!(ending.calls("putEvents").is_empty());
    assert_eq!(ending.result.expect("succeeded")["outcome"], "planned");
}

#[test]
fn bad_input_is_refused_in_one_sentence() {
    let failure = refused().result.expect_err("refused");
    assert_eq!(failure.error, "InvalidInput");
    assert_eq!(failure.cause, "plan: \"yes\" is not true or false");
}
