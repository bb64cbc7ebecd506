//! Executions as the drift check starts them.

use serde_json::{Value, json};
use tidegate_domain::drift::Start;
use tidegate_domain::resolve::Direction;

use crate::account::{Account, INSTANCE};
use crate::drain::drain;
use crate::ending::Ending;

fn repaired(keeps_instance: bool) -> Ending {
    let start = Start {
        keeps_instance,
        ..Start::of(Direction::Drain, INSTANCE)
    };
    drain(start.input(), Account::with_instance("InService")).play()
}

fn terminations(ending: &Ending) -> Vec<&Value> {
    ending.calls("terminateInstanceInAutoScalingGroup")
}

#[test]
fn a_repair_leaves_a_group_as_large_as_it_was() {
    let ending = repaired(false);
    ending.assert_outcome("drained", "only copy");
    let ended = json!({ "InstanceId": INSTANCE, "ShouldDecrementDesiredCapacity": false });
    assert_eq!(terminations(&ending), [&ended]);
}

#[test]
fn a_repair_of_a_kept_instance_ends_nothing() {
    let ending = repaired(true);
    ending.assert_outcome("drained", "only copy");
    assert!(terminations(&ending).is_empty());
}

#[test]
fn a_repair_asks_for_nothing_itself() {
    for name in [
        "drift-drain-i-0123456789abcdef0-1",
        "leave-20261130-event-i-0123456789abcdef0",
    ] {
        let input = Start::of(Direction::Drain, INSTANCE).input();
        let ending = drain(input, Account::with_instance("InService"))
            .named(name)
            .play();
        assert_eq!(
            ending.asked("cordon-node")[0]["askedToTerminate"],
            Value::Null,
            "{name}"
        );
    }
}

#[test]
fn a_claim_learns_what_a_person_asked_for() {
    for (input, asked) in [
        (
            json!({ "instanceId": INSTANCE, "terminate": false }),
            json!(false),
        ),
        (json!({ "instanceId": INSTANCE, "terminate": true }), json!(true)),
        (json!({ "instanceId": INSTANCE, "terminate": null }), json!(true)),
        (json!({ "instanceId": INSTANCE }), json!(true)),
    ] {
        let ending = drain(input.clone(), Account::with_instance("InService")).play();
        assert_eq!(
            ending.asked("cordon-node")[0]["askedToTerminate"],
            asked,
            "{input}"
        );
    }
}
