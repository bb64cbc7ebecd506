//! The function in a small world: what it waits for, what it gives up, what it leaves alone.

#![allow(clippy::expect_used, clippy::panic, reason = "part of tests")]

mod world;

use bootstrap_cluster::{AddOns, BootstrapCluster};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tidegate_domain::api_server::ApiServer;
use tidegate_domain::bootstrap::title;
use tidegate_domain::drift::Scope;
use tidegate_domain::error::{ErrorName, Result};
use tidegate_lambda::Serve;
use tidegate_manifests::{MasterSet, Settings};

use crate::world::{MASTER, World, began};

async fn asked(world: &World, more: &Value) -> Value {
    asked_with(world, AddOns::default(), more).await
}

async fn asked_with(world: &World, add_ons: AddOns, more: &Value) -> Value {
    let function = function(
        world,
        add_ons,
        Settings::new(Vec::new(), vec!["m:19998".into()]),
        0,
    );
    answered(&function, more).await.expect("an answer")
}

/// With masters that run in the cluster, and memory for nodes without disks.
async fn asked_for_masters(world: &World, replicas: u32, memory_tier_mib: u32, more: &Value) -> Value {
    let settings = Settings {
        master_set: Some(MasterSet::new(replicas, "s3://bucket/alluxio".into())),
        ..Settings::new(Vec::new(), Vec::new())
    };
    let function = function(world, AddOns::default(), settings, memory_tier_mib);
    answered(&function, more).await.expect("an answer")
}

async fn answered(function: &impl Serve, more: &Value) -> Result<Value> {
    let mut call = json!({"input": {}, "startedAt": began()});
    for (field, value) in more.as_object().into_iter().flatten() {
        call[field] = value.clone();
    }
    Ok(function.serve(call).await?.answer)
}

fn function(world: &World, add_ons: AddOns, manifests: Settings, memory_tier_mib: u32) -> impl Serve {
    let connecting = world.clone();
    BootstrapCluster::<World> {
        eks: world.clone(),
        connect: Box::new(move |_: &ApiServer| Ok((connecting.clone(), connecting.clone()))),
        groups: world.clone(),
        instances: world.clone(),
        clock: world.clone(),
        scope: Scope {
            join_hook: "join".into(),
            drain_hook: "drain".into(),
            namespace: "alluxio".into(),
        },
        manifests,
        memory_tier_mib,
        add_ons,
        group_names: vec!["nvme-nodes".into()],
        cluster_name: "prod".into(),
        watch_seconds: 10,
        limit_seconds: 600,
    }
}

#[tokio::test]
async fn everything_is_applied_in_order_and_the_record_comes_last() {
    let world = World::default();
    let answer = asked(&world, &json!({})).await;
    assert_eq!(answer["outcome"], "applied", "{answer:#}");
    assert_eq!(
        answer["progress"]["verified"],
        json!([
            "rights",
            "fast-disks",
            "standard",
            "local-volume-provisioner",
            "alluxio-config",
            "alluxio-workers",
            "record"
        ])
    );
    let state = world.0.borrow();
    assert_eq!(
        state.applied.first().map(String::as_str),
        Some("Namespace alluxio")
    );
    assert_eq!(
        state.applied.last().map(String::as_str),
        Some("ConfigMap kube-system/tidegate-manifests")
    );
    assert_eq!(state.hooks, ["join", "drain"]);
}

#[tokio::test]
async fn a_group_whose_disks_are_one_array_gets_the_workers_of_that_layout() {
    let world = World::default();
    world.0.borrow_mut().one_array = true;
    let answer = asked(&world, &json!({})).await;
    assert_eq!(answer["diskLayouts"], json!(["1x600g"]), "{answer:#}");
}

#[tokio::test]
async fn what_is_verified_is_not_taken_again_and_without_progress_it_is() {
    let world = World::default();
    asked(&world, &json!({})).await;
    world.0.borrow_mut().applied.clear();
    let verified = json!([
        "rights",
        "fast-disks",
        "standard",
        "local-volume-provisioner",
        "record"
    ]);
    asked(&world, &json!({"progress": {"verified": verified}})).await;
    let applied = world.0.borrow().applied.clone();
    assert!(
        applied
            .iter()
            .all(|name| name.contains("alluxio") || name.contains("drain-rate")),
        "{applied:?}"
    );
    assert!(!applied.is_empty());
}

