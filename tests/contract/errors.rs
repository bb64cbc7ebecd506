//! The errors that functions answer are the ones that the state machines handle, and nothing that Lambda itself may
//! answer is left out.

use std::collections::BTreeSet;

use tidegate_domain::error::ErrorName;

use crate::definition::{State, machines};

/// Where the names stand.
const SOURCE: &str = "functions/shared/domain/src/error.rs";

/// What Lambda and Step Functions may answer in place of a function, that passes by itself:
/// - <https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception>
/// - an idle function in a VPC loses its network interface, and the calls until it has one again fail:
///   <https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html>
/// - the errors of a call: <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>
pub(crate) const LAMBDA_ERRORS: [&str; 14] = [
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.Unknown",
    "Lambda.ResourceNotReadyException",
    "Lambda.ResourceConflictException",
    "Lambda.ENILimitReachedException",
    "Lambda.SubnetIPAddressLimitReachedException",
    "Lambda.EC2ThrottledException",
    "Lambda.EC2UnexpectedException",
    "Sandbox.Timedout",
    "Runtime.ExitError",
];

/// For what a person typed.
const FOR_INPUT: &str = "InvalidInput";
/// The functions that read it.
const READ_INPUT: [&str; 4] = [
    "resolve-node",
    "check-drift",
    "bootstrap-cluster",
    "destroy-cluster",
];

/// Whether a name is one of AWS's or of Step Functions' own.
fn foreign(name: &str) -> bool {
    name.contains('.')
}

fn handled<'a>(state: &State<'a>) -> BTreeSet<&'a str> {
    let retried = state.errors("Retry").into_iter();
    retried.chain(state.errors("Catch")).collect()
}

#[test]
fn each_error_name_in_a_state_machine_is_one_that_functions_answer() {
    let known: BTreeSet<_> = ErrorName::ALL.iter().map(|name| name.as_str()).collect();
    for machine in machines() {
        for (_, state) in machine.function_tasks() {
            for name in handled(&state).into_iter().filter(|name| !foreign(name)) {
                assert!(
                    known.contains(name),
                    "{}: {} handles {name}, which is no name of {SOURCE}",
                    machine.file,
                    state.name
                );
            }
        }
    }
}

#[test]
fn each_error_name_of_the_functions_is_handled_by_every_task_that_can_meet_it() {
    for machine in machines() {
        for (function, state) in machine.function_tasks() {
            let caught: BTreeSet<_> = state.errors("Catch").into_iter().collect();
            for name in ErrorName::ALL.map(ErrorName::as_str) {
                // A call that another function cannot read was made by the state machine: the execution fails.
                if name == FOR_INPUT && !READ_INPUT.contains(&function.as_str()) {
                    continue;
                }
                assert!(
                    caught.contains(name),
                    "{}: {} must catch {name} of {SOURCE}",
                    machine.file,
                    state.name
                );
            }
        }
    }
}

#[test]
fn bad_input_is_not_tried_again() {
    for machine in machines() {
        for (_, state) in machine.function_tasks() {
            for name in [
                FOR_INPUT,
                "Defect",
                "KubernetesRefused",
                "AlluxioRefused",
                "AwsRefused",
            ] {
                assert!(
                    !state.errors("Retry").contains(&name),
                    "{}: {} tries again after {name}, which will be the same",
                    machine.file,
                    state.name
                );
            }
        }
    }
}

#[test]
fn whatever_passes_by_itself_is_tried_again_and_then_caught() {
    let ours = ErrorName::ALL.map(ErrorName::as_str).into_iter();
    let passing: Vec<_> = ours
        .filter(|name| name.ends_with("Unavailable"))
        .chain(LAMBDA_ERRORS)
        .chain(["States.Timeout"])
        .collect();
    for machine in machines() {
        for (_, state) in machine.function_tasks() {
            for name in &passing {
                for field in ["Retry", "Catch"] {
                    assert!(
                        state.errors(field).contains(name),
                        "{}: {field} of {} must name {name}",
                        machine.file,
                        state.name
                    );
                }
            }
        }
    }
}

