//! What a destroyed cluster must not leave.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;

use crate::world::{Group, World, aws, aws_refuses};

/// Fails unless a cluster is gone with its stack, and whatever of it costs money or was ours.
pub(crate) async fn expect_nothing_left(group: &Group, stack: &str, instances: &[String]) {
    expect_nothing_in_the_cluster(&group.world).await;
    nothing_in_the_account(&group.world, stack, instances);
}

/// Fails unless whatever was ours is gone from the cluster.
pub(crate) async fn expect_nothing_in_the_cluster(world: &World) {
    let kube = &world.kube;
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
}

fn nothing_in_the_account(world: &World, stack: &str, instances: &[String]) {
    assert!(
        aws_refuses(&["cloudformation", "describe-stacks", "--stack-name", stack]).contains("does not exist")
    );
    let cluster = &world.endpoints.cluster_name;
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
    assert_eq!(aws(&["ec2", "describe-volumes"])["Volumes"], json!([]));
    let function = aws(&[
        "lambda",
        "get-function-configuration",
        "--function-name",
        "tidegate-drain-cache",
    ]);
    assert_eq!(function["VpcConfig"]["SubnetIds"], json!([]), "{function:#}");
}
