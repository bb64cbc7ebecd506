//! Drift of what nodes left behind, and of settings: made to happen, found, set right. These run alone.

use aws_sdk_autoscaling::types::{InstanceLifecyclePolicy, RetentionAction, RetentionTriggers};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::world::{Group, Machine, ONE_DISK, World, eventually, kubectl};

const GONE: &str = "i-0fedcba9876543210";

#[tokio::test]
async fn a_worker_whose_node_is_gone_is_said_to_expire() {
    let group = Group::with_nodes("case-drift-forgotten", ONE_DISK, 1).await;
    let instance = &group.in_service(1).await[0];
    let (_, host) = group.world.node_address(instance).await;
    // The drain that its end starts would decommission the worker where it comes before the node is gone: such a worker
    // is not forgotten, it expires.
    group.world.lose_state_changes().await;
    group.delete().await;
    let check = eventually(60, "Alluxio has the worker as lost", async || {
        let check = group.world.check(&json!({"plan": true})).await;
        if check.finding("worker-forgotten", &host).is_some() {
            Ok(check)
        } else {
            Err(check)
        }
    })
    .await;
    group.world.lose_no_more_events().await;
    check.expect("worker-forgotten", &host, "no call forgets a lost worker");
}

#[tokio::test]
async fn a_worker_that_was_disabled_is_forgotten_once_its_node_is_gone() {
    let group = Group::with_nodes("case-drift-disabled", ONE_DISK, 1).await;
    let instance = &group.in_service(1).await[0];
    let (_, host) = group.world.node_address(instance).await;
    group.world.disable_worker(&host).await;
    group.delete().await;
    let check = eventually(60, "no node has the worker's address", async || {
        let check = group.world.repair("worker-forgotten").await;
        if check.finding("worker-forgotten", &host).is_some() {
            Ok(check)
        } else {
            Err(check)
        }
    })
    .await;
    let finding = check.expect("worker-forgotten", &host, "forgotten");
    assert!(
        finding["seen"]
            .as_str()
            .is_some_and(|seen| seen.contains("Disabled")),
        "{finding:#}"
    );
    // Out of the list at once, out of the report when the master looks for lost workers the next time.
    eventually(60, "the master has forgotten the worker", async || {
        let known = group.world.worker_hosts("ALL").await;
        if known.contains(&host) { Err(known) } else { Ok(()) }
    })
    .await;
}

#[tokio::test]
async fn a_volume_of_a_node_that_is_gone_is_deleted() {
    let world = World::connect().await;
    let affinity = json!([{"matchExpressions": [
        {"key": "kubernetes.io/hostname", "operator": "In", "values": ["ip-10-9-9-9"]}]}]);
    world
        .make_volume(json!({
            "metadata": {"name": "case-drift-orphan", "labels": {"tidegate.dev/instance-id": GONE}},
            "spec": {
                "capacity": {"storage": "273Gi"},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Delete",
                "storageClassName": "fast-disks",
                "local": {"path": "/mnt/fast-disks/gone"},
                "nodeAffinity": {"required": {"nodeSelectorTerms": affinity}},
            },
        }))
        .await;
    let check = world.repair("volume-orphaned").await;
    check.expect("volume-orphaned", "case-drift-orphan", "deleted");
    eventually(30, "the volume is gone", async || {
        if world.has_volume("case-drift-orphan").await {
            Err("there")
        } else {
            Ok(())
        }
    })
    .await;
}

