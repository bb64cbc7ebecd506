//! A cluster of a stack of ours is set up, used, and taken away. It has a world of its own, of which nothing is left.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::{Value, json};

use crate::nothing_left::expect_nothing_left;
use crate::story::set_up_by_the_stack;
use crate::world::{
    Execution, Group, Machine, World, WriteType, aws, eventually, kubectl, kubectl_apply, under_store_file,
};

const STACK: &str = "tidegate-cluster";
const LOST: &str = "/job/_temporary/part-0";

/// What a chart leaves in a cluster: its labels are its own.
const AUTOSCALER: &str = r#"{"apiVersion": "apps/v1", "kind": "Deployment",
    "metadata": {"name": "ca", "namespace": "default", "labels": {"app.kubernetes.io/name": "aws-cluster-autoscaler"}},
    "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "ca"}}, "template": {"metadata": {"labels": {"app": "ca"}},
        "spec": {"nodeSelector": {"nowhere": "true"}, "containers": [{"name": "ca", "image": "registry.k8s.io/pause:3.10"}]}}}}"#;

/// Something of ours with a volume that nothing owns, as the masters have.
const KEEPER: &str = r#"{"apiVersion": "apps/v1", "kind": "StatefulSet",
    "metadata": {"name": "keeper", "namespace": "alluxio"},
    "spec": {"serviceName": "keeper", "selector": {"matchLabels": {"app": "keeper"}},
        "template": {"metadata": {"labels": {"app": "keeper"}},
            "spec": {"containers": [{"name": "keeper", "image": "registry.k8s.io/pause:3.10"}]}},
        "volumeClaimTemplates": [{"metadata": {"name": "journal"}, "spec": {"accessModes": ["ReadWriteOnce"],
            "storageClassName": "standard", "resources": {"requests": {"storage": "1Gi"}}}}]}}"#;

async fn run(world: &World, input: Value) -> Execution {
    world.run(Machine::Destroy, &input, 120).await
}

/// Everything stands as before.
async fn nothing_was_touched(group: &Group) {
    let world = &group.world;
    assert_eq!(group.hooks().await.len(), 2);
    assert_eq!(world.worker_hosts("LIVE").await.len(), 2);
    let sets: Api<DaemonSet> = Api::namespaced(world.kube.clone(), "alluxio");
    sets.get("alluxio-worker-2x300g")
        .await
        .expect("the workers' DaemonSet");
    let scaled: Api<Deployment> = Api::namespaced(world.kube.clone(), "default");
    let replicas = scaled
        .get("ca")
        .await
        .expect("the autoscaler")
        .spec
        .and_then(|spec| spec.replicas);
    assert_eq!(replicas, Some(1));
    let rule = aws(&["events", "describe-rule", "--name", "tidegate-drift-check"]);
    assert_eq!(rule["State"], "ENABLED");
    let stack = aws(&["cloudformation", "describe-stacks", "--stack-name", STACK]);
    assert_eq!(stack["Stacks"][0]["StackStatus"], "CREATE_COMPLETE");
}

async fn marked(world: &World) -> bool {
    let records: Api<ConfigMap> = Api::namespaced(world.kube.clone(), "kube-system");
    let record = records.get("tidegate-manifests").await.expect("the record");
    let annotations = record.metadata.annotations.unwrap_or_default();
    annotations.contains_key("tidegate.dev/destroy-since")
}

