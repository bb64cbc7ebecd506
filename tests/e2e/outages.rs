//! Something of the whole world is away, or fails for whoever comes next: these run alone.

use serde_json::json;

use crate::story::{drain, expect_joined};
use crate::world::{Group, Machine, TWO_DISKS, World, WriteType, eventually};

#[tokio::test]
async fn functions_that_are_killed_half_way_are_called_again() {
    let group = Group::make("case-killed", TWO_DISKS).await;
    for function in ["label-node", "provision-volumes", "schedule-worker"] {
        group.world.kill_next_call(function, 150).await;
    }
    group.scale_to(1).await;
    let instance = group.in_service(1).await.remove(0);
    expect_joined(&group, &instance, 2).await;
    let (_, host) = group.world.node_address(&instance).await;
    let file = group
        .world
        .write("/case-killed/cache", WriteType::MustCache, &host)
        .await;
    for function in ["cordon-node", "evict-pods", "drain-cache", "retire-worker"] {
        group.world.kill_next_call(function, 150).await;
    }
    drain(&group, &instance).await.expect("drained");
    group.world.expect_intact(&[file]).await;
    group.delete().await;
}

#[tokio::test]
async fn while_the_api_server_is_away_nothing_is_abandoned_and_afterwards_all_goes_on() {
    let group = Group::make("case-api-away", TWO_DISKS).await;
    group.scale_to(1).await;
    let instance = group.one_in("Pending:Wait", 30).await;
    let outage = World::api_server_away();
    group.world.pass(30).await;
    assert_eq!(group.state(&instance).await.as_deref(), Some("Pending:Wait"));
    outage.end();
    assert_eq!(group.in_service(1).await, vec![instance.clone()]);
    let (_, host) = group.world.node_address(&instance).await;
    let file = group
        .world
        .write("/case-api-away/cache", WriteType::MustCache, &host)
        .await;
    group.terminate(&instance).await;
    group.reaches(&instance, "Terminating:Wait", 30).await;
    let outage = World::api_server_away();
    group.world.pass(30).await;
    assert_eq!(group.state(&instance).await.as_deref(), Some("Terminating:Wait"));
    outage.end();
    group.has_left(&instance, 240).await;
    group
        .world
        .ended_for(Machine::Drain, &instance, 30)
        .await
        .expect("drained");
    group.world.expect_intact(&[file]).await;
    group.delete().await;
}

#[tokio::test]
async fn a_master_that_forgets_a_decommission_is_told_again_and_nothing_is_lost() {
    let group = Group::with_nodes("case-master-forgets", TWO_DISKS, 1).await;
    let instance = &group.in_service(1).await[0];
    let (_, host) = group.world.node_address(instance).await;
    let file = group
        .world
        .write_large("/case-master-forgets/cache", WriteType::MustCache, &host)
        .await;
    // A reader that stands still keeps the worker busy, so that the drain waits for it after the decommission.
    let reader = group.world.open_reader("/case-master-forgets/cache").await;
    group.terminate(instance).await;
    eventually(90, "the worker is decommissioned", async || {
        let hosts = group.world.worker_hosts("DECOMMISSIONED").await;
        if hosts.contains(&host) { Ok(()) } else { Err(hosts) }
    })
    .await;
    group.world.restart_alluxio_master().await;
    group.world.close_reader(&reader).await;
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
async fn a_file_that_lost_blocks_elsewhere_holds_no_node() {
    let group = Group::with_nodes("case-broken-file", TWO_DISKS, 2).await;
    let world = &group.world;
    let instances = group.in_service(2).await;
    let (crashed, drained) = (&instances[0], &instances[1]);
    let (node, lost) = world.node_address(crashed).await;
    let (_, host) = world.node_address(drained).await;
    let path = "/case-broken-file/spread";
    world.write_spread(path).await;
    let file = world
        .write("/case-broken-file/cache", WriteType::MustCache, &host)
        .await;
    world.crash(crashed).await;
    world.delete_node(&node).await;
    eventually(90, "Alluxio has lost the worker", async || {
        let hosts = world.worker_hosts("LOST").await;
        if hosts.contains(&lost) { Ok(()) } else { Err(hosts) }
    })
    .await;
    let execution = drain(&group, drained).await;
    execution.expect("drained");
    let named = &execution.seen("drainCache")["brokenFiles"];
    let first = named[0].as_str().unwrap_or_default();
    assert!(first.starts_with(path), "{execution:#?}");
    assert!(execution.reason().contains("broken before"), "{execution:#?}");
    world.expect_intact(&[file]).await;
    group.delete().await;
}

#[tokio::test]
async fn masters_that_are_nowhere_or_have_moved_are_waited_for_and_found_where_they_are_then() {
    let group = Group::make("case-masters-move", TWO_DISKS).await;
    let nowhere = World::masters_led_to(&json!([]));
    // What a function has open is good as long as it lasts, and is not kept for longer than this.
    group.world.pass(31).await;
    group.scale_to(1).await;
    let instance = group.one_in("Pending:Wait", 30).await;
    eventually(30, "it is a node", async || {
        group.world.node(&instance).await.map(|_| ()).ok_or("none")
    })
    .await;
    eventually(60, "it has a worker", async || {
        let (_, host) = group.world.node_address(&instance).await;
        let hosts = group.world.worker_hosts("LIVE").await;
        if hosts.contains(&host) { Ok(()) } else { Err(hosts) }
    })
    .await;
    // Nobody listens there.
    let elsewhere = World::masters_led_to(&json!([{"addresses": ["127.0.0.1"]}]));
    group.world.pass(15).await;
    assert_eq!(group.state(&instance).await.as_deref(), Some("Pending:Wait"));
    elsewhere.end();
    nowhere.end();
    assert_eq!(group.in_service(1).await, vec![instance.clone()]);
    expect_joined(&group, &instance, 2).await;
    drain(&group, &instance).await.expect("drained");
    group.delete().await;
}
