//! What is read from Step Functions and Auto Scaling for the drift check.

mod endpoint;

use endpoint::{Answer, Endpoint};
use serde_json::json;
use tidegate_aws::{GroupListing, Machines, StepFunctions};
use tidegate_domain::drift::{ExecutionsView, GroupsView, Memory};
use tidegate_domain::error::ErrorName;
use tidegate_domain::resolve::Direction;

const MACHINE: &str = "arn:aws:states:us-west-2:123456789012:stateMachine:tidegate-node";

fn step_functions(endpoint: &Endpoint) -> StepFunctions {
    let machines = Machines {
        join: format!("{MACHINE}-join"),
        drain: format!("{MACHINE}-drain"),
        check: format!("{MACHINE}-check"),
    };
    StepFunctions::new(&endpoint.configuration(), machines)
}

fn item(name: &str, started: i64, stopped: Option<i64>) -> serde_json::Value {
    let mut item = json!({
        "executionArn": format!("arn:{name}"), "stateMachineArn": MACHINE, "name": name, "status": "FAILED",
        "startDate": started,
    });
    if let Some(stopped) = stopped {
        item["stopDate"] = json!(stopped);
    }
    item
}

fn list(items: &[serde_json::Value], next: Option<&str>) -> Answer {
    let mut answer = json!({ "executions": items });
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    Answer::ok(&answer.to_string())
}

fn no_such_execution() -> Answer {
    Answer::With(
        400,
        r#"{"__type":"ExecutionDoesNotExist","message":"Execution Does Not Exist"}"#.into(),
    )
}

#[tokio::test]
async fn running_executions_are_listed_page_by_page_for_both_machines() {
    let endpoint = Endpoint::with([
        list(&[item("a", 0, None)], Some("more")),
        list(&[item("b", 0, None)], None),
        list(&[item("c", 0, None)], None),
    ]);
    let running = step_functions(&endpoint).running().await.expect("listed");
    let seen: Vec<_> = running
        .iter()
        .map(|one| (one.name.as_str(), one.direction))
        .collect();
    assert_eq!(
        seen,
        [
            ("a", Direction::Join),
            ("b", Direction::Join),
            ("c", Direction::Drain)
        ]
    );
    assert!(endpoint.requests()[1].contains(r#""nextToken":"more""#));
}

#[tokio::test]
async fn an_attempt_that_was_never_made_is_none_and_one_that_ended_says_how() {
    let ended = json!({
        "executionArn": "arn", "stateMachineArn": MACHINE, "status": "FAILED", "startDate": 1, "stopDate": 2,
    });
    let endpoint = Endpoint::with([no_such_execution(), Answer::ok(&ended.to_string())]);
    let machines = step_functions(&endpoint);
    assert_eq!(machines.attempt(Direction::Drain, "n").await, Ok(None));
    let attempt = machines
        .attempt(Direction::Drain, "n")
        .await
        .expect("asked")
        .expect("there");
    assert_eq!(attempt.status, "FAILED");
    assert_eq!(attempt.ended_at.map(jiff::Timestamp::as_second), Some(2));
    assert!(endpoint.requests()[0].contains(":execution:tidegate-node-drain:n"));
}

#[tokio::test]
async fn a_name_that_was_used_is_no_second_start() {
    let used = r#"{"__type":"ExecutionAlreadyExists","message":"Execution Already Exists"}"#;
    let endpoint = Endpoint::with([
        Answer::ok(r#"{"executionArn":"arn","startDate":1}"#),
        Answer::With(400, used.into()),
    ]);
    let machines = step_functions(&endpoint);
    let input = json!({"instanceId": "i-0123456789abcdef0"});
    assert_eq!(machines.start(Direction::Join, "n", &input).await, Ok(true));
    assert_eq!(machines.start(Direction::Join, "n", &input).await, Ok(false));
}

#[tokio::test]
async fn what_the_last_check_knew_is_read_from_its_output() {
    let output = json!({"memory": {"checkedAt": "2026-11-23T10:00:00Z", "known": []}}).to_string();
    let described = json!({
        "executionArn": "arn", "stateMachineArn": MACHINE, "status": "SUCCEEDED", "startDate": 1, "output": output,
    });
    let endpoint = Endpoint::with([
        list(&[item("a", 1, Some(2))], None),
        Answer::ok(&described.to_string()),
    ]);
    let memory = step_functions(&endpoint).memory().await.expect("read");
    assert_eq!(
        memory.checked_at,
        Some("2026-11-23T10:00:00Z".parse().expect("a time"))
    );
    let first = Endpoint::with([list(&[], None)]);
    assert_eq!(step_functions(&first).memory().await, Ok(Memory::default()));
}

#[tokio::test]
async fn groups_are_listed_page_by_page_and_one_that_does_not_exist_says_so() {
    let page = |name: &str, next: &str| {
        Answer::ok(&format!(
            "<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult><AutoScalingGroups><member>\
             <AutoScalingGroupName>{name}</AutoScalingGroupName><Instances><member><InstanceId>i-1</InstanceId>\
             <InstanceType>m5d.4xlarge</InstanceType><AvailabilityZone>a</AvailabilityZone>\
             <LifecycleState>Terminating:Retained</LifecycleState></member></Instances></member></AutoScalingGroups>\
             {next}</DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>"
        ))
    };
    let hooks = || {
        Answer::ok(
            "<DescribeLifecycleHooksResponse><DescribeLifecycleHooksResult><LifecycleHooks/>\
             </DescribeLifecycleHooksResult></DescribeLifecycleHooksResponse>",
        )
    };
    let endpoint = Endpoint::with([
        page("one", "<NextToken>more</NextToken>"),
        page("two", ""),
        hooks(),
        hooks(),
    ]);
    let names = ["one", "two", "three"].map(String::from);
    let groups = GroupListing::new(&endpoint.configuration())
        .groups(&names)
        .await
        .expect("listed");
    let seen: Vec<_> = groups
        .iter()
        .map(|group| (group.name.as_str(), group.exists))
        .collect();
    assert_eq!(seen, [("one", true), ("two", true), ("three", false)]);
    assert_eq!(groups[0].members[0].lifecycle_state, "Terminating:Retained");
    assert!(!groups[0].retains);
}

#[tokio::test]
async fn a_throttled_listing_is_unavailable() {
    let throttled = r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#;
    let endpoint = Endpoint::with([Answer::With(400, throttled.into())]);
    let error = step_functions(&endpoint).running().await.expect_err("throttled");
    assert_eq!(error.name, ErrorName::AwsUnavailable);
}