#[tokio::test]
async fn a_cluster_is_saved_emptied_and_taken_away_and_nothing_of_it_is_left() {
    let group = Group::of_node_group("nvme-nodes").await;
    let world = &group.world;
    set_up_by_the_stack(world).await;
    group.scale_to(2).await;
    let instances = group.in_service(2).await;
    kubectl_apply(AUTOSCALER, &[]);
    kubectl_apply(KEEPER, &["--field-manager", "tidegate"]);
    let mut hosts = Vec::new();
    for instance in &instances {
        hosts.push(world.node_address(instance).await.1);
    }
    let mut files = Vec::new();
    for (number, host) in hosts.iter().enumerate() {
        files.push(
            world
                .write(&format!("/table/part-{number}"), WriteType::AsyncThrough, host)
                .await,
        );
        files.push(
            world
                .write(&format!("/cache/part-{number}"), WriteType::MustCache, host)
                .await,
        );
    }
    world.write(LOST, WriteType::MustCache, &hosts[0]).await;

    what_would_be_lost_is_said_and_refused(&group).await;

    // Cut off while the caches go, and taken up again.
    let cluster = &world.endpoints.cluster_name;
    let accepting = json!({"cluster": cluster, "confirm": cluster, "acceptDataLoss": true});
    let first = world
        .start(Machine::Destroy, &accepting.to_string())
        .await
        .expect("started");
    eventually(90, "a worker is out of service", async || {
        let hosts = world.worker_hosts("DECOMMISSIONED").await;
        if hosts.is_empty() { Err("none") } else { Ok(()) }
    })
    .await;
    world.stop(&first).await;
    assert!(marked(world).await);
    let check = world.run(Machine::Check, &json!({}), 90).await;
    assert!(
        check
            .reason()
            .starts_with("the cluster is being destroyed since "),
        "{check:#?}"
    );
    assert_eq!(check.output["repaired"], 0, "{check:#?}");

    let second = world.run(Machine::Destroy, &accepting, 400).await;
    second.expect("destroyed");
    assert_eq!(second.output["filesLost"], 1, "{second:#?}");
    let lost = second.output["lostFiles"][0].as_str().unwrap_or_default();
    assert!(
        lost.starts_with(&format!("{LOST} (4194304 bytes: never persisted")),
        "{lost}"
    );
    let told = World::told(&second);
    assert_eq!(told["outcome"], "destroyed", "{told:#}");
    assert_eq!(told["seen"]["lost"]["files"], 1, "{told:#}");
    for file in &files {
        assert_eq!(
            under_store_file(&file.path).as_deref(),
            Some(file.sha256.as_str()),
            "{}",
            file.path
        );
    }
    assert_eq!(under_store_file(LOST), None);
    expect_nothing_left(&group, STACK, &instances).await;
    // What a chart brought is its user's.
    kubectl(&["get", "deployment", "ca"]);

    let third = world.run(Machine::Destroy, &accepting, 60).await;
    third.expect("destroyed");
}

async fn what_would_be_lost_is_said_and_refused(group: &Group) {
    let world = &group.world;
    let cluster = &world.endpoints.cluster_name;
    let plan = run(world, json!({"cluster": cluster, "plan": true})).await;
    plan.expect("planned");
    let foreseen = &plan.output["plan"];
    assert_eq!(
        foreseen["lost"],
        json!({"files": 1, "bytes": 4_194_304}),
        "{foreseen:#}"
    );
    assert_eq!(foreseen["persisted"]["files"], 4, "{foreseen:#}");
    let steps = foreseen["would"].to_string();
    for step in [
        "stop Deployment default/ca",
        "take 2 workers out of service",
        "take hook tidegate-node-drain off group",
        "delete DaemonSet kube-system/local-volume-provisioner",
        "delete PersistentVolumeClaim alluxio/journal-keeper-0",
        "delete stack tidegate-cluster with cluster tidegate",
    ] {
        assert!(steps.contains(step), "{step}: {steps}");
    }
    nothing_was_touched(group).await;

    let unconfirmed = run(world, json!({"cluster": cluster, "confirm": "prod"})).await;
    unconfirmed.expect("InvalidInput");
    let refused = run(world, json!({"cluster": cluster, "confirm": cluster})).await;
    refused.expect("refused");
    assert!(refused.reason().contains(LOST), "{refused:#?}");
    nothing_was_touched(group).await;
    assert!(!marked(world).await);
}