#[tokio::test]
async fn a_volume_that_nobody_empties_is_deleted_and_published_again() {
    let group = Group::with_nodes("case-drift-released", ONE_DISK, 1).await;
    let instance = &group.in_service(1).await[0];
    let phases = async || {
        let volumes = group.world.volumes(instance).await;
        volumes.into_iter().map(|(phase, _)| phase).collect::<Vec<_>>()
    };
    // The provisioner first: what is released then stays so.
    group.world.take_label_off(instance, "fast-disk-node").await;
    group.world.pass(5).await;
    group
        .world
        .take_label_off(instance, "tidegate.dev/alluxio-worker")
        .await;
    eventually(60, "the volume is released", async || match phases().await {
        phases if phases == ["Released"] => Ok(()),
        other => Err(other),
    })
    .await;
    let check = group.world.repair("volume-released").await;
    check.expect("volume-released", "local-pv-", "deleted");
    assert!(phases().await.is_empty());
    let check = group.world.repair("node-incomplete").await;
    check.expect("node-incomplete", instance, "started drift-join-");
    group
        .world
        .ended_for_repair(Machine::Join, instance, "joined")
        .await;
    assert_eq!(phases().await, ["Bound"]);
    group.delete().await;
}

#[tokio::test]
async fn a_claim_that_no_worker_made_is_left_alone() {
    const NAME: &str = "case-drift-claim";
    let world = World::connect().await;
    let claim = json!({
        "metadata": {"name": NAME},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "fast-disks",
            "resources": {"requests": {"storage": "252Gi"}},
        },
    });
    let claim = serde_json::from_value(claim).expect("a claim");
    let made = world.claims().create(&PostParams::default(), &claim).await;
    let uid = made.expect("taken").metadata.uid;
    for _ in 0..2 {
        let check = world.repair("claim-orphaned").await;
        assert!(check.finding("claim-orphaned", NAME).is_none(), "{check:#?}");
    }
    let there = world.claims().get(NAME).await.expect("there");
    assert_eq!(there.metadata.uid, uid);
    assert_eq!(there.metadata.deletion_timestamp, None);
    world
        .claims()
        .delete(NAME, &DeleteParams::default())
        .await
        .expect("deleted");
}

#[tokio::test]
async fn a_hook_that_was_deleted_is_put_again() {
    let group = Group::make("case-drift-hook", ONE_DISK).await;
    let delete = group.world.autoscaling.delete_lifecycle_hook();
    let delete = delete.auto_scaling_group_name(group.name);
    let deleted = delete.lifecycle_hook_name("tidegate-node-drain").send().await;
    deleted.expect("DeleteLifecycleHook");
    let check = group.world.repair("hook-drifted").await;
    check.expect(
        "hook-drifted",
        "case-drift-hook/tidegate-node-drain",
        "put: 1800 s, ABANDON",
    );
    let hooks = group.world.autoscaling.describe_lifecycle_hooks();
    let hooks = hooks
        .auto_scaling_group_name(group.name)
        .send()
        .await
        .expect("hooks");
    assert_eq!(hooks.lifecycle_hooks().len(), 2);
    group.delete().await;
}

#[tokio::test]
async fn a_group_that_was_told_to_retain_nothing_retains_again() {
    let group = Group::make("case-drift-retention", ONE_DISK).await;
    let triggers = RetentionTriggers::builder()
        .terminate_hook_abandon(RetentionAction::Terminate)
        .build();
    let policy = InstanceLifecyclePolicy::builder()
        .retention_triggers(triggers)
        .build();
    let update = group.world.autoscaling.update_auto_scaling_group();
    let update = update
        .auto_scaling_group_name(group.name)
        .instance_lifecycle_policy(policy);
    update.send().await.expect("UpdateAutoScalingGroup");
    let check = group.world.repair("retention-drifted").await;
    check.expect("retention-drifted", group.name, "the group retains");
    let again = group.world.check(&json!({"plan": true})).await;
    assert!(
        again.finding("retention-drifted", group.name).is_none(),
        "{again:#?}"
    );
    group.delete().await;
}

#[tokio::test]
async fn a_rule_that_was_disabled_is_enabled_again() {
    let world = World::connect().await;
    world.aws(&["events", "disable-rule", "--name", "tidegate-node-launching"]);
    let check = world.repair("rule-disabled").await;
    check.expect("rule-disabled", "tidegate-node-launching", "enabled");
    let rule = [
        "events",
        "describe-rule",
        "--name",
        "tidegate-node-launching",
        "--query",
        "State",
    ];
    assert_eq!(world.aws(&rule), "ENABLED");
}

