//! The function in a small world: what it saves, what it takes away and in which order, what stops it.

#![allow(clippy::expect_used, clippy::panic, reason = "part of tests")]

mod caches;
mod world;

use serde_json::{Value, json};
use tidegate_domain::cache::WorkerState;
use tidegate_domain::destroy::Remain;
use tidegate_domain::error::ErrorName;
use tidegate_domain::node::VolumePhase;

use world::{ONE, OTHER, World, began, theirs, volume};

async fn plan(world: &World, input: Value) -> Value {
    let payload = json!({
        "input": input,
        "startedAt": began(),
        "stage": "plan",
        "stack": {"status": "CREATE_COMPLETE"},
    });
    world
        .call(Some("prod-cluster"), payload)
        .await
        .expect("an answer")
}

async fn empty(world: &World) -> Value {
    world.until_done("empty", json!({}), 50).await
}

async fn empty_accepting(world: &World) -> Value {
    let input = json!({"cluster": "prod", "confirm": "prod", "acceptDataLoss": true});
    world.until_done("empty", json!({ "input": input }), 500).await
}

#[tokio::test]
async fn a_plan_says_what_would_go_and_what_would_be_lost_and_changes_nothing() {
    let world = World::default();
    world.write("/table/part-0", &[ONE, OTHER]);
    world.write("/job/_temporary/part-0", &[OTHER]);
    let answer = plan(&world, json!({"cluster": "prod", "plan": true})).await;
    assert_eq!(answer["outcome"], "planned", "{answer:#}");
    let foreseen = &answer["plan"];
    assert_eq!(
        foreseen["persisted"],
        json!({"files": 1, "bytes": 10}),
        "counted once"
    );
    assert_eq!(foreseen["lost"], json!({"files": 1, "bytes": 10}));
    assert!(
        foreseen["lostFiles"][0]
            .as_str()
            .is_some_and(|file| file.starts_with("/job/_temporary/part-0 (10 bytes: ")),
        "{foreseen:#}"
    );
    assert_eq!(foreseen["instances"], json!(["i-1"]));
    let steps = foreseen["would"].to_string();
    for step in [
        "stop Deployment scaling/autoscaler",
        "write 1 files (10 bytes) to the under store",
        "take 2 workers out of service",
        "take hook join off group nvme",
        "delete DaemonSet alluxio/alluxio-worker-2x300g",
        "delete PersistentVolumeClaim alluxio/journal-alluxio-master-0",
        "delete PersistentVolume local-pv-1",
        "delete stack prod-cluster with cluster prod",
    ] {
        assert!(steps.contains(step), "{step}: {steps}");
    }
    assert!(
        !steps.contains("coredns") && !steps.contains("hook eks"),
        "{steps}"
    );
    assert!(world.0.borrow().did.is_empty(), "{:?}", world.0.borrow().did);
}

#[tokio::test]
async fn what_would_be_lost_stops_it_before_anything_is_touched_unless_that_is_accepted() {
    let world = World::default();
    world.write("/job/_temporary/part-0", &[ONE]);
    let confirmed = json!({"cluster": "prod", "confirm": "prod"});
    let answer = plan(&world, confirmed).await;
    assert_eq!(answer["outcome"], "refused", "{answer:#}");
    let reason = answer["reason"].as_str().unwrap_or_default();
    assert!(
        reason.contains("/job/_temporary/part-0") && reason.contains("acceptDataLoss"),
        "{reason}"
    );
    let accepting = json!({"cluster": "prod", "confirm": "prod", "acceptDataLoss": true});
    assert_eq!(plan(&world, accepting).await["outcome"], "foreseen");
    assert!(world.0.borrow().did.is_empty());
}

#[tokio::test]
async fn what_may_still_be_saved_refuses_nothing_and_is_told() {
    let world = World::default();
    world.write("/log", &[ONE]);
    world.0.borrow_mut().files.get_mut("/log").expect("it").completed = false;
    let answer = plan(&world, json!({"cluster": "prod", "confirm": "prod"})).await;
    assert_eq!(answer["outcome"], "foreseen", "{answer:#}");
    assert_eq!(answer["plan"]["waiting"]["files"], 1);
    let hinders = answer["plan"]["hinders"].to_string();
    assert!(hinders.contains("/log (still being written)"), "{hinders}");
}

