//! A cluster of a stack of ours is set up, used, and taken away. It has a world of its own, of which nothing is left.

use aws_sdk_autoscaling::types::LifecycleHook;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::world::{
    Execution, Group, Machine, World, WriteType, aws, aws_refuses, eventually, kubectl, kubectl_apply,
    under_store_file,
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

/// The group of the world's managed node group, once the stack has set the cluster up.
async fn set_up() -> Group {
    let world = World::connect().await;
    let started = eventually(60, "the stack has started cluster-bootstrap", async || {
        world.all(Machine::Bootstrap).await.first().cloned().ok_or(())
    })
    .await;
    world.ended(&started, 300).await.expect("ready");
    let found = world.autoscaling.describe_auto_scaling_groups().send().await;
    let found = found.expect("DescribeAutoScalingGroups");
    let group = found.auto_scaling_groups().first().expect("a group");
    let name = group.auto_scaling_group_name().expect("a name").to_owned();
    Group {
        world,
        name: String::leak(name),
    }
}

async fn hooks(group: &Group) -> Vec<String> {
    let found = group
        .world
        .autoscaling
        .describe_lifecycle_hooks()
        .auto_scaling_group_name(group.name);
    let found = found.send().await.expect("DescribeLifecycleHooks");
    let hooks = found.lifecycle_hooks().iter();
    hooks
        .filter_map(LifecycleHook::lifecycle_hook_name)
        .map(ToOwned::to_owned)
        .collect()
}

/// Everything stands as before.
async fn nothing_was_touched(group: &Group) {
    let world = &group.world;
    assert_eq!(hooks(group).await.len(), 2);
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
    let group = set_up().await;
    let world = &group.world;
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
    nothing_is_left(&group, &instances).await;

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

async fn nothing_is_left(group: &Group, instances: &[String]) {
    let kube = &group.world.kube;
    let all = ListParams::default();
    let namespaces: Api<Namespace> = Api::all(kube.clone());
    assert!(namespaces.get_opt("alluxio").await.expect("an answer").is_none());
    let volumes: Api<PersistentVolume> = Api::all(kube.clone());
    assert_eq!(volumes.list(&all).await.expect("volumes").items.len(), 0);
    let claims: Api<PersistentVolumeClaim> = Api::all(kube.clone());
    assert_eq!(claims.list(&all).await.expect("claims").items.len(), 0);
    let classes: Api<StorageClass> = Api::all(kube.clone());
    assert_eq!(classes.list(&all).await.expect("classes").items.len(), 0);
    let sets: Api<DaemonSet> = Api::all(kube.clone());
    assert_eq!(sets.list(&all).await.expect("sets").items.len(), 0);
    let roles: Api<ClusterRole> = Api::all(kube.clone());
    let roles = roles.list(&all).await.expect("roles").items;
    let ours = roles.iter().filter_map(|role| role.metadata.name.as_deref());
    assert_eq!(ours.filter(|name| name.contains("tidegate")).count(), 0);
    let records: Api<ConfigMap> = Api::namespaced(kube.clone(), "kube-system");
    let records = records.list(&all).await.expect("configs").items;
    let ours = records
        .iter()
        .filter_map(|record| record.metadata.name.as_deref());
    assert_eq!(
        ours.filter(|name| name.contains("tidegate") || name.contains("provisioner"))
            .count(),
        0
    );
    // What a chart brought is its user's.
    kubectl(&["get", "deployment", "ca"]);

    assert!(
        aws_refuses(&["cloudformation", "describe-stacks", "--stack-name", STACK]).contains("does not exist")
    );
    let cluster = &group.world.endpoints.cluster_name;
    assert!(aws_refuses(&["eks", "describe-cluster", "--name", cluster]).contains("ResourceNotFound"));
    let groups = aws(&["autoscaling", "describe-auto-scaling-groups"]);
    assert_eq!(groups["AutoScalingGroups"], json!([]));
    let ids: Vec<_> = instances.iter().map(String::as_str).collect();
    let described = aws(&[&["ec2", "describe-instances", "--instance-ids"][..], &ids].concat());
    for reservation in described["Reservations"].as_array().into_iter().flatten() {
        assert_eq!(reservation["Instances"][0]["State"]["Name"], "terminated");
    }
    let gateways = aws(&["ec2", "describe-nat-gateways"]);
    for gateway in gateways["NatGateways"].as_array().into_iter().flatten() {
        assert_eq!(gateway["State"], "deleted");
    }
    assert_eq!(aws(&["ec2", "describe-addresses"])["Addresses"], json!([]));
    let function = aws(&[
        "lambda",
        "get-function-configuration",
        "--function-name",
        "tidegate-drain-cache",
    ]);
    assert_eq!(function["VpcConfig"]["SubnetIds"], json!([]), "{function:#}");
}