#[tokio::test]
async fn a_manifest_that_was_changed_by_hand_is_applied_again() {
    const NAME: &str = "alluxio-worker-1x300g";
    let world = World::connect().await;
    let grace = json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 30}}}});
    let patched = world
        .daemon_sets()
        .patch(NAME, &PatchParams::default(), &Patch::Merge(&grace))
        .await;
    patched.expect("patched");
    let check = world.repair("manifest-drifted").await;
    let finding = check.expect("manifest-drifted", NAME, "applied as recorded");
    assert!(
        finding["seen"]
            .as_str()
            .is_some_and(|seen| seen.contains("terminationGracePeriodSeconds is 30, not 120")),
        "{finding:#}"
    );
    let set = world.daemon_sets().get(NAME).await.expect("there");
    let pod = set.spec.and_then(|spec| spec.template.spec).expect("a pod");
    assert_eq!(pod.termination_grace_period_seconds, Some(120));
    let again = world.check(&json!({"plan": true})).await;
    assert!(
        again.finding("manifest-drifted", "").is_none(),
        "{}",
        again.0.output["table"]
    );
}

#[tokio::test]
async fn manifests_that_are_gone_are_made_again_and_those_of_kube_system_are_set_right() {
    let world = World::connect().await;
    // Of a disk layout that no node has here: the pods of the other one hold files.
    let gone = [
        "storageclass/fast-disks",
        "-n=alluxio configmap/alluxio-config",
        "-n=alluxio configmap/tidegate-drain-rate",
        "-n=alluxio serviceaccount/alluxio-worker",
        "-n=alluxio daemonset/alluxio-worker-2x300g",
    ];
    let object = |what: &'static str| what.split(' ').collect::<Vec<_>>();
    for what in gone {
        kubectl(&[&["delete"][..], &object(what)].concat());
    }
    let changed = [
        (
            "configmap/local-volume-provisioner-config",
            r#"{"data": {"setPVOwnerRef": "false"}}"#,
        ),
        (
            "daemonset/local-volume-provisioner",
            r#"{"spec": {"template": {"spec": {"priorityClassName": "system-cluster-critical"}}}}"#,
        ),
    ];
    for (what, patch) in changed {
        kubectl(&["-n=kube-system", "patch", what, "--type=merge", "-p", patch]);
    }
    let check = world.repair("manifest-drifted").await;
    for what in gone.iter().copied().chain(changed.map(|(what, _)| what)) {
        let name = what.rsplit('/').next().unwrap_or_default();
        check.expect("manifest-drifted", name, "applied as recorded");
    }
    for what in gone {
        kubectl(&[&["get"][..], &object(what)].concat());
    }
    let again = world.check(&json!({"plan": true})).await;
    assert!(
        again.finding("manifest-drifted", "").is_none(),
        "{}",
        again.0.output["table"]
    );
}

#[tokio::test]
async fn the_schedule_starts_a_check() {
    let world = World::connect().await;
    let before = world.checks_begun().await;
    world.schedule_fires("tidegate-drift-check").await;
    eventually(30, "one more check has begun", async || {
        let begun = world.checks_begun().await;
        if begun > before { Ok(()) } else { Err(begun) }
    })
    .await;
}

#[tokio::test]
async fn an_execution_that_failed_is_told_in_the_next_check_and_not_in_the_one_after() {
    let world = World::connect().await;
    let ended = world
        .run(Machine::Drain, &json!({"instanceId": "web-1"}), 60)
        .await;
    assert_eq!(ended.error, "InvalidInput");
    let check = world.check(&json!({"repair": []})).await;
    let finding = check.expect("execution-failed", &ended.arn, "what it left undone");
    assert!(
        finding["seen"]
            .as_str()
            .is_some_and(|seen| seen.contains("web-1")),
        "{finding:#}"
    );
    let next = world.check(&json!({"repair": []})).await;
    assert!(
        next.finding("execution-failed", &ended.arn).is_none(),
        "{next:#?}"
    );
}