#[tokio::test]
async fn everything_is_saved_then_out_of_service_then_gone_in_this_order() {
    let world = World::default();
    world.write("/table/part-0", &[ONE]);
    let answer = empty(&world).await;
    assert_eq!(answer["outcome"], "emptied", "{answer:#}");
    assert_eq!(answer["persistedFiles"], 1);
    assert_eq!(answer["filesLost"], 0);
    let did = world.0.borrow().did.clone();
    let place = |what: &str| {
        let place = did.iter().position(|did| did.contains(what));
        place.unwrap_or_else(|| panic!("{what}: {did:#?}"))
    };
    let order = [
        "apply ConfigMap kube-system/tidegate-manifests",
        "scale Deployment scaling/autoscaler to 0",
        "persist /table/part-0",
        "decommission",
        "hook join",
        "delete DaemonSet alluxio/alluxio-worker-2x300g",
        "delete PersistentVolumeClaim alluxio/journal-alluxio-master-0",
        "delete StatefulSet alluxio/alluxio-master",
        "delete PersistentVolume local-pv-1",
        "delete StorageClass fast-disks",
        "delete Namespace alluxio",
        "delete ConfigMap kube-system/tidegate-manifests",
    ];
    for pair in order.windows(2) {
        assert!(place(pair[0]) < place(pair[1]), "{pair:?}: {did:#?}");
    }
    assert!(!world.did("coredns") && !world.did("hook eks") && !world.did("delete Namespace team"));
    let again = empty(&world).await;
    assert_eq!(again["outcome"], "emptied", "{again:#}");
    assert_eq!(
        world.0.borrow().did.len(),
        did.len(),
        "a second time there is nothing to do"
    );
}

