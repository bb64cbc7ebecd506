//! A cluster in which nothing is set up: the stack is complete, and everything follows. These have a world of their own.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::nothing_left::expect_nothing_in_the_cluster;
use crate::story::{STARTUP_TAINT, set_up_by_the_stack};
use crate::world::{Execution, Group, Machine, World, eventually, kubectl};

const LAUNCH_HOOK: &str = "tidegate-node-join";

async fn bootstrap(world: &World, input: &Value) -> Execution {
    world.run(Machine::Bootstrap, input, 300).await
}

async fn delete_hooks(group: &Group) {
    for name in [LAUNCH_HOOK, "tidegate-node-drain"] {
        let deleted = group
            .world
            .autoscaling
            .delete_lifecycle_hook()
            .auto_scaling_group_name(group.name)
            .lifecycle_hook_name(name);
        deleted.send().await.expect("DeleteLifecycleHook");
    }
}

#[tokio::test]
async fn a_bare_cluster_is_set_up_when_the_stack_is_complete_and_stays_so_whatever_is_taken_away() {
    let group = Group::of_node_group("nvme-nodes").await;
    let world = &group.world;
    // metrics-server needs a node to run on. It comes before there are hooks: setting up lets it join.
    group.scale_to(1).await;
    let first = set_up_by_the_stack(world).await;
    assert_eq!(group.hooks().await, ["tidegate-node-drain", LAUNCH_HOOK]);
    assert_eq!(first.output["diskLayouts"], json!(["2x300g"]));
    let instance = group.in_service(1).await.remove(0);
    world
        .ended_for(Machine::Join, &instance, 30)
        .await
        .expect("joined");
    expect_measured(world, &first, &instance).await;

    // Set up means: what comes now joins by itself.
    group.scale_to(2).await;
    let both = group.in_service(2).await;
    let second = both.iter().find(|other| **other != instance).expect("another");
    world.ended_for(Machine::Join, second, 30).await.expect("joined");

    let plan = bootstrap(world, &json!({"plan": true})).await;
    plan.expect("planned");
    assert_eq!(plan.reason(), "nothing to do");

    what_a_person_does(&group).await;
    let late = group.in_service(3).await;
    let late = late.iter().find(|other| !both.contains(other)).expect("another");
    let plan = bootstrap(world, &json!({"plan": true})).await;
    for would in ["make StorageClass fast-disks", late.as_str(), LAUNCH_HOOK] {
        assert!(
            plan.output["would"].to_string().contains(would),
            "{would}: {plan:#?}"
        );
    }
    assert!(group.hooks().await.is_empty(), "a plan changes nothing");

    let again = bootstrap(world, &json!({})).await;
    again.expect("ready");
    everything_is_back(&group, late).await;
    assert_eq!(
        again.output["overview"]["workers"]["rows"]
            .as_array()
            .map(Vec::len),
        Some(3)
    );
    let tables = again.output["tables"].as_str().expect("tables");
    for shown in [
        "CLUSTERS",
        "nvme-nodes",
        group.name,
        instance.as_str(),
        "local-volume-provisioner",
        "fast-disks",
        "LIVE",
        "PRIMARY",
        "TOP",
    ] {
        assert!(tables.contains(shown), "{shown} is not in\n{tables}");
    }

    let third = bootstrap(world, &json!({})).await;
    third.expect("ready");
    assert_eq!(
        third.output["changed"],
        json!([]),
        "the third time there is nothing to do"
    );
    let check = world.run(Machine::Check, &json!({"plan": true}), 90).await;
    check.expect("consistent");

    all_of_it_is_taken_away_and_the_cluster_stays(&group).await;
}

