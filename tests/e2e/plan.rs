//! What an execution would do, asked beforehand.

use serde_json::{Value, json};

use crate::story::expect_joined;
use crate::world::{Execution, Group, Machine, TWO_DISKS, WriteType};

/// A plan, in which everything stays as it is.
async fn plan(group: &Group, machine: Machine, instance: &str) -> Execution {
    let world = &group.world;
    let as_it_is = async || {
        (
            world.labels(instance).await,
            world.taints(instance).await,
            world.volumes(instance).await,
            world.cordoned(instance).await,
            group.state(instance).await,
        )
    };
    let before = as_it_is().await;
    let input = json!({"instanceId": instance, "plan": true});
    let execution = world.run(machine, &input, 60).await;
    execution.expect("planned");
    assert_eq!(as_it_is().await, before);
    execution
}

fn sentences(execution: &Execution, field: &str) -> Vec<String> {
    let sentences = execution.output[field].as_array().cloned().unwrap_or_default();
    sentences
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn the_plan_of_a_drain_tells_what_is_then_saved_and_what_stands_in_the_way() {
    let group = Group::with_nodes("case-plan-drain", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (node, host) = group.world.node_address(instance).await;
    let mut files = Vec::new();
    for name in ["a", "b"] {
        let path = format!("/case-plan-drain/{name}");
        files.push(group.world.write(&path, WriteType::MustCache, &host).await);
    }
    group.world.application_pod("case-plan-drain", &node).await;
    group.world.forbid_eviction("case-plan-drain").await;
    let planned = plan(&group, Machine::Drain, instance).await;
    let forecast = &planned.output["forecast"];
    assert_eq!(forecast["persisted"], json!({"files": 2, "bytes": 2 * 4_194_304}));
    assert_eq!(forecast["lost"], json!({"files": 0, "bytes": 0}));
    let would = sentences(&planned, "would").join("\n");
    for part in [
        "cordon it",
        "evict 1 pods: default/case-plan-drain",
        "persist 2 files",
        "delete 2 volumes",
    ] {
        assert!(would.contains(part), "{part}: {would}");
    }
    let way = sentences(&planned, "inTheWay");
    assert_eq!(way.len(), 1, "{way:?}");
    assert!(way[0].starts_with("pod default/case-plan-drain: "), "{way:?}");
    group.world.allow_eviction("case-plan-drain").await;
    let drained = group
        .world
        .run(Machine::Drain, &json!({"instanceId": instance}), 180)
        .await;
    drained.expect("drained");
    assert_eq!(
        drained.seen("drainCache")["persistedFiles"],
        forecast["persisted"]["files"]
    );
    group.world.expect_intact(&files).await;
    group.delete().await;
}

#[tokio::test]
async fn a_plan_is_timed_by_the_drain_before_it() {
    let group = Group::with_nodes("case-plan-rate", TWO_DISKS, 2).await;
    let instances = group.in_service(2).await;
    for instance in &instances {
        let (_, host) = group.world.node_address(instance).await;
        let path = format!("/case-plan-rate/{instance}");
        group.world.write(&path, WriteType::MustCache, &host).await;
    }
    group
        .world
        .run(Machine::Drain, &json!({"instanceId": instances[0]}), 180)
        .await
        .expect("drained");
    let planned = plan(&group, Machine::Drain, &instances[1]).await;
    let forecast = &planned.output["forecast"];
    assert!(forecast["seconds"].is_u64(), "{forecast}");
    assert!(forecast["rate"]["files"].as_u64() >= Some(1), "{forecast}");
    group.delete().await;
}

#[tokio::test]
async fn a_plan_for_several_is_one_for_each() {
    let group = Group::with_nodes("case-plan-several", TWO_DISKS, 2).await;
    let instances = group.in_service(2).await;
    let input = json!({"instanceIds": instances, "plan": true});
    let several = group.world.run(Machine::Join, &input, 60).await;
    several.expect("fanned-out");
    for instance in &instances {
        let executions = group.world.executions_for(Machine::Join, instance).await;
        let last = executions.last().expect("one for each");
        group.world.ended(last, 60).await.expect("planned");
    }
    group.delete().await;
}

#[tokio::test]
async fn the_plan_of_a_join_tells_what_a_node_lacks_and_nothing_of_one_that_has_joined() {
    let group = Group::with_nodes("case-plan-join", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let planned = plan(&group, Machine::Join, instance).await;
    assert_eq!(planned.reason(), "nothing to do");
    group.world.take_label_off(instance, "fast-disk-node").await;
    let planned = plan(&group, Machine::Join, instance).await;
    let would = sentences(&planned, "would");
    assert_eq!(would.len(), 1, "{would:?}");
    assert!(
        would[0].ends_with(": set label fast-disk-node=pv-nvme"),
        "{would:?}"
    );
    let join = json!({"instanceId": instance});
    group.world.run(Machine::Join, &join, 120).await.expect("joined");
    expect_joined(&group, instance, 2).await;
    group.delete().await;
}
