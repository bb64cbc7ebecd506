//! Executions that are about several instances.

use serde_json::{Value, json};
use tidegate_domain::resolve::Direction;

use crate::account::{Account, INSTANCE};
use crate::drain::drain;
use crate::ending::Ending;
use crate::faults::Failure;
use crate::join::join;
use crate::scene::Scene;
use crate::walker::STATE_MACHINE;

const OTHER: &str = "i-0fedcba9876543210";
const EVENT: &str = "7bf73129-1428-4cd3-a780-95db273d1602";

fn scene(direction: Direction, input: Value) -> Scene {
    match direction {
        Direction::Join => join(input, Account::with_instance("InService")),
        Direction::Drain => drain(input, Account::with_instance("InService")),
    }
}

fn typed(direction: Direction) -> Scene {
    let input = json!({ "instanceIds": [INSTANCE, OTHER], "deadlineSeconds": 600 });
    scene(direction, input)
}

/// A Health event that affects both.
fn scheduled_change() -> Value {
    json!({
        "version": "0",
        "id": EVENT,
        "detail-type": "AWS Health Event",
        "source": "aws.health",
        "account": "123456789012",
        "time": "2026-11-23T10:00:00Z",
        "region": "us-west-2",
        "resources": [],
        "detail": {
            "service": "EC2",
            "eventTypeCode": "AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED",
            "eventTypeCategory": "scheduledChange",
            "statusCode": "upcoming",
            "affectedEntities": [{ "entityValue": INSTANCE }, { "entityValue": OTHER }],
        },
    })
}

fn refused(error: &str) -> Failure {
    Failure {
        error: error.to_owned(),
        cause: "said Step Functions".to_owned(),
    }
}

fn started(direction: Direction) -> Ending {
    typed(direction).play()
}

/// A drain of several instances.
pub(crate) fn drains() -> Ending {
    started(Direction::Drain)
}

/// Delivered a second time.
fn started_before() -> Ending {
    let there = |_| Some(refused("Sfn.ExecutionAlreadyExistsException"));
    scene(Direction::Drain, scheduled_change())
        .action("startExecution", there)
        .play()
}

fn one_not_started(direction: Direction) -> Ending {
    let fails = |before| (before > 0).then(|| refused("Sfn.ExecutionLimitExceededException"));
    typed(direction).action("startExecution", fails).play()
}

/// Its group may lose one of them only.
fn more_than_the_group_may_lose(input: Value) -> Ending {
    let account = Account {
        min_size: 2,
        ..Account::with_instance("InService")
    };
    drain(input, account).play()
}

/// A walk of each kind.
pub(crate) fn all() -> Vec<Ending> {
    let there = |_| Some(refused("Sfn.ExecutionAlreadyExistsException"));
    vec![
        started(Direction::Join),
        started(Direction::Drain),
        typed(Direction::Join).action("startExecution", there).play(),
        started_before(),
        one_not_started(Direction::Join),
        one_not_started(Direction::Drain),
    ]
}

#[test]
fn more_than_a_group_may_lose_is_refused() {
    let both = [INSTANCE, OTHER];
    let ending = more_than_the_group_may_lose(json!({ "instanceIds": both }));
    ending.assert_outcome(
        "refused",
        "group nvme-nodes may lose 1 instances (MinSize 2, DesiredCapacity 3)",
    );
    assert_eq!(ending.calls("startExecution"), [&Value::Null; 0]);
    for wish in ["terminate", "replace", "plan"] {
        let mut input = json!({ "instanceIds": both });
        input[wish] = json!(wish != "terminate");
        more_than_the_group_may_lose(input).assert_outcome("fanned-out", "an execution for each");
    }
}

#[test]
fn each_of_several_instances_gets_an_execution_with_an_input_as_a_person_types_it() {
    for direction in [Direction::Join, Direction::Drain] {
        let ending = started(direction);
        ending.assert_outcome("fanned-out", "2 instances");
        let starts = ending.calls("startExecution");
        for (start, instance) in starts.iter().zip([INSTANCE, OTHER]) {
            assert_eq!(start["StateMachineArn"], STATE_MACHINE);
            assert_eq!(start["Name"], format!("e-1-{instance}"));
            let input: Value = serde_json::from_str(start["Input"].as_str().expect("a text")).expect("JSON");
            assert_eq!(input, json!({ "instanceId": instance, "deadlineSeconds": 600 }));
        }
        assert_eq!(starts.len(), 2);
        assert_eq!(
            ending.asked("cordon-node").len() + ending.asked("label-node").len(),
            0
        );
        assert_eq!(ending.told()["instanceId"], Value::Null);
    }
}

#[test]
fn an_event_that_is_delivered_twice_starts_none_twice() {
    let ending = started_before();
    ending.assert_outcome("fanned-out", "2 instances");
    let starts = ending.calls("startExecution");
    let at: jiff::Timestamp = "2026-11-23T10:00:00Z".parse().expect("a time");
    assert_eq!(
        starts[0]["Name"],
        format!("turn-{}-{EVENT}-{INSTANCE}", at.as_second()),
        "the same each time"
    );
    assert_eq!(starts.len(), 2);
}

#[test]
fn the_instances_of_an_event_are_replaced_after_their_drain() {
    let ending = scene(Direction::Drain, scheduled_change()).play();
    for start in ending.calls("startExecution") {
        let input = start["Input"].as_str().expect("a text");
        assert!(input.contains(r#""replace":true"#), "{input}");
    }
}

#[test]
fn an_instance_whose_execution_cannot_be_started_is_named_and_the_others_are_started() {
    let ending = one_not_started(Direction::Drain);
    ending.assert_outcome("stalled", OTHER);
    ending.assert_outcome("stalled", "1 of 2");
    ending.assert_outcome("stalled", "Sfn.ExecutionLimitExceededException");
}
