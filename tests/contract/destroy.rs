//! The state machine that takes a cluster away, walked.

use destroy_cluster::{DestroyCall, Facts, Foresight, Stage};
use serde_json::{Value, json};
use tidegate_domain::destroy::Request;
use tidegate_domain::outcome::{Answer, DestroyOutcome};
use tidegate_lambda::Call as FunctionCall;

use crate::definition::cluster_destroy;
use crate::ending::Ending;
use crate::faults::Failure;
use crate::scene::{answered, failed, substitutions};
use crate::walker::{Call, Reply, World};

const STACK: &str = "prod-cluster";
const ROLE: &str = "arn:aws:iam::123456789012:role/deletion";
const NO_STACK: &str =
    "Stack with id prod-cluster does not exist (Service: CloudFormation, Status Code: 400)";

/// What the function answers, by how many calls came before.
type Function = Box<dyn Fn(usize, &DestroyCall) -> Reply>;
/// Which error an action of AWS meets, by how many calls of it came before; none where it succeeds.
type Action = fn(&str, usize) -> Option<(&'static str, &'static str)>;

/// An account with the cluster's stack.
struct Account {
    function: Function,
    action: Action,
    /// What `DescribeStacks` tells, one after the other; the last for ever. `GONE`: there is none.
    stack: Vec<(&'static str, bool)>,
    calls: std::collections::BTreeMap<String, usize>,
}

impl World for Account {
    fn answer(&mut self, call: &Call) -> Reply {
        let (_, action) = call.resource.rsplit_once(':').expect("a resource");
        let count = self.calls.entry(action.to_owned()).or_default();
        let before = *count;
        *count += 1;
        if action == "invoke" {
            let payload = &call.arguments["Payload"];
            let call: DestroyCall = FunctionCall::read(payload).expect("destroy-cluster reads its call");
            return (self.function)(before, &call);
        }
        let fails = |(error, cause): (&str, &str)| {
            let (error, cause) = (error.to_owned(), cause.to_owned());
            Reply {
                seconds: 1,
                result: Err(Failure { error, cause }),
            }
        };
        if let Some(failure) = (self.action)(action, before) {
            return fails(failure);
        }
        let result = match action {
            "describeStacks" => {
                let last = self.stack.len() - 1;
                match self.stack[before.min(last)] {
                    ("GONE", _) => return fails(("CloudFormation.CloudFormationException", NO_STACK)),
                    (status, ours) => {
                        let mut stack = json!({"StackName": STACK, "StackStatus": status});
                        if ours {
                            stack["RoleARN"] = json!(ROLE);
                        }
                        if status == "DELETE_FAILED" {
                            stack["StackStatusReason"] = json!("the subnet has dependencies");
                        }
                        json!({"Stacks": [stack]})
                    }
                }
            }
            "deleteStack" | "disableRule" | "deleteLogGroup" => json!({}),
            "updateFunctionConfiguration" => json!({"LastUpdateStatus": "InProgress"}),
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
    stack: &[(&'static str, bool)],
    function: impl Fn(usize, &DestroyCall) -> Reply + 'static,
    action: Action,
) -> Ending {
    let machine = cluster_destroy();
    let mut substitutions = substitutions(&machine);
    let name = if stack.is_empty() { "" } else { STACK };
    for (key, value) in [
        ("DestroyLimitSeconds", "14400"),
        ("ClusterName", "prod"),
        ("ClusterStackName", name),
        ("ClusterDeletionRoleArn", ROLE),
        ("RulePrefix", "tidegate-"),
        (
            "NetworkedFunctions",
            "tidegate-check-drift,tidegate-destroy-cluster",
        ),
    ] {
        substitutions.insert(key.into(), json!(value));
    }
    let mut world = Account {
        function: Box::new(function),
        action,
        stack: stack.to_vec(),
        calls: std::collections::BTreeMap::new(),
    };
    Ending::of(&machine, &substitutions, input, &mut world)
}

fn confirmed() -> Value {
    json!({"cluster": "prod", "confirm": "prod"})
}

const fn well(_: &str, _: usize) -> Option<(&'static str, &'static str)> {
    None
}

fn says(outcome: DestroyOutcome) -> Reply {
    let mut facts = Facts {
        changed: vec!["hook tidegate-node-join is off group nvme".into()],
        ..Facts::default()
    };
    if matches!(
        outcome,
        DestroyOutcome::Planned | DestroyOutcome::Foreseen | DestroyOutcome::Refused
    ) {
        facts.plan = Some(Foresight {
            caches: 3,
            would: vec!["delete Namespace alluxio".into()],
            ..Foresight::default()
        });
    }
    let mut answer = Answer::new(outcome, "what was seen", facts);
    if outcome == DestroyOutcome::Waiting {
        answer.retry_after_seconds = Some(5);
    }
    answered(2, &answer)
}

/// Foreseen, emptied after one wait, and then nothing is left.
fn story(before: usize, call: &DestroyCall) -> Reply {
    match (call.stage, before) {
        (Stage::Plan, _) => says(DestroyOutcome::Foreseen),
        (Stage::Empty, 1) => says(DestroyOutcome::Waiting),
        (Stage::Empty, _) => says(DestroyOutcome::Emptied),
        (Stage::Prove, _) => says(DestroyOutcome::Destroyed),
    }
}

const WHOLE: [(&str, bool); 4] = [
    ("CREATE_COMPLETE", false),
    ("CREATE_COMPLETE", false),
    ("DELETE_IN_PROGRESS", true),
    ("GONE", false),
];

fn whole() -> Ending {
    walk(&confirmed(), &WHOLE, story, well)
}

/// An execution was cut off after the deletion of the stack began.
fn taken_up_again() -> Ending {
    let stack = [
        ("DELETE_IN_PROGRESS", true),
        ("DELETE_IN_PROGRESS", true),
        ("DELETE_FAILED", true),
        ("GONE", false),
    ];
    let function = |_: usize, call: &DestroyCall| {
        let seen = call.stack.as_ref().expect("the stack");
        match call.stage {
            Stage::Plan if seen.going() => says(DestroyOutcome::Emptied),
            Stage::Prove if seen.gone() => says(DestroyOutcome::Destroyed),
            other => panic!("{other:?} with {seen:?}"),
        }
    };
    walk(&confirmed(), &stack, function, well)
}

fn stack_gone_before() -> Ending {
    let function = |_: usize, call: &DestroyCall| match call.stage {
        Stage::Plan => says(DestroyOutcome::Emptied),
        _ => says(DestroyOutcome::Destroyed),
    };
    walk(&confirmed(), &[("GONE", false)], function, well)
}

fn of_somebody_else() -> Ending {
    walk(&confirmed(), &[], story, well)
}

fn ends_as(outcome: DestroyOutcome) -> Ending {
    walk(&confirmed(), &WHOLE, move |_, _| says(outcome), well)
}

fn plan() -> Ending {
    let input = json!({"cluster": "prod", "plan": true});
    walk(&input, &WHOLE, |_, _| says(DestroyOutcome::Planned), well)
}

fn stack_that_stays() -> Ending {
    let stack = [("CREATE_COMPLETE", false), ("DELETE_FAILED", true)];
    walk(&confirmed(), &stack, story, well)
}

fn out_of_reach() -> Ending {
    let function = |_: usize, _: &DestroyCall| failed(1, "KubernetesUnavailable", "no answer");
    walk(&confirmed(), &WHOLE, function, well)
}

fn refused_by_a_neighbour() -> Ending {
    let function = |_: usize, _: &DestroyCall| failed(1, "KubernetesRefused", "forbidden");
    walk(&confirmed(), &WHOLE, function, well)
}

fn not_understood() -> Ending {
    let function = |_: usize, call: &DestroyCall| {
        let error = Request::read(&call.input, "prod").expect_err("not understood");
        failed(1, error.name.as_str(), &error.message)
    };
    walk(&json!({"cluster": "dev"}), &WHOLE, function, well)
}

fn actions_fail(action: &str, _: usize) -> Option<(&'static str, &'static str)> {
    match action {
        "disableRule" => Some(("EventBridge.ResourceNotFoundException", "told to fail")),
        "updateFunctionConfiguration" => Some(("Lambda.ResourceNotFoundException", "told to fail")),
        "deleteLogGroup" => Some(("CloudWatchLogs.OperationAbortedException", "told to fail")),
        _ => None,
    }
}

fn no_logs(action: &str, before: usize) -> Option<(&'static str, &'static str)> {
    match (action, before) {
        ("deleteLogGroup", _) => Some(("CloudWatchLogs.ResourceNotFoundException", "no such group")),
        ("deleteStack", 0) => Some(("CloudFormation.TokenAlreadyExistsException", "told to fail")),
        _ => None,
    }
}

fn cloudformation_away(action: &str, _: usize) -> Option<(&'static str, &'static str)> {
    (action == "describeStacks").then_some(("CloudFormation.CloudFormationException", "Rate exceeded"))
}

fn bus_fails(action: &str, _: usize) -> Option<(&'static str, &'static str)> {
    (action == "putEvents").then_some(("EventBridge.InternalException", "told to fail"))
}

fn of_another_release() -> Ending {
    let function = |_: usize, _: &DestroyCall| {
        let mut reply = says(DestroyOutcome::Destroyed);
        if let Ok(answer) = &mut reply.result {
            answer["Payload"]["outcome"] = json!("unheard-of");
        }
        reply
    };
    walk(&confirmed(), &WHOLE, function, well)
}

/// A walk for each way through.
pub(crate) fn all() -> Vec<Ending> {
    vec![
        whole(),
        taken_up_again(),
        stack_gone_before(),
        of_somebody_else(),
        ends_as(DestroyOutcome::Refused),
        ends_as(DestroyOutcome::Incomplete),
        plan(),
        stack_that_stays(),
        out_of_reach(),
        refused_by_a_neighbour(),
        not_understood(),
        walk(&confirmed(), &WHOLE, story, actions_fail),
        walk(&confirmed(), &WHOLE, story, no_logs),
        walk(&confirmed(), &WHOLE, story, cloudformation_away),
        walk(&confirmed(), &WHOLE, story, bus_fails),
        of_another_release(),
    ]
}

fn stages(ending: &Ending) -> Vec<&str> {
    let asked = ending.asked("destroy-cluster").into_iter();
    asked.filter_map(|payload| payload["stage"].as_str()).collect()
}

#[test]
fn the_plan_is_told_before_anything_is_touched() {
    let ending = whole();
    ending.assert_outcome("destroyed", "what was seen");
    let told = ending.calls("putEvents");
    assert_eq!(told.len(), 2);
    assert_eq!(told[0]["Entries"][0]["DetailType"], "Cluster Destroy Plan");
    let detail = told[0]["Entries"][0]["Detail"].as_str().expect("a text");
    assert!(detail.contains("delete Namespace alluxio"), "{detail}");
    let place = |state: &str| ending.trace.states.iter().position(|other| other == state);
    assert!(place("TellPlan") < place("DisableRule"));
    assert_eq!(stages(&ending), ["plan", "empty", "empty", "prove"]);
    let output = ending.result.expect("succeeded");
    assert_eq!(output["plan"]["caches"], 3, "the plan stays in the output");
    assert_eq!(output["changed"].as_array().map(Vec::len), Some(4));
}

#[test]
fn rules_that_would_bring_things_back_are_quiet_before_the_cluster_is_emptied() {
    let ending = whole();
    let rules: Vec<_> = ending
        .calls("disableRule")
        .iter()
        .filter_map(|arguments| arguments["Name"].as_str())
        .collect();
    assert_eq!(
        rules,
        [
            "tidegate-node-launching",
            "tidegate-drift-check",
            "tidegate-stack-completed"
        ]
    );
}

#[test]
fn the_stack_goes_by_its_role_once_the_cluster_is_empty_and_the_functions_leave_its_network() {
    let ending = whole();
    let deleted = ending.calls("deleteStack");
    assert_eq!(deleted, [&json!({"StackName": STACK, "RoleARN": ROLE})]);
    let detached = ending.calls("updateFunctionConfiguration");
    let nowhere = json!({"SubnetIds": [], "SecurityGroupIds": []});
    assert_eq!(detached.len(), 2);
    assert!(detached.iter().all(|arguments| arguments["VpcConfig"] == nowhere));
    assert_eq!(
        ending.calls("deleteLogGroup"),
        [&json!({"LogGroupName": "/aws/eks/prod/cluster"})]
    );
}

#[test]
fn one_that_was_cut_off_goes_on_with_the_stack_and_tries_again_where_it_failed() {
    let ending = taken_up_again();
    ending.assert_outcome("destroyed", "what was seen");
    assert_eq!(stages(&ending), ["plan", "prove"]);
    assert!(ending.calls("disableRule").is_empty());
    assert_eq!(ending.calls("deleteStack").len(), 2);
    assert_eq!(
        ending.calls("updateFunctionConfiguration").len(),
        2,
        "each leaves the network once"
    );
}

#[test]
fn where_the_stack_was_gone_before_only_the_proof_is_left() {
    let ending = stack_gone_before();
    ending.assert_outcome("destroyed", "what was seen");
    assert!(ending.calls("deleteStack").is_empty());
    assert_eq!(stages(&ending), ["plan", "prove"]);
}

#[test]
fn a_cluster_of_somebody_else_is_emptied_and_stays() {
    let ending = of_somebody_else();
    ending.assert_outcome("destroyed", "what was seen");
    for action in [
        "describeStacks",
        "deleteStack",
        "updateFunctionConfiguration",
        "deleteLogGroup",
    ] {
        assert!(ending.calls(action).is_empty(), "{action}");
    }
}

#[test]
fn a_destroy_that_would_lose_something_touches_nothing_and_fails() {
    let ending = ends_as(DestroyOutcome::Refused);
    ending.assert_outcome("refused", "what was seen");
    for action in ["disableRule", "deleteStack", "updateFunctionConfiguration"] {
        assert!(ending.calls(action).is_empty(), "{action}");
    }
}

#[test]
fn a_plan_touches_nothing_and_tells_nobody() {
    let ending = plan();
    for action in ["disableRule", "deleteStack", "putEvents"] {
        assert!(ending.calls(action).is_empty(), "{action}");
    }
    let output = ending.result.expect("succeeded");
    assert_eq!(output["outcome"], "planned");
    assert_eq!(output["plan"]["would"], json!(["delete Namespace alluxio"]));
}

#[test]
fn a_stack_that_cannot_be_deleted_is_given_up_with_its_reason() {
    let ending = stack_that_stays();
    ending.assert_outcome("incomplete", "the subnet has dependencies");
    assert_eq!(ending.calls("deleteStack").len(), 8);
}

#[test]
fn what_cannot_be_switched_off_is_told_and_ends_nothing() {
    let ending = walk(&confirmed(), &WHOLE, story, actions_fail);
    let output = ending.result.expect("succeeded");
    let problems = output["problems"].as_array().expect("problems");
    assert_eq!(problems.len(), 6, "{problems:#?}");
    assert!(
        problems[0]
            .as_str()
            .is_some_and(|one| one.starts_with("tidegate-node-launching: "))
    );
}

#[test]
fn logs_that_are_gone_already_are_no_problem() {
    let ending = walk(&confirmed(), &WHOLE, story, no_logs);
    let output = ending.result.expect("succeeded");
    assert_eq!(
        output["problems"],
        json!(["CloudFormation.TokenAlreadyExistsException: told to fail"])
    );
}

#[test]
fn a_cluster_or_a_cloudformation_out_of_reach_is_tried_again_until_the_time_is_over() {
    for (ending, least) in [
        (out_of_reach(), 14_400),
        (walk(&confirmed(), &WHOLE, story, cloudformation_away), 14_400),
    ] {
        assert!(
            (least..least + 7_500).contains(&ending.seconds),
            "{}",
            ending.seconds
        );
        ending.assert_outcome("incomplete", "");
    }
}

#[test]
fn what_is_refused_ends_it_at_once_and_says_why() {
    let ending = refused_by_a_neighbour();
    let failure = ending.result.as_ref().expect_err("failed");
    assert!(failure.cause.contains("forbidden"), "{}", failure.cause);
    assert!(ending.seconds < 60, "{}", ending.seconds);
}

#[test]
fn bad_input_is_refused_in_one_sentence() {
    let failure = not_understood().result.expect_err("refused");
    assert_eq!(failure.error, "InvalidInput");
    assert_eq!(
        failure.cause,
        "cluster: \"dev\" is not \"prod\", the cluster that these functions look after"
    );
}