#[tokio::test]
async fn a_step_that_is_not_ready_holds_the_next_back_and_says_what_it_waits_for() {
    let world = World::default();
    let provisioner = "DaemonSet kube-system/local-volume-provisioner";
    world.0.borrow_mut().stuck.push(provisioner);
    let answer = asked(&world, &json!({})).await;
    assert_eq!(answer["outcome"], "waiting", "{answer:#}");
    assert_eq!(
        answer["reason"],
        format!("step local-volume-provisioner: {provisioner}: none of its 1 pods is ready")
    );
    assert_eq!(
        answer["progress"]["verified"],
        json!(["rights", "fast-disks", "standard"])
    );
    assert!(
        world.0.borrow().hooks.is_empty(),
        "no instance waits in a hook that nothing completes"
    );
}

#[tokio::test]
async fn a_class_whose_driver_is_missing_is_waited_for() {
    let world = World::default();
    world.0.borrow_mut().objects.clear();
    let answer = asked(&world, &json!({})).await;
    assert_eq!(answer["outcome"], "waiting", "{answer:#}");
    assert_eq!(
        answer["reason"],
        "step standard: StorageClass standard: there is no CSIDriver ebs.csi.aws.com"
    );
}

#[tokio::test]
async fn the_add_ons_that_are_asked_for_come_before_alluxio_in_the_version_of_the_cluster() {
    let world = World::default();
    let add_ons = AddOns {
        names: vec!["metrics-server".into(), "cluster-autoscaler".into()],
        metrics_server_image: "registry.k8s.io/metrics-server/metrics-server:v0.9.0".into(),
        cluster_autoscaler_image: None,
        region: "us-west-2".into(),
    };
    let answer = asked_with(&world, add_ons, &json!({"input": {"plan": true}})).await;
    let changes = answer["would"].to_string();
    let place = |name: &str| changes.find(name).unwrap_or_else(|| panic!("{name}: {changes}"));
    assert!(
        place("Deployment kube-system/metrics-server") < place("Deployment kube-system/cluster-autoscaler")
    );
    assert!(place("Deployment kube-system/cluster-autoscaler") < place("alluxio-worker-2x300g"));
}

#[tokio::test]
async fn when_the_time_is_over_what_waits_is_incomplete() {
    let world = World::default();
    world.0.borrow_mut().alluxio = false;
    let answer = asked(&world, &json!({})).await;
    assert_eq!(answer["outcome"], "waiting", "{answer:#}");
    world.0.borrow_mut().now += SignedDuration::from_secs(600);
    let answer = asked(&world, &json!({})).await;
    assert_eq!(answer["outcome"], "incomplete");
    assert_eq!(
        answer["reason"],
        "not set up within 600 s: no Alluxio master answers"
    );
}

#[tokio::test]
async fn a_cluster_that_is_being_made_is_waited_for_and_one_that_is_not_there_is_not() {
    let world = World::default();
    for (status, outcome, reason) in [
        ("CREATING", "waiting", "cluster prod is CREATING"),
        ("FAILED", "incomplete", "cluster prod is FAILED"),
        ("ABSENT", "incomplete", "there is no cluster prod"),
    ] {
        world.0.borrow_mut().status = status;
        let answer = asked(&world, &json!({})).await;
        assert_eq!(answer["outcome"], outcome, "{answer:#}");
        assert_eq!(answer["reason"], reason);
    }
}

#[tokio::test]
async fn groups_without_disks_or_that_do_not_exist_are_named() {
    let world = World::default();
    world.0.borrow_mut().instance_type = "m5.large";
    let answer = asked(&world, &json!({})).await;
    assert_eq!(answer["outcome"], "incomplete");
    assert_eq!(
        answer["reason"],
        "none of the groups nvme-nodes has an instance type with local NVMe disks, and the parameter MemoryTierMib \
         asks for no cache in memory"
    );
    let world = World::default();
    world.0.borrow_mut().group_exists = false;
    let answer = asked(&world, &json!({})).await;
    assert_eq!(answer["outcome"], "incomplete", "{answer:#}");
    assert!(
        answer["reason"].to_string().contains("nvme-nodes do not exist"),
        "{answer:#}"
    );
}

#[tokio::test]
async fn nodes_without_disks_get_a_cache_in_memory_where_that_is_asked_for_and_are_not_joined() {
    let world = World::default();
    world.0.borrow_mut().instance_type = "m5.large";
    let answer = asked_for_masters(&world, 1, 1024, &json!({})).await;
    assert_eq!(answer["outcome"], "applied", "{answer:#}");
    assert_eq!(answer["diskLayouts"], json!(["memory"]));
    assert_eq!(answer["instancesToJoin"], json!([]));
    let workers = "DaemonSet alluxio/alluxio-worker-memory".to_owned();
    assert!(world.0.borrow().applied.contains(&workers));
    let both = World::default();
    let answer = asked_for_masters(&both, 1, 1024, &json!({})).await;
    assert_eq!(answer["diskLayouts"], json!(["2x300g", "memory"]));
}

