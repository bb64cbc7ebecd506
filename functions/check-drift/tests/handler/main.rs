//! The function in a small world.

#![allow(clippy::expect_used, clippy::panic, reason = "part of tests")]

mod world;

use check_drift::CheckDrift;
use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_domain::drift::{Attempt, Budget, RunningExecution, Scope, SeenNode, SeenVolume};
use tidegate_domain::error::{Error, ErrorName};
use tidegate_domain::names;
use tidegate_domain::node::{Node, Volume, VolumePhase};
use tidegate_domain::ports::Clock;
use tidegate_domain::resolve::Direction;
use tidegate_lambda::{Reply, Serve};

use world::{INSTANCE, World};

async fn serve(world: &World, input: Value) -> Result<Reply, Error> {
    let function = CheckDrift {
        groups: world.clone(),
        instances: world.clone(),
        machines: world.clone(),
        cluster: world.clone(),
        master: world.clone(),
        clock: world.clone(),
        scope: Scope {
            join_hook: "tidegate-node-join".into(),
            drain_hook: "tidegate-node-drain".into(),
            namespace: "alluxio".into(),
        },
        budget: Budget {
            percent: 10,
            settle_seconds: 60,
        },
        group_names: vec!["nvme-nodes".into()],
        rule_names: vec!["tidegate-a".into()],
        cluster_name: "prod".into(),
    };
    let rules = json!([{"Name": "tidegate-a", "State": "ENABLED"}]);
    function.serve(json!({"input": input, "rules": rules})).await
}

/// A check; the next one knows what it left behind.
async fn check(world: &World, input: Value) -> Value {
    let answer = serve(world, input).await.expect("an answer").answer;
    let memory = serde_json::from_value(answer["memory"].clone()).expect("a memory");
    world.0.borrow_mut().memory = memory;
    answer
}

/// A world in which an instance waits to end, and nothing drains it, for a minute.
async fn waiting() -> World {
    let world = World::default();
    {
        let mut state = world.0.borrow_mut();
        state.lifecycle = "Terminating:Wait".into();
        state.memory.checked_at = Timestamp::from_second(1_800_000_000 - 60).ok();
    }
    check(&world, json!({})).await;
    assert!(world.0.borrow().started.is_empty(), "not before it has lasted");
    world.0.borrow_mut().now += 60;
    world
}

fn ended(world: &World, name: &str, status: &str) {
    let ended_at = Some(world.now());
    let attempt = Attempt {
        status: status.into(),
        ended_at,
    };
    world.0.borrow_mut().attempts.insert(name.to_owned(), attempt);
}

#[tokio::test]
async fn nothing_differs_where_everything_is_as_it_should_be() {
    let world = World::default();
    world.0.borrow_mut().lifecycle = "Pending".into();
    let reply = serve(&world, json!({})).await.expect("an answer");
    assert_eq!(reply.outcome(), "consistent", "{}", reply.answer);
    assert_eq!(reply.cluster.as_deref(), Some("prod"));
    let metrics: Vec<_> = reply.metrics.iter().map(|metric| metric.name).collect();
    assert!(metrics.contains(&"DriftUnrepaired"), "{metrics:?}");
}

#[tokio::test]
async fn what_has_lasted_is_repaired_under_a_name_of_its_own() {
    let world = waiting().await;
    let answer = check(&world, json!({})).await;
    assert_eq!(answer["outcome"], "drifted");
    assert_eq!(world.0.borrow().started, [format!("drift-drain-{INSTANCE}-1")]);
    assert_eq!(
        (&answer["repaired"], &answer["findings"][0]["checks"]),
        (&json!(1), &json!(2))
    );
}

#[tokio::test]
async fn two_checks_at_once_start_one_execution() {
    let world = waiting().await;
    let (one, other) = tokio::join!(serve(&world, json!({})), serve(&world, json!({})));
    assert_eq!(world.0.borrow().started.len(), 1);
    let repaired = |reply: Result<Reply, Error>| reply.expect("an answer").answer["repaired"].as_u64();
    assert_eq!(
        repaired(one).unwrap_or_default() + repaired(other).unwrap_or_default(),
        1
    );
}

#[tokio::test]
async fn a_repair_that_failed_is_tried_again_later_under_the_next_name() {
    let world = waiting().await;
    ended(&world, &format!("drift-drain-{INSTANCE}-1"), "FAILED");
    let answer = check(&world, json!({})).await;
    assert!(
        world.0.borrow().heartbeats.is_empty(),
        "attempts that fail hold no instance in its hook"
    );
    let done = answer["findings"][0]["done"].as_str().unwrap_or_default();
    assert!(done.starts_with("attempt 1 ended as FAILED"), "{done}");
    world.0.borrow_mut().now += 300;
    check(&world, json!({})).await;
    assert_eq!(world.0.borrow().started, [format!("drift-drain-{INSTANCE}-2")]);
}

