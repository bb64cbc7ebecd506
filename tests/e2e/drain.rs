//! A node leaves.

use serde_json::json;

use crate::story::{drain, expect_gone, expect_joined};
use crate::world::{ClusterAutoscaler, Group, Machine, TWO_DISKS, WriteType, eventually};

#[tokio::test]
async fn a_node_that_holds_nothing_leaves_with_its_worker_and_its_volumes() {
    let group = Group::with_nodes("case-clean-drain", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (_, host) = group.world.node_address(instance).await;
    let execution = drain(&group, instance).await;
    execution.expect("drained");
    assert_eq!(
        execution.seen("retireWorker")["outcome"],
        "retired",
        "{execution:#?}"
    );
    assert_eq!(
        execution.seen("retireWorker")["deletedVolumes"]
            .as_array()
            .map(Vec::len),
        Some(2),
        "{execution:#?}"
    );
    expect_gone(&group, instance, &host).await;
    group.delete().await;
}

#[tokio::test]
async fn files_whose_only_copy_is_on_the_node_outlive_it() {
    let group = Group::with_nodes("case-only-copy", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (_, host) = group.world.node_address(instance).await;
    let mut files = Vec::new();
    for (name, write_type) in [
        ("cache", WriteType::MustCache),
        ("async", WriteType::AsyncThrough),
        ("through", WriteType::CacheThrough),
    ] {
        files.push(
            group
                .world
                .write(&format!("/case-only-copy/{name}"), write_type, &host)
                .await,
        );
    }
    let execution = drain(&group, instance).await;
    execution.expect("drained");
    assert_eq!(
        execution.seen("drainCache")["persistedFiles"],
        2,
        "{execution:#?}"
    );
    assert_eq!(
        execution.seen("drainCache")["persistedBytes"],
        2 * 4_194_304,
        "{execution:#?}"
    );
    group.world.expect_intact(&files).await;
    expect_gone(&group, instance, &host).await;
    group.delete().await;
}

#[tokio::test]
async fn a_file_that_is_never_persisted_gets_its_copy_on_another_worker() {
    let group = Group::with_nodes("case-replicate", TWO_DISKS, 2).await;
    let instance = &group.in_service(2).await[0];
    let (_, host) = group.world.node_address(instance).await;
    let file = group
        .world
        .write("/case-replicate/_temporary/part-0", WriteType::MustCache, &host)
        .await;
    let execution = drain(&group, instance).await;
    execution.expect("drained");
    assert_eq!(
        execution.seen("drainCache")["replicatedFiles"],
        1,
        "{execution:#?}"
    );
    group.world.expect_intact(&[file]).await;
    group.delete().await;
}

#[tokio::test]
async fn started_by_hand_a_drain_ends_the_instance_and_nothing_replaces_it() {
    let group = Group::with_nodes("case-by-hand-drain", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (_, host) = group.world.node_address(instance).await;
    let file = group
        .world
        .write("/case-by-hand-drain/cache", WriteType::MustCache, &host)
        .await;
    group
        .world
        .run(Machine::Drain, &json!({"instanceId": instance}), 180)
        .await
        .expect("drained");
    group.has_left(instance, 120).await;
    group.world.expect_intact(&[file]).await;
    assert_eq!(group.instances().await, vec![]);
    group.delete().await;
}

/// Auto Scaling would refuse to end the instance, and only after its drain.
#[tokio::test]
async fn a_group_at_its_minimum_keeps_its_cache() {
    let group = Group::with_nodes("case-minimum", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    group.keep_at_least(1).await;
    let refused = group
        .world
        .run(Machine::Drain, &json!({"instanceId": instance}), 60)
        .await;
    assert_eq!(refused.error, "refused", "{refused:#?}");
    assert!(refused.cause.contains("MinSize 1"), "{refused:#?}");
    assert!(!group.world.cordoned(instance).await, "nothing was touched");
    let plan = json!({"instanceId": instance, "plan": true});
    let planned = group.world.run(Machine::Drain, &plan, 60).await;
    assert!(
        planned.expect("planned").reason().contains("MinSize 1"),
        "{planned:#?}"
    );
    group
        .world
        .run(
            Machine::Drain,
            &json!({"instanceId": instance, "replace": true}),
            180,
        )
        .await
        .expect("drained");
    group.has_left(instance, 120).await;
    assert_eq!(group.desired_capacity().await, 1, "it is replaced");
    group.keep_at_least(0).await;
    group.delete().await;
}

#[tokio::test]
async fn a_drain_by_hand_that_leaves_the_instance_is_undone_by_a_join_only_once_its_mark_is_gone() {
    let group = Group::with_nodes("case-keep-instance", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let input = json!({"instanceId": instance, "terminate": false});
    group
        .world
        .run(Machine::Drain, &input, 180)
        .await
        .expect("drained");
    assert_eq!(group.state(instance).await.as_deref(), Some("InService"));
    assert!(group.world.cordoned(instance).await);
    let autoscaler = ClusterAutoscaler(&group);
    assert!(!autoscaler.may_choose(instance).await, "it is kept on purpose");
    assert_eq!(group.world.volumes(instance).await, vec![]);
    let join = json!({"instanceId": instance});
    let refused = group.world.run(Machine::Join, &join, 60).await;
    refused.expect("superseded");
    assert!(group.world.cordoned(instance).await);
    group.world.take_back(instance).await;
    group.world.run(Machine::Join, &join, 240).await.expect("joined");
    expect_joined(&group, instance, 2).await;
    assert!(autoscaler.may_choose(instance).await, "it is as any other");
    group.delete().await;
}

#[tokio::test]
async fn a_reader_that_never_ends_is_waited_for_with_a_bound() {
    let group = Group::with_nodes("case-reader", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (_, host) = group.world.node_address(instance).await;
    let file = group
        .world
        .write_large("/case-reader/read", WriteType::CacheThrough, &host)
        .await;
    let reader = group.world.open_reader(&file.path).await;
    let execution = drain(&group, instance).await;
    assert_eq!(
        execution.expect("drained").seen("drainCache")["idleLimitReached"],
        true,
        "{execution:#?}"
    );
    group.world.close_reader(&reader).await;
    group.world.expect_intact(&[file]).await;
    group.delete().await;
}

#[tokio::test]
async fn a_write_that_races_the_decommission_is_saved() {
    let group = Group::with_nodes("case-race", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (_, host) = group.world.node_address(instance).await;
    // A block that is not complete is in no list: the drain takes the worker out of service without knowing of it.
    let path = "/case-race/late";
    let id = group.world.open(path, WriteType::MustCache, &host).await;
    group.world.add(&id, 1_000_000).await;
    group.terminate(instance).await;
    eventually(90, "the worker is decommissioned", async || {
        let hosts = group.world.worker_hosts("DECOMMISSIONED").await;
        if hosts.contains(&host) { Ok(()) } else { Err(hosts) }
    })
    .await;
    let file = group.world.close(&id, path).await;
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
async fn pods_leave_and_those_behind_a_budget_as_soon_as_it_lets_them() {
    let group = Group::with_nodes("case-budget", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (node, _) = group.world.node_address(instance).await;
    group.world.application_pod("case-budget-free", &node).await;
    group.world.application_pod("case-budget-held", &node).await;
    group.world.forbid_eviction("case-budget-held").await;
    group.terminate(instance).await;
    eventually(30, "the free pod is gone", async || {
        let pods = group.world.pods_on(&node).await;
        if pods.contains(&"case-budget-free".to_owned()) {
            Err(pods)
        } else {
            Ok(())
        }
    })
    .await;
    // Somebody takes the cordon off while the drain goes on.
    group
        .world
        .patch_node(instance, &json!({"spec": {"unschedulable": null}}))
        .await;
    eventually(30, "the node is cordoned again", async || {
        if group.world.cordoned(instance).await {
            Ok(())
        } else {
            Err(())
        }
    })
    .await;
    group.world.pass(8).await;
    assert!(
        group
            .world
            .pods_on(&node)
            .await
            .contains(&"case-budget-held".to_owned()),
        "evicted past its budget"
    );
    group.world.allow_eviction("case-budget-held").await;
    group.has_left(instance, 120).await;
    let execution = group.world.ended_for(Machine::Drain, instance, 30).await;
    assert_eq!(
        execution.expect("drained").seen("evictPods")["outcome"],
        "evicted",
        "{execution:#?}"
    );
    group.delete().await;
}

#[tokio::test]
async fn a_pod_that_its_budget_never_lets_go_is_deleted_when_patience_ends_and_named() {
    let group = Group::with_nodes("case-budget-never", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (node, _) = group.world.node_address(instance).await;
    group.world.application_pod("case-budget-never", &node).await;
    group.world.forbid_eviction("case-budget-never").await;
    let execution = drain(&group, instance).await;
    let seen = execution.expect("drained").seen("evictPods");
    assert_eq!(
        seen["forcedPods"],
        json!(["default/case-budget-never"]),
        "{execution:#?}"
    );
    group.world.allow_eviction("case-budget-never").await;
    group.delete().await;
}

#[tokio::test]
async fn what_does_not_leave_the_node_holds_up_no_drain() {
    let group = Group::with_nodes("case-remaining", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (node, _) = group.world.node_address(instance).await;
    group
        .world
        .sticky_deployment("case-remaining-sticky", &node)
        .await;
    group
        .world
        .claim_of_others("case-remaining-claim", instance, &node)
        .await;
    let execution = drain(&group, instance).await;
    let (pods, retired) = (
        execution.expect("drained").seen("evictPods"),
        execution.seen("retireWorker"),
    );
    assert_eq!(pods["outcome"], "evicted", "{execution:#?}");
    assert_eq!(pods["evictedPods"], 1, "its pod, once: {execution:#?}");
    let remaining = pods["remainingPods"][0].as_str().unwrap_or_default();
    assert!(
        remaining.contains("default/case-remaining-sticky") && remaining.contains("tolerates"),
        "{execution:#?}"
    );
    let claim = retired["foreignClaims"][0].as_str().unwrap_or_default();
    assert!(
        claim.starts_with("claim default/case-remaining-claim"),
        "{execution:#?}"
    );
    assert!(
        group.world.claim_stands("case-remaining-claim").await,
        "it was deleted: {execution:#?}"
    );
    group.world.remove_sticky("case-remaining-sticky").await;
    group.world.remove_claim("case-remaining-claim").await;
    group.delete().await;
}
