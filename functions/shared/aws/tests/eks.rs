//! What is read from EKS's description of a cluster.

mod endpoint;

use endpoint::{Answer, Endpoint};
use tidegate_aws::EksCluster;
use tidegate_domain::api_server::{ApiServer, ApiServers};
use tidegate_domain::bootstrap::{KnownCluster, KnownClusters};
use tidegate_domain::error::ErrorName;

#[tokio::test]
async fn a_cluster_is_reached_by_its_endpoint_and_certificate_authority() {
    let endpoint = Endpoint::with([Answer::ok(
        r#"{"cluster":{"name":"tidegate","status":"ACTIVE","endpoint":"https://127.0.0.1:6443",
            "certificateAuthority":{"data":"LS0tLS1CRUdJTg=="}}}"#,
    )]);
    let cluster = EksCluster::new(&endpoint.configuration(), "tidegate");
    let expected = ApiServer {
        endpoint: "https://127.0.0.1:6443".into(),
        certificate_authority: "-----BEGIN".into(),
    };
    assert_eq!(cluster.api_server().await, Ok(expected.clone()));
    assert_eq!(cluster.api_server().await, Ok(expected), "kept");
    assert_eq!(endpoint.requests().len(), 1);
    assert!(endpoint.requests()[0].starts_with("GET /clusters/tidegate "));
}

#[tokio::test]
async fn a_cluster_that_is_being_created_is_not_there_yet() {
    let endpoint = Endpoint::with([Answer::ok(
        r#"{"cluster":{"name":"tidegate","status":"CREATING"}}"#,
    )]);
    let error = EksCluster::new(&endpoint.configuration(), "tidegate")
        .api_server()
        .await
        .expect_err("no endpoint");
    assert_eq!(error.name, ErrorName::AwsUnavailable);
    assert!(error.message.contains("CREATING"), "{error}");
}

#[tokio::test]
async fn a_cluster_that_does_not_exist_is_refused() {
    let endpoint = Endpoint::with([Answer::With(
        404,
        r#"{"__type":"ResourceNotFoundException","message":"No cluster found for name: tidegate."}"#.into(),
    )]);
    let error = EksCluster::new(&endpoint.configuration(), "tidegate")
        .api_server()
        .await
        .expect_err("no cluster");
    assert_eq!(error.name, ErrorName::AwsRefused, "{error}");
    assert!(error.message.contains("No cluster found"), "{error}");
}

#[tokio::test]
async fn a_cluster_that_is_looked_at_may_be_absent_or_have_no_endpoint_yet() {
    let endpoint = Endpoint::with([
        Answer::ok(r#"{"cluster":{"name":"tidegate","status":"CREATING","version":"1.35"}}"#),
        Answer::With(
            404,
            r#"{"__type":"ResourceNotFoundException","message":"No cluster found for name: tidegate."}"#
                .into(),
        ),
    ]);
    let cluster = EksCluster::new(&endpoint.configuration(), "tidegate");
    let creating = KnownCluster {
        version: "1.35".into(),
        status: "CREATING".into(),
        api_server: None,
    };
    assert_eq!(cluster.cluster().await, Ok(Some(creating)));
    assert_eq!(cluster.cluster().await, Ok(None));
}

#[tokio::test]
async fn each_managed_node_group_is_told_with_its_auto_scaling_group() {
    let endpoint = Endpoint::with([
        Answer::ok(r#"{"nodegroups":["nvme-nodes"]}"#),
        Answer::ok(
            r#"{"nodegroup":{"nodegroupName":"nvme-nodes","status":"ACTIVE","instanceTypes":["m5d.4xlarge"],
                "scalingConfig":{"minSize":3,"maxSize":10,"desiredSize":6},
                "resources":{"autoScalingGroups":[{"name":"eks-nvme-nodes-1"}]}}}"#,
        ),
    ]);
    let cluster = EksCluster::new(&endpoint.configuration(), "tidegate");
    let groups = cluster
        .node_groups()
        .await
        .unwrap_or_else(|error| unreachable!("{error}"));
    assert_eq!(groups.len(), 1);
    assert_eq!(
        (groups[0].min_size, groups[0].desired_size, groups[0].max_size),
        (3, 6, 10)
    );
    assert_eq!(groups[0].auto_scaling_groups, ["eks-nvme-nodes-1"]);
    assert!(endpoint.requests()[1].starts_with("GET /clusters/tidegate/node-groups/nvme-nodes "));
}