#[tokio::test]
async fn masters_in_the_cluster_come_before_the_workers_and_say_what_keeps_their_pods() {
    let world = World::default();
    let set = "StatefulSet alluxio/alluxio-master";
    let pod = json!({
        "kind": "Pod",
        "metadata": {"namespace": "alluxio", "name": "alluxio-master-1"},
        "status": {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]},
    });
    world.0.borrow_mut().stuck.push(set);
    world.0.borrow_mut().objects.insert(title(&pod), pod);
    let answer = asked_for_masters(&world, 3, 0, &json!({})).await;
    assert_eq!(answer["outcome"], "waiting", "{answer:#}");
    assert_eq!(
        answer["reason"],
        format!(
            "step alluxio-masters: {set}: 0 of its 3 pods are ready, not a majority: \
             Pod alluxio/alluxio-master-1: 0/3 nodes are available"
        )
    );
    world.0.borrow_mut().stuck.clear();
    let answer = asked_for_masters(&world, 3, 0, &json!({})).await;
    assert_eq!(answer["outcome"], "applied", "{answer:#}");
    let verified = answer["progress"]["verified"].to_string();
    assert!(
        verified.contains(r#""alluxio-masters","alluxio-workers""#),
        "{verified}"
    );
}

#[tokio::test]
async fn in_the_end_masters_are_shown_with_their_pods_and_those_elsewhere_with_what_they_answer() {
    let world = World::default();
    let answer = asked_for_masters(&world, 1, 0, &json!({"joining": true})).await;
    assert_eq!(answer["outcome"], "ready", "{answer:#}");
    assert_eq!(
        answer["overview"]["masters"]["rows"],
        json!([{
            "pod": "alluxio-master-0", "node": "ip-10-0-0-9", "address": MASTER, "role": "PRIMARY", "ready": true,
        }])
    );
    let answer = asked(&world, &json!({"joining": true})).await;
    assert_eq!(
        answer["overview"]["masters"]["rows"],
        json!([{"pod": "", "node": "", "address": MASTER, "role": "PRIMARY", "ready": true}])
    );
}

#[tokio::test]
async fn masters_that_nobody_names_or_wants_and_those_without_a_place_for_files_are_refused() {
    let world = World::default();
    let nobody = function(
        &world,
        AddOns::default(),
        Settings::new(Vec::new(), Vec::new()),
        0,
    );
    let error = answered(&nobody, &json!({})).await.expect_err("refused");
    assert_eq!(error.name, ErrorName::InvalidInput);
    assert!(
        error.message.contains("AlluxioMasters") && error.message.contains("MasterReplicas"),
        "{error}"
    );
    let homeless = Settings {
        master_set: Some(MasterSet::new(3, String::new())),
        ..Settings::new(Vec::new(), Vec::new())
    };
    let homeless = function(&world, AddOns::default(), homeless, 0);
    let error = answered(&homeless, &json!({})).await.expect_err("refused");
    assert_eq!(error.name, ErrorName::InvalidInput);
    assert!(error.message.contains("s3://BUCKET/PREFIX"), "{error}");
    assert!(world.0.borrow().applied.is_empty());
}

#[tokio::test]
async fn a_plan_changes_nothing_and_says_what_it_would_change() {
    let world = World::default();
    let plan = json!({"input": {"plan": true}});
    let answer = asked(&world, &plan).await;
    assert_eq!(answer["outcome"], "planned");
    let changes = answer["would"].to_string();
    for change in [
        "make Namespace alluxio",
        "make DaemonSet alluxio/alluxio-worker-2x300g",
        "has no hook join",
    ] {
        assert!(changes.contains(change), "{change}: {changes}");
    }
    assert!(world.0.borrow().applied.is_empty() && world.0.borrow().hooks.is_empty());
    asked(&world, &json!({})).await;
    let class = "StorageClass fast-disks";
    world.0.borrow_mut().objects.get_mut(class).expect("applied")["reclaimPolicy"] = json!("Retain");
    let changes = asked(&world, &plan).await["would"].to_string();
    assert!(
        changes.contains(&format!("change {class}: reclaimPolicy is")),
        "{changes}"
    );
    assert!(!changes.contains("make "), "{changes}");
}