#[test]
fn errors_are_handled_by_name() {
    for machine in machines() {
        for state in machine.states() {
            for name in handled(&state) {
                assert!(
                    !matches!(name, "States.ALL" | "States.TaskFailed"),
                    "{}: {} handles {name}, and with it what nobody has thought of",
                    machine.file,
                    state.name
                );
            }
        }
    }
}

/// What a task of an AWS service may answer: the service's modelled exceptions by name, every other as
/// `<Service>.<Service>Exception`, and what goes wrong on the way.
#[test]
fn a_call_of_aws_that_fails_does_not_end_the_execution() {
    for machine in machines() {
        for state in machine.states() {
            let resource = state.fields["Resource"].as_str().unwrap_or_default();
            let (service, more) = match resource.strip_prefix("arn:aws:states:::aws-sdk:") {
                Some("eventbridge:listRules") => {
                    ("EventBridge", vec!["EventBridge.ResourceNotFoundException"])
                }
                Some("eventbridge:enableRule" | "eventbridge:disableRule") => (
                    "EventBridge",
                    vec![
                        "EventBridge.ConcurrentModificationException",
                        "EventBridge.ManagedRuleException",
                        "EventBridge.ResourceNotFoundException",
                    ],
                ),
                Some("eventbridge:putEvents") => ("EventBridge", vec!["EventBridge.InternalException"]),
                Some("autoscaling:terminateInstanceInAutoScalingGroup") => (
                    "AutoScaling",
                    vec![
                        "AutoScaling.ResourceContentionException",
                        "AutoScaling.ScalingActivityInProgressException",
                    ],
                ),
                Some(action) if action.starts_with("autoscaling:") => {
                    ("AutoScaling", vec!["AutoScaling.ResourceContentionException"])
                }
                Some("sfn:startExecution") => (
                    "Sfn",
                    vec![
                        "Sfn.ExecutionAlreadyExistsException",
                        "Sfn.ExecutionLimitExceededException",
                        "Sfn.InvalidArnException",
                        "Sfn.InvalidExecutionInputException",
                        "Sfn.InvalidNameException",
                        "Sfn.KmsAccessDeniedException",
                        "Sfn.KmsInvalidStateException",
                        "Sfn.KmsThrottlingException",
                        "Sfn.StateMachineDeletingException",
                        "Sfn.StateMachineDoesNotExistException",
                        "Sfn.ValidationException",
                    ],
                ),
                Some("cloudformation:describeStacks") => ("CloudFormation", vec![]),
                Some("cloudformation:deleteStack") => (
                    "CloudFormation",
                    vec!["CloudFormation.TokenAlreadyExistsException"],
                ),
                Some("cloudwatchlogs:deleteLogGroup") => (
                    "CloudWatchLogs",
                    vec![
                        "CloudWatchLogs.InvalidParameterException",
                        "CloudWatchLogs.OperationAbortedException",
                        "CloudWatchLogs.ResourceNotFoundException",
                        "CloudWatchLogs.ServiceUnavailableException",
                    ],
                ),
                Some("lambda:updateFunctionConfiguration") => (
                    "Lambda",
                    vec![
                        "Lambda.CodeSigningConfigNotFoundException",
                        "Lambda.CodeVerificationFailedException",
                        "Lambda.InvalidCodeSignatureException",
                        "Lambda.InvalidParameterValueException",
                        "Lambda.PreconditionFailedException",
                        "Lambda.ResourceConflictException",
                        "Lambda.ResourceNotFoundException",
                        "Lambda.ServiceException",
                        "Lambda.TooManyRequestsException",
                    ],
                ),
                Some(other) => panic!("{}: which errors has {other}? Name them here", machine.file),
                None => continue,
            };
            let general = [
                format!("{service}.{service}Exception"),
                format!("{service}.SdkClientException"),
            ];
            let names = more
                .into_iter()
                .chain(general.iter().map(String::as_str))
                .chain(["States.Timeout"]);
            for name in names {
                assert!(
                    state.errors("Catch").contains(&name),
                    "{}: {} must catch {name}",
                    machine.file,
                    state.name
                );
            }
        }
    }
}
