//! Bad input by hand: each ends in a clear outcome or one clear sentence, and nothing is touched.

use serde_json::json;

use crate::world::{Group, Machine, TWO_DISKS, WITHOUT_DISKS, World};

const UNKNOWN: &str = "i-0123456789abcdef0";

#[tokio::test]
async fn what_is_not_json_is_refused_before_an_execution_begins() {
    let world = World::connect().await;
    for machine in [Machine::Join, Machine::Drain] {
        assert_eq!(
            world.start(machine, "i-1").await,
            Err("InvalidExecutionInput".to_owned())
        );
    }
}

#[tokio::test]
async fn bad_input_fails_with_one_sentence_that_names_field_value_and_expectation() {
    let world = World::connect().await;
    for (input, sentence) in [
        (
            json!({}),
            "instanceId: a missing value is not an event, or an object such as",
        ),
        (
            json!({"instanceId": "web-1"}),
            "instanceId: \"web-1\" is not an EC2 instance id",
        ),
        (
            json!({"instanceId": UNKNOWN, "deadlineSeconds": -1}),
            "deadlineSeconds: -1 is not a whole number",
        ),
    ] {
        let ended = world.run(Machine::Drain, &input, 60).await;
        assert_eq!(ended.error, "InvalidInput", "{ended:#?}");
        assert!(ended.cause.starts_with(sentence), "{ended:#?}");
        assert!(!ended.cause.contains('\n'), "{ended:#?}");
    }
}

#[tokio::test]
async fn an_instance_that_ec2_does_not_know_is_ignored() {
    let world = World::connect().await;
    for machine in [Machine::Join, Machine::Drain] {
        let ended = world.run(machine, &json!({"instanceId": UNKNOWN}), 60).await;
        assert!(
            ended.expect("ignored").reason().contains("unknown to EC2"),
            "{ended:#?}"
        );
    }
}

#[tokio::test]
async fn an_instance_that_was_terminated_is_ignored() {
    let group = Group::with_nodes("case-terminated", WITHOUT_DISKS, 1).await;
    let instance = group.in_service(1).await.remove(0);
    group.scale_to(0).await;
    group.has_left(&instance, 60).await;
    let ended = group
        .world
        .run(Machine::Drain, &json!({"instanceId": instance}), 60)
        .await;
    assert!(
        ended
            .expect("ignored")
            .reason()
            .contains("no NVMe instance store"),
        "{ended:#?}"
    );
    group.delete().await;
}

#[tokio::test]
async fn an_instance_of_another_group_is_ignored_and_left_alone() {
    // This group is none of those that the stack looks after.
    let group = Group::make("foreign-nodes", TWO_DISKS).await;
    group.scale_to(1).await;
    let instance = group.one_in("Pending:Wait", 30).await;
    for machine in [Machine::Join, Machine::Drain] {
        let ended = group
            .world
            .run(machine, &json!({"instanceId": instance}), 60)
            .await;
        assert!(
            ended.expect("ignored").reason().contains("foreign-nodes"),
            "{ended:#?}"
        );
    }
    assert_eq!(group.state(&instance).await.as_deref(), Some("Pending:Wait"));
    assert!(
        group.world.executions_for(Machine::Join, &instance).await.len() == 1,
        "only the one by hand"
    );
    group.delete().await;
}
