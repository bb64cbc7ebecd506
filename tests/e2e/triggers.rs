//! What starts a drain beside the hook: each is made to happen, and the node is looked at afterwards.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::story::expect_gone;
use crate::world::{
    Group, Machine, TWO_DISKS, World, WriteType, aws, eventually, rules_may_not_start,
    under_store_holds_a_file,
};

#[tokio::test]
async fn a_spot_warning_saves_what_only_this_node_holds_before_the_instance_is_gone() {
    let group = Group::with_nodes("case-spot", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (_, host) = group.world.node_address(instance).await;
    let file = group
        .world
        .write("/case-spot/only-copy", WriteType::MustCache, &host)
        .await;
    group.world.warn("spot", &[instance], 60).await;
    let execution = group.world.ended_for(Machine::Drain, instance, 60).await;
    execution.expect("drained");
    group.world.expect_intact(&[file]).await;
    group.has_left(instance, 120).await;
    expect_gone(&group, instance, &host).await;
    group.delete().await;
}

#[tokio::test]
async fn what_cannot_be_saved_before_an_interruption_is_listed_and_the_worker_leaves_before_the_instance() {
    let group = Group::with_nodes("case-spot-lost", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (_, host) = group.world.node_address(instance).await;
    let saved = group
        .world
        .write("/case-spot-lost/saved", WriteType::MustCache, &host)
        .await;
    let path = "/refused/never-saved";
    group.world.write(path, WriteType::MustCache, &host).await;
    under_store_holds_a_file("refused");
    group.world.warn("spot", &[instance], 120).await;
    eventually(120, "the worker is decommissioned", async || {
        let hosts = group.world.worker_hosts("DECOMMISSIONED").await;
        if hosts.contains(&host) { Ok(()) } else { Err(hosts) }
    })
    .await;
    assert!(
        group.state(instance).await.is_some(),
        "the instance is gone already"
    );
    let execution = group.world.ended_for(Machine::Drain, instance, 30).await;
    execution.expect("incomplete");
    let unsaved = &World::told(&execution)["seen"]["drainCache"]["unsavedFiles"];
    assert_eq!(unsaved.as_array().map(Vec::len), Some(1), "{unsaved}");
    let line = unsaved[0].as_str().expect("a line");
    assert_eq!(line, format!("{path} (4194304 bytes: not in the under store)"));
    group.world.expect_intact(&[saved]).await;
    group.has_left(instance, 60).await;
    group.delete().await;
}

#[tokio::test]
async fn a_rebalance_recommendation_drains_the_node_before_any_warning() {
    let group = Group::with_nodes("case-rebalance", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (_, host) = group.world.node_address(instance).await;
    let file = group
        .world
        .write("/case-rebalance/only-copy", WriteType::MustCache, &host)
        .await;
    group.world.warn("rebalance", &[instance], 0).await;
    drained_in_turn(&group, instance).await;
    group.world.expect_intact(&[file]).await;
    group.delete().await;
}

#[tokio::test]
async fn an_instance_that_a_person_terminates_leaves_no_volume_behind() {
    let group = Group::with_nodes("case-by-hand-end", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (_, host) = group.world.node_address(instance).await;
    aws(&["ec2", "terminate-instances", "--instance-ids", instance]);
    group.has_left(instance, 60).await;
    // Where the node is gone before its drain comes to the volumes, they go with the worker's claims, and those with its
    // pod: Kubernetes looks for pods of nodes that are gone every 20 s, and waits 40 s before it believes it.
    eventually(150, "the volumes of the instance are gone", async || {
        let left = group.world.volumes(instance).await;
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
    expect_gone(&group, instance, &host).await;
    group.delete().await;
}

/// The drain that an instance's ticket has started when its turn came.
async fn drained_in_turn(group: &Group, instance: &str) {
    let what = format!("a drain of {instance} whose turn came");
    let drain = eventually(120, &what, async || {
        let executions = group.world.executions_for(Machine::Drain, instance).await;
        let found = executions.iter().find(|arn| arn.contains(":leave-")).cloned();
        found.ok_or(executions)
    })
    .await;
    group.world.ended(&drain, 180).await.expect("drained");
}

/// On the day itself nobody waits for another.
#[tokio::test]
async fn a_scheduled_change_of_two_instances_drains_both() {
    let group = Group::with_nodes("case-scheduled-change", TWO_DISKS, 2).await;
    let instances = group.in_service(2).await;
    let both: Vec<&str> = instances.iter().map(String::as_str).collect();
    group.world.scheduled_change(&both, 0.03).await;
    for instance in both {
        drained_in_turn(&group, instance).await;
    }
    group.delete().await;
}

#[tokio::test]
async fn of_two_that_can_wait_one_is_drained_at_once() {
    let group = Group::with_nodes("case-in-turn", TWO_DISKS, 2).await;
    let instances = group.in_service(2).await;
    let both: Vec<&str> = instances.iter().map(String::as_str).collect();
    group.world.warn("store", &both, 0).await;
    let (first, other) = eventually(60, "the first of both begins", async || {
        for (first, other) in [(both[0], both[1]), (both[1], both[0])] {
            let executions = group.world.executions_for(Machine::Drain, first).await;
            if executions.iter().any(|arn| arn.contains(":leave-")) {
                return Ok((first, other));
            }
        }
        Err("none has begun")
    })
    .await;
    drained_in_turn(&group, first).await;
    let executions = group.world.executions_for(Machine::Drain, other).await;
    assert!(
        !executions.iter().any(|arn| arn.contains(":leave-")),
        "the other waits until the first is replaced: {executions:?}"
    );
    assert_eq!(group.state(other).await.as_deref(), Some("InService"));
    group.delete().await;
}

#[tokio::test]
async fn an_event_that_reached_no_machine_drains_the_node_when_it_is_redriven() {
    let group = Group::with_nodes("case-redriven", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (_, host) = group.world.node_address(instance).await;
    let outage = rules_may_not_start();
    group.scale_to(0).await;
    let queue = aws(&[
        "sqs",
        "get-queue-url",
        "--queue-name",
        "tidegate-undelivered-events",
    ]);
    let url = queue["QueueUrl"].as_str().expect("QueueUrl").to_owned();
    let waits = eventually(30, "the event in the dead-letter queue", async || {
        let told = aws(&[
            "sqs",
            "get-queue-attributes",
            "--queue-url",
            &url,
            "--attribute-names",
            "ApproximateNumberOfMessages",
        ]);
        if told["Attributes"]["ApproximateNumberOfMessages"] == "0" {
            Err(told)
        } else {
            Ok(group.state(instance).await)
        }
    })
    .await;
    outage.end();
    assert_eq!(waits.as_deref(), Some("Terminating:Wait"));
    redrive(&url);
    group
        .world
        .ended_for(Machine::Drain, instance, 120)
        .await
        .expect("drained");
    expect_gone(&group, instance, &host).await;
    group.delete().await;
}

fn redrive(url: &str) {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../infra/redrive.py");
    let done = Command::new("python3")
        .arg(script)
        .arg(url)
        .output()
        .expect("python3");
    assert!(
        done.status.success(),
        "redrive: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}