#[tokio::test]
async fn a_first_check_does_not_wait_for_a_second() {
    let world = World::default();
    world.0.borrow_mut().lifecycle = "Terminating:Wait".into();
    check(&world, json!({})).await;
    assert_eq!(world.0.borrow().started, [format!("drift-drain-{INSTANCE}-1")]);
}

#[tokio::test]
async fn a_drain_that_a_check_starts_replaces() {
    let world = waiting().await;
    check(&world, json!({})).await;
    let input = json!({"instanceId": INSTANCE, "replace": true});
    assert_eq!(world.0.borrow().inputs, [input]);
}

#[tokio::test]
async fn a_hook_of_somebody_else_is_told_once() {
    let world = waiting().await;
    world.0.borrow_mut().held_by_another_hook = true;
    for checks in 0..3 {
        let answer = check(&world, json!({})).await;
        assert_eq!(answer["outcome"], "consistent", "{answer:#}");
        assert_eq!(answer["new"], json!([]), "check {checks}: {answer:#}");
        let done = answer["notes"][0]["done"].as_str().unwrap_or_default();
        assert!(done.contains("another hook of group nvme-nodes"), "{done}");
        world.0.borrow_mut().now += 300;
    }
    assert!(world.0.borrow().started.is_empty());
}

#[tokio::test]
async fn a_repair_that_ended_well_is_not_begun_again() {
    let world = waiting().await;
    ended(&world, &format!("drift-drain-{INSTANCE}-1"), "SUCCEEDED");
    world.0.borrow_mut().held_by_another_hook = true;
    let answer = check(&world, json!({})).await;
    assert_eq!(answer["outcome"], "consistent", "{answer:#}");
    assert!(world.0.borrow().started.is_empty());
}

#[tokio::test]
async fn a_plan_is_no_heartbeat() {
    let world = waiting().await;
    check(&world, json!({"plan": true})).await;
    assert!(world.0.borrow().heartbeats.is_empty());
}

#[tokio::test]
async fn an_instance_that_an_execution_works_on_is_left_to_it() {
    let world = waiting().await;
    world.0.borrow_mut().running.push(RunningExecution {
        arn: "arn:event".into(),
        name: "event".into(),
        direction: Direction::Drain,
        subjects: None,
    });
    let answer = check(&world, json!({})).await;
    assert_eq!(
        answer["outcome"], "consistent",
        "its input was asked for: {answer}"
    );
}

#[tokio::test]
async fn while_the_cluster_is_being_destroyed_what_differs_is_told_and_not_set_right() {
    let world = waiting().await;
    world.0.borrow_mut().destroying_since = Some("2026-11-24T10:00:00Z".into());
    world.0.borrow_mut().hooks_missing = true;
    let answer = check(&world, json!({})).await;
    assert_eq!(answer["outcome"], "drifted", "{answer:#}");
    let reason = answer["reason"].as_str().unwrap_or_default();
    assert!(
        reason.starts_with("the cluster is being destroyed since 2026-11-24T10:00:00Z: "),
        "{reason}"
    );
    assert!(world.0.borrow().started.is_empty() && world.0.borrow().hooks_put.is_empty());
    world.0.borrow_mut().destroying_since = None;
    check(&world, json!({})).await;
    assert!(
        !world.0.borrow().hooks_put.is_empty(),
        "set up again, it is as before"
    );
}

#[tokio::test]
async fn a_plan_changes_nothing_not_even_what_is_known() {
    let world = waiting().await;
    let before = world.0.borrow().memory.clone();
    let answer = check(&world, json!({"plan": true})).await;
    assert_eq!(answer["plan"], true);
    assert_eq!(answer["findings"][0]["done"], "would be done: this is a plan");
    assert!(world.0.borrow().started.is_empty());
    assert_eq!(world.0.borrow().memory, before);
}

#[tokio::test]
async fn while_the_api_server_is_away_what_depends_on_it_stays_known_and_the_rest_goes_on() {
    let world = waiting().await;
    {
        let mut state = world.0.borrow_mut();
        state.memory.known[0].kind = "volume-orphaned".into();
        state.api_server_away = true;
        state.now += 60;
    }
    check(&world, json!({})).await;
    world.0.borrow_mut().now += 60;
    let answer = check(&world, json!({})).await;
    let unseen: Vec<_> = answer["unseen"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|unseen| unseen["what"].clone())
        .collect();
    assert!(
        unseen.contains(&json!("nodes")) && unseen.contains(&json!("volumes")),
        "{unseen:?}"
    );
    assert_eq!(
        world.0.borrow().started.len(),
        1,
        "the hook is seen to all the same"
    );
    assert!(
        world
            .0
            .borrow()
            .memory
            .known
            .iter()
            .any(|known| known.kind == "volume-orphaned")
    );
}

