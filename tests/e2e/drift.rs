//! Drift of instances and nodes: made to happen, found, set right. A check sees the whole world: these run alone.

use serde_json::json;

use crate::world::{Group, Machine, ONE_DISK, WITHOUT_DISKS, World, eventually};

const WORKER: &str = "tidegate.dev/alluxio-worker";
const STARTUP_TAINT: &str = "startup-taint.cluster-autoscaler.kubernetes.io/tidegate";
const DRAIN_SINCE: &str = "tidegate.dev/drain-since";
const CORDONED_BEFORE: &str = "tidegate.dev/cordoned-before";
const DECOMMISSIONED_AT: &str = "tidegate.dev/decommissioned-at";

#[tokio::test]
async fn an_instance_whose_launch_event_was_lost_joins_and_a_plan_only_says_so() {
    let group = Group::make("case-drift-join", ONE_DISK).await;
    group.world.lose_events(group.name).await;
    group.scale_to(1).await;
    let instance = group.one_in("Pending:Wait", 60).await;
    let plan = group.world.check(&json!({"plan": true})).await;
    plan.expect("join-stalled", &instance, "would be done");
    assert!(
        group
            .world
            .executions_for(Machine::Join, &instance)
            .await
            .is_empty()
    );
    let check = group.world.repair("join-stalled").await;
    let started = format!("started drift-join-{instance}-1");
    check.expect("join-stalled", &instance, &started);
    group.world.lose_no_more_events().await;
    group.in_service(1).await;
    group.delete().await;
}

#[tokio::test]
async fn an_instance_whose_terminate_event_was_lost_is_drained_once() {
    let group = Group::with_nodes("case-drift-drain", ONE_DISK, 1).await;
    let instance = &group.in_service(1).await[0];
    group.world.lose_events(group.name).await;
    group.terminate(instance).await;
    group.reaches(instance, "Terminating:Wait", 30).await;
    let started = format!("started drift-drain-{instance}-1");
    let check = group.world.repair("drain-stalled").await;
    check.expect("drain-stalled", instance, &started);
    // While that one runs there is nothing to find.
    let again = group.world.repair("drain-stalled").await;
    assert!(again.finding("drain-stalled", instance).is_none(), "{again:#?}");
    group.has_left(instance, 120).await;
    group.world.lose_no_more_events().await;
    let drains = group.world.executions_for(Machine::Drain, instance).await;
    let repairs = drains.iter().filter(|arn| arn.contains(":drift-drain-"));
    assert_eq!(repairs.count(), 1, "{drains:?}");
    group.delete().await;
}

#[tokio::test]
async fn a_retained_instance_is_drained_and_ended() {
    let group = Group::with_nodes("case-drift-retained", ONE_DISK, 1).await;
    let instance = &group.in_service(1).await[0];
    group.world.lose_events(group.name).await;
    group.terminate(instance).await;
    group.reaches(instance, "Terminating:Wait", 30).await;
    let complete = group.world.autoscaling.complete_lifecycle_action();
    let abandoned = complete
        .auto_scaling_group_name(group.name)
        .lifecycle_hook_name("tidegate-node-drain")
        .instance_id(instance)
        .lifecycle_action_result("ABANDON");
    abandoned.send().await.expect("CompleteLifecycleAction");
    group.reaches(instance, "Terminating:Retained", 30).await;
    group.world.lose_no_more_events().await;
    let check = group.world.repair("instance-retained").await;
    check.expect("instance-retained", instance, "started drift-drain-");
    group.has_left(instance, 120).await;
    group.delete().await;
}

#[tokio::test]
async fn a_worker_that_a_master_forgot_to_be_decommissioned_is_drained_again() {
    let group = Group::with_nodes("case-drift-revived", ONE_DISK, 1).await;
    let instance = &group.in_service(1).await[0];
    let input = json!({"instanceId": instance}).to_string();
    let drain = group.world.start(Machine::Drain, &input).await.expect("started");
    eventually(60, "the worker is decommissioned", async || {
        let at = group.world.annotation(instance, DECOMMISSIONED_AT).await;
        at.ok_or("not yet")
    })
    .await;
    group.world.stop(&drain).await;
    group.world.restart_alluxio_master().await;
    let check = eventually(60, "the worker is in service again", async || {
        let check = group.world.repair("worker-revived").await;
        if check.finding("worker-revived", instance).is_some() {
            Ok(check)
        } else {
            Err(check)
        }
    })
    .await;
    check.expect("worker-revived", instance, "started drift-drain-");
    group.has_left(instance, 180).await;
    group.delete().await;
}

