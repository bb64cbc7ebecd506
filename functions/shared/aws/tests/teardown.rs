//! What taking a cluster away asks of Auto Scaling and Step Functions.

#![allow(clippy::expect_used, reason = "part of tests")]

mod endpoint;

use endpoint::{Answer, Endpoint};
use tidegate_aws::{GroupListing, OtherMachines};
use tidegate_domain::destroy::{GroupHooks, OwnExecutions};
use tidegate_domain::error::ErrorName;

#[tokio::test]
async fn a_hook_is_taken_off_and_one_that_is_not_there_is_off() {
    let endpoint = Endpoint::with([
        Answer::ok("<DeleteLifecycleHookResponse/>"),
        Answer::query_error(400, "ValidationError"),
        Answer::query_error(403, "AccessDenied"),
    ]);
    let groups = GroupListing::new(&endpoint.configuration());
    assert_eq!(groups.delete_hook("nvme", "drain").await, Ok(()));
    assert_eq!(groups.delete_hook("nvme", "drain").await, Ok(()));
    let error = groups.delete_hook("nvme", "drain").await.expect_err("refused");
    assert_eq!(error.name, ErrorName::AwsRefused);
    let request = &endpoint.requests()[0];
    for part in [
        "Action=DeleteLifecycleHook",
        "AutoScalingGroupName=nvme",
        "LifecycleHookName=drain",
    ] {
        assert!(request.contains(part), "{part}: {request}");
    }
}

#[tokio::test]
async fn the_executions_that_run_are_told_of_every_machine() {
    let running = |arn: &str| {
        Answer::ok(&format!(
            "{{\"executions\": [{{\"executionArn\": \"{arn}\", \"stateMachineArn\": \"m\", \"name\": \"n\", \
             \"status\": \"RUNNING\", \"startDate\": 1.0}}]}}"
        ))
    };
    let endpoint = Endpoint::with([running("arn:join"), Answer::ok("{\"executions\": []}")]);
    let machines = OtherMachines::new(&endpoint.configuration(), vec!["join".into(), "drain".into()]);
    assert_eq!(machines.running().await, Ok(vec!["arn:join".to_owned()]));
    let requests = endpoint.requests();
    assert!(requests[0].contains("\"stateMachineArn\":\"join\"") && requests[0].contains("RUNNING"));
    assert!(requests[1].contains("\"stateMachineArn\":\"drain\""));
}
