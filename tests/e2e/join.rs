//! A node joins.

use serde_json::json;

use crate::story::expect_joined;
use crate::world::{Group, Machine, ONE_ARRAY, ONE_DISK, TWO_DISKS, WITHOUT_DISKS, eventually};

/// How an instance of the local world boots.
const BOOT: &str = "tidegate-local/boot";
/// What befalls a disk of it.
const DISK: &str = "tidegate-local/disk";

#[tokio::test]
async fn an_instance_with_two_disks_goes_into_service_with_a_worker_on_both() {
    let group = Group::with_nodes("case-two-disks", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    expect_joined(&group, instance, 2).await;
    let execution = group.world.ended_for(Machine::Join, instance, 30).await;
    execution.expect("joined");
    assert_eq!(
        execution.seen("scheduleWorker")["capacityBytes"],
        2 * 246 * 1_073_741_824_u64
    );
    group.delete().await;
}

#[tokio::test]
async fn an_instance_with_one_disk_gets_the_worker_of_its_layout() {
    let group = Group::with_nodes("case-one-disk", ONE_DISK, 1).await;
    let instance = &group.in_service(1).await[0];
    expect_joined(&group, instance, 1).await;
    assert_eq!(
        group.world.labels(instance).await["tidegate.dev/alluxio-worker"],
        "1x300g"
    );
    group.delete().await;
}

#[tokio::test]
async fn an_instance_whose_disks_are_one_array_gets_a_worker_on_one_volume_of_both() {
    let group = Group::with_nodes("case-array", ONE_ARRAY, 1).await;
    let instance = &group.in_service(1).await[0];
    let execution = group.world.ended_for(Machine::Join, instance, 30).await;
    execution.expect("joined");
    assert_eq!(
        execution.seen("scheduleWorker")["capacityBytes"],
        494 * 1_073_741_824_u64
    );
    let labels = group.world.labels(instance).await;
    assert_eq!(labels["fast-disk-node"], "pv-raid");
    assert_eq!(labels["tidegate.dev/alluxio-worker"], "1x600g");
    assert_eq!(
        group.world.volumes(instance).await,
        [("Bound".to_owned(), "548Gi".to_owned())]
    );
    group.delete().await;
}

#[tokio::test]
async fn an_instance_without_nvme_disks_is_let_through_at_once() {
    let group = Group::with_nodes("case-no-disks", WITHOUT_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let execution = group.world.ended_for(Machine::Join, instance, 30).await;
    assert!(
        execution.expect("ignored").reason().contains("m5.large"),
        "{execution:#?}"
    );
    assert!(!group.world.labels(instance).await.contains_key("fast-disk-node"));
    group.delete().await;
}

#[tokio::test]
async fn three_instances_at_once_all_go_into_service() {
    let group = Group::with_nodes("case-three", TWO_DISKS, 3).await;
    for instance in group.in_service(3).await {
        expect_joined(&group, &instance, 2).await;
    }
    group.delete().await;
}

#[tokio::test]
async fn a_node_that_lost_its_labels_is_joined_again_by_hand() {
    let group = Group::with_nodes("case-by-hand-join", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    group
        .world
        .take_label_off(instance, "tidegate.dev/disk-layout")
        .await;
    group
        .world
        .run(Machine::Join, &json!({"instanceId": instance}), 120)
        .await
        .expect("joined");
    expect_joined(&group, instance, 2).await;
    group.delete().await;
}

#[tokio::test]
async fn an_instance_that_never_becomes_a_node_is_abandoned_and_replaced() {
    let group = Group::make("case-never-joins", TWO_DISKS).await;
    group.tag(BOOT, "never").await;
    group.scale_to(1).await;
    let instance = group.one_in("Pending:Wait", 30).await;
    group.untag(BOOT).await;
    // Each step of a plan looks for the Node object in every way before it says what is missing.
    let plan = json!({"instanceId": instance, "plan": true});
    group.world.run(Machine::Join, &plan, 60).await.expect("planned");
    let execution = group.world.ended_for(Machine::Join, &instance, 240).await;
    assert!(
        execution
            .expect("abandoned")
            .reason()
            .contains("did not become a node"),
        "{execution:#?}"
    );
    group.has_left(&instance, 60).await;
    let replacement = group.in_service(1).await;
    assert_ne!(replacement[0], instance);
    let activities = group.activities().await;
    assert!(
        activities
            .iter()
            .any(|activity| activity.starts_with("Cancelled") || activity.starts_with("Failed")),
        "{activities:?}"
    );
    group.delete().await;
}

#[tokio::test]
async fn a_node_with_a_missing_disk_is_abandoned_and_the_reason_names_it() {
    let group = Group::make("case-missing-disk", TWO_DISKS).await;
    group.tag(DISK, "missing").await;
    group.scale_to(1).await;
    let instance = group.one_in("Pending:Wait", 30).await;
    group.untag(DISK).await;
    let execution = group.world.ended_for(Machine::Join, &instance, 240).await;
    assert!(
        execution.expect("abandoned").reason().contains("1 of 2 disks"),
        "{execution:#?}"
    );
    group.has_left(&instance, 60).await;
    group.delete().await;
}

#[tokio::test]
async fn an_instance_that_leaves_while_it_joins_is_drained_and_the_join_gives_way() {
    let group = Group::make("case-leaves-joining", TWO_DISKS).await;
    group.tag(BOOT, "never").await;
    group.scale_to(1).await;
    let instance = group.one_in("Pending:Wait", 30).await;
    group.scale_to(0).await;
    group.has_left(&instance, 120).await;
    group
        .world
        .ended_for(Machine::Join, &instance, 120)
        .await
        .expect("superseded");
    group
        .world
        .ended_for(Machine::Drain, &instance, 120)
        .await
        .expect("drained");
    eventually(30, "nothing is left of the group", async || {
        let left = group.instances().await;
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
    group.delete().await;
}