#[tokio::test]
async fn a_node_that_was_uncordoned_by_hand_loses_the_mark_of_its_drain() {
    let group = Group::with_nodes("case-drift-uncordoned", ONE_DISK, 1).await;
    let instance = &group.in_service(1).await[0];
    let marked = json!({"metadata": {"annotations": {DRAIN_SINCE: "2026-01-01T00:00:00Z"}}});
    group.world.patch_node(instance, &marked).await;
    let check = group.world.repair("drain-uncordoned").await;
    check.expect(
        "drain-uncordoned",
        instance,
        "take the mark of the drain off: done",
    );
    assert_eq!(group.world.annotation(instance, DRAIN_SINCE).await, None);
    group.delete().await;
}

#[tokio::test]
async fn a_cordon_of_a_drain_that_was_stopped_is_taken_off() {
    let group = Group::with_nodes("case-drift-cordoned", ONE_DISK, 1).await;
    let instance = &group.in_service(1).await[0];
    // As a drain leaves a node that is stopped before it has decommissioned the worker.
    let stopped = json!({
        "metadata": {"annotations": {DRAIN_SINCE: "2026-01-01T00:00:00Z"}},
        "spec": {"unschedulable": true},
    });
    group.world.patch_node(instance, &stopped).await;
    let check = group.world.repair("cordon-orphaned").await;
    check.expect("cordon-orphaned", instance, "uncordon: done");
    assert!(!group.world.cordoned(instance).await);
    assert_eq!(group.world.annotation(instance, DRAIN_SINCE).await, None);
    // A person had cordoned the node before another drain.
    group.world.patch_node(instance, &stopped).await;
    let before = json!({"metadata": {"annotations": {CORDONED_BEFORE: "true"}}});
    group.world.patch_node(instance, &before).await;
    let check = group.world.repair("cordon-orphaned").await;
    check.expect("cordon-orphaned", instance, "take the mark of the drain off");
    assert!(group.world.cordoned(instance).await);
    for mark in [DRAIN_SINCE, CORDONED_BEFORE] {
        assert_eq!(group.world.annotation(instance, mark).await, None, "{mark}");
    }
    group.delete().await;
}