#[tokio::test]
async fn a_write_that_races_is_found_and_saved_when_its_worker_is_back() {
    let world = World::default();
    world.0.borrow_mut().races = Some("/late");
    let answer = world.until_done("empty", json!({}), 3).await;
    assert_eq!(answer["outcome"], "waiting", "{answer:#}");
    let reason = answer["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("/late"), "{reason}");
    assert!(!world.did("delete"), "{:?}", world.0.borrow().did);
    world.0.borrow_mut().workers.insert(ONE, WorkerState::Live);
    let answer = empty(&world).await;
    assert_eq!(answer["outcome"], "emptied", "{answer:#}");
    assert!(world.0.borrow().files["/late"].persisted);
}

#[tokio::test]
async fn without_what_earlier_calls_left_the_same_end_is_reached() {
    let world = World::default();
    world.write("/table/part-0", &[ONE]);
    let payload =
        || json!({"input": {"cluster": "prod", "confirm": "prod"}, "startedAt": began(), "stage": "empty"});
    for _ in 0..50 {
        let answer = world
            .call(Some("prod-cluster"), payload())
            .await
            .expect("an answer");
        if answer["outcome"] == "emptied" {
            assert!(world.0.borrow().files["/table/part-0"].persisted);
            return;
        }
        assert_eq!(answer["outcome"], "waiting", "{answer:#}");
    }
    panic!("it never came to an end: {:?}", world.0.borrow().did);
}

#[tokio::test]
async fn a_file_that_can_never_be_saved_stops_it_and_its_worker_stays_in_service() {
    let world = World::default();
    world.write("/job/_temporary/part-0", &[ONE, OTHER]);
    let answer = empty(&world).await;
    assert_eq!(answer["outcome"], "incomplete", "{answer:#}");
    assert!(!world.did("decommission") && !world.did("delete") && !world.did("hook"));
}

#[tokio::test]
async fn with_its_loss_accepted_the_rest_is_saved_and_the_loss_is_listed() {
    let world = World::default();
    world.write("/table/part-0", &[ONE]);
    world.write("/job/_temporary/part-0", &[OTHER]);
    let answer = empty_accepting(&world).await;
    assert_eq!(answer["outcome"], "emptied", "{answer:#}");
    assert!(world.0.borrow().files["/table/part-0"].persisted);
    assert_eq!(
        (&answer["filesLost"], &answer["bytesLost"]),
        (&json!(1), &json!(10))
    );
    assert!(
        answer["lostFiles"][0]
            .as_str()
            .is_some_and(|file| file.starts_with("/job/_temporary/part-0"))
    );
}

#[tokio::test]
async fn a_file_that_was_broken_before_is_named_and_goes() {
    let world = World::default();
    world.write_blocks("/spread", &[&[ONE], &[], &[OTHER]]);
    world.write_blocks("/job/_temporary/spread", &[&[], &[OTHER]]);
    let foreseen = plan(&world, json!({"cluster": "prod", "confirm": "prod"})).await;
    assert_eq!(foreseen["outcome"], "foreseen", "{foreseen:#}");
    assert_eq!(foreseen["plan"]["broken"], json!({"files": 2, "bytes": 50}));
    assert_eq!(foreseen["plan"]["lost"], json!({"files": 0, "bytes": 0}));

    let answer = empty(&world).await;
    assert_eq!(answer["outcome"], "emptied", "{answer:#}");
    assert_eq!(
        (&answer["filesBroken"], &answer["filesLost"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(
        answer["brokenFiles"][0],
        "/spread (30 bytes: 1 of its 3 blocks on no worker in service and in no under store)"
    );
}

#[tokio::test]
async fn a_block_on_a_worker_out_of_service_is_not_taken_for_lost() {
    let world = World::default();
    world.write_blocks("/spread", &[&[ONE], &[OTHER]]);
    world
        .0
        .borrow_mut()
        .workers
        .insert(OTHER, WorkerState::Decommissioned);
    let answer = world.until_done("empty", json!({}), 3).await;
    assert_eq!(answer["outcome"], "waiting", "{answer:#}");
    assert!(!world.did("decommission"), "{:?}", world.0.borrow().did);
    world.0.borrow_mut().workers.insert(OTHER, WorkerState::Live);
    let answer = empty(&world).await;
    assert_eq!(answer["outcome"], "emptied", "{answer:#}");
    assert!(world.0.borrow().files["/spread"].persisted);
    assert_eq!(answer["filesBroken"], 0);
}

#[tokio::test]
async fn a_store_that_refuses_is_waited_for_and_nothing_goes() {
    let world = World::default();
    world.write("/table/part-0", &[ONE]);
    world.0.borrow_mut().store_refuses = true;
    let answer = world.until_done("empty", json!({}), 200).await;
    assert_eq!(answer["outcome"], "incomplete", "{answer:#}");
    let reason = answer["reason"].as_str().unwrap_or_default();
    assert!(
        reason.starts_with("not done within 600 s: 1 files (10 bytes) are being written"),
        "{reason}"
    );
    assert!(!world.did("decommission") && !world.did("delete"));
}

#[tokio::test]
async fn with_loss_accepted_a_store_that_refuses_is_given_up_when_the_time_is_over() {
    let world = World::default();
    world.write("/table/part-0", &[ONE]);
    world.0.borrow_mut().store_refuses = true;
    let answer = empty_accepting(&world).await;
    assert_eq!(answer["outcome"], "emptied", "{answer:#}");
    assert_eq!(answer["filesLost"], 1);
    assert!(world.0.borrow().now.duration_since(began()).as_secs() >= 600);
}

#[tokio::test]
async fn a_worker_that_alluxio_has_lost_is_waited_for_as_long_as_its_pod_stands() {
    let world = World::default();
    world.0.borrow_mut().workers.insert(OTHER, WorkerState::Lost);
    let answer = world.until_done("empty", json!({}), 3).await;
    assert_eq!(answer["outcome"], "waiting", "{answer:#}");
    assert!(
        answer["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("has lost worker"))
    );
    assert!(!world.did("decommission"), "the others stay in service meanwhile");
    let answer = empty_accepting(&world).await;
    assert_eq!(answer["outcome"], "emptied", "{answer:#}");
    assert!(answer["unseenCaches"].to_string().contains(OTHER), "{answer:#}");
}

#[tokio::test]
async fn clients_get_their_time_and_a_worker_that_never_looks_idle_goes_after_its_limit() {
    let world = World::default();
    world.0.borrow_mut().busy = true;
    let answer = empty(&world).await;
    assert_eq!(answer["outcome"], "emptied", "{answer:#}");
    assert!(world.0.borrow().now.duration_since(began()).as_secs() >= 30);
}

#[tokio::test]
async fn masters_that_do_not_answer_are_waited_for_while_a_worker_runs_and_not_after() {
    let world = World::default();
    world.0.borrow_mut().alluxio = false;
    let payload =
        json!({"input": {"cluster": "prod", "confirm": "prod"}, "startedAt": began(), "stage": "empty"});
    let error = world
        .call(Some("prod-cluster"), payload)
        .await
        .expect_err("not reached");
    assert_eq!(error.name, ErrorName::AlluxioUnavailable);
    assert!(!world.did("delete"));
    world.0.borrow_mut().pods.clear();
    assert_eq!(empty(&world).await["outcome"], "emptied");
}

#[tokio::test]
async fn executions_under_way_are_waited_for() {
    let world = World::default();
    world.0.borrow_mut().running.push("arn:join".into());
    let answer = world.until_done("empty", json!({}), 2).await;
    assert_eq!(answer["outcome"], "waiting");
    assert_eq!(answer["reason"], "1 other executions run, such as arn:join");
    assert!(world.did("apply ConfigMap"), "the mark stands already");
    assert!(!world.did("decommission"));
}

#[tokio::test]
async fn what_somebody_else_has_in_the_namespace_stays_with_it_and_is_named() {
    let world = World::default();
    let secret = theirs("v1", "Secret", Some("alluxio"), "theirs");
    world
        .0
        .borrow_mut()
        .objects
        .insert("Secret alluxio/theirs".into(), secret);
    let answer = empty(&world).await;
    assert_eq!(answer["outcome"], "emptied", "{answer:#}");
    assert_eq!(answer["foreign"], json!(["Secret alluxio/theirs"]));
    assert!(!world.did("Namespace alluxio"));
    assert!(world.did("delete ConfigMap kube-system/tidegate-manifests"));
    let again = empty(&world).await;
    assert_eq!(again["outcome"], "emptied");
    assert!(
        !world
            .0
            .borrow()
            .objects
            .contains_key("ConfigMap kube-system/tidegate-manifests")
    );
}

#[tokio::test]
async fn a_volume_that_is_kept_by_its_policy_stops_it_with_its_id() {
    let world = World::default();
    let mut kept = volume("pvc-1", Some("vol-1"));
    kept.deletes = false;
    world.0.borrow_mut().volumes.push(kept);
    let answer = empty(&world).await;
    assert_eq!(answer["outcome"], "incomplete", "{answer:#}");
    assert!(answer["left"].to_string().contains("vol-1"), "{answer:#}");
}

#[tokio::test]
async fn a_volume_that_its_driver_does_not_take_away_is_waited_for() {
    let world = World::default();
    let mut stuck = volume("pvc-1", Some("vol-1"));
    stuck.phase = VolumePhase::Released;
    world.0.borrow_mut().volumes.push(stuck);
    // Somebody else's claim of that name keeps the driver from doing it here.
    let claim = theirs("v1", "ConfigMap", Some("team"), "journal-x");
    world
        .0
        .borrow_mut()
        .objects
        .insert("ConfigMap team/journal-x".into(), claim);
    let answer = world.until_done("empty", json!({}), 5).await;
    assert_eq!(answer["outcome"], "waiting", "{answer:#}");
    assert!(
        answer["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("vol-1")),
        "{answer:#}"
    );
}

#[tokio::test]
async fn where_the_cluster_stays_cluster_autoscaler_goes_on_and_its_nodes_keep_nothing_of_ours() {
    let world = World::default();
    let payload =
        json!({"input": {"cluster": "prod", "confirm": "prod"}, "startedAt": began(), "stage": "empty"});
    for _ in 0..50 {
        let answer = world.call(None, payload.clone()).await.expect("an answer");
        if answer["outcome"] == "emptied" {
            break;
        }
    }
    let state = world.0.borrow();
    assert_eq!(
        state.objects["Deployment scaling/autoscaler"]["spec"]["replicas"],
        2
    );
    for seen in &state.nodes {
        let labels: Vec<_> = seen.node.labels.keys().collect();
        assert_eq!(labels, ["team"], "{}", seen.node.name);
    }
    let first_node = state.did.iter().position(|did| did.contains("off node-1"));
    let provisioner = "delete DaemonSet kube-system/local-volume-provisioner";
    let provisioner = state.did.iter().position(|did| did == provisioner);
    assert!(
        provisioner.is_some() && provisioner < first_node,
        "{:?}",
        state.did
    );
}

#[tokio::test]
async fn where_the_cluster_goes_its_nodes_go_as_they_are() {
    let world = World::default();
    let answer = world.until_done("empty", json!({}), 50).await;
    assert_eq!(answer["outcome"], "emptied", "{answer:#}");
    assert!(!world.did(" off node-"), "{:?}", world.0.borrow().did);
}

#[tokio::test]
async fn one_that_was_cut_off_after_the_stack_began_to_go_does_not_ask_the_cluster() {
    let world = World::default();
    world.0.borrow_mut().status = Some("DELETING");
    let call = |status: &str, ours: bool| {
        json!({
            "input": {"cluster": "prod", "confirm": "prod"},
            "startedAt": began(),
            "stage": "plan",
            "stack": {"status": status, "ours": ours},
        })
    };
    let answer = world
        .call(Some("prod-cluster"), call("DELETE_FAILED", true))
        .await
        .expect("an answer");
    assert_eq!(answer["outcome"], "emptied", "{answer:#}");
    let answer = world
        .call(Some("prod-cluster"), call("DELETE_IN_PROGRESS", false))
        .await
        .expect("an answer");
    assert_eq!(answer["outcome"], "incomplete", "{answer:#}");
    assert!(
        answer["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("did not begin here"))
    );
    world.0.borrow_mut().status = None;
    let answer = world
        .call(Some("prod-cluster"), call("GONE", false))
        .await
        .expect("an answer");
    assert_eq!(answer["outcome"], "emptied", "{answer:#}");
}

#[tokio::test]
async fn a_stack_that_is_not_there_does_not_speak_for_a_cluster_that_is() {
    let world = World::default();
    let payload = json!({
        "input": {"cluster": "prod", "confirm": "prod"},
        "startedAt": began(),
        "stage": "plan",
        "stack": {"status": "GONE"},
    });
    let answer = world
        .call(Some("prod-cluster"), payload)
        .await
        .expect("an answer");
    assert_eq!(answer["outcome"], "incomplete", "{answer:#}");
    assert!(
        answer["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("ClusterStackName"))
    );
}

#[tokio::test]
async fn it_is_destroyed_when_nothing_is_left_and_incomplete_with_the_ids_of_what_is() {
    let world = World::default();
    world.0.borrow_mut().status = None;
    world.0.borrow_mut().groups_exist = false;
    let gone = json!({"stack": {"status": "GONE"}});
    assert_eq!(
        world.until_done("prove", gone.clone(), 5).await["outcome"],
        "destroyed"
    );
    let remain = |kind, id: &str, state: &str| Remain {
        kind,
        id: id.to_owned(),
        state: state.to_owned(),
    };
    world.0.borrow_mut().remains = vec![remain("instance", "i-1", "shutting-down")];
    let answer = world.until_done("prove", gone.clone(), 5).await;
    assert_eq!(answer["outcome"], "waiting", "{answer:#}");
    world.0.borrow_mut().remains = vec![remain("volume", "vol-1", "available")];
    let answer = world.until_done("prove", gone.clone(), 100).await;
    assert_eq!(answer["outcome"], "incomplete", "{answer:#}");
    assert_eq!(answer["left"], json!(["volume vol-1 is available"]));
    world.0.borrow_mut().remains.clear();
    world.0.borrow_mut().groups_exist = true;
    let answer = world.until_done("prove", gone, 100).await;
    assert_eq!(answer["left"], json!(["Auto Scaling group nvme is there"]));
}

#[tokio::test]
async fn nothing_is_done_for_another_clusters_name() {
    let world = World::default();
    let payload =
        json!({"input": {"cluster": "dev", "confirm": "dev"}, "startedAt": began(), "stage": "empty"});
    let error = world
        .call(Some("prod-cluster"), payload)
        .await
        .expect_err("refused");
    assert_eq!(error.name, ErrorName::InvalidInput);
    assert!(world.0.borrow().did.is_empty());
}