#[tokio::test]
async fn a_repair_that_is_refused_is_told_and_keeps_no_other_back() {
    let world = World::default();
    {
        let mut state = world.0.borrow_mut();
        state.lifecycle = "Pending".into();
        (state.hooks_missing, state.hooks_refused) = (true, true);
    }
    let answer = check(&world, json!({})).await;
    assert_eq!(
        (&answer["repaired"], &answer["failed"]),
        (&json!(1), &json!(1)),
        "{answer}"
    );
    assert_eq!(world.0.borrow().hooks_put, ["tidegate-node-drain"]);
}

#[tokio::test]
async fn a_volume_is_kept_where_its_node_is_there_after_all() {
    let orphan = SeenVolume {
        volume: Volume {
            name: "local-pv-1".into(),
            uid: "u".into(),
            capacity_bytes: 0,
            storage_class: names::FAST_DISKS_CLASS.into(),
            hostname: Some("ip-10-9-9-9".into()),
            provisioned_by: None,
            phase: VolumePhase::Available,
            claim: None,
        },
        instance: "i-0fedcba9876543210".into(),
        deletes: true,
        since: None,
    };
    let world = World::default();
    world.0.borrow_mut().lifecycle = "Pending".into();
    world.0.borrow_mut().volumes.push(orphan);
    check(&world, json!({})).await;
    world.0.borrow_mut().now += 60;
    world
        .0
        .borrow_mut()
        .nodes
        .insert("ip-10-9-9-9".into(), SeenNode::default());
    let answer = check(&world, json!({})).await;
    assert_eq!(answer["findings"][0]["done"], "node ip-10-9-9-9 is there");
    world.0.borrow_mut().nodes.clear();
    check(&world, json!({})).await;
    assert_eq!(world.0.borrow().deleted, ["local-pv-1"]);
}

/// A world in which a node takes pods although it carries the mark of a drain, for a minute.
async fn marked() -> World {
    let world = World::default();
    {
        let mut state = world.0.borrow_mut();
        state.lifecycle = "InService".into();
        let mark = (
            names::DRAIN_SINCE_ANNOTATION.into(),
            "2026-01-01T00:00:00Z".into(),
        );
        let node = Node {
            name: "ip-10-0-0-7".into(),
            annotations: [mark].into(),
            provider_id: format!("aws:///us-west-2a/{INSTANCE}"),
            ..Node::default()
        };
        let ready_since = None;
        state
            .nodes
            .insert(node.name.clone(), SeenNode { node, ready_since });
    }
    check(&world, json!({})).await;
    world.0.borrow_mut().now += 60;
    world
}

/// Each beat of a kubelet's heart is another version of its node.
fn beat(node: &mut Node) {
    node.resource_version.push('1');
}

#[tokio::test]
async fn the_heartbeats_of_a_kubelet_keep_no_repair_of_its_node_back() {
    for (beats, done) in [
        (3, "take the mark of the drain off: done"),
        (
            4,
            "it has changed since it was looked at: the next check decides again",
        ),
    ] {
        let world = marked().await;
        world.0.borrow_mut().meanwhile = vec![beat as fn(&mut Node); beats].into();
        let answer = check(&world, json!({})).await;
        assert_eq!(answer["findings"][0]["done"], done, "{beats} beats");
        let left = world.0.borrow().nodes["ip-10-0-0-7"].node.annotations.len();
        assert_eq!(left, beats - 3);
    }
}

#[tokio::test]
async fn a_node_that_is_no_longer_as_it_was_judged_is_left_alone() {
    let world = marked().await;
    world.0.borrow_mut().meanwhile = [(|node: &mut Node| node.unschedulable = true) as fn(&mut Node)].into();
    let answer = check(&world, json!({})).await;
    assert_eq!(
        answer["findings"][0]["done"],
        "its cordon has changed since it was looked at: the next check decides again"
    );
    assert_eq!(world.0.borrow().nodes["ip-10-0-0-7"].node.annotations.len(), 1);
}

#[tokio::test]
async fn bad_input_is_refused_before_anything_is_looked_at() {
    let world = World::default();
    world.0.borrow_mut().api_server_away = true;
    let error = serve(&world, json!({"plan": "yes"})).await.expect_err("refused");
    assert_eq!(error.name, ErrorName::InvalidInput);
    assert_eq!(error.message, "plan: \"yes\" is not true or false");
}