#[tokio::test]
async fn a_node_without_disks_that_says_otherwise_loses_the_labels() {
    let group = Group::with_nodes("case-drift-mislabelled", WITHOUT_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    eventually(60, "the node is there", async || {
        group.world.node(instance).await.ok_or("none")
    })
    .await;
    let labelled = json!({"metadata": {"labels": {"fast-disk-node": "pv-nvme"}}});
    group.world.patch_node(instance, &labelled).await;
    let check = group.world.repair("disks-mislabelled").await;
    check.expect(
        "disks-mislabelled",
        instance,
        "take the labels of disks off: done",
    );
    assert!(!group.world.labels(instance).await.contains_key("fast-disk-node"));
    group.delete().await;
}

#[tokio::test]
async fn a_node_that_lost_its_worker_joins_again() {
    let group = Group::with_nodes("case-drift-incomplete", ONE_DISK, 1).await;
    let instance = &group.in_service(1).await[0];
    let tainted =
        json!({"spec": {"taints": [{"key": STARTUP_TAINT, "value": "joining", "effect": "NoSchedule"}]}});
    group.world.patch_node(instance, &tainted).await;
    group.world.take_label_off(instance, WORKER).await;
    let check = group.world.repair("node-incomplete").await;
    let finding = check.expect("node-incomplete", instance, "started drift-join-");
    for lacks in [WORKER, "the startup taint"] {
        assert!(
            finding["seen"].as_str().is_some_and(|seen| seen.contains(lacks)),
            "{finding:#}"
        );
    }
    group
        .world
        .ended_for_repair(Machine::Join, instance, "joined")
        .await;
    assert!(group.world.labels(instance).await.contains_key(WORKER));
    let taints = group.world.taints(instance).await;
    assert!(!taints.contains(&STARTUP_TAINT.to_owned()), "{taints:?}");
    group.delete().await;
}

#[tokio::test]
async fn a_worker_with_a_lost_disk_is_drained_and_replaced() {
    let group = Group::with_nodes("case-drift-short", ONE_DISK, 1).await;
    let instance = &group.in_service(1).await[0];
    group.world.lose_disk(instance, 0).await;
    group.world.kill_container(instance, "alluxio-worker").await;
    let check = eventually(90, "the worker tells of its disk", async || {
        let check = group.world.repair("worker-short").await;
        if check.finding("worker-short", instance).is_some() {
            Ok(check)
        } else {
            Err(check)
        }
    })
    .await;
    // As a group is that may not shrink.
    group.keep_at_least(1).await;
    check.expect("worker-short", instance, "started drift-drain-");
    group.has_left(instance, 240).await;
    assert_eq!(
        group.desired_capacity().await,
        1,
        "the repair replaced the instance"
    );
    group.delete().await;
}

#[tokio::test]
async fn a_repair_keeps_what_a_person_kept() {
    let group = Group::with_nodes("case-drift-kept", ONE_DISK, 1).await;
    let instance = &group.in_service(1).await[0];
    let input = json!({"instanceId": instance, "terminate": false}).to_string();
    let drain = group.world.start(Machine::Drain, &input).await.expect("started");
    eventually(60, "the worker is decommissioned", async || {
        let at = group.world.annotation(instance, DECOMMISSIONED_AT).await;
        at.ok_or("not yet")
    })
    .await;
    group.world.stop(&drain).await;
    let check = group.world.repair("cordon-orphaned").await;
    check.expect("cordon-orphaned", instance, "started drift-drain-");
    group
        .world
        .ended_for_repair(Machine::Drain, instance, "drained")
        .await;
    let check = group.world.repair("drained-in-service").await;
    assert!(
        check.finding("drained-in-service", instance).is_none(),
        "{check:#?}"
    );
    let notes = check.0.output["notes"].to_string();
    assert!(notes.contains("a person asked to keep it"), "{notes}");
    assert_eq!(group.state(instance).await.as_deref(), Some("InService"));
    assert_eq!(group.desired_capacity().await, 1);
    group.delete().await;
}

#[tokio::test]
async fn a_worker_that_fell_silent_is_found_and_looked_at_again() {
    let group = Group::with_nodes("case-drift-unseen", ONE_DISK, 1).await;
    let instance = &group.in_service(1).await[0];
    group.world.signal(instance, "alluxio-worker", "STOP").await;
    let check = eventually(60, "Alluxio loses the worker", async || {
        let check = group.world.repair("worker-unseen").await;
        if check.finding("worker-unseen", instance).is_some() {
            Ok(check)
        } else {
            Err(check)
        }
    })
    .await;
    group.world.signal(instance, "alluxio-worker", "CONT").await;
    check.expect("worker-unseen", instance, "started drift-join-");
    group
        .world
        .ended_for_repair(Machine::Join, instance, "joined")
        .await;
    group.delete().await;
}

#[tokio::test]
async fn without_the_api_server_nothing_that_depends_on_it_is_judged_and_the_next_check_sees_it_again() {
    let world = World::connect().await;
    let outage = World::api_server_away();
    let check = world.check(&json!({"plan": true})).await;
    outage.end();
    let unseen = check.0.output["unseen"].as_array().cloned().unwrap_or_default();
    let nodes = unseen.iter().find(|unseen| unseen["what"] == "nodes");
    let nodes = nodes.unwrap_or_else(|| panic!("nodes were seen: {check:#?}"));
    assert!(
        nodes["notJudged"]
            .as_str()
            .is_some_and(|kinds| kinds.contains("node-incomplete")),
        "{nodes}"
    );
    eventually(60, "everything is seen", async || {
        let check = world.check(&json!({"plan": true})).await;
        if check.0.output["unseen"] == json!([]) {
            Ok(())
        } else {
            Err(check)
        }
    })
    .await;
}

#[tokio::test]
async fn bad_input_is_refused_in_one_sentence() {
    let world = World::connect().await;
    let ended = world
        .run(Machine::Check, &json!({"repair": ["everything"]}), 60)
        .await;
    assert_eq!(ended.error, "InvalidInput", "{ended:#?}");
    assert!(
        ended
            .cause
            .starts_with("repair: \"everything\" is not a list of kinds (drain-stalled, "),
        "{ended:#?}"
    );
}
