//! Parts of one node, or of one execution, fail.

use crate::story::{drain, expect_joined};
use crate::world::{Group, Machine, TWO_DISKS, WITHOUT_DISKS, WriteType};

#[tokio::test]
async fn every_event_twice_is_the_same_as_once() {
    let group = Group::make("case-twice", TWO_DISKS).await;
    group.world.deliver_twice(group.name).await;
    group.scale_to(1).await;
    let instance = group.in_service(1).await.remove(0);
    expect_joined(&group, &instance, 2).await;
    let (_, host) = group.world.node_address(&instance).await;
    let file = group
        .world
        .write("/case-twice/cache", WriteType::MustCache, &host)
        .await;
    drain(&group, &instance).await;
    for (machine, done) in [(Machine::Join, "joined"), (Machine::Drain, "drained")] {
        let executions = group.world.executions_for(machine, &instance).await;
        let mut outcomes = Vec::new();
        for arn in executions {
            let ended = group.world.ended(&arn, 120).await;
            // The instance's end is told by changes of its state too.
            if ended.input.contains("LifecycleHookName") {
                outcomes.push(ended.outcome().to_owned());
            }
        }
        outcomes.sort();
        assert_eq!(outcomes, [done, "superseded"]);
    }
    group.world.expect_intact(&[file]).await;
    group.delete().await;
}

#[tokio::test]
async fn an_instance_that_never_became_a_node_is_let_go_at_once() {
    let group = Group::make("case-no-node", WITHOUT_DISKS).await;
    group.scale_to(1).await;
    let instance = group.in_service(1).await.remove(0);
    drain(&group, &instance).await.expect("ignored");
    group.delete().await;
}

#[tokio::test]
async fn a_worker_that_died_before_the_drain_comes_back_with_its_files_and_is_drained() {
    let group = Group::with_nodes("case-dead-worker", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (_, host) = group.world.node_address(instance).await;
    let file = group
        .world
        .write("/case-dead-worker/cache", WriteType::MustCache, &host)
        .await;
    group.world.kill_container(instance, "alluxio-worker").await;
    drain(&group, instance).await.expect("drained");
    group.world.expect_intact(&[file]).await;
    group.delete().await;
}

#[tokio::test]
async fn a_node_that_is_gone_before_the_drain_begins_holds_up_nothing() {
    let group = Group::with_nodes("case-node-gone", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (node, _) = group.world.node_address(instance).await;
    group.world.crash(instance).await;
    group.world.delete_node(&node).await;
    let execution = drain(&group, instance).await;
    assert_eq!(
        execution.expect("drained").seen("drainCache")["outcome"],
        "absent",
        "{execution:#?}"
    );
    assert!(
        execution.reason().contains("has no Node object"),
        "{execution:#?}"
    );
    group.delete().await;
}
