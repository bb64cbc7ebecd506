//! Nodes that are not where, or not labelled as, they should be: their caches are saved all the same.

use serde_json::json;

use crate::story::{drain, expect_gone};
use crate::world::{Execution, Group, Machine, TWO_DISKS, WriteType};

const INSTANCE_LABEL: &str = "tidegate.dev/instance-id";
/// No instance of this account.
const OTHER_INSTANCE: &str = "i-0fedcba9876543210";

/// The drains of an instance that was drained before its end was announced twice more.
async fn others(group: &Group, instance: &str, drained: &Execution) -> Vec<Execution> {
    let mut others = Vec::new();
    for arn in group.world.executions_for(Machine::Drain, instance).await {
        if arn != drained.arn {
            others.push(group.world.ended(&arn, 60).await);
        }
    }
    others
}

#[tokio::test]
async fn a_node_with_a_wrong_label_is_drained_with_its_files() {
    let group = Group::with_nodes("case-wrong-label", TWO_DISKS, 2).await;
    let instances = group.in_service(2).await;
    let instance = &instances[0];
    let (_, host) = group.world.node_address(instance).await;
    let file = group
        .world
        .write("/case-wrong-label/cache", WriteType::MustCache, &host)
        .await;
    let wrong = json!({"metadata": {"labels": {INSTANCE_LABEL: OTHER_INSTANCE}}});
    group.world.patch_node(instance, &wrong).await;
    let drained = drain(&group, instance).await;
    drained.expect("drained");
    assert_eq!(drained.seen("drainCache")["outcome"], "drained", "{drained:#?}");
    group.world.expect_intact(&[file]).await;
    expect_gone(&group, instance, &host).await;
    for other in others(&group, instance, &drained).await {
        let states = group.world.states_of(&other.arn).await;
        assert!(
            !states.iter().any(|state| state == "LeaveNode"),
            "the end of a drained instance needs no second drain: {other:#?}"
        );
    }
    // A join puts the label right as well.
    let kept = &instances[1];
    group.world.patch_node(kept, &wrong).await;
    let joined = group
        .world
        .run(Machine::Join, &json!({ "instanceId": kept }), 120)
        .await;
    joined.expect("joined");
    let labels = group.world.labels(kept).await;
    assert_eq!(labels.get(INSTANCE_LABEL), Some(kept), "{labels:?}");
    group.delete().await;
}

#[tokio::test]
async fn a_worker_whose_node_object_was_deleted_is_saved() {
    let group = Group::with_nodes("case-node-deleted", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (node, host) = group.world.node_address(instance).await;
    let file = group
        .world
        .write("/case-node-deleted/cache", WriteType::MustCache, &host)
        .await;
    // Its kubelet must not make the Node object again.
    group.world.freeze(instance).await;
    group.world.delete_node(&node).await;
    let drained = drain(&group, instance).await;
    drained.expect("drained");
    assert_eq!(drained.seen("cordonNode")["outcome"], "absent", "{drained:#?}");
    assert_eq!(drained.seen("drainCache")["outcome"], "drained", "{drained:#?}");
    group.world.expect_intact(&[file]).await;
    group.delete().await;
}
