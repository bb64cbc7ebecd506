//! Who goes when a group has too many.

use crate::world::{Group, Machine, TWO_DISKS, WriteType, aws};

/// As Cluster Autoscaler reads them from a group: what is to be on each of its nodes.
const MASTER_LABEL_TAG: &str = "k8s.io/cluster-autoscaler/node-template/label/tidegate.dev/alluxio-master";
const SCALE_DOWN_DISABLED: &str = "cluster-autoscaler.kubernetes.io/scale-down-disabled";

/// A group in one zone, where all of its instances may go alike, that asks `choose-victims`.
async fn group_that_asks(name: &'static str) -> Group {
    let group = Group::make(name, TWO_DISKS).await;
    let endpoints = &group.world.endpoints;
    let function = format!(
        "arn:aws:lambda:{}:123456789012:function:tidegate-choose-victims",
        endpoints.region
    );
    aws(&[
        "autoscaling",
        "update-auto-scaling-group",
        "--auto-scaling-group-name",
        name,
        "--vpc-zone-identifier",
        &endpoints.subnets[0],
        "--termination-policies",
        &function,
        "Default",
    ]);
    group
}

/// The first instance of a group, and the one that came after it.
async fn first_and_second(group: &Group) -> (String, String) {
    group.scale_to(1).await;
    let first = group.in_service(1).await.remove(0);
    group.scale_to(2).await;
    let both = group.in_service(2).await;
    let second = both.into_iter().find(|instance| *instance != first);
    (first, second.expect("two instances"))
}

#[tokio::test]
async fn the_node_whose_worker_holds_nothing_goes_before_an_older_one_that_holds_a_file() {
    let group = group_that_asks("case-victim").await;
    let (first, second) = first_and_second(&group).await;
    let (_, host) = group.world.node_address(&first).await;
    let file = group
        .world
        .write("/case-victim/only-copy", WriteType::MustCache, &host)
        .await;
    group.scale_to(1).await;
    group.has_left(&second, 120).await;
    group
        .world
        .ended_for(Machine::Drain, &second, 30)
        .await
        .expect("drained");
    assert_eq!(group.state(&first).await.as_deref(), Some("InService"));
    group.world.expect_intact(&[file]).await;
    group.delete().await;
}

#[tokio::test]
async fn the_place_of_an_alluxio_master_stays_while_another_node_can_go() {
    let group = group_that_asks("case-victim-master").await;
    group.tag(MASTER_LABEL_TAG, "true").await;
    group.scale_to(1).await;
    let master = group.in_service(1).await.remove(0);
    let kept = group.world.annotation(&master, SCALE_DOWN_DISABLED).await;
    assert_eq!(kept.as_deref(), Some("true"));
    group.untag(MASTER_LABEL_TAG).await;
    let (_, other) = first_and_second(&group).await;
    let (_, host) = group.world.node_address(&other).await;
    let file = group
        .world
        .write("/case-victim-master/only-copy", WriteType::MustCache, &host)
        .await;
    group.scale_to(1).await;
    group.has_left(&other, 120).await;
    assert_eq!(group.state(&master).await.as_deref(), Some("InService"));
    group.world.expect_intact(&[file]).await;
    group.delete().await;
}