/// The cluster has no stack of ours: what is somebody else's must be as if we had never been there.
async fn all_of_it_is_taken_away_and_the_cluster_stays(group: &Group) {
    let world = &group.world;
    // One that joins no more, as its group has no hook.
    delete_hooks(group).await;
    group.scale_to(4).await;
    let instances = group.in_service(4).await;
    for instance in &instances {
        eventually(60, &format!("{instance} is a node"), async || {
            world.node(instance).await.map(|_| ()).ok_or("none")
        })
        .await;
    }
    let cluster = &world.endpoints.cluster_name;
    let plan = json!({"cluster": cluster, "plan": true});
    let plan = world.run(Machine::Destroy, &plan, 120).await;
    plan.expect("planned");
    let steps = plan.output["plan"]["would"].to_string();
    for step in ["startup taint off 4 nodes", "leave cluster tidegate"] {
        assert!(steps.contains(step), "{step}: {steps}");
    }

    let confirmed = json!({"cluster": cluster, "confirm": cluster});
    let ended = world.run(Machine::Destroy, &confirmed, 300).await;
    ended.expect("destroyed");
    expect_nothing_in_the_cluster(world).await;
    assert!(group.hooks().await.is_empty());
    assert_eq!(
        group.in_service(4).await,
        instances,
        "the nodes are somebody else's"
    );
    for instance in &instances {
        let labels = world.labels(instance).await;
        let ours = labels
            .keys()
            .find(|name| name.contains("tidegate") || name.contains("fast-disk"));
        assert_eq!(ours, None, "{instance}: {labels:?}");
        assert!(
            !world.taints(instance).await.contains(&STARTUP_TAINT.to_owned()),
            "{instance} is open"
        );
    }
}

/// Takes a class and the hooks away, adds something of its own, and lets an instance come meanwhile.
async fn what_a_person_does(group: &Group) {
    let kube = &group.world.kube;
    let classes: Api<StorageClass> = Api::all(kube.clone());
    classes
        .delete("fast-disks", &DeleteParams::default())
        .await
        .expect("deleted");
    let workers: Api<DaemonSet> = Api::namespaced(kube.clone(), "alluxio");
    let theirs = json!({"metadata": {"labels": {"team": "data"}}, "spec": {"updateStrategy": {"type": "RollingUpdate"}}});
    workers
        .patch(
            "alluxio-worker-2x300g",
            &PatchParams::default(),
            &Patch::Merge(&theirs),
        )
        .await
        .expect("patched");
    delete_hooks(group).await;
    group.scale_to(3).await;
}

/// What a node uses is read from its kubelet by metrics-server, and from that through the API server.
async fn expect_measured(world: &World, bootstrap: &Execution, instance: &str) {
    let (node, _) = world.node_address(instance).await;
    let rows = &bootstrap.output["overview"]["top"]["rows"];
    let rows = rows.as_array().expect("the cluster is measured");
    let row = rows.iter().find(|row| row["name"] == *node);
    let row = row.unwrap_or_else(|| panic!("{node} is not measured: {rows:?}"));
    for figure in ["cpu", "memory"] {
        let told = row[figure].as_str().unwrap_or_default();
        let number = told.trim_end_matches(|unit: char| !unit.is_ascii_digit());
        assert!(number.parse::<u64>().is_ok_and(|number| number > 0), "{row}");
    }
    let top = kubectl(&["top", "nodes", "--no-headers"]);
    assert!(top.contains(&node) && !top.contains("<unknown>"), "{top}");
    let pods = kubectl(&["top", "pods", "--no-headers", "-n", "kube-system"]);
    assert!(pods.contains("metrics-server"), "{pods}");
}

async fn everything_is_back(group: &Group, late: &str) {
    let kube = &group.world.kube;
    let classes: Api<StorageClass> = Api::all(kube.clone());
    classes.get("fast-disks").await.expect("the class");
    let namespaces: Api<Namespace> = Api::all(kube.clone());
    let namespace = namespaces.get("alluxio").await.expect("the namespace");
    let managers = namespace.metadata.managed_fields.unwrap_or_default();
    let managers: Vec<_> = managers
        .iter()
        .filter_map(|entry| entry.manager.as_deref())
        .collect();
    assert_eq!(managers, ["tidegate"]);
    let workers: Api<DaemonSet> = Api::namespaced(kube.clone(), "alluxio");
    let set = workers.get("alluxio-worker-2x300g").await.expect("the DaemonSet");
    let labels = set.metadata.labels.unwrap_or_default();
    assert_eq!(
        labels.get("team").map(String::as_str),
        Some("data"),
        "theirs stays"
    );
    let strategy = set.spec.and_then(|spec| spec.update_strategy);
    let strategy = strategy.and_then(|strategy| strategy.type_);
    assert_eq!(strategy.as_deref(), Some("OnDelete"), "ours is back");
    assert_eq!(group.hooks().await, ["tidegate-node-drain", LAUNCH_HOOK]);
    let joins = group.world.executions_for(Machine::Join, late).await;
    let last = joins.last().expect("a join");
    group.world.ended(last, 30).await.expect("joined");
}
