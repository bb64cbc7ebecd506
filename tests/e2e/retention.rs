//! A drain that cannot finish. Each takes the under store of the whole world away: these run alone.

use serde_json::json;

use crate::world::{ClusterAutoscaler, Group, Machine, TWO_DISKS, WriteType};

#[tokio::test]
async fn a_drain_waits_for_an_under_store_that_refuses_writes_for_a_while() {
    let group = Group::with_nodes("case-store-back", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (_, host) = group.world.node_address(instance).await;
    let file = group
        .world
        .write("/case-store-back/cache", WriteType::MustCache, &host)
        .await;
    let outage = group.world.under_store_refuses();
    group.terminate(instance).await;
    group.reaches(instance, "Terminating:Wait", 30).await;
    group.world.pass(20).await;
    assert_eq!(group.state(instance).await.as_deref(), Some("Terminating:Wait"));
    outage.end();
    group.has_left(instance, 240).await;
    group
        .world
        .ended_for(Machine::Drain, instance, 30)
        .await
        .expect("drained");
    group.world.expect_intact(&[file]).await;
    group.delete().await;
}

#[tokio::test]
async fn an_instance_whose_drain_gives_up_is_retained_and_a_later_drain_by_hand_ends_it() {
    let group = Group::with_nodes("case-retained", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (_, host) = group.world.node_address(instance).await;
    let file = group
        .world
        .write("/case-retained/cache", WriteType::MustCache, &host)
        .await;
    let outage = group.world.under_store_refuses();
    group.terminate(instance).await;
    group.reaches(instance, "Terminating:Retained", 300).await;
    let execution = group.world.ended_for(Machine::Drain, instance, 30).await;
    execution.expect("retained");
    assert!(
        execution.reason().contains("/case-retained/cache"),
        "{execution:#?}"
    );
    assert_eq!(
        execution.seen("drainCache")["bytesLeft"],
        4_194_304,
        "{execution:#?}"
    );
    outage.end();
    // A retained instance that is named again is ended at once, without a hook.
    assert!(
        !ClusterAutoscaler(&group).may_choose(instance).await,
        "Cluster Autoscaler may end it"
    );
    group.world.expect_intact(std::slice::from_ref(&file)).await;
    group
        .world
        .run(Machine::Drain, &json!({"instanceId": instance}), 240)
        .await
        .expect("drained");
    group.has_left(instance, 120).await;
    group.world.expect_intact(&[file]).await;
    group.delete().await;
}

/// Somebody abandons the hook while a file is only in the cache. The drain sees that the group keeps the instance.
#[tokio::test]
async fn a_hook_abandoned_by_somebody_is_retained() {
    let group = Group::with_nodes("case-hook-abandoned", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (_, host) = group.world.node_address(instance).await;
    let path = "/case-hook-abandoned/cache";
    let file = group.world.write(path, WriteType::MustCache, &host).await;
    let outage = group.world.under_store_refuses();
    group.terminate(instance).await;
    group.reaches(instance, "Terminating:Wait", 30).await;
    group
        .world
        .autoscaling
        .complete_lifecycle_action()
        .auto_scaling_group_name(group.name)
        .lifecycle_hook_name("tidegate-node-drain")
        .instance_id(instance)
        .lifecycle_action_result("ABANDON")
        .send()
        .await
        .expect("CompleteLifecycleAction");
    let execution = group.world.ended_for(Machine::Drain, instance, 120).await;
    outage.end();
    let reason = execution.expect("retained").reason();
    assert!(reason.contains(path), "{execution:#?}");
    assert!(reason.contains("the group keeps the instance"), "{execution:#?}");
    let again = json!({"instanceId": instance});
    group
        .world
        .run(Machine::Drain, &again, 240)
        .await
        .expect("drained");
    group.has_left(instance, 120).await;
    group.world.expect_intact(&[file]).await;
    group.delete().await;
}
