//! What is read from Step Functions' description of an execution.

mod endpoint;

use endpoint::{Answer, Endpoint};
use tidegate_aws::RunningExecutions;
use tidegate_domain::error::{ErrorName, Result};
use tidegate_domain::ports::{Executions, Run};

const ARN: &str = "arn:aws:states:us-west-2:123456789012:execution:tidegate-node-drain:e-1";

fn described(status: &str) -> Answer {
    Answer::ok(&format!(
        r#"{{"executionArn":"{ARN}","stateMachineArn":"arn:aws:states:us-west-2:123456789012:stateMachine:tidegate-node-drain",
            "name":"e-1","status":"{status}","startDate":1.795e9}}"#
    ))
}

fn refused(code: &str) -> Answer {
    Answer::With(
        400,
        format!(r#"{{"__type":"{code}","message":"{code} it says"}}"#),
    )
}

async fn running(answer: Answer) -> Result<bool> {
    let endpoint = Endpoint::with([answer]);
    let running = RunningExecutions::new(&endpoint.configuration())
        .running(ARN)
        .await;
    let request = endpoint.requests().concat();
    assert!(
        request.contains("AWSStepFunctions.DescribeExecution") && request.contains(ARN),
        "{request}"
    );
    running
}

#[tokio::test]
async fn an_execution_runs_until_it_has_ended() {
    for (status, runs) in [
        ("RUNNING", true),
        ("PENDING_REDRIVE", true),
        ("SUCCEEDED", false),
        ("FAILED", false),
        ("TIMED_OUT", false),
        ("ABORTED", false),
    ] {
        assert_eq!(running(described(status)).await, Ok(runs), "{status}");
    }
}

#[tokio::test]
async fn an_execution_that_succeeded_tells_its_outcome() {
    for (output, run) in [
        (
            r#"{\"outcome\":\"drained\",\"seen\":{}}"#,
            Run::Succeeded("drained".into()),
        ),
        ("[]", Run::Over),
        ("", Run::Over),
    ] {
        let answer = Answer::ok(&format!(
            r#"{{"executionArn":"{ARN}","stateMachineArn":"m","startDate":1,"status":"SUCCEEDED","output":"{output}"}}"#
        ));
        let endpoint = Endpoint::with([answer]);
        let found = RunningExecutions::new(&endpoint.configuration()).run(ARN).await;
        assert_eq!(found, Ok(run), "{output}");
    }
}

#[tokio::test]
async fn an_execution_that_step_functions_knows_no_more_does_not_run() {
    assert_eq!(running(refused("ExecutionDoesNotExist")).await, Ok(false));
}

#[tokio::test]
async fn what_step_functions_will_not_or_cannot_say_is_an_error() {
    for (answer, name) in [
        (refused("AccessDeniedException"), ErrorName::AwsRefused),
        (refused("ThrottlingException"), ErrorName::AwsUnavailable),
        (Answer::With(503, "{}".into()), ErrorName::AwsUnavailable),
    ] {
        let error = running(answer.clone()).await.expect_err("an error");
        assert_eq!(error.name, name, "{answer:?}: {error}");
        assert!(error.message.starts_with("states:DescribeExecution: "), "{error}");
    }
}
